"""Run the configurations of the README's section "Deployment" with their programs, and connect clients through them.

    check.py [WORDS]     only the checks whose names contain the words

Every file is taken from the README as it stands there. Only ports, paths, addresses and host names are others, and
times are a sixth of what they are: those of the proxies, and the heartbeats and held polls of the servers. Needs
nginx, HAProxy, Apache, Caddy, systemd, unshare, openssl, node with the packages of ../interop, and root. The last line
is "N passed, N failed"; the exit code is 1 when a check has failed or could not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

sys.path.extend(map(str, pathlib.Path(__file__).resolve().parents[1:3]))

import nginx

import socket_io
from test_socket_io import Client, Wire, unused_port, within

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

TIMES = 6  # what takes so many seconds takes one here
SECONDS = 30.0  # for a program to begin, or to end
QUIET_SECONDS = (
    12.0  # longer than a proxy waits here, with the time-out of 10 s that is 60 s in the README
)
AT_ONCE = 6  # raw clients that talk at the same time
LARGE = "0123456789" * 90_000
#: The environment of app.py.
OPTIONS = {
    "PING_INTERVAL": str(25 / TIMES),
    "POLL_DURATION": str(20 / TIMES),
    "CLIENT_PATH": str(HERE.parent / "interop/node_modules/client-4.8.4/dist/socket.io.js"),
}
CLIENT_ADDRESS = "127.0.0.3"  # not that of the proxies, which is 127.0.0.1
FORGED = "6.6.6.6"
#: Node has no clients for these.
RAW = [
    ("0.6", "websocket"), ("0.6", "xhr-polling"), ("0.6", "jsonp-polling"), ("0.6", "xhr-multipart"),
    ("0.6", "htmlfile"), ("0.9", "jsonp-polling"), ("0.9", "htmlfile"), ("EIO3", "jsonp-polling"),
    ("EIO4", "jsonp-polling"),
]  # fmt: skip


# -- The README ------------------------------------------------------------------------


def blocks_of(readme: str) -> dict[str, str]:
    """Return the fenced blocks of the section, by the names of files with which they begin."""
    section = re.search(r"^## Deployment\n(.*?)(?=^## |\Z)", readme, re.DOTALL | re.MULTILINE)
    if section is None:
        sys.exit("README.md has no section Deployment")
    blocks = {}
    for text in re.findall(r"^```\w+\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE):
        name = re.match(r"# ([\w.-]+)", text)
        if name is None:
            sys.exit(f"a block of the section Deployment does not begin with a name: {text[:80]!r}")
        blocks[name[1]] = text
    return blocks


class Folder:
    """A folder with what one set of programs needs, and the changes to the files of the README that lie there."""

    blocks = blocks_of((ROOT / "README.md").read_text())
    taken: set[str] = set()  # the blocks that some check has used

    def __init__(self, path: pathlib.Path) -> None:
        path.mkdir()
        path.chmod(0o755)  # the proxies' workers are other users
        self.path = path
        self.port = unused_port()  # of the server, in place of 8001
        self.front = 0  # of the proxy, in place of 443
        self.more: dict[str, str] = {}
        for source in (ROOT / "socket_io.py", HERE / "app.py"):
            shutil.copy(source, path)

    @property
    def changes(self) -> dict[str, str]:
        return {
            **self.more,
            "/run/chat/socket": f"{self.path}/socket",
            "/etc/ssl/": f"{self.path.parent}/",
            "/srv/chat/.venv/bin/python": sys.executable,
            "/srv/chat/": f"{self.path}/",
            "chat.example.com": "localhost",
            "443": str(self.front),
            "8001": str(self.port),
        }

    def text(self, name: str, **changes: str) -> str:
        """Return a block of the README, with the changes; each of *changes* must have a place in it."""
        if name not in self.blocks:
            raise AssertionError(f"the section Deployment has no block {name}")
        self.taken.add(name)
        text = self.blocks[name]
        for old, new in {**changes, **self.changes}.items():
            assert old in text or old not in changes, f"{name} has no {old!r}"
            text = text.replace(old, new)
        return re.sub(
            r"(?i)(timeout(?: \w+)?) 60(?=s?\b)", lambda found: f"{found[1]} {60 // TIMES}", text
        )

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.path / name
        path.write_text(text)
        return path


def make_certificate(folder: pathlib.Path) -> ssl.SSLContext:
    """Make a certificate for localhost that vouches for itself; return the context that trusts it."""
    certificate, key = folder / "chat.pem", folder / "chat.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o644)
    (folder / "chat.both.pem").write_text(certificate.read_text() + key.read_text())
    return ssl.create_default_context(cafile=certificate)


# -- Programs --------------------------------------------------------------------------


class Program:
    """A program and what it prints. It has a process group of its own, which is ended with it."""

    def __init__(self, name: str, *command: object, **environment: str) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        self.lines: list[str] = []

    async def __aenter__(self) -> Any:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=self.environment, start_new_session=True, limit=2**24,
        )  # fmt: skip
        self.reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await self.end()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.reader.cancel()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def printed(self, words: str, times: int = 1, seconds: float = SECONDS) -> None:
        await until(lambda: sum(words in line for line in self.lines) >= times, f"{words!r} from {self}", seconds,
                    lambda: not self.reader.done())  # fmt: skip

    async def listens(self, port: int) -> None:
        def connect() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        await until(connect, f"{self} to listen at {port}", SECONDS, lambda: not self.reader.done())

    async def end(self, seconds: float = SECONDS) -> int:
        """Send SIGTERM, and return the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return int(await within(self.process.wait(), seconds))

    def __str__(self) -> str:
        return f"{self.name}, which printed {self.lines[-8:]}"


