"""Accepted sockets as transports: real peers against small protocols, through Hub.listen()."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import select
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from flinfast.native.hub import Connection, Endpoint, Hub, Opening, Stream

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the reactor needs epoll")

TIMEOUT_S = 60.0  # of a loaded machine
SMALL_BYTES = 4096  # of the kernel's buffers, so that little fills them
LARGE = random.Random(7).randbytes(2 << 20)
CONNECTIONS = 1000


class Recorder(asyncio.Protocol):
    """Keeps what it is told; a test hangs its own behaviour in."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = b""
        self.error: Exception | None = None
        self.stream: Stream
        self.stays_at_eof = False
        self.on_made: Callable[[], None] | None = None
        self.on_data: Callable[[bytes], None] | None = None
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.on_eof: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.stream = transport
        self._told("made", self.on_made)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.calls.append("data")
        if self.on_data is not None:
            self.on_data(data)

    def eof_received(self) -> bool:
        self._told("eof", self.on_eof)
        return self.stays_at_eof

    def pause_writing(self) -> None:
        self._told("pause", self.on_pause)

    def resume_writing(self) -> None:
        self._told("resume", self.on_resume)

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._told("lost", self.on_lost)

    async def until_told(self, name: str) -> None:
        await until(lambda: name in self.calls)

    def _told(self, name: str, then: Callable[[], None] | None) -> None:
        self.calls.append(name)
        if then is not None:
            then()


class Listening:
    """A hub that accepts on one socket, and what came of it."""

    def __init__(self, listener: socket.socket, make: Callable[[Any], object]) -> None:
        self.listener = listener
        self.hub = Hub(lambda value: repr(value).encode())
        self.made: list[Any] = []
        self.faults: list[tuple[str, BaseException]] = []
        self.loop_faults: list[Any] = []
        self._make = make

    def protocol(self) -> Any:
        protocol = self._make(self)
        self.made.append(protocol)
        return protocol

    async def connect(self) -> socket.socket:
        peer = socket.socket(self.listener.family)
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        await asyncio.get_running_loop().sock_connect(peer, self.listener.getsockname())
        return peer

    async def opened(self) -> tuple[socket.socket, Any]:
        """A peer that has said `hi`, and its protocol."""
        count = len(self.made)
        peer = await self.connect()
        await send(peer, b"hi")
        await until(lambda: len(self.made) > count)
        return peer, self.made[-1]


def tcp_listener(host: str = "127.0.0.1") -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
    listener.bind((host, 0))
    return listener


