"""Balance of brackets, and the repair of unbalanced ones.

After this pass every opener has its closer, so that the grammar and its recovery can rely on the
nesting. Rules: a balanced file passes unchanged, whatever its indentation; in an unbalanced one
indentation and declarations at the start of a line tell where a bracket should have been closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.lang.diagnostic import Note
from flinfast.lang.source import Source, Span
from flinfast.lang.vocabulary import CLOSERS, LINE_STARTERS, OPERAND_ENDS, RAW_CLOSER_OF

NESTING_MAX: Final = 100  # open brackets at one place; people stop below ten

_SIGN: Final = {"RBRACE": "}", "RPAREN": ")", "RBRACKET": "]", "INTERP_CLOSE": "}"}
_WALLS: Final = frozenset({"TEXT_OPEN", "INTERP_OPEN"})  # nothing closes across one
_DECLARING: Final = frozenset({"route", "ws", "middleware", "guard_definition", "on"})
_NOTES_MAX: Final = 3  # openers shown when several are unclosed at one place
_HEADS: Final = frozenset({"IF", "FOR", "WHILE", "MATCH", "ELSE", "ENTITY", "ENUM", "FN"})
_HEAD_ENDS: Final = OPERAND_ENDS | {"ELSE"}
_INDENT_MAX = 200  # columns; a bracket further right is not judged by its indentation

_Make = Callable[[str, Any, int, int], Any]
_Report = Callable[..., None]


def balance(
    tokens: list[Any], source: Source, make_token: _Make, report: _Report
) -> tuple[list[Any], list[int]]:
    """Match every bracket.

    Args:
        tokens: As the lexer gives them.
        source: Where they come from.
        make_token: Makes a token from type, value, start and end.
        report: Called with code, message, span, label, help and notes for each fault.

    Returns:
        Tokens with stray closers removed and missing ones added, and for each opener's index the
        index of its closer (0 elsewhere).
    """
    partners = _match(tokens)
    if partners is None:
        trial = _Repair(tokens, source, make_token, lambda *_: None)
        trial.run()
        repair = _Repair(tokens, source, make_token, report, trial.unclosed, trial.has_strays)
        tokens = repair.run()
        partners = _match(tokens)
    assert partners is not None, "the repair balances every input"
    return tokens, partners


def _match(tokens: list[Any]) -> list[int] | None:
    """For each opener's index the index of its closer, or None when the tokens do not balance."""
    partners = [0] * len(tokens)
    stack: list[int] = []
    for index, token in enumerate(tokens):
        kind = token.type
        if kind in RAW_CLOSER_OF:
            if len(stack) == NESTING_MAX:
                return None
            stack.append(index)
        elif kind in CLOSERS:
            if not stack or RAW_CLOSER_OF[tokens[stack[-1]].type] != kind or _is_forced(token):
                return None
            partners[stack.pop()] = index
    return None if stack else partners


def _is_forced(token: Any) -> bool:
    """A TEXT_CLOSE that stands for the closing quotes of texts that never got theirs."""
    return token.type == "TEXT_CLOSE" and type(token.value) is int


def _is_word(tokens: list[Any], word: str) -> bool:
    """Whether a list of at most one token holds this name."""
    return bool(tokens) and tokens[0].type == "NAME" and tokens[0].value == word


