"""Every guard, validator, setting and flag works over a real socket; none is without a test."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.cli import serve
from flinfast.cli.commands import main
from flinfast.cli.serve import FLAGS
from flinfast.lang.modifier import MODIFIERS
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.server.config import Config, all_keys
from tests.runtime.programs import LOGIN, write
from tests.server.program import Program
from tests.server.running import TIMEOUT_S
from tests.server.settings_tests import FLAGS_TYPED, SETTING_TESTS
from tests.server.test_reload import make_certificate

ROOT = Path(__file__).resolve().parent.parent.parent

# Guard -> as written, how a request passes, how one is refused, the status of the refusal.
# A request is its fields; `as` logs in with a role first, `method` is not GET.
Ask = dict[str, str]
GUARDS: dict[str, tuple[str, Ask, Ask, int]] = {
    "auth": ("auth", {"as": "member"}, {}, 401),
    "role": ('role("admin")', {"as": "admin"}, {"as": "member"}, 403),
    "owner": ("owner(query.id)", {"as": "admin"}, {"as": "member"}, 403),
    "rate_limit": ("rate_limit(1, 3600)", {"X-Forwarded-For": "192.0.2.1"}, {}, 429),
    "ws_rate_limit": ("ws_rate_limit(1, 1)", {}, {"bad": "ws_rate_limit(0)"}, 403),
    "csrf": ("csrf", {}, {"method": "POST"}, 403),
    "ip_whitelist": (
        'ip_whitelist("192.0.2.0/24")',
        {"X-Forwarded-For": "192.0.2.9"},
        {"X-Forwarded-For": "198.51.100.1"},
        403,
    ),
    "api_key": ('api_key("correct-horse")', {"X-API-Key": "correct-horse"}, {}, 401),
    "time_window": (
        'time_window("00:00", "24:00")',
        {},
        {"bad": 'time_window("00:00", "00:00")'},
        403,
    ),
    "method": ('method("GET")', {}, {"method": "POST"}, 405),
}

# Modifier -> field, a value that passes, a value that fails, the message.
VALIDATORS: dict[str, tuple[str, Any, Any, str]] = {
    "required": ("text @required", "x", None, "is required"),
    "email": ("text @email", "a@example.org", "a@", "must be a valid email"),
    "url": ("text @url", "https://example.org/", "ftp://x", "must be a valid URL"),
    "phone": ("text @phone", "+49 30 123456", "call me", "must be a valid phone number"),
    "uuid": (
        "text @uuid",
        "123e4567-e89b-12d3-a456-426614174000",
        "123e4567",
        "must be a valid UUID",
    ),
    "ip": ("text @ip", "::1", "1.2.3", "must be a valid IP address"),
    "slug": ("text @slug", "a-b", "A b", "must be a valid slug"),
    "alpha": ("text @alpha", "abc", "a1", "must contain only letters"),
    "alphanumeric": ("text @alphanumeric", "a1", "a-1", "must contain only letters and digits"),
    "date": ("text @date", "2026-01-31", "2026-02-31", "must be a valid date"),
    "pattern": ('text @pattern("^[a-c]+$")', "abc", "abd", "has the wrong format"),
    "trim": ("text @trim @max_length(1)", " x ", "xx", "must be at most 1 character"),
    "lowercase": ('text @lowercase @one_of("a")', "A", "B", "must be one of: a"),
    "one_of": ('text @one_of("a", "b")', "a", "c", "must be one of: a, b"),
    "min_length": ("text @min_length(2)", "ab", "a", "must be at least 2 characters"),
    "max_length": ("text @max_length(2)", "ab", "abc", "must be at most 2 characters"),
    "length": ("text @length(2)", "ab", "a", "must be exactly 2 characters"),
    "min_items": ("[int] @min_items(1)", [1], [], "must have at least 1 item"),
    "max_items": ("[int] @max_items(1)", [1], [1, 2], "must have at most 1 item"),
    "min": ("int @min(2)", 2, 1, "must be at least 2"),
    "max": ("int @max(2)", 2, 3, "must be at most 2"),
    "positive": ("int @positive", 1, 0, "must be positive"),
    "negative": ("int @negative", -1, 0, "must be negative"),
    "integer": ("number @integer", 2.0, 2.5, "must be an integer"),
    "max_size": ('file @max_size("4B")', b"1234", b"12345", "must be at most 4B"),
    "allow_types": (
        'file @allow_types("text/plain")',
        b"x",
        b"\x89PNG\r\n\x1a\n",
        "must be of type",
    ),
    "extension": ('file @extension("txt")', b"x", ("a.exe", b"x"), "must have the extension: .txt"),
}
# Modifiers that say how a field is stored; tested with entities.
STORED = {"unique", "index", "hidden", "default"}


def program_files() -> dict[str, str]:
    files = {
        **LOGIN,
        "app/ws.flin": """
            ws {
                on message(data) {
                    checked = validate(data, { n: "int @required @min(1)" })
                    ws_send(ws.connection_id, { ok: checked.ok, fields: checked.fields })
                }
            }
        """,
    }
    for name, (written, _, denying, _) in GUARDS.items():
        for kind, text in (("good", written), ("bad", denying.get("bad", written))):
            files[f"app/g/{kind}/{name}.flin"] = (
                f'guard {text}\n\nroute GET {{ "passed" }}\n\nroute POST {{ "passed" }}\n'
            )
    for name, (written, *_) in VALIDATORS.items():
        files[f"app/v/{name}.flin"] = (
            f"route POST {{\n    validate {{ f: {written} }}\n\n    {{ ok: true }}\n}}\n"
        )
    return files


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(
        tmp_path_factory.mktemp("limits"), program_files(), server_proxy_headers="on"
    ) as program:
        yield program


# --- guards ----------------------------------------


def ask(site: Program, path: str, how: Ask) -> int:
    browser = site.client()
    if "as" in how:
        browser.log_in(f"user of {how['as']}", how["as"])
    fields = {k: v for k, v in how.items() if k not in ("as", "method", "bad")}
    method = how.get("method", "GET")
    body = {} if method == "POST" else None
    return browser.request(method, path, body, **fields).status


@pytest.mark.parametrize("name", BUILTIN_GUARDS)
def test_guard_over_a_socket(site: Program, name: str) -> None:
    """Who it is for passes, others get its status."""
    _, passing, denying, status = GUARDS[name]
    assert ask(site, f"/g/good/{name}", passing) == 200
    if name == "rate_limit":  # the same address once more
        assert ask(site, f"/g/good/{name}", passing) == status
        return
    kind = "bad" if "bad" in denying else "good"
    assert ask(site, f"/g/{kind}/{name}", denying) == status


def test_no_guard_is_without_a_test() -> None:
    """A new guard needs a row here, and an entry of the manual."""
    from flinfast.manual.book import entries

    assert set(GUARDS) == set(BUILTIN_GUARDS)
    assert {e.name for e in entries() if e.kind == "guard"} >= set(BUILTIN_GUARDS)


# --- validators ----------------------------------------


def posted(site: Program, name: str, value: Any) -> tuple[int, Any]:
    browser = site.client()
    if isinstance(value, bytes | tuple):
        filename, data = value if isinstance(value, tuple) else ("a.txt", value)
        raw = (
            b'--XX\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n'
            b"Content-Type: text/plain\r\n\r\n%s\r\n--XX--\r\n" % (filename.encode(), data)
        )
        answer = browser.request(
            "POST", f"/v/{name}", raw=raw, Content_Type="multipart/form-data; boundary=XX"
        )
    else:
        answer = browser.post(f"/v/{name}", {} if value is None else {"f": value})
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("name", VALIDATORS)
def test_validator_over_a_socket(site: Program, name: str) -> None:
    """A good value passes, a bad one gets 400 with its message."""
    _, good, bad, message = VALIDATORS[name]
    assert posted(site, name, good) == (200, {"ok": True})
    status, body = posted(site, name, bad)
    assert status == 400
    assert body["error"] == "Validation failed"
    assert body["fields"]["f"].startswith(message)


def test_no_validator_is_without_a_test() -> None:
    """A new modifier needs a row here or is one of those that say how a field is stored."""
    assert set(VALIDATORS) >= set(MODIFIERS) - STORED
    assert set(VALIDATORS) <= set(MODIFIERS)


def test_messages_are_validated(site: Program) -> None:
    """`validate(data, { ... })` in a ws handler says what is wrong; the connection goes on."""
    with site.client().ws("/ws") as link:
        for value, answer in (
            ({"n": 0}, {"ok": False, "fields": {"n": "must be at least 1"}}),
            ({}, {"ok": False, "fields": {"n": "is required"}}),
            ("no map", {"ok": False, "fields": {"n": "is required"}}),
            ({"n": 5}, {"ok": True, "fields": {}}),
        ):
            link.send(value)
            assert link.receive() == answer


# --- settings and flags ----------------------------------------


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.exists() and bool(
        re.search(rf"^def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    )


def test_no_setting_is_without_a_test() -> None:
    """Each names the test that shows its effect; all of them exist."""
    assert set(SETTING_TESTS) == {key.path for key in all_keys()}
    assert [test for test in SETTING_TESTS.values() if not exists(test)] == []


def test_no_flag_is_without_a_test() -> None:
    """Each is typed once in a test below; what it sets is a setting that has a test."""
    assert set(FLAGS_TYPED) == set(FLAGS)
    assert set(FLAGS.values()) <= set(SETTING_TESTS)


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_sets_its_setting(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed wins over variable, file and default."""
    seen: list[Config] = []
    monkeypatch.setattr(serve, "serve_project", lambda *args: seen.append(args[2]))
    monkeypatch.setenv("FLIN_SERVER_PORT", "9999")
    write(tmp_path, {"app/index.flin": "route GET { 1 }"})
    typed, expected = FLAGS_TYPED[flag]
    assert main(["serve", str(tmp_path), *typed]) == 0
    table, _, name = FLAGS[flag].partition(".")
    values = getattr(seen[0].settings, table)
    assert getattr(values, name, None) == expected


def test_every_setting_has_a_line_in_the_reference() -> None:
    """docs/reference/settings.md."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [key.path for key in all_keys() if f"`{key.variable}`" not in page] == []


# --- what the page about security promises ----------------------------------------


def test_the_access_log_has_no_query(site: Program) -> None:
    """Tokens that somebody put into a URL do not reach the log."""
    site.client().get("/g/good/method?token=very-secret")
    site.wait_for(lambda: "/g/good/method" in site.log_text())
    assert "very-secret" not in site.log_text()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_tls_is_refused(tmp_path: Path) -> None:
    """TLS 1.2 and later only."""
    certificate, key = make_certificate(tmp_path, "tls")
    with Program(
        tmp_path / "site",
        LOGIN,
        server_ssl_certfile=str(certificate),
        server_ssl_keyfile=str(key),
    ) as program:
        for version, is_served in (("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
            with socket.create_connection(("127.0.0.1", program.port), TIMEOUT_S) as link:
                try:
                    with context.wrap_socket(link) as wrapped:
                        assert is_served
                        assert wrapped.version() == version.replace("_", ".")
                except (ssl.SSLError, ConnectionError):
                    assert not is_served
