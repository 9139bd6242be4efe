"""What the scaffolder makes of the words of its commands, and what it refuses."""

import json
from pathlib import Path

import pytest

from tools.scaffold.commands import API, new_resource
from tools.scaffold.kinds import KINDS
from tools.scaffold.resource import Refused, check_resource_name, parse_field, parse_fields, plural_of
from tools.scaffold.tree import Tree


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("title", "is no field"),
        ("", "is no field"),
        (":str(5)", "name it in snake_case"),
        ("title:string", "there is no type 'string'"),
        ("title:str", "write str(200)"),
        ("title:str()", "are whole numbers"),
        ("title:str(0)", "0 must be from 1 to 255"),
        ("title:str(256)", "256 must be from 1 to 255"),
        ("title:str(a)", "are whole numbers"),
        ("title:int(5)", "write int"),
        ("price:decimal(10)", "write decimal(10,2)"),
        ("price:decimal(2,2)", "more digits than places"),
        ("price:decimal(16,2)", "16 must be from 1 to 15"),
        ("Title:str(5)", "name it in snake_case"),
        ("ti__tle:str(5)", "name it in snake_case"),
        ("_title:str(5)", "name it in snake_case"),
        ("t" * 31 + ":int", "name it in snake_case"),
        ("class:int", "a word of Python's own"),
        ("id:int", "means something else already"),
        ("owner_id:int", "means something else already"),
        ("date:date", "means something else already"),
        ("sort:int", "means something else already"),
        ("model_name:int", "means something else already"),
        ("copy:int", "means something else already"),
        ("genre:enum", "name different choices"),
        ("genre:enum()", "name different choices"),
        ("genre:enum(a,a)", "name different choices"),
        ("genre:enum(a,B)", "name different choices"),
        ("genre:enum(a,')", "name different choices"),
        ("author:ref", "say what it refers to"),
        ("author:ref(User)", "say what it refers to"),
        ("size:int!?", "Choose one"),
        ("size:int!=5", "Choose one"),
        ("size:int?=5", "choose between"),
        ("size:int!!", "give each mark once"),
        ("size:int^=5", "cannot be unique"),
        ("data:json^", "cannot be unique"),
        ("note:text^", "cannot be unique"),
        ("size:int~", "~ lets clients search"),
        ("size:int=five", "does not fit its type"),
        ("size:int=2147483648", "does not fit its type"),
        ("price:decimal(4,2)=123.00", "does not fit its type"),
        ("price:decimal(4,2)=NaN", "does not fit its type"),
        ("title:str(3)=four", "is too long"),
        ("genre:enum(a,b)=c", "none of the choices"),
        ("active:bool=yes", "does not fit its type"),
        ("day:date=2026-02-30", "does not fit its type"),
        ("ratio:float=nan", "does not fit its type"),
        ("data:json={}", "has no default"),
        ("due:datetime=2026-01-01T00:00:00Z", "has no default"),
        ("code:uuid=8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1", "has no default"),
    ],
)
def test_a_field_that_cannot_be_is_refused_with_a_reason(spec: str, reason: str) -> None:
    with pytest.raises(Refused, match=f"(?s).*{reason.replace('(', '[(]').replace(')', '[)]')}"):
        parse_field(spec, "books")


@pytest.mark.parametrize("name", ["", "Book", "1book", "book_", "_book", "a__b", "bo-ok", "b" * 31, "../x"])
def test_a_resource_is_named_in_snake_case(name: str) -> None:
    with pytest.raises(Refused, match="in snake_case"):
        check_resource_name(name)


@pytest.mark.parametrize("name", ["class", "match"])
def test_a_resource_is_not_named_as_a_word_of_python(name: str) -> None:
    with pytest.raises(Refused, match="a word of Python's own"):
        check_resource_name(name)


def test_names_that_are_too_long_together_are_refused() -> None:
    with pytest.raises(Refused, match="44 characters fit"):
        parse_field(f"{'f' * 30}:int", "t" * 15)


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(Refused, match="two fields 'author_id'"):
        parse_fields(["author:ref(user)", "author_id:uuid"], "books")


def test_marks_say_what_a_field_must_and_may() -> None:
    title, published, genre, isbn = parse_fields(
        ["title:str(200)!~", "published:date?", "genre:enum(novel,poem)=poem", "isbn:str(13)^"], "books"
    )

    assert (title.is_required, title.is_searchable, title.arguments) == (True, True, (200,))
    assert (published.is_required, published.is_nullable) == (False, True)
    assert (genre.is_required, genre.is_nullable, genre.default) == (False, False, "poem")
    assert (isbn.is_required, isbn.is_unique) == (True, True)


@pytest.mark.parametrize(
    ("name", "plural"),
    [("book", "books"), ("box", "boxes"), ("entry", "entries"), ("day", "days"), ("church", "churches")],
)
def test_a_plural_is_made_as_english_does(name: str, plural: str) -> None:
    assert plural_of(name) == plural


@pytest.mark.parametrize(
    ("name", "field", "plural", "reason"),
    [
        ("user", "name:int", None, "There is a model User"),
        ("account", "name:int", None, "account.py exists"),
        ("trial", "name:int", "users", "There is a table 'users'"),
        ("sheep", "name:int", "sheep", "is the same in the plural"),
        ("trial", "author:ref(nobody)", None, "there is no resource 'nobody'"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, field: str, plural: str | None, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        new_resource(Tree(API), name, (field,), "public", plural, require_match=False)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree in which an author, and books that refer to authors and belong to somebody, have been made."""
    made = {"author": ("authors", "public", ["name:str(50)"]), "book": ("books", "owned", ["by:ref(author)"])}
    (tmp_path / "tools/scaffold/made").mkdir(parents=True)
    for name, (plural, access, fields) in made.items():
        kept = {"plural": plural, "access": access, "requires_match": False, "fields": fields}
        text = json.dumps(kept | {"migrations": [], "files": {}})
        (tmp_path / f"tools/scaffold/made/{name}.json").write_text(text)
    return Tree(tmp_path)


def test_what_is_referred_to_is_not_taken_back(tree: Tree) -> None:
    with pytest.raises(Refused, match="book refers to author"):
        tree.refuse_referred("author")
    tree.refuse_referred("book")


def test_a_reference_never_leads_to_what_is_anothers(tree: Tree) -> None:
    with pytest.raises(Refused, match="one user's own"):
        new_resource(tree, "loan", ("book:ref(book)",), "public", None, require_match=False)
    assert new_resource(tree, "prize", ("author:ref(author)",), "public", None, require_match=False)


def test_there_are_the_types_that_the_documentation_names() -> None:
    assert set(KINDS) == {
        "str", "text", "int", "decimal", "float", "bool", "date", "datetime", "uuid", "enum", "json", "email",
        "url", "ref",
    }  # fmt: skip
