"""Peers that break rules, fall silent or read slowly, and the end of a whole hub."""

from __future__ import annotations

from typing import Literal

import pytest

from flinfast.native.hub import Connection
from tests import wire
from tests.native.model_hub import Peer, Rig, SocketPeer, TransportPeer


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (wire.frame(wire.TEXT, b"x", key=None), 1002),
        (wire.frame(wire.TEXT, b"x", rsv=4), 1002),
        (wire.frame(3, b"x"), 1002),
        (wire.frame(wire.TEXT, b"\xff"), 1007),
        (wire.frame(wire.TEXT, b"x" * 2001), 1009),
        (wire.close(1005), 1002),
    ],
)
def test_a_peer_that_breaks_the_protocol_gets_its_code(rig: Rig, bad: bytes, code: int) -> None:
    """Replies to what came before leave first, then the close frame, then the end."""
    seen: list[int] = []
    endpoint = rig.endpoint(
        on_message=lambda c, m: rig.hub.send_to(c, m),
        on_close=lambda c: seen.append(c.close_code),
        message_bytes_max=2000,
    )
    peer = rig.open(endpoint)
    peer.send(wire.frame(wire.TEXT, b"good") + bad + wire.frame(wire.TEXT, b"unseen"))
    first, last = peer.frames()
    assert first.payload == b"good"
    assert (last.opcode, last.payload[:2]) == (wire.CLOSE, code.to_bytes(2, "big"))
    assert peer.is_ended
    assert seen == [code]
    assert rig.hub.stats()["protocol_errors"] == 1


def test_silence_is_pinged_and_ends(rig: Rig) -> None:
    """15 s until the ping, 30 s until the end; any byte counts as life."""
    quiet, alive = rig.open(rig.endpoint()), rig.open(rig.endpoint())
    for second in range(40):
        rig.loop.advance(1.0)
        rig.settle()
        if second % 5 == 0:
            alive.send(wire.frame(wire.PONG))
    assert [frame.opcode for frame in quiet.frames()] == [wire.PING]
    assert quiet.connection.close_code == 1006
    assert alive.frames() == []
    assert alive.connection.is_open
    assert rig.hub.stats()["timeouts"] == 1


def test_drain_closes_everybody_in_batches(rig: Rig) -> None:
    """No more than so many a second, spread out; the count falls to zero."""
    peers = [rig.open(rig.endpoint()) for _ in range(40)]
    rig.hub.drain(1012, "restart", per_second=100)
    rig.settle()
    open_at_first = sum(peer.connection.is_open for peer in peers)
    assert 30 <= open_at_first < 40
    rig.loop.advance(0.2)
    assert 0 < sum(peer.connection.is_open for peer in peers) < open_at_first
    rig.loop.advance(2.0)
    for peer in peers:
        (frame,) = peer.frames()
        assert frame.payload == (1012).to_bytes(2, "big") + b"restart"
        peer.send(wire.close(1012))
    assert rig.hub.connection_count == 0


# --- slow consumers


class Slow:
    """A peer that takes nothing."""

    def __init__(self, rig: Rig, **options: int) -> None:
        self.rig = rig
        self.codes: list[int] = []
        self.seen: list[str] = []
        endpoint = rig.endpoint(
            on_message=lambda c, m: self.seen.append(m.value),
            on_close=lambda c: self.codes.append(c.close_code),
            **options,
        )
        self.peer: Peer = rig.open(endpoint, send_buffer=4096)
        self.peer.pull()
        if isinstance(self.peer, TransportPeer):
            self.peer.transport.is_stuck = True

    def send(self, size: int) -> None:
        with self.rig.handler() as hub:
            hub.send_to(self.peer.connection, "x" * size)

    def read_on(self) -> None:
        """Take everything, as often as it takes."""
        for _ in range(2000):
            self.peer.pull()
            if isinstance(self.peer, TransportPeer):
                self.peer.transport.is_stuck = False
                self.peer.transport.buffered = 0
                self.rig.hub.writable(self.peer.connection)
            if not self.rig.loop.turn():
                break


def test_a_slow_reader_gets_everything_when_it_reads_again(rig: Rig) -> None:
    """Output waits, counted, and nothing is lost or doubled."""
    slow = Slow(rig)
    for size in (300_000, 5, 200_000, 7):
        slow.send(size)
    assert slow.peer.connection.buffered_bytes > 400_000
    assert rig.hub.stats()["queued_bytes"] > 100_000
    slow.read_on()
    assert [len(text) for text in slow.peer.texts()] == [300_000, 5, 200_000, 7]
    assert slow.peer.connection.buffered_bytes == 0
    assert rig.hub.stats()["queued_bytes"] == 0


def test_a_slow_reader_is_not_read_meanwhile(rig: Rig) -> None:
    """Above the soft mark its messages wait: replies cannot grow without bound."""
    slow = Slow(rig, queue_bytes_soft=50_000)
    slow.send(300_000)
    slow.send(300_000)
    if isinstance(slow.peer, TransportPeer):
        assert slow.peer.transport.is_reading_paused
        slow.read_on()
        assert not slow.peer.transport.is_reading_paused
        return
    slow.peer.send_text("unread")
    assert slow.seen == []
    slow.read_on()
    assert slow.seen == ["unread"]


