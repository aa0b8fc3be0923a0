"""Generated programs in the real runtime: a request to any program is answered in FLIN's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from tests.lang.generate import BODY, program_of
from tests.runtime.programs import client_of, logged

SEEDS = range(40)
_GUARD = re.compile(r"^guard.*$", re.MULTILINE)  # the request has neither session nor token


def answer(folder: Path, text: str) -> tuple[int, list[str]]:
    """Status of a POST with a value of every kind, and the Python exceptions behind faults.

    Raises:
        CompileError: The program has faults.
    """
    with client_of(folder, {"app/index.flin": text}) as client:
        status = client.post("/", json=BODY).status
        return status, [line for line in logged(client, "debug") if line.startswith("cause: ")]


def test_exception_behind_a_fault_is_seen(tmp_path: Path) -> None:
    """What the property below looks for is found where it is."""
    status, causes = answer(tmp_path, "fn f(n) { f(n) + 1 }\nroute POST { f(body.count) }")
    assert status == 500
    assert [cause.split(":")[1] for cause in causes] == [" RecursionError"]


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_program_is_answered_without_a_python_exception(
    seed: int, tmp_path: Path
) -> None:
    """An answer or a fault of FLIN; nothing of Python's comes out, whatever the program does."""
    text = _GUARD.sub("", program_of(seed, runs=True)).replace("route GET", "route POST")
    try:
        status, causes = answer(tmp_path, text)
    except CompileError:
        return
    assert causes == []
    assert status in (200, 204, 500)


def test_most_generated_programs_are_answered(tmp_path: Path) -> None:
    """The property above is about programs that do something."""
    answered = 0
    for seed in SEEDS:
        text = _GUARD.sub("", program_of(seed, runs=True)).replace("route GET", "route POST")
        try:
            status, _ = answer(tmp_path / str(seed), text)
        except CompileError:
            continue
        answered += status < 300
    assert answered >= len(SEEDS) / 10
