"""Replies as values, the `response` object, and what goes to the wire."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault, UniqueFault, ValidationFault
from flinfast.runtime.encode import encode_json
from flinfast.runtime.error_page import (
    fault_reply,
    plain_response,
    prefers_html,
    reply_to_response,
    standard_reply,
)
from flinfast.runtime.fault import HttpFault
from flinfast.runtime.request import Request
from flinfast.runtime.response import (
    JSON_TYPE,
    Reply,
    Response,
    ResponseHeaders,
    ResponseState,
    error_reply,
    make_response,
    redirect_reply,
    to_reply,
    to_response,
)
from flinfast.runtime.upload import UploadedFile
from flinfast.values import NO_VALUE

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def sent(value: Any) -> Response:
    return to_response(to_reply(value), encode_json)


@pytest.mark.parametrize(
    ("value", "body"),
    [({"a": 1}, b'{"a":1}'), ("hi", b'"hi"'), (None, b"null"), (7, b"7"), ([], b"[]")],
)
def test_plain_value_is_200_json(value: Any, body: bytes) -> None:
    """Values of any kind go out as JSON; text becomes a JSON string."""
    response = sent(value)
    assert (response.status, response.body) == (200, body)
    assert response.headers == [("Content-Type", JSON_TYPE)]


def test_no_value_is_204_without_body() -> None:
    """A handler whose last statement has no value."""
    assert sent(NO_VALUE) == Response(204)


def test_response_literal_is_used_as_given() -> None:
    """Status, headers and body of `response { }`."""
    reply = make_response(
        {"status": 201, "body": {"id": 1}, "headers": {"X-A": "1", "Link": ["a", "b"]}}
    )
    response = sent(reply)
    assert (response.status, response.body) == (201, b'{"id":1}')
    assert response.headers == [
        ("X-A", "1"),
        ("Link", "a"),
        ("Link", "b"),
        ("Content-Type", JSON_TYPE),
    ]


@pytest.mark.parametrize(
    ("body", "kind", "raw", "sent_kind"),
    [
        ("<p>", "text/html", b"<p>", "text/html"),
        ("x", "application/json", b'"x"', "application/json"),
        ("x", "application/problem+json", b'"x"', "application/problem+json"),
        (b"\x00", "", b"\x00", "application/octet-stream"),
        (b"\x00", "image/png", b"\x00", "image/png"),
        ({"a": 1}, "text/plain", b'{"a":1}', "text/plain"),
        (UploadedFile("a.png", "image/png", b"P"), "", b"P", "image/png"),
        (UploadedFile("a", "", b"P"), "", b"P", "application/octet-stream"),
        (UploadedFile("a", "x\r\ny", b"P"), "", b"P", "application/octet-stream"),
    ],
)
def test_body_follows_its_content_type(body: Any, kind: str, raw: bytes, sent_kind: str) -> None:
    """Text with an explicit other type goes out as it is, bytes and files always do."""
    fields: dict[str, Any] = {"body": body}
    if kind:
        fields["headers"] = {"content-type": kind}
    response = sent(make_response(fields))
    assert response.body == raw
    assert {n.lower(): v for n, v in response.headers}["content-type"] == sent_kind


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 199},
        {"status": 600},
        {"status": "200"},
        {"status": True},
        {"stats": 1},
        {"headers": []},
        {"headers": {"a b": "1"}},
        {"headers": {"": "1"}},
        {"headers": {"a": None}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"a": {"b": 1}}},
        {"headers": {"X": "€"}},
    ],
)
def test_bad_response_literal_is_a_fault(fields: dict[str, Any]) -> None:
    """Unknown parts, statuses out of range and fields of the server."""
    if fields == {"headers": {"a": None}}:
        assert make_response(fields).headers == {}
        return
    with pytest.raises(RuntimeFault) as caught:
        make_response(fields)
    assert caught.value.code == "FL560"


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\0", "\x0b", "\x7f"])
def test_header_value_cannot_end_its_line(bad: str) -> None:
    """CR, LF, NUL and other controls are refused in every way to set a header."""
    headers = ResponseHeaders()
    for value in (f"a{bad}b", [f"a{bad}b"], f"a{bad}", f"{bad}a"):
        with pytest.raises(RuntimeFault):
            headers.flin_set("X-A", value)
        with pytest.raises(RuntimeFault):
            headers["X-A"] = value
    with pytest.raises(RuntimeFault):
        headers.flin_set(f"X{bad}", "1")


@given(st.text(max_size=12), st.text(max_size=30))
def test_accepted_header_is_latin_1_without_controls(name: str, value: str) -> None:
    """What the server gets can be written as one line."""
    headers = ResponseHeaders()
    try:
        headers.flin_set(name, value)
    except RuntimeFault:
        return
    for key, text in headers.fields():
        line = f"{key}: {text}".encode("latin-1")
        assert not any(c < 0x20 and c != 9 for c in line)


def test_headers_are_case_insensitive() -> None:
    """One field, whatever its spelling."""
    headers = ResponseHeaders()
    headers.flin_set("X-Total", 3)
    headers["x-total"] = True
    assert list(headers.fields()) == [("X-Total", "true")]
    assert headers.flin_get("X-TOTAL") == headers.get("x-total") == headers["x-Total"] == "true"
    assert "X-TOTAL" in headers
    headers.flin_set("x-total", None)
    assert headers.flin_get("X-Total") is None
    assert len(headers) == 0


def test_error_has_the_standard_shape() -> None:
    """`error(status, message, extra)`."""
    assert error_reply(404, "No").body == {"error": "No", "status": 404}
    assert error_reply(409).body == {"error": "Conflict", "status": 409}
    body = error_reply(400, "Bad", {"status": 1, "field": "x"}).body
    assert body == {"error": "Bad", "status": 400, "field": "x"}
    for bad in (200, 399, 600, "404", None, True):
        with pytest.raises(RuntimeFault):
            error_reply(bad, "x")
    with pytest.raises(RuntimeFault):
        error_reply(400, "x", [])


def test_redirect_sets_location() -> None:
    """302 by default, other redirects on demand, nothing else."""
    assert sent(redirect_reply("/a?b=1")) == Response(302, [("Location", "/a?b=1")])
    assert sent(redirect_reply("/ü €", 301)).headers == [("Location", "/%C3%BC %E2%82%AC")]
    for url, status in (("/a", 200), ("/a\r\nX: y", 302), ("", 302), (None, 302), ("/a", 305)):
        with pytest.raises(RuntimeFault):
            redirect_reply(url, status)


@pytest.mark.parametrize(
    ("name", "args", "status", "body"),
    [
        ("ok", ({"a": 1},), 200, b'{"a":1}'),
        ("created", (1,), 201, b"1"),
        ("no_content", (), 204, b""),
        ("not_found", ("gone",), 404, b'{"error":"gone","status":404}'),
        ("not_found", (), 404, b'{"error":"Not Found","status":404}'),
        ("json", ([1], 202), 202, b"[1]"),
        ("html", ("<p>",), 200, b"<p>"),
        ("text", ("t", 400), 400, b"t"),
    ],
)
def test_response_methods(name: str, args: tuple[Any, ...], status: int, body: bytes) -> None:
    """The aliases of the product pages."""
    reply = ResponseState(is_secure=False).flin_call(name, args, {})
    response = to_response(reply, encode_json)
    assert (response.status, response.body) == (status, body)


def test_response_methods_check_their_arguments() -> None:
    """Unknown methods and wrong counts are faults."""
    state = ResponseState(is_secure=False)
    for name, args in (("okay", ()), ("ok", (1, 2)), ("html", ()), ("json", (1, 999))):
        with pytest.raises(RuntimeFault):
            state.flin_call(name, args, {})


def test_state_adds_what_was_set_before_the_reply() -> None:
    """Headers and cookies of middleware join; the handler's own value wins."""
    state = ResponseState(is_secure=True)
    state.flin_get("headers").flin_set("X-A", "mw")
    state.flin_get("headers").flin_set("X-B", "mw")
    state.set_cookie("c", "1", {})
    state.flin_get("cookies").flin_set("d", {"value": "2", "max_age": 5})
    reply = state.finish(make_response({"body": 1, "headers": {"x-a": "own"}}))
    assert dict(reply.headers) == {"x-a": "own", "X-B": "mw"}
    assert reply.cookies == [
        "c=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        "d=2; Max-Age=5; Path=/; Secure; HttpOnly; SameSite=Lax",
    ]
    assert state.flin_get("cookies").flin_get("d") == "2"
    state.flin_set("status", 202)
    assert state.reply.status == 202


