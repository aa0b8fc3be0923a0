"""The functions of `programs.flin` about maps that are set and looked up, in Python."""

from __future__ import annotations

from typing import Any

Entry = dict[str, Any]


def moving(points: list[Entry]) -> list[Entry]:
    for _ in range(10):
        for p in points:
            p["x"] += p["vx"] * 0.1
            p["y"] += p["vy"] * 0.1
            if p["x"] > 10 or p["x"] < 0:
                p["vx"] = -p["vx"]
            if p["y"] > 10 or p["y"] < 0:
                p["vy"] = -p["vy"]
    return points


def cart(items: list[Entry], prices: Entry) -> Entry:
    total = 0
    lines: list[str] = []
    for item in items:
        price = prices.get(item["sku"])
        if price is not None:
            amount = price * item["quantity"]
            if item["quantity"] >= 10:
                amount = amount - item["quantity"]
            total += amount
            lines.append(f"{item['sku']} x {item['quantity']}: {amount}")
    return {"total": total, "text": "\n".join(lines)}
