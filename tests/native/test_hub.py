"""The hub from Python: connections, handlers, effects, ends; on sockets and transports."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from flinfast.errors import LocalProtocolError, RuntimeFault
from flinfast.native.hub import CONNECTION_ID_PREFIX, Connection, Endpoint, Held, Hub, Message
from tests import wire
from tests.native.model_hub import RESPONSE, Peer, Rig, SocketPeer, TransportPeer

# --- handlers


def test_connect_runs_before_the_first_message_glued_to_the_handshake(rig: Rig) -> None:
    """Early bytes wait for `on connect`, whose sends come first."""
    endpoint = rig.endpoint(
        on_connect=lambda c: rig.hub.send_to(c, "welcome"),
        on_message=lambda c, m: rig.hub.send_to(c, m),
    )
    peer = rig.open(endpoint, early=wire.frame(wire.TEXT, b"early") + wire.frame(1, b"late")[:3])
    assert peer.texts() == ["welcome", "early"]
    peer.send(wire.frame(wire.TEXT, b"late")[3:])
    assert peer.texts() == ["welcome", "early", "late"]


def test_a_fault_in_connect_closes_1011_and_runs_close(rig: Rig) -> None:
    """The connection that could not be set up ends; `on close` still runs once."""
    closed: list[int] = []

    def on_connect(connection: Connection) -> None:
        rig.hub.join(connection, "room")
        raise ValueError("no")

    endpoint = rig.endpoint(
        on_connect=on_connect,
        on_message=lambda *_: pytest.fail("no message after a failed connect"),
        on_close=lambda c: closed.append(c.close_code),
    )
    peer = rig.open(endpoint, early=wire.frame(wire.TEXT, b"x"))
    assert [frame.payload[:2] for frame in peer.frames()] == [(1011).to_bytes(2, "big")]
    assert closed == [1011]
    assert rig.hub.room_count == 0
    assert [(event, type(error)) for event, _, error in rig.faults] == [("connect", ValueError)]
    rig.faults.clear()


def test_a_fault_in_a_message_leaves_nothing_and_the_connection_open(rig: Rig) -> None:
    """What a failing handler did is undone; the next message is handled."""

    def on_message(connection: Connection, message: Message) -> None:
        rig.hub.join(connection, "room")
        rig.hub.broadcast("room", message)
        if message.value == "bad":
            raise RuntimeFault("bad")

    peer = rig.open(rig.endpoint(on_message=on_message))
    peer.send_text("bad")
    assert peer.texts() == []
    assert peer.connection.rooms == []
    peer.send_text("good")
    assert peer.texts() == ["good"]
    assert len(rig.faults) == 1
    rig.faults.clear()


def test_a_fault_of_the_reporter_ends_nowhere(rig: Rig) -> None:
    """Even the reporter may fail: the process and the connection go on."""
    seen: list[object] = []

    def report(*_: object) -> None:
        raise OSError("log is full")

    def on_message(*_: object) -> None:
        raise KeyError("x")

    peer = rig.open(rig.endpoint(on_message=on_message, report=report))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", lambda args: seen.append(args.exc_value))
        peer.send_text("x")
    assert [type(error) for error in seen] == [OSError]
    assert peer.connection.is_open


def test_close_runs_once_after_leaving_every_room(rig: Rig) -> None:
    """`on close` sees the peer's code and reason, is in no room, and can tell the others."""
    seen: list[tuple[int, str, list[str], bool, int]] = []

    def on_close(c: Connection) -> None:
        left = rig.hub.broadcast("room", "bye")
        seen.append((c.close_code, c.close_reason, c.rooms, c.is_open, left))

    endpoint = rig.endpoint(on_connect=lambda c: rig.hub.join(c, "room"), on_close=on_close)
    peer, other = rig.open(endpoint), rig.open(endpoint)
    peer.send(wire.close(4002, "grund €".encode()) + wire.close(1000) + wire.frame(1, b"late"))
    assert seen == [(4002, "grund €", [], False, 1)]
    assert peer.frames() == [wire.Frame(wire.CLOSE, (4002).to_bytes(2, "big"))]
    assert peer.is_ended
    assert other.texts() == ["bye"]
    assert peer.connection.close_code == 4002
    assert peer.connection.close_reason == "grund €"
    assert rig.hub.connection_count == 1


