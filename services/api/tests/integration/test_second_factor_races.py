"""Second factors under concurrency, with a real server and the real engine."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import httpx
from sqlalchemy import select

from app.database import db
from app.model.models import User
from app.model.second_factors import LoginChallenge
from tests.support import plain_http
from tests.support.authenticator import add_challenge, add_factor
from tests.support.concurrency import at_once
from tests.support.credentials import PASSWORD, bearer
from tests.support.servers import Live

NEW = "a whole new passphrase"


def completing(url: str, challenge: str, code: str) -> Callable[[], httpx.Response]:
    body = {"challenge": challenge, "code": code}
    return lambda: plain_http.post(f"{url}/auth/login/second-factor", json=body)


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_one_of_many_logins_with_the_same_code_succeeds(live: Live) -> None:
    url, people = live
    ann = people("ann")
    authenticator, _ = add_factor(people.app, ann)
    challenges = [add_challenge(people.app, ann) for _ in range(8)]
    code = authenticator.code()

    answers = at_once(*[completing(url, challenge, code) for challenge in challenges])

    assert statuses(answers) == {200: 1, 401: 7}


def test_one_of_many_logins_with_the_same_recovery_code_succeeds(live: Live) -> None:
    url, people = live
    ann = people("ann")
    _, codes = add_factor(people.app, ann)
    challenges = [add_challenge(people.app, ann) for _ in range(8)]

    answers = at_once(*[completing(url, challenge, codes[0]) for challenge in challenges])

    assert statuses(answers) == {200: 1, 401: 7}


def test_one_of_many_logins_with_the_same_challenge_succeeds(live: Live) -> None:
    url, people = live
    ann = people("ann")
    _, codes = add_factor(people.app, ann)
    challenge = add_challenge(people.app, ann)

    answers = at_once(*[completing(url, challenge, code) for code in codes[:5]])

    assert statuses(answers) == {200: 1, 401: 4}


def test_a_challenge_has_five_tries_at_once(live: Live) -> None:
    url, people = live
    ann = people("ann")
    authenticator, _ = add_factor(people.app, ann)
    challenge = add_challenge(people.app, ann)

    answers = at_once(*[completing(url, challenge, authenticator.wrong_code())] * 8)

    assert statuses(answers) == {401: 8}
    with people.app.app_context():
        assert db.session.scalars(select(LoginChallenge.tries)).all() == [5]


def test_ten_wrong_codes_at_once_are_the_limit(live: Live) -> None:
    url, people = live
    ann = people("ann")
    authenticator, _ = add_factor(people.app, ann)
    challenges = [add_challenge(people.app, ann) for _ in range(10)]
    wrong = authenticator.wrong_code()

    answers = [
        answer
        for _ in range(3)
        for answer in at_once(*[completing(url, challenge, wrong) for challenge in challenges])
    ]

    assert statuses(answers) == {401: 10, 429: 20}


def assert_no_live_token(url: str, answers: list[httpx.Response]) -> None:
    """Each request was refused, or its token was revoked by the other change."""
    assert set(statuses(answers)) <= {200, 401}
    for answer in answers:
        if answer.status_code == 200:
            headers = bearer(answer.json()["access_token"])
            assert plain_http.get(f"{url}/account", headers=headers).status_code == 401


def test_a_login_during_a_password_change_opens_no_session_of_the_old_password(live: Live) -> None:
    url, people = live
    ann = people("ann")
    _, codes = add_factor(people.app, ann)
    challenges = [add_challenge(people.app, ann) for _ in range(4)]
    body = {"password": NEW, "current_password": PASSWORD}

    *logins, changed = at_once(
        *[completing(url, challenge, code) for challenge, code in zip(challenges, codes, strict=False)],
        lambda: plain_http.patch(f"{url}/account", headers=ann.headers, json=body),
    )

    assert changed.status_code == 200
    assert_no_live_token(url, logins)


def test_a_step_up_during_a_logout_leaves_no_live_token(live: Live) -> None:
    url, people = live
    ann = people("ann")
    body = {"current_password": PASSWORD}

    *steps, logout = at_once(
        *[lambda: plain_http.post(f"{url}/auth/step-up", headers=ann.headers, json=body)] * 4,
        lambda: plain_http.post(f"{url}/auth/logout", headers=ann.headers),
    )

    assert logout.status_code == 204
    assert_no_live_token(url, steps)


def test_everything_at_once_does_not_deadlock(live: Live) -> None:
    url, people = live
    ann = people("ann")
    authenticator, codes = add_factor(people.app, ann)
    challenges = [add_challenge(people.app, ann) for _ in range(4)]
    wrong = {"username": "ann", "password": "wrong"}
    right = {"username": "ann", "password": PASSWORD}
    step = {"current_password": PASSWORD}

    answers = at_once(
        *[completing(url, challenge, codes[number]) for number, challenge in enumerate(challenges)],
        *[lambda: plain_http.post(f"{url}/auth/login", json=wrong)] * 3,
        *[lambda: plain_http.post(f"{url}/auth/login", json=right)] * 3,
        *[
            lambda code=code: plain_http.post(
                f"{url}/auth/step-up", headers=ann.headers, json=step | {"code": code}
            )
            for code in codes[4:7]
        ],
        lambda: plain_http.post(
            f"{url}/account/second-factor/recovery-codes",
            headers=ann.headers,
            json={"code": authenticator.code()},
        ),
    )

    assert set(statuses(answers)) <= {200, 401, 429}
    with people.app.app_context():
        assert db.session.get_one(User, UUID(ann.id)).second_factor_at
