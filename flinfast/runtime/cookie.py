"""Cookies: lenient to read, strict to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flinfast.errors import RuntimeFault
from flinfast.late_pattern import late_pattern
from flinfast.values import Time

COOKIES_MAX = 200  # cookies looked at in one request; browsers keep 180 a site
_TOKEN = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = late_pattern(r"[\x20-\x3a\x3c-\x7e]*\Z")  # printable ASCII without `;`
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_cookies(header: str) -> dict[str, str]:
    """Names and values of a Cookie header; the first of equal names wins.

    Parts without `=` are skipped; double quotes round a whole value are removed.
    """
    cookies: dict[str, str] = {}
    for part in header.split(";", COOKIES_MAX)[:COOKIES_MAX]:
        name, equals, value = part.partition("=")
        name = name.strip(" \t")
        if equals and name and name not in cookies:
            value = value.strip(" \t")
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies[name] = value
    return cookies


def http_date(moment: Time) -> str:
    """`Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7)."""
    at = moment.datetime()
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"
    )


def format_cookie(
    name: str,
    value: str,
    *,
    max_age_s: int | None = None,
    expires: Time | None = None,
    path: str = "/",
    domain: str = "",
    http_only: bool = True,
    secure: bool = False,
    same_site: str = "Lax",
) -> str:
    """Value of a Set-Cookie header.

    Raises:
        RuntimeFault: FL561: a part holds CR, LF, NUL, `;` or another character a cookie must not
            hold, or `same_site` is unknown.
    """
    if not _TOKEN.match(name):
        raise _fault(f"`{printable(name)}` is not a cookie name", "use letters, digits, `_`, `-`")
    if not _VALUE.match(value):
        raise _fault(
            f"the value of cookie `{name}` holds a character that cookies must not hold",
            "encode it first, for example with base64_encode(...)",
        )
    parts = [f"{name}={value}"]
    if max_age_s is not None:
        parts.append(f"Max-Age={max_age_s}")
    if expires is not None:
        parts.append(f"Expires={http_date(expires)}")
    for label, text in (("Domain", domain), ("Path", path)):
        if not _VALUE.match(text):
            raise _fault(f"the {label.lower()} of cookie `{name}` holds a bad character", "")
        if text:
            parts.append(f"{label}={text}")
    site = _SAME_SITE.get(same_site.lower())
    if site is None:
        raise _fault(
            f"expected same_site to be Lax, Strict or None, got `{printable(same_site)}`", ""
        )
    if secure or site == "None":  # browsers refuse SameSite=None without Secure
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    parts.append(f"SameSite={site}")
    return "; ".join(parts)


def cookie_from_options(name: Any, value: Any, options: Mapping[str, Any], *, secure: bool) -> str:
    """A Set-Cookie value from `set_cookie(name, value, { max_age, path, ... })`.

    Args:
        name: Cookie name.
        value: Text, int or bool.
        options: `max_age` (seconds), `expires` (time), `path`, `domain`,
            `http_only`, `secure`, `same_site`.
        secure: Default of `secure`: whether the request came over TLS.

    Raises:
        RuntimeFault: FL561, as format_cookie(); also for an unknown option or a bad type.
    """
    known = {"max_age", "expires", "path", "domain", "http_only", "secure", "same_site"}
    for option in options:
        if option not in known:
            raise _fault(
                f"unknown cookie option `{printable(str(option))}`",
                f"one of: {', '.join(sorted(known))}",
            )
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    if isinstance(text, int):
        text = str(text)
    if not isinstance(name, str) or not isinstance(text, str):
        raise _fault("expected a cookie's name and value to be text", "use to_text(...)")
    max_age = options.get("max_age")
    expires = options.get("expires")
    if isinstance(max_age, float):
        max_age = int(max_age)
    if max_age is not None and (not isinstance(max_age, int) or isinstance(max_age, bool)):
        raise _fault("expected max_age to be a number of seconds", "")
    if expires is not None and not isinstance(expires, Time):
        raise _fault("expected expires to be a time", "such as now() + 7.days")
    return format_cookie(
        name,
        text,
        max_age_s=max_age,
        expires=expires,
        path=str(options.get("path", "/")),
        domain=str(options.get("domain") or ""),
        http_only=bool(options.get("http_only", True)),
        secure=bool(options.get("secure", secure)),
        same_site=str(options.get("same_site", "Lax")),
    )


def printable(text: str) -> str:
    """At most 40 characters of a text with everything unprintable escaped, for messages."""
    return text[:40].encode("unicode_escape").decode("ascii")


def _fault(message: str, hint: str) -> RuntimeFault:
    return RuntimeFault(message, code="FL561", hint=hint)
