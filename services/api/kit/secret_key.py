"""The key of an API that was given none, in a file. As a program: `python -I app/secret_key.py FILE`.

`docker compose up` runs that each time, so it imports nothing of the app, which takes longer than the rest.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from tempfile import NamedTemporaryFile


def make_secret_key(file: Path) -> str:
    """Return the signing key in the file, which is made at the first call; of many at once one makes it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Such a file is readable for its owner alone.
        with NamedTemporaryFile("w", dir=file.parent, encoding="utf-8") as draft:
            draft.write(token_urlsafe(48))
            draft.flush()
            os.fsync(draft.fileno())
            with suppress(FileExistsError):
                file.hardlink_to(draft.name)  # appears whole or not at all
    return file.read_text(encoding="utf-8")


def main(file: str) -> str | None:
    """Return why there can be no key."""
    try:
        make_secret_key(Path(file))
    except OSError as error:
        return f"The key that signs tokens cannot be made: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
