"""What a model in another process answers: on each lane of the bus, and behind LitServe."""

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Final, NamedTuple

from tests.benchmarks.figure import Figure
from tests.benchmarks.one_run import run_once
from tests.benchmarks.peers.litserve import MODEL as SERVED_FILE
from tests.benchmarks.process import REPOSITORY, MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.inference_load import ROWS
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table, title_of
from tests.benchmarks.tactical_models import INT8
from tests.benchmarks.usage import family

from bellwire.runtime import AgentSpec, ChildContext, Supervisor
from bellwire.runtime.errors import ProcessStartError

AGENT: Final = "tests.benchmarks.inference_agent:TacticalModel"
MODELS: Final = "models"
LITSERVE: Final = "litserve"
GRPC: Final = "bellwire_tcp"
SOCKET: Final = "bellwire_socket"
TRANSPORTS: Final = {GRPC: "tcp", SOCKET: "unix"}
WAYS: Final = ("calls", "topics")
RAW: Final = "raw bytes"
IN_FLIGHT: Final = (1, 8)
JUDGED_IN_FLIGHT: Final = IN_FLIGHT[-1]
WRITE_SECONDS_MAX: Final = 60.0
BYTES_PER_MB: Final = 1e6


class Served(NamedTuple):
    """A model that is asked, and who asks it."""

    caller: Worker
    ways: tuple[str, ...]
    pids: dict[str, int]
    """By what the process is for its system."""


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
            cells = {
                way: {str(n): await _ask(served, way, n, durations) for n in IN_FLIGHT}
                for way in served.ways
            }
            memory = {role: _rss_bytes(pid) for role, pid in served.pids.items()}
        return {"ways": cells, "rss_bytes": memory}

    def headline(self, measurement: Measurement) -> str:
        """Give what each way carries."""
        return ", ".join(
            f"{way} {_cell([measurement], way, JUDGED_IN_FLIGHT, RATE):,.0f} obs/s"
            for way in measurement["ways"]
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table."""
        heads = ("system, way", "in flight", "obs/s", "p50 µs", "p99 µs", "× LitServe", "RSS MB")
        table = Table(f"{title}, {ROWS} observations a message", heads)
        for peer, found in _by_peer(measurements):
            memory = " + ".join(f"{role} {_mb(found, role):,.0f}" for role in found[0]["rss_bytes"])
            for way in found[0]["ways"]:
                for count in IN_FLIGHT:
                    figures = (f"{_cell(found, way, count, key):,.0f}" for key in FIGURES)
                    beside = _beside_litserve(measurements, peer, way, count)
                    shown = "–" if beside is None or peer == LITSERVE else f"{beside:.2f}"
                    name = f"{title_of(peer)}, {way}"
                    table.rows.append((name, str(count), *figures, shown, memory))
        table.notes.append(
            f"{INT8}, one agent (LitServe: one worker), one caller; p50 and p99 of a message, from arrays to"
            " arrays, closed loop; × LitServe: obs/s with as many in flight, round by round"
        )
        return [table]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the rates on both lanes, and the agent's memory."""
        by_peer = dict(_by_peer(measurements))
        found = [
            Figure("grpc", f"grpc over TCP, {way}", _cell(by_peer[GRPC], way, JUDGED_IN_FLIGHT, RATE))
            for way in WAYS
            if GRPC in by_peer
        ]
        found += [
            Figure("socket lane beside grpc", f"socket lane, {way}", ratio)
            for way in WAYS
            if (ratio := _ratio(measurements, (SOCKET, way), (GRPC, way), JUDGED_IN_FLIGHT))
        ]
        return found + [
            Figure("agent MB", title_of(peer), _mb(of_peer, "agent"))
            for peer, of_peer in by_peer.items()
            if peer != LITSERVE
        ]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give nothing."""
        del measurements
        return []


RATE: Final = "observations_per_second"
FIGURES: Final = (RATE, "p50_us", "p99_us")


@asynccontextmanager
async def _bellwire(peer: str, workplace: Workplace) -> AsyncIterator[Served]:
    """Start a coordinator, an agent as the launcher starts it, and a caller.

    Raises:
        MeasurementError: One of them failed.
    """
    broker = workplace.worker("study-broker", peer, transport=TRANSPORTS[peer])
    async with broker as coordinator, Supervisor() as supervisor:
        address = coordinator.about["address"]
        settings = {
            "folder": str(workplace.directory / MODELS / INT8),
            "model": "tactical",
            "observations_topic": "observations.bench",
            "results_topic": "results.bench",
        }
        spec = AgentSpec(AGENT, settings, environment={"PYTHONPATH": str(REPOSITORY)})
        try:
            (agent,) = await supervisor.start_agents([spec], ChildContext(address))
        except ProcessStartError as error:
            raise MeasurementError(str(error)) from error
        assert agent.pid is not None
        pids = {"agent": agent.pid, "coordinator": coordinator.pid}
        async with workplace.worker("study-inference-caller", peer, address=address) as caller:
            yield Served(caller, WAYS, pids)


@asynccontextmanager
async def _litserve(workplace: Workplace) -> AsyncIterator[Served]:
    """Start LitServe with the same model, and a caller in our own environment."""
    models = workplace.directory / MODELS
    shutil.copy(models / INT8 / SERVED_FILE, workplace.directory / SERVED_FILE)
    async with workplace.worker("broker", LITSERVE) as server:
        address = server.about["address"]
        async with workplace.worker("study-litserve-caller", GRPC, address=address) as caller:
            yield Served(caller, (RAW,), {"server": server.pid})


async def _ask(served: Served, way: str, in_flight: int, durations: Durations) -> Reply:
    warm_up, seconds = durations.warm_up_seconds, durations.load_seconds
    return await served.caller.do(
        "ask", way=way, in_flight=in_flight, warm_up_seconds=warm_up, seconds=seconds
    )


def _rss_bytes(pid: int) -> int:
    return sum(member.memory_info().rss for member in family(pid))


def _by_peer(measurements: Sequence[Measurement]) -> Iterator[tuple[str, list[Measurement]]]:
    for peer in (*TRANSPORTS, LITSERVE):
        found = [each for each in measurements if each["peer"] == peer]
        if found:
            yield peer, found


def _cell(measurements: Sequence[Measurement], way: str, in_flight: int, key: str) -> float:
    return median(float(each["ways"][way][str(in_flight)][key]) for each in measurements)


def _mb(measurements: Sequence[Measurement], role: str) -> float:
    return median(each["rss_bytes"][role] for each in measurements) / BYTES_PER_MB


def _beside_litserve(
    measurements: Sequence[Measurement], peer: str, way: str, in_flight: int
) -> float | None:
    return _ratio(measurements, (peer, way), (LITSERVE, RAW), in_flight)


def _ratio(
    measurements: Sequence[Measurement],
    ours: tuple[str, str],
    theirs: tuple[str, str],
    in_flight: int,
) -> float | None:
    """Divide the rates of two ways round by round; None where no round has both."""
    rates: dict[tuple[str, int], float] = {}
    for peer, way in (ours, theirs):
        for each in measurements:
            if each["peer"] == peer:
                rates[peer, each["round"]] = _cell([each], way, in_flight, RATE)
    rounds = sorted({number for _, number in rates})
    pairs = [(rates.get((ours[0], n)), rates.get((theirs[0], n))) for n in rounds]
    ratios = [a / b for a, b in pairs if a is not None and b is not None]
    return median(ratios) if ratios else None


STUDY: Final = InferenceBusStudy()
