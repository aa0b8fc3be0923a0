"""Secrets are compared in constant time, everywhere: `hmac.compare_digest` sees them."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.builtins import BoundBuiltins
from tests.runtime.harness import Parts
from tests.runtime.test_guard import decide


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[set[bytes]]:
    """Pairs that were compared in constant time."""
    seen: list[set[bytes]] = []
    compare = hmac.compare_digest

    def compare_digest(left: Any, right: Any) -> bool:
        seen.append({left, right})
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    return seen


def test_csrf_token(parts: Parts, compared: list[set[bytes]]) -> None:
    """What `guard csrf` was given, with the session's."""
    context = parts.context()
    token = context.session.csrf_token()
    cookie = parts.finish(context)
    context = parts.context("POST", cookie=cookie, headers={"X-CSRF-Token": "guess"})
    assert decide(parts, context, "csrf") == 403
    assert {b"guess", token.encode()} in compared


def test_session_signature(parts: Parts, compared: list[set[bytes]]) -> None:
    """Of the cookie, with ours."""
    context = parts.context()
    context.session.flin_set("n", 1)
    cookie = parts.finish(context)
    assert cookie
    name, _, value = cookie.partition("=")
    id, _, signature = value.partition(".")
    assert parts.context(cookie=f"{name}={id}.guess").session.flin_get("n") is None
    assert {b"guess", signature.encode()} in compared


def test_api_key(parts: Parts, compared: list[set[bytes]]) -> None:
    """Every accepted key, also after one that fits."""
    context = parts.context(headers={"X-API-Key": "first"})
    assert decide(parts, context, "api_key", "first", "second") is None
    assert {b"first"} in compared
    assert {b"first", b"second"} in compared


def test_csrf_verify(parts: Parts, compared: list[set[bytes]]) -> None:
    """The builtin for tokens of a program's own."""
    bound = BoundBuiltins(parts.services)
    assert bound["csrf_verify"]("guess", "secret") is False
    assert {b"guess", b"secret"} in compared
