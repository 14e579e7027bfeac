"""Measure the server's memory under load: a bound that follows from its options, and the way back to the base.

    memory.py [--scale N] [SCENARIO ...]

At full size this is a check for a release: hundreds of clients hold half a message each, and tens of thousands come
and go. It finds a bound that grows with the number of clients, and a leak of a few bytes per client. At a small scale
hardly a scenario can fail but "50 MB past the deaf": a server that queues without a bound holds 50 MB for every client
that does not read. The landing run plays these two.

The server runs in a process of its own, with short timeouts. Its base is measured after a first round of the chosen
scenarios: Python gives an arena back only when the arena is empty, so a process holds memory for as many sessions as it
has ever had at the same time. Before each measurement the server collects garbage and gives free memory back to the
system (malloc_trim). Each scenario prints one row: base, peak, bound and end in MiB, and the number of memory blocks
that Python uses more than at the base (a leak could hide in an arena, but not in that number). A scenario fails if its
peak is above the bound, if its end is more than 10 % above the base, or if Python uses some thousand blocks more.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable, Coroutine

from child import Child
from wire import GENERATIONS, TEXT_FRAME, Client, Line, frame, http_request

KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
BACK_WITHIN = 0.10
MORE_BLOCKS = 3000  # the tables of the interpreter and of the loop vary by so many
#: One message may be 400 kB; sessions that are half made end within seconds. A client that leaves more than
#: 256 KiB unread is cut off for that after 2 s, and at once when it is 16 times as much.
OPTIONS = {"max_message_bytes": 400_000, "max_buffered_bytes": MEBIBYTE // 4, "max_rooms": 500,
           "max_attachments": 10, "ping_interval": 2.0, "ping_timeout": 2.0, "connect_timeout": 2.0,
           "upgrade_timeout": 2.0, "close_timeout": 1.0, "poll_duration": 1.0, "idle_seconds": 2.0,
           "body_seconds": 2.0}  # fmt: skip
MESSAGE, BUFFERED, ROOMS = (
    OPTIONS["max_message_bytes"],
    16 * OPTIONS["max_buffered_bytes"],  # the hard bound: what one client can have unsent
    OPTIONS["max_rooms"],
)

# The bounds are sums of these.
FLOOR = (
    6 * MEBIBYTE
)  # allowed to every scenario: garbage not yet collected, and buffers between two reads
CONNECTION = 64 * KIBIBYTE  # one HTTP connection with its streams, read buffer and request
CLIENT = 24 * KIBIBYTE  # one session without a connection
ROOM = KIBIBYTE  # a room of one: its name, its dict, its places in two tables
GROWTH = 1.25  # a bytearray that grows reserves more than it holds
COPIES = 2  # a bytearray is copied once, when it is complete
AT_ONCE = 100


@dataclasses.dataclass
class Scenario:
    name: str
    count: int  # clients, connections, or messages, as the scenario says
    bound: Callable[[int], float]  # bytes above the base, for so many
    play: Callable[[Child, int], Coroutine[None, None, None]]

    def scaled(self, scale: float) -> int:
        return max(2, round(self.count * scale))


async def in_parallel(
    work: Callable[[int], Coroutine[None, None, object]], count: int, at_once: int = AT_ONCE
) -> None:
    waiting = iter(range(count))

    async def worker() -> None:
        for number in waiting:
            await work(number)

    await asyncio.gather(*[worker() for _ in range(min(at_once, count))])


# -- Coming and going ------------------------------------------------------------------


def churn(name: str) -> Callable[[Child, int], Coroutine[None, None, None]]:
    async def play(child: Child, count: int) -> None:
        """Connect and disconnect *count* clients, over each transport in turn."""
        generation = GENERATIONS[name]

        async def one(number: int) -> None:
            client = await Client(
                child.port, generation, generation.transports[number % len(generation.transports)]
            ).connect()
            await client.close(farewell=True)

        await in_parallel(one, count)

    return play


async def handshakes(child: Child, count: int) -> None:
    """Make sessions to which no client comes back."""
    hellos = [generation.hello(transport) for generation in GENERATIONS.values() for transport in generation.transports
              if "polling" in transport]  # fmt: skip

    async def one(number: int) -> None:
        line = await Line.open(child.port)
        await line.request("GET", hellos[number % len(hellos)])
        line.close()

    await in_parallel(one, count)


# -- Halves ----------------------------------------------------------------------------


async def half_requests(child: Child, count: int) -> None:
    """Open connections that say nothing, and connections that stop in the middle of a header."""
    lines = await open_lines(child, count)
    for number, line in enumerate(lines):
        line.write(
            [b"", b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Half: " + b"x" * 4000][
                number % 2
            ]
        )
    await all_ended(lines)


async def half_posts(child: Child, count: int) -> None:
    """Send bodies without their last byte."""
    lines = []

    async def one(number: int) -> None:
        client = Client(child.port, GENERATIONS["EIO4"], "polling")
        await client.connect()
        line = await Line.open(child.port)
        url = client.generation.url("polling", client.sid)
        await client.close()
        line.write(
            http_request("POST", url, {"Content-Length": str(MESSAGE)}, b"4" * (MESSAGE - 1))
        )
        lines.append(line)

    await in_parallel(one, count, 20)
    await all_ended(lines)


async def half_upgrades(child: Child, count: int) -> None:
    """Open WebSockets that never finish the upgrade; every second one does not even probe."""
    lines = []

    async def one(number: int) -> None:
        client = await Client(child.port, GENERATIONS["EIO4"], "polling").connect()
        line = await Line.open(child.port)
        await line.upgrade(client.generation.url("websocket", client.sid))
        if number % 2:
            line.write(frame("2probe"))
        await client.close()
        lines.append(line)

    await in_parallel(one, count)
    await all_ended(lines)


def half_messages(*parts: bytes) -> Callable[[Child, int], Coroutine[None, None, None]]:
    async def play(child: Child, count: int) -> None:
        """Open WebSockets that begin a message and do not end it."""
        lines = []

        async def one(number: int) -> None:
            line = await open_websocket(child)
            for part in parts:
                line.write(part)
            lines.append(line)

        await in_parallel(one, count, 20)
        await all_ended(lines)

    return play


HALF_FRAME = frame("x" * MESSAGE)[:-1]
FRAGMENTS = [
    frame(b"x", TEXT_FRAME, first=0),
    frame(b"x" * 1000, 0, first=0) * (MESSAGE // 1000 - 1),
]
HELD = [frame("4510-" + '["x",' + ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10)) + "]"),
        frame(bytes((MESSAGE - 10) // 9)) * 9]  # fmt: skip


# -- Many names ------------------------------------------------------------------------


async def rooms(child: Child, count: int) -> None:
    """Enter as many rooms as one client may, and 100 more."""
    lines = []

    async def one(number: int) -> None:
        line = await open_websocket(child)
        for first in range(0, ROOMS + 100, 20):
            names = ",".join(f'"room {number} {at} {"x" * 80}"' for at in range(first, first + 20))
            line.write(frame(f'42["enter",{names}]'))
        lines.append(line)

    await in_parallel(one, count)
    await all_ended(lines)


async def namespaces(child: Child, count: int) -> None:
    """Join and leave a namespace again and again, and ask for thousands that do not exist."""
    line = await open_websocket(child)
    for number in range(count):
        line.write(frame(f"40/nowhere {number},") + frame("40/admin,") + frame("41/admin,"))
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    await all_ended([line])


# -- Clients that do not read ----------------------------------------------------------

BROADCASTS, BROADCAST_BYTES = 50, 1_000_000


def broadcast(transport: str) -> Callable[[Child, int], Coroutine[None, None, None]]:
    async def play(child: Child, count: int) -> None:
        """Broadcast 50 MB to *count* clients that do not read and to one that reads."""
        reader = await Client(child.port, GENERATIONS["EIO4"], transport).connect()
        deaf = []
        for _ in range(count):
            client = await Client(child.port, GENERATIONS["EIO4"], transport).connect()
            await client.echo("here.")
            client.deafen()
            deaf.append(client)
        for number in range(BROADCASTS):
            await child.ask(f"/broadcast?count=1&bytes={BROADCAST_BYTES}")
            if not await reader.hear(f'["shout",0,"{"x" * 100}'):
                raise RuntimeError(f"the client that reads was lost at broadcast {number}")
        if not await reader.echo("still here."):
            raise RuntimeError("the client that reads got no echo afterwards")
        for client in [reader, *deaf]:
            await client.close()

    return play


async def unread_echo(child: Child, count: int) -> None:
    """Send without end, and never read the echo."""
    lines = []
    message = frame('42["message","' + "x" * 10_000 + '"]')
    for _ in range(count):
        line = await open_websocket(child)
        line.transport.pause_reading()
        line.write(message * 2000)
        lines.append(line)
    # The server ends such a client by its heartbeat, which a client that does not read cannot see.
    await child.settled(lambda state: state["connections"] == 0, 40)
    for line in lines:
        line.transport.abort()


# -- Common ----------------------------------------------------------------------------


async def open_lines(child: Child, count: int) -> list[Line]:
    lines: list[Line] = []

    async def one(number: int) -> None:
        lines.append(await Line.open(child.port))

    await in_parallel(one, count)
    return lines


async def open_websocket(child: Child) -> Line:
    """Open a WebSocket that joins "/" and then answers nothing: the server's heartbeat will end it."""
    line = await Line.open(child.port)
    if not await line.upgrade("/socket.io/?EIO=4&transport=websocket"):
        raise RuntimeError("no WebSocket")
    line.write(frame("40"))
    return line


