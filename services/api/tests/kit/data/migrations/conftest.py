"""A database without tables, and the role of the API."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import URL

from app import create_app
from app.database import db
from kit.data.migrations import commands as migrations
from tests.support.databases import another_database, new_role
from tests.support.settings import settings_for


@pytest.fixture
def empty_url(database_url: URL, tmp_path: Path) -> Iterator[URL]:
    """An empty database for this test."""
    with another_database(database_url, tmp_path, "empty") as url:
        yield url


@pytest.fixture
def api_url(empty_url: URL) -> Iterator[URL]:
    """The empty database, with a role that has no privileges."""
    with new_role(empty_url, "api") as url:
        yield url


@pytest.fixture
def app_with(empty_url: URL) -> Iterator[Callable[..., Flask]]:
    """Create apps that connect with this URL, and migrate as the owner unless told otherwise."""
    apps = []

    def create(url: URL, **settings: object) -> Flask:
        app = create_app(settings_for(url, **{"migration_database_url": empty_url} | settings))
        migrations.init_app(app)
        apps.append(app)
        return app

    yield create
    for app in apps:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()
