"""A second start compiles nothing, and a changed file is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from flinfast.errors import RuntimeFault
from flinfast.testing import TestClient
from tests.runtime.programs import LOGIN, client_of, write

SCRIPT = """
import sys
from flinfast.testing import TestClient
with TestClient(sys.argv[1]) as client:
    compiler = [name in sys.modules for name in ("sly", "flinfast.lang.ast", "flinfast.lang.lexer")]
    print(client.get("/a").json(), any(compiler), "jwt" in sys.modules)
"""


def start(root: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    return result.stdout.strip()


def test_warm_start_imports_no_parser(tmp_path: Path) -> None:
    """Unchanged sources come from the data folder; a change is compiled."""
    write(tmp_path, {**LOGIN, "app/a.flin": "route GET { 1 }"})
    assert start(tmp_path) == "1 True False"
    assert start(tmp_path) == "1 False False"
    write(tmp_path, {"app/a.flin": "route GET { 2 }"})
    assert start(tmp_path) == "2 True False"


def test_line_numbers_survive_the_cache(tmp_path: Path) -> None:
    """A fault of a program that was not compiled now still names its line."""
    files = {"app/a.flin": "route GET {\n\n    none.x\n}"}
    with client_of(tmp_path, files):
        pass
    with TestClient(tmp_path) as client:
        assert client.get("/a").status == 500
        assert [line.place for line in client.log if line.level == "error"] == ["app/a.flin:3"]


@pytest.mark.parametrize(
    ("files", "code", "place"),
    [
        ({"app/a.flin": 'X = 1\nY = X / to_int("0")\nroute GET { Y }'}, "FL503", "app/a.flin:2"),
        ({"app/a.flin": "X = 1 % 0\nroute GET { X }"}, "FL503", "app/a.flin:1"),
        (
            {
                "lib/deep.flin": "fn down(n) {\n    down(n + 1) + 1\n}",
                "app/a.flin": "X = down(1)\nroute GET { X }",
            },
            "FL551",
            "lib/deep.flin:2",
        ),
        ({"app/a.flin": 'route GET { 1 }\nabort(400, "no")'}, "", "app/a.flin:2"),
    ],
)
def test_a_fault_of_file_level_code_names_its_line(
    tmp_path: Path, files: dict[str, str], code: str, place: str
) -> None:
    """The program does not start; nobody has to search for what failed."""
    with pytest.raises(RuntimeFault) as caught, client_of(tmp_path, files):
        pass
    assert not code or caught.value.code == code
    assert f"{caught.value.path}:{caught.value.line}" == place
