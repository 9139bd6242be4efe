# Where the code runs while it is written (compose.dev.yaml), which comes by a mount. Named .Dockerfile at its end,
# because Heroku would take a `Dockerfile.dev` for one more process to deploy.
FROM python:3.13-slim-trixie

# The same lines as in test.Dockerfile: one layer for both.
COPY services/api/requirements-dev.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-dev.txt

# Compiled files go to memory: the code is mounted read-only.
ENV PYTHONUNBUFFERED=1 \
    PYTHONPYCACHEPREFIX=/tmp/pycache \
    FLASK_APP=app \
    HOST=*

# As in Dockerfile.web: a name for the user, and a fresh volume takes its owner from this folder.
RUN echo 'api:x:10001:10001::/:/bin/bash' >>/etc/passwd \
 && install -d -o 10001 -g 10001 -m 700 /secrets/api
USER 10001:10001
WORKDIR /app
EXPOSE 5000
