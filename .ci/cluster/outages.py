"""Checks of a cluster whose Redis is away, frozen, or ends connections."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from typing import Any

from case import Case, alike, check, expect, expect_set
from peers import Ours, Server, until

from test_socket_io import Client

MB = 1024 * 1024


async def cluster(
    case: Case, nodes: tuple[str, ...] = ("redis", "ioredis"), **options: Any
) -> dict[Server, Client]:
    """Start two servers of ours and node's, each with one client in "/"; heartbeats are quick."""
    options = {"ping_interval": 1.0, "ping_timeout": 2.0, **options}
    starting = [case.stage.ours(title, **options) for title in ("ours", "ours too")]
    starting += [case.stage.node(client) for client in nodes]
    servers = await asyncio.gather(*starting)
    clients = {server: await case.client(server, namespace="/") for server in servers}
    await case.joined(len(servers), "/")
    return clients


async def at_once(what: str, server: Server, client: Client, *words: Any) -> None:
    """Emit, and see that the server's own client hears it at once, and that it answers acks."""
    started = time.monotonic()
    await server.emit(*words)
    expect(f"{what}: its own client heard", [*await client.receive()], [*words])
    expect(f"{what}: ack", await client.call("echo", 1), 1)
    took = time.monotonic() - started
    if took > 1.0:
        raise AssertionError(f"{what}: an event to its own client and an ack took {took:.1f} s")


async def as_usual(case: Case, clients: dict[Server, Client]) -> None:
    """See that all servers are one cluster."""
    for sender in clients:
        await sender.emit("usual", sender.title)
        await case.expect_heard(
            f"{sender.title} emits",
            [sender],
            alike(clients.values(), [["usual", sender.title]]),
            namespace="/",
        )
        found = await sender.fetch()
        expect_set(
            f"{sender.title} fetches",
            [one["id"] for one in found],
            [one.id for one in clients.values()],
        )


def gather_events(clients: dict[Server, Client]) -> dict[Client, list[Any]]:
    """Take the events that have arrived and are not read yet."""
    return {client: [list(client._packets.popleft().data) for _ in range(len(client._packets))]
            for client in clients.values()}  # fmt: skip


async def heard_again(
    case: Case, clients: dict[Server, Client], senders: list[Server]
) -> dict[Client, list[Any]]:
    """Wait until every client hears every sender again, and return all that they heard meanwhile.

    Node publishes what waited as soon as its own connection is back, whether or not others listen already.
    """
    heard: dict[Client, list[Any]] = {client: [] for client in clients.values()}
    numbers = itertools.count()

    async def look() -> bool:
        number = next(numbers)
        for sender in senders:
            await sender.emit("again", number, sender.title)
        await asyncio.sleep(0.1)
        for client, events in gather_events(clients).items():
            heard[client] += events
        return all(
            numbers_of(events, "again", sender) for events in heard.values() for sender in senders
        )

    await until("every client hears every server again", look, 15)
    last = await case.hearing(senders, clients.values(), namespace="/")
    for client, events in zip(clients.values(), last, strict=True):
        heard[client] += events
    return heard


def numbers_of(events: list[Any], name: str, sender: Server) -> list[int]:
    return [words[1] for words in events if words[0] == name and words[2] == sender.title]


def expect_numbers(
    clients: dict[Server, Client],
    heard: dict[Client, list[Any]],
    sender: Server,
    name: str,
    wanted: list[int],
) -> None:
    for server, client in clients.items():
        numbers = numbers_of(heard[client], name, sender)
        expect(f"the client of {server.title} heard of {sender.title}", numbers, wanted)


def expect_none_twice(
    clients: dict[Server, Client], heard: dict[Client, list[Any]], senders: list[Server], name: str
) -> None:
    for server, client in clients.items():
        for sender in senders:
            numbers = numbers_of(heard[client], name, sender)
            expect(
                f"the client of {server.title} heard of {sender.title}, none twice and in order",
                numbers,
                sorted(set(numbers)),
            )


@check(
    21,
    "Redis is stopped and started: own clients are served at once; then what waited arrives once",
    "outage",
)
async def stopped(case: Case) -> None:
    clients = await cluster(case)
    servers = [*clients]
    ours = servers[:2]
    for server in ours:  # who knows how many they are waits for all of them to come back
        expect(f"{server.title} counts", await server.server_count(), len(servers))
    await case.redis.stop()
    for server in servers:
        await at_once(
            f"Redis is away, {server.title}", server, clients[server], "away", 0, server.title
        )
    for number in range(1, 20):
        for server in servers:
            await server.emit("away", number, server.title)
    for server in [server for server in ours if isinstance(server, Ours)]:  # node's waits for Redis
        started = time.monotonic()
        try:
            await server.fetch()
            raise RuntimeError("a fetch said nothing about the servers that are away")
        except AssertionError as error:
            expect("why a fetch failed", "ClusterTimeout" in str(error), True)
        expect("a fetch ends after cluster_timeout", time.monotonic() - started < 4, True)
    await case.redis.start()
    await case.joined(len(servers), "/")
    heard = await heard_again(case, clients, servers)
    for server in ours:
        for client in clients.values():
            if client is clients[server]:
                heard[client].insert(0, ["away", 0, server.title])  # read above
        expect_numbers(clients, heard, server, "away", [*range(20)])
    expect_none_twice(clients, heard, servers, "away")
    await as_usual(case, clients)


