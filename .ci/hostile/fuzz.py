"""Play mutated traffic of every generation against a real server.

    fuzz.py [--generation NAME] [--seed N] [--first N] [--count N] [--seconds N]
    fuzz.py --generation NAME --seed N --only N      plays one input again, and prints all that it sends
    fuzz.py --heads N                                plays so many heads of requests; see heads.py

An input is a plan: connections, requests and frames as a client makes them, with something wrong in them. A plan
follows from generation, seed and number alone. Many are played at a time, beside innocent clients. After each input

    the attacker's session is closed, or answers a message: no session is mute,
    every HTTP request has been answered,
    the innocent clients have got their echo within 2 s,
    the server has logged no error, and no status is 500 or higher,

and when all clients have left, the server has forgotten them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import dataclasses
import gc
import json
import random
import re
import sys
import time

from heads import play_heads
from server import Errors, Server, Stage, application, return_soon, run, tables
from wire import (
    BINARY_FRAME,
    CLOSE_FRAME,
    DIALECTS,
    FORM,
    STREAMS,
    TEXT_FRAME,
    UPGRADE,
    WEBSOCKETS,
    Client,
    Generation,
    Line,
    MsgPack4,
    Raw,
    frame,
    http_request,
    masked,
)

import socket_io
from socket_io import FrameError, FrameParser

AT_ONCE = 100  # inputs under way
INNOCENT_SECONDS = 2.0
EXCUSE = 1.0  # seconds without the processor, after which the server's timeouts may end any client
PATIENCE = 8.0  # seconds for an attacker's answer

#: The limits are low, so that an input reaches them; the times are short, so that sessions that are half made end soon.
OPTIONS = {
    "max_message_bytes": 20_000, "max_buffered_bytes": 150_000, "max_packets": 60, "max_attachments": 3,
    "max_namespaces": 3, "max_rooms": 4, "poll_duration": 0.4, "upgrade_timeout": 1.5, "connect_timeout": 3.0,
    "close_timeout": 1.5, "ping_interval": 6.0, "ping_timeout": 6.0, "allowed_origins": ["http://friend.example"],
    "enabled_dialects": [*socket_io.ALL_DIALECTS],
}  # fmt: skip


HEARTBEAT_SECONDS = OPTIONS["ping_interval"] + OPTIONS["ping_timeout"]


# -- Packets ---------------------------------------------------------------------------
# These are valid packets of each generation, as text; `bytes` is an attachment of the packet before it.

HELD = {"_placeholder": True, "num": 0}

EVENTS = [
    ("echo", "é€😀\u2028", {"a": [1, 2.5, None, True], "": {}}), ("ask", 1, "x"), ("slow",), ("question",),
    ("enter", "lobby"), ("enter", "a", "b", "c", "d", "e"), ("exit", "lobby"), ("shout", "lobby", "x"), ("picture",),
    ("flood", 3, 30_000), ("flood", 300, 10), ("drop",), ("kick",), ("message", {"a": 1}), ("nobody's", 1),
]  # fmt: skip

ENGINE_PACKETS = [
    "40", "40/admin,", "40/admin", '40/admin,{"token":"x"}', "40/admin?x=1,", "40/refused,", "40/slow,", "40/nowhere,",
    "41", "41/admin,", "42/admin,12" + json.dumps(EVENTS[0]), '42/slow,["slow"]', '430["ok"]', '43/admin,0[]',
    '44{"message":"x"}', "2", "3", "2probe", "3probe", "5", "6", "1", '0{"sid":"x"}', '42["connect",{}]',
    '42["disconnect"]', "450-" + json.dumps(EVENTS[0]),
]  # fmt: skip
ATTACHED = [
    ["451-" + json.dumps(["echo", HELD]), b"\x01\x02"],
    [
        "452-/admin,9" + json.dumps(["ask", HELD, {"x": {"_placeholder": True, "num": 1}}]),
        b"",
        b"\xff" * 300,
    ],
    ["461-0" + json.dumps([HELD]), b"abc"],
]

OLD_PACKETS = [
    "1::", "1::/admin", "1::/admin?x=1", "1::/refused", "1::/slow", "1::/nowhere", "0::", "0::/admin", "2::", "8::",
    "3:::hi é€😀", "3:1::hi", "3:1+:/admin:hi:there", '4:::{"a":1}', '4:2+:/admin:{"a":"b"}', "6:::0", '6:::0+["x"]',
    "6::/admin:5+[1]", "7:::2", "7:::1+0", '5:::{"name":"echo"}',
]  # fmt: skip

ANCESTOR_PACKETS = [
    "hello é€😀",
    "",
    '~j~{"a":1}',
    "~j~[1,null]",
    "~j~1",
    "~h~1",
    "~h~0",
    "~m~3~m~abc",
    "\n",
]


#: Values that msgpack can say, and JSON cannot, or not so.
ODD_VALUES = [
    b"", b"\xff" * 300, float("nan"), float("-inf"), -(2**63), 1.5, "\ud800", {7: 1}, {None: 1}, {b"a": 1}, HELD,
    *map(Raw, [
        b"\xd4\0\0", b"\xd7\0" + b"\0" * 8, b"\xd7\0" + b"\x7f" * 8, b"\xc7\x08\0" + b"\0" * 8,
        b"\xd6\xff\0\0\0\0", b"\xd8\1" + b"\0" * 16, b"\xca\x7f\x80\0\0", b"\xcf" + b"\xff" * 8, b"\xc1",
        b"\x82\xa1a\1\xa1a\2", b"\xa2\xff\xff", b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x91" * 1000 + b"\xc0", b"\x91" * 5000 + b"\xc0",
        b"\x81\xa1a" * 1000 + b"\xc0", b"\xdd\0\0\x10\0" + b"\x90" * 4096, b"\xdc\3\xff" * 3000,
    ]),
]  # fmt: skip


def msgpack_vocabulary(generation: MsgPack4) -> list[list[str | bytes]]:
    packet = generation.packet
    data = [
        *[list(event) for event in EVENTS],
        ["connect", {}],
        [],
        ["x"],
        [7],
        [None],
        {},
        "x",
        None,
        b"x",
        Raw(b"\xd4\0\0"),
    ]
    data += [["echo", value] for value in ODD_VALUES] + [
        ["ask", {"a": [value]}] for value in ODD_VALUES
    ]
    said = [packet(2, one) for one in data] + [packet(2, one, id=17) for one in data]
    said += [packet(2, one, "/admin", id=12) for one in data[:4]]
    said += [
        packet(3, ["ok"], id=0),
        packet(3, ["ok"]),
        packet(3, {}, id=1),
        packet(4, {"message": "x"}),
    ]
    names = [
        "/",
        "/admin",
        "/refused",
        "/slow",
        "/nowhere",
        "admin",
        "",
        "/a,b",
        "/" + "n" * 300,
        7,
        None,
        b"/",
    ]
    said += [
        packet(0, one, name)
        for name in names
        for one in (None, {"token": "x"}, [], Raw(b"\xd4\0\0"))
    ]
    said += [packet(1, one, name) for name in names for one in (None, {})]
    said += [packet(number, ["x"]) for number in (-1, 5, 6, 99, 2.0, True, "2", None, b"2")]
    said += [
        packet(2, ["ask"], id=number) for number in (-1, 10**15, 2**62, 1.5, True, "1", None, b"1")
    ]
    return [[one] for one in [*said, b"", b"\x80", b"\x90", b"\xc0", *ENGINE_PACKETS]]


def vocabulary(generation: Generation) -> list[list[str | bytes]]:
    """Return the packets that a client may send: each entry is a packet with its attachments."""
    if isinstance(generation, MsgPack4):
        return msgpack_vocabulary(generation)
    if generation.name == "0.6":
        said = [*ANCESTOR_PACKETS, *[generation.event(*event) for event in EVENTS]]
    elif generation.name == "0.9":
        numbered = ["5:3+::" + json.dumps({"name": name, "args": args}) for name, *args in EVENTS]
        said = [*OLD_PACKETS, *[generation.event(*event) for event in EVENTS], *numbered]
    else:
        said = [*ENGINE_PACKETS, *["42" + json.dumps(event) for event in EVENTS]]
        said += ["4217" + json.dumps(event, ensure_ascii=False) for event in EVENTS]
        return [[packet] for packet in said] + ATTACHED
    return [[packet] for packet in said]


VOCABULARY = {name: vocabulary(generation) for name, generation in DIALECTS.items()}


# -- Mutations -------------------------------------------------------------------------

NUMBERS = [
    "0", "-1", "00", "1", "9", "10", "11", "59", "60", "61", "255", "999999999", "9999999999", "2147483648", "1e400",
    "9007199254740993", "18446744073709551616", "1" * 400, "\uff14", "\xb2", "0.5", "",
]  # fmt: skip
SNIPPETS = [
    ":", "::", "~m~", "~j~", "~h~", "\ufffd", "\x1e", '"', "\\", "\\n", "/", ",", "-", "+", "?", "=", "&", "%", "%00",
    "\x00", "\r\n", "\u2028", "😀", "b", "b4", "[", "]", "{", "}", "null", "true", "NaN", "Infinity", "-Infinity",
    "1e999", '"connect"', '"disconnecting"', '"__proto__"', '{"_placeholder":true,"num":0}', "[" * 3000,
    '{"a":' * 1500, '"\\ud800"', '{"_placeholder":true,"num":-1}', '{"_placeholder":1,"num":"0"}', "x" * 25_000,
]  # fmt: skip
ODD_BYTES = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x00",
    b"\x80",
    b"\xfe\xff",
    b"\xe2\x82",
]


def wrong_text(rng: random.Random, text: str) -> str:
    """Return *text* with one thing wrong."""
    at, to = sorted([rng.randint(0, len(text)), rng.randint(0, len(text))])
    kind = rng.randrange(8)
    if kind == 0:
        return text[:at] + text[to:]
    if kind == 1:
        return text[:at] + text[at:to] * rng.choice([2, 3, 70]) + text[to:]
    if kind == 2:
        return text[:at]
    if kind == 3 and re.search(r"\d+", text):
        number = rng.choice(list(re.finditer(r"\d+", text)))
        return text[: number.start()] + rng.choice(NUMBERS) + text[number.end() :]
    if kind == 4 and text:
        at = rng.randrange(len(text))
        return text[:at] + chr(ord(text[at]) ^ 1 << rng.randrange(7)) + text[at + 1 :]
    if kind == 5:
        values = list(re.finditer(r'"[^"]*"|\d+|true|null', text))
        if values:
            value = rng.choice(values)
            return text[: value.start()] + rng.choice(SNIPPETS + NUMBERS) + text[value.end() :]
    return text[:at] + rng.choice(SNIPPETS) + text[at:]


def wrong_bytes(rng: random.Random, data: bytes) -> bytes:
    at, to = sorted([rng.randint(0, len(data)), rng.randint(0, len(data))])
    kind = rng.randrange(6)
    if kind == 0:
        return data[:at] + data[to:]
    if kind == 1:
        return data[:at]
    if kind == 2 and data:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 3:
        return data[:at] + rng.choice(ODD_BYTES) + data[at:]
    if kind == 4:
        return data[:at] + data[at:to] * rng.choice([2, 5]) + data[to:]
    return data[:at] + rng.randbytes(rng.choice([1, 2, 8, 200])) + data[at:]


def some_packets(rng: random.Random, generation: Generation) -> list[str | bytes]:
    """Choose a few packets; some of them are wrong, dropped, repeated or out of order."""
    packets = [
        packet
        for said in rng.choices(VOCABULARY[generation.name], k=rng.choice([1, 1, 1, 2, 4]))
        for packet in said
    ]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        if not packets:
            break
        at = rng.randrange(len(packets))
        kind = rng.randrange(10)
        if kind == 0:
            del packets[at]
        elif kind == 1:
            packets.insert(at, rng.choice(packets))
        elif kind == 2:
            packets[at : at + 1] = [packets[at]] * rng.choice([2, 20, 70])
        elif kind == 3:
            rng.shuffle(packets)
        elif isinstance(packets[at], str):
            packets[at] = wrong_text(rng, packets[at])
        else:
            packets[at] = wrong_bytes(rng, packets[at])
    return packets


# -- Frames and requests ---------------------------------------------------------------


def some_frames(rng: random.Random, generation: Generation, packets: list[str | bytes]) -> bytes:
    """Frame *packets* as a client does, or with something wrong."""
    if generation.name == "0.6":
        payload = generation.payload([packet for packet in packets if isinstance(packet, str)])
        messages = [wrong_text(rng, payload) if rng.random() < 0.3 else payload]
    else:
        messages = [
            binary_message(generation, packet) if isinstance(packet, bytes) else packet
            for packet in packets
        ]
    frames = [some_frame(rng, message) for message in messages]
    if rng.random() < 0.15:
        frames.insert(rng.randint(0, len(frames)), rng.choice(CONTROLS))
    data = b"".join(frames)
    return wrong_bytes(rng, data) if rng.random() < 0.15 else data


def binary_message(generation: Generation, attachment: bytes) -> bytes:
    return b"\x04" + attachment if generation.name == "EIO3" else attachment


CONTROLS = [
    frame(b"ping", 9), frame(b"", 9), frame(b"", 10), frame(b"x" * 125, 9), frame(b"x" * 126, 9), frame(b"", 8),
    frame(b"\x03\xe8", 8), frame(b"\x03\xe8bye", 8), frame(b"\x03", 8), frame(b"\x03\xed", 8),
    frame(b"\x03\xe8\xff", 8), frame(b"x", 9, first=0), frame(b"", 0), frame(b"x", 0, first=0), frame(b"x", 3),
    frame(b"x", 11),
]  # fmt: skip


def some_frame(rng: random.Random, message: str | bytes) -> bytes:
    kind = rng.randrange(14)
    data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
    opcode = TEXT_FRAME if isinstance(message, str) else BINARY_FRAME
    mask = rng.randbytes(4)
    if kind == 0:
        return frame(wrong_bytes(rng, data), opcode, mask=mask)
    if kind == 1:  # in fragments
        cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice([1, 2, 10])))
        parts = [
            data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)
        ]
        opcodes = [opcode, *[0] * (len(parts) - 1)]
        frames = [
            frame(part, code, first=0, mask=mask) for part, code in zip(parts, opcodes, strict=True)
        ]
        frames[-1] = bytes([frames[-1][0] | 0x80]) + frames[-1][1:]
        if rng.random() < 0.3:
            frames.insert(rng.randrange(len(frames)), rng.choice(CONTROLS))
        return b"".join(frames)
    if kind == 2:  # binary for text, or text for binary
        return frame(data, BINARY_FRAME if opcode == TEXT_FRAME else TEXT_FRAME, mask=mask)
    if kind == 3 and rng.random() < 0.4:
        whole = frame(data, opcode, mask=mask)
        return rng.choice(
            [
                bytes([whole[0] | 0x10 << rng.randrange(3)]) + whole[1:],  # a reserved bit
                bytes([0x80 | opcode, min(len(data), 125)]) + data[:125],  # not masked
                bytes([0x80 | opcode, 0x80 | 126])
                + len(data).to_bytes(4, "big")[2:]
                + mask
                + masked(data, mask),
                bytes([0x80 | opcode, 0x80 | 127])
                + rng.choice([0, 200, 70_000, 1 << 40, (1 << 64) - 1]).to_bytes(8, "big"),
                frame(data, rng.randrange(16), first=0x80 * rng.randrange(2), mask=mask),
            ]
        )
    return frame(data, opcode, mask=mask)


def some_body(rng: random.Random, generation: Generation, transport: str) -> tuple[str, bytes]:
    """Make content type and body of a POST."""
    packets = some_packets(rng, generation)
    if generation.name == "EIO3" and rng.random() < 0.3:
        body = b"".join([binary_packet(packet) for packet in packets])
        return "application/octet-stream", wrong_bytes(rng, body) if rng.random() < 0.4 else body
    start = "b4" if generation.name == "EIO3" else "b"
    texts = [
        packet if isinstance(packet, str) else start + base64.b64encode(packet).decode()
        for packet in packets
    ]
    payload = generation.payload(texts)
    if rng.random() < 0.3:
        payload = wrong_text(rng, payload)
    content_type, body = generation.post(transport, payload)
    if rng.random() < 0.2:
        body = wrong_bytes(rng, body)
    if rng.random() < 0.1:
        content_type = rng.choice(
            ["application/octet-stream", "", FORM, "text/plain", "multipart/form-data; boundary=x"]
        )
    return content_type, body


def binary_packet(packet: str | bytes) -> bytes:
    data = packet.encode("utf-8", "surrogatepass") if isinstance(packet, str) else b"\x04" + packet
    return bytes([isinstance(packet, bytes), *map(int, str(len(data))), 255]) + data


HEADERS = [
    ("Origin", "http://evil.example"), ("Origin", "http://friend.example"), ("Origin", "null"), ("Origin", "http://"),
    ("Sec-Fetch-Site", "cross-site"), ("Referer", "http://evil.example/x"), ("Referer", "//"),
    ("Cookie", "a=" + "b" * 5000), ("Upgrade", "websocket"), ("Connection", "close"), ("Expect", "100-continue"),
    ("Content-Type", "\xff"), ("Accept-Encoding", "gzip"), ("Content-Encoding", "gzip"), ("X-Forwarded-For", "\x01"),
    ("Host", ""), ("Host", "a:b:c"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", ""),
    ("Sec-WebSocket-Key", "\xe9" * 24), ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99"),
    ("Content-Length", "5"), ("Content-Length", "-1"), ("Content-Length", "99999999"), ("Content-Length", "\xb2"),
    ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity, chunked"), ("Range", "bytes=0-1"),
    ("If-None-Match", '"x"'), ("Access-Control-Request-Method", "POST"),
]  # fmt: skip
METHODS = ["GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "get", "BREW"]
QUERIES = [
    "EIO=4", "EIO=3", "EIO=2", "EIO=5", "EIO=", "transport=polling", "transport=websocket", "transport=__proto__",
    "j=0", "j=1", "j=-1", "j=\xb2", "j=", "i=0", "i=x", "jsonp=5", "b64=1", "sid=x", "sid=", "sid=$SID", "sid=%00",
    "t=1-2", "disconnect=1", "user=%ff", "a", "%", "&&&", "=",
]  # fmt: skip
SEGMENTS = ["websocket", "xhr-polling", "jsonp-polling", "htmlfile", "xhr-multipart", "flashsocket", "1", "2", "", "..",
            "$SID", "send", "0", "%2e", "socket.io.js", "\xe9", "polling", "constructor"]  # fmt: skip


def wrong_url(rng: random.Random, url: str) -> str:
    path, _, query = url.partition("?")
    segments, pairs = path.split("/"), query.split("&") if query else []
    kind = rng.randrange(6)
    if kind == 0 and len(segments) > 2:
        segments[rng.randrange(2, len(segments))] = rng.choice(SEGMENTS)
    elif kind == 1:
        segments.insert(rng.randint(2, len(segments)), rng.choice(SEGMENTS))
    elif kind == 2 and pairs:
        pairs[rng.randrange(len(pairs))] = rng.choice(QUERIES)
    elif kind == 3 and pairs:
        del pairs[rng.randrange(len(pairs))]
    elif kind == 4:
        return wrong_text(rng, url).replace(" ", "").replace("\r\n", "").replace("\n", "")
    else:
        pairs.insert(rng.randint(0, len(pairs)), rng.choice(QUERIES))
    return "/".join(segments) + ("?" + "&".join(pairs) if pairs else "")


# -- Plans -----------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    """An action of an attacker on one of its connections. In *data* "$SID" stands for the id of its session."""

    act: str  #: send, opened (wait for the sid or a refusal), upgraded, turn, finish, reset, close
    line: str
    data: bytes = b""


class Plan:
    """Plan of what one attacker does; it follows from generation, seed and number alone."""

    def __init__(self, generation: Generation, seed: int, number: int) -> None:
        self.rng = rng = random.Random(f"{seed}/{generation.name}/{number}")
        self.generation = generation
        self.transport = rng.choice(generation.transports)
        self.steps: list[Step] = []
        self.requests: dict[str, int] = {}  # by line, the number of answers that must come
        self.loose: set[str] = (
            set()
        )  # lines with broken HTTP, which the server may answer by closing
        self.strange: set[str] = set()  # lines whose URL may be that of another generation
        self.websocket = (
            ""  # the line of the WebSocket that carries the session, or is to take over
        )
        self.held = 0
        self.upgrading = (
            generation.upgrades and self.transport != "websocket" and rng.random() < 0.4
        )
        self._open()
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            self._attack()
        if self.upgrading:
            self._upgrade()
        for line in sorted(self.loose):
            self.step("finish", line)

    def step(self, act: str, line: str, data: bytes = b"") -> None:
        self.steps.append(Step(act, line, data))

    def request(
        self, line: str, method: str, url: str, headers: dict[str, str], body: bytes = b""
    ) -> None:
        """Plan a request that may have something wrong; the first request seldom has, because it makes the session."""
        rng = self.rng
        often = 0.02 if not self.requests else 0.08
        if rng.random() < often:
            url = wrong_url(rng, url)
            self.strange.add(line)
        if rng.random() < often:
            method = rng.choice(METHODS)
        if rng.random() < often:
            name, value = rng.choice(HEADERS)
            headers = {**headers, name: value}
            if name in ("Content-Length", "Transfer-Encoding", "Expect"):
                self.loose.add(line)
                if value == "chunked" and rng.random() < 0.7:
                    body = b"".join(
                        b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:3], body[3:]) if part
                    )
                    body += b"0\r\n\r\n"
        data = http_request(
            method, url.encode("utf-8", "surrogateescape").decode("latin-1"), headers, b""
        )
        data = data.replace(b"Content-Length: 0\r\n", b"Content-Length: %d\r\n" % len(body)) + body
        if not re.fullmatch(r"[!-~]+", url) or any(
            not value.isprintable() for value in headers.values()
        ):
            self.loose.add(line)
        if rng.random() < often / 3:
            data = wrong_bytes(rng, data)
            self.loose.add(line)
            self.strange.add(line)
        self.requests[line] = self.requests.get(line, 0) + 1
        self.send(line, data)

    def send(self, line: str, data: bytes) -> None:
        """Plan to send *data*, at once or in two pieces."""
        if self.rng.random() < 0.25 and len(data) > 1 and b"$SID" not in data:
            cut = self.rng.randrange(1, len(data))
            self.step("send", line, data[:cut])
            self.step("turn", line)
            data = data[cut:]
        self.step("send", line, data)

    def _open(self) -> None:
        generation, transport, rng = self.generation, self.transport, self.rng
        hello = generation.hello(transport)
        if generation.name == "EIO3":
            hello = rng.choice(
                [
                    hello,
                    hello,
                    hello + "&b64=1",
                    hello.replace("EIO=3", "EIO=2"),
                    hello + "&t=123-0",
                ]
            )
        if generation.name == "0.9":
            self.request("hello", "GET", hello, {})
            self.step("opened", "hello")
            if transport in WEBSOCKETS:
                self._open_websocket("socket", generation.url(transport, "$SID"))
            elif transport in STREAMS:
                self.request("stream", "GET", generation.url(transport, "$SID"), {})
                self.step("upgraded", "stream")
            else:
                self._poll()
        elif transport in WEBSOCKETS:
            self._open_websocket("socket", hello)
            self.step("opened", "socket")
        else:
            self.request("hello", "GET", hello, {})
            self.step("opened", "hello")
        if rng.random() < 0.9:
            self._join()

    def _open_websocket(self, line: str, url: str) -> None:
        self.websocket = line
        self.request(line, "GET", url, UPGRADE)
        if self.rng.random() < 0.1:  # frames before the server has agreed to the upgrade
            self.send(
                line,
                some_frames(self.rng, self.generation, some_packets(self.rng, self.generation)),
            )
        self.step("upgraded", line)

    def _join(self) -> None:
        packets = list(self.generation.joins)
        if packets and self.transport in WEBSOCKETS:
            self.step("send", "socket", self.generation.frames(packets))
        elif packets:
            content_type, body = self.generation.post(
                self.transport, self.generation.payload(packets)
            )
            url = self.generation.post_url(self.transport, "$SID")
            self.requests["join"] = 1
            self.step(
                "send", "join", http_request("POST", url, {"Content-Type": content_type}, body)
            )

    def _poll(self) -> None:
        self.held += 1
        self.request(f"poll{self.held}", "GET", self.generation.url(self.transport, "$SID"), {})

    def _attack(self) -> None:
        rng = self.rng
        if self.transport in WEBSOCKETS:
            self.send(
                "socket", some_frames(rng, self.generation, some_packets(rng, self.generation))
            )
            if rng.random() < 0.03:
                self.step(rng.choice(["reset", "close", "finish"]), "socket")
            return
        kind = rng.randrange(10)
        if kind < 6:
            content_type, body = some_body(rng, self.generation, self.transport)
            line = f"post{len(self.steps)}" if rng.random() < 0.9 else "hello"
            self.request(
                line,
                "POST",
                self.generation.post_url(self.transport, "$SID"),
                {"Content-Type": content_type},
                body,
            )
        elif kind < 9 and self.transport not in STREAMS:
            self._poll()
        elif self.held and rng.random() < 0.5:
            line = f"poll{self.held}"
            self.step(rng.choice(["reset", "close"]), line)
            self.requests.pop(line, None)
        else:
            url = self.generation.url(rng.choice(self.generation.transports), "$SID")
            self.request(f"other{len(self.steps)}", "GET", url, dict(rng.choice([{}, UPGRADE])))
        self.step("turn", "hello")

    def _upgrade(self) -> None:
        """Plan an upgrade, with steps that are missing, repeated or wrong."""
        rng, generation = self.rng, self.generation
        self._open_websocket("upgrade", generation.url("websocket", "$SID"))
        for packet in rng.choice(
            [
                ["2probe", "5"],
                ["2probe", "5"],
                ["5"],
                ["2probe"],
                ["2probe", "2probe", "5"],
                ["2", "5"],
                [],
            ]
        ):
            if rng.random() < 0.5:
                self._poll()
            data = frame(packet) if rng.random() < 0.8 else some_frames(rng, generation, [packet])
            self.step("send", "upgrade", data)
            self.step("turn", "upgrade")
        if rng.random() < 0.3:
            self.send("upgrade", some_frames(rng, generation, some_packets(rng, generation)))
        if rng.random() < 0.1:
            self._open_websocket("upgrade2", generation.url("websocket", "$SID"))
        if rng.random() < 0.1:
            self.step(rng.choice(["reset", "close"]), self.websocket)


# -- Playing ---------------------------------------------------------------------------


class Failure(Exception):
    """A promise was broken."""


class Attacker:
    """Player of one plan, who then looks what has become of its session."""

    def __init__(self, port: int, plan: Plan, token: str, show: bool = False) -> None:
        self.port = port
        self.plan = plan
        self.token = token
        self.show = show
        self.lines: dict[str, Line] = {}
        self.heads: dict[
            str, bytes
        ] = {}  # by line, the head of the request, which stands before the frames
        self.parsers: dict[str, FrameParser] = {}  # by line, a parser that is where the server's is
        self.gone: set[str] = set()
        self.sid = ""

    async def play(self) -> str:
        """Play the plan, and return what came of the session: "closed", "works" or "refused"."""
        try:
            for step in self.plan.steps:
                await self._do(step)
            outcome = await self._check()
            await self._farewell()
            await self._expect_answers()
        finally:
            for line in self.lines.values():
                line.transport.abort()
        return outcome

    async def _do(self, step: Step) -> None:
        if self.show:
            print(
                f"  {step.act:8} {step.line:8} {step.data[:300]!r}{'...' if len(step.data) > 300 else ''}"
            )
        if step.act == "turn":
            await asyncio.sleep(0)
        elif step.line not in self.lines:
            if step.act != "send":
                return
            self.lines[step.line] = await Line.open(self.port)
        line = self.lines.get(step.line)
        if line is None:
            return
        if step.act == "send":
            self._send(step.line, step.data)
        elif step.act == "opened":
            await line.until(
                lambda: self._look_for_sid(line) or re.match(rb"HTTP/1.1 [45]", line.received), 2.0
            )
        elif step.act == "upgraded":
            await line.until(lambda: b"\r\n\r\n" in line.received, 2.0)
        elif step.act == "finish":
            line.finish()
        elif step.act in ("reset", "close"):
            line.reset() if step.act == "reset" and not line.ended else line.close()
            self.gone.add(step.line)

    def _look_for_sid(self, line: Line) -> bool:
        found = self.plan.generation.sid.search(line.received)
        if found:
            self.sid = found[1].decode()
        return bool(found)

    def _send(self, name: str, data: bytes) -> None:
        line = self.lines[name]
        if line.transport.is_closing():
            return
        self._track(name, data)
        line.write(data.replace(b"$SID", self.sid.encode()))

    def _track(self, name: str, data: bytes) -> None:
        """Follow the frames behind the head of a request, to know where the next frame would begin."""
        if name not in self.parsers:
            head = self.heads[name] = self.heads.get(name, b"") + data
            _, *rest = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
            if not rest:
                return
            self.parsers[name], data = FrameParser(OPTIONS["max_message_bytes"]), rest[0]
        try:
            for _ in self.parsers[name].feed(data):
                pass
        except FrameError:
            pass  # the server will find the same fault

    # Looking what has become of the session.

    async def _check(self) -> str:
        plan = self.plan
        if not self.sid:
            return "refused"
        if plan.transport in WEBSOCKETS:
            return await self._check_websocket(plan.websocket)
        outcome = await self._check_polling()
        if outcome == "elsewhere" and plan.websocket:
            outcome = await self._check_websocket(plan.websocket)
        return "closed" if outcome == "elsewhere" else outcome

    async def _check_websocket(self, name: str) -> str:
        line = self.lines.get(name)
        if line is None or name in self.gone:
            return "closed"
        self._complete_frame(name)
        generation = self.plan.generation
        line.write(generation.frames([generation.message(self.token)]))
        if generation.name == "EIO3":  # the attacker may have left "/": join it again
            line.write(generation.frames([generation.join, generation.message(self.token)]))
        seen = await line.until(
            lambda: self._seen(line), PATIENCE / 4 if generation.upgrades else PATIENCE
        )
        # The server may have refused the attacker in "/", or disconnected it there: it joins again.
        if not seen and not line.ended and generation.upgrades:
            line.write(generation.frames([generation.join, generation.message(self.token)]))
            seen = await line.until(lambda: self._seen(line), PATIENCE)
        if not seen and not line.ended and name not in self.plan.strange:
            raise Failure(
                f"mute: the WebSocket is open and answers nothing; received {bytes(line.received[-300:])!r}"
            )
        return "works" if seen == "works" else "closed"

    def _seen(self, line: Line) -> str:
        """Tell by the frames on *line* whether the session "works" or is "closed"; "" if they do not tell."""
        if line.received.startswith(b"HTTP/1.1 101"):
            line.take_head()
        elif line.received.startswith(b"HTTP/1.1 "):
            return "closed"
        while taken := line.take_frame():
            if taken[0] == CLOSE_FRAME:
                line.close()
                return "closed"
            if self.token.encode() in taken[1]:
                return "works"
        return ""

    def _complete_frame(self, name: str) -> None:
        """Complete a frame and a fragmented message that the attacker has begun."""
        parser = self.parsers.get(name)
        line = self.lines[name]
        for _ in range(3):
            if parser is None or not parser._pending:
                break
            filling = bytes(max(1, parser._needed - len(parser._pending)))
            self._track(name, filling)
            line.write(filling)
        if parser is not None and parser._opcode:
            line.write(frame(b"", 0))

    async def _check_polling(self) -> str:
        """Send a message, then poll until its echo comes."""
        plan, generation = self.plan, self.plan.generation
        if plan.transport not in STREAMS and not self._waiting_poll():
            await self._open_poll()
        for attempt in range(2):
            packets = [generation.message(self.token)]
            if generation.upgrades and (generation.name == "EIO3" or attempt):
                packets.insert(0, generation.join)
            content_type, body = generation.post(plan.transport, generation.payload(packets))
            status, answer = await self._request(
                "POST", generation.post_url(plan.transport, self.sid), body, content_type
            )
            if status == 0:
                raise Failure("the check, a POST, was not answered")
            if status != 200 or b"new Error(" in answer:
                return "elsewhere"
            if b"7:::1+0" in answer:
                return "closed"
            for _ in range(40):
                seen = await self._look_for_token(PATIENCE if attempt else PATIENCE / 4)
                if seen:
                    return seen
                if plan.transport in STREAMS:
                    break
                if seen is None:  # every poll has been answered
                    await self._open_poll()
                else:
                    break
        raise Failure(f"mute: polls are held and bring no answer; session {self.sid}")

    def _waiting_poll(self) -> bool:
        return any(
            name.startswith("poll") and self._is_good(name) and not line.received
            for name, line in self.lines.items()
        )

    def _is_good(self, name: str) -> bool:
        """Tell whether a line is still open, and belongs to the session."""
        return (
            name not in self.gone and name not in self.plan.strange and not self.lines[name].ended
        )

    async def _open_poll(self) -> None:
        line = self.lines[f"check{len(self.lines)}"] = await Line.open(self.port)
        line.write(http_request("GET", self.plan.generation.url(self.plan.transport, self.sid)))

    async def _request(
        self, method: str, url: str, body: bytes, content_type: str
    ) -> tuple[int, bytes]:
        line = await Line.open(self.port)
        try:
            return await line.request(method, url, body, PATIENCE, Content_Type=content_type)
        finally:
            line.close()

    async def _look_for_token(self, seconds: float) -> str | None:
        """Wait until a line tells "works" or "closed". None if no line is left that could; "" when time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            open_lines = []
            for name, line in self.lines.items():
                if self.token.encode() in self.plan.generation.shown(bytes(line.received)):
                    return "works"
                refused = line.received.startswith(b"HTTP/1.1 4") or b"7:::1+0" in line.received
                if name.startswith("check") and refused:
                    return "closed"
                holds = name.startswith(("poll", "check")) and b"\r\n\r\n" not in line.received
                if self._is_good(name) and (holds or self._is_stream(line)):
                    open_lines.append(line)
            if not open_lines:
                return "closed" if self.plan.transport in STREAMS else None
            waits = [asyncio.ensure_future(self._news(line)) for line in open_lines]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        return ""

    @staticmethod
    async def _news(line: Line) -> None:
        size = len(line.received)
        await line.until(lambda: len(line.received) != size, 0.5)

    @staticmethod
    def _is_stream(line: Line) -> bool:
        return (
            b"chunked" in line.received[:400] or b"multipart/x-mixed-replace" in line.received[:400]
        )

    async def _farewell(self) -> None:
        """Say goodbye as a client does, so that polls that are held are answered."""
        plan, generation = self.plan, self.plan.generation
        if self.sid and plan.transport not in WEBSOCKETS and generation.farewell is not None:
            content_type, body = generation.post(
                plan.transport, generation.payload([generation.farewell])
            )
            status, _ = await self._request(
                "POST", generation.post_url(plan.transport, self.sid), body, content_type
            )
            if status == 0:
                raise Failure("the farewell, a POST, was not answered")

    async def _expect_answers(self) -> None:
        for name, expected in self.plan.requests.items():
            line = self.lines.get(name)
            if line is None or name in self.gone:
                continue

            def look(line=line, expected=expected):
                return line.received.count(b"HTTP/1.1 ") >= expected

            if name == self.plan.websocket or name in ("socket", "upgrade", "upgrade2"):
                continue  # `_check_websocket` has looked at its frames
            # A URL that went wrong may have made another session, whose poll is held until that session ends.
            answered = await line.until(
                look, HEARTBEAT_SECONDS + 4 if self.plan.strange else PATIENCE
            )
            partly = line.ended and (name in self.plan.loose or b"HTTP/1.1 " in line.received)
            if not answered and not partly:
                raise Failure(
                    f"request on line {name} not answered ({'ended' if line.ended else 'open'}), session {self.sid}"
                )
            status = re.match(rb"HTTP/1.1 (5\d\d)", line.received)
            if status:
                raise Failure(f"line {name} was answered with {status[1].decode()}")


