"""An app with the views and tables of a test module, on a real engine."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Flask
from sqlalchemy import URL, MetaData

from app import create_app
from app.database import db
from kit.data.base import Base
from tests.support.settings import settings_for


@contextmanager
def extended_app(url: URL, blueprint: Blueprint, metadata: MetaData) -> Iterator[Flask]:
    """Create an app on a migrated database. At the end, drop its additional tables."""
    app = create_app(settings_for(url))
    app.register_blueprint(blueprint)
    with app.app_context():
        metadata.create_all(db.engine)
    yield app
    with app.app_context():
        metadata.drop_all(db.engine)
        db.engine.dispose()


def delete_all_rows(app: Flask, *more: MetaData) -> None:
    """Delete the rows of the app's own tables, and of the tables of `more`."""
    with app.app_context():
        for metadata in (*more, Base.metadata):
            for table in reversed(metadata.sorted_tables):
                db.session.execute(table.delete())
        db.session.commit()
