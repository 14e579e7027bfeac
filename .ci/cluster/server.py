"""Run a Python server for check.py, and obey its lines.

    server.py ours|python-socketio|none '{"url": "redis://..", "options": {..}}'

"ours" serves socket_io.py with the option `cluster`; further options are those of SocketIOHandler. "none" serves
nothing: code there uses `Emitter` and `socketio`, as a task would.

Each line of the input is {"id", "code", "args"}: the body of an async function, in whose scope are `args`, `heard` (a
list for what listeners hear), `url` and `keep` (a namespace for what later lines need), and `Chat` or `sio`. Each is
answered by a line {"id", "value"} or {"id", "error"}. The first line of the output is {"port"}. Bytes are {"$bytes":
base64}. The process ends with its input.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import logging
import os
import re
import sys
import textwrap
import traceback
import types
from pathlib import Path
from typing import Any

import socketio
import tornado.httpserver
import tornado.netutil
import tornado.web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import socket_io
from socket_io import SocketIOHandler, event


class Chat(SocketIOHandler):
    """Handler with the same events as the node servers have."""

    @event
    def whoami(self):
        return self.id

    @event
    def enter(self, rooms):
        self.join(*rooms)

    @event
    def remember(self, data):
        self.data.update(data)

    @event
    def echo(self, *args):
        return args if len(args) > 1 else args[0]


def serve_ours(url: str, options: dict[str, Any]) -> tornado.web.Application:
    Chat.cluster = url
    for name, value in options.items():
        setattr(Chat, name, value)
    namespaces = {re.compile("/(case|many)-.*"): Chat}
    return tornado.web.Application([Chat.routes("socket.io", namespaces=namespaces)])


def serve_python_socketio(url: str, options: dict[str, Any]) -> tornado.web.Application:
    manager = socketio.AsyncRedisManager(url, **options)
    sio = socketio.AsyncServer(async_mode="tornado", client_manager=manager, namespaces="*")

    async def enter(namespace, sid, rooms):
        for room in rooms:
            await sio.enter_room(sid, room, namespace=namespace)

    sio.on("whoami", lambda namespace, sid: sid, namespace="*")
    sio.on("enter", enter, namespace="*")
    sio.on("echo", lambda namespace, sid, *args: args, namespace="*")
    SCOPE["sio"] = sio
    return tornado.web.Application([("/socket.io/", socketio.get_tornado_handler(sio))])


# -- Lines -----------------------------------------------------------------------------


def at(scope: dict[str, Any]) -> Any:
    """Choose whom something is for, as the verbs of peers.py say it."""
    chosen: Any = Chat.io
    if scope.get("namespace", "/") != "/":
        chosen = chosen.of(scope["namespace"])
    if scope.get("rooms"):
        chosen = chosen.to(scope["rooms"])
    if scope.get("except"):
        chosen = chosen.except_(scope["except"])
    if scope.get("volatile"):
        chosen = chosen.volatile
    return chosen.local if scope.get("local") else chosen


SCOPE: dict[str, Any] = {
    "Chat": Chat,
    "Emitter": getattr(socket_io, "Emitter", None),
    "at": at,
    "asyncio": asyncio,
    "heard": [],
    "keep": types.SimpleNamespace(),
    "os": os,
    "socket_io": socket_io,
    "socketio": socketio,
}


def plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
                if not field.name.startswith("_")}  # fmt: skip
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def revive(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


async def obey(line: bytes) -> None:
    order = json.loads(line, object_hook=revive)
    try:
        made: dict[str, Any] = {}
        body = textwrap.indent(textwrap.dedent(order["code"]), "    ")
        exec(f"async def run(args):\n{body}", SCOPE, made)
        answer = {"value": plain(await made["run"](order["args"]))}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps({"id": order["id"], **answer}), flush=True)


async def main() -> None:
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s")
    SCOPE["url"], options = settings["url"], settings.get("options", {})
    port = 0
    if kind != "none":
        serve = {"ours": serve_ours, "python-socketio": serve_python_socketio}[kind]
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server = tornado.httpserver.HTTPServer(serve(SCOPE["url"], options))
        server.add_sockets(sockets)
        port = sockets[0].getsockname()[1]
        if kind == "ours":
            await Chat.io.start()
    print(json.dumps({"port": port}), flush=True)
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    orders = set()
    while line := await reader.readline():
        order = asyncio.ensure_future(obey(line))
        orders.add(order)
        order.add_done_callback(orders.discard)
    os._exit(0)


asyncio.run(main())
