"""The comparison form of e-mail addresses."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.email_address import LOCAL_PART_BYTES, MAX_KEY_LENGTH, email_key
from kit.web.fields import email


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "ANN@EXAMPLE.COM"),
        ("ann@example.com", "\uff41\uff4e\uff4e@example.com"),  # FULLWIDTH LATIN SMALL LETTER A, N
        ("kim@example.com", "\u212aim@example.com"),  # KELVIN SIGN
        ("kim@kim.example.com", "kim@\u212aim.example.com"),
        ("ann@example.com", "ann@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com"),
        ("ann@example.com", "ann@example\u3002com"),  # IDEOGRAPHIC FULL STOP
        ("strasse@example.com", "STRA\u1e9eE@example.com"),
        ("straße@example.com", "STRASSE@example.com"),
        ("σίσυφος@example.com", "ΣΊΣΥΦΟΣ@example.com"),
        ("josé@example.com", "jose\u0301@example.com"),
        ("ann@bücher.de", "ann@xn--bcher-kva.de"),
        ("ann@bücher.de", "ann@XN--BCHER-KVA.DE"),
        ("ann@bücher.de", "ann@BU\u0308CHER.DE"),
        ("ann@straße.de", "ann@xn--strae-oqa.de"),
        ("\ufb01@example.com", "FI@example.com"),
    ],
)
def test_spellings_of_the_same_address_have_the_same_key(one: str, other: str) -> None:
    assert email_key(email(one)) == email_key(email(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.com", "bob@example.com"),
        ("ann@example.com", "ann@example.org"),
        ("ann+x@example.com", "ann@example.com"),
        ("a.nn@example.com", "ann@example.com"),
        ("mike@example.com", "m\u0131ke@example.com"),  # Turkish dotless i; its upper case is I
        ("mike@example.com", "M\u0130KE@example.com"),
        ("mike@g\u0131thub.com", "mike@github.com"),
        ("ann@straße.de", "ann@strasse.de"),  # two domains since IDNA 2008
        ("ann@example.com", "\u0430nn@example.com"),  # Cyrillic
        ("jose@example.com", "josé@example.com"),
    ],
)
def test_other_addresses_have_another_key(one: str, other: str) -> None:
    assert email_key(email(one)) != email_key(email(other))


@pytest.mark.parametrize(
    "text", ["", "@", "ann", "ann@", "@example.com", "a@b@c", "ann@xn--a", "ann@..", "\ud800@x"]
)
def test_any_text_has_a_key(text: str) -> None:
    assert email_key(text) == text


@given(st.text(max_size=64))
def test_a_key_is_its_own_key(text: str) -> None:
    assert email_key(email_key(text)) == email_key(text)


@given(st.text(st.characters(codec="utf-8"), max_size=64))
def test_case_and_composition_make_no_difference(text: str) -> None:
    spellings = {
        text,
        normalize("NFC", text),
        normalize("NFD", text),
        text.casefold(),
        text.swapcase().casefold(),
    }

    # The upper case of a dotless i is I, which is the upper case of i.
    if "\u0131" not in text:
        assert len({email_key(f"{spelling}@example.com") for spelling in spellings}) == 1


@pytest.mark.parametrize("letter", ["\ufdfa", "\u0390", "ß", "\U0001d15e", "\u1fb7"])
def test_the_longest_key_fits(letter: str) -> None:
    local_part = letter * (LOCAL_PART_BYTES // len(letter.encode()))

    assert len(email_key(f"{local_part}@{'a' * 253}")) <= MAX_KEY_LENGTH
