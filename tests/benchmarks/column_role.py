"""The publisher of a column scenario."""

import time
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.column_stream import ColumnMaker
from tests.benchmarks.peers import PeerPublisher

NANOSECONDS_PER_SECOND: Final = 1_000_000_000


class ColumnPublisherRole:
    """Publishes columns as fast as the system takes them."""

    def __init__(self, publisher: PeerPublisher, rows_per_message: int, narrow: bool) -> None:
        self._publisher = publisher
        self._maker = ColumnMaker(rows_per_message, narrow=narrow)

    async def do(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run `flood`."""
        if command == "flood":
            return await self._flood(**arguments)
        raise ValueError(f"a publisher of columns cannot {command!r}")

    async def _flood(self, *, first: int, seconds: float) -> dict[str, Any]:
        maker, count = self._maker, self._maker.messages_per_call
        start_ns = time.monotonic_ns()
        end_ns = start_ns + round(seconds * NANOSECONDS_PER_SECOND)
        sent = 0
        while time.monotonic_ns() < end_ns:
            await self._publisher.send_many(maker.make_many(first + sent, count))
            sent += count
        await self._publisher.flush()
        took_ns = time.monotonic_ns() - start_ns
        return {"sent": sent, "start_ns": start_ns, "seconds": took_ns / NANOSECONDS_PER_SECOND}
