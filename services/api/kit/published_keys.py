"""Signing keys that were published as examples. People copy them, so attackers try them."""

import re

KEYS = frozenset(
    key.casefold()
    for key in (
        # Flask's documentation, the current one and that of 0.x
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        r'\xfd{H\xe5<\x95\xf9\xe3\x96.5\xd1\x01O<!\xd5\xa2\xa0\x9fR"\xa1\xa8',
        # github.com/marcosricardoss: flask-restful-skeleton and flask-docker-boilerplate, as text and in hex
        r"\xacP=\x12\xa6\xa2\x19`\xbcu{\x0b\xe4&H\x8d",
        "ac503d12a6a21960bc757b0be426488d",
        r"\xceY\x01\x1e\xc1\x13\x05\xc3\xaa\xfb\xe7\xc5\xe9\x8b\xdaW",
        "ce59011ec11305c3aafbe7c5e98bda57",
        # Flask-User's documentation
        "This is an INSECURE secret!! DO NOT use this in production!!",
        # FastAPI's documentation
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        # jwt.io
        "a-string-secret-at-least-256-bits-long",
        "a-valid-string-secret-that-is-at-least-384-bits-long",
        "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        # RFC 7515, A.1
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        # tutorials for Spring Boot
        "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
        "3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b",
    )
)
DJANGO_PREFIX = "django-insecure-"  # of the keys that `startproject` writes into the code
PYTHON_LITERAL = re.compile(r"b?(['\"])(.*)\1")


def is_published(key: str) -> bool:
    """Return whether a key is an example, in any case and perhaps written as a Python literal."""
    literal = PYTHON_LITERAL.fullmatch(key)
    text = (literal[2] if literal else key).casefold()
    return text in KEYS or text.startswith(DJANGO_PREFIX)
