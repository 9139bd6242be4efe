# The tests and their dependencies, for compose.test.yaml. The name isn't Dockerfile.test, because Heroku would deploy
# that as a process.
FROM python:3.13-slim-trixie

COPY services/api/requirements-dev.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --no-deps --require-hashes -r /tmp/requirements-dev.txt

# As in Dockerfile.web, compile the standard library. pytest also caches the bytecode of the plugins that it rewrites, and
# hypothesis a table of all characters.
ENV HYPOTHESIS_STORAGE_DIRECTORY=/var/lib/hypothesis
RUN python -m compileall -q -j 0 -x '/(site|dist)-packages/|/(idlelib|pydoc_data|test|tkinter|turtledemo)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && python -m pytest --version --version \
 && python -c "from hypothesis.strategies import text; text().example()" \
 && chown -R 10001:10001 /var/lib/hypothesis

# .dockerignore lists the files that are copied. The modes of a checkout depend on the umask. Compile the code, because
# many tests start processes, which can't write bytecode here.
COPY . /repository
RUN chmod -R u=rwX,go=rX /repository && python -m compileall -q /repository/services/api \
 && install -d -o 10001 -g 10001 /results

# Not root: root ignores file modes, so tests of permissions would fail.
USER 10001:10001
ENV HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COVERAGE_FILE=/tmp/.coverage \
    REPORT_FILE=/results/report
WORKDIR /repository/services/api
ENTRYPOINT ["python", "-m", "pytest"]
