"""A server's life: listening, probes, TLS, draining."""

from __future__ import annotations

import gc
import os
import resource
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from flinfast.errors import ConfigError
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.server.config import load
from flinfast.server.http_protocol import HttpConnection
from flinfast.server.listen import address_text, open_listeners, tls_context
from flinfast.server.loop import WAIT_THREADS_MAX, LoopScheduler, new_loop
from flinfast.server.server import raise_descriptor_limit
from flinfast.settings import ServerSettings
from tests.server.running import TIMEOUT_S, Client, Running

Start = Callable[..., Running]


# --- listening ----------------------------------------


def test_a_port_in_use_is_a_clear_error(start: Start) -> None:
    """Address, and what to do."""
    running = start()
    settings = ServerSettings(port=running.port)
    with pytest.raises(ConfigError) as caught:
        open_listeners(settings)
    assert str(caught.value) == f"127.0.0.1:{running.port} is in use"
    assert "--port" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ServerSettings(host="no such host"), "expected an address of this machine"),
        (ServerSettings(host="192.0.2.1", port=0), "is not an address of this machine"),
        (ServerSettings(fd=987_654), "expected an open listening socket"),
        (ServerSettings(uds="/no/such/folder/x.sock"), "cannot listen on"),
    ],
)
def test_addresses_that_cannot_be_used_are_named(settings: ServerSettings, message: str) -> None:
    """A ConfigError, never an OSError."""
    with pytest.raises(ConfigError, match=message):
        open_listeners(settings)


def test_localhost_listens_on_one_port_for_all_its_addresses() -> None:
    """IPv4 and IPv6, also with port 0."""
    listeners = open_listeners(ServerSettings(host="localhost", port=0))
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
        assert address_text(listeners[0], is_tls=False).startswith("http://")
    finally:
        for listener in listeners:
            listener.close()


def test_ipv6_addresses_are_written_in_brackets() -> None:
    """RFC 3986 section 3.2.2."""
    (listener,) = open_listeners(ServerSettings(host="::1", port=0))
    with listener:
        port = listener.getsockname()[1]
        assert address_text(listener, is_tls=True) == f"https://[::1]:{port}"


def test_unix_socket(start: Start, tmp_path: Path) -> None:
    """Served, readable by owner and group only, removed at the end."""
    path = tmp_path / "s.sock"
    running = start(server_uds=str(path))
    assert running.server.addresses == (f"unix:{path}",)
    assert path.stat().st_mode & 0o777 == 0o660
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(path))
    with Client(link) as client:
        assert client.get("/echo").status == 200
        assert running.app.requests[-1].peer == ""
    with pytest.raises(ConfigError, match="is in use"):
        open_listeners(ServerSettings(uds=str(path)))
    running.stop()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed server left behind; anything else is not touched."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    for listener in open_listeners(ServerSettings(uds=str(path))):
        listener.close()
    other = tmp_path / "file"
    other.write_text("keep me")
    with pytest.raises(ConfigError, match="is not a socket"):
        open_listeners(ServerSettings(uds=str(other)))
    assert other.read_text() == "keep me"


def test_an_inherited_socket_is_served(start: Start) -> None:
    """`--fd`, as systemd hands it over."""
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        inherited.listen()
        running = start(server_fd=str(inherited.fileno()))
        assert running.port == inherited.getsockname()[1]
        with running.connect() as client:
            assert client.get("/").status == 200


