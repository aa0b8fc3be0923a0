"""Comments between any two tokens: the formatter leaves them where they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.lang.format import format_source, same_tree
from flinfast.lang.parser import parse_tokens
from flinfast.lang.source import Source

COMMENTS = (" // note\n", "\n// note\n", " /* note */ ", " /* note */\n", "\n/* note */ ")
PROGRAMS = (
    "x = notes.filter(n => n.open).map(n => n.id).first",
    'x = Note.where(done == false).order("id").limit(3)',
    "x = user.notes.first.title.upper()",
    "x = f(a, [1, ...b], { a: 1, b: g(2) })[0].b",
    "x = a.b.c(d)?.e[f:g] ?? h",
    "x = a + b * -c - d && !e || f == g not in h",
    "x = (a - b) ** 2 ++ c",
    "x = a ? b : c",
    "x = if a { b } else if c { d } else { e }",
    "x = a |> f |> g(1)",
    "save Note { title: t, ...rest }",
    'broadcast("r", { type: "x", at: now(), users: [a, b] })',
    "for x, i in xs.filter(y => y > 1) { out.push(x) }",
    "while a < b { a += 1 }",
    'if a.b(c) && d { return error(404, "no") }',
    "fn f(a: int, b = 2, ...c) -> text { a.b(c => { d(c) }) }",
    "match x { 1 | 2 -> a(), [b, _] -> b.c(), _ -> 3 }",
    "response { status: 201, body: f(x) }",
    "entity Note { title: text @required @max(9) = none, tags: [text] }",
    "[a, b] = c.d(e)",
)
_SIGNS = frozenset({"+", "-", "*", "**", "++", "&&", "||", "??", "==", "not in", "<", ">"})
_SIGNS |= {"?", ":", "|", "|>"}  # a line that is broken at one of these starts or ends with it


def tokens(text: str) -> list[str] | None:
    """Spellings of the tokens of a text; None when it has a fault."""
    _, diagnostics, found = parse_tokens(Source("x.flin", text))
    if any(diagnostic.severity == "error" for diagnostic in diagnostics):
        return None
    return [text[t.index : t.end] for t in found if t.end > t.index]


def commented(program: str, places: dict[int, str]) -> str | None:
    """A program with comments after some of its tokens; None when it is another one then."""
    tree, _, found = parse_tokens(Source("x.flin", program))
    real = [token for token in found if token.end > token.index]
    text, start = "", 0
    for number, token in enumerate(real[:-1]):
        text += program[start : token.end]
        start = token.end
        if number in places:
            start += len(program) - start - len(program[start:].lstrip(" "))
            text += places[number].replace("note", f"note {number}")
    text += program[start:] + "\n"
    if tokens(text) != [program[t.index : t.end] for t in real]:
        return None
    return text if same_tree(tree, parse_tokens(Source("x.flin", text))[0]) else None


def words_before(text: str, mark: str) -> list[str]:
    """Spellings of the tokens before a comment, without separators."""
    _, _, found = parse_tokens(Source("x.flin", text))
    at = text.index(mark)
    words = (text[t.index : t.end] for t in found if t.index < t.end <= at)
    return [word for word in words if word not in (",", ";")]


def check(text: str, marks: list[str]) -> None:
    """Each comment follows the token it followed, or stands on the other side of an operator."""
    after = format_source(text)
    assert format_source(after) == after
    for mark in marks:
        before, now = words_before(text, mark), words_before(after, mark)
        short, long = sorted((before, now), key=len)
        assert long[: len(short)] == short
        over = long[len(short) :]
        assert len(over) < 2, (text, after)
        assert _SIGNS.issuperset(over), (text, after)


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_comment_stays_at_its_token(program: str, comment: str) -> None:
    """After every token of chains of methods, calls, lists, maps, operators and heads."""
    tried = 0
    for place in range(len(tokens(program) or ()) - 1):
        text = commented(program, {place: comment})
        if text is not None:
            check(text, [f"note {place}"])
            tried += 1
    assert tried > 3


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(PROGRAMS),
    st.dictionaries(st.integers(0, 40), st.sampled_from(COMMENTS), min_size=2, max_size=6),
)
def test_many_comments_stay_at_their_tokens(program: str, places: dict[int, str]) -> None:
    """In their order, too: `format_source` compares all of them."""
    text = commented(program, places)
    if text is not None:
        marks = [f"note {n}{'' if '//' in c else ' '}" for n, c in places.items()]
        check(text, [mark for mark in marks if mark in text])
