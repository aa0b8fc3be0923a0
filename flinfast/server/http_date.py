"""HTTP dates: `Sun, 06 Nov 1994 08:49:37 GMT`, whatever the locale.

Source: RFC 9110 section 5.6.7.
"""

from __future__ import annotations

import calendar
import time
from typing import Final

from flinfast.late_pattern import late_pattern

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# fmt: off
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)
# fmt: on
_DATE: Final = late_pattern(
    rf"(?:{'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def http_date(unix_s: float) -> str:
    """The IMF-fixdate of a moment, Unix seconds."""
    now = time.gmtime(unix_s)
    return (
        f"{_DAYS[now.tm_wday]}, {now.tm_mday:02d} {_MONTHS[now.tm_mon - 1]} {now.tm_year:04d} "
        f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} GMT"
    )


def parse_http_date(text: str) -> int | None:
    """Unix seconds of an IMF-fixdate, None for anything else (obsolete forms included)."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    day, month, year = int(found[1]), _MONTHS.index(found[2]) + 1, int(found[3])
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    if not (year >= 1970 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
