"""The check that garbage on the channels of a cluster ends nothing."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import msgpack
from case import Case, alike, check, expect, expect_set

ODD = [
    None, True, -1, 1.5, "", "x", [], [[]], {}, {"x": {}}, 2**63, [None], float("nan"), b"\xff"
]  # fmt: skip
PACKET = {"type": 2, "data": ["hi", 1], "nsp": "/"}
OPTIONS: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}
NOBODY: dict[str, Any] = {"rooms": ["nobody"], "except": []}
REQUEST = {
    "uid": "x", "requestId": "y", "opts": NOBODY, "rooms": ["z"], "data": ["hi"], "packet": PACKET,
    "close": False, "sid": "s", "room": "r",
}  # fmt: skip
RESERVED = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
]


def broadcasts() -> Iterator[Any]:
    """Yield broadcasts of which one part is wrong."""
    yield from [*ODD, ["x"], ["x", PACKET], ["x", None, None]]
    for value in ODD:
        yield from [["x", value, OPTIONS], ["x", PACKET, value], [value, PACKET, OPTIONS]]
        yield from [["x", {**PACKET, key: value}, OPTIONS] for key in PACKET]
        yield ["x", {**PACKET, "data": [value, 1]}, OPTIONS]
        yield from [["x", PACKET, {**OPTIONS, key: value}] for key in OPTIONS]
        yield from [["x", PACKET, {**OPTIONS, key: [value]}] for key in ("rooms", "except")]
    yield from [["x", {**PACKET, "type": type}, OPTIONS] for type in (-1, *range(20))]
    yield from [["x", {**PACKET, "data": [name]}, OPTIONS] for name in RESERVED]


def requests() -> Iterator[dict[str, Any]]:
    """Yield requests of every type of which one part is wrong, missing, or of another age."""
    yield from [{"type": type} for type in (*ODD, *range(-1, 20))]
    for type in range(10):
        request = {**REQUEST, "type": type}
        yield from [{**request, key: value} for key in REQUEST for value in ODD]
        yield from [
            {name: value for name, value in request.items() if name != key} for key in REQUEST
        ]
        yield from [{**request, "opts": {**NOBODY, "flags": {"timeout": value}}} for value in ODD]
        yield {"requestid": "x", "type": type, "sid": "x", "room": "r1", "rooms": ["r1"]}


def responses() -> Iterator[dict[str, Any]]:
    for type, value in itertools.product([None, 6, 8, 9], ODD):
        yield {
            "requestId": value,
            "type": type,
            "sockets": value,
            "rooms": value,
            "clientCount": value,
        }


def bodies() -> Iterator[bytes]:
    """Yield bodies that no server sends: of wrong values, cut, changed, nested, and huge."""
    for value in (*broadcasts(), *requests(), *responses()):
        yield msgpack.packb(value)
        try:
            yield json.dumps(value).encode()
        except TypeError:  # bytes are not JSON
            pass
    whole = [msgpack.packb(["x", PACKET, OPTIONS]), json.dumps({**REQUEST, "type": 5}).encode(),
             msgpack.packb({**REQUEST, "type": 7})]  # fmt: skip
    yield from [body[:length] for body in whole for length in range(len(body))]
    chance = random.Random(20)
    for body in whole * 150:
        changed = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)
    yield from [b"\x91" * 100_000, b"[" * 100_000, b'{"a":' * 100_000]
    yield from [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ]  # lengths without end
    yield from [
        b"\xc7\x05\x07hello",
        b"\xd7\xff" + b"\xff" * 8,
        b"\xd8\x00" + b"\x01" * 16,
    ]  # extensions
    yield from [
        b"\xff" * 10,
        b"\x81\x90\x01",
        b"\x93\xa1x\xd4\x00\x00\xd4\x00\x00",
        b"\xed\xa0\x80",
        b'{"\xff"}',
    ]
    yield from [msgpack.packb("x" * 6_000_000), b"{" + b" " * 6_000_000]


def is_obeyed(body: bytes) -> bool:
    """Whether *body* is, by chance, a request to disconnect clients, which a server must obey."""
    try:
        value = (
            json.loads(body) if body[:1] == b"{" else msgpack.unpackb(body, strict_map_key=False)
        )
    except Exception:
        return False
    if not isinstance(value, dict) or value.get("type") != 4:
        return False
    target = value.get("opts")
    return not (isinstance(target, dict) and target.get("rooms") == ["nobody"])


@check(20, "garbage on every channel ends nothing, and is followed by business as usual", "garbage")
async def garbage_everywhere(case: Case) -> None:
    ours = [
        await case.stage.ours(title, python_socketio_channel="socketio")
        for title in ("ours", "ours too")
    ]
    clients = [await case.client(server, rooms=["r1"], namespace="/") for server in ours]
    await case.joined(2, "/")
    # Answers without a question are heard only while there is one.
    channels = [
        "socket.io#/#",
        "socket.io#/#r1#",
        "socket.io#/#r1",
        "socket.io-request#/#",
        "socket.io-response#/#",
        "socketio",
    ]
    every = [body for body in bodies() if not is_obeyed(body)]
    for channel, start in itertools.product(channels, range(0, len(every), 200)):
        async with case.redis.client.pipeline(transaction=False) as pipeline:
            for body in every[start : start + 200]:
                pipeline.publish(channel, body)
            await pipeline.execute()
        await case.hearing(ours, clients, namespace="/", seconds=20)
    for sender in ours:
        await sender.emit("usual", b"\x01", rooms=["r1"])
        await case.expect_heard(
            f"{sender.title} emits",
            [sender],
            alike(clients, [["usual", b"\x01"]]),
            namespace="/",
        )
        expect_set(
            "fetched",
            [one["id"] for one in await sender.fetch()],
            [client.id for client in clients],
        )
        expect("count", await sender.server_count(), 2)
    for client in clients:
        expect(
            "a client lives",
            [await client.call("echo", 1), client.disconnected.is_set()],
            [1, False],
        )
