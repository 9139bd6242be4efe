"""`flask db`, by Flask-Migrate: loaded when it is called, for Alembic is a tenth of the whole app to load."""

from flask import Flask
from flask_migrate import Migrate

from app.database import MIGRATIONS, db


def init_app(app: Flask) -> None:
    Migrate(app, db, MIGRATIONS)
