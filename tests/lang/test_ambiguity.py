"""What a hostile text can make of a regular expression: found before it is matched."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys

import pytest

from flinfast.lang.ambiguity import LENGTH_LEAST, Cost, cost_of

PATIENCE_S = 60.0  # for all judged safe together, which take under a second
RANDOM_COUNT = 1500

ENDLESS = [
    r"(a+)+$",
    r"^(a*)*$",
    r"^(a|a)*$",
    r"^(a|aa)+$",
    r"^(\w+\s?)*$",
    r"^(\d+,?)+$",
    r"(x+x+)+y",
    r"^(a*b*)*$",
    r"^(a|b|ab)*c$",
    r"^(a{2,3})+$",
    r"^(?=(a+)+$)b",
    r"^(?:(?:a+)+)?$",
    r"^(?i:(a|A))+(?i:a+)+$",
    r"^(a?){25}a{25}$",
    "^" + "a?" * 25 + "a" * 25 + "$",
    r"^([a-z]{1,10}){1,10}$",
    r"(.*a){12}$",
    r"^(.*?,){11}P",
    r"(.*)(.*)(.*)(.*)(.*)x",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"^(https?://)?([\da-z.-]+)\.([a-z.]{2,6})([/\w .-]*)*/?$",
    r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*@[a-z]+$",
    r"^(\s*\w*\s*)*$",
    r"^((?:ab|a)(?:c|bc)?)*$",
]
SAFE: list[tuple[str, int | None]] = [
    ("foo", None),
    (r"^[a-z]+$", None),
    (r"^[a-z]{1,20}$", None),
    (r"^\d{4}-\d{2}-\d{2}$", None),
    (r"^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$", None),
    (r"^(\d{1,3}\.){3}\d{1,3}$", None),
    (r"^#?([a-f0-9]{6}|[a-f0-9]{3})$", None),
    (r"^(\d{4}){4}$", None),
    (r"^([a-z]{4})+$", None),
    (r"^(\d{1,3}){1,2}$", None),
    (r"^(foo|fob|bar)+$", None),
    (r"^(?=.*\d)(?=.*[a-z]).{8,}$", None),
    (r"^(?!.*\.\.)[a-z.]+$", None),
    (r"^\+?[0-9 ()-]{7,20}$", None),
    (r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$", None),
    ("^([a-z\u0430-\u044f]+ )*$", None),
    (r"(a+)+", None),  # succeeds at once, or fails at once
    (r"^(a|a)*", None),
    (r"^[^@]+@[^@]+\.[^@]+$", 4096),
    (r"^([a-z0-9]+\.)+[a-z]{2,}$", 4096),
    (r"^[a-z]+(-[a-z]+)*$", None),
    (r"[a-z]+\d", 2896),
    (r"^\S+@\S+\.\S+$", 256),
]


@pytest.mark.parametrize("pattern", ENDLESS)
def test_known_bad_patterns_are_found(pattern: str) -> None:
    """Nested repetitions, alternatives that begin alike, many in a row."""
    assert cost_of(pattern) == Cost(is_endless=True)


@pytest.mark.parametrize(("pattern", "length_max"), SAFE)
def test_patterns_that_people_write_are_not_refused(pattern: str, length_max: int | None) -> None:
    """Those that need more than linear time have a length."""
    cost = cost_of(pattern)
    assert not cost.is_endless
    if length_max is None:
        assert cost.length_max is None or cost.length_max >= 2048
    else:
        assert cost.length_max is not None
        assert length_max // 2 <= cost.length_max <= length_max


def test_whatever_python_takes_is_judged() -> None:
    """Every construct; nothing raises."""
    for pattern in [
        "",
        "^",
        "$",
        r"a\b",
        r"(?P<x>a)(?P=x)",
        r"(a)?(?(1)b|c)",
        r"(?<=a)b(?<!c)",
        r"(?>a+)b",
        r"a++b",
        r"(?s:.)(?m:^a$)(?x: a )",
        r"[^\W\d_]+",
        r"[\x80-\uffff]+\D",
        r"a{0}b{0,0}c{,3}",
        "a" * 1000,
        "(a{100}b){3}",
        "(?:" * 90 + "a" + ")" * 90,
    ]:
        re.compile(pattern)
        cost = cost_of(pattern)
        assert cost.is_endless or cost.length_max is None or cost.length_max >= LENGTH_LEAST
    with pytest.raises(re.error):
        cost_of("(")


def random_pattern(source: random.Random, depth: int = 0) -> str:
    """An expression over `a`, `b`, `-`, biased to repetitions."""
    kind = source.randrange(9 if depth < 3 else 3)
    if kind < 3:
        return source.choice(["a", "b", "-", "[ab]", "[^a]", ".", r"\w", "ab"])
    inner = random_pattern(source, depth + 1)
    if kind < 6:
        count = source.choice(["*", "+", "?", "*?", "+?", "{2}", "{1,3}", "{2,}", "{0,12}"])
        return f"(?:{inner}){count}"
    other = random_pattern(source, depth + 1)
    return f"(?:{inner}|{other})" if kind == 6 else inner + other


def hostile_texts(source: random.Random, length: int) -> list[str]:
    """What random patterns have trouble with: long, of few characters, wrong at the end."""
    words = ["a", "b", "-", "ab", "a-", "aab", "abb", "a" * 7 + "-"]
    words.append("".join(source.choice("ab-") for _ in range(5)))
    return [(word * length)[: length - 1] + end for word in words for end in ("!", "\n")]


def matched_in_time(cases: list[tuple[str, list[str]]], patience_s: float) -> bool:
    """Whether another process has matched them all in time."""
    code = "import json, re, sys\nfor p, texts in json.load(sys.stdin):\n"
    code += "    [re.search(p, text) for text in texts]\n"
    data = json.dumps(cases)
    try:
        subprocess.run(
            [sys.executable, "-c", code],
            input=data,
            text=True,
            check=True,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        return False
    return True


def test_what_is_judged_safe_does_not_blow_up() -> None:
    """Random patterns on hostile texts as long as they may be, up to 300 characters."""
    source = random.Random(20260309)
    cases = []
    for _ in range(RANDOM_COUNT):
        pattern = f"^{random_pattern(source)}{random_pattern(source)}$"
        cost = cost_of(pattern)
        if not cost.is_endless:
            cases.append((pattern, hostile_texts(source, min(cost.length_max or 300, 300))))
    assert RANDOM_COUNT // 3 < len(cases) < RANDOM_COUNT
    assert matched_in_time(cases, PATIENCE_S)


def test_endless_ones_are() -> None:
    """The measure of the test before this one: it does not end with a pattern that is refused."""
    assert not matched_in_time([(r"^(a+)+$", ["a" * 64 + "!"])], 2.0)
