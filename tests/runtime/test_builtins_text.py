"""Text, bytes and conversion builtins."""

import gc
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import REGISTRY, BoundBuiltins
from flinfast.runtime.kinds import TEXT_SIZE_MAX
from flinfast.runtime.operators import OPERATORS
from flinfast.values import Time
from tests.runtime.flin_values import FakeRecord

PURE = BoundBuiltins(None)


@pytest.mark.parametrize(
    ("name", "args", "result"),
    [
        ("len", ("añ👍",), 3),
        ("count", ("banana",), 6),
        ("count", ("banana", "an"), 2),
        ("count", ("abc", ""), 4),
        ("upper", ("straße",), "STRASSE"),
        ("lower", ("ÀB",), "àb"),
        ("trim", ("  a b\n",), "a b"),
        ("trim_start", ("  a ",), "a "),
        ("trim_end", (" a  ",), " a"),
        ("contains", ("abc", "bc"), True),
        ("includes", ("abc", "x"), False),
        ("starts_with", ("abc", "ab"), True),
        ("ends_with", ("abc", "bc"), True),
        ("split", ("a,b,,c", ","), ["a", "b", "", "c"]),
        ("split", ("añ", ""), ["a", "ñ"]),
        ("split", ("", ","), [""]),
        ("slice", ("hello", 1, 3), "el"),
        ("slice", ("hello", -3), "llo"),
        ("substring", ("hello", 0, -1), "hell"),
        ("substr", ("hello", 2), "llo"),
        ("replace", ("aXbX", "X", "-"), "a-bX"),
        ("replace_all", ("aXbX", "X", "-"), "a-b-"),
        ("join", (", ", ["a", 1, None]), "a, 1, none"),
        ("join", (["a", "b"], "-"), "a-b"),
        ("join", (["a", "b"],), "a,b"),
        ("capitalize", ("élan vital",), "Élan vital"),
        ("title", ("the great GATSBY it's",), "The Great Gatsby It's"),
        ("is_numeric", ("-1.5e3",), True),
        ("is_numeric", ("1_000",), False),
        ("is_numeric", ("٣",), False),
        ("is_email", ("a.b+c@example.co",), True),
        ("is_email", ("a@localhost",), False),
        ("is_email", ("a@b.c\n",), False),
        ("is_email", ("@b.c",), False),
        ("is_email", ("a b@c.d",), False),
        ("is_alpha", ("añ",), True),
        ("is_alpha", ("a1",), False),
        ("is_alphanumeric", ("a1",), True),
        ("is_empty", ("",), True),
        ("is_blank", (" \t",), True),
        ("index_of", ("abcb", "b"), 1),
        ("index_of", ("abc", "z"), -1),
        ("last_index_of", ("abcb", "b"), 3),
        ("remove_prefix", ("abc", "ab"), "c"),
        ("remove_suffix", ("abc", "bc"), "a"),
        ("remove_suffix", ("abc", ""), "abc"),
        ("pad_start", ("7", 3, "0"), "007"),
        ("pad_start", ("7", 4, "ab"), "aba7"),
        ("pad_end", ("7", 3), "7  "),
        ("pad_end", ("abcd", 2, "x"), "abcd"),
        ("pad_end", ("a", 3, ""), "a"),
        ("reverse", ("añ",), "ña"),
        ("repeat", ("ab", 3), "ababab"),
        ("repeat", ("ab", 0), ""),
        ("lines", ("a\nb\r\nc",), ["a", "b", "c"]),
        ("lines", ("a\r\rb\n\r\n",), ["a", "", "b", ""]),
        ("lines", ("a\x0bb\x0c\x1c\x85\u2028c\n",), ["a\x0bb\x0c\x1c\x85\u2028c"]),
        ("lines", ("",), []),
        ("lines", ("\n",), [""]),
        ("words", (" a  b ",), ["a", "b"]),
        ("chars", ("añ",), ["a", "ñ"]),
        ("char_at", ("abc", -1), "c"),
        ("char_at", ("abc", 3), None),
        ("truncate", ("abcdef", 5), "ab..."),
        ("truncate", ("abc", 5), "abc"),
        ("truncate", ("abcdef", 2), ".."),
        ("truncate", ("abcdef", -1), ""),
        ("slug", ("Héllo, wörld_2!",), "héllo-wörld-2"),
        ("escape_html", ('<a href="x">\'&',), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"),
        ("encode_utf8", ("é",), b"\xc3\xa9"),
        ("decode_utf8", (b"\xc3\xa9",), "é"),
        ("decode_utf8", (b"\xff",), None),
        ("len", (b"abc",), 3),
        ("slice", (b"abc", 1), b"bc"),
        ("is_empty", (b"",), True),
    ],
)
def test_text_function(name: str, args: tuple[Any, ...], result: Any) -> None:
    """Called as a function and as a method it gives the same."""
    assert PURE[name](*args) == result
    assert OPERATORS.call_method(None, args[0], name, args[1:], {}) == result


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("7", 7),
        (" -12 ", -12),
        ("7.9", 7),
        ("-7.9", -7),
        ("1e3", 1000),
        ("12345678901234567890123", 12345678901234567890123),
        ("9" * 4201, None),
        ("abc", None),
        ("", None),
        ("1_000", None),
        ("٣", None),
        (7.9, 7),
        (-7.9, -7),
        (math.nan, None),
        (math.inf, None),
        (True, 1),
        (None, None),
        (Time(5), 5),
        ([], None),
    ],
)
def test_to_int(value: Any, result: int | None) -> None:
    found = PURE["to_int"](value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("value", "result"),
    [("7", 7.0), (" .5 ", 0.5), ("1e999", math.inf), ("nan", None), ("0x1", None), (True, 1.0)],
)
def test_to_number(value: Any, result: float | None) -> None:
    found = PURE["to_number"](value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("value", "result"),
    [("false", False), ("0", False), ("No", False), ("yes", True), ("", False), ([], True)],
)
def test_to_bool(value: Any, result: bool) -> None:
    assert PURE["to_bool"](value) is result


