"""The Postman collection and the .http files, as `flask postman` writes them. proof/clients runs them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask

from app.authentication import ACCESS_TOKEN, Caller
from app.blueprint import schemas
from kit.web import openapi
from kit.web.endpoint import endpoint
from kit.web.features import extend_schemas
from kit.web.schemas import RequestBody, ResponseBody, Text, example
from tests.support.paths import REPOSITORY
from tests.support.settings import NEVER_OPENED, WITHOUT_MAIL, settings_for
from tools.client_files import http_file, postman
from tools.client_files.steps import SCENARIO
from tools.flask_app import create_app

pytestmark = pytest.mark.any_database
COMMITTED = REPOSITORY / "postman"
NAME = "flask-api.postman_{}.json"


class NewNote(RequestBody):
    model_config = example(text="buy milk")

    text: str


class Note(ResponseBody):
    text: str


def make_app() -> Flask:
    """An app with the default settings, which has no mail."""
    return create_app(settings_for(NEVER_OPENED, **WITHOUT_MAIL))


def app_with_notes() -> Flask:
    """An app with another blueprint, registered without any other change."""
    blueprint = Blueprint("slips", __name__, url_prefix="/slips")

    @blueprint.post("")
    @endpoint(auth=ACCESS_TOKEN, body=NewNote, returns=Note, status=201)
    def add(caller: Caller, body: NewNote) -> Note:
        """Add a note."""
        return Note(text=body.text)

    @blueprint.get("/<slip_id>")
    @endpoint(returns=Note)
    def read(slip_id: str) -> Note:
        """Read a note."""
        return Note(text=slip_id)

    app = make_app()
    app.register_blueprint(blueprint)
    return app


class Account(schemas.Account):
    """Your own account."""

    pet: Text


class Login(schemas.Login):
    model_config = example(username="ann", password="correct horse battery staple", pet="rex")

    pet: Text


def app_with_an_optional_feature() -> Flask:
    """An app that has a tag and fields that the others don't have."""
    app = app_with_notes()
    extend_schemas(app, {schemas.Account: Account, schemas.Login: Login})
    return app


