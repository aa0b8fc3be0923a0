"""`flinfast db seed`, `export`, `import` and `copy`: records in and out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from flinfast.cli.db import file_argument, load_data, project_argument
from flinfast.cli.progress import Advance, progress
from flinfast.cli.usage import example
from flinfast.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flinfast.store.base import BaseStore
    from flinfast.store.transfer import Item

_SUFFIX = ".csv"


@click.command(
    "seed",
    short_help="Run a FLIN file that saves records.",
    epilog=example("flinfast db seed seeds/demo.flin chat"),
)
@file_argument
@project_argument
def seed(file: Path, path: Path) -> None:
    """Run the statements of FILE, such as `save User { name: "Ann" }`, in one transaction.

    It may use the entities and functions of the project at PATH. When a statement fails, nothing
    of it stays.
    """
    from flinfast.store.transfer import count

    data = load_data(path, seed=file)
    with data.opened() as store:
        before = {name: count(store, [name]) for name in store.entities}
        data.run(store)
        for name in store.entities:
            added = count(store, [name]) - before[name]
            if added:
                click.echo(f"{name}: {added} more")
    click.echo("done")


@click.command(
    "export",
    short_help="Write records as JSON or CSV.",
    epilog=example(
        "flinfast db export chat > chat.json",
        "flinfast db export chat --format csv --output export/",
    ),
)
@project_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv"]),
    default="json",
    show_default=True,
    help="JSON holds everything, CSV current records.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File (a folder for CSV of several entities); standard output without.",
)
@click.option("--entity", "names", multiple=True, help="Only this one; may be repeated.")
def export(path: Path, form: str, output: Path | None, names: tuple[str, ...]) -> None:
    """Write the records of the project at PATH, deleted ones included.

    JSON also has the old versions. `flinfast db import` reads both without loss.
    """
    with load_data(path).opened() as store:
        chosen = _chosen(store, names)
        with store.transaction(), progress("Exporting") as advance:
            if form == "json":
                with _output(output) as out:
                    _export_json(store, chosen, out, advance)
            else:
                _export_csv(store, chosen, output, advance)


def _chosen(store: BaseStore, names: tuple[str, ...]) -> list[str]:
    from flinfast.store.schema import suggest

    for name in names:
        if name not in store.entities:
            hint = suggest(name, store.entities)
            raise ConfigError(f"the program has no entity `{name}`", hint=hint)
    return list(names) or list(store.entities)


def _items(
    store: BaseStore, names: list[str], advance: Advance | None, *, history: bool
) -> Iterator[Item]:
    from flinfast.store.transfer import count, dump

    total = count(store, names)
    for number, item in enumerate(dump(store, names, history=history), 1):
        yield item
        if advance is not None:
            advance(number, total)


def _export_json(store: BaseStore, names: list[str], out: IO[str], advance: Advance | None) -> None:
    from flinfast.store.export import write_json

    tables = {name: store.entities[name].table for name in names}
    write_json(out, tables, _items(store, names, advance, history=True))


def _export_csv(
    store: BaseStore, names: list[str], output: Path | None, advance: Advance | None
) -> None:
    from flinfast.store.export import write_csv

    single = len(names) == 1 and (output is None or output.suffix == _SUFFIX)
    if output is None and not single:
        raise ConfigError("expected `--output FOLDER` or one `--entity` for CSV")
    for name in names:
        target = output if single or output is None else output / f"{name}{_SUFFIX}"
        with _output(target) as out:
            items = _items(store, [name], advance, history=False)
            write_csv(out, store.entities[name].table, items)


@contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that is whole or not there."""
    if path is None:
        out = open(1, "w", encoding="utf-8", newline="", closefd=False)  # noqa: SIM115
        try:
            yield out
            out.flush()
        except BrokenPipeError:  # `| head`: whoever reads has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise click.exceptions.Exit(0) from None
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(
                os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600),
                "w",
                encoding="utf-8",
                newline="",
            ) as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


@click.command(
    "import",
    short_help="Read records that were exported.",
    epilog=example("flinfast db import chat.json chat", "flinfast db import export/ chat"),
)
@click.argument("file", type=click.Path(path_type=Path))
@project_argument
@click.option("--replace", is_flag=True, help="Records that have the same id make room.")
def import_(file: Path, path: Path, replace: bool) -> None:
    """Read FILE (JSON, or CSV named after its entity) or a folder of CSV files.

    Ids, times, versions and deleted records are kept. It is one transaction: when a record does
    not fit, nothing is read. `-` is JSON from standard input.
    """
    from flinfast.store.transfer import Loader

    with load_data(path).opened() as store:
        with store.transaction(), progress("Importing") as advance:
            loader = Loader(store, replace=replace)
            for item in _read(store, file):
                loader.add(item)
                if advance is not None and loader.count % 100 == 0:
                    advance(loader.count, 0)
            loader.finish()
        click.echo(f"{loader.count} records", err=True)


def _read(store: BaseStore, file: Path) -> Iterable[Item]:
    from flinfast.store.export import read_csv, read_json

    tables = {name: entity.table for name, entity in store.entities.items()}
    if str(file) == "-":
        sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield from read_json(sys.stdin, tables)
        return
    files = sorted(file.glob(f"*{_SUFFIX}")) if file.is_dir() else [file]
    if not files:
        raise ConfigError(f"{file} holds no CSV files")
    for source in files:
        try:
            with source.open(encoding="utf-8", newline="") as text:
                if source.suffix != _SUFFIX:
                    yield from read_json(text, tables)
                    continue
                (name,) = _chosen(store, (source.stem,))
                yield from read_csv(text, tables[name])
        except OSError as error:
            raise ConfigError(f"cannot read {source}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{source} is not UTF-8: byte {error.start}") from None


@click.command(
    "copy",
    short_help="Copy every record to another database, of either engine.",
    epilog=example(
        "flinfast db copy postgres://chat@db.example.com/chat chat",
        "flinfast db copy backup/ chat",
    ),
)
@click.argument("target")
@project_argument
def copy(target: str, path: Path) -> None:
    """Copy the records and sessions of the project at PATH to TARGET, which must be empty.

    TARGET is a `postgres://` URL or a folder for an embedded database. Ids, times, old versions
    and deleted records are kept; it is one transaction. Then set `store.database` to TARGET.
    """
    from flinfast.store import transfer

    data = load_data(path)
    with data.opened() as source, data.opened(target) as into, progress("Copying") as advance:
        count = transfer.copy(source, into, advance)
    click.echo(f"{count} records")
