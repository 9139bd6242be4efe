"""Metrics for Prometheus. Imported only if METRICS_ENABLED, because prometheus_client is slow to import."""

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, ClassVar

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from kit.data.database import COMMAND, db
from kit.security.events import all_events
from kit.serving.lifecycle import queue_length

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The metrics of one app. With several processes, they are shared in files."""

    content_type: ClassVar[str] = CONTENT_TYPE_LATEST

    def __init__(self, app: Flask) -> None:
        self.app = app
        with app.app_context():
            self.engines = [engine for name, engine in db.engines.items() if name != COMMAND]
        self.registry = registry = CollectorRegistry()
        self.at_scrape: list[Callable[[], None]] = []  # measure what all processes share, once per scrape
        of_request = ["method", "route", "status"]
        self.requests = Counter("http_requests", "Number of responses.", of_request, registry=registry)
        self.seconds = Histogram(
            "http_request_duration_seconds", "Duration of requests.", of_request, registry=registry
        )
        self.events = Counter("security_events", "Number of security events.", ["event"], registry=registry)
        for event in all_events(app):
            self.events.labels(event)  # from zero, so that the first one is an increase
        self.pool_size = self._gauge("database_pool_size", "Maximum number of database connections.")
        self.pool_in_use = self._gauge("database_pool_in_use", "Database connections in use.")
        self.queue = self._gauge("server_queue_length", "Requests waiting for a thread.")
        build = Gauge(
            "build_info", "The version of the API.", ["version"], registry=registry, multiprocess_mode="max"
        )
        build.labels(app.extensions["settings"].version).set(1)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry, multiprocess_mode="livesum")

    def count(self, response: Response) -> Response:
        """Count a request by its route. Clients can choose any number of methods and paths."""
        method = request.method if request.method in METHODS else "other"
        labels = (method, str(request.url_rule or "-"), str(response.status_code))
        self.requests.labels(*labels).inc()
        self.seconds.labels(*labels).observe(perf_counter() - g.started)
        return response

    def count_event(self, event: str) -> None:
        self.events.labels(event).inc()

    def sample(self) -> None:
        """Measure the current state of this process."""
        pools: list[Any] = [engine.pool for engine in self.engines]
        self.pool_size.set(sum(pool.size() for pool in pools))
        self.pool_in_use.set(sum(pool.checkedout() for pool in pools))
        self.queue.set(queue_length(self.app))

    def text(self) -> bytes:
        for measure in self.at_scrape:
            measure()
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            self.sample()
            return generate_latest(self.registry)
        registry = CollectorRegistry()  # of all processes; each worker samples itself
        MultiProcessCollector(registry)
        return generate_latest(registry)


def init_app(app: Flask) -> None:
    app.extensions["metrics"] = metrics = Metrics(app)
    app.after_request(metrics.count)
