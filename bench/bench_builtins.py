"""Builtins of FLIN beside what one would write in Python, on few and on many items.

`python -m bench.bench_builtins` prints processor time of both and the ratio, with the aim of 1.3;
names after it choose rows (`python -m bench.bench_builtins sum sort`), `--sizes 10,1000` the
numbers of items. Both sides take turns, and the fastest of their rounds counts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from bench.lang.builtins import CALLS, DATA, SUPPORT, Call
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.operators import OperatorSet

AIM = 1.3
ROUNDS = 25  # of each side, in turns
ROUND_NS = 400_000  # so long a round takes at least: many steps of the clock


def flin_functions() -> list[Callable[..., Any]]:
    """Every call as a compiled function of context, `xs` and `ys`."""
    builtins: Any = BoundBuiltins(None)
    text = "\n".join(
        f"fn call{place}(xs, ys) {{ {call.flin} }}" for place, call in enumerate(CALLS)
    )
    program = compile_project(
        [(Source("lib/calls.flin", text), "lib", ())], builtins=specs(), guards=()
    )
    abi: Any = SimpleNamespace(
        ops=OperatorSet(builtins), builtins=builtins, entities={}, shared_functions={}
    )
    closures = program.files[0].bind(abi)
    return [closures[f"call{place}"] for place in range(len(CALLS))]


def python_functions() -> list[Callable[..., Any]]:
    """Every call as a function of Python with the same parameters."""
    names: dict[str, Any] = {}
    exec(SUPPORT, names)  # text of this repository only
    for place, call in enumerate(CALLS):
        exec(f"def call{place}(context, xs, ys): return {call.python}", names)
    return [names[f"call{place}"] for place in range(len(CALLS))]


def arguments(call: Call, size: int) -> tuple[Any, Any, Any]:
    """Context, and two equal but separate values."""
    return None, DATA[call.data](size), DATA[call.data](size)


def measure(
    flin: Callable[..., Any], python: Callable[..., Any], given: tuple[Any, ...], rounds: int
) -> tuple[float, float]:
    """Nanoseconds of processor time that one call takes, of both sides."""
    repeats = 1
    while _round(python, given, repeats) < ROUND_NS:
        repeats *= 2
    best_flin = best_python = float("inf")
    for _ in range(rounds):
        best_python = min(best_python, _round(python, given, repeats))
        best_flin = min(best_flin, _round(flin, given, repeats))
    return best_flin / repeats, best_python / repeats


def _round(function: Callable[..., Any], given: tuple[Any, ...], repeats: int) -> int:
    turns = range(repeats)
    start = time.process_time_ns()
    for _ in turns:
        function(*given)
    return time.process_time_ns() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="rows whose name contains one of these")
    parser.add_argument("--sizes", default="10,1000", help="numbers of items")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    flin, python = flin_functions(), python_functions()
    print(f"load average {os.getloadavg()[0]:.1f}; ratio, aim {AIM}: FLIN ns / Python ns")
    missed = 0
    for place, call in enumerate(CALLS):
        if chosen.names and not any(name in call.name for name in chosen.names):
            continue
        cells = []
        for size in sizes:
            given = arguments(call, size)
            ours, theirs = measure(flin[place], python[place], given, chosen.rounds)
            missed += ours / theirs > AIM
            mark = "*" if ours / theirs > AIM else " "
            cells.append(f"{ours / theirs:6.2f}{mark} {ours:9.0f} / {theirs:9.0f}")
        print(f"{call.name:22}" + "   ".join(cells))
    print(f"{missed} above the aim (*)")


if __name__ == "__main__":
    main()
