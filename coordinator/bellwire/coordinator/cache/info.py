"""What the cache tells of itself."""

from __future__ import annotations

from bellwire.admin.v1.server_pb2 import CacheInfo, CacheLevelInfo
from bellwire.agent.v1.invocation_pb2 import InvokeResponse
from bellwire.coordinator.cache.calls import CallCache
from bellwire.coordinator.cache.latest import LatestKeeper
from bellwire.coordinator.cache.levels import CacheLevels
from bellwire.coordinator.cache.redis_level import RedisLevel
from bellwire.coordinator.cache.source_level import SourceLevel
from bellwire.policy.breaker import BreakerState


def cache_info(cache: CallCache, latest: LatestKeeper) -> CacheInfo:
    """Return the counters of a cache, level by level."""
    levels = cache.levels
    told = [_memory(levels)]
    if levels.redis is not None:
        told.append(_redis(levels.redis))
    if levels.store is not None:
        told.append(_store(levels.store))
    return CacheInfo(
        levels=told,
        made_calls=levels.made,
        failed_calls=levels.failed,
        shared_calls=levels.flights.shared,
        outdated_capabilities=levels.outdating.outdated,
        latest_keys=sum(len(kept.messages) for kept in latest.topics.values()),
        latest_bytes=sum(kept.messages.bytes for kept in latest.topics.values()),
        latest_dropped=sum(kept.messages.dropped for kept in latest.topics.values()),
        latest_levels=_latest_levels(latest) if latest.topics else [],
        heard_outdated=cache.feed.heard if cache.feed is not None else 0,
        hears_others=cache.feed is not None and cache.feed.hears,
        stored_answers=levels.store.written if levels.store is not None else 0,
        unstored_answers=_unstored(levels),
    )


def _latest_levels(latest: LatestKeeper) -> list[CacheLevelInfo]:
    """Return what each level knew of last messages."""
    told = [
        CacheLevelInfo(
            name="memory",
            state=BreakerState.CLOSED.value,
            hits=latest.hits,
            misses=latest.misses,
            stale=latest.expired,
        )
    ]
    redis, below = latest.below.redis, latest.below
    if redis is not None:
        told.append(
            CacheLevelInfo(
                name="redis",
                state=redis.state.value,
                hits=redis.hits,
                misses=redis.misses,
                stale=redis.stale,
                garbage=redis.garbage,
            )
        )
    if below.store is not None:
        told.append(
            CacheLevelInfo(
                name="store",
                state=below.store.state.value,
                hits=below.store_hits,
                misses=below.store_misses,
                stale=below.store_stale,
            )
        )
    return told


def _memory(levels: CacheLevels[InvokeResponse]) -> CacheLevelInfo:
    memory = levels.memory
    return CacheLevelInfo(
        name="memory",
        state=BreakerState.CLOSED.value,
        hits=memory.hits,
        misses=memory.misses,
        stale=memory.expired + memory.outdated,
        entries=len(memory),
        bytes=memory.bytes,
        evicted=memory.evicted,
        refused=memory.refused,
    )


def _unstored(levels: CacheLevels[InvokeResponse]) -> int:
    if levels.store is None or levels.write_behind is None:
        return 0
    return levels.store.write_failures + levels.write_behind.dropped


def _redis(redis: RedisLevel) -> CacheLevelInfo:
    return CacheLevelInfo(
        name="redis",
        state=redis.state.value,
        hits=redis.hits,
        misses=redis.misses,
        stale=redis.outdated,
        garbage=redis.garbage,
        failures=redis.failures,
        skipped=redis.skipped,
    )


def _store(store: SourceLevel) -> CacheLevelInfo:
    return CacheLevelInfo(
        name="store",
        state=store.state.value,
        hits=store.hits,
        misses=store.misses,
        garbage=store.garbage,
        failures=store.failures,
        skipped=store.skipped,
    )
