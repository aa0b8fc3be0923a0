"""The functions of `programs.flin` about lists of lists, indexes and nested maps, in Python."""

from __future__ import annotations

from typing import Any

Grid = list[list[int]]


def matmul(a: Grid, b: Grid) -> Grid:
    out: Grid = []
    for i in range(len(a)):
        row: list[int] = []
        for j in range(len(b[0])):
            total = 0
            for k in range(len(b)):
                total += a[i][k] * b[k][j]
            row.append(total)
        out.append(row)
    return out


def life(grid: Grid) -> Grid:
    rows, cols = len(grid), len(grid[0])
    following: Grid = []
    for y in range(rows):
        line: list[int] = []
        for x in range(cols):
            near = 0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if dy != 0 or dx != 0:
                        near += grid[(y + dy + rows) % rows][(x + dx + cols) % cols]
            alive = grid[y][x] == 1
            line.append(1 if near == 3 or (alive and near == 2) else 0)
        following.append(line)
    return following


def distance(a: str, b: str) -> int:
    table: Grid = []
    for i in range(len(a) + 1):
        row: list[int] = []
        for j in range(len(b) + 1):
            row.append(j if i == 0 else (i if j == 0 else 0))  # noqa: PERF401 - as in FLIN
        table.append(row)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            cost = 0 if a[i - 1] == b[j - 1] else 1
            best = table[i - 1][j] + 1
            if table[i][j - 1] + 1 < best:
                best = table[i][j - 1] + 1
            if table[i - 1][j - 1] + cost < best:
                best = table[i - 1][j - 1] + cost
            table[i][j] = best
    return table[len(a)][len(b)]


def knapsack(weights: list[int], values: list[int], capacity: int) -> int:
    best = [0] * (capacity + 1)
    for i in range(len(weights)):
        w = capacity
        while w >= weights[i]:
            taken = best[w - weights[i]] + values[i]
            if taken > best[w]:
                best[w] = taken
            w -= 1
    return best[capacity]


def floyd(dist: Grid) -> Grid:
    n = len(dist)
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if dist[i][k] + dist[k][j] < dist[i][j]:
                    dist[i][j] = dist[i][k] + dist[k][j]
    return dist


def insertion(items: list[int]) -> list[int]:
    for i in range(1, len(items)):
        x = items[i]
        j = i - 1
        while j >= 0 and items[j] > x:
            items[j + 1] = items[j]
            j -= 1
        items[j + 1] = x
    return items


def groups(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    by_city: dict[str, list[Any]] = {}
    for row in rows:
        if row["city"] not in by_city:
            by_city[row["city"]] = []
        by_city[row["city"]].append(row.get("name"))
    return by_city


def chains(orders: list[dict[str, Any]]) -> dict[str, Any]:
    total = 0
    names: list[Any] = []
    for o in orders:
        if o["customer"]["address"]["country"] == "CI" and o["customer"]["plan"]["level"] >= 2:
            total += o["payment"]["card"]["amount"]
            names.append(o["customer"]["name"]["first"])
    return {"total": total, "names": names}


def _safe(cols: list[int], row: int, col: int) -> bool:
    for r in range(row):
        c = cols[r]
        if c == col or c - col == row - r or col - c == row - r:
            return False
    return True


def _place(cols: list[int], row: int, n: int) -> int:
    if row == n:
        return 1
    count = 0
    for col in range(n):
        if _safe(cols, row, col):
            cols[row] = col
            count += _place(cols, row + 1, n)
    return count


def queens(n: int) -> int:
    return _place([0] * n, 0, n)


def tokens(text: str) -> list[str]:
    out: list[str] = []
    word = ""
    i = 0
    while i < len(text):
        c = text[i]
        if c == " " or c == "\n":
            if word != "":
                out.append(word)
                word = ""
        elif c == "+" or c == "(" or c == ")":
            if word != "":
                out.append(word)
            out.append(c)
            word = ""
        else:
            word += c
        i += 1
    if word != "":
        out.append(word)
    return out


def shapes(items: list[dict[str, Any]]) -> float:
    total = 0.0
    for s in items:
        match s:
            case {"kind": "circle", "r": r}:
                area = r * r * 3.5
            case {"kind": "rect", "w": w, "h": h}:
                area = w * h
            case _:
                area = 0
        total += area
    return total


def destructured(points: list[dict[str, Any]]) -> list[int]:
    sum_x = sum_y = 0
    for p in points:
        x, y = p["x"], p["y"]
        sum_x += x
        sum_y += y
    return [sum_x, sum_y]


def scores(games: list[dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for g in games:
        for side in (g["home"], g["away"]):
            if side not in table:
                table[side] = {"points": 0, "played": 0}
            table[side]["played"] += 1
        if g["goals"][0] > g["goals"][1]:
            table[g["home"]]["points"] += 3
        elif g["goals"][0] < g["goals"][1]:
            table[g["away"]]["points"] += 3
        else:
            table[g["home"]]["points"] += 1
            table[g["away"]]["points"] += 1
    return table


def gcds(limit: int) -> int:
    total = 0
    for a in range(1, limit):
        for b in range(1, limit):
            x, y = a, b
            while y != 0:
                x, y = y, x % y
            total += x
    return total
