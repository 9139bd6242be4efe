#!/usr/bin/env bash
# Starts PostgreSQL, and tells the API where it is. Compose runs this instead of the image's own entrypoint, so that
# nobody has to choose a password and none is published: unless POSTGRES_PASSWORD is given, one is made, once.
set -euo pipefail

secrets=/secrets/database # a volume, which the API mounts read-only

write() { # FILE: all of standard input, or the file as it was
  cat >"$1.new"
  chmod 444 "$1.new" # the API has another uid, and the volume is for the two of them alone
  mv "$1.new" "$1"
}

if [ -z "${POSTGRES_PASSWORD:-}" ]; then
  [ -s "$secrets/password" ] || od -An -N24 -v -tx1 /dev/urandom | tr -d ' \n' | write "$secrets/password"
  POSTGRES_PASSWORD=$(<"$secrets/password")
fi
export POSTGRES_PASSWORD

# Every byte of it percent-encoded: whatever a person chose, it is one word of the URL.
encoded=$(printf %s "$POSTGRES_PASSWORD" | od -An -v -tx1 | tr -d '\n' | tr ' ' %)
printf 'postgresql://%s:%s@db:5432/%s\n' "$POSTGRES_USER" "$encoded" "$POSTGRES_DB" | write "$secrets/url"

# A first start that is cut short leaves a folder which no later start can use. No data is in it yet: begin again.
unfinished=${PGDATA%/*}/unfinished
if [ -e "$unfinished" ]; then
  rm -rf "$PGDATA"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  chown postgres "${PGDATA%/*}" # root's, where it is a folder of the host or of an image from PostgreSQL 18 on
  touch "$unfinished"
  echo "rm $unfinished" >/docker-entrypoint-initdb.d/zz-finished.sh # run by the image, once the database is made
else
  # The image takes the password for an empty folder only. For an older one we set it before the server is up (hence the
  # single-user mode), so that a changed POSTGRES_PASSWORD holds after the next start, as whoever changed it expects.
  setpriv --reuid=postgres --regid=postgres --clear-groups \
    postgres --single -c log_min_messages=fatal postgres >/dev/null \
    <<<"ALTER ROLE \"$POSTGRES_USER\" PASSWORD '${POSTGRES_PASSWORD//\'/\'\'}'"
fi

exec docker-entrypoint.sh postgres "$@"