async def until(
    look: Callable[[], object],
    what: str,
    seconds: float = SECONDS,
    lives: Callable[[], bool] = lambda: True,
) -> None:
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end or not lives():
            raise AssertionError(f"waited for {what}")
        await asyncio.sleep(0.05)


class Server(Program):
    """A server of ours. It must end with 0, soon, and without an error in its log."""

    def __init__(
        self, folder: Folder, name: str = "server.py", workers: int = 2, **more: Any
    ) -> None:
        self.folder = folder
        self.workers = workers
        changes = more.pop("changes", {})
        wrapped = more.pop("wrapped", ())
        script = folder.write(name, folder.text(name, **changes))
        super().__init__(name, *wrapped, sys.executable, script, **OPTIONS, **more)

    async def __aenter__(self) -> Server:
        await super().__aenter__()
        if self.workers > 1:
            await self.printed("is listening on", self.workers)
        return self

    async def expect_good_end(self) -> None:
        begun = time.monotonic()
        code = await self.end()
        took = time.monotonic() - begun
        assert code == 0 and took < 9, f"exit code {code} after {took:.1f} s: {self}"
        wrong = [
            line
            for line in self.lines
            if re.search(r"ERROR|CRITICAL|Traceback|never awaited", line)
        ]
        assert not wrong, f"the server logged {wrong[:5]}"


class Nginx(Program):
    def __init__(
        self, folder: Folder, name: str = "nginx.conf", before: str = "", **changes: str
    ) -> None:
        folder.front = self.port = unused_port()
        text = before + folder.text(name, **changes)
        super().__init__("nginx", *nginx.command(folder.path, text, user="www-data"))


class HAProxy(Program):
    def __init__(self, folder: Folder, before: str = "", **changes: str) -> None:
        folder.front = self.port = unused_port()
        path = folder.write("haproxy.cfg", before + folder.text("haproxy.cfg", **changes))
        super().__init__("HAProxy", program("haproxy"), "-db", "-f", path)


class Apache(Program):
    #: What Debian's apache2.conf has loaded, and what the README has a2enmod load.
    MODULES = [
        "mpm_event",
        "authz_core",
        "proxy",
        "proxy_http",
        "socache_shmcb",
        "ssl",
        "http2",
        "headers",
    ]

    def __init__(self, folder: Folder) -> None:
        folder.front = self.port = unused_port()
        modules = "/usr/lib/apache2/modules"
        lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in self.MODULES]
        lines += [f"ServerRoot {folder.path}", f"PidFile {folder.path}/apache.pid", "ErrorLog /dev/stderr",
                  "KeepAliveTimeout 30"]  # fmt: skip
        lines += [
            f"DefaultRuntimeDir {folder.path}",
            f"Listen 127.0.0.1:{self.port}",
            "ServerName localhost",
        ]
        lines += ["User www-data", "Group www-data"]
        path = folder.write("apache.conf", "\n".join([*lines, folder.text("apache.conf")]))
        super().__init__("Apache", program("apache2"), "-D", "FOREGROUND", "-f", path)


