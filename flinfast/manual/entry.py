"""One entry of the manual, and how it is laid out as text and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Kinds of entries in the order in which `flinfast docs NAME` shows entries of the same name.
KINDS: Final = (
    "function",
    "query method",
    "keyword",
    "context",
    "guard",
    "modifier",
    "type",
    "field",
    "setting",
    "diagnostic",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What there is to know about one name.

    Attributes:
        name: As written in FLIN, in flinfast.toml, or a code such as "FL201".
        kind: One of KINDS.
        area: Heading it stands under in the overview, such as "Text".
        summary: One or two sentences, as Markdown.
        signatures: Ways to write it, such as "trim(text: text) -> text".
        notes: Further sentences, as Markdown, one per item.
        errors: Codes of faults it can cause by itself.
        example: FLIN code; "" when there is nothing to show.
        aliases: Other names of the same thing.
    """

    name: str
    kind: str
    area: str
    summary: str
    signatures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    example: str = ""
    aliases: tuple[str, ...] = ()

    def to_markdown(self, titles: dict[str, str]) -> str:
        """The entry for hovers and pages.

        Args:
            titles: Code -> title, for the errors.
        """
        parts = []
        if self.signatures:
            parts.append("```flin\n" + "\n".join(self.signatures) + "\n```")
        parts.append(self.summary)
        parts += self.notes
        if self.aliases:
            parts.append("Also " + ", ".join(f"`{name}`" for name in self.aliases) + ".")
        if self.errors:
            parts.append("\n".join(f"- {code}: {titles[code]}" for code in self.errors))
        if self.example:
            parts.append(f"```flin\n{self.example}\n```")
        return "\n\n".join(parts)

    def to_text(self, titles: dict[str, str]) -> str:
        """The entry for a terminal, about 80 columns wide where its own text allows."""
        head = f"{self.name}  ({self.kind}, {self.area})"
        parts = [head]
        if self.signatures:
            parts.append("\n".join(f"    {line}" for line in self.signatures))
        parts.append(_plain(self.summary))
        parts += [_plain(note) for note in self.notes]
        if self.aliases:
            parts.append("Also: " + ", ".join(self.aliases))
        if self.errors:
            lines = [f"    {code}  {titles[code]}" for code in self.errors]
            parts.append("\n".join(["Faults:", *lines]))
        if self.example:
            lines = [f"    {line}".rstrip() for line in self.example.splitlines()]
            parts.append("\n".join(["Example:", *lines]))
        return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Markdown sentences wrapped for a terminal; code spans keep their backticks."""
    if "\n" in text:
        return text
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > 78:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])
