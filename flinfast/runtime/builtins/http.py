"""HTTP client builtins (FLIN reference 13.9). All of them wait; none fails on a bad network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlencode

from flinfast.late_pattern import late_pattern
from flinfast.runtime.encode import decode_json, encode_json, to_text
from flinfast.runtime.kinds import argument_fault, as_map, range_fault
from flinfast.runtime.registry import Map, Value, builtin
from flinfast.runtime.services import Services

if TYPE_CHECKING:
    from flinfast.runtime.http_client import Incoming, Outgoing

TIMEOUT_MS: Final = 10_000  # the option is a duration: `timeout: 5.seconds`
TIMEOUT_MS_MAX: Final = 300_000
RETRIES_MAX: Final = 5
RETRY_PAUSE_S: Final = 0.2  # doubled for each further attempt
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OPTIONS: Final = ("headers", "body", "json", "form", "timeout", "retries")
_TOKEN: Final = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FIELD_VALUE: Final = late_pattern(r"[\t\x20-\x7e\x80-\xff]*\Z")
# The client frames the message; these would contradict it.
_CLIENT_FIELDS: Final = frozenset({"content-length", "transfer-encoding", "connection", "host"})


@builtin(waits=True)
def http_request(services: Services, method: str, url: str, options: Map | None = None) -> Map:
    """Make an HTTP request; options `headers body json form timeout retries`."""
    if method.upper() not in _METHODS:
        raise range_fault("http_request", 1, "an HTTP method", f"`{method[:20]}`")
    return _request(services, "http_request", 2, method.upper(), url, options or {})


def _register(name: str, method: str) -> None:
    """`http_get(url, options?)` and its siblings."""

    def request(services: Services, url: str, options: Map | None = None) -> Map:
        return _request(services, name, 1, method, url, options or {})

    request.__doc__ = f"Make a {method} request; options `headers body json form timeout retries`."
    builtin(name=name, waits=True)(request)


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    _register(f"http_{_method.lower()}", _method)


@builtin()
def url_encode(text: Value) -> str:
    """Percent-encode a text for use in a URL."""
    return quote(to_text(text), safe="", errors="replace")


@builtin()
def url_decode(text: str) -> str:
    """Undo percent-encoding; bytes that are not UTF-8 become U+FFFD."""
    return unquote(text, errors="replace")


# --- private ----------------------------------------


def _request(
    services: Services, function: str, position: int, method: str, url: str, options: Map
) -> Map:
    """Make the request on a pool thread, up to `retries` times more when the network fails."""
    from flinfast.runtime.http_client import Outgoing, check_url  # 30 ms that few programs need

    wrong = check_url(url)
    if wrong:
        raise range_fault(function, position, wrong, f"`{url[:80]}`")
    for name in options:
        if name not in _OPTIONS:
            expected = f"options among {', '.join(_OPTIONS)}"
            raise range_fault(function, position + 1, expected, f"`{name[:40]}`")
    body, content_type = _body(function, position + 1, options)
    headers = _headers(function, position + 1, options.get("headers"))
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    timeout_ms = _number(function, position + 1, "timeout", options, TIMEOUT_MS, TIMEOUT_MS_MAX)
    retries = int(_number(function, position + 1, "retries", options, 0, RETRIES_MAX))
    only_public = not services.settings.security.private_addresses
    outgoing = Outgoing(method, url, headers, body, timeout_ms / 1000, only_public)
    return _answer(services.waiter.wait(_attempts(outgoing, retries)))


def _attempts(outgoing: Outgoing, retries: int) -> Callable[[], Incoming]:
    def work() -> Incoming:
        from flinfast.runtime.http_client import perform

        answer = perform(outgoing)
        for attempt in range(retries):
            if answer.status:
                break
            time.sleep(RETRY_PAUSE_S * 2**attempt)
            answer = perform(outgoing)
        return answer

    return work


def _answer(incoming: Incoming) -> Map:
    try:
        body: Value = incoming.body.decode()
    except UnicodeDecodeError:
        body = incoming.body
    try:
        json = decode_json(incoming.body) if incoming.body else None
    except ValueError:
        json = None
    answer = {
        "status": incoming.status,
        "ok": 200 <= incoming.status < 300,
        "headers": dict(incoming.headers),
        "body": body,
        "json": json,
    }
    return {**answer, "error": incoming.error} if incoming.error else answer


def _body(function: str, position: int, options: Map) -> tuple[bytes | None, str]:
    """Bytes to send and their content type."""
    given = [name for name in ("body", "json", "form") if name in options]
    if len(given) > 1:
        raise range_fault(function, position, "one of body, json and form", " and ".join(given))
    if "json" in options:
        return encode_json(options["json"]), "application/json"
    if "form" in options:
        fields = as_map(options["form"])
        if fields is None:
            raise argument_fault(function, position, "`form` as a map", options["form"])
        pairs = {name: to_text(value) for name, value in fields.items()}
        return urlencode(pairs, errors="replace").encode(), "application/x-www-form-urlencoded"
    body = options.get("body")
    if body is None:
        return None, ""
    if type(body) is str:
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if type(body) is bytes:
        return body, "application/octet-stream"
    return encode_json(body), "application/json"


def _headers(function: str, position: int, value: Value) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "flinfast"}
    if value is None:
        return headers
    fields = as_map(value)
    if fields is None:
        raise argument_fault(function, position, "`headers` as a map", value)
    for name, item in fields.items():
        text = to_text(item)
        if not _TOKEN.match(name) or not _FIELD_VALUE.match(text):
            raise range_fault(function, position, "headers without line breaks", f"`{name[:40]}`")
        if name.lower() in _CLIENT_FIELDS:
            raise range_fault(function, position, "headers of your own", f"`{name}`")
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        headers[name] = text
    return headers


def _number(
    function: str, position: int, name: str, options: Map, default: float, most: float
) -> float:
    value = options.get(name)
    if value is None:
        return default
    if type(value) not in (int, float):
        raise argument_fault(function, position, f"`{name}` as a number", value)
    if not 0 <= value <= most or (name == "timeout" and value == 0):
        raise range_fault(function, position, f"`{name}` up to {most:g}", value)
    return float(value)
