# What drives the load and draws the plot for `make bench`. Named .Dockerfile at its end, because Heroku would take a
# `Dockerfile.bench` for one more process to deploy.
FROM python:3.13-slim-trixie

# No version: Debian keeps only its newest one.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends wrk \
 && rm -rf /var/lib/apt/lists/*

COPY services/api/requirements-bench.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-bench.txt

COPY bench /bench
RUN chmod -R u=rwX,go=rX /bench
USER 10001:10001
ENV MPLCONFIGDIR=/tmp \
    PYTHONUNBUFFERED=1
CMD ["sleep", "infinity"]
