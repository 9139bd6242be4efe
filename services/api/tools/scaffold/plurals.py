"""English plurals, from the library inflect. It is loaded only here, because that takes a second."""

from functools import cache
from importlib import import_module
from typing import Any

# inflect would add an s to these. Their singular and plural are equal, at least as names of a list.
UNINFLECTED = ("staff", "personnel", "feedback", "metadata", "software", "hardware", "homework", "furniture")
# Endings of singular words that look like plurals: bus, analysis, address, canvas.
SINGULAR_ENDINGS = ("us", "is", "ss", "as", "os", "lens")


def plural_of(name: str) -> str:
    """Return the plural of a name such as `order_item`."""
    *first, last = name.split("_")
    return "_".join([*first, str(_engine().plural_noun(last))])


def singular_of(name: str) -> str:
    """Return the singular if the name looks like a plural, or an empty string."""
    *first, last = name.split("_")
    if last.endswith(SINGULAR_ENDINGS):
        return ""
    singular = _engine().singular_noun(last)
    if not singular or singular == last or _engine().plural_noun(singular) != last:
        return ""
    return "_".join([*first, str(singular)])


@cache
def _engine() -> Any:
    engine = import_module("inflect").engine()
    for word in UNINFLECTED:
        engine.defnoun(word, word)
    return engine
