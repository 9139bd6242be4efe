# The clients of the API that need a browser or Node, with their tests, for compose.test.yaml. Named .Dockerfile at its
# end, because Heroku would take a `Dockerfile.clients` for one more process to deploy.
FROM python:3.13-slim-trixie

# Debian's, without versions: it keeps no old ones of Chromium, and a browser should be as new as its users'.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends chromium chromium-driver nodejs npm \
 && rm -rf /var/lib/apt/lists/*

# Pinned by package-lock.json. No scripts: none is needed, and one reports installations to its makers.
COPY services/api/tests/clients/package.json services/api/tests/clients/package-lock.json /clients/
RUN npm ci --prefix /clients --ignore-scripts --no-audit --no-fund --no-update-notifier \
 && rm -rf ~/.npm

# A virtual environment, for Debian's npm brings Python packages of its own.
COPY services/api/requirements-clients.txt /tmp/
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-clients.txt

# .dockerignore names all that comes along. The modes of a checkout depend on its owner's umask.
COPY . /repository
RUN chmod -R u=rwX,go=rX /repository && install -d -o 10001 -g 10001 /results /screenshots

USER 10001:10001
ENV PATH="/venv/bin:/clients/node_modules/.bin:$PATH" \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REPORT_FILE=/results/report \
    SCREENSHOTS=/screenshots
WORKDIR /repository/services/api
ENTRYPOINT ["python", "-m", "pytest", "-p", "tests.run_report", "-rN", "-n", "2"]
CMD ["tests/clients"]
