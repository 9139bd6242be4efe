"""Lists to which both the template and a project add lines.

A change is easier to merge if both versions of the template already have what only the project has.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.template.git import git, run

# Where both sides add lines at the same place, both are kept.
FILES = (
    "services/api/app/blueprint/__init__.py",
    "services/api/app/jobs.py",
    "services/api/app/model/__init__.py",
    "services/api/tests/integration/test_statements.py",
)
VERSION_FILE = "services/api/app/config.py"
VERSION = re.compile(r"^VERSION = .*$", re.MULTILINE)
SETTINGS = "docs/4-reference/settings.md"
TABLE = re.compile(r"(?<=<!-- settings: written by make docs -->\n).*(?=<!-- end of settings -->)", re.DOTALL)
PERMISSIONS = "services/api/tests/authorization.md"
ROW = re.compile(r"^\| ([A-Z]+ /[^|]*?) \|")
CONFLICT = re.compile(
    r"^<<<<<<< .*\n(?P<ours>(?:.*\n)*?)\|{7} .*\n(?P<base>(?:.*\n)*?)"
    r"=======\n(?P<theirs>(?:.*\n)*?)>>>>>>> .*\n",
    re.MULTILINE,
)


def keep_generated_tables(template: Path, project: Path) -> None:
    """Give the page of settings the project's tables. `make docs` writes them again."""
    _copy(SETTINGS, TABLE, template, project)


def keep_version(template: Path, project: Path) -> None:
    """Give the app the project's version."""
    _copy(VERSION_FILE, VERSION, template, project)


def _copy(name: str, pattern: re.Pattern[str], template: Path, project: Path) -> None:
    file, own = template / name, project / name
    if file.exists() and own.exists() and (found := pattern.search(own.read_text(encoding="utf-8"))):
        text = file.read_text(encoding="utf-8")
        file.write_text(pattern.sub(lambda _: found[0], text, count=1), encoding="utf-8")


def routes(repository: Path) -> set[str]:
    """Return the routes in the table of permissions."""
    file = repository / PERMISSIONS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {row[1] for line in lines if (row := ROW.match(line))}


def keep_own_rows(template: Path, project: Path, known: set[str]) -> None:
    """Add the project's rows to the table of permissions, after the rows that they follow there.

    `known` are the template's routes in the version that the project has.
    """
    file, own = template / PERMISSIONS, project / PERMISSIONS
    if not (file.exists() and own.exists()):
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    previous = ""
    for line in own.read_text(encoding="utf-8").splitlines(keepends=True):
        if not (row := ROW.match(line)):
            continue
        if row[1] not in known:
            before = [number for number, each in enumerate(lines) if each.startswith(f"| {previous} |")]
            if not before:
                return
            lines.insert(before[-1] + 1, line)
        previous = row[1]
    file.write_text("".join(lines), encoding="utf-8")


def keep_both(project: Path, path: str) -> bool:
    """Merge a file again, and keep both sides' lines where both only add some.

    Return False if a conflict is left.
    """
    with TemporaryDirectory() as folder:
        names = []
        for stage, side in ((2, "yours"), (1, "before"), (3, "the template")):
            names.append(f"{folder}/{side}")
            text = run(project, "show", f":{stage}:{path}").stdout
            Path(names[-1]).write_text(text, encoding="utf-8")
        labels = [word for side in ("yours", "before", "the template") for word in ("-L", side)]
        merged = run(project, "merge-file", "-p", "--diff3", *labels, *names).stdout
    merged = CONFLICT.sub(_joined, merged)
    if CONFLICT.search(merged):
        return False
    (project / path).write_text(merged, encoding="utf-8")
    git(project, "add", path)
    return True


def _joined(conflict: re.Match[str]) -> str:
    if conflict["base"]:
        return conflict[0]
    lines = (conflict["theirs"] + conflict["ours"]).splitlines(keepends=True)
    if all(line.startswith(("from ", "import ")) for line in lines):
        lines.sort()
    return "".join(lines)
