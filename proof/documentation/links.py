"""The links of a Markdown file, and whether they lead somewhere.

`python -m proof.documentation.links FOLDER` lists the broken links in a repository.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from proof.documentation.blocks import FENCE, HEADING

LINK = re.compile(r"\]\(([^)\s]+)\)")
EXTERNAL = re.compile(r"(https?|mailto):")


def broken_links(file: Path, folder: Path | None = None) -> list[str]:
    """Return the links to files or headings that don't exist. Relative links start in `folder`."""
    return [link for link in internal_links(file) if not _exists(link, file, folder or file.parent)]


def internal_links(file: Path) -> Iterator[str]:
    text = FENCE.sub("", file.read_text())
    return (link for link in LINK.findall(text) if not EXTERNAL.match(link))


def _exists(link: str, file: Path, folder: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = folder / path if path else file
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(file: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a file."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", file.read_text())):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def main(repository: Path) -> int:
    pages = [*repository.glob("*.md"), *repository.glob("docs/**/*.md"), *repository.glob("proof/*.md")]
    template = repository / "docs/templates/README.md"  # becomes the README
    broken = [f"{page}: {link}" for page in pages if page != template for link in broken_links(page)]
    print(*broken, sep="\n", end="\n" if broken else "")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
