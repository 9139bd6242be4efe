"""Migrate as the owner of the tables, and run statements as the API's role."""

import flask_migrate
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app.database import db
from kit.data.database import reason_of


def upgrade(app: Flask, **options: str) -> None:
    with app.app_context():
        flask_migrate.upgrade(**options)


def answer(app: Flask, statement: str) -> str:
    """Run a statement as the API. Return why it is refused, or that it is done."""
    with app.app_context():
        try:
            with db.engine.begin() as connection:
                connection.exec_driver_sql(statement)
        except DBAPIError as error:
            return reason_of(error)
    return "done"
