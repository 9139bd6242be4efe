"""Second factors: adding one, logging in with it, using it up, and removing it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.database import db
from app.model.models import KnownNetwork, Role, Token, User
from app.model.second_factors import (
    ChallengeRepository,
    LoginChallenge,
    RecoveryCode,
    SecondFactor,
    SecondFactorRepository,
)
from app.second_factor.jobs import tidy_second_factors
from kit.clock import now
from tests.support.audit import audit_rows
from tests.support.authenticator import Authenticator, add_factor, start_factor
from tests.support.credentials import PASSWORD, bearer
from tests.support.mail import Mailbox
from tests.support.people import People, Person
from tests.support.problems import errors, problem

pytestmark = pytest.mark.any_database
NEW = "another horse, another staple"


@pytest.fixture
def clock() -> Iterator[Any]:
    """The app's clock, which stands still in the middle of the next time step."""
    middle = int(now().timestamp()) // 30 * 30 + 45
    with time_machine.travel(middle, tick=False) as traveller:
        yield traveller


def log_in(client: FlaskClient, name: str = "ann", password: str = PASSWORD) -> TestResponse:
    return client.post("/auth/login", json={"username": name, "password": password})


def challenge(client: FlaskClient, name: str = "ann", password: str = PASSWORD) -> str:
    response = log_in(client, name, password)
    assert problem(response) == (401, "second_factor_required")
    return str(response.json["challenge"])


def complete(client: FlaskClient, token: str, code: str) -> TestResponse:
    return client.post("/auth/login/second-factor", json={"challenge": token, "code": code})


def enrol(person: Person) -> tuple[Authenticator, list[str]]:
    started = person.post("/account/second-factor", {"current_password": PASSWORD})
    assert started.status_code == 201, started.text
    app = Authenticator(started.json["secret"])
    confirmed = person.post("/account/second-factor/confirmation", {"code": app.code(-1)})
    assert confirmed.status_code == 200, confirmed.text
    return app, confirmed.json["recovery_codes"]


def state(person: Person) -> tuple[str, int]:
    body = person.get("/account/second-factor").json
    assert (body["confirmed_at"] is not None) == (body["status"] == "active")
    return body["status"], body["recovery_codes_left"]


# Adding a factor


def test_a_factor_is_pending_until_a_code_confirms_it(client: FlaskClient, ann: Person, clock: Any) -> None:
    before = state(ann)

    started = ann.post("/account/second-factor", {"current_password": PASSWORD})
    pending, login = state(ann), log_in(client).status_code
    app = Authenticator(started.json["secret"])
    confirmed = ann.post("/account/second-factor/confirmation", {"code": app.code()})

    assert (before, pending, state(ann)) == (("none", 0), ("pending", 0), ("active", 10))
    assert login == 200
    assert (started.status_code, confirmed.status_code) == (201, 200)
    assert len(set(confirmed.json["recovery_codes"])) == 10
    assert all(len(code.replace("-", "")) == 28 for code in confirmed.json["recovery_codes"])
    assert problem(log_in(client)) == (401, "second_factor_required")


def test_the_uri_contains_the_secret_and_the_names(people: People) -> None:
    person = people("ann.b_c-d")

    started = person.post("/account/second-factor", {"current_password": PASSWORD}).json
    uri = urlsplit(started["uri"])

    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/flask-api:ann.b_c-d")
    assert parse_qs(uri.query) == {"secret": [started["secret"]], "issuer": ["flask-api"]}
    assert len(Authenticator(started["secret"]).secret) == 20


def test_starting_again_replaces_a_pending_secret(ann: Person, clock: Any) -> None:
    first, second = (
        Authenticator(ann.post("/account/second-factor", {"current_password": PASSWORD}).json["secret"])
        for _ in range(2)
    )

    old = ann.post("/account/second-factor/confirmation", {"code": first.code()})
    new = ann.post("/account/second-factor/confirmation", {"code": second.code()})

    assert first.secret != second.secret
    assert problem(old) == (401, "invalid_code")
    assert new.status_code == 200


