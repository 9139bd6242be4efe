"""Time-based one-time passwords (RFC 6238), as authenticator apps make them: SHA-1, 6 digits, 30 seconds."""

from base64 import b32encode
from datetime import datetime
from hmac import compare_digest, digest
from secrets import token_bytes
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20  # as long as the hash (RFC 4226, section 4)
WINDOW = (-1, 0, 1)  # also accept the step before and after, because clocks differ


def new_secret() -> bytes:
    return token_bytes(SECRET_BYTES)


def base32(secret: bytes) -> str:
    """Return a secret in the form that apps take."""
    return b32encode(secret).decode().rstrip("=")


def provisioning_uri(secret: bytes, issuer: str, account: str) -> str:
    """Return the `otpauth://` URI that apps read from a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return (
        f"otpauth://totp/{label}?{urlencode({'secret': base32(secret), 'issuer': issuer}, quote_via=quote)}"
    )


def step_at(time: datetime) -> int:
    return int(time.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of a time step (RFC 4226, section 5.3)."""
    hashed = digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = hashed[-1] & 0xF
    number = int.from_bytes(hashed[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: bytes, code: str, time: datetime) -> int | None:
    """Return the time step whose code this is, if it is near this time.

    The caller must remember the step, and accept no code of this step or an earlier one again.
    """
    steps = [step_at(time) + distance for distance in WINDOW]
    is_match = {step: compare_digest(code_at(secret, step).encode(), code.encode()) for step in steps}
    return next((step for step in steps if is_match[step]), None)