def test_a_lost_peer_is_1006(rig: Rig) -> None:
    """An end without a close frame."""
    codes: list[int] = []
    peer = rig.open(rig.endpoint(on_close=lambda c: codes.append(c.close_code)))
    peer.end()
    assert codes == [1006]
    assert rig.hub.connection_count == 0


def test_swapped_handlers_serve_the_next_event(rig: Rig) -> None:
    """New handlers take over while connections stay open."""
    endpoint = rig.endpoint(on_message=lambda c, _: rig.hub.send_to(c, "old"))
    peer = rig.open(endpoint)
    peer.send_text("x")
    endpoint.swap(
        on_connect=None,
        on_message=lambda c, _: rig.hub.send_to(c, "new"),
        on_close=None,
        direct=("message",),
        implicit_room=False,
    )
    peer.send_text("x")
    assert peer.texts() == ["old", "new"]
    assert endpoint.connection_count == 1
    assert endpoint.path == "/test"


def test_an_unknown_event_name_is_refused(rig: Rig) -> None:
    """A typing mistake in `direct` must not go unnoticed."""
    with pytest.raises(ValueError, match="tuple"):
        rig.endpoint(direct=("massage",))


# --- runners that wait


class Runner:
    """A runner whose handlers wait until they are told to finish."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.calls: list[tuple[str, Any]] = []
        self.waits = True

    def __call__(self, event: str, closure: Any, args: tuple[Any, ...]) -> bool:
        self.calls.append((event, args[1].payload if len(args) > 1 else None))
        self.rig.hub.begin(args[0])
        closure(*args)
        self.rig.hub.commit()
        return not self.waits


def test_messages_queue_behind_a_waiting_handler(rig: Rig) -> None:
    """One handler of a connection at a time, in order; others are not held up."""
    runner = Runner(rig)
    endpoint = rig.endpoint(
        direct=("close",), runner=runner, on_message=lambda c, m: rig.hub.send_to(c, m)
    )
    peer, other = rig.open(endpoint), rig.open(endpoint)
    for i in range(40):
        peer.send(wire.frame(wire.TEXT, b"%d" % i))
    assert peer.texts() == ["0"]
    other.send_text("other")
    assert other.texts() == ["other"]
    for _ in range(3):
        rig.hub.handler_done(peer.connection)
    rig.settle()
    assert peer.texts() == ["0", "1", "2", "3"]
    runner.waits = False
    rig.hub.handler_done(peer.connection)
    rig.settle()
    assert peer.texts() == [str(i) for i in range(40)]
    rig.hub.handler_done(other.connection)


def test_reading_stops_at_the_limit_and_goes_on(rig: Rig) -> None:
    """Beyond 16 queued messages nothing more is read until the handler is done."""
    runner = Runner(rig)
    peer = rig.open(rig.endpoint(direct=(), runner=runner, on_message=lambda *_: None))
    peer.send(b"".join(wire.frame(wire.TEXT, b"%d" % i) for i in range(100)))
    if isinstance(peer, TransportPeer):
        assert peer.transport.is_reading_paused
    runner.waits = False
    rig.hub.handler_done(peer.connection)
    rig.settle()
    assert [payload for _, payload in runner.calls] == [b"%d" % i for i in range(100)]
    if isinstance(peer, TransportPeer):
        assert not peer.transport.is_reading_paused


def test_on_close_waits_for_the_handler_and_the_queued_messages(rig: Rig) -> None:
    """What arrived before the end is handled before `on close`."""
    runner = Runner(rig)
    events = ("message", "close")
    endpoint = rig.endpoint(
        direct=(), runner=runner, on_message=lambda *_: None, on_close=lambda *_: None
    )
    peer = rig.open(endpoint)
    peer.send(wire.frame(wire.TEXT, b"1") + wire.frame(wire.TEXT, b"2") + wire.close(1000))
    assert [event for event, _ in runner.calls] == ["message"]
    assert not peer.connection.is_open
    for expected in (["message", *events[:1]], ["message", "message", "close"]):
        rig.hub.handler_done(peer.connection)
        rig.settle()
        assert [event for event, _ in runner.calls] == expected
    assert rig.hub.connection_count == 1
    rig.hub.handler_done(peer.connection)
    rig.settle()
    assert rig.hub.connection_count == 0


def test_a_waiting_connect_holds_back_messages(rig: Rig) -> None:
    """Message handlers never run before connect has finished."""
    runner = Runner(rig)
    endpoint = rig.endpoint(
        direct=(), runner=runner, on_connect=lambda *_: None, on_message=lambda *_: None
    )
    peer = rig.open(endpoint, early=wire.frame(wire.TEXT, b"early"))
    peer.pull()
    assert peer.received == RESPONSE
    assert runner.calls == [("connect", None)]
    rig.hub.handler_done(peer.connection)
    assert runner.calls == [("connect", None), ("message", b"early")]
    rig.hub.handler_done(peer.connection)


def test_a_runner_that_raises_is_reported_and_over(rig: Rig) -> None:
    """A runner should not raise; when it does, its log is undone and the connection goes on."""

    def runner(*_: object) -> bool:
        rig.hub.begin(None)
        raise RuntimeError("runner")

    peer = rig.open(rig.endpoint(direct=(), runner=runner, on_message=lambda *_: None))
    peer.send_text("x")
    assert not rig.hub.in_handler
    assert len(rig.faults) == 1
    rig.faults.clear()


# --- effects


def test_effects_need_a_handler(rig: Rig) -> None:
    """Nothing can be sent that could not be taken back."""
    peer = rig.open(rig.endpoint())
    hub, connection = rig.hub, peer.connection
    for effect in (
        lambda: hub.send_to(connection, "x"),
        lambda: hub.send("room", "x"),
        lambda: hub.broadcast("room", "x"),
        lambda: hub.broadcast_others("room", "x"),
        lambda: hub.broadcast_all("x"),
        lambda: hub.join(connection, "room"),
        lambda: hub.leave(connection, "room"),
        lambda: hub.close(connection, 1000, ""),
        hub.commit,
        hub.rollback,
        hub.hold,
    ):
        with pytest.raises(RuntimeError, match="no handler is running"):
            effect()


def test_handlers_never_nest(rig: Rig) -> None:
    """A second begin() is a bug of the caller."""
    with rig.handler() as hub, pytest.raises(RuntimeError, match="running already"):
        hub.begin()
    assert not rig.hub.in_handler


def test_a_handler_can_neither_open_nor_feed(rig: Rig) -> None:
    """Both would run handlers inside a handler."""
    peer = rig.open(rig.endpoint())
    with rig.handler() as hub:
        with pytest.raises(RuntimeError, match="neither open nor feed"):
            rig.open(rig.endpoint())
        with pytest.raises(RuntimeError, match="neither open nor feed"):
            hub.feed(peer.connection, b"")


def test_counts_say_how_many_will_receive(rig: Rig) -> None:
    """Every sending function returns its recipients; pending joins of one's own count."""
    peers = [rig.open(rig.endpoint()) for _ in range(4)]
    a = peers[0].connection
    for peer in peers[:3]:
        with rig.handler(peer.connection) as hub:
            hub.join(peer.connection, "room")
    with rig.handler(a) as hub:
        assert hub.broadcast("room", "1") == 3
        assert hub.broadcast_others("room", "2") == 2
        assert hub.broadcast_all("3") == 4
        assert hub.broadcast("nobody", "4") == 0
        assert hub.send("room", "5") == 3
        assert hub.send("nobody", "6") == 0
        assert hub.send(a.connection_id, "7") == 1
        assert hub.send_to(a, "8") == 1
        assert hub.join(a, "new")
        assert a.rooms == ["room", "new"]
        assert hub.broadcast("new", "9") == 1
        assert hub.room_size("new") == 1
        assert hub.room_connection_ids("new") == [a.connection_id]
        assert hub.broadcast_others("new", "10") == 0
        assert hub.leave(a, "room")
        assert not hub.leave(a, "room")
        assert not hub.leave(a, "unknown")
        assert hub.broadcast("room", "11") == 2
        assert hub.room_size("room") == 2
        assert a.connection_id not in hub.room_connection_ids("room")
        assert hub.broadcast_others("room", "12") == 2
    assert peers[0].texts() == ["1", "3", "5", "7", "8", "9"]
    assert peers[1].texts() == ["1", "2", "3", "5", "11", "12"]
    assert peers[3].texts() == ["3"]
    assert a.rooms == ["new"]
    assert rig.hub.room_size("room") == 2
    assert rig.hub.room_size("nobody") == 0
    assert rig.hub.room_connection_ids("new") == [a.connection_id]
    assert rig.hub.room_connection_ids("nobody") == []