class Caddy(Program):
    WHOLE = "{{\n admin off\n auto_https disable_redirects\n}}\n{text}"

    def __init__(self, folder: Folder) -> None:
        folder.front = self.port = unused_port()
        path = folder.write("Caddyfile", self.WHOLE.format(text=folder.text("Caddyfile")))
        home = str(folder.path)
        super().__init__("Caddy", program("caddy"), "run", "--config", path, "--adapter", "caddyfile",
                         HOME=home, XDG_DATA_HOME=home, XDG_CONFIG_HOME=home)  # fmt: skip


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise AssertionError(f"{name} is missing")
    return found


@contextlib.asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """Run proxies, from when they listen."""
    async with contextlib.AsyncExitStack() as stack:
        for one in programs:
            await stack.enter_async_context(one)
        for one in programs:
            await one.listens(one.port)  # type: ignore[attr-defined]
        yield


# -- Raw clients -----------------------------------------------------------------------


class TLSWire(Wire):
    """A connection to a proxy, from an address of its own, which remembers the last head of an answer."""

    tls: ssl.SSLContext
    headers: dict[str, str] = {}

    @classmethod
    async def open(cls, port, host="localhost", **options):
        options = {
            "ssl": cls.tls,
            "local_addr": (CLIENT_ADDRESS, 0),
            "family": socket.AF_INET,
        } | options
        wire = await super().open(port, host, **options)
        wire.seconds = SECONDS
        return wire

    async def head(self):
        status, self.headers = await super().head()
        return status, self.headers


class RawClient(Client):
    """A client behind a proxy, which may divide the answers of our server otherwise than it did."""

    wire_type = TLSWire

    def _url(self, what=""):
        if self.dialect.name != "0.6":
            return super()._url(what)
        if self.transport in socket_io.WEBSOCKETS:
            return f"{self.path}/{self.transport}"
        last = "/0" if self.transport == socket_io.JSONP_POLLING else ""
        what = "1290000000000" + last if last or not what else what
        return f"{self.path}/{self.transport}/{self.sid or ''}/{what}"

    async def _read_parts(self):
        received = bytearray()
        begun = self.transport != socket_io.XHR_MULTIPART
        ending = b"</script>" if begun else b"\n--socketio\n"
        async for data in self._pieces():
            received += data
            if not begun and b"--socketio\n" in received:
                begun, received = True, received.partition(b"--socketio\n")[2]
            if begun and received.endswith(ending):
                for part in bytes(received).split(ending)[:-1]:
                    # The page with which the answer begins has a script of its own.
                    if b"<script>var" not in part:
                        yield part[max(0, part.find(b"<script>")) :] + ending
                received.clear()

    def _pieces(self):
        if self._wire.headers.get("transfer-encoding") == "chunked":
            return self._wire.chunks()
        return self._until_the_end()

    async def _until_the_end(self):
        while data := await self._wire.reader.read(65536):
            yield data

    async def ask_who(self):
        """Return what the server knows of this client."""
        if self.dialect.name != "0.6":
            return await self.call("who", timeout=SECONDS)
        await self.send({"wish": "who"})
        return (await self.receive(timeout=SECONDS))[1]


async def talk(port: int, dialect: str, transport: str, prefix: str = "", **expected: str) -> None:
    """Connect, and see that the server knows this client, and that a large message comes back."""
    forged = {"X_Real_IP": FORGED, "X_Forwarded_For": FORGED}
    headers = {"Host": f"localhost:{port}", "Origin": f"https://localhost:{port}", **forged}
    client = await RawClient(
        port, dialect, transport, path=f"{prefix}/socket.io", headers=headers
    ).connect()
    try:
        who = await client.ask_who()
        expected = {
            "address": CLIENT_ADDRESS,
            "scheme": "https",
            "dialect": dialect,
            "transport": transport,
        } | expected
        got = {name: who[name] for name in expected}
        assert got == expected, f"the server knows {got}, not {expected}"
        await client.send(LARGE)
        name, back = await client.receive(timeout=SECONDS)
        assert name == "message" and back == LARGE, f"{len(back)} characters came back"
    finally:
        await client.close()


