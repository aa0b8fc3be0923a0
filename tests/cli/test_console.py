"""`flinfast console`: scripts on standard input and `--eval`, and a person at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.cli.console_view import ITEMS_MAX, view
from flinfast.lang.console import is_unfinished
from flinfast.values import Time
from tests.e2e.conftest import SECRET, Server, make_server
from tests.store.postgres_server import emptied, running_server

__all__ = ["make_server"]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
FILES = {
    "app/index.flin": 'route GET { "hello" }\n',
    "app/users.flin": "route GET { User.all }\n",
    "entities/user.flin": (
        "entity User {\n    name: text @required @unique\n    age: int = 0\n"
        "    secret: text? @hidden\n}\n"
    ),
    "lib/words.flin": 'fn greet(name) { "hello, " + name }\n',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "chat" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "chat"


def console(project: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flinfast", "console", str(project), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLIN_SESSION_SECRET": SECRET},
    )


def output(project: Path, *inputs: str) -> list[str]:
    """What a script of inputs prints; it must succeed."""
    done = console(project, typed="\n".join(inputs) + "\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- inputs ----------------------------------------


def test_expressions_are_shown_and_names_stay(project: Path) -> None:
    """Variables, functions and those of `lib` are known to later inputs."""
    lines = output(
        project,
        "let n = 20",
        "n = n + 1",
        "let n = n * 2",
        "fn twice(x) { x * 2 }",
        "fn count() { n = n + 1 }",
        "count()",
        "twice(n)",
        "double = x => twice(x) + n",
        "double(1)",
        "[a, { b, ...rest }] = [1, { b: 2, c: 3 }]",
        "[a, b, rest]",
        'greet("Ann")',
        "none",
    )
    assert lines == [
        *("20", "21", "42", "none", "86", "function", "45", "[1, 2, { c: 3 }]"),
        *('"hello, Ann"', "none"),
    ]


def test_function_replaced_and_a_variable_of_its_name_win_over_the_earlier(project: Path) -> None:
    """The last meaning of a name counts."""
    assert output(project, "fn f() { 1 }", "fn f() { 2 }", "f()", "f = 3", "f") == ["2", "3", "3"]


def test_blocks_go_on_until_they_are_closed(project: Path) -> None:
    """One input of several lines."""
    lines = output(
        project, "let sum = 0", "for i in 1..=3 {", "    sum += i", "}", "sum", "sum +", "1"
    )
    assert lines == ["0", "6", "7"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if x {", True),
        ("[1, 2", True),
        ('x = "abc', True),
        ("1 +", True),
        ("x =", True),
        ("x = = 2", False),
        ("}", False),
        ("1 + 1", False),
        ("if x { 1 } else", True),
        ("/* comment", True),
    ],
)
def test_input_that_more_lines_may_mend_is_unfinished(text: str, expected: bool) -> None:
    """Others are faults at once."""
    assert is_unfinished(text) is expected


def test_each_input_is_a_transaction(project: Path) -> None:
    """What succeeded stays for the next process; a failing input leaves nothing and ends."""
    assert output(project, 'save User { name: "Ann", age: 3 }', "User.count")[-1] == "1"
    done = console(project, typed='User.create({ name: "Bob" }); 1 / 0\nUser.count\n')
    assert done.returncode == 1
    assert "error[FL503]: cannot divide by zero" in done.stderr
    assert "console.flin:1:1" in done.stderr
    assert done.stdout == ""
    found = output(project, "User.count", 'User.where(name == "Ann").first.age', "User.find(9)")
    assert found == ["1", "3", "none"]


def test_variables_of_a_failed_input_are_as_before(project: Path) -> None:
    """Nothing is kept of it, and faults of checks are told with a caret."""
    done = console(project, "--eval", "x = 1", "--eval", "x = 2; undefined_name")
    assert done.returncode == 1
    assert done.stdout == "1\n"
    assert "x = 2; undefined_name" in done.stderr
    assert "^^^^^^^^^^^^^^ nothing has this name" in done.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("entity Extra { a: int }", "`entity` in the console"),
        ("route GET { 1 }", "`route` in the console"),
        ("session.user", "the console has no request"),
        ('save User { name: "" }', "validation failed: name"),
        ("greet(1, 2)", "greet"),
    ],
)
def test_wrong_input_is_a_diagnostic(project: Path, code: str, message: str) -> None:
    """With a code and the place, and status 1."""
    done = console(project, "--eval", code)
    assert done.returncode == 1
    assert message in done.stderr
    assert "--> console.flin:1:" in done.stderr


def test_fault_in_a_function_of_the_project_names_its_file(project: Path) -> None:
    """The line of the file, not of the input."""
    done = console(project, "--eval", "greet(User)")
    assert done.returncode in (0, 1)
    (project / "lib" / "fails.flin").write_text("fn fails(x) {\n    x.y.z\n}\n")
    done = console(project, "--eval", "fails({})")
    assert done.returncode == 1
    assert "--> lib/fails.flin:2:" in done.stderr


def test_sends_reach_nobody_and_that_is_said(project: Path) -> None:
    """Connections belong to the server's process."""
    done = console(project, "--eval", 'broadcast("room", "hello")')
    assert done.returncode == 0
    assert "nobody is connected to the console" in done.stderr


