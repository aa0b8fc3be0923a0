"""Settings over real sockets: those that no other test of the server shows."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from flinfast.server.listen import open_listeners
from flinfast.settings import ServerSettings
from tests.e2e.conftest import free_port
from tests.runtime.programs import LOGIN
from tests.server.program import Program
from tests.server.running import TIMEOUT_S

FILES = {
    **LOGIN,
    "app/me.flin": "guard auth\n\nroute GET { session.userId }",
    "app/page.flin": 'route GET { response.html("<p>page</p>") }',
    "app/log.flin": 'route GET { log_info("an info line") log_warn("a warn line") 1 }',
    "app/rooms.flin": """
        ws {
            on message(data) { ws_join(data.room) ws_send(ws.connection_id, ws_rooms().len) }
        }
    """,
    "app/implicit.flin": 'ws { on message(data) { broadcast("all", data) } }',
    "app/flood.flin": """
        ws {
            on connect { ws_join("flood") }
            on message(data) { ws_send(ws.connection_id, data) }
        }
        route POST { broadcast("flood", body.value) }
    """,
}
SECRET, OLDER = "first-secret-0123456789-abcdefghijkl", "older-secret-0123456789-abcdefghijkl"


def cookie_of(program: Program) -> str:
    answer = program.client().post("/login", {"name": "Ada", "role": "member"})
    return next(value for name, value in answer.pairs if name.lower() == "set-cookie")


def test_port_and_host(tmp_path: Path) -> None:
    """The address and port that are asked for; port 0 takes a free one."""
    port = free_port()
    settings = {"server_port": str(port), "server_host": "127.0.0.1"}
    with Program(tmp_path, FILES, **settings) as program:
        assert program.port == port
        assert program.client().get("/page").status == 200


def test_backlog(tmp_path: Path) -> None:
    """A small one is enough for clients that come one by one."""
    with Program(tmp_path, FILES, server_backlog="1") as program:
        for _ in range(5):
            assert program.client().get("/page").status == 200


def test_listeners_take_either_kind_of_address(tmp_path: Path) -> None:
    """`server.uds` wins over host and port."""
    (listener,) = open_listeners(ServerSettings(uds=str(tmp_path / "s"), port=1))
    with listener:
        assert listener.family == socket.AF_UNIX


def test_rooms_max(tmp_path: Path) -> None:
    """At the limit a join works, beyond it the handler fails and nothing else."""
    with Program(tmp_path, FILES, ws_rooms_max="2") as program:
        with program.client().ws("/rooms") as link:
            for room, count in (("a", 1), ("b", 2)):
                link.send({"room": room})
                assert link.receive() == count
            link.send({"room": "c"})
            link.send({"room": "a"})
            assert link.receive() == 2
        program.wait_for(lambda: "2 rooms" in program.log_text())


@pytest.mark.parametrize(("value", "reaches"), [("on", 2), ("off", 0)])
def test_implicit_rooms(tmp_path: Path, value: str, reaches: int) -> None:
    """Whether an endpoint that never joins is a member of what it broadcasts to."""
    files = {
        **FILES,
        "app/implicit.flin": """
            ws {
                on message(data) { ws_send(ws.connection_id, "n" ++ broadcast("all", data)) }
            }
        """,
    }
    with (
        Program(tmp_path, files, ws_implicit_rooms=value) as program,
        program.client().ws("/implicit") as first,
        program.client().ws("/implicit"),
    ):
        first.send({"x": 1})
        received = first.receive()
        while not (isinstance(received, str) and received.startswith("n")):
            received = first.receive()
        assert received == f"n{reaches}"


def test_allowed_origins(tmp_path: Path) -> None:
    """Another site that is listed may open sockets with the session."""
    origin = "https://front.example"
    with Program(tmp_path, FILES, ws_allowed_origins=origin) as program:
        browser = program.client().log_in()
        for given, status in ((origin, 101), ("https://other.example", 403)):
            answer, link = browser.upgrade("/rooms", Origin=given)
            with link:
                assert answer.status == status


def test_stall(tmp_path: Path) -> None:
    """A peer that takes nothing for so long is closed, although its queue is not full."""
    settings = {
        "ws_stall": "1s",
        "ws_queue_hard": "64MB",
        "ws_heartbeat": "60s",
        "ws_timeout": "120s",
    }
    with Program(tmp_path, FILES, **settings) as program:
        hub = program.app.hub
        with program.client().ws("/flood") as slow:
            program.wait_for(lambda: hub.connection_count == 1)
            browser = program.client()
            for _ in range(20):  # more than the kernel takes
                browser.post("/flood", {"value": "x" * 500_000})
            program.wait_for(lambda: hub.room_size("flood") == 0)
            code = 1013
            # What the kernel still holds may be cut: then its frame does not arrive.
            with contextlib.suppress(AssertionError, ConnectionError):
                code = slow.close_code()
            assert code == 1013


def test_queue_total(tmp_path: Path) -> None:
    """All queues together: somebody is closed although no queue is full by itself."""
    files = {
        "app/room/[id].flin": """
            ws { on connect { ws_join(params.id) } }
            route POST { broadcast(params.id, body.value) }
        """
    }
    settings = {"ws_queue_total": "1MB", "ws_queue_hard": "1MB", "ws_stall": "60s"}
    with Program(tmp_path, files, **settings) as program, contextlib.ExitStack() as stack:
        hub, browser = program.app.hub, program.client()
        for number in range(3):
            stack.enter_context(browser.ws(f"/room/{number}"))
        program.wait_for(lambda: hub.room_count == 3)
        for number in range(3):
            before = hub.stats()["queued_bytes"]
            for _ in range(1000):
                queued = hub.stats()["queued_bytes"]
                assert queued <= (1 << 20) + 100_000
                if queued > before + 400_000 or hub.room_count < 3:
                    break
                browser.post(f"/room/{number}", {"value": "x" * 50_000})
        program.wait_for(lambda: hub.room_count < 3)


@pytest.mark.parametrize(("size", "is_compressed"), [(1999, False), (2000, True)])
def test_ws_compression_threshold(tmp_path: Path, size: int, is_compressed: bool) -> None:
    """Messages from that size on are compressed, if the client agreed to it."""
    settings = {"ws_compression": "on", "ws_compression_threshold": "2000"}
    files = {
        "app/a.flin": f"""
            ws {{ on connect {{ ws_send(ws.connection_id, "x".repeat({size})) }} }}
        """
    }
    with Program(tmp_path, files, **settings) as program:
        offer = {"Sec_WebSocket_Extensions": "permessage-deflate"}
        with program.client().ws("/a", **offer) as link:
            first = link.client.read_exactly(1)[0]
            assert bool(first & 0x40) is is_compressed


def test_secret_and_previous_secrets(tmp_path: Path) -> None:
    """A session outlives a restart with the same key, and a change to a new one."""
    with Program(tmp_path, FILES, session_secret=OLDER) as program:
        cookie = cookie_of(program).partition(";")[0]
    with Program(tmp_path, {}, session_secret=SECRET, session_previous_secrets=OLDER) as program:
        assert program.client().get("/me", Cookie=cookie).status == 200
    with Program(tmp_path, {}, session_secret=SECRET) as program:
        assert program.client().get("/me", Cookie=cookie).status == 401


@pytest.mark.parametrize(
    ("settings", "start", "attributes"),
    [
        ({"session_cookie": "sid"}, "sid=", {"SameSite=Lax"}),
        ({"session_same_site": "Strict"}, "flin_session=", {"SameSite=Strict"}),
        ({"session_secure": "on"}, "__Host-flin_session=", {"Secure"}),
        ({"session_max_age": "1h"}, "flin_session=", {"Max-Age=3600"}),
    ],
)
def test_cookie_settings(
    tmp_path: Path, settings: dict[str, str], start: str, attributes: set[str]
) -> None:
    """Name, SameSite, Secure and life of the session's cookie."""
    with Program(tmp_path, FILES, **settings) as program:
        cookie = cookie_of(program)
        assert cookie.startswith(start)
        assert attributes <= set(cookie.split("; "))


