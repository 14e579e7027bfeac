"""socket_io.py with several workers, for check.py: server.py PORT WORKERS [FOLDER]

FOLDER is a `workers_folder`: then this process is one worker of those that share it, and shares its port with them.
"""

import logging
import os
import pathlib
import sys

import tornado.web

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from socket_io import SocketIOHandler, SocketIOServer, event


class Chat(SocketIOHandler):
    @event
    def echo(self, *args):
        return args

    @event
    def enter(self, room):
        """Join *room*; the answer is the process that serves this client."""
        self.join(room)
        return os.getpid()

    @event
    def say(self, room, *args):
        self.io.to(room).emit("said", *args)

    @event
    def nothing(self):
        """Do nothing: this measures the way to here."""

    def on_message(self, message):  # 0.6 has messages only
        self.send([os.getpid(), message])


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(process)d %(message)s")
logging.getLogger("tornado.access").setLevel(logging.ERROR)
logging.getLogger("socket_io").addFilter(lambda record: not record.msg.startswith("session "))

application = tornado.web.Application([Chat.routes("socket.io")])
where = {"port": int(sys.argv[1]), "address": "127.0.0.1"}
if len(sys.argv) > 3:
    SocketIOServer(application, **where, workers_folder=sys.argv[3], reuse_port=True)
else:
    SocketIOServer(application, **where, workers=int(sys.argv[2]))
