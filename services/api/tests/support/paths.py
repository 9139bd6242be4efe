"""Folders of the repository."""

from pathlib import Path

API = Path(__file__).parents[2]
REPOSITORY = API.parents[1]
MIGRATIONS = API / "migrations"
