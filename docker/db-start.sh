#!/usr/bin/env bash
# Starts PostgreSQL and writes its URL for the API. Compose runs this instead of the image's entrypoint, so that no
# password has to be chosen or published: without POSTGRES_PASSWORD, the first start generates one.
set -euo pipefail

secrets=/secrets/database # a volume that the API mounts read-only

write() { # FILE: replace the file atomically by standard input
  cat >"$1.new"
  chmod 444 "$1.new" # the API has another uid, and only the two containers mount the volume
  mv "$1.new" "$1"
}

if [ -z "${POSTGRES_PASSWORD:-}" ]; then
  [ -s "$secrets/password" ] || od -An -N24 -v -tx1 /dev/urandom | tr -d ' \n' | write "$secrets/password"
  POSTGRES_PASSWORD=$(<"$secrets/password")
fi
export POSTGRES_PASSWORD

# Percent-encode every byte, so that any password is valid in a URL.
encoded=$(printf %s "$POSTGRES_PASSWORD" | od -An -v -tx1 | tr -d '\n' | tr ' ' %)
printf 'postgresql://%s:%s@db:5432/%s\n' "$POSTGRES_USER" "$encoded" "$POSTGRES_DB" | write "$secrets/url"

# An interrupted first start leaves an unusable folder without data. Start over.
unfinished=${PGDATA%/*}/unfinished
if [ -e "$unfinished" ]; then
  rm -rf "$PGDATA"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  chown postgres "${PGDATA%/*}" # a folder of the host belongs to root, as in images of PostgreSQL 18 and newer
  touch "$unfinished"
  echo "rm $unfinished" >/docker-entrypoint-initdb.d/zz-finished.sh # the image runs it when the database is created
else
  # The image only sets the password of a new database. Set it here too, so that a changed POSTGRES_PASSWORD takes effect.
  # Single-user mode sets it before the server accepts connections.
  setpriv --reuid=postgres --regid=postgres --clear-groups \
    postgres --single -c log_min_messages=fatal postgres >/dev/null \
    <<<"ALTER ROLE \"$POSTGRES_USER\" PASSWORD '${POSTGRES_PASSWORD//\'/\'\'}'"
fi

exec docker-entrypoint.sh postgres "$@"
