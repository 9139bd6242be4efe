#!/bin/sh
# Starts Caddy. Checks the settings first, because Caddy would report a wrong one as an error in the Caddyfile.
set -eu

refuse() {
  echo "Error: $1 Set it in .env, see .env.example." >&2
  exit 1
}

case $SITE_NAME in
  "" | *[!A-Za-z0-9.-]*) refuse "SITE_NAME must be a host name without https:// and port, not '$SITE_NAME'." ;;
esac
case $SITE_TLS in
  public | internal | off | files) ;; # files: only in stack.yaml, which mounts them
  *) refuse "SITE_TLS must be public, internal or off, not '$SITE_TLS'." ;;
esac

# The setting is separated by commas; Caddyfiles need spaces.
TRUSTED_PROXIES=$(echo "${TRUSTED_PROXIES-}" | tr , ' ')
export TRUSTED_PROXIES
exec caddy run --config /etc/caddy/Caddyfile
