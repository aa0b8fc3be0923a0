"""The examples of the language's pages do what the pages say, and show every piece of the language.

In a FLIN block `// => x` is what the line, or the one before, prints; `// error: FL202` and
`// fault: FL502` are the diagnostics it gets. A block that shows none of these has to compile.
A comment with a path in the first line says which kind of file it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang import ast
from flinfast.lang.diagnostic import render
from flinfast.lang.modifier import MODIFIERS, canonical
from flinfast.lang.parser import parse
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.lang.vocabulary import CONTEXTUAL, HARD_KEYWORDS
from flinfast.runtime.builtins import REGISTRY
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.testing import TestClient
from tests.lang.test_clauses import CASES
from tests.lang.test_clauses import FOLDER as CLAUSES

DOCS = Path(__file__).resolve().parents[2] / "docs"
LANGUAGE = [p for p in sorted((DOCS / "language").glob("*.md")) if p.name != "builtins.md"]
PAGES = [*LANGUAGE, DOCS / "tutorial.md", *sorted(DOCS.glob("howto/*.md"))]
NOW_MS = 1_800_000_000_000
_BLOCK = re.compile(r"^```flin\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"// (=>|error:|fault:) ?(.*)$", re.MULTILINE)
_PATH = re.compile(r"// ([\w./\[\]-]+\.flin)\n")
_FOLDERS = {"guards": "guards", "lib": "lib", "entities": "entities"}


@dataclass(frozen=True)
class Example:
    """One FLIN block of a page."""

    page: str
    number: int
    text: str

    @property
    def path(self) -> str:
        """Where the file stands in its project."""
        found = _PATH.match(self.text)
        return found[1] if found else "app/index.flin"

    @property
    def kind(self) -> str:
        """The kind of file."""
        if self.path.endswith("_middleware.flin"):
            return "middleware"
        return _FOLDERS.get(self.path.partition("/")[0], "route")

    def marks(self, kind: str) -> list[tuple[int, str]]:
        """Line and text of every mark of a kind."""
        return [
            (self.text.count("\n", 0, found.start()) + 1, found[2].strip())
            for found in _MARK.finditer(self.text)
            if found[1].rstrip(":") == kind
        ]


EXAMPLES = [
    Example(path.relative_to(DOCS).as_posix(), number, block)
    for path in PAGES
    for number, block in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8")), 1)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.page}-{e.number}")
def test_example_does_what_the_page_says(example: Example, tmp_path: Path) -> None:
    """It compiles or has the errors shown, and prints and fails as shown."""
    errors = []
    try:
        compile_project(
            [(Source(example.path, example.text), example.kind, ("id", "name"))],
            builtins={key: entry.spec for key, entry in REGISTRY.items()},
            guards=BUILTIN_GUARDS,
        )
    except CompileError as error:
        errors = [
            (d.source.line_of(d.span.start), d.code)
            for d in error.diagnostics
            if d.severity == "error"
        ]
    assert sorted(set(errors)) == sorted(example.marks("error"))
    printed, faults = example.marks("=>"), example.marks("fault")
    if errors or not (printed or faults):
        return
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text(example.text, encoding="utf-8")
    with TestClient(tmp_path, clock_ms=lambda: NOW_MS) as client:
        if "route GET" in example.text:
            client.get("/")
        log = client.log
    assert [line.text for line in log if line.level == "info"] == [text for _, text in printed]
    found = [(int(x.place.rpartition(":")[2] or 0), x.fields.get("code")) for x in log]
    assert sorted(f for f in found if f[1]) == sorted(faults)


def _nodes(texts: list[str]) -> set[type]:
    """Classes of all nodes in the trees of programs that parse."""
    found: set[type] = set()
    for text in texts:
        tree, diagnostics = parse(Source("example.flin", text))
        if any(d.severity == "error" for d in diagnostics):
            continue
        _collect(tree, found)
    return found


def _collect(node: object, found: set[type]) -> None:
    if isinstance(node, tuple | list):
        for item in node:
            _collect(item, found)
    elif isinstance(node, ast.Node):
        found.add(type(node))
        for name in node.__struct_fields__:
            _collect(getattr(node, name), found)


def _forms() -> set[type]:
    """Every class of nodes that stands for something written."""
    classes = [c for c in vars(ast).values() if isinstance(c, type) and issubclass(c, ast.Node)]
    return {c for c in classes if not any(o is not c and issubclass(o, c) for o in classes)}


def _missing(texts: list[str]) -> list[str]:
    return sorted(c.__name__ for c in _forms() - _nodes(texts))


def test_every_syntax_form_is_on_a_page() -> None:
    """The pages show at least one example of each node of the syntax tree."""
    pages = {p.relative_to(DOCS).as_posix() for p in LANGUAGE}
    assert _missing([e.text for e in EXAMPLES if e.page in pages]) == []


def test_every_syntax_form_has_a_case() -> None:
    """So do the programs of cases/clauses."""
    assert CLAUSES.is_dir()
    assert _missing([case.text for case in CASES]) == []


@pytest.mark.parametrize("word", sorted({*HARD_KEYWORDS, *CONTEXTUAL}))
def test_every_keyword_is_on_a_page(word: str) -> None:
    """In a sentence, a table or an example of the language's pages."""
    assert any(re.search(rf"\b{word}\b", p.read_text(encoding="utf-8")) for p in LANGUAGE)


