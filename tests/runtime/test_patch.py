"""apply_patch: edits of a text, offsets in code points."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.kinds import TEXT_SIZE_MAX
from flinfast.runtime.patch import EDIT_COUNT_MAX, apply_patch
from tests.runtime.flin_values import fault_code, values


@pytest.mark.parametrize(
    ("text", "patch", "result"),
    [
        ("abc", "xyz", "xyz"),
        ("abc", {"start": 1, "delete": 1, "insert": "X"}, "aXc"),
        ("abc", {"position": 1, "length": 1, "text": "X"}, "aXc"),
        ("abc", {"insert": "X"}, "Xabc"),
        ("abc", {"start": 3, "insert": "X"}, "abcX"),
        ("abc", {"start": 0, "delete": 3}, ""),
        ("abc", {}, "abc"),
        ("abc", [], "abc"),
        ("abc", [{"start": 0, "insert": "1"}, {"start": 4, "insert": "2"}], "1abc2"),
        ("añ👍b", {"start": 2, "delete": 1, "insert": "é"}, "añéb"),
        ("abc", {"start": 1.0, "delete": 1.0, "insert": "-"}, "a-c"),
        ("abc", {"start": None, "insert": None}, "abc"),
        ("abc", {"type": "insert", "start": 0, "insert": "x"}, "xabc"),
    ],
)
def test_apply_patch(text: str, patch: Any, result: str) -> None:
    assert apply_patch(text, patch) == result


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (5, "expected a text, a map or a list of maps, got int"),
        (None, "got none"),
        ([1], r"at \$\[0\]: expected a map, got int"),
        ({"start": 4}, r"at \$\.start: expected 0 to 3, got 4"),
        ({"start": -1}, "expected an int from 0, got -1"),
        ({"start": 1, "delete": 3}, r"at \$\.delete: expected 0 to 2, got 3"),
        ({"start": "0"}, "expected an int, got text"),
        ({"start": True}, "expected an int, got bool"),
        ({"start": 0.5}, "expected an int, got number"),
        ({"insert": 5}, r"at \$\.insert: expected text, got int"),
        ({"start": 0, "position": 0}, "expected `start` or `position`, got both"),
        ({"strat": 0}, "got `strat`"),
        ([{"insert": "x"}, {"start": 9}], r"at \$\[1\]\.start: expected 0 to 4, got 9"),
        ([{}] * (EDIT_COUNT_MAX + 1), f"at most {EDIT_COUNT_MAX} edits"),
    ],
)
def test_apply_patch_of_a_bad_patch_names_the_place(patch: Any, message: str) -> None:
    with pytest.raises(RuntimeFault, match=message) as caught:
        apply_patch("abc", patch)
    assert caught.value.code == "FL504"


def test_apply_patch_at_the_limit_of_edits() -> None:
    assert apply_patch("abc", [{}] * EDIT_COUNT_MAX) == "abc"


def test_apply_patch_beyond_the_size_limit_is_a_fault() -> None:
    text = "x" * TEXT_SIZE_MAX
    assert len(apply_patch(text, {"start": 0, "delete": 1, "insert": "y"})) == TEXT_SIZE_MAX
    with pytest.raises(RuntimeFault) as caught:
        apply_patch(text, {"insert": "y"})
    assert caught.value.code == "FL508"


def reference(text: str, edit: dict[str, Any]) -> str:
    """The same edit on a list of characters."""
    chars = list(text)
    chars[edit["start"] : edit["start"] + edit["delete"]] = edit["insert"]
    return "".join(chars)


@given(st.data(), st.text(max_size=30))
def test_apply_patch_agrees_with_lists_of_characters(data: st.DataObject, text: str) -> None:
    """Any valid sequence of edits gives what editing code points one by one gives."""
    edits, expected = [], text
    for _ in range(data.draw(st.integers(0, 5))):
        start = data.draw(st.integers(0, len(expected)))
        delete = data.draw(st.integers(0, len(expected) - start))
        edit = {"start": start, "delete": delete, "insert": data.draw(st.text(max_size=5))}
        edits.append(edit)
        expected = reference(expected, edit)
    assert apply_patch(text, edits) == expected


@settings(deadline=None)
@given(st.text(max_size=10), values)
def test_apply_patch_of_anything_is_text_or_a_fault(text: str, patch: Any) -> None:
    code = fault_code(apply_patch, text, patch)
    assert code in ("", "FL504", "FL508")
    assert code or type(apply_patch(text, patch)) is str
