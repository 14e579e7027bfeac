"""socket_io.py, as all servers here: `echo` and `aecho` come back, `all` goes to everybody, /page is a page.

ours.py PORT [uvloop] [xheaders] [rooms=N] [cluster=PATH] [workers=N] [folder=PATH]: with rooms, ten clients in each;
`room` goes to the first of them. The cluster is the Unix socket of the Redis by which several servers are one, the folder
that of the workers that are started one by one. Several workers run on uvloop where it is installed.
"""

import asyncio
import itertools
import logging
import pathlib
import sys

import tornado.web

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

from socket_io import SocketIOHandler, SocketIOServer, event

logging.getLogger("tornado.access").setLevel(logging.ERROR)

PORT = int(sys.argv[1])
OPTIONS = dict(argument.split("=", 1) for argument in sys.argv if "=" in argument)
ROOMS = int(OPTIONS.get("rooms", 0))
arrivals = itertools.count()


class Bench(SocketIOHandler):
    max_rooms = 10_000
    cluster = f"unix://{OPTIONS['cluster']}" if "cluster" in OPTIONS else None

    def on_open(self):
        if ROOMS:  # ten groups of ten: few clients can be in many rooms
            group = next(arrivals) // 10 % 10
            self.join(*[f"room {number}" for number in range(group, ROOMS, 10)])

    @event
    def echo(self, *args):
        self.emit("echo", *args)

    @event
    async def aecho(self, *args):
        self.emit("aecho", *args)

    @event
    def nothing(self):
        """Do nothing: this shows what the way to here costs."""

    @event("all")
    def to_all(self, *args):
        self.io.emit("all", *args)

    @event("local")
    def to_all_here(self, *args):
        self.io.local.emit("local", *args)

    @event("room")
    def to_room(self, *args):
        self.io.to("room 0").emit("room", *args)

    def on_message(self, message):  # 0.6 has no events
        self.send(message)


class Page(tornado.web.RequestHandler):
    def get(self):
        self.write("a page")


def make_server(**options):
    transports = ["websocket", "polling", "xhr-multipart", "htmlfile"]  # without Flash, and its port
    application = tornado.web.Application(
        [Bench.routes("socket.io"), ("/page", Page)], enabled_protocols=transports
    )
    SocketIOServer(
        application, address="127.0.0.1", port=PORT, xheaders="xheaders" in sys.argv,
        workers_folder=OPTIONS.get("folder"), **options,
    )


async def main():
    make_server(auto_start=False)
    await asyncio.Event().wait()


if "workers" in OPTIONS:
    make_server(workers=int(OPTIONS["workers"]))
elif "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