def test_store_path_and_durability(tmp_path: Path) -> None:
    """The folder of the database; with less durability everything works as well."""
    with Program(tmp_path, FILES, store_path="data", store_durability="normal") as program:
        assert program.client().log_in().get("/me").status == 200
        assert (tmp_path / "data" / "flin.db").exists()
        assert not (tmp_path / ".flindb").exists()


def test_security_fields_can_be_switched_off(tmp_path: Path) -> None:
    """`security.headers = false` sends none of them."""
    with Program(tmp_path, FILES, security_headers="off") as program:
        fields = program.client().get("/page").headers
        assert not {"x-frame-options", "content-security-policy"} & set(fields)


def test_content_security_policy(tmp_path: Path) -> None:
    """The policy of pages, and only of pages."""
    with Program(tmp_path, FILES, security_content_security_policy="default-src x") as program:
        browser = program.client()
        assert browser.get("/page").headers["content-security-policy"] == "default-src x"
        assert "content-security-policy" not in browser.get("/log").headers


def test_log_level(tmp_path: Path) -> None:
    """Lines below it are not written."""
    with Program(tmp_path, FILES, log_level="warn") as program:
        program.client().get("/log")
        program.wait_for(lambda: "a warn line" in program.log_text())
        assert "an info line" not in program.log_text()


def test_workers_of_one_are_one_process(tmp_path: Path) -> None:
    """`server.workers = 1` serves in the process itself."""
    with Program(tmp_path, FILES, server_workers="1") as program:
        with socket.create_connection(("127.0.0.1", program.port), TIMEOUT_S):
            pass
        assert program.client().get("/page").status == 200
