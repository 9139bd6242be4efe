"""What was asked for: a resource with its fields, read from the words of a command and checked."""

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from click import ClickException
from pydantic import BaseModel

from tools.scaffold.kinds import KINDS, Kind

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
FIELD = re.compile(
    r"(?P<name>[^:]*):(?P<kind>[a-z]*)(\((?P<inside>[^)]*)\))?(?P<marks>[!?^~]*)(=(?P<default>.*))?",
    re.DOTALL,
)
CHOICE = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
LONGEST_NAME = 30
LONGEST = 44  # of table and field together: PostgreSQL cuts the names of indexes at 63
# What a field cannot be called: types, columns that each row has, and what a query and an answer have.
RESERVED = {
    "date", "datetime", "str", "int", "float", "bool", "text", "now", "true", "false", "id", "owner",
    "owner_id", "created_at", "updated_at", "metadata", "registry", "limit", "cursor", "sort", "items",
    "next_cursor", "of", "example", "conditions", "query", "answer", "change", "list",
}  # fmt: skip


class Refused(ClickException):
    """What was asked for cannot be made; the text says why and what to do, and ends the command."""


@dataclass(frozen=True)
class Field:
    """One field, as it was written and as it is meant."""

    spec: str
    name: str
    type: str
    arguments: tuple[Any, ...]
    is_nullable: bool
    is_unique: bool
    is_searchable: bool
    default: object = None
    has_default: bool = False

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
    def target(self) -> str:
        """The resource that a reference is to."""
        return str(self.arguments[0]) if self.type == "ref" else ""

    def fill(self, template: str) -> str:
        """Fill what a kind leaves open: what is in brackets behind its name, and the field's own name."""
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
            return text[: self.arguments[0]] if self.type == "str" else text
        return example


@dataclass(frozen=True)
class Resource:
    """A resource: its names, its fields, and who may read and change it."""

    name: str  # order_item
    plural: str  # order_items
    access: str
    requires_match: bool
    fields: tuple[Field, ...]

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def path(self) -> str:
        return "/" + self.plural.replace("_", "-")

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    @property
    def plural_words(self) -> str:
        return self.plural.replace("_", " ")

    @property
    def article(self) -> str:
        return "an" if self.name[0] in "aeiou" else "a"

    @property
    def is_owned(self) -> bool:
        return self.access == "owned"

    @property
    def sortable(self) -> list[str]:
        return ["created_at", *(field.column_name for field in self.fields if field.is_sortable)]


def parse_fields(specs: Sequence[str], table: str) -> tuple[Field, ...]:
    """Read fields such as `title:str(200)!`. Raises Refused."""
    fields = tuple(parse_field(spec, table) for spec in specs)
    names = [field.column_name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"There are two fields {name!r}. Give each its own name.")
    if not any(field.is_required or field.type != "json" for field in fields):
        raise Refused("Give at least one field, such as 'title:str(200)!'.")
    return fields


def parse_field(spec: str, table: str) -> Field:
    match = FIELD.fullmatch(spec)
    if match is None:
        raise Refused(
            f"{spec!r} is no field. Write NAME:TYPE, such as 'title:str(200)!' or 'price:decimal(10,2)'."
        )
    name, type_, inside, marks = match["name"], match["kind"], match["inside"], match["marks"]
    if type_ not in KINDS:
        raise Refused(f"{spec!r}: there is no type {type_!r}. The types are {', '.join(KINDS)}.")
    _check_name(name, spec)
    arguments = _arguments(type_, inside, spec)
    _check_marks(marks, type_, spec, has_default=match["default"] is not None)
    field = Field(
        spec,
        name,
        type_,
        arguments,
        is_nullable="?" in marks,
        is_unique="^" in marks,
        is_searchable="~" in marks,
        default=_default(match["default"], type_, arguments, spec),
        has_default=match["default"] is not None,
    )
    if len(table) + len(field.column_name) > LONGEST:
        raise Refused(
            f"{spec!r}: the names of table and field are too long together. {LONGEST} characters fit."
        )
    return field


