"""Every member of entities and queries that the language's reference lists, in FLIN, per engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from flinfast.settings import Settings, StoreSettings
from flinfast.testing import TestClient

ENTITIES = """
entity Team { name: text }
entity Item { name: text @required  rank: int  score: number  kind: text  team: Team  tags: [Team] }
"""
SETUP = """
route POST {
    t = Team { name: "red" }
    save t
    save Item { name: "a", rank: 3, score: 1.5, kind: "x", team: t, tags: [t] }
    save Item { name: "b", rank: 1, score: 2.5, kind: "y", team: t.id }
    save Item { name: "c", rank: 2, kind: "x" }
    d = Item { name: "d", rank: 9 }
    save d
    delete d
    b = Item.find(2)
    b.rank = 7
    save b
    b.rank = 1
    save b
    none
}
"""
# Expression -> its value as JSON.
ROWS: dict[str, Any] = {
    "Item.all.map(i => i.name)": ["a", "b", "c"],
    "Item.all().map(i => i.name)": ["a", "b", "c"],
    "Item.find(1).name": "a",
    'Item.find("2").name': "b",
    "Item.find(99)": None,
    'Item.find("x")': None,
    "Item.find(4)": None,
    'Item.where(kind == "x").map(i => i.name)': ["a", "c"],
    'Item.where(kind == "x").where(rank > 2).map(i => i.name)': ["a"],
    "Item.where(i => i.rank > 1).map(i => i.name)": ["a", "c"],
    "Item.where(score == none).map(i => i.name)": ["c"],
    "Item.where(score != none && score > 2).map(i => i.name)": ["b"],
    'Item.where(kind == none || kind == "y").map(i => i.name)': ["b"],
    "Item.where(rank in [1, 2]).map(i => i.name)": ["b", "c"],
    "Item.where(rank not in [1, 2]).map(i => i.name)": ["a"],
    'Item.where(name.contains("b")).count': 1,
    'Item.where(name.starts_with("a")).count': 1,
    'Item.where(name.upper() == "C").count': 1,
    "Item.where(!(rank > 1)).map(i => i.name)": ["b"],
    "Item.where(team == 1).count": 2,
    "Item.where(team == Team.find(1)).count": 2,
    "Item.where(rank == 1.0).count": 1,
    "Item.where(rank < 2.5).count": 2,
    "Item.where(score == 2).count": 0,
    "Item.where(score > 2).count": 1,
    'Item.where(rank == "1").count': 0,
    'Item.order("rank").map(i => i.name)': ["b", "c", "a"],
    'Item.order("rank", "desc").map(i => i.name)': ["a", "c", "b"],
    'Item.order("kind").order("rank", "desc").map(i => i.name)': ["a", "c", "b"],
    'Item.order("score").map(i => i.name)': ["c", "a", "b"],
    'Item.order("score", "desc").map(i => i.name)': ["b", "a", "c"],
    "Item.order(i => i.rank).map(i => i.name)": ["b", "c", "a"],
    'Item.order("rank").limit(2).map(i => i.name)': ["b", "c"],
    'Item.order("rank").offset(1).map(i => i.name)': ["c", "a"],
    'Item.order("rank").skip(1).limit(1).map(i => i.name)': ["c"],
    "Item.all.limit(0).count": 0,
    "Item.first.name": "a",
    'Item.order("rank").first.name': "b",
    "Item.last.name": "c",
    "Item.where(rank == 100).first": None,
    "Item.where(rank == 100).last": None,
    "Item.count": 3,
    "Item.count()": 3,
    "Item.all.limit(2).count": 2,
    "Item.exists": True,
    "Item.where(rank == 100).exists": False,
    'Item.all.sum("rank")': 6,
    'Item.all.avg("rank")': 2,
    'Item.all.min("score")': 1.5,
    'Item.all.max("name")': "c",
    'Item.where(rank > 100).sum("rank")': 0,
    'Item.where(rank > 100).avg("rank")': None,
    "Item.all.sum(i => i.rank)": 6,
    'Item.all.group_by("kind").x.map(i => i.name)': ["a", "c"],
    'Item.all.distinct("kind")': ["x", "y"],
    "Item.all.filter(i => i.rank == 2).map(i => i.name)": ["c"],
    "Item.history(2).map(v => v.rank)": [1, 7, 1],
    "Item.find(2).history.map(v => v.version)": [1, 2, 3],
    "Item.find(2).history().len": 3,
    "Item.find(2)@-1.rank": 7,
    "Item.find(2)@1.rank": 1,
    "Item.find(2)@9": None,
    'Item.find(2)@"2000-01-01"': None,
    "Item.with_deleted.map(i => i.name)": ["a", "b", "c", "d"],
    "Item.with_deleted.where(rank == 9).count": 1,
    "Item.find(1).team.name": "red",
    "Item.find(1).tags.map(t => t.name)": ["red"],
    'Item.all.with("team").first.team.name': "red",
    'Item.create({ name: "e" }).id': 5,
    "Item.all.len": 3,
    "Item.all[1].name": "b",
}
READ_ONLY = {text: value for text, value in ROWS.items() if "create" not in text}


@pytest.fixture
def client(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """A program with a route per expression."""
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "all.flin").write_text(ENTITIES)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "setup.flin").write_text(SETUP)
    for number, text in enumerate(ROWS):
        (tmp_path / "app" / f"q{number}.flin").write_text(f"route GET {{ {{ value: {text} }} }}\n")
    store = StoreSettings()
    if engine == "postgres":
        store = replace(store, database=request.getfixturevalue("postgres_url"))
    with TestClient(tmp_path, settings=Settings(mode="test", store=store)) as client:
        assert client.post("/setup").status == 200
        yield client


def test_every_expression_of_the_reference(client: TestClient) -> None:
    """Each gives the same on every engine; those that write come last."""
    texts = list(ROWS)
    seen = {}
    for text in sorted(ROWS, key=lambda text: text not in READ_ONLY):
        answer = client.get(f"/q{texts.index(text)}")
        body = answer.json()
        seen[text] = body["value"] if answer.status == 200 else (answer.status, client.log[-1:])
    assert seen == ROWS
