"""The grammar of expressions, arguments, parameters and patterns: a part of `lang.parser`.

Grammar only, like there. Precedence stands in `FlinParser`.
"""

# SLY reads grammar from repeated method names and token names that no scope defines.
# ruff: noqa: F811, F821, D102
# mypy: disable-error-code="name-defined,no-redef,misc,untyped-decorator,attr-defined,no-any-return"

from __future__ import annotations

from typing import Any

from flinfast.lang import ast, build
from flinfast.lang.build import at, of
from flinfast.lang.source import Span
from flinfast.lang.tables import GrammarPart


class Expressions(GrammarPart):
    """Productions; `self` is the parser that has this part."""

    # --- parameters, arguments, entries

    @_("LPARAM RPAREN")
    def parameters(self, p: Any) -> tuple[ast.Parameter, ...]:
        return ()

    @_("LPARAM parameter_list RPAREN")
    def parameters(self, p: Any) -> tuple[ast.Parameter, ...]:
        return build.parameters(p.parameter_list, self.report)

    @_("parameter")
    def parameter_list(self, p: Any) -> list[ast.Parameter]:
        return build.extend([], p.parameter)

    @_("parameter_list COMMA parameter")
    def parameter_list(self, p: Any) -> list[ast.Parameter]:
        return build.extend(p.parameter_list, p.parameter)

    @_("NAME annotation")
    def parameter(self, p: Any) -> ast.Parameter:
        return ast.Parameter(at(p), p.NAME, p.annotation)

    @_("NAME annotation ASSIGN expr")
    def parameter(self, p: Any) -> ast.Parameter:
        return ast.Parameter(at(p), p.NAME, p.annotation, p.expr)

    @_("ELLIPSIS NAME annotation")
    def parameter(self, p: Any) -> ast.Parameter:
        return ast.Parameter(at(p), p.NAME, p.annotation, None, True)

    @_("error")
    def parameter(self, p: Any) -> None:
        return None

    @_("COLON type")
    def annotation(self, p: Any) -> ast.TypeRef:
        return p.type

    @_("")
    def annotation(self, p: Any) -> None:
        return None

    @_("argument")
    def arguments(self, p: Any) -> list[ast.Argument]:
        return build.extend([], p[0])

    @_("arguments COMMA argument")
    def arguments(self, p: Any) -> list[ast.Argument]:
        return build.extend(p[0], p[2])

    @_("expr")
    def argument(self, p: Any) -> ast.Argument:
        return ast.Argument(at(p), p[0])

    @_("KEY COLON expr")
    def argument(self, p: Any) -> ast.Argument:
        return ast.Argument(at(p), p.expr, p.KEY)

    @_("ELLIPSIS expr")
    def argument(self, p: Any) -> ast.Argument:
        return ast.Argument(at(p), p.expr, None, True)

    @_("error")
    def argument(self, p: Any) -> None:
        return None

    @_("LMAP RBRACE")
    def entries(self, p: Any) -> list[ast.MapEntry]:
        return []

    @_("LMAP entry_list RBRACE")
    def entries(self, p: Any) -> list[ast.MapEntry]:
        return p[1]

    @_("entry")
    def entry_list(self, p: Any) -> list[ast.MapEntry]:
        return build.extend([], p[0])

    @_("entry_list SEP entry")
    def entry_list(self, p: Any) -> list[ast.MapEntry]:
        return build.extend(p[0], p[2])

    @_("KEY COLON expr")
    def entry(self, p: Any) -> ast.MapEntry:
        return ast.MapEntry(at(p), p[0], p[2], of(p, 0))

    @_("ELLIPSIS expr")
    def entry(self, p: Any) -> ast.MapEntry:
        return ast.MapEntry(at(p), None, p.expr, of(p, 0))

    @_("error")
    def entry(self, p: Any) -> None:
        return None

    @_("list_item")
    def list_items(self, p: Any) -> list[ast.ListItem | ast.MapEntry]:
        return build.extend([], p[0])

    @_("list_items COMMA list_item")
    def list_items(self, p: Any) -> list[ast.ListItem | ast.MapEntry]:
        return build.extend(p[0], p[2])

    @_("expr")
    def list_item(self, p: Any) -> ast.ListItem:
        return ast.ListItem(at(p), p[0])

    @_("ELLIPSIS expr")
    def list_item(self, p: Any) -> ast.ListItem:
        return ast.ListItem(at(p), p.expr, True)

    @_("expr COLON expr")
    def list_item(self, p: Any) -> ast.MapEntry:
        return build.pair(at(p), p[0], p[2])

    @_("error")
    def list_item(self, p: Any) -> None:
        return None

    # --- patterns

    @_("NUMBER", "TEXT")
    def pattern(self, p: Any) -> ast.Pattern:
        return ast.LiteralPattern(at(p), p[0])

    @_("MINUS NUMBER")
    def pattern(self, p: Any) -> ast.Pattern:
        return ast.LiteralPattern(at(p), -p.NUMBER)

    @_("TRUE", "FALSE", "NONE")
    def pattern(self, p: Any) -> ast.Pattern:
        return ast.LiteralPattern(at(p), build.constant(p[0]))

    @_("NAME")
    def pattern(self, p: Any) -> ast.Pattern:
        return build.name_pattern(at(p), p.NAME)

    @_("variant_name")
    def pattern(self, p: Any) -> ast.Pattern:
        return ast.VariantPattern(at(p), p.variant_name, ())

    @_("variant_name LCALL pattern_items RPAREN")
    def pattern(self, p: Any) -> ast.Pattern:
        return ast.VariantPattern(at(p), p.variant_name, tuple(p.pattern_items))

    @_("TYPE_NAME", "TYPE_NAME DOT NAME")
    def variant_name(self, p: Any) -> str:
        return "".join(p)

    @_("group_pattern")
    def pattern(self, p: Any) -> ast.Pattern:
        return p.group_pattern

    @_("LPATLIST RBRACKET")
    def group_pattern(self, p: Any) -> ast.Pattern:
        return ast.ListPattern(at(p), ())

    @_("LPATLIST pattern_items RBRACKET")
    def group_pattern(self, p: Any) -> ast.Pattern:
        return build.list_pattern(at(p), p.pattern_items, self.report)

    @_("LPAT RBRACE")
    def group_pattern(self, p: Any) -> ast.Pattern:
        return ast.MapPattern(at(p), ())

    @_("LPAT map_pattern_items RBRACE")
    def group_pattern(self, p: Any) -> ast.Pattern:
        return build.map_pattern(at(p), p.map_pattern_items, self.report)

    @_("pattern_item")
    def pattern_items(self, p: Any) -> list[ast.Pattern]:
        return build.extend([], p.pattern_item)

    @_("pattern_items COMMA pattern_item")
    def pattern_items(self, p: Any) -> list[ast.Pattern]:
        return build.extend(p.pattern_items, p.pattern_item)

    @_("pattern")
    def pattern_item(self, p: Any) -> ast.Pattern:
        return p.pattern

    @_("NAME ASSIGN expr")
    def pattern_item(self, p: Any) -> ast.Pattern:
        return build.name_pattern(at(p), p.NAME, p.expr)

    @_("ELLIPSIS NAME")
    def pattern_item(self, p: Any) -> ast.Pattern:
        return ast.RestPattern(at(p), p.NAME)

    @_("error")
    def pattern_item(self, p: Any) -> None:
        return None

    @_("map_pattern_item")
    def map_pattern_items(self, p: Any) -> list[Any]:
        return build.extend([], p.map_pattern_item)

    @_("map_pattern_items COMMA map_pattern_item")
    def map_pattern_items(self, p: Any) -> list[Any]:
        return build.extend(p.map_pattern_items, p.map_pattern_item)

    @_("NAME")
    def map_pattern_item(self, p: Any) -> ast.Node:
        return ast.MapPatternItem(at(p), p.NAME, ast.BindPattern(at(p), p.NAME))

    @_("NAME ASSIGN expr")
    def map_pattern_item(self, p: Any) -> ast.Node:
        return ast.MapPatternItem(at(p), p.NAME, ast.BindPattern(at(p), p.NAME, p.expr))

    @_("KEY COLON pattern")
    def map_pattern_item(self, p: Any) -> ast.Node:
        return ast.MapPatternItem(at(p), p.KEY, p.pattern)

    @_("KEY COLON NAME ASSIGN expr")
    def map_pattern_item(self, p: Any) -> ast.Node:
        bound = build.name_pattern(Span(of(p, 2).start, of(p, 4).end), p.NAME, p.expr)
        return ast.MapPatternItem(at(p), p.KEY, bound)

    @_("ELLIPSIS NAME")
    def map_pattern_item(self, p: Any) -> ast.Node:
        return ast.RestPattern(at(p), p.NAME)

    @_("error")
    def map_pattern_item(self, p: Any) -> None:
        return None

    # --- expressions

    @_("NUMBER", "TEXT")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Literal(at(p), p[0])

    @_("TRUE", "FALSE", "NONE")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Literal(at(p), build.constant(p[0]))

    @_("NAME", "TYPE_NAME")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Name(at(p), p[0])

    @_("TEXT_OPEN TEXT_CLOSE")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Literal(at(p), "")

    @_("TEXT_OPEN text_parts TEXT_CLOSE")
    def expr(self, p: Any) -> ast.Expr:
        return build.interpolation(at(p), p[1])

    @_("text_part")
    def text_parts(self, p: Any) -> list[str | ast.Expr]:
        return build.extend([], p[0])

    @_("text_parts text_part")
    def text_parts(self, p: Any) -> list[str | ast.Expr]:
        return build.extend(p[0], p[1])

    @_("CHUNK")
    def text_part(self, p: Any) -> str:
        return p[0]

    @_("INTERP_OPEN expr INTERP_CLOSE")
    def text_part(self, p: Any) -> ast.Expr:
        return p[1]

    @_("INTERP_OPEN error INTERP_CLOSE")
    def text_part(self, p: Any) -> None:
        return None

    @_("LPAREN expr RPAREN")
    def expr(self, p: Any) -> ast.Expr:
        return p.expr

    @_("LPAREN error RPAREN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Literal(at(p), None)

    @_("expr DOT NAME", "expr OPTIONAL_DOT NAME")
    def expr(self, p: Any) -> ast.Expr:
        return build.member(at(p), p[0], p[2], of(p, 2), p[1] == "?.")

    @_("expr LCALL RPAREN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Call(at(p), p[0], ())

    @_("expr LCALL arguments RPAREN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Call(at(p), p[0], tuple(p[2]))

    @_("expr LINDEX expr RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Index(at(p), p[0], p[2])

    @_("expr LINDEX slice RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Slice(at(p), p.expr, *p.slice)

    @_("expr LINDEX error RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return p.expr

    @_("bound COLON bound", "bound COLON bound COLON bound")
    def slice(self, p: Any) -> tuple[ast.Expr | None, ...]:
        return p[0], p[2], p[4] if len(p) > 3 else None

    @_("expr", "")
    def bound(self, p: Any) -> ast.Expr | None:
        return p[0] if len(p) else None

    @_("expr AT reference")
    def expr(self, p: Any) -> ast.Expr:
        return ast.VersionAt(at(p), p.expr, p.reference)

    @_("NUMBER", "TEXT")
    def reference(self, p: Any) -> ast.Expr:
        return ast.Literal(at(p), p[0])

    @_("MINUS NUMBER")
    def reference(self, p: Any) -> ast.Expr:
        return ast.Unary(at(p), "-", ast.Literal(of(p, 1), p.NUMBER))

    @_("NAME")
    def reference(self, p: Any) -> ast.Expr:
        return ast.Name(at(p), p.NAME)

    @_("LPAREN expr RPAREN")
    def reference(self, p: Any) -> ast.Expr:
        return p.expr

    @_(
        "expr PLUS expr", "expr MINUS expr", "expr TIMES expr", "expr DIVIDE expr",
        "expr MOD expr", "expr POWER expr", "expr CONCAT expr", "expr EQ expr", "expr NE expr",
        "expr LT expr", "expr LE expr", "expr GT expr", "expr GE expr", "expr IN expr",
        "expr NOT_IN expr", "expr AND expr", "expr OR expr", "expr COALESCE expr",
    )  # fmt: skip
    def expr(self, p: Any) -> ast.Expr:
        return ast.Binary(at(p), build.operator(p[1]), p[0], p[2])

    @_("NOT expr %prec UNARY", "BANG expr %prec UNARY")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Unary(at(p), "!", p.expr)

    @_("MINUS expr %prec UNARY")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Unary(at(p), "-", p.expr)

    @_("expr IS NAME", "expr IS TYPE_NAME", "expr IS NONE")
    def expr(self, p: Any) -> ast.Expr:
        return ast.TypeTest(at(p), p.expr, build.type_name(p[2]))

    @_("expr RANGE expr")
    def expr(self, p: Any) -> ast.Expr:
        return ast.RangeExpr(at(p), p[0], p[2], p.RANGE == "..=")

    @_("expr PIPE expr")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Pipe(at(p), p[0], p[2])

    @_("expr QUESTION expr COLON expr %prec QUESTION")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Conditional(at(p), p[0], p[2], p[4])

    @_("IF expr THEN expr ELSE expr %prec OPEN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Conditional(at(p), p[1], p[3], p[5])

    @_("if_block")
    def expr(self, p: Any) -> ast.Expr:
        return p[0]

    @_("IF expr block")
    def if_block(self, p: Any) -> ast.IfExpr:
        return ast.IfExpr(at(p), p.expr, p.block, None)

    @_("IF expr block ELSE_BLOCK block", "IF expr block ELSE_BLOCK if_block")
    def if_block(self, p: Any) -> ast.IfExpr:
        return ast.IfExpr(at(p), p.expr, p[2], p[4])

    @_("MATCH expr LBRACE RBRACE")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Match(at(p), p.expr, ())

    @_("MATCH expr LBRACE arms RBRACE")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Match(at(p), p.expr, tuple(p.arms))

    @_("arm")
    def arms(self, p: Any) -> list[ast.MatchArm]:
        return build.extend([], p.arm)

    @_("arms SEP arm")
    def arms(self, p: Any) -> list[ast.MatchArm]:
        return build.extend(p.arms, p.arm)

    @_("patterns ARROW expr", "patterns ARROW block")
    def arm(self, p: Any) -> ast.MatchArm:
        return ast.MatchArm(at(p), tuple(p.patterns), p[2])

    @_("error")
    def arm(self, p: Any) -> None:
        return None

    @_("pattern")
    def patterns(self, p: Any) -> list[ast.Pattern]:
        return [p.pattern]

    @_("patterns BAR pattern")
    def patterns(self, p: Any) -> list[ast.Pattern]:
        return build.extend(p.patterns, p.pattern)

    @_("BINDER FAT_ARROW expr %prec OPEN", "BINDER FAT_ARROW block")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Lambda(at(p), (ast.Parameter(of(p, 0), p.BINDER),), p[2])

    @_("parameters FAT_ARROW expr %prec OPEN", "parameters FAT_ARROW block")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Lambda(at(p), p.parameters, p[2])

    @_("FN parameters result block")
    def expr(self, p: Any) -> ast.Expr:
        return ast.Lambda(at(p), p.parameters, p.block)

    @_("LBRACKET RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return ast.ListLiteral(at(p), ())

    @_("LBRACKET COLON RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return ast.MapLiteral(at(p), ())

    @_("LBRACKET list_items RBRACKET")
    def expr(self, p: Any) -> ast.Expr:
        return build.list_or_map(at(p), p.list_items, self.report)

    @_("entries")
    def expr(self, p: Any) -> ast.Expr:
        return ast.MapLiteral(at(p), tuple(p[0]))

    @_("TYPE_NAME entries")
    def expr(self, p: Any) -> ast.Expr:
        return ast.EntityLiteral(at(p), p.TYPE_NAME, of(p, 0), tuple(p.entries))

    @_("RESPONSE entries")
    def expr(self, p: Any) -> ast.Expr:
        return ast.ResponseLiteral(at(p), tuple(p.entries))

    @_("SAVE expr %prec OPEN", "DELETE expr %prec OPEN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.SaveExpr(at(p), p[0], p.expr)

    @_("RESTORE expr %prec OPEN", "DESTROY expr %prec OPEN")
    def expr(self, p: Any) -> ast.Expr:
        return ast.SaveExpr(at(p), p[0], p.expr)

    @_("lone_body")
    def expr(self, p: Any) -> ast.Expr:
        block = build.block(p.lone_body, self.report)
        return ast.BlockExpr(block.span, block)

    @_("LDO RBRACE")
    def lone_body(self, p: Any) -> build.Body:
        return build.Body(at(p), [])

    @_("LDO items RBRACE")
    def lone_body(self, p: Any) -> build.Body:
        return build.Body(at(p), p.items)
