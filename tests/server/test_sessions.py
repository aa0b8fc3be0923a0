"""Sessions over real sockets: fixation, revocation of open connections, idle time, origins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.app import App
from flinfast.server.log import Log
from flinfast.server.loop import LoopScheduler
from tests.runtime.programs import LOGIN
from tests.server.program import ClosedError, Program, Socket

FILES = {
    **LOGIN,
    "app/role.flin": "route POST { session.role = body.role }",
    "app/member.flin": """
        route PATCH {
            member = User.where(name == body.name).first
            if body.role { member.role = body.role }
            if body.mood { member.mood = body.mood }
            save member
            if body.fails { abort(409, "undone") }
        }
        route DELETE { delete User.where(name == query.name).first }
        route PUT { destroy User.where(name == query.name).first }
    """,
    "entities/user.flin": "entity User { name: text @required @unique  role: text  mood: text }",
    "app/visit.flin": "route POST { session.visits = (session.visits || 0) + 1 }",
    "app/me.flin": "guard auth\n\nroute GET { session.userId }",
    "app/ws.flin": """
        guard auth

        ws {
            on connect { ws_send(ws.connection_id, "welcome") }
            on message(data) { ws_send(ws.connection_id, data) }
        }
    """,
    "app/events.flin": 'guard auth\n\nroute GET { event_stream("all") }',
    "app/open.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("sessions"), FILES, log_access="off") as program:
        yield program


def welcomed(socket: Socket) -> Socket:
    assert socket.receive() == "welcome"
    return socket


def test_a_planted_session_is_worthless(site: Program) -> None:
    """The id changes at login: who knew it before knows nothing (session fixation)."""
    victim, attacker = site.client(), site.client()
    attacker.post("/visit")
    planted = dict(attacker.cookies)
    victim.cookies.update(planted)
    victim.log_in("Victim")
    assert victim.cookies != planted
    assert victim.get("/me").status == 200
    assert attacker.get("/me").status == 401


def test_an_old_cookie_is_dead_after_logout(site: Program) -> None:
    """Also for who kept a copy."""
    browser, copy = site.client().log_in("Leaver"), site.client()
    copy.cookies.update(browser.cookies)
    assert copy.get("/me").status == 200
    browser.request("DELETE", "/login")
    assert copy.get("/me").status == 401


class Unswept(Program):
    """A program that never looks at its sessions by itself."""

    def _load(self, scheduler: LoopScheduler, log: Log) -> Any:
        class Still(App):
            def _sweep(self) -> None:
                return

        self.app = Still.load(self.root, self.config.settings, scheduler=scheduler, log=log)
        return self.app, self.app.hub


def test_logout_closes_the_sockets_of_the_session(tmp_path: Path) -> None:
    """All of them with 4401 at once, not when sessions are looked at next; others' stay."""
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(Unswept(tmp_path, FILES, log_access="off"))
        browser, other = site.client().log_in("Out"), site.client().log_in("Stays")
        first, second, kept = (
            stack.enter_context(welcomed(one.ws("/ws"))) for one in (browser, browser, other)
        )
        browser.request("DELETE", "/login")
        assert [first.close_code(), second.close_code()] == [4401, 4401]
        kept.send("still here")
        assert kept.receive() == "still here"


def test_another_user_or_role_closes_the_sockets(site: Program) -> None:
    """What was opened with other rights does not go on with them."""
    browser = site.client().log_in("Rights")
    with welcomed(browser.ws("/ws")) as socket:
        browser.post("/role", {"role": "admin"})
        assert socket.close_code() == 4401
    with welcomed(browser.ws("/ws")) as socket:
        browser.log_in("Somebody else")
        assert socket.close_code() == 4401


def is_open(socket: Socket) -> bool:
    """Whether a message comes back."""
    socket.send("still here")
    return bool(socket.receive() == "still here")