def requests(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the requests of a collection or a folder, in the order in which they are sent."""
    for each in item["item"]:
        if "item" in each:
            yield from requests(each)
        else:
            yield each


def operations(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (operation["tags"][0], method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def in_folders(collection: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return folder, method and path of each request. Paths are as in the document."""
    return {
        (folder["name"], item["request"]["method"], path_of(item["request"]["url"]))
        for folder in collection["item"]
        for item in requests(folder)
    }


def json_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the documented content of a response, for any media type."""
    return next(iter(answer.get("content", {}).values()), {})


def path_of(url: dict[str, Any]) -> str:
    return "/" + "/".join(re.sub(r"^:(\w+)$", r"{\1}", part) for part in url["path"])


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.build(make_app())


@pytest.fixture(scope="module")
def collection(document: dict[str, Any]) -> dict[str, Any]:
    return postman.collection(document)


def test_the_committed_files_are_up_to_date(tmp_path: Path) -> None:
    app = make_app()
    written = tmp_path / "postman"

    result = app.test_cli_runner().invoke(args=["postman", "--output", str(written)])
    (written / "openapi.json").write_text(openapi.text(app), encoding="utf-8")

    assert result.exit_code == 0, result.output
    assert {file.name: file.read_bytes() for file in written.iterdir()} == {
        file.name: file.read_bytes() for file in COMMITTED.iterdir()
    }, "run make docs"


def test_it_is_a_collection_of_format_2_1(collection: dict[str, Any]) -> None:
    assert collection["info"]["schema"].endswith("/v2.1.0/collection.json")
    for item in requests(collection):
        assert set(item) == {"id", "name", "event", "request", "response"}
        assert {"method", "url", "header", "auth", "description"} <= set(item["request"])
        assert item["request"]["url"]["raw"].startswith("{{baseUrl}}/")
        for saved in item["response"]:
            assert set(saved) >= {"id", "name", "originalRequest", "status", "code", "header", "body"}


def test_ids_are_unique(collection: dict[str, Any]) -> None:
    items = list(requests(collection))

    ids = [item["id"] for item in items]
    ids += [event["script"]["id"] for item in [collection, *items] for event in item["event"]]
    ids += [saved["id"] for item in items for saved in item["response"]]
    ids += [folder["id"] for folder in collection["item"]]
    assert len(set(ids)) == len(ids)


def test_every_operation_is_in_the_folder_of_its_tag(
    document: dict[str, Any], collection: dict[str, Any]
) -> None:
    assert operations(document) <= in_folders(collection)


def test_every_documented_response_is_saved_as_an_example(
    document: dict[str, Any], collection: dict[str, Any]
) -> None:
    saved = [example["name"] for item in requests(collection) for example in item["response"]]

    documented = [
        code
        for item in document["paths"].values()
        for operation in item.values()
        for answer in operation["responses"].values()
        for code in json_of(answer).get("examples", {"success": None})
    ]
    assert len(saved) == len(documented)
    assert {"409 username_taken", "201 Created", "204 No Content"} <= set(saved)


def test_every_script_is_skipped_after_a_429(collection: dict[str, Any]) -> None:
    [before, after] = collection["event"]
    assert before["listen"] == "prerequest"
    assert "baseUrl" in "".join(before["script"]["exec"])
    assert "setNextRequest(null)" in "".join(after["script"]["exec"])
    for item in requests(collection):
        [test] = item["event"]
        assert test["script"]["exec"][0] == "if (pm.response.code !== 429) {"
        assert test["script"]["exec"][-1] == "}"


def test_every_variable_is_defined(document: dict[str, Any], collection: dict[str, Any]) -> None:
    sent = json.dumps([item["request"] for item in requests(collection)])
    known = {value["key"] for value in postman.environment(document)["values"]}

    assert set(re.findall(r"{{(\w+)}}", sent)) <= known


def test_step_titles_are_unique() -> None:
    titles = [step.title for steps in SCENARIO.values() for step in steps]

    assert len(set(titles)) == len(titles)


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_app().test_cli_runner().invoke(args=["postman", "--output", str(tmp_path / name)])

    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()
        assert file.read_bytes().endswith(b"\n")


def test_a_view_added_by_hand_appears_everywhere() -> None:
    document = openapi.build(app_with_notes())
    collection = postman.collection(document)

    assert {("slips", "POST", "/slips"), ("slips", "GET", "/slips/{slip_id}")} <= in_folders(collection)
    notes = next(folder for folder in collection["item"] if folder["name"] == "slips")
    assert [item["name"] for item in requests(notes)][:3] == [
        "POST /slips",
        "GET /slips/{slip_id}",
        "POST /slips: an unknown parameter",
    ]
    assert json.loads(notes["item"][0]["request"]["body"]["raw"]) == {"text": "buy milk"}
    assert notes["item"][0]["request"]["auth"]["bearer"][0]["value"] == "{{access_token}}"
    for jetbrains in (False, True):
        assert "### POST /slips\n" in http_file.write(document, jetbrains=jetbrains)


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return openapi.build(app_with_an_optional_feature())


@pytest.fixture(scope="module")
def optional(document: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    return postman.collection(document, full)


def test_only_the_folder_of_an_optional_feature_can_be_skipped(optional: dict[str, Any]) -> None:
    skipping = {
        folder["name"]: "\n".join(folder["event"][0]["script"]["exec"])
        for folder in optional["item"]
        if "event" in folder
    }

    assert list(skipping) == ["slips"]
    assert 'tags.includes("slips")' in skipping["slips"]
    assert [folder["name"] for folder in optional["item"]][-2:] == ["slips", "the end"]
    assert 'pm.environment.set("tags"' in "\n".join(optional["event"][1]["script"]["exec"])


def test_without_optional_features_nothing_is_skipped(
    document: dict[str, Any], collection: dict[str, Any]
) -> None:
    assert postman.collection(document, document) == collection
    assert "skipRequest" not in json.dumps(collection)


def test_requests_for_every_api_have_no_optional_fields(
    document: dict[str, Any], optional: dict[str, Any]
) -> None:
    everywhere = [folder for folder in optional["item"] if folder["name"] != "slips"]

    assert everywhere == postman.collection(document)["item"]
    assert "pet" not in json.dumps([item["request"] for folder in everywhere for item in requests(folder)])


def test_responses_may_have_the_fields_of_an_optional_feature(
    full: dict[str, Any], optional: dict[str, Any]
) -> None:
    components = next(each["value"] for each in optional["variable"] if each["key"] == "components")
    account = json.loads(components)["schemas"]["Account"]

    assert "pet" in full["components"]["schemas"]["Account"]["required"]
    assert "pet" in account["properties"]
    assert "pet" not in account["required"]
    assert "username" in account["required"]


def test_an_optional_feature_has_http_files_of_its_own(
    document: dict[str, Any], full: dict[str, Any]
) -> None:
    files = http_file.files(document, full)

    assert list(files) == [
        "flask-api.http",
        "flask-api.jetbrains.http",
        "flask-api.slips.http",
        "flask-api.slips.jetbrains.http",
    ]
    assert files["flask-api.http"] == http_file.write(document)
    titles = re.findall("^### (.*)$", files["flask-api.slips.http"], re.MULTILINE)
    assert (titles[:2], titles[-1]) == (["Register", "Log in"], "Delete the remaining account")
    assert "POST /slips" in titles


def test_a_step_without_its_operation_is_reported() -> None:
    document = openapi.build(make_app())
    del document["paths"]["/account"]

    with pytest.raises(LookupError, match="account_read"):
        postman.collection(document)
