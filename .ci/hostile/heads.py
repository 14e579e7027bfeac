"""Heads of requests, plain and spoiled: Tornado must read what the lane accepts as the same request.

`fuzz.py --heads N` plays them. The lane may leave any head to Tornado. A head that it takes and Tornado reads
otherwise, or not at all, is a hole: two servers on one connection disagree about where a request ends.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.httputil
import tornado.iostream

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import socket_io

MAX_HEAD = socket_io.MAX_PLAIN_HEAD
MAX_BODY = 10**9  # so that the length alone decides
SID = "AehuGF24abSm-M5xunW0"
TARGETS = [
    "/socket.io/?EIO=4&transport=polling", f"/socket.io/?EIO=4&transport=polling&sid={SID}",
    f"/socket.io/?EIO=3&transport=polling&t=P1x.y-_&sid={SID}", f"/socket.io?EIO=4&transport=websocket&sid={SID}",
    "/a/b/?x=%41+b&EIO=4&&=&y", "/?EIO=4?EIO=3", f"/socket.io/?EIO=4&transport=polling&s%69d={SID}&sid=other",
]  # fmt: skip
LINES = [
    "Host: test.example", "host: [::1]:80", "Host: a, b", "Host:", "Host: test.example:8000 ",
    "Content-Length: 0", "Content-Length: 5", "content-length: 007", "Content-Length: +5",
    "Content-Length: 5, 5", "Content-Length: 5_0", "Content-Length: 1234567890", "Transfer-Encoding: chunked",
    "Transfer-Encoding : chunked", "Expect: 100-continue", "Content-Encoding: gzip",
    "Content-Encoding: identity", "Connection: close", "Connection: Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Cookie: a=b; c=d",
    "Origin: http://test.example", "User-Agent:\tMozilla/5.0 (X11)", "X-A:", "X-A:  b  \t", "x-a: \xe9",
    "X-A: b:c: d", "__: x", "a--b-: c", "-: d", "X-FORWARDED-FOR: 1.2.3.4", "Accept: */*", " folded: yes",
    "no colon", ": empty",
]  # fmt: skip
#: What is put between, for, or in place of, other characters.
SPOILS = [
    "\r", "\n", "\r\n", "\r\n\r\n", "\n\n", "\x00", "\x0b", "\x0c", "\x1f", "\x7f", "\x80", "\x85", "\xa0", "\xff", " ",
    "\t", ":", ",", ";", "?", "#", "&", "=", "%", "+", "%00", "/", "//", "..", '"', "(", "@", "HTTP/1.1", "0", "-", "_",
]  # fmt: skip


def some_head(rng: random.Random) -> str:
    """Return a head, good but for at most three spoils, and sometimes something behind it."""
    method = rng.choice(["GET"] * 5 + ["POST"] * 5 + ["PUT", "get", "HEAD", "OPTIONS"])
    version = rng.choice(
        ["HTTP/1.1"] * 20 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.11"]
    )
    lines = [f"{method} {rng.choice(TARGETS)} {version}", "Host: test.example"]
    if method == "POST":
        lines.append("Content-Length: 5")
    few = rng.choices([0, 1, 2, 6], [4, 3, 2, 1])[0]
    lines += rng.sample(LINES, few)
    if rng.random() < 0.1:
        del lines[rng.randrange(1, len(lines))]
    if rng.random() < 0.2:
        lines[1:] = rng.sample(lines[1:], len(lines) - 1)
    text = "\r\n".join([*lines, "", ""]) + rng.choice(
        ["", "hello", "hello and more", "GET / HTTP/1.1\r\n\r\n"]
    )
    for _ in range(rng.choices([0, 1, 2, 3], [5, 5, 2, 1])[0]):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + rng.choice(SPOILS) + text[start + rng.choice([0, 0, 1, 2]) :]
    return text


class Reader:
    """Reads one head after the other, as the lane does and as Tornado does."""

    def __init__(self) -> None:
        self.server = tornado.httpserver.HTTPServer(self._serve)
        self.seen: asyncio.Queue[tornado.httputil.HTTPServerRequest | None] = asyncio.Queue()

    def _serve(self, request: tornado.httputil.HTTPServerRequest) -> None:
        self.seen.put_nowait(request)
        line = tornado.httputil.ResponseStartLine("HTTP/1.1", 204, "No Content")
        request.connection.write_headers(line, tornado.httputil.HTTPHeaders())
        request.connection.finish()

    def by_lane(self, data: bytes) -> tuple[socket_io.LaneConnection, Any, Sequence[str]] | None:
        """Return the connection with the request that the lane would take, and the words of its query."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            lane = types.SimpleNamespace(
                max_head=MAX_HEAD, max_body=MAX_BODY, no_keep_alive=False, protocol="http", add=id
            )
            lane.is_last = types.MethodType(socket_io.Lane.is_last, lane)
            lane.parse_head = types.MethodType(socket_io.Lane.parse_head, lane)
            connection = socket_io.LaneConnection(lane, ours, ("127.0.0.1", 1))
            plain, words = connection._parse(data[:MAX_HEAD].decode("latin-1"))
            if plain is None:
                return None
            plain.query_arguments  # noqa: B018  (fails here, if it fails)
            return connection, plain, words

    async def by_tornado(self, data: bytes) -> tornado.httputil.HTTPServerRequest | None:
        """Return the first request that Tornado serves; None if it refuses."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.server.handle_stream(tornado.iostream.IOStream(ours), ("127.0.0.1", 1))
        with theirs:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            theirs.setblocking(False)
            loop = asyncio.get_running_loop()
            while await asyncio.wait_for(loop.sock_recv(theirs, 65536), 5):
                pass
        first = None if self.seen.empty() else self.seen.get_nowait()
        while not self.seen.empty():
            self.seen.get_nowait()
        return first

    async def difference(self, data: bytes) -> tuple[bool, str]:
        """Tell whether the lane takes *data*, and how Tornado reads it otherwise; empty if it does not."""
        taken = self.by_lane(data)
        if taken is None:
            return False, ""
        connection, plain, words = taken
        head, size = connection.head, connection.head_size
        whole = data.ljust(size + head.body_size, b"x")[: size + head.body_size]
        request = await self.by_tornado(whole)
        if request is None:
            return True, "Tornado refuses it"
        headers = tornado.httputil.HTTPHeaders(dict(head.headers))
        pairs = {
            "method": (plain.method, request.method),
            "path": (plain.path, request.path),
            "query": (plain.query, request.query),
            "arguments": (plain.query_arguments, request.query_arguments),
            "headers": (sorted(headers.get_all()), sorted(request.headers.get_all())),
            "body": (whole[size:], request.body),
            "request": (self._meant(plain, words), self._meant(request)),
        }
        different = [
            f"{name}: {ours!r}, by Tornado {its!r}"
            for name, (ours, its) in pairs.items()
            if ours != its
        ]
        return True, "; ".join(different)

    @staticmethod
    def _meant(request, words: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return what our parsers understand of it: the quick one, where it is the lane's and understands anything."""
        dialects = socket_io.DIALECTS
        try:
            meant = None
            if words is not None:
                meant = socket_io.parse_poll(request.method, words, request.headers, dialects)
            meant = meant or socket_io.parse_request(
                request.method, "/", request.query_arguments, request.headers, dialects
            )
        except socket_io.Refused as refused:
            return (refused.message,)
        return (
            meant.dialect.name,
            meant.transport,
            meant.method,
            meant.sid,
            meant.jsonp,
            str(meant.upgrade),
        )


async def play_heads(seed: int, first: int, count: int) -> bool:
    """Play *count* heads; tell whether all are read alike."""
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    reader, taken, failed = Reader(), 0, 0
    for number in range(first, first + count):
        data = some_head(random.Random(f"heads {seed} {number}")).encode("latin-1")
        is_taken, difference = await reader.difference(data)
        taken += is_taken
        if difference:
            failed += 1
            print(f"head {number}: {data!r}: {difference}", flush=True)
    print(
        f"{count} heads (seed {seed}): the lane takes {taken}; {failed} are read otherwise by Tornado"
    )
    return not failed and taken > count // 10
