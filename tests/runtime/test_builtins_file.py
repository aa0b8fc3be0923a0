"""File builtins: everything stays below the application root."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flinfast.errors import RuntimeFault
from flinfast.runtime import folder
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.upload import UploadedFile
from tests.runtime.fake_services import fake_services
from tests.runtime.flin_values import fault_code, texts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project beside a file that nobody may reach."""
    (tmp_path / "secret.txt").write_text("outside")
    project = tmp_path / "project"
    for name in ("app", "uploads", ".flindb", ".git"):
        (project / name).mkdir(parents=True)
    (project / ".flindb" / "secret").write_text("the key")
    (project / ".env").write_text("KEY=1")
    (project / "flinfast.toml").write_text("[session]")
    (project / "app" / "index.flin").write_text("route GET { 1 }")
    (project / "notes.txt").write_text("öffentlich")
    return project


@pytest.fixture
def bound(root: Path) -> BoundBuiltins:
    return BoundBuiltins(fake_services(root))


def code_of(function: Any, *args: Any) -> str:
    with pytest.raises(RuntimeFault) as caught:
        function(*args)
    return caught.value.code


def tree(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_save_binary_gives_a_path_below_the_root(bound: BoundBuiltins, root: Path) -> None:
    path = bound["save_binary"](b"\x00\x01", ".flindb/streams/")
    assert path.startswith(".flindb/streams/")
    assert (root / path).read_bytes() == b"\x00\x01"
    assert bound["read_binary"](path) == b"\x00\x01"
    assert bound["file_exists"](path) is True
    assert bound["delete_file"](path) is True
    assert bound["delete_file"](path) is False
    assert bound["file_exists"](path) is False
    assert bound["read_binary"](path) is None


def test_saved_names_are_random_and_the_folder_private(bound: BoundBuiltins, root: Path) -> None:
    first, second = (bound["save_binary"](b"x", "./uploads//new/") for _ in range(2))
    assert first != second
    assert first.startswith("uploads/new/")
    assert len(Path(first).stem) == 32
    assert (root / "uploads" / "new").stat().st_mode & 0o027 == 0
    assert (root / first).stat().st_mode & 0o137 == 0


@pytest.mark.parametrize("data", ["text", None, 5, [1], {"bytes": b""}])
def test_save_binary_of_what_is_not_bytes_is_a_fault(
    bound: BoundBuiltins, root: Path, data: Any
) -> None:
    """A text message may claim to be binary; nothing is written for it."""
    before = tree(root)
    assert code_of(bound["save_binary"], data, "uploads") == "FL504"
    assert tree(root) == before


ESCAPES = [
    "../",
    "..",
    "uploads/../..",
    "uploads/../../x",
    "/etc",
    "/",
    "a\\..\\..",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * (folder.PATH_CHARS_MAX + 1),
    "x" * (folder.NAME_BYTES_MAX + 1),
    "é" * 128,
]


@pytest.mark.parametrize("path", ESCAPES)
def test_paths_that_leave_the_root_are_faults(bound: BoundBuiltins, root: Path, path: str) -> None:
    before = tree(root.parent)
    assert code_of(bound["save_binary"], b"x", path) == "FL540"
    for name in ("read_file", "read_binary", "delete_file", "file_exists"):
        assert code_of(bound[name], path) == "FL540"
    assert tree(root.parent) == before


@pytest.mark.parametrize("name", ["x" * folder.NAME_BYTES_MAX, "é" * 127])
def test_names_at_the_limit_are_no_escape(bound: BoundBuiltins, name: str) -> None:
    assert bound["file_exists"](f"uploads/{name}") is False


@pytest.mark.parametrize(
    "path",
    [
        ".flindb/secret",
        ".flindb/flin.db",
        ".flindb",
        ".env",
        ".git/config",
        "uploads/.htaccess",
        "flinfast.toml",
        "FLINFAST.TOML",
        "app/index.flin",
        "lib/x.FLIN",
        ".flindb/streams/.hidden",
    ],
)
def test_files_that_are_not_the_programs_business_are_faults(
    bound: BoundBuiltins, root: Path, path: str
) -> None:
    before = tree(root)
    for name in ("read_file", "read_binary", "delete_file", "file_exists"):
        assert code_of(bound[name], path) == "FL540"
    assert tree(root) == before


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("{root}/data", "data/flin.db"),
        ("x/../data", "data/flin.db"),
        ("linked/data", "data/flin.db"),
        (".", "flin.db"),
    ],
    ids=["absolute", "with-dots", "through-a-link", "the-root"],
)
def test_the_database_is_out_of_bounds_however_its_folder_is_given(
    root: Path, place: str, path: str
) -> None:
    (root / "data").mkdir()
    (root / "x").mkdir()
    (root / "linked").symlink_to(root)
    (root / path).write_text("a database")
    files = folder.Folder(root, place.format(root=root))
    with pytest.raises(RuntimeFault) as caught:
        files.read("read_file", path)
    assert caught.value.code == "FL540"


@pytest.mark.parametrize(
    "path", ["", ".", "app", "app/api", "App/x", "lib", "guards/a", "entities", ".flindb", ".git/x"]
)
def test_folders_that_are_not_for_uploads_are_faults(
    bound: BoundBuiltins, root: Path, path: str
) -> None:
    before = tree(root)
    assert code_of(bound["save_binary"], b"x", path) == "FL540"
    assert tree(root) == before


