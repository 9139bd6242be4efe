"""Creates a signing key in a file, if it doesn't exist. As a program: `python -I kit/secret_key.py FILE`.

`docker compose up` runs it each time, so it doesn't import the app, which would be slow.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from tempfile import NamedTemporaryFile


def make_secret_key(file: Path) -> str:
    """Return the signing key in the file. Concurrent first calls create only one."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Temporary files are readable only for their owner.
        with NamedTemporaryFile("w", dir=file.parent, encoding="utf-8") as draft:
            draft.write(token_urlsafe(48))
            draft.flush()
            os.fsync(draft.fileno())
            with suppress(FileExistsError):
                file.hardlink_to(draft.name)  # atomic: readers never see a part of the key
    return file.read_text(encoding="utf-8")


def main(file: str) -> str | None:
    """Create the key. Return an error message, or None."""
    try:
        make_secret_key(Path(file))
    except OSError as error:
        return f"Can't create the signing key: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