@check(
    22,
    "all connections are killed: all servers come back, nothing arrives twice",
    "killed connections",
)
async def killed(case: Case) -> None:
    clients = await cluster(case)
    servers = [*clients]
    emitting = [
        asyncio.ensure_future(server.burst("kill", range(100), server.title, pause=0.005))
        for server in servers[:2]
    ]
    await until("events arrive", lambda: clients[servers[-1]]._packets)
    for kind in ("pubsub", "normal", "pubsub"):
        await case.redis.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    await asyncio.gather(*emitting)
    await case.joined(len(servers), "/")
    heard = await heard_again(case, clients, servers)
    expect_none_twice(clients, heard, servers, "kill")
    for server in servers[:2]:
        numbers = numbers_of(heard[clients[server]], "kill", server)
        expect(f"{server.title}: its own client heard all", numbers, [*range(100)])
    await as_usual(case, clients)


async def emit_while_frozen(
    case: Case, clients: dict[Server, Client], seconds: float, pause: float
) -> int:
    """Freeze Redis; its servers serve their own clients at once. Return how often each has emitted."""
    case.redis.send_signal(signal.SIGSTOP)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        for server in [*clients][:2]:
            await at_once(
                f"Redis is frozen, {server.title}",
                server,
                clients[server],
                "frozen",
                number,
                server.title,
            )
        number += 1
        await asyncio.sleep(pause)
    case.redis.send_signal(signal.SIGCONT)
    return number


@check(
    23,
    "Redis is frozen for 3 s: acks and heartbeats go on, and what was sent arrives once",
    "frozen for 3 s",
)
async def frozen(case: Case) -> None:
    clients = await cluster(case)
    servers = [*clients]
    number = await emit_while_frozen(case, clients, 3, 0.2)
    heard = await heard_again(case, clients, servers)
    for server in servers[:2]:
        heard[clients[server]][:0] = [
            ["frozen", n, server.title] for n in range(number)
        ]  # read above
        expect_numbers(clients, heard, server, "frozen", [*range(number)])
    for client in clients.values():
        expect("a client was disconnected", client.disconnected.is_set(), False)
    await as_usual(case, clients)


@check(
    23,
    "Redis is frozen for 11 s: its connections are given up, and made again when it is back",
    "frozen for 11 s",
)
async def frozen_for_long(case: Case) -> None:
    clients = await cluster(case)
    servers = [*clients]
    await emit_while_frozen(case, clients, 11, 0.5)
    await case.joined(len(servers), "/")
    heard = await heard_again(case, clients, servers)
    expect_none_twice(clients, heard, servers, "frozen")
    for client in clients.values():
        expect("a client was disconnected", client.disconnected.is_set(), False)
    for server in [server for server in servers if isinstance(server, Ours)]:
        warned = [line for line in server.log if line.startswith("WARNING") and "Redis" in line]
        expect(f"{server.title} said that Redis is away", len(warned), 1)
    await as_usual(case, clients)


@check(33, "memory does not grow over outages with traffic", "memory")
async def memory(case: Case) -> None:
    clients = await cluster(case, nodes=())
    ours = [*clients]
    elsewhere = {
        "rooms": ["elsewhere"]
    }  # nobody is there: what grows is not what waits for a client
    await ours[0].burst("traffic", range(2000), "x" * 2000, **elsewhere)
    await as_usual(case, clients)
    sizes = [ours[0].resident_bytes()]
    for _ in range(3):
        await case.redis.stop()
        await ours[0].burst("traffic", range(20_000), "x" * 2000, **elsewhere)
        sizes.append(ours[0].resident_bytes())
        await case.redis.start()
        await case.joined(2, "/")
        await heard_again(case, clients, ours)
    in_mb = [round(size / MB, 1) for size in sizes]
    if sizes[1] - sizes[0] > 16 * MB:  # the queue holds 4 MB; 40 MB were emitted
        raise AssertionError(f"with Redis away, memory grew without a bound: {in_mb} MB")
    if sizes[3] - sizes[1] > 3 * MB:
        raise AssertionError(f"memory grows with each outage: {in_mb} MB")
    if isinstance(ours[0], Ours):
        warned = [line for line in ours[0].log if line.startswith("WARNING")]
        expect("warnings, one for each outage", len(warned), 3)
    await as_usual(case, clients)
