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
    )


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
