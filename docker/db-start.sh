#!/usr/bin/env bash
# Starts PostgreSQL with two roles, and writes their URLs. The owner migrates, and the API uses a role that only reads and
# changes rows. Compose runs this instead of the image's entrypoint, so that no password has to be chosen or published:
# the first start generates them. POSTGRES_PASSWORD replaces the owner's.
set -euo pipefail

owner=/secrets/owner    # a volume that only db and migrate mount
secrets=/secrets/database # a volume that the API mounts read-only
api=${POSTGRES_USER}_app

write() { # FILE: replace the file atomically by standard input
  cat >"$1.new"
  chmod 444 "$1.new" # the readers have another uid, and only they mount the volume
  mv "$1.new" "$1"
}
generate() { # FILE: write a password, if there is none
  [ -s "$1" ] || od -An -N24 -v -tx1 /dev/urandom | tr -d ' \n' | write "$1"
}
write_url() { # FILE ROLE PASSWORD. Percent-encode every byte, so that any password is valid in a URL.
  local encoded
  encoded=$(printf %s "$3" | od -An -v -tx1 | tr -d '\n' | tr ' ' %)
  printf 'postgresql://%s:%s@db:5432/%s\n' "$2" "$encoded" "$POSTGRES_DB" | write "$1"
}

# Earlier versions had one role, and its password was here. Running containers of the API still use it.
if [ -s "$secrets/password" ]; then
  write "$owner/password" <"$secrets/password"
fi
rm -f "$secrets/password"

if [ -z "${POSTGRES_PASSWORD:-}" ]; then
  generate "$owner/password"
  POSTGRES_PASSWORD=$(<"$owner/password")
fi
export POSTGRES_PASSWORD
generate "$secrets/api-password"
api_password=$(<"$secrets/api-password")
write_url "$owner/url" "$POSTGRES_USER" "$POSTGRES_PASSWORD"
write_url "$secrets/url" "$api" "$api_password"

# Each statement is one line, for single-user mode. `flask db upgrade` grants the access to the tables.
create_api_role="DO 'BEGIN CREATE ROLE \"$api\"; EXCEPTION WHEN duplicate_object THEN NULL; END';
ALTER ROLE \"$api\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '$api_password';"

# An interrupted first start leaves an unusable folder without data. Start over.
unfinished=${PGDATA%/*}/unfinished
if [ -e "$unfinished" ]; then
  rm -rf "$PGDATA"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  chown postgres "${PGDATA%/*}" # a folder of the host belongs to root, as in images of PostgreSQL 18 and newer
  touch "$unfinished"
  # The image runs these when it has created the database.
  echo "$create_api_role" >/docker-entrypoint-initdb.d/api-role.sql
  echo "rm $unfinished" >/docker-entrypoint-initdb.d/zz-finished.sh
else
  # The image only sets the password of a new database. Set it here too, so that a changed POSTGRES_PASSWORD takes effect.
  # Single-user mode sets it before the server accepts connections.
  setpriv --reuid=postgres --regid=postgres --clear-groups \
    postgres --single -c log_min_messages=fatal postgres >/dev/null \
    <<<"ALTER ROLE \"$POSTGRES_USER\" PASSWORD '${POSTGRES_PASSWORD//\'/\'\'}'
$create_api_role"
fi

exec docker-entrypoint.sh postgres "$@"
