"""The parts of tools.doctor that need no Docker, and how it starts and reports."""

import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from tests.support.paths import API
from tests.support.settings import NEVER_OPENED, settings_for
from tools.doctor.checkout import Checkout, Finding, problem, read_assignments, read_migrations
from tools.doctor.diagnosis import diagnose, report
from tools.doctor.engine import check_clock, check_disk, check_versions
from tools.doctor.files import line_endings, names_in_env, quotes_and_signs, rename_advice, weakness
from tools.doctor.host import NOT_FOUND, Host
from tools.doctor.stack import compare_migrations
from tools.flask_app import create_app


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(Host(tmp_path))


def test_it_needs_only_the_standard_library() -> None:
    code = f"import sys; sys.path.insert(0, {str(API)!r}); import tools.doctor.diagnosis; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-ISBc", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()

    assert "tools.doctor.stack" in loaded
    assert not {"app", "flask", "click"} & set(loaded)


def test_a_check_that_fails_hides_no_other_finding(checkout: Checkout) -> None:
    def broken(_: Checkout) -> Iterator[Finding]:
        yield Finding("ok", "first")
        raise ValueError("odd")

    found = list(diagnose(checkout, (broken, line_endings)))

    assert [finding.kind for finding in found] == ["ok", "problem", "ok"]
    assert "The check broken failed: ValueError('odd')" in found[1].message


def test_no_check_fails_in_an_empty_folder(checkout: Checkout) -> None:
    messages = [finding.message for finding in diagnose(checkout)]

    assert messages
    assert not [message for message in messages if message.startswith("The check")]


def test_it_is_a_flask_command() -> None:
    runner = create_app(settings_for(NEVER_OPENED)).test_cli_runner()

    result = runner.invoke(args=["doctor", "--help"])

    assert result.exit_code == 0
    assert "Find what keeps the stack from running" in result.output


@pytest.mark.parametrize(
    ("finding", "status", "text"),
    [
        (Finding("ok", "line endings"), 0, "ok       line endings\nNothing is wrong.\n"),
        (Finding("note", "Old.", "update it"), 0, "note     Old. Fix: update it\nNothing is wrong.\n"),
        (problem("Broken.", "repair it"), 1, "problem  Broken. Fix: repair it\n"),
    ],
)
def test_only_a_problem_makes_the_status_1(finding: Finding, status: int, text: str) -> None:
    output = StringIO()

    assert report([finding], output) == status
    assert output.getvalue() == text


def test_a_missing_command_has_status_127(checkout: Checkout) -> None:
    assert checkout.host.run("no-such-command") == (NOT_FOUND, "")
    assert checkout.host.output("no-such-command") == ""


def test_a_command_gets_its_input_and_keeps_its_errors_apart(checkout: Checkout) -> None:
    command = ("sh", "-c", "cat; echo trouble >&2; exit 3")

    assert checkout.host.run(*command, stdin="text\n") == (3, "text")
    assert checkout.host.run(*command, stdin="text\n", stderr=True).last_line == "trouble"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("THREADS=4", "4"),
        ("  export THREADS=4\r", "4"),
        ("THREADS=4 # mine", "4"),
        ("THREADS='4 # mine'", "4 # mine"),
        ('THREADS="4"  ', "4"),
        ("THREADS=a#b", "a#b"),
        ("THREADS=", ""),
        ("THREADS = 4", "4"),
        ("THREADS: 4", "4"),
        ("\ufeffTHREADS=4", "4"),
        (r'THREADS="4\" 5"', r"4\" 5"),
        ("THREADS='4'5", "4"),
    ],
)
def test_assignments_in_env_are_parsed(line: str, value: str) -> None:
    [assignment] = read_assignments(f"{line}\n# THREADS=5\nnothing\n")

    assert (assignment.name, assignment.value) == ("THREADS", value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ab$Kjh38", "ab"),
        ("ab$$Kjh38", "ab$Kjh38"),
        ("'ab$Kjh38'", "ab$Kjh38"),
        ('"ab$Kjh38"', "ab"),
        ("${HERE}-${BEFORE}", "shell-file"),
        ("${NOWHERE:-other}-${NOWHERE}", "other-"),
        ("ab$", "ab$"),
        ("ab$1", "ab$1"),
    ],
)
def test_variables_in_env_are_inserted_as_compose_does(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, written: str, value: str
) -> None:
    monkeypatch.setenv("HERE", "shell")
    (checkout.root / ".env").write_text(f"BEFORE=file\nPOSTGRES_PASSWORD={written}\n")

    assert checkout.settings["POSTGRES_PASSWORD"] == value


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("\ufeffTHREADS=4", "byte order mark"),
        ("THREADS = 4", "Compose reads THREADS in .env, but"),
        ("THREADS: 4", "Compose reads THREADS in .env, but"),
        ("THREADS='4'5", "Compose drops the text after the closing quote of THREADS"),
        ("THREADS='4' # four", ""),
        ("export THREADS=4", ""),
    ],
)
def test_lines_of_env_that_are_read_in_different_ways(checkout: Checkout, env: str, words: str) -> None:
    (checkout.root / ".env").write_text(env)

    assert [words in str(finding) for finding in quotes_and_signs(checkout)] == [True] * bool(words)


