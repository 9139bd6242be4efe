"""How the scaffolder parses many-to-many relationships, and which relationships clients may include."""

import re
from dataclasses import replace

import pytest

from tools.scaffold.includes import allowed_includes
from tools.scaffold.many import is_many, parse_many, refuse_conflicts
from tools.scaffold.resource import Resource, ScaffoldError, parse_fields

TABLES = {"user": "users", "tag": "tags", "book": "books", "author": "authors"}


def resource(name: str, *specs: str, access: str = "public", includes: tuple[str, ...] = ()) -> Resource:
    fields = parse_fields(["size:int", *(spec for spec in specs if not is_many(spec))], f"{name}s")
    many = tuple(parse_many(spec) for spec in specs if is_many(spec))
    return Resource(name, f"{name}s", access, False, fields, many=many, includes=includes)


@pytest.mark.parametrize(
    ("spec", "ids", "one"),
    [
        ("tags:many(tag)", "tag_ids", "tag_id"),
        ("categories:many( category )!", "category_ids", "category_id"),
        ("editors:many(author)", "editor_ids", "editor_id"),
        ("boxes:many(crate)", "box_ids", "box_id"),
        ("staff:many(author)", "staff_ids", "staff_id"),
    ],
)
def test_the_names_of_ids_are_singular(spec: str, ids: str, one: str) -> None:
    many = parse_many(spec)

    assert (many.ids, many.filter, many.is_required) == (ids, one, "!" in spec)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("tags:many", "write the type as many(tag)"),
        ("tags:many()", "write the type as many(tag)"),
        ("tags:many(Tag)", "write the type as many(tag)"),
        ("tags:many(tag,cascade)", "write the type as many(tag)"),
        ("tags:many(tag)?", "the only mark"),
        ("tags:many(tag)^", "the only mark"),
        ("tags:many(tag)=x", "the only mark"),
        ("tag:many(tag)", "name the relationship in the plural, such as tags"),
        ("Tags:many(tag)", "use a name in snake_case"),
    ],
)
def test_an_invalid_relationship_is_refused_with_a_reason(spec: str, reason: str) -> None:
    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        parse_many(spec)


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        (["tags:many(tag)", "tag_ids:json"], "the name 'tag_ids' is taken"),
        (["tags:many(tag)", "tag:ref(tag)"], "the name 'tag_id' is taken"),
        (["tags:many(tag)", "tags:int"], "the name 'tags' is taken"),
        (["tags:many(tag)", "tags:many(author)"], "the name 'tag_id' is taken"),
        (["books:many(tag)"], "both columns of the table would be book_id"),
        (["others:many(book)"], "a book can't be linked to others of its kind"),
        (["t" * 30 + ":many(tag)"], "more than 63 characters"),
    ],
)
def test_a_relationship_whose_names_are_taken_is_refused(specs: list[str], reason: str) -> None:
    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        refuse_conflicts(resource("book", *specs), TABLES)


@pytest.mark.parametrize(
    ("own", "other", "allowed"),
    [
        ("public", "public", ("author",)),
        ("owned", "public", ("author",)),
        ("admin", "public", ("author",)),
        ("public", "authored", ("author",)),
        ("public", "admin", ()),
        ("owned", "admin", ()),
        ("admin", "admin", ()),  # an API key may have the scope of one of them only
        ("public", "owned", ()),
    ],
)
def test_clients_may_include_what_all_readers_may_read_anyway(
    own: str, other: str, allowed: tuple[str, ...]
) -> None:
    book = resource("book", "author:ref(author)", "writer:ref(user)?", access=own)

    assert allowed_includes(book, {"author": resource("author", access=other)}) == allowed


@pytest.mark.parametrize(
    ("access", "allowed"), [("public", ("parent",)), ("admin", ("parent",)), ("owned", ())]
)
def test_a_row_of_the_same_resource_can_be_included_unless_it_may_be_of_another_user(
    access: str, allowed: tuple[str, ...]
) -> None:
    assert allowed_includes(resource("category", "parent:ref(category)?", access=access), {}) == allowed


def test_two_resources_do_not_include_each_other() -> None:
    author = resource("author", "books:many(book)")
    book = resource("book", "author:ref(author)", "tags:many(tag)", includes=("author", "tags"))
    others = {"author": author, "book": book, "tag": resource("tag")}

    assert allowed_includes(author, others) == ()
    assert allowed_includes(author, others | {"book": replace(book, includes=("tags",))}) == ("books",)
    assert allowed_includes(resource("tag", "author:ref(author)"), others) == ("author",)


def test_a_reference_with_the_name_of_another_field_cannot_be_included() -> None:
    book = resource("book", "author:ref(author)", "author:str(20)")

    assert allowed_includes(book, {"author": resource("author")}) == ()