def test_a_role_that_somebody_else_changes_closes_the_sockets(site: Program) -> None:
    """Guards read it before the upgrade; the session goes on, with the new rights."""
    admin, bob, carol = (site.client().log_in(name) for name in ("Admin", "Bob", "Carol"))
    with welcomed(bob.ws("/ws")) as bobs, welcomed(carol.ws("/ws")) as carols:
        answer = admin.request("PATCH", "/member", {"name": "Bob", "role": "guest"})
        assert answer.status == 204, (answer, site.log_text())
        assert bobs.close_code() == 4401
        assert is_open(carols)
        assert bob.get("/me").status == 200


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_a_user_that_is_gone_has_no_sockets(site: Program, method: str) -> None:
    """Deleted or destroyed; the session is nobody's."""
    admin = site.client().log_in("Admin3")
    name = f"Eve{method}"
    eve = site.client().log_in(name)
    with welcomed(eve.ws("/ws")) as eves:
        assert admin.request(method, f"/member?name={name}").status == 204
        assert eves.close_code() == 4401
        assert eve.get("/me").status == 401


class Aged(Program):
    """A program whose sessions grow old as a test says.

    Attributes:
        now_ms: Its Unix time, milliseconds.
        sweeps: How often it has looked at its sessions: once a second.
    """

    now_ms = 1_700_000_000_000
    sweeps = 0

    def _load(self, scheduler: LoopScheduler, log: Log) -> Any:
        aged = self

        class Counted(App):
            def _sweep(self) -> None:
                super()._sweep()
                aged.sweeps += 1

        self.app = Counted.load(
            self.root,
            self.config.settings,
            scheduler=scheduler,
            log=log,
            clock_ms=lambda: self.now_ms,
        )
        return self.app, self.app.hub


def test_what_leaves_the_rights_as_they_were_closes_nothing(tmp_path: Path) -> None:
    """Another field, the same role, a handler that failed."""
    with Aged(tmp_path, FILES, log_access="off") as program:
        admin, dora = program.client().log_in("Admin"), program.client().log_in("Dora")
        with welcomed(dora.ws("/ws")) as doras:
            for change in (
                {"mood": "fine"},
                {"role": "member"},
                {"role": "guest", "fails": True},
            ):
                admin.request("PATCH", "/member", {"name": "Dora", **change})
            before = program.sweeps
            program.wait_for(lambda: program.sweeps > before + 1)
            assert is_open(doras)


def test_an_expired_session_loses_its_sockets(tmp_path: Path) -> None:
    """At the end of its life, not before, however busy it is; its cookie is dead."""
    with Aged(tmp_path, FILES, log_access="off", session_max_age="1h") as program:
        browser = program.client().log_in()
        with welcomed(browser.ws("/ws")) as socket:
            program.now_ms += 3_600_000 - 1
            before = program.sweeps
            program.wait_for(lambda: program.sweeps > before + 1)
            socket.send("busy")
            assert socket.receive() == "busy"
            program.now_ms += 1
            code = 0
            while not code:
                try:
                    socket.send("busy")
                    socket.receive()
                except ClosedError as closed:
                    code = closed.code
                except (ConnectionError, AssertionError):
                    code = socket.close_code()
        assert code == 4401
        assert browser.get("/me").status == 401


def test_a_socket_that_is_used_keeps_its_session(tmp_path: Path) -> None:
    """Messages count as use, an open connection by itself does not."""
    with Aged(tmp_path, FILES, log_access="off", session_idle="1h") as program:
        talker, silent = program.client().log_in("Talker"), program.client().log_in("Silent")
        with welcomed(talker.ws("/ws")) as used, welcomed(silent.ws("/ws")) as unused:
            for _ in range(4):
                program.now_ms += 15 * 60_000
                used.send("ping")
                assert used.receive() == "ping"
            assert unused.close_code() == 4401
            before = program.sweeps
            program.wait_for(lambda: program.sweeps > before + 1)
            used.send("after")
            assert used.receive() == "after"
        assert talker.get("/me").status == 200
        assert silent.get("/me").status == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://test", 101),
        ("http://test:80", 101),
        ("https://test", 403),
        ("http://test.evil.example", 403),
        ("http://eviltest", 403),
        ("http://sub.test", 403),
        ("http://test:8080", 403),
        ("null", 403),
        ("garbage", 403),
        ("", 403),
    ],
)
def test_origin_of_an_upgrade_with_a_session(site: Program, origin: str, status: int) -> None:
    """Another site's page cannot open a socket in the user's name (hijacking)."""
    browser = site.client()
    browser.cookies.update(site.client().log_in("Origin").cookies)
    answer, socket = browser.upgrade("/ws", Origin=origin)
    with socket:
        assert answer.status == status


