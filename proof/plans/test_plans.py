"""The plan of every list that a resource with a million rows offers.

proof/scripts/plans copies this file into a project with scaffolded books and authors.
"""

import os
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from math import sqrt
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from kit.data.resource_repository import MOST_COUNTED
from kit.web.list_queries import MOST_VALUES, RANGES

BookQuery = import_module("app.blueprint.book_schemas").BookQuery  # scaffolded in the copy
ROWS = int(os.environ.get("PLANS_ROWS", "1000000"))
AUTHORS = 10_000
LIMIT = 20
PAGE = LIMIT + 1  # one row more shows that there is another page
# Each page reads its rows, and with several values or a NULL, those of each part.
MOST_READ = 3 * PAGE
# A search reads all matches through its index, or rows in order until enough match, whichever PostgreSQL
# estimates to be less. Both cost the most for a text in about one of 200 rows.
MOST_SEARCHED = int(6 * sqrt(PAGE * ROWS))
# A page that follows another has two bounds, that of the filter and that of the cursor. PostgreSQL multiplies
# their selectivities. If it then expects less than a page, it may read and sort what matches the filter.
MOST_RANGED = int(2 * sqrt(PAGE * ROWS))
# A third of the books are by one author, most are novels, a fifth has no date.
FILL = f"""
INSERT INTO authors (id, name, created_at, updated_at)
  SELECT md5('author ' || n)::uuid, 'Author ' || n, now(), now() FROM generate_series(1, {AUTHORS}) n;
INSERT INTO books (id, title, price, published, genre, isbn, author_id, pages, created_at, updated_at)
  SELECT md5('book ' || n)::uuid,
    md5('title ' || n) || CASE WHEN n % 9973 = 0 THEN ' rarely'
      WHEN n % 97 = 0 THEN ' at times' ELSE ' often' END,
    n * 7919 % 10000 / 100.0,
    CASE WHEN n % 5 > 0 THEN date '1800-01-01' + (n * 104729 % 80000)::int END,
    CASE WHEN n % 20 = 1 THEN 'play' WHEN n % 4 = 0 THEN 'poem' ELSE 'novel' END,
    lpad(n::text, 13, '0'),
    md5('author ' || CASE WHEN n % 3 = 0 THEN 1 ELSE n * 31 % {AUTHORS} + 1 END)::uuid,
    n % 900,
    timestamptz '2026-01-01' + (n * 15485863 % 31536000) * interval '1 second',
    now()
  FROM generate_series(1::bigint, {ROWS}) n;
"""


class Plan(NamedTuple):
    read: int  # rows
    problems: list[str]


@pytest.fixture
def connection(migrated_app: Flask, database_url: URL) -> Iterator[Connection]:
    """A connection without the time limits of the app, to a database with the rows."""
    assert migrated_app
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SET maintenance_work_mem = '256MB'"))
        indexes = connection.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes "
                "WHERE tablename = 'books' AND indexname LIKE 'ix_%'"
            )
        ).all()
        for name, _ in indexes:  # creating them at the end is faster than updating them
            connection.execute(text(f"DROP INDEX {name}"))
        connection.exec_driver_sql(FILL.replace("%", "%%"))
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
        connection.execute(text("VACUUM ANALYZE authors, books"))
        yield connection
    engine.dispose()


def row(connection: Connection, number: int) -> dict[str, str]:
    """Return the values of a book as they are written in a query."""
    found = connection.execute(text("SELECT * FROM books WHERE isbn = :isbn"), {"isbn": f"{number:013}"})
    return {name: str(value) for name, value in found.mappings().one().items() if value is not None}


