"""How the scaffolder parses its arguments, and which ones it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tools.scaffold.commands import API, access_of, new_resource
from tools.scaffold.kinds import KINDS
from tools.scaffold.many import parse_many
from tools.scaffold.resource import (
    Resource,
    ScaffoldError,
    check_resource_name,
    parse_field,
    parse_fields,
)
from tools.scaffold.tree import Tree


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("title", "is not a field"),
        ("", "is not a field"),
        (":str(5)", "use a name in snake_case"),
        ("title:string", "unknown type 'string'"),
        ("title:str", "write the type as str(200)"),
        ("title:str()", "must be whole numbers"),
        ("title:str(0)", "0 is out of range (1 to 255)"),
        ("title:str(256)", "256 is out of range (1 to 255)"),
        ("title:str(a)", "must be whole numbers"),
        ("title:int(5)", "write the type as int"),
        ("price:decimal(10)", "write the type as decimal(10,2)"),
        ("price:decimal(2,2)", "more digits than decimal places"),
        ("price:decimal(16,2)", "16 is out of range (1 to 15)"),
        ("Title:str(5)", "use a name in snake_case"),
        ("ti__tle:str(5)", "use a name in snake_case"),
        ("_title:str(5)", "use a name in snake_case"),
        ("t" * 31 + ":int", "use a name in snake_case"),
        ("class:int", "is a Python keyword"),
        ("genre:enum", "list the values"),
        ("genre:enum()", "list the values"),
        ("genre:enum(a,)", "list the values"),
        ("genre:enum(a,a)", "the value 'a' is repeated"),
        ("genre:enum(a,\tb\nc)", "control character"),
        (f"genre:enum({'x' * 101})", "more than 100 characters"),
        ("rating:int(5..1)", "is not a valid range"),
        ("rating:int(..)", "is not a valid range"),
        ("rating:int(1.5..)", "Write the type as int, int(1..5)"),
        ("rating:int(1..2147483648)", "is not a valid range"),
        ("rating:int(1..5)=6", "the default is outside of the range"),
        ("rating:int(1..5)^", "at least 100 values"),
        ("code:str(1)^", "at least 100 values"),
        ("price:decimal(4,1,0.05..)", "the limits can have 1 decimal places"),
        ("price:decimal(4,2,0..)=-1", "the default is outside of the range"),
        ("title:str(3..)", "str(200) or str(3..200)"),
        ("title:str(0..9)", "the length 0 is out of range"),
        ("title:str(3..9)=ab", "the default is outside of the range"),
        ("note:text(..0)", "the length 0 leaves no value"),
        ("day:date(1999-02-30..)", "is not a valid range"),
        ("day:date(..2000-01-01)=today", "the default is outside of the range"),
        ("price:decimal(3,2,100..)", "the limits can have 1 digits before the point"),
        ("cover:file(multipart/form-data,1MB)", "a form can't be a file"),
        ("kind:enum(a,\u202eb)", "another control character"),
        ("active:bool=maybe", "Write yes or no"),
        ("count:int=1,000", "without commas"),
        ("due:datetime=tomorrow", "a date, or now"),
        ("code:uuid=new", "Write random, or a UUID"),
        ("author:ref", "write the type as ref(author) or ref(author,cascade)"),
        ("author:ref()", "write the type as ref(author) or ref(author,cascade)"),
        ("author:ref(User)", "write the type as ref(author) or ref(author,cascade)"),
        ("author:ref(user,delete)", "write the type as ref(author) or ref(author,cascade)"),
        ("size:int!?", "required (!) or optional"),
        ("size:int!=5", "required (!) or optional"),
        ("size:int?=5", "null (?) or has a default"),
        ("size:int!!", "a mark is repeated"),
        ("size:int^=5", "can't be unique"),
        ("data:json^", "can't be unique"),
        ("note:text^", "can't be unique"),
        ("size:int~", "can be searchable"),
        ("title:str(2)~", "room for at least three characters"),
        ("author:ref(user)?+", "a reference always has an index. Leave out the +."),
        ("note:text+", "text can't have an index"),
        ("data:json+", "json can't have an index"),
        ("home:url+", "url can't have an index"),
        ("size:int++", "a mark is repeated"),
        ("size:int=five", "is not a valid"),
        ("size:int=2147483648", "is not a valid"),
        ("price:decimal(4,2)=123.00", "is not a valid"),
        ("price:decimal(4,2)=NaN", "is not a valid"),
        ("title:str(3)=four", "text of a valid length"),
        ("genre:enum(a,b)=c", "Write one of the values"),
        ("day:date=2026-02-30", "is not a valid"),
        ("ratio:float=nan", "is not a valid"),
        ("data:json={}", "can't have a default"),
    ],
)
def test_an_invalid_field_is_refused_with_a_reason(spec: str, reason: str) -> None:
    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        parse_field(spec, "books")


@pytest.mark.parametrize("name", ["", "Book", "1book", "book_", "_book", "a__b", "bo-ok", "b" * 31, "../x"])
def test_a_resource_name_is_in_snake_case(name: str) -> None:
    with pytest.raises(ScaffoldError, match="snake_case"):
        check_resource_name(name)


@pytest.mark.parametrize("name", ["class", "match"])
def test_a_resource_name_is_not_a_python_keyword(name: str) -> None:
    with pytest.raises(ScaffoldError, match="is a Python keyword"):
        check_resource_name(name)


def test_a_column_name_too_long_for_its_table_is_refused() -> None:
    with pytest.raises(ScaffoldError, match="at most 44 characters"):
        parse_field(f"{'f' * 30}:int", "t" * 15)


def test_two_fields_with_the_same_name_are_refused() -> None:
    with pytest.raises(ScaffoldError, match="Two fields are named 'author_id'"):
        parse_fields(["author:ref(user)", "author_id:uuid"], "books")


def test_marks_are_parsed() -> None:
    title, published, genre, isbn = parse_fields(
        ["title:str(200)!~", "published:date?", "genre:enum(novel,poem)=poem", "isbn:str(13)^"], "books"
    )

    assert (title.is_required, title.is_searchable, title.arguments) == (True, True, (200,))
    assert (published.is_required, published.is_nullable) == (False, True)
    assert (genre.is_required, genre.is_nullable, genre.default) == (False, False, "poem")
    assert (isbn.is_required, isbn.is_unique) == (True, True)


@pytest.mark.parametrize(
    ("name", "field", "plural", "reason"),
    [
        ("user", "name:int", None, "user_repository.py already exists"),
        ("account", "name:int", None, "account.py already exists"),
        ("trial", "name:int", "users", "A table 'users' already exists"),
        ("trial", "name:int", "pg_class", "PostgreSQL reserves table names"),
        ("trial", "author:ref(unknown)", None, "unknown resource 'unknown'"),
    ],
)
def test_an_invalid_resource_is_refused(name: str, field: str, plural: str | None, reason: str) -> None:
    with pytest.raises(ScaffoldError, match=reason):
        new_resource(Tree(API), name, (field,), "public", plural, require_match=False)


@pytest.mark.parametrize(("name", "reason"), [("password", "The event 'password_changed' already exists")])
def test_an_audited_resource_needs_names_of_its_own(name: str, reason: str) -> None:
    with pytest.raises(ScaffoldError, match=reason):
        new_resource(Tree(API), name, ("size:int",), "public", None, require_match=False, audited=True)
    new_resource(Tree(API), name, ("size:int",), "public", None, require_match=False)


def made(folder: Path, **resources: tuple[str, ...]) -> Tree:
    """Return a tree of generated resources, each given as its access and its fields."""
    (folder / "tools/scaffold/made").mkdir(parents=True)
    for package in ("app/blueprint", "app/model"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("")
    for name, (access, *fields) in resources.items():
        kept = {"plural": f"{name}s", "access": access, "requires_match": False, "fields": fields}
        text = json.dumps(kept | {"migrations": [], "files": {}})
        (folder / f"tools/scaffold/made/{name}.json").write_text(text)
    return Tree(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Authors, articles of a user, comments on them, and books, which have an owner."""
    return made(
        tmp_path,
        author=("public", "name:str(50)"),
        article=("public", "writer:ref(user,cascade)", "about:ref(author)"),
        comment=("public", "article:ref(article,cascade)"),
        book=("owned", "by:ref(author)"),
    )


