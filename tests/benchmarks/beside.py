"""Latency in memory while another publisher keeps the same broker busy."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from tests.benchmarks.cells import ALONE
from tests.benchmarks.conductor import Measurement
from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.process import Reply, Worker, Workplace
from tests.benchmarks.scenario import Beside, Durations, Latency, Neighbourhood

# The neighbour begins this long before what is measured and ends as long after it.
MARGIN_SECONDS: Final = 0.5
IN_MEMORY: Final = "memory"
DURABLE: Final = "durable"

Start = Callable[[str, str, str], Awaitable[Worker]]


async def measure_beside(
    peer: str, scenario: Beside, durations: Durations, workplace: Workplace
) -> Reply:
    """Measure one broker alone and beside each neighbour, in the same processes one after another.

    Raises:
        MeasurementError: A process failed.
    """
    parts = dict(scenario.neighbourhoods)[peer]
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(workplace.worker("broker", peer))
        address = broker.about["address"]

        async def start(role: str, who: str, name: str = "") -> Worker:
            worker = workplace.worker(role, who, name=name, address=address)
            return await stack.enter_async_context(worker)

        subscriber = await start("subscriber", parts.paced)
        publisher = await start("publisher", parts.paced)
        neighbours = await _neighbours(parts, start)
        load = Latency(scenario.name, scenario.title, scenario.rate_per_second)
        data = workplace.directory / DATA_FOLDER
        measurement = Measurement(load, broker, publisher, subscriber, data)
        await measurement.phase(durations.warm_up_seconds)
        variants = {ALONE: await measurement.phase(durations.load_seconds)}
        for variant, neighbour in neighbours.items():
            variants[variant] = await _phase(measurement, neighbour, durations)
        return {"variants": variants}


async def _neighbours(parts: Neighbourhood, start: Start) -> dict[str, Worker]:
    return {
        IN_MEMORY: await start("publisher", parts.in_memory, "memory-neighbour"),
        DURABLE: await start("publisher", parts.durable, "durable-neighbour"),
    }


async def _phase(measurement: Measurement, neighbour: Worker, durations: Durations) -> Reply:
    seconds = durations.load_seconds + 2 * MARGIN_SECONDS
    flood = asyncio.create_task(neighbour.do("flood", first=0, seconds=seconds))
    await asyncio.sleep(MARGIN_SECONDS)
    try:
        result = await measurement.phase(durations.load_seconds)
    finally:
        flooded = await flood
    rate = flooded["sent"] / flooded["seconds"]
    return result | {"neighbour_messages_per_second": round(rate)}
