"""Resources and fields, parsed from the arguments of a command and validated."""

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from click import ClickException
from pydantic import BaseModel

from tools.scaffold import files
from tools.scaffold.kinds import KINDS, Kind

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
FIELD = re.compile(
    r"(?P<name>[^:]*):(?P<kind>[a-z]*)(\((?P<inside>[^)]*)\))?(?P<marks>[!?^~+]*)(=(?P<default>.*))?",
    re.DOTALL,
)
CHOICE = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
LONGEST_NAME = 30
LONGEST = 44  # table and field together: PostgreSQL truncates the names of indexes to 63 bytes
SHORTEST_SEARCH = 3
# Names that a field can't have: types, columns of every table, and names in queries and responses.
RESERVED = {
    "date", "datetime", "str", "int", "float", "bool", "text", "now", "true", "false", "id", "owner",
    "owner_id", "created_at", "updated_at", "metadata", "registry", "limit", "cursor", "sort", "items",
    "next_cursor", "of", "example", "conditions", "query", "answer", "change", "list",
}  # fmt: skip


class ScaffoldError(ClickException):
    """The resource or field can't be generated. The message says why and what to do."""


@dataclass(frozen=True)
class Field:
    """A field, parsed from `spec`, such as `title:str(200)`."""

    spec: str
    name: str
    type: str
    arguments: tuple[Any, ...]
    is_nullable: bool
    is_unique: bool
    is_searchable: bool
    default: object = None
    has_default: bool = False
    is_indexed: bool = False

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def column_name(self) -> str:
        return f"{self.name}_id" if self.type == "ref" and not self.name.endswith("_id") else self.name

    @property
    def words(self) -> str:
        return self.column_name.replace("_", " ")

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.column_name.split("_"))

    @property
    def is_required(self) -> bool:
        return not self.is_nullable and not self.has_default

    @property
    def is_sortable(self) -> bool:
        return self.kind.is_sortable

    @property
    def segment(self) -> str:
        """The last part of the path of a file."""
        return self.name.replace("_", "-")

    @property
    def target(self) -> str:
        """The resource that a `ref` refers to, or an empty string."""
        return str(self.arguments[0]) if self.type == "ref" else ""

    @property
    def on_delete(self) -> str:
        """What the database does with the row when the one that a `ref` refers to is deleted."""
        if "cascade" in self.arguments[1:]:
            return "CASCADE"
        return "SET NULL" if self.is_nullable else "RESTRICT"

    def fill(self, template: str) -> str:
        """Replace the placeholders in a template of `Kind` with this field's arguments and name."""
        choices = [str(argument) for argument in self.arguments] if self.type == "enum" else [""]
        values = {str(place): str(argument) for place, argument in enumerate(self.arguments)} | {
            "name": self.column_name,
            "words": self.words,
            "longest": str(max(32, *map(len, choices))),
            "choices": ", ".join(f'"{choice}"' for choice in choices),
            "choice": choices[0],
            "count": str(len(choices)),
        }
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", value)
        return template

    @property
    def example(self) -> object:
        if self.has_default:
            return self.default
        example = self.kind.example
        if isinstance(example, str):
            text = self.fill(example)
            if self.type == "decimal":
                return f"{Decimal(text):.{self.arguments[1]}f}"
            return (
                text
                if self.type != "str" or len(text) <= self.arguments[0]
                else self.words[: self.arguments[0]]
            )
        return example


@dataclass(frozen=True)
class Many:
    """A many-to-many relationship, parsed from `spec`, such as `tags:many(tag)`."""

    spec: str
    name: str  # tags
    target: str  # tag
    singular: str  # of the name: tag
    is_required: bool  # at least one

    @property
    def column_name(self) -> str:
        return self.ids

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    @property
    def ids(self) -> str:
        """The field in bodies: `tag_ids`."""
        return f"{self.singular}_ids"

    @property
    def filter(self) -> str:
        """The filter of the list: `tag_id`."""
        return f"{self.singular}_id"


