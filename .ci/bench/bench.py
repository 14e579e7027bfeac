"""Measures socket_io.py and its peers side by side. `run.sh` prepares all that this needs, and starts it.

Every server runs alone on a core of its own, the load (load.c) on another. What counts is the CPU time that the server
takes for a message, which other work on the machine disturbs least; rates stand beside it. The servers take turns
within each round, and a figure is the median of the rounds.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import posts
import redis

HERE = pathlib.Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
LOAD = os.environ.get("LOAD", "./load")  # the compiled load.c
MOST_FILES = 10_100
START_SECONDS = 20.0
LOAD_SECONDS = 300.0  # beyond what is measured: its own patience is shorter

PYTHON = [sys.executable, "-B"]
BUN = next(map(str, MODULES.glob("@oven/bun-*/bin/bun")), "bun")

#: How each server is started; its port, and options, follow.
SERVERS = {
    "ours-uvloop": [*PYTHON, "ours.py", "{port}", "uvloop"],
    "ours-asyncio": [*PYTHON, "ours.py", "{port}"],
    "node": ["node", "node.mjs", "{port}"],
    "bun": [BUN, "bun.mjs", "{port}"],
    "pysio-tornado": [*PYTHON, "python_socketio.py", "{port}", "tornado"],
    "pysio-aiohttp": [*PYTHON, "python_socketio.py", "{port}", "aiohttp"],
    "pysio-uvicorn": [*PYTHON, "python_socketio.py", "{port}", "uvicorn"],
    "raw-tornado": [*PYTHON, "raw_tornado.py", "{port}"],
}
TITLES = {
    "ours-uvloop": "socket_io.py, uvloop",
    "ours-asyncio": "socket_io.py, asyncio",
    "node": "node socket.io",
    "bun": "socket.io on Bun's engine",
    "pysio-tornado": "python-socketio, Tornado",
    "pysio-aiohttp": "python-socketio, aiohttp",
    "pysio-uvicorn": "python-socketio, uvicorn, uvloop",
    "raw-tornado": "Tornado WebSocketHandler",
}
NEED_NODE_MODULES = {"node", "bun"}
OURS, ASYNCIO, NODE, RAW = "ours-uvloop", "ours-asyncio", "node", "raw-tornado"

BY_DEFAULT = "--mode default --headers browser"

#: The title of each case, and the options of the load.
CASES = {
    "echo": ("echo, 50 clients, 1 in flight", "--mode echo"),
    "echo16": ("echo, 50 clients, 16 in flight", "--mode echo --depth 16"),
    "echoasync": ("echo by an async handler", "--mode echo --event aecho"),
    "broadcast": ("broadcast to 500, a delivery", "--mode broadcast --clients 500"),
    "poll": ("echo by long-polling", "--mode poll"),
    "handshake": ("polling handshake", "--mode handshake"),
    "connect": ("WebSocket, open and close", "--mode connect"),
    "default": ("connect by default: polling, then WebSocket", BY_DEFAULT),
    "page": ("the same, after a page", f"{BY_DEFAULT} --page /page"),
    "nginx": ("the same, both through nginx", f"{BY_DEFAULT} --page /page"),
    "idle": ("idle client, of 5,000", "--mode idle --clients 5000 --seconds 0.5"),
    "waiting": ("client that waits in a poll, of 2,000", "--mode waiting --clients 2000 --seconds 0.5"),
}
FOR_RAW = {"echo", "echo16", "broadcast", "connect", "idle"}
IN_BYTES = {"idle", "waiting"}
GENERATIONS = ["EIO4", "EIO3", "0.9", "0.6"]
MIXED = ",".join(GENERATIONS)


class Failed(Exception):
    """A server or its load did not do what it should."""


class Missing(Failed):
    """What a server needs is not to be had here."""


# -- Measuring -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Job:
    """One server, what it is started with, and what the load does to it.

    In a cluster two of its kind hear each other through Redis, and the broadcasts are sent by the other.
    """

    server: str
    load: str
    options: str = ""
    behind_nginx: bool = False
    in_cluster: bool = False


@dataclasses.dataclass
class Figures:
    """What came of a job; CPU time in seconds for each message, or for each second where there are none."""

    cpu: float
    rate: float
    bytes: float
    sender_cpu: float  # of the server that broadcasts, for each event


class Server:
    """A server that runs while its block does."""

    def __init__(self, name, options="", core=0):
        self.name = name
        self.port = free_port()
        command = [part.format(port=self.port) for part in SERVERS[name]]
        pinned = [] if "workers=" in options else on_core(core)  # workers have all cores, beside the load
        self.command = [*pinned, *command, *options.split()]

    def __enter__(self):
        if self.name in NEED_NODE_MODULES and not MODULES.exists():
            raise Missing("not installed")
        self.log = tempfile.TemporaryFile()
        environment = dict(os.environ, NODE_ENV="production")
        try:
            self.process = subprocess.Popen(
                self.command, cwd=HERE / "servers", env=environment, stdout=self.log, stderr=self.log
            )
        except FileNotFoundError as error:
            raise Missing(f"{error.filename} is missing") from error
        try:
            wait_until_it_listens(self.process, self.port, self.last_words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()

    def last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Nginx:
    """An nginx that runs while its block does. It keeps its connections to the server at *port* for further requests."""

    CONFIGURATION = """
        daemon off;
        pid {folder.name}/pid;
        error_log {folder.name}/log;
        worker_processes 1;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {folder.name}/body;
            proxy_temp_path {folder.name}/proxy;
            fastcgi_temp_path {folder.name}/fastcgi;
            uwsgi_temp_path {folder.name}/uwsgi;
            scgi_temp_path {folder.name}/scgi;
            map $http_upgrade $connection_of_upgrade {{ default upgrade; "" ""; }}
            upstream server {{ server 127.0.0.1:{server_port}; keepalive 64; }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://server;
                    proxy_http_version 1.1;
                    proxy_set_header Host $http_host;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_of_upgrade;
                    proxy_set_header X-Real-IP $remote_addr;
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    proxy_set_header X-Forwarded-Proto $scheme;
                }}
            }}
        }}
    """

    def __init__(self, port):
        self.server_port = port
        self.port = free_port()

    def __enter__(self):
        program = find_nginx()
        if program is None:
            raise Missing("nginx is not installed (Debian: apt-get install nginx-light)")
        self.folder = tempfile.TemporaryDirectory()
        configuration = pathlib.Path(self.folder.name, "nginx.conf")
        configuration.write_text(self.CONFIGURATION.format(**vars(self)))
        command = [*on_core(1), program, "-e", "log", "-c", configuration, "-p", self.folder.name]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until_it_listens(self.process, self.port, self.last_words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self.process.terminate()  # its worker would outlive a kill
        self.process.wait()
        self.folder.cleanup()

    def last_words(self):
        log = pathlib.Path(self.folder.name, "log")
        return log.read_text().strip()[-300:] if log.exists() else "it said nothing"


class Redis:
    """A Redis that runs while its block does, without persistence, on a Unix socket."""

    def __enter__(self):
        if not shutil.which("redis-server"):
            raise Missing("redis-server is not installed (Debian: apt-get install redis-server)")
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/socket"
        command = ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*on_core(1), *command, "--dir", self.folder.name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            self.wait_until(os.path.exists, self.path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def wait_for_servers(self, count):
        """Wait until *count* servers hear each other: then nothing that they emit is lost."""
        with redis.Redis(unix_socket_path=self.path) as client:
            self.wait_until(lambda channel: client.pubsub_numsub(channel)[0][1] == count, "socket.io-request#/#")

    def wait_until(self, holds, argument):
        end = time.monotonic() + START_SECONDS
        while not holds(argument):
            if time.monotonic() > end or self.process.poll() is not None:
                raise Failed("Redis did not start, or the servers did not find each other there")
            time.sleep(0.05)


def find_nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def wait_until_it_listens(process, port, last_words):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"did not start: {last_words()}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_core(number):
    """The beginning of a command that shall run on the first or second of our cores."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[min(number, len(cores) - 1)])]


