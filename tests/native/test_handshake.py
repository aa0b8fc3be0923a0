"""The handshake's arithmetic against the standard library."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flinfast.native.handshake import accept_key

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


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
