"""Resources and fields, parsed from the arguments of a command and validated."""

import json
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from click import ClickException

from tools.scaffold import files, ranges
from tools.scaffold.arguments import read_values
from tools.scaffold.defaults import FORMS, Computed, parse_default
from tools.scaffold.kinds import KINDS, Kind
from tools.scaffold.ranges import ENOUGH, Range

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
FIELD = re.compile(
    r"(?P<name>[^:]*):(?P<kind>[a-z]*)"
    r'(\((?P<inside>(?:"[^"]*"|[^")])*)\))?'
    r"(?P<marks>[!?^~+]*)(=(?P<default>.*))?",
    re.DOTALL,
)
LONGEST_NAME = 30
LONGEST = 44  # table and field together: PostgreSQL truncates the names of indexes to 63 bytes
SHORTEST_SEARCH = 3


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
    range: Range | None = None

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
            "choices": ", ".join(json.dumps(choice, ensure_ascii=False) for choice in choices),
            "choice": choices[0],
            "count": str(len(choices)),
            "no_choice": next(text for text in _texts("not a choice") if text not in choices),
        }
        return re.sub(r"\{(\w+)\}", lambda placeholder: values.get(placeholder[1], placeholder[0]), template)

    @property
    def example(self) -> object:
        if self.has_default and not self.is_computed:
            return self.default
        usual = self._usual_example
        return ranges.example(self.type, self.range, usual) if self.range else usual

    @property
    def is_computed(self) -> bool:
        """Whether the default is computed for each row."""
        return isinstance(self.default, Computed)

    @property
    def _usual_example(self) -> object:
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
    soft_delete: bool = False

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def collection(self) -> str:
        """The variable for the repository. The plural may equal the singular, as in sheep."""
        return self.plural if self.plural != self.name else f"all_{self.plural}"

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


