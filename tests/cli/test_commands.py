"""The command line as people use it: real processes, their output and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

import flinfast
from flinfast.cli.commands import COMMANDS, main
from tests.e2e.conftest import free_port

ROOT = Path(flinfast.__file__).resolve().parent.parent
GOOD = {
    "app/index.flin": 'route GET { "home" }\n',
    "app/api/chat.flin": (
        "guard auth\n\nroute GET { 1 }\n\nws {\n    on message(data) {\n"
        '        broadcast("all", data)\n    }\n}\n'
    ),
}
BAD = {
    "app/a.flin": "guard atuh\nroute GET { 1 }\n",
    "app/b.flin": "route GET { brodcast(1) }\n",
}


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FLIN_")}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **more}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Commands(Protocol):
    def __call__(self, *arguments: str | Path, **env: str) -> Done: ...


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Runs a command line in this process, which is what a process of its own would do."""

    def run(*arguments: str | Path, **env: str) -> Done:
        for name in os.environ:
            if name.startswith("FLIN_"):
                monkeypatch.delenv(name)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return run


def flinfast_command(*arguments: str | Path, cwd: Path | None = None, **env: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "flinfast", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=environment(**env),
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes a project's files; its root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "project"

    return write


# --- all commands ----------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, command: Commands) -> None:
    """`--help` exits 0 and shows a command line to try."""
    done = command(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Example:\n    flinfast {name}" in done.stdout or "FLIN_" in done.stdout
    assert "Usage: flinfast" in done.stdout


def test_help_lists_every_command(command: Commands) -> None:
    """With one line each; `-h` is the same."""
    done = command("--help")
    assert done.returncode == 0
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", done.stdout, re.MULTILINE)
    assert command("-h").stdout == done.stdout


def test_version() -> None:
    """`--version`, also with other options around it."""
    assert flinfast_command("--version").stdout == f"flinfast {flinfast.__version__}\n"
    assert flinfast_command("--debug", "--version").stdout == f"flinfast {flinfast.__version__}\n"


def test_version_imports_next_to_nothing() -> None:
    """60 ms of CPU: neither click nor asyncio."""
    program = (
        "import sys; sys.argv = ['flinfast', '--version']\n"
        "import flinfast.cli.main as main\n"
        "try: main.run()\n"
        "except SystemExit: pass\n"
        "heavy = {'click', 'asyncio', 'uvloop', 'msgspec', 'rich', 'sly'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chekc"], "Did you mean `check`?"),
        (["start"], "Did you mean `serve`?"),
        (["ws", "http://localhost/live"], "expected a path such as /api/chat, or a ws:// URL"),
        (["serve", "--prot", "1"], "No such option"),
        (["serve", "--port", "many"], "is not a valid integer"),
        (["new"], "Missing argument"),
        (["new", "x", "--template", "y"], "is not one of"),
        (["explain", "FL999"], "No such code"),
        (["config"], "Missing command"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], message: str, command: Commands) -> None:
    """With the reason and the `--help` line to try."""
    done = command(*arguments)
    assert done.returncode == 2
    if message not in ("Missing command",):
        assert message in done.stderr
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["serve", "check", "routes"])
def test_a_path_without_a_project_exits_1(tmp_path: Path, name: str, command: Commands) -> None:
    """No folder, no `app` in it, or not a .flin file."""
    (tmp_path / "x.txt").write_text("x")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "x.txt"):
        done = command(name, path)
        assert done.returncode == 1
        assert "error" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_fault_of_ours_exits_70_with_a_report(tmp_path: Path) -> None:
    """One line, and a file with everything; `--debug` shows it at once."""
    program = (
        "import sys, flinfast.cli.commands as commands, flinfast.cli.explain as explain\n"
        "def fail(**_): raise KeyError('inside')\n"
        "explain.command.callback = fail\n"
        "sys.exit(commands.main(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            env=environment(TMPDIR=str(tmp_path)),
            check=False,
        )

    done = run("explain", "FL201")
    assert done.returncode == 70
    assert done.stderr.startswith("internal fault: KeyError: 'inside'\n")
    assert "Traceback" not in done.stderr
    report = next(tmp_path.glob("flinfast-*.txt"))
    assert str(report) in done.stderr
    assert "Traceback" in report.read_text()
    assert flinfast.__version__ in report.read_text()
    debug = run("--debug", "explain", "FL201")
    assert debug.returncode == 70
    assert "Traceback" in debug.stderr


