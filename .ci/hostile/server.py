"""Run the server that the scripts of this folder attack, load and measure.

    server.py [OPTION=SECONDS_OR_NUMBER ...]

The server takes a free port, or PORT from the environment, and prints "READY <port>". Options are those of
SocketIOHandler, idle_seconds and body_seconds for the SocketIOServer, and return_seconds (see `return_soon`). The
server tells about itself at /state, and obeys /stall?seconds=..&count=.. and /broadcast?bytes=..&count=... It ends when
its standard input does.
"""

from __future__ import annotations

import asyncio
import collections
import ctypes
import gc
import json
import logging
import os
import sys
import time
from pathlib import Path

import tornado.netutil
import tornado.web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import socket_io
from socket_io import AckTimeout, Disconnected, SocketIOError, SocketIOHandler, event

PAGE = os.sysconf("SC_PAGE_SIZE")


class Stage(SocketIOHandler):
    """Handler that uses everything that a handler can do, and never raises: an error in the log is the server's own."""

    def on_message(self, message):
        return self.say("message", message)

    def on_event(self, name, *args):
        return self.say(name, *args)

    def say(self, name, *args):
        try:
            self.emit(name, *args)
            return args[0] if args else None
        # JSON that is nested too deep can come in but not go out, and 0.x clients take no bytes.
        except (RecursionError, SocketIOError, ValueError):
            return None

    @event
    def ask(self, *args):
        try:
            socket_io.encode_json(args)
        except (RecursionError, TypeError, ValueError):
            return "cannot be JSON"
        return args

    @event
    async def slow(self, *args):
        await asyncio.sleep(0)
        return "slept"

    @event
    async def question(self, *args):
        try:
            return await self.call("question", "?", timeout=0.05)
        except (AckTimeout, SocketIOError):
            return "no answer"

    @event
    def enter(self, *rooms):
        try:
            self.join(*[room for room in rooms if isinstance(room, str)])
        except (SocketIOError, Disconnected):
            return "too many"

    @event
    def exit(self, *rooms):
        self.leave(*[room for room in rooms if isinstance(room, str)])

    @event
    def shout(self, room="lobby", text="hello", *args):
        if isinstance(room, str) and isinstance(text, str):
            self.to(room).volatile.emit("shouted", text)

    @event
    def picture(self, *args):
        if self.session.dialect.name.startswith("EIO"):
            self.emit("picture", b"\x00\xff" * 20, {"deep": b""})

    @event
    def flood(self, count=1, size=1000, *args):
        """Answer with more than was asked: *count* events of *size* characters."""
        if type(count) is int and type(size) is int and 0 <= count <= 1000 and 0 <= size <= 100_000:
            text = "x" * size
            for _ in range(count):
                self.emit("flood", text)

    @event
    def drop(self, *args):
        self.close()

    @event
    def kick(self, *args):
        self.disconnect()


RETURN_SECONDS = 60.0


def return_soon(seconds: float) -> None:
    """Shorten the minute that a polling 0.9 client may stay away, which is too long for some scripts."""
    socket_io.DIALECTS["0.9"].poll_return = seconds


class Refused(Stage):
    def on_open(self, *args, **kwargs):
        return False


class Slow(Stage):
    async def on_open(self, *args, **kwargs):
        await asyncio.sleep(0)


class Server(socket_io.SocketIOServer):
    """SocketIOServer for many clients at once, which may take any free port."""

    def _bind(self, *place):
        port = self.application.settings["socket_io_port"]
        bound = tornado.netutil.bind_sockets(port, "127.0.0.1", backlog=4096)
        self.port = bound[0].getsockname()[1]
        return [socket_io.Listener(sock) for sock in bound]


NAMESPACES = {"/admin": type("Admin", (Stage,), {}), "/refused": Refused, "/slow": Slow}


def application(handler):
    routes = handler.routes("socket.io", namespaces=NAMESPACES)
    return tornado.web.Application([routes], socket_io_port=0)


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * PAGE


def peak_bytes() -> int:
    """Return the largest resident size since `forget_peak`."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as clear_refs:
        clear_refs.write("5")


def give_back() -> None:
    """Give free memory back to the system, so that what is still resident is in use."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        pass


def tables(hub) -> collections.Counter[str]:
    """Count the entries in every table of a hub, and of the objects that it holds, by class and attribute.

    No table is asked for by name, so that new tables are found. Dialects are left out: each keeps its few variants.
    """
    found: collections.Counter[str] = collections.Counter()
    held = [item for value in vars(hub).values() for item in (*entries(value), value)]
    ours = [item for item in held if type(item).__module__ == socket_io.__name__]
    for thing in [hub, *[item for item in ours if not isinstance(item, socket_io.Dialect)]]:
        for name in {*getattr(thing, "__dict__", ()), *getattr(thing, "__slots__", ())}:
            value = getattr(thing, name, None)
            if isinstance(value, (dict, set, list, collections.deque)) and value:
                found[f"{type(thing).__name__}.{name}"] += len(value)
    return found


