"""The program's secret and the keys derived from it.

The secret signs session cookies and tokens. It comes from the settings (FLIN_SESSION_SECRET), else
from a file made on first use, readable by its owner only. Earlier secrets stay valid for checking,
so a secret can be replaced without logging everybody out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from flinfast.errors import ConfigError

SECRET_BYTES_MIN = 32  # an HMAC-SHA256 key shorter than its output is the weaker of the two
SECRET_FILE = "secret"
_SAMPLES = frozenset({"changeme", "change-me", "secret", "password", "insecure", "your-secret-key"})


class Secrets:
    """Keys per purpose, derived with HMAC-SHA256 so that no two purposes share a key.

    Args:
        current: The secret that signs.
        previous: Secrets that are still accepted.
    """

    __slots__ = ("_cache", "_secrets")

    def __init__(self, current: bytes, previous: tuple[bytes, ...] = ()) -> None:
        self._secrets = (current, *previous)
        self._cache: dict[str, tuple[bytes, ...]] = {}

    def keys(self, purpose: str) -> tuple[bytes, ...]:
        """Keys of 32 bytes for a purpose such as "session" or "token"; the first one signs."""
        found = self._cache.get(purpose)
        if found is None:
            label = f"flin:{purpose}".encode()
            found = tuple(hmac.digest(key, label, hashlib.sha256) for key in self._secrets)
            self._cache[purpose] = found
        return found

    def __repr__(self) -> str:
        return f"Secrets(count={len(self._secrets)})"


def check_secret(text: str, *, path: str) -> bytes:
    """A configured secret as key bytes.

    Raises:
        ConfigError: It is shorter than SECRET_BYTES_MIN, a sample value, or one repeated character.
    """
    raw = text.encode()
    lowered = text.strip().lower()
    is_sample = lowered in _SAMPLES or any(
        lowered == s * (len(lowered) // len(s)) for s in _SAMPLES
    )
    if len(raw) < SECRET_BYTES_MIN or is_sample or len(set(raw)) < 8:
        raise ConfigError(
            f"expected a random secret of at least {SECRET_BYTES_MIN} bytes",
            path=path,
            hint="make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
        )
    return raw


def load_secrets(current: str, previous: tuple[str, ...], folder: Path) -> Secrets:
    """Keys from the settings, else from `folder/secret`, which is made (0600) when missing.

    Args:
        current: `session.secret`, "" when not set.
        previous: `session.previous_secrets`.
        folder: The data folder; created (0700) when a secret has to be made.

    Raises:
        ConfigError: A secret is too weak, or the file cannot be used.
    """
    older = tuple(
        check_secret(text, path=f"session.previous_secrets[{index}]")
        for index, text in enumerate(previous)
    )
    if current:
        return Secrets(check_secret(current, path="session.secret"), older)
    return Secrets(_file_secret(folder / SECRET_FILE), older)


def _file_secret(path: Path) -> bytes:
    """The secret in a file; made when there is none. Two starting processes agree on one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(file, secrets.token_urlsafe(48).encode())
                os.fsync(file)
            finally:
                os.close(file)
            try:
                os.link(draft, path)  # fails when another process was first: its secret holds
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        raw = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"expected a readable secret file, got: {error.strerror}",
            path=str(path),
            hint="set FLIN_SESSION_SECRET, or make the folder writable",
        ) from error
    if len(raw) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"expected at least {SECRET_BYTES_MIN} bytes in the secret file", path=str(path)
        )
    return raw
