"""Remove parts that a project doesn't need: `python -m tools.template.without heroku swarm`.

parts.toml lists the parts. A part consists of whole files, of marked lines in other files, and of words that
are replaced. These are the marks, in any kind of comment (`#`, `;` or `<!-- -->`):

    # part: NAME                              the lines from here
    # end of part                             to here; blocks may be nested
    something  # part: NAME                   this line
    a <!-- part: NAME -->b<!-- end of part -->   these words

Several names, separated by commas, mean that the lines go with any of these parts.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tools.template.git import Refused, require_clean, tracked
from tools.template.state import State

REPOSITORY = Path(__file__).parents[4]
LIST = Path(__file__).with_name("parts.toml")
NAMES = r"part: (?P<names>[a-z-]+(?:, [a-z-]+)*)"
BEGIN = re.compile(rf"^\s*(?:#|;|<!--) {NAMES}(?: -->)?\s*$")
END = re.compile(r"^\s*(?:#|;|<!--) end of part(?: -->)?\s*$")
LINE = re.compile(rf"\S.*\s(?:#|;|<!--) {NAMES}(?: -->)?(?: \|)?\s*$")
WORDS = re.compile(rf"<!-- {NAMES} -->(?! *\|? *\n)(?:(?!<!-- part:).)*?<!-- end of part -->", re.DOTALL)
UNMARKED = ("services/api/tools/template/*", "services/api/tests/tools/test_template.py", "CHANGELOG.md")


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str = ""


@dataclass(frozen=True)
class Part:
    """What belongs to a part besides its marked lines."""

    name: str
    summary: str
    check: str = ""
    files: tuple[str, ...] = ()  # patterns
    needs: tuple[str, ...] = ()  # the parts that go with it
    edits: tuple[Edit, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()


def parts() -> dict[str, Part]:
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return {name: _part(name, **values) for name, values in listed.items()}


def _part(
    name: str,
    summary: str,
    check: str = "",
    files: Iterable[str] = (),
    needs: Iterable[str] = (),
    edits: Iterable[dict[str, str]] = (),
    renames: dict[str, str] | None = None,
) -> Part:
    changes = tuple(Edit(**each) for each in edits)
    return Part(name, summary, check, tuple(files), tuple(needs), changes, tuple((renames or {}).items()))


def with_needs(names: Iterable[str], known: dict[str, Part]) -> list[str]:
    """Add the parts that go with the named ones. Raises Refused for an unknown part."""
    wanted: list[str] = []
    rest = list(names)
    while rest:
        name = rest.pop(0)
        if name not in known:
            raise Refused(f"There is no part {name}. The parts are: {', '.join(known)}.")
        if name not in wanted:
            wanted.append(name)
            rest += known[name].needs
    return wanted


def unmarked(text: str, names: Iterable[str]) -> str:
    """Return a text without the lines and words of some parts."""
    gone = set(names)
    while (
        shorter := WORDS.sub(lambda match: "" if _is_of(match, gone) else "\0" + match[0][1:], text)
    ) != text:
        text = shorter
    text = text.replace("\0", "<")
    kept: list[str] = []
    is_in: list[bool] = []  # for each open block, whether it goes
    removed = False
    for line in text.splitlines(keepends=True):
        if begin := BEGIN.match(line):
            is_in.append(_is_of(begin, gone))
            removed |= is_in[-1]
            if not any(is_in):
                kept.append(line)
        elif END.match(line) and is_in:
            if not any(is_in):
                kept.append(line)
            is_in.pop()
        elif any(is_in) or ((mark := LINE.search(line)) and _is_of(mark, gone)):
            removed = True
        elif not (removed and line.strip() == "" and (not kept or kept[-1].strip() == "")):
            kept.append(line)
            removed = False
    return "".join(kept)


def _is_of(mark: re.Match[str], names: set[str]) -> bool:
    return bool(names & set(mark["names"].split(", ")))


class Removal:
    """Removes parts from a repository, and notes what it did."""

    def __init__(self, repository: Path, known: dict[str, Part]) -> None:
        self.repository = repository
        self.known = known
        self.deleted: list[str] = []
        self.changed: set[str] = set()
        self.missing: list[Edit] = []

    def remove(self, names: list[str]) -> None:
        for part in map(self.known.__getitem__, names):
            for old, new in part.renames:
                if (self.repository / old).exists():
                    (self.repository / old).replace(self.repository / new)
                    self.changed.add(new)
            self._delete(part)
        for name in tracked(self.repository):
            file = self.repository / name
            if file.is_file() and not file.is_symlink() and not matches(name, UNMARKED):
                self._rewrite(name, names)
        for part in map(self.known.__getitem__, names):
            for edit in part.edits:
                self._edit(edit)

    def _delete(self, part: Part) -> None:
        for name in tracked(self.repository):
            file = self.repository / name
            if matches(name, part.files) and (file.exists() or file.is_symlink()):
                file.unlink()
                self.deleted.append(name)
                for folder in file.parents:
                    if folder == self.repository or any(folder.iterdir()):
                        break
                    folder.rmdir()

    def _rewrite(self, name: str, names: list[str]) -> None:
        file = self.repository / name
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError:
            return
        if "part: " in text and (shorter := unmarked(text, names)) != text:
            file.write_bytes(shorter.encode())
            self.changed.add(name)

    def _edit(self, edit: Edit) -> None:
        file = self.repository / edit.file
        if not file.exists():
            return
        text = file.read_text(encoding="utf-8")
        if edit.old in text:
            file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
            self.changed.add(edit.file)
        else:
            self.missing.append(edit)


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def main(arguments: list[str]) -> None:
    """List the parts, or remove some."""
    known, state = parts(), State.read(REPOSITORY)
    if not arguments:
        _say('Remove parts with: make without parts="heroku swarm"\n')
        for part in known.values():
            gone = " (already removed)" if part.name in state.without else ""
            also = f"; also removes {', '.join(part.needs)}" if part.needs else ""
            _say(f"  {part.name:<15}{part.summary}{also}{gone}")
        return
    if arguments == ["--names"]:
        _say("\n".join(known))
        return
    is_quiet = arguments[0] == "--quietly"  # for make update-from-template
    if is_quiet:
        names = with_needs([name for name in arguments[1:] if name in known], known)
    else:
        require_clean(REPOSITORY)
        names = [name for name in with_needs(arguments, known) if name not in state.without]
    removal = Removal(REPOSITORY, known)
    removal.remove(names)
    state.without = sorted({*state.without, *names})
    state.write(REPOSITORY)
    if not is_quiet:
        _report(removal, [known[name] for name in names])


def _report(removal: Removal, gone: list[Part]) -> None:
    if not gone:
        _say("Nothing to do: these parts are already removed.")
        return
    _say(f"Removed: {', '.join(part.name for part in gone)}")
    _say(f"  {len(removal.deleted)} files deleted, and {len(removal.changed)} changed:")
    for name in sorted(removal.changed):
        _say(f"    {name}")
    for edit in removal.missing:
        _say(f"  Not found in {edit.file}, so change it yourself if it is still there: {edit.old.strip()!r}")
    for part in gone:
        if part.check:
            _say(f"  Check for {part.name}: {part.check}")
    _say("Run make lint and make test, review with git diff HEAD, and commit. To undo this: git reset --hard")


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refused:
        sys.exit(f"without: {refused}")
