"""Check the promises about time that must hold when the server has much to do.

    load.py [--scale N] [--stall SECONDS] [SCENARIO ...]

    heartbeats   thousands of idle clients and a busy loop: no client is dropped, pings come within interval + 2 s
    stall        a handler blocks the loop for longer than any timeout: no client is declared dead for it
    slow         clients that do not read slow no broadcast for the others
    restart      the process is killed and started again while clients use it: all of them come back

At full size this is a check for a release: `heartbeats` and `slow` need thousands of clients before they can fail. The
landing run plays `stall` and `restart` with a few clients, of which a single one that is lost is a failure.

Each scenario prints one line; the exit code is 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Coroutine

from child import Child
from memory import in_parallel
from wire import GENERATIONS, TEXT_FRAME, UPGRADE, Client, frame, http_request

INTERVAL, TIMEOUT, LATE = 5.0, 5.0, 2.0


class Idler(asyncio.Protocol):
    """An EIO4 WebSocket that only answers pings, and notes when they came."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.pinged: list[float] = []
        self.joined = 0.0
        self.lost = False
        self.transport: asyncio.Transport

    @classmethod
    async def open(cls, port: int) -> Idler:
        self = (await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port))[1]
        self.transport.write(HELLO + frame("40"))
        return self

    def connection_made(self, transport) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.joined:
            if b'40{"sid":' in self.received:
                self.joined = time.monotonic()
                self.received.clear()
            return
        for _ in range(self.received.count(PING)):
            self.pinged.append(time.monotonic())
            self.transport.write(PONG)
        self.received.clear()

    def longest_wait(self, end: float) -> float:
        """Return the longest time between two pings, the first after the join, the last before *end*."""
        moments = [self.joined, *self.pinged, end]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))


HELLO = http_request("GET", GENERATIONS["EIO4"].hello("websocket"), UPGRADE)
PING = bytes([0x80 | TEXT_FRAME, 1]) + b"2"
PONG = frame("3")


async def open_idlers(child: Child, count: int) -> list[Idler]:
    idlers: list[Idler] = []

    async def one(number: int) -> None:
        idlers.append(await Idler.open(child.port))

    await in_parallel(one, count)
    end = time.monotonic() + 60
    while not all(idler.joined for idler in idlers):
        if time.monotonic() > end:
            raise RuntimeError("not all clients could join")
        await asyncio.sleep(0.1)
    return idlers


# -- Scenarios -------------------------------------------------------------------------
# Each returns a sentence for its line, or raises RuntimeError when a promise was broken.


