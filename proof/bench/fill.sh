#!/usr/bin/env bash
# Fills an empty database: each user with one session, of which three refresh tokens are spent and one pair lives.
# Runs in the container of PostgreSQL: bash -s -- DATABASE USERS
set -euo pipefail

export PGDATABASE=$1 PGUSER=$POSTGRES_USER
users=$2

sql() {
  psql --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"
}

copy() { # TABLE COLUMNS QUERY
  sql -c "COPY ($3) TO STDOUT" |
    # The rows refer to each other as they should: nobody need look each one up.
    sql -c "SET session_replication_role = replica" -c "COPY $1 ($2) FROM STDIN"
}

# Made from the number, so that each table can be written without reading another.
user_id="md5('user ' || n)::uuid"
session_id="md5('session ' || n)::uuid"
refresh_id="md5('token ' || n || ' 4')::uuid"
numbers="generate_series(1, $users) n"
# An index is made faster at the end than kept up to date.
indexes="FROM pg_indexes WHERE tablename IN ('sessions', 'tokens') AND indexname LIKE 'ix_%'"
making=$(sql -c "SELECT indexdef || ';' $indexes")
sql -c "SELECT 'DROP INDEX ' || indexname || ';' $indexes" | sql

copy users "id, username, username_key, password_hash, password_changed_at, role, created_at, updated_at" \
  "SELECT $user_id, 'user-' || n, 'user-' || n, 'none', now(), 'user', now(), now() FROM $numbers" &
copy sessions "id, user_id, refresh_id, created_at, refreshed_at, expires_at, ends_at, network" \
  "SELECT $session_id, $user_id, $refresh_id, now() - interval '6 days', now(),
          now() + interval '30 days', now() + interval '84 days', '192.0.2.1'
   FROM $numbers" &
# Five tokens: the refresh tokens of three days, spent since, and the pair of now.
copy tokens "id, session_id, user_id, parent_id, type, issued_at, expires_at, revoked_at, revoked_reason,
             user_agent, ip" \
  "SELECT md5('token ' || n || ' ' || t)::uuid, $session_id, $user_id,
          CASE WHEN t > 1 THEN md5('token ' || n || ' ' || least(t - 1, 3))::uuid END,
          CASE WHEN t = 5 THEN 'access' ELSE 'refresh' END,
          date_trunc('second', now()) - (3 - least(t - 1, 3)) * interval '1 day' + n % 1000 * interval '1 microsecond',
          date_trunc('second', now()) - (3 - least(t - 1, 3)) * interval '1 day'
            + CASE WHEN t = 5 THEN interval '15 minutes' ELSE interval '30 days' END,
          CASE WHEN t < 4 THEN now() - (3 - t) * interval '1 day' END,
          CASE WHEN t < 4 THEN 'rotated' END,
          'bench', '192.0.2.1'
   FROM $numbers, generate_series(1, 5) t" &
wait -n && wait -n && wait -n

sql <<<"$making"
sql -c "VACUUM ANALYZE" -c "CHECKPOINT"
