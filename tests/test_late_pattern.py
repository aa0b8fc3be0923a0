"""Patterns compiled when they are used: equal to compiled ones, and none of them broken."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flinfast
from flinfast.late_pattern import late_pattern

# What a start does without: each of them is loaded by the first request that needs it.
LEFT_OUT = frozenset(
    {
        "argon2", "cryptography", "dataclasses", "email", "encodings.idna", "flinfast.lang.parser",
        "flinfast.native.frame", "http", "http.client", "json", "jwt", "pickle", "python_multipart",
        "rich", "sly", "sqlite3", "zoneinfo",
    }
)  # fmt: skip
START = """
import sys
import flinfast.cli.serve, flinfast.runtime.app, flinfast.server.server, flinfast.server.log
import uvloop
print(" ".join(sys.modules))
"""
# `flinfast serve`, which ends as soon as it serves; prints who compiles which pattern.
SERVE = """
import os, re._compiler, signal, sys
compiled = re._compiler.compile
def compile(pattern, flags=0):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] in ("re", "flinfast.late_pattern"):
        frame = frame.f_back
    print("pattern", frame.f_globals["__name__"], pattern)
    return compiled(pattern, flags)
re._compiler.compile = compile
from flinfast.cli import main, serve
serve._show_banner = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
sys.argv = ["flinfast", "serve", sys.argv[1], "--port", "0"]
main.run()
"""


@pytest.mark.parametrize("text", ["", "abc", "xabc", "abc abc", "ABC"])
@pytest.mark.parametrize("flags", [0, re.IGNORECASE])
def test_a_late_pattern_finds_what_a_compiled_one_finds(text: str, flags: int) -> None:
    """Whatever is asked first."""
    ready = re.compile("a(b)c", flags)
    for name in ("match", "fullmatch", "search"):
        late = late_pattern("a(b)c", flags)
        for _ in range(2):
            found, expected = getattr(late, name)(text), getattr(ready, name)(text)
            assert (found and found.span(1)) == (expected and expected.span(1))
    late = late_pattern("a(b)c", flags)
    assert late.pattern == ready.pattern
    assert late.sub("-", text) == ready.sub("-", text)
    assert late.findall(text) == ready.findall(text)
    assert late.split(text) == ready.split(text)


def test_a_late_pattern_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its first use; bytes are possible."""
    compiled: list[object] = []
    real = re.compile

    def compile_(pattern: bytes, flags: int = 0) -> re.Pattern[bytes]:
        compiled.append(pattern)
        return real(pattern, flags)

    monkeypatch.setattr(re, "compile", compile_)
    late = late_pattern(b"a+")
    assert not compiled
    assert late.fullmatch(b"aaa")
    assert late.search(b"xa")
    assert compiled == [b"a+"]
    with pytest.raises(AttributeError):
        _ = late_pattern("a").groups


def test_every_late_pattern_of_the_package_can_be_compiled() -> None:
    """Their faults would show in the middle of a request."""
    count = 0
    for module in pkgutil.walk_packages(flinfast.__path__, "flinfast."):
        if module.name.endswith(("__main__", "pygments_lexer")) or ".lsp" in module.name:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if type(value).__module__ == "flinfast.late_pattern":
                count += 1
                value.match(value.pattern[:0])  # raises when it is broken
    assert count > 40


def test_a_start_loads_little() -> None:
    """Of what only some programs or requests need, nothing."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    assert not LEFT_OUT & set(done.stdout.split())


def test_a_start_of_a_program_that_was_compiled_before_compiles_no_pattern(tmp_path: Path) -> None:
    """None of ours: neither those of settings nor those of files and routes."""
    (tmp_path / "app" / "api").mkdir(parents=True)
    (tmp_path / "app" / "api" / "[id].flin").write_text("route GET { params.id }\n")
    (tmp_path / "app" / "(site)").mkdir()
    (tmp_path / "app" / "(site)" / "chat.flin").write_text("ws { on message(data) { data } }\n")
    environ = {**os.environ, "FLIN_ENV": "dev"}
    starts = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SERVE, str(tmp_path)],
            capture_output=True,
            text=True,
            env=environ,
            check=True,
        )
        starts.append(re.findall(r"^pattern (flinfast\..*)", done.stdout, re.MULTILINE))
    assert starts[0]  # compiling the program needs some
    assert starts[1] == []
