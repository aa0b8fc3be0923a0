"""Compiled programs on disk: kept, found again, and never trusted when anything is off."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang import cache
from flinfast.lang.abi import Builtin
from flinfast.lang.program import CompiledProgram
from flinfast.lang.source import Source
from tests.lang.compiling import project
from tests.lang.fake_abi import GUARDS, FakeAbi, Handle

FILES = {
    "entities/note.flin": 'entity Note { text: text @required @one_of("a", "b")  n: int? = 5 }',
    "lib/f.flin": "fn twice(x: int) -> int { x * 2 }",
    "app/api/[id]/test.flin": """
        enum Status { Open, Closed }
        guard role("admin")
        route POST {
            validate { text: text @minLength(2)  at: time = now }
            unused = 1
            [twice(4), params.id, Status.Open]
        }
        ws { on message(data) { broadcast("r", data) } }
    """,
}
BUILTINS = {
    name: Builtin(name, parameters, "Do it.")
    for name, parameters in {"broadcast": ("room", "data"), "now": ()}.items()
}


def compile_into(folder: Path, files: dict[str, str] | None = None) -> CompiledProgram:
    return cache.compile_cached(
        project(files or FILES), builtins=BUILTINS, guards=GUARDS, folder=folder
    )


def kept(folder: Path) -> CompiledProgram | None:
    sources = project(FILES)
    return cache.load(folder, cache.key_of(sources, BUILTINS, GUARDS), sources)


def test_kept_program_equals_the_compiled_one(tmp_path: Path) -> None:
    """Infos, warnings and code come back as they were, and run."""
    first = compile_into(tmp_path)
    again = kept(tmp_path)
    assert again is not None
    assert [f.info for f in again.files] == [f.info for f in first.files]
    assert [f.code for f in again.files] == [f.code for f in first.files]
    assert [(d.code, d.span, d.source.path) for d in again.diagnostics] == [
        (d.code, d.span, d.source.path) for d in first.diagnostics
    ]
    assert first.diagnostics
    abi = FakeAbi()
    abi.entities["Note"] = Handle("Note", ("text", "n"), {})
    closures = {}
    for file in again.files:
        closures |= file.bind(abi)
        abi.shared_functions |= {name: closures[name] for name in file.info.functions}
    context = type("Context", (), {"params": {"id": "7"}})
    assert closures["route POST"](context) == [8, "7", "Open"]


def test_second_compilation_reads_the_file(tmp_path: Path) -> None:
    """The second time nothing is written."""
    compile_into(tmp_path)
    path = tmp_path / cache.FILE_NAME
    before = path.stat().st_ino
    compile_into(tmp_path)
    assert path.stat().st_ino == before
    assert [p.name for p in tmp_path.iterdir()] == [cache.FILE_NAME]


@pytest.mark.parametrize(
    "change",
    [
        {"lib/f.flin": "fn twice(x: int) -> int { x * 3 }"},
        {"lib/g.flin": "fn other() { 1 }"},
    ],
    ids=["changed", "added"],
)
def test_other_sources_are_compiled_anew(tmp_path: Path, change: dict[str, str]) -> None:
    """A changed or new file replaces what was kept."""
    compile_into(tmp_path)
    changed = compile_into(tmp_path, {**FILES, **change})
    assert kept(tmp_path) is None
    assert compile_into(tmp_path, {**FILES, **change}).files == changed.files


def test_key_covers_everything_a_program_depends_on() -> None:
    """Paths, kinds, parameters, texts, builtins and guards; nothing runs together."""
    base = [(Source("a", "b"), "route", ("id",))]
    keys = {
        cache.key_of(base, BUILTINS, GUARDS),
        cache.key_of([(Source("ab", ""), "route", ("id",))], BUILTINS, GUARDS),
        cache.key_of([(Source("a", "b"), "lib", ("id",))], BUILTINS, GUARDS),
        cache.key_of([(Source("a", "b"), "route", ("ids",))], BUILTINS, GUARDS),
        cache.key_of([], BUILTINS, GUARDS),
        cache.key_of(base, {}, GUARDS),
        cache.key_of(base, {**BUILTINS, "now": Builtin("now", ("x",), "Do it.")}, GUARDS),
        cache.key_of(base, BUILTINS, {"auth"}),
    }
    assert len(keys) == 8
    assert cache.key_of(base, BUILTINS, GUARDS) in keys


def test_damaged_file_is_rebuilt_whatever_the_damage(tmp_path: Path) -> None:
    """Every truncation and every flipped byte counts as no file."""
    compile_into(tmp_path)
    path = tmp_path / cache.FILE_NAME
    whole = path.read_bytes()
    places = {*range(80), *range(80, len(whole), 97), len(whole) - 1}
    for place in sorted(places):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(bytes(damaged))
        assert kept(tmp_path) is None
        path.write_bytes(whole[:place])
        assert kept(tmp_path) is None
    path.write_bytes(whole + b"x")
    assert kept(tmp_path) is None
    assert compile_into(tmp_path).files
    assert path.read_bytes()[:40] == whole[:40]  # magic and key; marshal looks at reference counts
    assert kept(tmp_path) is not None


@pytest.mark.parametrize(
    "payload", [b"", b"N", b"(\x00\x00\x00\x00", b"i\x05\x00\x00\x00"], ids=repr
)
def test_foreign_payload_with_a_right_digest_is_ignored(tmp_path: Path, payload: bytes) -> None:
    """What is well wrapped but no program counts as no file too."""
    key = cache.key_of(project(FILES), BUILTINS, GUARDS)
    digest = blake2b(payload, digest_size=32).digest()
    magic = b"FLINC\x01\r\n"
    (tmp_path / cache.FILE_NAME).write_bytes(magic + key + digest + payload)
    assert kept(tmp_path) is None


def test_program_with_faults_is_not_kept(tmp_path: Path) -> None:
    """Faults are reported each time."""
    for _ in range(2):
        with pytest.raises(CompileError):
            compile_into(tmp_path, {"app/a.flin": "guard nope"})
    assert list(tmp_path.iterdir()) == []


def test_folder_is_made_private(tmp_path: Path) -> None:
    """The folder is made with mode 0700, the file with 0600."""
    folder = tmp_path / "new" / ".flindb"
    compile_into(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / cache.FILE_NAME).stat().st_mode) == 0o600


def test_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    """Then nothing is kept, and the program is compiled each time."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert compile_into(blocked / "inside").files
    assert blocked.read_text() == "not a folder"


