"""Types of fields: what honest clients send is accepted, and errors are sentences with a known code."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from flask import Flask
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from kit.errors import FIELD_CODES, FieldRefused
from kit.web import fields, validation
from kit.web.fields import DateTime, Email, Json, Reference, TrimmedEmail, Url, amount
from tools.scaffold.kinds import KINDS


def read(field: Any, sent: object) -> Any:
    """Return how a field of a body is serialized after it was read."""
    adapter: TypeAdapter[Any] = TypeAdapter(field)
    return adapter.dump_python(adapter.validate_json(json.dumps(sent), strict=True), mode="json")


def refusal(field: Any, sent: object) -> dict[str, str]:
    """Return the code and the detail with which a value is refused."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(field).validate_json(json.dumps(sent), strict=True)
    [item] = refused.value.errors()
    return validation._code_and_detail(item)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-11-22T08:45:00Z", "2026-11-22T08:45:00Z"),
        ("2026-11-22t08:45:00z", "2026-11-22T08:45:00Z"),
        ("2026-11-22T08:45:00.1234567Z", "2026-11-22T08:45:00.123456Z"),
        ("2026-11-22T08:45:00.999999999Z", "2026-11-22T08:45:00.999999Z"),
        ("2026-11-22T08:45:00.5+05:45", "2026-11-22T03:00:00.500000Z"),
        ("2026-11-22T08:45:00-23:59", "2026-11-23T08:44:00Z"),
        ("2026-11-22T08:45:00-00:00", "2026-11-22T08:45:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_accepted_as_rfc_3339_allows(sent: str, stored: str) -> None:
    assert read(DateTime, sent) == stored


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-22T08:45:00.1234567890Z",
        "2026-11-22T08:45:00.Z",
        "2026-11-22T08:45:00",
        "2026-11-22 08:45:00Z",
        "2026-11-22T08:45Z",
        "2026-11-22T25:00:00Z",
        "2026-11-22T08:45:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\u0662026-11-22T08:45:00Z",
    ],
)
def test_any_other_time_is_an_invalid_format(sent: str) -> None:
    assert refusal(DateTime, sent)["code"] == "invalid_format"


def test_an_amount_has_no_negative_zero() -> None:
    assert str(read(Annotated[Any, *amount(10, 2)], "-0")) == "0.00"


def test_a_json_number_that_no_database_can_store_is_too_large() -> None:
    assert refusal(Json, [10**400])["code"] == "too_large"


def test_a_uuid_is_accepted_in_any_case_and_written_in_lower_case() -> None:
    assert read(Reference, "8B2F9E0C-3c53-4C35-9A7C-1F2F6AD2F9A1") == "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1"


@pytest.mark.parametrize("form", ["urn:uuid:{}", "{{{}}}", "{} ", "{}\n"])
def test_a_uuid_has_nothing_around_it(form: str) -> None:
    sent = form.format("8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1")

    assert refusal(Reference, sent)["code"] == "invalid_format"


@pytest.mark.parametrize(
    "sent",
    [
        "https://example.com",
        "HTTPS://Example.com/",
        "http://localhost:3000/x",
        "https://my_bucket.s3.amazonaws.com/x",
        "https://example.com/über?q=ä#ö",
        "https://bücher.example/",
        "https://[2001:db8::1]:8443/",
        "https://192.0.2.1?x=@y",
        "https://example.com/(a)[b]{c}|d^e`f<g>'h\"",
    ],
)
def test_a_url_is_stored_as_it_was_sent(sent: str) -> None:
    assert read(Url, sent) == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "example.com",
        "//example.com",
        "https:example.com",
        "https:/example.com",
        "https://",
        "https:///x",
        "https://?x",
        "javascript:alert(1)",
        "ftp://example.com/",
        "https://ann:secret@example.com/",
        "https://example.com@evil.example/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://1.2.3.999/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/ ",
        " https://example.com/",
        "https://example.com/\n",
        "https://exam\tple.com/",
        "https://example.com/\0",
        "https://example.com/\u202egnp.exe",
        "https://example.com/\u00a0x",
        "https://example.com\\@evil.example/",
        "https://example.com\\x",
    ],
)
def test_anything_else_is_not_a_url(sent: str) -> None:
    assert refusal(Url, sent)["code"] == "invalid_format"


