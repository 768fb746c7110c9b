"""What a server of models has counted, as plain values that `dataclasses.asdict` makes JSON of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.guard import Guard
from bellwire.agents.inference.model_server.versions import Member
from bellwire.agents.inference.repository import VersionStatus
from bellwire.agents.inference.result_cache import ResultCache
from bellwire.agents.inference.rollout import ExperimentReport, Rollout, Shadow, ShadowReport


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """One version; all counters are 0 where it is not READY."""

    key: str
    """ "tactical:3"."""
    state: str
    """Of `VersionState`."""
    reason: str
    """Why it is FAILED or REFUSED; else empty."""
    requests: int = 0
    rows: int = 0
    batches: int = 0
    failures: int = 0
    timeouts: int = 0
    refused: int = 0
    deadline_drops: int = 0
    queue_micros_p99: int = 0
    """Upper bound, at most twice the value itself; so is the next."""
    compute_micros_p99: int = 0


@dataclass(frozen=True, slots=True)
class StepStatistics:
    """One step of a chain."""

    name: str
    answers: int
    gave_up: dict[str, int]
    """How often it gave no answer, by reason; without those that never were."""
    breaker: str
    """ "closed", "open" or "half-open"."""
    last_error: str


@dataclass(frozen=True, slots=True)
class ChainStatistics:
    """One chain."""

    name: str
    steps: tuple[StepStatistics, ...]
    held: int
    """Answers of the last resort."""


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """The cache of results."""

    entries: int
    size_bytes: int
    hits: int
    misses: int
    expired: int
    outdated: int
    evicted: int
    shared: int
    """Requests that joined an equal one under way."""
    passed: int
    """Requests without a `cache_key`."""


@dataclass(frozen=True, slots=True)
class RolloutStatistics:
    """One rollout, as it is followed."""

    model: str
    stage: str
    serving: int
    candidate: int
    """0 = none."""
    share: float
    shadow: ShadowReport | None
    """What the candidate's shadow has seen; None in other stages."""
    experiment: ExperimentReport | None
    """What came of the decisions of both sides, in all servers of the folder; None in other stages than AB."""


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """All of a server."""

    refreshes: int
    """Looks at the folder that went through."""
    versions: tuple[VersionStatistics, ...]
    rollouts: tuple[RolloutStatistics, ...]
    chains: tuple[ChainStatistics, ...]
    cache: CacheStatistics
    problems: dict[str, str]
    """What is wrong now, by what it is about: "actor:4", "rollout of actor", "chain actor", "folder"."""


def version_statistics(
    statuses: Iterable[VersionStatus], members: Iterable[Member]
) -> tuple[VersionStatistics, ...]:
    """Return every version that was wanted, with the counters of its batcher."""
    asked = {member.manifest.key: member for member in members}
    found = []
    for status in statuses:
        key = f"{status.name}:{status.version}"
        member = asked.get(key)
        counted = {} if member is None else _counted(member)
        found.append(VersionStatistics(key, status.state.value, status.reason, **counted))
    return tuple(found)


def _counted(member: Member) -> dict[str, int]:
    counts = member.batcher.statistics
    return {
        "requests": counts.requests,
        "rows": counts.rows,
        "batches": counts.batches,
        "failures": counts.failures,
        "timeouts": counts.timeouts,
        "refused": counts.refused,
        "deadline_drops": counts.deadline_drops,
        "queue_micros_p99": counts.queue_micros.percentile(99),
        "compute_micros_p99": counts.compute_micros.percentile(99),
    }


def chain_statistics(chains: Mapping[str, FallbackChain]) -> tuple[ChainStatistics, ...]:
    """Return every chain with its steps."""
    return tuple(
        ChainStatistics(name, tuple(map(_step, chain.steps)), chain.held)
        for name, chain in chains.items()
    )


def _step(guard: Guard) -> StepStatistics:
    gave_up = {reason.value: count for reason, count in guard.gave_up.items() if count}
    return StepStatistics(
        guard.name, guard.answers, gave_up, guard.breaker.state.value, guard.last_error
    )


def cache_statistics(results: ResultCache) -> CacheStatistics:
    """Return the counters of a cache."""
    cache = results.cache
    return CacheStatistics(
        entries=len(cache),
        size_bytes=cache.bytes,
        hits=cache.hits,
        misses=cache.misses,
        expired=cache.expired,
        outdated=cache.outdated,
        evicted=cache.evicted,
        shared=results.flights.shared,
        passed=results.passed,
    )


def rollout_statistics(
    rollouts: Iterable[Rollout],
    shadows: Mapping[str, Shadow],
    experiment_of: Callable[[str], ExperimentReport | None],
) -> tuple[RolloutStatistics, ...]:
    """Return every rollout that is followed."""
    return tuple(
        RolloutStatistics(
            each.model,
            each.stage.value,
            each.serving,
            each.candidate,
            each.share,
            shadows[each.model].report() if each.model in shadows else None,
            experiment_of(each.model),
        )
        for each in rollouts
    )