def new(tree: Tree, *fields: str) -> Resource:
    return new_resource(tree, "trial", fields, "public", None, require_match=False)


def test_a_referenced_resource_is_not_removed(tree: Tree) -> None:
    with pytest.raises(ScaffoldError, match="article refers to author"):
        tree.refuse_if_referenced("author")
    tree.refuse_if_referenced("book")


@pytest.mark.parametrize("field", ["book:ref(book)", "book:ref(book)?", "book:ref(book,cascade)"])
def test_a_reference_to_an_owned_resource_is_refused(tree: Tree, field: str) -> None:
    with pytest.raises(ScaffoldError, match="belongs to one user"):
        new(tree, field)


@pytest.mark.parametrize("target", ["user", "article", "comment"])
def test_a_reference_that_would_keep_an_account_from_being_deleted_is_refused(
    tree: Tree, target: str
) -> None:
    with pytest.raises(ScaffoldError, match="prevent users from deleting their account") as refused:
        new(tree, f"to:ref({target})")

    allowed = re.findall(r"'(to:\S+)'", refused.value.message.partition("Write")[2])
    assert allowed == [f"to:ref({target})?", f"to:ref({target},cascade)"]
    assert [new(tree, field).fields[0].on_delete for field in allowed] == ["SET NULL", "CASCADE"]


