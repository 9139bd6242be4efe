"""`flask doctor`. It needs an app that can be created; `make doctor` and `scripts/flask doctor` don't."""

import sys

import click
from flask import Flask

from tools import COMMANDS
from tools.doctor import diagnosis


def init_app(app: Flask) -> None:
    app.cli.add_command(doctor)


@click.command("doctor", help=COMMANDS["doctor"][1])
def doctor() -> None:
    sys.exit(diagnosis.main())
