"""The functions of `programs.flin` as one would write them in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.lang import lists, records, tables


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def sum_of_squares(n: int) -> int:
    total = 0
    for i in range(n):
        if i % 3 == 0 or i % 5 == 0:
            total += i * i
    return total


def slug(text: str) -> str:
    out = ""
    for c in text:
        if c == " ":
            out += "-"
        elif c != "!":
            out += c
    return out


def horner(x: float, n: int) -> float:
    y = 1.0
    for _ in range(n):
        y = y * x + 1.0
    return y


def bubble(items: list[int]) -> list[int]:
    n = len(items)
    for i in range(n):
        for j in range(n - 1 - i):
            if items[j] > items[j + 1]:
                a, b = items[j + 1], items[j]
                items[j] = a
                items[j + 1] = b
    return items


def cursor(data: Any, name: str) -> Any:
    if data.get("type") == "edit":
        return {"type": "edit", "patch": data.get("patch")}
    if data.get("type") == "cursor":
        room = data.get("room") or "general"
        return {"type": "cursor", "user": name, "position": data.get("position"), "room": room}
    return None


def totals(orders: list[dict[str, Any]]) -> dict[str, Any]:
    by_user: dict[str, Any] = {}
    for order in orders:
        if order.get("paid") is True and order.get("total", 0) > 0:
            user = "user:" + str(order.get("user"))
            by_user[user] = by_user.get(user, 0) + order["total"]
    return by_user


def word_count(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in text.lower().split(" "):
        if len(word) > 2:
            counts[word] = counts.get(word, 0) + 1
    return counts


def report(orders: list[dict[str, Any]]) -> dict[str, Any]:
    paid = [o for o in orders if o.get("paid") and o.get("total") > 10]
    names = sorted(f"{o.get('user')}: {o.get('total')}" for o in paid)
    groups: dict[str, list[Any]] = {}
    for order in paid:
        groups.setdefault(order.get("user"), []).append(order)
    total = sum(o.get("total") * 2 for o in paid)
    return {"count": len(paid), "sum": total, "names": names, "users": list(groups)}


def render(rows: list[dict[str, Any]]) -> str:
    out = "<ul>"
    for i, row in enumerate(rows):
        css = "even" if i % 2 == 0 else "odd"
        out += f"<li class='{css}'>{row.get('name')} ({row.get('age')})</li>"
    return out + "</ul>"


def handle(data: Any, users: dict[str, Any]) -> Any:
    if data is None or data.get("type") is None:
        return {"error": "type is missing"}
    user = users.get(data.get("user_id"))
    if not user:
        return {"error": "unknown user", "id": data.get("user_id")}
    room = data.get("room") or "general"
    text = (data.get("text") or "").strip()
    if len(text) == 0 or len(text) > 500:
        return {"error": "bad length"}
    tags: list[str] = []
    for tag in data.get("tags") or []:
        if tag.startswith("#") and tag not in tags:
            tags.append(tag.lower())
    return {
        "type": "message",
        "room": room,
        "text": text,
        "tags": tags,
        "user": {"name": user.get("name"), "admin": user.get("role") == "admin"},
    }


def dispatch(events: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {"count": 0, "open": True, "log": []}
    for event in events:
        match event.get("type"):
            case "add":
                state["count"] += event.get("by")
            case "remove":
                state["count"] -= event.get("by")
            case "open" | "close":
                state["open"] = event.get("type") == "open"
            case "note":
                state["log"].append(event.get("text"))
            case _:
                state["log"].append(f"unknown {event.get('type')}")
    return state


def closures(n: int) -> int:
    twice = lambda x: x * 2  # noqa: E731
    add = lambda a, b: a + b  # noqa: E731
    total = 0
    for i in range(n):
        total = add(total, twice(i))
    return total


def sieve(n: int) -> int:
    flags: list[bool] = []
    for _ in range(n):
        flags.append(True)  # noqa: PERF401 - the FLIN program does it so
    count = 0
    for i in range(2, n):
        if flags[i]:
            count += 1
            j = i * i
            while j < n:
                flags[j] = False
                j += i
    return count


def search(items: list[int], wanted: int) -> int:
    low = 0
    high = len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        if items[middle] == wanted:
            return middle
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1


def stats(values: list[int]) -> dict[str, Any]:
    total = 0
    largest: int | None = None
    for v in values:
        total += v
        if largest is None or v > largest:
            largest = v
    return {"mean": total / len(values), "largest": largest}


def parse(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in text.split("\n"):
        if line == "":
            continue
        parts = line.split(",")
        rows.append({"name": parts[0].strip(), "age": int(parts[1]), "admin": parts[2] == "yes"})
    return rows


def lengths(words: list[str]) -> dict[str, Any]:
    total, longest = 0, ""
    for word in words:
        total += len(word)
        if len(word) > len(longest):
            longest = word
    return {"total": total, "longest": longest}


def floats(values: list[float]) -> dict[str, Any]:
    total = 0.0
    best: float | None = None
    for v in values:
        total += v * 0.5
        if best is None or v < best:
            best = v
    return {"total": total, "best": best}


def nested(posts: list[dict[str, Any]]) -> int:
    views = 0
    for post in posts:
        if post["author"].get("active") and len(post["tags"]) > 1:
            views += post["stats"].get("views")
    return views


def merged(left: list[int], right: list[int]) -> list[int]:
    i, j = 0, 0
    out: list[int] = []
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            out.append(left[i])
            i += 1
        else:
            out.append(right[j])
            j += 1
    return out


@dataclass(frozen=True)
class Case:
    """One function in both languages, and what it is called with."""

    python: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]


ORDERS = [{"user": f"u{n % 9}", "paid": n % 4 != 0, "total": n % 50} for n in range(300)]
CURSOR = {"type": "cursor", "position": 17}
TEXT = "the quick brown fox jumps over a lazy dog and Runs away from it all " * 20
ROWS = [{"name": f"Ada {n}", "age": 20 + n % 50} for n in range(200)]
MESSAGE = {
    "type": "message",
    "user_id": "u7",
    "text": "  hello everyone in this room ",
    "tags": ["#news", "#Sport", "plain", "#news"],
}
USERS = {f"u{n}": {"name": f"Ada {n}", "role": "admin" if n == 7 else "user"} for n in range(20)}
EVENTS = [
    {"type": kind, "by": n, "text": f"note {n}"}
    for n in range(60)
    for kind in ("add", "remove", "open", "note", "other")
]
POSTS = [
    {"author": {"active": n % 3 != 0}, "tags": ["a", "b"][: n % 4], "stats": {"views": n}}
    for n in range(200)
]
MATRIX = [[(i * 7 + j * 3) % 11 for j in range(14)] for i in range(14)]
GRID = [[int((i * 7 + j * 3) % 5 < 2) for j in range(14)] for i in range(14)]
CUSTOMERS = [
    {
        "customer": {
            "address": {"country": "CI" if n % 2 else "FR"},
            "plan": {"level": n % 4},
            "name": {"first": f"Ada {n}"},
        },
        "payment": {"card": {"amount": n}},
    }
    for n in range(200)
]
SHAPES = [
    [{"kind": "circle", "r": n / 2}, {"kind": "rect", "w": n, "h": 2}, {"kind": "dot"}][n % 3]
    for n in range(200)
]
GAMES = [
    {"home": f"t{n % 8}", "away": f"t{(n * 3 + 1) % 8}", "goals": [n % 3, n % 4]}
    for n in range(200)
]
GRAPH = {f"n{i}": [f"n{(i * k + k) % 200}" for k in (3, 7, 1)] for i in range(200)}
BASKET = [{"sku": f"s{n % 30}", "quantity": n % 15} for n in range(200)]
PRICES = {f"s{n}": n * 3 + 1 for n in range(25)}


def points() -> list[dict[str, float]]:
    """Points that move; the programs change them."""
    return [
        {"x": n % 10 + 0.5, "y": n % 7 + 0.5, "vx": 1.5 - n % 3, "vy": n % 4 - 1.5}
        for n in range(30)
    ]


CSV = "\n".join(f"Ada {n} ,{n},{'yes' if n % 3 else 'no'}" for n in range(200))
CASES = {
    "fib": Case(fib, lambda: (17,)),
    "sum_of_squares": Case(sum_of_squares, lambda: (4000,)),
    "slug": Case(slug, lambda: ("Hello wide world! " * 60,)),
    "horner": Case(horner, lambda: (0.5, 4000)),
    "bubble": Case(bubble, lambda: ([(n * 37) % 101 for n in range(60)],)),
    "cursor": Case(cursor, lambda: (CURSOR, "Ada")),
    "totals": Case(totals, lambda: (ORDERS,)),
    "word_count": Case(word_count, lambda: (TEXT,)),
    "report": Case(report, lambda: (ORDERS,)),
    "render": Case(render, lambda: (ROWS,)),
    "handle": Case(handle, lambda: (MESSAGE, USERS)),
    "dispatch": Case(dispatch, lambda: (EVENTS,)),
    "closures": Case(closures, lambda: (2000,)),
    "sieve": Case(sieve, lambda: (2000,)),
    "search": Case(search, lambda: (list(range(0, 3000, 3)), 2001)),
    "stats": Case(stats, lambda: ([(n * 37) % 1001 for n in range(2000)],)),
    "parse": Case(parse, lambda: (CSV,)),
    "lengths": Case(lengths, lambda: (TEXT.split(" "),)),
    "floats": Case(floats, lambda: ([(n * 37) % 1001 / 8 for n in range(1000)],)),
    "nested": Case(nested, lambda: (POSTS,)),
    "merged": Case(merged, lambda: (list(range(0, 600, 2)), list(range(1, 600, 2)))),
    "matmul": Case(tables.matmul, lambda: (MATRIX, MATRIX)),
    "life": Case(tables.life, lambda: (GRID,)),
    "distance": Case(tables.distance, lambda: ("kitten sitting on", "sitting kitten in")),
    "knapsack": Case(tables.knapsack, lambda: ([3, 4, 5, 9, 14, 7], [3, 4, 4, 10, 15, 8], 200)),
    "floyd": Case(
        tables.floyd, lambda: ([[(i * 7 + j * 13) % 29 + 1 for j in range(14)] for i in range(14)],)
    ),
    "insertion": Case(tables.insertion, lambda: ([(n * 37) % 101 for n in range(60)],)),
    "groups": Case(
        tables.groups, lambda: ([{"city": f"c{n % 9}", "name": f"a{n}"} for n in range(300)],)
    ),
    "chains": Case(tables.chains, lambda: (CUSTOMERS,)),
    "queens": Case(tables.queens, lambda: (6,)),
    "tokens": Case(tables.tokens, lambda: ("alpha + (beta + gamma) + delta " * 20,)),
    "shapes": Case(tables.shapes, lambda: (SHAPES,)),
    "destructured": Case(
        tables.destructured, lambda: ([{"x": n, "y": n + 1} for n in range(500)],)
    ),
    "scores": Case(tables.scores, lambda: (GAMES,)),
    "gcds": Case(tables.gcds, lambda: (30,)),
    "transpose": Case(lists.transpose, lambda: ([[i * j for j in range(30)] for i in range(30)],)),
    "pascal": Case(lists.pascal, lambda: (40,)),
    "prefix": Case(lists.prefix, lambda: ([(n * 37) % 101 for n in range(500)],)),
    "quick": Case(lists.quick, lambda: ([(n * 37) % 501 for n in range(300)],)),
    "collatz": Case(lists.collatz, lambda: (100,)),
    "mandel": Case(lists.mandel, lambda: (16, 12)),
    "window": Case(lists.window, lambda: ([(n * 37) % 101 for n in range(100)], 10)),
    "flood": Case(
        lists.flood,
        lambda: ([[int((i * 7 + j * 5) % 6 == 0) for j in range(15)] for i in range(15)], 0, 1),
    ),
    "trees": Case(lists.trees, lambda: ([(n * 37) % 501 for n in range(200)],)),
    "bfs": Case(lists.bfs, lambda: (GRAPH, "n0")),
    "pairs_of": Case(lists.pairs_of, lambda: ([[f"k{n % 9}", n] for n in range(500)],)),
    "caesar": Case(lists.caesar, lambda: ("Hello wide world of text! " * 20, 3)),
    "moving": Case(records.moving, lambda: (points(),)),
    "cart": Case(records.cart, lambda: (BASKET, PRICES)),
}
