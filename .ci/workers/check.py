"""Check three workers of socket_io.py on one port with real clients, with nginx before them, and with workers that die.

    check.py [--only NAME ...]

Needs node with the packages of ../interop, nginx, and /proc. The last line is "N passed, N failed"; the exit code is 1
when a check has failed or could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.extend(map(str, Path(__file__).resolve().parents[1:3]))

import nginx

from test_socket_io import Client, Wire, unused_port, within

HERE = Path(__file__).resolve().parent
WORKERS = 3
CLIENTS = 200  # of the kinds in clients.mjs
HAND_OVERS = 10_000
START_SECONDS = 30.0
SECONDS = 90.0  # for one check
#: Clients that Node has none of, or that take raw bytes: they come from test_socket_io.py.
RAW = [("0.6", "xhr-polling"), ("0.6", "jsonp-polling"), ("0.9", "xhr-polling"), ("0.9", "jsonp-polling"),
       ("EIO3", "jsonp-polling"), ("EIO4", "jsonp-polling")]  # fmt: skip


class Program:
    """A process of ours and what it prints; it is ended by its id."""

    def __init__(self, *command: object) -> None:
        self.command = [str(part) for part in command]
        self.lines: list[str] = []

    async def __aenter__(self) -> Any:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, limit=2**24,
        )  # fmt: skip
        self.reader = asyncio.ensure_future(self._read())
        return self

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def printed(self, words: str, times: int = 1) -> str:
        """Wait for so many lines with *words* in them, and return the last."""
        end = time.monotonic() + START_SECONDS
        while len(found := [line for line in self.lines if words in line]) < times:
            if time.monotonic() > end or self.reader.done():
                raise AssertionError(f"{self.command} printed {self.lines[-20:]}, but not {words}")
            await asyncio.sleep(0.02)
        return found[times - 1]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await within(self.process.wait(), 20)
        await within(self.reader)
        return int(code)

    async def __aexit__(self, *exception: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.reader.cancel()


class Server(Program):
    """The workers; they must end with a goodbye and without an error in the log."""

    def __init__(self) -> None:
        self.port = unused_port()
        super().__init__(sys.executable, HERE / "server.py", self.port, WORKERS)

    async def __aenter__(self) -> Server:
        await super().__aenter__()
        await self.printed("is listening on", WORKERS)
        return self

    def pids(self) -> list[int]:
        """Return the processes of the workers."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(pid) for pid in Path(path).read_text().split()]

    def descriptors(self) -> dict[int, int]:
        """Count the descriptors that are open in each worker."""
        return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids()}

    async def expect_good_end(self) -> None:
        code = await self.end()
        wrong = [line for line in self.lines if not line.startswith(("INFO", "DEBUG"))]
        wrong = [line for line in wrong if " died (signal SIGKILL)" not in line]
        assert code == 0, f"exit code {code}: {self.lines[-20:]}"
        assert not wrong, f"the server logged {wrong[:20]}"


class Nginx(Program):
    """An nginx before one port, which shares its kept connections between all clients."""

    def __init__(self, folder: str, upstreams: str, upstream: str = "workers") -> None:
        self.port = unused_port()
        server = f"""
            client_max_body_size 2m;
            server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://{upstream}; }} }}
        """
        super().__init__(*nginx.command(folder, nginx.KEPT_CONNECTIONS + upstreams + server))

    async def __aenter__(self) -> Nginx:
        await super().__aenter__()
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                (await Wire.open(self.port)).close()
                return self
            assert time.monotonic() < end and not self.reader.done(), self.lines
            await asyncio.sleep(0.05)

    async def __aexit__(self, *exception: object) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await self.end()  # a kill would leave its workers
        await super().__aexit__(*exception)


def report_of(node: Program) -> dict[str, Any]:
    assert node.lines and node.lines[-1].startswith("{"), (
        f"the clients ended with {node.lines[-20:]}"
    )
    report: dict[str, Any] = json.loads(node.lines[-1])
    problems = report["problems"]
    assert not problems, f"{len(problems)} problems, such as {problems[:5]}"
    return report


# -- Checks ----------------------------------------------------------------------------


