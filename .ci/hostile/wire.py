"""The clients of this folder: bare connections, and the words of each generation of clients.

Nothing here uses the codecs of socket_io.py: the wire formats are written down a second time, so that a mistake of the
one is not a mistake of the other.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
import urllib.parse
from collections.abc import Callable

TEXT_FRAME, BINARY_FRAME, CLOSE_FRAME, PING_FRAME, PONG_FRAME = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the key of the example in RFC 6455
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
FORM = "application/x-www-form-urlencoded; charset=utf-8"
PATIENCE = 10.0  # seconds for an answer that comes at once, unless the machine is busy

WEBSOCKETS = ("websocket", "flashsocket")
STREAMS = ("xhr-multipart", "htmlfile")


# -- Bytes -----------------------------------------------------------------------------


def frame(
    payload: str | bytes,
    opcode: int | None = None,
    first: int = 0x80,
    mask: bytes = b"\x12\x34\x56\x78",
) -> bytes:
    """Build a masked frame: text for `str`, binary for `bytes`, or *opcode*; *first* holds FIN and reserved bits."""
    if opcode is None:
        opcode = TEXT_FRAME if isinstance(payload, str) else BINARY_FRAME
    data = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    size = len(data)
    if size < 126:
        head = bytes((first | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((first | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + mask + masked(data, mask)


def masked(data: bytes, mask: bytes) -> bytes:
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def http_request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: test.example"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if (body or method == "POST") and not {"Content-Length", "Transfer-Encoding"} & (
        headers or {}
    ).keys():
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def units(text: str) -> int:
    """Count the UTF-16 code units of *text*, which is its length in JavaScript."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Raw(bytes):
    """Bytes that `msgpack` puts in as they are: a value that it has no other way to say."""


def msgpack(value: object) -> bytes:
    """Write *value* in msgpack, though not always as short as can be."""
    if isinstance(value, Raw):
        return value
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return (
            bytes([value]) if 0 <= value < 128 else b"\xd3" + value.to_bytes(8, "big", signed=True)
        )
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        short = (
            bytes([0xA0 + len(data)]) if len(data) < 32 else b"\xdb" + len(data).to_bytes(4, "big")
        )
        return short + data
    if isinstance(value, bytes):
        return b"\xc6" + len(value).to_bytes(4, "big") + value
    if isinstance(value, dict):
        size, first, long = len(value), 0x80, b"\xdf"
        inside = b"".join([msgpack(key) + msgpack(item) for key, item in value.items()])
    else:
        size, first, long = len(value), 0x90, b"\xdd"  # type: ignore[arg-type]
        inside = b"".join([msgpack(item) for item in value])  # type: ignore[attr-defined]
    return (bytes([first + size]) if size < 16 else long + size.to_bytes(4, "big")) + inside


# -- Generations -----------------------------------------------------------------------


class Generation:
    """One generation of clients: its packets, and the URLs to which it sends them."""

    name = ""
    transports: tuple[str, ...] = ()
    upgrades = False
    sid = re.compile(rb'"sid\\?":\\?"([\w-]{20})')  # in a JSONP script the quotes are escaped
    joins: tuple[str | bytes, ...] = ()  # packets without which the server hears nothing else
    join: str | bytes = "40"  # the packet of EIO3 and EIO4 that enters "/" anew
    farewell: str | None = "1"
    pings: tuple[str, str] | None = None  # the server's ping, and the client's answer
    own_pings: tuple[str, ...] = ()  # packets that a client sends unasked, to be believed alive

    def hello(self, transport: str) -> str:
        """Return the URL that makes a session."""
        raise NotImplementedError

    def url(self, transport: str, sid: str) -> str:
        """Return the URL of a session."""
        raise NotImplementedError

    def payload(self, packets: list[str]) -> str:
        """Put several packets into one HTTP body."""
        raise NotImplementedError

    def message(self, text: str) -> str:
        """Return the packet of a message, which the server answers with the same *text*."""
        raise NotImplementedError

    def event(self, name: str, *args: object) -> str:
        raise NotImplementedError

    def post(self, transport: str, payload: str) -> tuple[str, bytes]:
        """Return content type and body of a POST."""
        return "text/plain;charset=UTF-8", payload.encode("utf-8", "surrogatepass")

    def frames(self, packets: list[str]) -> bytes:
        return b"".join([frame(packet) for packet in packets])

    def shown(self, received: bytes) -> bytes:
        """Return what came, with all texts in it readable."""
        return received

    def post_url(self, transport: str, sid: str) -> str:
        return self.url(transport, sid)


