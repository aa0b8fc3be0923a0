"""The log: one line per event, safe whatever peers choose, never blocking."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.server.log import BUFFER_BYTES_MAX, BridgeHandler, Log, printable
from flinfast.settings import LogSettings

NOW = 1_000_000_000.25


class Pipe:
    """A pipe whose reading end a test holds."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self) -> bytes:
        found = b""
        while True:
            try:
                data = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return found
            if not data:
                return found
            found += data

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            try:
                os.close(fd)
            except OSError:
                continue


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    one = Pipe()
    yield one
    one.close()


def make(pipe: Pipe, *, pretty: bool = False, **settings: Any) -> Log:
    chosen = LogSettings(**{"format": "pretty" if pretty else "json", **settings})
    return Log(chosen, fd=pipe.writer, is_terminal=False, clock=lambda: NOW)


def test_json_lines(pipe: Pipe) -> None:
    """Time, level, text, place, fields; requests and connections with their own keys."""
    log = make(pipe)
    log("warn", "slow handler", {"ms": 80}, "app/a.flin:4")
    log.request("GET", "/a", 200, 12, 0.0015, "1.2.3.4", "id-1")
    log.connection_closed("/ws", 1001, 2.5, messages_in=3)
    lines = [json.loads(line) for line in pipe.read().splitlines()]
    assert lines[0] == {
        "time": "2001-09-09T01:46:40.250Z",
        "level": "warn",
        "text": "slow handler",
        "place": "app/a.flin:4",
        "fields": {"ms": 80},
    }
    assert lines[1]["event"] == "request"
    assert (lines[1]["status"], lines[1]["ms"], lines[1]["bytes"]) == (200, 1.5, 12)
    assert (lines[2]["close_code"], lines[2]["s"], lines[2]["messages_in"]) == (1001, 2.5, 3)


def test_pretty_lines(pipe: Pipe) -> None:
    """For people; no colour without a terminal."""
    log = make(pipe, pretty=True)
    log.request("GET", "/_flin/live.js", 200, 1, 0.1, "127.0.0.1", "id")  # ours: not shown
    log.connection_closed("/_flin/live", 1001, 1.0)
    log("error", "it broke", {"why": "no disk", "n": 1}, "app/a.flin:4")
    log.request("GET", "/a", 200, 12, 0.0015, "1.2.3.4", "id-1")
    log.connection_closed("/ws", 1000, 1.0)
    first, second, third = pipe.read().decode().splitlines()
    assert first.endswith('error app/a.flin:4  it broke  why="no disk"  n=1')
    assert second.endswith("info  GET /a 200 1.5 ms 12 B 1.2.3.4")
    assert third.endswith("info  WS /ws 1000 1.0 s")
    assert "\x1b" not in first


@pytest.mark.parametrize(
    ("level", "kept"),
    [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)],
)
def test_lines_below_the_level_are_dropped(pipe: Pipe, level: Any, kept: int) -> None:
    """`log.level`."""
    log = make(pipe, level=level)
    log.debug("d")
    log.info("i")
    log.warn("w")
    log.error("e")
    assert len(pipe.read().splitlines()) == kept


def test_access_lines_follow_their_switch_and_the_level(pipe: Pipe) -> None:
    """`log.access` and `log.level`."""
    assert make(pipe).has_access_lines
    assert not make(pipe, access=False).has_access_lines
    assert not make(pipe, level="warn").has_access_lines


EVIL = "a\nerror forged line\r\x1b[2J\x00\x9b\u2028\u202e"


def test_a_line_stays_one_line(pipe: Pipe) -> None:
    """No line ends, no terminal sequences, whoever chose the text."""
    for pretty in (False, True):
        log = make(pipe, pretty=pretty)
        log("info", EVIL, {EVIL: EVIL, "x": [EVIL]}, EVIL)
        log.request("GET", EVIL, 200, 0, 0.0, "::1", "id")
        log.connection_closed(EVIL, 1000, 0.0)
        text = pipe.read().decode()
        assert text.count("\n") == 3
        lines = text.split("\n")
        assert len(text.splitlines()) == 3 or not pretty
        for line in lines:
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line if pretty)
            assert "\x1b" not in line
            assert "\r" not in line


@given(st.text())
def test_printable_is_printable(text: str) -> None:
    """For every text."""
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown


def test_values_without_a_json_form_do_not_lose_the_line(pipe: Pipe) -> None:
    """Lone surrogates, cycles, odd keys."""
    log = make(pipe)
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in ("\ud800", cycle, {1: 2}, object(), 2**70, float("nan"), b"\xff"):
        log("info", "odd", {"value": value}, "")
    lines = pipe.read().splitlines()
    assert len(lines) == 7
    for line in lines:
        assert b"odd" in line
        json.loads(line)


def test_a_reader_that_stalls_costs_lines_not_time(pipe: Pipe) -> None:
    """The buffer is bounded, what is lost is counted, and nothing blocks."""
    log = make(pipe)
    calls: list[Callable[[], None]] = []
    log.writer.attach(lambda delay, callback: calls.append(callback))
    line = "x" * 1000
    for _ in range(BUFFER_BYTES_MAX // 1000 + 500):
        log.info(line)
    assert len(calls) == 1
    calls.pop()()
    received = pipe.read()
    assert received
    assert len(calls) == 1, "the rest is tried again later"
    while calls:
        calls.pop()()
        received += pipe.read()
    lines = received.splitlines()
    dropped = int(lines[-1].split(b" ")[1])
    assert lines[-1].endswith(b"lines dropped, the reader is too slow")
    assert dropped > 0
    assert len(lines) - 1 + dropped == BUFFER_BYTES_MAX // 1000 + 500


def test_lines_wait_for_the_flush(pipe: Pipe) -> None:
    """One write for many lines while a loop is attached; close() writes the rest."""
    log = make(pipe)
    log.writer.attach(lambda delay, callback: None)
    log.info("a")
    log.info("b")
    assert pipe.read() == b""
    log.close()
    assert len(pipe.read().splitlines()) == 2
    log.info("c")
    assert len(pipe.read().splitlines()) == 1


def test_lines_about_faults_do_not_wait(pipe: Pipe) -> None:
    """Warnings and errors take the lines before them along."""
    log = make(pipe)
    log.writer.attach(lambda delay, callback: None)
    log.info("a")
    log.error("b")
    assert len(pipe.read().splitlines()) == 2


def test_a_reader_that_is_gone_is_no_fault(pipe: Pipe) -> None:
    """EPIPE."""
    log = make(pipe)
    os.close(pipe.reader)
    log.info("nobody reads this")
    log.info("nor this")


def test_python_logging_is_passed_on(pipe: Pipe) -> None:
    """Warnings and errors of libraries, with the exception's text."""
    logger = logging.Logger("some.library")
    logger.addHandler(BridgeHandler(make(pipe)))
    logger.info("not shown")
    logger.warning("careful %s", "now")
    try:
        raise ValueError("inside")
    except ValueError:
        logger.exception("failed")
    first, second = (json.loads(line) for line in pipe.read().splitlines())
    assert (first["level"], first["text"]) == ("warn", "careful now")
    assert second["fields"]["exception"] == "ValueError('inside')"