def test_an_active_factor_is_not_replaced_or_confirmed_again(ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)

    started = ann.post("/account/second-factor", {"current_password": PASSWORD})
    confirmed = ann.post("/account/second-factor/confirmation", {"code": app.code()})

    assert problem(started) == problem(confirmed) == (409, "second_factor_active")
    assert state(ann) == ("active", 10)


def test_starting_needs_the_password_and_a_recent_login(app: Flask, ann: Person) -> None:
    refreshed = ann.client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]
    body = {"current_password": PASSWORD}

    wrong = ann.post("/account/second-factor", {"current_password": "wrong"})
    stale = ann.client.post("/account/second-factor", json=body, headers=bearer(refreshed))

    assert problem(wrong) == (403, "wrong_current_password")
    assert problem(stale) == (401, "fresh_token_required")
    assert state(ann) == ("none", 0)


def test_without_a_factor_there_is_nothing_to_confirm_replace_or_remove(ann: Person) -> None:
    body = {"code": "123456"}
    answers = [
        ann.post("/account/second-factor/confirmation", body),
        ann.post("/account/second-factor/recovery-codes", body),
        ann.delete("/account/second-factor", json=body),
    ]

    assert [problem(answer) for answer in answers] == [(404, "second_factor_not_found")] * 3


def test_the_sessions_stay_when_a_factor_is_added(people: People, ann: Person, clock: Any) -> None:
    elsewhere = people.log_in("ann")

    enrol(ann)

    assert elsewhere.get("/account").status_code == 200


# Logging in


def test_a_login_needs_a_code_after_the_password(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)

    asked = log_in(client)
    response = complete(client, asked.json["challenge"], app.code())

    assert problem(asked) == (401, "second_factor_required")
    assert asked.json["challenge_expires_in"] == 300
    assert asked.headers["Cache-Control"] == "no-store"
    assert response.status_code == 200
    assert set(response.json or {}) == {
        "access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "session_id"
    }  # fmt: skip
    fresh = client.get("/account/export", headers=bearer(response.json["access_token"]), buffered=True)
    assert fresh.status_code == 200


