"""WebSocket builtins (FLIN reference 12.4). Everything goes to the hub's effect log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import argument_fault, kind_of, range_fault
from flinfast.runtime.registry import Items, Value, builtin
from flinfast.runtime.services import Services
from flinfast.values import Time

CLOSE_NORMAL: Final = 1000
REASON_BYTES_MAX: Final = 123  # a close frame's payload less its code, RFC 6455 section 5.5
# Codes an endpoint may send: RFC 6455 section 7.4 and the IANA registry.
_CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
_NAMES: Final = frozenset({int, float, bool, Time})  # scalars that become room names as text


@builtin(parameters=("room", "data", "volatile?"), sends=True, result="int")
def broadcast(services: Services) -> Callable[..., int]:
    """Send `data` to every member of `room`; give their number.

    With `volatile: true` members who are far behind with reading are passed by.
    """
    send = services.hub.broadcast

    def broadcast(room: Value, data: Value, volatile: Value = False) -> int:
        name = room if type(room) is str else _name("broadcast", room)
        return send(name, data, volatile is not False and _flag("broadcast", volatile))

    return broadcast


@builtin(parameters=("data", "volatile?"), sends=True, result="int")
def broadcast_all(services: Services) -> Callable[..., int]:
    """Send `data` to every open connection; give their number."""
    send = services.hub.broadcast_all

    def broadcast_all(data: Value, volatile: Value = False) -> int:
        return send(data, volatile is not False and _flag("broadcast_all", volatile))

    return broadcast_all


@builtin(
    parameters=("room", "data", "volatile?"), context=True, ws_only=True, sends=True, result="int"
)
def broadcast_others(services: Services) -> Callable[..., int]:
    """Send `data` to the other members of `room`; give their number."""
    send = services.hub.broadcast_others

    def broadcast_others(context: Any, room: Value, data: Value, volatile: Value = False) -> int:
        _connection("broadcast_others", context)
        name = room if type(room) is str else _name("broadcast_others", room)
        return send(name, data, volatile is not False and _flag("broadcast_others", volatile))

    return broadcast_others


@builtin(parameters=("target", "data", "volatile?"), sends=True, result="int")
def ws_send(services: Services) -> Callable[..., int]:
    """Send `data` to a connection, else to the members of a room; give the number of recipients."""
    send = services.hub.send

    def ws_send(target: Value, data: Value, volatile: Value = False) -> int:
        name = target if type(target) is str else _name("ws_send", target)
        return send(name, data, volatile is not False and _flag("ws_send", volatile))

    return ws_send


@builtin(parameters=("data",), context=True, ws_only=True, name="_ws_send_current", result="int")
def ws_send_current(services: Services) -> Callable[..., int]:
    """Send `data` to the current connection."""
    return services.hub.send_to


@builtin(parameters=("room",), context=True, ws_only=True, joins=True, result="bool")
def ws_join(services: Services) -> Callable[..., bool]:
    """Let the current connection join `room`."""
    join = services.hub.join

    def ws_join(context: Any, room: Value) -> bool:
        join(_connection("ws_join", context), room if type(room) is str else _name("ws_join", room))
        return True

    return ws_join


@builtin(parameters=("room",), context=True, ws_only=True, result="bool")
def ws_leave(services: Services) -> Callable[..., bool]:
    """Let the current connection leave `room`; tell whether it was a member."""
    leave = services.hub.leave

    def ws_leave(context: Any, room: Value) -> bool:
        connection = _connection("ws_leave", context)
        return leave(connection, room if type(room) is str else _name("ws_leave", room))

    return ws_leave


@builtin(parameters=("reason?", "text?"), context=True, ws_only=True, result="none")
def ws_close(services: Services) -> Callable[..., None]:
    """Close the current connection with a reason; `ws_close(code, reason)` also gives the code."""
    close = services.hub.close
    go_on = services.waiter.go_on

    def ws_close(context: Any, reason: Value = None, text: Value = None) -> None:
        connection = _connection("ws_close", context)
        code, shown, position = CLOSE_NORMAL, reason, 1
        if type(reason) is int:
            code, shown, position = reason, text, 2
            if code not in _CLOSE_CODES:
                raise range_fault("ws_close", 1, "a close code: 1000 or 3000 to 4999", code)
        elif text is not None:
            raise argument_fault("ws_close", 1, "int", reason)
        if shown is not None and type(shown) is not str:
            raise argument_fault("ws_close", position, "text", shown)
        close(connection, code, _fitting_reason(shown or ""))
        go_on()

    return ws_close


@builtin(ws_only=True)
def ws_rooms(services: Services, context: Value) -> Items:
    """List the rooms of the current connection."""
    return list(_connection("ws_rooms", context).rooms)


@builtin()
def ws_clients(services: Services, room: Value) -> Items:
    """List the connection ids in `room`."""
    name = room if type(room) is str else _name("ws_clients", room)
    return list(services.hub.room_connection_ids(name))


@builtin()
def ws_count(services: Services, room: Value = None) -> int:
    """Count the connections in `room`, or all of them."""
    if room is None:
        return services.hub.connection_count
    return services.hub.room_size(room if type(room) is str else _name("ws_count", room))


def _name(function: str, value: Value) -> str:
    """A room name or target from another scalar."""
    if type(value) in _NAMES:
        return to_text(value)
    raise argument_fault(function, 1, "text", value)


def _flag(function: str, value: Value) -> bool:
    """`volatile` when it was given."""
    if type(value) is bool or value is None:
        return bool(value)
    raise RuntimeFault(
        f"`{function}` argument `volatile`: expected bool, got {kind_of(value)}", code="FL504"
    )


def _connection(function: str, context: Any) -> Any:
    """The current connection: in a ws handler it is the context itself."""
    if hasattr(context, "connection_id"):
        return context
    raise RuntimeFault(
        f"`{function}` needs a current connection",
        code="FL521",
        hint="call it in `on connect`, `on message` or `on close`",
    )


def _fitting_reason(text: str) -> str:
    """`text` cut to what a close frame can carry, at a character boundary."""
    raw = text.encode("utf-8", "replace")
    return raw[:REASON_BYTES_MAX].decode("utf-8", "ignore")
