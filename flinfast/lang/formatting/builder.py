"""Documents of nodes: which of them break, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from flinfast.lang.formatting.chain import Chains
from flinfast.lang.formatting.document import Concat, Doc, Group, Indent, Line
from flinfast.lang.formatting.group import ends_line, gap_around, new_line, take_gap
from flinfast.lang.formatting.tree import Branch, Leaf, Part

_BODIES: Final = frozenset({"Block", "LBRACE"})


class Builder(Chains):
    """Builds the document of a file; `program` is the entry."""

    def doc(self, part: Part) -> Doc:
        """The document of a part."""
        if isinstance(part, Leaf):
            return self.leaf(part)
        if part.node is None:
            return self.bracket(part)
        before = self.below(part)
        rule = _RULES.get(part.kind)
        doc = self.join(part.parts) if rule is None else rule(self, part)
        return Concat([*before, doc]) if before else doc

    def headed(self, branch: Branch) -> Doc:
        """`for ... {`, `while ... {`, `match ... {`."""
        *head, body = branch.parts
        if body.kind not in _BODIES:
            return self.join(branch.parts)
        return Concat([self.header(head, body), self.doc(body)])

    def header(self, head: Sequence[Part], body: Part) -> Doc:
        """What stands before a `{`, which moves to the next line when the condition breaks."""
        *words, value = head
        gap = take_gap(body)
        if not words or not isinstance(value, Branch) or not self.is_chain(value):
            space = new_line(gap, Line(hard=True)) if ends_line(gap) else [" "]
            return Concat([self.join(head), *space])
        first, rest, _ = self.operands(value)
        condition = [self.join(words), " ", first, Indent(Concat(rest))]
        return Group(Concat([*condition, *new_line(gap, Line())]))

    def choice(self, branch: Branch) -> Doc:
        """`if ... { } else if ... { } else { }`: all blocks on one line, or none."""
        whole = Group(Concat(self._branches(branch)))
        branch.group = whole
        return whole

    def _branches(self, branch: Branch) -> list[Doc]:
        """An `if` with its blocks, whose lines belong to the whole choice."""
        at = next(index for index, part in enumerate(branch.parts) if part.kind == "Block")
        body = branch.parts[at]
        docs = [self.header(branch.parts[:at], body), self._shared_block(body)]
        if at + 1 == len(branch.parts):
            return docs
        word, otherwise = branch.parts[at + 1 :]
        gap = take_gap(word)
        docs += new_line(gap, Line(hard=True)) if ends_line(gap) else [" "]
        docs += [self.doc(word), " "]
        if isinstance(otherwise, Branch) and otherwise.kind == "IfExpr":
            return [*docs, *self._branches(otherwise)]
        return [*docs, self._shared_block(otherwise)]

    def _shared_block(self, block: Part) -> Doc:
        assert isinstance(block, Branch)
        (braces,) = block.parts
        assert isinstance(braces, Branch)
        return self.bracket(braces, shared=True)

    def field(self, branch: Branch) -> Doc:
        """`name: type @modifiers = default`, a line for each modifier when they do not fit."""
        at = next((i for i, p in enumerate(branch.parts) if p.kind in _AFTER_TYPE), None)
        if at is None:
            return self.join(branch.parts)
        docs: list[Doc] = []
        rest = branch.parts[at:]
        while rest:
            count = 2 if rest[0].kind == "ASSIGN" else 1
            docs += [*new_line(take_gap(rest[0]), Line()), self.join(rest[:count])]
            rest = rest[count:]
        return Group(Concat([self.join(branch.parts[:at]), Indent(Concat(docs))]))

    def arm(self, branch: Branch) -> Doc:
        """`pattern | pattern -> body`."""
        at = next(index for index, part in enumerate(branch.parts) if part.kind == "ARROW")
        first, *rest = branch.parts[:at]
        body = Concat([" ", self.join(branch.parts[at:])])
        if not rest:
            return Concat([self.doc(first), body])
        docs: list[Doc] = []
        for bar, pattern in zip(rest[::2], rest[1::2], strict=True):
            assert isinstance(bar, Leaf)
            docs += new_line(gap_around(bar, pattern), Line())
            docs += [self.doc(bar), " ", self.doc(pattern)]
        start = self.doc(first)
        return Concat([Group(Concat([start, Indent(Concat(docs))])), body])

    def type(self, branch: Branch) -> Doc:
        """A type; its signs stand close."""
        return self.close(branch.parts)

    def generic(self, branch: Branch) -> Doc:
        """`type Name<T> = type`, `enum Name<T> { }`."""
        at = next((i for i, part in enumerate(branch.parts) if part.kind == "GT"), 1) + 1
        word, *name = branch.parts[:at]
        rest = self.join(branch.parts[at:])
        return Concat([self.doc(word), " ", self.close(name), " ", rest])

    def unary(self, branch: Branch) -> Doc:
        """A sign and its operand."""
        return self.close(branch.parts)


_AFTER_TYPE: Final = frozenset({"Modifier", "ASSIGN"})

# Class of node -> its rule; the others are their parts in one line, as far as these allow.
_RULES: Final[dict[str, Callable[[Builder, Branch], Doc]]] = {
    "Binary": Builder.chain,
    "Pipe": Builder.chain,
    "Conditional": Builder.chain,
    "Member": Builder.postfix,
    "Call": Builder.postfix,
    "Index": Builder.postfix,
    "Slice": Builder.postfix,
    "VersionAt": Builder.postfix,
    "IfExpr": Builder.choice,
    "For": Builder.headed,
    "While": Builder.headed,
    "Match": Builder.headed,
    "MatchArm": Builder.arm,
    "Field": Builder.field,
    "TypeRef": Builder.type,
    "TypeAlias": Builder.generic,
    "EnumDecl": Builder.generic,
    "Unary": Builder.unary,
    "LiteralPattern": Builder.unary,
}
