"""Which names a site answers to: the Host of every request and upgrade, if the settings list some.

A program that puts `request.host` into a mail sends whatever the client wrote; and a page elsewhere
can point its own name at a server inside (DNS rebinding), whose answers it may then read. Both end
when other names are refused. Heads are judged where they are read, so whatever remembers a head
(the reader, a connection, repeated upgrades) remembers one that was allowed.

X-Forwarded-Host is read by nothing here: a proxy passes the client's Host on.

Source: RFC 9110 sections 7.4 and 15.5.20.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import Final

from flinfast.late_pattern import late_pattern
from flinfast.server.head import Head, RequestError

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ENTRY: Final = late_pattern(
    rf"(?P<any>\*)|(?P<name>(?:\*\.)?{_LABEL}(?:\.{_LABEL}){{0,126}}\.?|\[[0-9a-f:.]{{2,45}}\])"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_DEFAULT_PORTS: Final = frozenset({"80", "443"})  # what a Host without a port may mean
_LOCAL_NAME: Final = "localhost"


class AllowedHosts:
    """The names of a site.

    Args:
        entries: `example.com`, `*.example.com` (every name below it, not itself), `192.0.2.1`,
            `[2001:db8::1]`, each with a port or for all ports; `*` or no entry at all: any name.
        allows_local: Whether names of this machine are allowed besides.
        open_paths: Paths that answer under any name, as their answers do not depend on it.

    Raises:
        ValueError: An entry is none of these; the argument is that entry.
    """

    def __init__(
        self,
        entries: Iterable[str],
        *,
        allows_local: bool = False,
        open_paths: Collection[str] = (),
    ) -> None:
        self._allows_local = allows_local
        self._open_paths = frozenset(open_paths)
        self._names: set[tuple[str, str]] = set()  # name, port or "" for all
        self._parents: set[tuple[str, str]] = set()  # `.example.com`, port or ""
        self._allows_any = True
        has_star = False
        for entry in entries:
            self._allows_any = False
            found = _ENTRY.fullmatch(entry)
            if found is None or int(found["port"] or 0) > 65_535:
                raise ValueError(entry)
            if found["any"]:
                has_star = True
                continue
            name, port = found["name"].lower().removesuffix("."), _port(found["port"])
            if name.startswith("*."):
                self._parents.add((name[1:], port))
            else:
                self._names.add((_normal(name), port))
        self._allows_any = self._allows_any or has_star

    def check(self, head: Head) -> None:
        """Refuse a head that is for another site.

        Raises:
            RequestError: 421, its Host is not one of ours or missing.
        """
        if self._allows_any or self.allows(head.fields.get("host", "")):
            return
        if head.path in self._open_paths and not head.is_websocket:
            return
        raise RequestError("Host not allowed", status=421)

    def allows(self, host: str) -> bool:
        """Whether a Host is allowed.

        Args:
            host: `name`, `name:port` or `[address]:port`, as `check_host()` lets it through; "" for
                none.
        """
        if self._allows_any:
            return True
        name, separator, port = host.rpartition(":")
        if not separator or host.endswith("]"):
            name, port = host, ""
        name = _normal(name.lower().removesuffix("."))
        if not name:
            return False
        ports = {"", _port(port)} if port else {"", *_DEFAULT_PORTS}
        if any((name, one) in self._names for one in ports):
            return True
        if any(name.endswith(parent) and one in ports for parent, one in self._parents):
            return True
        return self._allows_local and is_local_host(name)


def is_local_host(name: str) -> bool:
    """Whether a name without its port means this machine, whoever's DNS is asked.

    Args:
        name: Lower-case; an IPv6 address in brackets.
    """
    if name == _LOCAL_NAME or name.endswith(f".{_LOCAL_NAME}"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _port(digits: str | None) -> str:
    """A port without leading zeros, "" without one."""
    return str(int(digits)) if digits else ""


def _normal(name: str) -> str:
    """The one spelling of an IPv6 address in brackets; other names as they are."""
    if not name.startswith("["):
        return name
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1])}]"
    except ValueError:
        return name
