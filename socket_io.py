# A project that has a copy of this file may have pyright at its strictest: here mypy's strict mode holds.
# pyright: basic
"""Socket.IO for Tornado in one file, for clients of four protocol generations.

    class Chat(SocketIOHandler):
        ping_interval = 10.0  # an option is a class attribute

        def on_open(self):
            self.join("lobby")

        @event("chat message")
        def chat(self, text):
            self.to("lobby").emit("chat message", self.id, text)
            return "sent"  # the acknowledgement

        def on_message(self, message):
            self.send(message)

        def on_close(self):
            self.to("lobby").emit("left", self.id, self.close_reason)

    SocketIOServer(Application([Chat.routes("socket.io")]))

A handler is one client in one namespace. `help(SocketIOHandler)` begins with all options, and tells
what to override and what to call. `help(NamespaceIO)` is about `self.io` and `Chat.io`, which reach
all clients, `help(SocketIOServer)` about ports and the end of a process, `help(Emitter)` about
processes that only send. What this file raises is a `SocketIOError`.

The rest of this text is for readers of the source.

Map. New code goes in its section. A section calls those above it. It calls one below only where
the map names it with an arrow. Only 13 to 16 work with Tornado; 7, 9 and 10 know the names of a few
of its classes.

     1  Limits and errors   the numbers that are no options; one exception family
     2  Packets             EnginePacket and Packet: the words all dialects translate to
     3  Text and bytes      UTF-16 lengths, wire integers, base64, JSON, script quoting, msgpack
     4  Attachments         binary out of JSON and back into it
     5  Dialects            SocketIO06, SocketIO09, EngineIO3, EngineIO4, and MsgPack4
                            beside it: bytes <-> packets; facts, no state
     6  Frames              RFC 6455, server side: bytes in, messages out;
                            built frames are shareable bytes
     7  Requests            method + URL + headers -> Request, or Refused
     8  Session             time, life, upgrade, heartbeat, outbox; it never sleeps
                            -> its `Outlet` (13, 14), its members (9) and its hub (10)
     9  Rooms               members, namespaces, rooms, recovery of missed events
                            -> the hub (10), the application's handlers (15)
    10  Hub                 what one call of `routes` serves: tables, options, verbs
                            -> the cluster and the crew that it joins (11, 12), the handlers and
                            the table of options (15)
    11  Cluster             what 10 does, across several servers (optional)
                            -> the lines of workers, where these are its bus (12)
    12  Workers             the crew of processes that share a port: lines, hand-over
                            -> the server takes what they hand over (16)
    13  HTTP                handshakes, POSTs, polls, refusals; the lane, which reads plain requests
                            before Tornado does -> the connections that leave HTTP (14),
                            `allow_request` and its kin (15), the router and the server (16)
    14  Sockets             what a connection becomes that leaves HTTP: WebSocket, streams
    15  SocketIOHandler     the public door: subclass this; options, operators; start reading here
                            -> `routes` makes the rule that Tornado is given (16)
    16  Serving             the way of a request to its hub; SocketIOServer and the parent of its
                            workers, the Flash policy

One message, from socket to handler: `WebSocket.data_received` (14) cuts bytes into frames (6,
`FrameParser`). The session's dialect (5) turns a frame into engine packets. `Session.received` (8)
acts on them, and hands an event to the `Member` of its namespace (9, `take_event`), which has the
handler (15, `dispatch`) run the method of that name.

One message, from handler to socket: what the method returns is sent as the ack (`Member._send_ack`),
as `emit` sends an event. The dialect encodes the packet, `Outgoing` keeps its bytes, and
`Session.enqueue` writes them to a WebSocket or queues them. Over HTTP a POST comes in by
`Exchange.finish` (13), whether Tornado or the `Lane` has read it, and the messages that go out
answer the GET that waits (`Poll`).

One death: what is due at a time is a method that `Clock` (8) calls, such as
`Session.heartbeat_due`. That one pings, and later calls `Session.end`: the session's outlet lets go
of the client, each member leaves its rooms at once, and its `on_close` runs in the next turn
(9, `Member.end`). A connection that is lost comes to `Session.end` by `Session.outlet_lost`.

One handshake: `LaneConnection._look` (13) reads its head without taking it. The application's
router (16, `find_door`) gives an `Exchange`, whose `begin` asks `allow_request` (15) and whose
`start` makes the session (10, `Hub.new_session`) and its first outlet. The answer leaves at the end
of the turn (13, `Lane.send_soon`). What the lane does not take goes by Tornado to `Door.find_handler`.

One request at the wrong worker: `Lane.pass_on` (13) finds by the sid in its first line whose it is
(10, `Hub.line_for`). The connection leaves by a `Line` (12), with the request unread, and
`SocketIOServer.take_handed` (16) of the other worker serves it as if it had come there. A request
that Tornado has read goes the same way, by `Exchange._hand_over`, in front of what follows it.

One broadcast among workers: `Everywhere` (11) acts in this process and publishes on a `LineBus`.
`Switchboard.publish` sends to each worker that listens to the channel, by its `Line`. The
`LineReader` there gives the message to `Crew.receive`, and so to the `Everywhere` of that worker.

Words. An *engine packet* is a unit of the lower layer, Engine.IO: it opens, checks, upgrades and
closes a session, or carries a message. A *packet* is a unit of the upper layer, Socket.IO: it joins
or leaves a *namespace*, or is an event or an ack in one. An *attachment* is a bytes value of an
event or ack. A *payload* is one HTTP body of engine packets; a *frame* is one WebSocket message.
A *sid* names a session. A *dialect* is what one generation of clients speaks. A *hub* is what one
call of `routes` serves. A *turn* is one round of the event loop. A *worker* is one of several
processes that serve one port, and its *crew* are all of them.

Sources, cited as [TAG "Heading"]: [EIO3] [EIO4] engine.io-protocol, revisions 3 and 4, [SIO5]
socket.io-protocol, revision 5, [SIO1] the text of protocol 1 and the npm package socket.io 0.9.19,
[SIO06] server and browser client of the npm package socket.io 0.6.18, [MSGPACK] the npm package
socket.io-msgpack-parser 3.0, [SIO] the documentation of socket.io 4, [RFC6455], [RFC7692],
[RFC9110], [Fetch] of the WHATWG.
"""

from __future__ import annotations

import abc
import asyncio
import base64
import binascii
import collections
import contextlib
import contextvars
import copy
import dataclasses
import datetime
import decimal
import enum
import errno
import functools
import gzip
import hashlib
import http.client
import http.cookies
import importlib
import inspect
import itertools
import json
import logging
import math
import os
import pathlib
import random
import re
import secrets
import selectors
import shutil
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import types
import urllib.parse
import warnings
import weakref
import zlib
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from time import monotonic
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar, overload

import tornado.autoreload
import tornado.escape
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.netutil
import tornado.routing
import tornado.tcpserver
import tornado.web
from tornado.http1connection import HTTP1Connection

# A type checker need not know the packages that may be missing.
json_writer: Any
try:
    json_writer = importlib.import_module("simplejson")

    def encode_decimal(value: decimal.Decimal) -> Any:
        """Write a Decimal digit for digit, for simplejson; ValueError unless it is finite.

        simplejson's own option `use_decimal` writes NaN and Infinity in 3.19, though not in 4.3.
        """
        if not value.is_finite():
            raise ValueError(f"{value} is not JSON")
        return json_writer.RawJSON(str(value))

    # Bytes are attachments, so simplejson must not write them as text: without an encoding they are
    # a TypeError. A namedtuple is a list, as the standard library has it.
    JSON_OPTIONS: dict[str, Any] = {
        "encoding": None, "use_decimal": False, "namedtuple_as_object": False,
    }  # fmt: skip
    NUMBERS: tuple[type, ...] = (int, float, decimal.Decimal)
except ImportError:
    json_writer = json
    JSON_OPTIONS = {}
    NUMBERS = (int, float)

try:
    from tornado.speedups import websocket_mask
except ImportError:

    def websocket_mask(mask: bytes, data: bytes) -> bytes:
        """XOR *data* with the repeated four-byte *mask*, as one big integer."""
        size = len(data)
        key = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


__version__ = "1.0.0"

__all__ = [
    "NO_ACK",
    "AckTimeout",
    "AnswerHeaders",
    "Broadcast",
    "BroadcastAcks",
    "ClusterTimeout",
    "ConnectionRefused",
    "Dialect",
    "Disconnected",
    "Emitter",
    "FlashPolicyServer",
    "HomeIO",
    "NamespaceIO",
    "NotServed",
    "NotSupported",
    "Oneself",
    "RemoteSocket",
    "SocketIOError",
    "SocketIOHandler",
    "SocketIOServer",
    "TLSSocket",
    "UserSession",
    "event",
]

log = logging.getLogger("socket_io")
# The log of Tornado to which the errors of every RequestHandler go.
APPLICATION_LOG = logging.getLogger("tornado.application")


# -- 1. Limits and errors --------------------------------------------------------------
# Limits that an application may want to change are options of SocketIOHandler (section 15).
# The numbers here follow from the protocols or from this file's own construction.
#
# `SocketIOError` is the family of errors. An error is raised deep and caught in two places:
# where a client's bytes come in (sections 13 and 14), and where application code is called
# (sections 8, 9, 10, 13 and 15).
#
# The table `MISTAKES` decides in one place what happens after a mistake of a client: an error
# carries the name of its row as `cause`, and sessions, members and exchanges do what the row
# says. `blame` writes the line for the log.

# An ack id stays below 2**53, or a JavaScript client would send back another number.
MAX_ACK_DIGITS = 15
# Beyond 2**53, different integers are one and the same number in JavaScript.
MAX_EXACT_INTEGER = 2**53
# A declared length of more digits is refused before anybody believes it.
MAX_LENGTH_DIGITS = 9
MAX_HEARTBEAT_DIGITS = 15
# 15 random bytes are the 20 characters that sticky-session helpers and cluster adapters look for.
SID_BYTES = 15
# A sid has a worker's letter in front; where there are no workers it has this sign instead.
ALONE = "-"
# Codes in the body of a refusal.  [EIO4 "Errors"]
UNKNOWN_SID, FORBIDDEN = 1, 4
# Characters of a namespace's name, where a client may choose the name.
MAX_NAMESPACE_NAME = 250
# Bytes from which an HTTP body is compressed; node's server begins there too.
COMPRESS_FROM = 1024
# Bytes that one turn may send over HTTP before volatile messages are dropped.
VOLATILE_BYTES = 64 * 1024
# Bytes that may wait unsent in a socket before messages are queued in the outbox instead.
WEBSOCKET_HIGH_WATER = 64 * 1024
# Bytes of queued messages that may go to a socket in one write, beside one message.
CORK_BYTES = WEBSOCKET_HIGH_WATER // 2
# A client that has so many times `max_buffered_bytes` unsent is cut off at once.
MOST_UNSENT = 16
# Seconds between a WebSocket's 101 and its OPEN packet. Scripts that await one event after the other,
# such as engine.io-protocol's own test suite, lose the packet when both come in one read.
GREETING_SECONDS = 0.001
READ_SIZE = 64 * 1024
# A request is looked at without Tornado if its line and headers have at most so many bytes, and its
# query so many parameters.
MAX_PLAIN_HEAD = 16 * 1024
MAX_PLAIN_PARAMETERS = 100
# Seconds for a client to read the last answer on its connection.
LINGER_SECONDS = 1.0
# A queued message costs memory for the objects that it is made of, beside its length: its charge.
QUEUED_BYTES = 200
# Bytes that one read of tiny events may be charged with beyond the limit, if it began below the
# limit: each event counts QUEUED_BYTES beside its length.
MAX_READ_COST = 8 * 1024 * 1024
# A resource may be given as a pattern, which may be slow to say no. So only the first MAX_PATH
# characters of a path are looked at, and at most MAX_TAILS places where the resource may end.
MAX_PATH = 4096
MAX_TAILS = 32
# Events that waited for one handler, or came in one POST, and may run one after another before
# other clients have a turn.
EVENTS_PER_TURN = 64
# Seconds that the application may keep the event loop to itself before a warning says so.
BLOCKED_SECONDS = 1.0
# Seconds for the next poll of an Engine.IO client, after the connection of a poll has broken.
POLL_GRACE = 2.0
# Seconds that a client has to answer a WebSocket close frame.
CLOSE_GRACE = 5.0
# Workers that one parent may have, or that share a folder: a character of the sid tells them apart.
MAX_WORKERS = 63
# Clients can cause warnings and must not fill a log: a warning is cut to MAX_WARNING characters,
# and each cause may log MAX_WARNINGS different texts.
MAX_WARNING = 400
MAX_WARNINGS = 10

_warned: dict[str, set[str]] = {}  #: the texts that were logged at WARNING, by their cause


def warn_once(cause: str, message: str, *args: Any) -> None:
    """Log a text at WARNING the first time, and at DEBUG from then on.

    Each text is cut at MAX_WARNING characters, and each *cause* has MAX_WARNINGS texts in the life
    of this process. Text that comes from a client must stand in *message* as `%r` with a precision,
    such as `%.100r`.
    """
    text = message % args
    if not _warn_first(cause, text):
        log.debug("%s", text[:MAX_WARNING])


def _warn_first(cause: str, text: str) -> bool:
    """Log *text* at WARNING and return True; False if *cause* has warned of it, or enough."""
    text, texts = text[:MAX_WARNING], _warned.setdefault(cause, set())
    if len(texts) >= MAX_WARNINGS or text in texts:
        return False
    texts.add(text)
    log.warning("%s", text)
    return True


class Fate(enum.Enum):
    """The consequence of a client's mistake, in the words of the log."""

    IGNORED = "was ignored"  #: the mistake has no consequence; everything goes on
    ANSWERED = "was told no"  #: a packet says so to the client; everything else goes on
    REFUSED = "was refused"  #: the answer to the request says no; a session that it names goes on
    ENDED = "was cut off"  #: the session ends, with the close reason of the table


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A kind of mistake that clients make: what happens, and what the log says of its cure.

    *cure* is a format string, in which `options` is the class whose `routes` was called. A mistake
    without a cure is nobody's fault, or the application's decision: it is never a warning.
    """

    fate: Fate
    cure: str = ""
    close_reason: str = "parse error"  #: the close reason of a session that is ENDED


def _raise_limit(option: str, why: str) -> str:
    """Return the cure of a mistake that a higher *option* would allow."""
    return f"Raise {{options.__name__}}.{option} = {{options.{option}}}, {why}"


_TOO_LARGE = _raise_limit("max_message_bytes", "if clients may send that much")
_TOO_SLOW = _raise_limit("connect_timeout", "if that may take more seconds")
_FOREIGN = "The client speaks another protocol, or something on the way has changed its words"
_ENABLE = 'Put "{}" into {{options.__name__}}.enabled_dialects, if such clients are wanted'

#: Every kind of mistake that a client can make, by cause.
MISTAKES = {
    # In what a client sends.
    "nonsense": Mistake(Fate.ENDED, _FOREIGN),
    "broken frame": Mistake(Fate.ENDED, _FOREIGN, "transport error"),
    "msgpack": Mistake(Fate.ENDED, _ENABLE.format("EIO4-msgpack")),
    "not msgpack": Mistake(Fate.ENDED, _ENABLE.format("EIO4")),
    "too large": Mistake(Fate.ENDED, _TOO_LARGE, "transport error"),
    # A part of a body or a packet is too large, which was read as a whole.
    "too large a part": Mistake(Fate.ENDED, _TOO_LARGE),
    "too many packets": Mistake(
        Fate.ENDED, _raise_limit("max_packets", "if one payload may have more")
    ),
    "too many attachments": Mistake(
        Fate.ENDED, _raise_limit("max_attachments", "if a packet may have more")
    ),
    "too many namespaces": Mistake(
        Fate.ANSWERED, _raise_limit("max_namespaces", "if a client may join more")
    ),
    "namespace flood": Mistake(
        Fate.ENDED, "{options.__name__}.max_namespaces = {options.max_namespaces} is the limit"
    ),
    "namespace not served": Mistake(
        Fate.ANSWERED,
        "Serve it: {options.__name__}.routes(.., namespaces={{name: HandlerClass}})",
    ),
    "namespace not joined": Mistake(Fate.ENDED, "A client connects to a namespace before it sends"),
    # The client may not know yet that it has left, or is of a generation that may send so.
    "packet to nobody": Mistake(Fate.IGNORED),
    "joined twice": Mistake(Fate.ENDED, _FOREIGN),
    # The server has asked for this ack, but the client has left since.
    "late ack": Mistake(Fate.IGNORED),
    "no event": Mistake(
        Fate.IGNORED, "An event has a name, which is none of the life cycle: emit(name, ...)"
    ),
    "no method": Mistake(
        Fate.IGNORED,
        "Decorate a method for it with @event, above other decorators, or override on_event",
    ),
    "arguments": Mistake(
        Fate.IGNORED,
        "Give the @event method other parameters (defaults, *args), or leave the event to on_event",
    ),
    "upgrade of a WebSocket": Mistake(
        Fate.IGNORED, "A connection that is a WebSocket already needs no probe and no upgrade"
    ),
    "failed upgrade": Mistake(
        Fate.IGNORED, "The client goes on polling; a proxy may not let WebSocket frames pass"
    ),
    "overlap": Mistake(
        Fate.ENDED,
        "A client has one poll and one post at a time; a proxy may repeat requests",
        "transport error",
    ),
    # In time.
    "connect_timeout": Mistake(Fate.ENDED, _TOO_SLOW, "forced close"),
    "slow on_open": Mistake(Fate.ANSWERED, _TOO_SLOW),
    "max_buffered_bytes": Mistake(
        Fate.ENDED,
        _raise_limit("max_buffered_bytes", "send less, or use `volatile`"),
        "transport error",
    ),
    "slow handlers": Mistake(
        Fate.ENDED,
        "Its handlers take too long for each event, or it floods them",
        "transport error",
    ),
    # In requests.
    "bad request": Mistake(Fate.REFUSED, _FOREIGN),
    # Every origin has a cure of its own, by `origin_refusal`.
    "origin": Mistake(Fate.REFUSED),
    "generation": Mistake(
        Fate.REFUSED,
        "{options.__name__}.enabled_dialects = {options.enabled_dialects} says which are served",
    ),
    "transport": Mistake(
        Fate.REFUSED, "The application setting `enabled_protocols` says which are served"
    ),
    "lost upgrade": Mistake(
        Fate.REFUSED,
        "A proxy in front must pass on the headers Upgrade and Connection; "
        "for nginx: proxy_http_version 1.1; "
        'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"',
    ),
    "unknown sid": Mistake(
        Fate.REFUSED,
        "The session has ended, or belongs to another process: "
        "then make the proxy's routing sticky ({options.__name__}.cookie helps)",
    ),
    # The application has refused the client, or the server shuts down.
    "turned away": Mistake(Fate.REFUSED),
}  # fmt: skip


def blame(
    options: Any,
    cause: str,
    why: str,
    who: str = "a request",
    sid: str = "-",
    where: str = "",
    cure: str = "",
) -> None:
    """Log a mistake as the row *cause* of `MISTAKES` says: WARNING the first time, then DEBUG.

    Text of a client must stand in *why* as its `repr`, cut short. *where* replaces the name of the
    class *options*, and *cure* the cure of the table.
    """
    mistake = MISTAKES[cause]
    text, cure = f"{who} {mistake.fate.value}: {why}", cure or mistake.cure.format(options=options)
    if not cure or not _warn_first(cause, f"{where or options.__name__}: {text}. {cure}"):
        log.debug("%s ! %s", sid[:6], text)


class SocketIOError(Exception):
    """The family of all errors that this module raises on purpose."""


class PayloadError(SocketIOError):
    """A client sent nonsense; row *cause* of `MISTAKES` says what happens to its session."""

    def __init__(self, message: str, cause: str = "nonsense") -> None:
        super().__init__(message)
        self.cause = cause


class Refused(SocketIOError):
    """A request that is not served: *status* for HTTP, *code* and *message* for the body.

    *cause* is a row of `MISTAKES`. *why* and *cure* go to our own log, where they add to the
    message and replace the row's cure. Text of a client must stand in them as its `repr`, cut
    short.
    """

    def __init__(
        self,
        message: str,
        code: int = 3,
        status: int = 400,
        cause: str = "bad request",
        why: str = "",
        cure: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.cause = cause
        self.why = f"{message}: {why}" if why else message
        self.cure = cure


def unknown_sid(why: str = "") -> Refused:
    """Return the refusal of a request for a session that is not here, or is here no longer."""
    return Refused("Session ID unknown", UNKNOWN_SID, cause="unknown sid", why=why)


class ConnectionRefused(SocketIOError):
    """The error that `on_open` raises to turn a client away.

    The client is told *message* and *data*, which may be any JSON value. Clients of 0.6 and 0.9
    have no words for them: they see a refusal, or the connection end.
    """

    def __init__(self, message: str = "Connection refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Disconnected(SocketIOError):
    """The client is not, or no longer, connected."""


class AckTimeout(SocketIOError, TimeoutError):
    """An acknowledgement did not come in time."""


class NotSupported(SocketIOError):
    """The client's generation cannot do this; nothing was sent."""


# -- 2. Packets ------------------------------------------------------------------------
# The two kinds of packets that all dialects translate to. An engine packet keeps a session
# going or carries a message; a packet is what a message means. Nobody changes a packet after it
# was made, though the dataclasses are not frozen: freezing triples the time to make one.
# BINARY_EVENT and BINARY_ACK are types of the wire only and never leave section 5. Everywhere
# else an EVENT or ACK simply contains `bytes`.

# Types of engine packets.  [EIO4 "Packet encoding"]
OPEN, CLOSE, PING, PONG = "open", "close", "ping", "pong"
MESSAGE, UPGRADE, NOOP = "message", "upgrade", "noop"
# Types of packets.  [SIO5 "Packet encoding"]
CONNECT, DISCONNECT, EVENT = "connect", "disconnect", "event"
ACK, CONNECT_ERROR = "ack", "connect_error"

#: Event names that a client may not send, because node's sockets emit these events themselves.
#: [SIO5 "Packet encoding"]
RESERVED_EVENTS = frozenset(
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
)


@dataclasses.dataclass(slots=True)
class EnginePacket:
    """A packet of the lower layer: OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE or NOOP.

    *data* is text, or the bytes of an attachment. A PING of an upgrade probe has the data "probe".
    """

    type: str
    data: str | bytes = ""


@dataclasses.dataclass(slots=True)
class Packet:
    """A packet of the upper layer: CONNECT, DISCONNECT, EVENT, ACK or CONNECT_ERROR.

    *data* is a list for EVENT (its name first; a client may send an empty one) and ACK, a dict or
    None for the other types. An EVENT with an *ack_id* asks for the ACK with the same id.
    """

    type: str
    namespace: str = "/"
    data: Any = None
    ack_id: int | None = None
    #: The place of an EVENT in the history of its namespace. A client that recovers tells the last
    #: offset that it has seen, and is sent the later events again.
    offset: str | None = None


def message_packet(
    name: str, args: Iterable[Any], namespace: str, ack_id: int | None = None
) -> Packet:
    """Return the EVENT that `emit` sends; TypeError or ValueError for a bad *name*."""
    if not isinstance(name, str):
        raise TypeError(
            f"an event's name is a string, not {type(name).__name__}:"
            " use send() for a message without a name"
        )
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} is reserved for the life cycle and cannot be emitted")
    return Packet(EVENT, namespace, [name, *args], ack_id)


def received_name(name: Any) -> str:
    """Return the name of an event that a client has sent, as node's server would deliver it.

    A name is text, or a number: node's handlers are keyed by text, so a number finds the handler of
    its text. JSON.parse of JavaScript makes 7 of 7.0, therefore 7.0 is the name "7".

    Raises PayloadError for every other type, fractions, integers that JavaScript cannot tell apart,
    and RESERVED_EVENTS.
    """
    if type(name) in (int, float) and abs(name) <= MAX_EXACT_INTEGER and name == int(name):
        name = str(int(name))
    if not isinstance(name, str) or name in RESERVED_EVENTS:
        raise PayloadError("an event without a name that it may have")
    return name


class NoAck:
    """The type of `NO_ACK`, its only value."""

    def __repr__(self) -> str:
        return "NO_ACK"


#: The value that an event's method, or `on_event`, returns to send no ack at all.
NO_ACK = NoAck()


def unwrap(args: Sequence[Any]) -> Any:
    """Return several arguments as a list, a single one as itself, and None for no arguments."""
    if len(args) == 1:
        return args[0]
    return list(args) if args else None


# -- 3. Text and bytes -----------------------------------------------------------------
# Functions that several dialects share, so that each does them in the same way.
#
# Clients are written in JavaScript, or count as JavaScript does: a length on the wire is a number
# of UTF-16 code units, where an emoji counts two. JSON that leaves is ASCII only, so that all ways
# of counting agree on it, and no line separator in it ends a script. JSON that comes in is strict:
# NaN, Infinity and numbers that overflow to infinity are refused.


def utf16_units(text: str) -> int:
    """Return the length of *text* in UTF-16 code units, JavaScript's `string.length`."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf16_take(text: str, start: int, units: int) -> str:
    """Return the next *units* UTF-16 code units of *text*, or fewer at the end of *text*.

    Raises UnicodeError if the last unit would be the first half of a surrogate pair.
    """
    # A code point is at least one unit, so this slice is never too short.
    chunk = text[start : start + units]
    if chunk.isascii():
        return chunk
    taken = chunk.encode("utf-16-le", "surrogatepass")[: 2 * units]
    chunk = taken.decode("utf-16-le", "surrogatepass")
    if not text.startswith(chunk, start):
        raise UnicodeError("half a surrogate pair")
    return chunk


HALF_PAIR = re.compile("[\ud800-\udfff]")
LINE_END = re.compile("[\n-\r\x85\u2028\u2029]")  # line ends of JavaScript and of iOS


def is_whole(text: str) -> bool:
    """Tell whether UTF-8 can carry *text*: JSON may have brought half a surrogate pair."""
    return text.isascii() or HALF_PAIR.search(text) is None


def squeezed(name: str) -> str:
    """Return *name* without case and underscores, so that `pingTimeOut` equals `ping_timeout`."""
    return name.replace("_", "").lower()


def wire_int(text: str, digits: int) -> int:
    """Parse 1 to *digits* ASCII digits; PayloadError for any other text.

    `int` alone would accept signs, blanks and "\\uff14", the full-width 4.
    """
    if not (0 < len(text) <= digits and text.isascii() and text.isdigit()):
        raise PayloadError(f"bad number {text[:20]!r}")
    return int(text)


def decode_base64(text: str) -> bytes:
    """Decode base64 for every dialect: strictly, with or without its padding.

    CR, LF, space and tab are skipped, because Java's encoder, in Android clients, breaks its lines.
    Lengths and limits of dialects and transports count *text* with that white space.
    """
    try:
        digits = text.encode("ascii").translate(None, b"\r\n\t ")
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PayloadError("bad base64") from error


def encode_base64(data: bytes) -> str:
    """Encode *data* with padding and without line ends."""
    return base64.b64encode(data).decode("ascii")


URL_LETTERS = bytes.maketrans(b"+/", b"-_")


def random_text(size: int) -> str:
    """Return *size* secret random bytes as text that may stand in a URL.

    `secrets.token_urlsafe` does the same in three times the time, a twentieth of a handshake.
    """
    data = binascii.b2a_base64(os.urandom(size), newline=False)
    return data.translate(URL_LETTERS, b"=").decode("ascii")


def decode_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode text strictly; PayloadError for bytes that are not of this *encoding*."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise PayloadError(f"not {encoding.upper()}") from error


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's JSON decoder would otherwise accept."""
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Convert *text* to a float; ValueError for a number that overflows, such as 1e400."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("number too large")
    return number


def _exact_number(text: str) -> float | decimal.Decimal:
    """Return the float whose JSON is *text*, or the Decimal if there is no such float."""
    number = float(text)
    return number if repr(number) == text else decimal.Decimal(text)


class StrictJSON:
    """Compact ASCII JSON, strict in both directions.

    simplejson writes, for its Decimals; the standard library reads, in half of simplejson's time.
    *default* is the application's `json_default`: a function that gives what to write in place of a
    value that JSON lacks.
    """

    _decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
    _own_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_exact_number)

    #: Functions that write the simple types without an encoder. Nearly every event is a list of
    #: simple values, and is written in a quarter of the encoder's time.
    _writers: ClassVar[dict[type, Callable[[Any], str]]] = {
        str: json_writer.encoder.encode_basestring_ascii,
        int: str,
        bool: {True: "true", False: "false"}.__getitem__,
        type(None): lambda none: "null",
    }

    def __init__(self, default: Callable[[Any], Any] | None = None) -> None:
        self.default = default
        self._encoder = json_writer.JSONEncoder(
            separators=(",", ":"), allow_nan=False, default=self._replace, **JSON_OPTIONS
        )

    def encode(self, value: Any) -> str:
        """Return the JSON of *value*; TypeError or ValueError says what cannot be JSON."""
        try:
            if type(value) is not list:
                return self._encode_any(value)
            writers, encode_any = self._writers, self._encode_any
            return f"[{','.join([writers.get(type(item), encode_any)(item) for item in value])}]"
        except RecursionError:
            raise ValueError("nested too deep to be sent") from None

    def _encode_any(self, value: Any) -> str:
        text: str = self._encoder.encode(value)
        return text

    def _replace(self, value: Any) -> Any:
        """Return what the encoder writes in place of *value*, which it cannot write."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            # `encode_with_attachments` catches this error and takes the bytes out.
            raise TypeError("bytes cannot be JSON")
        if isinstance(value, decimal.Decimal) and decimal.Decimal in NUMBERS:
            return encode_decimal(value)
        return self.ask_default(value)

    def substitute(self, value: Any) -> Any:
        """Return what is sent in place of *value*: mostly *value* itself.

        Raises TypeError for a value that JSON lacks, if `json_default` does not know it.
        """
        if self.default is None or value is None or isinstance(value, (str, *NUMBERS)):
            return value
        return self.ask_default(value)

    def ask_default(self, value: Any) -> Any:
        """Return what `json_default` gives for *value*; TypeError or ValueError if nothing."""
        kind, default = type(value).__name__, self.default
        if default is None:
            raise TypeError(f"{kind} cannot be JSON: convert it, or let json_default do so")
        name = getattr(default, "__qualname__", "json_default")
        try:
            given = default(value)
        except RecursionError:
            raise
        except ValueError as error:
            raise ValueError(f"{name} failed for a value of the type {kind}: {error}") from error
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise TypeError(f"{name} has nothing for a value of the type {kind}: {why}") from error
        if given is value:
            raise TypeError(f"{name} has returned the {kind} itself, which cannot be JSON")
        return given

    def decode(self, text: str, decoder: json.JSONDecoder = _decoder) -> Any:
        """Return the value of *text*; PayloadError unless it is strict JSON."""
        try:
            text = text.strip(" \t\r\n")
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError) as error:
            raise PayloadError("bad JSON") from error
        if end < len(text):
            raise PayloadError("more than one JSON value")
        return value

    def decode_own(self, text: str) -> Any:
        """Decode the JSON of `encode` to a value of which `encode` would write the same again."""
        return self.decode(text, self._own_decoder)


def holds_bytes(value: Any) -> bool:
    """Tell whether there are bytes in *value*, which may be no JSON otherwise."""
    if isinstance(value, dict):
        return any(map(holds_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_bytes, value))
    return isinstance(value, (bytes, bytearray, memoryview))


class ForeignJSON(StrictJSON):
    """JSON by a *library* of the application's choice, with the same strictness around it.

    The library may be less strict than StrictJSON. Text that could hide the difference is decoded
    by StrictJSON first, which raises; the rest, nearly all text, costs one search.
    What the library can write it writes in its own way. *default* is asked about the rest.
    """

    #: Text that may not be strict JSON: NaN, Infinity, or a number that may overflow. A float ends
    #: at 1e308, so a number of less than 200 digits needs an exponent of three digits to overflow.
    SUSPECT = re.compile("NaN|Infinity|[0-9]{200}|[eE][+]?[0-9]{3}")
    NOT_ASCII = re.compile("[^\x00-\x7f]")

    def __init__(self, library: Any, default: Callable[[Any], Any] | None = None) -> None:
        super().__init__(default)
        self.library = library
        # orjson, for example, raises TypeError for bytes, as we need it; other libraries write
        # them as text.
        try:
            library.dumps(b"")
            self.takes_bytes = True
        # An error of whatever family means the same: this library writes no bytes.
        except Exception:
            self.takes_bytes = False

    def _encode_any(self, value: Any) -> str:
        if self.takes_bytes and holds_bytes(value):
            # `encode_with_attachments` catches this error and takes the bytes out.
            raise TypeError("bytes cannot be JSON")
        try:
            written = self.library.dumps(value)
        # A library may raise any error for what it cannot write; `encode_with_attachments` expects
        # a TypeError.
        except Exception as error:
            if holds_bytes(value):
                raise TypeError("bytes cannot be JSON") from None
            if self.default is not None and not isinstance(error, (TypeError, RecursionError)):
                raise TypeError(f"{type(error).__name__}: {error}") from error
            raise
        text: str = written.decode("utf-8") if isinstance(written, bytes) else written
        if self.SUSPECT.search(text):
            self._decoder.decode(text)
        if text.isascii():
            return text
        # Characters that are not ASCII stand inside of strings, where escapes may replace them.
        return self.NOT_ASCII.sub(lambda match: self._writers[str](match[0])[1:-1], text)

    def substitute(self, value: Any) -> Any:
        if self.default is None or type(value) is float or type(value) in self._writers:
            return value
        # orjson, for example, does not know the subclass of float that numpy has.
        try:
            self.library.dumps(value)
        except Exception:
            return self.ask_default(value)
        return value

    def decode(self, text: str, decoder: json.JSONDecoder = StrictJSON._decoder) -> Any:
        """Decode by the library, which also reads what it has written itself."""
        if self.SUSPECT.search(text):
            super().decode(text)
        try:
            return self.library.loads(text)
        # Each library has errors of its own, which we cannot know.
        except Exception as error:
            raise PayloadError("bad JSON") from error


STRICT_JSON = StrictJSON()
encode_json, decode_json = STRICT_JSON.encode, STRICT_JSON.decode


def script_string(text: str) -> str:
    """Return *text* as a JavaScript string literal that neither U+2028 nor </script> can end."""
    return encode_json(text).replace("<", "\\u003c")


# Of msgpack we read and write what JSON could have said too, and bytes: an event means the same to
# the application and to all of its receivers, whatever a client speaks. The package msgpack reads
# nearly every packet; where these bytes occur, `read_msgpack` decides. They may begin bytes, an
# extension, a number that JSON lacks, or a long list: the package makes room for as many items as a
# list claims to have, before any has come, and once more for each list inside.
MSGPACK_ODDITY = re.compile(
    rb"[\xc4-\xcb\xd4-\xd8\xdc\xdd\xdf](?:(?<=[\xc4-\xc9\xd4-\xd8\xdd\xdf])"
    rb"|(?<=\xcb)[\x7f\xff][\xf0-\xff]|(?<=\xca)[\x7f\xff][\x80-\xff]|(?<=\xdc)[\x04-\xff])"
)
#: The form of a value that begins with this byte, its length, and in how many bytes the length
#: follows where it is not in the byte itself. The length of a fixed extension counts its type.
MSGPACK_FORMS = {
    **{0x80 + length: ("map", length, 0) for length in range(16)},
    **{0x90 + length: ("list", length, 0) for length in range(16)},
    **{0xA0 + length: ("text", length, 0) for length in range(32)},
    0xC4: ("bytes", 0, 1), 0xC5: ("bytes", 0, 2), 0xC6: ("bytes", 0, 4),
    0xC7: ("extension", 0, 1), 0xC8: ("extension", 0, 2), 0xC9: ("extension", 0, 4),
    0xCA: (">f", 4, 0), 0xCB: (">d", 8, 0),
    0xCC: (">B", 1, 0), 0xCD: (">H", 2, 0), 0xCE: (">I", 4, 0), 0xCF: (">Q", 8, 0),
    0xD0: (">b", 1, 0), 0xD1: (">h", 2, 0), 0xD2: (">i", 4, 0), 0xD3: (">q", 8, 0),
    0xD4: ("fixed", 2, 0), 0xD5: ("fixed", 3, 0), 0xD6: ("fixed", 5, 0),
    0xD7: ("fixed", 9, 0), 0xD8: ("fixed", 17, 0),
    0xD9: ("text", 0, 1), 0xDA: ("text", 0, 2), 0xDB: ("text", 0, 4),
    0xDC: ("list", 0, 2), 0xDD: ("list", 0, 4), 0xDE: ("map", 0, 2), 0xDF: ("map", 0, 4),
}  # fmt: skip
MSGPACK_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
#: A packet may have so many lists and maps in each other. The package writes 511 of them, so what
#: has come can be sent on, also inside of a few more.
MSGPACK_DEPTH = 450
MOST_WRITTEN = 508
#: All bytes but those that may begin a list or a map.
NO_CONTAINERS = bytes([*range(0x80), *range(0xA0, 0xDC), *range(0xE0, 0x100)])
#: The types whose values are written as they are.
SAME_IN_MSGPACK: frozenset[type] = frozenset([str, int, bool, type(None)])
UNDEFINED = object()  # JavaScript's undefined: null in a list, and nothing in a map


@functools.cache
def msgpack_package() -> Any:
    """Import the package msgpack, for a dialect that needs it."""
    try:
        return importlib.import_module("msgpack")
    except ImportError as error:
        raise ImportError(
            'the dialect "EIO4-msgpack" in the option `enabled_dialects` needs a package: '
            "pip install msgpack"
        ) from error


def decode_msgpack(data: bytes) -> Any:
    """Return the value of a client's *data*; PayloadError unless it is one value of msgpack."""
    if MSGPACK_ODDITY.search(data) is None:
        try:
            value = msgpack_package().unpackb(data)
        # The exact reader knows numbers as keys too, and the right words for an error.
        except (ValueError, TypeError, RecursionError):
            return read_msgpack(data)
        if len(data) > MSGPACK_DEPTH < len(data.translate(None, NO_CONTAINERS)):
            _check_depth(value)
        return value
    return read_msgpack(data)


def _check_depth(value: Any) -> None:
    """Raise PayloadError if *value* has more than MSGPACK_DEPTH lists and maps in each other."""
    level: list[Any] = [[value]]
    for _ in range(MSGPACK_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is list or type(inner) is dict
        ]
        if not level:
            return
    raise PayloadError("nested too deep")


def read_msgpack(data: bytes) -> Any:
    """Read exactly one value of msgpack, as the same client would have sent it as JSON.

    So NaN and Infinity are None, as JSON.stringify has them, a number is a key as its text, and of
    a key that stands twice the last counts. node's parser writes three types of JavaScript as
    extension 0: undefined, which JSON leaves out of a map; a Date, which is its text; and an
    ArrayBuffer, which is bytes. The package could not tell eight bytes from a Date. Every other
    extension is refused, timestamps too.
    """
    try:
        value, end = _read_value(data, 0, 0)
    except IndexError as error:
        raise PayloadError("msgpack that is cut short") from error
    except RecursionError as error:
        raise PayloadError("nested too deep") from error
    if end < len(data):
        raise PayloadError("more than one value of msgpack")
    return None if value is UNDEFINED else value


def _read_value(data: bytes, position: int, depth: int) -> tuple[Any, int]:
    """Return the value at *position*, inside of *depth* lists and maps, and where it ends."""
    head = data[position]
    position += 1
    if head < 0x80:
        return head, position
    if head >= 0xE0:
        return head - 0x100, position
    if head in MSGPACK_CONSTANTS:
        return MSGPACK_CONSTANTS[head], position
    form, length, size = MSGPACK_FORMS.get(head, ("", 0, 0))
    if size:
        start, position = position, position + size
        length = int.from_bytes(data[start:position], "big") + (form == "extension")
    end = position + length  # a list or a map ends later
    if end > len(data):
        raise PayloadError("msgpack that is cut short")
    if form == "text":
        return decode_text(data[position:end]), end
    if form == "bytes":
        return data[position:end], end
    if form != "list" and form != "map":
        return _read_oddity(form, data[position:end]), end
    if depth >= MSGPACK_DEPTH:
        raise PayloadError("nested too deep")
    # Functions of their own for lists and maps would need a second frame for every level.
    if form == "list":
        items = []
        for _ in range(length):
            item, position = _read_value(data, position, depth + 1)
            items.append(None if item is UNDEFINED else item)
        return items, position
    found: dict[str, Any] = {}
    for _ in range(length):
        key, position = _read_value(data, position, depth + 1)
        item, position = _read_value(data, position, depth + 1)
        if type(key) is not str:
            if type(key) is not int:
                raise PayloadError("a key that is no text")
            key = str(key)
        if item is UNDEFINED:
            found.pop(key, None)
        else:
            found[key] = item
    return found, position


def _read_oddity(form: str, part: bytes) -> Any:
    """Return a number, or what node's parser means by an extension, its type first."""
    if form.startswith(">"):
        number = struct.unpack(form, part)[0]
        return number if math.isfinite(number) else None
    if not form:
        raise PayloadError("a byte that begins no value of msgpack")
    code, part = part[:1], part[1:]
    if code != b"\0" or (form == "fixed" and len(part) not in (1, 8)):
        raise PayloadError(f"extension {code.hex()} of msgpack")
    if form == "extension":
        return part
    if len(part) == 1:
        return UNDEFINED
    try:
        return iso_time(int.from_bytes(part, "big", signed=True))
    except OverflowError:
        return None  # a year that Python does not have


def iso_time(ms: int) -> str:
    """Write a JavaScript Date as JSON has it, such as 2023-11-14T22:13:20.123Z."""
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    return f"{when.isoformat(timespec='milliseconds')}Z"


def encode_msgpack(value: Any, codec: StrictJSON) -> bytes:
    """Encode *value*, bytes in place; TypeError or ValueError for what *codec* cannot write either.

    Raises RecursionError for a value that is nested too deep, though JSON may yet carry it. Half a
    surrogate pair, which is no UTF-8, becomes a question mark.
    """
    packb, same = msgpack_package().packb, SAME_IN_MSGPACK
    packed: bytes
    try:
        packed = packb(_plain(value, codec, same), unicode_errors="replace")
    except OverflowError:  # an integer of more than 64 bits
        packed = packb(_plain(value, codec, same - {int}), unicode_errors="replace")
    return packed


def _plain(value: Any, codec: StrictJSON, same: Set[type], depth: int = 0) -> Any:
    """Return *value* with nothing in it but bytes and what msgpack says as *codec* does.

    Values of the types in *same* stay as they are.
    """
    if type(value) in same:
        return value
    if isinstance(value, (dict, list, tuple)) and depth > MOST_WRITTEN:
        raise RecursionError("nested too deep")
    # A comprehension would need a second frame for every level, before Python 3.12.
    if isinstance(value, dict):
        items = {}
        for key, item in value.items():
            if type(key) is not str:
                (key,) = codec.decode(codec.encode({key: 0}))
            items[key] = item if type(item) in same else _plain(item, codec, same, depth + 1)
        return items
    if isinstance(value, (list, tuple)):
        parts = list(value)
        for at, item in enumerate(parts):
            if type(item) not in same:
                parts[at] = _plain(item, codec, same, depth + 1)
        return parts
    if isinstance(value, int):  # beyond 64 bits it is what JavaScript reads from JSON
        is_small = -(2**63) <= value < 2**64
        return value if is_small else float(value) if abs(value) < 10**308 else None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    given = codec.substitute(value)
    if given is not value:
        return _plain(given, codec, same, depth + 1)
    text = codec.encode(value)  # raises for what JSON cannot say
    try:
        return _plain(codec.decode(text), codec, same, depth + 1)
    except PayloadError:
        return None  # a Decimal that JavaScript reads as Infinity


# -- 4. Attachments --------------------------------------------------------------------
# JSON has no bytes. A bytes value of an event or ack is sent after its packet, as an attachment,
# and a placeholder, {"_placeholder": true, "num": 0}, keeps its place in the JSON. The receiver
# puts the attachments back before it shows the packet to anybody.  [SIO5 "Sending and receiving
# data"]
#
# Encoding looks for bytes only when the encoder has stumbled over them: nearly all JSON has none,
# and is never walked. What `json_default` gives may hold bytes, too. A client's placeholders are not
# trusted: each number may stand once, and every attachment must have its placeholder.


def take_attachments(value: Any, found: list[bytes], substitute: Callable[[Any], Any]) -> Any:
    """Return a copy of *value* with a placeholder for every bytes-like value in it.

    The bytes are appended to *found* in document order, the order in which clients number them.
    *substitute* gives what stands in the copy for anything but bytes, dicts and lists.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        found.append(bytes(value))
        return {"_placeholder": True, "num": len(found) - 1}
    if isinstance(value, dict):
        return {key: take_attachments(item, found, substitute) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [take_attachments(item, found, substitute) for item in value]
    given = substitute(value)
    return value if given is value else take_attachments(given, found, substitute)


def encode_with_attachments(
    codec: StrictJSON, value: Any, packet: Packet | None = None
) -> tuple[str, list[bytes]]:
    """Return the JSON of *value* and its attachments; TypeError or ValueError if impossible.

    The error's text names the event that *packet* is, if it is given.
    """
    if type(value) is EncodedData:
        return value.text, value.attachments
    try:
        try:
            return codec.encode(value), []
        # The encoder has met bytes, or something that cannot be JSON at all.
        except TypeError:
            found: list[bytes] = []
            value = take_attachments(value, found, codec.substitute)
            if not found and codec.default is None:
                raise
            return codec.encode(value), found
    except RecursionError:
        raise ValueError("nested too deep to be sent") from None
    except (TypeError, ValueError) as error:
        if packet is None or packet.type != EVENT:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        text = str(error)
        # No function is asked about the keys of a dict.
        if kind is TypeError and codec.default is None and not re.search("json_default|key", text):
            text += " (json_default can say how a value is sent)"
        raise kind(f"event {packet.data[0][:40]!r}: {text}") from error


#: A placeholder in JSON. Inside of a text, or of a longer name, a quote would have a backslash.
PLACEHOLDER = re.compile(r'(?<!\\)"_placeholder"\s*:\s*true')


def check_placeholders(text: str, attachments: Sequence[bytes]) -> None:
    """Raise ValueError if a dict in *text*, which has *attachments*, looks like a placeholder.

    Clients would take it for one of their bytes, or end the connection.
    """
    if attachments and len(PLACEHOLDER.findall(text)) != len(attachments):
        raise ValueError("a dict that looks like a placeholder cannot be sent with bytes beside it")


def encode_without_attachments(codec: StrictJSON, value: Any) -> str:
    """Return the JSON of *value*, which is no event's and cannot have bytes in it."""
    text, attachments = encode_with_attachments(codec, value)
    if attachments:
        raise TypeError("bytes can only be sent in events and acks")
    return text


def detached(codec: StrictJSON, value: Any) -> Any:
    """Return a copy of *value* as its receivers will have it; raise as encoding does.

    A list is an event's name and arguments. The copy is made of the encoded value, so everything
    can be copied that the codec can write, also what `copy.deepcopy` refuses, such as a memoryview.
    """
    packet = Packet(EVENT, data=value) if isinstance(value, list) else None
    text, attachments = encode_with_attachments(codec, value, packet)
    try:
        return decode_with_attachments(codec, text, attachments)
    # The value has bytes, and beside them a dict that looks like a placeholder.
    except PayloadError as error:
        raise ValueError(f"cannot be sent: {error}") from None


def decode_with_attachments(codec: StrictJSON, text: str, attachments: Sequence[bytes]) -> Any:
    """Return the value of which `encode_with_attachments` made this; PayloadError if there is none.

    Without attachments, a dict that looks like a placeholder is a dict.
    """
    value = codec.decode_own(text)
    return restore_attachments(value, attachments) if attachments else value


class EncodedData(list[Any]):
    """The data of an event that is encoded already: whoever encodes it again gets the same JSON.

    So an event for clients of several dialects and several servers is written once. The values and
    their JSON would no longer be the same if somebody changed the list.
    """

    __slots__ = ("text", "attachments")

    def __init__(self, data: Iterable[Any], text: str, attachments: list[bytes]) -> None:
        super().__init__(data)
        self.text = text
        self.attachments = attachments

    @classmethod
    def of(cls, codec: StrictJSON, data: list[Any]) -> EncodedData:
        """Encode *data*; TypeError or ValueError says what cannot be sent."""
        text, attachments = encode_with_attachments(codec, data, Packet(EVENT, data=data))
        check_placeholders(text, attachments)
        return cls(data, text, attachments)


def restore_attachments(value: Any, attachments: Sequence[bytes]) -> Any:
    """Return a copy of *value* with *attachments* in the places of its placeholders.

    Raises PayloadError unless each has one place. No number may stand twice, or a client could have
    one upload copied 200 times.
    """
    unused = dict(enumerate(attachments))
    try:
        restored = _restore(value, unused)
    except RecursionError as error:
        raise PayloadError("nested too deep") from error
    if unused:
        raise PayloadError("an attachment without a placeholder")
    return restored


def _restore(value: Any, unused: dict[int, bytes]) -> Any:
    if isinstance(value, list):
        return [_restore(item, unused) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _restore(item, unused) for key, item in value.items()}
    number = value.get("num")
    if type(number) is not int or number not in unused:
        raise PayloadError("bad placeholder")
    return unused.pop(number)


class Assembler:
    """A *packet* with placeholders, of whose *expected* attachments some are still to come."""

    __slots__ = ("packet", "expected", "attachments")

    def __init__(self, packet: Packet, expected: int) -> None:
        self.packet = packet
        self.expected = expected
        self.attachments: list[bytes] = []

    def feed(self, data: str | bytes) -> Packet | None:
        """Take the next attachment. Return the finished packet with the last one, None before."""
        if isinstance(data, str):
            raise PayloadError("text where an attachment is due")
        self.attachments.append(data)
        if len(self.attachments) < self.expected:
            return None
        data = restore_attachments(self.packet.data, self.attachments)
        return dataclasses.replace(self.packet, data=data)


# -- 5. Dialects -----------------------------------------------------------------------
# A dialect is what one generation of clients speaks: facts as class attributes, and codecs. It
# keeps no state and knows no socket. The sections below ask for a fact by its name, such as
# `server_pings`, and never for a version. `decode_` goes from wire to value, `encode_` back:
#
#     payload   one HTTP body        <-> engine packets
#     frame     one WebSocket frame  <-> engine packets
#     packet    one MESSAGE's data   <-> Packet (an Assembler while attachments are missing)
#
# Facts come from three places: the class says what holds for the generation, `with_facts` adds
# what the application has decided (`json`, `max_packets`), and `for_client` adds what one client
# needs (`base64`). The wire of each generation, from its own documents and from its clients:
#
#                0.6                 0.9                       EIO3              EIO4
#     OPEN       first text: sid     sid:60:60:transports      0{"sid":..}       0{"sid":..}
#     heartbeat  server ~h~1         server 2::                client 2          server 2
#     EVENT      text or ~j~{..}     5:id:namespace:{..}       42["name",..]     42["name",..]
#     ACK        none                6:::id+[..]               43id[..]          43id[..]
#     bytes      none                none                      b4 or byte 4      b or raw
#     several    ~m~length~m~..      U+FFFD length U+FFFD..    length:..         U+001E between
#
# A generation may have two dialects, as EIO4 has: its clients can be given a parser whose packets
# are msgpack. The request cannot tell them apart, so a session begins with one dialect, which knows
# the other. At the client's first message, `decode_packet` may return that one.

# Servers offer the transports in this order, and a 0.9 client tries them in the order of the offer:
# streams come before polling, as in its own server.
TRANSPORTS = (
    "websocket", "flashsocket", "htmlfile", "xhr-multipart", "xhr-polling", "jsonp-polling",
)  # fmt: skip
WEBSOCKET, FLASHSOCKET, HTMLFILE, XHR_MULTIPART, XHR_POLLING, JSONP_POLLING = TRANSPORTS
WEBSOCKETS = frozenset([WEBSOCKET, FLASHSOCKET])
STREAMS = frozenset([XHR_MULTIPART, HTMLFILE])
POLLING = frozenset([XHR_POLLING, JSONP_POLLING])

TEXT = "text/plain; charset=UTF-8"
SCRIPT = "text/javascript; charset=UTF-8"
BYTES = "application/octet-stream"


class TextMemory:
    """The memory of how one client encodes text: 1.x encodes it as UTF-8 twice, 2.x once.

    The handshakes of both are alike, so only the client's text tells. A session keeps this memory
    and passes it to the codecs, which have none of their own.
    """

    __slots__ = ("encodes_once", "encodes_twice", "tell")

    def __init__(self) -> None:
        #: The client has sent text that cannot be encoded twice: it never encodes twice.
        self.encodes_once = False
        #: The client's latest text that is not ASCII looks encoded twice, which can be chance.
        self.encodes_twice = False
        #: What is to be called as soon as the client sends text that looks encoded twice.
        self.tell: Callable[[], None] | None = None

    def undouble(self, text: str) -> str:
        """Return *text* without its second encoding, if it can have one.

        "Ã©" is more likely an é of a 1.x client than an "Ã©" of a 2.x client.
        """
        if self.encodes_once or text.isascii():
            return text
        try:
            single = text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            self.encodes_once, self.encodes_twice = True, False
            return text
        self.encodes_twice = True
        if self.tell is not None:
            self.tell()
        return single


#: The memory of every client whose generation has no need of one: no codec writes to it.
NO_MEMORY = TextMemory()


def double(text: str) -> str:
    """Return *text* for a 1.x client that decodes UTF-8 twice: each of its bytes as a character."""
    return text if text.isascii() else text.encode("utf-8").decode("latin-1")


class Dialect(abc.ABC):
    """The language of one generation of clients: facts and codecs.

    The values here are those of most generations; a subclass states the facts that differ.
    """

    name = ""  #: the text of `session.dialect.name`
    density = 1  #: a byte may hold so many times the values that a byte of JSON holds
    transports: frozenset[str] = frozenset()  #: names of the transports that its clients know

    @property
    def generation(self) -> str:
        """The name of the generation of clients, whose requests and engine packets it has."""
        return self.name

    # What the application decides, by options of the same names.
    json = STRICT_JSON  #: the codec that writes and reads JSON
    max_packets = 100_000  #: engine packets that one payload may have
    max_attachments = 10  #: attachments that one packet may have
    deflate_from: int | None = None  #: bytes from which a WebSocket message is compressed

    # Facts about the life of a session.
    server_pings = True  #: the server starts a heartbeat, not the client
    numbers_pings = False  #: a ping carries a number, which its pong must bring back
    pings_polling = True  #: heartbeats go on while the client polls
    opens_root_unasked = False  #: every client is in namespace "/" without a CONNECT
    open_follows_connect = False  #: the OPEN packet says that the application has accepted
    has_acks = True
    has_namespaces = True
    #: In socket.io 1 and 2, server and client both make the public id of the secret sid.
    shows_sid = False
    root_is_connection = False  #: leaving "/", or a refusal there, ends the connection
    recovers = False  #: clients can come back and ask for events that they missed
    base64 = False  #: the client has no bytes, neither in payloads nor in frames
    may_encode_twice = False  #: some of its clients encode text as UTF-8 twice; see TextMemory
    doubles_frames = False  #: text in WebSocket frames is encoded as UTF-8 twice
    greets_alone = False  #: the client reads nothing behind an OPEN packet in the same payload
    #: An HTTP request of its own makes the session, before any transport is chosen.
    handshakes_apart = False
    #: Seconds after which a held poll is answered, even with nothing; `poll_duration` may be shorter.
    longest_poll: float | None = None
    #: Seconds that a polling client may stay away between polls. None: heartbeats tell.
    poll_return: float | None = None
    streams_singly = False  #: each packet is a part of its own in a streaming transport
    overlap_closes = True  #: two polls, or two posts, at once end the session
    #: Clients act on a CLOSE before the packets that came with it, so it is sent alone.
    close_overtakes = False
    stray_packets_close = False  #: a packet for a namespace never joined ends the session

    # Facts about HTTP.
    post_answer = ("text/html", b"ok")  #: content type and body that answer a POST
    posts_forms = False  #: every POST is a form; otherwise only the posts of JSONP are
    #: CORS credentials are granted only to requests that bring a cookie.
    credentials_need_cookie = False

    def heartbeat(self, interval: float, timeout: float) -> tuple[float, float]:
        """Return interval and timeout of the heartbeat in seconds, given those of the options."""
        return interval, timeout

    def handshake(
        self, sid: str, transports: list[str], interval: float, timeout: float, max_bytes: int
    ) -> str:
        """Return the data of the OPEN packet. *transports* are those the client may go to."""
        return sid

    def with_facts(self, **facts: Any) -> Dialect:
        """Return this dialect with other *facts*; equal facts always give the same object.

        A broadcast encodes once for each dialect object among its receivers, so there must be few.
        """
        if not hasattr(self, "_variants"):
            self._variants: dict[tuple[tuple[str, Any], ...], Dialect] = {}
        key = tuple(facts.items())
        if key not in self._variants:
            variant = copy.copy(self)
            vars(variant).update(facts, _variants={})
            self._variants[key] = variant
        return self._variants[key]

    def for_client(self, base64: bool, browser: bool, revision: str, cache_buster: str) -> Dialect:
        """Return this dialect with the facts that one client needs, by what its handshake tells.

        *base64* is true for a client without bytes, and *browser* for a script in a browser.
        *revision* and *cache_buster* are the parameters `EIO` and `t` of its query.
        """
        return self

    def beside(self, other: Dialect | None) -> Dialect:
        """Return the dialect for the generation's requests, where *other* of it is enabled too."""
        return self

    def spoken_as(self, other: Dialect) -> Dialect:
        """Return the dialect of a client that speaks *other*, with the facts of this connection."""
        return self

    def client_id(self, sid: str, namespace: str) -> str | None:
        """Return the id that the client computes for itself; None if CONNECT tells it."""
        return sid

    # Codecs. `memory` belongs to the session of the client that sent the bytes.

    def check_count(self, count: int) -> None:
        """Raise PayloadError if a payload that has *count* packets already may have no more."""
        if count >= self.max_packets:
            raise PayloadError("too many packets in one payload", "too many packets")

    def counted_parts(
        self, text: str, before: str, behind: str, lenient: bool = False
    ) -> list[str]:
        """Return the parts of a payload in which each part stands behind its length.

        A length counts UTF-16 code units, and stands between *before* and *behind*. Raises
        PayloadError for more parts than allowed, and for a payload that does not add up. If
        *lenient*, as 0.6 is, a payload ends quietly where no length begins, and the last part may
        be shorter than its length.
        """
        parts: list[str] = []
        position, size = 0, len(text)
        while position < size:
            if not text.startswith(before, position):
                if lenient:
                    break
                raise PayloadError("a payload that does not add up")
            self.check_count(len(parts))
            start = position + len(before)
            # A length has few digits: the search for its end never runs through a long text.
            end = text.find(behind, start, start + MAX_LENGTH_DIGITS + len(behind))
            if end < 0:
                raise PayloadError("a payload that does not add up")
            units = wire_int(text[start:end], MAX_LENGTH_DIGITS)
            start = end + len(behind)
            try:
                part = utf16_take(text, start, units)
            except UnicodeError as error:
                raise PayloadError("a length that halves a surrogate pair") from error
            # A part of as many characters has enough units; only a shorter one must be counted.
            if not lenient and len(part) < units and utf16_units(part) < units:
                raise PayloadError("cut short")
            parts.append(part)
            position = start + len(part)
        return parts

    @abc.abstractmethod
    def decode_payload(self, text: str) -> list[EnginePacket]:
        """Return the engine packets of an HTTP body of text; PayloadError if it is malformed."""

    @abc.abstractmethod
    def encode_payload(self, packets: list[EnginePacket]) -> str:
        """Return the HTTP body of text that carries *packets*."""

    @abc.abstractmethod
    def decode_frame(self, frame: str | bytes, memory: TextMemory) -> list[EnginePacket]:
        """Return the engine packets of a WebSocket message; PayloadError if it is malformed."""

    @abc.abstractmethod
    def encode_frames(self, packets: list[EnginePacket]) -> list[str | bytes]:
        """Return the WebSocket messages that carry *packets*."""

    @abc.abstractmethod
    def decode_packet(self, data: str | bytes) -> Packet | Assembler | Dialect:
        """Return the packet in the data of a MESSAGE, or an Assembler if attachments follow.

        If *data* are of another dialect of the same generation, return that one.
        """

    @abc.abstractmethod
    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        """Return the engine packets that carry *packet*; none if this dialect has no form for it."""

    def _encode_without_bytes(self, value: Any, packet: Packet) -> str:
        """Return the JSON of *value* in *packet*, for a generation that has no attachments."""
        text, attachments = encode_with_attachments(self.json, value, packet)
        if attachments:
            raise NotSupported(f"a {self.name} client takes no bytes: send text or JSON")
        return text

    def recode(self, packets: list[EnginePacket], dialect: Dialect) -> list[EnginePacket]:
        """Return *packets*, which we have encoded in *dialect*, as this dialect has them."""
        return packets

    @abc.abstractmethod
    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        """Return the engine packets of a POST, which with *jsonp* is a form in a browser."""

    def encode_poll(
        self, packets: list[EnginePacket], jsonp: str, memory: TextMemory | None = None
    ) -> tuple[str, bytes]:
        """Return content type and body of a poll's answer; *jsonp* is the index, or empty."""
        return self._encode_text_poll(self.encode_payload(packets), jsonp)

    def _encode_text_poll(self, text: str, jsonp: str) -> tuple[str, bytes]:
        if not jsonp:
            return TEXT, text.encode("utf-8")
        return SCRIPT, self.call_script(jsonp, text).encode("utf-8")

    @abc.abstractmethod
    def call_script(self, jsonp: str, text: str) -> str:
        """Return the script that hands *text* to callback number *jsonp* of the client."""

    def stream_head(self, transport: str) -> bytes:
        """Return the beginning of the endless answer of a streaming transport.

        The beginning is filled up with blanks to some 250 bytes, as in the servers of 0.6 and 0.9:
        browsers show their scripts nothing of a shorter answer.
        """
        return b""

    def stream_part(self, transport: str, packets: list[EnginePacket]) -> bytes:
        """Return the part of the endless answer that carries *packets*."""
        return b""

    @abc.abstractmethod
    def refusal(self, refused: Refused, transport: str, jsonp: str) -> tuple[int, str, bytes]:
        """Return status, content type and body that tell a client why it is turned away."""


def parse_pairs(query: str) -> dict[str, str] | None:
    """Return the parameters of a query that a CONNECT packet carries; None without a query."""
    return dict(urllib.parse.parse_qsl(query, keep_blank_values=True)) if query else None


def form_field(body: bytes, name: str) -> str:
    """Return the one field of a urlencoded form that a transport reads; PayloadError without it.

    Only this field is decoded: a form parser would decode and keep whatever else a client sends.
    """
    _, found, rest = (b"&" + body).partition(f"&{name}=".encode())
    if found:
        return decode_text(
            urllib.parse.unquote_to_bytes(rest.split(b"&", 1)[0].replace(b"+", b" "))
        )
    raise PayloadError(f"no form field {name!r}")


class SocketIO06(Dialect):
    """Socket.IO 0.6: each message stands behind its length, ~m~5~m~hello; the first is the sid.

    There are no event names, acks or namespaces. A message is text, or JSON behind ~j~; it is the
    event "message" here. ~h~ and a number are a heartbeat.  [SIO06]
    """

    name = "0.6"
    transports = frozenset(TRANSPORTS)
    numbers_pings = True
    pings_polling = False
    opens_root_unasked = True
    # The client's "connect" fires on the sid, so the sid waits until the application has accepted.
    open_follows_connect = True
    has_acks = False
    has_namespaces = False
    root_is_connection = True
    longest_poll = 20.0  # the client leaves after 25 s without an answer
    poll_return = 8.0  # `closeTimeout` of the server in 0.6.18
    # Browsers repeat a poll of which the connection broke, so a second poll is no mistake.
    overlap_closes = False
    post_answer = ("text/plain", b"ok")
    posts_forms = True
    credentials_need_cookie = True

    FRAME, JSON, HEARTBEAT = "~m~", "~j~", "~h~"
    #: The boundary stands between the parts of an xhr-multipart answer. Browsers find it even in
    #: the middle of a message, and take what follows for the next message. So no message contains
    #: it.
    BOUNDARY = "--socketio"

    def heartbeat(self, interval: float, timeout: float) -> tuple[float, float]:
        # The 0.6 client leaves after 15 s without a message, and cannot be told to wait longer.
        return min(interval, 10.0), min(timeout, 8.0)

    def decode_payload(self, text: str) -> list[EnginePacket]:
        """Return the messages of *text*; whatever does not begin like one ends it, as in 0.6.18."""
        parts = self.counted_parts(text, self.FRAME, self.FRAME, lenient=True)
        return [self._decode_message(part) for part in parts]

    def _decode_message(self, message: str) -> EnginePacket:
        if message.startswith(self.HEARTBEAT):
            wire_int(message[3:], MAX_HEARTBEAT_DIGITS)
            return EnginePacket(PONG, message[3:])
        return EnginePacket(MESSAGE, message)

    def encode_payload(self, packets: list[EnginePacket]) -> str:
        return "".join([self._encode_message(packet) for packet in packets])

    def _encode_message(self, packet: EnginePacket) -> str:
        # 0.6 has no form for CLOSE and NOOP: the client sees the connection or the poll end.
        if packet.type in (CLOSE, NOOP):
            return ""
        text = packet.data
        assert isinstance(text, str)
        if packet.type in (PING, PONG):
            text = self.HEARTBEAT + text
        return f"~m~{utf16_units(text)}~m~{text}"

    def decode_frame(self, frame: str | bytes, memory: TextMemory) -> list[EnginePacket]:
        if isinstance(frame, bytes):
            raise PayloadError("a binary frame")
        return self.decode_payload(frame)

    def encode_frames(self, packets: list[EnginePacket]) -> list[str | bytes]:
        text = self.encode_payload(packets)
        return [text] if text else []

    def decode_packet(self, data: str | bytes) -> Packet | Assembler:
        assert isinstance(data, str)
        value = self.json.decode(data[3:]) if data.startswith(self.JSON) else data
        return Packet(EVENT, "/", ["message", value])

    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        """Encode the event "message" as its argument, any other as {"name": .., "args": [..]}.

        Text goes as JSON if it could be mistaken: if it begins like JSON or a heartbeat, if it
        contains the multipart boundary, or if it has half a surrogate pair.
        """
        if packet.type != EVENT:
            return []
        name, *args = packet.data
        value = args[0] if name == "message" and len(args) == 1 else {"name": name, "args": args}
        if isinstance(value, str) and is_whole(value) and self.BOUNDARY not in value:
            if not value.startswith((self.JSON, self.HEARTBEAT)):
                return [EnginePacket(MESSAGE, value)]
        text = self._encode_without_bytes(value, packet)
        # \u0073 is an s: the JSON means the same, and does not contain the boundary any more.
        return [EnginePacket(MESSAGE, self.JSON + text.replace(self.BOUNDARY, "--\\u0073ocketio"))]

    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        text = form_field(body, "data")
        # The form of the browser turned \n into \r\n after the client had counted.
        if jsonp:
            text = text.replace("\r\n", "\n")
        return self.decode_payload(text)

    def call_script(self, jsonp: str, text: str) -> str:
        return f"io.JSONP[{jsonp}]._({script_string(text)});"

    def stream_head(self, transport: str) -> bytes:
        return b"--socketio\n" if transport == XHR_MULTIPART else b"<html><body>" + b" " * 244

    def stream_part(self, transport: str, packets: list[EnginePacket]) -> bytes:
        text = self.encode_payload(packets)
        if transport == XHR_MULTIPART:
            return f"Content-Type: text/plain\n\n{text}\n--socketio\n".encode()
        return f"<script>parent.s._({script_string(text)}, document);</script>".encode()

    def refusal(self, refused: Refused, transport: str, jsonp: str) -> tuple[int, str, bytes]:
        if refused.status == 403 and jsonp:
            # A script element sees neither status nor body: 0.6.18 lets the browser say it.
            return 200, SCRIPT, b"alert('Cross domain security restrictions not met');"
        if refused.status == 403 and transport in POLLING:
            return 401, TEXT, b"unauthorized"
        return refused.status, TEXT, refused.message.encode()


class SocketIO09(Dialect):
    """Socket.IO protocol 1, of 0.7 to 0.9: a packet is the text type:id:namespace:data.

    The types are 0 disconnect, 1 connect, 2 heartbeat, 3 text, 4 JSON, 5 event, 6 ack, 7 error and
    8 noop. Engine and Socket.IO are one layer here: 2 and 8 become engine packets, all other
    packets are the data of a MESSAGE.  [SIO1]
    """

    name = "0.9"
    transports = frozenset([WEBSOCKET, FLASHSOCKET, HTMLFILE, XHR_POLLING, JSONP_POLLING])
    pings_polling = False
    opens_root_unasked = True
    root_is_connection = True
    handshakes_apart = True
    longest_poll = 50.0  # the client leaves after 60 s without an answer
    poll_return = 60.0  # the close timeout that `handshake` promises
    # The client takes a backslash off each \/ in a part, so that lengths would not hold.
    streams_singly = True
    overlap_closes = False
    post_answer = (TEXT, b"1")

    #: The character on both sides of a packet's length, in a payload of several packets.
    MARK = "\ufffd"
    #: Type, ack id, plus sign (the application itself will send the ack), namespace.
    HEAD = re.compile(r"([0-8]):([0-9]*)(\+?):([^:]*):?", re.ASCII)
    DIGITS = {DISCONNECT: "0", CONNECT: "1", EVENT: "5", ACK: "6", CONNECT_ERROR: "7"}
    #: An error with the advice to shake hands again. After a disconnect, 0::, a client would not
    #: come back.  [SIO1 "Error"]
    RECONNECT = "7:::1+0"
    ENGINE_TEXTS = {PING: "2::", PONG: "2::", NOOP: "8::", CLOSE: RECONNECT}

    def heartbeat(self, interval: float, timeout: float) -> tuple[float, float]:
        # The client leaves after the 60 s without a packet that the handshake tells. That of cocos2d-x
        # answers no heartbeat, but sends its own after 54 s. A `ping_timeout` below 20 s is obeyed.
        return min(interval, 25.0), timeout if timeout < 20.0 else 60.0

    def handshake(
        self, sid: str, transports: list[str], interval: float, timeout: float, max_bytes: int
    ) -> str:
        return f"{sid}:60:60:{','.join(transports)}"

    def decode_payload(self, text: str) -> list[EnginePacket]:
        """Return the packets of *text*: a single one, or several, each behind its length."""
        if not text.startswith(self.MARK):
            return [self._decode_engine_packet(text)]
        parts = self.counted_parts(text, self.MARK, self.MARK)
        return [self._decode_engine_packet(part) for part in parts]

    def _decode_engine_packet(self, text: str) -> EnginePacket:
        if text.startswith("2:"):
            return EnginePacket(PONG)
        if text.startswith("8:"):
            return EnginePacket(NOOP)
        return EnginePacket(MESSAGE, text)

    def encode_payload(self, packets: list[EnginePacket]) -> str:
        texts = [self._encode_engine_packet(packet) for packet in packets]
        if len(texts) < 2:
            return texts[0] if texts else "8::"
        return "".join([f"{self.MARK}{utf16_units(text)}{self.MARK}{text}" for text in texts])

    def _encode_engine_packet(self, packet: EnginePacket) -> str:
        assert isinstance(packet.data, str)
        return self.ENGINE_TEXTS.get(packet.type) or packet.data

    def decode_frame(self, frame: str | bytes, memory: TextMemory) -> list[EnginePacket]:
        if isinstance(frame, bytes):
            raise PayloadError("a binary frame")
        return [self._decode_engine_packet(frame)]

    def encode_frames(self, packets: list[EnginePacket]) -> list[str | bytes]:
        return [self._encode_engine_packet(packet) for packet in packets]

    def decode_packet(self, data: str | bytes) -> Packet | Assembler:
        """Decode a packet; types 3 (text) and 4 (JSON) are the event "message".

        An id with a plus sign asks for an ack by the application, an id alone for one by the
        server. Both get the handler's, as the server knows no better moment for its own.  [SIO1]
        """
        assert isinstance(data, str)
        head = self.HEAD.match(data)
        if head is None:
            raise PayloadError("malformed packet")
        digit, ack_digits, _, endpoint = head.groups()
        body = data[head.end() :]
        namespace, _, query = endpoint.partition("?")
        if not is_whole(namespace):  # the JSON of a JSONP post can bring what UTF-8 cannot carry
            raise PayloadError("half a surrogate pair in a namespace")
        packet = Packet(
            EVENT,
            namespace or "/",
            ack_id=wire_int(ack_digits, MAX_ACK_DIGITS) if ack_digits else None,
        )
        if digit == "3":
            packet.data = ["message", body]
        elif digit == "4":
            # JSON.stringify of `undefined` is nothing.
            packet.data = ["message", self.json.decode(body) if body else None]
        elif digit == "5":
            packet.data = self._decode_event(self.json.decode(body)) if body else []
        elif digit == "6":
            number, _, args = body.partition("+")
            packet.type, packet.ack_id = ACK, wire_int(number, MAX_ACK_DIGITS)
            packet.data = self.json.decode(args) if args else []
            if not isinstance(packet.data, list):
                raise PayloadError("an ack without a list")
        elif digit == "1":
            packet.type, packet.data = CONNECT, parse_pairs(query or body.lstrip("?"))
        else:
            packet.type = DISCONNECT if digit == "0" else CONNECT_ERROR
        return packet

    def _decode_event(self, value: Any) -> list[Any]:
        if not isinstance(value, dict):
            raise PayloadError("malformed event")
        name, args = value.get("name"), value.get("args")
        if name == "disconnect":
            return []  # the client lets pages emit it, and its server hears nothing
        if not isinstance(args, list):
            args = [] if args is None else [args]
        return [received_name(name), *args]

    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        namespace = "" if packet.namespace == "/" else packet.namespace
        digit, ack, text = self.DIGITS[packet.type], "", ""
        if packet.type == EVENT:
            ack = "" if packet.ack_id is None else f"{packet.ack_id}+"
            digit, text = self._encode_event(packet)
        elif packet.type == ACK:
            args = "+" + self._encode_without_bytes(packet.data, packet) if packet.data else ""
            text = f":{packet.ack_id}{args}"
        elif packet.type == CONNECT_ERROR:
            # Reason 2 is "unauthorized". The packet has no room for a message of the application.
            text = ":2"
        return [EnginePacket(MESSAGE, f"{digit}:{ack}:{namespace}{text}")]

    def _encode_event(self, packet: Packet) -> tuple[str, str]:
        """Return type digit and data."""
        name, *args = packet.data
        if name != "message" or len(args) != 1:
            value = {"name": name, "args": args}
            return "5", ":" + self._encode_without_bytes(value, packet)
        message = args[0]
        # The clients of 0.7, and of 0.9 on iOS, drop a packet that holds a line end: JSON escapes them.
        if isinstance(message, str) and is_whole(message) and not LINE_END.search(message):
            return "3", ":" + message
        return "4", ":" + self._encode_without_bytes(message, packet)

    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        text = form_field(body, "d") if jsonp else decode_text(body)
        if jsonp:
            # 0.7 posts the payload itself, in which the form has turned \n into \r\n, not its JSON.
            text = decode_json(text) if text.startswith('"') else text.replace("\r\n", "\n")
        return self.decode_payload(text)

    def call_script(self, jsonp: str, text: str) -> str:
        return f"io.j[{jsonp}]({script_string(text)});"

    def stream_head(self, transport: str) -> bytes:
        script = b"<script>var _ = function (msg) { parent.s._(msg, document); };</script>"
        return b"<html><body>" + script + b" " * 173

    def stream_part(self, transport: str, packets: list[EnginePacket]) -> bytes:
        return f"<script>_({script_string(self.encode_payload(packets))});</script>".encode()

    def refusal(self, refused: Refused, transport: str, jsonp: str) -> tuple[int, str, bytes]:
        if refused.code == UNKNOWN_SID:
            return 200, *self.encode_poll([EnginePacket(CLOSE)], jsonp)
        words = "bad origin" if refused.cause == "origin" else "unauthorized"
        text = f"handshake {words}" if refused.message == "Forbidden" else refused.message
        if jsonp and not transport:
            # For its polls the client has no such call, but it notices that a script fails.
            return 200, SCRIPT, f"io.j[{jsonp}](new Error({script_string(text)}));".encode()
        return refused.status, TEXT, text.encode()


@functools.lru_cache(100)
def handshake_facts(
    transports: tuple[str, ...], interval: float, timeout: float, limit: int | None
) -> str:
    """Return what stands behind the sid in an OPEN packet."""
    names = ",".join([f'"{name}"' for name in transports])
    times = f'"pingInterval":{round(interval * 1000)},"pingTimeout":{round(timeout * 1000)}'
    return f'"upgrades":[{names}],{times}' + ("" if limit is None else f',"maxPayload":{limit}')


class EngineIO(Dialect):
    """The part that the generations since 1.0 share.

    An engine packet is one digit, its type, and its data. The data of a MESSAGE are a Socket.IO
    packet, which begins with a digit of its own: the EVENT 42["x"] is MESSAGE 4, then EVENT 2.
    """

    transports = frozenset([WEBSOCKET, XHR_POLLING, JSONP_POLLING])
    close_overtakes = True
    tells_limit = False  #: the OPEN packet says how long a payload may be

    ENGINE_TYPES = {
        "0": OPEN, "1": CLOSE, "2": PING, "3": PONG, "4": MESSAGE, "5": UPGRADE, "6": NOOP,
    }  # fmt: skip
    ENGINE_DIGITS = {name: digit for digit, name in ENGINE_TYPES.items()}
    #: Type, number of attachments and a dash, namespace and a comma, ack id; JSON follows.
    PACKET_HEAD = re.compile(r"([0-6])(?:([0-9]+)-)?(?:(/[^,]*),?)?([0-9]*)", re.ASCII)
    #: Types 5 and 6 are BINARY_EVENT and BINARY_ACK, which only announce attachments.
    PACKET_TYPES = {
        "0": CONNECT, "1": DISCONNECT, "2": EVENT, "3": ACK, "4": CONNECT_ERROR, "5": EVENT, "6": ACK,
    }  # fmt: skip
    PACKET_DIGITS = {CONNECT: "0", DISCONNECT: "1", EVENT: "2", ACK: "3", CONNECT_ERROR: "4"}
    WITH_ATTACHMENTS = {EVENT: "5", ACK: "6"}

    def handshake(
        self, sid: str, transports: list[str], interval: float, timeout: float, max_bytes: int
    ) -> str:
        # Every value is ASCII that we have made ourselves: there is nothing to escape.
        limit = max_bytes if self.tells_limit else None
        return f'{{"sid":"{sid}",{handshake_facts(tuple(transports), interval, timeout, limit)}}}'

    def client_id(self, sid: str, namespace: str) -> str | None:
        return None

    def for_client(self, base64: bool, browser: bool, revision: str, cache_buster: str) -> Dialect:
        return self.with_facts(base64=True) if base64 else self

    def decode_engine_packet(self, text: str) -> EnginePacket:
        """Decode a digit and its data, or "b" and base64, which may stand in payloads and frames.

        [EIO4 "Packet encoding"]
        """
        kind = self.ENGINE_TYPES.get(text[:1])
        if kind is not None:
            return EnginePacket(kind, text[1:])
        if text[:1] == "b":
            return self._decode_base64(text[1:])
        raise PayloadError("unknown engine packet type")

    @abc.abstractmethod
    def _decode_base64(self, text: str) -> EnginePacket:
        """Return the engine packet of bytes in *text*, which stood behind a "b"."""

    def decode_packet(self, data: str | bytes) -> Packet | Assembler | Dialect:
        """Decode type [attachments "-"] [namespace ","] [ack id] [JSON].

        [SIO5 "Packet encoding"]
        """
        if isinstance(data, bytes):
            return self.decode_unannounced(data)
        # The commonest packet first: an event in "/" that asks for no ack.
        if data.startswith("2["):
            event = self.json.decode(data[1:])
            packet = Packet(EVENT, "/", event)
            if not event or type(event[0]) is not str or event[0] in RESERVED_EVENTS:
                self.check_packet(packet)
            return packet
        head = self.PACKET_HEAD.match(data)
        if head is None:
            raise PayloadError("unknown packet type")
        digit, count, namespace, ack_digits = head.groups()
        body = data[head.end() :]
        packet = Packet(
            self.PACKET_TYPES[digit], namespace or "/", self.json.decode(body) if body else None
        )
        # JSON null becomes None, which would look like a packet without data; node refuses it.
        if body and packet.data is None:
            raise PayloadError("null is no data")
        if ack_digits:
            packet.ack_id = wire_int(ack_digits, MAX_ACK_DIGITS)
        self.check_packet(packet)
        if digit in "56":
            return self._await_attachments(packet, wire_int(count or "", MAX_LENGTH_DIGITS))
        if count is not None:
            raise PayloadError("a number of attachments where none can be")
        return packet

    def _await_attachments(self, packet: Packet, expected: int) -> Packet | Assembler:
        if expected > self.max_attachments:
            raise PayloadError("more attachments than one packet may have", "too many attachments")
        if expected and not packet.data:
            raise PayloadError("attachments of no data")
        if expected:
            return Assembler(packet, expected)
        packet.data = restore_attachments(packet.data, ())  # no placeholder may be there
        return packet

    def decode_unannounced(self, data: bytes) -> Dialect:
        """Return the dialect whose packet *data* may be; PayloadError if they can be none."""
        raise PayloadError("an attachment that no packet announced")

    def check_packet(self, packet: Packet) -> None:
        """Raise PayloadError unless *packet* has the data that its type asks for."""
        data = packet.data
        if data is None and packet.type in (EVENT, ACK):
            # node's server takes it for an event that nobody hears, or an ack without arguments.
            packet.data = []
        if packet.type is EVENT:
            good = data is None or (isinstance(data, list) and bool(data))
            if good and data and (type(data[0]) is not str or data[0] in RESERVED_EVENTS):
                data[0] = received_name(data[0])
        elif packet.type is ACK:
            good = (data is None or isinstance(data, list)) and packet.ack_id is not None
        elif packet.type is DISCONNECT:
            good = data is None
        else:
            good = data is None or isinstance(data, dict)
        if not good:
            raise PayloadError(f"malformed {packet.type} packet")

    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        data = packet.data
        # The offset of a recoverable EVENT travels as one more argument, which the client removes.
        if packet.offset is not None and self.recovers:
            data = [*data, packet.offset]
        text, attachments = (
            ("", []) if data is None else encode_with_attachments(self.json, data, packet)
        )
        digit = self.PACKET_DIGITS[packet.type]
        if attachments:
            check_placeholders(text, attachments)
            digit = f"{self.WITH_ATTACHMENTS[packet.type]}{len(attachments)}-"
        if packet.namespace != "/":
            digit += packet.namespace + ","
        if packet.ack_id is not None:
            digit += str(packet.ack_id)
        return [
            EnginePacket(MESSAGE, digit + text),
            *[EnginePacket(MESSAGE, data) for data in attachments],
        ]

    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        return self.decode_payload(self.post_text(body, jsonp))

    def post_text(self, body: bytes, jsonp: bool) -> str:
        """Return the payload of a POST; a JSONP client sends it as the field "d" of a form."""
        return self.unescape_newlines(form_field(body, "d")) if jsonp else decode_text(body)

    @staticmethod
    def unescape_newlines(text: str) -> str:
        """Undo the escapes by which a JSONP client saves its newlines from the browser's form.

        The form would turn \\n into \\r\\n. So the client writes a newline as backslash and n,
        after it has put one more backslash before each backslash and n that its text already had.
        """
        text = re.sub(r"(\\)?\\n", lambda match: match[0] if match[1] else "\n", text)
        return text.replace("\\\\n", "\\n")

    def call_script(self, jsonp: str, text: str) -> str:
        return f"___eio[{jsonp}]({script_string(text)});"

    def refusal(self, refused: Refused, transport: str, jsonp: str) -> tuple[int, str, bytes]:
        # node's server answers a WebSocket handshake in words, every other request in JSON.
        if transport == WEBSOCKET:
            return refused.status, TEXT, refused.message.encode()
        body = encode_json({"code": refused.code, "message": refused.message})
        return refused.status, "application/json", body.encode()


class EngineIO3(EngineIO):
    """Engine.IO 2 and 3 and Socket.IO protocol 4: Socket.IO 1 and 2.  [EIO3]

    The clients of 1.0 to 2.5 say nearly the same in their handshakes and read different payloads.
    The facts below tell which payloads a client can read: text, or binary, or both.
    """

    name = "EIO3"
    may_encode_twice = True
    server_pings = False
    shows_sid = True
    opens_root_unasked = True

    #: In browsers, clients 1.4 to 1.7 turn a text payload into a string by one call that has an
    #: argument for each character, and overflow the stack by some 100,000 of them. Nothing in their
    #: requests tells them from 2.x, but both read binary payloads. React Native, which does not,
    #: says in its User-Agent that it is no browser.
    MAX_TEXT = 50_000
    #: The `t` of the clients up to 1.3: milliseconds, a dash and a number.
    OLD_CACHE_BUSTER = re.compile(r"[0-9]+-[0-9]+", re.ASCII)

    only_binary = False  #: payloads are always binary
    calls_by_character = False  #: text payloads of MAX_TEXT characters or more are sent as binary

    def for_client(self, base64: bool, browser: bool, revision: str, cache_buster: str) -> Dialect:
        facts: dict[str, bool] = {}
        # Only the browser script of 1.0, cocos2d-x and elephant.io ask for revision 2.
        if revision == "2":
            facts["doubles_frames"] = True
        # socketIO-client 0.6 of PyPI reads nothing behind the OPEN packet, which servers of its time
        # sent alone; cocos2d-x reads nothing but that packet, and upgrades.
        is_old = revision == "2" or self.OLD_CACHE_BUSTER.fullmatch(cache_buster) is not None
        if is_old:
            facts["greets_alone"] = True
        if base64:
            facts["base64"] = True
        elif is_old:
            # Up to 1.3 the browser script reads nothing but binary payloads.
            facts["only_binary"] = True
        elif browser:
            facts["calls_by_character"] = True
        return self.with_facts(**facts) if facts else self

    def client_id(self, sid: str, namespace: str) -> str | None:
        # CONNECT tells these clients no id: they compute it, as node's 2.x server does.
        return sid if namespace == "/" else f"{namespace}#{sid}"

    def decode_payload(self, text: str, memory: TextMemory | None = None) -> list[EnginePacket]:
        """Decode packets that each stand behind their length and a colon.  [EIO3 "Payload"]

        The length counts UTF-16 code units. "0:" is the payload of no packets.
        """
        if text == "0:":
            return []
        parts = self.counted_parts(text, "", ":")
        if memory is not None:
            parts = [memory.undouble(part) for part in parts]
        return [self.decode_engine_packet(part) for part in parts]

    def _decode_base64(self, text: str) -> EnginePacket:
        # Revision 3 has the type digit before the base64; revision 4 has none.
        return EnginePacket(self._type_of(text[:1]), decode_base64(text[1:]))

    def _decode_bytes(self, data: bytes) -> EnginePacket:
        return EnginePacket(self._type_of(str(data[0]) if data else ""), data[1:])

    def _type_of(self, digit: str) -> str:
        """Return the type of an engine packet of bytes; PayloadError for an unknown digit."""
        if digit not in self.ENGINE_TYPES:
            raise PayloadError("unknown engine packet type")
        return self.ENGINE_TYPES[digit]

    def _decode_binary_payload(self, body: bytes) -> list[EnginePacket]:
        """Decode packets of 0 (text) or 1 (binary), the length, 255, and the packet itself.

        The length counts bytes; each of its digits is one byte of value 0 to 9.  [EIO3 "Payload"]
        """
        packets: list[EnginePacket] = []
        position = 0
        while position < len(body):
            end = body.find(b"\xff", position, position + 2 + MAX_LENGTH_DIGITS)
            self.check_count(len(packets))
            if end < 0:
                raise PayloadError("a payload that does not add up")
            size = wire_int("".join(map(str, body[position + 1 : end])), MAX_LENGTH_DIGITS)
            data = body[end + 1 : end + 1 + size]
            if len(data) < size or body[position] > 1:
                raise PayloadError("a payload that does not add up")
            packets.append(
                self._decode_bytes(data)
                if body[position]
                else self.decode_engine_packet(decode_text(data))
            )
            position = end + 1 + size
        return packets

    def encode_payload(self, packets: list[EnginePacket], twice: bool = False) -> str:
        # 1.x counts the characters of text after its first encoding as UTF-8.
        texts = [self._encode_text(packet) for packet in packets]
        if twice:
            texts = [double(text) for text in texts]
        return "".join([f"{utf16_units(text)}:{text}" for text in texts]) or "0:"

    def _encode_text(self, packet: EnginePacket) -> str:
        """Encode an engine packet for a wire of text only: bytes become base64."""
        digit = self.ENGINE_DIGITS[packet.type]
        if isinstance(packet.data, bytes):
            return f"b{digit}{encode_base64(packet.data)}"
        return digit + packet.data

    def _encode_bytes(self, packet: EnginePacket) -> str | bytes:
        """Encode an engine packet for a wire with bytes: their type is a byte, not a digit."""
        digit = self.ENGINE_DIGITS[packet.type]
        if isinstance(packet.data, bytes):
            return bytes([int(digit)]) + packet.data
        return digit + packet.data

    def _encode_binary_payload(self, packets: list[EnginePacket]) -> bytes:
        parts = []
        for packet in packets:
            whole = self._encode_bytes(packet)
            data = whole.encode() if isinstance(whole, str) else whole
            parts.append(bytes([isinstance(whole, bytes), *map(int, str(len(data))), 255]) + data)
        return b"".join(parts)

    def decode_frame(self, frame: str | bytes, memory: TextMemory) -> list[EnginePacket]:
        return [
            self._decode_bytes(frame)
            if isinstance(frame, bytes)
            else self.decode_engine_packet(memory.undouble(frame))
        ]

    def encode_frames(self, packets: list[EnginePacket]) -> list[str | bytes]:
        frames: list[str | bytes]
        if self.base64:
            frames = [self._encode_text(packet) for packet in packets]
        else:  # `_encode_bytes`, without the cost of a call
            digits = self.ENGINE_DIGITS
            frames = [
                bytes([int(digits[packet.type])]) + packet.data
                if isinstance(packet.data, bytes)
                else digits[packet.type] + packet.data
                for packet in packets
            ]
        if self.doubles_frames:
            return [double(frame) if isinstance(frame, str) else frame for frame in frames]
        return frames

    def decode_packet(self, data: str | bytes) -> Packet | Assembler | Dialect:
        found = super().decode_packet(data)
        packet: Any = found.packet if isinstance(found, Assembler) else found
        # 2.x has no auth: the parameters of CONNECT are a query behind the namespace. Some clients
        # in Python repeat it in every packet.
        if packet.type is CONNECT or "?" in packet.namespace:
            packet.namespace, _, query = packet.namespace.partition("?")
            if packet.type is CONNECT:
                packet.data = parse_pairs(query)
        return found

    def check_packet(self, packet: Packet) -> None:
        # The data of protocol 4's ERROR may be any JSON.
        if packet.type is not CONNECT_ERROR:
            super().check_packet(packet)

    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        # Protocol 4 answers CONNECT without data, and its ERROR has one value, often a text.
        if packet.type == CONNECT:
            packet = Packet(CONNECT, packet.namespace)
        elif packet.type == CONNECT_ERROR:
            packet = dataclasses.replace(
                packet, data=packet.data.get("data", packet.data["message"])
            )
        return super().encode_packet(packet)

    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        if content_type.startswith(BYTES):
            return self._decode_binary_payload(body)
        return self.decode_payload(self.post_text(body, jsonp), memory)

    def encode_poll(
        self, packets: list[EnginePacket], jsonp: str, memory: TextMemory | None = None
    ) -> tuple[str, bytes]:
        """Return content type and body of a poll's answer: text, wherever the client can read it.

        1.x counts and reads text that is not ASCII in its own way, so such text is encoded as often
        as *memory* says the client does. ASCII and binary payloads are the same for all clients.
        """
        if not jsonp and not self.base64 and self._wants_binary(packets, memory):
            return BYTES, self._encode_binary_payload(packets)
        return self._encode_text_poll(
            self.encode_payload(packets, memory is not None and memory.encodes_twice), jsonp
        )

    def _wants_binary(self, packets: list[EnginePacket], memory: TextMemory | None) -> bool:
        """Tell whether the payload of *packets* should be binary for this client."""
        if self.only_binary or any(isinstance(packet.data, bytes) for packet in packets):
            return True
        # The client is of 2.x, which reads every text payload, in a browser or not.
        if memory is not None and memory.encodes_once:
            return False
        if self.calls_by_character and sum(len(packet.data) for packet in packets) >= self.MAX_TEXT:
            return True
        # How the client counts text that is not ASCII may be unknown yet; binary counts bytes.
        is_ascii = all(packet.data.isascii() for packet in packets)
        return not is_ascii and (memory is None or memory.encodes_twice or self.calls_by_character)


class EngineIO4(EngineIO):
    """Engine.IO 4 and Socket.IO protocol 5: Socket.IO 3 and 4.  [EIO4] [SIO5]

    The server pings, because browsers delay the timers of pages in the background. Payloads are
    text with a separator between the packets, and have no lengths.  [EIO4 "From v3 to v4"]
    """

    name = "EIO4"
    stray_packets_close = True
    recovers = True
    tells_limit = True

    SEPARATOR = "\x1e"
    MSGPACK_MAP = re.compile(rb"[\x80-\x8f\xde\xdf]")  # its first byte
    #: The dialect of the clients whose first packet is bytes, if that is enabled too.
    in_bytes: EngineIO4 | None = None

    def beside(self, other: Dialect | None) -> Dialect:
        return self if other is None else self.with_facts(in_bytes=other)

    def spoken_as(self, other: Dialect) -> Dialect:
        if self.in_bytes is None or other.name == self.name:
            return self
        return self.in_bytes.with_facts(base64=self.base64, deflate_from=self.deflate_from)

    def decode_unannounced(self, data: bytes) -> Dialect:
        if self.in_bytes is not None:
            return self.spoken_as(self.in_bytes)
        # A packet in msgpack is a map, and "nsp" is one of its keys.
        if self.MSGPACK_MAP.match(data) and b"\xa3nsp" in data:
            raise PayloadError("its packets are msgpack, where text is due", "msgpack")
        return super().decode_unannounced(data)

    def decode_own(self, packets: list[EnginePacket]) -> Packet:
        """Return the packet of `encode_packet`, without an offset: that has become an argument."""
        text, *attachments = [packet.data for packet in packets]
        head = self.PACKET_HEAD.match(text)  # type: ignore[arg-type]
        assert head is not None
        digit, _, namespace, ack_digits = head.groups()
        body: Any = text[head.end() :]
        return Packet(
            self.PACKET_TYPES[digit],
            namespace or "/",
            decode_with_attachments(self.json, body, attachments) if body else None,  # type: ignore[arg-type]
            int(ack_digits) if ack_digits else None,
        )

    def decode_payload(self, text: str) -> list[EnginePacket]:
        # Counting comes first: `split` would make a list of a million parts.
        self.check_count(text.count(self.SEPARATOR))
        return [self.decode_engine_packet(part) for part in text.split(self.SEPARATOR)]

    def _decode_base64(self, text: str) -> EnginePacket:
        return EnginePacket(MESSAGE, decode_base64(text))

    def encode_payload(self, packets: list[EnginePacket]) -> str:
        if len(packets) == 1:  # nearly always; joining takes as long again
            return self._encode_text(packets[0])
        return self.SEPARATOR.join([self._encode_text(packet) for packet in packets])

    def _encode_text(self, packet: EnginePacket) -> str:
        if isinstance(packet.data, bytes):
            # Only a MESSAGE carries bytes, so there is no type digit.
            return "b" + encode_base64(packet.data)
        return self.ENGINE_DIGITS[packet.type] + packet.data

    def decode_frame(self, frame: str | bytes, memory: TextMemory) -> list[EnginePacket]:
        if isinstance(frame, bytes):
            return [EnginePacket(MESSAGE, frame)]
        return [self.decode_engine_packet(frame)]

    def encode_frames(self, packets: list[EnginePacket]) -> list[str | bytes]:
        if self.base64:
            return [self._encode_text(packet) for packet in packets]
        return [
            packet.data
            if isinstance(packet.data, bytes)
            else self.ENGINE_DIGITS[packet.type] + packet.data
            for packet in packets
        ]

    def decode_post(
        self, body: bytes, content_type: str, jsonp: bool, memory: TextMemory
    ) -> list[EnginePacket]:
        if content_type.startswith(BYTES):
            # [EIO4 "From v3 to v4"]
            raise PayloadError("no binary payloads in this revision")
        return super().decode_post(body, content_type, jsonp, memory)


class MsgPack4(EngineIO4):
    """Engine.IO 4 with packets in msgpack, as a parser for node's clients writes them.  [MSGPACK]

    A packet is one MESSAGE of bytes: a map of type, nsp (the namespace), data and id. Bytes stand
    in their places, so there are no attachments. That parser refuses null where a packet has no
    data; python-socketio, whose `serializer` is "msgpack", sends null there. Handshakes and engine
    packets are those of EIO4.
    """

    name = "EIO4-msgpack"
    density = 3  # a list is a byte, where JSON has two characters and a comma

    NUMBERS = (CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR)
    NUMBER_OF: ClassVar[dict[str, int]] = {name: number for number, name in enumerate(NUMBERS)}
    #: JSON has no room for another name in a packet, and an event may be for clients of both.
    NAMESPACE = re.compile("/[^,]*")

    @property
    def generation(self) -> str:
        return EngineIO4.name

    def beside(self, other: Dialect | None) -> Dialect:
        msgpack_package()
        return self if other is None else other.beside(self)

    def decode_packet(self, data: str | bytes) -> Packet:
        if isinstance(data, str):
            # The text may be a secret, as the auth of a CONNECT is.
            raise PayloadError("its packets are text, where msgpack is due", "not msgpack")
        found = decode_msgpack(data)
        if not isinstance(found, dict):
            raise PayloadError("a packet that is no map")
        number, namespace, ack_id = found.get("type"), found.get("nsp"), found.get("id")
        if type(number) is not int or not 0 <= number < len(self.NUMBERS):
            raise PayloadError("unknown packet type")
        if not isinstance(namespace, str) or not self.NAMESPACE.fullmatch(namespace):
            raise PayloadError("a packet without a namespace")
        if ack_id is not None and (type(ack_id) is not int or not 0 <= ack_id < 10**MAX_ACK_DIGITS):
            raise PayloadError("bad ack id")
        packet = Packet(self.NUMBERS[number], namespace, found.get("data"), ack_id)
        self.check_packet(packet)
        return packet

    def encode_packet(self, packet: Packet) -> list[EnginePacket]:
        data = packet.data
        if packet.offset is not None and self.recovers:
            data = [*data, packet.offset]
        found: dict[str, Any] = {"type": self.NUMBER_OF[packet.type], "nsp": packet.namespace}
        if data is not None:
            found["data"] = data
        if packet.ack_id is not None:
            found["id"] = packet.ack_id
        try:
            return [EnginePacket(MESSAGE, encode_msgpack(found, self.json))]
        except (TypeError, ValueError, RecursionError) as error:
            super().encode_packet(packet)  # raises if no client can be sent it, and says why
            raise NotSupported(f"not for clients with msgpack: {error}") from None

    def recode(self, packets: list[EnginePacket], dialect: Dialect) -> list[EnginePacket]:
        if packets[0].type is not MESSAGE or not isinstance(dialect, EngineIO4):
            return packets
        try:
            return self.encode_packet(dialect.decode_own(packets))
        except NotSupported as error:  # the value is nested too deep
            log.debug("an event that was missed is not sent again: %s", error)
            return [EnginePacket(NOOP)]


#: The dialects that are served by default, one for each generation.
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (SocketIO06(), SocketIO09(), EngineIO3(), EngineIO4())
}
#: All dialects. Those that need a package are served only where `enabled_dialects` names them.
ALL_DIALECTS: dict[str, Dialect] = {**DIALECTS, MsgPack4.name: MsgPack4()}


# -- 6. Frames -------------------------------------------------------------------------
# RFC 6455 from the server's side, without a socket. Bytes go in however the network has cut them;
# messages come out: `str`, `bytes`, or a `Control`. An incomplete frame is kept until the rest has
# come, but nothing is kept of a frame that its header already forbids.
#
# Frames that we build are plain `bytes`, which may be written to any number of clients. Compression
# (RFC 7692) therefore has no memory between messages (*no context takeover*): a compressed frame
# can be shared too, and an idle client needs no memory for a compressor.

TEXT_FRAME, BINARY_FRAME, CLOSE_FRAME, PING_FRAME, PONG_FRAME = 1, 2, 8, 9, 10
FINAL, COMPRESSED = 0x80, 0x40  # bits of a frame's first byte
NORMAL, GOING_AWAY, PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1000, 1001, 1002, 1007, 1009
DEFLATE = "permessage-deflate"
# Every compressed message ends with these bytes, which are not sent.  [RFC7692 "Compression"]
DEFLATE_TAIL = b"\x00\x00\xff\xff"
# The event loop waits while a message is compressed, so the quickest level is taken.
DEFLATE_LEVEL = 1
# A parameter of an offer that we can accept. Our compressor has a window of 15 bits, so an offer
# that asks us for a smaller window is refused; the client's own window may have any size.
DEFLATE_PARAMETER = re.compile(
    r'((?:server|client)_no_context_takeover)|(client_max_window_bits)(?:=("?)(?:8|9|1[0-5])\3)?'
    r'|(server_max_window_bits)=("?)15\5',
    re.ASCII,
)


class FrameError(SocketIOError):
    """A client broke RFC 6455; the connection closes with *code*."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.cause = "too large" if code == TOO_BIG else "broken frame"


def encode_frame(opcode: int, payload: bytes, bits: int = FINAL) -> bytes:
    """Return one whole frame, without a mask, as servers send it.

    [RFC6455 "Base Framing Protocol"]
    """
    size = len(payload)
    if size < 126:
        return bytes((bits | opcode, size)) + payload
    if size < 65536:
        return bytes((bits | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((bits | opcode, 127)) + size.to_bytes(8, "big") + payload


def encode_message(message: str | bytes, deflate_from: int | None = None) -> bytes:
    """Return the frame of a message, compressed if it has *deflate_from* bytes or more."""
    if isinstance(message, str):
        opcode, payload = TEXT_FRAME, message.encode()
    else:
        opcode, payload = BINARY_FRAME, message
    if deflate_from is None or len(payload) < deflate_from:
        return encode_frame(opcode, payload)
    deflater = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return encode_frame(opcode, deflated[: -len(DEFLATE_TAIL)], FINAL | COMPRESSED)


def inflate(payload: bytes, max_bytes: int) -> bytes:
    """Return a message decompressed; FrameError if it is longer than *max_bytes*.

    Decompression stops at the limit: a small message that unfolds to gigabytes does no harm.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(payload + DEFLATE_TAIL, max_bytes + 1)
    except zlib.error:
        raise FrameError(NOT_UTF8, "bad compression") from None
    if len(inflated) > max_bytes:
        raise FrameError(TOO_BIG, f"more than {max_bytes} bytes")
    return inflated


def deflate_answer(offers: str) -> str:
    """Return the Sec-WebSocket-Extensions that accepts one of *offers*, or nothing.

    The first offer counts of which we know every parameter, once each.  [RFC7692 "Extension"]
    """
    for offer in offers.split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        matches = [DEFLATE_PARAMETER.fullmatch(parameter) for parameter in parameters]
        names = {match and (match[1] or match[2] or match[4]) for match in matches}
        if name == DEFLATE and None not in names and len(names) == len(parameters):
            answer = f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover"
            # iOS offers this parameter, and must hear the number again.
            if "server_max_window_bits" in names:
                answer += "; server_max_window_bits=15"
            return answer
    return ""


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame. A control frame has 125 bytes at most; a long reason is cut.

    Decoding with errors="ignore" drops a last character that the cut has halved.
    """
    cut = reason.encode()[:123].decode(errors="ignore").encode()
    return encode_frame(CLOSE_FRAME, code.to_bytes(2, "big") + cut)


@dataclasses.dataclass(slots=True)
class Control:
    """A control frame: PING_FRAME or PONG_FRAME with *data*, CLOSE_FRAME with *code* and a reason.

    Code 1005 stands for a close frame without a code.  [RFC6455 "Defined Status Codes"]
    """

    opcode: int
    data: bytes = b""
    code: int = 1005


class FrameParser:
    """The parser that cuts a client's bytes into messages and control frames.

    `feed` raises FrameError at the first fault, after it has given the messages before the fault.
    The parser must not be used afterwards.
    """

    __slots__ = (
        "max_bytes", "inflates", "_quick", "_pending", "_needed", "_opcode", "_deflated", "_fragments",
    )  # fmt: skip

    def __init__(self, max_bytes: int, inflates: bool = False) -> None:
        self.max_bytes = max_bytes
        #: Compression was agreed upon in the handshake.
        self.inflates = inflates
        #: Payloads up to this size take the quick way through `feed`.
        self._quick = min(max_bytes, 125)
        #: The beginning of a frame of which the rest has not come.
        self._pending = bytearray()
        #: The bytes that `_pending` must have before another look at it is worth while.
        self._needed = 2
        #: The opcode of a message of which some fragments have come, otherwise 0.
        self._opcode = 0
        #: The first fragment of this message said that the message is compressed.
        self._deflated = 0
        self._fragments = bytearray()

    def feed(self, data: bytes) -> Iterator[str | bytes | Control]:
        """Yield the messages and control frames that *data* completes."""
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
            self._pending.clear()
        position, end = 0, len(data)
        while end - position >= 2:
            # The commonest frame first: a short, whole, masked text frame, which is no fragment.
            length = data[position + 1] - 0x80
            stop = position + 6 + length
            if (
                data[position] == 0x81
                and 0 <= length <= self._quick
                and stop <= end
                and not self._opcode
            ):
                yield self._text(
                    websocket_mask(data[position + 2 : position + 6], data[position + 6 : stop])
                )
                position = stop
                continue
            header = self._header(data, position, end)
            stop = position + self._needed
            if header is None or stop > end:
                break
            payload = websocket_mask(
                data[position + header - 4 : position + header], data[position + header : stop]
            )
            message = self._frame(data[position], payload)
            position = stop
            if message is not None:
                yield message
        else:
            self._needed = 2
        self._pending += data[position:]

    def _header(self, data: bytes, at: int, end: int) -> int | None:
        """Check the header at *at* and return its size, or None if it is not complete.

        `_needed` becomes the size of the whole frame, or of its header while that is not complete.
        Everything that a header can do wrong is found here, before the payload has come.
        """
        first, second = data[at], data[at + 1]
        opcode, length = first & 0x0F, second & 0x7F
        may_be_deflated = self.inflates and 0 < opcode <= BINARY_FRAME
        if first & (0x30 if may_be_deflated else 0x70):
            raise FrameError(PROTOCOL_ERROR, "reserved bits")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "not masked")  # [RFC6455 "Overview" 5.1]
        if opcode >= 8:
            if not first & FINAL or length > 125 or opcode > PONG_FRAME:
                raise FrameError(PROTOCOL_ERROR, "bad control frame")
        elif opcode > BINARY_FRAME or (opcode == 0) != bool(self._opcode):
            raise FrameError(PROTOCOL_ERROR, "bad opcode")
        header = 6 if length < 126 else 8 if length == 126 else 14
        self._needed = header
        if end - at < header:
            return None
        if length >= 126:
            length = int.from_bytes(data[at + 2 : at + header - 4], "big")
            if length < (126 if header == 8 else 65536) or length >> 63:
                raise FrameError(PROTOCOL_ERROR, "length not in its shortest form")
        if opcode < 8 and length + len(self._fragments) > self.max_bytes:
            raise FrameError(TOO_BIG, f"more than {self.max_bytes} bytes")
        self._needed = header + length
        return header

    def _frame(self, first: int, payload: bytes) -> str | bytes | Control | None:
        """Take one whole frame; return the message or control frame that it completes."""
        opcode, final, deflated = first & 0x0F, first & FINAL, first & COMPRESSED
        # Control frames may stand between the fragments of a message.  [RFC6455 "Fragmentation"]
        if opcode >= 8:
            return self._control(opcode, payload)
        if not final or self._opcode:
            # Only the first fragment has an opcode, and says whether the message is compressed.
            if opcode:
                self._opcode, self._deflated = opcode, deflated
            self._fragments += payload
            if not final:
                return None
            opcode, deflated, payload = self._opcode, self._deflated, bytes(self._fragments)
            self._opcode, self._fragments = 0, bytearray()
        if deflated:
            payload = inflate(payload, self.max_bytes)
        return self._text(payload) if opcode == TEXT_FRAME else payload

    def _text(self, payload: bytes) -> str:
        try:
            return payload.decode("utf-8")
        except UnicodeDecodeError:
            raise FrameError(NOT_UTF8, "not UTF-8") from None

    def _control(self, opcode: int, payload: bytes) -> Control:
        if opcode != CLOSE_FRAME or not payload:
            return Control(opcode, payload)
        code = int.from_bytes(payload[:2], "big")
        # 1004 is reserved; 1005, 1006 and 1015 tell of a missing close frame and are never sent.
        # [RFC6455 "Reserved Status Code Ranges"]
        good = 3000 <= code < 5000 or 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
        if len(payload) == 1 or not good:
            raise FrameError(PROTOCOL_ERROR, "bad close code")
        self._text(payload[2:])
        return Control(opcode, payload[2:], code)


# -- 7. Requests -----------------------------------------------------------------------
# A request is parsed to a value, a `Request`, or refused before anything is done for it. Values are
# looked up in closed sets, and no parameter is assumed to be there. A parameter that decides
# something may not be given twice, because a proxy and we could each believe another one.
#
# The dialects are told apart by the shape of the URL, behind the resource:
#
#     /xhr-polling/<sid>/..                       0.6: the transport in the path
#     /1/xhr-polling/<sid>                        0.9: its protocol number, then the transport
#     /?EIO=4&transport=polling&sid=<sid>         EIO3, EIO4: parameters; no EIO means EIO3
#
# The second half decides which pages may talk to us, by the headers that browsers set themselves.


@dataclasses.dataclass(slots=True)
class Request:
    """The meaning of a client's URL and headers.

    Path and query tell the dialect; the dialect tells where transport, sid and JSONP index stand.
    """

    dialect: Dialect
    transport: str  #: a name from TRANSPORTS; empty in a 0.9 handshake, which comes before any
    method: str
    sid: str = ""  #: empty on a handshake
    jsonp: str = ""  #: digits of the index of a JSONP callback
    ends_session: bool = False  #: a 0.9 page that is being closed says so in a request of its own
    upgrade: bool = False  #: a WebSocket handshake


Headers = Mapping[str, str]
Query = dict[str, list[bytes]]
AllowedOrigins = str | re.Pattern[str] | Callable[[str], bool] | Collection[str | re.Pattern[str]]

# Query parameters that belong to the protocols, not to the application.
PARAMETERS = frozenset(["EIO", "transport", "sid", "t", "j", "i", "jsonp", "b64"])
SID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
# The time in a URL of 0.6; a sid is longer.
TIMESTAMP = re.compile(r"[0-9]{13}", re.ASCII)
SID_PREFIX = re.compile(r"[0-9A-Za-z_-]{0,4}", re.ASCII)
# The User-Agent of a browser begins so; those of okhttp (Android) and CFNetwork (iOS) do not.
BROWSERS = ("Mozilla/", "Opera/")
JSONP_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)  # [RFC9110 "Tokens"]
CLIENT_FILE = re.compile(
    r"/(socket\.io(?:\.min|\.esm\.min|\.msgpack\.min)?\.js(?:\.map)?)", re.ASCII
)
POLL_QUERY = re.compile(
    r"EIO=([34])&transport=polling(?:&t=([0-9A-Za-z_.-]*))?(?:&sid=([0-9A-Za-z_-]{1,64}))?",
    re.ASCII,
)
# Engine.IO clients, which have EIO in their query, mostly ask for these paths behind a resource.
ENGINE_TAILS = ("", "/")
# The paths behind a resource that some dialect, or the client file, may have.
TAIL = re.compile(f"/?|/(?:[0-9]+|{'|'.join(TRANSPORTS)})(?:/.*)?|{CLIENT_FILE.pattern}", re.ASCII)
# WebSocket clients on iOS write wss:// in their Origin.
DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}
# An origin that can stand in a list: a scheme and a host, or the file:// of Cordova and Electron.
# No other text can match an Origin header, except for the star.
LISTABLE = re.compile(
    r"([a-z][a-z0-9+.-]*://"
    r"(?:\[[0-9a-f:.]+\]|(?!\.\w)[^\x00-\x20\x7f-\U0010ffff/?#@\\,*:\[\]]+)(?::[0-9]{1,5})?"
    r"|file://)/*",
    re.IGNORECASE | re.ASCII,
)


def parse_request(
    method: str, tail: str, query: Query, headers: Headers, dialects: dict[str, Dialect]
) -> Request:
    """Parse a request; Refused if none of *dialects* understands it.

    *tail* is the path behind the resource: empty, or a slash and more. cocos2d-x and libraries for
    Arduino ask for /1/?transport=polling and /1/websocket/?transport=websocket, of which node's
    server heeds the query alone.
    """
    segments = tail.split("/")[1:]
    first = segments[0] if segments else ""
    is_numbered = first.isdigit()
    # A client of 0.9 has its sid in the path, whatever its query says.
    may_be_engine = is_numbered and not any(segments[2:]) and EngineIO3.name in dialects
    asks_engine = query.get("transport", [b""])[0] in (b"polling", b"websocket")
    if first in TRANSPORTS:
        request = _parse_path(method, segments, dialects)
    elif tail in ENGINE_TAILS or (may_be_engine and asks_engine):
        request = _parse_query(method, query, headers, dialects)
    elif is_numbered:
        request = _parse_protocol_1(method, segments, query, dialects)
    else:
        raise Refused("Not found", 0, 404)
    request.upgrade = headers.get("Upgrade", "").lower() == "websocket"
    _check_method(request)
    return request


def parse_poll(
    method: str, words: Sequence[str], headers: Headers, dialects: dict[str, Dialect]
) -> Request | None:
    """Parse the query that Engine.IO clients nearly always send; None leaves it to `parse_request`.

    That takes eight times as long. Both understand the same, but for facts that a handshake tells:
    a session keeps them, so a query with a sid is not asked for them. *words* are the groups of
    POLL_QUERY, empty if the query is another.
    """
    revision, cache_buster, sid = words
    dialect = dialects.get("EIO" + revision)
    if dialect is None or "Upgrade" in headers:
        return None
    if method != "GET" and not (method == "POST" and sid):
        return None
    if not sid:
        browser = headers.get("User-Agent", "").startswith(BROWSERS)
        dialect = dialect.for_client(False, browser, revision, cache_buster)
    return Request(dialect, XHR_POLLING, method, sid)


def _parse_path(method: str, segments: list[str], dialects: dict[str, Dialect]) -> Request:
    """Parse transport/[sid]/[anything], with the JSONP index in the last place.  [SIO06]

    A handshake has nothing between two slashes, //1300000000000, which many proxies merge to one when
    they take a prefix off the path. So a time in the place of a sid is a handshake as well.
    """
    dialect = dialects.get(SocketIO06.name)
    if dialect is None:
        raise Refused("Unsupported protocol version", 5, 404, "generation", "a client of 0.6")
    request = Request(dialect, segments[0], method, segments[1] if len(segments) > 1 else "")
    if method == "GET" and TIMESTAMP.fullmatch(request.sid):
        request.sid = ""
    if request.transport == JSONP_POLLING:
        # The path may end with a slash behind the index.
        index = segments[-1] or segments[-2]
        if not JSONP_INDEX.fullmatch(index):
            raise Refused("JSONP index must be digits")
        request.jsonp = index
    return request


def _parse_protocol_1(
    method: str, segments: list[str], query: Query, dialects: dict[str, Dialect]
) -> Request:
    """Parse 1/[transport]/[sid], with the JSONP index in the query.  [SIO1 "Handshake"]"""
    dialect = dialects.get(SocketIO09.name)
    if dialect is None or segments[0] != "1":
        why = f"a client of protocol {segments[0][:20]!r}, where 1 is 0.7 to 0.9"
        raise Refused("Protocol version not supported.", 5, 400, "generation", why)
    transport, sid, *_ = [*segments[1:], "", ""]
    if "disconnect" in query and not sid:
        transport, sid = "", transport  # proxies make one slash of the two in 1//<sid>/
    request = Request(dialect, transport, method, sid)
    # Only JSONP and the handshake have an index; the handshake calls it "jsonp", a poll "i".
    if transport in ("", JSONP_POLLING):
        request.jsonp = (transport and _single(query, "i")) or _single(query, "jsonp")
    request.ends_session = bool(sid) and "disconnect" in query
    if (transport or sid) and transport not in dialect.transports and not request.ends_session:
        raise Refused("Transport unknown", 0)
    if transport == JSONP_POLLING:
        request.jsonp = request.jsonp or "0"
    if request.jsonp and not JSONP_INDEX.fullmatch(request.jsonp):
        raise Refused("JSONP index must be digits")
    return request


def _parse_query(
    method: str, query: Query, headers: Headers, dialects: dict[str, Dialect]
) -> Request:
    """Parse ?EIO=..&transport=..[&sid=..][&j=..].  [EIO4 "Protocol"]"""
    transport = _single(query, "transport")
    if transport not in ("polling", "websocket"):
        raise Refused("Transport unknown", 0)
    revision = _single(query, "EIO")
    dialect = dialects.get({"": "EIO3", "2": "EIO3", "3": "EIO3", "4": "EIO4"}.get(revision, ""))
    if dialect is None:
        why = f"a client of Engine.IO revision {revision[:20]!r}"
        raise Refused("Unsupported protocol version", 5, 400, "generation", why)
    polls = transport == "polling"
    jsonp = _single(query, "j") if polls else ""
    if polls and "j" in query and not JSONP_INDEX.fullmatch(jsonp):
        raise Refused("JSONP index must be digits")
    dialect = dialect.for_client(
        base64=any(query.get("b64", ())),
        browser=polls and headers.get("User-Agent", "").startswith(BROWSERS),
        revision=revision,
        cache_buster=query.get("t", [b""])[0].decode("latin-1"),
    )
    name = WEBSOCKET if not polls else JSONP_POLLING if jsonp else XHR_POLLING
    return Request(dialect, name, method, _single(query, "sid"), jsonp)


def _single(query: Query, name: str) -> str:
    """Return the only value of a parameter that decides something; empty if it is missing."""
    values = query.get(name)
    if values is None:
        return ""
    if len(values) > 1:
        raise Refused(f"{name} given twice")
    return values[0].decode("latin-1")


def _check_method(request: Request) -> None:
    """Refuse a request whose method, upgrade and sid do not go with its transport."""
    if request.transport in WEBSOCKETS and not (request.method == "GET" and request.upgrade):
        if request.method == "GET":
            why = "it asks for a WebSocket, and has no header Upgrade: websocket"
            raise Refused("Bad request", cause="lost upgrade", why=why)
        raise Refused("Bad request")
    if request.upgrade and request.transport not in WEBSOCKETS:
        raise Refused("Bad request")
    # A POST belongs to a session; only 0.9 has a handshake, without a transport, that may be one.
    posts_without_session = request.method == "POST" and request.transport and not request.sid
    if request.method not in ("GET", "POST") or posts_without_session:
        raise Refused("Bad handshake method", 2)
    if request.sid and not SID.fullmatch(request.sid):
        raise Refused("Session ID unknown", UNKNOWN_SID, why="its sid is none")


def websocket_accept(headers: Headers) -> str:
    """Return the Sec-WebSocket-Accept for a WebSocket handshake; Refused if it is malformed.

    [RFC6455 "Opening Handshake"]
    """
    key = headers.get("Sec-WebSocket-Key", "")
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    if "upgrade" not in tokens:
        why = "its header Connection has no token Upgrade"
        raise Refused("Bad WebSocket handshake", cause="lost upgrade", why=why)
    # elephant.io up to 3.3 makes the key of 20 bytes, not of 16; libraries for Arduino send their sid.
    if headers.get("Sec-WebSocket-Version", "") != "13" or len(key) not in (20, 24, 28):
        why = "Sec-WebSocket-Key or Sec-WebSocket-Version is not that of RFC 6455"
        raise Refused("Bad WebSocket handshake", why=why)
    digest = hashlib.sha1(key.encode("utf-8") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return encode_base64(digest)


def first_subprotocol(offers: str) -> str:
    """Return the first name in a Sec-WebSocket-Protocol, for the answer; empty if it is malformed.

    Clients with the option `protocols` ask for a subprotocol. Browsers fail a connection whose
    handshake asked for some and was answered with none.
    """
    name = next((name for offer in offers.split(",") if (name := offer.strip(" \t"))), "")
    return name if TOKEN.fullmatch(name) else ""


def is_awaitable(value: Any) -> bool:
    """Tell whether *value* can be awaited; `inspect.isawaitable` takes ten times as long."""
    # An object may have every attribute that it is asked for.
    return hasattr(value, "__await__") and hasattr(type(value), "__await__")


def reason_of(error: tornado.web.HTTPError) -> str:
    """Give the words in which *error*, raised by the application, turns a client away."""
    return error.reason or http.client.responses.get(error.status_code, "Refused")


def decided(answer: Any) -> Any:
    """Return *answer*, by which the application has decided about a client.

    An error that was returned, and not raised, is raised. TypeError for what would be true whatever
    it decides, because nobody runs it: a coroutine that is not awaited here, or a generator.
    """
    if isinstance(answer, bool):  # nearly always; the checks below take a microsecond
        return answer
    if isinstance(answer, type) and issubclass(answer, BaseException):
        answer = answer()
    if isinstance(answer, BaseException):
        raise answer
    if is_awaitable(answer) or isinstance(answer, (Generator, AsyncGenerator)):
        raise TypeError(
            f"{answer!r:.80} decides nothing, because nobody runs it: return a plain value"
        )
    return answer


def _host_of(headers: Headers, xheaders: bool) -> str:
    """Return the host and port to which the browser has sent the request.

    *xheaders* tells that a proxy stands in front of us, whose X-Forwarded-Host is believed.
    """
    forwarded = headers.get("X-Forwarded-Host", "") if xheaders else ""
    return forwarded.partition(",")[0].strip() or headers.get("Host", "")


def _referer_origin(headers: Headers) -> str:
    """Return the scheme and host of the header Referer; empty without the header."""
    return "/".join(headers.get("Referer", "").split("/")[:3])


def _split_origin(origin: str) -> tuple[str, str]:
    """Return scheme and host of an origin, in small letters, without the port of the scheme."""
    scheme, _, place = origin.lower().partition("://")
    return scheme, place.removesuffix(DEFAULT_PORTS.get(scheme, ""))


def _is_ours_or_allowed(origin: str, host: str, allowed: AllowedOrigins) -> bool:
    """Tell whether *origin* is our own, at *host*, or among *allowed*."""
    scheme, place = _split_origin(origin)
    if place and place == host.lower().removesuffix(DEFAULT_PORTS.get(scheme, "")):
        return True
    # The clients of 0.9 and 1.0 in Node send the host without a scheme with a WebSocket. No page can.
    if origin.lower() == host.lower() not in ("*", "null"):
        return True
    if allowed == "*":
        return True
    if callable(allowed):
        return bool(decided(allowed(origin)))
    for entry in (allowed,) if isinstance(allowed, (str, re.Pattern)) else allowed:
        if entry == "*":
            return True
        # Every sandboxed or local page has the origin "null": neither an entry nor a pattern admits
        # all of them by accident.
        if origin == "null":
            continue
        if isinstance(entry, re.Pattern):
            matches = entry.fullmatch(origin) is not None
        else:
            matches = _matches_entry(entry, origin, scheme, place)
        if matches:
            return True
    return False


def _matches_entry(entry: str, origin: str, scheme: str, place: str) -> bool:
    """Tell whether *entry* of a list is *origin*, which is split into *scheme* and *place* already.

    A slash at the end of an entry is a common mistake, and is ignored.
    """
    if entry.lower() == origin.lower():
        return True
    name, mark, rest = entry.partition("://")
    return bool(mark) and _split_origin(name + mark + rest.rstrip("/")) == (scheme, place)


def origin_admitted(
    headers: Headers,
    allowed: AllowedOrigins,
    xheaders: bool = False,
    handshake: Headers | None = None,
) -> bool:
    """Decide whether a page that sent *headers* may talk to us, for every transport and dialect.

    The first rule that applies decides:
      * `Sec-Fetch-Site: same-origin` admits. The browser writes it, no page can, and the browser
        compares with the address that its user sees. We may know another one, from a proxy.
      * A page's origin, from `Origin`, must be ours or among *allowed*.
      * `Sec-Fetch-Site: none` admits: the user has typed the address, or followed a bookmark.
      * A page's origin, from `Referer`, likewise must be ours or among *allowed*.
      * Any other `Sec-Fetch-Site` refuses: a browser asks, for a page that hides where it is from.
      * Everything else is admitted: no browser sent it, and a program can write any header.

    Most browsers send no Sec-Fetch-Site with a WebSocket. But a request with the sid of a session
    speaks for the page that began the session, because a sid is secret. So the first rule holds for
    *handshake*, the headers of that session's first request, as well.

    An origin is ours if its host and port are those that the request was sent to. Its scheme, if it
    has one, is not compared with our own, which differs behind a proxy that ends TLS.
    """
    for sent in (headers, handshake or {}):
        if sent.get("Sec-Fetch-Site", "") == "same-origin":
            return True
    site, host = headers.get("Sec-Fetch-Site", ""), _host_of(headers, xheaders)
    if headers.get("Origin", ""):
        return _is_ours_or_allowed(headers["Origin"], host, allowed)
    if site == "none":
        return True
    if referer := _referer_origin(headers):
        return _is_ours_or_allowed(referer, host, allowed)
    return not site


def origin_refusal(headers: Headers, option: str, xheaders: bool = False) -> tuple[str, str]:
    """Return two texts for the log: which origin was refused, and how *option* could admit it."""
    origin = headers.get("Origin", "") or _referer_origin(headers)
    if not origin:
        site = headers.get("Sec-Fetch-Site", "")
        cure = "its Referrer-Policy must let it say where it comes from"
        return f"origin {site!r:.100} refused", f"To admit it: {cure}"
    if origin == "null":
        cure = f"{option} = '*', or a function that admits 'null'"
    elif not LISTABLE.fullmatch(origin):
        # elephant.io up to 3.3 sends the origin "*", and the list ['*'] would admit every page.
        cure = f"{option} = a function that admits {origin!r:.40}"
    elif len(origin) > 60:
        cure = f"{option} with it in the list"
    else:
        cure = f"{option} = [{origin!r}]"
    if _split_origin(origin)[0] in DEFAULT_PORTS:
        host = f"{_host_of(headers, xheaders)!r:.40}"
        cure += f"; a page of our own, behind a proxy that made Host {host}:"
        cure += " proxy_set_header Host $http_host"
    return f"origin {origin!r:.100} refused", f"To admit it: {cure}"


# -- 8. Session ------------------------------------------------------------------------
# A session is one client; it outlives the HTTP requests that carry it. It has three small
# machines (Life, Upgrade, Heartbeat), one outbox, and a Member for each namespace. It never
# sleeps and touches no socket. Three callers move it: a transport calls `received` with what has
# come in, and attaches itself as the `outlet`; the clock calls the session's deadlines; members
# call `enqueue`. Everything that goes out passes `enqueue`: a WebSocket that keeps up is written
# to at once (`write_now`); for any other outlet, or none, a message waits in the outbox, from
# which the outlet takes it.
#
# Five words say that something is over, here and in the sections below:
#
#     close      we begin it politely: what was sent before still leaves, the client is told
#     end        it is final, with a reason for the application; the first reason counts
#     release    an outlet lets go of a session that goes on elsewhere, or that its client ended
#     drop       an outlet lets go of a session that we have ended
#     forget     an entry is taken out of a table
#
# To cut off is to end a session for a mistake of its client; to abort is asyncio's word for a
# connection that is closed without waiting for what has yet to leave.


#: The loop of a clock in a forked child, in place of the parent's: nothing may be done on it.
PARENTS_LOOP = types.SimpleNamespace(is_closed=lambda: True)


def refuse_in_child(*args: Any) -> NoReturn:
    """Tell whoever looks for a client in a forked child where the clients are."""
    raise RuntimeError(
        "these clients belong to the process that this one was forked from, and cannot be reached "
        "from here: let that process send, or serve clients here"
    )


Result = TypeVar("Result")


async def later(work: Awaitable[Result]) -> Result:
    """Do *work* from the next turn on: `asyncio.eager_task_factory` would begin it at once."""
    await asyncio.sleep(0)
    return await work


class AtWork:
    """The client for which code of the application runs in a thread, if any runs, and since when.

    Such code can run inside other such code: an `emit` to another client calls that client's
    `on_any_outgoing`, in the middle of the method that emits. The innermost is told.
    """

    __slots__ = ("session", "since")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.since = 0.0  # by `monotonic`: when the innermost began, or the event before it ended


at_work_in: dict[int, AtWork] = {}  # by thread, for all hubs whose loops run there


Deadline = Callable[[], object]  #: a bound method, which is called when its time has come


class Clock:
    """The loop, seen from inside: what time it is, what is due, whose turn is next.

    A deadline is a method: `arm(self.poll_over, 20.0)`. There is one table and one sweep, which
    comes every `sweep_seconds`: that much late a deadline may be met. Time stands still while this
    process does: a sweep that comes late moves every deadline by as much, so that our own lag kills
    nobody. A deadline whose method fails is reported to *on_failure* with the method's object.
    """

    #: Whether this process looks after workers, which serve all clients.
    in_foreman: ClassVar[bool] = False

    def __init__(self, sweep_seconds: float, on_failure: Callable[[object], None]) -> None:
        self.sweep_seconds = sweep_seconds
        self.on_failure = on_failure
        self.loop: Any = None  # an asyncio event loop, once there is one
        self.thread = 0
        self.at_work = AtWork()
        self.table: dict[Deadline, float] = {}  # by `now`; a sweep meets them
        self.next_sweep = math.inf  # by the loop's time; infinite while the table is empty
        self.forgiven = 0.0  # seconds by which late sweeps have moved every deadline
        self.lag = 0.0  # seconds by which the last sweep was late
        self.tasks: set[asyncio.Task[Any]] = set()
        # A timer keeps the context that it is made in. This one is no client's, so a timer keeps
        # nothing of a client alive.
        self.context = contextvars.copy_context()

    # Time.

    def now(self) -> float:
        """Return the time that deadlines count by; it stands still while this process does."""
        real: float = self.loop.time()
        is_late = real - self.next_sweep > self.sweep_seconds
        return (self.next_sweep if is_late else real) - self.forgiven

    def arm(self, act: Deadline, seconds: float) -> None:
        """Have *act* called once, in *seconds* or up to a sweep later; armed again, it is moved."""
        self.arm_at(act, self.now() + seconds)

    def arm_at(self, act: Deadline, when: float) -> None:
        """Have *act* called once, when `now` has come to *when*."""
        self.table[act] = when
        if self.next_sweep == math.inf:
            self._schedule_sweep()

    def disarm(self, *acts: Deadline) -> None:
        """Do not call *acts*, those of them that are armed."""
        for act in acts:
            self.table.pop(act, None)

    def meet(self, *acts: Deadline) -> None:
        """Meet *acts*, those of them that are due, and do not wait for the sweep."""
        now = self.now()
        for act in acts:
            if self.table.get(act, math.inf) <= now:
                del self.table[act]
                self._meet(act)

    # Turns.

    def is_bound(self) -> bool:
        return self.loop is not None and not self.loop.is_closed()

    def is_over(self) -> bool:
        return self.loop is not None and self.loop.is_closed()

    def bind(self, loop: Any) -> None:
        """Count the time of *loop*, whose thread this is."""
        self.loop, self.thread = loop, threading.get_ident()
        self.at_work = at_work_in.setdefault(self.thread, AtWork())

    def leave_to_parent(self) -> None:
        """Do nothing any more: in a forked child the loop is the parent's."""
        self.loop, self.thread = PARENTS_LOOP, 0

    def check_process(self) -> None:
        """Raise RuntimeError in a forked child; warn in the parent of workers."""
        if self.loop is PARENTS_LOOP:
            refuse_in_child()
        if Clock.in_foreman:
            warn_once(
                "in foreman",
                "what the parent process of the workers sends reaches nobody: all clients are theirs. "
                "Start a thread that sends in each worker: "
                "os.register_at_fork(after_in_child=thread.start)",
            )

    def on_loop(self) -> bool:
        return self.loop is None or self.thread == threading.get_ident()

    def run(self, work: Callable[..., Any], *args: Any) -> None:
        """Do *work* now, or soon when another thread asks; without a loop there are no clients."""
        if not self.is_bound():
            return self.check_process()
        if self.on_loop():
            work(*args)
        else:
            self.loop.call_soon_threadsafe(self._attempt, work, args)

    async def on_its_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what *work* gives, a coroutine for this loop, whichever thread asks for it."""
        if self.on_loop():
            return await work
        try:
            self.check_process()
        except RuntimeError:
            work.close()
            raise
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def soon(self, act: Callable[[], object]) -> None:
        """Call *act* in the loop's next turn."""
        self.loop.call_soon(act)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a task and keep it until it is done."""
        if self.loop.get_task_factory() is not None:
            work = later(work)
        task: asyncio.Task[Result] = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # Private.

    def _schedule_sweep(self) -> None:
        self.next_sweep = self.loop.time() + self.sweep_seconds
        self.loop.call_at(self.next_sweep, self._sweep, context=self.context)

    def _sweep(self) -> None:
        real = self.loop.time()
        self.lag = max(0.0, real - self.next_sweep)
        if self.lag > self.sweep_seconds:
            self.forgiven += self.lag
        self.next_sweep, now = real, real - self.forgiven
        # One deadline may disarm another.
        self.meet(*[act for act, when in self.table.items() if when <= now])
        if self.table:
            self._schedule_sweep()
        else:
            self.next_sweep = math.inf

    def _meet(self, act: Any) -> None:
        try:
            act()
        except Exception:
            # The sweep must go on for all other clients.
            log.exception("%s failed at its deadline", act.__qualname__)
            self.on_failure(act.__self__)

    def _attempt(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do what another thread has asked for, which goes on and hears of no exception."""
        try:
            work(*args)
        except Disconnected as error:
            log.debug("not done for another thread: %s", error)
        except Exception as error:
            log.error("what another thread asked for has failed", exc_info=error)


class Outgoing:
    """A message in one dialect, on its way to any number of clients; its bytes are made once."""

    __slots__ = ("dialect", "packets", "_frame")

    def __init__(self, dialect: Dialect, packets: list[EnginePacket]) -> None:
        self.dialect = dialect
        self.packets = packets
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The WebSocket frames of all its packets: unmasked, they are the same for every client."""
        if self._frame is None:
            deflate_from = self.dialect.deflate_from
            frames = [
                encode_message(frame, deflate_from)
                for frame in self.dialect.encode_frames(self.packets)
            ]
            self._frame = frames[0] if len(frames) == 1 else b"".join(frames)
        return self._frame

    @property
    def size(self) -> int:
        """The bytes that it counts for in a queue; a small message is charged for its objects."""
        packets = self.packets
        if len(packets) == 1:  # nearly always; a sum takes four times as long
            return QUEUED_BYTES + len(packets[0].data)
        return QUEUED_BYTES + sum([len(packet.data) for packet in packets])


class Outlet(Protocol):
    """The way out that a session has for now: a WebSocket, a stream, or a poll that waits."""

    congested: bool  #: the client does not read what it is sent

    @property
    def unsent_bytes(self) -> int:
        """The bytes that this outlet has taken and could not send yet."""
        ...

    def wake(self) -> None:
        """Send what the outbox holds, now or soon; if the session is closing, end it after that."""

    def set_reading(self, reading: bool) -> None:
        """Stop or resume taking the client's messages."""

    def release(self) -> None:
        """Let go of a session that goes on elsewhere, or that its client ended.

        A poll is answered with a NOOP alone.
        """

    def drop(self) -> None:
        """Let go of a session that we have ended; answer a poll with what waits and a CLOSE."""


class Life(enum.Enum):
    """Where a session stands between handshake and end. Moves only along `LIFE_MOVES`."""

    OPENING = "opening"  #: sid issued, no namespace has accepted yet
    OPEN = "open"  #: packets flow
    CLOSING = "closing"  #: the members have ended; what was sent to the client still leaves
    CLOSED = "closed"  #: final; nothing more leaves; each `on_close` runs in a turn of its own


# Names, for speed: before Python 3.12 it takes 100 ns to look up a member of an Enum.
LIVING = (Life.OPENING, Life.OPEN)
CLOSING, CLOSED = Life.CLOSING, Life.CLOSED
LIFE_MOVES = {
    Life.OPENING: {Life.OPEN, Life.CLOSING, Life.CLOSED},
    Life.OPEN: {Life.CLOSING, Life.CLOSED},
    Life.CLOSING: {Life.CLOSED},
    Life.CLOSED: set(),
}


class Upgrade(enum.Enum):
    """From polling to WebSocket.  [EIO4 "Upgrade"]

    client                               server
      |                                    |   NONE
      |  GET ?transport=websocket&sid=.. > |   ASKED: this WebSocket is the session's `prober`
      |  2probe                          > |
      | <                          3probe  |   PROBED: a poll that waits, or comes, gets a NOOP
      |  5                               > |   DONE: what waits leaves over the WebSocket
    """

    NONE = "none"
    ASKED = "asked"
    PROBED = "probed"
    DONE = "done"


PROBED = Upgrade.PROBED


class Heartbeat:
    """The pings of one session, and the silence that means death.

    Where the server pings, `due` is first the time of a ping, and then the last moment for its pong;
    where clients ping, it is the last moment for the next ping.
    """

    __slots__ = (
        "interval", "timeout", "server_pings", "numbered", "lead",
        "awaited", "count", "due", "extended",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect, interval: float, timeout: float, lead: float, now: float
    ) -> None:
        # The sweep that meets `due` may come *lead* seconds late. A ping is due earlier by as much, so
        # that it is never late for the client; the pong may come as late as without it.
        self.lead = lead if dialect.server_pings else 0.0
        self.interval = interval - self.lead
        self.timeout = timeout
        self.server_pings = dialect.server_pings
        self.numbered = dialect.numbers_pings
        self.awaited: str | None = None  # the data of the pong that is due, while one is
        self.count = 0
        self.extended = False  # `extend` has granted its one round
        # Clients that came together, as after a restart, are not pinged together.
        self.due = now + (
            self.interval * random.uniform(0.9, 1.0) if self.server_pings else interval + timeout
        )

    @property
    def is_last_moment(self) -> bool:
        """Tell whether `due` is the last moment for a sign of the client; else it is that of a ping."""
        return not self.server_pings or self.awaited is not None

    def ping(self) -> str:
        """Return the data of the ping that goes out at `due`, and await its pong."""
        self.count += 1
        self.awaited = str(self.count) if self.numbered else ""
        self.due += self.lead + self.timeout
        return self.awaited

    def heard(self, data: str | bytes, now: float) -> None:
        """Take note of a pong, or of a ping where clients ping.

        A pong that nobody asked for does not count, nor does other traffic.
        """
        if self.server_pings and data != self.awaited:
            return
        self.awaited, self.extended = None, False
        self.due = now + self.interval + (0.0 if self.server_pings else self.timeout)

    def extend(self) -> bool:
        """Grant one more round to a client whose pong may be on its way, or lie unread in a socket.

        False if a round since the last pong was granted already.
        """
        if self.extended:
            return False
        self.extended = True
        self.due += self.interval + self.timeout
        return True


def is_being_cancelled() -> bool:
    """Tell whether this task is being cancelled, as all are when a loop ends, not what it awaits.

    Python 3.10 cannot tell, and says no.
    """
    task: Any = asyncio.current_task()
    return hasattr(task, "cancelling") and task.cancelling() > 0


class UserSession(dict[str, Any]):
    """The application's data about one client, shared by its namespaces, until it has gone."""

    def __init__(self, sid: str, dialect: Dialect) -> None:
        super().__init__()
        self.id = sid  #: secret: who has it can speak for this client
        self.dialect = dialect  #: `.name` is one of `enabled_dialects`

    def save(self) -> None:
        """Do nothing: the data live in memory. (Programs of 2010 call it.)"""


class Backlog:
    """The bookkeeping about a client while it has more unsent than `max_buffered_bytes`."""

    __slots__ = ("unsent", "added", "stopped")

    def __init__(self) -> None:
        self.unsent = 0  # bytes at the last judgement; none before the first
        self.added = 0  # bytes that were sent since
        self.stopped: dict[Member, None] = {}  # members that wait with their events for its end


#: The outbox of every session for which nothing waits: an empty deque of its own takes 620 bytes.
NO_MESSAGES: collections.deque[Outgoing] = collections.deque(maxlen=0)


class Session:
    """A client, from its handshake until it is gone or has been told to go."""

    __slots__ = (
        "hub", "http_request", "dialect", "transport", "sid", "user_session", "context", "entered",
        "life", "born", "heartbeat", "members", "open_handlers", "ended_namespaces",
        "outlet", "write_now", "outbox", "outbox_bytes", "held_bytes", "answers", "backlog",
        "assembler", "text_memory", "postponed", "waiting_bytes", "owed_acks", "reading", "post",
        "heard_at", "upgrade", "prober",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, request: Request, http_request: Any, context: contextvars.Context
    ) -> None:
        # Who the client is. The application's code for it runs in a context of its own.
        self.hub = hub
        self.http_request = http_request
        self.dialect = request.dialect
        self.transport = request.transport  # none yet, where clients shake hands apart
        self.sid = hub.new_sid()
        self.user_session: UserSession | None = None
        self.context = context
        self.entered = False  # code of the application runs in `context` right now

        # Its life. A namespace that has ended is remembered, for a client may not know it yet.
        self.life = Life.OPENING
        self.born = hub.clock.now()
        self.heartbeat: Heartbeat | None = None
        self.members: dict[str, Member] = {}
        self.open_handlers = 0  # members that are not gone, and matchers that have not decided
        self.ended_namespaces: dict[str, bool] = {}  # True where we have ended it, not the client

        # What goes out. It is written at once where that can be, and else queues in the outbox.
        self.outlet: Outlet | None = None
        # `WebSocket.write`, while the outlet is a WebSocket that keeps up and the outbox is empty.
        self.write_now: Callable[[bytes], None] | None = None
        self.outbox = NO_MESSAGES
        self.outbox_bytes = 0
        self.held_bytes = 0  # bytes that members hold back until after their CONNECT
        self.answers: tuple[Answer, ...] = ()  # answers to polls that have not all left
        self.backlog: Backlog | None = None  # there is one while too much has not left

        # What comes in, and whether we read it. Events wait for their handlers, and packets for
        # a decision about a namespace: a matcher decides about all that comes for its namespace;
        # where "/" is opened unasked, its `on_open` decides about CONNECTs to any other.
        self.assembler: Assembler | None = None
        self.text_memory = TextMemory() if request.dialect.may_encode_twice else NO_MEMORY
        self.postponed: dict[str, list[tuple[Packet, int]]] = {}
        self.waiting_bytes = 0  # bytes of the events and packets that wait
        self.owed_acks = 0  # acks that handlers wait for
        self.reading = True
        self.post: Exchange | None = None  # the POST that the client is sending, until its answer
        self.heard_at = -math.inf  # by `monotonic`: when bytes of it came, of a frame or a body

        # The upgrade from polling to WebSocket.
        self.upgrade = Upgrade.NONE
        self.prober: Outlet | None = None  # the WebSocket that asks for it

        hub.clock.arm_at(self.connect_over, self.born + hub.options.connect_timeout)
        if request.transport:
            self._start_heartbeat(self.born)

    def _start_heartbeat(self, now: float) -> None:
        hub, dialect = self.hub, self.dialect
        if dialect.pings_polling or self.transport not in POLLING:
            options = hub.options
            interval, timeout = dialect.heartbeat(options.ping_interval, options.ping_timeout)
            self.heartbeat = Heartbeat(dialect, interval, timeout, hub.sweep_seconds, now)
            hub.clock.arm_at(self.heartbeat_due, self.heartbeat.due)

    def switch_transport(self, transport: str, dialect: Dialect) -> bool:
        """Switch a client that shakes hands apart to *transport*; True if it had none before."""
        first = not self.transport
        outlet, self.outlet, self.write_now = self.outlet, None, None
        if outlet is not None:
            outlet.release()
        self.update_reading()
        self.transport, self.dialect, self.heartbeat = transport, dialect, None
        self._recode_outbox()
        self.hub.clock.disarm(self.heartbeat_due)
        self._start_heartbeat(self.hub.clock.now())
        if dialect.poll_return is not None and transport in POLLING:
            self.arm(
                self.return_over, dialect.poll_return
            )  # the client may only post, and never poll
        root = self.members.get("/")
        if root is not None and root.is_open:
            # Clients try another transport because nothing came over the first, not even this.
            self.send_packet(Packet(CONNECT))
        return first

    @property
    def greeting(self) -> str:
        """The data of the OPEN packet."""
        options = self.hub.options
        interval, timeout = self.dialect.heartbeat(options.ping_interval, options.ping_timeout)
        transports = self.hub.transports_after(self.transport, self.dialect)
        return self.dialect.handshake(
            self.sid, transports, interval, timeout, options.max_message_bytes
        )

    def open(self) -> None:
        """Greet the client; a generation that never asks for "/" gets it unasked."""
        words = "session %s begins: an %s client from %s, over %s"
        log.info(words, self, self.dialect.name, self.remote_address, self.transport)
        if not self.dialect.open_follows_connect and not self.dialect.handshakes_apart:
            self.send_engine(OPEN, self.greeting)
        if self.dialect.opens_root_unasked:
            self._connect(Packet(CONNECT))

    def __str__(self) -> str:
        return f"{self.sid[:6]} of {self.hub.options.__name__}"

    @property
    def remote_address(self) -> str:
        """The address that the client's handshake came from, as far as Tornado knows it."""
        return getattr(self.http_request, "remote_ip", None) or "an unknown address"

    def restore_data(self, user_session: UserSession | None) -> None:
        """Give a client that has come back the application's data about it from before."""
        if user_session is None or user_session is self.user_session:
            return
        if self.user_session is None:
            self.user_session = user_session
            user_session.id, user_session.dialect = self.sid, self.dialect
        else:
            for name, value in user_session.items():
                # A value that the new session has set already is newer.
                self.user_session.setdefault(name, value)

    # In.

    def received(self, packet: EnginePacket) -> None:
        """Act on one engine packet; PayloadError if a client may not send it."""
        if packet.type is MESSAGE:
            if self.life in LIVING:  # a client that is closing sends on until it knows
                self._received_message(packet.data)
        elif self.life is CLOSED:
            return
        elif packet.type is (PONG if self.dialect.server_pings else PING):
            self._received_heartbeat(packet)
        elif packet.type is CLOSE:
            self.end("transport close", by_client=True)
        elif packet.type is not NOOP:
            self._received_oddity(packet)

    def _received_oddity(self, packet: EnginePacket) -> None:
        """Bear with clients written by hand, which upgrade even what is a WebSocket already."""
        is_probe = packet.type is PING and packet.data == "probe"
        if self.transport not in WEBSOCKETS or not (is_probe or packet.type in (OPEN, UPGRADE)):
            raise PayloadError(f"unexpected {packet.type} packet")
        if is_probe:
            self.send_engine(PONG, packet.data)
        self.mistaken("upgrade of a WebSocket", f"{packet.type} packet")

    def _received_heartbeat(self, packet: EnginePacket) -> None:
        if self.heartbeat is not None:
            self.heartbeat.heard(packet.data, self.hub.clock.now())
            self.hub.clock.arm_at(self.heartbeat_due, self.heartbeat.due)
        if packet.type is PING:
            self.send_engine(PONG, packet.data)

    def _received_message(self, data: str | bytes) -> None:
        if self.assembler is None:
            packet = self.dialect.decode_packet(data)
            if isinstance(packet, Packet):
                self._received_packet(packet, len(data))
            elif isinstance(packet, Assembler):
                self.assembler = packet
            else:
                self._turn_to(packet, data)
            return
        whole = self.assembler.feed(data)
        attached = sum([len(attachment) for attachment in self.assembler.attachments])
        if attached > self.hub.options.max_message_bytes:
            raise PayloadError("attachments too large", "too large a part")
        if whole is not None:
            self.assembler = None
            self._received_packet(whole, attached)

    def _turn_to(self, dialect: Dialect, data: str | bytes) -> None:
        """Speak *dialect* from now on, to a client whose first message, *data*, are of it."""
        if self.open_handlers or self.ended_namespaces:
            raise PayloadError("an attachment that no packet announced")
        log.debug("%s = %s", self.sid[:6], dialect.name)
        self.dialect = dialect
        self._received_message(data)

    def _received_packet(self, packet: Packet, size: int) -> None:
        """Act on one packet, which counts for *size* bytes if it has to wait."""
        member = self.members.get(packet.namespace)
        if packet.type is EVENT and member is not None:
            self.hub.messages_received += 1
            if packet.data:
                member.take_event(packet, size)
            else:
                member.mistaken("no event", "an event without a name that it may have")
        elif packet.type is CONNECT:
            self._received_connect(packet, size)
        elif member is None and packet.namespace in self.postponed:
            self._postpone(packet.namespace, packet, size)
        elif member is None and "/" in self.postponed:  # behind its CONNECT, which waits there
            self._postpone("/", packet, size)
        elif member is None:
            self._received_stray(packet)
        elif packet.type is ACK:
            self.hub.messages_received += 1
            member.acknowledged(packet)
        elif packet.type is DISCONNECT:
            member.end("client namespace disconnect")
            if self.dialect.root_is_connection and packet.namespace == "/":
                self.end("client namespace disconnect", by_client=True)
        else:
            raise PayloadError("a client has no CONNECT_ERROR to send")

    def _received_connect(self, packet: Packet, size: int) -> None:
        """Connect the client, or postpone it: in some generations "/" has to be accepted first."""
        name, root = packet.namespace, self.members.get("/")
        if name in self.members or name in self.postponed:
            if self.dialect.stray_packets_close:
                self.mistaken("joined twice", f"CONNECT to {name[:40]!r} again")
        elif self.dialect.opens_root_unasked and root is not None and root.state is OPENING:
            self._postpone("/", packet, size)
            connects = [one for one, _ in self.postponed["/"] if one.type is CONNECT]
            if len(connects) > self.hub.options.max_namespaces:
                why = "it asks for many namespaces before it has been accepted in '/'"
                raise PayloadError(why, "namespace flood")
        else:
            self._connect(packet)

    def _postpone(self, name: str, packet: Packet, size: int) -> None:
        """Keep *packet* until it is decided whether the client may be in the namespace *name*."""
        self.postponed.setdefault(name, []).append((packet, size))
        self.count_waiting(waiting=size + QUEUED_BYTES)

    def _take_postponed(self, name: str) -> list[tuple[Packet, int]]:
        """Return, and keep no longer, what has waited for a decision about the namespace *name*."""
        waiting = self.postponed.pop(name, [])
        if waiting:
            self.count_waiting(waiting=-sum([size + QUEUED_BYTES for _, size in waiting]))
        return waiting

    def _receive_postponed(self, waiting: list[tuple[Packet, int]]) -> None:
        """Act on packets that have waited for a decision."""
        try:
            for packet, size in waiting:
                if self.life in LIVING:
                    self._received_packet(packet, size)
        except PayloadError as error:
            self.cut_off(error.cause, str(error))

    def _received_stray(self, packet: Packet) -> None:
        """Bear with a packet for a namespace where the client is not, or blame the client."""
        what = f"{packet.type} for {packet.namespace[:40]!r}, where it is not"
        if packet.type is ACK and packet.namespace in self.ended_namespaces:
            self.mistaken("late ack", what)
        elif self.dialect.stray_packets_close and not self.ended_namespaces.get(packet.namespace):
            self.mistaken("namespace not joined", what)
        else:
            self.mistaken("packet to nobody", what)

    def namespace_ended(self, namespace: str, by_us: bool) -> None:
        """Remember that the client is no longer in *namespace*, as long as few others have ended since."""
        # Postponed packets of this namespace are for nobody: drop them.
        self._take_postponed(namespace)
        self.ended_namespaces.pop(namespace, None)
        self.ended_namespaces[namespace] = by_us
        if len(self.ended_namespaces) > self.hub.options.max_namespaces:
            del self.ended_namespaces[next(iter(self.ended_namespaces))]

    def mistaken(self, cause: str, why: str, where: str = "", cure: str = "") -> None:
        """Note a mistake of the client; PayloadError if `MISTAKES` has it end the session."""
        if MISTAKES[cause].fate is Fate.ENDED:
            raise PayloadError(why, cause)
        self.blame(cause, why, where, cure)

    def cut_off(self, cause: str, why: str) -> None:
        """End the session for a mistake of its client."""
        if self.life is not CLOSED:
            self.blame(cause, why)
            self.end(MISTAKES[cause].close_reason)

    def blame(self, cause: str, why: str, where: str = "", cure: str = "") -> None:
        """Log a mistake of this client; see the function `blame`."""
        who = f"an {self.dialect.name} client"
        if self.transport:
            who += f" over {self.transport}"
        blame(self.hub.options, cause, why, who, self.sid, where, cure)

    def _connect(self, packet: Packet) -> None:
        """Make the member that *packet* asks for, or tell the client why not."""
        if self.text_memory.encodes_twice and self.transport in WEBSOCKETS:
            # Node's 1.0 doubles even frames: only names of namespaces leave here beyond ASCII.
            self.dialect = self.dialect.with_facts(doubles_frames=True)
        self.ended_namespaces.pop(packet.namespace, None)
        if self.open_handlers >= self.hub.options.max_namespaces:
            self.namespace_ended(packet.namespace, by_us=True)
            self.mistaken("too many namespaces", f"{packet.namespace[:40]!r} is one too many")
            return self._refuse_connect(packet, "Too many namespaces")
        found = self.hub.find_namespace(self, packet.namespace, packet.data)
        if isinstance(found, Coroutine):
            self.open_handlers += 1
            self.postponed[packet.namespace] = []
            self.hub.clock.spawn(self._connect_when(packet, found))
        else:
            self._connect_to(found, packet)

    async def _connect_when(
        self, packet: Packet, pending: Coroutine[Any, Any, Namespace | None]
    ) -> None:
        """Connect to the namespace that *pending* finds, then act on what has come for it."""
        namespace, timed_out = None, False
        try:
            namespace = await asyncio.wait_for(pending, self.hub.options.connect_timeout)
        except asyncio.TimeoutError:
            timed_out = True
            warn_once(
                "matcher",
                "no decision about the namespace %.40r within %s.connect_timeout = %g s",
                packet.namespace,
                self.hub.options.__name__,
                self.hub.options.connect_timeout,
            )
        except asyncio.CancelledError as error:  # the matcher has awaited what was cancelled
            if not self.hub.closing and not is_being_cancelled():
                log.error("no decision about the namespace %.40r", packet.namespace, exc_info=error)
        finally:
            self.open_handlers -= 1
            waiting = self._take_postponed(packet.namespace)
        if self.life not in LIVING:
            if namespace is not None:
                self.hub.forget_unused(namespace)  # which may have been made for this client
            return
        if timed_out:
            return self._refuse_connect(packet, "Timed out")
        self._connect_to(namespace, packet)
        if namespace is not None:
            self._receive_postponed(waiting)

    def _connect_to(self, namespace: Namespace | None, packet: Packet) -> None:
        """Make the member that *packet* asks for, if there is such a *namespace*."""
        if namespace is None:
            why = f"namespace {packet.namespace[:40]!r} is not served"
            self.mistaken("namespace not served", why)
            return self._refuse_connect(packet, "Invalid namespace")
        # The member is in the table before `on_open` runs.
        member = self.members[namespace.name] = Member(self, namespace, packet.data)
        member.begin()

    def _refuse_connect(self, packet: Packet, message: str) -> None:
        self.send_packet(Packet(CONNECT_ERROR, packet.namespace, {"message": message}))

    def accepted(self, member: Member) -> None:
        """Send CONNECT for *member*, whose `on_open` has said yes, and what goes out before it."""
        if self._move(Life.OPEN):
            self.hub.clock.disarm(self.connect_over)
            if self.dialect.open_follows_connect:
                self.send_engine(OPEN, self.greeting)
        self.hub.messages_sent += len(member.before_connect)
        for outgoing in member.before_connect:
            self.enqueue(self.for_client(outgoing))
        member.before_connect = ()
        self.send_packet(Packet(CONNECT, member.namespace.name, member.identity))
        if self.postponed and member.namespace.name == "/":
            self._receive_postponed(self._take_postponed("/"))

    def refused(self, member: Member, refusal: ConnectionRefused) -> None:
        """Tell the client of *refusal*: the `on_open` of *member* has said no."""
        if not self.dialect.has_namespaces:
            return self.end("forced close")  # 0.6 has no packet that refuses
        self.namespace_ended(member.namespace.name, by_us=True)
        reason = {"message": refusal.message}
        if refusal.data is not None:
            reason["data"] = refusal.data
        self.send_packet(Packet(CONNECT_ERROR, member.namespace.name, reason))
        if self.dialect.root_is_connection and member.namespace.name == "/":
            self.send_packet(Packet(DISCONNECT))
            self.close("forced close")

    # Out.

    def enqueue(self, outgoing: Outgoing) -> None:
        """Write *outgoing* at once if a WebSocket takes it; else it queues. All goes out here."""
        if self.write_now is not None:
            self.write_now(outgoing.frame)
            return
        if self.life is CLOSED:
            return
        size = outgoing.size
        if self.outbox:
            self.outbox.append(outgoing)
        else:
            self.outbox = collections.deque((outgoing,))
        self.outbox_bytes += size
        if self.backlog is not None or self.outbox_bytes > self.hub.options.max_buffered_bytes:
            self.fall_behind(size)
        if self.outlet is not None:
            self.outlet.wake()

    def for_client(self, outgoing: Outgoing) -> Outgoing:
        """Encode what was encoded for others, or for another transport, as this client needs it."""
        if outgoing.dialect.name != self.dialect.name:
            packets = self.dialect.recode(outgoing.packets, outgoing.dialect)
            return Outgoing(self.dialect, packets)
        base64, deflate_from = outgoing.dialect.base64, outgoing.dialect.deflate_from
        if base64 == self.dialect.base64 and deflate_from in (None, self.dialect.deflate_from):
            return outgoing
        return Outgoing(self.dialect, outgoing.packets)

    def send_packet(self, packet: Packet) -> None:
        packets = self.dialect.encode_packet(packet)
        if packets:
            self.enqueue(Outgoing(self.dialect, packets))

    def send_engine(self, type: str, data: str | bytes = "") -> None:
        self.enqueue(Outgoing(self.dialect, [EnginePacket(type, data)]))

    def take_outbox(self, most: float = math.inf) -> collections.deque[Outgoing]:
        """Return what waits, for an outlet that can send it now.

        That is all, or the first of it, up to the message that makes it *most* bytes or more.
        """
        if self.outbox_bytes <= most:
            taken, self.outbox, self.outbox_bytes = self.outbox, NO_MESSAGES, 0
            return taken
        taken, size = collections.deque(), 0
        while self.outbox and size < most:
            taken.append(self.take_next())
            size += taken[-1].size
        return taken

    def take_payload(self) -> Collection[Outgoing]:
        """Return what a poll may bring: up to `max_buffered_bytes`, and one message more.

        Clients with `greets_alone` read nothing behind an OPEN. Clients with `close_overtakes` act
        on a CLOSE before what stands in front of it, so it waits for the next poll.
        """
        if self.dialect.greets_alone and self.outbox and self.outbox[0].packets[0].type is OPEN:
            return [self.take_next()]
        taken = self.take_outbox(self.hub.options.max_buffered_bytes)
        if self.dialect.close_overtakes and len(taken) > 1 and taken[-1].packets[0].type is CLOSE:
            self.outbox = collections.deque((taken.pop(),))
            self.outbox_bytes = self.outbox[0].size
        return taken

    def take_next(self) -> Outgoing:
        """Return the first message that waits."""
        outgoing = self.outbox.popleft()
        self.outbox_bytes -= outgoing.size
        if not self.outbox:
            self.outbox = NO_MESSAGES
        return outgoing

    @property
    def takes_volatile(self) -> bool:
        """Tell whether a message sent now would leave now.

        Over HTTP it would, if it fits into one answer with all else that this turn sends.
        """
        if self.transport in WEBSOCKETS:
            return self.write_now is not None
        outlet, waits = self.outlet, bool(self.outbox)
        if outlet is None or outlet.congested or (waits and self.dialect.greets_alone):
            return False
        return self.outbox_bytes < VOLATILE_BYTES

    # Clients that do not read.  One that reads may be sent more at once than `max_buffered_bytes`:
    # it is judged by what leaves, from the next turn on, and is cut off at once only far above.

    @property
    def unsent_bytes(self) -> int:
        """The bytes that have not left: they wait here, in the outlet, or in a long answer."""
        unsent = self.outbox_bytes + sum([answer.unsent_bytes for answer in self.answers])
        return unsent if self.outlet is None else unsent + self.outlet.unsent_bytes

    def fall_behind(self, added: int = 0) -> None:
        """Count *added* bytes that wait; when too many do, run no event until they have left."""
        limit, unsent = self.hub.options.max_buffered_bytes, self.unsent_bytes
        if unsent + self.held_bytes > MOST_UNSENT * limit:
            return self._give_up()
        if self.backlog is None:
            if unsent <= limit:
                return
            self.backlog = Backlog()
            for member in self.members.values():
                member.stop()
            self.hub.clock.soon(functools.partial(self._judge_later, self.backlog))
        self.backlog.added += added

    def _judge_later(self, backlog: Backlog) -> None:
        if self.backlog is backlog:  # otherwise the backlog is over
            backlog.unsent, backlog.added = self.unsent_bytes, 0
            self.arm(self.judge, self.hub.options.ping_timeout)

    def judge(self) -> None:
        """Cut off the client if not even half of what was unsent a `ping_timeout` ago has left."""
        backlog = self.backlog
        if backlog is None:
            return
        left = backlog.unsent + backlog.added - self.unsent_bytes
        if 2 * left < backlog.unsent:
            return self._give_up()
        if self.heartbeat is not None:
            # A client that reads is alive. Its pong may come behind all that it has to read.
            self.heartbeat.extended = False
        self._judge_later(backlog)

    def _give_up(self) -> None:
        """Cut off the client, which does not read, and the long answers that have not left."""
        answers = self.answers
        self.cut_off("max_buffered_bytes", "it does not read what it is sent")
        for answer in answers:
            answer.abort()

    def ease(self) -> None:
        """Run events again, once no more than `max_buffered_bytes` have yet to leave."""
        backlog = self.backlog
        if backlog is not None and self.unsent_bytes <= self.hub.options.max_buffered_bytes:
            self.backlog = None
            self.hub.clock.disarm(self.judge)
            for member in backlog.stopped:
                self.hub.clock.soon(member.work_in_turn)

    # Outlets.

    def attach(self, outlet: Outlet) -> None:
        """Send by *outlet* from now on, first of all what has waited."""
        self.outlet = outlet
        if not self.reading:
            outlet.set_reading(False)
        self.hub.clock.disarm(self.return_over)
        if self.transport in POLLING:
            self._arm_poll_over()
            if self.upgrade is PROBED and not self.outbox:
                self.send_engine(NOOP)  # a client waits for the end of its poll before it switches
        if self.outbox or self.life is CLOSING or self.transport in WEBSOCKETS:
            outlet.wake()

    def outlet_released(self, outlet: Outlet, broken: bool = False) -> None:
        """Do without *outlet*, a poll that is over, until the client polls again.

        If its connection has *broken*, the page may be gone. But the C# client and its kin poll the
        same sid again, after 200 and after 400 ms.
        """
        if self.outlet is not outlet:
            return
        self.outlet = None
        if self.dialect.longest_poll is not None:
            self.hub.clock.disarm(self.poll_over)
        seconds = self.dialect.poll_return or (POLL_GRACE if broken else None)
        if self.life is CLOSING and not self.outbox:
            self.end("forced close")
        elif seconds is not None:
            self.arm(self.return_over, seconds)

    def begin_upgrade(self, prober: Outlet) -> bool:
        """Let the WebSocket *prober* ask to become the outlet.

        False if another has asked, or is the outlet already, or none may.
        """
        if self.upgrade is not Upgrade.NONE or self.life is CLOSED:
            return False
        if not self.hub.transports_after(self.transport, self.dialect):
            return False
        self.upgrade, self.prober = Upgrade.ASKED, prober
        self.arm(self.upgrade_over, self.hub.options.upgrade_timeout)
        return True

    def probed(self) -> None:
        """Answer the poll that waits: the WebSocket has its pong, and polling may stop."""
        self.upgrade = PROBED
        if self.outlet is not None and not self.outbox:
            self.send_engine(NOOP)

    def upgraded(self, outlet: Outlet, dialect: Dialect) -> None:
        """Send by the WebSocket *outlet* from now on, and release a poll that still waits."""
        log.debug("%s = upgraded", self.sid[:6])
        self.upgrade, self.dialect = Upgrade.DONE, dialect.spoken_as(self.dialect)
        if self.text_memory.encodes_twice:
            # Clients of 1.x that encode text twice do so in polls; only those of 1.0 do it in frames.
            self.text_memory.encodes_twice = False
            self.text_memory.tell = self._double_frames
        self.hub.clock.disarm(self.upgrade_over)
        old, self.outlet, self.prober, self.transport = self.outlet, None, None, WEBSOCKET
        if old is not None:
            old.release()
        self._recode_outbox()
        self.attach(outlet)

    def _recode_outbox(self) -> None:
        if self.outbox:
            self.outbox = collections.deque(map(self.for_client, self.outbox))

    def _double_frames(self) -> None:
        """Encode frames twice from now on: the client, of 1.0 in Node, has sent one that is.

        The names of its namespaces are not ASCII. Its parser fails at a name that is encoded once.
        """
        self.text_memory.tell = None
        self.dialect = self.dialect.with_facts(doubles_frames=True)

    def abandon_upgrade(self) -> None:
        """Go on polling as before: the WebSocket that asked is gone."""
        self.upgrade, self.prober = Upgrade.NONE, None
        self.hub.clock.disarm(self.upgrade_over)

    def outlet_lost(self, outlet: Outlet, reason: str) -> None:
        """End with *reason*: the client has ended *outlet*, a WebSocket or a stream, or lost it."""
        if self.outlet is outlet:
            self.outlet = None
            self.end(reason)

    # Reading.

    def count_waiting(self, waiting: int = 0, owed: int = 0) -> None:
        """Count *waiting* more bytes of events, and *owed* more acks that handlers wait for."""
        self.waiting_bytes += waiting
        self.owed_acks += owed
        if self.life is CLOSED:
            return
        options = self.hub.options
        one_frame = options.max_packets * QUEUED_BYTES + MAX_READ_COST
        if self.waiting_bytes * self.dialect.density > 4 * options.max_buffered_bytes + one_frame:
            self.cut_off("slow handlers", "it sends faster than its handlers work")
        elif waiting > 0 or not self.reading:
            self.update_reading()

    def update_reading(self) -> None:
        """Read from this client while it reads from us, and while few of its events wait.

        At most `max_message_bytes` of them are few; all are, while a handler waits for an ack,
        which only reading can bring.
        """
        waiting = self.waiting_bytes * self.dialect.density
        reading = waiting <= self.hub.options.max_message_bytes or self.owed_acks > 0
        if self.outlet is not None and self.outlet.congested:
            reading = False
        if reading == self.reading:
            return
        self.reading = reading
        if self.outlet is not None:
            self.outlet.set_reading(reading)
        if reading and self.post is not None:
            self.post.reading_resumed()

    # Time.

    def arm(self, act: Deadline, seconds: float) -> None:
        """Arm a deadline of this session; for a session that has ended nothing is due any more."""
        if self.life is not CLOSED:
            self.hub.clock.arm(act, seconds)

    def connect_over(self) -> None:
        """End the session: no namespace has accepted the client within `connect_timeout`."""
        self.cut_off("connect_timeout", self._idleness())

    def _idleness(self) -> str:
        """Say why the client is in no namespace yet."""
        if not self.transport:
            return "it has chosen no transport after its handshake"
        for member in self.members.values():
            where = f"{member.namespace.handler_class.__name__}.on_open"
            return f"{where} in {member.namespace.name[:40]!r} has not accepted it yet"
        return "it has joined no namespace"

    def heartbeat_due(self) -> None:
        """Ping the client, or end the session of one that has been silent for too long."""
        heartbeat = self.heartbeat
        assert heartbeat is not None
        if not heartbeat.is_last_moment:
            self.send_engine(PING, heartbeat.ping())
        else:
            # The pong, or the ping where clients ping, may lie unread in our socket while we do not
            # read. It may be late while the client still reads what is long, or sends it. Such a
            # client gets one more round.
            is_silent = monotonic() - self.heard_at > heartbeat.timeout
            reads_all = self.backlog is None and not self.answers
            if (self.reading and reads_all and is_silent) or not heartbeat.extend():
                return self.end("ping timeout")
        if self.life is not CLOSED:
            self.hub.clock.arm_at(self.heartbeat_due, heartbeat.due)

    def upgrade_over(self) -> None:
        """Let go of the WebSocket that has not finished its upgrade within `upgrade_timeout`."""
        if self.prober is not None:
            self.blame("failed upgrade", "upgrade_timeout is over")
            self.prober.drop()

    def _arm_poll_over(self) -> None:
        longest = self.dialect.longest_poll
        if longest is not None:
            self.arm(self.poll_over, min(self.hub.options.poll_duration, longest))

    def poll_over(self) -> None:
        """Answer the poll that has waited for `poll_duration`, though there is nothing to say."""
        if self.life is Life.OPENING and self.dialect.open_follows_connect:
            # A 0.6 client takes the first answer for its sid: it must not be empty.
            self._arm_poll_over()
        elif self.outlet is not None:
            self.outlet.wake()

    def return_over(self) -> None:
        """End the session: the client has not come back with its next poll."""
        if self.prober is not None:  # a client that is about to switch need not poll
            self.arm(self.return_over, POLL_GRACE)
        else:
            broken = self.dialect.poll_return is None
            self.end("transport error" if broken else "transport close")

    def close_over(self) -> None:
        """End the session: the client has not fetched the CLOSE."""
        self.end("forced close")

    # The end.

    def close(self, reason: str) -> None:
        """Tell the client, behind what was sent before, then end with *reason*."""
        no_sid_yet = self.life is Life.OPENING and self.dialect.open_follows_connect
        if no_sid_yet or not self.transport:
            return self.end(reason)  # the client has nothing to close yet
        if not self._move(CLOSING):
            return
        self._log_end(reason)
        self._end_members(reason)
        # To a 0.9 client the DISCONNECT of "/" has already closed the connection.
        is_told = self.dialect.root_is_connection and self.ended_namespaces.get("/")
        self.arm(self.close_over, self.hub.options.close_timeout)
        # The htmlfile of a 0.9 client does not see its answer end.
        told_apart = self.transport in STREAMS and self.dialect.handshakes_apart
        if (self.transport in POLLING or told_apart) and not is_told:
            self.send_engine(CLOSE)
        elif self.outlet is not None:
            self.outlet.wake()

    def end(self, reason: str, by_client: bool = False) -> None:
        """Let go of the client, end its members with *reason*, free everything.

        A session that ends *by_client*, by a packet or a request of its own, needs no CLOSE.
        """
        if self.life in LIVING:
            self._log_end(reason)
        if not self._move(CLOSED):
            return
        self.write_now = None
        outlet, self.outlet = self.outlet, None
        for connection in (outlet, self.prober):
            if connection is not None:
                if by_client:
                    connection.release()
                else:
                    connection.drop()
        self.outbox, self.outbox_bytes = NO_MESSAGES, 0
        self.hub.clock.disarm(
            self.connect_over,
            self.heartbeat_due,
            self.judge,
            self.upgrade_over,
            self.poll_over,
            self.return_over,
            self.close_over,
        )
        self.assembler = None
        self._end_members(reason)
        self.backlog = None
        self.hub.forget(self)
        if self.post is not None:
            self.post.reading_resumed()

    def _log_end(self, reason: str) -> None:
        """Log the end of a session whose beginning `open` has logged."""
        if self.transport:  # without one the client has only shaken hands
            age = self.hub.clock.now() - self.born
            client = self.dialect.name, self.remote_address, self.transport
            words = "session %s ends after %.1f s: %s; an %s client from %s, last over %s"
            log.info(words, self, age, reason, *client)

    def _end_members(self, reason: str) -> None:
        for member in list(self.members.values()):
            member.end(reason)

    def _move(self, to: Life) -> bool:
        if to not in LIFE_MOVES[self.life]:
            return False
        log.debug("%s = %s", self.sid[:6], to.value)
        self.life = to
        return True


# -- 9. Rooms --------------------------------------------------------------------------
# A member is one client in one namespace: its session hands it packets (`take_event`,
# `acknowledged`, `end`), it has its handler run them, one after the other, and what it sends goes
# back through `Session.enqueue`. Code of the application that works for a client is called by
# `enter`, in a context that belongs to the client. For the methods of a handler `Member._enter`
# does so, and sends or reports what they return or raise. Code that keeps the loop for too long is
# named in a warning (`watched`).
#
# A namespace knows its members and their rooms. A member's id is a room without an entry of its
# own. What goes to many is encoded once for each dialect. With a recovery window, a namespace keeps
# for so long what it has sent, by number.

NO_ROOMS: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Target:
    """The members that a verb is for: those in any of *rooms*, or all, but for those in *excluded*.

    A member's id is a room. A target is a value: it can be written down for another server.
    """

    rooms: frozenset[str] = NO_ROOMS
    excluded: frozenset[str] = NO_ROOMS
    volatile: bool = False  #: an event is dropped for a client that could not get it at once
    local: bool = False  #: clients of other servers are not meant


#: A room that no client is in. `to` of an empty list means nobody; in node it means everybody, which
#: is a fault there (socketio/socket.io#4645).
NOBODY = random_text(SID_BYTES)

#: An argument that stands for rooms: a name, or a list of names.
Rooms = str | list[str] | tuple[str, ...] | Set[str]


def room_names(rooms: Iterable[Any]) -> list[str]:
    """Return the names in *rooms*, which may hold names and lists of names, as in node.

    Raises TypeError for anything else.
    """
    names = []
    for room in rooms:
        for name in room if isinstance(room, (list, tuple, set, frozenset)) else (room,):
            if not isinstance(name, str):
                cure = "its id is its room" if isinstance(name, SocketIOHandler) else "use str()"
                raise TypeError(f"a room is text, not {type(name).__name__}: {cure}")
            names.append(name)
    return names


#: The keyword arguments of `emit`, `send` and `call` of python-socketio and Flask-SocketIO, and what
#: to write in place of each.
FOREIGN_ARGUMENTS = {
    "to": "use io.to(room).emit(..), or self.to(room).emit(..), which leaves this client out",
    "room": "use io.to(room).emit(..), or self.to(room).emit(..), which leaves this client out",
    "broadcast": "use io.emit(..), or self.broadcast.emit(..), which leaves this client out",
    "include_self": "self.broadcast.emit(..) and self.to(room).emit(..) leave this client out",
    "skip_sid": "use io.except_(id).emit(..)",
    "namespace": "use io.of(namespace).emit(..)",
    "callback": "use self.emit(.., ack=callback), or await self.call(..)",
    "ack": "use await io.call(..)",
    "timeout": "use await io.call(.., timeout=5)",
    "data": "what stands behind the name is sent: emit(name, data)",
}


def refuse_arguments(foreign: Mapping[str, Any]) -> NoReturn:
    """Raise TypeError for keyword arguments that no method here takes, with ours for them."""
    name = next(iter(foreign))
    raise TypeError(f"there is no argument {name}=; {FOREIGN_ARGUMENTS.get(name, 'leave it out')}")


def counted(number: int, thing: str) -> str:
    """Return "1 argument", or "2 arguments"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def warn_if_blocked(begun: float, where: Callable[..., str], *args: Any) -> None:
    """Warn if a method of the application, called at *begun*, has kept the loop for too long."""
    if monotonic() - begun > BLOCKED_SECONDS:
        warn_once(
            "blocking",
            "%s has kept the loop, and so every client, waiting for more than %g s: "
            "await what takes long, or give it to a thread: await asyncio.to_thread(...)",
            where(*args),
            BLOCKED_SECONDS,
        )


def watched(where: tuple[Any, ...], work: Callable[..., Any], *args: Any) -> Any:
    """Return what *work* of the application gives; warn if it keeps the loop.

    *where* is a function that names the work, and its arguments.
    """
    begun = monotonic()
    try:
        return work(*args)
    finally:
        warn_if_blocked(begun, *where)


def in_own_context(work: Callable[..., Any], *args: Any) -> Any:
    """Return what *work* gives, called in a copy of the context: nobody sees what it sets there."""
    return contextvars.copy_context().run(work, *args)


def enter(session: Session, work: Callable[..., Any], *args: Any) -> Any:
    """Call *work* of the application in the context of the client, which no other client shares.

    A context cannot be entered twice. If code of client A is at work, calls code of B (say,
    `on_any_outgoing`), and that calls code of A again, then *work* runs in a copy of A's context.
    """
    at_work = session.hub.clock.at_work
    outer, since = at_work.session, at_work.since
    if outer is session:
        return work(*args)
    at_work.session, at_work.since = session, monotonic()
    try:
        if session.entered:
            return session.context.copy().run(work, *args)
        session.entered = True
        try:
            return session.context.run(work, *args)
        finally:
            session.entered = False
    finally:
        at_work.session, at_work.since = outer, since


@types.coroutine
def in_steps(caller: Callable[..., Any], pending: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await *pending*, an awaitable of the application; each of its steps is called by *caller*.

    A task has one context from its first step to its last, and before Python 3.11 that is always a
    new copy. So it is not the task that has the client's context: each step enters it.
    """
    steps: Any = pending.__await__()
    step: Any = steps.__next__
    thrown: tuple[BaseException, ...] = ()
    try:
        while True:
            waited = caller(step, *thrown)
            try:
                yield waited
                step, thrown = steps.__next__, ()
            except BaseException as error:  # this task is cancelled, or what it waits for
                if not hasattr(steps, "throw"):
                    raise
                step, thrown = steps.throw, (error,)
    except StopIteration as stop:
        return stop.value
    finally:
        thrown = ()  # an error whose traceback leads here would be a cycle


class MemberState(enum.Enum):
    """Where a member stands, from the client's CONNECT until its `on_close` has returned.

    state     runs               waits                           moves on
    opening   `on_open`          its events, in `inbox`; what    accepted: CONNECT goes out, it is
                                 is sent, in `after_connect`     busy until its inbox is empty;
                                                                 refused: gone
    idle      nothing            nothing: there is no `inbox`    a plain method runs at once, and it
                                                                 stays idle; a coroutine: busy
    busy      a coroutine, or    later events                    when the last event is over: idle
              a turn's events
    ending    what is left       `on_close`, last in `inbox`     when that has returned: gone;
                                                                 `close_timeout` cancels what hangs
    gone      nothing            nothing

    It ends, with a close reason, when its client or the application disconnects it, or with its
    session. A busy member may have been stopped by its session's backlog, and waits for its end.
    """

    OPENING = "opening"
    BUSY = "busy"
    IDLE = "idle"
    ENDING = "ending"
    GONE = "gone"

    __hash__ = object.__hash__  # Enum's own, written in Python, takes 100 ns


# Before Python 3.12 it takes 150 ns to look up a member of an Enum, and 15 ns to look up these.
OPENING, BUSY, IDLE, ENDING, GONE = MemberState

MEMBER_MOVES = {
    OPENING: {BUSY, ENDING, GONE},
    BUSY: {IDLE, ENDING},
    IDLE: {BUSY, ENDING},
    ENDING: {GONE},
    GONE: set(),
}


# A longer wait for an ack may end up to a sweep late, which is a tenth of it at most.
PUNCTUAL_SECONDS = 10.0


class Ack(asyncio.Future[list[Any]]):
    """An ack that is waited for: it will hold the ack's arguments, Disconnected, or AckTimeout."""

    def __init__(self, clock: Clock, event: str, seconds: float | None) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.event = event
        self.seconds = seconds
        if seconds is None:
            return
        if seconds < PUNCTUAL_SECONDS:
            timer = clock.loop.call_later(seconds, self.expire, context=clock.context)
            self.add_done_callback(lambda done: timer.cancel())
        else:
            clock.arm(self.expire, seconds)
            self.add_done_callback(lambda done: clock.disarm(self.expire))

    def expire(self) -> None:
        """Wait no longer."""
        self.fail(AckTimeout(f"no ack of {self.event!r} within {self.seconds} s"))

    def fail(self, error: SocketIOError) -> None:
        """Raise *error* in whoever waits for this ack."""
        if not self.done():
            self.set_exception(error)
            self.exception()  # asyncio would log an error where nobody waits


if sys.version_info >= (3, 14):
    import annotationlib

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Return the signature of *function*.

        The values of annotations are not needed, and may not exist at run time.
        """
        return inspect.signature(function, annotation_format=annotationlib.Format.STRING)

    def annotated_names(cls: type) -> Iterable[str]:
        """Return the names that *cls* itself annotates. Their annotations are not evaluated."""
        return annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)

else:
    signature_of = inspect.signature
    annotated_names = inspect.get_annotations


def takes(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> bool:
    """Tell whether *function* takes these arguments; one without a signature may, too."""
    try:
        signature_of(function).bind(*args, **kwargs)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


#: Errors that are no failure of one event: they end the process, or a coroutine that nobody runs
#: any more. Any other BaseException is a failure, such as that of `pytest.fail`.
ENDS_PROCESS = (SystemExit, KeyboardInterrupt, GeneratorExit)


class Member:
    """A client in a namespace: its handler, the events that wait, and the acks to wait for.

    Events run one after the other. `MemberState` says what runs and what waits; only `_move` moves
    the state, along `MEMBER_MOVES`.
    """

    __slots__ = (
        "session", "namespace", "id", "auth", "handler", "state", "close_reason", "rooms",
        "inbox", "task", "overran", "before_connect", "after_connect",
        "acks", "next_ack_id", "recovery", "recovered",
    )  # fmt: skip

    def __init__(self, session: Session, namespace: Namespace, auth: dict[str, Any] | None) -> None:
        self.session = session
        self.namespace = namespace
        known_id = None
        if session.hub.options.id_is_sid and session.dialect.shows_sid:
            known_id = session.dialect.client_id(session.sid, namespace.name)
        self.id = known_id or random_text(SID_BYTES)
        self.auth = auth
        self.handler: Any = None
        self.state = OPENING
        self.close_reason: str | None = None  # set while ending, and when gone
        self.rooms: set[str] | frozenset[str] = NO_ROOMS
        # Events with the bytes that they count for, and None for `on_close`. An idle member has
        # no inbox: a deque takes 600 bytes.
        self.inbox: collections.deque[tuple[Packet | None, int]] | None = collections.deque()
        self.task: asyncio.Task[None] | None = None
        self.overran = False  # we have cancelled the coroutine that runs
        # Events that were sent while this client was away. They go out before its CONNECT, and the
        # client keeps them until that has come.
        self.before_connect: Sequence[Outgoing] = ()
        # Messages that are sent while `on_open` runs, and calls that end the client. None once they
        # have gone out.
        self.after_connect: list[Outgoing | Callable[[], None]] | None = []
        self.acks: dict[int, Ack] = {}
        self.next_ack_id = 0
        self.recovery: Recovery | None = None
        self.recovered = False  # the client was here before, and has its id and its rooms again

    @property
    def identity(self) -> dict[str, Any]:
        """The data of CONNECT: the client's id, and the pid that it can come back with."""
        way_back = {} if self.recovery is None else {"pid": self.recovery.pid}
        return {"sid": self.id, **way_back}

    @property
    def is_open(self) -> bool:
        """Tell whether `on_open` has accepted the client, and the client is still here."""
        return self.state is IDLE or self.state is BUSY

    def _move(self, to: MemberState, reason: str | None = None) -> bool:
        """Go to the state *to*, at the end with a close *reason*; change what must agree with it.

        False, and nothing happens, where `MEMBER_MOVES` has no such move.
        """
        state, session = self.state, self.session
        if to not in MEMBER_MOVES[state]:
            return False
        self.state = to
        if to is IDLE:
            self.inbox = None
        elif to is BUSY:
            if state is IDLE:
                self.inbox = collections.deque()
            else:  # its `on_open` has returned in time
                session.hub.clock.disarm(self.overdue)
        elif to is ENDING:
            self.close_reason = reason
            if self.inbox is None:
                self.inbox = collections.deque()
            self.inbox.append((None, 0))
            session.hub.clock.arm(self.overdue, session.hub.options.close_timeout)
        else:  # gone
            self.close_reason = self.close_reason or reason
            self.inbox = None
            self.handler = None  # a cycle of handler and member would wait for the collector
            session.hub.clock.disarm(self.overdue)
            session.open_handlers -= 1
        return True

    # Opening.

    def begin(self) -> None:
        """Run `on_open`, and accept or refuse by what it says."""
        hub = self.session.hub
        self.session.open_handlers += 1
        if self.session.dialect.recovers and self.namespace.history is not None:
            self.namespace.history.welcome(self)
        self.namespace.add(self)
        pending = self._enter("on_open", self._open, ())
        if pending is not None:
            if self.state is OPENING:
                hub.clock.arm(self.overdue, hub.options.connect_timeout)
            self.task = hub.clock.spawn(pending)

    def _open(self) -> Any:
        handler = self.session.hub.make_handler(self)
        return handler.on_open(*handler.path_args, **handler.path_kwargs)

    def _opened(self, answer: Any) -> None:
        self.task = None
        try:
            if decided(answer) is False:
                raise ConnectionRefused()
        except BaseException as error:
            return self._refuse(error)
        for option in sorted(CLASS_ONLY & vars(self.handler).keys()):
            warn_once(
                "option of one handler",
                "%s.on_open set %s on one handler, where it does nothing: it is an option of the class",
                type(self.handler).__name__,
                option,
            )
        if self._move(BUSY):
            self.session.accepted(self)
        if self.after_connect:
            # In the next turn: clients that look at one frame per read would miss what follows
            # CONNECT in the same read.
            self.session.hub.clock.soon(self._begin_work)
        else:
            self._begin_work()

    def _begin_work(self) -> None:
        """Send what `on_open` has sent, end the client if it did, then run the events that wait."""
        waiting = self._take_after_connect()
        for outgoing in waiting:
            if isinstance(outgoing, Outgoing):
                self.enqueue(self.session.for_client(outgoing))
        for ending in waiting:
            if not isinstance(ending, Outgoing):
                ending()
        self._work()

    def _take_after_connect(self) -> list[Outgoing | Callable[[], None]]:
        waiting, self.after_connect = self.after_connect or [], None
        sizes = [outgoing.size for outgoing in waiting if isinstance(outgoing, Outgoing)]
        self.session.held_bytes -= sum(sizes)
        return waiting

    def end_after_connect(self, ending: Callable[[], None]) -> bool:
        """Call *ending*, which ends it, after what `on_open` sends; False if that is out."""
        if self.after_connect is None:
            return False
        self.after_connect.append(ending)
        return True

    def _refuse(self, problem: BaseException) -> None:
        self.task = None
        if isinstance(problem, tornado.web.HTTPError):
            log.debug("%s ! refused: %s", self.session.sid[:6], problem)
            problem = ConnectionRefused(reason_of(problem))
        if isinstance(problem, ConnectionRefused):
            try:
                refusal = [problem.message, problem.data]
                encode_without_attachments(self.session.hub.json, refusal)
            except (TypeError, ValueError) as error:
                problem = error
        if not isinstance(problem, ConnectionRefused):
            self._report(problem, self.handler, "on_open", ())
            problem = ConnectionRefused("Server error")
        words = "session %s: on_open in %.40r has refused the client: %.100r"
        log.info(words, self.session, self.namespace.name, problem.message)
        self.session.count_waiting(waiting=-sum([size for _, size in self.inbox or ()]))
        self._take_after_connect()
        is_here = self.state is OPENING  # the client may have left while `on_open` ran
        self._cancel_tasks()
        self._move(GONE, "refused")
        if is_here:
            self._forget("refused")
            self.session.refused(self, problem)

    # Events in.

    def take_event(self, packet: Packet, size: int) -> None:
        """Run an event of *size* bytes, or let it wait its turn."""
        if self.inbox is not None:
            self.inbox.append((packet, size + QUEUED_BYTES))
            self.session.count_waiting(waiting=size + QUEUED_BYTES)
            return
        handler = self.handler  # from here on as in `_run_next`, without the cost of a call
        if handler._taps_incoming:
            self._enter("on_any", handler.on_any, packet.data)
        pending = self._enter("dispatch", handler.dispatch, packet.data, packet.ack_id)
        if pending is not None:
            self._move(BUSY)  # no move if the event has ended its own client
            self._work(pending)

    def _work(self, pending: Awaitable[None] | None = None) -> None:
        """Run what waits, until nothing does or a coroutine, *pending*, has to be awaited."""
        run = 0
        while pending is None and self.inbox and run < EVENTS_PER_TURN and not self._backlog():
            pending = self._run_next(self.inbox)
            run += 1
        hub, backlog = self.session.hub, self._backlog()
        if pending is not None:
            if backlog is not None:
                backlog.stopped.pop(self, None)
            self.task = hub.clock.spawn(self._work_on(pending))
        elif backlog is not None:
            backlog.stopped[self] = None
        elif run == EVENTS_PER_TURN:  # short events of one client must not keep others waiting
            hub.clock.soon(self._work)
        else:
            self._move(IDLE if self.close_reason is None else GONE)

    def _backlog(self) -> Backlog | None:
        """Return the backlog that keeps the events from being run, if any; none does at the end."""
        return self.session.backlog if self.close_reason is None else None

    def stop(self) -> None:
        """Run no event until the session's backlog is over; a coroutine that runs goes on."""
        backlog = self.session.backlog
        if backlog is not None and self.state is IDLE:
            self._move(BUSY)
            backlog.stopped[self] = None

    def queue_events(self) -> None:
        """Let the events that come in this turn wait for the next one: there are many of them."""
        if self.state is IDLE:
            self._move(BUSY)
            self.session.hub.clock.soon(self.work_in_turn)

    async def _work_on(self, pending: Awaitable[None]) -> None:
        await pending
        self.task = None
        self._work()

    def _run_next(
        self, inbox: collections.deque[tuple[Packet | None, int]]
    ) -> Awaitable[None] | None:
        packet, size = inbox.popleft()
        handler = self.handler
        if packet is None:
            return self._enter("on_close", handler.on_close, ())
        self.session.count_waiting(waiting=-size)
        if handler._taps_incoming:
            self._enter("on_any", handler.on_any, packet.data)
        return self._enter("dispatch", handler.dispatch, packet.data, packet.ack_id)

    def overdue(self) -> None:
        """Cancel the coroutine of the handler that runs: it has taken too long.

        That is `on_open` after `connect_timeout`, and whatever runs in a member that is ending
        after each `close_timeout`.
        """
        if self.close_reason is not None:  # the next coroutine may hang, too
            self.session.hub.clock.arm(self.overdue, self.session.hub.options.close_timeout)
        if self.task is not None:
            # A coroutine that is cancelled before its first step never runs, so nobody would go on
            # to the next event: wait a turn.
            self.overran = True
            if self.close_reason is None:
                self.mistaken("slow on_open", "its on_open has not decided yet")
            self.session.hub.clock.soon(self.task.cancel)

    # Out.

    def emit(self, packet: Packet) -> None:
        """Send an EVENT; that of a client that can come back goes into the namespace's history."""
        if self.recovery is None:
            self.send(packet)
        else:
            self.namespace.send_to(packet, Target(frozenset([self.id])))

    def send(self, packet: Packet) -> None:
        """Encode *packet* for this client alone."""
        self._send(packet, self.session.dialect.encode_packet(packet))

    def _send(self, packet: Packet, packets: list[EnginePacket]) -> None:
        namespace = self.namespace
        namespace.hub.messages_sent += 1
        if namespace.is_tapped and packet.type is EVENT:
            self.tap(packet)
        self.enqueue(Outgoing(self.session.dialect, packets))

    def tap(self, packet: Packet) -> None:
        """Show an EVENT on its way out to a handler that wants to see them all."""
        if self.handler is not None:
            self._enter("on_any_outgoing", self.handler.on_any_outgoing, packet.data)

    def enqueue(self, outgoing: Outgoing) -> None:
        """Send *outgoing* to the client, after its CONNECT."""
        if self.close_reason is not None:
            return  # the client may be back in this namespace, as another member
        if self.after_connect is None:
            self.session.enqueue(outgoing)
        else:
            self.after_connect.append(outgoing)
            self.session.held_bytes += outgoing.size
            if self.session.held_bytes > self.session.hub.options.max_buffered_bytes:
                self.session.fall_behind()

    def ask(self, packet: Packet, seconds: float | None = None) -> Ack:
        """Send an EVENT that wants an ack within *seconds* (None: at any time); return its `Ack`.

        A caller that does not want to wait any longer cancels it. An Ack that is done, in whatever
        way, is forgotten.
        """
        if not self.session.dialect.has_acks:
            raise NotSupported(
                f"a {self.session.dialect.name} client has no acks: ask for an answer as a message"
            )
        if not self.is_open:
            raise Disconnected(
                "on_open has not accepted the client yet: ask it later, in an event or a task"
                if self.close_reason is None
                else self.close_reason
            )
        packet.ack_id = ack_id = self.next_ack_id
        packets = self.session.dialect.encode_packet(packet)
        self.next_ack_id += 1
        ack = self.acks[ack_id] = Ack(self.session.hub.clock, packet.data[0], seconds)
        ack.add_done_callback(lambda done: self._take_ack(ack_id))
        self.session.count_waiting(owed=+1)
        self._send(packet, packets)
        return ack

    def acknowledged(self, packet: Packet) -> None:
        """Take an ack that has come; one that nobody waits for, late or made up, means nothing."""
        ack = self._take_ack(packet.ack_id)
        if ack is not None and not ack.done():
            ack.set_result(packet.data)

    def _take_ack(self, ack_id: int | None) -> Ack | None:
        ack = None if ack_id is None else self.acks.pop(ack_id, None)
        if ack is not None:
            self.session.count_waiting(owed=-1)
        return ack

    def answered(
        self, event: str, ack: Callable[..., Any], future: asyncio.Future[list[Any]]
    ) -> None:
        """Call the application's *ack* with what *future*, made by `ask`, holds, if an ack came."""
        hub = self.session.hub
        if future.cancelled() or future.exception() is not None:
            return
        pending = self._enter("emit(ack=..)", self._call_back, (event, ack, future.result()))
        if pending is not None:
            hub.clock.spawn(pending)

    def _call_back(self, event: str, ack: Callable[..., Any], args: list[Any]) -> Any:
        if takes(ack, *args):
            return ack(*args)
        self.mistaken(
            "arguments",
            f"its ack of {event[:40]!r} has {counted(len(args), 'argument')}, which {ack!r:.80} cannot take",
            "Give that function other parameters (defaults, *args)",
        )

    # The application.

    def _enter(
        self, what: str, method: Callable[..., Any], args: Sequence[Any], ack_id: int | None = None
    ) -> Coroutine[Any, Any, None] | None:
        """Call the application: the one guard between its code and ours, whatever of it runs.

        *what* names *method*; "dispatch" stands for the method of an event. What *method* returns
        is sent as the ack *ack_id*, or decides about the client in `on_open`; what it raises is
        reported. If it returns a coroutine, the caller gets one of ours, which awaits that one, and
        has to run it in a task.
        """
        at_work = self.namespace.hub.clock.at_work
        if at_work.session is not self.session:
            # `enter` calls this method again, in the client's context. For the events of one read
            # `WebSocket.data_received` has entered that context once.
            return enter(self.session, self._enter, what, method, args, ack_id)  # type: ignore[no-any-return]
        begun = at_work.since
        try:
            result = method(*args)
            now = at_work.since = monotonic()
            if now - begun > BLOCKED_SECONDS:
                warn_if_blocked(begun, self._where, what, args)
            if result is not None and is_awaitable(result):
                return self._settle(what, args, result, ack_id, self.handler)
            if ack_id is not None:
                self._send_ack(ack_id, result)
        except ENDS_PROCESS:
            raise
        except BaseException as error:
            warn_if_blocked(begun, self._where, what, args)
            at_work.since = monotonic()
            self._failed(error, self.handler, what, args)
            return None
        if what == "on_open":
            self._opened(result)
        return None

    async def _settle(
        self,
        what: str,
        args: Sequence[Any],
        pending: Awaitable[Any],
        ack_id: int | None,
        handler: SocketIOHandler,
    ) -> None:
        """Await *pending*, and do with its result what `_enter` does."""
        step = self._stepper(what, args)
        try:
            result = await in_steps(step, pending)
            if is_awaitable(result):  # a `dispatch` that is a coroutine has returned another's
                result = await in_steps(step, result)
            if ack_id is not None:
                self._send_ack(ack_id, result)
        except asyncio.CancelledError as error:
            overran, self.overran = self.overran, False
            if not overran and not self.session.hub.closing and not is_being_cancelled():
                self._failed(error, handler, what, args)
            elif what == "on_open":
                self._refuse(ConnectionRefused("Timed out"))
            return
        except ENDS_PROCESS:
            raise
        except BaseException as error:
            return self._failed(error, handler, what, args)
        if what == "on_open":
            self._opened(result)

    def _stepper(self, what: str, args: Sequence[Any]) -> Callable[..., Any]:
        """Return the caller of a coroutine's steps, for `in_steps`."""
        return functools.partial(watched, (self._where, what, args), enter, self.session)

    def _failed(
        self, error: BaseException, handler: SocketIOHandler | None, what: str, args: Sequence[Any]
    ) -> None:
        if what == "on_open":
            self._refuse(error)
        else:
            self._report(error, handler, what, args)

    def _report(
        self, error: BaseException, handler: SocketIOHandler | None, what: str, args: Sequence[Any]
    ) -> None:
        """Give the application's own exception to its `on_error`; without a handler, to the log."""
        if handler is None:
            log.error("%s could not be made", self.namespace.handler_class.__name__, exc_info=error)
        elif self.close_reason is not None and isinstance(
            error, (Disconnected, asyncio.CancelledError)
        ):
            log.debug("%s ! went while its handler was at work", self.session.sid[:6])
        else:
            with contextlib.suppress(AttributeError):  # some exceptions cannot be written to
                error._socket_io_where = self._where(what, args)  # type: ignore[attr-defined]
            try:
                enter(self.session, handler.on_error, error)
            except Exception as failure:
                log.error("%s.on_error failed", type(handler).__name__, exc_info=failure)

    def _where(self, what: str, args: Sequence[Any]) -> str:
        """Name the application's method that is at work: "Chat.go, event 'go' in '/'"."""
        handler_class = self.namespace.handler_class
        if what == "dispatch":
            receiver = handler_class._events.get(args[0])
            what = "on_message" if args[0] == "message" else "on_event"
            what = what if receiver is None else receiver.method
        event = f", event {args[0][:40]!r}" if args else ""
        return f"{handler_class.__name__}.{what}{event} in {self.namespace.name[:40]!r}"

    def _send_ack(self, ack_id: int, result: Any) -> None:
        """Send what a method has returned: a tuple is several arguments, None is no argument."""
        if result is NO_ACK or self.close_reason is not None:
            return
        args = list(result) if isinstance(result, tuple) else [] if result is None else [result]
        self.send(Packet(ACK, self.namespace.name, args, ack_id))

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run *work* of the application beside the events; see `SocketIOHandler.spawn`."""
        name = getattr(work, "__qualname__", type(work).__name__)
        attended = self._attend(f"spawn({name})", work, self.handler)
        task = self.session.hub.clock.spawn(attended)
        if hasattr(task, "set_name"):  # a task factory may make other tasks
            task.set_name(f"{type(self.handler).__name__} {self.id}: {name}")
        # The handler keeps its tasks: few members have any.
        tasks: set[Any] = vars(self.handler).setdefault("_tasks", set())
        tasks.add(task)

        def done(task: asyncio.Task[Result]) -> None:
            tasks.discard(task)
            # A task that is cancelled before its first step would leave them unawaited.
            attended.close()
            work.close()
            if not task.cancelled():
                task.exception()  # asyncio need not report again what `on_error` was given

        task.add_done_callback(done)
        return task

    async def _attend(
        self, what: str, work: Coroutine[Any, Any, Result], handler: SocketIOHandler
    ) -> Result:
        """Await *work*, each step in the client's context, and report its failure."""
        try:
            result: Result = await in_steps(self._stepper(what, ()), work)
            return result
        except asyncio.CancelledError as error:
            # Python 3.10 cannot tell whether the task was cancelled, or what it awaits.
            if sys.version_info >= (3, 11) and not is_being_cancelled():
                self._report(error, handler, what, ())
            raise
        except ENDS_PROCESS:
            raise
        except BaseException as error:
            self._report(error, handler, what, ())
            raise

    # The end.

    def end(self, reason: str) -> None:
        """Leave the namespace at once; `on_close` runs in a later turn, after events that wait."""
        state, session = self.state, self.session
        if not self._move(ENDING, reason):
            return
        session.namespace_ended(self.namespace.name, by_us=reason == "server namespace disconnect")
        self._forget(reason)
        for ack_id in list(self.acks):
            ack = self._take_ack(ack_id)
            if ack is not None:
                ack.fail(Disconnected(reason))
        self._cancel_tasks()
        # `on_close` is in the inbox now. If `on_open` or an event is being run, the inbox is run
        # after it; nobody would run the inbox of a member that was idle, or stopped by a backlog.
        needs_turn, backlog = state is IDLE, session.backlog
        if backlog is not None and self in backlog.stopped:
            del backlog.stopped[self]
            needs_turn = True
        if needs_turn:
            session.hub.clock.soon(self.work_in_turn)

    def _cancel_tasks(self) -> None:
        """Cancel what the handler has spawned, but not the task that has ended the client itself."""
        tasks = () if self.handler is None else self.handler._tasks
        if tasks:
            this_one = asyncio.current_task()
            for task in [task for task in tasks if task is not this_one]:
                task.cancel()

    def mistaken(self, cause: str, why: str, cure: str = "") -> None:
        """Note a mistake of the client in this namespace; see `Session.mistaken`."""
        where = f"{self.namespace.handler_class.__name__} in {self.namespace.name[:40]!r}"
        self.session.mistaken(cause, why, where, cure)

    def work_in_turn(self) -> None:
        """Run what waits, unless a coroutine runs: `_work_on` runs what waits after that."""
        if self.task is None:
            self._work()

    def _forget(self, reason: str) -> None:
        """Take this member out of all tables.

        The history learns it first: a namespace that a client may come back to is not forgotten.
        """
        if self.namespace.history is not None:
            self.namespace.history.member_ended(self, reason)
        # The client may be back already, as another member.
        if self.session.members.get(self.namespace.name) is self:
            del self.session.members[self.namespace.name]
        self.namespace.remove(self)


UNRECOVERABLE = frozenset(
    ["client namespace disconnect", "server namespace disconnect", "parse error", "refused"]
)
#: Clients of one namespace that have left and may come back.
MAX_GONE = 10_000
#: Namespaces, beyond which one that is empty is not kept for clients that may come back.
MAX_KEPT_NAMESPACES = 10_000


class Namespace:
    """A namespace of one hub: its members, their rooms, and the history of what it has sent."""

    def __init__(
        self,
        hub: Hub,
        name: str,
        handler_class: type[SocketIOHandler],
        family: Family | None = None,
    ) -> None:
        self.hub = hub
        self.name = name
        self.handler_class = handler_class
        self.is_tapped = handler_class._taps_outgoing
        self.family = family  # a namespace of a family is forgotten with its last client
        self.members: dict[str, Member] = {}  # by id
        self.rooms: dict[str, dict[Member, None]] = {}  # no empty ones
        self.visitors = 0  # questions to other servers that are under way in it
        self.history: History | None = None
        dialect = next((dialect for dialect in hub.dialects.values() if dialect.recovers), None)
        if handler_class.recovery_window and dialect is not None:
            self.history = History(
                self, handler_class.recovery_window, dialect, hub.options.max_buffered_bytes
            )

    def add(self, member: Member) -> None:
        """Enter *member* into the tables, with the rooms in which it was before it was away."""
        self.members[member.id] = member
        known_as = member.session.dialect.client_id(member.session.sid, self.name)
        if known_as is not None:
            self.join(member, [known_as])
        for room in member.rooms:  # a client that has come back is in its rooms again
            self.rooms.setdefault(room, {})[member] = None

    def remove(self, member: Member) -> None:
        """Take *member* out of the tables; `member.rooms` still names its rooms, for `on_close`."""
        if self.members.get(member.id) is member:
            del self.members[member.id]
            for room in member.rooms:
                self._leave(member, room)
            self.hub.forget_unused(self)

    def join(self, member: Member, rooms: Iterable[str]) -> None:
        """Put *member* into *rooms*.

        Raises `Disconnected` for a member that has gone, `SocketIOError` beyond `max_rooms`.
        """
        if member.id not in self.members:
            raise Disconnected("a client that has gone joins no rooms")
        joined = set(member.rooms).union(rooms) - {member.id}
        limit = self.handler_class.max_rooms
        if len(joined) > limit:
            raise SocketIOError(f"more than max_rooms = {limit} rooms for one client")
        for room in joined - member.rooms:
            self.rooms.setdefault(room, {})[member] = None
        member.rooms = joined

    def leave(self, member: Member, rooms: Iterable[str]) -> None:
        """Take *member* out of *rooms*; a member that has gone keeps them, for `on_close`."""
        left = member.rooms & set(rooms)
        if left and member.id in self.members:
            member.rooms = member.rooms - left
            for room in left:
                self._leave(member, room)

    def _leave(self, member: Member, room: str) -> None:
        inside = self.rooms[room]
        del inside[member]
        if not inside:
            del self.rooms[room]

    def has_room(self, name: str) -> bool:
        """Tell whether anybody is in the room *name*, which may be a member's id."""
        return name in self.rooms or name in self.members

    def select(self, target: Target) -> list[Member]:
        """Return the members that *target* means, each once."""
        if not target.rooms:
            chosen = dict.fromkeys(self.members.values())
        else:
            chosen = {}
            for room in target.rooms:
                chosen.update(self._inside(room))
        for room in target.excluded:
            for member in self._inside(room):
                chosen.pop(member, None)
        return list(chosen)

    def room_sizes(self) -> dict[str, int]:
        """Count the members of each room, but for rooms that are the id or the sid of a client."""
        ids = set(self.members)
        for member in list(self.members.values()):
            session = member.session
            ids.add(session.dialect.client_id(session.sid, self.name) or member.id)
        return {name: len(inside) for name, inside in list(self.rooms.items()) if name not in ids}

    def _inside(self, room: str) -> dict[Member, None]:
        inside = self.rooms.get(room, {})
        if room in self.members:
            return {self.members[room]: None, **inside}
        return inside

    def send_to(self, packet: Packet, target: Target) -> None:
        """Send an EVENT to the members that *target* means, encoded once for each dialect."""
        history, volatile = self.history, target.volatile
        if history is not None:
            if not volatile:
                packet.offset = f"{history.tag}{history.number + 1}"
            elif isinstance(packet.data[-1], str):
                # A client takes the last text of any event for an offset: give it the one it has.
                packet.offset = f"{history.tag}{history.number}"
        encoded: dict[Dialect, Outgoing | None] = {}
        members, reached = self.select(target), []
        for member in members:
            session = member.session
            dialect = session.dialect
            if dialect not in encoded:
                encoded[dialect] = self._encode(dialect, packet)
            outgoing = encoded[dialect]
            if outgoing is None:
                continue
            if volatile and (member.after_connect is not None or not session.takes_volatile):
                continue
            try:
                member.enqueue(outgoing)
                reached.append(member)
                if volatile and history is not None and packet.offset and member.recovery:
                    # The offset tells the client that it has everything up to this number.
                    member.recovery.sent_number = history.number
            except Exception:
                # The event must still reach the other members.
                log.exception("session %s could not be sent to, and is ended", session)
                session.end("forced close")
        if history is not None and not volatile:
            name = history.dialect.name
            alike = (sent for dialect, sent in encoded.items() if dialect.name == name)
            known = next(alike, None) or self._encode(history.dialect, packet)
            if known is not None:
                history.record(known.packets, target, reached)
        self.hub.messages_sent += len(reached)
        if self.is_tapped:
            for member in members:
                member.tap(packet)

    def _encode(self, dialect: Dialect, packet: Packet) -> Outgoing | None:
        try:
            return Outgoing(dialect, dialect.encode_packet(packet))
        except NotSupported as error:
            warn_once(
                "unsupported", "not sent to %s clients in a broadcast: %s", dialect.name, error
            )
            return None


class Family:
    """Namespaces that are made when a client asks for one: all whose names *matcher* admits.

    *matcher* is a pattern for the whole name, or a function of the name and the client's auth,
    which may be a coroutine function.
    """

    def __init__(
        self,
        matcher: re.Pattern[str] | Callable[[str, Any], Any],
        handler_class: type[SocketIOHandler],
    ) -> None:
        self.matcher = matcher
        self.handler_class = handler_class

    def has(self, name: str) -> bool:
        """Tell whether the family may have a namespace *name*, whichever client asks for it."""
        return not isinstance(self.matcher, re.Pattern) or bool(self.matcher.fullmatch(name))

    def admits(self, session: Session, name: str, auth: Any) -> Any:
        """Tell whether the client of *session* may be in *name*, at once or when awaited."""
        if isinstance(self.matcher, re.Pattern):
            return self.has(name)
        return self.step(session, self.matcher, name, {} if auth is None else auth)

    def step(self, session: Session, work: Callable[..., Any], *args: Any) -> Any:
        """Call the matcher, or run a step of its coroutine, in the context of the client."""
        return watched((str, self), enter, session, work, *args)

    def __str__(self) -> str:
        matcher = getattr(self.matcher, "__qualname__", None) or repr(self.matcher)
        return f"the matcher {matcher} of {self.handler_class.__name__}'s namespaces"


@dataclasses.dataclass(slots=True)
class Record:
    """An event that a namespace has sent: its number, its bytes, and whom it was for."""

    number: int
    outgoing: Outgoing
    target: Target
    when: float

    def is_for(self, identity: Set[str]) -> bool:
        """Tell whether the event was meant for a client with this *identity*: its id and rooms."""
        rooms, excluded = self.target.rooms, self.target.excluded
        return excluded.isdisjoint(identity) and not (rooms and rooms.isdisjoint(identity))


class Recovery:
    """The way back of one client: kept while the client is here, and for a window after that."""

    __slots__ = (
        "pid", "first_number", "sent_number", "left_number", "left_at",
        "member", "id", "rooms", "user_session",
    )  # fmt: skip

    def __init__(self, member: Member, number: int) -> None:
        self.pid = random_text(SID_BYTES)  # a secret, which the id is not
        self.first_number = number  # the newest event when the client came
        self.sent_number = number  # the newest event that was sent to it
        self.left_number = number  # the newest event when it left
        self.left_at = math.inf
        self.member: Member | None = member
        self.id = member.id
        self.rooms: set[str] | frozenset[str] = NO_ROOMS
        self.user_session: UserSession | None = None


class History:
    """The events that a namespace has sent within a *window* of seconds, and the ways back to them.

    Clients take an event's last argument for its offset, if it is a string, and come back with it.
    Our offsets begin with a random tag: an "offset" without it is a text of the application. A
    volatile event has no number; if it ends with a string, though only its name, it brings the
    offset of the event before it.  [SIO "Connection state recovery"]
    """

    def __init__(
        self, namespace: Namespace, window: float, dialect: Dialect, max_buffered_bytes: int
    ) -> None:
        self.namespace = namespace
        self.window = window
        self.dialect = dialect  # the dialect of clients that can come back
        self.max_bytes = 4 * max_buffered_bytes
        # What a client has missed fills half an outbox at most, or it would be cut off.
        self.max_missed_bytes = max_buffered_bytes // 2
        self.records: collections.deque[Record] = collections.deque()
        self.bytes = 0
        self.number = 0  # the number of the newest event
        self.tag = random_text(3)
        self.here: dict[str, Recovery] = {}  # by pid
        self.gone: dict[str, Recovery] = {}  # by pid, in the order of leaving

    def record(self, packets: list[EnginePacket], target: Target, members: list[Member]) -> None:
        """Keep an event that was sent to *members*, for clients of *target* that are away."""
        if self.is_empty:
            self.namespace.hub.clock.arm(self.window_over, self.window)
        self.number += 1
        when = self.namespace.hub.clock.now()
        record = Record(self.number, Outgoing(self.dialect, packets), target, when)
        self.records.append(record)
        self.bytes += record.outgoing.size
        for member in members:
            if member.recovery is not None:
                member.recovery.sent_number = self.number
        self.trim()

    def window_over(self) -> None:
        """Forget what has become too old, and the namespace if only that has kept it."""
        self.trim()
        if not self.is_empty:
            oldest = [record.when for record in itertools.islice(self.records, 1)]
            oldest += [gone.left_at for gone in itertools.islice(self.gone.values(), 1)]
            self.namespace.hub.clock.arm_at(self.window_over, min(oldest) + self.window)
        self.namespace.hub.forget_unused(self.namespace)

    def trim(self) -> None:
        """Forget events and clients that are too old, or too many."""
        now = self.namespace.hub.clock.now()
        while self.records and (
            self.records[0].when + self.window < now or self.bytes > self.max_bytes
        ):
            self.bytes -= self.records.popleft().outgoing.size
        while self.gone:
            first = next(iter(self.gone.values()))
            if first.left_at + self.window >= now and len(self.gone) <= MAX_GONE:
                break
            del self.gone[first.pid]

    def welcome(self, member: Member) -> None:
        """Give *member* a way back; if it has come back, give it its id, its rooms and its data."""
        auth = member.auth or {}
        recovery = self._find(auth.get("pid"))
        missed = None if recovery is None else self._missed(recovery, auth.get("offset"))
        if recovery is None or missed is None:
            recovery = Recovery(member, self.number)
        else:
            member.id, member.rooms, member.recovered = recovery.id, recovery.rooms, True
            member.before_connect = [record.outgoing for record in missed]
            member.session.restore_data(recovery.user_session)
            if missed:
                recovery.sent_number = missed[-1].number
        member.recovery = self.here[recovery.pid] = recovery
        recovery.member = member

    def _find(self, pid: Any) -> Recovery | None:
        """Return the way back with *pid*, if a client has left with it.

        If its old connection still seems alive, we have not noticed the loss yet: end it now.
        """
        if not isinstance(pid, str):
            return None
        here = self.here.get(pid)
        if here is not None and here.member is not None:
            here.member.session.end("transport close")
        self.trim()
        return self.gone.pop(pid, None)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is neither an event nor a client to keep."""
        return not self.records and not self.gone

    def _missed(self, recovery: Recovery, offset: Any) -> list[Record] | None:
        """Return the events that a client has missed since *offset*; None if some are forgotten.

        A client without an offset has received nothing of all that was sent to it.
        """
        number = recovery.first_number if offset is None else self._number(offset)
        if number is None or number > recovery.sent_number:
            return None
        # A client that has got a new pid keeps the offset that it has from its old one.
        number = max(number, recovery.first_number)
        first = (recovery.left_number if number == recovery.sent_number else number) + 1
        oldest = self.records[0].number if self.records else self.number + 1
        if first < oldest:
            return None
        identity = {recovery.id, *recovery.rooms}
        missed = [
            record
            for record in itertools.islice(self.records, first - oldest, None)
            if record.is_for(identity)
        ]
        size = sum([record.outgoing.size for record in missed])
        return missed if size <= self.max_missed_bytes else None

    def _number(self, offset: Any) -> int | None:
        """Return the number in *offset*; None for a text that is none of our offsets."""
        if not isinstance(offset, str) or not offset.startswith(self.tag):
            return None
        try:
            return wire_int(offset[len(self.tag) :], MAX_ACK_DIGITS)
        except PayloadError:
            return None

    def member_ended(self, member: Member, reason: str) -> None:
        """Keep the way back of *member*, which has ended, for a window; not after any *reason*."""
        recovery = member.recovery
        if recovery is None or self.here.pop(recovery.pid, None) is None or reason in UNRECOVERABLE:
            return
        recovery.member, recovery.rooms = None, member.rooms
        recovery.user_session = member.session.user_session
        if self.is_empty:
            self.namespace.hub.clock.arm(self.window_over, self.window)
        recovery.left_number, recovery.left_at = self.number, self.namespace.hub.clock.now()
        self.gone[recovery.pid] = recovery


@dataclasses.dataclass(slots=True)
class BroadcastAcks:
    """The result of a `call` on many clients, perhaps of several servers."""

    #: The acks by client id, of clients at this server and at other servers of this kind.
    answers: dict[str, Any]
    #: The ids of the clients that did not answer, at this server; at other workers, of those that left.
    missing: set[str]
    #: The acks of clients at servers of node, which does not tell their ids.
    unnamed: list[Any] = dataclasses.field(default_factory=list)
    expected: int = 0  #: the number of clients that were asked, on all servers

    def add(self, other: BroadcastAcks) -> None:
        """Add the result of another server."""
        self.answers.update(other.answers)
        self.missing.update(other.missing)
        self.unnamed.extend(other.unnamed)
        self.expected += other.expected


#: The place of a verb: the name of a namespace, or a family for all its namespaces.
Scope = str | Family

#: The headers that prove the identity of a client; other servers are not told them.
SECRET_HEADERS = frozenset(["cookie", "authorization", "proxy-authorization"])


def describe(handler: SocketIOHandler) -> dict[str, Any]:
    """Describe a client as node's `fetchSockets` does, but without its credentials."""
    request, session = handler.request, handler._member.session
    issued = time.time() - (session.hub.clock.now() - session.born)
    headers = {
        name.lower(): value
        for name, value in request.headers.get_all()
        if name.lower() not in SECRET_HEADERS
    }
    arguments = request.query_arguments.items()
    data = vars(handler).get("_data", {})
    try:
        # A copy, because the application goes on to change its own.
        data = session.hub.json.decode(encode_without_attachments(session.hub.json, data))
    except (TypeError, ValueError):
        warn_once(
            "data",
            "%s.data cannot be JSON, and is not shown to other servers",
            type(handler).__name__,
        )
        data = {}
    return {
        "id": handler.id,
        "rooms": sorted(handler.rooms),
        "data": data,
        "handshake": {
            "headers": headers,
            "time": time.strftime(
                "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", time.gmtime(issued)
            ),
            "address": request.remote_ip,
            "xdomain": "origin" in headers,
            "secure": request.protocol == "https",
            "issued": round(issued * 1000),
            "url": request.uri,
            "query": {name: values[-1].decode("latin-1") for name, values in arguments if values},
            "auth": {},
        },
    }


# -- 10. Hub ---------------------------------------------------------------------------
# A hub is what one call of `routes` serves: the tables of its sessions and namespaces, its options,
# and their clock. It makes sessions and finds them, says who may come, and says goodbye to all. Its
# `verbs` do what operators ask for: `Here` reaches the clients of this process. A hub in a cluster,
# or in a crew of workers, has an `Everywhere` (11) in its place.


class Here:
    """The verbs behind every operator, for the clients of this process.

    Arguments are values, never functions, so that a cluster can send them to other servers.
    All verbs are called on the hub's loop.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def emit(self, scope: Scope, target: Target, data: list[Any]) -> None:
        """Send an event; *data* is its name and its arguments."""
        for namespace in self.hub.namespaces_at(scope):
            namespace.send_to(Packet(EVENT, namespace.name, data), target)

    def ask(
        self, scope: Scope, target: Target, data: list[Any], seconds: float | None
    ) -> tuple[dict[str, Ack], set[str]]:
        """Send an event that wants acks within *seconds*.

        Returns the acks to wait for by client id, and the ids of clients that cannot give one.
        """
        # Data that is not JSON raises here, before it reaches any client.
        data = EncodedData.of(self.hub.json, data)
        acks: dict[str, Ack] = {}
        silent = set()
        for member in self._select(scope, target):
            try:
                acks[member.id] = member.ask(Packet(EVENT, member.namespace.name, data), seconds)
            except (NotSupported, Disconnected):
                silent.add(member.id)
        return acks, silent

    async def call(
        self, scope: Scope, target: Target, data: list[Any], seconds: float | None
    ) -> BroadcastAcks:
        """Send an event and gather its acks, until all have come or *seconds* are over."""
        acks, missing = self.ask(scope, target, data, seconds)
        try:
            if acks:
                await asyncio.wait(acks.values())
        finally:
            # Acks may be left if the caller was cancelled.
            for ack in acks.values():
                ack.cancel()
        answers = {}
        for id, ack in acks.items():
            if ack.exception():
                missing.add(id)
            else:
                answers[id] = unwrap(ack.result())
        return BroadcastAcks(answers, missing, expected=len(answers) + len(missing))

    def join(self, scope: Scope, target: Target, rooms: Collection[str]) -> None:
        """Put the members into *rooms*; an error of one member is raised after all have joined."""
        failures = []
        for member in self._select(scope, target):
            try:
                member.namespace.join(member, rooms)
            except SocketIOError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def leave(self, scope: Scope, target: Target, rooms: Collection[str]) -> None:
        """Take the members out of *rooms*."""
        for member in self._select(scope, target):
            member.namespace.leave(member, rooms)

    def disconnect(self, scope: Scope, target: Target, close: bool) -> None:
        """Disconnect the members; with *close* end their connections."""
        for member in self._select(scope, target):
            member.handler.disconnect(close)

    def find(self, scope: Scope, target: Target) -> list[SocketIOHandler]:
        """Return the members' handlers, those in `on_open` among them: `emit` reaches them too."""
        return [member.handler for member in self._select(scope, target)]

    def room_sizes(self, scope: Scope) -> collections.Counter[str]:
        """Count the members of each room that is nobody's id."""
        sizes: collections.Counter[str] = collections.Counter()
        for namespace in self.hub.namespaces_at(scope):
            sizes.update(namespace.room_sizes())
        return sizes

    def describe(self, scope: Scope, target: Target) -> list[dict[str, Any]]:
        """Return `id`, `rooms`, `data` and `handshake` of the members, as node has them.

        Credentials stay here: cookies, authorization and `auth`.
        """
        return [describe(handler) for handler in self.find(scope, target)]

    async def fetch(self, scope: Scope, target: Target) -> list[dict[str, Any]]:
        """Return what `describe` does; in a cluster, of the clients of all servers."""
        return self.describe(scope, target)

    def local_rooms(self, scope: Scope) -> set[str]:
        """Return the names of the rooms of this server, ids among them."""
        namespaces = self.hub.namespaces_at(scope)
        return {name for one in namespaces for name in (*one.rooms, *one.members)}

    async def all_rooms(self, scope: Scope) -> set[str]:
        """Return what `local_rooms` does; in a cluster, of all servers."""
        return self.local_rooms(scope)

    async def server_count(self) -> int:
        """Return how many servers the cluster has, this one included."""
        return 1

    def server_side_emit(self, scope: Scope, data: list[Any]) -> None:
        """Send an event to the other servers; a server alone has none."""

    async def server_side_call(self, scope: Scope, data: list[Any]) -> list[Any]:
        """Send an event to the other servers and return what they answer."""
        return []

    def opened(self, namespace: Namespace) -> None:
        """Hear that a namespace has come to be: in a cluster, other servers are told."""

    def closed(self, namespace: Namespace) -> None:
        """Hear that a namespace is forgotten."""

    async def leave_cluster(self) -> None:
        """Leave the cluster: other servers count this one no longer, and are not heard any more.

        What is still emitted reaches their clients, until `close`.
        """

    async def close(self) -> None:
        """Leave the cluster; return when what was emitted has left."""

    def _select(self, scope: Scope, target: Target) -> list[Member]:
        """Return the members that *target* means, each of which has its handler."""
        chosen = [one for at in self.hub.namespaces_at(scope) for one in at.select(target)]
        return [member for member in chosen if member.handler is not None]


class Hub:
    """The sessions and namespaces of one `routes()`, with their options and their clock.

    The first request binds it to its loop.
    """

    def __init__(
        self,
        options: type[SocketIOHandler],
        namespaces: Mapping[Any, type[SocketIOHandler]],
        kwargs: dict[str, Any],
    ) -> None:
        self.options = options
        self.json = STRICT_JSON
        if options.json is not None:
            self.json = ForeignJSON(options.json, options.json_default)
        elif options.json_default is not None:
            self.json = StrictJSON(options.json_default)
        if options.cluster is not None:
            check_cluster_url(options.cluster)
        elif options.python_socketio_channel is not None:
            raise ValueError(
                f"{options.__name__}.python_socketio_channel needs the option cluster: "
                "the URL of Redis"
            )
        self.dialects = resolve_dialects(options, self.json)
        self.verbs = Here(self)
        #: The listeners to events of other servers, by namespace or family and by the event's name.
        self.listeners: dict[Scope, dict[str, list[Callable[..., Any]]]] = {}
        if options.id_is_sid and any(dialect.shows_sid for dialect in self.dialects.values()):
            warn_once(
                "id_is_sid",
                "%s.id_is_sid: the id of a client of socket.io 1 or 2 is its secret; send it "
                "to nobody who may not speak for that client",
                options.__name__,
            )
        #: The classes of the namespaces that are always there, by name.
        self.classes: dict[str, type[SocketIOHandler]] = {}
        self.families: list[Family] = []
        # "/" is served last: if its class serves other namespaces too, "/" is its home.
        served = {**namespaces, "/": namespaces.get("/", options)}
        self.kwargs = kwargs_by_class(set(served.values()), kwargs)
        for key, handler_class in served.items():
            self._serve_at(key, handler_class)
        timeouts = [
            options.ping_interval, options.ping_timeout, options.connect_timeout,
            options.upgrade_timeout, options.poll_duration, options.close_timeout,
        ]  # fmt: skip
        self.sweep_seconds = min(1.0, min(timeouts) / 4)
        self.application: tornado.web.Application | None = None
        #: The workers that share our port, if there are several.
        self.crew: Crew | None = None
        #: The application's own log of requests; without one, requests of clients are not logged.
        self.log_function: Callable[[Any], None] | None = None
        #: Which of its application's hubs this is, in every worker; -1 where a router hides its door.
        self.number = -1
        self.transports: frozenset[str] = frozenset(TRANSPORTS)
        self._reset()

    def _serve_at(self, key: Any, handler_class: type[SocketIOHandler]) -> None:
        """Serve the namespace or family *key* by *handler_class*.

        Raises ValueError for a class with options or methods that concern whole connections.
        """
        options = [name for name, option in OPTIONS.items() if not option.per_class]
        for name in (*options, *REQUEST_HOOKS):
            values = [getattr(cls, name) for cls in (handler_class, self.options, SocketIOHandler)]
            # A class method is another object on each class.
            theirs, *known = [getattr(value, "__func__", value) for value in values]
            if theirs not in known:
                raise ValueError(
                    f"{handler_class.__name__}.{name} would never be asked: it concerns whole "
                    f"connections; set it on {self.options.__name__}, whose routes() is called"
                )
        place = key
        if isinstance(key, re.Pattern) or callable(key):
            place = Family(key, handler_class)
            self.families.append(place)
        elif not key.startswith("/") or re.search(r"[,*\\]", key):
            raise ValueError(
                f"namespace {key!r}: a name starts with a slash and holds no comma; "
                "re.compile(..) stands for many names"
            )
        else:
            self.classes[key] = handler_class
        # `io` of the class reaches this place, beside the places where other hubs serve it.
        handler_class._home = (self, place)
        if "_homes" not in vars(handler_class):
            handler_class._homes = weakref.WeakKeyDictionary()
        handler_class._homes[self] = place

    def _reset(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.namespaces = {
            name: Namespace(self, name, handler_class)
            for name, handler_class in self.classes.items()
        }
        #: The connections and answers that are not finished: `close` waits for them.
        self.connections: set[TakenOver | Answer] = set()
        self.clock = Clock(self.sweep_seconds, self._deadline_failed)
        self.messages_received = self.messages_sent = self.bytes_received = self.bytes_sent = 0
        self.closing = False
        self.ended = asyncio.Event()

    @property
    def cluster(self) -> tuple[Any, Any] | None:
        """The cluster to which this hub belongs now, by URL and key; None if it belongs to none.

        Where the workers of a crew are the cluster, it is known by their folder and our number.
        """
        if not self.clock.is_bound() or self.closing:
            return None
        if self.options.cluster is not None:
            return self.options.cluster, self.options.cluster_key
        return None if self.crew is None else (self.crew.folder, self.number)

    def leave_to_parent(self) -> None:
        """Write to no session any more: in a forked child their sockets are the parent's."""
        self.clock.leave_to_parent()
        # Transports that were collected would reach into the parent's loop: keep the tables.
        kept_for_parents.append(
            (self.sessions, self.namespaces, self.connections, self.clock, self.verbs)
        )
        self.sessions = self.namespaces = ParentsTable()

    def bind(self, application: tornado.web.Application | None) -> None:
        """Serve *application* on the loop that runs; a new loop, as in tests, forgets all sessions.

        The application may follow: `io.start()` joins a cluster before there is a request.
        """
        self._reset()
        self.clock.bind(asyncio.get_running_loop())
        parents_own.add(self)
        self.read_buffer = bytearray(READ_SIZE)
        self.read_view = memoryview(self.read_buffer)
        self.application = None
        if application is not None:
            self.serve(application)
        self.join_cluster()

    def join_cluster(self) -> None:
        """Join the cluster that the option names, or our crew, with all namespaces that there are."""
        if self.options.cluster is not None:
            bus = make_bus(self.options.cluster, self)
            # The uid is made after a fork: two servers of one uid would ignore each other.
            self.verbs = Everywhere(self, bus, NodeWords(self.json, random_id()))
        elif self.crew is not None:
            words = WorkerWords(self.json, self.crew.letter)
            self.verbs = Everywhere(self, LineBus(self, self.crew), words)
        else:
            self.verbs = Here(self)
        for namespace in self.namespaces.values():
            self.verbs.opened(namespace)

    def join_crew(self, crew: Crew | None) -> None:
        """Belong to the workers of *crew*; they are our cluster where the option names no other."""
        if crew is not None and crew is not self.crew:
            self.crew = crew
            if self.options.cluster is None:
                self.join_cluster()

    def serve(self, application: tornado.web.Application) -> None:
        """Note *application*, whose requests this hub serves."""
        self.application = application
        self.log_function = application.settings.get("log_function")
        if type(application).log_request is not tornado.web.Application.log_request:
            self.log_function = application.log_request
        self.transports = enabled_transports(application)
        application_hubs.setdefault(application, weakref.WeakSet()).add(self)

    def _deadline_failed(self, owner: object) -> None:
        """End the client whose deadline has failed."""
        session = owner.session if isinstance(owner, Member) else owner
        if isinstance(session, Session):
            session.end("forced close")

    # Sessions.

    def new_session(
        self,
        request: Request,
        http_request: tornado.httputil.HTTPServerRequest,
        context: contextvars.Context,
    ) -> Session:
        """Make the session of a client that shakes hands, and put it into the table."""
        # The session keeps its request, which must not keep a dead connection.
        http_request.connection = http_request.server_connection = None
        session = Session(self, request, http_request, context)
        self.sessions[session.sid] = session
        return session

    def new_sid(self) -> str:
        """Return a random sid that begins with `sid_prefix` and the letter of this worker."""
        start = self.options.sid_prefix + (ALONE if self.crew is None else self.crew.letter)
        return start + random_text(SID_BYTES)[len(start) :]

    def line_for(self, sid: str) -> Line | None:
        """Return the line to the other worker that a request with *sid* is for; None if it is for us.

        While we say goodbye, any other worker may have the requests of those who have no sid yet.
        """
        if self.crew is None:
            return None
        if not sid and self.closing:
            return next(iter(self.crew.lines.values()), None)
        prefix = self.options.sid_prefix
        letter = sid[len(prefix) : len(prefix) + 1] if sid.startswith(prefix) else ""
        return self.crew.lines.get(letter)

    def session(self, sid: str) -> Session | None:
        """Return the living session *sid*; a client that is too late is not served once more."""
        session = self.sessions.get(sid)
        if session is None:
            return None
        self.clock.meet(session.heartbeat_due, session.return_over, session.connect_over)
        return session if session.life is not CLOSED else None

    def forget(self, session: Session) -> None:
        """Take *session*, which has ended, out of the table; a `close` may wait for this."""
        self.sessions.pop(session.sid, None)
        self.check_if_empty()

    def check_if_empty(self) -> None:
        """Let a `close` that waits for the clients go on, if no client is left."""
        if self.closing and not self.sessions and not self.connections:
            self.ended.set()

    def transports_after(self, transport: str, dialect: Dialect) -> list[str]:
        """Return the transports that a session may go to from *transport*, or begin with ("")."""
        if not transport:
            return [name for name in TRANSPORTS if name in self.transports & dialect.transports]
        allowed = self.options.allow_upgrades and WEBSOCKET in self.transports
        return [WEBSOCKET] if allowed and transport in POLLING else []

    # Namespaces.

    def find_namespace(
        self, session: Session, name: str, auth: Any
    ) -> Namespace | Coroutine[Any, Any, Namespace | None] | None:
        """Find the namespace *name* for a client with *auth*; a family is asked each time.

        Returns None if the client may not have it. If the matcher of a family is a coroutine
        function, a coroutine of the answer is returned.
        """
        if name in self.classes:
            return self.namespaces[name]
        # A client of 0.9 may send a name without a slash.
        if len(name) > MAX_NAMESPACE_NAME or not name.startswith("/"):
            return None
        return self._ask_families(iter(self.families), session, name, auth)

    def _ask_families(
        self, families: Iterator[Family], session: Session, name: str, auth: Any
    ) -> Namespace | Coroutine[Any, Any, Namespace | None] | None:
        for family in families:
            try:
                admitted = family.admits(session, name, auth)
                admitted = admitted if is_awaitable(admitted) else decided(admitted)
            except (Exception, asyncio.CancelledError) as error:
                log.error("%s failed for %.40r", family, name, exc_info=error)
                return None
            if is_awaitable(admitted):
                return self._ask_on(family, admitted, families, session, name, auth)
            if admitted:
                return self._namespace_of(family, name)
        return None

    async def _ask_on(
        self,
        family: Family,
        admitted: Awaitable[Any],
        families: Iterator[Family],
        session: Session,
        name: str,
        auth: Any,
    ) -> Namespace | None:
        try:
            if decided(await in_steps(functools.partial(family.step, session), admitted)):
                return self._namespace_of(family, name)
        except Exception as error:
            log.error("%s failed for %.40r", family, name, exc_info=error)
            return None
        found = self._ask_families(families, session, name, auth)
        return await found if isinstance(found, Coroutine) else found

    def _namespace_of(self, family: Family, name: str) -> Namespace:
        if name not in self.namespaces:
            self.namespaces[name] = Namespace(self, name, family.handler_class, family)
            self.verbs.opened(self.namespaces[name])
        return self.namespaces[name]

    def forget_unused(self, namespace: Namespace) -> None:
        """Forget *namespace* if it is of a family and has no client, nor any that may come back."""
        history = namespace.history
        forgettable = (
            history is None or history.is_empty or len(self.namespaces) > MAX_KEPT_NAMESPACES
        )
        unused = not namespace.members and not namespace.visitors and forgettable
        known = self.namespaces.get(namespace.name) is namespace
        if known and unused and namespace.family is not None:
            del self.namespaces[namespace.name]
            self.verbs.closed(namespace)

    def find_or_make(self, name: str) -> Namespace:
        """Find a namespace that clients may be in, or make it; KeyError if it can have none."""
        if name in self.namespaces:
            return self.namespaces[name]
        for family in self.families:
            if family.has(name):
                return self._namespace_of(family, name)
        raise KeyError(name)

    def namespaces_at(self, place: Scope) -> list[Namespace]:
        """Return the namespaces that are now at *place*: the one of a name, or all of a family."""
        if isinstance(place, str):
            return [self.namespaces[place]] if place in self.namespaces else []
        return [namespace for namespace in self.namespaces.values() if namespace.family is place]

    async def tell_listeners(self, name: str, event: str, args: list[Any]) -> Any:
        """Call the listeners that `io.on` knows for *event*; return the answer of the first."""
        answers = []
        namespace = self.namespaces.get(name)
        places: list[Scope] = [name]
        if namespace is not None and namespace.family is not None:
            places.append(namespace.family)
        for listener in [one for at in places for one in self.listeners.get(at, {}).get(event, ())]:
            begun = monotonic()
            try:
                answer = self.clock.context.copy().run(listener, *args)
                warn_if_blocked(begun, "a listener of the event {!r:.40}".format, event)
                answers.append(await answer if is_awaitable(answer) else answer)
            except Exception as error:
                where = getattr(listener, "__qualname__", listener)
                log.error("%s, listener of %.40r, failed", where, event, exc_info=error)
        return answers[0] if answers else None

    def may_have(self, name: str) -> bool:
        """Tell whether a client could ever be in a namespace of this name."""
        return name in self.classes or any(family.has(name) for family in self.families)

    # Handlers.

    def make_handler(self, member: Member) -> SocketIOHandler:
        """Make the application's object for *member*, by Tornado's own constructor."""
        assert self.application is not None
        request = member.session.http_request
        # RequestHandler's constructor asks the connection to tell of its end.
        request.connection = types.SimpleNamespace(set_close_callback=id)
        try:
            handler_class = member.namespace.handler_class
            kwargs = self.kwargs[handler_class]
            handler: SocketIOHandler
            handler = handler_class.__new__(handler_class, self.application, request)
            # `initialize`, which the constructor calls, can do what `on_open` can.
            member.handler, handler._member = handler, member
            handler_class.__init__(handler, self.application, request, **kwargs)
        finally:
            request.connection = None
        # The object for templates takes 700 bytes and refers back to the handler; see `_make_ui`.
        handler.ui = None  # type: ignore[assignment]
        handler.path_args = list(request.path_args)
        handler.path_kwargs = dict(request.path_kwargs)
        return handler

    def admits(self, headers: Headers, handshake: Headers | None = None) -> bool:
        """Ask `origin_admitted`; nobody is admitted if the application's `allowed_origins` fails."""
        if "Origin" not in headers and "Sec-Fetch-Site" not in headers and "Referer" not in headers:
            return True  # no browser sent it
        try:
            allowed = self.options.allowed_origins
            if callable(allowed):
                # What the function sets in its context is nobody else's: several clients may share
                # the connection whose context this is.
                allowed = functools.partial(in_own_context, allowed)
            return origin_admitted(headers, allowed, self.xheaders, handshake)
        except Exception as error:
            log.error("%s.allowed_origins failed", self.options.__name__, exc_info=error)
            return False

    def refuse_origin(self, headers: Headers) -> NoReturn:
        """Refuse a request whose page is of an origin that is not allowed, and name the cure."""
        option = f"{self.options.__name__}.allowed_origins"
        why, cure = origin_refusal(headers, option, self.xheaders)
        raise Refused("Forbidden", FORBIDDEN, 403, "origin", why, cure)

    def tell_refusal(self, request: tornado.httputil.HTTPServerRequest, refused: Refused) -> None:
        """Log why *request* is refused, and tell the application."""
        # Mistakes with another fate have been logged by their session.
        if MISTAKES[refused.cause].fate is Fate.REFUSED:
            # No proxy is to blame during our own goodbye, nor for an unknown sid among workers, who
            # hand requests over: the session has ended, or its worker has.
            among_workers = self.crew is not None and not self.options.sid_prefix
            has_gone = among_workers and refused.cause == "unknown sid"
            cause = "turned away" if self.closing or has_gone else refused.cause
            blame(self.options, cause, refused.why, cure=refused.cure)
        try:
            answer = in_own_context(self.options.on_refused, request, refused.why)
            if is_awaitable(answer):
                raise TypeError("on_refused has returned a coroutine, which nobody awaits")
        except (Exception, asyncio.CancelledError):
            log.exception("%s.on_refused failed", self.options.__name__)

    @property
    def xheaders(self) -> bool:
        """Tell whether to believe X-Forwarded-Host, by SocketIOServer's option or a setting."""
        return self.application is not None and bool(self.application.settings.get("xheaders"))

    def stats(self) -> dict[str, Any]:
        """See `NamespaceIO.stats`."""
        clients: dict[str, dict[str, int]] = {}
        for session in self.sessions.values():
            # A client of 0.9 that has only shaken hands may never come.
            if not session.transport:
                continue
            by_transport = clients.setdefault(session.dialect.name, {})
            by_transport[session.transport] = by_transport.get(session.transport, 0) + 1
        return {
            "clients": clients,
            "messages_received": self.messages_received,
            "messages_sent": self.messages_sent,
            "bytes_received": self.bytes_received,
            "bytes_sent": self.bytes_sent,
            "buffered_bytes": sum([session.outbox_bytes for session in self.sessions.values()])
            + sum([connection.unsent_bytes for connection in self.connections]),
            "lag": self.clock.lag,
            "worker": 0 if self.crew is None else self.crew.number,
            "workers": self.clock.is_bound() + (0 if self.crew is None else len(self.crew.lines)),
        }

    def reopen(self) -> None:
        """Take clients again after a goodbye, for another server; a new loop binds us again."""
        if self.closing and self.clock.is_bound():
            self.join_cluster()
        self.closing = False
        self.ended = asyncio.Event()

    async def close(self) -> None:
        """Say goodbye to all clients, and wait until they have gone, or `CLOSE_GRACE` seconds."""
        if not self.clock.is_bound():
            return self.clock.check_process()
        self.closing = True
        verbs = self.verbs
        await verbs.leave_cluster()
        leaving = list(self.sessions.values())
        for session in leaving:
            session.close("server shutting down")
        self.check_if_empty()
        await asyncio.sleep(0)  # `on_close` of these clients begins: it may be a coroutine
        ended = asyncio.ensure_future(self.ended.wait())
        others = {task for task in self.clock.tasks if task is not asyncio.current_task()}
        await asyncio.wait([ended, *others], timeout=CLOSE_GRACE)
        ended.cancel()
        for session in leaving:
            session.end("server shutting down")
        # The `on_close` of these clients runs in the next turn of the loop.
        await asyncio.sleep(0)
        await verbs.close()


#: The hubs that an application's requests have bound, for SocketIOServer's goodbye.
application_hubs: weakref.WeakKeyDictionary[tornado.web.Application, weakref.WeakSet[Hub]] = (
    weakref.WeakKeyDictionary()
)


#: The crews of the workers that serve these applications here.
application_crews: weakref.WeakKeyDictionary[tornado.web.Application, Crew] = (
    weakref.WeakKeyDictionary()
)
#: What a forked child is not to use: the crews of this process, and the hubs that it has bound.
parents_own: weakref.WeakSet[Hub | Crew] = weakref.WeakSet()
#: The tables of the parent process, which a forked child keeps from garbage collection.
kept_for_parents: list[Any] = []


class ParentsTable(dict[str, Any]):
    """The tables of sessions and namespaces in a forked child; looking a client up there raises."""

    _refuse: Any = refuse_in_child
    __contains__ = __getitem__ = __iter__ = __len__ = get = values = items = pop = _refuse


def leave_all_to_parent() -> None:
    """Give up all sessions and crews, in a forked child, which is no foreman."""
    Clock.in_foreman = False
    for one in list(parents_own):
        one.leave_to_parent()


# Windows does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=leave_all_to_parent)


def resolve_dialects(options: type[SocketIOHandler], codec: StrictJSON) -> dict[str, Dialect]:
    """Return the dialects of `enabled_dialects`, names or objects, by their generation.

    They are as the options want them.
    """
    named: dict[str, Dialect] = {}
    for entry in options.enabled_dialects:
        dialect = entry if isinstance(entry, Dialect) else ALL_DIALECTS.get(str(entry))
        if dialect is None:
            raise ValueError(
                f"{options.__name__}.enabled_dialects: {entry!r} is none of {', '.join(ALL_DIALECTS)}"
            )
        named[dialect.name] = dialect.with_facts(
            json=codec, max_packets=options.max_packets, max_attachments=options.max_attachments
        )
    found: dict[str, Dialect] = {}
    for dialect in named.values():
        found[dialect.generation] = dialect.beside(found.get(dialect.generation))
    return found


def protocol_names(settings: Mapping[str, Any]) -> Collection[str]:
    """Return the names in the setting `enabled_protocols`, which may be a single one."""
    names = settings.get("enabled_protocols") or ()
    return (names,) if isinstance(names, str) else names


def enabled_transports(application: tornado.web.Application) -> frozenset[str]:
    """Read the setting `enabled_protocols`, where "polling" stands for both polling transports."""
    names = set(protocol_names(application.settings) or TRANSPORTS)
    unknown = names.difference(TRANSPORTS, ["polling"])
    if unknown:
        raise ValueError(
            f"enabled_protocols: {unknown.pop()!r} is none of {', '.join(TRANSPORTS)}, polling"
        )
    if "polling" in names:
        names |= POLLING
    return frozenset(names - {"polling"})


# -- 11. Cluster -----------------------------------------------------------------------
# Several servers that act as one. `Everywhere` has the verbs of `Here`: each acts in this
# process at once and is published for the others, in the words of node's Redis adapter
# (`@socket.io/redis-adapter`, the classic one), so that node servers and emitters of any
# language take part. `PythonChannel` speaks with python-socketio in its own words. Both stand
# on a bus of four verbs: publish, subscribe, unsubscribe, listeners. `RedisBus` joins servers
# of any machine; `LineBus` joins the workers of one, whose words are JSON; `MemoryBus` joins the
# hubs of one process, for tests. A message from the bus is checked before anything is done with
# it, and a bad one is dropped by itself: nothing that is published can end a server. What we
# publish is well-formed to the byte: one bad message would end every node server that hears it.

# Types of requests and responses. Node calls 0 to 5 SOCKETS, ALL_ROOMS, REMOTE_JOIN,
# REMOTE_LEAVE, REMOTE_DISCONNECT and REMOTE_FETCH.
SOCKETS, ALL_ROOMS, JOIN, LEAVE, DISCONNECT_ALL, FETCH, SERVER_SIDE_EMIT = range(7)
BROADCAST_WITH_ACKS, CLIENT_COUNT, CLIENT_ACK = 7, 8, 9
CLIENT_SILENT = 10  # a client will give no ack: workers say so, node has no word for it

UID_CHARACTERS = 6  # node's servers and requests have ids of this length
MAX_REQUEST_SECONDS = 3600.0  # a request of another server waits no longer for acks
MAX_KEPT_HEAD = 300  # bytes of an event's head that is decoded only once
MAX_PIPELINE = 1000  # messages that go to Redis in one write
COMMAND_SECONDS = 5.0  # Redis takes a connection, or answers, within this time

#: Bytes without which msgpack holds neither a timestamp nor a float that JSON lacks.
NOT_JSON = re.compile(
    rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff|\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]",
    re.DOTALL,
)


class ClusterTimeout(SocketIOError, TimeoutError):
    """Other servers did not answer in time; `partial` is what is known without them."""

    def __init__(self, message: str, partial: Any) -> None:
        super().__init__(message)
        self.partial = partial


@functools.cache
def cluster_package(name: str) -> Any:
    """Import a package that only a cluster needs; one ImportError names both of them."""
    try:
        package = importlib.import_module(name)
        if name == "redis" and package.VERSION < (5, 0, 1):
            raise ImportError(f"redis {package.__version__} is too old")
        return package
    except ImportError as error:
        raise ImportError(
            "the option `cluster` needs two packages: pip install 'redis>=5.0.1' msgpack"
        ) from error


# Messages. Their bytes are functions of values, so that tests can compare them with node's.


def pack(value: Any, codec: StrictJSON = STRICT_JSON) -> bytes:
    """Encode *value* as msgpack; what only *codec* can write, `Decimal` too, goes as its JSON."""
    packb = cluster_package("msgpack").packb
    try:
        packed: bytes = packb(value, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError):
        try:
            same = SAME_IN_MSGPACK - {int} | {float}
            packed = packb(_plain(value, codec, same), unicode_errors="surrogatepass")
        except RecursionError:
            raise ValueError("nested too deep to be sent") from None
    return packed


def unpack(body: bytes) -> Any:
    """Decode msgpack, or JSON where the first byte shows it: node's option `parser` allows both."""
    if body[:1] in (b"{", b"["):
        return decode_json(decode_text(body))
    try:
        value = cluster_package("msgpack").unpackb(
            body, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_decode_extension
        )
        return _as_json(value) if NOT_JSON.search(body) else value
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PayloadError("bad msgpack") from error


def _decode_extension(code: int, data: bytes) -> Any:
    """Decode extension 0 of adapters up to 7 and old emitters: a Date, undefined, or bytes."""
    if code != 0:
        raise PayloadError("unknown msgpack extension")
    if len(data) == 8:
        return iso_time(int.from_bytes(data, "big", signed=True))
    return None if data == b"\0" else bytes(data)


def _as_json(value: Any) -> Any:
    """Replace what JSON lacks, as node's clients see it: timestamps are texts, NaN is null."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, cluster_package("msgpack").Timestamp):
        return iso_time(value.seconds * 1000 + value.nanoseconds // 1_000_000)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class NodeWords:
    """The words of node's Redis adapter: events in msgpack; requests in JSON, unless bytes forbid.

    An event is [uid, packet, options]; further elements are of no meaning to us.
    """

    tells_silent = False  #: whether a response may say that a client gives no ack

    def __init__(self, codec: StrictJSON, uid: str) -> None:
        self.json = codec
        self.uid = uid  # the name of this server among the others
        self.own_start = b"\x93" + pack(uid)  # the msgpack of [uid, packet, options] begins so

    def encode_event(self, name: str, data: list[Any], target: Target) -> bytes:
        """Encode an event of the namespace *name*; raise as encoding JSON does."""
        return pack([self.uid, encode_packet_of(name, data), encode_target(target)], self.json)

    def decode_event(self, name: str, body: bytes) -> tuple[Target, list[Any]] | None:
        """Return the clients that an event is for, and its data.

        None for an event that is not for *name*, or is our own: Redis brings back what we publish.
        """
        if body.startswith(self.own_start):
            return None
        message = unpack(body)
        if not isinstance(message, list) or len(message) < 3:
            raise PayloadError("an event is a list of three")
        data = decode_packet_for(name, message[1])
        return None if data is None else (decode_target(message[2]), data)

    def encode_request(self, request: dict[str, Any]) -> bytes:
        """Encode a request or a response; raise as encoding JSON does."""
        # Node reads msgpack, too, but it ends the process of a Socket.IO 2 server.
        text, attachments = encode_with_attachments(self.json, request)
        return pack(request, self.json) if attachments else text.encode("ascii")

    def decode_request(self, body: bytes) -> Any:
        """Decode a request or a response, whose fields are still to be checked."""
        return unpack(body)


class WorkerWords:
    """The words between the workers of one machine: JSON with attachments, which needs no package.

    A message is a row of parts, each behind its length. A request or a response is its JSON and its
    attachments. An event has a head before these, which says whom it is for; its JSON is what the
    sender has written for its own clients, and goes to the clients of the others as it came.
    """

    tells_silent = True

    def __init__(self, codec: StrictJSON, uid: str) -> None:
        self.json = codec
        self.uid = uid

    def encode_event(self, name: str, data: list[Any], target: Target) -> bytes:
        text, attachments = encode_with_attachments(self.json, data)
        # StrictJSON writes a flat list of simple values in a third of the time of any other.
        head = [name, target.volatile, len(target.rooms), *target.rooms, *target.excluded]
        return join_parts(STRICT_JSON.encode(head).encode(), text.encode(), *attachments)

    def decode_event(self, name: str, body: bytes) -> tuple[Target, list[Any]] | None:
        parts = split_parts(body)
        if len(parts) < 2:
            raise PayloadError("an event has a head and data")
        head, text, *attachments = parts
        place, target = decode_head(head) if len(head) > MAX_KEPT_HEAD else known_head(head)
        if place != name:
            return None
        json_text = decode_ascii(text)
        data = decode_with_attachments(self.json, json_text, attachments)
        if decode_event_data(data)[0] != data[0]:
            raise PayloadError("an event's name is text")
        return target, EncodedData(data, json_text, attachments)

    def encode_request(self, request: dict[str, Any]) -> bytes:
        text, attachments = encode_with_attachments(self.json, request)
        check_placeholders(text, attachments)
        return join_parts(text.encode(), *attachments)

    def decode_request(self, body: bytes) -> Any:
        text, *attachments = split_parts(body)
        return decode_with_attachments(self.json, decode_ascii(text), attachments)


#: The form in which events, requests and responses travel on a bus.
Words = NodeWords | WorkerWords


def decode_head(head: bytes) -> tuple[str, Target]:
    """Return the namespace of an event between workers, and the clients there that it is for."""
    decoded = decode_json(decode_ascii(head))
    if not isinstance(decoded, list) or len(decoded) < 3:
        raise PayloadError("a head is a list of a name, a flag, a number, and rooms")
    place, volatile, count, *names = decoded
    if type(count) is not int or count < 0:
        raise PayloadError("a number of rooms")
    rooms, excluded = decode_names(names[:count]), decode_names(names[count:])
    return place, Target(rooms, excluded, volatile=bool(volatile), local=True)


#: `decode_head` for short heads: most events are for the same few rooms.
known_head = functools.lru_cache(maxsize=1000)(decode_head)


def join_parts(*parts: bytes) -> bytes:
    """Join *parts*, each behind its length in four bytes."""
    pieces: list[bytes] = []
    for part in parts:
        pieces += (len(part).to_bytes(4, "big"), part)
    return b"".join(pieces)


def split_parts(body: bytes) -> list[bytes]:
    """Return the parts, one or more, that `join_parts` has joined; PayloadError for other bytes."""
    parts: list[bytes] = []
    start, size = 4, len(body)
    while True:
        end = start + int.from_bytes(body[start - 4 : start], "big")
        if start > size or end > size:
            raise PayloadError("cut short")
        parts.append(body[start:end])
        if end == size:
            return parts
        start = end + 4


def decode_ascii(data: bytes) -> str:
    """Decode ASCII, as the JSON that leaves here is; PayloadError for anything else."""
    return decode_text(data, "ascii")


def encode_packet_of(namespace: str, data: list[Any]) -> dict[str, Any]:
    return {"type": 2, "data": data, "nsp": namespace}


def encode_selection(target: Target) -> dict[str, Any]:
    """Encode which clients a request is for."""
    return {"rooms": [*target.rooms], "except": [*target.excluded]}


def encode_target(target: Target, **flags: Any) -> dict[str, Any]:
    """Encode which clients an event is for, and how it travels."""
    if target.volatile:
        flags["volatile"] = True
    return {**encode_selection(target), "flags": flags}


def decode_packet_for(namespace: str, packet: Any) -> list[Any] | None:
    """Return the event's data, name first; None where it is for another namespace.

    Node passes on what it does not check, and its clients leave: types other than 2 (and 5,
    which servers of Socket.IO 2 and old emitters say for an event with bytes), and names that
    are reserved or no text.
    """
    if not isinstance(packet, dict):
        raise PayloadError("a packet is a map")
    if packet.get("nsp", "/") != namespace:
        return None
    if packet.get("type") not in (2, 5):
        raise PayloadError("no event")
    return decode_event_data(packet.get("data"))


def decode_event_data(data: Any) -> list[Any]:
    """Return *data* with the text of its name; PayloadError unless it is that of an event."""
    if not isinstance(data, list) or not data:
        raise PayloadError("no event")
    name = decode_name(data[0])
    if name in RESERVED_EVENTS:
        raise PayloadError("a reserved event")
    return [name, *data[1:]]


def decode_name(name: Any) -> str:
    """Return the text of an event's or a room's name: node's may be numbers."""
    if isinstance(name, float) and name.is_integer():
        name = int(name)
    if not isinstance(name, (str, int, float)) or isinstance(name, bool):
        raise PayloadError("a name is a text")
    return str(name)


def decode_names(names: Any) -> frozenset[str]:
    """Return a list of names; emitters leave it out, or say null or "" for an empty one."""
    if names is None or names == "":
        return NO_ROOMS
    if not isinstance(names, list):
        raise PayloadError("rooms are a list")
    return frozenset([decode_name(name) for name in names])


def decode_target(options: Any) -> Target:
    """Return whom a message is for; what it asks for is done in this process only."""
    if not isinstance(options, dict):
        raise PayloadError("options are a map")
    flags = options.get("flags")
    if flags is None or flags == "":
        flags = {}
    if not isinstance(flags, dict):
        raise PayloadError("flags are a map")
    rooms, excluded = decode_names(options.get("rooms")), decode_names(options.get("except"))
    return Target(rooms, excluded, volatile=bool(flags.get("volatile")), local=True)


def decode_timeout(options: Any, default: float) -> float:
    """Return the seconds for which a server waits for acks; they are bounded here."""
    ms = (options.get("flags") or {}).get("timeout")
    if isinstance(ms, bool) or not isinstance(ms, (int, float)) or not ms >= 0:
        return default
    return min(ms, MAX_REQUEST_SECONDS * 1000) / 1000


#: A function that takes a message: its channel, its body, and the name of the server that sent it,
#: which is empty where the bus cannot tell.
Receive = Callable[[str, bytes, str], None]


class Bus(Protocol):
    """A bus carries messages between servers; those of one server arrive in their order."""

    def publish(self, channel: str, body: bytes, volatile: bool = False) -> None:
        """Send *body* to all that have subscribed to *channel*; a volatile one never waits."""

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Have *receive* called for *channel*; for all that begin with it if it ends in a star."""

    def unsubscribe(self, channel: str) -> None: ...

    async def listeners(self, channel: str) -> list[str]:
        """Return the other servers that have subscribed to exactly *channel*, once the bus is there.

        Where the bus can only count them, their names are empty.
        """
        ...

    def tell_when_gone(self, gone: Callable[[str, str], None]) -> None:
        """Have *gone* called with a channel and the name of a server that listens there no longer.

        A bus that knows no names never calls it.
        """
        return

    async def left(self) -> None:
        """Return when others count this server on no channel that was unsubscribed, or in a second."""
        return

    async def close(self) -> None:
        """Send what waits to be sent, within a second, and end."""


class MemoryBus(Bus):
    """A bus for the hubs of one process: `cluster = "memory://name"`, for tests."""

    #: By URL and hub: a hub that begins again on a new loop leaves the bus of the old one.
    buses: ClassVar[dict[str, dict[Hub, MemoryBus]]] = {}

    def __init__(self, url: str, hub: Hub) -> None:
        self.hub = hub
        self.receivers: dict[str, Receive] = {}
        self.buses_here = self.buses.setdefault(url, {})
        self.buses_here[hub] = self

    def publish(self, channel: str, body: bytes, volatile: bool = False) -> None:
        for bus in self._others():
            bus.hub.clock.loop.call_soon_threadsafe(
                bus._deliver, channel, body, context=bus.hub.clock.context
            )

    def _others(self) -> list[MemoryBus]:
        for hub in [hub for hub in self.buses_here if hub.clock.is_over()]:
            del self.buses_here[hub]
        return [bus for bus in self.buses_here.values() if bus is not self]

    def _deliver(self, channel: str, body: bytes) -> None:
        for wanted, receive in list(self.receivers.items()):
            if wanted == channel or (wanted[-1] == "*" and channel.startswith(wanted[:-1])):
                receive(channel, body, "")

    def subscribe(self, channel: str, receive: Receive) -> None:
        self.receivers[channel] = receive

    def unsubscribe(self, channel: str) -> None:
        self.receivers.pop(channel, None)

    async def listeners(self, channel: str) -> list[str]:
        return ["" for bus in self._others() if channel in bus.receivers]

    async def close(self) -> None:
        self.receivers.clear()
        if self.buses_here.get(self.hub) is self:
            del self.buses_here[self.hub]


def redis_client(package: str, url: str, attempts: int = 1, **more: Any) -> Any:
    """Make a client of *package*, `redis` or `redis.asyncio`, for any form of *url* but memory.

    It connects when it is first used. ValueError if *url* cannot be read.
    """
    retry, redis = cluster_package(f"{package}.retry").Retry, cluster_package("redis")
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": COMMAND_SECONDS,
        "retry": retry(cluster_package("redis.backoff").NoBackoff(), attempts - 1),
        # Before 6.0, nothing is tried again without these.
        "retry_on_error": [redis.ConnectionError, redis.TimeoutError],
        **more,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    url = re.sub("^valkey", "redis", url)
    # redis-py lets the URL overrule what it is given: our choice of these is no matter of taste.
    ours = "|".join(["protocol", "decode_responses", "encoding", *more])
    url = re.sub(f"(?<=[?&])({ours})=[^&]*", "", url)
    if not url.startswith("redis+sentinel:"):
        return cluster_package(package).Redis.from_url(url, **options)
    # redis+sentinel://user:password@host:port,host:port/database/service
    parts = urllib.parse.urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    database, _, service = parts.path.strip("/").rpartition("/")
    sentinels = [urllib.parse.urlsplit(f"//{place}") for place in places.split(",")]
    sentinel = cluster_package(f"{package}.sentinel").Sentinel(
        [(one.hostname, one.port or 26379) for one in sentinels],
        sentinel_kwargs=options,
        **options,
        username=urllib.parse.unquote(user) or None,
        password=urllib.parse.unquote(password) or None,
        db=int(database or 0),
    )
    return sentinel.master_for(service or "mymaster")


def encode_publish(channel: bytes, body: bytes) -> bytes:
    """Encode one PUBLISH as Redis reads it: an array of three strings, each behind its length."""
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(channel),
        channel,
        len(body),
        body,
    )


class RedisBus(Bus):
    """A bus on Redis: one connection listens, one publishes what a turn of the loop gathered.

    No `emit` waits for Redis. While Redis is away, messages wait in a queue of *max_bytes*: the
    oldest are dropped first, and volatile ones do not wait. What was under way when a
    connection broke may have arrived, and is not sent again: nothing arrives twice. Whatever
    redis-py raises, a connection has broken.

                   connected and subscribed         the others are back too, or 3 s are over
        AWAY  ------------------------------>  SETTLING  ------------------------------> JOINED
         ^                                        |                                         |
         +----------------------------------------+-----------------------------------------+
                       a connection broke, or nothing was heard for 10 s
    """

    PING_SECONDS = 2.0  # between two signs of life of the listening connection
    SILENCE_SECONDS = 10.0  # without one, after which the connection is given up
    SETTLE_SECONDS = 3.0  # the others subscribe again meanwhile, and would not hear us before
    PAUSES = (0.05, 0.5)  # the first and the longest pause between two attempts to connect

    def __init__(self, url: str, hub: Hub) -> None:
        self.hub = hub
        self.max_bytes: int = hub.options.max_buffered_bytes
        self.client = redis_client("redis.asyncio", url)
        # This one waits for as long as nothing comes.
        self.listening_client = redis_client("redis.asyncio", url, socket_timeout=None)
        self.receivers: dict[str, Receive] = {}  # by channels and patterns as Redis knows them
        self.pubsub: Any = None  # while the listening connection lives
        self.pings = 0  # pings since the listening connection last brought anything
        self.confirmed: set[str] = set()  # channels to which Redis says that we have subscribed
        self.confirming = asyncio.Event()  # Redis has confirmed a change of these
        self.is_away = False  # a WARNING has said that Redis is away
        self.joined = asyncio.Event()
        # All servers of the cluster subscribe to this channel.
        self.home = request_channel(hub.options.cluster_key, "/")
        self.counted = 0  # subscribers of `home` when they were last counted
        self.queue: collections.deque[tuple[str, bytes]] = collections.deque()
        self.queued_bytes = 0
        self.dropped = 0
        self.queued = asyncio.Event()
        self.closing = False
        self.changed: dict[str, bool] = {}  # subscriptions to make or to end in this turn
        self.subscribing = False  # a task sends them
        self.publishing = self._spawn(self._publish())
        self.tasks = [self.publishing, self._spawn(self._listen()), self._spawn(self._ping())]
        hub.clock.tasks.difference_update(self.tasks)  # a goodbye does not wait for their end

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that is nobody's, though a client's request may have been the reason."""
        clock = self.hub.clock
        context = clock.context.copy()  # the sweep may be inside the clock's own
        return context.run(clock.spawn, work)

    # The four verbs.

    def publish(self, channel: str, body: bytes, volatile: bool = False) -> None:
        joined, size = self.joined.is_set(), len(body) + QUEUED_BYTES
        if self.closing or (volatile and not joined):
            return
        if size > self.max_bytes and not joined:
            self.dropped += 1
            return
        self.queue.append((channel, body))
        self.queued_bytes += size
        # The newest goes out even if it is larger by itself, as the description of many clients.
        while self.queued_bytes > self.max_bytes and len(self.queue) > 1:
            self.queued_bytes -= len(self.queue.popleft()[1]) + QUEUED_BYTES
            self.dropped += 1
            if joined:
                warn_once(
                    "too much for Redis",
                    "cluster: more than max_buffered_bytes = %d wait for Redis; the oldest "
                    "messages are dropped",
                    self.max_bytes,
                )
        self.queued.set()

    def subscribe(self, channel: str, receive: Receive) -> None:
        self.receivers[glob(channel)] = receive
        self.confirmed.discard(glob(channel))  # its end may be on the way still
        self._change(glob(channel), True)

    def unsubscribe(self, channel: str) -> None:
        if self.receivers.pop(glob(channel), None) is not None:
            self._change(glob(channel), False)

    async def listeners(self, channel: str) -> list[str]:
        while not self.joined.is_set() or channel in self.receivers.keys() - self.confirmed:
            await self.joined.wait()
            if channel in self.receivers.keys() - self.confirmed:
                self.confirming.clear()
                await self.confirming.wait()
        try:
            return [""] * (await self._numsub(channel) - (channel in self.receivers))
        except Exception as error:
            self._lost(error)
            return await self.listeners(channel)

    async def left(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            while self.joined.is_set() and self.confirmed - self.receivers.keys():
                self.confirming.clear()
                await asyncio.wait_for(self.confirming.wait(), 1.0)

    async def _numsub(self, channel: str) -> int:
        counts = await self.client.pubsub_numsub(channel)
        count = sum(int(number) for _, number in counts)
        if channel == self.home and self.joined.is_set():
            self.counted = count
        return count

    async def close(self) -> None:
        self.closing = True  # nothing more is taken
        if self.joined.is_set():
            self.queued.set()
            await asyncio.wait([self.publishing], timeout=1.0)
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks, timeout=1.0)  # redis-py may lose a cancellation
        for client in (self.client, self.listening_client):
            with contextlib.suppress(Exception):  # Redis may be away
                await asyncio.wait_for(client.aclose(), 1.0)

    # Publishing.

    async def _publish(self) -> None:
        while True:
            await self.queued.wait()
            await self.joined.wait()
            if not self.queue:
                return  # the bus is closed, and all has left
            batch = [self.queue.popleft() for _ in range(min(MAX_PIPELINE, len(self.queue)))]
            self.queued_bytes -= sum([len(body) + QUEUED_BYTES for _, body in batch])
            if not self.queue and not self.closing:
                self.queued.clear()
            try:  # cancelled if Redis does not answer, or does not even read what is sent
                await asyncio.wait_for(self._send(batch), COMMAND_SECONDS)
            except Exception as error:
                self._lost(error)

    async def _send(self, batch: list[tuple[str, bytes]]) -> None:
        """Publish *batch* in one write; a pipeline of redis-py costs twice as much a message."""
        pool = self.client.connection_pool
        # redis-py wanted the name of a command here before 5.3, and warns of one since then.
        names = () if cluster_package("redis").VERSION >= (5, 3) else ("PUBLISH",)
        connection = await pool.get_connection(*names)
        # The caller sets one timer for the batch: redis-py's, one for each answer, take 3 us each.
        patience, connection.socket_timeout = connection.socket_timeout, None
        try:
            commands = [encode_publish(channel.encode(), body) for channel, body in batch]
            await connection.send_packed_command(b"".join(commands))
            for _ in batch:
                await connection.read_response()
        except BaseException:  # the answers that are still to come must not be taken for others'
            await connection.disconnect(nowait=True)
            raise
        finally:
            connection.socket_timeout = patience
            await pool.release(connection)

    # Listening.

    async def _listen(self) -> None:
        pause, longest = self.PAUSES
        while not self.closing:
            try:
                await self._connect()
                pause = self.PAUSES[0]
                while True:
                    # `pubsub.parse_response` would connect again by itself, without our
                    # subscriptions, and takes half as long again for each message.
                    self._received(await self.pubsub.connection.read_response())
            except Exception as error:
                self._lost(error)
            finally:
                pubsub, self.pubsub = self.pubsub, None
                if pubsub is not None:
                    with contextlib.suppress(Exception):
                        await pubsub.aclose()
            # Who listens first hears the queues of the others, so nobody waits for long.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, longest)

    async def _connect(self) -> None:
        pubsub = self.listening_client.pubsub()
        try:  # this client waits without end, but not for the answers to its greeting
            await asyncio.wait_for(pubsub.connect(), COMMAND_SECONDS)
        except BaseException:
            await self.listening_client.connection_pool.disconnect()
            raise
        # Those that publish have probably broken as well, and redis-py 5 would notice only in use.
        await self.client.connection_pool.disconnect(inuse_connections=False)
        self.pubsub = pubsub
        self.pings = 0
        self.confirmed.clear()
        self.changed = dict.fromkeys(self.receivers, True)
        await self._subscribe(pubsub)
        await pubsub.ping()  # its answer comes behind those to the subscriptions

    def _change(self, channel: str, wanted: bool) -> None:
        """Subscribe or unsubscribe with all that this turn of the loop asks for."""
        if self.pubsub is None:
            return  # `_connect` subscribes to all that there is then
        if not self.changed and not self.subscribing:
            self._spawn(self._subscribe(self.pubsub))
        self.changed[channel] = wanted

    async def _subscribe(self, pubsub: Any) -> None:
        """Send the changes in their order: patterns before requests, the other way at the end.

        One task sends them all: two could overtake each other.
        """
        self.subscribing = True
        try:
            while self.changed and self.pubsub is pubsub:
                changed, self.changed = self.changed, {}
                for (wanted, is_pattern), items in itertools.groupby(
                    changed.items(), lambda item: (item[1], item[0][-1] == "*")
                ):
                    verb = ("P" if is_pattern else "") + ("SUBSCRIBE" if wanted else "UNSUBSCRIBE")
                    await pubsub.execute_command(verb, *[channel for channel, _ in items])
        except Exception as error:
            self._lost(error)
        finally:
            self.subscribing = False

    def _received(self, response: Any) -> None:
        self.pings = 0
        kind = response[0] if isinstance(response, list) else response
        if kind == b"pmessage":
            channel = response[2].decode("utf-8", "replace")
            receive = self.receivers.get(response[1].decode("utf-8", "replace"))
        elif kind == b"message":
            channel = response[1].decode("utf-8", "replace")
            receive = self.receivers.get(channel)
        else:
            if kind == b"subscribe":
                self.confirmed.add(response[1].decode("utf-8", "replace"))
                self.confirming.set()
            elif kind == b"unsubscribe":
                self.confirmed.discard(response[1].decode("utf-8", "replace"))
                self.confirming.set()
            elif kind == b"pong" and not self.joined.is_set():
                self._spawn(self._settle())
            return
        if receive is not None:
            receive(channel, response[-1], "")

    async def _settle(self) -> None:
        """Publish again when as many listen as before, or after a while without them."""
        until = self.hub.clock.loop.time() + self.SETTLE_SECONDS
        try:
            while self.hub.clock.loop.time() < until:
                if await self._numsub(self.home) >= self.counted:
                    break
                await asyncio.sleep(0.1)
        except Exception as error:
            return self._lost(error)
        if self.pubsub is None or self.joined.is_set():
            return
        self.joined.set()
        if self.is_away:
            self.is_away = False
            log.info(
                "cluster: Redis is back; %d messages wait for it, %d were dropped",
                len(self.queue),
                self.dropped,
            )

    def _lost(self, error: BaseException) -> None:
        self.joined.clear()
        if not self.is_away and not self.closing:
            self.is_away = True
            self.dropped = 0
            log.warning(
                "cluster: Redis is away (%s): clients of this server are served, those of "
                "others hear nothing until it is back",
                str(error) or "it does not answer",
            )
        if self.pubsub is not None and self.pubsub.connection is not None:
            self._hang_up(self.pubsub.connection)

    def _hang_up(self, connection: Any) -> None:
        """End a connection: whoever reads from it is told."""

        async def disconnect() -> None:
            with contextlib.suppress(Exception):
                await connection.disconnect()

        self._spawn(disconnect())

    async def _ping(self) -> None:
        """Notice a connection that has gone silent, and count the servers while all is well."""
        while not self.closing:
            await asyncio.sleep(self.PING_SECONDS)
            if self.pubsub is None:
                continue
            # The time itself would tell of silence where this process was stopped, or was busy.
            if self.pings * self.PING_SECONDS >= self.SILENCE_SECONDS:
                self._lost(TimeoutError("nothing heard"))
                continue
            self.pings += 1
            try:
                await self.pubsub.ping()
                if self.joined.is_set():
                    await self._numsub(self.home)
            except Exception as error:
                self._lost(error)


def glob(channel: str) -> str:
    """Write *channel* for Redis; in a pattern, only the star at its end may mean anything."""
    if not channel.endswith("*"):
        return channel
    return re.sub(r"([*?\[\]\\])", r"\\\1", channel[:-1]) + "*"


def channel_name(*parts: str) -> str:
    """Join *parts* to the name of a channel; half a surrogate pair becomes U+FFFD, as in node."""
    name = "#".join([*parts, ""])
    return name if name.isascii() else HALF_PAIR.sub("\ufffd", name)


def request_channel(key: str, namespace: str) -> str:
    return channel_name(f"{key}-request", namespace)


def broadcast_channel(key: str, namespace: str, target: Target) -> str:
    """Name the channel of a broadcast: of one room, or of the namespace.

    A room's channel is dropped unread where nobody is in a room of exactly that name; so a name
    that a channel cannot have is left to the packet.
    """
    if len(target.rooms) == 1:
        (room,) = target.rooms
        if is_whole(room):
            return channel_name(key, namespace, room)
    return channel_name(key, namespace)


CLUSTER_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", "redis+sentinel",
                   "valkey+sentinel", "memory")  # fmt: skip


def check_cluster_url(url: str) -> None:
    """Raise what is wrong with the option `cluster` where it is set, not at the first request."""
    if url.partition(":")[0] not in CLUSTER_SCHEMES:
        raise ValueError(f"cluster = {url!r}: a URL begins with {', '.join(CLUSTER_SCHEMES)}")
    for name in ("redis", "msgpack"):
        cluster_package(name)
    if not url.startswith("memory:"):
        redis_client("redis", url)


def make_bus(url: str, hub: Hub) -> Bus:
    if url.startswith("memory:"):
        return MemoryBus(url, hub)
    return RedisBus(url, hub)


class Question:
    """A request of ours on *channel* that other servers answer, until as many have as are asked."""

    def __init__(self, channel: str, key: str, take: Callable[[Any], None]) -> None:
        self.channel = channel
        self.key = key  # under which the answer stands in a response
        self.take = take  # raises PayloadError for what is no answer
        self.asked: int | None = None  # servers, once they are known
        #: The servers that have not answered, by name; those without a name are counted.
        self.silent: collections.Counter[str] = collections.Counter()
        self.answers = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, servers: list[str]) -> None:
        """Wait for these servers; perhaps some have answered already."""
        self.asked = len(servers)
        self.silent.update(servers)
        self.end_if_complete()

    def answered(self, response: dict[str, Any], server: str) -> None:
        """Take the response of *server*; PayloadError if it is none."""
        self.take(response.get(self.key))
        self.answers += 1
        self.silent[server] -= 1
        self.end_if_complete()

    def left(self, server: str) -> None:
        """Wait no longer for *server*, which has gone."""
        self.silent.pop(server, None)
        self.end_if_complete()

    def end_if_complete(self) -> None:
        """Be done if nobody is waited for any more."""
        if self.asked is not None and self._is_complete() and not self.done.done():
            self.done.set_result(None)

    def _is_complete(self) -> bool:
        return max(self.silent.values(), default=0) <= 0


class AckQuestion(Question):
    """An event for clients of other servers, each of which says how many it asks, then what came.

    It is over when every server has said a number, and has sent as many acks.
    """

    def __init__(self, channel: str) -> None:
        super().__init__(channel, "", lambda answer: None)
        self.acks = BroadcastAcks({}, set())  # the ones that have come
        #: The acks that are still to come, by the name of the server.
        self.owed: collections.Counter[str] = collections.Counter()

    def answered(self, response: dict[str, Any], server: str) -> None:
        acks = self.acks
        if response.get("type") == CLIENT_COUNT:
            count = response.get("clientCount")
            if type(count) is not int or count < 0:
                raise PayloadError("clientCount is a number")
            self.silent[server] -= 1
            acks.expected += count
            self.owed[server] += count
        elif response.get("type") in (CLIENT_ACK, CLIENT_SILENT):
            id = response.get("id")
            if not isinstance(id, str):
                acks.unnamed.append(response.get("packet"))
            elif response["type"] == CLIENT_SILENT:
                acks.missing.add(id)
            elif id not in acks.answers:
                acks.answers[id] = response.get("packet")
            else:
                return
            self.owed[server] -= 1
        self.end_if_complete()

    def left(self, server: str) -> None:
        self.owed.pop(server, None)
        super().left(server)

    def _is_complete(self) -> bool:
        return super()._is_complete() and max(self.owed.values(), default=0) <= 0


class Everywhere(Here):
    """The verbs of `Here`, for the clients of every server of the cluster.

    The words are those of node's adapter: `key#namespace#[room#]` carries broadcasts,
    `key-request#namespace#` requests, `key-response#namespace#[uid#]` their answers. To be a
    member of the cluster is to have subscribed to the channel of requests: all others count by
    it how many answers to wait for. *words* write and read what goes over *bus*.
    """

    def __init__(self, hub: Hub, bus: Bus, words: Words) -> None:
        super().__init__(hub)
        options = hub.options
        self.json = hub.json
        self.key = options.cluster_key
        self.seconds = options.cluster_timeout
        self.bus = bus
        self.words = words
        self.left = False  # whoever has left hears no answers any more, and so has nobody to ask
        self.questions: dict[str, Question] = {}  # by request id
        self.bus.tell_when_gone(self._server_left)
        self.python: PythonChannel | None = None
        if options.python_socketio_channel is not None:
            self.python = PythonChannel(self, options.python_socketio_channel)

    def _broadcasts(self, namespace: str) -> str:
        return channel_name(self.key, namespace)

    def _requests(self, namespace: str) -> str:
        return request_channel(self.key, namespace)

    def _responses(self, namespace: str, *uid: str) -> str:
        return channel_name(f"{self.key}-response", namespace, *uid)

    # Membership.

    def _takers(self, name: str) -> dict[str, Callable[[str, str, bytes, str], None]]:
        """Return who takes what comes on the channels of a namespace.

        The channel by which the others count us is joined last, and left first.
        """
        return {
            f"{self._broadcasts(name)}*": self._take_broadcast,
            self._responses(name): self._take_response,
            self._responses(name, self.words.uid): self._take_response,
            self._requests(name): self._take_request,
        }

    def opened(self, namespace: Namespace) -> None:
        if self.left:
            return
        for channel, take in self._takers(namespace.name).items():
            self.bus.subscribe(channel, functools.partial(self._guard, take, namespace.name))

    def closed(self, namespace: Namespace) -> None:
        for channel in reversed(self._takers(namespace.name)):
            self.bus.unsubscribe(channel)

    async def leave_cluster(self) -> None:
        self.left = True
        for namespace in list(self.hub.namespaces.values()):
            self.closed(namespace)
        await self.bus.left()

    async def close(self) -> None:
        await self.leave_cluster()
        await self.bus.close()

    def _server_left(self, channel: str, server: str) -> None:
        """Wait no longer for a server that does not hear the requests on *channel* any more."""
        for question in list(self.questions.values()):
            if question.channel == channel:
                question.left(server)

    def _guard(
        self,
        take: Callable[[str, str, bytes, str], None],
        name: str,
        channel: str,
        body: bytes,
        server: str,
    ) -> None:
        """Take one message; what is wrong with it ends nothing but the message."""
        try:
            # A longer event would cut off every client; but descriptions of many may be long.
            longest = self.hub.options.max_buffered_bytes
            if len(body) > (16 * longest if take == self._take_response else longest):
                raise PayloadError("too long")
            take(name, channel, body, server)
        except PayloadError as error:
            log.debug("cluster: a message on %.100r is dropped: %s", channel, error)
        except Exception as error:
            log.debug("cluster: a message on %.100r is dropped", channel, exc_info=error)

    # Broadcasts.

    def emit(self, scope: Scope, target: Target, data: list[Any]) -> None:
        if target.local:
            return super().emit(scope, target, data)
        # The caller hears what cannot be JSON, also if nobody is here.
        data = EncodedData.of(self.json, data)
        super().emit(scope, target, data)
        for name in self._names(scope):
            channel = broadcast_channel(self.key, name, target)
            body = self.words.encode_event(name, data, target)
            self.bus.publish(channel, body, target.volatile)
            if self.python is not None:
                self.python.emit(name, target, data)

    def _names(self, scope: Scope) -> list[str]:
        """Return the names of namespaces; one that nobody here is in may have clients elsewhere."""
        if isinstance(scope, str):
            return [scope]
        return [namespace.name for namespace in self.hub.namespaces_at(scope)]

    def _take_broadcast(self, name: str, channel: str, body: bytes, server: str) -> None:
        namespace = self.hub.namespaces.get(name)
        room = channel[len(self._broadcasts(name)) :]
        if namespace is None or (room[-1:] == "#" and not namespace.has_room(room[:-1])):
            return  # nobody here: not even decoded
        if not namespace.members and namespace.history is None:
            return
        event = self.words.decode_event(name, body)
        if event is not None:
            target, data = event
            super().emit(name, target, data)

    # Broadcasts that want acks.

    async def call(
        self, scope: Scope, target: Target, data: list[Any], seconds: float | None
    ) -> BroadcastAcks:
        if target.local:
            return await super().call(scope, target, data, seconds)
        data = EncodedData.of(self.json, data)
        others = [self._call_others(name, target, data, seconds) for name in self._names(scope)]
        acks, *elsewhere = await asyncio.gather(super().call(scope, target, data, seconds), *others)
        for more in elsewhere:
            acks.add(more)
        return acks

    async def _call_others(
        self, name: str, target: Target, data: list[Any], seconds: float | None
    ) -> BroadcastAcks:
        """Ask the clients of other servers; return what came, all of it or until the time is up."""
        question = AckQuestion(self._requests(name))
        timeout = MAX_REQUEST_SECONDS if seconds is None else min(seconds, MAX_REQUEST_SECONDS)
        hears_answers = name in self.hub.namespaces
        with self._asking(name, question) as request_id, contextlib.suppress(asyncio.TimeoutError):
            if not hears_answers:  # `_asking` has just subscribed to them: this returns when we are
                await asyncio.wait_for(self._others(name), timeout)
            self._publish_request(
                name,
                BROADCAST_WITH_ACKS,
                requestId=request_id,
                packet=encode_packet_of(name, data),
                opts=encode_target(target, timeout=round(timeout * 1000)),
            )
            await asyncio.wait_for(self._all_acks(name, target, data, question), timeout)
        return question.acks

    async def _all_acks(
        self, name: str, target: Target, data: list[Any], question: AckQuestion
    ) -> None:
        question.ask(await self._others(name))
        await question.done
        if self.python is None or len(target.rooms) != 1:
            return
        (id,) = target.rooms
        is_ours = question.acks.expected or self.find(name, target)
        if not is_ours and PYTHON_SOCKETIO_ID.fullmatch(id):  # python-socketio's, or nobody's
            question.acks.answers[id] = await self.python.call(name, target, data)
            question.acks.expected += 1

    def _take_broadcast_with_acks(self, name: str, request: dict[str, Any]) -> None:
        """Ask our clients; say at once how many they are, then what each of them acknowledges."""
        data = decode_packet_for(name, request.get("packet"))
        options = request.get("opts")
        target, seconds = decode_target(options), decode_timeout(options, self.seconds)
        if data is None:
            return
        acks, _ = self.ask(name, target, data, seconds)
        self._respond(name, request, type=CLIENT_COUNT, clientCount=len(acks))
        for id, ack in acks.items():
            ack.add_done_callback(functools.partial(self._acknowledged, name, request, id))

    def _acknowledged(
        self, name: str, request: dict[str, Any], id: str, future: asyncio.Future[list[Any]]
    ) -> None:
        if future.cancelled():
            return
        if future.exception() is None:
            args = future.result()
            value = args[0] if args else None  # node passes on the first argument only
            try:
                return self._respond(name, request, type=CLIENT_ACK, packet=value, id=id)
            except ValueError as error:  # nested too deep
                log.debug("cluster: the ack of %s is not passed on: %s", id, error)
        if self.words.tells_silent:
            self._respond(name, request, type=CLIENT_SILENT, id=id)

    # Rooms and connections.

    def join(self, scope: Scope, target: Target, rooms: Collection[str]) -> None:
        try:
            super().join(scope, target, rooms)
        finally:  # clients elsewhere join, whatever keeps one of ours from it
            self._tell(scope, target, JOIN, rooms=[*rooms])

    def leave(self, scope: Scope, target: Target, rooms: Collection[str]) -> None:
        super().leave(scope, target, rooms)
        self._tell(scope, target, LEAVE, rooms=[*rooms])

    def disconnect(self, scope: Scope, target: Target, close: bool) -> None:
        super().disconnect(scope, target, close)
        self._tell(scope, target, DISCONNECT_ALL, close=close)

    def _tell(self, scope: Scope, target: Target, type: int, **fields: Any) -> None:
        if target.local:
            return
        options = encode_selection(target)
        for name in self._names(scope):
            self._publish_request(name, type, opts=options, **fields)
            if self.python is not None:
                self.python.tell(name, type, target, **fields)

    # Questions.

    async def fetch(self, scope: Scope, target: Target) -> list[dict[str, Any]]:
        found = await super().fetch(scope, target)

        def take(sockets: Any) -> None:
            if not isinstance(sockets, list):
                raise PayloadError("sockets are a list")
            found.extend([one for one in sockets if is_description(one)])

        if not target.local:
            options = encode_selection(target)
            await self._ask(scope, FETCH, "sockets", take, found, opts=options)
        return found

    async def all_rooms(self, scope: Scope) -> set[str]:
        found = await super().all_rooms(scope)
        await self._ask(
            scope, ALL_ROOMS, "rooms", lambda rooms: found.update(decode_names(rooms)), found
        )
        return found

    async def server_count(self) -> int:
        try:
            return 1 + len(await asyncio.wait_for(self._others("/"), self.seconds))
        except asyncio.TimeoutError:
            raise ClusterTimeout("nobody says how many servers there are", 1) from None

    def server_side_emit(self, scope: Scope, data: list[Any]) -> None:
        for name in self._names(scope):
            self._publish_request(name, SERVER_SIDE_EMIT, data=data)

    async def server_side_call(self, scope: Scope, data: list[Any]) -> list[Any]:
        answers: list[Any] = []
        await self._ask(scope, SERVER_SIDE_EMIT, "data", answers.append, answers, data=data)
        return answers

    async def _ask(
        self,
        scope: Scope,
        type: int,
        key: str,
        take: Callable[[Any], None],
        found: Any,
        **fields: Any,
    ) -> None:
        """Have every other server answer, and hand to *take* what stands under *key* there.

        ClusterTimeout if one does not in time: its `partial` is *found*, which *take* adds to.
        """
        for name in self._names(scope):
            question = Question(self._requests(name), key, take)
            try:
                with self._asking(name, question) as request_id:
                    work = self._all_answers(name, type, request_id, question, fields)
                    await asyncio.wait_for(work, self.seconds)
            except asyncio.TimeoutError:
                asked = "no" if question.asked is None else question.asked
                raise ClusterTimeout(
                    f"{question.answers} of {asked} other servers answered within "
                    f"cluster_timeout = {self.seconds}",
                    found,
                ) from None

    async def _all_answers(
        self, name: str, type: int, request_id: str, question: Question, fields: dict[str, Any]
    ) -> None:
        question.ask(await self._others(name))
        if question.asked:
            self._publish_request(name, type, requestId=request_id, **fields)
        await question.done

    @contextlib.contextmanager
    def _asking(self, name: str, question: Question) -> Iterator[str]:
        """Be in a namespace while its other members are asked: else we would not hear them.

        Gives the id of the request, whose answers go to *question*.
        """
        namespace, request_id = self.hub.find_or_make(name), random_id()
        namespace.visitors += 1
        self.questions[request_id] = question
        try:
            yield request_id
        finally:
            del self.questions[request_id]
            namespace.visitors -= 1
            self.hub.forget_unused(namespace)

    async def _others(self, name: str) -> list[str]:
        """Return the other servers; while Redis is away this does not return."""
        return [] if self.left else await self.bus.listeners(self._requests(name))

    # Requests and responses.

    def _publish_request(self, name: str, type: int, **fields: Any) -> None:
        body = self.words.encode_request({"uid": self.words.uid, "type": type, **fields})
        self.bus.publish(self._requests(name), body)

    def _respond(self, name: str, request: dict[str, Any], **fields: Any) -> None:
        """Answer to the asker alone, if it has said who it is: adapters up to 7 do not.

        Answers to server-side events go to the channel of all, for these adapters listen to
        no other.
        """
        uid, channel = request.get("uid"), self._responses(name)
        if isinstance(uid, str) and request["type"] != SERVER_SIDE_EMIT:
            channel = self._responses(name, uid)
        response = {**fields, "requestId": request.get("requestId")}
        self.bus.publish(channel, self.words.encode_request(response))

    def _take_response(self, name: str, channel: str, body: bytes, server: str) -> None:
        if not self.questions:
            return  # the question was another server's: all hear the answers to events
        response = self.words.decode_request(body)
        if not isinstance(response, dict):
            raise PayloadError("a response is a map")
        question = self.questions.get(response.get("requestId"))  # type: ignore[arg-type]
        if question is not None and not question.done.done():
            question.answered(response, server)

    def _take_request(self, name: str, channel: str, body: bytes, server: str) -> None:
        """Do what another server asks; our own requests are heard too, and are done already."""
        request = self.words.decode_request(body)
        if not isinstance(request, dict):
            raise PayloadError("a request is a map")
        if "requestid" in request:
            return  # socket.io-redis up to 5 sent it: its numbers mean other things
        if request.get("uid") == self.words.uid or request.get("requestId") in self.questions:
            return
        type, request_id = request.get("type"), request.get("requestId")
        if request_id is None and type in (SOCKETS, ALL_ROOMS, FETCH, BROADCAST_WITH_ACKS):
            raise PayloadError("a question without requestId has no answer")
        if request_id is not None and not isinstance(request_id, str):
            raise PayloadError("requestId is a text")
        take = self.TAKERS.get(type)  # type: ignore[arg-type]
        if take is not None:
            take(self, name, request)

    def _take_sockets(self, name: str, request: dict[str, Any]) -> None:
        target = Target(decode_names(request.get("rooms")), local=True)
        ids = [handler.id for handler in self.find(name, target)]
        self._respond(name, request, sockets=ids)

    def _take_all_rooms(self, name: str, request: dict[str, Any]) -> None:
        self._respond(name, request, rooms=sorted(self.local_rooms(name)))

    def _take_fetch(self, name: str, request: dict[str, Any]) -> None:
        target = decode_target(request.get("opts"))
        self._respond(name, request, sockets=self.describe(name, target))

    def _take_join(self, name: str, request: dict[str, Any]) -> None:
        self._take_change(name, request, self.join, self._rooms_in(request))

    def _take_leave(self, name: str, request: dict[str, Any]) -> None:
        self._take_change(name, request, self.leave, self._rooms_in(request))

    def _rooms_in(self, request: dict[str, Any]) -> frozenset[str]:
        """Return the rooms to join or leave: adapters 6 and 7 name one, and send no `opts`."""
        rooms = [request.get("room")] if request.get("opts") is None else request.get("rooms")
        if not isinstance(rooms, list):
            raise PayloadError("rooms are a list")
        return decode_names(rooms)

    def _take_disconnect(self, name: str, request: dict[str, Any]) -> None:
        self._take_change(name, request, self.disconnect, request.get("close") is True)

    def _take_change(
        self, name: str, request: dict[str, Any], do: Callable[..., None], argument: Any
    ) -> None:
        """Do it to those in `opts`; without these, to one client, whose server answers."""
        if request.get("opts") is not None:
            return do(name, decode_target(request["opts"]), argument)
        do(name, self.client_of(name, request.get("sid")), argument)
        self._respond(name, {"type": request["type"], "requestId": request.get("requestId")})

    def client_of(self, name: str, sid: Any) -> Target:
        """Return the client of this id as a target; PayloadError if it is not ours."""
        namespace, id = self.hub.namespaces.get(name), decode_name(sid)
        if namespace is None or id not in namespace.members:
            raise PayloadError("not a client of this server")
        return Target(frozenset([id]), local=True)

    def _take_server_side_event(self, name: str, request: dict[str, Any]) -> None:
        data = request.get("data")
        if not isinstance(data, list) or not data:
            raise PayloadError("no event")
        self.hub.clock.spawn(self._answer_event(name, request, decode_name(data[0]), data[1:]))

    async def _answer_event(
        self, name: str, request: dict[str, Any], event: str, args: list[Any]
    ) -> None:
        """Tell the listeners of an event; answer also without one, for the asker waits."""
        answer = await self.hub.tell_listeners(name, event, args)
        if request.get("requestId") is None:
            return
        try:
            self._respond(name, request, type=SERVER_SIDE_EMIT, data=answer)
        except (TypeError, ValueError) as error:
            log.error("a listener of %.40r has returned what cannot be JSON: %s", event, error)
            self._respond(name, request, type=SERVER_SIDE_EMIT, data=None)

    TAKERS: ClassVar[dict[int, Callable[[Everywhere, str, dict[str, Any]], None]]] = {
        SOCKETS: _take_sockets,
        ALL_ROOMS: _take_all_rooms,
        JOIN: _take_join,
        LEAVE: _take_leave,
        DISCONNECT_ALL: _take_disconnect,
        FETCH: _take_fetch,
        SERVER_SIDE_EMIT: _take_server_side_event,
        BROADCAST_WITH_ACKS: _take_broadcast_with_acks,
    }


def random_id() -> str:
    return random_text(UID_CHARACTERS)[:UID_CHARACTERS]


def is_description(value: Any) -> bool:
    """Tell whether another server describes a client in a form that can be used."""
    return isinstance(value, dict) and isinstance(value.get("id"), str)


#: An id of python-socketio's clients; a room of such a name is asked for acks there, too.
PYTHON_SOCKETIO_ID = re.compile("[0-9A-Za-z_-]{20}")


class PythonChannel:
    """python-socketio's channel: its servers, and the `write_only` managers of tasks and scripts.

    One channel carries JSON for all namespaces. Older releases pickled: what does not begin like
    a JSON object is dropped unread. Nothing goes from this channel to node's or back: all our
    servers listen to both, so it would come twice.
    """

    def __init__(self, everywhere: Everywhere, channel: str) -> None:
        self.everywhere = everywhere
        self.channel = channel
        self.host_id = secrets.token_hex(16)
        self.calls: dict[int, asyncio.Future[Any]] = {}  # by the callback's number
        self.numbers = itertools.count(1)
        receive = functools.partial(everywhere._guard, self._take, channel)
        everywhere.bus.subscribe(channel, receive)

    # Out.

    def emit(self, name: str, target: Target, data: list[Any], callback: Any = None) -> None:
        """Publish an event: the arguments, and behind them in base64 the bytes they hold."""
        found: list[bytes] = []
        args = take_attachments(data[1:] or [None], found, self.everywhere.json.substitute)
        self._publish(
            "emit",
            name,
            event=data[0],
            data=[args, *map(encode_base64, found)] if found else args,
            binary=bool(found),
            room=self._rooms(target.rooms),
            skip_sid=[*target.excluded] or None,
            callback=callback,
            volatile=target.volatile,
        )

    def _rooms(self, rooms: Collection[str]) -> Any:
        """Write rooms as that server has them: none for all, a name, or a list."""
        return ([*rooms] if len(rooms) > 1 else next(iter(rooms))) if rooms else None

    async def call(self, name: str, target: Target, data: list[Any]) -> Any:
        """Ask the one client that *target* names, and return its ack; it may never come."""
        number = next(self.numbers)
        self.calls[number] = future = asyncio.get_running_loop().create_future()
        try:
            (id,) = target.rooms
            self.emit(name, target, data, callback=[id, name, number])
            return await future
        finally:
            del self.calls[number]

    def tell(
        self, name: str, type: int, target: Target, rooms: Sequence[str] = (), **_: Any
    ) -> None:
        """Publish what is to be done to clients: this channel has it for single ids and rooms."""
        for id in target.rooms:
            if type == DISCONNECT_ALL:
                self._publish("disconnect", name, sid=id)
            for room in rooms:
                self._publish(self.METHODS[type], name, sid=id, room=room)

    METHODS: ClassVar[dict[int, str]] = {JOIN: "enter_room", LEAVE: "leave_room"}

    def _publish(self, method: str, namespace: str, volatile: bool = False, **fields: Any) -> None:
        message = {"method": method, "namespace": namespace, **fields, "host_id": self.host_id}
        message["cluster_key"] = self.everywhere.key
        body = self.everywhere.json.encode(message).encode("ascii")
        self.everywhere.bus.publish(self.channel, body, volatile)

    # In.

    def _take(self, name: str, channel: str, body: bytes, server: str) -> None:
        if body[:1] != b"{":
            return
        message = decode_json(decode_text(body))
        method, own = message.get("method"), message.get("host_id") == self.host_id
        if method == "callback":
            if own:
                self._take_callback(message)
        # What servers of our own kind say here, they say on node's channels too.
        elif message.get("cluster_key") != self.everywhere.key and method in self.TAKERS:
            namespace = message.get("namespace") or "/"
            self.TAKERS[method](self, decode_name(namespace), message)

    def _take_callback(self, message: dict[str, Any]) -> None:
        future, args = self.calls.get(message["id"]), message["args"]
        if future is not None and not future.done() and isinstance(args, list):
            future.set_result(unwrap(args))

    def _take_emit(self, name: str, message: dict[str, Any]) -> None:
        args = message.get("data")
        if message.get("binary"):
            if not isinstance(args, list) or not args:
                raise PayloadError("an event with bytes is a list")
            args = restore_attachments(args[0], [decode_base64(item) for item in args[1:]])
        if not isinstance(args, list):
            args = [args]
        data = decode_packet_for(
            name, encode_packet_of(name, [message.get("event"), *([] if args == [None] else args)])
        )
        assert data is not None
        room, callback = message.get("room"), message.get("callback")
        if room == []:
            return  # over there, no room is nobody, and null is everybody
        target = Target(self._names(room), self._names(message.get("skip_sid")), local=True)
        if callback is None:
            return self.everywhere.emit(name, target, data)
        if not isinstance(callback, list) or len(callback) != 3:
            raise PayloadError("a callback is a list of three")
        acks, _ = self.everywhere.ask(name, target, data, MAX_REQUEST_SECONDS)
        for ack in acks.values():
            ack.add_done_callback(functools.partial(self._acknowledged, message))

    def _names(self, names: Any) -> frozenset[str]:
        return decode_names([names] if isinstance(names, (str, int)) else names)

    def _acknowledged(self, message: dict[str, Any], future: asyncio.Future[list[Any]]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        sid, namespace, number = message["callback"]
        answer = {
            "method": "callback",
            "host_id": message.get("host_id"),
            "sid": sid,
            "namespace": namespace,
            "id": number,
            "args": future.result(),
        }
        try:
            body = self.everywhere.json.encode(answer).encode("ascii")
        except TypeError:  # python-socketio itself can publish no bytes here
            return warn_once(
                "bytes for python-socketio",
                "an ack with bytes cannot be passed on to python-socketio, which waits in vain",
            )
        self.everywhere.bus.publish(self.channel, body)

    def _take_enter(self, name: str, message: dict[str, Any]) -> None:
        client = self.everywhere.client_of(name, message.get("sid"))
        self.everywhere.join(name, client, [decode_name(message.get("room"))])

    def _take_leave(self, name: str, message: dict[str, Any]) -> None:
        client = self.everywhere.client_of(name, message.get("sid"))
        self.everywhere.leave(name, client, [decode_name(message.get("room"))])

    def _take_close_room(self, name: str, message: dict[str, Any]) -> None:
        room = decode_name(message.get("room"))
        self.everywhere.leave(name, Target(frozenset([room]), local=True), [room])

    def _take_disconnect(self, name: str, message: dict[str, Any]) -> None:
        client = self.everywhere.client_of(name, message.get("sid"))
        self.everywhere.disconnect(name, client, False)

    TAKERS: ClassVar[dict[str, Callable[[PythonChannel, str, dict[str, Any]], None]]] = {
        "emit": _take_emit,
        "enter_room": _take_enter,
        "leave_room": _take_leave,
        "close_room": _take_close_room,
        "disconnect": _take_disconnect,
    }


class Emitter:
    """Speaks to a cluster from a process without a loop: a cron job, a Celery task, a script.

        Emitter("redis://localhost").to("lobby").emit("news", "It is Monday.")

    Synchronous, and safe to share between threads and with children of a fork. It connects
    when it is first used. *json_default* is as the option of that name of SocketIOHandler.
    A publication that fails is tried once more, then redis-py's error is
    raised: a message that may be lost is never lost silently.
    """

    def __init__(
        self, url: str, key: str = "socket.io", json_default: Callable[[Any], Any] | None = None
    ) -> None:
        check_cluster_url(url)
        self._words = NodeWords(StrictJSON(json_default), "emitter")
        self._redis = redis_client("redis", url, attempts=2)
        self._key = key
        self._namespace = "/"
        self._target = Target()

    def of(self, namespace: str) -> Emitter:
        """Return an emitter for another namespace."""
        return self._with(_namespace=namespace if namespace[:1] == "/" else f"/{namespace}")

    def to(self, *rooms: Rooms) -> Emitter:
        """Return an emitter for those in *rooms* too; a client's id is a room."""
        return self._but(rooms=self._target.rooms.union(room_names(rooms) or [NOBODY]))

    in_ = to

    def except_(self, *rooms: Rooms) -> Emitter:
        """Return an emitter for all but those in *rooms*."""
        return self._but(excluded=self._target.excluded.union(room_names(rooms)))

    @property
    def volatile(self) -> Emitter:
        """An emitter whose events are dropped for clients that could not get them at once."""
        return self._but(volatile=True)

    def emit(self, event: str, *args: Any, **foreign: NoReturn) -> None:
        """Send an event; TypeError or ValueError for what cannot be JSON."""
        if foreign:
            refuse_arguments(foreign)
        data = message_packet(event, args, self._namespace).data
        EncodedData.of(self._words.json, data)  # raises for what no client can be sent
        body = self._words.encode_event(self._namespace, data, self._target)
        self._redis.publish(broadcast_channel(self._key, self._namespace, self._target), body)

    def send(self, message: Any, **foreign: NoReturn) -> None:
        """Send a message, the same as `emit("message", message)`."""
        self.emit("message", message, **foreign)

    def join(self, *rooms: Rooms) -> None:
        """Put the clients into *rooms*."""
        self._request(type=JOIN, opts=encode_selection(self._target), rooms=room_names(rooms))

    def leave(self, *rooms: Rooms) -> None:
        """Take the clients out of *rooms*."""
        self._request(type=LEAVE, opts=encode_selection(self._target), rooms=room_names(rooms))

    def disconnect(self, close: bool = False) -> None:
        """Disconnect the clients from the namespace; with *close* end their connections."""
        self._request(type=DISCONNECT_ALL, opts=encode_selection(self._target), close=close)

    def server_side_emit(self, event: str, *args: Any) -> None:
        """Send an event to the servers themselves: what `io.on` listens to."""
        data = message_packet(event, args, self._namespace).data
        self._request(uid="emitter", type=SERVER_SIDE_EMIT, data=data)

    def _with(self, **changes: Any) -> Emitter:
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other

    def _but(self, **changes: Any) -> Emitter:
        return self._with(_target=dataclasses.replace(self._target, **changes))

    def _request(self, **fields: Any) -> None:
        body = self._words.encode_request(fields)
        self._redis.publish(request_channel(self._key, self._namespace), body)


# -- 12. Workers -----------------------------------------------------------------------
# Several workers on one machine share a port, and a client's connections come to any of them. The
# sid names the worker that has the session, by one letter behind `sid_prefix`. A request with the
# sid of another worker is handed over together with its connection: the descriptor goes through a
# Unix socket, and later requests on that connection are where they belong.
#
# The workers whose sockets lie in one folder, which only their user can enter, are a `Crew`. Each
# has a `Line` to every other one, on which it only sends; what another one sends comes in by a
# `LineReader`. A message is the length of its body in four bytes, its kind in one, and the body:
#
#     GREETING   the letter of the sender; always the first message of a line, and no other
#     HANDED     a connection, whose descriptor comes along; the body has been read from it before
#     others     for the function that `Crew.receivers` has for their kind
#
# A worker that dies closes its ends of all lines: each of the others closes its own line to the dead
# one, serves the connections that waited there, and forgets what it listened to (`Crew.left_by`).
# Its successor has the same number, greets everybody, and is greeted by them (`Crew.greeted_by`).

CREW_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
GREETING, HANDED = 0, 1
LINE_HEAD = 5  # bytes of a message in front of its body
MAX_LINE_BODY = 256 * 1024 * 1024
# A worker that stands still reads nothing: no more connections wait for it, and no more bytes of
# messages beside one message.
MAX_WAITING_CONNECTIONS = 100
MAX_WAITING_BYTES = 16 * 1024 * 1024
# Bytes of a folder's path: macOS allows 103 for that of a socket, such as "/62.socket" in it.
MAX_WORKERS_FOLDER = 93
# Seconds until a worker looks again for what it lacks: descriptors, or a line that broke.
LOOK_AGAIN = 0.1
# Seconds that a worker which ends has to send what waits for the others.
LAST_WORDS = 1.0


def check_workers_folder(folder: str | bytes | os.PathLike[Any]) -> pathlib.Path:
    """Return *folder*, made if it is not there; PermissionError unless it is this user's alone.

    Whoever can enter it can take clients' connections, and speak for every worker. OSError for a
    path at which there can be no folder, or no sockets in it.
    """
    path = pathlib.Path(os.fsdecode(folder)).absolute()
    if len(os.fsencode(path)) > MAX_WORKERS_FOLDER:
        why = f"more than {MAX_WORKERS_FOLDER} bytes are too long a path for the sockets in it"
        raise OSError(errno.ENAMETOOLONG, f"workers_folder: {why}", str(path))
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
        found = path.lstat()
    except OSError as error:
        raise OSError(error.errno, f"workers_folder: {error.strerror}", str(path)) from None
    if path.is_symlink() or not path.is_dir():
        why = "it is no folder"
    elif found.st_uid != os.geteuid():
        why = "it belongs to another user"
    elif found.st_mode & 0o077:
        why = "others may enter it; chmod 700 shuts them out"
    else:
        return path
    raise PermissionError(errno.EPERM, f"workers_folder: {why}", str(path))


def is_of_our_user(sock: socket.socket) -> bool:
    """Tell whether the process at the other end is this user's; True where the system cannot say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid
    return int.from_bytes(credentials[4:8], sys.byteorder) == os.geteuid()


def encode_line_message(kind: int, body: bytes) -> bytes:
    """Encode a message of *kind*; ValueError for a body that no worker would take."""
    if len(body) > MAX_LINE_BODY:
        raise ValueError(f"{len(body)} bytes are too many for a message between workers")
    return b"%b%c%b" % (len(body).to_bytes(4, "big"), kind, body)


class LineParser:
    """A parser of what comes on a line, however that is cut, into messages.

    A descriptor comes no later than the first byte of its message. So the first HANDED message
    belongs to the first descriptor that is left.
    """

    __slots__ = ("buffer", "descriptors")

    def __init__(self) -> None:
        self.buffer = bytearray()
        # None stands for a descriptor that this process had no room for.
        self.descriptors: collections.deque[int | None] = collections.deque()

    def feed(self, data: bytes) -> list[tuple[int, bytes, int | None]]:
        """Return kind, body and descriptor of the messages that are whole now.

        Raises PayloadError for a message that is too long.
        """
        buffer, start, messages = self.buffer, 0, []
        buffer += data
        while len(buffer) >= start + LINE_HEAD:
            size = int.from_bytes(buffer[start : start + 4], "big")
            if size > MAX_LINE_BODY:
                raise PayloadError("a message between workers is too long")
            end = start + LINE_HEAD + size
            if len(buffer) < end:
                break
            kind, descriptor = buffer[start + 4], None
            if kind == HANDED and self.descriptors:
                descriptor = self.descriptors.popleft()
            messages.append((kind, bytes(buffer[start + LINE_HEAD : end]), descriptor))
            start = end
        del buffer[:start]
        return messages

    def close(self) -> None:
        """Close the descriptors whose messages will not come."""
        for descriptor in self.descriptors:
            if descriptor is not None:
                os.close(descriptor)


class Line:
    """The way from this worker to one other. Connections overtake all other messages.

    The line breaks when the other worker has gone. The connections that wait then come back to this
    one, where nobody knows their sids any more: their clients are told so, and begin anew.
    """

    __slots__ = ("crew", "letter", "sock", "connections", "messages", "waiting_bytes", "dropped",
                 "unsent", "due", "writing")  # fmt: skip

    def __init__(self, crew: Crew, letter: str, sock: socket.socket) -> None:
        self.crew = crew
        self.letter = letter
        self.sock = sock
        self.connections: collections.deque[tuple[socket.socket, bytes]] = collections.deque()
        self.messages: collections.deque[bytes] = collections.deque()
        self.waiting_bytes = 0  # the size of these messages
        self.dropped = 0  # the number of messages that were dropped since the socket was full
        self.due = False  # the messages of this turn are sent at its end, in one write
        self.unsent = memoryview(encode_line_message(GREETING, crew.letter.encode()))
        self.writing = False  # the socket is full, and the loop tells when it takes more
        crew.lines[letter] = self
        crew.watch(sock, self.close)  # nothing comes on this socket but its end
        self._send()

    @property
    def has_room(self) -> bool:
        """Tell whether one more connection may wait."""
        return len(self.connections) < MAX_WAITING_CONNECTIONS

    @property
    def is_idle(self) -> bool:
        """Tell whether all has left."""
        return not (self.unsent or self.connections or self.messages)

    def hand_over(self, connection: socket.socket, early: bytes = b"") -> None:
        """Give *connection* away, and the *early* bytes that have been read from it."""
        self.connections.append((connection, early))
        if not self.writing:
            self._send()

    def send(self, kind: int, body: bytes, volatile: bool = False) -> None:
        """Send a message; a *volatile* one does not wait.

        Where too many bytes wait, the oldest messages are dropped.
        """
        if self.writing and volatile:
            return
        message = encode_line_message(kind, body)
        self.messages.append(message)
        self.waiting_bytes += len(message)
        while self.waiting_bytes > MAX_WAITING_BYTES and len(self.messages) > 1:
            self.waiting_bytes -= len(self.messages.popleft())
            self.dropped += 1
            warn_once(
                "worker stands still",
                "worker %d reads nothing of what worker %d sends: messages for it are dropped",
                CREW_LETTERS.index(self.letter),
                self.crew.number,
            )
        if self.writing:
            return
        if self.waiting_bytes > READ_SIZE:
            self._send()
        elif not self.due:
            self.due = True
            self.crew.loop.call_soon(self._send, context=self.crew.context.copy())

    def _send(self) -> None:
        """Send until all has left or the socket is full."""
        self.due = False
        try:
            while not self.is_idle:
                if self.unsent:
                    self.unsent = self.unsent[self.sock.send(self.unsent) :]
                elif self.connections:
                    self._send_connection(*self.connections[0])
                else:
                    self.unsent = memoryview(self._take_messages())
        except (BlockingIOError, InterruptedError):
            self._set_writing(True)
        except OSError as error:
            log.debug("the line to worker %r broke: %s", self.letter, error)
            self.close()
        else:
            self._set_writing(False)
            self.crew.line_emptied.set()
            if self.dropped:
                log.info(
                    "worker %d reads again; %d messages for it were dropped",
                    CREW_LETTERS.index(self.letter),
                    self.dropped,
                )
                self.dropped = 0
                self.crew.switchboard.introduce(self.letter)

    def _take_messages(self) -> bytes:
        """Take from the queue as many messages as the other worker takes in one read, or one."""
        taken = [self.messages.popleft()]
        size = len(taken[0])
        while self.messages and size + len(self.messages[0]) <= READ_SIZE:
            size += len(self.messages[0])
            taken.append(self.messages.popleft())
        self.waiting_bytes -= size
        return b"".join(taken)

    def _send_connection(self, connection: socket.socket, early: bytes) -> None:
        message = encode_line_message(HANDED, early)
        try:
            sent = socket.send_fds(self.sock, [message], [connection.fileno()])
        except OSError as error:
            # Linux counts the descriptors that are on their way, and allows no more than may be open.
            if error.errno != errno.ETOOMANYREFS:
                raise
            self.connections.popleft()
            return self.crew.serve(connection, early)
        self.connections.popleft()
        connection.close()
        self.unsent = memoryview(message)[sent:]

    def _set_writing(self, writing: bool) -> None:
        if writing and not self.writing:
            self.crew.watch(self.sock, self._send, writing=True)
        elif self.writing and not writing:
            self.crew.loop.remove_writer(self.sock.fileno())
        self.writing = writing

    def close(self) -> None:
        """End the line; the connections that wait on it come back."""
        if self.crew.lines.get(self.letter) is not self:
            return
        del self.crew.lines[self.letter]
        self._set_writing(False)
        self.crew.loop.remove_reader(self.sock.fileno())
        self.sock.close()
        self.messages.clear()
        self.unsent = memoryview(b"")
        self.crew.line_emptied.set()
        self.crew.switchboard.introduced.set()  # the other worker may have gone without a word
        while self.connections:
            self.crew.serve(*self.connections.popleft())
        # The other worker may live, or have a successor.
        self.crew.look_again(self.crew.connect, self.letter)


class LineReader:
    """The end of another worker's line."""

    __slots__ = ("crew", "sock", "letter", "parser")

    def __init__(self, crew: Crew, sock: socket.socket) -> None:
        self.crew = crew
        self.sock = sock
        self.letter = ""  # the greeting names it
        self.parser = LineParser()
        crew.readers.add(self)
        crew.watch(sock, self._read)

    def _read(self) -> None:
        """Act on what has come: any number of messages, and one descriptor at most."""
        try:
            closes_on_exec = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            data, descriptors, flags, _ = socket.recv_fds(self.sock, READ_SIZE, 1, closes_on_exec)
            self.parser.descriptors += descriptors
            if flags & socket.MSG_CTRUNC:
                self.parser.descriptors.append(None)
            for kind, body, descriptor in self.parser.feed(data):
                self._take(kind, body, descriptor)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, PayloadError) as error:
            log.warning("what worker %r sends cannot be read: %s", self.letter, error)
            data = b""
        if not data:
            self.close()

    def _take(self, kind: int, body: bytes, descriptor: int | None) -> None:
        if not self.letter:
            if descriptor is not None:  # a stranger's
                os.close(descriptor)
            self._greet(kind, body)
        elif kind != HANDED:
            self.crew.receive(self.letter, kind, body)
        elif descriptor is not None:
            self.crew.serve(socket.socket(fileno=descriptor), body)
        else:
            warn_once("descriptors", "out of file descriptors: clients are turned away")

    def _greet(self, kind: int, body: bytes) -> None:
        letter = body.decode("latin-1")
        if kind != GREETING or len(letter) != 1 or letter not in CREW_LETTERS:
            raise PayloadError("no greeting")
        self.letter = letter
        self.crew.greeted_by(self)

    def close(self) -> None:
        """Stop reading: the other worker has gone."""
        if self in self.crew.readers:
            self.crew.readers.discard(self)
            self.crew.loop.remove_reader(self.sock.fileno())
            self.sock.close()
            self.parser.close()
            self.crew.left_by(self)


class Crew:
    """The workers that share *folder*, seen by one of them.

    *take* is called with each connection that another worker hands over, and with the bytes that
    have been read from it. Without a *number*, the worker has the first one that is free.

    Raises OSError for a folder that is not this user's alone, RuntimeError where no number is free.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        take: Callable[[socket.socket, bytes], None],
        number: int | None = None,
    ) -> None:
        if not hasattr(socket, "send_fds"):
            raise RuntimeError("several workers need Unix sockets, which this system does not have")
        self.folder = check_workers_folder(folder)
        self.take = take
        #: The functions that take messages, by kind. Each is called with a worker's letter and a body.
        self.receivers: dict[int, Callable[[str, bytes], None]] = {}
        self.switchboard = Switchboard(self)
        self.lines: dict[str, Line] = {}
        self.readers: set[LineReader] = set()
        self.heard: dict[str, LineReader] = {}  # the readers of the workers that have greeted us
        self.loop: Any = None  # from `open` on
        self.line_emptied = asyncio.Event()
        self.closing = False
        self.number, self.lock = self._claim(number)
        self.letter = CREW_LETTERS[self.number]
        self.listener = self._listen()
        parents_own.add(self)

    def _claim(self, number: int | None) -> tuple[int, int]:
        """Return a number, and the descriptor of the lock that keeps it ours until this process dies."""
        import fcntl  # Windows has none

        for candidate in range(len(CREW_LETTERS)) if number is None else (number,):
            lock = os.open(self.folder / f"{candidate}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return candidate, lock
            except BlockingIOError:
                os.close(lock)
        which = "the number of every worker" if number is None else f"the worker's number {number}"
        raise RuntimeError(f"workers_folder: {which} is taken in {self.folder}")

    def _path(self, number: int) -> str:
        return str(self.folder / f"{number}.socket")

    def _listen(self) -> socket.socket:
        path = self._path(self.number)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # left behind by a worker that had this number, and died
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(path)
        except OSError as error:
            listener.close()
            os.close(self.lock)
            raise OSError(f"workers_folder: cannot listen at {path}: {error}") from None
        listener.listen()
        listener.setblocking(False)
        return listener

    def open(self) -> None:
        """Begin on the loop that runs: greet every worker that is there."""
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()
        self.watch(self.listener, self._accept)
        for letter in CREW_LETTERS:
            self.connect(letter)

    def watch(self, sock: socket.socket, act: Callable[[], None], writing: bool = False) -> None:
        """Have *act* called whenever *sock* can be read from or, with *writing*, written to."""
        add = self.loop.add_writer if writing else self.loop.add_reader
        self.context.run(add, sock.fileno(), act)

    # Who is there.

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptor is left; the other worker waits in the kernel
            log.debug("no worker is let in for a moment: %s", error)
            self.loop.remove_reader(self.listener.fileno())
            return self.look_again(self.watch, self.listener, self._accept)
        sock.setblocking(False)
        if is_of_our_user(sock):
            LineReader(self, sock)
        else:
            sock.close()

    def connect(self, letter: str) -> None:
        """Make a line to a worker, if there is none, and if it listens."""
        if letter == self.letter or letter in self.lines:
            return
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError:  # no descriptor is left
            return self.look_again(self.connect, letter)
        sock.setblocking(False)
        try:
            sock.connect(self._path(CREW_LETTERS.index(letter)))
            if not is_of_our_user(sock):
                raise PermissionError("it is another user's")
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.debug("no line to worker %r: %s", letter, error)
            return sock.close()
        Line(self, letter, sock)
        self.switchboard.introduce(letter)

    def greeted_by(self, reader: LineReader) -> None:
        """Note which worker sends by *reader*, and make the line to it that it may lack."""
        before = self.heard.get(reader.letter)
        if before is not None:
            before.close()  # this reader is that of a successor: the process before has died
        self.heard[reader.letter] = reader
        self.connect(reader.letter)

    def left_by(self, reader: LineReader) -> None:
        """Note that the worker which sent by *reader* has gone."""
        letter = reader.letter
        if self.heard.get(letter) is reader:
            del self.heard[letter]
            if letter in self.lines:
                self.lines[letter].close()
            self.switchboard.forget(letter)

    def look_again(self, act: Callable[..., None], *args: Any) -> None:
        """Call *act* in a moment, unless this worker says goodbye by then."""

        def unless_closing() -> None:
            if not self.closing:
                act(*args)

        self.loop.call_later(LOOK_AGAIN, unless_closing, context=self.context.copy())

    def receive(self, letter: str, kind: int, body: bytes) -> None:
        """Hand a message to the function for its kind, if there is one."""
        receive = self.receivers.get(kind)
        if receive is None:
            return log.debug("nobody takes messages of kind %d from worker %r", kind, letter)
        try:
            receive(letter, body)
        except PayloadError as error:
            log.debug("a message of kind %d from worker %r is dropped: %s", kind, letter, error)
        except Exception:
            log.exception("a message of kind %d from worker %r was lost", kind, letter)

    def serve(self, connection: socket.socket, early: bytes) -> None:
        """Serve a connection that was handed over, or that comes back because nobody took it."""
        try:
            if self.closing:
                connection.close()
            else:
                self.take(connection, early)
        except Exception:
            log.exception("a connection that was handed over could not be served")
            connection.close()

    # The end.

    async def close(self) -> None:
        """Send what waits, within a moment, and leave the crew."""
        if self not in parents_own:
            return
        if self.loop is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._send_all(), LAST_WORDS)
            self.loop.remove_reader(self.listener.fileno())
        self.closing = True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(self.number))
        for end in self._ends():
            end.close()
        self.leave_to_parent()

    def _ends(self) -> list[Line | LineReader]:
        return [*self.lines.values(), *self.readers]

    async def _send_all(self) -> None:
        while not all(line.is_idle for line in self.lines.values()):
            self.line_emptied.clear()
            await self.line_emptied.wait()

    def leave_to_parent(self) -> None:
        """Close every descriptor: one that a forked child kept would hide the death of its parent."""
        for end in self._ends():
            end.sock.close()
        self.lines.clear()
        self.readers.clear()
        self.listener.close()
        if self in parents_own:
            parents_own.discard(self)
            os.close(self.lock)


# The crew is a cluster of its own where the option `cluster` names none: what servers say to each
# other by Redis, workers say on their lines. A line carries these kinds of messages:
#
#     CHANNELS    all channels that the sender listens to, as JSON; it replaces what was known
#     LISTENS     one more channel that the sender listens to
#     DESERTS     a channel that the sender does not listen to any more
#     PUBLISHED   a channel and what the sender publishes there, as `join_parts` joins them

CHANNELS, LISTENS, DESERTS, PUBLISHED = 16, 17, 18, 19


class Channels:
    """A set of channels; a name that ends in a star stands for all that begin like it."""

    __slots__ = ("names", "lengths")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names: set[str] = set()
        # How many names with a star have which length: a search tries one beginning of each length.
        self.lengths: collections.Counter[int] = collections.Counter()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            if name.endswith("*"):
                self.lengths[len(name)] += 1

    def discard(self, name: str) -> None:
        if name in self.names:
            self.names.discard(name)
            if name.endswith("*"):
                self.lengths[len(name)] -= 1
                self.lengths += collections.Counter()  # which drops a length that is not used

    def matching(self, channel: str) -> list[str]:
        """Return the names that mean *channel*."""
        found = [channel] if channel in self.names else []
        for length in self.lengths:
            name = channel[: length - 1] + "*"
            if name in self.names and len(name) == length:
                found.append(name)
        return found


class Switchboard:
    """The channels of a crew: who listens to which, here and at the other workers.

    A message goes to the workers that listen to its channel, and to one that has not said yet to
    what it listens.
    """

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.channels = Channels()  # the hubs of this worker listen to them
        self.receivers: dict[str, Receive] = {}  # by these channels
        self.others: dict[str, Channels] = {}  # by the letter of another worker
        self.introduced = asyncio.Event()  # set when a worker has said to what it listens, or left
        #: The functions to call with a channel, behind the start by which they are found here, and
        #: with the letter of a worker that has deserted it.
        self.watchers: dict[str, Callable[[str, str], None]] = {}
        crew.receivers.update({
            CHANNELS: self._take_channels, LISTENS: self._take_listens, DESERTS: self._take_deserts,
            PUBLISHED: self._take_published,
        })  # fmt: skip

    def publish(self, channel: str, body: bytes, volatile: bool) -> None:
        """Send a message to the workers that listen."""
        message = b""
        for letter, line in list(self.crew.lines.items()):  # a line that breaks is gone at once
            channels = self.others.get(letter)
            if channels is None or channels.matching(channel):
                message = message or join_parts(channel.encode(), body)
                line.send(PUBLISHED, message, volatile)

    def subscribe(self, channel: str, receive: Receive) -> None:
        """Have *receive* called for what the others publish on *channel*."""
        self.receivers[channel] = receive
        self.channels.add(channel)
        self._tell(LISTENS, channel)

    def unsubscribe(self, channel: str) -> None:
        if self.receivers.pop(channel, None) is not None:
            self.channels.discard(channel)
            self._tell(DESERTS, channel)

    async def listeners(self, channel: str) -> list[str]:
        """Return the letters of the workers that listen, once all that are there have said so."""
        lines = self.crew.lines
        while lines.keys() - self.others.keys():
            self.introduced.clear()
            await self.introduced.wait()
        return [letter for letter in lines if channel in self.others[letter].names]

    def introduce(self, letter: str) -> None:
        """Tell all our channels to a worker whose line is new, or has dropped messages."""
        if letter in self.crew.lines:  # a line may break as soon as it is made
            names = STRICT_JSON.encode([*self.channels.names])
            self.crew.lines[letter].send(CHANNELS, names.encode())

    def _tell(self, kind: int, channel: str) -> None:
        for line in list(self.crew.lines.values()):
            line.send(kind, channel.encode())

    def _take_channels(self, letter: str, body: bytes) -> None:
        names = decode_json(decode_ascii(body))
        known = self.others.get(letter, Channels()).names
        self.others[letter] = Channels(decode_names(names))
        self.introduced.set()
        self._note_deserted(letter, known - self.others[letter].names)

    def _take_listens(self, letter: str, body: bytes) -> None:
        if letter in self.others:
            self.others[letter].add(decode_text(body))

    def _take_deserts(self, letter: str, body: bytes) -> None:
        if letter in self.others:
            channel = decode_text(body)
            self.others[letter].discard(channel)
            self._note_deserted(letter, [channel])

    def _take_published(self, letter: str, message: bytes) -> None:
        parts = split_parts(message)
        if len(parts) != 2:
            raise PayloadError("a channel and a body are published")
        channel, body = decode_text(parts[0]), parts[1]
        for name in self.channels.matching(channel):
            self.receivers[name](channel, body, letter)

    def forget(self, letter: str) -> None:
        """Forget a worker that has gone."""
        channels = self.others.pop(letter, Channels())
        self.introduced.set()
        self._note_deserted(letter, channels.names)

    def _note_deserted(self, letter: str, channels: Iterable[str]) -> None:
        for start, watcher in list(self.watchers.items()):
            for channel in channels:
                if channel.startswith(start):
                    watcher(channel[len(start) :], letter)


class LineBus(Bus):
    """The bus of one hub on the lines of its crew.

    A channel begins with the number of its hub on these lines: the hubs of one application do not
    hear each other. A message for a worker that stands still waits in its `Line`.
    """

    def __init__(self, hub: Hub, crew: Crew) -> None:
        self.hub = hub
        self.switchboard = crew.switchboard
        # A hub whose door is hidden has no number; classes have their names.
        self.start = f"{hub.number if hub.number >= 0 else hub.options.__qualname__}#"

    def publish(self, channel: str, body: bytes, volatile: bool = False) -> None:
        self.switchboard.publish(self.start + channel, body, volatile)

    def subscribe(self, channel: str, receive: Receive) -> None:
        def take(name: str, body: bytes, server: str) -> None:
            self.hub.clock.context.run(receive, name[len(self.start) :], body, server)

        self.switchboard.subscribe(self.start + channel, take)

    def unsubscribe(self, channel: str) -> None:
        self.switchboard.unsubscribe(self.start + channel)

    async def listeners(self, channel: str) -> list[str]:
        return await self.switchboard.listeners(self.start + channel)

    def tell_when_gone(self, gone: Callable[[str, str], None]) -> None:
        self.switchboard.watchers[self.start] = gone

    async def close(self) -> None:
        self.switchboard.watchers.pop(self.start, None)


# -- 13. HTTP --------------------------------------------------------------------------
# Every client begins with HTTP, and some stay with it. A request is an `Exchange`, answered once:
#
#     AnswerHeaders          headers and cookies that the application adds to an answer
#     TornadoConnection      the connection of an Exchange: answers, tells its end, can be given up
#     LaneConnection         the same, where Tornado has not read the request, but a `Lane` has
#     Answer                 the part of a long answer that has not left
#     Exchange               one request: a handshake, a POST, a refusal, a client's script
#     Poll                   a GET that waits until its session has something to say
#
# A Poll becomes the outlet of its session in `Exchange.start`, and so does the WebSocket or Stream
# (14) to which an Exchange leaves its connection (`_take_over`). What comes in goes by the Exchange
# of a POST to `Session.received`. What goes out waits in the outbox: `wake` tells the outlet so.


def cors_headers(headers: Headers, dialect: Dialect | None) -> dict[str, str]:
    """Return the headers that let the page at `Origin`, which is admitted, read our answer."""
    origin = headers.get("Origin", "")
    if not origin:
        return {}
    granted = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if dialect is None or not dialect.credentials_need_cookie or headers.get("Cookie", ""):
        granted["Access-Control-Allow-Credentials"] = "true"
    return granted


def preflight_headers(headers: Headers) -> dict[str, str]:
    """Return the headers that tell an admitted page what it may ask.

    [Fetch "CORS-preflight request"]
    """
    asked = headers.get("Access-Control-Request-Headers", "Content-Type")
    granted = {
        "Access-Control-Allow-Headers": asked,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Max-Age": "600",
    }
    # Chrome asks so before a public page may talk to a server in the user's own network.
    if headers.get("Access-Control-Request-Private-Network", "") == "true":
        granted["Access-Control-Allow-Private-Network"] = "true"
    return granted


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
NOT_IN_HEADER = re.compile("[^\t -~\x80-\xff]")
NOT_IN_COOKIE = re.compile("[^!-~\x80-\xff]")
#: The headers that say where an answer ends and what it is: they are the server's.
SERVERS_HEADERS = frozenset(["Connection", "Content-Encoding", "Content-Length", "Content-Type", "Keep-Alive",
                             "Trailer", "Transfer-Encoding", "Upgrade"])  # fmt: skip


def own_header(name: str, value: Any) -> tuple[str, str]:
    """Return a header of the application, as Tornado spells it.

    Raises ValueError for a name or a value that a header cannot have, or that is the server's.
    """
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r:.60} cannot be the name of a header: it is letters, digits and -"
        )
    name = header_name(name)
    if name in SERVERS_HEADERS or name.startswith("Sec-Websocket-"):
        raise ValueError(f"the header {name} is the server's own, and cannot be set")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    elif isinstance(value, datetime.datetime):
        value = tornado.httputil.format_timestamp(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise TypeError(
            f"header {name}: a value is text, a number or a datetime, not {value!r:.60}"
        )
    if NOT_IN_HEADER.search(value):
        raise ValueError(
            f"header {name}: {value!r:.60} has a line end or another control character, or one "
            "that is not Latin-1: it could become a header of its own"
        )
    return name, value


COOKIE_ATTRIBUTES = ("domain", "expires", "path", "expires_days", "max_age", "httponly", "secure",
                     "samesite", "partitioned")  # fmt: skip


def set_cookie_text(name: str, value: Any, **attributes: Any) -> str:
    """Return the value of a Set-Cookie header.

    *attributes* are those of Tornado's `set_cookie`, in any spelling: `max_age` or `maxAge`.
    Raises TypeError for an unknown attribute, ValueError for what no browser would accept.
    """
    known = [squeezed(attribute) for attribute in COOKIE_ATTRIBUTES]
    given: dict[str, Any] = {"path": "/"}
    for attribute, one in attributes.items():
        if squeezed(attribute) not in known:
            raise TypeError(
                f"cookie {name!r:.60}: {attribute} is none of {', '.join(COOKIE_ATTRIBUTES)}"
            )
        given[squeezed(attribute)] = one
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r:.60} cannot be the name of a cookie: it is letters, digits, _ and -"
        )
    value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    if NOT_IN_COOKIE.search(value):
        raise ValueError(
            f"cookie {name}: {value!r:.60} has a blank, a line end or another control character, or "
            "one that is not Latin-1: write it as tornado.escape.url_escape does"
        )
    parts = [f"{name}={http.cookies.SimpleCookie().value_encode(value)[1]}"]
    for attribute in ("Domain", "Path"):
        text = given.get(attribute.lower())
        if text:
            if not isinstance(text, str) or re.search("[^ -:<-~]", text):
                raise ValueError(f"cookie {name}: {text!r:.60} is no {attribute.lower()}")
            parts.append(f"{attribute}={text}")
    expires, days, seconds = (given.get(at) for at in ("expires", "expiresdays", "maxage"))
    try:
        if days is not None and not expires:
            expires = time.time() + days * 86400
        if expires:
            parts.append(f"Expires={tornado.httputil.format_timestamp(expires)}")
        if seconds is not None:
            parts.append(f"Max-Age={int(seconds)}")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"cookie {name}: no time at which it ends: {error}") from None
    parts += [flag for flag in ("HttpOnly", "Secure", "Partitioned") if given.get(flag.lower())]
    samesite = given.get("samesite")
    if samesite is not None and samesite is not False:
        word = "Strict" if samesite is True else str(samesite).capitalize()
        if word not in ("Strict", "Lax", "None"):
            raise ValueError(
                f"cookie {name}: SameSite is Strict, Lax or None, not {samesite!r:.60}"
            )
        parts.append(f"SameSite={word}")
    needs_secure = [part for part in parts if part in ("SameSite=None", "Partitioned")]
    if name.startswith(("__Host-", "__Secure-")):
        needs_secure.append(name)
    if needs_secure and not given.get("secure"):
        raise ValueError(
            f"cookie {name}: browsers drop {needs_secure[0]} without Secure: say secure=True, "
            "which needs https"
        )
    if name.startswith("__Host-") and (given.get("domain") or given["path"] != "/"):
        raise ValueError(f"cookie {name}: browsers drop it unless its path is / without a domain")
    return "; ".join(parts)


def sid_cookie(option: str | Mapping[str, Any], sid: str, secure: bool) -> str:
    """Return the value of the Set-Cookie header that the option `cookie` describes."""
    attributes = {"name": option} if isinstance(option, str) else dict(option)
    name = attributes.pop("name", None)
    if name is None:
        raise TypeError("a cookie has a name: {'name': 'io', 'max_age': 3600}")
    defaults = {"httponly": True, "samesite": "Lax", "secure": secure}
    return set_cookie_text(name, sid, **{**defaults, **attributes})


class AnswerHeaders:
    """Headers and cookies of the application for the answer to one request of a client.

    `SocketIOHandler.set_initial_headers` and `set_answer_headers` get one. Its methods are those
    of Tornado's RequestHandler. They raise ValueError or TypeError for what cannot be a header, such
    as text with a line end.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.headers: dict[str, str] = {}
        self.cookies: list[str] = []

    def set_header(self, name: str, value: Any) -> None:
        """Set a header, in place of one of that name. A `Set-Cookie` takes a list, too."""
        if header_name(str(name)) == "Set-Cookie":
            given = value if isinstance(value, (list, tuple)) else [value]
            self.cookies = [own_header(name, one)[1] for one in given]
        else:
            name, text = own_header(name, value)
            self.headers[name] = text

    def add_header(self, name: str, value: Any) -> None:
        """Add a header beside those of that name: they are joined by commas, cookies are not."""
        name, value = own_header(name, value)
        if name == "Set-Cookie":
            self.cookies.append(value)
        else:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    def clear_header(self, name: str) -> None:
        """Take back a header that was set here; "Set-Cookie" stands for all cookies."""
        self.headers.pop(header_name(name), None)
        if header_name(name) == "Set-Cookie":
            self.cookies = []

    def set_cookie(
        self,
        name: str,
        value: Any,
        domain: str | None = None,
        expires: float | datetime.datetime | None = None,
        path: str | None = "/",
        expires_days: float | None = None,
        **attributes: Any,
    ) -> None:
        """Set a cookie: `set_cookie("seen", "yes", max_age=3600, secure=True, samesite="None")`.

        It takes the place of one of that name that was set here. The attributes are Tornado's:
        domain, expires, path ("/"), expires_days; max_age, httponly, secure, samesite; also
        partitioned. Node's spellings do, too. Raises ValueError for what browsers would drop:
        SameSite=None without Secure.
        """
        named = {"domain": domain, "expires": expires, "path": path, "expires_days": expires_days}
        text = set_cookie_text(name, value, **named, **attributes)
        others = [cookie for cookie in self.cookies if not cookie.startswith(f"{name}=")]
        self.cookies = [*others, text]

    def set_signed_cookie(
        self, name: str, value: str | bytes, expires_days: float | None = 30,
        version: int | None = None, **attributes: Any,
    ) -> None:  # fmt: skip
        """Set a cookie for `get_signed_cookie`; the application needs the setting `cookie_secret`."""
        secret = self.settings.get("cookie_secret")
        if not secret:
            raise ValueError("signed cookies need the application setting cookie_secret")
        key_version = self.settings.get("key_version") if isinstance(secret, dict) else None
        signed = tornado.web.create_signed_value(
            secret, name, value, version=version, key_version=key_version
        )
        self.set_cookie(name, signed, expires_days=expires_days, **attributes)

    def clear_cookie(self, name: str, **attributes: Any) -> None:
        """Have the browser forget a cookie; *attributes* must be those with which it was set."""
        self.set_cookie(name, "", **{"expires": 1, **attributes})

    def add_to(self, headers: dict[str, str]) -> Sequence[str]:
        """Add the headers to those of the server, and return the cookies."""
        vary = [one["Vary"] for one in (headers, self.headers) if "Vary" in one]
        headers |= self.headers
        if vary:
            headers["Vary"] = ", ".join(vary)
        return self.cookies


def head_lines(headers: Mapping[str, str], cookies: Sequence[str] = ()) -> list[str]:
    """Return the lines of an HTTP head."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return lines + [f"Set-Cookie: {cookie}" for cookie in cookies]


class LoggedRequest:
    """A request that was answered, in the role that a handler has for the setting `log_function`."""

    def __init__(self, application: tornado.web.Application, request: Any, status: int) -> None:
        self.application = application
        self.settings = application.settings
        self.request = request
        self.status = status

    def get_status(self) -> int:
        """Return the status of the answer, as a RequestHandler does."""
        return self.status

    def _request_summary(self) -> str:
        request = self.request
        return f"{request.method} {request.uri} ({request.remote_ip})"


def accepts_gzip(headers: Headers) -> bool:
    for entry in headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = entry.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


CLIENT_CDN = "https://cdn.socket.io/4.8.1/"


def client_file(
    client_path: str | os.PathLike[str] | None, name: str, known_etags: str
) -> tuple[int, str, bytes, dict[str, str]]:
    """Return status, type, body and headers of the answer that brings *name*, a client's script.

    It comes from *client_path*, a file or a folder with it; without that, the public CDN has it.
    *known_etags* is the If-None-Match of the request.
    """
    if client_path is None:
        return 302, TEXT, b"", {"Location": CLIENT_CDN + name}
    path = pathlib.Path(client_path)
    if path.is_dir():
        path /= name
    elif name.endswith(".map"):
        path = path.with_name(f"{path.name}.map")
    try:
        data = path.read_bytes()
    except OSError as error:
        warn_once("client_path", "client_path: %s", error)
        return 404, TEXT, b"no such file: see client_path", {}
    etag = f'W/"{hashlib.sha1(data).hexdigest()}"'  # weak: compressed or not
    caching = {"Etag": etag, "Cache-Control": "no-cache"}
    if etag in known_etags:
        return 304, "", b"", caching
    return 200, "application/json" if name.endswith(".map") else SCRIPT, data, caching


class Answer:
    """An HTTP answer that has not all left; `Hub.close` waits for it.

    It has a *session* if it carries messages, and its bytes count as that session's unsent ones. If
    the connection dies before all of them have left, we cannot know how many messages have arrived.
    The session ends: a new one is better than a silent gap.
    """

    __slots__ = ("hub", "session", "abort", "unsent_bytes")

    def __init__(
        self, hub: Hub, session: Session | None, abort: Callable[[], None], unsent_bytes: int
    ) -> None:
        self.hub = hub
        self.session = session
        self.abort = abort  # closes the connection in the middle of the answer
        self.unsent_bytes = unsent_bytes
        hub.connections.add(self)
        if session is not None:
            session.answers = (*session.answers, self)

    def progress(self, unsent_bytes: int) -> None:
        """Note that some has left."""
        self.unsent_bytes = unsent_bytes
        if self.session is not None:
            self.session.ease()

    def over(self, whole: bool) -> None:
        """Note that the *whole* answer has left, or that its connection has ended before."""
        self.unsent_bytes = 0
        self.hub.connections.discard(self)
        self.hub.check_if_empty()
        session = self.session
        if session is not None:
            session.answers = tuple([one for one in session.answers if one is not self])
            session.ease()
            if not whole:
                session.end("transport error")


def encode_head(request: tornado.httputil.HTTPServerRequest) -> bytes:
    """Write the line and the headers of *request* as the client has sent them."""
    lines = [f"{request.method} {request.uri} {request.version}"]
    for name, value in request.headers.get_all():
        # Tornado has renamed this one where it is to unpack the body.
        if name == "X-Consumed-Content-Encoding":
            name = "Content-Encoding"
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class TornadoConnection:
    """The connection of an Exchange whose request Tornado has read."""

    __slots__ = ("http", "handed", "closes", "drains")

    def __init__(self, http: HTTP1Connection) -> None:
        self.http: Any = http  # a type checker would doubt its stream, which it has until `detach`
        self.handed = False  # another worker has handed over the connection with this request
        self.closes = False  # the answer is the last on this connection
        self.drains = False  # the answer leaves before the body has come, which nobody wants
        stream: Any = http.stream
        if isinstance(stream, EarlyStream):
            self.handed, stream.handed = stream.handed, False

    def is_alive(self) -> bool:
        """Tell whether the client can still be answered."""
        return not self.http.stream.closed()

    def tell_when_closed(self, exchange: Exchange) -> None:
        """Have *exchange* told when the client goes before its answer."""
        self.http.set_close_callback(exchange.on_connection_close)

    def body_size(self, headers: Headers) -> int:
        """Return the declared size of the body, 0 where that is unknown or nonsense."""
        length = headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0

    def watch_closing(self, exchange: Exchange) -> None:
        """Have *exchange* told at once: Tornado would look only after the body."""
        self.http.stream.set_close_callback(exchange.on_connection_close)

    def answer(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        hub: Hub,
        session: Session | None = None,
        cookies: Sequence[str] = (),
    ) -> None:
        """Send the answer; *session* is given if it carries messages of one."""
        if self.closes:
            headers["Connection"] = "close"
        reason = http.client.responses.get(status, "Refused")
        line = tornado.httputil.ResponseStartLine("HTTP/1.1", status, reason)
        piece, rest = body[:READ_SIZE], memoryview(body)[READ_SIZE:]
        fields = tornado.httputil.HTTPHeaders(headers)
        for cookie in cookies:
            fields.add("Set-Cookie", cookie)
        self.http.write_headers(line, fields, piece)
        if rest:
            answer = Answer(hub, session, self.http.stream.close, len(rest))
            hub.clock.spawn(self._write_rest(rest, answer))
            return
        if session is not None:
            self._watch_writing(hub, session)
        elif self.closes:
            self._close_when_sent()
        elif self.drains:
            # Tornado closes a connection that is finished before its body, even with bytes unread.
            # Then it is reset, which can destroy the answer.
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.body_read)
            return
        self.http.finish()

    def body_read(self) -> None:
        """Go on to the next request, or end the connection if the body has not come by now."""
        if self.drains:
            self.drains = False
            self.http.finish()

    async def _write_rest(self, rest: memoryview, answer: Answer) -> None:
        """Write a long answer piece by piece: so it can be seen whether the client reads it."""
        stream, patience = self.http.stream, answer.hub.options.close_timeout
        whole = False
        try:
            while rest:
                self.http.write(bytes(rest[:READ_SIZE]))
                rest = rest[READ_SIZE:]
                left = asyncio.ensure_future(stream.write(b""))  # done when all before it has left
                await asyncio.wait([left], timeout=patience)
                if not left.done():
                    stream.close()
                answer.progress(len(rest))
                await left
            # A client that has read the last byte may have closed the connection by now.
            whole = True
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            answer.over(whole)
        if not stream.closed():
            self.http.finish()

    def _watch_writing(self, hub: Hub, session: Session) -> None:
        """Notice whether all of a short answer leaves, within `close_timeout`."""
        stream = self.http.stream
        try:
            left = asyncio.ensure_future(stream.write(b""))  # done when all before it has left
        except tornado.iostream.StreamClosedError:
            return session.end("transport error")
        if left.done():
            if left.exception() is not None:
                session.end("transport error")
            return
        answer = Answer(hub, session, stream.close, 0)
        impatience = asyncio.get_running_loop().call_later(hub.options.close_timeout, stream.close)

        def written(left: asyncio.Future[None]) -> None:
            impatience.cancel()
            answer.over(whole=left.exception() is None)

        left.add_done_callback(written)

    def _close_when_sent(self) -> None:
        stream = self.http.stream

        def written(left: asyncio.Future[None]) -> None:
            left.exception()
            stream.close()

        with contextlib.suppress(tornado.iostream.StreamClosedError):
            asyncio.ensure_future(stream.write(b"")).add_done_callback(written)

    async def give_up(self, protocol: TakenOver) -> None:
        """Leave the connection to *protocol*."""
        await take_over(self.http.detach(), protocol)

    def hand_over(self, line: Line, request: tornado.httputil.HTTPServerRequest) -> bool:
        """Give the connection to another worker, which reads *request* anew; False if it cannot move.

        A TLS connection cannot: its keys are in this process.
        """
        if isinstance(self.http.stream, tornado.iostream.SSLIOStream):
            return False
        try:
            sock, early = release_socket(self.http.detach())
        except OSError as error:
            log.debug("connection not handed over: %s", error)
        else:
            line.hand_over(sock, encode_head(request) + early)
        return True

    def return_to_lane(self) -> LaneConnection | None:
        """Give the connection back to the lane that gave it to Tornado.

        None if no lane did, or if the client has hung up behind its request.
        """
        stream = self.http.stream
        if not isinstance(stream, EarlyStream) or stream.lane is None or stream.closed():
            return None
        self.http.detach()
        return stream.return_to_lane()


# How requests come past Tornado, whose loop of requests is four fifths of what a poll or a POST
# costs. The lane looks at the bytes of a connection, with MSG_PEEK, before it takes any. It takes a
# request that is plain and ours. It gives everything else to Tornado, which finds every byte as it
# came: the lane is no second HTTP server. What it does not understand completely it has not touched.

PLAIN_LINE = re.compile(
    rf"(GET|POST) (/[!->@-~]*)\?({POLL_QUERY.pattern}|[!-~]*) HTTP/1\.1\r\n", re.ASCII
)
# A request line that names a session, in its path or its query.
SID_IN_LINE = re.compile(
    rf"[A-Z]{{3,7}} [!-~]*?(?:[?&]sid=|/(?:{'|'.join(TRANSPORTS)})/)([0-9A-Za-z_-]{{20}})[/?& ]",
    re.ASCII,
)
PLAIN_HEADERS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+")
PLAIN_HEADER = re.compile(r"([^:]+):[ \t]*([^\r]*)\r\n")
PLAIN_HOST = re.compile(r"[0-9A-Za-z.:_\[\]-]+", re.ASCII)
PLAIN_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)
# Headers that ask for what only Tornado does.
NOT_PLAIN = frozenset(["Transfer-Encoding", "Expect", "Content-Encoding"])
BODY_HEADERS = ("Content-Length", "Transfer-Encoding", "Expect")


@functools.lru_cache(1000)
def header_name(name: str) -> str:
    """Return the name of a header as Tornado spells it."""
    return "-".join([part.capitalize() for part in name.split("-")])


def parse_plain_headers(lines: str) -> Headers | None:
    """Return the headers in *lines*; None if they are not plain."""
    if not PLAIN_HEADERS.fullmatch(lines):
        return None
    fields = PLAIN_HEADER.findall(lines)
    headers = {header_name(name): value.rstrip(" \t") for name, value in fields}
    if len(headers) < len(fields) or not NOT_PLAIN.isdisjoint(headers):
        return None
    if not PLAIN_HOST.fullmatch(headers.get("Host", "")):
        return None
    # Not all of this file asks for the headers of an upgrade in Tornado's spelling.
    return tornado.httputil.HTTPHeaders(headers) if "Upgrade" in headers else headers


def parse_plain_query(query: str) -> dict[str, list[bytes]]:
    """Return the arguments in *query* as Tornado parses them."""
    if "%" in query or "+" in query:
        return tornado.escape.parse_qs_bytes(query, keep_blank_values=True)
    arguments: dict[str, list[bytes]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            arguments.setdefault(name, []).append(value.encode("ascii"))
    return arguments


@dataclasses.dataclass(slots=True)
class PlainHead:
    """The headers of a plain request, and what they say about it."""

    lines: str  #: the text of the headers, as it came
    headers: Headers
    body_size: int
    is_last: bool  #: the connection ends with the answer, by Tornado's rule


NO_HEAD = PlainHead("", {}, 0, False)


@functools.lru_cache(1000)
def status_line(status: int) -> str:
    """Return the first line of an answer."""
    return f"HTTP/1.1 {status} {http.client.responses.get(status, 'Refused')}\r\n"


class PlainRequest(tornado.httputil.HTTPServerRequest):
    """A plain request, of which most attributes are made only when somebody asks for one of them.

    Tornado's constructor would take 15 µs, and the headers of a browser 3 kB. The lane needs
    little of that; a matcher or a handler of the application finds it all.
    """

    protocol: str
    arrived: float  #: by `time.time()`

    version = "HTTP/1.1"
    tail = ""

    def __init__(
        self, connection: LaneConnection, method: str, path: str, query: str, lines: str
    ) -> None:
        self.connection: Any = connection
        self.method = method
        self.path = path
        self.query = query
        self.lines = lines  # the text of the headers
        self.remote_ip = connection.remote_ip

    def note_arrival(self) -> None:
        """Note what is forgotten when the session that begins lets go of the connection."""
        self.arrived, self.protocol = time.time(), self.connection.lane.protocol

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that is missing; with it all others are made, by Tornado's constructor."""
        known = dict(vars(self))
        if "arguments" in known or "lines" not in known:  # all are made, or this is a bare copy
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if "arrived" not in known:
            self.note_arrival()
            known = dict(vars(self))
        super().__init__(
            # The query is parsed below.
            start_line=tornado.httputil.RequestStartLine(self.method, self.path, self.version),
            headers=tornado.httputil.HTTPHeaders(parse_plain_headers(self.lines) or {}),
        )
        self.uri = f"{known['path']}?{known['query']}"
        self.arguments = parse_plain_query(known["query"])
        self.query_arguments = parse_plain_query(known["query"])
        vars(self).update(known)
        return getattr(self, name)

    def request_time(self) -> float:
        """Return the seconds since the request came."""
        return time.time() - self.arrived

    @property
    def sid(self) -> str:
        if "sid=" not in self.query and "%" not in self.query:
            return ""
        return parse_plain_query(self.query).get("sid", [b""])[0].decode("latin-1")


class LaneConnection:
    """A connection that a `Lane` serves, in the role that `TornadoConnection` has for an Exchange.

    It waits for a request, then for the rest of a body, then for the answer by its Exchange, then
    for the answer to leave; after the last one it reads away what still comes. The lane's sweep
    meets its `deadline`. A second request waits in the kernel.
    """

    __slots__ = (
        "lane", "sock", "address", "remote_ip", "received_before", "heads", "head", "head_size",
        "exchange", "missing", "closes", "ending", "reading", "unsent", "answer_under_way", "deadline",
        "handed",
    )  # fmt: skip

    def __init__(
        self, lane: Lane, sock: socket.socket, address: Any, received_before: bytes = b""
    ) -> None:
        self.lane = lane
        self.sock = sock
        self.address = address
        # The client's address as Tornado gives it, also for a Unix socket.
        self.remote_ip = address[0] if isinstance(address, tuple) else "0.0.0.0"
        # What was read ahead, by Tornado or another worker, before the connection came to this lane.
        self.received_before = received_before
        # Another worker has handed it over with the request that comes next, which travels no further.
        self.handed = False
        # By method: the headers of the last request, which mostly come again.
        self.heads: dict[str, PlainHead] = {}
        self.head, self.head_size = NO_HEAD, 0  # the head of the request that is served
        self.exchange: Exchange | None = None  # the one that owes an answer
        self.missing = 0  # bytes of its body that have yet to come
        self.closes = False  # the answer is the last on this connection
        self.ending = False  # the last answer has left
        self.reading = False
        self.unsent: bytes | memoryview = b""  # the rest of an answer
        self.answer_under_way: Answer | None = None
        self.deadline = math.inf
        lane.add(self)
        with contextlib.suppress(OSError):  # a Unix socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_reading(self, reading: bool) -> None:
        if reading and not self.reading:
            # A page that Tornado has served may have left something in the context of now.
            self.lane.context.run(self.lane.loop.add_reader, self.sock.fileno(), self._readable)
        elif self.reading and not reading:
            self.lane.loop.remove_reader(self.sock.fileno())
        self.reading = reading

    def wait_for_request(self) -> None:
        self.deadline = self.lane.loop.time() + self.lane.idle_seconds
        if not self.reading:
            self.set_reading(True)

    # In.

    def _readable(self) -> None:
        try:
            if self.exchange is None:
                self._look()
            elif self.missing:
                data = self.sock.recv(min(self.missing, READ_SIZE))
                self._take_body(self.exchange, data) if data else self.close()
            elif self.sock.recv(1, socket.MSG_PEEK):
                self.set_reading(False)  # the next request waits for the answer to this one
            else:
                self.close()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
        except Exception:  # a fault of ours: the client shall not wait for ever
            log.exception("a request could not be served")
            self.close()

    def _look(self) -> None:
        """Serve the request that lies there, or leave it to Tornado."""
        if self.unsent:  # a request must not overtake the answer before it
            return
        if self.ending:
            return None if self.sock.recv(READ_SIZE) else self.close()
        data = self.sock.recv(self.lane.max_head, socket.MSG_PEEK)
        if not data:
            return self.close()
        text = data.decode("latin-1")
        plain, words = self._parse(text)
        exchange = None if plain is None else self.lane.find(plain, self.head, words)
        if exchange is None:
            return self.lane.pass_on(self, text)
        head, size = self.head, self.head_size
        taken = self.sock.recv(min(size + head.body_size, READ_SIZE))
        self.deadline = math.inf
        self.exchange, self.missing, self.closes = exchange, head.body_size, head.is_last
        pending = exchange.begin()
        if pending is not None:
            exchange.hub.clock.spawn(self._go_on_when(pending, exchange))
        elif self.exchange is not exchange:
            pass  # refused for its size
        elif head.body_size:
            self._take_body(exchange, taken[size:])
        else:
            exchange.finish()

    def _parse(self, text: str) -> tuple[PlainRequest | None, Sequence[str]]:
        """Return the request that *text* begins with, if its head is whole and plain.

        Behind it are the words of its query, for `parse_poll`.
        """
        line = PLAIN_LINE.match(text)
        if line is None:
            return None, ()
        method, path, query, *words = line.groups("")
        if not words[0] and ("EIO=" not in query or query.count("&") >= MAX_PLAIN_PARAMETERS):
            return None, ()
        start = line.end()
        end = text.find("\r\n\r\n", start - 2) + 2
        lines, head = text[start:end], self.heads.get(method)
        if head is None or lines != head.lines:
            head = self.lane.parse_head(method, lines)
            if head is None:
                return None, ()
            self.heads[method] = head
        self.head, self.head_size = head, end + 2
        return PlainRequest(self, method, path, query, lines), words

    async def _go_on_when(self, pending: Awaitable[None], exchange: Exchange) -> None:
        """Serve a GET, which has no body, once *pending* has let it in."""
        try:
            await pending
            if self.exchange is exchange:
                self.set_reading(True)
                exchange.finish()
        except Exception:  # a fault of ours, as above
            log.exception("a request could not be served")
            self.close()

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        self.missing -= len(data)
        if data:
            exchange.data_received(data)
            if self.exchange is not exchange:
                return  # refused for its size
        if not self.missing:
            self.deadline = math.inf
            exchange.finish()
        elif self.deadline == math.inf:
            self.deadline = self.lane.loop.time() + self.lane.body_seconds

    def go_on(self, exchange: Exchange) -> None:
        """Serve *exchange*, whose request Tornado has read to its last byte."""
        self.exchange = exchange
        self.closes = self.lane.is_last(exchange.headers)
        self.set_reading(True)
        exchange.finish()

    # Out: see TornadoConnection.

    def is_alive(self) -> bool:
        return self.exchange is not None

    def tell_when_closed(self, exchange: Exchange) -> None:
        """Do nothing: a connection knows its exchange."""

    watch_closing = tell_when_closed

    def body_size(self, headers: Headers) -> int:
        return self.head.body_size

    def answer(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        hub: Hub,
        session: Session | None = None,
        cookies: Sequence[str] = (),
    ) -> None:
        if self.closes or self.missing or self.lane.closing:
            self.closes, self.missing = True, 0
            headers["Connection"] = "close"
        lines = "\r\n".join(
            head_lines(headers, cookies) if cookies else map(": ".join, headers.items())
        )
        data = f"{status_line(status)}{lines}\r\n\r\n".encode("latin-1") + body
        self.exchange, self.unsent = None, data
        self.lane.send_soon(self, hub, session)

    def send(self, hub: Hub, session: Session | None) -> None:
        """Send an answer, or as much of it as the socket takes."""
        data = self.unsent
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:  # the socket has been closed, here or there
            self.unsent = b""
            self.close()
            return session.end("transport error") if session is not None else None
        if sent == len(data):
            self.unsent = b""
            if self.closes or self.received_before:
                return self._answered()
            return self.wait_for_request()
        self.set_reading(False)
        self.unsent = memoryview(data)[sent:]
        self.answer_under_way = Answer(hub, session, self.close, len(self.unsent))
        self.deadline = self.lane.loop.time() + hub.options.close_timeout
        self.lane.context.run(self.lane.loop.add_writer, self.sock.fileno(), self._writable)

    def _writable(self) -> None:
        """Send more of an answer; the client has `close_timeout` to take some each time."""
        answer = self.answer_under_way
        assert answer is not None
        try:
            self.unsent = self.unsent[self.sock.send(self.unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            return self.close()
        if self.unsent:
            self.deadline = self.lane.loop.time() + answer.hub.options.close_timeout
            return answer.progress(len(self.unsent))
        self.lane.loop.remove_writer(self.sock.fileno())
        self.unsent, self.answer_under_way = b"", None
        self._answered()
        answer.over(whole=True)

    def _answered(self) -> None:
        """Wait for the next request, or end: the answer has left."""
        if self.closes:
            # A connection that is closed with bytes unread is reset, which can destroy the answer.
            self.ending = True
            self.deadline = self.lane.loop.time() + LINGER_SECONDS
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)
            self.set_reading(True)
        elif self.received_before:
            self.lane.give_to_tornado(self)
        else:
            self.wait_for_request()

    async def give_up(self, protocol: TakenOver) -> None:
        if self.exchange is None:
            return  # closed meanwhile
        self.exchange = None
        await adopt(self.release(), protocol)

    # The end.

    def release(self) -> socket.socket:
        """Let go of the socket, from which nothing has been taken that was not served."""
        self.set_reading(False)
        self.lane.forget(self)
        return self.sock

    def close(self) -> None:
        """Hang up; what was under way is told."""
        if self not in self.lane.connections:
            return
        exchange, self.exchange = self.exchange, None
        answer, self.answer_under_way = self.answer_under_way, None
        if answer is not None:
            self.lane.loop.remove_writer(self.sock.fileno())
        self.release().close()
        if exchange is not None:
            exchange.on_connection_close()
        if answer is not None:
            answer.over(whole=False)

    def end_when_idle(self) -> None:
        """Close as soon as no answer is owed, nor on its way."""
        self.closes = True
        if self.exchange is None and not self.unsent and not self.ending:
            self.close()


class EarlyStream(tornado.iostream.IOStream):
    """A connection of which some bytes may have been read before: these come first.

    If *handed*, another worker has handed it over with its first request. A connection that a
    *lane* leaves to Tornado may come back to it.
    """

    def __init__(
        self,
        sock: socket.socket,
        address: Any,
        early: bytes,
        handed: bool,
        lane: Lane | None,
        **options: Any,
    ) -> None:
        super().__init__(sock, **options)
        self.address = address
        self.early = early
        self.handed = handed
        self.lane = lane
        self.returns = False

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if not self.early:
            return super().read_from_fd(buf)
        size = min(len(self.early), len(buf))
        buf[:size] = self.early[:size]
        self.early = self.early[size:]
        return size

    def close_fd(self) -> None:
        if not self.returns:
            super().close_fd()

    def return_to_lane(self) -> LaneConnection:
        self.returns = True
        self.close()
        received, sock = left_in(self), self.socket
        assert sock is not None and self.lane is not None
        return LaneConnection(self.lane, sock, self.address, received)


class Lane:
    """The connections of one server that Tornado does not read. It tells which requests are ours.

    Ours is a request with the sid of a living session of this application, at the path where that
    session began. A request without a sid is ours if the application's router gives an Exchange.
    """

    #: The options of HTTPServer that the lane knows. With any other there is no lane.
    OPTIONS = frozenset([
        "no_keep_alive", "xheaders", "ssl_options", "protocol", "decompress_request", "chunk_size",
        "max_header_size", "idle_connection_timeout", "body_timeout", "max_body_size",
        "max_buffer_size", "trusted_downstream",
    ])  # fmt: skip

    def __init__(self, server: SocketIOServer, options: dict[str, Any]) -> None:
        self.server = server
        self.application: Any = server.application
        self.no_keep_alive = bool(options.get("no_keep_alive"))
        self.protocol = options.get("protocol") or "http"
        self.max_head = min(MAX_PLAIN_HEAD, options.get("max_header_size") or MAX_PLAIN_HEAD)
        most = server.max_buffer_size or 100 * 1024 * 1024  # Tornado's own limit
        self.max_body = most if options.get("max_body_size") is None else options["max_body_size"]
        self.idle_seconds = options["idle_connection_timeout"] or 3600.0
        self.body_seconds = options["body_timeout"] or math.inf
        # With xheaders the client's address is in headers, by rules that only Tornado knows.
        self.shakes_hands = not options.get("xheaders")
        # An application with a `find_handler` of its own may choose a handler by anything.
        find_handler = type(self.application).find_handler
        self.routes_plainly = find_handler is tornado.web.Application.find_handler
        self.connections: set[LaneConnection] = set()
        # The answers of this turn, with the hub and the session of each.
        self.answers: list[tuple[LaneConnection, Hub, Session | None]] = []
        self.sweep_seconds = min(1.0, self.idle_seconds / 4, self.body_seconds / 4)
        self.sweeping = False
        self.closing = False
        self.empty = asyncio.Event()  # set when no connection is left, after the goodbye
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()
        self.hub: Hub | None = None  # the hub of the last request

    @classmethod
    def obstacle(cls, server: SocketIOServer, options: Set[str]) -> str | None:
        """Tell why *server* can have no lane."""
        for owner, base, names in (
            (type(server), SocketIOServer, ("handle_stream", "start_request", "on_close")),
            (type(server.application), tornado.web.Application, ("start_request",)),
        ):
            for name in names:
                if getattr(owner, name) is not getattr(base, name):
                    return f"{owner.__name__} overrides {name}"
        unknown = options - cls.OPTIONS
        return f"its option {min(unknown)} is unknown" if unknown else None

    def take(self, sock: socket.socket, address: Any) -> None:
        """Serve a connection that has come; NotImplementedError if the loop watches no sockets.

        Such is the loop of Windows.
        """
        connection = LaneConnection(self, sock, address)
        try:
            connection.wait_for_request()
        except NotImplementedError:
            self.connections.discard(connection)
            raise

    def send_soon(self, connection: LaneConnection, hub: Hub, session: Session | None) -> None:
        """Send the answer of *connection* at the end of this turn, behind those that came before.

        A proxy or another reader on this machine is woken once by all answers of a turn, which
        else is a tenth of what an echo over long-polling takes.
        """
        if not self.answers:
            self.loop.call_soon(self._send_answers, context=self.context.copy())
        self.answers.append((connection, hub, session))

    def _send_answers(self) -> None:
        answers, self.answers = self.answers, []
        for connection, hub, session in answers:
            try:
                connection.send(hub, session)
            except Exception:  # a fault of ours: the other clients shall have their answers
                log.exception("an answer could not be sent")
                connection.close()

    def add(self, connection: LaneConnection) -> None:
        self.connections.add(connection)
        if not self.sweeping:
            self._sweep()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in [one for one in self.connections if one.deadline <= now]:
            connection.close()
        self.sweeping = bool(self.connections)
        if self.sweeping:
            self.loop.call_later(self.sweep_seconds, self._sweep, context=self.context)

    def is_last(self, headers: Headers) -> bool:
        """Tell, by Tornado's rule, whether a request with *headers* ends its connection."""
        return self.no_keep_alive or headers.get("Connection", "").lower() == "close"

    def parse_head(self, method: str, lines: str) -> PlainHead | None:
        """Return the headers in *lines*; None if they are not plain."""
        headers = parse_plain_headers(lines)
        if headers is None or ("Content-Length" in headers) != (method == "POST"):
            return None
        length = headers.get("Content-Length", "0")
        if not PLAIN_LENGTH.fullmatch(length) or int(length) > self.max_body:
            return None
        return PlainHead(lines, headers, int(length), self.is_last(headers))

    def find(self, plain: PlainRequest, head: PlainHead, words: Sequence[str]) -> Exchange | None:
        """Return the Exchange for a request that is ours; see `parse_poll` for the *words*."""
        hub = self.hub
        dialects = DIALECTS if hub is None else hub.dialects
        request = parse_poll(plain.method, words, head.headers, dialects)
        sid = plain.sid if request is None else request.sid
        if not sid:
            return self._ask_router(plain, request) if self.shakes_hands else None
        session = None if hub is None else hub.session(sid)
        if session is None:
            self.hub = hub = self._hub_of(sid)
            session = None if hub is None else hub.session(sid)
            request = None  # another hub's dialects are others
        if hub is None or session is None:
            return None
        begun = session.http_request
        if begun.path != plain.path or begun.tail not in ENGINE_TAILS:
            return None
        plain.tail = begun.tail
        return Exchange(hub, plain, request, session)

    def _hub_of(self, sid: str) -> Hub | None:
        for hub in application_hubs.get(self.application, ()):
            if hub.clock.loop is self.loop and sid in hub.sessions:
                return hub
        return None

    def _ask_router(self, plain: PlainRequest, request: Request | None) -> Exchange | None:
        plain.note_arrival()
        try:
            door = (
                find_door(self.application.default_router, plain) if self.routes_plainly else None
            )
            exchange: Any = (self.application if door is None else door).find_handler(plain)
        except Exception:  # Tornado will meet it again, and knows how to tell
            return None
        if not isinstance(exchange, Exchange) or plain.tail not in ENGINE_TAILS:
            return None
        if exchange.hub.closing:  # another worker may serve it
            return None
        if exchange.hub is self.hub:
            exchange.request = request
        self.hub = exchange.hub
        return exchange

    def pass_on(self, connection: LaneConnection, text: str) -> None:
        """Give a connection, untouched, to the worker that its request names, or to Tornado.

        *text* begins with that request, which may be one that no lane takes.
        """
        if self.server.crew is not None and not connection.handed:
            line = self._line_for(text)
            if line is not None:
                return line.hand_over(connection.release())
        self.give_to_tornado(connection)

    def _line_for(self, text: str) -> Line | None:
        """Return the line to the worker that the sid in *text* names, if it names just one."""
        match = SID_IN_LINE.match(text)
        sid = "" if match is None else match[1]
        hubs = application_hubs.get(self.application, ())
        if sid and any(sid in hub.sessions for hub in hubs):
            return None
        lines = {line for hub in hubs if (line := hub.line_for(sid)) is not None and line.has_room}
        # Routes whose sid_prefix differ may read two letters in one sid: Tornado finds the route.
        return lines.pop() if len(lines) == 1 else None

    def take_handed(self, sock: socket.socket, address: Any) -> None:
        """Serve the request with which another worker has handed over its connection."""
        connection = LaneConnection(self, sock, address)
        connection.handed = True
        connection.wait_for_request()
        connection._readable()
        connection.handed = False

    def give_to_tornado(self, connection: LaneConnection) -> None:
        sock, early = connection.release(), connection.received_before
        self.server.serve_by_tornado(sock, connection.address, early, connection.handed, self)

    def forget(self, connection: LaneConnection) -> None:
        self.connections.discard(connection)
        if self.closing and not self.connections:
            self.empty.set()

    async def close(self) -> None:
        """Close what is idle at once, the rest when its answer has left.

        After `LINGER_SECONDS` all are closed.
        """
        self.closing = True
        for connection in list(self.connections):
            connection.end_when_idle()
        if self.connections:
            self.loop.call_later(LINGER_SECONDS, self.close_all)
            await self.empty.wait()

    def close_all(self) -> None:
        for connection in list(self.connections):
            connection.close()


NO_HEADERS: Headers = types.MappingProxyType({})


class Exchange(tornado.httputil.HTTPMessageDelegate):
    """An HTTP request of a client, from its headers to its one answer.

    A GET that polls has a `Poll` as well. No RequestHandler is made: a poll and a POST cost 40 %
    less, and a body is refused by its size while it arrives.
    """

    # Few requests give all of these a value of their own.
    client_context: contextvars.Context | None = None  # a session that it begins will have it
    refused: Refused | None = None
    body: bytes | bytearray = b""
    # Of a POST: engine packets that have yet to be worked off. It waits for its answer when
    # there are none left and the session does not read; it has none before its body is whole.
    packets: collections.deque[EnginePacket] | None = None
    own_headers: AnswerHeaders | None = None  # headers that the application adds to the answer
    answered = False

    def __init__(
        self,
        hub: Hub,
        http_request: Any,
        request: Request | None = None,
        session: Session | None = None,
    ) -> None:
        self.hub = hub
        # An HTTPServerRequest or PlainRequest; `Resource` has noted tail and groups on it.
        self.http_request = http_request
        connection = http_request.connection
        self.connection: TornadoConnection | LaneConnection
        self.headers: Headers
        if isinstance(connection, LaneConnection):
            self.connection, self.headers = connection, connection.head.headers
        else:
            self.connection, self.headers = TornadoConnection(connection), http_request.headers
        self.request = request  # parsed by `begin`, if not before
        self.session = session
        self.admitted = hub.admits(self.headers)

    # What Tornado or a LaneConnection calls.

    def headers_received(self, start_line: Any, headers: Any) -> Awaitable[None] | None:
        pending = self.begin()
        if pending is None and not self.answered and isinstance(self.connection, TornadoConnection):
            self._return_to_lane(self.connection)
        return pending

    def _return_to_lane(self, connection: TornadoConnection) -> None:
        """Be served on the lane, if nothing is left to read: what follows may be plain."""
        request = self.http_request
        whole = not any(name in self.headers for name in BODY_HEADERS)
        plain = whole and request.method == "GET" and request.version == "HTTP/1.1"
        if plain and request.tail in ENGINE_TAILS and not connection.closes:
            on_lane = connection.return_to_lane()
            if on_lane is not None:
                self.connection = on_lane
                on_lane.go_on(self)

    def begin(self) -> Awaitable[None] | None:
        """Find the session, refuse, or take the connection over: the headers are there."""
        if self.hub.log_function is not None and isinstance(self.http_request, PlainRequest):
            self.http_request.note_arrival()
        self.connection.tell_when_closed(self)
        try:
            if self.request is None:
                http_request = self.http_request
                if http_request.method == "OPTIONS" or self._client_file() is not None:
                    return None
                self.request = self._parse()
            if (
                self.session is None
                and self.hub.crew is not None
                and self._hand_over(self.request.sid)
            ):
                return None
            self._check(self.request)
            if self.request.sid:
                return self._let_in(self.request)
            # A copy, for others may share the connection.
            self.client_context = contextvars.copy_context()
            ask = self.hub.options.allow_request
            is_default = getattr(ask, "__func__", None) is ADMITS_ALL
            allowed: Any = True if is_default else self._ask(ask, self.http_request)
            if is_awaitable(allowed):
                return self._let_in_when(allowed)
            return self._let_in_if(allowed)
        except Exception as error:
            self._note_refusal(error)
        return None

    def _client_file(self) -> re.Match[str] | None:
        """Return which file for clients the request asks for, if it asks for one."""
        tail = self.http_request.tail
        return None if tail in ENGINE_TAILS else CLIENT_FILE.fullmatch(tail)

    def _parse(self) -> Request:
        http_request, dialects = self.http_request, self.hub.dialects
        tail, method = http_request.tail, http_request.method
        quick = POLL_QUERY.fullmatch(http_request.query) if tail in ENGINE_TAILS else None
        if quick is not None:
            request = parse_poll(method, quick.groups(""), self.headers, dialects)
            if request is not None:
                return request
        # A PlainRequest would make all its attributes for this one.
        is_plain = isinstance(http_request, PlainRequest)
        query = parse_plain_query(http_request.query) if is_plain else http_request.query_arguments
        return parse_request(method, tail, query, self.headers, dialects)

    def data_received(self, chunk: bytes) -> None:
        self.hub.bytes_received += len(chunk)
        if self.session is not None:
            self.session.heard_at = monotonic()
        if self.answered:
            return
        if not self.body:
            self.body = chunk  # nearly always the whole one
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += chunk
        size = len(self.body)
        if size > self.hub.options.max_message_bytes and size > self._max_bytes():
            self._too_large()

    def _max_bytes(self) -> int:
        """Return the limit of a body's size: a form's percent signs can make three bytes of one."""
        form = self.request is not None and (self.request.jsonp or self.request.dialect.posts_forms)
        return self.hub.options.max_message_bytes * (3 if form else 1)

    def finish(self) -> None:
        if not self.answered:
            self._guard(self._serve)
        elif isinstance(self.connection, TornadoConnection):
            self.connection.body_read()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        # A fault of ours: not every Tornado would end the request and the session.
        except Exception:
            log.exception("%s: a request could not be answered", self.hub.options.__name__)
            if self.session is not None:
                self._forget_post(self.session)
                self.session.end("forced close")
            self._refuse(Refused("Internal server error", 3, 500))

    def _serve(self) -> None:
        request, session = self.request, self.session
        if self.refused is not None:
            self._refuse(self.refused)
        elif request is None:
            self._serve_others()
        elif session is None:
            self._shake_hands(request)
        elif request.ends_session:
            session.end("transport close", by_client=True)
            self.respond(200, TEXT, b"")
        elif session.life is CLOSED:
            self._refuse(unknown_sid())
        elif (
            request.transport != session.transport
            and session.post is not self  # its body was on the way during the upgrade
            and not (session.dialect.handshakes_apart and request.method == "GET")
        ):
            why = f"the session is on {session.transport}, not on {request.transport}"
            self._refuse(Refused("Bad request", why=why))
        elif request.method == "POST":
            self._take_post(session, request)
        elif (
            session.outlet is not None
            and session.dialect.overlap_closes
            and session.transport == request.transport
        ):
            session.cut_off("overlap", "a second poll came while one waits")
            self._refuse(Refused("Overlapping polls", cause="overlap"))
        else:
            self.start(Poll(self))

    def _serve_others(self) -> None:
        """Answer what is no client's session: a preflight, or a request for the client file."""
        if self.http_request.method == "OPTIONS":
            if self.admitted:
                return self.respond(204, "", b"", preflight_headers(self.headers))
            try:  # the page's request, which would be refused in words, does not follow
                self.hub.refuse_origin(self.headers)
            except Refused as refused:
                self.tell_refusal(refused)
            return self.respond(204, "", b"")
        file = self._client_file()
        assert file is not None
        known_etags = self.headers.get("If-None-Match", "")
        self.respond(*client_file(self.hub.options.client_path, file[1], known_etags))

    def on_connection_close(self) -> None:
        """Give up: the client's connection is gone before it was answered."""
        self.answered = True
        session = self.session
        if session is None:
            return
        if isinstance(session.outlet, Poll) and session.outlet.exchange is self:
            # What the poll would have brought waits for the next.
            session.outlet_released(session.outlet, broken=True)
        if session.post is self:
            session.post = None
            session.end("transport error")  # part of what the client sent is lost

    # From headers to session.

    def _note_refusal(self, error: Exception) -> None:
        """Note what says no; it is told in `finish`, so that the connection can be kept."""
        if not isinstance(error, Refused):  # a fault of ours
            log.error("%s: a request failed", self.hub.options.__name__, exc_info=error)
            error = Refused("Internal server error", 3, 500)
        self.refused = error

    def _refusal_of(self, hook: str, error: Exception) -> Refused:
        """Return what the client is told if the application's *hook* has raised *error*."""
        if isinstance(error, tornado.web.HTTPError):
            return Refused(reason_of(error), FORBIDDEN, error.status_code, "turned away")
        log.error("%s.%s failed", self.hub.options.__name__, hook, exc_info=error)
        return Refused("Server error", FORBIDDEN, 500, "turned away", f"{hook} failed")

    def _hand_over(self, sid: str) -> bool:
        """Give the connection to the worker that a request with *sid* is for; False if it is for us."""
        line = None if sid in self.hub.sessions else self.hub.line_for(sid)
        connection = self.connection
        if line is None or connection.handed or not isinstance(connection, TornadoConnection):
            return False
        if not line.has_room:
            number = CREW_LETTERS.index(line.letter)
            warn_once(
                "worker stands still",
                "worker %d takes no connections: its clients are refused",
                number,
            )
            why = f"worker {number}, which has its session, takes no more connections"
            raise Refused("Server is overloaded", 3, 503, "turned away", why)
        self.answered = connection.hand_over(line, self.http_request)
        return self.answered

    def _check(self, request: Request) -> None:
        """Raise Refused unless *request* may be made here and now."""
        session = self.session
        if session is None and request.sid:
            session = self.session = self.hub.session(request.sid)
        # A session that goes on as it has begun need not be looked at again.
        goes_on = session is not None and (
            session.transport == request.transport and session.dialect is request.dialect
        )
        if not goes_on:
            self._check_transport(request)
        if not self.admitted:
            if request.upgrade and session is not None:
                self.admitted = self.hub.admits(self.headers, session.http_request.headers)
            if not self.admitted:
                self.hub.refuse_origin(self.headers)
        if not goes_on:
            self._check_session(request, session)

    def _check_session(self, request: Request, session: Session | None) -> None:
        """Raise Refused unless *session* is what *request* needs, and speaks its dialect."""
        if request.sid:
            if session is None or session.dialect.generation != request.dialect.generation:
                # Otherwise an invented sid could move the connection again at each request.
                self.connection.closes = self.connection.closes or self.connection.handed
                self.session = None
                refused = unknown_sid()
                streams = request.transport in STREAMS and request.method == "GET"
                if not (request.dialect.handshakes_apart and (request.upgrade or streams)):
                    raise refused
                self.refused = refused  # a 0.9 client shakes hands again if its transport tells it
                return
            if session.dialect.base64 and not request.dialect.base64:
                # A client says so in one request, and means the whole session.
                request.dialect = request.dialect.with_facts(base64=True)
        elif request.dialect.handshakes_apart and request.transport:
            raise unknown_sid("it has none")

    def _check_transport(self, request: Request) -> None:
        """Raise Refused if *request* is for a transport that is not served to its client."""
        served = request.transport in self.hub.transports
        if not (served and request.transport in request.dialect.transports) and not (
            request.dialect.handshakes_apart and (not request.transport or request.ends_session)
        ):
            why = f"{request.transport} is not served to {request.dialect.name} clients"
            raise Refused("Transport unknown", 0, cause="transport", why=why)

    async def _let_in_when(self, allowed: Awaitable[Any]) -> None:
        self.connection.watch_closing(self)
        try:
            answer = await in_steps(self._ask, allowed)
            await (self._let_in_if(answer) or asyncio.sleep(0))
        except Exception as error:
            self._note_refusal(error)

    def _ask(self, work: Callable[..., Any], *args: Any) -> Any:
        """Call *work*, some of `allow_request`, in the context of the session that would begin."""
        assert self.client_context is not None
        where = "{}.allow_request".format, self.hub.options.__name__
        try:
            return watched(where, self.client_context.run, work, *args)
        except StopIteration:  # the end of a coroutine
            raise
        except Exception as error:
            raise self._refusal_of("allow_request", error) from None

    def _let_in_if(self, allowed: Any) -> Awaitable[None] | None:
        assert self.request is not None
        if allowed is None:
            warn_once(
                "allow_request",
                "%s.allow_request returned None, which refuses: return True to admit a request",
                self.hub.options.__name__,
            )
        try:
            admitted = decided(allowed)
        except Exception as error:
            raise self._refusal_of("allow_request", error) from None
        if not admitted:
            raise Refused("Forbidden", FORBIDDEN, 403, "turned away", "allow_request said no")
        if self.hub.closing:  # perhaps since it was asked
            raise Refused("Server is shutting down", 3, 503, "turned away")
        return self._let_in(self.request)

    def _let_in(self, request: Request) -> Awaitable[None] | None:
        """Take the connection over where the transport wants it; others wait for their bodies."""
        if request.method == "POST" and self.session is not None:
            self._begin_post(self.session, request)
            return None
        takes_over = request.upgrade or request.transport in STREAMS
        # 0.9 shakes hands in a request of its own: the WebSocket's 101 belongs to its handshake.
        shakes_hands = not request.sid or (takes_over and request.dialect.handshakes_apart)
        if shakes_hands and not self.refused and self.hub.options._sets_initial_headers:
            self._set_initial_headers()
        elif takes_over and self.hub.options._sets_headers:
            self._answer_headers()
        if request.upgrade:
            accept, extensions = websocket_accept(self.headers), ""
            if self.hub.options.websocket_compression is not None:
                extensions = deflate_answer(self.headers.get("Sec-WebSocket-Extensions", ""))
            if extensions:
                request.dialect = request.dialect.with_facts(
                    deflate_from=self.hub.options.websocket_compression
                )
            answers = {
                "Sec-WebSocket-Accept": accept,
                "Sec-WebSocket-Extensions": extensions,
                "Sec-WebSocket-Protocol": first_subprotocol(
                    self.headers.get("Sec-WebSocket-Protocol", "")
                ),
            }
            return self._take_over(WebSocket(self, request.dialect, answers), 101)
        if takes_over:
            if self.session is not None and not request.dialect.handshakes_apart:
                raise Refused("Bad request", why="a stream for a session that has one")
            return self._take_over(Stream(self, request), 200)
        return None

    def _begin_post(self, session: Session, request: Request) -> None:
        """Refuse a body that is too large, or have the session wait for its end."""
        if not session.transport and request.transport in POLLING:
            # The client of 0.9 in Java sends what it has before it polls.
            session.switch_transport(request.transport, request.dialect)
            session.open()
        size = self.connection.body_size(self.headers)
        if size > self.hub.options.max_message_bytes and size > self._max_bytes():
            self._too_large()
        elif session.post is None and session.transport == request.transport:
            session.post = self

    async def _take_over(self, protocol: TakenOver, status: int) -> None:
        self.answered = True
        if self.hub.log_function is not None:
            self._log(self.hub.log_function, status)
        await self.connection.give_up(protocol)

    def _shake_hands(self, request: Request) -> None:
        """Answer a handshake over HTTP; where it stands not apart, as the first poll."""
        if isinstance(self.connection, TornadoConnection):
            isolate_connections(self.connection.http.stream)
        if not request.dialect.handshakes_apart:
            return self.start(Poll(self))
        text = self._begin_session(request).greeting
        if request.jsonp:
            script = request.dialect.call_script(request.jsonp, text)
            return self.respond(200, SCRIPT, script.encode())
        self.respond(200, TEXT, text.encode())

    def _begin_session(self, request: Request) -> Session:
        assert self.client_context is not None
        session = self.session = self.hub.new_session(
            request, self.http_request, self.client_context
        )
        if self.hub.options.cookie is not None:
            is_secure = self.http_request.protocol == "https"
            own = self._answer_headers()
            own.cookies.append(sid_cookie(self.hub.options.cookie, session.sid, is_secure))
        return session

    # What the application adds to answers.

    def _answer_headers(self) -> AnswerHeaders:
        if self.own_headers is None:
            assert self.hub.application is not None
            self.own_headers = AnswerHeaders(self.hub.application.settings)
            if self.hub.options._sets_headers:
                try:
                    self._call_for_headers(self.hub.options.set_answer_headers)
                except Exception:
                    log.exception("%s.set_answer_headers failed", self.hub.options.__name__)
        return self.own_headers

    def _set_initial_headers(self) -> None:
        """Let the application set headers of a handshake's answer; its failure refuses the request."""
        self._answer_headers()
        try:
            self._call_for_headers(self.hub.options.set_initial_headers)
        except Exception as error:
            self.own_headers = None
            raise self._refusal_of("set_initial_headers", error) from None

    def _call_for_headers(self, hook: Callable[..., Any]) -> None:
        run = in_own_context if self.client_context is None else self.client_context.run
        where = "{}.{}".format, self.hub.options.__name__, hook.__name__
        if is_awaitable(watched(where, run, hook, self.http_request, self.own_headers)):
            raise TypeError("a coroutine, for which nobody waits")

    def _log(self, log_function: Callable[[Any], None], status: int) -> None:
        """Show the answered request to the application's own `log_function`."""
        assert self.hub.application is not None
        try:
            log_function(LoggedRequest(self.hub.application, self.http_request, status))
        except Exception:
            log.exception("log_function failed")

    def start(self, outlet: Poll | TakenOver) -> None:
        """Make *outlet* the way out of the session that this request names or begins.

        A session opens with its first outlet.
        """
        request, session = self.request, self.session
        assert request is not None
        first = session is None
        if session is None:
            session = self._begin_session(request)
        elif session.dialect.handshakes_apart and (
            request.transport not in POLLING or request.transport != session.transport
        ):
            first = session.switch_transport(request.transport, request.dialect)
        elif session.outlet is not None:
            session.outlet.release()  # a second poll: the first goes without what waits
        outlet.session = session
        session.attach(outlet)
        if first:
            session.open()
        if isinstance(outlet, Poll):
            outlet.wait()

    # Posts.

    def _take_post(self, session: Session, request: Request) -> None:
        if session.post is not self and session.dialect.overlap_closes:
            session.cut_off("overlap", "a second post came while one is worked off")
            return self._refuse(Refused("Overlapping posts", cause="overlap"))
        body, content_type = bytes(self.body), self.headers.get("Content-Type", "")
        memory = session.text_memory
        if (
            request.transport != session.transport
        ):  # a late POST tells nothing of how frames are encoded
            memory = copy.copy(memory)
            memory.tell = None
        try:
            packets = session.dialect.decode_post(body, content_type, bool(request.jsonp), memory)
        except PayloadError as error:
            return self._refuse_post(session, error)
        self.body = b""
        self.packets = collections.deque(packets)
        self._work_off()

    def _work_off(self) -> None:
        """Hand the session as many packets as one turn is for; after the last, answer the POST."""
        max_bytes = self.hub.options.max_message_bytes
        session, packets = self.session, self.packets
        assert session is not None and packets is not None
        try:
            for _ in range(min(len(packets), EVENTS_PER_TURN)):
                packet = packets[0]
                if len(packet.data) > max_bytes:  # a form may be longer than what it carries
                    raise PayloadError("message too large", "too large a part")
                session.received(packet)
                packets.popleft()
        except PayloadError as error:
            return self._refuse_post(session, error)
        if packets and session.life is not CLOSED:
            self.hub.clock.soon(functools.partial(self._guard, self._work_off))
        elif session.reading or session.post is not self or session.life is CLOSED:
            self._accept_post()

    def reading_resumed(self) -> None:
        """Answer the POST, if only that was waited for: the session reads again, or has ended."""
        if self.packets is not None and not self.packets:
            self._accept_post()

    def _refuse_post(self, session: Session, error: PayloadError) -> None:
        self._forget_post(session)
        session.cut_off(error.cause, str(error))
        self._refuse(Refused("Malformed payload", cause=error.cause, why=str(error)))

    def _accept_post(self) -> None:
        assert self.session is not None
        self._forget_post(self.session)
        self.respond(200, *self.session.dialect.post_answer)

    def _forget_post(self, session: Session) -> None:
        if session.post is self:
            session.post = None

    def _too_large(self) -> None:
        if not self.answered:
            if isinstance(self.connection, TornadoConnection):
                # Who waits to be asked for the body, by Expect, has not sent it.
                self.connection.drains = bool(self.body) or "Expect" not in self.headers
            self._refuse(Refused("Payload too large", 3, 413, "too large"))
            if self.session is not None:
                self._forget_post(self.session)
                self.session.cut_off("too large", "the body of a POST is too large")

    # Answers.

    def tell_refusal(self, refused: Refused) -> None:
        """Log the refusal, and tell the application."""
        self.hub.tell_refusal(self.http_request, refused)

    def _refuse(self, refused: Refused) -> None:
        if not self.is_alive():
            return
        self.tell_refusal(refused)
        request = self.request
        if request is not None:
            words = request.dialect.refusal(refused, request.transport, request.jsonp)
        elif self.http_request.tail.strip("/"):
            words = refused.status, TEXT, refused.message.encode()
        else:
            words = DIALECTS["EIO4"].refusal(refused, "", "")
        self.respond(*words)

    def is_alive(self) -> bool:
        """Tell whether the client can still be answered."""
        return not self.answered and self.connection.is_alive()

    def respond(
        self,
        status: int,
        content_type: str,
        body: bytes,
        more: Headers = NO_HEADERS,
        messages_of: Session | None = None,
    ) -> None:
        """Answer the request; a body that brings messages belongs to the session *messages_of*."""
        if self.answered or not self.connection.is_alive():
            return
        self.answered = True
        hub, headers = self.hub, {}
        if content_type:
            headers = {
                "Content-Type": content_type,
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        if "Origin" in self.headers and self.admitted:
            headers |= cors_headers(self.headers, self.request.dialect if self.request else None)
        if len(body) >= COMPRESS_FROM and hub.options.http_compression:
            headers["Vary"] = "Accept-Encoding" + (", Origin" if "Vary" in headers else "")
            if accepts_gzip(self.headers):
                body = gzip.compress(body, DEFLATE_LEVEL, mtime=0)
                headers["Content-Encoding"] = "gzip"
        if status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        if more:
            headers |= more
        cookies: Sequence[str] = ()
        if self.own_headers is not None or hub.options._sets_headers:
            cookies = self._answer_headers().add_to(headers)
        hub.bytes_sent += len(body)
        if self.http_request.method == "HEAD":
            body = b""
        if hub.log_function is not None:
            self._log(hub.log_function, status)
        self.connection.answer(status, headers, body, hub, messages_of, cookies)


class Poll:
    """A GET of a client that polls, as its session's outlet until it is answered; see Outlet."""

    __slots__ = ("exchange", "session", "woken", "waiting")

    congested = False  # an answer is written once
    unsent_bytes = 0  # an `Answer` counts what has not left

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.session: Session | None = None
        self.woken = self.waiting = False

    def wake(self) -> None:
        """Answer soon: all that one turn has to say leaves in one answer."""
        if not self.woken:
            self.woken = True
            if self.waiting:
                self.exchange.hub.clock.soon(self._answer)

    def wait(self) -> None:
        """Answer what there is to say already, else wait."""
        self.waiting = True
        if self.woken:
            self._answer()

    def set_reading(self, reading: bool) -> None:
        """Do nothing: a poll reads nothing, and posts are held back instead."""

    def release(self) -> None:
        self._let_go(NOOP)

    def drop(self) -> None:
        self._let_go(CLOSE)

    def _let_go(self, last: str) -> None:
        """Answer with *last*, an engine packet."""
        request = self.exchange.request
        assert request is not None
        if request.sid:
            self._answer(last)
        else:  # turned away before the client had a sid: 200 would make it try again at once
            why = "its session ended before it had begun"
            self.exchange._refuse(Refused("Forbidden", FORBIDDEN, 401, "turned away", why))

    def _answer(self, last: str | None = None) -> None:
        exchange, session = self.exchange, self.session
        assert session is not None and exchange.request is not None
        if exchange.is_alive():
            # A poll that is released leaves what waits to the outlet that comes after it.
            waiting = session.take_payload() if last is not NOOP else []
            packets = [packet for outgoing in waiting for packet in outgoing.packets]
            if last is not None:
                packets.append(EnginePacket(last))
            content_type, body = session.dialect.encode_poll(
                packets, exchange.request.jsonp, session.text_memory
            )
            exchange.respond(200, content_type, body, NO_HEADERS, session if waiting else None)
        session.outlet_released(self)
        session.ease()


# -- 14. Sockets -----------------------------------------------------------------------
# The connections that are ours from their handshake to their end. Tornado or the lane lets go of
# the socket, and asyncio reads it for us:
#
#     TakenOver              a connection on an adopted socket (for TLS a StreamCarrier)
#       WebSocket            frames both ways; the upgrade
#       Stream               xhr-multipart and htmlfile: an answer that never ends
#
# A WebSocket that is to replace the polls of a session becomes its outlet in `Session.upgraded`,
# any other in `Exchange.start`. What comes in goes by `WebSocket._message` to `Session.received`.
# The session writes to a WebSocket itself (`write_now`, which is `WebSocket.write`) while that
# keeps up, and wakes it when the outbox has something for it.


def raise_error(error: BaseException) -> NoReturn:
    raise error


class TakenOver(asyncio.BufferedProtocol):
    """A client's connection that is ours from now on: Tornado no longer knows it.

    It is a BufferedProtocol, because for each read of any other protocol asyncio allocates 256 kB.
    That takes 20 us of CPU, more than all the rest of a read.
    """

    def __init__(self, exchange: Exchange, greeting: bytes) -> None:
        #: The request that this connection has come with, until `begin`.
        self.exchange: Exchange | None = exchange
        self.hub = exchange.hub
        self.greeting = greeting  # the HTTP answer to that request, or the beginning of it
        self.received_before = b""  # the client sent this along with its request
        self.session: Session | None = None
        self.carrier: Any  # an asyncio transport, or a StreamCarrier; from connection_made on
        self.congested = False  # see Outlet
        self.closing = False  # we have said the last word, or the connection has ended
        self.grace: asyncio.TimerHandle | None = None  # runs while the client may still end it

    def connection_made(self, transport: Any) -> None:
        self.carrier = transport
        self.hub.connections.add(self)
        transport.set_write_buffer_limits(high=WEBSOCKET_HIGH_WATER - CORK_BYTES)
        self.begin()
        if self.received_before:
            received, self.received_before = self.received_before, b""
            self.data_received(received)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.hub.read_buffer  # all connections share it: `buffer_updated` empties it at once

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self.data_received(bytes(self.hub.read_view[:nbytes]))
        except ENDS_PROCESS as error:  # uvloop would only end this connection
            self.hub.clock.loop.call_soon(raise_error, error)

    def data_received(self, data: bytes) -> None:
        """Act on *data*, which the client has sent."""

    def begin(self) -> None:
        """Send the greeting; become the outlet of the client's session."""
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        if self.greeting:  # `adopt` has sent it already, unless this is TLS or the socket is full
            self.carrier.write(self.greeting)
            self.greeting = b""
        if exchange.session is not None and exchange.session.life is CLOSED:
            self.session = exchange.session  # frames may have come with the request, and be wrong
            exchange.refused = unknown_sid()
        if exchange.refused is not None:
            exchange.tell_refusal(exchange.refused)
            self.turn_away()
        else:
            self.become_outlet(exchange)

    def become_outlet(self, exchange: Exchange) -> None:
        exchange.start(self)

    def turn_away(self) -> None:
        """End the connection: its session is unknown, or has ended since the request came."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        if self.grace is not None:
            self.grace.cancel()
        self.hub.connections.discard(self)
        self.hub.check_if_empty()
        if self.session is not None:
            self.session.outlet_lost(self, "transport close")

    def pause_writing(self) -> None:
        """Let what is sent wait in the outbox, where it is counted: the client does not keep up.

        Until the client keeps up again, its session reads nothing from it.
        """
        self.congested = True
        if self.session is None or self.session.outlet is not self:
            self.carrier.abort()  # a prober is sent a few bytes only: this one does not read
        else:
            self.session.write_now = None
            self.session.update_reading()
            self.session.fall_behind()

    @property
    def unsent_bytes(self) -> int:
        unsent: int = self.carrier.get_write_buffer_size()
        return unsent

    def resume_writing(self) -> None:
        self.congested = False
        if self.session is not None:
            self.session.update_reading()
            self.wake()

    def set_reading(self, reading: bool) -> None:
        if self.carrier.is_closing():
            return
        if reading or self.closing:
            self.carrier.resume_reading()
        else:
            self.carrier.pause_reading()

    def end(self) -> None:
        """End the connection when all is written, or after a grace: a client may never read it."""
        self.closing = True
        self.carrier.close()
        self.abort_after_grace()

    def abort_after_grace(self) -> None:
        if self.grace is None:
            self.grace = asyncio.get_running_loop().call_later(CLOSE_GRACE, self.carrier.abort)

    def wake(self) -> None:
        """See Outlet."""

    def release(self) -> None:
        """See Outlet; this connection ends whether the session goes on or not."""
        self.drop()

    def drop(self) -> None:
        """See Outlet."""


class WebSocket(TakenOver):
    """A WebSocket: the outlet of its session, or the prober that asks to replace its polls."""

    def __init__(self, exchange: Exchange, dialect: Dialect, answers: dict[str, str]) -> None:
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"{name}: {value}" for name, value in answers.items() if value]
        if exchange.own_headers is not None:
            lines += head_lines(exchange.own_headers.headers, exchange.own_headers.cookies)
        super().__init__(exchange, "\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.dialect = dialect
        self.frames = FrameParser(
            self.hub.options.max_message_bytes, inflates=bool(answers["Sec-WebSocket-Extensions"])
        )
        #: What is written while one read is worked off: it leaves in one write. Otherwise None.
        self.cork: list[bytes] | None = None
        self.corked_bytes = 0

    def become_outlet(self, exchange: Exchange) -> None:
        """Become the outlet, or, of a session that polls, the prober.  [EIO4 "Upgrade"]

        A second WebSocket that asks for the same session is accepted, and closed at once.
        """
        self.cork = []
        session = exchange.session
        if session is None or session.dialect.handshakes_apart:
            exchange.start(self)
        else:
            self.session = session
            if not session.begin_upgrade(self):
                self.close(NORMAL)
                why = "a second WebSocket for a session, or one that may not take it over"
                exchange.tell_refusal(Refused("Bad request", why=why))
        self._uncork()

    def turn_away(self) -> None:
        if self.dialect.handshakes_apart:
            self.write(Outgoing(self.dialect, [EnginePacket(CLOSE)]).frame)
        self.close(NORMAL)

    # In.

    def data_received(self, data: bytes) -> None:
        self.hub.bytes_received += len(data)
        self.cork = []
        session, at_work = self.session, self.hub.clock.at_work
        if session is None or session.entered:
            self._read(data)
            self._uncork()
        else:
            # The function `enter`, written out: it is called once for all events of a read, for it
            # costs as much as a small event.
            session.heard_at = now = monotonic()
            at_work.session, at_work.since, session.entered = session, now, True
            try:
                session.context.run(self._read, data)
            finally:
                at_work.session, session.entered = None, False
                self._uncork()

    def _read(self, data: bytes) -> None:
        try:
            for message in self.frames.feed(data):
                if isinstance(message, Control):
                    self._control(message)
                elif not self.closing:
                    self._message(message)
        except (PayloadError, FrameError) as error:
            self._close_for(error)

    def _message(self, message: str | bytes) -> None:
        session = self.session
        assert session is not None
        packets = self.dialect.decode_frame(message, session.text_memory)
        if len(packets) > EVENTS_PER_TURN:
            # One frame of 0.6 can hold a hundred thousand events. They queue, and the members run
            # EVENTS_PER_TURN of them in a turn.
            for member in session.members.values():
                member.queue_events()
        for packet in packets:
            if session.outlet is self:
                session.received(packet)
            elif not self.closing:
                self._upgrade(session, packet)

    def _upgrade(self, session: Session, packet: EnginePacket) -> None:
        """Act on an engine packet of the prober: a PING "probe", once or more, then an UPGRADE.

        The UPGRADE says that the client has stopped polling. It will do alone: the C# client and
        elephant.io do not probe.
        """
        if packet.type is PING and packet.data == "probe":
            self.write(Outgoing(self.dialect, [EnginePacket(PONG, "probe")]).frame)
            session.probed()
        elif packet.type is UPGRADE:
            session.upgraded(self, self.dialect)
        else:
            raise PayloadError(f"{packet.type} where a probe or an upgrade is due")

    def _control(self, control: Control) -> None:
        if control.opcode == PING_FRAME and not self.closing:
            self.write(encode_frame(PONG_FRAME, control.data))
        elif control.opcode == CLOSE_FRAME and not self.carrier.is_closing():
            if not self.closing:  # otherwise this frame answers our own
                self.closing = True
                self.write(
                    encode_close(control.code)
                    if control.code != 1005
                    else encode_frame(CLOSE_FRAME, b"")
                )
            self._uncork()
            self.end()
            if self.session is not None:
                self.session.outlet_lost(self, "transport close")

    def _close_for(self, error: PayloadError | FrameError) -> None:
        """Close for what the client has sent, and end its session; a prober ends only the upgrade.

        The parser must not be used after a fault: whatever it finds in a later read means nothing.
        """
        session = self.session
        if self.closing:
            return
        assert session is not None
        code = error.code if isinstance(error, FrameError) else NORMAL
        self.close(code, str(error))
        if session.outlet is self:
            session.cut_off(error.cause, str(error))
        else:
            session.blame("failed upgrade", str(error))

    # Out.

    def write(self, data: bytes) -> None:
        """Send whole frames; the session calls this as its `write_now`."""
        self.hub.bytes_sent += len(data)
        if self.cork is None:
            # asyncio would warn of every write to a connection that was reset.
            if not self.carrier.is_closing():
                self.carrier.write(data)
            return
        self.cork.append(data)
        self.corked_bytes += len(data)
        if self.corked_bytes > CORK_BYTES:
            self._uncork()
            self.cork = []

    def _uncork(self) -> None:
        cork, self.cork, self.corked_bytes = self.cork, None, 0
        if cork:
            self.carrier.write(cork[0] if len(cork) == 1 else b"".join(cork))

    def wake(self) -> None:
        """Write what waits in the outbox; if all was written, let the session write from now on."""
        session = self.session
        assert session is not None
        if self.congested or self.closing or session.outlet is not self:
            return
        while session.outbox and not self.congested:
            self.write(session.take_next().frame)
        session.ease()
        if self.congested:
            return
        if session.life is CLOSING:
            session.end("forced close")
        else:
            session.write_now = self.write

    def drop(self) -> None:
        if self.congested:
            self.closing = True
            self.carrier.abort()
        else:
            # After a normal end, the client in C++ does not come back.
            self.close(GOING_AWAY if self.hub.closing else NORMAL)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame; the connection ends when the client's has come, or after a grace."""
        if self.closing:
            return
        self.closing = True
        self._stop_probing()
        self.write(encode_close(code, reason))
        self.set_reading(True)  # the client's close frame is yet to come
        self.abort_after_grace()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_probing()

    def _stop_probing(self) -> None:
        if self.session is not None and self.session.prober is self:
            self.session.abandon_upgrade()


class Stream(TakenOver):
    """An HTTP answer that ends with its session, whose outlet it is; the client sends by POST."""

    TYPES = {XHR_MULTIPART: 'multipart/x-mixed-replace;boundary="socketio"', HTMLFILE: "text/html"}

    def __init__(self, exchange: Exchange, request: Request) -> None:
        # A proxy that speaks HTTP/1.0 would take chunks for content.
        self.chunked = request.transport == HTMLFILE and exchange.http_request.version == "HTTP/1.1"
        lines = [
            "HTTP/1.1 200 OK",
            f"Content-Type: {self.TYPES[request.transport]}",
            "Connection: keep-alive",
            "X-Accel-Buffering: no",  # nginx would keep the parts until there are 4 kB of them
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        headers = cors_headers(exchange.headers, request.dialect)
        cookies = () if exchange.own_headers is None else exchange.own_headers.add_to(headers)
        lines += head_lines(headers, cookies)
        head = self._chunk(request.dialect.stream_head(request.transport))
        super().__init__(exchange, "\r\n".join([*lines, "", ""]).encode("latin-1") + head)
        self.request = request
        self.scheduled = False

    def turn_away(self) -> None:
        if self.request.dialect.handshakes_apart:
            self._send([EnginePacket(CLOSE)])
        self.drop()  # an answer without content is one

    def data_received(self, data: bytes) -> None:
        """End the connection: a browser that sends a second request here would wait for ever."""
        self.end()

    def wake(self) -> None:
        if not self.scheduled:
            self.scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self.scheduled = False
        if self.congested or self.closing:
            return
        session = self.session
        assert session is not None
        while session.outbox and not self.congested:
            waiting = session.take_outbox(CORK_BYTES)
            self._send([packet for outgoing in waiting for packet in outgoing.packets])
        session.ease()
        if session.life is CLOSING and not self.congested:
            session.end("forced close")

    def _send(self, packets: list[EnginePacket]) -> None:
        dialect, transport = self.request.dialect, self.request.transport
        parts = [[packet] for packet in packets] if dialect.streams_singly else [packets]
        data = b"".join([self._chunk(dialect.stream_part(transport, part)) for part in parts])
        self.hub.bytes_sent += len(data)
        self.carrier.write(data)

    def _chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data

    def drop(self) -> None:
        self.closing = True
        if self.congested:
            self.carrier.abort()
        else:
            if self.chunked:
                self.carrier.write(b"0\r\n\r\n")
            self.end()


def forgetting_tls_errors(method: Callable[..., Any]) -> Any:
    """Return *method* of a TLS socket, with `forget_tls_error` behind it."""

    def call(self: TLSSocket, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            forget_tls_error(error)
            raise

    return call


class TLSSocket(ssl.SSLSocket):
    """A TLS socket of the server's side whose end harms no other connection.

    In Python 3.14 and 3.15 an error of the kernel, such as a reset by the peer, stays in OpenSSL's
    queue of errors, which belongs to the thread. Every later operation on another connection finds
    that error and fails with it: one client could cut off all others (python/cpython#148594). This
    class empties the queue where the error was met.
    """

    do_handshake = forgetting_tls_errors(ssl.SSLSocket.do_handshake)
    recv_into = forgetting_tls_errors(ssl.SSLSocket.recv_into)
    send = forgetting_tls_errors(ssl.SSLSocket.send)


def isolate_tls(context: ssl.SSLContext) -> None:
    """Have *context* make each further connection a `TLSSocket`, unless the application has a class of its own."""
    if context.sslsocket_class is ssl.SSLSocket:
        context.sslsocket_class = TLSSocket


def isolate_connections(stream: tornado.iostream.IOStream) -> None:
    """Call `isolate_tls` for a connection whose HTTPServer and context the application made."""
    if isinstance(stream, tornado.iostream.SSLIOStream) and stream.socket is not None:
        isolate_tls(stream.socket.context)


def forget_tls_error(error: OSError) -> None:
    """Empty this thread's queue of OpenSSL errors after *error*, if that came from the kernel."""
    if not isinstance(error, ssl.SSLError):
        with contextlib.suppress(ssl.SSLError):
            # ssl empties the queue before it refuses a list without ciphers.
            spare_tls_context().set_ciphers("none")


@functools.cache
def spare_tls_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


async def take_over(stream: tornado.iostream.IOStream, protocol: TakenOver) -> None:
    """Give *protocol* the connection behind *stream*, as an asyncio transport if that can be."""
    if isinstance(stream, tornado.iostream.SSLIOStream):
        isolate_connections(stream)
        StreamCarrier(stream, protocol).start()
        return
    try:
        adopted, protocol.received_before = release_socket(stream)
    except OSError as error:
        log.debug("connection not taken over: %s", error)
        return
    await adopt(adopted, protocol)


async def adopt(sock: socket.socket, protocol: TakenOver) -> None:
    """Give *protocol* the connection on *sock*, as an asyncio transport.

    The greeting leaves at once. Where an OPEN packet follows, it waits for GREETING_SECONDS.
    """
    exchange = protocol.exchange
    try:
        with contextlib.suppress(BlockingIOError):
            protocol.greeting = protocol.greeting[sock.send(protocol.greeting) :]
        if exchange is not None and exchange.session is None:
            await asyncio.sleep(GREETING_SECONDS)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)
    except OSError as error:
        sock.close()
        log.debug("connection not taken over: %s", error)
    except asyncio.CancelledError:  # the loop is coming to its end
        sock.close()
        raise


def release_socket(stream: tornado.iostream.IOStream) -> tuple[socket.socket, bytes]:
    """Close *stream*; return its socket and the bytes that it had read.

    Raises OSError if the client has gone already, or if there is no descriptor left.
    """
    if stream.closed():
        raise ConnectionResetError("the client has gone")
    held: Any = stream.socket
    try:
        sock: socket.socket = held.dup()
    finally:
        stream.close()
    sock.setblocking(False)
    return sock, left_in(stream)


def left_in(stream: tornado.iostream.IOStream) -> bytes:
    """Return what *stream* had read, or was given, before it was closed.

    Tornado still gives it. A stream that is open would make a system call to look for more.
    """
    chunks = []
    with contextlib.suppress(tornado.iostream.StreamClosedError):
        while True:
            chunks.append(
                asyncio.ensure_future(stream.read_bytes(READ_SIZE, partial=True)).result()
            )
    if isinstance(stream, EarlyStream):
        chunks.append(stream.early)
    return b"".join(chunks)


class StreamCarrier:
    """A Tornado stream in the role of an asyncio transport: for TLS, whose socket cannot be adopted.

    An IOStream does not say how much it has yet to write: one write is under way at a time, the rest is counted here.
    """

    def __init__(self, stream: tornado.iostream.IOStream, protocol: TakenOver) -> None:
        self.stream = stream
        self.protocol = protocol
        self.unsent: list[bytes] = []
        self.unsent_bytes = 0
        self.high = 0
        self.paused = False
        self.may_read = asyncio.Event()
        self.may_read.set()
        stream.set_nodelay(True)  # asyncio does it too: Nagle's algorithm waits up to 40 ms
        # `_read` waits for `may_read`: without this it would miss the end while reading pauses.
        stream.set_close_callback(self.may_read.set)
        self.writer: asyncio.Task[None] | None = None
        self.ending = False

    def start(self) -> None:
        self.protocol.hub.clock.spawn(self._read())

    async def _read(self) -> None:
        """Tell the protocol, as asyncio would, of the connection, of what it brings, of its end."""
        self.protocol.connection_made(self)
        try:
            while True:
                await self.may_read.wait()
                future = asyncio.ensure_future(self.stream.read_bytes(READ_SIZE, partial=True))
                if future.done():
                    # A client that always has more to send must not keep the loop to itself.
                    await asyncio.sleep(0)
                self.protocol.data_received(await future)
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            self.stream.close()
            self.protocol.connection_lost(None)

    def write(self, data: bytes) -> None:
        if self.stream.closed() or self.ending:
            return
        self.unsent.append(data)
        self.unsent_bytes += len(data)
        if self.unsent_bytes > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()
        if self.writer is None:
            self.writer = self.protocol.hub.clock.spawn(self._write())

    async def _write(self) -> None:
        try:
            while self.unsent:
                data, self.unsent = memoryview(b"".join(self.unsent)), []
                for start in range(0, len(data), READ_SIZE):  # so that it can be seen what has left
                    piece = data[start : start + READ_SIZE]
                    await self.stream.write(piece)
                    self.unsent_bytes -= len(piece)
                if self.paused and self.unsent_bytes <= self.high // 4:
                    self.paused = False
                    self.protocol.resume_writing()
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            self.writer = None
            if self.ending:
                self.stream.close()

    def close(self) -> None:
        self.ending = True
        if self.writer is None:
            self.stream.close()

    def abort(self) -> None:
        self.stream.close()

    def is_closing(self) -> bool:
        return self.ending or self.stream.closed()

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.may_read.clear()

    def resume_reading(self) -> None:
        self.may_read.set()

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high


# -- 15. SocketIOHandler ---------------------------------------------------------------
# The public door; start reading here. Applications subclass `SocketIOHandler`: an object of it is
# one client in one namespace. Operators such as `io.to("lobby")` give a `Broadcast`, which stands
# for some or all clients of a namespace and calls the verbs of section 10. Behind the handler
# stand the checks of a class: a name or an option that would do nothing is an error when the class
# is made, because servers of other makes call the same things otherwise.


#: Our names for what other servers call otherwise, by their squeezed names; `()` marks a method. The
#: names are those of node's socket.io and engine.io, of python-socketio, python-engineio and
#: Flask-SocketIO, of Tornado's WebSocketHandler and its settings, and of tornadio2. Settings of the
#: application, which are no options of a class, are here too.
FOREIGN_NAMES = {
    squeezed(name): ours
    for ours, names in {
        "allowed_origins": "cors origins cors_origins cors_allowed_origins cors_allow_origins "
        "check_origin()",
        "enabled_dialects": "allowEIO3",
        "recovery_window": "connectionStateRecovery",
        "client_path": "serveClient",
        "cluster": "client_manager message_queue",
        "max_message_bytes": "maxHttpBufferSize websocket_max_message_size",
        "http_compression": "compression_threshold",
        "websocket_compression": "perMessageDeflate get_compression_options()",
        "ping_interval": "heartbeatInterval websocket_ping_interval",
        "ping_timeout": "heartbeatTimeout websocket_ping_timeout client_timeout session_expiry",
        "ping_interval and ping_timeout: heartbeats are kept without you": "on_ping() on_pong()",
        "poll_duration": "pollingDuration xhr_polling_timeout",
        "upgrade_timeout": "destroyUpgradeTimeout destroyUpgrade",
        "allow_request": "authorization()",
        "on_open": "open() onConnection() on_connect()",
        "on_open, which accepts when it returns": "always_connect",
        "on_close": "onDisconnecting() on_disconnect() on_ws_connection_close()",
        "on_error": "on_error_default()",
        "set_initial_headers": "initial_headers()",
        "dispatch": "trigger_event()",
        "self.session": "manage_session",
        "routes(namespaces=...)": "namespaces get_endpoint()",
        'logging.getLogger("socket_io")': "engineio_logger",
        "the application setting enabled_protocols": "transports enabled_protocols",
        "the application setting socket_io_port": "socket_io_port",
        "the application setting flash_policy_port": "flash_policy_port",
        "the application setting flash_policy_file": "flash_policy_file",
        "nothing: the path is served with and without it": "addTrailingSlash",
        "nothing: a family forgets its empty namespaces always": "cleanupEmptyChildNamespaces",
        "nothing: WebSocket is part of this file": "wsEngine",
        "nothing: Socket.IO has no subprotocols": "select_subprotocol()",
        "nothing: an admitted origin may send its cookies": "cors_credentials",
        "nothing: the loop is Tornado's": "async_mode",
        "nothing: events of one client run in their order, coroutines too": "async_handlers",
        "nothing: silent clients are always noticed": "monitor_clients",
        "nothing: every session has its deadlines": "session_check_interval",
        "nothing: one sweep looks after all clients": "global_heartbeats",
    }.items()
    for name in names.split()
}


#: Words of Python's own errors for mistakes that other servers teach, and what helps. The methods of
#: SocketIOHandler take no foreign arguments, because an application's overrides would have to.
HINTS = {
    **dict.fromkeys(
        ["can't be used in 'await' expression", "object can't be awaited"],  # the latter from 3.14
        "leave out await: emit, send, join, leave and disconnect are done when they return",
    ),
    "ConnectionRefusedError('": "to refuse a client raise socket_io.ConnectionRefused",
    "'function' object has no attribute 'emit'": "io.sockets() is a list: use io.emit(..)",
    **{
        f"object has no attribute '{name}'": hint
        for name, hint in {
            "sid": "self.id is the client's",
            "enter_room": "use self.join(room)",
            "leave_room": "use self.leave(room)",
            "get_session": "self.session is a dict",
            "save_session": "self.session is a dict",
            "handshake": "use self.request and self.auth",
            "emit_ack": "use await self.call(..)",
        }.items()
    },
    **{
        f"SocketIOHandler.{method}() got an unexpected keyword argument '{name}'": cure
        for method in ("emit", "send", "call")
        for name, cure in FOREIGN_ARGUMENTS.items()
    },
}

Method = TypeVar("Method", bound=Callable[..., Any])


@overload
def event(name: Method) -> Method: ...


@overload
def event(name: str = ...) -> Callable[[Method], Method]: ...


def event(name: Any = ...) -> Any:
    """Make a method the receiver of an event: `@event`, if both have one name, or `@event("name")`.

    The method gets the event's arguments. Its result, or its coroutine's, is the ack if the client
    asked for one: a tuple is several arguments, None is none; with `NO_ACK` the event is not
    acknowledged. A plain method runs at once; a coroutine is finished before the client's next
    event starts. Several `@event` above one method make it the receiver of several events.

    Raises TypeError for a name that is no text, ValueError for one that is never sent as an event.
    """
    method: Any = name
    if callable(name) or isinstance(name, (classmethod, functools.partialmethod)):
        return event()(method)
    if name is not ... and not isinstance(name, str):
        raise TypeError("@event takes the event's name, or nothing")
    if name in RESERVED_EVENTS:
        raise ValueError(f"{name!r} is never sent as an event: override on_open or on_close")
    if name == "*":
        raise ValueError('"*" does not stand for all events: override on_event(self, name, *args)')

    def mark(method: Any) -> Any:
        names = getattr(method, "_socket_io_events", ())
        method._socket_io_events = names if name in names else (*names, name)
        return method

    return mark


@dataclasses.dataclass(slots=True)
class Receiver:
    """The method for an event, and how many arguments the method can take."""

    method: str
    least: int
    most: float  #: infinite for `*args`

    @classmethod
    def of(cls, handler_class: type[SocketIOHandler], name: str) -> Receiver:
        """Read the signature of the method *name*; the first parameter is `self`, if it has one."""
        parameters = signature_of(getattr(handler_class, name)).parameters.values()
        kinds = [parameter.kind for parameter in parameters]
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        takes = [parameter for parameter in parameters if parameter.kind in positional]
        any_number = inspect.Parameter.VAR_POSITIONAL in kinds
        if not is_class_method(handler_class, name):
            if not takes and not any_number:
                raise TypeError(
                    f"{handler_class.__name__}.{name} has no parameter for the handler: "
                    f"def {name}(self)"
                )
            takes = takes[1:]
        least = sum(parameter.default is parameter.empty for parameter in takes)
        return cls(name, least, math.inf if any_number else len(takes))


def kwargs_by_class(
    classes: Set[type[SocketIOHandler]], kwargs: dict[str, Any]
) -> dict[type[SocketIOHandler], dict[str, Any]]:
    """Choose for each of *classes* those of *kwargs* that its `initialize` takes.

    Raises TypeError for a keyword that an `initialize` needs and does not get, or that none takes.
    """
    chosen = {}
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for handler_class in classes:
        parameters = list(signature_of(handler_class.initialize).parameters.values())[1:]
        anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        named = [parameter.name for parameter in parameters if parameter.kind in by_name]
        given = {name: value for name, value in kwargs.items() if anything or name in named}
        for parameter in parameters:
            needed = parameter.default is parameter.empty and parameter.kind not in variable
            if needed and parameter.name not in given:
                raise TypeError(
                    f"{handler_class.__name__}.initialize needs {parameter.name}: "
                    f"routes(kwargs={{{parameter.name!r}: ...}})"
                )
        chosen[handler_class] = given
    unknown = kwargs.keys() - set().union(*chosen.values())
    if unknown:
        names = " or ".join(sorted(handler_class.__name__ for handler_class in classes))
        raise TypeError(
            f"routes(kwargs=...): {unknown.pop()!r} is taken by no initialize of {names}"
        )
    return chosen


def check_timeout(seconds: Any) -> None:
    """Raise TypeError unless *seconds* is a number, or None for no limit."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and (not number or math.isnan(seconds)):
        raise TypeError(f"timeout is a number of seconds, or None for no limit, not {seconds!r}")


# The default of an argument for which None is a value of its own.
AS_BEFORE: Any = object()


@dataclasses.dataclass(frozen=True)
class Broadcast:
    """Some or all clients of a namespace, as the operators choose them.

        io.to("lobby").except_("muted").emit("news", text)

    A broadcast is a value: every operator returns a new one, which may be kept and shared.
    Its methods may be called from any handler, timer or thread. They reach nobody before the first
    client has come.
    """

    _at: tuple[tuple[Hub, Scope], ...]  # every hub that serves these clients
    _target: Target = Target()
    _seconds: float | None = 60.0

    @property
    def _asked(self) -> Iterable[tuple[Hub, Scope]]:
        """The hubs to ask. Hubs that belong to one cluster hear each other: the first is asked.

        A family is asked for by the names of its namespaces, because several hubs may have these.
        """
        if len(self._at) == 1 or self._target.local:
            return self._at
        chosen: dict[Any, tuple[Hub, Scope]] = {}
        for hub, at in self._at:
            known = list(hub.namespaces.values())  # a copy, for other threads may call this
            scopes: list[Scope] = [one.name for one in known if one.family is at]
            for scope in scopes or [at]:
                chosen.setdefault((hub.cluster or hub, scope), (hub, scope))
        return chosen.values()

    def to(self, *rooms: Rooms) -> Broadcast:
        """Add the clients in *rooms*, which are names or lists of names; a client's `id` is a room.

        A client that is in several of the rooms gets one copy. An empty list adds nobody.
        """
        return self._but(rooms=self._target.rooms.union(room_names(rooms) or [NOBODY]))

    in_ = to

    def except_(self, *rooms: Rooms) -> Broadcast:
        """Leave out the clients in *rooms*."""
        return self._but(excluded=self._target.excluded.union(room_names(rooms)))

    @property
    def volatile(self) -> Broadcast:
        """The same clients; an event is dropped for a client that could not get it at once."""
        return self._but(volatile=True)

    @property
    def local(self) -> Broadcast:
        """Only the clients of this server, without those of other servers in its cluster."""
        return self._but(local=True)

    def timeout(self, seconds: float | None) -> Broadcast:
        """Let `call` wait *seconds* for acks; None: for as long as the clients stay."""
        check_timeout(seconds)
        return Broadcast(self._at, self._target, seconds)

    def emit(self, event: str, *args: Any, **foreign: NoReturn) -> None:
        """Send an event to these clients, encoded once per dialect; see `SocketIOHandler.emit`."""
        if foreign:
            refuse_arguments(foreign)
        data = message_packet(event, args, "/").data
        for hub, scope in self._asked:
            # From another thread: the caller may change *args* before the loop has sent them.
            sent = data if hub.clock.on_loop() else detached(hub.json, data)
            hub.clock.run(hub.verbs.emit, scope, self._target, sent)

    def send(self, message: Any, **foreign: NoReturn) -> None:
        """Send a message to these clients; see `SocketIOHandler.send`."""
        self.emit("message", message, **foreign)

    async def call(
        self, event: str, *args: Any, timeout: float | None = AS_BEFORE, **foreign: NoReturn
    ) -> BroadcastAcks:
        """Emit to these clients and return their acks, once all have come or time is up.

        *timeout* is in seconds; by default the operator `timeout` counts, or 60; None is no limit.

        In the result, `answers` maps client ids to what the clients acknowledged with: one argument
        bare, several as a list. `missing` holds the ids of clients that did not answer in time,
        left meanwhile, or speak a dialect without acks.
        """
        if foreign:
            refuse_arguments(foreign)
        seconds = self._seconds if timeout is AS_BEFORE else timeout
        check_timeout(seconds)
        data = message_packet(event, args, "/").data
        gathered = BroadcastAcks({}, set())
        asked = [
            hub.clock.on_its_loop(hub.verbs.call(scope, self._target, data, seconds))
            for hub, scope in self._asked
        ]
        for acks in await asyncio.gather(*asked):
            gathered.add(acks)
        return gathered

    def sockets(self) -> list[SocketIOHandler]:
        """Return the handlers of these clients at this server.

        Clients whose `on_open` still runs are among them, because `emit` reaches them too.
        """
        found = [hub.verbs.find(scope, self._target) for hub, scope in self._at]
        return list(itertools.chain.from_iterable(found))

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Return a description of each of these clients, at other servers of the cluster too.

        Raises `ClusterTimeout` if a server does not answer within `cluster_timeout`; the error's
        `partial` holds the clients of this server.
        """
        found: list[RemoteSocket] = []
        for hub, scope in self._asked:
            all_there = Broadcast(((hub, scope),))
            try:
                known = await hub.clock.on_its_loop(hub.verbs.fetch(scope, self._target))
            except ClusterTimeout as late:
                late.partial = [*found, *[RemoteSocket.of(one, all_there) for one in late.partial]]
                raise
            found += [RemoteSocket.of(one, all_there) for one in known]
        return found

    def join(self, *rooms: Rooms) -> None:
        """Put these clients into *rooms*."""
        names = room_names(rooms)
        for hub, scope in self._asked:
            hub.clock.run(hub.verbs.join, scope, self._target, names)

    def leave(self, *rooms: Rooms) -> None:
        """Take these clients out of *rooms*."""
        names = room_names(rooms)
        for hub, scope in self._asked:
            hub.clock.run(hub.verbs.leave, scope, self._target, names)

    def disconnect(self, close: bool = False) -> None:
        """Disconnect these clients; see `SocketIOHandler.disconnect`."""
        for hub, scope in self._asked:
            hub.clock.run(hub.verbs.disconnect, scope, self._target, close)

    # Private.

    def _but(self, **changes: Any) -> Broadcast:
        """Return a plain Broadcast with *changes*: `io.to(..)` has no `close`, `stats` and `of`."""
        return Broadcast(self._at, dataclasses.replace(self._target, **changes), self._seconds)


class Oneself(Broadcast):
    """The client of a handler, as `handler.volatile` gives it.

    As in node, the operators of rooms leave this client out: they choose among the others.
    """

    @property
    def broadcast(self) -> Broadcast:
        """All other clients of the namespace."""
        return self._but(rooms=NO_ROOMS, excluded=self._target.rooms)

    def to(self, *rooms: Rooms) -> Broadcast:
        """Choose the other clients in *rooms*."""
        return self.broadcast.to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> Broadcast:
        """Choose the other clients that are not in *rooms*."""
        return self.broadcast.except_(*rooms)

    @property
    def volatile(self) -> Oneself:
        """This object itself, because it is volatile already."""
        return self

    def timeout(self, seconds: float | None) -> Oneself:
        """Let `call` wait *seconds* for the ack; None: for as long as the client stays."""
        check_timeout(seconds)
        return dataclasses.replace(self, _seconds=seconds)


class NamespaceIO(Broadcast):
    """All clients of a namespace, and what concerns its server as a whole: `handler.io`."""

    def of(self, name: str) -> NamespaceIO:
        """Return the namespace *name* of the same server; KeyError if there can be none."""
        found = tuple([(hub, name) for hub, _ in self._at if hub.may_have(name)])
        if not found:
            raise KeyError(
                f"no namespace {name!r}: give routes() one, namespaces={{{name!r}: HandlerClass}}"
            )
        return NamespaceIO(found)

    def get(self, id: str) -> SocketIOHandler | None:
        """Return the handler of the client with this `id`; None if it is not at this server."""
        return next((handler for handler in self.to(id).sockets() if handler.id == id), None)

    def rooms(self) -> dict[str, int]:
        """Return how many clients of this server are in each room, by the room's name.

        The rooms that are a client's `id` are left out.
        """
        sizes: collections.Counter[str] = collections.Counter()
        for hub, scope in self._at:
            sizes.update(hub.verbs.room_sizes(scope))
        return dict(sizes)

    def __len__(self) -> int:
        """Return the number of clients of this namespace at this server."""
        return len(self.sockets())

    def __bool__(self) -> bool:
        # `__len__` would make `io` false while there are no clients.
        return True

    async def start(self) -> None:
        """Take clients again after `close`, and join the cluster now, before the first request.

        A SocketIOServer does both by itself. A server that was never closed needs this only in a
        cluster.
        """
        for hub, _ in self._at:
            if not hub.clock.is_bound():
                hub.bind(None)
            elif hub.closing:
                hub.reopen()

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        """Call *listener* for an event that another server of the cluster emits to servers.

        The listener gets the event's arguments, and may be a coroutine function. The result of an
        event's first listener is the answer to `server_side_call`.
        """
        if event == "connection" or event in RESERVED_EVENTS:
            raise ValueError(
                f"no server emits {event!r}: for clients override on_open and on_close, and "
                "decorate methods with @event"
            )
        if not callable(listener):
            raise TypeError(f"a listener of {event!r} must be a function, not {listener!r:.80}")
        for hub, scope in self._at:
            hub.listeners.setdefault(scope, {}).setdefault(event, []).append(listener)

    def server_side_emit(self, event: str, *args: Any) -> None:
        """Send an event to the other servers of the cluster, whose `io.on` has listeners for it."""
        data = message_packet(event, args, "/").data
        for hub, scope in self._asked:
            hub.clock.run(hub.verbs.server_side_emit, scope, detached(hub.json, data))

    async def server_side_call(self, event: str, *args: Any) -> list[Any]:
        """Send an event to the other servers of the cluster, and return a list of their answers.

        Raises `ClusterTimeout` if a server does not answer within `cluster_timeout`; the error's
        `partial` holds the other answers.
        """
        data = message_packet(event, args, "/").data
        answers: list[Any] = []
        for hub, scope in self._asked:
            sent = detached(hub.json, data)
            answers += await hub.clock.on_its_loop(hub.verbs.server_side_call(scope, sent))
        return answers

    async def server_count(self) -> int:
        """Return how many servers the cluster has, this one included."""
        counts = [await hub.clock.on_its_loop(hub.verbs.server_count()) for hub, _ in self._asked]
        return int(max(counts))

    async def all_rooms(self) -> set[str]:
        """Return the names of all rooms of all servers; the `id` of each client is a room."""
        found: set[str] = set()
        for hub, scope in self._asked:
            found |= await hub.clock.on_its_loop(hub.verbs.all_rooms(scope))
        return found

    def stats(self) -> dict[str, Any]:
        """Return counts of this server, over all its namespaces; cheap enough to be asked often.

        `clients` by generation and transport; `messages_received` and `messages_sent`, which count
        events and acks; `bytes_received`, `bytes_sent`; `buffered_bytes`, which clients have not
        taken yet; `lag`, the seconds by which the loop is late; `worker`, the number of this one of
        all `workers` that serve now.
        """
        first, *others = [hub.stats() for hub, _ in self._at]
        for stats in others:
            del stats["worker"], stats["workers"]
            for dialect, transports in stats.pop("clients").items():
                counts = collections.Counter(first["clients"].get(dialect, {}))
                first["clients"][dialect] = dict(counts + collections.Counter(transports))
            first["lag"] = max(first["lag"], stats.pop("lag"))
            first.update({name: first[name] + value for name, value in stats.items()})
        return first

    async def close(self) -> None:
        """Say goodbye to every client of this server, in all namespaces, and take no new clients.

        A server that begins anew on the same loop calls `start` to take clients again. Returns when
        the clients are gone, or have had a few seconds to go. Their `close_reason` is "server
        shutting down".
        """
        await asyncio.gather(*[hub.clock.on_its_loop(hub.close()) for hub, _ in self._at])


@dataclasses.dataclass(frozen=True)
class RemoteSocket:
    """A client of some server of the cluster, as it was when `fetch_sockets` asked."""

    id: str
    rooms: frozenset[str]
    data: Any  #: the `data` of the client's handler
    handshake: dict[str, Any]  #: node's keys: `headers`, `address`, `time`, `url`, `query` ...
    _itself: Broadcast = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, known: dict[str, Any], all_there: Broadcast) -> RemoteSocket:
        """Make one of the description *known*, which a server of node may have sent."""
        rooms, handshake = known.get("rooms"), known.get("handshake")
        return cls(
            known["id"],
            frozenset([str(room) for room in rooms] if isinstance(rooms, list) else ()),
            known.get("data"),
            handshake if isinstance(handshake, dict) else {},
            all_there.to(known["id"]),
        )

    def emit(self, event: str, *args: Any, **foreign: NoReturn) -> None:
        """Send the client an event."""
        self._itself.emit(event, *args, **foreign)

    def join(self, *rooms: Rooms) -> None:
        """Put the client into *rooms*."""
        self._itself.join(*rooms)

    def leave(self, *rooms: Rooms) -> None:
        """Take the client out of *rooms*."""
        self._itself.leave(*rooms)

    def disconnect(self, close: bool = False) -> None:
        """Disconnect the client from its namespace; with *close* end its connection."""
        self._itself.disconnect(close)


class NotServed(SocketIOError, RuntimeError, AttributeError):
    """`io` was asked of a class that has no routes yet.

    It is an AttributeError too, so that `hasattr` and tools that look at a class do not fail.
    """


class HomeIO:
    """The descriptor `io`: the namespace of a handler, or all namespaces that a class serves."""

    def __get__(self, handler: SocketIOHandler | None, owner: type[SocketIOHandler]) -> NamespaceIO:
        if handler is not None:
            namespace = handler._member.namespace
            return NamespaceIO(((namespace.hub, namespace.name),))
        if "_home" not in vars(owner):
            raise NotServed(
                f"{owner.__name__} is not served yet: {owner.__name__}.routes(...) comes first"
            )
        homes = [home for home in owner._homes.items() if not home[0].clock.is_over()]
        return NamespaceIO(tuple(homes or [owner._home]))


def answers_nothing(name: str) -> Callable[..., NoReturn]:
    """Make what stands in place of RequestHandler's method *name*, which would answer a request."""
    hint = ""
    if "cookie" in name or "header" in name:
        hint = "; the class method set_initial_headers has an answer to put it on"
    elif name == "redirect":
        hint = "; @authenticated may stand above on_open"

    def refuse(self: SocketIOHandler, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f"{name}() answers a request, and a Socket.IO client is not waiting for one: "
            f"use send or emit{hint}"
        )

    refuse.__doc__ = "Raise RuntimeError: use `send` or `emit`."
    return refuse


class SocketIOHandler(tornado.web.RequestHandler):
    """A client in a namespace, from before `on_open` until after `on_close`. Subclass it.

    Tornado makes a handler like any RequestHandler, with the request of the client's handshake.
    All methods that read a request work: `request`, `settings`, `current_user`, `get_cookie`,
    `get_argument`. The methods that answer a request raise RuntimeError.

    Override `on_open`, `on_message`, `on_event`, `on_close`, or decorate methods with `@event`; also
    `dispatch`, `on_error`, `on_any`, `on_any_outgoing`. `allow_request`, `on_refused`,
    `set_initial_headers` and `set_answer_headers` are class methods for requests.

    Options are class attributes. Times are in seconds, sizes in bytes.

    Who may come in, and what for:

        allowed_origins = ()
            Origins to admit besides the server's own: texts with a scheme, patterns, "*", or a
            callable.
        enabled_dialects = ("0.6", "0.9", "EIO3", "EIO4")
            The generations to serve. "EIO4-msgpack" beside them is for clients of socket.io 3 and 4
            with the msgpack parser, and needs the package msgpack.
        allow_upgrades = True
            Whether a client may go from polling to WebSocket.
        id_is_sid = False
            Whether the `id` of a client of socket.io 1 or 2 is the one that the client computes
            itself. Set it to replace a server whose pages compare ids. Whoever reads such an id can
            speak for that client.

    Times:

        ping_interval = 25.0
            The time between heartbeats.
        ping_timeout = 20.0
            The time that a client has to answer a heartbeat; 60 s for 0.9, unless this is below 20.
        connect_timeout = 45.0
            The time that a client has to join a namespace, and `on_open` to accept it.
        upgrade_timeout = 10.0
            The time from a WebSocket's arrival to the end of polling.
        poll_duration = 20.0
            The time that a poll of the 0.x generations is held: at most 20 s for 0.6, 50 s for 0.9.
        close_timeout = 60.0
            The time that a poll has to fetch the goodbye, and a handler to finish before
            `on_close`.
        recovery_window = 0.0
            The time within which a client of 4.6 or later may come back to the events that it has
            missed; 0: never. Namespaces may differ.

    Limits:

        max_message_bytes = 1_000_000
            The size of a message or POST body, attachments included.
        max_buffered_bytes = 4_194_304
            The bytes not yet sent to one client. Above this limit none of the client's events is
            run, and the client is cut off unless half leaves within `ping_timeout`. At sixteen
            times as much the client is cut off at once.
        max_packets = 100_000
            The packets in one payload.
        max_attachments = 10
            The attachments of one packet.
        max_namespaces = 100
            The namespaces that one client may join.
        max_rooms = 1000
            The rooms that one client may be in, per namespace. Namespaces may differ.

    What is sent:

        json = None
            An object with `dumps` and `loads`, such as the module orjson; None: simplejson.
        json_default = None
            A function, mostly a static method, that gives what to send in place of a value that
            JSON lacks, such as a datetime or a UUID; `bytes` in it are attachments. It raises
            TypeError for a value that it does not know. It is asked about what `json`, if that is
            set, cannot write.
        http_compression = True
            Whether answers of 1 kB and more are compressed.
        websocket_compression = None
            The size from which a WebSocket message is compressed; None: never.
        client_path = None
            The file or `dist` folder of the client behind /socket.io.js; None: a CDN.

    Several servers:

        cookie = None
            The name of a cookie that polling handshakes set, for proxies that need one to be
            sticky; or a dict of its name and attributes, {"name": "io", "max_age": 3600}. Its value
            is the session id, which is secret. For other cookies see `set_initial_headers`.
        sid_prefix = ""
            The first characters, at most 4, of every session id, by which a proxy can tell the
            machine: digits, letters, "_" and "-".
        cluster = None
            The URL of a Redis through which several servers act as one.
        cluster_key = "socket.io"
            The prefix of the cluster's channels: node's option `key`.
        cluster_timeout = 5.0
            The time that other servers of the cluster have to answer.
        python_socketio_channel = None
            The Redis channel on which python-socketio is heard; its own default is "socketio".
    """

    # Options, in the order of the text above, which explains them.
    allowed_origins: AllowedOrigins = ()
    enabled_dialects: Sequence[str | Dialect] = tuple(DIALECTS)
    allow_upgrades = True
    id_is_sid = False

    ping_interval = 25.0
    ping_timeout = 20.0
    connect_timeout = 45.0
    upgrade_timeout = 10.0
    poll_duration = 20.0
    close_timeout = 60.0
    recovery_window = 0.0

    max_message_bytes = 1_000_000
    max_buffered_bytes = 4 * 1024 * 1024
    max_packets = 100_000
    max_attachments = 10
    max_namespaces = 100
    max_rooms = 1000

    json: Any = None
    json_default: Any = None
    http_compression = True
    websocket_compression: int | None = None
    client_path: str | os.PathLike[str] | None = None

    cookie: str | Mapping[str, Any] | None = None
    sid_prefix = ""
    cluster: str | None = None
    cluster_key = "socket.io"
    cluster_timeout = 5.0
    python_socketio_channel: str | None = None

    io = HomeIO()  #: all clients in this namespace; also on the class, once it has routes

    _events: ClassVar[dict[str, Receiver]] = {}
    _catch_all: ClassVar[Receiver] = Receiver("on_event", 1, math.inf)
    _taps_incoming = _taps_outgoing = _sets_headers = _sets_initial_headers = False
    _tasks: Set[asyncio.Task[Any]] = frozenset()  # tasks of `spawn` that are not over
    _member: Member = None  # type: ignore[assignment]  # set before on_open
    _home: ClassVar[tuple[Hub, str | Family]]  # the newest home; this reference keeps its hub
    _homes: ClassVar[weakref.WeakKeyDictionary[Hub, str | Family]]  # all homes that are served

    def __new__(cls, application: tornado.web.Application, request: Any, **kwargs: Any) -> Any:
        """Make a handler, or a PlainRule if Tornado asks because the class stands in a plain rule.

        Such a request still has its own connection.
        """
        if isinstance(request.connection, tornado.httputil.HTTPConnection):
            return PlainRule(application, request, handler_class=cls)
        return super().__new__(cls)

    # Applications override these methods. They are annotated with `Any`, so that a subclass may
    # annotate what it expects, and be a coroutine or not.

    def on_open(self, *args: Any, **kwargs: Any) -> Any:
        """Decide about a client that wants to come in; may be a coroutine.

        Return False or raise `ConnectionRefused` to turn the client away.
        `tornado.web.HTTPError(401)` refuses as well, with its reason, and so does
        `@tornado.web.authenticated` above this method. Any other result admits the client, None
        too. *args* and *kwargs* are what the groups of the route matched. Events that are sent from
        here follow the acceptance.
        """

    def on_message(self, message: Any) -> Any:
        """Take a message: text, or any JSON value. May be a coroutine.

        The result is the ack, as for an event. By default there is no ack, but a warning in the
        log.
        """
        cure = 'Override on_message, or decorate a method with @event("message")'
        self._member.mistaken("no method", "a message came, and there is no on_message", cure)
        return NO_ACK

    def on_event(self, name: str, *args: Any) -> Any:
        """Take an event that has no `@event` method; may be a coroutine.

        The result is the ack: None is an empty ack, `NO_ACK` is none. By default there is no ack,
        and a warning in the log.
        """
        self._member.mistaken("no method", f"the event {name[:40]!r} has no method")
        return NO_ACK

    def on_close(self) -> Any:
        """Hear that the client is gone: called once for each `on_open` that accepted a client.

        `close_reason` says why the client left, `rooms` which rooms it was in. May be a coroutine.
        """

    def on_error(self, error: Any) -> Any:
        """Handle *error*, which a method of this handler or its coroutine has raised.

        The connection lives on. By default the error is logged.
        """
        self.log_exception(type(error), error, error.__traceback__)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: types.TracebackType | None,
    ) -> None:
        """Log an error that a method has raised, with class, event and namespace."""
        where = f"{type(self).__name__} in {self.namespace[:40]!r}"
        where = getattr(value, "_socket_io_where", where)
        traceback: Any = (typ, value, tb)
        hint = next((hint for words, hint in HINTS.items() if words in repr(value)), "")
        APPLICATION_LOG.error(
            "%s: %.200r%s", where, value, hint and f"; {hint}", exc_info=traceback
        )

    def on_any(self, name: str, *args: Any) -> Any:
        """See every event that comes in, before its method does; for logs and metrics."""

    def on_any_outgoing(self, name: str, *args: Any) -> Any:
        """See every event on its way to this client, broadcasts too."""

    def dispatch(self, name: str, *args: Any) -> Any:
        """Call the method for an event; override this around `super().dispatch(name, *args)`.

        An override may check, change, measure or drop the event; an error that it raises goes to
        `on_error`. The result, or its coroutine's, is the ack: return what `super().dispatch`
        returned.
        """
        receiver = self._events.get(name)
        if receiver is None:
            if name == "message":
                return self.on_message(unwrap(args))
            receiver, args = self._catch_all, (name, *args)
        if receiver.least <= len(args) <= receiver.most:
            return getattr(self, receiver.method)(*args)
        count = len(args) - (receiver is self._catch_all)
        method = f"{type(self).__name__}.{receiver.method}"
        self._member.mistaken(
            "arguments",
            f"{method} cannot take event {name[:40]!r} with {counted(count, 'argument')}",
        )
        return NO_ACK

    @classmethod
    def allow_request(cls, request: tornado.httputil.HTTPServerRequest) -> Any:
        """Decide whether *request* may begin a session, over any transport; may be a coroutine.

        Return True to admit it. Any false value, None too, refuses it with 403:
        `return cls.find_user(request)` does the right thing. Raise
        `tornado.web.HTTPError(503, reason="Come back later")` to say more. Only the class whose
        `routes` was called is asked.
        """
        return True

    @classmethod
    def on_refused(cls, request: tornado.httputil.HTTPServerRequest, why: str) -> None:
        """Hear that *request* was refused, and *why*; for metrics and bans.

        *why* holds the words that the client is told, and often more; the client's own words in it
        are quoted and cut short. The method is called on the class whose `routes` was called,
        whatever the reason: the origin, `allow_request`, an unknown session, a malformed handshake,
        or the goodbye of the server.
        """

    @classmethod
    def set_initial_headers(
        cls, request: tornado.httputil.HTTPServerRequest, answer: AnswerHeaders
    ) -> None:
        """Set headers and cookies of the answer to a client's handshake.

            @classmethod
            def set_initial_headers(cls, request, answer):
                answer.set_header("X-Server", "blue")
                answer.set_cookie("seen", "yes", max_age=3600, httponly=True)
                answer.set_signed_cookie("visitor", "ada")

        This is the event `initial_headers` of node's engine, with the methods of Tornado's
        handlers. It is called once for each session, on the class whose `routes` was called, after
        `allow_request` and in its context, for a request over any transport: a poll, JSONP, a
        stream, or a WebSocket, whose 101 then has the headers. 0.9 shakes hands in two requests
        over a WebSocket or a stream, and both answers have them. An upgrade begins no session.

        If the method fails, the client is refused with 500; `tornado.web.HTTPError` refuses it too.
        """

    @classmethod
    def set_answer_headers(
        cls, request: tornado.httputil.HTTPServerRequest, answer: AnswerHeaders
    ) -> None:
        """Set headers of every answer: polls, POSTs, WebSockets' 101s, refusals, the client file.

        This is the event `headers` of node's engine, and Tornado's `set_default_headers`, but a
        class method, because requests have no handler. On a handshake `set_initial_headers` comes
        after. If the method fails, the log says so, and the answer goes without.
        """

    # Facts about this client.

    @property
    def current_user(self) -> Any:
        """The user, by `get_current_user`; TypeError where that is a coroutine function.

        Every client would be a user, because a coroutine is true.
        """
        user = super().current_user
        if is_awaitable(user):
            raise TypeError(
                f"{type(self).__name__}.get_current_user cannot be a coroutine: "
                "say self.current_user = await ... in on_open"
            )
        return user

    @current_user.setter
    def current_user(self, user: Any) -> None:
        vars(tornado.web.RequestHandler)["current_user"].fset(self, user)

    @property
    def id(self) -> str:
        """The client's name among others: public, random, and itself a room."""
        return self._member.id

    @property
    def namespace(self) -> str:
        """The name of the namespace, "/" for the root."""
        return self._member.namespace.name

    @property
    def auth(self) -> dict[str, Any]:
        """The credentials of the client: the payload of its CONNECT packet.

        Clients up to socket.io 2 send no such payload: for them these are the arguments of the
        handshake's query, without those of the protocol itself.
        """
        if self._member.auth is not None:
            return self._member.auth
        if not self._member.session.dialect.opens_root_unasked:
            return {}
        # Tornado would read names as Latin-1, and raise an error for a value that is not UTF-8.
        query = self.request.query.encode("latin-1").decode("utf-8", "replace")
        pairs = parse_pairs(query) or {}
        return {name: value for name, value in pairs.items() if name not in PARAMETERS}

    @property
    def protocol(self) -> str:
        """The transport in use now.

        It is one of: websocket, flashsocket, htmlfile, xhr-multipart, xhr-polling, jsonp-polling.
        """
        return self._member.session.transport

    @property
    def session(self) -> UserSession:
        """A dict for the application's data about this client, shared by the client's namespaces.

        Its attribute `id` is the session id, which is secret.
        """
        session = self._member.session
        if session.user_session is None:
            session.user_session = UserSession(session.sid, session.dialect)
        return session.user_session

    @property
    def data(self) -> dict[str, Any]:
        """A dict that other servers of the cluster see by `fetch_sockets`; it must be JSON."""
        data: dict[str, Any] = vars(self).setdefault("_data", {})
        return data

    @data.setter
    def data(self, data: Any) -> None:
        vars(self)["_data"] = data

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that the client is in, `id` among them; in `on_close`, the rooms it was in."""
        return frozenset(self._member.rooms) | {self._member.id}

    @property
    def connected(self) -> bool:
        """Whether the client has been accepted and has not left."""
        return self._member.is_open

    @property
    def recovered(self) -> bool:
        """Whether the client has come back within `recovery_window`.

        It then has the `id`, the `rooms` and the `session` data that it had before.
        """
        return self._member.recovered

    @property
    def close_reason(self) -> str | None:
        """The reason why the client is gone, in the words of node's server; None while it is here.

        "transport close", "transport error", "ping timeout", "parse error", "forced close",
        "client namespace disconnect", "server namespace disconnect", "server shutting down".
        """
        return self._member.close_reason

    # To this client.

    def send(self, message: Any) -> None:
        """Send *message*, a JSON value with `bytes` anywhere inside: `emit("message", message)`.

        0.x clients get text as it is, and anything else as JSON. `Decimal` is sent as a number.
        """
        self.emit("message", message)

    def emit(
        self,
        event: str,
        *args: Any,
        ack: Callable[..., Any] | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """Send the event *event* with *args*: JSON values, with `bytes` anywhere inside.

        *ack* is called with the arguments of the client's ack if one comes within *timeout* seconds
        (None: without limit), and may be a coroutine function. Use `call` to learn that no ack
        came. A 0.6 client gets the message {"name": event, "args": [..]}. May be called from any
        thread. Nothing is sent to a client that has gone.

        Raises TypeError or ValueError for a value that is not JSON, `NotSupported` for bytes or
        acks that the client's generation does not have.
        """
        member = self._member
        hub = member.session.hub
        packet = message_packet(event, args, member.namespace.name)
        send: Callable[[Packet], None] = member.emit
        if ack is not None:
            if not callable(ack):
                raise TypeError(f"ack must be a function, not {ack!r}")
            check_timeout(timeout)
            send = functools.partial(self._ask, ack, timeout)
        if hub.clock.on_loop():
            send(packet)
        else:
            # The caller may change *args* before the loop has sent them.
            packet.data = detached(hub.json, packet.data)
            hub.clock.run(send, packet)

    def _ask(self, ack: Callable[..., Any], timeout: float | None, packet: Packet) -> None:
        future = self._member.ask(packet, timeout)
        future.add_done_callback(functools.partial(self._member.answered, packet.data[0], ack))

    async def call(self, event: str, *args: Any, timeout: float | None = 60.0) -> Any:
        """Emit, and return the client's ack: one argument bare, several as a list, none as None.

        Raises `AckTimeout` after *timeout* seconds (None: never), and `Disconnected` when the
        client goes. If the client has not been accepted yet, or its generation has no acks, nothing
        is sent, and `Disconnected` or `NotSupported` is raised.
        """
        hub = self._member.session.hub
        check_timeout(timeout)
        if not hub.clock.on_loop():
            return await hub.clock.on_its_loop(self.call(event, *args, timeout=timeout))
        return unwrap(await self._member.ask(message_packet(event, args, self.namespace), timeout))

    @property
    def volatile(self) -> Oneself:
        """This client, for events that are dropped if they cannot be sent at once.

        `self.volatile.to("room")` and `self.volatile.broadcast` mean other clients, as
        `self.to("room")` and `self.broadcast` do.
        """
        namespace = self._member.namespace
        target = Target(frozenset([self.id]), volatile=True)
        return Oneself(((namespace.hub, namespace.name),), target)

    def disconnect(self, close: bool = False) -> None:
        """Disconnect this client from this namespace; with *close* from all, and end its connection.

        Its `close_reason` is "server namespace disconnect", and the client does not reconnect by
        itself. This method, `close`, `join` and `leave` may be called from any thread.
        """
        self._member.session.hub.clock.run(self._disconnect, close)

    def _disconnect(self, close: bool) -> None:
        session = self._member.session
        if self._member.end_after_connect(functools.partial(self._disconnect, close)):
            return
        members = list(session.members.values()) if close else [self._member]
        for member in members:
            if member.close_reason is None:
                session.send_packet(Packet(DISCONNECT, member.namespace.name))
                member.end("server namespace disconnect")
        if close or (session.dialect.root_is_connection and self.namespace == "/"):
            session.close("server namespace disconnect")

    def close(self) -> None:
        """End the client's connection as a failure of the network would: the client may reconnect.

        No namespace gets a DISCONNECT packet; the `close_reason` is "forced close".
        """
        self._member.session.hub.clock.run(self._close)

    def _close(self) -> None:
        session = self._member.session
        if not self._member.end_after_connect(self._close):
            session.close("forced close")

    def spawn(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run *coroutine* beside the events of this client, which need not wait for it.

            @event
            def watch(self, name):
                self.spawn(self.send_prices(name))

        Returns the task, which may be cancelled or awaited. It runs in the client's context. An
        error that it raises is reported as one of an event, by `on_error`. It is cancelled when the
        client leaves the namespace: a client that comes back has a new handler, whose `on_open` can
        spawn again. A task that disconnects its client itself goes on to its end.

        Raises `Disconnected` when the client has gone, TypeError for anything but a coroutine, and
        RuntimeError in another thread.
        """
        name = type(self).__name__
        if not isinstance(coroutine, Coroutine):
            cure = "self.spawn(self.work()), with async def work(self)"
            if inspect.iscoroutinefunction(coroutine):
                cure = f"call it, with parentheses: self.spawn(self.{coroutine.__name__}())"
            raise TypeError(f"{name}.spawn takes a coroutine, not {coroutine!r:.80}: {cure}")
        member = self._member
        if not member.session.hub.clock.on_loop():
            coroutine.close()
            raise RuntimeError(
                f"{name}.spawn belongs to the thread of the server's loop: "
                "from another one use asyncio.run_coroutine_threadsafe"
            )
        if member.close_reason is not None:
            coroutine.close()
            if member.state is ENDING and not member.inbox:  # `on_close` has begun
                warn_once(
                    "spawn",
                    "%s.spawn in on_close: the client has gone, so nothing is started; await it "
                    "there, or use asyncio.create_task",
                    name,
                )
            raise Disconnected(f"{name}.spawn: the client has gone ({member.close_reason})")
        return member.spawn(coroutine)

    # To others.

    def join(self, *rooms: Rooms) -> None:
        """Put this client into *rooms* too; raises SocketIOError beyond `max_rooms`."""
        member = self._member
        member.session.hub.clock.run(member.namespace.join, member, room_names(rooms))

    def leave(self, *rooms: Rooms) -> None:
        """Take this client out of *rooms*."""
        member = self._member
        member.session.hub.clock.run(member.namespace.leave, member, room_names(rooms))

    @property
    def broadcast(self) -> Broadcast:
        """All clients in this namespace but this client."""
        return self.io.except_(self.id)

    def to(self, *rooms: Rooms) -> Broadcast:
        """Choose the clients in *rooms* but this client."""
        return self.io.except_(self.id).to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> Broadcast:
        """Choose all clients but this client and the clients in *rooms*."""
        return self.io.except_(self.id, *rooms)

    # Serving.

    @classmethod
    def routes(
        cls,
        resource: str,
        extraRE: str | None = None,
        extraSep: str | None = None,
        namespaces: Mapping[Any, type[SocketIOHandler]] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> tuple[tornado.routing.Matcher, Any]:
        """Return the rule to put into a Tornado Application: it serves this class at /*resource*.

        *resource* may be a regular expression, and *extraRE* another one for more of the path,
        behind *extraSep*. Named groups, and `extra` for all that *extraRE* matched, reach `on_open`
        as keywords, unnamed groups as arguments.

        *namespaces* maps further namespaces to their classes; this class serves "/" unless the
        mapping has it. A key is the name of a namespace, or describes a family of namespaces, each
        of which is made for its first client and forgotten after its last. A family is a compiled
        pattern of the whole name, or a callable that gets a client's namespace and auth and tells
        whether there is such a namespace. It may be a coroutine function; `connect_timeout` is its
        limit.

        *kwargs* go to `initialize`, as in Tornado; each class gets those that its own method takes.
        One rule in two Applications serves each by itself, and `io` of the class reaches both.

        Raises TypeError or ValueError, with the cure, for mistakes in the classes and in *kwargs*.
        """
        for part in (resource, extraRE or "", extraSep or ""):
            if not isinstance(part, str):
                raise TypeError(
                    f'routes("socket.io", namespaces=.., kwargs=..): no path is {part!r:.100}'
                )
        if not isinstance(namespaces, (Mapping, NOTHING)):
            raise TypeError('routes(namespaces={"/name": HandlerClass}) takes a dict')
        classes: list[Any] = [cls, *(namespaces or {}).values()]
        for handler_class in classes:
            if not isinstance(handler_class, type) or not issubclass(
                handler_class, SocketIOHandler
            ):
                raise TypeError(
                    f"routes(namespaces=..): {handler_class!r:.100} is no subclass of "
                    "SocketIOHandler"
                )
            handler_class._examine()
        extra = f"{extraSep or ''}(?P<extra>{extraRE})" if extraRE else ""
        resource = resource.removeprefix("^").strip("/")
        pattern = re.compile(f"/(?:{resource}){extra}")
        for handler_class in {(namespaces or {}).get("/", cls), *(namespaces or {}).values()}:
            check_on_open(handler_class, pattern)
        make_hub = functools.partial(Hub, cls, dict(namespaces or {}), dict(kwargs or {}))
        return Resource(pattern, f"/{resource}/"), Entrances(make_hub)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._examine()

    @classmethod
    def _examine(cls) -> None:
        """Check the class, and note its events and taps.

        This happens again when the class is served, because its attributes may have been set since.
        """
        cls._events = find_events(cls)
        cls._catch_all = Receiver.of(cls, "on_event")
        cls._taps_incoming = overrides(cls, "on_any")
        cls._taps_outgoing = overrides(cls, "on_any_outgoing")
        cls._sets_initial_headers = overrides(cls, "set_initial_headers")
        cls._sets_headers = overrides(cls, "set_answer_headers")
        check_class(cls)

    # Private.

    def clear(self) -> None:
        """Do nothing where Tornado's constructor makes an empty answer: 1.5 kB less per client."""

    @property
    def xsrf_token(self) -> bytes:
        """The token that fits the `_xsrf` cookie of the handshake.

        If the handshake had no such cookie, the token fits no form, and the log says so.
        """
        vars(self)["set_cookie"] = lambda *args, **kwargs: warn_once(
            "xsrf",
            "%s.xsrf_token fits no form: the client's handshake brought no cookie for it; "
            "let the page that the client came from use xsrf_token",
            type(self).__name__,
        )
        try:
            return super().xsrf_token
        finally:
            del vars(self)["set_cookie"]

    def get_template_namespace(self) -> dict[str, Any]:
        """Return what Tornado gives to templates, of which `Hub.make_handler` drops a part."""
        if self.ui is None:
            self.ui = self._make_ui()
        return super().get_template_namespace()

    def _make_ui(self) -> Any:
        """Run Tornado's constructor again, and return the object for templates that it makes.

        `Hub.make_handler` drops that object, because few handlers render templates.
        """
        request: Any = self.request
        state = dict(vars(self))
        request.connection = types.SimpleNamespace(set_close_callback=id)
        vars(self)["initialize"] = lambda: None
        try:
            tornado.web.RequestHandler.__init__(self, self.application, request)
            return self.ui
        finally:
            request.connection = None
            vars(self).clear()
            vars(self).update(state)

    for _name in ("write", "finish", "render", "flush", "send_error", "write_error", "set_status",
                  "set_header", "add_header", "clear_header", "set_cookie", "set_signed_cookie",
                  "clear_cookie", "clear_all_cookies", "set_etag_header", "detach", "get_status",
                  "compute_etag", "check_etag_header"):  # fmt: skip
        locals()[_name] = answers_nothing(_name)
    del _name

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> NoReturn:
        """Refuse the client if this is `on_open`, where `@tornado.web.authenticated` calls this.

        Raises RuntimeError anywhere else.
        """
        if self._member.after_connect is not None:
            raise tornado.web.HTTPError(401)
        answers_nothing("redirect")(self)

    def get_login_url(self) -> str:
        """Return the setting `login_url`. It may be missing, because no client is sent there."""
        login_url: str = self.settings.get("login_url", "")
        return login_url


@dataclasses.dataclass(frozen=True)
class Option:
    """The values that an option may have."""

    types: tuple[Any, ...]
    zero: bool = False  #: a number may be zero
    per_class: bool = False  #: the classes of one server's namespaces may differ


SECONDS, WHOLE, SWITCH, NOTHING = (float, int), (int,), (bool,), type(None)
TIMES = ("ping_interval", "ping_timeout", "connect_timeout", "upgrade_timeout", "poll_duration",
         "close_timeout", "cluster_timeout")  # fmt: skip
LIMITS = ("max_message_bytes", "max_buffered_bytes", "max_packets", "max_attachments",
          "max_namespaces")  # fmt: skip
#: Every option of SocketIOHandler; its meaning stands in the text of the class.
OPTIONS = {
    **dict.fromkeys(TIMES, Option(SECONDS)),
    "recovery_window": Option(SECONDS, zero=True, per_class=True),
    **dict.fromkeys(LIMITS, Option(WHOLE)),
    "max_rooms": Option(WHOLE, per_class=True),
    **dict.fromkeys(["allow_upgrades", "id_is_sid", "http_compression"], Option(SWITCH)),
    "websocket_compression": Option((int, NOTHING), zero=True),
    "allowed_origins": Option((str, re.Pattern, Collection, Callable)),
    "enabled_dialects": Option((list, tuple)),
    "cookie": Option((str, Mapping, NOTHING)),
    **dict.fromkeys(["cluster", "python_socketio_channel"], Option((str, NOTHING))),
    **dict.fromkeys(["cluster_key", "sid_prefix"], Option((str,))),
    "client_path": Option((str, os.PathLike, NOTHING)),
    "json": Option((object,)),
    "json_default": Option((Callable, NOTHING)),
}
ADMITS_ALL = SocketIOHandler.allow_request.__func__  # type: ignore[attr-defined]  # need not be called
#: The options that a handler would set for itself in vain. The other names are ordinary ones.
CLASS_ONLY = OPTIONS.keys() - {"json", "cookie", "cluster"}
#: The methods of a RequestHandler that nothing calls here, and the methods to use instead.
NEVER_CALLED = {
    **dict.fromkeys(["get", "head", "post", "put", "patch", "delete", "options"], "on_open"),
    "data_received": "on_message",
    "prepare": "on_open",
    "on_finish": "on_close",
    "on_connection_close": "on_close",
    "set_default_headers": "set_answer_headers(cls, request, answer), a class method",
    "write_error": "allow_request, which may raise an HTTPError with a reason",
    "check_xsrf_cookie": "allowed_origins",
}


#: The hooks for requests, of which no namespace knows: only the class that is routed has them.
REQUEST_HOOKS = ("allow_request", "on_refused", "set_initial_headers", "set_answer_headers")
#: The methods that applications override and that are called with the parameters they have in
#: SocketIOHandler. Those of `on_open` are groups of the route: `check_on_open` knows them.
HOOKS = ("on_message", "on_event", "on_close", "on_error", "on_any", "on_any_outgoing", "dispatch",
         *REQUEST_HOOKS)  # fmt: skip
#: What the parameters of other servers' methods are here.
KNOWN_AS = {
    "on_open": "self.id, self.request and self.auth tell who comes",
    "on_message": "self.id is the client's",
    "on_close": "self.close_reason tells why",
    "disconnect": "it ends the client, and on_close hears that one has gone",
}


def check_class(cls: type[SocketIOHandler]) -> None:
    """Raise TypeError or ValueError, with the cure, for attributes without effect or use.

    This is called when the class is made and again when it is served, because options may be set
    in between.
    """
    _check_attributes(cls)
    for name in REQUEST_HOOKS:
        if not is_class_method(cls, name):
            raise TypeError(
                f"{cls.__name__}.{name} is asked before there is a handler: make it a @classmethod"
            )
    if not takes(cls.__init__, None, None, None):
        raise TypeError(
            f"{cls.__name__}.__init__ is called with application and request, as Tornado does: "
            "write def initialize(self, ...), which gets routes(kwargs={...})"
        )
    for name in ("initialize", "on_error", "on_any", "on_any_outgoing", *REQUEST_HOOKS[1:]):
        if inspect.iscoroutinefunction(getattr(cls, name)):
            raise TypeError(f"{cls.__name__}.{name} cannot be a coroutine: nobody waits for it")
    for name in (*HOOKS, "disconnect"):
        if overrides(cls, name):
            _check_parameters(cls, name)
    receivers = [receiver.method for receiver in cls._events.values()]
    for name in ("on_open", "on_message", "on_event", "on_close", "dispatch", *receivers):
        method = getattr(cls, name)
        if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            raise TypeError(
                f"{cls.__name__}.{name} has a yield, and so nothing would run it: "
                "use async and await"
            )
    for name in OPTIONS:
        _check_option(cls, name, getattr(cls, name))


def is_class_method(cls: type[SocketIOHandler], name: str) -> bool:
    """Tell whether the method *name* can be called on the class."""
    return isinstance(inspect.getattr_static(cls, name), (classmethod, staticmethod))


def overrides(cls: type[SocketIOHandler], name: str) -> bool:
    """Tell whether *cls* has its own method *name*."""
    return inspect.getattr_static(cls, name) is not vars(SocketIOHandler)[name]


def _check_parameters(cls: type[SocketIOHandler], name: str) -> None:
    """Raise TypeError if the method *name* cannot be called like that of SocketIOHandler.

    An `on_event` for some number of arguments may be meant so: the log tells of other events.
    """
    method = vars(SocketIOHandler)[name]
    parameters = signature_of(getattr(method, "__func__", method)).parameters.values()
    names = [str(parameter.replace(annotation=parameter.empty)) for parameter in parameters]
    takes_more = names[-1] == "*args"
    least = len(names) - 1 - takes_more  # without `self` or `cls`
    if name == "on_event":
        fits = Receiver.of(cls, name).most >= least
    else:
        fits = all(_takes(cls, name, [None] * (least + more)) for more in (0, 100 * takes_more))
    if not fits:
        _refuse_parameters(cls, name, ", ".join(names))


def _takes(
    cls: type[SocketIOHandler], name: str, args: Sequence[Any], kwargs: Mapping[str, Any] = {}
) -> bool:
    """Tell whether the method *name* takes these arguments behind `self` or `cls`."""
    owner = () if is_class_method(cls, name) else (None,)
    return takes(getattr(cls, name), *owner, *args, **kwargs)


def _refuse_parameters(cls: type[SocketIOHandler], name: str, parameters: str) -> NoReturn:
    known_as = f": {KNOWN_AS[name]}" if name in KNOWN_AS else ""
    raise TypeError(
        f"{cls.__name__}.{name}{signature_of(getattr(cls, name))} is called with other arguments; "
        f"write def {name}({parameters}){known_as}"
    )


def check_on_open(cls: type[SocketIOHandler], pattern: re.Pattern[str]) -> None:
    """Raise TypeError if `on_open` does not take what the groups of the route's *pattern* match."""
    args = [f"group{number}" for number in range(1, pattern.groups - len(pattern.groupindex) + 1)]
    if not _takes(cls, "on_open", args, pattern.groupindex):
        _refuse_parameters(cls, "on_open", ", ".join(["self", *args, *pattern.groupindex]))


def _check_attributes(cls: type[SocketIOHandler]) -> None:
    """Refuse the attributes of *cls* that have no effect or do harm, and warn of those of its mixins.

    A mixin is no SocketIOHandler, and may need them elsewhere.
    """
    parents = [base for base in cls.__mro__[1:] if issubclass(base, SocketIOHandler)]
    for base in reversed(cls.__mro__):
        if base in SocketIOHandler.__mro__:
            continue
        # A copy: Python 3.14 adds the annotations to the dict when `_ours_for` asks for them.
        found = {name: _fault_of(cls, base, name) for name in list(vars(base))}
        texts = [f"{base.__name__}.{name} {fault}" for name, fault in found.items() if fault]
        if texts and issubclass(base, SocketIOHandler):
            raise TypeError(texts[0])
        # A parent with the same mixin has warned of it.
        if not texts or any(issubclass(parent, base) for parent in parents):
            continue
        # A mixin's `prepare` often is what keeps strangers out. A class with its own `allow_request`
        # has decided which clients to let in.
        if found.get("prepare") and not overrides(cls, "allow_request"):
            raise TypeError(
                f"{base.__name__}.prepare would never be called in {cls.__name__}, and may have to "
                "let in only some: override allow_request for that, or say "
                "prepare = tornado.web.RequestHandler.prepare"
            )
        warn_once("inherited", "%s inherits it: %s", cls.__name__, ", ".join(texts))


def _fault_of(cls: type[SocketIOHandler], base: type, name: str) -> str:
    """Return what is wrong with the attribute *name* of *base* in *cls*, and the cure, or nothing."""
    if _hides(cls, base, name):
        cure = "use routes(namespaces=..)" if name == "namespace" else "give it another name"
        return f"would hide SocketIOHandler.{name}: {cure}"
    ours = _ours_for(cls, base, name)
    if ours is None:
        return ""
    reason = ours.removeprefix("nothing: ")
    cure = f"use {ours}" if reason == ours else f"leave it out: {reason}"
    return f"would do nothing here; {cure}"


def _hides(cls: type[SocketIOHandler], base: type, name: str) -> bool:
    """Tell whether *name* of *base* hides one of ours in *cls*, and cannot stand for it.

    `self.rooms` of a class with `rooms = {}` would be one dict of all clients.
    """
    value, ours = vars(base)[name], vars(SocketIOHandler).get(name)
    is_function = callable(value) or isinstance(value, (classmethod, staticmethod))
    is_function = is_function and not hasattr(value, "__set__")  # a PropertyMock can be called, too
    # Applications have these of their own, and nothing here uses ours.
    if name in ("auth", "broadcast", "connected", "current_user", "data") or name.startswith("_"):
        return False
    if inspect.getattr_static(cls, name) is not value:
        return False
    if isinstance(ours, (property, HomeIO)):
        return is_function or not hasattr(value, "__get__")
    is_method = name not in OPTIONS and (callable(ours) or isinstance(ours, classmethod))
    return is_method and not is_function and not hasattr(value, "__get__")


def _ours_for(cls: type[SocketIOHandler], base: type, name: str) -> str | None:
    """Return what to use in place of *name*, an attribute of *base* that has no effect in *cls*.

    That is a method for HTTP requests, a name that other servers use, or a slip in one of our own.
    None for any other attribute.
    """
    value = vars(base)[name]
    if name in NEVER_CALLED:
        # A class may take back what a mixin has: prepare = tornado.web.RequestHandler.prepare.
        taken_back = getattr(cls, name) is getattr(tornado.web.RequestHandler, name)
        stands = inspect.getattr_static(cls, name) is value and not taken_back
        return NEVER_CALLED[name] if stands else None
    if name.startswith("_") or hasattr(SocketIOHandler, name) or isinstance(value, type):
        return None
    plain = squeezed(name)
    if callable(value) or isinstance(value, (classmethod, staticmethod)):
        if name in [receiver.method for receiver in cls._events.values()]:
            return None
        ours = FOREIGN_NAMES.get(plain + "()") or OWN_NAMES.get(plain)
        return ours or _slip_of(plain, OWN_HOOKS)
    if name in annotated_names(base):
        return None
    return SPELLINGS.get(plain) or _slip_of(plain, SPELLINGS)


def _check_kind(where: str, option: Option, value: Any) -> None:
    is_switch = option.types is SWITCH
    # Python counts True among the numbers.
    if not isinstance(value, option.types) or (type(value) is bool and not is_switch):
        wanted = " or ".join("None" if kind is NOTHING else kind.__name__ for kind in option.types)
        raise TypeError(f"{where} must be {wanted}, not {value!r}")
    if isinstance(value, (int, float)) and not is_switch:
        if not math.isfinite(value):
            raise ValueError(f"{where} must be a finite number, not {value!r}")
        if value < 0 or value == 0 and not option.zero:
            raise ValueError(f"{where} must be above zero, not {value!r}")
        # Times in node are 5,000 ms and more, in whole seconds.
        if value >= 5000 and value % 1000 == 0 and option == Option(SECONDS):
            warn_once("milliseconds", "%s = %r: times are in seconds", where, value)


def _check_option(cls: type[SocketIOHandler], name: str, value: Any) -> None:
    """Raise TypeError or ValueError if the option *name* cannot have this *value*."""
    where = f"{cls.__name__}.{name}"
    _check_kind(where, OPTIONS[name], value)
    has_codec = hasattr(value, "dumps") and hasattr(value, "loads")
    if name == "allowed_origins":
        _check_origins(where, value)
    if name == "sid_prefix" and not SID_PREFIX.fullmatch(value):
        raise ValueError(f"{where} must be 0 to 4 digits, letters, _ or -, not {value!r}")
    if name == "json" and value is not None and not has_codec:
        raise TypeError(f"{where} must have dumps and loads, as the module json has")
    if name == "cookie" and value is not None:
        try:
            sid_cookie(value, "sid", secure=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from None
    if name == "json_default" and value is not None:
        _check_function(where, value, "value", "an event is encoded")


def _check_function(where: str, function: Any, parameter: str, occasion: str) -> None:
    """Raise TypeError unless *function*, an option, can be asked about one thing at once."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{where} cannot be a coroutine: it is asked while {occasion}")
    if not takes(function, None):
        raise TypeError(
            f"{where} is called with the {parameter} alone: write @staticmethod above "
            f"def {getattr(function, '__name__', 'function')}({parameter})"
        )


def _check_origins(where: str, allowed: Any) -> None:
    """Raise ValueError or TypeError for an entry that can match no origin."""
    if callable(allowed):
        return _check_function(where, allowed, "origin", "the request waits")
    for entry in (allowed,) if isinstance(allowed, (str, re.Pattern)) else allowed:
        if isinstance(entry, re.Pattern) and isinstance(entry.pattern, str):
            continue
        if not isinstance(entry, str):
            raise TypeError(f"{where}: an origin is text or a pattern of text, not {entry!r}")
        if entry != "*" and not LISTABLE.fullmatch(entry):
            raise ValueError(f"{where}: {entry!r} can match nothing; write {_origin_meant(entry)}")


AN_ORIGIN_LIST = "a list of origins, such as ['https://example.com']"


def _origin_meant(entry: str) -> str:
    """Return the Python expression to write in place of *entry*."""
    if entry == "null":
        return "'*', or a function that admits 'null'"
    scheme, separator, place = entry.strip().rpartition("://")
    host = re.split(r"[/?#\\]", place.removeprefix("//"))[0].rpartition("@")[2]
    if not host or re.search(r"[\s,]", entry.strip()):
        return AN_ORIGIN_LIST
    # Browsers send the ASCII form of an internationalized name.
    with contextlib.suppress(UnicodeError):
        host = host.encode("idna").decode("ascii")
    # In Django and in cookies, a leading dot stands for a domain with all its subdomains.
    if host.startswith("."):
        host = f"*{host}"
    # A server on this machine, or one without a name, mostly has no certificate.
    usual = (
        "http" if re.fullmatch(r"(?:.*\.)?localhost(:.*)?|[0-9.]+(:.*)?|\[.*", host) else "https"
    )
    origin = f"{scheme if separator else usual}://{host}"
    if "*" in host:
        return "re.compile(r'{}')".format(re.escape(origin).replace(r"\*", "[^/]+"))
    # The advice must be an entry that is accepted.
    return repr(origin) if LISTABLE.fullmatch(origin) else AN_ORIGIN_LIST


def _check_event(base: type, name: str, event_name: str, own: dict[str, str]) -> None:
    """Raise TypeError unless the method *name* of *base* may receive *event_name*.

    *own* maps the events that have a method in *base* already.
    """
    if event_name in RESERVED_EVENTS:
        raise TypeError(
            f"{base.__name__}.{name}: {event_name!r} is never sent as an event; "
            "override on_open or on_close"
        )
    if event_name in own:
        raise TypeError(
            f"{base.__name__} has two methods for the event {event_name!r}: "
            f"{own[event_name]} and {name}"
        )
    # Applications had events of these names before the handler had attributes of them, which
    # nothing here uses.
    if hasattr(SocketIOHandler, name) and name not in ("data", "spawn"):
        cure = f'write @event("{event_name}") above another name'
        if name.startswith("on_") and event_name in (name, "message"):
            cure += f", or override {name} without @event"
        raise TypeError(f"{base.__name__}.{name} would hide SocketIOHandler.{name}: {cure}")


def find_events(cls: type[SocketIOHandler]) -> dict[str, Receiver]:
    """Map the events of a class to its methods, from its bases down.

    A method that overrides an `@event` method needs no decorator of its own.
    """
    methods: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base in SocketIOHandler.__mro__:
            continue
        own: dict[str, str] = {}
        for name, value in vars(base).items():
            inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else None
            marks = getattr(value, "_socket_io_events", getattr(inner, "_socket_io_events", ()))
            # A mock among the attributes has every attribute.
            for event_name in marks if isinstance(marks, tuple) else ():
                event_name = name if event_name is ... else event_name
                _check_event(base, name, event_name, own)
                own[event_name] = name
        methods.update(own)
    return {event_name: Receiver.of(cls, name) for event_name, name in methods.items()}


def _slip_of(name: str, names: Mapping[str, str]) -> str | None:
    """Return what stands in *names* under a name from which *name* differs by a slip, or None.

    Short names have no slips: too many of the application's own names are as near to them.
    """
    for known, ours in names.items():
        if len(known) >= (8 if known in OWN_NAMES else 12) and is_slip(name, known):
            return ours
    return None


def is_slip(name: str, known: str) -> bool:
    """Tell whether *name* is *known* with one edit, or with two neighbours swapped."""
    start = 0
    while start < min(len(name), len(known)) and name[start] == known[start]:
        start += 1
    a, b = name[start:], known[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


#: The methods that applications override, and with them the options, by their squeezed names.
OWN_HOOKS = {squeezed(name): name for name in ("on_open", *HOOKS) if name != "dispatch"}
OWN_NAMES = {squeezed(name): name for name in OPTIONS} | OWN_HOOKS
#: The names that an attribute may be a misspelling of, squeezed, and ours for each. `JSON` and
#: `Cookie` are left out, because applications have attributes of these names.
SPELLINGS = {squeezed(name): name for name in OPTIONS if name not in ("json", "cookie")} | {
    name: ours for name, ours in FOREIGN_NAMES.items() if not name.endswith("()")
}


# -- 16. Serving -----------------------------------------------------------------------
# `routes` gives an Application a rule: a `Resource`, which matches the paths, and `Entrances`,
# which lead to the hub. The first request of an Application goes through a `Gateway`, because only
# a RequestHandler learns its Application; then the hub is bound, and every later request goes
# through a `Door` straight to an `Exchange`. `SocketIOServer` listens, and at its end says goodbye.
# Several workers are processes that share what one parent has bound: the parent is a `Foreman`. It
# learns of a death by SIGCHLD (`_bury`), and forks again after a pause (`_start`). The new worker
# has the number of the dead one, opens its `Crew` (12) in `_listen`, and says that it listens.


NO_GROUPS: Mapping[str, str] = types.MappingProxyType({})


class Resource(tornado.routing.Matcher):
    """The paths of one resource. A request keeps the groups and the tail of its path."""

    def __init__(self, pattern: re.Pattern[str], example: str) -> None:
        self.pattern = pattern
        self.example = example  # the path of a request, unless the resource is more than a name

    @property
    def name(self) -> NoReturn:
        """Refuse to be taken for a rule: Tornado asks each rule of an Application for its name."""
        raise TypeError(
            'routes(..) is one rule, with its path: Application([Chat.routes("socket.io"), ..])'
        )

    def match(self, request: Any) -> dict[str, Any] | None:
        """Match the path of *request*: the resource, and the longest tail of our requests.

        The tail is split off first, because the pattern of the resource could match it too.
        """
        path: str = request.path
        tails: Iterable[int]
        # The path of nearly all requests is /resource/.
        if path.count("/") == 2 and path[-1] == "/":
            tails = (len(path) - 1,)
        else:
            starts = [*(slash.start() for slash in re.finditer("/", path[:MAX_PATH])), len(path)]
            tails = (start for start in starts if TAIL.fullmatch(path, start))
            tails = itertools.islice(tails, MAX_TAILS)
        for start in tails:
            match = self.pattern.fullmatch(path, 0, start)
            if match is not None:
                request.tail = path[start:]
                # The patterns of nearly all resources have no groups.
                if not self.pattern.groups:
                    request.path_kwargs, request.path_args = NO_GROUPS, ()
                    return {}
                named = set(self.pattern.groupindex.values())
                request.path_kwargs = {
                    name: urllib.parse.unquote(value or "")
                    for name, value in match.groupdict().items()
                }
                request.path_args = [
                    urllib.parse.unquote(value or "")
                    for number, value in enumerate(match.groups(), 1)
                    if number not in named
                ]
                return {}
        return None


class Entrances(list[tornado.routing.Rule]):
    """The target of a route, and its hubs: one for each Application that serves it.

    The rules in this list are new each time an Application reads them, so each has its own door.
    """

    def __init__(self, make_hub: Callable[[], Hub]) -> None:
        self.make_hub = make_hub
        # The first hub is made now, so that mistakes in the classes are told by `routes()`.
        self.hubs = [make_hub()]
        super().__init__(iter(self))

    def __iter__(self) -> Iterator[tornado.routing.Rule]:
        door, anything = Door(self), tornado.routing.AnyMatches()
        yield tornado.routing.Rule(anything, door)
        yield tornado.routing.Rule(anything, Gateway, {"door": door})

    def hub_of(self, application: tornado.web.Application) -> Hub:
        """Return the hub of *application*: its own, one without an application, or a new hub."""
        for owner in (application, None):
            for hub in self.hubs:
                if hub.application is owner:
                    return hub
        self.hubs = [hub for hub in self.hubs if not hub.clock.is_over()]
        self.hubs.append(self.make_hub())
        return self.hubs[-1]


class Door(tornado.routing.Router):
    """The way of every request after the first: to an Exchange, without a RequestHandler."""

    hub: Hub | None = None  #: set by the first request

    def __init__(self, entrances: Entrances) -> None:
        self.entrances = entrances

    def open(self, application: tornado.web.Application) -> Hub:
        """Return the hub behind this door, bound to the running loop and to *application*."""
        hub = self.hub = self.entrances.hub_of(application)
        doors = doors_of(application)
        hub.number = doors.index(self) if self in doors else -1
        if not hub.clock.is_bound():
            warn_of_hidden_routes(application)
            hub.bind(application)
        elif hub.application is None:
            hub.serve(application)
        hub.join_crew(application_crews.get(application))
        return hub

    def find_handler(
        self, request: tornado.httputil.HTTPServerRequest, **kwargs: Any
    ) -> Exchange | None:
        """Return an Exchange for the request; None leaves the request to the Gateway."""
        if self.hub is None or not self.hub.clock.is_bound():
            return None
        return Exchange(self.hub, request)


class AdmittingHandler(tornado.web.RequestHandler):
    """A RequestHandler that looks at no XSRF token: an Exchange decides by the origin."""

    def check_xsrf_cookie(self) -> None: ...

    def check_trusted_origin(self, origin: str) -> bool:
        return True


# With this decorator Tornado calls `prepare` when the headers are there, before the body.
@tornado.web.stream_request_body
class Gateway(AdmittingHandler):
    """The way of the first request: only a RequestHandler learns its Application."""

    exchange: Exchange | None = None  #: set by `prepare`

    def initialize(self, door: Door) -> None:
        self.door = door

    async def prepare(self) -> None:
        """Open the door and hand the request to an Exchange."""
        hub = self.door.open(self.application)
        # The session will keep this request; Tornado goes on to use its own.
        exchange = self.exchange = Exchange(hub, copy.copy(self.request))
        await (exchange.begin() or asyncio.sleep(0))
        if self.request.connection.stream is None:  # type: ignore[union-attr]
            # A WebSocket has taken the connection over: RequestHandler must not answer.
            self.detach()

    def data_received(self, chunk: bytes) -> None:
        if self.exchange is not None:
            self.exchange.data_received(chunk)

    def get(self) -> None:
        assert self.exchange is not None
        self.exchange.finish()

    head = post = put = patch = delete = options = get

    def finish(self, chunk: Any = None) -> Any:
        """Leave the answer to the exchange.

        Only what Tornado refuses before `prepare`, such as an unknown method, it answers itself.
        """
        return super().finish(chunk) if self.exchange is None else None

    def on_connection_close(self) -> None:
        if self.exchange is not None:
            self.exchange.on_connection_close()


class PlainRule(AdmittingHandler):
    """The answer, a 500, for a SocketIOHandler in a plain rule, where it cannot serve."""

    def initialize(self, handler_class: type[SocketIOHandler]) -> None:
        self.handler_class = handler_class

    def prepare(self) -> None:
        """Answer with 500, and name the cure in the log."""
        name = self.handler_class.__name__
        warn_once(
            "plain rule",
            '%s cannot serve as a plain rule: put %s.routes("socket.io") in its place',
            name,
            name,
        )
        self.send_error(500)


class Listener(socket.socket):
    """A socket that listens, and turns clients away while the process is out of file descriptors.

    Clients that stay in the kernel's queue would cost an error in the log at every turn of the
    loop. The descriptor in reserve is freed to accept such a client, which is closed at once.

    If the socket is *shared* by workers, one client is accepted in a turn: a worker that is busy
    leaves the others to its siblings.
    """

    reserve: int | None = None
    sated = False  #: a shared socket has accepted its client of this turn

    def __init__(self, sock: socket.socket, shared: bool = False) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.detach())
        self.setblocking(False)
        self.shared = shared

    def __str__(self) -> str:
        """Name the place as the log does: a port, or the path of a Unix socket."""
        name = self.getsockname()
        return f"port {name[1]}" if isinstance(name, tuple) else f"the Unix socket {name}"

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a client; ConnectionAbortedError for one that was turned away.

        Tornado takes that error for a client that has gone already, and accepts the next. It goes
        on until BlockingIOError ends its turn.
        """
        if self.sated:
            self.sated = False
            raise BlockingIOError
        try:
            if self.reserve is None:
                self.reserve = os.open(os.devnull, os.O_RDONLY)
            accepted = super().accept()
            self.sated = self.shared
            return accepted
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        warn_once("descriptors", "out of file descriptors: clients are turned away")
        if self.reserve is not None:
            self.release()
            super().accept()[0].close()
        raise ConnectionAbortedError

    def release(self) -> None:
        """Close the descriptor in reserve."""
        if self.reserve is not None:
            os.close(self.reserve)
            self.reserve = None

    def close(self) -> None:
        self.release()
        super().close()


@dataclasses.dataclass
class Worker:
    """A worker as its foreman knows it: a number, and the process that has the number now."""

    number: int
    pid: int = 0  #: 0 while there is no process
    lifeline: socket.socket | None = None  #: the process says at its other end that it listens
    listens: bool = False
    leaving: bool = False  #: the process was asked to say goodbye and end
    begun: float = 0.0  #: when the process was started
    due: float = 0.0  #: when the next process starts; one that is leaving is killed then
    failures: int = 0  #: processes in a row that have died soon after their start

    def __str__(self) -> str:
        return f"worker {self.number}" + (f" (pid {self.pid})" if self.pid else "")


class Foreman:
    """The parent process of several workers: it serves nobody itself, and has no event loop.

    A worker that dies is started again, after a pause that grows if it dies soon. SIGINT and
    SIGTERM make all workers say goodbye and end; after a second of these signals they are killed.
    SIGHUP has the workers say goodbye and be replaced, one after the other; that of a terminal
    which is closed ends the program, as it would have without workers.

    A worker learns from its end of `lifeline` that the foreman has died. *serve* is what a worker
    does, given its number and that socket; *place* is for the log.
    """

    #: The seconds until the next start, by the number of failures.
    PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    STEADY_SECONDS = 10.0  #: a worker that has lived so long did not die of its start
    LEAVE_SECONDS = 30.0  #: the time that a worker has for its goodbye
    TRIES = 4  #: a program whose workers die so often before one has listened ends

    def __init__(self, count: int, serve: Callable[[int, socket.socket], None], place: str) -> None:
        self.serve = serve
        self.place = place
        self.workers = [Worker(number) for number in range(count)]
        self.outdated_before = 0.0  # a process that was started before this time is replaced
        self.stopping = False
        self.has_listened = False
        self.exit_code: int | None = None  # the program's own, if it does not end well

    def run(self) -> None:
        """Keep the workers running until a signal ends them; in a worker this never returns.

        Raises SystemExit after a second signal, and if no worker can start.
        """
        self.signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD]
        self.alarm, self.wakeup = socket.socketpair()  # Python writes each signal to `wakeup`
        for sock in (self.alarm, self.wakeup):
            sock.setblocking(False)
        self.selector = selectors.PollSelector()  # nothing of it is shared with the workers
        self.selector.register(self.alarm, selectors.EVENT_READ)
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
        self.ends_with_terminal = has_terminal() and not ignored
        # Without a handler of Python's no signal would be written.
        handlers = {name: signal.signal(name, lambda *_: None) for name in self.signals}
        wakeup_before = signal.set_wakeup_fd(self.wakeup.fileno())
        Clock.in_foreman = True
        try:
            while not self.stopping or any(worker.pid for worker in self.workers):
                self._meet_deadlines()
                self._wait()
                self._bury()
        finally:
            Clock.in_foreman = False
            signal.set_wakeup_fd(wakeup_before)
            for name, handler in handlers.items():
                signal.signal(name, handler)
            self._close_all()
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)

    def _meet_deadlines(self) -> None:
        """Start who is due, kill who does not leave; if all serve, replace one who is outdated."""
        now = monotonic()
        for worker in self._waiting():
            if worker.due <= now and worker.leaving:
                log.error("%s did not end in %g s and is killed", worker, self.LEAVE_SECONDS)
                worker.due = math.inf
                os.kill(worker.pid, signal.SIGKILL)
            elif worker.due <= now:
                self._start(worker)
        outdated = [worker for worker in self.workers if worker.begun < self.outdated_before]
        if outdated and all(worker.listens and not worker.leaving for worker in self.workers):
            self._dismiss(outdated[0])

    def _waiting(self) -> list[Worker]:
        """Return the workers that have a time when they start, or by which they have to leave."""
        return [one for one in self.workers if one.leaving or not (one.pid or self.stopping)]

    def _wait(self) -> None:
        """Wait for a signal, for a worker that begins to listen, or until something is due."""
        until = min([worker.due for worker in self._waiting()], default=math.inf)
        seconds = None if until == math.inf else max(0.0, until - monotonic())
        for key, _ in self.selector.select(seconds):
            if key.fileobj is self.alarm:
                for number in self.alarm.recv(1024):
                    self._heed(number)
                continue
            self.selector.unregister(key.fileobj)
            worker: Worker = key.data
            if worker.lifeline is not None and worker.lifeline.recv(1):
                worker.listens = self.has_listened = True
                log.info("%s is listening on %s", worker, self.place)

    def _heed(self, number: int) -> None:
        """Do what the signal *number* asks for."""
        if number == signal.SIGHUP and self.ends_with_terminal and not has_terminal():
            number = signal.SIGTERM
        if number == signal.SIGHUP:
            log.info("SIGHUP: the workers are replaced, one after the other")
            self.outdated_before = monotonic()
        elif number in (signal.SIGINT, signal.SIGTERM):
            name = signal.Signals(number).name
            if self.stopping:
                log.error("%s while the workers say goodbye: they are killed", name)
                self.exit_code = 128 + number
            else:
                log.info("%s: the workers say goodbye", name)
            self._end_all(signal.SIGKILL if self.stopping else signal.SIGTERM)

    def _end_all(self, name: signal.Signals) -> None:
        """Send all workers *name*, and start none again."""
        self.stopping = True
        for worker in self.workers:
            if worker.pid:
                self._dismiss(worker, name)

    def _dismiss(self, worker: Worker, name: signal.Signals = signal.SIGTERM) -> None:
        worker.leaving, worker.due = True, monotonic() + self.LEAVE_SECONDS
        os.kill(worker.pid, name)

    def _bury(self) -> None:
        """Note who has ended. The first process of a container must do so for all orphans there."""
        by_pid = {worker.pid: worker for worker in self.workers if worker.pid}
        for asked in [-1] if os.getpid() == 1 else by_pid:
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(asked, os.WNOHANG))[0]:
                    if ended[0] in by_pid:
                        self._ended(by_pid[ended[0]], os.waitstatus_to_exitcode(ended[1]))

    def _ended(self, worker: Worker, code: int) -> None:
        names = {-name: f"signal {name.name}" for name in signal.Signals}
        how = names.get(code, f"exit code {code}")
        who, was_leaving, had_listened = str(worker), worker.leaving, worker.listens
        self._close_lifeline(worker)
        # From here on its pid may be that of a stranger.
        worker.pid, worker.listens, worker.leaving = 0, False, False
        if was_leaving:
            log.info("%s has ended: %s", who, how)
            worker.due, worker.failures = monotonic(), 0
        else:
            if had_listened and monotonic() - worker.begun > self.STEADY_SECONDS:
                worker.failures = 0
            self._failed(worker, who, how)

    def _failed(self, worker: Worker, who: str, how: str) -> None:
        """Plan the next start of *worker*, after a pause; *who* it was is for the log."""
        worker.failures += 1
        pause = self.PAUSES[min(worker.failures, len(self.PAUSES)) - 1]
        worker.due = monotonic() + pause
        again = ""
        if worker.failures > 1:
            again = f", {worker.failures} times in a row soon after its start"
        if self.has_listened or worker.failures < self.TRIES:
            log.error("%s died (%s)%s; it starts again in %g s", who, how, again, pause)
        elif not self.stopping:
            log.critical("%s died (%s)%s, and no other listens: giving up", who, how, again)
            self.exit_code = 1
            self._end_all(signal.SIGTERM)

    def _start(self, worker: Worker) -> None:
        flush_output()  # a fork copies what is still buffered, and both processes would write it
        try:
            worker.lifeline, other_end = socket.socketpair()
        except OSError as error:  # no descriptor is left
            return self._failed(worker, str(worker), str(error))
        # A signal for the new process must not be written to our alarm: it is held back meanwhile.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        try:
            worker.pid = os.fork()
            if not worker.pid:
                self._be_worker(worker.number, other_end)
        except OSError as error:  # no memory, or too many processes
            self._close_lifeline(worker)
            self._failed(worker, str(worker), str(error))
        else:
            worker.begun = monotonic()
            self.selector.register(worker.lifeline, selectors.EVENT_READ, worker)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            other_end.close()

    def _be_worker(self, number: int, lifeline: socket.socket) -> NoReturn:
        """Serve, and end without what the program does at its end, which is the parent's to do.

        SIGINT, which a terminal sends to all processes, and SIGHUP stay without effect.
        """
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)
            self._close_all()
            self.serve(number, lifeline)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            log.error("worker %s ends by SystemExit: %s", number, end)
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            logging.shutdown()
            flush_output()
            os._exit(code)

    def _close_all(self) -> None:
        for worker in self.workers:
            self._close_lifeline(worker)
        for closable in (self.selector, self.alarm, self.wakeup):
            closable.close()

    def _close_lifeline(self, worker: Worker) -> None:
        if worker.lifeline is not None:
            if worker.lifeline in self.selector.get_map():
                self.selector.unregister(worker.lifeline)
            worker.lifeline.close()
            worker.lifeline = None


def has_terminal() -> bool:
    """Tell whether this process belongs to a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def flush_output() -> None:
    """Write what standard output and standard error have buffered."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or none any more
            stream.flush()


class SocketIOServer(tornado.httpserver.HTTPServer):
    """An HTTPServer that listens at once and runs until SIGINT or SIGTERM, or a stop of its loop.

    Then it says goodbye to its clients. With *auto_start* False it only listens, on the loop that
    runs or will be run. Further keywords are HTTPServer's. In a thread the server hears no signals,
    and runs as long as the process.

    It listens on *port* of *address*: the application's setting `socket_io_port`, or 8888, if
    *port* is None. With *unix_socket*, the path of a Unix socket, it listens there, and on a port
    only if *port* names one; *unix_socket_mode* are the permissions of the path, at which an unused
    socket is replaced. Or it takes *sockets* that listen already, such as systemd's: they are the
    server's from then on. With *reuse_port* other programs may listen on the same port.

    With several *workers*, 0 standing for one on each core, this process starts as many others by
    fork and looks after them as `Foreman` says. They share what it has bound, and serve their
    clients together: a request that comes to the wrong worker is handed over. A worker ends without
    what follows in the program, which is this process's. *workers_folder* is the folder, for this
    user alone, where workers meet: processes that are started otherwise, and to which a proxy or a
    shared port brings the requests, are given the same one.

    If one of the settings `flash_policy_port` (843) and `flash_policy_file` is there, or
    "flashsocket" stands in `enabled_protocols`, Flash's policy is served too.

    With `xheaders=True`, behind a proxy, the origin of a page is compared with the first host in
    X-Forwarded-Host. For an HTTPServer of your own, the application's setting `xheaders` does so.

    Raises OSError if the server cannot listen, RuntimeError if it would have to run inside a loop or
    cannot have several workers, ValueError for arguments that contradict each other.
    """

    #: The time that a client has for its headers, and that a connection may be kept without use.
    IDLE_SECONDS = 120.0
    BODY_SECONDS = 60.0  #: the time that a client has to send a body

    workers_folder: str | None = None
    worker: int | None = None  #: the number that a foreman has given to this process
    crew: Crew | None = None
    flash_policy: FlashPolicyServer | None = None
    lane: Lane | None = None

    def initialize(  # type: ignore[override]
        self,
        application: tornado.web.Application,
        auto_start: bool = True,
        address: str = "",
        *,
        port: int | None = None,
        unix_socket: str | os.PathLike[str] | None = None,
        unix_socket_mode: int = 0o600,
        sockets: Iterable[socket.socket] | None = None,
        reuse_port: bool = False,
        workers: int = 1,
        workers_folder: str | bytes | os.PathLike[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if auto_start not in (True, False):
            raise TypeError(f"SocketIOServer(application, port={auto_start!r}) names a port")
        if not isinstance(application, tornado.web.Application):
            raise TypeError(
                "SocketIOServer takes a tornado.web.Application that has routes, "
                f"not {application!r:.100}"
            )
        self.application = application
        self.address = address
        self.workers = count_workers(workers)
        if self.workers > 1:
            check_foreman(application, auto_start)
        if self.workers > 1 or workers_folder is not None:
            check_worker(application, kwargs)
        if auto_start and is_loop_running():
            raise RuntimeError(
                "a loop is running already: use SocketIOServer(application, auto_start=False)"
            )
        # Called for its error: an unknown transport is to be told before the first request.
        enabled_transports(application)
        warn_of_hidden_routes(application)
        if workers_folder is not None:
            self.workers_folder = str(check_workers_folder(workers_folder))
        self._initialize_http(kwargs)
        if port is None and unix_socket is None and sockets is None:
            port = application.settings.get("socket_io_port", 8888)
        listeners = self._bind(port, address, reuse_port, unix_socket, unix_socket_mode, sockets)
        if not auto_start:
            return self._listen(listeners)
        allow_all_descriptors()
        if self.workers > 1:
            self._oversee_workers(listeners)
        else:
            run_loop(self._serve(listeners))

    def _initialize_http(self, options: dict[str, Any]) -> None:
        # The hubs know the application, but not its servers.
        if options.get("xheaders"):
            self.application.settings["xheaders"] = True
        options.setdefault("idle_connection_timeout", self.IDLE_SECONDS)
        options.setdefault("body_timeout", self.BODY_SECONDS)
        super().initialize(self.application, **options)
        if self.ssl_options is not None:
            self.ssl_options = tornado.netutil.ssl_options_to_context(
                self.ssl_options, server_side=True
            )
            isolate_tls(self.ssl_options)
        #: The options of the lane; None where Tornado's own loop reads every request.
        self.lane_options: dict[str, Any] | None = options
        obstacle = Lane.obstacle(self, options.keys())
        if obstacle is not None:
            self._give_up_lane(obstacle)

    def _bind(self, *place: Any) -> list[Listener]:
        return [Listener(sock, shared=self.workers > 1) for sock in bind_all(*place)]

    def _oversee_workers(self, listeners: list[Listener]) -> None:
        """Let workers serve, until they have said goodbye."""

        def serve(number: int, lifeline: socket.socket) -> None:
            self.worker = number
            run_loop(self._serve(listeners, lifeline), in_worker=True)

        if has_tornado_loop():
            log.warning(
                "what the program has begun on Tornado's loop, such as a PeriodicCallback, stays "
                "without effect: the workers have loops of their own. Begin it in each worker: "
                "os.register_at_fork(after_in_child=...) for a thread, on_open for a callback"
            )
        self._make_flash_policy(auto_start=False)
        with contextlib.ExitStack() as at_the_end:
            policy_sockets = [] if self.flash_policy is None else self.flash_policy.bound
            for sock in (*listeners, *policy_sockets):
                at_the_end.callback(sock.close)
            if self.workers_folder is None:
                self.workers_folder = tempfile.mkdtemp(prefix="socket_io-")
                at_the_end.callback(shutil.rmtree, self.workers_folder, ignore_errors=True)
                check_workers_folder(self.workers_folder)
            Foreman(self.workers, serve, places_of(listeners)).run()

    def _make_flash_policy(self, **options: Any) -> None:
        """Make the server of Flash's policy, if the application's settings ask for it."""
        settings = self.application.settings
        port, file = (settings.get(name) for name in ("flash_policy_port", "flash_policy_file"))
        if FLASHSOCKET in protocol_names(settings) or port is not None or file is not None:
            port = 843 if port is None else port
            self.flash_policy = FlashPolicyServer(port, file, self.address, **options)

    def _listen(self, listeners: list[Listener]) -> None:
        for hub in application_hubs.get(self.application, ()):
            hub.reopen()
        if self.workers_folder is not None:
            self.crew = Crew(self.workers_folder, self.take_handed, self.worker)
            application_crews[self.application] = self.crew
        if is_loop_running():
            self._open_doors()
        else:
            tornado.ioloop.IOLoop.current().add_callback(self._open_doors)
        self.add_sockets(listeners)
        if self.worker is None:
            log.info("listening on %s", places_of(listeners))
            self._make_flash_policy()
        elif self.flash_policy is not None:
            self.flash_policy.add_sockets(self.flash_policy.bound)
        # The Application has started autoreload as well, but on the loop on which it was made.
        if self.application.settings.get("autoreload"):
            tornado.autoreload.start()

    def _open_doors(self) -> None:
        """Bind the hubs: a server belongs to its crew and cluster before the first request comes."""
        if self.crew is not None:
            self.crew.open()
        for door in doors_of(self.application):
            door.open(self.application)

    async def _serve(
        self, listeners: list[Listener], lifeline: socket.socket | None = None
    ) -> None:
        """Serve until a signal, or the end of the foreman at the other end of *lifeline*."""
        self._listen(listeners)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            # A terminal sends SIGINT to all processes: the foreman acts on it, by SIGTERM.
            for name in (signal.SIGINT, signal.SIGTERM) if lifeline is None else (signal.SIGTERM,):
                # Windows has no signal handlers; there Ctrl-C interrupts `run_loop`.
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(name, stop.set)
        else:
            log.warning(
                "a SocketIOServer in a thread hears no signals: only the end of the process stops "
                "it; auto_start=False is for a loop of your own"
            )
        if lifeline is not None:
            lifeline.setblocking(False)
            await loop.sock_sendall(lifeline, b"!")
            watch = asyncio.ensure_future(self._watch_foreman(lifeline))
            watch.add_done_callback(lambda _: stop.set())
        # The application has stopped the loop, or cancelled all tasks: that is the end, too.
        with contextlib.suppress(asyncio.CancelledError):
            await stop.wait()
        await self.close()

    async def _watch_foreman(self, lifeline: socket.socket) -> None:
        """Return when the parent process, which has the other end of *lifeline*, has died."""
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_recv(lifeline, 1)
        log.error("worker %s ends, because its parent process has died", self.worker)

    def handle_stream(self, stream: tornado.iostream.IOStream, address: Any) -> Any:
        """Serve a client that has connected; see Lane."""
        lane = None if isinstance(stream, tornado.iostream.SSLIOStream) else self._find_lane()
        if lane is None:
            return super().handle_stream(stream, address)
        assert stream.socket is not None
        try:
            lane.take(stream.socket, address)
        except NotImplementedError:
            self._give_up_lane("the loop has no add_reader")
            super().handle_stream(stream, address)

    def _find_lane(self) -> Lane | None:
        """Return the lane of the loop that runs, if this server can have one."""
        if self.lane_options is None:
            return None
        if self.lane is None or self.lane.loop is not asyncio.get_running_loop():
            self.lane = Lane(self, self.lane_options)
        return self.lane

    def _give_up_lane(self, why: str) -> None:
        log.info("Tornado's own loop reads every request of this server: %s", why)
        self.lane_options = None

    def serve_by_tornado(
        self, sock: socket.socket, address: Any, early: bytes, handed: bool, lane: Lane | None
    ) -> None:
        """Leave a connection to Tornado's own loop; see EarlyStream."""
        sizes = {"max_buffer_size": self.max_buffer_size, "read_chunk_size": self.read_chunk_size}
        super().handle_stream(EarlyStream(sock, address, early, handed, lane, **sizes), address)

    def take_handed(self, sock: socket.socket, early: bytes) -> None:
        """Serve a connection that another worker has handed over; *early* has been read from it."""
        try:
            address = sock.getpeername()
        except OSError:  # the client has gone
            return sock.close()
        sock.setblocking(False)
        lane = self._find_lane()
        if lane is None or early:
            return self.serve_by_tornado(sock, address, early, True, lane)
        lane.take_handed(sock, address)

    async def close_all_connections(self) -> None:
        """Close the connections of the lane too."""
        if self.lane is not None:
            self.lane.close_all()
        await super().close_all_connections()

    async def close(self) -> None:
        """Take no new clients, say goodbye to all others, and wait until they have gone."""
        self.stop()
        if self.flash_policy is not None:
            self.flash_policy.stop()
        hubs = application_hubs.get(self.application, ())
        await asyncio.gather(*[hub.close() for hub in hubs])
        await self._leave_crew()
        lane, self.lane = self.lane, None
        if lane is not None:
            await lane.close()
        await self.close_all_connections()

    async def _leave_crew(self) -> None:
        """Hand nothing over any more, and take nothing."""
        crew, self.crew = self.crew, None
        if crew is not None:
            application_crews.pop(self.application, None)
            for hub in application_hubs.get(self.application, ()):
                hub.crew = None
            await crew.close()


#: The routers in an Application that has no classes of its own for them.
PLAIN_ROUTERS = (
    tornado.routing.RuleRouter,
    tornado.routing.ReversibleRuleRouter,
    type(tornado.web.Application().default_router),
)


def find_door(router: Any, request: Any) -> Door | None:
    """Find the door to which *router* leads *request*, if only paths decide about that.

    None leaves the request to Tornado. It asks the same rules in the same order, and takes 4 µs
    more.
    """
    if type(router) not in PLAIN_ROUTERS:
        return None
    for rule in router.rules:
        matcher = rule.matcher
        kind = type(matcher)
        if kind is Resource:
            matches = matcher.match(request) is not None
        elif kind is tornado.routing.PathMatches:
            matches = matcher.regex.match(request.path) is not None
        elif kind is tornado.routing.AnyMatches:
            matches = True
        else:
            return None
        if matches:
            target = rule.target
            return target if type(target) is Door else find_door(target, request)
    return None


def rule_lists(application: Any) -> Iterator[Sequence[tornado.routing.Rule]]:
    """Find the rules of each router of an Application, however deep it stands in another one."""
    routers = [application.default_router]
    while routers:
        rules = getattr(routers.pop(), "rules", ())
        yield rules
        targets = [rule.target for rule in rules]
        routers += [one for one in targets if isinstance(one, tornado.routing.RuleRouter)]


def doors_of(application: Any) -> list[Door]:
    targets = [rule.target for rules in rule_lists(application) for rule in rules]
    return [target for target in targets if isinstance(target, Door)]


def warn_of_hidden_routes(application: Any) -> None:
    """Warn of each `routes()` behind another rule for its path: no request ever comes to it."""
    for rules in rule_lists(application):
        seen = set()
        pages: list[tornado.routing.PathMatches] = []
        for rule in rules:
            matcher, is_router = rule.matcher, isinstance(rule.target, tornado.routing.RuleRouter)
            if not isinstance(matcher, Resource):
                # A subclass may look at more than the path.
                if type(matcher) is tornado.routing.PathMatches and not is_router:
                    pages.append(matcher)
                continue
            pattern = matcher.pattern.pattern
            if pattern in seen:
                warn_once(
                    "repeated path",
                    "several routes(..) have the path %s, and only the first is served: give the "
                    "others their own paths, or make their classes namespaces of the first: "
                    'routes(.., namespaces={"/admin": Admin})',
                    pattern,
                )
            seen.add(pattern)
            request: Any = types.SimpleNamespace(path=matcher.example)
            for page in pages if matcher.match(request) is not None else ():
                if page.match(request) is not None:
                    warn_once(
                        "hidden path",
                        "the rule %s takes the requests for %s, because routes(..) stands behind it: "
                        "put routes(..) first",
                        page.regex.pattern,
                        matcher.example,
                    )


def bind_all(
    port: Any,
    address: str,
    reuse_port: bool,
    unix_socket: str | os.PathLike[str] | None,
    mode: int,
    sockets: Iterable[socket.socket] | None,
) -> list[socket.socket]:
    """Bind what SocketIOServer was given: a Unix socket, a port of an address, or nothing more."""
    if sockets is not None:
        if address or reuse_port or port is not None or unix_socket is not None:
            raise ValueError(
                "SocketIOServer(sockets=..) listens on these sockets alone: leave out port, "
                "address, reuse_port and unix_socket"
            )
        return check_sockets(sockets)
    bound = []
    try:
        if unix_socket is not None:
            bound.append(bind_unix_socket(os.fspath(unix_socket), mode))
        if port is not None:
            bound += bind_port(port, address, reuse_port)
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


def check_sockets(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """Return *sockets*; ValueError if there is none, or one that does not listen."""
    checked = list(sockets)
    for sock in checked:
        if not isinstance(sock, socket.socket):
            raise TypeError(
                f"SocketIOServer(sockets=..) takes sockets, not {sock!r:.100}; that of a file "
                "descriptor, such as systemd's first, is socket.socket(fileno=3)"
            )
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            raise ValueError(
                f"SocketIOServer(sockets=..): {sock!r:.200} does not listen; a socket that is bound "
                "begins to by its method listen()"
            )
    if not checked:
        raise ValueError("SocketIOServer(sockets=[]) would listen nowhere")
    return checked


def bind_port(port: Any, address: str, reuse_port: bool) -> list[socket.socket]:
    try:
        # The system would cut off the upper bits of the number, and take another port.
        if isinstance(port, int) and not 0 <= port <= 65535:
            raise OverflowError("a port is a number from 0 to 65535")
        return tornado.netutil.bind_sockets(port, address, reuse_port=reuse_port)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        place = f"port {port} of {address}" if address else f"port {port}"
        cure = "the option port or the application setting socket_io_port names the port"
        raise cannot_listen(place, error, cure) from None


def bind_unix_socket(path: str, mode: int) -> socket.socket:
    """Listen at *path*, in the place of a socket that nobody listens to any more."""
    try:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("this system has no Unix sockets")
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            # Tornado would replace the socket of a server that lives, too.
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            raise OSError(errno.EADDRINUSE, "a server listens there already")
        return tornado.netutil.bind_unix_socket(path, mode)
    except (OSError, ValueError, TypeError) as error:
        cure = "the option unix_socket names its path"
        raise cannot_listen(f"the Unix socket {path}", error, cure) from None


def cannot_listen(place: str, error: Exception, cure: str) -> OSError:
    """Return the error that names the place, the reason, and the option for another place."""
    text = f"cannot listen on {place}: {getattr(error, 'strerror', None) or error}; {cure}"
    code = getattr(error, "errno", None)
    return OSError(text) if code is None else OSError(code, text)


def places_of(listeners: list[Listener]) -> str:
    return " and ".join(dict.fromkeys(map(str, listeners)))


def count_workers(workers: Any) -> int:
    """Return how many *workers* are meant: 0 is one on each core that this process may use."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 0 <= workers <= MAX_WORKERS:
        raise ValueError(
            f"SocketIOServer(workers={workers!r:.40}): a number from 0, one on each core, "
            f"to {MAX_WORKERS}"
        )
    if workers:
        return workers
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


def check_foreman(application: tornado.web.Application, auto_start: bool) -> None:
    """Raise RuntimeError if this process cannot be the parent of several workers."""
    why = ""
    if not hasattr(os, "fork"):
        why = "this system has no fork; start processes, and give all the same workers_folder"
    elif not auto_start:
        why = (
            "they are started and looked after by SocketIOServer itself, so auto_start=False cannot "
            "be; or start processes yourself, and give all the same workers_folder"
        )
    elif application.settings.get("autoreload"):
        why = "they cannot reload themselves: leave out debug=True (or say autoreload=False)"
    elif threading.current_thread() is not threading.main_thread():
        why = "their parent must hear signals, so it must run in the main thread"
    if why:
        raise RuntimeError(f"SocketIOServer cannot have several workers here: {why}")


def check_worker(application: tornado.web.Application, options: dict[str, Any]) -> None:
    """Raise RuntimeError or ValueError if there can be no worker with these *options* here."""
    if application in application_crews:
        raise RuntimeError(
            "another server of this application has a workers_folder: close it first, or let one "
            "server listen in all places, by port with unix_socket, or by sockets"
        )
    if options.get("ssl_options"):
        raise ValueError(
            "workers cannot hand TLS connections to each other: let a proxy end TLS in front of "
            "them, without ssl_options here"
        )


def allow_all_descriptors() -> None:
    """Raise the limit of file descriptors to the most that this process may have, as node does.

    The usual 1,024 would allow no more clients than that.
    """
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ImportError, ValueError, OSError) as error:
        # Windows has no module `resource`; macOS refuses more than the kernel's own limit.
        log.debug("the limit of file descriptors stays: %s", error)


def is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def refuse_loop() -> NoReturn:
    raise RuntimeError("there is no loop yet")


def has_tornado_loop() -> bool:
    """Tell whether the program has used Tornado's current loop, for a callback or a client."""
    with contextlib.ExitStack() as meanwhile:
        # Before Python 3.14, asyncio makes a loop for whom asks for the current one, and nobody
        # would close it.
        if sys.version_info < (3, 14):
            policy: Any = asyncio.get_event_loop_policy()
            policy.new_event_loop = refuse_loop
            meanwhile.callback(delattr, policy, "new_event_loop")
        meanwhile.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)
        return tornado.ioloop.IOLoop.current(instance=False) is not None


def run_loop(work: Coroutine[Any, Any, None], in_worker: bool = False) -> None:
    """Run *work* to its end, on uvloop where it is installed; cancel it if the loop is stopped.

    Where the program has used Tornado's current loop before, *work* runs on that one: callbacks
    are waiting there, and the application watches its files there in debug mode. Only a worker has
    a loop of its own in any case, because it cannot share one with the process that it was forked
    from.
    """
    if not in_worker and has_tornado_loop():
        loop = tornado.ioloop.IOLoop.current()

        async def begin() -> asyncio.Task[None]:
            return asyncio.ensure_future(work)

        task = loop.run_sync(begin)
        task.add_done_callback(lambda _: loop.stop())
        loop.start()
        task.cancel()
        while not task.done():  # whoever stops the loop may do so again, during the goodbye
            loop.start()
        task.result()
        return
    run: Callable[..., Any] = asyncio.run
    with contextlib.suppress(ImportError):
        run = importlib.import_module("uvloop").run
    try:
        run(work)
    except RuntimeError as error:  # by then *work* has been cancelled, and has ended
        if "loop stopped before" not in str(error):
            raise


class FlashPolicyServer(tornado.tcpserver.TCPServer):
    """The server that tells Flash which pages may open sockets; flashsocket asks on port 843.

    *policy_file* is an XML file; without it every page may open sockets. The server listens on
    *address*, or on all addresses. If the port cannot be bound, the log says so. With *auto_start*
    False it is only bound, and begins to serve with `add_sockets(server.bound)`.
    """

    REQUEST = b"<policy-file-request/>\0"
    PERMISSIVE = (
        b'<?xml version="1.0"?>\n<!DOCTYPE cross-domain-policy SYSTEM '
        b'"http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">\n<cross-domain-policy>\n'
        b'<allow-access-from domain="*" to-ports="*"/>\n</cross-domain-policy>\n'
    )
    SECONDS = 10.0

    def __init__(
        self,
        port: int = 843,
        policy_file: str | None = None,
        address: str = "",
        auto_start: bool = True,
    ) -> None:
        super().__init__()
        self.bound: list[socket.socket] = []
        self.policy = self.PERMISSIVE
        if policy_file is not None:
            self.policy = pathlib.Path(policy_file).read_bytes()
        try:
            self.bound = tornado.netutil.bind_sockets(port, address)
            log.info("the Flash policy is served on port %s", port)
        except (OSError, OverflowError, ValueError) as error:
            log.info(
                "no Flash policy server on port %s (%s): "
                "flashsocket clients will use another transport",
                port,
                error,
            )
        if auto_start:
            self.add_sockets(self.bound)

    async def handle_stream(self, stream: tornado.iostream.IOStream, address: Any) -> None:
        try:
            asked = await asyncio.wait_for(stream.read_bytes(len(self.REQUEST)), self.SECONDS)
            if asked == self.REQUEST:
                await stream.write(self.policy + b"\0")
        except (tornado.iostream.StreamClosedError, asyncio.TimeoutError):
            pass
        finally:
            stream.close()
