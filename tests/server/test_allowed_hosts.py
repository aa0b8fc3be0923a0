"""Names a site answers to: the table of entries, and refusals over real sockets in both planes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flinfast.errors import ConfigError
from flinfast.native.handshake import accept_key
from flinfast.server import config
from flinfast.server.allowed_hosts import AllowedHosts
from flinfast.server.upgrade import VERSION
from tests.server.program import Program
from tests.server.running import Answer, Client, Running

Start = Callable[..., Running]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PLANES = ["reactor", "adapter"]
FILES = {
    "app/where.flin": "route GET { { host: request.host } }\n",
    "app/talk.flin": "ws {\n    on message(data) { ws_send(ws.connection_id, data) }\n}\n",
}


def ask(client: Client, host: str, path: str = "/echo", *more: str) -> Answer:
    client.send("\r\n".join((f"GET {path} HTTP/1.1", f"Host: {host}", *more, "", "")).encode())
    return client.read_response()


def knock(client: Client, host: str, path: str, *more: str) -> Answer:
    fields = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Version: {VERSION}")
    return ask(client, host, path, *fields, f"Sec-WebSocket-Key: {KEY}", *more)


def assert_refused(answer: Answer, client: Client) -> None:
    assert answer.status == 421
    assert json.loads(answer.body) == {"error": "Host not allowed", "status": 421}
    assert client.is_closed()


@pytest.mark.parametrize(
    ("entry", "allowed", "refused"),
    [
        (
            "example.com",
            ["example.com", "EXAMPLE.com.", "example.com:1", "example.com:65535"],
            [
                "a.example.com",
                "example.com.evil",
                "xexample.com",
                "example.co",
                "",
                "example.com..",
            ],
        ),
        ("Example.COM.", ["example.com", "example.com.:80"], ["example"]),
        (
            "*.example.com",
            ["a.example.com", "A.b.example.com:9"],
            ["example.com", "aexample.com", "a.example.com.evil", ".example.org"],
        ),
        ("a.test:0080", ["a.test:80", "a.test:080", "a.test"], ["a.test:81", "a.test:8"]),
        ("a.test:443", ["a.test", "a.test:443"], ["a.test:80"]),
        ("a.test:3000", ["a.test:3000"], ["a.test", "a.test:80", "b.test:3000"]),
        ("*.a.test:3000", ["x.a.test:3000"], ["x.a.test", "a.test:3000"]),
        ("192.0.2.1", ["192.0.2.1", "192.0.2.1:80"], ["192.0.2.10", "192.0.2", "localhost"]),
        ("[2001:DB8:0::1]", ["[2001:db8::1]", "[2001:db8:0:0::1]:80"], ["[2001:db8::2]"]),
        ("[::1]:3000", ["[0:0:0:0:0:0:0:1]:3000"], ["[::1]", "[::1]:3001", "[::]:3000"]),
        ("*", ["anything", ""], []),
    ],
)
def test_entry_allows_its_names_only(entry: str, allowed: list[str], refused: list[str]) -> None:
    """Whatever the case, a final dot or the spelling of an address."""
    hosts = AllowedHosts([entry])
    assert [host for host in allowed if not hosts.allows(host)] == []
    assert [host for host in refused if hosts.allows(host)] == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:3000", "chat.localhost", "127.0.0.1:3000", "127.8.8.8", "[::1]:9"],
)
def test_local_names_are_allowed_when_developing(host: str) -> None:
    """`flinfast dev` works with the settings of production; names like them are none of them."""
    assert AllowedHosts(["example.com"], allows_local=True).allows(host)
    assert not AllowedHosts(["example.com"]).allows(host)
    for other in ("localhost.evil", "xlocalhost", "127.0.0.1.evil", "128.0.0.1", "[::2]"):
        assert not AllowedHosts(["example.com"], allows_local=True).allows(other)


@pytest.mark.parametrize(
    "entry",
    [
        *("https://example.com", "example.com/", "a b", "*.", "*example.com", "a.*.com", "::1"),
        *("example.com:", "example.com:65536", "[::1", "-a.com", "a..b", "", "*:80", "user@a.com"),
    ],
)
def test_entry_that_is_no_host_is_refused(tmp_path: Path, entry: str) -> None:
    """At start, not at the first request."""
    (tmp_path / "flinfast.toml").write_text(
        f"[server]\nallowed_hosts = [{json.dumps(entry)}]\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path, environ={})
    assert caught.value.path == "server.allowed_hosts (flinfast.toml)"


@pytest.mark.parametrize("data_plane", PLANES)
def test_request_for_another_name_is_refused(tmp_path: Path, data_plane: str) -> None:
    """Before the program sees it; also one that a connection has repeated until it was known."""
    settings = {"server_allowed_hosts": "example.com, *.example.org:3000"}
    with Program(tmp_path, FILES, server_data_plane=data_plane, **settings) as program:
        with program.connect() as client:
            for _ in range(5):
                assert json.loads(ask(client, "example.com", "/where").body) == {
                    "host": "example.com"
                }
            assert_refused(ask(client, "evil.test", "/where"), client)
        with program.connect() as client:
            assert ask(client, "a.example.org:3000", "/where").status == 200
            assert_refused(ask(client, "a.example.org", "/where"), client)
        for _ in range(3):
            with program.connect() as client:
                assert_refused(ask(client, "evil.test", "/where"), client)
        with program.connect() as client:
            client.send(b"GET /where HTTP/1.0\r\n\r\n")
            assert_refused(client.read_response(), client)
        with program.connect() as client:
            answer = ask(client, "evil.test", "http://evil.test/where")
            assert_refused(answer, client)


@pytest.mark.parametrize("data_plane", PLANES)
def test_upgrade_for_another_name_is_refused(tmp_path: Path, data_plane: str) -> None:
    """Also when equal heads, but for the Host, are known and opened without another look."""
    settings = {"server_allowed_hosts": "example.com"}
    with Program(tmp_path, FILES, server_data_plane=data_plane, **settings) as program:
        for _ in range(3):
            with program.connect() as client:
                answer = knock(client, "example.com", "/talk")
                assert answer.status == 101
                assert answer.headers["sec-websocket-accept"] == accept_key(KEY.encode()).decode()
            with program.connect() as client:
                assert_refused(knock(client, "evil.test", "/talk"), client)


def test_name_that_a_proxy_passes_on_counts(start: Start) -> None:
    """Host, as `request.host` is it; X-Forwarded-Host allows nothing."""
    running = start(server_proxy_headers="on", server_allowed_hosts="example.com")
    forwarded = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: example.com")
    with running.connect() as client:
        assert_refused(ask(client, "evil.test", "/echo", *forwarded), client)
    with running.connect() as client:
        assert_refused(knock(client, "evil.test", "/ws", *forwarded), client)
    with running.connect() as client:
        assert ask(client, "example.com", "/echo", "X-Forwarded-Host: evil.test").status == 200
        assert running.app.requests[0].host == "example.com"
    assert len(running.app.requests) == 1
    assert running.app.upgrades == []


def test_health_answers_under_any_name(start: Start) -> None:
    """Balancers ask by address; nothing else is open, and no upgrade is."""
    running = start(server_allowed_hosts="example.com", server_root_path="/chat")
    with running.connect() as client:
        for path in ("/_flin/health", "/_flin/ready", "/chat/_flin/health", "/_flin/metrics"):
            assert ask(client, "127.0.0.1:3000", path).status == 200
        assert_refused(ask(client, "127.0.0.1:3000", "/_flin/healthy"), client)
    with running.connect() as client:
        assert_refused(knock(client, "127.0.0.1:3000", "/_flin/health"), client)


def test_any_name_is_allowed_by_default(start: Start) -> None:
    """An empty list, and one that holds `*`."""
    for running in (start(), start(server_allowed_hosts="example.com, *")):
        with running.connect() as client:
            assert ask(client, "whatever.test").status == 200


def test_this_machine_is_allowed_in_dev_only(start: Start) -> None:
    """Over a socket, by the mode of the server."""
    dev = start(env="dev", server_allowed_hosts="example.com")
    with dev.connect() as client:
        assert ask(client, "localhost:3000").status == 200
        assert_refused(ask(client, "evil.test"), client)
    production = start(server_allowed_hosts="example.com")
    with production.connect() as client:
        assert_refused(ask(client, "localhost:3000"), client)
