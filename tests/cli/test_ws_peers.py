"""`flinfast ws` against servers that misbehave, and with every kind of input."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from flinfast.native.handshake import accept_key
from tests.wire import close

TIMEOUT_S = 60.0
RESET = b"\1\0\0\0\0\0\0\0"
TICK = b"\x81\x04tick"
_KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)")

Serve = Callable[[socket.socket], None]


class Peer:
    """A server that does with its one connection what a test says."""

    def __init__(self, serve: Serve) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.head = b""
        self._serve = serve
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        link, _ = self._listener.accept()
        with link:
            link.settimeout(TIMEOUT_S)
            while b"\r\n\r\n" not in self.head:
                self.head += link.recv(4096)
            try:
                self._serve(link)
            except OSError:
                return  # the client has gone, as it may

    def end(self) -> None:
        self._listener.close()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], Peer]]:
    """Starts peers; their threads have ended after the test."""
    peers: list[Peer] = []

    def begin(what: Serve) -> Peer:
        peers.append(Peer(what))
        return peers[-1]

    yield begin
    for peer in peers:
        peer.end()


def accept(peer: Peer, link: socket.socket, first: bytes) -> None:
    found = _KEY.search(peer.head)
    assert found is not None
    head = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %b\r\n\r\n"
    link.sendall(head % accept_key(found[1]) + first)


def opened(serve: Callable[[Serve], Peer], then: Serve, first: bytes = b"") -> Peer:
    """A peer that accepts, sends `first` along, and goes on with `then`."""

    def both(link: socket.socket) -> None:
        accept(peer, link, first)
        then(link)

    peer = serve(both)
    return peer


def read_until_gone(link: socket.socket) -> bytes:
    received = b""
    while data := link.recv(65536):
        received += data
    return received


def command(peer: Peer, *more: str) -> list[str]:
    return [sys.executable, "-m", "flinfast", "ws", f"ws://127.0.0.1:{peer.port}/a b", *more]


def ws(peer: Peer, *more: str, stdin: IO[Any] | int | None = None) -> Any:
    """Run the command with an empty or a given input."""
    done = subprocess.run(
        command(peer, *more),
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    assert b"Traceback" not in done.stderr
    return done


def flood(link: socket.socket) -> None:
    """Messages without an end; nothing is read."""
    while True:
        link.sendall(TICK * 100)


def tick(link: socket.socket) -> None:
    """A message every few milliseconds, until the client closes."""
    link.settimeout(0.02)
    while True:
        try:
            if link.recv(4096)[0] & 0x0F == 8:
                link.sendall(close(1000, key=None))
                return
        except TimeoutError:
            link.sendall(TICK)


def test_wait_ends_while_messages_go_on(serve: Callable[[Serve], Peer]) -> None:
    """`--wait` counts from the end of the input, not from the last message."""
    peer = opened(serve, tick, TICK)
    done = ws(peer, "--wait", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"tick\n")
    assert peer.head.startswith(b"GET /a%20b HTTP/1.1\r\n")


def test_server_that_floods_and_ignores_the_close_is_left(serve: Callable[[Serve], Peer]) -> None:
    """The deadline of the close holds whatever comes."""
    done = ws(opened(serve, flood))
    assert done.returncode == 1
    assert b"did not answer the close in time" in done.stderr


# An interrupt that comes when Python has looked for signals, and has not yet begun to wait.
EARLY_INTERRUPT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <sys/select.h>

int select(int count, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout) {
    static int calls;
    int (*real)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    *(void **)&real = dlsym(RTLD_NEXT, "select");
    if (++calls == 1) raise(SIGINT);
    return real(count, in, out, other, timeout);
}
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs LD_PRELOAD")
def test_interrupt_just_before_waiting_closes(
    serve: Callable[[Serve], Peer], tmp_path: Path
) -> None:
    """It is not kept until something else happens."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = tmp_path / "early.c", tmp_path / "early.so"
    source.write_text(EARLY_INTERRUPT)
    build = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True, timeout=TIMEOUT_S)

    def answer_close(link: socket.socket) -> None:
        received = b""
        while len(received) < 8:
            received += link.recv(4096)
        assert received[:2] == b"\x88\x82"
        link.sendall(close(1000, key=None))

    with subprocess.Popen(
        command(opened(serve, answer_close)),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LD_PRELOAD": str(library)},
    ) as process:
        try:
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == b"closed 1000\n"


