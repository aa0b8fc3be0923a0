"""`flinfast fmt`: files, folders, standard input, exit codes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flinfast.cli.commands import main

UGLY = "route  GET { x=1\n x }\n"
NEAT = "route GET {\n    x = 1\n    x\n}\n"
FAULTY = "route GET { 1 + }\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one file in need of the style and one that has it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.flin").write_text(UGLY)
    (tmp_path / "app" / "b.flin").write_text(NEAT)
    return tmp_path


def test_fmt_rewrites_what_needs_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only files without the style are written, and once."""
    times = (folder / "app" / "b.flin").stat().st_mtime_ns
    assert main(["fmt"]) == 0
    assert capsys.readouterr().out == "formatted app/a.flin\n1 file formatted, 1 file in style\n"
    assert (folder / "app" / "a.flin").read_text() == NEAT
    assert (folder / "app" / "b.flin").stat().st_mtime_ns == times
    assert main(["fmt", "--check"]) == 0
    assert sorted(path.name for path in (folder / "app").iterdir()) == ["a.flin", "b.flin"]


def test_fmt_check_and_diff_write_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both exit 1 when a file would change, and show which, or how."""
    assert main(["fmt", "app", "--check"]) == 1
    assert capsys.readouterr().out.startswith("would format app/a.flin\n")
    assert main(["fmt", "app/a.flin", "--diff"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("--- app/a.flin\n+++ app/a.flin\n@@ -1,2 +1,4 @@\n-route  GET { x=1\n")
    assert main(["fmt", "app/b.flin", "--diff"]) == 0
    assert capsys.readouterr().out == ""
    assert (folder / "app" / "a.flin").read_text() == UGLY


def test_fmt_leaves_faulty_files_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A syntax error is shown, the exit code is 1, and the other files are formatted."""
    (folder / "app" / "c.flin").write_text(FAULTY)
    (folder / "app" / "d.flin").write_bytes(b"\xff")
    assert main(["fmt", "."]) == 1
    captured = capsys.readouterr()
    assert "error[FL116]" in captured.err
    assert "app/c.flin:1:17" in captured.err
    assert "error[FL902]" in captured.err
    assert "2 files left alone" in captured.out
    assert (folder / "app" / "c.flin").read_text() == FAULTY
    assert (folder / "app" / "a.flin").read_text() == NEAT


def test_fmt_keeps_permissions_line_ends_and_links(folder: Path) -> None:
    """Mode, CRLF, byte order mark and symbolic links are as they were."""
    path = folder / "app" / "a.flin"
    path.write_bytes(b"\xef\xbb\xbf" + UGLY.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    link = folder / "link.flin"
    link.symlink_to(path)
    assert main(["fmt", "link.flin"]) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_bytes() == b"\xef\xbb\xbf" + NEAT.replace("\n", "\r\n").encode()


def test_fmt_passes_over_hidden_and_generated_folders(folder: Path) -> None:
    """What tools made is not source, but a route may be called `build`."""
    for name in (".flinfast", "build", "node_modules", "app/build", "app/.old"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.flin").write_text(UGLY)
    (folder / "outside").symlink_to(folder.parent)
    assert main(["fmt"]) == 0
    texts = {
        path.parent.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("x.flin")
        if "outside" not in path.parts
    }
    assert {name for name, text in texts.items() if text == NEAT} == {"app/build"}
    assert len(texts) == 5


def test_fmt_of_a_file_that_cannot_be_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is as it was, and no temporary one stays."""

    def fail(source: str, target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    assert main(["fmt"]) == 1
    assert "cannot format this file: Permission denied" in capsys.readouterr().err
    assert (folder / "app" / "a.flin").read_text() == UGLY
    assert sorted(path.name for path in (folder / "app").iterdir()) == ["a.flin", "b.flin"]


def test_fmt_wrong_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that is not there, and `-` beside other paths, are wrong usage."""
    assert main(["fmt", "nowhere"]) == 2
    assert main(["fmt", "-", "app"]) == 2
    assert "standard input" in capsys.readouterr().err
    (folder / "empty").mkdir()
    assert main(["fmt", "empty"]) == 0
    assert capsys.readouterr().out == "no FLIN files found\n"


@pytest.mark.parametrize(
    ("text", "options", "code", "output"),
    [
        (UGLY, [], 0, NEAT),
        (UGLY, ["--check"], 1, ""),
        (NEAT, ["--check"], 0, ""),
        (NEAT, ["--diff"], 0, ""),
        (FAULTY, [], 1, ""),
    ],
)
def test_fmt_of_standard_input(text: str, options: list[str], code: int, output: str) -> None:
    """`-` writes the formatted text, and nothing when there is none."""
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", "fmt", "-", *options],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.decode()) == (code, output)
    assert (b"FL116" in done.stderr) == (text == FAULTY)
