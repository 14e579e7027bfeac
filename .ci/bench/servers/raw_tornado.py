"""Tornado's WebSocketHandler without any Socket.IO: messages come back, those that begin with "all" go to everybody.

raw_tornado.py PORT
"""

import asyncio
import sys

import tornado.web
import tornado.websocket

clients = set()


class Echo(tornado.websocket.WebSocketHandler):
    def open(self):
        clients.add(self)

    def on_message(self, message):
        if message.startswith("all"):
            for client in clients:
                client.write_message(message)
        else:
            self.write_message(message)

    def on_close(self):
        clients.discard(self)


async def main():
    tornado.web.Application([("/", Echo)]).listen(int(sys.argv[1]), "127.0.0.1", backlog=1024)
    await asyncio.Event().wait()


asyncio.run(main())
