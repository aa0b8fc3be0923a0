"""Turn rounds of answers into medians, ratios to the ceiling, Markdown and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from bench.scenarios import Scenario, figure


@dataclass(frozen=True)
class Row:
    """One contender in one scenario, medians over the rounds.

    Attributes:
        ratio: Main figure over the ceiling's of the same round.
        cpu_ratio: CPU per operation over the ceiling's of the same round (0 when not measured).
        fault: Why it has no figures, or "".
    """

    scenario: str
    contender: str
    figure: float = 0.0
    unit: str = ""
    ratio: float = 0.0
    cpu_us: float = 0.0
    cpu_ratio: float = 0.0
    rounds: int = 0
    fault: str = ""


def summarise(
    scenario: Scenario, contender: str, rounds: list[dict[str, dict[str, object]]]
) -> Row:
    """Medians of the figures and of the per-round ratios to the ceiling."""
    mine = [r[contender] for r in rounds if contender in r]
    faults = [str(a.get("fault") or a.get("first_error") or "") for a in mine if not a.get("ok")]
    if not mine or faults:
        return Row(scenario.name, contender, fault=faults[0] if faults else "not run")
    pairs = [
        (r[contender], r[scenario.ceiling])
        for r in rounds
        if contender in r and r.get(scenario.ceiling, {}).get("ok")
    ]

    def ratio(key: str) -> float:
        values = [figure(a, key) / figure(b, key) for a, b in pairs if key and figure(b, key)]
        return median(values) if values else 0.0

    return Row(
        scenario.name,
        contender,
        figure=median(figure(a, scenario.figure) for a in mine),
        unit=scenario.unit,
        ratio=ratio(scenario.figure),
        cpu_us=median(figure(a, scenario.cpu) for a in mine) if scenario.cpu else 0.0,
        cpu_ratio=ratio(scenario.cpu) if scenario.cpu else 0.0,
        rounds=len(mine),
    )


def markdown(rows: list[Row]) -> str:
    """A table per scenario, in the order the rows came."""
    lines: list[str] = []
    last = ""
    for row in rows:
        if row.scenario != last:
            lines += [
                "",
                f"### {row.scenario}",
                "",
                f"| server | {row.unit or 'figure'} | ratio | CPU us | CPU ratio |",
                "|---|---|---|---|---|",
            ]
            last = row.scenario
        if row.fault:
            lines.append(f"| {row.contender} | {row.fault} | | | |")
        else:
            lines.append(
                f"| {row.contender} | {row.figure:,.0f} | {row.ratio:.2f} "
                f"| {row.cpu_us:.2f} | {row.cpu_ratio:.2f} |"
            )
    return "\n".join(lines) + "\n"


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    """The rows as plain data."""
    return [asdict(row) for row in rows]


def compare(rows: list[Row], baseline: list[dict[str, object]]) -> str:
    """How the ratios moved since a saved baseline, one line per row that both have."""
    before = {(b["scenario"], b["contender"]): b for b in baseline}
    lines = ["| scenario | server | ratio before | now | CPU ratio before | now |", "|---|" * 6]
    lines[1] = "|---|---|---|---|---|---|"
    for row in rows:
        old = before.get((row.scenario, row.contender))
        if old and not row.fault and not old["fault"]:
            lines.append(
                f"| {row.scenario} | {row.contender} | {old['ratio']:.2f} | {row.ratio:.2f} "
                f"| {old['cpu_ratio']:.2f} | {row.cpu_ratio:.2f} |"
            )
    return "\n".join(lines) + "\n"
