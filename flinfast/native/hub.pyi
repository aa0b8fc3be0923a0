"""Connections, rooms and effects of one process, over the C core (csrc/flin_hub.h).

A hub owns every open WebSocket of its loop. Handlers run one at a time; what they ask for
(sends, broadcasts, joins, closes) is written into the hub's *effect log* and leaves when the
handler has succeeded, or when its writes are durable, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, final, type_check_only

from typing_extensions import disjoint_base

@final
class Message:
    """One received message, decoded when it is looked at.

    Handed to `on message`; relaying it (`broadcast(room, message)`) decodes nothing.
    Truthiness, equality and so on are those of the object itself: lowered code reads `.value`.
    """

    @property
    def value(self) -> Any:
        """The FLIN value of `data`, decoded once and kept.

        Text that is JSON: that value (dict, list, str, int, float, bool, None). Text that is not
        JSON: the str. Binary: `{"type": "binary", "bytes": b"..."}`.
        """
    @property
    def payload(self) -> bytes:
        """The bytes of the message as received, unmasked, reassembled and inflated."""
    @property
    def is_text(self) -> bool:
        """Whether it came as text (RFC 6455 opcode 1)."""

@disjoint_base
class Connection:
    """One WebSocket connection as FLIN handlers see it; `runtime.context.WsContext` extends it.

    Instances are made by the runtime before the handshake, bound by `Hub.open_fd()` or
    `Hub.open_transport()`, and stay with the connection until `on close` has run.
    """

    def __init__(self) -> None: ...
    @property
    def connection_id(self) -> str:
        """Process-wide unique id: `ws_` + 40 lower-case hex digits, 96 bits of them unguessable.

        Made on first read and never kept in a table: 16 digits name slot and generation, 24 are
        a keyed hash of them under a per-process random key.
        """
    @property
    def is_open(self) -> bool:
        """True from the handshake until a close was sent, received or forced."""
    @property
    def close_code(self) -> int:
        """Close code as `on close` sees it: the peer's, ours, 1005 or 1006; 0 while open."""
    @property
    def close_reason(self) -> str: ...
    @property
    def messages_in(self) -> int:
        """Messages received so far, those that wait for a handler included; modulo 2**32."""
    @property
    def messages_out(self) -> int:
        """Messages queued so far, less those dropped because the peer was slow; modulo 2**32."""
    @property
    def opened_ms(self) -> int:
        """Unix time of the handshake, milliseconds."""
    @property
    def silent_ms(self) -> int:
        """Milliseconds since the last message, modulo 2**32; -1 when none has come."""
    @property
    def protocol(self) -> str:
        """Negotiated subprotocol, or ""."""
    @property
    def received(self) -> Message | None:
        """The message whose handler runs or waits, or None."""
    @property
    def rooms(self) -> list[str]:
        """Names of the rooms this connection is in, in join order, pending effects included."""
    @property
    def buffered_bytes(self) -> int:
        """Bytes queued for the peer and not yet accepted by the kernel."""

@type_check_only
class HandlerRunner(Protocol):
    """Runs a handler that may write or wait; implemented by runtime/handler.py."""

    def __call__(
        self, event: str, closure: Callable[..., object], args: tuple[object, ...]
    ) -> bool:
        """Run `closure(*args)` for `event` ("connect", "message" or "close").

        args is `(connection,)` or `(connection, message)`. The runner owns begin/commit/hold.

        Returns:
            True when the handler has finished; False when it waits: the hub then queues further
            messages of that connection (10.D10 limits) until `Hub.handler_done(connection)`.
        """

@type_check_only
class FaultReporter(Protocol):
    """Told about every exception that leaves a handler the hub called directly."""

    def __call__(self, event: str, connection: Connection, error: BaseException) -> None: ...

