"""HTTP client builtins, against a small server on loopback."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from flinfast.errors import RuntimeFault
from flinfast.runtime import http_client
from flinfast.runtime.builtins import REGISTRY, BoundBuiltins
from flinfast.runtime.services import Services
from tests.runtime.fake_services import fake_services


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if self.path.startswith("/status/"):
            self.reply(int(self.path.rpartition("/")[2]), b"")
        elif self.path.startswith("/to/"):
            self.send_response(int(self.path.split("/")[2]))
            self.send_header("Location", self.path.split("/", 3)[3])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/big":
            self.reply(200, b"x" * 5000)
        elif self.path == "/bytes":
            self.reply(200, b"\xff\xfe")
        elif self.path == "/drip":
            self.drip()
        else:
            seen = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": body.decode("latin-1"),
            }
            self.reply(200, json.dumps(seen).encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Twice", "a")
        self.send_header("X-Twice", "b")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drip(self) -> None:
        """A body that never ends, a byte at a time, until the client has had enough."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        pause = threading.Event()
        try:
            while not pause.wait(0.01):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path)


@pytest.fixture
def bound(services: Services) -> BoundBuiltins:
    return BoundBuiltins(services)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_request_reaches_the_server(bound: BoundBuiltins, url: str, method: str) -> None:
    answer = bound[f"http_{method}"](f"{url}/a?b=c", {"headers": {"X-Id": 7}})
    assert (answer["status"], answer["ok"]) == (200, True)
    assert answer["json"]["method"] == method.upper()
    assert answer["json"]["path"] == "/a?b=c"
    assert answer["json"]["headers"]["x-id"] == "7"
    assert answer["headers"]["x-twice"] == "a, b"
    assert "error" not in answer
    assert REGISTRY[f"http_{method}"].spec.waits


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        ({"json": {"a": [1, None]}}, '{"a":[1,null]}', "application/json"),
        ({"body": "é"}, "Ã©", "text/plain; charset=utf-8"),
        ({"body": b"\x01"}, "\x01", "application/octet-stream"),
        ({"body": {"a": 1}}, '{"a":1}', "application/json"),
        ({"form": {"a b": "c&d"}}, "a+b=c%26d", "application/x-www-form-urlencoded"),
        ({"body": "x", "headers": {"content-type": "text/css"}}, "x", "text/css"),
    ],
)
def test_bodies(
    bound: BoundBuiltins, url: str, options: dict[str, Any], body: str, content_type: str
) -> None:
    seen = bound["http_post"](f"{url}/", options)["json"]
    assert seen["body"] == body
    assert seen["headers"]["content-type"] == content_type


def test_other_statuses_are_not_ok(bound: BoundBuiltins, url: str) -> None:
    answer = bound["http_request"]("head", f"{url}/status/404")
    assert (answer["status"], answer["ok"], answer["json"]) == (404, False, None)


def test_a_body_that_is_no_text_is_bytes(bound: BoundBuiltins, url: str) -> None:
    assert bound["http_get"](f"{url}/bytes")["body"] == b"\xff\xfe"


def test_redirects_are_followed(bound: BoundBuiltins, url: str) -> None:
    assert bound["http_get"](f"{url}/to/302//end")["json"]["path"] == "/end"
    seen = bound["http_post"](f"{url}/to/303//end", {"json": 1})["json"]
    assert (seen["method"], seen["body"]) == ("GET", "")
    assert "content-type" not in seen["headers"]
    assert bound["http_post"](f"{url}/to/307//end", {"json": 1})["status"] == 307
    assert bound["http_get"](f"{url}/to/302/file:///etc/passwd")["status"] == 302


def test_redirects_do_not_carry_secrets_elsewhere(bound: BoundBuiltins, url: str) -> None:
    other = url.replace("127.0.0.1", "localhost")
    options = {"headers": {"Authorization": "Bearer x", "Cookie": "a=b", "X-Id": "1"}}
    seen = bound["http_get"](f"{url}/to/302/{other}/end", options)["json"]["headers"]
    assert seen["x-id"] == "1"
    assert "authorization" not in seen
    assert "cookie" not in seen
    same = bound["http_get"](f"{url}/to/302//end", options)["json"]["headers"]
    assert same["authorization"] == "Bearer x"


def test_endless_redirects_end(bound: BoundBuiltins, url: str) -> None:
    target = "/end"
    for _ in range(http_client.REDIRECTS_MAX + 1):
        target = f"/to/302/{target}"
    answer = bound["http_get"](url + target)
    assert (answer["status"], answer["error"]) == (0, "too many redirects")
    assert bound["http_get"](url + target.removeprefix("/to/302/"))["status"] == 200


def test_a_large_response_is_an_error(
    bound: BoundBuiltins, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "RESPONSE_SIZE_MAX", 5000)
    assert bound["http_get"](f"{url}/big")["ok"] is True
    monkeypatch.setattr(http_client, "RESPONSE_SIZE_MAX", 4999)
    answer = bound["http_get"](f"{url}/big")
    assert (answer["status"], answer["ok"], answer["body"]) == (0, False, "")
    assert "4999 bytes" in answer["error"]


