"""Compare the frame parser of socket_io.py with that of the package websockets, stream by stream.

    frames.py [--frames N] [--seed N] [--only N]

Both parsers read the same stream of a client's frames, valid or mutated; ours reads it whole, in random pieces and byte
by byte. Both must return the same messages and control frames, and end with the same close code. DIFFERENCES holds the
reasons why they may differ; the number of streams is printed for each reason.
"""

from __future__ import annotations

import argparse
import collections
import logging
import random
import sys
from collections.abc import Iterable
from pathlib import Path

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from wire import frame, masked

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from socket_io import NOT_UTF8, PROTOCOL_ERROR, TOO_BIG, Control, FrameError, FrameParser

MAX_BYTES = 700
FRAMES_AT_MOST = 12  # in one stream

#: The differences that are allowed, and their reasons. `explain` returns the keys.
DIFFERENCES = {
    "length form": "RFC 6455 5.2: a length must be in its shortest form, that of a control frame in seven bits;"
    " websockets takes any",
    "close in a message": "RFC 6455 5.4: control frames may come between fragments; websockets calls a close"
    " there a protocol error, we take it for the end that the client wants",
    "control frame when full": "a control frame is no part of a message; websockets counts it against what a"
    " fragmented message may still have",
    "two faults": "a frame that breaks the protocol and is too big, or a close with a bad code and a bad reason: we"
    " name the fault that stands first in the bytes, and believe a length only of a valid frame",
}

# A parser's findings are ("message", text or bytes), ("control", opcode, code, data) and ("fault", code).


def ours(pieces: Iterable[bytes]) -> tuple[list[object], str]:
    """Return the findings of our parser up to a close frame or a fault, and its reason for the fault."""
    parser = FrameParser(MAX_BYTES)
    found: list[object] = []
    try:
        for piece in pieces:
            for message in parser.feed(piece):
                if isinstance(message, Control):
                    found.append(("control", message.opcode, message.code, message.data))
                    if message.opcode == Opcode.CLOSE:
                        return found, ""
                else:
                    found.append(("message", message))
    except FrameError as error:
        found.append(("fault", error.code))
        return found, error.reason
    return found, ""