async def all_ended(lines: list[Line], seconds: float = 40.0) -> None:
    """Wait until the server has ended all connections; bytes that come until then are dropped."""
    end = time.monotonic() + seconds
    while left := sum([not line.is_over() for line in lines]):
        if time.monotonic() > end:
            raise RuntimeError(f"{left} connections were never ended")
        await asyncio.sleep(0.1)


def per_message(copies: float) -> Callable[[int], float]:
    """Return the bound for clients that each have one message of the largest size, held in so many copies."""
    return lambda count: count * (MESSAGE * GROWTH * copies + 3 * CONNECTION + CLIENT)


def deaf_bound(count: int) -> float:
    """Return the bound for deaf clients: each may queue its share and one message more.

    One message exists as JSON, frame and answer at the same time.
    """
    return (count + 1) * (BUFFERED + BROADCAST_BYTES) + 6 * BROADCAST_BYTES


SCENARIOS = [
    *[
        Scenario(
            f"{name}: come and go",
            10_000,
            lambda count: AT_ONCE * (CONNECTION * 2 + CLIENT),
            churn(name),
        )
        for name in GENERATIONS
    ],
    Scenario("handshakes, not followed up", 2_000, lambda count: count * CLIENT, handshakes),
    Scenario("half requests", 1_000, lambda count: count * CONNECTION, half_requests),
    Scenario("half POST bodies", 100, per_message(COPIES), half_posts),
    Scenario("half upgrades", 300, lambda count: count * (CLIENT + 3 * CONNECTION), half_upgrades),
    Scenario("half frames", 100, per_message(COPIES), half_messages(HALF_FRAME)),
    Scenario("half fragments", 100, per_message(COPIES), half_messages(*FRAGMENTS)),
    Scenario("held attachments", 100, per_message(1), half_messages(*HELD)),
    Scenario(
        "rooms", 100, lambda count: count * ((ROOMS + 20) * ROOM + CONNECTION + CLIENT), rooms
    ),
    Scenario("namespaces", 20_000, lambda count: CONNECTION + CLIENT + BUFFERED, namespaces),
    Scenario("50 MB past the deaf, WebSocket", 10, deaf_bound, broadcast("websocket")),
    Scenario("50 MB past the deaf, polling", 10, deaf_bound, broadcast("polling")),
    Scenario(
        "echo never read",
        10,
        lambda count: count * (BUFFERED + MESSAGE * 2 + CONNECTION + CLIENT),
        unread_echo,
    ),
]


