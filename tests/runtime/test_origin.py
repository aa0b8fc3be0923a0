"""Which pages may make a browser ask with our cookie."""

import pytest

from flinfast.runtime.origin import is_allowed, may_change, normal_origin
from tests.runtime.harness import make_request


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("http://app.example", "http://app.example:80"),
        ("HTTPS://App.Example", "https://app.example:443"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("ws://a", "http://a:80"),
        ("http://a.", "http://a:80"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("App://Localhost:80", "app://localhost:80"),
        ("localhost:3000", ""),
        ("null", ""),
        ("", ""),
        ("http://", ""),
        ("http://a/", ""),
        ("http://a?x", ""),
        ("http://u@a", ""),
        ("http://a:99999", ""),
        ("http://a:x", ""),
        ("file://a", ""),
        ("app.example", ""),
        ("http://[::1", ""),
    ],
)
def test_origin_is_scheme_host_and_port(text: str, normal: str) -> None:
    """Compared whole; whatever else is in it makes it no origin."""
    assert normal_origin(text) == normal


@pytest.mark.parametrize(
    ("origin", "allowed", "passes"),
    [
        (None, (), True),
        ("http://app.example", (), True),
        ("http://app.example:80", (), True),
        ("HTTP://APP.EXAMPLE", (), True),
        ("https://app.example", (), False),
        ("http://app.example:8080", (), False),
        ("http://app.example.evil.test", (), False),
        ("http://evilapp.example", (), False),
        ("http://sub.app.example", (), False),
        ("null", (), False),
        ("null", ("*", "null"), False),
        ("", (), False),
        ("garbage", ("*",), False),
        ("https://other.test", ("https://other.test",), True),
        ("https://other.test", ("https://OTHER.test:443",), True),
        ("https://other.test:444", ("https://other.test",), False),
        ("https://any.test", ("*",), True),
        ("capacitor://localhost", ("capacitor://localhost",), True),
        ("capacitor://localhost", ("http://localhost",), False),
        ("capacitor://app.example", (), False),
    ],
)
def test_origin_must_be_own_or_listed(
    origin: str | None, allowed: tuple[str, ...], passes: bool
) -> None:
    """Same origin, a listed one, or no browser; `null` never."""
    headers = {} if origin is None else {"Origin": origin}
    assert is_allowed(make_request("GET", "/ws", headers=headers), allowed) is passes


def test_two_origins_are_refused() -> None:
    """A second Origin line is not looked past."""
    request = make_request("GET", "/ws", headers={"Origin": "http://app.example"})
    request.headers.append(("origin", "http://app.example"))
    assert not is_allowed(request, ())


def test_origin_without_host_is_foreign() -> None:
    """Nothing equals the origin of a request without Host."""
    request = make_request("GET", "/ws", headers={"Origin": "http://app.example"})
    request.headers = [field for field in request.headers if field[0] != "host"]
    assert not is_allowed(request, ())


OWN, FOREIGN = "http://app.example", "http://evil.test"


@pytest.mark.parametrize(
    ("method", "site", "origin", "passes"),
    [
        ("POST", None, None, True),
        ("POST", None, OWN, True),
        ("POST", None, FOREIGN, False),
        ("POST", None, "null", False),
        ("POST", "same-origin", None, True),
        ("POST", "same-origin", OWN, True),
        ("POST", "none", None, True),
        ("POST", "same-site", None, False),
        ("POST", "cross-site", None, False),
        ("DELETE", "cross-site", FOREIGN, False),
        ("PUT", "same-site", "http://sub.app.example", False),
        ("GET", "cross-site", FOREIGN, True),
        ("HEAD", "cross-site", FOREIGN, True),
        ("OPTIONS", "cross-site", FOREIGN, True),
    ],
)
def test_unsafe_request_must_come_from_our_pages(
    method: str, site: str | None, origin: str | None, passes: bool
) -> None:
    """Sec-Fetch-Site and Origin decide; programs send neither."""
    headers = {}
    if site is not None:
        headers["Sec-Fetch-Site"] = site
    if origin is not None:
        headers["Origin"] = origin
    assert may_change(make_request(method, "/", headers=headers), ()) is passes


def test_listed_origin_may_change() -> None:
    """A front end on another host that the settings name."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://web.test"}
    assert may_change(make_request("POST", "/", headers=headers), ("https://web.test",))
