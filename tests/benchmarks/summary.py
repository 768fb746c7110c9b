"""From the measurements of all rounds to one row per peer and scenario. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple, Self

from tests.benchmarks.histogram import HistogramJson, LatencyHistogram

NANOSECONDS_PER_MICROSECOND: Final = 1_000
MICROSECONDS_PER_SECOND: Final = 1_000_000
ROLES: Final = ("publisher", "broker", "subscriber")
CLIENT_ROLES: Final = ("publisher", "subscriber")
PERCENTS_PER_ROUND: Final = (50.0, 95.0, 99.0)
# One round holds too few messages for these: they are taken over all rounds together.
PERCENT_POOLED: Final = 99.9
SATURATED_BELOW: Final = 0.95  # Of the offered rate; the last flush alone takes some percent.

Measurement = dict[str, Any]
Document = dict[str, Any]


class Spread(NamedTuple):
    """A figure over the rounds of a run."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise at least one value."""
        found = list(values)
        return cls(median(found), min(found), max(found))


@dataclass(frozen=True, slots=True)
class Row:
    """One peer in one scenario. Times are microseconds; CPU is microseconds per message."""

    peer: str
    rounds: int
    failures: tuple[str, ...]
    headline: dict[int, float]
    """By round: messages per second, or the p50 from the intended send."""
    messages: int
    lost: int
    duplicates: int
    unsent: int
    """Messages of the schedule that never left, because the system took less than was offered."""
    taken_per_second: float
    """Messages per second that left the publisher."""
    saturated: bool
    """The system took less than the schedule offered, so that a backlog grew."""
    cpu_us: dict[str, float]
    rss_bytes: dict[str, float]
    wire_bytes: dict[str, float | None]
    """TCP bytes per message, both directions, of publisher and subscriber."""
    latency: "LatencyFigures | None" = None

    @property
    def spread(self) -> Spread | None:
        """The headline over the rounds; None when every round failed."""
        return Spread.of(self.headline.values()) if self.headline else None

    def ratio_to(self, other: "Row") -> Spread | None:
        """Divide the headlines round by round, so that both sides saw the same minute.

        None without a common round, and when a side was saturated: the length of a backlog
        depends on how long one waits, so its latency is no property of the system.
        """
        if self.saturated or other.saturated:
            return None
        both = self.headline.keys() & other.headline.keys()
        return Spread.of(self.headline[n] / other.headline[n] for n in both) if both else None


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Percentiles in microseconds: medians over the rounds, the tail over all rounds together."""

    p50: Spread
    p95: Spread
    p99: Spread
    p999: float
    max: float
    began_p50: float
    late_p50: float
    late_p99: float


def summarise(document: Document) -> dict[str, list[Row]]:
    """Give the rows of each scenario, scenarios and peers in the order they were measured."""
    grouped: dict[str, dict[str, list[Measurement]]] = {}
    for measurement in document["measurements"]:
        peers = grouped.setdefault(measurement["scenario"], {})
        peers.setdefault(measurement["peer"], []).append(measurement)
    return {
        scenario: [_row(peer, measured) for peer, measured in peers.items()]
        for scenario, peers in grouped.items()
    }


def _row(peer: str, measurements: list[Measurement]) -> Row:
    good = [each for each in measurements if "error" not in each]
    latency = _latency_figures(good) if good and "from_intended" in good[0] else None
    taken = _median(each["sent"] / each["seconds"] for each in good)
    offered = _median(each.get("offered_per_second", 0) for each in good)
    return Row(
        peer=peer,
        rounds=len(good),
        failures=tuple(each["error"] for each in measurements if "error" in each),
        headline={each["round"]: _headline(each) for each in good},
        messages=sum(each["received"] for each in good),
        lost=sum(each["lost"] for each in good),
        duplicates=sum(each["duplicates"] for each in good),
        unsent=sum(each.get("unsent", 0) for each in good),
        taken_per_second=taken,
        saturated=taken < offered * SATURATED_BELOW,
        cpu_us={role: _median(_cpu_us(each, role) for each in good) for role in ROLES},
        rss_bytes={role: _median(_rss_bytes(each, role) for each in good) for role in ROLES},
        wire_bytes={role: _wire_bytes_per_message(good, role) for role in CLIENT_ROLES},
        latency=latency,
    )


def _headline(measurement: Measurement) -> float:
    if "messages_per_second" in measurement:
        return float(measurement["messages_per_second"])
    return _percentile_us(measurement["from_intended"], 50.0)


def _latency_figures(measurements: list[Measurement]) -> LatencyFigures:
    pooled = LatencyHistogram()
    for measurement in measurements:
        pooled.merge(LatencyHistogram.from_json(measurement["from_intended"]))
    p50, p95, p99 = (
        Spread.of(_percentile_us(each["from_intended"], percent) for each in measurements)
        for percent in PERCENTS_PER_ROUND
    )
    return LatencyFigures(
        p50=p50,
        p95=p95,
        p99=p99,
        p999=_microseconds(pooled.percentile(PERCENT_POOLED)),
        max=_microseconds(pooled.max_ns),
        began_p50=_median(_microseconds(each["from_began"]["p50_ns"]) for each in measurements),
        late_p50=_median(_microseconds(each["generator_late"]["p50_ns"]) for each in measurements),
        late_p99=_median(_microseconds(each["generator_late"]["p99_ns"]) for each in measurements),
    )


def _percentile_us(histogram: HistogramJson, percent: float) -> float:
    return _microseconds(LatencyHistogram.from_json(histogram).percentile(percent))


def _microseconds(nanoseconds: int) -> float:
    return nanoseconds / NANOSECONDS_PER_MICROSECOND


def _cpu_us(measurement: Measurement, role: str) -> float:
    seconds: float = measurement["processes"][role]["cpu_seconds"]
    received: int = measurement["received"]
    return seconds * MICROSECONDS_PER_SECOND / max(received, 1)


def _rss_bytes(measurement: Measurement, role: str) -> float:
    return float(measurement["processes"][role]["rss_bytes"])


def _wire_bytes_per_message(measurements: list[Measurement], role: str) -> float | None:
    per_message: list[float] = [
        (wire["sent"] + wire["received"]) / max(each["received"], 1)
        for each in measurements
        if (wire := each["wire"][role]) is not None
    ]
    return median(per_message) if per_message else None


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0
