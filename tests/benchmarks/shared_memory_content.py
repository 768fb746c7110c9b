"""What is carried: rows of five int64 columns, bare or as a batch of the bus."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.client import new_message
from bellwire.wire.batch import encode_batch, open_batch

COLUMNS: Final = 5
TOPIC: Final = "columns"
SOURCE: Final = "bench/publisher"
ROWS_PER_MESSAGE_MAX: Final = 10_000  # 400 kB: the largest message of the bus has 512 KiB.
PRICE: Final = 1_085_000  # EURUSD in units of 10**-6.
Table = NDArray[np.int64]
Data = memoryview | bytes | bytearray
Decode = Callable[[Data], Table]


class Stamp(NamedTuple):
    """The first row of a table, read as a header."""

    sequence: int
    due_ns: int
    """When it ought to be sent; CLOCK_MONOTONIC, one clock for all processes."""
    parts_left: int
    """Tables of the same update that follow."""


def make_table(rows: int, seed: int = 7) -> Table:
    """Give time, bid, ask and two sizes: small steps and small numbers, as a feed has them."""
    random = np.random.default_rng(seed)
    bid = PRICE + np.cumsum(random.integers(-3, 4, rows))
    return np.stack(  # (columns, rows)
        [
            1_700_000_000_000_000_000 + np.cumsum(random.integers(1, 2_000_000, rows)),
            bid,
            bid + random.integers(1, 30, rows),
            random.integers(1, 500, rows) * 10_000,
            random.integers(1, 500, rows) * 10_000,
        ]
    ).astype("<i8")


def parts_of(table: Table, rows_max: int) -> list[Table]:
    """Cut a table into tables of at most `rows_max` rows, each in one piece of memory."""
    starts = range(0, table.shape[1], rows_max)
    return [np.ascontiguousarray(table[:, start : start + rows_max]) for start in starts]


def stamp(parts: list[Table], sequence: int, due_ns: int) -> None:
    """Write the header of an update into the first row of each of its parts."""
    for index, part in enumerate(parts):
        part[:3, 0] = sequence, due_ns, len(parts) - 1 - index


def read_stamp(columns: Sequence[NDArray[np.int64]] | Table) -> Stamp:
    """Read the header, and touch the end of every column, as whoever uses them would."""
    sum(int(column[-1]) for column in columns)
    return Stamp(*(int(column[0]) for column in columns[:3]))


def decode_bare(data: Data) -> Table:
    """View the bytes as a table."""
    return np.frombuffer(data, "<i8").reshape(COLUMNS, -1)  # (columns, rows)


def encode_as_batch(table: Table) -> bytes:
    """Make a message of a table and a batch of the message, as the client does."""
    message = new_message(data=table.tobytes(), source=SOURCE)
    return encode_batch(TOPIC, 0, [message]).SerializeToString()


def decode_batch(data: Data) -> Table:
    """Verify and open a batch, and view its message as a table."""
    (message,) = open_batch(Batch.FromString(bytes(data)))
    return decode_bare(message.data)


def columns_module() -> Any:
    """Give the client's own columns where it has them; None = messages of bytes serve instead."""
    try:
        return importlib.import_module("bellwire.client.columns")
    except ModuleNotFoundError:
        return None
