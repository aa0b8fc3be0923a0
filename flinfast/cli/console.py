"""`flinfast console`: FLIN typed against the data of a project.

Input comes from a terminal, from `--eval`, or from standard input, one statement after the other.
Each is a transaction. The database is that of a running server; with `--sandbox` a copy.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from flinfast import __version__
from flinfast.cli.report import EXIT_FAULTS, has_color, show_error
from flinfast.cli.usage import example
from flinfast.errors import CompileError, ConfigError

if TYPE_CHECKING:
    from flinfast.runtime.console import Console
    from flinfast.runtime.data import ProjectData
    from flinfast.store.base import BaseStore

HISTORY_MAX: Final = 1000  # lines kept for the next time
INPUT_CHARS_MAX: Final = 1 << 20
_DELIMITERS: Final = " \t\n`!@#$%^&*()-=+[{]}\\|;:'\",<>/?."
_LEAVING: Final = frozenset({"exit", "quit"})
_HELP: Final = """\
An expression is shown, a statement is run; each input is a transaction.
Variables and functions stay. An open bracket goes on in the next line.

help NAME    what a function, keyword or code means
reload       read the project again; variables are gone
exit         leave, as Ctrl-D does; Ctrl-C cancels an input
"""


class Reload(Exception):  # noqa: N818 - a wish, not a failure
    """The project is to be read again."""


@click.command(
    "console",
    epilog=example(
        "flinfast console chat",
        "flinfast console chat --eval 'User.where(name == \"Ann\").count'",
        "flinfast console chat --sandbox < cleanup.flin",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--eval", "codes", metavar="CODE", multiple=True, help="Run this and end; may be repeated."
)
@click.option("--sandbox", is_flag=True, help="Work on a copy of the data: nothing stays.")
def command(path: Path, codes: tuple[str, ...], sandbox: bool) -> int:
    """Type FLIN against the data of the project at PATH, also while a server runs.

    Expressions are shown, statements are run: each input is a transaction of its own, and one that
    fails leaves nothing. Entities, functions and builtins are those of the project; there is no
    request, session or connection. Without a terminal, standard input is a script, which ends with
    1 at the first input that fails.
    """
    while True:
        try:
            return _session(path, codes, is_sandbox=sandbox)
        except Reload:
            click.echo("reloaded", err=True)


def _session(path: Path, codes: tuple[str, ...], *, is_sandbox: bool) -> int:
    from flinfast.runtime.console import Console

    data = _load(path)
    with _opened(data, is_sandbox=is_sandbox) as store:
        console = Console(data, store)
        if codes:
            return _script(console, iter(codes))
        if not sys.stdin.isatty():
            return _script(console, _inputs(sys.stdin))
        return _Prompt(console, is_sandbox=is_sandbox).run()


def _load(path: Path) -> ProjectData:
    from flinfast.runtime.data import ProjectData
    from flinfast.runtime.project import find_root
    from flinfast.server import config as settings
    from flinfast.server.log import Log

    config = settings.load(find_root(path)[0], environ=os.environ)
    return ProjectData(path, config.settings, log=Log(config.settings.log), kept={})


@contextmanager
def _opened(data: ProjectData, *, is_sandbox: bool) -> Iterator[BaseStore]:
    """The project's store, or one over a copy of its database."""
    if not is_sandbox:
        with data.opened() as store:
            yield store
        return
    from flinfast.store.backup import backup
    from flinfast.store.sqlite import FILE_NAME

    if data.url:
        raise ConfigError(
            "`--sandbox` copies the embedded database; this project's is PostgreSQL",
            path="store.database",
            hint="restore a dump elsewhere and set FLIN_STORE_DATABASE to it",
        )
    with tempfile.TemporaryDirectory(prefix="flinfast-") as folder:
        file = data.folder / FILE_NAME
        if file.exists():
            backup(file, Path(folder, FILE_NAME))
        with data.opened(folder) as store:
            yield store


# --- scripts ----------------------------------------


def _inputs(lines: Iterator[str]) -> Iterator[str]:
    """The inputs of a script: as many lines each as belong together."""
    from flinfast.lang.console import is_unfinished

    text = ""
    try:
        for line in lines:
            text += line
            if len(text) > INPUT_CHARS_MAX:
                raise ConfigError(f"expected inputs of at most {INPUT_CHARS_MAX} characters")
            if text.strip() and is_unfinished(text):
                continue
            yield text
            text = ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not UTF-8: byte {error.start}") from None
    yield text


def _script(console: Console, inputs: Iterator[str]) -> int:
    for text in inputs:
        if text.strip() in _LEAVING:
            break
        if not _answered(console, text):
            return EXIT_FAULTS
    return 0