class Ancestor(Generation):
    name = "0.6"
    transports = (
        "websocket",
        "flashsocket",
        "xhr-polling",
        "jsonp-polling",
        "xhr-multipart",
        "htmlfile",
    )
    sid = re.compile(rb"~m~20~m~([\w-]{20})")
    farewell = None
    pings = ("~h~", "~h~")

    def hello(self, transport):
        return f"/socket.io/{transport}//1" + ("/0" if transport == "jsonp-polling" else "")

    def url(self, transport, sid):
        return f"/socket.io/{transport}/{sid}/1" + ("/0" if transport == "jsonp-polling" else "")

    def payload(self, packets):
        return "".join([f"~m~{units(packet)}~m~{packet}" for packet in packets])

    def message(self, text):
        return text

    def event(self, name, *args):
        return "~j~" + json.dumps({"wish": name, "args": args})

    def post(self, transport, payload):
        return FORM, b"data=" + urllib.parse.quote(
            payload.encode("utf-8", "surrogatepass")
        ).encode()

    def frames(self, packets):
        return frame(self.payload(packets))


class Protocol1(Generation):
    name = "0.9"
    transports = ("websocket", "flashsocket", "xhr-polling", "jsonp-polling", "htmlfile")
    sid = re.compile(rb"([\w-]{20}):60:60:")
    farewell = "0::"
    pings = ("2::", "2::")

    def hello(self, transport):
        return "/socket.io/1/?t=1" + ("&jsonp=0" if transport == "jsonp-polling" else "")

    def url(self, transport, sid):
        return f"/socket.io/1/{transport}/{sid}?t=1" + (
            "&i=0" if transport == "jsonp-polling" else ""
        )

    def payload(self, packets):
        if len(packets) == 1:
            return packets[0]
        return "".join([f"\ufffd{units(packet)}\ufffd{packet}" for packet in packets])

    def message(self, text):
        return "3:::" + text

    def event(self, name, *args):
        return "5:::" + json.dumps({"name": name, "args": args})

    def post(self, transport, payload):
        if transport == "jsonp-polling":
            return FORM, b"d=" + urllib.parse.quote(json.dumps(payload)).encode()
        return super().post(transport, payload)


class Engine3(Generation):
    name = "EIO3"
    transports = ("websocket", "polling", "jsonp")
    upgrades = True
    own_pings = ("2",)
    revision = "3"

    def hello(self, transport):
        name = "websocket" if transport == "websocket" else "polling"
        return f"/socket.io/?EIO={self.revision}&transport={name}" + (
            "&j=0" if transport == "jsonp" else ""
        )

    def url(self, transport, sid):
        return f"{self.hello(transport)}&sid={sid}"

    def payload(self, packets):
        return "".join([f"{units(packet)}:{packet}" for packet in packets])

    def message(self, text):
        return "42" + json.dumps(["message", text])

    def event(self, name, *args):
        return "42" + json.dumps([name, *args])

    def post(self, transport, payload):
        if transport != "jsonp":
            return super().post(transport, payload)
        escaped = payload.replace("\\n", "\\\\n").replace("\n", "\\n")
        return FORM, b"d=" + urllib.parse.quote(escaped.encode("utf-8", "surrogatepass")).encode()


class Engine4(Engine3):
    name = "EIO4"
    revision = "4"
    joins = ("40",)
    pings = ("2", "3")
    own_pings = ()

    def payload(self, packets):
        return "\x1e".join(packets)


class MsgPack4(Engine4):
    """Clients of EIO4 whose packets are msgpack: each is bytes, which polls carry in base64."""

    name = "EIO4-msgpack"
    transports = ("websocket", "polling")
    join = msgpack({"type": 0, "nsp": "/"})
    joins = (join,)
    BASE64 = re.compile(rb"(?:\n|\x1e)b([A-Za-z0-9+/]{8,}=*)")

    def payload(self, packets):
        texts = [
            packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()
            for packet in packets
        ]
        return super().payload(texts)

    def packet(self, type, data, namespace="/", **more):
        return msgpack(
            {"type": type, "data": data, "options": {"compress": True}, "nsp": namespace, **more}
        )

    def message(self, text):
        return self.packet(2, ["message", text])

    def event(self, name, *args):
        return self.packet(2, [name, *args])

    def shown(self, received):
        whole = [text for text in self.BASE64.findall(b"\n" + received) if len(text) % 4 == 0]
        return received + b"".join([base64.b64decode(text) for text in whole])


GENERATIONS = {
    generation.name: generation for generation in (Ancestor(), Protocol1(), Engine3(), Engine4())
}
DIALECTS = {**GENERATIONS, MsgPack4.name: MsgPack4()}


# -- Connections -----------------------------------------------------------------------


