"""Offsets and positions of the protocol, against a slow way of counting."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types as lsp

from flinfast.lang.source import Span
from flinfast.lsp.position import UTF8, UTF16, UTF32, TextIndex

TEXTS = st.text(alphabet="ab \n\r\té\u2028\U0001f375", max_size=40)
WIDTH = {
    UTF8: lambda text: len(text.encode()),
    UTF16: lambda text: len(text.encode("utf-16-le")) // 2,
    UTF32: len,
}


@given(TEXTS, st.sampled_from([UTF8, UTF16, UTF32]), st.data())
def test_position_of_an_offset_counts_lines_and_units(
    text: str, encoding: str, data: st.DataObject
) -> None:
    """Lines end at LF, CR LF and CR only; the way back leads to the same character."""
    offset = data.draw(st.integers(0, len(text)))
    if text[offset - 1 : offset + 1] == "\r\n":
        return  # between the two there is no position
    index = TextIndex(text, encoding)
    lines = re.split(r"\r\n|\n|\r", text[:offset])
    position = index.position(offset)
    assert (position.line, position.character) == (len(lines) - 1, WIDTH[encoding](lines[-1]))
    assert index.offset(position) == offset


@pytest.mark.parametrize(
    ("line", "character", "offset"),
    [(0, 99, 2), (1, 0, 3), (1, 99, 4), (9, 9, 4), (0, 1, 1)],
)
def test_a_position_outside_the_text_is_the_nearest_one(
    line: int, character: int, offset: int
) -> None:
    """End of the line, end of the text; in the middle of a pair, after it."""
    index = TextIndex("\U0001f375a\nb")
    assert index.offset(lsp.Position(line, character)) == offset


def test_range_of_a_span_beyond_the_text_ends_with_it() -> None:
    """Diagnostics at the end of a file stay inside it."""
    found = TextIndex("ab\n").range(Span(3, 9))
    assert found == lsp.Range(lsp.Position(1, 0), lsp.Position(1, 0))
