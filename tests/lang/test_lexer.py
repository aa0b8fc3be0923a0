"""Characters to tokens, in every state of the lexer."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.lang.lexer import DIGITS_MAX, TOKENS_MAX, FlinLexer
from flinfast.lang.source import Source
from flinfast.lang.vocabulary import HARD_KEYWORDS


def lex(text: str) -> tuple[list[Any], list[str]]:
    lexer = FlinLexer(Source("test.flin", text))
    return lexer.run(), [diagnostic.code for diagnostic in lexer.diagnostics]


def tokens(text: str) -> list[tuple[str, Any]]:
    """Types and values of a text without lexical faults."""
    found, faults = lex(text)
    assert not faults
    return [(token.type, token.value) for token in found]


def types(text: str) -> str:
    return " ".join(kind for kind, _ in tokens(text))


# --- names and words


def test_keywords_are_those_of_the_vocabulary() -> None:
    """The lexer's keyword table and the vocabulary list the same words."""
    assert FlinLexer._remapping["NAME"] == HARD_KEYWORDS
    for word, kind in HARD_KEYWORDS.items():
        assert tokens(word) == [(kind, word)]


@pytest.mark.parametrize("name", ["x", "_", "user_id", "userName", "iffy", "a1", "_2", "now", "ws"])
def test_name_is_a_name(name: str) -> None:
    """Names in both styles, and words that merely start like keywords."""
    assert tokens(name) == [("NAME", name)]


@pytest.mark.parametrize("name", ["User", "X", "MAX_SIZE", "Élan", "Ωmega", "A1"])
def test_capitalised_name_is_a_type_name(name: str) -> None:
    """A first letter in upper case makes another kind of token, in every script that has case."""
    assert tokens(name) == [("TYPE_NAME", name)]


@pytest.mark.parametrize("name", ["naïve", "größe", "名前", "данные", "ñ", "x_é", "नाम"])
def test_name_in_any_script_is_a_name(name: str) -> None:
    """Unicode identifiers, combining signs included."""
    assert tokens(name) == [("NAME", name)]