def check_resource_name(name: str, what: str = "resource") -> None:
    """Raises Refused if nothing can be called so."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Refused(
            f"{name!r} cannot be the name of a {what}. Write it in snake_case and in the singular, "
            f"such as book or order_item, in at most {LONGEST_NAME} characters."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise Refused(f"{name!r} is a word of Python's own. Choose another name.")


def plural_of(name: str) -> str:
    """Return the plural by the rules of English; what they do not know is given by --plural."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|z|ch|sh)$", name) else f"{name}s"


def _check_name(name: str, spec: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise Refused(
            f"{spec!r}: name it in snake_case, such as page_count, in at most {LONGEST_NAME} characters."
        )
    if name in RESERVED or name.startswith("model_") or hasattr(BaseModel, name):
        raise Refused(f"{spec!r}: {name!r} means something else already. Choose another name.")
    if keyword.iskeyword(name):
        raise Refused(f"{spec!r}: {name!r} is a word of Python's own. Choose another name.")


def _arguments(type_: str, inside: str | None, spec: str) -> tuple[Any, ...]:
    given = [part.strip() for part in inside.split(",")] if inside is not None else []
    if type_ == "enum":
        return _choices(given, spec)
    if type_ == "ref":
        if len(given) != 1 or not NAME.fullmatch(given[0]):
            raise Refused(f"{spec!r}: say what it refers to, such as ref(user).")
        return tuple(given)
    bounds = KINDS[type_].parameters
    if len(given) != len(bounds):
        example = {"str": "str(200)", "decimal": "decimal(10,2)"}.get(type_, type_)
        raise Refused(f"{spec!r}: write {example}.")
    try:
        numbers = tuple(int(part) for part in given)
    except ValueError:
        raise Refused(f"{spec!r}: in the brackets are whole numbers.") from None
    for number, (least, largest) in zip(numbers, bounds, strict=True):
        if not least <= number <= largest:
            raise Refused(f"{spec!r}: {number} must be from {least} to {largest}.")
    if type_ == "decimal" and numbers[1] >= numbers[0]:
        raise Refused(f"{spec!r}: there must be more digits than places behind the point.")
    return numbers


def _choices(given: Iterable[str], spec: str) -> tuple[str, ...]:
    choices = tuple(given)
    wrong = [choice for choice in choices if not CHOICE.fullmatch(choice) or len(choice) > LONGEST_NAME]
    if not choices or wrong or len(set(choices)) < len(choices):
        raise Refused(f"{spec!r}: name different choices in lower case, such as enum(novel,poem).")
    if len({member_of(choice) for choice in choices}) < len(choices):
        raise Refused(f"{spec!r}: two choices differ only in - and _. Give one of them another name.")
    return choices


def member_of(value: str) -> str:
    """Return the name of a value in an enum: `in-progress` is IN_PROGRESS, `3d` is _3D."""
    name = value.upper().replace("-", "_")
    return f"_{name}" if name[0].isdigit() else name


def _check_marks(marks: str, type_: str, spec: str, *, has_default: bool) -> None:
    kind = KINDS[type_]
    if len(set(marks)) < len(marks):
        raise Refused(f"{spec!r}: give each mark once.")
    if "!" in marks and ("?" in marks or has_default):
        raise Refused(f"{spec!r}: ! says that it must be given, and ? or = that it need not be. Choose one.")
    if "?" in marks and has_default:
        raise Refused(f"{spec!r}: choose between ? (left out, it is null) and = (left out, it is that).")
    if "^" in marks and (not kind.can_be_unique or has_default):
        raise Refused(f"{spec!r}: of this type, or with a default, a field cannot be unique.")
    if "~" in marks and type_ not in ("str", "email"):
        raise Refused(f"{spec!r}: ~ lets clients search in a str or an email, and in nothing else.")
    if has_default and not kind.can_have_default:
        raise Refused(f"{spec!r}: of this type a field has no default.")


def _default(text: str | None, type_: str, arguments: tuple[Any, ...], spec: str) -> object:
    if text is None:
        return None
    if type_ == "enum" and text not in arguments:
        raise Refused(f"{spec!r}: the default is none of the choices.")
    if type_ == "str" and len(text) > arguments[0]:
        raise Refused(f"{spec!r}: the default is too long.")
    try:
        return KINDS[type_].default_of(text, *arguments)
    except (ArithmeticError, ValueError):
        raise Refused(f"{spec!r}: the default does not fit its type.") from None