def measure(job, seconds):
    """Start the server, put the load on it, and return the Figures."""
    with contextlib.ExitStack() as stack:
        options, elsewhere = job.options, []
        if job.in_cluster:
            database = stack.enter_context(Redis())
            options += f" cluster={database.path}"
            sender = stack.enter_context(Server(job.server, options, core=1))
            elsewhere = ["--sender-port", str(sender.port), "--sender-pid", str(sender.process.pid)]
        server = stack.enter_context(Server(job.server, options))
        if job.in_cluster:
            database.wait_for_servers(2)
        port = stack.enter_context(Nginx(server.port)).port if job.behind_nginx else server.port
        dialect = ["--dialect", "raw"] if job.server == RAW else []
        where = ["--port", str(port), "--pid", str(server.process.pid), "--seconds", str(seconds)]
        command = [*on_core(1), LOAD, *where, *elsewhere, *dialect, *job.load.split()]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + LOAD_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Failed("the load came to no end") from error
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or f"the load ended with {done.returncode}")
        if server.process.poll() is not None:
            raise Failed(f"the server ended: {server.last_words()}")
    found = json.loads(done.stdout)
    return Figures(
        cpu=found["cpu"] / (found["messages"] or found["seconds"]),
        rate=found["messages"] / found["seconds"],
        bytes=found["bytes"],
        sender_cpu=found["sender_cpu"] / found["sent"] if found["sent"] else 0.0,
    )


