"""Line structure: a filter between the lexer and the grammar.

It decides everything that would make the grammar ambiguous, so that the grammar has no conflicts:

* where a statement or member ends (SEP), from line ends and adjacency;
* what each `{`, `[` and `(` opens: LBRACE a block or body, LMAP entries, LPAT a pattern, LDO a
  block standing as a value; LINDEX or LBRACKET; LCALL, LPARAM or LPAREN; LPATLIST a pattern;
* which words are keywords where they stand (`ws`, `guard`, `on`, `then`, ...), keys or names;
* whether `++` increments or concatenates, whose `else` this is, and what is a lambda's parameter.

Rules: brackets arrive balanced (`lang.brackets`), tokens are retyped in place, the work is linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from flinfast.lang.vocabulary import (
    CLOSERS,
    CONTEXTUAL,
    ENTRY_STARTERS,
    LINE_STARTERS,
    OPERAND_ENDS,
    RESERVED,
    STARTERS,
    WORDS,
)

Report = Callable[..., None]

# Kinds of bracket groups.
_TOP, _BLOCK, _WS, _ARMS = "top", "block", "ws", "arms"  # statements or arms
_FIELDS, _ENTRIES, _VARIANTS = "fields", "entries", "variants"  # members
_CALL, _PARAMS, _GROUP, _LIST, _TEXT = "call", "params", "group", "list", "text"
_PATTERN_MAP, _PATTERN_LIST = "pattern map", "pattern list"

_STATEMENTS: Final = frozenset({_TOP, _BLOCK, _WS, _ARMS})
_MEMBERS: Final = frozenset({_FIELDS, _ENTRIES, _VARIANTS, _ARMS})
_PATTERNS: Final = frozenset({_PATTERN_MAP, _PATTERN_LIST})

# Keyword of a construct -> kind of group that its `{` opens.
_BODIES: Final = {
    "if": _BLOCK,
    "else": _BLOCK,
    "for": _BLOCK,
    "while": _BLOCK,
    "fn": _BLOCK,
    "block": _BLOCK,
    "test": _BLOCK,
    "match": _ARMS,
    "ws": _WS,
    "entity": _FIELDS,
    "enum": _VARIANTS,
}
_TYPE_ENDS: Final = frozenset({"QUESTION", "GT"})  # `type Id = int?` is complete
_CURRENCY: Final = re.compile("[A-Z]{3}")
_AFTER_NAME: Final = frozenset({"DOT", "LBRACE", "LPAREN", "COLON", "ASSIGN"})  # it is one's own
_JUMPS: Final = frozenset({"RETURN", "BREAK", "CONTINUE"})
_HEADS: Final = frozenset({"IF", "WHILE"})  # `if = 1` is no assignment in a condition
_OWNERS: Final = {
    "FOR": "for",
    "WHILE": "while",
    "MATCH": "match",
    "FN": "fn",
    "ENTITY": "entity",
    "ENUM": "enum",
    "IF": "if",
}
# A body may follow these directly, without an operand in between.
_DIRECT: Final = frozenset(
    ["ROUTE", "WS", "MIDDLEWARE", "VALIDATE", "ELSE_BLOCK", "FN", "ON", "TEST", "MATCH"]
)


class _Frame:
    """One open bracket group.

    Attributes:
        kind: What is in it.
        owner: Construct its `{` belongs to, such as "if" (or "").
        opener: Type of the token that opened it.
        fresh: Nothing of the current statement or member was seen.
        pending: Constructs that still wait for their `{`, innermost last; "then" waits for `else`.
        starter: Type of the first token of the current statement.
        in_pattern: In match arms: before the arrow.
        in_default: In fields and patterns: after the `=`.
        in_let: Between `while let` and its `=`.
        angles: How many `<` were seen that no `>` closed: a comma may stand between types.
    """

    __slots__ = (
        "angles", "fresh", "in_default", "in_let", "in_pattern", "kind", "opener", "owner",
        "pending", "starter",
    )  # fmt: skip

    def __init__(self, kind: str, opener: str, owner: str = "") -> None:
        self.kind = kind
        self.owner = owner
        self.opener = opener
        self.fresh = True
        self.pending: list[str] = []
        self.starter = ""
        self.in_pattern = kind is _ARMS
        self.in_default = False
        self.in_let = False
        self.angles = 0


class Layout:
    """One pass over the balanced tokens of a file.

    Attributes:
        out: The tokens for the grammar, so far.
    """

    def __init__(
        self,
        text: str,
        tokens: list[Any],
        partners: list[int],
        make_token: Callable[[str, Any, int, int], Any],
        report: Report,
    ) -> None:
        self.out: list[Any] = []
        self._text = text
        self._tokens = tokens
        self._partners = partners
        self._make_token = make_token
        self._report = report
        self._frames = [_Frame(_TOP, "")]
        self._frame = self._frames[0]
        self._index = 0
        self._last = ""  # type of the last token given out
        self._last_end = 0
        self._complete = False  # an operand is complete
        self._closed: _Frame | None = None  # the group that the last token closed
        self._has_try = False  # which was reported

    def run(self) -> list[Any]:
        """The tokens for the grammar: retyped, with separators."""
        tokens = self._tokens
        while self._index < len(tokens):
            token = tokens[self._index]
            kind = token.type
            may_start = kind in _FIRST or (self._last in _JUMPS and kind not in CLOSERS)
            if may_start and not self._frame.fresh and self._ends_before(token, kind):
                self._separate()
            rule = _RULES.get(kind)
            if rule is None:
                self._emit(token, kind)
            else:
                rule(self, token, kind)
            self._index += 1
        self._drop_separator()
        return self.out

    # --- giving tokens out

    def _emit(self, token: Any, kind: str) -> None:
        token.type = kind
        frame = self._frame
        if frame.fresh:
            frame.fresh = False
            frame.starter = kind
        self.out.append(token)
        self._last = kind
        self._last_end = token.end
        self._complete = kind in OPERAND_ENDS or (kind in _TYPE_ENDS and frame.starter == "TYPE")
        self._closed = None

    def _separate(self, token: Any = None) -> None:
        """End the statement or member; `token` is the comma or semicolon, if one is there."""
        frame = self._frame
        frame.fresh = True
        frame.pending.clear()
        frame.in_default = frame.in_let = False
        frame.angles = 0
        frame.in_pattern = frame.kind is _ARMS
        if token is None:
            token = self._make_token("SEP", "", self._last_end, self._last_end)
        token.type = "SEP"
        self.out.append(token)
        self._last = "SEP"
        self._last_end = token.end
        self._complete = False
        self._closed = None

    def _drop_separator(self) -> None:
        """A separator before the end of a group separates nothing."""
        if self.out and self.out[-1].type == "SEP":
            self.out.pop()

    def _next(self, distance: int = 1) -> str:
        """Type of a token further on, or ""."""
        index = self._index + distance
        return self._tokens[index].type if index < len(self._tokens) else ""

    def _after_group(self) -> str:
        """Type of the token after the group that opens here."""
        index = self._partners[self._index] + 1
        return self._tokens[index].type if index < len(self._tokens) else ""

    def _line_ends(self, token: Any) -> bool:
        return self._text.find("\n", self._last_end, token.index) >= 0

    # --- separators

    def _ends_before(self, token: Any, kind: str) -> bool:
        """Whether a statement or member ends before this token."""
        frame = self._frame
        if frame.kind in _STATEMENTS:
            if self._line_ends(token):
                return self._line_separates(token, kind)
            return self._complete and self._adjacency_separates(kind)
        if frame.kind is _FIELDS:
            if kind not in WORDS or self._next() != "COLON":
                return False
            return self._complete or (not frame.in_default and self._last in ("QUESTION", "GT"))
        if frame.kind is _ENTRIES and kind in ENTRY_STARTERS:
            return self._complete and not self._continues(kind)
        if frame.kind is _ENTRIES:
            return self._complete and kind in WORDS and self._next() == "COLON"  # `in: 1`
        return frame.kind is _VARIANTS and self._complete and kind in WORDS

    def _line_separates(self, token: Any, kind: str) -> bool:
        """Reference 1.3.1-4: whether a line end before this token ends the statement."""
        if self._last in _JUMPS:
            return kind != "SEMICOLON"
        if not self._complete:
            return False
        if kind == "LBRACE" and self._takes_body():
            return False
        if kind == "LT":
            return self._is_markup(token)
        return kind in LINE_STARTERS and not self._continues(kind)

    def _adjacency_separates(self, kind: str) -> bool:
        """Reference 1.3.5: whether this token cannot continue the operand before it."""
        if self._belongs(kind):
            return False
        after_block = self._closed is not None and self._closed.opener in ("LBRACE", "LDO")
        if kind in ("LPAREN", "LBRACKET"):
            return after_block
        if kind in ("MINUS", "PLUS"):
            return after_block and self._frame.starter in ("IF", "FOR", "WHILE", "MATCH", "LDO")
        if kind == "LBRACE":
            return not (self._takes_body() or self._last == "TYPE_NAME")
        return kind in STARTERS and not self._continues(kind)

    def _belongs(self, kind: str) -> bool:
        """Whether a word completes the one or two before it: `continue 'a`, `route GET "/a"`."""
        if kind == "LABEL":
            return self._last == "CONTINUE"
        before = self.out[-2].type if len(self.out) > 1 else ""
        return before == "ROUTE" if kind == "TEXT" else before == "BREAK" and self._last == "LABEL"

    def _continues(self, kind: str) -> bool:
        """Whether a word continues an operand: `x is text`, `x not in xs`, `if c then ...`."""
        if kind == "NOT":
            return self._next() == "IN"
        if kind != "NAME":
            return False
        word = self._tokens[self._index].value
        if word == "then":
            return bool(self._frame.pending) and self._frame.pending[-1] == "if"
        return bool(word == "is") and self._next() in WORDS

    def _takes_body(self) -> bool:
        """Whether a `{` here belongs to a construct that waits for it."""
        pending = self._frame.pending
        if not pending or pending[-1] == "then":
            return False
        if self._complete or self._last in _DIRECT:
            return True
        return pending[-1] in ("fn", "enum") and self._last in _TYPE_ENDS

    def _is_markup(self, token: Any) -> bool:
        following = self._text[token.end : token.end + 1]
        return following.isalpha() or following in ("!", "/")

    def _word(self, token: Any, kind: str) -> None:
        frame = self._frame
        following = self._next()
        if self._last in ("DOT", "OPTIONAL_DOT", "FIELD_AT", "ROUTE", "ON", "GUARD"):
            self._emit(
                token, "TYPE_NAME" if kind == "TYPE_NAME" and self._last == "ROUTE" else "NAME"
            )
        elif frame.fresh and self._is_key(following):
            self._emit(token, "KEY")
        elif kind == "NAME":
            self._name(token, following)
        elif kind == "TYPE_NAME":
            self._emit(token, kind)
        elif kind == "ELSE":
            self._else(token, following)
        elif kind == "NOT" and following == "IN" and self._complete:
            self._index += 1
            token.end = self._tokens[self._index].end
            self._emit(token, "NOT_IN")
        else:
            if kind in _OWNERS:
                frame.pending.append(_OWNERS[kind])
            self._emit(token, kind)

    def _is_key(self, following: str) -> bool:
        """Reference 1.5: before `:` in a body every word is a plain key."""
        kind = self._frame.kind
        return kind in _KEYED_ONLY or (following == "COLON" and kind in _KEYED)

    def _name(self, token: Any, following: str) -> None:
        frame, word = self._frame, token.value
        if following == "FAT_ARROW" and not frame.in_pattern:
            self._emit(token, "BINDER")
        elif word in RESERVED:
            if word == "try" or not self._has_try:  # `catch` is the same habit once more
                self._report("FL112", f"`{word}` is a reserved word", token, "", RESERVED[word])
            self._has_try = self._has_try or word == "try"
            self._emit(token, "NAME")
        elif word == "then" and self._complete and self._continues("NAME"):
            frame.pending[-1] = "then"
            self._emit(token, "THEN")
        elif word == "is" and self._complete and following in WORDS:
            self._emit(token, "IS")
        elif word == "semantic" and following == "NAME" and self._last != "SEP":
            self._emit(token, "SEMANTIC")
        elif word == "let" and self._last == "WHILE":
            frame.in_let = True
            self._emit(token, "LET")
        elif word == "response" and following == "LBRACE" and not self._in_header():
            self._emit(token, "RESPONSE")
        elif frame.fresh and word in CONTEXTUAL and self._applies(word, following):
            kind, owner, _ = CONTEXTUAL[word]
            if owner:
                frame.pending.append(owner)
            self._emit(token, kind)
            if kind == "DECLARE":
                frame.fresh = following in ("LBRACE", "LBRACKET")
            elif kind == "FN_PREFIX":
                frame.fresh = True  # the second prefix of `server async fn` is one, too
        else:
            self._emit(token, "NAME")

    def _applies(self, word: str, following: str) -> bool:
        """Whether a contextual keyword is one here."""
        kind = self._frame.kind
        if word == "server" and following == "NAME":  # server async fn
            return self._next(2) == "FN" and self._tokens[self._index + 1].value == "async"
        if kind is _ARMS or following not in CONTEXTUAL[word][2]:
            return False
        if word == "on":
            return kind is _WS
        if word in ("test", "type"):
            return kind is _TOP
        if word in ("expect", "assert"):
            return any(frame.owner == "test" for frame in self._frames)
        if word == "ws":
            return kind is _TOP or following == "LBRACE"
        return word != "route" or kind is _TOP or following == "TYPE_NAME"

    def _in_header(self) -> bool:
        """Between `if`, `for`, `while`, `match`, `fn`, ... and the `{` of its body."""
        pending = self._frame.pending
        return bool(pending) and pending[-1] != "then"

    def _else(self, token: Any, following: str) -> None:
        frame = self._frame
        closed = self._closed
        if closed is not None and closed.owner == "if" and following in ("LBRACE", "IF"):
            if following == "LBRACE":
                frame.pending.append("else")
            self._emit(token, "ELSE_BLOCK")
        elif "then" in frame.pending:
            while frame.pending.pop() != "then":
                pass
            self._emit(token, "ELSE")
        else:
            self._emit(token, "ELSE_BLOCK")

    # --- brackets

    def _open(self, token: Any, kind: str, group: str, owner: str = "") -> None:
        self._emit(token, kind)
        self._frame = _Frame(group, kind, owner)
        self._frames.append(self._frame)

    def _close(self, token: Any, kind: str) -> None:
        self._drop_separator()
        closed = self._frames.pop()
        self._frame = self._frames[-1]
        self._emit(token, kind)
        self._closed = closed

    def _brace(self, token: Any, kind: str) -> None:
        frame = self._frame
        if self._takes_body():
            owner = frame.pending.pop()
            self._open(token, "LBRACE", _BODIES[owner], owner)
        elif self._last in ("RESPONSE", "GUARDS") or (
            self._last == "TYPE_NAME" and not self._in_header()
        ):
            self._open(token, "LMAP", _ENTRIES)
        elif self._expects_pattern() or (
            frame.fresh and frame.kind in _STATEMENTS and self._after_group() == "ASSIGN"
        ):
            self._open(token, "LPAT", _PATTERN_MAP)
        elif self._starts_map():
            self._open(token, "LMAP", _ENTRIES)
        elif self._last in ("FAT_ARROW", "ARROW"):
            self._open(token, "LBRACE", _BLOCK)
        else:
            self._open(token, "LDO", _BLOCK)

    def _starts_map(self) -> bool:
        """Reference 1.6: `}`, `...` or `key :` follows the `{`."""
        following = self._next()
        if following in ("RBRACE", "ELLIPSIS"):
            return True
        return (following in WORDS or following == "TEXT") and self._next(2) == "COLON"

    def _expects_pattern(self) -> bool:
        frame = self._frame
        if frame.kind in _PATTERNS:
            return frame.fresh or self._last == "COLON"
        if frame.kind is _ARMS and frame.in_pattern:
            return frame.fresh or self._last == "BAR"
        return self._last == "LET"

    def _bracket(self, token: Any, kind: str) -> None:
        frame = self._frame
        if self._expects_pattern() or (
            frame.fresh and frame.kind in _STATEMENTS and self._after_group() == "ASSIGN"
        ):
            self._open(token, "LPATLIST", _PATTERN_LIST)
        else:
            self._open(token, "LINDEX" if self._is_callable() else "LBRACKET", _LIST)

    def _paren(self, token: Any, kind: str) -> None:
        frame = self._frame
        before = self.out[-2].type if len(self.out) > 1 else ""
        if self._last == "FN" or before in ("FN", "GUARD_DEFINITION"):
            self._open(token, "LPARAM", _PARAMS)
        elif self._is_callable():
            self._open(token, "LCALL", _PATTERN_LIST if self._is_pattern() else _CALL)
        elif self._after_group() == "FAT_ARROW" and not frame.in_pattern:
            self._open(token, "LPARAM", _PARAMS)
        else:
            self._open(token, "LPAREN", _GROUP)

    def _is_callable(self) -> bool:
        """Whether `(` or `[` here calls or indexes; after the label of a jump it never does."""
        return self._complete and self._last != "LABEL"

    def _is_pattern(self) -> bool:
        frame = self._frame
        return (
            frame.in_pattern or frame.in_let or (frame.kind in _PATTERNS and not frame.in_default)
        )

    def _plain_text(self, token: Any, kind: str) -> None:
        frame = self._frame
        self._emit(token, "KEY" if frame.fresh and frame.kind in _KEYED_ONLY else kind)

    def _number(self, token: Any, kind: str) -> None:
        """A number; `450 USD` is reported, and read as the number."""
        self._emit(token, kind)
        if self._next() != "TYPE_NAME" or self._next(2) in _AFTER_NAME:
            return
        currency = self._tokens[self._index + 1]
        if _CURRENCY.fullmatch(currency.value) and not self._line_ends(currency):
            self._index += 1
            message = f"`{self._text[token.index : currency.end]}` is not a value"
            help = "keep the smallest unit, such as cents, in an `int`"
            self._report("FL118", message, currency, "no type for money", help)

    def _text_part(self, token: Any, kind: str) -> None:
        self._open(token, kind, _TEXT)

    # --- punctuation

    def _comma(self, token: Any, kind: str) -> None:
        frame = self._frame
        if self._next() in CLOSERS and (self._complete or self._last in ("QUESTION", "GT")):
            return
        in_type = frame.angles > 0 and frame.kind is _FIELDS and not frame.in_default
        if frame.kind in _MEMBERS and not in_type:
            self._separate(token)
        else:
            self._emit(token, kind)
            frame.fresh = frame.kind not in _STATEMENTS and not in_type
            # Elsewhere in statements a comma is a fault; it does not hide where one ends.
            self._complete = frame.kind in _STATEMENTS and not (
                self._in_header() or frame.starter == "EXPECT" or frame.angles
            )
            frame.in_default = False

    def _semicolon(self, token: Any, kind: str) -> None:
        frame = self._frame
        if frame.kind in _STATEMENTS or frame.kind in _MEMBERS:
            if not frame.fresh:
                self._separate(token)
        else:
            self._emit(token, kind)

    def _assign(self, token: Any, kind: str) -> None:
        frame = self._frame
        if frame.in_let:
            frame.in_let = False
        elif frame.pending and frame.pending[-1] in ("if", "while") and self._last not in _HEADS:
            self._report(
                "FL107",
                "`=` in a condition",
                token,
                "this assigns instead of comparing",
                "use `==` to compare",
            )
            kind, token.value = "EQ", "=="
        frame.in_default = True
        self._emit(token, kind)

    def _arrow(self, token: Any, kind: str) -> None:
        frame = self._frame
        if frame.in_pattern:
            frame.in_pattern = False
            kind = "ARROW"
        self._emit(token, kind)

    def _at(self, token: Any, kind: str) -> None:
        self._emit(token, "FIELD_AT" if self._frame.kind is _FIELDS else kind)

    def _plus_plus(self, token: Any, kind: str) -> None:
        self._emit(token, "INCREMENT" if self._ends_after(token) else "CONCAT")

    def _minus_minus(self, token: Any, kind: str) -> None:
        if self._ends_after(token):
            self._emit(token, "DECREMENT")
            return
        second = self._make_token("MINUS", "-", token.index + 1, token.end)
        token.end -= 1
        token.value = "-"
        self._emit(token, "MINUS")
        self._emit(second, "MINUS")

    def _ends_after(self, token: Any) -> bool:
        """Reference 1.8: whether `++` or `--` here is postfix."""
        if not self._complete:
            return False
        following = self._next()
        if not following or following in CLOSERS or following == "SEMICOLON":
            return True
        after = self._tokens[self._index + 1].index
        return self._text.find("\n", token.end, after) >= 0

    def _less(self, token: Any, kind: str) -> None:
        if self._frame.fresh and self._frame.kind in _STATEMENTS and self._is_markup(token):
            self._report(
                "FL117",
                "page markup is not part of the server language",
                token,
                "",
                "put the page into `public/` or answer with `response.html`",
            )
            self._index = len(self._tokens)
            return
        self._emit(token, kind)
        self._frame.angles += 1

    def _greater(self, token: Any, kind: str) -> None:
        self._emit(token, kind)
        if self._frame.angles:
            self._frame.angles -= 1


_KEYED_ONLY: Final = frozenset({_ENTRIES, _FIELDS})  # nothing but `name: ...` stands in these
_KEYED: Final = _KEYED_ONLY | {_CALL, _PATTERN_MAP}

# Nothing else starts a statement or member, but for what is on the line after a jump.
_FIRST: Final = LINE_STARTERS | STARTERS | ENTRY_STARTERS | WORDS | {"LT"}
_RULES: Final[dict[str, Callable[[Layout, Any, str], None]]] = {
    **dict.fromkeys(WORDS, Layout._word),
    **dict.fromkeys(CLOSERS, Layout._close),
    "TEXT": Layout._plain_text,
    "NUMBER": Layout._number,
    "LBRACE": Layout._brace,
    "LBRACKET": Layout._bracket,
    "LPAREN": Layout._paren,
    "TEXT_OPEN": Layout._text_part,
    "INTERP_OPEN": Layout._text_part,
    "COMMA": Layout._comma,
    "SEMICOLON": Layout._semicolon,
    "ASSIGN": Layout._assign,
    "ARROW": Layout._arrow,
    "FAT_ARROW": Layout._arrow,
    "AT": Layout._at,
    "PLUS_PLUS": Layout._plus_plus,
    "MINUS_MINUS": Layout._minus_minus,
    "LT": Layout._less,
    "GT": Layout._greater,
}
