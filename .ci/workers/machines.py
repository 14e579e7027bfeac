"""Check the routing by `sid_prefix`: two machines of socket_io.py behind an nginx with the README's configuration.

The machines are two servers of two workers each, which cannot hand connections to each other. The clients are of every
generation and transport, and each request of theirs comes on a new connection. Needs nginx. The last line is
"N passed, N failed"; the exit code is 1 when a check has failed or could not run.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import re
import sys
import tempfile

from check import HERE, SECONDS, Nginx, Program

from socket_io import STREAMS
from test_socket_io import EndOfProcessTests, Nomad, unused_port

README = HERE.parents[1] / "README.md"
ADDRESSES = {"a": "10.0.0.1:8001", "b": "10.0.0.2:8001"}  # in the README
CLIENTS_OF_EACH = 4
SERVER = """
import logging, sys, tornado.web
sys.path.insert(0, sys.argv[3])
from socket_io import SocketIOHandler, SocketIOServer
class Chat(SocketIOHandler):
    sid_prefix = sys.argv[2]
    def on_message(self, message):
        self.send(message)
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
SocketIOServer(tornado.web.Application([Chat.routes("socket.io")]), port=int(sys.argv[1]), workers=2)
"""


class Machine(Program):
    """A server of two workers, whose session ids begin with *letter*."""

    def __init__(self, letter: str) -> None:
        self.port = unused_port()
        super().__init__(sys.executable, "-c", SERVER, self.port, letter, HERE.parents[1])

    async def __aenter__(self) -> Machine:
        await super().__aenter__()
        await self.printed("is listening on", 2)
        return self


def readme_upstreams(ports: dict[str, int]) -> str:
    """Return the configuration of nginx that stands in the README, with machines at these *ports*."""
    readme = README.read_text(encoding="utf-8")
    (text,) = re.findall("```nginx\n# nginx-machines.conf.*?\n(.*?)```", readme, re.DOTALL)
    for letter, port in ports.items():
        assert ADDRESSES[letter] in text, f"the README's nginx knows no {ADDRESSES[letter]}"
        text = text.replace(ADDRESSES[letter], f"127.0.0.1:{port}")
    return str(text)


async def talk(port: int, dialect: str, transport: str) -> str:
    """Connect, send and receive; return the letter of the machine."""
    client = Nomad(itertools.repeat(port), dialect, transport)
    await client.connect()
    for words in ("é😀", "x" * 200_000, "last"):
        await client.send(words)
        assert await client.receive(timeout=20) == ("message", words), (
            dialect,
            transport,
            words[:20],
        )
    await client.close()
    return str(client.sid)[0]


async def check() -> None:
    async with contextlib.AsyncExitStack() as stack:
        machines = [await stack.enter_async_context(Machine(letter)) for letter in ADDRESSES]
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ports = {letter: one.port for letter, one in zip(ADDRESSES, machines, strict=True)}
        front = Nginx(folder, readme_upstreams(ports), "$machine")
        await stack.enter_async_context(front)
        # nginx cuts a stream elsewhere than the server did: the test client, unlike browsers, minds.
        doors = [
            door for door in EndOfProcessTests.DOORS if door[1] not in STREAMS
        ] * CLIENTS_OF_EACH
        talks = [talk(front.port, *door) for door in doors]
        ends = await asyncio.wait_for(asyncio.gather(*talks, return_exceptions=True), SECONDS)
        for door, end in zip(doors, ends, strict=True):
            assert isinstance(end, str), f"{door} failed: {end!r:.200}"
        letters = collections.Counter(ends)
        assert letters.keys() == ADDRESSES.keys(), f"the session ids began with {letters}"
        for machine in machines:
            assert await machine.end() == 0, machine.lines[-20:]
            wrong = [line for line in machine.lines if not line.startswith("INFO")]
            assert not wrong, f"a machine logged {wrong[:20]}"
    print(f"ok {len(doors)} clients at two machines: {dict(letters)}")


def main() -> int:
    try:
        asyncio.run(check())
    except Exception as error:
        print(f"FAILED two machines: {error!r}")
        print("0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
