"""What Bellwire has to reach beside its peers. A missed target is shown; it fails nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.benchmarks.figure import Figure
from tests.benchmarks.summary import Row

LANES: Final = {
    "bellwire_tcp": "grpc over TCP",
    "bellwire_unix": "grpc over a Unix socket",
    "bellwire_durable": "grpc over TCP, PERSISTED",
}
REFERENCE: Final = "nats"
FLAT: Final = 1.25  # Last point by first: a cost that grows with what is counted exceeds it soon.


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a scenario's headline: the p50 for latency, messages per second for throughput."""

    scenario: str
    title: str
    bound: float
    at_most: bool = False
    relative_to: str | None = None
    figure: str = ""
    """Which figure of a study is judged; empty = the headline of a scenario."""
    lanes: tuple[str, ...] = tuple(LANES)
    """Systems it is for."""


class Verdict(NamedTuple):
    """A target, what was measured for it, and whether that is enough; None = not measured."""

    target: Target
    lane: str
    measured: float | None
    met: bool | None


TARGETS: Final = (
    Target("latency-1k", "p50 at 1/ms beside NATS core", 1.5, at_most=True, relative_to=REFERENCE),
    Target("latency-10k", "p50 at 10 k/s beside NATS core", 1.5, True, REFERENCE),
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
                lanes=("bellwire_unix",),
            ),
        )
    ),
    *(
        target
        for size in ("100", "1,000")
        for target in (
            Target(f"durable-throughput-{size.replace(',', '')}", f"msg/s at ≤ {size}", 200_000),
            Target(
                f"durable-throughput-{size.replace(',', '')}",
                f"msg/s at ≤ {size} beside JetStream (file, its default sync)",
                5.0,
                relative_to="jetstream",
            ),
        )
    ),
)

STUDY_TARGETS: Final = (
    Target("curves", "CPU per message, 10,000 topics beside 1", FLAT, True, figure="topics"),
    Target(
        "curves", "CPU per delivery, 200 subscribers beside 1", FLAT, True, figure="subscribers"
    ),
    Target(
        "curves",
        "CPU per delivery, 200 subscribers beside 5",
        FLAT,
        True,
        figure="subscribers from second",
    ),
    Target("curves", "CPU per message, 100 agents beside 1", FLAT, True, figure="agents"),
    *(
        Target(
            "slow-subscriber",
            f"p99 beside a slow subscriber by p99 alone, {log} topic, worst policy",
            1.2,
            True,
            figure=log,
        )
        for log in ("memory", "durable")
    ),
    *(
        Target(
            "tracing",
            f"share of throughput that tracing 1 % takes, {path}",
            0.05,
            True,
            figure=path,
        )
        for path in ("client → client", "client → agent → client")
    ),
    Target("payload", "share of bytes saved, one by one", 0.6, figure="one by one"),
    Target("payload", "share of bytes saved, batches of ≤ 100", 0.6, figure="batched"),
)


def judge(summary: Mapping[str, list[Row]]) -> list[Verdict]:
    """Compare every lane that was measured with every target of a scenario that was run."""
    verdicts = []
    for target in TARGETS:
        rows = {row.peer: row for row in summary.get(target.scenario, ())}
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
        if figure.key == target.figure
    ]


def _measured(target: Target, row: Row, rows: Mapping[str, Row]) -> float | None:
    if target.relative_to is None:
        spread = row.spread
    elif target.relative_to in rows:
        spread = row.ratio_to(rows[target.relative_to])
    else:
        return None
    return spread.median if spread else None


def _met(target: Target, measured: float | None) -> bool | None:
    if measured is None:
        return None
    return measured <= target.bound if target.at_most else measured >= target.bound
