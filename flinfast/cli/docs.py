"""`flinfast docs`: what a word of FLIN, a setting or a code means."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from click.shell_completion import CompletionItem

from flinfast.cli.usage import example


def _names(
    _context: click.Context, _parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """What a shell offers after `flinfast docs`."""
    from flinfast.manual import book

    found = {entry.name: entry.summary for entry in book.entries() if entry.name.startswith(start)}
    return [CompletionItem(name, help=text) for name, text in sorted(found.items())]


@click.command("docs", epilog=example("flinfast docs broadcast", "flinfast docs"))
@click.argument("name", default="", shell_complete=_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, as_json: bool) -> None:
    """Print what NAME means: a function, keyword, guard, setting, modifier, type or code.

    Without NAME, every name by area.
    """
    from flinfast.manual import book

    found = book.find(name) if name else list(book.entries())
    if not found:
        near = book.nearest(name)
        hint = f" Did you mean `{near}`?" if near else " `flinfast docs` lists every name."
        raise click.UsageError(f"Nothing is called `{name}`.{hint}")
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found], indent=2))
    elif name:
        titles = book.titles()
        click.echo("\n".join(entry.to_text(titles) for entry in found), nl=False)
    else:
        click.echo(_overview(), nl=False)


def _overview() -> str:
    from flinfast.manual import book

    parts = []
    for area, entries in book.areas().items():
        lines = click.wrap_text(
            "  ".join(entry.name for entry in entries),
            initial_indent="  ",
            subsequent_indent="  ",
        )
        parts.append(f"{area}\n{lines}\n")
    parts.append("`flinfast docs NAME` tells what one of them means.\n")
    return "\n".join(parts)
