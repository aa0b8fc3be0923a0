"""A project's data without a server: what the `flinfast db` commands work on.

The whole source is checked, so that entities are those of the program. Only files of entities,
functions and guards are bound, and a seed file where one is run; routes never are.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from flinfast.errors import ConfigError, RuntimeFault
from flinfast.lang.program import CompiledFile, KeptState
from flinfast.lang.source import SOURCE_BYTES_MAX, Source
from flinfast.native.hub import Hub
from flinfast.runtime.database import is_postgres, open_store, postgres_schema
from flinfast.runtime.encode import encode_json
from flinfast.runtime.entity_spec import entity_specs
from flinfast.runtime.error_page import fault_reply
from flinfast.runtime.loading import Binder, Compiled, compile_files
from flinfast.runtime.project import Project, ProjectFile, line_reader, load_project
from flinfast.runtime.response import Reply
from flinfast.runtime.secret import load_secrets
from flinfast.runtime.services import Log, Services, Timer
from flinfast.runtime.session import SessionManager
from flinfast.runtime.waiting import WaitingPool
from flinfast.settings import Settings
from flinfast.store.base import BaseStore
from flinfast.store.quick import unix_ms
from flinfast.store.schema import EntitySpec

if TYPE_CHECKING:
    from flinfast.store.postgres.database import PostgresDatabase

T = TypeVar("T")

# Files that are bound: others have routes, whose file-level code belongs to a server.
_BOUND: Final = ("entities", "lib", "guards")


class _NoTimer:
    """A timer of a loop that ends before any is due."""

    def cancel(self) -> None:
        """Nothing to forget."""


class BlockingScheduler:
    """A loop for commands: threads are the caller's own, callbacks run when it says so."""

    def __init__(self) -> None:
        self._ready: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the next `settle`."""
        self._ready.append(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Commands are over before a timer is due."""
        return _NoTimer()

    def run_in_thread(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> None:
        """Run `work` now, `done` in the next `settle`."""
        result: T | BaseException
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is handed to whoever asked for the work
            result = error
        self._ready.append(lambda: done(result))

    def run_waiting(
        self, work: Callable[[], T], done: Callable[[T | BaseException], None]
    ) -> Callable[[], None]:
        """run_in_thread(); it has run when this returns, so nothing can be dropped."""
        self.run_in_thread(work, done)
        return lambda: None

    def run_computing(
        self,
        work: Callable[[], T],
        done: Callable[[T | BaseException], None],
        is_wanted: Callable[[], bool] | None = None,
    ) -> Callable[[], None]:
        """run_waiting(): nothing waits in line, so everything is wanted."""
        return self.run_waiting(work, done)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the next `settle`."""
        self._ready.append(callback)

    def settle(self) -> None:
        """Run what is ready until nothing is left."""
        while self._ready:
            self._ready.popleft()()


class ProjectData:
    """The data of one project.

    Args:
        path: Project root, its `app` folder, or one `.flin` file.
        settings: All settings.
        log: Where log lines of seeds go.
        seed: A FLIN file whose statements `run` runs.
        kept: See `compile_files`: what compiling leaves, for inputs that are compiled beside it.

    Attributes:
        root: Project root.
        folder: Where its data lies.
        specs: Its entities.
        kept: As given.
        project: Its files.

    Raises:
        CompileError: The source, or the seed file, has faults.
        ConfigError: There is no project, or no such seed file.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        *,
        log: Log,
        seed: Path | None = None,
        kept: KeptState | None = None,
    ) -> None:
        project = load_project(path)
        if seed is not None:
            project.files.append(_seed_file(project, seed))
        self.root = project.root
        self.folder = self.root / settings.store.path
        self._settings = settings
        self._log = log
        self.kept = kept
        self.project = project
        self._compiled = _without_routes(compile_files(project, kept=kept))
        self._binder: Binder | None = None
        self._scheduler = BlockingScheduler()
        self.specs: list[EntitySpec] = entity_specs(
            self._compiled.entities, self._compiled.enums, self._default_of
        )

    def _default_of(self, path: str, key: str) -> Callable[[], Any]:
        assert self._binder is not None
        return self._binder.default_of(path, key)

    @contextlib.contextmanager
    def opened(self, target: str | None = None) -> Iterator[BaseStore]:
        """The store, with changes of the schema made that cannot lose data.

        Args:
            target: A URL of PostgreSQL, or a folder, instead of what the settings say.

        Raises:
            StoreError: It cannot be opened, or its schema needs a decision.
            RuntimeFault: File-level code failed, which includes that of the seed file.
        """
        settings, folder = self._settings, self.folder
        if target is not None:
            is_url = is_postgres(target)
            chosen = replace(settings.store, database=target if is_url else "")
            settings = replace(settings, store=chosen)
            folder = folder if is_url else Path(target)
        store = open_store(
            settings,
            folder,
            self.specs,
            clock_ms=unix_ms,
            scheduler=self._scheduler,
        )
        try:
            yield store
            store.flush()
            self._scheduler.settle()
        finally:
            store.close()

    @property
    def url(self) -> str:
        """URL of its PostgreSQL database, "" when it is embedded."""
        return self._settings.store.database

    @contextlib.contextmanager
    def postgres(self) -> Iterator[PostgresDatabase]:
        """Its PostgreSQL database, to look at tables and change them; raises StoreError."""
        with postgres_schema(self._settings) as database:
            yield database

    def run(self, store: BaseStore) -> Binder:
        """Bind the files, which runs their file-level code, all in one transaction."""
        services = self._services(store)
        reply = _unused_reply(self._compiled.project)
        binder = self._binder = Binder(self._compiled, services, reply)
        services.hub.begin(None)
        try:
            with store.transaction():
                binder.bind()
        finally:
            services.hub.rollback()
        return binder

    def _services(self, store: BaseStore) -> Services:
        settings = self._settings
        secrets = load_secrets(
            settings.session.secret, settings.session.previous_secrets, self.folder
        )
        hub = Hub(encode_json)
        sessions = SessionManager(
            table=store.sessions,
            settings=settings.session,
            keys=secrets,
            clock_ms=unix_ms,
            find_record=lambda entity, id: store.handle(entity).find(id),
            drop=hub.drop,
        )
        return Services(
            hub=hub,
            store=store,
            root=self.root,
            settings=settings,
            clock_ms=unix_ms,
            log=self._log,
            scheduler=self._scheduler,
            waiter=WaitingPool(self._scheduler, settings.server.handler_timeout_s),
            sessions=sessions,
            secrets=secrets,
        )


def _seed_file(project: Project, path: Path) -> ProjectFile:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > SOURCE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {SOURCE_BYTES_MAX >> 20} MB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: byte {error.start}") from None
    return ProjectFile(Source(str(path), text), "seed")


def _without_routes(compiled: Compiled) -> Compiled:
    """The program without files that have routes, unless they declare entities."""

    def is_bound(file: CompiledFile) -> bool:
        return file.info.kind in (*_BOUND, "seed") or bool(file.info.entities)

    files = tuple(file for file in compiled.program.files if is_bound(file))
    kept = [file for file in compiled.project.files if file.pattern is None]
    project = replace(compiled.project, files=kept)
    return replace(compiled, project=project, program=replace(compiled.program, files=files))


def _unused_reply(project: Project) -> Callable[[RuntimeFault], Reply]:
    read_line = line_reader(project)
    return lambda fault: fault_reply(fault, shows_detail=False, read_line=read_line)
