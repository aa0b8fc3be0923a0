"""`kill -9` during a stream of saves: what anybody was told of is there afterwards.

An HTTP answer, a broadcast to a bystander, what a reader is shown and the version number in each
tell of a write. Two servers write to one file; one or both are killed, and start beside the other.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flinfast.store.check import integrity
from tests.e2e.conftest import Client, Server, wait_until
from tests.e2e.witness import FILES, PATH, HttpWriter, Witness, crowd_of

MakeServer = Callable[..., Server]
ROUNDS = int(os.environ.get("FLINFAST_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("FLINFAST_CRASH_SEED", "7"))
# Rounds that one data folder lives: a log that is young, grows, and is copied while it is written.
LIVES = (1, 3, 10, 40)
TOLD_MAX = 150  # the server is killed when its clients were told of 1 to so many writes
TOLD_AFTER = 20  # what the other server has to tell of, alone and beside one that starts
PAUSE_S = 0.01  # between the requests of its clients meanwhile
TERMINATED_EVERY = 10  # ended with SIGTERM instead
INTERRUPTED_EVERY = 8  # killed once more, while it starts
START_S_MAX = 1.0
PATIENCE_S = 90.0  # of a loaded machine
LOG_BYTES = 6000
LOG = logging.getLogger("crash")


class Crash:
    """Servers on one data folder that are killed and started again.

    Attributes:
        servers: All of them; none runs between two lives.
        kills: Loaded servers that were ended with SIGKILL.
        told: How much everybody was told, in all.
    """

    def __init__(self, servers: list[Server], chance: random.Random) -> None:
        self.servers = servers
        self.kills = 0
        self.told = 0
        self._chance = chance
        self._folder = Path()

    def live(self, folder: str, rounds: range) -> None:
        """Rounds on one new data folder, and a clean end of it."""
        self._folder = self.servers[0].root / folder
        for server in self.servers:
            server.environment["FLIN_STORE_PATH"] = folder
            server.start()
        for number in rounds:
            with self._explained(number):
                self._round(number)
        for server in self.servers:
            assert server.stop() == 0, server.output[-LOG_BYTES:]
        assert integrity(self._folder / "flin.db") == []

    def _round(self, number: int) -> None:
        everybody = [
            witness
            for place, server in enumerate(self.servers)
            for witness in crowd_of(server, f"r{number}s{place}")
        ]
        hear(everybody, self._chance.randint(1, TOLD_MAX))
        at_work(everybody)
        ended = self._chance.sample(self.servers, self._chance.randint(1, len(self.servers)))
        is_killed = number % TERMINATED_EVERY != TERMINATED_EVERY - 1
        for server in ended:
            server.stop(signal.SIGKILL if is_killed else signal.SIGTERM, PATIENCE_S)
            self.kills += is_killed
        others = [witness for witness in everybody if witness.server not in ended]
        hear(others, TOLD_AFTER)
        for witness in others:
            witness.pause_s = PAUSE_S
        if number % INTERRUPTED_EVERY == 0:
            interrupt_start(ended[0], self._chance.uniform(0, START_S_MAX))
        for server in ended:
            server.start()
        hear(others, TOLD_AFTER)
        at_work(others)
        for witness in everybody:
            witness.leave()
        for witness in everybody:
            witness.join(PATIENCE_S)
            assert not witness.is_alive(), f"{witness.label} does not end"
            has_ended = witness.server in ended
            assert not witness.fault or (has_ended and witness.is_gone), witness.fault
            assert not witness.refused or (has_ended and not is_killed), witness.refused[:3]
        for server in self.servers:
            check(server, everybody)
        assert integrity(self._folder / "flin.db") == []
        self.told += sum(len(witness.told) for witness in everybody)

    @contextmanager
    def _explained(self, number: int) -> Iterator[None]:
        """A failure of a round says which one, and what the servers said."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"round {number} with seed {SEED} in {self._folder}")
            for server in self.servers:
                log = server.output[-LOG_BYTES:]
                error.add_note(f"server at {server.port} ({server.state}) said:\n{log}")
            raise


def hear(witnesses: list[Witness], count: int) -> None:
    """Wait until each server has told its own of that many writes, from here on."""
    for server in {witness.server for witness in witnesses}:
        crowd = [witness for witness in witnesses if witness.server is server]
        start = sum(len(witness.told) for witness in crowd)
        wait_until(
            lambda crowd=crowd, start=start: (
                sum(len(witness.told) for witness in crowd) >= start + count
                or any(witness.fault or witness.refused for witness in crowd)
            ),
            PATIENCE_S,
            f"{count} writes told of by the server at {server.port}",
            every_s=0.001,
        )


