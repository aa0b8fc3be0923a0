"""A fault at the Nth I/O call: an error answer or a clean stop, never a false acknowledgement."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.errors import DurabilityError, StoreError
from flinfast.store.sqlite import FILE_NAME
from tests.store.fault_vfs import FaultVfs, Plan
from tests.store.workload import Load, read_state, small_checkpoints

TURNS = 14
SEED = 5
KINDS = ("eio", "enospc", "short")
# 1 tries every call with every fault; the default spreads the faults over the calls.
FULL = os.environ.get("FLINFAST_STORE_FAULTS") == "full"


@pytest.fixture(autouse=True)
def checkpoints_are_frequent() -> Iterator[None]:
    with small_checkpoints():
        yield


def run(folder: Path, plan: Plan, *, unique: bool = True) -> tuple[Load, FaultVfs]:
    """Run the load under a plan, "crash", and give the verdict on what is left."""
    vfs = FaultVfs()
    vfs.plan = plan
    load = Load(SEED, vfs, unique=unique)
    live = folder / "live"
    left = folder / "left"
    try:
        load.open(live)
    except StoreError:
        pass
    else:
        load.run(TURNS)
    left.mkdir()
    for path in live.glob(f"{FILE_NAME}*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, left / path.name)
    vfs.plan = lambda number, what: None
    if load.store is not None:
        with contextlib.suppress(StoreError):
            load.store.close()
    load.check(*read_state(left))
    shutil.rmtree(live)
    shutil.rmtree(left)
    vfs.unregister()
    return load, vfs


def fault_at(number: int, kind: str, *, forever: bool) -> Plan:
    return lambda call, what: kind if call == number or (forever and call > number) else None


def test_load_without_faults(tmp_path: Path) -> None:
    """The load itself exercises syncs, checkpoints, restarts of the log, and acknowledges."""
    load, vfs = run(tmp_path, lambda number, what: None)
    assert load.acknowledged >= TURNS - 1  # the handlers of the last turn may all have failed
    assert load.acknowledgements > TURNS
    checkpoints = [e for e in vfs.events if e[:2] == ("sync", FILE_NAME)]
    restarts = [e for e in vfs.events if e[:3] == ("write", f"{FILE_NAME}-wal", 0)]
    assert len(checkpoints) >= 3
    assert len(restarts) >= 2


@pytest.mark.timeout(1800 if FULL else 120)
@pytest.mark.parametrize("unique", [True, False], ids=["unique", "waiting"])
def test_fault_at_every_call(tmp_path: Path, *, unique: bool) -> None:
    """Faults once and for good, at every I/O call from the first opening to the end."""
    healthy, vfs = run(tmp_path, lambda number, what: None, unique=unique)
    total = vfs.calls
    assert total > 150
    stopped = 0
    for number in range(1, total + 1):
        kinds = KINDS if FULL else KINDS[number % 3 :][:1]
        for kind in kinds:
            for forever in (False, True) if FULL else (number % 2 == 0,):
                load, _ = run(tmp_path, fault_at(number, kind, forever=forever), unique=unique)
                stopped += load.acknowledged < healthy.acknowledged
    assert stopped > total // 4  # the faults did hurt


@pytest.mark.parametrize("what", ["sync", "log sync"])
def test_every_failed_sync_ends_acknowledging(tmp_path: Path, what: str) -> None:
    """Any sync that fails once, ours or SQLite's: no acknowledgement after it, ever."""
    seen: list[str] = []
    failed = 0
    run(tmp_path, lambda number, kind: seen.append(kind))
    for position in [n for n, kind in enumerate(seen, 1) if kind == what]:
        load, _ = run(tmp_path, fault_at(position, "eio", forever=False))
        if load.store is None:
            continue
        if load.store.group.failed is not None:
            failed += 1
            with pytest.raises(DurabilityError):
                load.store.begin(writes=True)
    assert failed >= 3
