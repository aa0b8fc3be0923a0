"""`flinfast ws`: a WebSocket client for the terminal."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import selectors
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import click

from flinfast.cli.report import EXIT_FAULTS, has_color
from flinfast.cli.token import config_of, make_token
from flinfast.cli.usage import example
from flinfast.errors import FlinError, RemoteProtocolError
from flinfast.native.frame import Event, FrameParser, Opcode, encode_masked_frame
from flinfast.native.handshake import accept_key

CONNECT_S: Final = 10.0
CLOSE_S: Final = 5.0
TOKEN_LIFE_S: Final = 3600
MESSAGE_BYTES_MAX: Final = 64 << 20
HEAD_BYTES_MAX: Final = 64 << 10

_TARGET_SAFE: Final = "%/?:@!$&'()*+,;=~"
# What a terminal may obey; a server must not write to it as it likes.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class RefusedError(FlinError):
    """The server did not open the WebSocket."""


@click.command(
    "ws",
    epilog=example(
        "flinfast ws /api/chat",
        "flinfast ws /api/chat --as 7",
        'flinfast ws /api/chat --login /api/login \'{"name": "ada"}\'',
        'echo \'{"type": "ping"}\' | flinfast ws ws://localhost:8000/api/chat --wait 1',
    ),
)
@click.argument("target", metavar="PATH_OR_URL")
@click.option(
    "--project", type=click.Path(path_type=Path), default=".", help="Whose server and secret."
)
@click.option("--as", "user", metavar="USER", help="Send a bearer token for this user.")
@click.option(
    "--login",
    metavar="PATH JSON",
    nargs=2,
    help="First post JSON to this path of the server, and keep the session it gives.",
)
@click.option("--header", "headers", metavar="NAME:VALUE", multiple=True, help="A further header.")
@click.option(
    "--wait", metavar="SECONDS", type=float, help="After the last input line, wait so long."
)
def command(
    target: str,
    project: Path,
    user: str | None,
    login: tuple[str, str] | None,
    headers: tuple[str, ...],
    wait: float | None,
) -> None:
    """Open the WebSocket at PATH_OR_URL: each input line is sent, each message printed.

    A path belongs to the server of the project in this folder. The end of the input closes with
    1000; Ctrl-C does as well. The exit status is 0 when the close was a normal one.
    """
    fields = [_field(text) for text in headers]
    url = target
    if not target.startswith(("ws://", "wss://")):
        if "://" in target:
            message = f"expected a path such as /api/chat, or a ws:// URL, got {target}"
            raise click.UsageError(message)
        config, folder = config_of(project)
        server = config.settings.server
        scheme = "wss" if server.ssl_certfile else "ws"
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::", "") else server.host
        host = f"[{host}]" if ":" in host else host
        url = f"{scheme}://{host}:{server.port}/{target.lstrip('/')}"
        if user is not None:
            token = make_token(config, folder, user, {}, TOKEN_LIFE_S)
            fields.append(("Authorization", f"Bearer {token}"))
    elif user is not None:
        raise click.UsageError("`--as` needs a path: only this project's server knows its tokens")
    if login is not None:
        fields.append(("Cookie", log_in(url, *login)))
    link, early = open_socket(url, fields)
    with link:
        raise SystemExit(_Terminal(link, wait).run(early))


def log_in(url: str, path: str, body: str) -> str:
    """The cookies that the server of a ws:// URL gives for a POST of JSON.

    Raises:
        RefusedError: It cannot be reached, answered with an error, or gave none.
    """
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "wss" else http.client.HTTPConnection
    try:
        link = kind(parts.netloc.rpartition("@")[2], timeout=CONNECT_S)
        with contextlib.closing(link):
            fields = {"Content-Type": "application/json"}
            target = quote("/" + path.lstrip("/"), safe=_TARGET_SAFE)
            link.request("POST", target, body.encode(), fields)
            answer = link.getresponse()
            said = answer.read(HEAD_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        text = f"cannot log in at {parts.netloc}: {error}"
        raise RefusedError(_shown(text[:1000])) from error
    if answer.status >= 300:
        said = f"{answer.reason[:200]}: {said.strip()[:200]}"
        raise RefusedError(f"POST {path} answered {answer.status} {_shown(said)}")
    cookies = [line.partition(";")[0] for line in answer.headers.get_all("Set-Cookie", ())]
    if not cookies:
        raise RefusedError(f"POST {path} set no cookie: it starts no session")
    return "; ".join(cookies)


def open_socket(url: str, fields: list[tuple[str, str]]) -> tuple[socket.socket, bytes]:
    """An open WebSocket, and what came behind its handshake.

    Raises:
        RefusedError: The server cannot be reached, or answered with something else than 101.
    """
    parts = urlsplit(url)
    is_tls = parts.scheme == "wss"
    try:
        host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
    except ValueError as error:
        raise RefusedError(f"expected a URL with a port up to 65535, got {url}") from error
    try:
        link = socket.create_connection((host, port), CONNECT_S)
        if is_tls:
            link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
    except ConnectionRefusedError as error:
        message = f"cannot connect to {host}:{port}: nothing answers there, `flinfast dev` serves"
        raise RefusedError(message) from error
    except OSError as error:
        raise RefusedError(f"cannot connect to {host}:{port}: {error}") from error
    key = base64.b64encode(secrets.token_bytes(16))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = quote(target, safe=_TARGET_SAFE)
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key.decode()}",
        *(f"{name}: {value}" for name, value in fields),
    ]
    try:
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        received = _head_of(link)
    except OSError as error:
        link.close()
        raise RefusedError(f"{host}:{port} gave no answer: {error}") from error
    head, end, rest = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    if not end or not text.startswith("HTTP/1.1 101 "):
        link.close()
        raise RefusedError(_refusal(text, rest))
    if accept_key(key).decode() not in text:
        link.close()
        raise RefusedError("the server's Sec-WebSocket-Accept does not fit the key")
    return link, rest


def _head_of(link: socket.socket) -> bytes:
    """What a server answers up to the end of its head, or all that it gives of one."""
    deadline = time.monotonic() + CONNECT_S
    received = b""
    while b"\r\n\r\n" not in received and len(received) < HEAD_BYTES_MAX:
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
        data = link.recv(4096)
        if not data:
            break
        received += data
    return received


def _shown(text: str) -> str:
    """Text of a server as it may reach a terminal: control characters as escapes."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _refusal(head: str, body: bytes) -> str:
    status = head.partition("\r\n")[0].partition(" ")[2] or "nothing"
    reason = body.decode("utf-8", "replace").strip()[:200]
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        reason = str(json.loads(body)["error"])
    text = f"expected 101 Switching Protocols, got {status}" + (f": {reason}" if reason else "")
    return _shown(text[:1000])


