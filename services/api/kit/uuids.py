"""Text forms of UUIDs (RFC 9562): accepted in any case, written in lower case."""

import re
from uuid import UUID

CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANY_CASE = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID, or None for anything else, such as a UUID in braces or without hyphens."""
    return UUID(text) if ANY_CASE.fullmatch(text) else None
