"""The rules for new passwords, and one contract for every strategy that hashes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock
from time import monotonic, process_time

import pytest

from app import create_app
from app.config import Settings
from app.exceptions import PasswordRefused
from app.model.passwords import Passwords
from kit.errors import Overloaded
from kit.security import common_passwords
from kit.security.hashers import HASHERS, Bulkhead, Hasher
from tests.support.settings import NEVER_OPENED, settings_for

PASSWORD = "correct horse battery staple"
EACH_HASHER = pytest.mark.parametrize("name", HASHERS)


def passwords(hasher: str = "argon2id", min_length: int = 15) -> Passwords:
    return Passwords(HASHERS[hasher], min_length, "bookshelf", Bulkhead(threads=8))


@EACH_HASHER
def test_a_hash_verifies_its_password_and_no_other(name: str) -> None:
    door = passwords(name)

    hashed = door.hash(PASSWORD)

    assert hashed.startswith(HASHERS[name].prefix)
    assert PASSWORD not in hashed
    assert door.verify(PASSWORD, hashed)
    assert not door.verify(PASSWORD + ".", hashed)
    assert len(hashed) <= 255


@pytest.mark.parametrize(
    ("name", "cost"), [("argon2id", "$argon2id$v=19$m=19456,t=2,p=1$"), ("scrypt", "$scrypt$ln=14,r=8,p=5$")]
)
def test_the_app_hashes_at_full_cost(name: str, cost: str) -> None:
    door = create_app(settings_for(NEVER_OPENED, password_hasher=name)).extensions["passwords"]

    assert door.hash(PASSWORD).startswith(cost)


@EACH_HASHER
def test_the_same_password_never_has_the_same_hash(name: str) -> None:
    assert HASHERS[name].hash(PASSWORD) != HASHERS[name].hash(PASSWORD)


@EACH_HASHER
def test_the_dummy_hash_costs_the_same_and_matches_nothing(name: str) -> None:
    hasher: Hasher = HASHERS[name]

    assert not passwords(name).verify(PASSWORD, None)
    assert hasher.is_current(hasher.decoy)


@EACH_HASHER
def test_only_the_configured_strategy_is_current(name: str) -> None:
    hashed = HASHERS[name].hash(PASSWORD)

    updated = {other: passwords(other).verify_and_update(PASSWORD, hashed) for other in HASHERS}
    assert all(is_right for is_right, _ in updated.values())
    assert [other for other, (_, new_hash) in updated.items() if new_hash is None] == [name]


@pytest.mark.parametrize(
    ("hasher", "weaker"),
    [
        ("argon2id", f"$argon2id$v=19$m=9216,t=2,p=1${'A' * 22}${'A' * 43}"),
        ("scrypt", f"$scrypt$ln=14,r=8,p=1${'A' * 22}==${'A' * 43}="),
    ],
)
def test_a_hash_of_weaker_parameters_is_not_current(hasher: str, weaker: str) -> None:
    assert not HASHERS[hasher].is_current(weaker)


@EACH_HASHER
def test_every_character_of_a_password_counts(name: str) -> None:
    long = "x9!" * 42

    hashed = passwords(name).hash(long + "a")

    assert not passwords(name).verify(long + "b", hashed)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "x" * 14 + "yz!",
        "ann but more than enough else",
        "密码" * 4 + "言葉のあれこれと",
    ],
)
def test_a_strong_password_is_accepted(password: str) -> None:
    passwords().check(password, "ann")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("a" * 14, "too_short"),
        ("a" * 129, "too_long"),
        ("a" * 15, "repetitive"),
        ("ab" * 8, "repetitive"),
        ("abcdefgh" * 2, "too_common repetitive"),
        ("abcdefgABCDEFGa", "repetitive"),
        ("\u00e9e\u0301" * 8, "repetitive"),
        ("annabelle123456", "too_common contains_name"),
        ("ANNABELLE123456", "too_common contains_name"),
        ("annabelle-annabelle", "contains_name"),
        ("my-bookshelf-pw", "contains_name"),
    ],
)
def test_a_weak_password_is_refused(password: str, code: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        passwords().check(password, "Annabelle")

    assert set(refused.value.reasons) == set(code.split())
    assert password not in str(refused.value)


def test_the_minimum_length_is_configurable() -> None:
    passwords(min_length=8).check("x9!kQ2@m", "ann")

    with pytest.raises(PasswordRefused, match="at least 20"):
        passwords(min_length=20).check("x9!kQ2@mZ7#pL4$w", "ann")


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PassWord1234567",
        "!!!!!!!password",
        "2024-iloveyou-2024",
        "abc123abc123abc123!",
        "123123!!!!!!!!!",
        "qwe123!!!!!!!!!!",
        "987654321987654321",
        "  sunshine  2024  ",
        "1q2w3e4r5t6y7u8i",
        "passwordpasswordpassword.....",
        "abc135792468024",
        "111111111111111",
        "passwordletmein",
        "iloveyouprincess",
        "PrincessILoveYou",
    ],
)
def test_a_common_password_with_a_short_affix_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        passwords().check(password, "ann")

    assert "too_common" in refused.value.reasons


@pytest.mark.parametrize(
    "password",
    [
        "password of my dreams",
        "sunshine!sunshine",
        "my1q2w3e4r5t6y7",
        "zebra-iloveyou-zebra",
        "passwordletmeindragon",  # three words
        "password-letmein",
        "passwordqwzletmein",
        "iloveyouprincessofwales",
        "abc123motorcycles",  # abc123 is no word
        "sexmotorcycleride",
    ],
)
def test_a_common_password_inside_a_longer_one_is_accepted(password: str) -> None:
    passwords().check(password, "ann")


def test_the_list_is_long_and_checking_it_is_fast() -> None:
    words, _ = common_passwords._listed()
    assert len(words) > 19_000

    begun = process_time()
    for password in ("~" * 124 + "zqjx", "password" * 15 + "zqjx", "z" + "q1" * 63):
        assert not common_passwords.is_common(password)

    assert process_time() - begun < 0.15


@pytest.mark.parametrize(("cores", "at_once"), [(1, 2), (2, 4), (16, 5)])
def test_two_threads_per_core_hash_and_a_quarter_of_the_threads_never_does(
    monkeypatch: pytest.MonkeyPatch, cores: int, at_once: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    bulkhead = Bulkhead(threads=20, max_wait_seconds=60)  # so that no thread gives up
    hashing, most, answers = 0, 0, []
    lock, go_on, begun = Lock(), Event(), Barrier(20)

    def hash_slowly(_: int) -> str:
        nonlocal hashing, most
        begun.wait(timeout=60)
        try:
            with bulkhead.slot():
                with lock:
                    hashing += 1
                    most = max(most, hashing)
                go_on.wait(timeout=60)
                with lock:
                    hashing -= 1
            return "hashed"
        except Overloaded:
            answers.append("refused")
            if len(answers) == 5:  # the threads that were turned away
                go_on.set()
            return "refused"

    with ThreadPoolExecutor(20) as pool:
        assert Counter(pool.map(hash_slowly, range(20))) == {"hashed": 15, "refused": 5}
    assert most == at_once


def test_sixteen_logins_at_once_have_room_by_default() -> None:
    bulkhead = Bulkhead(Settings.model_fields["threads"].default)
    begun = Barrier(16)

    def hash_quickly(_: int) -> str:
        begun.wait(timeout=60)
        with bulkhead.slot():
            return "hashed"

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(hash_quickly, range(16))) == {"hashed": 16}


def test_a_thread_waits_at_most_two_seconds_to_hash() -> None:
    bulkhead = Bulkhead(threads=4)  # three slots, one of which may hash

    with bulkhead.slot(), ThreadPoolExecutor(1) as pool:
        begun = monotonic()
        waiting = pool.submit(bulkhead.slot().__enter__)
        with pytest.raises(Overloaded):
            waiting.result(timeout=60)
        assert monotonic() - begun > 1.9

    with bulkhead.slot():
        pass


def test_one_thread_can_hash() -> None:
    assert passwords().verify(
        PASSWORD, Passwords(HASHERS["argon2id"], 15, "bookshelf", Bulkhead(threads=1)).hash(PASSWORD)
    )
