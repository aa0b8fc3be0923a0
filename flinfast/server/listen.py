"""Sockets to accept on: TCP, Unix, or inherited; and TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Final

from flinfast.errors import ConfigError
from flinfast.late_pattern import late_pattern
from flinfast.settings import ServerSettings

LISTEN_FDS_START = 3  # the first descriptor after standard input, output and error
_COUNT: Final = late_pattern("[1-9][0-9]?")
UNIX_SOCKET_MODE = 0o660  # the owner and its group: a proxy joins the group


def open_listeners(settings: ServerSettings) -> list[socket.socket]:
    """Bound sockets, not yet listening; the caller closes them.

    Raises:
        ConfigError: The address is in use, not ours, or not an address.
    """
    if settings.fd >= 0:
        return [_inherited(settings.fd)]
    activated = activated_fds()
    if activated:
        return [_inherited(fd) for fd in activated]
    if settings.uds:
        return [_unix(settings.uds)]
    return _tcp(settings.host, settings.port)


def _tcp(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host.encode()
            if host and host.isascii()
            else host or None,  # text would load the IDNA tables
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except OSError as error:
        raise ConfigError(
            f"expected an address of this machine, got `{host}`", path="server.host"
        ) from error
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port, *address[2:]))
            port = listener.getsockname()[1]  # with port 0 all families get the first one's
            listener.setblocking(False)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise _bind_fault(error, f"{host}:{port}", "server.port") from error
    return listeners


def _bind_fault(error: OSError, address: str, path: str) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        hint = "another server runs there: stop it, or choose another port with --port"
        return ConfigError(f"{address} is in use", path=path, hint=hint)
    if error.errno == errno.EACCES:
        hint = "ports below 1024 need a privilege: use a proxy, or a port from 1024 on"
        return ConfigError(f"no permission to listen on {address}", path=path, hint=hint)
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"{address} is not an address of this machine", path="server.host")
    return ConfigError(f"cannot listen on {address}: {error.strerror}", path=path)


def _unix(name: str) -> socket.socket:
    path = Path(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(name)
        path.chmod(UNIX_SOCKET_MODE)
    except OSError as error:
        listener.close()
        raise _bind_fault(error, name, "server.uds") from error
    except ConfigError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone.

    Raises:
        ConfigError: The path is something else, or a server still answers there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"`{path}` exists and is not a socket", path="server.uds")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise ConfigError(f"`{path}` is in use", path="server.uds")
    path.unlink()


def activated_fds() -> range:
    """Descriptors that systemd opened for this process (socket activation), once.

    Source: sd_listen_fds(3).
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not _COUNT.fullmatch(count):
        return range(0)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)  # not for programs that we start
    fds = range(LISTEN_FDS_START, LISTEN_FDS_START + int(count))
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds


def _inherited(fd: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=os.dup(fd))
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen()
    except OSError as error:
        raise ConfigError(
            f"expected an open listening socket, got descriptor {fd}", path="server.fd"
        ) from error
    listener.setblocking(False)
    return listener


def address_text(listener: socket.socket, *, is_tls: bool) -> str:
    """Where people reach a listener: a URL, or the path of a Unix socket."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if is_tls else 'http'}://{host}:{name[1]}"


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """TLS for the listeners, None without a certificate.

    Raises:
        ConfigError: Key or certificate cannot be used.
    """
    if not settings.ssl_certfile:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: ServerSettings) -> None:
    """Use key and certificate of the settings for connections from now on.

    Raises:
        ConfigError: They cannot be used.
    """
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if type(error) is not ssl.SSLError else error.reason
        raise ConfigError(
            f"cannot use the certificate or its key: {reason}", path="server.ssl_certfile"
        ) from error