def test_output_to_a_closed_pipe_is_no_fault(project: Callable[..., Path]) -> None:
    """`flinfast routes | head -0`."""
    root = project(GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", "routes", str(root)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1  # as click has it; nobody is there to read more
    assert done.stderr == ""


# --- check and routes ----------------------------------------


def test_check_of_a_good_project(project: Callable[..., Path], command: Commands) -> None:
    """Exit 0; nothing is run, no data folder is made."""
    root = project(GOOD)
    done = command("check", root)
    assert (done.returncode, done.stdout) == (0, "checked 2 files: no faults\n")
    assert not (root / ".flindb").exists()


def test_check_reports_every_fault(project: Callable[..., Path], command: Commands) -> None:
    """In one run, on standard error, exit 1."""
    done = command("check", project(BAD))
    assert done.returncode == 1
    assert done.stdout == ""
    assert " --> app/a.flin:1:7" in done.stderr
    assert "did you mean `auth`?" in done.stderr
    assert "did you mean `broadcast`?" in done.stderr
    assert done.stderr.endswith("2 errors, 0 warnings\n")


def test_check_of_one_file_knows_its_project(
    project: Callable[..., Path], command: Commands
) -> None:
    """Entities and functions of other files are known, and their faults are only counted."""
    root = project({**BAD, "entities/note.flin": "entity Note { text: text }\n"})
    (root / "app/c.flin").write_text("route GET { Note.all }\n")
    good = command("check", root / "app/c.flin")
    assert (good.returncode, good.stdout) == (0, "checked 1 file: no faults\n")
    assert good.stderr == "2 diagnostics in other files of the project\n"
    bad = command("check", root / "app/a.flin")
    assert bad.returncode == 1
    assert "did you mean `auth`?" in bad.stderr
    assert bad.stderr.endswith("1 error, 0 warnings\n1 diagnostic in other files of the project\n")
    assert command("check", root / "app/none.flin").returncode == 1


def test_check_as_json(project: Callable[..., Path], command: Commands) -> None:
    """For editors: every diagnostic with its place."""
    done = command("check", project(BAD), "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["files"] == 2
    assert {d["path"] for d in report["diagnostics"]} == {"app/a.flin", "app/b.flin"}
    assert all(re.fullmatch(r"FL\d{3}", d["code"]) for d in report["diagnostics"])


def test_check_looks_at_settings_too(project: Callable[..., Path], command: Commands) -> None:
    """A misspelt key in flinfast.toml."""
    done = command("check", project({**GOOD, "flinfast.toml": "[server]\nprot = 1\n"}))
    assert done.returncode == 1
    assert done.stderr.startswith("error[FL904]: unknown setting `server.prot`\n")
    assert "did you mean `server.port`?" in done.stderr


def test_routes(project: Callable[..., Path], command: Commands) -> None:
    """Method, path, place, guards; WS for sockets."""
    root = project(GOOD)
    lines = [line.split() for line in command("routes", root).stdout.splitlines()]
    assert lines == [
        ["GET", "/api/chat", "app/api/chat.flin:3", "guard", "auth"],
        ["WS", "/api/chat", "app/api/chat.flin:5", "guard", "auth"],
        ["GET", "/", "app/index.flin:1"],
    ]
    rows = json.loads(command("routes", root / "app", "--json").stdout)
    assert rows[0] == {
        "method": "GET",
        "path": "/api/chat",
        "place": "app/api/chat.flin:3",
        "guards": "auth",
    }
    only = command("routes", root / "app/index.flin").stdout.split()
    assert only == ["GET", "/", "app/index.flin:1"]


# --- new ----------------------------------------


@pytest.mark.parametrize("template", ["chat", "blank"])
def test_new_makes_a_project_that_checks(
    tmp_path: Path, template: str, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every template is a program without faults."""
    monkeypatch.chdir(tmp_path)
    done = command("new", "my-app", "--template", template)
    assert done.returncode == 0, done.stderr
    assert "flinfast dev my-app" in done.stdout
    root = tmp_path / "my-app"
    for line in re.findall(r"my-app/\S+", done.stdout):
        assert (tmp_path / line).is_file()
    assert ".flindb/" in (root / ".gitignore").read_text()
    checked = command("check", root)
    assert checked.returncode == 0, checked.stderr


def test_the_chat_template_is_the_chat_example() -> None:
    """One program in two places stays one program."""
    template = ROOT / "flinfast" / "cli" / "templates" / "chat"
    example = ROOT / "examples" / "chat"
    names = {p.relative_to(example) for p in example.rglob("*") if p.is_file()}
    kept = {name for name in names if not any(part.startswith(".") for part in name.parts)}
    assert kept
    for name in kept:
        assert (template / name).read_bytes() == (example / name).read_bytes(), name


def test_new_never_overwrites(
    tmp_path: Path, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with anything in it is left alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    done = command("new", "taken")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "-x-", "x" * 101])
def test_new_refuses_odd_names(
    tmp_path: Path, name: str, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that would surprise someone later."""
    monkeypatch.chdir(tmp_path)
    done = command("new", "--", name)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())


# --- explain and config ----------------------------------------


@pytest.mark.parametrize("code", ["FL201", "fl201", "201"])
def test_explain(code: str, command: Commands) -> None:
    """However the code is written."""
    done = command("explain", code)
    assert done.returncode == 0
    assert "FL201" in done.stdout
    assert "guard" in done.stdout


def test_config_show_names_each_origin(project: Callable[..., Path], command: Commands) -> None:
    """File, variable, default; secrets stay hidden."""
    root = project({**GOOD, "flinfast.toml": "[ws]\nheartbeat = 5\n", "flin.config": ""})
    secret = "top-secret-" * 4
    done = command("config", "show", root, FLIN_SERVER_PORT="8080", FLIN_SESSION_SECRET=secret)
    assert done.returncode == 0
    lines = {line.split(" ")[0]: line for line in done.stdout.splitlines()}
    assert lines["server.port"].endswith("= 8080    # FLIN_SERVER_PORT")
    assert lines["ws.heartbeat"].endswith("= 5.0    # flinfast.toml")
    assert lines["server.backlog"].endswith("= 2048")
    assert '"(hidden)"' in lines["session.secret"]
    assert secret not in done.stdout
    assert "flin.config" in done.stderr
    rows = json.loads(command("config", "show", root, "--json").stdout)
    assert rows["ws.heartbeat"] == {"value": 5.0, "origin": "flinfast.toml"}
    assert rows["mode"] == {"value": "production", "origin": "default"}


# --- serve ----------------------------------------


class Serving:
    """A `flinfast serve` process on a free port."""

    def __init__(self, root: Path, *arguments: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flinfast", "serve", str(root), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
        )
        assert self.process.stdout is not None
        self.banner = ""
        for line in self.process.stdout:
            self.banner += line
            if not line.strip() and "http://" in self.banner and "GET" in self.banner:
                break
        found = re.search(r"App +(http://[\d.:]+)", self.banner)
        assert found, self.banner
        self.url = found[1]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return bytes(answer.read())

    def end(self, *signals: int) -> tuple[int, str]:
        """Exit code and standard error."""
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts servers; what a test leaves running is killed."""
    started: list[Serving] = []

    def start(root: Path, *arguments: str, **env: str) -> Serving:
        started.append(Serving(root, *arguments, **env))
        return started[-1]

    yield start
    for serving in started:
        if serving.process.poll() is None:
            serving.process.kill()
            serving.process.communicate()


def test_serve_prints_a_banner_and_serves(
    project: Callable[..., Path], serve: Callable[..., Serving]
) -> None:
    """Version, address, data, routes with file, line and guards; SIGTERM ends it with 0."""
    root = project({**GOOD, "public/a.txt": "static"})
    serving = serve(root)
    assert f"flinfast {flinfast.__version__}" in serving.banner
    assert ".flindb" in serving.banner
    assert "production" in serving.banner
    assert re.search(r"WS +/api/chat +app/api/chat\.flin:5 +guard auth", serving.banner)
    assert serving.get("/") == b'"home"'
    assert serving.get("/a.txt") == b"static"
    code, errors = serving.end()
    assert code == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["path"] for line in lines if line.get("event") == "request"] == ["/", "/a.txt"]
    assert lines[-1]["text"] == "stopped"


def test_serve_takes_one_file(project: Callable[..., Path], serve: Callable[..., Serving]) -> None:
    """A .flin file is served at `/`."""
    root = project({"one.flin": "route GET { 42 }\n"})
    assert serve(root / "one.flin").get("/") == b"42"


def test_serve_reports_a_foreign_configuration(
    project: Callable[..., Path], serve: Callable[..., Serving]
) -> None:
    """FL906: flin.config is there and is not read."""
    serving = serve(project({**GOOD, "flin.config": "server = { port: 1 }"}))
    _, errors = serving.end()
    assert "FL906" in errors
    assert "flin.config" in errors


def test_serve_stops_on_interrupt_and_restarts_on_its_port(
    project: Callable[..., Path], serve: Callable[..., Serving]
) -> None:
    """SIGINT ends it with 0, without a traceback; the port is free at once."""
    root = project(GOOD)
    port = str(free_port())
    first = serve(root, "--port", port)
    assert first.get("/")
    code, errors = first.end(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in errors
    second = serve(root, "--port", port)
    assert second.get("/") == b'"home"'


def test_serve_with_faults_reports_all_and_exits_1(project: Callable[..., Path]) -> None:
    """Nothing is served while the program has faults."""
    done = flinfast_command("serve", project(BAD), "--port", "0")
    assert done.returncode == 1
    assert done.stderr.count("error[FL") == 2
    assert "http://" not in done.stdout


def test_serve_on_a_port_in_use_exits_1(project: Callable[..., Path]) -> None:
    """Which port, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = flinfast_command("serve", project(GOOD), "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_with_several_workers_is_refused(
    project: Callable[..., Path], command: Commands
) -> None:
    """One process for now, said plainly."""
    done = command("serve", project(GOOD), "--workers", "4")
    assert done.returncode == 1
    assert "expected 1 worker, got 4" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ssl-keyfile", "k.pem"], "expected a key and a certificate"),
        (["--port", "70000"], "a value from 0 to 65535"),
        (["--host", "no such host"], "expected an address of this machine"),
        (["--root-path", "x/"], "expected a path such as /chat"),
    ],
)
def test_serve_names_bad_flags(
    project: Callable[..., Path], arguments: list[str], message: str, command: Commands
) -> None:
    """Exit 1 and one message."""
    done = command("serve", project(GOOD), "--port", "0", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
