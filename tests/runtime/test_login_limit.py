"""Guessing passwords: counted per account, forgotten after the right one, the same cost for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from flinfast.runtime.builtins import security
from flinfast.settings import SecuritySettings
from tests.runtime.programs import client_of

FILES = {
    "entities/account.flin": """
        entity Account { name: text @required @unique  password: text @required @hidden }
    """,
    "app/sign-up.flin": """
        route POST {
            account = Account { name: body.name, password: hash_password(body.password) }
            save account
            account.id
        }
    """,
    "app/sign-in.flin": """
        route POST {
            account = Account.where(name == body.name).first
            stored = none
            if account { stored = account.password }
            if !verify_password(body.password, stored) { return error(401, "Invalid credentials") }
            session.user = account
            { name: account.name }
        }
    """,
}


def attempt(client: object, name: str, password: str) -> int:
    answer = client.post("/sign-in", json={"name": name, "password": password})  # type: ignore[attr-defined]
    return int(answer.status)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take milliseconds."""
    monkeypatch.setattr(security, "ARGON2_MEMORY_KIB", 64)
    monkeypatch.setattr(security, "ARGON2_PASSES", 1)
    monkeypatch.setattr(security, "ARGON2_LANES", 1)
    security._hash_of_nobody.cache_clear()


def test_guesses_are_counted_per_account(tmp_path: Path) -> None:
    """Five wrong passwords, then 429 for that account, even with the right one; others go on."""
    with client_of(tmp_path, FILES) as client:
        for name in ("ada", "bob"):
            client.post("/sign-up", json={"name": name, "password": f"{name}-secret"})
        assert [attempt(client, "ada", "wrong") for _ in range(7)] == [401] * 5 + [429] * 2
        answer = client.post("/sign-in", json={"name": "ada", "password": "ada-secret"})
        assert answer.status == 429
        assert 0 < int(answer.headers["retry-after"]) <= 300
        assert attempt(client, "bob", "bob-secret") == 200


def test_the_right_password_forgets_wrong_ones(tmp_path: Path) -> None:
    """Somebody who mistypes now and then is never locked out."""
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        for _ in range(4):
            passwords = ("wrong", "wrong", "wrong", "wrong", "right")
            assert [attempt(client, "ada", p) for p in passwords] == [401] * 4 + [200]


@pytest.mark.parametrize(("limit", "expected"), [(1, [401, 429]), (2, [401, 401, 429])])
def test_limit_at_its_value(tmp_path: Path, limit: int, expected: list[int]) -> None:
    """`security.login_failures` wrong ones are checked, the next is not."""
    settings = SecuritySettings(login_failures=limit)
    with client_of(tmp_path, FILES, security=settings) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        assert [attempt(client, "ada", "wrong") for _ in expected] == expected


def test_limit_can_be_switched_off(tmp_path: Path) -> None:
    """0 allows any number."""
    with client_of(tmp_path, FILES, security=SecuritySettings(login_failures=0)) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        assert [attempt(client, "ada", "wrong") for _ in range(12)] == [401] * 12


def test_unknown_accounts_cost_as_much_as_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One computation of the same parameters either way: the time tells nothing."""
    verified: list[str] = []
    real = security._verify

    def recording(hashed: str, password: bytes) -> bool:
        verified.append(hashed)
        return real(hashed, password)

    monkeypatch.setattr(security, "_verify", recording)
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        assert attempt(client, "ada", "wrong") == 401
        assert attempt(client, "nobody", "wrong") == 401
    known, unknown = (hashed.split("$")[:4] for hashed in verified)
    assert known == unknown
    assert known[1] == "argon2id"
