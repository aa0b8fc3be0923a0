"""Modules in a source folder are those of its sources, or their import says what to do."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import flinfast
from flinfast.cli import doctor
from flinfast.errors import BuildError, FlinError
from flinfast.native import built

PACKAGE = Path(flinfast.__file__).parent
# What is written in a test is later than what was looked at, however coarse the clock of files is.
EARLIER_NS = 60_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source folder that imports `flinfast.native`, and what it was built from."""
    for folder in ("csrc", "flinfast/native", "flinfast/store"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "native/__init__.py", "native/built.py"):
        shutil.copy(PACKAGE / name, tmp_path / "flinfast" / name)
    for name in ("csrc/flin_mask.c", "csrc/flin_mask.h", "flinfast/native/mask.pyx"):
        (tmp_path / name).write_text("// one\n")
    (tmp_path / "flinfast" / "store" / "quick.pyx").write_text("# two\n")
    (tmp_path / "csrc" / "README").write_text("no source\n")
    for path in tmp_path.rglob("*.*"):
        earlier = time.time_ns() - EARLIER_NS
        os.utime(path, ns=(earlier, earlier))
    built.note(str(tmp_path), built.look(str(tmp_path)))
    return tmp_path


def imported(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import flinfast.native"],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_modules_of_the_sources_are_imported(root: Path) -> None:
    """Whatever else changes, and whenever a source was written."""
    (root / "csrc" / "README").write_text("still no source\n")
    (root / "flinfast" / "native" / "mask.c").write_text("// made by Cython\n")
    assert built.difference(str(root)) == ""
    later = time.time_ns() + EARLIER_NS
    os.utime(root / "csrc" / "flin_mask.c", ns=(later, later))  # as a change of branches does
    assert built.difference(str(root)) == ""
    assert imported(root).stderr == ""


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "changed": ("csrc/flin_mask.h", lambda root: append(root / "csrc" / "flin_mask.h")),
    "new": ("csrc/flin_new.c", lambda root: append(root / "csrc" / "flin_new.c")),
    "gone": ("flinfast/store/quick.pyx", lambda root: (root / "flinfast/store/quick.pyx").unlink()),
    "included": (
        "flinfast/native/part.pxi",
        lambda root: append(root / "flinfast" / "native" / "part.pxi"),
    ),
}


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("// more\n")


@pytest.mark.parametrize("change", CHANGES)
def test_import_names_a_source_that_is_another_one(root: Path, change: str) -> None:
    """Changed, added or removed; the command that builds again is named."""
    name, apply = CHANGES[change]
    apply(root)
    with pytest.raises(BuildError) as caught:
        built.check(str(root))
    assert str(caught.value) == (
        f"compiled modules of flinfast are not those of its sources: {name}"
    )
    assert caught.value.hint == f"run `{built.COMMAND}` in {root}"
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, FlinError)
    assert "BuildError: compiled modules" in imported(root).stderr


def test_many_changes_are_not_all_named(root: Path) -> None:
    """Three of them are enough."""
    for name in "dbca":
        append(root / "csrc" / f"{name}.c")
    assert built.difference(str(root)).endswith(": csrc/a.c, csrc/b.c, csrc/c.c ...")


def test_source_that_changes_while_modules_are_built_counts_as_changed(root: Path) -> None:
    """Nobody knows which of both the compiler has read."""
    before = built.look(str(root))
    append(root / "csrc" / "flin_mask.c")
    built.note(str(root), before)
    assert built.difference(str(root)).endswith("csrc/flin_mask.c")


def test_modules_without_a_note_are_not_imported(root: Path) -> None:
    """They were built by something else, or for another Python."""
    for stamp in root.rglob("*.stamp"):
        stamp.unlink()
    assert "not built from its sources" in imported(root).stderr


def test_installed_package_is_not_compared(root: Path) -> None:
    """It has no sources; the comparison is not even loaded."""
    shutil.rmtree(root / "csrc")
    (root / "flinfast" / "native" / "built.py").unlink()
    assert imported(root).stderr == ""


def test_all_sources_are_compared_and_all_modules_are_tried() -> None:
    """A new folder of compiled modules is added to both lists."""
    names = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.p[yx][xdi]"))
    sources = [path.as_posix() for path in names if path.suffix != ".pyi"]
    assert set(sources) <= set(built._names(str(PACKAGE.parent)))
    modules = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
        for path in PACKAGE.rglob("*.pyx")
    }
    assert modules == set(doctor._NATIVE)


def test_command_is_the_one_that_contributors_know() -> None:
    """What the error says works."""
    assert built.COMMAND in (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