class Fuzz:
    """Player of all inputs of one generation, with the server in the same process and on the same loop."""

    def __init__(self, generation: Generation, seed: int) -> None:
        self.generation = generation
        self.seed = seed
        self.first = 0
        self.failed: dict[int, str] = {}  # the failures by input; -1 stands for no single input
        self.outcomes: dict[str, int] = {}
        self.played = 0
        self.errors = Errors()
        self.suspects: dict[int, str] = {}  # inputs during which an error was logged, and the error
        self.worst = 0.0  # seconds, the longest time that an innocent client has waited
        self.starved = 0.0  # seconds in which other processes had the processor
        self.stopping = False

    async def start(self) -> None:
        self.errors.watch(asyncio.get_running_loop())
        return_soon(5.0)
        handler = type("Stage", (Stage,), dict(OPTIONS))
        server = Server(
            application(handler), auto_start=False, idle_connection_timeout=4.0, body_timeout=2.0
        )
        self.port = server.port
        self.hub = handler.io._at[-1][0]
        self.empty = tables(self.hub)
        self.server = server

    async def run(self, numbers: list[int], seconds: float) -> None:
        await self.start()
        self.first = numbers[0]
        end = time.monotonic() + seconds
        waiting = iter(numbers)
        innocents = [
            asyncio.ensure_future(self._innocent(transport))
            for transport in self._innocent_transports()
        ]
        innocents.append(asyncio.ensure_future(self._watch_machine()))
        await asyncio.gather(*[self._work(waiting, end) for _ in range(min(AT_ONCE, len(numbers)))])
        self.stopping = True
        await asyncio.gather(*innocents)
        await self._expect_nothing_left()
        await self._expect_no_errors()

    def _innocent_transports(self) -> list[str]:
        return [
            self.generation.transports[0],
            next(name for name in self.generation.transports if "polling" in name),
        ]

    async def _work(self, waiting, end: float) -> None:
        for number in waiting:
            if time.monotonic() > end or len(self.failed) > 20:
                return
            await self.play(number)

    async def play(self, number: int, show: bool = False) -> None:
        before, starved = len(self.errors.found), self.starved
        plan = Plan(self.generation, self.seed, number)
        try:
            outcome = await Attacker(self.port, plan, f"check-{number}-{self.seed}-", show).play()
        except Failure as failure:
            if self._is_excused(starved):
                self.outcomes["again"] = self.outcomes.get("again", 0) + 1
                return await self.play(number, show)
            self.fail(number, str(failure))
            outcome = "failed"
        except Exception as error:
            self.fail(number, f"the fuzzer itself: {error!r}")
            raise
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.played += 1
        if len(self.errors.found) > before:
            self.suspects[number] = self.errors.found[before]
        if self.played % 2000 == 0:
            gc.collect()

    def fail(self, number: int, why: str) -> None:
        self.failed[number] = why
        print(f"FAILED {self.generation.name} input {number}: {why}")
        again = f"--only {number}" if number >= 0 else f"--first {self.first} --count {self.played}"
        print(
            f"  again: python {sys.argv[0]} --generation {self.generation.name} --seed {self.seed} {again}"
        )

    async def _innocent(self, transport: str) -> None:
        """Ask for echoes as an innocent client, who must not notice the attackers."""
        client = await Client(self.port, self.generation, transport).connect()
        number = 0
        while not self.stopping:
            number += 1
            starved = self.starved
            started = time.monotonic() - starved
            if not await client.echo(f"innocent {number}."):
                if self._is_excused(starved):
                    return await self._innocent(transport)
                self.fail(-1, f"the innocent client over {transport} got no echo")
                break
            waited = time.monotonic() - self.starved - started
            self.worst = max(self.worst, waited)
            if waited > INNOCENT_SECONDS:
                self.fail(
                    -1, f"the innocent client over {transport} waited {waited:.1f} s for its echo"
                )
            await asyncio.sleep(0.03)
        await client.close(farewell=True)

    def _is_excused(self, starved: float) -> bool:
        """Tell whether the machine may have caused a failure since `starved` had this value: then it is tried again."""
        return self.starved - starved > EXCUSE

    async def _watch_machine(self) -> None:
        """Count the time in which the machine did not let this process run: no server can answer then."""
        while not self.stopping:
            started, worked = time.monotonic(), time.process_time()
            await asyncio.sleep(0.05)
            late = time.monotonic() - started - 0.05
            self.starved += max(0.0, late - (time.process_time() - worked))

    async def _expect_nothing_left(self) -> None:
        """Wait until the server's tables are as they were before the first client, for the longest timeout."""
        end = time.monotonic() + HEARTBEAT_SECONDS + 6
        while (left := self._left()) != self.empty and time.monotonic() < end:
            await asyncio.sleep(0.2)
        if left != self.empty:
            self.fail(-1, f"the server has not forgotten all: {left - self.empty}")

    def _left(self) -> collections.Counter[str]:
        """Count what the server has in its tables, and on its lane."""
        found, lane = tables(self.hub), self.server.lane
        if lane is not None and lane.connections:
            found["Lane.connections"] = len(lane.connections)
        return found

    async def _expect_no_errors(self) -> None:
        """Fail for every logged error; the suspects play again, one by one, to find the input that causes it."""
        gc.collect()  # exceptions that were never retrieved are logged now
        await asyncio.sleep(0)
        logged = len(self.errors.found)
        for number, text in list(self.suspects.items())[:300]:
            before = len(self.errors.found)
            await self.play(number)
            if len(self.errors.found) > before:
                self.fail(number, "logged: " + text[-1500:])
        if logged and not self.failed:
            self.fail(
                -1,
                "an error was logged that no single input causes: " + self.errors.found[0][-1500:],
            )


