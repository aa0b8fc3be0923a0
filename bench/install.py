"""`python -m bench.install`: install the peers under `bench/build`, then say who can take part.

Nothing is installed into the running environment. A package that cannot be had on this machine is
left out with the reason; the benchmarks leave it out too. socketify needs the library libuv:
`apt-get install libuv1` on Debian.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv

from bench import peers
from bench.contenders import CONTENDERS

TIMEOUT_S = 600


def _run(command: list[str]) -> str:
    """Run one installer; its last line when it failed, else ""."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return (lines or ["failed"])[-1] if done.returncode else ""


def install_python() -> dict[str, str]:
    """A virtual environment for the Python peers; reasons by contender, "" where it worked."""
    if not (peers.VENV / "bin" / "python").exists():
        venv.create(peers.VENV, with_pip=True)
    pip = [str(peers.VENV / "bin" / "python"), "-m", "pip", "install", "-q"]
    # One at a time: a package that has no build for this machine does not take the others along.
    return {name: _run([*pip, *packages]) for name, packages in peers.PYTHON_PACKAGES.items()}


def install_npm() -> dict[str, str]:
    """Node's ws and Bun's program; reasons by package, "" where it worked."""
    if shutil.which("npm") is None:
        return dict.fromkeys(peers.npm_packages(), "npm is not on PATH")
    npm = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(peers.BUILD)]
    reason = _run([*npm, *peers.npm_packages()])
    return dict.fromkeys(peers.npm_packages(), reason)


def main() -> int:
    """Install everything; print a line per contender."""
    peers.BUILD.mkdir(exist_ok=True)
    for name, reason in {**install_python(), **install_npm()}.items():
        print(f"{name}: {reason or 'installed'}")
    print()
    for name, contender in CONTENDERS.items():
        print(f"{name:20}{contender.available() or 'takes part'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