def test_a_file_and_a_list_by_parent_have_different_paths(tree: Tree) -> None:
    author = tree.record("author").resource
    fields = parse_fields(["name:str(50)", "articles:file(image/png,1MB)"], "authors")

    with pytest.raises(ScaffoldError, match="GET /authors/<uuid:author_id>/articles would be this file"):
        tree.refuse_references(replace(author, fields=fields))


def test_a_field_that_ties_referenced_rows_to_an_account_is_refused(tree: Tree) -> None:
    author = tree.record("author").resource
    tied = replace(author, fields=parse_fields(["name:str(50)", "creator:ref(user,cascade)?"], "authors"))

    with pytest.raises(ScaffoldError, match=r"'about:ref\(author\)' of article"):
        tree.refuse_references(tied)


@pytest.mark.parametrize(
    ("field", "on_delete"),
    [
        ("author:ref(author)", "RESTRICT"),
        ("author:ref(author)?", "SET NULL"),
        ("author:ref(author,cascade)", "CASCADE"),
        ("author:ref(author, cascade)?", "CASCADE"),
    ],
)
def test_a_reference_restricts_deletions_unless_declared_otherwise(
    tree: Tree, field: str, on_delete: str
) -> None:
    assert new(tree, field).fields[0].on_delete == on_delete


@pytest.mark.parametrize(
    ("uniques", "reason"),
    [
        (["to,pages"], "there is no field 'pages'. The fields are to, name, kind, note, owner"),
        (["to,"], "there is no field ''"),
        (["to,to_id"], "a field is repeated"),
        (["owner"], "name at least two fields"),
        (["name"], "add the mark ^"),
        (["to,note"], "'note' is a text field, which can't be unique"),
        (["owner,kind"], "these fields have too few values"),
        (["to,kind", "kind,to_id"], "these fields are already unique together"),
    ],
)
def test_an_invalid_combination_of_unique_fields_is_refused(
    tree: Tree, uniques: list[str], reason: str
) -> None:
    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        authored(tree, *uniques)


def test_fields_that_are_unique_together_are_named_as_typed_or_as_columns(tree: Tree) -> None:
    resource = authored(tree, "owner,to_id", "kind, name ,to")

    assert resource.uniques == (("owner_id", "to_id"), ("kind", "name", "to_id"))


def test_the_owner_of_an_owned_resource_is_part_of_each_combination(tree: Tree) -> None:
    fields = ("name:str(9)", "size:int", "code:int^")
    options = {"require_match": False, "uniques": ("name,size",)}
    owned = new_resource(tree, "trial", fields, "owned", None, **options)  # type: ignore[arg-type]

    assert tree.view(owned).uniques == [("owner_id", "code"), ("owner_id", "name", "size")]
    with pytest.raises(ScaffoldError, match="the owner is always included"):
        new_resource(tree, "trial", fields, "owned", None, require_match=False, uniques=("owner,name",))


def test_a_constraint_with_too_long_a_name_is_refused(tree: Tree) -> None:
    names = ["a" * 25, "b" * 25, "c" * 25]
    fields = tuple(f"{name}:int" for name in names)

    with pytest.raises(ScaffoldError, match="at most 63 characters"):
        new_resource(tree, "trial", fields, "public", None, require_match=False, uniques=(",".join(names),))


