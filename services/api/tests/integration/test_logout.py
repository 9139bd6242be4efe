"""POST /auth/logout."""

import pytest

from tests.support.credentials import bearer
from tests.support.people import People, Person
from tests.support.problems import errors, problem


def is_alive(person: Person) -> tuple[bool, bool]:
    """Return whether the access and the refresh token of a person still work."""
    access = person.get("/account").status_code == 200
    return access, person.client.post("/auth/refresh", headers=bearer(person.refresh)).status_code == 200


ALIVE, DEAD = (True, True), (False, False)


@pytest.mark.parametrize(
    ("body", "own", "others"),
    [
        (None, DEAD, ALIVE),
        ({}, DEAD, ALIVE),
        ({"scope": "session"}, DEAD, ALIVE),
        ({"scope": "others"}, ALIVE, DEAD),
        ({"scope": "all"}, DEAD, DEAD),
    ],
)
def test_logout_ends_the_sessions_of_its_scope(
    people: People, bob: Person, body: object, own: tuple[bool, bool], others: tuple[bool, bool]
) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")

    response = ann.post("/auth/logout", json=body)

    assert response.status_code == 204
    assert response.data == b""
    assert is_alive(ann) == own
    assert is_alive(elsewhere) == others
    assert is_alive(bob) == ALIVE


def test_a_token_is_revoked_after_its_logout(ann: Person) -> None:
    ann.post("/auth/logout")

    assert problem(ann.post("/auth/logout")) == (401, "token_revoked")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"scope": "everything"}, ("/scope", "invalid_format")),
        ({"scope": 1}, ("/scope", "wrong_type")),
        ({"scope": None}, ("/scope", "wrong_type")),
        ({"all": True}, ("/all", "unknown_field")),
        ([], ("", "wrong_type")),
    ],
)
def test_logout_refuses_another_scope(ann: Person, body: object, expected: tuple[str, str]) -> None:
    assert errors(ann.post("/auth/logout", json=body)) == {expected}
    assert ann.get("/account").status_code == 200
