# PgBouncer as Debian has it, for scripts/pgbouncer-rehearsal.
FROM python:3.13-slim-trixie

# No version: Debian keeps only its newest one.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends pgbouncer \
 && rm -rf /var/lib/apt/lists/*

# Any one will do: it writes nothing.
USER 10003:10003
CMD ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
