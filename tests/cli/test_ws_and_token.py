"""`flinfast ws` and `flinfast token` against a real server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import SECRET, Server, made, make_server, wait_until

__all__ = ["make_server"]

FILES = {
    "app/echo.flin": (
        "ws {\n"
        "    on message(data) {\n"
        '        if data == "bye" { ws_close(4001, "as you wish") }\n'
        "        else { ws_send(ws.connection_id, data) }\n"
        "    }\n"
        "}\n"
    ),
    "app/me.flin": "guard auth\nroute GET { request.user }\n",
    "app/live.flin": (
        "guard auth\nws { on connect { ws_send(ws.connection_id, request.user.sub) } }\n"
    ),
    "app/login.flin": (
        'route POST { if body.name == "" { return error(400, "no name") } '
        "session.user = { id: 7, name: body.name } { ok: true } }\n"
    ),
    "app/who.flin": (
        "guard auth\nws { on connect { ws_send(ws.connection_id, session.userName) } }\n"
    ),
    "app/quiet.flin": 'route POST { "no session" }\n',
    "app/admin.flin": 'guard role("admin")\nroute GET { "yes" }\n',
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it was."""
    server = made(tmp_path_factory.mktemp("shared"), FILES)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def own_server(make_server: Callable[..., Server]) -> Server:
    return make_server(files=FILES)


def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "FLIN_SESSION_SECRET": SECRET, "FLIN_SERVER_PORT": str(server.port)}


def flinfast(server: Server, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flinfast", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=environment(server),
        cwd=server.root,
        timeout=60,
    )


def begin(
    server: Server, *arguments: str, typed: str, count: int
) -> tuple[subprocess.Popen[str], list[str]]:
    """`flinfast ws` that was given input, and the first `count` lines that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flinfast", "ws", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(server),
        cwd=server.root,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(typed)
    process.stdin.flush()
    return process, [process.stdout.readline() for _ in range(count)]


def talk(server: Server, *arguments: str, typed: str = "", count: int) -> tuple[int, str, str]:
    """`flinfast ws` whose input ends when it has printed `count` lines; status and output."""
    process, lines = begin(server, *arguments, typed=typed, count=count)
    rest, errors = process.communicate(timeout=60)
    return process.returncode, "".join(lines) + rest, errors


def test_lines_are_sent_and_messages_printed(server: Server) -> None:
    """The end of the input closes, after --wait; text, JSON and other scripts pass."""
    typed = 'one\n{"a": 1}\n\u00e9\U0001f600\n'
    status, printed, errors = talk(server, "/echo", "--wait", "0.1", typed=typed, count=3)
    assert status == 0, errors
    assert printed == typed
    assert "closed 1000" in errors


def test_close_of_the_server_is_told(server: Server) -> None:
    """Code and reason, and a status that scripts can see."""
    done = flinfast(server, "ws", "/echo", "--wait", "60", typed="bye\n")
    assert done.returncode == 1
    assert "closed 4001 as you wish" in done.stderr


def test_user_is_whom_the_token_names(server: Server) -> None:
    """`--as` opens what `guard auth` protects; without it the refusal is shown."""
    status, printed, errors = talk(server, "/live", "--as", "7", count=1)
    assert (status, printed) == (0, "7\n"), errors
    refused = flinfast(server, "ws", "/live")
    assert refused.returncode != 0
    assert "expected 101 Switching Protocols, got 401" in refused.stderr


@pytest.mark.parametrize("target", ["/who", "ws://127.0.0.1:{port}/who"])
def test_login_gives_a_session(server: Server, target: str) -> None:
    """As a browser has one, unlike a token; by path and by URL."""
    target = target.format(port=server.port)
    login = ("--login", "/login", '{"name": "Ada"}')
    assert flinfast(server, "ws", "/who").returncode == 1
    process, lines = begin(server, target, *login, typed="", count=1)
    assert lines == ["Ada\n"]
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/login", '{"name": ""}', "POST /login answered 400 Bad Request: "),
        ("/login", "{", "POST /login answered 400 Bad Request: "),
        ("/nowhere", "{}", "POST /nowhere answered 404 Not Found: "),
        ("/quiet", "{}", "POST /quiet set no cookie: it starts no session"),
    ],
)
def test_login_that_fails_is_told(server: Server, path: str, body: str, said: str) -> None:
    """No socket is opened then."""
    done = flinfast(server, "ws", "/who", "--login", path, body)
    assert done.returncode == 1
    assert f"error: {said}" in done.stderr


def test_whole_url_and_header(server: Server) -> None:
    """A URL works without a project; a header line cannot be smuggled in."""
    token = flinfast(server, "token", "--as", "9").stdout.strip()
    url = f"ws://127.0.0.1:{server.port}/live"
    header = f"Authorization: Bearer {token}"
    status, printed, errors = talk(server, url, "--header", header, count=1)
    assert (status, printed) == (0, "9\n"), errors
    for wrong in ("NoColon", "A: b\r\nC: d"):
        assert flinfast(server, "ws", url, "--header", wrong).returncode == 2
    assert flinfast(server, "ws", url, "--as", "7").returncode == 2


def test_server_that_is_not_there(own_server: Server) -> None:
    """One line, no traceback."""
    own_server.stop()
    with socket.socket() as silent:  # keeps the port from others, and does not listen
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", own_server.port))
        done = flinfast(own_server, "ws", "/echo")
    assert done.returncode == 1
    assert "cannot connect to 127.0.0.1" in done.stderr
    assert "`flinfast dev`" in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupt_closes(own_server: Server) -> None:
    """Ctrl-C says goodbye to the server."""
    process, lines = begin(own_server, "/echo", typed="hello\n", count=1)
    assert lines == ["hello\n"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "closed 1000" in errors
    wait_until(lambda: '"code":1000' in own_server.output or "1000" in own_server.output)


def test_token_is_accepted_until_it_expires(server: Server) -> None:
    """Claims, role, and a life; nobody else's key."""
    client = server.client()

    def ask(path: str, *arguments: str) -> int:
        token = flinfast(server, "token", *arguments).stdout.strip()
        return client.get(path, Authorization=f"Bearer {token}")[0]

    token = flinfast(server, "token", "--as", "7", "--claim", "team=red").stdout.strip()
    status, user = client.get("/me", Authorization=f"Bearer {token}")
    assert status == 200
    assert user["sub"] == "7"
    assert user["team"] == "red"
    assert ask("/admin", "--as", "7") == 403
    assert ask("/admin", "--as", "7", "--role", "admin") == 200
    head, _, signature = token.rpartition(".")
    forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert client.get("/me", Authorization=f"Bearer {forged}")[0] == 401


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--as", "7", "--expires", "soon"),
        ("--as", "7", "--expires", "0s"),
        ("--as", "7", "--expires", "99999d"),
        ("--as", "7", "--claim", "novalue"),
        ("--as", "7", "--claim", "=x"),
    ],
    ids=str,
)
def test_wrong_use_of_token(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Status 2 and what was expected."""
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", "token", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
