"""Random lives of a hub against the plainest model: per connection, the texts it must receive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from flinfast.native.hub import Connection, Endpoint, Held
from tests import wire
from tests.native.model_hub import Kind, Peer, Rig, SocketPeer, TransportPeer

ROOMS = ("a", "b", "ticket:1")
PEERS_MAX = 8

rooms = st.sampled_from(ROOMS)
whom = st.integers(0, PEERS_MAX - 1)
sizes = st.sampled_from([0, 1, 10, 200, 5000, 20_000])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("join"), whom, rooms),
        st.tuples(st.just("leave"), whom, rooms),
        st.tuples(st.just("send_to"), whom, sizes),
        st.tuples(st.just("send_id"), whom, sizes),
        st.tuples(st.just("send_room"), rooms, sizes),
        st.tuples(st.just("broadcast"), rooms, sizes),
        st.tuples(st.just("others"), rooms, sizes),
        st.tuples(st.just("all"), st.none(), sizes),
        st.tuples(st.just("close"), whom, st.none()),
    ),
    min_size=1,
    max_size=6,
)


@dataclass
class Twin:
    """What the model knows of one connection."""

    peer: Peer
    endpoint: int
    is_open: bool = True
    is_stuck: bool = False
    rooms: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    closed_count: int = 0

    @property
    def connection(self) -> Connection:
        return self.peer.connection


@dataclass
class Log:
    """Effects of one handler, as (operation, whom it concerns, what)."""

    current: Twin | None
    effects: list[tuple[str, Any, Any]] = field(default_factory=list)
    held: Held | None = None
    is_settled: bool = False
    is_discarded: bool = False


class HubMachine(RuleBasedStateMachine):
    """Opens, handlers, held effects, stalls and ends in any order."""

    kind: ClassVar[Kind]

    @initialize()
    def start(self) -> None:
        self.rig = Rig(self.kind)
        self.twins: list[Twin] = []
        self.logs: list[Log] = []  # not all gone yet, in the order of their handlers
        self.count = 0
        options: dict[str, Any] = {"queue_bytes_hard": 1 << 29, "on_close": self.on_close}
        self.endpoints: list[Endpoint] = [
            self.rig.endpoint(**options),
            self.rig.endpoint(**options, implicit_room=True),
        ]

    def on_close(self, connection: Connection) -> None:
        assert connection.rooms == []
        assert not connection.is_open
        (twin,) = (twin for twin in self.twins if twin.connection is connection)
        twin.closed_count += 1

    def text(self, size: int) -> str:
        self.count += 1
        return f"{self.count}:" + "x" * size

    def living(self) -> list[Twin]:
        return [twin for twin in self.twins if twin.is_open]

    def pick(self, index: int) -> Twin | None:
        living = self.living()
        return living[index % len(living)] if living else None

    # --- the model's effects ------------------------------------------------------------------

    def members(self, room: str) -> list[Twin]:
        return [twin for twin in self.living() if room in twin.rooms]

    def apply(self, log: Log) -> None:
        for operation, target, what in log.effects:
            if operation == "join":
                if target.is_open and what not in target.rooms:
                    target.rooms.append(what)
            elif operation == "leave":
                if what in target.rooms:
                    target.rooms.remove(what)
            elif operation == "close":
                self.ended(target)
            else:
                for twin in target() if callable(target) else [target]:
                    if twin.is_open:
                        twin.expected.append(what)

    def drain(self) -> None:
        """Let every log leave that no earlier one of its connection is in front of."""
        waiting: list[Log] = []
        for log in self.logs:
            is_blocked = log.current is not None and any(
                other.current is log.current for other in waiting
            )
            if is_blocked or not log.is_settled:
                waiting.append(log)
            elif not log.is_discarded:
                self.apply(log)
        self.logs = waiting

    def ended(self, twin: Twin) -> None:
        twin.is_open = False
        twin.rooms = []

    def pending_rooms(self, twin: Twin, log: Log) -> list[str]:
        """Rooms as the running handler sees them."""
        seen = list(twin.rooms)
        for earlier in [other for other in self.logs if other.current is twin] + [log]:
            if earlier.is_discarded:
                continue
            for operation, target, what in earlier.effects:
                if target is not twin:
                    continue
                if operation == "join" and what not in seen:
                    seen.append(what)
                elif operation == "leave" and what in seen:
                    seen.remove(what)
        return seen

    # --- rules -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.living()) < PEERS_MAX)
    @rule(endpoint=st.integers(0, 1))
    def open(self, endpoint: int) -> None:
        peer = self.rig.open(self.endpoints[endpoint], send_buffer=2048)
        peer.pull()
        self.twins.append(Twin(peer, endpoint))

    @rule(
        current=st.one_of(st.none(), whom),
        operations=operations,
        end=st.sampled_from(["commit", "commit", "commit", "rollback", "hold"]),
    )
    def handler(self, current: int | None, operations: list[Any], end: str) -> None:
        log = Log(None if current is None else self.pick(current))
        self.rig.hub.begin(None if log.current is None else log.current.connection)
        for operation, target, what in operations:
            self.perform(log, operation, target, what)
        if log.current is not None and log.current.is_open:
            assert log.current.connection.rooms == self.pending_rooms(log.current, log)
        if end == "rollback":
            self.rig.hub.rollback()
        else:
            self.logs.append(log)
            if end == "hold":
                log.held = self.rig.hub.hold()
            else:
                self.rig.hub.commit()
                log.is_settled = True
        self.drain()

    def perform(self, log: Log, operation: str, target: Any, what: Any) -> None:
        hub = self.rig.hub
        twin = self.pick(target) if isinstance(target, int) else None
        if operation in ("join", "leave"):
            # As in the language: a handler joins and leaves for its own connection only.
            if log.current is None or not log.current.is_open:
                return
            c, is_member = log.current.connection, what in self.pending_rooms(log.current, log)
            if operation == "join":
                assert hub.join(c, what)
            else:
                assert hub.leave(c, what) == is_member
            if is_member == (operation == "leave"):
                log.effects.append((operation, log.current, what))
        elif operation == "close":
            if twin is not None and target % 4 == 0:
                hub.close(twin.connection, 4000, "model")
                log.effects.append(("close", twin, None))
        elif operation in ("send_to", "send_id"):
            text = self.text(what)
            if twin is not None:
                name = twin.connection.connection_id
                count = (
                    hub.send_to(twin.connection, text)
                    if operation == "send_to"
                    else hub.send(name, text)
                )
                assert count == 1
                log.effects.append(("send", twin, text))
        else:
            self.publish(log, operation, target, self.text(what))

    def publish(self, log: Log, operation: str, room: str | None, text: str) -> None:
        hub, current = self.rig.hub, log.current
        is_implicit = current is not None and current.endpoint == 1 and operation != "send_room"
        # While effects are held, somebody may join with them before this leaves.
        is_held = any(other.held is not None for other in self.logs)
        is_union = is_implicit and room is not None and (is_held or bool(self.members(room)))

        def receivers() -> list[Twin]:
            if room is None:
                return self.living()
            found = self.members(room) if is_union or not is_implicit else []
            if is_implicit:
                found = [twin for twin in self.living() if twin.endpoint == 1 or twin in found]
            return [twin for twin in found if operation != "others" or twin is not current]

        expected = receivers()
        if current is not None and room is not None and not is_implicit and current.is_open:
            # The handler's own joins and leaves count already.
            expected = [twin for twin in expected if twin is not current]
            if operation != "others" and room in self.pending_rooms(current, log):
                expected.append(current)
        if operation == "all":
            count = hub.broadcast_all(text)
        elif operation == "broadcast":
            count = hub.broadcast(str(room), text)
        elif operation == "others":
            count = hub.broadcast_others(str(room), text)
        else:
            count = hub.send(str(room), text)
        assert count == len(expected)
        if count > 0 or is_held:
            log.effects.append(("publish", receivers, text))

    @precondition(lambda self: any(log.held for log in self.logs))
    @rule(index=st.integers(0, 7), is_discarded=st.booleans())
    def settle_held(self, index: int, is_discarded: bool) -> None:
        held = [log for log in self.logs if log.held is not None]
        log = held[index % len(held)]
        handle, log.held = log.held, None
        assert handle is not None
        log.is_settled, log.is_discarded = True, is_discarded
        (self.rig.hub.discard if is_discarded else self.rig.hub.release)(handle)
        self.drain()

    @rule()
    def turn(self) -> None:
        for twin in self.twins:
            if not twin.is_stuck:
                twin.peer.pull()
        self.rig.loop.turn()

    @rule(index=whom, is_stuck=st.booleans())
    def stick(self, index: int, is_stuck: bool) -> None:
        """A peer stops reading, or goes on."""
        twin = self.pick(index)
        if twin is None:
            return
        twin.is_stuck = is_stuck
        if isinstance(twin.peer, TransportPeer):
            twin.peer.transport.is_stuck = is_stuck
            if not is_stuck:
                twin.peer.transport.buffered = 0
                self.rig.hub.writable(twin.connection)

    @rule(index=whom, how=st.sampled_from(["close", "lost", "drop"]))
    def end(self, index: int, how: str) -> None:
        twin = self.pick(index)
        if twin is None or len(self.living()) < 3:
            return
        if how == "drop":
            self.rig.hub.drop(twin.connection, 1001, "")
        elif how == "close" and not twin.is_stuck:
            twin.peer.push(wire.close(1000))
            self.rig.settle()
        else:
            twin.peer.pull()
            if isinstance(twin.peer, SocketPeer):
                twin.peer.far.close()
                self.rig.settle()
            else:
                self.rig.hub.lost(twin.connection)
        self.ended(twin)

    # --- what always holds

    @invariant()
    def rooms_agree(self) -> None:
        if not hasattr(self, "rig"):
            return
        hub = self.rig.hub
        for room in ROOMS:
            assert hub.room_size(room) == len(self.members(room))
            assert set(hub.room_connection_ids(room)) == {
                twin.connection.connection_id for twin in self.members(room)
            }
        assert hub.room_count == sum(bool(self.members(room)) for room in ROOMS)
        assert self.rig.faults == [], self.rig.faults

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        for log in list(self.logs):
            if log.held is not None:
                self.rig.hub.release(log.held)
                log.is_settled = True
                self.drain()
        assert self.logs == []
        for twin in self.twins:
            if isinstance(twin.peer, TransportPeer):
                twin.peer.transport.is_stuck = False
                twin.peer.transport.buffered = 0
                self.rig.hub.writable(twin.connection)
        for _ in range(1000):
            before = sum(len(twin.peer.received) for twin in self.twins)
            for twin in self.twins:
                twin.peer.pull()
            if not self.rig.loop.turn() and before == sum(
                len(twin.peer.received) for twin in self.twins
            ):
                break
        for twin in self.twins:
            self.check_received(twin)
        self.rig.close()
        assert [twin.closed_count for twin in self.twins] == [1] * len(self.twins)

    def check_received(self, twin: Twin) -> None:
        if twin.is_open:
            assert twin.peer.texts() == twin.expected
            return
        try:
            received = twin.peer.texts()
        except (ValueError, IndexError):
            return  # lost in the middle of a frame
        assert received == twin.expected[: len(received)]


class SocketMachine(HubMachine):
    kind = "socket"


class TransportMachine(HubMachine):
    kind = "transport"


TestSockets = SocketMachine.TestCase
TestTransports = TransportMachine.TestCase
TestSockets.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestTransports.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