def test_the_environment_overrides_env(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout.root / ".env").write_text("THREADS=4\nPORT=5000\nHOST=\n")
    monkeypatch.setenv("THREADS", "8")
    monkeypatch.setenv("SECRET_KEY", "of the shell")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("PORT", "")

    expected = {"THREADS": "8", "PORT": "5000", "HOST": "", "SECRET_KEY": "of the shell"}
    assert checkout.settings == expected


def test_names_in_env_that_are_not_for_the_app(checkout: Checkout) -> None:
    (checkout.root / ".env.example").write_text("#THREADS=8\n")
    (checkout.root / ".env").write_text("COMPOSE_PROJECT_NAME=a\nDOCKER_HOST=b\nTHREADS=4\n")

    assert [finding.kind for finding in names_in_env(checkout)] == ["ok"]


@pytest.mark.parametrize(
    ("name", "similar"),
    [("SECRETKEY", "SECRET_KEY"), ("thread", "THREADS"), ("SOMETHING_ELSE", ""), ("KEY", "")],
)
def test_a_misspelt_name(name: str, similar: str) -> None:
    advice = rename_advice(name, {"SECRET_KEY", "SECRET_KEY_FALLBACKS", "THREADS"})

    assert advice == (f"write {similar} if you mean that, or " if similar else "")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", None),
        ("abcdefghijk", "has 11 characters"),
        ("abcdefghijkl", None),
        ("my-Change_Me-1234", 'contains "Change_Me"'),
        ("abababababab", "only 2 different"),
    ],
)
def test_a_weak_secret(secret: str, words: str | None) -> None:
    found = [finding.message for finding in weakness("It", secret, 12, "change it")]

    assert len(found) == bool(words)
    assert not words or words in found[0]


@pytest.mark.parametrize(
    ("parents", "heads"),
    [
        (["None", "'a'", "'b'"], ["c"]),
        (["None", "'a'", "'a'"], ["b", "c"]),
        (["None", "None", "('a', 'b')"], ["c"]),
        (["None", "'a'  # after a", 'str("b")'], ["c"]),
    ],
)
def test_the_heads_of_migrations(parents: list[str], heads: list[str]) -> None:
    texts = [
        f'revision: str = "{name}"\ndown_revision: str | None = {parent}\nrevision_count = 3\n'
        for name, parent in zip("abc", parents, strict=True)
    ]

    assert read_migrations("\n".join(texts)) == (["a", "b", "c"], heads)


@pytest.mark.parametrize(
    ("applied", "words"),
    [
        ("c", "ok"),
        ("a", "pending: the database is at a, the code at c"),
        ("", "pending: the database is at nothing"),
        ("d", "The database is at d, which only a newer"),
    ],
)
def test_migrations_in_the_database(applied: str, words: str) -> None:
    assert words in str(compare_migrations(applied, ["a", "b", "c"], ["c"]))


@pytest.mark.parametrize(
    ("engine", "compose", "words"),
    [
        ("25.0.0", "2.24.4", "ok"),
        ("26.1.5+dfsg1", "v2.26.1-desktop.1", "ok"),
        ("100.0", "3", "ok"),
        ("24.0.9", "2.26.1", "Docker Engine is 24.0.9"),
        ("26.1.5", "2.9.99", "Docker Compose is 2.9.99"),
        ("26.1.5", "v2.24.3-4", "Docker Compose is v2.24.3-4"),
    ],
)
def test_versions_of_docker(engine: str, compose: str, words: str) -> None:
    assert words in str(check_versions(engine, compose))


def test_limits_of_clock_and_disk() -> None:
    assert [check_clock(seconds).kind for seconds in (-16, -15, 15, 16)] == ["problem", "ok", "ok", "problem"]
    assert [check_disk(megabytes).kind for megabytes in (2047, 2048)] == ["problem", "ok"]
