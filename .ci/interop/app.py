"""Run a small server on which real Socket.IO clients act out the checks of this folder.

    app.py PORT     0 takes a free port; the line "READY <port>" says which one, and that the server listens

The matrix uses the events of StageHandler. A 0.6 client knows no events: `ancestor.mjs` sends the message
{"wish": name, "args": [...]} in their place, and hears the answer as a message. `family.mjs` also uses the paths that
are closed to some generations, and `wire.mjs` compares WireHandler's bytes with those of the servers of its time.
"""

import asyncio
import logging
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from socket_io import ConnectionRefused, FlashPolicyServer, SocketIOHandler, event

UNUSUAL = "é€😀\u2028"  # one, one and two UTF-16 units, and a character that ends a line in old JavaScript
PICTURE = bytes(range(256))

close_reasons: dict[str, str] = {}  # by public id, the close reason of every client that has left


class StageHandler(SocketIOHandler):
    allowed_origins = "*"
    ping_interval = 5.0  # short enough to wait for two heartbeats, too long to set a stalled upgrade going again
    ping_timeout = 20.0  # a browser that turns 300 kB into a form beside others has been seen to need ten
    poll_duration = 3.0  # a check can wait for an idle poll to end

    def on_open(self, *args, **kwargs):
        self.notes = []

    def on_message(self, message):
        if isinstance(message, dict) and "wish" in message:
            self.grant(message["wish"], message.get("args", []))
        else:
            self.send(message)

    def on_close(self):
        close_reasons[self.id] = self.close_reason

    # Talking.

    @event
    def echo(self, *args):
        self.emit("echo", *args)

    @event("echo " + UNUSUAL)
    def echo_unusual(self, *args):
        self.emit("echo " + UNUSUAL, *args)

    @event("écho €😀")
    def echo_in_every_generation(self, *args):    # U+2028 in a name is more than some clients can take
        self.emit("écho €😀", *args)

    @event
    def announce(self, name, *args):
        self.emit(name, *args)

    @event("who am i")
    def who_am_i(self):
        return {"id": self.id, "auth": self.auth, "protocol": self.protocol, "dialect": self.session.dialect.name}

    @event("send the picture")
    def send_the_picture(self):
        self.emit("picture", PICTURE, {"name": "é", "layers": [b"", {"deep": PICTURE[::-1]}]})

    @event
    def shrug(self):
        self.volatile.emit("shrugged")
        self.emit("shrugged for sure")

    # Acks, in both directions.

    @event
    def ask(self, *args):
        return args if len(args) > 1 else args[0] if args else None

    @event("ask a slow one")
    async def ask_a_slow_one(self, *args):
        await asyncio.sleep(0.05)
        return args

    @event
    def measure(self, blob):
        return [type(blob).__name__, len(blob)]

    @event("question me")
    async def question_me(self, *args):
        self.emit("answered", await self.call("question", *args, timeout=12))

    @event("question me by callback")
    def question_me_by_callback(self, *args):
        self.emit("question", *args, ack=lambda *answer: self.emit("answered", *answer))

    @event("question the room")
    async def question_the_room(self, room, *args):
        acks = await self.io.to(room).call("question", *args, timeout=12)
        return [acks.answers, sorted(acks.missing)]

    # Rooms.

    @event
    def enter(self, room):
        self.join(room)
        return "entered " + room

    @event
    def exit(self, room):
        self.leave(room)
        return "left " + room

    @event("tell the room")
    def tell_the_room(self, room, text):
        self.io.to(room).emit("told", text)

    @event("tell my room mates")
    def tell_my_room_mates(self, room, text):
        self.to(room).emit("told", text)

    @event("tell the others")
    def tell_the_others(self, text):
        self.broadcast.except_("undisturbed").emit("told", text)

    # Order.

    @event
    def burst(self, count):
        for number in range(count):
            self.emit("tick", number)

    @event
    def note(self, number):
        self.notes.append(number)

    @event("read the notes")
    def read_the_notes(self):
        return self.notes

    # Leaving.

    @event
    def kick(self):
        self.disconnect()

    @event
    def expel(self):
        self.emit("bye")
        self.disconnect(close=True)

    @event
    def drop(self):
        self.close()

    # Private.

    def grant(self, wish, args):
        answer = WISHES[wish](self, *args)
        if answer is not None:
            self.send(answer)


