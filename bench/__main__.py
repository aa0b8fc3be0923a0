"""`python -m bench`: whole servers side by side, interleaved rounds, ratios to the ceiling."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.contenders import CONTENDERS, DEFAULT
from bench.measure import ServerError, load, running
from bench.report import (
    OURS,
    Row,
    as_json,
    bars,
    compare,
    figures,
    from_json,
    markdown,
    merged,
    summarise,
    write_figures,
)
from bench.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
README = HERE / "README.md"
BUSY = "other work was running: rates and their ratios say little, CPU per operation holds"


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--servers", default=",".join(DEFAULT), metavar="A,B")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), metavar="A,B")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="per timed run")
    parser.add_argument("--json", type=Path, help="write the rows there, after each scenario")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="?",
        const=BASELINE,
        help="rows of an earlier --json to compare with (default: the saved baseline)",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="keep the run as bench/baseline.json and write its tables into bench/README.md; "
        "scenarios that were not measured keep their rows",
    )
    parser.add_argument(
        "--render", action="store_true", help="only write bench/README.md from the baseline"
    )
    options = parser.parse_args(given)
    options.servers, options.scenarios = options.servers.split(","), options.scenarios.split(",")
    unknown = [n for n in options.servers if n not in CONTENDERS]
    unknown += [s for s in options.scenarios if s not in SCENARIOS]
    if unknown:
        parser.error(
            f"unknown: {', '.join(unknown)}; servers: {', '.join(CONTENDERS)}; "
            f"scenarios: {', '.join(SCENARIOS)}"
        )
    if options.rounds < 1 or not 0.1 <= options.seconds <= 300:
        parser.error("expected at least one round, and 0.1 to 300 seconds")
    return options


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass
class Run:
    """One call of `python -m bench`.

    Attributes:
        names: Contenders that take part.
        rounds: Turns of each contender in each scenario.
        seconds: Of a timed run.
    """

    names: list[str]
    rounds: int
    seconds: float
    _done: int = 0
    _began: float = field(default_factory=time.monotonic)

    def _one(self, scenario: Scenario, name: str) -> dict[str, object]:
        try:
            with running(CONTENDERS[name]) as (port, pid):
                return load(scenario, port, pid, self.seconds)
        except (OSError, ServerError) as error:
            return {"ok": False, "fault": str(error).strip()[:120]}

    def scenario(self, scenario: Scenario, total: int) -> list[Row]:
        """Measure one scenario: every contender has a turn in every round."""
        names = [name for name in self.names if scenario.kind in CONTENDERS[name].kinds]
        answers: list[dict[str, dict[str, object]]] = []
        for number in range(self.rounds):
            answers.append({})
            for name in names:
                answer = self._one(scenario, name)
                answers[-1][name] = answer
                self._done += 1
                left = (time.monotonic() - self._began) / self._done * (total - self._done)
                row = summarise(scenario, name, [answers[-1]])
                said = row.fault or f"{row.figure:,.0f} {row.unit}, CPU {row.cpu_us:.2f} us"
                _say(
                    f"[{self._done}/{total}, {left / 60:.0f} min left] {scenario.name} "
                    f"round {number + 1} {name}: {said}"
                )
        return [summarise(scenario, name, answers) for name in names]


def _conditions(options: argparse.Namespace, load_before: float) -> dict[str, object]:
    load_now = os.getloadavg()[0]
    # Before the run the machine should have been idle; afterwards the run itself is in the average.
    busy = {"note": BUSY} if load_before > 1 else {}
    return {
        "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}",
        "load average": f"{load_before:.1f} before, {load_now:.1f} after",
        "rounds": f"{options.rounds} of {options.seconds:g} s",
        **busy,
    }


def _available(names: list[str]) -> list[str]:
    left = []
    for name in names:
        reason = CONTENDERS[name].available()
        if reason:
            _say(f"{name}: left out, {reason} (python -m bench.install)")
        else:
            left.append(name)
    return left


def _keep(about: dict[str, object], rows: list[Row], path: Path) -> None:
    path.write_text(json.dumps(as_json(about, rows), indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> tuple[dict[str, object], list[Row]]:
    return from_json(json.loads(path.read_text(encoding="utf-8")))


def main(given: list[str] | None = None) -> int:
    """Run what was asked for; print the tables.

    Returns:
        0, or 1 when flinfast or a ceiling has no figures; a peer may fail.
    """
    options = _arguments(given)
    if options.render:
        write_figures(README, figures(*_read(BASELINE)))
        return 0
    # So that `finally` ends the servers: the default action would not run it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    run = Run(_available(options.servers), options.rounds, options.seconds)
    scenarios = [SCENARIOS[name] for name in options.scenarios]
    total = options.rounds * sum(
        scenario.kind in CONTENDERS[name].kinds for scenario in scenarios for name in run.names
    )
    rows: list[Row] = []
    for scenario in scenarios:
        measured = run.scenario(scenario, total)
        about = _conditions(options, load_before)
        told = f"{about['taken']}, {about['rounds']}, load {about['load average']}"
        rows += [replace(row, conditions=told) for row in measured]
        if options.json:
            _keep(about, rows, options.json)
        if options.save:
            kept = merged(_read(BASELINE)[1] if BASELINE.exists() else [], rows)
            _keep(about, kept, BASELINE)
            write_figures(README, figures(about, kept))
    text = markdown(rows) + "\n" + bars(rows)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.compare:
        print(compare(rows, _read(options.compare)[1]))
    needed = {OURS, *(scenario.ceiling for scenario in scenarios)}
    return 1 if any(row.fault and row.contender in needed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
