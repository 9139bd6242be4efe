"""The code blocks of a Markdown file, and how a reader would apply them."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NEW_FILE = re.compile(r"`([\w/.]+\.\w+)`")


@dataclass(frozen=True)
class Block:
    """A code block, and the text between it and the block or heading before it."""

    document: str  # relative to the repository
    heading: str
    number: int  # among the blocks of its heading, from 1
    language: str
    text: str
    introduction: str

    @property
    def place(self) -> str:
        return f"{self.document}, {self.heading!r}, block {self.number}"

    def apply(self, project: Path) -> None:
        """Change a file as a diff says, or write the new file that the introduction names last."""
        if self.language == "diff":
            self._patch(project)
            return
        names = NEW_FILE.findall(self.introduction)
        assert names, f"{self.place}: name the file in backticks before the block"
        file = project / names[-1]
        assert not file.exists(), f"{self.place}: {names[-1]} exists already"
        file.write_text(self.text)

    def _patch(self, project: Path) -> None:
        """Apply a unified diff without line numbers: each hunk's lines must be in the file exactly once."""
        first, *lines = self.text.splitlines(keepends=True)
        assert first.startswith("+++ "), f"{self.place}: begin with +++ and the file"
        file = project / first.removeprefix("+++ ").strip()
        text = file.read_text()
        for hunk in "".join(lines).split("@@\n")[1:]:
            each = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in each if line[0] != "+")
            new = "".join(line[1:] for line in each if line[0] != "-")
            assert text.count(old) == 1, f"{self.place}: found {text.count(old)} times in {file.name}:\n{old}"
            text = text.replace(old, new)
        file.write_text(text)


def blocks(document: str, repository: Path) -> list[Block]:
    """Return the code blocks of a Markdown file, in order. An indented fence counts too."""
    file = repository / document
    text = re.sub(r"^ +(```)", r"\1", file.read_text(), flags=re.MULTILINE)
    found: list[Block] = []
    end = 0
    for fence in FENCE.finditer(text):
        # A # inside a block is a comment.
        headings = [match[1] for match in HEADING.finditer(FENCE.sub("", text[: fence.start()]))]
        heading = headings[-1] if headings else ""
        number = 1 + sum(each.heading == heading for each in found)
        found.append(Block(document, heading, number, fence[1], fence[2], text[end : fence.start()]))
        end = fence.end()
    return found
