"""The handshake's arithmetic against the standard library and a plain-Python model."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flinfast.native.handshake import accept_key, split_head

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
FIELD = b"\r\nSec-WebSocket-Key: "
pieces = st.lists(
    st.sampled_from(
        [b"GET / HTTP/1.1", FIELD, KEY, KEY[:-1], b"\r\n", b"\r", b"\n", b"Host: a", b"x", b"\0"]
    ),
    max_size=14,
).map(b"".join)


@given(st.binary(min_size=16, max_size=16))
@example(bytes(16))
@example(b"\xff" * 16)
def test_accept_is_sha1_of_key_and_guid(nonce: bytes) -> None:
    """RFC 6455 section 4.2.2, step 5.4."""
    key = base64.b64encode(nonce)
    assert accept_key(key) == base64.b64encode(hashlib.sha1(key + GUID).digest())


@pytest.mark.parametrize(
    "key", [b"", KEY[:-1], KEY + b"=", KEY[:21] + b"===", b"-" + KEY[1:], KEY[:-2] + b"AA"]
)
def test_what_is_no_key_is_refused(key: bytes) -> None:
    """Not 24 characters, or not base64 of 16 bytes."""
    with pytest.raises(ValueError, match="expected 16 bytes in base64"):
        accept_key(key)


def model(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """split_head() in plain Python."""
    head, found, early = data.partition(b"\r\n\r\n")
    head += found
    at = head.find(FIELD)
    if not found or at < 0:
        return None
    at += len(FIELD)
    key = head[at : at + 24]
    if not re.fullmatch(rb"[A-Za-z0-9+/]{22}==", key) or head[at + 24 : at + 26] != b"\r\n":
        return None
    return head[:at] + head[at + 24 :], key, early


@given(pieces)
@example(b"GET / HTTP/1.1" + FIELD + KEY + b"\r\n\r\nearly")
@example(b"GET / HTTP/1.1" + FIELD + KEY + b"\r\n" + FIELD + KEY + b"\r\n\r\n")
def test_split_equals_the_model(data: bytes) -> None:
    """Heads, half heads, heads with two keys, and what follows them."""
    assert split_head(data) == model(data)


def test_no_prefix_of_a_head_is_split() -> None:
    """Only what has ended can be compared with what was answered before."""
    head = b"GET / HTTP/1.1\r\nHost: a" + FIELD + KEY + b"\r\n\r\n"
    assert split_head(head) is not None
    assert all(split_head(head[:size]) is None for size in range(len(head)))