def test_rooms_are_listed_in_the_order_of_joining(rig: Rig) -> None:
    """Also after some were left, and with what the running handler has just done."""
    c = rig.open(rig.endpoint()).connection
    with rig.handler(c) as hub:
        for name in "abcdef":
            hub.join(c, name)
        hub.join(c, "b")
    with rig.handler(c) as hub:
        hub.leave(c, "a")
        hub.leave(c, "d")
        hub.join(c, "a")
        hub.join(c, "g")
        hub.leave(c, "g")
        assert c.rooms == ["b", "c", "e", "f", "a"]
    assert c.rooms == ["b", "c", "e", "f", "a"]
    assert rig.hub.room_count == 5


def test_names_of_rooms_are_limited() -> None:
    """Peers often choose them, so a thousand of them must not hold a thousand messages."""
    rig = Rig("transport")
    c = rig.open(rig.endpoint()).connection
    with rig.handler(c) as hub:
        for name in ("x" * 1023, "x" * 1024, "\u00e9" * 512):
            assert hub.join(c, name)
        for name in ("x" * 1025, "\u00e9" * 512 + "x", "x" * 1_000_000):
            with pytest.raises(RuntimeFault) as fault:
                hub.join(c, name)
            assert fault.value.code == "FL520"
            assert hub.broadcast(name, "nobody is there") == 0
            assert not hub.leave(c, name)
    assert rig.hub.room_count == 3
    rig.close()


