"""`flinfast fmt`: one style for FLIN source, on files, folders or standard input."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from flinfast.cli.report import (
    EXIT_FAULTS,
    EXIT_INTERNAL,
    EXIT_OK,
    has_color,
    show_diagnostics,
    show_error,
)
from flinfast.cli.usage import example
from flinfast.errors import CompileError

if TYPE_CHECKING:
    from flinfast.lang.diagnostic import Diagnostic

STDIN: Final = "-"
SUFFIX: Final = ".flin"
DEPTH_MAX: Final = 64  # folders inside folders
_STDIN_NAME: Final = "<stdin>"
# Folders that hold what tools made, unless they lie below a folder of sources: `app/build/` is a
# route.
_MADE: Final = frozenset({"build", "dist", "node_modules", "__pycache__", "venv"})
_SOURCES: Final = frozenset({"app", "entities", "lib", "guards"})


@dataclass(slots=True)
class Outcome:
    """What happened to the files of one run.

    Attributes:
        changed: Files that were, or would be, written.
        unchanged: Files that have the style already.
        failed: Files that were left alone.
        diagnostics: Why.
        is_refused: Whether the formatter refused its own result.
    """

    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    is_refused: bool = False
    diagnostics: list[Diagnostic] = field(default_factory=list)


@click.command(
    "fmt",
    epilog=example("flinfast fmt", "flinfast fmt app/chat.flin", "flinfast fmt --check --diff"),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file would change.")
@click.option("--diff", is_flag=True, help="The same, and print what would change.")
def command(paths: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Rewrite FLIN source in the one style; PATHS are files and folders, `.` by default.

    `-` reads standard input and writes to standard output. A file with syntax errors is left alone.
    Exits 1 when there were some, and when --check or --diff found something to change.
    """
    if STDIN in map(str, paths):
        if len(paths) > 1:
            raise click.UsageError("`-` stands alone: standard input is one file")
        return _format_stdin(check=check, diff=diff)
    outcome = Outcome()
    for path in _sources(paths or (Path(),)):
        _format_file(path, outcome, check=check, diff=diff)
    return _finish(outcome, is_dry=check or diff, is_quiet=diff)


def _finish(outcome: Outcome, *, is_dry: bool, is_quiet: bool) -> int:
    """Say what happened, and give the exit code."""
    if outcome.diagnostics:
        show_diagnostics(outcome.diagnostics)
    words = []
    if outcome.changed:
        words.append(f"{_files(outcome.changed)} {'would be ' if is_dry else ''}formatted")
    if outcome.unchanged:
        words.append(f"{_files(outcome.unchanged)} {'already ' if is_dry else ''}in style")
    if outcome.failed:
        words.append(f"{_files(outcome.failed)} left alone")
    click.echo(", ".join(words) or "no FLIN files found", err=is_quiet)
    if outcome.is_refused:
        return EXIT_INTERNAL
    return EXIT_FAULTS if outcome.failed or (is_dry and outcome.changed) else EXIT_OK


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


# --- one file ----------------------------------------


def _format_file(path: Path, outcome: Outcome, *, check: bool, diff: bool) -> None:
    """Format one file in place, or say what would change."""
    target = Path(os.path.realpath(path))  # a link stays a link
    name = _shown(path)
    try:
        before = os.stat(target)
        raw = _read(target)
        text = _decode(raw, name, outcome)
        formatted = None if text is None else _format(text, name, outcome)
        if text is None or formatted is None:
            return
        if formatted == text:
            outcome.unchanged += 1
            return
        if diff:
            _show_diff(text, formatted, name)
        elif check:
            click.echo(f"would format {name}")
        else:
            _write(target, formatted.encode(), before)
            click.echo(f"formatted {name}")
        outcome.changed += 1
    except OSError as error:
        _fault(outcome, "FL907", f"cannot format this file: {error.strerror}", name)


