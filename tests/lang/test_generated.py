"""Properties of the language over generated programs: every form, near misses, random tokens.

The generator is `tests.lang.generate`; what it covers is tested here, too.
"""

from __future__ import annotations

import inspect
import random
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from flinfast.errors import CompileError, RuntimeFault
from flinfast.lang import ast
from flinfast.lang.catalog import CATALOG
from flinfast.lang.format import format_source, same_tree
from flinfast.lang.parser import FlinParser, parse
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from tests.lang.compiling import bind_one, project
from tests.lang.fake_abi import GUARDS, Context, builtin_table
from tests.lang.generate import BODY, SLIPS, boundaries, mutated, program_of, programs
from tests.lang.shape import codes

SECONDS_MAX = 20.0  # for one small program, on a machine that does much else
SEEDS_OF_FORMS = 400  # programs among which every form of the syntax is met
# Productions that no text without faults leads to: `{}` is a map, methods are capitals, and an
# enum with type parameters is only read to say that there are none.
UNREACHABLE = {
    ("lone_body", ("LDO", "RBRACE")),
    ("method", ("NAME",)),
    ("declaration", ("ENUM", "TYPE_NAME", "LT", "types", "GT", "LBRACE", "variants", "RBRACE")),
}
# A seed gives the same program again, but a smaller one gives none that is simpler.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
sources = st.integers(0, 1 << 32).map(random.Random)


def bounded(examples: int) -> settings:
    """How many programs a property is tried on."""
    return settings(
        max_examples=examples,
        deadline=None,
        phases=PHASES,
        suppress_health_check=[HealthCheck.too_slow],
    )


# --- what is generated


def nodes_of(tree: ast.Node) -> set[type[ast.Node]]:
    """Classes of the nodes of a tree."""
    found: set[type[ast.Node]] = set()
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending += node
        elif isinstance(node, ast.Node):
            found.add(type(node))
            pending += astuple(node)
    return found