def test_a_wrong_password_is_answered_as_without_a_factor(
    client: FlaskClient, ann: Person, bob: Person, clock: Any
) -> None:
    enrol(ann)

    with_factor, without, unknown = (log_in(client, name, "wrong") for name in ("ann", "bob", "carol"))

    bodies = [dict(each.json or {}, request_id="") for each in (with_factor, without, unknown)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "invalid_credentials"


@pytest.mark.parametrize("spelling", ["{a}{b}", "{a} {b}", "{a}-{b}", "  {a}{b} "])
def test_a_code_may_be_grouped(client: FlaskClient, ann: Person, clock: Any, spelling: str) -> None:
    app, _ = enrol(ann)
    code = app.code()

    response = complete(client, challenge(client), spelling.format(a=code[:3], b=code[3:]))

    assert response.status_code == 200


@pytest.mark.parametrize(
    "code", ["{code}0", "0{code}", "", "\uff11\uff12\uff13\uff14\uff15\uff16", "x" * 65, "12345\u0000"]
)
def test_another_spelling_is_refused(client: FlaskClient, ann: Person, clock: Any, code: str) -> None:
    app, _ = enrol(ann)

    response = complete(client, challenge(client), code.format(code=app.code()))

    assert response.status_code in (401, 422)


def test_a_code_works_once(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)
    code = app.code()
    first = complete(client, challenge(client), code)

    again = complete(client, challenge(client), code)
    older = complete(client, challenge(client), app.code(-1))

    assert first.status_code == 200
    assert problem(again) == problem(older) == (401, "invalid_code")


def test_the_code_that_confirmed_a_factor_is_used_up(client: FlaskClient, ann: Person, clock: Any) -> None:
    secret = ann.post("/account/second-factor", {"current_password": PASSWORD}).json["secret"]
    code = Authenticator(secret).code()
    ann.post("/account/second-factor/confirmation", {"code": code})

    response = complete(client, challenge(client), code)

    assert problem(response) == (401, "invalid_code")


@pytest.mark.parametrize(
    ("seconds", "status"), [(-31, 401), (-30, 200), (-1, 200), (0, 200), (29, 200), (59, 200), (60, 401)]
)
def test_a_code_counts_one_step_before_and_after_its_own(
    client: FlaskClient, ann: Person, clock: Any, seconds: int, status: int
) -> None:
    app, _ = add_factor(ann.client.application, ann)
    begin = int(now().timestamp()) // 30 * 30 + 300
    clock.move_to(begin)
    code = app.code()
    clock.move_to(begin + seconds)

    response = complete(client, challenge(client), code)

    assert response.status_code == status


def test_a_recovery_code_works_once_in_any_spelling(client: FlaskClient, ann: Person, clock: Any) -> None:
    _, codes = enrol(ann)

    first = complete(client, challenge(client), codes[0].upper().replace("-", ""))
    again = complete(client, challenge(client), codes[0])
    spaced = complete(client, challenge(client), codes[1].replace("-", " "))

    assert (first.status_code, spaced.status_code) == (200, 200)
    assert problem(again) == (401, "invalid_code")
    assert state(ann) == ("active", 8)


def test_a_recovery_code_of_another_account_is_wrong(
    client: FlaskClient, ann: Person, bob: Person, clock: Any
) -> None:
    enrol(ann)
    _, codes = enrol(bob)

    response = complete(client, challenge(client), codes[0])

    assert problem(response) == (401, "invalid_code")
    assert state(bob) == ("active", 10)


# Challenges


def test_a_challenge_works_once(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, codes = enrol(ann)
    token = challenge(client)
    assert complete(client, token, app.code()).status_code == 200

    again = complete(client, token, codes[0])

    assert problem(again) == (401, "invalid_code")
    assert state(ann) == ("active", 10)


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 401)])
def test_a_challenge_expires_after_five_minutes(
    client: FlaskClient, ann: Person, clock: Any, seconds: int, status: int
) -> None:
    app, _ = enrol(ann)
    token = challenge(client)
    clock.shift(seconds)

    assert complete(client, token, app.code()).status_code == status


def test_a_challenge_has_five_tries(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)
    token = challenge(client)
    for _ in range(5):
        assert problem(complete(client, token, app.wrong_code())) == (401, "invalid_code")

    sixth = complete(client, token, app.code())

    assert problem(sixth) == (401, "invalid_code")
    assert complete(client, challenge(client), app.code()).status_code == 200


def test_a_challenge_is_of_one_account(client: FlaskClient, ann: Person, bob: Person, clock: Any) -> None:
    enrol(ann)
    of_bob, _ = enrol(bob)

    response = complete(client, challenge(client, "ann"), of_bob.code())

    assert problem(response) == (401, "invalid_code")


def test_a_challenge_is_no_token(client: FlaskClient, ann: Person, clock: Any) -> None:
    enrol(ann)
    token = challenge(client)

    answers = [
        client.get("/account", headers=bearer(token)),
        client.post("/auth/refresh", headers=bearer(token)),
        client.post("/auth/step-up", headers=bearer(token), json={"current_password": PASSWORD}),
        client.post("/auth/email/verify", json={"token": token}),
        client.post("/auth/password-reset/confirm", json={"token": token, "password": NEW}),
    ]

    assert [each.status_code for each in answers] == [401, 401, 401, 400, 400]


def test_a_token_and_an_unknown_text_are_no_challenge(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)

    for token in ("unknown", ann.refresh[:100], ann.id):
        assert problem(complete(client, token, app.code())) == (401, "invalid_code")


def test_a_changed_password_voids_a_challenge(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, _ = enrol(ann)
    token = challenge(client)
    clock.shift(1)
    changed = ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})

    response = complete(client, token, app.code())

    assert changed.status_code == 200
    assert problem(response) == (401, "invalid_code")
    assert complete(client, challenge(client, password=NEW), app.code()).status_code == 200


