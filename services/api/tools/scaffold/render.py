"""The templates of generated files."""

import re
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 (Python, no HTML)
)


def imported_names() -> set[str]:
    """Return the names that the templates import."""
    texts = (file.read_text(encoding="utf-8") for file in TEMPLATES.rglob("*.jinja"))
    imports = (re.findall(r"^(?:from \S+ )?import (\([^)]*\)|.*)$", text, re.MULTILINE) for text in texts)
    return set(re.findall(r"\w+", " ".join(chain(*imports))))


def render(template: str, **context: Any) -> str:
    return ENVIRONMENT.get_template(f"{template}.jinja").render(**context)
