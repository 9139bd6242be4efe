# The proxy of compose.production.yaml: Caddy with our Caddyfile, as a non-root user.

FROM caddy:2.11

# Caddy stores certificates and the keys of its internal authority here. A new volume takes its owner from this folder.
# No program may change its user, even where no-new-privileges is missing.
RUN install -d -o 10002 -g 10002 -m 700 /data/caddy \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV XDG_CONFIG_HOME=/tmp

# scripts/deploy compares these files with those of the checkout.
COPY docker/proxy-start.sh docker/proxy.Dockerfile /
COPY docker/Caddyfile /etc/caddy/

USER 10002:10002
CMD ["sh", "/proxy-start.sh"]
