"""The docs are true: generated pages are current, FLIN blocks compile, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.runtime.builtins import REGISTRY
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.server.config import all_keys
from flinfast.server.setting_text import SETTING_TEXTS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md"])
FLIN_BLOCK = re.compile(r"^```flin\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_generated_pages_are_current(update_snapshots: bool) -> None:
    """Settings, commands and errors pages say what the code says.

    In a process of its own: commands that ran in this one remember how they were called.
    """
    check = [] if update_snapshots else ["--check"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), *check],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"run `python docs/generate.py`\n{done}"


def test_every_setting_has_a_sentence() -> None:
    """The sentences of settings are exactly those of the settings there are."""
    assert set(SETTING_TEXTS) == {key.path for key in all_keys()}


def test_every_builtin_has_an_entry() -> None:
    """docs/language/builtins.md names every function that programs can call."""
    text = (ROOT / "docs" / "language" / "builtins.md").read_text(encoding="utf-8")
    missing = [name for name in REGISTRY if not name.startswith("_") and f"`{name}" not in text]
    assert not missing


def _programs() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, block in enumerate(FLIN_BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            # Pages about errors and about the language are tested in tests/lang.
            if page.name != "errors.md" and page.parent.name != "language":
                found.append((f"{page.relative_to(ROOT).as_posix()}#{number}", block))
    return found


@pytest.mark.parametrize(("name", "text"), _programs(), ids=[name for name, _ in _programs()])
def test_flin_block_compiles(name: str, text: str) -> None:
    """Every FLIN block of the docs is a whole file that compiles."""
    builtins = {key: entry.spec for key, entry in REGISTRY.items()}
    try:
        program = compile_project(
            [(Source("app/example.flin", text), "route", ("id",))],
            builtins=builtins,
            guards=BUILTIN_GUARDS,
        )
    except CompileError as error:
        pytest.fail(f"{name}: {[d.message for d in error.diagnostics]}")
    assert program.files


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links and images point at files that exist."""
    broken = [
        link
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert not broken


@pytest.mark.parametrize("name", ["chat", "test"])
def test_readme_commands_can_be_extracted(name: str) -> None:
    """CI runs the commands exactly as README.md prints them."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme_command.py", name], capture_output=True, check=True
    )
    assert done.stdout.decode().startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert name != "test" or "readme_command.py test" in (ROOT / ".ci" / "run").read_text()
