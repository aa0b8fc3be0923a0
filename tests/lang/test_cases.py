"""FLIN programs that say themselves what they print, or which fault they have.

`print(1 + 2)  // expect: 3` compares what the program prints, in order. `// error: FL202` on a
line expects that diagnostic there; `// fault: FL503` expects the run-time fault there, after which
that handler ends. A file is run as a route file: file-level code first, then every handler in the
order route, connect, message, close, test. `// entities`, `// params: id` and `// message: <JSON>`
at the top set the scene.
"""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import CompileError, RuntimeFault
from flinfast.lang.program import CompiledFile, CompiledProgram, compile_project
from flinfast.lang.source import Source
from flinfast.runtime.entity_spec import entity_specs
from flinfast.store.store import Store
from tests.lang.fake_abi import GUARDS, Context, FakeAbi, Handle, Message, builtin_table
from tests.runtime.harness import ManualLoop

FOLDER = Path(__file__).parent / "cases" / "semantics"
CASES = sorted(FOLDER.rglob("*.flin"))
# Warnings that a case gets for showing what happens at run time; expected ones are compared.
ADVICE = frozenset({"FL213", "FL218", "FL219", "FL220"})
_MARK = re.compile(r"// (expect|error|fault|warning): ?(.*)$")


@dataclass
class Expected:
    """What the comments of a case ask for."""

    printed: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)


def expected_of(text: str) -> Expected:
    found = Expected()
    for line, content in enumerate(text.splitlines(), 1):
        match = _MARK.search(content)
        if match is None:
            continue
        kind, value = match.groups()
        if kind == "expect":
            found.printed.append(value)
        else:
            place = (line, value.split()[0])
            {"error": found.errors, "fault": found.faults, "warning": found.warnings}[kind].append(
                place
            )
    return found


def setting(text: str, name: str) -> str:
    match = re.search(rf"^// {name}: (.*)$", text, re.MULTILINE)
    return match.group(1) if match else ""


def compile_case(path: Path, text: str) -> CompiledProgram:
    source = Source(path.relative_to(FOLDER).as_posix(), text)
    params = tuple(setting(text, "params").split())
    kind = setting(text, "kind") or "route"
    return compile_project([(source, kind, params)], builtins=builtin_table(), guards=GUARDS)


class Run:
    """One run of a compiled case.

    Args:
        compiled: The case.
        text: Its text.
        folder: Where a real store is made; None for the fake one.
    """

    def __init__(self, compiled: CompiledFile, text: str, folder: Path | None = None) -> None:
        self.abi: Any = FakeAbi()
        self.store: Store | None = None
        self.info = compiled.info
        self.text = text
        self.faults: list[tuple[int, str]] = []
        self.printed: list[str] = []
        self.abi.builtins["print"] = self._print
        if folder is None:
            self._bind_fake(compiled)
        else:
            self._bind_real(compiled, folder)

    def _bind_fake(self, compiled: CompiledFile) -> None:
        for entity in self.info.entities:
            fields = tuple(f.name for f in entity.fields)
            self.abi.entities[entity.name] = Handle(entity.name, fields, {})
        self.closures = compiled.bind(self.abi)
        for entity in self.info.entities:
            self.abi.entities[entity.name].defaults = {
                f.name: self.closures[f.default_key] for f in entity.fields if f.default_key
            }

    def _bind_real(self, compiled: CompiledFile, folder: Path) -> None:
        enums = {enum.name: enum.variants for enum in self.info.enums}
        specs = entity_specs(self.info.entities, enums, lambda _, key: self.closures[key])
        loop = ManualLoop()
        self.store = store = Store(
            folder,
            specs,
            durability="normal",
            clock_ms=lambda: 1_000,
            call_soon=loop.call_soon,
            run_in_thread=loop.run_in_thread,
        )
        self.abi.entities = store.entities
        self.abi.save, self.abi.delete = store.save, store.delete
        self.closures = compiled.bind(self.abi)

    def _print(self, value: Any, fields: Any = None) -> None:
        self.printed.append(self.abi.ops.to_text(value))

    def handlers(self) -> None:
        params = {name: f"<{name}>" for name in setting(self.text, "params").split()}
        body = json.loads(setting(self.text, "body") or "null")
        context = Context(params=params, body=body, session={"userName": "Ada", "userId": "7"})
        for route in self.info.routes:
            value = self._call(route.handler.key, context)
            if setting(self.text, "value"):
                assert repr(value) == setting(self.text, "value")
        ws = self.info.ws
        if ws is not None and ws.connect is not None:
            self._call(ws.connect.key, context)
        if ws is not None and ws.message is not None:
            value = json.loads(setting(self.text, "message") or "{}")
            self._call(ws.message.key, context, Message(value))
        if ws is not None and ws.close is not None:
            self._call(ws.close.key, context)
        if self.info.middleware is not None:
            self._call(self.info.middleware.key, context)
        for test in self.info.tests:
            self._call(test.handler.key, context)

    def _call(self, key: str, *args: Any) -> Any:
        try:
            with self.store.transaction() if self.store is not None else nullcontext():
                return self.closures[key](*args)
        except RuntimeFault as fault:
            trace, line = fault.__traceback__, 0
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == self.info.path:
                    line = trace.tb_lineno
                trace = trace.tb_next
            self.faults.append((line, fault.code))
            return None


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_case_does_what_its_comments_say(path: Path) -> None:
    """A program prints what it says, and has the faults it says, where it says."""
    text = path.read_text(encoding="utf-8")
    expected = expected_of(text)
    try:
        program = compile_case(path, text)
    except CompileError as error:
        found = [
            (d.source.line_of(d.span.start), d.code)
            for d in error.diagnostics
            if d.severity == "error"
        ]
        assert sorted(set(found)) == sorted(expected.errors)
        return
    assert expected.errors == []
    warnings = [(d.source.line_of(d.span.start), d.code) for d in program.diagnostics]
    wanted = {code for _, code in expected.warnings}
    shown = [w for w in warnings if w[1] not in ADVICE or w[1] in wanted]
    assert shown == expected.warnings
    check(Run(program.files[0], text), text, expected)
    assert expected.printed or expected.faults or setting(text, "value") or expected.warnings


@pytest.mark.parametrize(
    "path",
    [p for p in CASES if p.parent.name in ("entity", "query")],
    ids=lambda p: p.relative_to(FOLDER).as_posix(),
)
def test_case_does_the_same_on_the_real_store(path: Path, tmp_path: Path) -> None:
    """Entities and queries of cases behave the same in SQLite as in the fake store."""
    text = path.read_text(encoding="utf-8")
    expected = expected_of(text)
    if expected.errors:
        return
    run = Run(compile_case(path, text).files[0], text, tmp_path / ".flindb")
    check(run, text, expected)
    assert run.store is not None
    run.store.close()


def check(run: Run, text: str, expected: Expected) -> None:
    """Run a case; it prints and fails as its comments say."""
    run.handlers()
    assert run.printed == expected.printed
    assert set(run.faults) == set(expected.faults)


def test_there_are_many_cases() -> None:
    """The clauses of FLIN reference 3 to 6 are covered case by case."""
    assert len(CASES) >= 120
