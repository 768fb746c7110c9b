"""What the analytic store costs as the cache's third level: `python tests/benchmarks/cache_store.py`.

The store is asked directly, without a coordinator before it. Its messages are those of a sink that wrote files of 500
rows and compacted them: one file for each day that is over, up to 31 of a level today. Times hold for the machine they
were taken on and compare with each other.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.source import KeptAnswer
from bellwire.sink import ParquetWriter, SinkSettings
from bellwire.sink.cache_store import CacheStore
from bellwire.sink.columns import day_of, rows_of
from bellwire.sink.folder import StoreFolder
from bellwire.sink.upkeep import run_upkeep

LOG = 7
KEYS = 2_000
FILE_ROWS = 500
DAY_NS = 86_400 * 1_000_000_000
MILLIS = 1e3
HOUR_NS = 3_600 * 1_000_000_000
MARK = "mark"
PAYLOAD = b"\x0a\x1d" + b'{"volatility":0.001234567890}'


def key_of(question: object) -> CacheKey:
    """What an answer is found by."""
    return CacheKey("volatility", "v1", str(question))


def fill(root: Path, days: int, rows_a_day: int) -> None:
    """Store messages of so many days, of `KEYS` keys in turn."""
    writer = ParquetWriter(StoreFolder(root), SinkSettings())
    now = time.time_ns()
    offset = 0
    for day in range(days - 1, -1, -1):
        for _ in range(rows_a_day // FILE_ROWS):
            messages = [
                Message(id=str(n), source="bench", key=f"S{n * 7 % KEYS}", data=bytes(200))
                for n in range(offset, offset + FILE_ROWS)
            ]
            admitted = now - day * DAY_NS
            batch = Batch(
                messages, "bars", 0, offset, _Nobody(), admitted_time_unix_nano=admitted, log_id=LOG
            )
            rows = rows_of(batch, admitted + offset)
            writer.write(day_of(rows[0]), rows)
            offset += FILE_ROWS
        run_upkeep(StoreFolder(root), SinkSettings(), datetime.now(UTC).date())
    writer.close()


class _Nobody:
    def settle(self, *_: Any) -> None:
        raise AssertionError("nothing is settled here")


async def timed(ask: Callable[[int], Awaitable[Any]], count: int) -> str:
    """Return percentiles of `count` questions, one after the other."""
    taken = []
    for n in range(count):
        began = time.perf_counter()
        await ask(n)
        taken.append((time.perf_counter() - began) * MILLIS)
    taken.sort()
    p50, p95, p99 = (taken[min(len(taken) - 1, int(len(taken) * q))] for q in (0.5, 0.95, 0.99))
    return f"p50 {p50:8.2f} ms  p95 {p95:8.2f} ms  p99 {p99:8.2f} ms"


async def measure(root: Path, answers: int, count: int) -> None:
    """Print what each kind of question costs."""
    store = CacheStore(root, seconds_max=60, answer_seconds=86_400)
    await store.open()
    now = time.time_ns()
    batches = [range(first, first + FILE_ROWS) for first in range(0, answers, FILE_ROWS)]

    async def keep(n: int) -> None:
        await store.keep(
            [
                KeptAnswer(key_of(m), MARK, ("bars.1h",), now, now + HOUR_NS, PAYLOAD)
                for m in batches[n]
            ]
        )

    print(f"{FILE_ROWS} answers kept        {await timed(keep, len(batches))}")
    hits = [await store.find(key_of(n), MARK) for n in range(0, answers, answers // 10)]
    assert all(hit is not None for hit in hits)

    async def last(*keys: str) -> None:
        await store.last_messages("bars", keys, [LOG], any_log=False)

    kinds: dict[str, Callable[[int], Awaitable[Any]]] = {
        "answer found": lambda n: store.find(key_of(n * 37 % answers), MARK),
        "answer not there": lambda n: store.find(key_of(f"none {n}"), MARK),
        "last message of a key": lambda n: last(f"S{n * 37 % KEYS}"),
        "of a hundred keys": lambda n: last(*(f"S{(n * 37 + m) % KEYS}" for m in range(100))),
        "of a key not there": lambda n: last(f"none {n}"),
        "how far it has come": lambda n: store.covered("bars", [LOG]),
    }
    for name, ask in kinds.items():
        print(f"{name:<23} {await timed(ask, count)}")
    await store.close()


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rows", type=int, default=10_000, help="messages a day")
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bellwire-bench-") as folder:
        fill(Path(folder), options.days, options.rows)
        asyncio.run(measure(Path(folder), options.answers, options.count))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
