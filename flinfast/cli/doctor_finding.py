"""What a check of `flinfast doctor` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        level: "ok", "warning" or "error".
        name: What was looked at.
        text: How it is.
        help: What to do about it, "" when nothing.
    """

    level: Level
    name: str
    text: str
    help: str = ""
