"""`flinfast check`: every fault of a project's source and settings, once or at every change."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from flinfast.cli.owner import project_of
from flinfast.cli.report import EXIT_FAULTS, show_diagnostics, show_error
from flinfast.cli.usage import example
from flinfast.errors import CompileError, ConfigError
from flinfast.lang.diagnostic import Diagnostic

_CLEAR = "\x1b[2J\x1b[3J\x1b[H"  # screen, what was scrolled away, cursor to the top


@dataclass(slots=True)
class _Outcome:
    """What one check found.

    Attributes:
        files: Number of source files.
        diagnostics: Faults and warnings of the source.
        fault: What is wrong with the project or its settings, if anything.
        elsewhere: Number of diagnostics in files of the project that were not asked for.
    """

    files: int = 0
    diagnostics: Sequence[Diagnostic] = field(default_factory=list)
    fault: ConfigError | None = None
    elsewhere: int = 0

    @property
    def has_errors(self) -> bool:
        """Whether the program would not load."""
        return self.fault is not None or any(d.severity == "error" for d in self.diagnostics)

    def to_map(self) -> dict[str, Any]:
        """The JSON form."""
        found = [diagnostic.to_map() for diagnostic in self.diagnostics]
        if self.fault is not None:
            found.insert(0, _fault_map(self.fault))
        return {"files": self.files, "diagnostics": found}


@click.command(
    "check",
    epilog=example("flinfast check chat", "flinfast check chat --json", "flinfast check --watch"),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print diagnostics as JSON.")
@click.option("--watch", "-w", is_flag=True, help="Check again whenever a source file changes.")
def command(path: Path, as_json: bool, watch: bool) -> int:
    """Report every fault of the project, or of one file or folder of it, at PATH.

    Nothing is run. Exits 1 when there are errors; warnings alone do not fail the check. JSON is one
    document, with --watch one document a line; lines and columns count from 1, columns count
    characters.
    """
    if watch:
        return _watch(path, as_json=as_json)
    outcome = _check(path)
    _show(outcome, as_json=as_json)
    return EXIT_FAULTS if outcome.has_errors else 0


def _check(path: Path) -> _Outcome:
    from flinfast.runtime.loading import compile_files
    from flinfast.runtime.project import load_project
    from flinfast.server import config as settings

    outcome = _Outcome()
    try:
        root, only = project_of(path)
        project = load_project(root, with_tests=True)
        outcome.files = sum(file.source.path.startswith(only) for file in project.files)
        try:
            outcome.diagnostics = compile_files(project).program.diagnostics
        except CompileError as error:
            outcome.diagnostics = error.diagnostics
        if only:
            found = outcome.diagnostics
            outcome.diagnostics = [d for d in found if d.source.path.startswith(only)]
            outcome.elsewhere = len(found) - len(outcome.diagnostics)
        settings.load(project.root, environ=os.environ)
    except ConfigError as fault:
        outcome.fault = fault
    return outcome


def _show(outcome: _Outcome, *, as_json: bool, one_line: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(outcome.to_map(), indent=None if one_line else 2))
        return
    if outcome.fault is not None:
        show_error(outcome.fault)
    if outcome.diagnostics:
        show_diagnostics(outcome.diagnostics)
    elif outcome.fault is None:
        noun = "file" if outcome.files == 1 else "files"
        click.echo(f"checked {outcome.files} {noun}: no faults")
    if outcome.elsewhere:
        noun = "diagnostic" if outcome.elsewhere == 1 else "diagnostics"
        click.echo(f"{outcome.elsewhere} {noun} in other files of the project", err=True)


def _fault_map(fault: ConfigError) -> dict[str, Any]:
    """A fault of the settings or of PATH in the form of a diagnostic; it has no place."""
    return {
        "code": getattr(fault, "code", "FL903"),
        "severity": "error",
        "message": str(fault),
        "path": "flinfast.toml" if fault.path or getattr(fault, "code", "") else "",
        "line": 1,
        "column": 1,
        "end_line": 1,
        "end_column": 1,
        "label": fault.path,
        "help": fault.hint,
        "notes": [],
    }


def _watch(path: Path, *, as_json: bool) -> int:
    """Check until interrupted; gives 0, since that is how this ends."""
    from flinfast.cli.watch import look_at, wait_for_change
    from flinfast.runtime.project import find_root

    try:
        root, single = find_root(path)
    except ConfigError:
        if not path.is_dir():
            raise
        root, single = path.absolute(), None  # its `app` folder may still come
    seen = look_at(root, single)
    try:
        while True:
            if not as_json and sys.stdout.isatty():
                click.echo(_CLEAR, nl=False, color=True)
            _show(_check(path), as_json=as_json, one_line=True)
            if not as_json:
                click.echo(f"watching {root}, Ctrl-C ends", err=True)
            sys.stdout.flush()
            seen, changed = wait_for_change(root, single, before=seen)
            if not as_json and not sys.stdout.isatty():
                names = ", ".join(os.path.relpath(name, root) for name in changed[:3])
                click.echo(f"\nchanged: {names}{' ...' if len(changed) > 3 else ''}", err=True)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            click.echo(err=True)  # after the `^C` that the terminal printed
        return 0
