"""`flinfast check --watch` and the watching behind it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.cli.commands import main
from flinfast.cli.watch import look_at, wait_for_change

DEADLINE_S = 60


def save(path: Path, text: str) -> None:
    """Write a file so that nobody sees it empty: a look at that would be one more check."""
    path.parent.mkdir(exist_ok=True)
    path.with_name(".new").write_text(text)
    path.with_name(".new").rename(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text('route GET { "home" }\n')
    return tmp_path


class Watching:
    """A `flinfast check --watch` process whose output lines can be waited for."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flinfast", "check", str(root), "--watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.process.stdout.close()

    def until(self, part: str) -> list[str]:
        """Lines up to one that holds `part`."""
        seen: list[str] = []
        while True:
            seen.append(self.lines.get(timeout=DEADLINE_S))
            if part in seen[-1]:
                return seen

    def end(self) -> int:
        """Interrupt it; its status. All that it printed is in `lines` then."""
        self.process.send_signal(signal.SIGINT)
        self._reader.join(DEADLINE_S)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def watching() -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(*arguments: Any) -> Watching:
        started.append(Watching(*arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def test_watch_checks_again_after_each_change(
    root: Path, watching: Callable[..., Watching]
) -> None:
    """A fault appears, a new file is seen, the fault goes; Ctrl-C ends with 0 and no traceback."""
    process = watching(root)
    process.until("checked 1 file: no faults")
    process.until("watching")
    save(root / "app" / "index.flin", "guard atuh\nroute GET { 1 }\n")
    process.until("error[FL201]: unknown guard `atuh`")
    process.until("watching")
    save(root / "lib" / "tools.flin", "fn twice(n) { n * 2 }\n")
    process.until("changed: lib/tools.flin")
    process.until("watching")
    save(root / "app" / "index.flin", "guard auth\nroute GET { twice(1) }\n")
    process.until("checked 2 files: no faults")
    process.until("watching")
    assert process.end() == 0
    assert process.lines.empty()


def test_watch_as_json_is_one_document_a_line(
    root: Path, watching: Callable[..., Watching]
) -> None:
    """Nothing else is printed; a fault of the settings is a diagnostic, too."""
    process = watching(root, "--json")
    assert json.loads(process.lines.get(timeout=DEADLINE_S)) == {"files": 1, "diagnostics": []}
    save(root / "flinfast.toml", "[server]\nprot = 1\n")
    (fault,) = json.loads(process.lines.get(timeout=DEADLINE_S))["diagnostics"]
    assert (fault["code"], fault["path"]) == ("FL904", "flinfast.toml")
    assert process.end() == 0


def test_json_has_every_place(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Code, severity, file, line, column, end, message and help, warnings included."""
    (root / "app" / "index.flin").write_text("guard atuh\nroute GET { x = 1 }\n")
    assert main(["check", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    keys = ("code", "severity", "path", "line", "column", "end_line", "end_column")
    assert [tuple(d[key] for key in keys) for d in found] == [
        ("FL201", "error", "app/index.flin", 1, 7, 1, 11),
        ("FL213", "warning", "app/index.flin", 2, 13, 2, 14),
    ]
    assert found[0]["message"] == "unknown guard `atuh`"
    assert found[0]["help"] == "did you mean `auth`?"


def test_warnings_are_shown_and_do_not_fail(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with the warning on standard error."""
    (root / "app" / "index.flin").write_text("route GET { x = 1 }\n")
    assert main(["check", str(root)]) == 0
    assert "warning[FL213]" in capsys.readouterr().err


def test_json_of_what_is_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON all the same, exit 1."""
    assert main(["check", str(tmp_path), "--json"]) == 1
    (fault,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert fault["code"] == "FL903"


# --- watching ----------------------------------------


def test_look_sees_source_and_settings_only(root: Path) -> None:
    """Neither static files, hidden folders nor data."""
    for name in ("public/x.flin", "app/.hidden/x.flin", "app/notes.txt", "other.flin"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "flinfast.toml").write_text("")
    assert set(look_at(root)) == {str(root / "flinfast.toml"), str(root / "app" / "index.flin")}
    single = root / "other.flin"
    assert str(single) in look_at(root, single)


def test_wait_returns_what_was_added_changed_and_removed(root: Path) -> None:
    """After the files have been quiet for a look; a pause without change goes on waiting."""
    (root / "app" / "old.flin").write_text("route GET { 1 }\n")
    steps = iter(range(10))

    def pause(_seconds: float) -> None:
        step = next(steps)
        if step == 1:
            (root / "app" / "index.flin").write_text("route GET { 12345 }\n")
            (root / "app" / "old.flin").unlink()
        if step == 2:
            (root / "app" / "new.flin").write_text("route GET { 1 }\n")

    now, changed = wait_for_change(root, pause=pause)
    assert changed == [str(root / "app" / f"{name}.flin") for name in ("index", "new", "old")]
    assert set(now) == {str(root / "app" / f"{name}.flin") for name in ("index", "new")}
    assert next(steps) == 4