def test_every_modifier_and_guard_is_on_a_page() -> None:
    """The tables of entities.md and guards.md list what there is, and nothing else."""
    text = (DOCS / "language" / "entities.md").read_text(encoding="utf-8")
    listed = {canonical(name) for name in re.findall(r"`@(\w+)", text)}
    assert listed == set(MODIFIERS)
    text = (DOCS / "language" / "guards.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)", text, re.MULTILINE)) == set(BUILTIN_GUARDS)


def test_every_page_is_in_the_table_of_contents() -> None:
    """index.md leads to all of them."""
    text = (DOCS / "language" / "index.md").read_text(encoding="utf-8")
    names = {path.name for path in (DOCS / "language").glob("*.md")} - {"index.md"}
    assert {name for name in names if f"]({name})" not in text} == set()


def test_the_tutorial_works_step_by_step(tmp_path: Path) -> None:
    """Its files, written one after the other, do what the text between them says."""
    steps = [example for example in EXAMPLES if example.page == "tutorial.md"]
    assert [step.path for step in steps] == [
        "app/api/menu.flin",
        *["app/api/tea.flin"] * 3,
        "app/api/login.flin",
        "app/api/tea.flin",
    ]
    (tmp_path / "app" / "api").mkdir(parents=True)

    def take(number: int) -> TestClient:
        step = steps[number]
        (tmp_path / step.path).write_text(step.text, encoding="utf-8")
        return TestClient(tmp_path)

    with take(0) as client:
        assert client.get("/api/menu?q=n").json() == ["green", "mint"]
    with take(1) as client, client.websocket("/api/tea") as a, client.websocket("/api/tea") as b:
        assert a.receive_json()["hello"] != b.receive_json()["hello"]
        a.send_json({"text": "hello"})
        assert a.receive_json()["text"] == b.receive_json()["text"] == "hello"
    with take(2) as client, client.websocket("/api/tea") as a:
        a.send_json({"text": "kept"})
        assert a.receive_json()["text"] == "kept"
        a.send_json({})
        assert a.is_silent()
        assert [row["text"] for row in client.get("/api/tea").json()] == ["kept"]
        assert any("text" in line.text for line in client.log if line.level != "info")
    with take(3) as client, client.websocket("/api/tea") as a:
        a.send_json({})
        assert a.receive_json() == {"error": {"text": "is required"}}
    take(4).close()
    with take(5) as client:
        assert client.get("/api/tea").status == 401
        assert client.post("/api/login", json={"name": "Ada"}).json() == {"name": "Ada"}
        with client.websocket("/api/tea") as a:
            assert a.receive_json() == {"joined": "Ada"}
            a.send_json({"text": "mine"})
            assert a.receive_json()["author"] == "Ada"
        rows = client.get("/api/tea").json()
        assert [(row["author"], row["text"]) for row in rows] == [("Ada", "mine"), (None, "kept")]


def test_the_tutorials_diagnostic_is_what_check_prints() -> None:
    """The slip of step 6, in the file of step 5, rendered."""
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(error.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    step = [example for example in EXAMPLES if example.page == "tutorial.md"][-1]
    before, _, after = step.text.rpartition("broadcast")
    source = Source(step.path, f"{before}brodcast{after}".split("\n", 1)[1])
    with pytest.raises(CompileError) as caught:
        compile_project(
            [(source, "route", ())],
            builtins={key: entry.spec for key, entry in REGISTRY.items()},
            guards=BUILTIN_GUARDS,
        )
    (error,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert render([error], color=False) == shown[1]
