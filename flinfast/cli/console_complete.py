"""Completion by Tab in the console: what the language server would offer at the cursor.

Variables of the prompt are put before the input as assignments that say what kind they have, so
that members of records and keys of maps are known.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from flinfast.lang.console import PATH
from flinfast.lang.source import Source
from flinfast.lsp.completion import complete
from flinfast.lsp.names import Parsed
from flinfast.runtime.console import Console
from flinfast.runtime.project import ProjectFile
from flinfast.store.query import Query
from flinfast.store.record import Record

KEYS_MAX: Final = 100  # keys of one map that are offered
_HIDDEN: Final = frozenset({"route", "ws", "middleware", "guard", "guard_definition", "entity"})


class Completer:
    """Completions for one console.

    Args:
        console: Whose names are offered.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known = Parsed()

    def words(self, text: str) -> list[str]:
        """What may stand at the end of an input instead of its last word, in order.

        Args:
            text: The input up to the cursor.
        """
        console = self._console
        head = "".join(f"{n} = {_sample(v)}\n" for n, v in console.values.items())
        functions = "".join(f"{source}\n" for _, source in console.names.functions)
        before = f"{head}{functions}fn console_input() {{\n{text}"
        file = ProjectFile(Source(PATH, before + "\n}\n"), "console")
        project = console.data.project
        whole = replace(project, files=[*project.files, file])
        span, items = complete(whole, PATH, len(before), self._known)
        start = before[span.start :]
        found = sorted(
            (item.rank, item.label)
            for item in items
            if item.label.startswith(start) and item.label not in _HIDDEN
        )
        return list(dict.fromkeys(label for _, label in found if label != "console_input"))


def _sample(value: Any) -> str:
    """An expression of the same kind as a value."""
    if isinstance(value, Record):
        return f"{value.entity} {{}}"
    if isinstance(value, Query):
        return f"{value.entity_name}.all"
    if isinstance(value, dict):
        keys = [key for key in value if key.isidentifier()][:KEYS_MAX]
        return "{ " + ", ".join(f'"{key}": none' for key in keys) + " }"
    if isinstance(value, list):
        return "[]"
    if isinstance(value, str):
        return '""'
    return "0" if isinstance(value, int | float) else "none"