def test_waiting_builtins_block(project: Path) -> None:
    """They work as in a handler."""
    assert output(project, 'verify_password("a", hash_password("a"))') == ["true"]


# --- the sandbox ----------------------------------------


def test_sandbox_leaves_nothing(project: Path) -> None:
    """It sees the data and what it wrote itself; the database is as before."""
    output(project, 'save User { name: "Ann" }')
    done = console(project, "--sandbox", typed='save User { name: "Bob" }\nUser.count\n')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2"
    assert output(project, "User.count") == ["1"]


def test_sandbox_of_a_new_project_makes_no_database(project: Path) -> None:
    """There is nothing to copy."""
    done = console(project, "--sandbox", "--eval", 'save User { name: "Bob" }')
    assert done.returncode == 0, done.stderr
    assert not (project / ".flindb" / "flin.db").exists()


def test_sandbox_over_postgresql_is_refused(project: Path) -> None:
    """With what to do instead."""
    (project / "flinfast.toml").write_text('[store]\ndatabase = "postgres://localhost/none"\n')
    done = console(project, "--sandbox", "--eval", "1")
    assert done.returncode == 1
    assert "copies the embedded database" in done.stderr


# --- projects ----------------------------------------


def test_no_project_and_a_broken_one_are_told(tmp_path: Path, project: Path) -> None:
    """Nothing runs."""
    done = console(tmp_path / "nowhere", "--eval", "1")
    assert done.returncode == 1
    assert "error" in done.stderr
    (project / "app" / "index.flin").write_text("route GET { nothing_known }\n")
    done = console(project, "--eval", "1")
    assert done.returncode == 1
    assert "FL202" in done.stderr
    assert done.stdout == ""


def test_server_and_console_share_the_data(make_server: Callable[..., Server]) -> None:
    """What a console saves a running server shows at once."""
    server = make_server(files=FILES)
    assert output(server.root, 'save User { name: "Ann" }; User.count') == ["1"]
    status, users = server.client().get("/users")
    assert status == 200
    assert [user["name"] for user in users] == ["Ann"]


def test_inputs_are_transactions_in_postgresql_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved, changed and read by the next process; a failing input leaves nothing."""
    with running_server() as server:
        monkeypatch.setenv("FLIN_STORE_DATABASE", emptied(server))
        lines = output(
            project,
            'let ann = User.create({ name: "Ann" })',
            "ann.age = 7",
            "save ann",
            "sleep(1)",
            'User.where(name == "Ann").first.age',
        )
        assert lines[-1] == "7"
        done = console(project, "--eval", 'save User { name: "Bob" }; 1 / 0')
        assert done.returncode == 1
        assert "FL503" in done.stderr
        assert output(project, "User.count") == ["1"]


# --- values ----------------------------------------


def test_values_are_shown_as_flin_writes_them() -> None:
    """Short ones on one line; what a terminal would obey is escaped; long ones are cut."""
    assert view({"a": 1, "b c": [True, None]}) == '{ a: 1, "b c": [true, none] }'
    assert view("a\x1b[31m\n\u200b") == '"a\\u001b[31m\\n\\u200b"'
    assert view(b"\x00\xff") == "bytes(2: 00 ff)"
    assert view(Time(0)) == "1970-01-01T00:00:00Z"
    assert view([]) == "[]"
    assert view(list(range(ITEMS_MAX))).endswith("  99\n]")
    assert view(list(range(ITEMS_MAX + 1))).endswith("... 1 more\n]")
    endless: list[object] = []
    endless.append(endless)
    assert "..." in view(endless)
    long = view({"key": "v" * 60, "other": "w" * 30})
    assert long == '{\n  key: "' + "v" * 60 + '",\n  other: "' + "w" * 30 + '"\n}'


def test_records_hide_what_is_hidden_and_queries_are_cut(project: Path) -> None:
    """As JSON does; only so many records are read."""
    lines = output(
        project,
        'for i in 1..=101 { save User { name: "u{i}", secret: "s" } }',
        "User.all",
    )
    assert lines[-2:] == ["  ... 1 more", "]"]
    assert not any("secret" in line for line in lines)


def test_a_constant_is_not_assigned_again(project: Path) -> None:
    """By a later input, or by a function of one; `let` makes a variable of its name."""
    for change in ("a = 2", "a += 1", "fn change() { a = 2 }", "if true { a = 2 }"):
        done = console(project, typed=f"const a = 1\n{change}\n")
        assert done.returncode == 1
        assert "FL210" in done.stderr
        assert "cannot assign to constant `a`" in done.stderr
        assert "declared here" not in done.stderr
    assert output(project, "const a = 1", "a + 1", "let a = 5", "a = 6", "a")[-1] == "6"


# --- a terminal ----------------------------------------


# The first process of a session takes the terminal that it has as standard input.
AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "flinfast", "console", *sys.argv[1:]])
"""


