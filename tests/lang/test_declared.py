"""Types that programs declare, and `test` blocks."""

from __future__ import annotations

import time
import traceback
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.lang.program import TypeInfo
from tests.lang.compiling import bind_one, faults_of, info_of
from tests.lang.fake_abi import Context


def result_of(text: str, *arguments: Any) -> Any:
    """What the function `f` of a file gives."""
    _, closures = bind_one(text)
    return closures["f"](None, *arguments)


@pytest.mark.parametrize(
    "text",
    [
        "type Id = int?\nfn f(a: Id) { a }",
        "type Id = int?; fn f(a: Id) { a }",
        "type Id = int? fn f(a: Id) { a }",
        "type Id = Other<int>\ntype Other<A> = A?\n\nfn f(a: Id) { a }",
        "type Id = int |\n    none\nfn f(a: Id) { a }",
    ],
)
def test_alias_ends_with_its_line(text: str) -> None:
    """A `?` or `>` at the end of an alias does not take the next line along."""
    assert result_of(text, None) is None
    assert result_of(text, 3) == 3
    with pytest.raises(RuntimeFault, match="expected int or none, got text") as caught:
        result_of(text, "3")
    assert caught.value.code == "FL513"


@pytest.mark.parametrize(
    ("key", "fits", "fails"),
    [
        ("int", ["0", "-7", "12"], ["", "07", "1.5", "a", "1\n", "none"]),
        ("int?", ["7", "none"], ["a"]),
        ("number", ["0", "-1.5", "1e21", "NaN", "-Infinity"], ["", "a", ".5"]),
        ("bool", ["true", "false"], ["yes", ""]),
        ("time", ["2026-02-03T04:05:06Z", "2026-02-03T04:05:06.007Z"], ["2026-02-03", "now"]),
        ("State", ["Open"], ["open"]),
        ("int | State", ["7", "Open"], ["Shut"]),
        ("duration", ["60000"], ["1m"]),
        ("list", [], ["a"]),
        ("text", ["a", ""], []),
        ("any", ["a"], []),
    ],
)
def test_keys_of_a_map_are_texts_of_their_type(key: str, fits: list[str], fails: list[str]) -> None:
    """Keys are texts; those of `[int: any]` are texts of ints."""
    text = f"enum State {{ Open, Closed }}\nfn f(a: [{key} : any]) {{ a }}"
    for name in fits:
        assert result_of(text, {name: 1}) == {name: 1}
    for name in fails:
        with pytest.raises(RuntimeFault) as caught:
            result_of(text, {name: 1})
        shown = f"argument `a` of `f`: key `{name}`: expected {key}"
        assert (caught.value.code, str(caught.value)) == ("FL513", shown)


def test_keys_of_inner_maps_are_looked_at() -> None:
    """A list of maps, and maps of maps."""
    text = "fn f(a: [[text: [int: any]]]) { a }"
    assert result_of(text, [{"a": {"1": 2}}, {}])
    with pytest.raises(RuntimeFault, match="item 2: entry `b`: key `x`: expected int"):
        result_of(text, [{}, {"b": {"x": 2}}])


def test_rest_is_checked_as_the_list_it_is() -> None:
    """Of functions and lambdas; a type that is no list is refused when it is compiled."""
    text = "type Ids = [int]\nfn f(a, ...rest: Ids) { rest }"
    assert result_of(text, 1) == []
    assert result_of(text, 1, 2, 3) == [2, 3]
    with pytest.raises(RuntimeFault) as caught:
        result_of(text, 1, 2, "3")
    assert str(caught.value) == "argument `rest` of `f`: item 2: expected int, got text"
    assert result_of("fn f(...rest: [int] | none) { rest }", 1) == [1]
    assert result_of("fn f(...rest: any) { rest }", 1) == [1]
    for wrong in ("int", "text | int", "[text: int]", "int?"):
        (found,) = faults_of(f"fn f(...rest: {wrong}) {{ rest }}")
        assert (found.code, found.span.start) == ("FL114", len("fn f(...rest: "))


def test_alias_with_parameters_is_what_it_stands_for() -> None:
    """Arguments take the place of parameters, also through other aliases."""
    text = """
        type Maybe<A> = A?
        type Table<K, V> = [K: [V]]
        entity Page { title: Maybe<text>, counts: Table<text, Maybe<int>> open: bool }
        fn f(page) { found: Table<text, int> = page.counts
            found }
    """
    (entity,) = info_of({"entities/page.flin": text}).entities
    title, counts, _ = (field.type for field in entity.fields)
    assert title == TypeInfo("text", (), True)
    inner = TypeInfo("list", (TypeInfo("int", (), True),))
    assert counts == TypeInfo("map", (TypeInfo("text"), inner))


@pytest.mark.parametrize(
    ("declared", "fits", "fails"),
    [
        ("int | text", [1, "a"], [True, 1.5, None, [1]]),
        ("number | list", [1, 1.5, [1]], ["a", None]),
        ("text? | int", ["a", None, 1], [True, {}]),
        ("int | none", [1, None], ["a"]),
        ("State | bool", ["Open", True], ["Shut", 1]),
        ("int | any", [1, "a", None], []),
    ],
)
def test_union_takes_any_of_its_types(declared: str, fits: list[Any], fails: list[Any]) -> None:
    """Parameters, variables and results are checked against every member."""
    head = "enum State { Open, Closed }\n"
    for text in (
        f"fn f(a: {declared}) {{ a }}",
        f"fn f(a) {{ x: {declared} = a\n x }}",
        f"fn f(a) -> {declared} {{ a }}",
    ):
        for value in fits:
            assert result_of(head + text, value) is value
        for value in fails:
            with pytest.raises(RuntimeFault, match="expected") as caught:
                result_of(head + text, value)
            assert caught.value.code == "FL513"


