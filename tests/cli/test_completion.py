"""Completion in shells: the scripts, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flinfast.cli.commands import COMMANDS, main
from flinfast.cli.completion import SHELLS, VARIABLE

ROOT = Path(__file__).resolve().parents[2]


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def answers(words: str, word: str) -> list[str]:
    """What bash would offer for the last of `words`."""
    done = subprocess.run(
        [sys.executable, "-m", "flinfast"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            VARIABLE: "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": word,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_this_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name and the variable that click reads."""
    text = script(shell, capsys)
    assert VARIABLE in text
    assert f"{shell}_complete" in text
    assert "flinfast" in text


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_read_by_its_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a syntax error, where the shell is installed."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [program, "-n"], input=script(shell, capsys), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_commands_options_and_names_are_completed() -> None:
    """The start of a command, its options, choices of an argument, entries of the manual."""
    assert answers("flinfast che", "1") == ["check"]
    assert set(answers("flinfast ", "1")) == set(COMMANDS)
    assert set(answers("flinfast check --", "2")) == {"--json", "--watch", "--help"}
    assert answers("flinfast completion z", "2") == ["zsh"]
    assert answers("flinfast docs broadcast_", "2") == ["broadcast_all", "broadcast_others"]
    assert answers("flinfast explain FL20", "2")[:2] == ["FL201", "FL202"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_with_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real bash, whose completion function is called as on a press of Tab."""
    (tmp_path / "flinfast").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m flinfast "$@"\n'
    )
    (tmp_path / "flinfast").chmod(0o755)
    (tmp_path / "flinfast.bash").write_text(script("bash", capsys))
    story = (
        f'PATH="{tmp_path}:$PATH"\nsource "{tmp_path}/flinfast.bash"\n'
        "COMP_WORDS=(flinfast rou)\nCOMP_CWORD=1\n"
        "_flinfast_completion flinfast rou flinfast\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", story], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["routes"], done.stderr


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with the shells there are."""
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err
