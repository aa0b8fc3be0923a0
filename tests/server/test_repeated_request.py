"""Equal requests get equal answers, whether or not they were recognised."""

from __future__ import annotations

import itertools
import random
import re
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.app import App
from flinfast.server import http_protocol
from flinfast.server.log import Log
from flinfast.server.loop import LoopScheduler
from tests.server.running import Answer, Client, Running

HANDLERS = {
    "map": '{ message: "Hello", n: 1 }',
    "text": '"plain"',
    "number": "1.5",
    "list": "[1, [2], none]",
    "none": "none",
    "nothing": '_x = "assigned only"',
    "stop": 'if true { return { early: true } }\n"late"',
    "status": "response.status = 201\n{ a: 1 }",
    "field": 'response.headers["X-A"] = "b"\n{ a: 1 }',
    "html": 'response.html("<b>x</b>")',
    "error": 'error(418, "teapot")',
    "fault": "1 / 0",
    "redirect": 'redirect("/map")',
    "query": '{ a: query.a, all: query.all("a") }',
    "headers": "{ agent: headers.user_agent, ip: request.ip, path: request.path }",
    "mutated": "params.x = 1\n{ params: params }",
    "large": '{ text: "long enough to be compressed ".repeat(200) }',
    "token": "csrf_token().length > 10",
}

# They may ask for the user or the session, which are stored data.
LOOKED_AT = {"headers", "token"}


class RunningProgram(Running):
    """The same with a real program."""

    program: App

    def _load(self, scheduler: LoopScheduler, log: Log) -> Any:
        self.program = App.load(self.root, self.config.settings, scheduler=scheduler, log=log)
        return self.program, self.program.hub


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., RunningProgram]]:
    """Starts servers over `app/NAME.flin` handlers."""
    running: list[RunningProgram] = []

    def begin(handlers: dict[str, str], **settings: str) -> RunningProgram:
        root = tmp_path / f"site{len(running)}"
        for name, body in handlers.items():
            path = root / "app" / f"{name}.flin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"route GET {{\n{body}\n}}\n")
        environ = {f"FLIN_{name.upper()}": value for name, value in settings.items()}
        one = RunningProgram(root, environ)
        running.append(one)
        one.start()
        return one

    yield begin
    for one in running:
        one.stop()


