"""The example that every command's `--help` ends with."""

from __future__ import annotations


def example(*lines: str) -> str:
    """An epilog that click leaves as it is: one line per command line."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
