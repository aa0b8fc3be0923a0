"""The function `validate`: rules as texts, checked by the code of `validate` blocks."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.lang.modifier import MODIFIERS
from flinfast.lang.rule import RULE_CHARS_MAX, BadRule, read_rule
from flinfast.runtime.builtins import BoundBuiltins, validate
from flinfast.values import Time
from tests.runtime.fake_services import fake_services


@pytest.fixture
def check(tmp_path: Path) -> Any:
    return BoundBuiltins(fake_services(tmp_path))["validate"]


def test_data_is_converted_and_completed(check: Any) -> None:
    """Ints from integral numbers, times from text, defaults; other entries stay."""
    data = {"n": 2.0, "at": "2026-01-01", "other": 1}
    rules = {"n": "int @min(1)", "at": "time", "room": "text @default('lobby')", "o": "text?"}
    assert check(data, rules) == {
        "ok": True,
        "data": {"n": 2, "at": Time.parse("2026-01-01"), "other": 1, "room": "lobby", "o": None},
        "fields": {},
    }
    assert data == {"n": 2.0, "at": "2026-01-01", "other": 1}


def test_every_field_that_fails_is_named(check: Any) -> None:
    rules = {
        "a": "text @required",
        "b": "text @minLength(3)",
        "c": "[int]",
        "d": "int",
        "e": 'text @one_of("x", "y")',
        "f": "number @max(1.5)",
    }
    answer = check({"b": "ab", "c": [1, "x"], "d": "5", "e": "z", "f": 2}, rules)
    assert answer["ok"] is False
    assert answer["fields"] == {
        "a": "is required",
        "b": "must be at least 3 characters",
        "c": "item 2 must be an integer",
        "d": "must be an integer",
        "e": "must be one of: x, y",
        "f": "must be at most 1.5",
    }


@pytest.mark.parametrize("data", [None, "text", 5, [], b"x"])
def test_what_is_no_map_lacks_every_field(check: Any, data: Any) -> None:
    """A client may send a bare JSON scalar."""
    assert check(data, {"a": "int @required"})["fields"] == {"a": "is required"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", "a type"),
        ("txt", "expected for `a` a type such as text, int or [text], got `txt`"),
        ("Note", "a type"),
        ("[text", "a type"),
        ("text required", "`@` and a modifier before `required`"),
        ("text @requird", "a known modifier instead of `@requird`"),
        ("text @minLength", "expected 1 argument, got 0"),
        ("text @minLength(", "a literal and `)`"),
        ("text @minLength()", "a literal and `)`"),
        ("text @minLength('a')", "a whole number that is not negative"),
        ("text @minLength(1) @min_length(2)", "`@min_length` once"),
        ("int @email", "works on text, not on int"),
        ("text @unique", "only works on fields of entities"),
        ("text @pattern('(')", "not a regular expression"),
        ("text @pattern('(a+)+$')", "endless time on a hostile text"),
        ("text " + "@required" * 200, f"at most {RULE_CHARS_MAX} characters"),
    ],
)
def test_a_bad_rule_is_a_fault_that_says_why(check: Any, rule: str, expected: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        check({}, {"a": rule})
    assert caught.value.code == "FL504"
    assert expected in str(caught.value)


def test_every_modifier_but_those_of_entities_can_be_used() -> None:
    """The table of modifiers is the one of blocks."""
    arguments = {"count": "2", "number": "2", "text": "'a'", "size": "'1KB'", "any": "'a'"}
    arguments["pattern"] = "'a+'"
    for name, spec in MODIFIERS.items():
        kind = sorted(spec.types)[0] if spec.types else "text"
        given = f"({arguments[spec.argument]})" if spec.arguments[1] != 0 else ""
        if spec.entity_only:
            with pytest.raises(BadRule):
                read_rule("a", f"{kind} @{name}{given}")
            continue
        field, _ = read_rule("a", f"{kind} @{name}{given}")
        assert [n for n, _ in field.modifiers] == ([] if name == "default" else [name])


@given(st.text(alphabet="text[]?@ minLgh(2),'\"-."))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    """Whatever it is given, there is a field or a refusal."""
    try:
        field, _ = read_rule("a", text)
    except BadRule:
        return
    assert field.name == "a"


def test_a_program_keeps_a_limited_number_of_rules(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules made at run time do not fill the memory, and work beyond the limit."""
    monkeypatch.setattr(validate, "VALIDATORS_MAX", 2)
    for least in range(5):
        rules = {"n": f"int @min({least})"}
        assert check({"n": least}, rules)["ok"] is True
        assert check({"n": least - 1}, rules)["ok"] is False


def test_too_many_fields_are_a_fault(check: Any) -> None:
    most = {f"f{n}": "int" for n in range(validate.FIELDS_MAX)}
    assert check({}, most)["ok"] is True
    with pytest.raises(RuntimeFault, match="at most 200 fields, got 201"):
        check({}, {**most, "more": "int"})
