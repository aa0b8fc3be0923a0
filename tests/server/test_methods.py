"""Methods of a path over a real socket: HEAD, OPTIONS, 405, 426, and what every answer carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from tests.server.program import Program

FILES = {
    "app/both.flin": 'route GET { "text" }\n\nroute POST { 201 }\n\nws { }',
    "app/only.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }",
    "app/post.flin": 'route POST { "posted" }',
    "app/own.flin": 'route HEAD { 1 }\n\nroute GET { "get" }\n\nroute OPTIONS { "mine" }',
    "app/large.flin": 'route GET { "x".repeat(5000) }',
    "app/tagged.flin": """
        route GET {
            response.headers["ETag"] = "\\"v1\\""
            { value: "x".repeat(50) }
        }
    """,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("methods"), FILES, log_access="off") as program:
        yield program


@pytest.mark.parametrize(
    ("method", "path", "status", "fields"),
    [
        ("GET", "/both", 200, {}),
        ("HEAD", "/both", 200, {"content-length": "6"}),
        ("OPTIONS", "/both", 204, {"allow": "GET, HEAD, OPTIONS, POST"}),
        ("PUT", "/both", 405, {"allow": "GET, HEAD, OPTIONS, POST"}),
        ("DELETE", "/both", 405, {"allow": "GET, HEAD, OPTIONS, POST"}),
        ("GET", "/only", 426, {"upgrade": "websocket", "sec-websocket-version": "13"}),
        ("HEAD", "/only", 426, {"upgrade": "websocket"}),
        ("POST", "/only", 405, {}),
        ("GET", "/post", 405, {"allow": "OPTIONS, POST"}),
        ("HEAD", "/post", 405, {"allow": "OPTIONS, POST"}),
        ("OPTIONS", "/own", 200, {}),
        ("GET", "/none", 404, {}),
        ("BREW", "/both", 501, {}),
    ],
)
def test_method(site: Program, method: str, path: str, status: int, fields: dict[str, str]) -> None:
    """The status, its fields, a date, and a standard body where there is one."""
    answer = site.client().request(method, path, raw=b"{}" if method == "POST" else None)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in fields} == fields
    assert parsedate_to_datetime(answer.headers["date"]).tzinfo is not None
    if status >= 400 and method != "HEAD":
        assert json.loads(answer.body)["status"] == status


def test_head_says_what_get_says(site: Program) -> None:
    """The same fields but for the date, and no body."""
    for path, field in (("/both", ""), ("/large", "gzip"), ("/tagged", "gzip")):
        with site.connect() as client:
            got = client.get(path, f"Accept-Encoding: {field}")
            request = f"HEAD {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {field}\r\n\r\n"
            client.send(request.encode())
            head = client.read_response(head_only=True)
            assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
            assert client.get("/both").body == b'"text"'


def test_equal_requests_get_equal_answers(site: Program) -> None:
    """Repeated byte by byte on one connection, whatever is remembered about them."""
    for path, fields in (
        ("/both", ()),
        ("/large", ("Accept-Encoding: gzip",)),
        ("/large", ()),
        ("/tagged", ("Accept-Encoding: gzip",)),
        ("/tagged", ('If-None-Match: "v1"',)),
        ("/tagged", ('If-None-Match: "v2"',)),
        ("/only", ()),
        ("/none", ()),
    ):
        with site.connect() as client:
            first, *others = (client.get(path, *fields) for _ in range(5))
            for other in others:
                assert other.status == first.status
                assert other.body == first.body
                assert {**other.headers, "date": ""} == {**first.headers, "date": ""}
        assert (first.status == 304) is (fields == ('If-None-Match: "v1"',))
