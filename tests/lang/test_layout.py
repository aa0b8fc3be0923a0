"""Line structure: where statements end, what brackets open, which words are keywords."""

import pytest

from flinfast.lang.brackets import balance
from flinfast.lang.layout import Layout
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.source import Source
from flinfast.lang.token import make_token


def lay_out(text: str) -> str:
    """Types of the tokens for the grammar; a separator is shown as `;`."""
    source = Source("test.flin", text)
    lexer = FlinLexer(source)
    tokens, partners = balance(lexer.run(), source, make_token, lexer.report)
    tokens = Layout(text, tokens, partners, make_token, lexer.fault).run()
    assert not lexer.diagnostics
    return " ".join(";" if token.type == "SEP" else token.type for token in tokens)


# --- separators: reference 1.3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", "NAME ; NAME"),
        ("a\n\n\nb\n", "NAME ; NAME"),
        ("a;b", "NAME ; NAME"),
        (";;a;;b;;", "NAME ; NAME"),
        ("a // x\nb", "NAME ; NAME"),
        ("a /* \n */ b", "NAME ; NAME"),
        ("", ""),
        # 1: inside brackets and literals line ends are white space
        ("(a\n+ b)", "LPAREN NAME PLUS NAME RPAREN"),
        ("[a,\nb]", "LBRACKET NAME COMMA NAME RBRACKET"),
        ("f(a,\nb\n)", "NAME LCALL NAME COMMA NAME RPAREN"),
        # 2: a line that ends with an operator continues
        ("a +\nb", "NAME PLUS NAME"),
        ("a =\nb", "NAME ASSIGN NAME"),
        ("a.\nb", "NAME DOT NAME"),
        ("a ?\nb :\nc", "NAME QUESTION NAME COLON NAME"),
        ("a |>\nb", "NAME PIPE NAME"),
        ("x =>\ny", "BINDER FAT_ARROW NAME"),
        ("save\nx", "SAVE NAME"),
        # 3: a line that starts with one of these continues
        ("a\n.b", "NAME DOT NAME"),
        ("a\n?.b", "NAME OPTIONAL_DOT NAME"),
        ("a\n|> b", "NAME PIPE NAME"),
        ("a\n&& b\n|| c\n?? d\n?: e", "NAME AND NAME OR NAME COALESCE NAME COALESCE NAME"),
        ("if a { }\nelse { }", "IF NAME LBRACE RBRACE ELSE_BLOCK LBRACE RBRACE"),
        ("a\nand b\nor c", "NAME AND NAME OR NAME"),
        ("a\n* b\n== c", "NAME TIMES NAME EQ NAME"),
        ("a\nis b", "NAME IS NAME"),
        ("a\nnot in b", "NAME NOT_IN NAME"),
        ("if a\nthen b\nelse c", "IF NAME THEN NAME ELSE NAME"),
        # 4: a line that starts with one of these does not
        ("a\n(b)", "NAME ; LPAREN NAME RPAREN"),
        ("a\n[b]", "NAME ; LBRACKET NAME RBRACKET"),
        ("a\n{ b: 1 }", "NAME ; LMAP KEY COLON NUMBER RBRACE"),
        ("a\n-b", "NAME ; MINUS NAME"),
        ("a\n+b", "NAME ; PLUS NAME"),
        ("a\n!b", "NAME ; BANG NAME"),
        ("a\nnot b", "NAME ; NOT NAME"),
        # 5: adjacency
        ('f("a") g()', "NAME LCALL TEXT RPAREN ; NAME LCALL RPAREN"),
        ("a b 1 none", "NAME ; NAME ; NUMBER ; NONE"),
        ("x = 1 y = 2", "NAME ASSIGN NUMBER ; NAME ASSIGN NUMBER"),
        ("a save b return c", "NAME ; SAVE NAME ; RETURN NAME"),
        ("a !b", "NAME ; BANG NAME"),
        ("a -b", "NAME MINUS NAME"),
        ("a (b) [c]", "NAME LCALL NAME RPAREN LINDEX NAME RBRACKET"),
        ("if a { } b", "IF NAME LBRACE RBRACE ; NAME"),
        ("if a { } (b)", "IF NAME LBRACE RBRACE ; LPAREN NAME RPAREN"),
        ("if a { } -b", "IF NAME LBRACE RBRACE ; MINUS NAME"),
        ("x = if a { } - b", "NAME ASSIGN IF NAME LBRACE RBRACE MINUS NAME"),
        ('a "b{c}"', "NAME ; TEXT_OPEN CHUNK INTERP_OPEN NAME INTERP_CLOSE TEXT_CLOSE"),
        # jumps end with their line
        ("return\na", "RETURN ; NAME"),
        ("return a", "RETURN NAME"),
        ("break\na", "BREAK ; NAME"),
        ("continue a", "CONTINUE ; NAME"),
        ("break 'a 1", "BREAK LABEL NUMBER"),
        ("continue 'a b", "CONTINUE LABEL ; NAME"),
    ],
)
def test_separators(text: str, expected: str) -> None:
    """Statements end where the reference says."""
    assert lay_out(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a: 1, b: 2 }", "LMAP KEY COLON NUMBER ; KEY COLON NUMBER RBRACE"),
        ("{ a: 1\nb: 2 }", "LMAP KEY COLON NUMBER ; KEY COLON NUMBER RBRACE"),
        ("{ a: 1 b: 2 }", "LMAP KEY COLON NUMBER ; KEY COLON NUMBER RBRACE"),
        ("{ a: 1,\n }", "LMAP KEY COLON NUMBER RBRACE"),
        ("{ a: x\n+ y }", "LMAP KEY COLON NAME PLUS NAME RBRACE"),
        ("{ a: x\n-y }", "LMAP KEY COLON NAME MINUS NAME RBRACE"),
        ("{ a: x ...y }", "LMAP KEY COLON NAME ; ELLIPSIS NAME RBRACE"),
        (
            "entity A { a: text\n@x b: int?\nc: int }",
            "ENTITY TYPE_NAME LBRACE KEY COLON NAME FIELD_AT NAME ; KEY COLON NAME QUESTION ; "
            "KEY COLON NAME RBRACE",
        ),
        (
            "entity A { a: int = b ? c : d e: int }",
            "ENTITY TYPE_NAME LBRACE KEY COLON NAME ASSIGN NAME QUESTION NAME COLON NAME ; "
            "KEY COLON NAME RBRACE",
        ),
        (
            "enum E { A B, C\nD }",
            "ENUM TYPE_NAME LBRACE " + " ; ".join(["TYPE_NAME"] * 4) + " RBRACE",
        ),
        (
            "match a { 1 -> b 2 -> c, 3 => d }",
            "MATCH NAME LBRACE NUMBER ARROW NAME ; NUMBER ARROW NAME ; NUMBER ARROW NAME RBRACE",
        ),
        ("f(a\nb)", "NAME LCALL NAME NAME RPAREN"),  # never inside parentheses
    ],
)
def test_members(text: str, expected: str) -> None:
    """Members of bodies and literals are separated by lines, commas or nothing."""
    assert lay_out(text) == expected


