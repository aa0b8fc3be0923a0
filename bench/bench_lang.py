"""FLIN functions beside the same functions in Python, and the time a program takes to compile.

`pytest bench/bench_lang.py --benchmark` compares functions written in both languages;
`python -m bench.bench_lang` prints the ratios, with the aim of 1.3, and the processor time of
compiling LINES lines, with the aims of COLD_MS and CACHED_MS. On a busy machine processor time
stretches, too: the time of a fixed loop is printed beside it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.lang.programs import CASES
from flinfast.lang.cache import compile_cached
from flinfast.lang.program import ProjectSource, compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.runtime.operators import OperatorSet

ROUNDS = 15  # per side; the fastest counts
CALLS = 20  # measured together, as one may be shorter than the clock's steps
LINES = 1000  # of the program that is compiled
COLD_MS, CACHED_MS = 150, 10


def _compiled() -> dict[str, Callable[..., Any]]:
    builtins: Any = BoundBuiltins(None)
    text = (Path(__file__).parent / "lang" / "programs.flin").read_text(encoding="utf-8")
    program = compile_project(
        [(Source("lib/bench.flin", text), "lib", ())], builtins=specs(), guards=()
    )
    abi: Any = SimpleNamespace(
        ops=OperatorSet(builtins), builtins=builtins, entities={}, shared_functions={}
    )
    return program.files[0].bind(abi)


CLOSURES = _compiled()


def flin_call(name: str, arguments: tuple[Any, ...]) -> Any:
    return CLOSURES[name](None, *arguments)


@pytest.mark.parametrize("language", ["python", "flin"])
@pytest.mark.parametrize("name", CASES)
def test_function(benchmark: Any, name: str, language: str) -> None:
    """One function in one language."""
    case = CASES[name]
    benchmark.group = name
    function = case.python
    if language == "flin":
        closure = CLOSURES[name]

        def function(*arguments: Any) -> Any:
            return closure(None, *arguments)

    result = benchmark.pedantic(
        function, setup=lambda: (case.arguments(), {}), rounds=100, warmup_rounds=5
    )
    assert result == case.python(*case.arguments())


def fastest(function: Callable[..., Any], arguments: Callable[[], tuple[Any, ...]]) -> float:
    """Seconds of processor time that some calls take, the fastest of three."""
    best = float("inf")
    for _ in range(3):
        given = [arguments() for _ in range(CALLS)]
        start = time.process_time_ns()
        for values in given:
            function(*values)
        best = min(best, time.process_time_ns() - start)
    return best


def ratio_of(name: str) -> float:
    """Time of the FLIN function over that of the Python one, measured in turns."""
    case, closure = CASES[name], CLOSURES[name]
    flin, python = float("inf"), float("inf")
    for _ in range(ROUNDS):
        flin = min(flin, fastest(closure, lambda: (None, *case.arguments())))
        python = min(python, fastest(case.python, case.arguments))
    return flin / python


# --- compiling ----------------------------------------


def program_of(lines: int) -> list[ProjectSource]:
    """A project of at least so many lines: entities, and copies of one route file."""
    folder = Path(__file__).parent / "flin"
    entities = (folder / "entities.flin").read_text(encoding="utf-8")
    route = (folder / "route.flin").read_text(encoding="utf-8")
    sources: list[ProjectSource] = [(Source("entities/all.flin", entities), "entities", ())]
    count = entities.count("\n")
    while count < lines:
        sources.append((Source(f"app/api/board{len(sources)}.flin", route), "route", ()))
        count += route.count("\n")
    return sources


def compile_without_cache() -> None:
    """Compile the program from its text."""
    compile_project(program_of(LINES), builtins=specs(), guards=BUILTIN_GUARDS)


def compile_with_cache(folder: Path) -> None:
    """Compile the program, or take it from the folder."""
    compile_cached(program_of(LINES), builtins=specs(), guards=BUILTIN_GUARDS, folder=folder)


def test_compile_without_cache(benchmark: Any) -> None:
    """A thousand lines from text to code."""
    benchmark.group = "compile"
    benchmark.pedantic(compile_without_cache, rounds=10, warmup_rounds=1)


def test_compile_with_cache(benchmark: Any, tmp_path: Path) -> None:
    """The same program when nothing changed since it was compiled."""
    benchmark.group = "compile"
    compile_with_cache(tmp_path)
    benchmark.pedantic(lambda: compile_with_cache(tmp_path), rounds=30, warmup_rounds=1)


def processor_ms(run: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Processor time of the first and of the fastest of some runs, in ms."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.process_time_ns()
        run()
        times.append((time.process_time_ns() - start) / 1e6)
    return times[0], min(times)


def fixed_loop() -> None:
    """About 20 ms of plain Python on one idle 2.5 GHz core."""
    total = 0
    for i in range(300_000):
        total += i * i & 7


if __name__ == "__main__":
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(f"fixed loop {processor_ms(fixed_loop, 5)[1]:.1f} ms")
    first, best = processor_ms(compile_without_cache, 8)
    print(f"{LINES} lines cold: {first:.0f} ms with imports, {best:.0f} ms (aim {COLD_MS})")
    with tempfile.TemporaryDirectory() as kept:
        _, best = processor_ms(lambda: compile_with_cache(Path(kept)), 8)
    print(f"{LINES} lines cached: {best:.1f} ms (aim {CACHED_MS})")
    for shown in CASES:
        print(f"{shown:16} {ratio_of(shown):5.2f}")
