"""Our reader against h11: what we accept, h11 has to accept with the same meaning.

The other way round is not claimed: we refuse more than h11 does, on purpose. The differences where
we accept more, each explained: empty lines before a request (RFC 9112 section 2.2 wants them
ignored; h11 refuses them).
"""

from __future__ import annotations

import os
from random import Random

import h11
import pytest

from flinfast.server.head import Head, RequestError
from flinfast.server.head_reader import HeadReader
from flinfast.server.request_reader import RequestReader
from flinfast.settings import ServerSettings
from tests.server.test_requests_table import ROWS

# FLINFAST_DIFFERENTIAL_EXAMPLES=200000 is the run before a release.
EXAMPLES = int(os.environ.get("FLINFAST_DIFFERENTIAL_EXAMPLES", "2000"))
EMPTY_LINE = "no request line received"  # what h11 says to an empty line before a request
Taken = tuple[bytes, bytes, bytes]

SEEDS = [row[1] for row in ROWS if row[2] < 400 and len(row[1]) < 3000]
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"0", b"1", b"5", b"a", b"\0", b"\xff",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"chunked",
    b"Connection: close\r\n", b"HTTP/1.1", b"HTTP/1.0", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip


def stream(random: Random) -> bytes:
    """One to three valid requests with a few small changes."""
    data = bytearray(b"".join(random.choices(SEEDS, k=random.randint(1, 3))))
    for _ in range(random.randint(0, 3)):
        place = random.randint(0, len(data))
        kind = random.randint(0, 2)
        if kind == 0:
            data[place:place] = random.choice(PIECES)
        elif kind == 1:
            del data[place : place + random.randint(1, 4)]
        else:
            data[place : place + 1] = bytes([random.randint(0, 255)])
    return bytes(data)


def ours(data: bytes) -> list[tuple[Head, bytes]]:
    """Requests we take from a stream before it ends, is refused, or may not go on."""
    limits = ServerSettings()
    reader = RequestReader(limits, HeadReader(header_count_max=limits.header_count_max).read)
    reader.buffer += data
    found: list[tuple[Head, bytes]] = []
    try:
        while (body := reader.next_body()) is not None:
            head = reader.head
            assert head is not None
            found.append((head, body))
            # h11 keeps no HTTP/1.0 connection, and waits for someone else after an upgrade.
            if not head.keep_alive or head.version == "1.0" or "upgrade" in head.fields:
                break
    except RequestError:
        pass
    return found


def of_h11(data: bytes, count: int) -> list[Taken]:
    """The first `count` requests h11 takes from the same stream."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    found: list[Taken] = []
    body = b""
    request = None
    while len(found) < count:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            if str(error) != EMPTY_LINE:
                raise
            return found
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            found.append((bytes(request.method), bytes(request.target), body))
            if len(found) < count:
                headers = [("content-length", "0")]
                connection.send(h11.Response(status_code=200, headers=headers))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
        else:
            raise AssertionError(f"h11 stops with {event!r}")
    return found


def check_requests(data: bytes) -> int:
    """Method, target and body of every request, and where the next one begins."""
    taken = ours(data)
    expected = [(head.method.encode(), head.target.encode("latin-1"), body) for head, body in taken]
    theirs = of_h11(data, len(taken))
    assert theirs == expected[: len(theirs)], data
    return len(taken)


def check_fields(data: bytes) -> None:
    """Names and values of the first request."""
    taken = ours(data)
    if not taken or data.startswith(b"\r\n"):
        return
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request), data
    fields = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
    # h11 writes the one known value of this field in lower case.
    ours_lowered = [
        (name, value.lower() if name == "transfer-encoding" else value)
        for name, value in taken[0][0].headers
    ]
    assert fields == ours_lowered, data


@pytest.mark.timeout(60 + EXAMPLES / 50)
def test_what_we_accept_means_the_same_to_h11() -> None:
    """Thousands of damaged streams; a good share of them is still valid."""
    random = Random(os.environ.get("FLINFAST_DIFFERENTIAL_SEED", "1"))
    accepted = 0
    for _ in range(EXAMPLES):
        data = stream(random)
        accepted += check_requests(data)
        check_fields(data)
    assert accepted > EXAMPLES / 4
