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

case ${HTTPS_PORT:-443} in
  *[!0-9]*) refuse "HTTPS_PORT must be a number, not '$HTTPS_PORT'." ;;
  0 | 443) SITE_PORT= ;; # 0: any free port, which this container doesn't know
  *) SITE_PORT=:$HTTPS_PORT ;;
esac
export SITE_PORT

# The setting is separated by commas; Caddyfiles need spaces.
TRUSTED_PROXIES=$(echo "${TRUSTED_PROXIES-}" | tr , ' ')
export TRUSTED_PROXIES
exec caddy run --config /etc/caddy/Caddyfile