def _format_stdin(*, check: bool, diff: bool) -> int:
    outcome = Outcome()
    text = _decode(sys.stdin.buffer.read(), _STDIN_NAME, outcome)
    formatted = None if text is None else _format(text, _STDIN_NAME, outcome)
    if outcome.diagnostics:
        show_diagnostics(outcome.diagnostics)
    if text is None or formatted is None:
        return EXIT_INTERNAL if outcome.is_refused else EXIT_FAULTS
    if diff:
        _show_diff(text, formatted, _STDIN_NAME)
    elif not check:
        sys.stdout.buffer.write(formatted.encode())
        sys.stdout.buffer.flush()
    return EXIT_FAULTS if (check or diff) and formatted != text else EXIT_OK


def _format(text: str, name: str, outcome: Outcome) -> str | None:
    """The text in the one style; None when it has to be left alone."""
    from flinfast.lang.format import FormatError, format_source

    try:
        return format_source(text, name)
    except CompileError as error:
        outcome.diagnostics += error.diagnostics
    except FormatError as error:
        show_error(error)
        outcome.is_refused = True
    outcome.failed += 1
    return None


def _read(path: Path) -> bytes:
    from flinfast.lang.source import SOURCE_BYTES_MAX

    with path.open("rb") as file:
        return file.read(SOURCE_BYTES_MAX + 1)


def _decode(raw: bytes, name: str, outcome: Outcome) -> str | None:
    """The text of a file; None with a diagnostic when it is none."""
    from flinfast.lang.source import SOURCE_BYTES_MAX

    if len(raw) > SOURCE_BYTES_MAX:
        _fault(outcome, "FL901", f"file is larger than {SOURCE_BYTES_MAX >> 20} MB", name)
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _fault(outcome, "FL902", f"file is not UTF-8: byte {error.start}, line {line}", name)
        return None


def _fault(outcome: Outcome, code: str, message: str, name: str) -> None:
    from flinfast.lang.diagnostic import Diagnostic
    from flinfast.lang.source import Source, Span

    outcome.failed += 1
    outcome.diagnostics.append(Diagnostic(code, message, Source(name, ""), Span(0, 0), ""))


def _write(path: Path, raw: bytes, before: os.stat_result) -> None:
    """Replace a file as a whole, with its permissions; a reader sees the old text or the new one.

    Args:
        path: The file, no link.
        raw: Its new content.
        before: What it was when it was read.

    Raises:
        OSError: It cannot be written, or somebody changed it meanwhile; it is as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):  # only root gives files away
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        now = os.stat(path)
        if (now.st_mtime_ns, now.st_size) != (before.st_mtime_ns, before.st_size):
            raise OSError(0, "it was changed meanwhile")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _show_diff(before: str, after: str, name: str) -> None:
    """Print what would change, in the form that `patch` reads."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
    )
    is_colored = has_color(1)
    for line in lines:
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1]) if is_colored else None
        end = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
        click.echo(click.style(line, fg=color) + end if color else line + end, nl=False)


# --- files ----------------------------------------


def _sources(paths: Iterable[Path]) -> Iterator[Path]:
    """Files to format, each once: those named, and the `.flin` files of folders in path order."""
    seen: set[str] = set()
    for path in paths:
        for found in _walk(path, path, 0) if path.is_dir() else (path,):
            real = os.path.realpath(found)
            if real not in seen:
                seen.add(real)
                yield found


def _walk(folder: Path, top: Path, depth: int) -> Iterator[Path]:
    """Source files below a folder, without hidden and generated ones and links to elsewhere."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        if entry.name.startswith(".") or (entry.name in _MADE and not _is_below_sources(path, top)):
            continue
        if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(
            os.path.realpath(top)
        ):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < DEPTH_MAX:
                yield from _walk(path, top, depth + 1)
        elif entry.name.endswith(SUFFIX) and entry.is_file():
            yield path


def _is_below_sources(path: Path, top: Path) -> bool:
    """Whether a folder lies in one that holds the sources of a project."""
    names = (top.absolute().name, *path.relative_to(top).parts[:-1])
    return not _SOURCES.isdisjoint(names)


def _shown(path: Path) -> str:
    """A path as people gave it, with forward slashes."""
    return path.as_posix()
