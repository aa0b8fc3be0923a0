"""All 517 cases of the Autobahn suite, strictly, against a FLIN endpoint in both data planes.

`nox -s conformance`, or `python -m tests.conformance.run_all [--planes A,B] [--json FILE]
[-- options of run_autobahn.py]`. The exit status is 0 when every case of every plane was OK or
INFORMATIONAL.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conformance.test_autobahn import ECHO, ENVIRONMENT, RUNNER
from tests.e2e.conftest import Server

PLANES = "reactor,adapter"
# Compressed messages of 128 KiB, a thousand a case: half an hour on two cores, more on busy ones.
TIMEOUT_S = 4 * 3600


def run_plane(plane: str, options: list[str]) -> dict[str, object]:
    """Run the suite against a server of its own; its summary, with the runner's exit status."""
    with tempfile.TemporaryDirectory(prefix="flinfast-conformance-") as folder:
        root = Path(folder)
        (root / "app").mkdir()
        (root / "app" / "echo.flin").write_text(ECHO)
        summary = root / "summary.json"
        server = Server(root, {**ENVIRONMENT, "FLIN_SERVER_DATA_PLANE": plane}, ()).start()
        try:
            url = f"ws://127.0.0.1:{server.port}/echo"
            command = [sys.executable, str(RUNNER), url, "--strict", "--json", str(summary)]
            status = subprocess.run([*command, "--timeout", str(TIMEOUT_S), *options]).returncode
        finally:
            stopped = server.stop()
        answer: dict[str, object] = {"plane": plane, "status": status, "stopped": stopped}
        if "Traceback" in server.output:
            answer |= {"status": status or 1, "output": server.output[-2000:]}
            print(server.output[-2000:], file=sys.stderr)
        if summary.exists():
            answer |= json.loads(summary.read_text())
        return answer


def main() -> int:
    """Run the planes one after the other; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("--planes", default=PLANES, help=f"comma-separated, default {PLANES}")
    parser.add_argument("--json", type=Path, help="write the summaries there")
    own, options = parser.parse_known_args()
    answers = [
        run_plane(plane, [o for o in options if o != "--"]) for plane in own.planes.split(",")
    ]
    if own.json:
        own.json.write_text(json.dumps(answers, indent=1) + "\n")
    for answer in answers:
        behaviour = answer.get("behaviour")
        counts = behaviour.items() if isinstance(behaviour, dict) else ()
        said = ", ".join(f"{count} {name}" for name, count in counts)
        print(f"{answer['plane']}: {answer.get('verdict', 'no report')}: {said}")
    return max(int(str(answer["status"])) or int(str(answer["stopped"])) for answer in answers)


if __name__ == "__main__":
    sys.exit(main())
