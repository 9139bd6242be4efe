#!/bin/sh
# What the proxy's container runs: refuses settings that Caddy would explain by a line of the Caddyfile, then is Caddy.
set -eu

refuse() {
  echo "Error: $1 Set it in .env, see .env.example." >&2
  exit 1
}

case $SITE_NAME in
  "" | *[!A-Za-z0-9.-]*) refuse "SITE_NAME is a host name alone, without https:// and port, not '$SITE_NAME'." ;;
esac
case $SITE_TLS in
  public | internal | off | files) ;; # files: for stack.yaml, which brings them
  *) refuse "SITE_TLS is public, internal or off, not '$SITE_TLS'." ;;
esac

# Lists are written with commas everywhere else; a Caddyfile wants spaces.
TRUSTED_PROXIES=$(echo "${TRUSTED_PROXIES-}" | tr , ' ')
export TRUSTED_PROXIES
exec caddy run --config /etc/caddy/Caddyfile
