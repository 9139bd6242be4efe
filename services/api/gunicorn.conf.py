"""Configure gunicorn from the app's settings, for `SERVER=gunicorn flask serve` and for plain `gunicorn`."""

import gc
import os
import shutil
import socket
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, UnsupportedTransferCoding
from gunicorn.http.message import Request

from app.config import APP_NAME, load
from kit.serving.connection_limit import connection_limit
from kit.serving.gunicorn_worker import BodyTooLong, Response
from kit.settings import InvalidSettings
from kit.web.uploads import takes_uploads

try:
    settings = load()
except InvalidSettings as error:
    sys.exit(f"Error: {error.message}")

wsgi_app = "app:create_app()"
preload_app = True  # report an error in the app once, before any worker starts
worker_class = "kit.serving.gunicorn_worker.Worker"
logger_class = "kit.serving.gunicorn_worker.Log"
loglevel = settings.log_level

# `flask serve` binds the socket itself and passes it on. `[::]` also accepts IPv4.
host = settings.host if settings.host != "*" else "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104
bind = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"

workers = settings.web_concurrency
threads = settings.threads
worker_connections = connection_limit(settings, 1000)
keepalive = 100  # longer than load balancers keep an idle connection (90 s on Heroku)
graceful_timeout = 8  # so that a stop takes less than 10 seconds
# The workers' heartbeat files. On a disk, a slow write could block a worker.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True  # its file is in a home folder, which may not exist

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
MAX_HEADERS = 16_384

# Ignore forwarding headers here: the app evaluates them, with its setting TRUSTED_PROXIES.
forwarded_allow_ips = ""
wsgi.SERVER = APP_NAME  # gunicorn always sends the Server header
wsgi.Response = Response
# gunicorn would refuse other expectations, and answer `100 Continue` to a body that is too long.
Request._policy_expect_continue = False


def on_starting(server: Any) -> None:
    """Shut down gracefully on SIGINT too, on which gunicorn would abort running requests."""
    server.handle_int = server.handle_term


def pre_request(worker: Any, request: Any) -> None:
    """Refuse what gunicorn accepts: long headers, long bodies, and other transfer codings than chunked.

    gunicorn only limits the size of each header. Called before `100 Continue` is sent.
    """
    if sum(len(name) + len(value) for name, value in request.headers) > MAX_HEADERS:
        raise LimitRequestHeaders("The headers are longer than 16 KiB.")
    codings = [value.lower() for name, value in request.headers if name == "TRANSFER-ENCODING"]
    if len(codings) > 1:
        raise InvalidHeader("TRANSFER-ENCODING")
    if codings not in ([], ["chunked"]):
        raise UnsupportedTransferCoding("only chunked is supported")
    headers = dict(request.headers)
    is_long = int(headers.get("CONTENT-LENGTH", 0)) > settings.max_body_bytes
    if is_long and not takes_uploads(worker.app.wsgi())(request.method, request.path):
        raise BodyTooLong
    expects_continue = headers.get("EXPECT", "").lower() == "100-continue"
    request._expected_100_continue = expects_continue and request.version >= (1, 1)


def post_request(_worker: Any, request: Any, environ: dict[str, Any], _response: Any) -> None:
    """Don't read another request from the connection if the app asks for that (kit/web/headers.py)."""
    if environ.get("app.close"):
        request.force_close()


# The folder in which the processes share their metrics. It must be empty at the start, and the variable must
# be set before prometheus_client is imported. A reload keeps the folder.
metrics = Path(tempfile.gettempdir()) / f"metrics-{os.getpid()}"
if settings.metrics_enabled and os.environ.get("PROMETHEUS_MULTIPROC_DIR") != str(metrics):
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the live gauges of a worker that has exited, and keep its counters."""
    if settings.metrics_enabled:
        import_module("prometheus_client.multiprocess").mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    shutil.rmtree(metrics, ignore_errors=True)


def when_ready(_server: Any) -> None:
    """Exclude the loaded objects from garbage collection, so that workers keep sharing their memory pages."""
    gc.freeze()
