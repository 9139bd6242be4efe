"""The rules for new passwords, and one contract for every strategy that hashes."""

import pytest

from app.exceptions import PasswordRefused
from app.model.passwords import HASHERS, Hasher, Passwords

PASSWORD = "correct horse battery staple"
EACH_HASHER = pytest.mark.parametrize("name", HASHERS)


def passwords(hasher: str = "argon2id", min_length: int = 15) -> Passwords:
    return Passwords(hasher, min_length, "flask-api")


@EACH_HASHER
def test_a_hash_verifies_its_password_and_no_other(name: str) -> None:
    door = passwords(name)

    hashed = door.hash(PASSWORD)

    assert hashed.startswith(HASHERS[name].prefix)
    assert PASSWORD not in hashed
    assert door.verify(PASSWORD, hashed)
    assert not door.verify(PASSWORD + ".", hashed)
    assert len(hashed) <= 255


@EACH_HASHER
def test_the_same_password_never_has_the_same_hash(name: str) -> None:
    assert HASHERS[name].hash(PASSWORD) != HASHERS[name].hash(PASSWORD)


@EACH_HASHER
def test_nobodys_hash_verifies_nothing_at_the_same_cost(name: str) -> None:
    hasher: Hasher = HASHERS[name]

    assert not passwords(name).verify(PASSWORD, None)
    assert hasher.is_current(hasher.decoy)


@EACH_HASHER
def test_only_the_configured_strategy_is_current(name: str) -> None:
    hashed = HASHERS[name].hash(PASSWORD)

    assert [other for other in HASHERS if passwords(other).is_current(hashed)] == [name]
    assert all(passwords(other).verify(PASSWORD, hashed) for other in HASHERS)


@pytest.mark.parametrize(
    ("hasher", "weaker"),
    [
        ("argon2id", f"$argon2id$v=19$m=9216,t=2,p=1${'A' * 22}${'A' * 43}"),
        ("scrypt", f"$scrypt$ln=14,r=8,p=1${'A' * 22}==${'A' * 43}="),
    ],
)
def test_a_hash_of_weaker_parameters_is_not_current(hasher: str, weaker: str) -> None:
    assert not passwords(hasher).is_current(weaker)


@EACH_HASHER
def test_a_password_is_verified_whole(name: str) -> None:
    long = "x9!" * 42

    hashed = passwords(name).hash(long + "a")

    assert not passwords(name).verify(long + "b", hashed)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "x" * 14 + "yz!",
        "ann but more than enough else",
        "12345678901234567",
        "密码" * 4 + "言葉のあれこれと",
    ],
)
def test_a_password_that_is_hard_to_guess_is_taken(password: str) -> None:
    passwords().check(password, "ann")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("a" * 14, "too_short"),
        ("a" * 129, "too_long"),
        ("a" * 15, "repetitive"),
        ("ab" * 8, "repetitive"),
        ("abcdefgh" * 2, "repetitive"),
        ("abcdefgABCDEFGa", "repetitive"),
        ("\u00e9e\u0301" * 8, "repetitive"),
        ("annabelle123456", "contains_name"),
        ("ANNABELLE123456", "contains_name"),
        ("annabelle-annabelle", "contains_name"),
        ("my-flask-api-pw", "contains_name"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str, code: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        passwords().check(password, "Annabelle")

    assert refused.value.code == code
    assert password not in str(refused.value)


def test_the_shortest_length_is_a_setting() -> None:
    passwords(min_length=8).check("x9!kQ2@m", "ann")

    with pytest.raises(PasswordRefused, match="at least 20"):
        passwords(min_length=20).check("x9!kQ2@mZ7#pL4$w", "ann")
