"""What an interactive prompt runs: inputs against the data of a project, each a transaction.

The program's own entities, functions and builtins are used. There is no request, no session and
no connection; what an input sends reaches nobody, as connections belong to the server's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from flinfast.errors import RuntimeFault, StoreError
from flinfast.lang.console import BUILTINS, KEEP, PATH, READ, SHOW, Names, compile_input
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.program import Effects
from flinfast.lang.source import Source
from flinfast.runtime.data import ProjectData
from flinfast.runtime.fault import to_fault
from flinfast.runtime.loading import Closures
from flinfast.store.base import BaseStore

SENT_NOTE: Final = "nobody is connected to the console: what was sent reached no one"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an input came to.

    Attributes:
        text: Its value as shown, "" when it has none.
        warnings: Of the compiler.
        note: What a person should know, or "".
    """

    text: str
    warnings: tuple[Diagnostic, ...]
    note: str = ""


class InputError(Exception):
    """An input failed while it ran; nothing it wrote stays.

    Attributes:
        fault: What happened.
        diagnostic: The same with its place, None when it has none.
    """

    def __init__(self, fault: RuntimeFault | StoreError, diagnostic: Diagnostic | None) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.diagnostic = diagnostic


class Console:
    """A prompt's state: names of earlier inputs and their values.

    Args:
        data: The project, made with `kept`.
        store: Its open store.

    Attributes:
        names: What inputs have named.
        values: Values of variables.
        data: The project.

    Raises:
        RuntimeFault: File-level code of the project failed.
    """

    def __init__(self, data: ProjectData, store: BaseStore) -> None:
        self.names = Names()
        self.values: dict[str, Any] = {}
        self.data = data
        self._store = store
        self._binder = data.run(store)
        self._hub = self._binder.services.hub

    def run(self, text: str, show: Callable[[Any], str]) -> Answer:
        """Compile and run an input.

        Args:
            text: FLIN.
            show: Writes its value; called inside the transaction, as queries are lazy.

        Raises:
            CompileError: The input has faults; it did not run.
            InputError: It failed while it ran.
        """
        assert self.data.kept is not None
        compiled = compile_input(text, self.names, self.data.kept)
        kept: dict[str, Any] = {}
        shown: list[Any] = []
        values = self.values
        own: Closures = {
            READ: values.__getitem__,
            KEEP: kept.__setitem__,
            SHOW: shown.append,
        }
        assert own.keys() == BUILTINS.keys()
        abi = SimpleNamespace(**vars(self._binder.abi))
        abi.builtins = _Builtins(self._binder.abi.builtins, own)
        try:
            with _restored(values), _Transaction(self._store, self._hub, compiled.effects):
                compiled.compiled.bind(abi)
                answer = show(shown[0]) if shown else ""
        except StoreError as error:
            raise InputError(error, None) from error
        except Exception as error:
            fault = to_fault(error)
            raise InputError(fault, self._diagnostic(fault, compiled.source)) from error
        self.names = compiled.names
        self.values = kept
        note = SENT_NOTE if compiled.effects.sends else ""
        return Answer(answer, compiled.warnings, note)

    def _diagnostic(self, fault: RuntimeFault, source: Source) -> Diagnostic | None:
        """A fault with the line of FLIN where it happened."""
        if fault.path != PATH:
            known = {file.source.path: file.source for file in self.data.project.files}
            found = known.get(fault.path)
            if found is None:
                return None
            source = found
        span = source.span_of_line(fault.line) if fault.line else source.span_of_line(1)
        text = str(fault)
        return Diagnostic(fault.code, text, source, span, "failed here", help=fault.hint)


@contextmanager
def _restored(values: Mapping[str, Any]) -> Iterator[None]:
    """See to it that lists and maps hold what they held when the block ends with an exception.

    They are mended, not replaced: functions and other variables may hold them.
    """
    found: dict[int, tuple[Any, Any]] = {}
    line = list(values.values())
    while line:
        value = line.pop()
        if isinstance(value, list | dict) and id(value) not in found:
            found[id(value)] = (value, value.copy())
            line.extend(value.values() if isinstance(value, dict) else value)
    try:
        yield
    except BaseException:
        for value, copy in found.values():
            value.clear()
            value.extend(copy) if isinstance(value, list) else value.update(copy)
        raise


class _Builtins:
    """Builtins of the program and those of an input, as the mapping an Abi has."""

    def __init__(self, program: Any, own: Closures) -> None:
        self._program = program
        self._own = own

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._own[name] if name in self._own else self._program[name]

    def get(self, name: str, default: Any = None) -> Any:
        """As a mapping's `get`."""
        found = self._own.get(name)
        return self._program.get(name, default) if found is None else found


class _Transaction:
    """The transaction of one input: durable when the block ends without an exception."""

    def __init__(self, store: BaseStore, hub: Any, effects: Effects) -> None:
        self._store = store
        self._hub = hub
        self._effects = effects

    def __enter__(self) -> None:
        self._hub.begin(None)
        try:
            self._store.begin(writes=self._effects.writes)
        except BaseException:
            self._hub.rollback()
            raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is not None:
                self._store.rollback()
            else:
                self._store.commit()
            self._store.flush()
        finally:
            self._hub.rollback()
