"""The benchmark tools are honest: wrong servers are noticed, tables say what was measured."""

import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bench import bench_start, measure, peers
from bench.__main__ import BASELINE, README, Run, _arguments, _read
from bench.contenders import CONTENDERS, Contender, compile_c
from bench.measure import ServerError, load, running
from bench.report import (
    BEGIN,
    END,
    Row,
    as_json,
    bars,
    compare,
    figures,
    from_json,
    markdown,
    median_interval,
    merged,
    summarise,
    write_figures,
)
from bench.scenarios import SCENARIOS, Bar
from tests.e2e.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None or shutil.which("taskset") is None,
    reason="needs Linux, taskset and a C compiler",
)
ECHO = SCENARIOS["echo-64B-100x1"]
RUN_S = 400  # for what takes half a minute on a machine that does nothing else

# One of each kind, so small that every server is through in a second.
SMALL = {
    "echo": ("-m", "echo", "-u", "/echo", "-c4", "-k2", "-w0.1"),
    "large echo": ("-m", "echo", "-u", "/echo", "-c2", "-s200000", "-z1", "-w0.1", "-d20"),
    "fanout": ("-m", "fanout", "-u", "/room", "-c8", "-P2", "-W2", "-s100", "-w0.1", "-d20"),
    "connect": ("-m", "connect", "-u", "/echo", "-C4", "-n40"),
    "idle": ("-m", "idle", "-u", "/echo", "-c20", "-T", "-o100"),
    "session": ("-m", "idle", "-u", "/session", "-c20", "-T", "-o100"),
    "http": ("-m", "http", "-u", "/hello", "-c4", "-k1", "-w0.1"),
}


# Seconds to measure: in a short time that the machine spent on something else nothing comes back.
DURATIONS = (0.3, 3.0, 20.0)
NOTHING = "nothing came back while it was measured"


def answer(rate: float) -> dict[str, object]:
    return {"ok": True, "msgs_per_s": rate, "server_cpu_us": 1e6 / rate}