class Bench:
    """Measures jobs; what failed is told at once, and remembered for the exit code."""

    def __init__(self, rounds, seconds):
        self.rounds = rounds
        self.seconds = seconds
        self.failures = 0

    def measure(self, jobs, rounds=None):
        """The medians by job, those that failed left out; the jobs take turns."""
        found = {}
        failed = set()
        for _ in range(rounds or self.rounds):
            for job in jobs:
                if job in failed:
                    continue
                try:
                    found.setdefault(job, []).append(measure(job, self.seconds))
                except Failed as problem:
                    failed.add(job)
                    self.tell(job, problem)
        return {job: median(figures) for job, figures in found.items() if job not in failed}

    def tell(self, job, problem):
        missing = isinstance(problem, Missing)
        self.failures += not missing
        what = f"{job.server} {job.load} {job.options}".strip()
        print("left out" if missing else "FAILED", f"{what}: {problem}", file=sys.stderr, flush=True)


def median(figures):
    columns = zip(*map(dataclasses.astuple, figures), strict=True)
    return Figures(*map(statistics.median, columns))


# -- Tables ----------------------------------------------------------------------------
# Markdown, for the README. A missing figure is a dash.


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---|" + "--:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def number(value):
    """Three digits, or all that stand before the point."""
    if value is None:
        return "-"
    digits = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def micros(figures, what="cpu"):
    return number(figures and getattr(figures, what) * 1e6)


def ratio(ours, theirs, what="cpu"):
    if ours is None or theirs is None or not getattr(theirs, what):
        return "-"
    return f"{getattr(ours, what) / getattr(theirs, what):.2f}"


def compare_peers(bench, options):
    """Every case on every server, then the ratios in short."""
    found = {}
    for case in options.cases:
        jobs = {name: job_for(case, name) for name in options.servers if name != RAW or case in FOR_RAW}
        figures = bench.measure(jobs.values())
        found[case] = {name: figures.get(job) for name, job in jobs.items()}
        print_case(case, CASES[case][0], found[case])
    print("What socket_io.py on uvloop takes for one of the other (memory where clients wait, else CPU):\n")
    peers = [name for name in options.servers if name != OURS]
    print_table(
        ["", *[TITLES[name] for name in peers]],
        [
            [CASES[case][0], *[ratio(row.get(OURS), row.get(name), counts_in(case)) for name in peers]]
            for case, row in found.items()
        ],
    )


