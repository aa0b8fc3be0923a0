"""The `flinfast` command group; each command's module is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from flinfast import __version__
from flinfast.cli.report import exit_code_of, is_debugging
from flinfast.cli.usage import example

# Name -> (module under flinfast.cli, one line for `flinfast --help`).
COMMANDS: dict[str, tuple[str, str]] = {
    "new": ("new", "Create a project."),
    "dev": ("dev", "Serve a project while you work on it: what you save is live."),
    "serve": ("serve", "Serve a project: HTTP routes, WebSockets and static files."),
    "check": ("check", "Report every fault in a project's source without running it."),
    "test": ("test", "Run the tests of a project, each against an empty database."),
    "fmt": ("fmt", "Rewrite FLIN source in the one style."),
    "routes": ("routes", "List routes with their files and guards."),
    "console": ("console", "Type FLIN against the data of a project."),
    "bench": ("bench", "Measure how much a project or a running server serves."),
    "docs": ("docs", "Tell what a function, keyword, guard, setting or code means."),
    "lsp": ("lsp", "Serve an editor: diagnostics, completion, hover, formatting."),
    "doctor": ("doctor", "Check this machine and a project before it serves."),
    "explain": ("explain", "Explain a diagnostic code, such as FL201."),
    "ws": ("ws", "Talk to a WebSocket from the terminal."),
    "token": ("token", "Print a bearer token for tests and scripts."),
    "db": ("db", "Migrate, back up, restore, export and import the database."),
    "config": ("config", "Show settings and where each value comes from."),
    "completion": ("completion", "Print a script that makes a shell complete commands."),
}

# What other tools, and FLIN's own, call them.
_ALIASES = {
    **dict.fromkeys(("start", "run", "up"), "serve"),
    **dict.fromkeys(("init", "create"), "new"),
    **dict.fromkeys(("format", "lint"), "fmt"),
    **dict.fromkeys(("build", "compile"), "check"),
    **dict.fromkeys(("repl", "shell"), "console"),
    **dict.fromkeys(("migrate", "backup", "seed"), "db"),
    "watch": "dev",
    "help": "docs",
}
HELP = "FLIN for Python people: HTTP routes and WebSocket endpoints in one file."


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command = import_module(f"flinfast.cli.{found[0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest name."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from flinfast.lang.diagnostic import suggest

            near = _ALIASES.get(name) or suggest(name, COMMANDS)
            hint = f" Did you mean `{near}`?" if near else ""
            raise click.UsageError(f"No such command `{name}`.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(
    cls=LazyGroup,
    name="flinfast",
    help=HELP,
    epilog=example("flinfast new chat", "flinfast dev chat"),
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=False,
)
@click.version_option(__version__, "-V", "--version", message="flinfast %(version)s")
@click.option("--debug", is_flag=True, help="Show Python tracebacks of internal faults.")
def group(debug: bool) -> None:
    """Hold the options all commands share; `--debug` is read by main() itself."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line; nothing but an exit code leaves this function.

    Args:
        arguments: Without the program's name.
    """
    try:
        result = group.main(list(arguments), prog_name="flinfast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BaseException as error:  # noqa: BLE001 - reported as one message and an exit code
        return exit_code_of(error, debug=is_debugging(arguments))
    return result if isinstance(result, int) else 0