def test_names_are_compared_in_one_normal_form() -> None:
    """Two spellings that look the same are the same name."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert tokens(decomposed) == tokens(composed) == [("NAME", composed)]


@given(st.characters(min_codepoint=128, exclude_categories=["Cs"]))
def test_identifier_characters_are_those_of_unicode(character: str) -> None:
    """Outside ASCII what Unicode lets start a name does, and nothing else."""
    found, faults = lex(f"{character} x")
    if character.isidentifier():
        assert [token.value for token in found] == [unicodedata.normalize("NFC", character), "x"]
        assert not faults
    else:
        assert [token.value for token in found] == ["x"]
        assert set(faults) <= {"FL001", "FL008"}


@given(st.characters(min_codepoint=128, exclude_categories=["Cs"]))
def test_name_goes_on_as_in_unicode(character: str) -> None:
    """The same for what may follow in a name."""
    found, _ = lex(f"x{character}y")
    if ("x" + character).isidentifier():
        assert [token.value for token in found] == [unicodedata.normalize("NFC", f"x{character}y")]
    else:
        assert [token.value for token in found] == ["x", "y"]


# --- numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("42", 42),
        ("007", 7),
        ("1_000_000", 1_000_000),
        ("0x1f", 31),
        ("0XFF_FF", 0xFFFF),
        ("3.14", 3.14),
        ("0.5", 0.5),
        ("1e9", 1e9),
        ("1E-3", 0.001),
        ("1.5e+2", 150.0),
        ("1_0.2_5", 10.25),
        ("9" * DIGITS_MAX, int("9" * DIGITS_MAX)),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_number_has_its_value(text: str, value: float) -> None:
    """Every form of number, at the limits too."""
    (token,) = tokens(text)
    assert token == ("NUMBER", value)
    assert type(token[1]) is type(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1__0", "FL005"),
        ("1_", "FL005"),
        ("12px", "FL005"),
        ("0x", "FL005"),
        ("0xfg", "FL005"),
        ("1.5.5x", "FL005"),
        ("1e", "FL005"),
        ("1e+", "FL005"),
        ("0b11", "FL005"),
        ("1e999", "FL006"),
        ("9" * (DIGITS_MAX + 1), "FL006"),
        ("0x" + "f" * DIGITS_MAX, "FL006"),
    ],
)
def test_malformed_number_is_one_fault(text: str, code: str) -> None:
    """A number that is none is reported once, and lexing goes on."""
    found, faults = lex(f"{text} after")
    assert faults == [code]
    assert found[-1].value == "after"


def test_dots_after_numbers() -> None:
    """Ranges and members of numbers are not fractions."""
    assert types("1..2 30.seconds 1.5.hours 1...x 1..=2") == (
        "NUMBER RANGE NUMBER NUMBER DOT NAME NUMBER DOT NAME NUMBER ELLIPSIS NAME "
        "NUMBER RANGE NUMBER"
    )


# --- texts


def test_text_without_interpolation_is_one_token() -> None:
    """Both quotes, and the empty text."""
    assert tokens("\"a b\" 'c d' \"\" ''") == [
        ("TEXT", "a b"),
        ("TEXT", "c d"),
        ("TEXT", ""),
        ("TEXT", ""),
    ]


def test_text_with_interpolation_is_a_group() -> None:
    """The parts of a text, with code between them."""
    assert tokens('"a {b} c"') == [
        ("TEXT_OPEN", '"'),
        ("CHUNK", "a "),
        ("INTERP_OPEN", "{"),
        ("NAME", "b"),
        ("INTERP_CLOSE", "}"),
        ("CHUNK", " c"),
        ("TEXT_CLOSE", '"'),
    ]


def test_braces_of_code_do_not_end_an_interpolation() -> None:
    """Only the brace that matches does."""
    kinds = types('"{f({a: {}})}"').split()
    assert kinds.count("INTERP_CLOSE") == 1
    assert kinds[-2:] == ["INTERP_CLOSE", "TEXT_CLOSE"]


@pytest.mark.parametrize(
    "text", ["{{x}}", "{ x }", "{}", "{.a}", "{#}", "{:}", "{@}", "}", "}}", "{", "a{ b", "{\\\\"]
)
def test_literal_braces(text: str) -> None:
    """Braces that start no expression are text."""
    found = tokens(f'"{text}"')
    assert "INTERP_OPEN" not in [kind for kind, _ in found]
    shown = "".join(value for kind, value in found if kind in ("CHUNK", "TEXT"))
    assert shown == text.replace("\\\\", "\\")


@pytest.mark.parametrize("start", ["a", "_", "é", "1", "(", "[", "!", "-", "'x'", "`x`"])
def test_brace_before_an_expression_interpolates(start: str) -> None:
    """Whatever can start an expression does, save for a double quote."""
    assert "INTERP_OPEN" in types(f'"{{{start}}}"').split()


def test_double_quote_after_a_brace_ends_the_text() -> None:
    """`"{" + x + "}"` builds a text with braces."""
    assert types('"{" + x + "}"').split()[-2:] == ["PLUS", "TEXT"]


@pytest.mark.parametrize("quotes", ['""', "''", "``"])
def test_escapes(quotes: str) -> None:
    """The same escapes in all three kinds of text."""
    body = "\\n\\t\\r\\0\\\\\\\"\\'\\`\\{\\}\\$\\u{e9}\\u{10FFFF}"
    found = tokens(quotes[0] + body + quotes[1])
    shown = "".join(value for kind, value in found if kind in ("CHUNK", "TEXT"))
    assert shown == "\n\t\r\0\\\"'`{}$é\U0010ffff"


@pytest.mark.parametrize(
    "escape", ["\\d", "\\u", "\\u{}", "\\u{110000}", "\\u{d800}", "\\u{xyz}", "\\u{1234567}"]
)
@pytest.mark.parametrize("quote", ['"', "'", "`"])
def test_unknown_escape_is_a_fault(escape: str, quote: str) -> None:
    """A backslash before anything else is reported where it stands."""
    lexer = FlinLexer(Source("x.flin", f"{quote}a{escape}b{quote}"))
    lexer.run()
    (found,) = lexer.diagnostics
    assert found.code == "FL004"
    assert found.span.start == 2


@given(st.text().filter(lambda t: not any(c < " " or "\ud800" <= c <= "\udfff" for c in t)))
def test_escaped_text_reads_back(text: str) -> None:
    """Any text survives escaping of what has a meaning."""
    escaped = "".join(
        f"\\u{{{ord(c):x}}}"
        if c in '"\\{}\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069'
        else c
        for c in text
    )
    found = tokens(f'"{escaped}"')
    assert "".join(value for kind, value in found if kind in ("CHUNK", "TEXT")) == text


def test_template_keeps_lines_and_plain_braces() -> None:
    """Only `${` starts an expression in a template; line breaks become `\\n`."""
    assert tokens("`a {b} $\r\n${c}`") == [
        ("TEXT_OPEN", "`"),
        ("CHUNK", "a {b} $\n"),
        ("INTERP_OPEN", "${"),
        ("NAME", "c"),
        ("INTERP_CLOSE", "}"),
        ("TEXT_CLOSE", "`"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"abc', "FL002"),
        ("'abc", "FL002"),
        ('"abc {x} d', "FL002"),
        ('"{x', "FL011"),
        ('"{f("a {b', "FL011"),
        ("`abc", "FL003"),
        ("`${x", "FL003"),
        ('`${"a', "FL003"),
        ("/* abc", "FL007"),
    ],
)
def test_unclosed_construct_is_one_fault(text: str, code: str) -> None:
    """Whatever is open at the end of the file is one fault."""
    assert lex(text)[1] == [code]


@pytest.mark.parametrize("text", ['"abc', "'abc", '"a {b', '"a {f("b {c'])
def test_unclosed_text_ends_with_its_line(text: str) -> None:
    """The next line is read as if the text had been closed."""
    found, faults = lex(f"{text}\nafter + 1")
    assert len(faults) == 1
    assert [token.type for token in found[-3:]] == ["NAME", "PLUS", "NUMBER"]


def test_interpolation_in_a_template_may_span_lines() -> None:
    """A template is the only text that continues on the next line."""
    assert types("`${f(\n1\n)}`") == (
        "TEXT_OPEN INTERP_OPEN NAME LPAREN NUMBER RPAREN INTERP_CLOSE TEXT_CLOSE"
    )


# --- labels, paths, operators, comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'outer: for x in y", "LABEL COLON FOR NAME IN NAME"),
        ("'outer : while x", "LABEL COLON WHILE NAME"),
        ("break 'outer", "BREAK LABEL"),
        ("continue 'outer }", "CONTINUE LABEL RBRACE"),
        ("x = 'outer'", "NAME ASSIGN TEXT"),
        ("f('a: for b')", "NAME LPAREN TEXT RPAREN"),
        ("break 'outer'", "BREAK TEXT"),
        ("x = 'it is'", "NAME ASSIGN TEXT"),
        ("{ 'a: for x in y { } }", "LBRACE LABEL COLON FOR NAME IN NAME LBRACE RBRACE RBRACE"),
    ],
)
def test_label_or_text(text: str, expected: str) -> None:
    """`'name` is a label before a loop and after a jump, when no quote follows directly."""
    assert types(text) == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("route POST /api/users { }", "/api/users"),
        ("route GET /{ }", "/"),
        ("route GET   /a-b/[id].json {", "/a-b/[id].json"),
        ("route get /x\n{", "/x"),
    ],
)
def test_bare_path_is_one_token(text: str, path: str) -> None:
    """After `route METHOD` a slash starts a path."""
    assert ("PATH", path) in tokens(text)


@pytest.mark.parametrize("text", ["a / b", "GET / b", "x = route / b", "reroute GET / b"])
def test_slash_elsewhere_divides(text: str) -> None:
    """Anywhere else it is an operator."""
    assert "DIVIDE" in types(text)


def test_operators_are_the_longest_match() -> None:
    """No operator hides another."""
    text = "... ..= .. . ** * ++ += + -- -= -> - == => = != ! <= < >= > && || |> | ?? ?. ?: ? /= *="
    assert types(text) == (
        "ELLIPSIS RANGE RANGE DOT POWER TIMES PLUS_PLUS ASSIGN_OP PLUS MINUS_MINUS ASSIGN_OP ARROW "
        "MINUS EQ FAT_ARROW ASSIGN NE BANG LE LT GE GT AND OR PIPE BAR COALESCE OPTIONAL_DOT "
        "COALESCE QUESTION ASSIGN_OP ASSIGN_OP"
    )


def test_comments_leave_nothing() -> None:
    """Both kinds of comment, at the end of the file too."""
    assert types("a // b\n/* c\n * d */ e //") == "NAME NAME"


def test_comment_does_not_nest() -> None:
    """The first `*/` ends it."""
    assert types("/* /* */ a") == "NAME"


# --- what is not FLIN


def test_byte_order_mark_at_the_start_is_skipped() -> None:
    """Only there."""
    assert lex("\ufeffx")[1] == []
    assert lex("x\ufeff")[1] == ["FL001"]


@pytest.mark.parametrize("text", ["#", "\\", "$", "\0", "\xa0", "“", "\x7f", "€"])
def test_foreign_character_is_a_fault_and_lexing_goes_on(text: str) -> None:
    """One fault for a run of them."""
    found, faults = lex(f"a {text * 3} b")
    assert faults == ["FL001"]
    assert [token.value for token in found] == ["a", "b"]


@pytest.mark.parametrize("text", ["&", "&=", "^", "^=", "|=", "~"])
def test_operator_on_bits_is_one_token_for_the_parser_to_report(text: str) -> None:
    """So that one fault gives one diagnostic."""
    found, faults = lex(f"a {text} b && c || d")
    assert faults == []
    assert [token.type for token in found[:3]] == ["NAME", "BITWISE", "NAME"]
    assert [token.type for token in found[3::2]] == ["AND", "OR"]


def test_hidden_direction_is_a_fault_in_comments_and_texts() -> None:
    """Source never looks different from what it does."""
    assert lex('// \u202e\nx = "\u2066"\n')[1] == ["FL008", "FL008"]


def test_strict_equality_reads_as_equality() -> None:
    """`===` is reported and then understood."""
    found, faults = lex("a === b !== c")
    assert faults == ["FL012", "FL012"]
    assert [token.type for token in found] == ["NAME", "EQ", "NAME", "NE", "NAME"]


def test_number_of_tokens_is_limited() -> None:
    """One more than the limit is a single fault, and the file is not read."""
    assert lex("a\n" * TOKENS_MAX)[1] == []
    assert lex('"{a' + " a" * TOKENS_MAX) == ([], ["FL010"])


@given(st.text(alphabet="ab1 \n\"'`{}$/*\\.é\0(", max_size=60))
def test_tokens_lie_in_order_inside_the_source(text: str) -> None:
    """Offsets never go back and never leave the source, whatever the text."""
    at = 0
    for token in lex(text)[0]:
        assert at <= token.index <= token.end <= len(text)
        at = token.end
