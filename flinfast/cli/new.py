"""`flinfast new`: a project from a template, copied file by file and never overwriting."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from flinfast.cli.usage import example

# Name -> what it is.
TEMPLATES = {
    "chat": "rooms and messages over a WebSocket",
    "api": "a REST API with accounts, validation, pages and tests",
    "collab": "a document edited by several people at once, with presence and versions",
    "blank": "one route and one page",
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Names of files that would be taken for the template's own: pip leaves out dot files, git reads
# `.gitignore`. They are stored without their dot.
_DOTTED = {"gitignore": ".gitignore"}


@click.command(
    "new",
    epilog=example("flinfast new shop --template api", "flinfast test shop", "flinfast dev shop"),
)
@click.argument("name", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(tuple(TEMPLATES)),
    default="chat",
    show_default=True,
    help="; ".join(f"{name}: {text}" for name, text in TEMPLATES.items()) + ".",
)
def command(name: Path, template: str) -> None:
    """Create a project in the new folder NAME."""
    if _NAME.fullmatch(name.name) is None:
        raise click.UsageError(f"Expected a name such as `chat`, got `{name}`.")
    if name.exists() and (not name.is_dir() or any(name.iterdir())):
        raise click.UsageError(f"`{name}` exists already.")
    source = files("flinfast.cli").joinpath("templates", template)
    was_there = name.exists()
    try:
        created = _copy(source, name)
    except OSError as error:
        if not was_there:
            shutil.rmtree(name, ignore_errors=True)  # so that it can be tried again
        raise click.ClickException(f"cannot write to `{name}`: {error.strerror}") from error
    click.echo("  created  " + "\n           ".join(str(path) for path in created))
    shown = shlex.quote(str(name))
    steps = [(f"flinfast dev {shown}", "serve it while you work on it")]
    if source.joinpath("tests").is_dir():
        steps.append((f"flinfast test {shown}", "run its tests"))
    width = max(len(step) for step, _ in steps)
    lines = [f"{step:{width}}   {what}" for step, what in steps]
    click.echo("\n  next     " + "\n           ".join(lines))


def _copy(source: Traversable, target: Path) -> list[Path]:
    """Copy a folder; paths of the files made, sorted."""
    target.mkdir(parents=True, exist_ok=True)
    created: list[Path] = []
    for item in sorted(source.iterdir(), key=lambda item: _DOTTED.get(item.name, item.name)):
        if item.name.startswith((".", "__")):
            continue
        to = target / _DOTTED.get(item.name, item.name)
        if item.is_dir():
            created += _copy(item, to)
        else:
            to.write_bytes(item.read_bytes())
            created.append(to)
    return created
