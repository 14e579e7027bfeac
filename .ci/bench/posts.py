"""POSTs of one event to workers: at the worker that has the session, and at another, which hands the connection over.

Each of our two workers has a port of its own, so that it is known where a connection arrives. Node's workers have one
port for both: @socket.io/sticky gives a new connection to the worker whose session its first request names.
"""

import json
import pathlib
import socket
import time

WARM_SECONDS = 0.3
LARGE = 65536

#: What happens, as: the workers to whose ports the connections go, the owners of the sessions that post there in turn,
#: and how many POSTs a connection carries (0: all).
CASES = {
    "at its owner, connection kept": ([0], [0], 0),
    "at its owner, new connection": ([0], [0], 1),
    "handed over once, then kept for 10": ([1], [0], 10),
    "handed over, new connection": ([1], [0], 1),
    "handed over each time, on one connection": ([1], [0, 1], 0),
}
FOR_STICKY = ["at its owner, new connection"]  # it closes each connection after one request


def measure(case, servers, seconds):
    """Return the CPU time that all processes of *servers* take for a POST."""
    (place,), owners, posts = CASES[case]
    sessions = [begin(servers[owner].port) for owner in owners]
    requests = [encode_post(sid, b'42["nothing"]') for sid in sessions]
    post(servers[place].port, requests, posts, WARM_SECONDS)
    before = cpu_of(servers)
    count = post(servers[place].port, requests, posts, seconds)
    return (cpu_of(servers) - before) / count


def post(port, requests, posts, seconds):
    """Post *requests* in turn for so many *seconds*, a new connection after so many *posts*; return how many there were."""
    count = 0
    end = time.monotonic() + seconds
    connection = connect(port)
    while time.monotonic() < end or count % len(requests):
        if posts and count and count % posts == 0:
            connection.close()
            connection = connect(port)
        connection.sendall(requests[count % len(requests)])
        answer = connection.recv(LARGE)
        if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")):
            raise ValueError(f"a POST was answered with {answer[:200]}")
        count += 1
    connection.close()
    return count


def begin(port):
    """Begin a session over polling; return its sid."""
    with connect(port) as connection:
        connection.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = connection.recv(LARGE).decode()
        sid = json.loads(answer[answer.index("{") :])["sid"]
        connection.sendall(encode_post(sid, b"40"))
        connection.recv(LARGE)
    return sid


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def encode_post(sid, body):
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def cpu_of(servers):
    """Return the CPU time that the processes of *servers*, and their children, have taken."""
    return sum(time.clock_gettime(~pid << 3 | 2) for server in servers for pid in family_of(server.process.pid))


def family_of(pid):
    """Return *pid* and its children; the clock of a process has a number that follows from its own."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]
