"""Encryption and second factors."""

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import BoundBuiltins, cipher
from flinfast.runtime.secret import Secrets
from flinfast.runtime.services import Services
from tests.runtime.fake_services import fake_services

KEY = "0123456789abcdef0123456789abcdef"
# RFC 6238 appendix B: the key of the SHA-1 vectors, and its last six digits.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_CODES = [(59, "287082"), (1111111109, "081804"), (2000000000, "279037")]


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return fake_services(tmp_path)


@pytest.fixture
def bound(services: Services) -> BoundBuiltins:
    return BoundBuiltins(services)


@given(
    st.one_of(
        st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        st.binary(),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.none(),
        st.lists(st.integers(0, 9)),
        st.dictionaries(st.sampled_from("abc"), st.booleans()),
    )
)
def test_decrypt_undoes_encrypt_of_any_value(value: Any) -> None:
    """Kind and value come back, under the program's secret and under a key of one's own."""
    bound = BoundBuiltins(fake_services(Path("/nowhere")))
    for key in ((), (KEY,)):
        opened = bound["decrypt"](bound["encrypt"](value, *key), *key)
        assert opened == value
        assert type(opened) is type(value)


def test_no_two_sealed_texts_are_alike(bound: BoundBuiltins) -> None:
    """Salt and nonce are random, so equal values cannot be told from unequal ones."""
    first, second = (base64.urlsafe_b64decode(bound["encrypt"]("same") + "==") for _ in range(2))
    assert first[:1] == second[:1] == cipher.VERSION
    assert first[1:17] != second[1:17]
    assert first[17:29] != second[17:29]
    assert first[29:] != second[29:]


def test_every_changed_octet_is_noticed(bound: BoundBuiltins) -> None:
    """Version, salt, nonce, text and tag are all authenticated; so is the length."""
    raw = base64.urlsafe_b64decode(bound["encrypt"]("pay 10 to Ada") + "==")
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert bound["decrypt"](base64.urlsafe_b64encode(changed).decode().rstrip("=")) is None
        assert bound["decrypt"](base64.urlsafe_b64encode(raw[:place]).decode()) is None


def test_another_key_opens_nothing(bound: BoundBuiltins) -> None:
    sealed = bound["encrypt"]("x", KEY)
    assert bound["decrypt"](sealed, KEY[::-1]) is None
    assert bound["decrypt"](sealed) is None
    assert bound["decrypt"](bound["encrypt"]("x"), KEY) is None


@pytest.mark.parametrize("data", [None, 5, b"x", "", "x", "é", "a b", "=" * 90, "A" * 200])
def test_decrypt_of_anything_else_is_none(bound: BoundBuiltins, data: Any) -> None:
    assert bound["decrypt"](data) is None


def test_a_replaced_secret_still_opens(bound: BoundBuiltins, services: Services) -> None:
    """`session.previous_secrets` hold for sealed texts too."""
    sealed = bound["encrypt"]({"iban": "x"})
    rotated = replace(services, secrets=Secrets(b"n" * 32, (b"k" * 32,)))
    assert BoundBuiltins(rotated)["decrypt"](sealed) == {"iban": "x"}
    gone = replace(services, secrets=Secrets(b"n" * 32))
    assert BoundBuiltins(gone)["decrypt"](sealed) is None


@pytest.mark.parametrize("name", ["encrypt", "decrypt"])
def test_a_short_key_is_a_fault(bound: BoundBuiltins, name: str) -> None:
    with pytest.raises(RuntimeFault, match=rf"`{name}` argument 2: .*32 bytes, got 31") as caught:
        bound[name]("x", "k" * 31)
    assert caught.value.code == "FL504"


def test_encrypt_beyond_the_limit_is_a_fault(
    bound: BoundBuiltins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cipher, "PLAIN_BYTES_MAX", 100)
    assert bound["decrypt"](bound["encrypt"]("x" * 100)) == "x" * 100
    with pytest.raises(RuntimeFault) as caught:
        bound["encrypt"]("x" * 101)
    assert caught.value.code == "FL508"


# --- second factors ----------------------------------------


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES)
def test_totp_agrees_with_the_rfc(services: Services, seconds: int, code: str) -> None:
    """The vectors of RFC 6238, one step before and after, but not two."""

    def at(moment: int) -> bool:
        moved = replace(services, clock_ms=lambda: moment * 1000)
        return bool(BoundBuiltins(moved)["totp_verify"](RFC_SECRET, code))

    assert at(seconds)
    assert at(seconds + 30)
    assert at(max(0, seconds - 30))
    assert not at(seconds + 90)


def test_totp_of_a_new_secret(bound: BoundBuiltins) -> None:
    secret = bound["totp_secret"]()
    assert len(base64.b32decode(secret)) == 20
    assert secret != bound["totp_secret"]()
    for wrong in ("", "12345", "abcdef", "1234567", None, 287082, "x" * 1000, "\ud800"):
        assert bound["totp_verify"](secret, wrong) is False


@pytest.mark.parametrize("secret", ["", "short", "1" * 32, "é" * 32, "A" * 200])
def test_totp_of_another_text_is_a_fault(bound: BoundBuiltins, secret: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        bound["totp_verify"](secret, "123456")
    assert caught.value.code == "FL504"


@pytest.mark.parametrize("digits", [4, 6, 12])
def test_otp_has_that_many_digits(bound: BoundBuiltins, digits: int) -> None:
    codes = {bound["otp_generate"](digits) for _ in range(20)}
    assert all(len(code) == digits and code.isdigit() for code in codes)
    assert len(codes) > 1


@pytest.mark.parametrize("digits", [3, 13, -1])
def test_otp_of_other_lengths_is_a_fault(bound: BoundBuiltins, digits: int) -> None:
    with pytest.raises(RuntimeFault, match="4 to 12"):
        bound["otp_generate"](digits)
