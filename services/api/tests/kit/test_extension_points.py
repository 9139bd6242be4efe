"""Extensions either work, or stop the start with a message that names the place and the remedy."""

import enum
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from sqlalchemy import CheckConstraint, Enum, Integer, String, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from app import create_app
from app.authentication import role
from app.model.models import Reason, Role, Session, Token
from kit.data.base import Base
from kit.errors import DomainError, NotFound
from kit.web import openapi
from kit.web.endpoint import AuthRequirement, BearerScheme, endpoint
from kit.web.pagination import PageQuery, sortable
from kit.web.problems import problem_type
from kit.web.schemas import UNSET
from tests.support.settings import NEVER_OPENED, settings_for


class OutOfStock(DomainError):
    """An error without a row in PROBLEMS."""


class BookNotFound(NotFound):
    """An error that uses the row of its base class."""


def app_with(**declaration: Any) -> Flask:
    """Return an app with a view that has this declaration."""

    @endpoint(**declaration)
    def view() -> None:
        """Do nothing."""

    app = create_app(settings_for(NEVER_OPENED))
    blueprint = Blueprint("mine", __name__)
    blueprint.get("/mine")(view)
    app.register_blueprint(blueprint)
    openapi.check(app)
    return app


def test_a_custom_auth_requirement_is_documented() -> None:
    moderator = AuthRequirement(lambda _scope: None, (NotFound,), BearerScheme("api_key", "An API key."))

    document = openapi.build(app_with(auth=moderator))

    operation = document["paths"]["/mine"]["get"]
    assert operation["security"] == [{"api_key": []}]
    assert "404" in operation["responses"]
    assert document["components"]["securitySchemes"]["api_key"]["description"] == "An API key."


def test_admins_pass_every_role_and_the_document_names_the_roles() -> None:
    operation = openapi.build(app_with(auth=role(Role.USER)))["paths"]["/mine"]["get"]

    assert operation["security"] == [{"access_token": ["user", "admin"]}]
    assert operation["description"] == "Do nothing.\n\nRequires the role `user` or `admin`."


