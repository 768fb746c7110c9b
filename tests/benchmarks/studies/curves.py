"""Cost per message as topics, subscribers and agents grow, under one and the same load."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tests.benchmarks.cells import ABSENT, number
from tests.benchmarks.figure import Figure
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.process import MeasurementError, Reply, Worker, Workplace
from tests.benchmarks.scenario import DURATIONS_DEFAULT, Durations
from tests.benchmarks.studies.study import Plot
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import Table
from tests.benchmarks.usage import measured_usage

# Low enough that one process serves 200 subscribers beside two others on two cores, and waits for
# nobody: what is measured is work, not a backlog.
DELIVERIES_PER_SECOND: Final = 1_000
# One message in each batch at every point, so that only what is counted on the x axis changes.
BATCH_MESSAGES_MAX: Final = 1
MICROSECONDS_PER_SECOND: Final = 1e6
NANOSECONDS_PER_MICROSECOND: Final = 1_000
POINTS_SHORT: Final = 3
LOAD_SHARE: Final = 0.4  # Of the seconds of other scenarios: there are fifteen points in a round.
PATTERN: Final = "bench.>"
LANE: Final = "grpc over TCP"
# What is kept of each point, and what it is called on an axis.
SERIES: Final = {
    "cpu_us_per_message": "coordinator CPU, µs per message published",
    "cpu_us_per_delivery": "coordinator CPU, µs per delivery",
    "p50_us": "p50, µs",
    "p99_us": "p99, µs",
    "rss_bytes": "coordinator RSS, bytes",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One x axis; whatever it does not name is one."""

    name: str
    x_label: str
    points: tuple[int, ...]
    cost: str
    """Which of SERIES must stay flat."""

    def points_for(self, durations: Durations) -> tuple[int, ...]:
        """Give the points; in a short run only the first two and the last."""
        if (
            durations.load_seconds < DURATIONS_DEFAULT.load_seconds
            and len(self.points) > POINTS_SHORT
        ):
            return *self.points[: POINTS_SHORT - 1], self.points[-1]
        return self.points

    def point(self, x: int) -> "Point":
        """Give what stands at `x`."""
        return Point(**{self.name: x})


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement."""

    topics: int = 1
    subscribers: int = 1
    agents: int = 1


CURVES: Final = (
    Curve("topics", "topics", (1, 10, 100, 1_000, 10_000), "cpu_us_per_message"),
    Curve("subscribers", "subscribers", (1, 5, 20, 50, 100, 200), "cpu_us_per_delivery"),
    Curve("agents", "agents, a connection each", (1, 10, 50, 100), "cpu_us_per_message"),
)


class CurvesStudy:
    """Measures every point in fresh processes."""

    def __init__(self, curves: Sequence[Curve] = CURVES) -> None:
        self._curves = curves

    async def measure(self, peer: str, durations: Durations, workplace: Workplace) -> Reply:
        """Measure every point of every curve once."""
        del peer
        curves: Reply = {}
        others = []
        for curve in self._curves:
            series: dict[str, list[Any]] = {"x": [], **{key: [] for key in SERIES}}
            for x in curve.points_for(durations):
                measured = await _measure_point(curve.point(x), durations, workplace)
                others.append(measured.pop("others"))
                series["x"].append(x)
                for key in SERIES:
                    series[key].append(measured[key])
            curves[curve.name] = series
        return {"curves": curves, "processes": {"others": {"cpu_share": median(others)}}}

    def headline(self, measurement: Measurement) -> str:
        """Give last by first of each curve."""
        return ", ".join(
            f"{curve.name} × {growth(curve, [measurement]):.2f}" for curve in self._curves
        )

    def tables(self, title: str, measurements: Sequence[Measurement]) -> list[Table]:
        """Give one table per curve."""
        return [_table(title, curve, measurements) for curve in self._curves]

    def figures(self, measurements: Sequence[Measurement]) -> list[Figure]:
        """Give last by first of each curve, and last by second.

        At one subscriber a delivery bears a whole publication, at five a fifth of one: only from there
        on is the cost per delivery mostly that of delivering.
        """
        figures = []
        for curve in self._curves:
            costs = ratios(curve, measurements)
            figures.append(Figure(curve.name, LANE, costs[-1]))
            figures.append(Figure(f"{curve.name} from second", LANE, costs[-1] / costs[1]))
        return figures

    def plots(self, measurements: Sequence[Measurement]) -> list[Plot]:
        """Give every series of every curve."""
        return [
            {
                "name": f"{curve.name} {key}",
                "x_label": curve.x_label,
                "y_label": label,
                "x": points_of(curve, measurements),
                "y": medians(curve, key, measurements),
            }
            for curve in self._curves
            for key, label in SERIES.items()
        ]


def medians(curve: Curve, key: str, measurements: Sequence[Measurement]) -> list[float]:
    """Give a series, each point the median over the rounds."""
    rounds = [each["curves"][curve.name][key] for each in measurements]
    return [median(values) for values in zip(*rounds, strict=True)]


def points_of(curve: Curve, measurements: Sequence[Measurement]) -> list[float]:
    """Give the x of every point measured; all rounds of a run have the same."""
    return list(measurements[0]["curves"][curve.name]["x"])


def ratios(curve: Curve, measurements: Sequence[Measurement]) -> list[float]:
    """Divide the cost at each point by that at the first of the same round; medians of these."""
    rounds = [each["curves"][curve.name][curve.cost] for each in measurements]
    return [
        median(values)
        for values in zip(*([y / costs[0] for y in costs] for costs in rounds), strict=True)
    ]


def growth(curve: Curve, measurements: Sequence[Measurement]) -> float:
    """Give the cost at the last point, divided by that at the first."""
    return ratios(curve, measurements)[-1]


def _table(title: str, curve: Curve, measurements: Sequence[Measurement]) -> Table:
    cost = SERIES[curve.cost].removeprefix("coordinator ")
    table = Table(
        f"{title}: {curve.x_label}",
        (curve.x_label, cost, "× first", "p50, µs", "p99, µs", "RSS MB"),
    )
    series = {key: medians(curve, key, measurements) for key in SERIES}
    for index, (x, ratio) in enumerate(
        zip(points_of(curve, measurements), ratios(curve, measurements), strict=True)
    ):
        table.rows.append(
            (
                number(x),
                f"{series[curve.cost][index]:.1f}",
                f"{ratio:.2f}" if index else ABSENT,
                number(series["p50_us"][index]),
                number(series["p99_us"][index]),
                number(series["rss_bytes"][index] / 1e6),
            )
        )
    return table


async def _measure_point(point: Point, durations: Durations, workplace: Workplace) -> Reply:
    async with workplace.worker(
        "study-broker", "bellwire", name="broker", transport="tcp"
    ) as broker:
        address = broker.about["address"]
        publishers = workplace.worker(
            "study-publishers",
            "bellwire",
            name="publisher",
            address=address,
            connections=point.agents,
            topics=point.topics,
            batch_messages_max=BATCH_MESSAGES_MAX,
            agents=True,
        )
        async with publishers as publisher:
            subscribers = workplace.worker(
                "study-subscribers",
                "bellwire",
                name="subscriber",
                address=address,
                subscribers=point.subscribers,
                pattern=PATTERN,
            )
            async with subscribers as subscriber:
                processes = publisher, broker, subscriber
                warm_up = await _phase(point, 1, durations.warm_up_seconds, processes)
                seconds = durations.load_seconds * LOAD_SHARE
                return await _phase(point, 1 + warm_up["sent"], seconds, processes)


async def _phase(
    point: Point, first: int, seconds: float, processes: tuple[Worker, Worker, Worker]
) -> Reply:
    publisher, broker, subscriber = processes
    rate = DELIVERIES_PER_SECOND // point.subscribers
    await subscriber.do("begin", first_sequence=first, timed=True)
    with measured_usage(processes) as usage:
        published = await publisher.do("paced", first=first, rate=rate, seconds=seconds)
        received = await subscriber.do("finish", expected=published["sent"])
    sent = published["sent"]
    deliveries = sent * point.subscribers
    if received["received"] != deliveries or published["unsent"]:
        raise MeasurementError(
            f"{point}: {received['received']:,} of {deliveries:,} deliveries arrived and"
            f" {published['unsent']:,} messages were not sent; the load is too high for this machine"
        )
    cpu_us = usage[broker.role]["cpu_seconds"] * MICROSECONDS_PER_SECOND
    latency = LatencyHistogram.from_json(received["from_intended"])
    return {
        "sent": sent,
        "cpu_us_per_message": round(cpu_us / sent, 2),
        "cpu_us_per_delivery": round(cpu_us / deliveries, 2),
        "p50_us": latency.percentile(50) / NANOSECONDS_PER_MICROSECOND,
        "p99_us": latency.percentile(99) / NANOSECONDS_PER_MICROSECOND,
        "rss_bytes": usage[broker.role]["rss_bytes"],
        "others": usage["others"]["cpu_share"],
    }


STUDY: Final = CurvesStudy()
