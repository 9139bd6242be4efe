"""GET /metrics."""

import os
import re
import signal
import time
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL

from app import create_app
from app.config import VERSION
from app.database import db
from kit.serving import servers
from kit.serving import waitress_server as server
from kit.serving.lifecycle import measure_queue, queue_length
from kit.web import openapi
from tests.support import plain_http
from tests.support.credentials import PASSWORD
from tests.support.problems import errors, problem
from tests.support.servers import BY, Process
from tests.support.settings import NEVER_OPENED, settings_for

pytestmark = [pytest.mark.any_database, pytest.mark.long]


@pytest.fixture
def measured() -> FlaskClient:
    """A client of an app with metrics. It never connects to its database."""
    return create_app(settings_for(NEVER_OPENED, metrics_enabled=True, database_pool_size=6)).test_client()


def sample(text: str, name: str, **labels: str) -> float | None:
    """Return the value of a metric, or None if it is missing."""
    for line in text.splitlines():
        match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if match and dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")) == labels:
            return float(match[2])
    return None


def test_without_the_setting_there_are_no_metrics(client: FlaskClient) -> None:
    assert problem(client.get("/metrics")) == (404, "not_found")
    assert problem(client.post("/metrics")) == (404, "not_found")


def test_requests_are_counted_by_route_and_never_by_path(measured: FlaskClient) -> None:
    for path in ("/problems/not-found", "/problems/bad-request", "/problems/nothing", "/a", "/b"):
        measured.get(path)
    measured.open("/", method="BREW")
    measured.open("/", method="SIP")

    text = measured.get("/metrics").text

    shown = {"method": "GET", "route": "/problems/<name>", "status": "200"}
    assert sample(text, "http_requests_total", **shown) == 2
    assert sample(text, "http_requests_total", **shown | {"status": "404"}) == 1
    assert sample(text, "http_requests_total", method="GET", route="-", status="404") == 2
    assert sample(text, "http_requests_total", method="other", route="-", status="405") == 2
    assert sample(text, "http_request_duration_seconds_count", **shown) == 2
    assert 0 < (sample(text, "http_request_duration_seconds_sum", **shown) or 0) < 60
    assert "BREW" not in text


def test_version_pool_and_queue_are_exported(measured: FlaskClient) -> None:
    text = measured.get("/metrics").text

    assert sample(text, "build_info", version=VERSION) == 1
    assert sample(text, "database_pool_size") == 6 + 2
    assert sample(text, "database_pool_in_use") == 0
    assert sample(text, "server_queue_length") == 0


def test_pool_and_queue_have_their_current_values(database_url: URL) -> None:
    app = create_app(settings_for(database_url, metrics_enabled=True))
    measure_queue(app, lambda: 3)
    with app.app_context():
        engine = db.engine

    with engine.connect():
        text = app.test_client().get("/metrics").text

    engine.dispose()
    assert sample(text, "database_pool_in_use") == 1
    assert sample(text, "server_queue_length") == 3


def test_waitress_exports_the_number_of_waiting_requests(committed_app: Flask) -> None:
    settings = committed_app.extensions["settings"].model_copy(update={"port": 0})
    running = server.create_server(committed_app, settings, servers.listen(settings.host, settings.port))
    running.task_dispatcher.shutdown()  # so that requests stay in the queue

    running.task_dispatcher.queue.extend([object(), object()])

    assert queue_length(committed_app) == 2
    running.task_dispatcher.queue.clear()
    running.close()


def test_two_apps_in_a_process_count_separately(measured: FlaskClient) -> None:
    measured.get("/problems")
    other = create_app(settings_for(NEVER_OPENED, metrics_enabled=True)).test_client()

    text = other.get("/metrics").text

    assert sample(text, "http_requests_total", method="GET", route="/problems", status="200") is None


def test_metrics_have_the_usual_headers_and_errors(measured: FlaskClient) -> None:
    response = measured.get("/metrics")

    assert response.content_type.startswith("text/plain")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Request-ID" in response.headers
    assert measured.head("/metrics").status_code == 200
    assert problem(measured.post("/metrics")) == (405, "method_not_allowed")
    assert problem(measured.get("/metrics/")) == (404, "not_found")
    assert errors(measured.get("/metrics?name=x")) == {("name", "unknown_field")}
    assert errors(measured.get("/metrics", data=b"x")) == {("", "unknown_field")}
    assert "/metrics" not in openapi.build(measured.application)["paths"]


@pytest.mark.parametrize("kind", BY)
def test_both_servers_measure_events_and_the_pool(start: Callable[..., Process], kind: str) -> None:
    process = start(**BY[kind], METRICS_ENABLED="true")
    with plain_http.Client(base_url=process.url) as client:
        zero = client.get("/metrics").text
        client.post("/auth/register", json={"username": "ann", "password": PASSWORD})
        client.post("/auth/login", json={"username": "ann", "password": "wrong"})
        client.post("/auth/login", json={"username": "ann", "password": "wrong"})

        text = client.get("/metrics").text

    code, output = process.stop()
    assert code == 0
    assert "Traceback" not in output
    assert sample(zero, "security_events_total", event="registered") == 0
    assert sample(text, "security_events_total", event="registered") == 1
    assert sample(text, "security_events_total", event="login_failed") == 2
    assert (sample(text, "database_pool_size") or 0) >= 4


def test_request_counts_include_all_processes_even_ended_ones(
    start: Callable[..., Process], database_url: URL
) -> None:
    process = start(**BY["gunicorn"], METRICS_ENABLED="true", LOG_LEVEL="WARNING")
    pool = 5 if database_url.drivername == "sqlite" else 12 + 4  # SQLAlchemy's default, or ours
    of_problems = {"method": "GET", "route": "/problems", "status": "200"}

    def metric(name: str, **labels: str) -> float | None:
        return sample(plain_http.get(f"{process.url}/metrics").text, name, **labels)

    def pools(expected: int) -> float | None:
        """Return the total pool size of the live processes, once it is as expected or after 20 seconds."""
        deadline = time.monotonic() + 60
        while (size := metric("database_pool_size")) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        return size

    assert pools(2 * pool) == 2 * pool
    for _ in range(60):
        plain_http.get(f"{process.url}/problems")
    assert metric("http_requests_total", **of_problems) == 60

    os.kill(process.id, signal.SIGTTOU)  # makes gunicorn stop one worker

    assert pools(pool) == pool
    assert metric("http_requests_total", **of_problems) == 60
    process.stop()