def test_files_of_the_program_are_not_deleted(bound: BoundBuiltins, root: Path) -> None:
    (root / "app" / "logo.txt").write_text("x")
    assert code_of(bound["delete_file"], "app/logo.txt") == "FL540"
    assert code_of(bound["delete_file"], "notes.txt") == "FL540"
    assert bound["read_file"]("app/logo.txt") == "x"
    assert bound["read_file"]("notes.txt") == "öffentlich"


def test_links_are_not_followed(bound: BoundBuiltins, root: Path) -> None:
    """Neither a linked folder nor a linked file leads outside."""
    (root / "uploads" / "out").symlink_to(root.parent)
    (root / "uploads" / "file.txt").symlink_to(root.parent / "secret.txt")
    before = tree(root.parent)
    assert code_of(bound["save_binary"], b"x", "uploads/out") == "FL540"
    assert code_of(bound["save_binary"], b"x", "uploads/out/new") == "FL540"
    assert code_of(bound["read_file"], "uploads/out/secret.txt") == "FL540"
    assert code_of(bound["read_file"], "uploads/file.txt") == "FL540"
    assert bound["file_exists"]("uploads/file.txt") is False
    assert bound["delete_file"]("uploads/file.txt") is False
    assert tree(root.parent) == before
    assert (root.parent / "secret.txt").read_text() == "outside"


def test_other_things_than_files_are_no_files(bound: BoundBuiltins, root: Path) -> None:
    """A pipe neither blocks nor is read; a folder is not read, deleted or found."""
    os.mkfifo(root / "uploads" / "pipe")
    (root / "uploads" / "inner").mkdir()
    for path in ("uploads/pipe", "uploads/inner"):
        assert bound["read_binary"](path) is None
        assert bound["file_exists"](path) is False
        assert bound["delete_file"](path) is False


def test_a_file_on_the_way_is_no_folder(bound: BoundBuiltins, root: Path) -> None:
    (root / "uploads" / "a.txt").write_text("x")
    assert code_of(bound["save_binary"], b"x", "uploads/a.txt") == "FL540"
    assert code_of(bound["read_file"], "uploads/a.txt/b") == "FL540"


def test_sizes_are_limited(
    bound: BoundBuiltins, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "FILE_SIZE_MAX", 10)
    path = bound["save_binary"](b"x" * 10, "uploads")
    assert bound["read_binary"](path) == b"x" * 10
    before = tree(root)
    assert code_of(bound["save_binary"], b"x" * 11, "uploads") == "FL508"
    assert tree(root) == before
    (root / "uploads" / "big").write_bytes(b"x" * 11)
    assert code_of(bound["read_binary"], "uploads/big") == "FL508"


def test_read_file_of_other_bytes_is_a_fault(bound: BoundBuiltins, root: Path) -> None:
    (root / "uploads" / "x.bin").write_bytes(b"\xff")
    assert code_of(bound["read_file"], "uploads/x.bin") == "FL541"
    assert bound["read_binary"]("uploads/x.bin") == b"\xff"


def test_a_failed_write_leaves_nothing(
    bound: BoundBuiltins, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert code_of(bound["save_binary"], b"x", "uploads") == "FL541"
    assert list((root / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "into", "extension"),
    [
        ("photo.JPG", "uploads", ".jpg"),
        ("a.tar.gz", "uploads", ".gz"),
        ("../../etc/passwd", "uploads", ".bin"),
        ("x.p%2f", "uploads", ".bin"),
        ("x.superlongextension", "uploads", ".bin"),
        ("page.html", "uploads", ".html"),
        ("page.html", "public/files", ".bin"),
        ("page.SVG", "./public", ".bin"),
        ("photo.png", "public", ".png"),
        ("run.flin", "uploads", ".flin"),
    ],
)
def test_save_file_names_files_itself(
    bound: BoundBuiltins, root: Path, name: str, into: str, extension: str
) -> None:
    """Only a plain extension is taken over, and none that a browser would run from public/."""
    path = bound["save_file"](UploadedFile(name, "text/html", b"data"), into)
    assert Path(path).suffix == extension
    assert (root / path).read_bytes() == b"data"
    assert (root / path).parent == root / into


def test_save_file_of_something_else_is_a_fault(bound: BoundBuiltins) -> None:
    assert code_of(bound["save_file"], b"bytes", "uploads") == "FL504"
    assert code_of(bound["save_file"], {"name": "x"}, "uploads") == "FL504"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts)
def test_no_path_reaches_outside(bound: BoundBuiltins, root: Path, path: str) -> None:
    """Whatever the path, what lies beside the project is neither read nor changed."""
    for name in ("read_file", "read_binary", "delete_file", "file_exists"):
        assert fault_code(bound[name], path) in ("", "FL540", "FL541")
    assert fault_code(bound["save_binary"], b"x", path) in ("", "FL540", "FL541")
    assert sorted(found.name for found in root.parent.iterdir()) == ["project", "secret.txt"]
    assert (root.parent / "secret.txt").read_text() == "outside"