def test_a_reset_password_voids_a_challenge_and_keeps_the_factor(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner, ann: Person, clock: Any
) -> None:
    authenticator, _ = enrol(ann)
    token = challenge(client)
    clock.shift(1)
    runner.invoke(args=["user", "set-email", "ann", "ann@example.com"])
    link = runner.invoke(args=["user", "reset-password", "ann", "--print"])
    reset = link.output.partition("#token=")[2].strip()
    body = {"token": reset, "password": NEW}
    assert client.post("/auth/password-reset/confirm", json=body).status_code == 204

    assert problem(complete(client, token, authenticator.code())) == (401, "invalid_code")
    assert complete(client, challenge(client, password=NEW), authenticator.code()).status_code == 200


def test_a_disabled_account_cannot_complete_a_login(
    client: FlaskClient, people: People, ann: Person, clock: Any
) -> None:
    app, _ = enrol(ann)
    token = challenge(client)
    people("root", Role.ADMIN).patch(f"/users/{ann.id}", json={"disabled": True})

    assert problem(complete(client, token, app.code())) == (401, "invalid_code")


def test_an_account_has_at_most_ten_live_challenges(
    app: Flask, client: FlaskClient, ann: Person, clock: Any
) -> None:
    authenticator, _ = enrol(ann)
    tokens = []
    for _ in range(11):
        clock.shift(1)
        tokens.append(challenge(client))

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(LoginChallenge)) == 10
    assert problem(complete(client, tokens[0], authenticator.code())) == (401, "invalid_code")
    assert complete(client, tokens[1], authenticator.code()).status_code == 200


def test_expired_challenges_are_deleted(app: Flask, client: FlaskClient, ann: Person, clock: Any) -> None:
    enrol(ann)
    challenge(client)
    clock.shift(301)

    with app.app_context():
        tidy_second_factors.function()
        assert db.session.scalar(select(func.count()).select_from(LoginChallenge)) == 0


# Limits


def test_the_right_password_clears_no_limit_before_the_code(
    client: FlaskClient, ann: Person, clock: Any
) -> None:
    app, _ = enrol(ann)
    for _ in range(4):
        log_in(client, password="wrong")
    token = challenge(client)

    fifth, sixth = (log_in(client, password="wrong") for _ in range(2))
    refused = log_in(client)
    completed = complete(client, token, app.code())
    cleared = log_in(client, password="wrong")

    assert problem(fifth) == (401, "invalid_credentials")
    assert problem(sixth) == problem(refused) == (429, "too_many_attempts")
    assert completed.status_code == 200
    assert problem(cleared) == (401, "invalid_credentials")


def test_a_login_that_lacks_the_code_makes_the_client_not_known(
    app: Flask, client: FlaskClient, ann: Person, clock: Any
) -> None:
    authenticator, _ = enrol(ann)

    def networks() -> set[str]:
        with app.app_context():
            return set(db.session.scalars(select(KnownNetwork.network)))

    token = challenge(client)
    asked = networks()
    complete(client, token, authenticator.code())

    assert "127.0.0.1" not in asked
    assert "127.0.0.1" in networks()


def test_a_thousand_wrong_codes_with_right_passwords_in_between_are_ten(
    app: Flask, client: FlaskClient, ann: Person, clock: Any
) -> None:
    authenticator, _ = enrol(ann)
    settings = app.extensions["settings"].model_copy(update={"login_limit_success": None})
    answers = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.extensions, "settings", settings)
        for number in range(200):
            token = challenge(client)
            for _ in range(5):
                network = {"REMOTE_ADDR": f"192.0.2.{number}"}  # a client each, of which one is known
                body = {"challenge": token, "code": authenticator.wrong_code()}
                answer = client.post("/auth/login/second-factor", json=body, environ_overrides=network)
                answers.append(answer.status_code)
        right = complete(client, challenge(client), authenticator.code())

    assert answers == [401] * 10 + [429] * 990
    assert problem(right) == (429, "too_many_attempts")
    assert 3500 < int(right.headers["Retry-After"]) <= 3600


