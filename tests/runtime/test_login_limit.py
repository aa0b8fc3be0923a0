"""Guessing passwords: counted per account, forgotten after the right one, the same cost for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.runtime.builtins import security
from flinfast.settings import SecuritySettings
from flinfast.testing import TestClient
from tests.runtime.programs import client_of, write

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
    "app/enter.flin": """
        route POST {
            account = Account.where(name == body.name).first
            if !verify_password(body.password, account?.password, body.name) {
                return error(401, "Invalid credentials")
            }
            { name: account.name }
        }
    """,
}


def attempt(
    client: object, name: object, password: str, peer: str = "127.0.0.1", path: str = "/sign-in"
) -> int:
    values = {"name": name, "password": password}
    answer = client.post(path, json=values, peer=peer)  # type: ignore[attr-defined]
    return int(answer.status)


def enter(client: object, name: object, password: str = "wrong") -> int:
    """As attempt(), where the program says which login it checks."""
    return attempt(client, name, password, path="/enter")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that take milliseconds; none of them is kept for other tests."""
    monkeypatch.setattr(security, "ARGON2_MEMORY_KIB", 64)
    monkeypatch.setattr(security, "ARGON2_PASSES", 1)
    monkeypatch.setattr(security, "ARGON2_LANES", 1)
    security._hash_of_nobody.cache_clear()
    yield
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


def test_unknown_accounts_are_refused_like_known_ones(tmp_path: Path) -> None:
    """Status, words and fields are the same at every attempt, and the right password after them."""
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        answers = [
            [
                client.post("/enter", json={"name": name, "password": password})
                for password in ("wrong",) * 6 + ("right",)
            ]
            for name in ("ada", "nobody")
        ]
    known, unknown = (
        [(a.status, a.body, sorted(set(a.headers) - {"date"})) for a in row] for row in answers
    )
    assert [status for status, _, _ in known] == [401] * 5 + [429] * 2
    assert [row[0] for row in unknown] == [row[0] for row in known]
    assert unknown[:5] == known[:5]
    assert [row[2] for row in unknown] == [row[2] for row in known]


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_spellings_of_a_login_are_counted_as_one(tmp_path: Path, name: str) -> None:
    """Also of one that does not exist; another login is another count."""
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        wide = "".join(chr(ord(letter) + 0xFEE0) for letter in name)
        names = [name, name.upper(), f" {name}", f"{name}\n", wide]
        assert [enter(client, one) for one in names] == [401] * 5
        assert [enter(client, one) for one in names] == [429] * 5
        assert enter(client, f"{name}x") == 401


def test_the_right_password_clears_the_count_of_its_login(tmp_path: Path) -> None:
    """And of no other."""
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        assert [enter(client, "nobody") for _ in range(4)] == [401] * 4
        for _ in range(3):
            assert [enter(client, "ada") for _ in range(4)] == [401] * 4
            assert enter(client, "ada", "right") == 200
        assert [enter(client, "nobody") for _ in range(2)] == [401, 429]


def test_any_value_is_a_login(tmp_path: Path) -> None:
    """Numbers and endless texts are counted, by what they begin with."""
    with client_of(tmp_path, FILES) as client:
        long = "x" * security.LOGIN_CHARS_MAX
        assert [enter(client, f"{long}{n}") for n in range(6)] == [401] * 5 + [429]
        assert [enter(client, long[1:]) for n in range(6)] == [401] * 5 + [429]
        assert [enter(client, 7) for _ in range(6)] == [401] * 5 + [429]
        assert [enter(client, "7") for _ in range(2)] == [429] * 2


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


def test_guesses_are_counted_per_address(tmp_path: Path) -> None:
    """Over known and unknown accounts; the right password neither counts nor clears; then 429."""
    now_ms = 1_800_000_000_000
    write(tmp_path, FILES)
    with TestClient(tmp_path, clock_ms=lambda: now_ms) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        for number in range(9):
            assert attempt(client, f"nobody{number}", "guess", "192.0.2.1") == 401
            assert attempt(client, "ada", "right", "192.0.2.1") == 200
        assert attempt(client, "ada", "wrong", "192.0.2.1") == 401
        values = {"name": "ada", "password": "right"}
        answer = client.post("/sign-in", json=values, peer="192.0.2.1")
        assert answer.status == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert attempt(client, "ada", "right", "::ffff:192.0.2.1") == 429
        assert attempt(client, "ada", "right", "192.0.2.2") == 200
        assert any(line.fields.get("ip") == "192.0.2.1" for line in client.log)
        now_ms += 60_001
        assert attempt(client, "ada", "right", "192.0.2.1") == 200


def test_addresses_of_one_ipv6_network_are_one(tmp_path: Path) -> None:
    """By their first 64 bits."""
    with client_of(tmp_path, FILES) as client:
        guesses = [attempt(client, "x", "y", f"2001:db8:1:2::{n:x}") for n in range(12)]
        assert guesses == [401] * 10 + [429] * 2
        assert attempt(client, "x", "y", "2001:db8:1:3::1") == 401


@pytest.mark.parametrize("limit", [1, 2])
def test_limit_of_an_address_at_its_value(tmp_path: Path, limit: int) -> None:
    """So many wrong ones are checked, the next is not; 0 allows any number."""
    settings = SecuritySettings(login_address_failures=limit)
    with client_of(tmp_path, FILES, security=settings) as client:
        guesses = [attempt(client, "x", "y", "192.0.2.1") for _ in range(limit + 1)]
        assert guesses == [401] * limit + [429]
    settings = SecuritySettings(login_address_failures=0)
    with client_of(tmp_path / "off", FILES, security=settings) as client:
        assert [attempt(client, "x", "y", "192.0.2.1") for _ in range(12)] == [401] * 12


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", ""])
def test_guesses_from_this_machine_are_not_counted_per_address(tmp_path: Path, peer: str) -> None:
    """The address may be that of a proxy, whose clients must not lock each other out."""
    with client_of(tmp_path, FILES) as client:
        assert [attempt(client, "x", "y", peer) for _ in range(12)] == [401] * 12


def test_a_locked_account_costs_an_address_nothing(tmp_path: Path) -> None:
    """What is refused for the account was no guess."""
    with client_of(tmp_path, FILES) as client:
        client.post("/sign-up", json={"name": "ada", "password": "right"})
        guesses = [attempt(client, "ada", "wrong", "192.0.2.1") for _ in range(12)]
        assert guesses == [401] * 5 + [429] * 7
        assert attempt(client, "bob", "wrong", "192.0.2.1") == 401


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
