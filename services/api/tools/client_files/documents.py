"""Writes the client files, independently of the settings: `python -m tools.client_files.documents FOLDER`.

The app starts with test settings. It doesn't connect to a database.
"""

import os
import sys
from secrets import token_hex

KEPT = ("PATH", "HOME", "TMPDIR")
SETTINGS = {
    "FLASK_APP": "tools.flask_app",
    "FLASK_ENV": "testing",
    "DATABASE_URL": "postgresql://docs@localhost/docs_test",
}


def main(folder: str) -> None:
    """Replace this process with `flask postman`."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = [sys.executable, "-m", "flask", "postman", "--output", folder]
    os.execve(sys.executable, command, kept | SETTINGS | {"SECRET_KEY": token_hex(32)})  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1])