class Terminal:
    """A console at a pseudo-terminal."""

    def __init__(self, project: Path, home: Path, *arguments: str) -> None:
        self.output = ""
        self._unread = ""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(home),
            "TERM": "dumb",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "INPUTRC": "/dev/null",
        }
        self.fd, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, str(project), *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        os.close(terminal)

    def wait(self, text: str) -> str:
        """Read up to a text; what stands before it and the text. What follows is for the next."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self._unread:
            assert time.monotonic() < deadline, f"no {text!r} in {self._unread!r}"
            if select.select([self.fd], [], [], 1.0)[0]:
                data = os.read(self.fd, 65536)
                self._unread += data.decode("utf-8", "replace")
        seen, _, self._unread = self._unread.partition(text)
        self.output += seen + text
        return seen + text

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def interrupt(self) -> None:
        """Ctrl-C at a prompt.

        The interpreter looks for signals when `select` tells it of one: a signal that comes after
        the echo of a key and before that call waits for the next key. So the process has to sleep.
        """
        state = Path("/proc", str(self.process.pid), "stat")
        deadline = time.monotonic() + DEADLINE_S
        while state.exists() and state.read_text().rpartition(") ")[2][0] != "S":
            assert time.monotonic() < deadline, "it never waits for a key"
        self.type("\x03")

    def ask(self, line: str) -> str:
        """What stands between a line and the next prompt."""
        self.type(line + "\r")
        self.wait("\n")
        return self.wait("flin> ")

    def leave(self, keys: str = "\x04") -> int:
        """Ctrl-D, and the status."""
        self.type(keys)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:  # the other side is closed
                break
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        """Hang up; the process ends if it has not."""
        os.close(self.fd)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def terminal(project: Path, tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(project, tmp_path / "state")
    try:
        found.wait("flin> ")
        yield found
    finally:
        found.close()


def test_conversation_at_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    """Greeting, continuation, Ctrl-C, a fault that does not end it, help, and a history."""
    assert "1 entity" in terminal.output
    assert "42" in terminal.ask("let answer = 42")
    terminal.type("if answer > 1 {\r")
    terminal.wait("....> ")
    terminal.type('"big"\r')
    terminal.wait("....> ")
    assert '"big"' in terminal.ask("}")
    terminal.type("half of an inp")
    terminal.wait("inp")
    terminal.interrupt()
    terminal.wait("flin> ")
    assert "FL202" in terminal.ask("nothing_of_this_name")
    assert "42" in terminal.ask("answer")
    assert "Ctrl-C cancels" in terminal.ask("help")
    assert "room" in terminal.ask("help broadcast")
    assert terminal.leave() == 0
    history = tmp_path / "state" / "flinfast" / "console_history"
    assert "let answer = 42" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_interrupted_input_leaves_nothing(terminal: Terminal) -> None:
    """Ctrl-C while it runs undoes it, and the prompt is back."""
    terminal.type('save User { name: "x" }; log_warn("begun"); while true { }\r')
    terminal.wait("while true { }")  # the echo
    terminal.wait("begun")
    terminal.type("\x03")
    assert "interrupted" in terminal.wait("flin> ")
    assert terminal.ask("User.count").startswith("0")
    assert terminal.leave("exit\r") == 0


def test_tab_completes_names_entities_and_fields(terminal: Terminal) -> None:
    """What the editors offer, and variables of the prompt."""
    terminal.ask("let remembered = { colour: 1 }")
    terminal.ask('let ann = User { name: "Ann" }')
    for start, end in [
        ("rememb", "remembered"),
        ("Use", "User"),
        ("gree", "greet"),
        ("broadcast_al", "broadcast_all"),
        ("remembered.col", "remembered.colour"),
        ("ann.ag", "ann.age"),
    ]:
        terminal.type(f"{start}\t")
        assert end in terminal.wait(end)
        terminal.type("\x15")  # Ctrl-U: the line is gone


def test_reload_takes_the_changed_source(terminal: Terminal, project: Path) -> None:
    """A broken one is told, and the console goes on as it was."""
    file = project / "lib" / "words.flin"
    file.write_text("fn greet(name) { unknown_word }\n")
    assert "FL202" in terminal.ask("reload")
    assert '"hello, Ann"' in terminal.ask('greet("Ann")')
    file.write_text('fn greet(name) { "good day, " + name }\n')
    terminal.ask("reload")
    assert '"good day, Ann"' in terminal.ask('greet("Ann")')


def test_lists_and_maps_are_as_before_when_an_input_fails(terminal: Terminal) -> None:
    """At any depth, and for whoever else holds them; what succeeded stays."""
    terminal.ask("let inner = [1]")
    terminal.ask("let held = { list: inner, name: 'a' }")
    terminal.ask("let read = () => held.list.length")
    assert "FL503" in terminal.ask("inner.push(2); held.name = 'b'; held.more = 1; 1 / 0")
    assert '{"list":[1],"name":"a"}' in terminal.ask("to_json(held)").replace("\\", "")
    terminal.ask("inner.push(3)")
    assert "2" in terminal.ask("read()")
    assert '{"list":[1,3],"name":"a"}' in terminal.ask("to_json(held)").replace("\\", "")
    assert terminal.leave() == 0
