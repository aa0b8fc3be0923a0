"""`flinfast config show`: every setting, its value and its origin."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from flinfast.cli.usage import example
from flinfast.runtime.project import find_root
from flinfast.server import config as settings


@click.group("config", epilog=example("flinfast config show chat"))
def command() -> None:
    """Settings of a project: flinfast.toml, FLIN_* variables and defaults."""


@command.command(
    "show",
    short_help="Show every setting with its origin.",
    epilog=example("FLIN_SERVER_PORT=8080 flinfast config show", "flinfast config show --json"),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(path: Path, as_json: bool) -> None:
    """Print every setting of the project at PATH, its value and where it comes from.

    Secrets are not printed.
    """
    config = settings.load(find_root(path)[0], environ=os.environ)
    rows: list[tuple[str, Any, str]] = [("mode", config.settings.mode, _mode_origin())]
    for key in settings.all_keys():
        value = config.value_of(key)
        if key.is_secret:
            value = "(hidden)" if value else value
        rows.append((key.path, value, config.origins[key.path]))
    if as_json:
        shown = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        click.echo(json.dumps(shown, indent=2))
        return
    for note in config.notes:
        click.echo(f"note: {note}", err=True)
    width = max(len(name) for name, *_ in rows)
    for name, value, origin in rows:
        suffix = "" if origin == settings.DEFAULT_ORIGIN else f"    # {origin}"
        click.echo(f"{name:{width}} = {_shown(value)}{suffix}")


def _mode_origin() -> str:
    is_set = os.environ.get(settings.MODE_VARIABLE)
    return settings.MODE_VARIABLE if is_set else settings.DEFAULT_ORIGIN


def _shown(value: Any) -> str:
    """The value as TOML would have it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
