"""Characters to tokens; no grammar, no line structure (that is `lang.layout`).

The rules are SLY's, the loop that applies them is `_Reader.run`. A text with interpolation becomes
TEXT_OPEN, CHUNK, INTERP_OPEN, ..., INTERP_CLOSE, TEXT_CLOSE; the rules inside it are the states
below. Rules: no input raises; a fault is reported and lexing goes on; the work is linear in the
length of the source.
"""

# SLY's class body turns strings into objects that take items, which mypy cannot see.
# mypy: disable-error-code="index"

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sly import Lexer

from flinfast.lang.advice import describe_character, describe_number, shortened
from flinfast.lang.diagnostic import DIAGNOSTICS_MAX, Diagnostic, Note
from flinfast.lang.source import Source, Span
from flinfast.lang.token import Token, make_token

TOKENS_MAX: Final = 200_000  # per file; about 50 000 lines, and seconds of work
DIGITS_MAX: Final = 4_000  # of an integer literal; Python refuses to convert more than 4 300

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"} | {c: c for c in "\\\"'{}`$"}
_NUMBER: Final = re.compile(
    r"0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
    r"|[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+)?"
)
_LABEL: Final = re.compile(r"'([^\W\d]\w*)(?!['\w\\])")
_GAP: Final = r"(?:\s|/\*(?s:.)*?\*/|//[^\n]*\n)*+"  # between two tokens; never tried again
_LABELLED_LOOP: Final = re.compile(rf"'[^\W\d]\w*{_GAP}:{_GAP}(?:for|while)\b")
_SINGLE_QUOTED: Final = re.compile(r"'((?:[^'\\\n\x00-\x08\x0b-\x1f]|\\(?:u\{[^}'\n]*\}|[^\n]))*)'")
_ESCAPE: Final = re.compile(r"\\(?:u\{[^}'\"\n]*\}|[^\n])")
_ROUTE_PATH: Final = re.compile(r"/[^\s{]*")
_DIRECTION: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]+")
_SAME_CHARACTERS: Final = re.compile(r"(.)\1*", re.DOTALL)
_CURLY_TEXT: Final = re.compile(
    r"[\u201c\u201e][^\u201c\u201d\n]+[\u201c\u201d]|\u2018[^\u2018\u2019\n]+\u2019"
)
_EXPONENT: Final = re.compile(r"[+-][0-9]+")
_BEFORE_VALUE: Final = frozenset("([,=:?+-*/%<>&|!")
_BEFORE_MISSING: Final = frozenset("=:+-*/%<>&|!.")
_LINE_END: Final = re.compile(r"[ \t]*(?://[^\n]*)?(?:\r?\n|\Z)")
_STEPS: Final = frozenset({"PLUS_PLUS", "MINUS_MINUS"})  # `x++` may end a statement
_LOOK_BACK: Final = 64  # tokens of a `type` that may come before a label
_TYPE_ENDS: Final = frozenset({"QUESTION", "GT"})
_JUMPS: Final = frozenset({"BREAK", "CONTINUE"})
REWINDS_MAX: Final = 50  # per file: each reads a part of a line again


class _State(NamedTuple):
    """What SLY makes of the rules of a lexer class, ready to run.

    Attributes:
        match: Finds a token, with the space before it.
        words: Type of a token -> types of some texts.
        rules: Type of a token -> what looks at it, and may leave it out.
    """

    match: Callable[[str, int], re.Match[str] | None]
    words: dict[str, dict[str, str]]
    rules: dict[str, Callable[[Any, Token], Token | None]]


_STATES: Final[dict[type, _State]] = {}


def _state_of(lexer: Any) -> _State:
    known = _STATES.get(lexer)
    if known is None:
        space = f"[{lexer.ignore}]*+" if lexer.ignore else ""
        match = re.compile(f"{space}(?:{lexer._master_re.pattern})", lexer.reflags).match
        left_out = dict.fromkeys(lexer._ignored_tokens, lambda *_: None)
        known = _State(match, lexer._remapping, lexer._token_funcs | left_out)
        _STATES[lexer] = known
    return known


