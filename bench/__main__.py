"""`python -m bench`: whole servers side by side, interleaved rounds, ratios to the ceiling."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.contenders import CONTENDERS
from bench.measure import load, running
from bench.report import Row, as_json, compare, markdown, summarise
from bench.scenarios import SCENARIOS, Scenario


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--servers", default="limit,limit-coalesce,flinfast,picows,websockets", metavar="A,B"
    )
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), metavar="A,B")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="per timed run")
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument("--compare", type=Path, help="rows of an earlier --json to compare with")
    return parser.parse_args()


def _round(scenario: Scenario, names: list[str], seconds: float) -> dict[str, dict[str, object]]:
    answers: dict[str, dict[str, object]] = {}
    for name in names:
        try:
            with running(CONTENDERS[name]) as (port, pid):
                answers[name] = load(scenario, port, pid, seconds)
        except (OSError, RuntimeError) as error:
            answers[name] = {"ok": False, "fault": str(error).strip().splitlines()[-1][:100]}
        figures = answers[name].get("server_cpu_us", "")
        print(f"  {scenario.name:18} {name:18} {figures}", file=sys.stderr)
    return answers


def main() -> int:
    """Run what was asked for; print the tables."""
    options = _arguments()
    names = options.servers.split(",")
    wanted = options.scenarios.split(",")
    unknown = [n for n in names if n not in CONTENDERS] + [s for s in wanted if s not in SCENARIOS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}", file=sys.stderr)
        return 2
    for name in list(names):
        reason = CONTENDERS[name].available()
        if reason:
            print(f"  {name}: left out, {reason}", file=sys.stderr)
            names.remove(name)
    rows: list[Row] = []
    for key in wanted:
        scenario = SCENARIOS[key]
        rounds = [_round(scenario, names, options.seconds) for _ in range(options.rounds)]
        rows += [summarise(scenario, name, rounds) for name in names]
    text = markdown(rows)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(as_json(rows), indent=1) + "\n")
    if options.compare:
        print(compare(rows, json.loads(options.compare.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
