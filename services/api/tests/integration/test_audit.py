"""The audit trail: its rows, and who can read them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from flask import Flask, g
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.database import db
from app.events import Event
from app.jobs import forget_addresses
from app.model.models import Role, User
from kit.clock import now
from kit.data import audit
from kit.data.audit import AuditRow
from kit.data.keyset import filtered
from kit.jobs.jobs import CurrentJob
from kit.security.events import record
from tests.support.audit import add_row, audit_rows
from tests.support.credentials import PASSWORD, bearer
from tests.support.jobs import run_next
from tests.support.people import People, Person
from tests.support.problems import errors, problem

NEW = "a whole new passphrase"
AGENT = {"User-Agent": "Firefox/149"}


def log_in(client: FlaskClient, name: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/auth/login", json={"username": name, "password": password}, **more)


def described(app: Flask) -> list[Any]:
    return [
        (
            row.event,
            row.user_id and str(row.user_id),
            row.actor_id and str(row.actor_id),
            row.via,
            row.details_by_name,
        )
        for row in audit_rows(app)
    ]


def test_a_row_says_who_did_what_from_where(app: Flask, ann: Person) -> None:
    sent = AGENT | {"X-Request-ID": "one-request"}
    response = ann.patch("/account", {"username": "annie", "current_password": PASSWORD}, headers=sent)

    [row] = audit_rows(app)
    assert response.status_code == 200
    assert (row.event, str(row.user_id), str(row.actor_id)) == ("username_changed", ann.id, ann.id)
    assert (row.via, str(row.session_id)) == ("session", ann.session_id)
    assert row.token_id is not None
    assert (row.ip, row.user_agent, row.request_id) == ("127.0.0.1", "Firefox/149", "one-request")
    assert abs(row.at - now()) < timedelta(minutes=1)


def test_a_login_names_its_new_session(app: Flask, client: FlaskClient, people: People) -> None:
    people.register("ann")

    pair = log_in(client, "ann").get_json()

    [row] = audit_rows(app)
    assert (row.event, row.via, str(row.session_id)) == ("logged_in", "anonymous", pair["session_id"])


def test_a_login_that_fails_is_recorded_without_the_name(
    app: Flask, client: FlaskClient, ann: Person, output: StringIO
) -> None:
    assert log_in(client, "ann", "wrong").status_code == 401
    assert log_in(client, "my-secret-password").status_code == 401

    known, unknown = audit_rows(app)
    assert (known.event, str(known.user_id), known.actor_id) == ("login_failed", ann.id, None)
    assert (unknown.event, unknown.user_id, unknown.details) == ("login_failed", None, None)
    assert "my-secret" not in repr([vars(known), vars(unknown)]) + output.getvalue()


def test_a_wrong_current_password_is_recorded_although_the_change_is_rolled_back(
    app: Flask, ann: Person
) -> None:
    response = ann.patch("/account", {"username": "annie", "current_password": "wrong"})

    assert problem(response) == (403, "wrong_current_password")
    assert described(app) == [("login_failed", ann.id, ann.id, "session", {})]


@pytest.mark.usefixtures("bob")
def test_a_refused_request_leaves_no_row(app: Flask, people: People, ann: Person) -> None:
    root = people("root", Role.ADMIN)

    refusals = [
        ann.patch(f"/users/{root.id}", {"disabled": True}),
        root.patch(f"/users/{root.id}", {"role": "user"}),
        root.delete(f"/users/{root.id}"),
        root.delete("/account"),
        ann.patch("/account", {"username": "bob", "current_password": PASSWORD}),
        ann.client.get("/account", headers=bearer("no.jwt.atall")),
        ann.put(f"/auth/token/{uuid4()}", {"revoke": True}),
    ]

    assert {each.status_code for each in refusals} == {401, 403, 404, 409}
    assert described(app) == []


def test_a_rate_limited_request_leaves_no_row(app: Flask, client: FlaskClient, ann: Person) -> None:
    answers = [log_in(client, "ann", "wrong").status_code for _ in range(8)]

    assert answers == [401] * 5 + [429] * 3
    assert len(audit_rows(app)) == 5


def test_an_admins_change_has_the_values_before_and_after(app: Flask, people: People, bob: Person) -> None:
    root = people("root", Role.ADMIN)

    root.patch(f"/users/{bob.id}", {"role": "admin", "disabled": True})
    root.patch(f"/users/{bob.id}", {"role": "admin", "disabled": False})
    root.delete(f"/users/{bob.id}")

    assert described(app) == [
        (
            "account_changed_by_admin",
            bob.id,
            root.id,
            "session",
            {"role": ["user", "admin"], "disabled": [False, True]},
        ),
        ("account_changed_by_admin", bob.id, root.id, "session", {"disabled": [True, False]}),
        ("account_deleted", bob.id, root.id, "session", {}),
    ]


def test_commands_are_recorded(app: Flask, runner: FlaskCliRunner) -> None:
    password = f"{PASSWORD}\n"
    commands: list[tuple[list[str], str | None]] = [
        (["user", "create", "ann", "--role", "admin", "--password-stdin"], password),
        (["user", "set-password", "ann", "--password-stdin"], f"{NEW}\n"),
        (["user", "set-email", "ann", "ann@example.com"], None),
        (["user", "reset-password", "ann", "--print"], None),
        (["token", "revoke-all"], None),
        (["user", "create", "bob", "--password-stdin"], password),
        (["user", "delete", "bob"], None),
    ]

    for arguments, given in commands:
        result = runner.invoke(args=arguments, input=given)
        assert result.exit_code == 0, result.output

    rows = audit_rows(app)
    assert [(row.event, row.details_by_name) for row in rows] == [
        ("registered", {"role": "admin"}),
        ("password_changed", {}),
        ("email_verified", {}),
        ("password_reset_link_issued", {}),
        ("sessions_revoked", {}),
        ("registered", {"role": "user"}),
        ("account_deleted", {}),
    ]
    assert {(row.via, row.actor_id, row.ip, row.request_id) for row in rows} == {
        ("command", None, None, None)
    }


def test_a_command_that_fails_leaves_no_row(app: Flask, runner: FlaskCliRunner, ann: Person) -> None:
    assert runner.invoke(args=["user", "create", "ann", "--password-stdin"], input=NEW).exit_code == 1
    assert runner.invoke(args=["user", "delete", "unknown"]).exit_code == 1

    assert audit_rows(app) == []


def test_a_job_is_recorded_as_one(app: Flask) -> None:
    with app.app_context():
        g.current_job = CurrentJob(uuid4(), 1)
        record(Event.LOGGED_OUT)
        db.session.commit()

    assert [row.via for row in audit_rows(app)] == ["job"]


class Interrupted(Exception):
    """Stands for a process that ends at this moment."""


@pytest.mark.parametrize("change", ["login", "rename", "admin", "delete"])
def test_a_change_and_its_row_are_committed_together(
    committed_app: Flask, password_hash: Any, change: str
) -> None:
    people = People(committed_app, password_hash)
    ann, root = people("ann"), people("root", Role.ADMIN)
    committed_app.testing = True
    requests: dict[str, Callable[[], Any]] = {
        "login": lambda: log_in(ann.client, "ann"),
        "rename": lambda: ann.patch("/account", {"username": "annie", "current_password": PASSWORD}),
        "admin": lambda: root.patch(f"/users/{ann.id}", {"role": "admin"}),
        "delete": lambda: ann.delete("/account"),
    }
    before = state(committed_app)
    commit = Session.commit

    def interrupt(session: Session) -> None:
        """End before the commit of a transaction that has recorded something."""
        if session.info.get("security_events"):
            session.flush()
            raise Interrupted
        commit(session)

    with patch.object(Session, "commit", interrupt), pytest.raises(Interrupted):
        requests[change]()

    assert state(committed_app) == before
    assert audit_rows(committed_app) == []
    assert requests[change]().status_code < 300
    assert state(committed_app) != before
    assert len(audit_rows(committed_app)) == 1


def state(app: Flask) -> list[Any]:
    with app.app_context():
        users = db.session.scalars(select(User).order_by(User.created_at)).all()
        sessions = db.session.execute(db.text("SELECT count(*) FROM sessions")).scalar()
        return [sessions, *((user.username, user.role) for user in users)]


# Reading


def test_an_account_sees_its_own_events_only(
    app: Flask, client: FlaskClient, ann: Person, bob: Person
) -> None:
    log_in(client, "ann", headers=AGENT)
    log_in(client, "bob")
    log_in(client, "unknown")
    ann.patch("/account", {"username": "annie", "current_password": PASSWORD})

    items = ann.get("/account/events").get_json()["items"]

    assert [(item["event"], item["by"]) for item in items] == [
        ("username_changed", "you"),
        ("logged_in", "anonymous"),
    ]
    assert (items[1]["ip"], items[1]["user_agent"]) == ("127.0.0.1", "Firefox/149")
    assert items[0]["session_id"] == ann.session_id


def test_an_account_sees_that_an_admin_acted_but_not_who(app: Flask, people: People, bob: Person) -> None:
    root = people("root", Role.ADMIN)
    sent = AGENT | {"X-Request-ID": "of-the-admin"}
    root.patch(f"/users/{bob.id}", {"role": "admin"}, headers=sent)

    response, exported = bob.get("/account/events"), bob.get("/account/export")

    [item] = response.get_json()["items"]
    assert (item["event"], item["by"]) == ("account_changed_by_admin", "admin")
    assert item["details"] == {"role": ["user", "admin"]}
    [row] = exported.get_json()["tables"]["kit_audit"]
    assert (row["event"], row["details"]) == ("account_changed_by_admin", '{"role": ["user", "admin"]}')
    for text in (response.text, exported.text):
        assert [
            secret for secret in (root.id, root.session_id, "Firefox", "of-the-admin") if secret in text
        ] == []
        assert "127.0.0.1" not in text


def test_an_account_sees_what_an_operator_did(runner: FlaskCliRunner, ann: Person) -> None:
    runner.invoke(args=["user", "set-email", "ann", "ann@example.com"])

    [item] = ann.get("/account/events").get_json()["items"]

    assert (item["event"], item["by"]) == ("email_verified", "operator")


def test_pages_lead_through_all_events(app: Flask, ann: Person) -> None:
    time = now()
    for number in range(7):
        add_row(app, at=time - timedelta(seconds=number // 2), user_id=UUID(ann.id))

    seen, path = [], "/account/events?limit=2"
    while path:
        page = ann.get(path).get_json()
        seen += [(item["at"], item["id"]) for item in page["items"]]
        path = page["next_cursor"] and f"/account/events?limit=2&cursor={page['next_cursor']}"

    assert len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)


def test_only_admins_read_the_trail(people: People, ann: Person) -> None:
    assert problem(ann.get("/audit")) == (403, "forbidden")
    assert problem(ann.client.get("/audit")) == (401, "missing_token")
    assert people("root", Role.ADMIN).get("/audit").status_code == 200


def test_admins_filter_the_trail(app: Flask, client: FlaskClient, people: People, ann: Person) -> None:
    root = people("root", Role.ADMIN)
    add_row(app, at=now() - timedelta(days=2), user_id=UUID(ann.id))
    log_in(client, "ann", "wrong")
    root.patch(f"/users/{ann.id}", {"role": "admin"})
    root.patch("/account", {"username": "boss", "current_password": PASSWORD})

    def found(query: str) -> list[str]:
        response = root.get(f"/audit?{query}")
        assert response.status_code == 200, response.text
        return [item["event"] for item in response.get_json()["items"]]

    yesterday = f"{now() - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    assert found("") == ["username_changed", "account_changed_by_admin", "login_failed", "logged_in"]
    assert found("event=login_failed") == ["login_failed"]
    assert found(f"user_id={ann.id}") == ["account_changed_by_admin", "login_failed", "logged_in"]
    assert found(f"actor_id={root.id}") == ["username_changed", "account_changed_by_admin"]
    assert found(f"actor_id={root.id}&user_id={ann.id}") == ["account_changed_by_admin"]
    assert found(f"at__lt={yesterday}") == ["logged_in"]
    assert found(f"at__gte={yesterday}&event=logged_in") == []
    assert errors(root.get("/audit?event=No")) == {("event", "invalid_format")}


def test_an_admin_sees_the_whole_row(people: People, bob: Person) -> None:
    root = people("root", Role.ADMIN)
    root.patch(f"/users/{bob.id}", {"role": "admin"}, headers=AGENT)

    [item] = root.get("/audit").get_json()["items"]

    assert (item["actor_id"], item["user_id"], item["via"]) == (root.id, bob.id, "session")
    assert (item["ip"], item["user_agent"], item["session_id"]) == (
        "127.0.0.1",
        "Firefox/149",
        root.session_id,
    )
    assert item["details"] == {"role": ["user", "admin"]}


@pytest.mark.parametrize(
    "filters",
    [
        [],
        ["event"],
        ["user_id"],
        ["actor_id"],
        ["event", "user_id"],
        ["event", "actor_id"],
        ["user_id", "actor_id"],
    ],
    ids=lambda filters: "-".join(filters) or "none",
)
def test_each_combination_of_filters_reads_an_index_in_order(
    app: Flask, database: str, filters: list[str]
) -> None:
    values: dict[str, object] = {"event": "logged_in", "user_id": uuid4(), "actor_id": uuid4()}
    with app.app_context():
        connection = db.session.connection()
        rows = [
            {"id": uuid4(), "at": now(), "event": f"event-{number % 9}", "via": "session", "details": "{}"}
            for number in range(2000)
        ]
        connection.execute(insert(AuditRow), rows)
        connection.exec_driver_sql("ANALYZE kit_audit")  # or PostgreSQL may plan for an empty table
        query = filtered(select(AuditRow), AuditRow, {name: values[name] for name in filters})
        query = query.order_by(AuditRow.at.desc(), AuditRow.id.desc()).limit(21)
        explain = "EXPLAIN " if database == "postgresql" else "EXPLAIN QUERY PLAN "
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + str(compiled)))

    assert "ix_kit_audit_" in plan
    assert not filters or ("Index Cond: " if database == "postgresql" else "=?") in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_the_export_prints_a_line_for_each_row(app: Flask, runner: FlaskCliRunner, ann: Person) -> None:
    for day in (1, 2, 3):
        add_row(app, at=datetime(2026, 11, day, tzinfo=UTC), user_id=UUID(ann.id), details='{"day": [1, 2]}')

    with patch.object(audit, "ROWS", 2):
        everything = runner.invoke(args=["audit", "export"])
    some = runner.invoke(args=["audit", "export", "--since", "2026-11-02", "--until", "2026-11-03T00:00:00Z"])
    wrong = runner.invoke(args=["audit", "export", "--since", "yesterday"])

    lines = [json.loads(line) for line in everything.output.splitlines()]
    assert [line["at"] for line in lines] == [f"2026-11-0{day}T00:00:00Z" for day in (1, 2, 3)]
    assert lines[0]["user_id"] == ann.id
    assert lines[0]["details"] == {"day": [1, 2]}
    assert [json.loads(line)["at"] for line in some.output.splitlines()] == ["2026-11-02T00:00:00Z"]
    assert wrong.exit_code == 2
    assert "Give a time such as 2026-11-22" in wrong.output


# Retention


def test_old_rows_are_deleted_after_their_time(app: Flask, runner: FlaskCliRunner, ann: Person) -> None:
    for days in (364, 366, 400):
        add_row(app, at=now() - timedelta(days=days), user_id=UUID(ann.id))

    result = runner.invoke(args=["token", "prune"])

    assert result.output == "Deleted 2 expired rows.\n"
    assert len(audit_rows(app)) == 1


@pytest.mark.parametrize("by", ["owner", "admin", "command"])
def test_the_addresses_of_a_deleted_account_are_blanked(
    app: Flask, client: FlaskClient, people: People, runner: FlaskCliRunner, by: str
) -> None:
    root, ann, bob = people("root", Role.ADMIN), people("ann", Role.ADMIN), people("bob")
    for name in ("ann", "bob"):
        log_in(client, name, headers=AGENT)
        log_in(client, name, "wrong", headers=AGENT)
    ann.patch(f"/users/{bob.id}", {"role": "admin"}, headers=AGENT)
    root.patch(f"/users/{ann.id}", {"role": "admin"}, headers=AGENT)
    before = len(audit_rows(app))

    if by == "owner":
        assert ann.delete("/account", headers=AGENT).status_code == 204
    elif by == "admin":
        assert root.delete(f"/users/{ann.id}", headers=AGENT).status_code == 204
    else:
        assert runner.invoke(args=["user", "delete", "ann"]).exit_code == 0

    rows = audit_rows(app)
    caused = [
        row
        for row in rows
        if str(row.actor_id) == ann.id or (str(row.user_id) == ann.id and not row.actor_id)
    ]
    others = [row for row in rows if row not in caused]
    assert len(rows) == before + 1
    assert {(row.ip, row.user_agent) for row in caused} == {(None, None)}
    # Those of bob, and the admin's own.
    assert {(row.ip, row.user_agent) for row in others} == {("127.0.0.1", "Firefox/149")}
    assert len(caused) >= 3


def test_a_refused_deletion_blanks_nothing(app: Flask, client: FlaskClient, people: People) -> None:
    root = people("root", Role.ADMIN)
    log_in(client, "root")

    assert problem(root.delete("/account")) == (409, "last_admin")

    assert [row.ip for row in audit_rows(app)] == ["127.0.0.1"]


def test_a_job_blanks_the_rest_of_a_long_history(app: Flask, ann: Person) -> None:
    for _ in range(5):
        add_row(app, at=now(), user_id=UUID(ann.id), ip="192.0.2.1")

    with patch.dict(forget_addresses.__globals__, BLANKED=2):
        assert ann.delete("/account").status_code == 204
        left = sum(row.ip is not None for row in audit_rows(app))
        with app.app_context():
            run_next()

    assert left == 4  # the deletion itself has an address too
    assert [row.ip for row in audit_rows(app)] == [None] * 6