class _Reader:
    """What the rules of all states share."""

    text: str
    index: int
    begin: Callable[[type[Any]], None]

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.diagnostics: list[Diagnostic] = []
        self.read: list[Any] = []  # the tokens so far
        self.labels: set[str] = set()  # names of loops so far
        self.modes: list[tuple[str, int, int]] = []  # open texts: quote, offset, outer brace depth
        self.depth = 0  # open braces since the innermost interpolation began
        self.rewinds = 0  # how often a part of a line was read again

    def run(self) -> list[Any]:
        """All tokens of the source, none of one too large; faults are left in `diagnostics`."""
        text, tokens = self.text, self.read
        append = tokens.append
        end = 0
        while True:  # a rule may have begun another state
            lexer = type(self)
            match, words, rules = _state_of(lexer)
            while self.__class__ is lexer:
                found = match(text, end)
                if found is None:  # only space is left, as the rules take everything else
                    break
                kind: Any = found.lastgroup
                value = found[kind]
                end = found.end()
                if kind in words:
                    token = Token(words[kind].get(value, kind), value, end - len(value), end)
                elif kind in rules:
                    self.index = end
                    kept = rules[kind](self, Token(kind, value, end - len(value), end))
                    end = self.index
                    if kept is None:
                        continue
                    token = kept
                else:
                    token = Token(kind, value, end - len(value), end)
                append(token)
                if len(tokens) > TOKENS_MAX:
                    message = f"this file has more than {TOKENS_MAX} words and signs"
                    self.fault("FL010", message, token, "this is one too many", "split the file")
                    return []
            else:
                continue
            break
        if self.modes:
            in_code = isinstance(self, FlinLexer)
            tokens.append(self.unwind(len(text), len(self.modes), in_code=in_code))
        for hidden in _DIRECTION.finditer(text):
            span = Span(hidden.start(), hidden.end())
            self.report(
                "FL008",
                f"hidden character U+{ord(hidden[0][0]):04X} changes the direction of text",
                span,
                "this makes code look different from what it does",
                "delete it; inside a text write it as `\\u{...}`",
            )
        return tokens

    def fault(self, code: str, message: str, token: Any, label: str, help: str = "") -> None:
        self.report(code, message, Span(token.index, token.end), label, help)

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        label: str,
        help: str = "",
        notes: tuple[Note, ...] = (),
    ) -> None:
        if len(self.diagnostics) < DIAGNOSTICS_MAX:
            found = Diagnostic(code, message, self.source, span, label, help, notes)
            self.diagnostics.append(found)

    def number(self, token: Any) -> int | float:
        """The value of a number as written; 0 when it is malformed."""
        text = token.value
        if not _NUMBER.fullmatch(text):
            self.fault(
                "FL005", f"`{shortened(text)}` is not a number", token, *describe_number(text)
            )
            return 0
        if len(text) > DIGITS_MAX:
            self.fault("FL006", "number is too long", token, f"has more than {DIGITS_MAX} digits")
            return 0
        if text[:2] in ("0x", "0X"):
            return int(text, 16)
        if not ("." in text or "e" in text or "E" in text):
            return int(text)
        value = float(text)
        if math.isinf(value):
            self.fault("FL006", "number is too large", token, "the largest number is about 1.8e308")
            return 0
        return value

    def is_label(self, index: int) -> bool:
        """Whether `'name` here is a label: before a loop that starts a statement, after a jump.

        After a jump, what could be a text as well is a label when a loop before has that name.
        """
        before = self.read[-1] if self.read else None
        if _LABELLED_LOOP.match(self.text, index):
            if before is None or before.type in _STEPS:
                return True
            return self.text[before.end - 1] not in _BEFORE_VALUE or self._ends_alias()
        if before is None or before.type not in _JUMPS:
            return False
        name = _LABEL.match(self.text, index)
        return (name is not None and name[1] in self.labels) or not _SINGLE_QUOTED.match(
            self.text, index
        )

    def _ends_alias(self) -> bool:
        """Whether the last token ends the line of a `type Id = int?`."""
        tokens = self.read[-_LOOK_BACK:]
        if tokens[-1].type not in _TYPE_ENDS:
            return False
        for before, after in zip(tokens[-2::-1], tokens[:0:-1], strict=False):
            if "\n" in self.text[before.end : after.index]:
                return bool(after.value == "type")
        return bool(tokens[0].value == "type")

    def is_path(self, index: int) -> bool:
        """Whether a `/` here starts the path of a route: `route GET /`."""
        if len(self.read) < 2 or self.read[-1].end == index:
            return False
        word, method = self.read[-2:]
        return word.value == "route" and method.type in ("NAME", "TYPE_NAME")

    def bad(self, token: Any) -> Any:
        """What has no meaning; one fault for a run of it. A value, where a line lacks one."""
        curly = _CURLY_TEXT.match(self.text, token.index)
        run = curly or _SAME_CHARACTERS.match(self.text, token.index)
        token.end = self.index = run.end() if run else token.end
        if token.index or token.value != "\ufeff":  # a byte order mark is not part of the program
            message, help = describe_character(token.value)
            self.fault("FL001", message, token, "", help)
        if curly:
            token.type, token.value = "TEXT", ""
            return token
        sign = self.text[self.read[-1].end - 1] if self.read else ""
        if sign not in _BEFORE_MISSING or not _LINE_END.match(self.text, self.index):
            return None
        token.type, token.value = ("NAME", "_") if sign == "." else ("NONE", None)
        return token

    def enter(self, token: Any) -> None:
        """A text starts."""
        self.modes.append((token.value, token.index, self.depth))
        self.depth = 0
        self.begin(TextLexer if token.value == '"' else TemplateLexer)

    def leave(self) -> None:
        """The innermost text ends: back to the code around it."""
        _, _, self.depth = self.modes.pop()
        self.begin(InterpolationLexer if self.modes and self.modes[-1][0] == '"' else FlinLexer)

    def unwind(
        self, offset: int, count: int, *, in_code: bool, before: str = "the end of the line"
    ) -> Any:
        """Close `count` unclosed texts, report the outermost; gives the token that closes them."""
        quote, start, _ = self.modes[-count]
        if quote == "`":
            span = Span(start, start + 1)
            self.report("FL003", "template is not closed", span, "expected a backtick after this")
        elif in_code:
            self.report(
                "FL011",
                "interpolation is not closed",
                Span(start, offset),
                f"expected `}}` before {before}",
                "write `\\{` for a brace that is only text",
            )
        else:
            self.report(
                "FL002",
                "text is not closed",
                Span(start, offset),
                'expected `"` before the end of the line',
                "a text over several lines is written in backticks",
            )
        for _ in range(count):
            self.leave()
        return make_token("TEXT_CLOSE", count, offset, offset)

    def end_of_line(self, t: Any, *, in_code: bool) -> Any:
        """A line ends inside a `"` text: everything up to the enclosing template is unclosed."""
        count = 1
        while count < len(self.modes) and self.modes[-count - 1][0] == '"':
            count += 1
        if count > 1 and not in_code and self.rewinds < REWINDS_MAX:
            return self.rewind()
        return self.unwind(t.index, count, in_code=in_code)

    def rewind(self) -> Any:
        """Read the quote of the innermost text again, as the end of the text around it.

        `"Hi {name" }` lacks a `}`: nobody meant the text ` }` inside of the interpolation.
        """
        self.rewinds += 1
        index = self.modes.pop()[1]
        while self.read[-1].index > index:
            self.read.pop()
        self.read.pop()
        self.diagnostics = [found for found in self.diagnostics if found.span.start < index]
        token = self.unwind(index, 1, in_code=True, before="the closing quote")
        token.end = self.index = index + 1
        return token

    def unescape(self, escape: str, start: int) -> str:
        """The character an escape stands for."""
        if escape[1:2] == "u" and escape[2:3] == "{":
            digits = escape[3:-1]
            if re.fullmatch(r"[0-9a-fA-F]{1,6}", digits):
                value = int(digits, 16)
                if value < 0xD800 or 0xDFFF < value <= 0x10FFFF:
                    return chr(value)
            span = Span(start, start + len(escape))
            self.report(
                "FL004", "no such character", span, "expected a Unicode code point, as in `\\u{e9}`"
            )
            return ""
        if escape[1:] in _ESCAPES:
            return _ESCAPES[escape[1:]]
        self.report(
            "FL004",
            f"unknown escape `{shortened(escape)}`",
            Span(start, start + len(escape)),
            "",
            "known escapes: `\\n \\t \\r \\0 \\\\ \\\" \\' \\{ \\} \\u{...}`; write `\\\\` for a "
            "backslash",
        )
        return escape[1:]

    def unescape_all(self, text: str, start: int) -> str:
        """A text with its escapes replaced; `start` is the offset of its first character."""
        if "\\" not in text:
            return text
        return _ESCAPE.sub(lambda m: self.unescape(m[0], start + m.start()), text)


