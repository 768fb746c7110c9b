"""Puts together what publishers, subscribers and the coordinator say of one level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.cli.loadtest.bottleneck import Evidence
from bellwire.cli.loadtest.histogram import HistogramJson, LatencyHistogram
from bellwire.cli.loadtest.plan import Level
from bellwire.cli.loadtest.protocol import Published, Received
from bellwire.cli.loadtest.ranges import common, length_of
from bellwire.cli.loadtest.result import LevelResult, RoleCost
from bellwire.cli.loadtest.usage import CoordinatorSample

__all__ = ["Outcome", "commit_share", "evidence_of", "result_of"]

NANOSECONDS_PER_SECOND: Final = 1e9
MICROSECONDS_PER_SECOND: Final = 1e6


@dataclass(frozen=True, slots=True)
class Outcome:
    """The raw answers of one level."""

    level: Level
    start_ns: int
    published: Sequence[Published]
    """One per publisher."""
    received: Sequence[Received]
    """One per subscriber."""
    samples: Sequence[CoordinatorSample]
    cpu_seconds: Sequence[float]
    """Of the publishers, then of the subscribers, while the load was applied."""
    machine_share: float
    """Part of all cores' time that was used, by anybody."""
    cores: int
    interrupted: bool


def result_of(outcome: Outcome) -> LevelResult:
    """Add up one level."""
    level, published, received = outcome.level, outcome.published, outcome.received
    first, last = outcome.samples[0], outcome.samples[-1]
    load_seconds = max(1e-9, (last.time_ns - first.time_ns) / NANOSECONDS_PER_SECOND)
    cpu = outcome.cpu_seconds
    seconds = _measured_seconds(outcome)
    scheduled = sum(reply["scheduled"] for reply in published)
    sent = sum(reply["sent"] for reply in published)
    own_seconds = sum(cpu) + last.cpu_seconds - first.cpu_seconds
    return LevelResult(
        offered_tps=level.tps,
        # More than was offered is the backlog of the warm-up.
        achieved_tps=min(level.tps, min(reply["measured"] for reply in received) / seconds),
        seconds=seconds,
        scheduled=scheduled,
        sent=sent,
        failed=sum(length_of(reply["failed"]) for reply in published),
        error=next((reply["error"] for reply in published if reply["error"]), ""),
        ended=next((reply["error"] for reply in received if reply["error"]), ""),
        received=sum(reply["received"] for reply in received),
        lost=sum(_lost(published, reply) for reply in received),
        duplicates=sum(reply["duplicates"] for reply in received),
        out_of_order=sum(reply["out_of_order"] for reply in received),
        dropped=last.dropped_messages - first.dropped_messages,
        latency=_merged(reply["latency"] for reply in received),
        lateness=_merged(reply["lateness"] for reply in published),
        publishers=_cost(cpu[: len(published)], load_seconds),
        coordinator=_cost([last.cpu_seconds - first.cpu_seconds], load_seconds),
        subscribers=_cost(cpu[len(published) :], load_seconds),
        coordinator_rss_bytes_max=max(sample.rss_bytes for sample in outcome.samples),
        machine_share=outcome.machine_share,
        others_share=max(0.0, outcome.machine_share - own_seconds / load_seconds / outcome.cores),
        commit_us_p50=last.commit_us_p50,
        commit_us_p99=last.commit_us_p99,
        commit_share=commit_share(first, last),
        uncommitted_messages_max=max(s.uncommitted_messages for s in outcome.samples),
        interrupted=outcome.interrupted and sent < scheduled,
    )


def evidence_of(result: LevelResult, *, is_met: bool, cores: int) -> Evidence:
    """Return what the verdict looks at."""
    return Evidence(
        is_met=is_met,
        publisher_share=result.publishers.core_share_max,
        coordinator_share=result.coordinator.core_share_max,
        subscriber_share=result.subscribers.core_share_max,
        commit_share=result.commit_share,
        commit_us_p50=result.commit_us_p50,
        uncommitted_messages_max=result.uncommitted_messages_max,
        dropped_messages=result.dropped,
        unsent_messages=result.scheduled - result.sent,
        ended=result.ended,
        machine_share=result.machine_share,
        others_share=result.others_share,
        cores=cores,
    )


def commit_share(first: CoordinatorSample, last: CoordinatorSample) -> float:
    """Estimate the part of the time in which a commit was under way; one at a time is."""
    elapsed_us = (last.time_ns - first.time_ns) / 1e3
    busy_us = (last.commits - first.commits) * last.commit_us_p50
    return busy_us / elapsed_us if elapsed_us > 0 else 0.0


def _measured_seconds(outcome: Outcome) -> float:
    """Return the time from the end of the warm-up to the last arrival, at least what was planned.

    At least: the last message of a level is due a little before its end. An interrupted level was
    as long as it was.
    """
    begin_ns = outcome.start_ns + outcome.level.warm_up_seconds * NANOSECONDS_PER_SECOND
    last_ns = max(reply["last_ns"] for reply in outcome.received)
    arrived = max(1e-9, (last_ns - begin_ns) / NANOSECONDS_PER_SECOND)
    return arrived if outcome.interrupted else max(arrived, outcome.level.seconds)


def _lost(published: Sequence[Published], received: Received) -> int:
    """Count what one subscriber misses of what publishers were told the coordinator has."""
    missing = received["given_up"]
    for reply, gaps in zip(published, received["missing"], strict=True):
        missing += length_of(gaps) - common(gaps, reply["failed"])
    return missing


def _merged(histograms: Iterable[HistogramJson]) -> LatencyHistogram:
    merged = LatencyHistogram()
    for histogram in histograms:
        merged.merge(LatencyHistogram.from_json(histogram))
    return merged


def _cost(cpu_seconds: Sequence[float], load_seconds: float) -> RoleCost:
    return RoleCost(len(cpu_seconds), sum(cpu_seconds), max(cpu_seconds) / load_seconds)