async def talk(server: Server, port: int) -> None:
    """Everybody connects, asks, talks in rooms and sends large things; nothing is lost, nobody is cut off."""
    async with Program(
        "node", HERE / "clients.mjs", f"http://127.0.0.1:{port}", CLIENTS, "talk"
    ) as node:
        raw = asyncio.gather(*[talk_raw(port, *kind) for kind in RAW for _ in range(5)])
        await within(asyncio.gather(raw, node.reader), SECONDS)
        report = report_of(node)
    losses = [client["name"] for client in report["clients"] if client["losses"]]
    assert not losses, f"cut off: {losses}"
    served = {client["pid"] for client in report["clients"]}
    # Not all, for a busy machine may leave one of them without a turn while the clients come.
    assert len(served) > 1, f"only {served} of {server.pids()} have served"


async def talk_raw(port: int, dialect: str, transport: str) -> None:
    client = await Client(port, dialect, transport).connect()
    for number in range(10):
        words = f"number {number}, éè€😀 " * (3000 if number == 5 else 3)
        await client.send(words)
        name, (_, back) = await client.receive(timeout=20)
        assert (name, back) == ("message", words), (dialect, transport, back[:60])
    await client.close()


async def survive(act: Callable[[Server], Awaitable[set[int]]], server: Server, port: int) -> None:
    """While all clients talk, *act* ends workers and returns them: their clients come back, others do not notice."""
    async with Program(
        "node", HERE / "clients.mjs", f"http://127.0.0.1:{port}", CLIENTS, "survive"
    ) as node:
        await node.printed("READY")
        ended = await act(server)
        await asyncio.sleep(1.0)
        node.process.stdin.close()  # type: ignore[union-attr]
        await within(node.reader, SECONDS)
        report = report_of(node)
    # A request for another worker may be in the hands of one that is killed: it breaks, and its client begins anew.
    # On a busy machine more of them wait there.
    innocent = [
        one["name"] for one in report["clients"] if one["losses"] and one["pid"] not in ended
    ]
    unlucky = [name for name in innocent if name.endswith("polling)")]
    assert unlucky == innocent and len(unlucky) < 0.15 * CLIENTS, (
        f"cut off although their worker lives: {innocent}"
    )
    victims = [one for one in report["clients"] if one["pid"] in ended]
    assert victims, "no client was at a worker that ended"
    kept = [one["name"] for one in victims if not one["losses"]]
    assert not kept, f"not cut off although their worker has ended: {kept}"


