"""The seed's four programs parse, however their lines are laid out."""

import random
import re
from pathlib import Path

import pytest

from flinfast.lang import ast
from flinfast.lang.diagnostic import render
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.parser import parse
from flinfast.lang.source import Source

FOLDER = Path(__file__).parent / "seed"
PROGRAMS = sorted(FOLDER.glob("*.flin"))


def tree_of(text: str) -> tuple[object, ...]:
    """The tree without spans; fails with the rendered diagnostics."""
    tree, diagnostics = parse(Source("seed.flin", text))
    assert not diagnostics, render(diagnostics, color=False)
    shape: tuple[object, ...] = ast.strip_spans(tree)
    return shape


def pieces(text: str) -> list[str]:
    """Words, signs and whole texts, without comments and white space."""
    found = []
    lexer = FlinLexer(Source("seed.flin", text))
    tokens = lexer.run()
    assert not lexer.diagnostics
    depth = 0
    for token in tokens:
        part = text[token.index : token.end]
        if depth or token.type == "TEXT_CLOSE":
            found[-1] += part  # inside a text every character counts
        else:
            found.append(part)
        depth += (token.type == "TEXT_OPEN") - (token.type == "TEXT_CLOSE")
    return found


def collapsed(text: str) -> str:
    """One line: comments removed, every run of white space one space."""
    without = re.sub(r"//[^\n\"]*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", without)


def printed(path: Path) -> str:
    """The program as the seed document prints it, without the comments that ran into code."""
    return path.with_suffix(".printed.txt").read_text(encoding="utf-8")


def test_all_four_programs_are_here() -> None:
    """The four complete programs of the seed document."""
    assert [path.stem for path in PROGRAMS] == ["chat", "documents", "notifications", "stream"]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_parses(path: Path) -> None:
    """Formatted, without a diagnostic."""
    assert tree_of(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_on_one_line_gives_the_same_tree(path: Path) -> None:
    """The seed prints its programs with most line breaks lost; nothing depends on them."""
    text = path.read_text(encoding="utf-8")
    flat = collapsed(text)
    assert "\n" not in flat.strip()
    assert "//" not in flat.replace("://", "")
    assert tree_of(flat) == tree_of(text)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_survives_any_line_breaks_inside_brackets(path: Path) -> None:
    """Line breaks after commas and opening brackets change nothing."""
    text = path.read_text(encoding="utf-8")
    broken = " ".join(piece + "\n" * (piece in ",{([") for piece in pieces(text))
    assert broken.count("\n") > 10
    assert tree_of(broken) == tree_of(text)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_without_optional_spaces_gives_the_same_tree(path: Path) -> None:
    """Only words next to words need a space."""
    text = path.read_text(encoding="utf-8")
    dense = ""
    for piece in pieces(text):
        both_words = re.match(r"\w", piece) and re.search(r"\w\Z", dense)
        dense += (" " if both_words else "") + piece
    assert tree_of(dense) == tree_of(text)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_in_the_words_of_the_seed(path: Path) -> None:
    """The stored files hold the seed's tokens, nothing more and nothing less."""
    text = path.read_text(encoding="utf-8")
    assert "".join(pieces(text)) == "".join(pieces(printed(path)))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_cut_anywhere_gives_diagnostics_only(path: Path) -> None:
    """While somebody types, every prefix is a program with faults, never an exception."""
    text = path.read_text(encoding="utf-8")
    generator = random.Random(path.stem)
    for end in sorted(generator.sample(range(len(text)), 60)):
        tree, diagnostics = parse(Source("prefix.flin", text[:end]))
        assert tree.span.end == end
        render(diagnostics, color=False)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_seed_program_as_printed_gives_the_same_tree(path: Path) -> None:
    """The lines of the seed document itself parse to the same tree as the formatted program."""
    assert tree_of(printed(path)) == tree_of(path.read_text(encoding="utf-8"))
