"""What the query of a list offers: it must have indexes, and other combinations are refused."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from pydantic import Field
from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kit.data.base import Base, trigram_index
from kit.data.keyset import Page
from kit.data.resource_repository import MOST_COUNTED
from kit.web.errors import ValidationFailed
from kit.web.fields import Date, Integer, Reference
from kit.web.pagination import AnyOf, PageQuery, Search, Total, page_response, sortable
from kit.web.schemas import UNSET, Flag, Id, ResponseBody, Text
from kit.web.validation import read_query


class Crate(Base):
    """A model with indexes."""

    __tablename__ = "crates_of_test_list_queries"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "weight", "created_at", "id"),
        Index(None, "shop", "weight", "created_at", "id"),
        UniqueConstraint("code"),
        trigram_index("label"),
    )

    weight: Mapped[int]
    shop: Mapped[int]
    code: Mapped[int]
    label: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[Any] = mapped_column(String(20))


Base.metadata.remove(Crate.__table__)  # type: ignore[arg-type]  # the app has no such table


class CrateQuery(PageQuery):
    rows = Crate

    sort: str = sortable("created_at", "weight", default="-created_at", most=2)
    total: Flag = Field(False)
    weight: Integer = UNSET
    weight__gte: Integer = UNSET
    shop: Integer = UNSET
    code: Integer = UNSET
    code__in: AnyOf[Integer] = UNSET
    label__contains: Search = UNSET


def refusals(**parameters: str) -> list[tuple[str | None, str]]:
    query = CrateQuery.model_validate(parameters)
    return [(error.parameter, error.detail) for error in query.policy_errors()]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sort": "-weight,-created_at"},
        {"weight": "3"},
        {"weight__gte": "3", "sort": "weight"},
        {"shop": "1", "sort": "-weight"},
        {"shop": "1", "weight": "3"},
        {"code__in": "3,4", "sort": "weight"},
        {"label__contains": "abc"},
    ],
    ids=str,
)
def test_a_combination_with_an_index_is_allowed(parameters: dict[str, str]) -> None:
    assert refusals(**parameters) == []


@pytest.mark.parametrize("values", ["code__in=3,4", "code__in=3&code__in=4"])
def test_a_list_of_values_has_commas_or_is_a_repeated_parameter(app: Flask, values: str) -> None:
    with app.test_request_context(f"/?{values}&sort=weight"):
        assert read_query(CrateQuery).model_dump()["code__in"] == [3, 4]


def test_another_parameter_cannot_be_repeated(app: Flask) -> None:
    with app.test_request_context("/?code=3&code=4"), pytest.raises(ValidationFailed) as refused:
        read_query(CrateQuery)

    assert [error.parameter for error in refused.value.fields] == ["code"]


LISTED = (
    "code with any sort; sort=created_at; shop with sort=weight,created_at; "
    "shop, weight with sort=created_at; sort=weight,created_at; weight with sort=created_at."
)


@pytest.mark.parametrize(
    ("parameters", "parameter", "detail"),
    [
        ({"weight__gte": "3"}, "weight__gte", "Sort by weight to filter by weight__gte."),
        ({"weight__gte": "3", "shop": "1"}, "weight__gte", "Sort by weight to filter by weight__gte."),
        ({"shop": "1"}, "shop", f"These can't be combined. Combinations: {LISTED}"),
        ({"sort": "weight,-created_at"}, "sort", f"These can't be combined. Combinations: {LISTED}"),
    ],
    ids=str,
)
def test_a_combination_without_an_index_is_refused_with_the_others(
    parameters: dict[str, str], parameter: str, detail: str
) -> None:
    assert refusals(**parameters) == [(parameter, detail)]


def query(**members: Any) -> type[PageQuery]:
    annotations = {name: type_ for name, (type_, _) in members.items() if name[0].islower()}
    values = {name: value for name, (_, value) in members.items()}
    body = {"rows": Crate, "__module__": __name__, "__annotations__": annotations | {"sort": str}}
    return type(
        "PlainQuery", (PageQuery,), body | {"sort": sortable("created_at", default="created_at")} | values
    )


REFUSED = r"PlainQuery offers {}, but no index of Crate serves it.*Add {}.* to the model.*reads_whole_list"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: query(shop=(Integer, UNSET)),
            REFUSED.format("shop", r"Index\(None, 'shop', 'created_at', 'id'\)"),
        ),
        (
            lambda: query(weight__gte=(Integer, UNSET)),
            REFUSED.format("weight__gte", r"Index\(None, 'weight'"),
        ),
        (
            lambda: query(sort=(str, sortable("created_at", "code", default="created_at"))),
            REFUSED.format("sort=code", r"Index\(None, 'code'"),
        ),
        (
            lambda: query(created_at__contains=(Search, UNSET)),
            REFUSED.format("created_at__contains", "trigram_index"),
        ),
    ],
)
def test_a_filter_or_sort_key_without_an_index_is_refused_at_startup(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_short_list_needs_no_index() -> None:
    class ShortQuery(PageQuery):
        rows = Crate
        reads_whole_list = True

        sort: str = sortable("created_at", "code", default="created_at")
        shop: Integer = UNSET

    assert list(ShortQuery(shop="1", sort="code").policy_errors()) == []


def test_a_filter_can_do_without_an_index() -> None:
    class PartlyQuery(PageQuery):
        rows = Crate
        reads_whole_list = ("shop",)

        sort: str = sortable("created_at", "weight", default="created_at")
        shop: Integer = UNSET
        weight: Integer = UNSET

    assert list(PartlyQuery(shop="1", weight="3").policy_errors()) == []
    assert list(PartlyQuery(sort="weight,-created_at").policy_errors()) != []


def test_a_view_can_fix_a_column() -> None:
    class OfShopQuery(PageQuery):
        rows = Crate
        within = ("shop",)

        sort: str = sortable("weight", "created_at", default="weight")
        weight: Integer = UNSET

    assert list(OfShopQuery().policy_errors()) == []
    assert OfShopQuery.model_json_schema()["properties"]["sort"]["description"].endswith(
        "Combinations: sort=weight,created_at; weight with sort=created_at."
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [("ab", "string_too_short"), ("a b c", "too_short"), ("---", "too_short"), ("a\0bcd", "invalid_format")],
)
def test_a_search_needs_three_letters_or_digits_in_a_row(text: str, code: str) -> None:
    with pytest.raises(ValueError, match="1 validation error") as refused:
        CrateQuery.model_validate({"label__contains": text})

    assert [error["type"] for error in refused.value.errors()] == [code]  # type: ignore[attr-defined]


def test_several_values_are_separated_by_commas() -> None:
    class IdsQuery(PageQuery):
        ids: AnyOf[Reference] = UNSET
        days: AnyOf[Date] = UNSET

    id = "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1"
    read = IdsQuery.model_validate({"ids": f"{id},{id}", "days": "2026-11-22"})
    assert [str(each) for each in read.ids] == [id, id]
    for wrong in ("", f"{id},", ",".join([id] * 21), "x"):
        with pytest.raises(ValueError, match="1 validation error"):
            IdsQuery.model_validate({"ids": wrong})


class CrateBody(ResponseBody):
    id: Id


class CrateList(ResponseBody):
    items: list[CrateBody]
    next_cursor: Text | None
    total: Total = None
    total_at_least: Total = None


@pytest.mark.parametrize(
    ("total", "members"),
    [
        (None, {}),
        (0, {"total": 0}),
        (MOST_COUNTED, {"total": MOST_COUNTED}),
        (MOST_COUNTED + 1, {"total_at_least": MOST_COUNTED}),
    ],
)
def test_a_total_is_exact_or_a_lower_bound(app: Any, total: int | None, members: dict[str, int]) -> None:
    with app.app_context():
        body, _ = page_response(CrateList, Page([], "id", None), CrateBody.of, total)

    assert body.model_dump(mode="json") == {"items": [], "next_cursor": None} | members
