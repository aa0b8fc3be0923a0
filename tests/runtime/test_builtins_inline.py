"""Builtins that compiled code does itself, or C code does in its own way, beside plain models."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import BoundBuiltins, specs
from flinfast.runtime.kinds import LIST_ITEMS_MAX
from flinfast.runtime.operators import OperatorSet
from tests.runtime.flin_values import FakeQuery, FakeRecord, plain

BUILTINS = BoundBuiltins(None)
OPERATORS = OperatorSet(BUILTINS)
PROPERTIES = ("first", "last", "is_empty", "len", "length")
METHODS: dict[str, tuple[Any, ...]] = {
    "get": ("a", 0),
    "has_key": ("a",),
    "pad_start": (3, "0"),
    "pad_left": (3,),
    "pad_end": (1000, "é"),
    "pad_right": (0, " "),
}
LITERALS = {"get": '"a", 0', "has_key": '"a"', "pad_start": '3, "0"', "pad_left": "3"}
LITERALS |= {"pad_end": '1000, "é"', "pad_right": '0, " "'}
bounds = st.one_of(st.integers(-7, 7), st.sampled_from([2**62, 2**63, -(2**63), 2**70, -(2**70)]))


def compiled() -> dict[str, Any]:
    """Functions of `xs`: every form above, of any value."""
    lines = [f"fn {name}_(xs) {{ xs.{name} }}" for name in PROPERTIES]
    lines += [f"fn {name}_(xs) {{ xs.{name}({args}) }}" for name, args in LITERALS.items()]
    lines += ["fn count_of(xs) { count(xs) }", "fn len_of(xs) { len(xs) }"]
    lines += ["fn first_of_list(xs) { [xs, 1][1:].first }", "fn last_of_list(xs) { [].last }"]
    lines += ["fn other_key(xs) { xs.get(xs.b, 1) }", "fn wide(xs) { xs.pad_start(1001) }"]
    lines += ["fn empty_list(xs) { [[].is_empty, [xs].is_empty] }"]
    source = Source("lib/run.flin", "\n".join(lines))
    program = compile_project([(source, "lib", ())], builtins=specs(), guards=())
    abi: Any = SimpleNamespace(ops=OPERATORS, builtins=BUILTINS, entities={}, shared_functions={})
    found: dict[str, Any] = program.files[0].bind(abi)
    return found


FUNCTIONS = compiled()
values = st.one_of(
    plain,
    st.text(max_size=5),
    st.lists(plain, max_size=3),
    st.dictionaries(st.sampled_from(["a", "first", "len", "get", "is_empty", "has_key"]), plain),
    st.builds(FakeQuery, st.lists(plain, max_size=2)),
    st.builds(FakeRecord, st.just("R"), st.just(1), st.fixed_dictionaries({"first": plain})),
)


def outcome(function: Any, *args: Any) -> str:
    """The result or the fault."""
    try:
        return repr(function(*args))
    except RuntimeFault as fault:
        return f"{fault.code} {fault}"


@given(value=values)
def test_what_is_done_in_place_agrees_with_the_call(value: Any) -> None:
    """Of whatever the value turns out to be."""
    for name in PROPERTIES:
        expected = outcome(OPERATORS.member, value, name)
        assert outcome(FUNCTIONS[f"{name}_"], None, value) == expected, name
    for name, args in METHODS.items():
        expected = outcome(OPERATORS.call_method, None, value, name, args, {})
        assert outcome(FUNCTIONS[f"{name}_"], None, value) == expected, name
    for name in ("count", "len"):
        assert outcome(FUNCTIONS[f"{name}_of"], None, value) == outcome(BUILTINS[name], value)


def test_a_function_of_a_map_comes_first() -> None:
    """Under the name of a method, with the arguments that were written."""
    own = {"get": lambda key=None, other=None: [key, other], "a": 1}
    assert FUNCTIONS["get_"](None, own) == ["a", 0]
    assert FUNCTIONS["has_key_"](None, {"has_key": lambda key=None: key}) == "a"
    assert FUNCTIONS["get_"](None, {"get": 5, "a": 1}) == 1


def test_other_forms_are_calls() -> None:
    """Keys and lengths that are no literals within the limits, lists of evident kind."""
    assert FUNCTIONS["other_key"](None, {"b": "c", "c": 4}) == 4
    assert FUNCTIONS["wide"](None, "x") == "x".rjust(1001)
    assert FUNCTIONS["first_of_list"](None, 7) == 1
    assert FUNCTIONS["last_of_list"](None, 7) is None
    assert FUNCTIONS["empty_list"](None, 7) == [True, False]


@given(
    items=st.one_of(st.lists(st.integers(), max_size=6), st.text(max_size=6)),
    start=bounds,
    stop=st.one_of(st.none(), bounds),
)
def test_parts_are_those_of_python(items: Any, start: int, stop: int | None) -> None:
    """Bounds count from the end, and may be beyond it or beyond 64 bits."""
    assert BUILTINS["slice"](items, start, stop) == items[start:stop]
    if isinstance(items, list):
        assert BUILTINS["take"](items, start) == items[: max(0, start)]
        assert BUILTINS["drop"](items, start) == items[max(0, start) :]
        assert BUILTINS["slice"](items, start) is not items


@given(
    start=st.one_of(st.integers(-9, 9), st.sampled_from([2**61, -(2**61), 2**63, 2**70])),
    count=st.integers(-3, 9),
    step=st.one_of(st.integers(-4, 4).filter(bool), st.sampled_from([2**61, -(2**62), 2**70])),
)
def test_ranges_are_those_of_python(start: int, count: int, step: int) -> None:
    stop = start + count * step - (1 if step > 0 else -1) * (count % 2)
    assert BUILTINS["range"](start, stop, step) == list(range(start, stop, step))
    assert BUILTINS["range"](count) == list(range(count))


@pytest.mark.parametrize("stop", [LIST_ITEMS_MAX + 1, 2**61, 2**61 + 1, 2**63, 2**80])
def test_a_range_beyond_the_limit_is_a_fault(stop: int) -> None:
    for args in ((stop,), (0, stop), (0, -stop, -1), (-stop, stop)):
        with pytest.raises(RuntimeFault, match="at most 10000000 items") as caught:
            BUILTINS["range"](*args)
        assert caught.value.code == "FL508"


@given(text=st.text(max_size=5), length=st.integers(0, 9), fill=st.characters())
def test_texts_are_filled_and_capitalized_as_in_python(text: str, length: int, fill: str) -> None:
    """Whatever width their characters have."""
    assert BUILTINS["pad_start"](text, length, fill) == text.rjust(length, fill)
    assert BUILTINS["pad_end"](text, length, fill) == text.ljust(length, fill)
    assert BUILTINS["capitalize"](text) == text[:1].upper() + text[1:]
    assert BUILTINS["upper"](text) == text.upper()
    assert BUILTINS["lower"](text) == text.lower()
    assert BUILTINS["trim"](text) == text.strip()


@given(lists=st.lists(st.lists(st.integers(), max_size=2), min_size=1, max_size=4))
def test_any_number_of_lists_and_maps_are_joined(lists: list[list[int]]) -> None:
    """A new one each time, also of one alone."""
    joined = BUILTINS["concat"](*lists)
    assert joined == [item for items in lists for item in items]
    assert joined is not lists[0]
    maps = [{str(item): place for item in items} for place, items in enumerate(lists)]
    merged = BUILTINS["merge"](*maps)
    assert merged == {key: value for entries in maps for key, value in entries.items()}
    assert merged is not maps[0]
    assert outcome(BUILTINS["concat"], lists[0], None) == (
        "FL504 `concat` argument 2: expected list, got none"
    )
    assert outcome(BUILTINS["merge"], maps[0], maps[0], 5) == (
        "FL504 `merge` argument 3: expected map, got int"
    )
