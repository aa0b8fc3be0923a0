"""Sliding-window rate limits in memory: exact, and bounded in keys.

A window holds the times of the calls it let through. Refused calls are not counted, so somebody
who keeps trying gets through as soon as the window allows it.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache

KEYS_MAX = 100_000  # windows kept; beyond it the least recently used one is forgotten
CALLS_MAX = 1_000_000  # calls one window may allow
WINDOW_S_MAX = 366 * 86_400
IPV6_PREFIX_BITS = 64  # a network is one customer's, who has as many addresses as they like


@lru_cache(maxsize=4096)
def client_of(address: str) -> str:
    """Whom an address belongs to, as far as limits are concerned.

    Args:
        address: IPv4, IPv6 (with or without a zone), or anything else, such as "".

    Returns:
        An IPv4 address as it is, also when it is mapped into IPv6; of IPv6 the first 64 bits;
        what is no address as it is.
    """
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((found, IPV6_PREFIX_BITS), strict=False))
    return address if found is None else str(found)


@lru_cache(maxsize=4096)
def is_local(address: str) -> bool:
    """Whether a request from here may be anybody's: loopback, or a Unix socket ("").

    It is the address of a proxy that nobody told the server to trust, as well as of this machine.
    """
    found = _parsed(address)
    return not address or (found is not None and found.is_loopback)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address; IPv4 inside IPv6 counts as IPv4."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return found if mapped is None else mapped


class RateLimiter:
    """All rate limits of one program.

    Args:
        clock_ms: Unix time in milliseconds.
    """

    __slots__ = ("_clock_ms", "_windows")

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._windows: OrderedDict[str, deque[int]] = OrderedDict()

    def take(self, key: str, limit: int, window_s: float) -> int:
        """Count one call.

        Args:
            key: What is limited, such as a route and an address.
            limit: Calls allowed in any stretch of `window_s`, 1 or more.
            window_s: Seconds.

        Returns:
            0 when the call is allowed, else the milliseconds until the next one will be.
        """
        now = self._clock_ms()
        window_ms = int(window_s * 1000)
        calls = self._windows.get(key)
        if calls is None:
            calls = self._windows[key] = deque()
            if len(self._windows) > KEYS_MAX:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
            while calls and calls[0] <= now - window_ms:
                calls.popleft()
        if len(calls) >= limit:
            return max(1, calls[len(calls) - limit] + window_ms - now)
        calls.append(now)
        return 0

    def give_back(self, key: str) -> None:
        """Count the last call that was let through no longer."""
        calls = self._windows.get(key)
        if calls:
            calls.pop()

    def forget(self, key: str) -> None:
        """Count anew from here on."""
        self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)