WISHES = {
    "announce": StageHandler.announce,
    "burst": StageHandler.burst,
    "enter": StageHandler.enter,
    "exit": StageHandler.exit,
    "kick": StageHandler.kick,
    "tell my room mates": StageHandler.tell_my_room_mates,
    "tell the others": StageHandler.tell_the_others,
    "tell the room": StageHandler.tell_the_room,
    "who am i": StageHandler.who_am_i,
}


class AdminHandler(StageHandler):
    def on_open(self, *args, **kwargs):
        if self.auth.get("token") != "secret":
            raise ConnectionRefused("Not authorized", {"why": "the token is wrong"})
        super().on_open(*args, **kwargs)


class ModernHandler(StageHandler):
    enabled_dialects = ["EIO4"]


class MsgPackHandler(StageHandler):
    enabled_dialects = ["EIO4", "EIO4-msgpack"]


class AncientHandler(StageHandler):
    enabled_dialects = ["0.6", "0.9"]


class WireHandler(SocketIOHandler):
    """Handler that does what the applications in wire-reference.cjs do."""

    allowed_origins = ["http://good.example"]
    ping_interval = 5.0
    ping_timeout = 8.0
    poll_duration = 3.0

    def on_message(self, message):
        self.send(message)
        if message == "twice":
            self.send(message)

    @event
    def echo(self, *args):
        self.emit("echo", *args)

    @event
    def twice(self, value):
        self.emit("echo", value)
        self.emit("echo", value)

    @event
    def ask(self, *args):
        return args

    @event("question me")
    def question_me(self, value):
        self.emit("question", value, ack=lambda *answer: self.emit("answered", *answer))

    @event
    def kick(self):
        self.disconnect()


class ClosedHandler(SocketIOHandler):
    def on_open(self, *args, **kwargs):
        return False


class RecoverHandler(StageHandler):
    recovery_window = 30.0
    websocket_compression = 1024

    @event
    def remember(self, value):
        self.session["remembered"] = value

    @event
    def recall(self):
        return [self.recovered, self.session.get("remembered"), sorted(self.rooms - {self.id})]


class CloseReasonsHandler(RequestHandler):
    """Tell the scripts which clients have left, and why: those clients cannot ask any more."""

    def get(self):
        self.write(close_reasons)


class PortsHandler(RequestHandler):
    """Tell the scripts the ports of the other servers of this process."""

    def initialize(self, ports):
        self.ports = ports

    def get(self):
        self.write(self.ports)


def listen(server, port):
    sockets = bind_sockets(port, "127.0.0.1")
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


def make_application(ports):
    return Application(
        [
            StageHandler.routes("socket.io", namespaces={"/admin": AdminHandler}),
            ModernHandler.routes("modern"),
            MsgPackHandler.routes("msgpack", namespaces={"/admin": AdminHandler}),
            AncientHandler.routes("ancient"),
            WireHandler.routes("wire", namespaces={"/chat": WireHandler, "/closed": ClosedHandler}),
            RecoverHandler.routes("recover"),
            (r"/close-reasons", CloseReasonsHandler),
            (r"/ports", PortsHandler, {"ports": ports}),
        ]
    )


def make_polling_application():
    return Application([StageHandler.routes("socket.io")], enabled_protocols=["polling"])


async def serve(port):
    ports = {
        "flash policy": FlashPolicyServer(0, address="127.0.0.1").bound[0].getsockname()[1],
        "polling only": listen(HTTPServer(make_polling_application()), 0),
    }
    print("READY", listen(HTTPServer(make_application(ports)), port), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # run.sh looks for ERROR in this log: an exception that no client notices fails the run too.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(int(sys.argv[1])))
