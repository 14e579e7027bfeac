"""Put nginx and HAProxy before the server, with connections that they keep and share, and try to mix up clients.

    proxies.py [--seconds N]

    smuggling   requests whose end two servers may see in different places: the lane and Tornado read them alike, and
                behind a proxy every request that the server reads is one that the proxy has sent
    traffic     clients of all generations at once, each from an address of its own, with bodies of a megabyte, polls
                that are cut and pages in between: no client hears another, and each has its own X-Real-IP

Each part prints one line; the exit code is 1 when something was mixed up. The clients from npm are those that
../interop/run.sh has installed; without them, or without nginx or HAProxy, the script fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import logging
import random
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import server as stage
import tornado.httpserver
import tornado.netutil
import tornado.web
from wire import GENERATIONS, STREAMS, Client, Line

import socket_io

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nginx

FORGED = "6.6.6.6"  # the address that attackers give as theirs
SECONDS = 40.0  # for an answer: a megabyte takes long where seventy others have the processor too
BODY_BYTES = 950_000  # of a large message: below max_message_bytes with what is put around it
# Turns of the loop in which nothing has come: then nothing will. The server is on the same loop.
TURNS = 60
MANY_TURNS = 10_000
NPM_CLIENTS = Path(__file__).with_name("proxies-clients.mjs")
TAG = re.compile(rb"tag-(\w+)-")


# -- The server ------------------------------------------------------------------------


class Side:
    """The server by one of its two ways, with a list of all requests that it has read."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.port = 0
        self.seen: list[list[Any]] = []  # method, path, X-Real-IP, body
        self.problems: list[str] = []
        self.address_of: dict[str, str] = {}  # by sid, the X-Real-IP of its first request
        self.clients: dict[str, str] = {}  # by name, the address of a client in the traffic
        self.reasons: dict[str, str] = {}  # by name, why the session of a client has ended

    def start(self) -> None:
        handler = type("Mirror", (Mirror,), {"side": self})
        routes = handler.routes("socket.io")
        self.hub = handler.io._at[-1][0]
        pages = [(r"/(?:page|hidden)", Page, {"side": self})]
        application = tornado.web.Application([routes, *pages], socket_io_port=0)
        if self.way == "lane":
            self.port = stage.Server(application, auto_start=False, xheaders=True).port
        else:
            sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=4096)
            tornado.httpserver.HTTPServer(application, xheaders=True).add_sockets(sockets)
            self.port = sockets[0].getsockname()[1]

    def session(self, sid: str) -> socket_io.Session:
        return self.hub.sessions[sid]

    def note(self, method: str, path: str, headers: Any, sid: str = "") -> list[Any]:
        entry = [method, path, headers.get("X-Real-Ip"), None]
        self.seen.append(entry)
        if sid and self.address_of.setdefault(sid, entry[2]) != entry[2]:
            self.problems.append(f"{entry[2]} asks for the session of {self.address_of[sid]}")
        return entry


class Mirror(socket_io.SocketIOHandler):
    """Handler that sends messages back, and notices when they are not all of one client."""

    side: Side
    poll_duration = 2.0
    close_timeout = 5.0
    name = b""

    def on_message(self, message):
        if not isinstance(message, str):
            return
        if found := TAG.match(message.encode("utf-8", "replace")):
            self.name = self.name or found[1]
            if self.name != found[1]:
                self.side.problems.append(f"{found[1]!r} speaks in the session of {self.name!r}")
            address = self.side.clients.get(found[1].decode(), self.request.remote_ip)
            if address != self.request.remote_ip:
                self.side.problems.append(f"{found[1]!r} has the address {self.request.remote_ip}")
        self.send(message)

    def on_close(self):
        self.side.reasons[self.name.decode()] = self.close_reason


class Page(tornado.web.RequestHandler):
    def initialize(self, side):
        self.side = side

    def prepare(self):
        entry = self.side.note(self.request.method, self.request.uri, self.request.headers)
        entry[3] = self.request.body

    def get(self):
        self.post()

    def post(self):
        digest = hashlib.sha256(self.request.body).hexdigest()
        self.write(f"{self.get_query_argument('v', '')} {self.request.remote_ip} {digest}")


