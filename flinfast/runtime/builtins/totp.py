"""Second factors (FLIN reference 13.8): codes of authenticator apps, and one-time codes to send.

Codes are RFC 6238 with the values that every app assumes: SHA-1, 30 s, six digits. SHA-1 is used
as HMAC, where its collisions do not matter.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import struct
from typing import Final

from flinfast.runtime.kinds import range_fault
from flinfast.runtime.registry import Value, builtin
from flinfast.runtime.services import Services

SECRET_BYTES: Final = 20  # RFC 4226 section 4: at least 16, 20 recommended
SECRET_CHARS_MAX: Final = 128
STEP_S: Final = 30
WINDOW_STEPS: Final = 1  # RFC 6238 section 5.2: one step of network delay and clock drift
DIGITS: Final = 6
OTP_DIGITS_MIN: Final = 4
OTP_DIGITS_MAX: Final = 12


@builtin()
def totp_secret() -> str:
    """Make a secret for an authenticator app, as base32 text."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


@builtin()
def totp_verify(services: Services, secret: str, code: Value) -> bool:
    """Tell whether `code` is the app's code now, half a minute ago or in half a minute."""
    key = _key(secret)
    if key is None:
        raise range_fault("totp_verify", 1, "a secret of `totp_secret`", "another text")
    if type(code) is not str or len(code) > 2 * DIGITS:
        return False
    given = code.replace(" ", "").encode("utf-8", "replace")
    step = services.clock_ms() // 1000 // STEP_S
    steps = range(step - WINDOW_STEPS, step + WINDOW_STEPS + 1)
    # All are compared, so that the time taken says nothing about which one fits.
    return sum(hmac.compare_digest(given, _code(key, one)) for one in steps) > 0


@builtin()
def otp_generate(digits: int = DIGITS) -> str:
    """Make a random code of digits, such as "048213", to send to a person."""
    if not OTP_DIGITS_MIN <= digits <= OTP_DIGITS_MAX:
        raise range_fault("otp_generate", 1, f"{OTP_DIGITS_MIN} to {OTP_DIGITS_MAX}", digits)
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def _code(key: bytes, step: int) -> bytes:
    """RFC 4226 section 5.3."""
    digest = hmac.digest(key, struct.pack(">Q", max(0, step)), "sha1")
    offset = digest[-1] & 0xF
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}".encode()


def _key(secret: str) -> bytes | None:
    plain = secret.replace(" ", "").rstrip("=").upper()
    if not 16 <= len(plain) <= SECRET_CHARS_MAX:
        return None
    try:
        return base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError):
        return None
