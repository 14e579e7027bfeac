"""Start the Redis and the servers of a cluster, speak with them, and end them."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import dataclasses
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis.asyncio

HERE = Path(__file__).resolve().parent
START_SECONDS = 30.0
PAGE = os.sysconf("SC_PAGE_SIZE")
END_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG


def plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def revive(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


async def until(what: str, look: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Look again and again until what *look* gives is true, and return it; *look* may give a coroutine."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return seen
        if loop.time() > end:
            raise AssertionError(f"within {seconds:.0f} s, this did not come true: {what}")
        await asyncio.sleep(0.02)


def end_with_parent() -> None:
    """Have the kernel end this process when check.py ends, however that happens, even while the process is stopped."""
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)


class Process:
    """A process of ours, which is ended by its id."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process = None  # type: ignore[assignment]

    async def start_process(self, *command: str, **options: Any) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *command, preexec_fn=end_with_parent, limit=2**24, **options
        )

    def send_signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the signal and wait for the end; a process that does not end within 10 s is killed."""
        self.send_signal(signal.SIGCONT)
        self.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except asyncio.TimeoutError:
            self.send_signal(signal.SIGKILL)
            await self.process.wait()


class Redis(Process):
    """A Redis without persistence, on a Unix socket, and with *port* on loopback too."""

    def __init__(self, folder: str, port: int = 0) -> None:
        super().__init__()
        self.folder = folder
        self.path = f"{folder}/redis.sock"
        self.port = port
        self.url = f"unix://{self.path}"
        self.client = redis.asyncio.Redis(unix_socket_path=self.path)

    async def start(self) -> None:
        await self.start_process(
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path,
            "--save", "", "--appendonly", "no", "--dir", self.folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until("Redis answers", self._answers, START_SECONDS)

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (redis.exceptions.ConnectionError, OSError):
            return False

    async def stop(self) -> None:
        """End Redis; its clients' connections break."""
        await self.end(signal.SIGTERM)
        await self.client.connection_pool.disconnect()

    async def publish(self, channel: str, body: bytes) -> None:
        await self.client.publish(channel, body)

    async def count(self, channel: str) -> int:
        return int((await self.client.pubsub_numsub(channel))[0][1])

    async def subscriptions(self) -> tuple[int, int]:
        """Return the number of patterns and of channels to which anybody has subscribed."""
        return await self.client.pubsub_numpat(), len(await self.client.pubsub_channels())