def job_for(case, server):
    load = CASES[case][1]
    return Job(server, load, "xheaders", behind_nginx=True) if case == "nginx" else Job(server, load)


def counts_in(case):
    return "bytes" if case in IN_BYTES else "cpu"


def print_case(case, title, row):
    what = counts_in(case)
    ours = [row.get(OURS), row.get(ASYNCIO)]
    head = [title, *(["bytes"] if what == "bytes" else ["CPU, µs", "per second"]), "ours, uvloop / it", "asyncio / it"]
    lines = []
    for name, figures in row.items():
        amounts = [number(figures and figures.bytes)] if what == "bytes" else [micros(figures), rate(figures)]
        lines.append([TITLES[name], *amounts, *[ratio(one, figures, what) for one in ours]])
    print_table(head, lines)


def rate(figures):
    return "-" if figures is None else f"{figures.rate:,.0f}"


def against_first(bench, head, jobs):
    """A table of *jobs* by title: CPU, and the ratio to the first of them."""
    figures = bench.measure(jobs.values())
    first = figures.get(next(iter(jobs.values())))
    print_table(
        head, [[title, micros(figures.get(job)), ratio(figures.get(job), first)] for title, job in jobs.items()]
    )


def compare_generations(bench, options):
    """WebSocket echo of the older generations, and by an async handler, against that of today's clients."""
    jobs = {name: Job(OURS, f"--mode echo --dialect {name}") for name in GENERATIONS}
    jobs["EIO4, async handler"] = Job(OURS, "--mode echo --event aecho")
    against_first(bench, ["WebSocket echo", "CPU, µs", "/ EIO4"], jobs)


def compare_mixed(bench, options):
    """A room of four generations against one of a single generation."""
    jobs = {
        "500 of EIO4": Job(OURS, "--mode broadcast --clients 500"),
        "125 each of EIO4, EIO3, 0.9, 0.6": Job(OURS, f"--mode broadcast --clients 500 --dialect {MIXED}"),
    }
    against_first(bench, ["broadcast to", "CPU a delivery, µs", "/ one generation"], jobs)


def compare_rooms(bench, options):
    """An emit to one room of ten, among more and more rooms of ten; the clients are a hundred each time."""
    load = "--mode broadcast --clients 100 --event room --receivers 10"
    jobs = {f"{count:,}": Job(OURS, load, f"rooms={count}") for count in (10, 100, 1_000, 10_000)}
    against_first(bench, ["rooms of ten, an emit to one", "CPU a delivery, µs", "/ 10 rooms"], jobs)


def growing(title, unit, steps, describe):
    """A table that grows: ours and node's CPU per message at each of *steps*; *describe* gives the load."""

    def table(bench, options):
        jobs = {(name, step): Job(name, describe(step)) for step in steps for name in (OURS, NODE)}
        figures = bench.measure(jobs.values())
        rows = []
        for step in steps:
            ours, node = [figures.get(jobs[name, step]) for name in (OURS, NODE)]
            rows.append([f"{step:,}", micros(ours), micros(node), ratio(ours, node)])
        print_table([title, f"ours, CPU µs {unit}", "node", "ours / node"], rows)

    return table


compare_broadcasts = growing(
    "broadcast to", "a delivery", [100, 1_000, 5_000], lambda count: f"--mode broadcast --clients {count}"
)


