"""An optional feature changes the schemas and the document of the app that has it, and of no other."""

import json

import pytest
from flask import Blueprint, Flask

from app import create_app
from kit.errors import NotFound
from kit.web import openapi
from kit.web.endpoint import endpoint
from kit.web.features import CookieScheme, accept_cookie, add_errors, add_fields, extend_schemas
from kit.web.schemas import RequestBody, ResponseBody, Text
from tests.support.settings import NEVER_OPENED, settings_for

blueprint = Blueprint("pets", __name__)


class NewPet(RequestBody):
    name: Text


class Pet(ResponseBody):
    name: Text


class NewPetWithOwner(NewPet):
    owner: Text


class PetWithOwner(Pet):
    owner: Text


@blueprint.post("/pets")
@endpoint(body=NewPet, returns=Pet, status=201, uses_database=False)
def add(body: NewPet) -> NewPet:
    """Add a pet."""
    return body


def pets_app() -> Flask:
    app = create_app(settings_for(NEVER_OPENED))
    app.register_blueprint(blueprint)
    return app


@pytest.fixture
def plain() -> Flask:
    return pets_app()


@pytest.fixture
def extended() -> Flask:
    app = pets_app()
    extend_schemas(app, {NewPet: NewPetWithOwner, Pet: PetWithOwner})
    add_errors(app, "pets.add", NotFound)
    return app


def test_a_feature_adds_fields_to_bodies(plain: Flask, extended: Flask) -> None:
    whole = {"name": "rex", "owner": "ann"}

    assert extended.test_client().post("/pets", json=whole).json == whole
    assert plain.test_client().post("/pets", json=whole).status_code == 422
    assert plain.test_client().post("/pets", json={"name": "rex"}).json == {"name": "rex"}


def test_a_feature_is_in_the_document_of_its_own_app_alone(plain: Flask, extended: Flask) -> None:
    responses = openapi.build(extended)["paths"]["/pets"]["post"]["responses"]

    assert "404" in responses
    assert "PetWithOwner" in json.dumps(responses["201"])
    assert "owner" not in json.dumps(openapi.build(plain)["paths"]["/pets"])


def test_fields_are_added_to_what_another_feature_has_extended(extended: Flask, plain: Flask) -> None:
    add_fields(extended, NewPet, age=(int, 1))
    add_fields(extended, Pet, age=(int, 1))
    whole = {"name": "rex", "owner": "ann", "age": 3}

    assert extended.test_client().post("/pets", json=whole).json == whole
    assert extended.test_client().post("/pets", json={"name": "rex"}).status_code == 422
    assert plain.test_client().post("/pets", json=whole).status_code == 422


def test_a_cookie_is_documented_as_another_credential(plain: Flask) -> None:
    accept_cookie(plain, "pets.add", CookieScheme("pet_cookie", "pet", "The pet."))

    document = openapi.build(plain)

    assert document["paths"]["/pets"]["post"]["security"] == [{"pet_cookie": []}]
    assert document["components"]["securitySchemes"]["pet_cookie"] == {
        "type": "apiKey",
        "in": "cookie",
        "name": "pet",
        "description": "The pet.",
    }


def test_a_replacement_must_have_the_fields_of_the_original(plain: Flask) -> None:
    with pytest.raises(TypeError, match="PetWithOwner must be a subclass of NewPet"):
        extend_schemas(plain, {NewPet: PetWithOwner})