def _answered(console: Console, text: str) -> bool:
    """Run an input and show what it came to; whether it succeeded."""
    from flinfast.cli.console_view import view
    from flinfast.runtime.console import InputError

    if not text.strip():
        return True
    try:
        answer = console.run(text, view)
    except CompileError as error:
        _show(error.diagnostics)
        return False
    except InputError as error:
        if error.diagnostic is None:
            show_error(error.fault)
        else:
            _show((error.diagnostic,))
        return False
    _show(answer.warnings)
    if answer.note:
        click.echo(f"note: {answer.note}", err=True)
    if answer.text:
        click.echo(answer.text)
    sys.stdout.flush()
    return True


def _show(diagnostics: object) -> None:
    from flinfast.lang.diagnostic import render

    text = render(diagnostics, color=has_color(2))  # type: ignore[arg-type]
    if text:
        click.echo(text, err=True, nl=False, color=True)


# --- the prompt ----------------------------------------


class _Prompt:
    """A conversation at a terminal."""

    def __init__(self, console: Console, *, is_sandbox: bool) -> None:
        self._console = console
        self._is_sandbox = is_sandbox
        self._lines: list[str] = []  # of an input that is not finished

    def run(self) -> int:
        """Until the end of the input."""
        self._greet()
        with _line_editing(self._complete) as remember:
            while True:
                try:
                    text = self._read()
                except KeyboardInterrupt:
                    self._lines.clear()
                    click.echo("", err=True)
                    continue
                except EOFError:
                    click.echo("")
                    return 0
                remember(text)
                if text.strip() in _LEAVING and text.strip() not in self._console.values:
                    return 0
                self._answer(text)

    def _greet(self) -> None:
        project = self._console.data.project
        count = len(self._console.data.specs)
        click.echo(
            f"flinfast {__version__} console, {project.root.name}: "
            f"{count} {'entity' if count == 1 else 'entities'}"
            f"{', in a sandbox: nothing stays' if self._is_sandbox else ''}. "
            "`help` helps, Ctrl-D leaves.",
        )

    def _read(self) -> str:
        """One input; an empty line ends one that is not finished."""
        from flinfast.lang.console import is_unfinished

        self._lines.clear()
        name = "flin (sandbox)" if self._is_sandbox else "flin"
        while True:
            prompt = f"{name}> " if not self._lines else f"{'.' * len(name)}> "
            line = input(prompt)
            is_end = bool(self._lines) and not line.strip()
            self._lines.append(line)
            text = "\n".join(self._lines)
            if is_end or not text.strip() or not is_unfinished(text):
                return text

    def _answer(self, text: str) -> None:
        word, _, rest = text.strip().partition(" ")
        if word == "help" and word not in self._console.values:
            _help(rest.strip())
        elif text.strip() == "reload" and word not in self._console.values:
            try:
                _load(self._console.data.project.root)
            except (CompileError, ConfigError) as error:
                show_error(error)
            else:
                raise Reload
        else:
            try:
                _answered(self._console, text)
            except KeyboardInterrupt:
                click.echo("interrupted: nothing of it stays", err=True)

    def _complete(self, line: str) -> list[str]:
        from flinfast.cli.console_complete import Completer

        return Completer(self._console).words("\n".join([*self._lines, line]))


def _help(name: str) -> None:
    if not name:
        click.echo(_HELP, nl=False)
        return
    from flinfast.cli.docs import command as docs

    try:
        docs.main([name], standalone_mode=False)
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)


def _history_file() -> Path:
    """XDG Base Directory Specification: state of a user's programs."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base, "flinfast", "console_history")


@contextmanager
def _line_editing(complete: Callable[[str], list[str]]) -> Iterator[Callable[[str], None]]:
    """Editing, history and Tab where Python has readline; gives what remembers an input."""
    try:
        import readline
    except ImportError:
        yield lambda text: None
        return
    file = _history_file()
    with suppress(OSError):
        readline.read_history_file(file)
    found: list[str] = []

    def complete_word(word: str, state: int) -> str | None:
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            found[:] = complete(line) if line.strip() else ["    "]
        return found[state] if state < len(found) else None

    def remember(text: str) -> None:
        if not text.startswith(" "):  # as shells do: what begins with a space is not kept
            for line in filter(str.strip, text.split("\n")):
                readline.add_history(line)

    readline.set_auto_history(False)
    readline.set_completer(complete_word)
    readline.set_completer_delims(_DELIMITERS)
    readline.parse_and_bind("tab: complete")
    try:
        yield remember
    finally:
        readline.set_completer(None)
        readline.set_history_length(HISTORY_MAX)
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            readline.write_history_file(file)
