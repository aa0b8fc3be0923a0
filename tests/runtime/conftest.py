"""Fixtures of the runtime's tests."""

from collections.abc import Iterator

import pytest

from flinfast.runtime.builtins import security


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed at the least cost of Argon2, for tests of anything but that cost."""
    monkeypatch.setattr(security, "ARGON2_PASSES", 1)
    monkeypatch.setattr(security, "ARGON2_LANES", 1)
    monkeypatch.setattr(security, "ARGON2_MEMORY_KIB", 8)
    security._hash_of_nobody.cache_clear()
    yield
    security._hash_of_nobody.cache_clear()
