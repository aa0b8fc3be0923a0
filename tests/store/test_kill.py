"""kill -9 under write load: no acknowledged turn is lost, none is there in part."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flinfast.store.sqlite import FILE_NAME, Database

ROUNDS = int(os.environ.get("FLINFAST_STORE_KILLS", "20"))
CHILD = Path(__file__).with_name("crash_child.py")
ROOT = Path(__file__).parents[2]


def run_and_kill(folder: Path, acknowledgements: int) -> int:
    """Let the child acknowledge that often, kill it, return the last acknowledged turn."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    lines = []
    try:
        for _ in range(acknowledgements):
            lines.append(child.stdout.readline())
            assert lines[-1], "the child ended by itself"
    finally:
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().split()
        child.stdout.close()
        child.wait()
    return int(lines[-1])


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_kill_loses_no_acknowledged_turn(tmp_path: Path) -> None:
    """The same database through 20 kills: complete turns only, every acknowledged one there."""
    rng = random.Random(3)
    for _ in range(ROUNDS):
        acknowledged = run_and_kill(tmp_path, rng.randint(1, 30))
        database = Database(tmp_path / FILE_NAME)
        try:
            assert database.query("PRAGMA integrity_check") == [("ok",)]
            (newest,) = database.query("SELECT turn FROM Counter")[0]
            assert newest >= acknowledged
            turns = database.query(
                "SELECT turn, COUNT(*), MIN(size), MAX(size) FROM Entry GROUP BY 1"
            )
            assert [turn for turn, *_ in turns] == list(range(1, newest + 1))
            assert all(count == low == high for _, count, low, high in turns)
            (versions,) = database.query("SELECT version FROM Counter")[0]
            history = database.query("SELECT COUNT(*) FROM _flin_history_Counter")
            assert history == [(versions - 1,)]
        finally:
            database.close()
