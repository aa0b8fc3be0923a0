"""Server-sent events out of rooms, over real sockets and with the program behind them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.server.events import HEARTBEAT, ID_CHARS_MAX, OPENING, EventTransport, event
from flinfast.server.loop import LoopScheduler
from tests.runtime.programs import LOGIN
from tests.server.program import Program
from tests.server.running import TIMEOUT_S, Client

FILES = {
    **LOGIN,
    "app/events/[room].flin": """
        route GET { event_stream(params.room) }
        route POST { { sent: broadcast(params.room, body.value), members: ws_count(params.room) } }
    """,
    "app/news.flin": """
        entity Item { title: text @required }

        route GET {
            seen = to_int(headers["last-event-id"] || "0")
            event_stream("news", Item.where(id > seen).order(id))
        }
        route POST {
            item = Item { title: body.title }
            save item
            broadcast("news", item)
        }
    """,
    "app/mine.flin": """
        guard auth

        route GET { event_stream(["user:" ++ session.userId, "all"]) }
    """,
    "app/chat.flin": """
        ws {
            on connect { ws_join("lobby") }
            on message(data) { broadcast("lobby", data) }
        }
    """,
    "app/binary.flin": 'route POST { broadcast("raw", body) }',
    "app/bad.flin": "route GET { event_stream({ a: 1 }) }",
    "app/count.flin": "route GET { ws_count() }",
}


@pytest.fixture(scope="module", params=["auto", "adapter"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    with Program(
        tmp_path_factory.mktemp("events"), FILES, log_access="off", server_data_plane=request.param
    ) as program:
        yield program


def opened(program: Program, path: str, **fields: str) -> Client:
    """A stream whose opening lines have arrived."""
    answer, client = program.client().events(path, **fields)
    assert answer.status == 200
    client.read_until(OPENING)
    return client


def gone(program: Program, room: str) -> bool:
    return program.app.hub.room_size(room) == 0


def test_head_of_a_stream(site: Program) -> None:
    """The type browsers ask for, no length, no storing, no buffering in proxies."""
    answer, client = site.client().events("/events/head")
    with client:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "content-length" not in answer.headers
        assert "content-encoding" not in answer.headers


def test_broadcasts_of_routes_and_sockets_arrive(site: Program) -> None:
    """A stream is a member like any other: counted, and served in order."""
    with opened(site, "/events/lobby") as client, site.client().ws("/chat") as socket:
        answer = site.client().post("/events/lobby", {"value": "from a route"})
        assert answer.body == b'{"sent":2,"members":2}'
        assert client.read_until(b"\n\n") == b"data: from a route\n\n"
        assert socket.receive() == "from a route"
        socket.send({"text": "from a socket"})
        assert client.read_until(b"\n\n") == b'data: {"text": "from a socket"}\n\n'


def test_a_client_that_leaves_is_not_counted(site: Program) -> None:
    """Closing the connection ends the membership."""
    with opened(site, "/events/left"):
        site.wait_for(lambda: site.app.hub.room_size("left") == 1)  # the opening lines come first
    site.wait_for(lambda: gone(site, "left"))
    assert site.client().post("/events/left", {"value": 1}).body == b'{"sent":0,"members":0}'


def test_what_a_client_missed_comes_first(site: Program) -> None:
    """Rows after Last-Event-ID, then what is broadcast; ids are those of the rows."""
    browser = site.client()
    for title in ("one", "two"):
        assert browser.post("/news", {"title": title}).status == 204
    with opened(site, "/news", Last_Event_ID="1") as client:
        missed = client.read_until(b"\n\n")
        assert missed.startswith(b"id: 2\ndata: {")
        assert b'"title":"two"' in missed
        browser.post("/news", {"title": "three"})
        assert client.read_until(b"\n\n").startswith(b'id: 3\ndata: {"id":3,"title":"three"')


def test_nothing_is_lost_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row is read by the stream's handler or broadcast to the stream, also to the first one."""
    files = {
        "app/told.flin": """
            entity Item { title: text }

            route GET { log_info("read") event_stream("told", Item.all.map(i => i.title)) }
            route POST {
                save Item { title: body.title }
                broadcast("told", body.title)
                log_info("said {body.title}")
            }
        """
    }
    is_synced = threading.Event()
    run_in_thread = LoopScheduler.run_in_thread

    def held(self: LoopScheduler, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        run_in_thread(self, lambda: is_synced.wait(TIMEOUT_S) and work(), done)

    monkeypatch.setattr(LoopScheduler, "run_in_thread", held)
    with Program(tmp_path, files) as program, contextlib.ExitStack() as stack:

        def ask(method: str, body: bytes, logged: str) -> Client:
            client = stack.enter_context(program.connect())
            head = program.client().head(method, "/told", {"Content-Length": str(len(body))})
            client.send(head.replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1) + body)
            program.wait_for(lambda: logged in program.log_text())
            return client

        ask("POST", b'{"title":"one"}', "said one")
        client = ask("GET", b"", "read")
        ask("POST", b'{"title":"two"}', "said two")
        is_synced.set()
        client.read_until(OPENING)
        assert client.read_until(b"two\n\n") == b"data: one\n\ndata: two\n\n"


