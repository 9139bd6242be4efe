"""`flask postman`."""

import json
from pathlib import Path
from secrets import token_hex

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app import create_app
from app.config import Settings
from kit.web import openapi
from tools import COMMANDS
from tools.client_files import http_file, postman

# What switches on every optional feature of an app that is only asked for its document.
FULL = {
    "FLASK_ENV": "testing",
    "DATABASE_URL": "postgresql://docs@localhost/docs_test",
    "SMTP_URL": "smtp://localhost",
    "MAIL_FROM": "api@example.com",
    "APP_URL": "https://app.example.com",
}


def init_app(app: Flask) -> None:
    app.cli.add_command(write_client_files)


@click.command("postman", help=COMMANDS["postman"][1])
@click.option("--output", default="postman", help="The folder to write to.", type=click.Path(path_type=Path))
@with_appcontext
def write_client_files(output: Path) -> None:
    document = openapi.build(current_app)
    full = openapi.build(create_app(Settings.model_validate(FULL | {"SECRET_KEY": token_hex(32)})))
    output.mkdir(parents=True, exist_ok=True)
    files = {
        "openapi.json": openapi.text(current_app),
        "flask-api.postman_collection.json": _json(postman.collection(document, full)),
        "flask-api.postman_environment.json": _json(postman.environment(document, full)),
        **http_file.files(document, full),
    }
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8", newline="\n")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
