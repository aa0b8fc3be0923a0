"""Operators and builtins that handlers call most: `pytest bench/bench_runtime.py --benchmark`.

Each benchmark runs its call 1000 times per round, so the table's microseconds are nanoseconds of
one call (loop included, about 15 ns).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.encode import decode_json, encode_json
from flinfast.runtime.operators import OPERATORS
from flinfast.values import Time

CALLS = 1000
MESSAGE = {"type": "edit", "patch": {"start": 5, "delete": 0, "insert": "x"}, "version": 17}
PURE = BoundBuiltins(None)
LIST = [1, "a", None, {"b": 2.5}]

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "member of a map": (OPERATORS.member, (MESSAGE, "type")),
    "member of a text": (OPERATORS.member, ("hello", "len")),
    "eq text": (OPERATORS.eq, ("edit", "cursor")),
    "eq int and number": (OPERATORS.eq, (1, 1.0)),
    "eq none": (OPERATORS.eq, (MESSAGE, None)),
    "eq lists": (OPERATORS.eq, (LIST, list(LIST))),
    "lt": (OPERATORS.lt, (1, 2)),
    "add ints": (OPERATORS.add, (1, 2)),
    "add texts": (OPERATORS.add, ("doc:", "17")),
    "add text and int": (OPERATORS.add, ("doc:", 17)),
    "mul": (OPERATORS.mul, (6, 7)),
    "div": (OPERATORS.div, (6, 3)),
    "truthy text": (OPERATORS.truthy, ("general",)),
    "truthy map": (OPERATORS.truthy, (MESSAGE,)),
    "to_text of a text": (OPERATORS.to_text, ("hello",)),
    "to_text of an int": (OPERATORS.to_text, (17,)),
    "to_text of a map": (OPERATORS.to_text, (MESSAGE,)),
    "index of a list": (OPERATORS.index, (LIST, 1)),
    "contains": (OPERATORS.contains, ("a", LIST)),
    "call_method": (OPERATORS.call_method, (None, "a,b", "split", (",",), {})),
    "builtin starts_with": (PURE["starts_with"], ("hello", "he")),
    "builtin len (3 kinds)": (PURE["len"], ("hello",)),
    "builtin to_int": (PURE["to_int"], ("17",)),
    "encode a map": (encode_json, (MESSAGE,)),
    "encode a map with a time": (encode_json, ({**MESSAGE, "at": Time(0)},)),
    "decode a map": (decode_json, (encode_json(MESSAGE),)),
}


def _loop(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    for _ in range(CALLS):
        function(*args)


@pytest.mark.parametrize("case", sorted(CASES))
def test_call(benchmark: Any, case: str) -> None:
    benchmark(_loop, *CASES[case])


@pytest.mark.parametrize("name", ["broadcast", "ws_send"])
def test_send_without_a_hub(benchmark: Any, name: str) -> None:
    """What the builtin adds to the hub's own time."""

    def send(room: str, data: Any, volatile: bool) -> int:
        return 1

    services: Any = SimpleNamespace(hub=SimpleNamespace(broadcast=send, send=send))
    benchmark(_loop, BoundBuiltins(services)[name], ("doc:17", MESSAGE))
