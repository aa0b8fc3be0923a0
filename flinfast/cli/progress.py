"""A progress bar on standard error, where a person looks at it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

Advance = Callable[[int, int], None]  # (done, total)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Advance | None]:
    """Show how far something is; None when standard error is no terminal.

    Args:
        what: Such as "Backing up".
    """
    if not os.isatty(2):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield advance
