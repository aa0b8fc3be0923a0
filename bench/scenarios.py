"""What is measured: the load generator's arguments, the figures of its answer, the bars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """What flinfast has to reach in a scenario.

    Attributes:
        key: Which column it is about: `figure`, `ratio`, `cpu_us` or `cpu_ratio`.
        limit: The value to reach.
        at_least: Whether more is better; otherwise the value is a ceiling.
    """

    key: str
    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value reaches the bar, as it is printed: rounded to hundredths."""
        return round(value, 2) >= self.limit if self.at_least else round(value, 2) <= self.limit


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Attributes:
        name: For `--scenarios`.
        title: As shown in tables.
        kind: `echo`, `fanout`, `connect`, `idle`, `session` or `http`; not every contender does
            each.
        arguments: Arguments of `wsload` besides port, process id and duration.
        figure: Key of the main figure in wsload's JSON.
        unit: Unit of the main figure.
        cpu: Key of the server CPU per operation (microseconds), or "".
        ceiling: Contender whose figure is 1.00.
        timed: Whether `-t SECONDS` applies.
        sessions: Made before, by a GET of /session each; connection i has the cookie of the i-th.
        bars: What flinfast has to reach.
    """

    name: str
    title: str
    kind: str
    arguments: tuple[str, ...]
    figure: str
    unit: str
    cpu: str = "server_cpu_us"
    ceiling: str = "limit"
    timed: bool = True
    sessions: int = 0
    bars: tuple[Bar, ...] = ()


def _rate(limit: float) -> Bar:
    return Bar("ratio", limit, at_least=True)


def _echo(name: str, title: str, shape: tuple[int, int, int], *bars: Bar) -> Scenario:
    connections, window, size = shape
    arguments = ("-m", "echo", "-u", "/echo", f"-c{connections}", f"-k{window}", f"-s{size}", "-x")
    return Scenario(name, title, "echo", arguments, "msgs_per_s", "messages/s", bars=bars)


def _fanout(members: int, *bars: Bar) -> Scenario:
    return Scenario(
        f"fanout-{members}",
        f"fan-out to {members}",
        "fanout",
        # Slow servers owe 160,000 deliveries when the time is up: late is not lost.
        ("-m", "fanout", "-u", "/room", f"-c{members}", "-P4", "-W8", "-s128", "-x", "-d45"),
        "deliveries_per_s",
        "deliveries/s",
        ceiling="limit-coalesce",
        bars=bars,
    )


SCENARIOS: dict[str, Scenario] = {
    entry.name: entry
    for entry in (
        _echo(
            "echo-64B-100x1",
            "echo 64 B, 100 connections, 1 in flight",
            (100, 1, 64),
            *(_rate(0.90), Bar("cpu_ratio", 1.15)),
        ),
        _echo(
            "echo-64B-100x16",
            "echo 64 B, 100 connections, 16 in flight",
            (100, 16, 64),
            _rate(0.40),
        ),
        _echo("echo-16KB-20x1", "echo 16 KB, 20 connections", (20, 1, 16384), _rate(0.85)),
        _echo("echo-1MB-4x1", "echo 1 MB, 4 connections", (4, 1, 1 << 20), _rate(0.85)),
        _fanout(100, _rate(0.95), Bar("cpu_us", 0.35)),
        _fanout(1000, _rate(0.95), Bar("cpu_us", 0.35)),
        _fanout(5000, _rate(1.3)),
        Scenario(
            "paced-1000",
            "paced fan-out to 1000, 10 a second by each of 4",
            "fanout",
            ("-m", "fanout", "-u", "/room", "-c1000", "-P4", "-r10", "-s128", "-x"),
            "lat_us.p50",
            "us, median latency",
            bars=(Bar("ratio", 1.10), Bar("cpu_ratio", 1.08)),
        ),
        Scenario(
            "connect",
            "connect and close",
            "connect",
            ("-m", "connect", "-u", "/echo", "-C64", "-n10000", "-x"),
            "conns_per_s",
            "connections/s",
            cpu="server_cpu_us_per_conn",
            timed=False,
            bars=(Bar("cpu_ratio", 1.4),),
        ),
        Scenario(
            "idle-10000",
            "10,000 idle connections",
            "idle",
            ("-m", "idle", "-u", "/echo", "-c10000", "-T"),
            "rss_per_conn_touched",
            "bytes each, after a message over each",
            cpu="",
            timed=False,
            bars=(Bar("figure", 1024),),
        ),
        Scenario(
            "idle-session-10000",
            "10,000 idle connections, each with a session of its own",
            "session",
            ("-m", "idle", "-u", "/session", "-c10000", "-T"),
            "rss_per_conn_touched",
            "bytes each, after a message over each",
            cpu="",
            timed=False,
            sessions=10_000,
            bars=(Bar("figure", 1024),),
        ),
        Scenario(
            "http-100",
            "JSON GET, 100 connections kept alive",
            "http",
            ("-m", "http", "-u", "/hello", "-c100", "-k1", "-x"),
            "msgs_per_s",
            "requests/s",
            bars=(_rate(0.65),),
        ),
    )
}


def figure(answer: dict[str, object], key: str) -> float:
    """A number from wsload's JSON; `a.b` looks inside `a`."""
    value: object = answer
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else None
    return float(value) if isinstance(value, (int, float)) else 0.0