def test_input_from_a_file(serve: Callable[[Serve], Peer], tmp_path: Path) -> None:
    """Every line of it, also a last one without an end."""
    received: list[bytes] = []
    (tmp_path / "lines").write_bytes(b"one\r\ntwo\n\nlast")
    peer = opened(serve, lambda link: received.append(read_until_gone(link)))
    with (tmp_path / "lines").open("rb") as lines:
        ws(peer, stdin=lines)
    peer.end()
    sizes = [3, 3, 0, 4]
    at = 0
    for size in sizes:
        assert received[0][at : at + 2] == bytes((0x81, 0x80 | size))
        at += 6 + size
    assert received[0][at] == 0x88


def test_lines_that_come_at_once_are_sent_at_once(serve: Callable[[Serve], Peer]) -> None:
    """Also when the input goes on later."""
    both = threading.Event()

    def count(link: socket.socket) -> None:
        received = b""
        while len(received) < 14:
            received += link.recv(4096)
        both.set()
        read_until_gone(link)

    with subprocess.Popen(command(opened(serve, count)), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"a\nb\n")
        process.stdin.flush()
        assert both.wait(TIMEOUT_S)


def reset(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.mark.parametrize(
    ("behave", "text"),
    [
        (reset, b"lost"),
        (lambda _: None, b"lost (1006)"),
        (lambda link: link.sendall(b"\xff" * 99), b"broke the protocol"),
        (lambda link: link.sendall(b"\x81\x02\xff\xfe"), b"broke the protocol"),
        (lambda link: link.sendall(b"\x81\x7f" + b"\xff" * 8), b"broke the protocol"),
        (lambda link: link.sendall(close(1000, b"\xff", key=None)), b"broke the protocol"),
        (lambda link: link.sendall(close(4000, b"\x1b[2Jx", key=None)), b"closed 4000 \\x1b[2Jx"),
    ],
    ids=["reset", "end", "reserved", "utf8", "huge", "close", "escape"],
)
def test_server_that_breaks_the_protocol(
    serve: Callable[[Serve], Peer], behave: Serve, text: bytes
) -> None:
    """One line that says so, and status 1."""
    done = ws(opened(serve, behave), "--wait", "30")
    assert done.returncode == 1
    assert text in done.stderr
    assert b"\x1b[2J" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", b"got nothing"),
        (b"\x16\x03\x01", b"got nothing"),
        (b"HTTP/1.1 101 Yes\r\n\r\n", b"does not fit the key"),
        (b"HTTP/1.1 403 \x1b]0;x\x07No\r\n\r\n", b"\\x1b]0;x\\x07No"),
        (b"HTTP/1.1 400 No\r\n\r\n" + b"[" * 3000, b"got 400 No"),
        (b'HTTP/1.1 400 No\r\n\r\n{"error": {"a": "\\u001b"}}', b"got 400 No"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, b"got 200 xxx"),
    ],
    ids=["silent", "tls", "accept", "escape", "deep", "object", "endless"],
)
def test_answer_that_is_no_handshake(
    serve: Callable[[Serve], Peer], answer: bytes, text: bytes
) -> None:
    """What came is said without obeying it."""
    done = ws(serve(lambda link: link.sendall(answer)))
    assert done.returncode == 1
    assert text in done.stderr
    assert b"\x1b" not in done.stderr
    assert len(done.stderr) < 2000


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 No\x1b[2J\r\n\r\n\x1b[31m", b"403 No\\x1b[2J: \\x1b[31m"),
        (b"\x1b[2J\r\n\r\n", b"\\x1b[2J"),
        (b"", b"cannot log in at"),
    ],
    ids=["refused", "no HTTP", "silent"],
)
def test_login_at_a_server_that_is_none(
    serve: Callable[[Serve], Peer], answer: bytes, text: bytes
) -> None:
    """Its status line and its body are said without obeying them."""
    done = ws(serve(lambda link: link.sendall(answer)), "--login", "/login", "{}")
    assert done.returncode == 1
    assert text in done.stderr
    assert b"\x1b" not in done.stderr
