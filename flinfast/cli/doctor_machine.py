"""Checks of `flinfast doctor` that ask the clock, the kernel and the certificate."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from flinfast.cli.doctor_finding import Finding
from flinfast.errors import ConfigError
from flinfast.settings import ServerSettings

DAYS_LEAST: Final = 30  # certificates that renew themselves do so about then
CLOCK_LEAST: Final = datetime(2025, 1, 1, tzinfo=UTC).timestamp()  # this was written later
CLOCK_AHEAD_S: Final = 86_400.0
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
_DAY_S: Final = 86_400.0


def clock(newest: float) -> Finding:
    """Whether the clock can be right: sessions, tokens and certificates depend on it.

    Args:
        newest: Unix time of the last change of the project, seconds; 0.0 when unknown.
    """
    now = time.time()
    text = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    help = "set the clock: `timedatectl set-ntp true`"
    if now < CLOCK_LEAST:
        return Finding("error", "clock", f"{text} is in the past", help)
    if newest > now + CLOCK_AHEAD_S:
        return Finding("warning", "clock", f"{text}, but files of the project are newer", help)
    return Finding("ok", "clock", text)


def hosts(server: ServerSettings) -> Iterator[Finding]:
    """Whether a server that others reach knows its names."""
    from flinfast.server.allowed_hosts import is_local_host

    if server.allowed_hosts and "*" not in server.allowed_hosts:
        yield Finding("ok", "hosts", f"requests are for {', '.join(server.allowed_hosts)}")
    elif server.uds or server.proxy_headers or not is_local_host(server.host.lower()):
        text = "`request.host` is whatever a client sends"
        help = 'set `server.allowed_hosts`, such as `["example.com"]`'
        yield Finding("warning", "hosts", text, help)


def backlog(server: ServerSettings) -> Iterator[Finding]:
    """Whether the kernel lets as many connections wait as the settings ask for."""
    if server.fd >= 0:
        return
    try:
        limit = int(_SOMAXCONN.read_text("ascii"))
    except (OSError, ValueError):
        return  # not Linux
    text = f"{min(limit, server.backlog)} connections may wait to be accepted"
    if limit >= server.backlog:
        yield Finding("ok", "backlog", text)
    else:
        help = f"run `sysctl -w net.core.somaxconn={server.backlog}`"
        more = f"{text}: net.core.somaxconn is less than server.backlog"
        yield Finding("warning", "backlog", more, help)


def certificate(server: ServerSettings) -> Finding:
    """Whether key and certificate can be used, now and for a while."""
    from flinfast.server.listen import tls_context

    name, file = "TLS", server.ssl_certfile
    try:
        tls_context(server)
        starts, ends = _validity(Path(file))
    except ConfigError as error:
        help = "give a certificate chain and its key, which belong together, as PEM files"
        return Finding("error", name, str(error), error.hint or help)
    except (OSError, ValueError) as error:
        return Finding("error", name, f"{file} cannot be read: {error}")
    now = time.time()
    days = int((ends - now) // _DAY_S)
    help = "renew it, then `systemctl reload` or SIGHUP: connections stay open"
    if now < starts:
        day = datetime.fromtimestamp(starts, UTC).date()
        return Finding("error", name, f"{file} is valid from {day} on", "check the clock, or wait")
    if now >= ends:
        day = datetime.fromtimestamp(ends, UTC).date()
        return Finding("error", name, f"{file} expired on {day}", help)
    text = f"{file} and its key belong together, {days} days left"
    if days < DAYS_LEAST:
        return Finding("warning", name, text, help)
    return Finding("ok", name, text)


def _validity(path: Path) -> tuple[float, float]:
    """Unix times between which every certificate of a chain is valid.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no certificate.
    """
    from cryptography.x509 import load_pem_x509_certificates

    chain = load_pem_x509_certificates(path.read_bytes())
    starts = max(each.not_valid_before_utc.timestamp() for each in chain)
    return starts, min(each.not_valid_after_utc.timestamp() for each in chain)


def newest_change(root: Path) -> float:
    """Unix time of the last change of a project's source, 0.0 without one."""
    folders = ("app", "entities", "lib", "guards")
    files = (file for folder in folders for file in (root / folder).rglob("*.flin"))
    try:
        return max((file.stat().st_mtime for file in files), default=0.0)
    except OSError:
        return 0.0


def descriptors(least: int) -> Iterator[Finding]:
    """Whether this process may open a file for each connection.

    Args:
        least: Fewer open files than this are too few.
    """
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_endless = hard == resource.RLIM_INFINITY
    text = f"{'no limit' if is_endless else hard} open files, one for each connection"
    if is_endless or hard >= least:
        yield Finding("ok", "descriptors", text)
    else:
        help = "raise the limit: LimitNOFILE= of systemd, or `ulimit -Hn`"
        yield Finding("warning", "descriptors", text, help)
