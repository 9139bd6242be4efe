"""The lists that name each resource."""

from collections.abc import Callable
from random import Random

import pytest

from tests.support.paths import API
from tools.scaffold import registration
from tools.scaffold.registration import TABLE, Registration, paths
from tools.scaffold.resource import Resource, parse_fields
from tools.scaffold.tree import Tree

BLUEPRINTS, MODELS, EVENTS = "app/blueprint/__init__.py", "app/model/__init__.py", "app/events.py"


def resource(name: str) -> Resource:
    return Resource(name, f"{name}s", "owned", False, parse_fields(["size:int"], f"{name}s"), is_audited=True)


RESOURCES = [resource(name) for name in ("trial_book", "trial_page", "trial_word")]
BOOK = RESOURCES[0]
TEXTS = {path: (API / path).read_text() for path in paths(BOOK)}


def registered(resource: Resource, texts: dict[str, str]) -> Registration:
    return registration.registered(resource, Tree(API).rows(resource), texts)


def unregistered(resource: Resource, texts: dict[str, str], keep: dict[str, list[str]]) -> Registration:
    return registration.unregistered(resource, Tree(API).rows(resource), texts, keep)


Edit = Callable[[dict[str, str]], dict[str, str]]


def edit(path: str, old: str, new: str) -> Edit:
    def change(texts: dict[str, str]) -> dict[str, str]:
        assert texts[path].count(old) == 1, (path, old)
        return texts | {path: texts[path].replace(old, new)}

    return change


# They change nothing that another one needs, so they can be made in any order.
EDITS = [
    edit(BLUEPRINTS, "    auth.blueprint,\n", "    auth.blueprint,  # first\n    mine.blueprint,\n"),
    edit(BLUEPRINTS, "    account,\n", "    account, mine,\n"),
    edit(BLUEPRINTS, "    health.blueprint,\n", "    health.blueprint, trial_book_club.blueprint,\n"),
    edit(MODELS, "    ScheduledJob,\n)", "    ScheduledJob)\nOTHERS = (\n    TrialBook,\n)"),
    edit(
        MODELS,
        "from app.model.links import Link\n",
        "from mine import TrialBook\nfrom app.model.links import Link\n",
    ),
    edit(MODELS, "MODELS = (", "MODELS: tuple[type[Base], ...] = ("),
    edit(
        EVENTS, '    LOGGED_IN = "logged_in"\n', '    LOGGED_IN = "logged_in"\n    LENT = "trial_book_lent"\n'
    ),
    edit(EVENTS, "class Event(StrEnum):\n", 'class Event(StrEnum):\n    """Mine."""\n\n'),
    edit(TABLE, "| GET / | 200 |", "| GET /trial-books/<uuid:trial_book_id>/pages | 200 |\n| GET / | 200 |"),
    edit(TABLE, "\n| --- | --- | --- |", "\n|:---|---|---|"),
]


@pytest.mark.parametrize("seed", range(4))
def test_after_a_removal_the_lists_have_only_the_edits(seed: int) -> None:
    steps: list[Edit | Resource] = [*EDITS, *RESOURCES, *RESOURCES]
    Random(seed).shuffle(steps)
    texts, expected = TEXTS, TEXTS
    added: set[str] = set()
    for step in steps:
        if not isinstance(step, Resource):
            texts, expected = step(texts), step(expected)
            continue
        changed = unregistered(step, texts, {}) if step.name in added else registered(step, texts)
        added ^= {step.name}
        assert (changed.left, changed.present) == ({}, {})
        texts = changed.texts

    assert texts == expected


def test_lines_that_were_there_before_stay() -> None:
    before = edit(EVENTS, "    REGISTERED", '    TRIAL_BOOK_CREATED = "trial_book_created"\n    REGISTERED')(
        TEXTS
    )
    before = edit(BLUEPRINTS, "    account,\n", "    account,\n    trial_book,\n")(before)
    row = "| POST /trial-books | 418 |\n"
    before = edit(TABLE, "| GET / | 200 |", f"{row}| GET / | 200 |")(before)

    added = registered(BOOK, before)
    removed = unregistered(BOOK, added.texts, added.present)

    assert added.texts[TABLE].count("POST /trial-books ") == 1
    assert removed.texts == before


def test_edited_rows_of_the_table_are_removed() -> None:
    added = registered(BOOK, TEXTS).texts
    added[TABLE] = added[TABLE].replace(
        "| DELETE /trial-books/<uuid:trial_book_id> | 401", "|DELETE /trial-books/<uuid:trial_book_id>|  418"
    )

    assert "418" in added[TABLE]
    assert unregistered(BOOK, added, {}).texts == TEXTS


@pytest.mark.parametrize(
    ("change", "path", "line"),
    [
        (edit(BLUEPRINTS, "BLUEPRINTS = (", "ALL = ("), BLUEPRINTS, "trial_book.blueprint"),
        (edit(MODELS, "MODELS = (", "MODELS = every_model() or ("), MODELS, "TrialBook"),
        (
            edit(EVENTS, "class Event(", "class SecurityEvent("),
            EVENTS,
            'TRIAL_BOOK_DELETED = "trial_book_deleted"',
        ),
        (edit(TABLE, "| route |", "| path |"), TABLE, "| route |"),
    ],
    ids=["renamed list", "computed list", "renamed class", "other table"],
)
def test_a_list_that_cannot_be_edited_is_left_with_the_lines_to_add(
    change: Edit, path: str, line: str
) -> None:
    texts = change(TEXTS)

    result = registered(BOOK, texts)

    assert list(result.left) == [path]
    assert any(each.startswith("+") and line in each for step in result.left[path] for each in step.lines)
