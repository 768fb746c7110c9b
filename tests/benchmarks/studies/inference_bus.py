"""What a model in another process answers: on each lane of the bus, and behind LitServe."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from tests.benchmarks.figure import Figure
from tests.benchmarks.one_run import run_once
from tests.benchmarks.peers.bellwire import settings_at
from tests.benchmarks.peers.litserve import MODEL as SERVED_FILE
from tests.benchmarks.process import REPOSITORY, MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.inference_bus_table import (
    AGENT,
    CALLS,
    GRPC,
    IN_FLIGHT,
    JUDGED_IN_FLIGHT,
    LITSERVE,
    RATE,
    RAW,
    SOCKET,
    TOPICS,
    cell_of,
    figures_of,
    table_of,
)
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import MICROSECONDS_PER_SECOND, Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.tactical_models import INT8
from tests.benchmarks.usage import Used, family, measured_usage, rss_bytes

from bellwire.runtime import AgentSpec, ChildContext, Supervisor
from bellwire.runtime.errors import ProcessStartError

TARGET: Final = "tests.benchmarks.inference_agent:TacticalModel"
MODELS: Final = "models"
TRANSPORTS: Final = {GRPC: "tcp", SOCKET: "unix"}
SECONDS_SHARE: Final = 2  # Ten loads share a round; a load is some hundred messages even so.
WRITE_SECONDS_MAX: Final = 60.0


class Process(NamedTuple):
    """A process whose CPU time and memory are measured."""

    role: str
    pid: int


class Served(NamedTuple):
    """A model that is asked, and who asks it."""

    caller: Worker
    ways: tuple[str, ...]
    processes: tuple[Process, ...]
    """All but the caller."""


class InferenceBusStudy:
    """Asks one model with 100 observations a message, ways and numbers in flight one after the other."""

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Measure one system."""
        await run_once(
            "models",
            *("-m", "tests.benchmarks.tactical_models", str(workplace.directory / MODELS)),
            seconds_max=WRITE_SECONDS_MAX,
            workplace=workplace,
            failed="the models could not be written",
        )
        serve = _litserve(workplace) if peer == LITSERVE else _bellwire(peer, workplace)
        async with serve as served:
            idle = _rss_bytes(served)
            with measured_usage((*served.processes, served.caller)) as usage:
                ways = {
                    way: {str(n): await _ask(served, way, n, durations) for n in IN_FLIGHT}
                    for way in served.ways
                }
            loaded = _rss_bytes(served)
        others = {"others": usage["others"]}
        return {"ways": ways, "idle_rss_bytes": idle, "rss_bytes": loaded, "processes": others}

    def headline(self, measurement: Measurement) -> str:
        """Give what each way carries."""
        return ", ".join(
            f"{way} {cell_of([measurement], way, JUDGED_IN_FLIGHT, RATE):,.0f} obs/s"
            for way in measurement["ways"]
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        return [table_of(title, measurements)]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the rates on both lanes, and the agents' memory."""
        return figures_of(measurements)

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


@asynccontextmanager
async def _bellwire(peer: str, workplace: Workplace) -> AsyncIterator[Served]:
    """Start a coordinator, an agent as the launcher starts it, and a caller.

    Raises:
        MeasurementError: One of them failed.
    """
    broker = workplace.worker("study-broker", peer, transport=TRANSPORTS[peer])
    async with broker as coordinator, Supervisor() as supervisor:
        address = coordinator.about["address"]
        spec = _agent(workplace)
        try:
            shared = ChildContext(address, settings_at(address))
            (agent,) = await supervisor.start_agents([spec], shared)
        except ProcessStartError as error:
            raise MeasurementError(str(error)) from error
        assert agent.pid is not None
        processes = (Process(AGENT, agent.pid), Process("coordinator", coordinator.pid))
        caller = workplace.worker("study-inference-caller", peer, name="caller", address=address)
        async with caller as asks:
            yield Served(asks, (CALLS, TOPICS), processes)


def _agent(workplace: Workplace) -> AgentSpec:
    settings = {
        "folder": str(workplace.directory / MODELS / INT8),
        "model": "tactical",
        "observations_topic": "observations.bench",
        "results_topic": "results.bench",
    }
    return AgentSpec(TARGET, settings, environment={"PYTHONPATH": str(REPOSITORY)})


@asynccontextmanager
async def _litserve(workplace: Workplace) -> AsyncIterator[Served]:
    """Start LitServe with the same model, and a caller in our own environment."""
    model = workplace.directory / MODELS / INT8 / SERVED_FILE
    shutil.copy(model, workplace.directory / SERVED_FILE)
    async with workplace.worker("broker", LITSERVE, name="server") as server:
        address = server.about["address"]
        caller = workplace.worker("study-litserve-caller", GRPC, name="caller", address=address)
        async with caller as asks:
            yield Served(asks, (RAW,), (Process("server", server.pid),))


async def _ask(served: Served, way: str, in_flight: int, durations: Durations) -> Reply:
    """Load it once; CPU time is by message, those of the warm-up included."""
    processes: tuple[Used, ...] = (*served.processes, served.caller)
    with measured_usage(processes) as usage:
        answered = await served.caller.do(
            "ask",
            way=way,
            in_flight=in_flight,
            warm_up_seconds=durations.warm_up_seconds,
            seconds=durations.load_seconds / SECONDS_SHARE,
        )
    messages = max(answered["asked"], 1)
    cpu_us = {
        each.role: usage[each.role]["cpu_seconds"] * MICROSECONDS_PER_SECOND / messages
        for each in processes
    }
    return {**answered, "cpu_us": cpu_us}


def _rss_bytes(served: Served) -> dict[str, int]:
    return {each.role: rss_bytes(family(each.pid)) for each in served.processes}


STUDY: Final = InferenceBusStudy()
