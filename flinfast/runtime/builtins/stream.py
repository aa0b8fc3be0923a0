"""Builtins that answer a request with a stream of events."""

from __future__ import annotations

from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import argument_fault, range_fault
from flinfast.runtime.registry import Items, Value, builtin
from flinfast.runtime.response import Reply, Stop, error_reply
from flinfast.values import Time

_NAMES: Final = frozenset({str, int, float, bool, Time})  # what can name a room


@builtin()
def event_stream(context: Any, room: Value, first: Items | None = None) -> Reply:
    """Answer with the broadcasts to `room` (or a list of rooms), after the values of `first`."""
    from flinfast.runtime.event_stream import (  # not at the top: it needs the compiled hub
        FIRST_MAX,
        EventStream,
    )

    if hasattr(context, "connection_id"):
        raise RuntimeFault(
            "`event_stream` needs a request",
            hint="a WebSocket joins a room with ws_join",
        )
    rooms = room if isinstance(room, list) else [room]
    for name in rooms:
        if type(name) not in _NAMES:
            raise argument_fault("event_stream", 1, "text or a list of text", name)
    values = first or []
    if len(values) > FIRST_MAX:
        raise range_fault("event_stream", 2, f"at most {FIRST_MAX} values", len(values))
    state = context.session.state
    limit = context.services.settings.ws.connections_per_session
    if state is not None and state.connection_count >= limit:
        raise Stop(error_reply(429, "Too many connections"))
    names = dict.fromkeys(to_text(name) for name in rooms)
    return Reply(200, EventStream(context, tuple(names), tuple(values)))