@disjoint_base
class Endpoint:
    """What the connections of one `ws` block share: handlers, limits, implicit membership.

    Handlers may be replaced while connections are open (`swap`); the next event uses the new ones.
    """

    def __init__(
        self,
        *,
        path: str,
        on_connect: Callable[..., object] | None = None,
        on_message: Callable[..., object] | None = None,
        on_close: Callable[..., object] | None = None,
        direct: Sequence[str] = (),
        runner: HandlerRunner | None = None,
        report: FaultReporter | None = None,
        implicit_room: bool = False,
        message_bytes_max: int = 1 << 20,
        queue_bytes_soft: int = 64 << 10,
        queue_bytes_hard: int = 1 << 20,
        stall_s: float = 10.0,
        deflate: bool = False,
        deflate_threshold: int = 1024,
        session_only: Sequence[str] = (),
    ) -> None:
        """Describe an endpoint.

        Args:
            path: Route path for logs, such as `/api/chat`.
            on_connect: Called with (connection).
            on_message: Called with (connection, message).
            on_close: Called with (connection) exactly once per opened connection, after it has
                left every room.
            direct: Events among "connect", "message", "close" whose handlers neither write nor
                wait: the hub calls them itself, between begin() and commit().
            runner: Runs every handler that is not direct.
            report: Told of exceptions that leave a direct handler; the hub has already discarded
                its effects. After "connect" the hub closes 1011; after the others it goes on.
            implicit_room: Connections are members of every room that this endpoint's own
                handlers broadcast to (FLIN reference 12.4): `broadcast(room, ...)` from one of
                its handlers reaches all connections of the endpoint and the members of `room`.
            message_bytes_max: Bytes of one message, after inflating; beyond: close 1009.
            queue_bytes_soft: Queued output above which a peer is not read any more and volatile
                messages pass it by.
            queue_bytes_hard: Queued output above which the connection is closed 1013.
            stall_s: Seconds without write progress after which it is closed 1013.
            deflate: Accept permessage-deflate (RFC 7692), no context takeover.
            deflate_threshold: Payload bytes from which a message is compressed.
            session_only: Events among "connect" and "close" whose handler does nothing for a
                connection without a session, as those of known upgrades are: it need not be called
                for one that nobody has looked at.
        """
    @property
    def path(self) -> str: ...
    def swap(
        self,
        *,
        on_connect: Callable[..., object] | None,
        on_message: Callable[..., object] | None,
        on_close: Callable[..., object] | None,
        direct: Sequence[str],
        implicit_room: bool,
        session_only: Sequence[str] = (),
    ) -> None: ...
    @property
    def connection_count(self) -> int: ...

@final
class Held:
    """Effects of one finished handler, detached from the log and waiting to leave. Opaque."""

@final
class Opening:
    """How an upgrade request was answered: what becomes of its socket.

    Attributes:
        connection: Made for it, not opened yet.
        endpoint: What it belongs to.
        response: The whole 101.
        early: What the peer sent after its request.
        protocol: Chosen subprotocol, or "".
        deflate: Whether permessage-deflate was agreed on.
        deflate_output: Whether its window lets us send compressed messages too.
    """

    def __init__(
        self,
        connection: Connection,
        endpoint: Endpoint,
        response: bytes,
        early: bytes = b"",
        protocol: str = "",
        deflate: bool = False,
        deflate_output: bool = True,
    ) -> None: ...
    @property
    def connection(self) -> Any: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def response(self) -> bytes: ...
    @property
    def early(self) -> bytes: ...
    @property
    def protocol(self) -> str: ...
    @property
    def deflate(self) -> bool: ...
    @property
    def deflate_output(self) -> bool: ...

class _Way(Protocol):
    """The way to a handler."""

    @property
    def handler(self) -> Callable[[Any], Any]: ...
    @property
    def make_context(self) -> Callable[[], Any]: ...

class _Program(Protocol):
    """What is asked of a program: an epoch that is another object when the program changes."""

    epoch: int

class _KnownProtocol(Protocol):
    """What is asked of a stream's protocol that expects known requests."""

    deadline: float

    def known_answered(self, known: Known, context: Any, size: int, started: float, /) -> None: ...
    def answer_known(
        self,
        known: Known,
        run: tuple[Any, Any, BaseException | None],
        body: bytes | None,
        started: float,
        /,
    ) -> None: ...

@final
class Answers:
    """What the answers to all known requests of a server share.

    Attributes:
        is_open: Whether they may be given; a server that drains gives them the ordinary way.
        deadline: Given to the protocol of a stream on which some were answered.
    """

    is_open: bool
    deadline: float

    def __init__(
        self, make_start: Callable[[int], bytes], *, unchanged_max: int, is_told: bool
    ) -> None:
        """None were given yet.

        Args:
            make_start: Gives the start of an answer, up to the value of its length, for a Unix time
                in whole seconds; asked again when the second has passed.
            unchanged_max: Bytes of the longest body that leaves as it is; longer ones are the
                protocol's.
            is_told: Whether protocols are told of each answer, not only of the slow ones (whose
                handler took more than 50 ms).
        """
    @property
    def count(self) -> int:
        """Answers given so far."""

