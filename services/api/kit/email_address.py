"""The form in which e-mail addresses are compared. They are stored, shown and used as they were written."""

from unicodedata import normalize

import idna

MAX_KEY_LENGTH = 640  # for a column; a local part of 64 bytes can become 384 characters


def email_key(address: str) -> str:
    """Return the comparison form. Addresses with the same key count as the same address.

    The local part is compared like identifiers (NFKC_Casefold, Unicode 3.13 D147). RFC 5321 lets servers
    distinguish upper case, but the large ones don't. The domain is compared as DNS does (UTS 46).

    Any text has a key, so a login needn't check first whether it's an address. Limit the length of the text:
    normalizing 200,000 combining characters takes 40 seconds.
    """
    local_part, at, domain = address.rpartition("@")
    return _folded(local_part) + at + _ascii(domain)


def _folded(text: str) -> str:
    folded = normalize("NFKC", normalize("NFD", text).casefold())
    return normalize("NFKC", folded.casefold())


def _ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except UnicodeError:  # no valid address has this domain
        return _folded(domain)
