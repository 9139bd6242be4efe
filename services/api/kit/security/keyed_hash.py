"""HMAC-SHA256, and keyed hashes of names and addresses.

Without the key, a copy of the database doesn't reveal them.
"""

import hmac
import json
from collections.abc import Iterable
from functools import lru_cache


def keyed_hashes(keys: Iterable[str], purpose: str, *parts: str) -> tuple[bytes, ...]:
    """Return the HMAC-SHA256 of some texts under each signing key. The current key comes first.

    Store the first hash, and compare with all of them. Then a new signing key makes nothing unknown. The hash
    key is derived from the signing key and the purpose, so that hashes of different purposes can't be linked.
    """
    message = json.dumps(parts).encode()
    return tuple(hmac_sha256(_derived(key, purpose), message) for key in keys)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of a message (RFC 2104).

    Copies the prepared state of the key: `hmac.digest` takes 12 us longer, because OpenSSL looks up its
    functions each time.
    """
    state = _prepared(key).copy()
    state.update(message)
    return state.digest()


@lru_cache(maxsize=64)
def _prepared(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


@lru_cache(maxsize=64)
def _derived(key: str, purpose: str) -> bytes:
    return hmac_sha256(key.encode(), f"keyed hash: {purpose}".encode())
