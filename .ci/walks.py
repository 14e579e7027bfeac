"""Trace six walks through a socket_io.py and count the calls that go against its map.

    walks.py [--strict] [--show] [FILE]      FILE is this repository's socket_io.py if it is not given

The map of the file says that a section calls those above it, and those below it only through declared seams. A walk is
one thing that a server does, from the first byte to the last: (a) an event and its ack, (b) a POST and the answer on
the poll that waits, (c) an emit from a thread, (d) a silent death, (e) a recovery, (f) the goodbye. Each is played by
clients that speak over real sockets, while a profile hook notes every call of a function of FILE. For each walk a row
says how many calls there were: entered from outside (by asyncio, Tornado or the application), within a section, to a
section above, and against the map. The calls against the map are listed by name, each under its seam. With --strict the
exit code is 1 if one goes through none (a seam is known by the sections of caller and callee; whether the callee is
what the seam declares, the list of names tells); with --show all calls of each walk are listed in their order.

Of FILE this script names the public interface and the banners ("# -- 8. Session ---") alone, so that it can be run on
any revision: `git show REVISION:socket_io.py >/tmp/old.py; python .ci/walks.py /tmp/old.py`. A comprehension counts as
part of the function around it, a generator and a coroutine as one call. The turns that an idle server takes from time
to time are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import bisect
import collections
import contextlib
import importlib.util
import inspect
import json
import logging
import re
import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import tornado.web

SEAMS = {  # the sections of caller and callee: the seam that the map declares between them
    (8, 9): "members",
    (8, 10): "the hub's tables",
    (8, 13): "Outlet",
    (8, 14): "Outlet",
    (9, 10): "the hub",
    (9, 15): "the handler",
    (10, 15): "the handler",
    (13, 14): "what a connection becomes",
    (13, 15): "the handler, asked by allow_request",
    (13, 16): "the router",
}
SECONDS = 10.0  # the limit of a wait for something that should come at once
CALM = 0.3  # seconds in which a walk may still have something to do after its last byte

Turn = list[tuple[types.CodeType | None, types.CodeType]]  # calls, as (caller, callee)


# -- Recording -------------------------------------------------------------------------


class Recorder:
    """A profile hook for the server's threads: it notes the calls of functions of one file."""

    COMPREHENSIONS = frozenset(["<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"])
    RESUMES = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

    def __init__(self, path: str) -> None:
        self.path = path
        self.turns: list[Turn] | None = None  # None: nothing is noted
        self.idle: set[tuple[str, ...]] = set()  # the turns of a server that has nothing to do
        self.resumed: set[types.FrameType] = set()  # frames of generators and coroutines

    def hook(self, frame: types.FrameType, event: str, arg: object) -> None:
        """Note one call: a call without a caller in the file begins a turn."""
        turns, code = self.turns, frame.f_code
        if turns is None or event != "call" or not self._is_ours(code):
            return
        if code.co_flags & self.RESUMES:
            if frame in self.resumed:
                return
            self.resumed.add(frame)
        caller = self._caller(frame)
        if caller is None or not turns:
            turns.append([])
        turns[-1].append((caller, code))

    @contextlib.contextmanager
    def watching_idleness(self) -> Iterator[None]:
        """Learn the turns that a server takes by itself, while its clients are silent."""
        self.turns = turns = []
        yield
        self.turns = None
        self.idle |= {self._signature(turn) for turn in turns}

    @contextlib.contextmanager
    def recording(self) -> Iterator[Turn]:
        """Note the calls of a walk. The list that is handed out is filled at the end."""
        calls: Turn = []
        self.turns = turns = []
        yield calls
        self.turns = None
        self.resumed.clear()
        for turn in turns:
            if self._signature(turn) not in self.idle:
                calls += turn

    # Private.

    def _is_ours(self, code: types.CodeType) -> bool:
        return code.co_filename == self.path and code.co_name not in self.COMPREHENSIONS

    def _caller(self, frame: types.FrameType) -> types.CodeType | None:
        """Find the nearest function of the file on the stack, up to application code or the event loop."""
        caller = frame.f_back
        while caller is not None:
            code = caller.f_code
            if self._is_ours(code):
                return code
            if code.co_filename == __file__ or (
                code.co_name == "_run" and code.co_filename == asyncio.events.__file__
            ):
                return None
            caller = caller.f_back
        return None

    @staticmethod
    def _signature(turn: Turn) -> tuple[str, ...]:
        return tuple(name_of(code) for _, code in turn)


def name_of(code: types.CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)  # Python 3.10 has no qualified names


