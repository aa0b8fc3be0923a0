"""Print the shell command that README.md marks with `<!-- command: NAME -->`."""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def command(name: str) -> str:
    """The one-line command under the marker.

    Raises:
        ValueError: README has no such marker, or more than one line under it.
    """
    pattern = rf"<!-- command: {re.escape(name)} -->\n```sh\n([^\n]+)\n```"
    found = re.findall(pattern, README.read_text(encoding="utf-8"))
    if len(found) != 1:
        raise ValueError(f"expected one command {name!r} in README.md, got {len(found)}")
    return str(found[0])


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]) + "\n")
