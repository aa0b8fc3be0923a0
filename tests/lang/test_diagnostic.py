"""Diagnostics: their text is what people read, so it is stored and compared as a whole."""

import json
import re
from pathlib import Path

import pytest

from flinfast.lang.catalog import CATALOG
from flinfast.lang.diagnostic import Diagnostic, Note, render, suggest
from flinfast.lang.parser import parse
from flinfast.lang.source import Source, Span

FOLDER = Path(__file__).parent / "diagnostics"
PROGRAMS = sorted(FOLDER.glob("*.flin"))


def one(text: str, start: int, end: int, path: str = "app/api/chat.flin", **more: object) -> str:
    """A rendered diagnostic over a stretch of a text."""
    fields = {"message": "unknown guard `atuh`", "label": "no guard has this name"} | more
    found = Diagnostic("FL201", source=Source(path, text), span=Span(start, end), **fields)
    return render([found], color=False)


# --- snapshots


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_diagnostic_snapshot(program: Path, update_snapshots: bool) -> None:
    """What the user sees for a faulty program is the stored text."""
    source = Source(program.name, program.read_bytes().decode())
    tree, diagnostics = parse(source)
    shown = render(diagnostics, color=False)
    snapshot = program.with_suffix(".txt")
    if update_snapshots:
        snapshot.write_text(shown, encoding="utf-8")
    assert shown == snapshot.read_text(encoding="utf-8")
    if program.name.startswith("FL"):
        assert program.name[:5] in {diagnostic.code for diagnostic in diagnostics}
    assert tree.span == Span(0, len(source.text))


def test_diagnostic_snapshot_exists_for_every_code() -> None:
    """Each lexical and syntax code has a program that shows it."""
    shown = {program.name[:5] for program in PROGRAMS}
    codes = {code for code in CATALOG if code < "FL200"}
    # A program of 200 000 words is made by the test of the lexer.
    assert codes - shown == {"FL010"}


def test_diagnostics_of_one_run_cover_independent_slips() -> None:
    """One slip does not bury the rest: at least twenty are reported in one run."""
    text = (FOLDER / "many_slips.flin").read_text(encoding="utf-8")
    places = {diagnostic.span for diagnostic in parse(Source("x.flin", text))[1]}
    assert len(places) >= 20


# --- the form


def test_render_matches_style_guide() -> None:
    """The form is the one of the style guide, character by character."""
    assert one("guard atuh\n", 6, 10, help="did you mean `auth`?") == (
        "error[FL201]: unknown guard `atuh`\n"
        " --> app/api/chat.flin:1:7\n"
        "  |\n"
        "1 | guard atuh\n"
        "  |       ^^^^ no guard has this name\n"
        "  |\n"
        "  = help: did you mean `auth`?\n"
        "  = docs: flinfast explain FL201\n"
    )


def test_render_without_diagnostics_is_empty() -> None:
    """Nothing to say is no text."""
    assert render([], color=False) == ""


def test_render_separates_diagnostics_by_a_blank_line() -> None:
    """Two diagnostics have one blank line between them."""
    found = Diagnostic("FL201", "x", Source("a", "b"), Span(0, 1), "")
    assert render([found, found], color=False).split("\n\n")[1].startswith("error[FL201]: x\n")


def test_render_of_a_warning_says_so() -> None:
    """The severity opens the title."""
    assert one("guard atuh", 6, 10, severity="warning").startswith("warning[FL201]: unknown")


def test_render_shows_a_note_with_its_place() -> None:
    """A note shows its own line; the gutter is as wide as the longest line number needs."""
    text = "ws {\n" + "\n" * 10 + "route GET { 1 }\n"
    source = Source("a.flin", text)
    note = Note("`{` is opened here", source, Span(3, 4))
    found = Diagnostic("FL103", "`{` is not closed", source, Span(15, 20), "", notes=(note,))
    assert render([found], color=False) == (
        "error[FL103]: `{` is not closed\n"
        "  --> a.flin:12:1\n"
        "   |\n"
        "12 | route GET { 1 }\n"
        "   | ^^^^^\n"
        "   |\n"
        "note: `{` is opened here\n"
        "  --> a.flin:1:4\n"
        "   |\n"
        " 1 | ws {\n"
        "   |    ^\n"
        "   |\n"
        "   = docs: flinfast explain FL103\n"
    )


