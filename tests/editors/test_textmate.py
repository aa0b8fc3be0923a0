"""The TextMate grammar: current, valid, and of one mind with the compiler about every example."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest

from flinfast.lang.highlight import stretches
from flinfast.lang.vocabulary import CONTEXTUAL, HARD_KEYWORDS
from flinfast.runtime.builtins import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "tests" / "e2e" / "node" / "node_modules"
PROGRAMS = sorted((ROOT / "examples").rglob("*.flin"))
CASES = sorted((ROOT / "tests" / "lang" / "cases").rglob("*.flin"))
SAMPLE = (
    '// note\n/* two\nlines */\nguard role("a{x + 1}\\n {{y}} { z")\nroute GET {\n'
    "    found = Note.where(id == params.id && 0x1f > 1.5 not in none)\n"
    "    print(...rest, 1..n, a.guard, a?.route, route, 'it')\n"
    "    'outer: for x in xs { break 'outer }\n    save found\n}\n"
    "ws { on message(data) { f({ type: `b${y}` }) } }\n"
    "entity Note { text: text @required = 1, tags: [int] }\nfn shout(a) -> text { a is bool }\n"
)
# Kind of the compiler -> what a scope may start with.
SCOPES = {
    "comment": ("comment.",),
    "string": ("string.",),
    "escape": ("constant.character.escape",),
    "interpolation": ("punctuation.section.interpolation",),
    "number": ("constant.numeric",),
    "constant": ("constant.language",),
    "keyword": ("keyword.",),
    "declaration": ("keyword.declaration",),
    "word operator": ("keyword.operator",),
    "operator": ("keyword.operator", "storage.modifier"),
    "http method": ("constant.language.method",),
    "event": ("entity.name.function.event",),
    "guard": ("entity.name.tag.guard",),
    "entity": ("entity.name.type",),
    "type": ("support.type",),
    "function": ("support.function", "entity.name.function"),
    "method": ("entity.name.function.member",),
    "member": ("variable.other.property",),
    "key": ("variable.other.property.key", "string."),
    "modifier": ("storage.modifier",),
    "label": ("entity.name.label",),
    "path": ("string.unquoted.path",),
    "context": ("variable.language",),
    "name": ("variable.other",),
    "punctuation": ("source.flin", "punctuation.section", "meta.interpolation"),
}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "editors" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _missing() -> str:
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not (MODULES / "vscode-textmate").exists():
        return "run `npm install --prefix tests/e2e/node`"
    return ""


needs_node = pytest.mark.skipif(
    bool(_missing()) and not os.environ.get("CI"), reason=_missing() or "present"
)


@lru_cache(maxsize=1)
def tokens() -> dict[str, list[list[object]]]:
    """Tokens of every program, made by what VS Code uses."""
    texts = {str(path): path.read_text(encoding="utf-8") for path in (*PROGRAMS, *CASES)}
    done = subprocess.run(
        [
            "node",
            Path(__file__).with_name("tokenize.mjs"),
            generator().GRAMMAR,
            MODULES,
        ],
        input=json.dumps({**texts, "sample": SAMPLE}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[list[object]]] = json.loads(done.stdout)
    return found


def scopes_at(name: str, offset: int) -> list[str]:
    for start, end, *scopes in tokens()[name]:
        if start <= offset < end:  # type: ignore[operator]
            return [str(scope) for scope in scopes]
    return []


def disagreements(name: str, text: str) -> list[tuple[int, str, str, str]]:
    wrong = []
    for start, end, kind in stretches(text):
        if kind in ("space", "error"):
            continue
        scope = scopes_at(name, start)[-1]
        if not scope.startswith(SCOPES[kind]):
            wrong.append((text.count("\n", 0, start) + 1, text[start:end], kind, scope))
    return wrong


def test_the_grammar_is_current(update_snapshots: bool) -> None:
    """It says what the compiler's tables say."""
    module = generator()
    if update_snapshots:
        module.main()
    stored = module.GRAMMAR.read_text(encoding="utf-8")
    assert stored == module.grammar_text(), "run `python editors/generate.py`"


def test_every_word_of_the_language_is_in_the_grammar() -> None:
    """Keywords, contextual words and functions."""
    words = set(re.findall(r"[A-Za-z_]\w*", " ".join(generator().patterns())))
    assert set(HARD_KEYWORDS) <= words
    assert set(CONTEXTUAL) <= words
    assert {name for name in REGISTRY if not name.startswith("_")} <= words


@pytest.mark.node
@needs_node
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_an_example_is_coloured_as_the_compiler_reads_it(path: Path) -> None:
    """Token by token."""
    assert disagreements(str(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.node
@needs_node
def test_one_of_everything_is_coloured_as_the_compiler_reads_it() -> None:
    """Comments, texts in texts, labels, spreads, ranges, keywords as members and as names."""
    assert disagreements("sample", SAMPLE) == []


@pytest.mark.node
@needs_node
@pytest.mark.parametrize("path", CASES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_texts_and_comments_end_where_the_compiler_ends_them(path: Path) -> None:
    """In the compiler's own test programs: nothing runs away."""
    text = path.read_text(encoding="utf-8")
    if not text.isascii():
        return
    wrong = []
    for start, end, kind in stretches(text):
        if kind in ("space", "error", "interpolation", "escape", "path", "punctuation", "label"):
            continue
        inner = [s for s in scopes_at(str(path), start) if s.startswith(("string.", "comment."))]
        nested = any(s.startswith("meta.interp") for s in scopes_at(str(path), start))
        expected = kind in ("string", "comment")
        if kind != "key" and not nested and bool(inner) != expected:
            wrong.append((text.count("\n", 0, start) + 1, text[start:end], kind))
    assert not wrong
