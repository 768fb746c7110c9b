"""From the measurements of all rounds to one row per peer and scenario. No I/O."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple, Self

from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.scenario import SCENARIOS, Study

NANOSECONDS_PER_MICROSECOND: Final = 1_000
MICROSECONDS_PER_SECOND: Final = 1_000_000
ROLES: Final = ("publisher", "broker", "subscriber")
CLIENT_ROLES: Final = ("publisher", "subscriber")
DISK_KINDS: Final = ("kept", "written")
COMMIT_PERCENTS: Final = ("p50", "p99")
HISTOGRAMS: Final = ("from_intended", "acknowledged")  # Whichever a measurement has is its latency.
PERCENTS_PER_ROUND: Final = (50.0, 95.0, 99.0)
# One round holds too few messages for these: they are taken over all rounds together.
PERCENT_POOLED: Final = 99.9
SATURATED_BELOW: Final = 0.95  # Of the offered rate; the last flush alone takes some percent.
DRAIN_SECONDS_FREE: Final = 0.25  # After the last send: a hiccup at the end is no backlog.

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


class Sample(NamedTuple):
    """A figure of one measurement, and when in the run it was taken."""

    round: int
    turn: int
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    """One peer in one scenario. Times are microseconds; CPU is microseconds per message."""

    peer: str
    variant: str
    """Which part of a measurement that has several; empty for the others."""
    rounds: int
    failures: tuple[str, ...]
    headline: tuple[Sample, ...]
    """Messages per second, or the p50 of the latency."""
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
    disk_bytes: dict[str, float | None]
    """Per message: what stays in the files, and what was written until it did."""
    latency: "LatencyFigures | None" = None
    commit_us: dict[str, float] | None = None
    """What the broker itself says of its commits; None when it does not."""
    neighbour_per_second: float | None = None
    """What another publisher put through the same broker meanwhile."""

    @property
    def spread(self) -> Spread | None:
        """The headline over the rounds; None when every round failed."""
        return Spread.of(each.value for each in self.headline) if self.headline else None

    def ratio_to(self, other: "Row") -> Spread | None:
        """Divide each headline by that of the same round nearest in time: the same minute.

        None without a common round, and when a side was saturated: the length of a backlog
        depends on how long one waits, so its latency is no property of the system.
        """
        if self.saturated or other.saturated:
            return None
        return _ratio(self.headline, other.headline)

    def p95_ratio_to(self, other: "Row") -> Spread | None:
        """Divide the 95th percentiles as `ratio_to` does the headlines; None where it gives none."""
        if self.saturated or other.saturated or not (self.latency and other.latency):
            return None
        return _ratio(self.latency.p95_samples, other.latency.p95_samples)

    def p99_ratio_to(self, other: "Row") -> Spread | None:
        """Divide the 99th percentiles as `ratio_to` does the headlines; None where it gives none."""
        if self.saturated or other.saturated or not (self.latency and other.latency):
            return None
        return _ratio(self.latency.p99_samples, other.latency.p99_samples)


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Percentiles in microseconds: medians over the rounds, the tail over all rounds together."""

    p50: Spread
    p95: Spread
    p99: Spread
    p999: float
    max: float
    p95_samples: tuple[Sample, ...]
    p99_samples: tuple[Sample, ...]
    paced: "PacedFigures | None" = None


class PacedFigures(NamedTuple):
    """What belongs to a latency under a schedule, in microseconds."""

    began_p50: float
    late_p50: float
    late_p99: float


def summarise(document: Document) -> dict[str, list[Row]]:
    """Give the rows of each scenario, scenarios and peers in the order they were measured."""
    grouped: dict[str, dict[tuple[str, str], list[Measurement]]] = {}
    for measurement in _parts(document):
        rows = grouped.setdefault(measurement["scenario"], {})
        key = measurement["peer"], measurement.get("variant", "")
        rows.setdefault(key, []).append(measurement)
    return {
        scenario: [_row(*key, measured) for key, measured in rows.items()]
        for scenario, rows in grouped.items()
    }


def _parts(document: Document) -> Iterator[Measurement]:
    """Give measurements one by one, those with several variants as one for each."""
    for measurement in document["measurements"]:
        if isinstance(SCENARIOS.get(measurement["scenario"]), Study):
            continue  # It has tables of its own.
        variants = measurement.get("variants")
        if variants is None:
            yield measurement
        else:
            for variant, measured in variants.items():
                yield {**measured, **measurement, "variant": variant}


