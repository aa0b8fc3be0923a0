#!/usr/bin/env python3
"""Proves that wsload notices a misbehaving server.

Raw asyncio server with injectable faults; needs nothing but the standard library.
python3 selftest.py    -> one line per case and 'N passed, N failed'"""

import asyncio
import base64
import hashlib
import json
import logging
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOM = set()
FAULT = ""
COUNT = 0


def frame(op, p, mask=False, fin=True, rsv=0):
    n = len(p)
    b = bytes([(0x80 if fin else 0) | rsv | op])
    m = 0x80 if mask else 0
    b += (
        bytes([m | n])
        if n < 126
        else bytes([m | 126]) + struct.pack(">H", n)
        if n < 65536
        else bytes([m | 127]) + struct.pack(">Q", n)
    )
    return b + (b"\0\0\0\0" if mask else b"") + p


JSON = b'{"message":"Hello, World!"}'


def response(status=b"200 OK", kind=b"application/json", body=JSON, length=None, more=b""):
    size = len(body) if length is None else length
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n"
    return head % (status, kind, more, size) + body


HTTP_FAULTS = {
    "": response(),
    "status": response(b"500 Internal Server Error"),
    "type": response(kind=b"text/html"),
    "length": response(length=len(JSON) + 1),
    "body": response(body=JSON.replace(b"W", b"w")),
    "keep": response(more=b"Connection: close\r\n"),
    "twice": response() * 2,
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1b\r\n" + JSON + b"\r\n0\r\n\r\n",
}


async def serve_http(r, w):
    """Answers GETs until the peer goes; from the 20th on with the fault."""
    k = 1
    while FAULT != "silent" or k < 20:
        answer = HTTP_FAULTS.get(FAULT, response()) if k >= 20 else response()
        if FAULT == "pieces":
            for piece in (answer[:30], answer[30:-5], answer[-5:]):
                w.write(piece)
                await w.drain()
                await asyncio.sleep(0.001)
        else:
            w.write(answer)
        await r.readuntil(b"\r\n\r\n")
        k += 1
    await r.read()


