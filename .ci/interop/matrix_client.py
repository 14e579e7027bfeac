"""Run one Python client of the matrix, in a process and an environment of its own; matrix.mjs starts it.

    matrix_client.py http://127.0.0.1:PORT LIBRARY TRANSPORT DIALECT [words]      prints one JSON object per check

The checks are those of matrix-checks.mjs that these libraries can act out.
"""
import json
import os
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit
from urllib.request import urlopen

UNUSUAL = "é€😀"
SECONDS = 15.0
COUNT = 200


class PythonSocketIO:
    """A client of python-socketio, which listens in a thread; the value that a handler returns is the ack."""

    TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}

    def __init__(self, server, transport, dialect, namespace="/", **parameters):
        import socketio

        self.namespace = namespace
        has_parser = dialect == "EIO4-msgpack"
        self.client = socketio.Client(reconnection=False, **({"serializer": "msgpack"} if has_parser else {}))
        self.wait = time.sleep
        self.connected = threading.Event()
        self.client.on("connect", self.connected.set, namespace=namespace)
        if dialect.startswith("EIO4"):
            how = {"auth": parameters or None, "wait_timeout": SECONDS}
        else:
            server, how = server + query(parameters), {}
        path = "msgpack" if has_parser else "socket.io"
        self.client.connect(server, socketio_path=path, transports=self.TRANSPORTS[transport], namespaces=[namespace], **how)
        until("the connect", self.connected.is_set, self)

    def on(self, name, handler):
        self.client.on(name, handler, namespace=self.namespace)

    def on_disconnect(self, handler):
        self.client.on("disconnect", lambda *_: handler(), namespace=self.namespace)

    def answer(self, name, *answer):
        self.client.on(name, lambda *_: answer, namespace=self.namespace)

    def emit(self, name, *args, ack=None):
        self.client.emit(name, args, namespace=self.namespace, callback=ack)

    def send(self, message):
        self.client.send(message, namespace=self.namespace)

    def close(self):
        self.client.disconnect()


class SocketIOClient:
    """A client of socketIO-client, which listens only inside `wait`, and hands the ack to handlers as a callable."""

    TRANSPORTS = {"websocket": ["websocket"], "polling": ["xhr-polling"], "upgrade": ["xhr-polling", "websocket"]}

    def __init__(self, server, transport, dialect, namespace="/", **parameters):
        import socketIO_client as library

        address = urlsplit(server)
        self.client = library.SocketIO(
            address.hostname, address.port, transports=self.TRANSPORTS[transport], params=parameters,
            wait_for_connection=False)
        self.endpoint = self.client.define(library.BaseNamespace, namespace.rstrip("/"))

    def wait(self, seconds):
        import socketIO_client as library

        if not hasattr(self.client, "_process_events"):    # 0.6
            self.client.wait(seconds)
            return
        # The `wait` of 0.5 abandons its poll after so many seconds, and loses the packets that come at that moment.
        try:
            self.client._process_events(SECONDS)
        except (library.TimeoutError, library.ConnectionError):
            pass

    def on(self, name, handler):
        self.endpoint.on(name, handler)

    def on_disconnect(self, handler):
        self.endpoint.on("disconnect", lambda *_: handler())

    def answer(self, name, *answer):
        self.endpoint.on(name, lambda *args: args[-1](*answer))

    def emit(self, name, *args, ack=None):
        self.endpoint.emit(name, *args, *([ack] if ack else []))

    def send(self, message):
        (getattr(self.client, "send", None) or self.client.message)(message)    # 0.6, or 0.5

    def close(self):
        self.client.disconnect()


LIBRARIES = {"python-socketio": PythonSocketIO, "socketIO-client": SocketIOClient}


def query(parameters):
    return "".join(f"{'&' if index else '?'}{key}={value}" for index, (key, value) in enumerate(parameters.items()))


# -- The clients of one check --------------------------------------------------------------


class Clients:
    def __init__(self, server, make):
        self.server = server
        self.make = make
        self.tag = uuid.uuid4().hex    # other checks use the same server
        self.opened = []

    def connect(self, namespace="/", **parameters):
        client = self.make(namespace=namespace, **parameters)
        self.opened.append(client)
        return client

    def ear_of(self, client):
        texts = []
        client.on("told", lambda text: texts.append(text.removesuffix(self.tag)) if text.endswith(self.tag) else None)

        def heard():
            ask(client, "ask", "now")
            return texts
        return heard

    def close_reasons(self):
        with urlopen(self.server + "/close-reasons") as answer:
            return json.load(answer)

    def close_all(self):
        for client in self.opened:
            client.close()


def until(what, condition, client):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {SECONDS:.0f} s for {what}")
        client.wait(0.05)


def ask(client, name, *args):
    answers = []
    client.emit(name, *args, ack=lambda *answer: answers.append(list(answer)))
    until(f"the ack of {name!r}", lambda: answers, client)
    return answers[0]


def comes_back(client, event, send, *args):
    heard = []
    client.on(event, lambda *echoed: heard.append(list(echoed)))
    send(*args)
    until(f"{event!r}", lambda: heard, client)
    same(heard[0], list(args))


def same(actual, expected):
    assert actual == expected, f"{actual!r:.200} is not {expected!r:.200}"


# -- The checks ----------------------------------------------------------------------------


def connects(clients, dialect):
    [who] = ask(clients.connect(), "who am i")
    same(who["dialect"], dialect)


