"""The 200 bytes every peer carries: a header to measure by, and real market data as the body."""

import gzip
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

PAYLOAD_BYTES: Final = 200  # A signal or an order with its ids is about this long.
HEADER: Final = Struct("<QQQ")
BODY_BYTES: Final = PAYLOAD_BYTES - HEADER.size
# Enough different bodies that no compressor sees one twice within a batch of 1,000.
BODIES: Final = 1_500
BARS: Final = Path(__file__).parents[2] / "agents/bellwire/agents/data/eurusd_1h.csv.gz"


class Stamp(NamedTuple):
    """Header of a payload; times are CLOCK_MONOTONIC nanoseconds, one clock for all processes."""

    sequence: int
    intended_ns: int
    began_ns: int


def read_bodies(path: Path = BARS, count: int = BODIES) -> list[bytes]:
    """Cut the committed EURUSD bars into `count` consecutive pieces of BODY_BYTES.

    Real text neither flatters a compressing bus as zeros would, nor hides what it costs as random
    bytes would.
    """
    text = gzip.decompress(path.read_bytes())
    text = text[text.index(b"\n") + 1 :]
    if len(text) < count * BODY_BYTES:
        raise ValueError(f"{path.name} holds {len(text)} bytes, {count * BODY_BYTES} are needed")
    return [text[start : start + BODY_BYTES] for start in range(0, count * BODY_BYTES, BODY_BYTES)]


class PayloadMaker:
    """Builds payloads; the cost is the same for every peer and part of what is measured."""

    def __init__(self) -> None:
        self._bodies = read_bodies()

    def make(self, sequence: int, intended_ns: int, began_ns: int) -> bytes:
        """Give the payload of one message."""
        body = self._bodies[sequence % BODIES]
        return HEADER.pack(sequence, intended_ns, began_ns) + body

    def make_many(self, first: int, count: int, now_ns: int) -> list[bytes]:
        """Give `count` payloads numbered from `first`, all stamped with one time."""
        pack, bodies = HEADER.pack, self._bodies
        return [
            pack(sequence, now_ns, now_ns) + bodies[sequence % BODIES]
            for sequence in range(first, first + count)
        ]


def read_stamp(payload: bytes) -> Stamp:
    """Read the header of a payload."""
    return Stamp(*HEADER.unpack_from(payload))
