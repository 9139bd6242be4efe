"""Canonical UUID text (RFC 9562): lower case, with hyphens."""

import re
from uuid import UUID

CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID, or None if the text isn't its canonical form."""
    return UUID(text) if CANONICAL.fullmatch(text) else None