def test_wrong_codes_count_together_wherever_they_are_sent(
    client: FlaskClient, ann: Person, clock: Any
) -> None:
    app, codes = enrol(ann)
    wrong = {"code": app.wrong_code()}
    answers = [
        *(ann.post("/account/second-factor/recovery-codes", wrong) for _ in range(3)),
        *(ann.delete("/account/second-factor", json=wrong) for _ in range(3)),
        *(ann.post("/auth/step-up", {"current_password": PASSWORD} | wrong) for _ in range(2)),
        *(complete(client, challenge(client), wrong["code"]) for _ in range(2)),
    ]

    refused = [
        ann.post("/account/second-factor/recovery-codes", {"code": app.code()}),
        ann.delete("/account/second-factor", json={"code": codes[0]}),
        ann.post("/auth/step-up", {"current_password": PASSWORD, "code": app.code()}),
        complete(client, challenge(client), codes[0]),
    ]

    assert [problem(answer) for answer in answers] == [(401, "invalid_code")] * 10
    assert [problem(answer) for answer in refused] == [(429, "too_many_attempts")] * 4


def test_a_completed_login_forgets_no_wrong_code(client: FlaskClient, ann: Person, clock: Any) -> None:
    app, codes = enrol(ann)
    for code in codes[:5]:
        complete(client, challenge(client), app.wrong_code())
        complete(client, challenge(client), app.wrong_code())
        answer = complete(client, challenge(client), code)

    assert problem(answer) == (429, "too_many_attempts")


# Recovery codes, and the end of a factor


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_replaces_the_recovery_codes(client: FlaskClient, ann: Person, clock: Any, kind: str) -> None:
    app, old = enrol(ann)

    response = ann.post(
        "/account/second-factor/recovery-codes", {"code": app.code() if kind == "app" else old[0]}
    )

    assert response.status_code == 200
    assert problem(complete(client, challenge(client), old[1])) == (401, "invalid_code")
    assert complete(client, challenge(client), response.json["recovery_codes"][0]).status_code == 200


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_removes_the_factor(client: FlaskClient, ann: Person, clock: Any, kind: str) -> None:
    app, codes = enrol(ann)

    wrong = ann.delete("/account/second-factor", json={"code": app.wrong_code()})
    kept = state(ann)
    removed = ann.delete("/account/second-factor", json={"code": app.code() if kind == "app" else codes[0]})

    assert problem(wrong) == (401, "invalid_code")
    assert kept == ("active", 10)
    assert removed.status_code == 204
    assert state(ann) == ("none", 0)
    assert log_in(client).status_code == 200


def test_a_challenge_is_useless_after_the_factor_was_removed(
    client: FlaskClient, ann: Person, clock: Any
) -> None:
    app, _ = enrol(ann)
    token = challenge(client)
    ann.delete("/account/second-factor", json={"code": app.code()})

    assert problem(complete(client, token, app.code(1))) == (401, "invalid_code")


def test_an_admin_removes_the_factor_of_an_account(
    client: FlaskClient, people: People, ann: Person, clock: Any, output: StringIO
) -> None:
    enrol(ann)
    root = people("root", Role.ADMIN)

    removed = root.delete(f"/users/{ann.id}/second-factor")
    again = root.delete(f"/users/{ann.id}/second-factor")
    unknown = root.delete(f"/users/{uuid4()}/second-factor")

    assert removed.status_code == 204
    assert problem(again) == (404, "second_factor_not_found")
    assert problem(unknown) == (404, "not_found")
    assert log_in(client).status_code == 200
    assert f'"actor_id": "{root.id}"' in output.getvalue()


def test_an_admin_needs_a_code_for_their_own_factor(people: People, clock: Any) -> None:
    root = people("root", Role.ADMIN)
    enrol(root)

    response = root.delete(f"/users/{root.id}/second-factor")

    assert problem(response) == (403, "forbidden")
    assert state(root) == ("active", 10)


