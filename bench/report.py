"""Turn rounds of answers into medians, ratios to the ceiling, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import comb
from pathlib import Path
from statistics import median

from bench.contenders import CONTENDERS
from bench.scenarios import SCENARIOS, Bar, Scenario, figure

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
OURS = "flinfast"
COLUMNS = {name: index for index, name in enumerate(CONTENDERS)}


@dataclass(frozen=True)
class Row:
    """One contender in one scenario, medians over the rounds.

    Attributes:
        ratio: Main figure over the ceiling's of the same round (0 when there is no ceiling).
        ratio_low: The median of ever more rounds lies above it, see median_interval().
        ratio_high: And below this one.
        cpu_us: Server CPU per operation, microseconds (0 when not measured).
        cpu_ratio: CPU per operation over the ceiling's of the same round.
        rounds: How many rounds gave figures.
        fault: Why it has no figures, or "".
        conditions: When and how it was taken: rows of one table may come from several runs.
    """

    scenario: str
    contender: str
    figure: float = 0.0
    unit: str = ""
    ratio: float = 0.0
    ratio_low: float = 0.0
    ratio_high: float = 0.0
    cpu_us: float = 0.0
    cpu_ratio: float = 0.0
    rounds: int = 0
    fault: str = ""
    conditions: str = ""


Round = dict[str, dict[str, object]]
DOUBT_MAX = 0.1  # that the median of ever more rounds lies outside of what is shown


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median of the distribution lies that values were drawn from.

    The distribution-free interval from the k-th lowest to the k-th highest value: the median lies
    below the former with the probability that less than k of n coin tosses are heads (the sign
    test; W. R. Thompson 1936). k is the largest with which the doubt on both sides together is at
    most DOUBT_MAX: 1 for up to 7 values (more doubt for fewer than 5), 2 for 8, 3 for 11, 4 for 13.

    Args:
        values: At least one.

    Returns:
        Its ends, which are values.
    """
    count, k, below = len(values), 1, 1
    while 2 * (below + comb(count, k)) <= DOUBT_MAX * 2**count:
        below += comb(count, k)
        k += 1
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]


def summarise(scenario: Scenario, contender: str, rounds: Sequence[Round]) -> Row:
    """Medians of the figures and of the per-round ratios to the ceiling.

    One wrong answer voids all the rounds of a contender: a server that loses a message now and then
    has no rate.
    """
    mine = [r[contender] for r in rounds if contender in r]
    wrong = [str(a.get("fault") or a.get("first_error") or "no") for a in mine if not a.get("ok")]
    if not mine or wrong:
        return Row(scenario.name, contender, fault=wrong[0] if wrong else "not run")
    pairs = [
        (r[contender], r[scenario.ceiling])
        for r in rounds
        if contender in r and r.get(scenario.ceiling, {}).get("ok")
    ]

    def ratios(key: str) -> list[float]:
        both = [(figure(a, key), figure(b, key)) for a, b in pairs if key]
        return [a / b for a, b in both if b] or [0.0]

    main = ratios(scenario.figure)
    low, high = median_interval(main)
    return Row(
        scenario.name,
        contender,
        figure=median(figure(a, scenario.figure) for a in mine),
        unit=scenario.unit,
        ratio=median(main),
        ratio_low=low,
        ratio_high=high,
        cpu_us=median(figure(a, scenario.cpu) for a in mine) if scenario.cpu else 0.0,
        cpu_ratio=median(ratios(scenario.cpu)),
        rounds=len(mine),
    )


def _number(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}" if value else ""


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def verdict(row: Row, bar: Bar) -> str:
    """One bar of a scenario, such as `CPU/op 0.30 us (at most 0.35): met`."""
    names = {"figure": row.unit, "ratio": "ratio", "cpu_us": "CPU us", "cpu_ratio": "CPU ratio"}
    value = float(getattr(row, bar.key))
    side = "at least" if bar.at_least else "at most"
    met = "met" if bar.met(value) else "**missed**"
    if bar.key == "ratio" and bar.met(row.ratio_low) != bar.met(row.ratio_high) and row.rounds > 1:
        met = f"**unsure**, from {row.ratio_low:.2f} to {row.ratio_high:.2f}"
    return f"{names[bar.key]} {value:,.2f} ({side} {bar.limit:,g}): {met}"


def markdown(rows: Sequence[Row]) -> str:
    """A table per scenario, in the order the rows came."""
    lines: list[str] = []
    last = ""
    for row in rows:
        scenario = SCENARIOS[row.scenario]
        if row.scenario != last:
            last = row.scenario
            lines += [
                *(
                    "",
                    f"### {scenario.title}",
                    "",
                    f"`{row.scenario}`, ceiling `{scenario.ceiling}`.",
                ),
                "",
                f"| server | {scenario.unit} | ratio | median within | CPU us | CPU ratio |",
                "|---|---|---|---|---|---|",
            ]
        if row.fault:
            lines.append(f"| {row.contender} | {_cell(row.fault)} | | | | |")
            continue
        spread = f"{row.ratio_low:.2f} to {row.ratio_high:.2f}" if row.rounds > 1 else ""
        lines.append(
            f"| {row.contender} | {_number(row.figure, 0)} | {_number(row.ratio)} | {spread} "
            f"| {_number(row.cpu_us)} | {_number(row.cpu_ratio)} |"
        )
    return "\n".join(lines) + "\n"


