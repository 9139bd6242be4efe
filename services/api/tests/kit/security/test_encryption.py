"""Encrypted secrets: keys, purposes and changed texts."""

import subprocess
import sys

import pytest

from kit.security.encryption import DecryptionFailed, decrypt, encrypt
from tests.support.paths import API

OLD, NEW = "o" * 32, "n" * 32


def test_a_text_is_decrypted_with_the_same_key() -> None:
    encrypted = encrypt([NEW, OLD], "test", b"secret")

    assert decrypt([NEW], "test", encrypted) == (b"secret", True)
    assert b"secret" not in encrypted
    assert encrypt([NEW], "test", b"secret") != encrypted


def test_a_fallback_key_decrypts_but_is_not_current() -> None:
    assert decrypt([NEW, OLD], "test", encrypt([OLD], "test", b"secret")) == (b"secret", False)


@pytest.mark.parametrize(("keys", "purpose"), [([NEW], "test"), ([], "test"), ([OLD], "another purpose")])
def test_another_key_or_purpose_does_not_decrypt(keys: list[str], purpose: str) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt(keys, purpose, encrypt([OLD], "test", b"secret"))


@pytest.mark.parametrize("place", [0, 24, 40, -1])
def test_a_changed_text_is_refused(place: int) -> None:
    changed = bytearray(encrypt([NEW], "test", b"secret"))
    changed[place] ^= 1

    with pytest.raises(DecryptionFailed):
        decrypt([NEW], "test", bytes(changed))


@pytest.mark.parametrize("text", [b"", b"short", b"x" * 39])
def test_a_text_that_is_too_short_is_refused(text: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt([NEW], "test", text)


def test_the_library_is_loaded_when_it_is_used() -> None:
    code = "import sys; from kit.security import encryption; assert 'nacl' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], cwd=API, check=True, timeout=60)