def test_an_operator_removes_the_factor_of_an_account(
    client: FlaskClient, runner: FlaskCliRunner, ann: Person, clock: Any
) -> None:
    enrol(ann)

    removed = runner.invoke(args=["second-factor", "remove", "ann"])
    again = runner.invoke(args=["second-factor", "remove", "ann"])

    assert removed.exit_code == 0, removed.output
    assert again.exit_code == 1
    assert log_in(client).status_code == 200


def test_the_owner_is_notified(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner, ann: Person, clock: Any
) -> None:
    runner.invoke(args=["user", "set-email", "ann", "ann@example.com"])
    mailbox = Mailbox(app)
    mailbox.receive()

    def notices() -> list[str]:
        return sorted(sent.template for sent in mailbox.receive())

    authenticator, codes = enrol(ann)
    added = notices()
    token = challenge(client)
    asked = notices()
    complete(client, token, codes[0])
    logged_in = notices()
    ann.post("/account/second-factor/recovery-codes", {"code": authenticator.code()})
    replaced = notices()
    ann.delete("/account/second-factor", json={"code": authenticator.code(1)})

    assert added == ["second-factor-added"]
    assert asked == []
    assert logged_in == ["new-network", "recovery-code-used"]
    assert replaced == ["recovery-codes-replaced"]
    assert notices() == ["second-factor-removed"]


def test_each_step_is_logged_without_a_secret(
    client: FlaskClient, ann: Person, clock: Any, output: StringIO
) -> None:
    app, codes = enrol(ann)
    token = challenge(client)
    wrong, code = app.wrong_code(), app.code()
    complete(client, token, wrong)
    complete(client, token, code)
    ann.post("/auth/step-up", {"current_password": PASSWORD, "code": codes[0]})
    ann.post("/account/second-factor/recovery-codes", {"code": codes[1]})
    ann.delete("/account/second-factor", json={"code": codes[2]})

    log = output.getvalue()

    for event in (
        "second_factor_added", "second_factor_requested", "second_factor_failed", "logged_in", "stepped_up",
        "recovery_codes_replaced",
    ):  # fmt: skip
        assert f'"event": "{event}"' in log, event
    assert not [secret for secret in (token, *codes) if secret in log]


# Storage


def test_the_database_has_no_secret(app: Flask, client: FlaskClient, ann: Person, clock: Any) -> None:
    authenticator, codes = enrol(ann)
    token = challenge(client)

    with app.app_context():
        rows = [
            str(row)
            for model in (SecondFactor, RecoveryCode, LoginChallenge)
            for row in db.session.execute(select(model.__table__)).all()
        ]

    secret = authenticator.secret
    stored = "".join(rows)
    for text in (token, *codes, *(code.replace("-", "") for code in codes), secret.hex()):
        assert text not in stored
    exported = ann.get("/account/export").text
    assert "secret" not in exported
    assert "_hash" not in exported


@pytest.fixture
def with_keys(app: Flask) -> Iterator[Callable[[str], None]]:
    """Return a function that changes SECRET_KEY and SECRET_KEY_FALLBACKS of the running app."""
    settings = app.extensions["settings"]

    def change(*keys: str) -> None:
        own = settings.secret_key.__class__
        update = {"secret_key": own(keys[0]), "secret_key_fallbacks": tuple(own(key) for key in keys[1:])}
        app.extensions["settings"] = settings.model_copy(update=update)

    yield change
    app.extensions["settings"] = settings


def test_a_new_signing_key_reads_and_replaces_the_old_encryption(
    app: Flask, client: FlaskClient, ann: Person, clock: Any, with_keys: Callable[..., None]
) -> None:
    old, new = app.extensions["settings"].signing_keys[0], "n" * 64
    authenticator, _ = enrol(ann)

    with_keys(new, old)
    with_fallback = complete(client, challenge(client), authenticator.code())
    with_keys(new)
    clock.shift(30)
    without = complete(client, challenge(client), authenticator.code())

    assert with_fallback.status_code == without.status_code == 200


