"""Compiling small projects in tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flinfast.errors import CompileError
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.program import CompiledProgram, FileInfo, ProjectSource, compile_project
from flinfast.lang.source import Source
from tests.lang.fake_abi import GUARDS, FakeAbi, Handle, builtin_table

Closures = dict[str, Callable[..., Any]]


def project(files: str | Mapping[str, str]) -> list[ProjectSource]:
    """Sources by path; a single text is `app/api/test.flin`. Kinds follow from the folders."""
    if isinstance(files, str):
        files = {"app/api/test.flin": files}
    found: list[ProjectSource] = []
    for path, text in files.items():
        kind = path.split("/", 1)[0]
        kind = "middleware" if path.endswith("_middleware.flin") else kind
        kind = "route" if kind == "app" else kind
        names = tuple(re.findall(r"\[(?:\.\.\.)?(\w+)\]", path))
        found.append((Source(path, text), kind, names))
    return found


def compile_files(files: str | Mapping[str, str]) -> CompiledProgram:
    """Compile a project that has no faults."""
    return compile_project(project(files), builtins=builtin_table(), guards=GUARDS)


def faults_of(files: str | Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """Diagnostics of a project that has faults."""
    with pytest.raises(CompileError) as caught:
        compile_files(files)
    return caught.value.diagnostics


def info_of(files: str | Mapping[str, str]) -> FileInfo:
    """What the last file of a project declares."""
    wanted = project(files)[-1][0].path
    return next(f.info for f in compile_files(files).files if f.info.path == wanted)


def bind(files: str | Mapping[str, str]) -> tuple[FakeAbi, dict[str, Closures]]:
    """Compile a project and bind all of it; closures by path and key."""
    program = compile_files(files)
    abi = FakeAbi()
    for file in program.files:
        for entity in file.info.entities:
            names = tuple(field.name for field in entity.fields)
            abi.entities[entity.name] = Handle(entity.name, names, {})
    found: dict[str, Closures] = {}
    for file in program.files:
        closures = found[file.info.path] = file.bind(abi)
        if file.info.kind in ("lib", "entities"):
            abi.shared_functions |= {name: closures[name] for name in file.info.functions}
    return abi, found


def bind_one(text: str) -> tuple[FakeAbi, Closures]:
    """Compile and bind one route file."""
    abi, found = bind(text)
    return abi, found["app/api/test.flin"]