def test_render_color_only_adds_escapes() -> None:
    """Without its colours a coloured text is the plain one."""
    note = Note("there", Source("b", "x y"), Span(2, 3))
    found = Diagnostic(
        "FL201", "no", Source("a", "ab"), Span(0, 2), "why", help="do", notes=(note,)
    )
    colored = render([found], color=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render([found], color=False)


@pytest.mark.parametrize(
    ("text", "start", "end", "line", "carets"),
    [
        ("\tx y", 3, 4, "    x y", "      ^"),  # a tab goes to the next multiple of four
        ("a\tb", 2, 3, "a   b", "    ^"),
        ("\t", 0, 1, "", "^^^^"),  # a tab under carets is as wide as it is shown
        ("日本 x", 3, 4, "日本 x", "     ^"),  # wide characters take two columns
        ("日本", 0, 1, "日本", "^^"),
        ("e\u0301 x", 3, 4, "e\u0301 x", "  ^"),  # a combining accent takes none
        ("a\x1b[31mb", 1, 2, "a?[31mb", " ^"),  # nothing in a file steers the terminal
        ("x = 5 +", 7, 7, "x = 5 +", "       ^"),  # an empty span still has a caret
        ("x\r\ny", 0, 1, "x", "^"),
    ],
)
def test_render_aligns_carets(text: str, start: int, end: int, line: str, carets: str) -> None:
    """Carets stand under what they mean, whatever the line is made of."""
    shown = one(text, start, end, label="").split("\n")
    assert shown[3:5] == [f"1 | {line}".rstrip(), f"  | {carets}"]


def test_render_of_a_span_over_lines_marks_the_first() -> None:
    """Carets end with the line the span starts on."""
    shown = one("if x {\n  y\n}", 0, 12, label="").split("\n")
    assert shown[3:5] == ["1 | if x {", "  | ^^^^^^"]


def test_render_of_a_huge_line_shows_a_window() -> None:
    """A megabyte on one line renders as a few hundred characters around the span."""
    text = "a" * 500_000 + " oops " + "b" * 500_000
    shown = one(text, 500_001, 500_005, label="here")
    assert len(shown) < 600
    line, carets = shown.split("\n")[3:5]
    at = carets.index("^")
    assert line[at : at + 4] == "oops"
    assert line.startswith("1 | ...")
    assert line.endswith("...")


def test_render_frame_is_ascii() -> None:
    """Only text taken from the file is ever outside ASCII."""
    assert one("guard atuh", 6, 10, help="x").isascii()


def test_to_map_is_json_with_places() -> None:
    """The JSON form has 1-based lines and columns of every place."""
    source = Source("a.flin", "x\nguard atuh")
    note = Note("n", source, Span(0, 1))
    found = Diagnostic("FL201", "m", source, Span(8, 12), "l", help="h", notes=(note,))
    assert json.loads(json.dumps(found.to_map())) == {
        "code": "FL201",
        "severity": "error",
        "message": "m",
        "path": "a.flin",
        "line": 2,
        "column": 7,
        "end_line": 2,
        "end_column": 11,
        "label": "l",
        "help": "h",
        "notes": [
            {
                "message": "n",
                "path": "a.flin",
                "line": 1,
                "column": 1,
                "end_line": 1,
                "end_column": 2,
            }
        ],
    }


# --- did you mean


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("atuh", ["auth", "role"], "auth"),  # a swap is one edit
        ("Auth", ["auth", "autx"], "auth"),  # letter case alone wins
        ("Ticket", ["ticket", "Tickets"], "ticket"),
        ("broadcst", ["broadcast", "broadcast_all"], "broadcast"),
        ("xyz", ["auth", "role"], ""),
        ("ab", ["abcd"], ""),  # two edits of two letters are no misspelling
        ("x", ["y"], ""),  # one letter says nothing
        ("titel", ["title", "state"], "title"),
        ("auth", ["auth"], ""),  # the word itself is no suggestion
        ("", ["a"], ""),
        ("userName", ["user_name"], "user_name"),
    ],
)
def test_suggest_finds_what_was_meant(word: str, candidates: list[str], expected: str) -> None:
    """A suggestion lies within a third of the word's length."""
    assert suggest(word, candidates) == expected


def test_suggest_is_independent_of_order() -> None:
    """Of equally close candidates the first by name is suggested, so output is stable."""
    assert suggest("bat", ["cat", "hat", "bad"]) == suggest("bat", ["bad", "hat", "cat"]) == "bad"
