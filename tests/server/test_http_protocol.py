"""Connections: order, backpressure, deadlines, ends. The request table is in its own file."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from flinfast.runtime.response import Response
from flinfast.server.http_protocol import PIPELINE_BYTES_MAX
from tests.server.running import TIMEOUT_S, Client, Running

Start = Callable[..., Running]
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def request(path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = "".join(f"{line}\r\n" for line in ("Host: test", *fields))
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def send_until_stuck(client: Client, data: bytes, is_stuck: Callable[[], bool]) -> int:
    """Send `data` again and again until the server takes no more; bytes sent.

    Args:
        client: Reads nothing meanwhile.
        data: Sent whole each time, in as many parts as the kernel takes it.
        is_stuck: Whether the server has stopped by itself; it may only be slow otherwise.
    """
    client.link.settimeout(0.3)
    sent = 0
    while sent < 256 << 20:
        try:
            sent += client.link.send(data[sent % len(data) :])
        except TimeoutError:
            if is_stuck():
                return sent
    raise AssertionError("the server took everything")


def sent_in_time(running: Running, data: bytes, limit_s: float) -> Client:
    """A client whose bytes were there before a silent one would have been closed."""
    while True:
        began = time.monotonic()
        client = running.connect()
        client.send(data)
        if time.monotonic() - began < limit_s:
            return client
        client.link.close()  # this thread was held up


# --- order ----------------------------------------


def test_pipelined_requests_are_answered_in_order(shared: Running) -> None:
    """A slow first answer holds back quick later ones."""
    with shared.connect() as client:
        client.send(request("/later") + request("/") + request("/later") + request("/echo"))
        bodies = [client.read_response().body for _ in range(4)]
        assert bodies == [b'"later"', b'"home"', b'"later"', b"empty"]


def test_many_pipelined_requests_are_all_answered(shared: Running) -> None:
    """More than one turn's worth."""
    with shared.connect() as client:
        client.send(request("/echo?%d") * 200)
        for _ in range(200):
            assert client.read_response().status == 200
        assert client.get("/").body == b'"home"'


def test_bodies_of_pipelined_requests_stay_apart(shared: Running) -> None:
    """Lengths, chunks and no body on one connection."""
    with shared.connect() as client:
        client.send(
            request("/echo", "Content-Length: 3", method="POST", body=b"abc")
            + request("/echo")
            + request(
                "/echo",
                "Transfer-Encoding: chunked",
                method="POST",
                body=b"2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
            )
            + request("/echo", "Content-Length: 0", method="POST")
        )
        assert [client.read_response().body for _ in range(4)] == [
            b"abc",
            b"empty",
            b"def",
            b"empty",
        ]


