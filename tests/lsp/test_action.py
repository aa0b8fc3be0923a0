"""Quick fixes: what they make of a file is what was meant."""

import pytest

from flinfast.lang.parser import parse
from flinfast.lang.source import Source
from flinfast.lsp.action import fixes_of


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("if a { f() } elif b { g() }", "if a { f() } else if b { g() }"),
        ("x = { a, b: 2 }", "x = { a: a, b: 2 }"),
        ("x = user->name", "x = user.name"),
        ("entity A { b: text required }", "entity A { b: text @required }"),
        ("if a === b { f() }", "if a == b { f() }"),
        ("A.where(b = 1)", "A.where(b == 1)"),
    ],
)
def test_fix_makes_what_was_meant(written: str, meant: str) -> None:
    """One fault, one fix, and no fault left."""
    (fault,) = parse(Source("x.flin", written))[1]
    (fix,) = fixes_of(fault)
    mended = written[: fix.span.start] + fix.text + written[fix.span.end :]
    assert mended == meant
    assert parse(Source("x.flin", mended))[1] == []


@pytest.mark.parametrize("written", ["for (i = 0; i < 3; i++) { f(i) }", "match x { else -> 1 }"])
def test_outline_of_a_fix_is_no_fix(written: str) -> None:
    """A help with `...` in it is for people."""
    (fault,) = parse(Source("x.flin", written))[1]
    assert fixes_of(fault) == []
