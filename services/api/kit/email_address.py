"""The form in which e-mail addresses are compared. They are stored, shown and used as they were written."""

from importlib import import_module
from unicodedata import normalize

import idna

MAX_LENGTH = 254
LOCAL_PART_BYTES = 64  # RFC 5321 4.5.3.1.1
MAX_KEY_LENGTH = 640  # for a column; a local part of 64 bytes can become 384 characters


def is_email_address(text: str) -> bool:
    """Return whether this is an e-mail address (RFC 5321 and 6531), without asking the DNS."""
    validator = import_module("email_validator")  # at the first address, because it's slow to import
    try:
        # A test environment allows the domain `test`.
        validator.validate_email(text, check_deliverability=False, test_environment=True)
    except validator.EmailNotValidError:
        return False
    return len(text) <= MAX_LENGTH and len(text.rpartition("@")[0].encode()) <= LOCAL_PART_BYTES


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
