"""Put millions of messages through one durable topic: `python tests/crash/big_log.py --messages 10000000`.

Prints the coordinator's memory, the rates, and how long a start takes after `kill -9`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Run as a script, this folder would be first on the path and hide the package `tests.crash`.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.crash.patience import PATIENT
from tests.crash.processes import CoordinatorProcess, free_port

from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED
from bellwire.client import EARLIEST, Client, ClientSettings, connect
from bellwire.client.settings import PublishSettings

TOPIC: Final = "orders"
PARTITIONS: Final = 4
PAYLOAD_BYTES: Final = 100
CHUNK_MESSAGES: Final = 20_000  # Handed over at once: what the client's buffer holds.
STANDSTILL_SECONDS: Final = 60.0
MIB: Final = 1 << 20
NUMBER_BYTES: Final = 8
FILLER_BYTES: Final = PAYLOAD_BYTES - NUMBER_BYTES


@dataclass(slots=True)
class Figures:
    """What was measured.

    Attributes:
        rss_bytes_max: Peak of the first coordinator (VmHWM).
        rss_bytes_end: Its memory when everything was read.
        rss_bytes_after_restart: Of the second one, once it answered.
        start_seconds: From the start of the process until it listened, after kill -9.
        recovery_millis: Of that, what opening the store took, as the coordinator says.
        answer_seconds: From the start of the process until it answered a request.
    """

    messages: int = 0
    received: int = 0
    out_of_order: int = 0
    publish_seconds: float = 0.0
    read_seconds: float = 0.0
    disk_bytes: int = 0
    rss_bytes_max: int = 0
    rss_bytes_end: int = 0
    rss_bytes_after_restart: int = 0
    start_seconds: float = 0.0
    recovery_millis: int = 0
    answer_seconds: float = 0.0
    recovered: int = 0

    def text(self) -> str:
        """Return all of it in one line."""
        return (
            f"{self.messages:,} messages of {PAYLOAD_BYTES} B published in {self.publish_seconds:.1f} s "
            f"({self.messages / self.publish_seconds:,.0f}/s, persisted), {self.received:,} read in "
            f"{self.read_seconds:.1f} s, {self.out_of_order} out of order; "
            f"{self.disk_bytes / MIB:,.0f} MiB on disk; coordinator RSS peak "
            f"{self.rss_bytes_max / MIB:.0f} MiB, end {self.rss_bytes_end / MIB:.0f} MiB; after kill -9 it "
            f"listened {self.start_seconds:.2f} s after its start (recovery {self.recovery_millis} ms, "
            f"{self.recovered:,} messages), answered after {self.answer_seconds:.2f} s, "
            f"RSS {self.rss_bytes_after_restart / MIB:.0f} MiB"
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What goes through the log.

    Attributes:
        late: The reader begins when everything is published: all of it comes from the disk.
    """

    messages: int
    batch_messages: int = 1_000
    late: bool = False


async def measure(load: Load, folder: Path) -> Figures:
    """Fill a log, read it, kill the coordinator and start it again."""
    figures = Figures(load.messages)
    address = f"127.0.0.1:{free_port()}"
    data = ("--data", str(folder / "data"))
    coordinator = await CoordinatorProcess.serve(address, folder, *data)
    try:
        await coordinator.ready()
        await _fill_and_read(address, load, figures)
        figures.rss_bytes_end, figures.rss_bytes_max = coordinator.memory_bytes()
    finally:
        await coordinator.killed()
    figures.disk_bytes = sum(file.stat().st_size for file in (folder / "data").iterdir())
    await _start_again(address, folder, data, figures)
    return figures


async def _fill_and_read(address: str, load: Load, figures: Figures) -> None:
    settings = ClientSettings(publish=PublishSettings(batch_messages_max=load.batch_messages))
    async with connect(address, settings) as publishing, connect(address, PATIENT) as reading:
        topic = Topic(name=TOPIC, partition_count=PARTITIONS, log=LogKind.LOG_KIND_SQLITE)
        await publishing.admin.create_topic(topic)
        began = time.monotonic()
        if load.late:
            await _publish(publishing, figures, began)
            await _read(reading, figures, time.monotonic())
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish(publishing, figures, began))
            tasks.create_task(_read(reading, figures, began))


async def _publish(client: Client, figures: Figures, began: float) -> None:
    publisher = client.publisher("crash/big-log", ack_level=ACK_LEVEL_PERSISTED)
    draw = random.Random(1)
    for first in range(0, figures.messages, CHUNK_MESSAGES):
        numbers = range(first, min(first + CHUNK_MESSAGES, figures.messages))
        # Random: what compresses to nothing would be no test of the disk.
        filler = draw.randbytes(FILLER_BYTES * len(numbers))
        payloads = [
            number.to_bytes(NUMBER_BYTES, "big") + filler[start : start + FILLER_BYTES]
            for number, start in zip(numbers, range(0, len(filler), FILLER_BYTES), strict=True)
        ]
        # A key of its own for each chunk would leave partitions empty: these go round all four.
        key = f"key-{first // CHUNK_MESSAGES % (4 * PARTITIONS)}"
        await publisher.publish_payloads(TOPIC, payloads, key=key, timeout=STANDSTILL_SECONDS)
    figures.publish_seconds = time.monotonic() - began


async def _read(client: Client, figures: Figures, began: float) -> None:
    latest = dict.fromkeys(range(PARTITIONS), -1)
    async with client.subscribe(TOPIC, subscription="ledger", start=EARLIEST) as opened:
        async for batch in opened.batches():
            numbers = [
                int.from_bytes(message.data[:NUMBER_BYTES], "big") for message in batch.messages
            ]
            ordered = [latest[batch.partition], *numbers]
            figures.out_of_order += sum(b <= a for a, b in zip(ordered, numbers, strict=False))
            latest[batch.partition] = numbers[-1]
            figures.received += len(numbers)
            if figures.received >= figures.messages:
                break
    figures.read_seconds = time.monotonic() - began


async def _start_again(address: str, folder: Path, data: tuple[str, ...], figures: Figures) -> None:
    coordinator = await CoordinatorProcess.serve(address, folder, *data)
    try:
        ready = await coordinator.ready()
        figures.start_seconds = ready.start_seconds
        figures.recovery_millis = ready.recovery["duration_millis"]
        async with connect(address) as client:
            stats = await client.admin.topic_stats(TOPIC)
        figures.answer_seconds = (time.monotonic_ns() - coordinator.started_ns) / 1e9
        figures.recovered = sum(found.next_offset for found in stats.partitions)
        figures.rss_bytes_after_restart, _ = coordinator.memory_bytes()
    finally:
        await coordinator.killed()


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="big_log", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the data go, instead of the system's")
    parser.add_argument("--batch", type=int, default=1_000, help="messages in a batch, at most")
    parser.add_argument("--late", action="store_true", help="read when everything is published")
    options = parser.parse_args(arguments)
    load = Load(options.messages, options.batch, options.late)
    with tempfile.TemporaryDirectory(prefix="bellwire-big-log-", dir=options.folder) as folder:
        figures = asyncio.run(measure(load, Path(folder)))
    print(figures.text())
    complete = figures.received == figures.messages == figures.recovered
    return 0 if complete and not figures.out_of_order else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