def essence(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs by the second and by the client."""
    fields = [pair for pair in answer.pairs if pair[0] not in ("Date", "Set-Cookie")]
    return answer.status, fields, answer.body


def ask(client: Client, path: str, *fields: str) -> Answer:
    return client.get(path, "User-Agent: test", *fields)


def is_known(running: Running) -> bool:
    """Whether the one open connection's last request has been recognised."""
    assert running.server.site is not None
    (connection,) = running.server.site.connections
    return connection._known is not None


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
def test_tenth_equal_request_is_answered_like_the_first(
    program: Callable[..., RunningProgram], accept: str
) -> None:
    """Values of every kind, statuses, fields, errors, pages and bodies worth compressing."""
    running = program(HANDLERS)
    for name in HANDLERS:
        target = f"/{name}?a=1&a=%C3%A9"
        more = (f"Accept: {accept}", "Accept-Encoding: gzip")
        with running.connect() as client:
            answers = [essence(ask(client, target, *more)) for _ in range(10)]
            assert is_known(running) or name in LOOKED_AT, name
        with running.connect() as client:
            assert essence(ask(client, target, *more)) == answers[0]
        assert answers == [answers[0]] * 10, name


def test_each_request_has_an_id_of_its_own(program: Callable[..., RunningProgram]) -> None:
    """As without recognition."""
    running = program({"id": "request.id"})
    with running.connect() as client:
        ids = [ask(client, "/id").body for _ in range(8)]
    assert len(set(ids)) == 8


def test_parameters_are_fresh_each_time(program: Callable[..., RunningProgram]) -> None:
    """What a handler changes in them is gone with it."""
    running = program(
        {"items/[id]": "before = params.extra\nparams.extra = 1\n[params.id, before]"}
    )
    with running.connect() as client:
        assert {ask(client, "/items/7").body for _ in range(5)} == {b'["7",null]'}
        assert is_known(running)
        assert ask(client, "/items/8").body == b'["8",null]'


def test_sends_of_a_handler_leave_each_time(program: Callable[..., RunningProgram]) -> None:
    """Its effects are those of any handler; a failing one has none."""
    running = program({"shout": 'broadcast("room", "hi")\n{ ok: true }'})
    with running.connect() as client:
        assert [ask(client, "/shout").status for _ in range(5)] == [200] * 5
    assert not running.program.hub.in_handler


def test_session_of_equal_requests_is_read_each_time(
    program: Callable[..., RunningProgram],
) -> None:
    """Equal bytes, cookie included: the handler sees what the request before it stored."""
    running = program(
        {
            "count": "session.count = (session.count ?? 0) + 1\nsession.count",
            "cookie": "cookies.name",
        }
    )
    with running.connect() as client:
        first = ask(client, "/count")
        (cookie,) = (value for name, value in first.pairs if name == "Set-Cookie")
        field = f"Cookie: {cookie.partition(';')[0]}"
        assert [ask(client, "/count", field).body for _ in range(5)] == [
            b"%d" % count for count in range(2, 7)
        ]
        assert not is_known(running)
        for name in (b"a", b"b"):
            named = f"Cookie: name={name.decode()}"
            assert {ask(client, "/cookie", named).body for _ in range(5)} == {b'"%b"' % name}


@pytest.mark.parametrize(
    "more",
    ['If-None-Match: "x"', "Origin: http://test", "Range: bytes=0-1", "Connection: close"],
)
def test_conditional_requests_are_looked_at_each_time(
    program: Callable[..., RunningProgram], more: str
) -> None:
    """They are never taken for known."""
    running = program({"a": "{ ok: 1 }"})
    with running.connect() as client:
        assert ask(client, "/a", more).status == 200
        if "close" in more:
            assert client.is_closed()
            return
        assert ask(client, "/a", more).status == 200
        assert not is_known(running)


def test_body_after_a_known_head_is_no_request(program: Callable[..., RunningProgram]) -> None:
    """A GET with a body is read whole each time."""
    running = program({"a": "{ ok: 1 }"})
    with running.connect() as client:
        for _ in range(4):
            client.send(b"GET /a HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
            assert client.read_response().body == b'{"ok":1}'
        assert not is_known(running)


def test_pieces_and_pipelines_of_a_known_request(program: Callable[..., RunningProgram]) -> None:
    """Half a head, two at once, and one with a byte changed."""
    running = program({"a": "{ ok: 1 }", "b": "{ ok: 2 }"})
    raw = b"GET /a HTTP/1.1\r\nHost: test\r\n\r\n"
    with running.connect() as client:
        for _ in range(3):
            client.send(raw)
            assert client.read_response().body == b'{"ok":1}'
        assert is_known(running)
        for cut in range(1, len(raw)):
            client.send(raw[:cut])
            client.send(raw[cut:])
            assert client.read_response().body == b'{"ok":1}'
        client.send(raw * 3)
        assert [client.read_response().body for _ in range(3)] == [b'{"ok":1}'] * 3
        client.send(raw.replace(b"/a", b"/b"))
        assert client.read_response().body == b'{"ok":2}'


def test_reloaded_program_answers_known_requests(program: Callable[..., RunningProgram]) -> None:
    """What was known of the program before is void."""
    running = program({"a": "{ ok: 1 }"})
    with running.connect() as client:
        assert [ask(client, "/a").body for _ in range(3)] == [b'{"ok":1}'] * 3
        (running.root / "app" / "a.flin").write_text("route GET {\n{ ok: 2 }\n}\n")
        epoch = running.program.epoch
        running.loop.call_soon_threadsafe(running.program.reload)
        running.wait_for(lambda: running.program.epoch > epoch)
        assert [ask(client, "/a").body for _ in range(3)] == [b'{"ok":2}'] * 3


def test_access_log_names_known_requests(program: Callable[..., RunningProgram]) -> None:
    """One line each, with an id each."""
    running = program({"a": "{ ok: 1 }"})
    with running.connect() as client:
        for _ in range(5):
            ask(client, "/a")
    running.stop()
    lines = [line for line in running.log_text().splitlines() if "/a" in line and "200" in line]
    assert len(lines) == 5
    assert len(set(lines)) == 5


KNOWN = b"GET /a HTTP/1.1\r\nHost: test\r\n\r\n"
PARTS = (
    KNOWN,
    KNOWN,
    KNOWN * 3,
    KNOWN * 20,
    b"GET /b HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET /fault HTTP/1.1\r\nHost: test\r\n\r\n" * 4,
    b"GET /status HTTP/1.1\r\nHost: test\r\n\r\n" * 3,
    b"HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc",
    b"\r\n" + KNOWN,
    KNOWN.replace(b"Host", b"host"),
)
LAST = b"GET /a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
DATE = re.compile(rb"Date: [^\r]*\r\n")


def has_received(running: RunningProgram, size: int) -> bool:
    """Whether the hub has got so many bytes in all."""
    return running.program.hub.stats()["bytes_in"] >= size


def conversation(running: RunningProgram, pieces: list[bytes]) -> bytes:
    """Everything the server says to some pieces, each received by itself, without dates."""
    wanted = running.program.hub.stats()["bytes_in"]
    with running.connect() as client:
        client.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.send(piece)
            wanted += len(piece)
            running.wait_for(partial(has_received, running, wanted))
        return DATE.sub(b"", client.read_to_end())


def cut(stream: bytes, dice: random.Random) -> list[bytes]:
    """The same bytes in pieces: often at the end of a request, else anywhere."""
    ends = [found.end() for found in re.finditer(rb"\r\n\r\n", stream)]
    places = [dice.choice(ends) if dice.random() < 0.7 else dice.randrange(len(stream))]
    places += [dice.choice(ends) for _ in range(dice.randrange(12))]
    places = sorted({0, *places, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


def test_any_split_of_a_stream_gives_the_bytes_of_the_ordinary_way(
    program: Callable[..., RunningProgram], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known and other requests in any order, cut anywhere: the peer cannot tell who answered."""
    handlers = {name: HANDLERS[name] for name in ("fault", "status")}
    running = program({"a": "{ ok: 1 }", "b": "{ ok: 2 }", **handlers})
    dice = random.Random(7)
    for _ in range(15):
        stream = KNOWN * 3 + b"".join(dice.choices(PARTS, k=dice.randrange(1, 9))) + LAST
        with monkeypatch.context() as patch:
            patch.setattr(http_protocol, "known_request", lambda *_: None)
            expected = conversation(running, [stream])
        pieces = [KNOWN, KNOWN, KNOWN, *cut(stream.removeprefix(KNOWN * 3), dice)]
        assert conversation(running, pieces) == expected
    assert running.server.site is not None
    assert running.server.site.answers.count > 100


def test_every_split_of_two_known_requests(program: Callable[..., RunningProgram]) -> None:
    """Two cuts anywhere in a pair: three answers when a third one completes it."""
    running = program({"a": "{ ok: 1 }"})
    expected = DATE.sub(b"", conversation(running, [KNOWN, LAST])).split(b'{"ok":1}')[0]
    with running.connect() as client:
        client.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(2 * len(KNOWN) + 1):
            client.send((KNOWN * 2)[:at])
            client.send((KNOWN * 2)[at:] + KNOWN)
            for _ in range(3):
                answer = client.read_response()
                assert answer.body == b'{"ok":1}'
                fields = [f"{name}: {value}".encode() for name, value in answer.pairs]
                assert [f for f in fields if not f.startswith(b"Date")] == [
                    line for line in expected.split(b"\r\n")[1:] if line
                ]


def test_pipeline_longer_than_one_turn_is_answered_and_counted(
    program: Callable[..., RunningProgram],
) -> None:
    """Hundreds at once, the first of them by the hub."""
    running = program({"a": "{ ok: 1 }"})
    site = running.server.site
    assert site is not None
    with running.connect() as client:
        for _ in range(3):
            client.send(KNOWN)
            client.read_response()
        before, known = site.response_count(2), site.answers.count
        client.send(KNOWN * 300)
        assert [client.read_response().body for _ in range(300)] == [b'{"ok":1}'] * 300
    assert site.response_count(2) - before == 300
    assert site.answers.count - known >= 16


def test_slow_reader_of_large_known_answers_gets_every_byte(
    program: Callable[..., RunningProgram],
) -> None:
    """More than a buffer and more than a socket takes; nobody reads at first."""
    running = program(
        {"a": '{ text: "0123456789".repeat(9000) }', "small": "{ ok: 1 }"},
        server_compression="false",
    )
    with running.connect() as client:
        expected = ask(client, "/a").body
        assert len(expected) > 90_000
    small = KNOWN.replace(b"/a", b"/small")
    for first in (KNOWN, small):
        with running.connect() as client:
            for _ in range(3):
                client.send(first)
                client.read_response()
            stream = (first + KNOWN * 2 + small) * 30
            client.send(stream)
            for part in re.findall(rb"GET (\S+)", stream):
                body = client.read_response().body
                assert body == (expected if part == b"/a" else b'{"ok":1}')


def test_repetition_stops_when_the_server_drains(program: Callable[..., RunningProgram]) -> None:
    """The last answers say that the connection closes."""
    running = program({"a": "{ ok: 1 }"})
    site = running.server.site
    assert site is not None
    with running.connect() as client:
        for _ in range(3):
            client.send(KNOWN)
            client.read_response()
        running.loop.call_soon_threadsafe(setattr, site, "is_draining", True)
        running.loop.call_soon_threadsafe(setattr, site.answers, "is_open", False)
        running.wait_for(lambda: not site.answers.is_open)
        client.send(KNOWN)
        assert client.read_response().headers["connection"] == "close"
        assert client.is_closed()


def test_transports_of_the_loop_answer_known_requests_alike(
    program: Callable[..., RunningProgram],
) -> None:
    """Where the hub does not read itself, as over TLS: same answers, ids and counts."""
    names = ("map", "fault", "status", "large", "query")
    handlers = {name: HANDLERS[name] for name in names} | {"id": "request.id"}
    streams, loops = program(handlers), program(handlers, server_data_plane="adapter")
    for name in names:
        with streams.connect() as one, loops.connect() as other:
            for _ in range(6):
                more = ("Accept-Encoding: gzip",)
                expected = essence(ask(one, f"/{name}?a=1", *more))
                assert essence(ask(other, f"/{name}?a=1", *more)) == expected
            assert is_known(loops)
    site = loops.server.site
    assert site is not None
    assert site.answers.count > 0
    before = site.response_count(2)
    with loops.connect() as client:
        assert len({ask(client, "/id").body for _ in range(8)}) == 8
        client.send(b"GET /id HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\n\r\n" * 20)
        assert len({client.read_response().body for _ in range(20)}) == 20
    assert site.response_count(2) - before == 28
