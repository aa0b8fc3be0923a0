"""`flinfast db backup`, `restore` and `shell`: the database as a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flinfast.cli.db import database_file, file_argument, load_data, project_argument
from flinfast.cli.progress import progress
from flinfast.cli.usage import example
from flinfast.errors import SchemaError, StoreError


@click.command(
    "backup",
    short_help="Copy the database to a file, also while a server runs.",
    epilog=example("flinfast db backup chat-monday.db chat"),
)
@file_argument
@project_argument
def backup(file: Path, path: Path) -> None:
    """Write the database of the project at PATH to FILE, as it is at one moment.

    A server may be running and goes on writing. FILE must not exist; it is written beside its
    name and renamed, so it is whole or not there.
    """
    from flinfast.store import backup as files

    source = database_file(load_data(path))
    with progress("Backing up") as advance:
        files.backup(source, file, advance)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


@click.command(
    "restore",
    short_help="Put a backup in the place of the database.",
    epilog=example("flinfast db restore chat-monday.db chat"),
)
@file_argument
@project_argument
def restore(file: Path, path: Path) -> None:
    """Put FILE in the place of the database of the project at PATH.

    FILE is checked first: every page of it, and that it fits the entities. No server may be
    running. The database that was there is kept among the backups.
    """
    from flinfast.store import backup as files
    from flinfast.store import migrate as migration
    from flinfast.store.sqlite import copied

    data = load_data(path)
    database_file(data)  # an embedded one
    with copied(file) as database:
        found = migration.plan(database, data.specs)
    if found.decisions:
        raise SchemaError(
            f"{file} does not fit the entities of this program",
            plan=found.decisions,
        )
    with progress("Restoring") as advance:
        kept = files.restore(data.folder, file, advance)
    if kept is not None:
        click.echo(f"backup of what was there: {kept}")
    click.echo("done")


@click.command(
    "shell",
    short_help="Look at the database in SQL.",
    epilog=example(
        "flinfast db shell chat", 'flinfast db shell chat --command "SELECT * FROM User"'
    ),
)
@project_argument
@click.option("--command", "sql", metavar="SQL", help="Run this and end.")
@click.option("--write", is_flag=True, help="Allow statements that change something.")
def shell(path: Path, sql: str | None, write: bool) -> None:
    """Open SQLite's shell on the database of the project at PATH.

    `.tables` lists the entities, `.help` the commands. Records changed here have no history and
    are not checked.
    """
    from flinfast.store.sqlite import run_shell

    file = database_file(load_data(path))
    if not file.exists():
        raise StoreError(f"there is no database {file} yet: a server makes it when it starts")
    status = run_shell(file, [sql] if sql else [], writable=write)
    if status:
        sys.exit(status)