@pytest.mark.parametrize(
    "sent",
    [
        "ann@example.com",
        "Ann.O'Neill+news@Mail.Example.COM",
        "ann@bücher.example",
        "ännchen@example.com",
        "用户@例子.广告",
        "ann@xn--bcher-kva.example",
        "ann@example.test",
        "1@2.example",
    ],
)
def test_an_email_address_is_stored_as_it_was_sent(sent: str) -> None:
    assert read(Email, sent) == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "ann@example..com",
        "ann@-example.com",
        "ann@exam_ple.com",
        "ann@[192.0.2.1]",
        "ann@example.com\n",
        " ann@example.com",
        "a nn@example.com",
        "a\0nn@example.com",
        "ann\u202e@example.com",
        "Ann <ann@example.com>",
        '"ann"@example.com',
        "ann@example.com,bob@example.com",
        "ann@example.com\r\nBcc: bob@example.com",
        "ann@xn--a.com",
        "ü" * 33 + "@example.com",  # more than 64 bytes
    ],
)
def test_anything_else_is_not_an_email_address(sent: str) -> None:
    assert refusal(Email, sent) == {
        "code": "invalid_format",
        "detail": "Give an e-mail address such as ann@example.com.",
    }


def test_a_typed_email_address_is_stored_without_surrounding_space() -> None:
    longest = "a" * 64 + "@" + ".".join(["b" * 63, "c" * 63, "d" * 57, "com"])

    assert len(longest) == 254
    assert read(TrimmedEmail, f" \u00a0{longest}\n") == longest
    assert refusal(TrimmedEmail, f"x{longest}")["code"] == "too_long"
    assert refusal(TrimmedEmail, " ann smith@example.com ")["code"] == "invalid_format"


@pytest.mark.parametrize(("field", "longest"), [(Url, 2000), (Email, 254)])
def test_a_url_and_an_email_address_have_a_maximum_length(field: Any, longest: int) -> None:
    too_long = ("https://example.com/" if field is Url else "ann@example.com") + "x" * longest

    assert refusal(field, too_long)["code"] == "too_long"


def unexplained(schema: Any, place: str) -> Iterator[str]:
    """Yield where in a pydantic schema a pattern has no sentence."""
    if isinstance(schema, dict):
        if schema.get("type") == "str" and "pattern" in schema:
            yield place
        for name, part in schema.items():
            yield from unexplained(part, f"{place}.{name}" if schema.get("type") == "model-fields" else place)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from unexplained(part, place)


def test_every_pattern_has_a_sentence(app: Flask) -> None:
    declared = [getattr(view, "declaration", None) for view in app.view_functions.values()]
    models = {model for each in declared if each for model in (each.body, each.query) if model}
    types: dict[str, Any] = {model.__name__: model for model in models}
    for name, kind in KINDS.items():
        if not kind.schema:
            continue  # a file isn't in bodies
        types[name] = str if name == "enum" else eval(kind.schema.format(5, 2), vars(fields))

    places = [each for name in types for each in unexplained(TypeAdapter(types[name]).core_schema, name)]

    assert not places, f"Give these patterns a sentence with matching(...) of kit/web/schemas.py: {places}"
    plain = Annotated[str, StringConstraints(pattern="^x$")]
    assert list(unexplained(TypeAdapter(plain).core_schema, "plain")) == ["plain"]
    assert refusal(plain, "y") == {"code": "invalid_format", "detail": "Invalid format."}


def test_every_error_of_pydantic_becomes_one_of_our_codes_without_its_text() -> None:
    for kind in list_all_errors():
        item = {"type": kind["type"], "msg": kind["example_message_python"], "input": "x"}

        answer = validation._code_and_detail(item | {"ctx": kind["example_context"] or {}})

        assert answer["code"] in FIELD_CODES, kind["type"]
        assert answer["detail"] != kind["example_message_python"], kind["type"]


def test_every_error_of_a_field_has_one_of_our_codes() -> None:
    def codes(error: type[FieldRefused]) -> set[str]:
        return {error.code}.union(*map(codes, error.__subclasses__()))

    assert {"invalid_format", "unknown_reference"} <= codes(FieldRefused) <= FIELD_CODES


def test_the_limits_of_text_and_of_lists_have_sentences() -> None:
    short: Any = Annotated[fields.Line, StringConstraints(max_length=3)]
    few: Any = Annotated[list[int], Field(min_length=1, max_length=2)]

    assert refusal(short, "four") == {"code": "too_long", "detail": "Give 3 or fewer characters."}
    assert refusal(few, []) == {"code": "too_short", "detail": "Give 1 or more items."}
    assert refusal(few, [1, 2, 3]) == {"code": "too_long", "detail": "Give 2 or fewer items."}
    assert refusal(Annotated[int, Field(gt=0)], 0) == {"code": "too_small", "detail": "Give more than 0."}
    assert refusal(Annotated[int, Field(lt=5)], 5) == {"code": "too_large", "detail": "Give less than 5."}
