"""The README's first program with annotations, and what else a typed program says: mypy and pyright accept it, strict."""

import asyncio
import datetime
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from socket_io import (
    AnswerHeaders,
    Broadcast,
    BroadcastAcks,
    NamespaceIO,
    NotServed,
    Oneself,
    RemoteSocket,
    SocketIOHandler,
    SocketIOServer,
    UserSession,
    event,
)


class Chat(SocketIOHandler):
    ping_interval = 10
    allowed_origins = ["https://example.com"]
    cookie = {"name": "io", "max_age": 3600}
    enabled_dialects = ["EIO4"]

    def initialize(self, db: dict[str, str]) -> None:
        self.db = db

    def on_open(self) -> None:
        self.join("lobby", ["tea", "coffee"])
        self.to("lobby").emit("joined", self.id)

    @event("chat message")
    def chat(self, text: str) -> str:
        self.to(["lobby"]).emit("chat message", self.id, text)
        return "sent"

    @event
    async def ask(self, question: str, *, polite: bool = True) -> tuple[int, str]:
        acks: BroadcastAcks = await self.io.to("lobby").call(question)
        return len(acks.answers), question

    @event()
    def rename(self, name: str) -> None:
        self.session["name"] = name

    def on_message(self, message: str) -> None:
        self.send(message)

    @event
    def watch(self, symbol: str) -> None:
        self.watching: asyncio.Task[int] = self.spawn(self.prices(symbol))

    async def prices(self, symbol: str) -> int:
        await asyncio.sleep(1)
        self.emit("price", symbol)
        return 1

    def on_event(self, name: str, *args: Any) -> None: ...

    def on_error(self, error: Exception) -> None: ...

    def on_any(self, name: str, *args: Any) -> None: ...

    async def on_close(self) -> None:
        self.to("lobby").emit("left", self.id, self.close_reason)

    @staticmethod
    def json_default(value: object) -> object:
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        raise TypeError

    @classmethod
    def set_initial_headers(cls, request: HTTPServerRequest, answer: AnswerHeaders) -> None:
        answer.set_cookie("seen", request.path, max_age=3600, secure=True, samesite="None")

    @classmethod
    def set_answer_headers(cls, request: HTTPServerRequest, answer: AnswerHeaders) -> None:
        answer.set_header("X-Server", "blue")

    @classmethod
    async def allow_request(cls, request: HTTPServerRequest) -> bool:
        return "token" in request.arguments


class Room(SocketIOHandler):
    async def on_open(self, number: str = "", extra: str = "") -> bool:
        return number != extra

    def on_message(self, message: dict[str, int]) -> int:
        return message["number"]


async def used(chat: Chat) -> str:
    count, _ = await chat.ask("why?", polite=False)
    chat.chat(5)  # type: ignore[arg-type]  # `@event` has not made it untyped
    return chat.chat("hello") * count


async def annotated(chat: Chat) -> list[RemoteSocket]:
    session: UserSession = chat.session
    lobby: Broadcast = chat.to("lobby")
    everybody: NamespaceIO = chat.io
    myself: Oneself = chat.volatile
    for some in (lobby, everybody, myself, everybody.except_(chat.id)):
        some.emit("hello", session.get("name"))
    return await everybody.fetch_sockets()


def served() -> int:
    try:
        return len(Chat.io.to("lobby").sockets())
    except NotServed:
        return 0


if __name__ == "__main__":
    SocketIOServer(
        Application([Chat.routes("socket.io", namespaces={"/room": Room}, kwargs={"db": {}})])
    )
