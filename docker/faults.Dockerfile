# The tools of `make drill`: iptables drops a database's packets, libfaketime moves a running container's clock.
FROM python:3.13-slim-trixie

# No versions: Debian keeps only its newest ones.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends iptables libfaketime \
 && rm -rf /var/lib/apt/lists/*