def test_state_status_holds_for_a_plain_value() -> None:
    """`response.status = 201` before a value, and alone."""
    state = ResponseState(is_secure=False)
    state.flin_set("status", 201)
    assert state.finish({"a": 1}).status == 201
    state = ResponseState(is_secure=False)
    state.flin_set("status", 202)
    assert state.finish(NO_VALUE).status == 202
    with pytest.raises(RuntimeFault):
        state.flin_set("status", 101)


def test_cookie_of_the_same_name_is_replaced() -> None:
    """The last `set_cookie` of a name counts; delete expires it."""
    state = ResponseState(is_secure=False)
    state.set_cookie("a", "1", {})
    state.delete_cookie("a")
    assert state.reply.cookies == ["a=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]


# --- error answers ----------------------------------------


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        (HTML, True),
        ("application/json", False),
        ("text/html, application/json", False),
        ("text/html;q=0.9, application/json", False),
        ("application/json;q=0.1, text/html;q=0.2", True),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("TEXT/HTML", True),
    ],
)
def test_page_only_for_those_who_prefer_html(accept: str, html: bool) -> None:
    """Browsers ask for HTML, programs do not."""
    assert prefers_html(accept) is html


def test_standard_error_as_page_escapes_everything() -> None:
    """No text of a program or client becomes markup."""
    request = Request("GET", "/", "/", headers=[("accept", HTML)])
    reply = standard_reply(400, "<script>", {"fields": {"<a>": "<b>"}})
    reply.cookies.append("a=1")
    response = reply_to_response(reply, request, encode_json)
    assert ("Content-Type", "text/html; charset=utf-8") in response.headers
    assert ("Set-Cookie", "a=1") in response.headers
    assert b"<script>" not in response.body
    assert b"&lt;a&gt;: &lt;b&gt;" in response.body
    assert plain_response(404, "", request).body.startswith(b"<!doctype html>")