def _row(peer: str, variant: str, measurements: list[Measurement]) -> Row:
    good = [each for each in measurements if "error" not in each]
    timed = bool(good) and _histogram_key(good[0]) is not None
    taken = _median(each["sent"] / _seconds_to_take(each) for each in good)
    offered = _median(each.get("offered_per_second", 0) for each in good)
    return Row(
        peer=peer,
        variant=variant,
        rounds=len(good),
        failures=tuple(each["error"] for each in measurements if "error" in each),
        headline=_samples(good, _headline),
        messages=sum(each["received"] for each in good),
        lost=sum(each["lost"] for each in good),
        duplicates=sum(each["duplicates"] for each in good),
        unsent=sum(each.get("unsent", 0) for each in good),
        taken_per_second=taken,
        saturated=taken < offered * SATURATED_BELOW,
        cpu_us={role: _median(_cpu_us(each, role) for each in good) for role in ROLES},
        rss_bytes={role: _median(_rss_bytes(each, role) for each in good) for role in ROLES},
        wire_bytes={role: _wire_bytes_per_message(good, role) for role in CLIENT_ROLES},
        disk_bytes={kind: _disk_bytes_per_message(good, kind) for kind in DISK_KINDS},
        latency=_latency_figures(good) if timed else None,
        commit_us=_commit_us(good),
        neighbour_per_second=_median_or_none(
            each.get("neighbour_messages_per_second") for each in good
        ),
    )


def _headline(measurement: Measurement) -> float:
    if "messages_per_second" in measurement:
        return float(measurement["messages_per_second"])
    return _percentile_us(measurement, 50.0)


def _histogram_key(measurement: Measurement) -> str | None:
    return next((key for key in HISTOGRAMS if key in measurement), None)


def _histogram(measurement: Measurement) -> LatencyHistogram:
    return LatencyHistogram.from_json(measurement[_histogram_key(measurement) or HISTOGRAMS[0]])


def _latency_figures(measurements: list[Measurement]) -> LatencyFigures:
    pooled = LatencyHistogram()
    for measurement in measurements:
        pooled.merge(_histogram(measurement))
    p50, p95, p99 = (
        Spread.of(_percentile_us(each, percent) for each in measurements)
        for percent in PERCENTS_PER_ROUND
    )
    return LatencyFigures(
        p50=p50,
        p95=p95,
        p99=p99,
        p999=_microseconds(pooled.percentile(PERCENT_POOLED)),
        max=_microseconds(pooled.max_ns),
        p95_samples=_samples(measurements, lambda each: _percentile_us(each, 95.0)),
        p99_samples=_samples(measurements, lambda each: _percentile_us(each, 99.0)),
        paced=_paced_figures(measurements) if "from_began" in measurements[0] else None,
    )


def _paced_figures(measurements: list[Measurement]) -> PacedFigures:
    return PacedFigures(
        began_p50=_median(_microseconds(each["from_began"]["p50_ns"]) for each in measurements),
        late_p50=_median(_microseconds(each["generator_late"]["p50_ns"]) for each in measurements),
        late_p99=_median(_microseconds(each["generator_late"]["p99_ns"]) for each in measurements),
    )


def _commit_us(measurements: list[Measurement]) -> dict[str, float] | None:
    told = [each["commits"] for each in measurements if each.get("commits")]
    if not told:
        return None
    return {percent: _median(each[f"{percent}_us"] for each in told) for percent in COMMIT_PERCENTS}


def _ratio(ours: Iterable[Sample], theirs: Iterable[Sample]) -> Spread | None:
    by_round: dict[int, list[Sample]] = {}
    for sample in theirs:
        by_round.setdefault(sample.round, []).append(sample)
    ratios = [
        each.value / _nearest(each, by_round[each.round]).value
        for each in ours
        if each.round in by_round
    ]
    return Spread.of(ratios) if ratios else None


def _nearest(sample: Sample, others: Iterable[Sample]) -> Sample:
    return min(others, key=lambda other: abs(other.turn - sample.turn))


def _samples(
    measurements: Iterable[Measurement], value: Callable[[Measurement], float]
) -> tuple[Sample, ...]:
    return tuple(Sample(each["round"], each.get("turn", 0), value(each)) for each in measurements)


def _seconds_to_take(measurement: Measurement) -> float:
    sending: float = measurement["seconds"]
    drained: float = measurement.get("drained_seconds", 0.0) - DRAIN_SECONDS_FREE
    return max(sending, drained)


def _percentile_us(measurement: Measurement, percent: float) -> float:
    return _microseconds(_histogram(measurement).percentile(percent))


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


def _disk_bytes_per_message(measurements: list[Measurement], kind: str) -> float | None:
    return _median_or_none(
        None if moved is None else moved / max(each["received"], 1)
        for each in measurements
        for moved in [each.get("disk", {}).get(f"{kind}_bytes")]
    )


def _median_or_none(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return median(found) if found else None


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0