async def measure(scenario: Scenario, child: Child, scale: float, first: dict[str, float]) -> bool:
    count = scenario.scaled(scale)
    started = time.monotonic()
    try:
        await scenario.play(child, count)
        problem = ""
    except (RuntimeError, ConnectionError) as error:
        problem = f", {error}"
    await child.settled(lambda state: not state["sessions"] and not state["connections"], 70)
    peak = (await child.state())["peak"]
    last = await child.state(collect=True)
    base, end, blocks = first["resident"], last["resident"], last["blocks"] - first["blocks"]
    bound = base + scenario.bound(count) + FLOOR
    good = (
        peak <= bound and end <= base * (1 + BACK_WITHIN) and blocks <= MORE_BLOCKS and not problem
    )
    figures = " ".join(f"{figure / MEBIBYTE:8.1f}" for figure in (base, peak, bound, end))
    verdict = f"{'ok' if good else 'FAILED'}{problem} ({time.monotonic() - started:.0f} s)"
    print(f"{scenario.name:32} {count:6} {figures}  {blocks:+7.0f}  {verdict}", flush=True)
    return good


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument(
        "scenarios", nargs="*", help="the beginnings of their names; all without any"
    )
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS
              if not options.scenarios or scenario.name.startswith(tuple(options.scenarios))]  # fmt: skip
    child = await Child.start(**OPTIONS)
    for scenario in chosen:
        await scenario.play(child, scenario.scaled(options.scale))
    await child.settled(lambda state: not state["sessions"] and not state["connections"], 70)
    base = await child.state(collect=True)
    print(
        f"{'MiB':32} {'count':>6} {'base':>8} {'peak':>8} {'bound':>8} {'end':>8} {'blocks':>8}",
        flush=True,
    )
    failed = 0
    for scenario in chosen:
        failed += not await measure(scenario, child, options.scale, base)
    errors = await child.stop()
    for error in errors:
        print(f"FAILED the server logged: {error}")
    print(f"{len(chosen)} scenarios, {failed} failed, {len(errors)} errors logged")
    sys.exit(bool(failed or errors))


if __name__ == "__main__":
    asyncio.run(main())
