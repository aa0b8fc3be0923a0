"""`flinfast test`: the `test` blocks of a project, each with a program and database of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec.structs import replace

from flinfast.cli.owner import project_of
from flinfast.cli.report import EXIT_FAULTS, has_color, show_diagnostics
from flinfast.cli.usage import example

if TYPE_CHECKING:
    from flinfast.errors import RuntimeFault
    from flinfast.lang.diagnostic import Diagnostic
    from flinfast.lang.program import TestInfo
    from flinfast.runtime.loading import Compiled
    from flinfast.settings import Settings

CLOSING_S: Final = 5.0  # how long connections of a test may take to end
LOG_LINES_MAX: Final = 20  # log lines shown with a failed test


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended.

    Attributes:
        path: Its file.
        name: Its name.
        line: Where it stands.
        taken_ms: How long it ran.
        fault: What ended it, None when it passed.
        log: Warnings and errors that the program logged meanwhile.
    """

    path: str
    name: str
    line: int
    taken_ms: float
    fault: Diagnostic | None
    log: list[str]

    def to_map(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.path,
            "line": self.line,
            "name": self.name,
            "status": "passed" if self.fault is None else "failed",
            "ms": round(self.taken_ms, 1),
            "fault": None if self.fault is None else self.fault.to_map(),
            "log": self.log,
        }


