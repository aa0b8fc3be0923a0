"""What the other modules found, in the words of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from lsprotocol import types as lsp

from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.source import Span
from flinfast.lsp.completion import Item
from flinfast.lsp.outline import Symbol
from flinfast.lsp.position import TextIndex
from flinfast.lsp.signature import Signature

DOCS_URL: Final = "https://github.com/flinfast/flinfast/blob/main/docs/errors.md"
_UNUSED: Final = frozenset({"FL213", "FL214"})  # shown faded out
_SEVERITIES: Final = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
}
_ITEM_KINDS: Final = {
    "function": lsp.CompletionItemKind.Function,
    "variable": lsp.CompletionItemKind.Variable,
    "field": lsp.CompletionItemKind.Field,
    "key": lsp.CompletionItemKind.Property,
    "keyword": lsp.CompletionItemKind.Keyword,
    "entity": lsp.CompletionItemKind.Class,
    "enum": lsp.CompletionItemKind.Enum,
    "variant": lsp.CompletionItemKind.EnumMember,
    "type": lsp.CompletionItemKind.TypeParameter,
    "modifier": lsp.CompletionItemKind.Property,
    "event": lsp.CompletionItemKind.Event,
    "method": lsp.CompletionItemKind.Constant,
    "room": lsp.CompletionItemKind.Text,
}
_SYMBOL_KINDS: Final = {
    "route": lsp.SymbolKind.Method,
    "ws": lsp.SymbolKind.Interface,
    "handler": lsp.SymbolKind.Event,
    "guard": lsp.SymbolKind.Key,
    "middleware": lsp.SymbolKind.Module,
    "entity": lsp.SymbolKind.Class,
    "field": lsp.SymbolKind.Field,
    "enum": lsp.SymbolKind.Enum,
    "variant": lsp.SymbolKind.EnumMember,
    "type": lsp.SymbolKind.TypeParameter,
    "function": lsp.SymbolKind.Function,
    "variable": lsp.SymbolKind.Variable,
    "test": lsp.SymbolKind.Method,
}


def markdown(text: str) -> lsp.MarkupContent:
    """Text with formatting."""
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)


def diagnostic(
    found: Diagnostic, index: TextIndex, place_of: Callable[[str, str, Span], lsp.Location]
) -> lsp.Diagnostic:
    """One diagnostic.

    Args:
        found: As the compiler gives it.
        index: Lines of its file.
        place_of: Location of a span, from path and text of a file.
    """
    message = found.message
    if found.label:
        message += f": {found.label}"
    if found.help:
        message += f"\nhelp: {found.help}"
    related = [
        lsp.DiagnosticRelatedInformation(
            place_of(note.source.path, note.source.text, note.span), note.message
        )
        for note in found.notes
    ]
    span = found.span
    if span.start == span.end:  # an editor shows nothing of an empty range
        span = Span(span.start, min(span.start + 1, len(index.text)))
    return lsp.Diagnostic(
        range=index.range(span),
        message=message,
        severity=_SEVERITIES[found.severity],
        code=found.code,
        code_description=lsp.CodeDescription(f"{DOCS_URL}#{found.code.lower()}"),
        source="flinfast",
        tags=[lsp.DiagnosticTag.Unnecessary] if found.code in _UNUSED else None,
        related_information=related or None,
    )


def completion(item: Item, word: lsp.Range, *, snippets: bool) -> lsp.CompletionItem:
    """One completion; it replaces the whole word."""
    is_snippet = bool(snippets and item.snippet)
    text = item.snippet if is_snippet else item.insert or item.label
    return lsp.CompletionItem(
        label=item.label,
        kind=_ITEM_KINDS[item.kind],
        detail=item.detail or None,
        documentation=markdown(item.text) if item.text else None,
        sort_text=f"{item.rank}{item.label}",
        filter_text=item.label,
        insert_text_format=(
            lsp.InsertTextFormat.Snippet if is_snippet else lsp.InsertTextFormat.PlainText
        ),
        text_edit=lsp.TextEdit(word, text),
    )


def signature_help(found: list[Signature]) -> lsp.SignatureHelp:
    """Signatures of a call; the first one is shown."""
    return lsp.SignatureHelp(
        signatures=[
            lsp.SignatureInformation(
                label=each.label,
                documentation=markdown(each.text),
                parameters=[lsp.ParameterInformation(text) for text in each.parameters],
                active_parameter=each.active if each.parameters else None,
            )
            for each in found
        ],
        active_signature=0,
        active_parameter=found[0].active if found[0].parameters else None,
    )


def document_symbols(symbols: Iterable[Symbol], index: TextIndex) -> list[lsp.DocumentSymbol]:
    """The outline of a document."""
    return [
        lsp.DocumentSymbol(
            name=symbol.name,
            kind=_SYMBOL_KINDS[symbol.kind],
            range=index.range(symbol.span),
            selection_range=index.range(symbol.name_span),
            detail=symbol.detail or None,
            children=document_symbols(symbol.children, index),
        )
        for symbol in symbols
    ]


def workspace_symbol(symbol: Symbol, inside: str, place: lsp.Location) -> lsp.WorkspaceSymbol:
    """One declaration of a project."""
    return lsp.WorkspaceSymbol(
        location=place,
        name=symbol.name,
        kind=_SYMBOL_KINDS[symbol.kind],
        container_name=inside or None,
    )