@final
class Known:
    """A request whose every repetition leads to the same handler, which runs anew each time.

    A run is `context = way.make_context()` and `way.handler(context)`, with the hub's log open. If
    its value is of one of the `kinds` and neither the context's response nor its session was
    opened, then the log is committed and the JSON of the value is the body of the answer.
    Otherwise, and when anything raises, `answer_known()` of the protocol has to answer: it gets the
    context, the value and what was raised. The log is still open then, unless there is a `body`:
    that is too long to leave as it is.
    A context that nobody has looked into, or kept, serves the next run.
    """

    def __init__(
        self,
        answers: Answers,
        hub: Hub,
        program: _Program,
        raw: bytes,
        way: Any,
        *,
        kinds: frozenset[object],
        encode: Callable[[Any], bytes],
    ) -> None:
        """Known while the program's epoch stays what it is.

        Args:
            answers: What it shares with others.
            hub: Has the effect log.
            program: Its epoch is looked at each time.
            raw: The whole request.
            way: A `_Way`, and whatever else the protocol wants to find in it.
            kinds: Types of plain values.
            encode: A plain value as JSON.

        Raises:
            ValueError: The request is empty.
        """
    @property
    def raw(self) -> bytes:
        """The whole request."""
    @property
    def way(self) -> Any:
        """As given."""
    @property
    def is_current(self) -> bool:
        """Whether the program is still the one that it was made for."""
    def answer(self, protocol: _KnownProtocol) -> bytes | None:
        """Answer it for a protocol whose transport is no Stream.

        Returns:
            What to write; b"" when the protocol has been asked to answer; None when this has to be
            an ordinary request: the program has changed, answers are closed, or a handler runs.
        """

@final
class KnownUpgrades:
    """Upgrades that were decided before: heads to which every key gets the same answer.

    An accepted socket whose first bytes begin with such a head is a WebSocket at once. Its
    Connection is made (`renew`) when something asks for it: a message, a handler of "connect" or
    "close" that may not be spared (`Endpoint.session_only`), `on_opened`. Many never are.
    A program whose epoch is another object makes all of them void.

    Attributes:
        is_open: Whether they are answered; a server that drains refuses the ordinary way.
    """

    is_open: bool

    def __init__(
        self,
        program: _Program,
        *,
        heads_max: int,
        on_opened: Callable[[Any, str, float], object] | None = None,
    ) -> None:
        """None is known yet.

        Args:
            program: Its epoch is looked at each time.
            heads_max: Heads that are remembered; the oldest go first.
            on_opened: Called with each connection, its peer's address and the seconds that making
                it took, before `on connect` runs.
        """
    @property
    def count(self) -> int:
        """Connections opened so far."""
    def add(self, head: bytes, opening: Opening, renew: Callable[[str], Connection]) -> bool:
        """Remember how a head was answered.

        Args:
            head: A whole request head in which the field is spelled `Sec-WebSocket-Key: `.
            opening: The answer; its endpoint is that of every later connection.
            renew: Makes the connection for an equal request from an address, which is "" for the
                peer of a Unix socket.

        Returns:
            Whether it is known now: it holds a valid key, and the response its accept value.
        """
    def answers(self, data: bytes) -> bool:
        """Whether bytes begin with a head that is known."""

