"""Faults of a running handler: where they happened and what may be said about them.

Everything that leaves a FLIN closure becomes a `RuntimeFault` with a FLIN file and line. The
wording of a Python exception never reaches a client; the log keeps it as a field at debug level.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from flinfast.errors import DurabilityError, RuntimeFault, StoreError

FLIN_SUFFIX = ".flin"


class HttpFault(RuntimeFault):
    """The request cannot be served, and the client may know why.

    Attributes:
        status: HTTP status, 400 to 599.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, code="FL564")
        self.status = status


class AbortFault(RuntimeFault):
    """`abort(status, message)`: the handler gives up, and says what to answer.

    Attributes:
        status: HTTP status, 400 to 599.
        body: The answer, as `error(status, message)` makes it.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"aborted with {status}: {body['error']}", code="FL565")
        self.status = status
        self.body = body


class TimeLimitFault(RuntimeFault):
    """A handler ran or waited longer than `server.handler_timeout_s`."""

    status = 503

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the handler took longer than {seconds:g} s",
            code="FL550",
            hint="raise server.handler_timeout_s, or do less in one handler",
        )


class UnavailableFault(RuntimeFault):
    """The database cannot be used now: nothing is acknowledged.

    Args:
        reason: What is wrong with which file and what to do, for the log.
    """

    status = 503

    def __init__(self, reason: str = "the server is ending") -> None:
        super().__init__(reason, code="FL519")


def to_fault(error: BaseException) -> RuntimeFault:
    """The fault that an exception from a handler stands for, with its FLIN place.

    Args:
        error: What left the closure, with its traceback.
    """
    fault = error if isinstance(error, RuntimeFault) else _translate(error)
    if not fault.path:
        fault.path, fault.line = place_of(error.__traceback__)
    return fault


def place_of(traceback: TracebackType | None) -> tuple[str, int]:
    """FLIN file and 1-based line of the innermost FLIN frame, ("", 0) without one."""
    path, line = "", 0
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name.endswith(FLIN_SUFFIX):
            path, line = name, traceback.tb_lineno
        traceback = traceback.tb_next
    return path, line


def place_text(path: str, line: int) -> str:
    """`app/api/chat.flin:4`, or "" when nothing is known."""
    if not path:
        return ""
    return f"{path}:{line}" if line else path


def _translate(error: BaseException) -> RuntimeFault:
    """A RuntimeFault in FLIN's words for an exception of another kind."""
    if isinstance(error, ZeroDivisionError):
        return RuntimeFault("division by zero", code="FL503")
    if isinstance(error, RecursionError):
        return RuntimeFault(
            "calls are nested too deeply",
            code="FL551",
            hint="check that every recursive function reaches its end",
        )
    if isinstance(error, MemoryError):
        return RuntimeFault("the handler needs more memory than there is", code="FL552")
    if isinstance(error, OverflowError):
        return RuntimeFault("a number is out of range", code="FL508")
    if isinstance(error, DurabilityError | StoreError):
        return UnavailableFault(str(error))
    if isinstance(error, UnicodeError):
        return RuntimeFault("a text holds characters that cannot be encoded", code="FL501")
    return RuntimeFault("the handler did something that cannot be carried out", code="FL500")
