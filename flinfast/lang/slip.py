"""What people used to other languages write: one diagnostic that shows the FLIN way, and a mend.

A pass over the balanced tokens of a file that has faults, before its line structure is decided;
what it mends is read as what was meant, so that one slip is one diagnostic. Rules: nothing that
FLIN gives a useful meaning is touched; the work is linear in the number of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from flinfast.lang.modifier import MODIFIERS, canonical
from flinfast.lang.source import Source, Span
from flinfast.lang.token import make_token
from flinfast.lang.vocabulary import LINE_STARTERS, RAW_CLOSER_OF, types

Report = Callable[..., None]

_QUOTED_MAX: Final = 24  # characters of source text quoted in a help
_NAMES: Final = frozenset({"NAME", "TYPE_NAME"})
_KEYS: Final = _NAMES | {"TEXT"}
_TEXTS: Final = frozenset({"TEXT", "TEXT_OPEN"})
_DECLARING: Final = frozenset({"let", "const", "var"})
_PREFIXES: Final = frozenset("fFrRbBuUtT") | {"rf", "fr", "rb", "br"}
# A value starts after one of these, in whatever brackets.
_BEFORE_VALUE: Final = frozenset({"ASSIGN", "LPAREN", "RETURN", "COLON", "SAVE"})
_OPERATORS: Final = types("AND OR NOT BANG EQ NE LT LE GT GE PLUS MINUS TIMES DIVIDE MOD COALESCE")
_AFTER_PATTERN: Final = frozenset({"ASSIGN", "ARROW", "FAT_ARROW", "BAR"})
_STATEMENT_STARTS: Final = LINE_STARTERS - {"LBRACE"}
_NOT_OPERANDS: Final = types("ASSIGN DOT COMMA COLON RBRACE LPAREN") | {""}
_ELSE_IF: Final = frozenset({"elif", "elseif", "elsif"})
_SEPARATORS: Final = frozenset({"COMMA", "SEMICOLON"})
# What may end a field's type, modifier or default, and the words that do not.
_FIELD_ENDS: Final = types("NAME TYPE_NAME NONE RBRACKET RPAREN GT QUESTION TEXT NUMBER TRUE FALSE")
_NOT_TYPES: Final = frozenset({"is", "semantic", "then"})
_TYPE_STOPS: Final = frozenset({"LBRACE", "FAT_ARROW", "FN", ""})
_HEADS: Final = frozenset({"IF", "WHILE", "FOR", "MATCH"})
# Word without `on` -> event.
_EVENTS: Final = {
    "connect": "connect",
    "open": "connect",
    "message": "message",
    "close": "close",
    "disconnect": "close",
}
_ON: Final = re.compile(r"on_?([A-Z]?[a-z]+)")
# Slips that the grammar takes for something else; what else this finds costs a second reading.
# Each starts with what a search finds quickly.
_SUSPECTS: Final = (
    re.compile(r"[\"'`](?:(?<=\W[fFrRbBuUtT].)|(?<=\W(?:rf|fr|rb|br).))"),
    re.compile(
        r"\{(?:(?<=[=(,:].)|(?<=[=(,:]\s.)|(?<=\breturn\s.))\s*+\w++\s*+=(?![=>])", re.DOTALL
    ),
    re.compile(r"el(?:(?<=\Wel)|(?<=^el))(?:if|seif|sif)\b"),
    re.compile(r"\n[ \t]*+(?:\+\+|--)\w++[ \t]*+(?:[\n;}]|\Z)"),
    re.compile(r"ws(?:[ \t]*+/|[ \t]++[\"'])"),
)


def is_suspect(text: str) -> bool:
    """Whether a file without faults may hold a slip all the same."""
    return any(found.search(text) for found in _SUSPECTS)


def mend(
    tokens: list[Any], partners: list[int], source: Source, report: Report
) -> list[Any] | None:
    """Report and mend every slip.

    Args:
        tokens: As `balance` gives them; tokens of slips are changed in place.
        partners: For each opener's index the index of its closer.
        source: Where they come from.
        report: Called with code, message, span, label and help for each slip.

    Returns:
        The tokens to read instead, still balanced, or None when there is no slip.
    """
    slips = _Slips(tokens, partners, source, report)
    slips.find()
    return slips.mended() if slips.count else None


class _Slips:
    """The slips of one file.

    Attributes:
        count: How many were found.
    """

    def __init__(
        self, tokens: list[Any], partners: list[int], source: Source, report: Report
    ) -> None:
        self.count = 0
        self._tokens = tokens
        self._partners = partners
        self._source = source
        self._text = source.text
        self._report = report
        self._outer = [-1] * len(tokens)  # index of the innermost opener around each token
        self._opener = [-1] * len(tokens)  # index of each closer's opener
        self._before: dict[int, list[Any]] = {}  # index -> tokens to add before it
        self._dropped: set[int] = set()
        self._ws_bodies: set[int] = set()  # indexes of their `{`
        self._field_line = 0  # line of the last mended field, from 1

    def find(self) -> None:
        """Look at every token once."""
        innermost = -1
        for index, token in enumerate(self._tokens):
            kind = token.type
            if innermost >= 0 and index == self._partners[innermost]:
                self._opener[index] = innermost
                innermost = self._outer[innermost]
            self._outer[index] = innermost
            if kind in RAW_CLOSER_OF:
                innermost = index
            look = _LOOKS.get(kind)
            if look is not None and index not in self._dropped:
                look(self, index)

    def mended(self) -> list[Any]:
        """The tokens with what was added and without what was dropped."""
        out: list[Any] = []
        for index, token in enumerate(self._tokens):
            out += self._before.get(index, ())
            if index not in self._dropped:
                out.append(token)
        return out

    def _kind(self, index: int) -> str:
        return self._tokens[index].type if 0 <= index < len(self._tokens) else ""

    def _word(self, index: int) -> str:
        """Spelling of the name at this index, or ""."""
        return self._tokens[index].value if self._kind(index) in _NAMES else ""

    def _starts_line(self, index: int) -> bool:
        if index == 0:
            return True
        before, token = self._tokens[index - 1], self._tokens[index]
        return self._text.find("\n", before.end, token.index) >= 0

    def _quote(self, first: int, last: int) -> str:
        """Source text of the tokens from first to last, or `...` when it is long."""
        if first > last:
            return "..."
        start, end = self._tokens[first].index, self._tokens[last].end
        text = self._text[start:end] if end - start <= _QUOTED_MAX else ""
        return text if text and "\n" not in text else "..."

    def _fault(
        self, first: int, last: int, message: str, label: str, help: str, code: str = "FL119"
    ) -> None:
        self.count += 1
        span = Span(self._tokens[first].index, self._tokens[last].end)
        self._report(code, message, span, label, help)

    def _add(self, index: int, *kinds: tuple[str, str]) -> None:
        """Add tokens, given by type and value, before the one at this index."""
        offset = self._tokens[index].index
        made = [make_token(kind, value, offset, offset) for kind, value in kinds]
        self._before.setdefault(index, []).extend(made)

    def _for(self, index: int) -> None:
        """`for (i = 0; ...)`, `for x of list`, `for (x in list)`."""
        first = index + 1
        close = -1
        if self._kind(first) == "LPAREN":
            close = self._partners[first]
            first += 1
        declares = self._word(first) in _DECLARING and self._kind(first + 1) != "IN"
        name = first + declares
        end = self._head_end(name, close)
        if end < 0:
            return
        if self._kind(name) in _NAMES and self._kind(name + 1) == "ASSIGN":
            self._counting(index, name, end)
            return
        after = name + 1
        if self._kind(name) == "LBRACKET":
            after = self._partners[name] + 1
        elif self._kind(name + 1) == "COMMA":
            after = name + 3
        if self._word(after) == "of":
            message = "`for ... of` is not FLIN"
        elif self._kind(after) == "IN" and (close > after or declares):
            message = "a `for` has no parentheses" if close > after else "a `for` declares its name"
        else:
            return
        names, items = self._quote(name, after - 1), self._quote(after + 1, end - 1)
        help = f"write `for {names} in {items} {{ ... }}`"
        place = after if self._word(after) == "of" else index + 1
        self._fault(place, place, message, "", help)
        self._tokens[after].type, self._tokens[after].value = "IN", "in"
        self._dropped.update(range(index + 1, name))
        if close >= 0:
            self._dropped.add(close)

    def _head_end(self, index: int, close: int) -> int:
        """Index after the head of a loop: of its `)`, if it has one, or of its `{`; or -1."""
        if close >= 0:
            return close if self._kind(close + 1) == "LBRACE" else -1
        while index < len(self._tokens):
            kind = self._kind(index)
            if kind == "LBRACE":
                return index
            if kind in ("LPAREN", "LBRACKET"):
                index = self._partners[index]
            elif kind in ("FOR", "RBRACE") or self._starts_line(index):
                return -1
            index += 1
        return -1

    def _counting(self, index: int, name: int, end: int) -> None:
        """A `for` of three parts counts over nothing; the help has its range."""
        tokens, partners = self._tokens, self._partners
        stops = []
        place = name
        while place < end:
            if tokens[place].type == "SEMICOLON":
                stops.append(place)
            place = (partners[place] if tokens[place].type in RAW_CLOSER_OF else place) + 1
        word = self._word(name)
        help = "count with `for i in 0..n { ... }`; another loop is `while condition { ... }`"
        if len(stops) == 2 and self._word(stops[0] + 1) == word:
            sign = self._kind(stops[0] + 2)
            step = "".join(str(token.value) for token in tokens[stops[1] + 1 : end])
            if sign in ("LT", "LE") and step in (f"{word}++", f"++{word}", f"{word}+=1"):
                start = self._quote(name + 2, stops[0] - 1)
                last = self._quote(stops[0] + 3, stops[1] - 1)
                dots = ".." if sign == "LT" else "..="
                help = f"write `for {word} in {start}{dots}{last} {{ ... }}`"
        last_index = end if tokens[end].type == "RPAREN" else end - 1
        self._fault(index + 1, last_index, "a `for` of three parts is not FLIN", "", help)
        self._dropped.update(range(index + 1, last_index + 1))
        brace = last_index + 1
        self._add(brace, ("NAME", word), ("IN", "in"), ("LBRACKET", "["), ("RBRACKET", "]"))

    # --- branches

    def _else_if(self, index: int) -> None:
        """`} elif c {`."""
        word = self._tokens[index].value
        if self._kind(index - 1) != "RBRACE" or self._kind(index + 1) in _NOT_OPERANDS:
            return
        self._fault(index, index, f"`{word}` is not FLIN", "", "write `else if`")
        token = self._tokens[index]
        token.type, token.value = "ELSE", "else"
        self._add(index + 1, ("IF", "if"))

    def _else(self, index: int) -> None:
        """`else -> 2` in a `match`."""
        if self._kind(index + 1) not in ("ARROW", "FAT_ARROW"):
            return
        sign = self._quote(index + 1, index + 1)
        message = "what fits everything is written `_`"
        self._fault(index, index, message, "", f"write `_ {sign} ...`")
        self._tokens[index].type, self._tokens[index].value = "NAME", "_"

    # --- functions

    def _parameters(self, index: int) -> None:
        """`([a, b]) => ...`, `fn f({ a, b }) { ... }`: the first parameter that is a pattern."""
        close = self._partners[index]
        is_lambda = self._kind(close + 1) == "FAT_ARROW" and self._is_value(index)
        if not is_lambda and self._kind(index - 1 - (self._kind(index - 1) in _NAMES)) != "FN":
            return
        place = index + 1
        while place < close:
            kind = self._kind(place)
            if kind == "LT":
                return  # what stands in `list<text, [int]>` is a type
            end = self._partners[place] if kind in RAW_CLOSER_OF else place
            if kind in ("LBRACKET", "LBRACE") and self._kind(place - 1) in ("LPAREN", "COMMA"):
                pattern = self._quote(place, end)
                help = f"call it `item`, and take it apart in the body: `{pattern} = item`"
                self._fault(place, end, "a parameter is a name", "", help, "FL114")
                self._dropped.update(range(place, end + 1))
                self._add(place, ("NAME", "item"))
                return
            place = end + 1

    def _arrow(self, index: int) -> None:
        """`(a, b) -> ...` and `x -> ...` where a value stands."""
        first = index - 1
        if self._kind(first) == "RPAREN":
            first = self._opener[first]
            if self._kind(first + 1) not in ("NAME", "RPAREN", "ELLIPSIS"):
                return
        elif self._kind(first) != "NAME":
            return
        if not self._is_value(first):
            return
        tokens = self._tokens
        if (
            tokens[index - 1].end == tokens[index].index
            and self._word(index + 1)
            and (tokens[index].end == tokens[index + 1].index and first == index - 1)
        ):
            help = f"write `{self._word(first)}.{self._word(index + 1)}`"
            self._fault(first, index + 1, "a member is read with `.`", "", help)
            tokens[index].type, tokens[index].value = "DOT", "."
            return
        head = self._quote(first, index - 1)
        help = f"write `{head} => ...`"
        self._fault(index, index, "a function value is written with `=>`", "", help)
        self._tokens[index].type, self._tokens[index].value = "FAT_ARROW", "=>"

    def _is_value(self, index: int) -> bool:
        """Whether a value starts here, after a sign that says so."""
        before = self._kind(index - 1)
        if before == "COMMA":
            return self._kind(self._outer[index]) == "LPAREN"
        return before in _BEFORE_VALUE

    def _function(self, index: int) -> None:
        """`fn f(): int`."""
        if self._kind(index - 1) in ("DOT", "OPTIONAL_DOT"):
            return
        paren = index + 1 + (self._kind(index + 1) in _NAMES)
        if self._kind(paren) != "LPAREN":
            return
        colon = self._partners[paren] + 1
        if self._kind(colon) != "COLON":
            return
        following = colon + 1
        while self._kind(following) not in _TYPE_STOPS and not self._starts_line(following):
            following += 1
        head = self._quote(index, colon - 1)
        result = self._quote(colon + 1, following - 1)
        head = head if head != "..." else "fn name(...)"
        help = f"write `{head} -> {result} {{ ... }}`"
        self._fault(colon, colon, "the type of a result stands after `->`", "", help)
        if self._kind(following) == "FAT_ARROW":  # which is a fault of its own
            self._dropped.update(range(colon, following))
            return
        self._tokens[colon].type, self._tokens[colon].value = "ARROW", "->"

    # --- ws

    def _name(self, index: int) -> None:
        """A name may be the prefix of a text, the start of a handler or a modifier without `@`."""
        following = self._kind(index + 1)
        if following in _TEXTS and self._tokens[index].end == self._tokens[index + 1].index:
            self._prefix(index)
            return
        word, outer = self._tokens[index].value, self._outer[index]
        if word in _ELSE_IF:
            self._else_if(index)
        elif outer < 0:
            if word == "ws" and self._starts_line(index):
                self._ws(index)
        elif outer in self._ws_bodies:
            self._handler(index, outer)
        elif canonical(word) in MODIFIERS:
            self._modifier(index, outer)

    def _ws(self, index: int) -> None:
        """`ws {` is remembered, of `ws /chat {` and `ws "/chat" {` the path is dropped."""
        brace = index + 1
        while self._kind(brace) not in ("LBRACE", "") and not self._starts_line(brace):
            brace += 1
        if self._kind(brace) != "LBRACE":
            return
        if self._kind(index + 1) in ("DIVIDE", "TEXT"):
            help = "write `ws { ... }`: it answers at the path of its file"
            self._fault(index + 1, brace - 1, "a `ws` has no path of its own", "", help)
            self._dropped.update(range(index + 1, brace))
        elif brace != index + 1:
            return
        self._ws_bodies.add(brace)

    def _handler(self, index: int, body: int) -> None:
        """`on message data {`, `message(data) {`, `fn onMessage(data) {`."""
        first = index - (self._kind(index - 1) == "FN")
        if first != body + 1 and not self._starts_line(first):
            return
        word = self._tokens[index].value
        if word == "on" and first == index:
            kinds = [self._kind(place) for place in range(index + 1, index + 4)]
            if kinds == ["NAME", "NAME", "LBRACE"]:
                event, name = self._word(index + 1), self._word(index + 2)
                help = f"write `on {event}({name}) {{ ... }}`"
                self._fault(index + 2, index + 2, "a parameter stands in parentheses", "", help)
                self._add(index + 2, ("LPAREN", "("))
                self._add(index + 3, ("RPAREN", ")"))
            return
        match = _ON.fullmatch(word)
        event = _EVENTS.get(match[1].lower() if match else word, "")
        end = index
        if self._kind(index + 1) == "LPAREN":
            end = self._partners[index + 1]
        if not event or self._kind(end + 1) != "LBRACE":
            return
        parameters = self._quote(index + 1, end) if end > index else ""
        help = f"write `on {event}{parameters} {{ ... }}`"
        self._fault(first, index, "a handler of `ws` starts with `on`", "", help)
        self._dropped.update(range(first, index))
        self._add(first, ("NAME", "on"))
        self._tokens[index].value = event

    # --- fields

    def _modifier(self, index: int, body: int) -> None:
        """`title: text required` in an entity or `validate`."""
        is_entity = self._kind(body - 1) == "TYPE_NAME" and self._kind(body - 2) == "ENTITY"
        if not is_entity and self._word(body - 1) != "validate":
            return
        before, word = self._kind(index - 1), self._tokens[index].value
        if (
            self._starts_line(index)
            or before not in _FIELD_ENDS
            or self._kind(index + 1) == "COLON"
            or (MODIFIERS[canonical(word)].arguments[0] and self._kind(index + 1) != "LPAREN")
            or self._word(index - 1) in _NOT_TYPES
        ):
            return
        line = self._source.line_of(self._tokens[index].index)
        if line != self._field_line:
            help = f"write `@{word}`"
            self._fault(index, index, f"the modifier `{word}` lacks its `@`", "", help)
        self._field_line = line
        self._add(index, ("AT", "@"))

    # --- values

    def _prefix(self, index: int) -> None:
        """`f"..."`."""
        word = self._tokens[index].value
        if word not in _PREFIXES or self._kind(index - 1) in ("DOT", "OPTIONAL_DOT"):
            return
        if "f" not in word.lower():
            help = f"leave the `{word}` out"
        elif self._text[self._tokens[index].end] == "'":
            help = 'leave the `f` out, and write `"`: such a text replaces `{name}` by its value'
        else:
            help = f"leave the `{word}` out: every text replaces `{{name}}` by its value"
        self._fault(index, index, "a text has no prefix", "", help)
        self._dropped.add(index)

    def _brace(self, index: int) -> None:
        """`{ "a" = 1 }`, `x = { a = 1 }`, `Post { title = "x" }`, and `if c and {`."""
        before, first, close = self._kind(index - 1), index + 1, self._partners[index]
        if before in _OPERATORS:
            self._operand(index, close)
            return
        if self._kind(first) in _NAMES and self._kind(first + 1) == "COMMA":
            self._shorthand(index, close)
            return
        if self._kind(first + 1) != "ASSIGN" or self._kind(first) not in _KEYS:
            return
        if self._kind(first) in _NAMES and (
            self._kind(close + 1) == "LBRACE"
            or not self._opens_map(index)
            or self._is_in_pattern(index)
        ):
            return
        signs = self._entries(first, close)
        if not signs:
            return
        key = self._quote(first, first)
        help = f"write `{key}: ...`"
        message = "an entry of a map is written with `:`"
        self._fault(signs[0], signs[0], message, "", help)
        for sign in signs:
            self._tokens[sign].type, self._tokens[sign].value = "COLON", ":"

    def _shorthand(self, index: int, close: int) -> None:
        """`return { name, age: 5 }`, where a map starts."""
        if not self._opens_map(index) or self._is_in_pattern(index):
            return
        place, starts, names = index + 1, True, []
        while place < close:
            kind = self._kind(place)
            is_alone = self._kind(place + 1) == "COMMA" or place + 1 == close
            if starts and kind in _NAMES and is_alone:
                names.append(place)
            starts = kind == "COMMA"
            place = (self._partners[place] if kind in RAW_CLOSER_OF else place) + 1
        name = self._quote(names[0], names[0])
        message = "an entry of a map has a key and a value"
        self._fault(names[0], names[0], message, "", f"write `{name}: {name}`")
        for place in names:
            self._add(place + 1, ("COLON", ":"), ("NAME", self._word(place)))

    def _opens_map(self, index: int) -> bool:
        """Whether a value starts with this `{`, or with the name of an entity before it."""
        if self._kind(index - 1) != "TYPE_NAME":
            return self._is_value(index)
        place = index - 1
        if not self._is_value(place):
            return False
        while not self._starts_line(place):  # not between a `while let` and its body
            place -= 1
            if self._kind(place) in ("LBRACE", "RBRACE"):
                break
            if self._kind(place) in _HEADS:
                return False
        return True

    def _is_in_pattern(self, index: int) -> bool:
        """Whether one of the brackets around this may be a pattern: `{ a: { b = 1 } } = c`."""
        while index >= 0:
            if self._kind(self._partners[index] + 1) in _AFTER_PATTERN:
                return True
            index = self._outer[index]
        return False

    def _entries(self, first: int, close: int) -> list[int]:
        """Indexes of the `=` of every entry, or none when something else stands there, too."""
        signs = []
        place = first
        starts = True
        while place < close:
            kind = self._kind(place)
            if kind in _SEPARATORS:
                starts = True
            elif starts or self._starts_line(place):
                sign = self._kind(place + 1) if kind in _KEYS else ""
                if sign == "ASSIGN":
                    signs.append(place + 1)
                elif sign != "COLON":
                    return []
                starts = False
            place = (self._partners[place] if kind in RAW_CLOSER_OF else place) + 1
        return signs

    def _operand(self, index: int, close: int) -> None:
        """`if c and {`: the block has no other place."""
        if self._kind(index + 1) in ("RBRACE", "ELLIPSIS") or self._kind(index + 2) == "COLON":
            return  # a map
        following = self._kind(close + 1)
        if following not in ("ELSE", "RBRACE", "") and not (
            following in _STATEMENT_STARTS and self._starts_line(close + 1)
        ):
            return
        place = index - 1
        while self._kind(place) not in ("IF", "WHILE"):
            is_outside = self._outer[place] != self._outer[index]
            if is_outside or self._starts_line(place) or self._word(place) == "then":
                return
            place -= 1
        if self._kind(place + 1) == "COLON" or self._kind(place - 1) in ("DOT", "OPTIONAL_DOT"):
            return  # a key
        sign = self._quote(index - 1, index - 1)
        message = f"expected an expression after `{sign}`"
        self._fault(index, index, message, "found `{`", "", "FL116")
        self._add(index, ("NONE", "none"))

    def _step(self, index: int) -> None:
        """`++i` on a line of its own: it would go on with the line before."""
        name, sign, end = self._word(index + 1), self._tokens[index].value, index + 2
        is_glued = index and name and self._tokens[index].end == self._tokens[index + 1].index
        if is_glued and self._starts_line(index) and self._ends_line(end):
            help = f"write `{name} {sign[0]}= 1`"
            self._fault(index, index + 1, f"`{sign}` stands after the name", "", help)
            self._dropped.add(index)

    def _ends_line(self, index: int) -> bool:
        return self._kind(index) in ("RBRACE", "SEMICOLON", "") or self._starts_line(index)

    def _paren(self, index: int) -> None:
        """A call or parameters."""
        self._parameters(index)
        self._call(index)

    def _call(self, index: int) -> None:
        """`Post.where(title = "x")`."""
        if self._word(index - 1) != "where" or self._kind(index - 2) not in ("DOT", "OPTIONAL_DOT"):
            return
        place, close = index + 1, self._partners[index]
        is_reported = False
        while place < close:
            kind = self._kind(place)
            if kind == "ASSIGN":
                if not is_reported:
                    name = self._quote(place - 1, place - 1)
                    help = f"write `{name} == ...` to compare"
                    message = "`=` in a condition"
                    label = "this assigns instead of comparing"
                    self._fault(place, place, message, label, help, "FL107")
                is_reported = True
                self._tokens[place].type, self._tokens[place].value = "EQ", "=="
            place = (self._partners[place] if kind in RAW_CLOSER_OF else place) + 1


_LOOKS: Final[dict[str, Callable[[_Slips, int], None]]] = {
    "FOR": _Slips._for,
    "ARROW": _Slips._arrow,
    "FN": _Slips._function,
    "NAME": _Slips._name,
    "TYPE_NAME": _Slips._name,
    "LBRACE": _Slips._brace,
    "LPAREN": _Slips._paren,
    "ELSE": _Slips._else,
    **dict.fromkeys(("PLUS_PLUS", "MINUS_MINUS"), _Slips._step),
}