def test_the_hourly_job_encrypts_all_secrets_under_the_new_key(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner, ann: Person, bob: Person, clock: Any,
    with_keys: Callable[..., None],
) -> None:  # fmt: skip
    old, new = app.extensions["settings"].signing_keys[0], "n" * 64
    authenticator, _ = enrol(ann)
    start_factor(app, bob)

    with_keys(new, old)
    with app.app_context():
        tidy_second_factors.function()
    again = runner.invoke(args=["second-factor", "re-encrypt"])
    with_keys(new)
    response = complete(client, challenge(client), authenticator.code())

    assert again.output == "Re-encrypted 0 secrets.\n"
    assert response.status_code == 200


def test_the_command_encrypts_all_secrets_in_batches(
    app: Flask, people: People, clock: Any, with_keys: Callable[..., None]
) -> None:
    old, new = app.extensions["settings"].signing_keys[0], "n" * 64
    for number in range(5):
        start_factor(app, people(f"user{number}"))

    with_keys(new, old)
    with app.app_context():
        steps = list(SecondFactorRepository(db.session, [new, old]).encrypt_again(batch=2))
        db.session.commit()

    assert steps == [2, 2, 1]


def test_with_a_lost_key_only_recovery_codes_and_an_operator_help(
    app: Flask, client: FlaskClient, runner: FlaskCliRunner, ann: Person, clock: Any, output: StringIO,
    with_keys: Callable[..., None],
) -> None:  # fmt: skip
    authenticator, codes = enrol(ann)
    with_keys("n" * 64)

    lost = complete(client, challenge(client), authenticator.code())
    recovered = complete(client, challenge(client), codes[0])
    removed = runner.invoke(args=["second-factor", "remove", "ann"])

    assert problem(lost) == (401, "invalid_code")
    assert "SECRET_KEY_FALLBACKS" in output.getvalue()
    assert recovered.status_code == 200
    assert removed.exit_code == 0
    assert log_in(client).status_code == 200


def test_the_secret_of_another_account_is_useless(
    app: Flask, client: FlaskClient, ann: Person, bob: Person, clock: Any
) -> None:
    enrol(ann)
    of_bob, _ = enrol(bob)
    with app.app_context():
        rows = {str(row.user_id): row for row in db.session.scalars(select(SecondFactor))}
        rows[ann.id].secret = rows[bob.id].secret
        db.session.commit()

    response = complete(client, challenge(client), of_bob.code())

    assert problem(response) == (401, "invalid_code")


# Step-up


def test_a_step_up_makes_a_fresh_token_of_the_same_session(client: FlaskClient, ann: Person) -> None:
    refreshed = client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]

    response = client.post("/auth/step-up", json={"current_password": PASSWORD}, headers=bearer(refreshed))

    assert set(response.json or {}) == {"access_token", "token_type", "expires_in", "session_id"}
    assert (response.json["expires_in"], response.json["session_id"]) == (900, ann.session_id)
    fresh = bearer(response.json["access_token"])
    assert problem(client.get("/account/export", headers=bearer(refreshed))) == (401, "fresh_token_required")
    assert client.get("/account/export", headers=fresh, buffered=True).status_code == 200
    assert client.post("/auth/logout", headers=fresh).status_code == 204
    assert problem(client.get("/account", headers=bearer(refreshed))) == (401, "token_revoked")


def test_a_step_up_needs_the_password_and_the_code(ann: Person, clock: Any) -> None:
    app, codes = enrol(ann)

    def step_up(**body: str) -> TestResponse:
        return ann.post("/auth/step-up", {"current_password": PASSWORD} | body)

    assert errors(step_up()) == {("/code", "required")}
    assert problem(step_up(code=app.wrong_code())) == (401, "invalid_code")
    assert problem(step_up(code=app.code(), current_password="wrong")) == (403, "wrong_current_password")
    assert step_up(code=app.code()).status_code == 200  # the wrong password has used up no code
    assert problem(step_up(code=app.code())) == (401, "invalid_code")
    assert step_up(code=codes[0]).status_code == 200


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_new_password_needs_a_recent_login_if_the_account_has_a_factor(
    client: FlaskClient, ann: Person, clock: Any, method: str
) -> None:
    authenticator, _ = enrol(ann)
    pair = client.post("/auth/refresh", headers=bearer(ann.refresh)).json
    body = {"username": "ann", "password": NEW, "current_password": PASSWORD}
    change = getattr(client, method)

    refused = change("/account", json=body, headers=bearer(pair["access_token"]))
    confirmation = {"current_password": PASSWORD, "code": authenticator.code()}
    fresh = client.post("/auth/step-up", json=confirmation, headers=bearer(pair["access_token"])).json
    accepted = change("/account", json=body, headers=bearer(fresh["access_token"]))

    assert problem(refused) == (401, "fresh_token_required")
    assert accepted.status_code == 200


