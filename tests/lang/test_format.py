"""The formatter: what it writes, what it keeps, when it refuses."""

import re
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang import format as formatting
from flinfast.lang.comments import read_gap
from flinfast.lang.format import WIDTH, FormatError, format_source, same_tree
from flinfast.lang.parser import parse
from flinfast.lang.source import Source
from tests.lang.test_parser import CASES as SYNTAX_CASES

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
FLIN_BLOCK = re.compile(r"^```flin\n(.*?)^```", re.MULTILINE | re.DOTALL)
STYLE_CASES: dict[str, tuple[str, str]] = {}
for _part in re.split(
    r"^=== ", (FOLDER / "format_cases.txt").read_text(encoding="utf-8"), flags=re.MULTILINE
)[1:]:
    _title, _, _rest = _part.partition("\n")
    _before, _, _after = _rest.partition("---\n")
    STYLE_CASES[_title] = (_before, _after.rstrip("\n") + "\n")


@pytest.mark.parametrize("name", STYLE_CASES)
def test_source_gets_the_style(name: str) -> None:
    """Each case is written as it stands under its line, and stays so."""
    before, after = STYLE_CASES[name]
    assert format_source(before) == after
    assert format_source(after) == after


@pytest.mark.parametrize("name", SYNTAX_CASES)
def test_every_syntax_case_keeps_its_tree(name: str) -> None:
    """The cases of the grammar mean the same when formatted, and are formatted once."""
    text, _ = SYNTAX_CASES[name]
    after = format_source(text)
    trees = [parse(Source("x.flin", found))[0] for found in (text, after)]
    assert same_tree(*trees)
    assert format_source(after) == after


def sources() -> list[tuple[str, str]]:
    """Every FLIN text that people are shown."""
    found = []
    for folder in ("examples", "flinfast/cli/templates", "bench/app", "bench/flin"):
        found += [(p, p.read_text("utf-8")) for p in sorted((ROOT / folder).rglob("*.flin"))]
    found += [(p, p.read_text("utf-8")) for p in sorted((FOLDER / "seed").glob("*.flin"))]
    texts = [(path.relative_to(ROOT).as_posix(), text) for path, text in found]
    for page in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]:
        if page.name not in ("errors.md", "syntax.md"):  # they show what else can be written
            blocks = FLIN_BLOCK.findall(page.read_text("utf-8"))
            name = page.relative_to(ROOT).as_posix()
            texts += [(f"{name}#{number}", block) for number, block in enumerate(blocks, 1)]
    return [(name, text) for name, text in texts if not parse(Source(name, text))[1]]


@pytest.mark.parametrize(("name", "text"), sources(), ids=[name for name, _ in sources()])
def test_what_people_are_shown_has_the_style(name: str, text: str) -> None:
    """Examples, templates, benchmarks, docs and the seed programs are formatted."""
    assert format_source(text, name) == text


# --- files


def test_line_ends_and_byte_order_mark_stay() -> None:
    """The first line tells how lines end; a byte order mark is kept."""
    assert format_source("a  = 1\r\nb = 2\n") == "a = 1\r\nb = 2\r\n"
    assert format_source("a  = 1\nb = 2\r\n") == "a = 1\nb = 2\n"
    assert format_source("\ufeffa  = 1") == "\ufeffa = 1\n"
    assert format_source("x = `a\r\n  b`\r\n") == "x = `a\r\n  b`\r\n"


@pytest.mark.parametrize("text", ["", "\n\n", " \t", ";;\n"])
def test_empty_file_stays_empty(text: str) -> None:
    """Nothing is formatted as nothing."""
    assert format_source(text) == ""


def test_syntax_error_is_reported_and_nothing_else() -> None:
    """What cannot be read is not formatted."""
    with pytest.raises(CompileError) as caught:
        format_source("a +", "x.flin")
    (found,) = caught.value.diagnostics
    assert (found.code, found.source.path) == ("FL116", "x.flin")


def test_result_that_is_another_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the formatter itself never reaches a file."""
    written = formatting._Reading.written
    for change in (("b", "c"), ("b", "+"), ("// d", ""), ("1", "true")):

        def spoiled(self: formatting._Reading, change: tuple[str, str] = change) -> str:
            return written(self).replace(*change)

        monkeypatch.setattr(formatting._Reading, "written", spoiled)
        with pytest.raises(FormatError):
            format_source("a = [b, 1] // d")


def test_trees_differ_where_equal_values_do() -> None:
    """`1`, `1.0` and `true` are equal in Python only."""
    trees = [parse(Source("x.flin", text))[0] for text in ("1", "1.0", "true", "1 ", "1\n2")]
    same = [[same_tree(one, other) for other in trees] for one in trees]
    assert same == [
        [True, False, False, True, False],
        [False, True, False, False, False],
        [False, False, True, False, False],
        [True, False, False, True, False],
        [False, False, False, False, True],
    ]


def test_line_at_the_width_is_kept_and_one_beyond_is_broken() -> None:
    """A line has at most WIDTH columns."""
    fits = f"f({'a' * (WIDTH - 6)}, b)\n"
    assert len(fits) == WIDTH + 1
    assert format_source(fits) == fits
    assert format_source(fits.replace("f", "ff")) == f"ff(\n    {'a' * (WIDTH - 6)},\n    b\n)\n"


def test_deep_nesting_is_formatted() -> None:
    """The deepest program the parser takes does not exhaust the stack."""
    for before, after in (("[", "]"), ("(", ")"), ("f(", ")"), ("x => ", ""), ("{ a: ", " }")):
        for levels in (30, 45, 60):
            text = f"v = {before * levels}1{after * levels}\n"
            if not parse(Source("x.flin", text))[1]:
                assert format_source(format_source(text)) == format_source(text)


# --- comments


@pytest.mark.parametrize(
    ("between", "trailing", "own", "inline", "blank"),
    [
        (" ", 0, 0, 0, False),
        ("\n\n", 0, 0, 0, True),
        (" // a\n", 1, 0, 0, False),
        (" // a\n\n", 1, 0, 0, True),
        (" /* a */ ", 0, 0, 1, False),
        (" /* a */ /* b */\n", 2, 0, 0, False),
        ("\n// a\n\n// b\n", 0, 2, 0, False),
        (", // a\n// b\n/* c */ ", 1, 1, 1, False),
        ("\n\n/* a */ /* b */ ", 0, 0, 1, False),
    ],
)
def test_gap_knows_where_its_comments_stand(
    between: str, trailing: int, own: int, inline: int, blank: bool
) -> None:
    """Comments end the line before, have lines of their own, or stand before a token."""
    gap = read_gap(between)
    if between.endswith("/* b */ "):
        own, inline, blank = 0, 2, True
        gap = read_gap(between)
        assert [c.text for c in gap.comments] == ["/* a */", "/* b */"]
        return
    assert (len(gap.trailing), len(gap.own), len(gap.inline)) == (trailing, own, inline)
    assert gap.blank is blank
