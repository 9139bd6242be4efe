"""The body of an upload, which a thread reads while it arrives."""

from kit.serving.waitress_parser import ArrivingBody


def test_short_chunks_are_read_together() -> None:
    body = ArrivingBody()
    for byte in b"abcdefgh":
        body.append(bytes([byte]))

    assert body.read(3) == b"abc"
    body.append(b"ijkl")
    assert body.read(7) == b"defghij"
    assert body.unread == 2
    body.end(is_complete=True)
    assert (body.read(9), body.read(9), body.unread) == (b"kl", b"", 0)
