"""Users of the program under test: they work in `test` blocks only.

A test has one user of its own, whose cookies are kept from one request to the next; `test_login`
makes somebody of it. Requests go to the program itself, without a port.
"""

from __future__ import annotations

from typing import Any

from flinfast.errors import RuntimeFault
from flinfast.runtime.registry import Map, Value, builtin


@builtin(name="test_get", test_only=True, waits=True, result="map")
def get(context: Any, path: str, headers: Map | None = None) -> Value:
    """Send GET to the program under test; give `{ status, headers, body }`."""
    return _user(context, "test_get").request("GET", path, None, headers)


@builtin(name="test_post", test_only=True, waits=True, result="map")
def post(context: Any, path: str, body: Value = None, headers: Map | None = None) -> Value:
    """Send POST with `body` as JSON; give `{ status, headers, body }`."""
    return _user(context, "test_post").request("POST", path, body, headers)


@builtin(name="test_request", test_only=True, waits=True, result="map")
def request(
    context: Any, method: str, path: str, body: Value = None, headers: Map | None = None
) -> Value:
    """Send a request of any method; give `{ status, headers, body }`."""
    return _user(context, "test_request").request(method, path, body, headers)


@builtin(name="test_login", test_only=True, waits=True)
def login(context: Any, user: Value) -> None:
    """Come from a new session with this `user` in later requests of the test; none is nobody."""
    _user(context, "test_login").login(user)


@builtin(name="test_ws", test_only=True, waits=True)
def open_ws(context: Any, path: str, headers: Map | None = None) -> Value:
    """Open a WebSocket to the program under test, and give the client's side of it."""
    return _user(context, "test_ws").open(path, headers)


def _user(context: Any, name: str) -> Any:
    user = getattr(context, "test_user", None)
    if user is None:
        raise RuntimeFault(f"`{name}` works inside tests only", code="FL312")
    return user
