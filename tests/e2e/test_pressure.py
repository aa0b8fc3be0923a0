"""Crowds, stalled readers, bursts and storms over real sockets: limits hold, memory comes back."""

import contextlib
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import wire
from tests.e2e.conftest import NO_PINGS, RECEIVE_S, Client, Server, wait_until
from tests.e2e.crowd import crowd, descriptors_for, resident_bytes

ROOM = 2000
IDLE = 10_000
IDLE_BYTES_MAX = 1024
BURST = 200
STORM = 1000
MESSAGE = 1_000_000
STALL_S = 8.0  # time enough for some messages on a loaded machine
LOOKS = 5
PUBLISHED_MIN = 3  # while a reader is stalled
TRIES = 5  # readers; a machine that is busy for STALL_S has shown nothing of one
PATIENCE_S = 60.0  # of a loaded machine
HEADER = 4  # of the server's frames with 126 to 65535 bytes
FILES = {
    "app/api/room.flin": """
        ws {
            on connect { ws_join("room") }
            on message(data) {
                if data.to == "me" { ws_send(ws.connection_id, data) }
                else { broadcast("room", data) }
            }
        }
    """,
    "app/api/storm.flin": """
        ws {
            on connect { ws_join("storm") }
            on message(data) { broadcast("storm", data) }
            on close { log_info("gone {ws.connection_id}.") }
        }
    """,
    "app/api/log.flin": "route POST { log_info(body.text) }",
    "app/api/count.flin": """
        route GET { { room: ws_count("room"), storm: ws_count("storm"), all: ws_count() } }
    """,
    "app/api/visit.flin": "route GET { session.visits = 1  return { ok: true } }",
    "app/api/idle.flin": """
        ws {
            on connect { if session.visits == 1 { ws_join("room") } }
            on message(data) { ws_send(ws.connection_id, "seen") }
        }
    """,
}

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not descriptors_for(ROOM):
        pytest.skip(f"needs a hard limit of more than {ROOM} descriptors")
    root = tmp_path_factory.mktemp("pressure")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    environment = {
        "FLIN_WS_STALL": f"{STALL_S}s",
        "FLIN_WS_CLOSE": "1s",
        **NO_PINGS,
        "FLIN_WS_CONNECTIONS_PER_SESSION": str(2 * IDLE),
    }
    one = Server(root, environment, ()).start()
    yield one
    assert one.stop() == 0
    assert "Traceback" not in one.output


def counts(server: Server) -> dict[str, int]:
    _, body = Client(server).get("/api/count")
    return dict(body)


def queued_bytes(server: Server) -> int:
    """What the server holds for peers that do not take it."""
    _, body = Client(server).get("/_flin/metrics")
    found = re.search(rb"^flin_ws_send_queue_bytes (\d+)", body, re.M)
    assert found is not None
    return int(found[1])


def closed_lines(server: Server, code: int) -> list[dict[str, object]]:
    """Access-log lines of connections that were closed with a code; the last may not be whole."""
    whole = server.output.rpartition("\n")[0].splitlines()
    lines = [line for line in whole if f'"close_code":{code}' in line]
    return [json.loads(line) for line in lines]


