"""How the call around the cursor is written."""

from __future__ import annotations

from dataclasses import dataclass

from flinfast.lang.symbol import FunctionSymbol
from flinfast.lsp.names import ProjectNames
from flinfast.lsp.place import Place, place_at
from flinfast.manual import book


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a function.

    Attributes:
        label: The whole of it.
        parameters: Parts of the label, one per parameter.
        text: Markdown.
        active: Index of the parameter that the cursor is in.
    """

    label: str
    parameters: tuple[str, ...]
    text: str
    active: int


def signatures_at(names: ProjectNames, path: str, offset: int) -> list[Signature]:
    """Signatures of the call around an offset; empty outside of calls."""
    file = names.files.get(path)
    if file is None:
        return []
    place = place_at(file.source.text, offset)
    call = place.call
    if call is None or place.is_comment:
        return []
    name = call.name
    known = file.functions.get(name) or names.table.functions.get(name)
    if call.head in ("guard", "guards"):
        known = file.guards.get(name) or names.table.guards.get(name)
    if known is not None and not call.is_method:
        return [_own(known, call.commas)]
    if name in names.table.entities:
        return []
    kinds = _kinds(place)
    found = []
    for entry in book.find(name, *kinds):
        if not entry.signatures:
            continue
        label = entry.signatures[0]
        parameters = _parameters(label)
        if entry.kind == "function" and call.is_method:
            label, parameters = _as_method(label, parameters)
        if parameters:
            active = _active(parameters, call.commas)
            found.append(Signature(label, parameters, entry.summary, active))
    return found


def _kinds(place: Place) -> tuple[str, ...]:
    call = place.call
    assert call is not None
    if call.name.startswith("@"):
        return ("modifier",)
    if call.head in ("guard", "guards"):
        return ("guard",)
    return ("function", "query method") if call.is_method else ("function",)


def _own(symbol: FunctionSymbol, commas: int) -> Signature:
    declaration, text = symbol.declaration, symbol.source.text
    head = " ".join(text[declaration.span.start : declaration.body.span.start].split())
    parameters = tuple(text[p.span.start : p.span.end] for p in declaration.parameters)
    return Signature(head, parameters, f"*{symbol.source.path}*", _active(parameters, commas))


def _parameters(label: str) -> tuple[str, ...]:
    """The parts between the brackets of a signature."""
    start = label.find("(")
    if start < 0:
        return ()
    parts: list[str] = []
    depth = 0
    begin = start + 1
    for index in range(start, len(label)):
        character = label[index]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        if (character == "," and depth == 1) or (character == ")" and depth == 0):
            part = label[begin:index].strip()
            if part:
                parts.append(part)
            begin = index + 1
        if character == ")" and depth == 0:
            break
    return tuple(parts)


def _as_method(label: str, parameters: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """`trim(text: text) -> text` as `text.trim() -> text`."""
    if not parameters:
        return label, parameters
    first, *others = parameters
    name, _, rest = label.partition("(")
    result = rest.rpartition(")")[2]
    value = first.lstrip(".").partition(":")[0].rstrip("?")
    return f"{value}.{name}({', '.join(others)}){result}", tuple(others)


def _active(parameters: tuple[str, ...], commas: int) -> int:
    """The parameter after so many commas; the rest takes all that follow."""
    return max(0, min(commas, len(parameters) - 1))
