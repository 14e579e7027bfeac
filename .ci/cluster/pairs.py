"""Checks that are played by two servers of one cluster: ours, and each kind of partner in turn."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgpack
from case import Case, alike, check, expect, expect_set
from peers import Node, Ours, Server, until

from socket_io import DISCONNECT

VALUES = [
    None, True, False, 0, -1, 1.5, 2**53 - 1, -(2**40), "", "é€😀", "\x00\u2028", [], {}, [[], {}],
    {"a": [{"b": None}, "c"], "é": 1},
]  # fmt: skip
ROOMS = [
    "r1",
    "a#b",
    "#",
    "x*",
    "*",
    "[ab]",
    "back\\slash",
    "two words",
    "é😀",
    "42",
    "?",
    "{}",
    "a" * 300,
]


@check(1, "a broadcast reaches all clients of both, each once, with every type of JSON")
async def broadcast(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(server) for server in (a, a, b, b)]
    await case.joined(2)
    for sender in (a, b):
        await sender.emit("hi", *VALUES, namespace=case.namespace)
        await sender.emit("bare", namespace=case.namespace)
        wanted: list[Any] = [["hi", *VALUES], ["bare"]]
        what = f"{sender.title} emits"
        await case.expect_heard(what, [sender], alike(clients, wanted))


@check(2, "rooms of any name, several rooms, and an id as a room: each member gets one copy")
async def rooms(case: Case, a: Server, b: Server) -> None:
    members = [await case.client(server, rooms=ROOMS) for server in (a, b)]
    others = [await case.client(server) for server in (a, b)]
    await case.joined(2)
    for sender in (a, b):
        for room in ROOMS:
            await sender.emit("one", room, namespace=case.namespace, rooms=[room])
        await sender.emit("several", namespace=case.namespace, rooms=["r1", "42", "nobody"])
        await sender.emit("nobody", namespace=case.namespace, rooms=["nobody"])
        await sender.emit("id", namespace=case.namespace, rooms=[others[0].id])
        await sender.emit("ids", namespace=case.namespace, rooms=[others[1].id, members[1].id])
        wanted = [*[["one", room] for room in ROOMS], ["several"]]
        await case.expect_heard(
            f"{sender.title} emits", [sender],
            {members[0]: wanted, members[1]: [*wanted, ["ids"]], others[0]: [["id"]], others[1]: [["ids"]]},
        )  # fmt: skip


@check(2, "node's rooms that are numbers are rooms named by their digits")
async def numbers(case: Case, a: Server, b: Server) -> None:
    if not isinstance(b, Node) or not isinstance(a, Ours):
        raise NotImplementedError
    client = await case.client(a, rooms=["42", "7"])
    at_node = await case.client(b)
    await case.joined(2)
    await b.run(
        "io.of(args[0]).to(42).emit('number'); io.of(args[0]).to([7, 8]).emit(5)", case.namespace
    )
    await case.expect_heard("to(42)", [b], {client: [["number"], ["5"]], at_node: []})


@check(3, "all but the members of a room, and all but an id")
async def excepting(case: Case, a: Server, b: Server) -> None:
    quiet = [await case.client(server, rooms=["quiet", "both"]) for server in (a, b)]
    loud = [await case.client(server, rooms=["both"]) for server in (a, b)]
    await case.joined(2)
    for sender in (a, b):
        everywhere = {"namespace": case.namespace}
        await sender.emit("room", **everywhere, **{"except": ["quiet"]})
        await sender.emit("id", **everywhere, **{"except": [loud[0].id]})
        await sender.emit("some", **everywhere, rooms=["both"], **{"except": ["quiet", loud[1].id]})
        wanted = {loud[0]: [["room"], ["some"]], loud[1]: [["room"], ["id"]]}
        await case.expect_heard(f"{sender.title} emits", [sender], wanted | alike(quiet, [["id"]]))


@check(4, "bytes anywhere in the arguments arrive as bytes")
async def binary(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(server, transport=transport)
               for server in (a, b) for transport in ("websocket", "xhr-polling")]  # fmt: skip
    await case.joined(2)
    args = [b"\x01\x02", {"x": [b"\xff", {"y": b""}], "n": 1}, [b"\x00" * 1000]]
    for sender in (a, b):
        await sender.emit("bytes", *args, namespace=case.namespace)
        await case.expect_heard(
            f"{sender.title} emits", [sender], alike(clients, [["bytes", *args]])
        )


@check(5, "volatile and compress travel, local stays, and the order is kept")
async def flags(case: Case, a: Server, b: Server) -> None:
    clients = {a: await case.client(a), b: await case.client(b)}
    await case.joined(2)
    async with case.redis.client.pubsub() as tap:
        await tap.psubscribe(f"socket.io#{case.namespace}#*")
        for sender, other in ((a, b), (b, a)):
            for number, flag in enumerate([{}, {"local": True}, {"compress": False}, {}]):
                await sender.emit("flag", number, namespace=case.namespace, **flag)
            wanted = {clients[sender]: [["flag", n] for n in range(4)],
                      clients[other]: [["flag", n] for n in (0, 2, 3)]}  # fmt: skip
            await case.expect_heard(f"{sender.title} emits", [sender], wanted)
            # Behind an event that is under way, a volatile one would be dropped.
            await sender.emit("flag", 4, namespace=case.namespace, volatile=True)
            for client in clients.values():
                expect("the volatile event", [*await client.receive()], ["flag", 4])
            seen = dict([await published(tap, "flag") for _ in range(4)])
            expect(
                f"{sender.title}: published as volatile",
                seen,
                {0: False, 2: False, 3: False, 4: True},
            )


async def published(tap: Any, name: str) -> tuple[int, bool]:
    """Wait until an event of this name is published; return its argument, and whether it is volatile."""
    while True:
        message = await asyncio.wait_for(anext(tap.listen()), 5)
        if message["type"] == "pmessage":
            _, packet, options = msgpack.unpackb(message["data"])
            if packet["data"][0] == name:
                return packet["data"][1], options["flags"].get("volatile", False)


@check(
    6, "namespaces do not hear each other; one made for its clients joins with the first and leaves"
)
async def namespaces(case: Case, a: Server, b: Server) -> None:
    longer = f"{case.namespace}#x"
    clients = {a: await case.client(a), b: await case.client(b)}
    await case.joined(2)
    others = [
        await case.client(server, namespace=name) for server in (a, b) for name in (longer, "/")
    ]
    await case.joined(2, longer)
    for sender in (a, b):
        await sender.emit("here", namespace=case.namespace)
        await case.hearing([sender], clients.values())
        await case.expect_heard(
            "another namespace", [sender], {others[0]: [], others[2]: []}, namespace=longer
        )
        await case.expect_heard("/", [sender], {others[1]: [], others[3]: []}, namespace="/")
    await clients[a].leave()
    await case.joined(1)
    await clients[b].leave()
    if isinstance(a, Ours):  # node's `of` has made it again, and it stays until a client leaves it
        await case.joined(0)


@check(6, "a server without clients in a namespace reaches those of others, by every verb")
async def from_outside(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(b) for _ in range(2)]
    await case.joined(1)
    scope = {"namespace": case.namespace}
    await a.emit("from outside", **scope)
    for client in clients:
        expect("a client heard", [*await client.receive()], ["from outside"])
    await a.join("r1", **scope, rooms=[clients[0].id])
    await a.emit("room", **scope, rooms=["r1"])
    expect("the client in the room heard", [*await clients[0].receive()], ["room"])
    ids = [one["id"] for one in await a.fetch(**scope)]
    expect_set("fetched", ids, [client.id for client in clients])
    expect_set("all rooms", await a.all_rooms(**scope), [*ids, "r1"])
    answering = [asyncio.ensure_future(client.answer(n)) for n, client in enumerate(clients)]
    acks = await a.call("question", **scope)
    await asyncio.gather(*answering)
    expect("acks", [sorted(acks.answers), acks.complete], [[0, 1], True])
    name = case.namespace[1:]
    await b.listen(name, "heard", **scope)
    expect("answers", (await a.side_call(name, **scope)).answers, ["heard"])
    await a.disconnect(**scope)
    for client in clients:
        await asyncio.wait_for(client.receive_packet(DISCONNECT), 5)
    if isinstance(a, Ours):  # node stays a member
        await case.joined(0)


@check(7, "fetch_sockets finds all clients with ids, rooms, data and handshake; also some of them")
async def fetch(case: Case, a: Server, b: Server) -> None:
    first = await case.client(a, rooms=["r1", "both"], auth={"token": "secret"}, query="&q=1")
    second = await case.client(b, rooms=["r2", "both"], query="&q=2")
    await case.joined(2)
    await first.call("remember", {"name": "Ada", "deep": [1, {"x": None}]})
    await second.call("remember", {"name": "Bob"})
    for asker in (a, b):
        found = {one["id"]: one for one in await asker.fetch(namespace=case.namespace)}
        expect_set(f"{asker.title}: ids", found, [first.id, second.id])
        one, two = found[first.id], found[second.id]
        expect_set("rooms", one["rooms"], [first.id, "r1", "both"])
        expect_set("rooms", two["rooms"], [second.id, "r2", "both"])
        expect("data", one["data"], {"name": "Ada", "deep": [1, {"x": None}]})
        expect("data", two["data"], {"name": "Bob"})
        for name, handshake in (("1", one["handshake"]), ("2", two["handshake"])):
            missing = {
                "headers",
                "time",
                "address",
                "xdomain",
                "secure",
                "issued",
                "url",
                "query",
                "auth",
            } - {*handshake}
            expect("missing in the handshake", sorted(missing), [])
            expect("q of the query", handshake["query"]["q"], name)
            expect("host", handshake["headers"]["host"], "test.example")
            expect("address", handshake["address"].rpartition(":")[2], "127.0.0.1")
            age = time.time() * 1000 - handshake["issued"]
            expect("issued just now, in ms", 0 <= age < 120_000, True)

        async def ids(asker=asker, **scope: Any) -> list[str]:
            return sorted(
                [one["id"] for one in await asker.fetch(namespace=case.namespace, **scope)]
            )

        expect("in r2", await ids(rooms=["r2"]), [second.id])
        expect("in r1 or r2", await ids(rooms=["r1", "r2"]), sorted([first.id, second.id]))
        expect("both but r1", await ids(rooms=["both"], **{"except": ["r1"]}), [second.id])
        expect("all but r2", await ids(**{"except": ["r2"]}), [first.id])
        expect("in an id", await ids(rooms=[first.id]), [first.id])
        own = first if asker is a else second
        expect("local", await ids(local=True), [own.id])


@check(8, "all_rooms names the rooms of all servers")
async def all_rooms(case: Case, a: Server, b: Server) -> None:
    first = await case.client(a, rooms=["r1", "both"])
    second = await case.client(b, rooms=["r2", "both"])
    await case.joined(2)
    for asker in (a, b):
        wanted = [first.id, second.id, "r1", "r2", "both"]
        expect_set(f"{asker.title}", await asker.all_rooms(namespace=case.namespace), wanted)


@check(10, "join and leave move clients of all servers, by room, id and exception")
async def joining(case: Case, a: Server, b: Server) -> None:
    first = await case.client(a, rooms=["r1"])
    second = await case.client(b, rooms=["r1", "r2"])
    await case.joined(2)
    everywhere = {"namespace": case.namespace}

    async def rooms_are(what: str, *wanted: list[str]) -> None:
        async def look() -> bool:
            found = {one["id"]: one["rooms"] for one in await a.fetch(**everywhere)}
            seen.clear()
            seen.extend([sorted({*found[one.id]} - {one.id}) for one in (first, second)])
            return seen == [sorted(rooms) for rooms in wanted]

        seen: list[list[str]] = []
        try:
            await until(what, look, 5)
        except AssertionError:
            raise AssertionError(f"{what}: rooms are {seen} instead of {wanted}") from None

    for actor in (a, b):
        await actor.join("new", "newer", **everywhere, rooms=["r1"])
        await rooms_are(
            f"{actor.title}: r1 joins", ["r1", "new", "newer"], ["r1", "r2", "new", "newer"]
        )
        await actor.leave("new", **everywhere, **{"except": ["r2"]})
        await rooms_are("all but r2 leave", ["r1", "newer"], ["r1", "r2", "new", "newer"])
        await actor.join("mine", **everywhere, rooms=[first.id])
        await actor.join("mine", **everywhere, rooms=[second.id])
        await rooms_are(
            "an id joins", ["r1", "newer", "mine"], ["r1", "r2", "new", "newer", "mine"]
        )
        await actor.leave("new", "newer", **everywhere)
        await actor.leave("mine", **everywhere, rooms=["mine"])
        await rooms_are("all leave", ["r1"], ["r1", "r2"])


@check(10, "what is emitted to a room right after a join of ours reaches whom it has joined")
async def join_then_emit(case: Case, a: Server, b: Server) -> None:
    if not isinstance(a, Ours):
        raise NotImplementedError
    clients = [await case.client(server) for server in (a, b)]
    await case.joined(2)
    await a.run(
        "at(args[0]).join('soon'); at({**args[0], 'rooms': ['soon']}).emit('joined')",
        {"namespace": case.namespace},
    )
    await case.expect_heard("join, then emit", [a], alike(clients, [["joined"]]))


@check(11, "disconnect ends the namespace for clients of all servers, with close the connection")
async def disconnecting(case: Case, a: Server, b: Server) -> None:
    for actor in (a, b):
        clients = [await case.client(server, rooms=["out"]) for server in (a, b)]
        stay = [await case.client(server) for server in (a, b)]
        await case.joined(2)
        for client in clients:
            await client.join("/")
        await actor.disconnect(namespace=case.namespace, rooms=["out"])
        for client in clients:
            packet = await asyncio.wait_for(client.receive_packet(DISCONNECT), 5)
            expect(f"{actor.title}: the namespace that ended", packet.namespace, case.namespace)
            expect("the connection lives", await client.call("echo", 1, namespace="/"), 1)
        for client in clients:
            await client.join(case.namespace)
            await client.call("enter", ["out"], namespace=case.namespace)
        await actor.disconnect(True, namespace=case.namespace, rooms=["out"])
        for client in clients:
            await asyncio.wait_for(client.disconnected.wait(), 5)
        for client in stay:
            expect("others stay", await client.call("echo", 1), 1)
            await client.close()


@check(12, "a server-side event reaches the other servers of its namespace, and not its sender")
async def server_side(case: Case, a: Server, b: Server) -> None:
    for server in (a, b):
        await case.client(server)
    await case.joined(2)
    name, other = case.namespace[1:], f"{case.namespace[1:]} elsewhere"
    for server in (a, b):
        await server.listen(name, namespace=case.namespace)
        await server.listen(other, namespace=case.namespace)
    for sender, receiver in ((a, b), (b, a)):
        await sender.side_emit(other, namespace="/")
        await sender.side_emit(name, sender.title, {"x": [None, "é"]}, namespace=case.namespace)
        wanted = [name, sender.title, {"x": [None, "é"]}]

        async def heard(receiver=receiver, wanted=wanted) -> bool:
            return wanted in await receiver.heard()

        await until(f"{receiver.title} hears {sender.title}", heard, 5)
        own = [words for words in await sender.heard() if words[:2] == [name, sender.title]]
        expect(f"{sender.title} heard of itself", own, [])
        wrong = [words for words in await receiver.heard() if words[0] == other]
        expect("heard of another namespace", wrong, [])


@check(
    13,
    "a server-side event is answered by every other server; a silent one delays, and its part is missing",
)
async def server_side_acks(case: Case, a: Server, b: Server) -> None:
    for server in (a, b):
        await case.client(server)
    await case.joined(2)
    name, silent = case.namespace[1:], f"{case.namespace[1:]} silent"
    for server in (a, b):
        await server.listen(name, {"from": server.title, "x": [1, None]}, namespace=case.namespace)
        await server.listen_in_silence(silent, namespace=case.namespace)
    for asker, other in ((a, b), (b, a)):
        acks = await asker.side_call(name, 1, namespace=case.namespace)
        expect(f"{asker.title}: answers", acks.answers, [{"from": other.title, "x": [1, None]}])
        acks = await asker.side_call(silent, namespace=case.namespace)
        expect(f"{asker.title}: complete without an answer", acks.complete, False)
        expect("answers", acks.answers, [])


@check(13, "a server-side event that nobody listens to is answered with null by ours")
async def server_side_unheard(case: Case, a: Server, b: Server) -> None:
    if not isinstance(a, Ours):
        raise NotImplementedError
    for server in (a, b):
        await case.client(server)
    await case.joined(2)
    acks = await b.side_call("nobody listens to this", namespace=case.namespace)
    expect(f"{b.title}: answers", [acks.answers, acks.complete], [[None], True])


@check(
    14,
    "an event with acks is answered by all clients, with bytes too; nobody elsewhere costs no wait",
)
async def acks(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(server, transport=transport)
               for server in (a, b) for transport in ("websocket", "xhr-polling")]  # fmt: skip
    alone = {a: await case.client(a, rooms=["at a"]), b: await case.client(b, rooms=["at b"])}
    await case.joined(2)
    for asker in (a, b):
        answering = [
            asyncio.ensure_future(client.answer([number, b"\x01\xff"]))
            for number, client in enumerate(clients)
        ]
        scope = {"namespace": case.namespace, "except": ["at a", "at b"]}
        came = await asker.call("question", {"x": b"\x00"}, **scope)
        heard = await asyncio.gather(*answering)
        expect(f"{asker.title}: the question", heard, [["question", {"x": b"\x00"}]] * 4)
        expect("the answers", sorted(came.answers), [[n, b"\x01\xff"] for n in range(4)])
        expect("complete", came.complete, True)
        for server, client in alone.items():
            answering = [asyncio.ensure_future(client.answer("alone"))]
            started = time.monotonic()
            came = await asker.call(
                "question", namespace=case.namespace, rooms=[f"at {'a' if server is a else 'b'}"]
            )
            await answering[0]
            expect(
                f"{asker.title} asks one at {server.title}",
                [came.answers, came.complete],
                [["alone"], True],
            )
            expect("without a wait", time.monotonic() - started < 1.5, True)
        started = time.monotonic()
        came = await asker.call("question", namespace=case.namespace, rooms=["nobody"])
        expect(f"{asker.title} asks nobody", [came.answers, came.complete], [[], True])
        expect("without a wait", time.monotonic() - started < 1.5, True)


@check(15, "acks that do not come: at the timeout there are those that came")
async def missing_acks(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(server) for server in (a, b, a, b)]
    await case.joined(2)
    for asker in (a, b):
        answering = [
            asyncio.ensure_future(client.answer(number))
            for number, client in enumerate(clients[:2])
        ]
        came = await asker.call("question", seconds=0.7, namespace=case.namespace)
        await asyncio.gather(*answering)
        expect(f"{asker.title}: complete", came.complete, False)
        expect("answers", sorted(came.answers), [0, 1])
        await case.hearing([asker], clients[2:])


@check(16, "clients of every generation, on either server, hear broadcasts of both")
async def generations(case: Case, a: Server, b: Server) -> None:
    room = case.namespace[1:]
    clients = [await case.client(server, dialect, transport, rooms=[room], namespace="/")
               for server in (a, b) for dialect, transport in server.generations]  # fmt: skip
    for sender in (a, b):
        await sender.emit("everybody", room, {"x": ["é😀", None]})
        await sender.emit("room", room, rooms=[room])
        everybody = ["everybody", room, {"x": ["é😀", None]}]
        wanted = {
            one: [everybody, ["room", room]] if one.dialect.has_acks else [everybody]
            for one in clients
        }
        await case.expect_heard(f"{sender.title} emits", [sender], wanted, namespace="/")


@check(24, "a thousand events each way arrive in order, none twice")
async def many(case: Case, a: Server, b: Server) -> None:
    clients = [await case.client(server) for server in (a, b)]
    await case.joined(2)
    await asyncio.gather(*[server.burst(f"from {name}", range(1000), namespace=case.namespace)
                           for name, server in (("a", a), ("b", b))])  # fmt: skip
    for heard in await case.hearing([a, b], clients, seconds=20):
        for name in ("from a", "from b"):
            numbers = [words[1] for words in heard if words[0] == name]
            expect(f"numbers {name}", numbers, [*range(1000)])


@check(34, "a fetch shows no cookie, no authorization and no auth of our clients")
async def secrets(case: Case, a: Server, b: Server) -> None:
    if not isinstance(a, Ours):
        raise NotImplementedError
    headers = {
        "Cookie": "session=s3cret",
        "Authorization": "Bearer s3cret",
        "Proxy_Authorization": "Basic s3cret",
    }
    client = await case.client(a, headers=headers, auth={"token": "s3cret"})
    await case.client(b)
    await case.joined(2)
    for asker in (a, b):
        found = {one["id"]: one for one in await asker.fetch(namespace=case.namespace)}
        shown = found[client.id]["handshake"]
        expect(f"{asker.title}: auth", shown["auth"], {})
        expect(
            "secret headers",
            {*shown["headers"]} & {"cookie", "authorization", "proxy-authorization"},
            set(),
        )
        expect("secrets", "s3cret" in str(found[client.id]), False)
