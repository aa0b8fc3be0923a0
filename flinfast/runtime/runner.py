"""Runs handlers: requests, upgrades and `ws` events, each as a transaction.

Whatever happens in a handler ends here: the answer or the close code of its fault, one log line,
and nothing else. A run that met a conflict is repeated; a run that waits goes on in a later turn.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from flinfast.errors import FlinError, RuntimeFault
from flinfast.runtime.context import RequestContext, WsContext
from flinfast.runtime.encode import encode_json
from flinfast.runtime.error_page import plain_response, reply_to_response
from flinfast.runtime.fault import TimeLimitFault, UnavailableFault, place_text, to_fault
from flinfast.runtime.handler import Transaction, may_retry
from flinfast.runtime.known_context import KnownContext
from flinfast.runtime.middleware import SWITCHING, Plan, finish
from flinfast.runtime.request import Request
from flinfast.runtime.response import Reply, Response, Stop
from flinfast.runtime.session_value import SessionChange
from flinfast.runtime.waiting import NobodyWaits, WaitingPool

if TYPE_CHECKING:
    from flinfast.lang.program import Effects
    from flinfast.runtime.services import Services

BACK_OFF_S: Final = 0.002  # least pause before a repetition, doubled each time
BACK_OFF_MAX_S: Final = 1.0
SLOW_S: Final = 0.05  # a handler that holds the loop for longer is worth a warning
CLOSE_FAULT: Final = 1011  # RFC 6455 section 7.4.1: an unexpected condition

Respond = Callable[[Response], None]
Accept = Callable[[RequestContext, Reply], None]


class Runner:
    """Runs every handler of a program.

    Args:
        services: What the program is bound to.
        pool: Runs handlers that wait.
    """

    __slots__ = ("_pool", "services")

    def __init__(self, services: Services, pool: WaitingPool) -> None:
        self.services = services
        self._pool = pool

    # --- requests ----------------------------------------

    def request(
        self,
        plan: Plan,
        raw: Request,
        params: dict[str, str],
        respond: Respond,
        accept: Accept | None = None,
    ) -> None:
        """Run a request to its end.

        Args:
            plan: The way to its handler.
            raw: The request.
            params: Path parameters.
            respond: Called once with the response, now or later, unless `accept` is.
            accept: For an upgrade: called instead, when nothing refused it.
        """
        run = _RequestRun(self, plan, raw, params, respond, accept)
        if plan.is_plain:
            run.go_straight()
            return
        if not plan.waits:
            run.go()
            return
        try:
            is_wanted = getattr(respond, "is_wanted", None)  # a server's knows its connection
            self._pool.run(lambda: run.go(self._pool), is_wanted)
        except RuntimeFault as fault:
            run.refuse(fault)

    def straight(
        self,
        plan: Plan,
        names: tuple[str, ...],
        values: tuple[str, ...],
        request: Request,
        make_id: Callable[[], str],
    ) -> Straight:
        """The parts of request() for a plain plan, for whoever runs its handler often.

        Args:
            plan: The way to a handler and nothing else.
            names: Path parameters.
            values: Their values.
            request: One of the requests, which are equal but for their ids.
            make_id: Gives each of the others its id.
        """
        if plan.handler is None:
            raise ValueError("expected a plan with a handler")
        template = replace(request)

        def make_request() -> Request:
            return replace(template, id=make_id())

        make_context = partial(KnownContext, self.services, make_request, names, values)
        return Straight(self, plan, plan.handler, make_context)

    def warn_when_slow(self, raw: Request, started: float) -> None:
        """One line when a request held the loop for too long."""
        taken_ms = (time.perf_counter() - started) * 1000
        if taken_ms > SLOW_S * 1000:
            fields = {"ms": round(taken_ms), "request": raw.id}
            text = f"{raw.method} {raw.path} held the loop for {taken_ms:.0f} ms"
            self.services.log("warn", text, fields, "")

    def log_fault(
        self, fault: RuntimeFault, cause: BaseException, fields: dict[str, Any], what: str
    ) -> None:
        """One line about a failed handler; the Python exception behind it at debug level."""
        log, place = self.services.log, place_text(fault.path, fault.line)
        log("error", f"{what} failed: {fault}", {"code": fault.code, **fields}, place)
        if not isinstance(cause, FlinError):
            log("debug", f"cause: {type(cause).__name__}: {cause}", fields, place)

    # --- tests ----------------------------------------

    def test(
        self,
        closure: Callable[..., object],
        effects: Effects,
        context: RequestContext,
        done: Callable[[Exception | None], None],
    ) -> None:
        """Run a `test` block; what it wrote and sent since its last wait is forgotten.

        Args:
            closure: The block.
            effects: Its effects.
            context: What it sees.
            done: Called once, now or later, with what ended the test; None when it passed.
        """
        services = self.services

        def job() -> None:
            transaction = Transaction(
                services.hub, services.store, None, uses_store=True, writes=effects.writes
            )
            failure: Exception | None = None
            try:
                transaction.begin()
                self._pool.use(transaction)
                closure(context)
            except Exception as error:  # noqa: BLE001 - it is the outcome of the test
                failure = error
            transaction.abandon()
            done(failure)

        self._pool.run(job)

    # --- ws events ----------------------------------------

    def event(
        self,
        event: str,
        closure: Callable[..., object],
        args: tuple[Any, ...],
        effects: Effects,
    ) -> bool:
        """Run a `ws` handler that may write, read or wait.

        Returns:
            False when it waits; `Hub.handler_done()` is called when it has ended.
        """
        if not (effects.waits or self.services.store.waits):
            self._event(event, closure, args, effects, None)
            return True
        is_late = False

        def job() -> None:
            self._event(event, closure, args, effects, self._pool)
            if is_late:
                self.services.hub.handler_done(args[0])

        # What `on close` does is for those who are left.
        is_wanted = None if event == "close" else lambda: args[0].is_open
        try:
            has_ended = self._pool.run(job, is_wanted)
        except RuntimeFault as fault:
            self.report(event, args[0], fault)
            return True
        is_late = not has_ended
        return has_ended

    def _event(
        self,
        event: str,
        closure: Callable[..., object],
        args: tuple[Any, ...],
        effects: Effects,
        pool: WaitingPool | None,
    ) -> None:
        services = self.services
        attempt = 0
        while True:
            began = time.perf_counter() if pool is not None else 0.0
            transaction = Transaction(
                services.hub,
                services.store,
                args[0],
                uses_store=effects.reads or effects.writes,
                writes=effects.writes,
            )
            try:
                transaction.begin()
                if pool is not None:
                    pool.use(transaction)
                closure(*args)
                transaction.commit(self._lost(event, args[0]))
            except BaseException as error:
                transaction.abandon()
                if not isinstance(error, Exception):
                    raise
                if may_retry(error, transaction, attempt):
                    attempt += 1
                    back_off(pool, attempt, began)
                    continue
                if not isinstance(error, NobodyWaits):
                    self.report(event, args[0], error)
                return
            return

    def _lost(self, event: str, connection: WsContext) -> Callable[[BaseException | None], None]:
        def done(error: BaseException | None) -> None:
            if error is not None:
                self.report(event, connection, error)

        return done

    def report(self, event: str, connection: Any, error: BaseException) -> None:
        """A `ws` handler failed: log it, and close the connection where that is the rule."""
        fault = to_fault(error)
        fields = {"path": connection.path, "connection": connection.connection_id}
        self.log_fault(fault, error, fields, f"`on {event}`")
        if event == "connect" or isinstance(fault, TimeLimitFault):
            self.services.hub.drop(connection, CLOSE_FAULT, "")


def back_off(pool: WaitingPool | None, attempt: int, began: float) -> None:
    """Wait a random moment before a run that met a conflict is repeated, longer each time.

    Args:
        pool: Runs handlers that wait; None for a store where no run can meet another.
        attempt: 1 before the first repetition.
        began: When the run that failed began, `perf_counter()`: what conflicts takes as long.
    """
    if pool is not None:
        run_s = max(BACK_OFF_S, time.perf_counter() - began)
        pool.back_off(random.uniform(0, min(BACK_OFF_MAX_S, run_s * 2**attempt)))


class Straight(Struct, frozen=True):
    """The way of equal requests to their handler, which has no other steps.

    Whoever goes it opens the hub's log, calls the handler with a new context and either commits
    the log and answers with the JSON of what it gave (200, without fields of its own), or calls
    finish(). The latter whenever the handler raised, gave something that is not one of
    `response.JSON_KINDS`, or touched its response or session.

    Attributes:
        runner: Whose it is.
        plan: Nothing but the handler.
        handler: The route's closure.
        make_context: Gives a context of its own to each run.
    """

    runner: Runner
    plan: Plan
    handler: Callable[[KnownContext], Any]
    make_context: Callable[[], KnownContext]

    def finish(
        self, context: KnownContext, value: Any, error: BaseException | None, respond: Respond
    ) -> None:
        """Answer as request() would have; the hub's log is open.

        Args:
            context: What the handler saw.
            value: What it gave.
            error: What it raised, or what making JSON of the value did.
            respond: Called once with the response, now or later.
        """
        run = _RequestRun(self.runner, self.plan, context.raw, context.params, respond, None)
        run.finish_straight(context, value, error)

    def warn_when_slow(self, context: KnownContext, started: float) -> None:
        """One line when a run that began at `started` (perf_counter) held the loop too long."""
        self.runner.warn_when_slow(context.raw, started)


class _RequestRun:
    """One request on its way; `go` may be called again from its start after a conflict."""

    __slots__ = ("_accept", "_params", "_plan", "_raw", "_respond", "_runner", "_started")

    def __init__(
        self,
        runner: Runner,
        plan: Plan,
        raw: Request,
        params: dict[str, str],
        respond: Respond,
        accept: Accept | None,
    ) -> None:
        self._runner = runner
        self._plan = plan
        self._raw = raw
        self._params = params
        self._respond = respond
        self._accept = accept
        self._started = time.perf_counter()

    def go(self, pool: WaitingPool | None = None) -> None:
        """Run until an answer is given, or will be when the writes are durable."""
        services, plan = self._runner.services, self._plan
        attempt = 0
        while True:
            began = time.perf_counter() if pool is not None else 0.0
            transaction = Transaction(
                services.hub,
                services.store,
                None,
                uses_store=plan.uses_store,
                writes=plan.writes,
            )
            context = RequestContext(
                services, self._raw, self._params, is_upgrade=self._accept is not None
            )
            try:
                transaction.begin()
                if pool is not None:
                    pool.use(transaction)
                reply = plan.run(context)
                finish = self._finisher(context, reply)
                if context.failure is None:
                    self._commit(transaction, context, finish)
                else:
                    self._abandon(transaction, context.failure, context.failure_cause)
                    self._after_failure(finish)
            except BaseException as error:
                transaction.abandon()
                if not isinstance(error, Exception):
                    raise
                if may_retry(error, transaction, attempt):
                    attempt += 1
                    back_off(pool, attempt, began)
                    continue
                self.refuse(error)
            if pool is None:
                self._runner.warn_when_slow(self._raw, self._started)
            return

    def go_straight(self) -> None:
        """go() for a plan that is nothing but a handler without stored data."""
        services = self._runner.services
        context = RequestContext(services, self._raw, self._params)
        services.hub.begin(None)
        value, error = None, None
        try:
            value = self._plan.value(context)
        except BaseException as raised:  # noqa: BLE001 - judged by finish_straight()
            error = raised
        self.finish_straight(context, value, error)

    def finish_straight(
        self, context: RequestContext, value: Any, error: BaseException | None
    ) -> None:
        """Answer with what the handler of a plain plan gave or raised; the hub's log is open."""
        services = self._runner.services
        hub = services.hub
        try:
            if isinstance(error, Stop):
                value = error.reply
            elif error is not None:
                raise error
            reply = finish(context, value)
            response = reply_to_response(reply, self._raw, encode_json)
        except BaseException as fault:
            hub.rollback()
            if not isinstance(fault, Exception):
                raise
            self.refuse(fault)
            return
        if context.opened_session is None:
            hub.commit()
            self._answer_with(response)
        else:  # a builtin used it, such as csrf_token()
            transaction = Transaction(hub, services.store, None, uses_store=False, writes=False)
            transaction.adopt()
            self._commit_or_refuse(transaction, context, self._finisher(context, reply))
        self._runner.warn_when_slow(self._raw, self._started)

    def _commit_or_refuse(
        self, transaction: Transaction, context: RequestContext, finish: Callable[[str], None]
    ) -> None:
        try:
            self._commit(transaction, context, finish)
        except Exception as error:  # noqa: BLE001 - the write is lost, the server goes on
            transaction.abandon()
            self.refuse(error)

    def _finisher(self, context: RequestContext, reply: Reply) -> Callable[[str], None]:
        """The last step, with everything that can fail done now; its argument is a cookie."""
        if reply.status == SWITCHING and self._accept is not None:
            accept = self._accept

            def open_connection(cookie: str) -> None:
                if cookie:
                    reply.cookies.append(cookie)
                self._answer(lambda: accept(context, reply))

            return open_connection
        response = reply_to_response(reply, self._raw, encode_json)

        def send(cookie: str) -> None:
            if cookie:
                response.headers.append(("Set-Cookie", cookie))
                if not any(name.lower() == "cache-control" for name, _ in response.headers):
                    response.headers.append(("Cache-Control", "no-store"))
            self._answer_with(response)

        return send

    def _answer_with(self, response: Response) -> None:
        self._answer(lambda: self._respond(response))

    def _answer(self, give: Callable[[], None]) -> None:
        """Hand the answer over; what its receiver raises is not the handler's fault."""
        try:
            give()
        except Exception as error:  # noqa: BLE001 - the connection is gone or the server ends
            fields = {"path": self._raw.path, "request": self._raw.id, "cause": str(error)}
            self._runner.services.log("error", "an answer could not be handed over", fields, "")

    def _commit(
        self, transaction: Transaction, context: RequestContext, finish: Callable[[str], None]
    ) -> None:
        sessions = self._runner.services.sessions
        session = context.opened_session
        change = None if session is None else session.change()
        if change is None:
            hold = session is not None and session.needs_durability
            transaction.commit(self._when_done(lambda: finish("")), hold=hold)
            return
        transaction.use_store()
        sessions.store(change)
        applied: list[Callable[[BaseException | None], None]] = []

        def done(error: BaseException | None) -> None:
            applied[0](error)
            if error is None:
                finish(change.cookie)
            else:
                self.refuse(error)

        def committed() -> None:
            applied.append(sessions.apply(change))
            _move(context, change)

        transaction.commit(done, committed=committed)

    def _when_done(self, finish: Callable[[], None]) -> Callable[[BaseException | None], None]:
        def done(error: BaseException | None) -> None:
            if error is None:
                finish()
            else:
                self.refuse(error)

        return done

    def _abandon(
        self, transaction: Transaction, fault: RuntimeFault, cause: BaseException | None
    ) -> None:
        transaction.abandon()
        self._log(fault, cause or fault)

    def refuse(self, error: BaseException) -> None:
        """Answer with the error of a run that failed."""
        fault = UnavailableFault() if not isinstance(error, Exception) else to_fault(error)
        self._log(fault, error)
        try:
            reply = self._plan.fault_reply(fault)
            response = reply_to_response(reply, self._raw, encode_json)
        except Exception:  # noqa: BLE001 - an answer is owed whatever happens
            response = plain_response(500, "", self._raw)
        self._after_failure(lambda _cookie: self._answer_with(response))

    def _after_failure(self, finish: Callable[[str], None]) -> None:
        """Even an error may tell of rows that are not durable yet: it leaves after them."""
        store = self._runner.services.store
        if self._plan.uses_store and store.pending:
            store.after_durable(lambda error: finish(""))
        else:
            finish("")

    def _log(self, fault: RuntimeFault, cause: BaseException) -> None:
        if fault.status >= 500:
            raw = self._raw
            fields = {"method": raw.method, "path": raw.path, "request": raw.id}
            self._runner.log_fault(fault, cause, fields, f"{raw.method} {raw.path}")


def _move(context: RequestContext, change: SessionChange) -> None:
    """Let the request's session be the one that its handler made."""
    if context.opened_session is not None:
        context.opened_session.state = change.result
