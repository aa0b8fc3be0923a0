"""What a file declares, as a tree, and where anything of a project is declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flinfast.lang import ast
from flinfast.lang.source import Source, Span
from flinfast.lsp.names import ProjectNames
from flinfast.runtime.project import ProjectFile


@dataclass(slots=True)
class Symbol:
    """One declaration.

    Attributes:
        name: As people call it, such as "GET /api/chat".
        kind: "route", "ws", "handler", "guard", "middleware", "entity", "field", "enum",
            "variant", "type", "function", "variable" or "test".
        detail: A few words beside the name.
        span: All of it.
        name_span: The part that names it.
        children: What is in it.
    """

    name: str
    kind: str
    detail: str
    span: Span
    name_span: Span
    children: list[Symbol] = field(default_factory=list)


def outline(tree: ast.Program, source: Source, path: str = "") -> list[Symbol]:
    """Declarations of a file in source order.

    Args:
        tree: The file.
        source: Its text.
        path: The path of its routes, such as "/api/chat".
    """
    return [symbol for item in tree.items for symbol in _symbols(item, source, path)]


def project_symbols(names: ProjectNames, query: str) -> Iterator[tuple[ProjectFile, Symbol, str]]:
    """Declarations whose name has the letters of the query in order, and what they are in."""
    wanted = query.casefold()
    for file in names.project.files:
        tree = names.files[file.source.path].tree
        path = "" if file.pattern is None else str(file.pattern)
        for symbol in outline(tree, file.source, path):
            for each, inside in [(symbol, ""), *((c, symbol.name) for c in symbol.children)]:
                if _fits(each.name.casefold(), wanted):
                    yield file, each, inside


def _fits(name: str, wanted: str) -> bool:
    letters = iter(name)
    return all(letter in letters for letter in wanted if not letter.isspace())


def _head(span: Span, length: int) -> Span:
    return Span(span.start, min(span.start + length, span.end))


def _symbols(item: ast.Node, source: Source, path: str) -> Iterator[Symbol]:
    if isinstance(item, ast.Route):
        title = f"{item.method} {item.path or path}".strip()
        yield Symbol(title, "route", _guards(item.guards), item.span, item.method_span)
    elif isinstance(item, ast.Ws):
        handlers = [
            Symbol(f"on {h.event}", "handler", "", h.span, _head(h.span, 3 + len(h.event)))
            for h in item.handlers
        ]
        title = f"WS {path}".strip()
        detail = _guards(item.guards)
        yield Symbol(title, "ws", detail, item.span, _head(item.span, 2), handlers)
    elif isinstance(item, ast.Middleware):
        yield Symbol("middleware", "middleware", "", item.span, _head(item.span, 10))
    elif isinstance(item, ast.Guard):
        yield Symbol(f"guard {item.name}", "guard", "", item.span, item.name_span)
    elif isinstance(item, ast.GuardDefinition):
        yield Symbol(item.name, "guard", "guard_definition", item.span, item.name_span)
    elif isinstance(item, ast.FunctionDecl):
        parameters = ", ".join(p.name for p in item.parameters)
        yield Symbol(item.name, "function", f"({parameters})", item.span, item.name_span)
    elif isinstance(item, ast.TestDecl):
        yield Symbol(f'test "{item.name}"', "test", "", item.span, _head(item.span, 4))
    else:
        yield from _types(item, source)


def _types(item: ast.Node, source: Source) -> Iterator[Symbol]:
    if isinstance(item, ast.EntityDecl):
        fields = [
            Symbol(f.name, "field", _text(source, f.type.span), f.span, f.name_span)
            for f in item.fields
        ]
        yield Symbol(item.name, "entity", "entity", item.span, item.name_span, fields)
    elif isinstance(item, ast.EnumDecl):
        variants = [Symbol(v.name, "variant", "", v.span, v.span) for v in item.variants]
        yield Symbol(item.name, "enum", "enum", item.span, item.name_span, variants)
    elif isinstance(item, ast.TypeAlias):
        yield Symbol(item.name, "type", _text(source, item.type.span), item.span, item.span)
    elif isinstance(item, ast.Assign) and isinstance(item.target, ast.Name):
        yield Symbol(item.target.name, "variable", item.declared, item.span, item.target.span)


def _guards(guards: tuple[ast.Guard, ...]) -> str:
    return ", ".join(f"guard {guard.name}" for guard in guards)


def _text(source: Source, span: Span) -> str:
    return source.text[span.start : span.end]
