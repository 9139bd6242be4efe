#!/usr/bin/env bash
# Fills an empty database. Each user has one session, with three used refresh tokens and one valid token pair.
# Runs in the db container: bash -s -- DATABASE USERS
set -euo pipefail

export PGDATABASE=$1 PGUSER=$POSTGRES_USER
users=$2

sql() {
  psql --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"
}

copy() { # TABLE COLUMNS QUERY
  sql -c "COPY ($3) TO STDOUT" |
    # Skip the foreign key checks: the generated rows are consistent.
    sql -c "SET session_replication_role = replica" -c "COPY $1 ($2) FROM STDIN"
}

# Derive the ids from the number, so that the tables can be filled in parallel.
user_id="md5('user ' || n)::uuid"
session_id="md5('session ' || n)::uuid"
refresh_id="md5('token ' || n || ' 4')::uuid"
numbers="generate_series(1, $users) n"
# Creating the indexes at the end is faster than updating them.
indexes="FROM pg_indexes WHERE tablename IN ('sessions', 'tokens') AND indexname LIKE 'ix_%'"
create_indexes=$(sql -c "SELECT indexdef || ';' $indexes")
sql -c "SELECT 'DROP INDEX ' || indexname || ';' $indexes" | sql

copy users "id, username, username_key, password_hash, password_changed_at, role, created_at, updated_at" \
  "SELECT $user_id, 'user-' || n, 'user-' || n, 'none', now(), 'user', now(), now() FROM $numbers" &
copy sessions "id, user_id, refresh_id, created_at, refreshed_at, expires_at, ends_at, network" \
  "SELECT $session_id, $user_id, $refresh_id, now() - interval '6 days', now(),
          now() + interval '30 days', now() + interval '84 days', '192.0.2.1'
   FROM $numbers" &
# Five tokens: three used refresh tokens, one per day, and the current pair.
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

sql <<<"$create_indexes"
sql -c "VACUUM ANALYZE" -c "CHECKPOINT"
