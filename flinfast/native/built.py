"""Whether the compiled modules of a source folder are those of its sources.

A folder that was pulled, or edited, has other sources than those that its modules were built from.
What fails then looks like a fault of flinfast: so `flinfast.native` compares them when it is
imported. `setup.py` notes what it built from; an installed package has no sources, and no check.

Nothing here is compiled, and `setup.py` runs this file by itself: it imports nothing of flinfast.
"""

from __future__ import annotations

import os
import time
import zlib
from importlib.machinery import EXTENSION_SUFFIXES

COMMAND = "python setup.py build_clib build_ext --inplace"
# Folders of sources, and what sources end in there.
_SOURCES = {
    "csrc": (".c", ".h"),
    "flinfast/native": (".pyx", ".pxi", ".pxd"),
    "flinfast/store": (".pyx", ".pxi", ".pxd"),
}
_NAMED_MAX = 3  # sources in a message
# The clock that files get their times from may be as coarse, and so lie behind the other one.
_CLOCK_STEP_NS = 2_000_000_000


def look(root: str) -> tuple[int, dict[str, int]]:
    """What lies in a source folder before its modules are built, and since when, in Unix ns."""
    return time.time_ns() - _CLOCK_STEP_NS, _sums(root)


def note(root: str, before: tuple[int, dict[str, int]]) -> None:
    """Write down what the modules were built from.

    Args:
        root: A source folder whose modules have just been built in place.
        before: What look() gave before: what was written since may be in them or not.
    """
    looked_at, sums = before
    lines = [f"{sum:08x} {name}\n" for name, sum in sorted(sums.items())]
    with open(_stamp(root), "w", encoding="utf-8") as file:
        file.writelines(lines)
    os.utime(_stamp(root), ns=(looked_at, looked_at))


def check(root: str) -> None:
    """Compare sources and modules.

    Args:
        root: A source folder.

    Raises:
        BuildError: The modules were built from other sources, or not by `setup.py` of this folder.
    """
    text = difference(root)
    if text:
        from flinfast.errors import BuildError

        raise BuildError(text, hint=f"run `{COMMAND}` in {root}")


def difference(root: str) -> str:
    """What is wrong with the modules of a source folder, "" when they are those of its sources."""
    try:
        looked_at = os.stat(_stamp(root)).st_mtime_ns
        with open(_stamp(root), encoding="utf-8") as file:
            known = {name: int(sum, 16) for sum, name in map(str.split, file)}
    except FileNotFoundError:
        return "compiled modules of flinfast were not built from its sources"
    found = _names(root)
    if known.keys() == found.keys() and all(time_ns < looked_at for time_ns in found.values()):
        return ""  # nothing was written since: to read them all would take milliseconds
    sums = _sums(root)
    changed = sorted(n for n in known.keys() | sums.keys() if known.get(n) != sums.get(n))
    if not changed:
        return ""
    named = ", ".join(changed[:_NAMED_MAX]) + (" ..." if len(changed) > _NAMED_MAX else "")
    return f"compiled modules of flinfast are not those of its sources: {named}"


def _stamp(root: str) -> str:
    """The note for modules of this Python."""
    tag = EXTENSION_SUFFIXES[0].removesuffix(".so").removesuffix(".pyd")
    return f"{root}/flinfast/native/built{tag}.stamp"


def _names(root: str) -> dict[str, int]:
    """Sources by their paths below the root, and when they were written, in ns."""
    found: dict[str, int] = {}
    for folder, endings in _SOURCES.items():
        with os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                if entry.name.endswith(endings):
                    found[f"{folder}/{entry.name}"] = entry.stat().st_mtime_ns
    return found


def _sums(root: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name in _names(root):
        with open(f"{root}/{name}", "rb") as file:
            sums[name] = zlib.crc32(file.read())
    return sums