def test_the_descriptor_limit_is_raised() -> None:
    """Soft to hard; each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- TLS ----------------------------------------


def tls_client(running: Running, certificate: str) -> Client:
    context = ssl.create_default_context(cafile=certificate)
    link = socket.create_connection(("127.0.0.1", running.port), TIMEOUT_S)
    return Client(context.wrap_socket(link, server_hostname="127.0.0.1"))


def test_tls(start: Start, certificate: tuple[str, str]) -> None:
    """HTTPS, its scheme, HSTS when asked for, upgrades through the adapter."""
    running = start(
        server_ssl_certfile=certificate[0], server_ssl_keyfile=certificate[1], security_hsts="on"
    )
    assert running.server.addresses[0].startswith("https://")
    with tls_client(running, certificate[0]) as client:
        answer = client.get("/echo")
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert running.app.requests[-1].scheme == "https"
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.read_response().status == 400
    with tls_client(running, certificate[0]) as client:
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nearly"
        )
        assert client.read_response().status == 101
        assert running.hub.opened[0].kind == "transport"
        client.send(b"later")
        running.wait_for(lambda: running.hub.opened[0].early + running.hub.fed == b"earlylater")


def test_plain_http_on_a_tls_port_harms_nobody(start: Start, certificate: tuple[str, str]) -> None:
    """The handshake fails; the next client is served."""
    running = start(server_ssl_certfile=certificate[0], server_ssl_keyfile=certificate[1])
    with running.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_to_end()
    with tls_client(running, certificate[0]) as client:
        assert client.get("/").status == 200


def test_an_unusable_certificate_is_a_clear_error(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    """Missing, not PEM, or not the key's."""
    (tmp_path / "bad.pem").write_text("nonsense")
    good = ServerSettings(ssl_certfile=certificate[0], ssl_keyfile=certificate[1])
    assert tls_context(good) is not None
    assert tls_context(ServerSettings()) is None
    for settings in (
        replace(good, ssl_certfile="/no/such/file"),
        replace(good, ssl_certfile=str(tmp_path / "bad.pem")),
        replace(good, ssl_keyfile=certificate[0]),
    ):
        with pytest.raises(ConfigError, match="cannot use the certificate"):
            tls_context(settings)


# --- probes ----------------------------------------


def test_health_and_readiness(shared: Running) -> None:
    """200 with a status; GET and HEAD only; nothing else below /_flin/."""
    with shared.connect() as client:
        for path in ("/_flin/health", "/_flin/ready"):
            answer = client.get(path)
            assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
            assert answer.headers["cache-control"] == "no-store"
        client.send(b"POST /_flin/health HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().status == 405
        for path in ("/_flin/", "/_flin/nothing", "/_flin/../etc/passwd"):
            assert client.get(path).status == 404


def test_metrics_are_prometheus_text(start: Start) -> None:
    """Every sample has HELP and TYPE; counters count."""
    running = start()
    with running.connect() as client:
        client.get("/")
        client.get("/nowhere")
        answer = client.get("/_flin/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    described = set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            described.add(line.split(" ")[2])
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name.partition("{")[0] in described
            samples[name] = int(value)
    assert samples['flin_http_responses_total{status="2xx"}'] == 1
    assert samples['flin_http_responses_total{status="4xx"}'] == 1
    assert samples["flin_http_connections"] == 1
    assert samples["flin_ws_send_queue_bytes"] == 7


@pytest.mark.parametrize(
    ("setting", "field", "status"),
    [
        ("local", "", 200),
        ("local", "X-Forwarded-For: 127.0.0.1", 404),
        ("local", "Forwarded: for=127.0.0.1", 404),
        ("local", "X-Forwarded-Proto: https", 404),
        ("local", "X-Real-IP: 127.0.0.1", 404),
        ("local", "Via: 1.1 proxy", 404),
        ("public", "X-Forwarded-For: 1.2.3.4", 200),
        ("off", "", 404),
    ],
)
def test_metrics_are_for_this_machine_unless_set(
    start: Start, setting: str, field: str, status: int
) -> None:
    """`server.metrics`; what a proxy passed on is not local."""
    running = start(server_metrics=setting)
    with running.connect() as client:
        assert client.get("/_flin/metrics", *([field] if field else [])).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:3000", 200),
        ("localhost", 200),
        ("app.localhost:3000", 200),
        ("[::1]:3000", 200),
        ("monitor", 200),
        ("evil.example", 404),
        ("127.0.0.1.evil.example", 404),
        ("localhost.evil.example", 404),
        ("8.8.8.8", 404),
    ],
)
def test_metrics_are_not_for_pages_of_other_hosts(shared: Running, host: str, status: int) -> None:
    """A name that somebody lets point to this machine makes no request local."""
    with shared.connect() as client:
        client.send(f"GET /_flin/metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.read_response().status == status


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 200),
        ("127.8.9.10", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("192.0.2.1", 404),
        ("::ffff:192.0.2.1", 404),
        ("::1234", 404),
        ("", 404),  # a Unix socket: its other end is a proxy
        ("-", 404),
    ],
)
def test_metrics_are_not_for_other_machines(shared: Running, peer: str, status: int) -> None:
    """Wherever the server listens."""
    site = shared.server.site
    assert site is not None
    request = Request("GET", "/_flin/metrics", "/_flin/metrics", peer=peer)
    request.headers.append(("host", "localhost"))
    assert site.probes.respond(request).status == status


