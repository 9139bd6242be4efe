"""What the app says on standard output: one line a request, and what goes wrong."""

import logging
import sys
from time import perf_counter

from flask import Flask, Response, g, request

from app.config import Settings
from app.request_id import request_id

logger = logging.getLogger("app.request")


def init_app(app: Flask, settings: Settings) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("app").setLevel(settings.log_level)
    # It warns of every request that waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app.before_request(_start)
    app.after_request(_tell)


def _start() -> None:
    g.started = perf_counter()


def _tell(response: Response) -> Response:
    """Log the request by its route, not by its path, which a stranger chose; health checks not at all."""
    route = str(request.url_rule or "-")
    if not route.startswith("/health/"):
        milliseconds = (perf_counter() - g.started) * 1000
        logger.info(
            "%s %s %d %.1f ms %s", request.method, route, response.status_code, milliseconds, request_id()
        )
    return response
