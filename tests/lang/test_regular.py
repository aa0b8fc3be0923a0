"""Our reading of regular expressions says the same as `re`, whose parser is private."""

from __future__ import annotations

import math
import random
import re

import pytest

from flinfast.lang.charset import ALL
from flinfast.lang.regular import (
    Again,
    Chars,
    Either,
    Group,
    Look,
    Place,
    Repeat,
    Sequence,
    parse,
)
from tests.lang.test_ambiguity import random_pattern
from tests.lang.test_known_patterns import REAL

SAMPLES = 20
ONE_CHAR = [
    ".",
    "(?s:.)",
    "a",
    "(?i:a)",
    "(?i)[b-d]",
    "(?i:k(?-i:))",
    r"\.",
    r"\n",
    r"\x41",
    r"\u0041",
    r"\U00000041",
    r"\N{LATIN SMALL LETTER B}",
    r"\0",
    r"\07",
    r"\101",
    r"\d",
    r"\D",
    r"\s",
    r"\S",
    r"\w",
    r"\W",
    r"(?a:\W)",
    "[abc]",
    "[^abc]",
    "[a-c]",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[-a]",
    r"[\w-]",
    r"[\d\s]",
    r"[^\W\d_]",
    r"[\]\\]",
    r"[\b]",
    r"[\101-\103]",
    r"[\x41-\x43]",
    r"[\N{DIGIT ONE}-5]",
    r"[\[a]",
    "[.*+]",
    "[(|)]",
    "(?x) a  # a comment",
    "(?x)[ a#]",
    r"(?x)\ ",
    "(?x: \t\n\va )",
    "(?#a comment)a",
    "a(?#a comment)",
    "{",
    "}",
    "]",
    "-",
]
TEXTS = [
    "a{,3}",
    "a{2}",
    "a{2,}",
    "a{2,3}?b",
    "a{,}",
    "a{}",
    "a{b}",
    "a{1,b}",
    "a*?b+?c??",
    "a++b*+c?+",
    "(?:a|b|)c",
    "(?P<x>a)(b)(?:c)",
    "(?>a+)b",
    "(?i:ab)(?-i:c)",
    "(?si-mx:a.b)",
    "(?x) a + (?# two ) b # end",
    "(?x)a (?-x: b)",
    "a(?#x)+",
    r"\101\x2b\+",
    "((((a))))",
    "|a",
    "a||b",
    "()",
    "(a|)*b",
]


def only(pattern: str) -> Chars:
    """The one character that a pattern is."""
    tree = parse(pattern)
    while len(tree) == 1 and isinstance(tree[0], Group):
        tree = tree[0].part
    found = [item for item in tree if isinstance(item, Chars)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("pattern", ONE_CHAR)
def test_a_character_is_read_as_re_does(pattern: str) -> None:
    """Every ASCII character is in the set or not; whatever else matches, is as well."""
    bits = only(pattern).bits
    for number in range(128):
        assert (re.fullmatch(pattern, chr(number)) is not None) == bool(bits >> number & 1)
    for bit, char in enumerate("\u0661\u00e9\u00a0\u20ac"):
        if re.fullmatch(pattern, char):
            assert bits >> (128 + bit) & 1


def text_of(tree: Sequence, source: random.Random) -> str:
    """A random text that a tree without looks says to match."""
    parts = []
    for item in tree:
        match item:
            case Chars(bits):
                numbers = [number for number in range(128) if bits >> number & 1]
                parts.append(chr(source.choice(numbers)))
            case Repeat(least, most, part):
                count = source.randint(least, int(min(most, least + 2)))
                parts += [text_of(part, source) for _ in range(count)]
            case Either(branches):
                parts.append(text_of(source.choice(branches), source))
            case Group(part):
                parts.append(text_of(part, source))
            case _:
                assert isinstance(item, Place)
    return "".join(parts)


def has(tree: Sequence, *kinds: type) -> bool:
    """Whether one of these is anywhere in a tree."""
    for item in tree:
        if isinstance(item, kinds):
            return True
        inner = item.branches if isinstance(item, Either) else [getattr(item, "part", ())]
        if any(has(part, *kinds) for part in inner):
            return True
    return False


def test_texts_of_a_tree_match_its_pattern() -> None:
    """Counts, alternatives and flags are read as they are meant."""
    source = random.Random(20260411)
    patterns = [*TEXTS, *(random_pattern(source) for _ in range(300))]
    for pattern in patterns:
        tree = parse(pattern)
        assert not has(tree, Look, Again)
        compiled = re.compile(pattern)
        for _ in range(SAMPLES):
            text = text_of(tree, source)
            assert compiled.fullmatch(text), (pattern, text)


def test_texts_of_what_people_write_match() -> None:
    """All those without looks; a place in the middle may refuse some."""
    source = random.Random(20260412)
    seen = 0
    for pattern in REAL.values():
        tree = parse(pattern)
        if has(tree, Look, Again):
            continue
        texts = [text_of(tree, source) for _ in range(SAMPLES)]
        assert sum(re.search(pattern, text) is not None for text in texts) > SAMPLES // 2, pattern
        seen += 1
    assert seen >= 40


def test_what_is_no_character_is_read_as_re_does() -> None:
    a, b = Chars(1 << ord("a")), Chars(1 << ord("b"))
    start, place = Place(is_start=True), Place(is_start=False)
    for pattern, tree in {
        "^a$": (start, a, place),
        r"\Aa\Z\b\B": (start, a, place, place, place),
        "(?m)^a": (place, a),
        "(?=a)(?!a)(?<=a)(?<!a)": (Look((a,)),) * 4,
        r"(a)\1": (Group((a,)), Again()),
        r"(?P<n>a)(?P=n)": (Group((a,)), Again()),
        r"(a)?(?(1)a|b)": (Repeat(0, 1, (Group((a,)),)), Either(((a,), (b,)))),
        r"(?P<n>a)?(?(n)b)": (Repeat(0, 1, (Group((a,)),)), Either(((b,), ()))),
        r"(a)\1b": (Group((a,)), Again(), b),
        "(?:a|b)+?": (Repeat(1, math.inf, (Group((Either(((a,), (b,))),)),)),),
    }.items():
        re.compile(pattern)
        assert parse(pattern) == tree, pattern


def test_a_group_with_a_number_of_two_digits() -> None:
    pattern = "(a)" * 12 + r"\12\1"
    assert [type(item) for item in parse(pattern)] == [Group] * 12 + [Again] * 2


@pytest.mark.parametrize("pattern", ["(", "[a", "a{3,2}", r"\q", "*"])
def test_what_re_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(re.error):
        parse(pattern)


def test_a_set_of_everything_is_everything() -> None:
    assert only(r"[\s\S]").bits == only(r"[\d\D]").bits == only("(?s:.)").bits == ALL
