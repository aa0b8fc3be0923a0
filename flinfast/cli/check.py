"""`flinfast check`: every fault of a project's source and settings in one run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from flinfast.cli.report import EXIT_FAULTS, show_diagnostics
from flinfast.cli.usage import example
from flinfast.errors import CompileError
from flinfast.lang.diagnostic import Diagnostic


@click.command("check", epilog=example("flinfast check chat", "flinfast check chat --json"))
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print diagnostics as JSON.")
def command(path: Path, as_json: bool) -> int:
    """Report every fault of the project at PATH without running it.

    Exits 1 when there are errors; warnings alone do not fail the check.
    """
    from flinfast.runtime.loading import compile_files
    from flinfast.runtime.project import load_project
    from flinfast.server import config as settings

    project = load_project(path)
    settings.load(project.root, environ=os.environ)
    diagnostics: Sequence[Diagnostic]
    try:
        diagnostics = compile_files(project).program.diagnostics
    except CompileError as error:
        diagnostics = error.diagnostics
    has_errors = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    if as_json:
        report = {
            "files": len(project.files),
            "diagnostics": [diagnostic.to_map() for diagnostic in diagnostics],
        }
        click.echo(json.dumps(report, indent=2))
    elif diagnostics:
        show_diagnostics(diagnostics)
    else:
        noun = "file" if len(project.files) == 1 else "files"
        click.echo(f"checked {len(project.files)} {noun}: no faults")
    return EXIT_FAULTS if has_errors else 0
