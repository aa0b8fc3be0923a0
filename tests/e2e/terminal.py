"""A terminal that a person types into, and the fresh environment they work in.

The terminal is a pane of tmux with a plain shell, so programs see a real one: job control, width,
interrupts. The environment is a virtual one with the wheel of this tree within reach of `pip`;
what flinfast depends on is linked into it from the environment of the tests, nothing else is.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent.parent
WHEEL_VARIABLE = "FLINFAST_WHEEL"  # folder with a wheel that was built before
BUILD_S = 600
COLUMNS, ROWS = 110, 50
HISTORY_LINES = 2000


def build_wheel(folder: Path) -> Path:
    """The folder of a wheel of this tree: what FLINFAST_WHEEL names, or one that is built now."""
    given = os.environ.get(WHEEL_VARIABLE)
    if given:
        return Path(given)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    if importlib.util.find_spec("Cython") and importlib.util.find_spec("setuptools"):
        command.append("--no-build-isolation")  # what it needs is here already
    subprocess.run([*command, str(ROOT)], check=True, timeout=BUILD_S)
    return folder


def make_environment(folder: Path) -> None:
    """A virtual environment in which everything but flinfast itself is installed already."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=BUILD_S)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    for name in sorted(_dependencies("flinfast")):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)


def _dependencies(name: str) -> set[str]:
    """Names of the distributions that one needs to run, directly or not, without its extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or ():
            wanted = Requirement(text)
            is_here = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if is_here and wanted.name not in found:
                found.add(wanted.name)
                waiting.append(wanted.name)
    return found


class Terminal:
    """One pane; `close()` ends it and all that runs in it.

    Args:
        environment: Variables of the shell; nothing else is inherited.
        folder: Where it starts.

    Attributes:
        typed: Every command that was typed.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.typed: list[str] = []
        self._folder = tempfile.mkdtemp(prefix="flin-")  # short: a socket's path has 107 bytes
        shell = ["bash", "--noprofile", "--norc", "-i"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        self._tmux(
            *("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "-c", str(folder)),
            *("env", "-i", "TERM=screen-256color", "PS1=$ ", *variables, *shell),
        )
        self._tmux("set-option", "-g", "history-limit", str(HISTORY_LINES))

    def _tmux(self, *arguments: str) -> str:
        tmux = shutil.which("tmux") or "tmux"
        command = [tmux, "-f", "/dev/null", "-S", f"{self._folder}/s", *arguments]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        environment.pop("TMUX", None)
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, command: str) -> None:
        """Type a command and Enter."""
        self.typed.append(command)
        self._tmux("send-keys", "-l", command)
        self._tmux("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        """Press keys, such as "Up" and "Enter"."""
        self._tmux("send-keys", *keys)

    @property
    def text(self) -> str:
        """What stands in the pane and above it, with wrapped lines joined."""
        lines = self._tmux("capture-pane", "-p", "-J", "-S", f"-{HISTORY_LINES}").splitlines()
        return "\n".join(line.rstrip() for line in lines).rstrip()

    @property
    def is_waiting(self) -> bool:
        """Whether the shell waits for the next command."""
        return self.text.endswith("\n$") or self.text == "$"

    def since(self, mark: str) -> str:
        """The text after the last line that a mark stands in."""
        return self.text.rpartition(mark)[2]

    def running(self) -> list[int]:
        """Processes that the shell has started and that have not ended."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        done = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, timeout=100)
        return [int(pid) for pid in re.findall(r"\d+", done.stdout)]

    def close(self) -> None:
        """End the session; what runs in it is hung up."""
        self._tmux("kill-server")
        shutil.rmtree(self._folder, ignore_errors=True)