def test_guards_come_before_the_stream(site: Program) -> None:
    """No session, no events."""
    answer, client = site.client().events("/mine")
    with client:
        assert answer.status == 401


def test_logout_ends_the_stream(site: Program) -> None:
    """Within a second of the end of its session."""
    browser = site.client().log_in("Grace")
    answer, client = browser.events("/mine")
    with client:
        assert answer.status == 200
        client.read_until(OPENING)
        assert browser.request("DELETE", "/login").status == 204
        assert client.is_closed()


def test_several_rooms_in_one_stream(site: Program) -> None:
    """A list of rooms; each broadcast arrives once."""
    browser = site.client().log_in("Hopper")
    _, client = browser.events("/mine")
    with client:
        client.read_until(OPENING)
        site.client().post("/events/all", {"value": "to all"})
        assert client.read_until(b"\n\n") == b"data: to all\n\n"


def test_binary_messages_are_base64(site: Program) -> None:
    """With a type of their own."""
    with site.connect() as client:
        client.send(b"GET /events/raw HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_until(OPENING)
        raw = bytes(range(256))
        browser = site.client()
        browser.request("POST", "/binary", raw=raw, Content_Type="application/x-bytes")
        expected = b"event: binary\ndata: " + base64.b64encode(raw) + b"\n\n"
        assert client.read_until(b"\n\n") == expected


def test_head_request_has_no_stream(site: Program) -> None:
    """The fields alone, and nobody joins."""
    answer = site.client().request("HEAD", "/events/head-only")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert gone(site, "head-only")


def test_http10_clients_get_events(site: Program) -> None:
    """The end of the connection is the end of the body, so old clients understand it."""
    with site.connect() as client:
        client.send(b"GET /events/old HTTP/1.0\r\nHost: test\r\n\r\n")
        client.read_until(OPENING)
        site.client().post("/events/old", {"value": 5})
        assert client.read_until(b"\n\n") == b"data: 5\n\n"


def test_input_after_the_request_is_dropped(site: Program) -> None:
    """A pipelined request is not answered within a stream."""
    with opened(site, "/events/pipeline") as client:
        client.send(b"GET /count HTTP/1.1\r\nHost: test\r\n\r\n" * 100)
        site.client().post("/events/pipeline", {"value": "next"})
        assert client.read_until(b"\n\n") == b"data: next\n\n"


def test_a_wrong_room_is_a_fault(site: Program) -> None:
    """500 and a log line, no stream."""
    assert site.client().get("/bad").status == 500


def test_streams_beat(tmp_path: Path) -> None:
    """A comment at each heartbeat; a stream lives on although its client says nothing."""
    with (
        Program(tmp_path, FILES, ws_heartbeat="1s", ws_timeout="2s") as program,
        opened(program, "/events/beat") as client,
    ):
        for _ in range(4):
            assert client.read_until(b"\n\n") == HEARTBEAT
        program.client().post("/events/beat", {"value": "alive"})
        assert b"data: alive\n\n" in client.read_until(b"alive\n\n")


def test_a_stream_that_is_not_read_is_ended(tmp_path: Path) -> None:
    """The queue is bounded: beyond it the stream ends, the others go on."""
    with Program(tmp_path, FILES, ws_queue_hard="256KB", ws_queue_soft="64KB") as program:
        slow = opened(program, "/events/slow")
        with slow, opened(program, "/events/slow") as quick:
            browser = program.client()
            value = "x" * 100_000
            for _ in range(300):
                browser.post("/events/slow", {"value": value})
                quick.read_until(b"\n\n")
                if program.app.hub.room_size("slow") == 1:
                    break
            program.wait_for(lambda: program.app.hub.room_size("slow") == 1)
            browser.post("/events/slow", {"value": "still here"})
            assert quick.read_until(b"\n\n") == b"data: still here\n\n"


def test_drain_ends_streams(tmp_path: Path) -> None:
    """A stopping server ends them in good order, before its deadline."""
    program = Program(tmp_path, FILES)
    with program:
        client = opened(program, "/events/drain")
        program.request_stop()
        with client:
            assert client.is_closed()


# --- the form of events ----------------------------------------


@pytest.mark.parametrize(
    ("payload", "lines"),
    [
        (b"", b"data: \n\n"),
        (b"a", b"data: a\n\n"),
        (b"a\nb", b"data: a\ndata: b\n\n"),
        (b"a\r\nb\rc\n", b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (b" a", b"data:  a\n\n"),
        (b"event: x", b"data: event: x\n\n"),
        ("\u2028\x0b\x85".encode(), b"data: " + "\u2028\x0b\x85".encode() + b"\n\n"),
        (b'{"id":7}', b'id: 7\ndata: {"id":7}\n\n'),
        (b'{"a":1,"id":"x-1"}', b'id: x-1\ndata: {"a":1,"id":"x-1"}\n\n'),
        (b'{"id":null}', b'data: {"id":null}\n\n'),
        (b'{"id":1.5}', b'data: {"id":1.5}\n\n'),
        (b'{"id":""}', b'data: {"id":""}\n\n'),
        (b'{"id":"a\\nb"}', b'data: {"id":"a\\nb"}\n\n'),
        (b'{"id":"a\\u0000"}', b'data: {"id":"a\\u0000"}\n\n'),
        (b'{"id":', b'data: {"id":\n\n'),
        (b'[{"id":1}]', b'data: [{"id":1}]\n\n'),
    ],
)
def test_form_of_an_event(payload: bytes, lines: bytes) -> None:
    """No message can end its event early or set a field of it, except by its `id`."""
    assert event(payload, is_text=True) == lines


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\0"])
def test_an_id_cannot_break_its_line(bad: str) -> None:
    """One that would start another field of the event is no id."""
    payload = msgspec.json.encode({"id": f"1{bad}event: admin"})
    assert event(payload, is_text=True) == b"data: " + payload + b"\n\n"


@pytest.mark.parametrize(("length", "has_id"), [(ID_CHARS_MAX, True), (ID_CHARS_MAX + 1, False)])
def test_length_of_an_id(length: int, has_id: bool) -> None:
    """Long ids would come back in a header: they are left out."""
    payload = b'{"id":"' + b"x" * length + b'"}'
    assert event(payload, is_text=True).startswith(b"id: ") is has_id


@given(st.binary(max_size=300))
def test_any_text_stays_inside_its_event(payload: bytes) -> None:
    """Read as the standard says, the data is the message with its line ends made equal."""
    raw = event(payload, is_text=True)
    assert raw.endswith(b"\n\n")
    assert b"\n\n" not in raw[:-1]
    lines = raw[:-2].split(b"\n")
    data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    normal = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert b"\n".join(data) == normal


class Wire:
    """A transport and a hub that record."""

    def __init__(self) -> None:
        self.written = b""
        self.fed = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def feed(self, _connection: object, data: bytes) -> None:
        self.fed += data


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 8, 9]), st.integers(0, 70_000)), max_size=6),
    st.lists(st.integers(0, 200_000), max_size=6),
)
def test_frames_may_be_cut_anywhere(frames: list[tuple[int, int]], cuts: list[int]) -> None:
    """The hub's bytes mean the same in any pieces; pings and closes are answered once."""
    data, expected, answers = b"", b"", b""
    for opcode, wanted in frames:
        payload = b"z" * (min(wanted, 125) if opcode >= 8 else wanted)
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, size))
        elif size < 1 << 16:
            head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
        data += head + payload
        if opcode < 8:
            expected += event(payload, is_text=opcode == 1)
        else:
            expected += HEARTBEAT if opcode == 9 else b""
            answers += bytes((0x8A if opcode == 9 else 0x88, 0x80 | size, 0, 0, 0, 0)) + payload
    wire = Wire()
    transport = EventTransport(
        wire,  # type: ignore[arg-type]
        wire,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        lambda call, *args: call(*args),
    )
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        transport.write(data[start:end])
    assert wire.written == expected
    assert wire.fed == answers