def bars(rows: Sequence[Row]) -> str:
    """What flinfast reaches of what it has to, a line per scenario."""
    lines = ["| scenario | flinfast | taken |", "|---|---|---|"]
    for row in rows:
        if row.contender == OURS:
            scenario = SCENARIOS[row.scenario]
            said = "; ".join(verdict(row, bar) for bar in scenario.bars)
            said = _cell(row.fault) or said
            lines.append(f"| {scenario.title} | {said} | {_cell(row.conditions)} |")
    return "\n".join(lines) + "\n"


def _matrix(rows: Sequence[Row], key: str, caption: str, digits: int = 2) -> list[str]:
    scenarios = [name for name in SCENARIOS if any(r.scenario == name for r in rows)]
    present = {row.contender for row in rows}
    contenders = sorted(present, key=lambda name: (COLUMNS.get(name, len(COLUMNS)), name))
    found = {(row.scenario, row.contender): row for row in rows}
    lines = [
        caption,
        "",
        f"| scenario | {' | '.join(contenders)} |",
        "|---" * (len(contenders) + 1),
    ]
    lines[-1] += "|"
    for name in scenarios:
        cells = []
        for contender in contenders:
            row = found.get((name, contender))
            wrong = row is not None and row.fault
            value = float(getattr(row, key)) if row else 0.0
            cells.append("fault" if wrong else _number(value, digits))
        if any(cell not in ("", "fault") for cell in cells):
            unit = f" ({SCENARIOS[name].unit})" if key == "figure" else ""
            lines.append(f"| {SCENARIOS[name].title}{unit} | {' | '.join(cells)} |")
    return [*lines, ""]


def figures(about: dict[str, object], rows: Sequence[Row]) -> str:
    """What stands in the README: machine, bars, all servers side by side, faults.

    How a row was taken stands beside it: a run replaces the scenarios that it measured only.
    """
    said = [f"* machine: {about['machine']}"] if "machine" in about else []
    wrong = [
        f"* `{row.contender}`, {SCENARIOS[row.scenario].title}: {_cell(row.fault)}"
        for row in rows
        if row.fault
    ]
    lines = [*said, "", "### What flinfast reaches", "", bars(rows), "### All servers", ""]
    lines += _matrix(rows, "ratio", "Main figure over the ceiling's, same round:")
    lines += _matrix(rows, "cpu_us", "Server CPU per operation, microseconds:")
    lines += _matrix(rows, "figure", "Main figure:", 0)
    if wrong:
        lines += ["Without figures:", "", *wrong, ""]
    return "\n".join(lines)


def write_figures(page: Path, text: str) -> None:
    """Replace what stands between the markers of a Markdown page.

    Raises:
        ValueError: The page does not have the two markers, once each.
    """
    old = page.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"expected one {BEGIN} and one {END} in {page.name}")
    before, rest = old.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def as_json(about: dict[str, object], rows: Sequence[Row]) -> dict[str, object]:
    """A run as plain data."""
    return {"about": about, "rows": [asdict(row) for row in rows]}


def from_json(data: dict[str, object]) -> tuple[dict[str, object], list[Row]]:
    """A run read back; keys that rows do not know are left out."""
    known = {field.name for field in fields(Row)}
    about, rows = data["about"], data["rows"]
    assert isinstance(about, dict)
    assert isinstance(rows, list)
    return about, [Row(**{k: v for k, v in row.items() if k in known}) for row in rows]


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Rows of a new run beside the scenarios of an old one that the new one did not measure.

    A scenario is replaced as a whole: its ratios belong to one run.
    """
    measured = {row.scenario for row in new}
    rows = [*(row for row in old if row.scenario not in measured), *new]
    order = list(SCENARIOS)
    return sorted(
        (row for row in rows if row.scenario in SCENARIOS), key=lambda r: order.index(r.scenario)
    )


def compare(rows: Sequence[Row], baseline: Sequence[Row]) -> str:
    """How the ratios moved since an earlier run, one line per row that both have."""
    before = {(row.scenario, row.contender): row for row in baseline}
    lines = [
        "| scenario | server | ratio before | now | CPU ratio before | now |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        old = before.get((row.scenario, row.contender))
        if old and not row.fault and not old.fault:
            lines.append(
                f"| {row.scenario} | {row.contender} | {old.ratio:.2f} | {row.ratio:.2f} "
                f"| {old.cpu_ratio:.2f} | {row.cpu_ratio:.2f} |"
            )
    return "\n".join(lines) + "\n"
