"""Attacks on a WebSocket echo endpoint: what is sent, and what has to come back.

Raw bytes and outcomes only; tests/e2e/test_ws_attacks.py plays them. The endpoint echoes every
message; its message limit is 64 KiB and 1024 empty fragments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests import wire
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close, frame

MESSAGE_MAX = 64 << 10
EMPTY_FRAGMENTS_MAX = 1024
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Attack:
    """One hostile or odd stream after a good handshake.

    Attributes:
        name: Unique.
        data: What the client sends.
        messages: (opcode, payload) of the frames that must come back first, in order.
        code: Close code that follows (1005: an empty close frame), or 0 when the connection stays
            open and still echoes.
    """

    name: str
    data: bytes
    messages: tuple[tuple[int, bytes], ...] = ()
    code: int = 0


@dataclass(frozen=True)
class Handshake:
    """One hostile or odd upgrade request.

    Attributes:
        status: Status line's number that must come back (101 when it is fine after all).
    """

    name: str
    data: bytes
    status: int


HELLO = frame(TEXT, b"hello")
ECHO = ((TEXT, b"hello"),)


def _frames() -> Iterator[Attack]:
    for rsv in range(1, 8):
        yield Attack(f"rsv {rsv} on text", frame(TEXT, b"x", rsv=rsv), (), 1002)
    for rsv in (1, 2, 4):
        yield Attack(f"rsv {rsv} on ping", frame(PING, b"x", rsv=rsv), (), 1002)
        yield Attack(
            f"rsv {rsv} on continuation",
            frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"y", rsv=rsv),
            (),
            1002,
        )
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Attack(f"opcode {opcode}", frame(opcode, b"x"), (), 1002)
        yield Attack(f"opcode {opcode} after a message", HELLO + frame(opcode), ECHO, 1002)
    for opcode in (TEXT, BINARY, PING, PONG):
        yield Attack(f"unmasked opcode {opcode}", frame(opcode, b"x", key=None), (), 1002)
    yield Attack("unmasked close", close(1000, key=None), (), 1002)
    yield Attack("unmasked after a masked one", HELLO + frame(TEXT, b"x", key=None), ECHO, 1002)
    yield Attack("zero masking key", frame(TEXT, b"hello", key=bytes(4)), ECHO, 0)
    yield Attack("server-style echo of our own frames", wire.RFC_TEXT_HELLO, (), 1002)


def _lengths() -> Iterator[Attack]:
    for size in (0, 1, 125):
        yield Attack(f"16-bit length for {size}", frame(TEXT, b"x" * size, width=2), (), 1002)
        yield Attack(f"64-bit length for {size}", frame(TEXT, b"x" * size, width=8), (), 1002)
    for size in (126, 127, 65535):
        yield Attack(f"64-bit length for {size}", frame(TEXT, b"x" * size, width=8), (), 1002)
        yield Attack(f"length {size}", frame(TEXT, b"x" * size), ((TEXT, b"x" * size),), 0)
    for top in (1 << 63, (1 << 63) + 5, (1 << 64) - 1):
        data = bytes([0x82, 0xFF]) + top.to_bytes(8, "big") + wire.KEY
        yield Attack(f"64-bit length {top:#x} with its top bit", data, (), 1002)
    for size in (MESSAGE_MAX + 1, 1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1):
        data = bytes([0x82, 0xFF]) + size.to_bytes(8, "big") + wire.KEY
        yield Attack(f"length bomb of {size}, header only", data, (), 1009)
        yield Attack(f"length bomb of {size} after a message", HELLO + data, ECHO, 1009)
    limit = b"x" * MESSAGE_MAX
    yield Attack("a message of the limit", frame(BINARY, limit), ((BINARY, limit),), 0)
    yield Attack("one byte beyond the limit", frame(BINARY, limit + b"y"), (), 1009)
    half = b"x" * (MESSAGE_MAX // 2)
    yield Attack(
        "fragments of the limit",
        frame(BINARY, half, fin=False) + frame(CONTINUATION, half),
        ((BINARY, half + half),),
        0,
    )
    yield Attack(
        "fragments one byte beyond the limit",
        frame(BINARY, half, fin=False) + frame(CONTINUATION, half + b"y"),
        (),
        1009,
    )
    yield Attack(
        "continuation whose header exceeds the limit",
        frame(BINARY, half, fin=False)
        + bytes([0x80, 0xFF])
        + (1 << 40).to_bytes(8, "big")
        + wire.KEY,
        (),
        1009,
    )


def _control() -> Iterator[Attack]:
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (wire.CLOSE, "close")):
        yield Attack(f"fragmented {name}", frame(opcode, b"", fin=False), (), 1002)
        yield Attack(f"{name} of 126 bytes", frame(opcode, b"\x03\xe8" + b"x" * 124), (), 1002)
        yield Attack(f"{name} of 65536 bytes", frame(opcode, b"\x03\xe8" + b"x" * 65534), (), 1002)
    yield Attack("ping of 125 bytes", frame(PING, b"p" * 125), ((PONG, b"p" * 125),), 0)
    yield Attack("empty ping", frame(PING), ((PONG, b""),), 0)
    yield Attack("binary ping", frame(PING, b"\xff\0\xfe"), ((PONG, b"\xff\0\xfe"),), 0)
    yield Attack("unsolicited pong", frame(PONG, b"x") + HELLO, ECHO, 0)
    yield Attack("a thousand pongs", frame(PONG, b"x") * 1000 + HELLO, ECHO, 0)
    yield Attack(
        "ping between fragments",
        frame(TEXT, b"he", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"llo"),
        ((PONG, b"p"), *ECHO),
        0,
    )
    yield Attack(
        "pong between fragments",
        frame(TEXT, b"he", fin=False) + frame(PONG, b"p") + frame(CONTINUATION, b"llo"),
        ECHO,
        0,
    )
    yield Attack("close between fragments", frame(TEXT, b"he", fin=False) + close(1000), (), 1000)


def _fragments() -> Iterator[Attack]:
    yield Attack("continuation first", frame(CONTINUATION, b"x"), (), 1002)
    yield Attack("unfinished continuation first", frame(CONTINUATION, b"x", fin=False), (), 1002)
    yield Attack("continuation after a message", HELLO + frame(CONTINUATION, b"x"), ECHO, 1002)
    for opcode in (TEXT, BINARY):
        yield Attack(
            f"opcode {opcode} inside a fragmented message",
            frame(TEXT, b"x", fin=False) + frame(opcode, b"y"),
            (),
            1002,
        )
        yield Attack(
            f"unfinished opcode {opcode} inside a fragmented message",
            frame(BINARY, b"x", fin=False) + frame(opcode, b"y", fin=False),
            (),
            1002,
        )
    yield Attack(
        "two whole messages in fragments",
        (frame(TEXT, b"he", fin=False) + frame(CONTINUATION, b"llo")) * 2,
        ECHO * 2,
        0,
    )
    yield Attack(
        "one-byte fragments",
        frame(TEXT, b"", fin=False)
        + b"".join(frame(CONTINUATION, bytes([c]), fin=False) for c in b"hello")
        + frame(CONTINUATION),
        ECHO,
        0,
    )
    many = frame(CONTINUATION, b"x", fin=False) * 5000
    yield Attack(
        "5000 one-byte fragments",
        frame(TEXT, b"x", fin=False) + many + frame(CONTINUATION, b"x"),
        ((TEXT, b"x" * 5002),),
        0,
    )
    empty = frame(CONTINUATION, b"", fin=False)
    first = frame(TEXT, b"x", fin=False)
    yield Attack(
        "as many empty fragments as allowed",
        first + empty * EMPTY_FRAGMENTS_MAX + frame(CONTINUATION, b"y"),
        ((TEXT, b"xy"),),
        0,
    )
    yield Attack("one empty fragment too many", first + empty * (EMPTY_FRAGMENTS_MAX + 1), (), 1008)
    yield Attack("a flood of empty fragments", first + empty * 100_000, (), 1008)
    yield Attack("empty text", frame(TEXT), ((TEXT, b""),), 0)
    yield Attack("empty binary", frame(BINARY), ((BINARY, b""),), 0)
    yield Attack("a thousand messages at once", HELLO * 1000, ECHO * 1000, 0)


BAD_UTF8 = {
    "lone continuation byte": b"\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong C1": b"\xc1\xbf",
    "overlong three bytes": b"\xe0\x9f\xbf",
    "overlong four bytes": b"\xf0\x8f\xbf\xbf",
    "surrogate D800": b"\xed\xa0\x80",
    "surrogate DFFF": b"\xed\xbf\xbf",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "F5": b"\xf5\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "cut two bytes": b"\xc3",
    "cut three bytes": b"\xe2\x82",
    "cut four bytes": b"\xf0\x9f\x98",
    "ASCII inside a code point": b"\xe2A\x80",
    "bad byte at the end of 64": b"x" * 63 + b"\xff",
    "bad byte in the middle of 4096": b"x" * 2000 + b"\xc0" + b"x" * 2095,
}
GOOD_UTF8 = {
    "NUL": b"\0",
    "last before the surrogates": b"\xed\x9f\xbf",
    "first after the surrogates": b"\xee\x80\x80",
    "noncharacter FFFF": b"\xef\xbf\xbf",
    "U+10FFFF": b"\xf4\x8f\xbf\xbf",
    "byte order mark": b"\xef\xbb\xbfx",
}


def _utf8() -> Iterator[Attack]:
    for name, text in BAD_UTF8.items():
        yield Attack(f"text with {name}", frame(TEXT, text), (), 1007)
        yield Attack(f"message before text with {name}", HELLO + frame(TEXT, text), ECHO, 1007)
        yield Attack(f"binary with {name}", frame(BINARY, text), ((BINARY, text),), 0)
    for name, text in GOOD_UTF8.items():
        yield Attack(f"text with {name}", frame(TEXT, text), ((TEXT, text),), 0)
    # The fault is known before the message, or even the frame, is complete.
    yield Attack("bad UTF-8 in an unfinished fragment", frame(TEXT, b"\xff", fin=False), (), 1007)
    yield Attack("bad UTF-8 in half a frame", frame(TEXT, b"a\xff" + b"x" * 98)[:12], (), 1007)
    yield Attack(
        "code point over two fragments",
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xac"),
        ((TEXT, b"\xe2\x82\xac"),),
        0,
    )
    yield Attack(
        "code point broken by the next fragment",
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"A"),
        (),
        1007,
    )


def _closing() -> Iterator[Attack]:
    yield Attack("close without a code", close(None), (), 1005)
    yield Attack("close of one byte", frame(wire.CLOSE, b"\x03"), (), 1002)
    for code in (
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        4999,
    ):
        yield Attack(f"close {code}", close(code, b"bye"), (), code)
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Attack(f"close {code}, which may not be sent", close(code), (), 1002)
    yield Attack("close with a bad reason", close(1000, b"\xff"), (), 1007)
    yield Attack("close with a cut reason", close(1000, b"\xe2\x82"), (), 1007)
    yield Attack("close with the longest reason", close(1000, b"x" * 123), (), 1000)
    yield Attack("message and close", HELLO + close(1000), ECHO, 1000)
    yield Attack("message after close", close(1000) + HELLO, (), 1000)
    yield Attack("ping after close", close(1000) + frame(PING, b"x"), (), 1000)
    yield Attack("close twice", close(1000) + close(1001), (), 1000)
    yield Attack("garbage after close", close(1000) + b"\xff" * 100, (), 1000)
    yield Attack("HTTP instead of frames", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", (), 1002)
    yield Attack("TLS instead of frames", b"\x16\x03\x01\x02\x00\x01\x00", (), 1002)


ATTACKS: tuple[Attack, ...] = (
    *_frames(),
    *_lengths(),
    *_control(),
    *_fragments(),
    *_utf8(),
    *_closing(),
)


def request(
    *,
    line: str = "GET /api/echo HTTP/1.1",
    without: str = "",
    **headers: str,
) -> bytes:
    """An upgrade request with some header fields replaced, added or left out."""
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    fields.pop(without, None)
    text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{line}\r\n{text}\r\n".encode("latin-1")


def _handshakes() -> Iterator[Handshake]:
    yield Handshake("plain", request(), 101)
    for value in ("keep-alive, Upgrade", "upgrade", "UPGRADE", "Upgrade,", "close , upgrade"):
        yield Handshake(f"Connection: {value}", request(Connection=value), 101)
    for value in ("WebSocket", "WEBSOCKET"):
        yield Handshake(f"Upgrade: {value}", request(Upgrade=value), 101)
    for value in ("keep-alive", "Upgraded", "not-upgrade", ""):
        yield Handshake(f"Connection: {value!r}", request(Connection=value), 400)
    yield Handshake("no Upgrade", request(without="Upgrade"), 426)
    yield Handshake("Upgrade: h2c", request(Upgrade="h2c"), 426)
    yield Handshake("no version", request(without="Sec-WebSocket-Version"), 426)
    for version in (
        "0",
        "8",
        "12",
        "14",
        "130",
        "+13",
        "13.0",
        "thirteen",
        "1\uff13".encode().decode("latin-1"),
    ):
        yield Handshake(f"version {version!r}", request(Sec_WebSocket_Version=version), 426)
    yield Handshake("no key", request(without="Sec-WebSocket-Key"), 400)
    for key in (
        "",
        "short",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ==x",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "!" * 24,
        "x" * 5000,
    ):
        yield Handshake(f"key {key[:24]!r}", request(Sec_WebSocket_Key=key), 400)
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE"):
        yield Handshake(
            f"{method} upgrade",
            request(line=f"{method} /api/echo HTTP/1.1", Content_Length="0"),
            400,
        )
    # RFC 9110 section 7.8: an Upgrade field of an HTTP/1.0 request is ignored.
    yield Handshake("HTTP/1.0 upgrade", request(line="GET /api/echo HTTP/1.0"), 426)
    yield Handshake("no Host", request(without="Host"), 400)
    yield Handshake("bad Host", request(Host="a b"), 400)
    yield Handshake("upgrade with a body", request(Content_Length="5") + b"hello", 400)
    yield Handshake("upgrade with chunks", request(Transfer_Encoding="chunked") + b"0\r\n\r\n", 400)
    yield Handshake("unknown path", request(line="GET /nowhere HTTP/1.1"), 404)
    yield Handshake("no ws block", request(line="GET /api/plain HTTP/1.1"), 404)
    yield Handshake("guarded", request(line="GET /api/guarded HTTP/1.1"), 401)
    yield Handshake("latin-1 protocol", request(Sec_WebSocket_Protocol="\xff\xe9"), 101)
    yield Handshake("unknown protocol", request(Sec_WebSocket_Protocol="chat, superchat"), 101)
    yield Handshake("unknown extension", request(Sec_WebSocket_Extensions="x-webkit-foo; a=1"), 101)
    yield Handshake(
        "window bits out of range",
        request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=99"),
        101,
    )
    yield Handshake("no session and a foreign origin", request(Origin="https://evil.example"), 101)
    yield Handshake("head too large", request(X_Filler="x" * 20000), 431)


HANDSHAKES: tuple[Handshake, ...] = tuple(_handshakes())
