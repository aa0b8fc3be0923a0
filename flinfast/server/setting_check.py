"""What settings have to fit besides their types: each other, the project, and what reads them.

Checked whenever settings are read, so that `flinfast config show` and `flinfast doctor` find what
would otherwise fail in the middle of a request, or silently never apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flinfast.errors import ConfigError
from flinfast.late_pattern import late_pattern
from flinfast.settings import PUBLIC_FOLDER, Settings

# As browsers write it: others never equal one.
_ORIGIN: Final = late_pattern(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]+)?")
_ROOT_PATH: Final = late_pattern(r"(?:/[A-Za-z0-9._~-]+)+")
# RFC 6265 section 4.1.1: a token.
_COOKIE_CHARACTERS: Final = frozenset(
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_COOKIE_LENGTH_MAX: Final = 100


class SettingError(ConfigError):
    """A setting is unknown or has a bad value.

    Attributes:
        code: Its page in `flinfast explain`.
    """

    def __init__(
        self, message: str, *, code: str = "FL905", path: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.code = code


def check_together(root: Path, settings: Settings, origins: Mapping[str, str]) -> None:
    """Rules that types and ranges of single settings do not cover.

    Args:
        root: The project.
        settings: All of them.
        origins: Path such as `ws.timeout` to where its value came from.

    Raises:
        SettingError: The first setting that does not fit; its path has the origin.
    """
    try:
        _check_server(settings)
        _check_ws(settings)
        _check_texts(root, settings)
    except SettingError as error:
        error.path = f"{error.path} ({origins[error.path]})"
        raise


def _check_server(settings: Settings) -> None:
    server = settings.server
    if bool(server.ssl_keyfile) != bool(server.ssl_certfile):
        raise SettingError(
            "expected a key and a certificate, got only one of them",
            path="server.ssl_keyfile" if server.ssl_keyfile else "server.ssl_certfile",
            hint="set both ssl_keyfile and ssl_certfile, or neither",
        )
    if server.uds and server.fd >= 0:
        raise SettingError("expected `uds` or `fd`, got both", path="server.uds")
    if not server.host and not server.uds and server.fd < 0:
        raise SettingError(
            "expected an address, got an empty text",
            path="server.host",
            hint='every address of this machine is "0.0.0.0", or "::" for IPv6',
        )
    if server.root_path and not _ROOT_PATH.fullmatch(server.root_path):
        raise SettingError(
            f"expected a path such as /chat, got `{server.root_path}`", path="server.root_path"
        )
    if server.allowed_hosts:
        _check_hosts(server.allowed_hosts)
    for entry in server.forwarded_allow_ips:
        if entry not in ("*", "127.0.0.1", "::1"):
            _check_network(entry)


def _check_hosts(entries: tuple[str, ...]) -> None:
    from flinfast.server.allowed_hosts import AllowedHosts  # few set it, and it loads the parser

    try:
        AllowedHosts(entries)
    except ValueError as error:
        raise SettingError(
            f"expected a host such as example.com or *.example.com:3000, got `{error}`",
            path="server.allowed_hosts",
            hint="write it without scheme and path, an IPv6 address in brackets",
        ) from None


def _check_network(entry: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_network(entry)
    except ValueError as error:
        raise SettingError(
            f"expected an address such as 10.0.0.1 or a network such as 10.0.0.0/8, got `{entry}`",
            path="server.forwarded_allow_ips",
            hint="only the network's own bits may be set" if "host bits" in str(error) else "",
        ) from None


def _check_ws(settings: Settings) -> None:
    ws = settings.ws
    if ws.timeout_s <= ws.heartbeat_s:
        raise SettingError(
            f"expected more than the heartbeat ({ws.heartbeat_s:g} s), got {ws.timeout_s:g} s",
            path="ws.timeout",
            hint="a connection is dead after `timeout` without an answer to a ping",
        )
    queues = (("queue_hard", "queue_soft"), ("queue_total", "queue_hard"))
    for greater, less in queues:
        got, least = getattr(ws, greater), getattr(ws, less)
        if got < least:
            raise SettingError(
                f"expected at least `ws.{less}` ({least} bytes), got {got} bytes",
                path=f"ws.{greater}",
            )


def _check_texts(root: Path, settings: Settings) -> None:
    """Texts that something else reads later."""
    name = settings.session.cookie
    if not 0 < len(name) <= _COOKIE_LENGTH_MAX or not _COOKIE_CHARACTERS.issuperset(name):
        raise SettingError(
            f"expected a cookie's name such as flin_session, got `{name}`",
            path="session.cookie",
            hint=f"letters, digits, `_`, `-` and `.`, at most {_COOKIE_LENGTH_MAX}",
        )
    # Browsers judge the two prefixes by themselves.
    if name.lower().startswith(("__host-", "__secure-")):
        raise SettingError(
            f"expected a name without prefix, got `{name}`",
            path="session.cookie",
            hint="`__Host-` is put in front under TLS",
        )
    _check_origins("ws.allowed_origins", settings.ws.allowed_origins)
    _check_origins("security.cors_origins", settings.security.cors_origins)
    _check_data_folder(root, settings.store.path)


def _check_origins(path: str, entries: tuple[str, ...]) -> None:
    if not entries:
        return
    from flinfast.runtime.origin import normal_origin

    for entry in entries:
        if entry == "*" or _ORIGIN.fullmatch(normal_origin(entry)):
            continue
        hint = "scheme, host and port if it is not the usual one; no path; `*` for all"
        if "*" in entry:
            hint = "`*` stands for all origins, not for a part of one: list each"
        elif not entry.isascii():
            hint = "write the name as browsers send it, as `xn--bcher-kva.example`"
        raise SettingError(
            f"expected an origin such as https://app.example.com, got `{entry}`",
            path=path,
            hint=hint,
        )


def _check_data_folder(root: Path, path: str) -> None:
    folder, public = (root / path).resolve(), (root / PUBLIC_FOLDER).resolve()
    if folder == root.resolve():
        raise SettingError(
            f"expected a folder of its own, got `{path}`",
            path="store.path",
            hint="database and secret would lie among the sources",
        )
    if folder == public or public in folder.parents:
        raise SettingError(
            f"expected a folder outside `{PUBLIC_FOLDER}`, got `{path}`",
            path="store.path",
            hint="everybody could read the database and the secret",
        )
