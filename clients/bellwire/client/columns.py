# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound that the publisher keeps by itself.
"""Columns over the bus: numpy arrays into a topic, and read-only numpy views out of a message.

Importing this needs no numpy; using it does (`bellwire[agents]`).
"""

from __future__ import annotations

from typing import Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.protocol import BusPublisher
from bellwire.client.received import ReceivedMessage
from bellwire.client.results import PublishedRange
from bellwire.trading.v1.column_pb2 import ColumnBatch
from bellwire.wire.columns import (
    Column,
    Columns,
    ColumnsError,
    decode_columns,
    encode_columns,
    from_floats,
    split_columns,
    to_floats,
)

__all__ = [
    "COLUMNS_TYPE",
    "Column",
    "Columns",
    "ColumnsTypeError",
    "columns_of",
    "from_floats",
    "publish_columns",
    "split_columns",
    "to_floats",
]

COLUMNS_TYPE: Final = ColumnBatch.DESCRIPTOR.full_name
_TYPE_CHARS_SHOWN: Final = 80


class ColumnsTypeError(ColumnsError):
    """The message carries something else than columns."""

    reason = "COLUMNS_TYPE"

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"message has the type {found[:_TYPE_CHARS_SHOWN]!r}, expected {COLUMNS_TYPE!r}: "
            "subscribe to a topic of columns, or look at message.type first",
            metadata={"found": found[:_TYPE_CHARS_SHOWN], "expected": COLUMNS_TYPE},
        )


async def publish_columns(
    publisher: BusPublisher,
    topic: str,
    columns: Columns,
    *,
    rows_max: int | None = None,
    narrow: bool = False,
    key: str = "",
    subject: str = "",
    time_unix_nano: int | None = None,
    expire_time_unix_nano: int = 0,
    timeout: float | None = None,
) -> list[PublishedRange]:
    """Publish the rows, in order, in as few messages as hold them, and wait until all are acknowledged.

    Args:
        publisher: Whose messages they are.
        topic: Where to.
        columns: The rows; their arrays are copied before this first waits.
        rows_max: Rows in one message, at least 1; None = as many as the size limit of a message allows.
        narrow: Write columns of near values in fewer bytes; the reader widens them instead of looking
            in place. More rows a second where the line, or its compression, is the limit.
        key: Of all messages, usually the instrument; they keep their order. Empty = no order asked.
        subject: Of all messages, usually the instrument.
        time_unix_nano: Event time of all messages; None = now.
        expire_time_unix_nano: Of all messages; 0 = never.
        timeout: Seconds without any progress; None = `ClientSettings.timeout_seconds`.

    Returns and raises what `Publisher.publish_payloads` does.
    """
    parts = split_columns(columns, rows_max=rows_max)
    payloads = [encode_columns(part, narrow=narrow) for part in parts]
    return await publisher.publish_payloads(
        topic,
        payloads,
        key=key,
        type=COLUMNS_TYPE,
        subject=subject,
        time_unix_nano=time_unix_nano,
        expire_time_unix_nano=expire_time_unix_nano,
        timeout=timeout,
    )


def columns_of(message: ReceivedMessage | Message) -> Columns:
    """Return the columns of a message; their arrays are read-only, views into its payload unless it is narrow.

    Raises:
        ColumnsTypeError: The message carries something else.
        ColumnsError: It says that it carries columns, and does not; the class says what is wrong.
    """
    if message.type != COLUMNS_TYPE:
        raise ColumnsTypeError(message.type)
    return decode_columns(message.data)
