"""Programs that people are shown give no advice about values, methods and types."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang.diagnostic import render
from flinfast.lang.program import ProjectSource, compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import specs
from flinfast.runtime.guard import BUILTIN_GUARDS
from tests.lang.compiling import project

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(
    path.parent
    for folder in ("examples", "flinfast/cli/templates", "bench")
    for path in ROOT.glob(f"{folder}/*/app")
)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODES = frozenset({"FL203", "FL218", "FL222", "FL223"})
_BLOCK = re.compile(r"^```flin\n(.*?)^```", re.MULTILINE | re.DOTALL)


def advice(sources: list[ProjectSource]) -> str:
    """The warnings that matter here, as people see them."""
    program = compile_project(sources, builtins=specs(), guards=BUILTIN_GUARDS)
    return render([d for d in program.diagnostics if d.code in CODES], color=False)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_project_gives_no_advice(folder: Path) -> None:
    """Examples, templates and benchmarks; the examples hold the programs of the seed."""
    files = sorted(folder.rglob("*.flin"))
    texts = {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in files}
    assert texts
    assert advice(project(texts)) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_gives_no_advice(page: Path) -> None:
    """What docs show, besides the page of diagnostics; what needs other files is left out."""
    for text in _BLOCK.findall(page.read_text("utf-8")) if page.stem != "errors" else ():
        for kind in ("route", "lib"):
            try:
                found = advice([(Source(page.name, text), kind, ("id", "name", "slug"))])
            except CompileError:
                continue
            assert found == ""
            break
