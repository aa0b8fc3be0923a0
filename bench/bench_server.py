"""Whole servers: echo and fan-out beside picows, websockets and the ceiling.

One timed run of the load generator each; `build/table.md` holds the table afterwards. For medians
over interleaved rounds, more servers and more scenarios: `python -m bench`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contenders import BUILD, CONTENDERS
from bench.measure import load, running
from bench.report import markdown, summarise
from bench.scenarios import SCENARIOS

SERVERS = ("limit", "limit-coalesce", "flinfast", "picows", "websockets")
NAMES = ("echo-64B-100x1", "echo-64B-100x16", "fanout-100", "fanout-1000")
SECONDS = 1.0

pytestmark = pytest.mark.skipif(
    shutil.which("taskset") is None or not os.path.isdir("/proc"),
    reason="needs Linux: servers are pinned to cores and measured through /proc",
)
_answers: dict[str, dict[str, dict[str, object]]] = {}


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Write the table when every server has had its turn."""
    yield
    rows = [
        summarise(SCENARIOS[scenario], server, [round_])
        for scenario, round_ in _answers.items()
        for server in round_
    ]
    BUILD.mkdir(exist_ok=True)
    (BUILD / "table.md").write_text(markdown(rows), encoding="utf-8")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("scenario", NAMES)
def test_server(benchmark: BenchmarkFixture, scenario: str, server: str) -> None:
    """Nothing lost, doubled or reordered; rate and CPU go into the table."""
    contender = CONTENDERS[server]
    if contender.available():
        pytest.skip(contender.available())
    with running(contender) as (port, pid):
        answer = benchmark.pedantic(load, args=(SCENARIOS[scenario], port, pid, SECONDS), rounds=1)
    benchmark.extra_info.update({"server": server, "scenario": scenario})
    _answers.setdefault(scenario, {})[server] = answer
    assert answer["ok"], answer["first_error"]
