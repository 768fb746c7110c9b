"""Latency and loss under an open-loop load that rises from level to level."""

from contextlib import AsyncExitStack
from dataclasses import replace

from tests.benchmarks.conductor import Measurement
from tests.benchmarks.peers.peer import DATA_FOLDER
from tests.benchmarks.process import Reply, Worker, Workplace
from tests.benchmarks.scenario import Durations, Latency, Levels


async def measure_levels(
    peer: str, scenario: Levels, durations: Durations, workplace: Workplace
) -> Reply:
    """Measure every level in the same three processes, from the lowest up.

    The next level begins when everything of the one before has arrived or is lost, so a level that
    saturates the system leaves no backlog to the next one.

    Raises:
        MeasurementError: A process failed.
    """
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(workplace.worker("broker", peer))
        address = broker.about["address"]

        async def start(role: str) -> Worker:
            return await stack.enter_async_context(workplace.worker(role, peer, address=address))

        subscriber, publisher = await start("subscriber"), await start("publisher")
        load = Latency(scenario.name, scenario.title, scenario.rates_per_second[0])
        data = workplace.directory / DATA_FOLDER
        measurement = Measurement(load, broker, publisher, subscriber, data)
        await measurement.phase(durations.warm_up_seconds)
        variants = {}
        for rate in scenario.rates_per_second:
            measurement.load = replace(load, rate_per_second=rate)
            variants[str(rate)] = await measurement.phase(durations.load_seconds)
        return {"variants": variants}
