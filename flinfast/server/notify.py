"""Telling systemd how the service is, over the socket it names in NOTIFY_SOCKET.

Nothing happens where there is none. A message that cannot be sent is no reason to stop serving.

Source: sd_notify(3); socket activation is in `listen.py`, sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

VARIABLE = "NOTIFY_SOCKET"
READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """That the configuration is being read again; READY follows.

    systemd tells this message from an older one by the monotonic clock.
    """
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send a state; whether somebody was there to be told."""
    address = environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return False
    if address[0] == "@":  # Linux's abstract names
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect(address)
        link.sendall(state.encode())
        return True
    return False
