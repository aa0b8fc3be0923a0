"""Where a cursor is, from tokens alone; `|` marks it."""

from __future__ import annotations

import pytest

from flinfast.lsp.place import code_at, place_at, word_at


def place(text: str) -> tuple[list[tuple[str, str]], str]:
    """Kinds and names of the groups around the `|`, and the word it is in."""
    offset = text.index("|")
    text = text[:offset] + text[offset + 1 :]
    found = place_at(text, offset)
    word = text[found.word.start : found.word.end]
    return [(group.kind, group.name) for group in found.groups], word


@pytest.mark.parametrize(
    ("text", "groups", "word"),
    [
        ("rou|", [], "rou"),
        ("route GET { x| }", [("code", "")], "x"),
        ("ws { on| }", [("ws", "")], "on"),
        ("ws { on message(data) { | } }", [("ws", ""), ("code", "")], ""),
        ("entity A { x: te|xt }", [("fields", "")], "text"),
        ("route POST { validate { a| } }", [("code", ""), ("fields", "")], "a"),
        ("enum A { On| }", [("enum", "")], "On"),
        ("save Note { te|", [("record", "Note")], "te"),
        ("if Note { |", [("code", "")], ""),
        ("route GET { response { |", [("code", ""), ("response", "")], ""),
        ("x = { a: |", [("map", "")], ""),
        ("f(1, { a: |", [("call", "f"), ("map", "")], ""),
        ("xs.map(x => { y|", [("call", "map"), ("code", "")], "y"),
        ("x = [1, (2, |", [("list", ""), ("parens", "")], ""),
        ('broadcast("ro|', [("call", "broadcast"), ("text", "")], "ro"),
        ('x = "a {na|me} b"', [("text", ""), ("interpolation", "")], "name"),
        ("`a ${x.|", [("text", ""), ("interpolation", "")], ""),
        ("@minLength(|", [("call", "@minLength")], ""),
        ("f(1) g|", [], "g"),
        ("for x in Note.all { |", [("code", "")], ""),
        ("fn f(a) { |", [("code", "")], ""),
    ],
)
def test_groups_around_the_cursor(text: str, groups: list[tuple[str, str]], word: str) -> None:
    """Innermost last."""
    assert place(text) == (groups, word)


@pytest.mark.parametrize(
    ("text", "commas"),
    [("f(|", 0), ("f(1, |", 1), ("f(g(1, 2), [3, 4], |", 2), ('f("a, b", |', 1)],
)
def test_commas_of_the_innermost_call(text: str, commas: int) -> None:
    """Those of brackets inside do not count."""
    call = place_at(text.replace("|", ""), text.index("|")).call
    assert call is not None
    assert (call.name, call.commas) == ("f", commas)


@pytest.mark.parametrize(
    ("text", "is_comment"),
    [
        ("x // a |", True),
        ("/* a |", True),
        ("/* a */ |", False),
        ("// a\n|", False),
        ('"http://a |', False),
    ],
)
def test_comments(text: str, is_comment: bool) -> None:
    """Nothing is completed in them."""
    assert place_at(text.replace("|", ""), text.index("|")).is_comment is is_comment


def test_call_ends_at_a_block() -> None:
    """In the body of a lambda the call around it has no say."""
    text = "xs.map(x => { "
    assert place_at(text, len(text)).call is None


def test_word_is_the_whole_word() -> None:
    """From both sides, and with letters of any script; digits alone are none."""
    assert [word_at("one two", at).start for at in (0, 3, 4, 7)] == [0, 0, 4, 4]
    assert word_at("größe", 2).end == 5
    found = word_at("x = 12", 4)
    assert found.start == found.end


def test_code_at_the_cursor() -> None:
    """Of a diagnostic, on this line only."""
    assert code_at("// see FL201 here\nFL202", 9) == "FL201"
    assert code_at("// see FL201 here\nFL202", 1) == ""
