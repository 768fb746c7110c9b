"""One process of the comparison: `python -m tests.benchmarks.shared_memory_worker '{"role": …}'`.

Commands are JSON lines on standard input, answers on standard output; it ends with its input.
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

import uvloop
from tests.benchmarks.shared_memory_carriers import CARRIERS, TABLES_IN_TURN, Send
from tests.benchmarks.shared_memory_content import make_table, parts_of, read_stamp, stamp
from tests.benchmarks.timerfd import KernelTimer

QUIET_SECONDS: Final = 2.0  # Silence after which what is missing counts as lost.
LEAD_NS: Final = 10_000_000
NANOS: Final = 1_000_000_000


class Subscriber:
    """Counts updates, and times the last part of each."""

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        self.updates = 0
        self.last_ns = 0
        self.arrived = asyncio.Event()

    def take(self, columns: Any) -> None:
        """Take one table."""
        found = read_stamp(columns)
        if found.parts_left:
            return
        self.last_ns = time.monotonic_ns()
        self.latencies_ns.append(self.last_ns - found.due_ns)
        self.updates += 1
        self.arrived.set()

    async def finish(self, expected: int) -> dict[str, Any]:
        """Wait until everything has come, or nothing more does; give and forget the figures."""
        while self.updates < expected:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), QUIET_SECONDS)
            except TimeoutError:
                break
        reply = {"updates": self.updates, "last_ns": self.last_ns, "ns": sorted(self.latencies_ns)}
        self.latencies_ns, self.updates = [], 0
        return reply


async def publish(
    send: Send, rows: int, rows_max: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    """Send updates for some seconds: at a rate by a fixed schedule, or as fast as they are taken."""
    ring = [parts_of(make_table(rows, seed), rows_max) for seed in range(TABLES_IN_TURN)]
    start_ns = time.monotonic_ns() + LEAD_NS
    end_ns, sequence = start_ns + round(seconds * NANOS), 0
    with KernelTimer() as timer:
        while True:
            due_ns = start_ns + round(sequence * NANOS / rate) if rate else time.monotonic_ns()
            if due_ns >= end_ns:
                break
            if rate:
                await timer.wait_until(due_ns)
            parts = ring[sequence % len(ring)]
            stamp(parts, sequence, due_ns)
            await send(parts)
            sequence += 1
            if not rate:
                await asyncio.sleep(0)
    return {"sent": sequence, "start_ns": start_ns}


async def run_worker(role: str, carrier: str, address: str) -> None:
    """Connect, say so, and answer until the input ends."""
    way = CARRIERS[carrier]
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    if role == "subscriber":
        subscriber = Subscriber()
        async with way.subscriber(address, subscriber.take):
            _say({"ready": True})
            while line := await reader.readline():
                _say(await subscriber.finish(**json.loads(line)))
    else:
        async with way.publisher(address) as send:
            _say({"ready": True})
            while line := await reader.readline():
                _say(await publish(send, rows_max=way.rows_max, **json.loads(line)))


def _say(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run_worker(**json.loads(sys.argv[1])))