class FlinLexer(_Reader, Lexer):
    """FLIN code outside texts; `run()` is the entry."""

    tokens = {
        NAME, TYPE_NAME, NUMBER, TEXT, TEXT_OPEN, TEXT_CLOSE, CHUNK, INTERP_OPEN, INTERP_CLOSE,
        LABEL, PATH, BAD, OPERATOR, LBRACE, RBRACE, WIDE_NAME, QUOTE, DIVIDE, TEMPLATE_OPEN,
        BLOCK_COMMENT, STRICT_EQUALITY, BITWISE,
        IF, ELSE, FOR, IN, WHILE, MATCH, RETURN, BREAK, CONTINUE, FN, TRUE, FALSE, NONE, ENTITY,
        ENUM, SAVE, DELETE, DESTROY, RESTORE, AND, OR, NOT, ELLIPSIS, RANGE, POWER, PLUS_PLUS,
        MINUS_MINUS, ARROW, FAT_ARROW, EQ, NE, LE, GE, LT, GT, PIPE, COALESCE, OPTIONAL_DOT,
        ASSIGN_OP, ASSIGN, PLUS, MINUS, TIMES, MOD, DOT, COMMA, SEMICOLON, COLON, QUESTION, AT,
        BAR, BANG, LPAREN, RPAREN, LBRACKET, RBRACKET,
    }  # fmt: skip
    ignore = " \t\r\n"

    NAME = r"[a-z_][A-Za-z0-9_]*+(?![^\x00-\x7f])"
    NAME["if"] = IF
    NAME["else"] = ELSE
    NAME["for"] = FOR
    NAME["in"] = IN
    NAME["while"] = WHILE
    NAME["match"] = MATCH
    NAME["return"] = RETURN
    NAME["break"] = BREAK
    NAME["continue"] = CONTINUE
    NAME["fn"] = FN
    NAME["function"] = FN
    NAME["true"] = TRUE
    NAME["false"] = FALSE
    NAME["none"] = NONE
    NAME["null"] = NONE
    NAME["nil"] = NONE
    NAME["entity"] = ENTITY
    NAME["enum"] = ENUM
    NAME["save"] = SAVE
    NAME["delete"] = DELETE
    NAME["destroy"] = DESTROY
    NAME["restore"] = RESTORE
    NAME["and"] = AND
    NAME["or"] = OR
    NAME["not"] = NOT

    ignore_line_comment = r"//[^\n]*"

    @_(r"/\*")
    def BLOCK_COMMENT(self, t: Any) -> Any:
        stop = self.text.find("*/", t.end)
        if stop < 0:
            self.fault("FL007", "comment is never closed", t, "expected `*/` after this")
        self.index = len(self.text) if stop < 0 else stop + 2

    TYPE_NAME = r"[A-Z][A-Za-z0-9_]*+(?![^\x00-\x7f])"

    @_(r'"[^"{\\\n\x00-\x08\x0b-\x1f]*"')
    def TEXT(self, t: Any) -> Any:
        t.value = t.value[1:-1]
        return t

    @_(r"===|!==")
    def STRICT_EQUALITY(self, t: Any) -> Any:
        plain = t.value[:2]
        self.fault(
            "FL012", f"`{t.value}` is not an operator", t, "", f"`{plain}` never converts types"
        )
        t.type, t.value = ("EQ" if plain == "==" else "NE"), plain
        return t

    BITWISE = r"&(?!&)=?|[\^|]=|[\^~]"  # the parser says that FLIN has none of them

    @_(r"/(?!=)")
    def DIVIDE(self, t: Any) -> Any:
        if self.is_path(t.index):
            t.type = "PATH"
            t.value = _ROUTE_PATH.match(self.text, t.index)[0]
            t.end = self.index = t.index + len(t.value)
        return t

    OPERATOR = (
        r"\.\.\.|\.\.=?|\*\*|\+\+|--|->|=>|==|!=|<=|>=|&&|\|\||\|>|\?\?|\?:|\?\.|[-+*/]=|"
        r"[-+*%=<>.,;:?@|!()\[\]]"
    )
    OPERATOR["..."] = ELLIPSIS
    OPERATOR[".."] = RANGE
    OPERATOR["..="] = RANGE
    OPERATOR["**"] = POWER
    OPERATOR["++"] = PLUS_PLUS
    OPERATOR["--"] = MINUS_MINUS
    OPERATOR["->"] = ARROW
    OPERATOR["=>"] = FAT_ARROW
    OPERATOR["=="] = EQ
    OPERATOR["!="] = NE
    OPERATOR["<="] = LE
    OPERATOR[">="] = GE
    OPERATOR["&&"] = AND
    OPERATOR["||"] = OR
    OPERATOR["|>"] = PIPE
    OPERATOR["??"] = COALESCE
    OPERATOR["?:"] = COALESCE
    OPERATOR["?."] = OPTIONAL_DOT
    OPERATOR["+="] = ASSIGN_OP
    OPERATOR["-="] = ASSIGN_OP
    OPERATOR["*="] = ASSIGN_OP
    OPERATOR["/="] = ASSIGN_OP
    OPERATOR["="] = ASSIGN
    OPERATOR["+"] = PLUS
    OPERATOR["-"] = MINUS
    OPERATOR["*"] = TIMES
    OPERATOR["%"] = MOD
    OPERATOR["<"] = LT
    OPERATOR[">"] = GT
    OPERATOR["."] = DOT
    OPERATOR[","] = COMMA
    OPERATOR[";"] = SEMICOLON
    OPERATOR[":"] = COLON
    OPERATOR["?"] = QUESTION
    OPERATOR["@"] = AT
    OPERATOR["|"] = BAR
    OPERATOR["!"] = BANG
    OPERATOR["("] = LPAREN
    OPERATOR[")"] = RPAREN
    OPERATOR["["] = LBRACKET
    OPERATOR["]"] = RBRACKET

    @_(r"\{")
    def LBRACE(self, t: Any) -> Any:
        self.depth += 1
        return t

    @_(r"\}")
    def RBRACE(self, t: Any) -> Any:
        if self.depth:
            self.depth -= 1
        elif self.modes:
            t.type = "INTERP_CLOSE"
            self.begin(TextLexer if self.modes[-1][0] == '"' else TemplateLexer)
        return t

    @_(r"[0-9][0-9A-Za-z_]*(?:\.[0-9][0-9A-Za-z_]*)?")
    def NUMBER(self, t: Any) -> Any:
        if t.value[-1] in "eE" and t.value[:2] not in ("0x", "0X"):  # 1e+9: the sign is not a word
            exponent = _EXPONENT.match(self.text, t.end)
            if exponent:
                t.value += exponent[0]
                t.end = self.index = exponent.end()
        t.value = self.number(t)
        return t

    @_(r'"')
    def TEXT_OPEN(self, t: Any) -> Any:
        self.enter(t)
        return t

    @_(r"`")
    def TEMPLATE_OPEN(self, t: Any) -> Any:
        t.type = "TEXT_OPEN"
        self.enter(t)
        return t

    @_(r"'")
    def QUOTE(self, t: Any) -> Any:
        text = self.text
        label = _LABEL.match(text, t.index)
        if label and self.is_label(t.index):
            t.type, t.value = "LABEL", label[1]
            self.labels.add(label[1])
            t.end = self.index = label.end()
            return t
        t.type = "TEXT"
        quoted = _SINGLE_QUOTED.match(text, t.index)
        if quoted:
            t.end = self.index = quoted.end()
            t.value = self.unescape_all(quoted[1], t.index + 1)
            return t
        stop = text.find("\n", t.index)
        t.end = self.index = len(text) if stop < 0 else stop
        t.value = text[t.index + 1 : t.end]
        self.fault("FL002", "text is not closed", t, "expected `'` before the end of the line")
        return t

    @_(r"[A-Za-z_][A-Za-z0-9_]*+|[^\x00-\x7f]")
    def WIDE_NAME(self, t: Any) -> Any:
        text, end = self.text, t.end
        if not t.value.isidentifier():
            return self.bad(t)
        while end < len(text) and ("a" + text[end]).isidentifier():
            end += 1
        t.end = self.index = end
        t.value = unicodedata.normalize("NFC", text[t.index : end])
        t.type = "TYPE_NAME" if t.value[0].isupper() else "NAME"
        return t

    @_(r"[^\n]")
    def BAD(self, t: Any) -> Any:
        return self.bad(t)