class Reference:
    """The other parser; it returns frames, which are joined to messages here."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol(state=State.OPEN, max_size=MAX_BYTES)
        self.found: list[object] = []
        self.parts: list[bytes] = []
        self.opcode = Opcode.CONT
        self.words = ""
        self.ended = False

    def feed(self, data: bytes) -> None:
        if self.ended:
            return
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            assert isinstance(event, Frame)
            self._take(event)
            if self.ended:
                return
        error = self.protocol.parser_exc
        if error is not None:
            assert self.protocol.close_sent is not None
            self._fault(self.protocol.close_sent.code, str(error))

    def _take(self, event: Frame) -> None:
        data = bytes(event.data)
        if event.opcode is Opcode.CLOSE:
            close = self.protocol.close_rcvd
            assert close is not None
            self.found.append(("control", Opcode.CLOSE, close.code, data[2:]))
            self.ended = True
        elif event.opcode in (Opcode.PING, Opcode.PONG):
            self.found.append(("control", event.opcode, 1005, data))
        else:
            self.opcode = event.opcode or self.opcode
            self.parts.append(data)
            if event.fin:
                self._message(b"".join(self.parts))

    def _message(self, data: bytes) -> None:
        self.parts = []
        try:
            self.found.append(("message", data.decode() if self.opcode is Opcode.TEXT else data))
        except UnicodeDecodeError:
            self._fault(NOT_UTF8, "not UTF-8")

    def _fault(self, code: int, words: str) -> None:
        self.found.append(("fault", code))
        self.words = words
        self.ended = True


def explain(we: list[object], our_words: str, they: Reference) -> str:
    """Return the key in DIFFERENCES that explains the first difference, or "" if none does."""
    alike = 0
    while alike < min(len(we), len(they.found)) and we[alike] == they.found[alike]:
        alike += 1
    mine = we[alike] if alike < len(we) else None
    theirs = they.found[alike] if alike < len(they.found) else None
    if (
        they.words == "incomplete fragmented message"
        and mine is not None
        and mine[:2] == ("control", Opcode.CLOSE)
    ):
        return "close in a message"
    if theirs == ("fault", TOO_BIG) and mine == ("fault", PROTOCOL_ERROR):
        return "two faults"
    if (
        theirs == ("fault", NOT_UTF8)
        and mine == ("fault", PROTOCOL_ERROR)
        and our_words == "bad close code"
    ):
        return "two faults"
    if our_words in ("length not in its shortest form", "bad control frame") and mine == (
        "fault",
        PROTOCOL_ERROR,
    ):
        return "length form"
    if (
        theirs == ("fault", TOO_BIG)
        and they.protocol.current_size
        and (mine is None or mine[0] != "message")
    ):
        return "control frame when full"
    return ""


# -- Streams ---------------------------------------------------------------------------


def some_text(rng: random.Random) -> bytes:
    text = rng.choice(
        [
            "",
            "2",
            "3",
            '42["x",1]',
            "é€😀",
            "x" * 125,
            "x" * 126,
            "x" * MAX_BYTES,
            "x" * (MAX_BYTES + 1),
        ]
    )
    data = text.encode()
    if rng.random() < 0.1 and data:
        at = rng.randrange(len(data))
        data = (
            data[:at]
            + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
            + data[at:]
        )
    return data


def some_close(rng: random.Random) -> bytes:
    code = rng.choice(
        [
            0,
            999,
            1000,
            1001,
            1003,
            1004,
            1005,
            1006,
            1007,
            1011,
            1014,
            1015,
            2999,
            3000,
            4999,
            5000,
            65535,
        ]
    )
    return rng.choice(
        [b"", b"\x03", code.to_bytes(2, "big"), code.to_bytes(2, "big") + some_text(rng)[:123]]
    )


def some_frames(rng: random.Random) -> list[bytes]:
    """Make one message, whole or in fragments with control frames between them; or a control frame."""
    kind, mask = rng.randrange(10), rng.randbytes(4)
    if kind == 0:
        return [
            frame(rng.randbytes(rng.choice([0, 1, 5, 125, 126])), rng.choice([9, 10]), mask=mask)
        ]
    if kind == 1 and rng.random() < 0.3:
        return [frame(some_close(rng), 8, mask=mask)]
    opcode, data = rng.choice(
        [(1, some_text(rng)), (1, some_text(rng)), (2, rng.randbytes(rng.choice([0, 3, 300])))]
    )
    if kind > 3:
        return [frame(data, opcode, mask=mask)]
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice([1, 2, 5])))
    parts = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    frames = [frame(part, 0 if at else opcode, first=0, mask=mask) for at, part in enumerate(parts)]
    frames[-1] = bytes([frames[-1][0] | 0x80]) + frames[-1][1:]
    if rng.random() < 0.3:
        frames.insert(rng.randint(1, len(frames)), frame(rng.randbytes(4), 9, mask=mask))
    return frames


def wrong(rng: random.Random, data: bytes) -> bytes:
    """Turn the frame *data* into bytes that no client should send."""
    kind, mask = rng.randrange(8), data[2:6]
    if kind == 0:
        return bytes([data[0] ^ 1 << rng.randrange(8)]) + data[1:]
    if kind == 1:
        return data[:1] + bytes([data[1] ^ 1 << rng.randrange(8)]) + data[2:]
    if kind == 2:
        return data[: rng.randint(0, len(data))]
    if kind == 3:
        at = rng.randint(0, len(data))
        return data[:at] + rng.randbytes(rng.choice([1, 2, 7])) + data[at:]
    if kind == 4:  # a length in a longer form than needed, or far too large
        length = rng.choice(
            [0, 5, 125, 126, 300, MAX_BYTES + 1, 65535, 65536, 1 << 40, 1 << 63, (1 << 64) - 1]
        )
        payload = masked(rng.randbytes(min(length, 300)), mask.ljust(4, b"\0"))
        if length < 65536 and rng.random() < 0.5:
            return data[:1] + b"\xfe" + length.to_bytes(2, "big") + mask.ljust(4, b"\0") + payload
        return data[:1] + b"\xff" + length.to_bytes(8, "big") + mask.ljust(4, b"\0") + payload
    if kind == 5:
        return frame(
            some_text(rng)[:200],
            rng.randrange(16),
            first=0x10 * rng.randrange(16),
            mask=rng.randbytes(4),
        )
    if kind == 6:
        return b""
    return data + data


def some_stream(rng: random.Random) -> tuple[bytes, int]:
    """Make a stream; return it and the number of its frames."""
    frames: list[bytes] = []
    while len(frames) < rng.randint(1, FRAMES_AT_MOST):
        frames += some_frames(rng)
    if rng.random() < 0.6:
        for at in rng.sample(range(len(frames)), k=min(rng.choice([1, 1, 3]), len(frames))):
            frames[at] = wrong(rng, frames[at])
    return b"".join(frames), len(frames)


def pieces(rng: random.Random, data: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(data):
        size = rng.choice([1, 1, 2, 3, 7, 60, 400])
        yield data[at : at + size]
        at += size


# -- Comparing -------------------------------------------------------------------------


def compare(seed: int, number: int, known: collections.Counter[str]) -> tuple[int, str]:
    """Return the number of frames that were compared, and a description of what is wrong, or ""."""
    rng = random.Random(f"{seed}/{number}")
    stream, frames = some_stream(rng)
    whole, words = ours([stream])
    for name, cut in (
        ("in pieces", pieces(rng, stream)),
        ("byte by byte", (stream[at : at + 1] for at in range(len(stream)))),
    ):
        other, _ = ours(cut)
        if other != whole:
            return frames, f"whole {whole!r}\n{name} {other!r}"
    reference = Reference()
    reference.feed(stream)
    if whole and whole[-1][0] == "fault" and not reference.ended:
        # Our parser refuses a frame by its header, the other one wants to see all of the frame first.
        reference.feed(bytes(MAX_BYTES + 1 + 14))
    elif reference.words and len(whole) < len(reference.found):
        # The other parser refuses a frame by its length, ours when the mask has come as well.
        whole, words = ours([stream, bytes(4)])
    if whole == reference.found:
        return frames, ""
    reason = explain(whole, words, reference)
    if reason:
        known[reason] += 1
        return frames, ""
    return frames, f"we   {whole!r} {words}\nthey {reference.found!r} {reference.words}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    logging.disable()
    known: collections.Counter[str] = collections.Counter()
    frames = streams = failed = 0
    number = 0 if options.only is None else options.only
    while frames < options.frames and failed < 10:
        compared, problem = compare(options.seed, number, known)
        if problem:
            failed += 1
            print(f"FAILED stream {number}\n{problem}")
            print(f"  again: python {sys.argv[0]} --seed {options.seed} --only {number}")
        frames, streams, number = frames + compared, streams + 1, number + 1
        if options.only is not None:
            break
    for reason, count in known.most_common():
        print(f"{count:7} streams differ, {reason}: {DIFFERENCES[reason]}")
    print(f"{frames} frames in {streams} streams, each read in three ways: {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
