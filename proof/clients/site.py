"""A web server in front of an API, under every name that ends with localhost: it serves a page at /page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

import httpx

NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"}
NOT_RETURNED = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
PAGE = '<!doctype html><script type="module">import * as s from "/session.js"; window.session = s;</script>'


class Request(NamedTuple):
    """A request that was forwarded to the API, and how it was answered."""

    line: str
    site: str | None  # Sec-Fetch-Site
    has_cookie: bool
    status: int
    cookies: list[str]  # that the response sets


@dataclass
class Site:
    api: str
    script: str
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @classmethod
    @contextmanager
    def before(cls, api: str, script: str) -> Iterator["Site"]:
        site = cls(api, script)
        server = ThreadingHTTPServer(("127.0.0.1", 0), site._handler())
        site.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()
        server.server_close()

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}"

    def lines(self) -> list[str]:
        return [request.line for request in self.requests]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self
        files = {
            "/page": (PAGE, "text/html"),
            "/session.js": (site.script, "text/javascript"),
            "/favicon.ico": ("", "image/png"),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path not in files:
                    return self._forward()
                text, content_type = files[self.path]
                return self._send(200, [("Content-Type", content_type)], text.encode())

            def _forward(self) -> None:
                """Forward the request with the Host that the browser has sent."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                given = [
                    (name, text) for name, text in self.headers.items() if name.lower() not in NOT_FORWARDED
                ]
                response = httpx.request(
                    self.command, site.api + self.path, content=body, timeout=60, headers=given
                )
                site.requests.append(
                    Request(
                        f"{self.command} {self.path}",
                        self.headers.get("Sec-Fetch-Site"),
                        "__Host-refresh_token" in self.headers.get("Cookie", ""),
                        response.status_code,
                        response.headers.get_list("Set-Cookie"),
                    )
                )
                headers = response.headers.multi_items()
                kept = [(name, text) for name, text in headers if name.lower() not in NOT_RETURNED]
                self._send(response.status_code, kept, response.content)

            do_POST = do_PUT = do_PATCH = do_OPTIONS = _forward  # noqa: N815

            def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in (*headers, ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
