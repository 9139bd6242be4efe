"""Edits of Python files that were changed by hand."""

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.scaffold.edits import Merged, merge
from tools.scaffold.ruff import format_files

WITHOUT = dedent('''\
    """Books."""

    from sqlalchemy import Index, String

    SORTABLE = ["title"]


    class Genre(StrEnum):
        NOVEL = "novel"


    class Book(Base):
        """A book."""

        __table_args__ = (Index(None, "title", "id"),)

        title: Mapped[str] = mapped_column(String(200))
        created_at: Mapped[datetime] = mapped_column(default=now)


    @pytest.mark.parametrize("field", ["title"])
    def test_a_field(writer: Person) -> None:
        row = add(writer)

        assert row == {"title": "Emma"}
''')
WITH = dedent('''\
    """Books."""

    from decimal import Decimal

    from sqlalchemy import Index, Numeric, String

    SORTABLE = ["title", "price"]


    class Genre(StrEnum):
        NOVEL = "novel"
        COMIC = "comic"


    class Book(Base):
        """A book."""

        __table_args__ = (
            Index(None, "title", "id"),
            Index(None, "price", "id"),
        )

        title: Mapped[str] = mapped_column(String(200))
        price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
        created_at: Mapped[datetime] = mapped_column(default=now)


    @pytest.mark.parametrize("field", ["title", "price"])
    def test_a_field(writer: Person) -> None:
        row = add(writer)

        assert row == {"title": "Emma", "price": None}


    def test_prices() -> None:
        assert SORTABLE[-1] == "price"
''')


def merged(mine: str, old: str = WITHOUT, new: str = WITH) -> Merged:
    return merge(mine, old, new)


def place_of(*edits: tuple[str, str]) -> str:
    """Return the text with edits."""
    text = WITHOUT
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_everything_else_survives_byte_for_byte() -> None:
    mine = place_of(
        ('SORTABLE = ["title"]', "# What clients sort by\nSORTABLE: Final = (  'title',   )  # for now"),
        (
            '    NOVEL = "novel"\n',
            "    NOVEL = 'novel' # long\n    DRAMA = 'drama'\n\n    def mine(self): ...\n",
        ),
        ("import Index, String", "import (\n    String,  # used twice\n    Index,\n)\nimport mine"),
        ('(Index(None, "title", "id"),)', '(\n      Index( None, "title", "id" ),  # fast\n    )'),
        ("    created_at", "    # Mine\n    pages: int = 1\n    created_at"),
        ("    row = add(writer)\n", "    row = add( writer )  # one\n    assert  row\n"),
        ('["title"])\n', "['title',])\n@mine\n"),
    )

    result = merged(mine)

    assert result.left == []
    assert result.text == mine.replace("import mine", "import mine\nfrom decimal import Decimal").replace(
        "    Index,\n", "    Index,\n    Numeric,\n"
    ).replace("'title',   )", "'title', \"price\",   )").replace(
        "# long\n", '# long\n    COMIC = "comic"\n'
    ).replace("# fast\n", '# fast\n      Index(None, "price", "id"),\n').replace(
        "String(200))\n", "String(200))\n    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))\n"
    ).replace("['title',]", "['title', \"price\",]").replace('"Emma"}', '"Emma", "price": None}') + (
        '\n\ndef test_prices() -> None:\n    assert SORTABLE[-1] == "price"\n'
    )


def test_reordered_statements_are_found() -> None:
    genre = 'class Genre(StrEnum):\n    NOVEL = "novel"\n'
    mine = place_of((genre, "")) + "\n\n" + genre

    result = merged(mine)

    assert result.left == []
    assert result.text.endswith(genre + '    COMIC = "comic"\n')


@pytest.mark.parametrize(
    ("edit", "place", "lines"),
    [
        (("class Genre", "class Kind"), "class Genre", ['     NOVEL = "novel"', '+    COMIC = "comic"']),
        (
            ("SORTABLE = ", "ORDERED = "),
            "SORTABLE",
            ['-SORTABLE = ["title"]', '+SORTABLE = ["title", "price"]'],
        ),
        (
            ('["title"]\n', "names()\n"),
            "SORTABLE",
            ['-SORTABLE = ["title"]', '+SORTABLE = ["title", "price"]'],
        ),
        (
            ('assert row == {"title": "Emma"}', "assert row"),
            "test_a_field()",
            [
                '-@pytest.mark.parametrize("field", ["title"])',
                '+@pytest.mark.parametrize("field", ["title", "price"])',
                " def test_a_field(writer: Person) -> None:",
                " ",
                '-    assert row == {"title": "Emma"}',
                '+    assert row == {"title": "Emma", "price": None}',
            ],
        ),
    ],
    ids=["renamed class", "renamed list", "computed list", "rewritten statement"],
)
def test_a_place_that_is_gone_is_named_and_left_alone(
    edit: tuple[str, str], place: str, lines: list[str]
) -> None:
    mine = place_of(edit)

    result = merged(mine)

    assert [(step.place, step.lines) for step in result.left] == [(place, lines)]
    assert edit[1] in result.text
    assert "price: Mapped" in result.text


def test_an_addition_that_exists_is_not_repeated() -> None:
    result = merged(WITH.replace("Numeric, String", "String, Numeric").replace('"price"', "'price'"))

    assert (result.left, result.text.count("price: Mapped"), result.text.count("COMIC")) == ([], 1, 1)
    assert result.text.count("Numeric, ") == 0


def test_a_different_statement_of_the_same_name_is_left_alone() -> None:
    mine = place_of(("    created_at", "    price: Mapped[int] = mapped_column()\n    created_at"))

    assert [step.place for step in merged(mine).left] == ["class Book"]
    assert "price: Mapped[int]" in merged(mine).text


def test_line_breaks_of_windows_are_kept() -> None:
    result = merged(WITHOUT.replace("\n", "\r\n") + "# mine\r\n")

    assert result.text.replace("\r\n", "").count("\n") == 0
    assert "price: Mapped" in result.text


def test_a_file_without_edits_becomes_the_generated_one() -> None:
    assert merged(WITHOUT).text == WITH
    assert merged(WITH, old=WITH, new=WITHOUT).text == WITHOUT


ITEMS = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(items=ITEMS, position=st.integers(0, 6), is_long=st.booleans(), brackets=st.sampled_from(["()", "[]"]))
def test_an_item_is_added_and_removed_without_a_trace(
    items: list[str], position: int, is_long: bool, brackets: str
) -> None:
    start, end = brackets[0], brackets[1]
    separator = ",  # of ours\n    " if is_long else ", "
    inside = f"\n    {separator.join(items)},\n" if is_long else f"{separator.join(items)},"
    mine = f"from x import a\n\nLIST = {start}{inside}{end}\n# end\n"
    anchor = items[position % len(items)]
    without, named = f"LIST = ({anchor},)\n", f"from y import z\nLIST = ({anchor}, z)\n"

    added = merge(mine, without, named)
    removed = merge(added.text, named, without)

    assert added.left == removed.left == []
    assert added.text.count("z") == 2
    assert removed.text == mine


def test_without_files_nothing_is_formatted(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import os\nname = 'x'\n")

    format_files(tmp_path, [])

    assert file.read_text() == "import os\nname = 'x'\n"
