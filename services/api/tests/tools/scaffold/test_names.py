"""A name works in the generated code, or it is refused with the reason."""

import ast
import builtins
import re
from collections.abc import Iterator

import pytest

from tools.scaffold.commands import API, new_resource
from tools.scaffold.plurals import plural_of, singular_of
from tools.scaffold.resource import NAME, ScaffoldError
from tools.scaffold.tree import Tree

FIELDS = (
    "title:str(5)^", "price:decimal(10,2)", "rating:int(1..5)=3", "day:date=today", "person:ref(user)?",
    "kind:enum(a,B c)",
)  # fmt: skip
NOUNS = (
    *(
        "book",
        "person",
        "datum",
        "staff",
        "sheep",
        "news",
        "series",
        "analysis",
        "bus",
        "order_item",
        "event",
    ),
    *("record", "page", "role", "invoice", "address", "box", "city", "child", "message", "file", "group"),
)


def words_of(*files: str) -> set[str]:
    """Return every name in these files of a generated resource, in snake case."""
    texts = generate("trial", *FIELDS)
    nodes = [node for file in files for node in ast.walk(ast.parse(texts[file]))]
    names = {getattr(node, key, None) for node in nodes for key in ("id", "arg", "name", "asname")}
    words = {re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower() for name in names if isinstance(name, str)}
    return {word for word in words if NAME.fullmatch(word) and "trial" not in word and len(word) <= 20}


def generate(name: str, *fields: str, access: str = "public", plural: str | None = None) -> dict[str, str]:
    tree = Tree(API)
    resource = new_resource(
        tree, name, fields, access, plural, require_match=False, audited=True, soft_delete=True
    )
    return tree.texts(resource)


def bindings(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that the statements of one scope bind, without nested scopes."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in statement.names)
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def assert_no_name_is_shadowed(path: str, text: str) -> None:
    module = ast.parse(text)
    bound = list(bindings(module.body))
    assert len(bound) == len(set(bound)), (path, [name for name in bound if bound.count(name) > 1])
    taken = set(bound) | set(dir(builtins))
    for node in ast.walk(module):
        if path.startswith("app/") and isinstance(node, ast.FunctionDef):
            assert not set(bindings(node.body)) & taken, (path, node.name)
        if isinstance(node, ast.ClassDef):
            used = {
                each.id
                for statement in node.body
                for each in ast.walk(statement)
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
            }
            assert not set(bindings(node.body)) & used & taken, (path, node.name)


@pytest.mark.long
def test_every_name_works_as_the_name_of_a_resource_or_is_refused() -> None:
    words = words_of("app/blueprint/trial.py", "tests/factories/trial.py") | {*NOUNS}
    refused = set()
    for name in sorted(words):
        try:
            texts = generate(name, *FIELDS)
        except ScaffoldError:
            refused.add(name)
            continue
        for path, text in texts.items():
            assert_no_name_is_shadowed(path, text)
    assert not refused & {*NOUNS, "body", "caller", "field", "flask", "db", "date", "any", "json", "object"}
    assert len(words) > 80


@pytest.mark.long
def test_every_name_works_as_the_name_of_a_field_or_is_refused() -> None:
    words = words_of("app/model/trial.py", "app/blueprint/trial_schemas.py") | {"text", "datetime", "order"}
    refused = set()
    for name in sorted(words):
        type_ = {"date": "date=today", "datetime": "datetime=now", "text": "text"}.get(name, "str(5)")
        try:
            texts = generate("trial", "x:int", f"{name}:{type_}")
        except ScaffoldError:
            refused.add(name)
            continue
        for path, text in texts.items():
            assert_no_name_is_shadowed(path, text)
    assert not {"date", "datetime", "text", "now", "items", "example", "str", "order", "decimal"} & refused
    assert len(words) > 60


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("doc", "x:int", "The path /docs already exists"),
        ("problem", "x:int", "The path /problems already exists"),
        ("metric", "x:int", "The path /metrics already exists"),
        ("user_account", "x:int", "A schema UserAccountChange already exists"),
        ("health", "x:int", "health.py already exists"),
        ("true", "x:int", "is a Python keyword"),
        ("sqlite_thing", "x:int", "SQLite reserves"),  # part: sqlite
        ("books", "x:int", "looks like a plural. Name one row: book"),
        ("trial", "sort:int+", "the schema TrialQuery has 'sort' already"),
        ("trial", "limit:int+", "the schema TrialQuery has 'limit' already"),
        ("trial", "metadata:int", "the model Trial has 'metadata' already"),
        ("trial", "copy:int", "the schema NewTrial has 'copy' already"),
        ("trial", "of:int", "the schema TrialResponse has 'of' already"),
        ("trial", "id:int", "the model Trial has 'id' already"),
        ("trial", "deleted_at:datetime", "the model Trial has 'deleted_at' already"),
        ("trial", "owner_id:int", "names the owner of a row"),
        ("trial", "xmin:int", "every table has a column 'xmin'"),
    ],
)
def test_a_taken_name_is_refused_with_the_reason(name: str, field: str, reason: str) -> None:
    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        generate(name, field)


def test_a_name_of_the_generated_code_gets_an_alias() -> None:
    texts = generate("person", "date:date", "str:str(5)", "kind:enum(a,b)")

    model = texts["app/model/person.py"]
    assert "date as date_" in model
    assert "date: Mapped[date_] = mapped_column(Date)" in model
    assert "str: Mapped[builtins.str] = mapped_column(String(5))" in model
    assert "from app.model.person import Person as PersonModel" in texts["tests/factories/person.py"]


def test_a_resource_can_be_its_own_plural() -> None:
    views = generate("sheep", "x:int")["app/blueprint/sheep.py"]

    assert '@blueprint.get("/sheep")' in views
    assert "all_sheep = _sheep()\n    sheep = all_sheep.find_locked(sheep_id)" in views


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("book", "books"), ("box", "boxes"), ("entry", "entries"), ("day", "days"), ("person", "people"),
        ("datum", "data"), ("staff", "staff"), ("sheep", "sheep"), ("news", "news"), ("series", "series"),
        ("analysis", "analyses"), ("bus", "buses"), ("order_item", "order_items"), ("status", "statuses"),
    ],
)  # fmt: skip
def test_plurals_are_those_of_english(name: str, plural: str) -> None:
    assert (plural_of(name), singular_of(name)) == (plural, "")


@pytest.mark.parametrize(("plural", "name"), [("books", "book"), ("people", "person"), ("data", "datum")])
def test_a_plural_is_recognized(plural: str, name: str) -> None:
    assert singular_of(plural) == name