# --- what brackets open


@pytest.mark.parametrize(
    ("text", "opener"),
    [
        ("{ }", "LMAP"),
        ("{ a: 1 }", "LMAP"),
        ('{ "a": 1 }', "LMAP"),
        ("{ if: 1 }", "LMAP"),
        ("{ ...a }", "LMAP"),
        ("{ a }", "LDO"),
        ("{ a, b } = c", "LPAT"),
        ("{ a: b } = c", "LPAT"),
        ("{ a: b } == c", "LMAP"),
        ("let { a } = b", "LPAT"),
        ("while let { a } = b { }", "LPAT"),
        ("User { }", "LMAP"),
        ("response { }", "LMAP"),
        ("guards { }", "LMAP"),
        ("if a { }", "LBRACE"),
        ("if A { }", "LBRACE"),
        ("if response { }", "LBRACE"),
        ("if a == A { }", "LBRACE"),
        ("for a in A { }", "LBRACE"),
        ("while A { }", "LBRACE"),
        ("match A { }", "LBRACE"),
        ("if a\n{ }", "LBRACE"),
        ("ws { }", "LBRACE"),
        ("ws\n{ }", "LBRACE"),
        ("route GET { }", "LBRACE"),
        ("route GET /a { }", "LBRACE"),
        ("entity A { }", "LBRACE"),
        ("middleware { }", "LBRACE"),
        ('test "a" { }', "LBRACE"),
        ("x => { a }", "LBRACE"),
        ("x => { a: 1 }", "LMAP"),
        ("match a { b -> { c } }", "LBRACE"),
        ("a == { }", "LMAP"),
        ("return { a: 1 }", "LMAP"),
        ("if a then { b: 1 } else c", "LMAP"),
        ("[a] = b", "LPATLIST"),
        ("[a] == b", "LBRACKET"),
        ("match a { [b] -> c }", "LBRACE"),
        ("a[b]", "LINDEX"),
        ("in [b]", "LBRACKET"),
        ("a(b)", "LCALL"),
        ("(b)", "LPAREN"),
        ("(b) => c", "LPARAM"),
        ("fn (b) { }", "LPARAM"),
        ("fn f(b) { }", "LPARAM"),
        ("guard_definition f(b) { }", "LPARAM"),
        ("if (b) { }", "LPAREN"),
        ("A(b)", "LCALL"),
    ],
)
def test_first_bracket(text: str, opener: str) -> None:
    """The first bracket of each program is what the grammar needs it to be."""
    openers = [kind for kind in lay_out(text).split() if kind.startswith("L") and kind != "LET"]
    assert openers[0] == opener


@pytest.mark.parametrize("result", ["", "-> A", "-> a?", "-> B<a>", "-> [a]", "-> (a, b)"])
def test_body_of_a_function(result: str) -> None:
    """The brace after parameters and result opens the body, whatever the type looks like."""
    assert lay_out(f"fn f() {result} {{ a: 1 }}").split()[-5:] == (
        ["LBRACE", "NAME", "COLON", "NUMBER", "RBRACE"]
    )


