"""Templates of messages: plain files in one folder, rendered by Jinja.

    NAME.txt    `Subject: ...`, an empty line, and the text
    NAME.html   the same message in HTML, if it exists

An undefined name is an error. Values are escaped in HTML, and in no other file.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import click
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateSyntaxError,
    meta,
    select_autoescape,
)

SUBJECT = "Subject:"


class InvalidTemplates(click.ClickException):
    """A template of a message has an error. The message names the file."""


class Rendered(NamedTuple):
    subject: str
    text: str
    html: str | None


class Templates:
    def __init__(self, folder: Path, **values_of_all: str) -> None:
        """Read templates from a folder. Every template can use `values_of_all`."""
        self.folder = folder
        self.values_of_all = values_of_all
        self.environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(["html"], default_for_string=False),
            undefined=StrictUndefined,
        )

    def render(self, name: str, values: Mapping[str, str]) -> Rendered:
        values = {**self.values_of_all, **values}
        subject, text = map(self.environment.from_string, self._subject_and_text(name))
        html = self.environment.get_template(f"{name}.html").render(values) if self._has_html(name) else None
        # The subject is rendered by itself, so that a line break in a value can't add to the text.
        return Rendered(subject.render(values), text.render(values), html)

    def check(self, values: Mapping[str, Collection[str]]) -> None:
        """Read each template that is named, and check the values that it uses. Raises InvalidTemplates."""
        for name, given in values.items():
            known = sorted({*given, *self.values_of_all})
            self._subject_and_text(name)
            for file in [f"{name}.txt", *([f"{name}.html"] if self._has_html(name) else [])]:
                if unknown := self._values_in(file) - {*known, *self.environment.globals}:
                    raise InvalidTemplates(
                        f"The mail template {self.folder / file} uses {', '.join(sorted(unknown))}. "
                        f"It can only use {', '.join(known)}."
                    )

    def _has_html(self, name: str) -> bool:
        return (self.folder / f"{name}.html").exists()

    def _subject_and_text(self, name: str) -> tuple[str, str]:
        """Return the template of the subject and that of the text. Raises InvalidTemplates."""
        first, _, rest = self._source(f"{name}.txt").partition("\n")
        empty, _, text = rest.partition("\n")
        if not first.startswith(SUBJECT) or not first.removeprefix(SUBJECT).strip() or empty.strip():
            raise InvalidTemplates(
                f"The mail template {self.folder / name}.txt must begin with the line `{SUBJECT} ...` "
                "and an empty line."
            )
        return first.removeprefix(SUBJECT).strip(), text

    def _values_in(self, file: str) -> set[str]:
        """Return the names of the values in a template, and in the templates that it includes."""
        try:
            tree = self.environment.parse(self._source(file), file)
        except TemplateSyntaxError as error:
            raise InvalidTemplates(
                f"The mail template {self.folder / file} has an error in line {error.lineno}: {error.message}"
            ) from error
        included = [self._values_in(each) for each in meta.find_referenced_templates(tree) if each]
        return meta.find_undeclared_variables(tree).union(*included)

    def _source(self, file: str) -> str:
        try:
            return Path(self.folder / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidTemplates(
                f"The mail template {self.folder / file} can't be read ({type(error).__name__})."
            ) from error
