"""A proxy in front of an API: it removes a path prefix, records the requests, and can answer them itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

PREFIX = "/some/prefix"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


@dataclass
class Answer:
    """A response to POST that the API itself gives only in rare situations."""

    status: int
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def problem(cls, status: int, code: str, detail: str = "", **members: Any) -> "Answer":
        content = {"type": "about:blank", "status": status, "code": code, "detail": detail} | members
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/problem+json"})


@dataclass
class Front:
    api: str
    url: str = ""
    answers: list[Answer] = field(default_factory=list)  # to the next requests with POST
    lines: list[str] = field(default_factory=list)  # method and target of each request
    posted: list[Any] = field(default_factory=list)  # path and body of each request with POST

    @classmethod
    @contextmanager
    def before(cls, api: str) -> Iterator["Front"]:
        front = cls(api)
        server = ThreadingHTTPServer(("127.0.0.1", 0), front._handler())
        front.url = f"http://127.0.0.1:{server.server_port}{PREFIX}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield front
        server.shutdown()
        server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.lines.append(f"GET {self.path}")
                self._forward(b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                front.lines.append(f"POST {self.path}")
                front.posted.append((self.path.removeprefix(PREFIX), json.loads(body)))
                if not front.answers:
                    return self._forward(body)
                answer = front.answers.pop(0)
                self._send(answer.status, answer.headers, answer.content)
                return None

            def _forward(self, body: bytes) -> None:
                path = self.path.removeprefix(PREFIX)
                if path == self.path:
                    return self._send(404, {}, b"")
                given = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
                response = httpx.request(
                    self.command,
                    front.api + path,
                    content=body,
                    timeout=60,
                    headers=given | {"Accept-Encoding": "identity"},
                )
                kept = {
                    name: value for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP
                }
                return self._send(response.status_code, kept, response.content)

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    if name != "content-length":
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
