"""`parse()`, `parse_tokens()`, and the grammar of files, declarations, statements and types.

Expressions and patterns are in `lang.expression`. Grammar only: line structure is decided in
`lang.layout`, recovery and wording in `lang.recovery`, trees that need a decision are made in
`lang.build`. The grammar has no conflicts (tested); its tables are read from `parser.tables`.
"""

# What a production matched is Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from flinfast.lang import ast, build, slip
from flinfast.lang.brackets import balance
from flinfast.lang.build import at, of
from flinfast.lang.diagnostic import Diagnostic
from flinfast.lang.expression import Expressions
from flinfast.lang.layout import Layout
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.recovery import Recovery, check_depth
from flinfast.lang.source import Source, Span
from flinfast.lang.tables import CachedParser
from flinfast.lang.token import make_token

_OF_SYNTAX: Final = frozenset({"FL101", "FL105", "FL116"})  # a missing operand
_Reading: TypeAlias = tuple[ast.Program, list[Diagnostic], list[Any]]


def parse(source: Source) -> tuple[ast.Program, list[Diagnostic]]:
    """Read one file.

    Never raises for bad source: faults become diagnostics, and the tree holds what could be read.

    Args:
        source: The file.

    Returns:
        The tree, and the diagnostics in source order, at most DIAGNOSTICS_MAX.
    """
    program, diagnostics, _ = parse_tokens(source)
    return program, diagnostics


def parse_tokens(source: Source) -> _Reading:
    """Like `parse`, with the tokens the grammar took: retyped, and with separators (SEP)."""
    read = _read(source)
    if read[1] or slip.is_suspect(source.text):
        return _read_mended(source) or read
    return read


def _read(source: Source) -> _Reading:
    lexer = FlinLexer(source)
    tokens, partners = balance(lexer.run(), source, make_token, lexer.report)
    return _reading(source, lexer, tokens, partners)


def _read_mended(source: Source) -> _Reading | None:
    """The file read as what its slips stand for; None when it has none."""
    lexer = FlinLexer(source)
    tokens, partners = balance(lexer.run(), source, make_token, lexer.report)
    mended = slip.mend(tokens, partners, source, lexer.report)
    if mended is None:
        return None
    tokens, partners = balance(mended, source, make_token, lexer.report)
    return _reading(source, lexer, tokens, partners)


def _reading(source: Source, lexer: Any, tokens: list[Any], partners: list[int]) -> _Reading:
    """What is left to do with balanced tokens."""
    tokens = Layout(source.text, tokens, partners, make_token, lexer.fault).run()
    items = build.check_order(FlinParser(source, tokens, lexer.report).run(), lexer.report)
    program = ast.Program(Span(0, len(source.text)), check_depth(items, lexer.report))
    diagnostics = sorted(lexer.diagnostics, key=lambda found: found.span.start)
    return program, _without_echoes(diagnostics, source.text), tokens


def _without_echoes(diagnostics: list[Diagnostic], text: str) -> list[Diagnostic]:
    """The faults without those that only say again what is wrong with their neighbours."""
    kept: list[Diagnostic] = []
    for found in diagnostics:
        start = found.span.start
        if found.code == "FL117":  # what looks like a fault in page markup is none
            return [*(before for before in kept if text[before.span.end : start].strip()), found]
        last = kept[-1] if kept else None
        if last is not None and not text[last.span.end : start].strip():
            # The character that cannot be read may be an operand, which then is missing.
            if last.code == "FL001" and found.code in _OF_SYNTAX:
                continue
            if found.code == "FL001" and last.code in _OF_SYNTAX:
                kept.pop()
        if last is None or last.code != "FL011" or found.span.end > last.span.end:
            kept.append(found)
    return kept


