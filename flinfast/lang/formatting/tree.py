"""A file as its tokens, nested as the tree and the brackets nest.

The formatter keeps every token where it is, so it needs what the tree leaves out: parentheses,
commas, spellings. A branch is a node of the tree or a pair of brackets; its parts are leaves and
branches in source order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.build import TYPE_ALIASES
from flinfast.lang.comments import NO_GAP, Gap, read_gap
from flinfast.lang.vocabulary import CLOSER_OF, CLOSERS

SEPARATORS: Final = frozenset({"SEP", "COMMA"})
END: Final = "$end"  # kind of the leaf after the last token of a file

# Kind of token -> its only spelling.
_SPELLINGS: Final = {
    "AND": "&&",
    "OR": "||",
    "NOT": "!",
    "NOT_IN": "not in",
    "COALESCE": "??",
    "NONE": "none",
    "FN": "fn",
    "ARROW": "->",
}
_TYPED: Final = frozenset({"TypeRef", "TypeTest"})  # nodes whose NAME is a type


class Leaf:
    """A token.

    Attributes:
        kind: Its type as the grammar takes it; "TEXT" for a whole text with interpolations.
        text: As it is printed.
        gap: What stands before it.
    """

    __slots__ = ("gap", "kind", "text")

    def __init__(self, kind: str, text: str, gap: Gap = NO_GAP) -> None:
        self.kind = kind
        self.text = text
        self.gap = gap

    @property
    def first(self) -> Leaf:
        """Itself: leaves and branches are asked alike."""
        return self

    @property
    def last(self) -> Leaf:
        """Itself, too."""
        return self


class Branch:
    """A node of the tree, or a pair of brackets.

    Attributes:
        kind: Name of the node's class, or type of the opening token.
        node: The node; None for brackets.
        owner: For brackets: kind of the branch they stand in.
        parts: What it consists of.
        group: Set by the builder: the group that breaks when the branch is broken.
    """

    __slots__ = ("end", "group", "kind", "node", "owner", "parts")

    def __init__(self, kind: str, node: ast.Node | None, end: int, owner: str = "") -> None:
        self.kind = kind
        self.node = node
        self.owner = owner
        self.end = end
        self.parts: list[Part] = []
        self.group: Any = None

    @property
    def first(self) -> Leaf:
        """Its first token."""
        return self.parts[0].first

    @property
    def last(self) -> Leaf:
        """Its last token."""
        return self.parts[-1].last


Part = Leaf | Branch


def read_tree(
    text: str,
    tokens: list[Any],
    program: ast.Program,
    code: Callable[[str], str],
    *,
    keeps_quotes: bool = False,
) -> Branch:
    """Nest the tokens of a file that has no faults.

    Args:
        text: The file.
        tokens: As `parse_tokens` gives them.
        program: The tree.
        code: Writes the code between the braces of an interpolation.
        keeps_quotes: Texts stay in the quotes they have, as within another text.
    """
    return _Reader(text, tokens, program, code, keeps_quotes).run()


def split(parts: list[Part]) -> list[tuple[list[Part], str]]:
    """What stands between separators, each with the text of the separator before it."""
    items: list[tuple[list[Part], str]] = []
    item: list[Part] = []
    separator = ""
    for part in parts:
        if part.kind in SEPARATORS:
            items.append((item, separator))
            assert isinstance(part, Leaf)
            item, separator = [], part.text
        else:
            item.append(part)
    items.append((item, separator))
    return [(found, before) for found, before in items if found]


class _Reader:
    def __init__(
        self,
        text: str,
        tokens: list[Any],
        program: ast.Program,
        code: Callable[[str], str],
        keeps_quotes: bool,
    ) -> None:
        self._text = text
        self._code = code
        self._keeps_quotes = keeps_quotes
        self._tokens = tokens
        self._nodes = _in_order(program)
        self._next_node = 0
        self._root = Branch("Program", program, len(text) + 1)
        self._stack = [self._root]
        self._previous_end = 0  # of the token before

    def run(self) -> Branch:
        index = 0
        while index < len(self._tokens):
            token = self._tokens[index]
            kind = token.type
            if kind in SEPARATORS:
                self._stack[-1].parts.append(Leaf(kind, self._text[token.index : token.end]))
                index += 1
                continue
            self._open_nodes(token.index)
            if kind == "TEXT_OPEN":
                end, word = self._interpolated(index)
                self._leaf("TEXT", token.index, self._tokens[end].end, word)
                index = end
            else:
                self._token(token, kind)
            index += 1
            self._close_nodes()
        gap = self._gap(self._text[self._previous_end :] + "\n")
        self._root.parts.append(Leaf(END, "", gap))
        return self._root

    def _token(self, token: Any, kind: str) -> None:
        if kind in CLOSER_OF:
            owner = self._stack[-1]
            branch = Branch(kind, None, -1, owner.kind)
            owner.parts.append(branch)
            self._stack.append(branch)
        self._leaf(kind, token.index, token.end)
        if kind in CLOSERS:
            self._stack.pop()

    def _leaf(self, kind: str, start: int, end: int, word: str = "") -> None:
        gap = self._gap(self._text[self._previous_end : start])
        branch = self._stack[-1]
        word = word or self._text[start:end]
        if kind == "NOT_IN" and "/" in word:
            between = read_gap(word[len("not") : -len("in")])
            gap = replace(gap, trailing=gap.trailing + between.comments)
        if kind != "TEXT" or not self._keeps_quotes:
            word = _spelling(kind, word, branch)
        branch.parts.append(Leaf(kind, word, gap))
        self._previous_end = end

    def _gap(self, between: str) -> Gap:
        """What stands after the last token."""
        if not self._previous_end:
            return read_gap("\n" + between)  # a file starts where a line does
        gap = read_gap(between)
        if not gap.trailing:
            return gap
        before = between[: between.index("/")]
        start = self._previous_end + len(before)
        column = start - self._text.rfind("\n", 0, start) - 1
        room = len(before) - len(before.rstrip(" \t"))
        return replace(gap, column=column, room=room)

    def _open_nodes(self, start: int) -> None:
        """Open the nodes that start at a token; those inside texts were passed over."""
        nodes = self._nodes
        while self._next_node < len(nodes) and nodes[self._next_node].span.start <= start:
            node = nodes[self._next_node]
            self._next_node += 1
            if node.span.start == start:
                branch = Branch(type(node).__name__, node, node.span.end)
                self._stack[-1].parts.append(branch)
                self._stack.append(branch)

    def _close_nodes(self) -> None:
        while 0 <= self._stack[-1].end <= self._previous_end:
            self._stack.pop()

    def _interpolated(self, index: int) -> tuple[int, str]:
        """Index of the TEXT_CLOSE of the TEXT_OPEN at an index, and the text between them."""
        written, start = "", self._tokens[index].index
        depth = code_start = 0
        while True:
            token = self._tokens[index]
            kind = token.type
            depth += (kind == "TEXT_OPEN") - (kind == "TEXT_CLOSE")
            if not depth:
                return index, written + self._text[start : token.end]
            if depth == 1 and kind == "INTERP_OPEN":
                code_start = token.end
            elif depth == 1 and kind == "INTERP_CLOSE":
                code = self._text[code_start : token.index]
                written += self._text[start:code_start] + self._code(code)
                start = token.index
            index += 1


def _in_order(program: ast.Program) -> list[ast.Node]:
    """All nodes but the root, by where they start, outer ones first."""
    nodes = list(_walk(program))[1:]
    nodes.sort(key=lambda node: (node.span.start, -node.span.end))  # stable: parents come first
    return nodes


def _walk(root: ast.Node) -> Iterator[ast.Node]:
    """A tree from the top down."""
    pending: list[ast.Node] = [root]
    while pending:
        node = pending.pop()
        yield node
        for name in _child_names(type(node)):
            child = getattr(node, name)
            if isinstance(child, ast.Node):
                pending.append(child)
            elif type(child) is tuple:
                pending += [part for part in child if isinstance(part, ast.Node)]


_CHILDREN: dict[type[ast.Node], tuple[str, ...]] = {}


def _child_names(kind: type[ast.Node]) -> tuple[str, ...]:
    names = _CHILDREN.get(kind)
    if names is None:
        names = tuple(name for name in kind.__struct_fields__ if not name.endswith("span"))
        _CHILDREN[kind] = names
    return names


def _spelling(kind: str, word: str, branch: Branch) -> str:
    """The one spelling of a token that has several."""
    if kind in _SPELLINGS:
        return _SPELLINGS[kind]
    if kind in ("TEXT", "KEY"):
        return _double_quoted(word)
    if kind == "DECLARE":
        return "let" if word == "var" else word
    if kind == "NAME" and branch.kind in _TYPED:
        return TYPE_ALIASES.get(word, word)
    return word


def _double_quoted(word: str) -> str:
    """A text in `'...'` as `"..."` where that takes no escapes and starts no interpolation."""
    if word[0] == "'" and not any(sign in word for sign in '"\\{'):
        return f'"{word[1:-1]}"'
    return word
