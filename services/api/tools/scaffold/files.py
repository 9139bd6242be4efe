"""The type `file`: its arguments, such as file(image/png,image/jpeg,5MB), and its columns."""

import re
from collections.abc import Sequence
from typing import Any

MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>KB|MB)")
UNITS = {"KB": 1_000, "MB": 1_000_000}
LARGEST = 1_000_000_000  # MAX_UPLOAD_BYTES has a limit, too
SHAPE = "write the type as file(image/png,image/jpeg,5MB): media types, then the largest size in KB or MB"
SUFFIXES = ("id", "media_type", "size")


def file_arguments(parts: Sequence[str]) -> tuple[Any, ...]:
    """Return the media types and the largest size in bytes. Raises ValueError."""
    *types, size = parts or [""]
    match = SIZE.fullmatch(size)
    if not match or not types or not all(MEDIA_TYPE.fullmatch(each) for each in types):
        raise ValueError(SHAPE)
    number = int(match["number"]) * UNITS[match["unit"]]
    if number > LARGEST:
        raise ValueError("the largest size is 1000MB")
    if any(each.startswith("multipart/") for each in types):
        raise ValueError("a form can't be a file: clients may send any file as a part of one")
    if len(set(types)) < len(types):
        raise ValueError("a media type is repeated")
    return (*types, number)


def column_names(name: str) -> list[str]:
    return [f"{name}_{suffix}" for suffix in SUFFIXES]


def migration_columns(name: str) -> list[str]:
    types = ("sa.Uuid()", "sa.String(length=255)", "sa.Integer()")
    names = column_names(name)
    return [
        f'sa.Column("{column}", {kind}, nullable=True)' for column, kind in zip(names, types, strict=True)
    ]


def foreign_key_name(table: str, name: str) -> str:
    return f'op.f("fk_{table}_{name}_id_kit_files")'
