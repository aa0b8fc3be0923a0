"""The configurations of docs/howto/deploy.md, run where the programs they are for are installed."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flinfast.server.events import OPENING
from tests.e2e.conftest import wait_until
from tests.runtime.programs import LOGIN
from tests.server.program import Browser, Program
from tests.server.running import TIMEOUT_S, Client

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "howto" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FILES = {
    **LOGIN,
    "app/me.flin": "guard auth\n\nroute GET { session.userId }",
    "app/who.flin": "route GET { { ip: request.ip, scheme: request.scheme } }",
    "app/size.flin": "route POST { body.len }",
    "app/big.flin": 'route GET { "x".repeat(200_000) }',
    "app/ws.flin": """
        guard auth

        ws {
            on connect { ws_join("news") }
            on message(data) { broadcast("news", data) }
        }
    """,
    "app/news.flin": 'route GET { event_stream("news") }',
}


def block(kind: str, number: int = 0) -> str:
    return [text for name, text in BLOCKS if name == kind][number]


@dataclass
class Proxy:
    """nginx in front of a program; clients talk to it as to the program itself."""

    port: int

    def connect(self) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S))

    def client(self) -> Browser:
        return Browser(self)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The documented server block, on a free port, in front of a program on a free port."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("needs nginx (Debian package nginx-light)")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Program(folder / "site", FILES, server_proxy_headers="on") as program:
        site = block("nginx")
        assert "listen 80;" in site
        assert "127.0.0.1:3000" in site
        site = site.replace("listen 80;", f"listen 127.0.0.1:{port};")
        site = site.replace("127.0.0.1:3000", f"127.0.0.1:{program.port}")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{places}{site}\n}}\n"
        )
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            one = Proxy(port)

            def answers() -> bool:
                assert process.poll() is None, process.stderr and process.stderr.read()
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            wait_until(answers)
            yield one
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
            if process.stderr is not None:
                process.stderr.close()


def test_requests_through_nginx(proxy: Proxy) -> None:
    """Address and scheme are the client's; bodies and keep-alive work; errors come through."""
    browser = proxy.client()
    assert browser.get("/who").body == b'{"ip":"127.0.0.1","scheme":"http"}'
    assert browser.request("POST", "/size", raw=b"x" * 100_000).body == b"100000"
    assert len(browser.get("/big").body) == 200_002
    with proxy.connect() as client:
        for _ in range(3):
            assert client.get("/who").status == 200
    assert browser.get("/nothing").status == 404
    assert browser.get("/me").status == 401


def test_websockets_through_nginx(proxy: Proxy) -> None:
    """Guards answer as HTTP; a session's socket opens, also from a page of the same origin."""
    answer, refused = proxy.client().upgrade("/ws")
    with refused:
        assert answer.status == 401
    browser = proxy.client().log_in()
    answer, foreign = browser.upgrade("/ws", Origin="http://evil.example")
    with foreign:
        assert answer.status == 403
    with browser.ws("/ws", Origin="http://test") as first, browser.ws("/ws") as second:
        first.send({"text": "hello"})
        assert first.receive() == {"text": "hello"}
        assert second.receive() == {"text": "hello"}
        first.send("x" * 200_000)
        assert len(second.receive()) == 200_000


def test_event_streams_through_nginx(proxy: Proxy) -> None:
    """Events arrive at once, unbuffered."""
    browser = proxy.client().log_in("Reader")
    with proxy.connect() as client, browser.ws("/ws") as link:
        client.send(b"GET /news HTTP/1.1\r\nHost: test\r\n\r\n")
        received = client.read_until(OPENING[-5:])
        assert b"text/event-stream" in received
        link.send({"n": 1})
        assert b'data: {"n": 1}' in client.read_until(b"}\n\n")


def test_logout_reaches_through_nginx(proxy: Proxy) -> None:
    """The close code survives the proxy."""
    browser = proxy.client().log_in("Leaver")
    with browser.ws("/ws") as link:
        browser.request("DELETE", "/login")
        assert link.close_code() == 4401


# --- systemd and Docker ----------------------------------------


@pytest.mark.parametrize(("number", "suffix"), [(0, "service"), (1, "socket")])
def test_units_are_valid(tmp_path: Path, number: int, suffix: str) -> None:
    """`systemd-analyze verify` has nothing to say."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    text = block("ini", number)
    text = text.replace("/srv/chat/.venv/bin/flinfast", sys.executable)
    for name, content in ((f"chat.{suffix}", text), ("chat.service", block("ini", 0))):
        content = content.replace("/srv/chat/.venv/bin/flinfast", sys.executable)
        content = content.replace("User=chat\n", "User=daemon\n")
        (tmp_path / name).write_text(content)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / f"chat.{suffix}")],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if f"chat.{suffix}" in line]
    assert complaints == []


def test_commands_of_the_recipes_exist() -> None:
    """Every option of `flinfast serve` on the page is one."""
    from flinfast.cli.serve import command

    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    lines = [line for line in PAGE.splitlines() if "flinfast" in line and "serve" in line]
    used = {word for line in lines for word in re.findall(r"(?<![\w-])--[a-z-]+", line)}
    assert used <= known
    assert len(used) >= 5


def test_docker_instructions_are_known() -> None:
    """The file starts from an image, runs without root and keeps its data in a volume."""
    lines = block("dockerfile").splitlines()
    words = [line.split(" ")[0] for line in lines if line and not line.startswith(" ")]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"}
    assert set(words) <= known | {"HEALTHCHECK", "CMD"}
    assert words.index("USER") > words.index("RUN")
    assert "VOLUME /srv/chat/.flindb" in lines
