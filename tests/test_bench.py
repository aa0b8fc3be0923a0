"""The benchmark tools are honest: the load generator notices wrong servers, a run fills a table."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contenders import compile_c
from bench.report import Row, compare, markdown, summarise
from bench.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@needs_linux
def test_load_generator_notices_every_injected_fault() -> None:
    """Lost, doubled, reordered, wrong or extra messages never count as throughput."""
    compile_c("wsload")
    done = subprocess.run(
        [sys.executable, "bench/wsload/selftest.py"], cwd=ROOT, capture_output=True, timeout=110
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.decode().strip().endswith("0 failed")


@needs_linux
def test_a_run_writes_a_table_with_ratios_to_the_ceiling(tmp_path: Path) -> None:
    """`python -m bench` starts servers, loads them and writes Markdown and JSON."""
    command = [sys.executable, "-m", "bench", "--servers", "limit,limit-coalesce,flinfast"]
    options = ["--scenarios", "echo-64B-100x1,fanout-100", "--rounds", "1", "--seconds", "0.5"]
    out = tmp_path / "rows.json"
    done = subprocess.run(
        [*command, *options, "--json", str(out)], cwd=ROOT, capture_output=True, timeout=110
    )
    assert done.returncode == 0, done.stderr.decode()
    rows = [Row(**row) for row in json.loads(out.read_text())]
    assert len(rows) == 6
    assert [row.fault for row in rows] == [""] * 6, rows
    assert all(row.ratio > 0 and row.cpu_us > 0 for row in rows)
    assert "| flinfast |" in done.stdout.decode()


def test_ratios_are_medians_of_per_round_ratios() -> None:
    """A noisy round moves both sides; only ratios within a round are compared."""
    scenario = SCENARIOS["echo-64B-100x1"]

    def answer(rate: float) -> dict[str, object]:
        return {"ok": True, "msgs_per_s": rate, "server_cpu_us": 1e6 / rate}

    rounds = [{"limit": answer(n), "x": answer(n / 2)} for n in (100.0, 10.0, 1000.0)]
    row = summarise(scenario, "x", rounds)
    assert (row.figure, row.ratio, row.cpu_ratio) == (50.0, 0.5, 2.0)
    wrong = summarise(scenario, "x", [{"x": {"ok": False, "first_error": "lost"}}])
    assert wrong.fault == "lost"
    assert "| x | lost |" in markdown([wrong])
    assert "0.50 | 0.50" in compare([row], [{**row.__dict__, "fault": ""}])
