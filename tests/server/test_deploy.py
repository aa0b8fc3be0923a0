"""The configurations of docs/howto/deploy.md, run where the programs they are for are installed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flinfast.server.events import OPENING
from tests.e2e.conftest import free_port, wait_until
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
    """A reverse proxy in front of a program; clients talk to it as to the program itself.

    Attributes:
        port: Where it listens on 127.0.0.1.
        tls: How clients trust it, None over plain HTTP.
        reload: Makes it read its configuration again.
    """

    port: int
    tls: ssl.SSLContext | None = None
    reload: Callable[[], None] | None = None

    @property
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"

    def connect(self) -> Client:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        return Client(
            link if self.tls is None else self.tls.wrap_socket(link, server_hostname="test")
        )

    def client(self) -> Browser:
        return Browser(self)  # type: ignore[arg-type]


def installed(name: str, package: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name} (Debian package {package})")
    return found


@contextlib.contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """A proxy's process, from when it listens."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **environment})
    assert process.stderr is not None
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
    reader.start()

    def answers() -> bool:
        assert process.poll() is None, b"".join(lines).decode()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers)
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
        reader.join(TIMEOUT_S)
        process.stderr.close()


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Proxy]:
    """The documented server block, on a free port."""
    program, port = installed("nginx", "nginx-light"), free_port()
    site = block("nginx")
    assert "listen 80;" in site
    assert "127.0.0.1:3000" in site
    site = site.replace("listen 80;", f"listen 127.0.0.1:{port};")
    site = site.replace("127.0.0.1:3000", f"127.0.0.1:{upstream}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{site}\n}}\n"
    )
    with running([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], port):
        yield Proxy(port)


@contextlib.contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[Proxy]:
    """The documented site, on a free port, with a certificate of its own authority."""
    program, port = installed("caddy", "caddy"), free_port()
    site = block("caddy")
    assert "chat.example.org {" in site
    assert "127.0.0.1:3000" in site
    site = site.replace(
        "chat.example.org {", f"https://test:{port} {{\n\tbind 127.0.0.1\n\ttls internal"
    )
    site = site.replace("127.0.0.1:3000", f"127.0.0.1:{upstream}")
    file = folder / "Caddyfile"
    file.write_text(
        f"{{\n\tadmin unix/{folder}/admin\n\tauto_https disable_redirects\n\tskip_install_trust\n"
        f"\tstorage file_system {folder}/store\n}}\n{site}"
    )
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    config = ["--config", str(file), "--adapter", "caddyfile"]

    def read_again() -> None:
        command = [program, "reload", *config, "--force", "--address", f"unix/{folder}/admin"]
        done = subprocess.run(
            command, env={**os.environ, **home}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    with running([program, "run", *config], port, **home):
        root = folder / "store" / "pki" / "authorities" / "local" / "root.crt"
        wait_until(root.exists)
        tls = ssl.create_default_context(cafile=str(root))
        proxy = Proxy(port, tls, read_again)

        def has_certificate() -> bool:
            with contextlib.suppress(OSError), proxy.connect() as client:
                return client.link.fileno() >= 0
            return False

        wait_until(has_certificate)
        yield proxy


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """Each documented proxy in front of a program on a free port."""
    folder = tmp_path_factory.mktemp("proxy")
    with (
        Program(folder / "site", FILES, server_proxy_headers="on") as program,
        request.param(folder, program.port) as proxy,
    ):
        yield proxy


def test_requests_through_a_proxy(proxy: Proxy) -> None:
    """Address and scheme are the client's; bodies and keep-alive work; errors come through."""
    browser = proxy.client()
    seen = json.loads(browser.get("/who").body)
    assert seen == {"ip": "127.0.0.1", "scheme": proxy.scheme}
    assert browser.request("POST", "/size", raw=b"x" * 100_000).body == b"100000"
    assert len(browser.get("/big").body) == 200_002
    with proxy.connect() as client:
        for _ in range(3):
            assert client.get("/who").status == 200
    assert browser.get("/nothing").status == 404
    assert browser.get("/me").status == 401


def test_what_a_client_claims_is_not_believed(proxy: Proxy) -> None:
    """The proxy's forwarding fields replace the client's."""
    browser = proxy.client()
    answer = browser.get("/who", X_Forwarded_For="8.8.8.8", X_Forwarded_Proto="gopher")
    assert json.loads(answer.body) == {"ip": "127.0.0.1", "scheme": proxy.scheme}
    assert browser.get("/_flin/metrics").status == 404


def test_the_session_cookie_is_secure_behind_tls(proxy: Proxy) -> None:
    """`Secure` and `__Host-` follow the scheme that the proxy tells."""
    answer = proxy.client().post("/login", {"name": "Ada", "role": "member"})
    is_secure = proxy.scheme == "https"
    assert answer.headers["set-cookie"].startswith("__Host-flin_session=") is is_secure
    assert ("; Secure" in answer.headers["set-cookie"]) is is_secure


def test_websockets_through_a_proxy(proxy: Proxy) -> None:
    """Guards answer as HTTP; a session's socket opens, also from a page of the same origin."""
    answer, refused = proxy.client().upgrade("/ws")
    with refused:
        assert answer.status == 401
    browser = proxy.client().log_in()
    answer, foreign = browser.upgrade("/ws", Origin=f"{proxy.scheme}://evil.example")
    with foreign:
        assert answer.status == 403
    own = f"{proxy.scheme}://test"
    with browser.ws("/ws", Origin=own) as first, browser.ws("/ws") as second:
        first.send({"text": "hello"})
        assert first.receive() == {"text": "hello"}
        assert second.receive() == {"text": "hello"}
        first.send("x" * 200_000)
        assert len(second.receive()) == 200_000


def test_event_streams_through_a_proxy(proxy: Proxy) -> None:
    """Events arrive at once, unbuffered."""
    browser = proxy.client().log_in("Reader")
    with proxy.connect() as client, browser.ws("/ws") as link:
        client.send(b"GET /news HTTP/1.1\r\nHost: test\r\n\r\n")
        received = client.read_until(OPENING[-5:])
        assert b"text/event-stream" in received
        link.send({"n": 1})
        assert b'data: {"n": 1}' in client.read_until(b"}\n\n")


def test_logout_reaches_through_a_proxy(proxy: Proxy) -> None:
    """The close code survives the proxy."""
    browser = proxy.client().log_in("Leaver")
    with browser.ws("/ws") as link:
        browser.request("DELETE", "/login")
        assert link.close_code() == 4401


# nginx runs without a master process here, and it is the master that reloads.
@pytest.mark.parametrize("proxy", [pytest.param(caddy, id="caddy")], indirect=True)
def test_a_proxy_that_reads_its_configuration_again_serves_on(proxy: Proxy) -> None:
    """New requests and sockets get through afterwards."""
    assert proxy.reload is not None
    browser = proxy.client().log_in("Stayer")
    with browser.ws("/ws"):
        proxy.reload()
        assert browser.get("/me").status == 200
        with browser.ws("/ws") as link:
            link.send({"text": "after"})
            assert link.receive() == {"text": "after"}


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
