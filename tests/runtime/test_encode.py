"""JSON and text of values: the language reference, sections 3.6 and 3.7."""

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.encode import decode_json, encode_json, to_text
from flinfast.runtime.upload import UploadedFile
from flinfast.values import Time
from tests.runtime.flin_values import (
    FakeQuery,
    FakeRecord,
    fault_code,
    looped,
    nested,
    plain,
    values,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (2**70, str(2**70)),
        (1.5, "1.5"),
        (math.nan, "null"),
        ([math.inf, -math.inf], "[null,null]"),
        ("é", '"é"'),
        (Time(1_769_853_600_000), '"2026-01-31T10:00:00Z"'),
        (Time(1_769_853_600_007), '"2026-01-31T10:00:00.007Z"'),
        (b"\x00\xff", '"AP8="'),
        ({"b": 1, "a": [2]}, '{"b":1,"a":[2]}'),
        (range(3), "[0,1,2]"),
        (FakeQuery([1, {"a": b""}]), '[1,{"a":""}]'),
        (FakeRecord("User", 3, {"name": "A"}), '{"id":3,"name":"A"}'),
        ({"user": FakeRecord("User", 3, {"at": Time(0)})}, None),
        (UploadedFile("a.txt", "text/plain", b"xyz"), None),
        ("\ud800", '"?"'),
    ],
)
def test_encode_json(value: Any, expected: str | None) -> None:
    if expected is None:
        expected = (
            '{"name":"a.txt","size":3,"content_type":"text/plain"}'
            if isinstance(value, UploadedFile)
            else '{"user":{"id":3,"at":"1970-01-01T00:00:00Z"}}'
        )
    assert encode_json(value).decode() == expected


def test_encode_json_of_a_record_within_itself_is_its_id() -> None:
    """A reference back to a record on the way is its id; elsewhere it is written out again."""
    user = FakeRecord("User", 1, {})
    note = FakeRecord("Note", 5, {"by": user})
    user.fields["last"] = note
    assert json.loads(encode_json(user)) == {"id": 1, "last": {"id": 5, "by": 1}}
    assert json.loads(encode_json([note, note])) == [{"id": 5, "by": {"id": 1, "last": 5}}] * 2


@pytest.mark.parametrize("value", [lambda: 1, [print], {"f": len}, object()])
def test_encode_json_of_a_function_is_a_fault(value: Any) -> None:
    with pytest.raises(RuntimeFault, match="JSON has no form for") as caught:
        encode_json(value)
    assert caught.value.code == "FL504"


@pytest.mark.parametrize("make", [looped, lambda: nested(5000), lambda: [range(10**12)]])
def test_encode_json_of_endless_values_is_a_fault(make: Any) -> None:
    with pytest.raises(RuntimeFault) as caught:
        encode_json(make())
    assert caught.value.code == "FL508"


def test_encode_json_of_a_shared_list_is_no_cycle() -> None:
    shared = ["\ud800"]  # forces the walk
    assert encode_json([shared, shared]) == b'[["?"],["?"]]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        (7, "7"),
        (-0.0, "0"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (True, "true"),
        (False, "false"),
        (None, "none"),
        (Time(0), "1970-01-01T00:00:00Z"),
        (b"ab", "YWI="),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": 1}, '{"a":1}'),
        (FakeRecord("User", 1, {}), '{"id":1}'),
        (FakeQuery([1]), "[1]"),
        (len, "function"),
        ([len, 1], "[null,1]"),
        ([range(10**12)], "[null]"),
    ],
)
def test_to_text(value: Any, expected: str) -> None:
    assert to_text(value) == expected


def test_to_text_of_a_list_in_itself_ends() -> None:
    assert to_text(looped()) == "[1,null]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ('{"a":[true,null,"x"]}', {"a": [True, None, "x"]}),
        ('"👍"', "👍"),
    ],
)
def test_decode_json(text: str, expected: Any) -> None:
    value = decode_json(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[1,]", "'a'", "1 2", "[" * 3000 + "]" * 3000, '"\\ud800"', "1" * 5000]
)
def test_decode_json_of_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_json(text)


@settings(deadline=None)
@given(values)
def test_encode_json_gives_json_or_a_fault(value: Any) -> None:
    code = fault_code(encode_json, value)
    assert code in ("", "FL504", "FL508")
    if not code:
        json.loads(encode_json(value))


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**80), 2**80),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


@given(json_values)
def test_decode_of_encode_is_the_same_value(value: Any) -> None:
    decoded = decode_json(encode_json(value))
    assert decoded == value
    assert repr(decoded) == repr(value)  # 1 stays an int, 1.0 a number


@given(plain)
def test_the_walk_agrees_with_the_fast_path(value: Any) -> None:
    """A value that has to be walked is written as it would have been without the culprit."""
    assume(not fault_code(encode_json, value))
    fast = json.loads(encode_json([value, "?"]))
    assert json.loads(encode_json([value, "\ud800"])) == fast
