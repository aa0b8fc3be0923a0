"""The Pygments lexer: every example round-trips, with the compiler's own tokens and no errors."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String

from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.highlight import KINDS, stretches
from flinfast.lang.vocabulary import CONTEXTUAL, HARD_KEYWORDS
from flinfast.pygments_lexer import TOKENS, FlinLexer

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(
    [
        *(ROOT / "examples").rglob("*.flin"),
        *(ROOT / "flinfast" / "cli" / "templates").rglob("*.flin"),
        *(ROOT / "tests" / "lang" / "cases").rglob("*.flin"),
    ]
)


def kinds_of(text: str) -> list[tuple[str, str]]:
    return [(text[a:b], kind) for a, b, kind in stretches(text) if kind != "space"]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_program_round_trips_without_error_tokens(path: Path) -> None:
    """The tokens' texts are the program."""
    text = path.read_text(encoding="utf-8")
    tokens = list(FlinLexer(ensurenl=False, stripnl=False).get_tokens(text))
    assert "".join(part for _, part in tokens) == text
    # Cases of the compiler's tests may hold what is no FLIN on purpose.
    if "tests/lang" not in path.as_posix():
        assert [part for kind, part in tokens if kind is Error] == []


@given(st.text(alphabet="ab1 \n\t\"'`{}()[]/*\\.$#@é\U0001f375", max_size=60))
def test_any_text_is_covered_once_and_in_order(text: str) -> None:
    """Whatever is typed; nothing is lost or repeated."""
    found = list(stretches(text))
    assert "".join(text[start:end] for start, end, _ in found) == text
    assert all(start < end for start, end, _ in found)
    assert {kind for _, _, kind in found} <= KINDS


def test_every_kind_has_a_token() -> None:
    """Neither more nor fewer."""
    assert set(TOKENS) == KINDS


@pytest.mark.parametrize("word", sorted(HARD_KEYWORDS))
def test_every_keyword_is_one(word: str) -> None:
    """In the table of the compiler and here."""
    kind = dict(kinds_of(f"x = {word} y"))[word]
    assert kind in {"keyword", "declaration", "constant", "word operator"}


@pytest.mark.parametrize("word", sorted(CONTEXTUAL))
def test_contextual_words_are_names_elsewhere(word: str) -> None:
    """`x = guard + 1` and `a.guard` mean a variable and a member."""
    assert kinds_of(f"x = {word} + 1")[2][1] in ("name", "context")
    assert kinds_of(f"a.{word}")[-1] == (word, "member")


@pytest.mark.parametrize("name", sorted(TYPE_NAMES))
def test_types_are_types_where_types_stand(name: str) -> None:
    """After `:`, in `[...]` after it, and after `is`."""
    assert (name, "type") in kinds_of(f"entity A {{ x: {name} }}")
    assert (name, "type") in kinds_of(f"entity A {{ x: [{name}] }}")
    assert (name, "type") in kinds_of(f"x = y is {name}")
    assert (name, "type") not in kinds_of(f"x = [{name}]")


def test_kinds_of_a_program() -> None:
    """One of each."""
    text = (
        '// note\nguard role("a{x}\\n")\nroute GET "/a" {\n'
        "    entries = Note.where(id == params.id && 0x1f > 1.5)\n}\n"
        "ws { on message(data) { f({ type: 'b' }) } }\n"
        "entity Note { text: text @required = `c${y}` }\n"
    )
    found = kinds_of(text)
    for expected in [
        ("// note", "comment"), ("guard", "declaration"), ("role", "guard"), ("{", "interpolation"),
        ("\\n", "escape"), ("GET", "http method"), ('"/a"', "string"), ("Note", "entity"),
        ("where", "method"), ("params", "context"), ("id", "member"), ("&&", "word operator"),
        ("0x1f", "number"), ("on", "declaration"), ("message", "event"), ("f", "function"),
        ("type", "key"), ("'b'", "string"), ("required", "modifier"), ("${", "interpolation"),
    ]:  # fmt: skip
        assert expected in found, expected
    tokens = {part: kind for kind, part in FlinLexer().get_tokens(text)}
    assert tokens["// note"] in Comment
    assert tokens["GET"] in Name
    assert tokens["0x1f"] in Number
    assert tokens["where"] in Name.Function
    assert tokens["guard"] in Keyword.Declaration
    assert tokens["="] in Operator
    assert tokens["'b'"] in String


def test_the_lexer_is_registered() -> None:
    """Under the name `flin`, by the entry point that Pygments reads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry = project["entry-points"]["pygments.lexers"]["flin"]
    module, _, name = entry.partition(":")
    assert getattr(__import__(module, fromlist=[name]), name) is FlinLexer
    assert FlinLexer.aliases == ["flin"]
    assert FlinLexer.filenames == ["*.flin"]