def leads_to(
    name: str, wanted: str, known: Mapping[str, Resource], targets: Callable[[Resource], Iterable[str]]
) -> bool:
    """Return whether a resource leads to the wanted one, directly or through the targets of others."""
    names, seen = [name], set()
    while names:
        if (each := names.pop()) == wanted:
            return True
        if each in known and each not in seen:
            names += targets(known[each])
        seen.add(each)
    return False


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
    inside, range_ = _split_range(type_, inside, spec)
    arguments = _arguments(type_, inside, spec)
    default = _default(match["default"], type_, arguments, range_, spec)
    _check_marks(marks, type_, spec, default, has_default=match["default"] is not None)
    if "^" in marks:
        _check_unique(type_, arguments, range_, spec)
    field = Field(
        spec,
        name,
        type_,
        arguments,
        is_nullable="?" in marks or type_ == "file",
        is_unique="^" in marks,
        is_searchable="~" in marks,
        default=default,
        has_default=match["default"] is not None,
        is_indexed="+" in marks,
        range=range_,
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
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or keyword.iskeyword(name.capitalize()):
        raise ScaffoldError(f"{name!r} is a Python keyword. Choose another name.")


def article_of(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def path_of(table: str) -> str:
    return "/" + table.replace("_", "-")


def check_field_name(name: str, spec: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ScaffoldError(
            f"{spec!r}: use a name in snake_case, such as page_count, with at most {LONGEST_NAME} characters."
        )
    if keyword.iskeyword(name):
        raise ScaffoldError(f"{spec!r}: {name!r} is a Python keyword. Choose another name.")


def _arguments(type_: str, inside: str | None, spec: str) -> tuple[Any, ...]:
    parts = [part.strip() for part in inside.split(",")] if inside is not None else []
    if type_ == "enum":
        return _choices(inside, spec)
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
        raise ScaffoldError(f"{spec!r}: write the type as {_forms(type_)}.")
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


def _choices(inside: str | None, spec: str) -> tuple[str, ...]:
    try:
        return read_values(inside or "")
    except ValueError as error:
        raise ScaffoldError(f"{spec!r}: {error}.") from None


def _split_range(type_: str, inside: str | None, spec: str) -> tuple[str | None, Range | None]:
    """Return the other arguments in the parentheses, and the range."""
    if type_ not in ranges.FORMS or inside is None or ".." not in inside:
        return inside, None
    rest, comma, text = inside.rpartition(",") if type_ == "decimal" else ("", "", inside)
    try:
        places = int(rest.rpartition(",")[2] or 0)
        found = ranges.parse_range(text, type_, places)
        if type_ == "decimal":
            ranges.check_digits(found, [int(part) for part in rest.split(",")])
    except (ArithmeticError, ValueError) as error:
        raise ScaffoldError(
            f"{spec!r}: {text.strip()!r} is not a valid range. Write the type as {_forms(type_)}. ({error})"
        ) from None
    if type_ in ranges.LENGTHS:
        least, most = (1, 255) if type_ == "str" else (0, ranges.LONGEST_TEXT)
        if found.most == 0:
            raise ScaffoldError(f"{spec!r}: the length 0 leaves no value. Write the type as {_forms(type_)}.")
        for limit in (found.least, found.most):
            if limit is not None and not least <= limit <= most:
                raise ScaffoldError(f"{spec!r}: the length {limit} is out of range ({least} to {most}).")
    if type_ == "text":
        return None, found
    if type_ == "str":
        if found.most is None:
            raise ScaffoldError(f"{spec!r}: write the type as {_forms(type_)}.")
        return str(found.most), found if found.least not in (None, 1) else None
    return (rest if comma else None), found


def _forms(type_: str) -> str:
    forms = {
        "int": "int, ",
        "float": "float, ",
        "date": "date, ",
        "text": "text, ",
        "decimal": "decimal(10,2), ",
    }
    return forms.get(type_, "") + ranges.FORMS.get(type_, type_)


def _texts(text: str) -> Iterator[str]:
    """Yield different texts."""
    while True:
        yield text
        text += "!"


def _check_unique(type_: str, arguments: tuple[Any, ...], range_: Range | None, spec: str) -> None:
    count = ranges.count_of(type_, range_) if range_ else None
    if type_ == "str" and arguments[0] == 1:
        count = 10  # digits, in the generated tests
    if count is not None and count < ENOUGH:
        raise ScaffoldError(
            f"{spec!r}: a unique field needs a range of at least {ENOUGH} values, because its tests store "
            "many rows. Leave out ^, or widen the range."
        )


def _check_marks(marks: str, type_: str, spec: str, default: object, *, has_default: bool) -> None:
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
    is_computed = isinstance(default, Computed)
    if "^" in marks and (not kind.can_be_unique or (has_default and not is_computed)):
        raise ScaffoldError(f"{spec!r}: a field of this type, or with a default, can't be unique.")
    if "~" in marks and type_ not in ("str", "email"):
        raise ScaffoldError(f"{spec!r}: only str and email fields can be searchable (~).")
    if "+" in marks and (type_ == "ref" or not kind.operators or type_ == "url"):
        why = "a reference always has an index" if type_ == "ref" else f"{type_} can't have an index"
        raise ScaffoldError(f"{spec!r}: {why}. Leave out the +.")
    if has_default and not kind.can_have_default:
        raise ScaffoldError(f"{spec!r}: a field of this type can't have a default.")


def _default(
    text: str | None, type_: str, arguments: tuple[Any, ...], range_: Range | None, spec: str
) -> object:
    if text is None or not KINDS[type_].can_have_default:
        return None
    try:
        default = parse_default(text, type_, arguments)
        value = date.today() if isinstance(default, Computed) else ranges.value_of(default, type_)
        if range_ and not range_.contains(value):
            raise ScaffoldError(f"{spec!r}: the default is outside of the range.")
    except (ArithmeticError, ValueError):
        raise ScaffoldError(
            f"{spec!r}: the default {text!r} is not a valid {type_}. Write {FORMS[type_]}."
        ) from None
    return default
