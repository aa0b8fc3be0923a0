"""Print what extras of pyproject.toml ask for, a line each: installing that builds nothing."""

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """The requirements of the extras, in order.

    Raises:
        KeyError: The project has no such extra.
    """
    table = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return [requirement for extra in extras for requirement in table[extra]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1:])) + "\n")
