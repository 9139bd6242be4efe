"""`flask serve`: waitress, or gunicorn with several processes."""

import errno
import os
import runpy
import socket
import sys
from collections.abc import Callable

import click
from flask import Flask

from kit.serving import logs, waitress_server
from kit.settings import Settings


def serve(app: Flask, settings: Settings) -> None:
    """Serve an app until SIGTERM or Ctrl-C, with the server in the setting SERVER. Raises ClickException."""
    try:
        listener = listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        raise click.ClickException(_explain(settings, error)) from error
    logs.use_standard_output()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    waitress_server.logger.info("Serving on http://%s:%d by %s", host, settings.port, settings.server)
    SERVERS[settings.server](app, settings, listener)


def listen(host: str, port: int) -> socket.socket:
    """Bind the host, or every interface for `*`, with one socket for IPv6 and IPv4.

    Raises OSError if the port is in use or the host unknown.
    """
    if host == "*" and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    family, _, _, _, address = socket.getaddrinfo(
        None if host == "*" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=1024)


def serve_by_gunicorn(_app: Flask, settings: Settings, listener: socket.socket) -> None:
    """Become gunicorn, whose workers serve the socket that this process has bound."""
    descriptor = listener.detach()  # gunicorn closes it
    sys.argv[1:] = ["--config", str(settings.folder / "gunicorn.conf.py"), "--bind", f"fd://{descriptor}"]
    if settings.metrics_enabled:  # a new process, because prometheus_client was imported for one process
        os.set_inheritable(descriptor, True)
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *sys.argv[1:]])  # noqa: S606 # nosec B606
    runpy.run_module("gunicorn", run_name="__main__", alter_sys=True)


SERVERS: dict[str, Callable[[Flask, Settings, socket.socket], None]] = {
    "waitress": waitress_server.serve,
    "gunicorn": serve_by_gunicorn,
}


def _explain(settings: Settings, error: OSError | UnicodeError) -> str:
    reason = getattr(error, "strerror", None) or "this isn't a host name"
    advice = (
        "Stop the program that uses the port, or set PORT to another one."
        if getattr(error, "errno", None) == errno.EADDRINUSE
        else "HOST must be an address of this machine, or * for all. PORT must be one that you may use."
    )
    return f"Can't listen on {settings.host}:{settings.port}: {reason}. {advice}"
