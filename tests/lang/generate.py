"""Random FLIN programs: every form of the syntax, and programs that nearly are some.

`Writer` writes well-formed text from a `random.Random`; tests draw seeds through Hypothesis
(`programs`), and searches run over plain ones. With `runs`, names
are those in scope and loops end, so that most programs also compile and run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from flinfast.lang.brackets import balance
from flinfast.lang.lexer import FlinLexer
from flinfast.lang.source import Source
from flinfast.lang.token import make_token

INDENT = "    "
DEPTH = 4  # expressions inside expressions
NAMES = ("a", "b", "item", "user_id", "count", "text", "on", "type", "route", "är")
TYPES = ("User", "Ticket")
FIELDS = ("name", "state", "if", "type", "in", "len", "match")
WORDS = ("text", "int", "number", "bool", "time", "any", "string", "float", "User", "none")
OPERATORS = (
    *("+", "-", "*", "/", "%", "**", "++", "==", "!=", "<", "<=", ">", ">=", "in", "not in"),
    *("&&", "||", "and", "or", "??", "?:"),
)
PURE = ("len", "to_text", "to_int", "to_bool", "type_of", "to_json", "to_number")
# What the body of a request holds where programs run: something of every kind.
BODY = {
    "text": "a text",
    "number": 2.5,
    "count": 3,
    "zero": 0,
    "yes": True,
    "list": [3, 1, "x", None, [2]],
    "map": {"name": "Ada", "in": [1, 2], "len": 5},
    "nothing": None,
}
METHODS = (
    *("len", "upper", "trim", "first", "last", "keys", "reverse", "sum", "sort", "split", "slice"),
    *("contains", "push", "pop", "join", "map", "filter", "get", "to_text", "unique", "repeat"),
)


class Writer:
    """Writes one program.

    Attributes:
        variables: Names that may be read here; only kept when the program is to run.
    """

    def __init__(self, source: Any, *, runs: bool = False) -> None:
        self.random = source
        self.runs = runs
        self.variables: list[str] = []
        self.functions: list[tuple[str, int]] = []  # names and how many arguments they take
        self._depth = 0
        self._indent = 0
        self._counters = 0
        self._loops: list[str] = []  # labels of the loops around, "" for one without
        self._in_function = False
        self._bound: list[str] = []  # names that the pattern or the parameters just written bind

    # --- choosing

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return bool(self.random.random() < share)

    def pick(self, *options: Any) -> Any:
        """One of some values."""
        return options[self.random.randrange(len(options))]

    def one_of(self, *forms: Callable[[], str]) -> str:
        """What one of some methods writes."""
        return str(self.pick(*forms)())

    def some(self, form: Callable[[], str], most: int = 3, least: int = 0) -> list[str]:
        """What a method writes, several times."""
        return [form() for _ in range(self.random.randint(least, most))]

    def commas(self, parts: Sequence[str]) -> str:
        """Parts of a list in brackets, with line breaks and a comma at the end now and then."""
        if self.chance(0.15) and parts:
            return "\n" + ",\n".join(parts) + self.pick("", ",") + "\n"
        return self.pick(", ", ",", " , ").join(parts) + (self.pick("", "", ",") if parts else "")

    def line(self) -> str:
        """A new line of code."""
        return "\n" + INDENT * self._indent

    # --- files

    def program(self) -> str:
        """A whole file."""
        if not self.runs and self.chance(0.03):
            return str(self.pick("", "\n", ";;"))
        items = [self.guards() for _ in range(self.random.randint(0, 2))]
        forms: list[Callable[[], str]] = [
            *(self.entity, self.enum, self.alias, self.function, self.guard_definition),
            *(self.statement, self.statement, self.route, self.ws, self.middleware, self.test),
        ]
        if self.runs:
            forms = [self.function, self.function, self.enum]
        for _ in range(self.random.randint(1, 5)):
            items.append(self.pick(*forms)())
        if self.runs:
            items.append(self.in_function(lambda: "route GET " + self.block()))
        return self.pick("\n", "\n\n", "\n").join(items) + self.pick("\n", "")

    def guards(self) -> str:
        if self.chance(0.3) and not self.runs:
            entries = [
                f"{self.pick('auth', 'role', 'csrf')}: {self.pick('required', 'true', '5')}"
                for _ in range(self.random.randint(1, 3))
            ]
            return "guards { " + self.pick(", ", "\n").join(entries) + " }"
        name = self.pick("auth", "csrf")
        return f"guard {name}" + (
            "" if self.runs else self.pick("", "()", f"({self.arguments(least=1)})")
        )

    def entity(self) -> str:
        return f"entity {self.pick(*TYPES)} {self.fields()}"

    def fields(self) -> str:
        """The braces of an entity or of `validate`."""
        separator = self.pick("\n", ", ", ",\n", " ")
        names = self.random.sample(FIELDS, self.random.randint(0, 4))
        return "{ " + separator.join(map(self.field, names)) + " }"

    def field(self, name: str) -> str:
        text = f"{name}: {self.type()}"
        value = self.expression()
        if "@" in value:
            value = f"({value})"  # in a field, `@` starts a modifier
        default = f" = {value}" if self.chance(0.3) else ""
        modifiers = "".join(self.some(self.modifier, 2))
        return text + (default + modifiers if self.chance(0.3) else modifiers + default)

    def modifier(self) -> str:
        separator = self.pick(" ", "\n" + INDENT)
        arguments = self.pick("", "()", f"({self.commas(self.some(self.expression, 2, 1))})")
        return f"{separator}@{self.pick('required', 'minLength', 'one_of', 'default')}{arguments}"

    def enum(self) -> str:
        names = self.random.sample(("Open", "Closed", "Lost", "done"), self.random.randint(0, 4))
        separator = self.pick(", ", "\n", " ")
        forms = [name if self.runs else self.variant(name) for name in names]
        number = self._counters = self._counters + 1
        return f"enum Status{number} {{ " + separator.join(forms) + " }"

    def variant(self, name: str) -> str:
        types = ", ".join(self.some(self.type, 2, 1))
        return name + self.pick("", f"({types})", f" = {self.operand()}")

    def alias(self) -> str:
        name = self.pick("Id", "Id<T>", "Pair<T, [U]>")
        return f"type {name} = {self.type()}"

    def parameters(self) -> str:
        names = self.random.sample(("x", "y", "z"), self.random.randint(0, 3))
        parts = []
        for name in names:
            annotation = f": {self.value_type()}" if self.chance(0.3) else ""
            default = f" = {self.operand()}" if self.chance(0.2) else ""
            parts.append(name + annotation + default)
        if self.chance(0.15):
            names.append("others")
            parts.append("...others" + ("" if self.runs else self.pick("", ": [int]")))
        self._bound = names
        return "(" + self.commas(parts) + ")"

    def value_type(self) -> str:
        return self.pick("int", "text", "any") if self.runs else self.type()

    def function(self) -> str:
        prefix = "" if self.runs else self.pick("", "server ", "async ", "server async ")
        word = self.pick("fn", "function")
        self._counters += 1
        name = f"{self.pick('f', 'F') if not self.runs else 'f'}{self._counters}"
        head = f"{prefix}{word} {name}{self.parameters()}"
        result = f" -> {self.value_type()}" if self.chance(0.2) and not self.runs else ""
        names = self._bound
        body = self.in_function(lambda: self.scoped(names, self.block))
        self.functions.append((name, len(names)))
        return head + result + " " + body

    def guard_definition(self) -> str:
        head = f"guard_definition {self.pick('owner', 'level')}"
        self._bound = []
        if self.chance(0.6):
            head += self.parameters()
        return head + " " + self.in_function(lambda: self.scoped(self._bound, self.block))

    def middleware(self) -> str:
        return "middleware " + self.in_function(self.block)

    def test(self) -> str:
        return f"test {self.pick(QUOTED, SINGLE)} " + self.in_function(self.tested)

    def tested(self) -> str:
        return self.braces(self.some(lambda: self.one_of(self.statement, self.expect), 3))

    def expect(self) -> str:
        value = self.expression()
        reason = self.text_on_a_line()
        word = self.pick("expect", "assert")
        if value.startswith(("(", "-", "[", "{", "+")):
            return f"{word}({value}, {reason})"
        return f"{word} {value}" + self.pick("", f", {reason}")

    def route(self) -> str:
        method = self.pick("GET", "POST", "DELETE")
        path = self.pick("", "", ' "/a"', " /a/b")
        return f"route {method}{path} " + self.in_function(self.route_body)

    def route_body(self) -> str:
        parts = [self.guards() for _ in range(self.random.randint(0, 1))]
        if self.chance(0.4):
            parts.append(f"validate {self.fields()}")
        return self.braces([*parts, *self.some(self.statement, 3)])

    def ws(self) -> str:
        parts = [self.guards() for _ in range(self.random.randint(0, 1))]
        forms = ["connect", "connect()", "message", "message(data)", "close", "close(why)"]
        for form in self.random.sample(forms, self.random.randint(0, 3)):
            parts.append(f"on {form} " + self.in_function(self.block))
        return "ws " + self.braces(parts)

    # --- blocks and statements

    def in_function(self, form: Callable[[], str]) -> str:
        """What a method writes inside a function, where `return` may stand and no loop is."""
        loops, self._loops = self._loops, []
        inside, self._in_function = self._in_function, True
        text = form()
        self._loops, self._in_function = loops, inside
        return text

    def scoped(self, names: Sequence[str], form: Callable[[], str]) -> str:
        """What a method writes where more names are known."""
        before = self.variables
        self.variables = [*before, *names]
        text = form()
        self.variables = before
        return text

    def braces(self, parts: Sequence[str]) -> str:
        """Statements between braces, on one line or several."""
        if not parts:
            return self.pick("{}", "{ }")
        if len(parts) == 1 and self.chance(0.4):
            return "{ " + parts[0] + " }"
        separator = self.pick(self.line() + INDENT, "; ", "\n\n") if self.chance(0.9) else ";\n"
        return "{" + self.line() + INDENT + separator.join(parts) + self.line() + "}"

    def block(self) -> str:
        """A block with its own names."""
        return self.scoped((), lambda: self.braces(self.statements()))

    def value_block(self) -> str:
        """A block where a map might stand: it does not start like one."""
        text = self.block()
        if re.match(r"\{\s*(\}|\.|[\w']+\s*:|\"[^\"]*\"\s*:)", text):
            return "{ 0\n" + text[1:]
        return text

    def statements(self) -> list[str]:
        self._depth += 1
        self._indent += 1
        least = 1 if self.runs else 0
        most = 1 if self._depth > DEPTH else 3
        found = self.some(self.statement, most, least)
        self._indent -= 1
        self._depth -= 1
        return found

    def statement(self) -> str:
        if self._depth > DEPTH:
            return self.expression()
        forms = [
            *(self.expression, self.assign, self.assign, self.declare, self.destructure),
            *(self.loop, self.loop, self.choice, self.match, self.step, self.jump, self.save),
        ]
        return self.one_of(*forms)

    def new_name(self) -> str:
        if self.runs:
            self._counters += 1
            return f"v{self._counters}"
        return str(self.pick(*NAMES))

    def assign(self) -> str:
        value = self.expression()
        if self.runs and not (self.variables and self._in_function and self.chance(0.5)):
            name = self.new_name()
            self.variables.append(name)
            return f"{name} = {value}"
        operator = self.pick("=", "=", "+=", "-=", "*=", "/=")
        return f"{self.target()} {operator} {value}"

    def target(self) -> str:
        name = self.name()
        return name + self.pick("", "", f".{self.pick(*FIELDS)}", f"[{self.operand()}]")

    def declare(self) -> str:
        value = self.expression()
        words = ("let", "var", "const") if self.runs else ("let", "var", "const", "shared", "")
        word = self.pick(*words)
        name = self.new_name() if self.runs else self.pick(*NAMES, "MAX")
        annotation = f": {self.value_type()}" if not word or self.chance(0.3) else ""
        self.variables.append(name)
        return f"{word} {name}{annotation} = {value}".lstrip()

    def destructure(self) -> str:
        value = self.expression()
        self._bound = []
        pattern = self.group_pattern(binds=True)
        self.variables += self._bound
        prefix = self.pick("", "let ", "var ", "const ")
        return f"{prefix}{pattern} = {value}"

    def step(self) -> str:
        if self.runs:
            return self.assign()
        return self.target() + self.pick("++", "--")

    def jump(self) -> str:
        if self._loops and self.chance(0.7):
            label = self.pick(*self._loops)
            tail = f" '{label}" if label else ""
            if self.chance(0.5):
                return "continue" + tail
            return "break" + tail + self.pick("", f" {self.expression()}")
        if not self._in_function:
            return self.expression()
        return "return" + self.pick("", f" {self.expression()}")

    def save(self) -> str:
        if self.runs:
            return self.expression()
        return f"{self.pick('save', 'delete', 'destroy', 'restore')} {self.expression()}"

    def loop(self) -> str:
        label = self.pick("", "", "outer", "again")
        prefix = f"'{label}: " if label else ""
        if self.chance(0.6):
            return prefix + self.for_loop(label)
        return self.while_loop(prefix, label)

    def for_loop(self, label: str) -> str:
        first, second = self.pick(("x", "i"), ("k", "v"))
        form = self.pick(
            first, f"{first}, {second}", f"({first}, {second})", f"[{first}, {second}]"
        )
        over = self.pick(f"0..{self.small()}", self.plain(), f"[{self.operand()}, 2]")
        names = [first, second] if second in form else [first]
        return f"for {form} in {over} " + self.scoped(names, lambda: self.loop_body(label))

    def while_loop(self, prefix: str, label: str) -> str:
        if not self.runs:
            pattern = self.pattern(binds=True)
            condition = self.pick(self.condition(), f"let {pattern} = {self.condition()}")
            return f"{prefix}while {condition} " + self.loop_body(label)
        self._counters += 1
        name = f"n{self._counters}"
        count = f"{name} += 1"
        body = self.loop_body(label, count)
        return f"{name} = 0\n{prefix}while {name} < 3 && {self.plain()} {body}"

    def loop_body(self, label: str, first: str = "") -> str:
        self._loops.append(label)
        statements = self.scoped_statements()
        self._loops.pop()
        return self.braces([first, *statements] if first else statements)

    def scoped_statements(self) -> list[str]:
        before = self.variables
        self.variables = list(before)
        found = self.statements()
        self.variables = before
        return found

    def choice(self) -> str:
        text = f"if {self.condition()} {self.block()}"
        while self.chance(0.3):
            text += self.pick(" ", "\n") + f"else if {self.condition()} {self.block()}"
        if self.chance(0.4):
            text += self.pick(" ", "\n") + f"else {self.block()}"
        return text

    def condition(self) -> str:
        """An expression before a `{`: literals in braces stand in parentheses there."""
        return self.pick(self.chain(self.plain), self.plain(), f"({self.expression()})")

    def match(self) -> str:
        arms = []
        self._depth += 1
        for _ in range(self.random.randint(0 if not self.runs else 1, 3)):
            self._bound = []
            patterns = " | ".join(
                [self.pattern(binds=False) for _ in range(self.random.randint(1, 2))]
                if self.chance(0.6)
                else [self.pattern(binds=True)]
            )
            arrow = self.pick("->", "=>")
            body = self.scoped(self._bound, lambda: self.one_of(self.expression, self.value_block))
            arms.append(f"{patterns} {arrow} {body}")
        self._depth -= 1
        separator = self.pick("\n", ", ", ",\n")
        return f"match {self.condition()} {{ {separator.join(arms)} }}"

    # --- patterns

    def pattern(self, *, binds: bool) -> str:
        literals = ("1", "-2", "2.5", '"x"', "'y'", "true", "false", "none", "null", "_")
        if self._depth > DEPTH:
            return str(self.pick(*literals))
        self._depth += 1
        form = self.random.randrange(6)
        if form == 0 and binds:
            text = self.bind()
        elif form == 1 and not self.runs:
            inner = ", ".join(self.some(lambda: self.pattern_item(binds=binds), 2, 1))
            text = self.pick("Open", "Status.Open", f"Some({inner})", f"Status.Open({inner})")
        elif form in (2, 3):
            text = self.group_pattern(binds=binds)
        else:
            text = self.pick(*literals)
        self._depth -= 1
        return str(text)

    def bind(self) -> str:
        name = self.new_name() if self.runs else self.pick("p", "q", "item")
        self._bound.append(name)
        return str(name)

    def pattern_item(self, *, binds: bool) -> str:
        if binds and self.chance(0.3):
            return f"{self.bind()} = {self.operand()}"
        return self.pattern(binds=binds)

    def group_pattern(self, *, binds: bool) -> str:
        if self.chance(0.5):
            items = self.some(lambda: self.pattern_item(binds=binds), 3)
            if binds and self.chance(0.3):
                items.append(f"...{self.bind()}")
            return "[" + self.commas(items) + "]"
        items = [self.map_item(binds=binds) for _ in range(self.random.randint(0, 3))]
        if binds and self.chance(0.3):
            items.append(f"...{self.bind()}")
        return "{ " + self.commas(items) + " }"

    def map_item(self, *, binds: bool) -> str:
        key = self.pick(*FIELDS)
        if not binds:
            return f"{key}: {self.pattern(binds=False)}"
        name = self.bind()
        default = self.operand()
        nested = self.pattern(binds=True)
        return str(
            self.pick(name, f"{name} = {default}", f"{key}: {nested}", f"{key}: {name} = {default}")
        )

    # --- types

    def type(self) -> str:
        base = self.pick(
            *WORDS,
            "semantic text",
            "[int]",
            "[text: any]",
            "[text? : int]",
            "(int, text)",
            "(int | text)",
            "Option<int>",
            "list<text, [int]>",
            "none",
        )
        text = base + self.pick("", "", "?")
        return text + (f" | {self.type()}" if self.chance(0.15) else "")

    # --- expressions

    def expression(self) -> str:
        """Any expression."""
        if self._depth > DEPTH:
            return self.operand()
        self._depth += 1
        text = self.one_of(
            *(self.operand, self.operand, lambda: self.chain(self.operand), self.conditional),
            *(self.lambda_, self.pipe, self.range, self.choice, self.match, self.lone_block),
            *(self.save_expression, self.type_test),
        )
        self._depth -= 1
        return text

    def chain(self, operand: Callable[[], str]) -> str:
        """Operands with operators between them, over several lines now and then."""
        text = operand()
        for _ in range(self.random.randint(1, 4)):
            operator = self.pick(*OPERATORS)
            if self.runs and operator == "**":
                text = f"({text}) ** {self.small()}"
                continue
            after = "\n    " if operator != "++" and self.chance(0.1) else " "
            before = "\n    " if operator not in "+-" and self.chance(0.1) else " "
            text += f"{before}{operator}{after}{operand()}"
        return text

    def operand(self) -> str:
        """What operators, members and calls can be put around."""
        if self._depth > DEPTH:
            return self.atom()
        self._depth += 1
        text = self.one_of(
            *(self.atom, self.atom, self.atom, self.postfix, self.call, self.list, self.map),
            *(self.group, self.unary, self.literal_of_entity, self.response),
        )
        self._depth -= 1
        return text

    def plain(self) -> str:
        """An operand before a `{`, without braces of its own."""
        return self.pick(self.atom(), f"({self.expression()})", f"len({self.operand()})")

    def atom(self) -> str:
        if self.runs and self.chance(0.7):
            return self.unknown()
        return self.one_of(self.number, self.text, self.name, self.name, self.constant)

    def unknown(self) -> str:
        """A value whose kind only a run shows."""
        return f"body.{self.pick(*BODY)}"

    def name(self) -> str:
        if not self.runs:
            return str(self.pick(*NAMES, "MAX", "User"))
        known = self.variables[-4:] if self.chance(0.6) else self.variables
        return str(self.pick(*known)) if known else self.unknown()

    def constant(self) -> str:
        return str(self.pick("true", "false", "none", "null", "nil"))

    def small(self) -> str:
        return str(self.random.randint(0, 4))

    def number(self) -> str:
        return str(
            self.pick(
                "0", "1", "42", "1_000", "0x1f", "3.14", "1e3", "1.5e-3", "30.seconds", "2.days"
            )
        )

    def text(self) -> str:
        if self._depth > DEPTH or self.chance(0.5):
            return str(self.pick(*TEXTS))
        self._depth += 1
        inner = self.one_of(self.inline, self.inline, lambda: f"({self.text_on_a_line()})")
        text = self.pick(f'"a {{{inner}}} b"', f"`x ${{{inner}}}\n  y`")
        self._depth -= 1
        return str(text)

    def text_on_a_line(self) -> str:
        return str(self.pick(*(text for text in TEXTS if "\n" not in text)))

    def inline(self) -> str:
        """An expression in a text: it ends on its line."""
        return self.pick(self.name(), "1 + 2", "f(1)" if not self.runs else "len([1])", "(none)")

    def unary(self) -> str:
        sign = self.pick("!", "-", "not ")
        return f"({sign}{self.operand()})" if self.chance(0.5) else f"{sign}{self.operand()}"

    def group(self) -> str:
        return f"({self.expression()})"

    def postfix(self) -> str:
        text = self.pick(self.name(), self.call(), f"({self.expression()})")
        for _ in range(self.random.randint(1, 4)):
            text += self.one_of(self.member, self.member, self.method, self.index)
        return str(text)

    def member(self) -> str:
        dot = self.pick(".", ".", "?.", "\n    .")
        return dot + str(self.pick(*FIELDS))

    def method(self) -> str:
        return self.pick(".", "\n    .") + f"{self.pick(*METHODS)}({self.arguments()})"

    def index(self) -> str:
        a, b, c = (self.operand() for _ in range(3))
        forms = [f"[{a}]", f"[{a}:]", f"[:{b}]", f"[{a}:{b}]", f"[{a}:{b}:{c}]", "[:]"]
        if not self.runs:
            forms += ["@-1", "@2", '@"2026-01-15"', "@yesterday", f"@({a})"]
        return str(self.pick(*forms))

    def call(self) -> str:
        if self.runs:
            name, arity = self.pick(*((name, 1) for name in PURE), *self.functions)
            return f"{name}({', '.join(self.operand() for _ in range(arity))})"
        return f"{self.pick('f', 'g', 'ws_send')}({self.arguments()})"

    def arguments(self, least: int = 0) -> str:
        return self.commas(self.some(self.argument, 3, least))

    def argument(self) -> str:
        value = self.expression()
        if self.runs:
            return value
        return str(self.pick(value, value, value, f"limit: {value}", f"if: {value}", f"...{value}"))

    def list(self) -> str:
        parts = self.some(lambda: self.pick("", "", "...") + self.operand(), 4)
        if self.chance(0.2):
            pairs = self.some(lambda: f"{self.operand()}: {self.operand()}", 3, 1)
            return str(
                self.pick("[:]", f"[{self.commas(pairs)}]", f"[{pairs[0]}, ...{self.name()}]")
            )
        return f"[{self.commas(parts)}]"

    def entries(self) -> str:
        """The braces of a map."""
        parts = self.some(self.entry, 3)
        separator = self.pick(", ", "\n", ",\n", ", ")
        start, end = self.pick((" ", " "), ("\n", "\n"), ("", ""))
        return "{" + start + separator.join(parts) + end + "}"

    def entry(self) -> str:
        value = self.expression()
        key = self.pick(*FIELDS, '"k 2"', "'k'")
        return str(self.pick(f"{key}: {value}", f"{key}: {value}", f"...{self.operand()}"))

    def map(self) -> str:
        return f"({self.entries()})" if self.chance(0.2) else self.entries()

    def literal_of_entity(self) -> str:
        if self.runs:
            return self.atom()
        return f"{self.pick(*TYPES)} {self.entries()}"

    def response(self) -> str:
        if self.runs:
            return self.atom()
        return f"response {self.entries()}"

    def conditional(self) -> str:
        a, b, c = (self.operand() for _ in range(3))
        return str(
            self.pick(
                f"{a} ? {b} : {c}", f"if {self.plain()} then {b} else {c}", f"{a}\n? {b}\n: {c}"
            )
        )

    def lambda_(self) -> str:
        if self.chance(0.3):
            body = self.scoped(["x"], lambda: self.one_of(self.expression))
            return f"x => {body}"
        parameters = self.parameters()
        names = self._bound
        if self.chance(0.4):
            body = self.scoped(names, lambda: self.in_function(self.block))
            result = "" if self.runs else self.pick("", " -> int")
            return f"{self.pick('fn', 'fn ', 'function')}{parameters}{result} {body}"
        body = self.scoped(
            names, lambda: self.one_of(self.expression, lambda: self.in_function(self.value_block))
        )
        return f"{parameters} => {body}"

    def pipe(self) -> str:
        parts = [self.operand(), *self.some(self.pipe_target, 3, 1)]
        return self.pick(" |> ", "\n    |> ", " |>\n").join(parts)

    def pipe_target(self) -> str:
        return str(self.pick(*PURE)) if self.runs or self.chance(0.5) else self.call()

    def range(self) -> str:
        return self.small() + self.pick("..", "..=", " .. ") + self.small()

    def lone_block(self) -> str:
        name = self.new_name()
        value = self.operand()
        return "{ " + f"{name} = {value}\n" + self.scoped([name], self.operand) + " }"

    def save_expression(self) -> str:
        return f"({self.save()})"

    def type_test(self) -> str:
        kind = self.pick("text", "string", "int" if self.runs else "User", "none")
        return f"{self.operand()} is {kind}"


NUMBERS = ("0", "1", "42", "1_000", "0x1f", "3.14", "1e3", "1.5e-3", "30.seconds", "2.days")
QUOTED = '"it works"'
SINGLE = "'it works'"
TEXTS = (
    *(QUOTED, SINGLE, '""', "''", '"a\\n\\"b\\" \\u{e9}"', "'it\\'s'", "'{x}'", "'say \"x\"'"),
    *("`a\n  b`", "``", '"{{x}}"', '"{ x }"', '"// no"', "'/* no */'"),
)


def programs(*, runs: bool = False) -> st.SearchStrategy[str]:
    """Well-formed programs."""
    return st.integers(0, 1 << 32).map(lambda seed: program_of(seed, runs=runs))


def program_of(seed: int, *, runs: bool = False) -> str:
    """The program of a seed."""
    return Writer(random.Random(seed), runs=runs).program()


# --- what is done to programs ----------------------------------------


def boundaries(text: str) -> list[int]:
    """Offsets where a token starts or ends, outside texts; the ends of the file are two."""
    source = Source("x.flin", text)
    tokens, _ = balance(FlinLexer(source).run(), source, make_token, lambda *_: None)
    found = {0, len(text)}
    depth = 0
    for token in tokens:
        depth += token.type == "TEXT_OPEN"
        if not depth:
            found |= {token.index, token.end}
        elif token.type == "TEXT_OPEN" and depth == 1:
            found.add(token.index)
        depth -= token.type == "TEXT_CLOSE"
        if token.type == "TEXT_CLOSE" and not depth:
            found.add(token.end)
    return sorted(found)


def tokens_of(text: str) -> list[str]:
    """The text of every token, and of what stands between them."""
    cuts = boundaries(text)
    return [text[start:end] for start, end in pairwise(cuts)]


def mutated(source: Any, text: str) -> str:
    """A program with a few tokens deleted, doubled, swapped or replaced."""
    parts = tokens_of(text)
    for _ in range(source.randint(1, 3)):
        if not parts:
            break
        at = source.randrange(len(parts))
        other = source.randrange(len(parts))
        change = source.randrange(5)
        if change == 0:
            del parts[at]
        elif change == 1:
            parts.insert(at, parts[other])
        elif change == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif change == 3:
            parts[at] = source.choice(SLIPS)
        else:
            parts = parts[:at] if source.random() < 0.3 else parts[at:]
    return "".join(parts)


SLIPS = (
    *(*"{}()[]\"'`,;:.=<>+-*/%@?|!\\\n #$", "${", "/*", "//", "'a:", "->", "=>", "...", "\0", "é"),
    *("if ", "else ", "match ", "fn ", "route ", "ws ", "on ", "in ", "is ", "then ", "entity "),
)
