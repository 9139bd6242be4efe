"""Time-based one-time passwords, with the test vectors of RFC 6238 and RFC 4226."""

from datetime import UTC, datetime, timedelta

import pytest

from kit.security import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    time = datetime.fromtimestamp(seconds, UTC)

    assert totp.code_at(SECRET, totp.step_at(time), digits=8) == code
    assert totp.matching_step(SECRET, code[2:], time) == totp.step_at(time)


@pytest.mark.parametrize(
    ("step", "code"),
    [(0, "755224"), (1, "287082"), (2, "359152"), (3, "969429"), (8, "399871"), (9, "520489")],
)
def test_the_codes_are_those_of_rfc_4226(step: int, code: str) -> None:
    assert totp.code_at(SECRET, step) == code


@pytest.mark.parametrize(("distance", "matches"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_matches_one_step_before_and_after_its_own(distance: int, matches: bool) -> None:
    time = datetime(2026, 11, 27, tzinfo=UTC)
    code = totp.code_at(SECRET, totp.step_at(time) + distance)

    assert (totp.matching_step(SECRET, code, time) is not None) == matches


@pytest.mark.parametrize("code", ["", "0", "1234567", "١٢٣٤٥٦", "abcdef"])
def test_another_text_matches_no_step(code: str) -> None:
    assert totp.matching_step(SECRET, code, datetime.now(UTC) + timedelta(days=1)) is None


def test_the_uri_is_percent_encoded() -> None:
    uri = totp.provisioning_uri(SECRET, "Ann & Bob", "ann@example.com")

    assert uri == (
        "otpauth://totp/Ann%20%26%20Bob:ann%40example.com"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ann%20%26%20Bob"
    )


def test_a_secret_has_160_random_bits() -> None:
    assert len({totp.new_secret() for _ in range(10)}) == 10
    assert len(totp.new_secret()) == 20