def entries(table) -> list[object]:
    if isinstance(table, dict):
        return list(table.values())
    return list(table) if isinstance(table, (set, list, collections.deque)) else []


class About(tornado.web.RequestHandler):
    def initialize(self, hub):
        self.hub = hub


class State(About):
    """/state[?collect=1]: the memory, and the size of every table from which a client could fail to be removed."""

    def get(self):
        if self.get_query_argument("collect", ""):
            give_back()
            forget_peak()
        hub = self.hub
        self.finish(
            {
                "resident": resident_bytes(),
                "peak": peak_bytes(),
                "blocks": sys.getallocatedblocks(),
                "sessions": len(hub.sessions),
                "connections": len(hub.connections),
                "tables": tables(hub),
                "descriptors": len(os.listdir("/proc/self/fd")),
                "tasks": len(asyncio.all_tasks()),
                "cpu": time.process_time(),
            }
        )


class Stall(About):
    """/stall?seconds=..[&count=..]: block the loop, as a bad handler does; *count* times, with pauses of a third."""

    def get(self):
        seconds, count = (
            float(self.get_query_argument("seconds")),
            int(self.get_query_argument("count", "1")),
        )
        asyncio.get_running_loop().call_later(0.05, self.block, seconds, count)

    def block(self, seconds, count):
        time.sleep(seconds)
        if count > 1:
            asyncio.get_running_loop().call_later(seconds / 3, self.block, seconds, count - 1)


class Shout(About):
    """/broadcast?bytes=..&count=..: send so many texts of that size to everybody, in one turn of the loop."""

    def get(self):
        text = "x" * int(self.get_query_argument("bytes"))
        started = time.monotonic()
        for number in range(int(self.get_query_argument("count"))):
            self.hub.options.io.emit("shout", number, text)
        self.finish({"seconds": time.monotonic() - started})


class Errors(logging.Handler):
    """Log handler that keeps the errors, of which there should be none."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record):
        text = self.format(record)
        # Tornado logs this for a body that turns out to be broken after its timeout, when no task awaits it any more.
        if not (
            text.startswith("Exception in Future")
            and "after timeout" in text
            and "HTTPInputError" in text
        ):
            self.found.append(text)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to the root logger, to asyncio's unhandled errors, to warnings and to unraisable exceptions."""
        logging.getLogger().addHandler(self)
        logging.captureWarnings(True)
        logging.getLogger("py.warnings").addFilter(self.raise_warning)
        loop.set_exception_handler(
            lambda loop, context: self.note("asyncio", context.get("exception"), context)
        )
        sys.unraisablehook = lambda problem: self.note("unraisable", problem.exc_value, problem)

    def note(self, where, error, more):
        logging.getLogger(where).error("%s", more, exc_info=error)

    @staticmethod
    def raise_warning(record):
        """Turn a warning into an error: most tell of a coroutine that was never awaited."""
        record.levelno, record.levelname = logging.ERROR, "ERROR"
        return True


async def serve(options: dict[str, float]) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    errors = Errors()
    errors.watch(asyncio.get_running_loop())
    idle_seconds = options.pop("idle_seconds", socket_io.SocketIOServer.IDLE_SECONDS)
    body_seconds = options.pop("body_seconds", socket_io.SocketIOServer.BODY_SECONDS)
    return_soon(options.pop("return_seconds", RETURN_SECONDS))
    handler = type("Stage", (Stage,), dict(options))
    routes = handler.routes("socket.io", namespaces=NAMESPACES)
    hub = handler.io._at[-1][0]
    about = [
        (f"/{name}", kind, {"hub": hub})
        for name, kind in (("state", State), ("stall", Stall), ("broadcast", Shout))
    ]
    server = Server(
        tornado.web.Application([routes, *about], socket_io_port=int(os.environ.get("PORT", "0"))),
        auto_start=False,
        idle_connection_timeout=idle_seconds,
        body_timeout=body_seconds,
    )
    print("READY", server.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print("ERRORS", json.dumps(errors.found[:20]), flush=True)


def run(work) -> None:
    """Run *work* on uvloop where that is installed, as SocketIOServer does."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    run(
        serve(
            {
                name: json.loads(value)
                for name, _, value in (option.partition("=") for option in sys.argv[1:])
            }
        )
    )