def test_a_subclass_of_an_error_has_the_same_problem() -> None:
    document = openapi.build(app_with(raises=[BookNotFound]))

    assert "404" in document["paths"]["/mine"]["get"]["responses"]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"raises": [OutOfStock]}, r"view declares raises=\[OutOfStock\].*app/blueprint/handlers.py"),
        (
            {
                "auth": AuthRequirement(
                    lambda _scope: None, (OutOfStock,), BearerScheme("api_key", "An API key.")
                )
            },
            r"view declares raises=\[OutOfStock\].*app/blueprint/handlers.py",
        ),
        ({"headers": ["X-Mine"]}, r"view declares headers=\['X-Mine'\].*app/blueprint/__init__.py"),
    ],
)
def test_an_undescribed_declaration_is_refused(declaration: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        app_with(**declaration)


def test_declarations_are_checked_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    @endpoint(headers=["X-Mine"])
    def view() -> None:
        """Do nothing."""

    blueprint = Blueprint("mine", __name__)
    blueprint.get("/mine")(view)
    monkeypatch.setattr("app.blueprint.BLUEPRINTS", (blueprint,))

    with pytest.raises(TypeError, match="X-Mine"):
        create_app(settings_for(NEVER_OPENED))


class Plant(Base):
    """A model with columns and other attributes."""

    __tablename__ = "plants_of_test_extension_points"

    height: Mapped[int]
    green: Mapped[bool]
    name: Mapped[str]

    @property
    def label(self) -> str:
        return self.name

    @hybrid_property
    def size(self) -> Any:
        return self.height * 2

    @hybrid_property
    def unknown(self) -> Any:
        return func.f(self.height)


Base.metadata.remove(Plant.__table__)  # type: ignore[arg-type]  # the app has no such table


def query(sort: str, **fields: Any) -> type[PageQuery]:
    members = {
        "rows": Plant,
        "reads_whole_list": True,
        "sort": sortable(sort, "name", default="name"),
        **fields,
    }
    annotations = {"sort": str} | dict.fromkeys(fields, str)
    return type(
        "PlantQuery", (PageQuery,), members | {"__annotations__": annotations, "__module__": __name__}
    )


def test_a_list_is_sorted_and_filtered_by_columns_and_computed_columns() -> None:
    assert query("height")
    assert query("size", size__gte=UNSET, name=UNSET, name__contains=UNSET)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: query("colour"), "Plant.colour doesn't exist"),
        (lambda: query("label"), "Plant.label isn't a column.*hybrid_property"),
        (lambda: query("unknown"), "SQL type of Plant.unknown.*type_coerce"),
        (lambda: query("size", q=UNSET), "Plant.q doesn't exist"),
        (lambda: query("size", size__contains=UNSET), "Plant.size can't be filtered by 'contains'.*gte"),
        (
            lambda: query("size", green__gte=UNSET),
            "Plant.green can't be filtered by 'gte'.*these operators: null",
        ),
        (lambda: query("size", name__like=UNSET), "Plant.name can't be filtered by 'like'.*contains"),
    ],
)
def test_a_query_field_without_a_column_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_default_sort_that_is_not_sortable_is_refused() -> None:
    with pytest.raises(TypeError, match=r"default='-colour'.*colour isn't among the names"):
        sortable("name", "size", default="-colour")


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("Shrub", CheckConstraint("height > 0"), "Shrub: give each CHECK constraint a name"),
        ("Fern", CheckConstraint("name <> ':x'", name="name"), "Fern: .*colon in CHECK .*Escape it"),
    ],
)
def test_an_invalid_check_constraint_is_refused(name: str, check: CheckConstraint, message: str) -> None:
    columns = {"height": mapped_column(Integer), "name": mapped_column(String(9)), "__table_args__": (check,)}
    with pytest.raises(TypeError, match=message):
        type(name, (Base,), columns | {"__tablename__": name.lower(), "__module__": __name__})
    if (table := Base.metadata.tables.get(name.lower())) is not None:
        Base.metadata.remove(table)


def test_an_enum_column_is_refused() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    with pytest.raises(TypeError, match=r"Flower\.colour: .*one_of"):
        type(
            "Flower",
            (Base,),
            {"__tablename__": "flowers", "colour": mapped_column(Enum(Colour)), "__module__": __name__},
        )
    Base.metadata.remove(Base.metadata.tables["flowers"])


def test_an_abstract_model_has_no_columns_to_refuse() -> None:
    assert type("Named", (Base,), {"__abstract__": True, "__module__": __name__})


def enum_columns() -> list[Any]:
    """Yield each column that stores an enum, with the enum."""
    found = [
        (table.columns[each.info["columns"][0]], each.info["values"])
        for table in Base.metadata.tables.values()
        for each in table.constraints
        if "values" in each.info
    ]
    return [*found, (Session.ended_reason, Reason), (Token.revoked_reason, Reason)]


@pytest.mark.parametrize(("column", "values"), enum_columns(), ids=str)
def test_a_column_is_long_enough_for_each_value_of_its_enum(column: Any, values: type[enum.StrEnum]) -> None:
    longest = max(values, key=len)

    assert len(longest) <= column.type.length, (
        f"Make {column} longer: String({len(longest)}) holds {longest!r}"
    )


class ISBNTaken(DomainError):
    """An error with an acronym in its name."""


class Unavailable(DomainError):
    """An error with an argument."""

    def __init__(self, until: str) -> None:
        super().__init__(f"Come back {until}.")


def test_a_problem_code_is_derived_from_the_name_of_the_error() -> None:
    assert problem_type(ISBNTaken, 409).code == "isbn_taken"
    assert problem_type(BookNotFound, 404).title == "Book not found"


def test_an_error_with_arguments_needs_a_meaning() -> None:
    assert problem_type(Unavailable, 503, meaning="It is closed.").meaning == "It is closed."
    with pytest.raises(TypeError, match="Describe it with meaning"):
        problem_type(Unavailable, 503)
