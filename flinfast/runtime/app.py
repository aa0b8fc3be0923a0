"""A loaded project: what the server asks to answer requests and upgrades.

`App` owns the program's hub, store, sessions and limits, which outlive a reload; the route table
and the closures behind it are replaced as a whole, so open connections stay and use the new
handlers from their next message on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from flinfast.errors import FlinError, RuntimeFault, StoreError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.native.hub import Endpoint, Hub
from flinfast.runtime.compile_apart import compile_apart
from flinfast.runtime.context import RequestContext, WsContext
from flinfast.runtime.cookie import parse_cookies
from flinfast.runtime.database import open_store
from flinfast.runtime.encode import encode_json
from flinfast.runtime.entity_spec import entity_specs
from flinfast.runtime.error_page import fault_reply, plain_response, standard_reply
from flinfast.runtime.error_page import reply_to_response as to_answer
from flinfast.runtime.event_stream import EventStreams
from flinfast.runtime.loading import (
    Binder,
    Compiled,
    Route,
    RouteRow,
    build_router,
    compile_files,
)
from flinfast.runtime.middleware import Plan
from flinfast.runtime.origin import SAFE_METHODS, is_allowed, may_change
from flinfast.runtime.project import line_reader, load_project
from flinfast.runtime.request import Request
from flinfast.runtime.response import Reply, Response
from flinfast.runtime.router import BadPath, Router
from flinfast.runtime.runner import Respond, Runner, Straight
from flinfast.runtime.secret import load_secrets
from flinfast.runtime.services import Log, Scheduler, Services, Timer
from flinfast.runtime.session import CLOSE_CODE, CLOSE_REASON, SessionManager
from flinfast.runtime.turns import run_in_turns
from flinfast.runtime.waiting import WaitingPool
from flinfast.runtime.ws_service import WsService
from flinfast.settings import Settings
from flinfast.store.base import BaseStore
from flinfast.store.presence import Presence
from flinfast.store.quick import unix_ms

SWEEP_S: Final = 1.0  # how soon connections of an expired session are closed


class Match:
    """A route and the parameter values of a path.

    Attributes:
        route: The route.
        values: Values in the order of the route's parameters.
    """

    __slots__ = ("route", "values")

    def __init__(self, route: Route, values: tuple[str, ...]) -> None:
        self.route = route
        self.values = values

    @property
    def params(self) -> dict[str, str]:
        """Path parameters."""
        values = self.values
        return dict(zip(self.route.names, values, strict=True)) if values else {}


class Upgrade(Struct, frozen=True):
    """An accepted upgrade.

    Attributes:
        endpoint: What the connection belongs to.
        context: The connection, to be opened by the hub.
        headers: Further fields of the 101 response.
        protocol: Chosen subprotocol, or "".
        renew: Makes the connection for an equal request from an address, when every equal request
            is accepted until the program is loaded again; None when each one is decided anew.
    """

    endpoint: Endpoint
    context: WsContext
    headers: list[tuple[str, str]]
    protocol: str = ""
    renew: Callable[[str], WsContext] | None = None


class App:
    """One running program.

    Attributes:
        root: Project root.
        settings: All settings.
        hub: Open connections; the server attaches it to the loop.
        services: What the program's builtins reach.
        runner: Runs handlers.
        routes: One row per handler, for `flinfast routes`.
        warnings: Diagnostics that do not stop the program.
        epoch: How many programs it has run; what was derived from an earlier one is void.
        when_closed: Told of each connection that is gone, before `on close`; must not raise.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        *,
        scheduler: Scheduler,
        log: Log,
        hub: Hub | None = None,
        clock_ms: Callable[[], int] | None = None,
        compiled: Compiled | None = None,
    ) -> None:
        project = load_project(path) if compiled is None else compiled.project
        self.root = project.root
        self.settings = settings
        self._folder = self.root / settings.store.path
        compiled = compiled or compile_files(project, self._folder)
        self._path = path
        self._scheduler = scheduler
        self._clock_ms = clock_ms or unix_ms
        self.hub = _make_hub(settings) if hub is None else hub
        secrets = load_secrets(
            settings.session.secret, settings.session.previous_secrets, self._folder
        )
        self._pool = WaitingPool(scheduler, settings.server.handler_timeout_s)
        self._binder: Binder
        self._next_binder: Binder | None = None
        self._presence = Presence(self._folder)
        try:
            store = self._open_store(compiled)
        except BaseException:
            self._presence.close()
            raise
        sessions = SessionManager(
            table=store.sessions,
            settings=settings.session,
            keys=secrets,
            clock_ms=self._clock_ms,
            find_record=self.find_record,
            drop=self.hub.drop,
            is_shared=settings.server.workers > 1 or store.waits,
        )
        store.on_change = sessions.record_changed
        self.services = Services(
            hub=self.hub,
            store=store,
            root=self.root,
            settings=settings,
            clock_ms=self._clock_ms,
            log=log,
            scheduler=scheduler,
            waiter=self._pool,
            sessions=sessions,
            secrets=secrets,
        )
        self.runner = Runner(self.services, self._pool)
        self.services.streams = EventStreams(self)
        self._sites: dict[tuple[str, ...], WsService] = {}
        self._is_closed = False
        self.epoch = 0
        self.when_closed: Callable[[WsContext], None] | None = None
        try:
            self._use(compiled)
        except BaseException:
            store.close()
            self._presence.close()
            raise
        if self._presence.has_company and settings.server.workers == 1:
            text = "another server uses the same data: rooms and broadcasts reach only one of them"
            log("warn", text, {"folder": str(self._folder)}, "")
        if count := self.services.folder.remove_abandoned():
            text = "removed unfinished files of a process that was killed"
            log("info", text, {"count": count}, "")
        self._timer: Timer | None = scheduler.call_later(SWEEP_S, self._sweep)

    @classmethod
    def load(
        cls,
        root: Path,
        settings: Settings,
        *,
        scheduler: Scheduler,
        log: Log,
        hub: Hub | None = None,
        clock_ms: Callable[[], int] | None = None,
        compiled: Compiled | None = None,
    ) -> App:
        """Load the project at a path.

        Args:
            root: Project root, its `app` folder, or one `.flin` file.
            settings: All settings.
            scheduler: The loop.
            log: Where log lines go.
            hub: Open connections; made with the settings when None.
            clock_ms: Unix time in milliseconds; the system's when None.
            compiled: The checked program, when it is known; then nothing is read from disk.

        Raises:
            CompileError: The source has faults; all of them are in it.
            ConfigError: There is no project, or the session secret cannot be used.
            StoreError: The database cannot be opened, or its schema needs a decision.
            RuntimeFault: File-level code failed.
        """
        return cls(
            root,
            settings,
            scheduler=scheduler,
            log=log,
            hub=hub,
            clock_ms=clock_ms,
            compiled=compiled,
        )

    # --- requests ----------------------------------------

    def match(self, path: str) -> Match | None:
        """The route of a request path; None when no file has it.

        Raises:
            BadPath: The path is malformed; answer with its status.
        """
        found = self._router.match(path)
        return None if found is None else Match(*found)

    def handle(self, match: Match, request: Request, respond: Respond) -> None:
        """Answer a request; `respond` is called once, now or later."""
        route = match.route
        plan = route.plans.get(request.method)
        if plan is None:
            plan = self._stand_in(route, request, respond)
            if plan is None:
                return
        if request.method not in SAFE_METHODS and self._is_forged(request):
            respond(self.error_response(403, "Cross-origin request refused", request))
            return
        self.runner.request(plan, request, match.params, respond)

    def straight(self, request: Request, make_id: Callable[[], str]) -> Straight | None:
        """The way to answer requests equal to one, while this program runs.

        None when its handler reads or writes stored data, waits, or has anything before it.
        `make_id` gives each of them its id.
        """
        match: Match | None = None
        with contextlib.suppress(BadPath):
            match = self.match(request.path)
        plan = None if match is None else match.route.plans.get(request.method)
        if match is None or plan is None or not plan.is_plain:
            return None
        return self.runner.straight(plan, match.route.names, match.values, request, make_id)

    def _stand_in(self, route: Route, request: Request, respond: Respond) -> Plan | None:
        """The way of a method that no block names; None when `respond` was called."""
        method = request.method
        if method == "HEAD" and "GET" in route.plans:
            return route.plans["GET"]
        if method == "OPTIONS":
            return route.options
        if method in ("GET", "HEAD") and route.ws is not None:
            reply = standard_reply(
                426, headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            )
        else:
            reply = standard_reply(405, headers={"Allow": route.allow})
        respond(to_answer(reply, request, encode_json))
        return None

    def _is_forged(self, request: Request) -> bool:
        """Whether another site's page may have caused a request that carries our session cookie."""
        if not self._has_session_cookie(request):
            return False
        allowed = (*self.settings.security.cors_origins, *self.settings.ws.allowed_origins)
        return not may_change(request, [origin for origin in allowed if origin != "*"])

    def _has_session_cookie(self, request: Request) -> bool:
        header = request.header_joined("cookie", "; ")
        return bool(header) and self.services.sessions.has_cookie(parse_cookies(header))

    def upgrade(
        self,
        match: Match,
        request: Request,
        accept: Callable[[Upgrade], None],
        reject: Respond,
    ) -> None:
        """Decide about an upgrade; `accept` or `reject` is called once, now or later.

        The server has checked the handshake itself. Middleware and guards run first, so nothing
        of a handler has happened when it is refused.
        """
        route = match.route
        entry = route.ws
        if entry is None:
            reject(self.error_response(404, "", request))
            return
        if entry.is_open and not request.header("cookie"):
            accept(self._open_upgrade(match, request))
            return
        if self._has_session_cookie(request) and not is_allowed(
            request, self.settings.ws.allowed_origins
        ):
            reject(self.error_response(403, "Origin not allowed", request))
            return

        def accepted(context: RequestContext, reply: Reply) -> None:
            if self.has_too_many(context):
                reject(self.error_response(429, "Too many connections", request))
                return
            accept(self._upgrade(match, context, reply))

        self.runner.request(entry.plan, request, match.params, reject, accepted)

    def has_too_many(self, context: RequestContext) -> bool:
        """Whether the session of a request has as many connections as one may have."""
        state = context.session.state
        return (
            state is not None and state.connection_count >= self.settings.ws.connections_per_session
        )

    def _open_upgrade(self, match: Match, request: Request) -> Upgrade:
        """An upgrade that nothing can refuse and that comes without a session."""
        service = self._sites[match.route.pattern.shape]
        path = service.site.shared_path(request.path)

        def renew(address: str) -> WsContext:
            return WsContext(service.site, path, address, match.values)

        return Upgrade(service.endpoint, renew(request.peer), [], renew=renew)

    def _upgrade(self, match: Match, context: RequestContext, reply: Reply) -> Upgrade:
        service = self._sites[match.route.pattern.shape]
        state = context.session.state
        connection = WsContext.of(
            service.site,
            context.raw,
            match.values,
            None if state is None or state.is_ended else state,
            context.upgrade_user(),
        )
        connection.rights = context.session.rights
        if context.message_limit is not None:
            connection.limit = context.message_limit
        headers = [*reply.headers.fields(), *(("Set-Cookie", line) for line in reply.cookies)]
        return Upgrade(service.endpoint, connection, headers)

    def not_found(self, request: Request) -> Response:
        """404 for a path that nothing has."""
        return plain_response(404, "", request)

    def error_response(self, status: int, message: str, request: Request) -> Response:
        """An error in the standard shape, or a plain page where HTML is preferred."""
        return plain_response(status, message, request)

    # --- connections ----------------------------------------

    def opened(self, handler: Callable[[WsContext], Any] | None, connection: WsContext) -> None:
        """`on connect`: first the connection joins its session, if that has not ended meanwhile."""
        state = connection.session_state
        if state is not None and connection.session_index < 0:
            if self.services.sessions.is_over(state, connection.rights):
                self.hub.drop(connection, CLOSE_CODE, CLOSE_REASON)
                return
            self.services.sessions.attach(state, connection)
        if handler is not None:
            handler(connection)

    def closed(self, handler: Callable[[WsContext], Any] | None, connection: WsContext) -> None:
        """`on close`: the connection leaves its session first."""
        if self.when_closed is not None:
            self.when_closed(connection)
        state = connection.session_state
        if state is not None:
            self.services.sessions.detach(state, connection)
        if handler is not None:
            handler(connection)

    def find_record(self, entity: str, id: int) -> Any:
        """A live record, None when it or its entity is gone."""
        store = self.services.store
        try:
            handle = store.handle(entity)
        except KeyError:
            return None
        found = handle.find(id)
        if store.pending and not store.group.in_handler:
            # A handler that nobody expected to read: it may tell others what it saw, at once.
            store.flush()
        return found

    def closure(self, path: str, key: str) -> Callable[..., Any]:
        """A closure of the file at `path`, by the key that its `...Info` names."""
        return self._binder.closures[path][key]

    # --- life ----------------------------------------

    @property
    def can_store(self) -> bool:
        """Whether what handlers write can still become durable."""
        return not self.services.store.has_failed

    def reload(self) -> None:
        """Read the project again and go on with it; connections and sessions stay.

        When it fails, the program that runs now goes on as it was.

        Raises:
            CompileError: The source has faults.
            ConfigError: The project is gone.
            StoreError: The changed entities do not fit the database.
            RuntimeFault: File-level code failed.
        """
        self._adopt(compile_files(load_project(self._path), self._folder))

    def reload_apart(self, done: Callable[[BaseException | None], None]) -> None:
        """reload() while connections are served: in another process, then a file at a time.

        Args:
            done: Called in the loop with what reload() would have raised, or None.
        """

        def compiled(result: Compiled | BaseException) -> None:
            if self._is_closed:
                return
            if isinstance(result, BaseException):
                done(result)
                return
            is_small = result.shape == self._compiled.shape
            steps = self._use_steps(result) if is_small else self._adopt_at_once(result)
            run_in_turns(steps, self._scheduler, lambda: self._is_closed, done)

        self._scheduler.run_waiting(partial(compile_apart, self._path, self._folder), compiled)

    def _adopt_at_once(self, compiled: Compiled) -> Iterator[None]:
        """One step: the database is opened again, for other entities."""
        self._adopt(compiled)
        yield

    def _adopt(self, compiled: Compiled) -> None:
        """Go on with another program; raises as reload()."""
        if compiled.shape == self._compiled.shape:
            self._use(compiled)
            return
        before = self._compiled
        try:
            self._use_store(compiled)
            self._use(compiled)
        except FlinError:
            self._use_store(before)
            self._use(before)
            raise

    def close(self) -> None:
        """End waiting handlers, write everything out and close the database.

        Raises:
            StoreError: What was written last is lost.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._pool.close()
        with contextlib.suppress(StoreError):
            self._write_touched()
        try:
            self.services.store.close()
        finally:
            self.services.folder.close()
            self._presence.close()

    # --- private ----------------------------------------

    def _use_store(self, compiled: Compiled) -> None:
        """Open the database again for other entities."""
        self.services.store.close()
        store = self._open_store(compiled)
        self.services.store = store
        self.services.sessions.table = store.sessions
        store.on_change = self.services.sessions.record_changed

    def _open_store(self, compiled: Compiled) -> BaseStore:
        specs = entity_specs(
            compiled.entities,
            compiled.enums,
            self._default_of,
        )
        return open_store(
            self.settings,
            self._folder,
            specs,
            clock_ms=self._clock_ms,
            scheduler=self._scheduler,
            pool=self._pool,
        )

    def _default_of(self, path: str, key: str) -> Callable[[], Any]:
        """Maker of a field's default, of the program that is being bound if it has it already."""
        binder = self._next_binder
        if binder is None or path not in binder.closures:
            binder = self._binder
        return binder.default_of(path, key)

    def _use(self, compiled: Compiled) -> None:
        """Bind a compiled program and put it in place of the one that runs."""
        for _ in self._use_steps(compiled):
            pass

    def _use_steps(self, compiled: Compiled) -> Iterator[None]:
        """_use() in steps; the program that runs goes on until the last."""
        read_line = line_reader(compiled.project)
        shows_detail = self.settings.mode == "dev"

        def reply_of(fault: RuntimeFault) -> Reply:
            return fault_reply(fault, shows_detail=shows_detail, read_line=read_line)

        binder = Binder(compiled, self.services, reply_of)
        self._next_binder = binder  # file-level code may make records, which have defaults
        try:
            yield from binder.steps()
            self._binder = binder
        finally:
            self._next_binder = None
        routes = binder.routes
        self.epoch += 1
        self._compiled = compiled
        self._router: Router[Route] = build_router(routes)
        self.routes: list[RouteRow] = binder.rows
        self.warnings: tuple[Diagnostic, ...] = compiled.program.diagnostics
        self._use_ws(routes)

    def _use_ws(self, routes: Mapping[tuple[str, ...], Route]) -> None:
        for shape, route in routes.items():
            if route.ws is None:
                continue
            known = self._sites.get(shape)
            if known is None:
                self._sites[shape] = WsService(self, route, route.ws)
            else:
                known.swap(route, route.ws)
        for shape, service in self._sites.items():
            if shape not in routes or routes[shape].ws is None:
                service.retire()

    def _sweep(self) -> None:
        """Once a second: expired sessions, and what they have to store."""
        if self._is_closed:
            return
        if self.services.store.waits:
            with contextlib.suppress(RuntimeFault):  # too many wait: the next sweep does it
                self._pool.run(self._look_after_sessions)
        else:
            self._look_after_sessions()
        self._timer = self._scheduler.call_later(SWEEP_S, self._sweep)

    def _look_after_sessions(self) -> None:
        if fault := self.services.store.look_after():
            self.services.log("error", fault, {}, "")
        try:
            self.services.sessions.sweep()
            self._write_touched()
        except (StoreError, RuntimeFault) as error:
            self.services.log("error", f"sessions could not be stored: {error}", {}, "")

    def _write_touched(self) -> None:
        sessions, store = self.services.sessions, self.services.store
        if not sessions.housekeeping():
            return
        store.begin(writes=True)
        try:
            sessions.store_touched()
        except BaseException:
            store.rollback()
            raise
        store.commit()


def _make_hub(settings: Settings) -> Hub:
    limits = settings.ws
    return Hub(
        encode_json,
        heartbeat_s=limits.heartbeat_s,
        timeout_s=limits.timeout_s,
        close_s=limits.close_s,
        rooms_per_connection_max=limits.rooms_max,
        queue_bytes_total=limits.queue_total,
    )
