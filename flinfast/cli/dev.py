"""`flinfast dev`: serve, and follow the source.

A saved file is live at once: handlers are swapped under open connections, pages load again. While a
file has faults the last good program serves on, and the faults stand in the terminal and over the
page.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flinfast.cli.report import show_error
from flinfast.cli.serve import FLAGS, serve_project
from flinfast.cli.usage import example
from flinfast.cli.watch import Look, look_at, wait_for_change
from flinfast.errors import CompileError, FlinError
from flinfast.server import config as settings
from flinfast.settings import PUBLIC_FOLDER

if TYPE_CHECKING:
    from flinfast.runtime.app import App
    from flinfast.server.live import LivePages
    from flinfast.server.server import Server
    from flinfast.server.site import Application

STYLE_SUFFIX: Final = ".css"
# Events of one save come within a few milliseconds; more waiting would be felt.
DEBOUNCE_MS: Final = 20
STEP_MS: Final = 5
LOOK_MS: Final = 1000
# An editor that truncates a file and then writes it leaves it empty for less than this.
EMPTIED_S: Final = 0.5


@click.command(
    "dev",
    epilog=example("flinfast dev", "flinfast dev chat --port 8000"),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 3000]")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warn", "error"]), help="Least level logged."
)
def command(path: Path, **options: Any) -> None:
    """Serve the project at PATH while you work on it.

    What you save is live at once, with connections kept; pages in browsers load again. While a
    file has faults the last good program serves on. Errors show source lines, so this is not for
    the public: use `flinfast serve` there.
    """
    from flinfast.runtime.project import find_root

    root, single = find_root(path)
    flags = {
        FLAGS[name]: settings.Flag("--" + name.replace("_", "-"), value)
        for name, value in options.items()
        if value is not None
    }
    environ = {"FLIN_ENV": "dev", **os.environ}
    while True:
        began = time.perf_counter()
        before = look_at(root, single, assets=PUBLIC_FOLDER)
        try:
            config = settings.load(root, environ=environ, flags=flags)
            follower = _Follower(root, single, before)
            serve_project(path, root, config, began, following=follower.start)
        except CompileError as error:
            show_error(error)
        else:
            follower.stop()
            return
        click.echo("\nwaiting for a change ...", err=True)
        wait_for_change(root, single, assets=PUBLIC_FOLDER, before=before)


class _Follower:
    """Follows the files of a project in a thread, and acts in the loop.

    Args:
        root: Project root.
        single: The file, when the project is one file.
        before: Its files before they were read.
    """

    def __init__(self, root: Path, single: Path | None, before: Look) -> None:
        self._root = root
        self._single = single
        self._before = before
        self._stop = threading.Event()
        self._app: App
        self._pages: LivePages

    def start(self, server: Server, app: Application) -> None:
        """The server listens: follow from now on."""
        from flinfast.runtime.app import App
        from flinfast.server.live import LivePages

        assert server.site is not None
        assert isinstance(app, App)
        self._app = app
        self._pages = server.site.live = LivePages(server.site)
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._follow, args=(loop.call_soon_threadsafe,), name="watch", daemon=True
        ).start()

    def stop(self) -> None:
        """The server has ended."""
        self._stop.set()

    def _follow(self, call: Callable[..., object]) -> None:
        threading.Thread(target=_load_compiler, name="compiler", daemon=True).start()
        for changed in changes(self._root, self._stop, self._before, self._single):
            if self._stop.is_set():
                return
            try:
                call(self._act, changed)
            except RuntimeError:  # the loop has closed
                return

    def _act(self, changed: list[str]) -> None:
        """Files have changed (in the loop)."""
        names = [os.path.relpath(path, self._root) for path in changed]
        public = [name for name in names if name.split(os.sep)[0] == PUBLIC_FOLDER]
        if any(name.endswith(".flin") for name in names if name not in public):
            self._reload(names)
        elif public and all(name.endswith(STYLE_SUFFIX) for name in public):
            self._pages.restyle()
        elif public:
            self._pages.reload()
        if "flinfast.toml" in names:
            click.echo("  flinfast.toml changed: start again to use it", err=True)

    def _reload(self, names: list[str]) -> None:
        from flinfast.lang.diagnostic import render

        began = time.perf_counter()
        try:
            self._app.reload()
        except CompileError as error:
            self._report(error, render(error.diagnostics, color=False))
        except FlinError as error:
            self._report(error, str(error))
        else:
            took_ms = (time.perf_counter() - began) * 1000
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            click.echo(f"  reloaded in {took_ms:.0f} ms  {names[0]}{more}", err=True)
            self._pages.reload()

    def _report(self, error: FlinError, text: str) -> None:
        show_error(error)
        click.echo("  the last good program serves on", err=True)
        self._pages.show_fault(text)


def changes(
    root: Path, stop: threading.Event, before: Look, single: Path | None = None
) -> Iterator[list[str]]:
    """Paths that changed below a project, batch by batch, until `stop` is set.

    The system's events tell at once; a look every second finds what they do not tell, as in mounted
    folders of containers and on network drives. A file that has become empty is told a while later:
    an empty program would end the connections of the one that is being saved.

    Args:
        root: Project root.
        stop: Ends it.
        before: The files as they were read; what changed since then is told as well.
        single: The file, when the project is one file: the folder it lies in may hold everything
            else of a person, so nothing else in it counts.
    """
    from watchfiles import watch

    folder = os.path.realpath(root if single is None else single.parent)

    def is_ours(path: str) -> bool:
        name = os.path.relpath(path, folder)
        return name == single.name if single is not None else _matters(name)

    emptied: dict[str, float] = {}
    waiting: set[str] = set()
    for batch in watch(
        folder,
        watch_filter=lambda _, path: is_ours(path),
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        recursive=single is None,
    ):
        now = look_at(root, single, assets=PUBLIC_FOLDER)
        paths = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
        if single is None:  # a file may be written twice between two ticks of its clock
            paths |= {str(root / os.path.relpath(path, folder)) for _, path in batch}
        elif batch:
            paths.add(str(single))
        paths |= waiting
        early = {path for path in paths if _was_just_emptied(path, before, now, emptied)}
        if early:
            waiting = paths
            continue
        before, waiting = now, set()
        if paths:
            yield sorted(paths)


def _was_just_emptied(path: str, before: Look, now: Look, emptied: dict[str, float]) -> bool:
    """Whether a save was perhaps seen in its middle; `emptied` says since when."""
    if not (path in before and path in now and before[path][1] > now[path][1] == 0):
        emptied.pop(path, None)
        return False
    seen = time.monotonic()
    return seen - emptied.setdefault(path, seen) < EMPTIED_S


def _matters(name: str) -> bool:
    """Whether a changed file can change what is served; editors write many that cannot."""
    parts = name.split(os.sep)
    if any(part.startswith(".") for part in parts) or name.endswith("~"):
        return False
    return name.endswith(".flin") or parts[0] == PUBLIC_FOLDER or name == "flinfast.toml"


def _load_compiler() -> None:
    """A warm start has not needed the parser; the first save shall not wait for it."""
    import flinfast.lang.parser  # noqa: F401
