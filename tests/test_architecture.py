"""The layers of ARCHITECTURE.md hold: imports go down, each dependency has one owner.

Reads source text instead of importing, so compiled modules (.pyx, .pxd) are covered too.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flinfast"

# Layer -> layers it may import. Everything may import errors, values and settings.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "values": set(),
    "settings": set(),
    "late_pattern": set(),
    "lang": set(),
    "store": set(),
    "native": set(),
    "runtime": {"lang", "store", "native"},
    "server": {"runtime", "lang", "store", "native"},
    "manual": {"server", "runtime", "lang", "store", "native"},
    "lsp": {"manual", "server", "runtime", "lang", "store", "native"},
    "pygments_lexer": {"lang"},
    "testing": {"server", "runtime", "lang", "store", "native"},
    "cli": {"lsp", "manual", "server", "runtime", "lang", "store", "native", "testing"},
}
EVERYWHERE = {"errors", "values", "settings", "late_pattern"}

# Dependency -> the only modules that may import it.
OWNERS: dict[str, tuple[str, ...]] = {
    "uvloop": ("server/server.py", "server/loop.py"),
    "httptools": ("server/head_reader.py",),
    "sly": ("lang/lexer.py", "lang/parser.py", "lang/tables.py"),
    "apsw": ("store/",),
    "asyncpg": ("store/postgres/",),
    "greenlet": ("runtime/handler.py", "runtime/waiting.py"),
    "click": ("cli/",),
    "pygls": ("lsp/",),
    "lsprotocol": ("lsp/",),
    "pygments": ("pygments_lexer.py",),
    "rich": ("cli/",),
    "argon2": ("runtime/builtins/security.py",),
    "python_multipart": ("runtime/",),
    "cryptography": ("runtime/builtins/cipher.py", "cli/doctor_machine.py"),
}
FORBIDDEN = {"sqlite3": "two SQLite copies on one file break each other's locks"}

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import|c?import[ \t]+([\w.]+(?:[ \t]*,[ \t]*[\w.]+)*))",
    re.MULTILINE,
)


def sources() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".pyx", ".pxd", ".pyi"})


def imported(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    names: set[str] = set()
    for match in _IMPORT.finditer(text):
        group = match.group(1) or match.group(2)
        names.update(part.strip() for part in group.split(","))
    return names


def layer_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "flinfast" or len(parts) < 2:
        return None
    return parts[1]


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_of_a_module_go_down_only(path: Path) -> None:
    """A module imports its own layer, lower ones, and errors, values, settings."""
    relative = path.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(relative.suffix)
    if own in {"__init__", "__main__"}:
        return
    allowed = LAYERS[own] | EVERYWHERE | {own}
    found = {layer for name in imported(path) if (layer := layer_of(name))}
    assert found <= allowed, f"{relative} may not import {sorted(found - allowed)}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_each_dependency_has_one_owner(path: Path) -> None:
    """Only the owner of a dependency imports it; nobody imports a forbidden module."""
    relative = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        top = name.split(".")[0]
        assert top not in FORBIDDEN, f"{relative} imports {top}: {FORBIDDEN.get(top)}"
        owners = OWNERS.get(top)
        assert owners is None or relative.startswith(owners), f"{relative} may not import {top}"


def test_c_core_does_not_know_python() -> None:
    """Nothing in csrc/ includes Python.h: it builds, tests and fuzzes with a C compiler alone."""
    for path in (ROOT / "csrc").glob("*.[ch]"):
        text = path.read_text(encoding="utf-8")
        assert "Python.h" not in re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL), path.name


@pytest.mark.parametrize(
    "path",
    [
        p
        for pattern in ("flinfast/**/*.py", "flinfast/**/*.pyx", "csrc/*.[ch]", "bench/**/*.py")
        for p in sorted(ROOT.glob(pattern))
        if (p.suffix != ".c" or p.parent.name == "csrc") and "build" not in p.parts
    ],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_file_is_short_enough_to_read(path: Path) -> None:
    """Files stay at or below 600 lines."""
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= 600, f"{path.relative_to(ROOT)} has {count} lines: split it"


def test_no_module_is_called_utils() -> None:
    """A function lives with the noun it serves."""
    bad = {"utils", "helpers", "common", "misc"} & {p.stem for p in PACKAGE.rglob("*.py")}
    assert not bad


def test_name_of_the_public_folder_stands_once() -> None:
    """A second spelling would be a folder that is served, or watched, or guarded, by itself."""
    # The setting `server.metrics` may be "public", which has nothing to do with the folder.
    others = {"settings.py", "server/probes.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if re.search(r"""["']public["'/]""", path.read_text(encoding="utf-8"))
    }
    assert found <= others | {"cli/watch.py"}  # where it is an example
