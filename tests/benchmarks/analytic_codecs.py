"""What each codec costs the analytic store: `python -m tests.benchmarks.analytic_codecs RECORDING [REPEATS]`.

RECORDING is what `tests.benchmarks.studies.record_demo` writes. Its messages, so often, are written as the sink
writes them (500 rows a file), then sealed into one file; each codec by itself, the machine otherwise as it is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.benchmarks.studies.record_demo import read_messages

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.sink import ParquetWriter, QuerySettings, SinkSettings, ask
from bellwire.sink.columns import Row, day_of, rows_of
from bellwire.sink.folder import StoreFolder
from bellwire.sink.settings import CODECS
from bellwire.sink.upkeep import run_upkeep
from bellwire.wire.message import uuid7

QUESTION: Final = (
    "SELECT symbol, side, count(*), sum(last_qty * last_px) FROM executions.paper GROUP BY ALL"
)
ASKED_TIMES: Final = 5
KIB: Final = 1024


class _Nobody:
    def settle(self, *_arguments: Any) -> None:
        raise AssertionError("nothing is settled here")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one codec: times in ms, sizes in bytes."""

    codec: str
    write_ms_p50: float
    written_bytes: int
    seal_ms: float
    sealed_bytes: int
    ask_ms_p50: float


def rows_from(messages: Sequence[tuple[str, Message]], repeats: int) -> Sequence[Row]:
    """Make rows of a recording, repeated under new ids."""
    now_ns = time.time_ns()
    rows: list[Row] = []
    for _ in range(repeats):
        for topic, recorded in messages:
            message = Message()
            message.CopyFrom(recorded)
            message.id = uuid7()
            offset = len(rows)
            batch = Batch([message], topic, 0, offset, _Nobody(), admitted_time_unix_nano=now_ns)
            rows.extend(rows_of(batch, now_ns + offset))
    return rows


def measure(codec: str, rows: Sequence[Row]) -> Cost:
    """Write, seal and ask with one codec."""
    settings = replace(SinkSettings(), codec=codec, codec_old=codec)
    with tempfile.TemporaryDirectory(prefix="codecs-") as root:
        folder = StoreFolder(Path(root) / "store")
        writer = ParquetWriter(folder, settings)
        times = []
        for first in range(0, len(rows), settings.batch_rows):
            part = rows[first : first + settings.batch_rows]
            began = time.perf_counter()
            writer.write(day_of(part[0]), part)
            times.append(time.perf_counter() - began)
        written = sum(file.path.stat().st_size for file in folder.files())
        began = time.perf_counter()
        report = run_upkeep(folder, settings, date.today() + timedelta(days=9))
        seal = time.perf_counter() - began
        asked = []
        for _ in range(ASKED_TIMES):
            began = time.perf_counter()
            ask(folder.root, QUESTION, QuerySettings())
            asked.append(time.perf_counter() - began)
        writer.close()
        return Cost(
            codec,
            median(times) * 1e3,
            written,
            seal * 1e3,
            report.bytes_after,
            median(asked) * 1e3,
        )


def main() -> None:
    """Print a row for each codec."""
    messages = read_messages(Path(sys.argv[1]))
    rows = rows_from(messages, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    size = (
        sum(len(message.SerializeToString()) for _, message in messages)
        * len(rows)
        // len(messages)
    )
    print(f"{len(rows):,} messages, {size / KIB:,.0f} KiB as protobuf")
    print("codec    write 500, p50   written     seal    sealed  question, p50")
    for codec in CODECS:
        cost = measure(codec, rows)
        print(
            f"{cost.codec:8} {cost.write_ms_p50:11.1f} ms {cost.written_bytes / KIB:7,.0f} KiB "
            f"{cost.seal_ms:6,.0f} ms {cost.sealed_bytes / KIB:7,.0f} KiB {cost.ask_ms_p50:9.1f} ms"
        )


if __name__ == "__main__":
    main()
