"""Builtins of bytes, such as `data.bytes.len` of a binary message."""

from __future__ import annotations

from flinfast.runtime.registry import Value, method


@method("length", "size", "count")
def len_(data: bytes) -> int:
    """Count the octets."""
    return len(data)


@method(name="slice")
def slice_(data: bytes, start: int, stop: int | None = None) -> bytes:
    """Take the octets from `start` to before `stop`; negative counts from the end."""
    return data[start:stop]


@method()
def is_empty(data: bytes) -> bool:
    """Tell whether there are no octets."""
    return not data


@method(result="text?")
def decode_utf8(data: bytes) -> Value:
    """Read bytes as UTF-8 text; none when they are not."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


@method()
def encode_utf8(text: str) -> bytes:
    """Give the UTF-8 bytes of a text."""
    return text.encode("utf-8", "replace")
