"""Heads of responses: nothing that a program sets ends a line early."""

from __future__ import annotations

import pytest

from flinfast.runtime.response import Response
from flinfast.server.response_head import ResponseHeads, UnsafeFieldError
from flinfast.settings import SecuritySettings


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\0", "\u20ac", "\r\nX-Other: 1\r\n"])
@pytest.mark.parametrize("place", ["a{}b", "{}", "a{}", "{}b"])
def test_a_field_that_breaks_its_line_is_refused(place: str, bad: str) -> None:
    """In a name or in a value, whether fields are kept for the next response or not."""
    heads = ResponseHeads(SecuritySettings(), is_tls=False)
    text = place.format(bad)
    for name, value in (("X-A", text), (text, "a"), ("Content-Type", text), ("Set-Cookie", text)):
        for _ in range(2):
            with pytest.raises(UnsafeFieldError):
                heads.render(Response(200, [(name, value)]), None, size=0, keep_alive=True)


def test_framing_is_the_servers() -> None:
    """Fields that say where a message ends are left out."""
    heads = ResponseHeads(SecuritySettings(), is_tls=False)
    fields = [("Content-Length", "9"), ("transfer-encoding", "chunked"), ("Connection", "close")]
    raw = heads.render(Response(200, fields), None, size=3, keep_alive=True).lower()
    assert raw.count(b"content-length") == 1
    assert b"content-length: 3\r\n" in raw
    assert b"transfer-encoding" not in raw
    assert b"connection" not in raw