def test_type_of() -> None:
    expected = {
        "text": "a",
        "int": 1,
        "number": 1.5,
        "bool": True,
        "none": None,
        "list": [],
        "map": {},
        "time": Time(0),
        "bytes": b"",
        "function": len,
        "range": range(2),
        "User": FakeRecord("User", 1, {}),
    }
    assert {PURE["type_of"](value): value for value in expected.values()} == expected
    assert OPERATORS.call_method(None, "abc", "type", (), {}) == "text"


def test_parse_json_of_other_text_is_none() -> None:
    assert PURE["parse_json"]('{"a":[1]}') == {"a": [1]}
    assert PURE["parse_json"]("{") is None
    assert PURE["parse_json"](5) is None


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("repeat", ("ab", TEXT_SIZE_MAX)),
        ("pad_start", ("", TEXT_SIZE_MAX + 1)),
        ("replace_all", ("a" * 10_000, "a", "b" * 10_000)),
        ("join", ("x" * 10_000, ["a"] * 10_000)),
    ],
)
def test_text_beyond_the_limit_is_a_fault(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(RuntimeFault) as caught:
        PURE[name](*args)
    assert caught.value.code == "FL508"


def test_text_at_the_limit_is_made() -> None:
    assert len(PURE["repeat"]("a", TEXT_SIZE_MAX)) == TEXT_SIZE_MAX
    assert len(PURE["pad_start"]("a", TEXT_SIZE_MAX)) == TEXT_SIZE_MAX


def processor_s(work: Callable[[], object]) -> float:
    """Processor time of a call; a collection of what earlier tests left is not counted to it."""
    gc.disable()
    try:
        started = time.thread_time()
        work()
        return time.thread_time() - started
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "text", ["a@" + "a-" * 5000, "a@" + "a." * 5000, "a" * 5000 + "@b.c", "a@b" + ".c" * 300]
)
def test_is_email_of_hostile_text_is_quick(text: str) -> None:
    """No text makes the check slow: it is refused by length or matched in linear time."""
    assert PURE["is_email"](text) is False
    assert processor_s(lambda: PURE["is_email"](text)) < 0.1


@pytest.mark.parametrize("pattern", ["is_numeric", "to_number", "to_int", "title", "slug", "words"])
def test_patterns_on_long_text_are_linear(pattern: str) -> None:
    text = "1" * 200_000 + "x" + "-_" * 100_000
    assert processor_s(lambda: PURE[pattern](text)) < 2.0


@given(st.text(), st.text(min_size=1))
def test_join_undoes_split(text: str, separator: str) -> None:
    assert PURE["join"](PURE["split"](text, separator), separator) == text


def test_every_text_function_names_a_wrong_argument() -> None:
    with pytest.raises(RuntimeFault, match=r"`split` argument 2: expected text, got int"):
        PURE["split"]("a", 5)
    with pytest.raises(RuntimeFault, match=r"`upper` argument 1: expected text, got none"):
        PURE["upper"](None)
    with pytest.raises(RuntimeFault, match=r"`len` argument 1: expected .*text.*, got bool"):
        PURE["len"](True)


def test_properties_of_text_only_look_at_it() -> None:
    """Reading a member of received data must never reach files, variables or the network."""
    for name, entry in REGISTRY.items():
        if any(not variant.is_method for variant in entry.variants):
            allowed = {"to_text", "to_int", "to_number", "to_float", "to_bool"}
            assert name in allowed or OPERATORS.member("PATH", name) is None
