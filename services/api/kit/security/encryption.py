"""Encrypts secrets that the app must read again, so that a copy of the database doesn't reveal them."""

from collections.abc import Iterable, Sequence
from hmac import digest
from importlib import import_module
from typing import Any, NamedTuple


class DecryptionFailed(Exception):
    """None of the signing keys opens the text, or someone has changed it."""


class Decrypted(NamedTuple):
    plaintext: bytes
    is_current: bool  # whether the first key opened it; otherwise, encrypt it again


def encrypt(keys: Sequence[str], purpose: str, plaintext: bytes) -> bytes:
    """Encrypt and authenticate a text with XSalsa20-Poly1305, under the first signing key.

    The encryption key is derived from the signing key and the purpose.
    """
    return bytes(_box(keys[0], purpose).encrypt(plaintext))


def decrypt(keys: Iterable[str], purpose: str, ciphertext: bytes) -> Decrypted:
    """Decrypt a text with the signing key that was used. Raises DecryptionFailed."""
    errors: Any = import_module("nacl.exceptions")
    for number, key in enumerate(keys):
        try:
            return Decrypted(_box(key, purpose).decrypt(ciphertext), number == 0)
        except (errors.CryptoError, errors.ValueError):
            continue
    raise DecryptionFailed


def _box(key: str, purpose: str) -> Any:
    secret: Any = import_module("nacl.secret")  # loaded when it is needed, which is rare
    return secret.SecretBox(digest(key.encode(), f"encryption: {purpose}".encode(), "sha256"))
