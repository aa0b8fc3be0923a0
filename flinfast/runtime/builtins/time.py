"""Time builtins (FLIN reference 13.4). Every time is a UTC instant."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from flinfast.late_pattern import late_pattern
from flinfast.runtime.arithmetic import shift_time
from flinfast.runtime.registry import Number, Value, builtin, method
from flinfast.runtime.services import Services
from flinfast.values import Time

DAY_MS: Final = 86_400_000
PATTERN_LENGTH_MAX: Final = 1000
TIME_TEXT_LENGTH_MAX: Final = 64  # no ISO 8601 form is longer
_TOKEN: Final = late_pattern(r"\[[^\]]*\]|YYYY|MMMM|MMM|MM|M|dddd|ddd|DD|D|HH|mm|ss|SSS")
# English names whatever the locale of the machine is.
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = (
    *("Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
)
_WRITERS: Final[dict[str, Callable[[datetime], str]]] = {
    "YYYY": lambda moment: f"{moment.year:04d}",
    "MMMM": lambda moment: _MONTHS[moment.month - 1],
    "MMM": lambda moment: _MONTHS[moment.month - 1][:3],
    "MM": lambda moment: f"{moment.month:02d}",
    "M": lambda moment: str(moment.month),
    "dddd": lambda moment: _WEEKDAYS[moment.weekday()],
    "ddd": lambda moment: _WEEKDAYS[moment.weekday()][:3],
    "DD": lambda moment: f"{moment.day:02d}",
    "D": lambda moment: str(moment.day),
    "HH": lambda moment: f"{moment.hour:02d}",
    "mm": lambda moment: f"{moment.minute:02d}",
    "ss": lambda moment: f"{moment.second:02d}",
    "SSS": lambda moment: f"{moment.microsecond // 1000:03d}",
}


@builtin(parameters=(), result="time")
def now(services: Services) -> Callable[[], Time]:
    """Give the current time."""
    clock_ms = services.clock_ms
    return lambda: Time(clock_ms())


@builtin()
def today(services: Services) -> Time:
    """Give the start of today, 00:00 UTC."""
    return _day_start(services, 0)


@builtin()
def yesterday(services: Services) -> Time:
    """Give the start of yesterday, 00:00 UTC."""
    return _day_start(services, -1)


@builtin()
def tomorrow(services: Services) -> Time:
    """Give the start of tomorrow, 00:00 UTC."""
    return _day_start(services, 1)


@builtin(result="time?")
def parse_time(text: str) -> Value:
    """Read ISO 8601 text, UTC without an offset; none when it is not a time."""
    if len(text) > TIME_TEXT_LENGTH_MAX:
        return None
    try:
        return Time.parse(text.strip())
    except (ValueError, OverflowError):
        return None


@builtin()
def time_from_ms(milliseconds: Number) -> Time:
    """Give the time that many milliseconds after 1970-01-01T00:00:00Z."""
    return shift_time(Time(0), milliseconds)


@method(name="format")
def format_(moment: Time, pattern: str = "YYYY-MM-DD HH:mm:ss") -> str:
    """Write a time; tokens `YYYY MMMM MMM MM M DD D dddd ddd HH mm ss SSS`, `[text]` as it is."""
    stamp = moment.datetime()

    def write(found: re.Match[str]) -> str:
        writer = _WRITERS.get(found[0])
        return found[0][1:-1] if writer is None else writer(stamp)

    return _TOKEN.sub(write, pattern[:PATTERN_LENGTH_MAX])


@method()
def year(moment: Time) -> int:
    """Give the year of a time."""
    return moment.datetime().year


@method()
def month(moment: Time) -> int:
    """Give the month of a time, 1 to 12."""
    return moment.datetime().month


@method()
def day(moment: Time) -> int:
    """Give the day of the month, 1 to 31."""
    return moment.datetime().day


@method()
def hour(moment: Time) -> int:
    """Give the hour of a time, 0 to 23."""
    return moment.datetime().hour


@method()
def minute(moment: Time) -> int:
    """Give the minute of a time, 0 to 59."""
    return moment.datetime().minute


@method()
def second(moment: Time) -> int:
    """Give the second of a time, 0 to 59."""
    return moment.datetime().second


@method()
def weekday(moment: Time) -> int:
    """Give the day of the week, 1 (Monday) to 7 (Sunday)."""
    return moment.datetime().isoweekday()


@method("unix_ms")
def timestamp(moment: Time) -> int:
    """Give the milliseconds since 1970-01-01T00:00:00Z."""
    return moment.ms


@method()
def start_of_day(moment: Time) -> Time:
    """Give 00:00 UTC of the day."""
    return Time(moment.ms - moment.ms % DAY_MS)


def _day_start(services: Services, days: int) -> Time:
    moment = services.clock_ms()
    return Time(moment - moment % DAY_MS + days * DAY_MS)
