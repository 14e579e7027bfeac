# /// script
# requires-python = ">=3.10"
# dependencies = ["tornado>=6.5.6", "simplejson>=3.19"]
# ///
"""The tests of socket_io.py, and a test client that any project may import from here.

    class MyTests(SocketIOTestCase):
        handler = ChatHandler

        @gen_test
        async def test_greets(self):
            client = await self.client()
            self.assertEqual(await client.receive(), ("joined", client.id))

In the order of the map of socket_io.py. Sections 2 to 9 need no server and no sleep: feed, look, advance `now`. Sections 11
and 12 run over the real wire.
"""

import asyncio
import atexit
import contextlib
import decimal
import gc
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import urllib.parse
import weakref
from typing import Any, ClassVar

import tornado.httpserver
import tornado.testing
import tornado.web
from tornado.testing import gen_test

import socket_io
from socket_io import ConnectionRefused, FlashPolicyServer, SocketIOHandler, SocketIOServer, event


# -- The test client -------------------------------------------------------------------


class Wire:
    """One TCP connection, byte by byte: HTTP requests and answers, then WebSocket frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seconds: float | None = 5.0  # for every single read; None: however long it takes

    @classmethod
    async def open(cls, port, host="127.0.0.1", **options):
        return cls(*await asyncio.open_connection(host, port, limit=64 * 1024 * 1024, **options))

    async def request(self, method, path, body=b"", **headers):
        """Send a request and read its answer: status, headers with names in lower case, body."""
        self.send_request(method, path, body, **headers)
        return await self.answer()

    def send_request(self, method, path, body=b"", **headers):
        lines = [f"{method} {path} HTTP/1.1", "Host: test.example"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if (body or method == "POST") and "Transfer_Encoding" not in headers and "Content_Length" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode("utf-8") + body)

    async def answer(self):
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join([chunk async for chunk in self.chunks()])
        body = await self.within(self.reader.readexactly(int(headers.get("content-length", 0))))
        return status, headers, body

    async def head(self):
        head = (await self.within(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        return int(first.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def chunks(self):
        while size := int(await self.within(self.reader.readuntil(b"\r\n")), 16):
            yield (await self.within(self.reader.readexactly(size + 2)))[:-2]
        await self.within(self.reader.readexactly(2))

    async def upgrade(self, path, **headers):
        """The WebSocket handshake; status and headers of the answer."""
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        handshake["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        self.send_request("GET", path, **{**handshake, **headers})
        return await self.head()

    def send_frame(self, message, opcode=None, final=True):
        """Send a masked frame: text for `str`, binary for `bytes`, or *opcode*."""
        payload = message.encode() if isinstance(message, str) else message
        opcode = opcode if opcode is not None else socket_io.TEXT_FRAME if isinstance(message, str) else socket_io.BINARY_FRAME
        self.writer.write(masked_frame(opcode, payload, final))

    async def frame(self):
        """The next frame's opcode and payload."""
        first, second = await self.within(self.reader.readexactly(2))
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self.within(self.reader.readexactly(2 if size == 126 else 8)), "big")
        return first & 0x0F, await self.within(self.reader.readexactly(size))

    async def message(self):
        """The next frame as `str` or `bytes`; None for a close frame."""
        opcode, payload = await self.frame()
        if opcode == socket_io.CLOSE_FRAME:
            return None
        return payload.decode() if opcode == socket_io.TEXT_FRAME else payload

    async def text(self):
        opcode, payload = await self.frame()
        assert opcode == socket_io.TEXT_FRAME, (opcode, payload)
        return payload.decode()

    async def end(self):
        """What is left until the server ends the connection."""
        return await self.within(self.reader.read(-1))

    async def within(self, awaitable):
        return await asyncio.wait_for(awaitable, self.seconds)

    def close(self):
        self.writer.close()

    def reset(self):
        """Vanish: the server's next read is a TCP reset."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def masked_frame(opcode, payload, final=True, mask=b"\x12\x34\x56\x78"):
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def within(awaitable, seconds=5.0):
    """Every wait of a test has an end."""
    return await asyncio.wait_for(awaitable, seconds)


class Client:
    """A Socket.IO client of any generation, for tests: made by `SocketIOTestCase.client`.

    `id` is what the server calls it where its generation is told, `sid` the session's secret. It speaks through the
    dialects of socket_io.py from the other side.
    """

    def __init__(self, port, dialect, transport, namespace="/", auth=None, path="/socket.io", headers=None, query=""):
        self.port = port
        self.dialect = socket_io.DIALECTS[dialect]
        self.transport = transport
        self.namespace = namespace
        self.auth = auth
        self.path = path
        self.headers = headers or {}
        self.query = query
        self.id = self.sid = None
        self.closed = False
        self.disconnected = asyncio.Event()
        self._packets = asyncio.Queue()
        self._acks = {}
        self._assembler = None
        self._wire = self._post_wire = self._reader = None

    # What tests call.

    async def connect(self):
        """Connect to the namespace; `ConnectionRefused` if the server says no."""
        self._wire = await Wire.open(self.port)
        await (self._open_websocket() if self.transport in socket_io.WEBSOCKETS else self._open_polling())
        self._reader = asyncio.ensure_future(self._read())
        return await self.join(self.namespace, self.auth) if self.dialect.has_namespaces else self

    async def join(self, namespace, auth=None):
        """Connect to one more namespace on the same connection."""
        await self._send(socket_io.Packet(socket_io.CONNECT, namespace, auth))
        packet = await self._next(namespace, socket_io.CONNECT, socket_io.CONNECT_ERROR)
        if packet.type == socket_io.CONNECT_ERROR:
            raise socket_io.ConnectionRefused(packet.data["message"], packet.data.get("data"))
        self.id = packet.data["sid"]
        return self

    async def emit(self, name, *args, namespace=None):
        await self._send(socket_io.Packet(socket_io.EVENT, namespace or self.namespace, [name, *args]))

    async def send(self, message):
        await self.emit("message", message)

    async def call(self, name, *args, namespace=None):
        """Emit and wait for the ack: one argument bare, several as a list, none as None."""
        ack_id = len(self._acks)
        self._acks[ack_id] = future = asyncio.get_running_loop().create_future()
        await self._send(socket_io.Packet(socket_io.EVENT, namespace or self.namespace, [name, *args], ack_id))
        return socket_io.bare(await within(future))

    async def receive(self, seconds=5.0):
        """The next event as (name, *arguments); `asyncio.TimeoutError` when none comes."""
        packet = await within(self.receive_packet(socket_io.EVENT), seconds)
        return tuple(packet.data)

    async def answer(self, *args):
        """Receive an event that wants an ack, acknowledge it with *args*, return it as `receive` does."""
        packet = await within(self.receive_packet(socket_io.EVENT))
        await self._send(socket_io.Packet(socket_io.ACK, packet.namespace, list(args), packet.ack_id))
        return tuple(packet.data)

    async def receive_packet(self, *types):
        """The next packet of one of *types*; others are passed over."""
        while True:
            packet = await self._packets.get()
            if packet.type in types:
                return packet

    async def leave(self, namespace=None):
        """Disconnect from a namespace."""
        await self._send(socket_io.Packet(socket_io.DISCONNECT, namespace or self.namespace))

    async def close(self):
        """Leave as a browser does that closes its page."""
        self.closed = True
        if self._reader is not None:
            self._reader.cancel()
        for wire in (self._wire, self._post_wire):
            if wire is not None:
                wire.close()

    # Private.

    @property
    def _url(self):
        if self.dialect.has_namespaces:
            name = "websocket" if self.transport == "websocket" else "polling"
            sid = f"&sid={self.sid}" if self.sid else ""
            return f"{self.path}/?EIO={self.dialect.name[3:]}&transport={name}{sid}{self.query}"
        return f"{self.path}/{self.transport}/{self.sid or ''}/"

    async def _open_websocket(self):
        url = self._url if self.dialect.has_namespaces else f"{self.path}/{self.transport}"
        status, _ = await self._wire.upgrade(url, **self.headers)
        if status != 101:
            raise socket_io.ConnectionRefused(f"status {status}")
        self._opened(await self._next_payload() or [])

    async def _open_polling(self):
        status, _, body = await self._wire.request("GET", self._url, **self.headers)
        if status != 200:
            raise socket_io.ConnectionRefused(f"status {status}")
        self._opened(self.dialect.decode_payload(body.decode(), 1000))
        self._post_wire = await Wire.open(self.port)

    def _opened(self, packets):
        if not packets:
            raise socket_io.ConnectionRefused("the connection was closed")
        first, *rest = packets
        self.sid = json.loads(first.data)["sid"] if self.dialect.has_namespaces else first.data
        for packet in rest:
            self._received(packet)

    async def _read(self):
        """All that the server sends, until the connection ends."""
        self._wire.seconds = None
        try:
            while (packets := await self._next_payload()) is not None:
                for packet in packets:
                    self._received(packet)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self._wire.close()
        self.disconnected.set()

    async def _next_payload(self):
        """The packets of the next frame or poll; None at the end."""
        if self.transport in socket_io.WEBSOCKETS:
            message = await self._wire.message()
            return None if message is None else self.dialect.decode_frame(message, 1000)
        status, _, body = await self._wire.request("GET", self._url, **self.headers)
        if status != 200:
            return None
        return self.dialect.decode_payload(body.decode(), 1000) if body else []

    def _received(self, engine_packet):
        if engine_packet.type in (socket_io.PING, socket_io.PONG):  # 0.6 has one word for both
            asyncio.ensure_future(self._send_engine([socket_io.EnginePacket(socket_io.PONG, engine_packet.data)]))
        elif engine_packet.type == socket_io.CLOSE:
            self.disconnected.set()
        elif engine_packet.type == socket_io.MESSAGE:
            if self._assembler is None:
                packet = self.dialect.decode_packet(engine_packet.data, 1000)
            else:
                packet = self._assembler.feed(engine_packet.data)
            if isinstance(packet, socket_io.Assembler):
                self._assembler = packet
            elif packet is not None:
                self._assembler = None
                self._received_packet(packet)

    def _received_packet(self, packet):
        if packet.type == socket_io.ACK:
            self._acks.pop(packet.ack_id).set_result(packet.data)
        else:
            self._packets.put_nowait(packet)

    async def _next(self, namespace, *types):
        packet = await within(self.receive_packet(*types))
        assert packet.namespace == namespace, packet
        return packet

    async def _send(self, packet):
        await self._send_engine(self.dialect.encode_packet(packet))

    async def _send_engine(self, packets):
        if self.transport in socket_io.WEBSOCKETS:
            for frame in self.dialect.encode_frames(packets):
                self._wire.send_frame(frame)
            return
        body = self.dialect.encode_payload(packets).encode()
        url = self._url
        if not self.dialect.has_namespaces:
            url, body = self._url + "send", b"data=" + urllib.parse.quote(body).encode()
        status, _, _ = await self._post_wire.request("POST", url, body, **self.headers)
        assert status == 200, status


class SocketIOTestCase(tornado.testing.AsyncHTTPTestCase):
    """Serves `handler` on a free port for each test, and ends every client that the test leaves behind."""

    handler: type[SocketIOHandler]
    namespaces: dict[str, type[SocketIOHandler]] = {}
    settings: dict[str, Any] = {}

    def get_app(self):
        return tornado.web.Application([self.handler.routes("socket.io", namespaces=self.namespaces)], **self.settings)

    async def client(self, dialect="EIO4", transport="websocket", namespace="/", auth=None, **more) -> Client:
        """A connected client."""
        client = Client(self.get_http_port(), dialect, transport, namespace, auth, **more)
        self._clients.append(client)
        return await client.connect()

    async def wire(self) -> Wire:
        """A bare connection, for what no client would do."""
        wire = await Wire.open(self.get_http_port())
        self._clients.append(wire)
        return wire

    def setUp(self):
        self._clients: list[Any] = []
        super().setUp()

    def tearDown(self):
        async def leave():
            for client in self._clients:
                done = client.close()
                if done is not None:
                    await done
            await asyncio.sleep(0)

        self.io_loop.run_sync(leave)
        super().tearDown()


class Recorder(SocketIOHandler):
    """Writes down what happens to it; tests wait for entries."""

    entries: ClassVar[asyncio.Queue]
    handlers: ClassVar[list]
    ping_interval = 25.0

    def on_open(self, *args, **kwargs):
        type(self).handlers.append(self)

    def on_message(self, message):
        self.note("message", message)

    def on_event(self, name, *args):
        self.note(name, *args)

    def on_close(self):
        self.note("closed", self.close_reason)

    def note(self, *entry):
        type(self).entries.put_nowait(entry)


class RecorderTestCase(SocketIOTestCase):
    """A fresh Recorder subclass for each test, so that options and entries are its own."""

    options: dict[str, Any] = {}
    base: type[Recorder] = Recorder

    def get_app(self):
        self.handler = type(self.base.__name__, (self.base,), dict(self.options))
        self.handler.entries = asyncio.Queue()
        self.handler.handlers = []
        return super().get_app()

    async def noted(self, *entry):
        """The next entry, which should be *entry*."""
        got = await within(self.handler.entries.get())
        self.assertEqual(got, entry)

    async def only(self):
        """The one handler there is."""
        self.assertEqual(len(self.handler.handlers), 1)
        return self.handler.handlers[0]

    async def assertClosedFor(self, reason):
        await self.noted("closed", reason)

    async def open_polling(self, wire, path="/socket.io/?EIO=4&transport=polling"):
        """A handshake; the session's URL."""
        status, _, body = await wire.request("GET", path)
        self.assertEqual(status, 200)
        return f"{path}&sid={json.loads(body[1:])['sid']}"

    async def join_polling(self, wire, connect=b"40"):
        url = await self.open_polling(wire)
        self.assertEqual((await wire.request("POST", url, connect))[2], b"ok")
        self.assertTrue((await wire.request("GET", url))[2].startswith(b'40{"sid":"'))
        return url

    async def open_websocket(self, wire, connect="40"):
        """A WebSocket that has joined "/"; the sid."""
        self.assertEqual((await wire.upgrade("/socket.io/?EIO=4&transport=websocket"))[0], 101)
        sid = json.loads((await wire.text())[1:])["sid"]
        if connect:
            wire.send_frame(connect)
            self.assertTrue((await wire.text()).startswith('40{"sid":"'))
        return sid


