"""Programs hold WebSockets: upgrades, events, rooms, sessions, faults, reload."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.app import Upgrade
from flinfast.runtime.request import Request
from flinfast.settings import ServerSettings, SessionSettings, WsSettings
from flinfast.testing import TestClient, UpgradeRefused
from tests.runtime.harness import NOW_MS
from tests.runtime.programs import LOGIN, client_of, logged, write

Load = Callable[..., TestClient]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made: list[TestClient] = []

    def load(files: Mapping[str, str] | str, **tables: Any) -> TestClient:
        if isinstance(files, str):
            files = {"app/ws.flin": files}
        made.append(client_of(tmp_path, files, **tables))
        return made[-1]

    yield load
    for client in made:
        client.close()


def refused(client: TestClient, target: str, **options: Any) -> int:
    with pytest.raises(UpgradeRefused) as caught:
        client.websocket(target, **options)
    return caught.value.response.status


ECHO = "ws { on message(data) { ws_send(ws.connection_id, data) } }"


# --- upgrades ----------------------------------------


def test_guards_decide_before_the_handshake(load: Load) -> None:
    """401 without a session, no handler effect, then the connection opens."""
    client = load(
        {
            **LOGIN,
            "app/ws.flin": 'guard auth\nws { on connect { save User { name: "seen" } } }',
            "app/n.flin": "route GET { User.count }",
        }
    )
    assert refused(client, "/ws") == 401
    assert client.get("/n").json() == 0
    client.post("/login", json={"name": "Ada"})
    with client.websocket("/ws"):
        client.wait_until(lambda: client.get("/n").json() == 2)


def test_block_guards_hold_for_the_ws_block_only(load: Load) -> None:
    """`ws { guard ... }` beside an open route."""
    client = load('route GET { 1 } ws { guard role("admin") on connect { } }')
    assert client.get("/ws").json() == 1
    assert refused(client, "/ws") == 401


def test_path_without_ws_block_is_404(load: Load) -> None:
    """Unknown paths and files without `ws`."""
    client = load({"app/a.flin": "route GET { 1 }"})
    assert refused(client, "/a") == 404
    assert refused(client, "/b") == 404
    assert refused(client, "/../a") == 400


def test_plain_get_of_a_ws_file_asks_for_an_upgrade(load: Load) -> None:
    """426 with Upgrade."""
    client = load(ECHO)
    response = client.get("/ws")
    assert (response.status, response.headers["upgrade"]) == (426, "websocket")
    assert client.post("/ws").status == 405


def test_origin_of_an_upgrade(load: Load) -> None:
    """With our cookie only our origin or a listed one; without it any; `null` never with it."""
    client = load(
        {**LOGIN, "app/ws.flin": ECHO}, ws=WsSettings(allowed_origins=("https://ok.test",))
    )
    evil, null = {"Origin": "http://evil.test"}, {"Origin": "null"}
    client.websocket("/ws", headers=evil).close()
    client.post("/login", json={"name": "Ada"})
    assert refused(client, "/ws", headers=evil) == 403
    assert refused(client, "/ws", headers=null) == 403
    assert refused(client, "/ws", headers={"Origin": "https://testserver"}) == 403
    for origin in ("http://testserver", "https://ok.test"):
        client.websocket("/ws", headers={"Origin": origin}).close()
    client.websocket("/ws").close()


def test_middleware_runs_for_upgrades(load: Load) -> None:
    """It may refuse, add headers to the 101, set cookies and request.user."""
    client = load(
        {
            "app/_middleware.flin": """middleware {
                if query.stop { return error(402, "Pay") }
                if query.silent == none {
                    request.user = { name: "mw" }
                    response.headers["X-Mw"] = "1"
                    set_cookie("c", "v")
                    next()
                    if query.late { return error(410, "Gone") }
                }
            }""",
            "app/ws.flin": "ws { on connect { ws_send(ws.connection_id, request.user.name) } }",
        }
    )
    assert refused(client, "/ws?stop=1") == 402
    assert refused(client, "/ws?silent=1") == 403
    assert refused(client, "/ws?late=1") == 410
    with client.websocket("/ws") as socket:
        assert ("X-Mw", "1") in socket.headers
        assert client.cookies == {"c": "v"}
        assert socket.receive() == "mw"


def test_failing_guard_refuses_the_upgrade(load: Load) -> None:
    """An exception means no."""
    client = load("ws { guard owner(query.a.b) on connect { } }")
    assert refused(client, "/ws") == 403


# --- events ----------------------------------------


def test_context_of_ws_handlers(load: Load) -> None:
    """params, query, headers, cookies, request and ws in every handler."""
    client = load(
        {
            "app/[room]/ws.flin": """ws { on message(data) { ws_send(ws.connection_id, {
                room: params.room, q: query.q, agent: headers.user_agent, c: cookies.c,
                path: ws.path, ip: ws.ip, url: request.url, method: request.method,
                rooms: ws.rooms, mine: ws.connection_id.starts_with("ws_"), code: ws.close_code,
                n: ws.state.n, since: ws.connected_at is time
            }) ws.state.n = (ws.state.n || 0) + 1 ws_join("r" + params.room) } }"""
        }
    )
    client.cookies["c"] = "v"
    with client.websocket(
        "/a%20b/ws?q=1", headers={"User-Agent": "ua"}, peer="192.0.2.9"
    ) as socket:
        expected = {
            "room": "a b",
            "q": "1",
            "agent": "ua",
            "c": "v",
            "path": "/a%20b/ws",
            "ip": "192.0.2.9",
            "url": "http://testserver/a%20b/ws?q=1",
            "method": "GET",
            "rooms": [],
            "mine": True,
            "code": None,
            "n": None,
            "since": True,
        }
        socket.send_text("x")
        assert socket.receive_json() == expected
        socket.send_text("x")
        assert socket.receive_json() == {**expected, "n": 1, "rooms": ["ra b"]}


def test_upgrade_request_is_kept_only_where_handlers_look_at_it(load: Load) -> None:
    """An idle connection does not hold headers that nobody reads."""
    client = load(
        {
            "app/plain.flin": ECHO,
            "app/query.flin": "ws { on message(d) { ws_send(ws.connection_id, query.q) } }",
        }
    )
    with client.websocket("/plain?q=1") as plain, client.websocket("/query?q=1") as query:
        assert plain.connection._kept is None
        assert query.connection._kept.query_string == "1"[:0] + "q=1"
        assert query.connection._kept.headers == []
        query.send_text("x")
        assert query.receive() == "1"


def test_close_runs_once_and_after_leaving_the_rooms(load: Load) -> None:
    """Clean close and lost network alike; the others hear of it."""
    client = load(
        """ws {
            on connect { ws_join("r") broadcast("r", "in") }
            on close { broadcast("r", { left: ws.close_code, rooms: ws.rooms.len }) }
        }"""
    )
    with client.websocket("/ws") as stays:
        assert stays.receive() == "in"
        with client.websocket("/ws") as leaves:
            assert stays.receive() == leaves.receive() == "in"
            leaves.close(4000, "bye")
        assert stays.receive_json() == {"left": 4000, "rooms": 0}
        lost = client.websocket("/ws")
        assert stays.receive() == "in"
        lost.kill()
        assert stays.receive_json() == {"left": 1006, "rooms": 0}
        assert stays.is_silent()


def test_ws_close_in_connect(load: Load) -> None:
    """The reason reaches the client, nothing after `return` runs, no message is handled."""
    client = load(
        """ws {
            on connect { ws_close("Document not found") return  broadcast_all("never") }
            on message(data) { broadcast_all("never") }
        }"""
    )
    with client.websocket("/ws") as socket:
        socket.send_text("x")
        closed = socket.receive_close()
        assert (closed.code, closed.reason) == (1000, "Document not found")


def test_failing_handlers(load: Load) -> None:
    """A failing message is dropped and logged with its line; a failing connect closes 1011."""
    client = load(
        """ws {
            on connect { if query.bad { none.x } }
            on message(data) {
                broadcast_all("before")
                if data.bad { none.x }
                broadcast_all("after")
            }
        }"""
    )
    with client.websocket("/ws") as socket:
        socket.send_json({"bad": True})
        socket.send_json({})
        assert [socket.receive(), socket.receive()] == ["before", "after"]
        line = next(line for line in client.log if line.level == "error")
        assert (line.place, line.fields["code"]) == ("app/ws.flin:5", "FL502")
    with client.websocket("/ws?bad=1") as socket:
        assert socket.receive_close().code == 1011


WRITER = {
    "entities/n.flin": "entity N { text: text @required @unique }",
    "app/n.flin": "route GET { N.count }",
    "app/ws.flin": """ws {
        on connect { if query.save { save N { text: query.save } } }
        on message(data) {
            broadcast_all("got " ++ data.text)
            save N { text: data.text }
            ws_send(ws.connection_id, { count: N.count })
        }
        on close { if query.bye { save N { text: query.bye } } }
    }""",
}


def test_handler_that_writes_is_a_transaction(load: Load) -> None:
    """Row and sends together, or neither; connect and close may write as well."""
    client = load(WRITER)
    with client.websocket("/ws?save=c&bye=b") as socket:
        socket.send_json({"text": "a"})
        assert socket.receive() == "got a"
        assert socket.receive_json() == {"count": 2}
        socket.send_json({"text": "a"})
        socket.send_json({"text": ""})
        socket.send_json({"text": "z"})
        assert socket.receive() == "got z"
        assert socket.receive_json() == {"count": 3}
    client.wait_until(lambda: client.get("/n").json() == 4)
    codes = [line.fields["code"] for line in client.log if line.level == "error"]
    assert codes == ["FL531", "FL530"]


def test_failing_write_in_connect_closes_1011(load: Load) -> None:
    """The runner follows the same rule as the hub."""
    client = load(WRITER)
    client.websocket("/ws?save=x").close()
    with client.websocket("/ws?save=x") as socket:
        assert socket.receive_close().code == 1011


def test_messages_queue_behind_a_waiting_handler(load: Load) -> None:
    """One at a time per connection, in order; other connections go on."""
    client = load(
        """ws { on message(data) {
            if data.ms { sleep(data.ms) }
            ws_send(ws.connection_id, data.n)
        } }"""
    )
    with client.websocket("/ws") as one, client.websocket("/ws") as two:
        one.send_json({"ms": 1000, "n": 1})
        one.send_json({"n": 2})
        two.send_json({"n": 3})
        assert two.receive_json() == 3
        assert one.is_silent(0.01)
        assert [one.receive_json(), one.receive_json()] == [1, 2]


def test_waiting_handler_beyond_its_time_closes_1011(load: Load) -> None:
    """server.handler_timeout_s."""
    client = load(
        "ws { on message(data) { sleep(60000) } }", server=ServerSettings(handler_timeout_s=0.05)
    )
    with client.websocket("/ws") as socket:
        socket.send_text("x")
        assert socket.receive_close().code == 1011


def test_connection_may_end_while_its_handler_waits(load: Load) -> None:
    """The rest runs, its sends reach nobody, and `on close` follows."""
    client = load(
        """ws {
            on message(data) { sleep(1000) ws_send(ws.connection_id, 1) log_info("done") }
            on close { log_info("closed") }
        }"""
    )
    socket = client.websocket("/ws")
    socket.send_text("x")
    assert socket.is_silent(0.005)
    socket.kill()
    client.wait_until(lambda: logged(client, "info")[-1:] == ["closed"])
    assert logged(client, "info") == ["done", "closed"]


# --- sessions ----------------------------------------

ME = {
    **LOGIN,
    "app/ws.flin": """ws { on message(data) {
        if data.set { session.x = data.set }
        ws_send(ws.connection_id, { id: session.userId, name: session.user?.name, x: session.x })
    } }""",
}


def test_session_in_ws_handlers(load: Load) -> None:
    """The session of the upgrade; writes stay on the connection."""
    client = load(ME)
    client.post("/login", json={"name": "Ada"})
    with client.websocket("/ws") as one, client.websocket("/ws") as two:
        one.send_json({"set": 5})
        assert one.receive_json() == {"id": "1", "name": "Ada", "x": 5}
        two.send_json({})
        assert two.receive_json() == {"id": "1", "name": "Ada", "x": None}
        assert one.connection.session_packed is two.connection.session_packed
        assert one.connection.connection_id != two.connection.connection_id


def test_logout_closes_the_sockets_of_the_session(load: Load) -> None:
    """4401 for this session's sockets, nobody else's."""
    client = load(ME)
    client.post("/login", json={"name": "Ada"})
    other = client.another()
    other.post("/login", json={"name": "Bob"})
    with (
        client.websocket("/ws") as mine,
        client.websocket("/ws") as too,
        other.websocket("/ws") as his,
    ):
        client.delete("/login")
        assert mine.receive_close().code == 4401
        assert too.receive_close().code == 4401
        his.send_json({})
        assert his.receive_json()["name"] == "Bob"
    assert refused_or_open(client) == "open"


def refused_or_open(client: TestClient) -> str:
    client.websocket("/ws").close()
    return "open"


def test_expiry_closes_the_sockets_of_the_session(tmp_path: Path) -> None:
    """The sweep looks once a second."""
    from msgspec.structs import replace

    from flinfast.settings import Settings

    write(tmp_path, ME)
    now = [NOW_MS]
    settings = replace(Settings(mode="test"), session=SessionSettings(max_age_s=100.0))
    with TestClient(tmp_path, settings=settings, clock_ms=lambda: now[0]) as client:
        client.post("/login", json={"name": "Ada"})
        with client.websocket("/ws") as socket:
            now[0] += 100_000
            assert socket.receive_close().code == 4401


def test_logout_between_guards_and_opening_closes_at_once(load: Load) -> None:
    """A connection never outlives the session that opened it."""
    client = load(ME)
    client.post("/login", json={"name": "Ada"})
    upgrades: list[Any] = []
    match = client.app.match("/ws")
    assert match is not None
    request = client._make("GET", "/ws", {}, b"", "127.0.0.1")
    client.app.upgrade(match, request, upgrades.append, lambda response: None)
    client.delete("/login")
    from flinfast.testing import TestSocket

    with TestSocket(client._program, upgrades[0]) as socket:
        assert socket.receive_close().code == 4401


# --- reload ----------------------------------------


def test_reload_keeps_connections_and_swaps_handlers(tmp_path: Path) -> None:
    """The next message meets the new handler; a removed block handles nothing."""
    files = {"app/ws.flin": "ws { on message(data) { ws_send(ws.connection_id, 1) } }"}
    with client_of(tmp_path, files) as client, client.websocket("/ws") as socket:
        socket.send_text("x")
        assert socket.receive_json() == 1
        write(
            tmp_path,
            {"app/ws.flin": "ws { on message(data) { ws_send(ws.connection_id, query.q || 2) } }"},
        )
        client.app.reload()
        socket.send_text("x")
        assert socket.receive_json() == 2
        with client.websocket("/ws?q=3") as later:
            later.send_text("x")
            assert later.receive() == "3"
        write(tmp_path, {"app/ws.flin": "route GET { 1 }"})
        client.app.reload()
        socket.send_text("x")
        assert socket.is_silent()
        assert refused(client, "/ws") == 404


OPEN_WS = "ws {\n    on message(data) { ws_send(ws.connection_id, data) }\n}\n"


@pytest.mark.parametrize(
    ("files", "target", "headers", "is_renewed"),
    [
        ({"app/live.flin": OPEN_WS}, "/live", [], True),
        ({"app/[id]/live.flin": OPEN_WS}, "/7/live", [], True),
        ({"app/live.flin": OPEN_WS}, "/live", [("cookie", "a=b")], False),
        ({"app/live.flin": "guard auth\n" + OPEN_WS}, "/live", [], False),
        (
            {"app/live.flin": OPEN_WS, "app/_middleware.flin": "middleware {\n    next()\n}\n"},
            "/live",
            [],
            False,
        ),
        (
            {
                "app/live.flin": "ws {\n    on message(data) {"
                " ws_send(ws.connection_id, headers.user_agent) }\n}\n"
            },
            "/live",
            [],
            False,
        ),
    ],
    ids=["open", "with a parameter", "with a cookie", "guarded", "behind middleware", "kept parts"],
)
def test_only_what_nothing_can_refuse_is_renewed(
    load: Load,
    files: dict[str, str],
    target: str,
    headers: list[tuple[str, str]],
    is_renewed: bool,
) -> None:
    """An upgrade that depends on more than route and address is decided each time."""
    client = load(files)
    request = Request("GET", target, target, headers=headers, peer="127.0.0.1")
    match = client.app.match(target)
    assert match is not None
    accepted: list[Upgrade] = []
    client.app.upgrade(match, request, accepted.append, lambda response: None)
    assert [one.renew is not None for one in accepted] in ([is_renewed], [])
    assert bool(accepted) or not is_renewed
    if is_renewed:
        renew = accepted[0].renew
        assert renew is not None
        other = renew("127.0.0.2")
        assert (other.path, other.params, other.ip) == (
            target,
            accepted[0].context.params,
            "127.0.0.2",
        )