async def status_of(
    port: int, path: str = "/socket.io/?EIO=4&transport=polling", **headers: str
) -> int:
    wire = await TLSWire.open(port)
    try:
        return (await wire.request("GET", path, Host=f"localhost:{port}", **headers))[0]
    finally:
        wire.close()


# -- Checks ----------------------------------------------------------------------------


class Checks:
    """The checks run side by side; each prints its line."""

    def __init__(self, folder: pathlib.Path, words: str) -> None:
        self.root = folder
        self.words = words
        self.talking = asyncio.Semaphore(AT_ONCE)
        self.passed = 0
        self.failed = 0

    def folder(self, name: str) -> Folder:
        return Folder(self.root / name)

    async def check(self, name: str, body: Awaitable[str | None]) -> None:
        try:
            note = await within(body, 80)
        except Exception as error:
            self.failed += 1
            print(f"FAILED {name}: {type(error).__name__} {str(error)[:1500]}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}{f': {note}' if note else ''}", flush=True)

    async def all(self) -> None:
        checks: list[tuple[str, Callable[[], Awaitable[str | None]]]] = [
            ("a server and its proxies", self.proxies),
            ("nginx before two machines", self.machines_behind_nginx),
            ("HAProxy before two machines", self.machines_behind_haproxy),
            ("two proxies in a row", self.proxies_in_a_row),
            ("systemd: the units are sound", self.units),
            ("systemd: a socket that listens already", self.activation),
            ("process 1 of a container", self.container),
            ("the settings of SocketTornad.IO", self.ancestor),
        ]
        chosen = [(name, body) for name, body in checks if self.words in name]
        if not chosen:
            sys.exit(f"no check has {self.words!r} in its name")
        await asyncio.gather(*[self.check(name, body()) for name, body in chosen])
        if not self.words and Folder.blocks.keys() != Folder.taken:
            self.failed += 1
            print(
                f"FAILED nothing has run {sorted(Folder.blocks.keys() - Folder.taken)} of the README"
            )

    async def proxies(self) -> str:
        folder = self.folder("proxies")
        async with Server(folder) as server:
            proxies = [kind(folder) for kind in (Nginx, HAProxy, Apache, Caddy)]
            async with running(*proxies):
                fronts = [
                    {"name": f"{one.name}{prefix}", "address": f"https://localhost:{one.port}", "prefix": prefix}
                    for one in proxies for prefix in ("", "/chat")
                ]  # fmt: skip
                certificate = str(self.root / "chat.pem")
                node = Program(
                    "node",
                    "node",
                    HERE / "clients.mjs",
                    json.dumps(fronts),
                    NODE_EXTRA_CA_CERTS=certificate,
                )
                async with node:
                    await node.printed("READY", seconds=60)
                    quiet = asyncio.ensure_future(asyncio.sleep(QUIET_SECONDS))
                    await asyncio.gather(*[
                        self.check(f"{one.name}{prefix}: {dialect} by {transport}",
                                   self.talk(one.port, dialect, transport, prefix))
                        for one in proxies for prefix in ("", "/chat") for dialect, transport in RAW
                    ], *[self.check(f"{one.name}: origins", self.origins(one.port)) for one in proxies])  # fmt: skip
                    await self.check(
                        "Chromium: pages of the same origin, by HTTP/2", self.pages(fronts)
                    )
                    await quiet
                    node.process.stdin.write(b"ask\n")
                    await node.printed("ASKED")
                    node.process.stdin.close()
                    await server.expect_good_end()
                    await node.printed("GONE")
                    wrong = [
                        line
                        for line in node.lines
                        if not line.startswith(("READY", "ASKED", "GONE"))
                    ]
                    assert not wrong, f"{len(wrong)} problems: {wrong[:12]}"
                    return node.lines[0]

    async def talk(self, *words: Any) -> None:
        async with self.talking:
            await talk(*words)

    async def pages(self, fronts: list[dict[str, str]]) -> str:
        async with Program("node", "node", HERE / "pages.mjs", json.dumps(fronts)) as node:
            await within(node.process.wait(), 60)
            await within(node.reader)
            assert node.lines == [f"{len(fronts)} pages"], node.lines
            return node.lines[0]

    async def origins(self, port: int) -> None:
        for origin, wanted in [
            (f"https://localhost:{port}", 200),
            ("https://elsewhere.example", 403),
        ]:
            status = await status_of(port, Origin=origin)
            assert status == wanted, f"a page of {origin} gets {status}"
        assert await status_of(port, "/") == 200

    @contextlib.asynccontextmanager
    async def machines(self, name: str) -> AsyncIterator[Folder]:
        folders = [self.folder(f"{name}-{letter}") for letter in "ab"]
        front = self.folder(name)
        front.more = {
            f"10.0.0.{number}:8001": f"127.0.0.1:{one.port}"
            for number, one in enumerate(folders, 1)
        }
        async with Server(folders[0], MACHINE="a") as a, Server(folders[1], MACHINE="b") as b:
            yield front
            await asyncio.gather(a.expect_good_end(), b.expect_good_end())

    async def spread(self, port: int) -> str:
        """Have many clients talk at once: each stays on its machine, and both have some."""
        kinds = [
            *RAW,
            ("0.9", "xhr-polling"),
            ("EIO3", "xhr-polling"),
            ("EIO4", "xhr-polling"),
            ("EIO4", "websocket"),
        ]
        served = set()

        async def stay(dialect: str, transport: str) -> None:
            headers = {"Host": f"localhost:{port}"}
            client = await RawClient(port, dialect, transport, headers=headers).connect()
            answers = {(await client.ask_who())["server"] for _ in range(6)}
            assert len(answers) == 1, f"{dialect} by {transport} was answered by {answers}"
            served.add(answers.pop()[0])
            await client.close()

        # nginx passes over a machine for ten seconds after one connection to it has failed.
        for _ in range(8):
            await asyncio.gather(*[stay(*kind) for kind in kinds * 3])
            if served == {"a", "b"}:
                break
            await asyncio.sleep(2)
        assert served == {"a", "b"}, f"all clients are on {served}"
        return f"{3 * len(kinds)} clients"

    async def machines_behind_nginx(self) -> str:
        async with self.machines("nginx") as folder:
            before = folder.text("nginx-machines.conf")
            changes = {"http://chat;": "http://$machine;"}
            async with running(front := Nginx(folder, before=before, **changes)):
                return await self.spread(front.port)

    async def machines_behind_haproxy(self) -> str:
        async with self.machines("haproxy") as folder:
            backend = folder.text("haproxy-machines.cfg")
            haproxy = HAProxy(folder)
            path = folder.path / "haproxy.cfg"
            path.write_text(path.read_text().partition("\nbackend chat\n")[0] + "\n" + backend)
            async with running(haproxy):
                return await self.spread(haproxy.port)

    async def proxies_in_a_row(self) -> None:
        """The browser's proxy is 127.0.0.1, as nginx sees it; both leave their X-Forwarded-For."""
        folder, outer = self.folder("row"), self.folder("outer")
        trusting = {"xheaders=True": 'xheaders=True, trusted_downstream=["127.0.0.1"]'}
        passing = {
            "X-Real-IP $remote_addr": "X-Forwarded-For $proxy_add_x_forwarded_for",
            "Host $http_host": "X-Forwarded-Host $http_host",
        }
        async with (
            Server(folder, changes=trusting) as server,
            running(inner := Nginx(folder, **passing)),
        ):
            outer.port = inner.port
            tls = {"127.0.0.1:8001": "127.0.0.1:8001 ssl verify none"}
            adding = {
                "http-request set-header X-Real-IP %[src]": "option forwardfor\n    http-request del-header X-Real-IP"
            }
            async with running(haproxy := HAProxy(outer, **tls, **adding)):
                for dialect, transport in [
                    ("EIO4", "websocket"),
                    ("EIO4", "xhr-polling"),
                    ("0.6", "htmlfile"),
                ]:
                    await talk(haproxy.port, dialect, transport)
            await server.expect_good_end()

    async def units(self) -> str:
        folder = self.folder("units")
        folder.write("server.py", folder.text("server.py"))
        paths = [folder.write(name, folder.text(name)) for name in ("chat.service", "chat.socket")]
        analyze = Program(
            "systemd-analyze", program("systemd-analyze"), "verify", "--man=no", *paths
        )
        async with analyze:
            code = await within(analyze.process.wait(), SECONDS)
            await within(analyze.reader)
            assert code == 0 and not analyze.lines, f"{code}: {analyze}"
        return "systemd-analyze verify; started by no systemd"

    async def activation(self) -> str:
        folder = self.folder("activation")
        (listen,) = re.findall(r"^ListenStream=(.*)$", folder.text("chat.socket"), re.MULTILINE)
        passed_on = [f"--setenv={name}" for name in (*OPTIONS, "PYTHONDONTWRITEBYTECODE")]
        activate = [program("systemd-socket-activate"), "--listen", listen, *passed_on]
        async with Server(folder, "activated.py", workers=0, wrapped=activate) as server:
            await server.listens(folder.port)
            async with running(haproxy := HAProxy(folder)):
                for dialect, transport in [("EIO4", "websocket"), ("0.6", "xhr-polling")]:
                    await talk(haproxy.port, dialect, transport)
            await server.expect_good_end()
        return listen

    async def container(self) -> str:
        folder = self.folder("container")
        (command,) = re.findall(r"^CMD (.*)$", folder.text("Dockerfile"), re.MULTILINE)
        assert json.loads(command) == ["python", "server.py"], command
        unshare = [program("unshare"), "--pid", "--fork", "--mount-proc"]
        changes = {
            'address="127.0.0.1"': 'address="0.0.0.0"',
            'unix_socket="/run/chat/socket", unix_socket_mode=0o666,': "",
        }
        async with Server(folder, wrapped=unshare, changes=changes) as server:
            (first,) = children_of(server.process.pid)
            workers = children_of(first)
            assert len(workers) == 2, workers
            enter = [
                program("nsenter"),
                "--target",
                str(first),
                "--pid",
                "sh",
                "-c",
                "sleep 600 >/dev/null 2>&1 &",
            ]
            async with Program("nsenter", *enter) as orphanage:
                await within(orphanage.process.wait(), SECONDS)
                await until(lambda: len(children_of(first)) == 3, "process 1 to adopt an orphan")
                (orphan,) = set(children_of(first)) - set(workers)
                os.kill(orphan, signal.SIGKILL)
            await until(lambda: children_of(first) == workers, "process 1 to bury the orphan")
            client = await BareClient(folder.port, "EIO4", "xhr-polling").connect()
            try:
                begun = time.monotonic()
                os.kill(first, signal.SIGTERM)
                await within(client.disconnected.wait(), 9)
                code = await within(server.process.wait(), 9)
                took = time.monotonic() - begun
            finally:
                await client.close()
            assert code == 0, f"exit code {code}: {server}"
        return f"ended {took:.1f} s after SIGTERM"

    async def ancestor(self) -> None:
        folder = self.folder("ancestor")
        policy = folder.write("flashpolicy.xml", "<cross-domain-policy/>")
        folder.more = {"843": str(flash := unused_port())}
        async with Server(folder, "ancestor.py", workers=1) as server:
            await server.listens(folder.port)
            async with running(haproxy := HAProxy(folder)):
                for transport in ("websocket", "flashsocket", "xhr-polling"):
                    await talk(haproxy.port, "0.6", transport)
                await talk(haproxy.port, "EIO4", "xhr-polling")
                status = await status_of(haproxy.port, "/socket.io/xhr-multipart//1290000000000")
                assert status >= 400, f"a transport that is not enabled gets {status}"
                reader, writer = await asyncio.open_connection("127.0.0.1", flash)
                writer.write(socket_io.FlashPolicyServer.REQUEST)
                answer = await within(reader.read())
                writer.close()
                assert answer == policy.read_bytes() + b"\0", answer
            await server.expect_good_end()


class BareClient(RawClient):
    """A client without a proxy."""

    wire_type = Wire


def children_of(pid: int) -> list[int]:
    return [
        int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]


async def run(checks: Checks) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):  # so that no program outlives this one
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await checks.all()


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        TLSWire.tls = make_certificate(folder)
        checks = Checks(folder, " ".join(sys.argv[1:]))
        asyncio.run(run(checks))
    print(f"{checks.passed} passed, {checks.failed} failed")
    return int(checks.failed > 0 or checks.passed == 0)


if __name__ == "__main__":
    sys.exit(main())
