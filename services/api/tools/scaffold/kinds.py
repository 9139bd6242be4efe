"""The types of fields, and how each appears in the model, the schemas, a migration and a test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A type of field.

    In the templates, `{0}` and `{1}` are its arguments: 10 and 2 in decimal(10,2). `Field.fill` has the other
    placeholders. A range replaces the schema, the value and some of the invalid values: see ranges.py.
    """

    python: str  # the type in the model
    column: str  # SQLAlchemy's type in the model
    migration_type: str  # SQLAlchemy's type in a migration
    schema: str  # the type in bodies and queries
    value: str  # an expression for the factory: a JSON value that differs for each `number`
    example: object
    invalid: tuple[tuple[object, str], ...]  # invalid JSON values, each with its error code
    operators: tuple[str, ...] = ("",)  # of the filters of a list; "" is equality
    is_sortable: bool = False
    can_be_unique: bool = True
    can_have_default: bool = True
    query: str = ""  # the type in queries, if it differs
    parameters: tuple[tuple[int, int], ...] = ()  # minimum and maximum of each argument


ORDERED = ("", "gte", "lte")
INVALID_TEXT = ((5, "wrong_type"), ("", "too_short"), ("a\0b", "invalid_format"))


KINDS = {
    "str": Kind(
        "str",
        "String({0})",
        "sa.String(length={0})",
        "Annotated[Line, StringConstraints(max_length={0})]",
        'f"{name} {number}"[-{0}:]',
        "Example {words}",
        (*INVALID_TEXT, ("x" * 256, "too_long")),
        is_sortable=True,
        parameters=((1, 255),),  # an index entry has at most 2,700 bytes
    ),
    "text": Kind(
        "str",
        "Text",
        "sa.Text()",
        "LongText",
        'f"{name} {number}\\nand another line"',
        "Example {words}\nwith several lines",
        ((5, "wrong_type"), ("a\0b", "invalid_format"), ("x" * 10_001, "too_long")),
        operators=(),
        can_be_unique=False,
    ),
    "int": Kind(
        "int",
        "Integer",
        "sa.Integer()",
        "Integer",
        "number",
        3,
        (("3", "wrong_type"), (1.5, "wrong_type"), (2**31, "too_large"), (-(2**31) - 1, "too_small")),
        operators=ORDERED,
        is_sortable=True,
    ),
    "decimal": Kind(
        "Decimal",
        "Amount({0}, {1})",
        "sa.Numeric({0}, {1})",
        "Annotated[Decimal, *amount({0}, {1})]",
        'f"{number % 10:.{1}f}"',
        "5",
        (
            (5, "wrong_type"),
            ("five", "invalid_format"),
            ("1" * 20, "invalid_format"),
            ("NaN", "invalid_format"),
        ),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
        parameters=((1, 15), (0, 14)),
    ),
    "float": Kind(
        "float",
        "Float",
        "sa.Float()",
        "Number",
        "number + 0.5",
        1.5,
        (("1.5", "wrong_type"), (True, "wrong_type")),
        operators=("gte", "lte"),
        is_sortable=True,
        can_be_unique=False,
    ),
    "bool": Kind(
        "bool",
        "Boolean",
        "sa.Boolean()",
        "bool",
        "number % 2 == 0",
        True,
        (("true", "wrong_type"), (1, "wrong_type")),
        can_be_unique=False,
        query="Flag",
    ),
    "date": Kind(
        "date",
        "Date",
        "sa.Date()",
        "Date",
        'f"2026-01-{number % 28 + 1:02}"',
        "2026-11-22",
        ((20261122, "wrong_type"), ("2026-02-30", "invalid_format"), ("22.11.2026", "invalid_format")),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
    ),
    "datetime": Kind(
        "datetime",
        "UtcDateTime",
        "sa.DateTime(timezone=True)",
        "DateTime",
        'f"2026-01-{number % 28 + 1:02}T08:45:00Z"',
        "2026-11-22T08:45:00Z",
        (
            (1, "wrong_type"),
            ("2026-11-22T08:45:00", "invalid_format"),
            ("0001-01-01T00:00:00+14:00", "invalid_format"),
        ),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
    ),
    "uuid": Kind(
        "UUID",
        "Uuid",
        "sa.Uuid()",
        "Reference",
        "str(UUID(int=number))",
        "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1",
        ((1, "wrong_type"), ("8b2f9e0c3c534c359a7c1f2f6ad2f9a1", "invalid_format")),
    ),
    "enum": Kind(
        "str",
        "String({longest})",
        "sa.String(length={longest})",
        "Annotated[str, *value_of({enum})]",
        "[{choices}][number % {count}]",
        "{choice}",
        ((5, "wrong_type"), ("{no_choice}", "invalid_format")),
        can_be_unique=False,
    ),
    "json": Kind(
        "Any",
        "JSON(none_as_null=True)",
        "sa.JSON()",
        "Json",
        '{"number": number}',
        {"key": ["value"]},
        (({"key": "a\0b"}, "invalid_format"),),
        operators=(),
        can_be_unique=False,
        can_have_default=False,
    ),
    "email": Kind(
        "str",
        "String(254)",
        "sa.String(length=254)",
        "Email",
        'f"ann-{number}@example.com"',
        "ann@example.com",
        (
            (5, "wrong_type"),
            ("ann", "invalid_format"),
            ("a..b@example.com", "invalid_format"),
            ("ann@example.com\n", "invalid_format"),
        ),
        is_sortable=True,
    ),
    "url": Kind(
        "str",
        "String(2000)",
        "sa.String(length=2000)",
        "Url",
        'f"https://example.com/{number}"',
        "https://example.com/",
        (
            (5, "wrong_type"),
            ("javascript:alert(1)", "invalid_format"),
            ("https://example.com/ ", "invalid_format"),
        ),
    ),
    "file": Kind(
        "",
        "",
        "",
        "",
        "",
        None,
        (),
        operators=(),
        can_be_unique=False,
        can_have_default=False,
    ),
    "ref": Kind(
        "UUID",
        "Uuid",
        "sa.Uuid()",
        "Reference",
        "",
        "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1",
        ((1, "wrong_type"), ("8b2f9e0c3c534c359a7c1f2f6ad2f9a1", "invalid_format")),
        can_have_default=False,
    ),
}
