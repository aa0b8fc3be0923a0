"""Simulated power cuts: unsynced writes are dropped, reordered, torn; acknowledged ones stay.

The load runs once per program and its I/O is recorded. For every crash point the recording is
replayed up to there, and the disk gets one of the contents that unsynced writes may leave. A fresh
process must open it, find it sound, and find a committed state not older than what was
acknowledged before the crash.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.errors import StoreError
from flinfast.store.sqlite import FILE_NAME
from tests.store.fault_vfs import Disk, FaultVfs
from tests.store.workload import Load, read_state, small_checkpoints

# Crash points per run; a release runs 10,000 and more.
POINTS = int(os.environ.get("FLINFAST_STORE_POWER_CUTS", "600"))
POINTS_PER_PROGRAM = 60
TURNS = 16


@pytest.fixture(autouse=True)
def checkpoints_are_frequent() -> Iterator[None]:
    with small_checkpoints():
        yield


def record(seed: int, folder: Path) -> Load:
    """Run one program to its end and keep what it did to its files."""
    vfs = FaultVfs()
    load = Load(seed, vfs, unique=seed % 2 == 0)
    load.open(folder)
    assert load.store is not None
    vfs.events.append(("opened",))
    load.run(TURNS)
    vfs.plan = lambda number, what: "eio"  # closing must not tidy up the recording
    kept, vfs.events = vfs.events, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load.store.group, "flush", lambda: None)
        with contextlib.suppress(StoreError):
            load.store.close()
    vfs.events = kept
    vfs.unregister()
    return load


def crash_at(load: Load, point: int, folder: Path, rng: random.Random) -> tuple[int, bool]:
    """Write a possible disk after the first `point` events; what was acknowledged by then."""
    disk = Disk()
    acknowledged, opened = 0, False
    for event in load.vfs.events[:point]:
        disk.apply(event)
        if event[0] == "acknowledged":
            acknowledged = max(acknowledged, event[1])
        opened |= event[0] == "opened"
    disk.write_image(folder, rng)
    return acknowledged, opened


@pytest.mark.slow
@pytest.mark.timeout(60 + POINTS // 5)
def test_acknowledged_writes_survive_power_cuts(tmp_path: Path) -> None:
    """Hundreds of crash points over random programs: nothing lost, nothing torn, always opens."""
    rng = random.Random(1)
    done = 0
    program = 0
    while done < POINTS:
        program += 1
        live = tmp_path / f"live{program}"
        load = record(program, live)
        events = load.vfs.events
        opened = events.index(("opened",))
        assert load.acknowledged > TURNS // 2
        for _ in range(min(POINTS_PER_PROGRAM, POINTS - done)):
            low = opened if rng.random() < 0.9 else 0
            point = rng.randint(low, len(events))
            left = tmp_path / f"left{done}"
            left.mkdir()
            acknowledged, was_open = crash_at(load, point, left, rng)
            if was_open:
                load.check(*read_state(left), acknowledged=acknowledged)
            else:  # the power went during the very first opening: it can be opened again
                again = Load(0, FaultVfs(), unique=program % 2 == 0)
                again.open(left)
                assert again.store is not None
                again.store.close()
                again.vfs.unregister()
            for path in left.iterdir():
                path.unlink()
            left.rmdir()
            done += 1
    assert program >= POINTS // POINTS_PER_PROGRAM


def test_power_cuts_while_the_log_starts_over(tmp_path: Path) -> None:
    """Old frames under a new header, or new frames under an old one, are never taken for data.

    The dangerous moment of a write-ahead log: its start is overwritten while its old content is
    still valid. SQLite syncs the new header first, unless `synchronous` is OFF.
    """
    rng = random.Random(4)
    log = f"{FILE_NAME}-wal"
    points = 0
    for seed in range(1, 9):
        load = record(seed, tmp_path / f"live{seed}")
        events = load.vfs.events
        opened = events.index(("opened",))
        restarts = [n for n, e in enumerate(events) if e[:3] == ("write", log, 0) and n > opened]
        for restart in restarts:
            for point in range(restart + 1, min(restart + 25, len(events))):
                left = tmp_path / "left"
                left.mkdir()
                acknowledged, _ = crash_at(load, point, left, rng)
                load.check(*read_state(left), acknowledged=acknowledged)
                shutil.rmtree(left)
                points += 1
    assert points > 200


def test_the_simulation_notices_missing_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the log's sync left out, the same crash points do lose acknowledged writes."""
    monkeypatch.setattr("tests.store.fault_vfs.FaultLogSync.__call__", lambda self: None)
    rng = random.Random(2)
    load = record(1, tmp_path / "live")
    losses = 0
    for number in range(30):
        left = tmp_path / f"left{number}"
        left.mkdir()
        point = rng.randint(load.vfs.events.index(("opened",)), len(load.vfs.events))
        acknowledged, _ = crash_at(load, point, left, rng)
        state, check = read_state(left)
        losses += check != ["ok"] or state not in load.states[acknowledged:]
    assert losses > 3


def test_database_file_is_named_as_the_store_names_it() -> None:
    """The recording keys files by name; the simulation rebuilds them under the same names."""
    disk = Disk()
    disk.apply(("write", FILE_NAME, 0, b"a" * 1000))
    disk.apply(("sync", FILE_NAME))
    disk.apply(("write", FILE_NAME, 500, b"b" * 20))
    file = disk.files[FILE_NAME]
    assert file.durable == b"a" * 1000
    assert file.image(lambda v: v[0], lambda s: s[-1]) == b"a" * 1000
    changed = file.image(lambda v: v[-1], lambda s: s[-1])
    assert changed == b"a" * 500 + b"b" * 20 + b"a" * 480
