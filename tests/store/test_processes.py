"""Several processes on one database: handlers are serialisable, no update is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.count_child import open_counters
from tests.store.store_loop import ENGINES

CHILD = Path(__file__).with_name("count_child.py")
ROOT = Path(__file__).parents[2]
TIMES = int(os.environ.get("FLINFAST_STORE_ADDITIONS", "240"))  # in all


@pytest.mark.timeout(120 + TIMES // 10)
@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("engine", ENGINES)
def test_counters_of_several_processes_add_up(
    engine: str, processes: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Read, add, save in several processes at once: the sum is the number of handlers."""
    is_remote = engine == "postgres"
    place = request.getfixturevalue("postgres_url") if is_remote else str(tmp_path)
    store, _ = open_counters(place)
    with store.transaction():
        for name in "abc":
            store.save(store.handle("Counter").construct({"name": name, "n": 0}))
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), place, str(TIMES // processes)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    errors = [child.communicate(timeout=90 + TIMES // 10)[1] for child in children]
    assert errors == [""] * processes
    assert store.handle("Counter").flin_call("sum", ("n",), {}) == TIMES
    versions = store.handle("Counter").flin_call("sum", ("version",), {})
    assert versions == TIMES + 3
    marks = [
        (mark.flin_get("id_added_to"), mark.flin_get("n"))
        for mark in store.handle("Mark").flin_get("all")
    ]
    counts = {
        counter.id: counter.flin_get("n") for counter in store.handle("Counter").flin_get("all")
    }
    expected = [(id, n) for id, last in counts.items() for n in range(-last, last + 1) if n]
    assert sorted(marks) == sorted(expected)
    store.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_start_of_several_processes_at_once(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Processes that start together on a new database agree on one schema."""
    is_remote = engine == "postgres"
    place = request.getfixturevalue("postgres_url") if is_remote else str(tmp_path / "db")
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), place, "0"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    errors = [child.communicate(timeout=90)[1] for child in children]
    assert errors == [""] * 4
