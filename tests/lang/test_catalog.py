"""Every code has a title and a long page whose examples are true."""

import re
from importlib.resources import files

import pytest

from flinfast.errors import CompileError
from flinfast.lang.catalog import CATALOG, explanation
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import REGISTRY
from flinfast.runtime.guard import BUILTIN_GUARDS

BLOCK = re.compile(r"^```flin\n(.*?)^```", re.MULTILINE | re.DOTALL)
GUARDS = tuple(BUILTIN_GUARDS)
BUILTINS = {name: entry.spec for name, entry in REGISTRY.items()}


def pages() -> list[str]:
    folder = files("flinfast.lang") / "explain"
    return sorted(page.name for page in folder.iterdir() if page.name.endswith(".md"))


def codes_of(text: str) -> tuple[set[str], set[str]]:
    """Codes of the errors and of the warnings of one file."""
    kind = "middleware" if "middleware" in text else "route"
    try:
        program = compile_project(
            [(Source("app/example.flin", text), kind, ("id",))], builtins=BUILTINS, guards=GUARDS
        )
    except CompileError as error:
        found = error.diagnostics
        return (
            {d.code for d in found if d.severity == "error"},
            {d.code for d in found if d.severity == "warning"},
        )
    return set(), {d.code for d in program.diagnostics}


def test_catalog_is_sorted_and_well_formed() -> None:
    """Codes are in order, titles are short and lower-case like every message."""
    codes = list(CATALOG)
    assert codes == sorted(codes)
    for code, title in CATALOG.items():
        assert re.fullmatch(r"FL[0123459][0-9]{2}", code)
        assert 5 < len(title) < 80
        assert not title.endswith(".")


def test_catalog_and_pages_match() -> None:
    """Every code has a page and every page has a code."""
    assert pages() == [f"{code}.md" for code in CATALOG]


def test_explanation_of_an_unknown_code_is_refused() -> None:
    """Asking for a code that does not exist raises, whatever it looks like."""
    for code in ("FL999", "", "../catalog"):
        with pytest.raises(KeyError):
            explanation(code)


@pytest.mark.parametrize("code", CATALOG)
def test_page_has_the_agreed_form(code: str) -> None:
    """Title line, meaning, an example where code can show it, and what to do."""
    page = explanation(code)
    assert page.startswith(f"# {code}: {CATALOG[code]}\n\n")
    assert "\n## What to do\n" in page
    assert page.endswith("\n")
    meaning = page.partition("## What to do")[0]
    assert len(meaning.splitlines()) > 2


@pytest.mark.parametrize("code", [code for code in CATALOG if code < "FL500"])
def test_page_example_triggers_its_code(code: str) -> None:
    """The example of a compile-time code is faulty in just that way, its correction is not."""
    faulty, _, better = explanation(code).partition("## What to do")
    for block in BLOCK.findall(faulty):
        errors, warnings = codes_of(block)
        assert code in errors | warnings
        assert errors <= {code}
    for block in BLOCK.findall(better):
        errors, warnings = codes_of(block)
        assert not errors
        assert code not in warnings


@pytest.mark.parametrize("code", [code for code in CATALOG if code >= "FL500"])
def test_page_example_of_run_time_code_compiles(code: str) -> None:
    """What fails only at run time compiles."""
    for block in BLOCK.findall(explanation(code)):
        assert codes_of(block)[0] == set()


@pytest.mark.parametrize("code", [code for code in CATALOG if code < "FL500"])
def test_page_of_compile_time_code_shows_an_example(code: str) -> None:
    """Only faults between files, and 200 000 words, need no example."""
    assert BLOCK.search(explanation(code)) or code in ("FL010", "FL303")
