"""The functions of `programs.flin` about numbers, lists, trees and graphs, in Python."""

from __future__ import annotations

from typing import Any

Grid = list[list[int]]


def transpose(rows: Grid) -> Grid:
    out: Grid = []
    for j in range(len(rows[0])):
        column: list[int] = []
        for row in rows:
            column.append(row[j])  # noqa: PERF401 - the FLIN program does it so
        out.append(column)
    return out


def pascal(n: int) -> Grid:
    rows = [[1]]
    for i in range(1, n):
        before = rows[i - 1]
        row = [1]
        for j in range(1, i):
            row.append(before[j - 1] + before[j])  # noqa: PERF401 - as above
        row.append(1)
        rows.append(row)
    return rows


def prefix(values: list[int]) -> list[int]:
    sums = [0]
    for v in values:
        sums.append(sums[-1] + v)
    return sums


def quick(items: list[int]) -> list[int]:
    if len(items) < 2:
        return items
    pivot = items[0]
    less: list[int] = []
    more: list[int] = []
    for x in items[1:]:
        if x < pivot:
            less.append(x)
        else:
            more.append(x)
    return quick(less) + [pivot] + quick(more)  # noqa: RUF005 - as above


def collatz(limit: int) -> int:
    best = 0
    for n in range(1, limit):
        steps = 0
        x = n
        while x != 1:
            x = x // 2 if x % 2 == 0 else 3 * x + 1
            steps += 1
        if steps > best:
            best = steps
    return best


def mandel(w: int, h: int) -> int:
    count = 0
    for py in range(h):
        for px in range(w):
            x0 = px * 3.0 / w - 2.0
            y0 = py * 2.0 / h - 1.0
            x = 0.0
            y = 0.0
            i = 0
            while i < 30 and x * x + y * y < 4.0:
                t = x * x - y * y + x0
                y = 2.0 * x * y + y0
                x = t
                i += 1
            count += i
    return count


def window(values: list[int], k: int) -> int:
    best = 0
    for i in range(len(values) - k + 1):
        total = 0
        for j in range(i, i + k):
            total += values[j]
        if total > best:
            best = total
    return best


def flood(grid: Grid, y: int, x: int) -> int:
    if y < 0 or x < 0 or y >= len(grid) or x >= len(grid[0]):
        return 0
    if grid[y][x] != 0:
        return 0
    grid[y][x] = 2
    below, above = flood(grid, y + 1, x), flood(grid, y - 1, x)
    return 1 + below + above + flood(grid, y, x + 1) + flood(grid, y, x - 1)


def _insert(tree: Any, key: int) -> Any:
    if tree is None:
        return {"key": key, "left": None, "right": None}
    if key < tree["key"]:
        tree["left"] = _insert(tree["left"], key)
    else:
        tree["right"] = _insert(tree["right"], key)
    return tree


def _sum(tree: Any) -> int:
    if tree is None:
        return 0
    total: int = tree["key"] + _sum(tree["left"]) + _sum(tree["right"])
    return total


def trees(keys: list[int]) -> int:
    root: Any = None
    for k in keys:
        root = _insert(root, k)
    return _sum(root)


def bfs(graph: dict[str, list[str]], start: str) -> dict[str, int]:
    seen = {start: 0}
    queue = [start]
    i = 0
    while i < len(queue):
        node = queue[i]
        i += 1
        for other in graph[node]:
            if other not in seen:
                seen[other] = seen[node] + 1
                queue.append(other)
    return seen


def pairs_of(pairs: list[Any]) -> dict[str, int]:
    out: dict[str, int] = {}
    for pair in pairs:
        key, value = pair
        out[key] = out.get(key, 0) + value
    return out


def caesar(text: str, shift: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    out = ""
    for c in text:
        place = letters.find(c)
        if place < 0:
            out += c
        else:
            out += letters[(place + shift) % 26]
    return out
