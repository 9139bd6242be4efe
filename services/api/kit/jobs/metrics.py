"""Metrics of the jobs. Imported only if METRICS_ENABLED, because prometheus_client is slow to import."""

from math import nan

from flask import Flask
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import read_connection
from kit.jobs.jobs import all_jobs
from kit.jobs.queue import Depth, depth_query
from kit.serving.metrics import Metrics
from kit.settings import Settings

OUTCOMES = ("done", "retried", "failed", "interrupted", "lost")


class JobMetrics:
    """The metrics of the queue, which any process of the API can measure."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.waiting = self._gauge("jobs_waiting", "Jobs that haven't ended: due, delayed or running.")
        self.failed = self._gauge("jobs_failed", "Jobs that have failed for good.")
        self.oldest = self._gauge("jobs_oldest_due_seconds", "How long the oldest due job has been waiting.")
        metrics.at_scrape.append(self.measure)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.metrics.registry, multiprocess_mode="livemostrecent")

    def measure(self) -> None:
        """Query the depth of the queue. If the database is unavailable, the metrics are NaN."""
        try:
            with read_connection() as connection:
                depth = Depth.of(connection.execute(depth_query()).one())
        except SQLAlchemyError:
            depth = Depth(nan, nan, nan)
        self.waiting.set(depth.waiting)
        self.failed.set(depth.failed)
        self.oldest.set(depth.oldest_seconds)


def init_app(app: Flask, settings: Settings) -> None:
    metrics: Metrics = app.extensions["metrics"]
    JobMetrics(metrics)
    if settings.worker == "thread":  # `flask work` serves no metrics
        app.extensions["job_attempts"] = attempts = Counter(
            "job_attempts", "Number of attempts of jobs.", ["job", "outcome"], registry=metrics.registry
        )
        for job in all_jobs(app):
            for outcome in OUTCOMES:
                attempts.labels(job, outcome)  # from zero, so that the first one is an increase
