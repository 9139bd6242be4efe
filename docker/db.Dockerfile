# PostgreSQL for compose.yaml, with its start script. An image instead of a bind mount, because the Docker engine may not
# see this folder (remote engines, Docker in Docker). Named .Dockerfile at the end, because Heroku would deploy a
# `Dockerfile.db` as one more process.
FROM postgres:17-trixie

COPY docker/db-start.sh /
ENTRYPOINT ["bash", "/db-start.sh"]
