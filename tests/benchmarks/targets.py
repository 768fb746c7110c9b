"""What Bellwire has to reach beside its peers. A missed target is shown; it fails nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from tests.benchmarks.figure import Figure
from tests.benchmarks.summary import Row

LANES: Final = {
    "bellwire_tcp": "grpc over TCP",
    "bellwire_unix": "grpc over a Unix socket",
    "bellwire_socket": "socket lane",
    "bellwire_direct": "direct lane",
    "bellwire_durable": "grpc over TCP, PERSISTED",
}
GRPC: Final = ("bellwire_tcp", "bellwire_unix")
SOCKET: Final = ("bellwire_socket",)
DIRECT: Final = ("bellwire_direct",)
REFERENCE: Final = "nats"
FLAT: Final = 1.25  # Last point by first: a cost that grows with what is counted exceeds it soon.
BYTES_PER_MB: Final = 1e6


class Judged(Enum):
    """Which figure of a row is judged."""

    HEADLINE = "p50 of a latency, messages per second of a throughput"
    P95 = "p95 of a latency"
    P95_US = "p95 of a latency, absolute, in µs"
    NOT_DELIVERED = "messages that were lost, or never sent because the system took too few"
    BROKER_RSS_MB = "resident memory of the broker at the end of the load"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure of a scenario, or on its ratio to another system."""

    scenario: str
    title: str
    bound: float
    at_most: bool = False
    relative_to: str | None = None
    lanes: tuple[str, ...] = tuple(LANES)
    """Systems it is meant for; those that were not measured are not judged."""
    figure: Judged = Judged.HEADLINE
    variant: str = ""
    """The level of a load that rises."""
    study_figure: str = ""
    """Which figure of a study is judged; empty = it is of a scenario."""


class Verdict(NamedTuple):
    """A target, what was measured for it, and whether that is enough; None = not measured."""

    target: Target
    lane: str
    measured: float | None
    met: bool | None


def _latency(scenario: str, load: str) -> tuple[Target, ...]:
    beside = f"at {load} beside NATS core"
    return (
        Target(scenario, f"p50 {beside}", 1.5, True, REFERENCE, GRPC),
        Target(scenario, f"p50 {beside}", 0.5, True, REFERENCE, SOCKET),
        Target(scenario, f"p95 {beside}", 0.7, True, REFERENCE, SOCKET, Judged.P95),
    )


def _persisted(size: str) -> tuple[Target, ...]:
    scenario = f"durable-throughput-{size.replace(',', '')}"
    beside = f"msg/s at ≤ {size} beside JetStream (file, its default sync)"
    return (
        Target(scenario, f"msg/s at ≤ {size}", 200_000),
        Target(scenario, beside, 5.0, relative_to="jetstream"),
    )


def _load(rate: int) -> tuple[Target, ...]:
    lost = f"not delivered at {rate:,}/s"
    memory = f"coordinator RSS in MB at {rate:,}/s"
    return (
        Target("load", lost, 0, True, figure=Judged.NOT_DELIVERED, variant=str(rate)),
        Target("load", memory, 300, True, figure=Judged.BROKER_RSS_MB, variant=str(rate)),
    )


TARGETS: Final = (
    Target("latency-1k", "p50 at 1/ms beside NATS core", 0.25, True, REFERENCE, DIRECT),
    Target("latency-1k", "p95 at 1/ms, µs", 100, True, None, DIRECT, Judged.P95_US),
    *_latency("latency-1k", "1/ms"),
    *_latency("latency-10k", "10 k/s"),
    Target("throughput-100", "msg/s at ≤ 100 beside NATS core", 2.0, relative_to=REFERENCE),
    Target("throughput-1000", "msg/s at ≤ 1,000 beside NATS core", 2.5, relative_to=REFERENCE),
    Target("throughput-1000", "msg/s at ≤ 1,000", 500_000),
    Target("throughput-100", "msg/s at ≤ 100, the least to be useful", 200_000),
    *(
        target
        for kind in ("1000", "4000", "narrow")
        for target in (
            Target(f"columns-{kind}", f"updates/s, {kind}", 1_200_000, lanes=("bellwire_tcp",)),
            Target(
                f"columns-{kind}",
                f"updates/s on one host, {kind}",
                5_000_000,
                lanes=SOCKET,
            ),
        )
    ),
    *_load(20_000),
    *_load(50_000),
    *_persisted("100"),
    *_persisted("1,000"),
)

