"""Several processes on one database: handlers are serialisable, no update is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.store.count_child import open_counters

CHILD = Path(__file__).with_name("count_child.py")
ROOT = Path(__file__).parents[2]
PROCESSES = 3
TIMES = 150


def test_counters_of_several_processes_add_up(tmp_path: Path) -> None:
    """Read, add, save in three processes at once: the sum is the number of handlers."""
    store, _ = open_counters(tmp_path)
    with store.transaction():
        for name in "abc":
            store.save(store.handle("Counter").construct({"name": name, "n": 0}))
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path), str(TIMES)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    errors = [child.communicate(timeout=90)[1] for child in children]
    assert errors == [""] * PROCESSES
    assert store.handle("Counter").flin_call("sum", ("n",), {}) == PROCESSES * TIMES
    versions = store.handle("Counter").flin_call("sum", ("version",), {})
    assert versions == PROCESSES * TIMES + 3
    store.close()


def test_start_of_several_processes_at_once(tmp_path: Path) -> None:
    """Processes that start together on a new folder agree on one schema."""
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path / "db"), "0"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    errors = [child.communicate(timeout=90)[1] for child in children]
    assert errors == [""] * 4
