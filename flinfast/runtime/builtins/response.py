"""Builtins that make or change the answer to a request (FLIN reference 8.3 and 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import to_text
from flinfast.runtime.fault import AbortFault
from flinfast.runtime.kinds import range_fault
from flinfast.runtime.rate_limit import WINDOW_S_MAX
from flinfast.runtime.registry import Map, Number, Value, builtin
from flinfast.runtime.response import Reply, ResponseState, Stop, error_reply, redirect_reply
from flinfast.runtime.services import Services

REDIRECT_STATUS: Final = 302
RATE_WINDOW_S: Final = 60


@builtin()
def error(status: int, message: Value = None, extra: Map | None = None) -> Reply:
    """Make an error answer `{ error: message, status: status }` with the entries of `extra`."""
    return error_reply(status, message, extra)


@builtin(result="none")
def abort(status: int, message: Value = None, extra: Map | None = None) -> None:
    """End the handler with the answer of `error`; what it saved and sent is undone."""
    raise AbortFault(status, error_reply(status, message, extra).body)


@builtin()
def redirect(url: str, status: int = REDIRECT_STATUS) -> Reply:
    """Make an answer that sends the browser to `url`."""
    return redirect_reply(url, status)


@builtin()
def set_cookie(context: Any, name: str, value: Value, options: Map | None = None) -> None:
    """Set a cookie; options `max_age expires path domain http_only secure same_site`."""
    try:
        _response("set_cookie", context).set_cookie(name, value, options or {})
    except (ValueError, OverflowError):  # a number that is no number of seconds
        raise range_fault("set_cookie", 3, "options of a cookie", "a bad number") from None


@builtin()
def delete_cookie(context: Any, name: str, options: Map | None = None) -> None:
    """Tell the browser to forget a cookie; `path` and `domain` as when it was set."""
    _response("delete_cookie", context).delete_cookie(name, options or {})


@builtin(parameters=(), context=True, name="next", result="none")
def next_(services: Services) -> Callable[[Any], None]:
    """Go on with the next middleware, the guards and the handler; middleware only."""

    def next_(context: Any) -> None:
        run = getattr(context, "next_reply", None)
        if run is None:
            raise RuntimeFault("`next` has nothing to go on with: it belongs in a middleware")
        run()

    return next_


@builtin()
def rate_limit(
    services: Services, context: Any, key: Value, limit: int, window: Number = RATE_WINDOW_S
) -> None:
    """Allow `limit` calls with this key per `window` seconds; else the handler ends with a 429."""
    from flinfast.runtime.guard import limited  # not at the top: it needs the compiled hub

    if hasattr(context, "connection_id"):
        raise RuntimeFault("`rate_limit` needs a request", hint="a WebSocket message has no answer")
    if limit < 1:
        raise range_fault("rate_limit", 2, "an int from 1", limit)
    if not 0 < window <= WINDOW_S_MAX:
        raise range_fault("rate_limit", 3, f"seconds up to {WINDOW_S_MAX}", window)
    reply = limited(
        services.limiter, f"rate_limit\0{to_text(key)}", limit, window, services.clock_ms()
    )
    if reply is not None:
        raise Stop(reply)


def _response(function: str, context: Any) -> ResponseState:
    state = getattr(context, "response", None)
    if isinstance(state, ResponseState):
        return state
    raise RuntimeFault(
        f"`{function}` needs a response",
        hint="call it in a route or a middleware; a WebSocket message has no headers",
    )
