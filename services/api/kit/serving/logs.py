"""Logging: one line per request, one per security event, and errors.

Servers log to standard output, in batches (log_batches.py). Commands log to standard error, because their
output may be data.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, TextIO

import click
from flask import Flask, Response, g, has_request_context, request

from kit.serving import log_batches
from kit.settings import Settings
from kit.web import streaming
from kit.web.paths import HEALTH_CHECKS
from kit.web.request_id import request_id, trace_ids

logger = logging.getLogger("app.request")
ENCODER = json.JSONEncoder(default=str)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}  # others aren't logged


def init_app(app: Flask, settings: Settings) -> None:
    by_default = "json" if settings.flask_env == "production" else "text"
    set_up(settings.log_format or by_default, settings.log_level)
    app.before_request(_start_timer)
    app.after_request(partial(_log_request, settings.slow_request_ms or inf))


def set_up(form: str, level: str) -> None:
    """Log in the format `json` or `text`, unless logging is already configured."""
    is_command = click.get_current_context(silent=True) is not None
    logging.basicConfig(handlers=[make_handler(form, sys.stderr if is_command else sys.stdout)])
    # The format has no thread or process, so don't look them up for each line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("app").setLevel(level)
    # It would warn about every request that waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def use_standard_output() -> None:
    """Log to standard output, because this command is a server."""
    for handler in log_batches.handlers():
        handler.setStream(sys.stdout)


def make_handler(form: str, stream: TextIO) -> logging.Handler:
    handler = log_batches.BatchHandler(stream)
    handler.setFormatter(FORMATTERS[form]())
    handler.addFilter(_add_request_fields)
    return handler


class JsonFormatter(logging.Formatter):
    """One JSON object per line, in ASCII, so that clients can't break or forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


class TextFormatter(logging.Formatter):
    """Readable text. Characters that can't be printed are escaped, so that clients can't break a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{fields}"
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


FORMATTERS = {"json": JsonFormatter, "text": TextFormatter}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return {name: value for name, value in fields.items() if value is not None}


def _add_request_fields(record: logging.LogRecord) -> bool:
    """Add the request's ids and client to each line that is logged while handling it."""
    if has_request_context():
        record.fields = _about_request() | getattr(record, "fields", {})
    return True


def _about_request() -> dict[str, Any]:
    return {"request_id": request_id(), "client": request.remote_addr, **trace_ids()}


def log_field(name: str, value: object) -> None:
    """Add a field to the line of the current request."""
    vars(g).setdefault("log_fields", {})[name] = value


def _start_timer() -> None:
    g.started = perf_counter()


def _log_request(slow_ms: float, response: Response) -> Response:
    """Log the request, or have it logged once the streamed body has ended."""
    route, method = str(request.url_rule or "-"), request.method
    known = method if method in METHODS else "-"
    line = partial(_write_line, slow_ms, known, route, response.status_code, vars(g))
    if streaming.is_streamed(response):
        about = _about_request()  # read now, because the request has ended by then
        response.response = streaming.Watched(response.response, partial(line, about=about))
    else:
        line()
    return response


def _write_line(
    slow_ms: float,
    method: str,
    route: str,
    status: int,
    kept: dict[str, Any],
    broken_off: BaseException | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """Log the route instead of the path, which clients choose. Log slow requests as warnings."""
    duration_ms = _milliseconds(perf_counter() - kept["started"])
    is_slow = duration_ms > slow_ms
    level = logging.WARNING if is_slow else logging.DEBUG if route.startswith(HEALTH_CHECKS) else logging.INFO
    has_failed = isinstance(broken_off, Exception)
    level = logging.ERROR if has_failed else level
    if not logger.isEnabledFor(level):
        return
    fields = {
        **(about or {}),
        "method": method,
        "route": route,
        "status": status,
        "broken_off": broken_off and ("by an error" if has_failed else "by the client"),
        "duration_ms": duration_ms,
        "slow": is_slow or None,
        "sql_statements": kept.get("sql_statements", 0),
        "sql_ms": _milliseconds(kept.get("sql_seconds", 0)),
        "user_id": kept.get("user_id"),
        **kept.get("log_fields", {}),
    }
    cause = broken_off if has_failed else None
    logger.log(level, "%s %s %d", method, route, status, extra={"fields": fields}, exc_info=cause)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
