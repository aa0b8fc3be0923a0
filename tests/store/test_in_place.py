"""Whether the files of an open database still have their names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flinfast.store.in_place import FilesInPlace

NAMES = ("flin.db", "flin.db-wal", "flin.db-shm")


@pytest.fixture
def files(tmp_path: Path) -> FilesInPlace:
    for name in NAMES:
        (tmp_path / name).write_text(name)
    return FilesInPlace(tmp_path / "flin.db")


def test_files_that_are_written_are_in_place(files: FilesInPlace, tmp_path: Path) -> None:
    (tmp_path / "flin.db-wal").write_text("longer than before")
    (tmp_path / "other").write_text("new")
    assert files.fault() == ""
    assert not files.is_only_log_gone()


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_missed_by_its_name(files: FilesInPlace, tmp_path: Path, name: str) -> None:
    """And found again when it comes back; another with its name is no substitute."""
    path, aside = tmp_path / name, tmp_path / "aside"
    os.rename(path, aside)
    assert f"{path} " in files.fault()
    assert "is gone (No such file or directory)" in files.fault()
    assert files.is_only_log_gone() == (name == "flin.db-wal")
    path.write_text(name)
    assert "was replaced" in files.fault()
    assert not files.is_only_log_gone()
    os.rename(aside, path)
    assert files.fault() == ""


@pytest.mark.parametrize("name", ["flin.db", "flin.db-shm"])
def test_a_log_that_is_not_gone_alone_is_nobodys(
    files: FilesInPlace, tmp_path: Path, name: str
) -> None:
    """Its content belongs to the database and index that were opened."""
    (tmp_path / "flin.db-wal").unlink()
    assert files.is_only_log_gone()
    aside = tmp_path / "aside"
    os.rename(tmp_path / name, aside)
    assert not files.is_only_log_gone()
    (tmp_path / name).write_text(name)
    assert not files.is_only_log_gone()


def test_a_file_that_is_missing_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "flin.db").touch()
    with pytest.raises(FileNotFoundError):
        FilesInPlace(tmp_path / "flin.db")
