"""The text of API keys: a prefix, 33 random characters and a checksum, like GitHub's tokens.

Secret scanners find keys by their prefix, and the checksum tells them from other text. It also lets the API
refuse a mistyped key without reading the database.
"""

import re
from hashlib import sha256
from secrets import randbits
from string import ascii_lowercase, ascii_uppercase, digits
from zlib import crc32

ALPHABET = digits + ascii_uppercase + ascii_lowercase  # base62
BITS = 192
RANDOM_LENGTH = 33  # 62 ** 33 is more than 2 ** 192
CHECKSUM_LENGTH = 6  # 62 ** 6 is more than 2 ** 32
FORM = re.compile(f"[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


def new_key(prefix: str) -> str:
    """Return a new key."""
    start = prefix + _base62(randbits(BITS), RANDOM_LENGTH)
    return start + _checksum(start)


def is_key(prefix: str, text: str) -> bool:
    """Return whether a text has the form of a key, and the right checksum."""
    start, checksum = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
    has_form = text.startswith(prefix) and FORM.fullmatch(text, len(prefix))
    return bool(has_form) and checksum == _checksum(start)


def key_hash(key: str) -> str:
    """Return the hash to store for a key. A key has enough random bits for a hash without salt or secret."""
    return sha256(key.encode()).hexdigest()


def _checksum(start: str) -> str:
    """Return the CRC-32 (as in zip files) of everything before it."""
    return _base62(crc32(start.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    """Return a number with the most significant digit first, padded with zeros."""
    text = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text
