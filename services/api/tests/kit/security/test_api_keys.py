"""The text of API keys."""

import re
from zlib import crc32

import pytest

from kit.security.api_keys import ALPHABET, is_key, key_hash, new_key

# As in docs/2-build/api-keys.md, for secret scanners.
SCANNED = re.compile(r"\bfa_[0-9A-Za-z]{39}\b")


def checksum(start: str) -> str:
    """Return the checksum, calculated as the documentation says."""
    number, text = crc32(start.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = ALPHABET[digit] + text
    return text.rjust(6, "0")


def test_a_new_key_has_the_documented_form_and_checksum() -> None:
    keys = [new_key("fa_") for _ in range(500)]

    assert len(set(keys)) == 500
    assert all(SCANNED.fullmatch(key) for key in keys)
    assert all(key[-6:] == checksum(key[:-6]) for key in keys)
    assert all(is_key("fa_", key) for key in keys)


def test_each_random_character_varies() -> None:
    keys = [new_key("fa_") for _ in range(500)]

    assert all(len({key[place] for key in keys}) > 10 for place in range(4, 36))


def test_a_known_key_stays_valid() -> None:
    """Keys that were issued must work with later releases."""
    key = "fa_0123456789ABCDEFGHIJKLMNOPQRSTUVW17ALgg"

    assert is_key("fa_", key)
    assert key_hash(key) == "075fa34dd1788a1bda468094e8649f746eeb434061d409eec48d71f076afaea3"


@pytest.mark.parametrize("place", [0, 3, 20, 35, 36, 41])
def test_a_changed_character_is_noticed(place: int) -> None:
    key = new_key("fa_")
    other = "x" if key[place] != "x" else "y"

    assert not is_key("fa_", key[:place] + other + key[place + 1 :])


@pytest.mark.parametrize("wrong", ["", "fa_", "fa_é", "fb_", "FA_"])
def test_other_text_is_no_key(wrong: str) -> None:
    assert not is_key("fa_", wrong)
    assert not is_key("fa_", wrong + new_key("fa_")[3:] + "\n")


def test_a_longer_or_shorter_key_is_none() -> None:
    key = new_key("fa_")

    assert not is_key("fa_", key[:-1])
    assert not is_key("fa_", key + "0")
    assert not is_key("fa_", key + "\n")