async def fuzz(generation: Generation, options: argparse.Namespace) -> bool:
    fuzz = Fuzz(generation, options.seed)
    started = time.monotonic()
    if options.only is not None:
        await fuzz.start()
        await fuzz.play(options.only, show=True)
        print(fuzz.outcomes)
    else:
        await fuzz.run(list(range(options.first, options.first + options.count)), options.seconds)
    seconds = time.monotonic() - started
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(fuzz.outcomes.items()))
    print(
        f"{generation.name}: {fuzz.played} inputs (seed {options.seed}, from {options.first}) in {seconds:.0f} s: "
        f"{outcomes}; an innocent client waited at most {fuzz.worst * 1000:.0f} ms; {len(fuzz.failed)} failed",
        flush=True,
    )
    return not fuzz.failed and (fuzz.played == options.count or options.only is not None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--generation", choices=DIALECTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--heads", type=int, help="play so many heads of requests instead")
    options = parser.parse_args()
    if options.heads is not None:
        sound = []

        async def read() -> None:
            sound.append(await play_heads(options.seed, options.first, options.heads))

        run(read())
        sys.exit(not sound[0])
    names = [options.generation] if options.generation else list(DIALECTS)
    failed = []
    for name in names:

        async def work(name=name):
            if not await fuzz(DIALECTS[name], options):
                failed.append(name)

        run(work())
    verdict = f"failed for {', '.join(failed)}" if failed else "ok"
    print(f"{options.count} inputs for each of {', '.join(names)}: {verdict}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
