"""The grammar: trees of the syntax cases, spans, conflicts, tables, and hostile input."""

import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from flinfast.lang import ast, tables
from flinfast.lang.brackets import NESTING_MAX
from flinfast.lang.diagnostic import DIAGNOSTICS_MAX, render
from flinfast.lang.parser import FlinParser, parse
from flinfast.lang.recovery import DEPTH_MAX
from flinfast.lang.source import Source
from tests.lang.shape import codes, program, shape, show

FOLDER = Path(__file__).parent
CASES: dict[str, tuple[str, list[str]]] = {}
for _path in sorted((FOLDER / "cases" / "syntax").glob("*.flin")):
    for _part in re.split(r"^// --- ", _path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        _title, _, _rest = _part.partition("\n")
        _text, *_trees = re.split(r"^// => ", _rest, flags=re.MULTILINE)
        CASES[f"{_path.stem}: {_title}"] = (_text, [tree.strip() for tree in _trees])
CORPUS = [
    *(text for text, _ in CASES.values()),
    *(path.read_text(encoding="utf-8") for path in sorted((FOLDER / "seed").glob("*.flin"))),
    *(path.read_bytes().decode() for path in sorted((FOLDER / "diagnostics").glob("*.flin"))),
]


@pytest.mark.parametrize("name", CASES)
def test_program_gives_tree(name: str) -> None:
    """Each syntax case gives the tree written under it."""
    text, trees = CASES[name]
    assert [show(item) for item in program(text).items] == trees


@pytest.mark.parametrize("name", CASES)
def test_program_with_other_line_breaks_gives_the_same_tree(name: str) -> None:
    """Windows line breaks and indentation change nothing."""
    text, trees = CASES[name]
    if "`" in text:  # a template holds its line breaks
        return
    shifted = "\r\n".join(f"\t{line}" for line in text.split("\n"))
    assert [show(item) for item in program(shifted).items] == trees


# --- spans


def check_spans(tree: ast.Program, size: int) -> None:
    """Every node lies inside its parent, and every name span inside its node."""
    pending: list[tuple[ast.Node, int, int]] = [(tree, 0, size)]
    while pending:
        node, start, end = pending.pop()
        assert start <= node.span.start <= node.span.end <= end, node
        for name, value in asdict(node).items():
            if name.endswith("_span"):
                assert node.span.start <= value.start <= value.end <= node.span.end, node
            for child in value if isinstance(value, tuple) else (value,):
                if isinstance(child, ast.Node):
                    pending.append((child, node.span.start, node.span.end))


@pytest.mark.parametrize("name", CASES)
def test_spans_are_nested(name: str) -> None:
    """Spans lie inside the source and inside each other."""
    text, _ = CASES[name]
    check_spans(program(text), len(text))


def test_spans_cover_what_they_mean() -> None:
    """A node's span is its text, names have their own."""
    text = 'route GET /a { user.name = f("x", n: 1) + 2 }'
    (route,) = program(text).items
    assert isinstance(route, ast.Route)
    cut = lambda span: text[span.start : span.end]  # noqa: E731
    assert cut(route.span) == text
    assert cut(route.method_span) == "GET"
    assert cut(route.body.span) == '{ user.name = f("x", n: 1) + 2 }'
    (assign,) = route.body.statements
    assert isinstance(assign, ast.Assign)
    assert cut(assign.span) == 'user.name = f("x", n: 1) + 2'
    assert isinstance(assign.target, ast.Member)
    assert cut(assign.target.name_span) == "name"
    assert isinstance(assign.value, ast.Binary)
    call = assign.value.left
    assert isinstance(call, ast.Call)
    assert [cut(argument.span) for argument in call.arguments] == ['"x"', "n: 1"]


def test_span_of_parentheses_belongs_to_what_is_around() -> None:
    """A group leaves no node, and the operation around it still covers its brackets."""
    (statement,) = program("(a) + (b)").items
    assert isinstance(statement, ast.ExprStatement)
    assert (statement.span.start, statement.span.end) == (0, 9)


# --- the grammar and its tables


def test_grammar_has_no_conflicts() -> None:
    """Nothing is decided by SLY's defaults: computing the tables from scratch finds no conflict."""
    assert tables.compute(FlinParser) == FlinParser.tables
    grammar = tables.grammar_of(FlinParser)
    assert [(p.name, p.prod) for p in grammar.Productions[1:]] == [
        (rule.name, rule.symbols) for rule in FlinParser.rules[1:]
    ]
    assert [p.func for p in grammar.Productions[1:]] == [r.action for r in FlinParser.rules[1:]]


def test_conflicts_are_found() -> None:
    """A grammar that SLY would have to decide about is refused."""
    body: Any = """
class Ambiguous(CachedParser):
    tokens = {NUMBER, PLUS}
    precedence = ()
    @_("NUMBER", "sum PLUS sum")
    def sum(self, p):
        return p[0]
"""
    with pytest.raises(AssertionError, match="conflicts"):
        exec(body, {"CachedParser": tables.CachedParser, "__name__": __name__})


def test_grammar_uses_every_token_and_rule(caplog: pytest.LogCaptureFixture) -> None:
    """No token is defined for nothing, no rule is unreachable."""
    with caplog.at_level(logging.DEBUG):
        grammar = tables.grammar_of(FlinParser)
        assert not grammar.unused_terminals()
        assert not grammar.unused_rules()
        assert not grammar.find_unreachable()
        assert not grammar.unused_precedence() or {
            term for term, _ in grammar.unused_precedence()
        } <= {"OPEN", "UNARY"}


def test_shipped_tables_belong_to_this_grammar() -> None:
    """`python -m flinfast.lang.tables` was run after the last change of the grammar."""
    stored = tables._read(tables.table_path(FlinParser), tables.fingerprint(FlinParser))
    assert stored is not None


def test_shipped_tables_that_are_stale_are_not_used(tmp_path: Path) -> None:
    """Tables of another grammar, damaged ones and missing ones are computed anew instead."""
    path = tables.table_path(FlinParser)
    expected = tables.fingerprint(FlinParser)
    copy = tmp_path / "x.tables"
    assert tables._read(copy, expected) is None
    copy.write_bytes(path.read_bytes()[:1000])
    assert tables._read(copy, expected) is None
    copy.write_bytes(b"")
    assert tables._read(copy, expected) is None
    copy.write_bytes(path.read_bytes())
    assert tables._read(copy, b"another") is None
    assert tables._read(copy, expected) is not None


def test_import_of_the_parser_computes_nothing() -> None:
    """Importing the grammar takes a fraction of the second that its tables would."""
    code = (
        "import time, sly, flinfast.lang.ast, flinfast.lang.lexer; t = time.process_time();"
        "import flinfast.lang.parser; print(time.process_time() - t)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.3


# --- faults in, diagnostics out


def check_any_text(text: str) -> None:
    """Whatever the text is: a tree with sound spans, diagnostics that render, no exception."""
    tree, diagnostics = parse(Source("any.flin", text))
    check_spans(tree, len(text))
    assert len(diagnostics) <= DIAGNOSTICS_MAX
    for diagnostic in diagnostics:
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        assert diagnostic.message[:1] == diagnostic.message[:1].lower() or "`" in diagnostic.message
    render(diagnostics, color=True)


SIGNS = [*"{}()[]\"'`,;:.=<>+-*/%@?|!&\\\n \t\0é€名\u202e\ud800"]
WORDS = re.split(
    " ",
    "if else match then fn for while let ws route GET guard validate on entity save not in is "
    "response ... .. => -> ++ -- ?. ?? ?: ${ {{ /* // 'a: 'a 1.5 0x 1e true none",
)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A program of the corpus with a few pieces deleted, inserted or doubled."""
    text = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        piece = draw(
            st.sampled_from([*SIGNS, *(f"{word} " for word in WORDS), "", text[start:end] * 2])
        )
        text = text[:start] + piece + text[end:]
    return text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_mutated_program_never_raises(text: str) -> None:
    """Random slips in valid programs give diagnostics and a tree with sound spans."""
    check_any_text(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*SIGNS, *WORDS, " ", "x", "X", "1"]), max_size=60).map(" ".join))
def test_any_row_of_tokens_never_raises(text: str) -> None:
    """The same for rows of tokens that never were a program."""
    check_any_text(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_never_raises(text: str) -> None:
    """The same for any text at all."""
    check_any_text(text)


HOSTILE = {
    "parentheses": "(" * 10_000,
    "brackets": "[" * 10_000 + "]" * 10_000,
    "braces": "{" * 10_000,
    "maps": "{a:" * 10_000,
    "calls": "f(" * 10_000,
    "interpolations": '"{' * 10_000,
    "templates": "`${" * 10_000,
    "nots": "!" * 10_000,
    "signs": "- " * 10_000,
    "sums": "1+" * 10_000 + "1",
    "members": "a" + ".b" * 10_000,
    "ternaries": "a?b:" * 10_000 + "c",
    "lambdas": "x=>" * 10_000 + "x",
    "ifs": "if a then b else " * 10_000 + "c",
    "else ifs": "if a { } " + "else if a { } " * 10_000,
    "pipes": "a|>" * 10_000 + "a",
    "powers": "2**" * 10_000 + "2",
    "unions": "x: " + "a|" * 10_000 + "b = 1",
    "saves": "save " * 10_000 + "x",
    "matches": "match " * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_deep_nesting_is_a_diagnostic(name: str) -> None:
    """Nesting without end is refused with a code, never with a RecursionError."""
    tree, diagnostics = parse(Source("deep.flin", HOSTILE[name]))
    if name != "unions":  # flat, and so not deep at all
        assert diagnostics
    ast.strip_spans(tree)
    render(diagnostics, color=False)


@pytest.mark.parametrize(("count", "expected"), [(NESTING_MAX, []), (NESTING_MAX + 1, ["FL009"])])
def test_brackets_up_to_the_limit(count: int, expected: list[str]) -> None:
    """The deepest nesting of brackets that is allowed, and one more."""
    assert codes("x = " + "(" * count + "1" + ")" * count) == expected


def test_depth_up_to_the_limit() -> None:
    """The deepest tree that is allowed, and one level more; the rest of the file is kept."""
    # Assign, then one Binary for each `+`, then the literal.
    deepest = "x = 1" + " + 1" * (DEPTH_MAX - 2)
    assert codes(deepest) == []
    assert ast.strip_spans(program(deepest))
    tree, diagnostics = parse(Source("x.flin", f"{deepest} + 1\ny = 2"))
    assert [diagnostic.code for diagnostic in diagnostics] == ["FL009"]
    assert [show(item) for item in tree.items] == ["(Assign y = 2)"]


@pytest.mark.parametrize(
    "text",
    [
        "\0" * 1_000_000,
        "x" * 1_000_000,
        '"' + "x" * 1_000_000 + '"',
        "1" * 1_000_000,
        " " * 1_000_000,
        "'a" + " /**/" * 200_000,
        "'a /**/ " * 20_000,
        "x = a" + ".b" * 90_000,
        "x = " + "a ? b : " * 30_000,
        'x = "' + "{a}" * 100_000 + '"',
        "a" + "\u0301" * 1_000_000,
        "\U0001f600" * 250_000,
        "type A = " + "B<" * 100_000,
        'test "a" { ' + "expect 1 " * 100_000,
    ],
    ids=[
        *("nul", "name", "text", "digits", "spaces", "label and comments", "labels", "members"),
        *("choices", "interpolations", "marks", "pictures", "angles", "expectations"),
    ],
)
def test_megabyte_lines_take_bounded_time(text: str) -> None:
    """A line of a megabyte is read in linear time, and its diagnostics stay short."""
    start = time.process_time()
    diagnostics = parse(Source("long.flin", text))[1]
    assert len(render(diagnostics, color=False)) < 2_000
    assert time.process_time() - start < 5


def test_diagnostics_are_limited() -> None:
    """Faults without end give the first hundred."""
    assert len(codes("x = ;" * 1_000)) == DIAGNOSTICS_MAX


# --- recovery


@pytest.mark.parametrize(
    ("text", "found", "kept"),
    [
        ("x = = 1\ny = 2", ["FL116"], "(Assign y = 2)"),
        ("f(a b, c)\ny", ["FL105"], "f((Argument c)); y"),
        ("{ a: 1, b 2, c: 3 }", ["FL101"], "(MapLiteral [(MapEntry a 1), (MapEntry c 3)])"),
        ("[1 2, 3]", ["FL105"], "(ListLiteral [(ListItem 3)])"),
        (
            "entity A { a int\n b: text }",
            ["FL101"],
            "(EntityDecl A [(Field b (TypeRef text))])",
        ),
        ("match v { 1 + 2 -> 3\n 4 -> 5 }", ["FL101"], "(Match v [(MatchArm [4] 5)])"),
        ("ws { on close { x = } on connect { y } }", ["FL116"], None),
        ("if a { x = } else { y }\nz", ["FL116"], "(IfExpr a {} {y}); z"),
        ('"a {b +} c {d}"', ["FL116"], "(Interpolation 'a  c ' d)"),
        ("fn f(a: , b) { c }", ["FL101"], "(FunctionDecl f [(Parameter b)] - {c})"),
        ("x[1 2].y = 3", ["FL105"], "(Assign x.y = 3)"),
        ("enum E { 1, B }", ["FL101"], "(EnumDecl E [(EnumVariant B)])"),
    ],
)
def test_recovery_costs_the_innermost_construct(
    text: str, found: list[str], kept: str | None
) -> None:
    """One slip is one diagnostic, and what stands beside it is kept."""
    tree, diagnostics = parse(Source("slip.flin", text))
    assert [diagnostic.code for diagnostic in diagnostics] == found
    if kept is not None:
        assert "; ".join(show(item) for item in tree.items) == kept


def test_recovery_keeps_handlers_beside_a_faulty_one() -> None:
    """The other handlers of a block survive."""
    tree, _ = parse(Source("x.flin", "ws { on close { x = } on connect { y } }"))
    assert [show(item) for item in tree.items] == [
        "(Ws [] [(WsHandler close - {}), (WsHandler connect - {y})])"
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ws\n    on connect { a() }\n}\n", "(Ws [] [(WsHandler connect - {a()})])"),
        ("ws on connect { a() } }", "(Ws [] [(WsHandler connect - {a()})])"),
        (
            "route GET {\n  if x\n    a()\n  }\n  b()\n}",
            "(Route GET - [] - {(IfExpr x {a()}); b()})",
        ),
        (
            "if x {\n  a()\n} else\n  b()\n}\nc()",
            "(IfExpr x {a()} {b()}); c()",
        ),
    ],
)
def test_missing_opening_brace_is_supplied(text: str, kept: str) -> None:
    """A block without its `{` is still read as a block."""
    tree, diagnostics = parse(Source("x.flin", text))
    assert [diagnostic.code for diagnostic in diagnostics] == ["FL102"]
    assert "; ".join(show(item) for item in tree.items) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('f("x"\ng()\nh()', "f((Argument 'x')); g(); h()"),
        (
            "x = [1, 2\ny = 3",
            "(Assign x = (ListLiteral [(ListItem 1), (ListItem 2)])); (Assign y = 3)",
        ),
        ("x = { a: 1\ny = 3", "(Assign x = (MapLiteral [(MapEntry a 1)])); (Assign y = 3)"),
        (
            "ws {\n  on connect {\n    a()\n  on close { b() }\n}\nroute GET { 1 }",
            "(Ws [] [(WsHandler connect - {a()}), (WsHandler close - {b()})]); "
            "(Route GET - [] - {1})",
        ),
        (
            "route GET {\n  if x {\n    a()\n  b()\n}\nroute POST { 1 }",
            "(Route GET - [] - {(IfExpr x {a(); b()})}); (Route POST - [] - {1})",
        ),
    ],
)
def test_missing_closing_bracket_is_supplied(text: str, kept: str) -> None:
    """One missing bracket is one diagnostic with a note at its opener, and spoils nothing else."""
    tree, diagnostics = parse(Source("x.flin", text))
    assert [diagnostic.code for diagnostic in diagnostics] == ["FL103"]
    (note, *_) = diagnostics[0].notes
    assert text[note.span.start : note.span.end] in "([{"
    assert "; ".join(show(item) for item in tree.items) == kept


def test_balanced_file_is_never_repaired() -> None:
    """Indentation means nothing while brackets balance."""
    text = "ws {\non connect {\n        a()\n  }\n      on close {\nb()\n}\n}\nif x {\nroute\n}\n"
    assert shape(text) == (
        "(Ws [] [(WsHandler connect - {a()}), (WsHandler close - {b()})]); (IfExpr x {route})"
    )


def test_markup_ends_the_file() -> None:
    """What looks like a fault inside page markup is not reported."""
    assert codes("x = 1\n<div class='a'>it's \"quoted</div>\n") == ["FL117"]


def test_second_validate_points_at_the_first() -> None:
    """Two validate blocks are one fault, with a note at the first."""
    text = "route POST { validate { a: int } validate { b: int } }"
    (found,) = parse(Source("x.flin", text))[1]
    assert found.code == "FL305"
    assert text[found.notes[0].span.start :].startswith("validate { a")


def test_parse_leaves_no_state_behind() -> None:
    """Two parses of one text are equal: no state is left behind by a faulty one."""
    text = 'x = "a {b} c"\nws { on connect { } }'
    before = program(text)
    parse(Source("bad.flin", '"{ "{x ${ ((('))
    assert program(text) == before
