"""What tracing costs of the throughput."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Final

from tests.benchmarks.cells import ABSENT, number
from tests.benchmarks.figure import Figure
from tests.benchmarks.open_loop import NANOSECONDS_PER_SECOND
from tests.benchmarks.process import MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.usage import measured_usage

LANE: Final = "grpc over TCP"
OFF: Final = "no SDK"
ONE_PERCENT: Final = "1 %"
EVERYTHING: Final = "100 %"  # Once a round: its backlog takes seconds, and no target asks for it.
RATIOS: Final[dict[str, float | None]] = {OFF: None, "0": 0.0, ONE_PERCENT: 0.01, EVERYTHING: 1.0}
TURNS: Final = 10  # Each ratio so often in a round, in turn: pairs are seconds apart.
LOAD_SHARE: Final = 1 / 3  # Of the seconds of other scenarios, in each turn.
MICROSECONDS_PER_SECOND: Final = 1e6
CLIENT: Final = "client → client"
AGENT: Final = "client → agent → client"
PATHS: Final = (CLIENT, AGENT)
ROLES: Final = {
    CLIENT: ("publisher", "broker", "subscriber"),
    AGENT: ("publisher", "broker", "agent", "subscriber"),
}


class TracingStudy:
    """Alternates the ratios in the same three processes."""

    def __init__(self, turns: int = TURNS) -> None:
        self._turns = turns

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Measure every ratio on each path, turn by turn."""
        del peer
        paths = {path: await self._measure_path(path, durations, workplace) for path in PATHS}
        shares = [
            each["others"] for found in paths.values() for turns in found.values() for each in turns
        ]
        return {"paths": paths, "processes": {"others": {"cpu_share": median(shares)}}}

    async def _measure_path(
        self, path: str, durations: Durations, workplace: Workplace
    ) -> dict[str, list[Reply]]:
        seconds = durations.load_seconds * LOAD_SHARE
        found: dict[str, list[Reply]] = {name: [] for name in RATIOS}
        async with _load(path, workplace) as load:
            await load.phase(None, durations.warm_up_seconds)
            for turn in range(self._turns):
                for name in order(turn):
                    found[name].append(await load.phase(RATIOS[name], seconds))
        if not any(each["spans"] for each in found[ONE_PERCENT]):
            raise MeasurementError("tracing at 1 % wrote no span: it was not measured")
        return found

    def headline(self, measurement: Measurement) -> str:
        """Give what is left of the throughput at 1 %."""
        return ", ".join(
            f"{path}: 1 % × {_ratio(path, ONE_PERCENT, [measurement]):.3f}" for path in PATHS
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table for each path."""
        return [_table(f"{title}, {path}", path, measurements) for path in PATHS]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give the share of the throughput that tracing at 1 % takes, beside no SDK at all."""
        return [Figure(path, LANE, 1 - _ratio(path, ONE_PERCENT, measurements)) for path in PATHS]

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give messages per second over the share sampled, a line for each path."""
        sampled = {name: ratio for name, ratio in RATIOS.items() if ratio is not None}
        return [
            {
                "name": path,
                "x_label": "share of messages sampled",
                "y_label": "messages per second",
                "x": list(sampled.values()),
                "y": [_median(path, name, "messages_per_second", measurements) for name in sampled],
            }
            for path in PATHS
        ]


def order(turn: int) -> list[str]:
    """Give the ratios of a turn; each turn begins with another one."""
    names = [name for name in RATIOS if turn == 0 or name != EVERYTHING]
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def _table(title: str, path: str, measurements: Sequence[Measurement]) -> Table:
    heads = ("msg/s", "× no SDK", "× 0", "CPU µs/msg", "spans per message")
    table = Table(title, ("sampled", *heads))
    for name in RATIOS:
        ratio, to_zero = (_ratio(path, name, measurements, other) for other in (OFF, "0"))
        cpu = [_median(path, name, f"{role}_cpu_us", measurements) for role in ROLES[path]]
        table.rows.append(
            (
                name,
                number(_median(path, name, "messages_per_second", measurements)),
                ABSENT if name == OFF else f"{ratio:.3f}",
                ABSENT if name in (OFF, "0") else f"{to_zero:.3f}",
                " + ".join(f"{each:.1f}" for each in cpu),
                f"{_median(path, name, 'spans_per_message', measurements):.3f}",
            )
        )
    return table


def _median(path: str, name: str, key: str, measurements: Sequence[Measurement]) -> float:
    return median(float(turn[key]) for each in measurements for turn in each["paths"][path][name])


def _ratio(
    path: str, name: str, measurements: Sequence[Measurement], reference: str = OFF
) -> float:
    """Divide the throughputs turn by turn; the median of these."""
    return median(
        float(turn["messages_per_second"] / other["messages_per_second"])
        for each in measurements
        # What was measured in fewer turns was measured in the first ones.
        for turn, other in zip(
            each["paths"][path][name], each["paths"][path][reference], strict=False
        )
    )


@asynccontextmanager
async def _load(path: str, workplace: Workplace) -> AsyncIterator["_Load"]:
    async with AsyncExitStack() as stack:

        async def start(role: str, name: str, **options: object) -> Worker:
            worker = workplace.worker(f"study-{role}", "bellwire", name=name, **options)
            return await stack.enter_async_context(worker)

        broker = await start("broker", "broker", transport="tcp")
        where = {"address": broker.about["address"]}
        subscriber = await start("traced-subscriber", "subscriber", relayed=path == AGENT, **where)
        between = [await start("relay", "agent", **where)] if path == AGENT else []
        publisher = await start("traced-publisher", "publisher", **where)
        yield _Load(publisher, subscriber, (publisher, broker, *between, subscriber))


class _Load:
    """Floods, phase after phase."""

    def __init__(
        self, publisher: Worker, subscriber: Worker, processes: tuple[Worker, ...]
    ) -> None:
        self._publisher = publisher
        self._subscriber = subscriber
        self._processes = processes
        self._sent = 0

    async def phase(self, sample_ratio: float | None, seconds: float) -> Reply:
        publisher, subscriber = self._publisher, self._subscriber
        for process in self._processes:
            await process.do("trace", sample_ratio=sample_ratio)
        await subscriber.do("begin", first_sequence=self._sent, timed=False)
        with measured_usage(self._processes) as usage:
            published = await publisher.do("flood", first=self._sent, seconds=seconds)
            received = await subscriber.do("finish", expected=published["sent"])
        self._sent += published["sent"]
        if received["received"] != published["sent"]:
            raise MeasurementError(
                f"{received['received']:,} of {published['sent']:,} messages arrived"
            )
        spans = [(await each.do("trace", sample_ratio=None))["spans"] for each in self._processes]
        took_ns = received["last_ns"] - published["start_ns"]
        return {
            "messages_per_second": round(published["sent"] / took_ns * NANOSECONDS_PER_SECOND),
            "spans": sum(spans),
            "spans_per_message": round(sum(spans) / published["sent"], 4),
            "others": usage["others"]["cpu_share"],
            **{
                f"{each.role}_cpu_us": round(
                    usage[each.role]["cpu_seconds"] * MICROSECONDS_PER_SECOND / published["sent"], 2
                )
                for each in self._processes
            },
        }


STUDY: Final = TracingStudy()
