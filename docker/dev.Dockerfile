# The development image (compose.dev.yaml), which mounts the code. The name isn't Dockerfile.dev, because Heroku would
# deploy that as a process.
FROM python:3.13-slim-trixie

# The same lines as in test.Dockerfile, so that both share the layer.
COPY services/api/requirements-dev.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-dev.txt

# The code is mounted read-only, so bytecode goes to /tmp.
ENV PYTHONUNBUFFERED=1 \
    PYTHONPYCACHEPREFIX=/tmp/pycache \
    FLASK_APP=app \
    HOST=*

# As in Dockerfile.web: a name for the user, and the folder that gives a new volume its owner.
RUN echo 'api:x:10001:10001::/:/bin/bash' >>/etc/passwd \
 && install -d -o 10001 -g 10001 -m 700 /secrets/api
USER 10001:10001
WORKDIR /app
EXPOSE 5000
