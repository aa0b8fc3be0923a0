"""Error answers: the standard JSON shape, or a plain page for a person with a browser.

`{"error": text, "status": int}` everywhere; details, source lines and hints only in dev mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flinfast.errors import RuntimeFault, UniqueFault, ValidationFault
from flinfast.runtime.encode import encode_json
from flinfast.runtime.fault import AbortFault, HttpFault, place_text
from flinfast.runtime.request import Request
from flinfast.runtime.response import HTML_TYPE, JSON_TYPE, Reply, Response, reason, to_response

ACCEPT_PARTS_MAX: Final = 50  # media ranges looked at
SOURCE_LINES: Final = 3  # lines shown before and after the one that failed

ReadLine = Callable[[str, int], str | None]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:15vh auto 0;padding:0 1rem;"
    "color:#222;background:#fff}h1{font-size:1.4rem}pre{background:#f4f4f4;padding:.8rem;"
    "overflow:auto}.at{font-weight:bold}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#222}}"
)


def standard_reply(
    status: int,
    message: str = "",
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """The standard error as a reply; `message` defaults to the usual words of the status."""
    body: dict[str, Any] = {"error": message or reason(status), "status": status, **(extra or {})}
    reply = Reply(status, body)
    reply.is_standard = True
    for name, value in (headers or {}).items():
        reply.headers.flin_set(name, value)
    return reply


def fault_reply(fault: RuntimeFault, *, shows_detail: bool, read_line: ReadLine) -> Reply:
    """What a client is told about a fault.

    Args:
        fault: What left the handler.
        shows_detail: Whether the client is its developer.
        read_line: Text of a line of a FLIN file, None when there is no such line.
    """
    if isinstance(fault, ValidationFault):
        return standard_reply(fault.status, "Validation failed", {"fields": fault.fields})
    if isinstance(fault, UniqueFault):
        return standard_reply(fault.status, "Already taken", {"fields": fault.fields})
    if isinstance(fault, AbortFault):
        return Reply(fault.status, dict(fault.body))
    if isinstance(fault, HttpFault):
        return standard_reply(fault.status, str(fault))
    if not shows_detail:
        return standard_reply(fault.status)
    detail: dict[str, Any] = {"code": fault.code, "message": str(fault)}
    if fault.path:
        detail["at"] = place_text(fault.path, fault.line)
        detail["source"] = _excerpt(fault.path, fault.line, read_line)
    if fault.hint:
        detail["help"] = fault.hint
    return standard_reply(fault.status, "", {"detail": detail})


def _excerpt(path: str, line: int, read_line: ReadLine) -> list[str]:
    """The lines around a line, with their numbers; the line itself is marked with `>`."""
    lines = []
    for number in range(max(1, line - SOURCE_LINES), line + SOURCE_LINES + 1):
        text = read_line(path, number)
        if text is not None:
            lines.append(f"{'>' if number == line else ' '} {number:4} | {text}")
    return lines


def reply_to_response(reply: Reply, request: Request, encode: Callable[[Any], bytes]) -> Response:
    """A reply as the server sends it; a standard error becomes a page where HTML is preferred."""
    if reply.is_standard and prefers_html(request.header_joined("accept")):
        response = to_response(
            Reply(reply.status, cookies=reply.cookies, headers=reply.headers), encode
        )
        response.headers.append(("Content-Type", HTML_TYPE))
        response.body = _page(reply.status, reply.body)
        return response
    return to_response(reply, encode)


def plain_response(status: int, message: str, request: Request | None) -> Response:
    """An error that does not come from a handler."""
    reply = standard_reply(status, message)
    if request is not None and prefers_html(request.header_joined("accept")):
        return Response(status, [("Content-Type", HTML_TYPE)], _page(status, reply.body))
    return Response(status, [("Content-Type", JSON_TYPE)], encode_json(reply.body))


def prefers_html(accept: str) -> bool:
    """Whether an Accept header ranks text/html above application/json (RFC 9110 12.5.1)."""
    if "text/html" not in accept.lower():
        return False
    html = json = 0.0
    for part in accept.lower().split(",")[:ACCEPT_PARTS_MAX]:
        kind, _, rest = part.partition(";")
        kind = kind.strip()
        if kind == "text/html":
            html = max(html, _quality(rest))
        elif kind == "application/json":
            json = max(json, _quality(rest))
    return html > json


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _page(status: int, body: Mapping[str, Any]) -> bytes:
    """A page without scripts, so that no policy can break it."""
    from html import escape

    title = f"{status} {reason(status)}"
    parts = [f"<h1>{escape(title)}</h1>"]
    message = str(body.get("error", ""))
    if message and message != reason(status):
        parts.append(f"<p>{escape(message)}</p>")
    fields = body.get("fields")
    if isinstance(fields, dict):
        items = (f"<li>{escape(str(n))}: {escape(str(t))}</li>" for n, t in fields.items())
        parts.append(f"<ul>{''.join(items)}</ul>")
    detail = body.get("detail")
    if isinstance(detail, dict):
        parts.append(
            f"<p><b>{escape(str(detail['code']))}</b> {escape(str(detail['message']))}</p>"
        )
        if "at" in detail:
            shown = "\n".join(escape(line) for line in detail["source"])
            parts.append(f"<p class=at>{escape(str(detail['at']))}</p><pre>{shown}</pre>")
        if "help" in detail:
            parts.append(f"<p>{escape(str(detail['help']))}</p>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    ).encode("utf-8", "replace")