@contextlib.asynccontextmanager
async def listening(
    make: Callable[[Any], object] = lambda _: Recorder(), listener: socket.socket | None = None
) -> AsyncIterator[Listening]:
    """Accept until the block ends; every stream is gone then."""
    loop = asyncio.get_running_loop()
    with listener or tcp_listener() as accepting:
        accepting.setblocking(False)
        accepting.listen(1024)
        one = Listening(accepting, make)
        loop.set_exception_handler(lambda _, context: one.loop_faults.append(context["exception"]))
        one.hub.attach_loop(loop)
        one.hub.listen(
            accepting.fileno(), one.protocol, lambda text, fault: one.faults.append((text, fault))
        )
        try:
            yield one
        finally:
            one.hub.unlisten(accepting.fileno())
            one.hub.close_accepted()
            for protocol in one.made:
                if hasattr(protocol, "stream"):
                    protocol.stream.abort()
            await asyncio.sleep(0)
            one.hub.detach_loop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, TIMEOUT_S))


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds; run() ends a wait for ever."""
    while not condition():  # noqa: ASYNC110 - nothing else would tell
        await asyncio.sleep(0.001)


async def send(peer: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(peer, data)


async def receive(peer: socket.socket, size: int = SMALL_BYTES) -> bytes:
    return await asyncio.get_running_loop().sock_recv(peer, size)


async def receive_all(peer: socket.socket) -> bytes:
    pieces = []
    while data := await receive(peer):
        pieces.append(data)
    return b"".join(pieces)


def fill(protocol: Recorder) -> None:
    """Write more than the kernel takes while nobody reads."""
    protocol.stream.write(LARGE)
    assert protocol.stream.get_write_buffer_size() > 0


# --- writing ----------------------------------------


def test_a_slow_reader_gets_every_byte_in_order() -> None:
    """Writing stops at each pause and goes on at each resume; the calls come in pairs."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            stream = protocol.stream
            stream.set_write_buffer_limits(high=30_000, low=5_000)
            sizes = random.Random(3)
            at, is_paused = 0, False

            def write() -> None:
                nonlocal at
                while at < len(LARGE) and not is_paused:
                    end = at + sizes.randrange(1, 9000)
                    piece = LARGE[at:end]
                    at += len(piece)
                    stream.write(sizes.choice((bytes, bytearray, memoryview))(piece))

            def pause() -> None:
                nonlocal is_paused
                assert stream.get_write_buffer_size() > 30_000
                is_paused = True

            def resume() -> None:
                nonlocal is_paused
                assert stream.get_write_buffer_size() <= 5_000
                is_paused = False
                write()

            protocol.on_pause, protocol.on_resume = pause, resume
            with peer:
                write()
                received = bytearray()
                while len(received) < len(LARGE):
                    received += await receive(peer)
                assert received == LARGE
                await until(lambda: not is_paused)
                assert stream.get_write_buffer_size() == 0
            told = [call for call in protocol.calls if call in ("pause", "resume")]
            assert told == ["pause", "resume"] * (len(told) // 2)
            assert len(told) >= 4
            assert not one.faults

    run(test())


def test_close_sends_what_was_written_before_and_nothing_after() -> None:
    """connection_lost(None) comes once, after the last byte."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                fill(protocol)
                protocol.stream.close()
                assert protocol.stream.is_closing()
                protocol.stream.write(b"too late")
                protocol.stream.close()
                assert "lost" not in protocol.calls
                assert await receive_all(peer) == LARGE
            await protocol.until_told("lost")
            assert protocol.calls.count("lost") == 1
            assert protocol.error is None
            assert protocol.stream.fileno() == -1
            protocol.stream.write(b"too late")
            protocol.stream.write_eof()
            protocol.stream.pause_reading()
            protocol.stream.resume_reading()
            protocol.stream.abort()

    run(test())


def test_nothing_is_received_after_close() -> None:
    """What a peer sends while our last bytes leave is dropped."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                fill(protocol)
                protocol.stream.close()
                await send(peer, b"more")
                protocol.stream.resume_reading()
                assert len(await receive_all(peer)) == len(LARGE)
            assert protocol.data == b"hi"

    # Unread input makes the kernel reset the connection once our last bytes were sent.
    with contextlib.suppress(ConnectionResetError):
        run(test())


@pytest.mark.parametrize("is_large", [False, True])
def test_write_eof_ends_our_direction_only(is_large: bool) -> None:
    """What was written leaves first; the peer may still send."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                data = LARGE if is_large else b"little"
                protocol.stream.write(data)
                protocol.stream.write_eof()
                protocol.stream.write(b"too late")
                protocol.stream.write_eof()
                assert await receive_all(peer) == data
                await send(peer, b"answer")
                await until(lambda: protocol.data == b"hianswer")
                assert not protocol.stream.is_closing()
            await protocol.until_told("lost")
            assert protocol.calls[-2:] == ["eof", "lost"]

    run(test())


def test_write_eof_then_close_sends_everything() -> None:
    """In this order both are asked for at once."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                fill(protocol)
                protocol.stream.write_eof()
                protocol.stream.close()
                assert await receive_all(peer) == LARGE
            await protocol.until_told("lost")

    run(test())


@pytest.mark.parametrize("when", ["later", "paused", "received"])
def test_abort_resets_when_output_is_left(when: str) -> None:
    """Also from inside pause_writing() and data_received(); connection_lost() is no part of it."""

    async def test() -> None:
        def make(_: Listening) -> Recorder:
            protocol = Recorder()

            def abort() -> None:
                protocol.stream.abort()
                protocol.stream.write(b"x")
                assert "lost" not in protocol.calls

            def received(_: bytes) -> None:
                protocol.stream.write(LARGE)
                if when == "received":
                    abort()

            protocol.on_data = received
            if when == "paused":
                protocol.on_pause = abort
            return protocol

        async with listening(make) as one:
            peer, protocol = await one.opened()
            with peer:
                if when == "later":
                    protocol.stream.abort()
                await protocol.until_told("lost")
                with pytest.raises(ConnectionResetError):
                    await receive_all(peer)
            assert protocol.error is None
            assert protocol.calls.count("lost") == 1
            assert not one.faults

    run(test())


def test_abort_without_output_ends_the_connection() -> None:
    """What the kernel has is still delivered."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                protocol.stream.write(b"last")
                protocol.stream.abort()
                assert await receive_all(peer) == b"last"

    run(test())


def test_a_peer_that_resets_is_a_lost_connection() -> None:
    """Whether we read, write, or wait for nothing."""

    async def test() -> None:
        async with listening() as one:
            for state in ("reading", "writing", "paused", "ended"):
                peer, protocol = await one.opened()
                protocol.stays_at_eof = state == "ended"
                if state == "writing":
                    fill(protocol)
                elif state == "paused":
                    protocol.stream.pause_reading()
                elif state == "ended":
                    peer.shutdown(socket.SHUT_WR)
                    await protocol.until_told("eof")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                peer.close()
                if state == "ended":  # the peer was done: only what we send meets its reset
                    protocol.stream.write(b"x")
                await protocol.until_told("lost")
                assert isinstance(protocol.error, OSError), state
                assert protocol.calls.count("lost") == 1

    run(test())


# --- reading ----------------------------------------


def test_paused_reading_keeps_bytes_in_the_kernel() -> None:
    """They come after resume_reading(), in order."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                protocol.stream.pause_reading()
                protocol.stream.pause_reading()
                await send(peer, b"later")
                other, _ = await one.opened()  # its bytes came after those
                other.close()
                assert protocol.data == b"hi"
                protocol.stream.resume_reading()
                await until(lambda: protocol.data == b"hilater")

    run(test())


def test_the_end_of_the_peer_closes() -> None:
    """eof_received() that returns false: our output leaves, then the connection ends."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                fill(protocol)
                peer.shutdown(socket.SHUT_WR)
                await protocol.until_told("eof")
                assert await receive_all(peer) == LARGE
            await protocol.until_told("lost")
            assert protocol.error is None

    run(test())


def test_a_protocol_may_answer_after_the_end_of_the_peer() -> None:
    """eof_received() that returns true is told once, and costs no turns of the loop."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            with peer:
                protocol.stays_at_eof = True
                peer.shutdown(socket.SHUT_WR)
                await protocol.until_told("eof")
                protocol.stream.resume_reading()
                other, _ = await one.opened()
                other.close()
                assert protocol.calls.count("eof") == 1
                protocol.stream.write(b"answer")
                protocol.stream.close()
                assert await receive_all(peer) == b"answer"
            await protocol.until_told("lost")

    run(test())


def test_close_inside_data_received() -> None:
    """A protocol may end the connection from inside any callback."""

    async def test() -> None:
        def make(one: Listening) -> Recorder:
            protocol = Recorder()

            def close(*_: bytes) -> None:
                protocol.stream.write(b"bye")
                protocol.stream.close()

            if one.made:
                protocol.on_data = close
            else:
                protocol.on_made = close
            return protocol

        async with listening(make) as one:
            for _ in range(2):
                peer, protocol = await one.opened()
                with peer, contextlib.suppress(ConnectionResetError):
                    assert await receive_all(peer) == b"bye"
                await protocol.until_told("lost")
            assert one.made[0].calls == ["made", "lost"]  # closed before its first bytes
            assert not one.faults

    run(test())


# --- faults ----------------------------------------


@pytest.mark.parametrize("where", ["first", "made", "data", "eof", "resume"])
def test_a_protocol_that_raises_loses_its_connection_only(where: str) -> None:
    """The fault is reported, and the next connection is served."""

    async def test() -> None:
        def fail(*_: object) -> None:
            raise ValueError("a fault of the protocol")

        def make(one: Listening) -> Recorder:
            protocol = Recorder()
            if one.faults:
                return protocol
            if where == "first":
                fail()
            protocol.on_made = fail if where == "made" else None
            protocol.on_data = fail if where == "data" else None
            protocol.on_eof = fail if where == "eof" else None
            protocol.on_resume = fail if where == "resume" else None
            return protocol

        async with listening(make) as one:
            with await one.connect() as peer, contextlib.suppress(ConnectionResetError):
                await send(peer, b"hi")
                if where == "eof":
                    peer.shutdown(socket.SHUT_WR)
                if where == "resume":
                    await until(lambda: one.made)
                    fill(one.made[0])
                await receive_all(peer)
            await until(lambda: one.faults)
            assert [type(fault) for _, fault in one.faults] == [ValueError]
            for protocol in one.made:
                await protocol.until_told("lost")
            peer, protocol = await one.opened()
            with peer:
                await until(lambda: protocol.data == b"hi")
            assert len(one.faults) == 1

    run(test())


def test_a_raising_connection_lost_is_told_to_the_loop() -> None:
    """There is no connection left to end."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()

            def fail() -> None:
                raise ValueError("a fault of the protocol")

            protocol.on_lost = fail
            peer.close()
            await until(lambda: one.loop_faults)
            assert [type(fault) for fault in one.loop_faults] == [ValueError]

    run(test())


def test_sockets_may_be_closed_while_the_first_bytes_are_looked_at() -> None:
    """close_accepted() from inside the callback: there is nothing left to open."""

    async def test() -> None:
        def make(one: Listening) -> Recorder:
            one.hub.close_accepted()
            return Recorder()

        async with listening(make) as one:
            with await one.connect() as peer:
                await send(peer, b"hi")
                assert await receive_all(peer) == b""
            assert one.made[0].calls == []
            assert not one.faults
            one.made.clear()

    run(test())


def test_a_stream_that_became_a_websocket_is_gone_at_once() -> None:
    """`on connect` runs after that: what is done to the stream then harms nobody."""

    async def test() -> None:
        async with listening() as one:
            peer, protocol = await one.opened()
            stream = protocol.stream
            seen: list[int] = []

            def connected(_: Connection) -> None:
                seen.append(stream.fileno())
                stream.write(b"x")
                stream.abort()

            endpoint = Endpoint(path="/a", on_connect=connected, direct=("connect",))
            with peer:
                one.hub.open_stream(stream, Opening(Connection(), endpoint, b"101"))
                assert await receive(peer) == b"101"
                assert seen == [-1]
                assert stream.is_closing()
                assert one.hub.connection_count == 1
                with pytest.raises(RuntimeError):
                    one.hub.open_stream(stream, Opening(Connection(), endpoint, b"101"))
            await until(lambda: one.hub.connection_count == 0)
            assert "lost" not in protocol.calls

    run(test())


# --- addresses, and what is left ----------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_peername_is_address_and_port(host: str) -> None:
    """As the peer's own socket says."""

    async def test() -> None:
        try:
            listener = tcp_listener(host)
        except OSError:
            pytest.skip(f"no {host} here")
        async with listening(listener=listener) as one:
            peer, protocol = await one.opened()
            with peer:
                found = protocol.stream.get_extra_info("peername")
                assert found == (host, peer.getsockname()[1])
                assert protocol.stream.get_extra_info("ssl_object") is None
                assert protocol.stream.get_extra_info("other", 7) == 7

    run(test())


def test_unix_sockets_have_no_address(tmp_path: Path) -> None:
    """Bytes pass, both ends, and a peer that has gone is noticed while nobody reads."""

    async def test() -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "s"))
        async with listening(listener=listener) as one:
            peer, protocol = await one.opened()
            with peer:
                assert protocol.stream.get_extra_info("peername") == ""
                fill(protocol)
                received = 0
                while received < len(LARGE):
                    received += len(await receive(peer, 1 << 16))
                protocol.stream.pause_reading()
            await protocol.until_told("lost")
            assert isinstance(protocol.error, ConnectionResetError)

    run(test())


def test_a_thousand_connections_leave_nothing() -> None:
    """Opened and dropped in every way: no stream, no protocol and no descriptor stays."""

    async def test() -> None:
        gc.collect()
        earlier = [found for found in gc.get_objects() if type(found) in (Stream, Recorder)]
        async with listening() as one:
            before = len(os.listdir("/proc/self/fd"))
            for number in range(CONNECTIONS):
                way = number % 5
                if way == 0:
                    (await one.connect()).close()  # never says anything
                    continue
                peer, protocol = await one.opened()
                if way == 1:
                    protocol.stream.close()
                elif way == 2:
                    fill(protocol)
                    protocol.stream.abort()
                elif way == 3:
                    fill(protocol)
                peer.close()
                await protocol.until_told("lost")
                del protocol
                one.made.clear()
            await until(lambda: one.hub.accepted_count == 0)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
            gc.collect()
            alive = [found for found in gc.get_objects() if type(found) in (Stream, Recorder)]
            assert len(alive) <= len(earlier)
            assert not one.faults

    run(test())