class _Repair:
    """Adds and removes closers until the tokens balance, with a diagnostic for each place.

    Attributes:
        unclosed: Offsets of the openers that had no closer.
        has_strays: Whether some `}` had no opener.
    """

    def __init__(
        self,
        tokens: list[Any],
        source: Source,
        make_token: _Make,
        report: _Report,
        early: frozenset[int] | set[int] = frozenset(),
        mends: bool = False,
    ) -> None:
        self.unclosed: set[int] = set()
        self.has_strays = False
        self._tokens = tokens
        self._source = source
        self._make_token = make_token
        self._report = report
        self._early = early  # offsets of openers known to be unclosed: `(` ends with its line
        self._mends = mends  # some `}` has no opener: look for the `{` that is missing
        self._cut_off_at = -1  # offset where the last unclosed text was closed
        self._line = 0  # index of the first token of the current line
        self._maps: set[int] = set()  # offsets of the `{` that open entries
        self._out: list[Any] = []
        self._stack: list[Any] = []

    def run(self) -> list[Any]:
        """The balanced tokens."""
        for index, token in enumerate(self._tokens):
            kind = token.type
            if self._starts_line(token):
                self._line_start(token, index)
            elif self._mends and _is_word([token], "on") and _is_word(self._out[-1:], "ws"):
                self._open(self._out[-1])
            if kind in RAW_CLOSER_OF:
                if len(self._stack) == NESTING_MAX:
                    self._too_deep(token)
                    break
                if kind == "LBRACE" and self._is_entry(index + 1):
                    self._maps.add(token.index)
                self._stack.append(token)
                self._out.append(token)
            elif kind in CLOSERS:
                self._closer(token)
            else:
                self._out.append(token)
        if self._stack:
            last = self._out[-1]
            span = Span(last.index, last.end)
            self._close(len(self._stack), last.end, span, "before the end of the file")
        return self._out

    # --- places

    def _indent(self, token: Any) -> int:
        """Column of the first character of the token's line, or -1 when it is too far right."""
        _, column = self._source.position(token.index)
        if column > _INDENT_MAX:
            return -1
        text = self._source.text[token.index - column + 1 : token.index]
        return len(text) - len(text.lstrip())

    def _starts_line(self, token: Any) -> bool:
        previous = self._out[-1].end if self._out else 0
        return self._source.text.find("\n", previous, token.index) >= 0

    def _line_start(self, token: Any, index: int) -> None:
        """A line starts: it may show that a bracket should be open, or closed, by now."""
        if self._mends and self._lacks_opener(token):
            self._open(self._out[-1])
        self._line = index
        if self._stack and self._declares(token, index):
            indent = self._indent(token)
            count = 0
            while count < len(self._stack):
                opener = self._stack[-1 - count]
                if opener.type in _WALLS or self._indent(opener) < indent:
                    break
                count += 1
            self._close(count, self._out[-1].end, Span(token.index, token.end), "before this")
        while (
            self._stack
            and self._stack[-1].index in self._early
            and self._ends_with_line(self._stack[-1], token, index)
        ):
            end = self._out[-1].end
            self._close(1, end, Span(end, end), "here")

    def _ends_with_line(self, opener: Any, token: Any, index: int) -> bool:
        """Whether an opener that has no closer ends before the line of this token."""
        if token.type not in LINE_STARTERS or self._out[-1].type not in OPERAND_ENDS:
            return False
        if opener.type in ("LPAREN", "LBRACKET"):
            return True
        return opener.index in self._maps and not self._is_entry(index)

    def _is_entry(self, index: int) -> bool:
        """Whether `key:` or `...` stands here."""
        kinds = [token.type for token in self._tokens[index : index + 2]]
        return kinds[:1] == ["ELLIPSIS"] or kinds[1:] == ["COLON"]

    def _lacks_opener(self, token: Any) -> bool:
        """Whether the line before was the head of a block without its `{`."""
        if not self._out or self._out[-1].type not in _HEAD_ENDS:
            return False
        first = self._tokens[self._line]
        if first.type == "RBRACE" and self._tokens[self._line + 1].type == "ELSE":
            pass
        elif first.type not in _HEADS and not (first.type == "NAME" and first.value in _DECLARING):
            return False
        return 0 <= self._indent(first) < self._indent(token)

    def _open(self, previous: Any) -> None:
        """Add the `{` that should follow a token."""
        word = self._source.text[previous.index : previous.end]
        span = Span(previous.end, previous.end)
        self._report("FL102", f"expected `{{` after `{word}`", span, "expected `{` here", "", ())
        opener = self._make_token("LBRACE", "{", previous.end, previous.end)
        self._stack.append(opener)
        self._out.append(opener)

    def _declares(self, token: Any, index: int) -> bool:
        """Whether a declaration starts here that never stands inside the open brackets."""
        following = self._tokens[index + 1].type if index + 1 < len(self._tokens) else ""
        if token.type in ("ENTITY", "ENUM"):
            return following == "TYPE_NAME"
        if token.type != "NAME" or token.value not in _DECLARING:
            return False
        if token.value == "route":
            return following == "TYPE_NAME"
        if token.value in ("guard_definition", "on"):
            return following == "NAME"
        return following == "LBRACE"

    # --- closers

    def _closer(self, token: Any) -> None:
        if _is_forced(token):
            self._force(token)
            return
        count = self._reach(token)
        if count < 0 or (self._mends and self._is_stray(token)):
            self.has_strays = self.has_strays or token.type == "RBRACE"
            sign = _SIGN[token.type]
            self._report(
                "FL104",
                f"`{sign}` closes nothing",
                Span(token.index, token.end),
                "",
                "delete it, or open the bracket it should close",
            )
            if self._out and self._out[-1].type not in OPERAND_ENDS:  # something is missing here
                self._out.append(self._make_token("NONE", "none", token.index, token.index))
            return
        end = self._out[-1].end
        self._close(count, end, Span(token.index, token.end), "before this")
        self._stack.pop()
        self._out.append(token)

    def _reach(self, token: Any) -> int:
        """How many unclosed openers lie above the one that this closer closes; -1 for none."""
        kind = token.type
        indent = -1
        if kind == "RBRACE" and self._starts_line(token):
            indent = self._indent(token)
        best = -1
        for count, opener in enumerate(reversed(self._stack)):
            if RAW_CLOSER_OF[opener.type] == kind:
                if best < 0:
                    best = count
                if indent < 0 or kind != "RBRACE" or self._indent(opener) == indent:
                    return count
            elif opener.type in _WALLS:
                break
            elif opener.type == "LBRACE" and self._ends_line(opener):
                break  # `)` does not reach out of a block
        return best

    def _ends_line(self, token: Any) -> bool:
        text = self._source.text
        rest = text[token.end : token.end + 2].lstrip(" ")
        return rest[:1] in ("\n", "\r")

    def _is_stray(self, token: Any) -> bool:
        """A `}` on its own line, further right than the line that opened the innermost brace."""
        if token.type != "RBRACE" or not self._starts_line(token):
            return False
        return 0 <= self._indent(self._stack[-1]) < self._indent(token)

    def _force(self, token: Any) -> None:
        """Close as many texts as the lexer gave up, and what is open in them; it reported them."""
        self._cut_off_at = token.index
        remaining = token.value
        while remaining:
            opener = self._stack.pop()
            remaining -= opener.type == "TEXT_OPEN"
            self._add(RAW_CLOSER_OF[opener.type], token.index)

    def _close(self, count: int, offset: int, span: Span, where: str) -> None:
        """Close the innermost `count` groups at an offset, with one diagnostic for all."""
        if not count:
            return
        is_reported = self._is_cut_off(self._out[-1])
        openers = [self._stack.pop() for _ in range(count)]
        for opener in openers:
            self.unclosed.add(opener.index)
            self._add(RAW_CLOSER_OF[opener.type], offset)
        sign = _SIGN[RAW_CLOSER_OF[openers[0].type]]
        opened = _open_sign(openers[0])
        message = f"`{opened}` is not closed"
        if count > 1:
            message = f"{count} brackets are not closed, the innermost is `{opened}`"
        notes = tuple(
            Note(
                f"`{_open_sign(opener)}` is opened here",
                self._source,
                Span(opener.index, opener.end),
            )
            for opener in openers[:_NOTES_MAX]
        )
        if is_reported and openers[-1].type != "LBRACE":
            return  # the text that was not closed on this line took the closers with it
        self._report("FL103", message, span, f"expected `{sign}` {where}", "", notes)

    def _is_cut_off(self, token: Any) -> bool:
        """Whether this token is a text that was closed by the end of its line."""
        if token.type == "TEXT":
            text = self._source.text
            return bool(text[token.index] == "'" and text[token.end - 1] != "'")
        return bool(token.type == "TEXT_CLOSE" and token.end == self._cut_off_at)

    def _add(self, kind: str, offset: int) -> None:
        self._out.append(self._make_token(kind, _SIGN.get(kind, '"'), offset, offset))

    def _too_deep(self, token: Any) -> None:
        self._report(
            "FL009",
            f"more than {NESTING_MAX} brackets are open here",
            Span(token.index, token.end),
            "reading stopped here",
            "move the inner parts into functions",
        )
        offset = self._out[-1].end
        while self._stack:
            self._add(RAW_CLOSER_OF[self._stack.pop().type], offset)


def _open_sign(token: Any) -> str:
    return {"LBRACE": "{", "LPAREN": "(", "LBRACKET": "["}.get(token.type, "{")
