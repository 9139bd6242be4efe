"""Check the settings with the app's code, run by `python -c` in the Python of the image or of .venv.

Reads settings as JSON, prints a line for each wrong one, and exits with 3 if there is any.
"""

import json
import os
import secrets
import sys

from app import config, create_app
from kit.settings import InvalidSettings

WRONG = 3
STAND_INS = {  # for what only the containers can read
    "DATABASE_URL": f"postgresql://user:{secrets.token_hex(32)}@/name?host=/nowhere",
    "SECRET_KEY": secrets.token_hex(32),
}


def wrong_settings() -> list[str]:
    try:
        app = create_app()
    except InvalidSettings as error:
        return error.message.splitlines()
    if config.load().flask_env != "production":
        return []
    output = app.test_cli_runner().invoke(args=["config", "check"]).output
    return [line.removeprefix("weak: ") for line in output.splitlines() if line.startswith("weak: ")]


if __name__ == "__main__":
    os.environ.update(json.load(sys.stdin))
    for name, stand_in in STAND_INS.items():
        os.environ.pop(f"{name}_FILE", None)
        os.environ[name] = os.environ.get(name) or stand_in
    wrong = wrong_settings()
    sys.stdout.writelines(f"setting: {line}\n" for line in wrong)
    sys.exit(WRONG if wrong else 0)