class InterpolationLexer(FlinLexer):
    """FLIN code inside `{...}` of a `"` text, where a line may not end."""

    tokens = {END_OF_LINE}
    ignore = " \t\r"

    @_(r"\n")
    def END_OF_LINE(self, t: Any) -> Any:
        return self.end_of_line(t, in_code=True)


class TextLexer(_Reader, Lexer):
    """The inside of a `"` text; a `{` that cannot start an expression is literal."""

    tokens = {CHUNK, ESCAPE, INTERP_OPEN, TEXT_CLOSE, END_OF_LINE, BAD}

    CHUNK = r"(?:[^\"{\\\n\x00-\x08\x0b-\x1f]++|\{\{|\{(?![\w(\[!\-'`]))++"

    @_(r"\\(?:u\{[^}\"\n]*\}|[^\n])?")
    def ESCAPE(self, t: Any) -> Any:
        t.type, t.value = "CHUNK", self.unescape(t.value, t.index)
        return t

    @_(r"\{")
    def INTERP_OPEN(self, t: Any) -> Any:
        self.begin(InterpolationLexer)
        return t

    @_(r'"')
    def TEXT_CLOSE(self, t: Any) -> Any:
        self.leave()
        return t

    @_(r"\r?\n")
    def END_OF_LINE(self, t: Any) -> Any:
        return self.end_of_line(t, in_code=False)

    @_(r"[\x00-\x1f]")
    def BAD(self, t: Any) -> Any:
        message, _ = describe_character(t.value)
        self.fault("FL001", message, t, "", f"write it as `\\u{{{ord(t.value):x}}}`")


class TemplateLexer(_Reader, Lexer):
    """The inside of a template; only `${` starts an expression."""

    tokens = {CHUNK, ESCAPE, INTERP_OPEN, TEXT_CLOSE, BAD}

    @_(r"(?:[^`$\\\x00-\x08\x0b\x0c\x0e-\x1f]++|\$(?!\{))++")
    def CHUNK(self, t: Any) -> Any:
        t.value = t.value.replace("\r\n", "\n")
        return t

    @_(r"\\(?:u\{[^}`\n]*\}|[^\n])?")
    def ESCAPE(self, t: Any) -> Any:
        t.type, t.value = "CHUNK", self.unescape(t.value, t.index)
        return t

    @_(r"\$\{")
    def INTERP_OPEN(self, t: Any) -> Any:
        self.begin(FlinLexer)
        return t

    @_(r"`")
    def TEXT_CLOSE(self, t: Any) -> Any:
        self.leave()
        return t

    @_(r"[\x00-\x1f]")
    def BAD(self, t: Any) -> Any:
        message, _ = describe_character(t.value)
        self.fault("FL001", message, t, "", f"write it as `\\u{{{ord(t.value):x}}}`")
