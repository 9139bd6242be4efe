"""Prints a configuration of openapi-python-client that reads files, which it doesn't know, as bytes.

usage: python -m tools.client_types DOCUMENT
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KNOWN = (
    "application/json",
    "application/problem+json",
    "application/merge-patch+json",
    "multipart/form-data",
)
BYTES = "application/octet-stream"


def overrides(document: dict[str, Any]) -> dict[str, str]:
    """Return the media types of an OpenAPI document that are files."""
    return {name: BYTES for name in sorted(set(_media_types(document))) if name not in KNOWN}


def _media_types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(content := node.get("content"), dict):
            yield from (name for name in content if "/" in name)
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from _media_types(each)


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write(json.dumps({"content_type_overrides": overrides(json.loads(text))}))