@final
class Stream:
    """An accepted socket that is no WebSocket (yet), as an asyncio transport.

    Reading and writing happen in the hub's reactor; the protocol's callbacks are those of
    `asyncio.Protocol`, with the same promises: `connection_lost()` comes last and in a turn of its
    own. Unlike a loop's transport, abort() resets the connection when the peer left output unread.
    """

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`: address and port, "" for a Unix socket; nothing else is known."""
    def fileno(self) -> int:
        """The descriptor, -1 when it is gone."""
    def is_closing(self) -> bool: ...
    def can_write_eof(self) -> bool: ...
    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write(self, data: bytes | bytearray | memoryview) -> None: ...
    def expect(self, known: Known | None) -> None:
        """Answer a known request by itself if it comes next, whole, perhaps several in a row.

        Up to 16 are answered with one write; what follows, and anything else, is the protocol's
        and ends this. Nothing is answered while output waits or after write_eof().
        """
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...

@final
class Hub:
    """Every WebSocket of one loop: connections, rooms, batches, effects.

    Not thread-safe: all calls come from the loop's thread.
    It keeps its open connections and streams alive, they keep it; a collector sees that, and a hub
    that nothing else refers to closes their sockets and goes with them, without `on close`.
    """

    def __init__(
        self,
        encode: Callable[[object], bytes],
        *,
        heartbeat_s: float = 15.0,
        timeout_s: float = 30.0,
        close_s: float = 5.0,
        rooms_per_connection_max: int = 1000,
        queue_bytes_total: int = 256 << 20,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """Create an empty hub.

        Args:
            encode: FLIN value to JSON bytes, for everything that is not str, bytes or Message.
            heartbeat_s: Silence after which a ping is sent, at the latest; pings are spread over
                its second half.
            timeout_s: Silence after which a connection is dead if it also left a ping unanswered
                for `timeout_s - heartbeat_s`; any byte received counts as life. More than
                `heartbeat_s`.
            close_s: Time the peer has to answer our close frame before it is aborted.
            rooms_per_connection_max: Rooms one connection may be in.
            queue_bytes_total: Bytes of all queued output, shared bytes counted once, above which
                the connections that are furthest behind are closed 1013.
            clock_ms: Monotonic milliseconds; a test passes its own.
        """

    def __del__(self) -> None: ...

    # --- life of a connection
    def attach_loop(self, loop: Any) -> None:
        """Join the epoll set to the loop (add_reader) and arm the 1 Hz sweep (call_later)."""
    def detach_loop(self) -> None: ...
    def open_fd(
        self,
        connection: Connection,
        endpoint: Endpoint,
        fd: int,
        *,
        response: bytes,
        early: bytes = b"",
        protocol: str = "",
        deflate: bool = False,
        deflate_output: bool = True,
    ) -> None:
        """Take over a connected, non-blocking TCP or Unix socket; the hub closes it.

        Writes `response` (the whole 101), runs `on connect`, then parses `early` (bytes the peer
        sent glued to the handshake), then starts to read.

        `deflate` says that permessage-deflate was agreed on, `deflate_output` whether its window
        lets us send compressed messages too.

        Raises:
            OSError: The socket cannot be registered; the caller still owns `fd`.
        """
    def listen(
        self,
        fd: int,
        make_protocol: Callable[[], Any],
        on_fault: Callable[[str, BaseException], None],
        known: KnownUpgrades | None = None,
    ) -> None:
        """Accept connections on a listening, non-blocking TCP or Unix socket.

        An accepted socket costs no object until its first bytes come.

        Args:
            fd: The socket; closed by the caller after unlisten().
            make_protocol: Called when the first bytes of a socket are there. Gives an
                `asyncio.Protocol` that gets a Stream and those bytes.
            on_fault: Called with a text and an exception when accepting or a protocol fails.
            known: Upgrades that are opened without a protocol.

        Raises:
            OSError: The descriptor cannot be watched (ENOSYS where there is no epoll).
        """
    def unlisten(self, fd: int) -> None:
        """Stop accepting; no effect on what was accepted."""
    def sweep_accepted(self, fresh_s: float) -> None:
        """Close sockets that have sent nothing for so many seconds; called once a second.

        One whose bytes we have not read yet stays: we are late, not the peer.
        """
    def close_accepted(self) -> None:
        """Close sockets that have sent nothing yet."""
    @property
    def accepted_count(self) -> int:
        """Sockets that have sent nothing yet."""
    def open_stream(self, stream: Stream, opening: Opening) -> None:
        """Make a stream without unsent output a WebSocket; see open_fd().

        Raises:
            OSError: It cannot be registered; the stream is as it was.
        """
    def open_transport(
        self,
        connection: Connection,
        endpoint: Endpoint,
        transport: Any,
        *,
        response: bytes,
        early: bytes = b"",
        protocol: str = "",
        deflate: bool = False,
        deflate_output: bool = True,
    ) -> None:
        """Same for a connection whose bytes pass through an asyncio transport (TLS).

        The hub calls `transport.write/close/abort/pause_reading/resume_reading/
        get_write_buffer_size/set_write_buffer_limits`; the adapter feeds it through feed(), eof(),
        lost() and writable(), none of them from inside a handler.
        """
    def feed(self, connection: Connection, data: bytes) -> None: ...
    def eof(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...
    def writable(self, connection: Connection) -> None:
        """The transport's buffer is low again (`resume_writing`): hand it more output."""
    def handler_done(self, connection: Connection) -> None:
        """A waiting handler of this connection has finished: go on with its queued messages."""

    # --- effects of a handler
    def begin(self, current: Connection | None = None) -> None:
        """Start the effect log of a handler; `current` is the connection it runs for, if any.

        Raises:
            RuntimeError: A log is open already (handlers never nest).
        """
    def commit(self) -> None:
        """The handler succeeded and needs no durability: its effects leave now, in order.

        If earlier effects of the current connection are still held, these queue behind them.
        """
    def rollback(self) -> None:
        """The handler failed: forget its effects."""
    def hold(self) -> Held:
        """The handler succeeded but its writes are not durable yet: detach its effects.

        While any are held, what later handlers send to a room without members is kept, too: who
        joins with the held effects has it when it leaves.
        """
    def release(self, held: Held) -> None:
        """Held effects leave now. Release in the order of hold()."""
    def discard(self, held: Held) -> None:
        """Held effects never leave (the write was lost)."""
    @property
    def in_handler(self) -> bool:
        """Whether an effect log is open."""

    # --- what builtins call; all need an open log, all return at once
    def send(self, target: str, data: object, volatile: bool = False) -> int:
        """Send to a connection id, else to every member of the room of that name, else nobody.

        A volatile message is of no use late (a cursor, a progress bar): peers that have more than
        `queue_bytes_soft` to read are passed by when it leaves.

        Returns:
            Number of recipients.
        """
    def send_to(self, connection: Connection, data: object) -> int:
        """Send to one connection; the fast path of `ws_send(ws.connection_id, data)`."""
    def broadcast(self, room: str, data: object, volatile: bool = False) -> int:
        """Send to every member of a room, sender included; encoded once.

        From a handler of an `implicit_room` endpoint also to all of that endpoint's connections,
        each of them once.
        """
    def broadcast_others(self, room: str, data: object, volatile: bool = False) -> int:
        """broadcast() without the current connection."""
    def broadcast_all(self, data: object, volatile: bool = False) -> int:
        """Send to every open connection of the process."""
    def join(self, connection: Connection, room: str) -> bool:
        """Idempotent. Raises RuntimeFault FL520 beyond `rooms_per_connection_max`."""
    def leave(self, connection: Connection, room: str) -> bool:
        """Returns whether the connection was a member."""
    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Send a close frame after what was sent before; further messages are not delivered."""

    # --- outside handlers
    def drop(self, connection: Connection, code: int, reason: str) -> None:
        """Close at once, not as an effect (logout, expiry, administration)."""
    def drain(self, code: int = 1012, reason: str = "", *, per_second: int = 5000) -> None:
        """Close every connection in jittered batches; `connection_count` falls to 0."""
    def abort_all(self) -> None:
        """Reset what is still open; `on close` runs with 1006."""
    def flush(self) -> None:
        """Write what is queued now instead of at the end of the loop turn."""
    def sweep(self) -> None:
        """One heartbeat and deadline pass; the 1 Hz timer calls it, tests call it by hand."""
    @property
    def connection_count(self) -> int: ...
    @property
    def room_count(self) -> int: ...
    def room_size(self, room: str) -> int:
        """Members; the running handler's own join or leave is counted already."""
    def room_connection_ids(self, room: str) -> list[str]:
        """Ids of the members, as room_size() counts them."""
    def stats(self) -> dict[str, int]:
        """Counters since start.

        opened, closed, messages_in, messages_out, bytes_in, bytes_out, deliveries, dropped,
        slow_closed, pings, timeouts, protocol_errors; now: queued_bytes (refused by peers, a byte
        for each of them), retained_bytes (memory of all output, shared bytes once).
        """

CONNECTION_ID_PREFIX: Final[str]
