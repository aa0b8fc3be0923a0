"""Compiled programs on disk, so that a start with unchanged sources compiles nothing.

One file per project, `program.flinc`: magic, key, digest of the payload, payload (marshal). The key
covers everything the result depends on: sources, builtins, guards, Python and the compiler itself.
A file with another key, a wrong digest or any other fault counts as no file. It is written to a
temporary name and renamed, so readers see a whole file or none; a folder that cannot be written is
no fault either. Nothing here imports the parser or the compiler until something must be compiled.

The digest guards against damage, not against malice: whoever can write the folder can run code, as
with Python's own `__pycache__`.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import astuple

from flinfast.lang import program
from flinfast.lang.abi import Builtin
from flinfast.lang.program import (
    COMPILER_VERSION,
    CompiledFile,
    CompiledProgram,
    ProjectSource,
    compile_project,
)
from flinfast.lang.source import Source, Span

FILE_NAME: Final = "program.flinc"
CACHE_BYTES_MAX: Final = 256 << 20  # beyond it a file cannot be ours: programs are a few MB
_MAGIC: Final = b"FLINC\x01\r\n"
_DIGEST_BYTES: Final = 32
_HEADER_BYTES: Final = len(_MAGIC) + 2 * _DIGEST_BYTES


def compile_cached(
    sources: Sequence[ProjectSource],
    *,
    builtins: Mapping[str, Builtin],
    guards: Collection[str],
    folder: Path,
) -> CompiledProgram:
    """`compile_project`, or what it gave last time.

    Args:
        sources: As for `compile_project`.
        builtins: As for `compile_project`.
        guards: As for `compile_project`.
        folder: Where the compiled program is kept; created (0700) when something is written.

    Raises:
        CompileError: The sources have faults; a program with faults is never kept.
    """
    key = key_of(sources, builtins, guards)
    kept = load(folder, key, sources)
    if kept is not None:
        return kept
    compiled = compile_project(sources, builtins=builtins, guards=guards)
    store(folder, key, compiled)
    return compiled


def key_of(
    sources: Sequence[ProjectSource], builtins: Mapping[str, Builtin], guards: Collection[str]
) -> bytes:
    """Digest of everything a compiled program depends on."""
    digest = blake2b(digest_size=_DIGEST_BYTES)

    def add(*parts: str) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)

    add(str(COMPILER_VERSION), importlib.util.MAGIC_NUMBER.hex(), _compiler_stamp())
    add(*(repr(builtins[name]) for name in sorted(builtins)))
    add(str(len(builtins)), *sorted(guards), str(len(guards)))
    for source, kind, parameters in sources:
        add(source.path, kind, "/".join(parameters), source.text)
    return digest.digest()


def _compiler_stamp() -> str:
    """Sizes and times of the compiler's own files: an edited compiler is another compiler."""
    found: list[str] = []
    # An archive has no such files, and cannot be edited in place.
    with suppress(OSError), os.scandir(Path(__file__).parent) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                found.append(f"{entry.name} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(sorted(found))


def load(folder: Path, key: bytes, sources: Sequence[ProjectSource]) -> CompiledProgram | None:
    """The kept program of that key; None when there is no usable one."""
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > CACHE_BYTES_MAX:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    payload = _payload(data, key)
    if payload is None:
        return None
    try:
        files, diagnostics = marshal.loads(payload)
        reader = _Reader({source.path: source for source, _, _ in sources})
        compiled = tuple(CompiledFile(reader.value(info), _code(code)) for info, code in files)
        return CompiledProgram(compiled, reader.value(diagnostics))
    except (ValueError, TypeError, EOFError, KeyError, AttributeError, IndexError):
        return None


def _payload(data: bytes, key: bytes) -> bytes | None:
    """The payload of an undamaged file of that key."""
    start = len(_MAGIC)
    if data[:start] != _MAGIC or data[start : start + _DIGEST_BYTES] != key:
        return None
    payload = data[_HEADER_BYTES:]
    digest = blake2b(payload, digest_size=_DIGEST_BYTES).digest()
    return payload if data[start + _DIGEST_BYTES : _HEADER_BYTES] == digest else None


def _code(value: Any) -> CodeType:
    if not isinstance(value, CodeType):
        raise TypeError(f"expected code, got {type(value).__name__}")
    return value


def store(folder: Path, key: bytes, compiled: CompiledProgram) -> bool:
    """Keep a program; whether that worked."""
    files = [(_plain(file.info), file.code) for file in compiled.files]
    payload = marshal.dumps((files, _plain(compiled.diagnostics)))
    digest = blake2b(payload, digest_size=_DIGEST_BYTES).digest()
    temporary = folder / f"{FILE_NAME}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + key + digest + payload)
        temporary.replace(folder / FILE_NAME)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        return False
    return True


# --- structs as lists, everything else as it is ----------------------------------------


def _plain(value: Any) -> Any:
    """What marshal can write: a struct is a list of its class name and its fields."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Source):
        return ["Source", value.path]
    if isinstance(value, Struct):
        return [type(value).__name__, *(_plain(item) for item in astuple(value))]
    return value


class _Reader:
    """Brings back what `_plain` made of a value."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def value(self, plain: Any) -> Any:
        if isinstance(plain, tuple):
            return tuple(self.value(item) for item in plain)
        if not isinstance(plain, list):
            return plain
        name, *items = plain
        if name == "Source":
            return self._sources[items[0]]
        if name == "Span":
            return Span(*items)
        owner: Any = program
        if name in ("Diagnostic", "Note"):
            from flinfast.lang import diagnostic

            owner = diagnostic
        return getattr(owner, name)(*(self.value(item) for item in items))


__all__ = ["FILE_NAME", "compile_cached", "key_of", "load", "store"]
