"""Number, duration, time and process builtins."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import BoundBuiltins
from flinfast.runtime.operators import OPERATORS, OperatorSet
from flinfast.values import TIME_MS_MAX, TIME_MS_MIN, Time
from tests.runtime.fake_services import NOW_MS, fake_services

PURE = BoundBuiltins(None)
MOMENT = Time.parse("2026-03-07T09:05:02.045Z")  # a Saturday


@pytest.fixture
def bound(tmp_path: Path) -> BoundBuiltins:
    return BoundBuiltins(fake_services(tmp_path))


@pytest.mark.parametrize(
    ("name", "args", "result"),
    [
        ("abs", (-3,), 3),
        ("floor", (-1.5,), -2),
        ("floor", (3,), 3),
        ("ceil", (1.2,), 2),
        ("trunc", (-1.9,), -1),
        ("round", (2.5,), 3),
        ("round", (-2.5,), -3),
        ("round", (0.49999999999999994,), 0),
        ("round", (2.675, 2), 2.68),
        ("round", (1.005, 2), 1.01),
        ("round", (-0.001, 2), 0.0),
        ("round", (7, 2), 7),
        ("round", (1e300,), int(1e300)),
        ("clamp", (5, 0, 3), 3),
        ("clamp", (-1, 0, 3), 0),
        ("pow", (2, 3), 8),
        ("sqrt", (9,), 3.0),
        ("sign", (-0.5,), -1),
        ("sign", (0,), 0),
        ("is_nan", (math.nan,), True),
        ("format", (1234.5, 2), "1234.50"),
        ("format", (1.005, 2), "1.01"),
        ("format", (7, 2), "7.00"),
        ("format", (7.6,), "8"),
        ("format", (-0.001, 2), "0.00"),
        ("format", (1e22, 1), "10000000000000000000000.0"),
        ("format", (math.inf, 1), "Infinity"),
        ("to_fixed", (0.125, 2), "0.13"),
        ("seconds", (1.5,), 1500),
        ("hours", (2,), 7_200_000),
        ("week", (1,), 604_800_000),
        ("months", (1,), 2_592_000_000),
        ("years", (1,), 31_536_000_000),
    ],
)
def test_number_function(name: str, args: tuple[Any, ...], result: Any) -> None:
    value = PURE[name](*args)
    assert value == result
    assert type(value) is type(result)
    assert OPERATORS.call_method(None, args[0], name, args[1:], {}) == result


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("abs", (True,), "FL504"),
        ("sqrt", ("4",), "FL504"),
        ("round", (1.5, -1), "FL504"),
        ("round", (1.5, 101), "FL504"),
        ("format", (1.5, 0.5), "FL504"),
        ("random_int", (2, 1), "FL504"),
        ("hours", (math.inf,), "FL508"),
        ("years", (10**4300,), "FL508"),
        ("sqrt", (10**400,), "FL508"),
    ],
)
def test_number_function_faults(name: str, args: tuple[Any, ...], code: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        PURE[name](*args)
    assert caught.value.code == code


def test_sqrt_of_a_negative_is_nan() -> None:
    assert math.isnan(PURE["sqrt"](-1))


@given(st.integers(), st.integers())
def test_random_int_is_in_range(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    assert low <= PURE["random_int"](low, high) <= high
    assert 0 <= PURE["random"]() < 1


@pytest.mark.parametrize(
    ("pattern", "result"),
    [
        ("YYYY-MM-DD HH:mm:ss", "2026-03-07 09:05:02"),
        ("D.M.YYYY", "7.3.2026"),
        ("dddd, D MMMM", "Saturday, 7 March"),
        ("ddd MMM SSS", "Sat Mar 045"),
        ("[at] HH[h]", "at 09h"),
        ("", ""),
        ("plain é", "plain é"),
    ],
)
def test_format_of_a_time(pattern: str, result: str) -> None:
    assert PURE["format"](MOMENT, pattern) == result


def test_format_of_a_time_without_a_pattern() -> None:
    assert OPERATORS.member(MOMENT, "format") == "2026-03-07 09:05:02"


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("year", 2026),
        ("month", 3),
        ("day", 7),
        ("hour", 9),
        ("minute", 5),
        ("second", 2),
        ("weekday", 6),
        ("timestamp", MOMENT.ms),
        ("start_of_day", Time.parse("2026-03-07")),
        ("to_text", "2026-03-07T09:05:02.045Z"),
        ("unknown", None),
    ],
)
def test_parts_of_a_time(name: str, result: Any) -> None:
    assert OPERATORS.member(MOMENT, name) == result


def test_now_and_days_follow_the_clock(bound: BoundBuiltins) -> None:
    assert bound["now"]() == Time(NOW_MS)
    day = Time.parse("2027-01-15")
    assert bound["today"]() == day
    assert bound["yesterday"]() == Time(day.ms - 86_400_000)
    assert bound["tomorrow"]() == Time(day.ms + 86_400_000)


def test_ago_is_a_property_of_durations(bound: BoundBuiltins) -> None:
    operators = OperatorSet(bound)
    hours = operators.member(2, "hours")
    assert operators.member(hours, "ago") == Time(NOW_MS - 7_200_000)
    assert operators.member(hours, "from_now") == Time(NOW_MS + 7_200_000)
    assert operators.call_method(None, hours, "ago", (), {}) == Time(NOW_MS - 7_200_000)
    assert operators.member_optional(hours, "ago") == Time(NOW_MS - 7_200_000)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2026-03-07T09:05:02.045Z", MOMENT),
        ("2026-03-07T10:05:02.045+01:00", MOMENT),
        (" 2026-03-07 ", Time.parse("2026-03-07")),
        ("yesterday", None),
        ("", None),
        ("2026-13-01", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("2026-03-07" + " " * 100, None),
    ],
)
def test_parse_time(text: str, result: Time | None) -> None:
    assert PURE["parse_time"](text) == result


@given(st.integers(TIME_MS_MIN, TIME_MS_MAX))
def test_parse_time_undoes_to_text(ms: int) -> None:
    assert PURE["parse_time"](PURE["to_text"](Time(ms))) == Time(ms)
    assert type(PURE["format"](Time(ms), "dddd YYYY SSS")) is str


def test_time_from_ms_out_of_range_is_a_fault() -> None:
    assert PURE["time_from_ms"](0) == Time(0)
    with pytest.raises(RuntimeFault) as caught:
        PURE["time_from_ms"](TIME_MS_MAX + 1)
    assert caught.value.code == "FL508"


def test_sleep_waits(bound: BoundBuiltins, tmp_path: Path) -> None:
    services = fake_services(tmp_path)
    BoundBuiltins(services)["sleep"](250)
    assert services.waiter.slept_s == [0.25]  # type: ignore[attr-defined]
    for wrong in (-1, math.nan, 10**9):
        with pytest.raises(RuntimeFault) as caught:
            bound["sleep"](wrong)
        assert caught.value.code == "FL504"


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIN_TEST_VARIABLE", "x")
    assert PURE["env"]("FLIN_TEST_VARIABLE") == "x"
    assert PURE["env"]("FLIN_TEST_MISSING") is None
    assert PURE["env"]("A=B") is None
    assert PURE["env"]("A\0B") is None
    monkeypatch.setenv("FLIN_TEST_VARIABLE", "a\udcffb")  # as Python shows a byte that is no UTF-8
    assert PURE["env"]("FLIN_TEST_VARIABLE") == "a?b"


def test_generate_uuid_is_version_4() -> None:
    made = {PURE["generate_uuid"]() for _ in range(100)}
    assert len(made) == 100
    for text in made:
        assert [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]
        assert text[14] == "4"
        assert text[19] in "89ab"


def test_server_uptime_is_an_int() -> None:
    assert type(PURE["server_uptime"]()) is int
    assert PURE["server_uptime"]() >= 0
