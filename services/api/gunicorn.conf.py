"""gunicorn's settings, from the app's own: for `SERVER=gunicorn flask serve`, and for `gunicorn` by hand."""

import gc
import os
import shutil
import socket
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import gunicorn
from gunicorn.http.errors import LimitRequestHeaders, UnsupportedTransferCoding

from app.config import APP_NAME, load
from kit.settings import InvalidSettings

try:
    settings = load()
except InvalidSettings as error:
    sys.exit(f"Error: {error.message}")

wsgi_app = "app:create_app()"
preload_app = True  # what is wrong with the app is told once, before any worker
worker_class = "kit.serving.gunicorn_worker.Worker"
logger_class = "kit.serving.gunicorn_worker.Log"
loglevel = settings.log_level

# `flask serve` binds by itself and passes the socket on. `[::]` takes IPv4 as well.
host = settings.host if settings.host != "*" else "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104
bind = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"

workers = settings.web_concurrency
threads = settings.threads
worker_connections = 1000
keepalive = 60
graceful_timeout = 8  # for a stop within 10 seconds
# Where a worker tells that it lives: never on a disk, which could block it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True  # it would be a file in a home folder that may not exist

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
MAX_HEADERS = 16_384

# No header of a client changes what a request is: which proxies to believe is the app's own setting.
forwarded_allow_ips = ""
gunicorn.SERVER = APP_NAME  # the header Server, which gunicorn always sends


def on_starting(server: Any) -> None:
    """Stop by SIGINT as by SIGTERM; gunicorn itself would cut off what is under way."""
    server.handle_int = server.handle_term


def pre_request(_worker: Any, request: Any) -> None:
    """Limit the headers as a whole, where gunicorn limits each, and refuse any coding but chunked."""
    if sum(len(name) + len(value) for name, value in request.headers) > MAX_HEADERS:
        raise LimitRequestHeaders("the headers are longer than 16 KiB")
    if any(name == "TRANSFER-ENCODING" and value.lower() != "chunked" for name, value in request.headers):
        raise UnsupportedTransferCoding("only chunked is known here")


# Where the processes keep their metrics for each other: empty at the start, and named before
# prometheus_client is loaded.
metrics = Path(tempfile.gettempdir()) / f"metrics-{os.getpid()}"
if settings.metrics_enabled and os.environ.get("PROMETHEUS_MULTIPROC_DIR") != str(metrics):  # not at a reload
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what a process that is gone had in use; what it counted stays counted."""
    if settings.metrics_enabled:
        import_module("prometheus_client.multiprocess").mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    shutil.rmtree(metrics, ignore_errors=True)


def when_ready(_server: Any) -> None:
    """Let the workers share what is loaded: no collection walks it, or copies it by walking."""
    gc.freeze()
