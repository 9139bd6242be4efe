# The tests, with what they need, for compose.test.yaml. Named .Dockerfile at its end, because Heroku would take a
# `Dockerfile.test` for one more process to deploy.
FROM python:3.13-slim-trixie

COPY services/api/requirements-dev.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-dev.txt

# As in Dockerfile.web: the official image leaves the bytecode out. pytest has its own of what it rewrites, its plugins;
# hypothesis a table of all characters.
ENV HYPOTHESIS_STORAGE_DIRECTORY=/var/lib/hypothesis
RUN python -m compileall -q -j 0 -x '/(site|dist)-packages/|/(idlelib|pydoc_data|test|tkinter|turtledemo)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && python -m pytest --version --version \
 && python -c "from hypothesis.strategies import text; text().example()" \
 && chown -R 10001:10001 /var/lib/hypothesis

# .dockerignore names all that comes along. The modes of a checkout depend on its owner's umask. Compiled, because many
# tests start processes, and none of them may write here.
COPY . /repository
RUN chmod -R u=rwX,go=rX /repository && python -m compileall -q /repository/services/api \
 && install -d -o 10001 -g 10001 /results

# Not root, from whom no file is safe: a test would see other failures than the API.
USER 10001:10001
ENV HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COVERAGE_FILE=/tmp/.coverage \
    REPORT_FILE=/results/report
WORKDIR /repository/services/api
ENTRYPOINT ["python", "-m", "pytest"]