def test_the_audit_trail_says_which_kind_of_code_was_used(app: Flask, ann: Person, clock: Any) -> None:
    authenticator, codes = enrol(ann)

    ann.post("/auth/step-up", {"current_password": PASSWORD, "code": authenticator.code()})
    ann.post("/account/second-factor/recovery-codes", {"code": codes[0]})

    rows = audit_rows(app, "stepped_up", "recovery_codes_replaced")
    assert {row.event: row.details_by_name for row in rows} == {
        "stepped_up": {"second_factor": "totp"},
        "recovery_codes_replaced": {"second_factor": "recovery_code"},
    }


def test_an_account_without_a_factor_sends_no_code_for_a_step_up(ann: Person) -> None:
    response = ann.post("/auth/step-up", {"current_password": PASSWORD, "code": "123456"})

    assert errors(response) == {("/code", "unknown_field")}


def test_wrong_passwords_of_a_step_up_count_as_failed_logins(ann: Person) -> None:
    answers = [ann.post("/auth/step-up", {"current_password": "wrong"}) for _ in range(6)]

    assert [problem(answer) for answer in answers] == [
        *[(403, "wrong_current_password")] * 5,
        (429, "too_many_attempts"),
    ]


def test_a_session_has_at_most_ten_live_access_tokens(app: Flask, client: FlaskClient, ann: Person) -> None:
    tokens = [ann.access]
    for _ in range(12):
        response = client.post(
            "/auth/step-up", json={"current_password": PASSWORD}, headers=bearer(tokens[-1])
        )
        tokens.append(response.json["access_token"])

    works = [client.get("/account", headers=bearer(token)).status_code == 200 for token in tokens]

    assert works == [False] * 3 + [True] * 10
    assert client.post("/auth/refresh", headers=bearer(ann.refresh)).status_code == 200


def test_many_step_ups_leave_few_rows_and_the_refresh_token(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    settings = app.extensions["settings"].model_copy(update={"login_limit_success": None})
    token = ann.access
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.extensions, "settings", settings)
        for _ in range(60):
            response = client.post(
                "/auth/step-up", json={"current_password": PASSWORD}, headers=bearer(token)
            )
            token = response.json["access_token"]

    with app.app_context():
        rows = db.session.scalar(select(func.count()).select_from(Token)) or 0
    assert rows <= 31
    assert client.post("/auth/refresh", headers=bearer(ann.refresh)).status_code == 200


def test_a_step_up_ends_with_its_session(app: Flask, client: FlaskClient, ann: Person) -> None:
    token = ann.post("/auth/step-up", {"current_password": PASSWORD}).json["access_token"]
    client.post("/auth/refresh", headers=bearer(ann.refresh))
    with time_machine.travel(now() + timedelta(seconds=60), tick=False):
        client.post("/auth/refresh", headers=bearer(ann.refresh))  # a reused one ends the session

    assert problem(client.get("/account", headers=bearer(token))) == (401, "token_revoked")


def test_a_user_row_says_whether_a_factor_is_active(app: Flask, ann: Person, clock: Any) -> None:
    enrol(ann)

    with app.app_context():
        user = db.session.get_one(User, UUID(ann.id))
        factor = SecondFactorRepository(db.session, []).find(user.id)
        assert factor is not None
        assert user.second_factor_at == factor.confirmed_at
        assert ChallengeRepository(db.session).prune() == 0
