"""`flinfast db`: schema, backups and records of a project."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flinfast.cli.report import EXIT_FAULTS
from flinfast.cli.usage import example
from flinfast.errors import ConfigError, StoreError
from flinfast.server import config as settings

if TYPE_CHECKING:
    from flinfast.runtime.data import ProjectData
    from flinfast.store.engine import SchemaDatabase
    from flinfast.store.migrate import Plan

# Name -> (module under flinfast.cli, its command); `flinfast db --help` lists them in this order.
_ELSEWHERE = {
    "backup": ("db_file", "backup"),
    "restore": ("db_file", "restore"),
    "shell": ("db_file", "shell"),
    "seed": ("db_data", "seed"),
    "export": ("db_data", "export"),
    "import": ("db_data", "import_"),
    "copy": ("db_data", "copy"),
}

project_argument = click.argument("path", type=click.Path(path_type=Path), default=".")
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


class _Group(click.Group):
    """Commands of other modules are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work they do."""
        return ["diff", "migrate", *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of that name."""
        place = _ELSEWHERE.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        found = getattr(import_module(f"flinfast.cli.{place[0]}"), place[1])
        assert isinstance(found, click.Command)
        return found


@click.group(
    "db",
    cls=_Group,
    epilog=example("flinfast db diff chat", "flinfast db backup chat.db chat"),
)
def command() -> None:
    """The database of a project: its schema, backups and records."""


@command.command(
    "diff",
    short_help="Show how the stored data differs from the entities.",
    epilog=example("flinfast db diff chat"),
)
@project_argument
def diff(path: Path) -> None:
    """Show what would change in the database of the project at PATH; nothing is changed.

    Exits with 1 when something needs a decision, which `flinfast db migrate` takes.
    """
    found = plan_of(load_data(path))
    show_plan(found)
    if found.decisions:
        raise click.exceptions.Exit(EXIT_FAULTS)


@command.command(
    "migrate",
    short_help="Bring the database to the declared entities.",
    epilog=example(
        "flinfast db migrate chat --rename Message.text=content",
        "flinfast db migrate chat --rename User=Member --drop Note --yes",
    ),
)
@project_argument
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="OLD=NEW",
    help="`Entity.field=name` or `Entity=Name`: it has a new name and keeps its data.",
)
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="NAME",
    help="`Entity.field` or `Entity`: its data may be lost.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def migrate(
    path: Path, renames: tuple[str, ...], drops: tuple[str, ...], dry_run: bool, yes: bool
) -> None:
    """Change the database of the project at PATH so that it fits its entities.

    Shows the plan and asks. A backup is taken first (of PostgreSQL, take one with pg_dump); the
    change is one transaction. No server may be running. Servers make changes that lose nothing by
    themselves when they start.
    """
    from flinfast.store import migrate as migration

    named = _renames(renames)
    data = load_data(path)
    found = plan_of(data, named, drops)
    show_plan(found)
    if found.decisions:
        raise click.exceptions.Exit(EXIT_FAULTS)
    if found.is_empty or dry_run:
        return
    _confirm("Change the database?", yes=yes)
    with _exclusive(data) as database:
        if not (data.url or is_new(data)):
            _keep_copy(data)
        migration.migrate(database, data.specs, renames=named, drops=drops)
    click.echo("done")


def load_data(path: Path, seed: Path | None = None) -> ProjectData:
    """The data of the project at a path, with the settings that a server would use."""
    from flinfast.runtime.data import ProjectData
    from flinfast.runtime.project import find_root
    from flinfast.server.log import Log

    config = settings.load(find_root(path)[0], environ=os.environ)
    return ProjectData(path, config.settings, log=Log(config.settings.log), seed=seed)


def is_new(data: ProjectData) -> bool:
    """Whether the project has no database yet."""
    return not database_file(data).exists()


def database_file(data: ProjectData) -> Path:
    """The file of the embedded database."""
    from flinfast.store.sqlite import FILE_NAME

    if data.url:
        raise ConfigError(
            "the database is PostgreSQL, this is for the embedded one",
            path="store.database",
            hint="use pg_dump, pg_restore and psql",
        )
    return data.folder / FILE_NAME


def plan_of(
    data: ProjectData, renames: dict[str, str] | None = None, drops: tuple[str, ...] = ()
) -> Plan:
    """What migrating would do."""
    from flinfast.store import migrate as migration
    from flinfast.store.sqlite import FILE_NAME, Database

    if data.url:
        with data.postgres() as postgres:
            return migration.plan(postgres, data.specs, renames=renames, drops=drops)
    if not is_new(data):
        database = Database(database_file(data))
        try:
            return migration.plan(database, data.specs, renames=renames, drops=drops)
        finally:
            database.close()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder, FILE_NAME))
        try:
            return migration.plan(database, data.specs, renames=renames, drops=drops)
        finally:
            database.close()


def show_plan(found: Plan) -> None:
    """Print what would change and what needs a decision."""
    if found.is_empty:
        click.echo("the database fits the entities")
    for line in found.changes:
        click.echo(f"  {line}")
    if found.decisions:
        click.echo("the stored data does not fit the entities:")
        for line in found.decisions:
            click.echo(f"  - {line}")
        if found.command:
            click.echo(f"  = help: run `{found.command}`")


def _renames(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        old, sign, new = text.partition("=")
        if not (sign and old and new):
            raise click.BadParameter(f"expected OLD=NEW, got `{text}`", param_hint="--rename")
        found[old] = new.rpartition(".")[2] if "." in old else new
    return found


def _confirm(question: str, *, yes: bool) -> None:
    """Ask, unless told not to; nobody can be asked without a terminal."""
    if yes:
        return
    if not os.isatty(0):
        raise ConfigError("expected `--yes` where nobody can be asked")
    click.confirm(question, abort=True)


@contextmanager
def _exclusive(data: ProjectData) -> Iterator[SchemaDatabase]:
    from flinfast.store.presence import alone
    from flinfast.store.sqlite import Database

    if data.url:
        with data.postgres() as postgres:
            if postgres.servers():
                raise StoreError(
                    f"a server uses the database {postgres.label}: "
                    "stop it before changing its schema"
                )
            yield postgres
        return
    with alone(data.folder, "changing its schema"):
        database = Database(database_file(data))
        try:
            yield database
        finally:
            database.close()


def _keep_copy(data: ProjectData) -> None:
    from flinfast.cli.progress import progress
    from flinfast.store.backup import backup, next_name

    target = next_name(data.folder, "migrate")
    with progress("Backing up") as advance:
        backup(database_file(data), target, advance)
    click.echo(f"backup: {target}")
