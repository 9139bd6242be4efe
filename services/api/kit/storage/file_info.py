"""What a response says about a stored file."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class FileInfo:
    """A stored file. `url` is its path below the address of the API."""

    media_type: Annotated[str, Field(max_length=255)]
    size: Annotated[int, Field(ge=1, le=1_073_741_824)]
    url: Annotated[str, Field(max_length=1000)]


def file_info(media_type: str | None, size: int | None, url: str) -> FileInfo | None:
    """Return the information about a file, or None if there is none."""
    return None if media_type is None or size is None else FileInfo(media_type, size, url)
