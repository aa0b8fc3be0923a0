"""Builtins about the process and small tools (FLIN reference 13.6)."""

from __future__ import annotations

import os
import secrets
import time
from typing import Final

from flinfast.runtime import patch as patches
from flinfast.runtime.kinds import range_fault
from flinfast.runtime.registry import Number, Value, builtin
from flinfast.runtime.services import Services

SLEEP_MS_MAX: Final = 86_400_000
_STARTED: Final = time.monotonic()  # a property of the process, the same for every program in it


@builtin("uuid")
def generate_uuid() -> str:
    """Make a random UUID (version 4)."""
    number = secrets.randbits(128)
    number = number & ~(0xF << 76) | 4 << 76  # RFC 9562 section 5.4: the version
    number = number & ~(3 << 62) | 2 << 62  # and the variant
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@builtin()
def server_uptime() -> int:
    """Give the seconds since the process started."""
    return int(time.monotonic() - _STARTED)


@builtin(result="text?")
def env(name: str) -> Value:
    """Read an environment variable; none when it is not set."""
    plain = name.isprintable() and "=" not in name
    found = os.environ.get(name) if plain else None
    # Bytes that are not UTF-8 come as lone surrogates, which no text of FLIN holds.
    return None if found is None else found.encode("utf-8", "replace").decode()


@builtin(waits=True)
def sleep(services: Services, duration: Number) -> None:
    """Wait that many milliseconds; other handlers run meanwhile."""
    if not 0 <= duration <= SLEEP_MS_MAX:
        raise range_fault("sleep", 1, f"0 to {SLEEP_MS_MAX} ms", duration)
    services.waiter.sleep(duration / 1000)


@builtin()
def apply_patch(text: str, patch: Value) -> str:
    """Apply edits `{ start, delete, insert }` to a text; offsets count code points."""
    return patches.apply_patch(text, patch)