# --- draining ----------------------------------------


def connections(running: Running) -> list[HttpConnection]:
    assert running.server.site is not None
    return list(running.server.site.connections)


@pytest.mark.parametrize("data_plane", ["reactor", "adapter"])
def test_drain_answers_what_came_before_it(start: Start, data_plane: str) -> None:
    """A loop that was busy has not yet seen it: a new connection, and the next request of one."""
    running = start(server_data_plane=data_plane)
    held, may_go_on = threading.Event(), threading.Event()

    def hold_and_stop() -> None:
        held.set()
        may_go_on.wait(TIMEOUT_S)
        running.server.request_stop()

    with running.connect() as kept:
        assert kept.get("/").status == 200
        running.loop.call_soon_threadsafe(hold_and_stop)
        assert held.wait(TIMEOUT_S)
        with running.connect() as new:
            for client in (kept, new):
                client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            may_go_on.set()
            for client in (kept, new):
                assert client.read_response().body == b'"home"'
                assert client.is_closed()
    running.stop()


def test_drain_finishes_what_runs_and_closes_what_is_idle(start: Start) -> None:
    """Readiness goes, new connections are refused, the pending answer arrives, then the end."""
    running = start()
    with running.connect() as idle, running.connect() as busy, running.connect() as watcher:
        assert idle.get("/").status == 200
        busy.send(b"GET /never HTTP/1.1\r\nHost: test\r\n\r\n")
        running.wait_for(lambda: bool(running.app.pending))
        watcher.send(b"GET /_flin/ready HTTP/1.1\r\nHost:")
        running.wait_for(lambda: sum(not c.is_idle for c in connections(running)) == 2)
        running.request_stop()
        assert idle.is_closed()
        running.wait_for(lambda: "drain 1012" in running.hub.events)
        watcher.send(b" test\r\n\r\n")
        answer = watcher.read_response()
        assert (answer.status, answer.body) == (503, b'{"status":"draining"}')
        assert answer.headers["connection"] == "close"
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        respond = running.app.pending.pop()
        running.loop.call_soon_threadsafe(respond, Response(200, [], b"done"))
        answer = busy.read_response()
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        assert busy.is_closed()
    running.stop()
    assert running.app.closed
    assert running.hub.events[-2:] == ["abort", "detach"]