class Map:
    """The sections of a file, by its banners."""

    BANNER = re.compile(r"# -- (\d+)\. (.*?) -+$")

    def __init__(self, source: str) -> None:
        found = [
            (line, int(banner[1]))
            for line, text in enumerate(source.splitlines(), 1)
            if (banner := self.BANNER.match(text))
        ]
        if not found:
            raise SystemExit("this file has no section banners")
        self.lines, self.numbers = zip(*found, strict=True)

    def section(self, code: types.CodeType) -> int:
        """Return the number of a function's section, 0 for what stands before the first banner."""
        at = bisect.bisect_right(self.lines, code.co_firstlineno)
        return self.numbers[at - 1] if at else 0


# -- The server ------------------------------------------------------------------------


class Server:
    """A SocketIOServer in a thread of its own, with an application that does what the walks ask for."""

    def __init__(self, socket_io: types.ModuleType, recorder: Recorder, **options: object) -> None:
        self.recorder = recorder
        self.left = threading.Semaphore(0)  # clients whose `on_close` has run
        self.handler = self._make_handler(socket_io, options)
        self.port = free_port()
        application = tornado.web.Application(
            [self.handler.routes("socket.io")], socket_io_port=self.port, flash_policy_port=0
        )
        self.ready = threading.Event()
        self.ended = asyncio.Event()
        self.thread = threading.Thread(target=self._run, args=[socket_io, application], daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        if not self.ready.wait(SECONDS):
            raise SystemExit("the server did not get ready")
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(SECONDS)

    def say_goodbye(self) -> None:
        """Close the server, and return when all of its clients have been told."""
        asyncio.run_coroutine_threadsafe(self.server.close(), self.loop).result(SECONDS)

    def from_a_thread(self, work: Callable[[], None]) -> None:
        """Run *work* in a thread that is recorded, as an application's own would be."""

        def recorded() -> None:
            sys.setprofile(self.recorder.hook)
            work()

        thread = threading.Thread(target=recorded)
        thread.start()
        thread.join()

    # Private.

    def _make_handler(self, socket_io: types.ModuleType, options: dict[str, object]) -> type:
        class Walker(socket_io.SocketIOHandler):
            def on_open(handler, *args, **kwargs):
                handler.join("walkers")

            @socket_io.event
            def ask(handler, *args):
                return args

            @socket_io.event
            def echo(handler, *args):
                handler.emit("echo", *args)

            def on_close(handler):
                self.left.release()

        return type("Walker", (Walker,), options)

    def _run(self, socket_io: types.ModuleType, application: tornado.web.Application) -> None:
        sys.setprofile(self.recorder.hook)
        asyncio.run(self._serve(socket_io, application))

    async def _serve(
        self, socket_io: types.ModuleType, application: tornado.web.Application
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = socket_io.SocketIOServer(application, auto_start=False, address="127.0.0.1")
        self.ready.set()
        await self.ended.wait()
        self.server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# -- The clients -----------------------------------------------------------------------


class Wire:
    """One connection to the server, used from the main thread, which is not recorded."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: test.example"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines += ["Content-Type: text/plain;charset=UTF-8", f"Content-Length: {len(body)}"]
        self.socket.sendall("\r\n".join([*lines, "", body]).encode())

    def answer(self) -> str:
        """Return the body of the next answer, which must be a 200; nothing for a 101."""
        status, length = int(self.file.readline().split()[1]), 0
        while (line := self.file.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = self.file.read(length).decode()
        if status not in (101, 200):
            raise SystemExit(f"a request was answered with {status}: {body}")
        return body

    def request(self, method: str, path: str, body: str = "", **headers: str) -> str:
        self.ask(method, path, body, **headers)
        return self.answer()

    def upgrade(self, path: str) -> None:
        key = base64.b64encode(bytes(16)).decode()
        self.request("GET", path, Upgrade="websocket", Connection="Upgrade",
                     Sec_WebSocket_Version="13", Sec_WebSocket_Key=key)  # fmt: skip

    def send(self, text: str) -> None:
        """Send a short text as a WebSocket message, with a mask that changes nothing."""
        data = text.encode()
        self.socket.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    def receive(self) -> str:
        """Return the next WebSocket message; "" for the end, to which a close frame is the answer."""
        first, size = self.file.read(2)
        if size == 126:
            size = int.from_bytes(self.file.read(2), "big")
        data = self.file.read(size)
        if first & 0x0F == 8:
            self.socket.sendall(bytes([0x88, 0x80 | size, 0, 0, 0, 0]) + data)
            return ""
        return data.decode()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class EngineIO4:
    """A 4.x client over WebSocket."""

    URL = "/socket.io/?EIO=4&transport=websocket"

    def __init__(self, server: Server, auth: str = "") -> None:
        self.wire = Wire(server)
        self.wire.upgrade(self.URL)
        self.wire.receive()
        self.wire.send("40" + auth)
        self.before: list[str] = []  # events that came before the CONNECT
        while not (text := self.wire.receive()).startswith("40"):
            self.before.append(text)
        self.connect = json.loads(text[2:])


class PollingClient:
    """A client that polls: a GET always waits on one connection, POSTs go out on another."""

    def __init__(self, server: Server) -> None:
        self.polls, self.posts = Wire(server), Wire(server)
        self.sid = self.shake_hands()
        self.polls.ask("GET", self.url())
        self.hear(self.CONNECT)

    CONNECT = ""

    def shake_hands(self) -> str:
        raise NotImplementedError

    def url(self) -> str:
        raise NotImplementedError

    def hear(self, text: str) -> None:
        """Poll until *text* comes, and leave another poll waiting."""
        while text not in self.polls.answer():
            self.polls.ask("GET", self.url())
        self.polls.ask("GET", self.url())

    def say(self, packet: str) -> None:
        self.posts.request("POST", self.url(), packet)


class EngineIO3(PollingClient):
    """A 1.x or 2.x client by polling."""

    URL = "/socket.io/?EIO=3&transport=polling"
    CONNECT = "40"

    def shake_hands(self) -> str:
        opening = self.polls.request("GET", self.URL)
        if "2:40" in opening:  # the CONNECT has come with the handshake
            self.CONNECT = ""
        return re.search(r'"sid":"([\w-]+)"', opening)[1]

    def url(self) -> str:
        return f"{self.URL}&sid={self.sid}"

    def hear(self, text: str) -> None:
        if text:
            super().hear(text)


class SocketIO09(PollingClient):
    """A 0.9 client by xhr-polling."""

    CONNECT = "1::"

    def shake_hands(self) -> str:
        return self.polls.request("GET", "/socket.io/1/?t=1").split(":")[0]

    def url(self) -> str:
        return f"/socket.io/1/xhr-polling/{self.sid}?t=1"


# -- The walks -------------------------------------------------------------------------


class Walks:
    """The six walks. Each sets up its clients, and returns the calls of the part that it is about."""

    def __init__(self, socket_io: types.ModuleType, recorder: Recorder) -> None:
        self.socket_io = socket_io
        self.recorder = recorder

    def an_event_and_its_ack(self) -> Turn:
        """(a) an event of an EIO4 client over WebSocket, and its ack"""
        with self.server() as server:
            client = EngineIO4(server)
            with self.recorded() as calls:
                client.wire.send('421["ask","x"]')
                expect(client.wire.receive(), '431["x"]')
        return calls

    def a_post_and_its_answer(self) -> Turn:
        """(b) a POST of a 1.x client, the answer on the GET that waits, and the next GET"""
        with self.server() as server:
            client = EngineIO3(server)
            with self.recorded() as calls:
                client.say('14:42["echo","x"]')
                client.hear('42["echo","x"]')
        return calls

    def an_emit_from_a_thread(self) -> Turn:
        """(c) an emit from a thread to a room of EIO4, EIO3 and 0.9 clients, with the next polls"""
        with self.server() as server:
            modern, *polling = three_clients(server)
            with self.recorded() as calls:
                server.from_a_thread(lambda: server.handler.io.to("walkers").emit("news", "x"))
                expect(modern.wire.receive(), '42["news","x"]')
                for client in polling:
                    client.hear("news")
        return calls

    def a_silent_death(self) -> Turn:
        """(d) the silent death of an EIO4 client over WebSocket, from the ping to on_close"""
        with self.server(ping_interval=1.5, ping_timeout=1.0) as server:
            client = EngineIO4(server)
            with self.recorded() as calls:
                expect(client.wire.receive(), "2")
                expect(server.left.acquire(timeout=SECONDS), True)
        return calls

    def a_recovery(self) -> Turn:
        """(e) an EIO4 client comes back within recovery_window, with its handshake"""
        with self.server(recovery_window=30.0) as server:
            client = EngineIO4(server)
            server.handler.io.emit("news", "heard")
            offset = json.loads(client.wire.receive()[2:])[-1]
            client.wire.close()
            expect(server.left.acquire(timeout=SECONDS), True)
            server.handler.io.emit("news", "missed")
            with self.recorded() as calls:
                again = EngineIO4(
                    server, json.dumps({"pid": client.connect["pid"], "offset": offset})
                )
            expect(again.connect["sid"], client.connect["sid"])
            missed = again.before or [again.wire.receive()]
            expect(json.loads(missed[0][2:])[:2], ["news", "missed"])
        return calls

    def the_goodbye(self) -> Turn:
        """(f) the server's goodbye to an EIO4, an EIO3 and a 0.9 client"""
        with self.server() as server:
            modern, *polling = three_clients(server)
            threads = [threading.Thread(target=listen, args=[modern.wire.receive])]
            threads += [threading.Thread(target=listen, args=[one.polls.answer]) for one in polling]
            for thread in threads:
                thread.start()
            with self.recorded() as calls:
                server.say_goodbye()
            for thread in threads:
                thread.join()
        return calls

    ALL = (
        an_event_and_its_ack, a_post_and_its_answer, an_emit_from_a_thread, a_silent_death, a_recovery, the_goodbye,
    )  # fmt: skip

    # Private.

    def server(self, **options: object) -> Server:
        return Server(self.socket_io, self.recorder, **options)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[Turn]:
        """Record the calls of a `with` block and of the moment after it; before it the clients are silent."""
        time.sleep(CALM / 3)
        with self.recorder.watching_idleness():
            time.sleep(CALM)
        with self.recorder.recording() as calls:
            yield calls
            time.sleep(CALM)


def three_clients(server: Server) -> tuple[EngineIO4, EngineIO3, SocketIO09]:
    return EngineIO4(server), EngineIO3(server), SocketIO09(server)


def listen(receive: Callable[[], str]) -> None:
    """Take what comes, until the server has ended the connection."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        while receive():
            pass


def expect(actual: object, expected: object) -> None:
    if actual != expected:
        raise SystemExit(f"the server said {actual!r}, not {expected!r}")


# -- The report ------------------------------------------------------------------------


def report(titles: list[str], walks: list[Turn], sections: Map) -> int:
    """Print the table and the calls against the map; return how many of these go through no seam."""
    against: dict[tuple[int, int], collections.Counter[str]] = collections.defaultdict(
        collections.Counter
    )
    print(f"{'calls':>6}{'entered':>9}{'within':>8}{'above':>7}{'against':>9}")
    for title, calls in zip(titles, walks, strict=True):
        kinds: collections.Counter[str] = collections.Counter()
        for caller, callee in calls:
            kind, pair = "entered", (0, 0)
            if caller is not None:
                pair = sections.section(caller), sections.section(callee)
                kind = (
                    "within" if pair[0] == pair[1] else "above" if pair[0] > pair[1] else "against"
                )
            kinds[kind] += 1
            if kind == "against":
                against[pair][f"{name_of(caller)} -> {name_of(callee)}"] += 1
        print(
            f"{len(calls):6}{kinds['entered']:9}{kinds['within']:8}{kinds['above']:7}{kinds['against']:9}  {title}"
        )
    for pair, names in sorted(against.items()):
        print(f"\n{pair[0]} -> {pair[1]}: {SEAMS.get(pair, 'NO SEAM')}, {names.total()} calls")
        for name, count in names.most_common():
            print(f"{count:6}  {name}")
    undeclared = sum(names.total() for pair, names in against.items() if pair not in SEAMS)
    print(
        f"\n{sum(names.total() for names in against.values())} calls against the map, {undeclared} through no seam"
    )
    return undeclared


def show(titles: list[str], walks: list[Turn], sections: Map) -> None:
    """Print every call of every walk: the section of the caller, that of the callee, and the callee's name."""
    for title, calls in zip(titles, walks, strict=True):
        print(title)
        for caller, callee in calls:
            start = "" if caller is None else f"{sections.section(caller)} ->"
            print(f"{start:>9} {sections.section(callee):2}  {name_of(callee)}")
        print()


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("socket_io", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["socket_io"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    here = Path(__file__).resolve().parents[1] / "socket_io.py"
    parser = argparse.ArgumentParser()
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("file", type=Path, nargs="?", default=here)
    options = parser.parse_args()
    logging.disable()
    path = options.file.resolve()
    walks = Walks(load(path), Recorder(str(path)))
    sections = Map(path.read_text())
    titles = [walk.__doc__ or "" for walk in Walks.ALL]
    calls = [walk(walks) for walk in Walks.ALL]
    if options.show:
        show(titles, calls, sections)
    undeclared = report(titles, calls, sections)
    sys.exit(bool(options.strict and undeclared))


if __name__ == "__main__":
    main()
