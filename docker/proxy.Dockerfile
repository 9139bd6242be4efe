# The proxy of compose.production.yaml: Caddy with our Caddyfile, as a non-root user.

FROM caddy:2

# Caddy stores certificates and the keys of its internal authority here. A new volume takes its owner from this folder.
RUN install -d -o 10002 -g 10002 -m 700 /data/caddy
ENV XDG_CONFIG_HOME=/tmp

COPY docker/proxy-start.sh /
COPY docker/Caddyfile /etc/caddy/

USER 10002:10002
CMD ["sh", "/proxy-start.sh"]
