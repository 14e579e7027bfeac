"""Check socket_io.py in one cluster with real servers: node's on both of its Redis clients, emitters, python-socketio.

    check.py [--only NUMBER ...] [--reference] [--table FILE]

Needs redis-server and node, the packages of package-lock.json in this folder and of requirements-cluster.txt. Each
behaviour is played by two servers of ours, then by ours with each kind of partner; the table says which. With
--reference, node servers stand in our place: what fails then is wrong about the checks, or about node.

The last line is "N passed, N failed"; the exit code is 1 when a check has failed or could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import beside
import garbage
import outages
import pairs
import tornado.netutil
from case import CHECKS, Case
from peers import Server, Stage

HERE = Path(__file__).resolve().parent
CHECK_SECONDS = 45.0
RUN_SECONDS = 300.0

#: Stages of one check each, that is played by servers of its own.
STAGES = {
    "other key": "node (redis)", "specific channel": "node (ioredis)", "socket.io-redis 6.1.1": "socket.io-redis 6.1.1",
    "Socket.IO 2": "Socket.IO 2", "streams": "streams",
    "garbage": "ours", "python-socketio": "python-socketio", "write_only": "python-socketio", "access list": "ours",
    "Emitter": "Emitter", "outage": "all", "killed connections": "all", "frozen for 3 s": "all",
    "frozen for 11 s": "all", "memory": "ours",
}  # fmt: skip


class Results:
    """What came of the checks, by number, name and partner."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.cells: dict[tuple[int, str], dict[str, bool]] = {}
        self.partners: dict[str, None] = {}  # in their order

    async def play(
        self, number: int, name: str, partner: str, run: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Run one check and print its line; NotImplementedError says that it is not for this partner."""
        started = time.monotonic()
        why = None
        try:
            await asyncio.wait_for(run(), CHECK_SECONDS)
        except NotImplementedError:
            return
        except asyncio.TimeoutError as error:
            why = f"an event did not come in time: {places(error)}"
        except AssertionError as error:
            why = str(error) or places(error)
        except Exception as error:
            why = f"{type(error).__name__}: {error}: {places(error)}"
        self.note(number, name, partner, why, time.monotonic() - started)

    def note(self, number: int, name: str, partner: str, why: str | None, seconds: float) -> None:
        self.partners.setdefault(partner)
        cells = self.cells.setdefault((number, name), {})
        cells[partner] = cells.get(partner, True) and why is None
        if why is None:
            self.passed += 1
            print(f"ok {number} {name} ({partner}, {seconds:.1f} s)", flush=True)
        else:
            self.failed += 1
            indented = "\n    ".join(why.strip().splitlines())
            print(f"FAILED {number} {name} ({partner}): {indented}", flush=True)

    def table(self) -> str:
        """Return a table for the README: a line for each behaviour, a column for each partner."""
        lines = [
            f"| | {' | '.join(self.partners)} |",
            f"|---|{'|'.join(['---'] * len(self.partners))}|",
        ]
        for (number, name), cells in sorted(self.cells.items(), key=lambda item: item[0][0]):
            if number == 0:  # of no behaviour
                continue
            words = [
                {True: "yes", False: "**no**", None: ""}[cells.get(partner)]
                for partner in self.partners
            ]
            lines.append(f"| {number}. {name} | {' | '.join(words)} |")
        return "\n".join(lines)


def places(error: BaseException | None) -> str:
    """Say where in the checks *error*, or what it came from, was raised."""
    frames: list[traceback.FrameSummary] = []
    while error is not None:
        frames += traceback.extract_tb(error.__traceback__)
        error = error.__cause__ or error.__context__
    found = [f"{Path(frame.filename).name}:{frame.lineno} {frame.line}" for frame in frames
             if frame.filename.startswith(str(HERE)) and frame.name != "play"]  # fmt: skip
    return "; ".join(dict.fromkeys(found))


@contextlib.asynccontextmanager
async def new_case(stage: Stage) -> AsyncIterator[Case]:
    case = Case(stage)
    try:
        yield case
    finally:
        await case.end()


def chosen(place: str, only: set[int]) -> list[Any]:
    return [one for one in CHECKS if one[2] == place and (not only or one[0] in only)]


async def play_cluster(results: Results, only: set[int]) -> None:
    """Play, in one cluster of four servers, all that ends no server and no Redis."""
    places = ("pair", "all", "redis-emitter", "socket.io-emitter", "vectors")
    if not any(chosen(place, only) for place in places):
        return
    async with Stage() as stage:
        options = {"max_namespaces": 1000, "python_socketio_channel": "socketio"}
        starting = [stage.ours("ours", **options), stage.ours("ours too", **options)]
        starting += [stage.node("redis"), stage.node("ioredis")]
        servers: list[Server] = await asyncio.gather(*starting)
        partners = {"ours": servers[1], "node (redis)": servers[2], "node (ioredis)": servers[3]}
        for number, name, _, play in chosen("pair", only):
            for partner, server in partners.items():

                async def pair(play=play, server=server) -> None:
                    async with new_case(stage) as case:
                        await play(case, servers[0], server)

                await results.play(number, name, partner, pair)
        extra = {"all": ("all", []), "vectors": ("vectors", [])}
        if chosen("redis-emitter", only) or chosen("socket.io-emitter", only):
            extra["redis-emitter"] = ("redis-emitter", [await stage.node("redis", adapter="none")])
            extra["socket.io-emitter"] = (
                "socket.io-emitter",
                [await stage.node("ioredis", adapter="none")],
            )
        for place, (partner, arguments) in extra.items():
            for number, name, _, play in chosen(place, only):

                async def alone(play=play, arguments=arguments) -> None:
                    async with new_case(stage) as case:
                        await play(case, servers, *arguments)

                await results.play(number, name, partner, alone)
        note_errors(results, stage, "the cluster of all")


def note_errors(results: Results, stage: Stage, where: str) -> None:
    errors = stage.errors()
    why = "\n".join(errors[:30]) if errors else None
    results.note(0, f"our servers logged no error: {where}", "ours", why, 0.0)


async def play_stage(results: Results, place: str, partner: str, only: set[int]) -> None:
    """Play the check of one place, with a Redis and servers of its own."""
    for number, name, _, play in chosen(place, only):
        async with Stage(free_port() if place == "access list" else 0) as stage:

            async def alone(play=play, stage=stage) -> None:
                async with new_case(stage) as case:
                    await play(case)

            await results.play(number, name, partner, alone)
            note_errors(results, stage, place)


def free_port() -> int:
    (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    with sock:
        return int(sock.getsockname()[1])


async def play_all(results: Results, only: set[int]) -> None:
    await play_cluster(results, only)
    at_a_time = asyncio.Semaphore(2)

    async def one(place: str, partner: str) -> None:
        async with at_a_time:
            await play_stage(results, place, partner, only)

    await asyncio.gather(*[one(place, partner) for place, partner in STAGES.items()])


async def play(only: set[int]) -> Results:
    """Play all checks; a signal ends the run early, with all its processes."""
    results = Results()
    playing = asyncio.ensure_future(play_all(results, only))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    problem = None
    try:
        await asyncio.wait_for(playing, RUN_SECONDS)
    except asyncio.CancelledError:
        problem = "it was interrupted"
    except asyncio.TimeoutError:
        problem = f"it did not end within {RUN_SECONDS:.0f} s"
    except Exception:
        problem = traceback.format_exc()
    if problem is not None:
        results.note(0, "the run comes to its end", "all", problem, 0.0)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=int, nargs="+", default=[], metavar="NUMBER", help="behaviours to play"
    )
    parser.add_argument("--reference", action="store_true", help="node servers stand in our place")
    parser.add_argument("--table", metavar="FILE", help="write the table there too")
    options = parser.parse_args()
    Stage.reference = options.reference
    results = asyncio.run(play(set(options.only)))
    print(f"\n{results.table()}\n")
    if options.table:
        Path(options.table).write_text(results.table() + "\n")
    print(f"{results.passed} passed, {results.failed} failed", flush=True)
    return 1 if results.failed or not results.passed else 0


__all__ = ["beside", "garbage", "outages", "pairs"]  # they are imported for their checks

if __name__ == "__main__":
    sys.exit(main())
