"""Clients we did not write talk to the chat: aiohttp, Node's ws; websockets is in test_seed.py."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import RECEIVE_S, ROOT, Server

MakeServer = Callable[..., Server]
NODE_FOLDER = Path(__file__).resolve().parent / "node"


async def _aiohttp_chat(port: int) -> list[object]:
    base = f"http://127.0.0.1:{port}"
    # Cookies of an address instead of a name need the unsafe jar.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(f"{base}/api/login", json={"name": "ada"}) as answer:
            assert answer.status == 200
        async with session.ws_connect(f"{base}/api/chat") as ws:
            first = await ws.receive_str(timeout=RECEIVE_S)
            await ws.send_json({"text": "hej \N{SNOWMAN}", "room": "tea"})
            second = await ws.receive_json(timeout=RECEIVE_S)
            await ws.ping()
            await ws.close()
            return [first, second["text"], ws.close_code]


def test_aiohttp_client_chats(make_server: MakeServer) -> None:
    """aiohttp logs in, opens the socket with its cookie jar, chats and closes cleanly."""
    server = make_server("chat")
    result = asyncio.run(_aiohttp_chat(server.port))
    assert result == ["ada joined the chat", "hej \N{SNOWMAN}", 1000]


def _node_ws_missing() -> str:
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not (NODE_FOLDER / "node_modules" / "ws").exists():
        return "run `npm install --prefix tests/e2e/node`"
    return ""


@pytest.mark.node
@pytest.mark.skipif(
    bool(_node_ws_missing()) and not os.environ.get("CI"), reason=_node_ws_missing() or "present"
)
def test_node_ws_client_chats(make_server: MakeServer) -> None:
    """Node's `ws` logs in with fetch, chats in text, streams binary and sees the close code."""
    server = make_server("chat")
    done = subprocess.run(
        ["node", "chat.mjs", str(server.port)], cwd=NODE_FOLDER, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "first": "node joined the chat",
        "text": "hello",
        "big": 60000,
        "ponged": True,
        "code": 1000,
        "refused": 401,
    }


def test_example_copies_are_what_the_examples_folder_holds() -> None:
    """The four programs of the introduction stand in examples/."""
    names = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    assert {"chat", "notifications", "stream", "documents"} <= names