class Peer(Process):
    """A process that obeys lines: see server.py and server.mjs."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.port = 0
        self.log: list[str] = []
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._readers: list[asyncio.Task[None]] = []

    async def start(self, *command: str) -> None:
        pipes = dict.fromkeys(["stdin", "stdout", "stderr"], asyncio.subprocess.PIPE)
        await self.start_process(*command, **pipes)
        self._readers.append(asyncio.ensure_future(self._read_log()))
        assert self.process.stdout is not None
        ready = await asyncio.wait_for(self.process.stdout.readline(), START_SECONDS)
        if not ready:
            await asyncio.wait(self._readers, timeout=5)
            raise AssertionError(f"{self.title} did not start: {' | '.join(self.log[-20:])}")
        self.port = json.loads(ready)["port"]
        self._readers.append(asyncio.ensure_future(self._read_answers()))

    async def run(self, code: str, *args: Any, seconds: float = 15.0) -> Any:
        """Run *code* over there, and return its value."""
        number = next(self._numbers)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        order = {"id": number, "code": code, "args": plain(args)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.title}: no answer to {code.strip():.80}") from None
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise AssertionError(f"{self.title}: {code.strip():.80}: {answer['error'][-800:]}")
        return answer["value"]

    async def _read_answers(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            answer = json.loads(line, object_hook=revive)
            future = self._waiting.get(answer["id"])
            if future is not None and not future.done():
                future.set_result(answer)
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": f"the process has ended: {' | '.join(self.log[-8:])}"})

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.log.append(line.decode(errors="replace").rstrip())

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE


@dataclasses.dataclass
class Acks:
    """What came of an event with acks for many: values in no order, and whether all came in time."""

    answers: list[Any]
    complete: bool


class Server(Peer):
    """A server with the verbs of a cluster, in words that are the same for ours and for node's.

    Keywords of the verbs choose whom they are for: `namespace`, `rooms`, `except`, `volatile`, `local`, `compress`.
    """

    generations: tuple[tuple[str, str], ...] = ()  # that it serves, with their transports
    words: dict[str, str] = {}  # verb to code

    async def do(self, verb: str, *args: Any, **scope: Any) -> Any:
        return await self.run(self.words[verb], scope, *args)

    async def emit(self, name: str, *args: Any, **scope: Any) -> None:
        await self.do("emit", name, args, **scope)

    async def burst(
        self, name: str, numbers: range, *args: Any, pause: float = 0.0, **scope: Any
    ) -> None:
        """Emit *name* with each of *numbers* and *args*, and wait for *pause* seconds in between."""
        await self.do("burst", name, numbers.start, numbers.stop, args, pause, **scope)

    async def call(self, name: str, *args: Any, seconds: float = 5.0, **scope: Any) -> Acks:
        return Acks(**await self.do("call", name, args, seconds, **scope))

    async def fetch(self, **scope: Any) -> list[dict[str, Any]]:
        return await self.do("fetch", **scope)

    async def join(self, *rooms: str, **scope: Any) -> None:
        await self.do("join", rooms, **scope)

    async def leave(self, *rooms: str, **scope: Any) -> None:
        await self.do("leave", rooms, **scope)

    async def disconnect(self, close: bool = False, **scope: Any) -> None:
        await self.do("disconnect", close, **scope)

    async def all_rooms(self, **scope: Any) -> set[str]:
        return set(await self.do("all_rooms", **scope))

    async def server_count(self) -> int:
        return await self.do("server_count")

    async def listen(self, name: str, answer: Any = None, **scope: Any) -> None:
        """Have a server-side event noted in `heard`, and answered with *answer*."""
        await self.do("listen", name, answer, **scope)

    async def listen_in_silence(self, name: str, **scope: Any) -> None:
        """Have a server-side event never answered."""
        await self.do("listen_in_silence", name, **scope)

    async def side_emit(self, name: str, *args: Any, **scope: Any) -> None:
        await self.do("side_emit", name, args, **scope)

    async def side_call(self, name: str, *args: Any, **scope: Any) -> Acks:
        """Send a server-side event, and return the answers of the other servers."""
        return Acks(**await self.do("side_call", name, args, **scope))

    async def heard(self) -> list[Any]:
        return await self.run("return heard")


class Ours(Server):
    """Our server."""

    generations = (
        ("0.6", "websocket"), ("0.6", "xhr-polling"), ("0.9", "websocket"), ("0.9", "xhr-polling"),
        ("EIO3", "websocket"), ("EIO3", "xhr-polling"), ("EIO4", "websocket"), ("EIO4", "xhr-polling"),
    )  # fmt: skip
    words = {
        "emit": "at(args[0]).emit(args[1], *args[2])",
        "burst": """
            for number in range(args[2], args[3]):
                at(args[0]).emit(args[1], number, *args[4])
                if args[5] or number % 100 == 99:
                    await asyncio.sleep(args[5])
        """,
        "call": """
            acks = await at(args[0]).call(args[1], *args[2], timeout=args[3])
            answers = [*acks.answers.values(), *acks.unnamed]
            return {"answers": answers, "complete": len(answers) == acks.expected}
        """,
        "fetch": """
            return [{"id": one.id, "rooms": one.rooms, "data": one.data, "handshake": one.handshake}
                    for one in await at(args[0]).fetch_sockets()]
        """,
        "join": "at(args[0]).join(*args[1])",
        "leave": "at(args[0]).leave(*args[1])",
        "disconnect": "at(args[0]).disconnect(args[1])",
        "all_rooms": "return await at(args[0]).all_rooms()",
        "server_count": "return await Chat.io.server_count()",
        "listen": """
            def listener(*words):
                heard.append([args[1], *words])
                return args[2]
            at(args[0]).on(args[1], listener)
        """,
        "listen_in_silence": """
            async def listener(*words):
                await asyncio.sleep(30)
            at(args[0]).on(args[1], listener)
        """,
        "side_emit": "at(args[0]).server_side_emit(args[1], *args[2])",
        "side_call": """
            try:
                answers = await at(args[0]).server_side_call(args[1], *args[2])
            except socket_io.ClusterTimeout as error:
                return {"answers": error.partial, "complete": False}
            return {"answers": answers, "complete": True}
        """,
    }

    async def close(self) -> None:
        """Say goodbye as a server does that ends."""
        await self.run("await Chat.io.close()")


class Node(Server):
    """A node server."""

    generations = (
        ("EIO3", "websocket"), ("EIO3", "xhr-polling"), ("EIO4", "websocket"), ("EIO4", "xhr-polling"),
    )  # fmt: skip
    words = {
        "emit": "at(args[0]).emit(args[1], ...args[2])",
        "burst": """
            for (let number = args[2]; number < args[3]; number++) {
              at(args[0]).emit(args[1], number, ...args[4]);
              if (args[5]) {
                await new Promise((resolve) => setTimeout(resolve, args[5] * 1000));
              }
            }
        """,
        "call": """
            try {
              const answers = await at(args[0]).timeout(args[3] * 1000).emitWithAck(args[1], ...args[2]);
              return { answers, complete: true };
            } catch (error) {
              return { answers: error.responses, complete: false };
            }
        """,
        "fetch": """
            return (await at(args[0]).fetchSockets())
              .map(({ id, handshake, rooms, data }) => ({ id, handshake, rooms, data }));
        """,
        "join": "at(args[0]).socketsJoin(args[1])",
        "leave": "args[1].forEach((room) => at(args[0]).socketsLeave(room))",
        "disconnect": "at(args[0]).disconnectSockets(args[1])",
        "all_rooms": "return await at(args[0]).adapter.allRooms()",
        "server_count": "return await io.of('/').adapter.serverCount()",
        "listen": """
            at(args[0]).on(args[1], (...words) => {
              const answer = typeof words.at(-1) === "function" ? words.pop() : () => {};
              heard.push([args[1], ...words]);
              answer(args[2]);
            });
        """,
        "listen_in_silence": "at(args[0]).on(args[1], () => {})",
        "side_emit": "at(args[0]).serverSideEmit(args[1], ...args[2])",
        "side_call": """
            try {
              return { answers: await at(args[0]).serverSideEmitWithAck(args[1], ...args[2]), complete: true };
            } catch (error) {
              return { answers: error.responses, complete: false };
            }
        """,
    }

    async def close(self) -> None:
        await self.run("io.close()")


class Stage:
    """A Redis of its own, the servers around it, and their end."""

    reference = False  # node servers stand where ours would

    def __init__(self, port: int = 0) -> None:
        self.folder = tempfile.mkdtemp(prefix="cluster-")
        self.redis = Redis(self.folder, port)
        self.peers: list[Peer] = []
        self._clients = itertools.cycle(["redis", "ioredis"])

    async def __aenter__(self) -> Stage:
        try:
            await self.redis.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        processes: list[Process] = [*self.peers, self.redis]
        await asyncio.gather(*[one.end() for one in processes if one.process is not None])
        await self.redis.client.connection_pool.disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def ours(self, title: str, url: str | None = None, **options: Any) -> Any:
        """Start a server of ours; or node's in its place, for the reference."""
        if self.reference:
            renamed = {"key": options["cluster_key"]} if "cluster_key" in options else {}
            return await self.node(next(self._clients), title=f"{title} (node)", **renamed)
        options = {"cluster_timeout": 2.0, **options}
        return await self._python(Ours(title), "ours", url=url or self.redis.url, options=options)

    async def python_socketio(self, **options: Any) -> Any:
        peer = Peer("python-socketio")
        return await self._python(peer, "python-socketio", url=self.redis.url, options=options)

    async def task(self, url: str | None = None) -> Any:
        """Start a Python process without a server, for `Emitter` and `write_only` managers."""
        return await self._python(Peer("a task"), "none", url=url or self.redis.url)

    async def _python(self, peer: Peer, kind: str, **settings: Any) -> Peer:
        self.peers.append(peer)
        await peer.start(sys.executable, "-B", str(HERE / "server.py"), kind, json.dumps(settings))
        return peer

    async def node(
        self, client: str, adapter: str = "classic", title: str | None = None, **options: Any
    ) -> Any:
        peer = Node(title or f"node on {client}")
        self.peers.append(peer)
        settings = {
            "path": self.redis.path,
            "client": client,
            "adapter": adapter,
            "options": {"requestsTimeout": 2000, **options},
        }
        await peer.start("node", str(HERE / "server.mjs"), json.dumps(settings))
        return peer

    def errors(self) -> list[str]:
        """Return what our servers have logged as an error."""
        signs = ("ERROR", "CRITICAL", "Traceback", "never awaited", "never retrieved")
        return [f"{peer.title}: {line}" for peer in self.peers if isinstance(peer, Ours)
                for line in peer.log if any(sign in line for sign in signs)]  # fmt: skip
