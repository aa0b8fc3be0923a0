"""What may be written at a place.

Where a name may stand, the compiler is asked: a word that nothing is called is put at the cursor,
and the candidates it would choose its "did you mean" from are the completions. Where grammar
decides (after `guard`, `on`, `@`, in a record), the tokens before the cursor do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from flinfast.lang import ast
from flinfast.lang.build import METHODS
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.resolve import Resolver
from flinfast.lang.scope import Scope
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import (
    AUTO_FIELDS,
    CONTEXT_NAMES,
    ContextSymbol,
    EnumSymbol,
    FileNames,
    Variable,
)
from flinfast.lang.types import ANY, QUERY_RESULTS, UNSEEN, Kinds, entity_of
from flinfast.lsp.names import Parsed, ProjectNames, chain_at, nodes_of
from flinfast.lsp.place import Place, place_at
from flinfast.lsp.room import ROOM_FUNCTIONS, rooms_of
from flinfast.manual import book
from flinfast.manual.entry import Entry
from flinfast.runtime.builtins import METHODS as METHODS_BY_KIND
from flinfast.runtime.builtins import PROPERTIES, REGISTRY
from flinfast.runtime.project import Project

CURSOR: Final = "flin__cursor"  # the word put at the cursor; nobody calls anything this
ITEMS_MAX: Final = 600

_TOP: Final = (
    "route",
    "ws",
    "guard",
    "guard_definition",
    "middleware",
    "entity",
    "enum",
    "type",
    "fn",
    "test",
    "const",
    "shared",
)
_STATEMENTS: Final = (
    "if",
    "for",
    "while",
    "match",
    "return",
    "break",
    "continue",
    "let",
    "const",
    "save",
    "delete",
    "restore",
    "destroy",
)
_VALUES: Final = ("if", "match", "true", "false", "none", "not", "save", "fn")
# First word of a block's statement -> keywords that mean something in it only.
_BLOCK_WORDS: Final = {
    "route": ("guard", "validate", "response"),
    "middleware": ("response",),
    "test": ("expect",),
}
_EVENTS: Final = {
    "connect": "connect {\n\t$0\n}",
    "message": "message(data) {\n\t$0\n}",
    "close": "close {\n\t$0\n}",
}
_SNIPPETS: Final = {
    "route": "route ${1|GET,POST,PUT,PATCH,DELETE|} {\n\t$0\n}",
    "ws": "ws {\n\ton connect {\n\t\t$1\n\t}\n\ton message(data) {\n\t\t$0\n\t}\n}",
    "middleware": "middleware {\n\tnext()\n\t$0\n}",
    "entity": "entity ${1:Name} {\n\t$0\n}",
    "guard_definition": "guard_definition ${1:name}() {\n\t$0\n}",
    "validate": "validate {\n\t$0\n}",
    "fn": "fn ${1:name}($2) {\n\t$0\n}",
    "test": 'test "${1:does something}" {\n\t$0\n}',
    "response": "response { status: ${1:200}, body: $0 }",
}
_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "session": ("user", "userId", "userName", "role", "get", "has_key", "destroy", "clear"),
    "request": (
        *("method", "path", "ip", "user", "url", "host", "scheme", "id", "headers", "query"),
        "body_raw",
    ),
    "ws": (
        *("connection_id", "state", "rooms", "path", "ip", "connected_at", "protocol"),
        *("close_code", "close_reason", "payload"),
    ),
    "response": (
        *("status", "headers", "body", "ok", "created", "no_content", "not_found", "json"),
        *("html", "text"),
    ),
    "query": ("all", "get"),
    "headers": ("get", "authorization"),
    "cookies": ("get",),
}
_FAMILIES: Final = {"text": "text", "int": "number", "number": "number", "list": "list"} | {
    "map": "map",
}


class Item(Struct, frozen=True):
    """One completion.

    Attributes:
        label: What is inserted, unless `insert` or `snippet` says otherwise.
        kind: Such as "function", "field", "keyword"; the server knows an icon for each.
        detail: A few words beside the label.
        text: Markdown.
        insert: What is inserted.
        snippet: What is inserted where snippets are understood.
        rank: Smaller ones come first.
    """

    label: str
    kind: str
    detail: str = ""
    text: str = ""
    insert: str = ""
    snippet: str = ""
    rank: int = 5


class _Asked(Struct):
    """What the compiler would have suggested for the word at the cursor."""

    code: str
    candidates: tuple[str, ...]
    variables: dict[str, Variable]
    fields: frozenset[str]


class _CursorResolver(Resolver):
    """Resolves a file and notes what it looked for where the cursor is."""

    asked: _Asked | None = None

    def unknown(
        self, code: str, what: str, name: str, span: Span, candidates: Iterable[str], **more: Any
    ) -> None:
        """Note the question about the word at the cursor."""
        if name == CURSOR and self.asked is None:
            variables: dict[str, Variable] = {}
            fields: set[str] = set()
            scope: Scope | None = self.names.scope
            while scope is not None:
                for each, variable in scope.names.items():
                    variables.setdefault(each, variable)
                if scope.entity:
                    fields |= set(self.table.entities[scope.entity].field_names) - set(variables)
                scope = scope.parent
            self.asked = _Asked(code, tuple(candidates), variables, frozenset(fields))


def complete(project: Project, path: str, offset: int, known: Parsed) -> tuple[Span, list[Item]]:
    """Completions at an offset of a file.

    Args:
        project: With the text as it is now.
        path: The file.
        offset: Where the cursor is.
        known: Remembered trees.

    Returns:
        The word that they replace, and the completions in no particular order.
    """
    file = next((f for f in project.files if f.source.path == path), None)
    if file is None:
        return Span(offset, offset), []
    text = file.source.text
    place = place_at(text, offset)
    if place.is_comment:
        return place.word, []
    return _Completer(project, path, text, place, known).run()


class _Completer:
    """Completes one place."""

    def __init__(self, project: Project, path: str, text: str, place: Place, known: Parsed) -> None:
        self.place = place
        self.path = path
        self.text = text
        word = place.word
        holed = Source(path, text[: word.start] + CURSOR + text[word.end :])
        files = [replace(f, source=holed) if f.source.path == path else f for f in project.files]
        self.names = ProjectNames(replace(project, files=files, diagnostics=[]), known)
        self.resolver: _CursorResolver | None = None

    def run(self) -> tuple[Span, list[Item]]:
        items = list(self._items())
        unique: dict[tuple[str, str], Item] = {}
        for item in items:
            if CURSOR not in item.label + item.insert + item.detail:  # declared right here
                unique.setdefault((item.label, item.kind), item)
        return self._word(), list(unique.values())[:ITEMS_MAX]

    def _word(self) -> Span:
        """The word that is replaced; in a text, everything from its quote on."""
        inner = self.place.inner
        if inner is not None and inner.kind == "text":
            end = self.place.word.end
            return Span(inner.start + 1, end)
        return self.place.word

    def _items(self) -> Iterator[Item]:
        place = self.place
        inner = place.inner
        kind = inner.kind if inner is not None else "top"
        if kind == "text":
            yield from self._rooms(in_text=True)
        elif place.last in ("DOT", "OPTIONAL_DOT"):
            yield from self._member_items()
        elif place.last == "NAME" and place.last_value == "guard":
            yield from self._guards()
        elif place.last == "NAME" and place.last_value == "on" and kind == "ws":
            yield from (Item(n, "event", snippet=s) for n, s in _EVENTS.items())
        elif place.last == "NAME" and place.last_value == "route":
            yield from (Item(name, "method") for name in METHODS)
        elif place.last == "AT" and kind == "fields":
            yield from self._modifiers()
        elif kind == "fields":
            yield from self._types() if place.last in ("COLON", "LBRACKET") else ()
        elif kind == "ws":
            yield from (Item(f"on {n}", "event", snippet=f"on {s}") for n, s in _EVENTS.items())
            yield _keyword("guard")
        elif kind == "response" and place.last in ("LBRACE", "COMMA"):
            yield from (Item(n, "key", insert=f"{n}: ") for n in ("status", "body", "headers"))
        elif kind == "record" and place.last in ("LBRACE", "COMMA"):
            assert inner is not None
            yield from self._fields(inner.name, set(inner.keys))
        else:
            yield from self._names(kind)

    # --- names ----------------------------------------

    def _file(self) -> FileNames:
        if self.resolver is None:

            def make(*arguments: Any) -> _CursorResolver:
                self.resolver = _CursorResolver(*arguments)
                return self.resolver

            self.names.with_resolver(self.path, make)
        return self.names.files[self.path]

    def _names(self, kind: str) -> Iterator[Item]:
        file = self._file()
        asked = self.resolver.asked if self.resolver is not None else None
        call = self.place.call
        if call is not None and call.name in ROOM_FUNCTIONS and not call.commas:
            yield from self._rooms(in_text=False)
        if kind == "top":
            yield from (_keyword(word, rank=3) for word in _TOP)
        elif self.place.is_line_start:
            yield from (_keyword(word) for word in _STATEMENTS)
            head = self.place.inner.head if self.place.inner is not None else ""
            yield from (_keyword(word, rank=4) for word in _BLOCK_WORDS.get(head, ()))
        else:
            yield from (_keyword(word, rank=7) for word in _VALUES)
        if asked is None:
            yield from self._fallback(file)
            return
        if asked.code == "FL401":
            yield from self._types()
            return
        for name in asked.candidates:
            if name in asked.fields:
                yield Item(name, "field", "field", rank=0)
            else:
                yield self._named(name, file, asked.variables)

    def _fallback(self, file: FileNames) -> Iterator[Item]:
        """Without an answer of the compiler: everything that has a name somewhere."""
        known = {v.name: v for v in file.variables}
        table = self.names.table
        functions = (name for name in REGISTRY if not name.startswith("_"))
        for name in dict.fromkeys(
            [*known, *file.functions, *table.functions, *table.entities, *table.enums]
        ):
            yield self._named(name, file, known)
        if self.place.groups:
            yield from (self._named(name, file, known) for name in sorted(CONTEXT_NAMES))
        yield from (self._named(name, file, known) for name in functions)

    def _named(self, name: str, file: FileNames, variables: dict[str, Variable]) -> Item:
        variable = variables.get(name)
        if variable is not None:
            kind = "" if variable.kind in (ANY, UNSEEN) else variable.kind
            return Item(name, "variable", kind or variable.role, rank=1)
        if name in CONTEXT_NAMES:
            return replace(_entry_item(name, "context", "variable"), rank=2)
        table = self.names.table
        function = file.functions.get(name) or table.functions.get(name)
        if function is not None:
            parameters = ", ".join(p.name for p in function.declaration.parameters)
            detail = f"fn({parameters})"
            return Item(name, "function", detail, function.source.path, snippet=_call(name), rank=2)
        if name in table.entities:
            return Item(name, "entity", "entity", table.entities[name].source.path, rank=3)
        if name in table.enums:
            return Item(name, "enum", "enum", table.enums[name].source.path, rank=3)
        if name in table.builtins:
            return _function_item(name)
        return Item(name, "field", rank=1)

    def _guards(self) -> Iterator[Item]:
        file = self._file()
        for name in {**self.names.table.guards, **file.guards}:
            yield Item(name, "function", "guard of this project", rank=1)
        for name in sorted(self.names.table.builtin_guards):
            yield _entry_item(name, "guard", "function")

    def _modifiers(self) -> Iterator[Item]:
        for entry in book.entries():
            if entry.kind == "modifier":
                names = [n for n in entry.aliases if entry.name != "@one_of"] or [entry.name]
                takes = "(" in entry.signatures[0]
                label = names[0][1:]
                snippet = f"{label}($0)" if takes else ""
                yield Item(label, "modifier", entry.summary, _text(entry), snippet=snippet)

    def _types(self) -> Iterator[Item]:
        for name in sorted({*TYPE_NAMES.values()}):
            yield replace(_entry_item(name, "type", "type"), rank=2)
        table = self.names.table
        for name in [*table.entities, *table.enums, *table.aliases]:
            yield Item(name, "entity", rank=3)

    def _fields(self, entity: str, given: set[str]) -> Iterator[Item]:
        symbol = self.names.table.entities.get(entity)
        if symbol is None:
            return
        for entry in symbol.declaration.fields:
            if entry.name not in given:
                detail = symbol.source.text[entry.span.start : entry.span.end]
                yield Item(entry.name, "field", detail, insert=f"{entry.name}: ", rank=1)

    def _rooms(self, *, in_text: bool) -> Iterator[Item]:
        call = self.place.call
        if call is None or call.name not in ROOM_FUNCTIONS or call.commas:
            return
        files = self.names.files.values()
        for room in rooms_of((f.source.path, f.source.text, f.tree) for f in files):
            if CURSOR in room.code:
                continue
            detail = f"room, in {room.path}"
            if in_text:
                yield Item(room.prefix, "room", detail, rank=0)
            else:
                yield Item(room.code, "room", detail, rank=0)

    # --- members ----------------------------------------

    def _member_items(self) -> Iterator[Item]:
        file = self._file()
        start = self.place.word.start
        chain = chain_at(file.tree, start + 1)
        node = next((n for n in reversed(chain) if isinstance(n, ast.Member)), None)
        if node is None or node.name != CURSOR:
            if self.place.before[1:2] and self.place.before[1][0] == "NAME":
                word = str(self.place.before[1][1])
                yield from self._context_members(word, file, chain)
            return
        symbol = None
        if isinstance(node.target, ast.Name):
            symbol = file.symbols.get(id(node.target))
            if node.target.name == "Math":
                yield from (_function_item(n, member=True) for n in METHODS_BY_KIND["number"])
                return
        if isinstance(symbol, EnumSymbol):
            yield from (Item(name, "variant", symbol.name) for name in symbol.variants)
        elif isinstance(symbol, ContextSymbol):
            yield from self._context_members(symbol.name, file, chain)
        else:
            kinds = self.resolver.kinds if self.resolver is not None else Kinds(file)
            yield from self._kind_members(kinds.of(node.target), symbol)

    def _kind_members(self, kind: str, symbol: Any) -> Iterator[Item]:
        entity = entity_of(kind, "record")
        if entity:
            for item in self._fields(entity, set()):
                yield replace(item, insert="")
            for name in AUTO_FIELDS:
                yield replace(_entry_item(name, "field", "field"), rank=3)
            yield replace(_entry_item("history", "query method", "function"), rank=4)
            return
        if entity_of(kind, "handle", "query"):
            for name in QUERY_RESULTS:
                yield replace(_entry_item(name, "query method", "function"), rank=1)
            if entity_of(kind, "query"):
                yield from (_function_item(n, member=True) for n in METHODS_BY_KIND["list"])
            return
        if isinstance(symbol, Variable):
            yield from (Item(key, "key", "key", rank=1) for key in _keys_of(symbol))
        family = _FAMILIES.get(kind)
        families = [family] if family else list(METHODS_BY_KIND)
        for each in families:
            for name in [*METHODS_BY_KIND[each], *PROPERTIES.get(each, {})]:
                yield _function_item(name, member=True)

    def _context_members(self, name: str, file: FileNames, chain: list[ast.Node]) -> Iterator[Item]:
        if name == "params":
            for parameter in sorted(file.parameters):
                yield Item(parameter, "field", "text", rank=1)
        elif name == "body":
            route = next((n for n in chain if isinstance(n, ast.Route)), None)
            fields = route.validate.fields if route is not None and route.validate else ()
            for entry in fields:
                detail = file.source.text[entry.span.start : entry.span.end]
                yield Item(entry.name, "field", detail, rank=1)
        for member in _MEMBERS.get(name, ()):
            yield Item(member, "field", name, rank=2)
        yield from (
            Item(member, "field", f"{name}, used in this project", rank=3)
            for member in self._used_members(name)
        )

    def _used_members(self, name: str) -> list[str]:
        """Members of a context name that the project mentions, such as `session.theme`."""
        if name not in ("session", "query", "cookies", "headers", "body"):
            return []
        return sorted(
            {
                node.name
                for file in self.names.files.values()
                for node in nodes_of(file.tree, ast.Member)
                if isinstance(node.target, ast.Name)
                and node.target.name == name
                and node.name not in (CURSOR, *_MEMBERS.get(name, ()))
            }
        )


def _keys_of(variable: Variable) -> list[str]:
    """Keys of the map literals that a variable was assigned."""
    return [
        entry.key
        for origin in variable.sources
        if isinstance(origin, ast.MapLiteral)
        for entry in origin.entries
        if isinstance(entry.key, str) and entry.key.isidentifier()
    ]


def _text(entry: Entry) -> str:
    return entry.to_markdown(book.titles())


def _call(name: str) -> str:
    return f"{name}($0)"


def _keyword(word: str, rank: int = 6) -> Item:
    found = book.find(word, "keyword") or book.find(word, "context")
    text = _text(found[0]) if found else ""
    return Item(word, "keyword", "", text, snippet=_SNIPPETS.get(word, ""), rank=rank)


def _entry_item(name: str, kind: str, icon: str) -> Item:
    found = book.find(name, kind)
    if not found:
        return Item(name, icon)
    entry = found[0]
    return Item(name, icon, entry.signatures[0] if entry.signatures else "", _text(entry))


def _function_item(name: str, *, member: bool = False) -> Item:
    found = book.find(name, "function")
    if not found:
        return Item(name, "function")
    signatures = [entry.signatures[0] for entry in found]
    takes = any(v.maximum != (1 if member else 0) for v in REGISTRY[name].variants)
    text = "\n\n---\n\n".join(_text(entry) for entry in found)
    return Item(name, "function", signatures[0], text, snippet=_call(name) if takes else "")