def test_rooms_of_a_connection_are_limited() -> None:
    """At the limit one more join is a run-time error; a room already joined is none."""
    rig = Rig("transport", rooms_per_connection_max=3)
    c = rig.open(rig.endpoint()).connection
    with rig.handler(c) as hub:
        for name in "abc":
            hub.join(c, name)
        assert hub.join(c, "a")
        with pytest.raises(RuntimeFault) as fault:
            hub.join(c, "d")
        assert fault.value.code == "FL520"
        hub.leave(c, "b")
        assert hub.join(c, "d")
    assert c.rooms == ["a", "c", "d"]
    assert rig.hub.room_count == 3
    rig.close()


def test_an_implicit_room_reaches_the_endpoint_and_the_room_once(rig: Rig) -> None:
    """`broadcast` of an endpoint that never joins reaches all of its connections."""
    chat = rig.endpoint(implicit_room=True, on_message=lambda c, m: rig.hub.broadcast("general", m))
    strict = rig.endpoint(on_connect=lambda c: rig.hub.join(c, "general"))
    members = [rig.open(chat) for _ in range(3)]
    guest, stranger = rig.open(strict), rig.open(rig.endpoint())
    with rig.handler(members[0].connection) as hub:
        hub.join(members[0].connection, "general")
        assert hub.broadcast("general", "all") == 4
        assert hub.broadcast_others("general", "others") == 3
        assert hub.broadcast("empty", "implicit") == 3
        assert hub.send("empty", "no union") == 0
    members[1].send_text("hello")
    assert members[0].texts() == ["all", "implicit", "hello"]
    assert members[1].texts() == ["all", "others", "implicit", "hello"]
    assert guest.texts() == ["all", "others", "hello"]
    assert stranger.texts() == []
    with rig.handler() as hub:
        assert hub.broadcast("general", "from outside: strict") == 2


def test_close_is_an_effect_in_its_place(rig: Rig) -> None:
    """What was sent before a close arrives, what comes later is not handled."""
    seen: list[str] = []

    def on_message(connection: Connection, message: Message) -> None:
        seen.append(message.value)
        rig.hub.send_to(connection, "last words")
        rig.hub.close(connection, 4000, "enough")
        rig.hub.send_to(connection, "unheard")

    codes: list[tuple[int, str]] = []
    peer = rig.open(
        rig.endpoint(
            on_message=on_message, on_close=lambda c: codes.append((c.close_code, c.close_reason))
        )
    )
    peer.send(wire.frame(wire.TEXT, b"one") + wire.frame(wire.TEXT, b"two"))
    assert seen == ["one"]
    assert peer.frames() == [
        wire.Frame(wire.TEXT, b"last words"),
        wire.Frame(wire.CLOSE, (4000).to_bytes(2, "big") + b"enough"),
    ]
    assert codes == [(4000, "enough")]
    assert not peer.is_ended
    peer.send(wire.close(4000))
    peer.pull()
    assert peer.is_ended
    assert rig.hub.connection_count == 0


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 70000])
def test_close_codes_that_may_not_be_sent_are_refused(rig: Rig, code: int) -> None:
    """RFC 6455 section 7.4: such a frame would be our fault."""
    peer = rig.open(rig.endpoint())
    with rig.handler() as hub, pytest.raises(LocalProtocolError):
        hub.close(peer.connection, code, "")
    with pytest.raises(LocalProtocolError):
        rig.hub.drop(peer.connection, code, "")
    with pytest.raises(LocalProtocolError):
        rig.hub.drain(code)
    assert peer.connection.is_open


