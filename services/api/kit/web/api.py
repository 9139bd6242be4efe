"""The Flask class of the app."""

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from kit.web import streaming
from kit.web.plain_flask import PlainFlask


class Api(PlainFlask):
    """Flask with streamed responses, logs without client paths, and 204 for OPTIONS."""

    def dispatch_request(self) -> ResponseReturnValue:
        response = self.make_response(super().dispatch_request())
        if streaming.is_streamed(response):
            streaming.begin(response)
        return response

    def log_exception(self, exc_info: Any) -> None:
        """Log the route instead of the path, which clients choose."""
        self.logger.error("%s %s failed", request.method, request.url_rule, exc_info=exc_info)

    def make_default_options_response(self) -> Response:
        """Answer OPTIONS with 204: there is only the Allow header to return."""
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        return response