# -- 11. Transports --------------------------------------------------------------------


class EngineIOHandshakeTests(RecorderTestCase):
    """[EIO4 "Handshake"]"""

    @gen_test
    async def test_polling_opens_with_the_facts_of_the_session(self):
        wire = await self.wire()
        status, headers, body = await wire.request("GET", "/socket.io/?EIO=4&transport=polling&t=abc")
        facts = json.loads(body[1:])
        self.assertEqual((status, body[:1], headers["content-type"]), (200, b"0", "text/plain; charset=UTF-8"))
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertRegex(facts.pop("sid"), r"\A[\w-]{20}\Z")
        self.assertEqual(
            facts, {"upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}
        )

    @gen_test
    async def test_a_websocket_has_nothing_left_to_upgrade_to(self):
        wire = await self.wire()
        status, headers = await wire.upgrade("/socket.io/?EIO=4&transport=websocket")
        self.assertEqual((status, headers["sec-websocket-accept"]), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        self.assertEqual(json.loads((await wire.text())[1:])["upgrades"], [])

    @gen_test
    async def test_every_refusal_has_its_code(self):
        rows = [
            ("GET", "/", 0, "Transport unknown"),
            ("GET", "/?EIO=4", 0, "Transport unknown"),
            ("GET", "/?EIO=4&transport=__proto__", 0, "Transport unknown"),
            ("GET", "/?EIO=4&transport=polling&sid=abcdefghijklmnopqrst", 1, "Session ID unknown"),
            ("GET", "/?EIO=4&transport=polling&sid=%00%ff", 1, "Session ID unknown"),
            ("POST", "/?EIO=4&transport=polling", 2, "Bad handshake method"),
            ("PUT", "/?EIO=4&transport=polling", 2, "Bad handshake method"),
            ("DELETE", "/?EIO=4&transport=polling&sid=abcdefghijklmnopqrst", 2, "Bad handshake method"),
            ("GET", "/?EIO=4&transport=polling&transport=polling", 3, "transport given twice"),
            ("GET", "/?EIO=4&transport=polling&j=alert(1)", 3, "JSONP index must be digits"),
            ("GET", "/?EIO=5&transport=polling", 5, "Unsupported protocol version"),
            ("GET", "/?EIO=abc&transport=polling", 5, "Unsupported protocol version"),
        ]
        wire = await self.wire()
        for method, path, code, message in rows:
            with self.subTest(method=method, path=path):
                status, headers, body = await wire.request(method, "/socket.io" + path)
                self.assertEqual((status, json.loads(body)), (400, {"code": code, "message": message}))
                self.assertEqual(headers["content-type"], "application/json")

    @gen_test
    async def test_a_websocket_is_refused_before_it_is_one(self):
        rows = [
            ("/?EIO=4&transport=websocket&sid=abcdefghijklmnopqrst", {}, b"Session ID unknown"),
            ("/?EIO=9&transport=websocket", {}, b"Unsupported protocol version"),
            ("/?EIO=4&transport=websocket", {"Sec_WebSocket_Version": "8"}, b"Bad WebSocket handshake"),
            ("/?EIO=4&transport=websocket", {"Sec_WebSocket_Key": "short"}, b"Bad WebSocket handshake"),
            ("/?EIO=4&transport=websocket", {"Upgrade": "h2c"}, b"Bad request"),
            ("/?EIO=4&transport=polling", {}, b"Bad request"),
        ]
        for path, headers, why in rows:
            with self.subTest(path=path, headers=headers):
                wire = await self.wire()
                status, answer = await wire.upgrade("/socket.io" + path, **headers)
                body = await wire.reader.readexactly(int(answer["content-length"]))
                self.assertEqual(status, 400)
                self.assertIn(why, body)

    @gen_test
    async def test_a_plain_get_for_a_websocket_is_a_bad_request(self):
        wire = await self.wire()
        status, _, _ = await wire.request("GET", "/socket.io/?EIO=4&transport=websocket")
        self.assertEqual(status, 400)

    @gen_test
    async def test_other_paths_are_none_of_ours(self):
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.iox"))[0], 404)
        self.assertEqual((await wire.request("GET", "/socket.io/nonsense"))[0], 404)


class PollingTests(RecorderTestCase):
    """[EIO4 "HTTP long-polling"]"""

    @gen_test
    async def test_a_post_is_answered_ok_and_its_packets_are_handled_in_order(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        status, headers, body = await wire.request("POST", url, '42["message","é😀"]\x1e42["x",1]'.encode())
        self.assertEqual((status, headers["content-type"], body), (200, "text/html", b"ok"))
        await self.noted("message", "é😀")
        await self.noted("x", 1)

    @gen_test
    async def test_what_no_poll_waits_for_leaves_with_the_next_in_one_payload(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        handler = await self.only()
        handler.emit("a", 1)
        handler.emit("b", b"\x01\x02")
        self.assertEqual(
            (await wire.request("GET", url))[2], b'42["a",1]\x1e451-["b",{"_placeholder":true,"num":0}]\x1ebAQI='
        )

    @gen_test
    async def test_a_waiting_poll_is_answered_at_once(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("GET", url)
        handler = await self.only()
        while handler._member.session.outlet is None:
            await asyncio.sleep(0)
        handler.send("now")
        handler.send("and this in the same answer")
        self.assertEqual(
            (await wire.answer())[2], b'42["message","now"]\x1e42["message","and this in the same answer"]'
        )

    @gen_test
    async def test_binary_events_and_acks_travel_as_base64(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        await wire.request("POST", url, b'451-["bytes",{"_placeholder":true,"num":0}]\x1ebAQIDBA==')
        await self.noted("bytes", b"\x01\x02\x03\x04")

    @gen_test
    async def test_two_polls_at_once_end_the_session(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        first.send_request("GET", url)
        handler = await self.only()
        while handler._member.session.outlet is None:
            await asyncio.sleep(0)
        self.assertEqual((await second.request("GET", url))[0], 400)
        self.assertEqual((await first.answer())[2], b"1")
        await self.assertClosedFor("transport error")
        self.assertEqual((await second.request("GET", url))[0], 400)

    @gen_test
    async def test_two_posts_at_once_end_the_session(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        first.send_request("POST", url, b'42["half', Content_Length="20")
        handler = await self.only()
        while handler._member.session.posting is None:
            await asyncio.sleep(0)
        self.assertEqual((await second.request("POST", url, b'42["x"]'))[0], 400)
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_post_cut_short_ends_the_session(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        second.send_request("POST", url, b'42["half', Content_Length="20")
        handler = await self.only()
        while handler._member.session.posting is None:
            await asyncio.sleep(0)
        second.reset()
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_what_a_lost_poll_would_have_brought_comes_with_the_next(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        first.send_request("GET", url)
        handler = await self.only()
        while handler._member.session.outlet is None:
            await asyncio.sleep(0)
        first.close()
        while handler._member.session.outlet is not None:
            await asyncio.sleep(0)
        handler.send("not lost")
        self.assertEqual((await second.request("GET", url))[2], b'42["message","not lost"]')

    @gen_test
    async def test_a_client_that_closes_gets_a_noop_for_its_poll(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        first.send_request("GET", url)
        self.assertEqual((await second.request("POST", url, b"1"))[2], b"ok")
        self.assertEqual((await first.answer())[2], b"6")
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_a_chunked_post_is_read_as_framed(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, Transfer_Encoding="chunked")
        for chunk in (b'42["x', b'",1]', b""):
            wire.writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.assertEqual((await wire.answer())[2], b"ok")
        await self.noted("x", 1)

    @gen_test
    async def test_jsonp_calls_back_and_posts_a_form(self):
        wire = await self.wire()
        status, headers, body = await wire.request("GET", "/socket.io/?EIO=4&transport=polling&j=7")
        self.assertEqual((status, headers["content-type"]), (200, "text/javascript; charset=UTF-8"))
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertTrue(body.startswith(b'___eio[7]("0{') and body.endswith(b'}");'), body)
        sid = json.loads(json.loads(body[len("___eio[7](") : -2])[1:])["sid"]
        url = f"/socket.io/?EIO=4&transport=polling&j=7&sid={sid}"
        form = b"d=" + urllib.parse.quote_plus('40\x1e42["x","a\\\\nb</script>"]').encode()
        self.assertEqual((await wire.request("POST", url, form))[2], b"ok")
        await self.noted("x", "a\nb</script>")
        handler = await self.only()
        handler.send('"</script>\u2028\\"')
        body = (await wire.request("GET", url))[2]
        self.assertNotIn(b"</script>", body)
        payload = json.loads(body[len("___eio[7](") : -2]).split("\x1e")[-1]
        self.assertEqual(json.loads(payload[2:]), ["message", '"</script>\u2028\\"'])


class UpgradeTests(RecorderTestCase):
    """[EIO4 "Upgrade"]"""

    async def probe(self, url):
        wire = await self.wire()
        status, _ = await wire.upgrade(url.replace("polling", "websocket"))
        self.assertEqual(status, 101)
        wire.send_frame("2probe")
        self.assertEqual(await wire.text(), "3probe")
        return wire

    @gen_test
    async def test_polling_is_released_and_the_websocket_takes_over_what_waits(self):
        polling, poster = await self.wire(), await self.wire()
        url = await self.join_polling(polling)
        polling.send_request("GET", url)
        websocket = await self.probe(url)
        self.assertEqual((await polling.answer())[2], b"6")
        handler = await self.only()
        self.assertEqual(handler.protocol, "xhr-polling")
        handler.send("waits")
        self.assertEqual((await polling.request("GET", url))[2], b'42["message","waits"]')
        self.assertEqual((await polling.request("GET", url))[2], b"6")
        handler.send("leaves by the other door")
        websocket.send_frame("5")
        self.assertEqual(await websocket.text(), '42["message","leaves by the other door"]')
        self.assertEqual(handler.protocol, "websocket")
        websocket.send_frame('42["x"]')
        await self.noted("x")
        self.assertEqual((await poster.request("POST", url, b'42["y"]'))[0], 400)

    @gen_test
    async def test_a_second_websocket_is_accepted_and_closed_at_once(self):
        polling = await self.wire()
        url = await self.join_polling(polling)
        first = await self.probe(url)
        second = await self.wire()
        self.assertEqual((await second.upgrade(url.replace("polling", "websocket")))[0], 101)
        self.assertEqual(await second.frame(), (8, b"\x03\xe8"))
        first.send_frame("5")
        first.send_frame('42["still here"]')
        await self.noted("still here")

    @gen_test
    async def test_a_probe_that_goes_wrong_leaves_polling_as_it_was(self):
        for wrong in ("42[]", "5", "2prob", b"\x01"):
            with self.subTest(wrong=wrong):
                polling, websocket = await self.wire(), await self.wire()
                url = await self.join_polling(polling)
                await websocket.upgrade(url.replace("polling", "websocket"))
                websocket.send_frame(wrong)
                self.assertEqual((await websocket.frame())[0], 8)
                self.assertEqual((await polling.request("POST", url, b'42["x"]'))[0], 200)
                await self.noted("x")

    @gen_test
    async def test_a_websocket_that_vanishes_may_be_followed_by_another(self):
        polling = await self.wire()
        url = await self.join_polling(polling)
        (await self.probe(url)).reset()
        handler = await self.only()
        while handler._member.session.prober is not None:
            await asyncio.sleep(0)
        websocket = await self.probe(url)
        websocket.send_frame("5")
        websocket.send_frame('42["x"]')
        await self.noted("x")


class UpgradeTimeoutTests(RecorderTestCase):
    options = {"upgrade_timeout": 0.2}

    @gen_test
    async def test_half_an_upgrade_is_given_up(self):
        polling, websocket = await self.wire(), await self.wire()
        url = await self.join_polling(polling)
        await websocket.upgrade(url.replace("polling", "websocket"))
        self.assertEqual((await websocket.frame())[0], 8)
        self.assertEqual((await polling.request("POST", url, b'42["x"]'))[0], 200)


class WebSocketTests(RecorderTestCase):
    """The connection is taken over from Tornado; from then on it is ours."""

    @gen_test
    async def test_frames_sent_along_with_the_handshake_arrive(self):
        wire = await self.wire()
        big = json.dumps(["big", "x" * 200_000])
        frames = [masked_frame(1, text.encode()) for text in ["40", "42" + big, '42["after"]']]
        lines = ["GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", "Host: x", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        wire.writer.write("\r\n".join([*lines, "", ""]).encode() + b"".join(frames))
        await self.noted("big", "x" * 200_000)
        await self.noted("after")

    @gen_test
    async def test_all_that_answers_one_read_leaves_in_order(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        handler = await self.only()
        handler.on_event = lambda name, *args: [handler.emit("echo", *args), "ack"][1]
        wire.writer.write(b"".join(masked_frame(1, f'42{n}["e",{n}]'.encode()) for n in range(50)))
        for n in range(50):
            self.assertEqual(await wire.text(), f'42["echo",{n}]')
            self.assertEqual(await wire.text(), f'43{n}["ack"]')

    @gen_test
    async def test_a_ping_is_answered_and_fragments_are_joined(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame('42["mess', final=False)
        wire.send_frame(b"are you there", opcode=9)
        wire.send_frame(b'age","joined"]', opcode=0)
        self.assertEqual(await wire.frame(), (10, b"are you there"))
        await self.noted("message", "joined")

    @gen_test
    async def test_a_close_is_answered_with_its_code(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame((4001).to_bytes(2, "big") + b"bye", opcode=8)
        self.assertEqual(await wire.frame(), (8, (4001).to_bytes(2, "big")))
        self.assertEqual(await wire.end(), b"")
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_a_reset_is_the_end_and_no_noise(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        with self.assertNoLogs(level="INFO") if hasattr(self, "assertNoLogs") else contextlib.nullcontext():
            logging.getLogger("socket_io").setLevel(logging.WARNING)
            wire.reset()
            await self.assertClosedFor("transport close")

    @gen_test
    async def test_a_broken_frame_closes_with_the_code_that_says_why(self):
        rows = [
            (b"\x81\x05hello", 1002, "not masked"),
            (b"\xc1\x80\0\0\0\0", 1002, "reserved bit"),
            (b"\x83\x80\0\0\0\0", 1002, "unknown opcode"),
            (masked_frame(1, b"\xff\xfe"), 1007, "not UTF-8"),
            (b"\x81\xff" + (1_000_001).to_bytes(8, "big"), 1009, "too big, by its header alone"),
        ]
        for data, code, why in rows:
            with self.subTest(why):
                wire = await self.wire()
                await self.open_websocket(wire)
                wire.writer.write(data + b"\0" * 4)
                opcode, payload = await wire.frame()
                self.assertEqual((opcode, int.from_bytes(payload[:2], "big")), (8, code))
                await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_malformed_packet_ends_the_session_with_a_parse_error(self):
        rows = ["", "9", "4", "4x", "42", "42{}", "42[]", "42[1]", '42["connect"]', '42["disconnect"]', "43[]", '44{"message":"x"}',
                "40", '42/nowhere,["x"]', "452-[]", '451-["x",{"_placeholder":true,"num":true}]', "2", "5", "42" + "[" * 100_000,
                '42["x",NaN]', '42["x",1e400]', '421234567890123456["x"]', '42７["x"]', "0{}", "41{}"]  # fmt: skip
        for row in rows:
            with self.subTest(row[:40]):
                wire = await self.wire()
                await self.open_websocket(wire)
                wire.send_frame(row)
                if row.startswith("451-"):
                    wire.send_frame(b"attachment")
                self.assertEqual((await wire.frame())[0], 8)
                await self.assertClosedFor("parse error")

    @gen_test
    async def test_text_where_an_attachment_is_due_is_a_parse_error(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame('451-["x",{"_placeholder":true,"num":0}]')
        wire.send_frame('42["y"]')
        await self.assertClosedFor("parse error")

    @gen_test
    async def test_an_innocent_client_beside_the_attacker_loses_nothing(self):
        innocent = await self.client()
        for attack in ("[" * 200_000, "42" + "[" * 200_000, "4" + "9" * 500_000, "451-" + "x" * 100_000):
            wire = await self.wire()
            await self.open_websocket(wire)
            wire.send_frame(attack)
            await self.assertClosedFor("parse error")
        await innocent.send("still here")
        await self.noted("message", "still here")

    @gen_test
    async def test_a_client_that_does_not_read_is_cut_off_and_the_others_lose_nothing(self):
        deaf, reader = await self.wire(), await self.client()
        await self.open_websocket(deaf)
        number = 0
        while self.handler.entries.empty():
            self.handler.io.emit("much", number, "x" * 500_000)
            self.assertEqual((await reader.receive())[:2], ("much", number))
            number += 1
        await self.assertClosedFor("transport error")
        self.assertEqual(len(self.handler.io.sockets()), 1)


class TLSTests(SocketIOTestCase):
    """A TLS socket cannot be adopted: the same parser is fed from Tornado's stream."""

    class handler(SocketIOHandler):  # noqa: N801
        def on_message(self, message):
            self.send(message)

    def get_http_server(self):
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = make_certificate()
        server_side.load_cert_chain(self.certificate)
        return tornado.httpserver.HTTPServer(self._app, ssl_options=server_side)

    async def wire(self):
        context = ssl.create_default_context(cafile=self.certificate)
        wire = await Wire.open(self.get_http_port(), ssl=context, server_hostname="localhost")
        self._clients.append(wire)
        return wire

    async def open(self):
        wire = await self.wire()
        self.assertEqual((await wire.upgrade("/socket.io/?EIO=4&transport=websocket"))[0], 101)
        wire.send_frame("40")
        self.assertTrue((await wire.text()).startswith("0"))
        self.assertTrue((await wire.text()).startswith("40"))
        return wire

    @gen_test
    async def test_messages_of_every_size_come_back_over_tls(self):
        wire = await self.open()
        for size in (1, 200, 70_000, 900_000):
            wire.send_frame(json.dumps(["message", "é" * (size // 2)], ensure_ascii=False).join(["42", ""]))
            self.assertEqual(json.loads((await wire.text())[2:]), ["message", "é" * (size // 2)])

    @gen_test
    async def test_a_client_that_does_not_read_over_tls_is_cut_off(self):
        deaf = await self.open()
        ended = asyncio.Event()
        self.handler.on_close = lambda handler: ended.set()
        while not ended.is_set():
            self.handler.io.emit("much", "x" * 100_000)
            await asyncio.sleep(0)
        deaf.close()

    @gen_test
    async def test_a_flood_from_one_lets_the_other_in(self):
        flood, innocent = await self.open(), await self.open()
        flood.writer.write(masked_frame(1, b'42["message",""]') * 20_000)
        innocent.send_frame('42["message","hello"]')
        self.assertEqual(await innocent.text(), '42["message","hello"]')


def make_certificate():
    """A self-signed certificate for localhost; the openssl program is all it takes."""
    path = pathlib.Path(tempfile.gettempdir()) / f"socket_io_test_{os.getpid()}.pem"
    if not path.exists():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", f"{path}.crt"]
        subprocess.run(command, check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + pathlib.Path(f"{path}.crt").read_bytes())
        pathlib.Path(f"{path}.crt").unlink()
        atexit.register(path.unlink)
    return str(path)


class HeartbeatTests(RecorderTestCase):
    """[EIO4 "Heartbeat"]: the server pings, the client answers, silence is the end."""

    options = {"ping_interval": 0.2, "ping_timeout": 0.15}

    @gen_test
    async def test_a_client_that_answers_lives_on_both_transports(self):
        for transport in ("websocket", "xhr-polling"):
            client = await self.client(transport=transport)
            await asyncio.sleep(0.8)
            self.assertTrue(self.handler.handlers[-1].connected, transport)
            await client.close()

    @gen_test
    async def test_a_silent_websocket_is_closed(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        self.assertEqual(await wire.text(), "2")
        self.assertEqual((await wire.frame())[0], 8)
        await self.assertClosedFor("ping timeout")

    @gen_test
    async def test_a_polling_client_that_stays_away_is_forgotten(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        await self.assertClosedFor("ping timeout")
        self.assertEqual((await wire.request("GET", url))[0], 400)

    @gen_test
    async def test_the_servers_own_lag_kills_nobody(self):
        await self.client()
        time.sleep(1.0)  # a handler that blocks
        await asyncio.sleep(0.3)
        self.assertTrue((await self.only()).connected)


class ConnectTimeoutTests(RecorderTestCase):
    options = {"connect_timeout": 0.2}

    @gen_test
    async def test_who_joins_no_namespace_is_sent_away(self):
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        self.assertEqual((await wire.frame())[0], 8)

    @gen_test
    async def test_an_on_open_that_takes_too_long_refuses(self):
        async def hang(handler):
            await asyncio.Event().wait()

        self.handler.on_open = hang
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        self.assertIn(await wire.message(), ('44{"message":"Timed out"}', None))


class BodySizeTests(RecorderTestCase):
    options = {"max_message_bytes": 1000}

    @gen_test
    async def test_a_declared_size_is_refused_before_anything_is_stored(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b"", Content_Length="1001")
        self.assertEqual((await wire.answer())[0], 413)
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_an_undeclared_size_is_refused_when_it_is_reached(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, Transfer_Encoding="chunked")
        wire.writer.write(b"7d0\r\n" + b"4" * 2000 + b"\r\n")
        self.assertEqual((await wire.answer())[0], 413)
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_frame_too_big_is_refused_by_its_header(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.writer.write(b"\x81\xfe" + (1001).to_bytes(2, "big") + b"\0" * 4)
        self.assertEqual((await wire.frame())[1][:2], (1009).to_bytes(2, "big"))

    @gen_test
    async def test_attachments_count_together(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        wire.send_frame(b"a" * 600)
        wire.send_frame(b"b" * 600)
        await self.assertClosedFor("parse error")


class OriginTests(RecorderTestCase):
    """One decision for every transport; a refusal's log line names the cure."""

    options = {"allowed_origins": ["https://friend.example"]}

    @gen_test
    async def test_polling_and_websocket_decide_alike(self):
        rows = [
            ({}, True, "no browser"),
            ({"Origin": "http://test.example"}, True, "the same host"),
            ({"Origin": "https://test.example"}, True, "the same host behind a proxy that ends TLS"),
            ({"Origin": "https://friend.example"}, True, "listed"),
            ({"Origin": "http://friend.example"}, False, "listed with another scheme"),
            ({"Origin": "https://evil.example"}, False, "not listed"),
            ({"Origin": "null"}, False, "a sandboxed frame"),
            ({"Sec_Fetch_Site": "cross-site"}, False, "no origin, but a browser says where from"),
            ({"Sec_Fetch_Site": "same-origin"}, True, "a same-origin GET has no Origin"),
            ({"Referer": "https://evil.example/page"}, False, "an old browser"),
        ]
        with self.assertLogs("socket_io", "WARNING") as logged:
            for headers, admitted, why in rows:
                with self.subTest(why):
                    polling, websocket = await self.wire(), await self.wire()
                    status, answer, _ = await polling.request("GET", "/socket.io/?EIO=4&transport=polling", **headers)
                    self.assertEqual(status, 200 if admitted else 403)
                    granted = headers.get("Origin") if admitted else None
                    self.assertEqual(answer.get("access-control-allow-origin"), granted)
                    status, _ = await websocket.upgrade("/socket.io/?EIO=4&transport=websocket", **headers)
                    self.assertEqual(status, 101 if admitted else 403)
        self.assertIn("'https://evil.example'", "\n".join(logged.output))
        self.assertIn("allowed_origins = ", "\n".join(logged.output))

    @gen_test
    async def test_a_post_and_a_known_sid_are_asked_too(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        with self.assertLogs("socket_io", "WARNING"):
            status, _, body = await wire.request("POST", url, b'42["x"]', Origin="https://evil.example")
        self.assertEqual((status, json.loads(body)), (403, {"code": 4, "message": "Forbidden"}))

    @gen_test
    async def test_a_preflight_grants_to_friends_only(self):
        wire = await self.wire()
        path = "/socket.io/?EIO=4&transport=polling&sid=unknown"
        asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-token"}
        status, headers, _ = await wire.request("OPTIONS", path, Origin="https://friend.example", **asks)
        self.assertEqual((status, headers["access-control-allow-headers"]), (204, "x-token"))
        self.assertEqual(headers["access-control-allow-origin"], "https://friend.example")
        self.assertEqual(headers["access-control-allow-credentials"], "true")
        status, headers, _ = await wire.request("OPTIONS", path, Origin="https://evil.example", **asks)
        self.assertEqual((status, "access-control-allow-methods" in headers), (204, False))

    @gen_test
    async def test_errors_can_be_read_by_the_page(self):
        wire = await self.wire()
        path = "/socket.io/?EIO=4&transport=polling&sid=unknown"
        _, headers, _ = await wire.request("GET", path, Origin="https://friend.example")
        self.assertEqual(headers["access-control-allow-origin"], "https://friend.example")


class XSRFTests(RecorderTestCase):
    settings = {"xsrf_cookies": True, "cookie_secret": "secret"}

    @gen_test
    async def test_an_application_with_xsrf_cookies_takes_posts(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        self.assertEqual((await wire.request("POST", url, b'42["x"]'))[0], 200)
        await self.noted("x")


class SocketIO06Tests(RecorderTestCase):
    """[SIO06]: byte by byte what the reference server of the time sends."""

    SID = rb"~m~20~m~([\w-]{20})"

    async def open(self, wire, transport):
        """A polling handshake; the sid."""
        status, headers, body = await wire.request("GET", f"/socket.io/{transport}//123" + ("/0" if "jsonp" in transport else ""))
        self.assertEqual(status, 200)
        return re.search(self.SID, body)[1].decode()

    @gen_test
    async def test_xhr_polling(self):
        wire = await self.wire()
        status, headers, body = await wire.request("GET", "/socket.io/xhr-polling//123")
        self.assertRegex(body, rb"\A" + self.SID + rb"\Z")
        self.assertEqual((status, headers["content-type"]), (200, "text/plain; charset=UTF-8"))
        sid = body[-20:].decode()
        post = b"data=" + urllib.parse.quote("~m~5~m~hello~m~3~m~é😀~m~10~m~~j~{\"a\":1}").encode()
        status, headers, body = await wire.request("POST", f"/socket.io/xhr-polling/{sid}/send", post)
        self.assertEqual((status, headers["content-type"], body), (200, "text/plain", b"ok"))
        await self.noted("message", "hello")
        await self.noted("message", "é😀")
        await self.noted("message", {"a": 1})
        handler = await self.only()
        handler.send("a\nb 😀 é")
        handler.send({"two": 2})
        handler.emit("news", 1, "é")
        status, _, body = await wire.request("GET", f"/socket.io/xhr-polling/{sid}/124")
        event = r'~j~{"name":"news","args":[1,"\u00e9"]}'
        self.assertEqual(body.decode(), f'~m~8~m~a\nb 😀 é~m~12~m~~j~{{"two":2}}~m~{len(event)}~m~{event}')

    @gen_test
    async def test_jsonp_polling(self):
        wire = await self.wire()
        sid = await self.open(wire, "jsonp-polling")
        url = f"/socket.io/jsonp-polling/{sid}/456/3"
        _, _, body = await wire.request("POST", url, b"data=" + urllib.parse.quote("~m~3~m~a\r\nb").encode())
        self.assertEqual(body, b"ok")
        await self.noted("message", "a\nb")
        handler = await self.only()
        handler.send('x\r\ny\0"\\\u2028</script>')
        status, headers, body = await wire.request("GET", url)
        self.assertEqual((status, headers["content-type"]), (200, "text/javascript; charset=UTF-8"))
        self.assertRegex(body, rb'\Aio\.JSONP\[3\]\._\(".*"\);\Z')
        self.assertNotIn(b"</script>", body)
        self.assertEqual(json.loads(body[len("io.JSONP[3]._(") : -2]), '~m~17~m~x\r\ny\0"\\\u2028</script>')

    @gen_test
    async def test_xhr_multipart(self):
        stream, poster = await self.wire(), await self.wire()
        stream.send_request("GET", "/socket.io/xhr-multipart/")
        status, headers = await stream.head()
        self.assertEqual((status, headers["content-type"]), (200, 'multipart/x-mixed-replace;boundary="socketio"'))
        self.assertNotIn("transfer-encoding", headers)
        first = await stream.within(stream.reader.readexactly(len("--socketio\nContent-Type: text/plain\n\n~m~20~m~") + 20 + 12))
        match = re.fullmatch(rb"--socketio\nContent-Type: text/plain\n\n" + self.SID + rb"\n--socketio\n", first)
        sid = match[1].decode()
        (await self.only()).send("a\nb 😀 é")
        part = "Content-Type: text/plain\n\n~m~8~m~a\nb 😀 é\n--socketio\n".encode()
        self.assertEqual(await stream.within(stream.reader.readexactly(len(part))), part)
        await poster.request("POST", f"/socket.io/xhr-multipart/{sid}/send", b"data=~m~2~m~hi")
        await self.noted("message", "hi")
        stream.close()
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_htmlfile(self):
        stream, poster = await self.wire(), await self.wire()
        stream.send_request("GET", "/socket.io/htmlfile//123")
        status, headers = await stream.head()
        self.assertEqual((status, headers["content-type"], headers["transfer-encoding"]), (200, "text/html", "chunked"))
        chunks = stream.chunks()
        self.assertEqual(await chunks.__anext__(), b"<html><body>" + b" " * 244)
        first = await chunks.__anext__()
        sid = re.fullmatch(rb'<script>parent\.s\._\("' + self.SID + rb'", document\);</script>', first)[1].decode()
        (await self.only()).send("</script>\n")
        self.assertEqual(
            await chunks.__anext__(), rb'<script>parent.s._("~m~10~m~\u003c/script>\n", document);</script>'
        )
        await poster.request("POST", f"/socket.io/htmlfile/{sid}/send", b"data=~m~2~m~hi")
        await self.noted("message", "hi")
        (await self.only()).close()
        with self.assertRaises(StopAsyncIteration):
            await chunks.__anext__()

    @gen_test
    async def test_websocket_and_flashsocket(self):
        for transport in ("websocket", "flashsocket"):
            wire = await self.wire()
            self.assertEqual((await wire.upgrade(f"/socket.io/{transport}"))[0], 101)
            self.assertRegex((await wire.text()).encode(), rb"\A" + self.SID + rb"\Z")
            wire.send_frame("~m~2~m~hi~m~5~m~again")
            await self.noted("message", "hi")
            await self.noted("message", "again")
            handler = self.handler.handlers[-1]
            self.assertEqual((handler.protocol, handler.session.dialect.name), (transport, "0.6"))
            handler.send(decimal.Decimal("1.10") if hasattr(socket_io.json_module, "simple_first") else 1)
            self.assertTrue((await wire.text()).startswith("~m~"))
            wire.close()
            await self.assertClosedFor("transport close")

    @gen_test
    async def test_cors_credentials_only_for_who_brings_a_cookie(self):
        wire = await self.wire()
        sid = await self.open(wire, "xhr-polling")
        url, origin = f"/socket.io/xhr-polling/{sid}/send", "http://test.example"
        _, headers, _ = await wire.request("POST", url, b"data=", Origin=origin)
        self.assertEqual(headers["access-control-allow-origin"], origin)
        self.assertNotIn("access-control-allow-credentials", headers)
        _, headers, _ = await wire.request("POST", url, b"data=", Origin=origin, Cookie="a=b")
        self.assertEqual(headers["access-control-allow-credentials"], "true")

    @gen_test
    async def test_a_foreign_page_hears_it_in_the_words_of_its_transport(self):
        wire, evil = await self.wire(), "https://evil.example"
        sid = await self.open(wire, "xhr-polling")
        with self.assertLogs("socket_io", "WARNING"):
            status, _, body = await wire.request("POST", f"/socket.io/xhr-polling/{sid}/send", b"data=", Origin=evil)
            self.assertEqual((status, body), (401, b"unauthorized"))
            status, _, body = await wire.request("GET", "/socket.io/jsonp-polling//1/0", Origin=evil)
            self.assertEqual((status, body), (200, b"alert('Cross domain security restrictions not met');"))
            websocket = await self.wire()
            self.assertEqual((await websocket.upgrade("/socket.io/websocket", Origin=evil))[0], 403)

    @gen_test
    async def test_unknown_sids_and_indexes_that_are_no_digits(self):
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling/12345/1"))[0], 400)
        self.assertEqual((await wire.request("GET", "/socket.io/jsonp-polling//1/alert(1)"))[0], 400)

    @gen_test
    async def test_a_second_poll_takes_over_from_the_first(self):
        first, second = await self.wire(), await self.wire()
        sid = await self.open(first, "xhr-polling")
        first.send_request("GET", f"/socket.io/xhr-polling/{sid}/1")
        handler = await self.only()
        while handler._member.session.outlet is None:
            await asyncio.sleep(0)
        second.send_request("GET", f"/socket.io/xhr-polling/{sid}/2")
        self.assertEqual((await first.answer())[2], b"")
        handler.send("x")
        self.assertEqual((await second.answer())[2], b"~m~1~m~x")

    @gen_test
    async def test_a_refused_client_gets_no_sid(self):
        self.handler.on_open = lambda handler: False
        wire, websocket = await self.wire(), await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 401)
        await websocket.upgrade("/socket.io/websocket")
        self.assertEqual((await websocket.frame())[0], 8)


class SocketIO06TimeTests(RecorderTestCase):
    """Heartbeats where there are any, polls that end, clients that stay away."""

    options = {"ping_interval": 0.2, "ping_timeout": 0.15, "poll_duration": 0.2}

    @gen_test
    async def test_heartbeats_are_numbered_and_must_come_back(self):
        wire = await self.wire()
        await wire.upgrade("/socket.io/websocket")
        await wire.text()
        for number in (1, 2):
            self.assertEqual(await wire.text(), f"~m~4~m~~h~{number}")
            wire.send_frame(f"~m~4~m~~h~{number}")
        self.assertEqual(await wire.text(), "~m~4~m~~h~3")
        wire.send_frame("~m~4~m~~h~2")
        self.assertEqual((await wire.frame())[0], 8)
        await self.assertClosedFor("ping timeout")

    @gen_test
    async def test_an_idle_poll_ends_empty_and_has_no_heartbeats(self):
        wire = await self.wire()
        _, _, body = await wire.request("GET", "/socket.io/xhr-polling//1")
        for _ in range(3):
            _, _, empty = await wire.request("GET", f"/socket.io/xhr-polling/{body[-20:].decode()}/2")
            self.assertEqual(empty, b"")
        _, _, empty = await wire.request("GET", f"/socket.io/jsonp-polling/{body[-20:].decode()}/2/0")
        self.assertEqual(json.loads(empty)["code"] if empty.startswith(b"{") else empty, b"Bad request")


# -- 12. SocketIOHandler ---------------------------------------------------------------


class EventBehaviour:
    """What every dialect must do alike; its subclasses say which one and how it travels."""

    dialect = transport = ""
    base = Recorder

    async def chat(self):
        """A client and its handler."""
        client = await self.client(self.dialect, self.transport)
        return client, self.handler.handlers[-1]

    def told(self, name, *args):
        """An event as the client sees it."""
        if name == "message" or self.dialect != "0.6":
            return (name, *args)
        return ("message", {"name": name, "args": list(args)})

    @gen_test
    async def test_messages_of_every_kind_come_and_go(self):
        client, handler = await self.chat()
        for message in ("hello", "", "é😀\u2028", "a\nb", {"a": [1, None, True]}, "~m~3~m~abc", "~j~not json"):
            with self.subTest(message=message):
                handler.send(message)
                self.assertEqual(await client.receive(), ("message", message))
                if self.dialect != "0.6" or not str(message).startswith("~j~"):
                    await client.send(message)
                    await self.noted("message", message)

    @gen_test
    async def test_an_event_arrives_with_its_arguments(self):
        client, handler = await self.chat()
        handler.emit("news é", 1, "two", {"three": [4.5]})
        self.assertEqual(await client.receive(), self.told("news é", 1, "two", {"three": [4.5]}))

    @gen_test
    async def test_two_hundred_stay_in_order_both_ways(self):
        client, handler = await self.chat()
        for number in range(200):
            handler.send(str(number))
        for number in range(200):
            self.assertEqual(await client.receive(), ("message", str(number)))
        for number in range(200):
            await client.send(str(number))
        for number in range(200):
            await self.noted("message", str(number))

    @gen_test
    async def test_three_hundred_kilobytes_fit(self):
        client, handler = await self.chat()
        handler.send("x" * 300_000)
        self.assertEqual(await client.receive(), ("message", "x" * 300_000))
        await client.send("é" * 100_000)
        await self.noted("message", "é" * 100_000)

    @gen_test
    async def test_rooms_reach_their_members_and_nobody_else(self):
        (inside, in_handler), (outside, out_handler) = await self.chat(), await self.chat()
        in_handler.join("röom 😀", "other")
        self.handler.io.to("röom 😀").emit("x", 1)
        out_handler.to("röom 😀", "other").emit("x", 2)
        in_handler.to("röom 😀").emit("x", 3)
        in_handler.leave("röom 😀")
        self.handler.io.to("röom 😀").emit("x", 4)
        self.handler.io.emit("x", 5)
        self.assertEqual([await inside.receive() for _ in range(3)], [self.told("x", n) for n in (1, 2, 5)])
        self.assertEqual(await outside.receive(), self.told("x", 5))
        self.assertEqual(in_handler.rooms, {in_handler.id, "other"} | in_handler.rooms & {inside.sid})

    @gen_test
    async def test_broadcast_spares_the_sender_and_the_excepted(self):
        (one, first), (two, second), (three, third) = [await self.chat() for _ in range(3)]
        third.join("muted")
        first.broadcast.emit("x", 1)
        first.except_("muted").emit("x", 2)
        first.io.to(second.id).emit("x", 3)
        first.send("only one")
        self.assertEqual([await two.receive() for _ in range(3)], [self.told("x", n) for n in (1, 2, 3)])
        self.assertEqual(await three.receive(), self.told("x", 1))
        self.assertEqual(await one.receive(), ("message", "only one"))

    @gen_test
    async def test_the_client_hears_its_own_id_as_a_room(self):
        client, handler = await self.chat()
        self.handler.io.to(client.id or client.sid).emit("x")
        self.assertEqual(await client.receive(), self.told("x"))
        self.assertNotEqual(handler.id, handler.session.id)

    @gen_test
    async def test_a_client_that_leaves_is_told_once(self):
        client, handler = await self.chat()
        handler.join("room")
        await client.close()
        if self.transport in socket_io.POLLING:
            handler._member.session.end("transport close")
        await self.assertClosedFor("transport close")
        self.assertFalse(handler.connected)
        self.assertIn("room", handler.rooms)
        self.assertEqual(self.handler.io.sockets(), [])

    @gen_test
    async def test_the_server_can_end_it(self):
        client, handler = await self.chat()
        handler.send("last words")
        handler.disconnect(close=True)
        handler.send("nobody hears this")
        self.assertEqual(await client.receive(), ("message", "last words"))
        await self.assertClosedFor("server namespace disconnect")
        await within(client.disconnected.wait())

    @gen_test
    async def test_the_goodbye_at_shutdown(self):
        client, _ = await self.chat()
        await self.handler.io.close()
        await within(client.disconnected.wait())
        await self.assertClosedFor("server shutting down")

    @gen_test
    async def test_a_handler_that_raises_keeps_its_client(self):
        client, handler = await self.chat()
        handler.on_message = lambda message: handler.note("message", 1 // len(message))
        with self.assertLogs("tornado.application", "ERROR"):
            await client.send("")
            await client.send("x")
            await self.noted("message", 1)

    @gen_test
    async def test_coroutines_run_one_after_the_other(self):
        client, handler = await self.chat()
        gate = asyncio.Event()

        async def slow(message):
            if message == "first":
                await gate.wait()
            handler.note("message", message)

        handler.on_message = slow
        await client.send("first")
        await client.send("second")
        handler.send("others do not wait")
        await client.receive()
        self.assertTrue(self.handler.entries.empty())
        gate.set()
        await self.noted("message", "first")
        await self.noted("message", "second")


class WebSocketEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"


class PollingEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class AncestorWebSocketEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "websocket"


class AncestorPollingEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-polling"


class MixedRoomTests(RecorderTestCase):
    """One room, clients of two generations: each hears it in its own words, encoded once per dialect."""

    @gen_test
    async def test_both_hear_it(self):
        old, new = await self.client("0.6"), await self.client()
        self.handler.io.emit("news", "é")
        self.assertEqual(await new.receive(), ("news", "é"))
        self.assertEqual(await old.receive(), ("message", {"name": "news", "args": ["é"]}))

    @gen_test
    async def test_bytes_reach_those_who_can_take_them(self):
        old, new = await self.client("0.6"), await self.client()
        with self.assertLogs("socket_io", "WARNING"):
            self.handler.io.emit("news", b"\x01")
        self.handler.io.emit("after")
        self.assertEqual(await new.receive(), ("news", b"\x01"))
        self.assertEqual(await old.receive(), ("message", {"name": "after", "args": []}))
        with self.assertRaises(socket_io.NotSupported):
            self.handler.handlers[0].send(b"\x01")

    @gen_test
    async def test_a_broadcast_is_encoded_once_per_dialect(self):
        for _ in range(3):
            await self.client()
        with unittest.mock.patch.object(socket_io.EngineIO4, "encode_packet", autospec=True) as encode:
            encode.side_effect = socket_io.EngineIO.encode_packet
            self.handler.io.emit("x", 1)
        self.assertEqual(encode.call_count, 1)


class AckTests(RecorderTestCase):
    """[SIO5 "Acknowledgement"]: acks in both directions."""

    class base(Recorder):  # noqa: N801
        @event
        def plain(self, *args):
            return args

        @event("slow one")
        async def slow(self, value):
            await asyncio.sleep(0)
            return value

        @event
        def nothing(self): ...

        @event
        def default(self, first, second="2"):
            return [first, second]

    @gen_test
    async def test_what_a_method_returns_is_the_ack(self):
        client = await self.client()
        rows = [(("plain",), None), (("plain", 1), 1), (("plain", 1, b"2"), [1, b"2"]), (("slow one", {"a": b"1"}), {"a": b"1"}),
                (("nothing",), None), (("default", 1), [1, "2"]), (("default", 1, 3), [1, 3])]  # fmt: skip
        for call, answer in rows:
            with self.subTest(call=call):
                self.assertEqual(await client.call(*call), answer)

    @gen_test
    async def test_a_wrong_number_of_arguments_is_the_clients_mistake(self):
        client = await self.client()
        for args in ((), (1, 2, 3)):
            await client.emit("default", *args)
        self.assertEqual(await client.call("default", 1), [1, "2"])

    @gen_test
    async def test_the_server_can_ask_too(self):
        client = await self.client()
        handler = await self.only()
        for answer, result in (((), None), ((1,), 1), ((1, b"2"), [1, b"2"])):
            asked = asyncio.ensure_future(handler.call("question", "é"))
            self.assertEqual(await client.answer(*answer), ("question", "é"))
            self.assertEqual(await asked, result)
        got = asyncio.get_running_loop().create_future()
        handler.emit("question", ack=lambda *args: got.set_result(args))
        await client.answer(1, 2)
        self.assertEqual(await within(got), (1, 2))

    @gen_test
    async def test_an_answer_that_does_not_come_is_an_error(self):
        client = await self.client()
        handler = await self.only()
        with self.assertRaises(socket_io.AckTimeout):
            await handler.call("question", timeout=0.01)
        self.assertEqual(await client.receive(), ("question",))
        asked = asyncio.ensure_future(handler.call("question"))
        await client.receive()
        await client.close()
        with self.assertRaises(socket_io.Disconnected):
            await asked
        with self.assertRaises(socket_io.Disconnected):
            await handler.call("question")

    @gen_test
    async def test_asking_before_on_open_has_accepted_says_why_it_cannot_be(self):
        errors = asyncio.Queue()

        async def ask(handler):
            try:
                await handler.call("too early")
            except socket_io.Disconnected as error:
                errors.put_nowait(str(error))

        self.handler.on_open = ask
        await self.client()
        self.assertIn("on_open", await errors.get())

    @gen_test
    async def test_a_generation_without_acks_says_so(self):
        await self.client("0.6")
        with self.assertRaises(socket_io.NotSupported):
            await (await self.only()).call("question")

    @gen_test
    async def test_acks_of_a_room_say_who_answered(self):
        answers, silent, old = await self.client(), await self.client(), await self.client("0.6")
        asked = asyncio.ensure_future(self.handler.io.call("question", 1, timeout=0.3))
        self.assertEqual(await answers.answer("yes"), ("question", 1))
        acks = await asked
        self.assertEqual(acks.answers, {answers.id: "yes"})
        self.assertEqual(acks.missing, {silent.id, self.handler.handlers[-1].id})
        self.assertIsNone(old.id)

    @gen_test
    async def test_a_handler_may_ask_while_its_own_events_wait(self):
        client = await self.client()
        handler = await self.only()

        async def ask(name, *args):
            handler.note(await handler.call("question", name))

        handler.on_event = ask
        for number in range(300):
            await client.emit(f"event {number}", "x" * 5_000)
        for number in range(300):
            self.assertEqual(await client.answer(number), ("question", f"event {number}"))
            await self.noted(number)


class Admin(SocketIOHandler):
    def on_open(self):
        if self.auth.get("token") != "secret":
            raise ConnectionRefused("Not authorized", {"why": "token"})
        self.emit("welcome", self.auth)

    @event
    def whoami(self):
        return self.namespace, self.id


class NamespaceTests(RecorderTestCase):
    """[SIO5 "Connection to a namespace"]"""

    namespaces = {"/admin": Admin}

    @gen_test
    async def test_a_namespace_has_a_handler_of_its_own_and_shares_the_session(self):
        client = await self.client(namespace="/admin", auth={"token": "secret"})
        self.assertEqual(await client.receive(), ("welcome", {"token": "secret"}))
        self.assertEqual(await client.call("whoami"), ["/admin", client.id])
        admin = Admin.io.sockets()[0]
        await client.join("/")
        root = await self.only()
        root.session["user"] = "ada"
        root.session.save()
        self.assertEqual(admin.session, {"user": "ada"})
        self.assertEqual(admin.session.id, client.sid)
        self.assertNotEqual(admin.id, root.id)

    @gen_test
    async def test_a_refusal_carries_message_and_data_and_the_connection_stays(self):
        client = await self.client()
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/admin", {"token": "guess"})
        self.assertEqual((refused.exception.message, refused.exception.data), ("Not authorized", {"why": "token"}))
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/random")
        self.assertEqual((refused.exception.message, refused.exception.data), ("Invalid namespace", None))
        await client.send("still here")
        await self.noted("message", "still here")

    @gen_test
    async def test_false_and_an_exception_refuse_too(self):
        self.handler.on_open = lambda handler: False
        with self.assertRaises(ConnectionRefused):
            await self.client()
        self.handler.on_open = lambda handler: 1 / 0
        with self.assertLogs("tornado.application", "ERROR"), self.assertRaises(ConnectionRefused) as refused:
            await self.client()
        self.assertEqual(refused.exception.message, "Server error")

    @gen_test
    async def test_leaving_and_coming_back_gives_a_new_id(self):
        client = await self.client()
        first = client.id
        await client.leave()
        await self.assertClosedFor("client namespace disconnect")
        await client.join("/")
        self.assertNotEqual(client.id, first)

    @gen_test
    async def test_a_kicked_client_is_told_and_what_it_sent_meanwhile_does_no_harm(self):
        client = await self.client()
        (await self.only()).disconnect()
        await client.send("in flight")
        packet = await client.receive_packet(socket_io.DISCONNECT)
        self.assertEqual(packet.namespace, "/")
        await self.assertClosedFor("server namespace disconnect")
        await client.join("/")
        await client.send("again")
        await self.noted("message", "again")

    @gen_test
    async def test_what_on_open_sends_follows_the_acceptance_and_what_comes_early_waits(self):
        gate = asyncio.Event()

        async def open_late(handler):
            type(handler).handlers.append(handler)
            handler.join("lobby")
            handler.emit("first")
            await gate.wait()
            handler.emit("second")

        self.handler.on_open = open_late
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        wire.send_frame('42["early"]')
        while not self.handler.handlers:
            await asyncio.sleep(0)
        self.handler.io.to("lobby").emit("between")
        self.assertTrue(self.handler.entries.empty())
        gate.set()
        self.assertTrue((await wire.text()).startswith('40{"sid"'))
        for name in ("first", "between", "second"):
            self.assertEqual(await wire.text(), f'42["{name}"]')
        await self.noted("early")

    @gen_test
    async def test_who_vanishes_while_on_open_runs_is_still_closed_once(self):
        gate = asyncio.Event()

        async def open_late(handler):
            type(handler).handlers.append(handler)
            await gate.wait()

        self.handler.on_open = open_late
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        while not self.handler.handlers:
            await asyncio.sleep(0)
        wire.reset()
        while self.handler.handlers[0].close_reason is None:
            await asyncio.sleep(0)
        self.assertTrue(self.handler.entries.empty())
        gate.set()
        await self.assertClosedFor("transport close")


class StuckHandlerTests(RecorderTestCase):
    options = {"close_timeout": 0.2}

    @gen_test
    async def test_on_close_comes_even_after_a_handler_that_hangs(self):
        client = await self.client()
        handler = await self.only()

        async def hang(message):
            await asyncio.Event().wait()

        handler.on_message = hang
        await client.send("x")
        await client.emit("received before the end")
        while handler._member.inbox is None or not handler._member.inbox:
            await asyncio.sleep(0)
        await client.close()
        await self.noted("received before the end")
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_a_handler_that_cancels_itself_loses_one_event(self):
        client = await self.client()
        handler = await self.only()

        async def suicidal(message):
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        handler.on_message = suicidal
        await client.send("x")
        await client.emit("next")
        await self.noted("next")


class BackpressureTests(RecorderTestCase):
    """A client that sends faster than its handlers work is not read from, and loses nothing."""

    options = {"max_message_bytes": 10_000}

    @gen_test
    async def test_reading_pauses_and_resumes(self):
        for transport in ("websocket", "xhr-polling"):
            with self.subTest(transport):
                client = await self.client(transport=transport)
                handler = self.handler.handlers[-1]
                gate = asyncio.Event()

                async def slow(message, gate=gate, handler=handler):
                    await gate.wait()
                    handler.note(len(message))

                handler.on_message = slow
                sending = asyncio.ensure_future(self.send_many(client))
                while handler._member.session.reading:
                    await asyncio.sleep(0)
                gate.set()
                for _ in range(60):
                    await self.noted(4_000)
                await sending

    async def send_many(self, client):
        for _ in range(60):
            await client.send("x" * 4_000)


class VolatileTests(RecorderTestCase):
    @gen_test
    async def test_what_cannot_leave_at_once_is_dropped(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        handler = await self.only()
        handler.volatile.emit("dropped")
        self.handler.io.volatile.emit("dropped too")
        handler.emit("kept")
        self.assertEqual((await wire.request("GET", url))[2], b'42["kept"]')


class ThreadTests(RecorderTestCase):
    @gen_test
    async def test_emit_works_from_any_thread(self):
        client = await self.client()
        handler = await self.only()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.handler.io.emit, "from io", 1)
        self.assertEqual(await client.receive(), ("from io", 1))
        await loop.run_in_executor(None, handler.emit, "from a handler", 2)
        self.assertEqual(await client.receive(), ("from a handler", 2))
        with self.assertRaises(TypeError):
            await loop.run_in_executor(None, self.handler.io.emit, "no JSON", object())


class SubclassTests(unittest.TestCase):
    """What is wrong with a class is said when the class is made, with the cure."""

    def assertRefused(self, body, *words):
        with self.assertRaises((TypeError, ValueError)) as refused:
            type("Chat", (SocketIOHandler,), body() if callable(body) else body)
        for word in words:
            self.assertIn(word, str(refused.exception))

    def test_methods_that_would_never_be_called(self):
        for name in ("get", "post", "prepare"):
            self.assertRefused({name: lambda self: None}, name, "on_open")

    def test_events_that_hide_a_method_of_the_base(self):
        for name in ("join", "clear", "get_cookie"):
            with self.subTest(name):
                method = lambda self: None  # noqa: E731
                method.__name__ = name
                self.assertRefused({name: event(method)}, name, f'@event("{name}")')

    def test_two_methods_for_one_event(self):
        self.assertRefused({"a": event("x")(lambda self: None), "b": event("x")(lambda self: None)}, "two methods")

    def test_an_event_of_the_life_cycle(self):
        with self.assertRaises(ValueError) as refused:
            event("disconnect")
        self.assertIn("on_close", str(refused.exception))

    def test_an_override_without_the_decorator_stays_the_event(self):
        class Base(SocketIOHandler):
            @event("x")
            def method(self, one): ...

        class Derived(Base):
            def method(self, one, two): ...

        self.assertEqual(Derived._events["x"].most, 2)

    def test_misspelt_and_foreign_options(self):
        self.assertRefused({"ping_intervall": 5}, "ping_interval")
        self.assertRefused({"allowed_origin": "*"}, "allowed_origins")
        self.assertRefused({"pingInterval": 5}, "ping_interval")
        self.assertRefused({"cors_allowed_origins": "*"}, "allowed_origins")
        type("Fine", (SocketIOHandler,), {"rooms_by_name": {}, "min_rooms": 1, "pong": 1, "template": "x", "history": []})
        type("Fine", (SocketIOHandler,), {"ping_intervall": 5, "__annotations__": {"ping_intervall": int}})

    def test_options_of_the_wrong_type(self):
        self.assertRefused({"ping_interval": "25"}, "ping_interval", "float")
        self.assertRefused({"max_packets": 1.5}, "max_packets", "int")
        self.assertRefused({"ping_timeout": -1}, "ping_timeout")

    def test_an_option_of_the_connection_in_a_namespace_class(self):
        class Chat(SocketIOHandler):
            pass

        class Side(SocketIOHandler):
            ping_interval = 5.0

        with self.assertRaises(ValueError) as refused:
            Chat.routes("socket.io", namespaces={"/side": Side})
        self.assertIn("Side", str(refused.exception))
        self.assertIn("Chat", str(refused.exception))

    def test_a_dialect_nobody_speaks(self):
        class Chat(SocketIOHandler):
            enabled_dialects = ("EIO5",)

        with self.assertRaises(ValueError) as refused:
            Chat.routes("socket.io")
        self.assertIn("EIO4", str(refused.exception))

    def test_io_before_and_after_routes(self):
        class Chat(SocketIOHandler):
            pass

        class Child(Chat):
            pass

        with self.assertRaises(RuntimeError) as refused:
            Chat.io.emit("x")
        self.assertIn("routes", str(refused.exception))
        Chat.routes("socket.io")
        Chat.io.emit("reaches nobody")
        self.assertEqual(Chat.io.sockets(), [])
        with self.assertRaises(RuntimeError):
            _ = Child.io


class RequestHandlerTests(RecorderTestCase):
    """A handler is a RequestHandler in what reads the request; it answers none."""

    settings = {"cookie_secret": "secret", "login_url": "/login"}

    @gen_test
    async def test_it_reads_the_handshake(self):
        await self.client(headers={"Cookie": "name=ada"}, query="&room=tea")
        handler = await self.only()
        self.assertEqual(handler.get_cookie("name"), "ada")
        self.assertEqual(handler.get_query_argument("room"), "tea")
        self.assertEqual(handler.settings["login_url"], "/login")
        self.assertEqual(handler.request.remote_ip, "127.0.0.1")
        self.assertIsNone(handler.current_user)

    @gen_test
    async def test_what_would_answer_names_send(self):
        await self.client()
        handler = await self.only()
        for name in ("write", "finish", "render", "redirect", "set_cookie", "set_header", "set_status", "flush", "send_error"):
            with self.subTest(name), self.assertRaises(RuntimeError) as refused:
                getattr(handler, name)("x")
            self.assertIn("send", str(refused.exception))

    @gen_test
    async def test_auth_is_the_query_where_a_generation_has_no_other(self):
        wire = await self.wire()
        await wire.upgrade("/socket.io/websocket?token=abc")
        await wire.text()
        self.assertEqual((await self.only()).auth, {"token": "abc"})

    @gen_test
    async def test_it_is_forgotten_when_the_client_is_gone(self):
        client = await self.client()
        reference = weakref.ref(self.handler.handlers.pop())
        await client.close()
        await self.assertClosedFor("transport close")
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        self.assertIsNone(reference())


class MessageTests(SocketIOTestCase):
    class handler(SocketIOHandler):  # noqa: N801
        @event
        def shout(self, text):
            return text.upper()

    @gen_test
    async def test_without_on_message_a_message_is_dropped_with_a_warning(self):
        client = await self.client()
        with self.assertLogs("socket_io", "WARNING") as logged:
            await client.send("hello")
            self.assertEqual(await client.call("shout", "still here"), "STILL HERE")
        self.assertIn("on_message", logged.output[0])


class MessageEventTests(RecorderTestCase):
    class base(Recorder):  # noqa: N801
        @event("message")
        def hear(self, *args):
            self.note("heard", *args)

    @gen_test
    async def test_an_event_method_for_message_takes_all_its_arguments(self):
        client = await self.client()
        await client.emit("message", 1, 2)
        await self.noted("heard", 1, 2)


class RouteTests(SocketIOTestCase):
    """The ancestor's `routes(resource, extraRE=None, extraSep=None)`."""

    class handler(SocketIOHandler):  # noqa: N801
        def initialize(self, database=None):
            self.database = database

        def on_open(self, *args, **kwargs):
            self.emit("opened", list(args), kwargs, self.database)

    def get_app(self):
        class Named(self.handler):
            pass

        class Unnamed(self.handler):
            pass

        class Plain(self.handler):
            pass

        return tornado.web.Application(
            [
                Named.routes("echoTest", "(?P<sec_a>123)(?P<sec_b>.*)", extraSep="/"),
                Unnamed.routes("(one|two)/chat", r"(\d+)"),
                Plain.routes("(?P<team>[a-z]+)/live", kwargs={"database": "db"}),
            ]
        )

    @gen_test
    async def test_groups_reach_on_open(self):
        rows = [
            ("/echoTest/123abc%20d", [], {"extra": "123abc d", "sec_a": "123", "sec_b": "abc d"}, None),
            ("/two/chat42", ["two", "42"], {"extra": "42"}, None),
            ("/red/live", [], {"team": "red"}, "db"),
        ]
        for path, args, kwargs, database in rows:
            for dialect, transport in (("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("0.6", "websocket")):
                with self.subTest(path=path, dialect=dialect, transport=transport):
                    client = await self.client(dialect, transport, path=path)
                    told = await client.receive()
                    got = told[1:] if dialect == "EIO4" else tuple(told[1]["args"])
                    self.assertEqual(got, (args, kwargs, database))


class EnabledProtocolsTests(RecorderTestCase):
    settings = {"enabled_protocols": ["websocket", "jsonp-polling"]}

    @gen_test
    async def test_a_transport_that_is_not_enabled_is_refused(self):
        wire = await self.wire()
        status, _, body = await wire.request("GET", "/socket.io/?EIO=4&transport=polling")
        self.assertEqual((status, json.loads(body)["code"]), (400, 0))
        self.assertEqual((await wire.request("GET", "/socket.io/?EIO=4&transport=polling&j=0"))[0], 200)
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 400)
        await self.client()

    def test_an_unknown_name_is_an_error_that_lists_the_known(self):
        with self.assertRaises(ValueError) as refused:
            socket_io.enabled_transports(tornado.web.Application(enabled_protocols=["carrier-pigeon"]))
        self.assertIn("xhr-multipart", str(refused.exception))
        self.assertEqual(
            socket_io.enabled_transports(tornado.web.Application(enabled_protocols=["polling"])),
            {"xhr-polling", "jsonp-polling"},
        )


class EnabledDialectsTests(RecorderTestCase):
    options = {"enabled_dialects": ["EIO4"]}

    @gen_test
    async def test_a_generation_switched_off_is_refused(self):
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 404)
        await self.client()


class BareEngine(socket_io.EngineIO4):
    """A dialect of one's own: bare engine messages, no Socket.IO packets inside."""

    opens_root_unasked = True

    def decode_packet(self, data, max_attachments):
        return socket_io.Packet(socket_io.EVENT, "/", ["message", data])

    def encode_packet(self, packet):
        return [socket_io.EnginePacket(socket_io.MESSAGE, packet.data[1])] if packet.type == socket_io.EVENT else []


class OwnDialectTests(RecorderTestCase):
    options = {"enabled_dialects": [BareEngine()]}

    @gen_test
    async def test_engine_messages_pass_through(self):
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("4hello")
        await self.noted("message", "hello")
        wire.send_frame(b"\x01\x02")
        await self.noted("message", b"\x01\x02")
        (await self.only()).send("back")
        self.assertEqual(await wire.text(), "4back")


class ClientFileTests(RecorderTestCase):
    @gen_test
    async def test_without_client_path_the_public_cdn_has_it(self):
        wire = await self.wire()
        status, headers, _ = await wire.request("GET", "/socket.io/socket.io.min.js")
        self.assertEqual((status, headers["location"][:8]), (302, "https://"))
        self.assertTrue(headers["location"].endswith("/socket.io.min.js"))


class ClientPathTests(RecorderTestCase):
    def get_app(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        pathlib.Path(folder, "socket.io.js").write_text("client()")
        self.options = {"client_path": folder}
        return super().get_app()

    @gen_test
    async def test_a_folder_serves_its_files_and_304_when_they_are_known(self):
        wire = await self.wire()
        status, headers, body = await wire.request("GET", "/socket.io/socket.io.js")
        self.assertEqual((status, body), (200, b"client()"))
        self.assertTrue(headers["content-type"].startswith("text/javascript"))
        status, _, body = await wire.request("GET", "/socket.io/socket.io.js", If_None_Match=headers["etag"])
        self.assertEqual((status, body), (304, b""))
        with self.assertLogs("socket_io", "WARNING"):
            self.assertEqual((await wire.request("GET", "/socket.io/socket.io.min.js"))[0], 404)
        self.assertEqual((await wire.request("GET", "/socket.io/../secret.js"))[0], 404)


class FlashPolicyTests(tornado.testing.AsyncTestCase):
    async def ask(self, policy_file=None, question=b"<policy-file-request/>\0"):
        sock, port = tornado.testing.bind_unused_port()
        sock.close()
        server = FlashPolicyServer(port, policy_file)
        wire = await Wire.open(port)
        wire.writer.write(question)
        answer = await wire.end()
        server.stop()
        return answer

    @gen_test
    async def test_the_policy_ends_with_a_nul(self):
        answer = await self.ask()
        self.assertTrue(answer.startswith(b'<?xml version="1.0"?>') and answer.endswith(b"</cross-domain-policy>\n\0"))

    @gen_test
    async def test_a_file_of_ones_own(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"<mine/>")
            file.flush()
            self.assertEqual(await self.ask(file.name), b"<mine/>\0")

    @gen_test
    async def test_another_question_gets_no_answer(self):
        self.assertEqual(await self.ask(question=b"GET / HTTP/1.1\r\n\r\n......"), b"")

    @gen_test
    async def test_a_port_that_may_not_be_bound_is_one_line(self):
        sock, port = tornado.testing.bind_unused_port()
        with sock, self.assertLogs("socket_io", "INFO") as logged:
            FlashPolicyServer(port)
        self.assertIn(str(port), logged.output[0])


class SocketIOServerTests(tornado.testing.AsyncTestCase):
    """`SocketIOServer` listens, runs until a signal, and says goodbye."""

    PROGRAM = """
import logging, sys, tornado.web, socket_io
class Echo(socket_io.SocketIOHandler):
    def on_message(self, message): self.send(message)
    def on_close(self): print("closed", self.close_reason, flush=True)
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
socket_io.SocketIOServer(tornado.web.Application([Echo.routes("socket.io")], socket_io_port=int(sys.argv[1]), flash_policy_port=int(sys.argv[2])))
print("ended", flush=True)
"""

    @gen_test(timeout=30)
    async def test_a_signal_ends_it_with_a_goodbye(self):
        ports = [str(unused_port()), str(unused_port())]
        for name in (signal.SIGTERM, signal.SIGINT):
            program = await asyncio.create_subprocess_exec(
                sys.executable, "-c", self.PROGRAM, *ports, stdout=asyncio.subprocess.PIPE, cwd=pathlib.Path(__file__).parent
            )
            try:
                self.assertIn(b"listening", await within(program.stdout.readline(), 20))
                websocket = await Client(int(ports[0]), "EIO4", "websocket").connect()
                polling = await Client(int(ports[0]), "EIO4", "xhr-polling").connect()
                await websocket.send("hello")
                self.assertEqual(await websocket.receive(), ("message", "hello"))
                flash = await Wire.open(int(ports[1]))
                flash.writer.write(b"<policy-file-request/>\0")
                self.assertTrue((await flash.end()).endswith(b"\0"))
                program.send_signal(name)
                await within(websocket.disconnected.wait())
                await within(polling.disconnected.wait())
                printed = await within(program.stdout.read(), 20)
                self.assertEqual(printed.count(b"closed server shutting down"), 2)
                self.assertTrue(printed.rstrip().endswith(b"ended"))
                self.assertEqual(await within(program.wait()), 0)
            finally:
                if program.returncode is None:
                    program.kill()
            for client in (websocket, polling):
                await client.close()

    @gen_test
    async def test_inside_a_running_loop_it_must_not_start_one(self):
        class Chat(SocketIOHandler):
            pass

        port = unused_port()
        application = tornado.web.Application([Chat.routes("socket.io")], socket_io_port=port, flash_policy_port=unused_port())
        with self.assertRaises(RuntimeError) as refused:
            SocketIOServer(application)
        self.assertIn("auto_start=False", str(refused.exception))
        server = SocketIOServer(application, auto_start=False)
        client = await Client(port, "EIO4", "websocket").connect()
        await server.close()
        await within(client.disconnected.wait())
        await client.close()


def unused_port():
    sock, port = tornado.testing.bind_unused_port()
    sock.close()
    return port


if __name__ == "__main__":
    unittest.main()
