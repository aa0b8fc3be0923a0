"""Documents of brackets and of what they hold: statements, members, arguments, items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flinfast.lang.comments import NO_GAP, Gap
from flinfast.lang.formatting.document import (
    Concat,
    Doc,
    Group,
    Hugging,
    Indent,
    Inline,
    Line,
    Suffix,
    breaks,
)
from flinfast.lang.formatting.spacing import is_apart, is_spaced
from flinfast.lang.formatting.tree import Branch, Leaf, Part, split
from flinfast.lang.vocabulary import CONTEXTUAL

_BRACES: Final = frozenset({"LBRACE", "LDO"})
# Brackets with a space inside when on one line.
_PADDED: Final = _BRACES | {"LMAP", "LPAT"}
# Brackets that stay broken when the author broke them: they show structure, not one value.
_KEPT: Final = _PADDED | {"LBRACKET", "LPATLIST"}
# Whose braces hold members instead of statements.
_MEMBERS: Final = frozenset({"EntityDecl", "EnumDecl", "Validate", "Match"})
# What a call's brackets may wrap around, as in `f(x, {`, and what may stand around it.
_HUGGED: Final = frozenset(
    [
        *("Argument", "ListItem", "Lambda", "Block", "BlockExpr", "MapLiteral", "EntityLiteral"),
        *("ResponseLiteral", "ListLiteral", "Call", "SaveExpr", "Match"),
    ]
)
_JOINING: Final = frozenset({"is", "then"})  # on a new line, these continue the one before
_LEADING: Final = frozenset(CONTEXTUAL) | {"response"}  # these take what the next line starts with
_CLOSERS: Final = frozenset({"RPAREN", "RBRACKET"})

Item = tuple[list[Part], str]  # as `split` gives them


def ends_line(gap: Gap) -> bool:
    """Whether a comment makes a line end."""
    return bool(gap.trailing or gap.own)


def take_gap(part: Part) -> Gap:
    """What stands before a part; printing it is then up to the caller, but for inline comments."""
    leaf = part.first
    gap = leaf.gap
    leaf.gap = Gap(inline=gap.inline) if gap.inline else NO_GAP
    return gap


def gap_around(operator: Leaf, operand: Part) -> Gap:
    """What stands before an operator and after it, for a line that ends before it."""
    first, second = take_gap(operator), take_gap(operand)
    place = first if first.trailing else second
    breaks_line = first.breaks_line or second.breaks_line
    trailing, own = first.trailing, first.own
    if ends_line(second):
        operator.gap = NO_GAP
        if own:
            own += first.inline + second.trailing + second.own
        else:
            trailing, own = trailing + first.inline + second.trailing, second.own
    return Gap(trailing, own, (), breaks_line, column=place.column, room=place.room)


def new_line(gap: Gap, line: Line, *, at_start: bool = False, blanks: bool = False) -> list[Doc]:
    """A place where a line may end, with the comments that make it end.

    Args:
        gap: What stands there.
        line: The place.
        at_start: Whether it follows an opening bracket, where no blank line stands.
        blanks: Whether blank lines are kept.
    """
    if not ends_line(gap):
        if blanks and gap.blank and not at_start:
            return [Line(line.flat, hard=line.hard, blank=True)]
        return [line]
    docs: list[Doc] = [Suffix(comment.text, gap.column, gap.room) for comment in gap.trailing]
    for comment in gap.own:
        blank = blanks and comment.blank_before and not at_start
        docs += [Line(hard=True, blank=blank), comment.text]
        at_start = False
    blank = blanks and gap.blank and not at_start
    docs.append(Line(line.flat, hard=line.hard or bool(gap.own), blank=blank))
    return docs


class Groups:
    """Builds the documents of brackets; `doc` of a subclass builds those of nodes."""

    def doc(self, part: Part) -> Doc:
        """The document of a part."""
        raise NotImplementedError

    def below(self, part: Part) -> list[Doc]:
        """The end of the line that a comment before a part makes; empty when there is none."""
        if not ends_line(part.first.gap):
            return []
        return [Indent(Concat(new_line(take_gap(part), Line(hard=True))))]

    def leaf(self, leaf: Leaf) -> Doc:
        """A token where no line ends of itself; after a comment that does, it goes on below."""
        gap = leaf.gap
        if gap is NO_GAP or not gap.comments:
            return leaf.text
        docs = self.below(leaf)
        space = "" if leaf.kind in _CLOSERS or not leaf.text else " "
        docs += [Inline(comment.text + " ") for comment in gap.inline[:-1]]
        docs += [Inline(comment.text + space) for comment in gap.inline[-1:]]
        return Concat([*docs, leaf.text])

    def join(self, parts: Sequence[Part]) -> Doc:
        """Parts on one line."""
        docs: list[Doc] = []
        before: Leaf | None = None
        for part in parts:
            if before is not None and is_spaced(before, part.first):
                docs.append(" ")
            docs.append(self.doc(part))
            before = part.last
        return docs[0] if len(docs) == 1 else Concat(docs)

    def program(self, root: Branch) -> Doc:
        """A whole file."""
        *parts, end = root.parts
        items = split(parts)
        line = Line(hard=True)
        gaps = self._gaps(items)
        docs = self._lines(items, gaps, self._bodies(items, root), (line, line), "")
        docs += new_line(take_gap(end), line, at_start=not docs, blanks=True)
        return Concat([*docs, self.doc(end)])

    def bracket(self, group: Branch, *, shared: bool = False) -> Doc:
        """A pair of brackets with what they hold.

        Args:
            group: The brackets.
            shared: Whether its lines are those of the group around it.
        """
        opener, *inner, closer = group.parts
        items = split(inner)
        gaps = self._gaps(items) if items else [take_gap(closer)]
        if not items and not ends_line(gaps[0]):
            space = " " if closer.first.gap.inline and group.kind in _PADDED else ""
            return Concat([self.doc(opener), space, self.doc(closer)])
        kept = gaps[0].breaks_line and group.kind in _KEPT
        edge = Line(" " if group.kind in _PADDED else "", hard=kept)
        bodies = self._bodies(items, group)
        if items:
            last_gap = take_gap(closer)
            docs = self._lines(items, gaps, bodies, (edge, self._between(group)), group.kind)
        else:
            last_gap, docs = gaps[0], []
        docs += new_line(last_gap, edge, at_start=not items, blanks=True)[:-1]
        ends = self.doc(opener), self.doc(closer)
        content = Concat([ends[0], Indent(Concat(docs)), edge, ends[1]])
        if shared:
            return content
        if group.kind == "LCALL" and not any(gap.comments for gap in (*gaps, last_gap)):
            tail = tail_of(items[-1][0][-1])
            if tail is not None and not any(breaks(body) for body in bodies[:-1]):
                group.group = tail
                return Hugging(content, _hugged(ends, bodies), tail)
        whole = Group(content)
        if group.kind in _KEPT:
            group.group = whole
        return whole

    def unindented(self, part: Part) -> Doc:
        """A part in parentheses, whose lines are indented by these."""
        return self.doc(part)

    def close(self, parts: Sequence[Part]) -> Doc:
        """Parts on one line whose signs stand close, as in types and slices."""
        docs: list[Doc] = []
        before: Leaf | None = None
        for part in parts:
            if before is not None and is_apart(before, part.first):
                docs.append(" ")
            docs.append(self.doc(part))
            before = part.last
        return Concat(docs)

    def _between(self, group: Branch) -> Line:
        """The line end between two items."""
        if group.kind not in _BRACES:
            return Line()
        return Line(", ") if group.owner in _MEMBERS else Line(hard=True)

    def _gaps(self, items: list[Item]) -> list[Gap]:
        return [take_gap(item[0]) for item, _ in items]

    def _bodies(self, items: list[Item], group: Branch) -> list[Doc]:
        if group.owner == "Slice":
            return [self.close(item) for item, _ in items]
        if group.kind == "LPAREN" and len(items) == 1 and len(items[0][0]) == 1:
            return [self.unindented(items[0][0][0])]
        return [self.join(item) for item, _ in items]

    def _lines(
        self,
        items: list[Item],
        gaps: list[Gap],
        bodies: list[Doc],
        lines: tuple[Line, Line],
        kind: str,
    ) -> list[Doc]:
        """Items with the lines before the first and between them."""
        docs: list[Doc] = []
        takes_commas = kind != "" and kind not in _BRACES
        blanks = kind == "" or kind in _KEPT
        line = lines[0]
        before: Leaf | None = None
        for (item, separator), gap, body in zip(items, gaps, bodies, strict=True):
            if before is not None:
                line = lines[1]
                if takes_commas:
                    docs.append(",")
                elif separator in (",", ";") and _is_read_on(before, item[0].first):
                    docs.append(separator)
                    line = lines[1] if lines[1].hard else Line()
            docs += new_line(gap, line, at_start=not docs, blanks=blanks)
            docs.append(body)
            before = item[-1].last
        return docs


def _is_read_on(before: Leaf, after: Leaf) -> bool:
    """Whether a line end alone would not separate two statements: `route` `Ticket`, `x` `is`."""
    if after.kind == "NAME" and after.text in _JOINING:
        return True
    return before.kind == "NAME" and before.text in _LEADING


def tail_of(part: Part) -> Group | None:
    """The brackets at the end of an argument that a call may wrap around."""
    while isinstance(part, Branch):
        if part.group is not None:
            found: Group = part.group
            return found
        if part.kind not in _HUGGED:
            return None
        part = part.parts[-1]
    return None


def _hugged(ends: tuple[Doc, Doc], bodies: list[Doc]) -> Doc:
    docs = [ends[0]]
    for body in bodies[:-1]:
        docs += [body, ", "]
    return Concat([*docs, bodies[-1], ends[1]])