def test_a_dripping_response_times_out(bound: BoundBuiltins, url: str) -> None:
    """Bytes that keep coming do not extend the time."""
    answer = bound["http_get"](f"{url}/drip", {"timeout": 150})
    assert (answer["status"], answer["error"]) == (0, "timed out")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_dripping_head_times_out(bound: BoundBuiltins, start: bytes) -> None:
    """Nor do bytes of a head, or interim answers, that keep coming."""
    pause = threading.Event()
    piece = start if b"100" in start else b"X"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(start)
                while not pause.wait(0.01):
                    peer.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        answer = bound["http_get"](f"http://127.0.0.1:{port}/", {"timeout": 150})
        pause.set()
        thread.join()
    assert (answer["status"], answer["error"]) == (0, "timed out")


def test_private_addresses_can_be_refused(services: Services, url: str) -> None:
    """With `security.private_addresses = false`, in whatever form the address is written."""
    security = msgspec.structs.replace(services.settings.security, private_addresses=False)
    settings = msgspec.structs.replace(services.settings, security=security)
    careful = BoundBuiltins(replace(services, settings=settings))
    port = url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "0.0.0.0"):
        answer = careful["http_get"](f"http://{host}:{port}/x")
        assert (answer["status"], answer["error"]) == (0, "the address is not public"), host


def test_a_redirect_to_a_private_address_is_refused(url: str) -> None:
    """Each step is judged; here the first one is said to be public."""
    judged: list[str] = []

    def is_public(address: str) -> bool:
        judged.append(address)
        return len(judged) == 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_client, "is_public", is_public)
        answer = http_client.perform(
            http_client.Outgoing("GET", f"{url}/to/302/{url}/x", only_public=True)
        )
    assert judged == ["127.0.0.1", "127.0.0.1"]
    assert answer.error == "the address is not public"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # where clouds keep credentials
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    assert http_client.is_public(address) is expected


def test_a_silent_server_times_out(bound: BoundBuiltins) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answer = bound["http_get"](f"http://127.0.0.1:{port}/", {"timeout": 100})
    assert (answer["ok"], answer["error"]) == (False, "timed out")


def test_a_refused_connection_is_no_exception(bound: BoundBuiltins, services: Services) -> None:
    with socket.socket() as silent:  # has the port and does not listen
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        answer = bound["http_get"](f"http://127.0.0.1:{port}/")
    assert (answer["status"], answer["ok"]) == (0, False)
    assert "refused" in answer["error"].lower()
    assert services.waiter.works == 1  # type: ignore[attr-defined]  # off the loop


def test_a_malformed_response_is_no_exception(bound: BoundBuiltins) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"what?\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        answer = bound["http_get"](f"http://127.0.0.1:{port}/")
        thread.join()
    assert (answer["status"], answer["error"]) == (0, "malformed response")


def test_retries_repeat_a_failed_request(
    bound: BoundBuiltins, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a failed network is tried again, not an answer."""
    answers = [http_client.Incoming(0, error="x"), http_client.Incoming(503)]
    monkeypatch.setattr(http_client, "perform", lambda request: answers.pop(0))
    monkeypatch.setattr("flinfast.runtime.builtins.http.RETRY_PAUSE_S", 0.0)
    assert bound["http_get"](url, {"retries": 5})["status"] == 503
    assert answers == []


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://a/\r\nX: y",
        "http://é.com/",
        "http://[::1",
        "http://a:99999/",
        "http://user:pass@a/",
        "javascript:alert(1)",
    ],
)
def test_a_url_that_is_none_is_a_fault(bound: BoundBuiltins, wrong: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["http_get"](wrong)
    assert caught.value.code == "FL504"


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"headers": []},
        {"headers": {"a b": "c"}},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"Content-Length": 5}},
        {"headers": {"Host": "x"}},
        {"json": 1, "body": "x"},
        {"form": "a=b"},
        {"timeout": 0},
        {"timeout": "5"},
        {"timeout": 10**9},
        {"timeout": float("nan")},
        {"retries": 6},
        {"json": len},
    ],
)
def test_wrong_options_are_faults(bound: BoundBuiltins, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["http_post"](url, options)
    assert caught.value.code == "FL504"


def test_an_unknown_method_is_a_fault(bound: BoundBuiltins, url: str) -> None:
    with pytest.raises(RuntimeFault, match="an HTTP method"):
        bound["http_request"]("GET / HTTP/1.1\r\nX:", url)


def test_url_encoding() -> None:
    pure = BoundBuiltins(None)
    assert pure["url_encode"]("a b/é&") == "a%20b%2F%C3%A9%26"
    assert pure["url_encode"](5) == "5"
    assert pure["url_decode"]("a%20b%2F%C3%A9") == "a b/é"
    assert pure["url_decode"]("%ff%zz") == "�%zz"