def test_a_long_close_reason_is_cut_at_a_character(rig: Rig) -> None:
    """123 bytes fit into a close frame."""
    peer = rig.open(rig.endpoint())
    rig.hub.drop(peer.connection, 1000, "€" * 100)
    rig.settle()
    (frame,) = peer.frames()
    assert frame.payload[2:].decode() == "€" * 41


def test_held_effects_leave_when_released_and_in_order(rig: Rig) -> None:
    """Effects wait for durability; later ones of the connection stand in line."""
    peer = rig.open(rig.endpoint())
    c, hub = peer.connection, rig.hub
    hub.begin(c)
    hub.join(c, "room")
    hub.broadcast("room", "held")
    held = hub.hold()
    assert not hub.in_handler
    assert c.rooms == ["room"]
    assert hub.room_count == 0
    with rig.handler(c):
        assert hub.broadcast("room", "behind") == 1
    with rig.handler():
        hub.send_to(c, "from elsewhere")
    assert peer.texts() == ["from elsewhere"]
    hub.release(held)
    rig.settle()
    assert peer.texts() == ["from elsewhere", "held", "behind"]
    assert hub.room_count == 1
    with pytest.raises(RuntimeError, match="not held"):
        hub.release(held)


@pytest.mark.parametrize("way", ["broadcast", "send", "broadcast_others", "broadcast_all"])
def test_who_joins_with_held_effects_has_what_was_sent_behind_them(rig: Rig, way: str) -> None:
    """Nobody was in the room when the later handler ran; effects leave in the order of handlers."""
    endpoint = rig.endpoint()
    first, second, hub = rig.open(endpoint), rig.open(endpoint), rig.hub
    hub.begin(first.connection)
    hub.join(first.connection, "room")
    joins = hub.hold()
    hub.begin(second.connection)
    if way == "broadcast_all":
        assert hub.broadcast_all("said") == 2
    else:
        assert getattr(hub, way)("room", "said") == 0
    says = hub.hold()
    hub.begin(second.connection)
    assert hub.broadcast("nobody", "unheard") == 0
    unheard = hub.hold()
    hub.release(joins)
    hub.release(says)
    hub.release(unheard)
    rig.settle()
    assert first.texts() == ["said"]
    assert second.texts() == (["said"] if way == "broadcast_all" else [])
    assert hub.room_count == 1
    with rig.handler():
        assert hub.broadcast("nobody", "nothing is held any more") == 0


def test_discarded_and_dropped_effects_never_leave(rig: Rig) -> None:
    """A write that was lost takes its effects with it, and so does a forgotten handle."""
    peer = rig.open(rig.endpoint())
    hub = rig.hub

    def hold(text: str) -> Held:
        hub.begin(peer.connection)
        hub.send_to(peer.connection, text)
        return hub.hold()

    hub.discard(hold("discarded"))
    held = hold("forgotten")
    with rig.handler(peer.connection):
        hub.send_to(peer.connection, "kept")
    del held
    gc.collect()
    rig.settle()
    hub.flush()
    assert peer.texts() == ["kept"]


# --- connections


def test_connection_ids_are_unguessable_and_found(rig: Rig) -> None:
    """`ws_` and 40 hex digits, of which 24 prove that the hub made them."""
    endpoint = rig.endpoint()
    peers = [rig.open(endpoint) for _ in range(50)]
    ids = [peer.connection.connection_id for peer in peers]
    assert len(set(ids)) == 50
    for text in ids:
        assert text.startswith(CONNECTION_ID_PREFIX)
        assert len(text) == 43
        assert set(text[3:]) <= set("0123456789abcdef")
    forged = ids[0][:-1] + ("0" if ids[0][-1] != "0" else "1")
    mixed = ids[0][:19] + ids[1][19:]
    with rig.handler() as hub:
        assert hub.send(ids[0], "x") == 1
        for wrong in (forged, mixed, ids[0].upper(), ids[0][:-1], "ws_" + " " * 40):
            assert hub.send(wrong, "x") == 0
    peers[0].send(wire.close())
    with rig.handler() as hub:
        assert hub.send(ids[0], "too late") == 0
    assert peers[0].connection.connection_id == ids[0]


