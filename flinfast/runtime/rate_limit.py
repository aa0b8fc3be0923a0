"""Sliding-window rate limits in memory: exact, and bounded in keys.

A window holds the times of the calls it let through. Refused calls are not counted, so somebody
who keeps trying gets through as soon as the window allows it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

KEYS_MAX = 100_000  # windows kept; beyond it the least recently used one is forgotten
CALLS_MAX = 1_000_000  # calls one window may allow
WINDOW_S_MAX = 366 * 86_400


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

    def forget(self, key: str) -> None:
        """Count anew from here on."""
        self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)