@pytest.mark.parametrize(
    "step",
    ["type T{0} = T{1} | T{1}", "type T{0} = [T{1}: T{1}]"],
)
def test_aliases_that_multiply_are_refused(step: str) -> None:
    """Forty aliases could stand for a million million parts; that is found out at once."""
    lines = [step.format(n, n + 1) for n in range(40)]
    start = time.process_time()
    found = faults_of("\n".join([*lines, "type T40 = int", "fn f(a: T0) { a }"]))
    assert time.process_time() - start < 5
    assert {diagnostic.code for diagnostic in found} == {"FL009"}


def test_arguments_of_aliases_that_multiply_are_refused() -> None:
    """The same through type parameters, whose arguments are shared until someone looks at them."""
    lines = [f"type T{n}<A> = T{n + 1}<[A: A]>" for n in range(40)]
    found = faults_of("\n".join([*lines, "type T40<A> = A", "fn f(a: T0<int>) { a }"]))
    assert {diagnostic.code for diagnostic in found} == {"FL009"}


def test_type_of_many_parts_is_fine() -> None:
    """The limit is far beyond what people write."""
    names = " | ".join(f"[text: [{kind}]]" for kind in ("int", "text", "bool") * 30)
    assert result_of(f"type Wide = {names}\nfn f(a: Wide) {{ a }}", {}) == {}


# --- test blocks ----------------------------------------


def run_test(body: str) -> str:
    """The message of a failed test, or ""."""
    _, closures = bind_one(f'fn twice(n) {{ n * 2 }}\ntest "it" {{ {body} }}')
    try:
        closures["test 0"](Context())
    except RuntimeFault as fault:
        return f"{fault.code} {fault}"
    return ""


@pytest.mark.parametrize(
    "body",
    [
        "expect twice(2) == 4",
        "expect(twice(2) == 4)",
        "assert twice(2) == 4, none.x",
        'assert(twice(2) == 4, "twice")',
        "expect !false\nexpect [1].len assert 2 in [1, 2]",
        "for n in 1..4 { if n > 1 { expect twice(n) > n } }",
        "expect match 1 { 1 -> true  _ -> false }",
        "check = n => { expect n > 0 }  check(1)",
        "expect -1 < 0",
        "expect (1 + 1) * 2 == 4",
        "x = { expect: 1, assert: 2 }  expect x.expect < x.assert",
    ],
)
def test_met_expectation_does_nothing(body: str) -> None:
    """Every form of `expect` and `assert`, wherever statements stand."""
    assert run_test(body) == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("expect twice(2) == 5", "expected `twice(2) == 5`, but `twice(2)` is 4"),
        ("n = 2  expect twice(n) < n", "expected `twice(n) < n`, but `twice(n)` is 4 and `n` is 2"),
        ('expect "a" != "a"', 'expected `"a" != "a"`'),
        ('t = "b"  expect t == "a", "the {t}"', 'the b: expected `t == "a"`, but `t` is "b"'),
        ("expect false && none.x", "expected `false && none.x`"),
        ('assert(1 > 2, "no")', "no: expected `1 > 2`"),
        ("expect twice(1) ==\n    3", "expected `twice(1) == 3`, but `twice(1)` is 2"),
        ("expect 3 not in [3]", "expected `3 not in [3]`"),
    ],
)
def test_failed_expectation_says_what_was_found(body: str, message: str) -> None:
    """The source of the condition, and the values of what is not a literal."""
    assert run_test(body) == f"FL570 {message}"


def test_failed_expectation_shows_the_line_and_cuts_long_values() -> None:
    """The traceback ends in the test; a value is shown up to a bound."""
    _, closures = bind_one('test "long" {\n    t = "ab".repeat(1000)\n    expect t == ""\n}')
    with pytest.raises(RuntimeFault) as caught:
        closures["test 0"](Context())
    assert len(str(caught.value)) < 300
    frames = [
        frame
        for frame in traceback.extract_tb(caught.value.__traceback__)
        if frame.filename.endswith(".flin")
    ]
    assert (frames[-1].filename, frames[-1].lineno) == ("app/api/test.flin", 3)


def test_operands_of_an_expectation_are_evaluated_once() -> None:
    """What is shown is what was compared."""
    body = "log = []  add = n => { log.push(n)  n }  expect add(1) == add(1)  expect log == [1, 1]"
    assert run_test(body) == ""


def test_tests_are_described() -> None:
    """Names, keys, lines and effects, in every kind of file."""
    text = (
        'entity Note { t: text }\ntest "saves" { save Note { t: "a" } }\ntest "adds" { expect 1 }'
    )
    for path in ("app/a.flin", "entities/a.flin", "lib/a.flin", "tests/a.flin"):
        first, second = info_of({path: text}).tests
        assert (first.name, first.handler.key, first.handler.line) == ("saves", "test 0", 2)
        assert first.handler.effects.writes
        assert (second.name, second.handler.key) == ("adds", "test 1")
        assert not second.handler.effects.writes


def test_expectations_belong_to_tests() -> None:
    """Elsewhere the words are ordinary names, and unknown ones here."""
    assert result_of("fn f(expect) { assert = expect + 1\n assert }", 1) == 2
    assert result_of("fn expect(n) { n }\nfn f(n) { expect(n) }", 1) == 1
    (found,) = faults_of("fn f(n) { expect(n) }")
    assert found.code == "FL203"
