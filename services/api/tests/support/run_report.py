"""Report a run of several parts: progress on one line, then the counts of each part, and the verdict last.

scripts/test loads this plugin. REPORT_FILE names a file that gets the closing lines instead of the
terminal, for a caller that prints more before them.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# The part that each folder of tests belongs to, in the order of the closing lines.
PARTS = {
    "unit": "app",
    "integration": "app",
    "kit": "kit",
    "tools": "tools",
    "repository": "repository and scripts",
    "scripts": "repository and scripts",
    "e2e": "end to end",
}
# The tests of these parts are counted by database.
BY_DATABASE = {"app", "kit"}
DATABASES = {"postgresql": "on PostgreSQL", "sqlite": "on SQLite", "": "without a database"}
ORDER = [
    name
    for part in dict.fromkeys(PARTS.values())
    for name in ([f"{part} {database}" for database in DATABASES.values()] if part in BY_DATABASE else [part])
]
OUTCOMES = ["failed", "error", "passed", "skipped", "xfailed", "xpassed"]
STEP = 5  # percent


@pytest.hookimpl(trylast=True)  # after the terminal is set up
def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")  # of xdist
    if not is_worker and not config.option.collectonly:
        config.pluginmanager.register(RunReport(config))


class RunReport:
    def __init__(self, config: pytest.Config) -> None:
        self.terminal = config.get_terminal_writer()
        self.begun = time.monotonic()
        self.has_begun = False
        self.total = self.done = self.percent = 0
        self.is_brief = config.option.verbose == 0  # with -v, pytest reports each test
        if self.is_brief:
            config.option.verbose = -2  # no header, no list of files, no closing line

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        xdist = session.config.pluginmanager.get_plugin("terminaldistreporter")
        if xdist and self.is_brief:
            xdist.ensure_show_status = lambda: None  # it writes the same line for each worker

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.total = len(ids)

    def pytest_runtest_logstart(self) -> None:
        if self.is_brief and not self.has_begun:
            self.has_begun = True
            self.terminal.write(f"Running {self.total:,} tests:", flush=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> Generator[None, tuple[str, str, str], tuple[str, str, str]]:
        category, letter, word = yield
        return (category, "", "") if self.is_brief else (category, letter, word)  # counted, without a dot

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.is_brief and report.failed:
            self.terminal.write(" F", flush=True)
        self.done += report.when == "teardown"
        percent = 100 * self.done // max(self.total, 1) // STEP * STEP
        if self.is_brief and percent > self.percent:
            self.percent = percent
            self.terminal.write(f" {percent}" if percent < 100 else " 100 %", flush=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around what the terminal writes at the end
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        yield
        lines = self._closing_lines(session)
        if file := os.environ.get("REPORT_FILE"):
            Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            self.terminal.line("\n".join(lines))

    def _closing_lines(self, session: pytest.Session) -> list[str]:
        """Return the ids of the tests that failed, a line for each part, and the verdict."""
        terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        stats = terminal.stats
        ids = {outcome: [report.nodeid for report in stats.get(outcome, [])] for outcome in OUTCOMES}
        parts: dict[str, Counter[str]] = {}
        for outcome in OUTCOMES:
            for nodeid in ids[outcome]:
                parts.setdefault(part_of(nodeid), Counter())[outcome] += 1
        names = sorted(parts, key=place)
        total = sum(parts.values(), Counter())
        return [
            *(f"{outcome.upper()} {nodeid}" for outcome in ("failed", "error") for nodeid in ids[outcome]),
            *(f"{name:<30} {counted(parts[name])}" for name in names),
            f"{verdict(session)} in {time.monotonic() - self.begun:.0f} s: {counted(total) or 'no tests'}",
        ]


def part_of(nodeid: str) -> str:
    """Return the part that a test of this id belongs to, such as `app on SQLite`."""
    folder = Path(nodeid.partition("::")[0]).parts[1]
    part = PARTS.get(folder, folder)
    if part not in BY_DATABASE:
        return part
    database = re.search(r"\[(postgresql|sqlite)[]-]", nodeid)
    return f"{part} {DATABASES[database[1] if database else '']}"


def place(part: str) -> tuple[int, str]:
    """Return what the closing lines are sorted by. Unknown parts come last."""
    return (ORDER.index(part) if part in ORDER else len(ORDER), part)


def counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcomes[name]:,} {name}" for name in OUTCOMES if outcomes[name])


def verdict(session: pytest.Session) -> str:
    if session.exitstatus == pytest.ExitCode.INTERRUPTED and not session.testsfailed:
        return "INTERRUPTED"
    return "PASSED" if session.exitstatus == pytest.ExitCode.OK else "FAILED"
