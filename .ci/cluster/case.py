"""What the checks of check.py are made of: a namespace of their own, clients, and the events that these hear."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from peers import Server, Stage, plain, until

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from test_socket_io import Client

NUMBERS = itertools.count(1)


def same(seen: Any, wanted: Any) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three values, a tuple is a list."""
    return text_of(seen) == text_of(wanted)


def text_of(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True)


def expect(what: str, seen: Any, wanted: Any) -> None:
    if not same(seen, wanted):
        raise AssertionError(f"{what}: {text_of(seen):.600} instead of {text_of(wanted):.600}")


def expect_set(what: str, seen: Iterable[str], wanted: Iterable[str]) -> None:
    expect(what, sorted(seen), sorted(wanted))


def alike(clients: Iterable[Client], events: list[Any]) -> dict[Client, list[Any]]:
    """Say that each of *clients* hears these events."""
    return {client: events for client in clients}  # noqa: C420  # several clients, one list


class Case:
    """One run of one check: it has a namespace of its own, so that checks do not hear each other."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.redis = stage.redis
        self.namespace = f"/case-{next(NUMBERS)}"
        self.clients: list[Client] = []

    async def client(
        self,
        server: Server,
        dialect: str = "EIO4",
        transport: str = "websocket",
        rooms: Iterable[str] = (),
        namespace: str | None = None,
        **options: Any,
    ) -> Client:
        """Connect a client to *server*, in the case's namespace, and have it enter *rooms*.

        `client.id` is then what the server calls it, whatever its generation is told.
        """
        namespace = self.namespace if namespace is None else namespace
        client = Client(server.port, dialect, transport, namespace, **options)
        self.clients.append(client)
        await client.connect()
        if client.dialect.has_acks:
            client.ids[client.namespace] = await client.call("whoami")
            if rooms:
                await client.call("enter", [*rooms])
        return client

    async def joined(self, count: int, namespace: str | None = None, seconds: float = 10.0) -> None:
        """Wait until *count* servers are members of the namespace."""
        name = self.namespace if namespace is None else namespace
        channel = f"socket.io-request#{name}#"

        async def look() -> bool:
            return await self.redis.count(channel) == count

        await until(f"{count} servers are members of {name}", look, seconds)

    async def hearing(
        self, senders: Iterable[Server], clients: Iterable[Client], namespace: str | None = None,
        seconds: float = 10.0,
    ) -> list[list[Any]]:  # fmt: skip
        """Return what each client has heard until now.

        Every sender emits a marker to all. What a sender has emitted earlier comes before its marker, so nobody has to
        wait for what does not come.
        """
        name = self.namespace if namespace is None else namespace
        markers = []
        for sender in senders:
            markers.append(f"marker {next(NUMBERS)}")
            await sender.emit(markers[-1], namespace=name)
        return await asyncio.gather(*[self._hear(one, markers, seconds) for one in clients])

    async def _hear(self, client: Client, markers: list[str], seconds: float) -> list[Any]:
        missing, heard = set(markers), []
        while missing:
            try:
                words = await client.receive(timeout=seconds)
            except asyncio.TimeoutError:
                raise AssertionError(
                    f"a client did not hear {len(missing)} of {len(markers)} markers within {seconds:.0f} s, "
                    f"only {text_of(heard):.300}"
                ) from None
            if client.dialect.name == "0.6" and isinstance(words[1], dict):  # it has no events
                words = [words[1]["name"], *words[1]["args"]]
            if words[0] in missing:
                missing.discard(words[0])
            elif not str(words[0]).startswith("marker "):
                heard.append([*words])
        return heard

    async def expect_heard(
        self, what: str, senders: Iterable[Server], wanted: dict[Client, list[Any]], **options: Any
    ) -> None:
        """Compare what each of the clients has heard until now; each event is a list of its name and arguments."""
        heard = await self.hearing(senders, wanted, **options)
        for seen, (client, events) in zip(heard, wanted.items(), strict=True):
            expect(f"{what}; {client.dialect.name} over {client.transport} heard", seen, events)

    async def end(self) -> None:
        for client in self.clients:
            await client.close()


#: A check: its number, its name, whom it is for ("pair", "all", or the name of a stage), and the function.
Check = tuple[int, str, str, Callable[..., Coroutine[Any, Any, None]]]
CHECKS: list[Check] = []


def check(number: int, name: str, place: str = "pair") -> Callable[[Any], Any]:
    """Have a function play a behaviour; see `CHECKS`."""

    def note(function: Any) -> Any:
        CHECKS.append((number, name, place, function))
        return function

    return note
