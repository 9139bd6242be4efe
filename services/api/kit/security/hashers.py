"""Password hashers, and a limit on how many run at once."""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import scrypt
from hmac import compare_digest
from secrets import token_bytes
from threading import BoundedSemaphore
from typing import NewType, Protocol

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import VerifyMismatchError

from kit.errors import Overloaded

MAX_WAIT_SECONDS = 2.0
PasswordHash = NewType("PasswordHash", str)


class Hasher(Protocol):
    """A password hash function. Hashes begin with `prefix` and contain their parameters (PHC format)."""

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
        # Matches no password, but takes as long to verify as any other hash.
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
    """scrypt (RFC 7914): N = 2^14, r = 8, p = 5.

    Of the equivalent parameters that OWASP lists, these need little memory: 16 MiB. Several concurrent
    logins must fit into a small container.
    """

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
    """Keeps many concurrent logins from using up threads and memory, because hashing needs a lot of both.

    A quarter of the threads never hashes. The others hash or wait for it. Two per core hash at the same time,
    because more wouldn't be faster, and at most a quarter of the threads, because of memory.
    """

    def __init__(self, threads: int, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        quarter = max(1, threads // 4)
        self._slots = BoundedSemaphore(max(1, threads - quarter))
        self._hashing = BoundedSemaphore(min(quarter, 2 * (os.cpu_count() or 1)))
        self._max_wait_seconds = max_wait_seconds

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot for the block. Raises Overloaded if all are taken, or after waiting too long."""
        if not self._slots.acquire(blocking=False):
            raise Overloaded
        try:
            if not self._hashing.acquire(timeout=self._max_wait_seconds):
                raise Overloaded
            try:
                yield
            finally:
                self._hashing.release()
        finally:
            self._slots.release()
