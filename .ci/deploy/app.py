"""The application that the servers of the README's section "Deployment" serve while check.py looks at them.

Its environment: MACHINE is the `sid_prefix`, and the first letter of what `who` answers as "server"; PING_INTERVAL,
POLL_DURATION and CLIENT_PATH are the options.
"""

import logging
import os
import sys

from tornado.web import Application, RequestHandler

from socket_io import SocketIOHandler, event

MACHINE = os.environ.get("MACHINE", "")

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)


class Chat(SocketIOHandler):
    sid_prefix = MACHINE
    ping_interval = float(os.environ["PING_INTERVAL"])
    poll_duration = float(os.environ["POLL_DURATION"])
    client_path = os.environ["CLIENT_PATH"]

    def on_message(self, message):
        if message == {"wish": "who"}:  # a 0.6 client has no events
            message = self.who()
        self.send(message)

    @event
    def who(self):
        return {
            "address": self.request.remote_ip,
            "scheme": self.request.protocol,
            "dialect": self.session.dialect.name,
            "transport": self.protocol,
            "server": f"{MACHINE}-{os.getpid()}",
        }

    @event
    def echo(self, text):
        return text


class Page(RequestHandler):
    def get(self):
        self.write(
            '<!DOCTYPE html><title>Chat</title><script src="socket.io/socket.io.js"></script>'
        )


def make_app(**settings):
    return Application([Chat.routes("socket.io"), ("/", Page)], **settings)