def test_a_connection_knows_itself(rig: Rig) -> None:
    """Attributes before, during and after its life."""
    connection = Connection()
    assert (connection.connection_id, connection.is_open, connection.rooms) == ("", False, [])
    assert (connection.close_code, connection.close_reason, connection.protocol) == (0, "", "")
    peer = rig.open(rig.endpoint(), connection=connection)
    assert connection.is_open
    assert connection.opened_ms > 1_700_000_000_000
    assert connection.buffered_bytes == 0
    with pytest.raises(RuntimeError, match="opened already"):
        rig.open(rig.endpoint(), connection=connection)
    peer.send(wire.close(1001))
    assert not connection.is_open
    with rig.handler() as hub:
        assert hub.send_to(connection, "x") == 0
        assert not hub.join(connection, "room")
        assert not hub.leave(connection, "room")
        hub.close(connection, 1000, "")
    for call in (rig.hub.eof, rig.hub.lost, rig.hub.writable, rig.hub.handler_done):
        call(connection)
    rig.hub.feed(connection, b"x")
    assert connection.buffered_bytes == 0


def test_an_endpoint_belongs_to_one_hub(rig: Rig) -> None:
    """Its room lives in the hub."""
    endpoint = rig.endpoint()
    rig.open(endpoint)
    other = Rig(rig.kind)
    with pytest.raises(RuntimeError, match="another hub"):
        other.open(endpoint)
    other.close()


def test_connections_are_freed_after_their_end(rig: Rig) -> None:
    """The hub keeps a connection no longer than it lives."""

    class Watched(Connection):
        freed = 0

        def __del__(self) -> None:
            Watched.freed += 1

    endpoint = rig.endpoint()
    for _ in range(10):
        rig.open(endpoint, connection=Watched()).send(wire.close())
        rig.peers.clear() if rig.kind == "transport" else _forget(rig)
    gc.collect()
    assert Watched.freed == 10


def _forget(rig: Rig) -> None:
    for peer in rig.peers:
        assert isinstance(peer, SocketPeer)
        peer.far.close()
    rig.peers.clear()


def test_abort_all_resets_everybody(rig: Rig) -> None:
    """`on close` runs with 1006."""
    codes: list[int] = []
    endpoint = rig.endpoint(on_close=lambda c: codes.append(c.close_code))
    for _ in range(5):
        rig.open(endpoint)
    rig.hub.abort_all()
    rig.settle()
    assert codes == [1006] * 5
    assert rig.hub.connection_count == 0


def test_stats_count(rig: Rig) -> None:
    """Counters of the contract, all of them."""
    peer = rig.open(
        rig.endpoint(
            on_connect=lambda c: rig.hub.join(c, "r"),
            on_message=lambda c, m: rig.hub.broadcast("r", m),
        )
    )
    rig.open(rig.endpoint(on_connect=lambda c: rig.hub.join(c, "r")))
    peer.send_text("12345")
    stats = rig.hub.stats()
    names = (
        "opened closed messages_in messages_out bytes_in bytes_out deliveries dropped slow_closed "
        "pings timeouts protocol_errors queued_bytes retained_bytes"
    )
    assert " ".join(stats) == names
    assert stats["opened"] == 2
    assert stats["messages_in"] == stats["messages_out"] == 1
    assert stats["deliveries"] == 2
    assert stats["bytes_in"] == 11
    assert stats["bytes_out"] == 2 * (len(RESPONSE) + 7)


def test_the_hub_works_without_a_loop() -> None:
    """flush() does what a turn of the loop would."""
    hub = Hub(lambda value: json.dumps(value).encode())
    rig = Rig("transport")
    rig.hub.detach_loop()
    rig.hub = hub
    peer: Peer = rig.open(rig.endpoint())
    hub.begin()
    hub.send_to(peer.connection, [1])
    hub.commit()
    hub.flush()
    assert peer.texts() == ["[1]"]
    hub.drain(1001)
    hub.flush()
    hub.abort_all()
    hub.flush()
    assert hub.connection_count == 0
    assert isinstance(rig.endpoint(), Endpoint)
