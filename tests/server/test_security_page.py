"""The page about security names tests; all of them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "topics" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", PAGE)))


def test_the_page_names_tests() -> None:
    """Every row of its tables ends with one."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.endswith(("| test |", "|---|"))]
    assert len(rows) > 60
    assert [line for line in rows if not re.search(r"`tests/[^`]+::test_\w+` \|$", line)] == []


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_test_exists(path: str, name: str) -> None:
    """In the file that the page says."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(?:    )?(?:async )?def {name}\(", text, re.MULTILINE)
