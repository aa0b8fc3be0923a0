"""The way of a request to its handler: middleware, guards, `validate`, handler.

A `Plan` is that way for one method of one route (or for its `ws` block), made once at load. For an
upgrade the innermost step is the decision to accept, a reply with status 101 that no program can
make itself, so whatever answers instead prevents the upgrade.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from flinfast.errors import ConflictFault, RuntimeFault
from flinfast.runtime.context import RequestContext
from flinfast.runtime.error_page import standard_reply
from flinfast.runtime.fault import to_fault
from flinfast.runtime.guard import Verdict, forbidden
from flinfast.runtime.response import Reply, Stop, to_reply
from flinfast.runtime.validate import Validator

SWITCHING: Final = 101

Closure = Callable[..., Any]
FaultReply = Callable[[RuntimeFault], Reply]


class Plan(Struct, frozen=True):
    """The way to one handler.

    Attributes:
        middleware: From the root folder inwards.
        guards: Of the file, then of the block.
        validator: The `validate` block.
        handler: The route's closure; None accepts an upgrade (or answers `answer`).
        answer: What to reply without a handler.
        fault_reply: Turns a fault into what the client is told.
        uses_store: Whether any step may read or write stored data.
        writes: Whether any step may write.
        waits: Whether any step may be suspended.
        is_plain: Whether it is nothing but a handler that touches no stored data.
    """

    middleware: tuple[Closure, ...]
    guards: tuple[Verdict, ...]
    validator: Validator | None
    handler: Closure | None
    answer: Callable[[], Reply]
    fault_reply: FaultReply
    uses_store: bool = False
    writes: bool = False
    waits: bool = False
    is_plain: bool = False  # found out; not to be given

    def __post_init__(self) -> None:
        has_steps = self.middleware or self.guards or self.validator or self.handler is None
        is_plain = not (has_steps or self.uses_store or self.waits)
        force_setattr(self, "is_plain", is_plain)

    def run(self, context: RequestContext) -> Reply:
        """Go the whole way.

        Raises:
            RuntimeFault: A step failed, or whatever else its closure raised.
        """
        if self.middleware:
            # There is a `response` from here on, so that the inner reply becomes a part of it.
            context.opened_response = context.response
            return self._step(context, 0)
        return self._inside(context)

    def _inside(self, context: RequestContext) -> Reply:
        for verdict in self.guards:
            refusal = verdict(context)
            if refusal is not None:
                return finish(context, refusal)
        if self.validator is not None:
            body, errors = self.validator.check(context.body, is_form=context.is_form)
            if errors:
                reply = standard_reply(400, "Validation failed", {"fields": errors})
                return finish(context, reply)
            context.body = body
        if self.handler is None:
            return finish(context, self.answer())
        return finish(context, self.value(context))

    def value(self, context: RequestContext) -> Any:
        """What the handler gives."""
        try:
            return self.handler(context)  # type: ignore[misc]  # callers know that there is one
        except Stop as stop:
            return stop.reply

    def _step(self, context: RequestContext, index: int) -> Reply:
        """One middleware, and through its `next()` everything inside it."""
        if index == len(self.middleware):
            return self._inside(context)
        inner: list[Reply] = []

        def go_on() -> Reply:
            if inner:
                raise RuntimeFault("`next()` was called twice in one middleware", code="FL563")
            context.next_reply = None
            inner.append(self._guarded(context, index + 1))
            context.next_reply = go_on
            return inner[0]

        context.next_reply = go_on
        try:
            value = self.middleware[index](context)
        except Stop as stop:
            value = stop.reply
        finally:
            context.next_reply = None
        state = context.response
        if isinstance(value, Reply):
            return state.adopt(value)
        if inner or state.is_set:
            return state.reply
        return state.adopt(forbidden())

    def _guarded(self, context: RequestContext, index: int) -> Reply:
        """The inside of a middleware, where a fault becomes the reply that its rest sees.

        The run has failed all the same: what it wrote and sent is forgotten.
        """
        try:
            return self._step(context, index)
        except ConflictFault:
            raise  # the whole run is repeated
        except Exception as error:  # noqa: BLE001 - every fault of a handler ends here
            fault = to_fault(error)
            if context.failure is None:
                context.failure = fault
                context.failure_cause = error
            return context.response.adopt(self.fault_reply(fault))


def finish(context: RequestContext, value: Any) -> Reply:
    """What a step returned, with what was set on `response`."""
    state = context.opened_response
    return to_reply(value) if state is None else state.finish(value)


def accept_upgrade() -> Reply:
    """The reply that lets an upgrade happen."""
    return Reply(SWITCHING)
