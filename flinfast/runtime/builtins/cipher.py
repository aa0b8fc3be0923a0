"""Encryption (FLIN reference 13.8): AES-256-GCM, one key per message.

A sealed text is `version | salt | nonce | ciphertext and tag` as URL-safe base64. The key of a
message comes from the program's secret, or from a key of the caller's own, by HKDF-SHA256 with the
message's random salt; so no number of messages wears one AES key out, and a secret that was
replaced still opens what it sealed. What was sealed keeps its kind: text, bytes, or any other
value as JSON.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import decode_json, encode_json
from flinfast.runtime.kinds import range_fault
from flinfast.runtime.registry import Value, builtin
from flinfast.runtime.services import Services

PLAIN_BYTES_MAX: Final = 16 << 20  # some 20 ms of the loop; larger data belongs into files
KEY_BYTES_MIN: Final = 32  # as many as the AES key that is derived from it
VERSION: Final = b"\x01"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2.2
TAG_BYTES: Final = 16
PURPOSE: Final = "encrypt"
_HEAD_BYTES: Final = len(VERSION) + SALT_BYTES + NONCE_BYTES
_SEALED_CHARS_MAX: Final = (PLAIN_BYTES_MAX + _HEAD_BYTES + TAG_BYTES + 1) * 4 // 3 + 4
_TEXT, _BYTES, _JSON = b"t", b"b", b"j"


@builtin()
def encrypt(services: Services, data: Value, key: str | None = None) -> str:
    """Encrypt any value with AES-256-GCM, under `key` or the program's secret."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # few programs need it

    material = _materials(services, "encrypt", key)[0]
    plain = _plain(data)
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(_derive(material, salt)).encrypt(nonce, plain, VERSION)
    return base64.urlsafe_b64encode(VERSION + salt + nonce + sealed).decode().rstrip("=")


@builtin()
def decrypt(services: Services, data: Value, key: str | None = None) -> Value:
    """Give back what `encrypt` sealed; none when the text was changed or the key is another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    materials = _materials(services, "decrypt", key)
    raw = _raw(data)
    if raw is None:
        return None
    salt = raw[len(VERSION) : len(VERSION) + SALT_BYTES]
    nonce = raw[len(VERSION) + SALT_BYTES : _HEAD_BYTES]
    for material in materials:
        try:
            plain = AESGCM(_derive(material, salt)).decrypt(nonce, raw[_HEAD_BYTES:], VERSION)
        except InvalidTag:
            continue
        return _opened(plain)
    return None


# --- private ----------------------------------------


def _materials(services: Services, function: str, key: str | None) -> tuple[bytes, ...]:
    """What keys are derived from; the first one seals."""
    if key is None:
        return services.secrets.keys(PURPOSE)
    raw = key.encode("utf-8", "replace")
    if len(raw) < KEY_BYTES_MIN:
        expected = f"a key of at least {KEY_BYTES_MIN} bytes"
        raise range_fault(function, 2, expected, f"{len(raw)} bytes")
    return (raw,)


def _derive(material: bytes, salt: bytes) -> bytes:
    """The AES key of one message (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"flin:encrypt:1").derive(material)


def _plain(data: Value) -> bytes:
    if type(data) is str:
        plain = _TEXT + data.encode("utf-8", "replace")
    elif type(data) is bytes:
        plain = _BYTES + data
    else:
        plain = _JSON + encode_json(data)
    if len(plain) > PLAIN_BYTES_MAX + 1:
        raise RuntimeFault(f"`encrypt`: expected at most {PLAIN_BYTES_MAX} bytes", code="FL508")
    return plain


def _opened(plain: bytes) -> Value:
    kind, content = plain[:1], plain[1:]
    if kind == _TEXT:
        return content.decode()
    return content if kind == _BYTES else decode_json(content)


def _raw(data: Value) -> bytes | None:
    """The octets of a sealed text, None for anything else."""
    if type(data) is not str or len(data) > _SEALED_CHARS_MAX or not data.isascii():
        return None
    try:
        raw = base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    is_whole = len(raw) > _HEAD_BYTES + TAG_BYTES and raw.startswith(VERSION)
    return raw if is_whole else None
