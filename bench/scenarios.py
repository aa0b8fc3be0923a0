"""What is measured: arguments of the load generator and the figures taken from its answer."""

from __future__ import annotations

from dataclasses import dataclass

Figures = dict[str, float]


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Attributes:
        name: As shown in tables.
        arguments: Arguments of `wsload` besides port, process id and duration.
        figure: Key of the main figure in wsload's JSON.
        unit: Unit of the main figure.
        cpu: Key of the server CPU per operation (microseconds), or "".
        ceiling: Contender whose figure is 1.00.
        higher_is_better: Direction of the main figure.
        timed: Whether `-t SECONDS` applies.
        bar: Ratio of the main figure that flinfast has to reach (0 when there is none).
        cpu_bar: Ratio of the CPU that flinfast may use (0 when there is none).
    """

    name: str
    arguments: tuple[str, ...]
    figure: str
    unit: str
    cpu: str = "server_cpu_us"
    ceiling: str = "limit"
    higher_is_better: bool = True
    timed: bool = True
    bar: float = 0.0
    cpu_bar: float = 0.0


def _echo(name: str, connections: int, window: int, size: int, bar: float, cpu: float) -> Scenario:
    arguments = ("-m", "echo", "-u", "/echo", f"-c{connections}", f"-k{window}", f"-s{size}", "-x")
    return Scenario(name, arguments, "msgs_per_s", "msg/s", bar=bar, cpu_bar=cpu)


def _fanout(name: str, members: int, bar: float) -> Scenario:
    arguments = ("-m", "fanout", "-u", "/room", f"-c{members}", "-P4", "-W8", "-s128", "-x")
    return Scenario(
        name, arguments, "deliveries_per_s", "deliveries/s", ceiling="limit-coalesce", bar=bar
    )


SCENARIOS: dict[str, Scenario] = {
    entry.name: entry
    for entry in (
        _echo("echo-64B-100x1", 100, 1, 64, 0.90, 1.15),
        _echo("echo-64B-100x16", 100, 16, 64, 0.40, 0.0),
        _echo("echo-16KB-20x1", 20, 1, 16384, 0.85, 0.0),
        _echo("echo-1MB-4x1", 4, 1, 1 << 20, 0.85, 0.0),
        _fanout("fanout-100", 100, 0.95),
        _fanout("fanout-1000", 1000, 0.95),
        _fanout("fanout-5000", 5000, 1.3),
        Scenario(
            "paced-1000",
            ("-m", "fanout", "-u", "/room", "-c1000", "-P4", "-r10", "-s128", "-x"),
            "lat_us.p50",
            "us p50",
            higher_is_better=False,
            bar=1.10,
            cpu_bar=1.08,
        ),
        Scenario(
            "connect",
            ("-m", "connect", "-u", "/echo", "-C64", "-n10000", "-x"),
            "conns_per_s",
            "conn/s",
            cpu="server_cpu_us_per_conn",
            timed=False,
            cpu_bar=1.4,
        ),
        Scenario(
            "idle-10000",
            ("-m", "idle", "-u", "/echo", "-c10000", "-T"),
            "rss_per_conn",
            "B/conn",
            cpu="",
            higher_is_better=False,
            timed=False,
        ),
    )
}


def figure(answer: dict[str, object], key: str) -> float:
    """A number from wsload's JSON; `a.b` looks inside `a`."""
    value: object = answer
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else None
    return float(value) if isinstance(value, (int, float)) else 0.0
