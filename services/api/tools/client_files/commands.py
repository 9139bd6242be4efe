"""`flask postman`."""

import json
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from kit.web import openapi
from tools import COMMANDS
from tools.client_files import http_file, postman


def init_app(app: Flask) -> None:
    app.cli.add_command(write_client_files)


@click.command("postman", help=COMMANDS["postman"][1])
@click.option("--output", default="postman", help="The folder to write to.", type=click.Path(path_type=Path))
@with_appcontext
def write_client_files(output: Path) -> None:
    document = openapi.build(current_app)
    output.mkdir(parents=True, exist_ok=True)
    files = {
        "openapi.json": openapi.text(current_app),
        "flask-api.postman_collection.json": _json(postman.collection(document)),
        "flask-api.postman_environment.json": _json(postman.environment(document)),
        http_file.REST_CLIENT[0]: http_file.write(document),
        http_file.JETBRAINS[0]: http_file.write(document, jetbrains=True),
    }
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8", newline="\n")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
