"""The list of begun files: whose process is gone, their files are removed; nobody else's are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime import unfinished
from flinfast.runtime.file_log import RUNNING, FileLog, part_name
from flinfast.runtime.folder import Folder
from flinfast.runtime.unfinished import FOLDER, Unfinished, remove_abandoned

NAME = "0123456789abcdef" * 2 + ".bin"
BEGUN = ("uploads", part_name(NAME))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".flindb").mkdir()
    (tmp_path / "uploads").mkdir()
    return tmp_path


def lists(root: Path) -> list[Path]:
    folder = root / ".flindb" / FOLDER
    return sorted(folder.iterdir()) if folder.exists() else []


def killed(root: Path, *begun: tuple[str, ...]) -> None:
    """What a process leaves that began these files and was killed."""
    one = Unfinished(root / ".flindb", root)
    for names in begun:
        one.begin(names)
        root.joinpath(*names).write_bytes(b"half")
    one.close()  # a lock ends with its descriptor, however that is closed


def test_a_file_whose_process_is_gone_is_removed(root: Path) -> None:
    killed(root, BEGUN)
    assert len(lists(root)) == 1
    assert Folder(root, ".flindb").remove_abandoned() == 1
    assert list((root / "uploads").iterdir()) == []
    assert lists(root) == []
    assert Folder(root, ".flindb").remove_abandoned() == 0


def test_a_file_whose_process_lives_stays(root: Path) -> None:
    """Until it ends, in whatever way."""
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    root.joinpath(*BEGUN).write_bytes(b"half")
    assert Folder(root, ".flindb").remove_abandoned() == 0
    assert root.joinpath(*BEGUN).exists()
    one.close()
    assert Folder(root, ".flindb").remove_abandoned() == 1


def test_a_list_without_entries_goes_with_its_process(root: Path) -> None:
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    one.end(BEGUN)
    one.close()
    one.close()
    assert lists(root) == []


def test_a_list_is_short_when_nothing_is_unfinished(root: Path) -> None:
    """It does not grow with the number of files that were ever saved."""
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    size = lists(root)[0].stat().st_size
    one.end(BEGUN)
    for _ in range(100):
        one.begin(BEGUN)
        assert lists(root)[0].stat().st_size == size
        one.end(BEGUN)
    one.close()


def test_a_long_list_is_started_over_with_what_is_unfinished(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because a first file that never ends keeps it from being emptied."""
    monkeypatch.setattr(unfinished, "LIST_SIZE_MAX", 1000)
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    root.joinpath(*BEGUN).write_bytes(b"half")
    first = lists(root)
    other = ("uploads", part_name("f" * 32 + ".bin"))
    for _ in range(100):
        one.begin(other)
        one.end(other)
        (path,) = lists(root)
        assert path.stat().st_size <= 1000
    assert lists(root) != first
    one.close()
    assert Folder(root, ".flindb").remove_abandoned() == 1


def test_a_list_that_is_full_of_unfinished_files_doubles(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each further file would write all of them again."""
    monkeypatch.setattr(unfinished, "LIST_SIZE_MAX", 1000)
    one = Unfinished(root / ".flindb", root)
    paths = set()
    for number in range(200):
        one.begin(("uploads", part_name(f"{number:032x}.bin")))
        paths.update(lists(root))
    assert 3 <= len(paths) <= 6
    assert lists(root)[0].read_bytes().count(b".part\n") == 200
    one.close()


@pytest.mark.parametrize(
    "names",
    [
        ("uploads", "photo.jpg"),
        ("uploads", ".photo.jpg.part"),
        ("uploads", NAME),
        ("..", part_name(NAME)),
        ("link", part_name(NAME)),
    ],
    ids=["a-file", "hidden-by-others", "finished", "outside", "through-a-link"],
)
def test_nothing_but_a_hidden_file_of_ours_is_removed(
    root: Path, tmp_path_factory: pytest.TempPathFactory, names: tuple[str, ...]
) -> None:
    """Whatever a list says."""
    (root / "link").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    inner = root / "uploads"
    (inner / ".flindb").mkdir()
    one = Unfinished(inner / ".flindb", root if names[0] != ".." else inner)
    one.begin(names)
    path = Path(str(inner), *names) if names[0] == ".." else root.joinpath(*names)
    path.write_bytes(b"kept")
    one.close()
    assert Folder(inner, ".flindb").remove_abandoned() == 0
    assert path.read_bytes() == b"kept"


def test_a_damaged_list_names_nothing(root: Path) -> None:
    folder = root / ".flindb" / FOLDER
    folder.mkdir()
    for name, content in {"a": b"\xff\x00\n\n//\n", "b": b"", "c": b"\n/nowhere\nx/y\n"}.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(root / "uploads" / "there")
    (root / "uploads" / "there").write_bytes(b"\n/\nx\n")
    os.mkfifo(folder / "pipe")
    assert Folder(root, ".flindb").remove_abandoned() == 0
    assert (root / "uploads" / "there").exists()


def test_a_torn_entry_does_not_join_the_next(root: Path) -> None:
    """A full disk may take half a line."""
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    with lists(root)[0].open("ab") as file:
        file.write(b"\nuploads/.012")
    second = ("uploads", part_name("f" * 32 + ".bin"))
    one.begin(second)
    for names in (BEGUN, second):
        root.joinpath(*names).write_bytes(b"half")
    one.close()
    assert Folder(root, ".flindb").remove_abandoned() == 2


def test_one_start_removes_so_many(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one goes on: a list stays until all its files are gone."""
    monkeypatch.setattr(unfinished, "REMOVED_MAX", 3)
    killed(root, *(("uploads", part_name(f"{n:032x}.bin")) for n in range(5)))
    assert Folder(root, ".flindb").remove_abandoned() == 3
    assert Folder(root, ".flindb").remove_abandoned() == 2
    assert lists(root) == []


def test_a_list_taken_for_an_abandoned_one_is_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process starts between the making of a list and its lock."""
    real = unfinished.try_lock
    taken: list[Path] = []

    def late(fd: int, kind: int) -> bool:
        if not taken:
            taken.extend(lists(root))
            assert remove_abandoned(root / ".flindb", lambda *_: True) == 0
        return real(fd, kind)

    monkeypatch.setattr(unfinished, "try_lock", late)
    one = Unfinished(root / ".flindb", root)
    one.begin(BEGUN)
    assert taken
    assert len(lists(root)) == 1
    assert lists(root) != taken
    one.close()


def test_a_list_that_cannot_be_written_refuses_the_file(root: Path) -> None:
    """No hidden file is made that nobody would remove; the next one is saved."""
    (root / ".flindb" / FOLDER).write_text("in the way")
    folder = Folder(root, ".flindb")
    token = RUNNING.set(FileLog())
    try:
        with pytest.raises(RuntimeFault) as caught:
            folder.save("save_binary", b"x", "uploads", ".bin")
        assert caught.value.code == "FL541"
        assert list((root / "uploads").iterdir()) == []
        (root / ".flindb" / FOLDER).unlink()
        assert folder.save("save_binary", b"x", "uploads", ".bin")
    finally:
        RUNNING.reset(token)
        folder.close()