class _Terminal:
    """One conversation.

    Args:
        link: Connected and upgraded.
        wait_s: Seconds to go on after the end of the input; None: close at once.
    """

    def __init__(self, link: socket.socket, wait_s: float | None) -> None:
        self._link = link
        self._wait_s = wait_s
        self._parser = FrameParser(sender="server", message_bytes_max=MESSAGE_BYTES_MAX)
        self._deadline: float | None = None  # of the wait after the input, then of the close
        self._is_closing = False
        self._is_interrupted = False
        self._typed = b""  # the beginning of a line
        self._status: int | None = None
        self._dims = has_color(1)
        self._is_terminal = sys.stdout.isatty()

    def run(self, early: bytes) -> int:
        """Until either side has closed; the exit status."""
        try:
            return self._talk(early)
        except OSError as error:
            self._note(f"the connection was lost (1006): {error}")
            return EXIT_FAULTS

    def _talk(self, early: bytes) -> int:
        self._link.settimeout(CONNECT_S)
        self._receive(early)
        # Not epoll: it refuses files, which are an input like any other.
        with selectors.SelectSelector() as selector, self._interrupts() as interrupts:
            selector.register(self._link, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            selector.register(interrupts, selectors.EVENT_READ)
            try:
                while self._status is None:
                    if self._is_interrupted:
                        self._close()
                    self._turn(selector)
            except KeyboardInterrupt:
                return EXIT_FAULTS
        return self._status

    @contextlib.contextmanager
    def _interrupts(self) -> Iterator[socket.socket]:
        """What is readable once Ctrl-C was pressed.

        A signal that comes when Python has looked for signals, and has not yet begun to wait, does
        not end the wait: it would be noticed when something else happens.
        """
        reader, writer = socket.socketpair()
        with reader, writer:
            writer.setblocking(False)
            before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            handler = signal.signal(signal.SIGINT, self._interrupt)
            try:
                yield reader
            finally:
                signal.signal(signal.SIGINT, handler)
                signal.set_wakeup_fd(before)

    def _interrupt(self, _number: int, _frame: object) -> None:
        """The first one closes; who presses again does not want to wait for that."""
        if self._is_interrupted or self._is_closing:
            raise KeyboardInterrupt
        self._is_interrupted = True

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Wait for either side; a server that never falls silent does not move the deadline."""
        deadline = self._deadline
        if deadline is not None and time.monotonic() >= deadline:
            if self._is_closing:
                self._note("the server did not answer the close in time")
                self._status = EXIT_FAULTS
                return
            self._close()
            deadline = self._deadline
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        for item, _ in selector.select(timeout):
            if item.fileobj is self._link:
                self._receive(self._pending())
            elif isinstance(item.fileobj, socket.socket):
                item.fileobj.recv(64)  # numbers of signals
            elif self._is_closing or self._status is not None or not self._read_input():
                selector.unregister(sys.stdin)

    def _pending(self) -> bytes:
        try:
            data = self._link.recv(65536)
        except TimeoutError:  # TLS: the record is not whole, or holds nothing for us
            return b""
        if not data:
            self._note("the connection was lost (1006)")
            self._status = EXIT_FAULTS
        return data

    def _read_input(self) -> bool:
        """Send the lines that are there; False, and the wait begins, after the last one."""
        data = os.read(sys.stdin.fileno(), 65536)
        *lines, self._typed = (self._typed + data).split(b"\n")
        if not data:
            self._deadline = time.monotonic() + (self._wait_s or 0)
            lines = [self._typed] if self._typed else []
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            self._send(Opcode.TEXT, text.encode())
        return bool(data)

    def _send(self, opcode: Opcode, payload: bytes) -> None:
        self._link.sendall(encode_masked_frame(opcode, payload, secrets.token_bytes(4)))

    def _close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._deadline = time.monotonic() + CLOSE_S
            self._send(Opcode.CLOSE, (1000).to_bytes(2, "big"))

    def _receive(self, data: bytes) -> None:
        self._parser.feed(data)
        try:
            while self._status is None and (event := self._parser.next_event()) is not None:
                self._handle(event)
        except RemoteProtocolError as error:
            self._note(f"the server broke the protocol: {error}")
            self._status = EXIT_FAULTS

    def _handle(self, event: Event) -> None:
        if event.opcode == Opcode.TEXT:
            text = event.payload.decode()
            click.echo(_shown(text) if self._is_terminal else text)
        elif event.opcode == Opcode.BINARY:
            click.echo(f"({len(event.payload)} bytes) {event.payload[:64].hex(' ')}")
        elif event.opcode == Opcode.PING:
            self._send(Opcode.PONG, event.payload)
        elif event.opcode == Opcode.CLOSE:
            if not self._is_closing:
                code = event.close_code.to_bytes(2, "big") if event.close_code != 1005 else b""
                self._send(Opcode.CLOSE, code)
            reason = event.payload.decode()
            self._note(f"closed {event.close_code}" + (f" {reason}" if reason else ""))
            self._status = 0 if event.close_code in (1000, 1005) else EXIT_FAULTS
        sys.stdout.flush()

    def _note(self, text: str) -> None:
        click.secho(_shown(text), err=True, dim=self._dims)


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(c in text for c in "\r\n"):
        raise click.UsageError(f"expected --header NAME:VALUE, got `{text}`")
    return name.strip(), value.strip()