def gets_a_message_back(clients, dialect):
    client = clients.connect()
    comes_back(client, "message", client.send, "hello " + UNUSUAL)


def gets_an_event_back(clients, dialect):
    client = clients.connect()
    args = [1, -2.5, "text", None, True, [], {}, {UNUSUAL: [{"er": [UNUSUAL]}]}]
    comes_back(client, "echo", lambda *args: client.emit("echo", *args), *args)


def gets_an_unusual_event_back(clients, dialect):
    client = clients.connect()
    comes_back(client, "écho €😀", lambda *args: client.emit("écho €😀", *args), UNUSUAL)


def gets_acks(clients, dialect):
    client = clients.connect()
    same(ask(client, "ask", UNUSUAL), [UNUSUAL])
    same(ask(client, "ask", 1, "two", {"three": 3}), [1, "two", {"three": 3}])


def answers_questions(clients, dialect):
    client = clients.connect()
    heard = []
    client.answer("question", UNUSUAL)
    client.on("answered", lambda *args: heard.append(list(args)))
    client.emit("question me", "how", "are you")
    until("the answer", lambda: heard, client)
    same(heard, [[UNUSUAL]])


def hears_its_rooms(clients, dialect):
    ann, bob, eve = clients.connect(), clients.connect(), clients.connect()
    bob_heard, eve_heard = clients.ear_of(bob), clients.ear_of(eve)
    room = UNUSUAL + clients.tag
    ask(ann, "enter", room)
    same(ask(bob, "enter", room), ["entered " + room])
    ann.emit("tell the room", room, "to the room" + clients.tag)
    ann.emit("tell the others", "to all" + clients.tag)
    ask(ann, "ask", "done")
    same(bob_heard(), ["to the room", "to all"])
    same(eve_heard(), ["to all"])


def is_admitted_to_a_namespace(clients, dialect):
    client = clients.connect("/admin", token="secret")
    same(ask(client, "ask", UNUSUAL), [UNUSUAL])
    comes_back(client, "echo", lambda *args: client.emit("echo", *args), UNUSUAL)


def sends_and_gets_300_kb(clients, dialect):
    client = clients.connect()
    comes_back(client, "echo", lambda *args: client.emit("echo", *args), "€" * 100_000)


def sends_and_gets_bytes(clients, dialect):
    client = clients.connect()
    # python-socketio hears each message in a thread of its own: one of other clients could come between attachments.
    ask(client, "enter", "undisturbed")
    args = [bytes(range(256)), {"deep": [b"\xc3\xa9", UNUSUAL]}]
    comes_back(client, "echo", lambda *args: client.emit("echo", *args), *args)
    same(ask(client, "ask", *args), args)


def gets_200_events_in_order(clients, dialect):
    client = clients.connect()
    ticks = []
    client.on("tick", ticks.append)
    client.emit("burst", COUNT)
    until(f"{COUNT} ticks", lambda: len(ticks) == COUNT, client)
    same(ticks, list(range(COUNT)))


def sends_200_events_in_order(clients, dialect):
    client = clients.connect()
    for number in range(COUNT):
        client.emit("note", number)
    same(ask(client, "read the notes"), [list(range(COUNT))])


def is_disconnected_by_the_server(clients, dialect):
    client = clients.connect()
    heard = []
    client.on_disconnect(lambda: heard.append(True))
    client.emit("kick")
    until("the disconnect", lambda: heard, client)


def disconnects_itself_and_the_server_knows(clients, dialect):
    client = clients.connect()
    [who] = ask(client, "who am i")
    client.close()
    clients.opened.remove(client)
    end = time.monotonic() + 35    # if its goodbye is lost, the server notices by the heartbeat, 5 + 20 s
    while who["id"] not in clients.close_reasons():
        assert time.monotonic() < end, "waited 35 s for the server to notice"
        time.sleep(0.05)


def lives_through_heartbeats(clients, dialect):
    client = clients.connect()
    end = time.monotonic() + 26    # time in which a server that hears no heartbeat gives up: app.py has 5 + 20
    while time.monotonic() < end:
        client.wait(0.5)
    same(ask(client, "ask", "alive"), ["alive"])


CHECKS = [
    connects, gets_a_message_back, gets_an_event_back, gets_an_unusual_event_back, gets_acks, answers_questions,
    hears_its_rooms, is_admitted_to_a_namespace, sends_and_gets_300_kb, sends_and_gets_bytes,
    gets_200_events_in_order, sends_200_events_in_order,
    is_disconnected_by_the_server, disconnects_itself_and_the_server_knows, lives_through_heartbeats,
]


def main(server, library, transport, dialect, words="", skipped=""):
    def make(**options):
        return LIBRARIES[library](server, transport, dialect, **options)

    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        if words in name and name not in skipped.split(";"):
            print(json.dumps({"transport": transport, "check": name, "error": run(check, Clients(server, make), dialect)}), flush=True)
    os._exit(0)    # the threads of a client that failed would keep the process alive


def run(check, clients, dialect):
    error = None
    try:
        check(clients, dialect)
    except Exception as reason:
        error = f"{type(reason).__name__}: {reason}"[:400]
    try:
        clients.close_all()
    except Exception as reason:
        error = error or f"closing: {type(reason).__name__}: {reason}"[:400]
    return error


if __name__ == "__main__":
    main(*sys.argv[1:])