def authored(tree: Tree, *uniques: str) -> Resource:
    fields = ("to:ref(author)?", "name:str(9)", "kind:enum(a,b)", "note:text")
    return new_resource(tree, "trial", fields, "authored", None, require_match=False, uniques=uniques)


@pytest.mark.parametrize("field", ["parent:ref(trial)", "parent:ref(trial,cascade)"])
def test_a_required_reference_to_the_same_resource_is_refused(tree: Tree, field: str) -> None:
    with pytest.raises(ScaffoldError, match="the first trial could never be created") as refused:
        new(tree, field)

    allowed = re.findall(r"'(parent:\S+)'", refused.value.message.partition("Write")[2])
    assert allowed == ["parent:ref(trial)?", "parent:ref(trial,cascade)?"]
    assert [new(tree, field).fields[0].on_delete for field in allowed] == ["SET NULL", "CASCADE"]


def test_resources_that_refer_to_each_other_in_a_circle_are_refused(tree: Tree) -> None:
    author = tree.record("author").resource
    with_reference = replace(author, fields=parse_fields(["favorite:ref(comment)?"], "authors"))
    with_many = replace(author, many=(parse_many("favorites:many(comment)!"),))

    for resource in (with_reference, with_many):
        with pytest.raises(ScaffoldError, match="comment refers to author, directly or through others"):
            tree.refuse_references(resource)
    tree.refuse_references(replace(author, many=(parse_many("favorites:many(comment)"),)))


def test_an_owned_resource_cannot_refer_to_itself(tree: Tree) -> None:
    with pytest.raises(ScaffoldError, match="belongs to one user"):
        new_resource(tree, "trial", ("parent:ref(trial)?",), "owned", None, require_match=False)


def test_a_resource_that_refers_to_itself_can_be_removed(tmp_path: Path) -> None:
    tree = made(tmp_path, category=("public", "parent:ref(category)?"))

    tree.refuse_if_referenced("category")


def test_authored_rows_are_deleted_with_accounts(tmp_path: Path) -> None:
    tree = made(tmp_path, review=("authored", "name:str(9)"))

    with pytest.raises(ScaffoldError, match="prevent users from deleting their account"):
        new(tree, "about:ref(review)")
    assert len(new(tree, "about:ref(review)?", "below:ref(review,cascade)").references) == 2


@pytest.mark.parametrize(
    ("parent", "child", "access"),
    [
        ("public", "public", "public"),
        ("authored", "authored", "public"),
        ("public", "owned", "owned"),
        ("public", "admin", "admin"),
        ("admin", "public", "admin"),
        ("admin", "authored", "admin"),
        ("admin", "owned", "admin"),
    ],
)
def test_a_list_by_parent_has_the_stricter_access_of_both_resources(
    tmp_path: Path, parent: str, child: str, access: str
) -> None:
    tree = made(tmp_path, author=(parent, "name:str(9)"))

    [listed] = tree.parent_lists(
        new_resource(tree, "trial", ("by:ref(author)?",), child, None, require_match=False)
    )

    assert (listed.path, listed.access) == ("/authors/<uuid:author_id>/trials", access)


@pytest.mark.parametrize(
    ("fields", "listed"),
    [
        (["about:ref(author)", "author:ref(author)?"], ["about_id"]),
        (["about:ref(author)^", "name:str(9)"], []),
        (["parent:ref(trial)?", "to:ref(user)?"], []),
        (["about:ref(author)", "article:ref(article)?"], ["about_id", "article_id"]),
    ],
)
def test_each_parent_has_one_list_by_the_first_field(
    tree: Tree, fields: list[str], listed: list[str]
) -> None:
    assert [each.field.column_name for each in tree.parent_lists(new(tree, *fields))] == listed


def test_the_documented_types_exist() -> None:
    assert set(KINDS) == {
        "str", "text", "int", "decimal", "float", "bool", "date", "datetime", "uuid", "enum", "json", "email",
        "url", "ref", "file",
    }  # fmt: skip


def test_a_resource_has_one_kind_of_access() -> None:
    assert access_of({"owned": False, "public": False}) == "public"
    assert access_of({"owned": True, "public": False}) == "owned"
    with pytest.raises(ScaffoldError, match="--owned and --public can't be combined"):
        access_of({"owned": True, "public": True})
