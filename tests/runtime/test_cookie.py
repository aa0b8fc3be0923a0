"""Cookies: lenient to read, strict to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.cookie import (
    COOKIES_MAX,
    cookie_from_options,
    format_cookie,
    http_date,
    parse_cookies,
)
from flinfast.values import Time


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="x y"; b="', {"a": "x y", "b": '"'}),
        ("novalue; =x; a==b", {"a": "=b"}),
        (" a = 1 ;; ", {"a": "1"}),
    ],
)
def test_cookies_are_read_leniently(header: str, cookies: dict[str, str]) -> None:
    """Junk is skipped, the first of equal names wins, quotes round a value go."""
    assert parse_cookies(header) == cookies


def test_cookie_count_is_limited() -> None:
    """At most COOKIES_MAX cookies are looked at."""
    header = "; ".join(f"c{i}=1" for i in range(COOKIES_MAX + 5))
    assert len(parse_cookies(header)) == COOKIES_MAX


def test_cookie_with_all_attributes() -> None:
    """Attributes appear once, in a fixed order."""
    text = format_cookie(
        "id",
        "x=1",
        max_age_s=60,
        expires=Time.parse("1994-11-06T08:49:37Z"),
        path="/app",
        domain="example.com",
        secure=True,
        same_site="strict",
    )
    assert text == (
        "id=x=1; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Domain=example.com; "
        "Path=/app; Secure; HttpOnly; SameSite=Strict"
    )


def test_same_site_none_is_always_secure() -> None:
    """Browsers refuse SameSite=None without Secure."""
    assert "Secure" in format_cookie("a", "b", same_site="None")


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", ";", "\x7f", "é", "\x1b"])
@pytest.mark.parametrize("where", ["name", "value", "path", "domain"])
def test_part_that_would_break_the_header_is_refused(bad: str, where: str) -> None:
    """CR, LF, NUL, `;`, other controls and non-ASCII never reach Set-Cookie."""
    parts = {"name": "n", "value": "v", "path": "/", "domain": "d"}
    parts[where] += bad
    with pytest.raises(RuntimeFault) as caught:
        format_cookie(parts["name"], parts["value"], path=parts["path"], domain=parts["domain"])
    assert caught.value.code == "FL561"


@given(st.text(max_size=20), st.text(max_size=20))
def test_written_cookie_is_one_line_or_refused(name: str, value: str) -> None:
    """Whatever a program passes, the line has no break, and reads back."""
    try:
        text = format_cookie(name, value)
    except RuntimeFault:
        return
    assert text.isprintable()
    assert text.isascii()
    stripped = value.strip(" \t")
    if not (len(stripped) > 1 and stripped[0] == stripped[-1] == '"'):
        assert parse_cookies(text)[name] == stripped


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("x", {"max-age": 1}),
        ("x", {"max_age": "1"}),
        ("x", {"expires": 5}),
        (None, {}),
        ("x", {"same_site": "Sometimes"}),
        ([], {}),
    ],
)
def test_bad_cookie_options_are_refused(value: object, options: dict[str, object]) -> None:
    """Unknown options and wrong types are faults, not silently dropped."""
    with pytest.raises(RuntimeFault):
        cookie_from_options("a", value, options, secure=False)


def test_cookie_options_have_safe_defaults() -> None:
    """HttpOnly, Lax, Path=/ and Secure where the request was."""
    assert cookie_from_options("a", 7, {}, secure=True) == (
        "a=7; Path=/; Secure; HttpOnly; SameSite=Lax"
    )
    assert cookie_from_options("a", True, {"http_only": False, "max_age": 2.0}, secure=False) == (
        "a=true; Max-Age=2; Path=/; SameSite=Lax"
    )


def test_http_date_pads_its_numbers() -> None:
    """The fixed-length form of RFC 9110 section 5.6.7."""
    assert http_date(Time.parse("2026-01-02T03:04:05Z")) == "Fri, 02 Jan 2026 03:04:05 GMT"
