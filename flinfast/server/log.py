"""The log of a running server: whole lines to standard error, in batches, never blocking the loop.

On a terminal a line is for people; anywhere else it is one JSON object. Peers choose paths, names
and messages, so nothing of theirs reaches the output unescaped: a line stays one line and cannot
move the cursor. Payloads, cookies and query strings are not logged. People see no lines about our
own paths below `/_flin/`: probes and live pages would hide what they look for.

Lines wait in a bounded buffer until the next flush. A reader that stalls (a full pipe) costs lines,
which are counted and reported, and never time.
"""

from __future__ import annotations

import logging
import os
import re
import select
import stat
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from flinfast.late_pattern import late_pattern
from flinfast.settings import LogSettings

Level = Literal["debug", "info", "warn", "error"]

OWN_PATHS: Final = "/_flin/"
FLUSH_INTERVAL_S = 0.05  # a person sees no delay, and a busy server writes 20 times a second
BUFFER_BYTES_MAX = 1 << 20  # some 5,000 lines; beyond it lines are dropped and counted
WRITE_BYTES_MAX = 4096  # PIPE_BUF: what poll() promises a pipe takes without blocking
FINAL_FLUSH_S = 1.0  # how long a stopping server waits for a stalled reader of its log
TEXT_LENGTH_MAX = 8192  # characters of one text or value in a line

_LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warn": 30, "error": 40}
# Written at once: a line about a fault must not be lost when the process ends badly.
_URGENT: Final = frozenset({"warn", "error"})
_COLORS: Final[Mapping[str, str]] = {
    "debug": "\x1b[2m",
    "info": "\x1b[36m",
    "warn": "\x1b[33m",
    "error": "\x1b[31m",
}
_RESET = "\x1b[0m"
# Control characters, and the separators that some readers take for line ends.
_UNSAFE: Final = late_pattern("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


_PLAIN: Final = late_pattern(r"[!#-\[\]-~]{0,8192}")  # needs no escape in JSON


class CallLater(Protocol):
    """`loop.call_later`."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> object:
        """Run `callback` after `delay` seconds."""


def printable(text: str) -> str:
    """The text on one line: control characters as escapes, cut at TEXT_LENGTH_MAX characters."""
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "..."
    if text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class LineWriter:
    """A bounded buffer of lines before a file descriptor.

    Args:
        fd: Where the lines go; borrowed, never closed, its flags are left alone.
    """

    __slots__ = ("_call_later", "_dropped", "_fd", "_is_file", "_is_scheduled", "_lines", "_size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._call_later: CallLater | None = None
        self._is_scheduled = False
        try:
            self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            self._is_file = False

    def attach(self, call_later: CallLater | None) -> None:
        """Flush from a loop from now on; None: flush each line at once."""
        self._call_later = call_later
        self._is_scheduled = False

    def write(self, line: bytes, *, is_urgent: bool = False) -> None:
        """Take one line, line break included; an urgent one is written now if the reader can."""
        if self._size + len(line) > BUFFER_BYTES_MAX:
            self._dropped += 1
        else:
            self._lines.append(line)
            self._size += len(line)
        if self._call_later is None:
            self.flush(wait_s=FINAL_FLUSH_S)
            return
        if is_urgent:
            self.flush()
        if self._lines and not self._is_scheduled:
            self._is_scheduled = True
            self._call_later(FLUSH_INTERVAL_S, self._scheduled_flush)

    def _scheduled_flush(self) -> None:
        self._is_scheduled = False
        self.flush()
        if self._lines and self._call_later is not None:
            self._is_scheduled = True
            self._call_later(FLUSH_INTERVAL_S, self._scheduled_flush)

    def flush(self, *, wait_s: float = 0.0) -> None:
        """Write what the reader takes.

        Args:
            wait_s: How long to wait for a reader that takes nothing, seconds.
        """
        if not self._lines:
            return
        if self._dropped:
            self._lines.append(b"log: %d lines dropped, the reader is too slow\n" % self._dropped)
            self._dropped = 0
        data = memoryview(b"".join(self._lines))
        self._lines.clear()
        sent = 0
        try:
            while sent < len(data) and self._is_writable(wait_s):
                size = len(data) if self._is_file else WRITE_BYTES_MAX
                sent += os.write(self._fd, data[sent : sent + size])
        except BlockingIOError:
            pass  # someone made the descriptor non-blocking: the rest waits for the next flush
        except OSError:
            sent = len(data)  # nobody reads the log any more
        self._size = len(data) - sent
        if self._size:
            self._lines.append(bytes(data[sent:]))

    def _is_writable(self, wait_s: float) -> bool:
        if self._is_file or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))


class Log:
    """Writes log lines; an instance is what `runtime.services.Log` describes.

    Args:
        settings: Level, access lines, format.
        fd: Where to write.
        is_terminal: Whether a person reads it; decides format "auto" and colour.
        clock: Unix time, seconds.
    """

    def __init__(
        self,
        settings: LogSettings,
        *,
        fd: int = 2,
        is_terminal: bool | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if is_terminal is None:
            is_terminal = os.isatty(fd)
        self.writer = LineWriter(fd)
        self.has_access_lines = settings.access and _LEVELS[settings.level] <= _LEVELS["info"]
        self.is_pretty = settings.format == "pretty" or (settings.format == "auto" and is_terminal)
        self._threshold = _LEVELS[settings.level]
        self._has_color = is_terminal and self.is_pretty and not os.environ.get("NO_COLOR")
        self._clock = clock
        self._second = -1
        self._second_text = ""
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def __call__(self, level: Level, text: str, fields: Mapping[str, Any], place: str) -> None:
        """Write one line.

        Args:
            level: How bad it is; lines below the configured level are dropped.
            text: What happened.
            fields: Structured extras.
            place: FLIN file and line, such as `app/api/chat.flin:4`, or "".
        """
        if _LEVELS[level] < self._threshold:
            return
        if self.is_pretty:
            extras = "".join(f"  {printable(str(k))}={_shown(v)}" for k, v in fields.items())
            where = f"{printable(place)}  " if place else ""
            self._pretty(level, f"{where}{printable(text)}{extras}")
            return
        line: dict[str, Any] = {"time": self._timestamp(), "level": level, "text": text}
        if place:
            line["place"] = place
        if fields:
            line["fields"] = dict(fields)
        self._json(line)

    def debug(self, text: str, **fields: Any) -> None:
        """A line of level "debug"."""
        self("debug", text, fields, "")

    def info(self, text: str, **fields: Any) -> None:
        """A line of level "info"."""
        self("info", text, fields, "")

    def warn(self, text: str, **fields: Any) -> None:
        """A line of level "warn"."""
        self("warn", text, fields, "")

    def error(self, text: str, **fields: Any) -> None:
        """A line of level "error"."""
        self("error", text, fields, "")

    def request(
        self, method: str, path: str, status: int, size: int, duration_s: float, peer: str, id: str
    ) -> None:
        """One answered request; the caller has looked at `has_access_lines`.

        Args:
            method: A checked method, or "-".
            path: Without its query, which may hold secrets.
            status: Of the response.
            size: Bytes of its body.
            duration_s: From the whole request to its response.
            peer: A checked address, "-" or "".
            id: Of the request; ours.
        """
        if self.is_pretty:
            if path.startswith(OWN_PATHS) and status < 400:
                return
            self._pretty(
                "error" if status >= 500 else "info",
                f"{method} {printable(path)} {status} {duration_s * 1000:.1f} ms {size} B {peer}",
            )
            return
        # The busiest line of all: everything but the path is plain by construction.
        quoted = f'"{path}"' if _PLAIN.fullmatch(path) else _quoted(path)
        line = (
            f'{{"time":"{self._timestamp()}","level":"info","event":"request","method":"{method}",'
            f'"path":{quoted},"status":{status},"ms":{duration_s * 1000:.2f},"bytes":{size},'
            f'"peer":"{peer}","id":"{id}"}}\n'
        )
        self.writer.write(line.encode("utf-8", "backslashreplace"))

    def connection_closed(self, path: str, code: int, duration_s: float, **counts: int) -> None:
        """One WebSocket connection that is gone; the caller has looked at `has_access_lines`."""
        if self.is_pretty:
            if path.startswith(OWN_PATHS):
                return
            extras = "".join(f" {name}={value}" for name, value in counts.items())
            self._pretty("info", f"WS {printable(path)} {code} {duration_s:.1f} s{extras}")
            return
        line: dict[str, Any] = {
            "time": self._timestamp(),
            "level": "info",
            "event": "connection",
            "path": path[:TEXT_LENGTH_MAX],
            "close_code": code,
            "s": round(duration_s, 3),
        }
        line.update(counts)
        self._json(line)

    def close(self) -> None:
        """Write what is buffered and stop using the loop."""
        self.writer.attach(None)
        self.writer.flush(wait_s=FINAL_FLUSH_S)

    # --- lines ----------------------------------------

    def _pretty(self, level: str, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        if self._has_color:
            line = f"\x1b[2m{clock}{_RESET} {_COLORS[level]}{level:5}{_RESET} {text}\n"
        else:
            line = f"{clock} {level:5} {text}\n"
        self.writer.write(line.encode("utf-8", "backslashreplace"), is_urgent=level in _URGENT)

    def _json(self, line: dict[str, Any]) -> None:
        try:
            encoded = self._encode(line)
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
            # Lone surrogates, cycles, keys that are not text: the line matters more than its form.
            encoded = self._encode(
                {key: ascii(value)[:TEXT_LENGTH_MAX] for key, value in line.items()}
            )
        self.writer.write(encoded + b"\n", is_urgent=line["level"] in _URGENT)

    def _timestamp(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((now - second) * 1000):03d}Z"


class BridgeHandler(logging.Handler):
    """Passes records of Python's `logging` (asyncio, libraries) on to a Log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's message; its traceback, if any, as a field."""
        level: Level = "error" if record.levelno >= logging.ERROR else "warn"
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = repr(record.exc_info[1])
        self._log(level, record.getMessage(), fields, "")


def _quoted(text: str) -> str:
    """Text as a JSON string; what has no JSON form (lone surrogates) is escaped first."""
    safe = text[:TEXT_LENGTH_MAX].encode("utf-8", "backslashreplace").decode()
    return msgspec.json.encode(safe).decode()


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = printable(text)
    return f'"{text}"' if " " in text or not text else text
