"""Mix the traffic of all generations for a given time; the server's tables must not grow, every echo must come.

    soak.py [SECONDS] [--clients N]

This is a check for a release, for an hour: it finds memory, descriptors or table entries that are lost now and then,
and echoes that get slower with the age of the process. In half a minute hardly any of that can be seen; the landing run
has fuzz.py, which ends with the same question of what is left.

Every client lives some seconds: it connects (over any transport of its generation), upgrades if its generation does,
sends, asks for acks, enters rooms, shouts, stays silent, and leaves with or without a farewell. Inputs of fuzz.py are
played in between. The table at the end compares the server after its warm-up with the server at the end, both without
clients.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import random
import statistics
import sys
import time
from typing import Any

import fuzz
from child import Child
from wire import GENERATIONS, Client, Generation, frame

MEBIBYTE = 1024 * 1024
MAY_GROW = 0.10  # the part of the resident memory by which it may grow
MAY_GROW_BYTES = 4 * MEBIBYTE  # if that is more
OPTIONS = {
    "max_message_bytes": fuzz.OPTIONS["max_message_bytes"],  # fuzz.py must know from which size on a frame is refused
    "ping_interval": 4.0, "ping_timeout": 6.0, "connect_timeout": 5.0, "upgrade_timeout": 5.0, "close_timeout": 3.0,
    "poll_duration": 3.0, "return_seconds": 6.0,
}  # fmt: skip
LONGEST = 20.0  # seconds until the server has forgotten the last client


class Soak:
    def __init__(self, child: Child, seed: int) -> None:
        self.child = child
        self.rng = random.Random(seed)
        self.waits: dict[str, list[float]] = {"start": [], "end": []}  # seconds for an echo
        self.phase = ""
        self.counts: collections.Counter[str] = collections.Counter()
        self.problems: collections.Counter[str] = collections.Counter()
        self.number = 0

    async def run(self, seconds: float, clients: int) -> None:
        """Keep *clients* clients at a time: each that leaves is replaced."""
        end = time.monotonic() + seconds
        await asyncio.gather(*[self._lives(end) for _ in range(clients)], self._attacks(end))

    async def _lives(self, end: float) -> None:
        while time.monotonic() < end:
            generation = self.rng.choice(list(GENERATIONS.values()))
            transport = self.rng.choice(generation.transports)
            if transport == "jsonp-polling" and generation.name == "0.6":
                transport = "xhr-polling"
            client = Client(self.child.port, generation, transport)
            kind = f"{generation.name} {transport}"
            try:
                await client.connect()
                self.counts[kind] += 1
                await self._life(
                    client, min(end, time.monotonic() + self.rng.uniform(0.2, 15.0)), kind
                )
            except ConnectionError as error:
                self.problems[f"{kind}: {error}"] += 1
            finally:
                await client.close(farewell=self.rng.random() < 0.7)

    async def _life(self, client: Client, end: float, kind: str) -> None:
        rng, generation = self.rng, client.generation
        if generation.upgrades and client.transport == "polling" and rng.random() < 0.5:
            await self._upgrade(client)
        while time.monotonic() < end:
            self.number += 1
            started = time.monotonic()
            if not await client.echo(f"echo {self.number}."):
                self.problems[
                    f"{kind}: no echo{', the connection was lost' if client.lost else ''}"
                ] += 1
                return
            if self.phase:
                self.waits[self.phase].append(time.monotonic() - started)
            await client.say(self._something(generation))
            if generation.upgrades:
                await client.say("421" + generation.event("ask", "acknowledged")[2:])
                if not await client.hear("acknowledged"):
                    self.problems[f"{kind}: no ack"] += 1
                    return
            await asyncio.sleep(rng.choice([0.01, 0.1, 0.5, 2.0]))

    def _something(self, generation: Generation) -> str:
        rng = self.rng
        room = f"room {rng.randrange(50)}"
        return rng.choice(
            [
                generation.event("enter", room),
                generation.event("exit", room),
                generation.event("shout", room, "x" * rng.choice([10, 1000])),
                generation.event("slow"),
                generation.event("flood", 3, rng.choice([10, 20_000])),
                generation.message("é€😀"),
            ]
        )

    async def _upgrade(self, client: Client) -> None:
        """Upgrade to a WebSocket as real clients do: probe while polling, wait for the poll in flight, then switch."""
        old = client.line
        line = await type(old).open(self.child.port)
        if not await line.upgrade(client.generation.url("websocket", client.sid)):
            raise ConnectionError("no upgrade")
        line.write(frame("2probe"))
        if await line.until(line.take_frame) != (1, b"3probe"):
            raise ConnectionError("no answer to the probe")
        await client.stop_polling()
        client.line, client.transport = line, "websocket"
        line.write(frame("5"))
        client.read_on()
        old.close()
        self.counts["upgrades"] += 1

    async def _attacks(self, end: float) -> None:
        while time.monotonic() < end:
            generation = self.rng.choice(list(GENERATIONS.values()))
            self.number += 1
            plan = fuzz.Plan(generation, 1, self.number)
            try:
                await fuzz.Attacker(self.child.port, plan, f"check-{self.number}-").play()
            except fuzz.Failure as failure:
                self.problems[f"hostile input {generation.name} {self.number}: {failure}"] += 1
            self.counts["hostile inputs"] += 1
            await asyncio.sleep(0.05)


def percentiles(waits: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
    return cuts[49] * 1000, cuts[98] * 1000


async def soak(seconds: float, clients: int, seed: int) -> bool:
    child = await Child.start(**OPTIONS)
    traffic = Soak(child, seed)
    # The warm-up comes before the first measurement: it fills caches, imports modules and makes the allocator's pools.
    warm, tail = min(60.0, seconds / 4), min(120.0, seconds / 4)
    await traffic.run(warm / 2, clients)
    traffic.phase = "start"
    await traffic.run(warm / 2, clients)
    traffic.phase = ""
    start = await quiet(child)
    await traffic.run(max(0.0, seconds - warm - tail), clients)
    traffic.phase = "end"
    await traffic.run(tail, clients)
    end = await quiet(child)
    errors = await child.stop()
    return report(traffic, start, end, errors)


async def quiet(child: Child) -> dict[str, Any]:
    """Wait until the server has forgotten every client, and return its figures."""
    await child.settled(lambda state: state["sessions"] == 0 and state["connections"] == 0, LONGEST)
    await asyncio.sleep(0.5)
    return await child.state(collect=True)


def report(traffic: Soak, start: dict[str, Any], end: dict[str, Any], errors: list[str]) -> bool:
    rows = [("memory, MiB", start["resident"] / MEBIBYTE, end["resident"] / MEBIBYTE)]
    sizes = [("descriptors", start["descriptors"], end["descriptors"])]
    sizes += [("tasks", start["tasks"], end["tasks"])]
    sizes += [
        (name, start["tables"].get(name, 0), end["tables"].get(name, 0))
        for name in sorted({*start["tables"], *end["tables"]})
    ]
    rows += sizes
    p50, p99 = zip(
        percentiles(traffic.waits["start"]), percentiles(traffic.waits["end"]), strict=True
    )
    rows += [("echo p50, ms", *p50), ("echo p99, ms", *p99)]
    for kind, count in sorted(traffic.counts.items()):
        print(f"{count:8} {kind}")
    print(f"{'':24}{'start':>10}{'end':>10}")
    for name, first, last in rows:
        print(f"{name:24}{first:10.1f}{last:10.1f}")
    good = True
    if end["resident"] > start["resident"] + max(MAY_GROW * start["resident"], MAY_GROW_BYTES):
        good = False
        print("FAILED the memory grew")
    for name, first, last in sizes:
        if last > first:
            good = False
            print(f"FAILED {name} grew from {first} to {last}")
    for problem, count in traffic.problems.most_common(20):
        good = False
        print(f"FAILED {count} times: {problem}")
    for error in errors:
        good = False
        print(f"FAILED the server logged: {error}")
    print(
        f"{sum(traffic.counts.values())} clients, upgrades and hostile inputs: {'ok' if good else 'failed'}"
    )
    return good


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float, nargs="?", default=30.0)
    parser.add_argument("--clients", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.exit(not asyncio.run(soak(options.seconds, options.clients, options.seed)))


if __name__ == "__main__":
    main()
