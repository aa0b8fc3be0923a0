"""Every attack of tests/e2e/attacks.py has its outcome, in both data planes, and memory stays."""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import wire
from tests.e2e.attacks import ATTACKS, HANDSHAKES, Attack, request
from tests.e2e.conftest import NO_PINGS, RECEIVE_S, Server, wait_until

MakeServer = Callable[..., Server]
FILES = {
    "app/api/echo.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }",
    "app/api/plain.flin": "route GET { 1 }",
    "app/api/guarded.flin": "guard auth\nws { on message(data) { broadcast_all(data) } }",
    "app/api/binary.flin": "ws { on message(data) { ws_send(ws.connection_id, data.bytes) } }",
    "app/api/flood.flin": "ws { on message(data) { broadcast_all(data) } }",
}
PLANES = ["reactor", "adapter"]


@pytest.fixture(scope="module", params=PLANES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("attacks")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    environment = {"FLIN_WS_MAX_MESSAGE": "64KB", "FLIN_SERVER_DATA_PLANE": request.param}
    one = Server(root, environment | NO_PINGS, ()).start()
    yield one
    assert one.stop() == 0
    assert "Traceback" not in one.output


class Raw:
    """A socket with an upgrade done by hand and frames read by hand."""

    def __init__(self, server: Server, path: str = "/api/echo") -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), RECEIVE_S)
        self.buffer = b""
        self.socket.sendall(request(line=f"GET {path} HTTP/1.1"))
        head = self.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def _more(self) -> bool:
        try:
            chunk = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.buffer += chunk
        return bool(chunk)

    def read_until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            assert self._more(), self.buffer
        head, _, self.buffer = self.buffer.partition(end)
        return head + end

    def _take(self, size: int) -> bytes | None:
        while len(self.buffer) < size:
            if not self._more():
                return None
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame (opcode, payload), or None at the end of the stream."""
        start = self._take(2)
        if start is None:
            return None
        assert start[0] & 0x70 == 0, "reserved bits"
        assert start[0] & 0x80, "the server does not fragment"
        assert not start[1] & 0x80, "the server does not mask"
        size = start[1]
        if size == 126:
            size = int.from_bytes(self._take(2) or b"", "big")
        elif size == 127:
            size = int.from_bytes(self._take(8) or b"", "big")
        payload = self._take(size)
        assert payload is not None, "a frame was cut"
        return start[0] & 15, payload

    def send(self, data: bytes) -> None:
        # The server may close while we are still sending.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()


def play(server: Server, attack: Attack) -> None:
    raw = Raw(server)
    try:
        raw.send(attack.data)
        for expected in attack.messages:
            assert raw.frame() == expected
        if not attack.code:
            raw.send(wire.frame(wire.TEXT, b"still here?"))
            assert raw.frame() == (wire.TEXT, b"still here?")
            return
        last = raw.frame()
        assert last is not None, "closed without a close frame"
        opcode, payload = last
        assert opcode == wire.CLOSE, last
        code = struct.unpack(">H", payload[:2])[0] if payload else 1005
        assert code == attack.code, (code, payload)
        raw.send(wire.close(code if code != 1005 else None))
        assert raw.frame() is None, "bytes after the close frame"
    finally:
        raw.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_attack_has_its_outcome(server: Server, attack: Attack) -> None:
    """The messages before it are answered, then the right close code, then the end."""
    play(server, attack)


@pytest.mark.parametrize("handshake", HANDSHAKES, ids=lambda h: h.name)
def test_handshake_has_its_outcome(server: Server, handshake: object) -> None:
    """The status is the specified one; a refusal never says 101."""
    with socket.create_connection(("127.0.0.1", server.port), RECEIVE_S) as connection:
        connection.sendall(handshake.data)  # type: ignore[attr-defined]
        data = b""
        while b"\r\n" not in data:
            chunk = connection.recv(65536)
            assert chunk, "closed without an answer"
            data += chunk
    assert data.startswith(f"HTTP/1.1 {handshake.status} ".encode()), data  # type: ignore[attr-defined]


def test_table_is_large_enough() -> None:
    """At least 150 attacks, each with its own name."""
    names = [a.name for a in ATTACKS] + [h.name for h in HANDSHAKES]
    assert len(names) >= 150
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("attack", [a for a in ATTACKS if len(a.data) < 200], ids=lambda a: a.name)
def test_attack_byte_by_byte(server: Server, attack: Attack) -> None:
    """One byte per segment changes nothing."""
    raw = Raw(server)
    try:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(attack.data)):
            raw.send(attack.data[index : index + 1])
        for expected in attack.messages:
            assert raw.frame() == expected
        if attack.code:
            last = raw.frame()
            assert last is not None
            assert last[0] == wire.CLOSE
            code = struct.unpack(">H", last[1][:2])[0] if last[1] else 1005
            assert code == attack.code
    finally:
        raw.close()


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_length_bombs_allocate_nothing(server: Server) -> None:
    """200 peers that announce a whole message and send one byte cost next to nothing."""
    raws = [Raw(server) for _ in range(200)]
    before = resident_bytes(server.pid)
    header = bytes([0x82, 0xFF]) + (64 << 10).to_bytes(8, "big") + wire.KEY
    for raw in raws:
        raw.send(header + b"x")
    echo = Raw(server)
    echo.send(wire.frame(wire.TEXT, b"x"))
    assert echo.frame() == (wire.TEXT, b"x")
    assert resident_bytes(server.pid) - before < 4 << 20
    for raw in (*raws, echo):
        raw.close()


def test_pings_of_a_peer_that_never_reads_stay_bounded(server: Server) -> None:
    """A peer that floods pings and never reads is stopped or closed; others are served."""
    before = resident_bytes(server.pid)
    raw = Raw(server)
    raw.socket.settimeout(2)
    flood = wire.frame(wire.PING, b"p" * 125) * 500
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(1000):
            raw.socket.sendall(flood)
    echo = Raw(server)
    echo.send(wire.frame(wire.TEXT, b"x"))
    assert echo.frame() == (wire.TEXT, b"x")
    assert resident_bytes(server.pid) - before < 8 << 20
    raw.close()
    echo.close()


def test_resets_give_descriptors_back(server: Server) -> None:
    """Connections that are reset at once, in every state, leave no descriptor behind."""
    before = descriptors(server.pid)
    for index in range(300):
        raw = Raw(server)
        if index % 3 == 1:
            raw.send(wire.frame(wire.TEXT, b"x" * 1000)[:500])
        elif index % 3 == 2:
            raw.send(wire.close(1000))
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    wait_until(lambda: descriptors(server.pid) <= before, what="descriptors are back")


def test_half_an_upgrade_is_given_up(make_server: MakeServer) -> None:
    """A peer that never finishes its request gets 408 or the end, not a place for ever."""
    one = make_server(files=FILES, environment={"FLIN_SERVER_HEAD_TIMEOUT": "1"})
    with socket.create_connection(("127.0.0.1", one.port), RECEIVE_S) as connection:
        connection.sendall(request()[:-2])
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    assert data == b"" or data.startswith(b"HTTP/1.1 408 ")


def test_peer_that_never_answers_our_close_is_aborted(make_server: MakeServer) -> None:
    """After our close frame a silent peer has `ws.close` seconds, then the connection ends."""
    one = make_server(files=FILES, environment={"FLIN_WS_CLOSE": "1"})
    raw = Raw(one)
    raw.send(wire.frame(3))
    last = raw.frame()
    assert last is not None
    assert last[0] == wire.CLOSE
    wait_until(lambda: descriptors(one.pid) < 100 and raw.frame() is None, what="the end")
    raw.close()


def test_shutdown_does_not_wait_for_a_peer_that_never_reads(make_server: MakeServer) -> None:
    """SIGTERM ends the process in time although a peer reads nothing and answers nothing."""
    one = make_server(files=FILES, environment={"FLIN_SERVER_DRAIN": "3", "FLIN_WS_CLOSE": "1"})
    raw = Raw(one)
    for _ in range(64):
        raw.send(wire.frame(wire.BINARY, b"x" * 60000))
        if len(raw.buffer):
            break
    assert one.stop() == 0
    raw.close()
