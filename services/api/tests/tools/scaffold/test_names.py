"""A name works in the generated code, or it is refused with the reason."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tools.scaffold.commands import API, new_resource
from tools.scaffold.plurals import plural_of, singular_of
from tools.scaffold.render import TEMPLATES
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


def words_of_templates() -> set[str]:
    """Return every word in the templates that could be a name."""
    text = " ".join(file.read_text(encoding="utf-8") for file in TEMPLATES.rglob("*.jinja"))
    words = re.findall(r"\w+", re.sub(r"([a-z])([A-Z])", r"\1_\2", text))
    return {word.lower() for word in words if NAME.fullmatch(word.lower()) and len(word) <= 20}


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
    loaded = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    taken = set(bound) | (loaded & set(dir(builtins)))
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


@cache
def candidates() -> list[str]:
    return sorted({*words_of_templates(), *NOUNS})


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_every_word_works_as_the_name_of_a_resource_or_is_refused(part: int) -> None:
    refused = []
    for name in candidates()[part::4]:
        try:
            texts = generate(name, *FIELDS)
        except ScaffoldError:
            refused.append(name)
            continue
        for path, text in texts.items():
            assert_no_name_is_shadowed(path, text)
    assert not set(refused) & set(NOUNS)
    assert len(refused) < len(candidates()[part::4]) / 3, refused


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_every_word_works_as_the_name_of_a_field_or_is_refused(part: int) -> None:
    refused = []
    for name in candidates()[part::4]:
        type_ = {"date": "date=today", "datetime": "datetime=now", "text": "text"}.get(name, "str(5)")
        try:
            texts = generate("trial_thing", "x:int", f"{name}:{type_}")
        except ScaffoldError:
            refused.append(name)
            continue
        for path, text in texts.items():
            assert_no_name_is_shadowed(path, text)
    assert not {"date", "datetime", "text", "now", "items", "example", "list", "str", "order"} & set(refused)
    assert len(refused) < len(candidates()[part::4]) / 3, refused


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("doc", "x:int", "The path /docs already exists"),
        ("problem", "x:int", "The path /problems already exists"),
        ("metric", "x:int", "The path /metrics already exists"),
        ("user_account", "x:int", "A schema UserAccountChange already exists"),
        ("health", "x:int", "health.py already exists"),
        ("sqlite_thing", "x:int", "SQLite reserves"),
        ("books", "x:int", "looks like a plural. Name one row: book"),
        ("trial", "sort:int", "the schema TrialQuery has 'sort' already"),
        ("trial", "limit:int", "the schema TrialQuery has 'limit' already"),
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

    assert 'url_prefix="/sheep"' in views
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