def watch_exchanges() -> None:
    """Have every Exchange note its request at the side that serves it."""
    begin, finish = socket_io.Exchange.begin, socket_io.Exchange.finish
    entries: dict[socket_io.Exchange, list[Any]] = {}

    def noting_begin(self):
        request = self.http_request
        sid = request.query_arguments.get("sid", [b""])[0].decode("latin-1")
        path = request.path + "?" + request.query.replace(sid or "sid=", "")
        entries[self] = self.hub.options.side.note(request.method, path, self.headers, sid)
        return begin(self)

    def noting_finish(self):
        entries.pop(self, [None] * 4)[3] = bytes(self.body)
        return finish(self)

    socket_io.Exchange.begin, socket_io.Exchange.finish = noting_begin, noting_finish


# -- The proxies -----------------------------------------------------------------------

NGINX = """
    proxy_set_header X-Real-IP $remote_addr;
    client_max_body_size 4m;
"""
NGINX_SERVER = """
    upstream {way} {{ server 127.0.0.1:{port}; keepalive 16; }}
    server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://{way}; {more} }} }}
"""
HAPROXY = """
global
    maxconn 4000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    option http-keep-alive
    http-reuse always
"""
HAPROXY_SERVER = """
frontend to-{way}
    bind 127.0.0.1:{front}
    http-request set-header X-Real-IP %[src]
    default_backend {way}
backend {way}
    server one 127.0.0.1:{port}
"""