def test_volatile_messages_pass_a_slow_reader_by(rig: Rig) -> None:
    """Above the soft mark it misses them, whatever sent them; everybody else gets them."""
    slow, quick = Slow(rig, queue_bytes_soft=50_000), rig.open(rig.endpoint())
    with rig.handler() as hub:
        hub.join(slow.peer.connection, "room")
        hub.join(quick.connection, "room")
    slow.send(300_000)
    slow.send(300_000)
    with rig.handler() as hub:
        assert hub.broadcast("room", "a", volatile=True) == 2
        hub.broadcast("room", "b")
        hub.broadcast_all("c", volatile=True)
        hub.send(slow.peer.connection.connection_id, "d", volatile=True)
        hub.send("room", "e", volatile=True)
    slow.read_on()
    assert [text for text in slow.peer.texts() if len(text) < 10] == ["b"]
    assert quick.texts() == ["a", "b", "c", "e"]
    assert rig.hub.stats()["dropped"] == 4
    assert (slow.peer.connection.messages_out, quick.connection.messages_out) == (3, 4)


@pytest.mark.parametrize("kind", ["socket", "transport"])
def test_the_cap_on_all_output_closes_who_is_furthest_behind(
    kind: Literal["socket", "transport"],
) -> None:
    """So many bytes for everybody: of three slow readers those with most go first."""
    rig = Rig(kind, queue_bytes_total=600_000)
    readers = [Slow(rig) for _ in range(3)]
    for reader, size in zip(readers, (100_000, 300_000, 1_200_000), strict=True):
        for _ in range(2):  # the kernel takes some of the first
            reader.send(size // 2)
    assert [reader.codes for reader in readers] == [[], [], [1013]]
    assert rig.hub.stats()["retained_bytes"] <= 600_000
    readers[0].read_on()
    assert [len(text) for text in readers[0].peer.texts()] == [50_000, 50_000]
    rig.close()
    assert rig.faults == []


def test_beyond_the_hard_limit_it_is_closed_1013(rig: Rig) -> None:
    """What has begun is completed, whole frames are dropped, then the close frame."""
    slow = Slow(rig)
    slow.send(1_500_000)
    slow.send(300_000)
    slow.send(300_000)
    slow.send(10)
    assert slow.codes == [1013]
    assert rig.hub.stats()["slow_closed"] == 1
    assert rig.hub.stats()["dropped"] > 0
    slow.read_on()
    frames = slow.peer.frames()
    assert frames[-1].opcode == wire.CLOSE
    assert frames[-1].payload[:2] == (1013).to_bytes(2, "big")
    assert {len(frame.payload) for frame in frames[:-1]} <= {1_500_000, 300_000}


def test_without_progress_it_is_closed_1013_and_then_reset(rig: Rig) -> None:
    """`stall_s` until the close, `close_s` until the end."""
    slow = Slow(rig, stall_s=4)
    slow.send(300_000)
    slow.send(300_000)
    rig.loop.advance(3.0)
    assert slow.codes == []
    rig.loop.advance(2.1)
    assert slow.codes == [1013]
    assert rig.hub.connection_count == 1
    rig.loop.advance(6.1)
    assert rig.hub.connection_count == 0


def test_one_message_of_any_size_may_wait(rig: Rig) -> None:
    """The hard limit judges what is added to a full queue, not one large reply."""
    slow = Slow(rig)
    slow.send(5_000_000)
    assert slow.codes == []
    slow.read_on()
    assert [len(text) for text in slow.peer.texts()] == [5_000_000]


def test_pings_of_a_peer_that_does_not_read_cost_one_pong(rig: Rig) -> None:
    """Pongs are coalesced while output is stalled."""
    slow = Slow(rig, queue_bytes_soft=1 << 29)
    slow.send(400_000)
    slow.send(10)
    before = slow.peer.connection.buffered_bytes
    for i in range(100):
        slow.peer.send(wire.frame(wire.PING, b"%d" % i))
    assert slow.peer.connection.buffered_bytes == before
    slow.read_on()
    pongs = [frame.payload for frame in slow.peer.frames() if frame.opcode == wire.PONG]
    assert pongs == [b"99"]


def test_a_transport_that_fails_ends_its_connection_alone() -> None:
    """Exceptions of a transport are reported and end there."""
    rig = Rig("transport")
    codes: list[int] = []
    endpoint = rig.endpoint(on_close=lambda c: codes.append(c.close_code))
    bad, good = rig.open(endpoint), rig.open(endpoint)
    assert isinstance(bad, TransportPeer)
    bad.transport.is_closed = True  # write() raises from now on
    with rig.handler() as hub:
        hub.broadcast_all("x")
    assert codes == [1006]
    assert good.texts() == ["x"]
    assert [event for event, _, _ in rig.faults] == ["transport"]
    rig.close()


def test_faults_by_the_thousand_leave_nothing_behind(rig: Rig) -> None:
    """A handler that always fails costs nothing that stays."""

    def on_message(connection: Connection, _: object) -> None:
        rig.hub.send_to(connection, "x" * 1000)
        raise ValueError("always")

    peer = rig.open(rig.endpoint(on_message=on_message, report=lambda *_: None))
    burst = wire.frame(wire.TEXT, b"x") * 1000
    for _ in range(20):
        peer.send(burst)
    assert rig.hub.stats()["messages_in"] == 20_000
    assert peer.texts() == []
    assert peer.connection.is_open
    assert isinstance(peer, SocketPeer | TransportPeer)
