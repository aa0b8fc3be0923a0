"""What happens at a syntax error: the words for it, and where reading goes on.

A mixin for the parser. Reading goes on at the end of the innermost statement, member, argument or
item, so that one slip costs one of them. Rules: every call makes progress, so parsing ends;
brackets are balanced already (`lang.brackets`), so nothing here looks for a missing one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.diagnostic import DIAGNOSTICS_MAX
from flinfast.lang.driver import END, Driver
from flinfast.lang.hint import hint
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import children
from flinfast.lang.token import make_token
from flinfast.lang.vocabulary import (
    A_PATTERN,
    A_TYPE,
    AFTER_OPERAND,
    AN_EXPRESSION,
    BEFORE_STATEMENT,
    CLOSER_OF,
    CLOSERS,
    COMMA_GROUPS,
    KEYWORDS,
    SEPARATED_GROUPS,
    SPELLING,
)

DEPTH_MAX: Final = 150  # nodes from the file down to the deepest one; later passes recurse

_NAMED_MAX: Final = 3  # more possibilities than this do not help anybody
_QUOTED_MAX: Final = 24  # characters of source text quoted in a message
_OPENERS: Final = frozenset(CLOSER_OF)
# Words that only continue something -> what is missing before them.
_ALONE: Final = {
    "ELSE": "no `if` ends right before this",
    "ELSE_BLOCK": "no `if` ends right before this",
}

_ANGLES: Final = {"LT": "LT", "LE": "LT", "GT": "GT", "GE": "GT"}  # second sign -> first sign
_INSTEAD: Final = {
    "&": "`&&` is logical and; FLIN has no operators on bits",
    "|": "`||` is logical or; FLIN has no operators on bits",
    "^": "a power is written `x ** n`, exclusive or `a != b`",
    "~": "`!x` is logical not; FLIN has no operators on bits",
    "<<": "write `x * 2 ** n`; FLIN has no operators on bits",
    ">>": "write `floor(x / 2 ** n)`; FLIN has no operators on bits",
}

Report = Callable[..., None]


class Recovery(Driver):
    """Put this before the class with the grammar among the bases."""

    def __init__(self, source: Source, tokens: list[Any], report: Report) -> None:
        self.source = source
        self.report = report
        end = len(source.text)
        self._end = make_token(END, "", end, end)
        self._tokens = tokens
        self.next_index = 0  # index of the token after the lookahead
        self._failed_at = -1  # index of the last token an error was met at
        self._faults = 0
        self._salvaged: list[Any] = []  # the items of a file whose end could not be read

    def run(self) -> list[Any]:
        """Items of the file; what could not be read is left out."""
        items = self.parse(self._tokens, self._end)
        return items if items is not None else self._salvaged

    def error(self, token: Any) -> Any:
        """See `Driver.error`."""
        index = self.next_index - 1 if token is not None else len(self._tokens)
        if index == self._failed_at == len(self._tokens):
            return self._give_up()
        self._describe(index)
        depth, opener = self._unwind()
        if self._failed_at == index:
            index += 1  # the same token again: it cannot be where reading goes on
        self._failed_at = index
        index = self._skip(index, depth, opener)
        self.next_index = index + 1
        return self._tokens[index] if index < len(self._tokens) else self._end

    def _unwind(self) -> tuple[int, str]:
        """Drop the unfinished construct and put an `error` in its place.

        Returns:
            How many open groups were dropped, and the opener of the group that is innermost now.
        """
        actions, kinds, states = self.tables.actions, self.tables.kinds, self.states
        depth = 0  # below zero inside a group that is closed but not reduced yet
        while depth < 0 or "error" not in actions[states[-1]]:
            kind = kinds[states.pop()]
            depth += (kind in _OPENERS) - (kind in CLOSERS)
        states.append(actions[states[-1]]["error"])
        del self.values[len(states) - 1 :], self.starts[len(states) - 1 :]
        del self.ends[len(states) - 1 :]
        self.values.append(None)
        self.starts.append(self.ends[-1])
        self.ends.append(self.ends[-1])
        return depth, self._innermost()

    def _give_up(self) -> None:
        """End the parse at the end of the file, with the items read so far."""
        if len(self.states) > 1 and self.tables.kinds[self.states[1]] == "items":
            self._salvaged = self.values[1]

    def _skip(self, index: int, depth: int, opener: str) -> int:
        """Index of the token that ends the faulty construct, `depth` groups further out."""
        tokens = self._tokens
        while index < len(tokens):
            kind = tokens[index].type
            if kind in _OPENERS:
                depth += 1
            elif kind in CLOSERS:
                if depth == 0:
                    return index
                depth -= 1
            elif depth == 0 and (
                (kind == "SEP" and (not opener or opener in SEPARATED_GROUPS))
                or (kind == "COMMA" and opener in COMMA_GROUPS)
            ):
                return index
            index += 1
        return index

    # --- words

    def _describe(self, index: int) -> None:
        """Report the fault at the token with this index, unless it follows from an earlier one."""
        tokens = self._tokens
        if index == self._failed_at or self._faults >= DIAGNOSTICS_MAX:
            return
        self._faults += 1
        if index < len(tokens):
            token = tokens[index]
        else:
            end = tokens[-1].end if tokens else 0
            token = make_token(END, "", end, end)
        place = index
        if token.type in CLOSERS and token.index == token.end:
            return  # a closer that was missing, and is reported
        if token.type == "SEP" and not token.value and index + 1 < len(tokens):
            following = tokens[index + 1]
            if "\n" not in self.source.text[token.index : following.index]:
                index += 1
                token = following  # a statement ends here only because this cannot continue it
        previous = tokens[place - 1] if place else None
        bitwise = self._bitwise(token, previous)
        if bitwise is not None:
            token, fault = bitwise
        elif previous is not None and previous.type in KEYWORDS and token.type == "ASSIGN":
            token = previous  # `match = 1`: the fault is the name, not the `=`
            fault = self._reserved(previous)
        else:
            fault = self._words(token, previous, self._expected())
        code, message, label, help = fault
        if not help or code in ("FL105", "FL112"):
            help = hint(code, tokens, index, self.source.text) or help
        self.report(code, message, Span(token.index, token.end), label, help)

    def _expected(self) -> frozenset[str]:
        """Every type of token that could be read here, besides operators after an operand.

        The actions of one LALR state promise more than the states below it allow, so each
        candidate is followed through the reductions it would cause.
        """
        candidates = self.tables.actions[self.states[-1]]
        accepted = {kind for kind in candidates if self._accepts(kind)}
        if "PLUS" in accepted:  # an operand is complete
            accepted -= AFTER_OPERAND
        return frozenset(accepted)

    def _accepts(self, kind: str) -> bool:
        if kind == "error":
            return False
        actions, gotos, defaults, _ = self.tables
        stack = self.states[:]
        while True:
            state = stack[-1]
            action = defaults[state] or actions[state].get(kind)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = self.rules[-action]
            if rule.length:
                del stack[-rule.length :]
            stack.append(gotos[stack[-1]][rule.name])

    def _bitwise(self, token: Any, previous: Any) -> tuple[Any, tuple[str, str, str, str]] | None:
        """Token and words for an operator on bits: `&` is one token, `<<` two with no gap."""
        if token.type in _ANGLES and previous is not None and previous.end == token.index:
            if previous.type != _ANGLES[token.type] or not self._accepts("NUMBER"):
                return None
            token = make_token("BITWISE", None, previous.index, token.end)
        elif token.type != "BITWISE" and not (token.type == "BAR" and self._accepts("PLUS")):
            return None
        found = self.source.text[token.index : token.end]
        help = _INSTEAD.get(found.removesuffix("="), "FLIN has no operators on bits")
        return token, ("FL012", f"`{found}` is not an operator", "", help)

    def _reserved(self, token: Any) -> tuple[str, str, str, str]:
        found = self._quote(token)
        return "FL112", f"{found} is a reserved word", "expected a name", "choose another name"

    def _words(
        self, token: Any, previous: Any, expected: frozenset[str]
    ) -> tuple[str, str, str, str]:
        """Code, message, label and help for a token that does not fit."""
        found = self._quote(token)
        label = f"found {found}"
        after = ""
        if previous is not None and previous.type != "SEP":
            after = f" after {self._quote(previous)}"
        if expected >= AN_EXPRESSION:
            return self._expression_words(token, previous, label, after)
        if token.type in KEYWORDS and "NAME" in expected:
            return self._reserved(token)
        if expected >= A_PATTERN:
            return "FL113", f"expected a pattern{after}", label, ""
        if expected >= A_TYPE:
            return "FL101", f"expected a type{after}", label, ""
        if "LBRACE" in expected:
            return "FL102", f"expected `{{`{after}", label, ""
        opener = self._innermost()
        if opener not in ("", "LBRACE", "LDO", "TEXT_OPEN") and CLOSER_OF[opener] in expected:
            named = opener == "LCALL" and token.type == "ASSIGN"
            help = "a named argument is written `name: value`" if named else ""
            closer = SPELLING[CLOSER_OF[opener]]
            takes_more = opener in COMMA_GROUPS or opener == "LMAP"
            either = "`,` or " if takes_more and token.type != "COMMA" else ""
            return "FL105", f"expected {either}{closer}{after}", label, help
        if "KEY" in expected:
            return "FL101", f"expected `name: ...`{after}", label, ""
        if "NAME" in expected:
            expected -= {"TYPE_NAME", "LPAREN", "LBRACKET"}
        if expected <= set(SPELLING) and len(expected) <= _NAMED_MAX:
            wanted = " or ".join(sorted({SPELLING[kind] for kind in expected}))
            ends = token.type in ("RBRACE", "SEP") and opener == "LMAP"
            is_short = ends and previous is not None and expected == {"COLON"}
            help = f"write `{previous.value}: {previous.value}`" if is_short else ""
            return "FL101", f"expected {wanted}{after}", label, help
        label = "the statement should end before this" if "SEP" in expected else ""
        if token.type in _ALONE:
            return "FL101", f"unexpected {found}", _ALONE[token.type], ""
        return "FL101", f"unexpected {found.removeprefix('the ')}{after}", label, ""

    def _expression_words(
        self, token: Any, previous: Any, label: str, after: str
    ) -> tuple[str, str, str, str]:
        """The same where an expression should start."""
        help = "write `x++` or `x += 1`" if token.type in ("CONCAT", "INCREMENT") else ""
        if previous is not None and previous.type not in BEFORE_STATEMENT:
            return "FL116", f"expected an expression{after}", label, help
        following = self._tokens[self.next_index : self.next_index + 1]
        if token.type in KEYWORDS and following and following[0].type == "ASSIGN":
            return self._reserved(token)
        found = self._quote(token)
        label = _ALONE.get(token.type, "a statement cannot start like this")
        return "FL101", f"unexpected {found}", label, help

    def _innermost(self) -> str:
        """Type of the innermost open bracket, or ""."""
        closed = 0
        for state in reversed(self.states):
            kind = self.tables.kinds[state]
            if kind in CLOSERS:
                closed += 1
            elif kind in _OPENERS:
                if not closed:
                    return kind
                closed -= 1
        return ""

    def _quote(self, token: Any) -> str:
        """A token as people see it."""
        if token.type == END:
            return "the end of the file"
        text = self.source.text[token.index : token.end]
        if not text.strip() or (token.type == "SEP" and text not in (",", ";")):
            return "the end of the line"
        if len(text) > _QUOTED_MAX or "\n" in text:
            text = text.split("\n")[0][: _QUOTED_MAX - 3] + "..."
        return f"`{text}`"


def check_depth(items: list[Any], report: Report) -> tuple[Any, ...]:
    """The items of a file without those nested too deeply for the passes that recurse."""
    kept = []
    for item in items:
        deep = _too_deep(item)
        if deep is None:
            kept.append(item)
        else:
            report(
                "FL009",
                f"this is nested more than {DEPTH_MAX} levels deep",
                Span(deep.span.start, min(deep.span.end, deep.span.start + 1)),
                "",
                "give the inner parts names, or move them into functions",
            )
    return tuple(kept)


def _too_deep(item: ast.Node) -> ast.Node | None:
    """The first node at depth DEPTH_MAX, or None."""
    level: list[ast.Node] = [item]
    for _ in range(DEPTH_MAX):
        deeper: list[ast.Node] = []
        for node in level:
            deeper += children(node)
        if not deeper:
            return None
        level = deeper
    return level[0]
