"""Start server.py as a child process, ask it about itself, and end it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from wire import Line

SERVER = Path(__file__).with_name("server.py")


class Child:
    """The server in a process of its own, so that its memory and its time are its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    @classmethod
    async def start(cls, port: int = 0, **options: object) -> Child:
        arguments = [f"{name}={json.dumps(value)}" for name, value in options.items()]
        # With one arena and a fixed threshold the allocator can give freed memory back: resident memory is in use.
        environment = {
            **os.environ,
            "PORT": str(port),
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "131072",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVER), *arguments, env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        ready = await asyncio.wait_for(process.stdout.readline(), 20)
        return cls(process, int(ready.split()[1]))

    async def ask(self, path: str) -> dict[str, Any]:
        line = await Line.open(self.port)
        try:
            status, body = await line.request("GET", path, seconds=120.0)
        finally:
            line.close()
        if status != 200:
            raise ConnectionError(f"{path} was answered with {status}")
        return json.loads(body) if body else {}

    async def state(self, collect: bool = False) -> dict[str, Any]:
        """Ask for the figures of /state; with *collect* the server gives free memory back before it measures."""
        return await self.ask("/state?collect=1" if collect else "/state")

    async def settled(self, look, seconds: float) -> dict[str, Any]:
        """Wait until *look* returns true for the state, at most so many seconds; return the last state."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not look(state := await self.state()) and loop.time() < end:
            await asyncio.sleep(0.1)
        return state

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> list[str]:
        """End the server, and return the errors that it has logged."""
        output, _ = await asyncio.wait_for(self.process.communicate(b""), 30)
        found = [line[7:] for line in output.decode().splitlines() if line.startswith("ERRORS ")]
        return json.loads(found[0]) if found else ["the server has died"]