class Proxy:
    """A proxy with one front for each side of the server."""

    def __init__(self, name: str, command: Callable[[Path, str], list[str]], part: str) -> None:
        self.name = name
        self.command = command
        self.part = part
        self.fronts: dict[str, int] = {}  # by way

    async def start(self, sides: list[Side], folder: Path) -> None:
        parts = []
        for side in sides:
            self.fronts[side.way] = free_port()
            # A body that nginx does not keep back meets the server as it comes.
            more = "proxy_request_buffering off;" if side.way == "lane" else ""
            values = {"way": side.way, "port": side.port, "front": self.fronts[side.way]}
            parts.append(self.part.format(**values, more=more))
        self.process = await asyncio.create_subprocess_exec(
            *self.command(folder, "".join(parts)), stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        for port in self.fronts.values():
            await until_it_listens(port)

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()  # a worker of nginx would outlive a kill
        await self.process.wait()


def nginx_command(folder: Path, servers: str) -> list[str]:
    # Connections are kept for each process: one process shares them all.
    return nginx.command(folder, nginx.KEPT_CONNECTIONS + NGINX + servers, processes=1)


def haproxy_command(folder: Path, servers: str) -> list[str]:
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if not haproxy:
        sys.exit("haproxy is missing (Debian: apt-get install haproxy)")
    configuration = folder / "haproxy.cfg"
    configuration.write_text(HAPROXY + servers)
    return [haproxy, "-db", "-f", str(configuration)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until_it_listens(port: int) -> None:
    for _ in range(200):
        try:
            (await Line.open(port)).close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    sys.exit(f"nothing listens at port {port}")


# -- Smuggling -------------------------------------------------------------------------

#: The number of the attack stands in the place of the zeros.
HIDDEN = f"GET /hidden?n=00000& HTTP/1.1\r\nHost: test.example\r\nX-Real-IP: {FORGED}\r\n\r\n"
SHORT = len(HIDDEN) - 2  # as Content-Length: leaves two bytes for another request


def chunked(*chunks: str, trailers: str = "") -> str:
    parts = [f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks]
    return "".join([*parts, f"0\r\n{trailers}\r\n"])


def in_chunks(
    line: str = "Transfer-Encoding: chunked", body: str | None = None, more: str = ""
) -> tuple[str, str]:
    return f"{line}\r\n{more}", chunked("hello") + HIDDEN if body is None else body


def in_length(lines: str, body: str = HIDDEN) -> tuple[str, str]:
    return f"{lines}\r\n", body


WHOLE = f"Content-Length: {len(HIDDEN)}"
NONE = "Content-Length: 0"

#: What stands behind the request line and Host: more header lines, then the body.
FRAMINGS = {
    # Lengths.
    "a body that looks like a request": in_length(WHOLE),
    "a request behind an empty body": in_length(NONE),
    "no length": ("", HIDDEN),
    "two lengths, the first is zero": in_length(f"{NONE}\r\n{WHOLE}"),
    "two lengths, the last is zero": in_length(f"{WHOLE}\r\n{NONE}"),
    "the same length twice": in_length(f"{WHOLE}\r\n{WHOLE}"),
    "two lengths in one line": in_length(f"Content-Length: 0, {len(HIDDEN)}"),
    "the same length twice in one line": in_length(f"Content-Length: {len(HIDDEN)}, {len(HIDDEN)}"),
    "a signed length": in_length(f"Content-Length: +{len(HIDDEN)}"),
    "a negative length": in_length("Content-Length: -1"),
    "a length in hex": in_length(f"Content-Length: 0x{len(HIDDEN):x}"),
    "a length with zeros before it": in_length(f"Content-Length: 000{len(HIDDEN)}"),
    "a length with an underscore": in_length("Content-Length: 1_0"),
    "a length with a space inside": in_length("Content-Length: 1 0"),
    "a length with a letter": in_length("Content-Length: 10a"),
    "an empty length": in_length("Content-Length:"),
    "a length beyond 64 bits": in_length("Content-Length: 18446744073709551616"),
    "a length whose name ends in a space": in_length(f"{NONE}\r\nContent-Length : {len(HIDDEN)}"),
    "a length whose name has an underscore": in_length(f"{NONE}\r\nContent_Length: {len(HIDDEN)}"),
    "a length behind a tab": in_length(f"Content-Length:\t{len(HIDDEN)}\t"),
    "a length of other digits": in_length("Content-Length: \xb2"),
    "a length that is too short": in_length(f"Content-Length: {SHORT}"),
    # Chunks.
    "chunks": in_chunks(),
    "chunks and a length": in_chunks(more=f"{WHOLE}\r\n"),
    "a length and chunks": in_chunks(f"{NONE}\r\nTransfer-Encoding: chunked"),
    "chunks, in capitals": in_chunks("TRANSFER-ENCODING: CHUNKED"),
    "chunks, by a name that ends in a space": in_chunks(f"{NONE}\r\nTransfer-Encoding : chunked"),
    "chunks, by a name with an underscore": in_chunks(f"{NONE}\r\nTransfer_Encoding: chunked"),
    "chunks behind a tab": in_chunks("Transfer-Encoding:\tchunked"),
    "chunks behind a vertical tab": in_chunks(f"{NONE}\r\nTransfer-Encoding: \x0bchunked"),
    "chunks behind a NUL": in_chunks(f"{NONE}\r\nTransfer-Encoding: \x00chunked"),
    "chunks, nearly": in_chunks(f"{NONE}\r\nTransfer-Encoding: xchunked"),
    "chunks, then identity": in_chunks("Transfer-Encoding: chunked, identity"),
    "identity, then chunks": in_chunks("Transfer-Encoding: identity, chunked"),
    "chunks twice": in_chunks("Transfer-Encoding: chunked, chunked"),
    "chunks in two lines": in_chunks("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "chunks, then identity in another line": in_chunks("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    "chunks with quotes": in_chunks('Transfer-Encoding: "chunked"'),
    "chunks with a comma": in_chunks("Transfer-Encoding: ,chunked"),
    "gzip, then chunks": in_chunks("Transfer-Encoding: gzip, chunked"),
    "identity only": in_chunks(f"Transfer-Encoding: identity\r\n{WHOLE}", HIDDEN),
    "chunks with trailers": in_chunks(body=chunked("hello", trailers=f"X-Real-IP: {FORGED}\r\n{WHOLE}\r\n") + HIDDEN),
    "chunks with a trailer that folds": in_chunks(body=chunked("hello", trailers="X-A: b\r\n c\r\n") + HIDDEN),
    "chunks with an extension": in_chunks(body=f"5;a=b\r\nhello\r\n0;c\r\n\r\n{HIDDEN}"),
    "chunks with an extension that has a line feed": in_chunks(body=f"5;a\nb\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size has a prefix": in_chunks(body=f"0x5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size has a sign": in_chunks(body=f"+5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size is negative": in_chunks(body=f"-5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size ends in a space": in_chunks(body=f"5 \r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size has an underscore": in_chunks(body=f"0_5\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size is empty": in_chunks(body=f"\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks whose size wraps round": in_chunks(body=f"10000000000000005\r\nhello\r\n0\r\n\r\n{HIDDEN}"),
    "chunks that end in a line feed": in_chunks(body=f"5\nhello\n0\n\n{HIDDEN}"),
    "chunks that end in another byte": in_chunks(body=f"5\r\nhelloXX0\r\n\r\n{HIDDEN}"),
    "chunks, the last of them in zeros": in_chunks(body=f"5\r\nhello\r\n0000\r\n\r\n{HIDDEN}"),
    # Lines.
    "a line that goes on": in_length(f"X-A: b\r\n Content-Length: {len(HIDDEN)}"),
    "a length that goes on": in_length(f"Content-Length:\r\n {len(HIDDEN)}"),
    "chunks that go on": in_chunks(f"{NONE}\r\nTransfer-Encoding:\r\n chunked"),
    "a line feed alone, before a length": in_length(f"X-A: b\n{WHOLE}"),
    "a carriage return alone, before a length": in_length(f"X-A: b\r{WHOLE}"),
    "a line feed alone, before another length": in_length(f"{NONE}\r\nX-A: b\n{WHOLE}"),
    "a line feed alone, before another address": in_length(f"{WHOLE}\r\nX-A: b\nX-Real-IP: {FORGED}"),
    "a carriage return alone, before another length": in_length(f"{NONE}\r\nX-A: b\r{WHOLE}"),
    "a line feed alone, before chunks": in_chunks(f"{NONE}\r\nX-A: b\nTransfer-Encoding: chunked"),
    "a NUL before a length": in_length(f"X-A: b\x00\r\n{WHOLE}"),
    "a line feed alone at the end": (f"{NONE}\r\n\n", HIDDEN),
    "two line feeds at the end": (f"{NONE}\n\n", HIDDEN),
    "no colon": in_length(f"X-A\r\n{WHOLE}"),
    "no name": in_length(f": a\r\n{WHOLE}"),
    "a colon in the name": in_length(f":Content-Length: 5\r\n{WHOLE}"),
    # Connections.
    "a connection without its address": in_length(f"Connection: X-Real-IP\r\n{WHOLE}"),
    "a connection that closes without its address": in_length(f"Connection: close, X-Real-IP\r\n{WHOLE}"),
    "a connection without its length": in_length(f"Connection: Content-Length\r\n{WHOLE}"),
    "a connection without its chunks": in_chunks("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked"),
    "a forged address": in_length(f"X-Real-IP: {FORGED}\r\n{WHOLE}"),
    "two forged addresses": in_length(f"X-Real-IP: {FORGED}\r\nX-Real-IP: {FORGED}\r\n{WHOLE}"),
    "a forged address with underscores": in_length(f"X_Real_IP: {FORGED}\r\n{WHOLE}"),
    "a forged address in a line that folds": in_length(f"X-A: b\r\n X-Real-IP: {FORGED}\r\n{WHOLE}"),
    "a body that is expected": in_length(f"Expect: 100-continue\r\n{WHOLE}"),
    "another expectation": in_length(f"Expect: 200-ok\r\n{WHOLE}"),
    "an upgrade to a WebSocket that is none": in_length(f"Connection: Upgrade\r\nUpgrade: websocket\r\n{NONE}"),
    "an upgrade to HTTP/2": in_length(
        f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n{NONE}"
    ),
    "two hosts": in_length(f"Host: other.example\r\n{WHOLE}"),
}  # fmt: skip

#: The request line, with the path at its place, and what stands before it.
LINES = {
    "a POST": "POST {} HTTP/1.1\r\n",
    "a GET": "GET {} HTTP/1.1\r\n",
    "HTTP/1.0": "POST {} HTTP/1.0\r\n",
}
ODD_LINES = {
    "an empty line before": "\r\nPOST {} HTTP/1.1\r\n",
    "a line feed before": "\nPOST {} HTTP/1.1\r\n",
    "two spaces": "POST  {} HTTP/1.1\r\n",
    "a space at the end": "POST {} HTTP/1.1 \r\n",
    "a tab": "POST\t{} HTTP/1.1\r\n",
    "a line feed at the end": "POST {} HTTP/1.1\n",
    "an absolute target": "POST http://test.example{} HTTP/1.1\r\n",
    "a fragment": "POST {}#x HTTP/1.1\r\n",
    "HTTP/1.2": "POST {} HTTP/1.2\r\n",
    "HTTP/2.0": "POST {} HTTP/2.0\r\n",
    "HTTP/0.9": "GET {}\r\n",
    "another method": "BREW {} HTTP/1.1\r\n",
}
HANDSHAKE = "/socket.io/?EIO=4&transport=polling&n=00000&"
TARGETS = {"a page": "/page?n=00000&", "a handshake": HANDSHAKE, "a session": HANDSHAKE}


@dataclasses.dataclass
class Attack:
    """A request that asks for *target*, and whose end is doubtful; its number marks all requests in it."""

    number: int
    line: str
    framing: str
    target: str

    def __str__(self) -> str:
        return f"{self.line}, {self.framing}, for {self.target}"

    async def bytes_for(self, side: Side) -> bytes:
        target = TARGETS[self.target]
        if self.target == "a session":
            target += f"sid={await new_sid(side)}"
        pattern = {**LINES, **ODD_LINES}[self.line]
        more, body = FRAMINGS[self.framing]
        text = f"{pattern.format(target)}Host: test.example\r\n{more}\r\n{body}"
        return text.replace("n=00000&", f"n={self.number:05}&").encode("latin-1")

    def seen_by(self, side: Side) -> list[list[Any]]:
        return [entry for entry in side.seen if f"n={self.number:05}&" in entry[1]]


def attacks() -> list[Attack]:
    numbers = itertools.count()
    rows = [
        *itertools.product(["a POST"], FRAMINGS, TARGETS),
        *itertools.product(["a GET"], FRAMINGS, ["a page", "a handshake"]),
        *itertools.product(["HTTP/1.0"], FRAMINGS, ["a page"]),
        *itertools.product(ODD_LINES, ["a body that looks like a request"], TARGETS),
    ]
    return [Attack(next(numbers), *row) for row in rows]


async def new_sid(side: Side) -> str:
    """Return the sid of a client that has joined "/"."""
    line = await Line.open(side.port)
    url = HANDSHAKE.partition("&n=")[0]
    _, body = await line.request("GET", url, X_Real_IP="127.0.0.1")
    sid = GENERATIONS["EIO4"].sid.search(body)[1].decode()
    await line.request("POST", f"{url}&sid={sid}", b"40", X_Real_IP="127.0.0.1")
    line.close()
    side.address_of.pop(sid)  # the attacker has another
    return sid


async def say(port: int, data: bytes, address: str = "127.0.0.1", turns: int = TURNS) -> bytes:
    """Send *data* and return what comes for it, up to the end, or until nothing has come in so many turns."""
    line = await Line.open(port, address)
    line.write(data)
    left, received = turns, 0
    while left and not line.ended:
        await asyncio.sleep(0.002)
        left, received = (turns if len(line.received) != received else left - 1), len(line.received)
    line.close()
    return bytes(line.received)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answers)]


async def attack_directly(attack: Attack, sides: list[Side]) -> str:
    """Tell what the two sides see of an attack, if it is not the same."""
    seen = []
    for side in sides:
        answers = await say(side.port, await attack.bytes_for(side))
        # Behind the last request of a connection, Tornado may happen to read on before it closes.
        most = 1 if attack.line == "HTTP/1.0" else None
        seen.append((statuses(answers)[:most], attack.seen_by(side)[:most]))
    return "" if seen[0] == seen[1] else f"{attack}: " + ", but ".join(map(repr, seen))


async def attack_through(attack: Attack, side: Side, proxy: Proxy) -> str:
    """Tell what goes wrong for others who come by the same proxy as an attack."""
    port, group = (
        proxy.fronts[side.way],
        f"127.{attack.number % 200 + 1}.{attack.number // 200 + 1}",
    )
    attacking = asyncio.ensure_future(say(port, await attack.bytes_for(side), f"{group}.1"))
    await asyncio.sleep(0.005)
    for victim in (f"{group}.2", f"{group}.3"):
        head = "GET /page?v={0} HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n"
        answer = await say(port, head.format(victim).encode(), victim, MANY_TURNS)
        if statuses(answer) != [200] or f"\r\n\r\n{victim} {victim} ".encode() not in answer:
            return f"{attack}, through {proxy.name}: {victim} was answered {answer[-300:]!r}"
    await attacking
    forged = [entry for entry in attack.seen_by(side) if entry[2] != f"{group}.1"]
    why = "which the proxy has not sent"
    return f"{attack}, through {proxy.name}: the server read {forged}, {why}" if forged else ""


async def side_by_side(work: Iterable[Coroutine[Any, Any, str]], limit: int = 40) -> list[str]:
    """Do all *work*, so many at once; return the results that are not empty."""
    room = asyncio.Semaphore(limit)

    async def limited(one):
        async with room:
            return await one

    return [result for result in await asyncio.gather(*map(limited, work)) if result]


async def smuggling(sides: list[Side], fronts: list[Proxy]) -> list[str]:
    """Play all attacks; see the top of this file."""
    todo = attacks()
    problems = await side_by_side(attack_directly(attack, sides) for attack in todo)
    for side in sides:
        side.seen.clear()
    for side, proxy in itertools.product(sides, fronts):
        problems += await side_by_side(attack_through(attack, side, proxy) for attack in todo)
        problems += [
            f"{proxy.name}: the server read {entry}"
            for entry in side.seen
            if entry[2] in (None, FORGED)
        ]
        side.seen.clear()
    print(
        f"smuggling: {len(todo)} attacks, directly and through two proxies: {len(problems)} problems",
        flush=True,
    )
    return problems


# -- Traffic ---------------------------------------------------------------------------


@dataclasses.dataclass
class Front:
    """Where clients connect: a side of the server, behind a proxy."""

    side: Side
    proxy: Proxy

    @property
    def port(self) -> int:
        return self.proxy.fronts[self.side.way]

    def __str__(self) -> str:
        return f"{self.proxy.name}, {self.side.way}"


class Speaker(Client):
    """Client that says what nobody else says, and looks for what others have said."""

    def __init__(self, front: Front, generation: Any, transport: str, number: int) -> None:
        address = f"127.{number // 200 + 1}.{number % 200 + 1}.9"
        super().__init__(front.port, generation, transport, address)
        self.front = front
        self.patience = SECONDS
        self.name = f"{generation.name.replace('.', '')}x{number}"
        self.said = 0
        front.side.clients[self.name] = address

    def __str__(self) -> str:
        return f"{self.generation.name} by {self.transport} through {self.front}"

    async def speak(self, rng: random.Random) -> str:
        """Say something and hear it; then perhaps look at a page, or cut the poll. Tell what goes wrong."""
        self.said += 1
        # A proxy may put the line of a chunk into a long message.
        is_long = rng.random() < 0.05 and self.transport not in STREAMS
        filling = "x" * (BODY_BYTES if is_long else rng.randrange(300))
        text = f"tag-{self.name}-{self.said}-{filling}-"
        if not await self.echo(text, SECONDS):
            return f"{self} does not hear {text[:40]}: {self.front.side.reasons.get(self.name)}"
        others = {found for found in TAG.findall(self.got) if found != self.name.encode()}
        if others:
            return f"{self} hears {others}"
        if self.posts is not None and rng.random() < 0.5:
            return await self.look_at_page(rng)
        if "polling" in self.transport and rng.random() < 0.2:
            await self.cut_poll()
        return ""

    async def look_at_page(self, rng: random.Random) -> str:
        """Use the connection of the posts for a page in between."""
        body = b"x" * (BODY_BYTES if rng.random() < 0.05 else 0)
        status, answer = await self.posts.request("POST", f"/page?v={self.name}", body, SECONDS)
        expected = f"{self.name} {self.address} {hashlib.sha256(body).hexdigest()}"
        return (
            ""
            if (status, answer.decode()) == (200, expected)
            else f"{self} sees the page {answer[:200]!r}"
        )

    async def cut_poll(self) -> None:
        session = self.front.side.session(self.sid)
        # A poll that is cut on its way could come to the server behind the next one, and take its answer.
        while session.outlet is None:
            await asyncio.sleep(0.005)
        self._reader.cancel()
        self.line.close()
        while session.outlet is not None:  # a second poll would be one too many
            await asyncio.sleep(0.005)
        self.line = await Line.open(self.port, self.address)
        self.read_on()


async def converse(speaker: Speaker, seconds: float) -> str:
    """Speak for so many seconds, and tell the first thing that goes wrong."""
    rng, loop = random.Random(speaker.name), asyncio.get_running_loop()
    end, problem = loop.time() + seconds, ""
    try:
        await speaker.connect()
        while not problem and loop.time() < end:
            problem = await speaker.speak(rng)
    except (ConnectionError, OSError) as error:
        problem = f"{speaker}: {error!r}"
    await speaker.close()
    return problem


async def npm_clients(front: Front, seconds: float) -> tuple[int, str]:
    """Have clients from npm speak; return how often they were heard, and what went wrong."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(NPM_CLIENTS),
        f"http://127.0.0.1:{front.port}",
        str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), seconds + 60)
    *problems, last = output.decode().splitlines() or ["0 heard"]
    if process.returncode != 0:
        return 0, f"{front}: " + "; ".join([*problems, last])
    return int(last.split()[0]), ""


async def traffic(sides: list[Side], fronts: list[Proxy], seconds: float) -> list[str]:
    """Have all kinds of clients speak at once through all fronts."""
    places = [Front(side, proxy) for side, proxy in itertools.product(sides, fronts)]
    kinds = [
        (generation, transport)
        for generation in GENERATIONS.values()
        for transport in generation.transports
    ]
    numbers = itertools.count(1)
    speakers = [
        Speaker(place, *kind, next(numbers)) for place, kind in itertools.product(places, kinds)
    ]
    conversations = [converse(speaker, seconds) for speaker in speakers]
    npm = [npm_clients(place, seconds) for place in places]
    problems, from_npm = await asyncio.gather(
        side_by_side(conversations, len(conversations)), asyncio.gather(*npm)
    )
    problems += [problem for _, problem in from_npm if problem]
    for side in sides:
        problems += side.problems
    said = sum(speaker.said for speaker in speakers) + sum(heard for heard, _ in from_npm)
    print(
        f"traffic: {len(speakers)} clients, and those from npm, say {said} things; {len(problems)} problems",
        flush=True,
    )
    return problems


async def check(seconds: float) -> bool:
    socket_io.POLL_GRACE = SECONDS  # a poll that was cut: the next one may take long, too
    errors = stage.Errors()
    errors.watch(asyncio.get_running_loop())
    watch_exchanges()
    sides = [Side("lane"), Side("tornado")]
    for side in sides:
        side.start()
    fronts = [
        Proxy("nginx", nginx_command, NGINX_SERVER),
        Proxy("haproxy", haproxy_command, HAPROXY_SERVER),
    ]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for proxy in fronts:
                await proxy.start(sides, Path(folder))
            problems = await traffic(sides, fronts, seconds) + await smuggling(sides, fronts)
        finally:
            for proxy in fronts:
                await proxy.stop()
    problems += [f"the server logged {error}" for error in errors.found]
    for problem in problems[:50]:
        print(f"FAILED {problem[:1000]}", flush=True)
    return not problems


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0, help="of traffic")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    sound = []

    async def work() -> None:
        sound.append(await check(options.seconds))

    stage.run(work())
    sys.exit(not sound[0])


if __name__ == "__main__":
    main()
