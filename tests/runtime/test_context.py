"""What handlers see of a request and of a connection."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime.context import Headers, QueryMap, WsContext, WsSite
from flinfast.runtime.fault import HttpFault, place_of, to_fault
from flinfast.runtime.request import Request, decode_component, has_token, parse_pairs
from flinfast.runtime.session_value import SessionState, pack
from tests.runtime.harness import Parts, make_request


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def test_headers_ignore_case_and_join() -> None:
    """One value per name, whatever its spelling; `_` stands for `-` in member access."""
    headers = Headers(
        [("x-id", "1"), ("accept", "a"), ("accept", "b"), ("cookie", "c"), ("cookie", "d")]
    )
    assert headers.flin_get("X-Id") == headers["x_id"] == headers.get("x-ID") == "1"
    assert headers.flin_get("accept") == "a, b"
    assert headers.flin_get("cookie") == "c; d"
    assert "X-ID" in headers
    assert headers.flin_get("none") is None
    assert headers.get(7) is None
    assert headers.flin_call("get", ("none", "d"), {}) == "d"
    assert headers.flin_call("has_key", ("ACCEPT",), {}) is True
    with pytest.raises(KeyError):
        headers["none"]
    for act in (lambda: headers.flin_set("a", "b"), lambda: headers.flin_call("x", (), {})):
        with pytest.raises(RuntimeFault):
            act()


def test_query_takes_the_first_value() -> None:
    """`query.all(name)` gives every one."""
    query = QueryMap(parse_pairs("a=1&a=2&b=x%20y&c"))
    assert dict(query) == {"a": "1", "b": "x y", "c": ""}
    assert query.flin_call("all", ("a",), {}) == ["1", "2"]
    assert query.flin_call("all", ("z",), {}) == []
    assert query.flin_call("get", ("z", "d"), {}) == "d"
    assert query.flin_get("z") is None
    for act in (lambda: query.flin_set("a", "b"), lambda: query.flin_call("x", (), {})):
        with pytest.raises(RuntimeFault):
            act()


def test_request_view(parts: Parts) -> None:
    """Parts by name; unknown ones are none; only user can be set."""
    context = parts.context("POST", "/a%2Fb+c?x=1", body=b"raw")
    view = context.request
    assert view.flin_get("path") == "/a/b+c"
    assert view.flin_get("url") == "http://app.example/a%2Fb+c?x=1"
    assert view.flin_get("body_raw") == b"raw"
    assert view.flin_get("nothing") is None
    assert view.flin_get("headers") is context.headers
    assert view.flin_get("query") is context.query
    view.flin_set("user", {"id": 1})
    assert view.flin_get("user") == {"id": 1}
    assert view.to_map() == {"method": "POST", "path": "/a/b+c", "ip": "192.0.2.1", "id": "r-1"}
    for act in (lambda: view.flin_set("ip", "x"), lambda: view.flin_call("x", (), {})):
        with pytest.raises(RuntimeFault):
            act()


def test_context_builds_its_parts_once(parts: Parts) -> None:
    """A second look gives the same object, an unknown part is an AttributeError."""
    context = parts.context(target="/?a=1")
    assert context.query is context.query
    assert context.opened_session is None
    assert context.session is context.opened_session
    assert context.response is context.opened_response
    with pytest.raises(AttributeError):
        _ = context.nothing


def test_too_many_query_fields_answer_400(parts: Parts) -> None:
    """The limit of forms holds for queries."""
    context = parts.context(target="/?" + "&".join(f"a{i}" for i in range(1001)))
    with pytest.raises(HttpFault):
        _ = context.query


@pytest.mark.parametrize(
    ("upgrade", "connection", "method", "result"),
    [
        ("websocket", "Upgrade", "GET", True),
        ("WebSocket", "keep-alive, upgrade", "GET", True),
        ("h2c, websocket", "Upgrade", "GET", True),
        ("websocket", "keep-alive", "GET", False),
        ("websockets", "Upgrade", "GET", False),
        ("websocket", "Upgrade", "POST", False),
    ],
)
def test_upgrade_requests_are_recognised(
    upgrade: str, connection: str, method: str, result: bool
) -> None:
    """Whole tokens, any case."""
    request = make_request(method, headers={"Upgrade": upgrade, "Connection": connection})
    assert request.is_upgrade is result


def test_text_of_requests() -> None:
    """Tokens, components and joined fields."""
    assert has_token("a, B ,c", "b")
    assert not has_token("ab", "b")
    assert decode_component("a+b%2B%C3%A9%zz") == "a b+é%zz"
    request = Request("GET", "/", "/", headers=[("a", "1"), ("a", "2")])
    assert request.header("a") == "1"
    assert request.header_joined("a") == "1, 2"
    assert request.header("b") == request.host == ""


# --- connections ----------------------------------------


def test_ws_object(parts: Parts) -> None:
    """Members of `ws`; state belongs to the connection; nothing else can be set."""
    one, two = parts.connection(), parts.connection()
    one.flin_get("state")["n"] = 1
    assert (one.flin_get("state"), two.flin_get("state")) == ({"n": 1}, {})
    one.flin_set("state", {"m": 2})
    assert one.flin_get("state") == {"m": 2}
    assert (one.flin_get("path"), one.flin_get("ip")) == ("/ws", "192.0.2.1")
    assert one.flin_get("close_code") is None
    assert one.flin_get("nothing") is None
    assert one.ws is one
    assert set(one.to_map()) == {"connection_id", "path", "ip"}
    for act in (
        lambda: one.flin_set("path", "x"),
        lambda: one.flin_set("state", 1),
        lambda: one.flin_call("send", (), {}),
        lambda: one.set_user(1),
    ):
        with pytest.raises(RuntimeFault):
            act()


def test_ws_params_and_kept_parts(parts: Parts) -> None:
    """Only what handlers mention is kept of the upgrade request."""
    raw = make_request("GET", "/r/7?q=1", headers={"X-A": "b"}, cookie="c=d")

    def connection(*keeps: str) -> WsContext:
        site = WsSite("/r/:id", ("id",), frozenset(keeps), parts.find_record)
        return WsContext.of(site, raw, ("7",), None)

    assert connection().params == {"id": "7"}
    assert connection().query == connection().headers == connection().cookies == {}
    assert connection("query").query == {"q": "1"}
    assert connection("cookies").cookies == {"c": "d"}
    assert dict(connection("cookies").headers) == {"cookie": "c=d"}
    assert connection("headers").headers["x-a"] == "b"
    assert connection("request").request.flin_get("url") == "http://app.example/r/7?q=1"
    assert connection().request.flin_get("path") == "/r/7"


def test_idle_connection_is_small(parts: Parts) -> None:
    """At most 300 bytes beyond the session, which the sockets of a user share."""
    state = SessionState("s" * 24, pack({"userId": "1"}), 0, 0)
    one, two = parts.connection(state), parts.connection(state)
    assert one.session_packed is two.session_packed is state.packed
    own = [one._values, one._kept, one._state, one.session_local, one._user, one.session_index]
    size = sys.getsizeof(one) + sum(
        sys.getsizeof(item) for item in own if item is not None and item != () and item != -1
    )
    assert size <= 300


# --- faults ----------------------------------------


def run(code: str, name: str = "app/a.flin") -> BaseException:
    namespace: dict[str, Any] = {}
    exec(compile(code, name, "exec"), namespace)
    try:
        namespace["f"]()
    except BaseException as error:  # noqa: BLE001 - the subject of these tests
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("1 / 0", "FL503"),
        ("2.0 ** 5000", "FL508"),
        ("{}['secret']", "FL500"),
        ("None.secret", "FL500"),
        ("len(1)", "FL500"),
        ("'\\ud800'.encode()", "FL501"),
        ("f()", "FL551"),
        ("(_ for _ in ()).throw(MemoryError())", "FL552"),
    ],
)
def test_python_failures_become_faults_of_the_program(expression: str, code: str) -> None:
    """A code, a place, and no word of Python."""
    error = run(f"def f():\n    pass\n    return {expression}")
    fault = to_fault(error)
    assert (fault.code, fault.path, fault.line) == (code, "app/a.flin", 3)
    assert "secret" not in str(fault)
    assert type(error).__name__ not in str(fault)


def test_place_is_the_innermost_flin_frame() -> None:
    """Frames of ours below it do not count, nor does a place that is known already."""
    error = run("from base64 import b64decode\ndef f():\n    return b64decode('x')")
    assert place_of(error.__traceback__) == ("app/a.flin", 3)
    fault = RuntimeFault("x")
    fault.path, fault.line = "lib/b.flin", 9
    assert to_fault(fault) is fault
    assert (fault.path, fault.line) == ("lib/b.flin", 9)
    assert place_of(run("def f(): 1/0", "plain.py").__traceback__) == ("", 0)
