"""`flinfast lsp`: the language server for editors."""

from __future__ import annotations

import logging
import sys

import click

from flinfast.cli.usage import example
from flinfast.errors import ConfigError

LEVELS = ("debug", "info", "warning", "error")


@click.command("lsp", epilog=example("flinfast lsp", "flinfast lsp --log-level debug"))
@click.option("--stdio", is_flag=True, help="Accepted because editors pass it; always so.")
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="Least severe line on standard error.",
)
def command(stdio: bool, log_level: str) -> None:
    """Serve an editor over standard input and output.

    Started by the editor, not by hand; docs/howto/editors.md says how. Needs the extra `lsp`.
    """
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        from flinfast.lsp.server import FlinServer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise ConfigError(
            "the language server needs pygls, which is not installed",
            hint="run `pip install 'flinfast[lsp]'` in the environment of this command",
        ) from None
    if sys.stdin.isatty():
        click.echo("waiting for an editor on standard input; docs/howto/editors.md", err=True)
    FlinServer().run()
