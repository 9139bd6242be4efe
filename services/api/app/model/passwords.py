"""Passwords: the rules for new ones, and the strategies that hash them."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import scrypt
from hmac import compare_digest
from secrets import token_bytes
from threading import BoundedSemaphore
from typing import NewType, Protocol
from unicodedata import normalize

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import VerifyMismatchError

from app.exceptions import Overloaded, PasswordRefused
from app.model.common_passwords import is_common, is_listed

MAX_LENGTH = 128
MAX_WAIT = 1.0
PasswordHash = NewType("PasswordHash", str)


class Hasher(Protocol):
    """One way to hash. A hash begins with `prefix` and carries its own parameters (PHC string format)."""

    prefix: str
    decoy: PasswordHash

    def hash(self, password: str) -> PasswordHash: ...

    def verify(self, password: str, hashed: str) -> bool: ...

    def is_current(self, hashed: str) -> bool: ...


class Argon2id:
    """argon2id with the parameters of the OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane."""

    prefix = "$argon2id$"

    def __init__(self, kibibytes: int = 19456, passes: int = 2) -> None:
        self._argon2 = Argon2(time_cost=passes, memory_cost=kibibytes, parallelism=1)
        # Well-formed, of the current parameters and nobody's: costs what any verification costs.
        self.decoy = PasswordHash(f"$argon2id$v=19$m={kibibytes},t={passes},p=1${'A' * 22}${'A' * 43}")

    def hash(self, password: str) -> PasswordHash:
        return PasswordHash(self._argon2.hash(password))

    def verify(self, password: str, hashed: str) -> bool:
        try:
            return self._argon2.verify(hashed, password)
        except VerifyMismatchError:
            return False

    def is_current(self, hashed: str) -> bool:
        return not self._argon2.check_needs_rehash(hashed)


class Scrypt:
    """scrypt (RFC 7914): N = 2^14, r = 8, p = 5. Of the parameters that OWASP lists as equal those with the
    least memory, 16 MiB: several logins at a time must fit into a small container."""

    prefix = "$scrypt$"
    decoy = PasswordHash(f"$scrypt$ln=14,r=8,p=5${'A' * 22}==${'A' * 43}=")

    def hash(self, password: str) -> PasswordHash:
        salt = token_bytes(16)
        digest = self._digest(password, salt, 14, 8, 5)
        return PasswordHash(f"$scrypt$ln=14,r=8,p=5${b64encode(salt).decode()}${b64encode(digest).decode()}")

    def verify(self, password: str, hashed: str) -> bool:
        _, _, parameters, salt, digest = hashed.split("$")
        ln, r, p = (int(pair.partition("=")[2]) for pair in parameters.split(","))
        return compare_digest(self._digest(password, b64decode(salt), ln, r, p), b64decode(digest))

    def is_current(self, hashed: str) -> bool:
        return hashed.startswith("$scrypt$ln=14,r=8,p=5$")

    def _digest(self, password: str, salt: bytes, ln: int, r: int, p: int) -> bytes:
        return scrypt(password.encode(), salt=salt, n=2**ln, r=r, p=p, dklen=32, maxmem=2**28)


HASHERS: dict[str, Hasher] = {"argon2id": Argon2id(), "scrypt": Scrypt()}


class Bulkhead:
    """Keeps a storm of logins from taking every thread and all memory, for hashing is slow and large on
    purpose: half of the threads hash or wait for it, half of those at once."""

    def __init__(self, threads: int) -> None:
        self._places = BoundedSemaphore(max(1, threads // 2))
        self._hashing = BoundedSemaphore(max(1, threads // 4))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises Overloaded when no place is free, and after MAX_WAIT seconds of waiting for a turn."""
        if not self._places.acquire(blocking=False):
            raise Overloaded
        try:
            if not self._hashing.acquire(timeout=MAX_WAIT):
                raise Overloaded
            try:
                yield
            finally:
                self._hashing.release()
        finally:
            self._places.release()


class Passwords:
    """The one door for passwords: what comes in is checked, hashed and verified here.

    Every known strategy verifies; `hasher` is the one that writes. Passwords are compared in Unicode's
    normalization form C, so that the same password typed on another system is the same.
    """

    def __init__(self, hasher: Hasher, min_length: int, app_name: str, threads: int) -> None:
        self._hasher = hasher
        self._bulkhead = Bulkhead(threads)
        self._min_length = min_length
        self._app_name = app_name

    def check(self, password: str, username: str) -> None:
        """Refuse a new password that is easy to guess (NIST SP 800-63B-4). Raises PasswordRefused."""
        normal = normalize("NFC", password)
        if len(normal) < self._min_length:
            raise PasswordRefused({"too_short": f"A password has at least {self._min_length} characters."})
        if len(normal) > MAX_LENGTH:
            raise PasswordRefused({"too_long": f"A password has at most {MAX_LENGTH} characters."})
        if "\0" in password:
            raise PasswordRefused({"invalid_format": "A password cannot contain the character NUL."})
        folded = normal.casefold()
        # Told as the repetition that it is, though `aaaa` is on the list as well.
        is_few_letters = _repeats_block_of(range(1, 4), folded) and not is_listed(folded)
        names = [name for name in (username, self._app_name) if _is_mostly(name.casefold(), folded)]
        reasons = {
            "too_common": is_common(folded)
            and not is_few_letters
            and "The password is one that many people use, perhaps repeated or with digits around it.",
            "repetitive": _repeats_block_of(range(1, 9), folded)
            and "The password repeats one short block of characters.",
            "contains_name": names and f"The password is little more than the name {names[0]}.",
        }
        refused = {code: sentence for code, sentence in reasons.items() if sentence}
        if refused:
            raise PasswordRefused(refused)

    def hash(self, password: str) -> PasswordHash:
        """Raises Overloaded, as `verify` does."""
        with self._bulkhead.place():
            return self._hasher.hash(normalize("NFC", password))

    def verify(self, password: str, hashed: str | None) -> bool:
        """Compare in the time of one hash operation, with no hash (there is no such user) too."""
        hashed = hashed or self._hasher.decoy
        hasher = next(hasher for hasher in HASHERS.values() if hashed.startswith(hasher.prefix))
        with self._bulkhead.place():
            return hasher.verify(normalize("NFC", password), hashed)

    def is_current(self, hashed: str) -> bool:
        """Whether the configured strategy and parameters would write this hash today."""
        return hashed.startswith(self._hasher.prefix) and self._hasher.is_current(hashed)


def _repeats_block_of(sizes: range, password: str) -> bool:
    """Whether a block of so many code points comes at least twice, perhaps cut at the end."""
    return any(
        (password[:size] * len(password)).startswith(password) for size in sizes if 2 * size <= len(password)
    )


def _is_mostly(name: str, password: str) -> bool:
    return name in password and len(password.replace(name, "")) < 8
