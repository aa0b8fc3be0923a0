"""Masking from Python: against the twin, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.native.mask import apply_mask, mask_implementation
from tests import wire
from tests.native.reference import xor

keys = st.binary(min_size=4, max_size=4)
phases = st.integers(0, 3)


@given(st.binary(max_size=600), keys, phases)
def test_mask_equals_the_twin(data: bytes, key: bytes, phase: int) -> None:
    """Every byte is XORed with its byte of the key, and the phase moves on."""
    masked = bytearray(data)
    assert apply_mask(masked, key, phase) == (phase + len(data)) % 4
    assert masked == xor(data, key, phase)


@given(st.binary(max_size=600), keys, phases, st.data())
def test_mask_in_pieces_equals_mask_at_once(
    data: bytes, key: bytes, phase: int, draw: st.DataObject
) -> None:
    """The returned phase makes any cut invisible; a memoryview masks a part in place."""
    cut = draw.draw(st.integers(0, len(data)))
    masked = bytearray(data)
    middle = apply_mask(memoryview(masked)[:cut], key, phase)
    apply_mask(memoryview(masked)[cut:], key, middle)
    assert masked == xor(data, key, phase)


def test_mask_of_the_rfc_example_gives_hello() -> None:
    """RFC 6455 section 5.7."""
    payload = bytearray(wire.RFC_TEXT_HELLO_MASKED[6:])
    apply_mask(payload, wire.KEY)
    assert payload == b"Hello"


@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_mask_with_a_key_of_another_size_is_refused(key: bytes) -> None:
    """A key is four bytes."""
    data = bytearray(b"x")
    with pytest.raises(ValueError, match="expected a masking key of 4 bytes, got"):
        apply_mask(data, key)
    assert data == b"x"


@pytest.mark.parametrize("phase", [4, 255])
def test_mask_with_a_phase_beyond_the_key_is_refused(phase: int) -> None:
    """A phase indexes the key."""
    with pytest.raises(ValueError, match="expected a phase from 0 to 3, got"):
        apply_mask(bytearray(b"x"), b"abcd", phase)
    with pytest.raises(OverflowError):
        apply_mask(bytearray(b"x"), b"abcd", -1)


def test_mask_of_read_only_or_scattered_bytes_is_refused() -> None:
    """The bytes are changed in place, so they must be writable and contiguous."""
    with pytest.raises(BufferError):
        apply_mask(memoryview(b"read only"), b"abcd")
    with pytest.raises(BufferError):
        apply_mask(memoryview(bytearray(8))[::2], b"abcd")


def test_mask_releases_the_buffer_it_used() -> None:
    """A bytearray may be resized afterwards."""
    data = bytearray(100)
    apply_mask(data, b"abcd")
    data.extend(b"more")
    assert len(data) == 104


def test_mask_implementation_is_one_we_ship() -> None:
    """The name is for logs and bug reports."""
    assert mask_implementation() in {"avx2", "sse2", "neon", "portable"}