def test_reading_pauses_while_an_answer_is_pending(shared: Running) -> None:
    """What a peer sends ahead of a pending answer is bounded, and nothing of it is lost."""
    with shared.connect() as client:
        client.send(request("/never"))
        shared.wait_for(lambda: len(shared.app.pending) > 0)
        connections = shared.server.site.connections  # type: ignore[union-attr]
        shared.wait_for(lambda: len(connections) == 1)  # those of earlier tests have gone
        (connection,) = connections
        sent = send_until_stuck(client, GET * 1000, lambda: not connection._is_reading)
        client.link.settimeout(TIMEOUT_S)
        assert connection.early_size <= PIPELINE_BYTES_MAX + 300_000
        respond = shared.app.pending.pop()
        shared.loop.call_soon_threadsafe(respond, Response(200, [], b"at last"))
        assert client.read_response().body == b"at last"
        for _ in range(sent // len(GET)):
            assert client.read_response().body == b'"home"'


def test_a_peer_that_never_reads_is_not_served_without_bound(start: Start) -> None:
    """Answers stop when the peer takes none, and the connection ends after a while."""
    running = start(log_access="off")
    with running.connect() as client:
        connections = running.server.site.connections  # type: ignore[union-attr]
        big = request("/big") * 1000
        send_until_stuck(client, big, lambda: any(c._is_blocked for c in list(connections)))
        (connection,) = connections
        assert connection.transport.get_write_buffer_size() <= 5 << 20
    with running.connect() as other:
        assert other.get("/").status == 200


# --- responses ----------------------------------------


def test_head_has_the_length_of_the_body_and_none(shared: Running) -> None:
    """RFC 9110 section 9.3.2."""
    with shared.connect() as client:
        client.send(request("/", method="HEAD"))
        answer = client.read_response(head_only=True)
        assert answer.headers["content-length"] == "6"
        assert client.get("/").body == b'"home"'


def test_no_content_has_no_length(shared: Running) -> None:
    """RFC 9110 section 8.6: a 204 must not have a Content-Length."""
    with shared.connect() as client:
        answer = client.get("/empty")
        assert answer.status == 204
        assert "content-length" not in answer.headers
        assert client.get("/").status == 200


def test_security_fields_are_on_every_response(shared: Running) -> None:
    """On answers of the program, of the server and on refusals."""
    with shared.connect() as client:
        for answer in (client.get("/"), client.get("/nowhere"), client.get("/_flin/health")):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
            assert answer.headers["date"].endswith(" GMT")
        client.send(b"nonsense\r\n\r\n")
        assert client.read_response().headers["x-content-type-options"] == "nosniff"


def test_a_field_break_never_reaches_the_peer(shared: Running) -> None:
    """A handler's header with CR LF is a 500 without that header."""
    with shared.connect() as client:
        answer = client.get("/inject")
        assert answer.status == 500
        assert "x-c" not in answer.headers


def test_a_fault_in_the_program_tells_the_peer_nothing(start: Start) -> None:
    """The exception is in the log, not in the answer."""
    running = start()
    with running.connect() as client:
        answer = client.get("/crash")
        assert (answer.status, b"inside" in answer.body) == (500, False)
        assert client.is_closed()
    running.stop()
    assert "KeyError" in running.log_text()


def test_only_the_first_answer_counts(shared: Running) -> None:
    """A second respond() changes nothing."""
    with shared.connect() as client:
        assert client.get("/twice").body == b"1"
        assert client.get("/").body == b'"home"'


# --- Expect ----------------------------------------


def test_expect_gets_100_before_the_body(shared: Running) -> None:
    """The peer waits; then the body is read as usual."""
    with shared.connect() as client:
        client.send(request("/echo", "Expect: 100-continue", "Content-Length: 3", method="POST"))
        assert client.read_response().status == 100
        client.send(b"abc")
        assert client.read_response().body == b"abc"


def test_expect_with_the_body_already_there_gets_no_100(shared: Running) -> None:
    """RFC 9110 section 10.1.1: then the interim answer may be left out."""
    with shared.connect() as client:
        client.send(
            request(
                "/echo", "Expect: 100-Continue", "Content-Length: 3", method="POST", body=b"abc"
            )
        )
        assert client.read_response().status == 200


def test_expect_of_a_large_body_is_refused_without_100(shared: Running) -> None:
    """The peer is spared the upload."""
    with shared.connect() as client:
        client.send(
            request("/echo", "Expect: 100-continue", "Content-Length: 99999999", method="POST")
        )
        assert client.read_response().status == 413
        assert client.is_closed()


# --- limits ----------------------------------------


def test_head_size_limit_at_one_below_and_above(start: Start) -> None:
    """`server.head_size_max` counts everything up to the empty line."""
    running = start(server_head_size_max="1024")
    for size, status in ((1023, 200), (1024, 200), (1025, 431)):
        fixed = len(request("/", "X: "))
        data = request("/", "X: " + "a" * (size - fixed))
        assert len(data) == size
        with running.connect() as client:
            client.send(data)
            assert client.read_response().status == status


def test_body_size_limit_at_one_below_and_above(start: Start) -> None:
    """`server.body_size_max`, by length and in chunks."""
    running = start(server_body_size_max="1000")
    for size, status in ((999, 200), (1000, 200), (1001, 413)):
        body = b"x" * size
        for data in (
            request("/echo", f"Content-Length: {size}", method="POST", body=body),
            request(
                "/echo",
                "Transfer-Encoding: chunked",
                method="POST",
                body=b"%x\r\n%s\r\n0\r\n\r\n" % (size, body),
            ),
        ):
            with running.connect() as client:
                client.send(data)
                assert client.read_response().status == status


def test_header_count_limit_at_one_below_and_above(start: Start) -> None:
    """`server.header_count_max`, Host included."""
    running = start(server_header_count_max="10")
    for count, status in ((9, 200), (10, 200), (11, 431)):
        with running.connect() as client:
            client.send(request("/", *(f"X-{n}: 1" for n in range(count - 1))))
            assert client.read_response().status == status


def test_a_refused_upload_can_still_read_its_answer(shared: Running) -> None:
    """The answer is not destroyed by a reset although megabytes of body are on their way."""
    with shared.connect() as client:
        client.send(request("/echo", "Content-Length: 20000000", method="POST"))
        for _ in range(100):
            try:
                client.send(b"x" * 65536)
            except OSError:
                break
        assert client.read_response().status == 413


# --- deadlines ----------------------------------------


def test_half_a_head_gets_408(start: Start) -> None:
    """`server.head_timeout`."""
    running = start(server_head_timeout="200ms")
    with sent_in_time(running, b"GET / HTTP/1.1\r\nHost: t", 0.2) as client:
        assert client.read_response().status == 408
        assert client.is_closed()


def test_a_dripping_head_gets_408(start: Start) -> None:
    """Bytes that trickle in do not move the deadline."""
    running = start(server_head_timeout="300ms")
    first, *rest = request("/", "X: " + "a" * 400)
    with sent_in_time(running, bytes([first]), 0.3) as client:
        client.link.settimeout(0.03)
        for byte in rest:
            client.send(bytes([byte]))
            try:
                client.buffer += client.link.recv(4096)
            except TimeoutError:
                continue
            break
        client.link.settimeout(TIMEOUT_S)
        assert client.read_response().status == 408  # the whole of it would get 200


def test_silence_is_closed_without_an_answer(start: Start) -> None:
    """A connection that never sends anything."""
    running = start(server_head_timeout="100ms")
    with running.connect() as client:
        assert client.is_closed()


def test_idle_keep_alive_ends_silently(start: Start) -> None:
    """`server.keep_alive`."""
    running = start(server_keep_alive="200ms")
    with running.connect() as client:
        assert client.get("/").status == 200
        assert client.is_closed()


def test_a_body_that_stops_gets_408(start: Start) -> None:
    """`server.body_timeout`."""
    running = start(server_body_timeout="200ms")
    with running.connect() as client:
        client.send(request("/echo", "Content-Length: 100", method="POST", body=b"abc"))
        assert client.read_response().status == 408


def test_a_dripping_body_gets_408(start: Start) -> None:
    """One byte now and then is no progress."""
    running = start(server_body_timeout="300ms")
    with running.connect() as client:
        client.send(request("/echo", "Content-Length: 100000", method="POST"))
        client.link.settimeout(0.03)
        for _ in range(300):
            client.send(b"x")
            try:
                client.buffer += client.link.recv(4096)
            except TimeoutError:
                continue
            break
        client.link.settimeout(TIMEOUT_S)
        assert client.read_response().status == 408


def test_a_handler_that_never_answers_gets_503(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The net below the program's own limit."""
    monkeypatch.setattr("flinfast.server.http_protocol.HANDLER_GRACE_S", 0.0)
    running = start(server_handler_timeout="200ms")
    with running.connect() as client:
        assert client.get("/never").status == 503
        assert client.is_closed()
    late = running.app.pending.pop()
    running.loop.call_soon_threadsafe(late, Response(200, [], b"too late"))
    with running.connect() as other:
        assert other.get("/").body == b'"home"'


@pytest.mark.parametrize("tail", [b"", b"GET / HT"])
def test_idle_peer_that_never_reads_its_answer_is_reset(
    start: Start, monkeypatch: pytest.MonkeyPatch, tail: bytes
) -> None:
    """Output below the mark that stops responses keeps a closing connection for STALL_S only."""
    monkeypatch.setattr("flinfast.server.http_protocol.WRITE_HIGH_BYTES", 64 << 20)
    monkeypatch.setattr("flinfast.server.http_protocol.STALL_S", 0.2)
    running = start(server_keep_alive="200ms", server_head_timeout="200ms")
    site = running.server.site
    assert site is not None
    with sent_in_time(running, request("/big") + tail, 0.2) as client:
        if tail:
            client.link.shutdown(socket.SHUT_WR)
        running.wait_for(lambda: site.response_count(2) == 1)
        running.wait_for(lambda: not site.connections)


# --- ends ----------------------------------------


def test_half_close_after_the_request_still_gets_the_answer(shared: Running) -> None:
    """`printf ... | nc`: the peer closes its side and then reads."""
    with shared.connect() as client:
        client.send(request("/later"))
        client.link.shutdown(socket.SHUT_WR)
        assert client.read_response().body == b'"later"'
        assert client.is_closed()


@pytest.mark.parametrize("path", ["/", "/later"])
@pytest.mark.parametrize("tail", [b"", b"GET / HT"])
def test_half_close_after_many_requests_gets_every_answer(
    shared: Running, path: str, tail: bytes
) -> None:
    """Also when they take several turns of the loop; none but the last says that it ends."""
    count = 50
    with shared.connect() as client:
        client.send(request(path) * count + tail)
        client.link.shutdown(socket.SHUT_WR)
        answers = client.read_to_end()
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == count
    assert b"Connection: close" not in answers.rpartition(b"HTTP/1.1 ")[0]


def test_half_close_within_a_request_ends_the_connection(shared: Running) -> None:
    """Nothing can become of it."""
    with shared.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
        client.link.shutdown(socket.SHUT_WR)
        assert client.is_closed()


def test_a_peer_that_leaves_while_its_handler_runs_harms_nobody(shared: Running) -> None:
    """The late answer is dropped."""
    before = len(shared.app.pending)
    with shared.connect() as client:
        client.send(request("/never"))
        shared.wait_for(lambda: len(shared.app.pending) > before)
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    shared.loop.call_soon_threadsafe(shared.app.pending.pop(), Response(200, [], b"x"))
    with shared.connect() as other:
        assert other.get("/").body == b'"home"'


def test_connections_are_forgotten_when_they_end(start: Start) -> None:
    """No protocol stays behind, whatever ended it."""
    running = start()
    site = running.server.site
    assert site is not None
    for data in (b"", GET, b"nonsense", b"GET / HTTP/1.1\r\n", request("/later")):
        with running.connect() as client:
            client.send(data)
    running.wait_for(lambda: not site.connections)


def test_bytes_after_the_last_request_do_not_destroy_its_answer(shared: Running) -> None:
    """A request with `Connection: close` followed by more data."""
    with shared.connect() as client:
        client.send(request("/", "Connection: close") + b"x" * 100_000)
        assert client.read_response().body == b'"home"'
        assert client.is_closed()


# --- what the program sees ----------------------------------------


def test_request_carries_what_was_sent(shared: Running) -> None:
    """Every attribute of Request."""
    with shared.connect() as client:
        client.send(
            request(
                "/echo?a=1&b", "X-Name:  caf\xe9 ", "Content-Length: 2", method="PUT", body=b"hi"
            )
        )
        assert client.read_response().status == 200
        seen = shared.app.requests[-1]
        assert (seen.method, seen.target, seen.path) == ("PUT", "/echo?a=1&b", "/echo")
        assert (seen.query_string, seen.http_version, seen.body) == ("a=1&b", "1.1", b"hi")
        assert ("x-name", "caf\xe9") in seen.headers
        assert (seen.peer, seen.scheme) == ("127.0.0.1", "http")
        client.get("/echo")
        assert shared.app.requests[-1].id != seen.id


def test_proxy_fields_are_ignored_unless_asked_for(shared: Running) -> None:
    """Anyone can send X-Forwarded-For."""
    with shared.connect() as client:
        client.get("/echo", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
        seen = shared.app.requests[-1]
        assert (seen.peer, seen.scheme) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("9.9.9.9, 1.2.3.4, 10.1.2.3", "1.2.3.4"),
        ("1.2.3.4, 2001:db8::5", "1.2.3.4"),
        ("1.2.3.4, nonsense", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "127.0.0.1"),
    ],
)
def test_proxy_fields_are_read_from_their_end(start: Start, forwarded: str, peer: str) -> None:
    """The last address no trusted proxy has; what stands before it may be invented."""
    proxies = "127.0.0.1, 10.0.0.0/8, 2001:DB8:0::5"
    running = start(server_proxy_headers="on", server_forwarded_allow_ips=proxies)
    with running.connect() as client:
        client.get("/echo", f"X-Forwarded-For: {forwarded}", "X-Forwarded-Proto: https")
        seen = running.app.requests[-1]
        assert (seen.peer, seen.scheme) == (peer, "https")


def test_proxy_fields_of_a_stranger_are_ignored(start: Start) -> None:
    """The peer has to be a trusted proxy."""
    running = start(server_proxy_headers="on", server_forwarded_allow_ips="10.0.0.1")
    with running.connect() as client:
        client.get("/echo", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
        seen = running.app.requests[-1]
        assert (seen.peer, seen.scheme) == ("127.0.0.1", "http")


def test_root_path_is_taken_off(start: Start) -> None:
    """With the prefix or without it (the proxy took it off)."""
    running = start(server_root_path="/sub")
    with running.connect() as client:
        for path, seen in (("/sub/echo", "/echo"), ("/echo", "/echo"), ("/sub", "/")):
            assert client.get(path).status == 200
            assert running.app.requests[-1].path == seen
        assert client.get("/subecho").status == 404


# --- cross-origin ----------------------------------------


def test_no_cross_origin_fields_by_default(shared: Running) -> None:
    """Browsers keep other sites out."""
    with shared.connect() as client:
        answer = client.get("/", "Origin: http://other")
        assert "access-control-allow-origin" not in answer.headers


def test_cross_origin_fields_for_listed_origins(start: Start) -> None:
    """Exact origins only; the answer varies with the field."""
    running = start(security_cors_origins="https://a.example")
    with running.connect() as client:
        answer = client.get("/", "Origin: https://a.example")
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
        for other in ("https://b.example", "https://a.example.evil", "http://a.example", "null"):
            assert "access-control-allow-origin" not in client.get("/", f"Origin: {other}").headers


def test_preflight_is_answered_by_the_server(start: Start) -> None:
    """Methods and the fields asked for; a stranger's preflight goes to the program."""
    running = start(security_cors_origins="https://a.example")
    with running.connect() as client:
        fields = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a, x-b")
        client.send(request("/echo", "Origin: https://a.example", *fields, method="OPTIONS"))
        answer = client.read_response()
        assert answer.status == 204
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "x-a, x-b"
        client.send(request("/echo", "Origin: https://evil", *fields, method="OPTIONS"))
        answer = client.read_response()
        assert "access-control-allow-origin" not in answer.headers


def test_a_listed_origin_may_be_spelled_differently(start: Start) -> None:
    """As people write it; browsers send lower case and no usual port."""
    listed = "HTTPS://A.example:443,http://b.example:8080,Capacitor://localhost"
    running = start(security_cors_origins=listed)
    with running.connect() as client:
        for origin in ("https://a.example", "http://b.example:8080", "capacitor://localhost"):
            answer = client.get("/", f"Origin: {origin}")
            assert answer.headers["access-control-allow-origin"] == origin
        for origin in ("http://a.example", "http://b.example", "https://b.example:8080"):
            answer = client.get("/", f"Origin: {origin}")
            assert "access-control-allow-origin" not in answer.headers


def test_any_origin_never_gets_credentials(start: Start) -> None:
    """`*` answers `*`, without credentials."""
    running = start(security_cors_origins="*")
    with running.connect() as client:
        answer = client.get("/", "Origin: https://x")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