def at_work(witnesses: list[Witness]) -> None:
    """Nobody was refused anything or has lost its server."""
    for witness in witnesses:
        assert not witness.fault, f"{witness.label}: {witness.fault}"
        assert not witness.refused, witness.refused[:3]


def interrupt_start(server: Server, after_s: float) -> None:
    """Kill a server at some moment of its start, before or after it listens."""
    server.launch()
    # The moment is the fault being injected; nothing is waited for here.
    time.sleep(after_s)
    server.stop(signal.SIGKILL)


def check(server: Server, witnesses: list[Witness]) -> None:
    """Nothing that anybody was told is missing, there twice, or there in part."""
    client = server.client()
    status, body = client.get(PATH)
    assert status == 200, body
    files = dict(body["notes"])
    assert len(files) == len(body["notes"]), "a row was doubled"
    assert body["lines"] == 2 * len(files), "a handler that is there in part"
    assert len(body["tally"]) <= 1
    count, version = body["tally"][0] if body["tally"] else (0, 0)
    assert count == version == len(files), "a save without its tally, or an update that was lost"
    for text, file in files.items():
        assert not file or (server.root / file).read_text() == text, "a row without its file"
    for witness in witnesses:
        lost = set(witness.told) - files.keys()
        assert not lost, f"{witness.label} was told of what is lost: {sorted(lost)[:5]}"
        assert witness.tally <= count, f"{witness.label} saw a tally that is not stored"
        if isinstance(witness, HttpWriter):
            seen = session_tally(client, witness)
            assert witness.own_tally <= seen <= count, f"{witness.label}'s session lost a value"


def session_tally(client: Client, writer: HttpWriter) -> int:
    """What the session of a writer holds."""
    status, body = client.get("/api/seen", Cookie=writer.cookie)
    assert status == 200, body
    return int(body["tally"])


@pytest.mark.slow
@pytest.mark.timeout(180 + 12 * ROUNDS)
@pytest.mark.parametrize("count", [1, 2], ids=["one-server", "two-servers"])
def test_kill_during_saves_loses_nothing_anybody_was_told(
    make_server: MakeServer, count: int
) -> None:
    """Rounds of SIGKILL after so many acknowledgements: one server, and two on one file."""
    first = make_server(files=FILES, arguments=("--no-access-log",), start=False)
    others = [Server(first.root, {}, first.arguments) for _ in range(count - 1)]
    chance = random.Random(SEED + count)
    crash = Crash([first, *others], chance)
    done = lives = 0
    try:
        while done < ROUNDS:
            rounds = range(done, min(ROUNDS, done + chance.choice(LIVES)))
            crash.live(f".flindb{lives}", rounds)
            lives += 1
            done = rounds.stop
            LOG.info(
                "%d servers, %d rounds, %d folders, %d kills under load, %d writes told of",
                *(count, done, lives, crash.kills, crash.told),
            )
    finally:
        for server in others:
            server.kill()
    assert crash.told > ROUNDS * 4, "the writers hardly wrote: the test proves nothing"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [1, 2], ids=["one-server", "two-servers"])
def test_kill_during_the_first_start_leaves_nothing_in_the_way(
    make_server: MakeServer, count: int
) -> None:
    """One or two starts on no data are killed at the first sight of a file; the next one works."""
    first = make_server(files=FILES, arguments=("--no-access-log",), start=False)
    servers = [first, *(Server(first.root, {}, first.arguments) for _ in range(count - 1))]
    compiled = first.root / ".flindb" / "program.flinc"
    first.start()
    first.stop()
    try:
        for seen in ("server.lock", "flin.db", "flin.db-journal", "flin.db-wal", "flin.db-shm"):
            folder = first.root / f".{seen}"
            folder.mkdir()
            shutil.copy(compiled, folder)
            for server in servers:
                server.environment["FLIN_STORE_PATH"] = folder.name
                server.launch()
            # Some are there for a moment only; a server that listens has passed it.
            wait_until(
                lambda folder=folder, seen=seen: (folder / seen).exists() or first.is_listening,
                PATIENCE_S,
                every_s=0.0005,
            )
            for server in servers:
                server.kill()
            for server in servers:
                server.start()
                assert server.client().post(PATH, {"text": str(server.port)})[0] == 200
            for server in servers:
                check(server, [])
            for server in servers:
                assert server.stop() == 0, server.output[-LOG_BYTES:]
            assert integrity(folder / "flin.db") == []
    finally:
        for server in servers:
            server.kill()
