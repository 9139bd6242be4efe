"""The file .template: where a project comes from, and what it has left out.

scripts/rename writes it first. Each line is a name and a value:

    url        where the template is fetched from
    commit     the template's commit that the project has
    tree       the tree of that commit, which finds it in a project without the template's history
    without    the parts that were left out
    migrations the template's migrations that have another number in the project: 0006=0007
"""

from dataclasses import dataclass, field
from pathlib import Path

NAME = ".template"
HEADER = "# Where this project comes from. Commit this file: make update-from-template needs it.\n"


@dataclass
class State:
    url: str = ""
    commit: str = ""
    tree: str = ""
    without: list[str] = field(default_factory=list)
    migrations: dict[str, str] = field(default_factory=dict)  # the template's revision: the project's

    @classmethod
    def read(cls, repository: Path) -> "State":
        file = repository / NAME
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        values = dict(line.split(" ", 1) for line in lines if " " in line and not line.startswith("#"))
        pairs = (pair.split("=", 1) for pair in values.get("migrations", "").split())
        return cls(
            values.get("url", ""),
            values.get("commit", ""),
            values.get("tree", ""),
            values.get("without", "").split(),
            dict(pairs),
        )

    def write(self, repository: Path) -> None:
        migrations = " ".join(f"{template}={own}" for template, own in sorted(self.migrations.items()))
        values = {
            "url": self.url,
            "commit": self.commit,
            "tree": self.tree,
            "without": " ".join(sorted(self.without)),
            "migrations": migrations,
        }
        lines = [f"{name} {value}\n" for name, value in values.items() if value]
        (repository / NAME).write_text(HEADER + "".join(lines), encoding="utf-8")
