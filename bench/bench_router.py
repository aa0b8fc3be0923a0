"""Finding the route of a path: ten routes or ten thousand, it takes the same time.

The kinds of path are those of real programs: a fixed one, one with a parameter, one at the end of
a long way, one that has to be tried twice, and one that nothing has.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from flinfast.runtime.router import Router, pattern_of_text

COUNTS = (10, 1_000, 10_000)
PATHS = {
    "fixed": "/area7/orders",
    "parameter": "/area7/orders/1234",
    "deep": "/area7/orders/1234/lines/5",
    "second_try": "/area7/special/1234",
    "escaped": "/area7/orders/caf%C3%A9",
    "nothing": "/area7/orders/1234/lines/5/more",
}


@lru_cache(maxsize=len(COUNTS))
def router_of(count: int) -> Router[str]:
    """A router with so many routes, five per area."""
    router: Router[str] = Router()
    for number in range(count // 5):
        area = f"/area{number}" if number != count // 5 - 1 else "/area7"
        for path in (
            f"{area}/orders",
            f"{area}/orders/[id]",
            f"{area}/orders/[id]/lines/[line]",
            f"{area}/special/exactly",
            f"{area}/[kind]/[id]",
        ):
            router.add(pattern_of_text(path), path)
    return router


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", PATHS)
def test_match(benchmark: Any, kind: str, count: int) -> None:
    """One look-up."""
    router, path = router_of(count), PATHS[kind]
    found = benchmark(router.match, path)
    assert (found is None) is (kind == "nothing")
