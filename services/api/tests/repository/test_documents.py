"""Files that repeat the same information agree."""

import re

from app.config import VERSION, Settings
from tests.support.paths import REPOSITORY
from tests.support.settings import NEVER_OPENED, SECRET_KEY


def test_the_version_is_the_newest_in_the_changelog() -> None:
    headings = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == VERSION


def test_the_example_has_the_defaults_of_the_settings() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    suggestions = "take the # from these four:"
    example = re.sub(f"{suggestions}.*?\n\n", "", example, count=1, flags=re.DOTALL)
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", example, re.MULTILINE))
    required = {"DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY}
    defaults = Settings.model_validate(required)

    own = {name: value for name, value in shown.items() if name.lower() in Settings.model_fields}
    assert Settings.model_validate(required | own) == defaults
    assert len(own) > 20
