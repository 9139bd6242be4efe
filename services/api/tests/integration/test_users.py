"""/users: all accounts, for admins."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.blueprint.schemas import UserAccountList
from app.database import db
from app.exceptions import LastAdmin
from app.mail.schemas import UserAccount
from app.model.models import Reason, Role, User
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.data.keyset import Page
from kit.errors import AlreadyExists, InvalidCursor
from kit.security.hashers import Argon2id, PasswordHash
from kit.web.pagination import decode_cursor, page_response
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.problems import errors, problem

LAST = (409, "last_admin")
REVOKED = (401, "token_revoked")
STALE = (401, "fresh_token_required")
SHORT = {"fresh_seconds": 60}
ADVERSE: dict[str, dict[str, object]] = {"demoted": {"role": "user"}, "disabled": {"disabled": True}}


@pytest.fixture
def root(people: People) -> Person:
    return people("root", Role.ADMIN)


def names(response: TestResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["username"] for item in response.json["items"]]


def pages(admin: Person, path: str) -> list[list[str]]:
    """Follow the Link headers to the last page. Return the names on each page."""
    found = []
    while path:
        response = admin.get(path)
        found.append(names(response))
        link = response.headers.get("Link", "")
        assert bool(link) == bool(response.json["next_cursor"])
        path = link.removeprefix("<").removesuffix('>; rel="next"')
    return found


def log_in(client: FlaskClient, password: str = PASSWORD) -> TestResponse:
    return client.post("/auth/login", json={"username": "ann", "password": password})


def test_the_list_has_every_field_of_an_account_except_the_password(root: Person) -> None:
    item = root.get("/users").json["items"][0]

    assert set(item) == set(UserAccount.model_fields)
    assert (item["id"], item["username"], item["role"]) == (root.id, "root", "admin")
    assert item["disabled"] is False
    assert item["created_at"] == item["updated_at"]
    assert item["created_at"].endswith("Z")


LISTS = {
    "": ["cat", "bob", "ann", "root"],
    "sort=created_at": ["root", "ann", "bob", "cat"],
    "sort=username": ["ann", "bob", "cat", "root"],
    "sort=-username": ["root", "cat", "bob", "ann"],
    "sort=username,-created_at": ["ann", "bob", "cat", "root"],
    "sort=username,username,-username": ["ann", "bob", "cat", "root"],
    "role=admin": ["root"],
    "role=user&sort=username": ["ann", "bob", "cat"],
    "disabled=true": ["bob"],
    "disabled=false": ["cat", "ann", "root"],
    "role=user&disabled=false": ["cat", "ann"],
    "role=admin&disabled=true": [],
    "username=bob": ["bob"],
    "username=unknown": [],
    "username=not%20a%20name": [],
    "username__contains=o": ["bob", "root"],
    "username__contains=OO": ["root"],
    "username__contains=b&disabled=true": ["bob"],
}


def test_the_list_is_sorted_and_filtered(people: People, root: Person) -> None:
    for name in ("ann", "bob", "cat"):
        people.register(name)
    with people.app.app_context():
        bob = UserRepository(db.session).find_by_username("bob")
        assert bob
        bob.disabled = True
        db.session.commit()

    assert {query: names(root.get(f"/users?{query}")) for query in LISTS} == LISTS


def test_wildcards_in_a_name_filter_are_literal(people: People, root: Person) -> None:
    for name in ("a_b", "axb", "a.b"):
        people.register(name)
    wanted = {"_": ["a_b"], "a_": ["a_b"], "%25": [], "a%25b": [], "/": [], "/_": [], "\\_": [], "x": ["axb"]}

    found = {text: names(root.get(f"/users?username__contains={text}")) for text in wanted}

    assert found == wanted


@pytest.mark.parametrize(
    "sort", ["-created_at", "created_at", "username", "-username", "username,-created_at"]
)
def test_the_pages_contain_every_account_once(people: People, root: Person, sort: str) -> None:
    for name in ("bob", "ann", "cat", "dan", "eve"):
        people.register(name)
    whole = names(root.get(f"/users?sort={sort}"))

    for limit in (1, 2, 3, 4, 6):
        found = pages(root, f"/users?sort={sort}&limit={limit}")

        assert [name for page in found for name in page] == whole
        assert {len(page) for page in found[:-1]} <= {limit}
        assert len(found) == -(-6 // limit)


@pytest.mark.any_database
def test_the_link_to_the_next_page_keeps_the_query(people: People, root: Person) -> None:
    for name in ("a_b", "a_c", "a_d", "abc"):
        people.register(name)

    response = root.get("/users?username__contains=a_&sort=username&limit=2&role=user")

    target = urlsplit(response.headers["Link"].removeprefix("<").partition(">")[0])
    assert target.path == "/users"
    assert parse_qs(target.query) == {
        "username__contains": ["a_"],
        "sort": ["username"],
        "limit": ["2"],
        "role": ["user"],
        "cursor": [response.json["next_cursor"]],
    }
    assert names(root.get(target.geturl())) == ["a_d"]


def test_an_exactly_full_page_is_the_last(people: People, root: Person) -> None:
    people.register("ann")

    response = root.get("/users?limit=2")

    assert response.json["next_cursor"] is None
    assert "Link" not in response.headers


def test_paging_is_stable_while_accounts_are_created_and_deleted(people: People, root: Person) -> None:
    for name in ("ann", "bob", "cat", "dan"):
        people.register(name)
    first = root.get("/users?sort=username&limit=2")
    with people.app.app_context():
        users = UserRepository(db.session)
        for name in ("ann", "bob"):  # the next page starts after bob
            user = users.find_by_username(name)
            assert user
            users.remove(user.id)
        db.session.commit()
    for name in ("abe", "coe"):
        people.register(name)

    rest = pages(root, f"/users?sort=username&limit=2&cursor={first.json['next_cursor']}")

    assert names(first) == ["ann", "bob"]
    assert rest == [["cat", "coe"], ["dan", "root"]]


REFUSED = {
    "limit=0": ("limit", "invalid_format"),
    "limit=101": ("limit", "too_large"),
    "limit=1&limit=1": ("limit", "invalid_format"),
    "sort=": ("sort", "invalid_format"),
    "sort=id": ("sort", "invalid_format"),
    "sort=password_hash": ("sort", "invalid_format"),
    "sort=--username": ("sort", "invalid_format"),
    "sort=%2Busername": ("sort", "invalid_format"),
    "sort=username,": ("sort", "invalid_format"),
    "sort=username%0A": ("sort", "invalid_format"),
    "sort=username,created_at,username,created_at": ("sort", "invalid_format"),
    "sort=username&sort=username": ("sort", "invalid_format"),
    "role=root": ("role", "invalid_format"),
    "role=": ("role", "invalid_format"),
    "role=user&role=admin": ("role", "invalid_format"),
    "disabled=1": ("disabled", "invalid_format"),
    "disabled": ("disabled", "invalid_format"),
    "username=": ("username", "too_short"),
    "username=" + "a" * 65: ("username", "too_long"),
    "username__contains=": ("username__contains", "too_short"),
    "username__contains=%00": ("username__contains", "invalid_format"),
    "role__contains=a": ("role__contains", "unknown_field"),
    "username__gte=a": ("username__gte", "unknown_field"),
    "password_hash__contains=a": ("password_hash__contains", "unknown_field"),
    "offset=1": ("offset", "unknown_field"),
    "cursor=": ("cursor", "invalid_format"),
    "cursor=AAAA": ("cursor", "invalid_format"),
    "cursor=a.b": ("cursor", "invalid_format"),
    "cursor=" + "x" * 8001: ("cursor", "too_long"),
}


@pytest.mark.any_database
def test_the_list_refuses_a_bad_query(root: Person) -> None:
    found = {query: errors(root.get(f"/users?{query}")) for query in REFUSED}

    assert found == {query: {error} for query, error in REFUSED.items()}


def of_another_list(app: Flask) -> str:
    """Return a valid cursor of another list."""
    page = Page[User]([], "-created_at", ["2026-11-22T08:45:28+00:00", str(uuid4())])
    with app.test_request_context("/auth/token"):
        answer, _ = page_response(UserAccountList, page, UserAccount.of)
    assert answer.next_cursor
    return answer.next_cursor


@pytest.mark.any_database
def test_a_cursor_is_valid_only_for_its_list_and_sort(people: People, root: Person) -> None:
    people.register("ann")
    people.log_in("root")
    cursor = root.get("/users?limit=1").json["next_cursor"]
    of_tokens = root.get("/auth/token?limit=1").json["next_cursor"]
    payload, _, signature = cursor.rpartition(".")
    other = "A" if payload[9] != "A" else "B"

    wrong = [
        f"/users?cursor={of_tokens}",
        f"/users?cursor={of_another_list(people.app)}",
        f"/auth/token?cursor={cursor}",
        f"/users?sort=username&cursor={cursor}",
        f"/users?sort=created_at&cursor={cursor}",
        f"/users?cursor={payload[:9]}{other}{payload[10:]}.{signature}",
        f"/users?cursor={payload}.{signature[:-2]}",
        f"/users?cursor={payload}",
    ]

    for path in wrong:
        assert errors(root.get(path)) == {("cursor", "invalid_format")}, path
    assert root.get(f"/users?sort=-created_at&cursor={cursor}").status_code == 200


def test_a_cursor_is_valid_as_long_as_its_signing_key(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page[User]([], "username", ["日本", None, 0.1])
    settings = app.extensions["settings"]
    old, new = settings.secret_key, type(settings.secret_key)("n" * 64)

    def decode_with(*keys: object) -> list[Any] | None:
        update = {"secret_key": keys[0], "secret_key_fallbacks": keys[1:]}
        monkeypatch.setitem(app.extensions, "settings", settings.model_copy(update=update))
        return decode_cursor(body.next_cursor, "username")

    with app.test_request_context("/users"):
        body, _ = page_response(UserAccountList, page, UserAccount.of)

        assert decode_with(new, old) == page.next_values
        with pytest.raises(InvalidCursor):
            decode_with(new)


def test_an_account_is_read_with_its_version(root: Person, ann: Person) -> None:
    response = root.get(f"/users/{ann.id}")

    assert response.status_code == 200
    assert response.json == root.get("/users?username=ann").json["items"][0]
    etag = response.headers["ETag"]
    again = root.get(f"/users/{ann.id}", headers={"If-None-Match": etag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    root.patch(f"/users/{ann.id}", {"role": "admin"})
    changed = root.get(f"/users/{ann.id}", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json["role"]) == (200, "admin")


@pytest.mark.any_database
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda id_: f"urn:uuid:{id_}",
        lambda id_: id_.replace("-", ""),
        lambda id_: f"{{{id_}}}",
        lambda _: uuid4(),
        lambda _: "ann",
    ],
    ids=["URN", "no hyphens", "braces", "unknown", "not an id"],
)
def test_an_unknown_or_malformed_id_is_not_found(
    root: Person, ann: Person, method: str, spell: Callable[[str], object]
) -> None:
    body = {"disabled": True} if method == "PATCH" else None

    response = root.client.open(f"/users/{spell(ann.id)}", method=method, headers=root.headers, json=body)

    assert problem(response) == (404, "not_found")
    assert ann.get("/account").status_code == 200


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"role": "user"}), ("DELETE", None)])
def test_changing_an_account_requires_a_recent_login(
    app: Flask, people: People, root: Person, ann: Person, method: str, body: dict[str, object] | None
) -> None:
    people.register("bob", Role.ADMIN)
    refreshed = root.client.post("/auth/refresh", headers=bearer(root.refresh)).json["access_token"]

    def change(path: str, access: str) -> TestResponse:
        return root.client.open(path, method=method, json=body, headers=bearer(access))

    for path in (f"/users/{ann.id}", f"/users/{root.id}", f"/users/{uuid4()}"):
        assert problem(change(path, refreshed)) == STALE
    assert root.client.get(f"/users/{ann.id}", headers=bearer(refreshed)).status_code == 200
    with patch.dict(app.extensions, settings=app.extensions["settings"].model_copy(update=SHORT)):
        with time_machine.travel(now() + timedelta(seconds=75), tick=False):
            assert problem(change(f"/users/{ann.id}", root.access)) == STALE
        with time_machine.travel(now() + timedelta(seconds=58), tick=False):
            assert change(f"/users/{ann.id}", root.access).status_code in (200, 204)
            assert change(f"/users/{root.id}", root.access).status_code in (200, 204)


def test_a_user_with_an_old_login_is_not_asked_to_log_in_again(client: FlaskClient, ann: Person) -> None:
    refreshed = client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]

    response = client.delete(f"/users/{ann.id}", headers=bearer(refreshed))

    assert problem(response) == (403, "forbidden")


def test_an_admin_can_promote_others(root: Person, ann: Person) -> None:
    before = root.get(f"/users/{ann.id}").json
    assert problem(ann.get("/users")) == (403, "forbidden")

    response = root.patch(f"/users/{ann.id}", {"role": "admin"})

    assert (response.status_code, response.json["role"]) == (200, "admin")
    assert response.json["updated_at"] > before["updated_at"]
    assert response.headers["ETag"] == root.get(f"/users/{ann.id}").headers["ETag"]
    assert names(ann.get("/users?role=admin&sort=username")) == ["ann", "root"]
    assert ann.patch(f"/users/{root.id}", {"role": "user"}).json["role"] == "user"
    assert problem(root.get("/users")) == (403, "forbidden")


@pytest.mark.parametrize(
    "body", [{}, {"role": "user"}, {"disabled": False}, {"role": "user", "disabled": False}]
)
def test_an_unchanged_value_changes_nothing(root: Person, ann: Person, body: dict[str, object]) -> None:
    before = root.get(f"/users/{ann.id}")

    response = root.patch(f"/users/{ann.id}", body)

    assert (response.status_code, response.json) == (200, before.json)
    assert response.headers["ETag"] == before.headers["ETag"]
    assert ann.get("/account").status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"role": None}, ("/role", "wrong_type")),
        ({"role": "root"}, ("/role", "invalid_format")),
        ({"role": ["admin"]}, ("/role", "wrong_type")),
        ({"disabled": None}, ("/disabled", "wrong_type")),
        ({"disabled": "true"}, ("/disabled", "wrong_type")),
        ({"disabled": 1}, ("/disabled", "wrong_type")),
        ({"username": "anna"}, ("/username", "read_only")),
        ({"username": "ANN", "disabled": True}, ("/username", "read_only")),
        ({"password": PASSWORD}, ("/password", "unknown_field")),
        ({"password_hash": "x"}, ("/password_hash", "unknown_field")),
    ],
)
def test_a_change_of_an_account_is_validated(
    root: Person, ann: Person, body: object, expected: tuple[str, str]
) -> None:
    assert errors(root.patch(f"/users/{ann.id}", body)) == {expected}


def test_an_account_can_be_sent_back_as_it_was_read(root: Person, ann: Person) -> None:
    read: Any = root.get(f"/users/{ann.id}").json

    unchanged = root.patch(f"/users/{ann.id}", read)
    promoted = root.patch(f"/users/{ann.id}", read | {"role": "admin", "id": "x", "updated_at": None})

    assert (unchanged.status_code, unchanged.json) == (200, read)
    assert promoted.json == read | {"role": "admin", "updated_at": promoted.json["updated_at"]}


@pytest.mark.parametrize("spell", [str.upper, str.title])
def test_an_id_is_accepted_in_any_case(root: Person, ann: Person, spell: Callable[[str], str]) -> None:
    response = root.get(f"/users/{spell(ann.id)}")

    assert (response.status_code, response.json["id"]) == (200, ann.id)


def test_disabling_ends_all_sessions_at_once(people: People, root: Person, ann: Person) -> None:
    elsewhere = people.log_in("ann")

    response = root.patch(f"/users/{ann.id}", {"disabled": True})

    assert (response.status_code, response.json["disabled"]) == (200, True)
    for session in (ann, elsewhere):
        assert problem(session.get("/account")) == REVOKED
        assert problem(session.client.post("/auth/refresh", headers=bearer(session.refresh))) == REVOKED


def test_a_live_session_of_a_disabled_account_is_refused(
    app: Flask, people: People, root: Person, ann: Person
) -> None:
    root.patch(f"/users/{ann.id}", {"disabled": True})

    late = people.log_in("ann")  # bypasses the login endpoint, which would refuse it

    assert problem(late.get("/account")) == REVOKED


def test_logging_in_to_a_disabled_account_fails_like_a_wrong_password(
    client: FlaskClient, root: Person, ann: Person
) -> None:
    wrong = log_in(client, "wrong horse battery staple")
    root.patch(f"/users/{ann.id}", {"disabled": True})

    with (
        patch.object(Argon2id, "verify", autospec=True, side_effect=Argon2id.verify) as verify,
        patch.object(Argon2id, "hash") as hash_,
    ):
        right = log_in(client)

    assert (verify.call_count, hash_.call_count) == (1, 0)
    assert problem(right) == problem(wrong) == (401, "invalid_credentials")
    own, other = right.headers["X-Request-ID"], wrong.headers["X-Request-ID"]
    assert right.text.replace(own, other) == wrong.text
    assert str(right.headers).replace(own, other) == str(wrong.headers)


def test_enabling_revives_no_session(client: FlaskClient, root: Person, ann: Person) -> None:
    root.patch(f"/users/{ann.id}", {"disabled": True})

    response = root.patch(f"/users/{ann.id}", {"disabled": False})

    assert (response.status_code, response.json["disabled"]) == (200, False)
    assert problem(ann.get("/account")) == REVOKED
    assert problem(client.post("/auth/refresh", headers=bearer(ann.refresh))) == REVOKED
    assert log_in(client).status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize("if_match", ['"another"', "{}, x", "W/{}", "", "0", '""', 'W/""', ","])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_an_outdated_version_of_an_account_cannot_be_changed(
    root: Person, ann: Person, method: str, if_match: str
) -> None:
    before = root.get(f"/users/{ann.id}")
    root.patch(f"/users/{ann.id}", {"role": "admin"})
    headers = {"If-Match": if_match.format(before.headers["ETag"])}
    body = {"disabled": True} if method == "PATCH" else None

    response = root.client.open(f"/users/{ann.id}", method=method, headers=root.headers | headers, json=body)

    assert problem(response) == (412, "precondition_failed")
    assert ann.get("/account").status_code == 200


@pytest.mark.parametrize(
    "if_match", ['"{}"', '"another", "{}"', "*", 'W/"{}"', '"{}-gzip"', '"{};gzip"', 'W/"{}-br"']
)
def test_the_current_version_can_be_changed_and_deleted(root: Person, ann: Person, if_match: str) -> None:
    """Proxies that compress responses change the ETag."""

    def named() -> dict[str, str]:
        tag = root.get(f"/users/{ann.id}").headers["ETag"].strip('"')
        return {"If-Match": if_match.format(tag)}

    assert root.patch(f"/users/{ann.id}", {"role": "admin"}, headers=named()).status_code == 200
    assert root.delete(f"/users/{ann.id}", headers=named()).status_code == 204


def test_deleting_an_account_deletes_its_rows(
    client: FlaskClient, people: People, root: Person, ann: Person
) -> None:
    response = root.delete(f"/users/{ann.id}")

    assert (response.status_code, response.data) == (204, b"")
    assert problem(root.get(f"/users/{ann.id}")) == (404, "not_found")
    assert problem(root.delete(f"/users/{ann.id}")) == (404, "not_found")
    assert problem(ann.get("/account")) == REVOKED
    assert problem(log_in(client)) == (401, "invalid_credentials")
    assert names(root.get("/users")) == ["root"]
    assert people("ann").get("/account").status_code == 200


WAYS_OUT: dict[str, Callable[[Person], TestResponse]] = {
    "demoted": lambda root: root.patch(f"/users/{root.id}", ADVERSE["demoted"]),
    "disabled": lambda root: root.patch(f"/users/{root.id}", ADVERSE["disabled"]),
    "deleted": lambda root: root.delete(f"/users/{root.id}"),
    "leaving": lambda root: root.delete("/account"),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_the_last_admin_cannot_be_removed(people: People, root: Person, ann: Person, way: str) -> None:
    assert problem(WAYS_OUT[way](root)) == LAST

    assert names(root.get("/users?role=admin&disabled=false")) == ["root"]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_an_admin_can_be_removed_if_another_remains(people: People, root: Person, way: str) -> None:
    people.register("bob", Role.ADMIN)

    assert WAYS_OUT[way](root).status_code in (200, 204)


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_disabled_admin_does_not_count_as_one(people: People, root: Person, way: str) -> None:
    bob = people("bob", Role.ADMIN)
    root.patch(f"/users/{bob.id}", {"disabled": True})

    assert problem(WAYS_OUT[way](root)) == LAST


@pytest.mark.parametrize("body", [{"role": "user"}, {"disabled": False}, {"disabled": True}])
def test_the_last_admin_can_change_a_disabled_one(
    people: People, root: Person, body: dict[str, object]
) -> None:
    bob = people("bob", Role.ADMIN)
    root.patch(f"/users/{bob.id}", {"disabled": True})

    assert root.patch(f"/users/{bob.id}", body).status_code == 200
    assert root.delete(f"/users/{bob.id}").status_code == 204


MEANWHILE: dict[str, tuple[Callable[[UserRepository, User, UUID], object], tuple[int, str]]] = {
    "demoted": (
        lambda users, bob, _: users.set_role_and_status(bob, role=Role.USER, disabled=None),
        (403, "forbidden"),
    ),
    "disabled": (lambda users, bob, _: users.set_role_and_status(bob, role=None, disabled=True), REVOKED),
    "deleted": (lambda users, bob, _: users.remove(bob.id), REVOKED),
    "logged out": (
        lambda users, _, session_id: SessionRepository(users.session).end(session_id, Reason.LOGOUT),
        REVOKED,
    ),
}


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_an_admin_who_loses_the_right_while_a_request_waits_changes_nothing(
    committed_app: Flask, password_hash: PasswordHash, meanwhile: str, method: str
) -> None:
    people = People(committed_app, password_hash)
    ann, bob, cat = people("ann", Role.ADMIN), people("bob", Role.ADMIN), people("cat")
    lose, expected = MEANWHILE[meanwhile]
    body = {"role": "admin"} if method == "PATCH" else None

    with committed_app.app_context(), ThreadPoolExecutor(1) as pool:
        users = UserRepository(db.session)
        lose(users, lock_for(users, ann, bob), UUID(bob.session_id))
        request = pool.submit(
            bob.client.open, f"/users/{cat.id}", method=method, headers=bob.headers, json=body
        )
        time.sleep(0.3)  # by now, the request is waiting or done
        db.session.commit()

    assert problem(request.result(timeout=60)) == expected
    assert cat.get("/account").json["role"] == "user"


def lock_for(users: UserRepository, admin: Person, changed: Person) -> User:
    """Lock the account that an admin changes."""
    [token_id] = [item["id"] for item in admin.get("/auth/token").json["items"] if item["current"]]
    return users.lock_for_admin_change(
        UUID(changed.id),
        by=UUID(admin.id),
        session_id=UUID(admin.session_id),
        token_id=UUID(token_id),
        leeway=timedelta(seconds=10),
    )


def admins(users: Sequence[User]) -> list[str]:
    return [user.username for user in users if user.role == Role.ADMIN and not user.disabled]


@pytest.mark.parametrize("attempt", range(3))
def test_many_admins_who_demote_each_other_at_once_leave_one(
    committed_app: Flask, password_hash: PasswordHash, attempt: int
) -> None:
    people = People(committed_app, password_hash)
    ring = [people(name, Role.ADMIN) for name in ("ann", "bob", "cat", "dan")]
    ways = [*ADVERSE.values(), None, {"role": "user"}]

    def demote(at: int) -> int:
        path = f"/users/{ring[at - 1].id}"
        body = ways[at]
        return (ring[at].patch(path, body) if body else ring[at].delete(path)).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(demote, range(4)))

    assert set(answers) <= {200, 204, 401, 403, 404, 409}
    with committed_app.app_context():
        assert admins(db.session.query(User).all())


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/users"), ("GET", "/users/{}"), ("PATCH", "/users/{}"), ("DELETE", "/users/{}")],
)
def test_users_without_the_admin_role_always_get_403(
    root: Person, ann: Person, bob: Person, method: str, path: str
) -> None:
    body = {"role": "admin"} if method == "PATCH" else None

    for id_ in (ann.id, bob.id, uuid4()):
        response = ann.client.open(path.format(id_), method=method, headers=ann.headers, json=body)
        assert problem(response) == (403, "forbidden")
    assert names(root.get("/users?sort=username")) == ["ann", "bob", "root"]


def test_the_last_admin_cannot_get_another_role(app: Flask, people: People) -> None:
    root = people("root", Role.ADMIN)

    with app.app_context():
        users = UserRepository(db.session)
        user = lock_for(users, root, root)

        with pytest.raises(LastAdmin):
            users.set_role_and_status(user, role=cast("Role", "astronaut"), disabled=None)


def test_another_unique_column_is_not_reported_as_a_taken_username(app: Flask) -> None:
    with app.app_context():
        db.session.execute(text("CREATE UNIQUE INDEX of_this_test ON users (password_hash)"))
        users = UserRepository(db.session)
        users.register("ann", PasswordHash("the same"))

        with pytest.raises(AlreadyExists):
            users.register("bob", PasswordHash("the same"))
