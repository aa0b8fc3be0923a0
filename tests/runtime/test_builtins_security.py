"""Security builtins: passwords, tokens, hashes."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import REGISTRY, BoundBuiltins, security
from flinfast.runtime.secret import Secrets
from flinfast.runtime.services import Services
from flinfast.values import Time
from tests.runtime.fake_services import NOW_MS, fake_services
from tests.runtime.flin_values import FakeRecord, values

PURE = BoundBuiltins(None)
KEY = "0123456789abcdef0123456789abcdef"
DAY_S = 86_400
USER = FakeRecord("User", 7, {"email": "a@b.co", "name": "Ann", "role": "admin", "phone": "1"})


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path)


@pytest.fixture
def bound(services: Services) -> BoundBuiltins:
    return BoundBuiltins(services)


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> str:
    services = fake_services(tmp_path_factory.mktemp("root"))
    return str(BoundBuiltins(services)["hash_password"]("pässword"))


def later(services: Services, seconds: float) -> BoundBuiltins:
    moved = replace(services, clock_ms=lambda: NOW_MS + int(seconds * 1000))
    return BoundBuiltins(moved)


# --- passwords ----------------------------------------


def test_hash_password_has_the_documented_parameters(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_verify_password(bound: BoundBuiltins, services: Services, hashed: str) -> None:
    assert bound["verify_password"](None, "pässword", hashed) is True
    assert bound["argon2_verify"](None, "password", hashed) is False
    assert services.waiter.works == 2  # type: ignore[attr-defined]  # off the loop


def test_password_functions_wait() -> None:
    names = ["hash_password", "verify_password", "bcrypt_hash", "bcrypt_verify", "argon2_hash"]
    assert all(REGISTRY[name].spec.waits for name in names)


@pytest.mark.usefixtures("cheap_hashes")
@pytest.mark.parametrize(
    "stored",
    [
        None,
        5,
        "",
        "plain",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=65536,t=3,p=4$aa$bb",
        "$argon2id$v=19$m=1048577,t=3,p=4$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh",
        "$argon2id$v=19$m=65536,t=17,p=4$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh",
        "$argon2id$v=19$m=65536,t=3,p=17$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh",
        "$argon2id$v=19$m=1,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh",
        "$argon2id$é",
        "\ud800",
        "x" * 10_000,
    ],
)
def test_verify_password_of_a_malformed_hash_is_false(bound: BoundBuiltins, stored: Any) -> None:
    """It never fails, and never spends more memory or time than the limits allow."""
    assert bound["verify_password"](None, "x", stored) is False


@pytest.mark.parametrize("costs", ["m=1048577,t=3,p=4", "m=65536,t=17,p=4", "m=65536,t=3,p=17"])
def test_a_stored_hash_that_costs_too_much_is_not_computed(
    bound: BoundBuiltins, monkeypatch: pytest.MonkeyPatch, costs: str
) -> None:
    """Only the hash of nobody is, so that the time tells nothing."""
    computed: list[str] = []

    def verify(hashed: str, password: bytes) -> bool:
        computed.append(hashed)
        return True

    monkeypatch.setattr(security, "_verify", verify)
    stored = f"$argon2id$v=19${costs}$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFh"
    assert bound["verify_password"](None, "x", stored) is False
    assert computed == [security._hash_of_nobody()]


def test_password_length_is_limited(bound: BoundBuiltins, hashed: str) -> None:
    limit = security.PASSWORD_BYTES_MAX
    with pytest.raises(RuntimeFault) as caught:
        bound["hash_password"]("x" * (limit + 1))
    assert caught.value.code == "FL504"
    assert bound["verify_password"](None, "x" * (limit + 1), hashed) is False
    assert bound["verify_password"](None, 5, hashed) is False
    longest = bound["hash_password"]("x" * limit)
    assert bound["verify_password"](None, "x" * limit, longest) is True


# --- tokens ----------------------------------------


def test_create_token_has_the_documented_claims(bound: BoundBuiltins) -> None:
    claims = bound["verify_token"](bound["create_token"](USER))
    now_s = NOW_MS // 1000
    assert claims == {
        "sub": "7",
        "email": "a@b.co",
        "name": "Ann",
        "role": "admin",
        "iat": now_s,
        "exp": now_s + DAY_S,
        "iss": "flin",
    }


def test_create_token_options(bound: BoundBuiltins) -> None:
    options = {"expires": "7d", "claims": {"team": [1], "at": Time(0), "iss": "x", "exp": 1}}
    claims = bound["verify_token"](bound["create_token"]({"id": 3}, options))
    assert claims["exp"] - claims["iat"] == 7 * DAY_S
    assert (claims["team"], claims["at"]) == ([1], "1970-01-01T00:00:00Z")
    assert claims["iss"] == "flin"


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [("30s", 30), ("15m", 900), ("2h", 7200), ("2 weeks", 14 * DAY_S), (60_000, 60), ("1d", DAY_S)],
)
def test_expires_takes_texts_and_durations(
    bound: BoundBuiltins, expires: Any, seconds: int
) -> None:
    claims = bound["verify_token"](bound["create_token"](USER, {"expires": expires}))
    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize("expires", ["7 dogs", "", "-1d", 0, 999, True, "99y", 10**20, [], 1.5])
def test_expires_that_makes_no_sense_is_a_fault(bound: BoundBuiltins, expires: Any) -> None:
    with pytest.raises(RuntimeFault, match="expires") as caught:
        bound["create_token"](USER, {"expires": expires})
    assert caught.value.code == "FL504"


def test_create_token_for_an_unsaved_user_is_a_fault(bound: BoundBuiltins) -> None:
    for user in (FakeRecord("User", None, {}), {}, None, 5):
        with pytest.raises(RuntimeFault) as caught:
            bound["create_token"](user)
        assert caught.value.code == "FL504"


def test_create_token_beyond_the_limit_is_a_fault(bound: BoundBuiltins) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["create_token"](USER, {"claims": {"a": "x" * 10_000}})
    assert caught.value.code == "FL508"


def test_verify_token_follows_the_clock(bound: BoundBuiltins, services: Services) -> None:
    token = bound["create_token"](USER, {"expires": "1h"})
    assert later(services, 3599)["verify_token"](token) is not None
    assert later(services, 3700)["verify_token"](token) is None


def test_refresh_token_keeps_claims_and_life(bound: BoundBuiltins, services: Services) -> None:
    token = bound["create_token"](USER, {"expires": "1h", "claims": {"a": 1}})
    after = later(services, 1800)
    claims = after["verify_token"](after["refresh_token"](token))
    assert claims["exp"] == NOW_MS // 1000 + 1800 + 3600
    assert (claims["a"], claims["sub"]) == (1, "7")
    assert later(services, 7200)["refresh_token"](token) is None
    assert bound["refresh_token"]("x") is None


def _forged(header: dict[str, Any], claims: dict[str, Any], key: bytes = b"") -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.digest(key, signed.encode(), hashlib.sha256) if key else b""
    return f"{signed}.{part(signature)}"


def test_verify_token_refuses_forgeries(bound: BoundBuiltins, services: Services) -> None:
    """No algorithm, another key, another issuer, no expiry, a changed claim."""
    own = services.secrets.keys("token")[0]
    claims = {"sub": "1", "iss": "flin", "exp": NOW_MS // 1000 + 60}
    hs256 = {"alg": "HS256", "typ": "JWT"}
    assert bound["verify_token"](_forged(hs256, claims, own)) is not None
    without_exp = {"sub": "1", "iss": "flin"}
    for token in (
        _forged({"alg": "none"}, claims),
        _forged({"alg": "HS512"}, claims, own),
        _forged(hs256, claims, b"k" * 32),
        _forged(hs256, {**claims, "iss": "other"}, own),
        _forged(hs256, without_exp, own),
        _forged(hs256, {**claims, "exp": "9999999999"}, own),
        _forged(hs256, {**claims, "exp": True}, own),
        bound["create_token"](USER)[:-2] + "AA",
    ):
        assert bound["verify_token"](token) is None


def test_a_replaced_secret_still_verifies(bound: BoundBuiltins, services: Services) -> None:
    token = bound["create_token"](USER)
    rotated = replace(services, secrets=Secrets(b"n" * 32, (b"k" * 32,)))
    assert BoundBuiltins(rotated)["verify_token"](token)["sub"] == "7"
    gone = replace(services, secrets=Secrets(b"n" * 32))
    assert BoundBuiltins(gone)["verify_token"](token) is None


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_jwt_round_trip(bound: BoundBuiltins, algorithm: str) -> None:
    key = KEY * 2
    claims = {"a": [1, None], "exp": Time(NOW_MS + 60_000)}
    token = PURE["jwt_encode"](claims, key, algorithm)
    expected = {"a": [1, None], "exp": NOW_MS // 1000 + 60}
    assert bound["jwt_decode"](token, key, algorithm) == expected
    assert jwt.decode(token, key, algorithms=[algorithm]) == expected


def test_jwt_decode_refuses(bound: BoundBuiltins, services: Services) -> None:
    token = PURE["jwt_encode"]({"exp": NOW_MS // 1000 + 60, "nbf": NOW_MS // 1000}, KEY)
    assert bound["jwt_decode"](token, KEY) is not None
    assert bound["jwt_decode"](token, KEY[::-1]) is None
    assert bound["jwt_decode"](token, KEY * 2, "HS512") is None
    assert bound["jwt_decode"](_forged({"alg": "none"}, {}), KEY) is None
    other = PURE["jwt_encode"]({}, KEY * 2, "HS512")
    assert bound["jwt_decode"](other, KEY * 2, "HS512") == {}
    assert bound["jwt_decode"](other, KEY * 2) is None  # the program names the algorithm
    assert later(services, 60)["jwt_decode"](token, KEY) is None
    assert later(services, -1)["jwt_decode"](token, KEY) is None
    for wrong in (None, 5, "", "a.b.c", "\ud800", "x" * 10_000):
        assert bound["jwt_decode"](wrong, KEY) is None


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({}, "short", "HS256"),
        ({}, "x" * 31, "HS256"),
        ({}, KEY, "HS512"),
        ({}, KEY, "none"),
        ({}, KEY, "RS256"),
        ({"iss": 5}, KEY, "HS256"),
        ({"f": len}, KEY, "HS256"),
    ],
)
def test_jwt_encode_with_wrong_arguments_is_a_fault(
    claims: dict[str, Any], key: str, algorithm: str
) -> None:
    with pytest.raises(RuntimeFault) as caught:
        PURE["jwt_encode"](claims, key, algorithm)
    assert caught.value.code == "FL504"


@given(values)
def test_verify_token_of_anything_else_is_none(value: Any) -> None:
    bound = BoundBuiltins(fake_services(Path("/nowhere")))
    assert bound["verify_token"](value) is None
    assert bound["refresh_token"](value) is None


# --- comparison, randomness, hashes ----------------------------------------


def test_csrf_token_is_the_sessions_own(bound: BoundBuiltins) -> None:
    session = SimpleNamespace(csrf_token=lambda: "of the session")
    assert bound["csrf_token"](SimpleNamespace(session=session)) == "of the session"
    first, second = (bound["csrf_token"](SimpleNamespace()) for _ in range(2))
    assert first != second
    assert len(first) >= 43


@pytest.mark.parametrize(
    ("token", "expected", "result"),
    [
        ("a", "a", True),
        ("é", "é", True),
        ("a", "b", False),
        ("", "", False),
        (None, None, False),
        ("1", 1, False),
        ("\ud800", "\ud800", True),
    ],
)
def test_csrf_verify(token: Any, expected: Any, result: bool) -> None:
    assert PURE["csrf_verify"](token, expected) is result


def test_secure_random() -> None:
    assert len(PURE["secure_random"](16)) == 32
    assert PURE["secure_random"]() != PURE["secure_random"]()
    assert len(PURE["secure_random"](security.RANDOM_BYTES_MAX)) == 2 * security.RANDOM_BYTES_MAX
    for size in (0, -1, security.RANDOM_BYTES_MAX + 1):
        with pytest.raises(RuntimeFault):
            PURE["secure_random"](size)


def test_hashes_agree_with_known_values() -> None:
    """FIPS 180-4, RFC 1321 and RFC 4231 (test case 2)."""
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert PURE["sha256"]("abc") == PURE["sha256"](b"abc") == abc
    assert PURE["sha512"]("abc").startswith("ddaf35a193617abacc417349ae204131")
    assert PURE["md5"]("abc") == "900150983cd24fb0d6963f7d28e17f72"
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert PURE["hmac"]("what do ya want for nothing?", "Jefe") == expected
    for name, args in (("sha256", (5,)), ("hmac", ("a", None)), ("hmac", ("a", "k", "sha3"))):
        with pytest.raises(RuntimeFault) as caught:
            PURE[name](*args)
        assert caught.value.code == "FL504"


@given(st.binary())
def test_base64_round_trip(data: bytes) -> None:
    text = PURE["base64_encode"](data)
    assert PURE["base64_decode_bytes"](text) == data
    urlsafe = base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert PURE["base64_decode_bytes"](urlsafe) == data


def test_base64_decode_gives_text_when_it_can() -> None:
    assert PURE["base64_decode"]("w6k=") == "é"
    assert PURE["base64_decode"]("/w==") == b"\xff"
    for wrong in ("a", "é", "a b", "====x"):
        assert PURE["base64_decode"](wrong) is None