def test_drain_refuses_upgrades(start: Start) -> None:
    """503, so that the client tries elsewhere."""
    running = start()
    with running.connect() as client, running.connect() as busy:
        busy.send(b"GET /never HTTP/1.1\r\nHost: test\r\n\r\n")
        running.wait_for(lambda: bool(running.app.pending))
        client.send(b"GET /ws HTTP/1.1\r\n")
        running.wait_for(lambda: sum(not c.is_idle for c in connections(running)) == 2)
        running.request_stop()
        running.wait_for(lambda: "drain 1012" in running.hub.events)
        client.send(
            b"Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.read_response().status == 503
        running.request_stop()
    running.stop()


def test_drain_ends_at_its_deadline(start: Start) -> None:
    """`server.drain`: what never ends is reset."""
    running = start(server_drain="200ms")
    with running.connect() as client:
        client.send(b"GET /never HTTP/1.1\r\nHost: test\r\n\r\n")
        running.wait_for(lambda: bool(running.app.pending))
        running.stop()
        assert client.is_closed()


def test_a_second_signal_ends_the_waiting(start: Start) -> None:
    """Someone is in a hurry."""
    running = start(server_drain="1h")
    with running.connect() as client:
        client.send(b"GET /never HTTP/1.1\r\nHost: test\r\n\r\n")
        running.wait_for(lambda: bool(running.app.pending))
        running.request_stop()
        running.wait_for(lambda: "drain 1012" in running.hub.events)
        running.stop()
        assert client.is_closed()


def test_the_port_is_free_at_once(start: Start) -> None:
    """Restart on the same port although connections of the old server linger."""
    first = start()
    port = first.port
    with first.connect() as client:
        assert client.get("/").status == 200
        first.stop()
    for listener in open_listeners(ServerSettings(port=port)):
        listener.close()


def test_no_descriptor_is_left(start: Start) -> None:
    """Listeners, loop and connections are closed."""
    start().stop()
    gc.collect()  # what earlier tests left is not ours to count
    before = len(os.listdir("/proc/self/fd"))
    running = start()
    with running.connect() as client:
        client.get("/")
    running.stop()
    # What threads of earlier tests still give back makes it fewer.
    running.wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_a_program_that_cannot_be_loaded_leaves_nothing_open(tmp_path: Path) -> None:
    """The error leaves serve() as it is; no listener stays."""

    class Broken(Running):
        def _load(self, scheduler: LoopScheduler, log: object) -> object:
            raise ConfigError("broken on purpose")

    with pytest.raises(ConfigError, match="broken on purpose"):
        Broken(tmp_path, {}).start()


# --- access log ----------------------------------------


def test_each_answer_has_an_access_line(start: Start) -> None:
    """Method, path without its query, status; refusals as well."""
    running = start(log_format="pretty")
    with running.connect() as client:
        client.get("/echo?token=secret")
        client.get("/nowhere")
        client.send(b"nonsense\r\n\r\n")
        client.read_response()
    running.stop()
    lines = [line.split(" ", 2)[2].strip() for line in running.log_text().splitlines()]
    assert lines[0].startswith("GET /echo 200 ")
    assert lines[1].startswith("GET /nowhere 404 ")
    assert lines[2].startswith("- - 400 ")
    assert "secret" not in running.log_text()


def test_each_connection_that_ends_has_a_line(start: Start) -> None:
    """Path, close code and how long it was open; not when access lines are off."""
    running = start(log_format="pretty")
    gone = SimpleNamespace(path="/ws", close_code=1001, opened_ms=0, messages_in=3, messages_out=5)
    assert running.app.when_closed is not None
    running.loop.call_soon_threadsafe(running.app.when_closed, gone)
    running.wait_for(lambda: " WS /ws 1001 " in running.log_text())
    assert start(log_access="off").app.when_closed is None


# --- threads ----------------------------------------


def test_thread_work_comes_back_to_the_loop() -> None:
    """Results and exceptions, in the loop's thread."""
    loop = new_loop()
    scheduler = LoopScheduler(loop)
    seen: list[tuple[object, bool]] = []
    here = threading.get_ident()

    def done(result: object) -> None:
        seen.append((result, threading.get_ident() == here))
        if len(seen) == 2:
            loop.stop()

    def fail() -> int:
        raise ValueError("inside")

    scheduler.run_in_thread(threading.get_ident, done)
    scheduler.run_in_thread(fail, done)
    loop.run_forever()
    scheduler.close()
    loop.close()
    assert all(is_here for _, is_here in seen)
    assert {type(result) for result, _ in seen} == {int, ValueError}
    assert here not in [result for result, _ in seen]


def test_slow_waits_do_not_delay_the_database() -> None:
    """A sync finds a thread while more handlers wait than there are threads for them."""
    loop = new_loop()
    scheduler = LoopScheduler(loop)
    release = threading.Event()
    ended: list[str] = []

    def waited(_: object) -> None:
        ended.append("wait")
        if len(ended) == WAIT_THREADS_MAX + 9:
            loop.stop()

    def synced(_: object) -> None:
        ended.append("sync")
        release.set()

    for _ in range(WAIT_THREADS_MAX + 8):
        scheduler.run_waiting(lambda: release.wait(TIMEOUT_S), waited)
    scheduler.run_in_thread(lambda: None, synced)
    loop.run_forever()
    scheduler.close()
    loop.close()
    assert ended[0] == "sync"


def test_the_default_mode_of_serve_is_production(tmp_path: Path) -> None:
    """Nothing has to be set to be safe."""
    assert load(tmp_path, environ={}).settings.mode == "production"
