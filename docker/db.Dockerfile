# PostgreSQL for compose.yaml, with its start script. The script isn't a bind mount, because the Docker engine may not see
# this folder (remote engines, Docker in Docker). The name isn't Dockerfile.db, because Heroku would deploy that as a
# process.
FROM postgres:17-trixie

# No program may change its user, even where no-new-privileges is missing.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY docker/db-start.sh /
ENTRYPOINT ["bash", "/db-start.sh"]