@dataclass(frozen=True)
class Resource:
    """A resource: its names, its fields and its access rules."""

    name: str  # order_item
    plural: str  # order_items
    access: str
    requires_match: bool
    fields: tuple[Field, ...]
    is_audited: bool = False
    has_csv: bool = False
    uniques: tuple[tuple[str, ...], ...] = ()  # columns that are unique together
    many: tuple[Many, ...] = ()
    includes: tuple[str, ...] = ()  # the relationships that clients may include in responses
    indexes: tuple[tuple[str, ...], ...] = ()  # the columns of each --index

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def path(self) -> str:
        return path_of(self.plural)

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    @property
    def plural_words(self) -> str:
        return self.plural.replace("_", " ")

    @property
    def article(self) -> str:
        return article_of(self.name)

    @property
    def is_owned(self) -> bool:
        """Whether only the owner can read the rows."""
        return self.access == "owned"

    @property
    def is_authored(self) -> bool:
        """Whether everyone can read the rows, and the owner can change them."""
        return self.access == "authored"

    @property
    def has_owner(self) -> bool:
        return self.is_owned or self.is_authored

    @property
    def events(self) -> list[str]:
        """The events of the audit trail, if changes are recorded there."""
        return (
            [f"{self.name}_{verb}" for verb in ("created", "changed", "deleted")] if self.is_audited else []
        )

    @property
    def references(self) -> list[Field]:
        return [field for field in self.fields if field.target]

    @property
    def relationships(self) -> list[Field | Many]:
        return [*self.references, *self.many]


def parse_fields(specs: Sequence[str], table: str) -> tuple[Field, ...]:
    """Parse fields such as `title:str(200)!`. Raises ScaffoldError."""
    fields = tuple(parse_field(spec, table) for spec in specs)
    names = [field.column_name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise ScaffoldError(f"Two fields are named {name!r}. Rename one of them.")
    columns = [
        column for field in fields if field.type == "file" for column in files.column_names(field.name)
    ]
    if taken := set(columns) & set(names):
        raise ScaffoldError(
            f"A field and a column of a file are both named {min(taken)!r}. Rename the field."
        )
    if not any(field.is_required or field.type not in ("json", "file") for field in fields):
        raise ScaffoldError("Pass at least one field other than optional json, such as 'title:str(200)!'.")
    return fields


def parse_field(spec: str, table: str) -> Field:
    match = FIELD.fullmatch(spec)
    if match is None:
        raise ScaffoldError(
            f"{spec!r} is not a field. Write NAME:TYPE, such as 'title:str(200)!' or 'price:decimal(10,2)'."
        )
    name, type_, inside, marks = match["name"], match["kind"], match["inside"], match["marks"]
    if type_ not in KINDS:
        raise ScaffoldError(f"{spec!r}: unknown type {type_!r}. The types are {', '.join(KINDS)}.")
    check_field_name(name, spec)
    arguments = _arguments(type_, inside, spec)
    _check_marks(marks, type_, spec, has_default=match["default"] is not None)
    field = Field(
        spec,
        name,
        type_,
        arguments,
        is_nullable="?" in marks or type_ == "file",
        is_unique="^" in marks,
        is_searchable="~" in marks,
        default=_default(match["default"], type_, arguments, spec),
        has_default=match["default"] is not None,
        is_indexed="+" in marks,
    )
    if field.is_searchable and type_ == "str" and arguments[-1] < SHORTEST_SEARCH:
        raise ScaffoldError(f"{spec!r}: a searchable text needs room for at least three characters.")
    if len(table) + len(field.column_name) > LONGEST:
        raise ScaffoldError(
            f"{spec!r}: the names of table and field together must have at most {LONGEST} characters."
        )
    return field


def check_resource_name(name: str, what: str = "resource") -> None:
    """Raise ScaffoldError if the name is invalid."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ScaffoldError(
            f"{name!r} can't be the name of a {what}. Use snake_case, such as book or order_item, "
            f"and at most {LONGEST_NAME} characters."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ScaffoldError(f"{name!r} is a Python keyword. Choose another name.")


def plural_of(name: str) -> str:
    """Return the regular English plural. --plural overrides it."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|z|ch|sh)$", name) else f"{name}s"


