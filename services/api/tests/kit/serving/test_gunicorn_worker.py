"""The gunicorn worker's handling of signals."""

import signal
from threading import Event
from types import SimpleNamespace

from flask import Flask

from kit.serving import lifecycle
from kit.serving.gunicorn_worker import Worker


def test_a_signal_during_a_signal_handler_does_not_block() -> None:
    class Interrupted(Event):
        times = 0

        def set(self) -> None:
            self.times += 1
            assert self.times == 1, "the lock is held, by who was interrupted: this would wait for ever"
            worker.handle_exit(signal.SIGTERM, None)
            super().set()

    app = Flask("stopping")
    app.extensions["stopping"] = Interrupted()
    worker = Worker.__new__(Worker)
    worker.alive, worker.app = True, SimpleNamespace(wsgi=lambda: app)
    worker.method_queue = SimpleNamespace(defer=lambda _: None)

    worker.handle_exit(signal.SIGTERM, None)

    assert lifecycle.stopping(app).is_set()
    assert not worker.alive