def stalled_reader(server: Server) -> tuple[socket.socket, int]:
    """A member of the room that has stopped reading, and the messages it sent for that."""
    one = socket.create_connection(("127.0.0.1", server.port), RECEIVE_S)
    one.sendall(
        b"GET /api/room HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert one.recv(4096).startswith(b"HTTP/1.1 101 ")
    frame = wire.frame(wire.TEXT, json.dumps({"to": "me", "pad": "x" * 150_000}).encode())
    sent = 0
    # Its own answers fill what the kernel takes for it: 150 kB at a time, at most 15 MB. What is
    # held at one look only was on its way.
    with contextlib.suppress(ConnectionError):  # it is closed already: we were held up
        while not all(queued_bytes(server) for _ in range(LOOKS)):
            assert sent < 100, "the kernel takes everything"
            one.sendall(frame)
            sent += 1
    return one, sent


def test_a_stalled_reader_costs_the_others_nothing_and_is_closed(server: Server) -> None:
    """Nobody else waits for it with any message; its queue stays below the limit until 1013."""
    text = json.dumps({"pad": "y" * 1000}).encode()
    with crowd(server, "/api/room") as others:
        others.open(ROOM)
        sender = next(iter(others.sockets))

        def publish() -> float:
            target = others.received[sender] + len(text) + HEADER
            others.send_text(sender, text)
            return others.pump(lambda: min(others.received.values()) >= target, PATIENCE_S)

        publish()
        published = 1
        held: list[int] = []
        for tried in range(TRIES):
            held.clear()
            took_s = 0.0
            stalled, sent = stalled_reader(server)
            with stalled:
                while len(closed_lines(server, 1013)) == tried:
                    took_s += publish()
                    held.append(queued_bytes(server))
                    assert took_s < PATIENCE_S, "the stalled reader is not closed"
            published += len(held)
            if sum(size > 0 for size in held) >= PUBLISHED_MIN:
                break
        # Everybody else had them while it was still waited for.
        assert sum(size > 0 for size in held) >= PUBLISHED_MIN
        assert max(held) <= 1 << 20
        publish()
        assert set(others.received.values()) == {(len(text) + HEADER) * (published + 1)}
        assert others.ended == set()
    line = closed_lines(server, 1013)[-1]
    assert line["path"] == "/api/room"
    assert 0 < int(str(line["messages_in"])) <= sent
    assert STALL_S <= float(str(line["s"])) < PATIENCE_S
    wait_until(lambda: counts(server)["all"] == 0)


def settled_bytes(server: Server) -> int:
    """Resident bytes once every connection has gone and nothing is queued."""
    wait_until(lambda: counts(server)["all"] == 0)
    return resident_bytes(server)


def visits(server: Server, requests: list[bytes]) -> list[str]:
    """Cookie fields that pipelined requests are answered with."""
    cookies: list[str] = []
    with socket.create_connection(("127.0.0.1", server.port), RECEIVE_S) as one:
        reader = one.makefile("rb")
        for start in range(0, len(requests), 100):
            batch = requests[start : start + 100]
            one.sendall(b"".join(batch))
            for _ in batch:
                length = 0
                while (line := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b": ")
                    if name.lower() == b"content-length":
                        length = int(value)
                    if name.lower() == b"set-cookie":
                        pair = value.partition(b";")[0].strip().decode()
                        cookies.append(f"Cookie: {pair}\r\n")
                reader.read(length)
    return cookies


def cookies_of(server: Server, count: int) -> list[str]:
    """Cookie fields of `count` new sessions, each of them used once more since."""
    head = b"GET /api/visit HTTP/1.1\r\nHost: x\r\n"
    cookies = visits(server, [head + b"\r\n"] * count)
    assert len(set(cookies)) == count
    visits(server, [head + cookie.encode() + b"\r\n" for cookie in cookies])
    return cookies


@pytest.mark.parametrize(("count", "sessions"), [(IDLE, 1), (IDLE, IDLE)])
def test_idle_connections_cost_a_kilobyte_each(server: Server, count: int, sessions: int) -> None:
    """One session for all of ten thousand, and one for each."""
    if not descriptors_for(count):
        pytest.skip(f"needs a hard limit of more than {count} descriptors")
    cookies = cookies_of(server, sessions)
    with crowd(server, "/api/idle") as warm:
        warm.open(100, cookies)
    before = settled_bytes(server)
    with crowd(server, "/api/idle") as idle:
        idle.open(count, cookies)
        assert counts(server) == {"room": count, "storm": 0, "all": count}
        grown = resident_bytes(server) - before
    assert grown / count <= IDLE_BYTES_MAX
    wait_until(lambda: counts(server)["all"] == 0)


def test_a_burst_of_large_messages_gives_its_memory_back(server: Server) -> None:
    """Two hundred half messages are held; once they are whole the memory is as before."""
    frame = wire.frame(wire.TEXT, b"z" * MESSAGE)
    with crowd(server, "/api/idle") as burst:
        burst.open(BURST)
        before = resident_bytes(server)
        for fd in burst.sockets:
            burst.send(fd, frame[: MESSAGE // 2])
        wait_until(lambda: resident_bytes(server) > before + BURST * MESSAGE // 4)
        for fd in burst.sockets:
            burst.send(fd, frame[MESSAGE // 2 :])
        burst.pump(lambda: min(burst.received.values()) >= 2 + len("seen"), PATIENCE_S)
        wait_until(lambda: resident_bytes(server) < before + (12 << 20), PATIENCE_S)


def test_a_storm_of_disconnects_during_fan_out_leaves_nothing(server: Server) -> None:
    """`on close` runs once for each connection, and no room counts anybody."""
    text = json.dumps({"pad": "y" * 1000}).encode()
    with crowd(server, "/api/storm") as storm:
        storm.open(STORM)
        first, *rest = storm.sockets
        for kept in range(len(rest), 0, -50):
            storm.send(first, wire.frame(wire.TEXT, text) * 5)
            storm.drop(rest[kept - 50 : kept], reset=kept % 100 == 0)
            rest = rest[: kept - 50]
        storm.pump(lambda: counts(server)["storm"] == len(storm.sockets), PATIENCE_S)
    wait_until(lambda: not any(counts(server).values()), PATIENCE_S)
    assert Client(server).post("/api/log", {"text": "all is logged"})[0] == 204
    wait_until(lambda: "all is logged" in server.output, PATIENCE_S)
    found = Counter(re.findall(r"gone (ws_\w+)\.", server.output))
    assert set(found.values()) == {1}
    assert len(found) == STORM