class Line(asyncio.Protocol):
    """One connection. Bytes that come are kept until a method takes them."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.finished = False
        self.is_websocket = False
        self.transport: asyncio.Transport
        self._waiters: list[asyncio.Future[None]] = []

    @classmethod
    async def open(cls, port: int, address: str = "") -> Line:
        """Connect, from the loopback *address* if one is given."""
        return (
            await asyncio.get_running_loop().create_connection(
                cls, "127.0.0.1", port, local_addr=(address, 0) if address else None
            )
        )[1]

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        """Have every `until` look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, look: Callable[[], object], seconds: float = PATIENCE) -> object:
        """Return the first true value of *look*; None when the connection ends before that, or time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (found := look()):
            left = end - loop.time()
            if self.ended or left <= 0:
                return None
            waiter = loop.create_future()
            self._waiters.append(waiter)
            timer = loop.call_later(left, self.wake)
            try:
                await waiter
            finally:
                timer.cancel()
        return found

    def write(self, data: bytes) -> None:
        if not self.ended and not self.finished:
            self.transport.write(data)

    def finish(self) -> None:
        """Send no more, but go on listening."""
        if not self.finished and not self.transport.is_closing():
            try:
                self.transport.write_eof()
            except OSError:  # the server was faster
                pass
        self.finished = True

    def take_head(self) -> int | None:
        """Take the head of the next answer and return its status; None while it is not complete."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        status = int(self.received.split(b" ", 2)[1])
        del self.received[: end + 4]
        return self.take_head() if status == 100 else status

    def take_answer(self) -> tuple[int, bytes] | None:
        """Take the next answer and return its status and body; None while it is not complete."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.received[:end])
        size = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        stop = end + 4 + (int(size[1]) if size else 0)
        if len(self.received) < stop:
            return None
        body = bytes(self.received[end + 4 : stop])
        del self.received[:stop]
        return int(head.split(b" ", 2)[1]), body

    def take_frame(self) -> tuple[int, bytes] | None:
        """Take the next frame and return its opcode and payload; None while it is not complete."""
        data = self.received
        if len(data) < 2:
            return None
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        found = data[0] & 0x0F, bytes(data[start : start + size])
        del data[: start + size]
        return found

    async def request(
        self, method: str, path: str, body: bytes = b"", seconds: float = PATIENCE, **headers: str
    ):
        """Send a request and return status and body of the answer; (0, b"") if none comes."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.write(http_request(method, path, headers, body))
        return await self.until(self.take_answer, seconds) or (0, b"")

    async def upgrade(self, path: str) -> bool:
        self.write(http_request("GET", path, UPGRADE))
        self.is_websocket = await self.until(self.take_head) == 101
        return self.is_websocket

    def is_over(self) -> bool:
        """Tell whether the server has ended the connection, or sent a close frame. Bytes that have come are dropped."""
        while self.is_websocket and (taken := self.take_frame()):
            if taken[0] == CLOSE_FRAME:
                self.close()
        if not self.is_websocket:
            self.received.clear()
        return self.ended

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """Vanish, so that the server's next read is a TCP reset."""
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.transport.abort()