STUDY_TARGETS: Final = (
    Target("curves", "CPU per message, 10,000 topics beside 1", FLAT, True, study_figure="topics"),
    Target(
        "curves",
        "CPU per delivery, 200 subscribers beside 1",
        FLAT,
        True,
        study_figure="subscribers",
    ),
    Target(
        "curves",
        "CPU per delivery, 200 subscribers beside 5",
        FLAT,
        True,
        study_figure="subscribers from second",
    ),
    Target("curves", "CPU per message, 100 agents beside 1", FLAT, True, study_figure="agents"),
    *(
        Target(
            "slow-subscriber",
            f"p99 beside a slow subscriber by p99 alone, {log} topic, worst policy",
            1.2,
            True,
            study_figure=log,
        )
        for log in ("memory", "durable")
    ),
    *(
        Target(
            "tracing",
            f"share of throughput that tracing 1 % takes, {path}",
            0.05,
            True,
            study_figure=path,
        )
        for path in ("client → client", "client → agent → client")
    ),
    Target("payload", "share of bytes saved, one by one", 0.6, study_figure="one by one"),
    Target("payload", "share of bytes saved, batches of ≤ 100", 0.6, study_figure="batched"),
    Target("cache", "share of repeated calls that reach no agent", 0.9, study_figure="spared"),
    Target(
        "restart",
        "seconds from kill -9 to READY with a warm spare, slowest agent's p50",
        0.5,
        True,
        study_figure="warm spare",
    ),
    Target(
        "sink",
        "rows/s on the disk beside DuckDB's own table by executemany",
        1.0,
        study_figure="beside DuckDB",
    ),
    Target(
        "inference", "p99 of one row of the tactical network, µs", 100, True, study_figure="p99 µs"
    ),
    Target("inference", "obs/s of the tactical network, int8", 500_000, study_figure="obs/s"),
    Target("inference-bus", "obs/s of an agent, 100 a message, grpc", 80_000, study_figure="grpc"),
    Target(
        "inference-bus",
        "obs/s of an agent, 100 a message, socket lane beside grpc",
        1.0,
        study_figure="socket lane beside grpc",
    ),
    Target(
        "inference-bus", "memory of an agent that serves, MB", 100, True, study_figure="agent MB"
    ),
    *(
        Target(
            "inference-batcher",
            f"req/s of the inference batcher at 64 clients, {engine} engine",
            100_000,
            study_figure=engine,
        )
        for engine in ("trivial", "ONNX Runtime fp32")
    ),
)


def judge(summary: Mapping[str, list[Row]]) -> list[Verdict]:
    """Compare every lane that was measured with every target of a scenario that was run."""
    verdicts = []
    for target in TARGETS:
        rows = {
            row.peer: row
            for row in summary.get(target.scenario, ())
            if row.variant == target.variant
        }
        for peer, lane in LANES.items():
            if peer in rows and peer in target.lanes:
                measured = _measured(target, rows[peer], rows)
                verdicts.append(Verdict(target, lane, measured, _met(target, measured)))
    return verdicts


def judge_study(scenario: str, figures: Iterable[Figure]) -> list[Verdict]:
    """Compare the figures of a study with its targets."""
    return [
        Verdict(target, figure.lane, figure.value, _met(target, figure.value))
        for target in STUDY_TARGETS
        if target.scenario == scenario
        for figure in figures
        if figure.key == target.study_figure
    ]


def _measured(target: Target, row: Row, rows: Mapping[str, Row]) -> float | None:
    if not row.rounds:
        return None
    if target.figure is Judged.NOT_DELIVERED:
        return row.lost + row.unsent
    if target.figure is Judged.BROKER_RSS_MB:
        return row.rss_bytes["broker"] / BYTES_PER_MB
    if target.figure is Judged.P95_US:
        return row.latency.p95.median if row.latency else None
    if target.relative_to is None:
        return row.spread.median if row.spread else None
    return _measured_ratio(target, row, rows.get(target.relative_to))


def _measured_ratio(target: Target, row: Row, reference: Row | None) -> float | None:
    if reference is None:
        return None
    p95 = target.figure is Judged.P95
    spread = row.p95_ratio_to(reference) if p95 else row.ratio_to(reference)
    return spread.median if spread else None


def _met(target: Target, measured: float | None) -> bool | None:
    if measured is None:
        return None
    return measured <= target.bound if target.at_most else measured >= target.bound