async def hand_over_often(server: Server, port: int) -> None:
    """Connections that are handed over at each request leave no descriptor behind in any worker."""
    sessions: list[Session] = []
    # Connections that come one after the other may all be accepted by one worker of an idle machine.
    while len({session.worker for session in sessions}) < 2:
        assert len(sessions) < 20 * WORKERS, "all sessions are at one worker"
        sessions += await asyncio.gather(*[Session.begin(port) for _ in range(4 * WORKERS)])
    sessions = in_turn(sessions)
    await asyncio.sleep(0.5)  # until the connections of the sessions have closed
    before = server.descriptors()

    async def go_round(times: int) -> None:
        wire = await Wire.open(port)
        for number in range(times):
            await sessions[number % len(sessions)].post(wire, b'42["nothing"]')
        wire.close()

    await asyncio.gather(*[go_round(HAND_OVERS // 4) for _ in range(4)])
    end = time.monotonic() + 5
    while (after := server.descriptors()) != before:
        assert time.monotonic() < end, f"open descriptors: {before} before, {after} after"
        await asyncio.sleep(0.05)


class Session:
    """A polling session of EIO4, whose requests may come on any connection."""

    def __init__(self, sid: str) -> None:
        self.path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        self.worker = sid[0]

    @classmethod
    async def begin(cls, port: int) -> Session:
        wire = await Wire.open(port)
        status, _, body = await wire.request("GET", "/socket.io/?EIO=4&transport=polling")
        assert status == 200, (status, body)
        session = cls(json.loads(body[1:])["sid"])
        await session.post(wire, b"40")
        assert (await wire.request("GET", session.path))[2].startswith(b"40")
        wire.close()
        return session

    async def post(self, wire: Wire, body: bytes) -> None:
        status, _, answer = await wire.request("POST", self.path, body)
        assert (status, answer) == (200, b"ok"), (status, answer)


def in_turn(sessions: list[Session]) -> list[Session]:
    """Order *sessions* so that neighbours are at different workers, as far as can be."""
    seen: dict[str, int] = {}
    numbers = {}
    for session in sessions:
        numbers[session] = seen[session.worker] = seen.get(session.worker, 0) + 1
    return sorted(sessions, key=lambda session: (numbers[session], session.worker))


class Dripping(Wire):
    """A connection whose requests leave byte by byte."""

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        whole: list[bytes] = []
        writer, self.writer = self.writer, types.SimpleNamespace(write=whole.append)
        self.send_request(method, path, body, **headers)
        self.writer = writer
        for byte in b"".join(whole):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        return await self.answer()


async def drip(server: Server, port: int) -> None:
    """Requests that come byte by byte, to whichever worker, are answered as others are."""
    for dialect, transport in RAW:
        client = await Client(port, dialect, transport).connect()
        for _ in range(2 * WORKERS):
            client._post_wire.close()
            client._post_wire = await Dripping.open(port)
            await client.send("drop by drop")
            name, (_, back) = await client.receive(timeout=20)
            assert (name, back) == ("message", "drop by drop"), (dialect, transport, back)
        await client.close()
    session = await Session.begin(port)
    for _ in range(2 * WORKERS):
        wire = await Dripping.open(port)
        await session.post(wire, b'42["message","hello"]')
        status, _, body = await wire.request("GET", session.path)
        assert status == 200 and body.endswith(b'"hello"]]'), (status, body)
        wire.close()


async def kill_one(server: Server) -> set[int]:
    victim = server.pids()[1]
    os.kill(victim, signal.SIGKILL)
    await server.printed(f"(pid {victim}) died (signal SIGKILL)")
    await server.printed("is listening on", WORKERS + 1)
    return {victim}


async def replace_all(server: Server) -> set[int]:
    before = set(server.pids())
    server.process.send_signal(signal.SIGHUP)
    await server.printed("is listening on", 2 * WORKERS)
    assert not before & set(server.pids())
    return before


#: The checks by name, each with a server of its own: what it does, and by which way the clients come.
CHECKS: dict[str, tuple[Callable[..., Awaitable[None]], str]] = {
    "200 clients talk": (talk, "directly"),
    "200 clients talk, by nginx": (talk, "by nginx"),
    "a worker is killed under load": (functools.partial(survive, kill_one), "directly"),
    "a worker is killed under load, by nginx": (functools.partial(survive, kill_one), "by nginx"),
    "SIGHUP under load": (functools.partial(survive, replace_all), "directly"),
    f"{HAND_OVERS:,} hand-overs": (hand_over_often, "directly"),
    "requests byte by byte": (drip, "directly"),
}


async def play(check: Callable[..., Awaitable[None]], way: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server())
        port = server.port
        if way == "by nginx":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            workers = f"upstream workers {{ server 127.0.0.1:{server.port}; keepalive 64; }}"
            port = (await stack.enter_async_context(Nginx(folder, workers))).port
        try:
            await asyncio.wait_for(check(server, port), SECONDS)
        except BaseException:
            print("    the server:", *server.lines[-20:], sep="\n    | ")
            raise
        await server.expect_good_end()


async def play_all(names: list[str]) -> int:
    """Play these checks one after the other, and return how many have failed."""
    failed = 0
    for name in names:
        begun = time.monotonic()
        try:
            await play(*CHECKS[name])
        except Exception as error:
            failed += 1
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)
            print(f"FAILED {name}: {error or type(error).__name__}", flush=True)
        else:
            print(f"ok {name} ({time.monotonic() - begun:.1f} s)", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="checks to play, by words of their names"
    )
    only = parser.parse_args().only
    chosen = [name for name in CHECKS if not only or any(words in name for words in only)]
    failed = asyncio.run(play_all(chosen))
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