def test_own_error_of_a_handler_stays_json() -> None:
    """`error(...)` is the program's answer, whoever asks."""
    request = Request("GET", "/", "/", headers=[("accept", HTML)])
    response = reply_to_response(error_reply(404, "x"), request, encode_json)
    assert response.body == b'{"error":"x","status":404}'


def lines(path: str, line: int) -> str | None:
    return f"line {line}" if path == "app/a.flin" and 1 <= line <= 9 else None


def test_fault_tells_details_only_to_its_developer() -> None:
    """Production shows the standard shape, dev the place, source and hint."""
    fault = RuntimeFault("cannot read `.x` of none", code="FL502", hint="use `?.`")
    fault.path, fault.line = "app/a.flin", 2
    reply = fault_reply(fault, shows_detail=False, read_line=lines)
    assert reply.body == {"error": "Internal Server Error", "status": 500}
    reply = fault_reply(fault, shows_detail=True, read_line=lines)
    detail = reply.body["detail"]
    assert detail["at"] == "app/a.flin:2"
    assert detail["source"][1] == ">    2 | line 2"
    assert detail["help"] == "use `?.`"
    request = Request("GET", "/", "/", headers=[("accept", HTML)])
    page = reply_to_response(reply, request, encode_json).body
    assert b"app/a.flin:2" in page
    assert b"line 2" in page
    fault = RuntimeFault("no `<i>`", code="<b>", hint="<u>")
    fault.path, fault.line = "app/<s>.flin", 2
    reply = fault_reply(fault, shows_detail=True, read_line=lambda _, n: f"<q>{n}")
    page = reply_to_response(reply, request, encode_json).body
    for tag in (b"i", b"b", b"u", b"s", b"q"):
        assert b"&lt;%b&gt;" % tag in page
        assert b"<%b>" % tag not in page.replace(b"<b>&lt;b&gt;</b>", b"")


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (
            ValidationFault({"a": "is required"}),
            400,
            {"error": "Validation failed", "fields": {"a": "is required"}},
        ),
        (
            UniqueFault({"a": "is taken"}),
            409,
            {"error": "Already taken", "fields": {"a": "is taken"}},
        ),
        (HttpFault(400, "Invalid JSON"), 400, {"error": "Invalid JSON"}),
    ],
)
def test_faults_of_the_client_tell_what_is_wrong(
    fault: RuntimeFault, status: int, body: dict[str, Any]
) -> None:
    """Validation, uniqueness and broken requests are explained in every mode."""
    reply = fault_reply(fault, shows_detail=False, read_line=lines)
    assert reply.status == status
    assert reply.body == {**body, "status": status}


def test_reply_is_a_value_with_members() -> None:
    """Middleware reads and changes `response` parts."""
    reply = Reply(200, 1)
    assert reply.flin_get("body") == 1
    assert Reply().flin_get("body") is None
    reply.flin_set("headers", {"A": "b"})
    assert reply.to_map() == {"status": 200, "headers": {"A": "b"}, "body": 1}
    for act in (lambda: reply.flin_get("x"), lambda: reply.flin_set("x", 1)):
        with pytest.raises(RuntimeFault):
            act()
