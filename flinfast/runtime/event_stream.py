"""Server-sent events: what broadcasts to a room carry, for clients without WebSocket.

`event_stream(room)` in a route is a value that becomes the answer. Its connection is one of the
hub's like any other: it is in the rooms, it is counted there, its queue has the same limits, and
logout, expiry and shutdown end it. It only receives; `server/events.py` writes its bytes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flinfast.errors import RuntimeFault
from flinfast.native.hub import Endpoint
from flinfast.runtime.context import RequestContext, WsContext, WsSite

if TYPE_CHECKING:
    from flinfast.runtime.app import App

FIRST_MAX = 1000  # events given along with the answer, such as those that a client missed
PATH = "/_flin/events"  # how logs and metrics name the endpoint of all streams


class EventStream:
    """The value of `event_stream(...)`: the body of an answer.

    Attributes:
        rooms: Rooms to join.
        first: Values sent before anything else.
    """

    __slots__ = ("_context", "first", "rooms")

    flin_kind = "event stream"

    def __init__(
        self, context: RequestContext, rooms: tuple[str, ...], first: tuple[Any, ...]
    ) -> None:
        self._context = context
        self.rooms = rooms
        self.first = first

    def open(self) -> tuple[Endpoint, EventConnection]:
        """A connection for the hub, and what it belongs to; called when the answer leaves."""
        return self._context.services.streams.connection(self._context, self)

    def flin_get(self, name: str) -> Any:
        """`rooms`; nothing else is there."""
        if name == "rooms":
            return list(self.rooms)
        raise RuntimeFault(f"an event stream has no member `{name}`", code="FL505")

    def flin_set(self, name: str, value: Any) -> None:
        """An event stream does not change."""
        raise RuntimeFault("an event stream is read-only", code="FL507")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Any) -> Any:
        """An event stream has no methods."""
        raise RuntimeFault(f"an event stream has no method `{name}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        """Its rooms, for logs."""
        return {"rooms": list(self.rooms)}


class EventConnection(WsContext):
    """One open stream.

    Attributes:
        stream: What to join and to send first; None once that is done.
    """

    __slots__ = ("stream",)

    stream: EventStream | None


class EventStreams:
    """The event streams of a program; they outlive reloads.

    Args:
        app: The program.
    """

    def __init__(self, app: App) -> None:
        self._hub = app.hub
        self._site = WsSite(PATH, (), frozenset(), app.find_record)
        limits = app.settings.ws
        self._endpoint = Endpoint(
            path=PATH,
            on_connect=partial(app.opened, self._begin),
            on_close=partial(app.closed, None),
            direct=("connect", "close"),
            report=app.runner.report,
            queue_bytes_soft=limits.queue_soft,
            queue_bytes_hard=limits.queue_hard,
            stall_s=limits.stall_s,
        )

    def connection(
        self, context: RequestContext, stream: EventStream
    ) -> tuple[Endpoint, EventConnection]:
        """A connection that belongs to the session of a request."""
        state = context.session.state
        connection = EventConnection.of(
            self._site,
            context.raw,
            (),
            None if state is None or state.is_ended else state,
            context.upgrade_user(),
        )
        connection.rights = context.session.rights
        connection.stream = stream
        return self._endpoint, connection

    def _begin(self, connection: WsContext) -> None:
        """Join and send within the hub's own effect log: the room's next message comes after."""
        assert isinstance(connection, EventConnection)
        stream, connection.stream = connection.stream, None
        assert stream is not None
        for room in stream.rooms:
            self._hub.join(connection, room)
        for value in stream.first:
            self._hub.send_to(connection, value)
