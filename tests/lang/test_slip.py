"""Slips of people used to other languages: one diagnostic each, and read as what was meant."""

import time
from pathlib import Path

import pytest
from hypothesis import given

from flinfast.lang.brackets import balance
from flinfast.lang.format import same_tree
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.parser import parse
from flinfast.lang.slip import mend
from flinfast.lang.source import Source
from flinfast.lang.token import make_token
from tests.lang.generate import programs
from tests.lang.shape import codes, program
from tests.lang.test_generated import bounded

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 20.0  # for a file of slips, on a machine that does much else
SLIPS_OF_FILE = 4_000

MEANT = [
    ("for (i = 0; i < 3; i++) { x = i }", "for i in [] { x = i }"),
    ("for let i = 0; i < 3; i += 1 { x = i }", "for i in [] { x = i }"),
    ("for x of list { y = x }", "for x in list { y = x }"),
    ("for (const x of list) { y = x }", "for x in list { y = x }"),
    ("for (x in f(list)) { y = x }", "for x in f(list) { y = x }"),
    ("for (const [k, v] of m) { y = k }", "for [k, v] in m { y = k }"),
    ("x = a->b", "x = a.b"),
    ("x = (a, b) -> a + b", "x = (a, b) => a + b"),
    ("f(1, (a) -> { b = a })", "f(1, (a) => { b = a })"),
    ("f(x -> x)", "f(x => x)"),
    ("fn f(a: int = g(1)): list<int>? { 1 }", "fn f(a: int = g(1)) -> list<int>? { 1 }"),
    ("f = fn(): int { 1 }", "f = fn() -> int { 1 }"),
    ("ws { on message data { f(data) } }", "ws { on message(data) { f(data) } }"),
    ("ws { message(data) { f(data) } }", "ws { on message(data) { f(data) } }"),
    ("ws {\n fn on_close { f() }\n}", "ws {\n on close { f() }\n}"),
    ('ws "/a" { on close { f() } }', "ws { on close { f() } }"),
    ("ws /a/[id] { on close { f() } }", "ws { on close { f() } }"),
    ("entity A { b: text required }", "entity A { b: text @required }"),
    ("entity A { b: int = 1 min(1) max(2) }", "entity A { b: int = 1 @min(1) @max(2) }"),
    ("validate { b: text? trim }", "validate { b: text? @trim }"),
    ('x = { "a" = 1, b: 2 }', 'x = { "a": 1, b: 2 }'),
    ("f({ a = 1, b = { 2 } })", "f({ a: 1, b: { 2 } })"),
    ("x = A { a = 1\n b = 2 }", "x = A { a: 1\n b: 2 }"),
    ("if a and { f() }", "if a and none { f() }"),
    ("while !{ f() }", "while !none { f() }"),
    ("A.where(a = 1 && b = 2)", "A.where(a == 1 && b == 2)"),
    ('x = f"a {b}"', 'x = "a {b}"'),
    ("x = r'a'", "x = 'a'"),
    ("if a { b = 1 } elif c { b = 2 }", "if a { b = 1 } else if c { b = 2 }"),
    ("match x { 1 -> 2 else -> 3 }", "match x { 1 -> 2 _ -> 3 }"),
    ("x = 1\n++i\nj", "x = 1\ni\nj"),
    ("{ x = 1\n --j }", "{ x = 1\n j }"),
    ("x = { a, b: 2, c }", "x = { a: a, b: 2, c: c }"),
    ("f({ a, b })", "f({ a: a, b: b })"),
    ("return { a, ...b }", "return { a: a, ...b }"),
    ("x = A { a, b }", "x = A { a: a, b: b }"),
    ("f(([a, b]) => a)", "f((item) => a)"),
    ("x = (i, { a, b: [c] }) => a", "x = (i, item) => a"),
    ("fn f({ a, b }, c) { a }", "fn f(item, c) { a }"),
]

KEPT = [
    "x = a\n++ b",
    "x = a\n++b ++ c",
    "x++\ny",
    "x = { a = 1\n a + 1 }",  # a block that has a value
    "x = { a = 1\n[:] }",
    "f(x => { a = 1 })",
    "{ a: { b = 1 }, c = { d = 2\n d } } = e",
    "match x { Some({ a = 1 }) -> a, { b: { c = 2 } } | { c } => c }",
    "x = if a { a * { b = 1\n b } } else { 2 }",
    "if c { a = 1 }",
    "while let a = b { c = a }",
    "enum A { b = 1, c = 2 }",
    "match x { a -> 1, Some(b) -> 2 }",
    "c = a ? f(b) : d",
    "for (a, b) in c { d = a }",
    "for of in b { d = of }",
    "if a and { b: 1 } { c = 1 }",
    "entity A { required: bool, unique: text\n index: int = min, b: text = c is text }",
    "x = f\n\"a\"",
    "{ a, b: c } = d",
    "while let { a, b } = c { d = a }",
    "match x { { a, b } => a, Some([c]) => c }",
    "elif = 1\nelif(elif)",
    "x = (a, b = [1]) => a",
    "f([a, b], { c: d })",
    "on = 1\nmessage(on)",
]  # fmt: skip


@pytest.mark.parametrize(("written", "meant"), MEANT)
def test_slip_is_one_diagnostic_and_read_as_meant(written: str, meant: str) -> None:
    """The tree is the one of what was meant, besides its places."""
    tree, diagnostics = parse(Source("x.flin", written))
    assert len(diagnostics) == 1, [(d.code, d.message) for d in diagnostics]
    assert diagnostics[0].code in ("FL107", "FL114", "FL116", "FL119")
    assert same_tree(tree, program(meant))


@pytest.mark.parametrize("text", KEPT)
def test_what_looks_like_a_slip_is_none(text: str) -> None:
    """Nothing that FLIN gives a meaning is reported."""
    assert codes(text) == []
    assert found_in(text + "\n") == []


def found_in(text: str) -> list[str]:
    """Messages of the slips of a file, whether or not the grammar has faults to tell of."""
    source = Source("x.flin", text)
    messages: list[str] = []
    tokens, partners = balance(FlinLexer(source).run(), source, make_token, lambda *_: None)
    mended = mend(tokens, partners, source, lambda _code, message, *_: messages.append(message))
    assert (mended is None) == (not messages)
    return messages


@bounded(40)
@given(programs())
def test_generated_program_has_no_slips(text: str) -> None:
    """However odd a program without faults is, none of it is a slip."""
    assert found_in(text) == []


def test_programs_of_the_project_have_no_slips() -> None:
    """Nor is any of the examples and cases."""
    folders = [ROOT / "examples", *(ROOT / "tests/lang" / name for name in ("cases", "seed"))]
    texts = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.flin")]
    assert len(texts) > 100
    assert [found for text in texts if not codes(text) for found in found_in(text)] == []


@pytest.mark.parametrize(
    "piece",
    [
        "for (i = 0; i < 3; i++) ",
        "for x of y ",
        "fn f(): ",
        "x = A { a = 1 } ",
        'f(f"a" ',
        "if a and {",
        "a.where(b = ",
        "(a) -> ",
        "x = { a = ",
        "entity A { b: text required, c: int min(1) } ",
        "ws { message(a) ",
        "if a { } elif ",
        "else -> ",
        "f({ a, ",
        "(([a], {b}) => ",
    ],
)
def test_slips_without_end_take_linear_time(piece: str) -> None:
    """A file of nothing but slips, on one line, is read in bounded time."""
    start = time.process_time()
    assert codes(piece * SLIPS_OF_FILE)
    assert time.process_time() - start < SECONDS_MAX
