"""Who may ask from a browser: the Origin of upgrades and of unsafe requests.

A browser sends cookies with requests that other sites cause. So a request that carries our session
cookie and could do harm must come from our own pages, or from an origin that the settings allow.
Origins are compared whole: scheme, host and port. `null` is never allowed.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from flinfast.runtime.request import Request

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SCHEMES = {"ws": "http", "wss": "https"}


def normal_origin(text: str) -> str:
    """`scheme://host:port` of an origin in lower case, "" when it is none.

    Apps and extensions have schemes of their own, such as `capacitor://localhost`: without a port,
    unless one is written.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return ""
    scheme = parts.scheme.lower()
    if scheme in ("", "file") or not parts.hostname or parts.path or parts.query or parts.fragment:
        return ""
    if parts.username is not None or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.rstrip(".")
    port = _PORTS.get(scheme) if port is None else port
    return f"{_SCHEMES.get(scheme, scheme)}://{host}" + ("" if port is None else f":{port}")


def own_origin(request: Request) -> str:
    """The origin that the request was sent to, "" without a usable Host."""
    return normal_origin(f"{request.scheme}://{request.host}") if request.host else ""


def is_allowed(request: Request, allowed: Collection[str]) -> bool:
    """Whether the Origin of a request is our own, in `allowed`, or absent (not a browser).

    Args:
        request: The request.
        allowed: Origins such as `https://app.example`, or "*" for all.
    """
    given = [value for name, value in request.headers if name == "origin"]
    if not given:
        return True
    if len(given) > 1 or given[0].strip().lower() == "null":
        return False
    origin = normal_origin(given[0])
    if not origin:
        return False
    if origin == own_origin(request):
        return True
    return "*" in allowed or any(origin == normal_origin(item) for item in allowed)


def may_change(request: Request, allowed: Collection[str]) -> bool:
    """Whether an unsafe request with our session cookie may be served.

    Browsers say where a request comes from in Sec-Fetch-Site or Origin; a request with neither is
    not from a browser of this decade.
    """
    if request.method in SAFE_METHODS:
        return True
    site = request.header("sec-fetch-site").strip().lower()
    if site in ("same-origin", "none"):
        return True
    if site and not request.header("origin"):
        return False
    return is_allowed(request, allowed)
