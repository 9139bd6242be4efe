"""The password policy, and hashing and verifying passwords."""

from contextlib import suppress
from unicodedata import normalize

from app.exceptions import PasswordRefused
from kit.errors import Overloaded
from kit.security.common_passwords import is_common, is_listed
from kit.security.hashers import HASHERS, Bulkhead, Hasher, PasswordHash

MAX_LENGTH = 128


class Passwords:
    """Checks, hashes and verifies passwords.

    Every known hasher can verify; new hashes come from `hasher`. Passwords are normalized (Unicode NFC), so
    that the same password typed on another system matches.
    """

    def __init__(self, hasher: Hasher, min_length: int, app_name: str, bulkhead: Bulkhead) -> None:
        self._hasher = hasher
        self._bulkhead = bulkhead
        self._min_length = min_length
        self._app_name = app_name

    def check(self, password: str, username: str) -> None:
        """Refuse a new password that is easy to guess (NIST SP 800-63B-4). Raises PasswordRefused."""
        if reasons := self.reasons_against(password, username):
            raise PasswordRefused(reasons)

    def reasons_against(self, password: str, username: str) -> dict[str, str]:
        """Return the rules that a new password breaks, each with a sentence."""
        normal = normalize("NFC", password)
        if len(normal) < self._min_length:
            return {"too_short": f"A password needs at least {self._min_length} characters."}
        if len(normal) > MAX_LENGTH:
            return {"too_long": f"A password has at most {MAX_LENGTH} characters."}
        if "\0" in password:
            return {"invalid_format": "A password can't contain the character NUL."}
        folded = normal.casefold()
        # `aaaa` is a common password too, but "repetitive" is the more useful reason.
        repeats_few_characters = _repeats_block_of(range(1, 4), folded) and not is_listed(folded)
        names = [name for name in (username, self._app_name) if name and _is_mostly(name.casefold(), folded)]
        reasons = {
            "too_common": is_common(folded)
            and not repeats_few_characters
            and "The password is a common one, perhaps repeated, joined to another or with digits around it.",
            "repetitive": _repeats_block_of(range(1, 9), folded)
            and "The password repeats one short block of characters.",
            "contains_name": names and f"The password is little more than the name {names[0]}.",
        }
        return {code: sentence for code, sentence in reasons.items() if sentence}

    def hash(self, password: str) -> PasswordHash:
        """Raises Overloaded, as `verify` does."""
        with self._bulkhead.slot():
            return self._hasher.hash(normalize("NFC", password))

    def verify(self, password: str, hashed: str | None) -> bool:
        """Verify a password. Without a hash (no such user) it takes just as long."""
        hashed = hashed or self._hasher.decoy
        hasher = next(hasher for hasher in HASHERS.values() if hashed.startswith(hasher.prefix))
        with self._bulkhead.slot():
            return hasher.verify(normalize("NFC", password), hashed)

    def verify_and_update(self, password: str, hashed: str | None) -> tuple[bool, PasswordHash | None]:
        """Verify a password. If its hash is outdated, also return a new one, unless the server is busy."""
        is_right = self.verify(password, hashed)
        if is_right and hashed and not self._is_current(hashed):
            with suppress(Overloaded):
                return True, self.hash(password)
        return is_right, None

    def _is_current(self, hashed: str) -> bool:
        """Return whether the configured hasher and its parameters produced this hash."""
        return hashed.startswith(self._hasher.prefix) and self._hasher.is_current(hashed)


def _repeats_block_of(sizes: range, password: str) -> bool:
    """Return whether the password repeats a block of one of these sizes, perhaps cut at the end."""
    return any(
        (password[:size] * len(password)).startswith(password) for size in sizes if 2 * size <= len(password)
    )


def _is_mostly(name: str, password: str) -> bool:
    return name in password and len(password.replace(name, "")) < 8
