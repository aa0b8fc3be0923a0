"""A project that saves numbers, and how it answers when it can and when it cannot."""

from __future__ import annotations

MARKS = """
entity Mark { n: int }
route GET { Mark.all.map(m => m.n) }
route POST {
    save Mark { n: body.n }
    "saved"
}
"""
PLAIN = 'route GET { "plain" }'
QUIET = ("--no-access-log",)
REFUSED = (503, {"error": "Service Unavailable", "status": 503})
SAVED = (200, "saved")