@click.command(
    "test",
    epilog=example(
        "flinfast test chat",
        "flinfast test chat/tests/rooms.flin",
        "flinfast test chat -k login --json",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("-k", "text", metavar="TEXT", default="", help="Run tests whose name or file has it.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")
def command(path: Path, text: str, as_json: bool) -> int:
    """Run the `test` blocks of the project, or of the one file, at PATH.

    Each test has a program and an empty database of its own; the project's data is not touched.
    Tests stand in any source file, or in `tests/`. Exits 1 when a test fails, when the program has
    faults, and when there are no tests.
    """
    from flinfast.runtime.loading import compile_files
    from flinfast.runtime.project import load_project
    from flinfast.server import config as settings

    root, only = project_of(path)
    project = load_project(root, with_tests=True)
    config = settings.load(project.root, environ=os.environ)
    compiled = compile_files(project)
    if compiled.program.diagnostics and not as_json:
        show_diagnostics(compiled.program.diagnostics)
    chosen = _chosen(compiled, only, text)
    if not chosen:
        return _tell_of_none(as_json, has_others=bool(text and _chosen(compiled, only, "")))
    outcomes = []
    with _Bench(compiled, config.settings) as bench:
        file = ""
        for place, test in chosen:
            outcome = bench.run(place, test)
            outcomes.append(outcome)
            if not as_json:
                if place != file:
                    click.echo(place)
                    file = place
                _show_line(outcome)
    failed = [outcome for outcome in outcomes if outcome.fault is not None]
    passed = len(outcomes) - len(failed)
    if as_json:
        found = [outcome.to_map() for outcome in outcomes]
        click.echo(json.dumps({"tests": found, "passed": passed, "failed": len(failed)}, indent=2))
    else:
        for outcome in failed:
            _show_failure(outcome)
        click.echo(f"\n{passed} passed, {len(failed)} failed")
    return EXIT_FAULTS if failed else 0


def _chosen(compiled: Compiled, only: str, text: str) -> list[tuple[str, TestInfo]]:
    """File and test of those to run, in the order of paths and lines."""
    wanted = text.casefold()
    found: list[tuple[str, TestInfo]] = []
    for path in sorted(compiled.by_path):
        if path != only and not (path.startswith(only) if only.endswith("/") else not only):
            continue
        found += [
            (path, test)
            for test in compiled.by_path[path].info.tests
            if wanted in test.name.casefold() or wanted in path.casefold()
        ]
    return found


def _tell_of_none(as_json: bool, *, has_others: bool) -> int:
    if as_json:
        click.echo(json.dumps({"tests": [], "passed": 0, "failed": 0}, indent=2))
        return EXIT_FAULTS
    if has_others:
        click.echo("no test has this text in its name or file", err=True)
        return EXIT_FAULTS
    click.echo("no tests found", err=True)
    click.echo(
        '  = help: write `test "a name" { expect 1 + 1 == 2 }` in tests/first.flin', err=True
    )
    return EXIT_FAULTS


def _show_line(outcome: Outcome) -> None:
    passed = outcome.fault is None
    word = click.style("ok    ", fg="green") if passed else click.style("FAILED", fg="red")
    text = f"  {word}  {outcome.name}  ({outcome.taken_ms:.0f} ms)"
    click.echo(text, color=has_color(1))


def _show_failure(outcome: Outcome) -> None:
    from flinfast.lang.diagnostic import render

    assert outcome.fault is not None
    click.echo(f"\n{outcome.path}:{outcome.line}: {outcome.name}")
    click.echo(render([outcome.fault], color=has_color(1)), nl=False, color=True)
    for line in outcome.log[:LOG_LINES_MAX]:
        click.echo(f"  log: {line}")
    if len(outcome.log) > LOG_LINES_MAX:
        click.echo(f"  log: and {len(outcome.log) - LOG_LINES_MAX} lines more")


# --- running ----------------------------------------


class _Watcher:
    """Sockets of tests, watched by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def watch(self, descriptor: int, when_readable: Callable[[], None]) -> None:
        self._loop.add_reader(descriptor, when_readable)

    def unwatch(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)


@dataclass(slots=True)
class _Bench:
    """Runs tests of a compiled program one after the other, on one loop."""

    compiled: Compiled
    settings: Settings
    loop: asyncio.AbstractEventLoop = field(init=False)
    _stack: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)
    _scheduler: Any = field(init=False)
    _log: list[str] = field(init=False, default_factory=list)

    def __enter__(self) -> _Bench:
        from flinfast.server.loop import LoopScheduler, new_loop

        self.loop = new_loop()
        self._stack.callback(self.loop.close)
        self._scheduler = LoopScheduler(self.loop)
        self._stack.callback(self._scheduler.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, path: str, test: TestInfo) -> Outcome:
        """Run a test of the file at `path`.

        Raises:
            RuntimeFault: File-level code failed, which every test would tell.
        """
        from flinfast.runtime.app import App
        from flinfast.runtime.test_run import TestUser

        self._log = []
        with tempfile.TemporaryDirectory(prefix="flinfast-test-") as folder:
            app = App.load(
                self.compiled.project.root,
                _settings_for(self.settings, folder),
                scheduler=self._scheduler,
                log=self._keep,
                compiled=self.compiled,
            )
            app.hub.attach_loop(self.loop)
            user = TestUser(app, _Watcher(self.loop))
            began = time.perf_counter()
            ended: asyncio.Future[Exception | None] = self.loop.create_future()
            try:
                self.loop.call_soon(user.run, path, test, ended.set_result)
                error = self.loop.run_until_complete(ended)
                taken_ms = (time.perf_counter() - began) * 1000
            finally:
                user.close()
                self._end(app)
        fault = None if error is None else self._diagnostic(error, path, test)
        return Outcome(path, test.name, test.handler.line, taken_ms, fault, self._log)

    def _keep(self, level: str, text: str, fields: Mapping[str, Any], place: str) -> None:
        if level in ("warn", "error"):
            self._log.append(f"{level}: {text}{f' ({place})' if place else ''}")

    def _end(self, app: Any) -> None:
        app.hub.abort_all()
        deadline = self.loop.time() + CLOSING_S
        while app.hub.connection_count and self.loop.time() < deadline:
            self.loop.run_until_complete(asyncio.sleep(0.001))
        app.hub.detach_loop()
        app.close()

    def _diagnostic(self, error: Exception, path: str, test: TestInfo) -> Diagnostic:
        """The fault that ended a test, at its line."""
        from flinfast.lang.diagnostic import Diagnostic, Note
        from flinfast.runtime.fault import to_fault

        fault: RuntimeFault = to_fault(error)
        sources = {file.source.path: file.source for file in self.compiled.project.files}
        source = sources.get(fault.path)
        notes: tuple[Note, ...] = ()
        if source is None or not fault.line:
            source, line = sources[path], test.handler.line
        else:
            line = fault.line
            if fault.path != path:
                span = sources[path].span_of_line(test.handler.line)
                notes = (Note("called by this test", sources[path], span),)
        label = "not met" if fault.code == "FL570" else "ended the test"
        span = source.span_of_line(line)
        return Diagnostic(
            fault.code, str(fault), source, span, label, help=fault.hint or "", notes=notes
        )


def _settings_for(settings: Settings, folder: str) -> Settings:
    """The project's settings with data in a folder of its own that need not outlive a crash."""
    store = replace(settings.store, path=folder, database="", durability="normal")
    return replace(settings, mode="test", store=store)
