"""What Bellwire has to reach beside its peers. A missed target is shown; it fails nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.benchmarks.summary import Row

LANES: Final = {
    "bellwire_tcp": "grpc over TCP",
    "bellwire_unix": "grpc over a Unix socket",
    "bellwire_durable": "grpc over TCP, PERSISTED",
}
REFERENCE: Final = "nats"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a scenario's headline: the p50 for latency, messages per second for throughput."""

    scenario: str
    title: str
    bound: float
    at_most: bool = False
    relative_to: str | None = None
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
