"""Keyed hashes of names and addresses. Without the key, a copy of the database doesn't reveal them."""

import json
from collections.abc import Iterable
from hmac import digest


def keyed_hashes(keys: Iterable[str], purpose: str, *parts: str) -> tuple[bytes, ...]:
    """Return the HMAC-SHA256 of some texts under each signing key. The current key comes first.

    Store the first hash, and compare with all of them. Then a new signing key makes nothing unknown. The hash
    key is derived from the signing key and the purpose, so that hashes of different purposes can't be linked.
    """
    message = json.dumps(parts).encode()
    derived = (digest(key.encode(), f"keyed hash: {purpose}".encode(), "sha256") for key in keys)
    return tuple(digest(key, message, "sha256") for key in derived)