class Client:
    """A well-behaved client of any generation, which sends texts and looks for texts in the bytes that come."""

    def __init__(
        self, port: int, generation: Generation, transport: str, address: str = ""
    ) -> None:
        self.port = port
        self.address = address  # from which it connects
        self.generation = generation
        self.transport = transport
        self.sid = ""
        self.got = bytearray()  # the bytes that came behind the last text that was found
        self.line: Line | None = None
        self.posts: Line | None = None
        self.lost = False
        self.patience = PATIENCE  # seconds that the answer to a POST may take
        self._reader: asyncio.Task[None] | None = None
        self._polling = True

    async def connect(self) -> Client:
        """Connect; raises ConnectionError if the server turns the client away."""
        generation, transport = self.generation, self.transport
        self.line = await Line.open(self.port, self.address)
        if transport not in WEBSOCKETS:
            self.posts = await Line.open(self.port, self.address)
        if transport not in WEBSOCKETS or generation.name == "0.9":
            if transport in STREAMS and generation.name == "0.6":
                self.line.write(http_request("GET", generation.hello(transport)))
            else:
                self.got += (await self.line.request("GET", generation.hello(transport)))[1]
        elif not await self.line.upgrade(generation.hello(transport)):
            raise ConnectionError("no WebSocket")
        found = await self._find_sid()
        self.sid = found[1].decode()
        if generation.name == "0.9" and transport in WEBSOCKETS:
            if not await self.line.upgrade(generation.url(transport, self.sid)):
                raise ConnectionError("no WebSocket")
        elif generation.name == "0.9" and transport in STREAMS:
            self.line.write(http_request("GET", generation.url(transport, self.sid)))
        self._reader = asyncio.ensure_future(self._read())
        for packet in generation.joins:
            await self.say(packet)
        # A 0.9 session has no transport before its CONNECT, and could not take a POST.
        if generation.name == "0.9" and not await self.hear("1::"):
            raise ConnectionError("no CONNECT")
        return self

    async def _find_sid(self) -> re.Match[bytes]:
        assert self.line is not None

        def look():
            if self.transport in WEBSOCKETS and self.generation.name != "0.9":
                self._take_frames()
            return self.generation.sid.search(self.got) or self.generation.sid.search(
                self.line.received
            )

        found = await self.line.until(look)
        if found is None:
            raise ConnectionError("no sid")
        return found

    async def say(self, *packets: str) -> None:
        """Send packets; over HTTP, wait until they are accepted. Raises ConnectionError if they are not."""
        if self.transport in WEBSOCKETS:
            self.line.write(self.generation.frames(list(packets)))
            return
        content_type, body = self.generation.post(
            self.transport, self.generation.payload(list(packets))
        )
        url = self.generation.post_url(self.transport, self.sid)
        if self.posts.ended:  # the server ends a connection that was idle for long
            self.posts = await Line.open(self.port, self.address)
        status, _ = await self.posts.request(
            "POST", url, body, self.patience, Content_Type=content_type
        )
        if status != 200:
            raise ConnectionError(f"a POST was answered with {status}")

    async def hear(self, text: str, seconds: float = PATIENCE) -> bool:
        """Wait for *text* and tell whether it came in time. Bytes before it are dropped."""
        wanted = text.encode()

        def look():
            at = self.got.find(wanted)
            if at >= 0:
                del self.got[: at + len(wanted)]
            return at >= 0 or self.lost

        return bool(await self.line.until(look, seconds)) and not self.lost

    async def echo(self, text: str, seconds: float = PATIENCE) -> bool:
        try:
            await self.say(*self.generation.own_pings, self.generation.message(text))
        except ConnectionError:
            return False
        return await self.hear(text, seconds)

    async def close(self, farewell: bool = False) -> None:
        if farewell and self.generation.farewell is not None and not self.lost:
            try:
                await self.say(self.generation.farewell)
            except ConnectionError:
                pass
        self.lost = True
        if self._reader is not None:
            self._reader.cancel()
        for line in (self.line, self.posts):
            if line is not None:
                line.close()

    def deafen(self) -> None:
        """Read no more, so that the server cannot get rid of its messages."""
        self._polling = False
        if self.transport in WEBSOCKETS:
            self.line.transport.pause_reading()

    async def stop_polling(self) -> None:
        """Let the poll in flight be the last one."""
        self._polling = False
        await asyncio.wait([self._reader], timeout=PATIENCE)
        self._polling = True

    def read_on(self) -> None:
        """Go on reading, on the line that has taken the place of the old one."""
        self._reader = asyncio.ensure_future(self._read())

    # Private.

    def _take_frames(self) -> bool:
        """Take all frames that have come, and tell whether there were any."""
        before = len(self.got)
        while taken := self.line.take_frame():
            opcode, payload = taken
            if opcode == CLOSE_FRAME:
                self.lost = True
            self.got += payload + b"\n"
            self._answer_ping(payload)
        return len(self.got) > before

    async def _answer_pings_in(self, body: bytes) -> None:
        """Answer the pings in the body of a poll or in a part of a stream, which brings a ping in one piece."""
        if isinstance(self.generation, Engine4):
            text = (
                json.loads(body[body.index(b"(") + 1 : body.rindex(b")")])
                if body[:3] == b"___"
                else body.decode()
            )
            answers = ["3"] if "2" in text.split("\x1e") else []
        elif self.generation.name == "0.6":
            answers = re.findall(r"~m~(~h~\d+)", body.decode("utf-8", "replace"))
        else:
            answers = ["2::"] if b'"2::"' in body else []
        try:
            for answer in answers:
                await self.say(answer)
        except ConnectionError:
            self.lost = True

    def _answer_ping(self, payload: bytes) -> None:
        if self.generation.pings is None:
            return
        ping, pong = self.generation.pings
        text = payload.decode("utf-8", "replace")
        if self.generation.name == "0.6" and (found := re.fullmatch(r"~m~\d+~m~(~h~\d+)", text)):
            self.line.write(self.generation.frames([found[1]]))
        elif text == ping:
            self.line.write(self.generation.frames([pong]))

    async def _read(self) -> None:
        """Read until the connection ends."""
        line = self.line
        while not line.ended and not self.lost and self._polling:
            if self.transport in WEBSOCKETS:
                await line.until(self._take_frames, 3600.0)
            elif self.transport in STREAMS:
                await line.until(lambda: line.received, 3600.0)
                part = bytes(line.received)
                line.received.clear()
                self.got += part
                line.wake()
                await self._answer_pings_in(part)
            else:
                status, body = await line.request(
                    "GET", self.generation.url(self.transport, self.sid), seconds=3600.0
                )
                self.lost = status != 200
                self.got += self.generation.shown(body) + b"\n"
                await self._answer_pings_in(body)
            line.wake()
        if self._polling:
            self.lost = True
            line.wake()