def test_leftover_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """A temporary file of the same name does not get in the way."""
    (tmp_path / f"{cache.FILE_NAME}.{os.getpid()}").write_bytes(b"half")
    compile_into(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [cache.FILE_NAME]


def test_warm_load_imports_no_parser(tmp_path: Path) -> None:
    """A start from the cache pays neither for SLY nor for the compiler."""
    compile_into(tmp_path)
    script = f"""
import sys
from pathlib import Path
from flinfast.lang import cache
from flinfast.lang.abi import Builtin
from flinfast.lang.source import Source
sources = [(Source(p, t), k, n) for p, t, k, n in {plain_sources()!r}]
table = {{"broadcast": ("room", "data"), "now": ()}}
builtins = {{n: Builtin(n, p, "Do it.") for n, p in table.items()}}
folder = Path({str(tmp_path)!r})
program = cache.compile_cached(sources, builtins=builtins, guards={sorted(GUARDS)!r}, folder=folder)
assert len(program.files) == 3
print("\\n".join(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(done.stdout.split())
    assert "flinfast.lang.program" in modules
    heavy = ("sly", "flinfast.lang.parser", "flinfast.lang.lexer", "flinfast.lang.lower")
    assert modules.isdisjoint(heavy)
    assert "flinfast.lang.resolve" not in modules


def plain_sources() -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(s.path, s.text, kind, names) for s, kind, names in project(FILES)]
