"""Changes of the files of a resource, whether or not they were edited after they were generated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff

from tools.scaffold import ruff
from tools.scaffold.edits import Step, merge, steps
from tools.scaffold.resource import Resource
from tools.scaffold.tree import Record, Tree, digest


@dataclass
class Changes:
    """The new text of each file, and the steps that are left to the user."""

    texts: dict[str, str] = field(default_factory=dict)
    left: dict[str, list[Step]] = field(default_factory=dict)
    edited: dict[str, str] = field(
        default_factory=dict
    )  # the SHA-256 that files with edits would have without


def changes(tree: Tree, record: Record, after: Resource) -> Changes:
    """Return what turns a resource into another version of itself.

    A file of the app is changed completely or not at all. The tests don't depend on each other, so in their
    file each test is changed for itself.
    """
    old, new, found = tree.generated(record.resource), tree.generated(after), Changes()
    for path in tree.changed(record):
        found.edited[path] = digest(new[path].encode()) if path in new else record.files[path]
    for path, text in new.items():
        if not (tree.api / path).exists():
            if path in old:
                found.left[path] = steps(old[path], text)
            else:
                found.texts[path] = text
        elif old.get(path, "") != text:
            mine = tree.read(path)
            merged = merge(mine, old.get(path, ""), text)
            if merged.left and not path.startswith("tests/integration/"):
                merged.left, merged.text = steps(old.get(path, ""), text), mine
            found.texts[path] = ruff.tidied(tree.api, path, mine, merged.text)
            if merged.left:
                found.left[path] = merged.left
    return found


def described(left: Mapping[str, Iterable[Step]]) -> list[str]:
    """Return the lines that describe the remaining steps."""
    lines = []
    for path, each in left.items():
        for step in each:
            lines += [f"  services/api/{path}, {step.place}:", *(f"    {line}" for line in step.lines)]
    return lines


def edits_of(tree: Tree, record: Record) -> dict[str, list[str]]:
    """Return what the user has changed in each file of the resource, as a diff."""
    generated = tree.generated(record.resource)
    found = {}
    for path in tree.changed(record):
        mine = tree.read(path).splitlines() if (tree.api / path).exists() else []
        lines = list(unified_diff(generated.get(path, "").splitlines(), mine, n=0, lineterm=""))[2:]
        found[path] = [line for line in lines if not line.startswith("@@")]
    return found