def test_patterns_of_match_arms() -> None:
    """Braces and brackets of patterns are patterns, those of bodies are not."""
    assert lay_out("match a { { b } | [c] -> { d: [1] } D([e]) -> f }") == (
        "MATCH NAME LBRACE LPAT NAME RBRACE BAR LPATLIST NAME RBRACKET ARROW LMAP KEY COLON "
        "LBRACKET NUMBER RBRACKET RBRACE ; TYPE_NAME LCALL LPATLIST NAME RBRACKET RPAREN ARROW "
        "NAME RBRACE"
    )


# --- which words are keywords


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ws { }", "WS"),
        ("ws.x", "NAME"),
        ("ws = 1", "NAME"),
        ("ws(1)", "NAME"),
        ("route GET { }", "ROUTE"),
        ("route = 1", "NAME"),
        ("route(1)", "NAME"),
        ("guard auth", "GUARD"),
        ("guard = 1", "NAME"),
        ("guards { }", "GUARDS"),
        ("guards.x", "NAME"),
        ("middleware { }", "MIDDLEWARE"),
        ("middleware()", "NAME"),
        ("validate { }", "VALIDATE"),
        ("validate(data, { })", "NAME"),
        ("on connect { }", "NAME"),  # only inside `ws`
        ("type A = b", "TYPE"),
        ("type = 1", "NAME"),
        ('test "a" { }', "TEST"),
        ("test(1)", "NAME"),
        ("let a = 1", "DECLARE"),
        ("let = 1", "NAME"),
        ("const [a] = b", "DECLARE"),
        ("shared a = 1", "DECLARE"),
        ("shared = 1", "NAME"),
        ("server fn f() { }", "FN_PREFIX"),
        ("server.x", "NAME"),
        ("response.x", "NAME"),
        ("response { }", "RESPONSE"),
        ("is + then", "NAME"),
        ("count order text where find all first limit ask search message time file", "NAME"),
    ],
)
def test_first_word(text: str, expected: str) -> None:
    """A contextual keyword is one only where it means it."""
    assert lay_out(text).split()[0] == expected


def test_handler_words_inside_ws() -> None:
    """`on` starts a handler directly inside `ws`, and is a name in the handler."""
    assert lay_out("ws { on close { on = 1 } }") == (
        "WS LBRACE ON NAME LBRACE NAME ASSIGN NUMBER RBRACE RBRACE"
    )


def test_every_word_is_a_name_after_a_dot() -> None:
    """Hard keywords, contextual ones and capitalised names."""
    assert lay_out("a.if?.match.route.User") == (
        "NAME DOT NAME OPTIONAL_DOT NAME DOT NAME DOT NAME"
    )


def test_every_word_is_a_key_in_a_body() -> None:
    """In maps, entity literals, fields and named arguments."""
    assert lay_out("f(in: { if: 1 }, x)") == (
        "NAME LCALL KEY COLON LMAP KEY COLON NUMBER RBRACE COMMA NAME RPAREN"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x++", "NAME INCREMENT"),
        ("x++\ny", "NAME INCREMENT ; NAME"),
        ("x++; y", "NAME INCREMENT ; NAME"),
        ("(x++)", "LPAREN NAME INCREMENT RPAREN"),
        ("x ++ y", "NAME CONCAT NAME"),
        ("x++y", "NAME CONCAT NAME"),
        ("x ++ y++", "NAME CONCAT NAME INCREMENT"),
        ("x--", "NAME DECREMENT"),
        ("x--y", "NAME MINUS MINUS NAME"),
        ("--y", "MINUS MINUS NAME"),
    ],
)
def test_double_signs(text: str, expected: str) -> None:
    """`++` increments at the end of a statement and concatenates otherwise."""
    assert lay_out(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if a { } else { }", "ELSE_BLOCK"),
        ("if a then b else c", "ELSE"),
        ("if a then if b { } else { } else c", "ELSE_BLOCK ELSE"),
        ("if a { if b then c else d } else { }", "ELSE ELSE_BLOCK"),
        ("x = if a then b else if c then d else e", "ELSE ELSE"),
        ("if a { } else if b { } else { }", "ELSE_BLOCK ELSE_BLOCK"),
    ],
)
def test_else_belongs_to_its_if(text: str, expected: str) -> None:
    """Each `else` knows which form of `if` it continues."""
    assert " ".join(kind for kind in lay_out(text).split() if kind.startswith("ELSE")) == expected


def test_lambda_parameters_are_found_before_they_are_read() -> None:
    """A name before `=>` is bound, not used; in a match arm it is a pattern."""
    assert lay_out("f(x => x)") == "NAME LCALL BINDER FAT_ARROW NAME RPAREN"
    assert lay_out("match a { x => x }") == "MATCH NAME LBRACE NAME ARROW NAME RBRACE"
    assert lay_out("match a { x => y => z }") == (
        "MATCH NAME LBRACE NAME ARROW BINDER FAT_ARROW NAME RBRACE"
    )
