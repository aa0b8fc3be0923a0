"""Logging builtins (FLIN reference 13.7): one line per call, with the FLIN file and line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import argument_fault, as_map
from flinfast.runtime.registry import Value, builtin
from flinfast.runtime.services import LogLevel, Services

FRAMES_MAX: Final = 8  # callers looked at to find the FLIN line; methods add a few of ours


def _make(name: str, level: LogLevel, services: Services) -> Callable[..., None]:
    log = services.log

    def write(value: Value, fields: Value = None) -> None:
        extra = {} if fields is None else as_map(fields)
        if extra is None:
            raise argument_fault(name, 2, "map", fields)
        log(level, to_text(value), extra, _place())

    write.__name__ = name
    return write


@builtin("print", parameters=("value", "fields?"), result="none")
def log_info(services: Services) -> Callable[..., None]:
    """Write an information line to the log."""
    return _make("log_info", "info", services)


@builtin(parameters=("value", "fields?"), result="none")
def log_debug(services: Services) -> Callable[..., None]:
    """Write a debugging line to the log."""
    return _make("log_debug", "debug", services)


@builtin(parameters=("value", "fields?"), result="none")
def log_warn(services: Services) -> Callable[..., None]:
    """Write a warning to the log."""
    return _make("log_warn", "warn", services)


@builtin(parameters=("value", "fields?"), result="none")
def log_error(services: Services) -> Callable[..., None]:
    """Write an error to the log."""
    return _make("log_error", "error", services)


def _place() -> str:
    """`app/api/chat.flin:4` of the nearest caller that is FLIN code, or ""."""
    frame = sys._getframe(2)
    for _ in range(FRAMES_MAX):
        path = frame.f_code.co_filename
        if path.endswith(".flin"):
            return f"{path}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
