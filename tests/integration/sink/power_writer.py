"""Writes to an analytic store and says what is durable: `python -m tests.integration.sink.power_writer STORE FIRST`.

A line for each file of rows whose write has returned: the number of the last row. In between it compacts.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.sink import ParquetWriter, SinkSettings
from bellwire.sink.columns import day_of, rows_of
from bellwire.sink.folder import StoreFolder
from bellwire.sink.upkeep import run_upkeep

ROWS: Final = 20
UPKEEP_EVERY: Final = 3
ADMITTED_NS: Final = 1_795_262_400_000_000_000  # 2026-11-21 12:00 UTC


class _Nobody:
    def settle(self, *_arguments: Any) -> None:
        raise AssertionError("nothing is settled here")


def main() -> None:
    """Write until we are killed."""
    folder = StoreFolder(Path(sys.argv[1]))
    settings = replace(SinkSettings(), compact_files=2)
    writer = ParquetWriter(folder, settings)
    for number in count():
        first = int(sys.argv[2]) + number * ROWS
        messages = [Message(id=str(first + index), data=b"x" * 300) for index in range(ROWS)]
        batch = Batch(messages, "t", 0, first, _Nobody(), admitted_time_unix_nano=ADMITTED_NS)
        rows = rows_of(batch, time.time_ns())
        writer.write(day_of(rows[0]), rows)
        sys.stdout.write(f"{first + ROWS - 1}\n")
        sys.stdout.flush()
        if number % UPKEEP_EVERY == 0:
            run_upkeep(folder, settings, date(2026, 11, 21))


if __name__ == "__main__":
    main()
