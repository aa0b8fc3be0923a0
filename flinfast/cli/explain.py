"""`flinfast explain`: the long page of a diagnostic code."""

from __future__ import annotations

import re
from importlib.resources import files

import click
from click.shell_completion import CompletionItem

from flinfast.cli.usage import example
from flinfast.lang.catalog import CATALOG
from flinfast.lang.diagnostic import suggest


def _codes(
    _context: click.Context, _parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """What a shell offers after `flinfast explain`."""
    return [
        CompletionItem(code, help=title)
        for code, title in CATALOG.items()
        if code.startswith(start.upper())
    ]


@click.command("explain", epilog=example("flinfast explain FL201"))
@click.argument("code", shell_complete=_codes)
def command(code: str) -> None:
    """Explain a diagnostic CODE: what it means, why it is an error, how to fix it."""
    name = code.upper()
    if re.fullmatch(r"[0-9]{3}", name):
        name = f"FL{name}"
    title = CATALOG.get(name)
    if title is None:
        near = suggest(name, CATALOG)
        hint = f" Did you mean {near}?" if near else ""
        raise click.UsageError(f"No such code `{code}`.{hint}")
    page = files("flinfast.lang").joinpath("explain", f"{name}.md")
    text = page.read_text("utf-8") if page.is_file() else f"# {name}: {title}\n"
    click.echo(text.rstrip())