async def heartbeats(scale: float, stall: float) -> str:
    """Keep the loop busy by a handler that blocks for 60 ms, three quarters of the time."""
    child = await Child.start(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    idlers = await open_idlers(child, max(10, round(5000 * scale)))
    started = time.monotonic()
    seconds = 4 * INTERVAL * max(0.5, scale)
    await child.ask(f"/stall?seconds=0.06&count={round(seconds / 0.08)}")
    await asyncio.sleep(seconds)
    end = time.monotonic()
    lost = sum(idler.lost for idler in idlers)
    longest = max(idler.longest_wait(end) for idler in idlers)
    await finish(child, idlers)
    if lost:
        raise RuntimeError(f"{lost} of {len(idlers)} were dropped")
    if longest > INTERVAL + LATE:
        raise RuntimeError(f"a ping came after {longest:.1f} s, the interval is {INTERVAL} s")
    seen = f"{len(idlers)} clients, {end - started:.0f} s: none dropped"
    return (
        f"{seen}, none without a ping for more than {longest:.2f} s; the interval is {INTERVAL} s"
    )


async def stalled_loop(scale: float, stall: float) -> str:
    """Block the loop for longer than interval and timeout together, with clients of all generations connected."""
    child = await Child.start(ping_interval=1.0, ping_timeout=1.0, poll_duration=1.0)
    idlers = await open_idlers(child, max(10, round(500 * scale)))
    clients = [await Client(child.port, generation, transport).connect()
               for generation in GENERATIONS.values() for transport in generation.transports]  # fmt: skip
    for client in clients:
        client.patience += stall
    pingers = [
        asyncio.ensure_future(ping(client)) for client in clients if client.generation.own_pings
    ]
    await child.ask(f"/stall?seconds={stall}")
    await asyncio.sleep(stall + 3.0)
    for pinger in pingers:
        pinger.cancel()
    lost = [
        f"{client.generation.name} {client.transport}"
        for client in clients
        if not await client.echo("still here.")
    ]
    lost += ["EIO4 idle"] * sum(idler.lost for idler in idlers)
    for client in clients:
        await client.close()
    await finish(child, idlers)
    if lost:
        raise RuntimeError(f"{len(lost)} were declared dead: {', '.join(lost[:20])}")
    count = len(idlers) + len(clients)
    return (
        f"{count} clients, a stall of {stall:.0f} s with heartbeats of 1 + 1 s: all are still there"
    )


async def ping(client: Client) -> None:
    """Send a ping every half second, as EIO3 clients do."""
    while True:
        await client.say("2")
        await asyncio.sleep(0.5)


async def slow_client(scale: float, stall: float) -> str:
    """Compare broadcasts without and with clients that do not read, by their medians: single times vary by chance."""
    child = await Child.start(max_buffered_bytes=2_000_000)
    readers = [
        await Client(child.port, GENERATIONS["EIO4"], "websocket").connect()
        for _ in range(max(5, round(50 * scale)))
    ]

    async def broadcasts() -> float:
        seconds = []
        for _ in range(20):
            started = time.monotonic()
            await child.ask("/broadcast?count=1&bytes=20000")
            if not all(
                await asyncio.gather(*[reader.hear('["shout",0,"xxx') for reader in readers])
            ):
                raise RuntimeError("a reader got no broadcast")
            seconds.append(time.monotonic() - started)
        return sorted(seconds)[len(seconds) // 2]

    before = await broadcasts()
    deaf = []
    for _ in range(10):
        client = await Client(child.port, GENERATIONS["EIO4"], "websocket").connect()
        await client.echo("here.")
        client.deafen()
        deaf.append(client)
    during = await broadcasts()
    for client in [*readers, *deaf]:
        await client.close()
    await finish(child, [])
    if during > 3 * before + 0.1:
        raise RuntimeError(
            f"a broadcast took {during * 1000:.0f} ms beside slow clients, {before * 1000:.0f} ms without"
        )
    times = f"a broadcast takes {during * 1000:.1f} ms, without them {before * 1000:.1f} ms"
    return f"{len(readers)} readers, 10 that do not read: {times}"


async def restart(scale: float, stall: float) -> str:
    """Kill the server under clients of every kind, which come back as real ones do: after a random, growing delay."""
    child = await Child.start()
    count, stop, here = max(10, round(500 * scale)), asyncio.Event(), set()
    kinds = [
        (generation, transport)
        for generation in GENERATIONS.values()
        for transport in generation.transports
    ]

    async def live(number: int) -> None:
        generation, transport = kinds[number % len(kinds)]
        delay = 0.5
        while not stop.is_set():
            client = Client(child.port, generation, transport)
            try:
                await client.connect()
                if await client.echo(f"client {number}."):
                    here.add(number)
                    delay = 0.5
                while not client.lost and not stop.is_set():
                    await asyncio.sleep(0.1)
            except (OSError, ConnectionError):
                pass
            here.discard(number)
            await client.close(farewell=stop.is_set())
            await asyncio.sleep(0 if stop.is_set() else random.uniform(0.5, 1.0) * delay)
            delay = min(5.0, delay * 2)

    async def all_here(seconds: float) -> float:
        started = time.monotonic()
        while len(here) < count:
            if time.monotonic() > started + seconds:
                raise RuntimeError(
                    f"only {len(here)} of {count} clients are here after {seconds:.0f} s"
                )
            await asyncio.sleep(0.1)
        return time.monotonic() - started

    lives = [asyncio.ensure_future(live(number)) for number in range(count)]
    try:
        await all_here(60)
        child.kill()
        await child.process.wait()
        here.clear()
        await asyncio.sleep(1.0)
        child = await Child.start(child.port)
        seconds = await all_here(60)
    finally:
        stop.set()
        await asyncio.gather(*lives, return_exceptions=True)
        errors = await child.stop()
    if errors:
        raise RuntimeError(f"the server logged: {errors[0]}")
    return f"{count} clients of all kinds were back {seconds:.1f} s after the server was"


async def finish(child: Child, idlers: list[Idler]) -> None:
    for idler in idlers:
        idler.transport.abort()
    errors = await child.stop()
    if errors:
        raise RuntimeError(f"the server logged: {errors[0]}")


SCENARIOS: dict[str, Callable[[float, float], Coroutine[None, None, str]]] = {
    "heartbeats": heartbeats, "stall": stalled_loop, "slow": slow_client, "restart": restart,
}  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--stall", type=float, default=30.0)
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS])
    options = parser.parse_args()
    failed = 0
    for name in options.scenarios or SCENARIOS:
        try:
            print(
                f"ok      {name}: {await SCENARIOS[name](options.scale, options.stall)}", flush=True
            )
        except RuntimeError as error:
            failed += 1
            print(f"FAILED  {name}: {error}", flush=True)
    print(f"{len(options.scenarios or SCENARIOS)} scenarios, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    asyncio.run(main())