@needs_linux
@pytest.mark.timeout(RUN_S + 20)
def test_load_generator_notices_every_injected_fault() -> None:
    """Lost, doubled, reordered, wrong or extra messages and responses are never throughput."""
    compile_c("wsload")
    done = subprocess.run(
        [sys.executable, "bench/wsload/selftest.py"], cwd=ROOT, capture_output=True, timeout=RUN_S
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert done.stdout.decode().strip().endswith("0 failed")


@needs_linux
@pytest.mark.parametrize("name", CONTENDERS)
def test_server_answers_rightly_in_every_kind(name: str) -> None:
    """Every server that can run here echoes, fans out, opens, holds and answers as agreed."""
    contender = CONTENDERS[name]
    reason = contender.available()
    if reason:
        pytest.skip(reason)
    with running(contender) as (port, pid):
        for kind, arguments in SMALL.items():
            if kind.split()[-1] not in contender.kinds:
                continue
            small = dataclasses.replace(
                ECHO,
                arguments=arguments,
                timed=kind != "connect",
                sessions=20 if kind == "session" else 0,
            )
            for seconds in DURATIONS:
                seen = load(small, port, pid, seconds)
                if seen.get("first_error") != NOTHING:
                    break
            assert seen["ok"], (kind, seen.get("first_error"))


@needs_linux
@pytest.mark.timeout(RUN_S + 20)
def test_a_run_writes_a_table_with_ratios_to_the_ceiling(tmp_path: Path) -> None:
    """`python -m bench` starts servers, loads them and writes Markdown and JSON."""
    command = [sys.executable, "-m", "bench", "--servers", "limit,limit-coalesce,flinfast"]
    options = ["--scenarios", "echo-64B-100x1,fanout-100,http-100", "--rounds", "1"]
    out, page = tmp_path / "rows.json", tmp_path / "page.md"
    files = ["--json", str(out), "--markdown", str(page)]
    for seconds in DURATIONS:
        done = subprocess.run(
            [*command, *options, "--seconds", str(seconds), *files],
            cwd=ROOT,
            capture_output=True,
            timeout=RUN_S,
        )
        if NOTHING not in done.stderr.decode():
            break
    assert done.returncode == 0, done.stderr.decode()
    about, rows = from_json(json.loads(out.read_text()))
    assert "load average" in about
    # Coalescing changes nothing but fan-out, so only there it has a turn.
    assert [row.contender for row in rows].count("limit-coalesce") == 1
    assert len(rows) == 7
    assert [row.fault for row in rows] == [""] * 7, rows
    assert all(row.ratio > 0 and row.cpu_us > 0 for row in rows)
    assert "| flinfast |" in done.stdout.decode()
    assert page.read_text().startswith(markdown(rows))
    assert b"[7/7" in done.stderr


def test_ratios_are_medians_of_per_round_ratios() -> None:
    """A noisy round moves both sides; only ratios within a round are compared."""
    rounds = [{"limit": answer(n), "x": answer(n / 2)} for n in (100.0, 10.0, 1000.0)]
    row = summarise(ECHO, "x", rounds)
    assert (row.figure, row.ratio, row.cpu_ratio) == (50.0, 0.5, 2.0)
    assert (row.ratio_low, row.ratio_high, row.rounds) == (0.5, 0.5, 3)


def test_one_wrong_answer_voids_all_rounds() -> None:
    """A server that loses a message now and then has no rate."""
    rounds = [{"x": answer(10.0)}, {"x": {"ok": False, "first_error": "1 messages | lost"}}]
    row = summarise(ECHO, "x", rounds)
    assert row == Row(ECHO.name, "x", fault="1 messages | lost")
    assert "| x | 1 messages / lost | | | | |" in markdown([row])
    assert summarise(ECHO, "y", rounds).fault == "not run"


def test_bars_are_met_at_their_limit_and_missed_below() -> None:
    """What is printed decides: rounded to hundredths."""
    rate, cpu = Bar("ratio", 0.9, at_least=True), Bar("cpu_ratio", 1.15)
    assert [rate.met(v) for v in (0.894, 0.896, 0.9)] == [False, True, True]
    assert [cpu.met(v) for v in (1.15, 1.154, 1.16)] == [True, True, False]
    said = bars([Row(ECHO.name, "flinfast", ratio=0.95, cpu_ratio=1.2), Row(ECHO.name, "bun")])
    assert "ratio 0.95 (at least 0.9): met; CPU ratio 1.20 (at most 1.15): **missed**" in said
    assert said.count(ECHO.title) == 1


def test_rounds_on_both_sides_of_a_bar_are_no_verdict() -> None:
    """A median over noise is neither met nor missed; each row says how it was taken."""
    row = Row(ECHO.name, "flinfast", ratio=1.2, ratio_low=0.3, ratio_high=3.5, rounds=3)
    assert "**unsure**, from 0.30 to 3.50" in bars([replace(row, conditions="at noon")])
    assert "| at noon |" in bars([replace(row, conditions="at noon")])
    steady = bars([replace(row, ratio_low=1.1, ratio_high=1.3)])
    assert "ratio 1.20 (at least 0.9): met" in steady


@pytest.mark.parametrize(
    ("count", "place"), [(1, 1), (2, 1), (5, 1), (7, 1), (8, 2), (10, 2), (11, 3), (13, 4), (20, 6)]
)
def test_more_rounds_say_better_where_the_median_lies(count: int, place: int) -> None:
    """Published tables of the sign test: critical value place - 1 at 10 % for both sides."""
    values = [float(value) for value in range(count, 0, -1)]
    assert median_interval(values) == (place, count + 1 - place)


def test_comparison_shows_rows_of_both_runs() -> None:
    """Servers without figures on either side have nothing to compare."""
    row = Row(ECHO.name, "x", ratio=0.5, cpu_ratio=2.0)
    old = Row(ECHO.name, "x", ratio=0.25, cpu_ratio=4.0)
    assert "| x | 0.25 | 0.50 | 4.00 | 2.00 |" in compare([row], [old])
    assert "| x |" not in compare([row], [dataclasses.replace(old, fault="lost")])
    assert "| x |" not in compare([dataclasses.replace(row, fault="lost")], [old])


def test_rows_are_read_back_as_they_were_kept() -> None:
    """A baseline outlives new columns and columns that are gone."""
    rows = [Row(ECHO.name, "x", figure=3.0, ratio=0.5)]
    data = as_json({"taken": "today"}, rows)
    data["rows"][0]["forgotten"] = 1  # type: ignore[index]
    assert from_json(json.loads(json.dumps(data))) == ({"taken": "today"}, rows)


def test_a_scenario_is_replaced_as_a_whole() -> None:
    """Ratios belong to one run: rows of two runs never stand in one scenario."""
    old = [Row(ECHO.name, "x"), Row(ECHO.name, "y"), Row("connect", "x"), Row("gone", "x")]
    new = [Row(ECHO.name, "x", ratio=1.0)]
    assert merged(old, new) == [new[0], Row("connect", "x")]


def test_figures_stand_between_markers(tmp_path: Path) -> None:
    """A page keeps what is around its figures; one without markers is refused."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rows = [Row(ECHO.name, "flinfast", ratio=0.95), Row(ECHO.name, "x", fault="lost")]
    write_figures(page, figures({"machine": "mine"}, rows))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n* machine: mine\n")
    assert text.endswith(f"{END}\nafter\n")
    assert f"| {ECHO.title} | 0.95 | fault |" in text
    assert f"* `x`, {ECHO.title}: lost" in text
    page.write_text("no markers")
    with pytest.raises(ValueError, match="expected one"):
        write_figures(page, "")


def test_figures_of_the_readme_are_those_of_the_baseline(tmp_path: Path) -> None:
    """No figure is typed by hand."""
    page = tmp_path / "README.md"
    page.write_text(README.read_text())
    write_figures(page, figures(*_read(BASELINE)))
    assert page.read_text() == README.read_text(), "run `python -m bench --render`"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU clock of another process")
def test_starts_and_saves_are_measured() -> None:
    """One round gives a row for everything that has a bar; open sockets got the saved answer."""
    rows = [line.split(" | ") for line in bench_start.run(sys.executable, 1).splitlines()[2:]]
    assert [row[-1].rstrip(" |") for row in rows if row[-1] != " |"][-3:] == [
        "CPU 60",
        "250",
        "wall 40",
    ]
    assert all(float(figure) >= 0 for row in rows for figure in row[1:5])


def test_unknown_names_are_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error does not become an empty run."""
    with pytest.raises(SystemExit):
        _arguments(["--servers", "limit,bunn"])
    assert "unknown: bunn; servers: limit," in capsys.readouterr().err


def script(body: str) -> Contender:
    """A contender whose server is a Python program."""
    return Contender("script", lambda port, _: [sys.executable, "-c", body, str(port)])


@needs_linux
def test_a_server_that_ends_is_a_fault_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row says what the server said last."""
    monkeypatch.setitem(CONTENDERS, "script", script("raise SystemExit('no luck')"))
    rows = Run(["script"], 1, 0.1).scenario(ECHO, 1)
    assert [row.fault for row in rows] == ["server ended: no luck"]


@needs_linux
def test_a_server_that_does_not_listen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is ended."""
    monkeypatch.setattr(measure, "START_S", 0.3)
    with (
        pytest.raises(ServerError, match="did not listen"),
        running(script("import time; time.sleep(600)")),
    ):
        pytest.fail("it never listened")


@needs_linux
def test_a_taken_port_is_tried_again_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between choosing a port and binding it, another program may come first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free, busy = free_port(), taken.getsockname()[1]
        choices = iter([busy, free])
        monkeypatch.setattr(measure, "free_port", lambda: next(choices))
        with running(CONTENDERS["limit"]) as (port, _):
            assert port == free


FORKING = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
child = os.fork()
if child:
    open(os.environ["CHILD"], "w").write(str(child))
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@needs_linux
def test_children_of_a_server_are_ended_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server of several processes leaves none behind, however badly it behaves."""
    monkeypatch.setenv("CHILD", str(tmp_path / "child"))
    monkeypatch.setattr(measure, "STOP_S", 1.0)
    with running(script(FORKING)) as (_, pid):
        deadline = time.monotonic() + 60
        while not ((tmp_path / "child").exists() and (tmp_path / "child").read_text()):
            assert time.monotonic() < deadline
        child = int((tmp_path / "child").read_text())
        assert is_running(pid)
        assert is_running(child)
    assert not is_running(pid)
    deadline = time.monotonic() + 60
    while is_running(child):
        assert time.monotonic() < deadline


@needs_linux
def test_servers_end_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    """Even SIGKILL leaves no server on a core that others are measured on."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    command = [sys.executable, "-m", "bench", "--servers", "limit", "--scenarios", ECHO.name]
    run = subprocess.Popen(
        [*command, "--seconds", "100"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        server = next(wait_for_child(run.pid, "limit"))
        run.kill()
        run.wait(60)
        deadline = time.monotonic() + 60
        while is_running(server):
            assert time.monotonic() < deadline
    finally:
        run.kill()
        run.communicate()


def wait_for_child(parent: int, name: str) -> Iterator[int]:
    """Process ids of children with a name, once there are any."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                text = stat.read_text()
                if f"({name})" in text and text.rpartition(")")[2].split()[1] == str(parent):
                    yield int(stat.parent.name)
    raise AssertionError(f"no child named {name}")


def test_peers_that_are_missing_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reason, never an exception in the middle of a run."""
    monkeypatch.setattr(peers, "VENV", tmp_path)
    monkeypatch.setattr(peers, "NPM", tmp_path)
    assert peers.missing(("json", "no_such_module")) == "not installed: no_such_module"
    assert peers.missing(("json",)) == ""
    assert peers.npm_missing("ws") == "npm package ws is not installed"
    assert peers.python_for(("json",)) == sys.executable
    assert "does not load" in peers.loads("no_such_module")


def test_every_scenario_names_a_ceiling_that_takes_part() -> None:
    """A ratio has something below the line."""
    for scenario in SCENARIOS.values():
        assert scenario.kind in CONTENDERS[scenario.ceiling].kinds
        assert scenario.kind in CONTENDERS["flinfast"].kinds
