"""What a person sees when a command fails, and the exit code that goes with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flinfast import __version__
from flinfast.errors import CompileError, ConfigError, FlinError, RuntimeFault, SchemaError

if TYPE_CHECKING:
    from flinfast.lang.diagnostic import Diagnostic

EXIT_OK = 0
EXIT_FAULTS = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def exit_code_of(error: BaseException, *, debug: bool) -> int:
    """Report an exception on standard error.

    Args:
        error: What ended the command.
        debug: Show the traceback of an internal fault.

    Returns:
        The exit code.
    """
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_FAULTS
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, FlinError):
        show_error(error)
        return error.exit_code
    _show_internal(error, debug=debug)
    return EXIT_INTERNAL


def is_debugging(arguments: Sequence[str]) -> bool:
    """Whether `--debug` stands before the command."""
    for argument in arguments:
        if argument == "--debug":
            return True
        if not argument.startswith("-"):
            return False
    return False


def has_color(stream: int) -> bool:
    """Whether a person looks at a stream's output and wants colours."""
    return os.isatty(stream) and not os.environ.get("NO_COLOR")


def show_error(error: FlinError) -> None:
    """Print an error of ours in the form of a diagnostic: one fault, its place, what to do."""
    if isinstance(error, CompileError):
        show_diagnostics(error.diagnostics)
        return
    code = getattr(error, "code", "")
    lines = [f"error[{code}]: {error}" if code else f"error: {error}"]
    if isinstance(error, ConfigError):
        if error.path:
            lines.append(f"  = at: {error.path}")
    elif isinstance(error, SchemaError):
        lines += [f"  - {step}" for step in error.plan]
    hint = getattr(error, "hint", "")
    if isinstance(error, SchemaError) and error.command:
        hint = f"run `{error.command}`"
    if isinstance(error, RuntimeFault) and error.path:
        lines.append(f" --> {error.path}:{error.line}")
    if hint:
        lines.append(f"  = help: {hint}")
    if code:
        lines.append(f"  = docs: flinfast explain {code}")
    click.echo("\n".join(lines), err=True)


def show_diagnostics(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics and how many there are, on standard error."""
    from flinfast.lang.diagnostic import render

    click.echo(render(diagnostics, color=has_color(2)), err=True, nl=False, color=True)
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    click.echo(f"\n{_count(errors, 'error')}, {_count(warnings, 'warning')}", err=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _show_internal(error: BaseException, *, debug: bool) -> None:
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    if debug:
        click.echo(text, err=True, nl=False)
        return
    summary = f"internal fault: {type(error).__name__}: {error}".splitlines()[0]
    click.echo(summary, err=True)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="flinfast-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"flinfast {__version__}\nPython {sys.version}\n{sys.platform}\n\n{text}")
    except OSError:
        click.echo("  = help: run with `flinfast --debug ...` to see where it happened", err=True)
        return
    click.echo(f"  = help: a report was written to {file.name}", err=True)