class FlinParser(Recovery, CachedParser):
    """The whole grammar; each action makes one node."""

    parts = (Expressions,)

    tokens = {
        AND, ARROW, ASSIGN, ASSIGN_OP, AT, BANG, BAR, BINDER, BREAK, CHUNK, COALESCE, COLON, COMMA,
        CONCAT, CONTINUE, DECLARE, DECREMENT, DELETE, DESTROY, DIVIDE, DOT, ELLIPSIS, ELSE,
        ELSE_BLOCK, ENTITY, ENUM, EQ, EXPECT, FALSE, FAT_ARROW, FIELD_AT, FN, FN_PREFIX, FOR, GE,
        GT, GUARD, GUARDS, GUARD_DEFINITION, IF, IN, INCREMENT, INTERP_CLOSE, INTERP_OPEN, IS, KEY,
        LABEL, LBRACE, LBRACKET, LCALL, LDO, LE, LET, LINDEX, LMAP, LPARAM, LPAREN, LPAT, LPATLIST,
        LT, MATCH, MIDDLEWARE, MINUS, MOD, NAME, NE, NONE, NOT, NOT_IN, NUMBER, ON, OPTIONAL_DOT,
        OR, PATH, PIPE, PLUS, POWER, QUESTION, RANGE, RBRACE, RBRACKET, RESPONSE, RESTORE, RETURN,
        ROUTE, RPAREN, SAVE, SEMANTIC, SEP, TEST, TEXT, TEXT_CLOSE, TEXT_OPEN, THEN, TIMES, TRUE,
        TYPE, TYPE_NAME, VALIDATE, WHILE, WS,
    }  # fmt: skip

    precedence = (
        ("right", OPEN),  # `x => e`, `save e`, `if c then a else e`: e reaches as far as it can
        ("right", QUESTION),
        ("left", PIPE),
        ("right", COALESCE),
        ("left", OR),
        ("left", AND),
        ("left", EQ, NE),
        ("left", LT, LE, GT, GE, IN, NOT_IN, IS),
        ("nonassoc", RANGE),
        ("left", PLUS, MINUS, CONCAT),
        ("left", TIMES, DIVIDE, MOD),
        ("right", UNARY),
        ("right", POWER),
        ("left", DOT, OPTIONAL_DOT, LCALL, LINDEX, AT),
    )

    # --- files and bodies

    @_("items")
    def program(self, p: Any) -> list[Any]:
        return p.items

    @_("")
    def program(self, p: Any) -> list[Any]:
        return []

    @_("item")
    def items(self, p: Any) -> list[Any]:
        return build.collect([], p[0])

    @_("items SEP item")
    def items(self, p: Any) -> list[Any]:
        return build.collect(p[0], p[2])

    @_("statement", "declaration")
    def item(self, p: Any) -> Any:
        return p[0]

    @_("error")
    def item(self, p: Any) -> None:
        return None

    @_("LBRACE RBRACE")
    def body(self, p: Any) -> build.Body:
        return build.Body(at(p), [])

    @_("LBRACE items RBRACE")
    def body(self, p: Any) -> build.Body:
        return build.Body(at(p), p[1])

    @_("body")
    def block(self, p: Any) -> ast.Block:
        return build.block(p[0], self.report)

    # --- statements

    @_("expr")
    def statement(self, p: Any) -> ast.Statement:
        return ast.ExprStatement(at(p), p[0])

    @_("expr ASSIGN expr", "expr ASSIGN_OP expr")
    def statement(self, p: Any) -> ast.Statement:
        return build.assign(at(p), p[0], p[1], p[2], self.report)

    @_("expr INCREMENT")
    def statement(self, p: Any) -> ast.Statement:
        return build.step(p, "+=", self.report)

    @_("expr DECREMENT")
    def statement(self, p: Any) -> ast.Statement:
        return build.step(p, "-=", self.report)

    @_("NAME COLON type ASSIGN expr", "TYPE_NAME COLON type ASSIGN expr")
    def statement(self, p: Any) -> ast.Statement:
        return build.declare(at(p), "", p[0], of(p, 0), p.expr, p.type)

    @_("DECLARE NAME ASSIGN expr", "DECLARE TYPE_NAME ASSIGN expr")
    def statement(self, p: Any) -> ast.Statement:
        return build.declare(at(p), p[0], p[1], of(p, 1), p.expr)

    @_("DECLARE NAME COLON type ASSIGN expr", "DECLARE TYPE_NAME COLON type ASSIGN expr")
    def statement(self, p: Any) -> ast.Statement:
        return build.declare(at(p), p[0], p[1], of(p, 1), p.expr, p.type)

    @_("group_pattern ASSIGN expr", "DECLARE group_pattern ASSIGN expr")
    def statement(self, p: Any) -> ast.Statement:
        return ast.Destructure(at(p), p.group_pattern, p.expr)

    @_("loop")
    def statement(self, p: Any) -> ast.Statement:
        return p.loop

    @_("LABEL COLON loop")
    def statement(self, p: Any) -> ast.Statement:
        return replace(p.loop, span=at(p), label=p.LABEL)

    @_("FOR for_names IN expr block")
    def loop(self, p: Any) -> ast.Statement:
        names, key_first = p.for_names
        return ast.For(at(p), names, p.expr, p.block, None, key_first)

    @_("NAME", "NAME COMMA NAME", "LPAREN NAME COMMA NAME RPAREN")
    def for_names(self, p: Any) -> tuple[tuple[str, ...], bool]:
        return tuple(p[place] for place, kind in enumerate(p.symbols) if kind == "NAME"), False

    @_("LBRACKET NAME COMMA NAME RBRACKET")
    def for_names(self, p: Any) -> tuple[tuple[str, ...], bool]:
        return (p[1], p[3]), True

    @_("WHILE expr block")
    def loop(self, p: Any) -> ast.Statement:
        return ast.While(at(p), p.expr, p.block)

    @_("WHILE LET pattern ASSIGN expr block")
    def loop(self, p: Any) -> ast.Statement:
        return ast.While(at(p), p.expr, p.block, None, p.pattern)

    @_("BREAK", "BREAK LABEL", "BREAK expr", "BREAK LABEL expr")
    def statement(self, p: Any) -> ast.Statement:
        label = p[1] if "LABEL" in p.symbols else None
        return ast.Break(at(p), label, p[-1] if p.symbols[-1] == "expr" else None)

    @_("CONTINUE", "CONTINUE LABEL")
    def statement(self, p: Any) -> ast.Statement:
        return ast.Continue(at(p), p[1] if len(p) > 1 else None)

    @_("RETURN", "RETURN expr")
    def statement(self, p: Any) -> ast.Statement:
        return ast.Return(at(p), p[1] if len(p) > 1 else None)

    @_(
        "EXPECT expr", "EXPECT expr COMMA expr", "EXPECT LPAREN expr COMMA expr RPAREN",
    )  # fmt: skip
    def statement(self, p: Any) -> ast.Statement:
        parts = [p[place] for place, kind in enumerate(p.symbols) if kind == "expr"]
        return ast.Expect(at(p), *parts)

    # --- declarations

    @_("ENTITY TYPE_NAME LBRACE fields RBRACE")
    def declaration(self, p: Any) -> ast.Item:
        return ast.EntityDecl(at(p), p.TYPE_NAME, of(p, 1), tuple(p.fields))

    @_("ENTITY TYPE_NAME LBRACE RBRACE")
    def declaration(self, p: Any) -> ast.Item:
        return ast.EntityDecl(at(p), p.TYPE_NAME, of(p, 1), ())

    @_("VALIDATE LBRACE fields RBRACE")
    def declaration(self, p: Any) -> ast.Node:
        return ast.Validate(at(p), tuple(p.fields))

    @_("VALIDATE LBRACE RBRACE")
    def declaration(self, p: Any) -> ast.Node:
        return ast.Validate(at(p), ())

    @_("field")
    def fields(self, p: Any) -> list[ast.Field]:
        return build.extend([], p[0])

    @_("fields SEP field")
    def fields(self, p: Any) -> list[ast.Field]:
        return build.extend(p[0], p[2])

    @_("field_parts")
    def field(self, p: Any) -> ast.Field:
        return p.field_parts.build(at(p))

    @_("KEY COLON type")
    def field_parts(self, p: Any) -> build.FieldParts:
        return build.FieldParts(p.KEY, of(p, 0), p.type)

    @_("field_parts modifier")
    def field_parts(self, p: Any) -> build.FieldParts:
        p[0].modifiers.append(p[1])
        return p[0]

    @_("field_parts ASSIGN expr")
    def field_parts(self, p: Any) -> build.FieldParts:
        return p.field_parts.set_default(p.expr, self.report)

    @_("error")
    def field(self, p: Any) -> None:
        return None

    @_("FIELD_AT NAME", "FIELD_AT NAME LCALL RPAREN")
    def modifier(self, p: Any) -> ast.Modifier:
        return ast.Modifier(at(p), p.NAME, ())

    @_("FIELD_AT NAME LCALL list_items RPAREN")
    def modifier(self, p: Any) -> ast.Modifier:
        return ast.Modifier(at(p), p.NAME, build.values(p.list_items, self.report))

    @_("ENUM TYPE_NAME LBRACE variants RBRACE")
    def declaration(self, p: Any) -> ast.Item:
        return ast.EnumDecl(at(p), p.TYPE_NAME, of(p, 1), tuple(p.variants))

    @_("ENUM TYPE_NAME LBRACE RBRACE")
    def declaration(self, p: Any) -> ast.Item:
        return ast.EnumDecl(at(p), p.TYPE_NAME, of(p, 1), ())

    @_("ENUM TYPE_NAME LT types GT LBRACE variants RBRACE")
    def declaration(self, p: Any) -> ast.Item:
        return build.generic_enum(p, self.report)

    @_("variant")
    def variants(self, p: Any) -> list[ast.EnumVariant]:
        return build.extend([], p.variant)

    @_("variants SEP variant")
    def variants(self, p: Any) -> list[ast.EnumVariant]:
        return build.extend(p.variants, p.variant)

    @_("NAME", "TYPE_NAME")
    def variant(self, p: Any) -> ast.EnumVariant:
        return ast.EnumVariant(at(p), p[0])

    @_("NAME LCALL types RPAREN", "TYPE_NAME LCALL types RPAREN")
    def variant(self, p: Any) -> ast.EnumVariant:
        return ast.EnumVariant(at(p), p[0], tuple(p.types))

    @_("NAME ASSIGN expr", "TYPE_NAME ASSIGN expr")
    def variant(self, p: Any) -> ast.EnumVariant:
        return ast.EnumVariant(at(p), p[0], (), p.expr)

    @_("error")
    def variant(self, p: Any) -> None:
        return None

    @_("TYPE TYPE_NAME ASSIGN type")
    def declaration(self, p: Any) -> ast.Item:
        return ast.TypeAlias(at(p), p.TYPE_NAME, p.type)

    @_("TYPE TYPE_NAME LT types GT ASSIGN type")
    def declaration(self, p: Any) -> ast.Item:
        return ast.TypeAlias(at(p), p.TYPE_NAME, p.type, tuple(p.types))

    @_("fn_head parameters result block")
    def declaration(self, p: Any) -> ast.Item:
        name, span = p.fn_head
        return ast.FunctionDecl(at(p), name, span, p.parameters, p.result, p.block)

    @_("FN NAME", "FN TYPE_NAME")
    def fn_head(self, p: Any) -> tuple[str, Span]:
        return p[1], of(p, 1)

    @_("FN_PREFIX fn_head")
    def fn_head(self, p: Any) -> tuple[str, Span]:
        return p.fn_head

    @_("ARROW type")
    def result(self, p: Any) -> ast.TypeRef:
        return p.type

    @_("")
    def result(self, p: Any) -> None:
        return None

    @_("GUARD NAME", "GUARD NAME LCALL RPAREN")
    def declaration(self, p: Any) -> ast.Item:
        return ast.Guard(at(p), p.NAME, of(p, 1), ())

    @_("GUARD NAME LCALL arguments RPAREN")
    def declaration(self, p: Any) -> ast.Item:
        return ast.Guard(at(p), p.NAME, of(p, 1), tuple(p.arguments))

    @_("GUARDS entries")
    def declaration(self, p: Any) -> list[ast.Guard]:
        return build.guards(p.entries)

    @_("GUARD_DEFINITION NAME parameters block")
    def declaration(self, p: Any) -> ast.Item:
        return ast.GuardDefinition(at(p), p.NAME, of(p, 1), p.parameters, p.block)

    @_("GUARD_DEFINITION NAME block")
    def declaration(self, p: Any) -> ast.Item:
        return ast.GuardDefinition(at(p), p.NAME, of(p, 1), (), p.block)

    @_("MIDDLEWARE block")
    def declaration(self, p: Any) -> ast.Item:
        return ast.Middleware(at(p), p.block)

    @_("TEST TEXT block")
    def declaration(self, p: Any) -> ast.Item:
        return ast.TestDecl(at(p), p.TEXT, p.block)

    @_("ROUTE method body")
    def declaration(self, p: Any) -> ast.Item:
        return build.route(at(p), p.method, None, p.body, self.report, self.source)

    @_("ROUTE method PATH body", "ROUTE method TEXT body")
    def declaration(self, p: Any) -> ast.Item:
        return build.route(at(p), p.method, p[2], p.body, self.report, self.source)

    @_("NAME", "TYPE_NAME")
    def method(self, p: Any) -> tuple[str, Span]:
        return p[0], at(p)

    @_("WS body")
    def declaration(self, p: Any) -> ast.Item:
        return build.ws(at(p), p.body, self.report)

    @_("ON NAME block", "ON NAME LCALL RPAREN block")
    def declaration(self, p: Any) -> ast.Node:
        return build.ws_handler(at(p), (p.NAME, of(p, 1)), None, p.block, self.report)

    @_("ON NAME LCALL NAME RPAREN block")
    def declaration(self, p: Any) -> ast.Node:
        parameter = (p[3], of(p, 3))
        return build.ws_handler(at(p), (p[1], of(p, 1)), parameter, p.block, self.report)

    # --- types

    @_("post_type")
    def type(self, p: Any) -> ast.TypeRef:
        return p[0]

    @_("union")
    def type(self, p: Any) -> ast.TypeRef:
        return ast.TypeRef(at(p), "union", tuple(p.union))

    @_("post_type BAR post_type")
    def union(self, p: Any) -> list[ast.TypeRef]:
        return [p[0], p[2]]

    @_("union BAR post_type")
    def union(self, p: Any) -> list[ast.TypeRef]:
        return build.extend(p.union, p.post_type)

    @_("plain_type")
    def post_type(self, p: Any) -> ast.TypeRef:
        return p[0]

    @_("plain_type QUESTION")
    def post_type(self, p: Any) -> ast.TypeRef:
        return replace(p.plain_type, span=at(p), optional=True)

    @_("NAME", "TYPE_NAME", "NONE", "SEMANTIC NAME")
    def plain_type(self, p: Any) -> ast.TypeRef:
        return ast.TypeRef(at(p), build.type_name(p[-1]))

    @_("NAME LT types GT", "TYPE_NAME LT types GT")
    def plain_type(self, p: Any) -> ast.TypeRef:
        return ast.TypeRef(at(p), build.type_name(p[0]), tuple(p.types))

    @_("LBRACKET type RBRACKET")
    def plain_type(self, p: Any) -> ast.TypeRef:
        return ast.TypeRef(at(p), "list", (p.type,))

    @_("LBRACKET type COLON type RBRACKET")
    def plain_type(self, p: Any) -> ast.TypeRef:
        return ast.TypeRef(at(p), "map", (p[1], p[3]))

    @_("LPAREN types RPAREN")
    def plain_type(self, p: Any) -> ast.TypeRef:
        return p.types[0] if len(p.types) == 1 else ast.TypeRef(at(p), "tuple", tuple(p.types))

    @_("type")
    def types(self, p: Any) -> list[ast.TypeRef]:
        return [p.type]

    @_("types COMMA type")
    def types(self, p: Any) -> list[ast.TypeRef]:
        return build.extend(p.types, p.type)
