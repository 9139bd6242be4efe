# A node of the swarm that scripts/swarm-drill makes: a Docker engine in a container.
FROM python:3.13-slim-trixie

# Debian's, without versions: it keeps no old ones.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates docker.io docker-cli iptables \
 && rm -rf /var/lib/apt/lists/*

VOLUME /var/lib/docker
# Where cgroups are of version 2, no process may be in a group that has groups below.
CMD ["sh", "-c", "\
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then \
    mkdir /sys/fs/cgroup/init; \
    xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs; \
    sed 's/ / +/g; s/^/+/' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control; \
  fi; \
  exec dockerd"]
