"""Wrong passwords per client address, over real sockets and behind a proxy."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Server, make_server

__all__ = ["make_server"]

FILES = {
    "app/sign-in.flin": (
        "route POST {\n"
        '    if !verify_password(body.password, none) { return error(401, "no") }\n'
        '    "in"\n'
        "}\n"
    ),
    "flinfast.toml": "[security]\nlogin_address_failures = 2\n",
}


def attempts(server: Server, count: int, forwarded: str) -> list[int]:
    """Statuses of wrong passwords that a proxy passes on."""
    client = server.client()
    headers = {"Content-Type": "application/json", "X-Forwarded-For": forwarded}
    body = b'{"password": "guess"}'
    return [client.request("POST", "/sign-in", body, headers)[0] for _ in range(count)]


def test_address_behind_a_trusted_proxy_counts(make_server: Callable[..., Server]) -> None:
    """The last address that no proxy has; what stands before it may be invented."""
    server = make_server(files=FILES, arguments=("--proxy-headers",))
    assert attempts(server, 3, "192.0.2.1") == [401, 401, 429]
    assert attempts(server, 1, "203.0.113.9, 192.0.2.1") == [429]
    assert attempts(server, 1, "192.0.2.1, 192.0.2.2") == [401]
    assert attempts(server, 3, "2001:db8::1") == [401, 401, 429]
    assert attempts(server, 1, "2001:db8::ffff:1") == [429]
    client = server.client()
    headers = {"Content-Type": "application/json", "X-Forwarded-For": "192.0.2.1"}
    assert client.request("POST", "/sign-in", b'{"password": "x"}', headers)[0] == 429
    assert 0 < int(client.last_headers["retry-after"]) <= 60


def test_untrusted_forwarding_fields_lock_nobody_out(make_server: Callable[..., Server]) -> None:
    """Without `--proxy-headers` they are ignored, and this machine is not counted."""
    server = make_server(files=FILES)
    assert attempts(server, 4, "192.0.2.1") == [401] * 4
