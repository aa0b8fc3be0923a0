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
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.lang.cache import compile_cached
from flinfast.lang.program import ProjectSource, compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.runtime.operators import OPERATORS

ROUNDS = 15  # per side; the fastest counts
CALLS = 20  # measured together, as one may be shorter than the clock's steps
LINES = 1000  # of the program that is compiled
COLD_MS, CACHED_MS = 150, 10

FLIN = """
fn fib(n: int) -> int { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }

fn sum_of_squares(n: int) {
    total = 0
    for i in 0..n { if i % 3 == 0 || i % 5 == 0 { total += i * i } }
    total
}

fn bubble(items: list) {
    n = items.len
    for i in 0..n {
        for j in 0..n - 1 - i {
            if items[j] > items[j + 1] {
                [a, b] = [items[j + 1], items[j]]
                items[j] = a
                items[j + 1] = b
            }
        }
    }
    items
}

fn slug(text: text) {
    out = ""
    for c in text {
        if c == " " { out += "-" } else if c != "!" { out += c }
    }
    out
}

fn horner(x: number, n: int) {
    y = 1.0
    for i in 0..n { y = y * x + 1.0 }
    y
}

fn cursor(data, name) {
    if data.type == "edit" { return { type: "edit", patch: data.patch } }
    if data.type == "cursor" {
        return { type: "cursor", user: name, position: data.position, room: data.room || "general" }
    }
    none
}

fn totals(orders) {
    by_user = {}
    for order in orders {
        if order.paid == true && order.total > 0 {
            user = "user:" + order.user
            by_user[user] = (by_user[user] ?? 0) + order.total
        }
    }
    by_user
}
"""


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def sum_of_squares(n: int) -> int:
    total = 0
    for i in range(n):
        if i % 3 == 0 or i % 5 == 0:
            total += i * i
    return total


def slug(text: str) -> str:
    out = ""
    for c in text:
        if c == " ":
            out += "-"
        elif c != "!":
            out += c
    return out


def horner(x: float, n: int) -> float:
    y = 1.0
    for _ in range(n):
        y = y * x + 1.0
    return y


def bubble(items: list[int]) -> list[int]:
    n = len(items)
    for i in range(n):
        for j in range(n - 1 - i):
            if items[j] > items[j + 1]:
                a, b = items[j + 1], items[j]
                items[j] = a
                items[j + 1] = b
    return items


def cursor(data: Any, name: str) -> Any:
    if data.get("type") == "edit":
        return {"type": "edit", "patch": data.get("patch")}
    if data.get("type") == "cursor":
        room = data.get("room") or "general"
        return {"type": "cursor", "user": name, "position": data.get("position"), "room": room}
    return None


def totals(orders: list[dict[str, Any]]) -> dict[str, Any]:
    by_user: dict[str, Any] = {}
    for order in orders:
        if order.get("paid") is True and order.get("total", 0) > 0:
            user = "user:" + str(order.get("user"))
            by_user[user] = by_user.get(user, 0) + order["total"]
    return by_user


@dataclass(frozen=True)
class Case:
    """One function in both languages, and what it is called with."""

    python: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]
    typed: bool


ORDERS = [{"user": f"u{n % 9}", "paid": n % 4 != 0, "total": n % 50} for n in range(300)]
CURSOR = {"type": "cursor", "position": 17}
CASES = {
    "fib": Case(fib, lambda: (17,), typed=True),
    "sum_of_squares": Case(sum_of_squares, lambda: (4000,), typed=True),
    "slug": Case(slug, lambda: ("Hello wide world! " * 60,), typed=True),
    "horner": Case(horner, lambda: (0.5, 4000), typed=True),
    "bubble": Case(bubble, lambda: ([(n * 37) % 101 for n in range(60)],), typed=False),
    "cursor": Case(cursor, lambda: (CURSOR, "Ada"), typed=False),
    "totals": Case(totals, lambda: (ORDERS,), typed=False),
}


def _compiled() -> dict[str, Callable[..., Any]]:
    builtins: Any = BoundBuiltins(None)
    program = compile_project(
        [(Source("lib/bench.flin", FLIN), "lib", ())], builtins=specs(), guards=()
    )
    abi: Any = SimpleNamespace(ops=OPERATORS, builtins=builtins, entities={}, shared_functions={})
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
