"""WebSocket, log and response builtins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import REGISTRY, BoundBuiltins
from flinfast.runtime.operators import OperatorSet
from flinfast.runtime.response import Reply, ResponseState, Stop
from flinfast.runtime.services import Services
from flinfast.values import Time
from tests.runtime.fake_services import FakeConnection, fake_services
from tests.runtime.flin_values import FakeRecord

HTTP = SimpleNamespace()  # a context without a connection


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path)


@pytest.fixture
def bound(services: Services) -> BoundBuiltins:
    return BoundBuiltins(services)


def calls(services: Services) -> list[tuple[Any, ...]]:
    return services.hub.calls  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("room", "name"),
    [("lobby", "lobby"), (7, "7"), (7.0, "7"), (True, "true"), (Time(0), "1970-01-01T00:00:00Z")],
)
def test_broadcast_names_rooms_by_text(
    bound: BoundBuiltins, services: Services, room: Any, name: str
) -> None:
    data = {"a": 1}
    assert bound["broadcast"](room, data) == 1
    assert bound["ws_send"](room, data) == 1
    assert calls(services) == [("broadcast", name, data), ("send", name, data)]


@pytest.mark.parametrize("room", [None, [], {}, b"x", len, FakeRecord("User", 1, {})])
@pytest.mark.parametrize("name", ["broadcast", "ws_send"])
def test_broadcast_to_what_names_no_room_is_a_fault(
    bound: BoundBuiltins, services: Services, name: str, room: Any
) -> None:
    with pytest.raises(RuntimeFault, match=f"`{name}` argument 1: expected text, got") as caught:
        bound[name](room, "x")
    assert caught.value.code == "FL504"
    assert calls(services) == []


def test_volatile_is_a_flag_of_every_send(bound: BoundBuiltins, services: Services) -> None:
    """True is passed on, false and none are the default, anything else is a fault."""
    connection = FakeConnection()
    for flag in (True, False, None):
        bound["broadcast"]("r", "x", volatile=flag)
        bound["broadcast_all"]("x", volatile=flag)
        bound["broadcast_others"](connection, "r", "x", volatile=flag)
        bound["ws_send"]("r", "x", flag)
    kinds = [call[0] for call in calls(services) if call[-1] == "volatile"]
    assert kinds == ["broadcast", "broadcast_all", "broadcast_others", "send"]
    for name, arguments in (
        ("broadcast", ("r", "x")),
        ("broadcast_all", ("x",)),
        ("broadcast_others", (connection, "r", "x")),
        ("ws_send", ("r", "x")),
    ):
        with pytest.raises(RuntimeFault, match=f"`{name}` argument `volatile`: expected bool"):
            bound[name](*arguments, volatile=1)


def test_broadcast_of_a_function_is_a_fault(bound: BoundBuiltins) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["broadcast"]("lobby", {"f": len})
    assert caught.value.code == "FL504"


def test_functions_of_the_current_connection(bound: BoundBuiltins, services: Services) -> None:
    connection = FakeConnection()
    assert bound["ws_join"](connection, 5) is True
    assert bound["ws_join"](connection, "5") is True
    assert bound["ws_rooms"](connection) == ["5"]
    assert bound["ws_leave"](connection, "5") is True
    assert bound["ws_leave"](connection, "5") is False
    assert bound["_ws_send_current"](connection, "hi") == 1
    assert bound["broadcast_others"](connection, "5", "x") == 1
    assert bound["broadcast_all"]("y") == 1
    assert [call[0] for call in calls(services)] == (
        ["join", "join", "leave", "leave", "send_to", "broadcast_others", "broadcast_all"]
    )


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ws_join", ("a",)),
        ("ws_leave", ("a",)),
        ("ws_close", ("bye",)),
        ("ws_rooms", ()),
        ("broadcast_others", ("a", "x")),
    ],
)
def test_without_a_current_connection_it_is_a_fault(
    bound: BoundBuiltins, name: str, args: tuple[Any, ...]
) -> None:
    with pytest.raises(RuntimeFault, match=f"`{name}` needs a current connection") as caught:
        bound[name](HTTP, *args)
    assert caught.value.code == "FL521"
    assert REGISTRY[name].spec.ws_only
    assert REGISTRY[name].spec.context


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        ((), 1000, ""),
        (("Document not found",), 1000, "Document not found"),
        ((4001, "kicked"), 4001, "kicked"),
        ((3000,), 3000, ""),
        ((1001, None), 1001, ""),
        (("é" * 100,), 1000, "é" * 61),
        (("x" * 123,), 1000, "x" * 123),
        (("x" * 124,), 1000, "x" * 123),
    ],
)
def test_ws_close(
    bound: BoundBuiltins, services: Services, args: tuple[Any, ...], code: int, reason: str
) -> None:
    """A reason is cut to 123 bytes at a character boundary."""
    connection = FakeConnection()
    bound["ws_close"](connection, *args)
    assert calls(services) == [("close", connection, code, reason)]


@pytest.mark.parametrize(
    "args",
    [
        (999, ""),
        (1005, ""),
        (1006, ""),
        (1015, ""),
        (2999, ""),
        (5000, ""),
        (1000, 5),
        (True, ""),
        ("a", "b"),
        ([],),
        (1000.5, "x"),
    ],
)
def test_ws_close_with_a_wrong_code_or_reason_is_a_fault(
    bound: BoundBuiltins, services: Services, args: tuple[Any, ...]
) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["ws_close"](FakeConnection(), *args)
    assert caught.value.code == "FL504"
    assert calls(services) == []


def test_ws_count_and_clients(bound: BoundBuiltins, services: Services) -> None:
    services.hub.members["7"] = ["ws_1", "ws_2"]  # type: ignore[attr-defined]
    assert bound["ws_count"](7) == 2
    assert bound["ws_count"]() == 0
    assert bound["ws_clients"]("7") == ["ws_1", "ws_2"]
    assert bound["ws_clients"]("none") == []


def test_ws_functions_work_as_methods(bound: BoundBuiltins, services: Services) -> None:
    connection = FakeConnection()
    operators = OperatorSet(bound)
    assert operators.call_method(connection, "lobby", "broadcast", ("x",), {}) == 1
    operators.call_method(connection, "lobby", "ws_join", (), {})
    assert connection.rooms == ["lobby"]


def test_log_line_has_level_text_fields_and_place(bound: BoundBuiltins, services: Services) -> None:
    code = compile("\n\nlog(value, fields)", "app/api/chat.flin", "exec")
    exec(code, {"log": bound["log_warn"], "value": {"a": 1}, "fields": {"user": 7}})
    bound["log_info"]("plain")
    assert services.log.lines == [  # type: ignore[attr-defined]
        ("warn", '{"a":1}', {"user": 7}, "app/api/chat.flin:3"),
        ("info", "plain", {}, ""),
    ]


def test_log_place_of_a_method_call_is_the_flin_line(
    bound: BoundBuiltins, services: Services
) -> None:
    operators = OperatorSet(bound)
    code = compile("\ncall(None, 'x', 'log_error', (), {})", "app/a.flin", "exec")
    exec(code, {"call": operators.call_method})
    assert services.log.lines == [("error", "x", {}, "app/a.flin:2")]  # type: ignore[attr-defined]


def test_log_with_fields_that_are_no_map_is_a_fault(bound: BoundBuiltins) -> None:
    with pytest.raises(RuntimeFault, match="`log_debug` argument 2: expected map, got int"):
        bound["log_debug"]("x", 5)


# --- responses ----------------------------------------


def test_error_and_redirect() -> None:
    bound = BoundBuiltins(None)
    reply = bound["error"](404, "No such ticket", {"id": 7})
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (404, {"error": "No such ticket", "status": 404, "id": 7})
    moved = bound["redirect"]("/login", 301)
    assert (moved.status, moved.headers["location"]) == (301, "/login")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("error", ("404",)),
        ("error", (200, "x")),
        ("error", (404, "x", [1])),
        ("redirect", (5,)),
        ("redirect", ("/x", 200)),
        ("redirect", ("/x", "301")),
        ("redirect", ("/x\r\nSet-Cookie: a=b",)),
    ],
)
def test_error_and_redirect_with_wrong_arguments_are_faults(
    name: str, args: tuple[Any, ...]
) -> None:
    with pytest.raises(RuntimeFault):
        BoundBuiltins(None)[name](*args)


def test_cookies_go_to_the_response(bound: BoundBuiltins) -> None:
    context = SimpleNamespace(response=ResponseState(is_secure=True))
    bound["set_cookie"](context, "theme", "dark", {"max_age": 60})
    bound["delete_cookie"](context, "old")
    first, second = context.response.reply.cookies
    assert first.startswith("theme=dark; Max-Age=60")
    assert "HttpOnly" in first
    assert "Secure" in first
    assert second.startswith("old=; Max-Age=0")


@pytest.mark.parametrize(
    "args",
    [
        ("a b", "x"),
        ("a", "x\r\n"),
        ("a", "x", {"unknown": 1}),
        ("a", "x", {"max_age": float("nan")}),
        ("a", "x", {"max_age": float("inf")}),
        (5, "x"),
    ],
)
def test_set_cookie_with_wrong_arguments_is_a_fault(
    bound: BoundBuiltins, args: tuple[Any, ...]
) -> None:
    context = SimpleNamespace(response=ResponseState(is_secure=False))
    with pytest.raises(RuntimeFault):
        bound["set_cookie"](context, *args)
    assert context.response.reply.cookies == []


def test_set_cookie_without_a_response_is_a_fault(bound: BoundBuiltins) -> None:
    with pytest.raises(RuntimeFault, match="`set_cookie` needs a response"):
        bound["set_cookie"](FakeConnection(), "a", "b")


def test_next_runs_the_rest_of_the_chain(bound: BoundBuiltins) -> None:
    ran = []
    assert bound["next"](SimpleNamespace(next_reply=lambda: ran.append(1))) is None
    assert ran == [1]
    with pytest.raises(RuntimeFault, match="belongs in a middleware"):
        bound["next"](SimpleNamespace(next_reply=None))


def test_rate_limit_stops_the_handler(bound: BoundBuiltins) -> None:
    for _ in range(2):
        assert bound["rate_limit"](HTTP, "ip:1", limit=2, window=60) is None
    with pytest.raises(Stop) as caught:
        bound["rate_limit"](HTTP, "ip:1", 2, 60)
    assert caught.value.reply.status == 429
    assert bound["rate_limit"](HTTP, "ip:2", 2, 60) is None
    with pytest.raises(RuntimeFault, match="needs a request"):
        bound["rate_limit"](FakeConnection(), "ip:1", 2, 60)


@pytest.mark.parametrize(
    "args", [("k", 0), ("k", "5"), ("k", 5, 0), ("k", 5, "1"), ("k", 5, float("nan"))]
)
def test_rate_limit_with_wrong_arguments_is_a_fault(
    bound: BoundBuiltins, args: tuple[Any, ...]
) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["rate_limit"](HTTP, *args)
    assert caught.value.code == "FL504"
