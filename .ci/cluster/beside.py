"""Checks of one cluster with others beside our servers: emitters, servers that come and go, other keys and adapters."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import msgpack
from case import Case, alike, check, expect, expect_set
from peers import Ours, Server, until

from socket_io import DISCONNECT

# -- In the cluster of all -------------------------------------------------------------


@check(9, "server_count is right after a server has come, gone, and been killed", "all")
async def counts(case: Case, servers: list[Server]) -> None:
    async def counted(what: str, count: int) -> None:
        async def look() -> bool:
            seen[:] = [await server.server_count() for server in servers]
            return seen == [count] * len(servers)

        seen: list[int] = []
        try:
            await until(what, look, 5)
        except AssertionError:
            raise AssertionError(f"{what}: the counts are {seen} instead of {count}") from None

    many = len(servers)
    await counted("before", many)
    guest = await case.stage.ours("a guest")
    await counted("a server has come", many + 1)
    await guest.close()
    await counted("it has closed", many)
    await guest.end()
    guest = await case.stage.ours("a guest")
    await counted("another has come", many + 1)
    await guest.end(signal.SIGKILL)
    await counted("it was killed", many)


@check(25, "when a server closes, nobody waits for it", "all")
async def closing(case: Case, servers: list[Server]) -> None:
    guest = await case.stage.ours("a guest")
    client = await case.client(guest)
    rest = [await case.client(server) for server in servers]
    await case.joined(len(servers) + 1)
    closing = asyncio.ensure_future(guest.close())
    await asyncio.wait_for(client.disconnected.wait(), 10)
    for server in servers:
        started = time.monotonic()
        found = await server.fetch(namespace=case.namespace)
        expect_set(
            f"{server.title} fetches", [one["id"] for one in found], [one.id for one in rest]
        )
        await server.all_rooms(namespace=case.namespace)
        took = time.monotonic() - started
        if took > 1.5:
            raise AssertionError(f"{server.title} waited for {took:.1f} s")
    await closing
    await guest.end()


@check(
    32,
    "five hundred namespaces are made and forgotten: the subscriptions are those of before",
    "all",
)
async def forgotten(case: Case, servers: list[Server]) -> None:
    before = await case.redis.subscriptions()
    for server in servers[:2]:
        client = await case.client(server, namespace="/")
        names = [f"/many-{case.namespace[1:]}-{number}" for number in range(500)]
        for chunk in (names[start : start + 50] for start in range(0, 500, 50)):
            for name in chunk:
                await client.join(name)
        await case.joined(1, names[-1])
        await case.joined(1, names[0])
        for name in names:
            await client.leave(name)

        async def as_before() -> bool:
            patterns, channels = await case.redis.subscriptions()
            left = await case.redis.client.pubsub_channels("*/many-*")
            return patterns <= before[0] and channels <= before[1] and not left

        await until(f"{server.title} has as many subscriptions as before", as_before, 15)


@check(17, "redis-emitter: every verb reaches clients of all servers", "redis-emitter")
async def emitter(case: Case, servers: list[Server], emitter: Any) -> None:
    members = [await case.client(server, rooms=["r1"]) for server in servers]
    others = [await case.client(server) for server in servers]
    await case.joined(len(servers))
    await emitter.run(
        """
        const chosen = emitter.of(args[0]);
        chosen.emit("all", 1, { x: [null, "é"] });
        chosen.to("r1").emit("room", Buffer.from([1, 2]), { x: Buffer.from([255]) });
        chosen.to(["r1", "r2"]).except(args[1]).emit("rooms but one");
        chosen.except("r1").emit("all but a room");
        chosen.compress(false).to(args[2]).emit("id");
        const later = new Date(1700000000123);
        chosen.emit("dates", new Date(1700000000000), undefined, [undefined], { u: undefined, d: later });
        chosen.emit("last");
        """,
        case.namespace, members[0].id, others[0].id,
    )  # fmt: skip
    head: list[Any] = [["all", 1, {"x": [None, "é"]}]]
    room = [["room", b"\x01\x02", {"x": b"\xff"}]]
    last = [["dates", "2023-11-14T22:13:20.000Z", None, [None], {"d": "2023-11-14T22:13:20.123Z"}]]
    for client in members + others:
        heard: list[Any] = []
        while not heard or heard[-1] != ["last"]:
            heard.append([*await client.receive()])
        heard.pop()
        if client in members:
            wanted = [*head, *room, *([] if client is members[0] else [["rooms but one"]]), *last]
        else:
            wanted = [*head, ["all but a room"], *([["id"]] if client is others[0] else []), *last]
        expect("a client heard", heard, wanted)
    await emitter.run("emitter.of(args[0]).volatile.emit('volatile')", case.namespace)
    for client in members + others:
        expect("a client heard", [*await client.receive()], ["volatile"])
    await emitter.run("emitter.of(args[0]).to('r1').socketsJoin(['e1', 'e2'])", case.namespace)
    await emitter.run(
        "emitter.of(args[0]).except(args[1]).socketsLeave('r1')", case.namespace, members[0].id
    )
    await emitter.run("emitter.of(args[0]).to('e1').emit('end')", case.namespace)
    for client in members:
        expect("whom socketsJoin has moved heard", [*await client.receive()], ["end"])
    found = {one["id"]: {*one["rooms"]} for one in await servers[0].fetch(namespace=case.namespace)}
    wanted_rooms = {
        one.id: {one.id, "e1", "e2"} | ({"r1"} if one is members[0] else set()) for one in members
    }
    expect(
        "rooms",
        {id: sorted(found[id]) for id in wanted_rooms},
        {id: sorted(r) for id, r in wanted_rooms.items()},
    )
    name = case.namespace[1:]
    for server in servers:
        await server.listen(name, namespace=case.namespace)
    await emitter.run(
        "emitter.of(args[0]).serverSideEmit(args[1], 5, {x: 'y'})", case.namespace, name
    )
    for server in servers:

        async def heard_it(server=server) -> bool:
            return [name, 5, {"x": "y"}] in await server.heard()

        await until(f"{server.title} hears the server-side event", heard_it, 5)
    await emitter.run("emitter.of(args[0]).to('e1').disconnectSockets(true)", case.namespace)
    for client in members:
        await asyncio.wait_for(client.disconnected.wait(), 5)
    expect("another client is still there", await others[0].call("echo", 1), 1)


#: What emitters publish, byte by byte, with % for the length and name of the namespace.
VECTORS = [
    ("to('r1').emit('hi', 1) of redis-emitter", "r1#",
     ("93a7 656d6974746572 83a47479706502a46461746192a2686901a36e7370 %"
      "83a5726f6f6d7391a27231a5666c61677380a665786365707490"),
     ["hi", 1]),
    ("the same of socket.io-emitter, without except", "",
     ("93a7 656d6974746572 83a47479706502a46461746192a2686901a36e7370 %"
      "82a5726f6f6d7390a5666c61677380"), ["hi", 1]),
    ("an event with bytes of a Socket.IO 2 server, whose type is 5", "",
     "93a6 7438 39386e38 83a47479706505a46461746192a26869c4020102a36e7370%82a5726f6f6d7390a5666c61677380",
     ["hi", b"\x01\x02"]),
    ("io.emit('hi', {a: 1}, 'é') of a node server", "",
     ("93a6 663549513877 83a47479706502a46461746193a2686981a16101a2c3a9a36e7370 %"
      "83a5726f6f6d7390a665786365707490a5666c61677380"),
     ["hi", {"a": 1}, "é"]),
    ("a Date and undefined of an adapter up to 7", "",
     ("93a6 663549513877 83a47479706502a46461746193a26869d7000000018bcfe5687bd40000a36e7370 %"
      "82a5726f6f6d7390a5666c61677380"),
     ["hi", "2023-11-14T22:13:20.123Z", None]),
]  # fmt: skip


@check(18, "what emitters and servers of other ages publish, byte by byte", "vectors")
async def vectors(case: Case, servers: list[Server]) -> None:
    ours = [server for server in servers if isinstance(server, Ours)]
    clients = [await case.client(server, rooms=["r1"]) for server in ours]
    await case.joined(len(ours))
    name = case.namespace.encode()
    for title, channel, body, wanted in VECTORS:
        packed = bytes.fromhex(body.replace("%", (bytes([0xA0 + len(name)]) + name).hex()))
        await case.redis.publish(f"socket.io#{case.namespace}#{channel}", packed)
        for client in clients:
            expect(title, [*await client.receive()], wanted)
    for options in (
        {},
        {"rooms": None, "flags": None, "except": None},
        {"rooms": "", "flags": "", "except": ""},
    ):
        packet = {"type": 2, "data": ["port"], "nsp": case.namespace}
        await case.redis.publish(
            f"socket.io#{case.namespace}#", msgpack.packb(["emitter", packet, options])
        )
        for client in clients:
            expect(f"options {options}", [*await client.receive()], ["port"])
    # The Rust emitter and one for Python leave out the last "#".
    options = {"rooms": ["r1"], "flags": {}}
    await case.redis.publish(
        f"socket.io#{case.namespace}#r1", msgpack.packb(["emitter", packet, options])
    )
    await case.redis.publish(
        f"socket.io#{case.namespace}#r1#", json.dumps(["emitter", packet, options]).encode()
    )
    for client in clients:
        expect("a channel without the last #", [*await client.receive()], ["port"])
        expect("JSON, node's option parser", [*await client.receive()], ["port"])


@check(
    18, "socket.io-emitter, of the year 2014, reaches clients of all servers", "socket.io-emitter"
)
async def old_emitter(case: Case, servers: list[Server], emitter: Any) -> None:
    members = [await case.client(server, rooms=["r1"]) for server in servers]
    others = [await case.client(server) for server in servers]
    await case.joined(len(servers))
    await emitter.run(
        """
        oldEmitter.of(args[0]).emit("all", 1, { x: "é" });
        oldEmitter.of(args[0]).to("r1").emit("room", 2);
        oldEmitter.of(args[0]).emit("last");
        """,
        case.namespace,
    )
    for client in members + others:
        wanted = [["all", 1, {"x": "é"}], *([["room", 2]] if client in members else []), ["last"]]
        expect("a client heard", [[*await client.receive()] for _ in wanted], wanted)
    # Node passes its type 5 on, and its clients leave: ours alone.
    ours = [server for server in servers if isinstance(server, Ours)]
    name = f"{case.namespace}-ours"
    clients = [await case.client(server, namespace=name) for server in ours]
    await case.joined(len(ours), name)
    await emitter.run("oldEmitter.of(args[0]).emit('bytes', Buffer.from([1, 2]))", name)
    for client in clients:
        expect("a client heard", [*await client.receive()], ["bytes", b"\x01\x02"])


# -- Other keys and adapters -----------------------------------------------------------


@check(19, "servers of another key are a cluster of their own", "other key")
async def other_key(case: Case) -> None:
    here = await case.stage.ours("ours")
    ours = await case.stage.ours("ours with a key", cluster_key="app:live")
    node = await case.stage.node("redis", key="app:live")
    clients = {server: await case.client(server, namespace="/") for server in (here, ours, node)}
    expect("counts", [await server.server_count() for server in (here, ours, node)], [1, 2, 2])
    for sender in (ours, node):
        await sender.emit("live")
        wanted = {clients[ours]: [["live"]], clients[node]: [["live"]]}
        await case.expect_heard(f"{sender.title} emits", [sender], wanted, namespace="/")
        found = await sender.fetch()
        expect_set("fetched", [one["id"] for one in found], [clients[ours].id, clients[node].id])
    await case.expect_heard("the other key", [here], {clients[here]: []}, namespace="/")


@check(
    19,
    "node with publishOnSpecificResponseChannel gets its answers, and gives ours",
    "specific channel",
)
async def specific_channel(case: Case) -> None:
    ours = await case.stage.ours("ours")
    node = await case.stage.node("ioredis", publishOnSpecificResponseChannel=True)
    clients = [
        await case.client(server, rooms=[f"r{number}"])
        for number, server in enumerate((ours, node))
    ]
    await case.joined(2)
    name = case.namespace[1:]
    for server in (ours, node):
        await server.listen(name, server.title, namespace=case.namespace)
    for asker, other in ((ours, node), (node, ours)):
        found = await asker.fetch(namespace=case.namespace)
        expect_set(
            f"{asker.title} fetches",
            [one["id"] for one in found],
            [client.id for client in clients],
        )
        rooms = await asker.all_rooms(namespace=case.namespace)
        expect_set(
            f"{asker.title}: all rooms", rooms, [*[client.id for client in clients], "r0", "r1"]
        )
        acks = await asker.side_call(name, namespace=case.namespace)
        expect(f"{asker.title}: answers to a server-side event", acks.answers, [other.title])
        answering = [
            asyncio.ensure_future(client.answer(number)) for number, client in enumerate(clients)
        ]
        came = await asker.call("question", namespace=case.namespace)
        await asyncio.gather(*answering)
        expect(f"{asker.title}: acks", [sorted(came.answers), came.complete], [[0, 1], True])


@check(
    19,
    "a server with the adapter of Socket.IO 3, whose requests have no uid",
    "socket.io-redis 6.1.1",
)
async def old_requests(case: Case) -> None:
    ours = await case.stage.ours("ours")
    node = await case.stage.node("ioredis")
    old = await case.stage.node("ioredis", adapter="6.1.1", title="node with socket.io-redis 6.1.1")
    clients = [
        await case.client(server, rooms=[f"r{number}"])
        for number, server in enumerate((ours, node, old))
    ]
    await case.joined(3)
    everybody = [client.id for client in clients]
    for asker in (ours, node, old):
        found = await asker.fetch(namespace=case.namespace)
        expect_set(f"{asker.title} fetches", [one["id"] for one in found], everybody)
        rooms = await asker.all_rooms(namespace=case.namespace)
        expect_set(f"{asker.title}: all rooms", rooms, [*everybody, "r0", "r1", "r2"])
    sockets = await old.run(
        "return await io.of(args[0]).adapter.sockets(new Set())", case.namespace
    )
    expect_set("SOCKETS of 6.1.1", sockets, everybody)
    sockets = await old.run(
        "return await io.of(args[0]).adapter.sockets(new Set(['r0']))", case.namespace
    )
    expect("SOCKETS in a room", sockets, [clients[0].id])
    await old.run(
        "await io.of(args[0]).adapter.remoteJoin(args[1], 'joined')", case.namespace, clients[0].id
    )
    expect_set(
        "remoteJoin of 6.1.1",
        await ours.all_rooms(namespace=case.namespace),
        [*everybody, "r0", "r1", "r2", "joined"],
    )
    await old.run(
        "await io.of(args[0]).adapter.remoteLeave(args[1], 'joined')", case.namespace, clients[0].id
    )
    expect_set(
        "remoteLeave of 6.1.1",
        await ours.all_rooms(namespace=case.namespace),
        [*everybody, "r0", "r1", "r2"],
    )
    for sender in (ours, old):
        await sender.emit("hi", b"\x01", namespace=case.namespace)
        await case.expect_heard(
            f"{sender.title} emits",
            [sender],
            alike(clients[:1] + clients[2:], [["hi", b"\x01"]]),
        )
    await old.run(
        "await io.of(args[0]).adapter.remoteDisconnect(args[1], false)",
        case.namespace,
        clients[0].id,
    )
    packet = await asyncio.wait_for(clients[0].receive_packet(DISCONNECT), 5)
    expect("remoteDisconnect of 6.1.1", packet.namespace, case.namespace)


@check(
    26,
    "a Socket.IO 2 server beside: broadcasts both ways, its bytes; its join takes nobody out of a room",
    "Socket.IO 2",
)
async def socket_io_2(case: Case) -> None:
    ours = await case.stage.ours("ours")
    old = await case.stage.node("ioredis", adapter="5.4.0", title="a Socket.IO 2 server")
    here = [
        await case.client(ours, dialect, rooms=["r1"], namespace="/")
        for dialect in ("EIO4", "EIO3")
    ]
    there = await case.client(old, "EIO3", rooms=["r1"], namespace="/")
    await case.joined(2, "/")
    for code in (
        "io.emit('all', 1, {x: 'é'})",
        "io.to('r1').emit('room')",
        "io.emit('bytes', Buffer.from([1, 2]), {x: Buffer.from([255])})",
    ):
        await old.run(code)
    wanted = [["all", 1, {"x": "é"}], ["room"], ["bytes", b"\x01\x02", {"x": b"\xff"}]]
    for client in here:
        expect("a client of ours heard", [[*await client.receive()] for _ in wanted], wanted)
    await ours.emit("all", 1)
    await ours.emit("room", rooms=["r1"])
    expect(
        "its own client heard",
        [[*await there.receive()] for _ in range(5)][3:],
        [["all", 1], ["room"]],
    )
    await old.run(
        """
        const adapter = io.of("/").adapter;
        adapter.remoteJoin(args[0], "r1", () => {});
        adapter.remoteLeave(args[0], "r1", () => {});
        """,
        here[0].id,
    )
    await old.run("io.emit('after')")
    for _ in range(3):
        await here[0].receive()
    expect("after its requests", len(await ours.fetch(rooms=["r1"], local=True)), 2)
    expect("it lives", old.alive, True)


@check(27, "a streams server under the same key harms none of ours", "streams")
async def streams(case: Case) -> None:
    ours = [await case.stage.ours(title) for title in ("ours", "ours too")]
    node = await case.stage.node("redis", adapter="streams", title="node with streams")
    clients = [await case.client(server, rooms=["r1"], namespace="/") for server in ours]
    at_node = await case.client(node, namespace="/")
    await node.run("io.serverSideEmit('note', 1)")
    await node.run("io.emit('hi', 1)")
    await node.run(
        "io.timeout(300).emitWithAck('question').catch(() => {}); io.fetchSockets().catch(() => {})"
    )
    while [*await at_node.receive()] != ["hi", 1]:
        pass
    for sender in ours:
        await sender.emit("still", b"\x01", rooms=["r1"])
        await case.expect_heard(
            f"{sender.title} emits",
            [sender],
            alike(clients, [["still", b"\x01"]]),
            namespace="/",
        )
    # It is no member of this cluster, and must not be waited for.
    started = time.monotonic()
    found = await ours[0].fetch()
    expect_set("fetched", [one["id"] for one in found], [client.id for client in clients])
    expect("without a wait", time.monotonic() - started < 1.5, True)


# -- python-socketio -------------------------------------------------------------------


@check(29, "python-socketio's server and ours reach each other's clients", "python-socketio")
async def python_socketio(case: Case) -> None:
    ours = [
        await case.stage.ours(title, python_socketio_channel="socketio")
        for title in ("ours", "ours too")
    ]
    other = await case.stage.python_socketio()
    here = [await case.client(server, rooms=["r1"], namespace="/") for server in ours]
    there = [
        await case.client(other, rooms=["r1"], namespace="/"),
        await case.client(other, namespace="/"),
    ]
    await until("it has subscribed", lambda: _count(case, "socketio", 3))
    everybody = here + there

    async def reached(what: str, wanted: dict[Any, list[Any]]) -> None:
        """Compare what everybody heard until an event "last" of the same sender."""
        for client in everybody:
            heard = []
            while (words := [*await client.receive()]) != ["last"]:
                heard.append(words)
            expect(
                f"{what}; a client {'of ours' if client in here else 'of python-socketio'} heard",
                heard,
                wanted.get(client, []),
            )

    await other.run("await sio.emit('hi', ('one', 2, {'x': [None, 'é']}))\nawait sio.emit('last')")
    await reached("it emits to all", alike(everybody, [["hi", "one", 2, {"x": [None, "é"]}]]))
    await other.run("await sio.emit('room', [1], room='r1')\nawait sio.emit('last')")
    await reached("to a room", alike([*here, there[0]], [["room", [1]]]))
    await other.run("await sio.emit('skip', skip_sid=args[0])\nawait sio.emit('last')", here[0].id)
    await reached("to all but one", alike([here[1], *there], [["skip"]]))
    await other.run("await sio.emit('bytes', [{'x': b'\\x01\\x02'}])\nawait sio.emit('last')")
    await reached("bytes", alike(everybody, [["bytes", [{"x": b"\x01\x02"}]]]))
    await ours[0].run("Chat.io.emit('hi', 'one', 2, {'x': [None, 'é']})\nChat.io.emit('last')")
    await reached("ours emits to all", alike(everybody, [["hi", "one", 2, {"x": [None, "é"]}]]))
    await ours[0].run("Chat.io.to('r1').emit('room', [1])\nChat.io.emit('last')")
    await reached("to a room", alike([*here, there[0]], [["room", [1]]]))
    await ours[0].run(
        "Chat.io.to('r1', 'r2').except_(args[0]).emit('skip')\nChat.io.emit('last')", there[0].id
    )
    await reached("to rooms but an id", alike(here, [["skip"]]))
    await ours[0].run(
        "Chat.io.emit('bytes', [{'x': b'\\x01\\x02'}])\nChat.io.emit('none')\nChat.io.emit('last')"
    )
    await reached(
        "bytes, and no argument",
        alike(everybody, [["bytes", [{"x": b"\x01\x02"}]], ["none"]]),
    )

    answering = asyncio.ensure_future(here[1].answer("cb", {"x": [1, None]}))
    answer = await other.run(
        "return await sio.call('question', 1, to=args[0], timeout=5)", here[1].id
    )
    expect(
        "it calls a client of ours",
        [await answering, answer],
        [["question", 1], ["cb", {"x": [1, None]}]],
    )
    # This channel's callbacks carry no bytes: it waits in vain, and ours logs no error.
    answering = asyncio.ensure_future(here[1].answer(b"\x01"))
    in_vain = """
        try:
            return await sio.call("question", to=args[0], timeout=0.5)
        except socketio.exceptions.TimeoutError:
            return "no answer"
    """
    expect("a callback with bytes", await other.run(in_vain, here[1].id), "no answer")
    await answering
    answering = asyncio.ensure_future(there[0].answer("cb"))
    acks = await ours[0].run(
        "acks = await Chat.io.to(args[0]).call('question', 1, timeout=5)\nreturn [acks.answers, acks.missing]",
        there[0].id,
    )
    expect(
        "ours calls a client of its",
        [await answering, acks],
        [["question", 1], [{there[0].id: "cb"}, []]],
    )

    await other.run(
        "await sio.enter_room(args[0], 'moved')\nawait sio.emit('moved', room='moved')\nawait sio.emit('last')",
        here[0].id,
    )
    await reached("it moves a client of ours", {here[0]: [["moved"]]})
    await other.run(
        "await sio.leave_room(args[0], 'moved')\nawait sio.emit('moved', room='moved')\nawait sio.emit('last')",
        here[0].id,
    )
    await reached("and back", {})
    await other.run(
        "await sio.close_room('r1')\nawait sio.emit('moved', room='r1')\nawait sio.emit('last')"
    )
    await reached("it closes a room", {})
    await ours[0].run(
        "Chat.io.to(args[0]).join('moved')\nChat.io.to('moved').emit('moved')\nChat.io.emit('last')",
        there[1].id,
    )
    await reached("ours moves a client of its", {there[1]: [["moved"]]})
    await ours[0].run(
        "Chat.io.to(args[0]).leave('moved')\nChat.io.to('moved').emit('moved')\nChat.io.emit('last')",
        there[1].id,
    )
    await reached("and back", {})
    await other.run("await sio.disconnect(args[0])", here[0].id)
    await ours[0].run("Chat.io.to(args[0]).disconnect()", there[1].id)
    for client in (here[0], there[1]):
        await asyncio.wait_for(client.receive_packet(DISCONNECT), 5)


async def _count(case: Case, channel: str, count: int) -> bool:
    return await case.redis.count(channel) == count


@check(29, "python-socketio's write_only manager in a task reaches our clients", "write_only")
async def write_only(case: Case) -> None:
    ours = [
        await case.stage.ours(title, python_socketio_channel="socketio")
        for title in ("ours", "ours too")
    ]
    task = await case.stage.task()
    clients = [await case.client(server, rooms=["r1"]) for server in ours]
    await case.joined(2)
    await task.run(
        """
        import socketio
        manager = keep.manager = socketio.RedisManager(url, write_only=True)
        namespace, id = args
        manager.emit("hi", {"x": 1}, namespace=namespace)
        manager.emit("room", ("one", b"\\x01"), room="r1", namespace=namespace)
        manager.emit("id", None, room=id, namespace=namespace)
        manager.enter_room(id, namespace, "moved")
        manager.emit("moved", None, room="moved", namespace=namespace)
        manager.leave_room(id, namespace, "moved")
        manager.emit("moved", None, room="moved", namespace=namespace)
        manager.emit("last", None, namespace=namespace)
        """,
        case.namespace, clients[0].id,
    )  # fmt: skip
    for client in clients:
        wanted = [
            ["hi", {"x": 1}],
            ["room", "one", b"\x01"],
            *([["id"], ["moved"]] if client is clients[0] else []),
            ["last"],
        ]
        expect("a client heard", [[*await client.receive()] for _ in wanted], wanted)
    # What is no JSON, as the pickles of releases before 5.14, is passed over.
    await case.redis.publish("socketio", b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00}\x94.")
    await case.hearing([ours[0]], clients[1:])


# -- The users of an access list -------------------------------------------------------

ACL = (
    """SETUSER server on >secret resetchannels &socket.io* &socket.io#/#* &socketio
       -@all +publish +subscribe +psubscribe
       +unsubscribe +punsubscribe +pubsub|numsub +ping +hello +auth +client|setname""",
    """SETUSER emitter on >secret resetchannels &socket.io#* &socket.io-request#*
       -@all +publish +ping +hello +auth +client|setname""",
    "SETUSER default off",
)


@check(
    31,
    "the two users of the access list are allowed what servers and emitters need, and no more",
    "access list",
)
async def access_list(case: Case) -> None:
    for line in ACL:
        await case.redis.client.execute_command("ACL", *line.split())
    url = f"redis://%s:secret@127.0.0.1:{case.redis.port}"
    # The patterns of the list are literal: further namespaces would need one each.
    ours = [
        await case.stage.ours(title, url % "server", python_socketio_channel="socketio")
        for title in ("ours", "ours too")
    ]
    clients = [await case.client(server, rooms=["r1"], namespace="/") for server in ours]
    task = await case.stage.task(url % "emitter")

    async def counted() -> bool:
        return await ours[0].server_count() == 2

    await until("both are members", counted)
    for sender in ours:
        await sender.emit("hi", b"\x01", rooms=["r1"])
        await case.expect_heard(
            f"{sender.title} emits",
            [sender],
            alike(clients, [["hi", b"\x01"]]),
            namespace="/",
        )
        expect_set(
            "fetched",
            [one["id"] for one in await sender.fetch()],
            [client.id for client in clients],
        )
    await task.run(
        """
        emitter = keep.emitter = Emitter(url)
        emitter.emit("from a task")
        emitter.to("r1").join("e1")
        emitter.to("e1").emit("last")
        """
    )
    for client in clients:
        expect(
            "a client heard",
            [[*await client.receive()] for _ in range(2)],
            [["from a task"], ["last"]],
        )
    refused = await task.run(
        """
        import redis
        client, refused = redis.Redis.from_url(url), []
        for command in ("SUBSCRIBE socket.io-response#/#", "PUBLISH socket.io-response#/# x", "GET x", "KEYS *"):
            try:
                client.execute_command(*command.split())
            except redis.exceptions.NoPermissionError:
                refused.append(command.split()[0])
        return refused
        """
    )
    expect("refused to an emitter", refused, ["SUBSCRIBE", "PUBLISH", "GET", "KEYS"])
    for client in clients:
        await client.close()
    for server in ours:
        await server.close()
    denied = [
        line
        for server in ours
        for line in server.log
        if "permission" in line.lower() or "NOPERM" in line
    ]
    expect("what Redis has refused to our servers", denied, [])


# -- Emitter ---------------------------------------------------------------------------


@check(28, "Emitter: every verb; from threads, after a fork, and with Redis away", "Emitter")
async def our_emitter(case: Case) -> None:
    servers = [
        await case.stage.ours("ours"),
        await case.stage.node("redis"),
        await case.stage.node("ioredis"),
    ]
    task = await case.stage.task()
    members = [await case.client(server, rooms=["r1"]) for server in servers]
    others = [await case.client(server) for server in servers]
    await case.joined(3)
    await task.run(
        """
        emitter = keep.emitter = Emitter(url).of(args[0])
        emitter.emit("all", 1, {"x": [None, "é"]})
        emitter.to("r1").emit("room", b"\\x01", {"x": b"\\xff"})
        emitter.to("r1", "r2").except_(args[1]).emit("rooms but one")
        emitter.except_("r1").emit("all but a room")
        emitter.to(args[2]).send("to an id")
        emitter.to("r1").join("e1", "e2")
        emitter.except_(args[1]).leave("r1")
        emitter.to("e1").emit("moved")
        emitter.server_side_emit("note", 5)
        emitter.emit("last")
        """,
        case.namespace, members[0].id, others[0].id,
    )  # fmt: skip
    for client in members + others:
        heard: list[Any] = []
        while not heard or heard[-1] != ["last"]:
            heard.append([*await client.receive()])
        wanted: list[Any] = [["all", 1, {"x": [None, "é"]}]]
        if client in members:
            wanted.append(["room", b"\x01", {"x": b"\xff"}])
            wanted += [] if client is members[0] else [["rooms but one"]]
            wanted.append(["moved"])
        else:
            wanted += [
                ["all but a room"],
                *([["message", "to an id"]] if client is others[0] else []),
            ]
        expect("a client heard", heard, [*wanted, ["last"]])
    await task.run("keep.emitter.volatile.emit('volatile')")
    for client in members + others:
        expect("a client heard", [*await client.receive()], ["volatile"])
    await task.run(
        """
        def shout(name):
            for number in range(100):
                keep.emitter.to("r1").emit("thread", name, number)
        await asyncio.gather(*[asyncio.to_thread(shout, name) for name in range(8)])
        """
    )
    heard = [[*await asyncio.wait_for(members[0].receive(), 10)] for _ in range(800)]
    for name in range(8):
        expect(f"thread {name}", [words[2] for words in heard if words[1] == name], [*range(100)])
    status = await task.run(
        """
        import os
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for number in range(100):
                    keep.emitter.to("r1").emit("child", number)
                status = 0
            finally:
                os._exit(status)
        for number in range(100):
            keep.emitter.to("r1").emit("parent", number)
        return (await asyncio.to_thread(os.waitpid, child, 0))[1]
        """
    )
    expect("the child's exit status", status, 0)
    heard = [[*await asyncio.wait_for(members[0].receive(), 10)] for _ in range(200)]
    for name in ("child", "parent"):
        expect(
            f"events of the {name}",
            [words[1] for words in heard if words[0] == name],
            [*range(100)],
        )
    await case.redis.stop()
    failed = await task.run(
        """
        import redis
        try:
            keep.emitter.emit("lost")
        except redis.exceptions.RedisError as error:
            return "raised"
        """
    )
    expect("emit with Redis away", failed, "raised")
    await case.redis.start()
    await case.joined(3)

    async def all_hear() -> (
        bool
    ):  # ioredis subscribes to requests before it subscribes to broadcasts
        await task.run("keep.emitter.emit('back')")
        await asyncio.sleep(0.1)
        return all(client._packets for client in members + others)

    await until("with Redis back, every client hears the emitter", all_hear)
    await task.run("keep.emitter.to('e1').disconnect(True)")
    for client in members:
        await asyncio.wait_for(client.disconnected.wait(), 5)
