"""No statement of a handler runs when a guard denies: random programs, every way to ask."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from flinfast.runtime.response import Response
from tests.runtime.harness import make_request
from tests.runtime.programs import app_of

PROGRAMS = 50
FILES_EACH = 8
REQUESTS_EACH = 200
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WS")

# Guards that pass and guards that deny for some reason: by answer, by fault, by a missing field.
PASSING = ("passes", 'method("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")', "counts(1)")
DENYING = (
    "auth",
    'role("admin")',
    "owner(params.id)",
    'ip_whitelist("10.0.0.0/8")',
    'api_key("nobody-has-this-key")',
    "refuses",
    "says_no",
    "fails",
    "misses",
    "counts(0)",
    "role(query.role)",
    "owner(query.nothing.more)",
    "rate_limit(0, 1)",
    "csrf_always",
)
DEFINITIONS = """
guard_definition passes() { n = 1 }
guard_definition counts(n) { if n == 0 { return error(403, "none left") } }
guard_definition refuses() { return error(418, "no") }
guard_definition says_no() { return false }
guard_definition fails() { return 1 / 0 }
guard_definition misses() { return request.user.level.more >= 3 }
guard_definition csrf_always() { if !csrf_verify("a", "b") { return error(403, "forged") } }
"""
HANDLER = 'log_error("HANDLER RAN") broadcast("all", 1) save Mark { at: now() }'


def program(rng: random.Random) -> tuple[dict[str, str], dict[tuple[str, str], bool]]:
    """Files, and for each path and method whether every guard passes."""
    files = {
        "guards/all.flin": DEFINITIONS,
        "entities/mark.flin": "entity Mark { at: time @required }",
    }
    expected: dict[tuple[str, str], bool] = {}
    for number in range(FILES_EACH):
        file_guards = chosen(rng)
        lines = [f"guard {guard}" for guard in file_guards]
        defined: dict[str, bool] = {}
        for method in METHODS:
            if method in ("HEAD", "OPTIONS") or rng.random() < 0.3:
                continue
            block_guards = chosen(rng)
            inside = "".join(f"    guard {guard}\n" for guard in block_guards)
            if method == "WS":
                lines.append(f"ws {{\n{inside}    on connect {{ {HANDLER} }}\n}}")
            else:
                lines.append(f"route {method} {{\n{inside}    {HANDLER}\n}}")
            defined[method] = all(g in PASSING for g in (*file_guards, *block_guards))
        if "GET" in defined:
            defined["HEAD"] = defined["GET"]
        files[f"app/p{number}/[id].flin"] = "\n".join(lines or ["route GET { 1 }"])
        for method, passes in defined.items():
            expected[f"/p{number}/7", method] = passes
    return files, expected


def chosen(rng: random.Random) -> list[str]:
    kinds = rng.choice(((), (PASSING,), (PASSING, PASSING), (DENYING,), (PASSING, DENYING)))
    guards = [rng.choice(kind) for kind in kinds]
    rng.shuffle(guards)
    return guards


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_no_statement_runs_when_a_guard_denies(tmp_path: Path, seed: int) -> None:
    """10,000 requests over 50 programs: file and block guards, every method, upgrades."""
    rng = random.Random(seed)
    files, expected = program(rng)
    app, loop = app_of(tmp_path, files)
    log = app.services.log
    keys = list(expected)
    denied = passed = 0
    for _ in range(REQUESTS_EACH):
        path, method = rng.choice(keys)
        query = rng.choice(("", "?role=admin", "?role=", "?id=7", "?nothing=1"))
        before = len(log.texts("error"))  # type: ignore[attr-defined]
        answers, accepted = ask(app, loop, method, path + query)
        lines = log.texts("error")[before:]  # type: ignore[attr-defined]
        ran = "HANDLER RAN" in lines
        if expected[path, method]:
            passed += 1
            assert accepted if method == "WS" else ran, (path, method, answers)
        else:
            denied += 1
            assert not ran, (path, method, query)
            assert not accepted
            assert 400 <= answers[0].status < 500, (path, method, query)
    assert denied > 20
    assert passed > 5
    app.close()


def ask(app: Any, loop: Any, method: str, target: str) -> tuple[list[Response], list[Any]]:
    """Send a request to the program as the server does."""
    answers: list[Response] = []
    accepted: list[Any] = []
    request = make_request("GET" if method == "WS" else method, target)
    match = app.match(request.path)
    if method == "WS":
        app.upgrade(match, request, accepted.append, answers.append)
    else:
        app.handle(match, request, answers.append)
    loop.run_threads()
    assert len(answers) + len(accepted) == 1
    return answers, accepted
