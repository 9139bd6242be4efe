"""Security events: logged after the commit of their transaction, and never without it."""

import pytest
from flask import Flask

from app.database import db
from app.events import Event
from kit.security.events import record
from tests.support.people import People

pytestmark = pytest.mark.any_database


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.name == "app.security"]


@pytest.fixture(autouse=True)
def _capture(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "app.security")


def test_an_event_is_logged_after_the_commit(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context():
        record(Event.REGISTERED)
        before = logged(caplog)
        db.session.commit()

    assert before == []
    assert logged(caplog) == ["registered"]


@pytest.mark.parametrize("undo", ["rollback", "close"])
def test_an_event_of_a_rolled_back_transaction_is_not_logged(
    app: Flask, people: People, caplog: pytest.LogCaptureFixture, undo: str
) -> None:
    with app.app_context():
        people.register("ann")
        record(Event.REGISTERED)
        getattr(db.session, undo)()
        db.session.commit()

    assert logged(caplog) == []


def test_each_transaction_logs_its_own_events(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context():
        record(Event.REGISTERED)
        db.session.commit()
        record(Event.LOGGED_IN)
        db.session.commit()

    assert logged(caplog) == ["registered", "logged_in"]