def compare_payloads(bench, options):
    """Echo of larger and larger messages; the last is just below the limit of both servers."""
    steps = {"100 B": 100, "1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000, "1 MB": 999_900}
    rows = []
    for title, size in steps.items():
        jobs = [Job(name, f"--mode echo --clients 10 --bytes {size}") for name in (OURS, NODE)]
        figures = bench.measure(jobs)
        ours, node = [figures.get(job) for job in jobs]
        speeds = [number(one and one.rate * size / 1e6) for one in (ours, node)]
        rows.append([title, *speeds, micros(ours), micros(node), ratio(ours, node)])
    print_table(["echo of", "ours, MB/s", "node, MB/s", "ours, CPU µs", "node, CPU µs", "ours / node"], rows)


IDLE_SECONDS = 25  # ping_interval: each client's heart beats once


def compare_idle(bench, options):
    """Clients that only answer heartbeats, at the intervals that the servers come with: takes two minutes."""
    counts = [5_000, 10_000]
    load = f"--mode idle --seconds {IDLE_SECONDS} --warm 0 --clients"
    jobs = {(name, count): Job(name, f"{load} {count}") for count in counts for name in (OURS, NODE)}
    figures = bench.measure(jobs.values(), rounds=1)
    rows = []
    for count in counts:
        ours, node = [figures.get(jobs[name, count]) for name in (OURS, NODE)]
        sizes = [number(one and one.bytes) for one in (ours, node)]
        loads = [one and f"{one.cpu * 100 * 1000 / count:.3f} %" or "-" for one in (ours, node)]
        rows.append([f"{count:,}", *sizes, *loads])
    head = ["idle clients", "ours, bytes each", "node", "ours, of a core per 1,000", "node"]
    print_table(head, rows)


CLUSTER_LOADS = {
    "to 500, one event at a time": "--clients 500",
    "to 500, 16 at a time": "--clients 500 --depth 16",
    "to 1, one at a time": "--clients 1",
    "to 1, 16 at a time": "--clients 1 --depth 16",
}


def in_cluster(server, load):
    return Job(server, f"--mode broadcast {load}", in_cluster=True)


def compare_cluster(bench, options):
    """Broadcasts by another server of a cluster: what a delivery takes, and what the sender takes for an event."""
    jobs = {(name, title): in_cluster(name, load) for title, load in CLUSTER_LOADS.items() for name in (OURS, NODE)}
    figures = bench.measure(jobs.values())
    rows = []
    for title in CLUSTER_LOADS:
        ours, node = [figures.get(jobs[name, title]) for name in (OURS, NODE)]
        row = [title]
        for what in ("cpu", "sender_cpu"):
            row += [micros(ours, what), micros(node, what), ratio(ours, node, what)]
        rows.append(row)
    units = ["a delivery", "an event at its sender"]
    columns = [title for unit in units for title in (f"ours, CPU µs {unit}", "node", "ours / node")]
    print_table(["broadcast by another server", *columns], rows)


WORKERS_CASES = {
    "echo, 50 clients, 1 in flight": "--mode echo",
    "echo, 50 clients, 16 in flight": "--mode echo --depth 16",
    "broadcast to 500, a delivery": "--mode broadcast --clients 500",
    "echo by long-polling": "--mode poll",
    "connect by default": BY_DEFAULT,
}
FOR_STICKY = list(WORKERS_CASES)[:3]


def compare_workers(bench, options):
    """Two workers against one server, beside node; then what it takes to hand a POST over."""
    jobs = {
        (title, name, workers): Job(name, load, workers)
        for title, load in WORKERS_CASES.items()
        for name in (OURS, NODE)
        for workers in ("", "workers=2")
        # @socket.io/sticky closes each connection after one request: this load keeps them.
        if (name, workers) != (NODE, "workers=2") or title in FOR_STICKY
    }
    figures = bench.measure(jobs.values())
    rows = []
    for title in WORKERS_CASES:
        row = [title]
        for name in (OURS, NODE):
            one, two = [figures.get(jobs.get((title, name, workers))) for workers in ("", "workers=2")]
            row += [micros(one), micros(two), ratio(two, one, "rate")]
        rows.append(row)
    columns = ["one server, CPU µs", "two workers", "so many times as many a second"]
    print_table(["", *[f"{name}: {column}" for name in ("ours", "node") for column in columns]], rows)
    compare_posts(bench)


def compare_posts(bench):
    """What a POST takes at the session's own worker, and where it has to be handed over first."""
    found = {}
    for _ in range(bench.rounds):
        try:
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                servers = [stack.enter_context(Server(OURS, f"folder={folder}")) for _ in range(2)]
                for case in posts.CASES:
                    found.setdefault(("ours", case), []).append(posts.measure(case, servers, bench.seconds))
            with Server(NODE, "workers=2") as server:
                for case in posts.FOR_STICKY:
                    found.setdefault(("node", case), []).append(posts.measure(case, [server], bench.seconds))
        except Failed as problem:
            bench.tell(Job("posts", ""), problem)
            return
    medians = {key: statistics.median(values) for key, values in found.items()}
    first = medians["ours", next(iter(posts.CASES))]
    rows = []
    for case in posts.CASES:
        ours, node = medians["ours", case], medians.get(("node", case))
        rows.append([case, number(ours * 1e6), f"{ours / first:.2f}", number(node and node * 1e6)])
    print_table(["a POST of one event", "CPU of all workers, µs", "/ at its owner", "node, cluster and sticky"], rows)


TABLES = {
    "peers": compare_peers,
    "generations": compare_generations,
    "idle": compare_idle,
    "broadcast": compare_broadcasts,
    "rooms": compare_rooms,
    "payload": compare_payloads,
    "mixed": compare_mixed,
    "cluster": compare_cluster,
    "workers": compare_workers,
}


# -- Smoke -----------------------------------------------------------------------------


def smoke(bench):
    """Every kind of load once, on ours alone: whether it works, not how fast."""
    jobs = [Job(ASYNCIO, CASES["echo"][1])]
    jobs += [job_for(case, OURS) for case in CASES if case not in IN_BYTES]
    if find_nginx() is None:
        jobs = [job for job in jobs if not job.behind_nginx]
    jobs += [Job(OURS, f"--mode echo --dialect {name}") for name in GENERATIONS]
    jobs += [
        Job(OURS, "--mode idle --clients 200"),
        Job(OURS, "--mode waiting --clients 200"),
        Job(OURS, "--mode echo --clients 2 --bytes 999900"),
        Job(OURS, f"--mode broadcast --clients 40 --dialect {MIXED}"),
        Job(OURS, "--mode broadcast --clients 100 --event room --receivers 10", "rooms=1000"),
    ]
    if shutil.which("redis-server"):
        jobs.append(in_cluster(OURS, "--clients 40 --depth 4"))
    jobs.append(Job(OURS, "--mode poll", "workers=2"))
    jobs = [dataclasses.replace(job, load=f"{job.load} --warm 0") for job in jobs]
    worked = bench.measure(jobs)
    print(f"{len(worked)} of {len(jobs)} kinds of load worked")


# -- Main ------------------------------------------------------------------------------


def parse_options():
    parser = argparse.ArgumentParser(
        prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=names(TABLES), default=list(TABLES), help=f"of {', '.join(TABLES)}")
    parser.add_argument("--servers", type=names(SERVERS), default=list(SERVERS), help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--cases", type=names(CASES), default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--smoke", action="store_true", help="only whether all of it works, on socket_io.py alone")
    return parser.parse_args()


def names(known):
    """For argparse: some of *known*, with commas between them."""

    def parse(text):
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return found

    return parse


def allow_files():
    """As many open files as there may be; servers and load inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < MOST_FILES:
        print(f"only {most} files may be open (ulimit -n): what needs more clients will fail", file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main():
    options = parse_options()
    allow_files()
    if len(os.sched_getaffinity(0)) < 2:
        print("there is one core only: server and load share it", file=sys.stderr)
    if options.smoke:
        bench = Bench(rounds=1, seconds=0.3)
        smoke(bench)
    else:
        bench = Bench(options.rounds, options.seconds)
        for name in options.tables:
            print(f"### {name}: `.ci/bench/run.sh --tables {name}`\n")
            TABLES[name](bench, options)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