def queries(connection: Connection) -> Iterator[dict[str, str]]:
    """Yield every combination that the API offers: each filter, sort and direction."""
    offer = BookQuery.offer
    assert offer
    common, rare = row(connection, ROWS // 2 // 60 * 60 + 3), row(connection, ROWS // 2 // 60 * 60 + 41)
    several = [row(connection, 61 * n + 1) for n in range(1, MOST_VALUES + 1)]
    operators: dict[str, set[str]] = {}
    for condition in offer.conditions:
        name, _, operator = condition.partition("__")
        operators.setdefault(name, set()).add(operator)
    for fixed, keys in offer._combinations():
        for sort in chain(
            *((",".join(keys[:n]), ",".join(f"-{key}" for key in keys[:n])) for n in range(1, 4))
        ):
            order = {"sort": sort} if sort else {}
            for values in (common, rare):
                equal = {name: values[name] for name in fixed}
                yield equal | order
                key = keys[0] if keys else ""
                for operator in sorted(operators.get(key, set()) & RANGES):
                    yield equal | order | {f"{key}__{operator}": values[key]}
                if "null" in operators.get(key, set()):
                    yield equal | order | {f"{key}__null": "false"}
                for name in fixed:
                    others = {other: value for other, value in equal.items() if other != name}
                    if "in" in operators[name]:
                        listed = ",".join(dict.fromkeys(each[name] for each in several if name in each))
                        yield others | order | {f"{name}__in": listed}
                    if "not" in operators[name]:
                        yield others | order | {f"{name}__not": values[name]}
                    if "null" in operators[name]:
                        yield others | order | {f"{name}__null": "true"}
    for words in ("rarely", "at times", "often", "no such words"):
        yield {"title__contains": words}
        yield {"title__contains": words, "sort": "price"}
        yield {"title__contains": words, "genre": "play"}


def plan_of(connection: Connection, statement: str, parameters: Any) -> dict[str, Any]:
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
    return plan


def check(plan: dict[str, Any], most: int) -> Plan:
    inner = [check(each, most) for each in plan.get("Plans", ())]
    problems = [problem for each in inner for problem in each.problems]
    read = sum(each.read for each in inner)
    rows = int(plan["Actual Rows"] * plan["Actual Loops"])
    if plan.get("Relation Name") or plan["Node Type"] == "Bitmap Index Scan":
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        read += rows + int(removed * plan["Actual Loops"])
    if plan["Node Type"] == "Seq Scan":
        problems.append(f"Seq Scan on {plan['Relation Name']}")
    if "Sort" in plan["Node Type"]:
        sorted_rows = sum(int(each["Actual Rows"] * each["Actual Loops"]) for each in plan["Plans"])
        if sorted_rows > most:
            problems.append(f"{plan['Node Type']} of {sorted_rows} rows")
    return Plan(read, problems)


def test_every_list_reads_little_more_than_its_page(client: FlaskClient, connection: Connection) -> None:
    statements: list[tuple[str, Any]] = []

    def remember(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    wrong, most, count, asked = (
        [],
        {"list": 0, "list of several values": 0, "list of a range": 0, "search": 0},
        0,
        set(),
    )
    for query in queries(connection):
        if tuple(query.items()) in asked:
            continue
        asked.add(tuple(query.items()))
        event.listen(Engine, "before_cursor_execute", remember)
        first = client.get("/books", query_string=query | {"limit": LIMIT})
        assert first.status_code == 200, (query, first.text)
        if first.json["next_cursor"]:
            following = client.get(
                "/books", query_string=query | {"limit": LIMIT, "cursor": first.json["next_cursor"]}
            )
            assert following.status_code == 200, following.text
        event.remove(Engine, "before_cursor_execute", remember)
        kind, bound = "list", MOST_READ
        if any("__in" in name or "__not" in name for name in query):
            kind, bound = "list of several values", MOST_VALUES * MOST_READ
        if any(name.endswith(("__gte", "__lte")) for name in query):
            kind, bound = "list of a range", MOST_RANGED
        if "title__contains" in query:
            kind, bound = "search", MOST_SEARCHED
        assert statements, query
        for statement, parameters in statements:
            plan = check(plan_of(connection, statement, parameters), bound)
            most[kind] = max(most[kind], plan.read)
            if plan.read > bound:
                plan.problems.append(f"{plan.read} rows are read")
            wrong += [(query, problem) for problem in plan.problems]
            count += 1
        statements.clear()
    sizes = connection.execute(
        text(
            "SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes "
            "WHERE relname = 'books' ORDER BY 2 DESC"
        )
    ).all()
    table = connection.scalar(text("SELECT pg_table_size('books')"))
    print(f"\n{len(asked)} lists of {ROWS:,} rows, {count} statements; at most rows read by one: {most}")
    for name, size in [("the table", table), *sizes, ("all indexes", sum(size for _, size in sizes))]:
        print(f"{size / 1e6:8.0f} MB  {name}")
    assert not wrong, "\n".join(map(str, wrong))
    check_totals(client)


def check_totals(client: FlaskClient) -> None:
    totals: list[tuple[dict[str, str], int | None]] = [
        ({}, None),
        ({"genre": "play"}, ROWS // 20),
        ({"title__contains": "rarely"}, ROWS // 9973),
    ]
    for query, total in totals:
        body: Any = client.get("/books", query_string=query | {"total": "true"}).json
        is_exact = total is not None and total <= MOST_COUNTED
        expected = {"total": total} if is_exact else {"total_at_least": MOST_COUNTED}
        assert {name: body[name] for name in body if name.startswith("total")} == expected
