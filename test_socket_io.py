# /// script
# requires-python = ">=3.10"
# dependencies = ["tornado>=6.5.6", "simplejson>=3.19"]
# ///
"""A test client for socket_io.py that any project may use, and below it this repository's own tests.

    class MyTests(SocketIOTestCase):
        handler = ChatHandler

        @gen_test
        async def test_greets(self):
            client = await self.client()
            self.assertEqual(await client.receive(), ("joined", client.id))

Import the client from here, or copy this file beside socket_io.py as socket_io_testing.py and
import it from there: a test runner does not look for tests in a file of that name. The client needs
nothing of what stands below the banner "Below".
"""

import asyncio
import contextlib
import copy
import itertools
import json
import re
import socket
import struct
import urllib.parse
from typing import Any

import tornado.testing
import tornado.web

import socket_io

__all__ = ["Client", "SocketIOTestCase", "Wire"]

ENOUGH = 10**9  # packets, where their number is not what is tested


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
        lines = [f"{method} {path} HTTP/1.1", f"Host: {headers.pop('Host', 'test.example')}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if (
            (body or method == "POST")
            and "Transfer_Encoding" not in headers
            and "Content_Length" not in headers
        ):
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    async def answer(self):
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join([chunk async for chunk in self.chunks()])
        body = await self.within(self.reader.readexactly(int(headers.get("content-length", 0))))
        return status, headers, body

    async def head(self):
        head = (await self.within(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        return int(first.split()[1]), {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }

    async def chunks(self):
        while size := int(await self.within(self.reader.readuntil(b"\r\n")), 16):
            yield (await self.within(self.reader.readexactly(size + 2)))[:-2]
        await self.within(self.reader.readexactly(2))

    async def upgrade(self, path, **headers):
        """Ask for a WebSocket; return status and headers of the answer."""
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        handshake["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        self.send_request("GET", path, **{**handshake, **headers})
        return await self.head()

    def send_frame(self, message, opcode=None, final=True):
        """Send a masked frame: text for `str`, binary for `bytes`, or *opcode*."""
        payload = message.encode() if isinstance(message, str) else message
        opcode = (
            opcode
            if opcode is not None
            else socket_io.TEXT_FRAME
            if isinstance(message, str)
            else socket_io.BINARY_FRAME
        )
        self.writer.write(masked_frame(opcode, payload, final))

    async def frame(self):
        """Read the next frame: its opcode and its payload."""
        first, second = await self.within(self.reader.readexactly(2))
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(
                await self.within(self.reader.readexactly(2 if size == 126 else 8)), "big"
            )
        return first & 0x0F, await self.within(self.reader.readexactly(size))

    async def message(self):
        """Read the next frame as `str` or `bytes`; None for a close frame."""
        opcode, payload = await self.frame()
        if opcode == socket_io.CLOSE_FRAME:
            return None
        return payload.decode() if opcode == socket_io.TEXT_FRAME else payload

    async def text(self):
        opcode, payload = await self.frame()
        assert opcode == socket_io.TEXT_FRAME, (opcode, payload)
        return payload.decode()

    async def end(self):
        """Read until the server ends the connection."""
        return await self.within(self.reader.read(-1))

    async def within(self, awaitable):
        return await asyncio.wait_for(awaitable, self.seconds)

    def close(self):
        """Close the connection."""
        self.writer.close()

    @property
    def wires(self):
        return [self]

    def reset(self):
        """Break the connection: the server's next read is a TCP reset."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
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
    return head + mask + socket_io.websocket_mask(mask, bytes(payload))


def query_of(auth):
    """Encode *auth* as a query string, as clients before 3.0 send it, with JavaScript's `true` and `null`."""
    return urllib.parse.urlencode(
        {name: v if isinstance(v, str) else json.dumps(v) for name, v in auth.items()},
        quote_via=urllib.parse.quote,
    )


async def within(awaitable, seconds=5.0):
    """Wait for *awaitable*, at most so many *seconds*."""
    return await asyncio.wait_for(awaitable, seconds)


class Client:
    """A Socket.IO client of any generation, over any transport that its generation has.

    `SocketIOTestCase.client` makes it. `id` is the client's public id, as far as its generation is told one; `sid` is
    the session's secret. It uses the dialects of socket_io.py in the opposite direction.
    """

    def __init__(
        self,
        port,
        dialect,
        transport,
        namespace="/",
        auth=None,
        path="/socket.io",
        headers=None,
        query="",
    ):
        self.port = port
        self.dialect = socket_io.DIALECTS[dialect].with_facts(
            max_packets=ENOUGH, max_attachments=ENOUGH
        )
        self.transport = transport
        self.namespace = namespace
        self.auth = auth
        self.path = path
        self.headers = headers or {}
        self.query = query
        if auth and self.dialect.opens_root_unasked:
            # Clients before 3.0 send their auth in the query of every request.
            self.query += "&" + query_of(auth)
        self.id = self.sid = None
        self.closed = False
        self.disconnected = asyncio.Event()
        self.pid, self.offset = None, (auth or {}).get("offset")
        self._packets = asyncio.Queue()
        self._verdicts = asyncio.Queue()
        self._acks = {}
        self._ack_ids = itertools.count()
        self._memory = socket_io.TextMemory()
        self._posting = asyncio.Lock()  # one POST after the other
        self._assembler = None
        self._wire = self._post_wire = self._reader = self._parts = None

    # What tests call.

    async def connect(self):
        """Connect to the namespace; `ConnectionRefused` if the server refuses."""
        self._wire = await Wire.open(self.port)
        if self.transport not in socket_io.WEBSOCKETS or self.dialect.handshakes_apart:
            self._post_wire = await Wire.open(self.port)
        await self._shake_hands()
        self._reader = asyncio.ensure_future(self._read())
        if not self.dialect.has_namespaces:
            return self
        if self.dialect.opens_root_unasked:
            await self._accepted("/")
            return self if self.namespace == "/" else await self.join(self.namespace, self.auth)
        return await self.join(self.namespace, self.auth)

    async def join(self, namespace, auth=None):
        """Connect to one more namespace on the same connection; `ConnectionRefused` if the server refuses."""
        wanted, packet_auth = namespace, auth
        if auth and self.dialect.opens_root_unasked:
            # The CONNECT of a client before 3.0 carries its auth as a query.
            wanted, packet_auth = f"{namespace}?{query_of(auth)}", None
        await self._send(socket_io.Packet(socket_io.CONNECT, wanted, packet_auth))
        return await self._accepted(namespace)

    async def _accepted(self, namespace):
        packet = await within(self._verdicts.get())
        assert packet.namespace == namespace, packet
        if packet.type == socket_io.CONNECT_ERROR:
            reason = packet.data
            if not isinstance(reason, dict) or "message" not in reason:
                # Clients before 3.0 get either the message or the data.
                reason = {"message": reason} if isinstance(reason, str) else {"data": reason}
            raise socket_io.ConnectionRefused(reason.get("message", ""), reason.get("data"))
        self.id = (packet.data or {}).get("sid") or self.dialect.client_id(self.sid, namespace)
        self.pid = (packet.data or {}).get("pid")
        return self

    @property
    def recovery(self):
        """Return the auth with which a client of 4.6 and later comes back: its pid and its last offset."""
        return {"pid": self.pid} | ({} if self.offset is None else {"offset": self.offset})

    async def emit(self, name, *args, namespace=None):
        """Send an event."""
        await self._send(
            socket_io.Packet(socket_io.EVENT, namespace or self.namespace, [name, *args])
        )

    async def send(self, message):
        """Send the event "message"."""
        await self.emit("message", message)

    async def call(self, name, *args, namespace=None, timeout=5.0):
        """Send an event and wait for its ack: one argument bare, several as a list, none as None.

        Raises `asyncio.TimeoutError` when none comes within *timeout* seconds.
        """
        ack_id = next(self._ack_ids)
        self._acks[ack_id] = future = asyncio.get_running_loop().create_future()
        await self._send(
            socket_io.Packet(socket_io.EVENT, namespace or self.namespace, [name, *args], ack_id)
        )
        return socket_io.unwrap(await within(future, timeout))

    async def receive(self, seconds=5.0):
        """Wait for the next event, a tuple (name, *arguments); `asyncio.TimeoutError` when none comes."""
        packet = await within(self.receive_packet(socket_io.EVENT), seconds)
        return tuple(packet.data)

    async def answer(self, *args):
        """Wait for the next event that wants an ack, acknowledge it with *args*, and return it as `receive` does."""
        while (packet := await within(self.receive_packet(socket_io.EVENT))).ack_id is None:
            pass
        await self._send(
            socket_io.Packet(socket_io.ACK, packet.namespace, list(args), packet.ack_id)
        )
        return tuple(packet.data)

    async def receive_packet(self, *types):
        """Wait for the next packet of one of *types*; others are dropped."""
        while True:
            packet = await self._packets.get()
            if packet.type in types:
                return packet

    async def leave(self, namespace=None):
        """Disconnect from a namespace."""
        await self._send(socket_io.Packet(socket_io.DISCONNECT, namespace or self.namespace))

    async def close(self):
        """Close the connections without a word, as a browser does when its page is closed."""
        self.closed = True
        if self._reader is not None:
            self._reader.cancel()
        for wire in self.wires:
            wire.close()

    @property
    def wires(self):
        return [wire for wire in (self._wire, self._post_wire) if wire is not None]

    # Private.

    def _url(self, what=""):
        sid = self.sid or ""
        if self.dialect.name == "0.6":
            return f"{self.path}/{self.transport}/{sid}/{what}/0?{self.query}"  # a JSONP index comes last
        index = (
            {"0.9": "&i=0", "EIO3": "&j=0", "EIO4": "&j=0"}[self.dialect.name]
            if self.transport == socket_io.JSONP_POLLING
            else ""
        )
        if self.dialect.name == "0.9":
            return f"{self.path}/1/{self.transport + '/' if sid else ''}{sid}?{self.query}{index if sid else ''}"
        name = "websocket" if self.transport == "websocket" else "polling"
        sid = "&sid=" + sid if sid else ""
        return f"{self.path}/?EIO={self.dialect.name[3:]}&transport={name}{sid}{index}{self.query}"

    async def _shake_hands(self):
        if self.dialect.handshakes_apart:
            status, _, body = await self._post_wire.request("GET", self._url(), **self.headers)
            if status != 200:
                raise socket_io.ConnectionRefused(body.decode())
            self.sid = body.decode().split(":")[0]
        if self.transport in socket_io.WEBSOCKETS:
            status, _ = await self._wire.upgrade(self._url(), **self.headers)
            if status != 101:
                raise socket_io.ConnectionRefused(f"status {status}")
        if self.transport in socket_io.STREAMS:
            self._wire.send_request("GET", self._url(), **self.headers)
            status, _ = await self._wire.head()
            if status != 200:
                raise socket_io.ConnectionRefused(f"status {status}")
            self._parts = self._read_parts()
        if self.sid is None:
            packets = await self._next_payload()
            if not packets:
                raise socket_io.ConnectionRefused("the connection was closed")
            opened = packets.pop(0).data
            self.sid = json.loads(opened)["sid"] if opened.startswith("{") else opened
            for packet in packets:
                self._received(packet)

    async def _read(self):
        """Take what the server sends, until the connection ends."""
        self._wire.seconds = None
        try:
            while (
                not self.disconnected.is_set()
                and (packets := await self._next_payload()) is not None
            ):
                for packet in packets:
                    self._received(packet)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.disconnected.set()
        self._wire.close()

    async def _next_payload(self):
        """Read the packets of the next frame or poll; None at the end."""
        if self.transport in socket_io.WEBSOCKETS:
            message = await self._wire.message()
            return None if message is None else self.dialect.decode_frame(message, self._memory)
        if self.transport in socket_io.STREAMS:
            part = await anext(self._parts, None)
            return None if part is None else self.dialect.decode_payload(self._text_of(part))
        status, headers, body = await self._wire.request("GET", self._url(), **self.headers)
        if status != 200:
            return None
        if headers["content-type"] == socket_io.BYTES:
            return self.dialect.decode_post(body, socket_io.BYTES, False, self._memory)
        text = self._text_of(body)
        return self.dialect.decode_payload(text) if text else []

    async def _read_parts(self):
        """Yield the parts of an answer that never ends, behind its head."""
        if self.transport == socket_io.XHR_MULTIPART:
            await self._wire.within(self._wire.reader.readuntil(b"--socketio\n"))
            while True:
                yield await self._wire.within(self._wire.reader.readuntil(b"\n--socketio\n"))
        chunks = self._wire.chunks()
        await anext(chunks)
        async for chunk in chunks:
            yield chunk

    def _text_of(self, body):
        """Return the payload in the body of an answer, or in a part of one."""
        if self.transport == socket_io.XHR_MULTIPART:
            return body.partition(b"\n\n")[2].decode().removesuffix("\n--socketio\n")
        if self.transport not in (socket_io.JSONP_POLLING, socket_io.HTMLFILE):
            return body.decode()
        # A call of the page's function with one string, and nothing but such a call.
        call = re.fullmatch(
            r'(?:<script>)?[\w.\[\]]+\((".*")(?:, document)?\);(?:</script>)?', body.decode()
        )
        if call is None:  # with another script, 0.6 and 0.9 let a page say that it was refused
            raise socket_io.ConnectionRefused(body.decode())
        return json.loads(call[1])

    def _received(self, engine_packet):
        if engine_packet.type in (socket_io.PING, socket_io.PONG) and self.dialect.server_pings:
            # 0.6 and 0.9 have one packet for ping and pong.
            self._pong = asyncio.ensure_future(self._send_pong(engine_packet.data))
        elif (
            engine_packet.type == socket_io.CLOSE
            or engine_packet.data == socket_io.SocketIO09.RECONNECT
        ):
            self.disconnected.set()
        elif engine_packet.type == socket_io.MESSAGE:
            if self._assembler is None:
                packet = self.dialect.decode_packet(engine_packet.data)
            else:
                packet = self._assembler.feed(engine_packet.data)
            if isinstance(packet, socket_io.Assembler):
                self._assembler = packet
            elif packet is not None:
                self._assembler = None
                self._received_packet(packet)

    def _received_packet(self, packet):
        if packet.type == socket_io.ACK:
            future = self._acks.pop(packet.ack_id, None)
            if future is not None and not future.done():  # `call` may have stopped waiting
                future.set_result(packet.data)
        elif (
            packet.type == socket_io.DISCONNECT
            and packet.namespace == "/"
            and self.dialect.root_is_connection
        ):
            self.disconnected.set()
        elif packet.type in (socket_io.CONNECT, socket_io.CONNECT_ERROR):
            self._verdicts.put_nowait(packet)
        else:
            if (
                packet.type == socket_io.EVENT
                and packet.ack_id is None
                and isinstance(packet.data[-1], str)
                and packet.data[1:]
            ):
                self.offset = packet.data[-1]  # clients take any last string for an offset
            self._packets.put_nowait(packet)

    async def _send_pong(self, data):
        # The session may have ended by now: then the server refuses the POST, or the connection is gone.
        with contextlib.suppress(AssertionError, asyncio.IncompleteReadError, ConnectionError):
            await self._send_engine([socket_io.EnginePacket(socket_io.PONG, data)])

    async def _send(self, packet):
        await self._send_engine(self.dialect.encode_packet(packet))

    async def _send_engine(self, packets):
        if self.transport in socket_io.WEBSOCKETS:
            for frame in self.dialect.encode_frames(packets):
                self._wire.send_frame(frame)
            return
        content_type, body = self.dialect.encode_poll(packets, "")
        if self.transport == socket_io.JSONP_POLLING or self.dialect.posts_forms:
            content_type = "application/x-www-form-urlencoded"
            body = self._form(self.dialect.encode_payload(packets)).encode()
        headers = {**self.headers, "Content_Type": content_type}
        async with self._posting:
            status, _, _ = await self._post_wire.request("POST", self._url("send"), body, **headers)
        assert status == 200, status

    def _form(self, payload):
        """Return the urlencoded form that carries *payload*."""
        if self.dialect.name == "0.6":
            return "data=" + urllib.parse.quote(payload)
        if self.dialect.name == "0.9":
            return "d=" + urllib.parse.quote(json.dumps(payload))
        return "d=" + urllib.parse.quote(payload.replace("\\n", "\\\\n").replace("\n", "\\n"))


class SocketIOTestCase(tornado.testing.AsyncHTTPTestCase):
    """Serves `handler` on a free port for each test, and closes every client that the test leaves open."""

    handler: type[socket_io.SocketIOHandler]
    namespaces: dict[Any, type[socket_io.SocketIOHandler]] = {}
    settings: dict[str, Any] = {}

    def get_app(self):
        return tornado.web.Application(
            [self.handler.routes("socket.io", namespaces=self.namespaces)], **self.settings
        )

    async def client(
        self, dialect="EIO4", transport="websocket", namespace="/", auth=None, **more
    ) -> Client:
        """Return a client that has connected; `ConnectionRefused` if the server refuses."""
        client = Client(self.get_http_port(), dialect, transport, namespace, auth, **more)
        self._clients.append(client)
        return await client.connect()

    async def wire(self) -> Wire:
        """Return a bare connection, for bytes that no client would send."""
        wire = await Wire.open(self.get_http_port())
        self._clients.append(wire)
        return wire

    def setUp(self):
        self._clients: list[Any] = []
        socket_io._warned.clear()  # a warning is logged once in a process, and any test may look for it
        super().setUp()

    def tearDown(self):
        async def leave():
            for client in self._clients:
                done = client.close()
                if done is not None:
                    await done
            await asyncio.sleep(0)
            for wire in itertools.chain(*(client.wires for client in self._clients)):
                wire.writer.transport.abort()  # where data, or the goodbye of TLS, is still on its way
            await asyncio.sleep(0)

        self.io_loop.run_sync(leave)
        super().tearDown()


# -- Below: this repository's own tests. Nothing there is for import. ------------------
# The tests stand in the order of the map of socket_io.py. Those of sections 2 to 9 need no server
# and no sleep: feed, look, advance `now`. From section 11 on they run over the real wire.

import ast
import atexit
import collections
import concurrent.futures
import contextvars
import dataclasses
import datetime
import enum
import functools
import gc
import gzip
import importlib.util
import inspect
import logging
import math
import os
import pathlib
import pickle
import pydoc
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import types
import unittest
import uuid
import warnings
import weakref
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar
from unittest import mock
from urllib.parse import quote_plus

import tornado.httpserver
import tornado.httputil
from tornado.testing import gen_test

from socket_io import (
    ACK,
    BINARY_FRAME,
    CLOSE,
    CLOSE_FRAME,
    CONNECT,
    CONNECT_ERROR,
    DIALECTS,
    DISCONNECT,
    EVENT,
    FLASHSOCKET,
    HALF_PAIR,
    HTMLFILE,
    JSONP_POLLING,
    LIFE_MOVES,
    MEMBER_MOVES,
    MESSAGE,
    NOOP,
    OPEN,
    OPTIONS,
    PING,
    PING_FRAME,
    POLLING,
    PONG,
    PONG_FRAME,
    RESERVED_EVENTS,
    STREAMS,
    STRICT_JSON,
    TEXT_FRAME,
    TRANSPORTS,
    UPGRADE,
    WEBSOCKET,
    WEBSOCKETS,
    XHR_MULTIPART,
    XHR_POLLING,
    Assembler,
    ConnectionRefused,
    Control,
    Disconnected,
    EngineIO4,
    EnginePacket,
    FlashPolicyServer,
    FrameError,
    FrameParser,
    Heartbeat,
    Hub,
    Life,
    Member,
    MemberState,
    Namespace,
    NamespaceIO,
    NotSupported,
    Outgoing,
    Packet,
    PayloadError,
    Refused,
    Request,
    Session,
    SocketIO06,
    SocketIOError,
    SocketIOHandler,
    SocketIOServer,
    Target,
    TextMemory,
    Upgrade,
    Verdict,
    decode_base64,
    decode_text,
    encode_base64,
    encode_close,
    encode_frame,
    encode_message,
    encode_with_attachments,
    event,
    form_field,
    message_packet,
    origin_admitted,
    parse_request,
    script_string,
    unwrap,
    utf16_take,
    utf16_units,
    websocket_accept,
    wire_int,
)

try:
    import orjson
except ImportError:
    orjson = None

os.environ.setdefault("ASYNC_TEST_TIMEOUT", "30")  # a busy machine is slow, not wrong


# -- What the tests share --------------------------------------------------------------


def setUpModule():
    """Print only errors of what nobody listens to: the tests provoke warnings by the hundred."""
    level = logging.lastResort.level
    logging.lastResort.setLevel(logging.ERROR)
    unittest.addModuleCleanup(logging.lastResort.setLevel, level)
    # No client here loses an OPEN packet that comes with the 101: thousands need not wait for it.
    no_pause = mock.patch.object(socket_io, "GREETING_SECONDS", 0)
    no_pause.start()
    unittest.addModuleCleanup(no_pause.stop)


LONE = "\ud83d"  # half of an emoji


def module_without(name: str) -> types.ModuleType:
    """socket_io anew, as it is where *name* is not installed."""
    spec = importlib.util.find_spec("socket_io")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {name: None}):
        spec.loader.exec_module(module)
    return module


class Assertions(unittest.TestCase):
    """Assertions that many test classes share."""

    def assertPayloadError(self, function: Callable, *args) -> None:
        with self.assertRaises(PayloadError):
            function(*args)

    def assertGrowsLinearly(self, function: Callable, make: Callable, size: int = 10_000) -> None:
        """Eight times the input may take about eight times as long; quadratic work takes sixty-four."""
        few, many = make(size), make(8 * size)
        limit = 30 * min(self._seconds(function, few) for _ in range(3)) + 0.02
        for _ in range(3):  # a busy machine may disturb one measurement
            if (seconds := self._seconds(function, many)) < limit:
                return
        self.assertLess(seconds, limit)

    def _seconds(self, function: Callable, argument) -> float:
        begun = time.process_time()
        with contextlib.suppress(SocketIOError):
            function(argument)
        return time.process_time() - begun


class Recorder(SocketIOHandler):
    """A handler that writes down what happens to it; tests wait for its entries."""

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
    """Serves a fresh subclass of `base` for each test, so that options and entries are its own."""

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

    @staticmethod
    def sid_in(body):
        """The sid in the OPEN packet of a payload, which may stand in a script."""
        return re.search(rb'sid[\\":]+([\w-]{20})', body)[1].decode()

    async def open_polling(self, wire, path="/socket.io/?EIO=4&transport=polling"):
        """A handshake; the session's URL."""
        status, _, body = await wire.request("GET", path)
        self.assertEqual(status, 200)
        return f"{path}&sid={json.loads(body[1:])['sid']}"

    async def join_polling(self, wire, connect=b"40", path="/socket.io/?EIO=4&transport=polling"):
        url = await self.open_polling(wire, path)
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


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Money:
    amount: Decimal
    receipt: bytes = b""


class Lacking:
    """What a `json_default` of an application may know, and what is sent for it."""

    @staticmethod
    def json_default(value):
        if isinstance(value, (datetime.date, uuid.UUID)):
            return str(value)
        if isinstance(value, Colour):
            return value.value
        if isinstance(value, Money):
            return vars(value)
        raise TypeError("no idea")

    VALUES = (
        datetime.datetime(2026, 1, 2, 3, 4),
        {"ids": [uuid.UUID(int=5)]},
        Colour.RED,
        [Money(1)],
        {"plain": [1, None, "x", b"0"[:0].hex()]},
    )
    SENT = (
        "2026-01-02 03:04:00",
        {"ids": ["00000000-0000-0000-0000-000000000005"]},
        "red",
        [{"amount": 1}],
        {"plain": [1, None, "x", ""]},
    )

    @classmethod
    def without_bytes(cls, value):
        given = cls.json_default(value)
        if isinstance(value, Money):
            del (given := dict(given))["receipt"]
        return given


# -- The test client -------------------------------------------------------------------


class TestClientTests(RecorderTestCase):
    """The client that users import keeps its promises beyond what every other test here asks of it."""

    ACKING = [
        ("EIO4", "websocket"),
        ("EIO4", "xhr-polling"),
        ("EIO3", "jsonp-polling"),
        ("0.9", "htmlfile"),
    ]

    @property
    def namespaces(self):
        return {"/other": self.handler}

    class base(Recorder):
        @event
        async def ask(self, gate):
            await type(self).gates[gate].wait()
            return gate

        @event
        def never(self):
            raise ValueError("no ack")

    @gen_test
    async def test_an_ack_id_is_never_used_twice_however_many_have_been_answered(self):
        self.handler.gates = [asyncio.Event() for _ in range(4)]
        client = await self.client()
        first, second = (
            asyncio.ensure_future(client.call("ask", 0)),
            asyncio.ensure_future(client.call("ask", 1)),
        )
        await asyncio.sleep(0)
        self.handler.gates[0].set()
        self.assertEqual(await first, 0)
        third = asyncio.ensure_future(client.call("ask", 2))
        await asyncio.sleep(0)
        for gate in self.handler.gates:
            gate.set()
        self.assertEqual((await second, await third), (1, 2))

    @gen_test
    async def test_an_ack_that_does_not_come_is_a_timeout(self):
        client = await self.client()
        with (
            self.assertLogs("tornado.application", "ERROR"),
            self.assertRaises(asyncio.TimeoutError),
        ):
            await client.call("never", timeout=0.05)
        with self.assertRaises(asyncio.TimeoutError):
            await client.receive(0.01)

    @gen_test
    async def test_an_ack_that_comes_after_the_timeout_of_its_call_does_not_make_the_client_deaf(
        self,
    ):
        for dialect, transport in self.ACKING:
            with self.subTest(dialect=dialect, transport=transport):
                self.handler.gates = [asyncio.Event(), asyncio.Event()]
                client = await self.client(dialect, transport)
                with self.assertRaises(asyncio.TimeoutError):
                    await client.call("ask", 0, timeout=0.01)
                for gate in self.handler.gates:
                    gate.set()
                self.assertEqual(await client.call("ask", 1), 1)

    @gen_test
    async def test_an_ack_that_nobody_asked_for_does_not_make_the_client_deaf(self):
        self.handler.gates = [asyncio.Event()]
        self.handler.gates[0].set()
        client = await self.client()
        (await self.only())._member._send(
            Packet(ACK, "/", [1], 77), [EnginePacket(MESSAGE, "377[1]")]
        )
        self.assertEqual(await client.call("ask", 0), 0)

    @gen_test
    async def test_a_client_whose_reading_breaks_is_disconnected(self):
        client = await self.client()
        (await self.only())._member.session.send_engine(MESSAGE, "nonsense")
        await within(client.disconnected.wait())
        with self.assertRaises(PayloadError):
            await client._reader

    @gen_test
    async def test_calls_at_the_same_time_over_polling_each_get_their_own_ack(self):
        for dialect, transport in self.ACKING:
            with self.subTest(dialect=dialect, transport=transport):
                self.handler.gates = [asyncio.Event() for _ in range(5)]
                for gate in self.handler.gates:
                    gate.set()
                client = await self.client(dialect, transport)
                calls = [client.call("ask", number) for number in range(5)]
                self.assertEqual(await asyncio.gather(*calls), [0, 1, 2, 3, 4])

    @gen_test
    async def test_auth_reaches_the_handler_in_every_generation_and_namespace(self):
        auth = {"token": "a b&c=d/é😀", "age": 7, "admin": True}
        as_query = {"token": "a b&c=d/é😀", "age": "7", "admin": "true"}
        for dialect, transport in EndOfProcessTests.DOORS:
            if transport == "upgrade":
                continue
            for namespace in ("/", "/other") if DIALECTS[dialect].has_namespaces else ("/",):
                with self.subTest(dialect=dialect, transport=transport, namespace=namespace):
                    self.handler.handlers.clear()
                    client = await self.client(dialect, transport, namespace, auth)
                    handler = self.handler.handlers[-1]
                    self.assertEqual(handler.namespace, namespace)
                    self.assertEqual(handler.auth, auth if dialect == "EIO4" else as_query)
                    if dialect != "EIO4":  # as with the real clients, the request has it too
                        self.assertEqual(handler.get_query_argument("token"), auth["token"])
                    await client.close()


class StandaloneClientTests(unittest.TestCase):
    """The client that users import needs nothing of what stands below it in this file."""

    def test_the_file_above_its_banner_is_a_module_that_can_test_a_handler(self):
        source = pathlib.Path(__file__).read_text(encoding="utf-8")
        above, banner, _ = source.partition("\n# -- Below: ")
        self.assertTrue(banner)
        module = types.ModuleType("socket_io_testing")
        exec(compile(above, "socket_io_testing.py", "exec"), module.__dict__)
        self.assertEqual(module.__all__, ["Client", "SocketIOTestCase", "Wire"])

        class Echo(SocketIOHandler):
            def on_message(self, message):
                self.send(message)

        class EchoTests(module.SocketIOTestCase):
            handler = Echo

            @gen_test
            async def test_echo(self):
                self.assertIsInstance(await self.wire(), module.Wire)
                for door in [("EIO4", "websocket"), ("EIO3", "jsonp-polling"), ("0.9", "htmlfile")]:
                    client = await self.client(*door)
                    self.assertIsInstance(client, module.Client)
                    await client.send("hello")
                    self.assertEqual(await client.receive(), ("message", "hello"))

        result = unittest.TestResult()
        EchoTests("test_echo").run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (1, [], []))


# -- 2. Packets ------------------------------------------------------------------------


class MessagePacketTests(Assertions):
    """The EVENT that `emit` sends.  [SIO5 "Sending and receiving data"]"""

    def test_the_name_stands_before_the_arguments(self):
        self.assertEqual(
            message_packet("x", (1, "y"), "/chat", 7), Packet(EVENT, "/chat", ["x", 1, "y"], 7)
        )

    def test_a_name_of_another_type_is_a_type_error(self):
        for name in (None, 1, b"x", ["x"], {"toString": 1}):
            with self.subTest(name=name), self.assertRaises(TypeError):
                message_packet(name, (), "/")

    def test_a_reserved_name_is_a_value_error(self):
        for name in sorted(RESERVED_EVENTS):
            with self.subTest(name), self.assertRaises(ValueError):
                message_packet(name, (), "/")

    def test_the_reserved_names_are_those_of_the_protocol(self):
        names = "connect connect_error disconnect disconnecting newListener removeListener"
        self.assertEqual(RESERVED_EVENTS, set(names.split()))


class ReceivedNameTests(Assertions):
    """Names of events that a peer has sent: text, or a whole number, which JavaScript makes text of."""

    NUMBERS = [
        ("7", "7", "an integer"),
        ("-7", "-7", "an integer below zero"),
        ("7.0", "7", "JSON.parse of JavaScript makes 7 of it"),
        ("7e0", "7", "the same number in a third spelling"),
        ("70e-1", "7", "and in a fourth"),
        ("-0", "0", "the text of JavaScript's -0"),
        ("-0.0", "0", "the same"),
        ("9007199254740992", "9007199254740992", "2**53 itself"),
        ("9007199254740992.0", "9007199254740992", "2**53 as a float"),
    ]
    REFUSED = [
        ("7.5", "a fraction"),
        ("5e-324", "the smallest fraction"),
        ("true", "a boolean, which Python takes for 1"),
        ("null", "null"),
        ("9007199254740993", "an integer that JavaScript cannot tell from its neighbour"),
        ("-9007199254740994.0", "such an integer as a float, below zero"),
        ("1e300", "a float far beyond 2**53"),
        ('["x"]', "a list"),
        ('{"toString":1}', "an object: CVE-2023-32695"),
        ('"connect"', "a reserved name"),
    ]
    WIRES = [
        ("EIO3", "2[{}]"),
        ("EIO4", "2[{}]"),
        ("EIO4", "2/chat,1[{}]"),
        ("0.9", '5:::{{"name":{}}}'),
    ]

    def test_a_whole_number_in_any_spelling_is_a_name_in_text(self):
        for (dialect, wire), (number, name, why) in itertools.product(self.WIRES, self.NUMBERS):
            with self.subTest(why, dialect=dialect, wire=wire):
                packet = DIALECTS[dialect].decode_packet(wire.format(number))
                self.assertEqual((packet.type, packet.data), (EVENT, [name]))

    def test_a_value_that_is_no_name_is_a_payload_error(self):
        for (dialect, wire), (value, why) in itertools.product(self.WIRES, self.REFUSED):
            with self.subTest(why, dialect=dialect, wire=wire):
                self.assertPayloadError(DIALECTS[dialect].decode_packet, wire.format(value))


class UnwrapTests(unittest.TestCase):
    """Acknowledged arguments as python-socketio gives them."""

    def test_one_argument_is_itself_several_are_a_list_none_is_none(self):
        for args, expected in (
            ((), None),
            ([1], 1),
            ([[1]], [1]),
            ((1, 2), [1, 2]),
            ([None], None),
        ):
            with self.subTest(args=args):
                self.assertEqual(unwrap(args), expected)


# -- 3. Text and bytes -----------------------------------------------------------------


class Utf16Tests(unittest.TestCase):
    """Lengths on the wire are JavaScript's `string.length`."""

    UNITS = [
        ("", 0, "nothing"),
        ("hello", 5, "ASCII"),
        ("é", 1, "two bytes, one unit"),
        ("€", 1, "three bytes, one unit"),
        ("\uffff", 1, "the last that is one unit"),
        ("😀", 2, "one code point, two units"),
        ("\U00010000", 2, "the first that is two"),
        ("e\u0301", 2, "a letter and its accent are two"),
        ("👩‍👧", 5, "a family of two is two emoji and a joiner"),
        (LONE, 1, "half a pair is still a unit"),
    ]
    TAKES = [
        ("hello", 1, 3, "ell", "ASCII is sliced"),
        ("hello", 3, 9, "lo", "fewer at the end"),
        ("hello", 9, 1, "", "nothing behind the end"),
        ("😀a", 0, 2, "😀", "an emoji is two"),
        ("😀a", 0, 3, "😀a", "and what follows it is counted from there"),
        ("a😀", 0, 1, "a", "an emoji behind the last unit is not touched"),
        ("€uro", 0, 2, "€u", "not ASCII, but one unit each"),
        ("x😀😀y", 1, 4, "😀😀", "from the middle"),
        ("😀", 0, 0, "", "none"),
    ]

    def test_units_are_counted_as_javascript_counts_them(self):
        for text, units, why in self.UNITS:
            with self.subTest(why):
                self.assertEqual(utf16_units(text), units)

    def test_units_are_taken_as_javascript_counts_them(self):
        for text, start, units, taken, why in self.TAKES:
            with self.subTest(why):
                self.assertEqual(utf16_take(text, start, units), taken)

    def test_halving_a_pair_is_a_unicode_error(self):
        for text, units in (("😀", 1), ("a😀", 2), ("😀😀", 3)):
            with self.subTest(text=text), self.assertRaises(UnicodeError):
                utf16_take(text, 0, units)

    def test_taking_what_was_counted_gives_the_whole(self):
        for text, units, why in self.UNITS[:-1]:
            with self.subTest(why):
                self.assertEqual(utf16_take(text + "tail", 0, units), text)


class WireIntTests(Assertions):
    """Numbers on the wire: a limited number of ASCII digits and nothing else."""

    HOSTILE = [
        ("", "empty"),
        ("²", "isdigit() says yes, int() raises"),
        ("\uff14", "int() takes the full-width four for 4"),
        ("\u0661", "an Arabic one"),
        ("+1", "int() takes a plus"),
        ("-1", "and a minus"),
        ("1_0", "and Python's own thousands"),
        (" 1", "and blanks before"),
        ("1\n", "and a newline behind, which `$` would let pass"),
        ("1.0", "a fraction"),
        ("1e3", "a power"),
        ("0x1", "hexadecimal"),
        ("9" * 16, "one digit too many"),
        ("0" * 16, "leading zeros are digits too"),
        ("1" * 100_000, "quadratic in int()"),
        (LONE, "not even text"),
    ]

    def test_ascii_digits_are_a_number(self):
        for text, number in (("0", 0), ("7", 7), ("007", 7), ("9" * 15, 10**15 - 1)):
            with self.subTest(text):
                self.assertEqual(wire_int(text, 15), number)

    def test_text_other_than_ascii_digits_is_a_payload_error(self):
        for text, why in self.HOSTILE:
            with self.subTest(why):
                self.assertPayloadError(wire_int, text, 15)

    def test_the_error_does_not_repeat_a_long_number(self):
        with self.assertRaises(PayloadError) as caught:
            wire_int("x" * 1000, 15)
        self.assertLess(len(str(caught.exception)), 60)


class Base64Tests(Assertions):
    """Attachments as text: strict base64, with or without the padding.

    White space is skipped, as node's decoder skips it.
    """

    GOOD = [
        ("", b"", "an empty attachment"),
        ("AQL/", b"\x01\x02\xff", "the example of protocol revision 4"),
        ("AQIDBA==", b"\x01\x02\x03\x04", "with padding"),
        ("AQIDBA", b"\x01\x02\x03\x04", "without"),
        ("AQI", b"\x01\x02", "without, one short"),
        ("AQ ID", b"\x01\x02\x03", "a blank"),
        ("AQID\n", b"\x01\x02\x03", "a newline at the end, of Java's encoder"),
        ("AQ\r\nIDBA=\r\n=\r\n", b"\x01\x02\x03\x04", "lines, and one within the padding"),
        ("\tAQIDBA", b"\x01\x02\x03\x04", "a tab, and no padding"),
        (" \r\n\t", b"", "nothing else"),
    ]
    BAD = [
        ("A", "six bits are no byte"),
        ("=", "padding alone"),
        ("====", "padding alone, four"),
        ("AQI==", "too much padding"),
        ("AQ==AQ==", "something behind the padding"),
        ("AQ_-", "the alphabet of URLs"),
        ("AQ\fID", "a form feed"),
        ("AQ\vID", "a vertical tab"),
        ("AQ\0ID", "a null"),
        ("AQ\xa0ID", "a blank that is not ASCII"),
        ("AQ-_", "the alphabet of URLs, at the end"),
        ("AQI\xe9", "not ASCII"),
        ("\uff21QID", "a full-width letter"),
        ("A" * 5, "one character over"),
    ]

    def test_good_base64_is_bytes(self):
        for text, data, why in self.GOOD:
            with self.subTest(why):
                self.assertEqual(decode_base64(text), data)

    def test_bad_base64_is_a_payload_error(self):
        for text, why in self.BAD:
            with self.subTest(why):
                self.assertPayloadError(decode_base64, text)

    def test_every_byte_survives_the_round_trip(self):
        data = bytes(range(256))
        for end in (253, 254, 255, 256):
            with self.subTest(end=end):
                self.assertEqual(decode_base64(encode_base64(data[:end])), data[:end])


class Utf8Tests(Assertions):
    """Strict UTF-8 in HTTP bodies."""

    def test_utf8_is_decoded_to_text(self):
        self.assertEqual(decode_text("é€😀".encode()), "é€😀")

    def test_bytes_that_are_no_utf8_are_a_payload_error(self):
        rows = [
            (b"\xff", "no such byte"),
            (b"\xc3", "cut"),
            (b"\xc0\xaf", "overlong"),
            (b"\xed\xa0\xbd", "half a pair"),
        ]
        for data, why in rows:
            with self.subTest(why):
                self.assertPayloadError(decode_text, data)


class JsonBehaviour:
    """JSON is strict in both directions, and ASCII only when it leaves, with and without simplejson."""

    module: types.ModuleType

    NOT_JSON = [
        ("", "empty"),
        (" ", "blank"),
        ("NaN", "Python's own"),
        ("Infinity", "Python's own"),
        ("-Infinity", "Python's own"),
        ('{"a":[NaN]}', "deep inside"),
        ("1e400", "overflows to infinity"),
        ("-1e400", "and to minus infinity"),
        ("[1,]", "a trailing comma"),
        ("{'a':1}", "Python quotes"),
        ("{1:1}", "a key that is no string"),
        ("01", "a leading zero"),
        ("+1", "a plus"),
        ("1.", "no digit behind the point"),
        ('"\n"', "a newline in a string"),
        ('"\\x41"', "no such escape"),
        ('"open', "a string without end"),
        ("[1]x", "something behind"),
        ("[1][2]", "two values"),
        ("\uff11", "a full-width one"),
        ("1" * 5000, "more digits than int() takes"),
        ("[" * 100_000, "deep, and never closed"),
        ("[" * 100_000 + "]" * 100_000, "deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "deep in objects"),
    ]
    NOT_FINITE = [math.nan, math.inf, -math.inf]

    def assertNotJson(self, text: str) -> None:
        with self.assertRaises(self.module.PayloadError):
            self.module.decode_json(text)

    def test_text_that_is_no_json_is_a_payload_error(self):
        for text, why in self.NOT_JSON:
            with self.subTest(why):
                self.assertNotJson(text)

    def test_json_is_decoded(self):
        for text in (
            "null",
            "true",
            "0",
            "-0.5",
            "1e3",
            '"x"',
            "[]",
            '{"a":[1,{"b":"é😀"}]}',
            " [1] ",
        ):
            with self.subTest(text):
                self.assertEqual(self.module.decode_json(text), json.loads(text))

    def test_numbers_that_are_not_finite_cannot_be_encoded(self):
        for number in self.NOT_FINITE:
            with self.subTest(number=number), self.assertRaises(ValueError):
                self.module.encode_json(["x", {"a": number}])

    def test_encoded_json_is_compact_and_ascii(self):
        text = self.module.encode_json({"a": [1, "é😀\u2028", True, None, 1.5]})
        self.assertEqual(text, '{"a":[1,"\\u00e9\\ud83d\\ude00\\u2028",true,null,1.5]}')

    def test_half_a_surrogate_pair_is_encoded_as_an_escape(self):
        self.assertEqual(self.module.encode_json(LONE), '"\\ud83d"')
        self.assertEqual(self.module.decode_json('"\\ud83d"'), LONE)

    def test_encoding_a_value_without_json_is_a_type_error(self):
        for value in (b"x", object(), {1, 2}, {(1, 2): 3}, 1j):
            with self.subTest(value=value), self.assertRaises(TypeError):
                self.module.encode_json(value)

    def test_data_that_hold_themselves_are_a_value_error(self):
        circle = []
        circle.append(circle)
        with self.assertRaises(ValueError):
            self.module.encode_json(circle)

    def test_data_nested_too_deep_raise_to_the_caller(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        with self.assertRaises((ValueError, RecursionError)):
            self.module.encode_json(deep)
        # Python would free the lists by recursion, as deep as they are.
        while deep:
            deep = deep.pop()

    def test_a_tuple_is_encoded_as_a_list(self):
        self.assertEqual(self.module.encode_json((1, (2, 3))), "[1,[2,3]]")

    # simplejson alone would make an object of a named tuple, and a list of one with bytes in it.
    def test_a_named_tuple_is_encoded_as_a_list(self):
        point = collections.namedtuple("Point", "x y")
        self.assertEqual(self.module.encode_json(point(1, 2)), "[1,2]")

    def test_a_function_gives_what_is_written_for_values_that_json_lacks(self):
        def default(value):
            if isinstance(value, set):
                return sorted(value)
            return {"at": value.isoformat()}

        codec = self.module.StrictJSON(default)
        moment = datetime.datetime(2026, 1, 2)
        text = '{"at":"2026-01-02T00:00:00"}'
        for value, expected in [
            (moment, text),
            ([moment, 1], f"[{text},1]"),
            ({"a": [{moment}]}, f'{{"a":[[{text}]]}}'),
            ([1, "a", None, True, 1.5], '[1,"a",null,true,1.5]'),
        ]:
            self.assertEqual(codec.encode(value), expected)
            self.assertEqual(self.module.encode_with_attachments(codec, value), (expected, []))
        with self.assertRaisesRegex(
            TypeError, "default has nothing for a value of the type object"
        ):
            codec.encode([object()])
        with self.assertRaises(ValueError):
            self.module.StrictJSON(lambda value: math.nan).encode(moment)

    def test_bytes_in_what_the_function_gives_are_attachments(self):
        class Picture:
            def __init__(self, data):
                self.data = data

        codec = self.module.StrictJSON(lambda picture: {"png": [picture.data]})
        value = [Picture(b"1"), b"2", {"a": Picture(memoryview(b"3"))}]
        text, attachments = self.module.encode_with_attachments(codec, value)
        self.assertEqual(attachments, [b"1", b"2", b"3"])
        self.assertEqual(
            json.loads(text),
            [{"png": [{"_placeholder": True, "num": 0}]}, {"_placeholder": True, "num": 1},
             {"a": {"png": [{"_placeholder": True, "num": 2}]}}],
        )  # fmt: skip

    def test_a_function_that_gives_the_value_itself_or_never_anything_else_is_an_error(self):
        for default, words in [
            (lambda value: value, "has returned the object itself"),
            (lambda value: object(), "nested too deep"),
            (lambda value: [object()], "nested too deep"),
        ]:
            codec = self.module.StrictJSON(default)
            for value in (object(), [object(), b"1"]):
                with self.subTest(words), self.assertRaisesRegex((TypeError, ValueError), words):
                    self.module.encode_with_attachments(codec, value)

    def test_growth_is_linear(self):
        for why, make in (
            ("digits", lambda n: "1" * n),
            ("brackets", lambda n: "[" * n),
            ("quotes", lambda n: '"' * n),
        ):
            with self.subTest(why):
                self.assertGrowsLinearly(self._decode, make)

    def _decode(self, text: str) -> None:
        with contextlib.suppress(self.module.PayloadError):
            self.module.decode_json(text)


class JsonTests(JsonBehaviour, Assertions):
    """JSON with simplejson, where it is installed."""

    module = socket_io


class PlainJsonTests(JsonBehaviour, Assertions):
    """JSON without simplejson, by the standard library alone."""

    module = module_without("simplejson")

    def test_a_decimal_is_a_type_error(self):
        with self.assertRaises(TypeError):
            self.module.encode_json(Decimal("1.10"))


@unittest.skipUnless(socket_io.json_writer.__name__ == "simplejson", "needs simplejson")
class DecimalTests(unittest.TestCase):
    """Decimals, digit for digit, through simplejson."""

    def test_a_decimal_is_a_number_with_all_its_digits(self):
        self.assertEqual(socket_io.encode_json({"price": Decimal("1.10")}), '{"price":1.10}')

    # simplejson 3.19 alone would write any Decimal as str() does; simplejson 4.3 refuses by itself.
    def test_a_decimal_that_is_not_finite_cannot_be_encoded(self):
        for number in ("NaN", "Infinity", "-Infinity", "sNaN"):
            with self.subTest(number), self.assertRaises(ValueError):
                socket_io.encode_json([Decimal(number)])


class ScriptStringTests(unittest.TestCase):
    """Text inside a script: a JavaScript string that nothing in it can end."""

    TEXTS = [
        ("plain", "plain"),
        ("line\u2028line\u2029", "line ends for old JavaScript"),
        ("</script><script>alert(1)</script>", "the end of the block"),
        ("<!--", "the beginning of a comment"),
        (
            'data containing \\"',
            'escaping only the quotes makes \\\\" of it, which ends the string',
        ),
        ('"+alert(1)+"', "quotes"),
        ("'", "the other quotes"),
        ("\\", "a backslash at the end"),
        ("\n\r\t\0", "control characters"),
        ("é😀", "not ASCII"),
        (LONE, "half a pair"),
    ]

    def test_the_script_reads_what_was_written(self):
        for text, why in self.TEXTS:
            with self.subTest(why):
                self.assertEqual(json.loads(script_string(text)), text)

    def test_nothing_in_it_can_end_the_string_or_the_script(self):
        for text, why in self.TEXTS:
            with self.subTest(why):
                self.assertRegex(
                    script_string(text), r'\A"(?:[ !#-;=-\[\]-~]|\\["\\/bfnrt]|\\u[0-9a-f]{4})*"\Z'
                )


# -- 4. Attachments --------------------------------------------------------------------


def placeholder(number) -> dict:
    return {"_placeholder": True, "num": number}


class TakingAttachmentsTests(Assertions):
    """Every bytes-like value leaves a placeholder, in document order.

    [SIO5 "Sending and receiving data"]
    """

    ROWS = [
        ([b"a"], [placeholder(0)], [b"a"], "one"),
        ([b"a", b"b"], [placeholder(0), placeholder(1)], [b"a", b"b"], "in document order"),
        (
            {"x": {"y": [b"a"]}, "z": b"b"},
            {"x": {"y": [placeholder(0)]}, "z": placeholder(1)},
            [b"a", b"b"],
            "nested",
        ),
        (
            [bytearray(b"a"), memoryview(b"b")],
            [placeholder(0), placeholder(1)],
            [b"a", b"b"],
            "all bytes-likes",
        ),
        ([b"a", b"a"], [placeholder(0), placeholder(1)], [b"a", b"a"], "equal ones are sent twice"),
        (
            (b"a", (1, b"b")),
            [placeholder(0), [1, placeholder(1)]],
            [b"a", b"b"],
            "tuples are lists",
        ),
        ([b""], [placeholder(0)], [b""], "an empty one"),
        ([1, "x", None, {"a": []}], [1, "x", None, {"a": []}], [], "none"),
    ]

    def test_placeholders_stand_for_bytes(self):
        for value, expected, attachments, why in self.ROWS:
            with self.subTest(why):
                text, found = encode_with_attachments(STRICT_JSON, value)
                self.assertEqual((json.loads(text), found), (expected, attachments))

    def test_the_data_given_are_left_as_they_were(self):
        given = {"x": [b"a"]}
        encode_with_attachments(STRICT_JSON, given)
        self.assertEqual(given, {"x": [b"a"]})

    def test_an_attachment_is_a_copy_of_its_buffer(self):
        buffer = bytearray(b"before")
        _, attachments = encode_with_attachments(STRICT_JSON, [buffer])
        buffer[:] = b"after!"
        self.assertEqual(attachments, [b"before"])

    def test_a_value_that_cannot_be_json_is_a_type_error_also_beside_bytes(self):
        for value in ([b"a", object()], {b"key": b"value"}, [object()]):
            with self.subTest(value=value), self.assertRaises(TypeError):
                encode_with_attachments(STRICT_JSON, value)


class AssemblerTests(Assertions):
    """Attachments return to their placeholders: each number stands once, and all are used."""

    BAD = [
        ([placeholder(True)], 1, "True is an int to Python"),
        ([placeholder(False)], 1, "and so is False"),
        ([placeholder(0.5)], 1, "node 4.2.7 lets it through"),
        ([placeholder(0.0)], 1, "equal to zero, but no index"),
        ([placeholder("0")], 1, "a string: CVE-2022-2421"),
        ([placeholder("length")], 1, "a property's name: CVE-2022-2421"),
        ([placeholder(None)], 1, "null"),
        ([placeholder([0])], 1, "a list"),
        ([placeholder(-1)], 1, "Python would count from the end"),
        ([placeholder(1)], 1, "behind the last"),
        ([placeholder(10**30)], 1, "far behind the last"),
        ([placeholder(0), placeholder(0)], 1, "one upload, two copies"),
        ([placeholder(0)] * 200, 1, "one upload, 200 copies"),
        ([placeholder(0), placeholder(0)], 2, "twice, while another is unused"),
        ([placeholder(0)], 2, "an attachment without a placeholder"),
        ([], 1, "none at all"),
        ([{"_placeholder": True}], 1, "without a number"),
        ([{"_placeholder": 1, "num": 0}], 1, "1 is not true"),
        ([{"_placeholder": "true", "num": 0}], 1, "nor is a word"),
        ([placeholder(0)], 0, "a placeholder where no attachments are announced"),
    ]

    def assemble(self, data, attachments):
        """Return the data of a packet when all *attachments* are in."""
        assembler, packet = Assembler(Packet(EVENT, "/", data), len(attachments)), None
        for attachment in attachments:
            self.assertIsNone(packet)
            packet = assembler.feed(attachment)
        return (packet or assembler.finish()).data

    def test_bytes_return_to_their_places(self):
        for value, shown, attachments, why in TakingAttachmentsTests.ROWS:
            with self.subTest(why):
                restored = self.assemble(shown, attachments)
                self.assertEqual(
                    encode_with_attachments(STRICT_JSON, restored),
                    encode_with_attachments(STRICT_JSON, value),
                )

    def test_a_packet_shows_itself_only_when_it_is_whole(self):
        assembler = Assembler(Packet(EVENT, "/", ["x", placeholder(1), placeholder(0)], 5), 2)
        self.assertIsNone(assembler.feed(b"a"))
        self.assertEqual(assembler.feed(b"b"), Packet(EVENT, "/", ["x", b"b", b"a"], 5))

    def test_a_bad_placeholder_is_a_payload_error(self):
        for data, count, why in self.BAD:
            with self.subTest(why):
                self.assertPayloadError(self.assemble, ["x", *data], [b"data"] * count)

    def test_text_where_an_attachment_is_due_is_a_payload_error(self):
        assembler = Assembler(Packet(EVENT, "/", ["x", placeholder(0)]), 1)
        for text in ("", "data", '2["x"]'):
            with self.subTest(text):
                self.assertPayloadError(assembler.feed, text)

    def test_placeholders_are_found_however_deep(self):
        self.assertEqual(
            self.assemble([{"a": [{"b": placeholder(0)}]}], [b"x"]), [{"a": [{"b": b"x"}]}]
        )

    def test_data_nested_too_deep_are_a_payload_error(self):
        deep = placeholder(0)
        for _ in range(sys.getrecursionlimit()):
            deep = [deep]
        self.assertPayloadError(self.assemble, deep, [b"x"])


# -- 5. Dialects -----------------------------------------------------------------------


def message(*args, ack_id: int | None = None) -> Packet:
    return Packet(EVENT, "/", ["message", *args], ack_id)


class DialectBehaviour:
    """The behaviour that all dialects share: it proves that their vocabulary is one."""

    dialect: socket_io.Dialect

    TEXTS = [
        "x",
        "",
        "é😀",
        "~m~1~m~x",
        "42[]",
        "a\nb\r\n",
        "\u2028",
        '"\\',
        "\ufffd",
        "\x1e",
        "b",
        "0" * 200_000,
    ]

    def sent(self, packets: list[EnginePacket]) -> list[EnginePacket]:
        """Return the packets that come out of a payload into which *packets* went."""
        return self.dialect.decode_payload(self.dialect.encode_payload(packets))

    def test_the_name_of_a_dialect_finds_it(self):
        self.assertIs(DIALECTS[self.dialect.name], self.dialect)

    def test_a_message_survives_the_trip_in_a_payload(self):
        for text in self.TEXTS:
            with self.subTest(text=text[:20]):
                packets = self.dialect.encode_packet(message(text))
                (packet,) = self.sent(packets)
                self.assertEqual(self.dialect.decode_packet(packet.data), message(text))

    def test_a_message_survives_the_trip_in_a_frame(self):
        for text in self.TEXTS:
            with self.subTest(text=text[:20]):
                (frame,) = self.dialect.encode_frames(self.dialect.encode_packet(message(text)))
                (packet,) = self.dialect.decode_frame(frame, TextMemory())
                self.assertEqual(self.dialect.decode_packet(packet.data), message(text))

    def test_json_data_survive_the_trip(self):
        for value in (
            None,
            True,
            0,
            -1.5,
            [],
            [1, [2]],
            {},
            {"a": {"b": "é"}},
            {"__proto__": 1},
            2**60,
        ):
            with self.subTest(value=value):
                (packet,) = self.dialect.encode_packet(message(value))
                self.assertEqual(self.dialect.decode_packet(packet.data), message(value))

    # The plain text of 0.6 leaves without escapes, and UTF-8 cannot carry half a pair.
    def test_half_a_surrogate_pair_can_be_put_on_every_wire(self):
        packets = self.dialect.encode_packet(message(LONE))
        for frame in self.dialect.encode_frames(packets):
            encode_message(frame)
        for jsonp in ("", "0"):
            self.dialect.encode_poll(packets, jsonp)

    def test_several_messages_keep_their_order(self):
        packets = [packet for text in "abc" for packet in self.dialect.encode_packet(message(text))]
        self.assertEqual(self.sent(packets), packets)

    def test_more_packets_than_allowed_are_a_payload_error(self):
        payload = self.dialect.encode_payload(self.dialect.encode_packet(message("x")) * 5)
        self.assertEqual(len(self.dialect.with_facts(max_packets=5).decode_payload(payload)), 5)
        self.assertPayloadError(self.dialect.with_facts(max_packets=4).decode_payload, payload)

    def test_an_ack_or_its_absence_is_a_fact(self):
        packets = self.dialect.encode_packet(Packet(ACK, "/", ["x"], 3))
        self.assertEqual(bool(packets), self.dialect.has_acks)

    def test_data_that_cannot_be_json_raise_to_the_caller(self):
        for value in (object(), {(1, 2): 3}, math.nan):
            with self.subTest(value=value), self.assertRaises((TypeError, ValueError)):
                self.dialect.encode_packet(message(value))

    def test_the_handshake_is_the_data_of_an_open_packet(self):
        data = self.dialect.handshake("sid", ["websocket"], 25.0, 20.0, 1000)
        self.assertIn("sid", self.dialect.encode_payload([EnginePacket(OPEN, data)]))

    def test_a_poll_is_text_and_a_jsonp_poll_a_script(self):
        self.assertEqual(self.dialect.encode_poll([], "")[0], "text/plain; charset=UTF-8")
        self.assertEqual(self.dialect.encode_poll([], "3")[0], "text/javascript; charset=UTF-8")

    def test_a_script_gives_the_client_the_very_payload(self):
        packets = self.dialect.encode_packet(message('</script>"\\\u2028'))
        script = self.dialect.encode_poll(packets, "3")[1].decode("ascii")
        self.assertNotIn("<", script)
        literal = script[script.index("(") + 1 : script.rindex(")")]
        self.assertEqual(json.loads(literal), self.dialect.encode_payload(packets))

    def test_a_form_without_the_field_is_a_payload_error(self):
        for body in (b"", b"x=1", b"dat=x", b"d2=x", b"&&&"):
            with self.subTest(body=body):
                self.assertPayloadError(self.dialect.decode_post, body, "", True, TextMemory())

    def test_a_post_that_is_no_utf8_is_a_payload_error(self):
        for body in (b"\xff", b"d=%ff&data=%ff"):
            for jsonp in (False, True):
                with self.subTest(body=body, jsonp=jsonp):
                    self.assertPayloadError(self.dialect.decode_post, body, "", jsonp, TextMemory())

    def test_no_refusal_reflects_markup(self):
        for transport in (WEBSOCKET, XHR_POLLING, JSONP_POLLING, ""):
            for refused in (Refused("Transport unknown", 0), Refused("Forbidden", 4, 403)):
                with self.subTest(transport=transport, refused=refused):
                    _, content_type, _ = self.dialect.refusal(
                        refused, transport, "0" * (transport == JSONP_POLLING)
                    )
                    self.assertRegex(
                        content_type, r"^(text/plain|text/javascript|application/json)\b"
                    )


class FormFieldTests(Assertions):
    """The one field of a form that a transport reads."""

    def test_the_field_is_found_among_others(self):
        rows = [
            (b"d=x", "x", "alone"),
            (b"a=1&d=x&b=2", "x", "between others"),
            (b"d=a+b%2Bc", "a b+c", "blanks and plusses"),
            (b"d=%C3%A9%F0%9F%98%80", "é😀", "UTF-8"),
            (b"d=a=b", "a=b", "an equals sign in the value"),
            (b"d=", "", "empty"),
            (b"dd=1&d=2", "2", "a longer name is another name"),
            (b"d=%zz%4", "%zz%4", "what is no escape stays"),
        ]
        for body, value, why in rows:
            with self.subTest(why):
                self.assertEqual(form_field(body, "d"), value)

    def test_growth_is_linear(self):
        for part in (b"&", b"%", b"=", b"+", b"%41", b"d=&"):
            with self.subTest(part=part):
                self.assertGrowsLinearly(
                    lambda body: form_field(body, "x"), lambda count, part=part: part * count
                )
                self.assertGrowsLinearly(
                    lambda body: form_field(body, "d"),
                    lambda count, part=part: b"d=" + part * count,
                )


class SocketIO06CodecTests(DialectBehaviour, Assertions):
    """0.6: `~m~` LENGTH `~m~` MESSAGE, with lengths in UTF-16 code units.  [SIO06]"""

    dialect = DIALECTS["0.6"]

    VECTORS = [
        ("~m~5~m~hello", ["hello"], "text"),
        ('~m~10~m~~j~{"a":1}', [{"a": 1}], "JSON: its mark is counted"),
        ('~m~1~m~x~m~10~m~~j~{"a":1}', ["x", {"a": 1}], "several"),
        ('~m~1~m~x~m~3~m~é😀~m~10~m~~j~{"a":1}', ["x", "é😀", {"a": 1}], "units, not characters"),
        ("~m~0~m~", [""], "the empty message"),
        ("~m~0~m~~m~1~m~x", ["", "x"], "and one behind it"),
        ("~m~8~m~~m~1~m~x", ["~m~1~m~x"], "text that looks like a frame"),
        ("~m~3~m~~m~", ["~m~"], "text that looks like half a frame"),
        ("~m~7~m~~j~[1,2", None, "JSON that is none"),
        ('~m~8~m~~j~"~h~"', ["~h~"], "text that would look like a heartbeat goes as JSON"),
        ('~m~8~m~~j~"~j~"', ["~j~"], "and so does what would look like JSON"),
        ("~m~4~m~~j~5", [5], "a number"),
        ("~m~7~m~~j~null", [None], "null"),
    ]
    ODD = [
        ("", [], "nothing"),
        ("hello", [], "no frame: ends the payload quietly"),
        ("~m~1~m~xjunk", ["x"], "what follows the last frame is not read"),
        ("~m~1~m~x~n~1~m~y", ["x"], "nor what looks almost like one"),
        ("~m~9~m~short", ["short"], "a length beyond the end takes what is there"),
        ("~m~2~m~é~m~", ["é~"], "the length decides, whatever it cuts"),
        ("~m~001~m~x", ["x"], "leading zeros, as Number() reads them"),
    ]
    HOSTILE = [
        ("~m~", "no length"),
        ("~m~5", "cut in the length"),
        ("~m~5~m", "cut behind it"),
        ("~m~~m~x", "an empty length"),
        ("~m~²~m~x", "a digit that is none"),
        ("~m~\uff14~m~abcd", "a full-width one"),
        ("~m~-1~m~x", "a negative length"),
        ("~m~+1~m~x", "a signed one"),
        ("~m~1.0~m~x", "a fraction"),
        ("~m~1234567890~m~x", "ten digits"),
        ("~m~" + "1" * 100_000 + "~m~x", "a hundred thousand"),
        ("~m~1~m~😀", "half an emoji"),
        ("~m~3~m~~h~", "a heartbeat without a number"),
        ("~m~4~m~~h~²", "with a digit that is none"),
        ("~m~5~m~~h~-1", "with a negative one"),
        ("~m~19~m~~h~" + "1" * 16, "with sixteen digits"),
    ]

    def encode(self, *values) -> str:
        packets = [
            packet for value in values for packet in self.dialect.encode_packet(message(value))
        ]
        return self.dialect.encode_payload(packets)

    def decode(self, wire: str) -> list:
        packets = [
            self.dialect.decode_packet(packet.data) for packet in self.dialect.decode_payload(wire)
        ]
        return [packet.data[1] for packet in packets]

    def test_every_vector_is_decoded(self):
        for wire, values, why in self.VECTORS:
            with self.subTest(why):
                if values is None:
                    self.assertPayloadError(self.decode, wire)
                else:
                    self.assertEqual(self.decode(wire), values)

    def test_every_vector_is_encoded(self):
        for wire, values, why in self.VECTORS:
            if values is not None:
                with self.subTest(why):
                    self.assertEqual(self.encode(*values), wire)

    def test_odd_payloads_are_read_as_the_reference_server_reads_them(self):
        for wire, values, why in self.ODD:
            with self.subTest(why):
                self.assertEqual(self.decode(wire), values)

    def test_hostile_payloads_are_payload_errors(self):
        for wire, why in self.HOSTILE:
            with self.subTest(why):
                self.assertPayloadError(self.decode, wire)

    def test_growth_is_linear(self):
        for part in ("~m~", "~m~0~m~", "~m~1~m~x", "~m~1~m~é", "~m~9~m~", "~", "~m~1", "😀"):
            with self.subTest(part):
                self.assertGrowsLinearly(
                    self.dialect.with_facts(max_packets=ENOUGH).decode_payload,
                    lambda n, part=part: part * n,
                    size=4_000,
                )

    def test_a_json_message_is_ascii_on_the_wire(self):
        self.assertEqual(self.encode({"a": "é😀"}), '~m~29~m~~j~{"a":"\\u00e9\\ud83d\\ude00"}')

    def test_the_first_message_is_the_sid(self):
        wire = self.dialect.encode_payload(
            [EnginePacket(OPEN, self.dialect.handshake("9482710293847561", [], 10, 8, 0))]
        )
        self.assertEqual(wire, "~m~16~m~9482710293847561")

    def test_a_heartbeat_goes_out_as_a_ping_and_comes_back_as_a_pong(self):
        self.assertEqual(self.dialect.encode_payload([EnginePacket(PING, "1")]), "~m~4~m~~h~1")
        self.assertEqual(self.dialect.decode_payload("~m~4~m~~h~1"), [EnginePacket(PONG, "1")])

    def test_messages_behind_a_heartbeat_are_read_too(self):
        packets = self.dialect.decode_payload("~m~4~m~~h~1~m~1~m~x")
        self.assertEqual(packets, [EnginePacket(PONG, "1"), EnginePacket(MESSAGE, "x")])

    def test_one_frame_may_hold_several_messages(self):
        packets = self.dialect.decode_frame("~m~1~m~x~m~1~m~y", TextMemory())
        self.assertEqual([packet.data for packet in packets], ["x", "y"])

    def test_several_messages_leave_in_one_frame(self):
        packets = [EnginePacket(MESSAGE, "x"), EnginePacket(MESSAGE, "y")]
        self.assertEqual(self.dialect.encode_frames(packets), ["~m~1~m~x~m~1~m~y"])

    def test_a_binary_frame_is_a_payload_error(self):
        self.assertPayloadError(self.dialect.decode_frame, b"~m~1~m~x", TextMemory())

    def test_close_and_noop_have_no_form_in_06(self):
        for kind in (CLOSE, NOOP):
            with self.subTest(kind):
                self.assertEqual(self.dialect.encode_frames([EnginePacket(kind)]), [])
                self.assertEqual(self.dialect.encode_poll([EnginePacket(kind)], "")[1], b"")

    def test_packets_other_than_events_have_no_form_in_06(self):
        for kind in (CONNECT, DISCONNECT, CONNECT_ERROR, ACK):
            with self.subTest(kind):
                self.assertEqual(self.dialect.encode_packet(Packet(kind, "/", None)), [])

    def test_an_event_is_a_json_message(self):
        (packet,) = self.dialect.encode_packet(Packet(EVENT, "/", ["news", 1, "é"]))
        self.assertEqual(packet.data, '~j~{"name":"news","args":[1,"\\u00e9"]}')

    def test_a_message_of_no_or_several_arguments_is_a_json_message(self):
        for args in ([], ["a", "b"]):
            with self.subTest(args=args):
                (packet,) = self.dialect.encode_packet(message(*args))
                self.assertEqual(json.loads(packet.data[3:]), {"name": "message", "args": args})

    def test_bytes_are_not_supported(self):
        for value in (b"x", bytearray(b"x"), {"a": [memoryview(b"x")]}, [b""]):
            with self.subTest(value=value), self.assertRaises(NotSupported):
                self.dialect.encode_packet(message(value))

    def test_a_post_is_the_form_field_data(self):
        body = b"data=" + quote_plus("~m~3~m~é😀").encode()
        self.assertEqual(
            self.dialect.decode_post(body, "", False, TextMemory()), [EnginePacket(MESSAGE, "é😀")]
        )

    def test_a_jsonp_post_has_its_newlines_back_before_it_is_counted(self):
        body = b"data=" + quote_plus("~m~3~m~a\r\nb~m~1~m~x").encode()
        packets = self.dialect.decode_post(body, "", True, TextMemory())
        self.assertEqual([packet.data for packet in packets], ["a\nb", "x"])

    def test_an_xhr_post_keeps_its_newlines(self):
        body = b"data=" + quote_plus("~m~4~m~a\r\nb").encode()
        self.assertEqual(
            self.dialect.decode_post(body, "", False, TextMemory()),
            [EnginePacket(MESSAGE, "a\r\nb")],
        )

    def test_an_idle_poll_ends_empty(self):
        self.assertEqual(self.dialect.encode_poll([], ""), ("text/plain; charset=UTF-8", b""))
        self.assertEqual(
            self.dialect.encode_poll([], "3"),
            ("text/javascript; charset=UTF-8", b'io.JSONP[3]._("");'),
        )

    def test_a_jsonp_payload_is_a_call_of_the_clients_callback(self):
        self.assertEqual(self.dialect.call_script("12", 'a"'), 'io.JSONP[12]._("a\\"");')

    def test_a_part_of_a_multipart_stream(self):
        part = self.dialect.stream_part(XHR_MULTIPART, [EnginePacket(MESSAGE, "é")])
        self.assertEqual(part, "Content-Type: text/plain\n\n~m~1~m~é\n--socketio\n".encode())

    def test_a_part_of_an_html_file(self):
        part = self.dialect.stream_part(HTMLFILE, [EnginePacket(MESSAGE, "</script>")])
        self.assertEqual(part, b'<script>parent.s._("~m~9~m~\\u003c/script>", document);</script>')

    def test_refusals_are_told_in_the_words_of_06(self):
        rows = [
            (
                Refused("Forbidden", 4, 403),
                JSONP_POLLING,
                "0",
                200,
                b"alert('Cross domain security restrictions not met');",
            ),
            (Refused("Forbidden", 4, 403), XHR_POLLING, "", 401, b"unauthorized"),
            (Refused("Forbidden", 4, 403), WEBSOCKET, "", 403, b"Forbidden"),
            (Refused("Session ID unknown", 1), XHR_POLLING, "", 400, b"Session ID unknown"),
            (Refused("Session ID unknown", 1), XHR_MULTIPART, "", 400, b"Session ID unknown"),
        ]
        for refused, transport, jsonp, status, body in rows:
            with self.subTest(refused=refused, transport=transport):
                answered, _, said = self.dialect.refusal(refused, transport, jsonp)
                self.assertEqual((answered, said), (status, body))

    def test_the_heartbeat_is_never_slower_than_a_06_client_expects(self):
        rows = [
            ((25.0, 20.0), (10.0, 8.0), "longer options"),
            ((3.0, 2.0), (3.0, 2.0), "shorter ones"),
        ]
        for options, expected, why in rows:
            with self.subTest(why):
                self.assertEqual(self.dialect.heartbeat(*options), expected)

    def test_a_06_client_believes_that_its_id_is_the_sid(self):
        self.assertEqual(self.dialect.client_id("the sid", "/"), "the sid")


def client_form_text(text: str) -> str:
    """Return the text that the JSONP client of engine.io puts into a form for a payload.

    data.replace(/\\\\n/g, "\\\\\\n") and then .replace(/\\n/g, "\\\\n"), in its own words.
    """
    return text.replace("\\n", "\\\n").replace("\n", "\\n")


class EngineIO4CodecTests(DialectBehaviour, Assertions):
    """Revision 4: one digit, then data; U+001E between the packets of a payload.  [EIO4] [SIO5]"""

    dialect = DIALECTS["EIO4"]

    PAYLOADS = [
        (
            '42["a"]\x1e42["b"]',
            [EnginePacket(MESSAGE, '2["a"]'), EnginePacket(MESSAGE, '2["b"]')],
            "two messages",
        ),
        ("2", [EnginePacket(PING)], "a ping"),
        ("3", [EnginePacket(PONG)], "a pong"),
        ("2probe", [EnginePacket(PING, "probe")], "the probe"),
        ("1", [EnginePacket(CLOSE)], "the goodbye"),
        ("5", [EnginePacket(UPGRADE)], "the upgrade"),
        ("6", [EnginePacket(NOOP)], "nothing to say"),
        ("4", [EnginePacket(MESSAGE)], "an empty message"),
        ("4é😀", [EnginePacket(MESSAGE, "é😀")], "no lengths, nothing to count"),
        ("bAQL/", [EnginePacket(MESSAGE, b"\x01\x02\xff")], "binary, without a type digit"),
        ("b", [EnginePacket(MESSAGE, b"")], "empty binary"),
        (
            '451-["b",{"_placeholder":true,"num":0},"é"]\x1ebAQL/',
            [
                EnginePacket(MESSAGE, '51-["b",{"_placeholder":true,"num":0},"é"]'),
                EnginePacket(MESSAGE, b"\x01\x02\xff"),
            ],
            "the vector of all revisions",
        ),
    ]
    BAD_PAYLOADS = [
        ("", "empty"),
        ("\x1e", "a separator and nothing else"),
        ("4a\x1e", "nothing behind the separator"),
        ("\x1e4a", "nothing before it"),
        ("4a\x1e\x1e4b", "nothing between two"),
        ("7", "no such type"),
        ("x", "no digit"),
        ("²", "a digit that is none"),
        ("\uff14[]", "a full-width four"),
        ("hello", "text"),
        ("b=", "bad base64"),
        ("bAQ_-", "base64 for URLs"),
        ("b4AQL/é", "not ASCII"),
    ]
    PACKETS = [
        ("0", Packet(CONNECT), "joining the root"),
        ("0/admin,", Packet(CONNECT, "/admin"), "joining another"),
        ("0/admin", Packet(CONNECT, "/admin"), "without its comma"),
        ('0/admin,{"token":"x"}', Packet(CONNECT, "/admin", {"token": "x"}), "with auth"),
        ('0{"token":"x"}', Packet(CONNECT, "/", {"token": "x"}), "auth for the root"),
        ("0/admin?x=1,", Packet(CONNECT, "/admin?x=1"), "a query is part of the name, as in node"),
        ("0/é😀,", Packet(CONNECT, "/é😀"), "any name"),
        ("1", Packet(DISCONNECT), "leaving"),
        ("1/admin,", Packet(DISCONNECT, "/admin"), "leaving another"),
        ('2["x"]', Packet(EVENT, "/", ["x"]), "an event"),
        (
            '2["x",{"a":[]},"é😀\\u2028",null]',
            Packet(EVENT, "/", ["x", {"a": []}, "é😀\u2028", None]),
            "with arguments",
        ),
        (
            '2/chat,12["x",{"a":[]}]',
            Packet(EVENT, "/chat", ["x", {"a": []}], 12),
            "the protocol's own example",
        ),
        ('20["x"]', Packet(EVENT, "/", ["x"], 0), "ack id 0 is an ack id"),
        ('2999999999999999["x"]', Packet(EVENT, "/", ["x"], 10**15 - 1), "fifteen digits"),
        ('2["__proto__"]', Packet(EVENT, "/", ["__proto__"]), "an ordinary name to us"),
        ('2[""]', Packet(EVENT, "/", [""]), "even the empty name"),
        (
            '2["x",{"_placeholder":true,"num":0}]',
            Packet(EVENT, "/", ["x", placeholder(0)]),
            "no attachments, no meaning",
        ),
        ('3/chat,12["ok"]', Packet(ACK, "/chat", ["ok"], 12), "an ack"),
        ("312[]", Packet(ACK, "/", [], 12), "an ack of nothing"),
        ('50-["x"]', Packet(EVENT, "/", ["x"]), "no attachments: complete at once"),
        ("60-1[]", Packet(ACK, "/", [], 1), "an ack of that kind"),
        ("2", Packet(EVENT, "/", []), "an event without data, which nobody hears in node either"),
        ("212", Packet(EVENT, "/", [], 12), "that would like an ack"),
        ("2/chat,", Packet(EVENT, "/chat", []), "in a namespace"),
        (
            '2/chat["x"]',
            Packet(EVENT, '/chat["x"]', []),
            "a name without its comma swallows the rest",
        ),
        ("50-", Packet(EVENT, "/", []), "as a binary one"),
        ("312", Packet(ACK, "/", [], 12), "an ack without data is one without arguments"),
        ("3/chat,0", Packet(ACK, "/chat", [], 0), "in a namespace"),
        ("60-1", Packet(ACK, "/", [], 1), "as a binary one"),
    ]
    BAD_PACKETS = [
        ("", "empty"),
        ("7", "no such type"),
        ("x", "no digit"),
        ("²[]", "a digit that is none"),
        ("\uff12[]", "a full-width two"),
        # CONNECT
        ("0[]", "CONNECT with a list"),
        ('0"x"', "with a string"),
        ("0true", "with true"),
        ("0{", "with half an object"),
        ('0/admin,"x"', "another, with a string"),
        ("0 ", "with a blank"),
        # DISCONNECT
        ("1{}", "DISCONNECT with data"),
        # EVENT
        ("2[]", "EVENT with no name"),
        ("2{}", "with an object"),
        ('2"x"', "with a string"),
        ("2null", "with null"),
        ("2[null]", "a name that is null"),
        ("2[true]", "a boolean"),
        ("2[7.5]", "a fraction"),
        ("2[9007199254740993]", "an integer that JavaScript cannot tell from its neighbour"),
        ("2[-9007199254740993]", "another, below zero"),
        ('2[["x"]]', "a list"),
        ('2[{"toString":1}]', "an object: CVE-2023-32695"),
        ('2["x"', "half a list"),
        ('2["x"]]', "more than a list"),
        ('2["x",NaN]', "NaN"),
        ('2["x",1e400]', "a number that overflows"),
        ("2" + "[" * 100_000, "a hundred thousand brackets"),
        ('2chat,["x"]', "a namespace without its slash"),
        ('21-["x"]', "a number of attachments where none can be"),
        ('2-1["x"]', "a negative ack id"),
        ('2²["x"]', "an ack id that is none"),
        ('2\u0661["x"]', "an Arabic one"),
        ('21000000000000000["x"]', "sixteen digits: 2**53 is near"),
        ("2" + "1" * 100_000 + '["x"]', "a hundred thousand"),
        # ACK
        ("3", "ACK without anything"),
        ("3[]", "without an id"),
        ("312{}", "with an object"),
        ('312"x"', "with a string"),
        ("31-12[]", "with attachments it cannot have"),
        # CONNECT_ERROR
        ("4[]", "CONNECT_ERROR with a list"),
        ('4"x"', "with a string"),
        # BINARY
        ('5["x"]', "binary, and no count"),
        ('51["x"]', "a count without its dash is an ack id"),
        ('5-["x"]', "a dash without its count"),
        ('5²-["x"]', "a count that is none"),
        ('5\uff11-["x"]', "a full-width one"),
        ('5-1-["x"]', "a negative one"),
        ('511-["x"]', "eleven attachments, one over the limit"),
        ('59999999999-["x"]', "ten digits"),
        ("5" + "1" * 100_000 + '-["x"]', "a hundred thousand"),
        ("51-", "no data"),
        ("51-[]", "no name"),
        ("51-[{}]", "a name that is an object"),
        ('51-[{"_placeholder":true,"num":0}]', "a name that is an attachment"),
        ('50-["x",{"_placeholder":true,"num":0}]', "a placeholder for nothing"),
        ("6[]", "binary ack, and no count"),
        ("61-[]", "without an id"),
        ("61-1{}", "with an object"),
    ]
    ENCODED = [
        (Packet(CONNECT, "/", {"sid": "S"}), ['40{"sid":"S"}'], "the answer to CONNECT"),
        (Packet(CONNECT, "/admin", {"sid": "S"}), ['40/admin,{"sid":"S"}'], "of another namespace"),
        (
            Packet(CONNECT_ERROR, "/", {"message": "no", "data": {}}),
            ['44{"message":"no","data":{}}'],
            "a refusal",
        ),
        (
            Packet(CONNECT_ERROR, "/zz", {"message": "no"}),
            ['44/zz,{"message":"no"}'],
            "of another namespace",
        ),
        (Packet(DISCONNECT), ["41"], "goodbye"),
        (Packet(DISCONNECT, "/admin"), ["41/admin,"], "to another namespace"),
        (Packet(EVENT, "/", ["x"]), ['42["x"]'], "an event"),
        (
            Packet(EVENT, "/chat", ["x", {"a": []}], 12),
            ['42/chat,12["x",{"a":[]}]'],
            "the protocol's example",
        ),
        (Packet(EVENT, "/", ["x"], 0), ['420["x"]'], "ack id 0"),
        (Packet(EVENT, "/", ["é😀\u2028"]), ['42["\\u00e9\\ud83d\\ude00\\u2028"]'], "ASCII only"),
        (Packet(ACK, "/", ["ok"], 12), ['4312["ok"]'], "an ack"),
        (Packet(ACK, "/chat", [], 12), ["43/chat,12[]"], "of nothing"),
        (
            Packet(EVENT, "/", ["b", b"\x01\x02\xff", "x"]),
            ['451-["b",{"_placeholder":true,"num":0},"x"]', b"\x01\x02\xff"],
            "an attachment",
        ),
        (
            Packet(EVENT, "/chat", ["b", b"1", [b"2"]], 7),
            [
                '452-/chat,7["b",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]',
                b"1",
                b"2",
            ],
            "two, with everything",
        ),
        (
            Packet(ACK, "/", [b"\x01"], 12),
            ['461-12[{"_placeholder":true,"num":0}]', b"\x01"],
            "an ack with one",
        ),
    ]

    def test_every_payload_is_decoded(self):
        for wire, packets, why in self.PAYLOADS:
            with self.subTest(why):
                self.assertEqual(self.dialect.decode_payload(wire), packets)

    def test_every_payload_is_encoded(self):
        for wire, packets, why in self.PAYLOADS:
            with self.subTest(why):
                self.assertEqual(self.dialect.encode_payload(packets), wire)

    def test_bad_payloads_are_payload_errors(self):
        for wire, why in self.BAD_PAYLOADS:
            with self.subTest(why):
                self.assertPayloadError(self.dialect.decode_payload, wire)

    def test_every_packet_is_decoded(self):
        for wire, packet, why in self.PACKETS:
            with self.subTest(why):
                self.assertEqual(self.dialect.decode_packet(wire), packet)

    def test_bad_packets_are_payload_errors(self):
        for wire, why in self.BAD_PACKETS:
            with self.subTest(why):
                self.assertPayloadError(self.dialect.decode_packet, wire)

    # JSON null becomes None in Python, which also stands for no data at all.
    def test_null_in_place_of_no_data_is_a_payload_error(self):
        for wire in ("0null", "0/admin,null", "1null", "1/admin,null"):
            with self.subTest(wire):
                self.assertPayloadError(self.dialect.decode_packet, wire)

    def test_reserved_names_are_payload_errors(self):
        for name, head in itertools.product(
            sorted(RESERVED_EVENTS), ("2", "2/chat,", "21", "50-", "51-")
        ):
            with self.subTest(name, head=head):
                self.assertPayloadError(
                    self.dialect.decode_packet, head + json.dumps([name, {"sid": 1}])
                )

    def test_every_packet_is_encoded_in_frames(self):
        for packet, frames, why in self.ENCODED:
            with self.subTest(why):
                self.assertEqual(
                    self.dialect.encode_frames(self.dialect.encode_packet(packet)), frames
                )

    def test_every_packet_is_encoded_in_a_payload(self):
        for packet, frames, why in self.ENCODED:
            with self.subTest(why):
                texts = [
                    frame if isinstance(frame, str) else "b" + encode_base64(frame)
                    for frame in frames
                ]
                self.assertEqual(
                    self.dialect.encode_payload(self.dialect.encode_packet(packet)),
                    "\x1e".join(texts),
                )

    def test_a_binary_packet_waits_for_as_many_attachments_as_it_announced(self):
        two = '52-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'
        assembler = self.dialect.decode_packet(two)
        self.assertIsNone(assembler.feed(b"a"))
        self.assertEqual(assembler.feed(b"b"), Packet(EVENT, "/", ["x", b"b", b"a"]))

    def test_a_count_that_does_not_match_is_a_payload_error(self):
        one, two = (
            json.dumps(["x", placeholder(0)]),
            json.dumps(["x", placeholder(0), placeholder(1)]),
        )
        for head, body, why in (
            ("52-", one, "too many"),
            ("51-", two, "too few"),
            ("51-", '["x"]', "none wanted"),
        ):
            with self.subTest(why):
                assembler = self.dialect.decode_packet(head + body)
                self.assertPayloadError(
                    lambda assembler=assembler: [assembler.feed(b"a"), assembler.feed(b"b")]
                )

    def test_the_limit_of_attachments_is_the_applications(self):
        packet = '5{}-["x"]'.format
        self.assertIsInstance(
            self.dialect.with_facts(max_attachments=3).decode_packet(packet(3)), Assembler
        )
        self.assertPayloadError(self.dialect.with_facts(max_attachments=3).decode_packet, packet(4))

    def test_an_attachment_that_nobody_announced_is_a_payload_error(self):
        self.assertPayloadError(self.dialect.decode_packet, b"data")

    def test_a_frame_is_one_packet(self):
        self.assertEqual(
            self.dialect.decode_frame('42["a"]\x1e42', TextMemory()),
            [EnginePacket(MESSAGE, '2["a"]\x1e42')],
        )

    def test_a_binary_frame_is_the_bytes_and_nothing_else(self):
        for data in (b"\x04\x01", b"", b"4"):
            with self.subTest(data=data):
                self.assertEqual(
                    self.dialect.decode_frame(data, TextMemory()), [EnginePacket(MESSAGE, data)]
                )
                self.assertEqual(self.dialect.encode_frames([EnginePacket(MESSAGE, data)]), [data])

    def test_a_text_frame_of_base64_is_an_attachment_too(self):
        self.assertEqual(
            self.dialect.decode_frame("bAQL/\n", TextMemory()),
            [EnginePacket(MESSAGE, b"\x01\x02\xff")],
        )

    def test_a_frame_of_no_known_type_is_a_payload_error(self):
        for frame in ("", "7", "x", "²", "\uff14", "B", "bA"):
            with self.subTest(frame):
                self.assertPayloadError(self.dialect.decode_frame, frame, TextMemory())

    def test_the_open_packet_tells_sid_upgrades_times_and_limit(self):
        data = self.dialect.handshake("S", ["websocket"], 25.0, 20.0, 1_000_000)
        expected = '0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
        self.assertEqual(self.dialect.encode_payload([EnginePacket(OPEN, data)]), expected)

    def test_the_open_packet_tells_whole_milliseconds(self):
        data = json.loads(self.dialect.handshake("S", [], 0.3, 1.1, 1))
        self.assertEqual((data["pingInterval"], data["pingTimeout"]), (300, 1100))

    def test_a_post_is_a_payload(self):
        for content_type in ("text/plain;charset=UTF-8", "", "application/xml"):
            with self.subTest(content_type):
                packets = self.dialect.decode_post(
                    '42["é"]\x1e3'.encode(), content_type, False, TextMemory()
                )
                self.assertEqual(packets, [EnginePacket(MESSAGE, '2["é"]'), EnginePacket(PONG)])

    def test_a_binary_payload_is_a_payload_error(self):
        for content_type in ("application/octet-stream", "application/octet-stream; x=y"):
            with self.subTest(content_type):
                self.assertPayloadError(
                    self.dialect.decode_post, b"4x", content_type, False, TextMemory()
                )

    def test_more_packets_than_allowed_are_refused_before_any_is_decoded(self):
        with mock.patch.object(EngineIO4, "decode_engine_packet") as decode:
            self.assertPayloadError(self.dialect.decode_payload, "4\x1e" * 1_000_000)
        decode.assert_not_called()

    def test_growth_is_linear(self):
        decode_payload = self.dialect.with_facts(max_packets=ENOUGH).decode_payload
        for part in ("\x1e", "2\x1e", "b\x1e", ":", "b" + "=" * 9, "bAAAA"):
            with self.subTest(part):
                self.assertGrowsLinearly(decode_payload, lambda n, part=part: part * n)
        for start, part in (
            ("2", "1"),
            ("5", "1"),
            ("5", "1-"),
            ("2/", "a"),
            ("2/", ","),
            ("2", "/"),
            ("2", ":"),
            ("0/", "/"),
        ):
            with self.subTest(start, part=part):
                self.assertGrowsLinearly(
                    self.dialect.decode_packet, lambda n, start=start, part=part: start + part * n
                )

    def test_a_jsonp_payload_is_a_call_of_the_clients_callback(self):
        self.assertEqual(
            self.dialect.encode_poll([EnginePacket(MESSAGE, "0")], "4")[1], b'___eio[4]("40");'
        )

    def test_data_with_an_escaped_quote_survive_in_a_script(self):
        packets = self.dialect.encode_packet(Packet(EVENT, "/", ["x", 'a "quote"']))
        script = self.dialect.encode_poll(packets, "0")[1].decode()
        self.assertEqual(script, r'___eio[0]("42[\"x\",\"a \\\"quote\\\"\"]");')

    def test_refusals_are_told_in_json_and_to_websockets_in_text(self):
        rows = [
            (Refused("Transport unknown", 0), "", 400, '{"code":0,"message":"Transport unknown"}'),
            (
                Refused("Session ID unknown", 1),
                XHR_POLLING,
                400,
                '{"code":1,"message":"Session ID unknown"}',
            ),
            (
                Refused("Bad handshake method", 2),
                XHR_POLLING,
                400,
                '{"code":2,"message":"Bad handshake method"}',
            ),
            (Refused("Bad request"), JSONP_POLLING, 400, '{"code":3,"message":"Bad request"}'),
            (Refused("Forbidden", 4, 403), XHR_POLLING, 403, '{"code":4,"message":"Forbidden"}'),
            (Refused("Bad request"), WEBSOCKET, 400, "Bad request"),
        ]
        for refused, transport, status, body in rows:
            with self.subTest(body):
                answered, _, said = self.dialect.refusal(refused, transport, "")
                self.assertEqual((answered, said.decode()), (status, body))

    def test_the_heartbeat_has_the_times_of_the_options(self):
        self.assertEqual(self.dialect.heartbeat(25.0, 20.0), (25.0, 20.0))

    def test_the_client_is_told_its_id_by_connect(self):
        self.assertIsNone(self.dialect.client_id("the sid", "/"))


class JsonpNewlineTests(Assertions):
    """The JSONP client hides newlines from the browser's form, and the server finds them again."""

    ROWS = [
        ("plain", "plain", "nothing to hide"),
        ("a\nb", r"a\nb", "a newline becomes backslash and n"),
        (r"a\nb", r"a\\nb", "a backslash and an n become two backslashes and an n"),
        (r"a\\nb", r"a\\\nb", "an escaped backslash before an n, as JSON has it"),
        ("\n\n", r"\n\n", "two newlines"),
        (r"\n\n", r"\\n\\n", "two of the others"),
        ("\\n\n", r"\\n\n", "one of each"),
        ("\n\\n", r"\n\\n", "the other way round"),
        ("\\", "\\", "a backslash alone"),
        (r"\"", r"\"", "a quote in JSON"),
        (r"\t", r"\t", "another escape"),
        ("é😀\n", "é😀\\n", "not ASCII"),
    ]
    unescape = staticmethod(EngineIO4.unescape_newlines)

    def test_the_jsonp_client_hides_newlines_like_this(self):
        for text, sent, why in self.ROWS:
            with self.subTest(why):
                self.assertEqual(client_form_text(text), sent)

    def test_newlines_that_the_jsonp_client_hid_are_found_again(self):
        for text, sent, why in self.ROWS:
            with self.subTest(why):
                self.assertEqual(self.unescape(sent), text)

    def test_every_json_string_survives_the_form(self):
        for letters in itertools.product('\\n"\n', repeat=5):
            text = json.dumps("".join(letters))
            with self.subTest(text):
                self.assertEqual(self.unescape(client_form_text(text)), text)

    def test_a_whole_post_survives_the_form(self):
        payload = "4" + '2["x","two\\nlines, \\\\n, a \\"quote\\" & é😀+%"]' + "\x1e3"
        body = b"d=" + quote_plus(client_form_text(payload)).encode()
        packets = DIALECTS["EIO4"].decode_post(
            body, "application/x-www-form-urlencoded", True, TextMemory()
        )
        self.assertEqual(DIALECTS["EIO4"].encode_payload(packets), payload)

    def test_growth_is_linear(self):
        for part in ("\\", "\\n", "\\\\n", "n", "\n"):
            with self.subTest(part):
                self.assertGrowsLinearly(self.unescape, lambda n, part=part: part * n)


# -- 6. Frames -------------------------------------------------------------------------

MASK = b"\x12\x34\x56\x78"


def client_frame(
    opcode: int,
    payload: bytes = b"",
    final: bool = True,
    rsv: int = 0,
    form: int = 0,
    mask: bytes = MASK,
) -> bytes:
    """Return a frame as clients send it; *form* 126 or 127 forces a longer length than is needed."""
    first = 0x80 * final | rsv | opcode
    size = len(payload)
    form = form or (size if size < 126 else 126 if size < 65536 else 127)
    length = b"" if form < 126 else size.to_bytes(2 if form == 126 else 8, "big")
    if not mask:
        return bytes([first, form]) + length + payload
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([first, 0x80 | form]) + length + mask + masked


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


class FrameAssertions(Assertions):
    def fed(self, *chunks: bytes, max_bytes: int = 1_000_000) -> list:
        """Return every message in *chunks*."""
        parser = FrameParser(max_bytes)
        return [message for chunk in chunks for message in parser.feed(chunk)]

    def assertFrameError(self, code: int, *chunks: bytes, max_bytes: int = 1_000_000) -> None:
        with self.assertRaises(FrameError) as caught:
            self.fed(*chunks, max_bytes=max_bytes)
        self.assertEqual(caught.exception.code, code)


class FrameTests(FrameAssertions):
    """A client's bytes go in, messages come out.  [RFC6455 "Base Framing Protocol"]"""

    SIZES = [
        (0, "empty"),
        (1, "one byte"),
        (3, "less than a mask"),
        (4, "just a mask"),
        (125, "the last with seven bits"),
        (126, "the first with sixteen"),
        (127, "not what the form 127 means"),
        (65535, "the last with sixteen"),
        (65536, "the first with sixty-four"),
        (200_000, "long"),
    ]

    def test_every_length_form_is_read(self):
        for size, why in self.SIZES:
            with self.subTest(why):
                data = bytes(index & 0x7F for index in range(size))
                self.assertEqual(self.fed(client_frame(TEXT_FRAME, data)), [data.decode()])
                self.assertEqual(self.fed(client_frame(BINARY_FRAME, data)), [data])

    def test_every_length_form_is_written(self):
        for size, why in self.SIZES:
            with self.subTest(why):
                data = bytes(size)
                self.assertEqual(
                    encode_frame(BINARY_FRAME, data), client_frame(BINARY_FRAME, data, mask=b"")
                )

    def test_messages_are_written_by_their_type(self):
        self.assertEqual(encode_message("é"), b"\x81\x02\xc3\xa9")
        self.assertEqual(encode_message(b"\x01"), b"\x82\x01\x01")

    def test_the_example_frames_of_the_rfc_are_read(self):
        rows = [
            ("818537fa213d7f9f4d5158", ["Hello"], "a masked text message"),
            ("018337fa213d7f9f4d" + "8082000000006c6f", ["Hello"], "in two fragments"),
            (
                "898537fa213d7f9f4d5158",
                [Control(PING_FRAME, b"Hello")],
                "a ping with the same body",
            ),
            ("8a8537fa213d7f9f4d5158", [Control(PONG_FRAME, b"Hello")], "its pong"),
        ]
        for stream, messages, why in rows:
            with self.subTest(why):
                self.assertEqual(self.fed(bytes.fromhex(stream)), messages)

    def test_a_frame_may_have_any_mask(self):
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\x01"):
            with self.subTest(mask=mask):
                self.assertEqual(self.fed(client_frame(TEXT_FRAME, b"hello", mask=mask)), ["hello"])

    def test_several_messages_of_one_read_come_in_order(self):
        frames = [client_frame(TEXT_FRAME, text.encode()) for text in ("a", "", "é" * 100, "b")]
        self.assertEqual(self.fed(b"".join(frames)), ["a", "", "é" * 100, "b"])

    def test_messages_before_a_fault_are_given(self):
        messages = FrameParser(1000).feed(client_frame(TEXT_FRAME, b"good") + client_frame(3))
        self.assertEqual(next(messages), "good")
        with self.assertRaises(FrameError):
            next(messages)

    def test_nothing_is_given_before_its_frame_is_whole(self):
        frame = client_frame(TEXT_FRAME, b"hello")
        self.assertEqual(self.fed(frame[:-1]), [])


class CutFrameTests(FrameAssertions):
    """The network may cut a stream anywhere: the messages are the same."""

    STREAM = b"".join(
        [
            client_frame(TEXT_FRAME, "hé😀".encode()),
            client_frame(TEXT_FRAME, b""),
            client_frame(TEXT_FRAME, "h😀"[:1].encode() + b"\xf0\x9f", final=False),
            client_frame(PING_FRAME, b"are you there?"),
            client_frame(0, b"\x98", final=False),
            client_frame(0, b"", final=False),
            client_frame(PONG_FRAME),
            client_frame(0, b"\x80!"),
            client_frame(BINARY_FRAME, bytes(range(130))),
            client_frame(TEXT_FRAME, b"short"),
            client_frame(CLOSE_FRAME, close_payload(1000, "tschüß".encode())),
        ]
    )
    MESSAGES = [
        "hé😀",
        "",
        Control(PING_FRAME, b"are you there?"),
        Control(PONG_FRAME),
        "h😀!",
        bytes(range(130)),
        "short",
        Control(CLOSE_FRAME, "tschüß".encode(), 1000),
    ]

    def test_a_stream_in_one_read_gives_every_message(self):
        self.assertEqual(self.fed(self.STREAM), self.MESSAGES)

    def test_a_stream_cut_at_any_byte_gives_every_message(self):
        for cut in range(len(self.STREAM) + 1):
            with self.subTest(cut=cut):
                self.assertEqual(self.fed(self.STREAM[:cut], self.STREAM[cut:]), self.MESSAGES)

    def test_a_stream_cut_into_small_pieces_gives_every_message(self):
        for size in range(1, 20):
            with self.subTest(size=size):
                pieces = [
                    self.STREAM[start : start + size] for start in range(0, len(self.STREAM), size)
                ]
                self.assertEqual(self.fed(*pieces), self.MESSAGES)

    def test_a_long_frame_cut_in_its_header_is_read(self):
        frame = client_frame(BINARY_FRAME, bytes(70_000)) + client_frame(TEXT_FRAME, b"next")
        for cut in range(16):
            with self.subTest(cut=cut):
                self.assertEqual(self.fed(frame[:cut], frame[cut:]), [bytes(70_000), "next"])

    def test_empty_reads_change_nothing(self):
        half = len(self.STREAM) // 2
        self.assertEqual(
            self.fed(b"", self.STREAM[:half], b"", b"", self.STREAM[half:], b""), self.MESSAGES
        )

    def test_each_message_comes_with_its_last_byte(self):
        parser, places = FrameParser(1000), []
        for place in range(len(self.STREAM)):
            places += [place for _ in parser.feed(self.STREAM[place : place + 1])]
        self.assertEqual((len(places), places[0], places[-1]), (8, 12, len(self.STREAM) - 1))


class FragmentTests(FrameAssertions):
    """A message comes in fragments, control frames between them.  [RFC6455 "Fragmentation"]"""

    def test_fragments_are_joined(self):
        for opcode, expected in ((TEXT_FRAME, "abc"), (BINARY_FRAME, b"abc")):
            with self.subTest(opcode=opcode):
                frames = [
                    client_frame(opcode, b"a", final=False),
                    client_frame(0, b"b", final=False),
                    client_frame(0, b"c"),
                ]
                self.assertEqual(self.fed(*frames), [expected])
                self.assertEqual(self.fed(b"".join(frames)), [expected])

    def test_fragments_may_be_empty(self):
        empty = client_frame(0, final=False)
        self.assertEqual(
            self.fed(client_frame(TEXT_FRAME, final=False), empty, empty, client_frame(0)), [""]
        )

    def test_two_fragmented_messages_come_whole(self):
        message = client_frame(TEXT_FRAME, b"a", final=False) + client_frame(0, b"b")
        self.assertEqual(self.fed(message + message), ["ab", "ab"])

    def test_control_frames_between_fragments_come_at_once(self):
        ping = client_frame(PING_FRAME, b"x")
        messages = self.fed(
            client_frame(TEXT_FRAME, b"a", final=False), ping, client_frame(0, b"b"), ping
        )
        self.assertEqual(messages, [Control(PING_FRAME, b"x"), "ab", Control(PING_FRAME, b"x")])

    def test_a_character_may_be_cut_between_fragments(self):
        first, second = (
            client_frame(TEXT_FRAME, b"\xf0\x9f\x98", final=False),
            client_frame(0, b"\x80"),
        )
        self.assertEqual(self.fed(first, second), ["😀"])

    def test_a_new_message_within_a_message_is_a_protocol_error(self):
        start = client_frame(TEXT_FRAME, b"a", final=False)
        for opcode, size in itertools.product((TEXT_FRAME, BINARY_FRAME), (1, 200)):
            with self.subTest(opcode=opcode, size=size):
                self.assertFrameError(1002, start, client_frame(opcode, b"b" * size))

    def test_a_fragment_of_no_message_is_a_protocol_error(self):
        for final in (True, False):
            with self.subTest(final=final):
                self.assertFrameError(1002, client_frame(0, b"a", final=final))

    def test_a_fragment_behind_a_whole_message_is_a_protocol_error(self):
        whole = client_frame(TEXT_FRAME, b"a", final=False) + client_frame(0, b"b")
        self.assertFrameError(1002, whole, client_frame(0, b"c"))


class ControlFrameTests(FrameAssertions):
    """Control frames have 125 bytes at most, no fragments, and only codes that may be sent.

    [RFC6455 "Control Frames"]
    """

    GOOD = [
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        3999,
        4000,
        4999,
    ]
    BAD = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]

    def test_pings_and_pongs_bring_their_data(self):
        for opcode, data in itertools.product((PING_FRAME, PONG_FRAME), (b"", b"x", b"\xff" * 125)):
            with self.subTest(opcode=opcode, size=len(data)):
                self.assertEqual(self.fed(client_frame(opcode, data)), [Control(opcode, data)])

    def test_good_close_codes_are_read(self):
        for code in self.GOOD:
            with self.subTest(code=code):
                self.assertEqual(
                    self.fed(client_frame(CLOSE_FRAME, close_payload(code)))[0].code, code
                )

    def test_bad_close_codes_are_protocol_errors(self):
        for code in self.BAD:
            with self.subTest(code=code):
                self.assertFrameError(1002, client_frame(CLOSE_FRAME, close_payload(code)))

    def test_no_close_code_is_1005(self):
        self.assertEqual(self.fed(client_frame(CLOSE_FRAME)), [Control(CLOSE_FRAME, b"", 1005)])

    def test_half_a_close_code_is_a_protocol_error(self):
        self.assertFrameError(1002, client_frame(CLOSE_FRAME, b"\x03"))

    def test_a_close_reason_is_utf8(self):
        self.assertFrameError(1007, client_frame(CLOSE_FRAME, close_payload(1000, b"\xff")))

    def test_long_control_frames_are_protocol_errors(self):
        for opcode, size in itertools.product((CLOSE_FRAME, PING_FRAME, PONG_FRAME), (126, 65536)):
            with self.subTest(opcode=opcode, size=size):
                self.assertFrameError(1002, client_frame(opcode, bytes(size)))

    def test_fragmented_control_frames_are_protocol_errors(self):
        for opcode in (CLOSE_FRAME, PING_FRAME, PONG_FRAME):
            with self.subTest(opcode=opcode):
                self.assertFrameError(1002, client_frame(opcode, final=False))

    def test_a_ping_does_not_count_towards_the_size_of_messages(self):
        self.assertEqual(
            self.fed(client_frame(PING_FRAME, bytes(125)), max_bytes=10),
            [Control(PING_FRAME, bytes(125))],
        )

    def test_our_own_close_frame_has_code_and_reason(self):
        self.assertEqual(encode_close(1000), b"\x88\x02\x03\xe8")
        self.assertEqual(encode_close(1002, "why"), b"\x88\x05\x03\xeawhy")

    # A cut between any two bytes could leave half a character, which clients refuse.
    def test_a_long_reason_is_cut_between_characters(self):
        for reason in ("x" * 200, "é" * 100, "x" + "é" * 100, "€" * 100, "😀" * 50):
            with self.subTest(reason[:3]):
                frame = encode_close(1002, reason)
                self.assertLessEqual(len(frame), 127)
                self.assertTrue(reason.startswith(frame[4:].decode()))


class BrokenFrameTests(FrameAssertions):
    """A frame that RFC 6455 forbids fails the connection as soon as its header tells."""

    def test_reserved_bits_are_protocol_errors(self):
        for rsv, opcode in itertools.product(
            (0x40, 0x20, 0x10, 0x70), (0, TEXT_FRAME, BINARY_FRAME, PING_FRAME)
        ):
            with self.subTest(rsv=rsv, opcode=opcode):
                self.assertFrameError(1002, client_frame(opcode, b"x", rsv=rsv))

    def test_reserved_opcodes_are_protocol_errors(self):
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            with self.subTest(opcode=opcode):
                self.assertFrameError(1002, client_frame(opcode, b"x"))

    def test_frames_without_a_mask_are_protocol_errors(self):
        for opcode, size in itertools.product(
            (TEXT_FRAME, BINARY_FRAME, PING_FRAME, CLOSE_FRAME), (0, 5, 200)
        ):
            with self.subTest(opcode=opcode, size=size):
                self.assertFrameError(
                    1002, client_frame(opcode, b"\x03\xe8" * (size // 2), mask=b"")
                )

    def test_lengths_not_in_their_shortest_form_are_protocol_errors(self):
        for size, form in (
            (0, 126),
            (5, 126),
            (125, 126),
            (0, 127),
            (125, 127),
            (126, 127),
            (65535, 127),
        ):
            with self.subTest(size=size, form=form):
                self.assertFrameError(1002, client_frame(TEXT_FRAME, b"x" * size, form=form))

    def test_a_length_with_the_highest_bit_is_a_protocol_error(self):
        self.assertFrameError(1002, b"\x82\xff" + b"\xff" * 8 + MASK)

    def test_text_that_is_no_utf8_is_refused(self):
        rows = [
            (b"\xff", "no such byte"),
            (b"\xc3", "cut"),
            (b"\xc0\xaf", "overlong"),
            (b"\xed\xa0\xbd", "half a pair"),
        ]
        for data, why in rows:
            for size in (0, 200):
                with self.subTest(why, size=size):
                    self.assertFrameError(1007, client_frame(TEXT_FRAME, b"x" * size + data))

    def test_fragmented_text_that_is_no_utf8_is_refused(self):
        rows = [
            (b"\xf0\x9f", b"x", "cut short by the next piece"),
            (b"x", b"\xff", "in the last"),
            (b"\xff", b"x", "in the first"),
        ]
        for first, second, why in rows:
            with self.subTest(why):
                self.assertFrameError(
                    1007, client_frame(TEXT_FRAME, first, final=False), client_frame(0, second)
                )

    def test_binary_may_be_anything(self):
        self.assertEqual(
            self.fed(client_frame(BINARY_FRAME, b"\xff\xed\xa0\xbd")), [b"\xff\xed\xa0\xbd"]
        )

    def test_faults_of_a_header_are_found_before_the_payload_comes(self):
        rows = [
            (1002, client_frame(3, bytes(200))[:2], "an opcode"),
            (1002, client_frame(TEXT_FRAME, bytes(200), rsv=0x40)[:2], "a reserved bit"),
            (1002, client_frame(TEXT_FRAME, bytes(200), mask=b"")[:2], "no mask"),
            (1002, client_frame(PING_FRAME, bytes(200))[:2], "a long ping"),
            (1009, client_frame(BINARY_FRAME, bytes(101))[:6], "too big, by one"),
            (1009, client_frame(BINARY_FRAME, bytes(65535))[:8], "too big"),
            (1009, client_frame(TEXT_FRAME, bytes(70_000))[:14], "far too big"),
            (1009, b"\x82\xff\x7f" + b"\xff" * 7 + MASK, "eight exabytes"),
        ]
        for code, header, why in rows:
            with self.subTest(why):
                self.assertFrameError(code, header, max_bytes=100)

    def test_a_message_of_the_limit_itself_is_allowed(self):
        for limit in (100, 125, 126, 200, 65536):
            with self.subTest(limit=limit):
                self.assertEqual(
                    self.fed(client_frame(BINARY_FRAME, bytes(limit)), max_bytes=limit),
                    [bytes(limit)],
                )

    # A whole text frame of up to 125 bytes takes the quick way, which has to look at the limit too.
    def test_the_limit_holds_for_whole_frames_of_every_size(self):
        for opcode, limit in itertools.product(
            (TEXT_FRAME, BINARY_FRAME), (1, 100, 124, 125, 126, 65535)
        ):
            with self.subTest(opcode=opcode, limit=limit):
                self.assertFrameError(1009, client_frame(opcode, bytes(limit + 1)), max_bytes=limit)

    def test_the_limit_counts_all_fragments_of_a_message(self):
        first, rest = client_frame(BINARY_FRAME, bytes(60), final=False), client_frame(0, bytes(41))
        self.assertFrameError(1009, first, rest[:6], max_bytes=100)
        self.assertEqual(self.fed(first, client_frame(0, bytes(40)), max_bytes=100), [bytes(100)])

    def test_the_limit_begins_anew_with_each_message(self):
        message = client_frame(BINARY_FRAME, bytes(60), final=False) + client_frame(0, bytes(40))
        self.assertEqual(
            self.fed(message, message, client_frame(BINARY_FRAME, bytes(100)), max_bytes=100),
            [bytes(100)] * 3,
        )

    def test_growth_is_linear(self):
        pieces = client_frame(TEXT_FRAME, final=False)
        rows = [
            ("pings", lambda n: [client_frame(PING_FRAME) * n]),
            ("messages", lambda n: [client_frame(TEXT_FRAME, b"x") * n]),
            ("empty pieces", lambda n: [pieces + client_frame(0, final=False) * n]),
            (
                "one message, byte by byte",
                lambda n: [bytes([byte]) for byte in client_frame(BINARY_FRAME, bytes(n))],
            ),
            (
                "messages, byte by byte",
                lambda n: [bytes([byte]) for byte in client_frame(TEXT_FRAME, b"x") * (n // 7)],
            ),
        ]
        for why, make in rows:
            with self.subTest(why):
                self.assertGrowsLinearly(
                    lambda chunks: self.fed(*chunks, max_bytes=ENOUGH), make, 5000
                )


class MaskTests(unittest.TestCase):
    """XOR with a repeated mask: by C code of Tornado, or by one big integer where that is missing."""

    masks = [socket_io.websocket_mask, module_without("tornado.speedups").websocket_mask]

    def test_the_fallback_is_another_function(self):
        self.assertEqual(self.masks[1].__module__, "socket_io")

    def test_both_functions_mask_as_the_rfc_says(self):
        for size in [*range(20), 125, 1000, 65537]:
            data = bytes(index * 7 & 0xFF for index in range(size))
            masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(data))
            for mask in self.masks:
                with self.subTest(size=size, mask=mask):
                    self.assertEqual(mask(MASK, data), masked)

    def test_leading_zeros_are_kept(self):
        for mask in self.masks:
            with self.subTest(mask=mask):
                self.assertEqual(mask(b"\0\0\0\0", b"\0\0x\0\0"), b"\0\0x\0\0")
                self.assertEqual(mask(MASK, MASK * 2), bytes(8))


# -- 7. Requests -----------------------------------------------------------------------

SID = "wZX3oN0bSVIhsaknAAAI"
UPGRADING = {"Upgrade": "websocket", "Connection": "Upgrade"}


class RequestAssertions(Assertions):
    def parse(
        self,
        method: str,
        tail: str,
        query: str = "",
        headers: dict | None = None,
        dialects=DIALECTS,
    ) -> Request:
        """Parse the request as Tornado would have split it into *tail* and *query*."""
        arguments = {}
        for pair in query.split("&") if query else ():
            name, _, value = pair.partition("=")
            arguments.setdefault(name, []).append(value.encode("latin-1"))
        return parse_request(method, tail, arguments, headers or {}, dialects)

    def assertRefused(self, code: int, *args, status: int = 400, **kwargs) -> None:
        with self.assertRaises(Refused) as caught:
            self.parse(*args, **kwargs)
        self.assertEqual((caught.exception.code, caught.exception.status), (code, status))


class EngineRequestTests(RequestAssertions):
    """Path of the resource alone, `EIO` and `transport` in the query.  [EIO4 "Protocol"]"""

    ROWS = [
        ("GET", "EIO=4&transport=polling&t=abc", {}, (XHR_POLLING, "", "", False), "a handshake"),
        ("GET", "EIO=4&transport=polling&sid=" + SID, {}, (XHR_POLLING, SID, "", False), "a poll"),
        ("POST", "EIO=4&transport=polling&sid=" + SID, {}, (XHR_POLLING, SID, "", False), "a post"),
        (
            "GET",
            "EIO=4&transport=polling&j=0",
            {},
            (JSONP_POLLING, "", "0", False),
            "a JSONP handshake",
        ),
        (
            "GET",
            "EIO=4&transport=polling&j=12&sid=" + SID,
            {},
            (JSONP_POLLING, SID, "12", False),
            "a JSONP poll",
        ),
        (
            "POST",
            "EIO=4&transport=polling&j=12&sid=" + SID,
            {},
            (JSONP_POLLING, SID, "12", False),
            "a JSONP post",
        ),
        (
            "GET",
            "EIO=4&transport=websocket",
            UPGRADING,
            (WEBSOCKET, "", "", True),
            "a WebSocket handshake",
        ),
        (
            "GET",
            "EIO=4&transport=websocket&sid=" + SID,
            UPGRADING,
            (WEBSOCKET, SID, "", True),
            "an upgrade",
        ),
        (
            "GET",
            "EIO=4&transport=websocket",
            {"Upgrade": "WebSocket"},
            (WEBSOCKET, "", "", True),
            "in other letters",
        ),
        (
            "GET",
            "EIO=4&transport=polling&sid=",
            {},
            (XHR_POLLING, "", "", False),
            "an empty sid is none",
        ),
        (
            "GET",
            "EIO=4&transport=polling&user=1&user=2",
            {},
            (XHR_POLLING, "", "", False),
            "what is not ours may repeat",
        ),
        (
            "GET",
            "EIO=4&transport=polling&t=1&t=2&b64=1&b64=1&i=1&i=2&jsonp=a&jsonp=b",
            {},
            (XHR_POLLING, "", "", False),
            "nor what decides nothing here",
        ),
        (
            "GET",
            "EIO=4&transport=websocket&j=x&j=y",
            UPGRADING,
            (WEBSOCKET, "", "", True),
            "a WebSocket has no JSONP index",
        ),
    ]
    REFUSED = [
        (0, "GET", "", {}, "nothing at all"),
        (0, "GET", "EIO=4", {}, "no transport"),
        (0, "GET", "EIO=4&transport=", {}, "an empty one"),
        (0, "GET", "EIO=4&transport=tobi", {}, "an unknown one"),
        (0, "GET", "EIO=4&transport=__proto__", {}, "CVE-2023-31125"),
        (0, "GET", "EIO=4&transport=constructor", {}, "its relative"),
        (0, "GET", "EIO=4&transport=Polling", {}, "in other letters"),
        (0, "GET", "EIO=4&transport=xhr-polling", {}, "our own word for it"),
        (0, "GET", "EIO=4&transport=polling%00", {}, "with something behind"),
        (0, "GET", "EIO=4&transport=\xff", {}, "not ASCII"),
        (0, "GET", "EIO=4&transport=webtransport", {}, "one that is not spoken here"),
        (5, "GET", "EIO=5&transport=polling", {}, "a revision to come"),
        (5, "GET", "EIO=1&transport=polling", {}, "one of old"),
        (5, "GET", "EIO=04&transport=polling", {}, "a four that is none"),
        (5, "GET", "EIO=\xb2&transport=polling", {}, "a digit that is none"),
        (5, "GET", "EIO=__proto__&transport=polling", {}, "a property"),
        (3, "GET", "EIO=4&transport=polling&transport=polling", {}, "two transports"),
        (3, "GET", "EIO=4&EIO=4&transport=polling", {}, "two revisions"),
        (3, "GET", f"EIO=4&transport=polling&sid={SID}&sid={SID}", {}, "two sids"),
        (3, "GET", "EIO=4&transport=polling&j=1&j=2", {}, "two JSONP indexes"),
        (3, "GET", "EIO=4&transport=polling&j=", {}, "an empty index"),
        (3, "GET", "EIO=4&transport=polling&j=x", {}, "an index that is none"),
        (3, "GET", "EIO=4&transport=polling&j=1;alert(1)", {}, "a script"),
        (3, "GET", "EIO=4&transport=polling&j=-1", {}, "a negative index"),
        (3, "GET", "EIO=4&transport=polling&j=\xb2", {}, "a digit that is none"),
        (3, "GET", "EIO=4&transport=polling&j=1\n", {}, "a newline behind"),
        (3, "GET", "EIO=4&transport=polling&j=1234567890", {}, "ten digits"),
        (3, "GET", "EIO=4&transport=websocket", {}, "a plain GET for a WebSocket: issue 4250"),
        (3, "GET", "EIO=4&transport=websocket", {"Upgrade": "h2c"}, "an upgrade to something else"),
        (3, "POST", "EIO=4&transport=websocket", UPGRADING, "a POST for one"),
        (3, "GET", "EIO=4&transport=polling", UPGRADING, "an upgrade of a poll: CVE-2020-7693"),
        (2, "POST", "EIO=4&transport=polling", {}, "a handshake by POST"),
        (2, "PUT", "EIO=4&transport=polling", {}, "by PUT"),
        (2, "HEAD", "EIO=4&transport=polling", {}, "by HEAD"),
        (2, "PUT", "EIO=4&transport=polling&sid=" + SID, {}, "PUT to a session"),
        (2, "DELETE", "EIO=4&transport=polling&sid=" + SID, {}, "DELETE of one"),
        (1, "GET", "EIO=4&transport=polling&sid=a/b", {}, "a sid that none of ours could be"),
        (1, "GET", "EIO=4&transport=polling&sid=\xe9", {}, "not ASCII"),
        (1, "GET", "EIO=4&transport=polling&sid=a\n", {}, "a newline behind"),
        (1, "GET", "EIO=4&transport=polling&sid=" + "a" * 1000, {}, "a long one"),
    ]

    def test_requests_are_understood(self):
        for method, query, headers, expected, why in self.ROWS:
            for tail in ("", "/"):
                with self.subTest(why, tail=tail):
                    got = self.parse(method, tail, query, headers)
                    self.assertEqual((got.dialect.name, got.method), ("EIO4", method))
                    self.assertEqual((got.transport, got.sid, got.jsonp, got.upgrade), expected)

    def test_requests_are_refused_with_their_code(self):
        for code, method, query, headers, why in self.REFUSED:
            with self.subTest(why):
                self.assertRefused(code, method, "/", query, headers)

    def test_no_revision_or_an_old_one_is_revision_3(self):
        for query in (
            "transport=polling",
            "EIO=2&transport=polling",
            "EIO=3&transport=polling",
            "EIO=&transport=polling",
        ):
            with self.subTest(query):
                mine = {"EIO3": DIALECTS["EIO3"]}
                self.assertEqual(self.parse("GET", "/", query, dialects=mine).dialect.name, "EIO3")
                self.assertRefused(5, "GET", "/", query, dialects={"EIO4": DIALECTS["EIO4"]})

    def test_a_dialect_that_is_not_enabled_is_refused(self):
        self.assertRefused(
            5, "GET", "/", "EIO=4&transport=polling", dialects={"0.6": DIALECTS["0.6"]}
        )

    def test_a_path_of_no_dialect_is_not_found(self):
        for tail in (
            "/x",
            "//",
            "/socket.io.js",
            "/../",
            "/__proto__",
            "/XHR-POLLING//1",
            "/polling/",
            "x",
        ):
            with self.subTest(tail):
                self.assertRefused(0, "GET", tail, "EIO=4&transport=polling", status=404)


class PathRequestTests(RequestAssertions):
    """Transport, sid and JSONP index in the path, as 0.6 has them.  [SIO06]"""

    ROWS = [
        (
            "GET",
            "/xhr-polling//1300000000000",
            {},
            (XHR_POLLING, "", "", False),
            "a handshake: mind the two slashes",
        ),
        ("GET", f"/xhr-polling/{SID}/1300000000000", {}, (XHR_POLLING, SID, "", False), "a poll"),
        ("POST", f"/xhr-polling/{SID}/send", {}, (XHR_POLLING, SID, "", False), "a post"),
        ("GET", "/xhr-polling", {}, (XHR_POLLING, "", "", False), "a handshake, bare"),
        ("GET", "/xhr-multipart/", {}, (XHR_MULTIPART, "", "", False), "a multipart stream"),
        (
            "POST",
            f"/xhr-multipart/{SID}/send",
            {},
            (XHR_MULTIPART, SID, "", False),
            "and its posts",
        ),
        ("GET", "/htmlfile//1300000000000", {}, (HTMLFILE, "", "", False), "an HTML file"),
        ("POST", f"/htmlfile/{SID}/send", {}, (HTMLFILE, SID, "", False), "and its posts"),
        (
            "GET",
            "/jsonp-polling//1300000000000/0",
            {},
            (JSONP_POLLING, "", "0", False),
            "JSONP: the index comes last",
        ),
        (
            "GET",
            f"/jsonp-polling/{SID}/1300000000000/12",
            {},
            (JSONP_POLLING, SID, "12", False),
            "a JSONP poll",
        ),
        (
            "POST",
            f"/jsonp-polling/{SID}/1300000000000/12",
            {},
            (JSONP_POLLING, SID, "12", False),
            "a JSONP post",
        ),
        (
            "POST",
            f"/jsonp-polling/{SID}/1300000000000/12/",
            {},
            (JSONP_POLLING, SID, "12", False),
            "a slash behind",
        ),
        ("GET", "/websocket", UPGRADING, (WEBSOCKET, "", "", True), "a WebSocket"),
        ("GET", "/websocket/", UPGRADING, (WEBSOCKET, "", "", True), "a slash behind"),
        ("GET", "/flashsocket", UPGRADING, (FLASHSOCKET, "", "", True), "Flash's"),
    ]
    REFUSED = [
        (3, "GET", "/jsonp-polling", {}, "no index"),
        (3, "GET", "/jsonp-polling/", {}, "no index, a slash"),
        (3, "GET", "/jsonp-polling//", {}, "two slashes"),
        (3, "GET", "/jsonp-polling//123/x", {}, "an index that is none"),
        (3, "GET", "/jsonp-polling//123/alert(1)", {}, "a script"),
        (3, "GET", "/jsonp-polling//123/\xb2", {}, "a digit that is none"),
        (3, "GET", "/jsonp-polling//123/1234567890", {}, "ten digits"),
        (3, "GET", "/websocket", {}, "a plain GET for a WebSocket"),
        (3, "POST", "/websocket", UPGRADING, "a POST for one"),
        (3, "GET", "/xhr-polling//1", UPGRADING, "an upgrade of a poll"),
        (2, "POST", "/xhr-polling//send", {}, "a post without a sid"),
        (2, "PUT", f"/xhr-polling/{SID}/send", {}, "another method"),
        (1, "GET", "/xhr-polling/a%2fb/1", {}, "a sid that none of ours could be"),
        (1, "GET", "/xhr-polling/\xe9/1", {}, "not ASCII"),
    ]

    def test_requests_are_understood(self):
        for method, tail, headers, expected, why in self.ROWS:
            with self.subTest(why):
                got = self.parse(method, tail, "", headers)
                self.assertEqual((got.dialect.name, got.method), ("0.6", method))
                self.assertEqual((got.transport, got.sid, got.jsonp, got.upgrade), expected)

    def test_the_query_of_a_06_request_means_nothing(self):
        got = self.parse("GET", "/xhr-polling//1", "EIO=4&transport=websocket&sid=x&sid=y&j=z")
        self.assertEqual((got.dialect.name, got.transport, got.sid), ("0.6", XHR_POLLING, ""))

    def test_requests_are_refused_with_their_code(self):
        for code, method, tail, headers, why in self.REFUSED:
            with self.subTest(why):
                self.assertRefused(code, method, tail, "", headers)

    def test_a_dialect_that_is_not_enabled_is_refused(self):
        self.assertRefused(
            5, "GET", "/xhr-polling//1", dialects={"EIO4": DIALECTS["EIO4"]}, status=404
        )

    def test_growth_is_linear(self):
        for tail in ("/", "/xhr-polling/", "/jsonp-polling/"):
            with self.subTest(tail):
                self.assertGrowsLinearly(
                    lambda tail: self.parse("GET", tail), lambda n, tail=tail: tail + "/" * n
                )


class WebSocketAcceptTests(unittest.TestCase):
    """The answer to the handshake of a WebSocket.  [RFC6455 "Opening Handshake"]"""

    HEADERS = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }

    def test_the_example_key_of_the_rfc_is_accepted(self):
        self.assertEqual(websocket_accept(self.HEADERS), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_the_header_connection_may_have_more_words(self):
        for value in ("keep-alive, Upgrade", "upgrade", "Upgrade,keep-alive", " x , UPGRADE "):
            with self.subTest(value):
                websocket_accept({**self.HEADERS, "Connection": value})

    def test_an_incomplete_websocket_handshake_is_refused(self):
        rows = [
            ("Connection", ("", "keep-alive", "not-upgrade", "upgrades")),
            ("Sec-WebSocket-Version", ("", "8", "0", "14", "13, 8", "\xb9\xb3")),
            ("Sec-WebSocket-Key", ("", "short", "dGhlIHNhbXBsZSBub25jZQ", "x" * 100)),
        ]
        for name, values in rows:
            for value in values:
                with self.subTest(name, value=value), self.assertRaises(Refused):
                    websocket_accept({**self.HEADERS, name: value})
            with self.subTest(name, missing=True), self.assertRaises(Refused):
                websocket_accept({key: value for key, value in self.HEADERS.items() if key != name})


class OriginDecisionTests(unittest.TestCase):
    """One decision for every transport, by the headers that a browser writes itself.

    A client that sends none of these headers is no browser.
    """

    HERE = "chat.example"
    SAME = [
        ("http://chat.example", "chat.example", "the same"),
        ("http://chat.example:80", "chat.example", "the default port in one"),
        ("http://chat.example", "chat.example:80", "in the other"),
        ("https://chat.example", "chat.example:443", "of https"),
        ("https://chat.example", "chat.example", "another scheme: a proxy ends TLS"),
        ("http://chat.example:8888", "chat.example:8888", "another port in both"),
        ("HTTP://Chat.Example", "chat.EXAMPLE", "letters"),
        ("http://[::1]:8888", "[::1]:8888", "an address of six"),
        ("http://127.0.0.1:8888", "127.0.0.1:8888", "of four"),
        ("wss://chat.example", "chat.example:443", "every client on iOS"),
        ("wss://chat.example:443", "chat.example", "the port on the other side"),
        ("wss://chat.example", "chat.example", "on neither"),
        ("WSS://chat.EXAMPLE:443", "Chat.example:443", "on both, in capital letters"),
        ("ws://chat.example", "chat.example:80", "without TLS"),
        ("ws://chat.example:80", "chat.example", "likewise"),
        ("ws://[2001:DB8::1]:80", "[2001:db8::1]", "an address of six, and its letters"),
        ("https://[::1]", "[::1]:443", "with the default port in one"),
        ("wss://chat.example:8443", "chat.example:8443", "another port in both"),
    ]
    OTHER = [
        ("http://evil.example", "chat.example", "another host"),
        ("http://chat.example:8080", "chat.example", "another port"),
        ("http://chat.example", "chat.example:8080", "another port, ours"),
        ("http://chat.example:443", "chat.example", "not http's default"),
        ("https://chat.example:80", "chat.example", "not https's"),
        ("http://sub.chat.example", "chat.example", "a host below"),
        ("http://example", "chat.example", "a host above"),
        ("http://chat.example.evil.example", "chat.example", "a host that begins like it"),
        ("http://evilchat.example", "chat.example", "one that ends like it"),
        ("http://chat.example@evil.example", "chat.example", "one that looks like it"),
        ("http://chat.example/", "chat.example", "no origin has a path"),
        ("http://", "chat.example", "no host"),
        ("http://", "", "no host, nor have we"),
        ("null", "null", "an opaque one is nobody's own"),
        ("null", "", "and there is no Host"),
        ("file://", "", "a file"),
        ("chat.example", "chat.example", "no scheme"),
        ("ws://chat.example:443", "chat.example", "not the default of ws"),
        ("wss://chat.example:80", "chat.example", "not that of wss"),
        ("wss://chat.example:443", "chat.example:80", "two ports"),
        ("https://[::443]", "[::]", "an address is no port"),
        ("file://", "file", "a file is nobody's own"),
        ("*", "*", "nor is a star"),
    ]

    def admitted(self, headers: dict, allowed=()) -> bool:
        return origin_admitted({"Host": self.HERE, **headers}, allowed)

    def test_our_own_origin_is_admitted(self):
        for origin, host, why in self.SAME:
            with self.subTest(why):
                self.assertTrue(origin_admitted({"Origin": origin, "Host": host}, ()))

    def test_another_origin_is_refused(self):
        for origin, host, why in self.OTHER:
            with self.subTest(why):
                self.assertFalse(origin_admitted({"Origin": origin, "Host": host}, ()))

    def test_without_a_host_no_origin_is_ours(self):
        self.assertFalse(origin_admitted({"Origin": "http://chat.example"}, ()))

    def test_the_first_header_that_tells_the_page_decides(self):
        here, evil = "http://chat.example", "http://evil.example"
        rows = [
            ({}, True, "nobody speaks: no browser"),
            (
                {"Origin": evil, "Sec-Fetch-Site": "same-origin", "Referer": evil + "/"},
                True,
                "same-origin before all: no page can say so",
            ),
            *[
                ({"Origin": evil, "Sec-Fetch-Site": site}, False, f"but not {site}")
                for site in ("none", "same-site", "cross-site", "Same-Origin", "same-origin, none")
            ],
            (
                {"Origin": here, "Sec-Fetch-Site": "cross-site", "Referer": evil + "/"},
                True,
                "Origin before all",
            ),
            ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True, "a page without referrers"),
            ({"Origin": "null", "Sec-Fetch-Site": "none"}, False, "null is an Origin"),
            (
                {"Sec-Fetch-Site": "same-origin", "Referer": evil + "/"},
                True,
                "Sec-Fetch-Site before Referer",
            ),
            ({"Sec-Fetch-Site": "none", "Referer": evil + "/"}, True, "typed in by the user"),
            (
                {"Sec-Fetch-Site": "cross-site", "Referer": here + "/page"},
                True,
                "other words leave it to Referer",
            ),
            (
                {"Sec-Fetch-Site": "same-site", "Referer": here + "/page"},
                True,
                "same-site is not same-origin",
            ),
            ({"Referer": here + "/page?q=http://evil.example/"}, True, "Referer alone"),
            ({"Referer": here}, True, "without a path"),
            ({"Referer": evil + "/http://chat.example/"}, False, "another's"),
            ({"Referer": "about:blank"}, False, "nobody's"),
            ({"Sec-Fetch-Site": "cross-site"}, False, "another site, and no more is said"),
            ({"Sec-Fetch-Site": "same-site"}, False, "nor is the same site enough"),
            ({"Sec-Fetch-Site": "nonsense"}, False, "nor nonsense"),
        ]
        for headers, expected, why in rows:
            with self.subTest(why):
                self.assertIs(self.admitted(headers), expected)

    def test_the_origins_of_an_option_are_admitted_and_no_others(self):
        rows = [
            (["https://a.example"], "https://a.example", True, "in the list"),
            (
                ("https://b.example", "https://a.example"),
                "https://a.example",
                True,
                "second in a tuple",
            ),
            ({"https://a.example"}, "https://a.example", True, "in a set"),
            ("https://a.example", "https://a.example", True, "one, bare"),
            (["https://A.example/"], "https://a.Example", True, "letters, and a slash by mistake"),
            (["https://a.example:443//"], "https://a.example", True, "the default port, in it"),
            (["https://a.example"], "https://a.example:443", True, "and in the origin"),
            (["wss://a.example"], "wss://a.example:443", True, "of a WebSocket's scheme"),
            (["https://a.example"], "wss://a.example", False, "which is another than https"),
            (["file://"], "file://", True, "Cordova, Electron"),
            (["file:///"], "file://", True, "with the root"),
            (["file:///"], "file:///", True, "in both"),
            (["https://a.example"], "https://a.example/", False, "no origin has a slash"),
            (["file"], "file://", False, "a scheme alone is none"),
            (["capacitor://localhost"], "capacitor://localhost", True, "Capacitor on iOS"),
            (["ionic://localhost"], "ionic://localhost", True, "Ionic"),
            (["app://localhost/"], "app://localhost", True, "another app"),
            (["tauri://localhost"], "tauri://localhost", True, "Tauri"),
            (["chrome-extension://abcdef"], "chrome-extension://abcdef", True, "an extension"),
            (["capacitor://localhost"], "http://localhost", False, "not any app's"),
            (["https://a.example"], "*", False, "a star as origin is no star as entry"),
            (["https://a.example"], "http://a.example", False, "entries are exact: the scheme"),
            (["https://a.example"], "https://a.example:8443", False, "the port"),
            (["https://a.example"], "https://x.a.example", False, "the host"),
            ("https://a.example", "https://", False, "one, bare, is not searched"),
            ("https://a.example", "h", False, "nor taken for letters"),
            ([], "https://a.example", False, "nobody"),
            ("*", "https://a.example", True, "all"),
            (["*"], "https://a.example", True, "all, in a list"),
            (re.compile(r"https://[a-z]+\.example"), "https://a.example", True, "a pattern"),
            (
                [re.compile(r"https://[a-z]+\.example")],
                "https://a.example",
                True,
                "a pattern in a list",
            ),
            (
                re.compile(r"https://[a-z]+\.example"),
                "https://a.example.evil",
                False,
                "patterns match the whole",
            ),
            (re.compile(r"a\.example"), "https://a.example", False, "from its beginning"),
            (lambda origin: origin == "https://a.example", "https://a.example", True, "a callable"),
            (
                lambda origin: origin == "https://a.example",
                "https://b.example",
                False,
                "that says no",
            ),
            (lambda origin: 1, "https://b.example", True, "that says yes somehow"),
        ]
        for allowed, origin, expected, why in rows:
            with self.subTest(why):
                self.assertIs(self.admitted({"Origin": origin}, allowed), expected)

    def test_an_opaque_origin_is_admitted_by_all_or_a_callable_only(self):
        rows = [
            ((), False, "by default"),
            (["null"], False, "in a list"),
            ("null", False, "bare"),
            ([re.compile(".*")], False, "by a pattern"),
            ("*", True, "by the star"),
            (["*"], True, "by the star in a list"),
            (lambda origin: origin == "null", True, "by a callable"),
        ]
        for allowed, expected, why in rows:
            with self.subTest(why):
                self.assertIs(self.admitted({"Origin": "null"}, allowed), expected)

    def test_a_referer_is_compared_with_the_allowed_origins(self):
        self.assertTrue(self.admitted({"Referer": "https://a.example/page"}, ["https://a.example"]))
        self.assertFalse(
            self.admitted({"Referer": "https://a.example.evil/page"}, ["https://a.example"])
        )

    def test_the_host_in_front_of_a_proxy_is_ours_where_its_headers_are_believed(self):
        pub, back = "https://pub.example", {"Host": "127.0.0.1:8888"}
        rows = [
            ("pub.example", pub, True, "its host"),
            ("pub.example:443", pub, True, "with its port"),
            (" PUB.example , inner.example", pub, True, "the first of several"),
            ("inner.example, pub.example", pub, False, "not another of them"),
            ("evil.example", pub, False, "another host"),
            ("pub.example", "http://127.0.0.1:8888", False, "it stands for Host"),
            ("", "http://127.0.0.1:8888", True, "empty, there is Host"),
            (", pub.example", "http://127.0.0.1:8888", True, "and behind nothing too"),
        ]
        for forwarded, origin, expected, why in rows:
            headers = {**back, "Origin": origin, "X-Forwarded-Host": forwarded}
            with self.subTest(why):
                self.assertIs(origin_admitted(headers, (), True), expected)
                self.assertIs(origin_admitted(headers, (), False), origin != pub)

    def test_our_own_origin_needs_no_permission(self):
        self.assertTrue(self.admitted({"Origin": "http://chat.example"}, ["https://a.example"]))


# -- 8. Session ------------------------------------------------------------------------


class ClientPings(EngineIO4):
    """A dialect whose clients start the heartbeat, as those of revision 3 do."""

    name = "client pings"
    server_pings = False


class ScriptedHandler(SocketIOHandler):
    """A handler that records its calls in `log` and answers events as `answer` says."""

    def initialize(self):
        self.log: list = []
        self.answer: Callable = lambda packet: None

    @property
    def member(self) -> Member:
        return self._member

    def on_open(self, *args, **kwargs):
        self.log.append("open")
        self.member.session.hub.handlers.append(self)
        return self.member.session.hub.on_open(self)

    def dispatch(self, name: str, *args):
        self.log.append(name)
        return self.answer(Packet(EVENT, data=[name, *args]))

    def on_error(self, error: Exception) -> None:
        self.member.session.hub.reported.append(error)

    def on_close(self) -> None:
        self.log.append(f"closed: {self.member.close_reason}")


class FakeLoop:
    """A loop stand-in whose time is moved by hand and whose turns begin when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, int, Callable]] = []
        self.soon: list[Callable] = []
        self.order = itertools.count()

    def time(self) -> float:
        return self.now

    def is_closed(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    def create_task(self, work) -> asyncio.Task:
        return asyncio.get_running_loop().create_task(work)

    def call_soon(self, act: Callable, *args, context=None) -> None:
        self.soon.append(functools.partial(act, *args))

    def call_at(self, when: float, act: Callable, *args, context=None) -> mock.Mock:
        timer = (when, next(self.order), functools.partial(act, *args))
        self.timers.append(timer)
        return mock.Mock(cancel=lambda: self.timers.remove(timer))

    def call_later(self, seconds: float, act: Callable, *args, context=None) -> mock.Mock:
        return self.call_at(self.now + seconds, act, *args)

    def turn(self) -> None:
        """Do what was put off to the next turn."""
        soon, self.soon = self.soon, []
        for work in soon:
            work()

    def move_to(self, when: float) -> None:
        """Let time pass until *when*, and do what is to be done in it."""
        while self.timers and min(self.timers)[0] <= when:
            timer = min(self.timers)
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[2]()
        self.now = when


class HandMovedHub(Hub):
    """A hub for "/" and "/admin" on a loop that is moved by hand."""

    SWEEP = 1 / 16  # sweeps come at all whole seconds, and little before other times

    def __init__(self, on_open: Callable = lambda handler: None, **options) -> None:
        handler_class = type("Scripted", (ScriptedHandler,), options)
        super().__init__(handler_class, {"/admin": handler_class}, {})
        self.on_open = on_open
        self.handlers: list[ScriptedHandler] = []
        self.reported: list[Exception] = []
        self.loop = FakeLoop()
        self.sweep_seconds = self.SWEEP
        with mock.patch("asyncio.get_running_loop", return_value=self.loop):
            self.bind(tornado.web.Application())
        self.sweep_seconds = 0.0  # no ping goes out early, so that the times of the tests are exact

    def turn(self) -> None:
        self.loop.turn()

    def due(self, owner: object) -> dict[str, float]:
        """Return the deadlines of *owner*, by the names of its methods."""
        table = self.clock.table
        return {act.__name__: when for act, when in table.items() if act.__self__ is owner}


class FakeOutlet:
    """An outlet that only records what the session tells it."""

    congested = False
    unsent_bytes = 0

    def __init__(self, session: Session) -> None:
        self.session = session
        self.woken = 0
        self.reading = True
        self.let_go: str | None = None

    def wake(self) -> None:
        self.woken += 1

    def set_reading(self, reading: bool) -> None:
        self.reading = reading

    def release(self) -> None:
        self.let_go = "released"

    def drop(self) -> None:
        self.let_go = "dropped"


class FakePoll(FakeOutlet):
    """A poll that is answered when the test says so; a real one is answered on the next turn."""

    def answer(self) -> str:
        packets = [packet for outgoing in self.session.take_outbox() for packet in outgoing.packets]
        self.session.outlet_released(self)
        return self.session.dialect.encode_payload(packets)


class FakeWebSocket(FakeOutlet):
    """A WebSocket that takes what waits when it is woken, and later frames at once, unless its socket is full."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.raw: list[bytes] = []
        self.full = False

    @property
    def sent(self) -> list[str | bytes]:
        """Return every message that has been sent."""
        return [message for data in self.raw for message in unframed(data)]

    def wake(self) -> None:
        super().wake()
        if self.full:
            return
        while self.session.outbox:
            self.raw.append(self.session.take_next().frame)
        if self.session.life is Life.CLOSING:
            self.session.end("forced close")
        else:
            self.session.write_now = self.raw.append

    def fill(self) -> None:
        """Let the socket be full: the client does not keep up."""
        self.full, self.session.write_now = True, None

    def empty(self) -> None:
        """Let the socket take frames again."""
        self.full = False
        self.wake()


def unframed(data: bytes) -> list[str | bytes]:
    """Return the messages in a server's frames."""
    messages = []
    while data:
        size, start = data[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        payload, opcode, data = data[start : start + size], data[0] & 0x0F, data[start + size :]
        messages.append(payload.decode() if opcode == TEXT_FRAME else payload)
    return messages


class SessionAssertions(Assertions):
    """Helpers for sessions without sockets: `self.client()` returns one that has gone through the handshake."""

    def client(
        self, hub: HandMovedHub, dialect="EIO4", transport: str = WEBSOCKET, join: bool = True
    ) -> Session:
        dialect = DIALECTS.get(dialect, dialect)
        http_request = types.SimpleNamespace(path_args=(), path_kwargs={}, remote_ip="127.0.0.1")
        request, context = Request(dialect, transport, "GET"), contextvars.copy_context()
        session = hub.new_session(request, http_request, context)
        outlet = (FakeWebSocket if transport in WEBSOCKETS else FakePoll)(session)
        session.attach(outlet)
        session.open()
        if join and not dialect.opens_root_unasked:
            session.received(EnginePacket(MESSAGE, "0"))
        return session

    def poll(self, session: Session) -> FakePoll:
        poll = FakePoll(session)
        session.attach(poll)
        return poll

    def say(self, session: Session, *texts: str | bytes) -> None:
        """Let the client send engine packets of EIO4."""
        for text in texts:
            for packet in DIALECTS["EIO4"].decode_frame(text, TextMemory()):
                session.received(packet)

    def handler(self, session: Session, namespace: str = "/") -> ScriptedHandler:
        return session.members[namespace].handler

    def assertSent(self, session: Session, *expected: str | bytes) -> None:
        """Assert that *expected* are the last messages that the WebSocket has sent."""
        self.assertEqual(
            session.outlet.sent[len(session.outlet.sent) - len(expected) :], list(expected)
        )

    def assertClosedFor(self, session: Session, reason: str, handler: ScriptedHandler) -> None:
        self.assertIs(session.life, Life.CLOSED)
        session.hub.turn()
        self.assertEqual(
            [entry for entry in handler.log if entry.startswith("closed")], ["closed: " + reason]
        )
        self.assertEqual(handler.log[-1], "closed: " + reason)


class ClockTests(SessionAssertions):
    """A deadline is a method that the first sweep after its time calls; a punctual one has a timer of its own."""

    def setUp(self):
        self.loop = FakeLoop()
        self.clock = socket_io.Clock(1.0, lambda owner: self.fail(f"{owner} has failed"))
        self.clock.bind(self.loop)
        self.log: list[str] = []

    def ring(self) -> None:
        self.log.append(f"ring at {self.loop.now:g}")

    def chime(self) -> None:
        self.log.append(f"chime at {self.loop.now:g}")

    def test_a_deadline_is_met_once_by_the_first_sweep_after_its_time(self):
        self.clock.arm(self.ring, 2.5)
        self.loop.move_to(20.0)
        self.assertEqual(self.log, ["ring at 3"])

    def test_a_deadline_that_is_armed_again_is_moved(self):
        self.clock.arm(self.ring, 2.5)
        self.loop.move_to(2.0)
        self.clock.arm(self.ring, 2.5)
        self.loop.move_to(20.0)
        self.assertEqual(self.log, ["ring at 5"])

    def test_a_deadline_that_is_disarmed_is_not_met(self):
        for punctual in (False, True):
            with self.subTest(punctual=punctual):
                self.clock.arm(self.ring, 2.5, punctual)
                self.clock.disarm(self.ring)
                self.clock.disarm(self.ring)
                self.loop.move_to(self.loop.now + 20.0)
                self.assertEqual(self.log, [])

    def test_a_deadline_can_disarm_another_one_of_the_same_sweep(self):
        self.clock.arm(self.disarm_ring, 2.0)
        self.clock.arm(self.ring, 2.0)
        self.loop.move_to(20.0)
        self.assertEqual(self.log, [])

    def disarm_ring(self) -> None:
        self.clock.disarm(self.ring)

    def test_a_sweep_that_comes_late_moves_every_deadline_by_as_much(self):
        self.clock.arm(self.ring, 5.5)
        self.loop.move_to(2.0)
        self.loop.now = 32.0  # nothing ran meanwhile
        self.assertEqual(self.clock.now(), 3.0)  # when the next sweep was due
        self.clock.arm(self.chime, 5.5)
        self.loop.move_to(60.0)
        self.assertEqual(self.log, ["ring at 35", "chime at 38"])

    def test_the_clock_does_not_sweep_while_no_deadline_is_armed(self):
        self.clock.arm(self.ring, 2.5)
        self.loop.move_to(3.0)
        self.assertEqual((self.loop.timers, self.clock.table), ([], {}))
        self.clock.arm(self.ring, 2.5)
        self.loop.move_to(20.0)
        self.assertEqual(self.log, ["ring at 3", "ring at 6"])

    def test_a_punctual_deadline_has_a_timer_and_waits_for_no_sweep(self):
        self.clock.arm(self.ring, 0.2, punctual=True)
        self.loop.move_to(0.2)
        self.assertEqual((self.log, self.clock.timers), (["ring at 0.2"], {}))

    def test_a_punctual_deadline_that_is_far_away_is_met_by_a_sweep(self):
        self.clock.arm(self.ring, 10.5, punctual=True)
        self.loop.move_to(20.0)
        self.assertEqual((self.log, self.clock.timers), (["ring at 11"], {}))

    def test_a_deadline_that_fails_ends_its_own_client_and_no_other(self):
        hub = HandMovedHub(ping_interval=1000)
        broken, whole = self.client(hub, join=False), self.client(hub, join=False)
        silent = self.client(hub, join=False)

        def fail_for_one(session: Session) -> str:
            return {}[session] if session is broken else ""

        with (
            mock.patch.object(Session, "_idleness", fail_for_one),
            self.assertLogs("socket_io", "ERROR") as logged,
        ):
            hub.loop.move_to(45.0)
        self.assertIn("connect_over failed at its deadline", logged.output[0])
        self.assertEqual([session.life for session in (broken, whole, silent)], [Life.CLOSED] * 3)
        self.assertEqual((hub.sessions, hub.clock.table), ({}, {}))


class SessionLifeTests(SessionAssertions):
    """A session moves along `LIFE_MOVES` and nowhere else."""

    def test_a_session_refuses_every_move_that_life_moves_does_not_list(self):
        for start, to in itertools.product(Life, Life):
            with self.subTest(start=start, to=to):
                session = self.client(HandMovedHub())
                session.life = start
                self.assertIs(session._move(to), to in LIFE_MOVES[start])
                self.assertIs(session.life, to if to in LIFE_MOVES[start] else start)

    def test_no_move_leads_out_of_closed(self):
        self.assertEqual(LIFE_MOVES[Life.CLOSED], set())

    def test_the_end_of_a_session_clears_its_members_deadlines_and_outlet(self):
        hub = HandMovedHub()
        session = self.client(hub)
        handler, outlet = self.handler(session), session.outlet
        session.end("transport close")
        self.assertClosedFor(session, "transport close", handler)
        self.assertEqual((session.members, hub.due(session)), ({}, {}))
        self.assertEqual(
            (hub.sessions, outlet.let_go, session.outlet, session.write_now),
            ({}, "dropped", None, None),
        )

    def test_a_session_that_ends_twice_keeps_its_first_close_reason(self):
        hub = HandMovedHub()
        session = self.client(hub)
        handler = self.handler(session)
        session.end("ping timeout")
        session.end("transport close")
        session.close("server shutting down")
        self.assertClosedFor(session, "ping timeout", handler)
        self.assertEqual(hub.sessions, {})

    def test_packets_received_after_the_end_reach_no_handler(self):
        session = self.client(HandMovedHub())
        handler = self.handler(session)
        session.end("transport close")
        self.say(session, '42["x"]', "40", "1")
        session.hub.turn()
        self.assertEqual(handler.log, ["open", "closed: transport close"])

    def test_packets_sent_after_the_end_are_dropped(self):
        session = self.client(HandMovedHub())
        session.end("transport close")
        session.send_engine(MESSAGE, "x")
        self.assertEqual((list(session.outbox), session.outbox_bytes), ([], 0))

    def test_sids_cannot_be_guessed_from_other_random_numbers(self):
        sids = set()
        for _ in range(10):
            random.seed(1)
            session = self.client(HandMovedHub())
            sids |= {session.sid, session.members["/"].id}
        self.assertEqual(len(sids), 20)

    def test_sids_are_twenty_characters_fit_for_urls(self):
        sids = {self.client(HandMovedHub()).sid for _ in range(50)}
        self.assertEqual(len(sids), 50)
        for sid in sids:
            self.assertRegex(sid, r"\A[0-9A-Za-z_-]{20}\Z")


class MemberStateTests(SessionAssertions):
    """A member moves along `MEMBER_MOVES` and nowhere else; its other properties follow from its state."""

    def member_in(self, state: MemberState) -> Member:
        """Return a member that has come to *state* by drawn moves."""
        member = self.client(HandMovedHub()).members["/"]
        if state is MemberState.OPENING:
            member = Member(member.session, member.namespace, None)
            member.session.open_handlers += 1
        elif state is not MemberState.IDLE:
            member._move(MemberState.BUSY)
        if state in (MemberState.ENDING, MemberState.GONE):
            member._move(MemberState.ENDING, "transport close")
        if state is MemberState.GONE:
            member._move(MemberState.GONE)
        self.assertIs(member.state, state)
        return member

    def test_a_member_refuses_every_move_that_member_moves_does_not_list(self):
        for start, to in itertools.product(MemberState, MemberState):
            with self.subTest(start=start, to=to):
                member = self.member_in(start)
                self.assertIs(member._move(to, "refused"), to in MEMBER_MOVES[start])
                self.assertIs(member.state, to if to in MEMBER_MOVES[start] else start)

    def test_no_move_leads_out_of_gone(self):
        self.assertEqual(MEMBER_MOVES[MemberState.GONE], set())

    def test_is_open_inbox_and_close_reason_follow_from_a_members_state(self):
        rows = [
            (MemberState.OPENING, (False, True, False, 2)),
            (MemberState.BUSY, (True, True, False, 1)),
            (MemberState.IDLE, (True, False, False, 1)),
            (MemberState.ENDING, (False, True, True, 1)),
            (MemberState.GONE, (False, False, True, 0)),
        ]
        for state, expected in rows:
            with self.subTest(state=state):
                member = self.member_in(state)
                has_inbox, has_ended = member.inbox is not None, member.close_reason is not None
                handlers = member.session.open_handlers
                self.assertEqual((member.is_open, has_inbox, has_ended, handlers), expected)

    def test_a_member_that_ends_keeps_its_first_close_reason(self):
        member = self.member_in(MemberState.ENDING)
        member._move(MemberState.GONE, "refused")
        self.assertEqual(member.close_reason, "transport close")


class HandshakeAndConnectTests(SessionAssertions):
    """A session opens and joins namespaces: [EIO4 "Handshake"], [SIO5 "Connection to a namespace"], [SIO06]."""

    def test_the_open_packet_is_the_first_that_a_client_gets(self):
        session = self.client(HandMovedHub(), join=False)
        (sent,) = session.outlet.sent
        self.assertEqual(json.loads(sent[1:])["sid"], session.sid)
        self.assertEqual(json.loads(sent[1:])["upgrades"], [])

    def test_a_polling_client_is_offered_the_upgrade(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING, join=False)
        self.assertEqual(json.loads(session.outlet.answer()[1:])["upgrades"], ["websocket"])

    def test_a_connect_is_answered_with_an_id_that_is_not_the_sid(self):
        session = self.client(HandMovedHub())
        self.assertSent(session, '40{"sid":' + json.dumps(session.members["/"].id) + "}")
        self.assertNotEqual(session.members["/"].id, session.sid)
        self.assertIs(session.life, Life.OPEN)

    def test_a_client_has_another_id_in_each_namespace(self):
        session = self.client(HandMovedHub())
        self.say(session, '40/admin,{"token":"x"}')
        self.assertSent(
            session, '40/admin,{"sid":' + json.dumps(session.members["/admin"].id) + "}"
        )
        self.assertEqual(session.members["/admin"].auth, {"token": "x"})
        self.assertNotEqual(session.members["/"].id, session.members["/admin"].id)

    def test_an_unknown_namespace_is_refused_and_the_connection_stays(self):
        session = self.client(HandMovedHub())
        self.say(session, "40/zz,")
        self.assertSent(session, '44/zz,{"message":"Invalid namespace"}')
        self.assertEqual((session.life, set(session.members)), (Life.OPEN, {"/"}))

    def test_a_namespace_beyond_max_namespaces_is_refused(self):
        session = self.client(HandMovedHub(max_namespaces=1))
        self.say(session, "40/admin,")
        self.assertSent(session, '44/admin,{"message":"Too many namespaces"}')

    def test_connecting_twice_to_a_namespace_is_a_payload_error(self):
        session = self.client(HandMovedHub())
        self.assertPayloadError(self.say, session, "40")

    def test_a_packet_for_a_namespace_not_joined_is_a_payload_error(self):
        for text in ('42/admin,["x"]', "43/admin,1[]", "41/admin,", '42/zz,["x"]'):
            with self.subTest(text):
                self.assertPayloadError(self.say, self.client(HandMovedHub()), text)

    def test_an_ack_for_a_namespace_that_the_client_has_left_is_ignored(self):
        session = self.client(HandMovedHub())
        self.say(session, "40/admin,", "41/admin,", '43/admin,0["late"]', "43/admin,1")
        self.assertIs(session.life, Life.OPEN)
        self.assertPayloadError(self.say, session, '42/admin,["x"]')

    def test_at_most_max_namespaces_that_a_client_has_left_are_remembered(self):
        hub = HandMovedHub(max_namespaces=3)
        session = self.client(hub)
        hub.classes |= {f"/{n}": hub.options for n in range(10)}
        hub.namespaces |= {name: Namespace(hub, name, hub.options) for name in hub.classes}
        for n in range(10):
            self.say(session, f"40/{n},", f"41/{n},")
            hub.turn()
        self.assertEqual(len(session.ended_namespaces), 3)

    def test_an_event_without_data_reaches_no_handler_and_ends_nothing(self):
        for dialect, text in (("EIO4", "2"), ("EIO4", "21"), ("EIO3", "2"), ("0.9", "5:::")):
            with self.subTest(text, dialect=dialect):
                session = self.client(HandMovedHub(), dialect)
                session.hub.loop.move_to(0.0)
                session.received(EnginePacket(MESSAGE, text))
                self.assertEqual((session.life, self.handler(session).log), (Life.OPEN, ["open"]))

    def test_an_event_before_the_root_namespace_is_joined_is_a_payload_error(self):
        self.assertPayloadError(self.say, self.client(HandMovedHub(), join=False), '42["x"]')

    def test_a_connect_error_from_a_client_is_a_payload_error(self):
        for text in ("44", '44{"message":"x"}', '44/zz,{"message":"x"}'):
            with self.subTest(text):
                self.assertPayloadError(self.say, self.client(HandMovedHub()), text)

    def test_an_engine_packet_that_a_client_may_not_send_is_a_payload_error(self):
        for text, transport, why in (
            ("2", WEBSOCKET, "PING is ours"),
            ("2prob", WEBSOCKET, "but for the word of an upgrade"),
            ("0", XHR_POLLING, "OPEN is ours"),
            ("2probe", XHR_POLLING, "no upgrade here"),
            ("5", XHR_POLLING, "nor here"),
        ):
            with self.subTest(why):
                session = self.client(HandMovedHub(), transport=transport)
                self.assertPayloadError(self.say, session, text)

    def test_packets_of_an_upgrade_are_tolerated_on_a_session_that_began_as_a_websocket(self):
        for text in ("0", "0{}", "5", "5x", "2probe"):
            with self.subTest(text):
                session = self.client(HandMovedHub())
                self.say(session, text, text)
                self.assertIs(session.life, Life.OPEN)
        self.assertSent(session, "3probe", "3probe")

    def test_a_noop_from_a_client_is_ignored(self):
        session = self.client(HandMovedHub())
        self.say(session, "6")
        self.assertIs(session.life, Life.OPEN)

    def test_a_close_packet_ends_the_session(self):
        session = self.client(HandMovedHub())
        handler, outlet = self.handler(session), session.outlet
        self.say(session, "1")
        self.assertClosedFor(session, "transport close", handler)
        self.assertEqual(outlet.let_go, "released")

    def test_a_client_that_joins_no_namespace_is_closed_after_45_seconds(self):
        session = self.client(HandMovedHub(ping_interval=1000), join=False)
        session.hub.loop.move_to(44.9)
        self.assertIs(session.life, Life.OPENING)
        session.hub.loop.move_to(45.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_joining_a_namespace_disarms_the_connect_timeout(self):
        session = self.client(HandMovedHub(ping_interval=1000))
        self.assertNotIn("connect_over", session.hub.due(session))

    def test_a_client_whose_connect_was_refused_is_closed_at_the_connect_timeout(self):
        session = self.client(HandMovedHub(on_open=lambda handler: False, ping_interval=1000))
        session.hub.loop.move_to(45.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_client_of_0_6_gets_its_sid_when_it_is_accepted(self):
        session = self.client(HandMovedHub(), "0.6")
        self.assertEqual(session.outlet.sent, ["~m~20~m~" + session.sid])
        self.assertIs(session.life, Life.OPEN)

    def test_messages_that_on_open_sends_to_a_client_of_0_6_follow_its_sid(self):
        hub = HandMovedHub(on_open=lambda handler: handler.member.send(message("hi")))
        session = self.client(hub, "0.6", XHR_POLLING)
        hub.turn()
        self.assertEqual(session.outlet.answer(), f"~m~20~m~{session.sid}~m~2~m~hi")


class RefusedConnectTests(SessionAssertions):
    """`on_open` refuses a client: it gets CONNECT_ERROR and its connection stays; a 0.6 client is cut off."""

    def refusing(self, answer: Callable, *args) -> Session:
        return self.client(HandMovedHub(on_open=answer), *args)

    def raising(self, error: Exception) -> Callable:
        def on_open(handler: ScriptedHandler):
            raise error

        return on_open

    def assertRefusedWith(self, session: Session, **reason) -> None:
        self.assertEqual(json.loads(session.outlet.sent[-1][2:]), reason)
        self.assertEqual((session.outlet.sent[-1][:2], session.members), ("44", {}))

    def test_false_from_on_open_refuses_the_connect(self):
        self.assertRefusedWith(self.refusing(lambda handler: False), message="Connection refused")

    def test_any_other_result_of_on_open_accepts_the_connect(self):
        for answer in (None, True, 0, ""):
            with self.subTest(answer=answer):
                self.assertIn("/", self.refusing(lambda handler, answer=answer: answer).members)

    def test_connection_refused_raised_in_on_open_brings_its_reason_to_the_client(self):
        error = ConnectionRefused("no", {"code": 7})
        self.assertRefusedWith(self.refusing(self.raising(error)), message="no", data={"code": 7})

    def test_another_exception_in_on_open_is_reported_and_its_text_is_not_sent_to_the_client(self):
        session = self.refusing(self.raising(ValueError("secret")))
        self.assertRefusedWith(session, message="Server error")
        self.assertEqual([str(error) for error in session.hub.reported], ["secret"])

    def test_a_refused_client_is_in_no_room_and_its_on_close_does_not_run(self):
        def on_open(handler: ScriptedHandler) -> bool:
            handler.member.namespace.join(handler.member, ["lobby"])
            return False

        session = self.refusing(on_open)
        session.end("transport close")
        session.hub.turn()
        self.assertEqual(session.hub.handlers[0].log, ["open"])
        self.assertEqual(
            (session.hub.namespaces["/"].rooms, session.hub.namespaces["/"].members), ({}, {})
        )

    def test_events_that_on_open_has_sent_are_dropped_when_it_refuses(self):
        session = self.refusing(lambda handler: handler.member.send(message("hi")) or False)
        self.assertEqual([text[:2] for text in session.outlet.sent], ["0{", "44"])

    def test_a_refused_client_may_connect_again(self):
        session = self.refusing(lambda handler: len(handler.member.session.hub.handlers) > 1)
        self.say(session, "40")
        self.assertIn("/", session.members)

    def test_a_refused_client_of_0_6_is_cut_off(self):
        session = self.refusing(lambda handler: False, "0.6", XHR_POLLING)
        self.assertIs(session.life, Life.CLOSED)
        self.assertEqual(session.hub.sessions, {})

    # A member keeps its session after a refusal, so nothing but its state stops what it sends.
    def test_events_sent_to_a_member_that_was_refused_are_dropped(self):
        session = self.refusing(lambda handler: False)
        sent = list(session.outlet.sent)
        session.hub.handlers[0].member.send(message("late"))
        self.assertEqual(session.outlet.sent, sent)


class HeartbeatDeadlineTests(unittest.TestCase):
    """[EIO4 "Heartbeat"]: a ping after each interval, a pong within the timeout, or the peer is dead."""

    def heartbeat(self, dialect=DIALECTS["EIO4"], lead: float = 0.0) -> Heartbeat:
        with mock.patch("random.uniform", return_value=1.0):
            return Heartbeat(dialect, 25.0, 20.0, lead, 100.0)

    def test_the_first_ping_is_due_after_the_ping_interval(self):
        heartbeat = self.heartbeat()
        self.assertIs(heartbeat.decide(124.9), Verdict.WAIT)
        self.assertIs(heartbeat.decide(125.0), Verdict.PING)

    def test_the_next_ping_is_due_one_interval_after_the_pong(self):
        heartbeat = self.heartbeat()
        heartbeat.decide(125.0)
        heartbeat.answered("", 126.0)
        self.assertIs(heartbeat.decide(150.9), Verdict.WAIT)
        self.assertIs(heartbeat.decide(151.0), Verdict.PING)

    def test_a_ping_without_a_pong_within_the_timeout_is_death(self):
        heartbeat = self.heartbeat()
        heartbeat.decide(125.0)
        self.assertIs(heartbeat.decide(144.9), Verdict.WAIT)
        self.assertIs(heartbeat.decide(145.0), Verdict.DEAD)

    def test_a_pong_before_any_ping_changes_nothing(self):
        heartbeat = self.heartbeat()
        heartbeat.answered("", 120.0)
        self.assertIs(heartbeat.decide(125.0), Verdict.PING)

    def test_a_second_pong_for_one_ping_changes_nothing(self):
        heartbeat = self.heartbeat()
        heartbeat.decide(125.0)
        for now in (126.0, 140.0):
            heartbeat.answered("", now)
        self.assertEqual(heartbeat.due, 151.0)

    def test_a_pong_with_data_does_not_answer_a_ping(self):
        heartbeat = self.heartbeat()
        heartbeat.decide(125.0)
        heartbeat.answered("probe", 126.0)
        self.assertIs(heartbeat.decide(145.0), Verdict.DEAD)

    def test_numbered_pings_count_from_one(self):
        heartbeat = self.heartbeat(DIALECTS["0.6"])
        for number in ("1", "2", "3"):
            self.assertIs(heartbeat.decide(heartbeat.due), Verdict.PING)
            self.assertEqual(heartbeat.awaited, number)
            heartbeat.answered(number, heartbeat.due)

    def test_a_numbered_ping_is_answered_only_by_its_number(self):
        heartbeat = self.heartbeat(DIALECTS["0.6"])
        heartbeat.decide(125.0)
        for number in ("0", "2", "01", ""):
            heartbeat.answered(number, 126.0)
        self.assertIs(heartbeat.decide(145.0), Verdict.DEAD)

    def test_a_client_that_pings_is_dead_after_interval_and_timeout_without_a_ping(self):
        heartbeat = self.heartbeat(ClientPings())
        self.assertIs(heartbeat.decide(144.9), Verdict.WAIT)
        self.assertIs(heartbeat.decide(145.0), Verdict.DEAD)

    def test_a_ping_of_a_client_that_pings_begins_interval_and_timeout_anew(self):
        heartbeat = self.heartbeat(ClientPings(), lead=1.0)
        heartbeat.pinged(130.0)
        self.assertEqual(heartbeat.due, 175.0)

    def test_clients_that_came_together_are_not_pinged_together(self):
        dues = {Heartbeat(DIALECTS["EIO4"], 25.0, 20.0, 0.0, 0.0).due for _ in range(50)}
        self.assertGreater(len(dues), 40)
        self.assertTrue(all(22.5 <= due <= 25.0 for due in dues))

    def test_a_ping_is_due_one_sweep_early_and_its_pong_has_the_whole_timeout(self):
        heartbeat = self.heartbeat(lead=1.0)
        self.assertEqual(heartbeat.due, 124.0)
        heartbeat.decide(125.0)  # by the last sweep that may bring it
        self.assertEqual(heartbeat.due, 145.0)

    def test_a_deadline_is_extended_once_between_two_pongs(self):
        heartbeat = self.heartbeat()
        heartbeat.decide(125.0)
        self.assertEqual((heartbeat.extend(), heartbeat.due), (True, 190.0))
        self.assertEqual((heartbeat.extend(), heartbeat.due), (False, 190.0))
        heartbeat.answered("", 185.0)
        self.assertTrue(heartbeat.extend())


class SessionHeartbeatTests(SessionAssertions):
    """A session sends the pings, and ends when no pong comes."""

    def setUp(self):
        patch = mock.patch("random.uniform", return_value=1.0)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_session_pings_after_the_interval_and_again_after_the_pong(self):
        session = self.client(HandMovedHub())
        session.hub.loop.move_to(25.0)
        self.assertSent(session, "2")
        session.hub.loop.move_to(26.0)
        self.say(session, "3")
        session.hub.loop.move_to(50.9)
        self.assertEqual(session.outlet.sent.count("2"), 1)
        session.hub.loop.move_to(51.0)
        self.assertEqual(session.outlet.sent.count("2"), 2)

    def test_a_client_that_sends_no_pong_ends_with_ping_timeout(self):
        session = self.client(HandMovedHub())
        handler = self.handler(session)
        for now in (25.0, 44.9, 45.0):
            self.assertIs(session.life, Life.OPEN)
            session.hub.loop.move_to(now)
        self.assertClosedFor(session, "ping timeout", handler)

    def test_an_event_does_not_answer_a_ping(self):
        session = self.client(HandMovedHub())
        session.hub.loop.move_to(25.0)
        session.hub.loop.move_to(44.0)
        self.say(session, '42["x"]')
        session.hub.loop.move_to(45.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_flood_of_pongs_sends_nothing_and_moves_no_deadline(self):
        session = self.client(HandMovedHub())
        sent = list(session.outlet.sent)
        self.say(session, *["3"] * 1000)
        self.assertEqual(
            (session.outlet.sent, session.hub.due(session)["heartbeat_due"]), (sent, 25.0)
        )

    def test_a_polling_client_gets_its_ping_with_its_next_poll(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        session.hub.loop.move_to(25.0)
        self.assertEqual(self.poll(session).answer(), "2")

    def test_a_client_of_0_6_gets_a_numbered_ping_every_ten_seconds(self):
        session = self.client(HandMovedHub(), "0.6")
        session.hub.loop.move_to(10.0)
        self.assertSent(session, "~m~4~m~~h~1")
        session.hub.loop.move_to(11.0)
        session.received(EnginePacket(PONG, "1"))
        session.hub.loop.move_to(21.0)
        self.assertSent(session, "~m~4~m~~h~2")
        session.hub.loop.move_to(29.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_polling_client_of_0_6_is_not_pinged(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        self.assertNotIn("heartbeat_due", session.hub.due(session))
        session.hub.loop.move_to(1.0)
        session.received(EnginePacket(PONG, "1"))
        self.assertNotIn("heartbeat_due", session.hub.due(session))

    def test_a_ping_of_the_client_is_answered_with_its_own_data(self):
        session = self.client(HandMovedHub(), ClientPings())
        session.hub.loop.move_to(40.0)
        self.say(session, "2", "2data")
        self.assertSent(session, "3", "3data")
        session.hub.loop.move_to(84.9)
        self.assertIs(session.life, Life.OPEN)
        session.hub.loop.move_to(85.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_client_that_is_not_read_has_interval_and_timeout_once_more(self):
        session = self.client(HandMovedHub())
        session.reading = False
        session.hub.loop.move_to(25.0)
        session.hub.loop.move_to(45.0)
        self.assertEqual(
            (session.life, session.hub.due(session)), (Life.OPEN, {"heartbeat_due": 90.0})
        )
        session.hub.loop.move_to(90.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_client_that_was_not_read_lives_on_if_its_late_pong_is_read(self):
        session = self.client(HandMovedHub())
        session.reading = False
        session.hub.loop.move_to(25.0)
        session.hub.loop.move_to(45.0)
        session.hub.loop.move_to(89.0)
        self.say(session, "3")
        self.assertEqual(session.hub.due(session), {"heartbeat_due": 114.0})


class UpgradeLadderTests(SessionAssertions):
    """An upgrade goes NONE, PROBED, DONE; messages leave only over the transport in charge: [EIO4 "Upgrade"]."""

    def setUp(self):
        self.session = self.client(HandMovedHub(ping_interval=1000), transport=XHR_POLLING)
        self.session.outlet.answer()
        self.prober = FakeWebSocket(self.session)

    def test_a_session_moves_from_polling_by_a_probe_to_the_websocket(self):
        session = self.session
        poll = self.poll(session)
        self.assertTrue(session.begin_upgrade(self.prober))
        session.probed()
        self.assertEqual((session.upgrade, poll.woken), (Upgrade.PROBED, 1))
        self.assertEqual(poll.answer(), "6")
        session.upgraded(self.prober, DIALECTS["EIO4"])
        self.assertEqual(
            (session.upgrade, session.transport, session.outlet),
            (Upgrade.DONE, WEBSOCKET, self.prober),
        )
        self.assertNotIn("upgrade_over", session.hub.due(session))

    def test_a_poll_that_comes_after_the_probe_gets_a_noop_at_once(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        poll = self.poll(self.session)
        self.assertEqual((poll.woken > 0, poll.answer()), (True, "6"))

    def test_a_poll_after_the_probe_that_has_messages_to_fetch_gets_no_noop(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        self.session.send_engine(MESSAGE, "x")
        self.assertEqual(self.poll(self.session).answer(), "4x")

    def test_messages_leave_by_polling_until_the_upgrade_is_done(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        self.session.send_engine(MESSAGE, "x")
        self.assertEqual(self.prober.sent, [])

    def test_messages_that_waited_leave_over_the_websocket_in_order(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        for text in "abc":
            self.session.send_engine(MESSAGE, text)
        self.session.upgraded(self.prober, DIALECTS["EIO4"])
        self.session.send_engine(MESSAGE, "d")
        self.assertEqual(self.prober.sent, ["4a", "4b", "4c", "4d"])

    def test_the_upgrade_releases_a_poll_that_still_waits(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        poll = self.poll(self.session)
        self.session.upgraded(self.prober, DIALECTS["EIO4"])
        self.assertEqual(poll.let_go, "released")

    def test_an_upgrade_neither_opens_nor_closes_a_handler(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        self.session.upgraded(self.prober, DIALECTS["EIO4"])
        self.assertEqual(self.handler(self.session).log, ["open"])

    def test_a_session_has_one_upgrade_at_a_time(self):
        self.assertTrue(self.session.begin_upgrade(self.prober))
        self.assertFalse(self.session.begin_upgrade(FakeWebSocket(self.session)))
        self.session.probed()
        self.assertFalse(self.session.begin_upgrade(FakeWebSocket(self.session)))

    def test_a_session_upgrades_only_once(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        self.session.upgraded(self.prober, DIALECTS["EIO4"])
        self.assertFalse(self.session.begin_upgrade(FakeWebSocket(self.session)))

    def test_a_session_that_has_ended_cannot_upgrade(self):
        self.session.end("transport close")
        self.assertFalse(self.session.begin_upgrade(self.prober))

    # A handshake that does not offer the upgrade does not keep a client from trying it.
    def test_a_session_cannot_upgrade_where_allow_upgrades_is_false(self):
        session = self.client(HandMovedHub(allow_upgrades=False), transport=XHR_POLLING)
        self.assertFalse(session.begin_upgrade(FakeWebSocket(session)))

    # Otherwise a second WebSocket with the sid would take the place of the first.
    def test_a_session_that_began_as_a_websocket_cannot_upgrade(self):
        session = self.client(HandMovedHub())
        self.assertFalse(session.begin_upgrade(FakeWebSocket(session)))

    def test_an_upgrade_that_takes_ten_seconds_is_dropped(self):
        self.session.hub.loop.move_to(1.0)
        self.session.begin_upgrade(self.prober)
        self.session.hub.loop.move_to(10.9)
        self.assertIsNone(self.prober.let_go)
        self.session.hub.loop.move_to(11.0)
        self.assertEqual((self.prober.let_go, self.session.life), ("dropped", Life.OPEN))

    def test_an_upgrade_that_failed_leaves_polling_as_it_was(self):
        self.session.begin_upgrade(self.prober)
        self.session.probed()
        self.session.abandon_upgrade()
        self.session.send_engine(MESSAGE, "x")
        self.assertEqual(self.poll(self.session).answer(), "4x")
        self.assertEqual((self.session.upgrade, self.poll(self.session).woken), (Upgrade.NONE, 0))
        self.assertNotIn("upgrade_over", self.session.hub.due(self.session))
        self.assertTrue(self.session.begin_upgrade(FakeWebSocket(self.session)))

    def test_the_heartbeat_goes_on_during_an_upgrade(self):
        session = self.client(HandMovedHub(upgrade_timeout=1000), transport=XHR_POLLING)
        session.begin_upgrade(FakeWebSocket(session))
        for now in (25.0, 45.0):
            session.hub.loop.move_to(now)
        self.assertIs(session.life, Life.CLOSED)

    def test_the_end_of_a_session_drops_its_upgrade(self):
        self.session.begin_upgrade(self.prober)
        self.session.end("transport error")
        self.assertEqual(self.prober.let_go, "dropped")


class SessionPollTests(SessionAssertions):
    """Messages wait for a poll, a poll waits for messages, and each wait has its deadline."""

    def test_a_poll_fetches_at_once_all_that_waits(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        for text in "abc":
            session.send_engine(MESSAGE, text)
        poll = self.poll(session)
        self.assertEqual((poll.woken, poll.answer()), (1, "4a\x1e4b\x1e4c"))
        self.assertEqual((session.outbox_bytes, session.outlet), (0, None))

    def test_a_poll_waits_until_there_is_something_to_send(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        poll = self.poll(session)
        self.assertEqual(poll.woken, 0)
        session.send_engine(MESSAGE, "x")
        self.assertEqual(poll.woken, 1)

    def test_messages_of_a_poll_that_died_leave_by_the_next(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        dead = self.poll(session)
        session.send_engine(MESSAGE, "x")
        session.outlet_released(dead)
        self.assertEqual(self.poll(session).answer(), "4x")

    def test_the_release_of_an_old_poll_does_not_detach_the_new_one(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        old, new = session.outlet, self.poll(session)
        session.outlet_released(old)
        self.assertIs(session.outlet, new)

    def test_an_idle_poll_of_0_6_ends_after_20_seconds(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        session.hub.loop.move_to(1.0)
        session.outlet.answer()
        session.hub.loop.move_to(2.0)
        poll = self.poll(session)
        session.hub.loop.move_to(21.9)
        self.assertEqual(poll.woken, 0)
        session.hub.loop.move_to(22.0)
        self.assertEqual((poll.woken, poll.answer()), (1, ""))

    def test_poll_duration_sets_when_an_idle_poll_of_0_6_ends(self):
        session = self.client(HandMovedHub(poll_duration=5.0), "0.6", XHR_POLLING)
        self.assertEqual(session.hub.due(session)["poll_over"], 5.0)

    def test_a_poll_of_engine_io_has_no_deadline(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        self.assertNotIn("poll_over", session.hub.due(session))

    def test_a_client_of_0_6_that_does_not_poll_again_within_8_seconds_is_closed(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        handler = self.handler(session)
        session.hub.loop.move_to(10.0)
        session.outlet.answer()
        session.hub.loop.move_to(17.9)
        self.assertIs(session.life, Life.OPEN)
        session.hub.loop.move_to(18.0)
        self.assertClosedFor(session, "transport close", handler)

    def test_the_next_poll_of_a_client_of_0_6_disarms_its_deadline_of_8_seconds(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        session.hub.loop.move_to(10.0)
        session.outlet.answer()
        session.hub.loop.move_to(17.0)
        self.poll(session)
        self.assertEqual(set(session.hub.due(session)), {"poll_over"})

    def test_a_post_does_not_count_as_the_next_poll_of_a_client_of_0_6(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        session.hub.loop.move_to(10.0)
        session.outlet.answer()
        session.hub.loop.move_to(17.0)
        session.received(EnginePacket(MESSAGE, "x"))
        session.hub.loop.move_to(18.0)
        self.assertIs(session.life, Life.CLOSED)


class OutboxTests(SessionAssertions):
    """A session queues what its client has not yet read, within bounds."""

    def test_messages_leave_in_order_whether_the_socket_is_full_or_not(self):
        session = self.client(HandMovedHub())
        session.send_engine(MESSAGE, "a")
        session.outlet.fill()
        for text in "bc":
            session.send_engine(MESSAGE, text)
        self.assertSent(session, "4a")
        session.outlet.empty()
        session.send_engine(MESSAGE, "d")
        self.assertSent(session, "4a", "4b", "4c", "4d")

    def test_messages_that_wait_are_counted_in_bytes(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        for text in ("x" * 1000, "y"):
            session.send_engine(MESSAGE, text)
        self.assertEqual(session.outbox_bytes, sum(outgoing.size for outgoing in session.outbox))
        self.assertGreater(session.outbox_bytes, 1001)
        session.take_next()
        self.assertEqual(session.outbox_bytes, session.outbox[0].size)

    def behind(self, **options):
        """Return a polling client for which more than `max_buffered_bytes` waits."""
        hub = HandMovedHub(max_buffered_bytes=10_000, **options)
        session = self.client(hub, transport=XHR_POLLING)
        session.outlet.answer()
        self.send(session, 20)
        hub.turn()
        return session

    def send(self, session, count):
        for _ in range(count):
            session.send_engine(MESSAGE, "x" * 800)

    def test_a_client_that_reads_nothing_is_cut_off_after_the_ping_timeout(self):
        session = self.behind(ping_timeout=7.0)
        handler = self.handler(session)
        session.hub.loop.move_to(6.9)
        self.assertIs(session.life, Life.OPEN)
        session.hub.loop.move_to(7.0)
        self.assertClosedFor(session, "transport error", handler)
        self.assertEqual((len(session.outbox), session.outbox_bytes), (0, 0))

    def test_a_client_that_reads_less_than_half_of_what_waits_is_cut_off(self):
        session = self.behind()
        session.take_outbox(9_000)
        session.hub.loop.move_to(20.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_a_client_that_reads_half_of_what_waits_goes_on_and_is_judged_again(self):
        session = self.behind()
        for now in (20.0, 40.0, 60.0):
            session.take_outbox(12_000)
            self.send(session, 12)  # what comes meanwhile does not count against it
            session.hub.loop.move_to(now)
            self.assertIs(session.life, Life.OPEN)
        session.hub.loop.move_to(79.9)
        self.assertIs(session.life, Life.OPEN)
        session.hub.loop.move_to(80.0)
        self.assertIs(session.life, Life.CLOSED)

    def test_messages_that_leave_before_the_next_turn_never_cut_a_client_off(self):
        session = self.client(HandMovedHub(max_buffered_bytes=10_000), transport=XHR_POLLING)
        for _ in range(3):
            self.send(session, 20)
            self.poll(session).answer()
            session.ease()
            session.hub.turn()
        session.hub.loop.move_to(20.0)
        self.assertEqual((session.life, session.backlog), (Life.OPEN, None))

    def test_a_client_far_above_max_buffered_bytes_is_cut_off_at_once(self):
        session = self.behind()
        self.send(session, 140)
        self.assertIs(session.life, Life.OPEN)
        self.send(session, 1)
        self.assertIs(session.life, Life.CLOSED)

    def test_empty_messages_are_charged_for_the_memory_they_cost(self):
        session = self.client(HandMovedHub(max_buffered_bytes=10_000), transport=XHR_POLLING)
        session.outlet.answer()
        for _ in range(801):
            session.send_engine(MESSAGE)
        self.assertIs(session.life, Life.CLOSED)

    def test_no_event_of_a_client_above_max_buffered_bytes_is_run(self):
        session = self.behind()
        handler = self.handler(session)
        self.say(session, '42["a"]', '42["b"]')
        session.hub.turn()
        self.assertEqual(handler.log, ["open"])
        self.poll(session).answer()
        session.ease()
        session.hub.turn()
        self.assertEqual(handler.log, ["open", "a", "b"])
        self.say(session, '42["c"]')
        self.assertEqual(handler.log[-1], "c")

    def test_events_that_wait_for_the_outbox_run_before_on_close(self):
        session = self.behind()
        handler = self.handler(session)
        self.say(session, '42["a"]')
        session.end("ping timeout")
        self.assertClosedFor(session, "ping timeout", handler)
        self.assertEqual(handler.log, ["open", "a", "closed: ping timeout"])

    def test_an_event_that_sends_too_much_holds_back_the_next(self):
        session = self.client(HandMovedHub(max_buffered_bytes=10_000))
        handler = self.handler(session)
        session.outlet.fill()
        handler.answer = lambda packet: self.send(session, 8)
        self.say(session, *['42["x"]'] * 10)
        self.assertEqual(handler.log, ["open", "x", "x"])
        for _ in range(5):
            session.outlet.empty()
            session.ease()
            session.outlet.fill()
            session.hub.turn()
        self.assertEqual(handler.log, ["open", *["x"] * 10])

    def test_a_client_that_reads_a_lot_has_time_for_its_pong(self):
        session = self.behind()
        for now in range(10, 200, 10):
            session.take_outbox(9_000)
            self.send(session, 9)
            session.hub.loop.move_to(float(now))
        self.assertIs(session.life, Life.OPEN)

    def test_a_polling_client_takes_volatile_messages_only_while_an_idle_poll_waits(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        self.assertFalse(session.takes_volatile, "no poll")
        poll = self.poll(session)
        self.assertTrue(session.takes_volatile, "a poll")
        session.outlet_released(poll)
        session.send_engine(MESSAGE, "x")
        self.assertFalse(session.takes_volatile, "something waits")

    def test_a_websocket_takes_no_volatile_message_while_others_wait(self):
        session = self.client(HandMovedHub())
        self.assertTrue(session.takes_volatile)
        session.outlet.fill()
        session.send_engine(MESSAGE, "x")
        self.assertFalse(session.takes_volatile)

    # The outbox is still empty when the socket has just become full.
    def test_a_full_socket_takes_no_volatile_message(self):
        session = self.client(HandMovedHub())
        session.outlet.fill()
        self.assertFalse(session.takes_volatile)

    def test_the_bytes_of_a_frame_are_made_once(self):
        outgoing = Outgoing(DIALECTS["EIO4"], DIALECTS["EIO4"].encode_packet(message(b"x")))
        with mock.patch("socket_io.encode_message", side_effect=encode_message) as encode:
            first, second = outgoing.frame, outgoing.frame
        self.assertIs(first, second)
        self.assertEqual(encode.call_count, 2)


class SessionClosingTests(SessionAssertions):
    """A session that closes first sends what was sent before, then its close packet."""

    def test_a_closing_websocket_gets_what_was_sent_before_and_is_dropped(self):
        session = self.client(HandMovedHub())
        handler, outlet = self.handler(session), session.outlet
        outlet.fill()
        session.send_engine(MESSAGE, "last words")
        session.close("server shutting down")
        self.assertIs(session.life, Life.CLOSING)
        outlet.empty()
        self.assertEqual((outlet.sent[-1], outlet.let_go), ("4last words", "dropped"))
        self.assertClosedFor(session, "server shutting down", handler)

    def test_a_poll_fetches_the_last_messages_and_the_close_packet(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.outlet.answer()
        session.send_engine(MESSAGE, "last words")
        session.close("server shutting down")
        self.assertIs(session.life, Life.CLOSING)
        self.assertEqual(self.poll(session).answer(), "4last words\x1e1")
        self.assertIs(session.life, Life.CLOSED)

    def test_on_close_runs_when_closing_begins(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        handler = self.handler(session)
        session.close("server shutting down")
        session.hub.turn()
        self.assertEqual(handler.log, ["open", "closed: server shutting down"])

    def test_a_poll_of_0_6_ends_empty_when_its_session_closes(self):
        session = self.client(HandMovedHub(), "0.6", XHR_POLLING)
        session.outlet.answer()
        session.close("server shutting down")
        self.assertEqual(self.poll(session).answer(), "")
        self.assertIs(session.life, Life.CLOSED)

    def test_a_client_that_does_not_fetch_its_close_packet_is_ended_after_a_minute(self):
        session = self.client(HandMovedHub(ping_interval=1000), transport=XHR_POLLING)
        session.hub.loop.move_to(1.0)
        session.close("server shutting down")
        session.hub.loop.move_to(60.9)
        self.assertIs(session.life, Life.CLOSING)
        session.hub.loop.move_to(61.0)
        self.assertIs(session.life, Life.CLOSED)

    # The namespaces are gone by now; a payload error would lose the close packet.
    def test_packets_received_while_a_session_closes_are_ignored(self):
        for text in ('42["x"]', "41", "431[]"):
            with self.subTest(text):
                session = self.client(HandMovedHub(), transport=XHR_POLLING)
                session.outlet.answer()
                session.send_engine(MESSAGE, "last words")
                session.close("server shutting down")
                self.say(session, text)
                self.assertEqual(self.poll(session).answer(), "4last words\x1e1")

    # Otherwise a handler would be opened on a session that is going.
    def test_no_namespace_is_joined_while_a_session_closes(self):
        session = self.client(HandMovedHub(), transport=XHR_POLLING)
        session.close("server shutting down")
        self.say(session, "40", "40/admin,")
        self.assertEqual((session.members, len(session.hub.handlers)), ({}, 1))

    def test_a_lost_websocket_ends_its_session(self):
        session = self.client(HandMovedHub())
        handler = self.handler(session)
        session.outlet_lost(session.outlet, "transport close")
        self.assertClosedFor(session, "transport close", handler)

    def test_the_loss_of_a_websocket_that_carries_no_session_ends_nothing(self):
        session = self.client(HandMovedHub())
        session.outlet_lost(FakeWebSocket(session), "transport close")
        self.assertIs(session.life, Life.OPEN)

    def test_a_client_that_leaves_a_namespace_stays_in_the_others(self):
        session = self.client(HandMovedHub())
        self.say(session, "40/admin,")
        handler = self.handler(session, "/admin")
        self.say(session, "41/admin,")
        session.hub.turn()
        self.assertEqual(handler.log, ["open", "closed: client namespace disconnect"])
        self.assertEqual((set(session.members), session.life), ({"/"}, Life.OPEN))

    def test_a_client_that_joins_again_gets_a_new_id(self):
        session = self.client(HandMovedHub())
        first = session.members["/"].id
        self.say(session, "41", "40")
        self.assertNotEqual(session.members["/"].id, first)

    def test_packets_on_their_way_to_a_namespace_that_the_server_ended_are_ignored(self):
        session = self.client(HandMovedHub())
        session.members["/"].end("server namespace disconnect")
        self.say(session, '42["x"]', "431[]", "41")
        self.assertIs(session.life, Life.OPEN)
        self.say(session, "40", '42["x"]')
        self.assertEqual(self.handler(session).log, ["open", "x"])

    def test_packets_for_a_namespace_that_the_client_left_are_a_payload_error(self):
        session = self.client(HandMovedHub())
        self.say(session, "41")
        self.assertPayloadError(self.say, session, '42["x"]')

    # The client may have joined again: a packet of the old member must not reach the new one.
    def test_packets_sent_to_a_member_that_has_left_are_dropped(self):
        session = self.client(HandMovedHub())
        member = session.members["/"]
        self.say(session, "41", "40")
        sent = list(session.outlet.sent)
        member.send(message("for the one before"))
        member.send(Packet(ACK, "/", [], 1))
        self.assertEqual(session.outlet.sent, sent)


class AttachmentSessionTests(SessionAssertions):
    """After the header of a binary event come its attachments and nothing else: [SIO5 "Sending and receiving data"]."""

    HEADER = '452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'

    def test_an_event_runs_when_its_last_attachment_has_come(self):
        session = self.client(HandMovedHub())
        got = []
        self.handler(session).answer = lambda packet: got.append(packet.data)
        self.say(session, self.HEADER, b"a")
        self.assertEqual(got, [])
        self.say(session, b"b", '42["y"]')
        self.assertEqual(got, [["x", b"a", b"b"], ["y"]])

    def test_a_packet_between_attachments_is_a_payload_error(self):
        for text in ('42["y"]', self.HEADER, "41", "4"):
            with self.subTest(text):
                session = self.client(HandMovedHub())
                self.say(session, self.HEADER)
                self.assertPayloadError(self.say, session, text)

    def test_a_pong_between_attachments_is_no_error(self):
        session = self.client(HandMovedHub())
        self.say(session, self.HEADER, b"a", "3", b"b")
        self.assertEqual(self.handler(session).log, ["open", "x"])

    def test_an_attachment_that_nobody_announced_is_a_payload_error(self):
        self.assertPayloadError(self.say, self.client(HandMovedHub()), b"a")

    def test_the_attachments_of_one_event_are_bounded_by_max_message_bytes_together(self):
        session = self.client(HandMovedHub(max_message_bytes=1000))
        self.say(session, self.HEADER, b"a" * 600)
        self.assertPayloadError(self.say, session, b"b" * 401)

    def test_more_attachments_than_max_attachments_are_a_payload_error(self):
        session = self.client(HandMovedHub(), DIALECTS["EIO4"].with_facts(max_attachments=1))
        self.assertPayloadError(self.say, session, self.HEADER)

    def test_the_end_of_a_session_forgets_the_attachments_that_have_come(self):
        session = self.client(HandMovedHub())
        self.say(session, self.HEADER, b"a")
        session.end("transport close")
        self.assertIsNone(session.assembler)


class AsyncSessionTestCase(SessionAssertions, unittest.IsolatedAsyncioTestCase):
    """A test case with a real loop for coroutines, whose clock is still moved by hand."""

    async def settle(self, hub: HandMovedHub | None = None) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            if hub is not None:
                hub.turn()

    def ask(self, member: Member) -> tuple[int, asyncio.Future]:
        """Send a packet that wants an ack; return its ack id and the future of the ack's arguments."""
        packet = message("question")
        future = member.ask(packet)
        return packet.ack_id, future

    def gate(self) -> asyncio.Future:
        """Return a future for a coroutine to wait for."""
        return asyncio.get_running_loop().create_future()


class SlowOnOpenTests(AsyncSessionTestCase):
    """`on_open` may be a coroutine: packets from the client wait for it, packets to the client follow the CONNECT."""

    async def asyncSetUp(self):
        self.answer = self.gate()
        self.hub = HandMovedHub(on_open=self.on_open)
        self.session = self.client(self.hub)
        self.member = self.session.members["/"]

    async def on_open(self, handler: ScriptedHandler):
        handler.member.send(message("first"))
        return await self.answer

    async def accept(self, answer=None) -> None:
        await self.settle()
        self.answer.set_result(answer)
        await self.settle(self.hub)

    async def test_events_wait_while_on_open_runs(self):
        self.say(self.session, '42["a"]', '42["b"]')
        await self.settle()
        self.assertEqual(self.member.handler.log, ["open"])
        await self.accept()
        self.assertEqual(self.member.handler.log, ["open", "a", "b"])

    async def test_events_sent_while_on_open_runs_follow_the_connect(self):
        await self.settle()
        self.hub.namespaces["/"].send_to(message("broadcast"), Target())
        self.assertEqual(len(self.session.outlet.sent), 1)
        await self.accept()
        self.assertSent(
            self.session,
            f'40{{"sid":"{self.member.id}"}}',
            '42["message","first"]',
            '42["message","broadcast"]',
        )

    async def test_connects_that_wait_for_on_open_of_the_root_are_counted_as_waiting_bytes(self):
        for answer, namespaces in ((None, {"/", "/admin"}), (False, set())):
            with self.subTest(answer=answer):
                self.answer = self.gate()
                session = self.client(self.hub, "EIO3")
                self.say(session, "40/admin?page=" + "x" * 100)
                self.assertGreater(session.waiting_bytes, 100)
                await self.accept(answer)
                left = session.waiting_bytes, session.postponed, set(session.members)
                self.assertEqual(left, (0, {}, namespaces))

    async def test_a_refusal_by_a_slow_on_open_drops_events_in_both_directions(self):
        self.say(self.session, '42["a"]')
        await self.accept(False)
        self.assertEqual(self.hub.handlers[0].log, ["open"])
        self.assertSent(self.session, '44{"message":"Connection refused"}')
        self.assertEqual(self.session.waiting_bytes, 0)

    async def test_an_exception_in_a_slow_on_open_refuses_the_connect(self):
        await self.settle()
        self.answer.set_exception(ValueError("secret"))
        await self.settle()
        self.assertSent(self.session, '44{"message":"Server error"}')
        self.assertEqual(len(self.hub.reported), 1)

    async def test_an_on_open_that_exceeds_the_connect_timeout_refuses_the_connect(self):
        await self.settle()
        self.assertEqual(self.hub.due(self.member), {"overdue": 45.0})
        self.member.overdue()
        await self.settle(self.hub)
        self.assertSent(self.session, '44{"message":"Timed out"}')
        self.assertEqual(self.hub.due(self.member), {})

    async def test_other_namespaces_do_not_wait_for_a_slow_on_open(self):
        self.hub.on_open = lambda handler: None
        self.say(self.session, "40/admin,", '42/admin,["x"]')
        self.assertEqual(self.handler(self.session, "/admin").log, ["open", "x"])

    async def test_on_close_of_a_client_that_went_during_on_open_runs_after_it(self):
        self.say(self.session, '42["a"]')
        self.session.end("transport close")
        await self.settle(self.hub)
        self.assertEqual(self.member.handler.log, ["open"])
        await self.accept()
        self.assertEqual(self.hub.handlers[0].log, ["open", "a", "closed: transport close"])

    async def test_on_close_does_not_run_for_a_client_that_went_and_was_then_refused(self):
        self.session.end("transport close")
        await self.accept(False)
        self.assertEqual(self.hub.handlers[0].log, ["open"])

    async def test_events_held_while_on_open_runs_are_bounded(self):
        self.hub.options.max_buffered_bytes = 5000
        for _ in range(60):
            self.member.send(message("x" * 1000))
        self.assertIs(self.session.life, Life.OPENING)
        for _ in range(10):
            self.member.send(message("x" * 1000))
        self.assertIs(self.session.life, Life.CLOSED)
        await self.accept()

    async def test_a_client_has_time_to_read_the_events_held_while_on_open_ran(self):
        self.hub.options.max_buffered_bytes = 5000
        for _ in range(10):
            self.member.send(message("x" * 1000))
        self.hub.turn()
        self.session.hub.loop.move_to(30.0)  # it was `on_open` that took so long
        self.assertIs(self.session.life, Life.OPENING)
        await self.accept()
        self.hub.turn()
        self.assertEqual((self.session.life, self.session.held_bytes), (Life.OPEN, 0))
        events = [text for text in self.session.outlet.sent if text.startswith("42")]
        self.assertEqual(len(events), 11)

    async def test_an_ack_cannot_be_asked_for_while_on_open_runs(self):
        with self.assertRaises(Disconnected):
            self.ask(self.member)
        await self.accept()
        self.ask(self.member)


class EventOrderTests(AsyncSessionTestCase):
    """Events of one handler run one after the other; a coroutine is finished before the next begins."""

    async def asyncSetUp(self):
        self.hub = HandMovedHub()
        self.session = self.client(self.hub)
        self.member = self.session.members["/"]
        self.log = self.member.handler.log
        self.gates = {}
        self.member.handler.answer = self.run_event

    def run_event(self, packet: Packet):
        """Let events whose names begin with "slow" wait until their gate opens."""
        if packet.data[0].startswith("slow"):
            return self.wait(packet.data[0])
        return None

    async def wait(self, name: str) -> None:
        self.gates[name] = self.gate()
        try:
            await self.gates[name]
        except asyncio.CancelledError:
            self.log.append(name + " cancelled")
            raise
        self.log.append(name + " done")

    async def test_an_event_whose_method_is_plain_runs_at_once(self):
        self.say(self.session, '42["a"]', '42["b"]')
        self.assertEqual(self.log, ["open", "a", "b"])
        self.assertEqual((self.hub.clock.tasks, self.member.inbox), (set(), None))

    async def test_events_wait_until_the_coroutine_of_the_one_before_is_finished(self):
        self.say(self.session, '42["slow"]', '42["a"]', '42["b"]')
        await self.settle()
        self.assertEqual(self.log, ["open", "slow"])
        self.gates["slow"].set_result(None)
        await self.settle()
        self.assertEqual(self.log[1:], ["slow", "slow done", "a", "b"])
        self.assertEqual(
            (self.hub.clock.tasks, self.member.inbox, self.member.task), (set(), None, None)
        )

    async def test_events_that_wait_run_in_order(self):
        self.say(self.session, '42["slow1"]', '42["slow2"]', '42["a"]')
        for name in ("slow1", "slow2"):
            await self.settle()
            self.gates[name].set_result(None)
        await self.settle()
        self.assertEqual(self.log[1:], ["slow1", "slow1 done", "slow2", "slow2 done", "a"])

    async def test_heartbeats_acks_and_other_namespaces_do_not_wait_for_a_coroutine(self):
        self.say(self.session, "40/admin,", '42["slow"]', '42/admin,["x"]')
        ack_id, future = self.ask(self.member)
        self.say(self.session, f'43{ack_id}["ok"]', "3")
        self.assertEqual(self.handler(self.session, "/admin").log, ["open", "x"])
        self.assertEqual(future.result(), ["ok"])

    async def test_on_close_runs_once_after_the_events_that_have_come(self):
        self.say(self.session, '42["slow"]', '42["a"]')
        self.session.end("transport close")
        self.session.end("ping timeout")
        await self.settle(self.hub)
        self.assertEqual(self.log, ["open", "slow"])
        self.gates["slow"].set_result(None)
        await self.settle(self.hub)
        self.assertEqual(self.log[1:], ["slow", "slow done", "a", "closed: transport close"])

    async def test_on_close_runs_in_a_turn_of_its_own(self):
        self.session.end("transport close")
        self.assertEqual(self.log, ["open"])
        self.hub.turn()
        self.assertEqual(self.log, ["open", "closed: transport close"])

    async def test_an_event_may_end_its_own_session(self):
        self.member.handler.answer = lambda packet: self.session.end("forced close")
        self.say(self.session, '42["a"]', '42["b"]')
        await self.settle(self.hub)
        self.assertEqual(self.log, ["open", "a", "closed: forced close"])

    # The inbox holds the end of the member, and must outlast the coroutine's own start.
    async def test_a_coroutine_that_ends_its_own_session_finishes_before_on_close(self):
        def end_and_wait(packet: Packet):
            self.session.end("forced close")
            return self.wait("slow")

        self.member.handler.answer = end_and_wait
        self.say(self.session, '42["a"]')
        await self.settle(self.hub)
        self.assertEqual(self.log, ["open", "a"])
        self.gates["slow"].set_result(None)
        await self.settle(self.hub)
        self.assertEqual(self.log, ["open", "a", "slow done", "closed: forced close"])

    async def test_a_coroutine_that_is_stuck_is_cancelled_so_that_on_close_runs(self):
        self.say(self.session, '42["slow"]', '42["a"]')
        await self.settle()
        self.session.end("transport close")
        self.assertEqual(self.hub.due(self.member), {"overdue": 60.0})
        self.member.overdue()
        await self.settle(self.hub)
        self.assertEqual(self.log[1:], ["slow", "slow cancelled", "a", "closed: transport close"])
        self.assertEqual(self.hub.due(self.member), {})

    async def test_a_coroutine_that_has_not_begun_is_cancelled_so_that_on_close_runs(self):
        self.say(self.session, '42["slow"]', '42["a"]')
        self.session.end("transport close")
        self.member.overdue()
        await self.settle(self.hub)
        self.assertEqual(self.log[1:], ["slow", "slow cancelled", "a", "closed: transport close"])
        self.assertEqual(self.hub.due(self.member), {})

    async def test_the_events_after_a_cancelled_one_run(self):
        self.say(self.session, '42["slow1"]', '42["a"]', '42["slow2"]', '42["b"]')
        await self.settle()
        self.gates["slow1"].cancel()
        await self.settle()
        self.gates["slow2"].set_result(None)
        await self.settle()
        self.assertEqual(
            self.log[1:], ["slow1", "slow1 cancelled", "a", "slow2", "slow2 done", "b"]
        )
        self.assertIsNone(self.member.inbox)

    async def test_a_long_queue_of_events_lets_other_tasks_run(self):
        self.say(self.session, '42["slow"]', *['42["a"]'] * 1000)
        await self.settle()
        self.gates["slow"].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.assertLess(len(self.log), 500)
        for _ in range(4):
            await self.settle(self.hub)
        self.assertEqual(len(self.log), 1003)


class WaitingEventTests(AsyncSessionTestCase):
    """Events that wait are counted in bytes: above one limit reading pauses, above another the client is cut off."""

    async def asyncSetUp(self):
        self.hub = HandMovedHub(max_message_bytes=1000, max_buffered_bytes=5000, max_packets=1)
        self.session = self.client(self.hub)
        self.member = self.session.members["/"]
        self.busy = self.gate()
        self.member.handler.answer = lambda packet: (
            self.wait(self.busy) if packet.data[0] == "slow" else None
        )
        self.say(self.session, '42["slow"]')

    async def wait(self, future: asyncio.Future) -> None:
        await future

    def event(self, size: int) -> str:
        return "42" + json.dumps(["x", "y" * (size - len('2["x", ""]'))])

    async def test_reading_pauses_above_the_limit_of_waiting_bytes_and_resumes_below(self):
        self.say(self.session, self.event(800))
        self.assertEqual((self.session.reading, self.session.waiting_bytes), (True, 1000))
        self.say(self.session, self.event(100))
        self.assertEqual((self.session.reading, self.session.outlet.reading), (False, False))
        self.busy.set_result(None)
        await self.settle()
        self.assertEqual((self.session.reading, self.session.outlet.reading), (True, True))
        self.assertEqual(self.session.waiting_bytes, 0)

    async def test_the_event_that_runs_is_not_counted_as_waiting(self):
        self.assertEqual(self.session.waiting_bytes, 0)

    @mock.patch.object(socket_io, "MAX_READ_COST", 0)
    async def test_a_client_far_above_the_limit_of_waiting_bytes_is_cut_off(self):
        for _ in range(20):
            self.say(self.session, self.event(800))
        self.assertIs(self.session.life, Life.OPEN)
        self.say(self.session, self.event(1000))
        self.assertEqual(
            (self.session.life, self.member.close_reason), (Life.CLOSED, "transport error")
        )
        self.busy.set_result(None)
        await self.settle(self.hub)

    async def test_the_attachments_of_waiting_events_are_counted(self):
        self.say(self.session, '451-["x",{"_placeholder":true,"num":0}]', b"y" * 900)
        self.assertGreaterEqual(self.session.waiting_bytes, 900)

    async def test_a_client_that_owes_an_ack_is_read_above_the_limit(self):
        ack_id, future = self.ask(self.member)
        self.say(self.session, self.event(1000), self.event(1000))
        self.assertTrue(self.session.reading)
        self.say(self.session, f"43{ack_id}[]", self.event(100))
        self.assertEqual((future.done(), self.session.reading), (True, False))

    async def test_asking_for_an_ack_resumes_reading(self):
        self.say(self.session, self.event(1000), self.event(1000))
        self.assertFalse(self.session.reading)
        self.ask(self.member)
        self.assertEqual((self.session.reading, self.session.outlet.reading), (True, True))

    async def test_a_post_that_is_held_is_released_when_the_session_reads_again(self):
        released = []
        self.say(self.session, self.event(1000), self.event(1000))
        self.session.post = types.SimpleNamespace(reading_resumed=lambda: released.append(True))
        self.assertEqual(released, [])
        self.busy.set_result(None)
        await self.settle()
        self.assertEqual(released, [True])

    async def test_the_end_of_a_session_releases_a_post_that_is_held(self):
        released = []
        self.say(self.session, self.event(1000), self.event(1000))
        self.session.post = types.SimpleNamespace(reading_resumed=lambda: released.append(True))
        self.session.end("transport close")
        self.assertEqual(released, [True])

    async def test_the_waiting_events_of_all_namespaces_are_counted_together(self):
        self.say(self.session, "40/admin,")
        self.handler(self.session, "/admin").answer = lambda packet: self.wait(self.busy)
        event = self.event(600).replace("42", "42/admin,", 1)
        self.say(self.session, '42/admin,["first"]', event, self.event(600))
        self.assertFalse(self.session.reading)


class MemberAckTests(AsyncSessionTestCase):
    """Ack ids count from 0 in each namespace of a client; each is answered at most once: [SIO5 "Acknowledgement"]."""

    async def asyncSetUp(self):
        self.hub = HandMovedHub()
        self.session = self.client(self.hub)
        self.member = self.session.members["/"]

    async def test_ack_ids_count_from_zero_in_each_namespace(self):
        self.say(self.session, "40/admin,")
        admin = self.session.members["/admin"]
        ids = [self.ask(member)[0] for member in (self.member, self.member, admin)]
        self.assertEqual(ids, [0, 1, 0])

    async def test_an_ack_resolves_its_future(self):
        ack_id, future = self.ask(self.member)
        self.say(self.session, f'43{ack_id}["a",1]')
        self.assertEqual(future.result(), ["a", 1])
        self.assertEqual((self.member.acks, self.session.owed_acks), ({}, 0))

    async def test_acks_may_come_in_any_order(self):
        (first, one), (second, two) = self.ask(self.member), self.ask(self.member)
        self.say(self.session, f"43{second}[2]", f"43{first}[1]")
        self.assertEqual((one.result(), two.result()), ([1], [2]))

    async def test_an_ack_may_bring_attachments(self):
        ack_id, future = self.ask(self.member)
        self.say(self.session, f'461-{ack_id}[{{"_placeholder":true,"num":0}}]', b"data")
        self.assertEqual(future.result(), [b"data"])

    async def test_an_ack_that_nobody_waits_for_is_ignored(self):
        self.say(self.session, "435[]", "43999999999999999[]")
        ack_id, future = self.ask(self.member)
        self.say(self.session, f"43{ack_id}[1]", f"43{ack_id}[2]")
        self.assertEqual((future.result(), self.session.owed_acks), ([1], 0))

    async def test_an_ack_from_another_namespace_does_not_resolve_the_future(self):
        self.say(self.session, "40/admin,")
        ack_id, future = self.ask(self.member)
        self.say(self.session, f"43/admin,{ack_id}[]")
        self.assertFalse(future.done())

    async def test_an_ack_whose_caller_was_cancelled_is_ignored(self):
        ack_id, future = self.ask(self.member)
        future.cancel()
        self.say(self.session, f"43{ack_id}[]")
        self.assertEqual(self.session.owed_acks, 0)

    async def test_the_end_of_a_session_fails_the_acks_it_owes(self):
        _, future = self.ask(self.member)
        self.session.end("ping timeout")
        with self.assertRaisesRegex(Disconnected, "ping timeout"):
            await future
        self.assertEqual(self.session.owed_acks, 0)

    async def test_leaving_a_namespace_fails_the_acks_owed_there(self):
        _, future = self.ask(self.member)
        self.say(self.session, "41")
        self.assertIsInstance(future.exception(), Disconnected)

    async def test_an_ack_whose_future_was_cancelled_is_no_longer_owed(self):
        _, future = self.ask(self.member)
        future.cancel()
        await self.settle()
        self.assertEqual((self.member.acks, self.session.owed_acks), ({}, 0))

    async def test_a_client_that_has_gone_cannot_be_asked_for_an_ack(self):
        self.session.end("ping timeout")
        with self.assertRaisesRegex(Disconnected, "ping timeout"):
            self.ask(self.member)

    async def test_a_client_of_0_6_cannot_be_asked_for_an_ack(self):
        with self.assertRaises(NotSupported):
            self.ask(self.client(self.hub, "0.6").members["/"])


# -- 9. Rooms --------------------------------------------------------------------------


class RoomAssertions(SessionAssertions):
    """A test case with three clients of one namespace, and `io` for all of them."""

    def setUp(self):
        self.hub = HandMovedHub(max_rooms=5)
        self.namespace = self.hub.namespaces["/"]
        self.io = NamespaceIO(((self.hub, "/"),))
        self.ann, self.bob, self.eve = (self.client(self.hub).members["/"] for _ in range(3))
        self.everybody = [self.ann, self.bob, self.eve]

    def got(self, member: Member) -> list[str]:
        """Return the names of the events that have reached *member*."""
        texts = [text for text in member.session.outlet.sent if isinstance(text, str)]
        events = [re.fullmatch(r"4(?:2|5\d+-)(\[.*)", text) for text in texts]
        return [json.loads(event[1])[0] for event in events if event]

    def assertReached(self, event: str, *members: Member) -> None:
        """Assert that each of *members* got *event* once, and nobody else did."""
        counts = [self.got(member).count(event) for member in self.everybody]
        self.assertEqual(counts, [int(member in members) for member in self.everybody])


class RoomTests(RoomAssertions):
    """Clients join and leave rooms; a room exists while a client is in it."""

    def test_a_room_exists_while_a_client_is_in_it(self):
        self.namespace.join(self.ann, ["lobby"])
        self.namespace.join(self.bob, ["lobby"])
        self.namespace.leave(self.ann, ["lobby"])
        self.assertEqual(list(self.namespace.rooms), ["lobby"])
        self.namespace.leave(self.bob, ["lobby"])
        self.assertEqual((self.namespace.rooms, self.bob.rooms), ({}, set()))

    def test_joining_a_room_twice_is_joining_it_once(self):
        self.namespace.join(self.ann, ["lobby", "lobby"])
        self.namespace.join(self.ann, ["lobby"])
        self.assertEqual(self.namespace.select(Target(frozenset(["lobby"]))), [self.ann])
        self.namespace.leave(self.ann, ["lobby"])
        self.assertEqual(self.namespace.rooms, {})

    def test_leaving_a_room_that_a_client_is_not_in_changes_nothing(self):
        self.namespace.join(self.bob, ["lobby"])
        self.namespace.leave(self.ann, ["lobby", "other"])
        self.assertEqual(list(self.namespace.rooms["lobby"]), [self.bob])

    def test_a_client_that_goes_leaves_its_rooms_but_still_knows_their_names(self):
        self.namespace.join(self.ann, ["lobby", "other"])
        self.ann.session.end("transport close")
        self.assertEqual((self.namespace.rooms, self.ann.rooms), ({}, {"lobby", "other"}))
        self.assertNotIn(self.ann.id, self.namespace.members)

    def test_a_client_that_has_gone_cannot_join_a_room(self):
        self.ann.session.end("transport close")
        with self.assertRaises(Disconnected):
            self.namespace.join(self.ann, ["lobby"])
        self.assertEqual(self.namespace.rooms, {})

    def test_leaving_a_room_is_no_error_for_a_client_that_has_gone(self):
        self.namespace.join(self.ann, ["lobby"])
        self.ann.session.end("transport close")
        self.namespace.leave(self.ann, ["lobby"])
        self.assertEqual(self.ann.rooms, {"lobby"})

    def test_a_client_is_in_at_most_max_rooms(self):
        self.namespace.join(self.ann, "abcde")
        self.namespace.join(self.ann, "abc")
        with self.assertRaises(SocketIOError):
            self.namespace.join(self.ann, ["f"])
        self.assertEqual((self.ann.rooms, set(self.namespace.rooms)), (set("abcde"), set("abcde")))

    def test_the_room_of_a_clients_own_id_does_not_count_for_max_rooms(self):
        self.namespace.join(self.ann, [*"abcde", self.ann.id])
        self.assertEqual((self.ann.rooms, set(self.namespace.rooms)), (set("abcde"), set("abcde")))

    def test_a_room_name_that_is_no_string_raises_type_error(self):
        for name in (1, None, b"x", ("a",)):
            with self.subTest(name=name), self.assertRaises(TypeError):
                self.namespace.join(self.ann, [name])
        self.assertEqual((self.namespace.rooms, self.ann.rooms), ({}, frozenset()))

    # Names are checked before any is entered, or those before the bad one would stay in the table.
    def test_one_bad_room_name_among_good_ones_joins_none(self):
        for number in range(50):  # a set has its own order
            with self.assertRaises(TypeError):
                self.namespace.join(self.ann, ["a", "b", "c", "d", number])
        self.assertEqual((self.namespace.rooms, self.ann.rooms), ({}, frozenset()))

    def test_a_client_of_0_6_is_found_by_its_sid(self):
        session = self.client(self.hub, "0.6")
        self.assertEqual(
            self.namespace.select(Target(frozenset([session.sid]))), [session.members["/"]]
        )
        session.end("transport close")
        self.assertEqual(self.namespace.rooms, {})

    def test_a_client_of_engine_io_4_is_not_found_by_its_sid(self):
        self.assertEqual(self.namespace.select(Target(frozenset([self.ann.session.sid]))), [])

    def test_namespaces_have_rooms_of_their_own(self):
        self.namespace.join(self.ann, ["lobby"])
        self.assertEqual(self.hub.namespaces["/admin"].select(Target(frozenset(["lobby"]))), [])


class RoomSelectionTests(RoomAssertions):
    """A target selects the members of any of its rooms and of none of its excluded rooms, each once."""

    def setUp(self):
        super().setUp()
        self.namespace.join(self.ann, ["a", "both"])
        self.namespace.join(self.bob, ["b", "both"])

    def test_members_are_selected_by_rooms_and_exceptions_each_once(self):
        ann, bob, eve = self.everybody
        rows = [
            ([], [], [ann, bob, eve], "everybody"),
            (["a"], [], [ann], "one room"),
            (["a", "b"], [], [ann, bob], "any of two"),
            (["a", "both"], [], [ann, bob], "each once"),
            (["nowhere"], [], [], "a room that is none"),
            (["nowhere", "a"], [], [ann], "and one that is"),
            ([], ["both"], [eve], "everybody but"),
            (["both"], ["a"], [bob], "a room but"),
            (["a"], ["a"], [], "excluding wins"),
            ([], ["nowhere"], [ann, bob, eve], "but nobody"),
            ([eve.id], [], [eve], "an id is a room"),
            ([eve.id, "a"], [], [ann, eve], "among others"),
            ([], [eve.id], [ann, bob], "everybody but one"),
            (["both"], [ann.id], [bob], "a room but one"),
        ]
        for rooms, excluded, expected, why in rows:
            with self.subTest(why):
                selected = self.namespace.select(Target(frozenset(rooms), frozenset(excluded)))
                self.assertEqual(len(selected), len(expected))
                self.assertEqual(set(selected), set(expected))

    # The room of an id holds its own client even while others are in it.
    def test_a_client_may_join_the_room_of_anothers_id(self):
        self.namespace.join(self.bob, [self.ann.id])
        selected = self.namespace.select(Target(frozenset([self.ann.id])))
        self.assertEqual(set(selected), {self.ann, self.bob})


class BroadcastTests(RoomAssertions):
    """A broadcast is encoded once per dialect, and what happens to one receiver does not concern the others."""

    def test_emit_without_rooms_reaches_everybody(self):
        self.io.emit("news", 1)
        self.assertReached("news", *self.everybody)

    def test_emit_to_a_room_leaves_out_the_members_of_an_excepted_room(self):
        self.namespace.join(self.ann, ["lobby"])
        self.namespace.join(self.bob, ["lobby", "muted"])
        self.io.to("lobby").except_("muted").emit("news")
        self.assertReached("news", self.ann)

    def test_a_client_in_several_rooms_gets_one_copy(self):
        self.namespace.join(self.ann, ["a", "b"])
        self.io.to("a", "b").to("a").in_("b").emit("news")
        self.assertReached("news", self.ann)

    def test_emit_to_the_id_of_a_client_reaches_that_client(self):
        self.io.to(self.bob.id).emit("news")
        self.assertReached("news", self.bob)

    def test_to_except_and_volatile_leave_their_operator_unchanged(self):
        lobby = self.io.to("lobby")
        lobby.to("other"), lobby.except_("muted"), lobby.volatile
        self.assertEqual(lobby._target, Target(frozenset(["lobby"])))

    def test_emit_to_a_room_that_nobody_is_in_is_no_error(self):
        self.io.to("nowhere").emit("news")
        self.assertReached("news")

    def test_send_emits_the_event_message(self):
        self.io.to(self.ann.id).send("hi")
        self.assertSent(self.ann.session, '42["message","hi"]')

    def test_an_event_that_cannot_be_sent_raises_and_reaches_nobody(self):
        for args, error in (
            (("x", object()), TypeError),
            (("x", math.nan), ValueError),
            (("connect",), ValueError),
            ((5,), TypeError),
        ):
            with self.subTest(args=args), self.assertRaises(error):
                self.io.emit(*args)
        self.assertEqual([self.got(member) for member in self.everybody], [[], [], []])

    def test_an_event_is_encoded_once_per_dialect(self):
        for _ in range(3):
            self.client(self.hub, "0.6")
        with (
            mock.patch.object(
                EngineIO4, "encode_packet", autospec=True, side_effect=EngineIO4.encode_packet
            ) as modern,
            mock.patch.object(
                SocketIO06, "encode_packet", autospec=True, side_effect=SocketIO06.encode_packet
            ) as old,
        ):
            self.io.emit("news")
        self.assertEqual((modern.call_count, old.call_count), (1, 1))

    def test_all_receivers_of_an_event_get_the_very_same_bytes(self):
        self.io.emit("news", b"data")
        first, *others = [member.session.outlet.raw[-1] for member in self.everybody]
        for other in others:
            self.assertIs(other, first)

    def test_each_dialect_gets_a_message_in_its_own_form(self):
        old = self.client(self.hub, "0.6")
        self.io.send("hi")
        self.assertSent(old, "~m~2~m~hi")
        self.assertSent(self.ann.session, '42["message","hi"]')

    def test_a_dialect_that_cannot_take_an_event_does_not_stop_the_others(self):
        old = self.client(self.hub, "0.6")
        self.namespace.members = {
            member.id: member for member in (old.members["/"], *self.everybody)
        }
        with self.assertLogs("socket_io", "WARNING") as logs:
            self.io.emit("news", b"data")
        self.assertReached("news", *self.everybody)
        self.assertEqual((len(old.outlet.sent), len(logs.output)), (1, 1))

    def test_half_a_surrogate_pair_does_not_stop_the_other_dialects(self):
        old = self.client(self.hub, "0.6")
        self.namespace.members = {
            member.id: member for member in (old.members["/"], *self.everybody)
        }
        self.io.send(LONE)
        self.assertReached("message", *self.everybody)

    def test_a_client_that_is_cut_off_by_an_event_does_not_stop_the_others(self):
        slow = self.client(self.hub, transport=XHR_POLLING).members["/"]
        self.hub.options.max_buffered_bytes = 1000
        self.namespace.members = {member.id: member for member in (slow, *self.everybody)}
        self.io.emit("news", "x" * 20_000)
        self.assertReached("news", *self.everybody)
        self.assertEqual(slow.close_reason, "transport error")

    def test_a_client_that_goes_during_a_broadcast_does_not_stop_the_others(self):
        self.ann.session.write_now = lambda frame: self.bob.session.end("transport close")
        self.io.emit("news")
        self.assertEqual(self.got(self.eve), ["news"])

    def test_a_volatile_event_is_dropped_for_a_client_that_could_not_get_it_now(self):
        polling = self.client(self.hub, transport=XHR_POLLING)
        polling.outlet.answer()
        self.io.volatile.emit("news")
        self.assertReached("news", *self.everybody)
        self.assertEqual(len(polling.outbox), 0)

    def test_join_and_leave_act_on_all_clients_of_an_operator(self):
        self.namespace.join(self.ann, ["lobby"])
        self.io.to("lobby").join("other")
        self.io.join("all")
        self.io.leave("lobby")
        self.assertEqual((self.ann.rooms, self.bob.rooms), ({"other", "all"}, {"all"}))

    def test_sockets_are_the_handlers_that_emit_reaches_even_while_on_open_runs(self):
        hub = HandMovedHub(
            on_open=lambda handler: handlers.append(
                NamespaceIO(((handler.member.session.hub, "/"),)).sockets()
            )
        )
        handlers: list = []
        session = self.client(hub)
        self.assertEqual(handlers, [[self.handler(session)]])
        self.assertEqual(NamespaceIO(((hub, "/"),)).sockets(), [self.handler(session)])

    def test_of_gives_another_namespace_and_raises_key_error_for_an_unknown_one(self):
        self.assertEqual(self.io.of("/admin"), NamespaceIO(((self.hub, "/admin"),)))
        with self.assertRaisesRegex(KeyError, "/zz"):
            self.io.of("/zz")

    def test_an_event_for_another_namespace_does_not_reach_this_one(self):
        self.say(self.ann.session, "40/admin,")
        self.io.of("/admin").emit("news")
        self.assertSent(self.ann.session, '42/admin,["news"]')
        self.assertReached("news")


class BroadcastCallTests(RoomAssertions, AsyncSessionTestCase):
    """`io.call` returns what each client acknowledges, and the ids of those that did not."""

    async def ask(self, *answers: tuple[Member, str], **kwargs) -> socket_io.BroadcastAcks:
        """Ask everybody, let the members in *answers* answer, and return the result."""
        asking = asyncio.ensure_future(self.io.call("question", **kwargs))
        await self.settle()
        for member, args in answers:
            (ack_id,) = member.acks
            self.say(member.session, f"43{ack_id}{args}")
        self.hub.loop.move_to(kwargs.get("timeout", 0.0))
        return await asking

    async def test_a_call_returns_the_answer_of_every_client(self):
        acks = await self.ask((self.ann, "[1]"), (self.bob, "[1,2]"), (self.eve, "[]"))
        self.assertEqual(
            (acks.answers, acks.missing),
            ({self.ann.id: 1, self.bob.id: [1, 2], self.eve.id: None}, set()),
        )

    async def test_a_client_that_does_not_answer_a_call_in_time_is_missing_and_owes_nothing(self):
        self.ann.session.write_now = lambda frame: self.say(
            self.ann.session, "430[1]"
        )  # answers at once
        acks = await self.ask(timeout=0)
        self.assertEqual(
            (acks.answers, acks.missing), ({self.ann.id: 1}, {self.bob.id, self.eve.id})
        )
        self.assertEqual((self.bob.acks, self.bob.session.owed_acks), ({}, 0))

    async def test_a_client_that_goes_during_a_call_is_missing(self):
        asking = asyncio.ensure_future(self.io.to(self.ann.id).call("question"))
        await self.settle()
        self.ann.session.end("transport close")
        acks = await asking
        self.assertEqual((acks.answers, acks.missing), ({}, {self.ann.id}))

    async def test_a_client_of_0_6_is_missing_from_the_answers_of_a_call(self):
        old = self.client(self.hub, "0.6").members["/"]
        acks = await self.ask((self.ann, "[1]"), (self.bob, "[1]"), (self.eve, "[1]"))
        self.assertEqual(acks.missing, {old.id})
        self.assertEqual(len(old.session.outlet.sent), 1)

    async def test_a_call_to_a_room_that_nobody_is_in_returns_at_once(self):
        acks = await self.io.to("nowhere").call("question")
        self.assertEqual((acks.answers, acks.missing), ({}, set()))

    async def test_a_call_whose_arguments_cannot_be_sent_asks_nobody(self):
        with self.assertRaises(TypeError):
            await self.io.call("question", object())
        self.assertEqual([member.session.owed_acks for member in self.everybody], [0, 0, 0])

    async def test_a_call_whose_event_name_cannot_be_sent_asks_nobody(self):
        for name, error in (("connect", ValueError), (5, TypeError)):
            with self.subTest(name=name):
                with self.assertRaises(error):
                    await self.io.call(name)
                self.assertEqual([member.session.owed_acks for member in self.everybody], [0, 0, 0])

    async def test_a_cancelled_call_leaves_no_ack_behind(self):
        asking = asyncio.ensure_future(self.io.call("question"))
        await self.settle()
        asking.cancel()
        await self.settle()
        self.assertEqual([member.acks for member in self.everybody], [{}, {}, {}])
        self.assertEqual([member.session.owed_acks for member in self.everybody], [0, 0, 0])


# -- 10. Cluster -----------------------------------------------------------------------
# Servers of one process hear each other by `memory://`. Where Redis is the subject, a small
# server that speaks its protocol stands for it. What they publish is checked against what
# node's adapter takes: one message that it does not take would end every node server.


def has_cluster_packages():
    return all(importlib.util.find_spec(name) is not None for name in ("redis", "msgpack"))


needs_cluster_packages = unittest.skipUnless(
    has_cluster_packages(), "a cluster needs two packages: pip install redis msgpack"
)


def check_published(channel: str, body: bytes) -> None:
    """Raise AssertionError unless node's adapter takes *body* on *channel* and passes it on."""
    if channel == "socketio":
        return check_for_python(json.loads(body))
    kind, namespace = re.match("socket.io(-request|-response|)#(/.*)#", channel, re.DOTALL).groups()
    assert not HALF_PAIR.search(channel), channel
    message = socket_io.unpack(body)
    if kind == "":
        assert body[:1] == b"\x93", body  # a list of three, in msgpack
        uid, packet, options = message
        assert isinstance(uid, str)
        check_packet(packet)
        check_options(options, "flags")
        place = HALF_PAIR.sub("\ufffd", packet["nsp"])
        assert namespace in (place, "#".join([place, *options["rooms"]])), (channel, message)
    else:
        # A request in msgpack ends a server of Socket.IO 2: bytes alone are worth it.
        assert body[:1] == b"{" or holds_bytes(message), body
        check_request(message) if kind == "-request" else check_response(message)


def holds_bytes(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(holds_bytes, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bytes)


def check_texts(values: Any) -> None:
    assert isinstance(values, list) and all(type(value) is str for value in values), values


def check_packet(packet: Any) -> None:
    assert packet.keys() == {"type", "data", "nsp"} and packet["type"] == 2, packet
    check_event(packet["data"])


def check_event(data: Any) -> None:
    assert isinstance(data, list) and type(data[0]) is str, data
    assert data[0] not in RESERVED_EVENTS, data
    check_json(data)


def check_json(value: Any) -> None:
    """Raise AssertionError unless *value* is what JSON has, or bytes, and fits into a double."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value), value
    if isinstance(value, (dict, list)):
        return [check_json(item) for item in (value.values() if type(value) is dict else value)]
    assert value is None or isinstance(value, (str, bool, int, float, Decimal, bytes)), value
    assert not isinstance(value, float) or math.isfinite(value), value


def check_options(options: Any, *more: str) -> None:
    assert options.keys() == {"rooms", "except", *more}, options
    check_texts(options["rooms"])
    check_texts(options["except"])
    flags = options.get("flags", {})
    assert flags.keys() <= {"volatile", "timeout"}, flags
    assert flags.get("volatile", True) is True and type(flags.get("timeout", 0)) is int, flags


def check_request(request: dict[str, Any]) -> None:
    fields = {1: "requestId", 2: "opts rooms", 3: "opts rooms", 4: "opts close",
              5: "requestId opts", 6: "data", 7: "requestId packet opts"}[request["type"]]  # fmt: skip
    given = request.keys() - ({"requestId"} if request["type"] == 6 else set())
    assert given - {"uid"} == {"type", *fields.split()}, request
    # Emitters of node have no uid in requests of types 2 to 4, and ours neither.
    assert type(request.get("uid", "")) is str and type(request.get("requestId", "")) is str
    if "opts" in request:
        check_options(request["opts"], *["flags"] if request["type"] == 7 else [])
    if "packet" in request:
        check_packet(request["packet"])
        assert "timeout" in request["opts"]["flags"], request
    if "data" in request:
        check_event(request["data"])
    if "rooms" in request:
        check_texts(request["rooms"])
    assert type(request.get("close", True)) is bool


def check_response(response: dict[str, Any]) -> None:
    assert type(response["requestId"]) is str, response
    given, type_ = response.keys() - {"requestId", "type"}, response.get("type")
    if type_ == 6:
        assert given == {"data"}, response
    elif type_ == 8:
        assert given == {"clientCount"} and type(response["clientCount"]) is int, response
    elif type_ == 9:
        assert given == {"packet", "id"}, response
    elif given == {"rooms"}:
        check_texts(response["rooms"])
    elif given:
        assert type_ is None and given == {"sockets"}, response
        for one in response["sockets"]:
            if not isinstance(one, str):
                assert one.keys() == {"id", "rooms", "data", "handshake"}, one
                check_texts([one["id"], *one["rooms"]])
                assert one["handshake"].keys() == HANDSHAKE, one
    check_json(response)


HANDSHAKE = {"headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth"}


def check_for_python(message: dict[str, Any]) -> None:
    assert message["method"] in (
        "emit", "callback", "enter_room", "leave_room", "close_room", "disconnect"
    )  # fmt: skip
    assert type(message["host_id"]) is str and type(message["namespace"]) is str, message
    if message["method"] == "emit":
        assert type(message["event"]) is str and isinstance(message["data"], list), message


def vector(text: str) -> bytes:
    """Return the bytes of hexadecimal digits, in which text stands in quotes."""
    return bytes.fromhex(re.sub('"(.*?)"', lambda quoted: quoted[1].encode().hex(), text))


@needs_cluster_packages
class ClusterWireTests(Assertions):
    """Messages of the cluster have the bytes of node's Redis adapter, its older releases and its emitters."""

    NO_OPTIONS = "83a5726f6f6d7390a665786365707490a5666c61677380"
    BROADCASTS = [
        (["hi", {"a": 1}, "é"], Target(), "f5IQ8w",
         '93a6 "f5IQ8w" 83a47479706502a46461746193a2686981a16101a2c3a9a36e7370a12f' + NO_OPTIONS),
        (["hi", b"\1\2", {"x": b"\xff"}], Target(frozenset(["r1"])), "f5IQ8w",
         ('93a6 "f5IQ8w" 83a47479706502a46461746193a26869c402010281a178c401ffa36e7370a12f'
         "83a5726f6f6d7391a27231a665786365707490a5666c61677380")),
        (["hi"], Target(volatile=True), "f5IQ8w",
         ('93a6 "f5IQ8w" 83a47479706502a46461746191a26869a36e7370a12f'
         "83a5726f6f6d7390a665786365707490a5666c61677381a8766f6c6174696c65c3")),
    ]  # fmt: skip
    #: Broadcasts as they come, what clients get, and the rooms.
    FOREIGN = [
        (('93a7 "emitter" 83a47479706502a46461746192a2686901a36e7370a12f'
         "83a5726f6f6d7391a27231a5666c61677380a665786365707490"),
         "/", ["hi", 1], {"r1"}, "node's emitter"),
        (('93a7 "emitter" 83a47479706502a46461746195a26869d6ff6553f100c091c081a164d7ff1d5353006553f100'
         "a36e7370a52f63686174 83a5726f6f6d7390a5666c61677380a665786365707490"),
         "/chat", ["hi", "2023-11-14T22:13:20.000Z", None, [None], {"d": "2023-11-14T22:13:20.123Z"}],
         set(), "its dates"),
        ('93a7 "emitter" 83a47479706502a46461746192a2686901a36e7370a12f 82a5726f6f6d7390a5666c61677380',
         "/", ["hi", 1], set(), "an old emitter: no except"),
        ('93a6 "t898n8" 83a47479706505a46461746192a26869c4020102a36e7370a12f 82a5726f6f6d7390a5666c61677380',
         "/", ["hi", b"\1\2"], set(), "Socket.IO 2: type 5 for bytes"),
        ('93a1 "x" 82a47479706502a46461746194a26869d7000000018bcfe5687bd40000c70300010203 80',
         "/", ["hi", "2023-11-14T22:13:20.123Z", None, b"\1\2\3"], set(),
         "extension 0: a Date, undefined, an ArrayBuffer; neither nsp nor options"),
        (('93a1 "x" 82a47479706502a4646174619407cb7ff8000000000000ca7f800000cb3ff8000000000000'
         "82a5726f6f6d739107a5666c616773c0"),
         "/", ["7", None, None, 1.5], {"7"}, "numbers as names; NaN and Infinity; flags are null"),
        ('94a1 "x" 83a47479706502a46461746191a26869a2 "id" 05 81a5726f6f6d73a0 c0',
         "/", ["hi"], set(), "more elements and keys; rooms are an empty text"),
        (b'["x",{"type":2,"data":["hi",1.0],"nsp":"/"},{"rooms":["r1"]}]'.hex(),
         "/", ["hi", 1.0], {"r1"}, "JSON: node's option parser"),
    ]  # fmt: skip

    def test_a_broadcast_has_the_bytes_that_node_publishes(self):
        for data, target, uid, wire in self.BROADCASTS:
            packet = socket_io.encode_packet_of("/", data)
            body = socket_io.encode_broadcast(uid, packet, target, STRICT_JSON)
            self.assertEqual(body.hex(), vector(wire).hex())
            read_uid, read_packet, options = socket_io.decode_broadcast(body)
            self.assertEqual(read_uid, uid)
            self.assertEqual(socket_io.decode_packet_for("/", read_packet), data)
            self.assertEqual(
                socket_io.decode_target(options), socket_io.dataclasses.replace(target, local=True)
            )

    def test_broadcasts_of_other_servers_are_read_as_their_own_clients_would_get_them(self):
        for wire, namespace, data, rooms, why in self.FOREIGN:
            with self.subTest(why):
                _, packet, options = socket_io.decode_broadcast(vector(wire))
                self.assertEqual(socket_io.decode_packet_for(namespace, packet), data)
                self.assertEqual(
                    socket_io.decode_target(options), Target(frozenset(rooms), local=True)
                )

    def test_requests_are_json_with_their_keys_in_the_order_of_node(self):
        options = {"rooms": ["r1"], "except": ["r2"]}
        for request, body in [
            ({"uid": "HLcd2k", "type": 2, "opts": options, "rooms": ["z"]},
             b'{"uid":"HLcd2k","type":2,"opts":{"rooms":["r1"],"except":["r2"]},"rooms":["z"]}'),
            ({"type": 8, "requestId": "4ILqmY", "clientCount": 2},
             b'{"type":8,"requestId":"4ILqmY","clientCount":2}'),
            ({"uid": "HLcd2k", "requestId": "kTk2ES", "type": 6, "data": ["ping", 1]},
             b'{"uid":"HLcd2k","requestId":"kTk2ES","type":6,"data":["ping",1]}'),
        ]:  # fmt: skip
            self.assertEqual(socket_io.encode_request(request), body)
            self.assertEqual(socket_io.unpack(body), request)

    def test_requests_with_bytes_are_msgpack_as_types_7_and_9_are_at_node(self):
        for wire, message in [
            (('85a3756964a6 "HLcd2k" a9726571756573744964a6 "4ILqmY" a47479706507a67061636b6574'
             "83a47479706502a46461746192a17101a36e7370a12fa46f707473"
             "83a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd01f4"),
             {"uid": "HLcd2k", "requestId": "4ILqmY", "type": 7,
              "packet": {"type": 2, "data": ["q", 1], "nsp": "/"},
              "opts": {"rooms": [], "except": [], "flags": {"timeout": 500}}}),
            ('83a47479706509a9726571756573744964a6 "4ILqmY" a67061636b6574a26362',
             {"type": 9, "requestId": "4ILqmY", "packet": "cb"}),
        ]:  # fmt: skip
            self.assertEqual(socket_io.unpack(vector(wire)), message)
            self.assertEqual(socket_io.pack(message), vector(wire))
            self.assertEqual(socket_io.encode_request(message)[:1], b"{")
        self.assertEqual(socket_io.encode_request({"data": [b"\7"]}), vector('81a4"data"91c40107'))

    def test_values_that_msgpack_has_no_form_for_are_packed_as_json_has_them(self):
        for value, read in [
            (2**64 - 1, 2**64 - 1), (-(2**63), -(2**63)), (2**64, float(2**64)), (10**400, None),
            (Decimal("1.5"), 1.5), ((1, (2,)), [1, [2]]), ({"a": Decimal(2), "b": b"\0"}, {"a": 2, "b": b"\0"}),
            (LONE, LONE), (bytearray(b"\1"), b"\1"), (memoryview(b"\1"), b"\1"),
        ]:  # fmt: skip
            self.assertEqual(socket_io.unpack(socket_io.pack([value])), [read])
        for value in (object(), {1, 2}, [b"", object()]):
            with self.assertRaises(TypeError):
                socket_io.pack([value])
        deep = b""
        for _ in range(5000):
            deep = [deep]
        with self.assertRaises(ValueError):
            socket_io.pack(deep)

    def test_bytes_that_are_no_message_are_a_payload_error(self):
        deep = b"\x91" * 100_000
        for body in (b"", b"\xc1", b"\x93\xa1", deep, b"[" * 100_000, b'{"a":1', b'{"a":NaN}', b"{}{}",
                     b"\x81\x90\x01", b"\xd4\x05\x00", b"\xdd\xff\xff\xff\xff", b"\xc7\x0c\xff" + b"\xff" * 12,
                     b"\xd7\x00" + b"\x7f" * 8, b"\x80\x04\x95cos\nsystem\n"):  # fmt: skip
            with self.subTest(body=body[:20]):
                self.assertPayloadError(socket_io.unpack, body)

    def test_only_empty_or_absent_rooms_mean_everybody(self):
        for nothing in (None, "", []):
            self.assertEqual(socket_io.decode_names(nothing), frozenset())
        for wrong in (0, False, {}, "r1", 5, {"a": 1}, [None], [True], [["a"]], [b"a"]):
            with self.subTest(wrong=wrong):
                self.assertPayloadError(socket_io.decode_names, wrong)

    def test_a_channel_name_holds_no_half_of_a_surrogate_pair(self):
        self.assertEqual(socket_io.channel_name("k", f"/{LONE}"), "k#/\ufffd#")
        rooms = frozenset([LONE])
        self.assertEqual(socket_io.broadcast_channel("k", "/", Target(rooms)), "k#/#")
        self.assertEqual(socket_io.broadcast_channel("k", "/", Target(frozenset(["a"]))), "k#/#a#")

    def test_a_channel_with_special_characters_is_escaped_in_its_pattern_and_read_back(self):
        for channel in ("socket.io#/a[b]*?\\#*", "socket.io#/#*"):
            pattern = socket_io.glob(channel)
            self.assertEqual(socket_io.unglob(pattern), channel)
        self.assertEqual(socket_io.glob("k#/[*]#*"), "k#/\\[\\*\\]#*")
        self.assertEqual(socket_io.glob("k#/[*]#"), "k#/[*]#")


class WorkerWordsTests(Assertions):
    """Messages between workers carry all that JSON and bytes can, without a package of the cluster."""

    TO_ALL = Target()
    VALUES = [None, True, -1, 1.5, 10**400, 2**63, Decimal("0.10"), "é😀", LONE, [], {}, b"", b"\0\xff",
              {"a": [b"\1", {"b": b"\2"}], "c": b"\3"}, {"_placeholder": True, "num": 0}]  # fmt: skip

    def setUp(self):
        self.words = socket_io.WorkerWords(STRICT_JSON, "B")
        patch = mock.patch.object(socket_io, "cluster_package", side_effect=ImportError)
        patch.start()
        self.addCleanup(patch.stop)

    def read(self, data, target=TO_ALL, name="/"):
        return self.words.decode_event(name, self.words.encode_event(name, data, target))

    def test_an_event_keeps_its_values_and_whom_it_is_for(self):
        for value in self.VALUES:
            with self.subTest(value=value):
                self.assertEqual(self.read(["hi", value])[1], ["hi", value])
        for target in (
            Target(),
            Target(frozenset(["a", LONE]), frozenset(["b#*", "c"])),
            Target(excluded=frozenset(["5"]), volatile=True),
        ):
            read, _ = self.read(["hi"], target, "/a#b")
            self.assertEqual(read, socket_io.dataclasses.replace(target, local=True))

    def test_an_event_goes_on_with_the_json_and_the_attachments_of_its_sender(self):
        codec = mock.Mock(wraps=STRICT_JSON)
        for value in (Decimal("0.10"), 10**400, {"b": b"\1"}):
            sent = socket_io.EncodedData.of(STRICT_JSON, ["hi", value])
            _, data = self.read(sent)
            text, attachments = socket_io.encode_with_attachments(codec, data)
            self.assertEqual((text, attachments), (sent.text, sent.attachments))
        codec.encode.assert_not_called()

    def test_a_request_keeps_its_values(self):
        for value in self.VALUES:
            request = {"type": 6, "requestId": "x", "data": ["ask", value]}
            read = self.words.decode_request(self.words.encode_request(request))
            self.assertEqual(read, request)

    def test_a_request_that_could_not_be_read_raises_where_it_is_made(self):
        for wrong, error in (
            (object(), TypeError),
            (math.nan, ValueError),
            ([b"\1", {"_placeholder": True, "num": 0}], ValueError),
        ):
            with self.assertRaises(error):
                self.words.encode_request({"data": ["ask", wrong]})

    def test_an_event_of_another_namespace_is_left_alone(self):
        body = self.words.encode_event("/a#b", ["hi"], Target())
        self.assertIsNone(self.words.decode_event("/a", body))

    def test_bytes_that_are_no_message_are_a_payload_error(self):
        join, head, deep = socket_io.join_parts, b'["/",false,0]', b"[" * 100_000
        requests = [b"", b"\0", b"\0\0\0\1", b"\xff" * 8, join(b"") + b"\0", join(b"{"), join(deep),
                    join(b"{}{}"), join(b'{"a":NaN}'), join("é".encode()), join(b"{}", b"more")]  # fmt: skip
        events = [*requests, join(b'["hi"]'), join(b"[]", b'["hi"]'), join(b"{}", b'["hi"]'),
                  join(b'["/",false,-1]', b'["hi"]'), join(b'["/",false,true]', b'["hi"]'),
                  join(b'["/",false,1,{}]', b'["hi"]'), join(head, b""), join(head, b"[]"),
                  join(head, b"{}"), join(head, b"[5]"), join(head, b'["connect"]'), join(head, deep),
                  join(head, b'["hi",Infinity]'), join(head, b'["hi"]', b"more"),
                  join(head, b'["hi",{"_placeholder":true,"num":1}]', b"one")]  # fmt: skip
        for body in requests:
            with self.subTest(body=body[:40]):
                self.assertPayloadError(self.words.decode_request, body)
        for body in events:
            with self.subTest(body=body[:40]):
                self.assertPayloadError(self.words.decode_event, "/", body)


@needs_cluster_packages
class ClusterOptionTests(unittest.TestCase):
    """A mistake in the options of a cluster raises where routes are made."""

    def serve(self, **options):
        return type("Chat", (SocketIOHandler,), options).routes("x")

    def test_a_url_of_another_kind_is_a_value_error_that_lists_the_kinds(self):
        for url in ("localhost", "http://localhost", "amqp://x", "", "redis://localhost:port"):
            with self.subTest(url), self.assertRaises(ValueError):
                self.serve(cluster=url)
        with self.assertRaisesRegex(ValueError, "redis, rediss, unix, valkey"):
            self.serve(cluster="localhost:6379")

    def test_a_channel_of_python_socketio_needs_a_cluster(self):
        with self.assertRaisesRegex(ValueError, "python_socketio_channel needs the option cluster"):
            self.serve(python_socketio_channel="socketio")

    def test_missing_packages_are_one_error_that_names_both(self):
        for missing in ("redis", "msgpack"):
            socket_io.cluster_package.cache_clear()
            with mock.patch.dict(sys.modules, {missing: None}):
                with self.assertRaisesRegex(ImportError, "pip install redis msgpack"):
                    self.serve(cluster="redis://localhost")
        self.serve(cluster="redis://localhost")

    def test_every_form_of_url_says_where_redis_is(self):
        for url, wanted in [
            ("redis://u:p%40@host:1/2", {"host": "host", "port": 1, "db": 2, "password": "p@"}),
            ("valkey://host", {"host": "host"}),
            ("unix:///run/redis.sock?db=3", {"path": "/run/redis.sock", "db": 3}),
        ]:
            for package in ("redis", "redis.asyncio"):
                client = socket_io.redis_client(package, url)
                given = client.connection_pool.connection_kwargs
                self.assertEqual(given, {**given, **wanted})

    def test_a_url_of_sentinels_names_them_the_database_and_the_service(self):
        url = "redis+sentinel://user:p%2Fw@one:1,two/4/service"
        for package in ("redis", "redis.asyncio"):
            pool = socket_io.redis_client(package, url).connection_pool
            places = [
                one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels
            ]
            self.assertEqual(
                [(one["host"], one["port"]) for one in places], [("one", 1), ("two", 26379)]
            )
            self.assertEqual(pool.service_name, "service")
            given = pool.connection_kwargs
            self.assertEqual(
                (given["username"], given["password"], given["db"]), ("user", "p/w", 4)
            )


class ClusterTestCase(SocketIOTestCase):
    """Two servers of one cluster behind one port, at /first and /second, which hear each other.

    `self.first` and `self.second` are their classes. Whatever is published is checked.
    """

    url = "memory://tests"
    options: dict[str, Any] = {}
    namespaces: dict[Any, type[SocketIOHandler]] = {}
    base: type[SocketIOHandler] = SocketIOHandler

    def get_app(self):
        options = {"cluster": self.url, "cluster_timeout": 5.0, **self.options}
        self.first, self.second = (
            type(name, (self.base,), dict(options)) for name in ("First", "Second")
        )
        self.made = [
            {key: type("Other", (base,), dict(options)) for key, base in self.namespaces.items()}
            for _ in range(2)
        ]
        return tornado.web.Application(
            [
                self.first.routes("first", namespaces=self.made[0]),
                self.second.routes("second", namespaces=self.made[1]),
            ]
        )

    def setUp(self):
        self.published = []
        for kind in (socket_io.MemoryBus, socket_io.RedisBus, socket_io.LineBus):

            def record(bus, channel, body, volatile=False, publish=kind.publish):
                self.published.append((channel, body))
                publish(bus, channel, body, volatile)

            patch = mock.patch.object(kind, "publish", record)
            patch.start()
            self.addCleanup(patch.stop)
        super().setUp()
        self.io_loop.run_sync(self.join)

    async def join(self):
        """Have both servers join their cluster."""
        for server in self.servers:
            await server.io.start()

    def tearDown(self):
        super().tearDown()
        self.assertEqual([self.hub(server).verbs.questions for server in self.servers], [{}, {}])
        for channel, body in self.published:
            self.check(channel, body)

    def check(self, channel, body):
        check_published(channel, body)

    async def until_servers_are(self, count):
        """Wait until the first server has counted so many, itself included."""
        while await self.first.io.server_count() != count:
            await asyncio.sleep(0)

    @property
    def servers(self):
        return self.first, self.second

    def hub(self, server):
        return server._home[0]

    def feed(self, channel, body):
        """Publish as a third server would, whatever *body* is."""
        for server in self.servers:
            bus = self.hub(server).verbs.bus
            self.io_loop.asyncio_loop.call_soon(bus._deliver, channel, body)

    def request(self, namespace="/", **request):
        self.feed(f"socket.io-request#{namespace}#", json.dumps(request).encode())

    async def pair(self, namespace="/", **more):
        """Return a client of each server."""
        return [
            await self.client(path=path, namespace=namespace, **more)
            for path in ("/first", "/second")
        ]

    async def got(self, client):
        """Return the names of the events that *client* has received until now, from whichever server."""
        await asyncio.sleep(0)  # for what `feed` has published
        self.first.io.to(client.id).emit("until now")
        names = []
        while (name := (await client.receive())[0]) != "until now":
            names.append(name)
        return names

    def responses(self):
        """Return the answers that servers have published, in order."""
        return [
            (channel, socket_io.unpack(body))
            for channel, body in self.published
            if "-response#" in channel
        ]


@needs_cluster_packages
class ClusterBroadcastTests(ClusterTestCase):
    """An event for many reaches the clients of both servers, each once."""

    namespaces = {"/chat": SocketIOHandler, re.compile("/room/.*"): SocketIOHandler}

    @gen_test
    async def test_an_event_with_any_json_and_attachments_reaches_the_clients_of_both_servers(self):
        here, there = await self.pair()
        sent = ({"a": [1.5, None, True, 2**53]}, "é😀", b"\0\1", {"x": [b"\xff"]}, LONE)
        self.first.io.emit("all", *sent)
        for client in (here, there):
            self.assertEqual(await client.receive(), ("all", *sent))
        for client in (here, there):
            self.assertEqual(await self.got(client), [])

    @gen_test
    async def test_clients_of_every_generation_hear_the_other_server(self):
        for dialect, transport in (("0.6", "websocket"), ("0.9", "xhr-polling"), ("EIO3", "websocket"),
                                   ("EIO4", "xhr-polling")):  # fmt: skip
            client = await self.client(dialect, transport, path="/second")
            self.first.io.send("hello")
            with self.subTest(dialect):
                self.assertEqual(await client.receive(), ("message", "hello"))

    @gen_test
    async def test_an_event_of_another_server_is_encoded_once_for_all_clients_of_a_dialect(self):
        clients = [await self.client(path="/second") for _ in range(5)]
        clients += [await self.client("EIO3", path="/second") for _ in range(5)]
        dialects = self.hub(self.second).dialects
        with contextlib.ExitStack() as stack:
            calls = {
                name: stack.enter_context(
                    mock.patch.object(
                        type(dialects[name]),
                        "encode_packet",
                        autospec=True,
                        side_effect=type(dialects[name]).encode_packet,
                    )
                )
                for name in ("EIO4", "EIO3")
            }
            self.first.io.emit("all", {"a": 1})
            for client in clients:
                self.assertEqual(await client.receive(), ("all", {"a": 1}))
        self.assertEqual(
            {name: mocked.call_count for name, mocked in calls.items()}, {"EIO4": 1, "EIO3": 1}
        )

    @gen_test
    async def test_the_json_of_an_event_is_written_once_for_clients_and_servers(self):
        clients = [
            await self.client(dialect, path=path)
            for dialect in ("EIO3", "EIO4")
            for path in ("/first", "/second")
        ]
        with mock.patch.object(
            socket_io.StrictJSON, "encode", autospec=True, side_effect=socket_io.StrictJSON.encode
        ) as encode:
            self.first.io.local.emit("two dialects", {"a": 1})
            self.first.io.emit("two dialects", {"b": 1})
            written = [str(call.args[1][1]) for call in encode.mock_calls if len(call.args[1]) == 2]
            self.assertEqual(written, [*["{'a': 1}"] * 2, "{'b': 1}"])
        for client in clients:
            while (await client.receive())[0] != "two dialects":
                pass

    @gen_test
    async def test_rooms_ids_and_exceptions_mean_clients_of_either_server(self):
        here, there = await self.pair()
        other, _ = await self.client(path="/second"), None
        self.second.io.to(there.id, here.id).join("lobby", LONE, "a#b*[c]?\\")
        await self.got(here)
        io = self.first.io
        io.to("lobby").emit("lobby")
        io.to(LONE).emit("half a pair")
        io.to("a#b*[c]?\\").emit("odd")
        io.to("lobby", here.id, there.id).emit("once")
        io.to("lobby").except_(there.id).emit("but one")
        io.except_("lobby").emit("others")
        io.to(other.id).emit("one")
        io.local.emit("local")
        io.to("nobody").emit("nobody")
        expected = ["lobby", "half a pair", "odd", "once"]
        self.assertEqual(await self.got(here), [*expected, "but one", "local"])
        self.assertEqual(await self.got(there), expected)
        self.assertEqual(await self.got(other), ["others", "one"])

    @gen_test
    async def test_a_volatile_event_is_published_with_its_flag_and_reaches_the_other_server(self):
        _, there = await self.pair()
        self.first.io.volatile.emit("maybe")
        self.assertEqual(await there.receive(), ("maybe",))
        _, body = self.published[-1]
        self.assertEqual(socket_io.unpack(body)[2]["flags"], {"volatile": True})

    @gen_test
    async def test_a_namespace_does_not_hear_another_nor_a_family_its_namespaces_each_other(self):
        chat = await self.pair("/chat")
        one, two = (
            await self.pair("/room/1"),
            await self.client(path="/second", namespace="/room/2"),
        )
        self.first.io.of("/chat").emit("chat")
        self.first.io.of("/room/1").emit("one")
        self.first.io.of("/room/2").emit("two, from where nobody is in it")
        for client, names in [*[(client, "chat") for client in chat], *[(client, "one") for client in one],
                              (two, "two, from where nobody is in it")]:  # fmt: skip
            self.assertEqual(await client.receive(), (names,))
        for client in (*chat, *one, two):
            with self.assertRaises(asyncio.TimeoutError):
                await client.receive(0.02)

    @gen_test
    async def test_the_channels_of_a_dynamic_namespace_are_joined_and_left_with_its_clients(self):
        buses = [self.hub(server).verbs.bus for server in self.servers]
        before = [set(bus.receivers) for bus in buses]
        client = await self.client(path="/second", namespace="/room/7")
        self.assertEqual(len(buses[1].receivers), len(before[1]) + 4)
        await client.close()
        while "/room/7" in self.hub(self.second).namespaces:
            await asyncio.sleep(0.005)
        self.assertEqual([set(bus.receivers) for bus in buses], before)

    @gen_test
    async def test_an_event_that_cannot_be_json_raises_to_its_caller_even_without_clients(self):
        for wrong in (object(), {1, 2}, float("nan"), {(1, 2): 3}):
            with self.assertRaises((TypeError, ValueError)):
                self.first.io.emit("wrong", wrong)
            with self.assertRaises((TypeError, ValueError)):
                await self.first.io.call("wrong", wrong)
        self.assertEqual(self.published, [])

    @gen_test
    async def test_a_class_that_serves_twice_in_one_cluster_sends_once(self):
        class Twice(SocketIOHandler):
            cluster = self.url

        self._app.add_handlers(".*", [Twice.routes("third"), Twice.routes("fourth")])
        await Twice.io.start()
        clients = [await self.client(path=path) for path in ("/third", "/fourth", "/first")]
        Twice.io.emit("once")
        Twice.io.to(clients[1].id).emit("to one")
        Twice.io.local.emit("local")
        for client, names in zip(
            clients, (["once", "local"], ["once", "to one", "local"], ["once"]), strict=True
        ):
            self.assertEqual(sorted(await self.got(client)), sorted(names))
        found = await Twice.io.fetch_sockets()
        self.assertEqual(sorted(one.id for one in found), sorted(one.id for one in clients))
        for hub, _ in Twice.io._at:
            await hub.close()

    @gen_test
    async def test_a_server_that_leaves_or_begins_again_is_counted_rightly(self):
        await self.until_servers_are(2)
        await self.second.io.close()
        await self.until_servers_are(1)
        self.hub(self.second).reopen()
        await self.until_servers_are(2)

    def test_a_hub_on_a_new_loop_leaves_the_cluster_of_the_old_one(self):
        async def count():
            await self.second.io.start()
            return await self.second.io.server_count()

        hub = self.hub(self.second)
        hub.clock.loop = asyncio.new_event_loop()
        hub.clock.loop.close()
        self.assertEqual(self.io_loop.run_sync(count), 2)
        self.assertEqual(self.io_loop.run_sync(self.first.io.server_count), 2)


@needs_cluster_packages
class ClusterJsonDefaultTests(ClusterTestCase):
    """`json_default` gives what other servers of the cluster are told of values that JSON lacks."""

    options = {"json_default": staticmethod(Lacking.json_default)}
    SENT = ("paid", *Lacking.SENT[:3], [{"amount": 1, "receipt": b"r"}])

    @gen_test
    async def test_the_clients_of_both_servers_get_the_same(self):
        here, there = await self.pair()
        values = (*Lacking.VALUES[:3], [Money(1, b"r")])
        self.first.io.emit("paid", *values)
        for client in (here, there):
            self.assertEqual(await client.receive(), self.SENT)
        asked = asyncio.ensure_future(self.first.io.call("paid", *values))
        for client in (here, there):
            self.assertEqual(await client.answer(1), self.SENT)
        self.assertEqual((await asked).answers, {here.id: 1, there.id: 1})
        heard = []
        self.second.io.on("paid", lambda *args: heard.append(args) or values[0])
        self.first.io.server_side_emit("paid", *values)
        answers = await self.first.io.server_side_call("paid", *values)
        self.assertEqual(heard, [self.SENT[1:]] * 2)
        self.assertEqual(answers, [Lacking.SENT[0]])

    @gen_test
    async def test_the_data_of_a_client_is_shown_to_other_servers(self):
        await self.pair()
        for handler in self.second.io.sockets():
            handler.data["since"] = Lacking.VALUES[0]
        shown = [one.data for one in await self.first.io.fetch_sockets()]
        self.assertIn({"since": Lacking.SENT[0]}, shown)

    @gen_test
    async def test_the_error_names_the_event_in_a_cluster_too(self):
        for send in (self.first.io.emit, self.first.io.server_side_emit):
            with self.assertRaisesRegex(TypeError, "event 'the news': .*no idea"):
                send("the news", {1})
        for ask in (self.first.io.call, self.first.io.server_side_call):
            with self.assertRaisesRegex(TypeError, "event 'the news': .*no idea"):
                await ask("the news", {1})


@needs_cluster_packages
class ClusterOtherJsonDefaultTests(ClusterJsonDefaultTests):
    """The same, with a `json` of one's own."""

    options = {**ClusterJsonDefaultTests.options, "json": json}


@needs_cluster_packages
class ClusterRoomTests(ClusterTestCase):
    """A server acts on the clients of another, and learns about them what is no secret."""

    options = {"max_rooms": 3}

    @gen_test
    async def test_join_and_leave_act_on_both_servers(self):
        _, there = await self.pair()
        self.first.io.join("a", "b")
        self.first.io.to(there.id).leave("a")
        await self.got(there)
        self.assertEqual(self.first.io.rooms(), {"a": 1, "b": 1})
        self.assertEqual(self.second.io.rooms(), {"b": 1})
        self.first.io.local.join("c")
        await self.got(there)
        self.assertEqual(self.second.io.rooms(), {"b": 1})

    @gen_test
    async def test_max_rooms_holds_for_a_client_that_another_server_puts_into_rooms(self):
        _, there = await self.pair()
        full = await self.client(path="/second")
        self.second.io.to(full.id).join("1", "2", "3")
        self.first.io.join("4")
        await self.got(there)
        self.assertEqual(self.second.io.rooms(), {"1": 1, "2": 1, "3": 1, "4": 1})
        self.first.io.local.join("2", "3")
        with self.assertRaises(SocketIOError):  # of ours; those elsewhere are told all the same
            self.first.io.join("5")
        await self.got(there)
        self.assertEqual(self.second.io.rooms()["5"], 1)

    @gen_test
    async def test_disconnect_acts_on_both_servers_and_ends_connections_where_asked(self):
        for close in (False, True):
            clients = await self.pair()
            self.first.io.disconnect(close)
            for client in clients:
                if close:
                    await within(client.disconnected.wait())
                else:
                    await within(client.receive_packet(DISCONNECT))

    @gen_test
    async def test_fetch_sockets_gives_ids_rooms_and_data_but_no_credentials(self):
        secret = {
            "Cookie": "sid=secret",
            "Authorization": "Basic c2VjcmV0",
            "Proxy_Authorization": "secret",
        }
        headers = {**secret, "User_Agent": "é", "X_More": "shown"}
        there = await self.client(
            path="/second", auth={"token": "secret"}, headers=headers, query="&a=1&a=2"
        )
        here = await self.client(path="/first")
        (handler,) = self.second.io.sockets()
        handler.data["name"] = {"first": "Ann"}
        handler.session["password"] = "secret"
        handler.io.to(there.id).join("room")
        found = {one.id: one for one in await self.first.io.fetch_sockets()}
        self.assertEqual(found.keys(), {here.id, there.id})
        ann = found[there.id]
        self.assertEqual((ann.rooms, ann.data), ({there.id, "room"}, {"name": {"first": "Ann"}}))
        self.assertEqual(ann.handshake.keys(), HANDSHAKE)
        self.assertEqual(ann.handshake["auth"], {})
        self.assertEqual(ann.handshake["headers"]["x-more"], "shown")
        self.assertEqual(ann.handshake["query"]["a"], "2")
        for _, body in self.published:
            self.assertNotIn(b"secret", body)
        self.assertNotIn("secret", repr(found))
        in_room = await self.first.io.to("room").fetch_sockets()
        self.assertEqual([one.id for one in in_room], [there.id])
        self.assertEqual([one.id for one in await self.first.io.local.fetch_sockets()], [here.id])
        ann.emit("hello", 1)
        self.assertEqual(await there.receive(), ("hello", 1))
        ann.join("more")
        ann.leave("room")
        await self.got(there)
        self.assertEqual(handler.rooms, {there.id, "more"})
        ann.disconnect()
        await within(there.receive_packet(DISCONNECT))

    @gen_test
    async def test_fetch_sockets_gives_a_copy_of_data(self):
        await self.client(path="/first")
        (handler,) = self.first.io.sockets()
        handler.data = {"list": [1]}
        (one,) = await self.first.io.fetch_sockets()
        one.data["list"].append(2)
        self.assertEqual(handler.data, {"list": [1]})

    @gen_test
    async def test_an_event_or_an_attribute_named_data_stays_what_it_is(self):
        class Own(SocketIOHandler):
            cluster = self.url

            @event
            def data(self, value):
                return value

        class Plain(SocketIOHandler):
            cluster = self.url
            data = 5

        self._app.add_handlers(".*", [Own.routes("own"), Plain.routes("plain")])
        own, _ = await self.client(path="/own"), await self.client(path="/plain")
        self.assertEqual(await own.call("data", 7), 7)
        self.assertEqual([one.data for one in await self.first.io.fetch_sockets()], [{}, {}])
        for served in (Own, Plain):
            await served._home[0].verbs.leave_cluster()

    @gen_test
    async def test_data_that_cannot_be_json_is_left_out_of_fetch_sockets_and_a_warning_says_so(
        self,
    ):
        await self.client(path="/second")
        (handler,) = self.second.io.sockets()
        for wrong in ({"a": object()}, {"a": b"\0"}, object()):
            handler.data = wrong
            with self.assertLogs("socket_io", "DEBUG") as logged:
                (one,) = await self.first.io.fetch_sockets()
            self.assertEqual(one.data, {})
            self.assertIn("Second.data cannot be JSON", "".join(logged.output))

    @gen_test
    async def test_all_rooms_are_those_of_both_servers(self):
        here, there = await self.pair()
        self.second.io.local.join("there")
        self.assertEqual(await self.first.io.all_rooms(), {here.id, there.id, "there"})


@needs_cluster_packages
class ClusterCallTests(ClusterTestCase):
    """A call collects the acks of clients of several servers."""

    options = {"cluster_timeout": 0.1, "poll_duration": 0.2}  # a sweep every 50 ms

    @gen_test
    async def test_acks_come_from_the_clients_of_all_servers(self):
        here, there = await self.pair()
        calling = asyncio.ensure_future(self.first.io.call("question", 1))
        self.assertEqual(await here.answer("here", 2), ("question", 1))
        self.assertEqual(await there.answer({"b": b"\1"}), ("question", 1))
        acks = await within(calling)
        self.assertEqual(acks.answers, {here.id: ["here", 2], there.id: {"b": b"\1"}})
        self.assertEqual((acks.missing, acks.unnamed, acks.expected), (set(), [], 2))

    @gen_test
    async def test_a_call_waits_for_acks_no_longer_than_its_timeout(self):
        here, there = await self.pair()
        calling = asyncio.ensure_future(self.first.io.call("question", timeout=0.2))
        await there.answer("there")
        acks = await within(calling)
        self.assertEqual((acks.answers, acks.missing), ({there.id: "there"}, {here.id}))
        self.assertEqual(acks.expected, 2)
        calling = asyncio.ensure_future(self.first.io.call("question", timeout=0.2))
        await here.receive()
        await here.answer("here")
        acks = await within(calling)
        self.assertEqual((acks.answers, acks.expected), ({here.id: "here"}, 2))
        (handler,) = self.second.io.sockets()
        while handler._member.acks:  # the sweep of the other server gives up as well
            await asyncio.sleep(0.01)

    @gen_test
    async def test_a_call_may_have_an_infinite_timeout(self):
        here, there = await self.pair()
        calling = asyncio.ensure_future(self.first.io.call("question", timeout=math.inf))
        await here.answer(1)
        await there.answer(2)
        self.assertEqual((await within(calling)).answers, {here.id: 1, there.id: 2})

    @gen_test
    async def test_a_call_does_not_wait_for_servers_without_clients(self):
        here = await self.client(path="/first")
        calling = asyncio.ensure_future(self.first.io.call("question", timeout=None))
        await here.answer()
        acks = await within(calling, 1)
        self.assertEqual((acks.answers, acks.expected), ({here.id: None}, 1))
        acks = await within(self.first.io.to("nobody").call("question", timeout=None), 1)
        self.assertEqual((acks.answers, acks.expected), ({}, 0))

    @gen_test
    async def test_acks_of_node_servers_are_counted_and_given_without_ids(self):
        calling = asyncio.ensure_future(self.first.io.to("x").call("question", timeout=0.3))
        await asyncio.sleep(0)
        while not any("-request#" in channel for channel, _ in self.published):
            await asyncio.sleep(0)
        request = socket_io.unpack(self.published[-1][1])
        for response in (
            {"type": 8, "clientCount": 3},
            {"type": 9, "packet": "a"},
            {"type": 9, "packet": None},
        ):
            response["requestId"] = request["requestId"]
            self.feed(f"socket.io-response#/#{request['uid']}#", json.dumps(response).encode())
        acks = await within(calling)
        self.assertEqual((acks.answers, acks.unnamed, acks.expected), ({}, ["a", None], 3))

    @gen_test
    async def test_a_call_to_an_id_asks_that_client_of_another_server(self):
        _, there = await self.pair()
        calling = asyncio.ensure_future(self.first.io.to(there.id).call("one"))
        await there.answer("yes")
        self.assertEqual((await within(calling)).answers, {there.id: "yes"})

    @gen_test
    async def test_an_ack_that_msgpack_cannot_hold_is_dropped_without_a_warning(self):
        _, there = await self.pair()
        deep = b"\0"
        for _ in range(5000):
            deep = [deep]
        with self.assertNoLogs(level="WARNING"):
            calling = asyncio.ensure_future(self.first.io.to(there.id).call("one", timeout=0.3))
            handler = self.second.io.sockets()[0]
            while not handler._member.acks:
                await asyncio.sleep(0)
            handler._member.acknowledged(Packet(ACK, "/", [deep], 0))
            self.assertEqual((await within(calling)).answers, {})

    @gen_test
    async def test_a_server_that_does_not_answer_raises_cluster_timeout_with_the_answers_of_the_others(
        self,
    ):
        here, there = await self.pair()
        third = self.silent_bus()
        third.subscribe("socket.io-request#/#", lambda *message: None)
        await self.until_servers_are(3)
        io = self.first.io
        self.second.io.on("ask", lambda: "known")
        with self.assertRaisesRegex(socket_io.ClusterTimeout, "1 of 2 other servers") as caught:
            await io.fetch_sockets()
        self.assertEqual({one.id for one in caught.exception.partial}, {here.id, there.id})
        with self.assertRaises(socket_io.ClusterTimeout) as caught:
            await io.all_rooms()
        self.assertEqual(caught.exception.partial, {here.id, there.id})
        with self.assertRaises(socket_io.ClusterTimeout) as caught:
            await io.server_side_call("ask")
        self.assertEqual(caught.exception.partial, ["known"])
        self.assertIsInstance(caught.exception, TimeoutError)
        acks = await io.to("nobody").call("question", timeout=0.1)
        self.assertEqual((acks.answers, acks.expected), ({}, 0))
        third.unsubscribe("socket.io-request#/#")
        await self.until_servers_are(2)
        await third.close()

    def silent_bus(self):
        """Return the bus of a third server, on which nothing answers."""
        clock = mock.Mock(loop=asyncio.get_running_loop(), context=contextvars.Context())
        clock.is_over.return_value = False
        return socket_io.MemoryBus(self.url, mock.Mock(clock=clock))


@needs_cluster_packages
class ServerSideEventTests(ClusterTestCase):
    """Events that servers emit to each other."""

    namespaces = {re.compile("/room/.*"): SocketIOHandler, "/chat": SocketIOHandler}

    @gen_test
    async def test_listeners_hear_the_other_servers_and_not_their_own(self):
        heard = asyncio.Queue()
        for name, server in (("first", self.first), ("second", self.second)):
            server.io.on("news", lambda *args, name=name: heard.put_nowait((name, *args)))
        self.first.io.server_side_emit("news", 1, {"a": b"\1"})
        self.second.io.server_side_emit("news", 2)
        self.assertEqual(await within(heard.get()), ("second", 1, {"a": b"\1"}))
        self.assertEqual(await within(heard.get()), ("first", 2))
        self.first.io.of("/chat").server_side_emit("news", 3)
        self.assertEqual(await self.first.io.server_side_call("news", 4), [None])
        self.assertEqual((await within(heard.get()), heard.empty()), (("second", 4), True))

    @gen_test
    async def test_the_first_listener_answers_whether_plain_or_a_coroutine(self):
        async def slow(number):
            await asyncio.sleep(0)
            return {"slow": number, "b": b"\1"}

        self.second.io.on("plain", lambda: 5)
        self.second.io.on("plain", lambda: 6)
        self.second.io.on("slow", slow)
        self.assertEqual(await self.first.io.server_side_call("plain"), [5])
        self.assertEqual(await self.first.io.server_side_call("slow", 7), [{"slow": 7, "b": b"\1"}])
        self.assertEqual(await self.first.io.server_side_call("nobody listens"), [None])

    @gen_test
    async def test_a_listener_that_raises_or_returns_no_json_is_logged_and_answers_null(self):
        async def fail_later():
            await asyncio.sleep(0)
            raise ValueError("mine")

        listeners = {
            "fails": lambda: 1 / 0, "fails later": fail_later, "takes nothing": lambda one: one,
            "no json": object, "not finite": lambda: math.nan,
        }  # fmt: skip
        for name, listener in listeners.items():
            self.second.io.on(name, listener)
            with self.subTest(name), self.assertLogs("socket_io", "ERROR") as logged:
                self.assertEqual(await within(self.first.io.server_side_call(name)), [None])
            self.assertIn(repr(name), logged.output[0])

    @gen_test
    async def test_listeners_of_a_family_hear_each_of_its_namespaces(self):
        heard = asyncio.Queue()
        self.made[1][re.compile("/room/.*")].io.on("news", heard.put_nowait)
        await self.pair("/room/5")
        self.first.io.of("/room/5").server_side_emit("news", 1)
        self.assertEqual(await within(heard.get()), 1)

    @gen_test
    async def test_a_listener_sees_no_context_variable_of_a_caller_or_of_an_earlier_run(self):
        variable = contextvars.ContextVar("variable", default="nobody's")
        self.second.io.on("context", lambda: (variable.get(), variable.set("mine"))[0])
        variable.set("the test's")
        for _ in range(2):
            self.assertEqual(await self.first.io.server_side_call("context"), ["nobody's"])


@needs_cluster_packages
class ClusterGarbageTests(ClusterTestCase):
    """A message that no server sends is dropped by itself, whatever is wrong with it."""

    options = {"max_buffered_bytes": 100_000, "python_socketio_channel": "socketio"}
    ODD = [None, True, -1, 1.5, "", "x", [], [[]], {}, {"x": {}}, 2**63, 10**400, [None], math.nan,
           b"\xff"]  # fmt: skip
    EVERYBODY = (None, "", [], 10**400, math.nan)  # as rooms; msgpack has the last two as null
    NOBODY = {"rooms": ["nobody"], "except": [], "flags": {}}
    PACKET = {"type": 2, "data": ["bad", 1], "nsp": "/"}
    REQUEST = {"uid": "x", "requestId": "y", "opts": NOBODY, "rooms": ["z"], "data": ["bad"],
               "packet": PACKET, "close": False, "sid": "nobody", "room": "z"}  # fmt: skip
    PYTHON = {"event": "bad", "data": ["x"], "binary": False, "namespace": "/", "room": "nobody",
              "skip_sid": None, "callback": None, "host_id": "x", "sid": "nobody", "id": 1, "args": []}  # fmt: skip

    def changed(self, message):
        """Yield *message* with one part missing or odd."""
        for key in message:
            yield {name: value for name, value in message.items() if name != key}
            for value in self.ODD:
                yield {**message, key: value}

    def broadcasts(self):
        yield from [*self.ODD, ["x"], ["x", self.PACKET], ["x", None, None]]
        for value in self.ODD:
            yield from [["x", value, self.NOBODY], [value, self.PACKET, self.NOBODY]]
            if not isinstance(value, dict):  # a map without rooms is for everybody
                yield ["x", self.PACKET, value]
            yield ["x", {**self.PACKET, "data": [value, 1]}, self.NOBODY]
            yield ["x", self.PACKET, {"rooms": [value] if value is not None else [[]]}]
            yield ["x", self.PACKET, {**self.NOBODY, "except": value}]
            yield ["x", self.PACKET, {**self.NOBODY, "flags": value}]
            if value not in self.EVERYBODY:
                yield ["x", self.PACKET, {"rooms": value}]
        yield from [["x", packet, self.NOBODY] for packet in self.changed(self.PACKET)]
        for bad in [
            *[{**self.PACKET, "type": type} for type in (None, "2", -1, 0, 1, 3, 4, 6, 2.5, True, [2])],
            *[{**self.PACKET, "data": [name]} for name in (*RESERVED_EVENTS, None, True, [], b"bad", {})],
            *[{**self.PACKET, "data": data} for data in (None, [], {}, "bad", 5)],
            {**self.PACKET, "nsp": "/other"}, {**self.PACKET, "nsp": None},
            {**self.PACKET, "data": ["bad", {b"key": 1}]},  # no client's JSON can have such a key
        ]:  # fmt: skip
            yield ["x", bad, {"rooms": [], "except": []}]

    def requests(self):
        for type in (*self.ODD, *range(-1, 12), "5", 5.5, [5]):
            yield {"type": type}
            yield {"requestid": "x", "type": type, "sid": "x", "room": "nobody", "opts": {}}
        for type in range(9):
            for request in self.changed({**self.REQUEST, "type": type}):
                if request.get("opts") not in ({}, {"x": {}}):  # these mean everybody
                    yield request
            for options in self.changed(self.NOBODY):
                if options.get("rooms") not in self.EVERYBODY:
                    yield {**self.REQUEST, "type": type, "opts": options}
            for value in self.ODD:
                yield {
                    **self.REQUEST,
                    "type": type,
                    "opts": {**self.NOBODY, "flags": {"timeout": value}},
                }

    def responses(self):
        for value in self.ODD:
            for type in (None, 6, 8, 9):
                yield {"requestId": value, "type": type, "sockets": value, "clientCount": value}
        yield from self.ODD

    def for_python(self):
        methods = ("emit", "callback", "enter_room", "leave_room", "close_room", "disconnect")
        for method in (*methods, "other", *self.ODD):
            for message in self.changed({**self.PYTHON, "method": method}):
                if method != "emit" or message.get("room") is not None:
                    yield message
        for value in (*self.ODD, ["x"], ["x", "/", 1, 2]):
            yield {**self.PYTHON, "method": "emit", "room": None, "callback": value or 5}
            yield {**self.PYTHON, "method": "emit", "binary": True, "data": value}
            yield {**self.PYTHON, "method": "emit", "binary": True, "data": [value, value]}

    def bodies(self, messages):
        """Yield *messages* encoded both ways, and bodies that are cut, changed, nested, or no message at all."""
        whole = []
        for message in messages:
            for encode in (socket_io.pack, lambda message: json.dumps(message).encode()):
                with contextlib.suppress(TypeError):  # bytes are not JSON
                    whole.append(encode(message))
        yield from whole
        chosen = random.Random(10)
        for _ in range(300):
            body = bytearray(chosen.choice(whole))
            body[chosen.randrange(len(body))] ^= 1 << chosen.randrange(8)
            if not re.search(rb"rooms?(\": \[?\"|\x91?\xa6)nobody", body):  # it may mean everybody
                body = body[: chosen.randrange(len(body))]
            yield bytes(body)
        yield from [
            b"",
            b"\0",
            b"\xc1",
            b"\xff" * 50,
            b"\x91" * 90_000,
            b"[" * 90_000,
            b'{"a":' * 9000,
        ]
        yield from [
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\x7f\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
            b"{}",
            b"[]",
        ]

    @gen_test
    async def test_malformed_messages_end_nothing_and_are_logged_only_at_debug(self):
        clients = await self.pair()
        rooms = self.first.io.rooms(), self.second.io.rooms()
        own = self.hub(self.first).verbs.uid
        channels = [
            ("socket.io#/#", self.broadcasts()), ("socket.io-request#/#", self.requests()),
            ("socket.io-response#/#", self.responses()), (f"socket.io-response#/#{own}#", self.responses()),
            ("socketio", self.for_python()),
        ]  # fmt: skip
        with self.assertNoLogs("socket_io", "INFO"), self.assertNoLogs("asyncio", "ERROR"):
            asking = asyncio.ensure_future(self.first.io.server_side_call("unheard"))
            for channel, messages in channels:
                for body in self.bodies(messages):
                    for server in self.servers:
                        self.hub(server).verbs.bus._deliver(channel, body)
                self.second.io.emit("good", channel)
                for client in clients:
                    self.assertEqual(await client.receive(), ("good", channel))
                await asyncio.sleep(0)
            self.assertEqual(await within(asking), [None])
            gc.collect()  # a task whose exception nobody has seen would say so
        self.assertEqual((self.first.io.rooms(), self.second.io.rooms()), rooms)
        self.assertEqual(await self.first.io.server_count(), 2)

    @gen_test
    async def test_a_message_that_is_longer_than_max_buffered_bytes_is_not_read(self):
        clients = await self.pair()
        for size in (99_000, 100_001):
            message = ["x", {**self.PACKET, "data": ["size", "x" * size]}, {}]
            self.feed("socket.io#/#", socket_io.pack(message))
        await asyncio.sleep(0)
        self.first.io.emit("next")
        for client in clients:
            self.assertEqual(len((await client.receive())[1]), 99_000)
            self.assertEqual(await client.receive(), ("next",))

    @gen_test
    async def test_a_pickled_message_is_never_loaded(self):
        loaded = []

        class Trap:
            def __reduce__(self):
                return loaded.append, ("loaded",)

        with mock.patch("builtins.__import__", side_effect=__import__) as importing:
            body = pickle.dumps({"method": "emit", "event": "x", "data": "y"}) + b"cos\nsystem\n"
            for channel in (
                "socket.io#/#",
                "socket.io-request#/#",
                "socket.io-response#/#",
                "socketio",
            ):
                for server in self.servers:
                    self.hub(server).verbs.bus._deliver(channel, body)
            self.assertFalse([call for call in importing.mock_calls if call.args[0] == "pickle"])
        self.assertNotRegex(
            inspect.getsource(socket_io), r"import pickle|pickle\.loads|marshal\.loads"
        )

    @gen_test
    async def test_a_request_acts_on_the_clients_that_it_names_and_no_others(self):
        here, there = await self.pair()
        self.second.io.to(there.id).join("room")
        await self.got(there)
        other = await self.client(path="/second")
        for request in (
            {"type": 4, "opts": {"rooms": 0, "except": []}},
            {"type": 4, "opts": {"rooms": {}, "except": []}},
            {"type": 4, "sid": "room", "close": True},  # a room is no client
            {"type": 2, "opts": {"rooms": []}},  # into which room?
            {"type": 2, "opts": {"rooms": []}, "rooms": "abc"},
            {"type": 2, "sid": "room", "room": "more"},
            {"requestid": "1", "type": 3, "sid": there.id, "room": "room"},
            {"requestid": "1", "type": 6, "sid": there.id},
            {"type": 4, "uid": self.hub(self.first).verbs.uid, "opts": {"rooms": [here.id]}},
        ):
            self.request(**request)
        for client in (here, there, other):
            self.assertEqual(await self.got(client), [])
        self.assertEqual(await self.first.io.all_rooms(), {here.id, there.id, other.id, "room"})


@needs_cluster_packages
class ClusterRequestTests(ClusterTestCase):
    """Requests of node's adapters are obeyed in all their spellings, and answered where their asker listens."""

    async def answers(self, namespace="/", **request):
        """Return what servers answer to *request*, as (channel, response)."""
        self.published.clear()
        self.request(namespace, **request)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.responses()

    @gen_test
    async def test_an_answer_goes_to_the_askers_own_channel_if_its_request_has_a_uid(self):
        client = await self.client(path="/first")
        everybody, one = "socket.io-response#/#", "socket.io-response#/#asker#"
        options = {"rooms": [], "except": []}
        for request, channel in [
            ({"type": 0, "rooms": []}, everybody), ({"type": 0, "uid": "asker", "rooms": []}, one),
            ({"type": 1}, everybody), ({"type": 1, "uid": "asker"}, one),
            ({"type": 5, "opts": options}, everybody), ({"type": 5, "uid": "asker", "opts": options}, one),
            ({"type": 6, "uid": "asker", "data": ["x"]}, everybody),
        ]:  # fmt: skip
            with self.subTest(**request):
                answers = await self.answers(requestId="r", **request)
                self.assertEqual([where for where, _ in answers], [channel, channel])
                self.assertEqual({answer["requestId"] for _, answer in answers}, {"r"})
        (_, first), _ = await self.answers(type=0, requestId="r", rooms=[client.id])
        self.assertEqual(first["sockets"], [client.id])

    @gen_test
    async def test_a_question_without_a_request_id_is_not_answered_and_an_event_is_heard(self):
        for type in (0, 1, 5, 7):
            request = {"opts": {"rooms": []}, "packet": ClusterGarbageTests.PACKET}
            self.assertEqual(await self.answers(type=type, **request), [])
        heard = asyncio.Queue()
        self.second.io.on("x", heard.put_nowait)
        self.assertEqual(await self.answers(type=6, data=["x", 1], uid="emitter"), [])
        self.assertEqual(await within(heard.get()), 1)

    @gen_test
    async def test_clients_are_joined_left_and_disconnected_for_emitters_and_older_adapters(self):
        client = await self.client(path="/first")
        options = {"rooms": [client.id], "except": []}
        for request, rooms in [
            ({"type": 2, "opts": options, "rooms": ["a", 7]}, {"a": 1, "7": 1}),
            ({"type": 3, "opts": options, "rooms": [7.0]}, {"a": 1}),
            ({"type": 2, "requestId": "r", "sid": client.id, "room": "b"}, {"a": 1, "b": 1}),
            ({"type": 3, "requestId": "r", "sid": client.id, "room": "a"}, {"b": 1}),
        ]:
            answers = await self.answers(**request)
            self.assertEqual(self.first.io.rooms(), rooms)
            answered = [("socket.io-response#/#", {"requestId": "r"})]
            self.assertEqual(answers, [] if "opts" in request else answered)
        answers = await self.answers(type=4, requestId="r", sid=client.id, close=True)
        self.assertEqual([answer for _, answer in answers], [{"requestId": "r"}])
        await within(client.disconnected.wait())

    @gen_test
    async def test_acks_are_counted_at_once_and_each_is_passed_on(self):
        client = await self.client(path="/first")
        old = await self.client("0.6", "websocket", path="/first")
        request = {
            "type": 7,
            "requestId": "r",
            "uid": "asker",
            "packet": ClusterGarbageTests.PACKET,
        }
        answers = await self.answers(opts={"rooms": [], "flags": {"timeout": 10**400}}, **request)
        self.assertEqual(
            [answer for _, answer in answers if answer["clientCount"]],
            [{"type": 8, "requestId": "r", "clientCount": 1}],
        )
        await client.answer("yes", "more")
        while len(self.responses()) < 3:
            await asyncio.sleep(0.005)
        self.assertEqual(
            self.responses()[-1],
            (
                "socket.io-response#/#asker#",
                {"type": 9, "requestId": "r", "packet": "yes", "id": client.id},
            ),
        )
        self.assertTrue(old.sid)


@needs_cluster_packages
class PythonSocketIOTests(ClusterTestCase):
    """Servers and external managers of python-socketio are heard, and hear us, on their channel."""

    options = {"python_socketio_channel": "socketio"}
    NOTHING = {
        "room": None,
        "skip_sid": None,
        "callback": None,
        "host_id": "theirs",
        "namespace": "/",
    }

    def say(self, method, **fields):
        message = {"method": method, **self.NOTHING, **fields}
        self.feed("socketio", json.dumps(message).encode())

    def emit(self, event, data, **fields):
        self.say("emit", event=event, data=data, **{"binary": False, **fields})

    def said(self):
        return [json.loads(body) for channel, body in self.published if channel == "socketio"]

    @gen_test
    async def test_events_of_python_socketio_in_every_form_reach_the_clients_they_name(self):
        here, there = await self.pair()
        for data, args in [(["one", 2], ("one", 2)), ("text", ("text",)), ([None], ()), (None, ()), ([[1]], ([1],)),
                           ({"a": 1}, ({"a": 1},))]:  # fmt: skip
            self.emit("hi", data)
            for client in (here, there):
                self.assertEqual(await client.receive(), ("hi", *args))
        self.emit("bytes", [[{"x": {"_placeholder": True, "num": 0}}], "AQI="], binary=True)
        self.emit("one", [1], room=there.id)
        self.emit("both", [1], room=[here.id, there.id], skip_sid=[here.id])
        self.emit("but", [1], skip_sid=here.id)
        self.emit("nobody", [1], room=[])
        self.emit("of our own kind", [1], cluster_key="socket.io", room=here.id)
        self.assertEqual(await self.got(here), ["bytes"])
        self.assertEqual(await there.receive(), ("bytes", {"x": b"\1\2"}))
        self.assertEqual(await self.got(there), ["one", "both", "but"])

    @gen_test
    async def test_an_ack_is_passed_on_to_the_callback_of_python_socketio(self):
        _, there = await self.pair()
        self.emit("question", [1], room=there.id, callback=[there.id, "/", 7])
        await there.answer("cb", 2)
        while not self.said():
            await asyncio.sleep(0.005)
        (answer,) = self.said()
        fields = {
            "method": "callback",
            "host_id": "theirs",
            "sid": there.id,
            "namespace": "/",
            "id": 7,
        }
        self.assertEqual({key: answer[key] for key in fields}, fields)
        self.assertEqual(answer["args"], ["cb", 2])

    @gen_test
    async def test_python_socketio_enters_leaves_and_closes_rooms_and_disconnects_clients(self):
        _, there = await self.pair()
        for method, fields, rooms in [
            ("enter_room", {"sid": there.id, "room": "a"}, {"a": 1}),
            ("enter_room", {"sid": there.id, "room": "b"}, {"a": 1, "b": 1}),
            ("leave_room", {"sid": there.id, "room": "a"}, {"b": 1}),
            ("close_room", {"room": "b"}, {}),
        ]:
            self.say(method, **fields)
            await asyncio.sleep(0)
            self.assertEqual(self.second.io.rooms(), rooms)
        self.second.io.join("room")
        for method in ("enter_room", "leave_room", "disconnect"):
            self.say(method, sid="room", room="other")  # a room is no client
        await asyncio.sleep(0)
        self.assertEqual(self.second.io.rooms(), {"room": 1})
        self.say("disconnect", sid=there.id)
        await within(there.receive_packet(DISCONNECT))

    @gen_test
    async def test_emits_joins_leaves_and_disconnects_are_published_as_python_socketio_reads_them(
        self,
    ):
        io = self.first.io
        io.emit("hi", "one", 2)
        io.to("r1").except_("sid").emit("hi", {"x": b"\1\2"})
        io.to("r1", "r2").emit("none")
        io.to("sid").join("room")
        io.to("sid").leave("room")
        io.to("sid").disconnect()
        said = self.said()
        self.assertEqual(
            [(one["method"], one.get("room"), one.get("skip_sid"), one.get("data")) for one in said[:2]],
            [("emit", None, None, ["one", 2]),
             ("emit", "r1", ["sid"], [[{"x": {"_placeholder": True, "num": 0}}], "AQI="])],
        )  # fmt: skip
        self.assertEqual((sorted(said[2]["room"]), said[2]["data"]), (["r1", "r2"], [None]))
        self.assertEqual(
            [(one["method"], one["sid"], one.get("room")) for one in said[3:]],
            [
                ("enter_room", "sid", "room"),
                ("leave_room", "sid", "room"),
                ("disconnect", "sid", None),
            ],
        )
        self.assertEqual([one["binary"] for one in said[:3]], [False, True, False])

    @gen_test
    async def test_an_event_that_goes_out_on_both_channels_arrives_once(self):
        clients = await self.pair()
        self.first.io.emit("news", 1)
        self.first.io.emit("end")
        for client in clients:
            self.assertEqual([await client.receive() for _ in range(2)], [("news", 1), ("end",)])

    @gen_test
    async def test_a_call_to_a_room_that_nobody_is_in_does_not_wait(self):
        await self.pair()
        acks = await within(self.first.io.to("nobody").call("question", timeout=None))
        self.assertEqual(acks.answers, {})

    @gen_test
    async def test_an_ack_with_bytes_is_not_passed_on_and_a_warning_says_so(self):
        _, there = await self.pair()
        self.emit("question", [1], room=there.id, callback=[there.id, "/", 7])
        with self.assertLogs("socket_io", "WARNING") as logged:
            await there.answer(b"\x01")
            while not logged.output:
                await asyncio.sleep(0.005)
        self.assertIn("an ack with bytes", logged.output[0])
        self.assertEqual(self.said(), [])


class FakeRedis:
    """A server that speaks Redis' protocol, and knows what a cluster needs of it.

    It can be stopped and started on the same port, refuse commands, and read without an answer.
    """

    def __init__(self):
        self.port = None
        self.server = None
        self.writers: dict[asyncio.StreamWriter, set[str]] = {}  # and what they have subscribed to
        self.commands = []  # all but pings, as lists of text
        self.connections = 0
        self.is_frozen = False
        self.hangs_up_at: set[str] = set()  # commands after which the connection is cut
        self.slow_at: set[str] = set()  # commands that take 50 ms

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port or 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        self.server.close()
        await asyncio.sleep(0)  # for a connection that has been accepted just now
        self.cut()
        await asyncio.sleep(0)

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()

    def count(self, channel):
        return sum(channel in channels for channels in self.writers.values())

    async def _serve(self, reader, writer):
        self.connections += 1
        self.writers[writer] = set()
        try:
            while head := await reader.readline():
                args = []
                for _ in range(int(head[1:])):
                    size = int((await reader.readline())[1:])
                    args.append((await reader.readexactly(size + 2))[:-2])
                name, *args = args
                name = name.decode().upper()
                if name != "PING":
                    self.commands.append([name, *[arg.decode("utf-8", "replace") for arg in args]])
                if name in self.slow_at:
                    await asyncio.sleep(0.05)
                if name in self.hangs_up_at:
                    writer.transport.abort()
                elif not self.is_frozen:
                    writer.write(self._answer(writer, name, args))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self.writers[writer]
            writer.close()

    def _answer(self, writer, name, args):
        channels = self.writers[writer]
        if name == "PING":
            return self._list("pong", "") if channels else b"+PONG\r\n"
        if name == "PUBLISH":
            return b":%d\r\n" % self._publish(*args)
        if name == "PUBSUB":
            return self._list(args[1], self.count(args[1].decode()))
        if name.endswith("SUBSCRIBE"):
            for arg in args:
                (channels.discard if "UNSUB" in name else channels.add)(arg.decode())
            return b"".join([self._list(name.lower(), arg, len(channels)) for arg in args])
        return b"+OK\r\n"

    def _publish(self, channel, body):
        receivers = 0
        for writer, channels in self.writers.items():
            for wanted in channels:
                if wanted.encode() == channel:
                    writer.write(self._list("message", channel, body))
                elif wanted.endswith("*") and channel.startswith(self._prefix(wanted)):
                    writer.write(self._list("pmessage", wanted, channel, body))
                else:
                    continue
                receivers += 1
        return receivers

    def _prefix(self, pattern):
        return re.sub(r"\\(.)", r"\1", pattern[:-1]).encode()

    def _list(self, *items):
        body = b"*%d\r\n" % len(items)
        for item in items:
            if isinstance(item, int):
                body += b":%d\r\n" % item
            else:
                item = item.encode() if isinstance(item, str) else item
                body += b"$%d\r\n%b\r\n" % (len(item), item)
        return body


class RedisTestCase(ClusterTestCase):
    """Two servers of one cluster on a `FakeRedis`, with short times."""

    def get_app(self):
        self.redis = FakeRedis()
        self.io_loop.run_sync(self.redis.start)
        self.url = f"redis://127.0.0.1:{self.redis.port}"
        return super().get_app()

    def setUp(self):
        times = {
            "PING_SECONDS": 0.05,
            "SILENCE_SECONDS": 0.2,
            "SETTLE_SECONDS": 0.5,
            "PAUSES": (0.01, 0.05),
        }
        for patch in (
            mock.patch.multiple(socket_io.RedisBus, **times),
            mock.patch.object(socket_io, "COMMAND_SECONDS", 0.5),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        super().setUp()
        self.io_loop.run_sync(self.together)

    def tearDown(self):
        async def leave():
            self.redis.is_frozen = False
            for server in self.servers:
                await self.hub(server).verbs.leave_cluster()
            await self.redis.stop()
            await asyncio.sleep(0.01)

        self.io_loop.run_sync(leave)
        super().tearDown()

    async def together(self):
        """Wait until both servers count each other."""
        for server in self.servers:
            while await within(server.io.server_count()) != 2:
                await asyncio.sleep(0.005)

    async def away(self):
        """Wait until both servers have noticed that Redis is away."""
        for server in self.servers:
            while self.hub(server).verbs.bus.joined.is_set():
                await asyncio.sleep(0.005)

    def bus(self, server):
        return self.hub(server).verbs.bus


@needs_cluster_packages
class RedisBusTests(RedisTestCase):
    """Redis comes, goes, is slow or silent; clients of one server are served at all times."""

    namespaces = {re.compile("/room/.*", re.DOTALL): SocketIOHandler}
    options = {"max_buffered_bytes": 20_000}

    @gen_test
    async def test_events_acks_and_questions_go_through_redis(self):
        here, there = await self.pair()
        self.first.io.emit("all", b"\1")
        for client in (here, there):
            self.assertEqual(await client.receive(), ("all", b"\1"))
        calling = asyncio.ensure_future(self.first.io.to(there.id).call("question"))
        await there.answer(1)
        self.assertEqual((await within(calling)).answers, {there.id: 1})
        self.assertEqual(len(await self.first.io.fetch_sockets()), 2)
        self.second.io.on("ask", lambda: "answer")
        self.assertEqual(await self.first.io.server_side_call("ask"), ["answer"])

    @gen_test
    async def test_acks_come_to_a_server_that_nobody_of_the_namespace_is_at(self):
        there = await self.client(path="/second", namespace="/room/1")
        self.redis.slow_at.add("SUBSCRIBE")
        calling = asyncio.ensure_future(self.first.io.of("/room/1").call("question", timeout=1.0))
        await there.answer("yes")
        self.assertEqual((await within(calling)).answers, {there.id: "yes"})

    @gen_test
    async def test_many_events_arrive_in_order_and_none_twice(self):
        there = await self.client(path="/second")
        for start in range(0, 300, 30):
            for number in range(start, start + 30):
                self.first.io.emit("number", number)
            for number in range(start, start + 30):
                self.assertEqual(await there.receive(), ("number", number))

    @gen_test
    async def test_the_channel_by_which_servers_are_counted_is_joined_last_and_left_first(self):
        verbs = [name for name, *channels in self.redis.commands if "SUBSCRIBE" in name]
        self.assertEqual(verbs[:2], ["PSUBSCRIBE", "SUBSCRIBE"])
        names = [channels for name, *channels in self.redis.commands if name == "SUBSCRIBE"]
        self.assertEqual(names[0][-1], "socket.io-request#/#")
        self.redis.commands.clear()
        await self.second.io.close()
        left = [command for command in self.redis.commands if "SUBSCRIBE" in command[0]]
        self.assertEqual([left[0][1], left[-1][1]], ["socket.io-request#/#", "socket.io#/#*"])

    @gen_test
    async def test_odd_names_of_namespaces_and_rooms_stop_neither_publishing_nor_listening(self):
        here, there = await self.pair()
        names = [f"/room/{name}" for name in ("*", "[a-z]?", "\\", "\r\nPING\r\n", "#", "é😀")]
        for name in names:
            for client in (here, there):
                await client.join(name)
        self.second.io.join(LONE)
        self.assertEqual(await self.first.io.of(f"/room/{LONE}").server_side_call("ask"), [])
        for name in names:
            self.first.io.of(name).emit("in", name)
            self.assertEqual(await there.receive(), ("in", name))
        self.first.io.to(LONE).emit("half a pair")
        self.assertEqual(await there.receive(), ("half a pair",))

    @gen_test
    async def test_namespaces_that_come_and_go_leave_no_subscriptions(self):
        before = [set(channels) for channels in self.redis.writers.values()]
        client = await self.client(path="/first")
        for number in range(20):
            await client.join(f"/room/{number}")
            await client.leave(f"/room/{number}")
        while len(self.hub(self.first).namespaces) > 1:
            await asyncio.sleep(0.005)
        bus = self.bus(self.first)
        while [set(channels) for channels in self.redis.writers.values()] != before:
            await asyncio.sleep(0.005)
        while len(bus.confirmed) != 3:
            await asyncio.sleep(0.005)
        self.assertEqual((bus.changed, len(bus.receivers)), ({}, 4))

    @gen_test
    async def test_a_channel_may_be_subscribed_from_within_the_sweep(self):
        bus, clock = self.bus(self.first), self.hub(self.first).clock
        clock.context.run(bus.subscribe, "sweep#", print)
        while not self.redis.count("sweep#"):
            await asyncio.sleep(0.005)

    @gen_test
    async def test_an_outage_is_one_warning_and_queued_events_arrive_once_and_in_order(self):
        here, there = await self.pair()
        with self.assertLogs("socket_io", "INFO") as logged:
            await self.redis.stop()
            await self.away()
            self.first.io.volatile.emit("volatile", 0)
            for number in range(5):
                self.first.io.emit("number", number)
            self.assertEqual(await here.receive(), ("volatile", 0))
            for number in range(5):
                self.assertEqual(await here.receive(), ("number", number))
            await asyncio.sleep(0.2)
            await self.redis.start()
            for number in range(5):
                self.assertEqual(await there.receive(), ("number", number))
            await self.together()
        self.assertEqual(await self.got(there), [])
        warnings_ = [record for record in logged.records if record.levelname == "WARNING"]
        self.assertEqual(len(warnings_), 2, "one of each server")
        self.assertIn("cluster: Redis is away", warnings_[0].getMessage())

    @gen_test
    async def test_events_queued_during_an_outage_are_bounded_and_the_oldest_is_dropped_first(self):
        there = await self.client(path="/second")
        await self.redis.stop()
        await self.away()
        bus = self.bus(self.first)
        for number in range(100):
            self.first.io.emit("number", number, "x" * 900)
            self.assertLessEqual(bus.queued_bytes, 20_000)
        kept = len(bus.queue)
        self.assertGreater(kept, 10)
        self.first.io.emit("too large", "x" * 21_000)
        self.assertEqual(len(bus.queue), kept)
        await self.redis.start()
        for number in range(100 - kept, 100):
            self.assertEqual((await there.receive())[1], number)

    @gen_test
    async def test_an_answer_may_be_longer_than_max_buffered_bytes(self):
        there = await self.client(path="/second")
        (handler,) = self.second.io.sockets()
        handler.data["long"] = "x" * 30_000
        (one,) = await self.first.io.fetch_sockets()
        self.assertEqual((one.id, len(one.data["long"])), (there.id, 30_000))
        self.second.io.on("ask", lambda: "x" * (16 * 20_000))
        self.hub(self.first).verbs.seconds = 0.1
        with self.assertRaises(socket_io.ClusterTimeout):
            await self.first.io.server_side_call("ask")

    @gen_test
    async def test_questions_during_an_outage_time_out_with_what_is_known(self):
        here = await self.client(path="/first")
        await self.redis.stop()
        await self.away()
        for server in self.servers:
            self.hub(server).verbs.seconds = 0.05
        for ask, known in ((self.first.io.all_rooms, {here.id}), (self.first.io.server_count, 1)):
            with self.assertRaises(socket_io.ClusterTimeout) as caught:
                await within(ask(), 1)
            self.assertEqual(caught.exception.partial, known)
        calling = asyncio.ensure_future(self.first.io.call("question", timeout=0.2))
        await here.answer("here")
        self.assertEqual((await within(calling, 1)).answers, {here.id: "here"})
        await self.redis.start()

    @gen_test
    async def test_attempts_to_connect_to_redis_pause_longer_and_longer(self):
        await self.redis.stop()
        await self.away()
        begun, attempts = time.monotonic(), []
        pubsub = self.bus(self.first).listening_client.pubsub

        def attempt():
            attempts.append(time.monotonic() - begun)
            return pubsub()

        self.bus(self.first).listening_client.pubsub = attempt
        while len(attempts) < 6:
            await asyncio.sleep(0.005)
        pauses = [after - before for before, after in itertools.pairwise(attempts)]
        self.assertGreater(pauses[-1], 0.04 * 0.8)
        await self.redis.start()

    @gen_test
    async def test_a_server_whose_connections_are_killed_comes_back_as_the_same_server(self):
        there = await self.client(path="/second")
        uid = self.hub(self.second).verbs.uid
        for _ in range(3):
            self.redis.cut()
            await self.away()
            await self.together()
            self.first.io.emit("again")
            self.assertEqual(await there.receive(), ("again",))
        self.assertEqual(self.hub(self.second).verbs.uid, uid)
        self.assertEqual(self.redis.count(f"socket.io-response#/#{uid}#"), 1)

    @gen_test
    async def test_a_silent_redis_is_left_and_local_clients_do_not_wait_for_it(self):
        here = await self.client(path="/first")
        self.redis.is_frozen = True
        await self.away()
        self.first.io.emit("at once")
        self.assertEqual(await here.receive(1), ("at once",))
        connections = self.redis.connections
        while self.redis.connections == connections:  # one that is never greeted
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        self.redis.is_frozen = False
        await self.together()

    @gen_test
    async def test_a_batch_that_redis_never_answers_does_not_stop_those_after_it(self):
        there = await self.client(path="/second")
        self.redis.is_frozen = True
        self.first.io.emit("never")
        while not any(command[0] == "PUBLISH" for command in self.redis.commands):
            await asyncio.sleep(0.005)
        self.redis.is_frozen = False
        self.first.io.emit("next")
        self.assertEqual(await there.receive(), ("next",))

    @gen_test
    async def test_answers_that_are_not_the_protocol_of_redis_end_nothing(self):
        there = await self.client(path="/second")
        for nonsense in (
            b"\0\xff\r\n",
            b"*-5\r\n",
            b"*1\r\n$3\r\nabc\r\n",
            b"$-1\r\n",
            b"-ERR no\r\n",
            b":5\r\n",
        ):
            for writer in list(self.redis.writers):
                writer.write(nonsense)
            await asyncio.sleep(0.05)
            self.redis.cut()
            await asyncio.sleep(0.01)
        await self.together()
        self.first.io.emit("again")
        self.assertEqual(await there.receive(), ("again",))

    @gen_test
    async def test_a_server_that_closes_sends_its_queued_events_and_leaves_no_tasks(self):
        there = await self.client(path="/second")
        self.first.io.emit("last")
        bus = self.bus(self.first)
        await self.hub(self.first).verbs.leave_cluster()
        self.assertEqual(await there.receive(), ("last",))
        self.assertTrue(all(task.done() for task in bus.tasks))
        self.assertEqual(await self.second.io.server_count(), 1)
        self.first.io.emit("late")
        self.assertEqual(len(bus.queue), 0)

    @gen_test
    async def test_a_server_closes_although_redis_py_has_lost_a_cancellation(self):
        async def lose(block):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError("closed") from None

        bus = self.bus(self.first)
        bus.pubsub.parse_response = lose
        bus.heard = math.inf
        self.second.io.emit("next")  # what is being read is the last that is read as ever
        await asyncio.sleep(0.05)
        await within(self.hub(self.first).verbs.leave_cluster(), 4)
        self.assertTrue(all(task.done() for task in bus.tasks))

    @unittest.skipUnless(hasattr(os, "fork"), "only Unix forks")
    @gen_test
    async def test_a_forked_child_that_serves_leaves_the_parents_connections_alone(self):
        there = await self.client(path="/second")

        async def serve():
            await self.first.io.start()
            await self.second.io.start()
            gc.collect()
            await asyncio.sleep(0.05)

        self.assertEqual(ForkTests.fork(self, lambda: asyncio.run(serve()) or "done"), "done")
        await asyncio.sleep(0.1)
        self.first.io.emit("still here")
        self.assertEqual(await there.receive(), ("still here",))


@needs_cluster_packages
class EmitterTests(unittest.TestCase):
    """Processes without a loop speak to the cluster; a message that may be lost raises."""

    def setUp(self):
        self.redis = FakeRedis()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.addCleanup(self.end)
        self.on_loop(self.redis.start())
        self.emitter = socket_io.Emitter(f"redis://127.0.0.1:{self.redis.port}")

    def on_loop(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(5)

    def end(self):
        self.emitter._redis.close()
        self.on_loop(self.redis.stop())
        self.on_loop(asyncio.sleep(0.01))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def published(self):
        """Return what has been published since the last call."""
        found = [command[1:] for command in self.redis.commands if command[0] == "PUBLISH"]
        self.redis.commands.clear()
        return found

    def test_every_verb_publishes_what_the_emitters_of_node_do(self):
        bodies = []
        with mock.patch.object(
            self.emitter._redis, "publish", lambda *message: bodies.append(message)
        ):
            emitter = self.emitter
            emitter.emit("hi", 1)
            emitter.to("r1").volatile.emit("hi", {"b": b"\1"})
            emitter.of("chat").in_(["r1", "r2"]).except_("r3").send("hello")
            emitter.to(LONE).emit("hi")
            emitter.to("r1").except_("r2").join("e1", "e2")
            emitter.leave("e1")
            emitter.disconnect(close=True)
            emitter.of("/chat").server_side_emit("note", 5)
        for channel, body in bodies:
            check_published(channel, body)
        read = [(channel, socket_io.unpack(body)) for channel, body in bodies]
        wire = '93a7 "emitter" 83a47479706502a46461746192a2686901a36e7370a12f'
        self.assertEqual(bodies[0], ("socket.io#/#", vector(wire + ClusterWireTests.NO_OPTIONS)))
        channel, (_, packet, options) = read[1]
        self.assertEqual((channel, packet["data"]), ("socket.io#/#r1#", ["hi", {"b": b"\1"}]))
        self.assertEqual(options, {"rooms": ["r1"], "except": [], "flags": {"volatile": True}})
        channel, (_, packet, options) = read[2]
        self.assertEqual((channel, packet["nsp"]), ("socket.io#/chat#", "/chat"))
        self.assertEqual((sorted(options["rooms"]), options["except"]), (["r1", "r2"], ["r3"]))
        self.assertEqual(packet["data"], ["message", "hello"])
        self.assertEqual(read[3][0], "socket.io#/#")
        everybody = {"rooms": [], "except": []}
        self.assertEqual(read[4:], [
            ("socket.io-request#/#", {"type": 2, "opts": {"rooms": ["r1"], "except": ["r2"]}, "rooms": ["e1", "e2"]}),
            ("socket.io-request#/#", {"type": 3, "opts": everybody, "rooms": ["e1"]}),
            ("socket.io-request#/#", {"type": 4, "opts": everybody, "close": True}),
            ("socket.io-request#/chat#", {"uid": "emitter", "type": 6, "data": ["note", 5]}),
        ])  # fmt: skip

    def test_an_event_that_cannot_be_sent_raises_to_the_caller(self):
        for wrong in (object(), math.nan, {1}):
            with self.assertRaises((TypeError, ValueError)):
                self.emitter.emit("hi", wrong)
        with self.assertRaises(ValueError):
            self.emitter.emit("disconnect")
        with self.assertRaises(TypeError):
            self.emitter.to(5)

    def test_threads_share_an_emitter(self):
        def emit(thread):
            for number in range(20):
                self.emitter.to(f"t{thread}").emit("hi", number)

        threads = [threading.Thread(target=emit, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        channels = collections.Counter(channel for channel, _ in self.published())
        self.assertEqual(channels, {f"socket.io#/#t{number}#": 20 for number in range(5)})

    def test_a_connection_that_broke_is_made_anew(self):
        self.emitter.emit("hi", 1)
        self.loop.call_soon_threadsafe(self.redis.cut)
        self.on_loop(asyncio.sleep(0.01))
        self.emitter.emit("hi", 2)
        self.assertEqual(len(self.published()), 2)

    def test_a_publication_that_fails_twice_raises(self):
        import redis

        self.redis.hangs_up_at.add("PUBLISH")
        with self.assertRaises(redis.ConnectionError):
            self.emitter.emit("hi")
        self.assertEqual(len(self.published()), 2)
        self.redis.hangs_up_at.clear()
        self.emitter.emit("hi")
        self.assertEqual(len(self.published()), 1)
        sock, port = tornado.testing.bind_unused_port()
        sock.close()
        with self.assertRaises(redis.ConnectionError):
            socket_io.Emitter(f"redis://127.0.0.1:{port}").emit("hi")

    @unittest.skipUnless(hasattr(os, "fork"), "only Unix forks")
    def test_a_forked_child_connects_by_itself(self):
        self.emitter.emit("hi")
        connections = self.redis.connections
        self.assertEqual(ForkTests.fork(self, lambda: self.emitter.emit("child") or "done"), "done")
        self.emitter.emit("parent")
        self.assertEqual(self.redis.connections, connections + 1)
        self.assertEqual(len(self.published()), 3)

    def test_a_url_of_no_redis_is_a_value_error(self):
        for url in ("memory://x", "http://x", ""):
            with self.assertRaises(ValueError):
                socket_io.Emitter(url)


# ---- Several workers -----------------------------------------------------------------


class LineParserTests(unittest.TestCase):
    """Frames come out of a line as they went in, however they are cut."""

    def test_frames_and_their_descriptors_survive_every_cut(self):
        frames = [
            (0, b"A", None),
            (1, b"", 7),
            (2, b"x" * 300, None),
            (1, b"early", 8),
            (255, b"", None),
        ]
        data = b"".join(socket_io.encode_line_frame(kind, body) for kind, body, _ in frames)
        starts = {data.index(b"\x00\x00\x00\x00\x01"): 7, data.index(b"\x00\x00\x00\x05\x01"): 8}
        for size in range(1, len(data)):
            parser, found = socket_io.LineParser(), []
            for start in range(0, len(data), size):
                cut = range(start, start + size)
                parser.descriptors += [number for at, number in starts.items() if at in cut]
                found += parser.feed(data[start : start + size])
            self.assertEqual(found, frames, size)

    def test_a_descriptor_that_was_lost_shifts_no_other(self):
        parser = socket_io.LineParser()
        parser.descriptors += [None, 9]
        found = parser.feed(b"".join(socket_io.encode_line_frame(1, body) for body in (b"a", b"b")))
        self.assertEqual(found, [(1, b"a", None), (1, b"b", 9)])

    def test_a_frame_that_is_too_long_is_refused_by_its_head(self):
        too_long = (socket_io.MAX_LINE_BODY + 1).to_bytes(4, "big")
        with self.assertRaises(PayloadError):
            socket_io.LineParser().feed(too_long + b"\x02")
        with (
            mock.patch.object(socket_io, "MAX_LINE_BODY", 10),
            self.assertRaisesRegex(ValueError, "11 bytes are too many"),
        ):
            socket_io.encode_line_frame(2, b"x" * 11)

    def test_random_bytes_are_frames_or_refused(self):
        chance = random.Random(12)
        for _ in range(300):
            parser, data = socket_io.LineParser(), bytearray()
            for _ in range(chance.randrange(1, 9)):
                head = bytes([0, 0, 0, chance.randrange(4), chance.randrange(4)])
                data += chance.choice([head, chance.randbytes(chance.randrange(12))])
            with contextlib.suppress(PayloadError):
                while data:
                    size = chance.randrange(1, 8)
                    for kind, body, descriptor in parser.feed(bytes(data[:size])):
                        self.assertEqual((type(kind), type(body), descriptor), (int, bytes, None))
                    del data[:size]


class CrewTestCase(tornado.testing.AsyncTestCase):
    """Makes the crews of several workers in this process, with a folder of their own."""

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.crews = []

    def tearDown(self):
        for crew in self.crews:
            self.io_loop.run_sync(crew.close)
        super().tearDown()

    def worker(self, number=None):
        """A crew whose `taken` holds what it was handed: (socket, early bytes)."""
        taken = asyncio.Queue()
        crew = socket_io.Crew(
            self.folder, lambda sock, early: taken.put_nowait((sock, early)), number
        )
        crew.taken, crew.heard_of = taken, asyncio.Queue()
        crew.receivers[2] = lambda letter, body: crew.heard_of.put_nowait((letter, body))
        crew.open()
        self.crews.append(crew)
        return crew

    async def until(self, condition):
        for _ in range(500):
            if condition():
                return
            await asyncio.sleep(0.002)
        self.fail("it did not come about")

    async def workers(self, count):
        """That many crews that know each other."""
        crews = [self.worker() for _ in range(count)]
        await self.until(lambda: all(len(crew.heard) == count - 1 for crew in crews))
        return crews

    async def comes_to(self, first, number):
        """A further worker, which *first* and it know of."""
        second = self.worker(number)
        await self.until(lambda: second.letter in first.heard and first.letter in second.heard)
        return second

    def pair(self):
        """A client's socket, and the server's end of it."""
        ends = socket.socketpair()
        for end in ends:
            end.settimeout(5)
            self.addCleanup(end.close)
        return ends

    async def assertHandedOver(self, sender, receiver, early=b"early"):
        client, connection = self.pair()
        sender.lines[receiver.letter].hand_over(connection, early)
        sock, came = await within(receiver.taken.get())
        with sock:
            self.assertEqual(came, early)
            sock.sendall(b"answer")
            self.assertEqual(client.recv(10), b"answer")


class CrewTests(CrewTestCase):
    """Workers find each other, hand connections over, and notice who has gone."""

    @gen_test
    async def test_every_worker_hands_connections_and_messages_to_every_other(self):
        crews = await self.workers(3)
        self.assertEqual([crew.letter for crew in crews], ["0", "1", "2"])
        for sender, receiver in itertools.permutations(crews, 2):
            for early in (b"", b"early", b"x" * 1_000_000):
                await self.assertHandedOver(sender, receiver, early)
            sender.lines[receiver.letter].send(2, b"hello")
            self.assertEqual(await within(receiver.heard_of.get()), (sender.letter, b"hello"))

    @gen_test
    async def test_many_connections_between_messages_keep_their_own_bytes(self):
        first, second = await self.workers(2)
        line, clients = first.lines[second.letter], []
        for number in range(90):
            client, connection = self.pair()
            connection.sendall(b"%d" % number)
            clients.append(client)
            line.hand_over(connection, b"%d" % number * 2000)
            line.send(2, b"%d" % number * 3000)
        for number in range(90):
            sock, early = await within(second.taken.get())
            with sock:
                self.assertEqual(early, b"%d" % number * 2000)
            self.assertEqual(clients[number].recv(10), b"%d" % number)
            self.assertEqual(await within(second.heard_of.get()), ("0", b"%d" % number * 3000))

    @gen_test
    async def test_a_worker_that_comes_again_under_its_number_is_known_again(self):
        first, second = await self.workers(2)
        told = []
        first.on_line.append(lambda letter: told.append(f"line to {letter}"))
        first.on_gone.append(lambda letter: told.append(f"{letter} gone"))
        for _ in range(3):
            await second.close()
            await self.until(lambda: not first.lines)
            second = await self.comes_to(first, 1)
            await self.assertHandedOver(first, second)
            await self.assertHandedOver(second, first)
        self.assertEqual(told, ["1 gone", "line to 1"] * 3)

    @gen_test
    async def test_a_successor_that_greets_before_the_death_is_noticed_is_known(self):
        first, second = await self.workers(2)
        await second.close()
        second = self.worker(1)  # first has had no turn in between
        await self.until(lambda: first.heard and second.heard and first.lines and second.lines)
        await asyncio.sleep(0)
        await self.until(lambda: first.lines)
        await self.assertHandedOver(first, second)
        await self.assertHandedOver(second, first)

    @gen_test
    async def test_a_line_that_broke_while_its_worker_lives_is_made_again(self):
        first, second = await self.workers(2)
        first.lines[second.letter].close()
        self.assertEqual(first.lines, {})
        await self.until(lambda: first.lines)
        await self.until(lambda: first.letter in second.heard)
        await self.assertHandedOver(first, second)

    def freeze(self, crew):
        """Have *crew* read nothing any more."""
        for reader in crew.readers:
            crew.loop.remove_reader(reader.sock.fileno())

    async def fill(self, line):
        """Hand over connections until no more may wait; return the clients' ends."""
        clients = []
        while line.has_room:
            client, connection = self.pair()
            clients.append(client)
            line.hand_over(connection, b"x" * 5000)
            self.assertLess(len(clients), 1000)
        return clients

    @gen_test
    async def test_connections_for_a_worker_that_stands_still_are_bounded_and_come_back_at_its_death(
        self,
    ):
        first, second = await self.workers(2)
        self.freeze(second)
        clients = await self.fill(first.lines[second.letter])
        waiting = len(first.lines[second.letter].connections)
        self.assertEqual(waiting, socket_io.MAX_WAITING_CONNECTIONS)
        await second.close()
        for client in clients[-waiting:]:
            sock, early = await within(first.taken.get())
            with sock:
                self.assertEqual(early, b"x" * 5000)
                sock.sendall(b"back")
            self.assertEqual(client.recv(10), b"back")
        self.assertTrue(first.taken.empty())
        for client in clients[:-waiting]:  # the kernel has closed what it held
            self.assertEqual(client.recv(10), b"")

    @gen_test
    async def test_a_worker_that_goes_on_takes_what_waited_and_all_leaves_before_the_end(self):
        first, second = await self.workers(2)
        self.freeze(second)
        clients = await self.fill(first.lines[second.letter])
        closing = asyncio.ensure_future(first.close())
        await asyncio.sleep(0.01)
        for reader in second.readers:
            second.watch(reader.sock, reader._read)
        for client in clients:
            sock, _ = await within(second.taken.get())
            with sock:
                sock.sendall(b"served")
            self.assertEqual(client.recv(10), b"served")
        await within(closing)

    @gen_test
    async def test_the_oldest_messages_are_dropped_for_a_worker_that_stands_still_and_volatile_ones_never_wait(
        self,
    ):
        first, second = await self.workers(2)
        self.freeze(second)
        line, number = first.lines[second.letter], 0
        with (
            mock.patch.object(socket_io, "MAX_WAITING_BYTES", 500_000),
            mock.patch.dict(socket_io._warned, clear=True),
            self.assertLogs("socket_io", "WARNING") as logged,
        ):
            while not line.writing or line.waiting_bytes < 450_000 or number < 100:
                line.send(2, b"%06d" % number * 2000)
                number += 1
            line.send(2, b"volatile", volatile=True)
        self.assertIn("worker 1 reads nothing of what worker 0 sends", logged.output[0])
        self.assertLessEqual(line.waiting_bytes, 500_000)
        line.hand_over(self.pair()[1])
        for reader in second.readers:
            second.watch(reader.sock, reader._read)
        sock, _ = await within(second.taken.get())
        sock.close()
        self.assertLess(second.heard_of.qsize(), 50)  # the connection went before what waited
        await self.until(lambda: line.is_idle)
        line.send(2, b"last")
        numbers = []
        while (body := (await within(second.heard_of.get()))[1]) != b"last":
            numbers.append(int(body[:6]))
        self.assertEqual(numbers, sorted(numbers))
        self.assertLess(len(numbers), number)
        self.assertEqual(numbers[-1], number - 1)

    @gen_test
    async def test_a_message_that_no_function_takes_or_whose_function_fails_ends_nothing(self):
        first, second = await self.workers(2)
        second.receivers[3] = lambda letter, body: 1 / 0
        with self.assertLogs("socket_io", "ERROR") as logged:
            for kind in (3, 4):
                first.lines["1"].send(kind, b"")
            await self.assertHandedOver(first, second)
        self.assertIn("a message of kind 3 from worker '0' was lost", "".join(logged.output))

    @gen_test
    async def test_a_stranger_who_does_not_greet_is_hung_up_on(self):
        crew = self.worker()
        for words in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\0\0\1\0-",
            b"\0\0\0\0\0",
            b"\xff" * 5,
            b"\0\0\0\0\1",
        ):
            with self.assertLogs("socket_io", "WARNING"):
                reader, writer = await asyncio.open_unix_connection(f"{self.folder}/0.socket")
                writer.write(words)
                self.assertEqual(await within(reader.read()), b"")
            writer.close()
        self.assertEqual((crew.lines, crew.readers), ({}, set()))

    @gen_test
    async def test_a_descriptor_that_there_is_no_room_for_costs_one_client_only(self):
        first, second = await self.workers(2)
        client, connection = self.pair()
        with (
            mock.patch.dict(socket_io._warned, clear=True),
            mock.patch.object(
                socket,
                "recv_fds",
                lambda sock, size, most, flags: (*recv_fds(sock, size, 0, flags),),
            ),
            self.assertLogs("socket_io", "WARNING") as logged,
        ):
            first.lines["1"].hand_over(connection)
            await self.until(lambda: logged.output)
        self.assertIn("out of file descriptors", logged.output[0])
        self.assertEqual(client.recv(10), b"")
        await self.assertHandedOver(first, second)

    @gen_test
    async def test_a_forked_child_does_not_hide_the_death_of_its_parent(self):
        first, second = await self.workers(2)
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
            child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        try:
            os.close(read)
            self.crews.remove(second)  # which dies without a goodbye
            for end in second._ends():
                end.close()
            second.loop.remove_reader(second.listener.fileno())
            second.leave_to_parent()
            await self.until(lambda: not first.lines and not first.heard)
        finally:
            os.close(write)
            await asyncio.to_thread(os.waitpid, child, 0)


recv_fds = socket.recv_fds


class WorkersFolderTests(CrewTestCase):
    """A folder is used only if nobody else can enter it; a number belongs to one worker."""

    def test_a_folder_that_others_may_enter_is_refused_in_a_sentence(self):
        for mode, refused in ((0o700, False), (0o750, True), (0o701, True), (0o777, True)):
            os.chmod(self.folder, mode)
            with self.subTest(oct(mode)):
                if refused:
                    with self.assertRaisesRegex(PermissionError, "others may enter it; chmod 700"):
                        socket_io.check_workers_folder(self.folder)
                else:
                    socket_io.check_workers_folder(self.folder)

    def test_a_link_a_file_and_a_folder_of_another_user_are_refused(self):
        link, file = f"{self.folder}/link", f"{self.folder}/file"
        os.mkdir(f"{self.folder}/real", 0o700)
        os.symlink(f"{self.folder}/real", link)
        pathlib.Path(file).touch()
        for path in (link, file):
            with self.assertRaisesRegex(PermissionError, "it is no folder"):
                socket_io.check_workers_folder(path)
        with (
            mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1),
            self.assertRaisesRegex(PermissionError, "another user"),
        ):
            socket_io.check_workers_folder(f"{self.folder}/real")

    def test_a_folder_that_is_not_there_is_made(self):
        path = socket_io.check_workers_folder(f"{self.folder}/new")
        self.assertEqual(path.stat().st_mode & 0o777, 0o700)

    @gen_test
    async def test_a_number_is_taken_while_its_worker_lives_and_free_afterwards(self):
        first = self.worker(5)
        with self.assertRaisesRegex(RuntimeError, "number 5 is taken"):
            self.worker(5)
        self.assertEqual(self.worker().number, 0)
        await first.close()
        self.assertEqual(self.worker(5).letter, "5")

    @gen_test
    async def test_there_are_as_many_numbers_as_letters(self):
        with mock.patch.object(socket_io, "CREW_LETTERS", "01"):
            await self.workers(2)
            with self.assertRaisesRegex(RuntimeError, "the number of every worker is taken"):
                self.worker()

    def test_a_path_too_long_for_a_socket_is_named(self):
        self.folder = path = f"{self.folder}/{'x' * 120}"
        with self.assertRaisesRegex(OSError, f"cannot listen at {path}/0.socket"):
            self.worker()

    @gen_test
    async def test_a_process_of_another_user_is_not_let_in(self):
        crew = self.worker()
        with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1):
            reader, writer = await asyncio.open_unix_connection(f"{self.folder}/0.socket")
            self.assertEqual(await within(reader.read()), b"")
            writer.close()
        self.assertEqual(crew.readers, set())


class WorkersClusterTestCase(ClusterTestCase):
    """The two servers of a cluster as two workers: the lines of their crews are the bus."""

    __unittest_skip__ = False  # the packages of a cluster are not needed
    url = None

    async def join(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.crews = []
        for server in self.servers:
            await self.become_worker(server)
        for server in self.servers:
            while await server.io.server_count() < 2:
                await asyncio.sleep(0)

    def crew(self):
        crew = socket_io.Crew(self.folder, lambda sock, early: sock.close())
        crew.open()
        self.crews.append(crew)
        return crew

    async def become_worker(self, server, crew=None, number=0):
        """Have *server* join the crew; *number* is the place of its hub in its application."""
        self.hub(server).crew, self.hub(server).number = crew or self.crew(), number
        await server.io.start()

    async def third_server(self):
        """Return one more worker, which no client can reach."""
        third = type("Third", (SocketIOHandler,), dict(self.options))
        third.routes("third")
        await self.become_worker(third)
        return third

    def silent_bus(self):
        """Return the bus of one more worker, on which nothing answers by itself."""
        clock = mock.Mock(context=contextvars.copy_context())
        bus = socket_io.LineBus(mock.Mock(clock=clock, number=0), self.crew())
        bus.watch(lambda channel, server: None)
        return bus

    def kill(self, crew):
        """Have a worker die: the system closes its sockets, and it says nothing any more."""
        for end in [*crew.lines.values(), *crew.readers]:
            crew.loop.remove_reader(end.sock.fileno())
            crew.loop.remove_writer(end.sock.fileno())
        crew.loop.remove_reader(crew.listener.fileno())
        crew.leave_to_parent()

    def tearDown(self):
        async def leave():
            for crew in self.crews:
                await crew.close()

        self.io_loop.run_sync(leave)
        super().tearDown()

    def check(self, channel, body):
        """Raise AssertionError unless workers would understand *body*."""
        kind, name = re.match("socket.io(-request|-response|)#(/[^#]*)#", channel).groups()
        words = socket_io.WorkerWords(STRICT_JSON, "0")
        if kind == "":
            _, data = words.decode_event(name, body)
            check_event(data)
        elif kind == "-request":
            check_request(words.decode_request(body))
        else:
            check_response(words.decode_request(body))


class WorkersBroadcastTests(WorkersClusterTestCase, ClusterBroadcastTests):
    """An event for many reaches the clients of all workers, each once."""

    # These are about other buses.
    test_a_class_that_serves_twice_in_one_cluster_sends_once = None
    test_a_hub_on_a_new_loop_leaves_the_cluster_of_the_old_one = None

    @gen_test
    async def test_a_volatile_event_is_published_with_its_flag_and_reaches_the_other_server(self):
        _, there = await self.pair()
        self.first.io.volatile.emit("maybe")
        self.assertEqual(await there.receive(), ("maybe",))
        target, _ = self.hub(self.second).verbs.words.decode_event("/", self.published[-1][1])
        self.assertTrue(target.volatile)

    @gen_test
    async def test_the_channels_of_a_dynamic_namespace_are_joined_and_left_with_its_clients(self):
        known = self.crews[0].switchboard.others
        before = set(known["1"].names)
        client = await self.client(path="/second", namespace="/room/7")
        self.assertEqual(len(known["1"].names), len(before) + 4)
        await client.close()
        while known["1"].names != before:
            await asyncio.sleep(0.005)

    @gen_test
    async def test_many_namespaces_leave_no_channels_behind(self):
        hub, boards = self.hub(self.first), [crew.switchboard for crew in self.crews]
        before = [(set(board.channels.names), len(board.receivers)) for board in boards]
        for number in range(500):
            hub.forget_unused(hub.find_or_make(f"/room/{'x' * (number % 50)}{number}"))
        await self.until_servers_are(2)
        await self.first.io.server_side_call("until all has been heard")
        after = [(set(board.channels.names), len(board.receivers)) for board in boards]
        self.assertEqual(after, before)
        self.assertEqual(boards[1].others["0"].names, before[0][0])
        self.assertEqual(len(boards[1].others["0"].lengths), 2)  # of "/" and of "/chat"

    @gen_test
    async def test_two_hubs_of_one_application_do_not_hear_each_other(self):
        others = [type("Other", (SocketIOHandler,), {}) for _ in self.servers]
        for number, (server, crew) in enumerate(zip(others, self.crews, strict=True)):
            self._app.add_handlers(".*", [server.routes(f"other{number}")])
            await self.become_worker(server, crew, number=1)
        await self.pair()
        other = await self.client(path="/other1")
        while await others[0].io.server_count() < 2:
            await asyncio.sleep(0)
        self.first.io.emit("of the one")
        others[0].io.emit("of the other")
        self.assertEqual(await other.receive(), ("of the other",))
        self.assertEqual([one.id for one in await others[0].io.fetch_sockets()], [other.id])
        self.assertEqual(len(await self.first.io.fetch_sockets()), 2)
        for server in others:
            await self.hub(server).verbs.leave_cluster()

    @gen_test
    async def test_a_thousand_events_each_way_come_in_order_and_once(self):
        here, there = await self.pair()
        for number in range(1000):
            self.first.io.emit("first", number)
            self.second.io.emit("second", number)
            if number % 100 == 99:
                await asyncio.sleep(0)
        for client in (here, there):
            got = [await client.receive() for _ in range(2000)]
            for name in ("first", "second"):
                numbers = [event[1] for event in got if event[0] == name]
                self.assertEqual(numbers, list(range(1000)))
            self.assertEqual(await self.got(client), [])

    @gen_test
    async def test_decimals_and_large_integers_keep_their_digits(self):
        _, there = await self.pair()
        old = await self.client("0.9", "xhr-polling", path="/second")
        self.first.io.emit("numbers", Decimal("0.10"), 10**400)
        for client in (there, old):
            with mock.patch.object(socket_io.StrictJSON, "decode", socket_io.StrictJSON.decode_own):
                _, *numbers = await client.receive()
            self.assertEqual([str(number) for number in numbers], ["0.10", str(10**400)])

    @gen_test
    async def test_the_first_words_of_a_new_worker_are_heard(self):
        here, there = await self.pair()
        third = await self.third_server()
        third.io.emit("first words")
        for client in (here, there):
            self.assertEqual(await client.receive(), ("first words",))

    @gen_test
    async def test_the_last_words_of_a_worker_are_heard(self):
        class Parting(SocketIOHandler):
            def on_close(self):
                self.broadcast.emit("left", self.close_reason)

        self._app.add_handlers(".*", [Parting.routes("parting")])
        await self.become_worker(Parting)
        here = await self.client(path="/first")
        await self.client(path="/parting")
        await within(Parting.io.close())
        self.assertEqual(await here.receive(), ("left", "server shutting down"))


class WorkersRoomTests(WorkersClusterTestCase, ClusterRoomTests):
    """A worker acts on the clients of another, and learns about them what is no secret."""

    # It makes further servers of the same cluster.
    test_an_event_or_an_attribute_named_data_stays_what_it_is = None


class WorkersCallTests(WorkersClusterTestCase, ClusterCallTests):
    """A call collects the acks of clients of several workers."""

    test_acks_of_node_servers_are_counted_and_given_without_ids = None

    @gen_test
    async def test_clients_of_every_generation_acknowledge_to_another_worker(self):
        for dialect, transport in (("0.9", "xhr-polling"), ("EIO3", "websocket"), ("EIO3", "xhr-polling"),
                                   ("EIO4", "xhr-polling"), ("EIO4", "websocket")):  # fmt: skip
            client = await self.client(dialect, transport, path="/second")
            handler = self.second.io.sockets()[-1]
            calling = asyncio.ensure_future(self.first.io.to(handler.id).call("question"))
            self.assertEqual(await client.answer("yes"), ("question",))
            with self.subTest(dialect, transport=transport):
                self.assertEqual((await within(calling)).answers, {handler.id: "yes"})


class WorkersServerSideEventTests(WorkersClusterTestCase, ServerSideEventTests):
    """Events that workers emit to each other."""

    @gen_test
    async def test_every_other_worker_answers_a_call(self):
        third = await self.third_server()
        for name, server in (("first", self.first), ("second", self.second), ("third", third)):
            server.io.on("who", lambda name=name: name)
        self.assertEqual(sorted(await third.io.server_side_call("who")), ["first", "second"])
        await self.until_servers_are(3)
        self.assertEqual(sorted(await self.first.io.server_side_call("who")), ["second", "third"])


class WorkersFailureTests(WorkersClusterTestCase):
    """A worker that dies is waited for by nobody; one that stands still holds up nobody for long."""

    namespaces = {re.compile("/room/.*"): SocketIOHandler}
    options = {"cluster_timeout": 60.0}  # no test waits so long

    async def third_that_hears(self):
        """Return the bus of a third worker, and a queue of the requests that come there."""
        third, heard = self.silent_bus(), asyncio.Queue()
        words = self.hub(self.first).verbs.words
        third.subscribe(
            "socket.io-request#/#",
            lambda channel, body, server: heard.put_nowait(words.decode_request(body)),
        )
        await self.until_servers_are(3)
        return third, heard

    def respond(self, third, request, **response):
        words = socket_io.WorkerWords(STRICT_JSON, "2")
        body = words.encode_request({**response, "requestId": request["requestId"]})
        third.publish(f"socket.io-response#/#{request['uid']}#", body)

    @gen_test
    async def test_a_question_is_over_when_a_worker_dies_that_has_not_answered(self):
        clients = await self.pair()
        ids = {client.id for client in clients}
        self.second.io.on("who", lambda: "second")
        for ask, expected in (
            (self.first.io.fetch_sockets, ids),
            (self.first.io.all_rooms, ids),
            (functools.partial(self.first.io.server_side_call, "who"), {"second"}),
        ):
            _, heard = await self.third_that_hears()
            asking = asyncio.ensure_future(ask())
            await within(heard.get())
            self.kill(self.crews.pop())
            found = await within(asking)
            self.assertEqual({getattr(one, "id", one) for one in found}, expected)
            await self.until_servers_are(2)

    @gen_test
    async def test_a_call_is_over_when_the_worker_dies_that_owes_acks(self):
        here, there = await self.pair()
        for answers in (0, 1):
            third, heard = await self.third_that_hears()
            calling = asyncio.ensure_future(self.first.io.call("question", timeout=None))
            await here.answer("here")
            await there.answer("there")
            request = await within(heard.get())
            if answers:
                self.respond(third, request, type=8, clientCount=2)
                self.respond(third, request, type=9, packet="third", id="x")
                while len(self.hub(self.first).verbs.questions[request["requestId"]].named) < 2:
                    await asyncio.sleep(0)
            self.assertFalse(calling.done())
            self.kill(self.crews.pop())
            acks = await within(calling)
            expected = {here.id: "here", there.id: "there", **({"x": "third"} if answers else {})}
            self.assertEqual((acks.answers, acks.expected), (expected, 2 + 2 * answers))

    @gen_test
    async def test_a_question_is_over_when_the_worker_leaves_the_namespace(self):
        third, heard = await self.third_that_hears()
        asking = asyncio.ensure_future(self.first.io.fetch_sockets())
        await within(heard.get())
        third.unsubscribe("socket.io-request#/#")
        self.assertEqual(await within(asking), [])

    @gen_test
    async def test_a_worker_that_died_is_followed_by_another_of_its_number(self):
        here, _ = await self.pair()
        self.kill(self.crews.pop())
        await self.until_servers_are(1)
        third = await self.third_server()
        self.assertEqual(self.hub(third).crew.letter, "1")
        await self.until_servers_are(2)
        third.io.emit("hello")
        self.assertEqual(await here.receive(), ("hello",))

    @gen_test
    async def test_a_worker_that_stands_still_holds_up_no_event_and_learns_afterwards_what_it_missed(
        self,
    ):
        here, there = await self.pair()
        third, heard = await self.third_that_hears()
        third.subscribe("socket.io#/#*", lambda channel, body, server: heard.put_nowait(body))
        crew = self.crews[2]
        for reader in crew.readers:
            crew.loop.remove_reader(reader.sock.fileno())
        line = self.crews[0].lines["2"]
        with mock.patch.object(socket_io, "MAX_WAITING_BYTES", 200_000):
            with self.assertLogs("socket_io", "WARNING") as logged:
                self.hub(self.first).find_or_make("/room/new")  # whose channels are dropped
                for number in range(400):
                    self.first.io.emit("many", number, "x" * 2000)
                    for client in (here, there):
                        self.assertEqual((await client.receive())[1], number)
            self.assertLessEqual(line.waiting_bytes, 200_000)
        self.assertEqual(len(logged.output), 1)
        self.assertIn("worker 2 reads nothing of what worker 0 sends", logged.output[0])
        with (
            mock.patch.object(self.hub(self.first).verbs, "seconds", 0.05),
            self.assertRaises(socket_io.ClusterTimeout),
        ):
            await self.first.io.fetch_sockets()
        with self.assertLogs("socket_io", "INFO") as logged:
            for reader in crew.readers:
                crew.watch(reader.sock, reader._read)
            while line.dropped or not line.is_idle:
                await asyncio.sleep(0.001)
        self.assertRegex(
            logged.output[0], "worker 2 reads again; [0-9]+ messages for it were dropped"
        )
        while "0#socket.io-request#/room/new#" not in crew.switchboard.others["0"].names:
            await asyncio.sleep(0.001)

    @gen_test
    async def test_nonsense_on_a_line_is_dropped_by_itself(self):
        _, there = await self.pair()
        line = self.crews[0].lines["1"]
        bodies = [b"", b"\0", b"\xff" * 10, b"{", b"[1]", b"[[]]", b'["a', b"\0\0\0\1\xff",
                  b"\0\0\0\1a", socket_io.encode_published("0#socket.io#/#", b"\xff")]  # fmt: skip
        with self.assertNoLogs("socket_io", "WARNING"):
            for body, kind in itertools.product(bodies, range(2, 256)):
                line.send(kind, body)
            self.crews[0].introduce("1")
            self.first.io.emit("after it")
            self.assertEqual(await there.receive(), ("after it",))
        self.assertEqual(await self.second.io.server_count(), 2)


# -- 11. Transports --------------------------------------------------------------------


class EngineIOHandshakeTests(RecorderTestCase):
    """[EIO4 "Handshake"]"""

    @gen_test
    async def test_polling_opens_with_the_facts_of_the_session(self):
        wire = await self.wire()
        status, headers, body = await wire.request(
            "GET", "/socket.io/?EIO=4&transport=polling&t=abc"
        )
        facts = json.loads(body[1:])
        self.assertEqual(
            (status, body[:1], headers["content-type"]), (200, b"0", "text/plain; charset=UTF-8")
        )
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertRegex(facts.pop("sid"), r"\A[\w-]{20}\Z")
        self.assertEqual(
            facts,
            {
                "upgrades": ["websocket"],
                "pingInterval": 25000,
                "pingTimeout": 20000,
                "maxPayload": 1000000,
            },
        )

    @gen_test
    async def test_a_websocket_has_nothing_left_to_upgrade_to(self):
        wire = await self.wire()
        status, headers = await wire.upgrade("/socket.io/?EIO=4&transport=websocket")
        self.assertEqual(
            (status, headers["sec-websocket-accept"]), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        )
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
            (
                "DELETE",
                "/?EIO=4&transport=polling&sid=abcdefghijklmnopqrst",
                2,
                "Bad handshake method",
            ),
            ("GET", "/?EIO=4&transport=polling&transport=polling", 3, "transport given twice"),
            ("GET", "/?EIO=4&transport=polling&j=alert(1)", 3, "JSONP index must be digits"),
            ("GET", "/?EIO=5&transport=polling", 5, "Unsupported protocol version"),
            ("GET", "/?EIO=abc&transport=polling", 5, "Unsupported protocol version"),
        ]
        wire = await self.wire()
        for method, path, code, message in rows:
            with self.subTest(method=method, path=path):
                status, headers, body = await wire.request(method, "/socket.io" + path)
                self.assertEqual(
                    (status, json.loads(body)), (400, {"code": code, "message": message})
                )
                self.assertEqual(headers["content-type"], "application/json")

    @gen_test
    async def test_a_websocket_is_refused_before_it_is_one(self):
        rows = [
            ("/?EIO=4&transport=websocket&sid=abcdefghijklmnopqrst", {}, b"Session ID unknown"),
            ("/?EIO=9&transport=websocket", {}, b"Unsupported protocol version"),
            (
                "/?EIO=4&transport=websocket",
                {"Sec_WebSocket_Version": "8"},
                b"Bad WebSocket handshake",
            ),
            (
                "/?EIO=4&transport=websocket",
                {"Sec_WebSocket_Key": "short"},
                b"Bad WebSocket handshake",
            ),
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
        status, headers, body = await wire.request(
            "POST", url, '42["message","é😀"]\x1e42["x",1]'.encode()
        )
        self.assertEqual((status, headers["content-type"], body), (200, "text/html", b"ok"))
        await self.noted("message", "é😀")
        await self.noted("x", 1)

    @gen_test
    async def test_events_between_two_polls_leave_with_the_next_in_one_payload(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        handler = await self.only()
        handler.emit("a", 1)
        handler.emit("b", b"\x01\x02")
        self.assertEqual(
            (await wire.request("GET", url))[2],
            b'42["a",1]\x1e451-["b",{"_placeholder":true,"num":0}]\x1ebAQI=',
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
            (await wire.answer())[2],
            b'42["message","now"]\x1e42["message","and this in the same answer"]',
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
        while handler._member.session.post is None:
            await asyncio.sleep(0)
        self.assertEqual((await second.request("POST", url, b'42["x"]'))[0], 400)
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_post_cut_short_ends_the_session(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        second.send_request("POST", url, b'42["half', Content_Length="20")
        handler = await self.only()
        while handler._member.session.post is None:
            await asyncio.sleep(0)
        second.reset()
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_events_for_a_poll_whose_connection_broke_come_with_the_next_poll(self):
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


class Base64WireTests(RecorderTestCase):
    """Bytes as text, on every transport that can carry them so, and both ways."""

    HEAD = '51-["x",{"_placeholder":true,"num":0}]'
    DATA = b"\x01\x02\x03\x04\xff"
    #: What the client sends behind HEAD's `4`, by revision: with a line break, as Java's encoder makes them.
    SENT = {3: "b4AQID\r\nBP8=\n", 4: "bAQID\r\nBP8=\n"}
    GOT = {3: "b4AQIDBP8=", 4: "bAQIDBP8="}

    def payload(self, revision, *packets):
        if revision == 4:
            return "\x1e".join(packets)
        return "".join([f"{len(packet)}:{packet}" for packet in packets])

    async def open(self, wire, revision, query=""):
        """A polling session whose client is in "/"; its URL."""
        path = f"/socket.io/?EIO={revision}&transport=polling"
        _, _, body = await wire.request("GET", path + query)
        url = f"{path}&sid={self.sid_in(body)}" + (query if "j=" in query else "")
        if revision == 4:
            self.assertEqual((await self.post(wire, url, "40"))[0], 200)
            await wire.request("GET", url)
        return url

    async def post(self, wire, url, payload):
        """Send a payload, over JSONP as the client puts it into a form."""
        if "j=" not in url:
            return await wire.request("POST", url, payload.encode())
        form = urllib.parse.quote(payload.replace("\\n", "\\\\n").replace("\n", "\\n"))
        return await wire.request("POST", url, f"d={form}".encode())

    @gen_test
    async def test_line_breaks_within_base64_are_skipped_in_posts_and_jsonp_forms(self):
        for revision in (3, 4):
            for query in ("", "&j=0"):
                with self.subTest(revision=revision, query=query):
                    wire = await self.wire()
                    url = await self.open(wire, revision, query)
                    payload = self.payload(revision, "4" + self.HEAD, self.SENT[revision])
                    self.assertEqual((await self.post(wire, url, payload))[2], b"ok")
                    await self.noted("x", self.DATA)

    @gen_test
    async def test_a_text_frame_of_base64_is_an_attachment(self):
        for revision in (3, 4):
            for query in ("", "&b64=1"):
                with self.subTest(revision=revision, query=query):
                    wire = await self.wire()
                    await wire.upgrade(f"/socket.io/?EIO={revision}&transport=websocket{query}")
                    wire.send_frame("40")
                    wire.send_frame("4" + self.HEAD)
                    wire.send_frame(self.SENT[revision])
                    await self.noted("x", self.DATA)

    @gen_test
    async def test_skipped_line_breaks_count_in_the_length_of_a_packet(self):
        wire = await self.wire()
        url = await self.open(wire, 3)
        payload = f"{len(self.HEAD) + 1}:4{self.HEAD}10:{self.SENT[3]}"  # 10 without the breaks
        self.assertEqual((await self.post(wire, url, payload))[0], 400)
        await self.assertClosedFor("parse error")

    @gen_test
    async def test_a_client_that_has_no_bytes_gets_base64_over_every_transport(self):
        for revision in (3, 4):
            frames = ["4" + self.HEAD, self.GOT[revision]]
            for query in ("&b64=1", "&b64=1&j=0", "&b64=true"):
                with self.subTest(revision=revision, query=query):
                    wire = await self.wire()
                    url = await self.open(wire, revision, query)
                    self.handler.handlers[-1].emit("x", self.DATA)
                    _, _, body = await wire.request("GET", url)
                    text = json.loads(body[10:-2]) if "j=" in query else body.decode()
                    self.assertEqual(text, self.payload(revision, *frames))
            with self.subTest(revision=revision, transport="websocket"):
                wire = await self.wire()
                await wire.upgrade(f"/socket.io/?EIO={revision}&transport=websocket&b64=1")
                wire.send_frame("40")
                self.assertTrue((await wire.text())[0] == "0" and (await wire.text())[:2] == "40")
                self.handler.handlers[-1].emit("x", self.DATA)
                self.assertEqual([await wire.message(), await wire.message()], frames)

    @gen_test
    async def test_a_client_without_bytes_gets_base64_after_an_upgrade_too(self):
        for revision in (3, 4):
            for first, second in (("&b64=1", "&b64=1"), ("&b64=1", ""), ("", "&b64=1")):
                with self.subTest(revision=revision, first=first, second=second):
                    polling, websocket = await self.wire(), await self.wire()
                    url = await self.open(polling, revision, first)
                    await websocket.upgrade(url.replace("polling", "websocket") + second)
                    websocket.send_frame("2probe")
                    self.assertEqual(await websocket.text(), "3probe")
                    handler = self.handler.handlers[-1]
                    handler.emit(
                        "x", self.DATA
                    )  # no poll is there for it: it waits for the upgrade
                    websocket.send_frame("5")
                    while handler.protocol != "websocket":
                        await asyncio.sleep(0)
                    handler.emit("x", self.DATA)
                    for _ in ("before", "after"):
                        self.assertEqual(
                            [await websocket.message(), await websocket.message()],
                            ["4" + self.HEAD, self.GOT[revision]],
                        )

    @gen_test
    async def test_a_broadcast_is_base64_only_to_a_client_without_bytes(self):
        for revision, raw in ((3, b"\x04" + self.DATA), (4, self.DATA)):
            wires = []
            for query in ("&b64=1", "", "&b64=", "&b64=1"):
                wire = await self.wire()
                await wire.upgrade(f"/socket.io/?EIO={revision}&transport=websocket{query}")
                wire.send_frame("40")
                self.assertTrue((await wire.text())[0] == "0" and (await wire.text())[:2] == "40")
                wires.append(wire)
            self.handler.io.emit("x", self.DATA)
            got = [(await wire.message(), await wire.message())[1] for wire in wires]
            text = self.GOT[revision]
            self.assertEqual(got, [text, raw, raw, text])
            for wire in wires:
                wire.reset()
                await self.assertClosedFor("transport close")


class StreamTests(RecorderTestCase):
    """Streams: answers of htmlfile and multipart that go on for the whole session."""

    @gen_test
    async def test_an_answer_that_never_ends_tells_nginx_not_to_keep_it(self):
        handshake = await (await self.wire()).request("GET", "/socket.io/1/")
        sid = handshake[2].decode().split(":")[0]
        for path in ("/htmlfile//1", "/xhr-multipart/", f"/1/htmlfile/{sid}"):
            with self.subTest(path):
                wire = await self.wire()
                wire.send_request("GET", "/socket.io" + path)
                self.assertEqual((await wire.head())[1].get("x-accel-buffering"), "no")

    @gen_test
    async def test_a_stream_ends_after_its_last_message(self):
        wire = await self.wire()
        wire.send_request("GET", "/socket.io/htmlfile//1")
        await wire.head()
        chunks = wire.chunks()
        await chunks.__anext__(), await chunks.__anext__()
        handler = await self.only()
        handler.send("x" * 3_900_000)
        handler.close()
        self.assertIn(b"x" * 3_900_000, await chunks.__anext__())
        with self.assertRaises(StopAsyncIteration):
            await chunks.__anext__()


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
    async def test_an_upgrade_releases_the_poll_and_brings_what_waits_over_the_websocket(self):
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
    async def test_an_upgrade_that_is_said_again_changes_nothing(self):
        for dialect in ("EIO4", "EIO3"):
            with self.subTest(dialect):
                client = await self.client(dialect, "xhr-polling")
                websocket = await self.probe(client._url())
                for frame in ("5", "5", "2probe", "5", '42["x"]'):
                    websocket.send_frame(frame)
                await self.noted("x")

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
        for wrong in ("42[]", "0", "2prob", b"\x01"):
            with self.subTest(wrong=wrong):
                polling, websocket = await self.wire(), await self.wire()
                url = await self.join_polling(polling)
                await websocket.upgrade(url.replace("polling", "websocket"))
                websocket.send_frame(wrong)
                self.assertEqual((await websocket.frame())[0], 8)
                self.assertEqual((await polling.request("POST", url, b'42["x"]'))[0], 200)
                await self.noted("x")

    @gen_test
    async def test_an_upgrade_without_a_probe_is_one_whether_or_not_a_poll_waits(self):
        for dialect, waits in itertools.product(("EIO4", "EIO3"), (True, False)):
            with self.subTest(dialect, poll_waits=waits):
                polling, websocket = await self.wire(), await self.wire()
                client = await self.client(dialect, "xhr-polling")
                handler, url = self.handler.handlers[-1], client._url()
                if not waits:
                    while handler._member.session.outlet is None:
                        await asyncio.sleep(0)
                    client._reader.cancel()
                    handler.emit("answers the last poll")
                websocket_url = url.replace("polling", "websocket")
                self.assertEqual((await websocket.upgrade(websocket_url))[0], 101)
                websocket.send_frame("5")
                websocket.send_frame('42["x"]')
                await self.noted("x")
                self.assertEqual(handler.protocol, "websocket")
                handler.send("leaves by the other door")
                self.assertEqual(await websocket.text(), '42["message","leaves by the other door"]')
                self.assertEqual((await polling.request("POST", url, b'42["y"]'))[0], 400)

    @gen_test
    async def test_a_second_websocket_cannot_take_over_without_a_probe_what_a_first_one_probes(
        self,
    ):
        polling, second = await self.wire(), await self.wire()
        url = await self.join_polling(polling)
        first = await self.probe(url)
        self.assertEqual((await second.upgrade(url.replace("polling", "websocket")))[0], 101)
        second.send_frame("5")
        self.assertEqual(await second.frame(), (8, b"\x03\xe8"))
        first.send_frame("5")
        first.send_frame('42["still here"]')
        await self.noted("still here")

    @gen_test
    async def test_an_upgrade_may_be_tried_again_after_its_websocket_has_vanished(self):
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
    """An upgrade has `upgrade_timeout` seconds; polling goes on if it does not end."""

    options = {"upgrade_timeout": 0.2}

    @gen_test
    async def test_an_upgrade_that_stops_after_its_probe_is_given_up_and_polling_goes_on(self):
        polling, websocket = await self.wire(), await self.wire()
        url = await self.join_polling(polling)
        await websocket.upgrade(url.replace("polling", "websocket"))
        self.assertEqual((await websocket.frame())[0], 8)
        self.assertEqual((await polling.request("POST", url, b'42["x"]'))[0], 200)


class SubprotocolTests(RecorderTestCase):
    """[RFC6455 "Server Requirements"]: a browser that offers subprotocols fails a connection that names none."""

    ROWS = [
        (None, None, "no offer"),
        ("a", "a", "one"),
        ("a, b", "a", "the first of several"),
        (" , ,\ta.b!#$%&'*+-^_`|~9 ,c", "a.b!#$%&'*+-^_`|~9", "behind empty ones"),
        ("x" * 100, "x" * 100, "a long one"),
        ("x" * 101 + ", b", None, "too long a one"),
        ('"a", b', None, "no token"),
        ("a b", None, "a blank within"),
        ("\xe9, b", None, "not ASCII"),
        ("", None, "nothing"),
    ]

    @gen_test
    async def test_each_generation_is_answered_with_the_first_subprotocol_it_offers(self):
        for path in (
            "/?EIO=4&transport=websocket",
            "/?EIO=3&transport=websocket",
            "/websocket",
            "/flashsocket",
        ):
            for offer, expected, why in self.ROWS:
                with self.subTest(why, path=path):
                    wire = await self.wire()
                    headers = {} if offer is None else {"Sec_WebSocket_Protocol": offer}
                    status, answer = await wire.upgrade("/socket.io" + path, **headers)
                    self.assertEqual(status, 101)
                    self.assertEqual(answer.get("sec-websocket-protocol"), expected)

    @gen_test
    async def test_a_websocket_of_a_known_session_is_answered_with_its_first_subprotocol(self):
        wire = await self.wire()
        sid = (await wire.request("GET", "/socket.io/1/"))[2].decode().split(":")[0]
        polling = await self.join_polling(wire)
        for url in (f"/socket.io/1/websocket/{sid}", polling.replace("polling", "websocket")):
            websocket = await self.wire()
            status, answer = await websocket.upgrade(url, Sec_WebSocket_Protocol="b, a")
            self.assertEqual((status, answer.get("sec-websocket-protocol")), (101, "b"))


class WebSocketTests(RecorderTestCase):
    """[RFC6455]: the connection is taken over from Tornado, and frames are read and written by socket_io."""

    @gen_test
    async def test_the_open_packet_comes_after_the_101_and_not_in_one_read_with_it(self):
        with mock.patch.object(socket_io, "GREETING_SECONDS", 0.05):
            for revision in "34":
                with self.subTest(revision):
                    wire = await self.wire()
                    path = f"/socket.io/?EIO={revision}&transport=websocket"
                    await wire.upgrade(path)
                    with self.assertRaises(asyncio.TimeoutError):
                        await within(wire.reader.read(1), 0.01)
                    self.assertTrue((await wire.text()).startswith("0{"))

    @gen_test
    async def test_frames_sent_along_with_the_handshake_arrive(self):
        wire = await self.wire()
        big = json.dumps(["big", "x" * 200_000])
        frames = [masked_frame(1, text.encode()) for text in ["40", "42" + big, '42["after"]']]
        lines = [
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
            "Host: x",
            "Upgrade: websocket",
        ]
        lines += [
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        wire.writer.write("\r\n".join([*lines, "", ""]).encode() + b"".join(frames))
        await self.noted("big", "x" * 200_000)
        await self.noted("after")

    @gen_test
    async def test_answers_to_frames_of_one_read_leave_in_order(self):
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
        with (
            self.assertNoLogs(level="INFO")
            if hasattr(self, "assertNoLogs")
            else contextlib.nullcontext()
        ):
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
        rows = ["", "9", "4", "4x", "42{}", "42[]", "42[true]", '42["connect"]', '42["disconnect"]', "43[]",
                '44{"message":"x"}', "40", '42/nowhere,["x"]', "452-[]",
                '451-["x",{"_placeholder":true,"num":true}]', "2", "2prob",
                "42" + "[" * 100_000,
                '42["x",NaN]', '42["x",1e400]', '421234567890123456["x"]', '42７["x"]', "41{}"]  # fmt: skip
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
    async def test_upgrade_packets_do_no_harm_to_a_session_that_began_as_a_websocket(self):
        for revision in (3, 4):
            with self.subTest(revision=revision):
                wire = await self.wire()
                await wire.upgrade(f"/socket.io/?EIO={revision}&transport=websocket")
                for text in ("5", "2probe", "5", "0", '0{"sid":"x"}', "40", '42["x"]'):
                    wire.send_frame(text)
                await self.noted("x")
                heard = [await wire.text(), await wire.text(), await wire.text()]
                self.assertIn("3probe", heard)
                self.assertTrue(self.handler.handlers[-1].connected)

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
        for attack in (
            "[" * 200_000,
            "42" + "[" * 200_000,
            "4" + "9" * 500_000,
            "451-" + "x" * 100_000,
        ):
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
        deaf.writer.transport.pause_reading()
        number = 0
        while self.handler.entries.empty():
            self.handler.io.emit("much", number, "x" * 500_000)
            self.assertEqual((await reader.receive())[:2], ("much", number))
            number += 1
        await self.assertClosedFor("transport error")
        self.assertEqual(len(self.handler.io.sockets()), 1)


class OverTLS:
    """Mixed into a test case: its server and its clients speak TLS."""

    innocent_tasks = 1  # a WebSocket's reading

    def get_http_server(self):
        certificate = make_certificate()
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(certificate)
        client_side = ssl.create_default_context(cafile=certificate)
        opened = functools.partial(Wire.open, ssl=client_side, server_hostname="localhost")
        patch = mock.patch.object(Wire, "open", opened)
        patch.start()
        self.addCleanup(patch.stop)
        return tornado.httpserver.HTTPServer(self._app, ssl_options=server_side)


class TLSTests(OverTLS, SocketIOTestCase):
    """Over TLS the socket cannot be adopted: the same frame parser is fed from Tornado's stream."""

    class handler(SocketIOHandler):
        def on_message(self, message):
            self.send(message)

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
            wire.send_frame(
                json.dumps(["message", "é" * (size // 2)], ensure_ascii=False).join(["42", ""])
            )
            self.assertEqual(json.loads((await wire.text())[2:]), ["message", "é" * (size // 2)])

    @gen_test
    async def test_what_is_sent_over_tls_does_not_wait_for_an_acknowledgement_of_the_network(self):
        await self.open()
        (connection,) = self.handler.io._at[-1][0].connections
        sock = connection.carrier.stream.socket
        self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    @gen_test
    async def test_a_reset_behind_a_flood_that_is_being_answered_harms_no_other_connection(self):
        await (await self.wire()).request("GET", "/socket.io/?EIO=4&transport=polling")
        innocents = [await self.open() for _ in range(3)]
        for ping in (masked_frame(PING_FRAME, b"x" * 100), masked_frame(1, b'42["message","x"]')):
            vandal = await self.open()
            vandal.writer.transport.pause_reading()
            vandal.writer.write(ping * (2_000_000 // len(ping)))
            await asyncio.sleep(0)
            vandal.reset()
            while len(self.handler.io.sockets()) > 3:
                await asyncio.sleep(0.01)
            for innocent in innocents:
                innocent.send_frame('42["message","hello"]')
                self.assertEqual(await innocent.text(), '42["message","hello"]')

    @gen_test
    async def test_a_client_that_does_not_read_over_tls_is_cut_off(self):
        deaf = await self.open()
        deaf.writer.transport.pause_reading()
        ended = asyncio.Event()
        self.handler.on_close = lambda handler: ended.set()
        while not ended.is_set():
            self.handler.io.emit("much", "x" * 100_000)
            await asyncio.sleep(0)
        deaf.close()

    @gen_test
    async def test_a_flood_from_one_tls_client_lets_another_in(self):
        flood, innocent = await self.open(), await self.open()
        flood.writer.write(masked_frame(1, b'42["message",""]') * 20_000)
        innocent.send_frame('42["message","hello"]')
        self.assertEqual(await innocent.text(), '42["message","hello"]')


def make_certificate():
    """A self-signed certificate for localhost; the openssl program is all it takes."""
    path = pathlib.Path(tempfile.gettempdir()) / f"socket_io_test_{os.getpid()}.pem"
    if not path.exists():
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        command += [
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(path),
            "-out",
            f"{path}.crt",
        ]
        subprocess.run(command, check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + pathlib.Path(f"{path}.crt").read_bytes())
        pathlib.Path(f"{path}.crt").unlink()
        atexit.register(path.unlink)
    return str(path)


class HeartbeatTests(RecorderTestCase):
    """[EIO4 "Heartbeat"]: the server pings, the client answers, silence is the end."""

    options = {"ping_interval": 0.1, "ping_timeout": 0.1}

    @gen_test
    async def test_a_client_that_answers_lives_on_both_transports(self):
        transports = ("websocket", "xhr-polling")
        clients = [await self.client(transport=transport) for transport in transports]
        await asyncio.sleep(0.45)  # twice the time after which silence is the end
        for handler, client in zip(self.handler.handlers, clients, strict=True):
            self.assertTrue(handler.connected, client.transport)

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
        time.sleep(0.3)  # a handler that blocks for longer than interval and timeout together
        await asyncio.sleep(0.15)
        self.assertTrue((await self.only()).connected)


class ConnectTimeoutTests(RecorderTestCase):
    """A client has `connect_timeout` seconds to join a namespace."""

    options = {"connect_timeout": 0.2}

    @gen_test
    async def test_a_client_that_joins_no_namespace_is_closed_after_connect_timeout(self):
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        self.assertEqual((await wire.frame())[0], 8)

    @gen_test
    async def test_an_on_open_that_takes_longer_than_connect_timeout_refuses_its_client(self):
        gate = asyncio.Event()

        async def hang(handler):
            await gate.wait()

        self.handler.on_open = hang
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        self.assertIn(await wire.message(), ('44{"message":"Timed out"}', None))
        gate.set()
        while self.handler._home[0].clock.tasks:
            await asyncio.sleep(0)


class FirstRequestTests(RecorderTestCase):
    """A server's first request is answered even if Tornado refuses it before its handler is prepared."""

    @gen_test
    async def test_the_first_request_of_a_server_is_answered_when_its_method_is_unknown(self):
        wire = await self.wire()
        with self.assertLogs("tornado.access", "WARNING"):
            status, _, _ = await wire.request("BREW", "/socket.io/?EIO=4&transport=polling", b"40")
        self.assertEqual(status, 405)


class BodySizeTests(RecorderTestCase):
    """`max_message_bytes` bounds bodies, frames and attachments, whether their size is declared or not."""

    options = {"max_message_bytes": 1000}

    @gen_test
    async def test_a_body_declared_too_large_is_refused_before_anything_is_stored(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b"", Content_Length="1001")
        self.assertEqual((await wire.answer())[0], 413)
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_chunked_body_is_refused_when_it_reaches_the_limit(self):
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
    async def test_a_form_may_be_longer_than_the_limit_but_no_message_in_it(self):
        wire = await self.wire()
        _, _, body = await wire.request("GET", "/socket.io/xhr-polling//1")
        url = f"/socket.io/xhr-polling/{body[-20:].decode()}/send"
        for length, status in ((900, 200), (1100, 400)):
            form = (
                b"data="
                + urllib.parse.quote(f"~m~{length}~m~").encode()
                + b"x" * (length - 400)
                + b"%78" * 400
            )
            self.assertEqual((await wire.request("POST", url, form))[0], status)
        await self.noted("message", "x" * 900)

    @gen_test
    async def test_attachments_of_one_event_count_together_for_its_size(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
        wire.send_frame(b"a" * 600)
        wire.send_frame(b"b" * 600)
        await self.assertClosedFor("parse error")


class OriginTests(RecorderTestCase):
    """Every transport admits the same origins, those of `allowed_origins`."""

    options = {"allowed_origins": ["https://friend.example"]}

    @gen_test
    async def test_polling_and_websocket_admit_the_same_origins(self):
        rows = [
            ({}, True, "no browser"),
            ({"Origin": "http://test.example"}, True, "the same host"),
            (
                {"Origin": "https://test.example"},
                True,
                "the same host behind a proxy that ends TLS",
            ),
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
                    status, answer, _ = await polling.request(
                        "GET", "/socket.io/?EIO=4&transport=polling", **headers
                    )
                    self.assertEqual(status, 200 if admitted else 403)
                    granted = headers.get("Origin") if admitted else None
                    self.assertEqual(answer.get("access-control-allow-origin"), granted)
                    self.assertEqual(answer.get("vary"), granted and "Origin")
                    status, _ = await websocket.upgrade(
                        "/socket.io/?EIO=4&transport=websocket", **headers
                    )
                    self.assertEqual(status, 101 if admitted else 403)
        self.assertIn("'https://evil.example'", "\n".join(logged.output))
        self.assertIn("allowed_origins = ", "\n".join(logged.output))

    @gen_test
    async def test_a_post_and_a_request_with_a_known_sid_are_refused_for_their_origin_too(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        with self.assertLogs("socket_io", "WARNING"):
            status, _, body = await wire.request(
                "POST", url, b'42["x"]', Origin="https://evil.example"
            )
        self.assertEqual((status, json.loads(body)), (403, {"code": 4, "message": "Forbidden"}))

    @gen_test
    async def test_a_preflight_is_granted_to_allowed_origins_only(self):
        wire = await self.wire()
        path = "/socket.io/?EIO=4&transport=polling&sid=unknown"
        asks = {
            "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "x-token",
        }
        status, headers, _ = await wire.request(
            "OPTIONS", path, Origin="https://friend.example", **asks
        )
        self.assertEqual((status, headers["access-control-allow-headers"]), (204, "x-token"))
        self.assertEqual(headers["access-control-allow-origin"], "https://friend.example")
        self.assertEqual(headers["access-control-allow-credentials"], "true")
        status, headers, _ = await wire.request(
            "OPTIONS", path, Origin="https://evil.example", **asks
        )
        self.assertEqual((status, "access-control-allow-methods" in headers), (204, False))

    @gen_test
    async def test_a_page_of_an_allowed_origin_can_read_errors(self):
        wire = await self.wire()
        path = "/socket.io/?EIO=4&transport=polling&sid=unknown"
        _, headers, _ = await wire.request("GET", path, Origin="https://friend.example")
        self.assertEqual(headers["access-control-allow-origin"], "https://friend.example")


class OriginFormsTests(RecorderTestCase):
    """`allowed_origins` may be a function: it is asked for each request, and its errors admit nobody."""

    FRIEND, EVIL = "https://friend.example", "https://evil.example"

    async def ask(self, **headers):
        """The answer's status over polling and over WebSocket, for each generation."""
        statuses = set()
        for path in (
            "/?EIO=4&transport=polling",
            "/?EIO=3&transport=polling&j=0",
            "/1/",
            "/xhr-polling//1",
        ):
            statuses.add(
                (await (await self.wire()).request("GET", "/socket.io" + path, **headers))[0]
            )
        for path in ("/?EIO=4&transport=websocket", "/?EIO=3&transport=websocket", "/websocket"):
            statuses.add((await (await self.wire()).upgrade("/socket.io" + path, **headers))[0])
        return statuses

    @gen_test
    async def test_a_function_or_a_class_method_decides_on_origins(self):
        for kind in (staticmethod, classmethod, lambda function: function):
            with self.subTest(kind):
                body = (lambda cls, origin: origin == self.FRIEND) if kind is classmethod else (
                    lambda origin: origin == self.FRIEND)  # fmt: skip
                self.handler.allowed_origins = kind(body)
                self.assertEqual(await self.ask(Origin=self.FRIEND), {200, 101})
                self.assertEqual(await self.ask(Origin=self.EVIL), {403, 401})

    @gen_test
    async def test_an_origin_function_that_raises_admits_nobody_and_is_logged(self):
        self.handler.allowed_origins = lambda origin: 1 // 0
        with self.assertLogs("socket_io", "ERROR") as logged:
            self.assertEqual(await self.ask(Origin=self.FRIEND), {403, 401})
        self.assertIn("ZeroDivisionError", logged.output[0])
        self.assertEqual(await self.ask(), {200, 101})  # it is not asked

    @gen_test
    async def test_a_refused_origin_is_logged_with_the_option_that_would_admit_it(self):
        rows = [
            ({"Origin": "null"}, "'null'", "'*', or a function"),
            ({"Origin": self.EVIL}, f"'{self.EVIL}'", f"['{self.EVIL}']"),
            ({"Referer": self.EVIL + "/page?token=secret"}, f"'{self.EVIL}'", f"['{self.EVIL}']"),
            ({"Sec_Fetch_Site": "cross-site"}, "'cross-site'", "Referrer-Policy"),
        ]
        for headers, origin, cure in rows:
            socket_io._warned.clear()
            with self.subTest(headers), self.assertLogs("socket_io", "WARNING") as logged:
                await self.ask(**headers)
                self.assertEqual(len(logged.output), 1)
                self.assertIn(f"origin {origin} refused", logged.output[0])
                self.assertIn(cure, logged.output[0])
                self.assertNotIn("token", logged.output[0])

    @gen_test
    async def test_the_cure_that_a_refused_origin_is_logged_with_admits_it(self):
        name = self.handler.__name__
        lists = [
            "https://evil.example",
            "HTTP://Evil.example:8080",
            "wss://api.example:443",
            "http://[::1]:3000",
            "file://",
            "file:///",
            "app://localhost",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
        ]
        functions = ["null", "*", "https://a.example/path", "a.example", "https://*.example", "é://x",
                     "https://a.example, https://b.example", "http://"]  # fmt: skip
        for origin in lists + functions:
            with self.subTest(origin):
                socket_io._warned.clear()
                self.handler.allowed_origins = ()
                with self.assertLogs("socket_io", "WARNING") as logged:
                    self.assertEqual(await self.ask(Origin=origin), {403, 401})
                line = logged.records[0].getMessage()
                if origin in lists:
                    cure = re.search(rf"{name}\.allowed_origins = (\[.*?'\])(;|$)", line)
                    self.handler.allowed_origins = ast.literal_eval(cure[1])
                    type(
                        "Cured",
                        (SocketIOHandler,),
                        {"allowed_origins": self.handler.allowed_origins},
                    )
                else:
                    self.assertIn("a function that admits", line)
                    self.assertNotIn("['*']", line)
                    self.handler.allowed_origins = lambda got, origin=origin: got == origin
                self.assertEqual(await self.ask(Origin=origin), {200, 101})

    @gen_test
    async def test_an_origin_function_that_is_a_coroutine_admits_nobody(self):
        async def later(origin):
            return False

        self.handler.allowed_origins = later
        with warnings.catch_warnings(), self.assertLogs("socket_io", "ERROR"):
            warnings.simplefilter("ignore", RuntimeWarning)  # nor is it awaited
            self.assertEqual(await self.ask(Origin=self.EVIL), {403, 401})


class OriginBehindProxyTests(RecorderTestCase):
    """Behind a proxy that changes `Host` a page is known by Sec-Fetch-Site, or by the cure that the log names."""

    PAGE = {"Host": "127.0.0.1:8888", "Origin": "https://pub.example"}
    FETCH = {**PAGE, "Sec_Fetch_Site": "same-origin"}

    @gen_test
    async def test_our_own_page_polls_and_goes_on_over_a_websocket(self):
        for revision in (3, 4):
            with self.subTest(revision=revision):
                socket_io._warned.clear()
                polling, websocket = await self.wire(), await self.wire()
                path = f"/socket.io/?EIO={revision}&transport=polling"
                status, answer, body = await polling.request("GET", path, **self.FETCH)
                self.assertEqual(
                    (status, answer["access-control-allow-origin"]), (200, self.PAGE["Origin"])
                )
                url = f"{path}&sid={self.sid_in(body)}"
                post = "40" if revision == 4 else "1:6"
                status, _, _ = await polling.request("POST", url, post.encode(), **self.FETCH)
                self.assertEqual(status, 200)
                with self.assertLogs("socket_io", "WARNING"):  # a sid is asked too
                    self.assertEqual((await polling.request("GET", url, **self.PAGE))[0], 403)
                url = url.replace("polling", "websocket")
                self.assertEqual((await websocket.upgrade(url, **self.PAGE))[0], 101)
                websocket.send_frame("2probe")
                self.assertEqual(await websocket.text(), "3probe")

    @gen_test
    async def test_a_client_of_0_9_chooses_a_websocket_after_its_handshake(self):
        wire, websocket = await self.wire(), await self.wire()
        _, _, body = await wire.request("GET", "/socket.io/1/?t=1", **self.FETCH)
        sid = body.decode().split(":")[0]
        status, _ = await websocket.upgrade(f"/socket.io/1/websocket/{sid}", **self.PAGE)
        self.assertEqual((status, await websocket.text()), (101, "1::"))

    @gen_test
    async def test_the_sid_of_a_session_that_was_admitted_otherwise_admits_nobody(self):
        wire, websocket = await self.wire(), await self.wire()
        url = (await self.join_polling(wire)).replace("polling", "websocket")
        with self.assertLogs("socket_io", "WARNING"):
            self.assertEqual((await websocket.upgrade(url, **self.PAGE))[0], 403)
            unknown = re.sub("sid=.*", "sid=" + "a" * 20, url)
            self.assertEqual((await (await self.wire()).upgrade(unknown, **self.PAGE))[0], 403)

    @gen_test
    async def test_a_websocket_without_a_sid_is_refused_and_the_log_names_the_cure(self):
        for path in ("/?EIO=4&transport=websocket", "/?EIO=3&transport=websocket", "/websocket"):
            with self.subTest(path):
                socket_io._warned.clear()
                with self.assertLogs("socket_io", "WARNING") as logged:
                    status, _ = await (await self.wire()).upgrade("/socket.io" + path, **self.PAGE)
                self.assertEqual(status, 403)
                self.assertIn("proxy_set_header Host $http_host", logged.output[0])
                self.assertIn("'127.0.0.1:8888'", logged.output[0])
                headers = {**self.PAGE, "Host": "pub.example"}  # what that makes of it
                status, _ = await (await self.wire()).upgrade("/socket.io" + path, **headers)
                self.assertEqual(status, 101)

    @gen_test
    async def test_x_forwarded_host_is_believed_when_the_application_says_so(self):
        forwarded = {**self.PAGE, "X_Forwarded_Host": "pub.example, inner.example"}
        path = "/socket.io/?EIO=4&transport="
        for believed in (False, True):
            self._app.settings["xheaders"] = believed
            status, _, _ = await (await self.wire()).request("GET", path + "polling", **forwarded)
            self.assertEqual(status, 200 if believed else 403)
            status, _ = await (await self.wire()).upgrade(path + "websocket", **forwarded)
            self.assertEqual(status, 101 if believed else 403)


class ServerBehindProxyTests(tornado.testing.AsyncTestCase):
    """`SocketIOServer(xheaders=True)` believes X-Forwarded-Host when it compares origins."""

    @gen_test
    async def test_a_server_with_xheaders_believes_x_forwarded_host(self):
        for more in ({}, {"xheaders": True}):
            chat = type("Chat", (SocketIOHandler,), {})
            application = tornado.web.Application(
                [chat.routes("socket.io")], socket_io_port=0, enabled_protocols=["websocket"]
            )
            server = socket_io.SocketIOServer(
                application, auto_start=False, address="127.0.0.1", **more
            )
            port = next(iter(server._sockets.values())).getsockname()[1]
            wire = await Wire.open(port)
            headers = {"Host": "127.0.0.1", "Origin": "https://pub.example"}
            status, _ = await wire.upgrade(
                "/socket.io/?EIO=4&transport=websocket", X_Forwarded_Host="pub.example", **headers
            )
            self.assertEqual(status, 101 if more else 403)
            wire.close()
            await server.close()


class AdmissionTests(RecorderTestCase):
    """`allow_request` is asked before there is a session, once, for every generation and transport."""

    EIO = "/socket.io/?EIO={}&transport={}"
    DOORS = [
        ("GET", EIO.format(4, "polling"), "a poll"), ("GET", EIO.format(3, "polling"), "an older poll"),
        ("GET", EIO.format(4, "polling") + "&j=0", "a script"), ("WS", EIO.format(4, "websocket"), "a WebSocket"),
        ("WS", EIO.format(3, "websocket"), "an older WebSocket"), ("GET", "/socket.io/1/", "a handshake of protocol 1"),
        ("GET", "/socket.io/1/?jsonp=0", "the same as a script"), ("GET", "/socket.io/xhr-polling//1", "a poll of 0.6"),
        ("GET", "/socket.io/jsonp-polling//1/0", "a script of 0.6"), ("WS", "/socket.io/websocket", "0.6's WebSocket"),
        ("STREAM", "/socket.io/xhr-multipart", "a stream"), ("STREAM", "/socket.io/htmlfile", "another"),
    ]  # fmt: skip

    async def knock(self, method, path, **headers):
        """The answer to a handshake: status and body, which a WebSocket or a stream that is opened has not."""
        wire = await self.wire()
        if method == "WS":
            status, answer = await wire.upgrade(path, **headers)
        else:
            wire.send_request("GET", path, **headers)
            status, answer = await wire.head()
        length = int(answer.get("content-length", 0))
        return status, (await wire.within(wire.reader.readexactly(length))).decode()

    def allow(self, answer):
        """Every request gets *answer*, which is called if it can be; returns the list of those who asked."""
        asked = []

        def allow_request(cls, request):
            asked.append(request.path)
            return answer(request) if callable(answer) else answer

        self.handler.allow_request = classmethod(allow_request)
        return asked

    def later(self, answer):
        async def decide(request):
            await asyncio.sleep(0)
            return answer(request) if callable(answer) else answer

        return decide

    @property
    def sessions(self):
        return self.handler._home[0].sessions

    @gen_test
    async def test_a_client_that_allow_request_allows_connects(self):
        for answer in (1, True, self.later(object()), self.later(True)):
            asked = self.allow(answer)
            for number, (method, path, what) in enumerate(self.DOORS, 1):
                with self.subTest(what):
                    self.assertIn((await self.knock(method, path))[0], (200, 101))
                    self.assertEqual(len(asked), number)
        while len(self.sessions) < 4 * len(self.DOORS):  # a WebSocket's begins behind its 101
            await asyncio.sleep(0.001)

    @gen_test
    async def test_a_client_that_allow_request_refuses_gets_403_or_the_word_of_its_generation(self):
        for answer in (False, "", self.later(False), self.later(0)):
            self.allow(answer)
            for method, path, what in self.DOORS:
                with self.subTest(what):
                    status, body = await self.knock(method, path)
                    if "jsonp-polling" in path:
                        self.assertEqual((status, body[:6]), (200, "alert("))
                    elif "jsonp=" in path:
                        self.assertEqual(
                            (status, body), (200, 'io.j[0](new Error("handshake unauthorized"));')
                        )
                    elif path == "/socket.io/1/":
                        self.assertEqual((status, body), (403, "handshake unauthorized"))
                    else:
                        self.assertEqual(
                            status, 401 if path == "/socket.io/xhr-polling//1" else 403
                        )
        self.assertEqual(self.sessions, {})

    @gen_test
    async def test_allow_request_that_returns_none_refuses_and_the_default_allows_all(self):
        self.assertIs(SocketIOHandler.allow_request(None), True)
        for answer in (None, self.later(None)):
            socket_io._warned.clear()
            self.allow(answer)
            with self.assertLogs("socket_io", "WARNING") as logged:
                for method, path, what in self.DOORS:
                    with self.subTest(what):
                        status, _ = await self.knock(method, path)
                        self.assertIn(status, (403, 401, 200 if "jsonp" in path else 403))
            self.assertEqual(len(logged.output), 1)
            self.assertIn("Recorder.allow_request returned None", logged.output[0])
        self.assertEqual(self.sessions, {})

    @gen_test
    async def test_an_http_error_of_allow_request_gives_status_and_reason_of_the_refusal(self):
        def refuse(request):
            raise tornado.web.HTTPError(503, reason="Come back later")

        for answer in (refuse, self.later(refuse)):
            self.allow(answer)
            for method, path, what in self.DOORS:
                with self.subTest(what):
                    status, body = await self.knock(method, path)
                    self.assertEqual(status, 200 if "jsonp=" in path else 503)
                    self.assertIn("Come back later", body)
                    if "EIO" in path and method != "WS":
                        self.assertEqual(
                            json.loads(body), {"code": 4, "message": "Come back later"}
                        )
        self.assertEqual(self.sessions, {})

    @gen_test
    async def test_any_kind_of_http_error_of_allow_request_refuses(self):
        rows = [
            (tornado.web.HTTPError(403, reason="banned"), 403, "banned"),
            (tornado.web.HTTPError(401), 401, "Unauthorized"),
            (tornado.web.HTTPError(499), 499, "Refused"),
            (tornado.web.HTTPError(420, reason="Enhance your calm"), 420, "Enhance your calm"),
            (tornado.web.MissingArgumentError("token"), 400, "Bad Request"),
        ]
        for error, status, message in rows:
            for path in (self.EIO.format(4, "polling"), "/socket.io/1/"):
                with self.subTest(message, path=path):
                    self.allow(mock.Mock(side_effect=error))
                    answer = await self.knock("GET", path)
                    self.assertEqual(answer[0], status)
                    self.assertIn(message, answer[1])

    @gen_test
    async def test_allow_request_that_raises_refuses_and_is_logged(self):
        for answer in (lambda request: 1 // 0, self.later(lambda request: 1 // 0)):
            self.allow(answer)
            for method, path, what in self.DOORS:
                with self.subTest(what), self.assertLogs("socket_io", "ERROR") as logged:
                    status, body = await self.knock(method, path)
                    self.assertEqual(status, 200 if "jsonp=" in path else 500)
                    self.assertNotIn("division", body)
                    self.assertIn("ZeroDivisionError", logged.output[0])
        self.assertEqual(self.sessions, {})

    @gen_test
    async def test_allow_request_sees_the_request_and_is_asked_once_for_a_client(self):
        seen = []
        self.allow(lambda request: not seen.append((request.remote_ip, request.query_arguments.get("token"),
                                                            request.cookies["name"].value)))  # fmt: skip
        for dialect, transport in (
            ("EIO4", "xhr-polling"),
            ("0.9", "xhr-polling"),
            ("0.6", "websocket"),
        ):
            client = await self.client(
                dialect, transport, query="&token=abc", headers={"Cookie": "name=ada"}
            )
            await client.send("hello")
            await self.noted("message", "hello")
        self.assertEqual(seen, [("127.0.0.1", [b"abc"], "ada")] * 3)
        wire, websocket = await self.wire(), await self.wire()
        self.allow(True)
        url = await self.join_polling(wire)
        asked = self.allow(True)
        await websocket.upgrade(url.replace("polling", "websocket"))
        websocket.send_frame("2probe")
        self.assertEqual(await websocket.text(), "3probe")
        self.assertEqual(asked, [])

    @gen_test
    async def test_a_client_that_goes_while_allow_request_decides_opens_no_session(self):
        for first in (True, False):  # the first request takes another way
            for method, path, what in self.DOORS:
                with self.subTest(what, first=first):
                    if first:
                        self.handler._home[0].clock.loop = None
                    gate, begun, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

                    async def decide(request, gate=gate, begun=begun, done=done):
                        begun.set()
                        await gate.wait()
                        done.set()
                        return True

                    self.allow(decide)
                    wire = await self.wire()
                    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
                               "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
                    wire.send_request("GET", path, **(upgrade if method == "WS" else {}))
                    await within(begun.wait())
                    wire.reset()
                    for _ in range(5):
                        await asyncio.sleep(0.001)
                    gate.set()
                    await within(done.wait())
                    for _ in range(5):
                        await asyncio.sleep(0.001)
                    self.assertEqual(self.sessions, {})
        self.assertEqual((self.handler.handlers, self.handler.entries.qsize()), ([], 0))

    @gen_test
    async def test_a_client_that_allow_request_still_decides_on_at_the_goodbye_is_refused(self):
        for method, path, what in self.DOORS:
            with self.subTest(what):
                self.handler._home[0].clock.loop = None
                gate, begun = asyncio.Event(), asyncio.Event()

                async def decide(request, gate=gate, begun=begun):
                    begun.set()
                    await gate.wait()
                    return True

                self.allow(decide)
                knocking = asyncio.ensure_future(self.knock(method, path))
                await within(begun.wait())
                await self.handler.io.close()
                gate.set()
                self.assertEqual((await knocking)[0], 200 if "jsonp=" in path else 503)
                self.assertEqual(self.sessions, {})


class OnRefusedTests(RecorderTestCase):
    """`on_refused` hears of every refused request, whatever refuses it, and cannot break the answer."""

    EIO = "/socket.io/?EIO=4&transport=polling"

    def get_app(self):
        application = super().get_app()
        self.heard = []
        self.handler.on_refused = classmethod(
            lambda cls, request, why: self.heard.append((cls, request.path, why))
        )
        return application

    def assertHeard(self, *words):
        """One refusal, of which *words* say the reason."""
        ((cls, path, why),) = self.heard
        self.assertIs(cls, self.handler)
        self.assertTrue(path.startswith("/socket.io/"))
        for word in words:
            self.assertIn(word, why)
        self.heard.clear()

    @gen_test
    async def test_on_refused_hears_of_each_kind_of_refusal(self):
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        rows = [
            (self.EIO, {"Origin": "https://evil.example"}, 403, "'https://evil.example'"),
            (self.EIO + "&sid=unknown", {}, 400, "Session ID unknown"),
            (self.EIO.replace("4", "5"), {}, 400, "'5'"),
            (self.EIO.replace("polling", "pigeons"), {}, 400, "Transport unknown"),
            (self.EIO.replace("polling", "websocket"), {}, 400, "Upgrade"),
            (self.EIO.replace("polling", "websocket"), upgrade, 400, "Sec-WebSocket-Key"),
            (self.EIO, upgrade, 400, "Bad request"),
            (self.EIO + "&j=x", {}, 400, "JSONP"),
            ("/socket.io/2/", {}, None, "Protocol version not supported."),
            ("/socket.io/1/xhr-polling/unknown", {}, 200, "Session ID unknown"),
            ("/socket.io/xhr-polling/unknown/1", {}, 400, "Session ID unknown"),
        ]
        for path, headers, expected, word in rows:
            with self.subTest(path, **headers):
                status, _, _ = await (await self.wire()).request("GET", path, **headers)
                self.assertEqual(status, expected or status)
                self.assertHeard(word)

    @gen_test
    async def test_on_refused_hears_of_refusals_by_allow_request_and_by_a_goodbye(self):
        wire = await self.wire()
        answers = [(False, "allow_request"), (tornado.web.HTTPError(402, reason="Pay"), "Pay")]
        for answer, word in answers:

            def decide(cls, request, answer=answer):
                if isinstance(answer, Exception):
                    raise answer
                return answer

            self.handler.allow_request = classmethod(decide)
            await wire.request("GET", self.EIO)
            self.assertHeard(word)
        self.handler.allow_request = SocketIOHandler.allow_request
        await self.handler.io.close()
        self.assertEqual((await wire.request("GET", self.EIO))[0], 503)
        self.assertHeard("shutting down")
        await self.handler.io.start()
        self.assertEqual((await wire.request("GET", self.EIO))[0], 200)

    @gen_test
    async def test_a_goodbye_may_be_said_from_another_thread(self):
        clients = [
            await self.client("EIO4", transport) for transport in ("websocket", "xhr-polling")
        ]
        await asyncio.to_thread(lambda: asyncio.run(self.handler.io.close()))
        for client in clients:
            await within(client.disconnected.wait())

    @gen_test
    async def test_on_refused_hears_of_refused_posts_polls_and_upgrades_of_a_session(self):
        for headers, word in (
            ({}, "Malformed payload: unknown engine packet type"),
            ({"Content_Length": "1000001"}, "Payload too large"),
        ):
            wire = await self.wire()
            url = await self.join_polling(wire)
            await wire.request("POST", url, b"nonsense", **headers)
            self.assertHeard(word)
        poll, wire = await self.wire(), await self.wire()
        url = await self.join_polling(wire)
        poll.send_request("GET", url)
        while self.handler.handlers[-1]._member.session.outlet is None:
            await asyncio.sleep(0)
        self.assertEqual((await wire.request("GET", url))[0], 400)
        self.assertHeard("Overlapping polls")
        url = await self.join_polling(wire)
        first, second = await self.wire(), await self.wire()
        for websocket in (first, second):
            await websocket.upgrade(url.replace("polling", "websocket"))
        self.assertEqual((await second.frame())[0], 8)
        self.assertHeard("a second WebSocket")

    @gen_test
    async def test_on_refused_hears_of_a_preflight_of_a_foreign_page(self):
        await (await self.wire()).request("OPTIONS", self.EIO, Origin="https://evil.example")
        self.assertHeard("'https://evil.example'")

    @gen_test
    async def test_a_context_variable_set_in_on_refused_is_seen_by_no_other_request(self):
        user = contextvars.ContextVar("user", default="nobody")
        seen = []

        def hear(cls, request, why):
            seen.append(user.get())
            user.set("somebody")

        self.handler.on_refused = classmethod(hear)
        wire = await self.wire()
        for _ in range(3):
            await wire.request("GET", self.EIO + "&sid=unknown")
        self.assertEqual(seen, ["nobody"] * 3)

    @gen_test
    async def test_an_on_refused_that_fails_is_logged_and_does_not_change_the_answer(self):
        async def nobody_awaits_this():
            pass

        answer = nobody_awaits_this()
        self.addCleanup(answer.close)  # else Python warns that nobody has awaited it
        for failing in (lambda cls, request, why: 1 // 0, lambda cls, request, why: answer):
            self.handler.on_refused = classmethod(failing)
            with self.assertLogs("socket_io", "ERROR") as logged:
                status, _, body = await (await self.wire()).request("GET", self.EIO + "&sid=gone")
            self.assertEqual((status, json.loads(body)["code"]), (400, 1))
            self.assertIn("Recorder.on_refused failed", logged.output[0])


class MistakeTests(RecorderTestCase):
    """The first mistake of its kind is logged as a WARNING with its cure, later ones as DEBUG."""

    options = {"max_message_bytes": 1000, "connect_timeout": 0.2, "max_attachments": 1}

    class Slow(SocketIOHandler):
        async def on_open(self):
            await asyncio.Event().wait()

    namespaces = {"/slow": Slow}

    async def assertWarns(self, act, *words):
        """What *act* does is one WARNING that has *words*; done again it is none."""
        with self.assertLogs("socket_io", "WARNING") as logged:
            await act()
        self.assertEqual(len(logged.output), 1, logged.output)
        for word in ("Recorder", *words):
            self.assertIn(word, logged.output[0])
        with self.assertNoLogs("socket_io", "WARNING"):
            await act()
        with self.assertLogs("socket_io", "DEBUG") as logged:
            await act()
        self.assertTrue(any("! " in line for line in logged.output), logged.output)

    async def ask(self, path, **headers):
        await (await self.wire()).request("GET", path, **headers)

    @gen_test
    async def test_a_refused_request_is_a_warning_with_its_cure(self):
        rows = [
            ("?EIO=4&transport=polling&sid=unknown", {}, ("Session ID unknown", "sticky")),
            ("?EIO=7&transport=polling", {}, ("revision '7'", "enabled_dialects")),
            ("?EIO=4&transport=websocket", {}, ("Upgrade", "proxy_set_header")),
            (
                "?EIO=4&transport=websocket",
                {"Upgrade": "websocket", "Connection": "close"},
                ("Connection", "proxy_set_header"),
            ),
        ]
        for query, headers, words in rows:
            with self.subTest(query, **headers):
                await self.assertWarns(
                    functools.partial(self.ask, "/socket.io/" + query, **headers), *words
                )

    @gen_test
    async def test_a_namespace_that_is_not_served_is_a_warning_with_its_cure(self):
        for dialect in ("EIO4", "EIO3", "0.9"):

            async def act(dialect=dialect):
                with self.assertRaises(ConnectionRefused):
                    await self.client(dialect, namespace="/admin")

            socket_io._warned.clear()
            await self.assertWarns(act, dialect, "'/admin' is not served", "namespaces={")

    async def say(self, *frames):
        wire = await self.wire()
        await self.open_websocket(wire)
        for frame in frames:
            wire.send_frame(frame)
        while (await wire.frame())[0] != socket_io.CLOSE_FRAME:
            pass

    @gen_test
    async def test_a_packet_that_closes_its_session_is_a_warning_with_its_cure(self):
        rows = [
            (["9"], ("cut off: unknown engine packet type",)),
            (['42["x"' + " " * 1001], ("max_message_bytes = 1000",)),
            (['452-["x"]'], ("max_attachments = 1",)),
            (["40"], ("CONNECT to '/' again",)),
            (['42/ns,["x"]'], ("event for '/ns', where it is not",)),
        ]
        for frames, words in rows:
            with self.subTest(frames):
                await self.assertWarns(
                    functools.partial(self.say, *frames), "EIO4", "websocket", *words
                )

    @gen_test
    async def test_what_follows_a_broken_frame_is_no_mistake_of_its_own(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        with self.assertLogs("socket_io", "DEBUG") as logged:
            wire.send_frame("x" * 1001)
            self.assertEqual((await wire.frame())[0], CLOSE_FRAME)
            wire.writer.write(b"\xff" * 100)
            wire.writer.write_eof()
            await wire.end()
        self.assertEqual(
            [line for line in logged.output if "failed upgrade" in line or "polling" in line], []
        )
        self.assertEqual(sum("max_message_bytes" in line for line in logged.output), 1)

    @gen_test
    async def test_a_body_that_is_too_large_is_a_warning_with_its_cure(self):
        async def act():
            wire = await self.wire()
            await wire.request("POST", await self.join_polling(wire), b"x" * 1001)

        await self.assertWarns(act, "max_message_bytes = 1000")

    @gen_test
    async def test_a_client_that_joins_no_namespace_is_a_warning_with_its_cure(self):
        async def act():
            wire = await self.wire()
            await self.open_websocket(wire, connect="")
            self.assertEqual((await wire.frame())[0], 8)

        await self.assertWarns(act, "joined no namespace", "connect_timeout = 0.2")

    @gen_test
    async def test_an_on_open_that_takes_too_long_is_a_warning_with_its_cure(self):
        client = await self.client()
        with self.assertLogs("socket_io", "WARNING") as logged:
            with self.assertRaisesRegex(ConnectionRefused, "Timed out"):
                await client.join("/slow")
        self.assertIn(
            "Slow in '/slow': an EIO4 client over websocket was told no", logged.output[0]
        )
        self.assertIn("connect_timeout = 0.2", logged.output[0])

    @gen_test
    async def test_many_mistakes_of_one_cause_are_ten_warnings_and_others_keep_theirs(self):
        with self.assertLogs("socket_io", "WARNING") as logged:
            for n in range(30):
                await self.ask(f"/socket.io/?EIO={n + 10}&transport=polling")
            await self.ask("/socket.io/?EIO=4&transport=polling&sid=unknown")
        self.assertEqual(len(logged.output), socket_io.MAX_WARNINGS + 1)
        self.assertIn("Session ID unknown", logged.output[-1])

    def test_every_kind_of_mistake_has_a_log_text_that_its_class_can_fill(self):
        for cause, mistake in socket_io.MISTAKES.items():
            with self.subTest(cause):
                self.assertNotIn("{options", mistake.cure.format(options=self.handler))
                self.assertIn(
                    mistake.close_reason, ("parse error", "transport error", "forced close")
                )


class SocketIO06Tests(RecorderTestCase):
    """[SIO06]: byte by byte what the reference server of the time sends."""

    SID = rb"~m~20~m~([\w-]{20})"

    async def open(self, wire, transport):
        """A polling handshake; the sid."""
        status, _, body = await wire.request(
            "GET", f"/socket.io/{transport}//123" + ("/0" if "jsonp" in transport else "")
        )
        self.assertEqual(status, 200)
        return re.search(self.SID, body)[1].decode()

    @gen_test
    async def test_xhr_polling_of_0_6_is_answered_byte_by_byte_as_by_its_server(self):
        wire = await self.wire()
        status, headers, body = await wire.request("GET", "/socket.io/xhr-polling//123")
        self.assertRegex(body, rb"\A" + self.SID + rb"\Z")
        self.assertEqual((status, headers["content-type"]), (200, "text/plain; charset=UTF-8"))
        sid = body[-20:].decode()
        post = b"data=" + urllib.parse.quote('~m~5~m~hello~m~3~m~é😀~m~10~m~~j~{"a":1}').encode()
        status, headers, body = await wire.request(
            "POST", f"/socket.io/xhr-polling/{sid}/send", post
        )
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
        self.assertEqual(
            body.decode(), f'~m~8~m~a\nb 😀 é~m~12~m~~j~{{"two":2}}~m~{len(event)}~m~{event}'
        )

    @gen_test
    async def test_jsonp_polling_of_0_6_is_answered_byte_by_byte_as_by_its_server(self):
        wire = await self.wire()
        sid = await self.open(wire, "jsonp-polling")
        url = f"/socket.io/jsonp-polling/{sid}/456/3"
        _, _, body = await wire.request(
            "POST", url, b"data=" + urllib.parse.quote("~m~3~m~a\r\nb").encode()
        )
        self.assertEqual(body, b"ok")
        await self.noted("message", "a\nb")
        handler = await self.only()
        handler.send('x\r\ny\0"\\\u2028</script>')
        status, headers, body = await wire.request("GET", url)
        self.assertEqual((status, headers["content-type"]), (200, "text/javascript; charset=UTF-8"))
        self.assertRegex(body, rb'\Aio\.JSONP\[3\]\._\(".*"\);\Z')
        self.assertNotIn(b"</script>", body)
        self.assertEqual(
            json.loads(body[len("io.JSONP[3]._(") : -2]), '~m~17~m~x\r\ny\0"\\\u2028</script>'
        )

    @gen_test
    async def test_xhr_multipart_of_0_6_is_answered_byte_by_byte_as_by_its_server(self):
        stream, poster = await self.wire(), await self.wire()
        stream.send_request("GET", "/socket.io/xhr-multipart/")
        status, headers = await stream.head()
        self.assertEqual(
            (status, headers["content-type"]),
            (200, 'multipart/x-mixed-replace;boundary="socketio"'),
        )
        self.assertNotIn("transfer-encoding", headers)
        first = await stream.within(
            stream.reader.readexactly(
                len("--socketio\nContent-Type: text/plain\n\n~m~20~m~") + 20 + 12
            )
        )
        match = re.fullmatch(
            rb"--socketio\nContent-Type: text/plain\n\n" + self.SID + rb"\n--socketio\n", first
        )
        sid = match[1].decode()
        (await self.only()).send("a\nb 😀 é")
        part = "Content-Type: text/plain\n\n~m~8~m~a\nb 😀 é\n--socketio\n".encode()
        self.assertEqual(await stream.within(stream.reader.readexactly(len(part))), part)
        await poster.request("POST", f"/socket.io/xhr-multipart/{sid}/send", b"data=~m~2~m~hi")
        await self.noted("message", "hi")
        stream.close()
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_htmlfile_of_0_6_is_answered_byte_by_byte_as_by_its_server(self):
        stream, poster = await self.wire(), await self.wire()
        stream.send_request("GET", "/socket.io/htmlfile//123")
        status, headers = await stream.head()
        self.assertEqual(
            (status, headers["content-type"], headers["transfer-encoding"]),
            (200, "text/html", "chunked"),
        )
        chunks = stream.chunks()
        self.assertEqual(await chunks.__anext__(), b"<html><body>" + b" " * 244)
        first = await chunks.__anext__()
        sid = re.fullmatch(
            rb'<script>parent\.s\._\("' + self.SID + rb'", document\);</script>', first
        )[1].decode()
        (await self.only()).send("</script>\n")
        self.assertEqual(
            await chunks.__anext__(),
            rb'<script>parent.s._("~m~10~m~\u003c/script>\n", document);</script>',
        )
        await poster.request("POST", f"/socket.io/htmlfile/{sid}/send", b"data=~m~2~m~hi")
        await self.noted("message", "hi")
        (await self.only()).close()
        with self.assertRaises(StopAsyncIteration):
            await chunks.__anext__()

    @gen_test
    async def test_websocket_and_flashsocket_of_0_6_speak_byte_by_byte_as_its_server(self):
        for transport in ("websocket", "flashsocket"):
            wire = await self.wire()
            self.assertEqual((await wire.upgrade(f"/socket.io/{transport}"))[0], 101)
            self.assertRegex((await wire.text()).encode(), rb"\A" + self.SID + rb"\Z")
            wire.send_frame("~m~2~m~hi~m~5~m~again")
            await self.noted("message", "hi")
            await self.noted("message", "again")
            handler = self.handler.handlers[-1]
            self.assertEqual((handler.protocol, handler.session.dialect.name), (transport, "0.6"))
            handler.send(Decimal("1.10") if hasattr(socket_io.json_writer, "simple_first") else 1)
            self.assertTrue((await wire.text()).startswith("~m~"))
            wire.close()
            await self.assertClosedFor("transport close")

    @gen_test
    async def test_cors_credentials_are_granted_to_a_0_6_request_only_if_it_brings_a_cookie(self):
        wire = await self.wire()
        sid = await self.open(wire, "xhr-polling")
        url, origin = f"/socket.io/xhr-polling/{sid}/send", "http://test.example"
        _, headers, _ = await wire.request("POST", url, b"data=", Origin=origin)
        self.assertEqual(headers["access-control-allow-origin"], origin)
        self.assertNotIn("access-control-allow-credentials", headers)
        _, headers, _ = await wire.request("POST", url, b"data=", Origin=origin, Cookie="a=b")
        self.assertEqual(headers["access-control-allow-credentials"], "true")

    @gen_test
    async def test_a_foreign_page_is_refused_in_the_words_of_its_0_6_transport(self):
        wire, evil = await self.wire(), "https://evil.example"
        sid = await self.open(wire, "xhr-polling")
        with self.assertLogs("socket_io", "WARNING"):
            status, _, body = await wire.request(
                "POST", f"/socket.io/xhr-polling/{sid}/send", b"data=", Origin=evil
            )
            self.assertEqual((status, body), (401, b"unauthorized"))
            status, _, body = await wire.request(
                "GET", "/socket.io/jsonp-polling//1/0", Origin=evil
            )
            self.assertEqual(
                (status, body), (200, b"alert('Cross domain security restrictions not met');")
            )
            websocket = await self.wire()
            self.assertEqual((await websocket.upgrade("/socket.io/websocket", Origin=evil))[0], 403)

    @gen_test
    async def test_a_0_6_request_with_an_unknown_sid_or_an_index_that_is_no_digits_is_refused(self):
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling/12345/1"))[0], 400)
        self.assertEqual(
            (await wire.request("GET", "/socket.io/jsonp-polling//1/alert(1)"))[0], 400
        )

    @gen_test
    async def test_a_second_poll_of_a_0_6_client_takes_over_from_the_first(self):
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
    async def test_a_refused_0_6_client_gets_no_sid(self):
        self.handler.on_open = lambda handler: False
        wire, websocket = await self.wire(), await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 401)
        await websocket.upgrade("/socket.io/websocket")
        self.assertEqual((await websocket.frame())[0], 8)


class Protocol1Tests(RecorderTestCase):
    """[SIO1]: what the reference server of 0.9 answers."""

    async def shake_hands(self, wire):
        _, _, body = await wire.request("GET", "/socket.io/1/?t=1")
        return body.decode().split(":")[0]

    @gen_test
    async def test_the_0_9_handshake_lists_sid_timeouts_and_transports(self):
        wire = await self.wire()
        for path in ("/socket.io/1/?t=1", "/socket.io/1?t=1"):
            _, headers, body = await wire.request("GET", path, Origin="http://test.example")
            transports = rb"websocket,flashsocket,htmlfile,xhr-polling,jsonp-polling"
            self.assertRegex(body, rb"\A[\w-]{20}:60:60:" + transports + rb"\Z")
            self.assertEqual(headers["access-control-allow-origin"], "http://test.example")
        _, headers, body = await wire.request("GET", "/socket.io/1/?t=1&jsonp=3")
        self.assertRegex(body, rb'\Aio\.j\[3\]\("[\w-]{20}:60:60:.*"\);\Z')
        for path in ("/2/", "/2", "/0/", "/01/", "/2/websocket/abc", "/12345678901234567890/"):
            with self.subTest(path):
                status, _, body = await wire.request("GET", "/socket.io" + path)
                self.assertEqual((status, body), (400, b"Protocol version not supported."))

    @gen_test
    async def test_a_foreign_page_of_0_9_is_told_that_it_is_not_authorized(self):
        wire, evil = await self.wire(), "https://evil.example"
        with self.assertLogs("socket_io", "WARNING"):
            status, _, body = await wire.request("GET", "/socket.io/1/", Origin=evil)
            self.assertEqual((status, body), (403, b"handshake bad origin"))
            status, _, body = await wire.request("GET", "/socket.io/1/?jsonp=0", Origin=evil)
            self.assertEqual((status, body), (200, b'io.j[0](new Error("handshake bad origin"));'))

    @gen_test
    async def test_a_0_9_poll_brings_the_goodbye_once(self):
        wire = await self.wire()
        sid = await self.shake_hands(wire)
        await wire.request("GET", f"/socket.io/1/xhr-polling/{sid}")
        (await self.only()).disconnect()
        self.assertEqual((await wire.request("GET", f"/socket.io/1/xhr-polling/{sid}"))[2], b"0::")

    @gen_test
    async def test_an_unknown_sid_is_advised_to_shake_hands_again(self):
        wire = await self.wire()
        status, _, body = await wire.request(
            "GET", "/socket.io/1/xhr-polling/12345678901234567890?t=1"
        )
        self.assertEqual((status, body), (200, b"7:::1+0"))

    @gen_test
    async def test_a_0_9_client_joins_and_echoes_over_polling(self):
        wire = await self.wire()
        url = f"/socket.io/1/xhr-polling/{await self.shake_hands(wire)}?t=1"
        self.assertEqual((await wire.request("GET", url))[2], b"1::")
        framed = '\ufffd7\ufffd3:::é😀\ufffd27\ufffd5:1+::{"name":"x","args":[1]}'
        framed = framed.replace("\ufffd27", f"\ufffd{len(framed.split(chr(0xFFFD))[-1])}")
        self.assertEqual((await wire.request("POST", url, framed.encode()))[2], b"1")
        await self.noted("message", "é😀")
        await self.noted("x", 1)

    @gen_test
    async def test_a_0_9_jsonp_client_posts_a_string_within_a_string(self):
        wire = await self.wire()
        url = f"/socket.io/1/jsonp-polling/{await self.shake_hands(wire)}?t=1&i=2"
        self.assertEqual((await wire.request("GET", url))[2], b'io.j[2]("1::");')
        form = (
            b"d="
            + urllib.parse.quote_plus(json.dumps('5:::{"name":"x","args":["\\u00e9"]}')).encode()
        )
        self.assertEqual((await wire.request("POST", url, form))[2], b"1")
        await self.noted("x", "é")

    @gen_test
    async def test_a_0_9_htmlfile_answer_streams_scripts(self):
        wire, poster = await self.wire(), await self.wire()
        sid = await self.shake_hands(wire)
        wire.send_request("GET", f"/socket.io/1/htmlfile/{sid}?t=1")
        await wire.head()
        chunks = wire.chunks()
        self.assertTrue(
            (await chunks.__anext__()).startswith(b"<html><body><script>var _ = function (msg)")
        )
        self.assertEqual(await chunks.__anext__(), b'<script>_("1::");</script>')
        (await self.only()).send("hi")
        self.assertEqual(await chunks.__anext__(), b'<script>_("3:::hi");</script>')
        self.assertEqual(
            (await poster.request("POST", f"/socket.io/1/htmlfile/{sid}", b"3:::hi"))[2], b"1"
        )
        await self.noted("message", "hi")

    @gen_test
    async def test_a_0_9_page_that_closes_says_so_by_a_request(self):
        wire, websocket = await self.wire(), await self.wire()
        sid = await self.shake_hands(wire)
        await websocket.upgrade(f"/socket.io/1/websocket/{sid}")
        self.assertEqual(await websocket.text(), "1::")
        self.assertEqual((await wire.request("GET", f"/socket.io/1//{sid}/?disconnect=1"))[0], 200)
        await self.assertClosedFor("transport close")

    @gen_test
    async def test_acks_of_0_9_go_both_ways(self):
        websocket = await self.wire()
        await websocket.upgrade(
            f"/socket.io/1/websocket/{await self.shake_hands(await self.wire())}"
        )
        self.assertEqual(await websocket.text(), "1::")
        handler = await self.only()
        handler.on_event = lambda name, *args: args
        websocket.send_frame('5:7+::{"name":"ask","args":["A","B"]}')
        self.assertEqual(await websocket.text(), '6:::7+["A","B"]')
        asked = asyncio.ensure_future(handler.call("question"))
        self.assertEqual(await websocket.text(), '5:0+::{"name":"question","args":[]}')
        websocket.send_frame('6:::0+["answer"]')
        self.assertEqual(await asked, "answer")


class EngineIO3Tests(RecorderTestCase):
    """[EIO3]: payloads with lengths, both encodings of 1.x and 2.x, pings from the client."""

    async def open(self, wire, query=""):
        _, _, body = await wire.request("GET", f"/socket.io/?EIO=3&transport=polling{query}")
        return f"/socket.io/?EIO=3&transport=polling&sid={self.sid_in(body)}", body

    @gen_test
    async def test_an_eio3_client_is_connected_to_the_root_unasked_in_the_first_answer(self):
        _, body = await self.open(await self.wire())
        self.assertRegex(
            body, rb'\A\d+:0{"sid":"[\w-]{20}","upgrades":\["websocket"\],"pingInterval":25000,'
        )
        self.assertTrue(body.endswith(b"2:40"), body)

    @gen_test
    async def test_text_encoded_once_or_twice_arrives_alike(self):
        wire = await self.wire()
        for name in ("once", "twice"):
            url, _ = await self.open(wire)
            packet = f'42["{name}","é€😀"]'
            if name == "twice":
                packet = packet.encode().decode("latin-1")
            payload = f"{len(packet.encode('utf-16-le')) // 2}:{packet}"
            self.assertEqual((await wire.request("POST", url, payload.encode()))[2], b"ok")
            await self.noted(name, "é€😀")

    @gen_test
    async def test_bytes_make_a_binary_payload_or_base64_for_a_client_that_has_no_bytes(self):
        wire = await self.wire()
        binary = rb"\A\x00[\x00-\x09]+\xff451-.*\x01\x04\xff\x04\x01\x02\xff\Z"
        for query, expected in (("", binary), ("&b64=1", rb"6:b4AQL/\Z")):
            url, _ = await self.open(wire, query)
            self.handler.handlers[-1].emit("b", b"\x01\x02\xff", "é")
            self.assertRegex((await wire.request("GET", url))[2], re.compile(expected, re.DOTALL))

    @gen_test
    async def test_an_eio3_client_pings_and_gets_its_data_back(self):
        wire, poster = await self.wire(), await self.wire()
        url, _ = await self.open(wire)
        await poster.request("POST", url, b"6:2hello")
        self.assertEqual((await wire.request("GET", url))[2], b"6:3hello")

    @gen_test
    async def test_the_scripts_up_to_1_3_read_binary_payloads_only(self):
        wire = await self.wire()
        for query in ("EIO=2", "EIO=3&t=1400000000000-0"):
            _, headers, body = await wire.request("GET", f"/socket.io/?{query}&transport=polling")
            self.assertEqual(
                (headers["content-type"], body[:1]), ("application/octet-stream", b"\0")
            )

    @gen_test
    async def test_long_text_stays_text_but_for_the_browsers_that_overflow_their_stack_with_it(
        self,
    ):
        chromium = (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0"
        )
        binary, text = "application/octet-stream", "text/plain; charset=UTF-8"
        rows = [
            ("", None, text, "a program"),
            ("", "okhttp/4.9.2", text, "React Native on Android"),
            ("", "Chat/1 CFNetwork/1410.0.3 Darwin/22.6.0", text, "React Native on iOS"),
            ("&t=NkZ8w2a", "okhttp/4.9.2", text, "with the cache buster of 2.x"),
            ("&t=NkZ8w2a", chromium, binary, "1.4 to 2.x in a browser"),
            ("", "Opera/9.80 (X11; Linux x86_64)", binary, "another"),
            ("&b64=1", chromium, text, "a browser that has no bytes"),
            ("&j=0", chromium, "text/javascript; charset=UTF-8", "JSONP"),
            ("&t=1400000000000-0", None, binary, "a script that reads nothing else"),
        ]
        for query, agent, expected, why in rows:
            for size in (51_000, 400):
                with self.subTest(why, size=size):
                    wire = await self.wire()
                    wire_headers = {} if agent is None else {"User_Agent": agent}
                    path = f"/socket.io/?EIO=3&transport=polling{query}"
                    _, _, body = await wire.request("GET", path, **wire_headers)
                    sid = self.sid_in(body)
                    if b"40" not in body[-8:]:
                        await wire.request("GET", f"{path}&sid={sid}", **wire_headers)
                    self.handler.handlers[-1].emit("x", "a" * size)
                    _, got, body = await wire.request("GET", f"{path}&sid={sid}", **wire_headers)
                    self.assertIn(b"a" * size, body)
                    short = text if expected == binary and "1400" not in query else expected
                    self.assertEqual(got["content-type"], expected if size > 400 else short)

    @gen_test
    async def test_a_browser_that_has_shown_that_it_encodes_once_gets_long_text_as_text(self):
        wire, agent = await self.wire(), {"User_Agent": "Mozilla/5.0"}
        path = "/socket.io/?EIO=3&transport=polling"
        _, _, body = await wire.request("GET", path, **agent)
        url = f"{path}&sid={self.sid_in(body)}"
        await wire.request("POST", url, '8:42["xя"]'.encode(), **agent)
        await self.noted("xя")
        (await self.only()).emit("x", "a" * 51_000)
        _, headers, _ = await wire.request("GET", url, **agent)
        self.assertEqual(headers["content-type"], "text/plain; charset=UTF-8")

    @gen_test
    async def test_text_goes_out_encoded_once_or_twice_as_the_client_was_seen_to_encode_it(self):
        wire = await self.wire()
        for query, twice, expected in (
            ("&b64=1", True, "29:" + '44/чат,"Invalid namespace"'.encode().decode("latin-1")),
            ("&b64=1", False, '26:44/чат,"Invalid namespace"'),
            ("&j=0", True, "29:" + '44/чат,"Invalid namespace"'.encode().decode("latin-1")),
            ("&j=0", False, '26:44/чат,"Invalid namespace"'),
            ("", True, b"\x00\x02\x09\xff" + '44/чат,"Invalid namespace"'.encode()),
            ("", False, '26:44/чат,"Invalid namespace"'),
        ):
            with self.subTest(query, twice=twice):
                url, _ = await self.open(wire, query)
                packet = "40/чат".encode().decode("latin-1") if twice else "40/чат,"
                payload = f"{len(packet)}:{packet}"
                if query == "&j=0":
                    url += query
                    payload = "d=" + urllib.parse.quote(payload)
                await wire.request("POST", url, payload.encode())
                _, _, body = await wire.request("GET", url)
                if query == "&j=0":
                    body = json.loads(body[len("___eio[0](") : -2]).encode()
                self.assertEqual(
                    body, expected if isinstance(expected, bytes) else expected.encode()
                )

    @gen_test
    async def test_frames_go_out_encoded_twice_to_1_0_which_sends_them_so(self):
        double = "40/чат".encode().decode("latin-1")
        answer = '44/чат,"Invalid namespace"'
        for query, packet, expected in (
            ("EIO=2", double, answer.encode().decode("latin-1")),  # in browsers
            ("EIO=3", double, answer.encode().decode("latin-1")),  # in Node
            ("EIO=3", "40/чат", answer),  # 1.1 and later
            ("EIO=3", "40/чат,", answer),  # 2.x
        ):
            with self.subTest(query, packet=packet):
                wire = await self.wire()
                await wire.upgrade(f"/socket.io/?{query}&transport=websocket")
                self.assertEqual(((await wire.text())[0], await wire.text()), ("0", "40"))
                wire.send_frame(packet)
                self.assertEqual(await wire.text(), expected)

    @gen_test
    async def test_a_client_that_reads_binary_payloads_only_gets_its_open_packet_alone(self):
        wire, path = await self.wire(), "/socket.io/?EIO=3&t=1400000000000-0&transport=polling"
        _, _, body = await wire.request("GET", path)
        self.assertRegex(body, rb'\A\x00[\x00-\x09]+\xff0\{"sid":"[^{}]*\}\Z')
        sid = body.split(b'"')[3].decode()
        self.assertEqual((await wire.request("GET", f"{path}&sid={sid}"))[2], b"\x00\x02\xff40")

    @gen_test
    async def test_a_namespace_that_does_not_exist_is_an_error_and_the_connection_stays(self):
        client = await self.client("EIO3")
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/nowhere")
        self.assertEqual(refused.exception.message, "Invalid namespace")
        await client.send("still here")
        await self.noted("message", "still here")


class SocketIO06TimeTests(RecorderTestCase):
    """[SIO06]: heartbeats over WebSocket, idle polls that end empty, and clients that stay away."""

    options = {"ping_interval": 0.1, "ping_timeout": 0.15, "poll_duration": 0.1}

    @gen_test
    async def test_heartbeats_of_0_6_are_numbered_and_must_come_back(self):
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
    async def test_an_idle_0_6_poll_ends_empty_and_has_no_heartbeats(self):
        wire = await self.wire()
        _, _, body = await wire.request("GET", "/socket.io/xhr-polling//1")
        for _ in range(3):
            _, _, empty = await wire.request(
                "GET", f"/socket.io/xhr-polling/{body[-20:].decode()}/2"
            )
            self.assertEqual(empty, b"")
        _, _, empty = await wire.request(
            "GET", f"/socket.io/jsonp-polling/{body[-20:].decode()}/2/0"
        )
        self.assertEqual(
            json.loads(empty)["code"] if empty.startswith(b"{") else empty, b"Bad request"
        )


# -- 12. SocketIOHandler ---------------------------------------------------------------


# ---- Events and acks -----------------------------------------------------------------


class EventBehaviour:
    """Events in every dialect and over every transport; the subclasses say which."""

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
        for message in (
            "hello",
            "",
            "é😀\u2028",
            "a\nb",
            {"a": [1, None, True]},
            "~m~3~m~abc",
            "~j~not json",
        ):
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
    async def test_two_hundred_events_stay_in_order_both_ways(self):
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
    async def test_a_message_of_three_hundred_kilobytes_comes_and_goes(self):
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
        self.assertEqual(
            [await inside.receive() for _ in range(3)], [self.told("x", n) for n in (1, 2, 5)]
        )
        self.assertEqual(await outside.receive(), self.told("x", 5))
        self.assertEqual(
            in_handler.rooms, {in_handler.id, "other"} | in_handler.rooms & {inside.sid}
        )

    @gen_test
    async def test_broadcast_spares_the_sender_and_the_excepted(self):
        (one, first), (two, second), (three, third) = [await self.chat() for _ in range(3)]
        third.join("muted")
        first.broadcast.emit("x", 1)
        first.except_("muted").emit("x", 2)
        first.io.to(second.id).emit("x", 3)
        first.send("only one")
        self.assertEqual(
            [await two.receive() for _ in range(3)], [self.told("x", n) for n in (1, 2, 3)]
        )
        self.assertEqual(await three.receive(), self.told("x", 1))
        self.assertEqual(await one.receive(), ("message", "only one"))

    @gen_test
    async def test_the_client_hears_its_own_id_as_a_room(self):
        client, handler = await self.chat()
        self.handler.io.to(client.id or client.sid).emit("x")
        self.assertEqual(await client.receive(), self.told("x"))
        self.assertNotEqual(handler.id, handler.session.id)

    @gen_test
    async def test_a_client_that_leaves_is_closed_once(self):
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
    async def test_the_server_can_end_a_connection(self):
        client, handler = await self.chat()
        handler.send("last words")
        handler.disconnect(close=True)
        handler.send("nobody hears this")
        self.assertEqual(await client.receive(), ("message", "last words"))
        await self.assertClosedFor("server namespace disconnect")
        await within(client.disconnected.wait())

    @gen_test
    async def test_a_client_hears_the_goodbye_at_shutdown(self):
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
    async def test_coroutines_of_one_client_run_one_after_the_other(self):
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


class Protocol1WebSocketEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "websocket"


class Protocol1PollingEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "xhr-polling"


class EngineIO3WebSocketEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "websocket"


class EngineIO3PollingEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "xhr-polling"


class JsonpEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "jsonp-polling"


class EngineIO3JsonpEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "jsonp-polling"


class Protocol1JsonpEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "jsonp-polling"


class Protocol1HtmlfileEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "htmlfile"


class AncestorJsonpEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "jsonp-polling"


class AncestorMultipartEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-multipart"


class AncestorHtmlfileEventTests(EventBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "htmlfile"


class MixedRoomTests(RecorderTestCase):
    """Clients of all generations share a room; each dialect encodes a broadcast once."""

    @gen_test
    async def test_clients_of_four_generations_in_one_room_hear_each_other(self):
        clients = [await self.client(dialect) for dialect in DIALECTS]
        for handler in self.handler.handlers:
            handler.join("röom")
        for number, sender in enumerate(self.handler.handlers):
            sender.to("röom").emit("news", number, "é😀")
            for dialect, receiver in zip(DIALECTS, clients, strict=True):
                if receiver is not clients[number]:
                    old = ("message", {"name": "news", "args": [number, "é😀"]})
                    told = await receiver.receive()
                    self.assertEqual(told, old if dialect == "0.6" else ("news", number, "é😀"))

    @gen_test
    async def test_clients_of_two_generations_in_one_room_hear_a_broadcast(self):
        old, new = await self.client("0.6"), await self.client()
        self.handler.io.emit("news", "é")
        self.assertEqual(await new.receive(), ("news", "é"))
        self.assertEqual(await old.receive(), ("message", {"name": "news", "args": ["é"]}))

    @gen_test
    async def test_bytes_of_a_broadcast_reach_the_generations_that_can_take_them(self):
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
        with mock.patch.object(socket_io.EngineIO4, "encode_packet", autospec=True) as encode:
            encode.side_effect = socket_io.EngineIO.encode_packet
            self.handler.io.emit("x", 1)
        self.assertEqual(encode.call_count, 1)


def logged_somewhere(method):
    """A decorator as many are: what it returns has a name of its own."""

    def wrapper(*args):
        return method(*args)

    return wrapper


class ReceiverTests(RecorderTestCase):
    """An event goes to the method that is decorated for it, else to `on_event`."""

    class base(Recorder):
        @event("decorated")
        @logged_somewhere
        def decorated(self, *args):
            return ["decorated", *args]

        @event("7")
        def seven(self, *args):
            return ["seven", *args]

        def on_event(self, name, first, second=None):
            return [name, first, second]

    @gen_test
    async def test_a_decorated_method_is_found_whatever_its_function_is_called(self):
        client = await self.client()
        self.assertEqual(await client.call("decorated", 1), ["decorated", 1])

    @gen_test
    async def test_an_event_that_no_method_claims_goes_to_on_event(self):
        client = await self.client()
        self.assertEqual(await client.call("anything", 1), ["anything", 1, None])
        self.assertEqual(await client.call("wrapper", 1, 2), ["wrapper", 1, 2])
        self.assertEqual(await client.call("on_close", 1), ["on_close", 1, None])

    @gen_test
    async def test_an_integer_as_an_events_name_is_its_text(self):
        largest = str(2**53)
        for dialect in ("EIO3", "EIO4", "0.9"):
            for transport in ("websocket", "xhr-polling"):
                with self.subTest(dialect, transport=transport):
                    client = await self.client(dialect, transport)
                    self.assertEqual(await client.call(7, "a"), ["seven", "a"])
                    self.assertEqual(await client.call(-8, 1), ["-8", 1, None])
                    self.assertEqual(await client.call(int(largest), 1), [largest, 1, None])
                    if dialect != "0.9":
                        self.assertEqual((await client.call(7, b"a"))[1], b"a")

    @gen_test
    async def test_more_or_fewer_arguments_than_on_event_takes_are_the_clients_mistake(self):
        self.handler.on_error = lambda handler, error: handler.note("error", error)
        client = await self.client()
        for args in ((), (1, 2, 3)):
            await client.emit("anything", *args)
        self.assertEqual(await client.call("anything", 1, 2), ["anything", 1, 2])
        self.assertTrue(self.handler.entries.empty())


class MessageTests(SocketIOTestCase):
    """A message without `on_message` is dropped with a warning."""

    class handler(SocketIOHandler):
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
    """A method for the event "message" takes the place of `on_message`."""

    class base(Recorder):
        @event("message")
        def hear(self, *args):
            self.note("heard", *args)

    @gen_test
    async def test_an_event_method_for_message_takes_all_its_arguments(self):
        client = await self.client()
        await client.emit("message", 1, 2)
        await self.noted("heard", 1, 2)


class UnheardEventTests(RecorderTestCase):
    """An event that reaches no method is a warning with class, event, namespace and cure."""

    class base(SocketIOHandler):
        entries: ClassVar[Any]
        handlers: ClassVar[list]

        @event("chat message")
        def chat(self, text):
            return "ok"

    async def warning_of(self, client, *data):
        with self.assertLogs("socket_io", "WARNING") as logged:
            await client.emit(*data)
            self.assertEqual(await client.call("chat message", "text"), "ok")
        self.assertEqual(len(logged.records), 1)
        return logged.records[0].getMessage()

    @gen_test
    async def test_an_event_that_no_method_takes_is_a_warning_with_its_cure(self):
        client = await self.client()
        line = await self.warning_of(client, "chat_message", "text")
        for word in ("base", "'chat_message'", "'/'", "@event", "on_event"):
            self.assertIn(word, line)

    @gen_test
    async def test_a_message_that_no_method_takes_is_a_warning_and_is_not_acknowledged(self):
        for generation in ("EIO4", "EIO3", "0.9"):
            socket_io._warned.clear()
            client = await self.client(generation)
            line = await self.warning_of(client, "message", "text")
            for word in ("base", "'/'", "on_message", '@event("message")'):
                self.assertIn(word, line)
            unheard = asyncio.ensure_future(client.call("message", "text"))
            self.assertEqual(await client.call("chat message", "text"), "ok")
            self.assertFalse(unheard.done())
            unheard.cancel()

    @gen_test
    async def test_an_event_with_too_many_or_too_few_arguments_is_a_warning_with_its_cure(self):
        for generation in ("EIO4", "EIO3", "0.9"):
            client = await self.client(generation)
            for args, count in ((["text", "more"], 2), ([], 0)):
                socket_io._warned.clear()
                line = await self.warning_of(client, "chat message", *args)
                for word in (
                    "base.chat",
                    "'chat message'",
                    f"{count} argument",
                    "'/'",
                    "@event",
                    "on_event",
                ):
                    self.assertIn(word, line)

    @gen_test
    async def test_an_option_that_a_handler_sets_for_itself_is_a_warning_with_its_cure(self):
        self.handler.on_open = lambda handler: vars(handler).update(max_rooms=5, json=5, mine=5)
        with self.assertLogs("socket_io", "WARNING") as logs:
            await self.client()
        (line,) = [record.getMessage() for record in logs.records]
        self.assertIn("on_open set max_rooms on one handler", line)
        self.assertIn("option of the class", line)

    @gen_test
    async def test_an_ack_that_its_function_cannot_take_is_a_warning_with_its_cure(self):
        for generation in ("EIO4", "EIO3", "0.9"):
            socket_io._warned.clear()
            client = await self.client(generation)
            handler = next(one for one in self.handler.io.sockets() if one.protocol)
            with self.assertLogs("socket_io", "WARNING") as logged:
                handler.emit("question", ack=lambda one, two: None)
                await client.answer("only one")
                self.assertEqual(await client.call("chat message", "text"), "ok")
            await client.close()
            handler.disconnect(close=True)
            for word in ("base", "'/'", "'question'", "1 argument,", "*args"):
                self.assertIn(word, logged.output[0])

    @gen_test
    async def test_only_the_first_unheard_event_of_a_name_is_a_warning(self):
        client = await self.client()
        await self.warning_of(client, "nobody")
        with self.assertNoLogs("socket_io", "WARNING"):
            await client.emit("nobody")
            self.assertEqual(await client.call("chat message", "text"), "ok")


class DecoratedMethodTests(RecorderTestCase):
    """`@event` marks whatever can be a method, in either order, and for as many events as it stands there."""

    class base(SocketIOHandler):
        entries: ClassVar[Any]
        handlers: ClassVar[list]
        mocked = mock.Mock()

        @event
        @staticmethod
        def outside(number):
            return "outside", number

        @staticmethod
        @event
        def inside(number):
            return "inside", number

        @event
        @classmethod
        def outside_class(cls, number):
            return "outside_class", number

        @classmethod
        @event
        def inside_class(cls, number):
            return "inside_class", number

        @event("one")
        @event("two")
        def several(self, number):
            return "several", number

    @gen_test
    async def test_static_and_class_methods_receive_events_with_all_their_arguments(self):
        client = await self.client()
        for name in ("outside", "inside", "outside_class", "inside_class"):
            self.assertEqual(await client.call(name, 7), [name, 7])

    @gen_test
    async def test_a_method_receives_every_event_that_is_written_above_it(self):
        self.handler.several = lambda handler, number: ("overridden", number)
        client = await self.client()
        for name in ("one", "two"):
            self.assertEqual(await client.call(name, 7), ["overridden", 7])


class DispatchTests(RecorderTestCase):
    """Every event passes `dispatch` on its way to its method, as through a middleware elsewhere."""

    class base(Recorder):
        @event
        def plain(self, number):
            return number + 1

        @event
        async def slow(self, number):
            await asyncio.sleep(0)
            return number + 1

    @gen_test
    async def test_dispatch_can_check_change_and_drop_events(self):
        def dispatch(handler, name, *args):
            if name == "forbidden":
                raise PermissionError("not you")
            if name == "plain":
                args = tuple(number * 10 for number in args)
            return super(type(handler), handler).dispatch(name, *args)

        self.handler.dispatch = dispatch
        client = await self.client()
        self.assertEqual(await client.call("plain", 1), 11)
        self.assertEqual(await client.call("slow", 1), 2)
        with self.assertLogs("tornado.application", "ERROR") as logged:
            await client.emit("forbidden")
            self.assertEqual(await client.call("plain", 2), 21)
        self.assertIn("PermissionError", logged.output[0])
        await client.send("hello")
        await self.noted("message", "hello")
        await client.emit("anything", 1)
        await self.noted("anything", 1)

    @gen_test
    async def test_dispatch_may_be_a_coroutine_around_plain_methods_and_coroutines(self):
        async def dispatch(handler, name, *args):
            await asyncio.sleep(0)
            return super(type(handler), handler).dispatch(name, *args)

        self.handler.dispatch = dispatch
        client = await self.client()
        self.assertEqual(await client.call("plain", 1), 2)
        self.assertEqual(await client.call("slow", 1), 2)
        await client.send("hello")
        await self.noted("message", "hello")


class AckTests(RecorderTestCase):
    """[SIO5 "Acknowledgement"]: acks in both directions."""

    class base(Recorder):
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
        rows = [(("plain",), None), (("plain", 1), 1), (("plain", 1, b"2"), [1, b"2"]),
                (("slow one", {"a": b"1"}), {"a": b"1"}),
                (("nothing",), None), (("default", 1), [1, "2"]), (("default", 1, 3), [1, 3])]  # fmt: skip
        for call, answer in rows:
            with self.subTest(call=call):
                self.assertEqual(await client.call(*call), answer)

    @gen_test
    async def test_an_event_with_a_wrong_number_of_arguments_is_the_clients_mistake(self):
        client = await self.client()
        for args in ((), (1, 2, 3)):
            await client.emit("default", *args)
        self.assertEqual(await client.call("default", 1), [1, "2"])

    @gen_test
    async def test_a_server_can_ask_a_client_for_an_ack(self):
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
    async def test_an_ack_that_a_client_does_not_send_is_an_ack_timeout(self):
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
    async def test_call_within_on_open_raises_with_the_reason_that_it_cannot_be_answered(self):
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
    async def test_call_to_a_generation_without_acks_is_not_supported(self):
        await self.client("0.6")
        with self.assertRaises(socket_io.NotSupported):
            await (await self.only()).call("question")

    @gen_test
    async def test_acks_of_a_room_say_who_answered(self):
        answers, silent, old = await self.client(), await self.client(), await self.client("0.6")
        asked = asyncio.ensure_future(self.handler.io.call("question", 1, timeout=0.15))
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


class NoAckTests(RecorderTestCase):
    """An event gets no ack when its method returns `NO_ACK`."""

    class base(Recorder):
        @event
        def silent(self):
            return socket_io.NO_ACK

        @event
        async def silent_slowly(self):
            return socket_io.NO_ACK

        def on_event(self, name, *args):
            return socket_io.NO_ACK if name == "unknown" else None

    @gen_test
    async def test_a_method_that_returns_no_ack_sends_none(self):
        self.assertIn("NO_ACK", socket_io.__all__)
        self.assertEqual(repr(socket_io.NO_ACK), "NO_ACK")
        for generation in (("EIO4", "websocket"), ("EIO3", "websocket"), ("0.9", "xhr-polling")):
            client = await self.client(*generation)
            for name in ("silent", "silent_slowly", "unknown"):
                with self.subTest(name, client=generation), self.assertRaises(asyncio.TimeoutError):
                    await client.call(name, timeout=0.02)
            self.assertIsNone(await client.call("another"))

    @gen_test
    async def test_the_default_on_event_returns_no_ack(self):
        self.handler.on_event = SocketIOHandler.on_event
        client = await self.client()
        with self.assertRaises(asyncio.TimeoutError), self.assertLogs("socket_io"):
            await client.call("unknown", timeout=0.05)


class LateAckTests(RecorderTestCase):
    """A call that waits for an ack ends with an ack, a timeout or the end of its client, in every generation."""

    @gen_test
    async def test_a_late_ack_does_no_harm(self):
        for dialect in ("0.9", "EIO3", "EIO4"):
            for transport in ("websocket", "xhr-polling"):
                with self.subTest(dialect=dialect, transport=transport):
                    client = await self.client(dialect, transport)
                    handler = self.handler.handlers[-1]
                    with self.assertRaises(socket_io.AckTimeout) as late:
                        await handler.call("question", timeout=0.01)
                    self.assertIn("question", str(late.exception))
                    self.assertIsInstance(late.exception, TimeoutError)
                    await client.answer("too late")
                    asked = asyncio.ensure_future(handler.call("another"))
                    await client.answer("in time")
                    self.assertEqual(await asked, "in time")
                    self.assertEqual(handler._member.acks, {})
                    await client.close()

    @gen_test
    async def test_all_calls_that_wait_for_acks_are_told_why_the_client_disconnected(self):
        for dialect in ("0.9", "EIO3", "EIO4"):
            with self.subTest(dialect):
                await self.client(dialect)
                handler = self.handler.handlers[-1]
                answers = []
                handler.emit("question", ack=lambda *args, answers=answers: answers.append(args))
                asked = [asyncio.ensure_future(handler.call("question")) for _ in range(3)]
                await asyncio.sleep(0)
                handler.disconnect()
                for future in asked:
                    with self.assertRaisesRegex(Disconnected, "server namespace disconnect"):
                        await future
                self.assertEqual(answers, [])
                with self.assertRaisesRegex(Disconnected, "server namespace disconnect"):
                    await handler.call("too late")

    @gen_test
    async def test_made_up_acks_and_acks_given_twice_mean_nothing(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        handler = await self.only()
        wire.send_frame('43999["made up"]')
        asked = asyncio.ensure_future(handler.call("question"))
        self.assertEqual(await wire.text(), '420["question"]')
        wire.send_frame('430["once"]')
        wire.send_frame('430["twice"]')
        self.assertEqual(await asked, "once")
        wire.send_frame('42["message","still here"]')
        await self.noted("message", "still here")

    @gen_test
    async def test_a_callback_for_an_ack_is_given_up_after_its_timeout(self):
        client = await self.client()
        handler = await self.only()
        answers, begun = [], time.monotonic()
        handler.emit("question", ack=answers.append, timeout=0.01)
        while handler._member.acks:
            await asyncio.sleep(0.01)
        sweep_seconds = handler._member.session.hub.clock.sweep_seconds
        self.assertLess(time.monotonic() - begun, sweep_seconds)
        await client.answer("too late")
        await client.send("after that")
        await self.noted("message", "after that")
        self.assertEqual((answers, handler._member.session.owed_acks), ([], 0))

    @gen_test
    async def test_a_short_timeout_does_not_wait_for_the_next_sweep(self):
        await self.client()
        handler, begun = await self.only(), time.monotonic()
        with self.assertRaisesRegex(socket_io.AckTimeout, "no ack of 'question' within 0.1 s"):
            await handler.call("question", timeout=0.1)
        acks = await self.handler.io.call("question", timeout=0.1)
        elapsed = time.monotonic() - begun
        self.assertEqual((acks.answers, acks.missing), ({}, {handler.id}))
        self.assertGreaterEqual(elapsed, 0.2)
        self.assertLess(elapsed, handler._member.session.hub.clock.sweep_seconds)

    @gen_test
    async def test_an_ack_that_is_awaited_without_a_limit_may_come_at_any_time(self):
        client = await self.client()
        handler = await self.only()
        answers = []
        handler.emit("question", ack=answers.append, timeout=None)
        asked = asyncio.ensure_future(handler.call("question", timeout=None))
        all_asked = asyncio.ensure_future(self.handler.io.call("question", timeout=None))
        patient = asyncio.ensure_future(self.handler.io.timeout(None).call("question"))
        clock = handler._member.session.hub.clock
        self.assertEqual(
            (clock.timers, [act for act in clock.table if act.__name__ == "expire"]), ({}, [])
        )
        for number in range(4):
            await client.answer(number)
        self.assertEqual((await asked, answers), (1, [0]))
        self.assertEqual((await all_asked).answers, {client.id: 2})
        self.assertEqual((await patient).answers, {client.id: 3})

    @gen_test
    async def test_a_bad_timeout_or_callback_raises_before_anything_is_sent(self):
        client = await self.client()
        handler = await self.only()
        in_thread = functools.partial(asyncio.get_running_loop().run_in_executor, None)
        for wrong in ("5", math.nan, True, [1], datetime.timedelta(seconds=1)):
            with self.subTest(wrong):
                wrongly = functools.partial(handler.emit, "no", ack=print, timeout=wrong)
                with self.assertRaises(TypeError):
                    wrongly()
                with self.assertRaises(TypeError):
                    await in_thread(wrongly)
                with self.assertRaises(TypeError):
                    await handler.call("no", timeout=wrong)
                with self.assertRaises(TypeError):
                    await self.handler.io.call("no", timeout=wrong)
                with self.assertRaises(TypeError):
                    self.handler.io.timeout(wrong)
        with self.assertRaises(TypeError):
            handler.emit("no", ack="print")
        self.assertEqual((handler._member.acks, handler._member.session.owed_acks), ({}, 0))
        handler.emit("yes")
        self.assertEqual(await client.receive(), ("yes",))

    @gen_test
    async def test_an_ack_with_a_wrong_number_of_arguments_is_the_clients_mistake(self):
        client = await self.client()
        handler = await self.only()
        answers = []
        with self.assertNoErrors():
            for args in ((), (1, 2), (1,)):
                handler.emit("question", ack=lambda answer: answers.append((answer,)))
                await client.answer(*args)
            await client.send("after that")
            await self.noted("message", "after that")
        self.assertEqual(answers, [(1,)])
        handler.emit("question", ack=answers.append)  # as good as a function of Python's
        await client.answer(2)
        await client.send("after that")
        await self.noted("message", "after that")
        self.assertEqual(answers, [(1,), 2])

    @contextlib.contextmanager
    def assertNoErrors(self):
        with self.assertLogs("tornado.application", "ERROR") as logged:
            yield
            logging.getLogger("tornado.application").error("the only one")
        self.assertEqual([line.split(":")[-1] for line in logged.output], ["the only one"])

    @gen_test
    async def test_a_call_that_is_cancelled_leaves_no_ack_owed(self):
        client = await self.client()
        handler = await self.only()
        asked = asyncio.ensure_future(handler.call("question"))
        await client.receive()
        asked.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asked
        self.assertEqual((handler._member.acks, handler._member.session.owed_acks), ({}, 0))


class Counter(Recorder):
    """Counts how many of its events are run in each turn of the loop."""

    turn = 0

    def on_open(self):
        super().on_open()
        self.turns = collections.Counter()

    def on_message(self, message):
        super().on_message(message)
        self.turns[type(self).turn] += 1


class ManyPacketsTests(RecorderTestCase):
    """A client that was offline sends all that it has kept in one payload."""

    base = Counter
    COUNT = 1_500

    async def count_turns(self):
        while True:
            self.handler.turn += 1
            await asyncio.sleep(0)

    def messages(self, client, count):
        return [
            packet
            for number in range(count)
            for packet in client.dialect.encode_packet(Packet(EVENT, "/", ["message", f"{number}"]))
        ]

    def test_max_packets_by_default_leaves_the_bound_to_the_number_of_bytes(self):
        self.assertEqual(SocketIOHandler.max_packets, 100_000)

    @gen_test(timeout=30)
    async def test_many_packets_of_one_payload_run_in_order_and_few_of_them_in_one_turn(self):
        counting = asyncio.ensure_future(self.count_turns())
        doors = [door for door in EndOfProcessTests.DOORS if door[1] not in (WEBSOCKET, "upgrade")]
        for door in [*doors, ("0.6", WEBSOCKET)]:
            with self.subTest(door):
                client = Attacker(self.get_http_port(), *door)
                self._clients.append(await client.connect())
                await client._send_engine(self.messages(client, self.COUNT))
                await client.send("after them")
                for number in range(self.COUNT):
                    await self.noted("message", f"{number}")
                await self.noted("message", "after them")
                handler = self.handler.handlers[-1]
                self.assertLessEqual(max(handler.turns.values()), 64)
                self.assertGreaterEqual(len(handler.turns), self.COUNT // 64)
        counting.cancel()

    @gen_test(timeout=30)
    async def test_a_post_whose_packets_still_wait_counts_as_posting(self):
        for dialect in DIALECTS:
            with self.subTest(dialect):
                client = Attacker(self.get_http_port(), dialect, XHR_POLLING)
                self._clients.append(await client.connect())
                handler = self.handler.handlers[-1]
                session, body = handler._member.session, self.messages(client, 10_000)
                first = asyncio.ensure_future(client._send_engine(body))
                while not handler.turns:
                    handler.turn += 1
                    await asyncio.sleep(0)
                self.assertIsNotNone(session.post)
                second = Attacker(self.get_http_port(), dialect, XHR_POLLING)
                second.sid, second._post_wire = client.sid, await self.wire()
                status = await second.post(second._body(second.dialect.encode_payload(body[:1])))
                if DIALECTS[dialect].overlap_closes:
                    self.assertEqual(status, 400)
                    while (entry := await within(self.handler.entries.get()))[0] != "closed":
                        pass
                    self.assertEqual(entry, ("closed", "transport error"))
                else:
                    self.assertEqual(status, 200)
                    await within(first, 20)
                    while not self.handler.entries.empty():
                        self.handler.entries.get_nowait()
                first.cancel()
                with contextlib.suppress(asyncio.CancelledError, AssertionError):
                    await first
                await client.close()

    @gen_test
    async def test_a_bad_packet_behind_many_good_ones_ends_its_client(self):
        client = Attacker(self.get_http_port(), "EIO4", XHR_POLLING)
        self._clients.append(await client.connect())
        frames = [f'42["message","{number}"]' for number in range(200)]
        self.assertEqual(await client.throw(*frames, "42[]"), 400)
        for number in range(200):
            await self.noted("message", f"{number}")
        await self.assertClosedFor("parse error")

    @gen_test
    async def test_other_clients_have_their_turns_while_many_packets_of_one_run(self):
        client, other = Attacker(self.get_http_port(), "EIO4", XHR_POLLING), await self.client()
        self._clients.append(await client.connect())
        sending = asyncio.ensure_future(client._send_engine(self.messages(client, 10_000)))
        while not self.handler.handlers[-1].turns:
            await asyncio.sleep(0)
        self.handler.handlers[0].send("now")
        self.assertEqual(await other.receive(), ("message", "now"))
        self.assertFalse(sending.done())
        await sending


class BackpressureTests(RecorderTestCase):
    """A client that sends faster than its handlers work is not read from, and loses nothing."""

    options = {"max_message_bytes": 10_000}

    @gen_test
    async def test_reading_from_a_client_pauses_while_its_handlers_are_behind_and_resumes(self):
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


class OnErrorTests(RecorderTestCase):
    """An error of a handler reaches `on_error` wherever it is raised, and the connection lives on."""

    class base(Recorder):
        @event
        def plain(self):
            raise KeyError("plain")

        @event
        async def slow(self):
            await asyncio.sleep(0)
            raise KeyError("slow")

        @event
        def unsendable(self):
            return object()

        def on_error(self, error):
            self.note("error", type(error), *error.args)

    @gen_test
    async def test_a_handlers_error_reaches_on_error_with_its_traceback(self):
        client = await self.client()
        for name in ("plain", "slow"):
            await client.emit(name)
            await self.noted("error", KeyError, name)
        self.handler.on_error = lambda handler, error: handler.note(error.__traceback__ is not None)
        await client.emit("slow")
        await self.noted(True)

    @gen_test
    async def test_an_ack_that_is_no_json_and_an_error_in_an_ack_callback_reach_on_error(self):
        client = await self.client()
        handler = await self.only()
        await client.emit("unsendable")  # nobody asked
        with self.assertRaises(asyncio.TimeoutError):
            await client.call("unsendable", timeout=0.05)
        self.assertEqual((await within(self.handler.entries.get()))[:2], ("error", TypeError))
        for name in ("plain", "slow"):
            handler.emit("question", ack=getattr(handler, name))
            await client.answer()
            await self.noted("error", KeyError, name)

    @gen_test
    async def test_errors_of_on_open_and_on_close_reach_on_error(self):
        def fail(handler):
            raise KeyError("on_open")

        opens, self.handler.on_open = self.handler.on_open, fail
        with self.assertRaises(ConnectionRefused) as refused:
            await self.client()
        self.assertEqual(refused.exception.message, "Server error")
        await self.noted("error", KeyError, "on_open")

        async def fail_slowly(handler):
            raise KeyError("on_close")

        self.handler.on_open, self.handler.on_close = opens, fail_slowly
        client = await self.client()
        await client.close()
        await self.noted("error", KeyError, "on_close")

    @gen_test
    async def test_a_connection_lives_on_when_on_error_itself_raises(self):
        self.handler.on_error = lambda handler, error: 1 // 0
        client = await self.client()
        for name in ("plain", "slow"):
            with self.assertLogs("socket_io", "ERROR") as logged:
                await client.emit(name)
                await client.send("still here")
                await self.noted("message", "still here")
            self.assertIn("ZeroDivisionError", logged.output[0])
            self.assertIn(f"KeyError: '{name}'", logged.output[0])

    @gen_test
    async def test_an_event_that_awaits_something_cancelled_is_reported_and_one_that_we_cancel_is_not(
        self,
    ):
        async def wait(handler):
            handler.note("waiting")
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            await future

        async def wait_for_ever(handler):
            handler.note("waiting")
            await asyncio.Event().wait()

        self.handler.close_timeout = self.handler._home[0].sweep_seconds = 0.02
        self.handler.on_close = lambda handler: handler.note("closed")
        self.handler.slow = wait
        client = await self.client()
        with self.assertRaises(asyncio.TimeoutError):
            await client.call("slow", timeout=0.05)
        await self.noted("waiting")
        await self.noted("error", asyncio.CancelledError)
        self.handler.slow = wait_for_ever
        await client.emit("slow")
        await self.noted("waiting")
        await client.close()
        await self.noted("closed")

    @gen_test
    async def test_an_on_open_that_awaits_something_cancelled_is_reported_and_refuses(self):
        async def on_open(handler):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            await future

        self.handler.on_open = on_open
        with self.assertRaises(ConnectionRefused) as refused:
            await self.client()
        self.assertEqual(refused.exception.message, "Server error")
        await self.noted("error", asyncio.CancelledError)

    def test_on_error_and_the_taps_cannot_be_coroutines(self):
        async def coroutine(self, *args): ...

        for name in ("on_error", "on_any", "on_any_outgoing", "on_refused"):
            with self.subTest(name), self.assertRaises(TypeError) as refused:
                method = classmethod(coroutine) if name == "on_refused" else coroutine
                type("Chat", (SocketIOHandler,), {name: method})
            self.assertIn(f"{name} cannot be a coroutine", str(refused.exception))

    def test_on_refused_is_a_class_method_of_the_class_that_is_routed(self):
        with self.assertRaisesRegex(TypeError, "make it a @classmethod"):
            type("Chat", (SocketIOHandler,), {"on_refused": lambda self, request, why: None})
        admin = type(
            "Admin", (SocketIOHandler,), {"on_refused": classmethod(lambda cls, request, why: None)}
        )
        with self.assertRaisesRegex(ValueError, "Admin.on_refused would never be asked"):
            type("Chat", (SocketIOHandler,), {}).routes("socket.io", namespaces={"/admin": admin})


class HandlerLogLineTests(RecorderTestCase):
    """A log line about a handler's error or slowness names class, method, event and namespace."""

    class base(SocketIOHandler):
        entries: ClassVar[Any]
        handlers: ClassVar[list]

        @event
        def go(self, *args):
            self.do(*args)

        @event("go slowly")
        async def go_slowly(self, *args):
            await asyncio.sleep(0)
            self.do(*args)

        @event
        def answer(self):
            return {1, 2}

        @event
        async def answer_slowly(self):
            return {1, 2}

        def on_event(self, name, *args):
            self.do(*args)

        def on_message(self, message):
            self.do()

        def ask(self):
            self.emit("question", ack=self.do)

        @event("ask")
        def asks(self):
            self.ask()

        def do(self, *args):
            raise ValueError("why")

    namespaces: ClassVar[dict] = {}

    def get_app(self):
        class Admin(self.base):
            pass

        self.namespaces = {re.compile("/a.*"): Admin}
        return super().get_app()

    LINES = [
        (["go", 1], "/", "base.go, event 'go' in '/': ValueError('why')"),
        (["go slowly"], "/", "base.go_slowly, event 'go slowly' in '/': ValueError('why')"),
        (["nobody's"], "/", "base.on_event, event \"nobody's\" in '/': ValueError('why')"),
        (["message", 1], "/", "base.on_message, event 'message' in '/': ValueError('why')"),
        (["go", 1], "/admin", "Admin.go, event 'go' in '/admin': ValueError('why')"),
    ]

    def admin(self, client):
        return client.join("/admin")

    @gen_test
    async def test_an_event_that_raises_is_logged_with_class_method_event_and_namespace(self):
        client = await self.client()
        await client.join("/admin")
        for data, namespace, line in self.LINES:
            with self.subTest(line), self.assertLogs("tornado.application", "ERROR") as logged:
                await client.emit(*data, namespace=namespace)
                await self.until(lambda: logged.output)
            self.assertEqual(logged.records[0].getMessage(), line)
            self.assertIn('raise ValueError("why")', logged.output[0])

    async def until(self, done):
        for _ in range(1000):
            if done():
                return
            await asyncio.sleep(0.001)
        self.fail("nothing came")

    @gen_test
    async def test_an_ack_that_is_no_json_is_logged_with_its_event(self):
        client = await self.client()
        for name in ("answer", "answer_slowly"):
            with self.subTest(name), self.assertLogs("tornado.application", "ERROR") as logged:
                with self.assertRaises(asyncio.TimeoutError):
                    await client.call(name, timeout=0.05)
            self.assertIn(f"base.{name}, event '{name}' in '/': TypeError(", logged.output[0])

    @gen_test
    async def test_an_ack_callback_that_raises_is_logged_with_its_emit(self):
        client = await self.client()
        await client.emit("ask")
        with self.assertLogs("tornado.application", "ERROR") as logged:
            await client.answer(1)
            await self.until(lambda: logged.output)
        self.assertIn("base.emit(ack=..), event 'question' in '/': ValueError", logged.output[0])

    @gen_test
    async def test_on_open_and_on_close_that_raise_are_logged_by_name(self):
        client = await self.client()
        self.handler.on_open = self.handler.on_close = lambda handler: 1 // 0
        with self.assertLogs("tornado.application", "ERROR") as logged:
            await client.close()
            with self.assertRaises(ConnectionRefused):
                await self.client()
            await self.until(lambda: len(logged.output) == 2)
        lines = sorted(record.getMessage().split(":")[0] for record in logged.records)
        self.assertEqual(lines, ["base.on_close in '/'", "base.on_open in '/'"])

    @gen_test
    async def test_an_exception_that_is_logged_by_hand_names_as_much_as_is_known(self):
        def do(handler, *args):
            try:
                raise ValueError("by hand")
            except ValueError:
                handler.log_exception(*sys.exc_info())

        self.handler.do = do
        client = await self.client()
        with self.assertLogs("tornado.application", "ERROR") as logged:
            await client.emit("go")
            await self.until(lambda: logged.output)
        self.assertIn("base in '/': ValueError('by hand')", logged.output[0])

    @gen_test
    @mock.patch.object(socket_io, "BLOCKED_SECONDS", 0.02)
    async def test_a_method_that_blocks_the_loop_is_named_once(self):
        def block(handler, *args):
            time.sleep(0.03)

        self.handler.do = block
        client = await self.client()
        with self.assertLogs("socket_io", "WARNING") as logged:
            for name in ("go", "go slowly", "go", "go slowly"):
                await client.call(name)
        places = [line.split(" has kept")[0] for line in logged.output]
        self.assertEqual(
            places,
            ["WARNING:socket_io:base.go, event 'go' in '/'",
             "WARNING:socket_io:base.go_slowly, event 'go slowly' in '/'"],
        )  # fmt: skip
        self.assertIn("asyncio.to_thread", logged.output[0])

    @gen_test
    @mock.patch.object(socket_io, "BLOCKED_SECONDS", 0.02)
    async def test_on_open_on_close_and_allow_request_that_block_the_loop_are_named(self):
        def block(handler, *args):
            time.sleep(0.03)
            return True

        self.handler.on_open = self.handler.on_close = block
        self.handler.allow_request = classmethod(block)
        with self.assertLogs("socket_io", "WARNING") as logged:
            client = await self.client()
            await client.close()
            await self.until(lambda: len(logged.output) == 3)
        places = [record.getMessage().split(" has kept")[0] for record in logged.records]
        self.assertEqual(
            places, ["base.allow_request", "base.on_open in '/'", "base.on_close in '/'"]
        )

    @gen_test
    @mock.patch.object(socket_io, "BLOCKED_SECONDS", 0.02)
    async def test_a_coroutine_that_awaits_is_not_named_as_slow(self):
        async def go(handler):
            await asyncio.sleep(0.03)

        self.handler.go = go
        client = await self.client()
        with self.assertNoLogs("socket_io", "WARNING"):
            await client.call("go")


class Tapped(Recorder):
    """A handler that notes in its taps, in order, which events come and go."""

    def on_any(self, name, *args):
        self.note("in", name, *args)

    def on_any_outgoing(self, name, *args):
        self.note("out", name, *args)

    @event
    def twice(self, number):
        self.note("twice", number)
        return 2 * number


class TapBehaviour:
    """`on_any` and `on_any_outgoing` see every event in every generation, and neither acks nor protocol packets."""

    dialect = transport = ""
    base = Tapped

    @gen_test
    async def test_incoming_events_are_seen_before_their_methods(self):
        client = await self.client(self.dialect, self.transport)
        await client.send({"a": 1})
        await self.noted("in", "message", {"a": 1})
        await self.noted("message", {"a": 1})
        if client.dialect.has_acks:
            self.assertEqual(await client.call("twice", 4), 8)
            await self.noted("in", "twice", 4)
            await self.noted("twice", 4)
            await client.emit("twice", 4, 5, 6)
            await self.noted("in", "twice", 4, 5, 6)  # seen, though its method cannot take it
            await client.emit("unknown", 1)
            await self.noted("in", "unknown", 1)
            await self.noted("unknown", 1)
        self.assertTrue(self.handler.entries.empty())

    @gen_test
    async def test_outgoing_events_are_seen_by_each_receiver_broadcasts_too(self):
        one, two = (
            await self.client(self.dialect, self.transport),
            await self.client(self.dialect, self.transport),
        )
        first, second = self.handler.handlers
        seen = []
        first.on_any_outgoing = lambda *args: seen.append(("first", *args))
        second.on_any_outgoing = lambda *args: seen.append(("second", *args))
        first.send("only one")
        first.broadcast.emit("others", 1)
        self.handler.io.emit("all", 2)
        self.handler.io.volatile.emit("volatile")
        expected = [
            ("first", "message", "only one"), ("second", "others", 1), ("first", "all", 2), ("second", "all", 2),
            ("first", "volatile"), ("second", "volatile"),
        ]  # fmt: skip
        self.assertEqual(seen, expected)
        if one.dialect.has_acks:
            asked = asyncio.ensure_future(second.call("question", 3))
            await asyncio.sleep(0)
            self.assertEqual(seen[6:], [("second", "question", 3)])
            self.assertEqual(await two.answer("yes"), ("question", 3))
            self.assertEqual(await asked, "yes")
            self.assertEqual(await two.call("twice", 1), 2)
            self.assertEqual(len(seen), 7)

    @gen_test
    async def test_a_tap_that_raises_is_reported_and_the_event_goes_its_way(self):
        client = await self.client(self.dialect, self.transport)
        handler = await self.only()
        handler.on_any = handler.on_any_outgoing = lambda *args: 1 // 0
        with self.assertLogs("tornado.application", "ERROR"):
            handler.send("out")
        self.assertEqual(await client.receive(), ("message", "out"))
        with self.assertLogs("tornado.application", "ERROR"):
            await client.send("in")
            await self.noted("message", "in")


class WebSocketTapTests(TapBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"


class PollingTapTests(TapBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EngineIO3TapTests(TapBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "websocket"


class Protocol1TapTests(TapBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "websocket"


class AncestorTapTests(TapBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "websocket"


USER = contextvars.ContextVar("USER", default="nobody")


class Contextual(Recorder):
    """Keeps who a client is in a context variable, and answers the message "who" with it."""

    def on_open(self, *args, **kwargs):
        super().on_open(*args, **kwargs)
        number = len(self.handlers)
        if number % 3 == 0:
            USER.set(f"user {number}")
        elif number % 3 == 1:
            return self.open_slowly(f"user {number}")
        return None  # every third sets nothing

    async def open_slowly(self, user):
        await asyncio.sleep(0)
        USER.set(user)
        await asyncio.sleep(0)

    def on_message(self, message):
        if message == "who":
            self.send(USER.get())
        elif message == "who, slowly":
            return self.answer_slowly()
        else:
            USER.set(message)
        return None

    async def answer_slowly(self):
        await asyncio.sleep(0)
        USER.set(f"{USER.get()}, slowly")
        await asyncio.sleep(0)
        self.send(USER.get())

    def on_close(self):
        self.note("closed", USER.get())


class ContextBehaviour:
    """All code for a client runs in one context, a copy of its handshake's, which no code for another client sees."""

    dialect = transport = ""
    base = Contextual

    async def who(self, client):
        await client.send("who")
        return (await client.receive())[1]

    @gen_test
    async def test_context_set_in_on_open_or_an_event_lasts_for_later_events_and_on_close(
        self,
    ):
        client = await self.client(self.dialect, self.transport)
        self.assertEqual(await self.who(client), "user 1")
        await client.send("somebody else")
        self.assertEqual(await self.who(client), "somebody else")
        await client.send("who, slowly")
        self.assertEqual((await client.receive())[1], "somebody else, slowly")
        self.assertEqual(await self.who(client), "somebody else, slowly")
        self.handler.handlers[0].close()
        await self.noted("closed", "somebody else, slowly")

    @gen_test
    async def test_a_client_does_not_see_the_context_that_another_client_has_set(self):
        clients = [await self.client(self.dialect, self.transport) for _ in range(4)]
        for client, user in zip(clients, ("user 1", "nobody", "user 3", "user 4"), strict=True):
            self.assertEqual(await self.who(client), user)
        self.assertEqual(USER.get(), "nobody")

    @gen_test
    async def test_taps_of_a_broadcast_run_each_in_the_context_of_its_own_client(self):
        seen = []

        def tap(handler, name, *args):
            number = handler.handlers.index(handler) + 1
            seen.append((number, args[0], USER.get()))
            if args[0] == "all" and number == 3:  # and so the first is entered, but not innermost
                handler.handlers[0].send("again")

        def on_message(handler, message):
            handler.io.emit("message", "all")
            handler.send("own")
            USER.set("after")

        self.handler.on_any_outgoing = tap
        self.handler.on_message = on_message
        clients = [await self.client(self.dialect, self.transport) for _ in range(3)]
        self.handler._home[0].namespaces["/"].is_tapped = True
        await clients[0].send("go")
        expected = [(1, "all", "user 1"), (2, "all", "nobody"), (3, "all", "user 3"), (1, "again", "user 1"),
                    (1, "own", "user 1")]  # fmt: skip
        for _ in range(3):
            await clients[0].receive()
        self.assertEqual(seen, expected)

    @gen_test
    async def test_context_set_in_allow_request_belongs_to_its_client_alone(self):
        users = iter(["ada", "bob"])

        def allow_at_once(cls, request):
            USER.set(next(users))
            return True

        async def allow_slowly(cls, request):
            await asyncio.sleep(0)
            USER.set(next(users))
            await asyncio.sleep(0)
            return True

        self.handler.on_open = lambda handler, *args, **kwargs: handler.note("opened", USER.get())
        for allow_request, user in ((allow_at_once, "ada"), (allow_slowly, "bob")):
            self.handler.allow_request = classmethod(allow_request)
            client = await self.client(self.dialect, self.transport)
            await self.noted("opened", user)
            self.assertEqual(await self.who(client), user)
        self.assertEqual(USER.get(), "nobody")


class WebSocketContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"


class PollingContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EngineIO3JsonpContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "jsonp-polling"


class Protocol1WebSocketContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "websocket"


class Protocol1HtmlfileContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "htmlfile"


class AncestorMultipartContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-multipart"


class AncestorPollingContextTests(ContextBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-polling"


class SharedConnectionContextTests(RecorderTestCase):
    """A proxy sends the requests of many clients, and of plain pages, over one connection: contexts stay apart."""

    base = Contextual

    def get_app(self):
        class Page(tornado.web.RequestHandler):
            def get(page):
                page.write(USER.get())

        application = super().get_app()
        application.add_handlers(".*", [("/page", Page)])
        return application

    async def who(self, wire, url, how=b'42["message","who"]'):
        self.assertEqual((await wire.request("POST", url, how))[2], b"ok")
        return json.loads((await wire.request("GET", url))[2][2:])[1]

    @gen_test
    async def test_others_on_a_shared_connection_do_not_see_a_clients_context(self):
        wire = await self.wire()
        urls = [await self.join_polling(wire) for _ in range(4)]
        for url, user in zip(urls, ("user 1", "nobody", "user 3", "user 4"), strict=True):
            self.assertEqual(await self.who(wire, url), user)
            self.assertEqual((await wire.request("GET", "/page"))[2], b"nobody")
        self.assertEqual(
            await self.who(wire, urls[1], b'42["message","who, slowly"]'), "nobody, slowly"
        )
        self.assertEqual(await self.who(wire, urls[1]), "nobody, slowly")
        self.assertEqual(await self.who(wire, urls[0]), "user 1")

    @gen_test
    async def test_what_a_function_for_origins_sets_is_seen_by_nobody(self):
        def admit(origin):
            seen.append(USER.get())
            USER.set("the origin of a request")
            return origin == "https://ours.example"

        seen: list[str] = []
        self.handler.allowed_origins = staticmethod(admit)
        wire = await self.wire()
        for origin in ("https://ours.example", "https://other.example"):
            for path in (
                "?EIO=4&transport=polling",
                "?EIO=3&transport=polling",
                "1/",
                "xhr-polling//1",
            ):
                await wire.request("GET", f"/socket.io/{path}", Origin=origin)
                self.assertEqual((await wire.request("GET", "/page"))[2], b"nobody")
        self.assertEqual(set(seen), {"nobody"})

    @gen_test
    async def test_a_page_on_a_shared_connection_that_ends_sees_no_clients_context(self):
        seen = asyncio.get_running_loop().create_future()
        began = asyncio.Event()

        class Waiting(tornado.web.RequestHandler):
            async def get(page):
                began.set()
                await seen

            def on_connection_close(page):
                seen.set_result(USER.get())

        self._app.add_handlers(".*", [("/waiting", Waiting)])
        wire, other = await self.wire(), await self.wire()
        url = await self.join_polling(wire)
        wire.send_request("GET", url)  # it waits, and is answered from within an event
        self.handler.on_message = lambda handler, message: handler.disconnect(close=True)
        await other.request("POST", url, b'42["message","bye"]')
        await wire.answer()
        wire.send_request("GET", "/waiting")
        await within(began.wait())
        wire.close()
        self.assertEqual(await within(seen), "nobody")

    @gen_test
    async def test_a_clients_context_is_the_same_after_an_upgrade(self):
        wire, websocket = await self.wire(), await self.wire()
        url = await self.join_polling(wire)
        await websocket.upgrade(url.replace("polling", "websocket"))
        websocket.send_frame("2probe")
        self.assertEqual(await websocket.text(), "3probe")
        websocket.send_frame("5")
        websocket.send_frame('42["message","who"]')
        self.assertEqual(await websocket.text(), '42["message","user 1"]')
        websocket.send_frame('42["message","who, slowly"]')
        self.assertEqual(await websocket.text(), '42["message","user 1, slowly"]')

    @gen_test
    async def test_a_clients_context_is_the_same_in_all_namespaces_and_ack_callbacks(self):
        self.handler._home[0]._serve_at("/admin", self.handler)
        self.handler._home[0]._reset()
        self.handler._home[0].bind(self._app)
        client = await self.client()
        self.assertEqual((await client.send("who"), await client.receive())[1][1], "user 1")
        await client.join("/admin")  # whose on_open sets nothing
        await client.emit("message", "who", namespace="/admin")
        self.assertEqual((await client.receive())[1], "user 1")
        answers = asyncio.get_running_loop().create_future()
        self.handler.handlers[0].emit("question", ack=lambda: answers.set_result(USER.get()))
        await client.answer()
        self.assertEqual(await within(answers), "user 1")

    @gen_test
    async def test_a_context_token_of_on_open_can_be_reset_in_on_close(self):
        def on_open(handler):
            handler.token = USER.set("somebody")

        def on_close(handler):
            USER.reset(handler.token)
            handler.note("closed", USER.get())

        self.handler.on_open, self.handler.on_close = on_open, on_close
        await (await self.client()).close()
        await self.noted("closed", "nobody")


# ---- Namespaces and families ---------------------------------------------------------


class Admin(SocketIOHandler):
    """A namespace's handler with methods of its own."""

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
    async def test_a_refusal_of_a_namespace_carries_message_and_data_and_the_connection_stays(self):
        client = await self.client()
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/admin", {"token": "guess"})
        self.assertEqual(
            (refused.exception.message, refused.exception.data),
            ("Not authorized", {"why": "token"}),
        )
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/random")
        self.assertEqual(
            (refused.exception.message, refused.exception.data), ("Invalid namespace", None)
        )
        await client.send("still here")
        await self.noted("message", "still here")

    @gen_test
    async def test_on_open_that_returns_false_or_raises_refuses(self):
        self.handler.on_open = lambda handler: False
        with self.assertRaises(ConnectionRefused):
            await self.client()
        self.handler.on_open = lambda handler: 1 / 0
        with (
            self.assertLogs("tornado.application", "ERROR"),
            self.assertRaises(ConnectionRefused) as refused,
        ):
            await self.client()
        self.assertEqual(refused.exception.message, "Server error")

    @gen_test
    async def test_leaving_a_namespace_and_coming_back_gives_a_new_id(self):
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
    async def test_events_of_on_open_follow_the_acceptance_and_events_that_come_early_wait(self):
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
    async def test_a_client_that_vanishes_while_on_open_runs_is_closed_once(self):
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


class EarlyNamespaceTests(RecorderTestCase):
    """[EIO3]: a client may ask for a namespace before "/", which comes first, is accepted."""

    namespaces = {"/side": type("Side", (SocketIOHandler,), {})}

    @gen_test
    async def test_a_namespace_asked_for_several_times_before_the_root_is_accepted_opens_once(self):
        gate = asyncio.Event()
        self.handler.on_open = lambda handler: gate.wait()
        wire = await self.wire()
        await wire.upgrade("/socket.io/?EIO=3&transport=websocket")
        await wire.text()
        for _ in range(3):
            wire.send_frame("40/side,")
        wire.send_frame("2")
        self.assertEqual(await wire.text(), "3")
        gate.set()
        self.assertEqual([await wire.text(), await wire.text()], ["40", "40/side,"])
        side = self.namespaces["/side"].io
        self.assertEqual(len(side.sockets()), 1)
        wire.reset()
        await self.assertClosedFor("transport close")
        self.assertEqual(side.sockets(), [])


class ClassIoTests(unittest.TestCase):
    """`io` of a class, and `io.of`."""

    def test_io_of_a_class_that_serves_several_namespaces_means_the_root(self):
        class Chat(SocketIOHandler):
            pass

        Chat.routes("socket.io", namespaces={"/admin": Chat})
        self.assertEqual(Chat.io._at[0][1], "/")

    def test_io_of_a_namespace_that_cannot_be_is_a_key_error_with_the_cure(self):
        class Chat(SocketIOHandler):
            pass

        Chat.routes("socket.io", namespaces={re.compile("/room-[0-9]"): Room, "/admin": Admin})
        with self.assertRaises(KeyError) as refused:
            Chat.io.of("/rooms")
        self.assertIn("namespaces=", str(refused.exception))
        Chat.io.of("/room-1").emit("reaches nobody")
        Chat.io.of("/admin").of("/").emit("reaches nobody")
        for name in ("admin", "/a,b"):
            with self.subTest(name), self.assertRaises(ValueError):
                Chat.routes("socket.io", namespaces={name: Admin})


class Room(Recorder):
    """Serves a family of namespaces: one for each name that a client comes up with."""

    def on_open(self):
        super().on_open()
        if self.auth.get("token") == "wrong":
            raise ConnectionRefused("Not you", {"namespace": self.namespace})
        self.emit("welcome", self.namespace)


class FamilyTestCase(RecorderTestCase):
    """Serves a fresh Room class for all names that `matcher` admits."""

    matcher: ClassVar[Any] = re.compile(r"/room-\d+")
    room_options: dict[str, Any] = {}

    def get_app(self):
        self.room = type(
            "Room", (Room,), {"entries": asyncio.Queue(), "handlers": [], **self.room_options}
        )
        self.namespaces = {type(self).matcher: self.room}
        return super().get_app()

    @property
    def hub(self):
        return self.handler._home[0]


class FamilyBehaviour:
    """A family makes a namespace for each name that a client asks for, in every generation that has namespaces."""

    dialect = transport = ""

    @gen_test
    async def test_each_name_of_a_family_is_a_namespace_of_its_own_with_its_own_handlers(self):
        one, two, other = [
            await self.client(self.dialect, self.transport, namespace=name)
            for name in ("/room-1", "/room-1", "/room-22")
        ]
        for client, name in ((one, "/room-1"), (two, "/room-1"), (other, "/room-22")):
            self.assertEqual(await client.receive(), ("welcome", name))
        handlers = self.room.handlers
        self.assertEqual(
            [handler.namespace for handler in handlers], ["/room-1", "/room-1", "/room-22"]
        )
        handlers[0].broadcast.emit("to the others in here")
        handlers[2].io.emit("to all in here")
        self.handler.io.of("/room-1").emit("by name")
        self.room.io.emit("to the family")
        self.handler.io.emit("to the root")
        self.assertEqual(
            [await one.receive() for _ in range(2)], [("by name",), ("to the family",)]
        )
        self.assertEqual(
            [await two.receive() for _ in range(3)],
            [("to the others in here",), ("by name",), ("to the family",)],
        )
        self.assertEqual(
            [await other.receive() for _ in range(2)], [("to all in here",), ("to the family",)]
        )
        self.assertEqual(len(self.room.io.sockets()), 3)

    @gen_test
    async def test_a_pattern_of_namespaces_must_match_the_whole_name(self):
        client = await self.client(self.dialect, self.transport)
        for name in ("/room-", "/room-1x", "/a/room-1", "/room-1/", "/room-1\n", "/ROOM-1"):
            with self.subTest(name), self.assertRaises(ConnectionRefused):
                await client.join(name)
        await client.join("/room-7")
        self.assertEqual(list(self.hub.namespaces), ["/", "/room-7"])

    @gen_test
    async def test_a_namespace_of_more_than_250_characters_is_refused(self):
        client = await self.client(self.dialect, self.transport)
        with self.assertRaises(ConnectionRefused):
            await client.join("/room-" + "1" * 245)
        await client.join("/room-" + "1" * 244)

    @gen_test
    async def test_a_namespace_of_a_family_is_forgotten_with_its_last_client(self):
        one = await self.client(self.dialect, self.transport, namespace="/room-1")
        two = await self.client(self.dialect, self.transport, namespace="/room-1")
        namespace = weakref.ref(self.hub.namespaces["/room-1"])
        handlers = [weakref.ref(handler) for handler in self.room.handlers]
        self.room.handlers.clear()
        await one.leave()
        self.assertEqual(
            await within(self.room.entries.get()), ("closed", "client namespace disconnect")
        )
        self.assertIn("/room-1", self.hub.namespaces)
        await two.leave()
        self.assertEqual(
            await within(self.room.entries.get()), ("closed", "client namespace disconnect")
        )
        self.assertEqual(list(self.hub.namespaces), ["/"])
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        self.assertEqual((namespace(), [handler() for handler in handlers]), (None, [None, None]))
        await one.join("/room-1")
        self.assertEqual(len(self.room.io.sockets()), 1)

    @gen_test
    async def test_a_refused_client_leaves_no_namespace_behind(self):
        client = await self.client(self.dialect, self.transport)
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/room-1", {"token": "wrong"})
        if self.dialect != "0.9":  # it has no words for a refusal
            self.assertEqual(refused.exception.data, {"namespace": "/room-1"})
        self.assertEqual(list(self.hub.namespaces), ["/"])
        await client.send("still here")
        await self.noted("message", "still here")


class EngineIO4FamilyTests(FamilyBehaviour, FamilyTestCase):
    dialect, transport = "EIO4", "websocket"


class EngineIO4PollingFamilyTests(FamilyBehaviour, FamilyTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EngineIO3FamilyTests(FamilyBehaviour, FamilyTestCase):
    dialect, transport = "EIO3", "websocket"


class Protocol1FamilyTests(FamilyBehaviour, FamilyTestCase):
    dialect, transport = "0.9", "websocket"


class MatcherTests(FamilyTestCase):
    """A family of namespaces by a callable, which is asked with name and auth of each client."""

    asked: ClassVar[list] = []
    answer: ClassVar[Any] = None

    @staticmethod
    def matcher(name, auth):
        MatcherTests.asked.append((name, auth))
        return MatcherTests.answer(name, auth)

    def setUp(self):
        MatcherTests.asked.clear()
        MatcherTests.answer = lambda name, auth: auth.get("key") == name[1:]
        super().setUp()

    @gen_test
    async def test_a_matcher_is_asked_for_each_client(self):
        client = await self.client(namespace="/tea", auth={"key": "tea"})
        self.assertEqual(await client.receive(), ("welcome", "/tea"))
        with self.assertRaises(ConnectionRefused) as refused:
            await self.client(namespace="/tea", auth={"key": "coffee"})
        self.assertEqual(refused.exception.message, "Invalid namespace")
        with self.assertRaises(ConnectionRefused):
            await self.client("EIO3", namespace="/tea")
        self.assertEqual(
            self.asked, [("/tea", {"key": "tea"}), ("/tea", {"key": "coffee"}), ("/tea", {})]
        )

    @gen_test
    async def test_a_matcher_is_not_asked_for_the_namespaces_that_have_a_name(self):
        await self.client()
        await self.client("EIO3")
        self.assertEqual(self.asked, [])

    @gen_test
    async def test_a_matcher_that_raises_refuses(self):
        MatcherTests.answer = lambda name, auth: 1 // 0
        client = await self.client()
        with (
            self.assertLogs("socket_io", "ERROR") as logged,
            self.assertRaises(ConnectionRefused) as refused,
        ):
            await client.join("/tea")
        self.assertEqual(refused.exception.message, "Invalid namespace")
        self.assertIn("ZeroDivisionError", logged.output[0])
        await client.send("still here")
        await self.noted("message", "still here")

    @gen_test
    async def test_a_matcher_is_not_asked_for_a_name_without_a_slash(self):
        MatcherTests.answer = lambda name, auth: True
        wire = await self.wire()
        sid = (await wire.request("GET", "/socket.io/1/"))[2].split(b":")[0].decode()
        await wire.upgrade(f"/socket.io/1/websocket/{sid}")
        self.assertEqual(await wire.text(), "1::")
        wire.send_frame("1::tea")
        self.assertEqual(await wire.text(), "7::tea:2")
        self.assertEqual(self.asked, [])

    @gen_test
    async def test_a_matcher_that_blocks_the_loop_or_fails_is_named_in_the_log(self):
        MatcherTests.answer = lambda name, auth: time.sleep(0.03) or 1 // 0
        client = await self.client()
        with (
            mock.patch.object(socket_io, "BLOCKED_SECONDS", 0.02),
            self.assertLogs("socket_io", "WARNING") as logged,
            self.assertRaises(ConnectionRefused),
        ):
            await client.join("/tea")
        lines = [
            line for line in logged.output if "the matcher MatcherTests.matcher of Room" in line
        ]
        self.assertEqual(len(lines), 2)

    @gen_test
    async def test_io_of_takes_any_name_that_a_callable_might(self):
        self.handler.io.of("/nobody/there").emit("reaches nobody")
        self.assertEqual(self.handler.io.of("/nobody/there").sockets(), [])


class SlowMatcherTests(FamilyTestCase):
    """A matcher of namespaces may be a coroutine function; what its client sends meanwhile waits, as for `on_open`."""

    GENERATIONS = (
        ("EIO4", "websocket"),
        ("EIO4", "xhr-polling"),
        ("EIO3", "websocket"),
        ("0.9", "websocket"),
    )

    @staticmethod
    async def matcher(name, auth):
        return await SlowMatcherTests.decide(name, auth)

    decide: ClassVar[Any] = None

    def deciding(self, answer):
        """The matcher gives *answer*, as soon as what this returns is set; a second event says that it was asked."""
        gate, asked = asyncio.Event(), asyncio.Event()

        async def decide(name, auth):
            asked.set()
            await gate.wait()
            return answer

        SlowMatcherTests.decide = decide
        return gate, asked

    @gen_test
    async def test_a_coroutine_matcher_admits_and_refuses_clients_of_every_generation(self):
        async def decide(name, auth):
            await asyncio.sleep(0)
            return name == "/tea"

        SlowMatcherTests.decide = decide
        for generation in self.GENERATIONS:
            with self.subTest(generation):
                client = await self.client(*generation, namespace="/tea")
                self.assertEqual(await client.receive(), ("welcome", "/tea"))
                with self.assertRaises(ConnectionRefused):
                    await client.join("/coffee")

    @gen_test
    async def test_the_next_family_is_asked_when_a_coroutine_matcher_says_no(self):
        self.hub.families.append(socket_io.Family(re.compile("/coffee"), self.room))
        self.deciding(False)[0].set()
        client = await self.client(namespace="/coffee")
        self.assertEqual(await client.receive(), ("welcome", "/coffee"))

    @gen_test
    async def test_events_that_come_while_a_matcher_decides_wait_and_are_heard_afterwards(self):
        gate, asked = self.deciding(True)
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame("40/tea,")
        wire.send_frame('42/tea,1["echo","hello"]')
        await within(asked.wait())
        session = self.handler.handlers[0]._member.session
        while not session.waiting_bytes:
            await asyncio.sleep(0.001)
        gate.set()
        texts = [await wire.text() for _ in range(3)]
        self.assertTrue(texts[0].startswith('40/tea,{"sid":"'))
        self.assertIn("43/tea,1[]", texts)
        self.assertEqual((session.waiting_bytes, session.postponed), (0, {}))

    @gen_test
    async def test_events_that_come_while_a_matcher_decides_are_dropped_when_it_refuses(self):
        gate, asked = self.deciding(False)
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame("40/tea,")
        wire.send_frame('42/tea,["echo","hello"]')
        await within(asked.wait())
        gate.set()
        self.assertEqual(await wire.text(), '44/tea,{"message":"Invalid namespace"}')
        wire.send_frame('42["message","still here"]')
        await self.noted("message", "still here")

    @gen_test
    async def test_a_coroutine_matcher_has_the_connect_timeout(self):
        self.deciding(True)
        client = await self.client()
        self.handler.connect_timeout = 0.02
        with self.assertRaises(ConnectionRefused) as refused:
            await client.join("/tea")
        self.assertEqual(refused.exception.message, "Timed out")
        self.assertEqual(list(self.hub.namespaces), ["/"])

    @gen_test
    async def test_a_client_that_waits_for_a_matcher_counts_in_max_namespaces(self):
        self.handler.max_namespaces = 3
        gate, _ = self.deciding(True)
        wire = await self.wire()
        await self.open_websocket(wire)
        for name in ("/a", "/b", "/c"):
            wire.send_frame(f"40{name},")
        self.assertEqual(await wire.text(), '44/c,{"message":"Too many namespaces"}')
        gate.set()
        for name in ("/a", "/b"):
            self.assertTrue((await wire.text()).startswith(f'40{name},{{"sid":"'))

    @gen_test
    async def test_a_client_that_goes_while_a_matcher_decides_leaves_nothing(self):
        gate, asked = self.deciding(True)
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.send_frame("40/tea,")
        await within(asked.wait())
        wire.close()
        await self.assertClosedFor("transport close")
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        self.assertEqual(
            (list(self.hub.namespaces), self.room.handlers, self.hub.clock.tasks),
            (["/"], [], set()),
        )

    @gen_test
    async def test_a_coroutine_matcher_that_fails_or_is_cancelled_refuses_and_is_logged(self):
        async def fail(name, auth):
            await asyncio.sleep(0)
            return 1 // 0

        async def wait(name, auth):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            await future

        client = await self.client()
        for SlowMatcherTests.decide, name in (
            (fail, "ZeroDivisionError"),
            (wait, "CancelledError"),
        ):
            with (
                self.subTest(name),
                self.assertLogs("socket_io", "ERROR") as logged,
                self.assertRaises(ConnectionRefused) as refused,
            ):
                await client.join("/tea")
            self.assertEqual(refused.exception.message, "Invalid namespace")
            self.assertIn(name, logged.output[0])

    @gen_test
    async def test_a_coroutine_matcher_runs_in_the_context_of_its_client(self):
        users = []

        async def decide(name, auth):
            await asyncio.sleep(0)
            users.append(USER.get())
            USER.set(name)
            return True

        SlowMatcherTests.decide = decide
        self.handler.on_open = lambda handler: USER.set("somebody") and None
        self.room.on_open = lambda handler: users.append(USER.get())
        client = await self.client()
        await client.join("/tea")
        self.assertEqual((users, USER.get()), (["somebody", "/tea"], "nobody"))


# ---- Recovery ------------------------------------------------------------------------


class Keeper(Recorder):
    """A handler that notes which clients come, and whether they have recovered."""

    recovery_window = 60.0

    def on_open(self):
        super().on_open()
        if not self.recovered:
            self.join("tea")
            self.session["cups"] = 1
        self.note("opened", self.recovered)

    @event
    def drink(self):
        self.session["cups"] += 1
        return self.session["cups"]


class RecoveryTestCase(RecorderTestCase):
    """Serves a class whose clients recover, and loses and finds them again."""

    base = Keeper

    async def lose(self, client):
        """The client's connection breaks, and the server notices."""
        await client.close()
        if client.transport in POLLING:
            self.handler.handlers[-1]._member.session.end("transport close")
        await self.assertClosedFor("transport close")

    async def arrive(self, recovered=False, **more):
        client = await self.client(**more)
        await self.noted("opened", recovered)
        return client

    async def names(self, client, count):
        """What the next *count* events carried, without their offsets."""
        return [(await client.receive())[:-1] for _ in range(count)]

    async def assertNothingWaits(self, client):
        self.handler.handlers[-1].emit("end")
        self.assertEqual((await client.receive())[0], "end")


class RecoveryBehaviour:
    """[SIO "Connection state recovery"]: a client of 4.6 and later that lost its connection misses no event."""

    transport = ""

    @gen_test
    async def test_a_recovered_client_keeps_id_and_rooms_and_hears_once_what_it_missed(self):
        client = await self.arrive(transport=self.transport)
        handler = await self.only()
        handler.join("secret room")
        self.assertEqual(await client.call("drink"), 2)
        handler.emit("heard", 1)
        self.assertEqual(await self.names(client, 1), [("heard", 1)])
        await self.lose(client)
        self.handler.io.emit("missed", 1, b"\x01")
        self.handler.io.to("tea").emit("missed", 2)
        self.handler.io.to("elsewhere").emit("not for it")
        self.handler.io.except_("tea").emit("nor this")
        handler.io.to("secret room", "tea").emit("missed", 3)
        handler.emit("missed", 4)
        handler.broadcast.emit("from itself")
        self.handler.io.volatile.emit("who is not here gets no volatile")
        again = await self.arrive(recovered=True, transport=self.transport, auth=client.recovery)
        self.assertEqual((again.id, again.pid), (client.id, client.pid))
        self.assertEqual(
            await self.names(again, 4),
            [("missed", 1, b"\x01"), ("missed", 2), ("missed", 3), ("missed", 4)],
        )
        await self.assertNothingWaits(again)
        new = self.handler.handlers[-1]
        self.assertIsNot(new, handler)
        self.assertEqual(new.rooms, {again.id, "tea", "secret room"})
        self.assertEqual(await again.call("drink"), 3)
        self.assertEqual(new.session.id, again.sid)
        self.handler.io.to("secret room").emit("still inside")
        self.assertEqual(await self.names(again, 1), [("still inside",)])

    @gen_test
    async def test_a_client_can_be_lost_and_recovered_again_and_again(self):
        client = await self.arrive(transport=self.transport)
        for number in range(4):
            self.handler.io.emit("heard", number)
            self.assertEqual(await self.names(client, 1), [("heard", number)])
            await self.lose(client)
            if number % 2:
                self.handler.io.emit("missed", number)
            client = await self.arrive(
                recovered=True, transport=self.transport, auth=client.recovery
            )
            if number % 2:
                self.assertEqual(await self.names(client, 1), [("missed", number)])
        await self.assertNothingWaits(client)
        self.assertEqual(len(self.handler.io.sockets()), 1)


class WebSocketRecoveryTests(RecoveryBehaviour, RecoveryTestCase):
    transport = "websocket"


class PollingRecoveryTests(RecoveryBehaviour, RecoveryTestCase):
    transport = "xhr-polling"


class JsonpRecoveryTests(RecoveryBehaviour, RecoveryTestCase):
    transport = "jsonp-polling"


class RecoveryTests(RecoveryTestCase):
    """[SIO "Connection state recovery"]: which clients recover which events, and what recovery must not change."""

    @gen_test
    async def test_a_client_back_without_an_offset_gets_all_events_since_it_first_came(self):
        self.handler.io.emit("before it came")
        client = await self.arrive()
        await self.lose(client)
        self.handler.io.emit("missed", 1)
        self.assertIsNone(client.offset)
        again = await self.arrive(recovered=True, auth=client.recovery)
        self.assertEqual(await self.names(again, 1), [("missed", 1)])
        await self.lose(again)  # and again, from where it is
        third = await self.arrive(recovered=True, auth=again.recovery)
        await self.assertNothingWaits(third)

    @gen_test
    async def test_events_that_were_sent_but_not_received_are_recovered(self):
        client = await self.arrive()
        (await self.only()).emit("heard")
        await client.receive()
        offset = client.offset
        for number in range(3):
            (await self.only()).emit("on its way", number)
        await self.lose(client)
        self.handler.io.emit("later")
        again = await self.arrive(recovered=True, auth={"pid": client.pid, "offset": offset})
        self.assertEqual(
            await self.names(again, 4),
            [*(("on its way", number) for number in range(3)), ("later",)],
        )

    @gen_test
    async def test_an_offset_of_an_earlier_life_is_as_good_as_none(self):
        """The client keeps its last offset also when it could not recover and is somebody new."""
        client = await self.arrive()
        self.handler.io.emit("heard")
        await client.receive()
        await client.leave()
        await self.assertClosedFor("client namespace disconnect")
        self.handler.io.emit("while it was nobody")
        await client.join("/", client.recovery)
        await self.noted("opened", False)
        await self.lose(client)
        self.handler.io.emit("missed", 1)
        again = await self.arrive(recovered=True, auth=client.recovery)
        self.assertEqual(await self.names(again, 1), [("missed", 1)])

    @gen_test
    async def test_a_last_argument_that_is_only_a_string_of_the_application_is_no_offset(self):
        client = await self.arrive()
        handler = await self.only()
        handler.emit("first")
        await client.receive()
        offset = client.offset
        for wrong in (
            "hello",
            "",
            "1",
            offset + "0" * 20,
            offset[:-1],
            offset + "\u0661",
            f"-{offset}",
            1,
            None,
            [offset],
        ):
            with self.subTest(wrong):
                await self.lose(client)
                again = await self.arrive(
                    recovered=False, auth={"pid": client.pid, "offset": wrong or "x"}
                )
                self.assertNotEqual(again.id, client.id)
                self.assertNotEqual(again.pid, client.pid)
                client = again

    @gen_test
    async def test_a_volatile_event_that_ends_with_a_text_brings_the_last_offset(self):
        """Clients take the last text of any event for an offset, the name of one without arguments too."""
        for args in (("text", "hello"), ("name alone",), ("numbers", 1), ("bytes", b"x")):
            for heard_before in (True, False):
                with self.subTest(args, heard_before=heard_before):
                    client = await self.arrive()
                    handler = self.handler.handlers[-1]
                    if heard_before:
                        handler.emit("heard")
                        await client.receive()
                    self.handler.io.to("elsewhere").emit("for others")
                    for volatile in (handler.volatile, self.handler.io.volatile):
                        volatile.emit(*args)
                        told = await client.receive()
                        self.assertEqual(told[: len(args)], args)
                        if isinstance(args[-1], str):
                            client.offset = told[-1]  # also where it is all there is
                    await self.lose(client)
                    handler.emit("missed")
                    again = await self.arrive(recovered=True, auth=client.recovery)
                    self.assertEqual(await self.names(again, 1), [("missed",)])
                    await self.assertNothingWaits(again)
                    await again.close()
                    await self.assertClosedFor("transport close")

    @gen_test
    async def test_older_generations_see_no_offset_in_a_volatile_event(self):
        for dialect in ("EIO3", "0.9"):
            client = await self.arrive(dialect=dialect)
            self.handler.io.volatile.emit("text", "hello")
            self.assertEqual(await client.receive(), ("text", "hello"))

    @gen_test
    async def test_an_event_that_wants_an_ack_has_no_offset(self):
        client = await self.arrive()
        asked = asyncio.ensure_future((await self.only()).call("question", "é"))
        self.assertEqual(await client.answer("yes"), ("question", "é"))
        self.assertEqual(await asked, "yes")

    @gen_test
    async def test_older_generations_see_no_offset_in_an_event(self):
        clients = [await self.arrive(dialect=dialect) for dialect in DIALECTS]
        for emit in (self.handler.io.emit, self.handler.io.to("tea").emit):
            emit("news", 1)
            for client in clients:
                told = await client.receive()
                if client.dialect.name == "EIO4":
                    self.assertEqual((told[:2], len(told)), (("news", 1), 3))
                else:
                    args = {"name": "news", "args": [1]}
                    self.assertEqual(
                        told, ("message", args) if client.dialect.name == "0.6" else ("news", 1)
                    )
        for client, handler in zip(clients[:3], self.handler.handlers, strict=False):
            handler.emit("news", 2)
            told = await client.receive()
            self.assertEqual(
                told[-1], {"name": "news", "args": [2]} if client.dialect.name == "0.6" else 2
            )
            self.assertIsNone(client.pid)

    @gen_test
    async def test_a_pid_means_nothing_to_older_generations(self):
        client = await self.arrive()
        await self.lose(client)
        query = f"&pid={client.pid}"
        await self.arrive(recovered=False, dialect="EIO3", query=query)
        await self.arrive(recovered=True, auth=client.recovery)

    @gen_test
    async def test_a_pid_is_good_once(self):
        client = await self.arrive()
        await self.lose(client)
        first = await self.arrive(recovered=True, auth=client.recovery)
        second = await self.arrive(
            recovered=True, auth=client.recovery
        )  # the same client again, who else
        await self.assertClosedFor("transport close")
        await within(first.disconnected.wait())
        self.assertEqual(second.id, client.id)
        self.assertEqual(len(self.handler.io.sockets()), 1)

    @gen_test
    async def test_a_pid_that_is_unknown_or_nonsense_makes_a_new_client(self):
        for pid in ("x" * 20, "", 5, None, [], {"a": 1}, True):
            with self.subTest(pid):
                await self.arrive(recovered=False, auth={"pid": pid, "offset": "x"})

    @gen_test
    async def test_a_client_whose_old_connection_is_believed_alive_recovers_too(self):
        client = await self.arrive()
        old = await self.only()
        old.emit("on its way")
        again = await self.arrive_beside(old, client)
        self.assertEqual(again.id, client.id)
        self.assertEqual(await self.names(again, 1), [("on its way",)])
        self.assertEqual(self.handler.io.sockets(), [self.handler.handlers[-1]])

    async def arrive_beside(self, old, client):
        again = await self.client(auth=client.recovery)
        heard = [await within(self.handler.entries.get()) for _ in range(2)]
        self.assertCountEqual(heard, [("opened", True), ("closed", "transport close")])
        self.assertFalse(old.connected)
        return again

    @gen_test
    async def test_a_client_that_left_was_disconnected_or_talked_nonsense_does_not_recover(self):
        async def nonsense(client):
            client._wire.send_frame("4nonsense")

        async def kick(client):
            self.handler.handlers[-1].disconnect()

        rows = [
            (lambda client: client.leave(), "client namespace disconnect"),
            (kick, "server namespace disconnect"),
            (nonsense, "parse error"),
        ]
        for leave, reason in rows:
            with self.subTest(reason):
                client = await self.arrive()
                await leave(client)
                await self.assertClosedFor(reason)
                again = await self.arrive(recovered=False, auth=client.recovery)
                self.assertNotEqual(again.id, client.id)

    @gen_test
    async def test_a_client_that_was_cut_off_recovers(self):
        rows = ["transport close", "transport error", "ping timeout", "forced close"]
        for reason in rows:
            with self.subTest(reason):
                client = await self.arrive()
                handler = self.handler.handlers[-1]
                handler.close() if reason == "forced close" else handler._member.session.end(reason)
                await self.assertClosedFor(reason)
                await self.arrive(recovered=True, auth=client.recovery)

    @gen_test
    async def test_an_on_open_that_refuses_a_client_that_came_back_has_the_last_word(self):
        client = await self.arrive()
        await self.lose(client)
        self.handler.io.emit("missed")
        accept, self.handler.on_open = self.handler.on_open, lambda handler: False
        with self.assertRaises(ConnectionRefused):
            await self.client(auth=client.recovery)
        self.handler.on_open = accept
        again = await self.arrive(recovered=False, auth=client.recovery)
        await self.assertNothingWaits(again)
        self.assertTrue(self.handler.entries.empty())

    @gen_test
    async def test_events_during_a_coroutine_on_open_come_after_what_was_missed(self):
        client = await self.arrive()
        await self.lose(client)
        self.handler.io.emit("missed", 1)
        gate, begun = asyncio.Event(), asyncio.Event()

        async def open_slowly(handler):
            handler.emit("from on_open", handler.recovered)
            begun.set()
            await gate.wait()
            handler.emit("from on_open again")

        self.handler.on_open = open_slowly
        coming = asyncio.ensure_future(self.client(auth=client.recovery))
        await within(begun.wait())
        self.handler.io.to("tea").emit("meanwhile")
        gate.set()
        again = await coming
        self.assertEqual(
            await self.names(again, 4),
            [("missed", 1), ("from on_open", True), ("meanwhile",), ("from on_open again",)],
        )

    @gen_test
    async def test_a_client_that_is_lost_while_on_open_runs_recovers_all_its_events(self):
        client = await self.arrive()
        await self.lose(client)
        self.handler.io.emit("missed", 1)
        gate, begun = asyncio.Event(), asyncio.Event()

        async def open_slowly(handler):
            begun.set()
            await gate.wait()

        accept, self.handler.on_open = self.handler.on_open, open_slowly
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40" + json.dumps(client.recovery))
        await within(begun.wait())
        self.handler.io.emit("missed", 2)
        wire.reset()
        gate.set()
        await self.assertClosedFor("transport close")
        self.handler.io.emit("missed", 3)
        self.handler.on_open = accept
        again = await self.arrive(recovered=True, auth=client.recovery)
        self.assertEqual(await self.names(again, 3), [("missed", number) for number in (1, 2, 3)])
        await self.assertNothingWaits(again)

    @gen_test
    async def test_a_recovery_window_of_zero_keeps_nothing(self):
        self.handler.recovery_window = 0.0
        client = await self.arrive()
        (await self.only()).emit("plain")
        self.assertEqual(await client.receive(), ("plain",))
        self.assertIsNone(client.pid)
        await self.lose(client)
        await self.arrive(recovered=False, auth=client.recovery)

    @gen_test
    async def test_a_client_that_has_no_bytes_gets_what_it_missed_as_base64(self):
        path, first, second = (
            "/socket.io/?EIO=4&transport=websocket&b64=1",
            await self.wire(),
            await self.wire(),
        )
        await first.upgrade(path)
        first.send_frame("40")
        self.assertEqual((await first.text())[0], "0")
        pid = json.loads((await first.text())[2:])["pid"]
        await self.noted("opened", False)
        first.reset()
        await self.assertClosedFor("transport close")
        self.handler.io.emit("x", b"\x01\x02\xff")
        await second.upgrade(path)
        second.send_frame("40" + json.dumps({"pid": pid}))
        self.assertEqual((await second.text())[0], "0")
        self.assertTrue((await second.text()).startswith('451-["x",{"_placeholder"'))
        self.assertEqual(await second.message(), "bAQL/")


class RecoveryBoundsTests(RecoveryTestCase):
    """The history for clients that may come back is bounded in bytes, in time and in clients."""

    options = {"recovery_window": 60.0, "max_buffered_bytes": 100_000}

    @property
    def history(self):
        return self.handler._home[0].namespaces["/"].history

    @gen_test
    async def test_events_beyond_the_history_are_gone_and_a_client_that_missed_them_is_new(self):
        late, later = await self.arrive(), await self.arrive()
        self.handler.io.emit("heard")
        for client in (late, later):
            await client.receive()
        await self.lose(late)
        for _ in range(100):
            self.handler.io.emit("much", "x" * 10_000)
            await later.receive()
            self.assertLessEqual(self.history.bytes, 400_000)
        await self.lose(later)
        self.assertEqual(
            self.history.bytes, sum(record.outgoing.size for record in self.history.records)
        )
        again = await self.arrive(recovered=False, auth=late.recovery)
        self.assertNotEqual(again.id, late.id)
        await self.arrive(recovered=True, auth=later.recovery)

    @gen_test
    async def test_a_client_that_missed_more_than_may_be_buffered_for_it_is_new(self):
        client = await self.arrive()
        await self.lose(client)
        for _ in range(20):
            self.handler.io.emit("much", "x" * 5_000)
        again = await self.arrive(recovered=False, auth=client.recovery)
        await self.assertNothingWaits(again)

    @gen_test
    async def test_the_first_of_too_many_clients_that_have_gone_are_forgotten(self):
        with mock.patch.object(socket_io, "MAX_GONE", 2):
            clients = [await self.arrive() for _ in range(4)]
            for client in clients:
                await self.lose(client)
            self.handler.io.emit("missed")
            self.assertEqual(len(self.history.gone), 2)
            for client, recovered in zip(clients, (False, False, True, True), strict=True):
                await self.arrive(recovered=recovered, auth=client.recovery)


class RecoveryWindowTests(RecoveryTestCase):
    """History and lost clients are forgotten after `recovery_window`, even if nothing else happens."""

    options = {"recovery_window": 0.1, "upgrade_timeout": 0.2}  # a sweep every 50 ms

    @gen_test
    async def test_events_and_clients_older_than_the_recovery_window_are_forgotten(self):
        client = await self.arrive()
        self.handler.io.emit("heard")
        await client.receive()
        await self.lose(client)
        history = self.handler._home[0].namespaces["/"].history
        self.assertEqual((len(history.records), len(history.gone)), (1, 1))
        while not history.is_empty:
            await asyncio.sleep(0.01)
        self.assertEqual((history.bytes, history.here), (0, {}))
        again = await self.arrive(recovered=False, auth=client.recovery)
        self.assertNotEqual(again.id, client.id)

    @gen_test
    async def test_a_client_that_was_here_for_longer_than_the_recovery_window_recovers(self):
        client = await self.arrive()
        self.handler.io.emit("heard")
        await client.receive()
        history = self.handler._home[0].namespaces["/"].history
        while history.records:
            await asyncio.sleep(0.01)
        await self.lose(client)
        self.handler.io.emit("missed")
        again = await self.arrive(recovered=True, auth=client.recovery)
        self.assertEqual(await self.names(again, 1), [("missed",)])


class FamilyRecoveryTests(FamilyTestCase):
    """A namespace of a family stays as long as a lost client may come back to it, and no longer."""

    matcher: ClassVar[Any] = re.compile(r"/room-\d+|/quiet")
    room_options = {"recovery_window": 0.3}
    options = {"recovery_window": 0.3, "upgrade_timeout": 0.2}

    async def lose(self, client):
        await client.close()
        self.assertEqual(await within(self.room.entries.get()), ("closed", "transport close"))

    @gen_test
    async def test_a_namespace_of_a_family_recovers_and_is_forgotten_after_the_window(self):
        client = await self.client(namespace="/room-1")
        await client.receive()
        await self.lose(client)
        self.handler.io.of("/room-1").emit("missed")
        again = await self.client(namespace="/room-1", auth=client.recovery)
        self.assertEqual((again.id, (await again.receive())[0]), (client.id, "missed"))
        namespace = weakref.ref(self.hub.namespaces["/room-1"])
        await self.lose(again)
        self.room.handlers.clear()
        while "/room-1" in self.hub.namespaces:
            await asyncio.sleep(0.01)
        gc.collect()
        self.assertIsNone(namespace())

    @gen_test
    async def test_a_namespace_of_a_family_where_nothing_was_ever_sent_recovers_too(self):
        self.room.on_open = lambda handler: type(handler).handlers.append(handler)
        client = await self.client(namespace="/quiet")
        await self.lose(client)
        again = await self.client(namespace="/quiet", auth=client.recovery)
        self.assertEqual(again.id, client.id)
        self.assertTrue(self.room.handlers[-1].recovered)
        self.room.io.emit("reaches it")
        self.assertEqual((await again.receive())[0], "reaches it")

    @gen_test
    async def test_two_namespaces_of_one_client_share_their_session_again(self):
        client = await self.client()
        await client.join("/room-1")
        root, room = self.handler.handlers[-1], self.room.handlers[-1]
        root.session["name"] = "ada"
        pids = {"/": root._member.recovery.pid, "/room-1": room._member.recovery.pid}
        await self.lose(client)
        again = await self.client(auth={"pid": pids["/"]})
        await again.join("/room-1", {"pid": pids["/room-1"]})
        root, room = self.handler.handlers[-1], self.room.handlers[-1]
        self.assertEqual((root.recovered, room.recovered), (True, True))
        room.session["cups"] = 2
        self.assertEqual(root.session, {"name": "ada", "cups": 2})
        self.assertIs(root.session, room.session)
        self.assertEqual(root.session.id, again.sid)

    @gen_test
    async def test_a_recovered_clients_new_session_is_not_undone_by_its_old_one(self):
        client = await self.client()
        await client.join("/room-1")
        self.handler.handlers[-1].session.update(name="ada", cups=2)
        pid = client.pid
        await self.lose(client)
        again = await self.client()
        self.handler.handlers[-1].session["name"] = "bob"
        await again.join("/room-1", {"pid": pid})
        self.assertTrue(self.room.handlers[-1].recovered)
        self.assertEqual(self.room.handlers[-1].session, {"name": "bob", "cups": 2})

    @gen_test
    async def test_empty_namespaces_of_a_family_beyond_their_bound_are_not_kept(self):
        with mock.patch.object(socket_io, "MAX_KEPT_NAMESPACES", 3):
            for number in range(10):
                await self.lose(await self.client(namespace=f"/room-{number}"))
            self.assertLessEqual(len(self.hub.namespaces), 4)


# ---- Life and end --------------------------------------------------------------------


class OnCloseTests(RecorderTestCase):
    """`on_close` comes exactly once after each `on_open` that has accepted, whether they are coroutines or not."""

    async def leave_and_hear(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        wire.reset()
        await self.assertClosedFor("transport close")
        self.assertTrue(self.handler.entries.empty())

    @gen_test
    async def test_on_close_comes_after_an_on_open_that_is_a_coroutine(self):
        async def on_open(handler):
            await asyncio.sleep(0)

        self.handler.on_open = on_open
        await self.leave_and_hear()

    @gen_test
    async def test_on_close_comes_after_the_event_that_ended_its_own_client(self):
        async def leave(handler):
            handler.disconnect()
            await asyncio.sleep(0)

        self.handler.on_message = lambda handler, message: leave(handler)
        client = await self.client()
        await client.send("x")
        await self.assertClosedFor("server namespace disconnect")

    @gen_test
    async def test_a_client_that_leaves_while_its_handler_works_is_no_error(self):
        gate = asyncio.Event()

        async def on_open(handler):
            type(handler).handlers.append(handler)
            await gate.wait()
            handler.join("lobby")

        self.handler.on_open = on_open
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        while not self.handler.handlers:
            await asyncio.sleep(0)
        with (
            self.assertNoLogs("tornado.application")
            if sys.version_info > (3, 10)
            else contextlib.nullcontext()
        ):
            wire.reset()
            while self.handler.handlers[0].close_reason is None:
                await asyncio.sleep(0)
            gate.set()
            while self.handler.handlers[0]._member.session.open_handlers:
                await asyncio.sleep(0)

    @gen_test
    async def test_a_refusal_that_is_no_json_is_a_server_error(self):
        def refuse(handler):
            raise ConnectionRefused("why", object())

        self.handler.on_open = refuse
        with (
            self.assertLogs("tornado.application", "ERROR"),
            self.assertRaises(ConnectionRefused) as refused,
        ):
            await self.client()
        self.assertEqual(refused.exception.message, "Server error")

    @gen_test
    async def test_joining_and_leaving_again_and_again_starts_a_bounded_number_of_handlers(self):
        gate = asyncio.Event()
        self.handler.on_open = lambda handler: gate.wait()
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        for _ in range(300):
            wire.send_frame("40")
            wire.send_frame("41")
        for _ in range(200):
            self.assertEqual(await wire.text(), '44{"message":"Too many namespaces"}')
        gate.set()


class Witness(Recorder):
    """A handler that notes its own state at each end of its life."""

    def on_open(self):
        super().on_open()
        self.join("tea")
        self.note("opening", self.connected, self.close_reason)

    def on_close(self):
        self.note(
            "closed", self.close_reason, self.connected, "tea" in self.rooms, self.id in self.rooms
        )


class LifeBehaviour:
    """`on_open` and `on_close` come once each in every generation, with node's close reasons."""

    dialect = transport = ""
    base = Witness

    async def arrive(self):
        client = await self.client(self.dialect, self.transport)
        await self.noted("opening", False, None)
        handler = self.handler.handlers[-1]
        while not handler.connected:
            await asyncio.sleep(0)
        return client, handler

    async def assertGone(self, reason, handler):
        """`on_close` has come, once."""
        await self.noted("closed", reason, False, True, True)
        for _ in range(5):
            await asyncio.sleep(0)
        self.assertTrue(self.handler.entries.empty())
        self.assertEqual((handler.connected, handler.close_reason), (False, reason))
        self.assertEqual(self.handler.io.to("tea").sockets(), [])
        handler.emit("nobody hears this")
        handler.disconnect()
        handler.close()
        with self.assertRaises(Disconnected):
            handler.join("another room")
        self.assertTrue(self.handler.entries.empty())

    @gen_test
    async def test_a_client_that_the_server_disconnects_is_closed_once_with_nodes_reason(self):
        for close in (False, True):
            client, handler = await self.arrive()
            handler.disconnect(close)
            self.assertFalse(handler.connected)
            await self.assertGone("server namespace disconnect", handler)
            if close:
                await within(client.disconnected.wait())

    @gen_test
    async def test_a_client_that_the_server_closes_is_closed_once_with_nodes_reason(self):
        client, handler = await self.arrive()
        handler.send("last words")
        handler.close()
        self.assertFalse(handler.connected)
        await self.assertGone("forced close", handler)
        self.assertEqual(await client.receive(), ("message", "last words"))
        await within(client.disconnected.wait())

    @gen_test
    async def test_a_client_at_shutdown_is_closed_once_with_nodes_reason(self):
        client, handler = await self.arrive()
        await self.handler.io.close()
        await self.assertGone("server shutting down", handler)
        await within(client.disconnected.wait())

    @gen_test
    async def test_a_client_that_leaves_is_closed_once_with_nodes_reason(self):
        client, handler = await self.arrive()
        if not client.dialect.has_namespaces:
            return
        await client.leave()
        await self.assertGone("client namespace disconnect", handler)

    @gen_test
    async def test_a_client_that_vanishes_is_closed_once_with_nodes_reason(self):
        client, handler = await self.arrive()
        session = handler._member.session
        while session.outlet is None:  # its next poll is on the way
            await asyncio.sleep(0)
        await client.close()
        if self.transport in POLLING:
            while session.outlet is not None:
                await asyncio.sleep(0)
            # Engine.IO has a grace of its own for the next poll, the older generations their clients'.
            grace = client.dialect.poll_return or socket_io.POLL_GRACE
            due = session.hub.clock.table[session.return_over] - session.hub.clock.now()
            self.assertAlmostEqual(due, grace, delta=1)
            session.return_over()
        engine_poll = self.transport in POLLING and client.dialect.poll_return is None
        reason = "transport error" if engine_poll else "transport close"
        await self.assertGone(reason, handler)

    @gen_test
    async def test_a_client_that_talks_nonsense_is_closed_once_with_nodes_reason(self):
        client, handler = await self.arrive()
        nonsense = EnginePacket(MESSAGE, "~j~{" if self.dialect == "0.6" else "9nonsense")
        with contextlib.suppress(AssertionError):  # a POST is refused
            await client._send_engine([nonsense])
        await self.assertGone("parse error", handler)

    @gen_test
    async def test_an_on_open_that_disconnects_is_heard_out_first(self):
        for name, reason in (
            ("disconnect", "server namespace disconnect"),
            ("close", "forced close"),
        ):
            for kind in ("plain", "coroutine"):
                with self.subTest(name=name, kind=kind):
                    self.handler.on_open = self.leaving(name, kind)
                    client = await self.client(self.dialect, self.transport)
                    self.assertEqual(await client.receive(), ("message", "first"))
                    self.assertEqual(await client.receive(), ("message", "second"))
                    handler = self.handler.handlers[-1]
                    await self.assertGone(reason, handler)
                    if name == "close" or client.dialect.root_is_connection:
                        await within(client.disconnected.wait())

    def leaving(self, name, kind):
        def plain(handler):
            type(handler).handlers.append(handler)
            handler.join("tea")
            handler.send("first")
            getattr(handler, name)()
            handler.send("second")  # it is still inside

        async def coroutine(handler):
            plain(handler)
            await asyncio.sleep(0)

        return coroutine if kind == "coroutine" else plain

    @gen_test
    async def test_a_refused_client_has_no_on_close(self):
        self.handler.on_open = lambda handler: handler.join("tea") or False
        with contextlib.suppress(ConnectionRefused, asyncio.IncompleteReadError):
            await within(self.client(self.dialect, self.transport), 1)
        self.assertEqual(self.handler.io.sockets(), [])
        for _ in range(5):
            await asyncio.sleep(0)
        self.assertTrue(self.handler.entries.empty())


class WebSocketLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"


class PollingLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EngineIO3LifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "websocket"


class EngineIO3JsonpLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "jsonp-polling"


class Protocol1LifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "websocket"


class Protocol1PollingLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "xhr-polling"


class Protocol1HtmlfileLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "htmlfile"


class AncestorLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "websocket"


class AncestorPollingLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-polling"


class AncestorMultipartLifeTests(LifeBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-multipart"


class SeveralNamespacesLifeTests(RecorderTestCase):
    """A connection's end ends each of its namespaces; the end of one namespace leaves the others."""

    base = Witness

    def get_app(self):
        self.side = type("Side", (Witness,), {"entries": asyncio.Queue(), "handlers": []})
        self.namespaces = {"/side": self.side}
        return super().get_app()

    @gen_test
    async def test_all_namespaces_of_a_connection_that_ends_hear_the_same_reason(self):
        for dialect in ("0.9", "EIO3", "EIO4"):
            for end, reason in (
                (lambda handler: handler.disconnect(close=True), "server namespace disconnect"),
                (lambda handler: handler.close(), "forced close"),
            ):
                with self.subTest(dialect=dialect, reason=reason):
                    client = await self.client(dialect)
                    await client.join("/side")
                    end(self.side.handlers[-1])
                    for handler in (self.handler, self.side):
                        self.assertEqual(
                            await within(handler.entries.get()), ("opening", False, None)
                        )
                        self.assertEqual(
                            await within(handler.entries.get()),
                            ("closed", reason, False, True, True),
                        )
                    await within(client.disconnected.wait())

    @gen_test
    async def test_a_namespace_of_a_connection_may_end_and_the_others_go_on(self):
        for dialect in ("0.9", "EIO3", "EIO4"):
            with self.subTest(dialect):
                client = await self.client(dialect)
                await client.join("/side")
                self.side.handlers[-1].disconnect()
                self.assertEqual((await within(self.side.entries.get()))[0], "opening")
                self.assertEqual(
                    (await within(self.side.entries.get()))[1], "server namespace disconnect"
                )
                self.handler.handlers[-1].send("still here")
                self.assertEqual(await client.receive(), ("message", "still here"))
                self.assertTrue(self.handler.handlers[-1].connected)


class GoodbyeTests(RecorderTestCase):
    """Each generation has its own word for the end, which decides whether its client comes back."""

    async def open_protocol_1(self, wire):
        sid = (await wire.request("GET", "/socket.io/1/"))[2].split(b":")[0].decode()
        url = f"/socket.io/1/xhr-polling/{sid}"
        self.assertEqual((await wire.request("GET", url))[2], b"1::")
        return url

    @gen_test
    async def test_at_shutdown_a_polling_client_of_protocol_1_is_advised_to_reconnect(self):
        wire = await self.wire()
        url = await self.open_protocol_1(wire)
        closing = asyncio.ensure_future(self.handler.io.close())
        self.assertEqual(
            (await wire.request("GET", url))[2], b"7:::1+0"
        )  # 0:: it takes for "do not come back"
        await closing

    @gen_test
    async def test_a_disconnected_client_of_protocol_1_is_not_advised_to_reconnect(self):
        wire = await self.wire()
        url = await self.open_protocol_1(wire)
        (await self.only()).disconnect()
        self.assertEqual((await wire.request("GET", url))[2], b"0::")

    @gen_test
    async def test_a_refused_client_of_protocol_1_is_not_advised_to_reconnect(self):
        self.handler.on_open = lambda handler: False
        wire = await self.wire()
        sid = (await wire.request("GET", "/socket.io/1/"))[2].split(b":")[0].decode()
        told = (await wire.request("GET", f"/socket.io/1/xhr-polling/{sid}"))[2].decode()
        self.assertEqual(told, "\ufffd5\ufffd7:::2\ufffd3\ufffd0::")

    @gen_test
    async def test_the_end_of_a_polling_session_comes_in_a_poll_of_its_own(self):
        """Clients since 1.0 look at a close packet before the packets that came with it."""
        for dialect, revision in (("EIO3", "3"), ("EIO4", "4")):
            with self.subTest(dialect):
                wire = await self.wire()
                url = f"/socket.io/?EIO={revision}&transport=polling"
                _, _, body = await wire.request("GET", url)
                url += "&sid=" + re.search(rb'"sid":"([^"]*)"', body)[1].decode()
                if dialect == "EIO4":
                    await wire.request("POST", url, b"40")
                    await wire.request("GET", url)
                handler = self.handler.handlers[-1]
                handler.emit("bye")
                handler.disconnect(close=True)
                self.assertEqual((await wire.request("GET", url))[2], {
                    "EIO3": b'9:42["bye"]2:41', "EIO4": b'42["bye"]\x1e41'}[dialect])  # fmt: skip
                self.assertEqual(
                    (await wire.request("GET", url))[2], {"EIO3": b"1:1", "EIO4": b"1"}[dialect]
                )
                self.assertEqual((await wire.request("GET", url))[0], 400)
                await self.assertClosedFor("server namespace disconnect")


class BirthAndEndTests(RecorderTestCase):
    """The log tells the birth and the end of each session at INFO, in words."""

    @gen_test
    async def test_info_tells_address_generation_transport_duration_and_reason_of_a_session(self):
        rows = [
            ("0.6", "xhr-polling"),
            ("0.9", "htmlfile"),
            ("EIO3", "websocket"),
            ("EIO4", "jsonp-polling"),
        ]
        for dialect, transport in rows:
            with self.subTest(dialect), self.assertLogs("socket_io", "INFO") as logged:
                await self.client(dialect, transport)
                handler = self.handler.handlers[-1]
                handler.disconnect(close=True)
                await self.assertClosedFor("server namespace disconnect")
            sid = handler.session.id[:6]
            came, went = [line for line in logged.output if line.startswith("INFO")]
            self.assertIn(f"session {sid} of Recorder begins: an {dialect} client", came)
            self.assertIn(f"from 127.0.0.1, over {transport}", came)
            self.assertRegex(
                went,
                f"session {re.escape(sid)} of Recorder ends after 0[.][0-9] s: server namespace disconnect; "
                f"an {dialect} client from 127.0.0.1, last over {transport}",
            )

    @gen_test
    async def test_info_names_the_transport_in_use_at_the_end_of_a_session(self):
        polling, websocket = await self.wire(), await self.wire()
        with self.assertLogs("socket_io", "INFO") as logged:
            url = await self.join_polling(polling)
            await websocket.upgrade(url.replace("polling", "websocket"))
            websocket.send_frame("5")
            websocket.send_frame("1")
            await self.assertClosedFor("transport close")
        self.assertIn("over xhr-polling", logged.output[0])
        self.assertIn("last over websocket", logged.output[-1])

    @gen_test
    async def test_info_is_silent_about_a_handshake_of_0_9_that_nothing_follows(self):
        with self.assertNoLogs("socket_io", "INFO"):
            await (await self.wire()).request("GET", "/socket.io/1/")
            (session,) = self.handler.io._at[-1][0].sessions.values()
            session.end("forced close")


class CutOffAnswerTests(RecorderTestCase):
    """Events of a poll's answer that was cut off may be lost: the session ends instead of going on with a gap."""

    options = {"max_buffered_bytes": 100_000_000}  # more than the kernel takes at once

    @gen_test
    async def test_a_poll_answer_that_is_cut_off_half_way_ends_the_session(self):
        first, second = await self.wire(), await self.wire()
        url = await self.join_polling(first)
        (await self.only()).send("x" * 30_000_000)
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", self.get_http_port())) as half_way:
            half_way.setblocking(False)
            half_way.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # close by a reset
            await loop.sock_sendall(
                half_way, f"GET {url} HTTP/1.1\r\nHost: test.example\r\n\r\n".encode()
            )
            await within(loop.sock_recv(half_way, 1000))
        await self.assertClosedFor("transport error")
        self.assertEqual((await second.request("GET", url))[0], 400)

    @gen_test
    async def test_a_client_that_hangs_up_after_the_last_byte_of_a_long_answer_goes_on(self):
        for dialect, transport in itertools.product(DIALECTS, POLLING):
            if transport not in DIALECTS[dialect].transports:
                continue
            for size in (30_000, 70_000, 1_000_000):
                with self.subTest(dialect=dialect, transport=transport, size=size):
                    client = await self.client(dialect, transport)
                    handler = self.handler.handlers[-1]
                    await self.stop_polling(client, handler._member.session)
                    handler.send("x" * size)
                    self.assertGreater(await self.poll_and_hang_up(client._url()), size)
                    handler.send("the next")
                    status, _, body = await (await self.wire()).request("GET", client._url())
                    self.assertEqual((status, b"the next" in body), (200, True))

    async def stop_polling(self, client, session):
        while session.outlet is None:
            await asyncio.sleep(0)
        await client.close()
        while session.outlet is not None:
            await asyncio.sleep(0)

    async def poll_and_hang_up(self, url):
        """Close the connection in the turn in which the last byte comes; return the length of the answer.

        A proxy does so that keeps no connections, and so do clients in Node.
        """
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", self.get_http_port())) as hasty:
            hasty.setblocking(False)
            head = f"GET {url} HTTP/1.1\r\nHost: test.example\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(hasty, head.encode())
            answer = bytearray(await within(loop.sock_recv(hasty, 1000)))
            size = int(re.search(rb"Content-Length: ([0-9]+)\r\n", answer)[1])
            while len(answer) < answer.index(b"\r\n\r\n") + 4 + size:
                # A step of the server in this turn comes before ours, as it did in the first read.
                await asyncio.sleep(0)
                with contextlib.suppress(BlockingIOError):
                    while data := hasty.recv(1_000_000):
                        answer += data
        return size


class BrokenPollTests(RecorderTestCase):
    """A client whose waiting poll loses its connection has two seconds to poll again."""

    options = {"upgrade_timeout": 0.2}  # a sweep every 50 ms

    async def break_a_poll(self, wire, url):
        wire.send_request("GET", url)
        session = self.handler.handlers[-1]._member.session
        while session.outlet is None:
            await asyncio.sleep(0)
        wire.reset()
        while session.outlet is not None:
            await asyncio.sleep(0)

    def test_a_client_whose_poll_broke_has_two_seconds_to_poll_again(self):
        self.assertEqual(socket_io.POLL_GRACE, 2.0)

    @gen_test
    async def test_a_client_whose_poll_broke_for_good_ends_with_a_transport_error(self):
        for dialect, transport in itertools.product(("EIO4", "EIO3"), POLLING):
            with (
                self.subTest(dialect=dialect, transport=transport),
                mock.patch.object(socket_io, "POLL_GRACE", 0.05),
            ):
                client = await self.client(dialect, transport)
                while self.handler.handlers[-1]._member.session.outlet is None:
                    await asyncio.sleep(0)
                await client.close()
                await within(self.assertClosedFor("transport error"), 2)

    @gen_test
    async def test_a_client_whose_poll_broke_and_that_polls_again_goes_on(self):
        with mock.patch.object(socket_io, "POLL_GRACE", 0.1):
            wire = await self.wire()
            url = await self.join_polling(wire)
            handler = await self.only()
            for number in range(2):
                await self.break_a_poll(wire, url)
                await asyncio.sleep(0.01)
                wire = await self.wire()
                wire.send_request("GET", url)
                await asyncio.sleep(0.2)
                handler.send(number)
                self.assertEqual((await wire.answer())[2], f'42["message",{number}]'.encode())
            self.assertTrue(handler.connected)

    @gen_test
    async def test_a_client_whose_poll_broke_and_that_upgrades_needs_no_poll(self):
        self.handler.upgrade_timeout = 10.0
        wire, websocket = await self.wire(), await self.wire()
        url = await self.join_polling(wire)
        with mock.patch.object(socket_io, "POLL_GRACE", 0.05):
            await self.break_a_poll(wire, url)
            await websocket.upgrade(url.replace("polling", "websocket"))
            await asyncio.sleep(0.15)
            websocket.send_frame("2probe")
            self.assertEqual(await websocket.text(), "3probe")
            websocket.send_frame("5")
            (await self.only()).send("still here")
            self.assertEqual(await websocket.text(), '42["message","still here"]')

    @gen_test
    async def test_a_client_of_0_x_whose_poll_broke_keeps_the_grace_of_its_generation(self):
        with mock.patch.object(socket_io, "POLL_GRACE", 0.05):
            for dialect in ("0.9", "0.6"):
                client = await self.client(dialect, XHR_POLLING)
                session = self.handler.handlers[-1]._member.session
                while session.outlet is None:
                    await asyncio.sleep(0)
                await client.close()
                while session.outlet is not None:
                    await asyncio.sleep(0)
                await asyncio.sleep(0.15)
                self.assertTrue(self.handler.handlers[-1].connected)


class ResetAfterHandshakeTests(RecorderTestCase):
    """A client may reset its connection right after its handshake."""

    @gen_test
    async def test_a_connection_reset_right_after_its_handshake_logs_no_error(self):
        await self.client()
        with (
            self.assertNoLogs(level="ERROR")
            if sys.version_info > (3, 10)
            else contextlib.nullcontext()
        ):
            for path in ("/socket.io/?EIO=4&transport=websocket", "/socket.io/htmlfile//1"):
                for _ in range(5):
                    wire = await self.wire()
                    headers = {"Upgrade": "websocket"} if "transport=websocket" in path else {}
                    key = "dGhlIHNhbXBsZSBub25jZQ=="
                    more = {
                        "Connection": "Upgrade",
                        "Sec_WebSocket_Version": "13",
                        "Sec_WebSocket_Key": key,
                    }
                    wire.send_request("GET", path, **{**headers, **(more if headers else {})})
                    await wire.writer.drain()
                    wire.reset()
                    await asyncio.sleep(0.01)


class ResetTests(RecorderTestCase):
    """A client that resets its connection while it is written to causes no warning."""

    @gen_test
    async def test_many_messages_to_a_connection_that_was_reset_are_quiet(self):
        loop = asyncio.get_running_loop()
        request = (
            "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: test.example\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        vanishing = socket.create_connection(("127.0.0.1", self.get_http_port()))
        vanishing.setblocking(False)
        vanishing.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # close by a reset
        await loop.sock_sendall(vanishing, request.encode())
        while not self.handler.handlers:
            await within(loop.sock_recv(vanishing, 1000))
        handler = await self.only()
        with self.assertNoLogs("asyncio", "WARNING"):
            vanishing.close()
            for number in range(50):
                handler.send(number)  # all before the loop has looked at the connection again
            await self.noted("closed", handler.close_reason or "transport close")


class SpawnTests(RecorderTestCase):
    """`spawn` runs a coroutine beside the events of its client, and no longer than the client is there."""

    variable: ClassVar[contextvars.ContextVar] = contextvars.ContextVar("variable")

    class base(Recorder):
        def on_open(self, *args, **kwargs):
            super().on_open()
            SpawnTests.variable.set(self)
            self.gate = asyncio.Event()

        def on_message(self, message):
            if message == "work":
                self.task = self.spawn(self.work())
            elif message == "fail":
                self.task = self.spawn(self.fail())
            else:
                self.send(message)

        async def work(self):
            try:
                await self.gate.wait()
                self.send("done" if SpawnTests.variable.get() is self else "elsewhere")
                return "result"
            except asyncio.CancelledError:
                self.note("cancelled", self.connected)
                raise

        async def fail(self):
            await asyncio.sleep(0)
            raise KeyError("why")

    CLIENTS = [
        ("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("EIO3", "jsonp-polling"), ("0.9", "websocket"),
        ("0.9", "htmlfile"), ("0.6", "xhr-multipart"), ("0.6", "xhr-polling"),
    ]  # fmt: skip

    @gen_test
    async def test_the_next_event_does_not_wait_for_a_task_which_ends_with_its_client(self):
        for dialect, transport in self.CLIENTS:
            with self.subTest(dialect, transport=transport):
                client = await self.client(dialect, transport)
                handler = self.handler.handlers[-1]
                await client.send("work")
                await client.send("next")
                self.assertEqual(await client.receive(), ("message", "next"))
                handler.gate.set()
                self.assertEqual(await client.receive(), ("message", "done"))
                self.assertEqual(await handler.task, "result")
                handler.gate.clear()
                await client.send("work")
                await client.send("next")
                await client.receive()
                handler.disconnect(close=True)
                await self.noted("cancelled", False)
                await self.assertClosedFor("server namespace disconnect")
                self.assertTrue(handler.task.cancelled())
                await asyncio.sleep(0)
                self.assertEqual(vars(handler)["_tasks"], set())

    @gen_test
    async def test_a_task_that_fails_is_reported_like_an_event_and_only_once(self):
        client = await self.client()
        with (
            self.assertLogs("tornado.application", "ERROR") as logged,
            self.assertNoLogs("asyncio", "ERROR"),
        ):
            await client.send("fail")
            await client.send("next")
            await client.receive()
            handler = await self.only()
            with self.assertRaises(KeyError):
                await handler.task
            del handler.task
            gc.collect()
        self.assertEqual(
            [record.getMessage() for record in logged.records],
            ["base.spawn(SpawnTests.base.fail) in '/': KeyError('why')"],
        )
        self.handler.on_error = lambda handler, error: handler.note("error", repr(error))
        await client.send("fail")
        await self.noted("error", "KeyError('why')")

    @gen_test
    async def test_a_task_of_one_namespace_is_cancelled_when_its_client_leaves_that_one(self):
        client = await self.client()
        await client.send("work")
        await client.send("next")
        await client.receive()
        await client.leave()
        await self.noted("cancelled", False)

    @gen_test
    async def test_a_task_that_was_spawned_by_an_on_open_that_refuses_never_begins(self):
        for answer in (False, ConnectionRefused("no")):

            def on_open(handler, answer=answer):
                handler.task = handler.spawn(handler.work())
                handler.handlers.append(handler)
                if answer is False:
                    return False
                raise answer

            self.handler.on_open = on_open
            with warnings.catch_warnings(record=True) as caught, self.subTest(answer):
                warnings.simplefilter("always")
                with self.assertRaises(ConnectionRefused):
                    await self.client()
                task = self.handler.handlers.pop().task
                await asyncio.wait([task])
                self.assertTrue(task.cancelled())
                del task
                gc.collect()
            self.assertEqual(caught, [])

    @gen_test
    async def test_a_task_that_disconnects_its_client_goes_on_to_its_end(self):
        async def work(handler):
            handler.disconnect()
            await asyncio.sleep(0)
            handler.note("went on")

        self.handler.work = work
        client = await self.client()
        await client.send("work")
        await self.noted("closed", "server namespace disconnect")
        await self.noted("went on")

    @gen_test
    async def test_what_cannot_be_spawned_is_refused_with_the_cure(self):
        await self.client()
        handler = await self.only()
        for what, cure in [
            (handler.fail, r"with parentheses: self.spawn\(self.fail\(\)\)"),
            (None, "with async def work"),
            (asyncio.get_running_loop().create_future(), "takes a coroutine, not <Future"),
        ]:
            with self.subTest(cure), self.assertRaisesRegex(TypeError, cure):
                handler.spawn(what)

    @gen_test
    async def test_after_the_end_nothing_is_spawned_and_no_coroutine_is_left_unawaited(self):
        client = await self.client()
        handler = await self.only()

        def on_close(self):
            try:
                self.spawn(self.work())
            except Disconnected as error:
                self.note(str(error))

        self.handler.on_close = on_close
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with self.assertLogs("socket_io", "WARNING") as logged:
                await client.close()
                await self.noted("base.spawn: the client has gone (transport close)")
            with self.assertRaises(Disconnected):
                handler.spawn(handler.work())
            refusals = []
            coroutine = handler.work()

            def elsewhere():
                try:
                    handler.spawn(coroutine)
                except RuntimeError as error:
                    refusals.append(str(error))

            await asyncio.to_thread(elsewhere)
            gc.collect()
        self.assertEqual(caught, [])
        self.assertIn("run_coroutine_threadsafe", refusals[0])
        self.assertIn("base.spawn in on_close", logged.output[0])
        self.assertIn("await it there", logged.output[0])

    def test_an_event_may_be_named_spawn(self):
        class Game(SocketIOHandler):
            @event
            def spawn(self, monster): ...

        self.assertEqual(list(Game._events), ["spawn"])


@unittest.skipIf(sys.version_info < (3, 12), "Python has eager tasks from 3.12 on")
class EagerSpawnTests(SpawnTests):
    def setUp(self):
        super().setUp()
        self.io_loop.asyncio_loop.set_task_factory(asyncio.eager_task_factory)


class StuckHandlerTests(RecorderTestCase):
    """A handler that hangs or cancels itself does not keep its client from ending."""

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
        handler.on_error = lambda error: None  # Python 3.10 does not know who has cancelled it
        await client.send("x")
        await client.emit("next")
        await self.noted("next")


# ---- Operators and threads -----------------------------------------------------------


class VolatileTests(RecorderTestCase):
    """[SIO "Volatile events"]: a volatile event is dropped if it cannot leave at once."""

    @gen_test
    async def test_a_volatile_event_that_cannot_leave_at_once_is_dropped(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        handler = await self.only()
        handler.volatile.emit("dropped")
        self.handler.io.volatile.emit("dropped too")
        handler.emit("kept")
        self.assertEqual((await wire.request("GET", url))[2], b'42["kept"]')

    TRANSPORTS = [
        ("EIO4", "xhr-polling"), ("EIO4", "jsonp-polling"), ("EIO4", "websocket"), ("EIO3", "xhr-polling"),
        ("0.9", "xhr-polling"), ("0.9", "htmlfile"), ("0.6", "xhr-polling"), ("0.6", "xhr-multipart"),
    ]  # fmt: skip

    async def waiting(self, dialect, transport):
        """A client that waits for what comes, and its handler."""
        client = await self.client(dialect, transport)
        handler = self.handler.handlers[-1]
        while handler._member.session.outlet is None or handler._member.session.outbox:
            await asyncio.sleep(0)
        return client, handler

    @gen_test
    async def test_events_of_one_turn_leave_together_volatile_or_not(self):
        for door in self.TRANSPORTS:
            with self.subTest(door):
                client, handler = await self.waiting(*door)
                handler.volatile.send("a")
                self.handler.io.to(handler.id).volatile.send("b")
                handler.send("c")
                handler.volatile.send("d")
                for message in "abcd":
                    self.assertEqual(await client.receive(), ("message", message))

    @gen_test
    async def test_volatile_events_of_one_turn_have_a_bound(self):
        for door in self.TRANSPORTS:
            with self.subTest(door):
                client, handler = await self.waiting(*door)
                for number in range(2000):
                    handler.volatile.send(f"{number} " + "x" * 1000)
                session = handler._member.session
                self.assertLess(session.outbox_bytes, socket_io.VOLATILE_BYTES + 2000)
                if door[1] not in WEBSOCKETS:
                    handler.send("the end")
                    numbers = []
                    while (message := (await client.receive())[1]) != "the end":
                        numbers.append(int(message.split()[0]))
                    self.assertEqual(numbers, list(range(len(numbers))))
                    self.assertLess(len(numbers), 100)


class WhoIsThereTests(RecorderTestCase):
    """`io` finds clients by id, and tells rooms and numbers."""

    GENERATIONS = (
        ("EIO4", "websocket"),
        ("EIO3", "xhr-polling"),
        ("0.9", "websocket"),
        ("0.6", "websocket"),
    )

    @gen_test
    async def test_a_client_is_found_by_its_id_and_is_not_when_it_has_gone(self):
        for generation in self.GENERATIONS:
            with self.subTest(generation):
                await self.client(*generation)
                handler = self.handler.handlers[-1]
                for io in (handler.io, self.handler.io):
                    self.assertIs(io.get(handler.id), handler)
                    self.assertIsNone(io.get("nobody"))
                handler.disconnect(close=True)
                await self.assertClosedFor("server namespace disconnect")
                self.assertIsNone(self.handler.io.get(handler.id))

    @gen_test
    async def test_io_rooms_gives_names_and_sizes_and_no_ids(self):
        for generation in self.GENERATIONS:
            await self.client(*generation)
        first, second, *_ = self.handler.handlers
        self.assertEqual(first.io.rooms(), {})
        first.join("tea", "coffee")
        second.join("tea")
        self.assertEqual(self.handler.io.rooms(), {"tea": 2, "coffee": 1})
        first.leave("coffee")
        self.assertEqual(self.handler.io.rooms(), {"tea": 2})

    @gen_test
    async def test_len_of_io_is_the_number_of_clients_and_io_is_true_without_any(self):
        self.assertEqual((len(self.handler.io), bool(self.handler.io)), (0, True))
        for number, generation in enumerate(self.GENERATIONS, 1):
            await self.client(*generation)
            self.assertEqual(len(self.handler.io), number)

    @gen_test
    async def test_a_client_is_found_in_io_from_its_on_open_on(self):
        async def on_open(handler, *args):
            self.handler.handlers.append(handler)
            handler.note([handler] == handler.io.sockets(), handler.io.get(handler.id) is handler)
            await asyncio.sleep(0)
            handler.note(len(handler.io))

        self.handler.on_open = on_open
        for generation in self.GENERATIONS:
            with self.subTest(generation):
                await self.client(*generation)
                await self.noted(True, True)
                await self.noted(1)
                self.handler.handlers[-1].disconnect(close=True)
                await self.assertClosedFor("server namespace disconnect")

    @gen_test
    async def test_a_class_that_two_routes_serve_counts_both(self):
        self._app.add_handlers(".*", [self.handler.routes("other")])
        await self.client()
        other = await self.client(path="/other")
        for handler in self.handler.handlers:
            handler.join("tea")
            self.assertIs(self.handler.io.get(handler.id), handler)
            self.assertEqual(handler.io.rooms(), {"tea": 1})
        self.assertEqual(self.handler.io.rooms(), {"tea": 2})
        self.assertEqual(len(self.handler.io), 2)
        self.assertIsNotNone(other)


class OperatorTests(RecorderTestCase):
    """`to`, `in_`, `except_`, `volatile`, `local` and `timeout` give a new operator each, and combine in any order."""

    async def people(self, *rooms_of_each):
        """A client for each, in those rooms; `told` empties what they have heard."""
        clients = []
        for dialect, rooms in zip(
            itertools.cycle(["EIO4", "EIO3", "0.9"]), rooms_of_each, strict=False
        ):
            clients.append(await self.client(dialect))
            self.handler.handlers[-1].join(*rooms)
        return clients

    async def told(self, clients):
        """What each has been told until now."""
        heard = []
        self.handler.io.emit("end")
        for client in clients:
            heard.append([])
            while (event := await client.receive()) != ("end",):
                heard[-1].append(event[1])
        return heard

    @gen_test
    async def test_rooms_may_come_in_lists(self):
        ann, bob, cat = await self.people((), (), ())
        first, second, third = self.handler.handlers
        first.join(["tea", "coffee"])
        second.join("tea", ("milk",), {"sugar"})
        drinks = {"tea", "coffee", "milk", "sugar", "water"}
        self.assertEqual(first.rooms & drinks, {"tea", "coffee"})
        self.assertEqual(second.rooms & drinks, {"tea", "milk", "sugar"})
        io = self.handler.io
        io.to(third.id).join(["milk", "water"])
        io.to(["coffee", "milk"]).emit("a", 1)
        io.in_(["coffee"], "milk").except_(["water"]).emit("a", 2)
        io.except_(frozenset([first.id, "water"])).emit("a", 3)
        third.to(["tea"]).emit("a", 4)
        third.in_(["tea"]).except_(["coffee"]).emit("a", 5)
        third.except_(["tea"]).emit("a", 6)
        third.volatile.to(["coffee"]).emit("a", 7)
        io.to([]).emit("a", 8)  # as in node: no room is no choice
        self.assertEqual(
            await self.told([ann, bob, cat]), [[1, 2, 4, 7, 8], [1, 2, 3, 4, 5, 8], [1, 8]]
        )
        second.leave(["tea", "milk"], "sugar")
        io.leave(["tea", "water"])
        self.assertEqual(second.rooms & drinks, set())
        self.assertEqual(first.rooms & drinks, {"coffee"})

    @gen_test
    async def test_a_room_that_is_no_text_is_a_type_error_with_the_cure(self):
        await self.people(())
        handler = await self.only()
        io = self.handler.io
        for one in (io, handler, io.to("room"), handler.volatile, handler.broadcast):
            for verb in (one.to, one.in_, one.except_, one.join, one.leave):
                for room, cure in [
                    (5, "str()"),
                    (None, "str()"),
                    (b"tea", "str()"),
                    (["tea", 5], "str()"),
                    ([["tea"]], "str()"),
                    ({"tea": 1}, "str()"),
                    (handler, "id"),
                ]:
                    with self.subTest(verb=verb, room=room), self.assertRaises(TypeError) as said:
                        verb("tea", room)
                    self.assertIn(cure, str(said.exception))
        self.assertEqual(handler.rooms, {handler.id})

    @gen_test
    async def test_each_operator_is_a_new_object_and_can_be_kept(self):
        clients = await self.people(["a"], ["b"], ["a", "b"], [])
        io = self.handler.io
        in_a = io.to("a")
        in_a.to("b").emit("x", 1)
        in_a.except_("b").emit("x", 2)
        in_a.emit("x", 3)
        io.except_("a", "b").emit("x", 4)
        io.emit("x", 5)
        self.assertEqual(await self.told(clients), [[1, 2, 3, 5], [1, 5], [1, 3, 5], [4, 5]])

    @gen_test
    async def test_operators_combine_in_any_order(self):
        clients = await self.people(["a"], ["b"], ["a", "b"], ["a", "muted"])
        io, first = self.handler.io, self.handler.handlers[0]
        rows = [
            io.local.volatile.to("a").except_("muted"),
            io.except_("muted").to("a").timeout(1).local.volatile,
            io.timeout(1).in_("a", "a").except_("muted", "nobody"),
            first.io.volatile.in_("a").except_("muted"),
        ]
        for number, operator in enumerate(rows):
            operator.emit("x", number)
        first.in_("a").except_("muted").volatile.emit("x", 4)
        first.broadcast.in_("a").local.except_("muted").emit("x", 5)
        first.except_("muted").to("a").emit("x", 6)
        self.assertEqual(await self.told(clients), [[0, 1, 2, 3], [], [0, 1, 2, 3, 4, 5, 6], []])

    @gen_test
    async def test_volatile_on_a_handler_means_its_client_and_with_rooms_the_others_in_them(self):
        clients = await self.people(["a"], ["a"], [], ["a", "b"])
        first = self.handler.handlers[0]
        first.volatile.emit("x", 1)
        first.volatile.to("a").emit("x", 2)
        first.volatile.in_("a").except_("b").emit("x", 3)
        first.volatile.broadcast.emit("x", 4)
        first.volatile.except_("a").emit("x", 5)
        first.volatile.timeout(5).local.emit("x", 6)
        self.assertEqual(await self.told(clients), [[1, 6], [2, 3, 4], [4, 5], [2, 4]])

    @gen_test
    async def test_an_operator_cannot_close_the_server(self):
        await self.client()
        io = self.handler.io
        for operator in (
            io.to("a"),
            io.in_("a"),
            io.except_("a"),
            io.volatile,
            io.local,
            io.timeout(1),
        ):
            for name in ("close", "of", "stats"):
                self.assertFalse(hasattr(operator, name), name)

    @gen_test
    async def test_send_is_the_event_message(self):
        client = await self.client()
        self.handler.io.send({"a": 1})
        self.assertEqual(await client.receive(), ("message", {"a": 1}))
        with self.assertRaises(ValueError):
            self.handler.io.emit("disconnect")
        with self.assertRaises(TypeError):
            self.handler.io.emit(5)

    @gen_test
    async def test_operators_work_from_request_handlers_timers_and_threads(self):
        client = await self.client()
        chat = self.handler

        class Page(tornado.web.RequestHandler):
            def get(self):
                chat.io.to("tea").emit("from", "a request")

        self._app.add_handlers(".*", [("/page", Page)])
        (await self.only()).join("tea")
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/page"))[0], 200)
        self.assertEqual(await client.receive(), ("from", "a request"))
        tornado.ioloop.IOLoop.current().add_callback(self.handler.io.emit, "from", "a timer")
        self.assertEqual(await client.receive(), ("from", "a timer"))
        for work in (self.work, lambda: asyncio.run(self.work_on())):
            await asyncio.get_running_loop().run_in_executor(None, work)
            self.assertEqual(await client.receive(), ("from", "a thread"))
            self.assertEqual(await client.receive(), ("and", "its end"))

    def work(self):
        self.handler.io.to("tea").except_("coffee").volatile.emit("from", "a thread")
        self.handler.io.in_("tea").leave("tea")
        self.handler.io.join("tea")
        self.handler.io.to("tea").emit("and", "its end")

    async def work_on(self):  # another thread's own loop
        self.work()

    @gen_test
    async def test_operators_move_find_and_disconnect_many_clients_at_once(self):
        clients = await self.people(["a"], ["b"], ["a", "b"])
        io = self.handler.io
        io.to("a").join("c", "d")
        io.to("b").leave("d", "nowhere")
        self.assertEqual(
            [handler.rooms >= {"c", "d"} for handler in self.handler.handlers], [True, False, False]
        )
        self.assertEqual(io.to("c").except_("b").sockets(), [self.handler.handlers[0]])
        io.to("b").disconnect()
        for _ in range(2):
            await self.assertClosedFor("server namespace disconnect")
        self.assertEqual(io.sockets(), [self.handler.handlers[0]])
        io.disconnect(close=True)
        await self.assertClosedFor("server namespace disconnect")
        for client in (clients[0], clients[2]):
            await within(client.disconnected.wait())
        self.assertEqual(io.sockets(), [])

    @gen_test
    async def test_call_to_many_gathers_acks_and_says_which_clients_gave_none(self):
        answers, several, none, silent, leaves, old = [
            await self.client(dialect) for dialect in ("EIO4", "EIO3", "0.9", "EIO4", "EIO4", "0.6")
        ]
        ids = [handler.id for handler in self.handler.handlers]
        for handler in self.handler.handlers:
            handler.join("quiz")
        await self.client()
        asked = asyncio.ensure_future(
            self.handler.io.to("quiz").timeout(0.15).call("question", "?")
        )
        await answers.answer({"a": 1})
        await several.answer(1, 2)
        await none.answer()
        await leaves.close()
        acks = await asked
        self.assertEqual(acks.answers, {ids[0]: {"a": 1}, ids[1]: [1, 2], ids[2]: None})
        self.assertEqual(acks.missing, set(ids[3:]))
        self.assertEqual([handler._member.acks for handler in self.handler.handlers], [{}] * 7)
        await silent.answer("too late")
        self.handler.io.emit("end")  # a client without acks has not been asked
        self.assertEqual((await old.receive())[1]["name"], "end")

    @gen_test
    async def test_call_to_many_ends_when_all_have_answered_or_nobody_is_there(self):
        client = await self.client()
        asked = asyncio.ensure_future(self.handler.io.call("question", timeout=60))
        await client.answer("yes")
        self.assertEqual((await within(asked)).answers, {client.id: "yes"})
        acks = await within(self.handler.io.to("nobody").call("question"))
        self.assertEqual((acks.answers, acks.missing), ({}, set()))
        only_others = await within((await self.only()).broadcast.call("question"))
        self.assertEqual(only_others.answers, {})

    @gen_test
    async def test_a_call_to_many_that_is_cancelled_leaves_no_ack_owed(self):
        client = await self.client()
        handler = await self.only()
        asked = asyncio.ensure_future(self.handler.io.call("question"))
        await client.receive()
        asked.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asked
        self.assertEqual((handler._member.acks, handler._member.session.owed_acks), ({}, 0))

    @gen_test
    async def test_server_side_emit_on_a_server_alone_reaches_nobody(self):
        self.handler.io.server_side_emit("hello", 1)
        self.assertEqual(await self.handler.io.server_side_call("hello", 1), [])
        self.assertEqual(await self.handler.io.server_count(), 1)
        with self.assertRaises(TypeError):
            self.handler.io.server_side_emit("hello", object())


class StatsTests(RecorderTestCase):
    """`io.stats()` counts clients, messages and bytes, and measures the loop's lag."""

    @gen_test
    async def test_stats_count_clients_by_generation_and_transport(self):
        self.assertEqual(self.handler.io.stats()["clients"], {})
        rows = [
            ("0.6", "htmlfile"),
            ("0.9", "websocket"),
            ("EIO3", "xhr-polling"),
            ("EIO4", "websocket"),
            ("EIO4", "websocket"),
        ]
        clients = [await self.client(*row) for row in rows]
        await (await self.wire()).request(
            "GET", "/socket.io/1/"
        )  # has not said yet how it will come
        self.assertEqual(
            self.handler.io.stats()["clients"],
            {
                "0.6": {"htmlfile": 1},
                "0.9": {"websocket": 1},
                "EIO3": {"xhr-polling": 1},
                "EIO4": {"websocket": 2},
            },
        )
        await clients[3].close()
        await self.assertClosedFor("transport close")
        self.assertEqual(self.handler.io.stats()["clients"]["EIO4"], {"websocket": 1})

    @gen_test
    async def test_stats_count_events_and_acks_as_messages_and_no_other_packets(self):
        for transport in ("websocket", "xhr-polling"):
            with self.subTest(transport):
                client = await self.client(transport=transport)
                before = self.handler.io.stats()
                for _ in range(3):
                    await client.send("x")
                    await self.noted("message", "x")
                handler = self.handler.handlers[-1]
                handler.send("1")
                self.handler.io.to(handler.id).emit("2")
                asked = asyncio.ensure_future(handler.call("3"))
                await client.answer()
                await asked
                handler._member.session.send_engine(PING)
                after = self.handler.io.stats()
                self.assertEqual(after["messages_received"] - before["messages_received"], 4)
                self.assertEqual(after["messages_sent"] - before["messages_sent"], 3)
                self.assertGreater(after["bytes_received"], before["bytes_received"])
                self.assertGreater(after["bytes_sent"], before["bytes_sent"])

    @gen_test
    async def test_stats_count_bytes_that_clients_have_not_taken_as_buffered(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        self.assertEqual(self.handler.io.stats()["buffered_bytes"], 0)
        (await self.only()).send("x" * 10_000)
        self.assertGreater(self.handler.io.stats()["buffered_bytes"], 10_000)
        await wire.request("GET", url)
        self.assertEqual(self.handler.io.stats()["buffered_bytes"], 0)
        deaf = await self.client()
        deaf._wire.writer.transport.pause_reading()
        while self.handler.io.stats()["buffered_bytes"] < 100_000:
            self.handler.handlers[-1].send("x" * 100_000)
            await asyncio.sleep(0)

    @gen_test
    async def test_stats_give_the_lag_of_the_loop(self):
        self.handler._home[0].sweep_seconds = 0.01
        await self.client()
        while self.handler._home[0].clock.next_sweep == math.inf:
            await asyncio.sleep(0.01)
        time.sleep(0.15)
        while self.handler.io.stats()["lag"] < 0.1:
            await asyncio.sleep(0)
        while self.handler.io.stats()["lag"] > 0.1:
            await asyncio.sleep(0.01)

    def test_stats_are_zero_before_the_first_client(self):
        stats = self.handler.io.stats()
        self.assertEqual(stats.pop("clients"), {})
        self.assertEqual(set(stats.values()), {0})


class ThreadTests(RecorderTestCase):
    """Operators and handlers may be used from any thread."""

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

    @gen_test
    async def test_a_value_that_a_thread_changes_after_emit_is_sent_as_it_was(self):
        client = await self.client()
        handler = await self.only()

        def count():
            value = {"numbers": []}
            for number in range(5):
                value["numbers"].append(number)
                self.handler.io.emit("counted", value)
                handler.emit("counted", value)

        await asyncio.get_running_loop().run_in_executor(None, count)
        for number in range(5):
            for _ in range(2):
                self.assertEqual(
                    await client.receive(), ("counted", {"numbers": list(range(number + 1))})
                )

    @gen_test
    async def test_bytes_of_every_kind_that_a_thread_emits_are_sent_as_they_were(self):
        client = await self.client()
        handler = await self.only()

        def send():
            buffer = bytearray(b"as it was")
            for emit in (self.handler.io.emit, handler.emit):
                emit("bytes", memoryview(buffer), {"in": [b"x", buffer]})
            buffer[:] = b"changed.."

        await asyncio.get_running_loop().run_in_executor(None, send)
        for _ in range(2):
            self.assertEqual(
                await client.receive(), ("bytes", b"as it was", {"in": [b"x", b"as it was"]})
            )

    @gen_test
    async def test_numbers_that_a_thread_emits_keep_all_their_digits(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        numbers = [0.1, 1e16, 1e-7, -0.0, 2**70, True, None]
        text = "0.1,1e+16,1e-07,-0.0,1180591620717411303424,true,null"
        if socket_io.json_writer is not json:
            numbers.append(Decimal("1.00000000000000000000001"))
            text += ",1.00000000000000000000001"
        for emit in (self.handler.io.emit, (await self.only()).emit):
            await asyncio.get_running_loop().run_in_executor(None, emit, "numbers", *numbers)
            self.assertEqual(await wire.text(), f'42["numbers",{text}]')

    @gen_test
    async def test_a_client_is_moved_and_disconnected_from_any_thread(self):
        in_thread = functools.partial(asyncio.get_running_loop().run_in_executor, None)
        for dialect, transport in EndOfProcessTests.DOORS:
            if transport == "upgrade":
                continue
            for end, args, reason in (
                ("disconnect", (True,), "server namespace disconnect"),
                ("close", (), "forced close"),
            ):
                with self.subTest(dialect=dialect, transport=transport, end=end):
                    client = await self.client(dialect, transport)
                    handler = self.handler.handlers[-1]
                    await in_thread(handler.join, "tea", "coffee")
                    await in_thread(handler.leave, "coffee")
                    while "tea" not in handler.rooms or "coffee" in handler.rooms:
                        await asyncio.sleep(0)
                    await in_thread(handler.send, "before the end")
                    await in_thread(getattr(handler, end), *args)
                    self.assertEqual(await client.receive(), ("message", "before the end"))
                    await self.assertClosedFor(reason)
                    await within(client.disconnected.wait())

    @gen_test
    async def test_an_emit_of_a_thread_that_fails_in_the_loop_is_one_log_line(self):
        self.handler.max_rooms = 1
        client = await self.client()
        handler = await self.only()
        in_thread = functools.partial(asyncio.get_running_loop().run_in_executor, None)
        with self.assertLogs("socket_io", "ERROR") as logged:
            await in_thread(handler.join, "tea", "coffee")
            handler.send("after that")
            await client.receive()
        self.assertEqual(len(logged.output), 1)
        self.assertIn("another thread", logged.output[0])
        await client.close()
        await self.assertClosedFor("transport close")
        with (
            self.assertNoLogs("asyncio")
            if sys.version_info > (3, 10)
            else (contextlib.nullcontext())
        ):
            await in_thread(handler.join, "tea")  # who has gone joins nothing: no error
            await in_thread(handler.disconnect)
            await asyncio.sleep(0)

    @gen_test
    async def test_a_thread_with_a_loop_of_its_own_can_call(self):
        client = await self.client()
        handler = await self.only()
        in_thread = functools.partial(asyncio.get_running_loop().run_in_executor, None)
        asked = in_thread(lambda: asyncio.run(handler.call("question", 1)))
        self.assertEqual(await client.answer("one"), ("question", 1))
        self.assertEqual(await within(asked), "one")
        asked = in_thread(lambda: asyncio.run(self.handler.io.call("question", 2)))
        self.assertEqual(await client.answer("two"), ("question", 2))
        self.assertEqual((await within(asked)).answers, {handler.id: "two"})
        with self.assertRaises(socket_io.AckTimeout):
            await in_thread(lambda: asyncio.run(handler.call("question", timeout=0.01)))
        with self.assertRaises(TypeError):
            await in_thread(lambda: asyncio.run(handler.call("question", object())))
        answers = asyncio.Queue()
        await in_thread(functools.partial(handler.emit, "question", ack=answers.put_nowait))
        await client.answer()  # that of the call which did not wait
        await client.answer("three")
        self.assertEqual(await within(answers.get()), "three")


# ---- Classes and options -------------------------------------------------------------


class SubclassTests(unittest.TestCase):
    """A mistake in a class raises when the class is made or served, and the message has the cure."""

    def assertRefused(self, body, *words):
        with self.assertRaises((TypeError, ValueError)) as refused:
            type("Chat", (SocketIOHandler,), body() if callable(body) else body)
        for word in words:
            self.assertIn(word, str(refused.exception))

    def test_a_method_that_would_never_be_called_is_refused(self):
        for name in ("get", "post", "options", "prepare"):
            self.assertRefused({name: lambda self: None}, name, "on_open")
        for name, ours in [
            ("data_received", "on_message"),
            ("on_finish", "on_close"),
            ("on_connection_close", "on_close"),
            ("write_error", "allow_request"),
            ("set_default_headers", "a @classmethod, set_default_headers(cls, request, answer)"),
            ("check_xsrf_cookie", "allowed_origins"),
        ]:
            self.assertRefused({name: lambda self: None}, f"Chat.{name}", ours)

    def test_an_inherited_method_that_would_never_be_called_is_warned_of_once(self):
        class BaseHandler(tornado.web.RequestHandler):
            def get(self): ...

            def post(self): ...

            def data_received(self, chunk): ...

            def set_default_headers(self): ...

        for bases in ((BaseHandler, SocketIOHandler), (SocketIOHandler, BaseHandler)):
            with self.subTest(bases), self.assertLogs("socket_io", "WARNING") as logged:
                socket_io._warned.clear()
                chat = type("Chat", bases, {})
                type("Child", (chat,), {})
                chat.routes("socket.io")
                SocketIOHandler.routes("socket.io")
                self.assertEqual(len(logged.output), 1)
                for word in ("Chat", "BaseHandler.get", "BaseHandler.post", "BaseHandler.data_rec"):
                    self.assertIn(word, logged.output[0])

    def test_an_inherited_prepare_is_refused_unless_the_class_answers_for_it(self):
        class BaseHandler(tornado.web.RequestHandler):
            def prepare(self): ...

        with self.assertRaises(TypeError) as refused:
            type("Chat", (BaseHandler, SocketIOHandler), {})
        for word in ("BaseHandler.prepare", "Chat", "allow_request", "prepare = tornado.web"):
            self.assertIn(word, str(refused.exception))
        for body in (
            {"prepare": tornado.web.RequestHandler.prepare},
            {"allow_request": classmethod(lambda cls, request: True)},
        ):
            with self.assertLogs("socket_io") as logged:
                socket_io.log.info("so that there is a line at all")
                type("Child", (type("Chat", (BaseHandler, SocketIOHandler), body),), {})
            self.assertEqual("BaseHandler.prepare" in str(logged.output), "prepare" not in body)

    def test_a_method_with_a_yield_is_refused(self):
        def generator(self):
            yield

        async def asynchronous_generator(self):
            yield

        for method in (generator, asynchronous_generator):
            for name in (
                "on_open",
                "on_close",
                "go",
            ):  # "go" comes last: `event` marks the function
                with self.subTest(method.__name__, name=name):
                    value = event(method) if name == "go" else method
                    self.assertRefused({name: value}, f"Chat.{name}", "yield", "async")

    def test_a_slip_in_a_methods_name_is_refused(self):
        for slip, ours in [
            ("on_mesage", "on_message"),
            ("onMessage", "on_message"),
            ("allow_requests", "allow_request"),
        ]:
            self.assertRefused({slip: lambda self: None}, f"Chat.{slip}", f"use {ours}")
        type("Fine", (SocketIOHandler,), {"on_mesage": event(lambda self: None)})
        # A method is no option: it may be called nearly like one.
        type("Fine", (SocketIOHandler,), {"max_room": lambda self: None})

    def test_a_method_that_takes_other_arguments_than_it_gets_is_refused(self):
        async def on_close(self, reason): ...

        for body, cure in [
            ({"on_close": on_close}, "write def on_close(self): self.close_reason tells why"),
            ({"on_close": lambda: None}, "def on_close(self)"),
            ({"on_message": lambda self, sid, data: None}, "def on_message(self, message)"),
            ({"on_message": lambda self, *, message: None}, "def on_message(self, message)"),
            ({"on_error": lambda self: None}, "def on_error(self, error)"),
            ({"on_event": lambda self: None}, "def on_event(self, name, *args)"),
            ({"on_any": lambda self, name: None}, "def on_any(self, name, *args)"),
            (
                {"on_any_outgoing": lambda self, event: None},
                "def on_any_outgoing(self, name, *args)",
            ),
            ({"dispatch": lambda self, name: None}, "def dispatch(self, name, *args)"),
            ({"allow_request": classmethod(lambda cls: True)}, "def allow_request(cls, request)"),
            ({"on_refused": staticmethod(lambda request: None)}, "on_refused(cls, request, why)"),
            (
                {"set_initial_headers": classmethod(lambda cls, request: None)},
                "set_initial_headers(cls, request, answer)",
            ),
            (
                {"set_default_headers": staticmethod(lambda headers: None)},
                "set_default_headers(cls, request, answer)",
            ),
        ]:
            with self.subTest(cure):
                self.assertRefused(body, f"Chat.{next(iter(body))}(", cure)
        for body in (
            {"on_close": lambda self, reason=None: None},
            {"on_close": staticmethod(lambda: None)},
            {"on_message": lambda *args: None},
            {"on_event": lambda self, name, one: None},
            {"on_any": lambda self, *args: None},
            {"dispatch": lambda self, name, *args, **kwargs: None},
            {"allow_request": staticmethod(lambda request: True)},
            {"on_close": mock.Mock()},
            {"on_open": lambda self, sid, environ: None},  # the route may have two groups
        ):
            type("Fine", (SocketIOHandler,), body)

    def test_an_on_open_that_does_not_take_what_its_route_matches_is_refused_by_routes(self):
        takes_two = type("Chat", (SocketIOHandler,), {"on_open": lambda self, sid, environ: None})
        takes_nothing = type("Chat", (SocketIOHandler,), {"on_open": lambda self: None})
        by_name = type("Chat", (SocketIOHandler,), {"on_open": lambda self, token, extra: None})
        for handler, resource, cure in [
            (takes_two, ("socket.io",), "def on_open(self): self.id, self.request and self.auth"),
            (takes_two, ("chat", ".*", "/"), "def on_open(self, extra)"),
            (takes_nothing, ("(a|b)/(c)",), "def on_open(self, group1, group2)"),
            (takes_nothing, ("chat", "(?P<token>[a-z]+)", "/"), "def on_open(self, extra, token)"),
        ]:
            with self.subTest(cure), self.assertRaises(TypeError) as refused:
                handler.routes(*resource)
            self.assertIn("Chat.on_open(self", str(refused.exception))
            self.assertIn(cure, str(refused.exception))
        with self.assertRaisesRegex(TypeError, "Chat.on_open"):
            takes_nothing.routes("socket.io", namespaces={re.compile("/a"): takes_two})
        takes_two.routes("(a|b)/(c)")
        by_name.routes("chat", "(?P<token>[a-z]+)", "/")
        SocketIOHandler.routes("(a)/(?P<b>b)")
        # The class whose routes() is called serves no namespace here.
        takes_two.routes("socket.io", namespaces={"/": takes_nothing})

    def test_what_annotations_name_can_be_imported(self):
        for name in ("Broadcast", "BroadcastAcks", "Oneself", "NamespaceIO", "RemoteSocket", "UserSession",
                     "HomeIO", "Dialect", "TLSSocket", "NotServed", "ClusterTimeout", "AckTimeout"):  # fmt: skip
            self.assertIn(name, socket_io.__all__)
            self.assertTrue(getattr(socket_io, name).__doc__, name)
        missing = [name for name in socket_io.__all__ if not hasattr(socket_io, name)]
        self.assertEqual(missing, [])

    def test_what_has_no_name_here_is_refused_with_the_reason(self):
        self.assertRefused({"async_mode": "tornado"}, "leave it out: the loop is Tornado's")
        for name in ("client_manager", "message_queue"):
            self.assertRefused({name: "redis://"}, "use cluster")

    def test_an_event_method_with_the_name_of_a_hook_is_told_to_do_without_the_decorator(self):
        for name in ("message", "on_message"):
            body = {"on_message": event(name)(lambda self, message: None)}
            self.assertRefused(body, "override on_message without @event")

    def test_an_event_method_that_hides_a_method_of_the_base_is_refused(self):
        for name in ("join", "clear", "get_cookie"):
            with self.subTest(name):
                method = lambda self: None  # noqa: E731
                method.__name__ = name
                self.assertRefused({name: event(method)}, name, f'@event("{name}")')

    def test_two_methods_for_one_event_are_refused(self):
        self.assertRefused(
            {"a": event("x")(lambda self: None), "b": event("x")(lambda self: None)}, "two methods"
        )

    def test_a_method_for_the_event_disconnect_is_refused_and_names_on_close(self):
        with self.assertRaises(ValueError) as refused:
            event("disconnect")
        self.assertIn("on_close", str(refused.exception))

    def test_event_with_empty_parentheses_decorates_as_event_without(self):
        class Chat(SocketIOHandler):
            @event()
            def rename(self, name): ...

            @event
            def move(self): ...

            @event(name="any name")
            @classmethod
            def other(cls): ...

        self.assertEqual(set(Chat._events), {"rename", "move", "any name"})
        for name in (None, 5, ["rename"]):
            with self.subTest(name), self.assertRaises(TypeError) as refused:
                event(name)
            self.assertIn("or nothing", str(refused.exception))

    def test_an_override_without_the_decorator_stays_the_event(self):
        class Base(SocketIOHandler):
            @event("x")
            def method(self, one): ...

        class Derived(Base):
            def method(self, one, two): ...

        self.assertEqual(Derived._events["x"].most, 2)

    def test_a_misspelt_option_is_refused_with_the_right_spelling(self):
        self.assertRefused({"ping_intervall": 5}, "ping_interval")
        self.assertRefused({"allowed_origin": "*"}, "allowed_origins")
        self.assertRefused({"pingInterval": 5}, "ping_interval")
        self.assertRefused({"cors_allowed_origins": "*"}, "allowed_origins")
        self.assertRefused({"connectionStateRecovery": {}}, "recovery_window")
        self.assertRefused({"perMessageDeflate": True}, "websocket_compression")
        self.assertRefused({"httpCompression": True}, "http_compression")
        type(
            "Fine",
            (SocketIOHandler,),
            {"rooms_by_name": {}, "min_rooms": 1, "pong": 1, "template": "x", "history": []},
        )
        type(
            "Fine",
            (SocketIOHandler,),
            {"ping_intervall": 5, "__annotations__": {"ping_intervall": int}},
        )

    def test_an_annotation_may_name_what_does_not_exist_at_run_time(self):
        program = """
class Chat(SocketIOHandler):
    greeting = "hi"
    limit: Missing = 5
    ping_intervall: Missing = 5

    @property
    def name(self) -> Missing: ...

    @event
    def rename(self, user: Missing, *more: Missing.kind) -> Missing[0]: ...

    def on_event(self, name: Missing, *args: Missing): ...

def late(answer: Missing): ...
"""
        futures = ["from __future__ import annotations\n"]
        for future in futures if sys.version_info < (3, 14) else ["", *futures]:
            with self.subTest(future):
                names = {"SocketIOHandler": SocketIOHandler, "event": event}
                exec(compile(future + program, "program", "exec", dont_inherit=True), names)
                self.assertEqual(names["Chat"]._events["rename"].least, 1)
                self.assertTrue(socket_io.takes(names["late"], 1))
                self.assertFalse(socket_io.takes(names["late"], 2))

    def test_an_option_of_another_server_is_refused_in_every_spelling(self):
        for name, ours in [
            ("pingTimeOut", "ping_timeout"),
            ("PING_TIMEOUT", "ping_timeout"),
            ("pingIntervall", "ping_interval"),
            ("maxHttpBufferSize", "max_message_bytes"),
            ("max_http_buffer_size", "max_message_bytes"),
            ("max_http_bufer_size", "max_message_bytes"),
            ("transports", "enabled_protocols"),
            ("cors_allow_origins", "allowed_origins"),
            ("cors", "allowed_origins"),
            ("origins", "allowed_origins"),
            ("heartbeat_interval", "ping_interval"),
            ("async_mode", "Tornado"),
            ("allowEIO3", "enabled_dialects"),
            ("serveClient", "client_path"),
            ("namespaces", "routes(namespaces=...)"),
            ("websocket_ping_interval", "ping_interval"),
            ("session_expiry", "ping_timeout"),
            ("socket_io_port", "application setting"),
        ]:
            with self.subTest(name):
                self.assertRefused({name: 5}, f"Chat.{name}", ours)
                type("Fine", (SocketIOHandler,), {name: 5, "__annotations__": {name: int}})
        for name in ("transport", "open", "on_connect", "JSON", "Cookie", "heartbeat", "logger"):
            with self.subTest(name):
                type("Fine", (SocketIOHandler,), {name: 5})

    def test_a_method_name_of_another_server_is_refused_with_ours(self):
        for name, ours in [
            ("on_connect", "on_open"),
            ("on_disconnect", "on_close"),
            ("open", "on_open"),
            ("check_origin", "allowed_origins"),
            ("get_compression_options", "websocket_compression"),
            ("on_pong", "ping_interval"),
            ("select_subprotocol", "no subprotocols"),
            ("trigger_event", "dispatch"),
            ("allowRequest", "allow_request"),
            ("onMessage", "on_message"),
            ("get_endpoint", "namespaces="),
        ]:

            async def method(self, *args): ...

            for kind in (lambda self: None, method, classmethod(method), staticmethod(method)):
                with self.subTest(name=name, kind=kind):
                    self.assertRefused({name: kind}, f"Chat.{name}", ours)
            base = type("Fine", (SocketIOHandler,), {name: event(name)(lambda self: None)})
            type("Override", (base,), {name: lambda self: None})
            type("Fine", (SocketIOHandler,), {name: property(lambda self: None)})

    def test_a_name_of_another_server_that_is_inherited_is_warned_of(self):
        class Mixin:
            pingInterval = 5

            def on_connect(self): ...

        with self.assertLogs("socket_io", "WARNING") as logged:
            socket_io._warned.clear()
            type("Chat", (Mixin, SocketIOHandler), {})
        self.assertEqual(len(logged.output), 2)
        for line, words in zip(
            logged.output,
            [("Mixin.pingInterval", "ping_interval"), ("Mixin.on_connect", "on_open")],
            strict=True,
        ):
            for word in ("Chat", *words):
                self.assertIn(word, line)

    def test_what_is_set_on_a_class_after_it_was_made_is_checked_when_it_is_served(self):
        for name, value, words in [
            ("ping_interval", "5", ("ping_interval", "float")),
            ("ping_timeout", 0, ("ping_timeout", "above zero")),
            ("max_packets", math.nan, ("max_packets", "int")),
            ("recovery_window", math.inf, ("recovery_window", "finite")),
            ("json", object(), ("json", "dumps")),
            ("pingInterval", 5, ("pingInterval", "ping_interval")),
            ("allowed_origins", ["example.com"], ("allowed_origins", "https://example.com")),
            ("on_connect", lambda self: None, ("on_connect", "on_open")),
            ("get", lambda self: None, ("get", "on_open")),
            ("allow_request", lambda self, request: True, ("allow_request", "@classmethod")),
        ]:
            for changed in ("Base", "Chat", "Side"):
                with self.subTest(name=name, changed=changed):
                    classes = {"Base": type("Base", (SocketIOHandler,), {})}
                    classes["Chat"] = type("Chat", (classes["Base"],), {})
                    classes["Side"] = type("Side", (SocketIOHandler,), {})
                    setattr(classes[changed], name, value)
                    with self.assertRaises((TypeError, ValueError)) as refused:
                        classes["Chat"].routes("socket.io", namespaces={"/side": classes["Side"]})
                    for word in words:
                        self.assertIn(word, str(refused.exception))

    def test_an_option_that_a_mixin_gives_is_checked_too(self):
        with self.assertRaises(TypeError) as refused:
            type("Chat", (type("Mixin", (), {"json": lambda self: None}), SocketIOHandler), {})
        self.assertIn("Chat.json", str(refused.exception))

    def test_every_option_has_its_place_in_the_table(self):
        public = {
            name
            for name, value in vars(SocketIOHandler).items()
            if not name.startswith("_") and not callable(value) and not hasattr(value, "__get__")
        }
        self.assertEqual(public, set(OPTIONS))

    def test_the_help_of_the_class_explains_every_option_and_tells_its_default(self):
        help_text = inspect.getdoc(SocketIOHandler)
        told = re.findall(r"^    (\w+) = (.*)\n        (\S.*)", help_text, re.MULTILINE)
        in_class = [name for name in vars(SocketIOHandler) if name in OPTIONS]
        self.assertEqual([name for name, _, _ in told], in_class)
        self.assertEqual(set(in_class), set(OPTIONS))
        for name, default, sentence in told:
            with self.subTest(name):
                self.assertEqual(ast.literal_eval(default), getattr(SocketIOHandler, name))
                self.assertRegex(sentence, "^(The|Whether|Origins|An?) ")

    def test_pydoc_begins_with_what_a_user_needs_and_shows_the_version(self):
        text = pydoc.plain(pydoc.render_doc(socket_io))
        example, options, source_map = (
            text.index(words)
            for words in ("class Chat(SocketIOHandler):", "help(SocketIOHandler)", "Map. New code")
        )
        self.assertLess(example, options)
        self.assertLess(options, source_map)
        self.assertRegex(text, r"VERSION\n    \d+\.\d+\.\d+\n")
        self.assertIn("The time between heartbeats.", text)

    def test_an_allowed_origin_that_can_match_nothing_is_refused(self):
        for entry, cure in [
            ("example.com", "'https://example.com'"),
            ("localhost:3000", "'http://localhost:3000'"),
            ("localhost", "'http://localhost'"),
            ("chat.localhost:3000", "'http://chat.localhost:3000'"),
            ("127.0.0.1:3000", "'http://127.0.0.1:3000'"),
            ("//192.168.0.7", "'http://192.168.0.7'"),
            ("[::1]:3000", "'http://[::1]:3000'"),
            ("localhost:*", "re.compile(r'http://localhost:[^/]+')"),
            ("https://localhost:3000/", None),
            ("https://localhost:3000/app", "'https://localhost:3000'"),
            ("localhost.example", "'https://localhost.example'"),
            ("1.example:3000", "'https://1.example:3000'"),
            ("//example.com", "'https://example.com'"),
            ("https://example.com/app", "'https://example.com'"),
            ("https://example.com?x", "'https://example.com'"),
            ("https://ada@example.com", "'https://example.com'"),
            (" https://example.com", "'https://example.com'"),
            ("https://*.example.com", r"re.compile(r'https://[^/]+\.example\.com')"),
            ("*.example.com", r"re.compile(r'https://[^/]+\.example\.com')"),
            ("http://localhost:*", "re.compile(r'http://localhost:[^/]+')"),
            ("https://b\u00fccher.example", "'https://xn--bcher-kva.example'"),
            ("https://a.example, https://b.example", "a list"),
            ("https://a.example https://b.example", "a list"),
            ("null", "'*', or a function"),
            ("", "a list"),
            ("https://", "a list"),
            (".example.com", r"re.compile(r'https://[^/]+\.example\.com')"),
            ("https://.example.com", r"re.compile(r'https://[^/]+\.example\.com')"),
            ("https://example.com:", "a list"),
            ("https://example.com:http", "a list"),
            ("http://::1", "a list"),
            (None, "text or a pattern"),
            (b"https://example.com", "text or a pattern"),
            (re.compile(b"x"), "text or a pattern"),
        ]:
            with self.subTest(entry):
                words = ("Chat.allowed_origins", cure)
                if cure is None:
                    type("Fine", (SocketIOHandler,), {"allowed_origins": [entry]})
                    continue
                self.assertRefused({"allowed_origins": ["https://fine.example", entry]}, *words)
                if isinstance(entry, str):
                    self.assertRefused({"allowed_origins": entry}, *words)
        self.assertRefused({"allowed_origins": AsyncSessionTestCase.asyncSetUp}, "coroutine")
        for entry in ("https://example.com", "HTTPS://Example.com:8443/", "http://[::1]:80", "wss://h:443",
                      "file://", "file:///", "capacitor://localhost", "app://.", "chrome-extension://abc", "*",
                      "http://under_score.example", re.compile("x")):  # fmt: skip
            type("Fine", (SocketIOHandler,), {"allowed_origins": [entry]})

    def test_allowed_origins_that_can_be_read_only_once_are_refused(self):
        self.assertRefused({"allowed_origins": iter(["https://a.example"])}, "allowed_origins")
        for allowed in (
            ["https://a.example"],
            ("*",),
            {"*"},
            "*",
            re.compile("x"),
            re.match,
            classmethod(id),
        ):
            type("Fine", (SocketIOHandler,), {"allowed_origins": allowed})

    def test_an_option_of_the_wrong_type_is_refused(self):
        self.assertRefused({"ping_interval": "25"}, "ping_interval", "float")
        self.assertRefused({"recovery_window": -1.0}, "recovery_window")
        self.assertRefused({"websocket_compression": -1}, "websocket_compression")
        self.assertRefused({"websocket_compression": True}, "websocket_compression")
        self.assertRefused({"json": object()}, "json", "dumps")
        self.assertRefused({"max_packets": 1.5}, "max_packets", "int")
        self.assertRefused({"ping_timeout": -1}, "ping_timeout")

    def test_an_option_of_the_connection_is_refused_in_a_namespace_class(self):
        class Chat(SocketIOHandler):
            pass

        class Side(SocketIOHandler):
            ping_interval = 5.0

        with self.assertRaises(ValueError) as refused:
            Chat.routes("socket.io", namespaces={"/side": Side})
        self.assertIn("Side", str(refused.exception))
        self.assertIn("Chat", str(refused.exception))

    def test_allow_request_that_is_no_class_method_is_refused(self):
        self.assertRefused(
            {"allow_request": lambda self, request: True}, "allow_request", "@classmethod"
        )
        type("Fine", (SocketIOHandler,), {"allow_request": staticmethod(lambda request: True)})

    def test_allow_request_of_a_namespace_class_that_nobody_would_ask_is_refused(self):
        class Chat(SocketIOHandler):
            @classmethod
            def allow_request(cls, request):
                return True

        class Careful(SocketIOHandler):
            @classmethod
            def allow_request(cls, request):
                return False

        class Side(Chat):
            pass

        Chat.routes("socket.io", namespaces={"/side": Side, "/other": Admin})
        with self.assertRaises(ValueError) as refused:
            Chat.routes("socket.io", namespaces={"/side": Careful})
        self.assertIn("Careful.allow_request", str(refused.exception))

    def test_an_unknown_dialect_is_refused(self):
        class Chat(SocketIOHandler):
            enabled_dialects = ("EIO5",)

        with self.assertRaises(ValueError) as refused:
            Chat.routes("socket.io")
        self.assertIn("EIO4", str(refused.exception))

    def test_io_before_routes_says_what_is_missing_and_works_after_it(self):
        class Chat(SocketIOHandler):
            pass

        class Child(Chat):
            pass

        with self.assertRaises(RuntimeError) as refused:
            Chat.io.emit("x")
        self.assertIn("routes", str(refused.exception))
        self.assertFalse(hasattr(Chat, "io"))
        self.assertIn("on_open", dict(inspect.getmembers(Chat)))
        self.assertTrue(callable(mock.create_autospec(Chat).on_open))
        self.assertTrue(callable(mock.create_autospec(Chat, instance=True).join))
        Chat.routes("socket.io")
        Chat.io.emit("reaches nobody")
        self.assertEqual(Chat.io.sockets(), [])
        with self.assertRaises(RuntimeError):
            _ = Child.io


class RequestHandlerTests(RecorderTestCase):
    """A handler is a RequestHandler in everything that reads the request; it answers none."""

    class Note(tornado.web.UIModule):
        def render(self, number):
            return f"note {number}"

    class base(Recorder):
        initialized = 0

        def initialize(self):
            type(self).initialized += 1

        def get_template_namespace(self):
            return {**super().get_template_namespace(), "own": "own"}

    settings = {
        "cookie_secret": "secret",
        "login_url": "/login",
        "ui_methods": {"greet": lambda handler, mark: handler.id + mark},
        "ui_modules": {"Note": Note},
    }

    @gen_test
    async def test_a_handler_reads_headers_arguments_and_cookies_of_its_handshake(self):
        await self.client(headers={"Cookie": "name=ada"}, query="&room=tea")
        handler = await self.only()
        self.assertEqual(handler.get_cookie("name"), "ada")
        self.assertEqual(handler.get_query_argument("room"), "tea")
        self.assertEqual(handler.settings["login_url"], "/login")
        self.assertEqual(handler.request.remote_ip, "127.0.0.1")
        self.assertIsNone(handler.current_user)

    @gen_test
    async def test_an_http_error_or_authenticated_in_on_open_refuses_with_its_reason(self):
        def fail(handler):
            raise tornado.web.HTTPError(401)

        async def fail_slowly(handler):
            await asyncio.sleep(0)
            raise tornado.web.HTTPError(403, reason="banned")

        def lack(handler):
            handler.get_argument("token")

        @tornado.web.authenticated
        def admit(handler):
            pass

        rows = [
            (fail, "Unauthorized"),
            (fail_slowly, "banned"),
            (lack, "Bad Request"),
            (admit, "Unauthorized"),
        ]
        for login_url in ("/login", None):
            self._app.settings["login_url"] = login_url
            if login_url is None:
                del self._app.settings["login_url"]
            for self.handler.on_open, reason in rows:
                with self.subTest(reason), self.assertNoLogs("tornado.application"):
                    for generation in (("EIO4", "websocket"), ("EIO3", "xhr-polling")):
                        with self.assertRaises(ConnectionRefused) as refused:
                            await self.client(*generation)
                        self.assertEqual(refused.exception.message, reason)
                    with self.assertRaises(ConnectionRefused):
                        await self.client("0.9")

    @gen_test
    async def test_a_client_that_authenticated_lets_through_connects(self):
        @tornado.web.authenticated
        async def on_open(handler):
            handler.emit("welcome")

        self.handler.on_open = on_open
        self.handler.get_current_user = lambda handler: "ada"
        self.assertEqual(await (await self.client()).receive(), ("welcome",))

    @gen_test
    async def test_a_method_that_would_answer_a_request_raises_and_names_send(self):
        await self.client()
        handler = await self.only()
        for name in (
            "write",
            "finish",
            "render",
            "redirect",
            "set_cookie",
            "set_header",
            "set_status",
            "flush",
            "send_error",
        ):
            with self.subTest(name), self.assertRaises(RuntimeError) as refused:
                getattr(handler, name)("x")
            self.assertIn("send", str(refused.exception))

    @gen_test
    async def test_a_handler_can_render_templates(self):
        await self.client()
        handler = await self.only()
        before = set(vars(handler))
        with tempfile.TemporaryDirectory() as folder:
            write_file(
                folder,
                "hello.html",
                "{{ name }} {{ handler.id }} {{ locale.code }} {{ greet('!') }} {% module Note(7) %}"
                "{% module Template('part.html', what='more') %} {{ own }}",
            )
            write_file(folder, "part.html", "<b>{{ what }}</b>")
            handler.settings["template_path"] = folder
            text = handler.render_string("hello.html", name="<Ada>")
        expected = f"&lt;Ada&gt; {handler.id} en_US {handler.id}! note 7<b>more</b> own"
        self.assertEqual(text.decode(), expected)
        self.assertEqual(handler.get_template_namespace()["handler"], handler)
        self.assertLessEqual(
            set(vars(handler)) - before, {"_locale", "_active_modules", "_current_user"}
        )
        handler.emit("still", "here")
        self.assertIs(handler._member.handler, handler)
        self.assertEqual(self.handler.initialized, 1)

    @gen_test
    async def test_the_xsrf_token_of_a_handler_fits_the_cookie_of_its_handshake(self):
        class Form(tornado.web.RequestHandler):
            def get(self):
                self.write(self.xsrf_token)

            def post(self):
                self.write("admitted")

        self._app.add_handlers(".*", [("/form", Form)])
        self._app.settings["xsrf_cookies"] = True
        wire = await self.wire()
        _, headers, _ = await wire.request("GET", "/form")
        cookie = headers["set-cookie"].split(";")[0]
        await self.client(headers={"Cookie": cookie})
        handler = await self.only()
        for token in (
            handler.xsrf_token.decode(),
            re.search('value="(.*?)"', handler.xsrf_form_html())[1],
        ):
            wire.send_request("POST", "/form", f"_xsrf={token}".encode(), Cookie=cookie,
                              **{"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
            status, _, body = await wire.answer()
            self.assertEqual((status, body), (200, b"admitted"))

    @gen_test
    async def test_an_xsrf_token_that_fits_no_cookie_is_warned_of(self):
        await self.client()
        handler = await self.only()
        with self.assertLogs("socket_io", "WARNING") as logged:
            self.assertIsInstance(handler.xsrf_token, bytes)
        self.assertIn("xsrf_token", logged.output[0])
        self.assertEqual(handler.xsrf_token, handler.xsrf_token)

    @gen_test
    async def test_auth_is_the_query_where_a_generation_has_no_other(self):
        wire = await self.wire()
        await wire.upgrade("/socket.io/websocket?token=abc&t=123")
        await wire.text()
        self.assertEqual((await self.only()).auth, {"token": "abc"})

    @gen_test
    async def test_a_handler_is_forgotten_when_its_client_is_gone(self):
        client = await self.client()
        reference = weakref.ref(self.handler.handlers.pop())
        await client.close()
        await self.assertClosedFor("transport close")
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        self.assertIsNone(reference())


class CurrentUserTests(RecorderTestCase):
    """`current_user`, cookies, query and auth are known in `on_open`."""

    settings = {"cookie_secret": "s" * 32}

    class base(Recorder):
        def get_current_user(self):
            return self.get_signed_cookie("user")

        def on_open(self):
            super().on_open()
            if self.current_user is None:
                raise ConnectionRefused("Who are you?")
            self.emit(
                "welcome", self.current_user.decode(), self.get_query_argument("room"), self.auth
            )

    @gen_test
    async def test_a_signed_cookie_is_the_user_in_every_generation_and_transport(self):
        cookie = tornado.web.create_signed_value("s" * 32, "user", "ada").decode()
        headers = {"Cookie": f"user={cookie}"}
        for name, dialect in DIALECTS.items():
            for transport in sorted(dialect.transports):
                with self.subTest(dialect=name, transport=transport):
                    client = await self.client(name, transport, headers=headers, query="&room=tea")
                    told = await client.receive()
                    auth = {} if name == "EIO4" else {"room": "tea"}
                    welcome = ("ada", "tea", auth)
                    self.assertEqual(tuple(told[1]["args"]) if name == "0.6" else told[1:], welcome)
                    with self.assertRaises((ConnectionRefused, asyncio.IncompleteReadError)):
                        await self.client(name, transport, query="&room=tea")


class IdIsSidTests(RecorderTestCase):
    """`id_is_sid` gives clients of 1.x and 2.x the public id that they compute themselves, as with node's server 2."""

    options = {"id_is_sid": True}

    class Chat(SocketIOHandler):
        gates: ClassVar[list] = []

        async def on_open(self):
            self.gates.append(asyncio.get_running_loop().create_future())
            return await self.gates[-1]

    namespaces = {"/chat": type("Chat", (SocketIOHandler,), {}), "/gate": Chat}

    @gen_test
    async def test_with_id_is_sid_the_id_is_what_the_client_computes_in_each_namespace(self):
        for transport in ("websocket", "xhr-polling", "jsonp-polling"):
            with self.subTest(transport):
                client = await self.client("EIO3", transport)
                handler = self.handler.handlers[-1]
                self.assertEqual(handler.id, client.sid)
                self.handler.io.to(client.sid).emit("found")
                self.assertEqual(await client.receive(), ("found",))
                chat = self.handler.io.of("/chat")
                for _ in range(2):  # it may leave and come again
                    await client.join("/chat")
                    self.assertEqual([each.id for each in chat.sockets()], [f"/chat#{client.sid}"])
                    await client.leave("/chat")
                    while chat.sockets():
                        await asyncio.sleep(0)
                self.assertEqual(handler.rooms, {client.sid})

    @gen_test
    async def test_with_id_is_sid_the_ids_of_other_generations_do_not_contain_the_sid(self):
        for dialect in ("0.6", "0.9", "EIO4"):
            client = await self.client(dialect)
            self.assertNotIn(client.sid, self.handler.handlers[-1].id)

    @gen_test
    async def test_with_id_is_sid_a_client_that_joins_again_before_its_refusal_stays(self):
        gates, client = self.Chat.gates, await self.client("EIO3")
        gates.clear()
        for kind in (CONNECT, DISCONNECT, CONNECT):
            await client._send(Packet(kind, "/gate"))
        while len(gates) < 2:
            await asyncio.sleep(0)
        gates[1].set_result(True)
        await client._accepted("/gate")
        gates[0].set_result(False)
        await client.emit("still here")
        await self.noted("still here")
        inside = self.handler.io.of("/gate").sockets()
        self.assertEqual([each.id for each in inside], [f"/gate#{client.sid}"])

    def test_id_is_sid_is_warned_of_with_what_it_costs(self):
        chat = type("Chat", (SocketIOHandler,), {"id_is_sid": True})
        with self.assertLogs("socket_io", "WARNING") as logged:
            chat.routes("socket.io")
        self.assertIn("Chat.id_is_sid", logged.output[0])
        self.assertIn("secret", logged.output[0])
        today = type("Today", (chat,), {"enabled_dialects": ["EIO4"]})
        with self.assertNoLogs("socket_io", "WARNING"):
            today.routes("socket.io")

    @gen_test
    async def test_without_id_is_sid_the_id_does_not_contain_the_sid(self):
        self.handler.id_is_sid = False
        client = await self.client("EIO3")
        self.assertNotIn(client.sid, self.handler.handlers[-1].id)


class XSRFTests(RecorderTestCase):
    """An application with Tornado's `xsrf_cookies` lets its Socket.IO clients post all the same."""

    settings = {"xsrf_cookies": True, "cookie_secret": "secret"}

    @gen_test
    async def test_an_application_with_xsrf_cookies_takes_posts(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        self.assertEqual((await wire.request("POST", url, b'42["x"]'))[0], 200)
        await self.noted("x")


class InitializeTests(RecorderTestCase):
    """`routes(kwargs=...)` reach the `initialize` of each class that takes them."""

    class Admin(Recorder):
        def initialize(self, log):
            self.note("admin", log)

    class Game(Recorder):
        def initialize(self, **kwargs):
            self.note("game", kwargs)

    class base(Recorder):
        def initialize(self, db, size=5):
            self.note("chat", db, size)

    def get_app(self):
        self.handler = self.base
        for handler in (self.base, self.Admin, self.Game):
            handler.entries, handler.handlers = Recorder.entries, Recorder.handlers
        namespaces = {"/admin": self.Admin, re.compile("/game-."): self.Game, "/plain": Room}
        rule = self.handler.routes("socket.io", namespaces=namespaces, kwargs={"db": 1, "log": 2})
        return tornado.web.Application([rule])

    def setUp(self):
        Recorder.entries, Recorder.handlers = asyncio.Queue(), []
        super().setUp()

    def tearDown(self):
        del Recorder.entries, Recorder.handlers
        super().tearDown()

    @gen_test
    async def test_each_class_gets_the_kwargs_of_routes_that_its_initialize_takes(self):
        client = await self.client()
        await self.noted("chat", 1, 5)
        await client.join("/admin")
        await self.noted("admin", 2)
        await client.join("/game-1")
        await self.noted("game", {"db": 1, "log": 2})

    def test_kwargs_of_routes_that_are_missing_or_that_no_class_takes_are_refused(self):
        class Strict(SocketIOHandler):
            def initialize(self, db, /): ...

        for classes, kwargs, words in [
            ((self.base, {}), {}, ("base.initialize", "db")),
            ((self.base, {"/admin": self.Admin}), {"db": 1}, ("Admin.initialize", "log")),
            ((self.base, {}), {"db": 1, "dbb": 1}, ("dbb", "base")),
            ((SocketIOHandler, {}), {"db": 1}, ("db", "SocketIOHandler")),
            ((Strict, {}), {"db": 1}, ("Strict.initialize", "db")),
        ]:
            with self.subTest(kwargs=kwargs), self.assertRaises(TypeError) as refused:
                classes[0].routes("socket.io", namespaces=classes[1], kwargs=kwargs)
            for word in words:
                self.assertIn(word, str(refused.exception))
        self.base.routes("socket.io", namespaces={"/": SocketIOHandler})


class EnabledProtocolsTests(RecorderTestCase):
    """`enabled_protocols` names the transports that a class serves."""

    settings = {"enabled_protocols": ["websocket", "jsonp-polling"]}

    @gen_test
    async def test_a_transport_that_is_not_enabled_is_refused(self):
        wire = await self.wire()
        status, _, body = await wire.request("GET", "/socket.io/?EIO=4&transport=polling")
        self.assertEqual((status, json.loads(body)["code"]), (400, 0))
        self.assertEqual(
            (await wire.request("GET", "/socket.io/?EIO=4&transport=polling&j=0"))[0], 200
        )
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 400)
        await self.client()

    def test_an_unknown_transport_name_is_an_error_that_lists_the_known(self):
        with self.assertRaises(ValueError) as refused:
            socket_io.enabled_transports(
                tornado.web.Application(enabled_protocols=["carrier-pigeon"])
            )
        self.assertIn("xhr-multipart", str(refused.exception))
        self.assertEqual(
            socket_io.enabled_transports(tornado.web.Application(enabled_protocols=["polling"])),
            {"xhr-polling", "jsonp-polling"},
        )
        self.assertEqual(
            socket_io.enabled_transports(tornado.web.Application(enabled_protocols="websocket")),
            {WEBSOCKET},
        )


class EnabledDialectsTests(RecorderTestCase):
    """`enabled_dialects` names the generations that a class serves."""

    options = {"enabled_dialects": ["EIO4"]}

    @gen_test
    async def test_a_generation_switched_off_is_refused(self):
        wire = await self.wire()
        self.assertEqual((await wire.request("GET", "/socket.io/xhr-polling//1"))[0], 404)
        await self.client()


class BareEngine(socket_io.EngineIO4):
    """A dialect of an application's own: bare engine messages, no Socket.IO packets inside."""

    opens_root_unasked = True

    def decode_packet(self, data):
        return socket_io.Packet(socket_io.EVENT, "/", ["message", data])

    def encode_packet(self, packet):
        return (
            [socket_io.EnginePacket(socket_io.MESSAGE, packet.data[1])]
            if packet.type == socket_io.EVENT
            else []
        )


class OwnDialectTests(RecorderTestCase):
    """`enabled_dialects` may hold a dialect of the application's own."""

    options = {"enabled_dialects": [BareEngine()]}

    @gen_test
    async def test_engine_messages_pass_through_a_dialect_of_ones_own(self):
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("4hello")
        await self.noted("message", "hello")
        wire.send_frame(b"\x01\x02")
        await self.noted("message", b"\x01\x02")
        (await self.only()).send("back")
        self.assertEqual(await wire.text(), "4back")


class Sloppy:
    """A codec as somebody might write it in a hurry: raw text, NaN, and bytes as what they look like."""

    @staticmethod
    def dumps(value):
        return json.dumps(value, ensure_ascii=False, default=str)

    @staticmethod
    def loads(text):
        if '"poison"' in text:
            raise KeyError("an error of no family")
        return json.loads(text)


class FailingProbeTests(RecorderTestCase):
    """A codec may raise any error for bytes; bytes are attachments all the same."""

    codecs = [
        types.SimpleNamespace(
            dumps=lambda value: json.dumps(value, default=lambda other: other.__dict__),
            loads=json.loads,
        ),
        types.SimpleNamespace(
            dumps=lambda value: json.dumps(value, default=lambda other: {}[other]), loads=json.loads
        ),
    ]

    def get_app(self):
        self.rules = [type("Chat", (Recorder,), {"json": codec}) for codec in self.codecs]
        for handler in self.rules:
            handler.entries, handler.handlers = asyncio.Queue(), []
        rules = [handler.routes(f"chat{number}") for number, handler in enumerate(self.rules)]
        return tornado.web.Application(rules)

    @gen_test
    async def test_bytes_are_attachments_whatever_a_codec_raises_for_bytes(self):
        for number, handler in enumerate(self.rules):
            client = await self.client(path=f"/chat{number}")
            handler.io.emit("x", b"\x00", [1])
            self.assertEqual(await client.receive(), ("x", b"\x00", [1]))


class OtherJsonBehaviour:
    """`json` may be any object with `dumps` and `loads`; text that leaves or comes in stays strict JSON."""

    codec: Any = None

    def get_app(self):
        self.options = {"json": self.codec}
        return super().get_app()

    async def open(self):
        wire = await self.wire()
        await self.open_websocket(wire, connect="")
        wire.send_frame("40")
        self.assertIn("sid", json.loads((await wire.text())[2:]))
        return wire

    @gen_test
    async def test_values_come_and_go_through_another_codec_in_every_generation(self):
        args = [1, -2.5, 2**53, "é😀\u2028</script>", {"ключ": [None, True, {"deep": []}]}, ""]
        for dialect in ("0.9", "EIO3", "EIO4"):
            for transport in ("websocket", "xhr-polling", "jsonp-polling"):
                with self.subTest(dialect=dialect, transport=transport):
                    client = await self.client(dialect, transport)
                    self.handler.handlers[-1].emit("news", *args)
                    self.assertEqual(await client.receive(), ("news", *args))
                    await client.emit("news", *args)
                    await self.noted("news", *args)

    @gen_test
    async def test_bytes_are_attachments_with_another_codec_wherever_they_stand(self):
        for dialect in ("EIO3", "EIO4"):
            client = await self.client(dialect)
            self.handler.handlers[-1].emit(
                "news", b"\x00\xff", {"deep": [b"", bytearray(b"1"), memoryview(b"2")]}
            )
            self.assertEqual(
                await client.receive(), ("news", b"\x00\xff", {"deep": [b"", b"1", b"2"]})
            )
            await client.emit("news", {"deep": [b"\xff"]})
            await self.noted("news", {"deep": [b"\xff"]})

    @gen_test
    async def test_text_of_another_codec_leaves_as_ascii_and_values_that_are_no_json_raise(self):
        wire = await self.open()
        handler = await self.only()
        handler.emit("é", {"😀": "\u2029é"})
        text = await wire.text()
        self.assertTrue(text.isascii())
        self.assertEqual(json.loads(text[2:]), ["é", {"😀": "\u2029é"}])
        for number in (math.nan, math.inf, -math.inf):
            for value in (number, {"a": [number]}):
                with self.subTest(value):
                    self.check_not_finite(handler, value)
        with self.assertRaises((TypeError, ValueError)):
            handler.emit("x", functools.reduce(lambda inner, _: [inner], range(100_000), []))
        handler.emit("NaN", "Infinity 1e999", "9" * 400)
        while (text := await wire.text()) != '42["NaN","Infinity 1e999","' + "9" * 400 + '"]':
            self.assertEqual(text, text.replace("NaN", "").replace("Infinity", ""))

    def check_not_finite(self, handler, value):
        with self.assertRaises(ValueError):
            handler.emit("x", value)

    @gen_test
    async def test_text_that_is_no_json_to_another_codec_ends_its_sender(self):
        numbers = ["NaN", "-Infinity", "1e400", "-1E+400", "1" * 250 + "e99", "1" * 400 + ".0"]
        for value in [*numbers, '{"a":NaN}', "[1,]", "'x'", '"a', "[" * 100_000]:
            with self.subTest(value[:20]):
                wire = await self.open()
                wire.send_frame(f'42["news",{value}]')
                await self.assertClosedFor("parse error")

    @gen_test
    async def test_strings_that_look_like_nan_arrive_through_another_codec_as_strings(self):
        client = await self.client()
        await client.emit("NaN", "Infinity", {"1e400": "9" * 400})
        await self.noted("NaN", "Infinity", {"1e400": "9" * 400})

    @gen_test
    async def test_half_a_surrogate_pair_arrives_with_another_codec_as_it_is_or_not_at_all(self):
        client = await self.client()
        handler = await self.only()
        handler.emit("news", LONE)
        self.assertEqual(await client.receive(), ("news", LONE))
        with contextlib.suppress(TypeError, ValueError):
            handler.emit("news", {"a": LONE})
            self.assertEqual(await client.receive(), ("news", {"a": LONE}))
        handler.emit("still here")
        self.assertEqual(await client.receive(), ("still here",))


class StandardJsonTests(OtherJsonBehaviour, RecorderTestCase):
    codec = json


class SloppyJsonTests(OtherJsonBehaviour, RecorderTestCase):
    """`json` may be a codec that lets through what is no JSON; socket_io does not."""

    codec = Sloppy

    @gen_test
    async def test_an_error_of_any_kind_in_loads_is_the_clients_mistake(self):
        wire = await self.open()
        wire.send_frame('42["poison"]')
        await self.assertClosedFor("parse error")


class OwnWriterTests(RecorderTestCase):
    """`json` may be a codec of the application that writes its own objects."""

    options = {
        "json": types.SimpleNamespace(
            dumps=lambda value: json.dumps(value, default=lambda item: vars(item)["name"]),
            loads=json.loads,
        )
    }

    class Locked:
        """What `copy.deepcopy` cannot copy."""

        def __init__(self, name):
            self.name = name
            self.lock = threading.Lock()

    @gen_test
    async def test_an_object_that_only_the_codec_can_write_is_sent_from_any_thread(self):
        client = await self.client()
        item, in_thread = self.Locked("tea"), asyncio.get_running_loop().run_in_executor
        for emit in (self.handler.io.emit, (await self.only()).emit):
            await in_thread(None, emit, "item", item)
            await in_thread(None, emit, "items", [item])
            self.assertEqual(await client.receive(), ("item", "tea"))
            self.assertEqual(await client.receive(), ("items", ["tea"]))


@unittest.skipIf(orjson is None, "orjson is not installed")
class OrjsonTests(OtherJsonBehaviour, RecorderTestCase):
    """`json` may be orjson, which writes dates too, and null for NaN."""

    codec = orjson

    def check_not_finite(self, handler, value):
        handler.emit("x", value)  # orjson writes null

    @gen_test
    async def test_a_value_that_orjson_can_write_can_be_sent_in_every_way(self):
        moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
        client = await self.client()
        handler = await self.only()
        handler.emit("now", moment)
        self.handler.io.emit("now", [moment])
        await asyncio.get_running_loop().run_in_executor(
            None, self.handler.io.emit, "now", {"a": moment}
        )
        await asyncio.get_running_loop().run_in_executor(None, handler.emit, "now", moment)
        asked = asyncio.ensure_future(self.handler.io.call("now", moment))
        text = "2026-01-02T03:04:05"
        for value in (text, [text], {"a": text}, text):
            self.assertEqual(await client.receive(), ("now", value))
        self.assertEqual(await client.answer(1), ("now", text))
        self.assertEqual((await asked).answers, {client.id: 1})
        self.handler.io.server_side_emit("now", moment)
        self.assertEqual(await self.handler.io.server_side_call("now", moment), [])

        def refuse(handler):
            raise ConnectionRefused("later", moment)

        self.handler.on_open = refuse
        with self.assertRaises(ConnectionRefused) as refused:
            await self.client()
        self.assertEqual(refused.exception.data, text)

    @gen_test
    async def test_a_value_that_orjson_cannot_write_is_the_callers_error_in_every_thread(self):
        await self.client()
        loop = asyncio.get_running_loop()
        for send in (self.handler.io.emit, (await self.only()).emit):
            with self.assertRaises(TypeError):
                send("x", Decimal(1))
            with self.assertRaises(TypeError):
                await loop.run_in_executor(None, send, "x", Decimal(1))
        with self.assertRaises(TypeError):
            await self.handler.io.call("x", Decimal(1))


class JsonDefaultBehaviour:
    """`json_default` gives what is sent for values that JSON lacks, wherever they are sent from."""

    codec: Any = None

    class base(Recorder):
        @event
        def ask(self):
            return Lacking.VALUES

        @event
        async def ask_later(self):
            await asyncio.sleep(0)
            return Lacking.VALUES

    def get_app(self):
        self.options = {"json": self.codec, "json_default": staticmethod(Lacking.without_bytes)}
        return super().get_app()

    @gen_test
    async def test_events_and_acks_of_every_generation_and_transport_have_what_it_gives(self):
        for dialect, transport in [
            ("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("EIO4", "jsonp-polling"),
            ("EIO3", "websocket"), ("EIO3", "xhr-polling"), ("EIO3", "jsonp-polling"),
            ("0.9", "websocket"), ("0.9", "xhr-polling"), ("0.9", "jsonp-polling"), ("0.9", "htmlfile"),
            ("0.6", "websocket"), ("0.6", "xhr-multipart"), ("0.6", "xhr-polling"),
        ]:  # fmt: skip
            with self.subTest(dialect, transport=transport):
                client = await self.client(dialect, transport)
                handler = self.handler.handlers[-1]
                handler.emit("news", *Lacking.VALUES)
                handler.io.to(handler.id).emit("news", *Lacking.VALUES)
                await asyncio.to_thread(handler.emit, "news", *Lacking.VALUES)
                await asyncio.to_thread(handler.io.to(handler.id).emit, "news", *Lacking.VALUES)
                handler.send(Lacking.VALUES[1])
                handler.send(Lacking.VALUES[0])
                for _ in range(4):
                    got = await client.receive()
                    if dialect == "0.6":
                        got = (got[1]["name"], *got[1]["args"])
                    self.assertEqual(got, ("news", *Lacking.SENT))
                self.assertEqual(await client.receive(), ("message", Lacking.SENT[1]))
                self.assertEqual(await client.receive(), ("message", Lacking.SENT[0]))
                if client.dialect.has_acks:
                    self.assertEqual(await client.call("ask"), list(Lacking.SENT))
                    self.assertEqual(await client.call("ask_later"), list(Lacking.SENT))
                    asked = asyncio.ensure_future(handler.call("question", Lacking.VALUES[0]))
                    self.assertEqual(await client.answer(1), ("question", Lacking.SENT[0]))
                    self.assertEqual(await asked, 1)
                await client.close()

    @gen_test
    async def test_a_value_that_it_does_not_know_raises_with_the_event_and_its_name(self):
        for dialect in DIALECTS:
            client = await self.client(dialect)
            for emit in (self.handler.handlers[-1].emit, self.handler.io.emit):
                with self.subTest(dialect), self.assertRaises(TypeError) as raised:
                    emit("the news", [{1, 2}])
                for words in (
                    "event 'the news'",
                    "without_bytes has nothing",
                    "type set",
                    "no idea",
                ):
                    self.assertIn(words, str(raised.exception))
            await client.close()
            await self.noted("closed", "transport close")

    @gen_test
    async def test_a_refusal_may_bring_such_values(self):
        def refuse(handler):
            raise ConnectionRefused("later", Lacking.VALUES[0])

        self.handler.on_open = refuse
        with self.assertRaises(ConnectionRefused) as refused:
            await self.client()
        self.assertEqual(refused.exception.data, Lacking.SENT[0])


class JsonDefaultTests(JsonDefaultBehaviour, RecorderTestCase):
    """With simplejson, or the standard library where that is not installed."""

    def test_what_cannot_be_asked_is_refused_when_the_class_is_made(self):
        async def coroutine(value): ...

        for default, words in [
            (lambda self, value: value, "write @staticmethod above"),
            (lambda: None, "write @staticmethod above"),
            (coroutine, "cannot be a coroutine"),
            ("str", "must be Callable or None"),
        ]:
            with self.subTest(words), self.assertRaisesRegex(TypeError, words) as refused:
                type("Chat", (SocketIOHandler,), {"json_default": default})
            self.assertIn("Chat.json_default", str(refused.exception))
        for default in (str, staticmethod(str), lambda value: 1, classmethod(lambda cls, value: 1)):
            chat = type("Chat", (SocketIOHandler,), {"json_default": default})
            chat.routes("socket.io", namespaces={"/admin": type("Admin", (chat,), {})})
        with self.assertRaisesRegex(ValueError, "Admin.json_default"):
            admin = type("Admin", (SocketIOHandler,), {"json_default": staticmethod(repr)})
            chat.routes("socket.io", namespaces={"/admin": admin})


class StandardJsonDefaultTests(JsonDefaultBehaviour, RecorderTestCase):
    """With a `json` of one's own, `json_default` is asked about what that one cannot write."""

    codec = json


class BytesOfJsonDefaultTests(RecorderTestCase):
    """`bytes` in what `json_default` gives are attachments, or refused where there are none."""

    options = {"json_default": staticmethod(Lacking.json_default)}

    @gen_test
    async def test_bytes_that_it_gives_are_attachments(self):
        for dialect, transport in [
            ("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("EIO4", "jsonp-polling"),
            ("EIO3", "websocket"), ("EIO3", "xhr-polling"), ("EIO3", "jsonp-polling"),
        ]:  # fmt: skip
            client = await self.client(dialect, transport)
            handler = self.handler.handlers[-1]
            values = (Colour.RED, Money(1, b"one"), b"two", [Money(2, b"three")])
            handler.emit("paid", *values)
            handler.io.to(handler.id).emit("paid", *values)
            await asyncio.to_thread(handler.emit, "paid", *values)
            await asyncio.to_thread(handler.io.to(handler.id).emit, "paid", *values)
            for _ in range(4):
                self.assertEqual(
                    await client.receive(),
                    ("paid", "red", {"amount": 1, "receipt": b"one"}, b"two",
                     [{"amount": 2, "receipt": b"three"}]),
                )  # fmt: skip

    @gen_test
    async def test_bytes_that_it_gives_are_refused_to_generations_without_attachments(self):
        for dialect in ("0.9", "0.6"):
            await self.client(dialect)
            with self.assertRaises(NotSupported):
                self.handler.handlers[-1].emit("paid", Money(1, b"one"))

    @gen_test
    async def test_what_a_client_missed_has_what_it_gave(self):
        self.handler.recovery_window = 30.0
        self.handler.routes("socket.io")
        self._app.add_handlers(".*", [self.handler.routes("again")])
        client = await self.client(path="/again")
        self.handler.handlers[-1].io.emit("first", "x")
        await client.receive()
        await client.close()
        await self.noted("closed", "transport close")
        self.handler.io.emit("paid", Money(1, b"one"), "end")
        again = await self.client(path="/again", auth=client.recovery)
        self.assertEqual(again.id, client.id)
        missed = (await again.receive())[:3]
        self.assertEqual(missed, ("paid", {"amount": 1, "receipt": b"one"}, "end"))


class BytesOfJsonDefaultWithOtherJsonTests(BytesOfJsonDefaultTests):
    """The same, with a `json` of one's own."""

    options = {**BytesOfJsonDefaultTests.options, "json": json}


@unittest.skipIf(orjson is None, "orjson is not installed")
class OrjsonDefaultTests(RecorderTestCase):
    """orjson writes dates, UUIDs, enums and dataclasses itself, and leaves the rest to `json_default`."""

    options = {"json": orjson, "json_default": staticmethod(str)}

    @gen_test
    async def test_orjson_is_asked_first(self):
        client = await self.client()
        moment = datetime.datetime(2026, 1, 2, 3, 4)
        (await self.only()).emit("news", moment, [moment, Decimal("1.5")], {1})
        self.assertEqual(
            await client.receive(),
            ("news", "2026-01-02T03:04:00", ["2026-01-02T03:04:00", "1.5"], "{1}"),
        )


class WithoutJsonDefaultTests(RecorderTestCase):
    """Without `json_default` the error for a value that JSON lacks names the event and the option."""

    @gen_test
    async def test_the_error_names_the_event_and_json_default(self):
        moment = datetime.datetime(2026, 1, 2)
        for dialect in DIALECTS:
            client = await self.client(dialect)
            for emit in (self.handler.handlers[-1].emit, self.handler.io.emit):
                for call in (emit, functools.partial(asyncio.to_thread, emit)):
                    with self.subTest(dialect), self.assertRaises(TypeError) as raised:
                        await (call("the news", moment) or asyncio.sleep(0))
                    for words in ("event 'the news'", "datetime", "json_default"):
                        self.assertIn(words, str(raised.exception))
            await client.close()
            await self.noted("closed", "transport close")


class WithoutJsonDefaultWithOtherJsonTests(WithoutJsonDefaultTests):
    """The same, with a `json` of one's own."""

    options = {"json": json}


# ---- Files and headers ---------------------------------------------------------------


class ClientFileTests(RecorderTestCase):
    """The script's URL without `client_path`."""

    @gen_test
    async def test_without_client_path_the_script_is_redirected_to_the_public_cdn(self):
        wire = await self.wire()
        status, headers, _ = await wire.request("GET", "/socket.io/socket.io.min.js")
        self.assertEqual((status, headers["location"][:8]), (302, "https://"))
        self.assertTrue(headers["location"].endswith("/socket.io.min.js"))


class ClientPathTests(RecorderTestCase):
    """`client_path` is the client's script, or the `dist` folder with its scripts and maps."""

    NAMES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")

    def get_app(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for name in self.NAMES:
            (self.folder / name).write_text(f"/* {name} */" + "client();" * 500)
            (self.folder / f"{name}.map").write_text(f'{{"file":"{name}"}}')
        (self.folder / "secret.js").write_text("secret")
        self.options = {"client_path": self.folder}
        return super().get_app()

    @gen_test
    async def test_a_client_path_folder_serves_its_scripts_and_their_maps(self):
        wire = await self.wire()
        for name in self.NAMES:
            status, headers, body = await wire.request("GET", f"/socket.io/{name}")
            self.assertEqual((status, body), (200, (self.folder / name).read_bytes()))
            self.assertEqual(headers["content-type"], "text/javascript; charset=UTF-8")
            status, headers, body = await wire.request("GET", f"/socket.io/{name}.map")
            self.assertEqual((status, json.loads(body)), (200, {"file": name}))
            self.assertEqual(headers["content-type"], "application/json")

    @gen_test
    async def test_a_client_path_folder_serves_nothing_but_scripts_and_maps(self):
        wire = await self.wire()
        (self.folder / "socket.io.min.js").unlink()
        with self.assertLogs("socket_io", "WARNING"):
            self.assertEqual((await wire.request("GET", "/socket.io/socket.io.min.js"))[0], 404)
        for name in (
            "secret.js",
            "../secret.js",
            "%2e%2e/secret.js",
            "socket.io.js/",
            "socket.io.js/secret.js",
            "sockeT.io.js",
        ):
            with self.subTest(name):
                self.assertEqual((await wire.request("GET", f"/socket.io/{name}"))[0], 404)

    @gen_test
    async def test_a_browser_that_has_the_script_is_answered_304_until_the_script_changes(self):
        wire = await self.wire()
        status, headers, _ = await wire.request("GET", "/socket.io/socket.io.js")
        etag = headers["etag"]
        self.assertEqual((status, headers["cache-control"]), (200, "no-cache"))
        for known in (etag, f'"other", {etag}'):
            status, headers, body = await wire.request(
                "GET", "/socket.io/socket.io.js", If_None_Match=known
            )
            self.assertEqual((status, headers["etag"], body), (304, etag, b""))
            self.assertNotIn("content-encoding", headers)
        (self.folder / "socket.io.js").write_text("newer")
        status, headers, body = await wire.request(
            "GET", "/socket.io/socket.io.js", If_None_Match=etag
        )
        self.assertEqual((status, body), (200, b"newer"))
        self.assertNotEqual(headers["etag"], etag)

    @gen_test
    async def test_the_script_is_compressed_and_a_head_request_has_no_body(self):
        wire = await self.wire()
        _, headers, body = await wire.request(
            "GET", "/socket.io/socket.io.js", Accept_Encoding="gzip"
        )
        self.assertEqual(gzip.decompress(body), (self.folder / "socket.io.js").read_bytes())
        self.assertEqual(
            (headers["content-encoding"], headers["vary"]), ("gzip", "Accept-Encoding")
        )
        wire.send_request("HEAD", "/socket.io/socket.io.js")
        status, headers = await wire.head()
        self.assertEqual(
            (status, headers["content-length"]),
            (200, str((self.folder / "socket.io.js").stat().st_size)),
        )
        status, _, body = await wire.request(
            "GET", "/socket.io/socket.io.js.map"
        )  # nothing was left in between
        self.assertEqual((status, json.loads(body)["file"]), (200, "socket.io.js"))

    @gen_test
    async def test_a_client_path_file_has_any_name_and_its_map_lies_beside_it(self):
        for path in (self.folder / "socket.io.min.js", str(self.folder / "socket.io.min.js")):
            self.handler.client_path = path
            wire = await self.wire()
            for name in self.NAMES:
                status, _, body = await wire.request("GET", f"/socket.io/{name}")
                self.assertEqual(
                    (status, body), (200, (self.folder / "socket.io.min.js").read_bytes())
                )
            status, headers, body = await wire.request("GET", "/socket.io/socket.io.min.js.map")
            self.assertEqual((status, json.loads(body)), (200, {"file": "socket.io.min.js"}))
            self.assertEqual(headers["content-type"], "application/json")

    @gen_test
    async def test_a_page_of_another_origin_gets_the_script_too(self):
        wire = await self.wire()
        status, headers, _ = await wire.request(
            "GET", "/socket.io/socket.io.js", Origin="https://other.example"
        )
        self.assertEqual((status, headers.get("access-control-allow-origin")), (200, None))


class HttpCompressionTests(RecorderTestCase):
    """`http_compression`: an answer of 1 kB and more is compressed for a client that takes gzip."""

    async def poll(self, message, script="", **headers):
        """The answer to a poll, as a *script* perhaps, that brings *message*."""
        wire = await self.wire()
        url = "/socket.io/?EIO=4&transport=polling" + script
        url += "&sid=" + re.search(r"[\w-]{20}", (await wire.request("GET", url))[2].decode())[0]
        self.assertEqual((await wire.request("POST", url, b"d=40" if script else b"40"))[0], 200)
        await wire.request("GET", url)
        self.handler.handlers[-1].send(message)
        return await wire.request("GET", url, **headers)

    @gen_test
    async def test_an_answer_is_compressed_from_one_kilobyte_on(self):
        for size, coding in (
            (1024 - len('42["message",""]') - 1, None),
            (1024 - len('42["message",""]'), "gzip"),
        ):
            status, headers, body = await self.poll("x" * size, Accept_Encoding="gzip, deflate, br")
            self.assertEqual((status, headers.get("content-encoding")), (200, coding))
            self.assertEqual(int(headers["content-length"]), len(body))
            self.assertEqual(headers.get("vary"), coding and "Accept-Encoding")
            plain = gzip.decompress(body) if coding else body
            self.assertEqual(plain.decode(), f'42["message","{"x" * size}"]')

    @gen_test
    async def test_an_answer_is_compressed_only_for_clients_that_take_gzip(self):
        rows = [
            ("gzip", True),
            ("GZIP", True),
            ("deflate, gzip;q=0.5", True),
            ("gzip; q=1.0", True),
            ("br;q=1,gzip;q=0.001", True),
            ("gzip;q=0", False),
            ("gzip; q=0.0", False),
            ("gzip;q=0.000, deflate", False),
            ("gzip ; q = 0", False),
            ("deflate", False),
            ("", False),
            ("xgzip", False),
            ("identity;q=1, *;q=0", False),
        ]
        for accepted, compressed in rows:
            with self.subTest(accepted):
                _, headers, body = await self.poll("x" * 2000, Accept_Encoding=accepted)
                self.assertEqual(headers.get("content-encoding"), "gzip" if compressed else None)
                self.assertEqual(
                    headers["vary"], "Accept-Encoding"
                )  # whoever caches must know, in both cases
                self.assertEqual(len(body) < 1000, compressed)
        self.assertNotIn("content-encoding", (await self.poll("x" * 2000))[1])

    @gen_test
    async def test_a_script_for_a_page_with_an_origin_is_compressed(self):
        _, headers, body = await self.poll(
            "é" * 1000, "&j=3", Accept_Encoding="gzip", Origin="http://test.example"
        )
        self.assertTrue(gzip.decompress(body).startswith(b'___eio[3]("'))
        self.assertEqual(sorted(headers["vary"].split(", ")), ["Accept-Encoding", "Origin"])
        client = await self.client("EIO3", "xhr-polling", headers={"Accept-Encoding": "identity"})
        self.handler.handlers[-1].send(b"\x01" * 2000)
        self.assertEqual(await client.receive(), ("message", b"\x01" * 2000))

    @gen_test
    async def test_no_answer_is_compressed_when_http_compression_is_off(self):
        self.handler.http_compression = False
        _, headers, body = await self.poll("x" * 2000, Accept_Encoding="gzip")
        self.assertEqual(
            (headers.get("content-encoding"), headers.get("vary"), len(body) > 2000),
            (None, None, True),
        )


class DeflateWire:
    """A WebSocket that has offered compression, with access to all bits of a frame."""

    def __init__(self, wire):
        self.wire = wire

    def send(self, message, bits=0xC0, opcode=TEXT_FRAME, level=9):
        payload = message.encode() if isinstance(message, str) else message
        if bits & 0x40:
            deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
            payload = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        self.send_raw(payload, bits, opcode)

    def send_raw(self, payload, bits=0xC0, opcode=TEXT_FRAME):
        frame = bytearray(masked_frame(opcode, payload))
        frame[0] = bits | opcode
        self.wire.writer.write(bytes(frame))

    async def read(self):
        """The first byte and the message of the next frame."""
        first, second = await self.wire.within(self.wire.reader.readexactly(2))
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(
                await self.wire.within(self.wire.reader.readexactly(2 if size == 126 else 8)), "big"
            )
        payload = await self.wire.within(self.wire.reader.readexactly(size))
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return first, payload


class WebSocketCompressionTests(RecorderTestCase):
    """[RFC7692]: without context takeover, so that one compressed frame serves all who agreed."""

    options = {"websocket_compression": 100, "max_message_bytes": 50_000}
    DEFLATE = "permessage-deflate"

    async def open(self, offer=DEFLATE, revision=4):
        """A client that has made *offer*, and the extensions of the answer."""
        wire = await self.wire()
        path = f"/socket.io/?EIO={revision}&transport=websocket"
        headers = {} if offer is None else {"Sec_WebSocket_Extensions": offer}
        status, answer = await wire.upgrade(path, **headers)
        self.assertEqual(status, 101)
        both = DeflateWire(wire)
        await both.read()
        if revision == 4:
            both.send("40", bits=0x80)
        self.assertTrue((await both.read())[1].startswith(b"40"))
        return both, answer.get("sec-websocket-extensions")

    @gen_test
    async def test_long_messages_are_compressed_both_ways_and_short_ones_are_not(self):
        for revision in (3, 4):
            wire, agreed = await self.open(revision=revision)
            self.assertEqual(
                agreed, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            )
            handler = self.handler.handlers[-1]
            for message in ("short", "long" * 1000, "é😀" * 1000):
                handler.send(message)
                first, payload = await wire.read()
                self.assertEqual(json.loads(payload[2:]), ["message", message])
                self.assertEqual(first, 0x81 if message == "short" else 0xC1)
                for bits in (0x80, 0xC0):
                    wire.send(f'42["message","{message}"]', bits)
                    await self.noted("message", message)
            wire.send("2", 0xC0)
            if revision == 3:
                self.assertEqual(await wire.read(), (0x81, b"3"))

    @gen_test
    async def test_attachments_are_compressed_too(self):
        wire, _ = await self.open()
        (await self.only()).send(b"\x00" * 5000)
        self.assertEqual((await wire.read())[1], b'451-["message",{"_placeholder":true,"num":0}]')
        self.assertEqual(await wire.read(), (0xC2, b"\x00" * 5000))
        wire.send('451-["message",{"_placeholder":true,"num":0}]')
        wire.send(b"\x01" * 5000, opcode=BINARY_FRAME)
        await self.noted("message", b"\x01" * 5000)

    @gen_test
    async def test_a_broadcast_is_compressed_once_for_all_clients_that_agreed(self):
        wires = [
            (await self.open(offer))[0]
            for offer in (self.DEFLATE, self.DEFLATE, None, self.DEFLATE)
        ]
        with mock.patch.object(zlib, "compressobj", wraps=zlib.compressobj) as compressobj:
            self.handler.io.emit("news", "x" * 1000)
        self.assertEqual(compressobj.call_count, 1)
        self.assertEqual([(await wire.read())[0] for wire in wires], [0xC1, 0xC1, 0x81, 0xC1])

    @gen_test
    async def test_a_wrong_offer_of_compression_only_refuses_the_extension(self):
        good = [
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-deflate; server_max_window_bits=99, permessage-deflate",
            'permessage-deflate; client_max_window_bits="10"',
            "permessage-deflate; server_max_window_bits=15",
            'permessage-deflate; client_max_window_bits; server_max_window_bits="15"',
        ]
        bad = [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; nonsense",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits",
            'permessage-deflate; server_max_window_bits="15',
            "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=\xb2",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            ";;;,,,",
            "permessage-deflate=1",
        ]
        for offer in good + bad:
            with self.subTest(offer):
                wire, agreed = await self.open(offer)
                self.assertEqual(agreed is not None, offer in good)
                if agreed:  # iOS fails a connection that does not hear its number again
                    self.assertEqual(
                        "; server_max_window_bits=15" in agreed,
                        re.search('server_max_window_bits="?15', offer) is not None,
                    )
                (await self.only()).send("x" * 1000)
                self.assertEqual((await wire.read())[0], 0xC1 if agreed else 0x81)
                self.handler.handlers.clear()

    async def assertFails(self, wire, code, reason="transport error"):
        opcode, payload = await wire.read()
        self.assertEqual((opcode, int.from_bytes(payload[:2], "big")), (0x88, code))
        await self.assertClosedFor(reason)

    @gen_test
    async def test_a_compressed_bomb_is_too_big(self):
        for size in (50_001, 40_000_000):
            wire, _ = await self.open()
            wire.send("x" * size)
            await self.assertFails(wire, 1009)
        wire, _ = await self.open()
        wire.send('42["message","' + "x" * 49_900 + '"]')
        await self.noted("message", "x" * 49_900)

    @gen_test
    async def test_a_compressed_bomb_in_fragments_is_too_big(self):
        wire, _ = await self.open()
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = (deflater.compress(b"x" * 10_000_000) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        wire.send_raw(payload[:5000], 0x40)
        wire.send_raw(payload[5000:], 0x80, opcode=0)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        await self.assertFails(wire, 1009)
        self.assertLess(
            tracemalloc.get_traced_memory()[1], 1_000_000
        )  # it was not unpacked to be measured

    @gen_test
    async def test_compressed_fragments_are_put_together_before_they_are_unpacked(self):
        wire, _ = await self.open()
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = (
            deflater.compress(b'42["message","' + b"abc" * 500 + b'"]')
            + deflater.flush(zlib.Z_SYNC_FLUSH)
        )[:-4]
        wire.send_raw(payload[:3], 0x40)
        wire.send_raw(b"in between", 0x80, opcode=PING_FRAME)
        wire.send_raw(payload[3:9], 0x00, opcode=0)
        wire.send_raw(payload[9:], 0x80, opcode=0)
        self.assertEqual(await wire.read(), (0x80 | PONG_FRAME, b"in between"))
        await self.noted("message", "abc" * 500)

    @gen_test
    async def test_compression_that_was_not_agreed_on_or_has_no_place_is_a_protocol_error(self):
        rows = [
            (None, 0xC0, TEXT_FRAME, b"\x00", 1002, "not agreed on"),
            (self.DEFLATE, 0xC0, PING_FRAME, b"", 1002, "a control frame"),
            (self.DEFLATE, 0xC0, 0, b"", 1002, "a continuation"),
            (self.DEFLATE, 0xA0, TEXT_FRAME, b"", 1002, "another bit"),
            (self.DEFLATE, 0xC0, TEXT_FRAME, b"\xff\xff\xff", 1007, "no deflate at all"),
        ]
        for offer, bits, opcode, payload, code, why in rows:
            with self.subTest(why):
                wire, _ = await self.open(offer)
                wire.send_raw(payload, bits, opcode)
                await self.assertFails(wire, code)
        wire, _ = await self.open()
        wire.send(b"\xff\xfe not UTF-8")
        await self.assertFails(wire, 1007)

    @gen_test
    async def test_an_upgraded_client_has_compression_from_then_on(self):
        polling, wire = await self.wire(), await self.wire()
        url = await self.join_polling(polling)
        _, answer = await wire.upgrade(
            url.replace("=polling", "=websocket"), Sec_WebSocket_Extensions=self.DEFLATE
        )
        self.assertIn("permessage-deflate", answer["sec-websocket-extensions"])
        both = DeflateWire(wire)
        both.send("2probe", 0x80)
        self.assertEqual((await both.read())[1], b"3probe")
        handler = await self.only()
        handler.send("a" * 500)
        self.assertIn(b"a" * 500, (await polling.request("GET", url))[2])
        handler.send("b" * 500)
        both.send("5", 0x80)
        self.assertIn(b"b" * 500, (await both.read())[1])
        handler.send("c" * 500)
        first, payload = await both.read()
        self.assertEqual((first, json.loads(payload[2:])), (0xC1, ["message", "c" * 500]))

    @gen_test
    async def test_a_compression_threshold_of_zero_compresses_every_message(self):
        self.handler.websocket_compression = 0
        wire, _ = await self.open()
        (await self.only()).send("")
        self.assertEqual(await wire.read(), (0xC1, b'42["message",""]'))
        (await self.only()).send(b"")
        await wire.read()
        self.assertEqual(await wire.read(), (0xC2, b""))
        wire.send(b"", opcode=BINARY_FRAME)
        await self.assertClosedFor(
            "parse error"
        )  # an attachment that nobody announced, but a frame in order

    @gen_test
    async def test_websocket_compression_is_off_by_default(self):
        self.handler.websocket_compression = None
        wire, agreed = await self.open()
        self.assertIsNone(agreed)
        (await self.only()).send("x" * 1000)
        self.assertEqual((await wire.read())[0], 0x81)


class CookieTests(RecorderTestCase):
    """`cookie` names a cookie for proxies that route by one; scripts cannot read it."""

    options = {"cookie": "route"}

    @gen_test
    async def test_the_cookie_is_set_by_a_handshake_and_by_nothing_else(self):
        for path in (
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/?EIO=3&transport=polling&j=0",
            "/socket.io/1/",
        ):
            with self.subTest(path):
                wire = await self.wire()
                _, headers, body = await wire.request("GET", path)
                sid = re.search(r"[\w-]{20}", body.decode())[0]
                self.assertEqual(
                    headers["set-cookie"], f"route={sid}; Path=/; HttpOnly; SameSite=Lax"
                )
                if "EIO=4" in path:
                    _, headers, _ = await wire.request("POST", f"{path}&sid={sid}", b"40")
                    self.assertNotIn("set-cookie", headers)
                    _, headers, _ = await wire.request("GET", f"{path}&sid={sid}")
                    self.assertNotIn("set-cookie", headers)

    @gen_test
    async def test_the_cookie_has_the_attributes_of_a_dict(self):
        for option, expected in [
            ({"name": "io"}, "Path=/; HttpOnly; SameSite=Lax"),
            (
                {"name": "io", "path": "/chat", "samesite": "None", "secure": True, "max_age": 60},
                "Path=/chat; Max-Age=60; HttpOnly; Secure; SameSite=None",
            ),
            (
                {"name": "io", "httpOnly": False, "sameSite": "strict", "maxAge": 5, "domain": "a.example"},
                "Domain=a.example; Path=/; Max-Age=5; SameSite=Strict",
            ),
            (
                {"name": "io", "samesite": None, "secure": True, "partitioned": True},
                "Path=/; HttpOnly; Secure; Partitioned",
            ),
        ]:  # fmt: skip
            self.handler.cookie = option
            _, headers, body = await (await self.wire()).request("GET", ENGINE_URL)
            sid = self.sid_in(body)
            self.assertEqual(headers["set-cookie"], f"io={sid}; {expected}")

    def test_a_cookie_that_no_browser_would_keep_is_refused_when_the_class_is_made(self):
        for option, words in [
            ("a b", "cannot be the name of a cookie"),
            ("io\r\nSet-Cookie: x=1", "cannot be the name of a cookie"),
            ({"samesite": "Lax"}, "a cookie has a name"),
            ({"name": "io", "samesite": "None"}, "SameSite=None without Secure: say secure=True"),
            ({"name": "io", "samesite": "Sometimes"}, "SameSite is Strict, Lax or None"),
            ({"name": "io", "path": "/\r\nX: y"}, "is no path"),
            ({"name": "io", "domain": "a;b"}, "is no domain"),
            ({"name": "io", "max_ages": 5}, "max_ages is none of domain"),
            ({"name": "__Host-io"}, "__Host-io without Secure"),
            (True, "must be str or Mapping or None"),
        ]:
            with self.subTest(words), self.assertRaises((TypeError, ValueError)) as refused:
                type("Chat", (SocketIOHandler,), {"cookie": option})
            self.assertIn("Chat.cookie", str(refused.exception))
            self.assertIn(words, str(refused.exception))

    @gen_test
    async def test_no_cookie_is_set_by_default(self):
        self.handler.cookie = None
        _, headers, _ = await (await self.wire()).request(
            "GET", "/socket.io/?EIO=4&transport=polling"
        )
        self.assertNotIn("set-cookie", headers)


class AnswerHeaderTests(unittest.TestCase):
    """What an application puts on an answer is a header and nothing else, or an error at once."""

    def setUp(self):
        self.answer = socket_io.AnswerHeaders({"cookie_secret": "s" * 32})

    def test_a_line_end_or_a_nul_raises_at_once_and_names_the_header(self):
        for text in ("a\r\nSet-Cookie: b=1", "a\nb", "a\rb", "a\0b", "a\x7fb"):
            for put in (self.answer.set_header, self.answer.add_header):
                with (
                    self.subTest(text),
                    self.assertRaisesRegex(ValueError, "header X-Mine: .*line end"),
                ):
                    put("X-Mine", text)
                with self.subTest(text), self.assertRaisesRegex(ValueError, "header X-Mine"):
                    put("X-Mine", text.encode())
                with self.assertRaisesRegex(ValueError, "cannot be the name of a header"):
                    put(text, "a")
                with self.assertRaisesRegex(ValueError, "header Set-Cookie"):
                    put("Set-Cookie", f"a={text}")
            with self.assertRaisesRegex(ValueError, "cookie mine: .*line end"):
                self.answer.set_cookie("mine", text)
            with self.assertRaisesRegex(ValueError, "name of a cookie"):
                self.answer.set_cookie(text, "mine")
            for attribute in ("path", "domain"):
                with self.assertRaisesRegex(ValueError, f"cookie mine: .* is no {attribute}"):
                    self.answer.set_cookie("mine", "x", **{attribute: text})
        self.assertEqual((self.answer.headers, self.answer.cookies), ({}, []))

    def test_a_header_that_the_server_needs_cannot_be_set(self):
        for name in ("Content-Length", "transfer-encoding", "Connection", "Sec-WebSocket-Accept",
                     "Content-Type", "Upgrade"):  # fmt: skip
            with self.subTest(name), self.assertRaisesRegex(ValueError, "the server's own"):
                self.answer.set_header(name, "x")

    def test_values_may_be_what_tornado_takes(self):
        self.answer.set_header("x-number", 5)
        self.answer.set_header("X-Bytes", b"abc")
        self.answer.set_header("X-Time", datetime.datetime(2026, 1, 2))
        self.answer.add_header("Link", "a")
        self.answer.add_header("link", "b")
        self.answer.set_header("X-Gone", "x")
        self.answer.clear_header("x-gone")
        self.assertEqual(
            self.answer.headers,
            {"X-Number": "5", "X-Bytes": "abc", "X-Time": "Fri, 02 Jan 2026 00:00:00 GMT", "Link": "a, b"},
        )  # fmt: skip
        for value in (None, 1.5, True, ["a"]):
            with self.assertRaisesRegex(TypeError, "header X-Mine"):
                self.answer.set_header("X-Mine", value)

    def test_cookies_are_written_as_tornado_writes_them(self):
        for args, attributes, expected in [
            (("a", "b"), {}, "a=b; Path=/"),
            (("a", "b;c"), {"path": None}, 'a="b\\073c"'),
            (("a", "b"), {"httponly": True, "secure": True}, "a=b; Path=/; HttpOnly; Secure"),
            (
                ("a", "b"),
                {"HttpOnly": True, "SameSite": "lax"},
                "a=b; Path=/; HttpOnly; SameSite=Lax",
            ),
            (("a", 5), {"max_age": 0}, "a=5; Path=/; Max-Age=0"),
            (
                ("a", "b", "x.example", datetime.datetime(2026, 1, 2), "/p"),
                {},
                "a=b; Domain=x.example; Path=/p; Expires=Fri, 02 Jan 2026 00:00:00 GMT",
            ),
        ]:
            with self.subTest(expected):
                self.answer.set_cookie(*args, **attributes)
                self.assertEqual(self.answer.cookies, [expected])
        self.answer.set_cookie("other", "x", expires_days=1)
        self.assertRegex(self.answer.cookies[1], r"other=x; Path=/; Expires=\w+, .* GMT")
        self.answer.clear_cookie("other")
        self.assertIn("Expires=Thu, 01 Jan 1970", self.answer.cookies[1])
        self.assertIn("other=", self.answer.cookies[1])
        for attributes, words in [
            ({"samesite": "None"}, "secure=True"),
            ({"partitioned": True}, "secure=True"),
            ({"samesite": "maybe"}, "Strict, Lax or None"),
        ]:
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                self.answer.set_cookie("a", "b", **attributes)
        with self.assertRaisesRegex(TypeError, "maxxage is none of"):
            self.answer.set_cookie("a", "b", maxxage=1)

    def test_a_signed_cookie_needs_the_secret(self):
        with self.assertRaisesRegex(ValueError, "cookie_secret"):
            socket_io.AnswerHeaders({}).set_signed_cookie("a", "b")


#: Requests by which sessions begin: generation, path, and whether it is a WebSocket's.
HANDSHAKES = [
    ("EIO4", "/socket.io/?EIO=4&transport=polling", False),
    ("EIO4 JSONP", "/socket.io/?EIO=4&transport=polling&j=0", False),
    ("EIO4 WebSocket", "/socket.io/?EIO=4&transport=websocket", True),
    ("EIO3", "/socket.io/?EIO=3&transport=polling", False),
    ("EIO3 JSONP", "/socket.io/?EIO=3&transport=polling&j=0", False),
    ("EIO3 WebSocket", "/socket.io/?EIO=3&transport=websocket", True),
    ("0.9", "/socket.io/1/?t=1", False),
    ("0.9 JSONP", "/socket.io/1/?t=1&jsonp=0", False),
    ("0.6", "/socket.io/xhr-polling//1", False),
    ("0.6 JSONP", "/socket.io/jsonp-polling//1/0", False),
    ("0.6 multipart", "/socket.io/xhr-multipart//1", False),
    ("0.6 htmlfile", "/socket.io/htmlfile//1", False),
    ("0.6 WebSocket", "/socket.io/websocket", True),
    ("0.6 Flash", "/socket.io/flashsocket", True),
]


class HeaderBehaviour:
    """`set_initial_headers` and `set_default_headers` put headers and cookies on answers to clients."""

    settings = {"cookie_secret": "s" * 32}

    class base(Recorder):
        @classmethod
        def set_initial_headers(cls, request, answer):
            assert isinstance(request, tornado.httputil.HTTPServerRequest)
            answer.set_header("X-Initial", request.path)
            answer.set_cookie("seen", "yes", max_age=60, samesite="None", secure=True)
            answer.set_signed_cookie("user", "ada")
            answer.add_header("Vary", "X-Whim")

        @classmethod
        def set_default_headers(cls, request, answer):
            answer.set_header("X-Default", request.method)

    async def head(self, path, websocket=False, **headers):
        """Ask for *path*; return the wire, the status, and the answer's headers as a list of pairs."""
        wire = await self.wire()
        if websocket:
            headers |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
                        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        wire.send_request("GET", path, **headers)
        head = (await wire.within(wire.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        return wire, int(first.split()[1]), [tuple(line.split(": ", 1)) for line in lines]

    def assertInitial(self, pairs, path):
        self.assertIn(("X-Initial", path.split("?")[0]), pairs)
        self.assertIn(("X-Default", "GET"), pairs)
        cookies = [value for name, value in pairs if name == "Set-Cookie"]
        self.assertEqual(cookies[0], "seen=yes; Path=/; Max-Age=60; Secure; SameSite=None")
        self.assertRegex(cookies[1], r'^user="?2\|1:0\|.*; Path=/; Expires=')
        self.assertEqual(len(cookies), 2)
        names = [name for name, _ in pairs]
        self.assertEqual(len(names) - 1, len(set(names)), pairs)  # Set-Cookie alone comes twice

    @gen_test
    async def test_the_answer_to_a_handshake_has_them_in_every_generation_and_transport(self):
        for round in range(2):  # the first request of an application goes another way
            for name, path, websocket in HANDSHAKES:
                with self.subTest(name, round=round):
                    _, status, pairs = await self.head(
                        path, websocket, Origin="http://test.example"
                    )
                    self.assertEqual(status, 101 if websocket else 200)
                    self.assertInitial(pairs, path)
                    if not websocket:
                        vary = dict(pairs)["Vary"]
                        self.assertIn("X-Whim", vary)
                        self.assertIn("Origin", vary)

    @gen_test
    async def test_the_websocket_and_the_stream_of_0_9_have_them_too(self):
        for transport, websocket in (
            ("websocket", True),
            ("flashsocket", True),
            ("htmlfile", False),
        ):
            _, _, body = await (await self.wire()).request("GET", "/socket.io/1/?t=1")
            path = f"/socket.io/1/{transport}/{body.decode().split(':')[0]}"
            _, status, pairs = await self.head(path, websocket)
            self.assertEqual(status, 101 if websocket else 200)
            self.assertInitial(pairs, path)

    @gen_test
    async def test_later_answers_have_only_the_default_headers(self):
        wire = await self.wire()
        _, headers, body = await wire.request("GET", ENGINE_URL)
        url = f"{ENGINE_URL}&sid={self.sid_in(body)}"
        for method, data in (("POST", b"40"), ("GET", b""), ("OPTIONS", b"")):
            _, headers, _ = await wire.request(method, url, data)
            self.assertEqual(headers["x-default"], method)
            self.assertNotIn("x-initial", headers)
            self.assertNotIn("set-cookie", headers)
        path = f"{url.replace('polling', 'websocket')}"
        _, status, pairs = await self.head(path, True)
        self.assertEqual(status, 101)
        self.assertIn(("X-Default", "GET"), pairs)
        self.assertNotIn("X-Initial", dict(pairs))
        _, headers, _ = await wire.request("GET", "/socket.io/?EIO=9&transport=polling")
        self.assertEqual(headers["x-default"], "GET")
        _, headers, _ = await (await self.wire()).request("GET", "/socket.io/socket.io.js")
        self.assertEqual(headers["x-default"], "GET")

    @gen_test
    async def test_the_hook_runs_after_allow_request_and_in_its_context(self):
        variable = contextvars.ContextVar("variable")

        async def allow_request(cls, request):
            await asyncio.sleep(0)
            variable.set(request.headers["X-User"])
            return request.headers["X-User"] != "nobody"

        def set_initial_headers(cls, request, answer):
            answer.set_header("X-User", variable.get())

        self.handler.allow_request = classmethod(allow_request)
        self.handler.set_initial_headers = classmethod(set_initial_headers)
        for name, path, websocket in HANDSHAKES:
            with self.subTest(name):
                _, _, pairs = await self.head(path, websocket, X_User="ada")
                self.assertIn(("X-User", "ada"), pairs)
                _, _, pairs = await self.head(path, websocket, X_User="nobody")
                self.assertNotIn("X-User", dict(pairs))
                self.assertIn(("X-Default", "GET"), pairs)

    @gen_test
    async def test_a_hook_that_fails_refuses_the_client_and_is_logged(self):
        def set_initial_headers(cls, request, answer):
            answer.set_header("X-First", "x")
            answer.set_header("X-Evil", "a\r\nSet-Cookie: b=c")

        self.handler.set_initial_headers = classmethod(set_initial_headers)
        for name, path, websocket in HANDSHAKES:
            with self.subTest(name), self.assertLogs("socket_io", "ERROR") as logged:
                _, status, pairs = await self.head(path, websocket)
            self.assertGreaterEqual(status, 200)
            self.assertNotIn("b=c", str(pairs))
            self.assertNotIn("X-First", dict(pairs))
            self.assertIn("base.set_initial_headers failed", logged.output[0])
            self.assertIn("header X-Evil", logged.output[0])
        self.assertEqual(self.handler._home[0].sessions, {})

        def refuse(cls, request, answer):
            raise tornado.web.HTTPError(403, reason="Not you")

        self.handler.set_initial_headers = classmethod(refuse)
        status, _, body = await (await self.wire()).request("GET", ENGINE_URL)
        self.assertEqual((status, json.loads(body)["message"]), (403, "Not you"))

    @gen_test
    async def test_default_headers_that_fail_are_logged_and_left_out(self):
        self.handler.set_default_headers = classmethod(lambda cls, request, answer: 1 // 0)
        with self.assertLogs("socket_io", "ERROR") as logged:
            _, status, pairs = await self.head(ENGINE_URL)
        self.assertEqual(status, 200)
        self.assertIn("X-Initial", dict(pairs))
        self.assertIn("base.set_default_headers failed", logged.output[0])

    @gen_test
    async def test_clients_of_every_generation_connect_all_the_same(self):
        for dialect, transport in SpawnTests.CLIENTS:
            with self.subTest(dialect, transport=transport):
                client = await self.client(dialect, transport)
                await client.send("hello")
                await self.noted("message", "hello")


class HeaderTests(HeaderBehaviour, RecorderTestCase):
    def test_hooks_for_requests_belong_to_the_class_that_is_routed(self):
        chat = type("Chat", (SocketIOHandler,), {})
        for name in ("set_initial_headers", "set_default_headers"):
            with self.subTest(name):
                hook = classmethod(lambda cls, request, answer: None)
                admin = type("Admin", (SocketIOHandler,), {name: hook})
                with self.assertRaisesRegex(ValueError, f"Admin.{name} would never be asked"):
                    chat.routes("socket.io", namespaces={"/admin": admin})
                with self.assertRaisesRegex(TypeError, "make it a @classmethod|use a @classmethod"):
                    type("Chat", (SocketIOHandler,), {name: lambda self: None})

                async def slow(cls, request, answer): ...

                with self.assertRaisesRegex(TypeError, "cannot be a coroutine"):
                    type("Chat", (SocketIOHandler,), {name: classmethod(slow)})

    def test_a_mixin_may_have_tornados_set_default_headers(self):
        class BaseHandler(tornado.web.RequestHandler):
            def set_default_headers(self):
                self.set_header("X-Mine", "x")

        with self.assertLogs("socket_io", "WARNING") as logged:
            admin = type("Admin", (BaseHandler, SocketIOHandler), {})
            self.handler.routes("socket.io", namespaces={"/admin": admin})
        self.assertIn("BaseHandler.set_default_headers", logged.output[0])

    @gen_test
    async def test_a_handler_that_sets_a_header_is_told_of_the_hook(self):
        await self.client()
        for name in ("set_header", "set_cookie", "set_signed_cookie", "clear_cookie"):
            with self.assertRaisesRegex(RuntimeError, "class method set_initial_headers"):
                getattr(await self.only(), name)("a", "b")


class LogFunctionBehaviour:
    """An application with its own `log_function` hears of the requests of its clients, too."""

    def get_app(self):
        self.logged = []
        self.settings = {"log_function": self.log}
        return super().get_app()

    def log(self, handler):
        # What tornado.web.Application.log_request asks of a handler.
        seconds = handler.request.request_time()
        self.assertTrue(0 <= seconds < 5, seconds)
        self.logged.append((handler.get_status(), handler._request_summary()))
        if handler.get_status() == 418:
            raise KeyError("log_function")

    def assertLogged(self, *lines):
        self.assertEqual([f"{status} {summary}" for status, summary in self.logged], list(lines))
        self.logged.clear()

    @gen_test
    async def test_every_answer_is_logged_once(self):
        for _ in range(2):  # the first request of an application goes another way
            wire = await self.wire()
            _, _, body = await wire.request("GET", ENGINE_URL)
            url = f"{ENGINE_URL}&sid={self.sid_in(body)}"
            await wire.request("POST", url, b"40")
            await wire.request("GET", url)
            self.assertLogged(f"200 GET {ENGINE_URL} (127.0.0.1)", f"200 POST {url} (127.0.0.1)",
                              f"200 GET {url} (127.0.0.1)")  # fmt: skip
        path = "/socket.io/?EIO=9&transport=polling"
        await wire.request("GET", path)
        self.assertLogged(f"400 GET {path} (127.0.0.1)")
        path = "/socket.io/?EIO=4&transport=websocket"
        await (await self.wire()).upgrade(path)
        self.assertLogged(f"101 GET {path} (127.0.0.1)")
        client = await self.client("0.6", "xhr-multipart")
        self.assertEqual(self.logged[0][0], 200)
        await client.send("hello")
        await self.noted("message", "hello")

    @gen_test
    async def test_a_log_function_that_fails_is_logged_and_the_client_is_answered(self):
        def refuse(cls, request):
            raise tornado.web.HTTPError(418, reason="Teapot")

        self.handler.allow_request = classmethod(refuse)
        with self.assertLogs("socket_io", "ERROR") as logged:
            status, _, _ = await (await self.wire()).request("GET", ENGINE_URL)
        self.assertEqual(status, 418)
        self.assertIn("log_function failed", logged.output[0])


class LogFunctionTests(LogFunctionBehaviour, RecorderTestCase):
    @gen_test
    async def test_tornados_own_log_function_takes_what_it_is_given(self):
        del self._app.settings["log_function"]
        log_request = self._app.log_request
        self._app.settings["log_function"] = self.logged.append
        await (await self.wire()).request("GET", ENGINE_URL)
        (handler,) = self.logged
        del self._app.settings["log_function"]
        with self.assertLogs("tornado.access", "INFO") as logged:
            log_request(handler)
        self.assertRegex(logged.output[0], r"INFO:tornado.access:200 GET /socket.io/.* [0-9.]+ms")


class HeaderTLSTests(OverTLS, HeaderBehaviour, RecorderTestCase):
    pass


# ---- Process -------------------------------------------------------------------------


class EagerBehaviour:
    """With `asyncio.eager_task_factory` a task begins inside its maker; events keep their order all the same."""

    class base(Recorder):
        async def on_open(self, *args, **kwargs):
            super().on_open(*args, **kwargs)

        async def on_message(self, message):
            self.send(message)
            return message

        @event
        async def in_turn(self, number):
            self.note("begun", number)
            await asyncio.sleep(0)
            self.note("ended", number)

        async def on_close(self):
            super().on_close()

    transport = "websocket"

    def setUp(self):
        super().setUp()
        self.io_loop.asyncio_loop.set_task_factory(asyncio.eager_task_factory)

    @gen_test
    async def test_with_eager_tasks_events_are_answered_and_on_close_comes(self):
        for dialect in ("EIO4", "EIO3", "0.9", "0.6"):
            with self.subTest(dialect):
                client = await self.client(dialect, self.transport)
                for number in (1, 2):
                    await client.send(f"hello {number}")
                    self.assertEqual(await client.receive(), ("message", f"hello {number}"))
                self.handler.handlers[-1].disconnect(close=True)
                await self.assertClosedFor("server namespace disconnect")

    @gen_test
    async def test_with_eager_tasks_events_of_one_client_run_one_after_the_other(self):
        client = await self.client("EIO4", self.transport)
        for number in range(3):
            await client.emit("in_turn", number)
        for number in range(3):
            await self.noted("begun", number)
            await self.noted("ended", number)

    @gen_test
    async def test_with_eager_tasks_many_coroutines_that_wait_for_nothing_nest_no_deeper(self):
        client = await self.client("EIO4", self.transport)
        gate, done = asyncio.Event(), asyncio.Event()
        count = 0

        async def in_turn(handler, number):
            nonlocal count
            await gate.wait()
            count += 1
            if count == 3000:
                done.set()

        self.handler.in_turn = in_turn
        for number in range(3000):
            await client.emit("in_turn", number)
        gate.set()
        await within(done.wait(), 20)


@unittest.skipIf(sys.version_info < (3, 12), "Python has eager tasks from 3.12 on")
class EagerTests(EagerBehaviour, RecorderTestCase):
    pass


@unittest.skipIf(sys.version_info < (3, 12), "Python has eager tasks from 3.12 on")
class EagerTLSTests(OverTLS, EagerBehaviour, RecorderTestCase):
    pass


@unittest.skipUnless(hasattr(os, "fork"), "only Unix forks")
class ForkTests(RecorderTestCase):
    """A process that was forked from a serving one has its handlers, but not its clients."""

    @gen_test
    async def test_nothing_can_be_sent_from_a_forked_child(self):
        clients = [await self.client(), await self.client("EIO4", "xhr-polling")]
        handler = self.handler.handlers[0]
        io, kept, serving = self.handler.io, handler.io, handler._member.session.hub

        def sends():
            yield lambda: self.handler.io.emit("no")
            for one in (io, kept, io.to(handler.id), handler.broadcast):
                yield lambda one=one: one.emit("no")
                yield lambda one=one: one.send("no")
                yield lambda one=one: one.disconnect()
                yield lambda one=one: one.join("room")
                yield lambda one=one: one.sockets()
                yield lambda one=one: asyncio.run(one.call("no"))
            yield io.stats
            yield lambda: asyncio.run(io.close())
            yield lambda: handler.emit("no")
            yield lambda: handler.emit("no", ack=print)
            yield lambda: handler.send("no")
            yield lambda: asyncio.run(handler.call("no"))

        def in_child():
            failures = []
            for number, send in enumerate(sends()):
                try:
                    send()
                    failures.append(f"{number} passed")
                except RuntimeError as error:
                    if "forked" not in str(error):
                        failures.append(f"{number}: {error!r}")
            return ", ".join(failures)

        self.assertEqual(self.fork(in_child), "")
        self.handler.io.emit("yes")
        for client in clients:
            self.assertEqual(await client.receive(), ("yes",))
        self.assertIs(serving.clock.loop, asyncio.get_running_loop())

    @needs_cluster_packages
    @gen_test
    async def test_nothing_can_be_sent_from_a_forked_child_of_a_server_without_requests(self):
        chat = type("Chat", (SocketIOHandler,), {"cluster": "memory://fork"})
        chat.routes("socket.io")
        await chat.io.start()

        def in_child():
            with self.assertRaisesRegex(RuntimeError, "forked"):
                chat.io.emit("no")
            return "refused"

        self.assertEqual(self.fork(in_child), "refused")
        await chat.io.close()

    @gen_test
    async def test_a_forked_child_may_serve_by_itself(self):
        await self.client()
        sock, port = tornado.testing.bind_unused_port()

        async def serve():
            server = tornado.httpserver.HTTPServer(self._app)
            server.add_socket(sock)
            client = await Client(port, "EIO4", "websocket").connect()
            self.handler.io.emit("hello")
            return repr(await client.receive())

        with sock:
            self.assertEqual(self.fork(lambda: asyncio.run(serve())), "('hello',)")
        self.assertEqual(len(self.handler.io.sockets()), 1)

    def fork(self, work):
        """What *work* gives in a forked child, or its error."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            warnings.simplefilter("ignore")  # that its loop ends with connections open
            try:
                asyncio.events._set_running_loop(None)
                asyncio.set_event_loop(None)
                said = work()
            except BaseException as error:
                said = repr(error)
            os.write(writer, said.encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        return said


# -- 13. Serving -----------------------------------------------------------------------


class RouteTests(SocketIOTestCase):
    """The ancestor's `routes(resource, extraRE=None, extraSep=None)`."""

    class handler(SocketIOHandler):
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
    async def test_groups_of_the_route_reach_on_open(self):
        rows = [
            (
                "/echoTest/123abc%20d",
                [],
                {"extra": "123abc d", "sec_a": "123", "sec_b": "abc d"},
                None,
            ),
            ("/two/chat42", ["two", "42"], {"extra": "42"}, None),
            ("/red/live", [], {"team": "red"}, "db"),
        ]
        for path, args, kwargs, database in rows:
            for dialect, transport in (
                ("EIO4", "websocket"),
                ("EIO4", "xhr-polling"),
                ("0.6", "websocket"),
            ):
                with self.subTest(path=path, dialect=dialect, transport=transport):
                    client = await self.client(dialect, transport, path=path)
                    told = await client.receive()
                    got = told[1:] if dialect == "EIO4" else tuple(told[1]["args"])
                    self.assertEqual(got, (args, kwargs, database))


class PlainRuleTests(RecorderTestCase):
    """A handler that stands in an Application as any other would, without `routes`."""

    settings = {"xsrf_cookies": True}

    def get_app(self):
        super().get_app()
        rules = [("/socket.io/(.*)", self.handler, {"db": 1}), ("/other", self.handler)]
        return tornado.web.Application(rules, **self.settings)

    @gen_test
    async def test_a_handler_without_routes_answers_500_and_the_log_names_routes(self):
        wire = await self.wire()
        silent = self.assertLogs("tornado.access", "ERROR")
        with silent, self.assertLogs("socket_io", "WARNING") as logged:
            for method, path in [
                ("GET", "/socket.io/?EIO=4&transport=polling"),
                ("POST", "/socket.io/?EIO=4&transport=polling&sid=x"),
                ("OPTIONS", "/socket.io/"),
                ("GET", "/socket.io/1/"),
                ("GET", "/other"),
            ]:
                with self.subTest(method=method, path=path):
                    body = b"40" if method == "POST" else b""
                    self.assertEqual((await wire.request(method, path, body))[0], 500)
            self.assertEqual((await wire.upgrade("/socket.io/?EIO=4&transport=websocket"))[0], 500)
        self.assertEqual(len(logged.output), 1)
        self.assertIn('Recorder.routes("socket.io")', logged.output[0])


class MisplacedRouteTests(unittest.TestCase):
    """A mistake on the way from a class to a server is refused where it is made, with the cure."""

    def assertRefused(self, word, work):
        with self.assertRaises(TypeError) as refused:
            work()
        self.assertIn(word, str(refused.exception))

    def test_a_route_that_is_taken_apart_is_refused(self):
        route = Recorder.routes("socket.io")
        for rules in (route, [*route], [("/socket.io/.*", route)]):
            self.assertRefused(
                'Application([Chat.routes("socket.io")',
                functools.partial(tornado.web.Application, rules),
            )

    def test_arguments_of_routes_that_cannot_be_are_refused(self):
        for word, arguments in [
            ("a path as text", {"resource": ["socket.io"]}),
            ("a dict", {"resource": "socket.io", "namespaces": [Recorder]}),
            ("no subclass", {"resource": "socket.io", "namespaces": {"/a": "Recorder"}}),
            (
                "no subclass",
                {"resource": "socket.io", "namespaces": {"/a": tornado.web.RequestHandler}},
            ),
        ]:
            self.assertRefused(word, functools.partial(Recorder.routes, **arguments))

    def test_a_server_takes_an_application_and_nothing_else(self):
        for wrong in (Recorder, Recorder.routes("socket.io"), [Recorder.routes("socket.io")]):
            self.assertRefused("Application", functools.partial(SocketIOServer, wrong))


class TwoApplicationsTests(RecorderTestCase):
    """One value of `routes` may stand in several Applications, and one class may have several routes."""

    settings = {"name": "first"}

    def get_app(self):
        application = super().get_app()
        self.rule = self.handler.routes("again", namespaces={"/side": self.handler})
        self.more = [
            tornado.web.Application([self.rule], name=name, **settings)
            for name, settings in [
                ("second", {"enabled_protocols": ["websocket"]}),
                ("third", {}),
            ]
        ]
        return application

    def setUp(self):
        super().setUp()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.stop()
        super().tearDown()

    async def served(self, application, dialect="EIO4", transport="websocket", **kwargs):
        """A client of *application*, on a server of its own."""
        sock, port = tornado.testing.bind_unused_port()
        server = tornado.httpserver.HTTPServer(application)
        server.add_socket(sock)
        self.servers.append(server)
        client = Client(port, dialect, transport, **kwargs)
        self._clients.append(client)
        return await client.connect()

    @gen_test
    async def test_one_value_of_routes_serves_each_application_by_itself(self):
        for dialect, transport in [("EIO4", "websocket"), ("0.9", "websocket")]:
            for application in (self.more[1], self.more[0]):
                client = await self.served(application, dialect, transport, path="/again")
                handler = self.handler.handlers[-1]
                with self.subTest(dialect=dialect, name=application.settings["name"]):
                    self.assertIs(handler.application, application)
                    self.assertEqual(handler.io.sockets(), [handler])
                    handler.io.emit("here", application.settings["name"])
                    told = await client.receive()
                    self.assertEqual(told, ("here", application.settings["name"]))
                await client.close()
                await self.assertClosedFor("transport close")
        with self.assertRaises(ConnectionRefused):  # only the second may not poll
            await self.served(self.more[0], "EIO4", "xhr-polling", path="/again")
        await self.served(self.more[1], "EIO4", "xhr-polling", path="/again")

    @gen_test
    async def test_one_application_has_one_hub_wherever_it_puts_the_rule(self):
        application = tornado.web.Application([(r"/nothing", tornado.web.RequestHandler)])
        for host in ("127.0.0.1", ".*"):
            application.add_handlers(host, [self.rule])
        client = await self.served(application, path="/again")
        wire = await Wire.open(client.port)
        self._clients.append(wire)
        request = "GET /again/?EIO=3&transport=polling HTTP/1.1\r\nHost: example.com\r\n\r\n"
        wire.writer.write(request.encode())
        self.assertEqual((await wire.answer())[0], 200)
        self.assertEqual(len(self.handler.handlers), 2)
        for handler in self.handler.handlers:
            self.assertEqual(len(handler.io.sockets()), 2)

    @gen_test
    async def test_io_of_a_class_reaches_its_clients_in_all_applications(self):
        clients = [
            await self.client(),
            await self.served(self.more[0], path="/again"),
            await self.served(self.more[1], "0.9", "xhr-polling", path="/again"),
        ]
        ids = [handler.id for handler in self.handler.handlers]
        io = self.handler.io
        io.emit("all", 1)
        io.to(ids[0], ids[2]).except_(ids[2]).volatile.emit("first", 2)
        io.to(ids[2]).send("third")
        io.to(ids[1]).join("room")
        io.to("room").local.emit("second", 3)
        for client in clients:
            self.assertEqual(await client.receive(), ("all", 1))
        self.assertEqual(await clients[0].receive(), ("first", 2))
        self.assertEqual(await clients[1].receive(), ("second", 3))
        self.assertEqual(await clients[2].receive(), ("message", "third"))
        io.to(ids[1]).leave("room")
        self.assertEqual(io.to("room").sockets(), [])
        self.assertEqual({handler.id for handler in io.sockets()}, set(ids))
        asked = asyncio.ensure_future(io.timeout(5).call("question"))
        for number, client in enumerate(clients):
            await client.answer(number)
        acks = await within(asked)
        self.assertEqual(acks.answers, {id: number for number, id in enumerate(ids)})
        self.assertEqual(acks.missing, set())
        with self.assertRaises(TypeError):
            io.emit("no JSON", object())
        self.assertEqual(
            io.stats()["clients"],
            {"EIO4": {"websocket": 2}, "0.9": {"xhr-polling": 1}},
        )
        self.assertGreaterEqual(io.stats()["messages_sent"], 9)
        self.assertEqual(io.of("/side").sockets(), [])
        with self.assertRaises(KeyError):
            io.of("/nowhere")
        io.to(ids[1]).disconnect()
        await self.assertClosedFor("server namespace disconnect")
        await io.close()
        for _ in range(2):
            await self.assertClosedFor("server shutting down")

    def test_routes_of_closed_loops_are_forgotten(self):
        class Chat(SocketIOHandler):
            pass

        async def bind(application):
            Chat._home[0].bind(application)

        for _ in range(3):
            application = tornado.web.Application([Chat.routes("socket.io")])
            loop = asyncio.new_event_loop()
            loop.run_until_complete(bind(application))
            self.assertIs(type(Chat.io), NamespaceIO)
            self.assertIs(Chat.io._at[-1][0], Chat._home[0])
            loop.close()
            self.assertIs(Chat.io._at[-1][0], Chat._home[0])
            Chat.io.emit("reaches nobody")

    def test_routes_that_nobody_keeps_are_forgotten(self):
        class Chat(SocketIOHandler):
            pass

        hubs = []
        for _ in range(3):
            Chat.routes("socket.io")
            hubs.append(weakref.ref(Chat._home[0]))
        gc.collect()
        self.assertEqual([hub() is None for hub in hubs], [True, True, False])


class SocketIOServerTests(tornado.testing.AsyncTestCase):
    """`SocketIOServer` listens, runs until a signal, and says goodbye."""

    PROGRAM = """
import logging, sys, tornado.web, socket_io
class Echo(socket_io.SocketIOHandler):
    def on_message(self, message): self.send(message)
    def on_close(self): print("closed", self.close_reason, flush=True)
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
ports = {"socket_io_port": int(sys.argv[1]), "flash_policy_port": int(sys.argv[2])}
socket_io.SocketIOServer(tornado.web.Application([Echo.routes("socket.io")], **ports))
print("ended", flush=True)
"""

    @gen_test(timeout=30)
    async def test_a_signal_ends_the_server_with_a_goodbye(self):
        ports = [str(unused_port()), str(unused_port())]
        for name in (signal.SIGTERM, signal.SIGINT):
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                self.PROGRAM,
                *ports,
                stdout=asyncio.subprocess.PIPE,
                cwd=pathlib.Path(__file__).parent,
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
                flash.close()
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
    async def test_a_server_that_is_made_again_on_the_same_loop_serves_again(self):
        class Chat(Recorder):
            entries, handlers = asyncio.Queue(), []

        port = unused_port()
        application = tornado.web.Application([Chat.routes("socket.io")], socket_io_port=port)
        for number in range(3):
            server = SocketIOServer(application, auto_start=False)
            doors = [("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("0.9", "xhr-polling")]
            clients = [await Client(port, *door).connect() for door in doors]
            Chat.io.emit("hello", number)
            for client in clients:
                self.assertEqual(await client.receive(), ("hello", number))
            await server.close()
            for client in clients:
                await within(client.disconnected.wait())
                await client.close()

    async def run_program(self, program, *arguments):
        """What *program* prints until it ends, and with which code."""
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *map(str, arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=pathlib.Path(__file__).parent,
        )  # fmt: skip
        printed, _ = await within(running.communicate(), 20)
        return printed.decode(), running.returncode

    @gen_test(timeout=30)
    async def test_a_port_in_use_is_one_sentence_that_names_the_port(self):
        sock, port = tornado.testing.bind_unused_port()
        with sock:
            printed, code = await self.run_program(self.PROGRAM, port, unused_port())
        self.assertEqual(code, 1)
        self.assertEqual(printed.count("Traceback"), 1)
        for word in (f"port {port}", "Address already in use", "socket_io_port"):
            self.assertIn(word, printed.splitlines()[-1])
        self.assertNotIn("No module named 'uvloop'", printed)

    @gen_test
    async def test_a_port_that_cannot_be_bound_is_named_whatever_the_cause(self):
        rows = [(70000, ""), ("no port", ""), (8888, "a..b"), (8888, "203.0.113.1"), ([8888], "")]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of sockets that Tornado leaves open
            for port, address in rows:
                application = tornado.web.Application([], socket_io_port=port)
                with self.subTest(port=port, address=address):
                    with self.assertRaises(OSError) as refused:
                        SocketIOServer(application, auto_start=False, address=address)
                    self.assertIn(f"port {port}", str(refused.exception))
                    self.assertIn(address, str(refused.exception))
                    self.assertTrue(refused.exception.__suppress_context__)
            del refused
            gc.collect()

    IN_THREAD = """
import asyncio, sys, threading, tornado.web, socket_io
class Echo(socket_io.SocketIOHandler):
    def on_message(self, message): self.send(message)
application = tornado.web.Application([Echo.routes("socket.io")], socket_io_port=int(sys.argv[1]))
threading.Thread(target=socket_io.SocketIOServer, args=[application], daemon=True).start()
async def emit():
    await asyncio.to_thread(sys.stdin.readline)
    Echo.io.emit("news", 5)
    await asyncio.to_thread(sys.stdin.readline)
asyncio.run(emit())
"""

    @gen_test(timeout=30)
    async def test_a_server_in_a_thread_runs_and_says_what_stops_it(self):
        port = unused_port()
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", self.IN_THREAD, str(port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=pathlib.Path(__file__).parent,
        )
        try:
            client = await within(self.connected(port), 20)
            await client.send("hello")
            self.assertEqual(await client.receive(), ("message", "hello"))
            running.stdin.write(b"emit\n")
            self.assertEqual(await client.receive(), ("news", 5))
            await client.close()
            printed, _ = await within(running.communicate(b"end\n"), 20)
        finally:
            if running.returncode is None:
                running.kill()
                await running.communicate()
        self.assertEqual(running.returncode, 0, printed)
        (warning,) = printed.decode().splitlines()
        self.assertIn("auto_start=False", warning)

    async def connected(self, port):
        """Return a client of the program that listens on *port*, as soon as it does."""
        while True:
            with contextlib.suppress(OSError):
                return await Client(port, "EIO4", "websocket").connect()
            await asyncio.sleep(0.01)

    RELOADED = """
import functools, pathlib, sys, tornado.autoreload, tornado.web, socket_io
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import words
tornado.autoreload.start = functools.partial(tornado.autoreload.start, 50)  # milliseconds between looks
print(words.WORD, flush=True)
class Chat(socket_io.SocketIOHandler): ...
socket_io.SocketIOServer(
    tornado.web.Application([Chat.routes("socket.io")], socket_io_port=int(sys.argv[1]), debug=True))
"""

    @gen_test(timeout=30)
    async def test_a_server_in_debug_mode_restarts_when_a_file_changes(self):
        with tempfile.TemporaryDirectory() as folder:
            program = write_file(folder, "program.py", self.RELOADED)
            write_file(folder, "words.py", "WORD = 'first'")
            port, here = unused_port(), pathlib.Path(__file__).parent
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, program, str(port)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": f"{here}:{os.environ.get('PYTHONPATH', '')}"},
            )
            try:
                self.assertEqual(await within(running.stdout.readline(), 20), b"first\n")
                client = await within(self.connected(port), 20)
                await asyncio.sleep(0.2)  # for the first look, which notes how old the files are
                write_file(folder, "words.py", "WORD = 'second one'")
                line = await within(running.stdout.readline(), 20)
                while line.strip() and line != b"second one\n":  # that a file was modified
                    self.assertIn(b"modified", line)
                    line = await within(running.stdout.readline(), 20)
                self.assertEqual(line, b"second one\n")
                await within(client.disconnected.wait())
                await client.close()
            finally:
                running.kill()
                await running.communicate()

    WITHOUT_LOGGING = """
import socket_io
class Mixin:
    def on_connect(self): ...
class Chat(Mixin, socket_io.SocketIOHandler): ...
"""

    @gen_test(timeout=30)
    async def test_warnings_are_seen_by_a_program_without_logging_set_up(self):
        printed, _ = await self.run_program(self.WITHOUT_LOGGING)
        self.assertIn("Mixin.on_connect", printed)

    @gen_test
    async def test_over_tls_no_connection_leaves_its_error_to_the_next(self):
        class Own(ssl.SSLSocket):
            """An application's own."""

        class Chat(SocketIOHandler):
            pass

        certificate = make_certificate()
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(certificate)
        own.sslsocket_class = Own
        client_side = ssl.create_default_context(cafile=certificate)
        for options in ({"certfile": certificate}, own):
            port = unused_port()
            application = tornado.web.Application([Chat.routes("socket.io")], socket_io_port=port)
            server = SocketIOServer(application, auto_start=False, ssl_options=options)
            wire = await Wire.open(port, ssl=client_side, server_hostname="localhost")
            path = "/socket.io/?EIO=4&transport=websocket"
            self.assertEqual((await wire.upgrade(path))[0], 101)
            (connection,) = Chat.io._at[-1][0].connections
            expected = Own if options is own else socket_io.TLSSocket
            self.assertIs(type(connection.carrier.stream.socket), expected)
            wire.close()
            await server.close()

    @gen_test
    async def test_a_server_inside_a_running_loop_must_not_start_one(self):
        class Chat(SocketIOHandler):
            pass

        port = unused_port()
        application = tornado.web.Application(
            [Chat.routes("socket.io")], socket_io_port=port, flash_policy_port=unused_port()
        )
        with self.assertRaises(RuntimeError) as refused:
            SocketIOServer(application)
        self.assertIn("auto_start=False", str(refused.exception))
        server = SocketIOServer(application, auto_start=False)
        client = await Client(port, "EIO4", "websocket").connect()
        await server.close()
        await within(client.disconnected.wait())
        await client.close()


class ListeningTests(tornado.testing.AsyncTestCase):
    """`SocketIOServer` listens where its arguments say, and refuses in a sentence what cannot be."""

    class Chat(SocketIOHandler):
        pass

    def application(self, **settings):
        return tornado.web.Application([self.Chat.routes("socket.io")], **settings)

    def server(self, auto_start=False, settings=(), **options):
        server = SocketIOServer(self.application(**dict(settings)), auto_start, **options)
        self.servers.append(server)
        return server

    def setUp(self):
        super().setUp()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            self.io_loop.run_sync(server.close)
        super().tearDown()

    async def assertServed(self, wire):
        status, *_ = await wire.request("GET", "/socket.io/?EIO=4&transport=polling&sid=unknown")
        self.assertEqual(status, 400)
        self.assertEqual((await wire.upgrade("/socket.io/?EIO=4&transport=websocket"))[0], 101)
        wire.close()

    def refused(self, error, **options):
        """Return the sentence with which *error* refuses a server with *options*."""
        with self.assertRaises(error) as refused:
            self.server(**options)
        return str(refused.exception)

    @gen_test
    async def test_the_argument_port_is_heard_before_the_setting(self):
        port = unused_port()
        self.server(port=port, settings={"socket_io_port": unused_port()})
        await self.assertServed(await Wire.open(port))

    @gen_test
    async def test_a_unix_socket_has_its_mode_and_takes_the_place_of_an_unused_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "server")
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(str(path))
            self.server(unix_socket=path, unix_socket_mode=0o660)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
            await self.assertServed(Wire(*await asyncio.open_unix_connection(path)))

    @gen_test
    async def test_a_unix_socket_may_stand_beside_a_port_and_alone_needs_none(self):
        port = unused_port()
        with (
            tempfile.TemporaryDirectory() as folder,
            self.assertLogs("socket_io", "INFO") as logged,
        ):
            self.server(unix_socket=f"{folder}/a", settings={"socket_io_port": port})
            with self.assertRaises(ConnectionRefusedError):
                await Wire.open(port)
            self.server(unix_socket=f"{folder}/b", port=port)
            await self.assertServed(await Wire.open(port))
            await self.assertServed(Wire(*await asyncio.open_unix_connection(f"{folder}/b")))
        places = [line for line in logged.output if "listening on" in line]
        self.assertTrue(places[0].endswith(f"listening on the Unix socket {folder}/a"))
        self.assertTrue(
            places[1].endswith(f"listening on the Unix socket {folder}/b and port {port}")
        )

    @gen_test
    async def test_a_unix_socket_that_cannot_be_is_named_with_the_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            self.server(unix_socket=f"{folder}/taken")
            write_file(folder, "file", "")
            for path, why in [
                ("taken", "a server listens there already"),
                ("file", "is not a socket"),
                ("nowhere/socket", "No such file or directory"),
                ("x" * 200, "path too long"),
            ]:
                sentence = self.refused(OSError, unix_socket=f"{folder}/{path}")
                for words in (f"{folder}/{path}", why, "unix_socket"):
                    self.assertIn(words, sentence)

    @gen_test
    async def test_sockets_that_listen_already_are_served(self):
        sock, port = tornado.testing.bind_unused_port()
        self.server(sockets=[sock])
        await self.assertServed(await Wire.open(port))

    @gen_test
    async def test_sockets_that_cannot_be_served_are_refused_with_the_cure(self):
        sock, _ = tornado.testing.bind_unused_port()
        with sock, socket.socket() as silent:
            for sockets, error, words in [
                ([silent], ValueError, "listen()"),
                ([], ValueError, "nowhere"),
                ([3], TypeError, "socket.socket(fileno=3)"),
            ]:
                self.assertIn(words, self.refused(error, sockets=sockets))
            for option in (
                {"port": 5},
                {"address": "::1"},
                {"unix_socket": "a"},
                {"reuse_port": True},
            ):
                self.assertIn("leave out", self.refused(ValueError, sockets=[sock], **option))

    @gen_test
    async def test_with_reuse_port_two_servers_listen_on_one_port(self):
        port = unused_port()
        servers = [self.server(port=port, reuse_port=True, address="127.0.0.1") for _ in range(2)]
        for server in servers:  # once the first has stopped, the second has all clients
            await self.assertServed(await Wire.open(port))
            if server is servers[0]:
                server.stop()

    @gen_test
    async def test_a_place_that_cannot_be_had_leaves_the_other_free(self):
        taken, port = tornado.testing.bind_unused_port()
        with taken, tempfile.TemporaryDirectory() as folder:
            self.assertIn(
                f"port {port}", self.refused(OSError, unix_socket=f"{folder}/a", port=port)
            )
            self.server(unix_socket=f"{folder}/a")

    def test_several_workers_where_they_cannot_be_are_refused_with_the_cure(self):
        for options, cure in [
            ({"auto_start": False}, "workers_folder"),
            ({"settings": {"debug": True}, "auto_start": True}, "leave out debug=True"),
        ]:
            self.assertIn(cure, self.refused(RuntimeError, workers=2, **options))
        with mock.patch.object(os, "fork"):
            del os.fork
            self.assertIn("workers_folder", self.refused(RuntimeError, workers=2, auto_start=True))
        in_thread = concurrent.futures.ThreadPoolExecutor(1)
        refused = in_thread.submit(self.refused, RuntimeError, workers=2, auto_start=True)
        self.assertIn("main thread", refused.result())
        in_thread.shutdown()

    def test_a_number_of_workers_is_from_0_to_63(self):
        for workers in (-1, 64, True, 2.0, "2", None):
            self.assertIn("workers=", self.refused(ValueError, workers=workers))

    def test_0_workers_are_one_on_each_core_that_the_process_may_use(self):
        with mock.patch("os.sched_getaffinity", return_value={2, 5, 7}):
            self.assertEqual(socket_io.count_workers(0), 3)

    @gen_test
    async def test_workers_that_share_a_socket_accept_one_client_in_a_turn(self):
        for shared in (False, True):
            sock, port = tornado.testing.bind_unused_port()
            listener = socket_io.Listener(sock, shared)
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
            for client in clients:
                self.addCleanup(client.close)
                listener.accept()[0].close()
                if shared:
                    with self.assertRaises(BlockingIOError):
                        listener.accept()
            listener.close()


class FlashPolicyTests(tornado.testing.AsyncTestCase):
    """`flash_policy_port` serves the policy file that Flash asks for before it opens a socket."""

    async def ask(self, policy_file=None, question=b"<policy-file-request/>\0"):
        sock, port = tornado.testing.bind_unused_port()
        sock.close()
        server = FlashPolicyServer(port, policy_file)
        wire = await Wire.open(port)
        wire.writer.write(question)
        answer = await wire.end()
        wire.close()
        server.stop()
        return answer

    @gen_test
    async def test_the_flash_policy_ends_with_a_nul(self):
        answer = await self.ask()
        self.assertTrue(
            answer.startswith(b'<?xml version="1.0"?>')
            and answer.endswith(b"</cross-domain-policy>\n\0")
        )

    @gen_test
    async def test_the_flash_policy_may_be_a_file_of_ones_own(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"<mine/>")
            file.flush()
            self.assertEqual(await self.ask(file.name), b"<mine/>\0")

    @gen_test
    async def test_a_question_that_is_no_flash_policy_request_gets_no_answer(self):
        self.assertEqual(await self.ask(question=b"GET / HTTP/1.1\r\n\r\n......"), b"")

    @gen_test
    async def test_the_flash_policy_is_served_on_request_and_on_the_servers_address(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"<mine/>")
            file.flush()
            for settings, asked in [
                ({}, None),
                ({"enabled_protocols": ["websocket", "polling"]}, None),
                ({"enabled_protocols": ["websocket", "flashsocket"]}, (843, None)),
                ({"enabled_protocols": "flashsocket"}, (843, None)),
                ({"flash_policy_file": file.name}, (843, file.name)),
                ({"flash_policy_port": 10843}, (10843, None)),
                ({"flash_policy_port": 10843, "enabled_protocols": ["websocket"]}, (10843, None)),
                ({"flash_policy_port": None, "flash_policy_file": None}, None),
            ]:
                application = tornado.web.Application([], socket_io_port=0, **settings)
                with self.subTest(settings), mock.patch("socket_io.FlashPolicyServer") as made:
                    server = SocketIOServer(application, auto_start=False, address="127.0.0.1")
                    await server.close()
                    asked = [mock.call(*asked, "127.0.0.1")] if asked else []
                    self.assertEqual(made.mock_calls[: len(made.mock_calls) // 2], asked)

    @gen_test
    async def test_the_flash_policy_server_listens_on_one_address_and_says_so(self):
        port = unused_port()
        with self.assertLogs("socket_io", "INFO") as logged:
            server = FlashPolicyServer(port, address="127.0.0.2")
        self.assertIn(str(port), logged.output[0])
        with self.assertRaises(ConnectionRefusedError):
            await Wire.open(port)
        wire = await Wire.open(port, "127.0.0.2")
        wire.writer.write(b"<policy-file-request/>\0")
        self.assertTrue((await wire.end()).endswith(b"\0"))
        wire.close()
        server.stop()

    @gen_test
    async def test_a_flash_policy_port_that_may_not_be_bound_is_one_log_line(self):
        sock, port = tornado.testing.bind_unused_port()
        with sock, self.assertLogs("socket_io", "INFO") as logged:
            FlashPolicyServer(port)
        self.assertIn(str(port), logged.output[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del logged  # with the error, and the socket that Tornado could not bind and left open
            gc.collect()


# ---- The lane ------------------------------------------------------------------------


class LaneServer(SocketIOServer):
    """A SocketIOServer that listens only where a test case does."""

    def _bind(self):
        return []


class OnLane:
    """Mixed into a test case: its server is a SocketIOServer, which serves plain requests without Tornado."""

    server_options: dict[str, Any] = {}

    def get_app(self):
        app = super().get_app()
        app.add_handlers(".*", [("/page", Page), ("/slow", Page)])
        return app

    def get_http_server(self):
        return LaneServer(self._app, auto_start=False, **self.server_options)

    def tornado_serves(self):
        """Note on which connections Tornado waits for a request from now on."""
        served = []
        start_request = tornado.httpserver.HTTPServer.start_request

        def noting(server, server_connection, connection):
            served.append(connection)
            return start_request(server, server_connection, connection)

        patch = mock.patch.object(tornado.httpserver.HTTPServer, "start_request", noting)
        patch.start()
        self.addCleanup(patch.stop)
        return served

    async def on_the_lane(self):
        """A wire whose server-side connection the lane has, and whose hub is bound."""
        wire = await self.wire()
        status, _, _ = await wire.request("GET", ENGINE_URL)
        self.assertEqual(status, 200)
        return await self.wire()

    @property
    def connections(self):
        lane = self.http_server.lane
        return lane.connections if lane else set()


ENGINE_URL = "/socket.io/?EIO=4&transport=polling"


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write("a page for " + self.request.remote_ip)

    def post(self):
        self.write(self.request.body)


class LaneTests(OnLane, RecorderTestCase):
    """Plain requests are served without Tornado; whatever else comes finds Tornado, with every byte as it came."""

    @gen_test
    async def test_a_handshake_a_post_and_a_poll_never_reach_tornado(self):
        wire = await self.on_the_lane()
        served = self.tornado_serves()
        url = await self.join_polling(wire)
        self.assertEqual((await wire.request("POST", url, b'42["message","x"]'))[2], b"ok")
        await self.noted("message", "x")
        (await self.only_of(2)).send("y")
        self.assertEqual((await wire.request("GET", url))[2], b'42["message","y"]')
        self.assertEqual(served, [])

    async def only_of(self, count):
        self.assertLessEqual(len(self.handler.handlers), count)
        return self.handler.handlers[-1]

    @gen_test
    async def test_pages_and_polls_take_turns_on_one_connection_up_to_an_upgrade(self):
        wire = await self.on_the_lane()
        page = (200, b"a page for 127.0.0.1")
        for _ in range(2):
            status, _, body = await wire.request("GET", "/page")
            self.assertEqual((status, body), page)
            url = await self.join_polling(wire)
            status, _, body = await wire.request("GET", "/page")
            self.assertEqual((status, body), page)
            self.assertEqual((await wire.request("POST", url, b'42["message",1]'))[2], b"ok")
            await self.noted("message", 1)
        wire.send_request("GET", url)
        second = await self.wire()
        status, _ = await second.upgrade(url.replace("polling", "websocket"))
        self.assertEqual(status, 101)
        second.send_frame("2probe")
        self.assertEqual(await second.text(), "3probe")
        self.assertEqual((await wire.answer())[2], b"6")
        second.send_frame("5")
        second.send_frame('42["message",2]')
        await self.noted("message", 2)
        status, _, body = await wire.request("GET", "/page")
        self.assertEqual((status, body), page)

    @gen_test
    async def test_one_connection_carries_page_handshake_post_poll_and_then_an_upgrade(self):
        polling, wire = await self.on_the_lane(), await self.wire()
        self.assertEqual((await wire.request("GET", "/page"))[0], 200)
        url = await self.join_polling(wire)
        self.assertEqual((await wire.request("GET", "/page"))[0], 200)
        polling.send_request("GET", url)
        status, _ = await wire.upgrade(url.replace("polling", "websocket"))
        self.assertEqual(status, 101)
        wire.send_frame("2probe")
        self.assertEqual(await wire.text(), "3probe")
        self.assertEqual((await polling.answer())[2], b"6")
        wire.send_frame("5")
        wire.send_frame('42["message",1]')
        await self.noted("message", 1)

    @gen_test
    async def test_clients_of_0_9_are_served_by_tornado_at_the_same_port(self):
        wire = await self.on_the_lane()
        status, _, body = await wire.request("GET", "/socket.io/1/")
        self.assertEqual((status, body.count(b":")), (200, 3))

    @gen_test
    async def test_a_connection_comes_back_with_the_first_poll_after_a_page(self):
        wire = await self.on_the_lane()
        await wire.request("GET", "/page")
        self.assertEqual(len(self.connections), 0)
        await wire.request("GET", ENGINE_URL)
        self.assertEqual(len(self.connections), 1)
        served = self.tornado_serves()
        await self.join_polling(wire)
        self.assertEqual(served, [])

    @gen_test
    async def test_what_was_sent_ahead_behind_the_poll_that_comes_back_is_served(self):
        wire = await self.on_the_lane()
        head = "Host: test.example\r\n\r\n"
        requests = [
            f"GET {path} HTTP/1.1\r\n{head}" for path in ("/page", ENGINE_URL, "/page", ENGINE_URL)
        ]
        wire.writer.write("".join(requests).encode())
        bodies = [(await wire.answer())[2][:6] for _ in requests]
        self.assertEqual(bodies, [b"a page", b'0{"sid', b"a page", b'0{"sid'])

    @gen_test
    async def test_a_request_split_at_any_byte_is_served(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        lines = [
            f"POST {url} HTTP/1.1",
            "Host: test.example",
            "Content-Length: 17",
            "",
            '42["message","x"]',
        ]
        raw = "\r\n".join(lines).encode()
        for cut in range(1, len(raw)):
            wire = await self.wire()
            wire.writer.write(raw[:cut])
            await asyncio.sleep(0.001)
            wire.writer.write(raw[cut:])
            self.assertEqual((await wire.answer())[2], b"ok", cut)
            await self.noted("message", "x")
            wire.close()

    @gen_test
    async def test_half_a_body_does_not_keep_the_loop_busy(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b'42["mess', Content_Length="17")
        await asyncio.sleep(0.05)
        before = time.process_time()
        await asyncio.sleep(0.2)
        self.assertLess(time.process_time() - before, 0.1)
        wire.writer.write(b'age","x"]')
        self.assertEqual((await wire.answer())[2], b"ok")
        await self.noted("message", "x")

    @gen_test
    async def test_requests_sent_ahead_are_answered_in_turn(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("GET", url)  # waits
        for number in range(3):
            wire.send_request("POST", url, b'42["message",%d]' % number)
        await asyncio.sleep(0.05)
        self.assertTrue(self.handler.entries.empty())
        (await self.only_of(2)).send("released")
        self.assertEqual((await wire.answer())[2], b'42["message","released"]')
        for number in range(3):
            self.assertEqual((await wire.answer())[2], b"ok")
            await self.noted("message", number)

    @gen_test
    async def test_a_client_that_hangs_up_while_its_poll_waits_is_noticed(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("GET", url)
        await asyncio.sleep(0.02)
        session = next(iter(self.sessions()))
        session = next(s for s in self.sessions() if s.outlet is not None)
        wire.close()
        await self.until(lambda: session.outlet is None)
        self.assertEqual(len(self.connections), 0)

    def sessions(self):
        return [
            session
            for hub in socket_io.application_hubs[self._app]
            for session in hub.sessions.values()
        ]

    async def until(self, condition):
        for _ in range(200):
            if condition():
                return
            await asyncio.sleep(0.01)
        self.fail("it did not come about")

    @gen_test
    async def test_connection_close_is_obeyed_and_said(self):
        wire = await self.on_the_lane()
        status, headers, _ = await wire.request("GET", ENGINE_URL, Connection="Close")
        self.assertEqual((status, headers["connection"]), (200, "close"))
        self.assertEqual(await wire.end(), b"")

    @gen_test
    async def test_an_answer_before_the_body_is_read_reaches_the_client(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b"x" * 200_000, Content_Length="9000000")
        self.assertEqual((await wire.answer())[0], 413)
        self.assertEqual(await wire.end(), b"")

    @gen_test
    async def test_a_large_answer_leaves_as_the_client_reads(self):
        self.handler.max_buffered_bytes = 50_000_000
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        (await self.only_of(2)).send("x" * 20_000_000)
        _, _, body = await wire.request("GET", url)
        self.assertEqual(len(body), 20_000_000 + len('42["message",""]'))
        self.assertEqual((await wire.request("POST", url, b'42["message",1]'))[2], b"ok")

    @gen_test
    async def test_an_answer_that_cannot_leave_ends_the_session(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        self.handler.max_buffered_bytes = 50_000_000
        (await self.only_of(2)).send("x" * 20_000_000)
        wire.writer.transport.pause_reading()
        wire.send_request("GET", url)
        await self.until(lambda: any(bool(one.unsent) for one in self.connections))
        wire.reset()
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_client_that_does_not_read_is_cut_off_for_that(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        handler = await self.only_of(2)
        self.handler.max_buffered_bytes = 50_000_000
        handler.send("x" * 20_000_000)
        wire.writer.transport.pause_reading()
        wire.send_request("GET", url)
        await self.until(lambda: any(bool(one.unsent) for one in self.connections))
        self.handler.max_buffered_bytes = 1000
        with self.assertLogs("socket_io", "WARNING") as logged:
            handler.send("x" * 2000)
        self.assertIn("it does not read what it is sent", "".join(logged.output))
        await self.assertClosedFor(socket_io.MISTAKES["max_buffered_bytes"].close_reason)
        self.assertFalse(any(bool(one.unsent) for one in self.connections))

    @gen_test
    async def test_what_is_odd_is_tornados_and_answered_as_tornado_answers(self):
        await self.on_the_lane()
        good = ["GET {} HTTP/1.1", "Host: test.example"]
        odd = {
            "folded": [*good, "X-A: b", " c"],
            "no colon": [*good, "X-A"],
            "a name twice": [*good, "X-A: b", "x-a: c"],
            "two hosts": [*good, "Host: other.example"],
            "no host": ["GET {} HTTP/1.1"],
            "a strange host": ["GET {} HTTP/1.1", "Host: a b"],
            "HTTP/1.0": ["GET {} HTTP/1.0", "Host: test.example"],
            "another method": ["PUT {} HTTP/1.1", "Host: test.example", "Content-Length: 0"],
            "OPTIONS": ["OPTIONS {} HTTP/1.1", "Host: test.example"],
            "a GET with a body": [*good, "Content-Length: 1"],
            "a POST without a length": ["POST {} HTTP/1.1", "Host: test.example"],
            "a signed length": ["POST {} HTTP/1.1", "Host: test.example", "Content-Length: +2"],
            "ten digits": ["POST {} HTTP/1.1", "Host: test.example", "Content-Length: 0000000002"],
            "chunked": ["POST {} HTTP/1.1", "Host: test.example", "Transfer-Encoding: chunked"],
            "a control character": [*good, "X-A: b\x01c"],
            "a bare LF": [*good, "X-A: b\nX-B: c"],
            "a bare CR": [*good, "X-A: b\rc"],
            "an absolute target": ["GET http://test.example{} HTTP/1.1", "Host: test.example"],
            "an unknown sid": ["GET {}&sid=AAAAAAAAAAAAAAAAAAAA HTTP/1.1", "Host: test.example"],
            "a sid twice": ["GET {}&sid=a&sid=b HTTP/1.1", "Host: test.example"],
        }
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)
        for why, lines in odd.items():
            with self.subTest(why):
                served = self.tornado_serves()
                wire = await self.wire()
                raw = "\r\n".join([*lines, "", ""]).format(ENGINE_URL).encode("latin-1")
                wire.writer.write(raw + b"0\r\n\r\n")
                await wire.within(wire.reader.readuntil(b"\r\n"))
                self.assertNotEqual(served, [])
                wire.close()

    @gen_test
    async def test_a_session_is_found_only_at_the_path_where_it_began(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        served = self.tornado_serves()
        status, _, _ = await wire.request("GET", url.replace("/socket.io/", "/other/"))
        self.assertEqual((status, len(served) > 0), (404, True))

    def test_the_pattern_takes_twice_the_time_for_twice_the_bytes(self):
        def seconds(size, build):
            head = build(size)
            best = math.inf
            for _ in range(5):
                start = time.process_time()
                socket_io.PLAIN_HEADERS.fullmatch(head)
                socket_io.SID_IN_LINE.match(head)
                best = min(best, time.process_time() - start)
            return best

        start = "GET /socket.io/?EIO=4 HTTP/1.1\r\n"
        for build in (
            lambda size: start + "A: b\r\n" * (size // 6) + "\x00",
            lambda size: start + "A" * size,
            lambda size: start + "A:" + "b" * size,
            lambda size: start + "A:" + " " * size + "\x00",
            lambda size: "GET /" + "a" * size,
            lambda size: "GET /?" + "?" * size,
            lambda size: "GET /?" + "&sid=" * (size // 5),
            lambda size: "GET /" + "/websocket/" * (size // 11),
        ):
            self.assertLess(seconds(64_000, build), 12 * seconds(16_000, build) + 0.001)


caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


class Caller(Recorder):
    """Notes which client's context each method runs in."""

    found: ClassVar[list[str]] = []

    @classmethod
    def allow_request(cls, request):
        cls.found.append(caller.get())
        caller.set(request.query_arguments.get("name", [b"first"])[0].decode())
        return True

    def on_open(self, *args, **kwargs):
        self.found.append(caller.get())
        return super().on_open(*args, **kwargs)


class LaneClientsTests(OnLane, RecorderTestCase):
    """Requests of several clients on one connection, as a proxy sends them, have nothing of each other."""

    base = Caller

    @gen_test
    async def test_what_one_client_leaves_in_its_context_no_other_finds(self):
        wire = await self.on_the_lane()
        Caller.found.clear()
        urls = {}
        for name in ("a", "b"):
            _, _, body = await wire.request("GET", f"{ENGINE_URL}&name={name}")
            urls[name] = f"{ENGINE_URL}&sid={json.loads(body[1:])['sid']}"
        for name in ("b", "a"):
            self.assertEqual((await wire.request("POST", urls[name], b"40"))[2], b"ok")
        self.assertEqual(Caller.found, ["nobody", "nobody", "b", "a"])

    @gen_test
    async def test_polls_of_two_clients_on_one_connection_bring_each_its_own(self):
        wire = await self.on_the_lane()
        first, second = await self.join_polling(wire), await self.join_polling(wire)
        self.handler.handlers[-2].send("to the first")
        self.handler.handlers[-1].send("to the second")
        for url, text in ((second, "to the second"), (first, "to the first")):
            _, _, body = await wire.request("GET", url)
            self.assertEqual(body.decode(), f'42["message","{text}"]')


class LaneRequestTests(OnLane, RecorderTestCase):
    """An application finds in a request of the lane what Tornado would have put there."""

    HEADERS: ClassVar[dict[str, str]] = {
        "User-Agent": "Mozilla/5.0", "Cookie": "a=b; c=d", "x-odd-NAME": " padded\t", "Accept-Language": "é",
    }  # fmt: skip
    URL = f"{ENGINE_URL}&name=%41&name=b"

    def get_app(self):
        return super(OnLane, self).get_app()  # no rule here looks at the host

    async def request_of_a_session(self):
        """The request that a handler has; it came on the lane, if a server of the lane is there."""
        await self.on_the_lane()
        lines = [f"GET {self.URL} HTTP/1.1", "Host: Test.example:80"]
        lines += [f"{name}: {value}" for name, value in self.HEADERS.items()]
        wire = await self.wire()
        wire.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status, _, body = await wire.answer()
        self.assertEqual(status, 200)
        url = f"{ENGINE_URL}&sid={json.loads(body[1:])['sid']}"
        self.assertEqual((await wire.request("POST", url, b"40"))[2], b"ok")
        await wire.request("GET", url)
        return self.handler.handlers[-1].request

    @gen_test
    async def test_every_attribute_is_what_tornado_gives(self):
        request = await self.request_of_a_session()
        self.assertIsInstance(request, socket_io.PlainRequest)
        headers = tornado.httputil.HTTPHeaders({"Host": "Test.example:80"})
        for name, value in self.HEADERS.items():
            headers.add(name, value.strip())
        line = tornado.httputil.RequestStartLine("GET", self.URL, "HTTP/1.1")
        tornados = tornado.httputil.HTTPServerRequest(start_line=line, headers=headers)
        tornados.remote_ip = "127.0.0.1"
        self.assertNotIn("headers", vars(request))  # made when it is asked for
        for name in [name for name in vars(tornados) if not name.endswith("_time")]:
            with self.subTest(name):
                self.assertEqual(getattr(request, name), getattr(tornados, name))
        self.assertIsInstance(request.headers, tornado.httputil.HTTPHeaders)
        self.assertEqual(repr(request).split("(")[1], repr(tornados).split("(")[1])
        self.assertEqual(request.full_url(), tornados.full_url())
        self.assertEqual(request.cookies["c"].value, "d")

    @gen_test
    async def test_what_an_application_notes_on_it_stays_whatever_is_asked_for_later(self):
        request = await self.request_of_a_session()
        request.user, request.method = "somebody", "CHANGED"
        same = copy.copy(request)
        for one in (request, same):
            self.assertEqual(one.host_name, "test.example")
            self.assertEqual(
                (one.user, one.method, one.path), ("somebody", "CHANGED", "/socket.io/")
            )
            self.assertFalse(hasattr(one, "of_tomorrow"))
            one.arguments.clear()
            self.assertEqual(one.query_arguments["name"], [b"A", b"b"])
            self.assertLess(one.request_time(), 60)

    @gen_test
    async def test_a_refused_request_is_shown_to_the_application_with_its_address_and_protocol(
        self,
    ):
        seen = []
        self.handler.on_refused = classmethod(lambda cls, request, why: seen.append(request))
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        headers = {"Origin": "http://other.example"}
        self.assertEqual((await wire.request("GET", url, **headers))[0], 403)
        self.assertEqual((await wire.request("GET", ENGINE_URL, **headers))[0], 403)
        for request in seen:
            self.assertIsInstance(request, socket_io.PlainRequest)
            self.assertEqual((request.remote_ip, request.protocol), ("127.0.0.1", "http"))
            self.assertEqual(request.headers["Origin"], "http://other.example")
        self.assertEqual(len(seen), 2)


class LaneUnixTests(OnLane, RecorderTestCase):
    """A Unix socket has a lane; its clients have Tornado's address for them."""

    @gen_test
    async def test_a_client_of_a_unix_socket_is_served(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            self.http_server.add_sockets([tornado.netutil.bind_unix_socket(path)])
            wire = Wire(*await asyncio.open_unix_connection(path))
            self._clients.append(wire)
            await self.join_polling(wire)
        self.assertEqual(len(self.connections), 1)
        self.assertEqual(self.handler.handlers[-1].request.remote_ip, "0.0.0.0")


class LaneParsingTests(unittest.TestCase):
    """The quick ways to parse understand what Tornado and the general ones understand, or nothing."""

    def test_the_quick_parser_of_polls_agrees_with_the_general_one(self):
        queries = [
            "EIO=4&transport=polling&sid=abc", "EIO=3&transport=polling&t=P1.x-_&sid=abc",
            "EIO=4&transport=polling&t=&sid=a_-Z9", "EIO=4&transport=polling", "EIO=3&transport=polling&t=17-2",
            "EIO=3&transport=polling", "EIO=2&transport=polling&sid=abc", "EIO=2&transport=polling",
            "EIO=4&transport=polling&sid=", "EIO=4&transport=polling&sid=a%20b", "EIO=4&sid=a&transport=polling",
            "EIO=4&transport=polling&sid=abc&sid=d", "EIO=4&transport=polling&sid=" + "a" * 65,
            "EIO=4&transport=polling&sid=abc&j=1", "EIO=4&transport=websocket&sid=abc",
            "EIO=4&transport=polling&b64=1", "EIO=4&transport=polling&", "EIO=4&transport=polling&j=1",
        ]  # fmt: skip
        quick = []
        for query in queries:
            for method, agent in itertools.product(
                ("GET", "POST"), ("Mozilla/5.0 (X11)", "okhttp/4")
            ):
                headers = {"User-Agent": agent}
                got = socket_io.parse_poll(method, query, headers, socket_io.DIALECTS)
                if got is None:
                    continue
                quick.append(query)
                arguments = socket_io.parse_plain_query(query)
                whole = socket_io.parse_request(method, "/", arguments, headers, socket_io.DIALECTS)
                if got.sid:  # the session has the facts of its handshake
                    whole.dialect = socket_io.DIALECTS[whole.dialect.name]
                self.assertEqual(got, whole)
        self.assertEqual(list(dict.fromkeys(quick)), queries[:6])
        upgrade = {"Upgrade": "websocket"}
        self.assertIsNone(socket_io.parse_poll("GET", queries[0], upgrade, socket_io.DIALECTS))
        with self.assertRaises(socket_io.Refused):
            socket_io.parse_request(
                "POST", "/", {"EIO": [b"4"], "transport": [b"polling"]}, {}, socket_io.DIALECTS
            )

    def test_headers_are_found_by_the_names_that_this_file_asks_for(self):
        with open(socket_io.__file__, encoding="utf-8") as source:
            asked = set(re.findall(r'headers(?:\.get\(|\[)"([A-Za-z-]+)"', source.read()))
        self.assertIn("Sec-Fetch-Site", asked)
        for name in asked:
            with self.subTest(name):
                lines = f"Host: a\r\nUpgrade: websocket\r\n{name.lower()}: b\r\n"
                if name not in ("Host", "Upgrade", "Content-Encoding"):
                    headers = socket_io.parse_plain_headers(lines)
                    if not name.startswith("Sec-WebSocket-"):  # asked for in upgrades alone
                        headers = headers and dict(headers)
                    self.assertEqual(headers and headers[name], "b")

    def test_a_query_is_what_tornado_reads_in_it(self):
        for query in ("a=b", "a=b&a=c&d", "a", "&&a=&=b", "a=b=c", "a=%41+b&c=%", "%73id=x", ""):
            line = tornado.httputil.RequestStartLine("GET", f"/?{query}", "HTTP/1.1")
            headers = tornado.httputil.HTTPHeaders({"Host": "a"})
            tornados = tornado.httputil.HTTPServerRequest(start_line=line, headers=headers)
            self.assertEqual(socket_io.parse_plain_query(query), tornados.query_arguments, query)


class LaneAsyncAdmissionTests(OnLane, RecorderTestCase):
    """An `allow_request` that takes its time, on the lane."""

    class Slow(Recorder):
        gate: ClassVar[Any] = None

        @classmethod
        async def allow_request(cls, request):
            if cls.gate is not None:
                await cls.gate.wait()
            return True

    base = Slow

    @gen_test
    async def test_a_client_that_hangs_up_before_it_is_admitted_leaves_nothing(self):
        wire = await self.on_the_lane()
        self.handler.gate = asyncio.Event()
        await wire.request("GET", "/page")
        second = await self.wire()
        wire.send_request("GET", ENGINE_URL)
        second.send_request(
            "GET",
            ENGINE_URL.replace("polling", "websocket"),
            Connection="Upgrade",
            Upgrade="websocket",
            Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            Sec_WebSocket_Version="13",
        )
        await asyncio.sleep(0.02)
        self.assertEqual(len(self.connections), 1)  # the other's head came after a page
        wire.close()
        second.reset()
        await asyncio.sleep(0.02)
        self.handler.gate.set()
        await asyncio.sleep(0.05)
        hub = next(iter(socket_io.application_hubs[self._app]))
        self.assertEqual((len(self.connections), len(hub.sessions)), (0, 1))

    @gen_test
    async def test_a_client_that_is_admitted_late_is_served(self):
        wire = await self.on_the_lane()
        self.handler.gate = asyncio.Event()
        wire.send_request("GET", ENGINE_URL)
        await asyncio.sleep(0.02)
        self.handler.gate.set()
        self.assertEqual((await wire.answer())[0], 200)
        self.assertEqual((await wire.request("GET", "/page"))[0], 200)


class LaneCutOffAnswerTests(OnLane, CutOffAnswerTests):
    """What holds for long answers by Tornado's way holds on the lane."""


class LaneOptionTests(OnLane, RecorderTestCase):
    """The server's options hold on the lane too."""

    server_options = {
        "idle_connection_timeout": 0.2, "body_timeout": 0.2, "max_header_size": 300, "protocol": "https",
        "max_body_size": 5_000,
    }  # fmt: skip
    options = {"cookie": "io"}

    @gen_test
    async def test_an_idle_connection_is_closed(self):
        wire = await self.on_the_lane()
        await wire.request("GET", ENGINE_URL)
        self.assertEqual(await wire.end(), b"")

    @gen_test
    async def test_a_poll_that_waits_is_not_idle(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("GET", url)
        await asyncio.sleep(0.3)
        self.handler.handlers[-1].send("late")
        self.assertEqual((await wire.answer())[2], b'42["message","late"]')

    @gen_test
    async def test_half_a_body_is_waited_for_as_long_as_the_option_says(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b"4", Content_Length="9")
        self.assertEqual(await wire.end(), b"")
        await self.assertClosedFor("transport error")

    @gen_test
    async def test_a_head_above_the_limit_is_refused(self):
        wire = await self.on_the_lane()
        wire.send_request("GET", ENGINE_URL, X_A="a" * 300)
        with self.assertLogs("tornado", "INFO"):
            self.assertNotIn(b"200", await wire.end())

    @gen_test
    async def test_a_body_above_the_limit_is_refused(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        wire.send_request("POST", url, b"x" * 5_001)
        with self.assertLogs("tornado", "INFO"):
            self.assertIn(b"400", await wire.end())

    @gen_test
    async def test_the_protocol_is_the_one_that_the_option_says(self):
        wire = await self.on_the_lane()
        _, headers, _ = await wire.request("GET", ENGINE_URL)
        self.assertIn("; Secure", headers["set-cookie"])


class LaneHeaderTests(OnLane, HeaderBehaviour, RecorderTestCase):
    pass


class LaneLogFunctionTests(OnLane, LogFunctionBehaviour, RecorderTestCase):
    pass


class LaneWithoutKeepAliveTests(OnLane, RecorderTestCase):
    """With `no_keep_alive` each connection serves one request."""

    server_options = {"no_keep_alive": True}

    @gen_test
    async def test_the_first_answer_is_the_last(self):
        wire = await self.wire()
        status, headers, _ = await wire.request("GET", ENGINE_URL)
        self.assertEqual((status, headers["connection"]), (200, "close"))
        self.assertEqual(await wire.end(), b"")


class LaneBehindProxyTests(OnLane, RecorderTestCase):
    """With `xheaders` the client's address is in headers, by Tornado's rules; its polls are plain again."""

    server_options = {"xheaders": True, "trusted_downstream": ["10.0.0.1"]}

    @gen_test
    async def test_two_clients_on_one_connection_are_two(self):
        wire = await self.on_the_lane()
        for number in (1, 2):
            forwarded = f"192.0.2.{number}, 10.0.0.1"
            _, _, body = await wire.request("GET", "/page", X_Forwarded_For=forwarded)
            self.assertEqual(body, b"a page for 192.0.2.%d" % number)
            _, _, body = await wire.request("GET", ENGINE_URL, X_Forwarded_For=forwarded)
            url = f"{ENGINE_URL}&sid={json.loads(body[1:])['sid']}"
            served = self.tornado_serves()
            self.assertEqual((await wire.request("POST", url, b"40"))[2], b"ok")
            await wire.request("GET", url)
            self.assertEqual(served, [])
        handlers = self.handler.handlers
        addresses = [handler.request.remote_ip for handler in handlers]
        self.assertEqual(addresses, ["192.0.2.1", "192.0.2.2"])


class LaneAdmissionTests(OnLane, RecorderTestCase):
    """The application's router is asked for every handshake."""

    class ByAddress(tornado.routing.Matcher):
        admitted = "127.0.0.1"

        def match(self, request):
            return {} if request.remote_ip == self.admitted else None

    def get_app(self):
        inner = super().get_app()
        rule = tornado.routing.Rule(self.ByAddress(), inner)
        return tornado.web.Application([rule])

    @gen_test
    async def test_a_router_that_admits_by_address_is_asked_each_time(self):
        wire = await self.on_the_lane()
        self.assertEqual((await wire.request("GET", ENGINE_URL))[0], 200)
        with mock.patch.object(self.ByAddress, "admitted", "192.0.2.1"):
            with self.assertLogs("tornado.access", "WARNING"):
                self.assertEqual((await wire.request("GET", ENGINE_URL))[0], 404)
        self.assertEqual((await wire.request("GET", ENGINE_URL))[0], 200)


class LaneNeighbourTests(OnLane, RecorderTestCase):
    """Two servers in one process, asked by the same Host, are two; a goodbye ends the connections of one."""

    def setUp(self):
        super().setUp()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.stop()
        super().tearDown()

    async def neighbour(self):
        """A second server, with the same handler class behind routes of its own."""
        application = tornado.web.Application([self.handler.routes("socket.io")])
        server = LaneServer(application, auto_start=False)
        listener, port = tornado.testing.bind_unused_port()
        server.add_sockets([listener])
        self.servers.append(server)
        wire = await Wire.open(port)
        self._clients.append(wire)
        await wire.request("GET", ENGINE_URL)
        return server, port

    @gen_test
    async def test_the_session_of_one_is_unknown_to_the_other(self):
        wire = await self.on_the_lane()
        url = await self.join_polling(wire)
        _, port = await self.neighbour()
        other = await Wire.open(port)
        self._clients.append(other)
        with self.assertLogs("socket_io", "DEBUG"):
            self.assertEqual((await other.request("POST", url, b'42["message",1]'))[0], 400)
        self.assertEqual((await wire.request("POST", url, b'42["message",2]'))[2], b"ok")
        await self.noted("message", 2)

    @gen_test
    async def test_a_goodbye_ends_polls_and_idle_connections(self):
        server, port = await self.neighbour()
        wires = [await Wire.open(port) for _ in range(2)]
        self._clients.extend(wires)
        url = await self.join_polling(wires[0])
        await wires[1].request("GET", ENGINE_URL)
        wires[0].send_request("GET", url)
        await asyncio.sleep(0.02)
        lane = server.lane
        with mock.patch.object(socket_io, "CLOSE_GRACE", 0.1):  # one of them never polls again
            closing = asyncio.ensure_future(server.close())
            self.assertEqual((await wires[0].answer())[0], 200)
            for wire in wires:
                self.assertEqual(await wire.end(), b"")
            await within(closing)
        self.assertEqual(lane.connections, set())


class LaneObstacleTests(unittest.TestCase):
    """Where a server would not notice what the lane serves, it has none, and says why."""

    class Counting(LaneServer):
        def start_request(self, server_conn, request_conn):
            return super().start_request(server_conn, request_conn)

    class Filtering(LaneServer):
        def handle_stream(self, stream, address):
            return super().handle_stream(stream, address)

    class Routing(tornado.web.Application):
        def start_request(self, server_conn, request_conn):
            return super().start_request(server_conn, request_conn)

    def test_a_server_or_application_that_looks_at_requests_has_none(self):
        rows = [
            (self.Counting, tornado.web.Application, "Counting overrides start_request"),
            (self.Filtering, tornado.web.Application, "Filtering overrides handle_stream"),
            (LaneServer, self.Routing, "Routing overrides start_request"),
        ]
        for server_class, application_class, why in rows:
            with self.subTest(why):
                application = application_class([Recorder.routes("socket.io")])

                async def make(server_class=server_class, application=application):
                    return server_class(application, auto_start=False)

                with self.assertLogs("socket_io", "INFO") as logged:
                    server = asyncio.run(make())
                self.assertFalse(server.may_have_lane)
                self.assertIn(why, "".join(logged.output))

    def test_an_option_that_the_lane_does_not_know_switches_it_off(self):
        application = tornado.web.Application([Recorder.routes("socket.io")])

        async def make():
            return LaneServer(application, auto_start=False)

        server = asyncio.run(make())
        self.assertIsNone(socket_io.Lane.obstacle(server, {"xheaders", "body_timeout"}))
        why = socket_io.Lane.obstacle(server, {"xheaders", "of_tomorrow"})
        self.assertEqual(why, "its option of_tomorrow is unknown")
        known = set(inspect.signature(tornado.httpserver.HTTPServer.initialize).parameters)
        self.assertEqual(socket_io.Lane.OPTIONS, known - {"self", "request_callback"})


class LaneTLSTests(OnLane, OverTLS, RecorderTestCase):
    """TLS is Tornado's."""

    def get_http_server(self):
        certificate = super(OnLane, self).get_http_server().ssl_options
        return LaneServer(self._app, auto_start=False, ssl_options=certificate)

    @gen_test
    async def test_a_connection_with_tls_is_never_the_lanes(self):
        wire = await self.on_the_lane()
        served = self.tornado_serves()
        url = await self.join_polling(wire)
        self.assertEqual((await wire.request("POST", url, b'42["message",1]'))[2], b"ok")
        await self.noted("message", 1)
        self.assertGreater(len(served), 3)
        self.assertIsNone(self.http_server.lane)


# -- Safe as delivered -----------------------------------------------------------------
# Nothing that a peer sends hurts anybody but the peer. `HostilityBehaviour` holds for every
# generation over every transport; the tables say what is sent, and what becomes of who sends it.


# ---- Rows and attackers --------------------------------------------------------------

ENDS, STAYS = (
    "ends",
    "stays",
)  # what becomes of the session; a third, an open one that nobody serves, is the defect

DEEP = 100_000  # levels of JSON: a decoder that recurses for each would take the process along
LONG = 900_000  # characters, just below `max_message_bytes`
SLOT = '{"_placeholder":true,"num":%s}'
RESERVED = sorted(RESERVED_EVENTS)


def framed(message: str) -> str:
    """A message of 0.6."""
    return f"~m~{utf16_units(message)}~m~{message}"


#: Engine packets of EIO3 and EIO4, one attack a row; `bytes` are attachments.
ENGINE_ROWS = [
    (["9"], ENDS, "an engine packet of no known type"),
    (["４2"], ENDS, "a digit that is not ASCII"),
    (["²"], ENDS, "what Python calls a digit and cannot read as one"),
    (["4"], ENDS, "an empty message"),
    (["4x"], ENDS, "a packet of no known type"),
    (["47"], ENDS, "a packet type beyond the last"),
    (["42"], STAYS, "an event without data, which nobody hears"),
    (["421"], STAYS, "that would like an ack"),
    (["430"], STAYS, "an ack without data"),
    (["42{}"], ENDS, "an event that is an object"),
    (["42[]"], ENDS, "an event without a name"),
    *[
        ([f"42[{name}]"], ENDS, f"{name} as its name")
        for name in ("true", "1.5", "15e-1", "1e300", "1" * 17, "-" + "9" * 20)
    ],
    (["42[1]"], STAYS, "an integer as its name, which is taken as text"),
    (["42[1.0]"], STAYS, "the same integer, as JSON.parse of JavaScript reads it"),
    (["42[1e2]"], STAYS, "another spelling of an integer"),
    (["42[null]"], ENDS, "null as its name"),
    (['42[{"toString":1}]'], ENDS, "an object as its name: it took whole processes down"),
    (['42[["x"]]'], ENDS, "a list as its name"),
    *[([f'42["{name}",{{"REMOTE_USER":"admin"}}]'], ENDS, f"{name} is the life cycle's own") for name in RESERVED],
    (['42["x"'], ENDS, "half a list"),
    (['42["x"]]'], ENDS, "more than a list"),
    (['42["x",NaN]'], ENDS, "NaN"),
    (['42["x",-Infinity]'], ENDS, "Infinity"),
    (['42["x",1e400]'], ENDS, "a number that overflows to infinity"),
    (['42["x",-1e400]'], ENDS, "and to minus infinity"),
    (["42" + "[" * DEEP], ENDS, "lists without end"),
    (['42["x",' + "[" * DEEP + "]" * DEEP + "]"], ENDS, "lists with an end"),
    (['42["x",' + '{"a":' * DEEP + "1" + "}" * DEEP + "]"], ENDS, "objects"),
    (["43[]"], ENDS, "an ack without an id"),
    (["431{}"], ENDS, "an ack that is an object"),
    (["43123456789012345[]"], STAYS, "an ack that nobody waits for"),
    (['421234567890123456["x"]'], ENDS, "an ack id that JavaScript would bring back as another"),
    (["42" + "1" * DEEP + '["x"]'], ENDS, "an ack id that takes quadratic time to read"),
    (['42７["x"]'], ENDS, "an ack id that is not ASCII"),
    (['42-1["x"]'], ENDS, "a number of attachments where none can be"),
    (['44{"message":"x"}'], ENDS, "CONNECT_ERROR is the server's"),
    (["41{}"], ENDS, "a DISCONNECT with data"),
    (["40[]"], ENDS, "a CONNECT with a list"),
    (["40" + "[" * DEEP], ENDS, "a CONNECT with a deep one"),
    (["40/nowhere,"], STAYS, "a namespace that is not there"),
    (["40/" + "n" * LONG + ","], STAYS, "with a long name"),
    ([f"40/{number}," for number in range(900)], STAYS, "nine hundred of them"),
    (['45["x"]'], ENDS, "a binary event without a number of attachments"),
    (['45-["x"]'], ENDS, "with an empty one"),
    (['45１-["x"]'], ENDS, "with one that is not ASCII"),
    ([f'4511-["x",{SLOT % 0}]'], ENDS, "more attachments than `max_attachments`"),
    ([f'459999999999-["x",{SLOT % 0}]'], ENDS, "ten thousand million of them"),
    (["45" + "9" * DEEP + '-["x"]'], ENDS, "a number of them that takes long to read"),
    ([f'450-["x",{SLOT % 0}]'], ENDS, "a placeholder, and no attachment"),
    *[
        ([f'451-["x",{SLOT % number}]', b"a"], ENDS, f"{number} as the number of an attachment")
        for number in ("0.5", "-1", "1", "true", "false", '"0"', '"length"', "null", "[]", "{}", "1e0")
    ],
    (['451-["x",{"_placeholder":true}]', b"a"], ENDS, "a placeholder without a number"),
    (['451-["x",{"_placeholder":1,"num":0}]', b"a"], ENDS, "one that only looks like one: its attachment is left over"),
    (['451-["x"]', b"a"], ENDS, "an attachment without a placeholder"),
    (["451-[" + ",".join(['"x"'] + [SLOT % 0] * 200) + "]", b"a" * 400_000], ENDS, "one attachment at 200 places"),
    ([f'452-["x",{SLOT % 0},{SLOT % 0}]', b"a", b"b"], ENDS, "one of two at both places"),
    ([f'451-[{SLOT % 0}]', b"a"], ENDS, "an attachment as the event's name"),
    ([f'452-["x",{SLOT % 0},{SLOT % 1}]', b"a" * 600_000, b"b" * 600_000], ENDS, "too many bytes together"),
    ([f'451-["x",{SLOT % 0}]', '42["message","alive"]'], ENDS, "a packet where an attachment is due"),
    ([b"a"], ENDS, "an attachment that nobody announced"),
    ([f'4610-[{",".join([SLOT % 0] * 10)}]', b"a"], ENDS, "a binary ack without an id"),
    (['42["__proto__",{"__proto__":{"a":1}},"__class__"]'], STAYS, "names that mean something in other languages"),
    *[([f'42["{name}"]'], STAYS, f"{name} is a method, and no event") for name in ("on_open", "close", "_member")],
    (['42["x","\\ud83d","\\u2028","\\u0000"]'], STAYS, "half a pair, which is echoed to all"),
    (['42["\\n\\u001b[31m' + "x" * LONG + '"]'], STAYS, "a name that would fill a log, and colour it"),
    (['42["echo",' + "[" * 300 + "]" * 300 + "]"], STAYS, "as deep as anybody needs"),
    (["6"], STAYS, "a noop"),
]  # fmt: skip

#: What each generation's clients say, one attack a row, as they would put it into one frame or payload.
HOSTILE_ROWS: dict[str, list[tuple[list, str, str]]] = {
    "EIO4": [
        *ENGINE_ROWS,
        (["2"], ENDS, "PING is the server's"),
        (["3"] * 900, STAYS, "a flood of answers to no ping"),
        (["40"], ENDS, "a second CONNECT"),
        (['42/nowhere,["x"]'], ENDS, "an event for a namespace never joined"),
        (["41/nowhere,"], ENDS, "leaving it"),
    ],
    "EIO3": [
        *ENGINE_ROWS,
        (["3"], ENDS, "PONG is the server's"),
        (["2"] * 900, STAYS, "a flood of pings"),
        (["40"], STAYS, "a second CONNECT"),
        (['42/nowhere,["x"]'], STAYS, "an event for a namespace never joined"),
        (["41/nowhere,"], STAYS, "leaving it"),
        (["40/nowhere?" + "a=b&" * 20_000 + ","], STAYS, "a query without end"),
        (["b4!!!!"], ENDS, "base64 that is none"),
        (["b9QQ=="], ENDS, "of no known type"),
    ],
    "0.9": [
        (["x"], ENDS, "no packet at all"),
        (["9:::"], ENDS, "a packet of no known type"),
        (["５:::{}"], ENDS, "a type that is not ASCII"),
        (["5"], ENDS, "half a head"),
        (["5:::"], STAYS, "an event without data, which nobody hears"),
        (["5:::[]"], ENDS, "an event that is a list"),
        (["5:::{}"], ENDS, "an event without a name"),
        (['5:::{"name":{"toString":1}}'], ENDS, "an object as its name"),
        (['5:::{"name":"x","args":{}}'], ENDS, "arguments that are no list"),
        *[([f'5:::{{"name":"{name}"}}'], ENDS, f"{name} is the life cycle's own") for name in RESERVED],
        (["4:::"], ENDS, "no JSON"),
        (["4:::NaN"], ENDS, "NaN"),
        (["4:::1e400"], ENDS, "a number that overflows"),
        (["4:::" + "[" * DEEP], ENDS, "lists without end"),
        (['5:::{"name":"x","args":' + "[" * DEEP + "]" * DEEP + "}"], ENDS, "lists with an end"),
        (["6:::"], ENDS, "an ack of nothing"),
        (["6:::x"], ENDS, "an ack of no number"),
        (["6:::1+{}"], ENDS, "an ack that is an object"),
        (["6:::1+" + "[" * DEEP], ENDS, "a deep one"),
        (["6:::1234567890123456"], ENDS, "an ack id that JavaScript would change"),
        (["3:1234567890123456+::x"], ENDS, "as an id"),
        (["3:" + "1" * DEEP + "::x"], ENDS, "one that takes long to read"),
        (["3:７::x"], ENDS, "one that is not ASCII"),
        (["7:::x"], ENDS, "an error is the server's"),
        (["6:::5"], STAYS, "an ack that nobody waits for"),
        (["2::"] * 900, STAYS, "a flood of heartbeats"),
        (["8::"], STAYS, "a noop"),
        (["1::"], STAYS, "a second CONNECT"),
        (["1::/nowhere"], STAYS, "a namespace that is not there"),
        (["1::/nowhere?" + "a=b&" * 20_000], STAYS, "a query without end"),
        ([f"1::/{number}" for number in range(900)], STAYS, "nine hundred of them"),
        (["3::/nowhere:x"], STAYS, "a message for one"),
        (['5:::{"name":"__proto__","args":[{"__proto__":1}]}'], STAYS, "a name that means something elsewhere"),
        (['5:::{"name":"on_open"}'], STAYS, "a method is no event"),
        (['5:::{"name":"x","args":["\\ud83d\\u2028"]}'], STAYS, "half a pair, which is echoed to all"),
        (['5:::{"name":"\\n\\u001b[31m' + "x" * LONG + '"}'], STAYS, "a name that would fill a log"),
    ],
    "0.6": [
        (["~m~x~m~a"], ENDS, "no length"),
        (["~m~1"], ENDS, "half a head"),
        (["~m~~m~"], ENDS, "an empty length"),
        (["~m~-1~m~"], ENDS, "a negative one"),
        (["~m~９~m~"], ENDS, "one that is not ASCII"),
        (["~m~99999999999~m~x"], ENDS, "a hundred thousand million"),
        (["~m~" + "9" * DEEP + "~m~x"], ENDS, "one that takes long to read"),
        (["~m~1~m~😀"], ENDS, "one that halves a pair"),
        ([framed("~j~x")], ENDS, "no JSON"),
        ([framed("~j~NaN")], ENDS, "NaN"),
        ([framed("~j~1e400")], ENDS, "a number that overflows"),
        ([framed("~j~" + "[" * DEEP)], ENDS, "lists without end"),
        ([framed("~j~" + "[" * DEEP + "]" * DEEP)], ENDS, "lists with an end"),
        ([framed("~h~x")], ENDS, "a heartbeat without a number"),
        ([framed("~h~1234567890123456")], ENDS, "with one too long"),
        (["~m~0~m~" * 1001], ENDS, "more messages than `max_packets`"),
        (["hello"], STAYS, "no frame: nothing, as in the reference server"),
        ([framed("~h~99")] * 900, STAYS, "a flood of answers to no heartbeat"),
        ([framed('~j~{"name":"disconnect","args":[]}')], STAYS, "what would be an event elsewhere"),
        ([framed('~j~{"__proto__":"\\ud83d\\u2028"}')], STAYS, "half a pair, which is echoed"),
        ([framed("\n\x1b[31m" + "x" * LONG)], STAYS, "a message that would fill a log, and colour it"),
    ],
}  # fmt: skip

#: What may stand on a WebSocket, whoever speaks on it: bytes, what becomes of the session, close code.
FRAME_ROWS = [
    (b"\x81\x05hello", 1002, "not masked"),
    (b"\xc1\x80\0\0\0\0", 1002, "the bit of compression, which nobody has agreed on"),
    (b"\xa1\x80\0\0\0\0", 1002, "the second reserved bit: it took whole processes down"),
    (b"\x91\x80\0\0\0\0", 1002, "the third"),
    (b"\x83\x80\0\0\0\0", 1002, "a reserved opcode"),
    (b"\x8b\x80\0\0\0\0", 1002, "a reserved control opcode"),
    (masked_frame(PING_FRAME, b"x" * 126), 1002, "a long ping"),
    (masked_frame(PING_FRAME, b"x", final=False), 1002, "a ping in pieces"),
    (masked_frame(0, b"x"), 1002, "a piece of no message"),
    (masked_frame(TEXT_FRAME, b"x", final=False) + masked_frame(TEXT_FRAME, b"x"), 1002, "a message in a message"),
    (b"\x81\xfe\x00\x05" + b"\0" * 9, 1002, "a length not in its shortest form"),
    (b"\x81\xff" + b"\xff" * 8 + b"\0" * 4, 1002, "a length with the highest bit"),
    (b"\x81\xff" + (1_000_001).to_bytes(8, "big") + b"\0" * 4, 1009, "too big, by its header alone"),
    (masked_frame(BINARY_FRAME, b"x" * 600_000, final=False) + b"\x80\xff" + (400_001).to_bytes(8, "big") + b"\0" * 4,
     1009, "too big, by its pieces"),
    (masked_frame(TEXT_FRAME, b"\xff\xfe"), 1007, "not UTF-8"),
    (masked_frame(TEXT_FRAME, b"\xed\xa0\xbd"), 1007, "half a pair as UTF-8"),
    (masked_frame(TEXT_FRAME, b"\xf0\x9f", final=False) + masked_frame(0, b"x"), 1007, "half a character in a piece"),
    (masked_frame(CLOSE_FRAME, b"\x03"), 1002, "half a close code"),
    (masked_frame(CLOSE_FRAME, close_payload(1005)), 1002, "a close code that may not be sent"),
    (masked_frame(CLOSE_FRAME, close_payload(1000, b"\xff")), 1007, "a close reason that is no text"),
    (masked_frame(PING_FRAME, b"x" * 125) * 2000, STAYS, "a flood of pings"),
    (masked_frame(PONG_FRAME, b"x") * 2000, STAYS, "a flood of pongs"),
]  # fmt: skip

CHUNKED = {"Transfer_Encoding": "chunked"}
TOO_LONG = b"%x\r\n%b\r\n" % (4_000_000, b"x" * 4_000_000)  # a form may have three bytes for one

#: Bodies and headers of a POST: the status of its answer (0: the connection is closed without one), and the session.
POST_ROWS = [
    (b"", {"Content_Length": "3000001"}, (413,), ENDS, "too long, by its header alone"),
    (b"", {"Content_Length": "9" * 14}, (413,), ENDS, "by far"),
    (TOO_LONG, CHUNKED, (0, 413), ENDS, "too long, as it turns out while it comes"),
    (b"", {"Content_Length": "²"}, (0, 400), ENDS, "a length that Python calls a digit and cannot read as one"),
    (b"", {"Content_Length": "-1"}, (0, 400), ENDS, "a negative length"),
    (b"", {"Content_Length": "9" * 5000}, (0, 400), ENDS, "a length of five thousand digits"),
    (b"zz\r\n", CHUNKED, (0, 400), ENDS, "a chunk that is none"),
    (b"\xff\xfe", {}, (400,), ENDS, "not UTF-8"),
    (b"d=%ff&data=%ff", {"Content_Type": "application/x-www-form-urlencoded"}, (400,), ENDS, "a form that is not"),
    (b"\x1f\x8b\x08" + b"\0" * 2000, {"Content_Encoding": "gzip"}, (400,), ENDS, "compressed: it is never unpacked"),
    (b"--x\r\n" * 100_000, {"Content_Type": "multipart/form-data; boundary=x"}, (400,), ENDS, "a form in many parts"),
    (b"&" * 900_000, {}, (400,), ENDS, "a form of nothing but fields"),
    (b":" * 900_000, {}, (400,), ENDS, "nearly a million colons"),
]  # fmt: skip

#: Further ones for a generation.
MORE_POST_ROWS = {
    "EIO4": [
        (b"", {}, (400,), ENDS, "empty"),
        (b"\x1e".join([b"6"] * 1001), {}, (400,), ENDS, "more packets than `max_packets`"),
        (b"\x1e" * LONG, {}, (400,), ENDS, "nothing but their separators"),
        (b"\0\2\xff42", {"Content_Type": "application/octet-stream"}, (400,), ENDS, "a binary payload"),
        (b"b!!!!", {}, (400,), ENDS, "base64 that is none"),
    ],
    "EIO3": [
        (b"1:6" * 1001, {}, (400,), ENDS, "more packets than `max_packets`"),
        (b"9999999999:4", {}, (400,), ENDS, "ten thousand million units"),
        (b"9" * LONG + b":4", {}, (400,), ENDS, "a length that takes long to read"),
        ("１:4".encode(), {}, (400,), ENDS, "one that is not ASCII"),
        (b"-1:4", {}, (400,), ENDS, "a negative one"),
        (b"5:4a", {}, (400,), ENDS, "more than there is"),
        ("2:4😀".encode(), {}, (400,), ENDS, "one that halves a pair"),
        (b"\0" + b"\x09" * LONG, {"Content_Type": "application/octet-stream"}, (400,), ENDS, "digits without end"),
        (b"\0\1\xff6" * 1001, {"Content_Type": "application/octet-stream"}, (400,), ENDS, "too many packets, in bytes"),
        (b"\2\1\xff6", {"Content_Type": "application/octet-stream"}, (400,), ENDS, "neither text nor bytes"),
        (b"\0\xff", {"Content_Type": "application/octet-stream"}, (400,), ENDS, "no digits"),
        (b"\1\1\xff", {"Content_Type": "application/octet-stream"}, (400,), ENDS, "more than there is, in bytes"),
    ],
    "0.9": [
        (b"", {}, (400,), ENDS, "empty"),
        ("\ufffd3\ufffd8::".encode() * 1001, {}, (400,), ENDS, "more packets than `max_packets`"),
        ("\ufffd99\ufffd8::".encode(), {}, (400,), ENDS, "more than there is"),
        ("\ufffd3\ufffd8::x".encode(), {}, (400,), ENDS, "something in between"),
        ("\ufffd".encode() * 300_000, {}, (400,), ENDS, "nothing but their marks"),
        (b"d=5", {}, (400,), ENDS, "a form that holds no string"),
        (b"d=" + b"[" * DEEP, {}, (400,), ENDS, "but something deep"),
    ],
    "0.6": [
        (b"", {}, (400,), ENDS, "empty"),
        (b"dada=~m~1~m~a", {}, (400,), ENDS, "a form with another field"),
        (b"data=" + b"~m~0~m~" * 1001, {}, (400,), ENDS, "more messages than `max_packets`"),
    ],
}  # fmt: skip


class Attacker(Client):
    """A client of any generation over any transport, which joins as an honest one does and then sends what it likes.

    "upgrade" is a WebSocket that has begun as polling.
    """

    answers: list[bytes]  # scripts and stream parts as they came
    heard: asyncio.Queue  # what its handler writes down
    close_code = 0  # of the server's close frame

    async def connect(self):
        self.answers = []
        self._polls = self.transport == "upgrade"
        self.transport = XHR_POLLING if self._polls else self.transport
        await super().connect()
        if self._polls:
            await self._upgrade()
        return self

    async def _upgrade(self):
        websocket = await Wire.open(self.port)
        assert (await websocket.upgrade(self._url().replace("polling", "websocket")))[0] == 101
        websocket.send_frame("2probe")
        assert await websocket.text() == "3probe"
        self.transport = WEBSOCKET  # the poll that waits is the last: it is released by a noop
        await within(self._reader)
        self.disconnected.clear()
        self._wire, self._polls = websocket, False
        websocket.send_frame("5")
        self._reader = asyncio.ensure_future(self._read())

    def _is_upgrading(self):
        return self.transport == WEBSOCKET and self._polls

    async def throw(self, *frames):
        """Send *frames* as they are; the status of the POST, None over a WebSocket."""
        if self.transport in WEBSOCKETS:
            for frame in frames:
                binary = isinstance(frame, bytes) and self.dialect.name == "EIO3"
                self._wire.send_frame(b"\x04" + frame if binary else frame)
            return None
        return await self.post(self._payload(frames))

    async def post(self, body, **headers):
        """The status of the answer, 0 if the connection ends without one."""
        try:
            async with self._posting:
                self._post_wire.send_request("POST", self._url("send"), body, **headers)
                status, _, answer = await self._post_wire.answer()
            if (
                b"new Error(" in answer
            ):  # a script that is refused arrives all the same: in 0.9 it says so
                status = 413 if b"too large" in answer else 400
            return status
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0

    def _payload(self, frames):
        if self.dialect.name == "EIO4":
            return self._body(
                "\x1e".join("b" + encode_base64(f) if isinstance(f, bytes) else f for f in frames)
            )
        if self.dialect.name == "0.6":
            return self._body("".join(frames))
        mark = "\ufffd" if self.dialect.name == "0.9" else ""
        texts = ["b4" + encode_base64(f) if isinstance(f, bytes) else f for f in frames]
        return self._body(
            "".join(f"{mark}{utf16_units(each)}{mark or ':'}{each}" for each in texts)
        )

    def _body(self, text):
        if self.dialect.name == "0.6":
            return b"data=" + self._quote(text)
        if self.transport != JSONP_POLLING:
            return text.encode()
        return b"d=" + self._quote(
            json.dumps(text) if self.dialect.name == "0.9" else client_form_text(text)
        )

    @staticmethod
    def _quote(text):
        """As a form has it, but no more than must be: megabytes are sent."""
        return text.encode().replace(b"%", b"%25").replace(b"&", b"%26").replace(b"+", b"%2B")

    async def _send_engine(self, packets):
        if self.transport in WEBSOCKETS:
            return await super()._send_engine(packets)
        assert await self.post(self._body(self.dialect.encode_payload(packets))) == 200

    async def _next_payload(self):
        if self._is_upgrading():
            return None
        if self.transport in WEBSOCKETS:
            opcode, payload = await self._wire.frame()
            while opcode in (PING_FRAME, PONG_FRAME):
                opcode, payload = await self._wire.frame()
            if opcode == CLOSE_FRAME:
                self.close_code = int.from_bytes(payload[:2], "big")
                return None
            frame = payload.decode() if opcode == TEXT_FRAME else payload
            return self.dialect.decode_frame(frame, self._memory)
        return await super()._next_payload()

    def _text_of(self, body):
        if self.transport in (JSONP_POLLING, *STREAMS):
            self.answers.append(body)
        return super()._text_of(body)

    def _received_packet(self, packet):
        if (
            packet.type == CONNECT_ERROR and packet.namespace == "/"
        ):  # as 0.9 answers to an unknown sid
            self.disconnected.set()
        super()._received_packet(packet)


class Victim(Recorder):
    """Echoes what it gets, to everybody, and writes down what happens to each client by itself."""

    def on_open(self):
        super().on_open()
        self.heard: asyncio.Queue = asyncio.Queue()

    def note(self, *entry):
        self.heard.put_nowait(entry)

    @event
    def ping(self, number):
        return number

    def on_message(self, message):
        super().on_message(message)
        self.send(message)

    def on_event(self, name, *args):
        self.io.emit("said", name[:40], *args)


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record):
        self.records.append(record)


# ---- Every generation over every transport -------------------------------------------


class HostilityBehaviour:
    """A peer harms neither another peer nor the process, in any generation and over any transport."""

    dialect = transport = ""
    innocent_tasks = 0  # of the hub, for as long as those live who must not suffer
    samples_packets = False  # where another class sends every row through the same code
    base = Victim
    options = {"max_packets": 1000}

    def setUp(self):
        super().setUp()
        self.said = Records()
        root, ours = logging.getLogger(), logging.getLogger("socket_io")
        for logger, level in ((root, logging.INFO), (ours, logging.DEBUG)):
            self.addCleanup(logger.setLevel, logger.level)
            logger.setLevel(level)
        root.addHandler(self.said)
        self.addCleanup(root.removeHandler, self.said)
        self.innocents: list[Client] = []
        self.news = 0

    async def attacker(self):
        """One that has joined."""
        attacker = Attacker(self.get_http_port(), self.dialect, self.transport)
        self._clients.append(attacker)
        await attacker.connect()
        attacker.heard = self.handler.handlers[-1].heard
        return attacker

    def packet_rows(self):
        """Return the packets to be sent, as rows; a sample is every eighth row and each of the longest."""
        rows = HOSTILE_ROWS[self.dialect]
        if not self.samples_packets:
            return rows
        return [row for n, row in enumerate(rows) if n % 8 == 0 or len(row[0][0]) > LONG]

    async def invite(self):
        """Those who must not suffer."""
        self.innocents = [await self.client(), await self.client(transport="xhr-polling")]
        for handler in self.handler.handlers:
            handler.join("innocents")

    async def assertNobodyElseSuffers(self):
        """The others are served at once, and miss nothing."""
        self.news += 1
        self.handler.io.to("innocents").emit("news", self.news)
        for client in self.innocents:
            self.assertEqual(await within(client.call("ping", self.news), 2), self.news)
            while (told := await client.receive())[0] != "news":
                pass
            self.assertEqual(told, ("news", self.news))

    async def assertEnded(self, attacker, status=None):
        """The session is over, and its client knows."""
        name, reason = await within(attacker.heard.get(), 2)
        self.assertEqual(name, "closed")
        self.assertIn(reason, ("parse error", "transport error"))
        await within(attacker.disconnected.wait(), 2)
        self.assertNotIn(attacker.sid, self.hub.sessions)
        self.assertIn(status, (None, 0, 400, 413))

    async def assertServed(self, attacker, status=None):
        """The session goes on as if nothing had been."""
        self.assertIn(status, (None, 200))
        await attacker.send("alive")
        entry = await within(attacker.heard.get(), 2)
        while entry != ("message", "alive"):  # what was sent may have been a message, too
            self.assertEqual(entry[0], "message")
            entry = await within(attacker.heard.get(), 2)
        while await attacker.receive() != ("message", "alive"):
            pass

    @property
    def hub(self):
        return self.handler.io._at[-1][0]

    def assertQuiet(self):
        """Nothing raw stands in the log, which is short: above DEBUG the coming and going of each client, and a mistake
        once, in so many words for each cause."""
        births_and_ends, warnings_of_mistakes = collections.Counter(), collections.Counter()
        for record in self.said.records:
            line = record.getMessage()
            if record.name != "socket_io":
                self.assertLess(record.levelno, logging.WARNING, line[:200])
                continue
            self.assertLess(record.levelno, logging.ERROR, line)
            self.assertLess(len(line), 200 if record.levelno < logging.WARNING else 420)
            self.assertTrue(line.isprintable(), line)
            self.assertIsNone(record.exc_info, line)
            if record.levelno == logging.INFO:
                births_and_ends[line.split()[1]] += 1
            elif record.levelno == logging.WARNING:
                warnings_of_mistakes[line] += 1
        self.assertLessEqual(set(births_and_ends.values()), {1, 2})
        self.assertLessEqual(set(warnings_of_mistakes.values()), {1})
        for texts in socket_io._warned.values():
            self.assertLessEqual(len(texts), socket_io.MAX_WARNINGS)

    @gen_test(timeout=60)
    async def test_a_wrong_packet_ends_its_sender_and_an_odd_one_does_nothing(self):
        await self.invite()
        for frames, outcome, why in self.packet_rows():
            with self.subTest(why):
                attacker = await self.attacker()
                status = await attacker.throw(*frames)
                await (self.assertEnded if outcome == ENDS else self.assertServed)(attacker, status)
                await attacker.close()
                await self.assertNobodyElseSuffers()
        self.assertQuiet()

    @gen_test(timeout=30)
    async def test_a_client_that_does_not_read_is_cut_off_and_its_bytes_are_freed(self):
        await self.invite()
        self.handler.max_buffered_bytes = 300_000
        attacker = await self.attacker()
        victim = self.handler.handlers[-1]
        self.go_deaf(attacker)
        for _ in range(1000):
            if not attacker.heard.empty():
                break
            victim.send("x" * 50_000)
            await asyncio.sleep(0)
        self.assertEqual(await within(attacker.heard.get(), 2), ("closed", "transport error"))
        await self.assertNobodyElseSuffers()
        await self.assertFreed()
        self.assertQuiet()

    def go_deaf(self, attacker):
        """It has a poll, or a connection, and reads no more."""
        attacker._reader.cancel()
        attacker._wire.writer.transport.pause_reading()
        attacker._wire.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
        )

    async def assertFreed(self):
        """Nothing is kept of those who have gone."""
        innocent = {client.sid for client in self.innocents}
        while (
            self.hub.sessions.keys() != innocent
            or len(self.hub.connections) > 1
            or len(self.hub.clock.tasks) > self.innocent_tasks
            or any(act.__name__ == "overdue" for act in self.hub.clock.table)
        ):
            await asyncio.sleep(0.01)
        self.handler.handlers[2:] = []
        self.assertEqual(self.hub.clock.timers, {})
        self.assertEqual(len(self.hub.namespaces["/"].members), 2)

    @gen_test(timeout=30)
    async def test_a_value_that_is_no_json_raises_to_the_caller_and_reaches_nobody(self):
        await self.invite()
        attacker = await self.attacker()
        victim = self.handler.handlers[-1]
        itself: list = []
        itself.append(itself)
        deep: list = []
        for _ in range(DEEP):
            deep = [deep]
        values = [
            math.nan,
            math.inf,
            [-math.inf],
            {"a": [math.nan]},
            itself,
            deep,
            object(),
            {1, 2},
            {"a": b"1", "b": 1j},
        ]
        values += [Decimal("NaN"), Decimal("-Infinity")]
        for value in values:
            with self.subTest(type=type(value)):
                for send in (
                    victim.send,
                    victim.volatile.send,
                    self.handler.io.send,
                    victim.io.to("innocents").send,
                ):
                    with self.assertRaises((TypeError, ValueError, RecursionError)):
                        send(value)
                if victim.session.dialect.has_acks:
                    with self.assertRaises((TypeError, ValueError, RecursionError)):
                        await victim.call("ask", value)
        await attacker.send("alive")
        self.assertEqual(await attacker.receive(), ("message", "alive"))
        await self.assertNobodyElseSuffers()

    @gen_test(timeout=30)
    async def test_a_string_arrives_as_it_was_sent_whatever_stands_in_it(self):
        attacker = await self.attacker()
        nasty = [
            '"',
            "\\",
            "'",
            "\n",
            "\r",
            "\0",
            "\x1e",
            "\u2028",
            "\u2029",
            "\ufffd",
            LONE,
            "😀",
            "é",
            "</script>",
            "<!--",
        ]
        nasty += [
            "]]>",
            "&amp;",
            "%22",
            "~m~1~m~",
            "~j~",
            "~h~1",
            '");alert(1);("',
            '\\");alert(1);//',
            "--socketio\n",
            "4",
        ]
        chance = random.Random(1)
        strings = nasty + [
            "".join(chance.choices(nasty, k=chance.randint(2, 12))) for _ in range(150)
        ]
        for text in strings:
            self.handler.handlers[-1].send(text)
        for text in strings:
            self.assertEqual(await attacker.receive(), ("message", text))
        for script in attacker.answers:
            if self.transport == XHR_MULTIPART:
                self.assertEqual(script.count(b"--socketio"), 1)
            else:
                inside = script.removeprefix(b"<script>").removesuffix(b"</script>")
                self.assertNotRegex(inside, rb"[^ -~]|<")

    @gen_test(timeout=30)
    async def test_an_error_of_the_servers_own_ends_one_client(self):
        await self.invite()
        attacker = await self.attacker()
        received = Session.received

        def fail(session, packet):
            if session.sid == attacker.sid:
                raise RuntimeError("a mistake in socket_io.py")
            received(session, packet)

        with mock.patch.object(Session, "received", fail):
            good = next(
                frames
                for frames, outcome, _ in reversed(HOSTILE_ROWS[self.dialect])
                if outcome == STAYS
            )
            attack = asyncio.ensure_future(attacker.throw(*good))
            await self.assertNobodyElseSuffers()
            self.assertIn(
                await within(attack), (None, 400, 500)
            )  # 400: by script, where 0.9 has no status
            # A long frame may still lie in the client's buffer: the mistake waits for it.
            self.assertEqual((await within(attacker.heard.get(), 2))[0], "closed")
        await self.assertFreed()
        self.assertIn(
            "a mistake in socket_io.py",
            "".join(str(record.exc_info) for record in self.said.records),
        )


class WebSocketHostilityBehaviour(HostilityBehaviour):
    """Hostility over a WebSocket, frames included."""

    @gen_test(timeout=30)
    async def test_an_echo_that_nobody_reads_pauses_reading_and_is_not_lost(self):
        await self.invite()
        attacker = await self.attacker()
        attacker._wire.writer.transport.pause_reading()
        sock = attacker._wire.writer.get_extra_info("socket")
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 65536
        )  # the kernel would hold megabytes
        session = self.handler.handlers[-1]._member.session
        sent, paused = 0, False
        while not paused:
            heard = attacker.heard.qsize()
            for _ in range(20):
                sent += 1
                await attacker.send(f"{sent} " + "x" * 10_000)
            if session.reading:
                await asyncio.sleep(0)
                continue
            # A pause may be over again: the kernel finds more room for the answers after it had none, and a
            # TLS connection that has paused takes 256 kB more from its socket.
            await asyncio.sleep(0.03)
            await self.assertNobodyElseSuffers()
            self.assertLess(session.outbox_bytes, 1_000_000)
            paused = not session.reading and attacker.heard.qsize() == heard
        attacker._wire.writer.transport.resume_reading()
        for number in range(1, sent + 1):
            _, message = await attacker.receive()
            self.assertEqual(int(message.split()[0]), number)

    @gen_test(timeout=30)
    async def test_a_websocket_reset_at_any_step_ends_its_session_and_logs_no_error(self):
        await self.invite()
        for size in (0, 1, 60, -2, None):
            with self.subTest(bytes_of_the_request=size):
                attacker = Attacker(
                    self.get_http_port(),
                    self.dialect,
                    self.transport.replace("upgrade", "xhr-polling"),
                )
                self._clients.append(attacker)
                if attacker.dialect.handshakes_apart:
                    _, _, body = await (await self.wire()).request("GET", attacker._url())
                    attacker.sid = body.decode().split(":")[0]
                elif self.transport == "upgrade":
                    await attacker.connect()
                wire = await self.wire()
                wire.writer.write(
                    self.handshake(attacker._url().replace("polling", "websocket"))[:size]
                )
                await wire.writer.drain()
                wire.reset()
                await self.assertNobodyElseSuffers()
        unread = masked_frame(TEXT_FRAME, b"")[:-1] + masked_frame(PING_FRAME, b"x" * 100) * 1000
        for rest in (
            b"",
            b"\x81",
            masked_frame(TEXT_FRAME, b"x" * 1000)[:500],
            masked_frame(CLOSE_FRAME, b""),
            unread,
        ):
            with self.subTest(rest=rest[:10]):
                attacker = await self.attacker()
                attacker._wire.writer.write(rest)
                await attacker._wire.writer.drain()
                attacker._wire.reset()
                self.assertEqual((await within(attacker.heard.get(), 2))[0], "closed")
                await self.assertNobodyElseSuffers()
        for session in list(
            self.hub.sessions.values()
        ):  # of polling clients that have not got any further
            if session.transport != WEBSOCKET and session.sid not in {
                client.sid for client in self.innocents
            }:
                session.end("transport close")
        await self.assertFreed()
        self.assertQuiet()

    @staticmethod
    def handshake(path):
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: test.example",
            "Upgrade: websocket",
            "Connection: Upgrade",
        ]
        lines += [
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "",
            "",
        ]
        return "\r\n".join(lines).encode()

    @gen_test(timeout=60)
    async def test_a_broken_frame_ends_its_sender_with_the_code_that_says_why(self):
        await self.invite()
        for data, outcome, why in FRAME_ROWS:
            with self.subTest(why):
                attacker = await self.attacker()
                attacker._wire.writer.write(data)
                await (self.assertServed if outcome == STAYS else self.assertEnded)(attacker)
                self.assertEqual(attacker.close_code, 0 if outcome == STAYS else outcome)
                await attacker.close()
                await self.assertNobodyElseSuffers()
        self.assertQuiet()


class PostingHostilityBehaviour(HostilityBehaviour):
    """Hostility over HTTP, requests included."""

    @gen_test(timeout=30)
    async def test_a_request_reset_at_any_step_ends_its_session_and_logs_no_error(self):
        await self.invite()
        waiting = Attacker(self.get_http_port(), self.dialect, self.transport)
        if waiting.dialect.handshakes_apart:
            _, _, body = await (await self.wire()).request("GET", waiting._url())
            waiting.sid = body.decode().split(":")[0]
        request = f"GET {waiting._url()} HTTP/1.1\r\nHost: test.example\r\n\r\n".encode()
        for size in (0, 1, 60, -2, None):
            with self.subTest(bytes_of_the_handshake=size):
                wire = await self.wire()
                wire.writer.write(request[:size])
                await wire.writer.drain()
                wire.reset()
                await self.assertNobodyElseSuffers()
        attacker = await self.attacker()
        attacker._wire.reset()  # with its poll, or the stream
        await self.assertNobodyElseSuffers()
        if self.transport in STREAMS:
            self.assertEqual(await within(attacker.heard.get(), 2), ("closed", "transport close"))
        for size in (60, -2):
            with self.subTest(bytes_of_a_post=size):
                attacker = await self.attacker()
                body = attacker._payload(HOSTILE_ROWS[self.dialect][-1][0])
                head = f"POST {attacker._url('send')} HTTP/1.1\r\nHost: test.example\r\nContent-Length: {len(body)}"
                wire = await self.wire()
                wire.writer.write((head.encode() + b"\r\n\r\n" + body)[:size])
                await wire.writer.drain()
                if size < 0:
                    while self.handler.handlers[-1]._member.session.post is None:
                        await asyncio.sleep(0)
                wire.reset()
                await self.assertNobodyElseSuffers()
                if size < 0:
                    self.assertEqual(
                        await within(attacker.heard.get(), 2), ("closed", "transport error")
                    )
        for session in list(
            self.hub.sessions.values()
        ):  # their deadlines are another test's subject
            if session.sid not in {client.sid for client in self.innocents}:
                session.end("transport close")
        await self.assertFreed()
        self.assertQuiet()

    @gen_test(timeout=60)
    async def test_a_bad_post_is_answered_and_ends_its_sender(self):
        await self.invite()
        for body, headers, statuses, outcome, why in POST_ROWS + MORE_POST_ROWS[self.dialect]:
            with self.subTest(why):
                attacker = await self.attacker()
                status = await attacker.post(body, **headers)
                self.assertIn(status, statuses)
                await (self.assertEnded if outcome == ENDS else self.assertServed)(attacker)
                await attacker.close()
                await self.assertNobodyElseSuffers()
        self.assertQuiet()


class EIO4WebSocketHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"


class EIO4PollingHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EIO4JSONPHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "jsonp-polling"
    samples_packets = True


class EIO4UpgradeHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "upgrade"
    samples_packets = True


class EIO3WebSocketHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "websocket"


class EIO3PollingHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "xhr-polling"


class EIO3JSONPHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "jsonp-polling"
    samples_packets = True


class EIO3UpgradeHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "upgrade"
    samples_packets = True


class EIO4WebSocketOnLaneHostilityTests(OnLane, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"
    samples_packets = True


class EIO4PollingOnLaneHostilityTests(OnLane, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "xhr-polling"


class EIO4JSONPOnLaneHostilityTests(OnLane, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "jsonp-polling"
    samples_packets = True


class EIO4UpgradeOnLaneHostilityTests(OnLane, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "upgrade"
    samples_packets = True


class EIO3WebSocketOnLaneHostilityTests(OnLane, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "websocket"
    samples_packets = True


class EIO3PollingOnLaneHostilityTests(OnLane, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "xhr-polling"


class EIO3JSONPOnLaneHostilityTests(OnLane, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "jsonp-polling"
    samples_packets = True


class EIO3UpgradeOnLaneHostilityTests(OnLane, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "upgrade"
    samples_packets = True


class Protocol1WebSocketHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "websocket"


class Protocol1FlashHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "flashsocket"
    samples_packets = True


class Protocol1PollingHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "xhr-polling"


class Protocol1JSONPHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "jsonp-polling"


class Protocol1StreamHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "htmlfile"


class AncestorWebSocketHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "websocket"


class AncestorFlashHostilityTests(WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "flashsocket"
    samples_packets = True


class AncestorPollingHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-polling"


class AncestorJSONPHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "jsonp-polling"


class AncestorMultipartHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "xhr-multipart"


class AncestorStreamHostilityTests(PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "htmlfile"


class EIO4TLSHostilityTests(OverTLS, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO4", "websocket"
    samples_packets = True


class EIO3UpgradeTLSHostilityTests(OverTLS, WebSocketHostilityBehaviour, RecorderTestCase):
    dialect, transport = "EIO3", "upgrade"
    samples_packets = True


class Protocol1PollingTLSHostilityTests(OverTLS, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.9", "xhr-polling"
    samples_packets = True


class AncestorStreamTLSHostilityTests(OverTLS, PostingHostilityBehaviour, RecorderTestCase):
    dialect, transport = "0.6", "htmlfile"
    samples_packets = True


# ---- Odd requests, slow and greedy clients -------------------------------------------


class OddRequestTests(RecorderTestCase):
    """A request that no client makes is answered in words of our own, and begins no session."""

    base = Victim
    MARK = "mark-4711"
    SID = "abcdefghijklmnopqrst"
    UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
               "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip

    #: Path, headers: in all generations, by every method.
    ROWS = [
        ("/?EIO=4&transport=__proto__", {}, "a word that is a property elsewhere"),
        ("/?EIO=4&transport=constructor&sid=__proto__", {}, "two of them"),
        (f"/?EIO=4&transport={MARK}", {}, "a transport that is none"),
        (f"/?EIO={MARK}&transport=polling", {}, "a revision that is none"),
        ("/?EIO=５&transport=polling", {}, "one that is not ASCII"),
        ("/?EIO=4&EIO=3&transport=polling", {}, "two revisions"),
        ("/?EIO=4&transport=polling&transport=websocket", {}, "two transports"),
        (f"/?EIO=4&transport=polling&sid={SID}&sid={SID}", {}, "two sids"),
        (f"/?EIO=4&transport=polling&sid={MARK}", {}, "a sid that is unknown"),
        (f"/?EIO=4&transport=polling&sid={'x' * 5000}", {}, "a long one"),
        (f"/?EIO=4&transport=polling&sid={SID}%0d%0aX:%20{MARK}", {}, "one with a header in it"),
        (f"/?EIO=4&transport=polling&j=0;{MARK}", {}, "a callback that is more than digits"),
        ("/?EIO=4&transport=polling&j=", {}, "an empty one"),
        ("/?EIO=4&transport=polling&j=１", {}, "one that is not ASCII"),
        ("/?EIO=4&transport=websocket", {}, "a websocket without upgrade: it took whole processes down"),
        (f"/?EIO=4&transport=websocket&sid={SID}", {}, "with a sid"),
        ("/?EIO=4&transport=websocket", {"Upgrade": "websocket"}, "half an upgrade"),
        ("/?EIO=4&transport=polling", {"Upgrade": "websocket"}, "an upgrade of polling"),
        (f"/?EIO=4&transport=websocket&sid={SID}", UPGRADE, "an upgrade with an unknown sid"),
        ("/?EIO=9&transport=websocket", UPGRADE, "one of no revision"),
        (f"/?EIO=3&transport=websocket&sid={SID}", UPGRADE, "one of another generation"),
        (f"/websocket/{SID}", UPGRADE, "and of 0.6"),
        (f"/1/websocket/{SID}", UPGRADE, "and of 0.9"),
        ("/1/websocket", UPGRADE, "without a sid at all"),
        ("/", UPGRADE, "an upgrade of nothing"),
        (f"/{MARK}", UPGRADE, "of a page that is not there"),
        ("/socket.io.js", UPGRADE, "of a file"),
        ("/__proto__/", {}, "a path of no generation"),
        (f"/1/{MARK}/{SID}", {}, "a transport of 0.9 that is none"),
        (f"/1/xhr-polling/{MARK}", {}, "an unknown sid of 0.9"),
        (f"/1/jsonp-polling/{SID}?i={MARK}", {}, "a callback of 0.9 that is no number"),
        (f"/1/?jsonp={MARK}", {}, "in its handshake"),
        ("/2/", {}, "protocol 2, which never was"),
        ("/１/", {}, "a protocol that is not ASCII"),
        (f"/xhr-polling/{MARK}/1", {}, "an unknown sid of 0.6"),
        (f"/jsonp-polling//1/{MARK}", {}, "a callback of 0.6 that is no number"),
        (f"/htmlfile/{SID}/1", {}, "a stream of nobody"),
        (f"/{'a/' * 2000}", {}, "a long path"),
        ("/" + "1" * 60_000, {}, "a very long one"),
    ]  # fmt: skip

    async def ask(self, method, path, headers):
        wire = await self.wire()
        wire.send_request(method, urllib.parse.quote("/socket.io" + path, safe="/?&=%"), **headers)
        status, answer = await wire.head()
        body = (
            b""
            if method == "HEAD"
            else await wire.within(wire.reader.readexactly(int(answer["content-length"])))
        )
        wire.close()
        return status, answer, body

    @gen_test(timeout=60)
    async def test_each_odd_request_is_refused_in_words_of_our_own(self):
        innocent = await self.client()
        hub = self.handler.io._at[-1][0]
        for path, headers, why in self.ROWS:
            for method in (
                ("GET", "POST", "PUT", "DELETE", "HEAD", "TRACE")
                if len(path) < 100
                else ("GET", "POST")
            ):
                with self.subTest(why, method=method):
                    if path.startswith("/socket.io.js") and method in ("GET", "HEAD"):
                        continue
                    status, answer, body = await self.ask(method, path, headers)
                    self.assertIn(status, (200, 302, 400, 403, 404, 405, 500))
                    if status == 200:  # in 0.9 a refusal may be a packet, or a script
                        self.assertRegex(
                            body, rb'\A(7:::1\+0|io\.j\[0\]\((new Error\(".*"\)|"7:::1\+0")\);)\Z'
                        )
                    self.assertNotIn(self.MARK.encode(), body)
                    self.assertNotIn(self.MARK, str(answer))
                    self.assertNotIn("set-cookie", answer)
                    if "content-type" in answer and status not in (
                        404,
                        405,
                    ):  # the application's own pages
                        self.assertRegex(
                            answer["content-type"],
                            r"^(text/plain|text/javascript|application/json)\b",
                        )
        self.assertEqual(await innocent.call("ping", 1), 1)
        self.assertEqual(list(hub.sessions), [innocent.sid])

    @gen_test(timeout=60)
    async def test_an_odd_request_that_is_a_servers_first_is_refused_in_words_of_our_own(self):
        await self.client()
        hub = self.handler.io._at[-1][0]
        for path, headers, why in self.ROWS:
            for method in ("GET", "POST", "PUT"):
                with self.subTest(why, method=method):
                    hub.clock.loop = None
                    status, _, body = await self.ask(method, path, headers)
                    self.assertIn(status, (200, 302, 400, 403, 404, 405, 500))
                    self.assertNotIn(self.MARK.encode(), body)
                    self.assertEqual(hub.sessions, {})

    @gen_test
    async def test_odd_requests_on_a_living_session_harm_nothing(self):
        for dialect, path in (("EIO4", "/?EIO=4&transport="), ("EIO3", "/?EIO=3&transport=")):
            client = await self.client(dialect, "xhr-polling")
            rows = [("PUT", "polling", {}), ("DELETE", "polling", {}), ("HEAD", "polling", {}),
                    ("TRACE", "polling", {}), ("GET", "websocket", {}), ("POST", "websocket", {}),
                    ("GET", "websocket", {"Upgrade": "websocket"}), ("GET", "polling", self.UPGRADE),
                    ("GET", "polling&j=0", {}), ("POST", "polling&j=0", {}),
                    ("GET", "websocket", {**self.UPGRADE, "Sec_WebSocket_Version": "99"})]  # fmt: skip
            for method, transport, headers in rows:
                with self.subTest(dialect=dialect, method=method, transport=transport):
                    status, _, _ = await self.ask(
                        method, f"{path}{transport}&sid={client.sid}", headers
                    )
                    self.assertEqual(status, 400)
                    self.assertEqual(await client.call("ping", 1), 1)
            other = {"EIO3": "EIO=4", "EIO4": "EIO=3"}[dialect]
            status, _, body = await self.ask(
                "POST", f"/?{other}&transport=polling&sid={client.sid}", {}
            )
            self.assertEqual((status, json.loads(body)["code"]), (400, 1))
            self.assertEqual(await client.call("ping", 1), 1)

    @gen_test
    async def test_bytes_that_are_no_request_at_all_are_answered_or_dropped(self):
        innocent = await self.client()
        path = b"/socket.io/?EIO=4&transport=polling"
        post = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n"
        rows = [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", b"GET\r\n\r\n",
                b"GET " + path + b" HTTP/9.9\r\n\r\n",
                b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
                b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nOrigin: http://a\0b\r\n\r\n",
                post + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"]  # fmt: skip
        for row in rows:
            with self.subTest(row[:60]):
                wire = await self.wire()
                wire.writer.write(row)
                with contextlib.suppress(ConnectionError):
                    self.assertIn(await wire.end(), (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"))
                self.assertEqual(await innocent.call("ping", 1), 1)

    @gen_test
    async def test_bytes_behind_a_body_that_was_refused_are_no_request(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        self.handler.max_message_bytes = 1000
        hidden = f"GET {url} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        wire.send_request("POST", url, hidden, Content_Length=2000)
        self.assertEqual((await wire.answer())[0], 413)
        self.assertEqual(await wire.end(), b"")

    @gen_test
    async def test_a_request_without_any_header_is_answered(self):
        wire = await self.wire()
        wire.writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\n\r\n")
        self.assertTrue((await wire.end()).startswith(b"HTTP/1.1 200 OK\r\n"))

    @gen_test
    async def test_websocket_compression_is_not_taken_up_by_default_however_it_is_offered(self):
        for offer in (
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=99",
            ";" * 5000,
            "a; b=" * 999,
        ):
            with self.subTest(offer=offer[:50]):
                wire = await self.wire()
                status, headers = await wire.upgrade(
                    "/socket.io/?EIO=4&transport=websocket",
                    Sec_WebSocket_Extensions=offer,
                    Sec_WebSocket_Protocol=offer,
                )
                headers.pop("sec-websocket-protocol", None)
                self.assertEqual(
                    (status, headers.keys()),
                    (101, {"upgrade", "connection", "sec-websocket-accept"}),
                )

    @gen_test
    async def test_a_refused_origin_is_one_short_log_line_whatever_it_says(self):
        wire = await self.wire()
        with self.assertLogs("socket_io", "WARNING") as logged:
            for origin in ("http://evil.example/\t" + "x" * 20_000, "http://\xff\x80\x9b[31m"):
                for _ in range(3):
                    status, _, _ = await wire.request(
                        "GET", "/socket.io/?EIO=4&transport=polling", Origin=origin
                    )
                    self.assertEqual(status, 403)
        self.assertEqual(len(logged.records), 2)
        for record in logged.records:
            self.assertTrue(record.getMessage().isprintable())
            self.assertLess(len(record.getMessage()), 420)

    @gen_test
    async def test_each_generation_asks_for_the_origin_in_each_of_its_requests(self):
        evil = {"Origin": "https://evil.example"}
        logging.getLogger("socket_io").setLevel(logging.ERROR)
        self.addCleanup(logging.getLogger("socket_io").setLevel, logging.NOTSET)
        for dialect, transport in EndOfProcessTests.DOORS:
            attacker = Attacker(self.get_http_port(), dialect, transport)
            self._clients.append(attacker)
            await attacker.connect()
            asked = Attacker(self.get_http_port(), dialect, transport)
            asked.transport = attacker.transport
            for sid in ("", attacker.sid):
                asked.sid = sid
                for method in ("GET", "POST") if sid else ("GET",):
                    for headers in (
                        evil,
                        {"Sec_Fetch_Site": "cross-site"},
                        {"Referer": "https://evil.example/x"},
                    ):
                        with self.subTest(
                            dialect=dialect, transport=transport, method=method, sid=bool(sid)
                        ):
                            more = self.UPGRADE if "websocket" in asked._url() else {}
                            if method == "POST" and more:
                                continue
                            path = asked._url().removeprefix("/socket.io")
                            status, answer, body = await self.ask(method, path, {**headers, **more})
                            script = rb"io\.j\[0\]\(new Error\(.*origin.*\)\);|alert\('Cross domain .*'\);"
                            refused = status in (401, 403) or (
                                status == 200 and re.fullmatch(script, body)
                            )
                            self.assertTrue(refused, (status, body))
                            self.assertNotIn("access-control-allow-origin", answer)
            await attacker.send("alive")
            while await attacker.receive() != ("message", "alive"):
                pass


class HandoverRequestTests(RecorderTestCase):
    """Malformed requests, and requests for a session that ends while its connection is taken over, are answered."""

    #: Why; the URL of a handshake; what is sent then, in steps, each request on a connection of its own; the answers.
    ROWS = [
        (
            "a length in digits that are none to int()",
            "/socket.io/?EIO=4&transport=polling",
            [
                [
                    b"POST /socket.io/?EIO=4&transport=polling&sid=$SID HTTP/1.1\r\nContent-Length: 9\xb9999999\r\n\r\n"
                ]
            ],
            [400],
        ),
        (
            "a stream for a session that ends while its connection is taken over",
            "/socket.io/1/",
            [
                [b"GET /socket.io/1/htmlfile/$SID HTTP/1.1\r\n\r\n"],
                [
                    b"GET /socket.io/1/htmlfile/$SID HTTP/1.1\r\n\r\n",
                    b"POST /socket.io/1/htmlfile/$SID HTTP/1.1\r\nContent-Length: 3\r\n\r\n0::",
                ],
            ],
            [200, 200, 200],
        ),
        (
            "a broken frame right behind the handshake, for a session that ends while its connection is taken over",
            "/socket.io/1/",
            [
                [b"GET /socket.io/1/xhr-polling/$SID HTTP/1.1\r\n\r\n"],
                [
                    (
                        b"GET /socket.io/1/websocket/$SID HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                        b"\x81\xfe\x00\x01\x00\x00\x00\x00x"
                    ),
                    b"POST /socket.io/1/xhr-polling/$SID HTTP/1.1\r\nContent-Length: 3\r\n\r\n0::",
                ],
            ],
            [200, 101, 200],
        ),
        (
            "a session asked for without a transport: it forgot that it had one, and was opened again",
            "/socket.io/1/",
            [
                [b"GET /socket.io/1/xhr-polling/$SID HTTP/1.1\r\n\r\n"],
                [b"GET /socket.io/1//$SID HTTP/1.1\r\n\r\n"],
            ],
            [200, 400],
        ),
    ]

    @gen_test
    async def test_malformed_and_ill_timed_requests_are_answered_and_log_no_error(self):
        for why, hello, steps, statuses in self.ROWS:
            with self.subTest(why), self.assertLogs(level="DEBUG") as logs:
                _, _, body = await (await self.wire()).request("GET", hello)
                sid = re.search(rb"[\w-]{20}", body)[0]
                answers = [await self.ask(step, sid) for step in steps]
                self.assertEqual([status for step in answers for status in step], statuses)
                self.assertEqual(
                    [record for record in logs.records if record.levelno >= logging.ERROR], []
                )

    async def ask(self, requests, sid):
        """The statuses that *requests*, sent at once, are answered with."""
        wires = [await self.wire() for _ in requests]
        for wire, request in zip(wires, requests, strict=True):
            wire.writer.write(
                request.replace(b"$SID", sid).replace(b"\r\n", b"\r\nHost: test.example\r\n", 1)
            )
        return [(await wire.head())[0] for wire in wires]


class DeadlineTests(RecorderTestCase):
    """A session ends at its deadline whatever its client sends, unless it sends what is due."""

    base = Victim
    options = {"ping_interval": 0.2, "ping_timeout": 0.15, "poll_duration": 0.2}

    def setUp(self):
        super().setUp()
        for dialect in (socket_io.SocketIO06, socket_io.SocketIO09):
            patch = mock.patch.object(dialect, "poll_return", 0.3)
            patch.start()
            self.addCleanup(patch.stop)

    async def drip(self, attacker):
        """Half a frame, or half a POST, a byte at a time, and nothing that it owes."""
        if attacker.transport in WEBSOCKETS:
            wire, whole = attacker._wire, masked_frame(TEXT_FRAME, b"x" * 5000)
        else:
            wire, whole = attacker._post_wire, b"x" * 5000
            wire.send_request("POST", attacker._url("send"), Content_Length=6000)
        for at in range(len(whole) - 1):
            wire.writer.write(whole[at : at + 1])
            await asyncio.sleep(0.02)

    async def flood(self, attacker):
        """Ordinary messages, which are no sign of life."""
        while True:
            await attacker.send("alive")
            await asyncio.sleep(0.02)

    @gen_test(timeout=60)
    async def test_a_client_that_drips_bytes_of_a_frame_is_cut_off(self):
        await self.assertAllEnd(self.drip)

    @gen_test(timeout=60)
    async def test_a_client_that_talks_but_answers_no_ping_is_cut_off(self):
        await self.assertAllEnd(self.flood)

    async def assertAllEnd(self, behave):
        attackers = []
        for door in EndOfProcessTests.DOORS:
            attacker = Attacker(self.get_http_port(), *door)
            self._clients.append(attacker)
            await attacker.connect()
            attackers.append(attacker)
            attacker._reader.cancel()
        handlers = list(self.handler.handlers)
        misdeeds = [asyncio.ensure_future(behave(attacker)) for attacker in attackers]
        for handler, attacker in zip(handlers, attackers, strict=True):
            while (entry := await within(handler.heard.get(), 10))[0] != "closed":
                pass
            self.assertIn(
                entry[1], ("ping timeout", "transport close", "transport error"), attacker.transport
            )
        self.assertEqual(self.handler.io._at[-1][0].sessions, {})
        while any(not misdeed.done() for misdeed in misdeeds):
            for misdeed in misdeeds:  # once may not do: up to Python 3.11 `wait_for` can swallow it
                misdeed.cancel()
            await asyncio.wait(misdeeds, timeout=0.05)
        await asyncio.gather(*misdeeds, return_exceptions=True)


class Doors(RecorderTestCase):
    """Connects a client of every generation over every transport."""

    doors: list[tuple[str, str]] = []

    async def everybody(self):
        clients = []
        for dialect, transport in self.doors or EndOfProcessTests.DOORS:
            client = Attacker(self.get_http_port(), dialect, transport)
            self._clients.append(client)
            clients.append(await client.connect())
        return clients


class MuchAtOnceTests(Doors):
    """A client that reads may be sent far more at once than `max_buffered_bytes`."""

    options = {"max_buffered_bytes": 50_000}

    @gen_test(timeout=30)
    async def test_much_that_on_open_sends_arrives_over_every_transport(self):
        def on_open(handler):
            Recorder.on_open(handler)
            handler.send("x" * 55_000)
            for number in range(1000):
                handler.send(f"line {number} of a hundred bytes or so {'.' * 60}")

        self.handler.on_open = on_open
        for client in await self.everybody():
            with self.subTest(client.dialect.name, transport=client.transport):
                self.assertEqual(len((await client.receive())[1]), 55_000)
                for number in range(1000):
                    self.assertTrue((await client.receive())[1].startswith(f"line {number} of"))

    @gen_test(timeout=30)
    async def test_ten_large_broadcasts_in_a_row_arrive_over_every_transport(self):
        clients = await self.everybody()
        for number in range(10):
            self.handler.io.send(f"{number}" + "x" * 40_000)
        for client in clients:
            with self.subTest(client.dialect.name, transport=client.transport):
                for number in range(10):
                    self.assertEqual((await client.receive())[1][0], f"{number}")
        self.assertTrue(self.handler.entries.empty())


class MuchAtOnceByDefaultTests(RecorderTestCase):
    """A client that reads may be sent more at once than the default of `max_buffered_bytes`."""

    @gen_test(timeout=30)
    async def test_by_default_an_event_and_many_lines_above_the_buffer_limit_arrive(self):
        for count, size in ((1, 4_300_000), (20_000, 100)):
            for transport in ("websocket", "xhr-polling"):

                def on_open(handler, count=count, size=size):
                    for _ in range(count):
                        handler.send("x" * size)

                with self.subTest(transport, count=count):
                    self.handler.on_open = on_open
                    client = await self.client(transport=transport)
                    for _ in range(count):
                        self.assertEqual(len((await client.receive())[1]), size)

    @gen_test(timeout=30)
    async def test_by_default_ten_broadcasts_of_a_megabyte_arrive(self):
        clients = [await self.client(transport=transport) for transport in (WEBSOCKET, XHR_POLLING)]
        for _ in range(10):
            self.handler.io.send("x" * 1_000_000)
        for client in clients:
            for _ in range(10):
                self.assertEqual(len((await client.receive())[1]), 1_000_000)


class MuchAtOnceOverTLSTests(OverTLS, MuchAtOnceTests):
    """A client that reads over TLS may be sent more at once than `max_buffered_bytes`."""

    doors = [("EIO4", "websocket"), ("EIO3", "xhr-polling"), ("0.9", "htmlfile")]


class UnreadTests(Doors):
    """A client that does not read what was sent to it is cut off, and its memory is freed."""

    options = {"max_buffered_bytes": 200_000, "ping_timeout": 0.4}
    base = Victim
    doors = [("EIO4", "websocket"), ("EIO4", "upgrade"), ("EIO4", "xhr-polling"),
             ("EIO3", "jsonp-polling"), ("0.9", "htmlfile"), ("0.6", "xhr-multipart")]  # fmt: skip

    go_deaf = HostilityBehaviour.go_deaf

    @gen_test(timeout=30)
    async def test_a_client_that_does_not_read_is_cut_off_after_the_ping_timeout(self):
        clients = await self.everybody()
        handlers = list(self.handler.handlers)
        for client in clients:
            self.go_deaf(client)
        for client, handler in zip(clients, handlers, strict=True):
            session = handler._member.session
            for _ in range(1000):
                if session.backlog is not None:
                    break
                handler.send("x" * 150_000)
                await asyncio.sleep(0)
            self.assertLess(session.unsent_bytes, 1_000_000, client.transport)
        for client, handler in zip(clients, handlers, strict=True):
            self.assertEqual(
                await within(handler.heard.get()), ("closed", "transport error"), client.transport
            )

    @gen_test(timeout=30)
    async def test_a_client_that_does_not_read_is_cut_off_at_once_far_above_the_limit(self):
        self.handler.ping_timeout = 20.0
        for client in await self.everybody():
            handler = self.handler.handlers[-1]
            self.go_deaf(client)
        for handler in list(self.handler.handlers):
            session = handler._member.session
            for _ in range(1000):
                if not handler.connected:
                    break
                handler.send("x" * 150_000)
                self.assertLess(session.unsent_bytes, 16 * 200_000 + 160_000)
                await asyncio.sleep(0)
            self.assertEqual(await within(handler.heard.get()), ("closed", "transport error"))

    @gen_test(timeout=30)
    async def test_bytes_of_a_long_message_that_a_client_has_read_no_longer_count_as_unsent(self):
        self.handler.max_buffered_bytes = 100_000_000
        for door in [("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("EIO4", "jsonp-polling"),
                     ("0.9", "htmlfile"), ("0.6", "xhr-multipart")]:  # fmt: skip
            with self.subTest(door):
                client = Attacker(self.get_http_port(), *door)
                self._clients.append(await client.connect())
                handler = self.handler.handlers[-1]
                session, reader = handler._member.session, client._wire.reader
                while session.outlet is None:
                    await asyncio.sleep(0)
                client._reader.cancel()
                await asyncio.sleep(0)
                reader._limit = 65536  # it does not read ahead
                handler.send("x" * 12_000_000)
                while session.unsent_bytes < 3_000_000:
                    await asyncio.sleep(0)
                while (before := session.unsent_bytes) > 3_000_000:
                    await within(reader.readexactly(2_000_000))
                    while session.unsent_bytes >= before:
                        await asyncio.sleep(0.001)
                await client.close()
                self.assertEqual((await within(handler.heard.get()))[0], "closed")

    @gen_test(timeout=30)
    async def test_a_socket_of_its_own_holds_one_message_beyond_its_high_water_mark(self):
        self.handler.max_buffered_bytes = 100_000_000
        for door in (("EIO4", "websocket"), ("EIO4", "upgrade"), ("0.9", "htmlfile")):
            for size in (1_000, 1_000_000):
                with self.subTest(door, size=size):
                    client = Attacker(self.get_http_port(), *door)
                    self._clients.append(await client.connect())
                    handler = self.handler.handlers[-1]
                    while handler._member.session.outlet is None:
                        await asyncio.sleep(0)
                    carrier = handler._member.session.outlet.carrier
                    self.go_deaf(client)
                    for _ in range(10_000_000 // size):
                        handler.send("x" * size)
                        most = socket_io.WEBSOCKET_HIGH_WATER + size + 100
                        self.assertLessEqual(carrier.get_write_buffer_size(), most)
                    await asyncio.sleep(0)
                    self.assertLessEqual(carrier.get_write_buffer_size(), most)
                    await client.close()

    @gen_test(timeout=30)
    async def test_a_client_that_does_not_read_has_no_further_event_run_and_loses_none(self):
        self.handler.max_buffered_bytes = 1_000_000
        self.handler.ping_timeout = 20.0
        for dialect, transport in (("EIO4", "websocket"), ("0.6", "websocket"),
                                   ("EIO4", "xhr-polling"), ("0.9", "htmlfile")):  # fmt: skip
            with self.subTest(dialect=dialect, transport=transport):
                client = Attacker(self.get_http_port(), dialect, transport)
                self._clients.append(await client.connect())
                handler = self.handler.handlers[-1]
                session = handler._member.session
                handler.on_message = lambda number, handler=handler: handler.send(
                    [number, "x" * 100_000]
                )
                handler.send([-1, ""])
                await client.receive()
                client._wire.writer.transport.pause_reading()
                sending = asyncio.ensure_future(self.send_many(client, 150))
                while session.backlog is None:
                    await asyncio.sleep(0)
                await asyncio.sleep(0.05)
                self.assertLess(session.unsent_bytes, 1_200_000)
                self.assertTrue(handler.connected)
                client._wire.writer.transport.resume_reading()
                numbers = [int((await client.receive())[1][0]) for _ in range(150)]
                self.assertEqual(numbers, list(range(150)))
                await sending
                await client.close()

    async def send_many(self, client, count):
        packets = [
            packet
            for number in range(count)
            for packet in client.dialect.encode_packet(
                Packet(EVENT, "/", ["message", number if client.dialect.has_acks else str(number)])
            )
        ]
        await client._send_engine(packets)


class PatienceTests(RecorderTestCase):
    """The server waits a bounded time for a client, and writes a client's words into the log in short form."""

    options = {"close_timeout": 0.3, "max_buffered_bytes": 100_000_000}
    base = Victim

    @gen_test
    async def test_an_answer_that_is_not_read_ends_the_session(self):
        wire = await self.wire()
        url = await self.join_polling(wire)
        handler = await self.only()
        handler.send("x" * 30_000_000)
        wire.writer.transport.pause_reading()
        wire.send_request("GET", url)
        self.assertEqual(await within(handler.heard.get()), ("closed", "transport error"))

    @gen_test
    async def test_a_close_frame_that_is_not_answered_ends_the_connection(self):
        wire = await self.wire()
        await self.open_websocket(wire)
        with mock.patch.object(socket_io, "CLOSE_GRACE", 0.2):
            wire.writer.write(b"\x81\x05hello")
            self.assertEqual((await wire.frame())[0], CLOSE_FRAME)
            with contextlib.suppress(ConnectionError):
                self.assertEqual(await wire.end(), b"")

    @gen_test
    async def test_an_event_that_nobody_receives_is_one_short_line(self):
        self.handler.on_event = SocketIOHandler.on_event
        client = await self.client()
        with self.assertLogs("socket_io", "DEBUG") as logged:
            await client.emit("\n\x1b[31m" + "x" * LONG)
            await client.emit("ping", *["too many"] * 5)
            self.assertEqual(await client.call("ping", 1), 1)
        self.assertEqual(len(logged.records), 2)
        for record in logged.records:
            self.assertLess(len(record.getMessage()), 240)  # with where and cure
            self.assertTrue(record.getMessage().isprintable())


# ---- Races, stalls and bad handlers --------------------------------------------------


class SweepTests(RecorderTestCase):
    """The sweep of deadlines goes on after an error at one of them."""

    options = {"ping_interval": 0.2, "ping_timeout": 0.15}
    base = Victim

    @gen_test
    async def test_an_error_at_one_clients_deadline_does_not_stop_the_deadlines_of_others(self):
        for wire in (await self.wire(), await self.wire()):
            await self.open_websocket(wire)  # and is silent from then on
        sick, silent = self.handler.handlers
        heartbeat_due = Session.heartbeat_due

        def fail(session):
            if session is sick._member.session:
                raise RuntimeError("a mistake in socket_io.py")
            heartbeat_due(session)

        with (
            mock.patch.object(Session, "heartbeat_due", fail),
            self.assertLogs("socket_io", "ERROR") as logged,
        ):
            self.assertEqual(await within(sick.heard.get()), ("closed", "forced close"))
            self.assertEqual(await within(silent.heard.get()), ("closed", "ping timeout"))
        self.assertEqual(len(logged.records), 1)


class LateRefusalTests(RecorderTestCase):
    """A client may have gone before it hears that it is refused."""

    base = Victim

    @gen_test
    async def test_a_reset_while_on_open_decides_logs_no_error(self):
        gate = asyncio.Event()

        async def decide(handler):
            type(handler).handlers.append(handler)
            await gate.wait()
            return False

        await self.client()
        self.handler.on_open = decide
        hub = self.handler.io._at[-1][0]
        paths = ["/socket.io/xhr-polling//1", "/socket.io/jsonp-polling//1/0", "/socket.io/htmlfile//1",
                 "/socket.io/xhr-multipart/", "/socket.io/?EIO=3&transport=polling"]  # fmt: skip
        with self.assertNoLogs(level="WARNING"):
            for path in paths:
                wire, count = await self.wire(), len(self.handler.handlers)
                wire.send_request("GET", path)
                while len(self.handler.handlers) == count:
                    await asyncio.sleep(0)
                wire.reset()
            for path in (
                "/socket.io/?EIO=4&transport=websocket&sid=abcdefghijklmnopqrst",
                "/socket.io/1/websocket/x",
            ):
                for _ in range(10):
                    wire = await self.wire()
                    wire.send_request("GET", path, **OddRequestTests.UPGRADE)
                    await wire.writer.drain()
                    wire.reset()
            await asyncio.sleep(0.05)
            gate.set()
            while hub.clock.tasks:
                await asyncio.sleep(0)

    @gen_test
    async def test_the_body_of_the_first_request_of_all_is_taken_apart_by_nobody(self):
        await self.client()
        hub = self.handler.io._at[-1][0]
        for path in (
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/1/",
            "/socket.io/xhr-polling/",
        ):
            for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
                hub.clock.loop = None
                wire = await self.wire()
                with mock.patch.object(tornado.httputil, "parse_body_arguments") as parse:
                    await wire.request("POST", path, b"--x\r\n\r\na=b&" * 1000, Content_Type=kind)
                parse.assert_not_called()


class StalledLoopTests(RecorderTestCase):
    """A handler that blocks the loop delays everybody, and ends nobody's connection."""

    base = Victim
    options = {
        "ping_interval": 0.2,
        "ping_timeout": 0.3,
        "poll_duration": 0.2,
        "connect_timeout": 0.3,
    }

    async def keep_pinging(self, client):
        while True:
            await client._send_engine([EnginePacket(PING)])
            await asyncio.sleep(0.1)

    @gen_test(timeout=30)
    async def test_a_stall_of_the_loop_longer_than_every_deadline_kills_nobody(self):
        clients, pings = [], []
        for dialect, transport in EndOfProcessTests.DOORS:
            client = Attacker(self.get_http_port(), dialect, transport)
            self._clients.append(client)
            clients.append(await client.connect())
            if not client.dialect.server_pings:
                pings.append(asyncio.ensure_future(self.keep_pinging(client)))
        with (
            mock.patch.object(socket_io.SocketIO06, "poll_return", 0.3),
            mock.patch.object(socket_io.SocketIO09, "poll_return", 0.3),
        ):
            await asyncio.sleep(0.1)
            time.sleep(0.6)
            await asyncio.sleep(0.1)
            self.handler.io.send("still here")
            for client in clients:
                with self.subTest(dialect=client.dialect.name, transport=client.transport):
                    self.assertEqual(await client.receive(), ("message", "still here"))
        for ping in pings:
            ping.cancel()
        await asyncio.gather(*pings, return_exceptions=True)


class BadHandlerTests(RecorderTestCase):
    """A handler's mistake costs its own client one event, and other clients nothing."""

    base = Victim

    @gen_test
    async def test_each_way_in_which_a_handler_goes_wrong_costs_one_event(self):
        async def raise_later(handler):
            await asyncio.sleep(0)
            raise KeyError("handler")

        async def cancel_itself(handler):
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        def cancelled(handler):
            raise asyncio.CancelledError

        def answer_nonsense(handler):
            return math.nan

        def end_it(handler):
            handler.disconnect()
            handler.emit("too late")
            raise KeyError("handler")

        rows = [(lambda handler: 1 / 0, True), (raise_later, True), (cancel_itself, True), (cancelled, True),
                (answer_nonsense, True), (lambda handler: time.sleep(0.1), True), (end_it, False)]  # fmt: skip
        innocent = await self.client()
        logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("tornado.application").setLevel, logging.NOTSET)
        for transport in ("websocket", "xhr-polling"):
            for wrong, lives in rows:
                with self.subTest(transport, wrong=wrong):
                    client = await self.client(transport=transport)
                    handler = self.handler.handlers[-1]
                    handler.on_message = lambda message, wrong=wrong, handler=handler: wrong(
                        handler
                    )
                    client._acks[99] = asyncio.get_running_loop().create_future()
                    await client._send(Packet(EVENT, "/", ["message", "x"], 99))
                    self.assertEqual(await within(innocent.call("ping", 1), 2), 1)
                    if lives:
                        self.assertEqual(await client.call("ping", 2), 2)
                    else:
                        self.assertEqual(
                            await within(handler.heard.get()),
                            ("closed", "server namespace disconnect"),
                        )

    @gen_test
    async def test_on_close_may_speak_to_all_and_raise(self):
        def last_words(handler):
            handler.send("to itself")
            handler.emit("to itself", ack=print) if handler.connected else None
            handler.broadcast.emit("left", handler.id)
            handler.io.emit("left", handler.id)
            handler.disconnect(close=True)
            handler.close()
            Recorder.note(handler, "spoke")
            raise KeyError("on_close")

        innocent = await self.client()
        self.handler.on_close = last_words
        for dialect, transport in EndOfProcessTests.DOORS:
            with (
                self.subTest(dialect=dialect, transport=transport),
                self.assertLogs("tornado.application", "ERROR"),
            ):
                client = Attacker(self.get_http_port(), dialect, transport)
                self._clients.append(client)
                await client.connect()
                handler = self.handler.handlers[-1]
                handler._member.session.end("transport close")
                await within(client.disconnected.wait())
                for _ in range(2):
                    self.assertEqual(await innocent.receive(), ("left", handler.id))
                self.assertEqual(await innocent.call("ping", 1), 1)
        self.assertEqual(list(self.handler.io._at[-1][0].sessions), [innocent.sid])
        self.handler.on_close = Victim.on_close

    @gen_test
    async def test_a_client_that_cannot_be_sent_to_does_not_stop_a_broadcast(self):
        clients = [await self.client() for _ in range(3)]

        def fail(data):
            raise RuntimeError("a dying connection")

        self.handler.handlers[1]._member.session.write_now = fail
        with self.assertLogs("socket_io", "ERROR"):
            self.handler.io.emit("news", 1)
        for client in clients[::2]:
            self.assertEqual(await client.receive(), ("news", 1))
        self.assertEqual(
            await within(self.handler.handlers[1].heard.get()), ("closed", "forced close")
        )

    @gen_test
    async def test_clients_that_vanish_during_a_broadcast_do_not_stop_it(self):
        clients = [await self.client() for _ in range(10)]
        for client in clients[::2]:
            client._wire.reset()
        for number in range(20):
            self.handler.io.emit("news", number, "x" * 10_000)
        for client in clients[1::2]:
            for number in range(20):
                self.assertEqual((await client.receive())[:2], ("news", number))


class UpgradeRaceTests(RecorderTestCase):
    """[EIO4 "Upgrade"]: an upgrade that is broken off or tried twice loses no message and leaves polling as it was."""

    base = Victim

    async def steps(self, client, websocket):
        """An upgrade, step by step."""
        websocket.send_request(
            "GET", client._url().replace("polling", "websocket"), **OddRequestTests.UPGRADE
        )
        yield "asked"
        await websocket.head()
        yield "accepted"
        websocket.send_frame("2probe")
        yield "probing"
        await websocket.text()
        yield "probed"
        websocket.writer.write(masked_frame(TEXT_FRAME, b"5")[:3])
        yield "half way"

    @gen_test(timeout=30)
    async def test_an_upgrade_broken_off_at_any_step_leaves_polling_as_it_was(self):
        for dialect in ("EIO3", "EIO4"):
            for last in ("asked", "accepted", "probing", "probed", "half way"):
                for leave in ("reset", "close"):
                    with self.subTest(dialect=dialect, last=last, leave=leave):
                        client, websocket = (
                            await self.client(dialect, "xhr-polling"),
                            await self.wire(),
                        )
                        handler = self.handler.handlers[-1]
                        client._reader.cancel()  # a client that probes polls no more
                        await asyncio.wait([client._reader])
                        handler.emit("first")
                        await client._wire.answer()
                        async for step in self.steps(client, websocket):
                            handler.emit("on the way", step)
                            if step == last:
                                break
                        getattr(websocket, leave)()
                        while handler._member.session.prober is not None:
                            await asyncio.sleep(0)
                        handler.emit("after")
                        await client.send("alive")
                        self.assertEqual(await within(handler.heard.get()), ("message", "alive"))
                        self.assertIs(handler._member.session.upgrade, Upgrade.NONE)
                        *_, body = await client._wire.request("GET", client._url())
                        names = re.findall(rb'"(on the way","\w[\w ]*|after)"', body)
                        self.assertEqual(names[-1], b"after")
                        self.assertTrue(names[-2].endswith(last.encode()), body)

    @gen_test(timeout=30)
    async def test_two_upgrades_at_once_are_one(self):
        for dialect in ("EIO3", "EIO4"):
            client = await self.client(dialect, "xhr-polling")
            client._reader.cancel()
            path = client._url().replace("polling", "websocket")
            wires = [await self.wire() for _ in range(5)]
            for wire in wires:
                wire.send_request("GET", path, **OddRequestTests.UPGRADE)
            for wire in wires:
                self.assertEqual((await wire.head())[0], 101)
                wire.send_frame("2probe")
            answers = [await wire.message() for wire in wires]
            self.assertEqual(sorted(map(str, answers)), ["3probe"] + ["None"] * 4)


class OverlapTests(RecorderTestCase):
    """Two polls or two posts of one client at once go as with the server of its own generation."""

    base = Victim

    @gen_test
    async def test_two_polls_at_once_end_the_session_or_the_second_takes_over(self):
        for dialect in DIALECTS:
            with self.subTest(dialect):
                client = await self.client(dialect, "xhr-polling")
                handler = self.handler.handlers[-1]
                while handler._member.session.outlet is None:
                    await asyncio.sleep(0)
                first, wire = handler._member.session.outlet, await self.wire()
                if not DIALECTS[dialect].overlap_closes:
                    client._reader.cancel()  # its own poll is released, and not made again
                wire.send_request("GET", client._url())
                if DIALECTS[dialect].overlap_closes:
                    self.assertEqual((await wire.answer())[0], 400)
                    self.assertEqual(
                        await within(handler.heard.get()), ("closed", "transport error")
                    )
                    await within(client.disconnected.wait())
                else:
                    while handler._member.session.outlet in (first, None):
                        await asyncio.sleep(0)
                    handler.send("once")
                    self.assertIn(b"once", (await wire.answer())[2])

    @gen_test
    async def test_two_posts_at_once_end_the_session_or_both_are_heard(self):
        for dialect in DIALECTS:
            with self.subTest(dialect):
                client = Attacker(self.get_http_port(), dialect, "xhr-polling")
                self._clients.append(client)
                await client.connect()
                handler = self.handler.handlers[-1]
                wire = await self.wire()
                wire.send_request("POST", client._url("send"), b"x", Content_Length=100)
                while handler._member.session.post is None:
                    await asyncio.sleep(0)
                if DIALECTS[dialect].overlap_closes:
                    self.assertEqual(await client.post(b"x"), 400)
                    self.assertEqual(
                        await within(handler.heard.get()), ("closed", "transport error")
                    )
                else:
                    await client.send("alive")
                    self.assertEqual(await within(handler.heard.get()), ("message", "alive"))


# ---- A process of its own ------------------------------------------------------------


def write_file(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


class ServedTestCase(tornado.testing.AsyncTestCase):
    """`SocketIOServer` in a process of its own, for what a process can suffer."""

    PROGRAM = """
import asyncio, logging, os, resource, sys, tornado.web, socket_io
class Chat(socket_io.SocketIOHandler):
    def on_message(self, message): self.send(message)
class Server(socket_io.SocketIOServer): ...
%s
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
logging.getLogger("socket_io").addFilter(lambda record: not record.msg.startswith("session "))
Server(tornado.web.Application([Chat.routes("socket.io")], socket_io_port=int(sys.argv[1]), enabled_protocols=%r))
"""
    TRANSPORTS = [
        name for name in TRANSPORTS if name != FLASHSOCKET
    ]  # which wants a port for Flash
    READER_LIMIT = 64 * 1024 * 1024  # bytes of one printed line

    def setUp(self):
        super().setUp()
        self.port = unused_port()
        self.clients = []
        self.program = None

    async def serve(self, more=""):
        """Start the program with *more* in it; returns when it listens."""
        program = self.PROGRAM % (more, self.TRANSPORTS)
        await self.start(sys.executable, "-c", program, str(self.port))

    async def start(self, *command, cwd=None):
        """Start *command*, a server that says in its log when it listens."""
        await self.launch(*command, cwd=cwd)
        self.assertIn(b"listening", await self.line())

    async def launch(self, *command, cwd=None):
        self.program = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=self.READER_LIMIT,
            cwd=cwd or pathlib.Path(__file__).parent,
        )

    async def line(self):
        return await within(self.program.stdout.readline(), 20)

    async def end(self):
        """Ask it to end; what it has printed."""
        self.program.terminate()
        printed, _ = await within(self.program.communicate(), 20)
        return printed.decode()

    async def client(self, dialect="EIO4", transport="websocket"):
        client = Attacker(self.port, dialect, transport)
        self.clients.append(client)
        return await client.connect()

    async def wire(self):
        wire = await Wire.open(self.port)
        self.clients.append(wire)
        return wire

    def tearDown(self):
        async def leave():
            for client in self.clients:
                done = client.close()
                if done is not None:
                    await done
            if self.program is not None:
                if self.program.returncode is None:
                    self.program.kill()
                await self.program.communicate()

        self.io_loop.run_sync(leave)
        super().tearDown()


class DescriptorTests(ServedTestCase):
    """A process has a bounded number of connections."""

    @gen_test(timeout=30)
    async def test_out_of_file_descriptors_is_one_warning_and_passes(self):
        await self.serve("resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))")
        innocent = await self.client()
        crowd = [await self.wire() for _ in range(100)]
        for number in range(20):
            await innocent.send(number)
            self.assertEqual(await innocent.receive(2), ("message", number))
        for wire in crowd:
            wire.close()
        while True:  # the places are free when the server has read of it
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                newcomer = await self.client()
                break
            await asyncio.sleep(0.05)
        await newcomer.send("hello")
        self.assertEqual(await newcomer.receive(), ("message", "hello"))
        printed = await self.end()
        self.assertEqual(
            [line for line in printed.splitlines() if "file descriptors" not in line], []
        )
        self.assertEqual(len(printed.splitlines()), 1)

    @gen_test(timeout=30)
    async def test_all_descriptors_that_the_process_may_have_are_for_clients(self):
        await self.serve("resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))")
        crowd = await within(asyncio.gather(*[self.client() for _ in range(100)]), 20)
        await crowd[-1].send("hello")
        self.assertEqual(await crowd[-1].receive(), ("message", "hello"))


class EndOfProcessTests(ServedTestCase):
    """A process that is asked to end sends first all that was sent before."""

    BUSY = """
class Chat(Chat):
    size = %d
    max_buffered_bytes = 50_000_000
    def on_open(self):
        self.number = 0
        asyncio.get_running_loop().call_soon(self.talk)
    def talk(self):
        if self.connected and self.number * self.size < 12_000_000:
            self.number += 1
            self.send([self.number, "x" * self.size])
            asyncio.get_running_loop().call_later(0.001, self.talk)
    def on_close(self):
        print("SENT", self.session.id, self.number, self.close_reason, flush=True)
"""
    LARGE = """
class Chat(Chat):
    max_buffered_bytes = 100_000_000
    def on_message(self, message):
        self.send("x" * 8_000_000)
    def on_close(self):
        print("closed", flush=True)
"""
    DOORS = [(dialect, transport) for dialect, transports in {
        "EIO4": ["websocket", "xhr-polling", "jsonp-polling", "upgrade"],
        "EIO3": ["websocket", "xhr-polling", "jsonp-polling", "upgrade"],
        "0.9": ["websocket", "xhr-polling", "jsonp-polling", "htmlfile"],
        "0.6": ["websocket", "xhr-polling", "jsonp-polling", "htmlfile", "xhr-multipart"],
    }.items() for transport in transports]  # fmt: skip

    async def end_while_it_talks(self, size, doors):
        await self.serve(self.BUSY % size)
        clients = [await self.client(*door) for door in doors]
        for client in clients:
            await client.receive()
        printed = (await self.end()).splitlines()
        sent = {words[1]: words for words in map(str.split, printed) if words[0] == "SENT"}
        self.assertEqual(len(sent), len(printed), [line for line in printed if line not in sent])
        for client in clients:
            with self.subTest(client=(client.dialect.name, client.transport)):
                await within(client.disconnected.wait())
                got = 1
                while not client._packets.empty():
                    packet = client._packets.get_nowait()
                    if packet.type == EVENT:
                        got += 1
                        self.assertEqual(packet.data[1][0], got)
                self.assertEqual(sent[client.sid][2:], [str(got), "server", "shutting", "down"])

    @gen_test(timeout=30)
    async def test_a_reading_client_gets_all_that_was_sent_before_the_process_ends(self):
        await self.end_while_it_talks(10, self.DOORS)

    @gen_test(timeout=30)
    async def test_a_reading_client_gets_more_than_the_kernel_takes_before_the_process_ends(self):
        await self.end_while_it_talks(
            1_000_000, [("EIO4", "websocket"), ("EIO4", "xhr-polling"), ("0.6", "htmlfile")]
        )

    @gen_test(timeout=30)
    async def test_the_last_poll_but_one_brings_all_that_was_sent_before_the_process_ends(self):
        await self.serve(self.LARGE)
        wire = await self.wire()
        url = "/socket.io/?EIO=4&transport=polling"
        url += "&sid=" + json.loads((await wire.request("GET", url))[2][1:])["sid"]
        await wire.request("POST", url, b'40\x1e42["message","go on"]')
        self.program.terminate()
        self.assertEqual(await self.line(), b"closed\n")
        _, _, body = await wire.request("GET", url)
        self.assertRegex(body, rb'\A40{.*}\x1e42\["message","x{8000000}"\]\Z')
        self.assertEqual((await wire.request("GET", url))[2], b"1")
        await within(self.program.wait(), 20)

    @gen_test(timeout=30)
    async def test_the_last_poll_of_0_9_brings_all_that_was_sent_before_the_process_ends(self):
        await self.serve(self.LARGE)
        wire = await self.wire()
        url = (
            "/socket.io/1/xhr-polling/"
            + (await wire.request("GET", "/socket.io/1/"))[2].split(b":")[0].decode()
        )
        await wire.request("GET", url)
        await wire.request("POST", url, b"3:::go on")
        self.program.terminate()
        self.assertEqual(await self.line(), b"closed\n")
        _, _, body = await wire.request("GET", url)
        self.assertRegex(
            body.decode(), "\\A\ufffd8000004\ufffd3:::x{8000000}\ufffd7\ufffd7:::1\\+0\\Z"
        )
        await within(self.program.wait(), 20)


class SlowlorisTests(ServedTestCase):
    """A client that is slow with headers or a body, or keeps a connection for nothing, is cut off."""

    @gen_test(timeout=30)
    async def test_dripping_requests_are_cut_off(self):
        await self.serve("""
class Server(Server):
    IDLE_SECONDS, BODY_SECONDS = 0.3, 0.4
""")
        innocents = [
            await self.client("EIO4", transport) for transport in ("websocket", "xhr-polling")
        ]
        client = await self.client("EIO4", "xhr-polling")
        await client.close()
        path = client._url()
        whole = [b"", f"GET {path} HTTP/1.1\r\nHost: a\r\nX: ".encode() + b"x" * 60_000,
                 f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n".encode() + b"x" * 60_000,
                 f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                 + b"1\r\nx\r\n" * 10_000,
                 f"GET {path}x HTTP/1.1\r\nHost: a\r\n\r\n".encode()]  # fmt: skip
        slow = [asyncio.ensure_future(self.drip(await self.wire(), data)) for data in whole]
        for number in range(10):
            for innocent in innocents:
                await innocent.send(number)
                self.assertEqual(await innocent.receive(2), ("message", number))
            await asyncio.sleep(0.05)
        await within(asyncio.gather(*slow), 10)

    async def drip(self, wire, data):
        """Send *data* slowly, until the server ends it."""
        end = asyncio.ensure_future(wire.reader.read(-1))
        for at in range(0, len(data), 10):
            if end.done():
                break
            wire.writer.write(data[at : at + 10])
            await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionError):
            await within(end, 10)


class RestartTests(ServedTestCase):
    """All clients come back at once after a restart."""

    @gen_test(timeout=60)
    async def test_two_hundred_clients_come_back_at_once_after_a_restart(self):
        await self.serve()
        doors = list(itertools.islice(itertools.cycle(EndOfProcessTests.DOORS), 200))
        clients = await within(asyncio.gather(*[self.client(*door) for door in doors]), 20)
        self.program.kill()
        await within(self.program.communicate())
        for client in clients:
            await within(client.disconnected.wait())
            await client.close()
        await self.serve()
        self.clients = await within(asyncio.gather(*[self.client(*door) for door in doors]), 20)
        for client in self.clients:
            await client.send("back")
            self.assertEqual(await client.receive(), ("message", "back"))


class WorkerTests(ServedTestCase):
    """Several workers serve one port. Their parent starts them, starts them again, and ends with them."""

    PROGRAM = """
import asyncio, logging, os, sys, time, tornado.web, socket_io
class Chat(socket_io.SocketIOHandler):
    def on_open(self): self.send(os.getpid())
    def on_message(self, message): exec(message)
    def on_close(self): print(f"CLOSED {self.close_reason}", flush=True)
class Server(socket_io.SocketIOServer): ...
options = {"workers": 2}
settings = {}
%s
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
logging.getLogger("socket_io").addFilter(lambda record: not record.msg.startswith("session "))
application = tornado.web.Application([Chat.routes("socket.io")], enabled_protocols=%r, **settings)
Server(application, port=int(sys.argv[1]), **options)
print("ENDED", flush=True)
"""

    async def serve(self, more="", listening=2):
        """Start the program with *more* in it; returns when so many workers are *listening*."""
        self.printed = []
        program = self.PROGRAM % (more, self.TRANSPORTS)
        await self.launch(sys.executable, "-c", program, str(self.port))
        for _ in range(listening):
            await self.printed_line("is listening on")

    async def printed_line(self, words):
        """Read what the program prints, up to a line with *words* in it; return that line."""
        while words not in (line := (await self.line()).decode()):
            self.assertTrue(line, (words, self.printed))
            self.printed.append(line)
        return line

    def children(self):
        """Count the child processes of the program, dead ones that are not buried included."""
        path = f"/proc/{self.program.pid}/task/{self.program.pid}/children"
        return len(pathlib.Path(path).read_text().split())

    async def client_and_pid(self):
        client = await self.client()
        return client, (await client.receive())[1]

    async def clients_of_both(self):
        """Connect clients until each of the two workers has one; return them by the worker's pid."""
        clients = {}
        while len(clients) < 2:
            client, pid = await self.client_and_pid()
            clients[pid] = client
        return clients

    @gen_test(timeout=30)
    async def test_sigterm_ends_all_workers_with_a_goodbye_and_the_program_with_0(self):
        await self.serve()
        clients = await self.clients_of_both()
        printed = await self.end()
        for client in clients.values():
            await within(client.disconnected.wait())
        self.assertEqual(printed.count("CLOSED server shutting down"), len(self.clients), printed)
        self.assertTrue(printed.endswith("ENDED\n"), printed)
        self.assertEqual(printed.count("ENDED"), 1)
        self.assertNotIn("ERROR", printed)
        self.assertEqual(self.program.returncode, 0)

    @gen_test(timeout=30)
    async def test_ctrl_c_which_a_terminal_sends_to_all_processes_is_one_goodbye(self):
        await self.serve()
        clients = await self.clients_of_both()
        for pid in [*clients, self.program.pid]:
            os.kill(pid, signal.SIGINT)
        printed, _ = await within(self.program.communicate(), 20)
        self.assertEqual(printed.count(b"CLOSED server shutting down"), len(self.clients), printed)
        self.assertNotIn(b"ERROR", printed)
        self.assertEqual(self.program.returncode, 0)

    @gen_test(timeout=30)
    async def test_a_second_signal_ends_workers_that_are_slow_to_say_goodbye(self):
        await self.serve()
        wire = await self.wire()
        await wire.request("GET", "/socket.io/?EIO=4&transport=polling")
        self.program.terminate()
        await self.printed_line("say goodbye")  # this client polls for its goodbye no more
        printed = await self.end()
        self.assertIn("they are killed", printed)
        self.assertEqual(self.program.returncode, 128 + signal.SIGTERM)

    @gen_test(timeout=30)
    async def test_a_worker_that_dies_is_started_again_and_takes_no_other_workers_clients_with_it(
        self,
    ):
        await self.serve()
        clients = await self.clients_of_both()
        (killed, of_killed), (_, innocent) = clients.items()
        for order, why in [
            ("os.kill(os.getpid(), 9)", "signal SIGKILL"),
            ("os._exit(3)", "exit code 3"),
            ("sys.exit(4)", "exit code 4"),
        ]:
            await of_killed.send(order)
            line = await self.printed_line(" died (")
            self.assertRegex(line, rf"worker \d \(pid {killed}\) died \({why}\)")
            await within(of_killed.disconnected.wait())
            await innocent.send("self.send('well')")
            self.assertEqual(await innocent.receive(2), ("message", "well"))
            line = await self.printed_line("is listening on")
            killed = int(re.findall(r"\(pid (\d+)\)", line)[0])
            while (found := await self.client_and_pid())[1] != killed:
                pass
            of_killed = found[0]
        await self.end()
        self.assertEqual(self.program.returncode, 0)

    @gen_test(timeout=30)
    async def test_a_worker_that_dies_at_its_start_again_and_again_is_started_ever_more_seldom(
        self,
    ):
        await self.serve("""
class Server(Server):
    def add_sockets(self, sockets):
        if self.worker == 1: raise ValueError("not today")
        super().add_sockets(sockets)
socket_io.Foreman.PAUSES = (0.01, 0.02, 0.3)
""", listening=0)  # fmt: skip
        lines = [await self.printed_line(" died (") for _ in range(6)]
        begun = time.monotonic()
        await self.printed_line(" died (")
        self.assertGreater(time.monotonic() - begun, 0.25)
        self.assertTrue(lines[0].endswith("died (exit code 1); it starts again in 0.01 s\n"))
        self.assertIn("2 times in a row soon after its start; it starts again in 0.02 s", lines[1])
        self.assertIn("6 times in a row soon after its start; it starts again in 0.3 s", lines[5])
        self.assertIn("ValueError: not today\n", self.printed)
        await self.client_and_pid()
        await self.end()
        self.assertEqual(self.program.returncode, 0)

    @gen_test(timeout=30)
    async def test_a_program_of_which_no_worker_can_start_ends_with_1(self):
        await self.serve("""
class Server(Server):
    def add_sockets(self, sockets): raise ValueError("never")
socket_io.Foreman.PAUSES = (0.01,)
""", listening=0)  # fmt: skip
        printed, _ = await within(self.program.communicate(), 20)
        self.assertIn(b"giving up", printed)
        self.assertNotIn(b"ENDED", printed)
        self.assertEqual(self.program.returncode, 1)

    @gen_test(timeout=30)
    async def test_sighup_replaces_one_worker_after_the_other_while_another_serves(self):
        await self.serve()
        before = await self.clients_of_both()
        self.program.send_signal(signal.SIGHUP)
        served = 0
        while not all(client.disconnected.is_set() for client in before.values()):
            wire = await self.wire()
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                status, _ = await wire.upgrade("/socket.io/?EIO=4&transport=websocket")
                served += status == 101
        self.assertGreater(served, 0)
        for _ in range(2):
            self.assertIn("has ended: exit code 0", await self.printed_line(" has "))
            await self.printed_line("is listening on")
        after = await self.clients_of_both()
        self.assertFalse(before.keys() & after.keys())
        self.assertNotIn("ERROR", await self.end())

    @gen_test(timeout=30)
    async def test_workers_whose_parent_has_died_say_goodbye_and_end(self):
        await self.serve()
        clients = await self.clients_of_both()
        self.program.kill()
        printed, _ = await within(self.program.communicate(), 20)  # until no process has the pipe
        for client in clients.values():
            await within(client.disconnected.wait())
        self.assertEqual(printed.count(b"CLOSED server shutting down"), len(self.clients), printed)
        self.assertEqual(printed.count(b"because its parent process has died"), 2)

    @gen_test(timeout=30)
    async def test_the_first_process_of_a_container_leaves_no_orphan_unburied(self):
        # The number 1 belongs to somebody else here, but the system gives orphans to a "subreaper" as well.
        await self.serve("""
import ctypes
parent, getpid = os.getpid(), os.getpid
os.getpid = lambda: 1 if getpid() == parent else getpid()
ctypes.CDLL(None).prctl(36, 1)
""")
        client, _ = await self.client_and_pid()
        child = "os.close(write); os.fork() or (os.read(read, 1), os._exit(0)); os._exit(0)"
        await client.send(f"read, write = os.pipe()\nif not os.fork(): {child}\nos.wait(); os.close(write)"
                          "\nself.send('orphaned')")  # fmt: skip
        self.assertEqual(await client.receive(), ("message", "orphaned"))
        while self.children() > 2:
            await asyncio.sleep(0.01)
        await self.end()
        self.assertEqual(self.program.returncode, 0)

    @gen_test(timeout=30)
    async def test_the_workers_share_a_unix_socket_and_the_port_of_the_flash_policy(self):
        with tempfile.TemporaryDirectory() as folder:
            path, policy_port = f"{folder}/server", unused_port()
            await self.serve(
                f"options['unix_socket'] = {path!r}\nsettings['flash_policy_port'] = {policy_port}"
            )
            for _ in range(3):
                wire = Wire(*await asyncio.open_unix_connection(path))
                status, _ = await wire.upgrade("/socket.io/?EIO=4&transport=websocket")
                self.assertEqual(status, 101)
                wire.close()
                flash = await Wire.open(policy_port)
                flash.writer.write(b"<policy-file-request/>\0")
                self.assertTrue((await flash.end()).endswith(b"</cross-domain-policy>\n\0"))
                flash.close()
            self.assertNotIn("ERROR", await self.end())


# ---- Workers that hand connections over ----------------------------------------------


def count_descriptors():
    """The number of open file descriptors, where the system tells; else 0."""
    with contextlib.suppress(FileNotFoundError):
        return len(os.listdir("/proc/self/fd"))
    return 0


class NomadWire(Wire):
    """A wire that begins each HTTP request on a new connection, to the next worker."""

    @classmethod
    async def of(cls, client):
        wire = cls(*await asyncio.open_connection("127.0.0.1", client.port))
        wire.client, wire.fresh = client, True
        return wire

    async def request(self, *args, **headers):
        if not self.fresh:
            self.writer.close()
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.client.port, limit=64 * 1024 * 1024
            )
        self.fresh = False
        return await super().request(*args, **headers)


class Nomad(Attacker):
    """A client each of whose requests comes to another worker."""

    ports: Any  # an iterator without end

    @property
    def port(self):
        return next(self.ports)

    @port.setter
    def port(self, ports):
        self.ports = ports

    async def _shake_hands(self):
        if self.transport in POLLING:
            for wire in self.wires:
                wire.close()
            self._wire, self._post_wire = await NomadWire.of(self), await NomadWire.of(self)
        await super()._shake_hands()

    async def post(self, body, **headers):
        async with self._posting:
            status, _, _ = await self._post_wire.request("POST", self._url("send"), body, **headers)
        return status


class WorkersTestCase(RecorderTestCase):
    """Serves one handler with three workers that share a folder. `self.ports` has the port of each."""

    server_options: dict[str, Any] = {}
    server = None  # the class of the servers, if it is another

    def get_app(self):
        self.applications = [super().get_app()]
        for _ in range(2):
            rules = [self.handler.routes("socket.io", namespaces=self.namespaces)]
            self.applications.append(tornado.web.Application(rules, **self.settings))
        for application in self.applications:
            application.add_handlers(".*", [("/page", Page)])
        return self.applications[0]

    def get_http_server(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.servers = [
            (self.server or LaneServer)(
                application, auto_start=False, workers_folder=self.folder, **self.server_options
            )
            for application in self.applications
        ]
        return self.servers[0]

    def setUp(self):
        super().setUp()
        self.ports = [self.get_http_port()]
        for server in self.servers[1:]:
            sock, port = tornado.testing.bind_unused_port()
            server.add_sockets([sock])
            self.ports.append(port)
        self.io_loop.run_sync(lambda: self.until(self.all_know_each_other))
        self.moved = []
        hand_over = socket_io.Line.hand_over

        def noting(line, connection, early=b""):
            self.moved.append((line.crew.letter + line.letter, early))
            hand_over(line, connection, early)

        patch = mock.patch.object(socket_io.Line, "hand_over", noting)
        patch.start()
        self.addCleanup(patch.stop)

    def tearDown(self):
        for server in self.servers:
            self.io_loop.run_sync(server._leave_crew)
            server.stop()
            self.io_loop.run_sync(server.close_all_connections)
        super().tearDown()

    def all_know_each_other(self):
        return all(server.crew and len(server.crew.heard) == 2 for server in self.servers)

    async def until(self, condition):
        for _ in range(500):
            if condition():
                return
            await asyncio.sleep(0.002)
        self.fail("it did not come about")

    async def to(self, worker):
        """A wire to one worker."""
        wire = await Wire.open(self.ports[worker])
        self._clients.append(wire)
        return wire

    async def nomad(self, dialect, transport, first=0):
        ports = itertools.islice(itertools.cycle(self.ports), first, None)
        client = Nomad(ports, dialect, transport)
        self._clients.append(client)
        return await client.connect()

    def hub(self, worker):
        return next(iter(socket_io.application_hubs[self.applications[worker]]))

    async def joined(self, worker):
        """The URL of a session of one worker, which has joined "/"."""
        return await self.join_polling(await self.to(worker))

    async def post(self, wire, url, number, **headers):
        """Post a message, which must arrive."""
        body = b'42["message",%d]' % number
        status, _, body = await wire.request("POST", url, body, **headers)
        self.assertEqual((status, body), (200, b"ok"))
        await self.noted("message", number)


class HandOverTests(WorkersTestCase):
    """A request finds its session, whichever worker it comes to; its connection stays there."""

    @gen_test
    async def test_clients_of_every_generation_and_transport_are_served_whichever_worker_they_meet(
        self,
    ):
        self.handler.max_buffered_bytes = 50_000_000
        for number, (dialect, transport) in enumerate(EndOfProcessTests.DOORS):
            with self.subTest(dialect=dialect, transport=transport):
                client = await self.nomad(dialect, transport, number)
                handler = self.handler.handlers[-1]
                for text in ("é😀", "x" * 300_000, "last"):
                    handler.send(text)
                    self.assertEqual(await client.receive(), ("message", text))
                    await client.send(text)
                    await self.noted("message", text)
                if transport not in ("websocket", *(STREAMS if dialect == "0.6" else ())):
                    self.assertNotEqual(self.moved, [])
                self.moved.clear()
                handler.disconnect(close=True)
                await within(client.disconnected.wait())
                await self.assertClosedFor("server namespace disconnect")
        self.assertEqual([len(self.hub(worker).sessions) for worker in range(3)], [0, 0, 0])

    @gen_test
    async def test_a_sid_begins_with_the_letter_of_its_worker(self):
        for worker in range(3):
            url = await self.joined(worker)
            self.assertRegex(url, f"&sid={worker}[0-9A-Za-z_-]{{19}}$")

    @gen_test
    async def test_routes_that_are_added_while_the_workers_run_belong_to_the_crew(self):
        for application in self.applications:
            application.add_handlers(".*", [self.handler.routes("later")])
        polling = await self.to(1)
        for _ in range(2):  # the first is a RequestHandler's
            url = await self.join_polling(polling, path="/later/?EIO=4&transport=polling")
            self.assertIn("&sid=1", url)
            wire = await self.to(1)
            await self.post(wire, url, 1)
        for number in range(2):
            wire = await self.to(0)
            await self.post(wire, url, number)
        self.assertEqual([way for way, _ in self.moved], ["01"] * 2)
        numbers = {hub.number for hub in socket_io.application_hubs[self.applications[1]]}
        self.assertEqual(numbers, {0, 1})

    @gen_test
    async def test_a_request_moves_once_with_its_connection_untouched(self):
        url = await self.joined(1)
        for odd in ({}, {"X_A": "\x80"}):  # the second is Tornado's
            self.moved.clear()
            wire = await self.to(0)
            for number in range(3):
                await self.post(wire, url, number, **odd)
            self.assertEqual(self.moved, [("01", b"")])

    @gen_test
    async def test_sessions_of_every_worker_take_turns_on_one_connection(self):
        urls, wire = [await self.joined(worker) for worker in range(3)], await self.to(0)
        for number in range(9):
            await self.post(wire, urls[(number + 1) % 3], number)
        self.assertEqual([way for way, _ in self.moved], ["01", "12", "20"] * 3)

    @gen_test
    async def test_handshake_page_post_and_poll_of_several_workers_take_turns_on_one_connection(
        self,
    ):
        url, wire = await self.joined(2), await self.to(0)
        for number in range(2):
            self.assertEqual((await wire.request("GET", "/page"))[2], b"a page for 127.0.0.1")
            own = await self.join_polling(wire)
            await self.post(wire, url, number)
            await self.post(wire, own, number)

    @gen_test
    async def test_a_request_split_at_any_byte_finds_its_session(self):
        url = await self.joined(1)
        head = f"POST {url} HTTP/1.1\r\nHost: test.example\r\nContent-Length: 17\r\n\r\n"
        raw = head.encode() + b'42["message","x"]'
        for cut in range(1, len(raw)):
            wire = await self.to(0)
            wire.writer.write(raw[:cut])
            await asyncio.sleep(0.001)
            wire.writer.write(raw[cut:])
            self.assertEqual((await wire.answer())[2], b"ok", cut)
            await self.noted("message", "x")
            wire.close()
        self.assertEqual({way for way, _ in self.moved}, {"01"})

    @gen_test
    async def test_a_request_that_comes_byte_by_byte_finds_its_session(self):
        url, wire = await self.joined(1), await self.to(0)
        head = f"POST {url} HTTP/1.1\r\nHost: test.example\r\nContent-Length: 17\r\n\r\n"
        for byte in head.encode() + b'42["message","x"]':
            wire.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        self.assertEqual((await wire.answer())[2], b"ok")
        await self.noted("message", "x")

    @gen_test
    async def test_requests_sent_ahead_for_sessions_of_several_workers_are_answered_in_turn(self):
        urls, wire = [await self.joined(worker) for worker in range(3)], await self.to(0)
        for number in range(6):
            wire.send_request("POST", urls[number % 3], b'42["message",%d]' % number)
        wire.send_request("GET", "/page")
        for number in range(6):
            self.assertEqual((await wire.answer())[2], b"ok")
            await self.noted("message", number)
        self.assertEqual((await wire.answer())[2], b"a page for 127.0.0.1")

    @gen_test
    async def test_what_only_tornado_reads_finds_its_session_as_well(self):
        url, text = await self.joined(1), b'42["message",1]'
        chunks = b"7\r\n" + text[:7] + b"\r\n8\r\n" + text[7:] + b"\r\n0\r\n\r\n"
        head, odd = f"POST {url} HTTP/1.1\r\nHost: test.example\r\n", "X-Odd: a\r\n b"
        length = f"Content-Length: {len(text)}\r\n"
        for why, raw, body in (
            ("chunks", f"{head}Transfer-Encoding: chunked\r\n\r\n", chunks),
            ("a folded header", f"{head}{odd}\r\n{length}\r\n", text),
            ("a header twice", f"{head}X-A: é\r\nx-a: b\r\n{length}\r\n", text),
            ("HTTP/1.0", f"{head.replace('1.1', '1.0')}{length}\r\n", text),
            ("an absolute target", f"{head.replace('/', 'http://test.example/', 1)}{length}\r\n", text),
        ):  # fmt: skip
            with self.subTest(why):
                answers = []
                for worker in (1, 0):
                    wire = await self.to(worker)
                    wire.writer.write(raw.encode("latin-1") + body)
                    answers.append(await wire.answer())
                self.assertEqual(answers[0], answers[1])
                # Tornado serves no absolute targets, and not every version reads folded headers.
                self.assertIn(answers[0][0], (200, 400, 404))
                for status, _, _ in answers:
                    if status == 200:
                        await self.noted("message", 1)

    @gen_test
    async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_once(self):
        url, wire = await self.joined(1), await self.to(0)
        wire.send_request("POST", url, b"", Content_Length="15", Expect="100-continue")
        self.assertEqual((await wire.head())[0], 100)
        wire.writer.write(b'42["message",1]')
        self.assertEqual((await wire.answer())[2], b"ok")
        await self.noted("message", 1)

    @gen_test
    async def test_a_body_of_a_megabyte_comes_whole_in_one_piece_or_in_many(self):
        url, body = await self.joined(1), b'42["message","%b"]' % (b"x" * 900_000)
        for pieces in (1, 50):
            for odd in ({}, {"X_A": "\x80"}):  # the second is Tornado's
                wire = await self.to(0)
                size = len(body) // pieces + 1
                wire.send_request("POST", url, body[:size], Content_Length=str(len(body)), **odd)
                for start in range(size, len(body), size):
                    await asyncio.sleep(0.001)
                    wire.writer.write(body[start : start + size])
                self.assertEqual((await wire.answer())[2], b"ok")
                await self.noted("message", "x" * 900_000)
                wire.close()

    @gen_test
    async def test_frames_sent_along_with_an_upgrade_to_another_worker_are_read(self):
        for odd in ({}, {"X_A": "\x80"}):
            polling = await self.to(1)
            url = await self.join_polling(polling)
            polling.send_request("GET", url)
            wire = await self.to(0)
            upgrade = asyncio.ensure_future(
                wire.upgrade(url.replace("polling", "websocket"), **odd)
            )
            await asyncio.sleep(0)
            wire.send_frame("2probe")
            for _ in range(20):
                wire.send_frame("x" * 120, opcode=PONG_FRAME)
            self.assertEqual((await upgrade)[0], 101)
            self.assertEqual(await wire.text(), "3probe")
            self.assertEqual((await polling.answer())[2], b"6")
            wire.send_frame("5")
            wire.send_frame('42["message",1]')
            await self.noted("message", 1)

    @gen_test
    async def test_a_sid_that_no_worker_knows_is_told_in_the_words_of_its_generation(self):
        paths = {
            "/socket.io/?EIO=4&transport=polling&sid={}": b'{"code":1,"message":"Session ID unknown"}',
            "/socket.io/?EIO=3&transport=polling&sid={}": b'{"code":1,"message":"Session ID unknown"}',
            "/socket.io/?EIO=4&transport=websocket&sid={}": b"Session ID unknown",
        }
        old = ["/socket.io/1/xhr-polling/{}", "/socket.io/xhr-polling/{}/send/0", "/socket.io/1/websocket/{}",
               "/socket.io/1/jsonp-polling/{}?i=0", "/socket.io/jsonp-polling/{}/5/0"]  # fmt: skip
        for path in [*paths, *old]:
            alone = await self.ask(0, path.format("0" + "x" * 19))  # its own worker's answer
            self.assertIn(b"nknown" if path in paths else b"", alone[2])
            for letter, moves in (("1", 1), ("9", 0), ("-", 0)):
                with self.subTest(path=path, letter=letter):
                    self.moved.clear()
                    status, headers, body = await self.ask(0, path.format(letter + "x" * 19))
                    self.assertEqual((status, body), (alone[0], alone[2]))
                    self.assertEqual(len(self.moved), moves)
                    self.assertEqual(headers.get("connection") == "close", moves == 1)
                    if path in paths:
                        self.assertEqual((status, body), (400, paths[path]))

    async def ask(self, worker, path):
        """The answer to a GET, which may ask for an upgrade; its connection ends if it says so."""
        wire = await self.to(worker)
        if "websocket" in path:
            status, headers = await wire.upgrade(path)
            body = await wire.within(wire.reader.readexactly(int(headers["content-length"])))
        else:
            status, headers, body = await wire.request("GET", path)
        if headers.get("connection") == "close":
            self.assertEqual(await wire.end(), b"")
        wire.close()
        return status, headers, body

    @gen_test
    async def test_a_post_with_an_invented_sid_costs_one_move_and_its_connection(self):
        for size in (10, 90_000):
            wire = await self.to(0)
            self.moved.clear()
            status, _, body = await wire.request(
                "POST", f"{ENGINE_URL}&sid=1{'x' * 19}", b"4" * size
            )
            self.assertEqual((status, body), (400, b'{"code":1,"message":"Session ID unknown"}'))
            self.assertEqual(await wire.end(), b"")
            self.assertEqual([way for way, _ in self.moved], ["01"])

    @gen_test
    async def test_a_request_that_names_a_sid_and_is_no_session_s_is_answered_as_at_any_worker(
        self,
    ):
        url = await self.joined(1)
        sid = url[-20:]
        for path in (f"/page?EIO=4&sid={sid}", url.replace("/socket.io/", "/other/"), f"/page/websocket/{sid}",
                     url.replace("/socket.io/", "/socket.io/static/"), f"{url}&sid={sid}"):  # fmt: skip
            wires = [await self.to(worker) for worker in (0, 1)]
            answers = [await wire.request("GET", path) for wire in wires]
            self.assertEqual(answers[0][0], answers[1][0], path)
            self.assertEqual(answers[0][2], answers[1][2], path)

    @gen_test
    async def test_descriptors_do_not_leak(self):
        urls = [await self.joined(worker) for worker in range(3)]
        before = count_descriptors()
        for number in range(60):
            wire = await Wire.open(self.ports[0])
            for step in range(5):
                await self.post(wire, urls[(number + step) % 3], step)
            wire.close()
            await wire.writer.wait_closed()
        self.assertGreater(len(self.moved), 200)
        await self.until(lambda: count_descriptors() <= before)

    @gen_test
    async def test_a_client_that_is_gone_when_it_arrives_is_forgotten(self):
        url, taken = await self.joined(1), []
        take_handed = self.servers[1].crew.take

        def take_late(sock, early):
            taken.append((sock, early))

        self.servers[1].crew.take = take_late
        wire = await self.to(0)
        wire.send_request("POST", url, b"4")
        await self.until(lambda: taken)
        wire.reset()
        await asyncio.sleep(0.01)
        take_handed(*taken[0])
        await self.until(lambda: taken[0][0].fileno() < 0)
        self.assertEqual(self.hub(1).closing, False)


class WorkersTogetherTests(WorkersTestCase):
    """Several workers act as one server, without Redis."""

    @gen_test
    async def test_clients_of_every_generation_are_reached_from_every_worker(self):
        clients = {}
        for number, (dialect, transport) in enumerate(EndOfProcessTests.DOORS):
            client = await self.nomad(dialect, transport, number)
            clients[self.handler.handlers[-1].id] = client
        workers = [
            next(
                one
                for one in self.handler.handlers
                if one._member.namespace.hub is self.hub(number)
            )
            for number in range(3)
        ]
        self.assertEqual(await self.handler.io.server_count(), 3)
        everywhere = [*workers, self.handler]  # the class reaches each client once, too
        for number, place in enumerate(everywhere):
            place.io.emit("news", number)
            for client in clients.values():
                self.assertEqual(await client.receive(), self.as_event(client, number))
            found = await place.io.fetch_sockets()
            self.assertEqual({one.id for one in found}, clients.keys())

    def as_event(self, client, number):
        """What a client is told of the event "news": one of 0.6 gets a message."""
        if client.dialect.name == "0.6":
            return ("message", {"name": "news", "args": [number]})
        return ("news", number)


class HandOverEndTests(WorkersTestCase):
    """Workers that end, stand still, or say goodbye."""

    @gen_test
    async def test_the_clients_of_a_worker_that_has_gone_are_told_and_all_others_are_served(self):
        urls = [await self.joined(worker) for worker in range(3)]
        await self.servers[1]._leave_crew()
        await self.until(lambda: len(self.servers[0].crew.lines) == 1)
        wire = await self.to(0)
        status, _, body = await wire.request("POST", urls[1], b'42["message",1]')
        self.assertEqual((status, body), (400, b'{"code":1,"message":"Session ID unknown"}'))
        for number, worker in enumerate((2, 0, 2)):
            await self.post(wire, urls[worker], number)
        status, _, body = await wire.request("POST", urls[1], b'42["message",1]')
        self.assertEqual(status, 400)

    @gen_test
    async def test_connections_that_wait_for_a_worker_when_it_dies_are_answered(self):
        urls = [await self.joined(worker) for worker in range(2)]
        old = f"/socket.io/1/xhr-polling/{urls[1][-20:]}"
        self.freeze(1)
        self.fill(0, 1)
        wires = [await self.to(0) for _ in range(4)]
        for wire, path in zip(wires, (urls[1], urls[1], old, old), strict=True):
            wire.send_request("GET", path)
        line = self.servers[0].crew.lines["1"]
        await self.until(lambda: len(line.connections) == 4)
        await self.servers[1]._leave_crew()
        for wire, body in zip(wires, [b"Session ID unknown"] * 2 + [b"7::"] * 2, strict=True):
            _, headers, answer = await wire.answer()
            self.assertIn(body, answer)
            self.assertEqual(headers["connection"], "close")
            self.assertEqual(await wire.end(), b"")

    def freeze(self, worker):
        for reader in self.servers[worker].crew.readers:
            reader.crew.loop.remove_reader(reader.sock.fileno())

    def fill(self, sender, receiver):
        """Fill the socket between two workers, so that what follows waits."""
        line = self.servers[sender].crew.lines[str(receiver)]
        while not line.writing:
            line.send(99, b"x" * 100_000)
        return line

    @gen_test
    async def test_a_worker_that_stands_still_has_its_clients_refused_when_too_many_wait(self):
        urls = [await self.joined(worker) for worker in range(2)]
        self.freeze(1)
        line = self.fill(0, 1)
        with mock.patch.object(socket_io, "MAX_WAITING_CONNECTIONS", 2):
            waiting = [await self.to(0) for _ in range(2)]
            for number, wire in enumerate(waiting):
                wire.send_request("POST", urls[1], b'42["message",%d]' % number)
            await self.until(lambda: len(line.connections) == 2)
            wire = await self.to(0)
            status, _, body = await wire.request("POST", urls[1], b'42["message",9]')
            self.assertEqual((status, json.loads(body)["message"]), (503, "Server is overloaded"))
            await self.post(wire, urls[0], 5)  # the connection is still good
            for reader in self.servers[1].crew.readers:
                reader.crew.watch(reader.sock, reader._read)
            for number, other in enumerate(waiting):
                self.assertEqual((await other.answer())[2], b"ok")
                await self.noted("message", number)
            self.assertEqual(await self.post(wire, urls[1], 7), None)

    @gen_test
    async def test_a_goodbye_is_fetched_through_another_worker(self):
        url, wire = await self.joined(1), await self.to(0)
        old = await self.nomad("0.9", "xhr-polling", 1)
        closing = asyncio.ensure_future(self.servers[1].close())
        await self.until(lambda: self.hub(1).closing)
        self.assertIn(b"1", (await wire.request("GET", url))[2])
        await within(old.disconnected.wait())
        await within(closing)
        for _ in range(2):
            await self.assertClosedFor("server shutting down")
        await self.joined(2)

    @gen_test
    async def test_a_worker_that_comes_again_serves_new_clients_and_refuses_the_old(self):
        url = await self.joined(1)
        await self.servers[1]._leave_crew()
        await self.until(lambda: len(self.servers[0].crew.lines) == 1)
        application = tornado.web.Application([self.handler.routes("socket.io")])
        again = LaneServer(application, auto_start=False, workers_folder=self.folder)
        self.servers.append(again)
        await self.until(lambda: len(again.crew.heard) == 2)
        self.assertEqual(again.crew.letter, "1")
        wire = await self.to(0)
        status, headers, _ = await wire.request("POST", url, b"4")
        self.assertEqual((status, headers["connection"]), (400, "close"))


class WithoutLane(LaneServer):
    """A server whose requests are all read by Tornado's loop, because it overrides this method."""

    def start_request(self, *args):
        return super().start_request(*args)


class HandOverWithoutLaneTests(HandOverTests):
    """The same, where the head of a request was read before its connection moves."""

    server = WithoutLane
    test_a_request_moves_once_with_its_connection_untouched = None
    test_descriptors_do_not_leak = None


class HandOverOptionTests(WorkersTestCase):
    """Options that change how a request is read or which worker a sid names."""

    options: ClassVar = {"sid_prefix": "m-7"}
    server_options: ClassVar = {"xheaders": True, "decompress_request": True}

    @gen_test
    async def test_the_letter_stands_behind_the_prefix(self):
        url, wire = await self.joined(1), await self.to(0)
        self.assertRegex(url, "&sid=m-71[0-9A-Za-z_-]{16}$")
        await self.post(wire, url, 1)
        self.assertEqual([way for way, _ in self.moved], ["01"])
        status, headers, _ = await wire.request("POST", url.replace("m-7", "m-8"), b"4")
        self.assertEqual((status, headers.get("connection")), (400, None))

    @gen_test
    async def test_a_body_that_tornado_unpacks_is_packed_when_it_moves(self):
        url, wire = await self.joined(1), await self.to(0)
        body = gzip.compress(b'42["message",1]')
        self.assertEqual((await wire.request("POST", url, body, Content_Encoding="gzip"))[2], b"ok")
        await self.noted("message", 1)
        early = b"Content-Encoding: gzip\r\n"
        self.assertEqual(self.moved[0][1].count(early), int(self.server is not None))

    @gen_test
    async def test_the_address_of_the_client_is_that_of_the_proxy_s_headers(self):
        url, wire = await self.joined(1), await self.to(0)
        await self.post(wire, url, 1)
        status, _, body = await wire.request("GET", "/page", X_Real_Ip="198.51.100.7")
        self.assertEqual((status, body), (200, b"a page for 198.51.100.7"))


class HandOverOptionWithoutLaneTests(HandOverOptionTests):
    server = WithoutLane


class HandOverRefusalTests(unittest.TestCase):
    """What cannot work with workers is refused in a sentence, when the server is made."""

    def test_tls_of_our_own_is_refused(self):
        with self.assertRaisesRegex(ValueError, "let a proxy end TLS"):
            LaneServer(
                tornado.web.Application([]),
                auto_start=False,
                workers_folder="/nowhere",
                ssl_options={"certfile": "x"},
            )

    def test_a_prefix_is_short_and_of_the_characters_of_a_sid(self):
        for prefix, good in (
            ("", True),
            ("A", True),
            ("eu-1", True),
            ("eu-10", False),
            ("é", False),
            ("a b", False),
        ):
            with self.subTest(prefix=prefix):
                if good:
                    type("Chat", (SocketIOHandler,), {"sid_prefix": prefix}).routes("socket.io")
                else:
                    with self.assertRaisesRegex(ValueError, "Chat.sid_prefix must be 0 to 4"):
                        type("Chat", (SocketIOHandler,), {"sid_prefix": prefix})


# -- README.md and example_app.py ------------------------------------------------------


def readme_program():
    """Return the first program of the README, word for word."""
    readme = pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    return readme.split("```python\n")[1].split("```")[0]


class ReadmeProgramTests(ServedTestCase):
    """The first program of the README, saved as app.py beside socket_io.py, runs word for word."""

    RUN = """
import logging, runpy, sys, tornado.web
made = tornado.web.Application.__init__
def make(self, *args, **settings): made(self, *args, socket_io_port=int(sys.argv[1]), **settings)
tornado.web.Application.__init__ = make  # another test may have the port that the program says
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
runpy.run_path("app.py", run_name="__main__")
"""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        shutil.copy(socket_io.__file__, self.folder)
        (self.folder / "app.py").write_text(readme_program(), encoding="utf-8")

    @gen_test(timeout=30)
    async def test_the_readme_program_serves_its_page_with_the_script_and_clients_connect(self):
        await self.start(*(sys.executable, "-c", self.RUN, str(self.port)), cwd=self.folder)
        wire = await self.wire()
        status, headers, page = await wire.request("GET", "/")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=UTF-8"))
        (source,) = re.findall(r'<script src="([^"]+)">', page.decode())
        self.assertIn((await wire.request("GET", source))[0], (200, 302))
        ada, bob = await self.client(), await self.client("EIO3", "xhr-polling")
        heard = re.findall(r'socket\.on\("([^"]+)"', page.decode())
        (sent,) = re.findall(r'socket\.emit\("([^"]+)"', page.decode())
        self.assertEqual((await ada.receive())[0], heard[0])
        self.assertEqual(await ada.call(sent, "hello"), "sent")
        while (told := await bob.receive())[0] != heard[1]:
            pass
        self.assertEqual(told, (heard[1], ada.id, "hello"))
        self.assertNotIn("Traceback", await self.end())

    @gen_test(timeout=30)
    async def test_the_readme_program_can_be_imported_without_starting_a_server(self):
        ask = "import app; print(app.Chat.__name__, len(app.make_app().settings))"
        self.program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ask, stdout=asyncio.subprocess.PIPE, cwd=self.folder
        )
        printed, _ = await within(self.program.communicate(), 20)
        self.assertEqual(printed.split()[0], b"Chat")


class ReadmeTests(SocketIOTestCase):
    """The README's first program passes the test that the README shows."""

    def get_app(self):
        names: dict[str, Any] = {"__name__": "app"}
        exec(readme_program(), names)
        self.handler = names["Chat"]
        return names["make_app"]()

    @gen_test
    async def test_people_talk_in_the_chat_of_the_readme(self):
        ada, bob = await self.client(), await self.client("0.9", "xhr-polling")
        self.assertEqual((await ada.receive())[0], "joined")
        self.assertEqual(await ada.call("chat message", "hello"), "sent")
        self.assertEqual((await bob.receive())[0::2], ("chat message", "hello"))


class ReadmeMetricsTests(RecorderTestCase):
    """The README's handler for Prometheus writes lines that Prometheus reads."""

    def get_app(self):
        app = super().get_app()
        text = pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8")
        (block,) = re.findall(r"```python\n(class Metrics.*?)```", text, re.DOTALL)
        names: dict[str, Any] = {"Chat": self.handler, "RequestHandler": tornado.web.RequestHandler}
        exec(block, names)
        app.add_handlers(".*", [("/metrics", names["Metrics"])])
        return app

    @gen_test
    async def test_the_metrics_count_the_clients(self):
        for dialect, transport in (
            ("EIO4", "websocket"),
            ("0.9", "xhr-polling"),
            ("EIO4", "websocket"),
        ):
            await self.client(dialect, transport)
        _, headers, body = await (await self.wire()).request("GET", "/metrics")
        self.assertEqual(headers["content-type"], "text/plain; version=0.0.4")
        lines = body.decode().splitlines()
        for line in lines:
            self.assertRegex(
                line, r'^[a-z_]+(\{[a-z]+="[^"\\]+"(,[a-z]+="[^"\\]+")*\})? [0-9.e-]+$'
            )
        self.assertIn('socketio_clients{dialect="EIO4",transport="websocket"} 2', lines)
        self.assertIn('socketio_clients{dialect="0.9",transport="xhr-polling"} 1', lines)
        self.assertTrue(any(line.startswith("socketio_messages_sent ") for line in lines))


class ExampleTests(SocketIOTestCase):
    """People come in, talk and write privately in the example app."""

    def get_app(self):
        import example_app

        self.handler = example_app.ChatHandler
        return example_app.make_app()

    @gen_test
    async def test_two_people_talk_in_the_example_app(self):
        ada = await self.client(auth={"name": "Ada", "room": "tea"})
        bob = await self.client("EIO3", query="&name=Bob&room=tea")
        people = [event async for event in self.heard(ada, 2) if event[0] == "people"][-1]
        self.assertEqual({person["name"] for person in people[1]}, {"Ada", "Bob"})
        self.assertEqual(await ada.call("say", "hello"), {"ok": True})
        said = [event async for event in self.heard(bob, 2) if event[0] == "say"]
        self.assertEqual(said[0][1]["text"], "hello")
        self.assertEqual(await ada.call("say", 5), {"error": "there is no text"})

    @gen_test
    async def test_people_of_the_example_app_are_listed_by_version_and_present_transport(self):
        doors = [("0.6", "websocket", "0.6"), ("0.9", "xhr-polling", "0.9")]
        doors += [("EIO3", "xhr-polling", "2"), ("EIO4", "websocket", "4")]
        for dialect, transport, _ in doors:
            client = await self.client(dialect, transport)
        name, people = await client.receive()
        while len(people) < len(doors):
            name, people = await client.receive()
        self.assertEqual(name, "people")
        self.assertEqual(
            {(person["client"], person["transport"]) for person in people},
            {(f"socket.io {version}", transport) for _, transport, version in doors},
        )

    @gen_test
    async def test_a_private_message_in_the_example_app_reaches_one_person_and_is_confirmed(self):
        ada, bob = await self.client(auth={"name": "Ada"}), await self.client(auth={"name": "Bob"})
        eve = await self.client(auth={"name": "Eve"})
        await self.client("0.6")
        asking = asyncio.ensure_future(ada.call("private", bob.id, "psst"))
        name, told = await bob.answer()
        self.assertEqual((name, told["name"], told["text"]), ("private", "Ada", "psst"))
        self.assertEqual(await asking, {"ok": True, "note": "delivered"})
        people = [event async for event in self.heard(ada, 1) if event[0] == "people"][-1][1]
        (old_id,) = [person["id"] for person in people if person["client"] == "socket.io 0.6"]
        answer = await ada.call("private", old_id, "psst")
        self.assertEqual(answer["note"], "sent; socket.io 0.6 cannot confirm it")
        for nobody in ("nobody", [old_id], {}, None):
            answer = await ada.call("private", nobody, "psst")
            self.assertEqual(answer, {"error": "they have left"})
        heard = [event[0] async for event in self.heard(eve, 1)]
        self.assertNotIn("private", heard)

    async def heard(self, client, least):
        """What a client has been told, *least* events and what else is there."""
        for _ in range(least):
            yield await client.receive()
        while not client._packets.empty():
            yield await client.receive()


class ExamplePictureTests(SocketIOTestCase):
    """Clients of four generations draw one picture in the example app."""

    def get_app(self):
        import example_app

        self.handler = example_app.DrawingHandler
        self.handler.lines.clear()
        return example_app.make_generations_app()

    @gen_test
    async def test_every_generation_sees_what_the_others_draw(self):
        doors = [("0.6", "xhr-polling"), ("0.9", "jsonp-polling"), ("EIO3", "xhr-polling")]
        pens = [await self.client(*door) for door in [*doors, ("EIO4", "websocket")]]
        for pen in pens:
            self.assertEqual(await self.heard_by(pen), ("picture", []))
        for ink, pen in enumerate(pens):
            await pen.emit("draw", ink, 0, 10, 20, 1000)
            for other in pens:
                if other is not pen:
                    self.assertEqual(await self.heard_by(other), ("draw", ink, 0, 10, 20, 1000))
        for pen in pens:
            await pen.emit("transport")
            self.assertEqual(await self.heard_by(pen), ("transport", pen.transport))
        late = await self.client()
        lines = [[ink, 0, 10, 20, 1000] for ink in range(4)]
        self.assertEqual(await self.heard_by(late), ("picture", lines))
        await late.emit("wipe")
        for pen in [*pens, late]:
            self.assertEqual(await self.heard_by(pen), ("picture", []))

    async def heard_by(self, client):
        """Return the next event; to a 0.6 client it comes as a message."""
        name, *args = await client.receive()
        return (args[0]["name"], *args[0]["args"]) if name == "message" else (name, *args)

    @gen_test
    async def test_what_is_no_line_is_drawn_for_nobody(self):
        pen, other = await self.client(), await self.client("0.6")
        self.assertEqual(await self.heard_by(other), ("picture", []))
        for line in ([], [1, 2, 3, 4], [0, -1, 0, 0, 0], [0, 1001, 0, 0, 0], [0, 0.5, "0", 0, 0]):
            await pen.emit("draw", *line)
        await pen.emit("draw", 3, 1, 2, 3, 4)
        self.assertEqual(await self.heard_by(other), ("draw", 3, 1, 2, 3, 4))

    @gen_test
    async def test_the_page_has_a_pane_and_a_script_for_each_generation(self):
        wire = await self.wire()
        status, _, page = await wire.request("GET", "/")
        panes = re.findall(r'src="(/pane\?version=([^&]+)&[^"]+)"', page.decode())
        self.assertEqual((status, len(panes)), (200, 4))
        for pane, version in panes:
            self.assertEqual((await wire.request("GET", pane.replace("&amp;", "&")))[0], 200)
            status, headers, _ = await wire.request("GET", f"/client/{version}.js")
            cdn, package = headers["location"].split("@")
            self.assertEqual((status, cdn[:28]), (302, "https://cdn.jsdelivr.net/npm"))
            self.assertTrue(package.startswith(version), package)


def unused_port() -> int:
    """Return a port that nobody listens on, and that the kernel gives to nobody meanwhile.

    Suites may run side by side: each process takes its ports from a hundred of its own, below
    those that the kernel hands out for port 0 and for outgoing connections.
    """
    for _ in range(100):
        port = 20_000 + os.getpid() % 120 * 100 + next(PORTS) % 100
        with socket.socket() as candidate, contextlib.suppress(OSError):
            candidate.bind(("", port))
            return port
    raise OSError("no port is free")


PORTS = itertools.count()


if __name__ == "__main__":
    unittest.main()