async def handle(r, w):
    global COUNT
    try:
        h = (await r.readuntil(b"\r\n\r\n")).decode()
        if "sec-websocket-key" not in h.lower():
            await serve_http(r, w)
            return
        path = h.split()[1]
        key = next(
            line.split(":", 1)[1].strip()
            for line in h.split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        acc = base64.b64encode(
            hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        ).decode()
        if FAULT == "accept":
            acc = acc[::-1]
        w.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {acc}\r\n\r\n".encode()
        )
        room = path.startswith("/room")
        k = 0
        if FAULT == "greet":
            w.write(frame(1, b"hello") + frame(1, b"again"))
        if room:
            ROOM.add(w)
        while True:
            a, b = await r.readexactly(2)
            n = b & 127
            if not b & 128:
                print("client frame not masked")
                break
            if n == 126:
                n = struct.unpack(">H", await r.readexactly(2))[0]
            elif n == 127:
                n = struct.unpack(">Q", await r.readexactly(8))[0]
            m = await r.readexactly(4)
            p = await r.readexactly(n)
            p = (
                (int.from_bytes(p, "big") ^ int.from_bytes((m * (n // 4 + 1))[:n], "big")).to_bytes(
                    n, "big"
                )
                if n
                else b""
            )
            op = a & 15
            if op == 8:
                w.write(frame(8, p))
                await w.drain()
                break
            if op > 8:
                continue
            k += 1
            COUNT += 1
            out = frame(1, p)
            if FAULT == "wrap":
                out = frame(1, json.dumps({"event": "chat", "data": json.loads(p)}).encode())
            if FAULT == "wrapstr":
                out = frame(1, json.dumps({"event": "chat", "data": p.decode()}).encode())
            if FAULT == "fragment":
                out = frame(1, p[:10], fin=False) + frame(9, b"ping") + frame(0, p[10:])
            if FAULT == "masked" and k == 20:
                out = frame(1, p, mask=True)
            if FAULT == "rsv" and k == 20:
                out = frame(1, p, rsv=0x40)
            if FAULT == "corrupt" and k == 33:
                q = bytearray(p)
                q[-1] ^= 1
                out = frame(1, bytes(q))
            if FAULT == "truncate" and k == 20:
                out = frame(1, p[:-1])
            if FAULT == "delay":
                await asyncio.sleep(0.05)
            if FAULT == "close" and k == 20:
                w.write(frame(8, struct.pack(">H", 1011)))
                break
            if not room:
                if FAULT == "drop" and k == 20:
                    continue
                w.write(out)
                w.write(out if FAULT == "dup" and k == 20 else b"")
            else:
                for i, x in enumerate(ROOM):
                    if FAULT == "drop" and k == 20 and i == 0:
                        continue
                    if FAULT == "reorder" and i == 0 and k in (20, 21):
                        if k == 20:
                            x.held = out
                            continue
                        x.write(out)
                        x.write(x.held)
                        continue
                    x.write(out)
                    if FAULT == "dup" and k == 20 and i == 0:
                        x.write(out)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        ROOM.discard(w)
        w.close()


CASES = [  # fault, wsload args, expected ok, expected substring of first_error or check
    ("", "-mecho -c5 -k4 -u/echo", True, None),
    ("", "-mecho -c2 -k1 -s100000 -u/echo", True, None),
    ("", "-mfanout -c5 -P2 -u/room -s100", True, None),
    ("", "-mfanout -c5 -P2 -r200 -u/room -s100", True, None),
    ("", "-mconnect -C8 -n200", True, None),
    ("", "-midle -c50 -T -u/echo -o100", True, None),
    ("wrap", "-mfanout -c4 -P2 -u/room -s100", True, None),
    ("wrapstr", "-mfanout -c4 -P2 -u/room -s100", True, None),
    ("fragment", "-mecho -c3 -k2 -u/echo", True, None),
    ("fragment", "-mfanout -c3 -P1 -u/room -s100", True, None),
    ("greet", "-mecho -c3 -k2 -S2 -u/echo", True, None),
    ("greet", "-mecho -c3 -k2 -u/echo", False, "unexpected"),
    ("accept", "-mecho -c2 -u/echo", False, "Accept"),
    ("masked", "-mecho -c1 -u/echo", False, "masked"),
    ("rsv", "-mecho -c1 -u/echo", False, "RSV"),
    ("corrupt", "-mecho -c1 -z1 -u/echo", False, "content"),
    ("truncate", "-mecho -c1 -u/echo", False, "length"),
    ("drop", "-mecho -c1 -k4 -u/echo", False, "order"),
    ("dup", "-mecho -c1 -k4 -u/echo", False, "order"),
    ("close", "-mecho -c1 -u/echo", False, "closed"),
    ("drop", "-mfanout -c4 -P1 -u/room -s100", False, "gap"),
    ("dup", "-mfanout -c4 -P1 -u/room -s100", False, "duplicate"),
    ("reorder", "-mfanout -c4 -P1 -u/room -s100", False, "gap"),
    ("delay", "-mecho -c1 -k1 -u/echo", True, lambda d: 50000 <= d["lat_us"]["p50"] <= 500000),
    (
        "delay",
        "-mfanout -c2 -P1 -r5 -u/room -s100",
        True,
        lambda d: 50000 <= d["lat_us"]["p50"] <= 500000,
    ),
    ("", "-mhttp -c5 -k1 -u/hello", True, lambda d: d["content_checked"] >= d["msgs"] > 0),
    ("", "-mhttp -c3 -k4 -u/hello", True, lambda d: d["content_checked"] >= d["msgs"] > 0),
    ("pieces", "-mhttp -c3 -k1 -u/hello", True, None),
    ("status", "-mhttp -c1 -u/hello", False, "500"),
    ("type", "-mhttp -c1 -u/hello", False, "JSON"),
    ("length", "-mhttp -c1 -u/hello", False, "length"),
    ("body", "-mhttp -c1 -u/hello", False, "body"),
    ("keep", "-mhttp -c1 -u/hello", False, "alive"),
    ("twice", "-mhttp -c1 -u/hello", False, "nobody asked"),
    ("chunked", "-mhttp -c1 -u/hello", False, "length"),
    ("silent", "-mhttp -c1 -u/hello", False, "lost"),
]


async def main():
    global FAULT, COUNT
    logging.disable(logging.CRITICAL)
    s = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = s.sockets[0].getsockname()[1]
    good = bad = 0
    for fault, args, ok, chk in CASES:
        FAULT = fault
        ROOM.clear()
        COUNT = 0
        p = await asyncio.create_subprocess_exec(
            f"{HERE}/../build/wsload",
            *args.split(),
            "-p",
            str(port),
            "-t",
            ".5",
            "-w",
            ".1",
            "-d",
            "1",
            "-e",
            "50",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        o, e = await asyncio.wait_for(p.communicate(), 30)
        try:
            d = json.loads(o)
        except ValueError:
            d = {"ok": None, "first_error": (o + e).decode()}
        r = d["ok"] is ok and (
            chk is None or (chk(d) if callable(chk) else chk in d.get("first_error", ""))
        )
        if r and args.startswith("-mfanout") and ok:
            r = (
                d["published"] == COUNT and d["deliveries"] > 0 and d["lost"] == 0
            )  # server-side count agrees
        good += r
        bad += not r
        print(
            "ok  " if r else "FAIL",
            fault or "clean",
            args,
            "->",
            d.get("first_error") or ("ok" if d["ok"] else d),
            flush=True,
        )
    print(f"{good} passed, {bad} failed")
    sys.exit(bad > 0)


asyncio.run(main())
