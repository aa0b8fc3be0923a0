"""Compile and run every C test of the core under AddressSanitizer and UBSan.

The rules stand in csrc/Makefile; a person runs `make -C csrc test`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
TESTS = sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.c"))
FUZZERS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))
NATIVE = "build/cc-native/test"
COMPILE_S = 300  # a cold build of the core with sanitizers, on a loaded machine
RUN_S = 400  # under a sanitizer, on such a machine

pytestmark = [
    pytest.mark.timeout(COMPILE_S + RUN_S),
    pytest.mark.skipif(
        shutil.which("make") is None or shutil.which("cc") is None,
        reason="needs make and a C compiler",
    ),
]


def build(target: str, *variables: str) -> Path:
    """Make one program of csrc/Makefile and return its path."""
    command = ["make", "-s", "-C", str(CSRC), *variables, target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return CSRC / target


def run(program: Path, *arguments: str) -> str:
    """Run a program that must succeed without a word on stderr; returns its output."""
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, f"{program.name}\n{done.stdout}{done.stderr}"
    assert done.stderr == ""
    return done.stdout


def test_every_c_test_file_is_collected() -> None:
    """The parametrised tests below are not empty."""
    assert {"status", "mask", "utf8", "frame", "message"} <= set(TESTS)
    assert {"frame", "mask", "utf8"} <= set(FUZZERS)


@pytest.mark.parametrize("name", TESTS)
def test_c_program_has_no_failure(name: str) -> None:
    """The checks of a C test hold and the sanitizers see no fault."""
    assert ", 0 failures" in run(build(f"{NATIVE}/test_{name}"))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["sse2", "portable"])
@pytest.mark.parametrize("name", ["mask", "utf8"])
def test_c_program_on_the_path_of_an_older_cpu_has_no_failure(name: str, variant: str) -> None:
    """The implementations this CPU would not choose pass the same tests."""
    program = build(f"build/cc-{variant}/test/test_{name}", f"VARIANT={variant}")
    assert ", 0 failures" in run(program)


# What depends on how bytes reach a socket.
PLANE_TESTS = ("batch", "channel", "heartbeat", "hub", "hub_model", "pressure", "reactor", "room")


@pytest.mark.parametrize("name", PLANE_TESTS)
def test_c_program_on_a_system_without_epoll_has_no_failure(name: str) -> None:
    """Transports work alone; what needs epoll is refused with ENOSYS."""
    program = build(f"build/cc-noepoll/test/test_{name}", "VARIANT=noepoll")
    assert ", 0 failures" in run(program)


def test_the_model_of_the_hub_holds_with_tiny_sizes() -> None:
    """Every limit of buffers, batches and segments is met all the time."""
    program = build("build/cc-small/test/test_hub_model", "VARIANT=small")
    assert ", 0 failures" in run(program)


@pytest.mark.parametrize("name", ["thread", "hub_model"])
def test_c_program_has_no_data_race(name: str) -> None:
    """ThreadSanitizer sees none between hubs of several threads, nor in one that changes them."""
    probe = ["cc", "-fsanitize=thread", "-x", "c", "-", "-o", "/dev/null"]
    can_link = subprocess.run(probe, input=b"int main(void){}", capture_output=True, check=False)
    if can_link.returncode != 0:
        pytest.skip("the C compiler has no ThreadSanitizer")
    program = build(f"build/cc-tsan/test/test_{name}", "VARIANT=tsan")
    assert ", 0 failures" in run(program)


@pytest.mark.parametrize("name", FUZZERS)
def test_fuzz_harness_finds_nothing_in_the_kept_corpus(name: str) -> None:
    """Inputs that once found a fault, and seeds of every kind of frame, find none now."""
    inputs = sorted(str(path) for path in (HERE / "corpus" / name).iterdir())
    assert inputs
    assert run(build(f"{NATIVE}/fuzz_{name}"), *inputs) == f"{len(inputs)} inputs, 0 findings\n"


@pytest.mark.parametrize("name", ["frame", "handshake", "reply"])
def test_changed_inputs_of_the_corpus_find_nothing(name: str) -> None:
    """A hundred thousand, the same in every run; `make -C csrc soak-frame` does more."""
    inputs = sorted(str(path) for path in (HERE / "corpus" / name).iterdir())
    said = run(build(f"{NATIVE}/soak_{name}"), "100000", "1", *inputs)
    assert said.endswith("\n100000 inputs, 0 findings\n")
