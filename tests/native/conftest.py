"""Fixtures of the hub's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.native.model_hub import Rig


@pytest.fixture(params=["socket", "transport"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(request.param)
    yield rig
    rig.close()
    assert rig.faults == []
