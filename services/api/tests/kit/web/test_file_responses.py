"""Stored files: parts of them, and conditions."""

from io import BytesIO

import pytest
from flask import Flask
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from kit.web.responses import send_file

DATA = b"0123456789"


def get(app: Flask, **headers: str) -> tuple[int, bytes, str | None]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context(headers=given):
        response = send_file(BytesIO(DATA), size=10, media_type="image/png", name="cover", etag="a")
        content_range = response.headers.get("Content-Range")
        if response.status_code == 304:
            return 304, b"", content_range
        return response.status_code, b"".join(response.iter_encoded()), content_range


@pytest.mark.parametrize(
    ("given", "content", "shown"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", DATA, "bytes 0-9/10"),
    ],
)
def test_a_range_is_a_part_of_the_file(app: Flask, given: str, content: bytes, shown: str) -> None:
    assert get(app, Range=given) == (206, content, shown)


@pytest.mark.parametrize("given", ["lines=0-1", "bytes=0-1,3-4"])
def test_another_unit_and_several_ranges_are_ignored(app: Flask, given: str) -> None:
    assert get(app, Range=given) == (200, DATA, None)


@pytest.mark.parametrize("given", ["bytes=10-", "bytes=5-2", "bytes=a"])
def test_a_range_outside_of_the_file_is_refused(app: Flask, given: str) -> None:
    with pytest.raises(RequestedRangeNotSatisfiable):
        get(app, Range=given)


def test_a_refused_range_says_how_long_the_file_is(app: Flask) -> None:
    error = RequestedRangeNotSatisfiable(10)
    with app.test_request_context():
        response = app.make_response(app.handle_user_exception(error))

    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("given", ["bytes=2-4", "bytes=99-"])
def test_a_file_that_the_client_has_is_not_sent_again_in_parts(app: Flask, given: str) -> None:
    assert get(app, Range=given, If_None_Match='"a"')[0] == 304
    assert get(app, Range="bytes=2-4", If_None_Match='"b"')[0] == 206


def test_if_match_counts_for_changes_only(app: Flask) -> None:
    assert get(app, If_Match='"b"') == (200, DATA, None)