def test_generator_writes_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of nodes and every production without `error` is generated, without a fault."""
    used: set[tuple[str, tuple[str, ...]]] = set()

    def recording(rule: Any) -> Any:
        def action(parser: Any, matched: Any) -> Any:
            used.add((rule.name, rule.symbols))
            return rule.action(parser, matched)

        return rule._replace(action=action)

    rules = FlinParser.rules[1:]
    monkeypatch.setattr(FlinParser, "rules", [FlinParser.rules[0], *map(recording, rules)])
    missing = {(r.name, r.symbols) for r in rules if "error" not in r.symbols} - UNREACHABLE
    classes = {
        found
        for _, found in inspect.getmembers(ast, inspect.isclass)
        if issubclass(found, ast.Node) and not found.__subclasses__()
    }
    for seed in range(SEEDS_OF_FORMS):
        text = program_of(seed)
        tree, diagnostics = parse(Source("x.flin", text))
        assert not diagnostics, (seed, diagnostics[0].code, diagnostics[0].message)
        classes -= nodes_of(tree)
        if not classes and missing <= used:
            return
    assert classes == set()
    assert missing - used == set()


@bounded(12)
@given(programs())
def test_generated_program_has_no_syntax_faults(text: str) -> None:
    """What the generator writes is well-formed."""
    assert codes(text) == []


# --- the formatter


@bounded(8)
@given(programs())
def test_format_keeps_the_tree_and_is_done_once(text: str) -> None:
    """Formatting changes no tree, and formatting the result changes nothing."""
    after = format_source(text)
    trees = [parse(Source("x.flin", found))[0] for found in (text, after)]
    assert same_tree(*trees)
    assert format_source(after) == after


def commented(source: Any, text: str, most: int = 4) -> str:
    """A program with numbered comments between its tokens, wherever they change no statement."""
    tree = parse(Source("x.flin", text))[0]
    for number in range(source.randint(1, most)):
        name = f"c{number}"
        at = source.choice(boundaries(text))
        comment = source.choice(
            [
                *(f"/* {name} */", f"/* {name}\n  more */"),
                *(f"// {name}\n", f"\n// {name}\n", f"\n\n// {name}\n\n"),
            ]
        )
        changed = text[:at] + comment + text[at:]
        found, diagnostics = parse(Source("x.flin", changed))
        if not diagnostics and same_tree(found, tree):
            text = changed
    return text


@bounded(6)
@given(programs(), sources)
def test_format_keeps_comments_in_order(text: str, source: Any) -> None:
    """Comments between any two tokens are kept, in order, and settle at once."""
    text = commented(source, text)
    after = format_source(text)
    assert re.findall(r"\bc\d+\b", after) == re.findall(r"\bc\d+\b", text)
    assert format_source(after) == after


@bounded(6)
@given(programs(), sources)
def test_format_does_not_depend_on_spaces(text: str, source: Any) -> None:
    """Spaces within a line, as long as the same tokens are read, do not change the result."""
    after = format_source(text)
    cuts = boundaries(after)
    spaced = "".join(
        " " * source.randint(1, 3)
        if piece and not piece.strip(" ") and "\n" not in before
        else piece
        for before, piece in zip(
            [after[max(0, start - 1) : start] for start in cuts],
            [after[start:end] for start, end in zip(cuts, [*cuts[1:], len(after)], strict=True)],
            strict=True,
        )
    )
    assert format_source(spaced) == after


# --- the compiler


def compiles(text: str) -> None:
    """Compile a text in bounded time; diagnostics are all that may come of it."""
    start = time.process_time()
    found: set[str] = set()
    try:
        compile_project(project(text), builtins=builtin_table(), guards=GUARDS)
    except CompileError as error:
        found = {diagnostic.code for diagnostic in error.diagnostics}
    assert found <= set(CATALOG)
    assert time.process_time() - start < SECONDS_MAX


@bounded(12)
@given(programs())
def test_compiler_answers_every_program(text: str) -> None:
    """Programs of every form compile or get diagnostics."""
    compiles(text)


@bounded(25)
@given(programs(), sources)
def test_compiler_answers_every_near_miss(text: str, source: Any) -> None:
    """So do programs with slips; the formatter refuses those that have syntax faults."""
    text = mutated(source, text)
    compiles(text)
    if codes(text):
        with pytest.raises(CompileError):
            format_source(text)
    else:
        assert format_source(format_source(text)) == format_source(text)


@bounded(100)
@given(st.lists(st.sampled_from([*SLIPS, "a", "A", " ", "\n", "1", '"b"']), max_size=80))
def test_compiler_answers_random_tokens(tokens: list[str]) -> None:
    """So do rows of tokens that never were a program."""
    compiles("".join(tokens))


# --- running


def run(text: str) -> str:
    """Run a program; gives "refused", "done" or the code of its fault; nothing else leaves it."""
    start = time.process_time()
    try:
        _, closures = bind_one(text)
        closures["route GET"](Context(body=dict(BODY)))
        result = "done"
    except CompileError:
        result = "refused"
    except RuntimeFault as fault:
        result = fault.code
    assert result in ("refused", "done", *CATALOG)
    assert time.process_time() - start < SECONDS_MAX
    return result


@bounded(20)
@given(programs(runs=True))
def test_running_program_ends_in_a_value_or_a_fault(text: str) -> None:
    """No Python exception comes out of a program, and none hangs."""
    run(text)


def test_most_runnable_programs_run() -> None:
    """The property above is about programs that do something."""
    results = [run(program_of(seed, runs=True)) for seed in range(1, 31)]
    assert results.count("refused") < len(results) / 2
    assert results.count("done") >= len(results) / 10


@bounded(8)
@given(st.integers(0, 1 << 32))
def test_formatted_program_does_the_same(seed: int) -> None:
    """A program and its formatted text end alike."""
    text = program_of(seed, runs=True)
    assert run(format_source(text)) == run(text)


def test_member_of_none_compiles_without_a_warning_of_python() -> None:
    """What Python would warn about is FLIN's own fault, at run time."""
    assert run("route GET { none[1] }") != "done"
    assert run("route GET { (1)(2) }") != "done"


def test_seeds_are_programs() -> None:
    """A seed always gives the same program, and another gives another."""
    assert program_of(7) == program_of(7) != program_of(8)
    assert mutated(random.Random(1), program_of(7)) == mutated(random.Random(1), program_of(7))