def article_of(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def path_of(table: str) -> str:
    return "/" + table.replace("_", "-")


def check_field_name(name: str, spec: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ScaffoldError(
            f"{spec!r}: use a name in snake_case, such as page_count, with at most {LONGEST_NAME} characters."
        )
    if name in RESERVED or name.startswith("model_") or hasattr(BaseModel, name):
        raise ScaffoldError(f"{spec!r}: the name {name!r} is reserved. Choose another name.")
    if keyword.iskeyword(name):
        raise ScaffoldError(f"{spec!r}: {name!r} is a Python keyword. Choose another name.")


def _arguments(type_: str, inside: str | None, spec: str) -> tuple[Any, ...]:
    parts = [part.strip() for part in inside.split(",")] if inside is not None else []
    if type_ == "enum":
        return _choices(parts, spec)
    if type_ == "ref":
        if parts[1:] not in ([], ["cascade"]) or not NAME.fullmatch((parts or [""])[0]):
            raise ScaffoldError(f"{spec!r}: write the type as ref(author) or ref(author,cascade).")
        return tuple(parts)
    if type_ == "file":
        try:
            return files.file_arguments(parts)
        except ValueError as error:
            raise ScaffoldError(f"{spec!r}: {error}.") from None
    bounds = KINDS[type_].parameters
    if len(parts) != len(bounds):
        example = {"str": "str(200)", "decimal": "decimal(10,2)"}.get(type_, type_)
        raise ScaffoldError(f"{spec!r}: write the type as {example}.")
    try:
        numbers = tuple(int(part) for part in parts)
    except ValueError:
        raise ScaffoldError(f"{spec!r}: the values in parentheses must be whole numbers.") from None
    for number, (minimum, maximum) in zip(numbers, bounds, strict=True):
        if not minimum <= number <= maximum:
            raise ScaffoldError(f"{spec!r}: {number} is out of range ({minimum} to {maximum}).")
    if type_ == "decimal" and numbers[1] >= numbers[0]:
        raise ScaffoldError(f"{spec!r}: there must be more digits than decimal places.")
    return numbers


def _choices(parts: Iterable[str], spec: str) -> tuple[str, ...]:
    choices = tuple(parts)
    wrong = [choice for choice in choices if not CHOICE.fullmatch(choice) or len(choice) > LONGEST_NAME]
    if not choices or wrong or len(set(choices)) < len(choices):
        raise ScaffoldError(f"{spec!r}: list distinct lower-case values, such as enum(novel,poem).")
    if len({member_of(choice) for choice in choices}) < len(choices):
        raise ScaffoldError(f"{spec!r}: two values differ only in - and _. Rename one of them.")
    return choices


def member_of(value: str) -> str:
    """Return the name of an enum member: IN_PROGRESS for `in-progress`, _3D for `3d`."""
    name = value.upper().replace("-", "_")
    return f"_{name}" if name[0].isdigit() else name


def _check_marks(marks: str, type_: str, spec: str, *, has_default: bool) -> None:
    kind = KINDS[type_]
    if type_ == "file" and "!" in marks:
        raise ScaffoldError(
            f"{spec!r}: a file is always optional, because it is uploaded to an existing row."
        )
    if len(set(marks)) < len(marks):
        raise ScaffoldError(f"{spec!r}: a mark is repeated. Use each one once.")
    if "!" in marks and ("?" in marks or has_default):
        raise ScaffoldError(f"{spec!r}: a field is either required (!) or optional (? or =). Choose one.")
    if "?" in marks and has_default:
        raise ScaffoldError(f"{spec!r}: if omitted, the field is null (?) or has a default (=). Choose one.")
    if "^" in marks and (not kind.can_be_unique or has_default):
        raise ScaffoldError(f"{spec!r}: a field of this type, or with a default, can't be unique.")
    if "~" in marks and type_ not in ("str", "email"):
        raise ScaffoldError(f"{spec!r}: only str and email fields can be searchable (~).")
    if "+" in marks and (type_ == "ref" or not kind.operators or type_ == "url"):
        why = "a reference always has an index" if type_ == "ref" else f"{type_} can't have an index"
        raise ScaffoldError(f"{spec!r}: {why}. Leave out the +.")
    if has_default and not kind.can_have_default:
        raise ScaffoldError(f"{spec!r}: a field of this type can't have a default.")


def _default(text: str | None, type_: str, arguments: tuple[Any, ...], spec: str) -> object:
    if text is None:
        return None
    if type_ == "enum" and text not in arguments:
        raise ScaffoldError(f"{spec!r}: the default is not one of the values.")
    if type_ == "str" and len(text) > arguments[0]:
        raise ScaffoldError(f"{spec!r}: the default is too long.")
    try:
        return KINDS[type_].parse_default(text, *arguments)
    except (ArithmeticError, ValueError):
        raise ScaffoldError(f"{spec!r}: the default is not a valid {type_}.") from None
