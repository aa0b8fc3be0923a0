"""Documents of operators and of chained calls: one line, or a line for each link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flinfast.lang import ast
from flinfast.lang.formatting.document import (
    Concat,
    Doc,
    Group,
    Hugging,
    Indent,
    Line,
    breaks,
)
from flinfast.lang.formatting.group import (
    Groups,
    ends_line,
    gap_around,
    new_line,
    tail_of,
    take_gap,
)
from flinfast.lang.formatting.tree import Branch, Leaf, Part

# Operators that stand at one level of a chain.
_LEVELS: Final = (
    ("??",),
    ("||",),
    ("&&",),
    ("==", "!="),
    ("<", "<=", ">", ">=", "in", "not_in"),
    ("+", "-", "++"),
    ("*", "/", "%"),
    ("**",),
)
_LEVEL: Final = {sign: level for level, signs in enumerate(_LEVELS) for sign in signs}
_RIGHT: Final = frozenset({"??", "**"})  # these associate to the right
_AT_LINE_END: Final = frozenset({"PLUS", "MINUS"})  # at the start of a line these are signs
_CHAINS: Final = frozenset({"Binary", "Pipe", "Conditional"})
_POSTFIX: Final = frozenset({"Member", "Call", "Index", "Slice", "VersionAt"})
_LITERALS: Final = frozenset({"MapLiteral", "ListLiteral", "EntityLiteral"})

Link = tuple[Leaf, Part]  # an operator and what follows it


class _Segment:
    """What may stand on a line of its own in a chain of calls: `.name(...)`, `.first`."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.calls = False


class Chains(Groups):
    """Builds the documents of expressions that go on over several lines."""

    # --- operators

    def is_chain(self, part: Part) -> bool:
        """Whether a part is an operator whose lines may end between its operands."""
        return part.kind in _CHAINS

    def chain(self, branch: Branch) -> Doc:
        """An operator with its operands."""
        first, rest, is_kept = self.operands(branch)
        return Group(Concat([first, Indent(Concat(rest))]), broken=is_kept)

    def unindented(self, part: Part) -> Doc:
        """A part in parentheses, whose lines are indented by these."""
        if not isinstance(part, Branch) or not self.is_chain(part):
            return self.doc(part)
        first, rest, _ = self.operands(part)
        return Concat([first, *rest])

    def operands(self, branch: Branch) -> tuple[Doc, list[Doc], bool]:
        """The first operand, the others with their operators, and whether the lines stay ended."""
        first, links = _links(branch)
        docs: list[Doc] = []
        is_kept = False
        head = self.join(first)
        for operator, operand in links:
            gap = gap_around(operator, operand)
            is_kept = is_kept or (branch.kind == "Pipe" and gap.breaks_line)
            if len(links) == 1 and operand.kind in _LITERALS and not gap.comments:
                docs += [" ", self.doc(operator), " ", self.doc(operand)]
            elif operator.kind in _AT_LINE_END:
                docs += [" ", self.doc(operator), *new_line(gap, Line()), self.doc(operand)]
            else:
                docs += [*new_line(gap, Line()), self.doc(operator), " ", self.doc(operand)]
        return head, docs, is_kept

    # --- chained calls

    def postfix(self, branch: Branch) -> Doc:
        """Members, calls and indexes of a value."""
        target, links = _postfix_links(branch)
        head, segments = _segments(target, links)
        has_comments = any(ends_line(segment.parts[0].first.gap) for segment in segments)
        is_chain = any(segment.calls for segment in segments)
        if not has_comments and not is_chain:
            return self.join([*head, *(part for segment in segments for part in segment.parts)])
        gaps = [take_gap(segment.parts[0]) for segment in segments]
        is_kept = is_chain and any(gap.breaks_line for gap in gaps)
        start = self.join(head)
        docs = [self.join(segment.parts) for segment in segments]
        lines: list[Doc] = []
        for gap, doc in zip(gaps, docs, strict=True):
            lines += [*new_line(gap, Line("")), doc]
        content = Concat([start, Indent(Concat(lines))])
        tail = tail_of(branch)
        if is_kept or tail is None or any(map(breaks, [start, *docs[:-1]])):
            return Group(content, broken=is_kept)
        return Hugging(content, Concat([start, *docs]), tail)


def _links(branch: Branch) -> tuple[list[Part], list[Link]]:
    """First operand of a chain of operators of one level, and the others."""
    if branch.kind == "Conditional":
        parts = branch.parts
        at = next(i for i, part in enumerate(parts) if part.kind in ("QUESTION", "THEN"))
        return parts[:at], [_link(parts[at : at + 2]), _link(parts[at + 2 : at + 4])]
    links: list[Link] = []
    if _is_right(branch):
        first, part = branch.parts[0], branch
        while True:
            operator, operand = _link(part.parts[1:])
            if not _is_same(branch, operand):
                return [first], [*links, (operator, operand)]
            assert isinstance(operand, Branch)
            links.append((operator, operand.parts[0]))
            part = operand
    operand = branch
    while _is_same(branch, operand):
        assert isinstance(operand, Branch)
        links.append(_link(operand.parts[1:]))
        operand = operand.parts[0]
    return [operand], links[::-1]


def _link(parts: Sequence[Part]) -> Link:
    operator, operand = parts
    assert isinstance(operator, Leaf)
    return operator, operand


def _is_right(branch: Branch) -> bool:
    return isinstance(branch.node, ast.Binary) and branch.node.operator in _RIGHT


def _is_same(branch: Branch, part: Part) -> bool:
    """Whether a part is an operator of the same level, without parentheses around it."""
    if not isinstance(part, Branch) or part.kind != branch.kind:
        return False
    if isinstance(part.node, ast.Binary) and isinstance(branch.node, ast.Binary):
        return _LEVEL.get(part.node.operator) == _LEVEL.get(branch.node.operator)
    return part.kind == "Pipe"


def _postfix_links(branch: Branch) -> tuple[Part, list[list[Part]]]:
    """The value a chain starts from, and what follows: `.name`, `(...)`, `[...]`, `@...`."""
    links: list[list[Part]] = []
    part: Part = branch
    while isinstance(part, Branch) and part.kind in _POSTFIX:
        links.append(part.parts[1:])
        part = part.parts[0]
    return part, links[::-1]


def _segments(target: Part, links: list[list[Part]]) -> tuple[list[Part], list[_Segment]]:
    """What stays on the first line, and the links that may stand on lines of their own."""
    head: list[Part] = [target]
    segments: list[_Segment] = []
    has_called = False
    current: _Segment | None = None
    for link in links:
        starts = link[0].kind in ("DOT", "OPTIONAL_DOT")
        calls = link[0].kind == "LCALL"
        is_kept = starts and ends_line(link[0].first.gap)
        if current is None and not is_kept and not (has_called and starts):
            head += link
            has_called = has_called or calls
            continue
        if current is None or is_kept or (starts and current.calls):
            current = _Segment()
            segments.append(current)
        current.parts += link
        current.calls = current.calls or calls
    return head, segments