def test_no_session_no_origin_rule(site: Program) -> None:
    """Without the cookie there is nothing to abuse; a path without guards is for everybody."""
    answer, socket = site.client().upgrade("/open", Origin="http://evil.example")
    with socket:
        assert answer.status == 101


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"Origin": "http://test"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://evil.example"}, 403),
        ({"Origin": "https://test"}, 403),
        ({"Content_Type": "text/plain", "Origin": "http://evil.example"}, 403),
        (
            {
                "Content_Type": "application/x-www-form-urlencoded",
                "Origin": "http://evil.example",
            },
            403,
        ),
    ],
)
def test_forged_requests_are_refused(site: Program, fields: dict[str, str], status: int) -> None:
    """An unsafe request with the session cookie has to come from our own pages."""
    browser = site.client().log_in("Csrf")
    assert browser.post("/visit", **fields).status in ((200, 204) if status == 200 else (403,))


def test_every_flipped_bit_of_the_cookie_is_refused(site: Program) -> None:
    """No altered cookie is a session, and none is a fault of the server: all bits of all bytes.

    What is no field any more, such as a NUL, is refused with 400 and ends its connection.
    """
    browser = site.client().log_in("Bits")
    (name, value), *_ = browser.cookies.items()
    raw = value.encode()
    statuses = dict.fromkeys((400, 401), 0)
    client = site.connect()
    for place in range(8 * len(raw)):
        altered = bytearray(raw)
        altered[place // 8] ^= 1 << place % 8
        field = f"Cookie: {name}=".encode() + altered
        client.send(b"GET /me HTTP/1.1\r\nHost: test\r\n" + field + b"\r\n\r\n")
        answer = client.read_response()
        statuses[answer.status] += 1  # KeyError: neither of the two
        if answer.status == 400:
            client.link.close()
            client = site.connect()
    with client:
        assert client.get("/me", f"Cookie: {name}={value}").status == 200
    assert statuses[401] > statuses[400]
    assert sum(statuses.values()) == 8 * len(raw)


def test_cookie_is_for_the_server_alone(site: Program) -> None:
    """HttpOnly, Lax, whole site; nothing but an id and its signature."""
    answer = site.client().post("/visit")
    (cookie,) = (value for name, value in answer.pairs if name.lower() == "set-cookie")
    pair, *attributes = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    id, _, signature = pair.partition("=")[2].partition(".")
    assert len(id) >= 22  # 128 bits in base64
    assert len(signature) == 43  # 256 bits
    assert answer.headers["cache-control"] == "no-store"


def test_connections_of_a_session_are_limited(tmp_path: Path) -> None:
    """At the limit 429; after one has gone there is room again; other sessions are not affected."""
    with Program(tmp_path, FILES, ws_connections_per_session="2") as program:
        browser, other = program.client().log_in("Many"), program.client().log_in("Other")
        with welcomed(browser.ws("/ws")), welcomed(browser.ws("/ws")):
            answer, refused = browser.upgrade("/ws")
            with refused:
                assert answer.status == 429
            answer, stream = browser.events("/events")
            with stream:
                assert answer.status == 429
            with welcomed(other.ws("/ws")):
                pass
        program.wait_for(lambda: program.app.hub.connection_count == 0)
        with welcomed(browser.ws("/ws")):
            pass
