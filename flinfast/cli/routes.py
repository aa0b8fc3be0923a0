"""`flinfast routes`: every handler of a project."""

from __future__ import annotations

import json
from pathlib import Path

import click
from msgspec.structs import asdict

from flinfast.cli.listing import route_lines, rows_of
from flinfast.cli.owner import project_of
from flinfast.cli.usage import example


@click.command("routes", epilog=example("flinfast routes chat", "flinfast routes chat --json"))
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: Path, as_json: bool) -> None:
    """List the routes of the project at PATH with their files and guards.

    WS is a WebSocket endpoint. Nothing of the project is run.
    """
    from flinfast.runtime.loading import compile_files
    from flinfast.runtime.project import load_project

    root, only = project_of(path)
    rows = rows_of(compile_files(load_project(root)))
    rows = [row for row in rows if row.place.startswith(only)]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    if not rows:
        click.echo("no routes", err=True)
    for line in route_lines(rows):
        click.echo(line)
