"""The request reader without sockets: any split of a stream gives the same requests."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flinfast.server import head_reader as head_reader_module
from flinfast.server.body import FRAMING_BYTES_MIN, OVERHEAD_BYTES_MAX, ChunkedBody
from flinfast.server.head import Head, RequestError
from flinfast.server.head_reader import HeadReader
from flinfast.server.request_reader import BODY_PROGRESS_BYTES, RequestReader
from flinfast.settings import ServerSettings
from tests.server.test_requests_table import ROWS

LIMITS = ServerSettings()
Taken = tuple[str, str, list[tuple[str, str]], bytes]


def read_all(pieces: list[bytes]) -> tuple[list[Taken], int]:
    """Requests of a stream, and the status of its refusal (0 for none)."""
    head_reader = HeadReader(header_count_max=LIMITS.header_count_max)
    reader = RequestReader(LIMITS, head_reader.read)
    found: list[Taken] = []
    try:
        for piece in pieces:
            reader.buffer += piece
            while (body := reader.next_body()) is not None:
                head = reader.head
                assert head is not None
                found.append((head.method, head.target, head.headers, body))
    except RequestError as fault:
        return found, fault.status
    return found, 0


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


names = st.from_regex(r"X-[A-Za-z0-9-]{1,12}", fullmatch=True)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
bodies = st.binary(max_size=300)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid request and its body."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]))
    target = "/" + draw(
        st.from_regex(r"[a-z0-9/._~%=-]{0,20}(\?[a-z0-9=&|{}]{0,10})?", fullmatch=True)
    )
    fields = draw(st.lists(st.tuples(names, values), max_size=6))
    lines = [f"{method} {target} HTTP/1.1", "Host: test"]
    for name, value in fields:
        clean = value.replace("\x80", "").strip(" \t")
        lines.append(f"{name}: {''.join(c for c in clean if not 0x7F <= ord(c) < 0xA0)}")
    body = draw(bodies)
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "none":
        body = b""
        payload = b""
    elif kind == "length":
        lines.append(f"Content-Length: {len(body)}")
        payload = body
    else:
        lines.append("Transfer-Encoding: chunked")
        payload = b"".join(
            b"%x%s\r\n%s\r\n" % (len(part), draw(st.sampled_from([b"", b";a=b"])), part)
            for part in split(body, draw(st.lists(st.integers(0, 400), max_size=3)))
            if part
        )
        payload += b"0\r\n" + draw(st.sampled_from([b"", b"X-T: 1\r\n"])) + b"\r\n"
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + payload, body


@settings(max_examples=100, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=3), st.lists(st.integers(0, 4000), max_size=12))
def test_any_split_gives_the_same_requests(
    stream: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    """Pieces of any size, over request borders, give what the whole gives."""
    data = b"".join(raw for raw, _ in stream)
    whole, fault = read_all([data])
    assert fault == 0
    assert [body for *_, body in whole] == [body for _, body in stream]
    assert read_all(split(data, cuts)) == (whole, 0)


@settings(max_examples=15, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=2))
def test_byte_by_byte_gives_the_same_requests(stream: list[tuple[bytes, bytes]]) -> None:
    """The smallest pieces as well."""
    data = b"".join(raw for raw, _ in stream)
    assert read_all([bytes([byte]) for byte in data]) == read_all([data])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([row for row in ROWS if len(row[1]) < 20_000]),
    st.lists(st.integers(0, 50_000), max_size=6),
)
@example(next(row for row in ROWS if row[0] == "bare LF"), [3, 20])
def test_a_refused_stream_is_refused_however_it_is_cut(
    row: tuple[str, bytes, int, str], cuts: list[int]
) -> None:
    """A cut never makes a bad request good, or a good one bad."""
    _, data, _, _ = row
    whole, fault = read_all([data])
    again, other_fault = read_all(split(data, cuts))
    assert bool(fault) == bool(other_fault)
    assert again == whole


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=4))
def test_random_bytes_never_raise_anything_else(data: bytes, cuts: list[int]) -> None:
    """Whatever comes in, the only fault is RequestError."""
    read_all(split(data, cuts))
    read_all(
        split(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data, cuts)
    )


def test_repeated_head_is_parsed_once() -> None:
    """A connection that repeats its head byte by byte gets the same Head object."""
    calls = []
    head_reader = HeadReader(header_count_max=100)

    def read(raw: bytes) -> Head:
        calls.append(raw)
        return head_reader.read(raw)

    reader = RequestReader(LIMITS, read)
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    reader.buffer += raw * 3
    heads = []
    while reader.next_body() is not None:
        heads.append(reader.head)
    assert len(heads) == 3
    assert heads[0] is heads[1] is heads[2]
    assert len(calls) == 1


def test_a_bad_head_after_a_good_one_is_not_taken_for_it() -> None:
    """The remembered head does not leak into a connection that then breaks the rules."""
    found, status = read_all([b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n"])
    assert (len(found), status) == (1, 400)


@pytest.mark.parametrize("raw", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_no_head_leaks_into_the_next_connection(raw: bytes) -> None:
    """All connections share one HeadReader; whatever one sends, the next one is read right."""
    head_reader = HeadReader(header_count_max=100)
    for _ in range(2):
        reader = RequestReader(LIMITS, head_reader.read)
        reader.buffer += raw
        with contextlib.suppress(RequestError):
            while reader.next_body() is not None:
                continue
        other = RequestReader(LIMITS, head_reader.read)
        other.buffer += b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n"
        assert other.next_body() == b""
        assert other.head is not None
        assert other.head.headers == [("host", "a"), ("x-a", "b")]
        assert other.head.target == "/x"


def test_progress_is_reported_per_step_of_the_body() -> None:
    """The deadline moves when a body begins and with each BODY_PROGRESS_BYTES, not per byte."""
    reader = RequestReader(LIMITS, HeadReader(header_count_max=100).read)
    reader.buffer += b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n"
    assert reader.next_body() is None
    assert reader.has_progress
    reader.has_progress = False
    reader.buffer += b"x" * (BODY_PROGRESS_BYTES - 1)
    assert reader.next_body() is None
    assert not reader.has_progress
    reader.buffer += b"x"
    assert reader.next_body() is None
    assert reader.has_progress


def limits_of_chunks(extension: int, chunks: int) -> int:
    """Status of a body with one long extension and many one-byte chunks, 0 when it is fine."""
    body = ChunkedBody(1 << 20)
    data = bytearray(
        b"1;" + b"e" * extension + b"\r\nx\r\n" + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    )
    try:
        return 0 if body.feed(data) else -1
    except RequestError as fault:
        return fault.status


def test_chunk_extension_limit_at_one_below_and_above() -> None:
    """OVERHEAD_BYTES_MAX counts the extension with its semicolon."""
    assert limits_of_chunks(OVERHEAD_BYTES_MAX - 2, 0) == 0
    assert limits_of_chunks(OVERHEAD_BYTES_MAX - 1, 0) == 431
    assert limits_of_chunks(OVERHEAD_BYTES_MAX, 0) == 431


def test_tiny_chunk_limit_is_proportional() -> None:
    """Framing may cost FRAMING_BYTES_MIN more than the body has."""
    most = (FRAMING_BYTES_MIN - 9) // 4  # 5 bytes of framing per byte of body, 9 for both ends
    assert limits_of_chunks(0, most - 1) == 0
    assert limits_of_chunks(0, most) == 0
    assert limits_of_chunks(0, most + 1) == 400


def decoded(parts: list[bytes], size_max: int) -> tuple[bytes, str, bytes]:
    """Body, the fault's text or "", and what is left for the next request."""
    body = ChunkedBody(size_max)
    buffer = bytearray()
    try:
        for at, part in enumerate(parts):
            buffer += part
            if body.feed(buffer):
                return bytes(body.body), "", bytes(buffer) + b"".join(parts[at + 1 :])
    except RequestError as fault:
        return bytes(body.body), f"{fault.status} {fault.message}", b""
    return bytes(body.body), "unfinished", b""


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["%x", "%X", "%04x", "%x;a=b"]), st.integers(1, 40))),
    st.sampled_from([b"", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\nGET", b"0\r\n\r\n1\r\n"]),
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=2)), max_size=2),
    st.lists(st.integers(0, 600), max_size=4),
)
def test_whole_chunks_and_pieces_of_them_decode_alike(
    chunks: list[tuple[str, int]],
    end: bytes,
    size_max: int,
    changes: list[tuple[int, bytes]],
    cuts: list[int],
) -> None:
    """The quick way and the careful one: valid, damaged, too large, with something behind it."""
    data = b"".join(
        (form % size).encode() + b"\r\n" + b"x" * size + b"\r\n" for form, size in chunks
    )
    data += end
    for at, text in changes:
        data = data[:at] + text + data[at + len(text) :]
    whole = decoded([data], size_max)
    assert decoded([bytes([byte]) for byte in data], size_max) == whole
    assert decoded(split(data, cuts), size_max) == whole


def test_heads_are_kept_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal heads are parsed once; what is kept is bounded; faults and upgrades are not kept."""
    monkeypatch.setattr(head_reader_module, "KEPT_COUNT_MAX", 3)
    reader = HeadReader(header_count_max=100)

    def head(path: str, *lines: str) -> bytes:
        return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()

    first = reader.read(head("/1"))
    assert reader.read(head("/1")) is first
    for number in range(2, 5):
        reader.read(head(f"/{number}"))
    assert reader.read(head("/1")) is not first
    again = reader.read(head("/4"))
    assert again is reader.read(head("/4"))
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"):
        for _ in range(2):
            with pytest.raises(RequestError):
                reader.read(bad)
    upgrade = head("/ws", "Upgrade: websocket", "Connection: Upgrade")
    assert reader.read(upgrade) is not reader.read(upgrade)
    large = head("/large", "X: " + "y" * head_reader_module.KEPT_BYTES_MAX)
    assert reader.read(large) is not reader.read(large)
