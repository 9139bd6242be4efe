"""The result: a table of what was measured with its ratios, and the goals, met or missed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from proof.bench.rounds import Round

RESULTS = Path(__file__).parent / "results"


class Goal(NamedTuple):
    """What is to be reached. `judged` is false where this machine cannot tell."""

    what: str
    measured: float
    goal: float
    unit: str = ""
    at_least: bool = False
    judged: bool = True

    @property
    def verdict(self) -> str:
        if not self.judged:
            return "cannot be told here"
        is_met = self.measured >= self.goal if self.at_least else self.measured <= self.goal
        return "met" if is_met else "MISSED"

    def told(self) -> dict[str, object]:
        """Return it with its verdict, for a program."""
        return {**self._asdict(), "verdict": self.verdict}


def table(results: Mapping[str, Round], compared: Mapping[str, str]) -> str:
    """Write the rounds; the ratio is that of CPU to the subject that each is compared with."""
    lines = ["| | CPU ms | ratio | requests/s | p50 ms | p99 ms |", "|---|---:|---:|---:|---:|---:|"]
    for name, round in results.items():
        ratio = f"{round.cpu / results[compared[name]].cpu:.2f}x" if name in compared else ""
        lines.append(
            f"| {name} | {round.cpu:.2f} | {ratio} | {round.rate:.0f} | {round.p50:.1f} | {round.p99:.1f} |"
        )
    return "\n".join(lines)


def goals_table(goals: Iterable[Goal]) -> str:
    lines = ["| goal | measured | wanted | |", "|---|---:|---:|---|"]
    for goal in goals:
        wanted = f"{'>=' if goal.at_least else '<='} {goal.goal:g}{goal.unit}"
        lines.append(f"| {goal.what} | {goal.measured:.3g}{goal.unit} | {wanted} | {goal.verdict} |")
    return "\n".join(lines)


def write(name: str, text: str, data: object) -> None:
    """Print the result, and write it to results/, for people and for programs."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    print(f"{text}\n\nWritten to {RESULTS.relative_to(RESULTS.parents[2])}/{name}.md")
