"""GET /auth/token and PUT /auth/token/<id>."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from kit.clock import now
from tests.support.credentials import bearer
from tests.support.people import People, Person
from tests.support.problems import errors, problem


def tokens(person: Person, query: str = "") -> list[dict[str, object]]:
    return list(person.get(f"/auth/token{query}").json["items"])


def test_the_list_has_every_field_of_a_token(ann: Person) -> None:
    listed = {item["token_type"]: item for item in tokens(ann)}

    assert set(listed) == {"access", "refresh"}
    access = listed["access"]
    assert set(access) == {
        "id", "session_id", "token_type", "issued_at", "expires_at", "revoked_at", "revoked_reason",
        "current", "user_agent", "ip",
    }  # fmt: skip
    assert access["session_id"] == ann.session_id
    assert (access["revoked_at"], access["revoked_reason"]) == (None, None)
    assert (access["user_agent"], access["ip"]) == ("tests", "192.0.2.1")
    assert (access["current"], listed["refresh"]["current"]) == (True, False)


def test_the_list_has_only_the_callers_tokens_newest_first(people: People, bob: Person) -> None:
    ann, later = people("ann"), people.log_in("ann")

    listed = tokens(ann)

    assert [item["session_id"] for item in listed] == [later.session_id] * 2 + [ann.session_id] * 2


def test_the_list_omits_dead_tokens_by_default(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    elsewhere.post("/auth/logout")

    assert {item["session_id"] for item in tokens(ann)} == {ann.session_id}
    everything = tokens(ann, "?active=false")
    assert {item["revoked_reason"] for item in everything if item["session_id"] == elsewhere.session_id} == {
        "logout"
    }
    assert len(everything) == 4


def test_the_list_omits_a_revoked_access_token(ann: Person) -> None:
    [token] = [each for each in ann.get("/auth/token").json["items"] if each["token_type"] == "access"]
    elsewhere = ann.client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]

    ann.put(f"/auth/token/{token['id']}", {"revoke": True})

    left = ann.client.get("/auth/token", headers=bearer(elsewhere)).json["items"]
    assert sorted(each["token_type"] for each in left) == ["access", "refresh"]
    assert token["id"] not in {each["id"] for each in left}


def test_the_list_omits_expired_tokens(client: object, people: People) -> None:
    people("ann")

    with time_machine.travel(now() + timedelta(seconds=901), tick=False):
        ann = people.log_in("ann")
        assert [item["token_type"] for item in tokens(ann)].count("access") == 1
        assert [item["token_type"] for item in tokens(ann, "?active=false")].count("access") == 2


def test_the_pages_contain_every_token_once(people: People) -> None:
    ann = people("ann")
    for _ in range(3):
        people.log_in("ann")
    whole = [item["id"] for item in tokens(ann)]

    paged: list[list[object]] = []
    query = "?limit=3"
    while query:
        page = ann.get(f"/auth/token{query}").json
        paged.append([item["id"] for item in page["items"]])
        query = page["next_cursor"] and f"?limit=3&cursor={page['next_cursor']}"

    assert [len(page) for page in paged] == [3, 3, 2]
    assert [id_ for page in paged for id_ in page] == whole


def test_an_exactly_full_page_is_the_last(people: People) -> None:
    ann = people("ann")

    assert ann.get("/auth/token?limit=2").json["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", ("limit", "invalid_format")),
        ("limit=-1", ("limit", "invalid_format")),
        ("limit=01", ("limit", "invalid_format")),
        ("limit=%2B1", ("limit", "invalid_format")),
        ("limit=1.0", ("limit", "invalid_format")),
        ("limit=1_0", ("limit", "invalid_format")),
        ("limit=%D9%A1", ("limit", "invalid_format")),
        ("limit=", ("limit", "invalid_format")),
        ("limit", ("limit", "invalid_format")),
        ("limit=101", ("limit", "too_large")),
        ("limit=1&limit=2", ("limit", "invalid_format")),
        ("active=True", ("active", "invalid_format")),
        ("active=1", ("active", "invalid_format")),
        ("cursor=", ("cursor", "invalid_format")),
        ("cursor=AAAA", ("cursor", "invalid_format")),
        ("cursor=%00", ("cursor", "invalid_format")),
        ("cursor=f" + "_" * 31, ("cursor", "invalid_format")),
        ("cursor=" + "x" * 8001, ("cursor", "too_long")),
        ("sort=-issued_at", ("sort", "unknown_field")),
        ("offset=1", ("offset", "unknown_field")),
    ],
)
def test_the_list_refuses_a_bad_query(ann: Person, query: str, expected: tuple[str, str]) -> None:
    assert errors(ann.get(f"/auth/token?{query}")) == {expected}


def test_revoking_an_access_token_keeps_its_session(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    id_ = next(i["id"] for i in tokens(elsewhere) if i["current"])

    response = ann.put(f"/auth/token/{id_}", json={"revoke": True})

    assert response.status_code == 200
    assert response.json["revoked_reason"] == "revoked"
    assert response.json["revoked_at"] is not None
    assert problem(elsewhere.get("/account")) == (401, "token_revoked")
    assert elsewhere.client.post("/auth/refresh", headers=bearer(elsewhere.refresh)).status_code == 200


def test_revoking_a_refresh_token_ends_its_session(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    id_ = next(
        i["id"]
        for i in tokens(elsewhere)
        if i["token_type"] == "refresh" and i["session_id"] == elsewhere.session_id
    )

    response = ann.put(f"/auth/token/{id_}", json={"revoke": True})

    assert response.json["revoked_reason"] == "revoked"
    assert problem(elsewhere.get("/account")) == (401, "token_revoked")
    assert problem(elsewhere.client.post("/auth/refresh", headers=bearer(elsewhere.refresh))) == (
        401,
        "token_revoked",
    )
    assert ann.get("/account").status_code == 200


def test_revoking_a_spent_refresh_token_ends_its_session_too(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    spent = next(i["id"] for i in tokens(elsewhere) if i["token_type"] == "refresh")
    successor = elsewhere.client.post("/auth/refresh", headers=bearer(elsewhere.refresh)).json

    response = ann.put(f"/auth/token/{spent}", json={"revoke": True})

    assert (response.status_code, response.json["revoked_reason"]) == (200, "rotated")
    assert problem(elsewhere.client.get("/account", headers=bearer(successor["access_token"])))[0] == 401


def test_revoking_again_changes_nothing(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    id_ = next(i["id"] for i in tokens(elsewhere) if i["current"])
    first = ann.put(f"/auth/token/{id_}", json={"revoke": True})

    again = ann.put(f"/auth/token/{id_}", json={"revoke": True})

    assert (again.status_code, again.json) == (200, first.json)


def test_an_ended_session_keeps_its_time_and_reason(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    elsewhere.post("/auth/logout")
    ended = [each for each in listed(ann) if each["session_id"] == elsewhere.session_id]

    ann.post("/auth/logout", {"scope": "others"})
    for token in ended:
        ann.put(f"/auth/token/{token['id']}", {"revoke": True})

    assert {token["revoked_reason"] for token in ended} == {"logout"}
    assert [each for each in listed(ann) if each["session_id"] == elsewhere.session_id] == ended


def listed(person: Person) -> list[dict[str, object]]:
    return list(person.get("/auth/token?active=false").json["items"])


def test_revoke_false_changes_nothing(ann: Person) -> None:
    before = tokens(ann)

    response = ann.put(f"/auth/token/{before[0]['id']}", json={"revoke": False})

    assert response.status_code == 200
    assert response.json == before[0]
    assert tokens(ann) == before


def test_a_revocation_is_final(people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")
    ids = [i["id"] for i in tokens(elsewhere) if i["session_id"] == elsewhere.session_id]
    elsewhere.post("/auth/logout")

    for id_ in ids:
        assert problem(ann.put(f"/auth/token/{id_}", json={"revoke": False})) == (409, "revocation_is_final")


def test_tokens_of_other_users_are_not_found(ann: Person, bob: Person) -> None:
    theirs = tokens(bob)[0]["id"]

    foreign = ann.put(f"/auth/token/{theirs}", json={"revoke": True})
    unknown = ann.put(f"/auth/token/{uuid4()}", json={"revoke": True})

    assert problem(foreign) == problem(unknown) == (404, "token_not_found")
    assert foreign.json["detail"] == unknown.json["detail"]
    assert bob.get("/account").status_code == 200


@pytest.mark.parametrize(
    "spell", [lambda id_: id_.replace("-", ""), lambda id_: "{" + id_ + "}", lambda _: "%00"]
)
def test_an_id_has_hyphens_and_nothing_around_it(ann: Person, spell) -> None:  # type: ignore[no-untyped-def]
    id_ = str(tokens(ann)[0]["id"])

    assert problem(ann.put(f"/auth/token/{spell(id_)}", json={"revoke": True})) == (404, "token_not_found")
    assert ann.get("/account").status_code == 200


def test_an_id_is_accepted_in_any_case(ann: Person) -> None:
    id_ = str(tokens(ann)[0]["id"])

    response = ann.put(f"/auth/token/{id_.upper()}", json={"revoke": True, "id": id_.upper()})

    assert (response.status_code, response.json["id"]) == (200, id_)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("/revoke", "required")),
        ({"revoke": 1}, ("/revoke", "wrong_type")),
        ({"revoke": "true"}, ("/revoke", "wrong_type")),
        ({"revoke": None}, ("/revoke", "wrong_type")),
        ({"revoke": True, "why": "x"}, ("/why", "unknown_field")),
    ],
)
def test_a_change_of_a_token_is_validated(ann: Person, body: object, expected: tuple[str, str]) -> None:
    id_ = tokens(ann)[0]["id"]

    assert errors(ann.put(f"/auth/token/{id_}", json=body)) == {expected}
