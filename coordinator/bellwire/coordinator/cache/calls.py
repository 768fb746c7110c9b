"""Cacheable calls: which they are, under which key, and what of an answer is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_LEAST_LOADED,
    ROUTING_POLICY_ROUND_ROBIN,
    ROUTING_POLICY_UNSPECIFIED,
    CacheLevel,
    InvokeRequest,
    InvokeResponse,
)
from bellwire.coordinator.cache.digest import digest_of
from bellwire.coordinator.cache.hearing import OutdatingFeed
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.levels import CacheLevels
from bellwire.coordinator.cache.marks import mark_of
from bellwire.coordinator.cache.question import Level, Question
from bellwire.coordinator.cache.redis_level import RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.cache.source_level import SourceLevel
from bellwire.coordinator.core.fleet import Callee
from bellwire.coordinator.core.remotes import RemoteAgent
from bellwire.coordinator.core.topic import Topic
from bellwire.telemetry import names, record_span
from bellwire.wire.topic import TopicPattern

_log = logging.getLogger("bellwire.coordinator")
Dispatch = Callable[[InvokeRequest, float, str], Awaitable[InvokeResponse]]
MILLIS: Final = 1_000
POLICIES_KEPT: Final = 10_000
NEVER_OUTDATED: Final = "-"  # The validity of answers that no message outdates.
# Who asks for one agent in particular asks for its state, which another one's answer does not tell.
ANY_AGENT: Final = (
    ROUTING_POLICY_UNSPECIFIED,
    ROUTING_POLICY_LEAST_LOADED,
    ROUTING_POLICY_ROUND_ROBIN,
)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How answers of a capability are cached.

    Attributes:
        version: Changes with the agents that give them, and their versions.
        ttl_seconds: The shortest that any of them declares.
        outdated_by: The topics and patterns that any of them names.
        patterns: The same, ready to match.
    """

    version: str
    ttl_seconds: float
    outdated_by: tuple[str, ...] = ()
    patterns: tuple[TopicPattern, ...] = ()


class Declarations(Protocol):
    """Knows what agents declare: a `Registry`, or a `Fleet` where there are other coordinators."""

    @property
    def revision(self) -> int:
        """Grows whenever an agent comes or goes."""
        ...

    def with_capability(self, name: str) -> Sequence[Callee]:
        """Return the live agents that have a capability."""
        ...

    def capability_names(self) -> Iterable[str]:
        """Return the names of what the live agents can be called for."""
        ...


class InvokeResponseCodec:
    """Answers as they are kept: as they came, without the level they came from."""

    def encode(self, value: InvokeResponse) -> bytes:
        """Return an answer as bytes."""
        return value.SerializeToString()

    def decode(self, data: bytes) -> InvokeResponse:
        """Return what was encoded; raises ValueError for anything else."""
        try:
            return InvokeResponse.FromString(data)
        except DecodeError as error:
            raise ValueError(f"no InvokeResponse: {error}") from None

    def is_negative(self, value: InvokeResponse) -> bool:
        """Tell whether the capability itself failed."""
        return value.is_error


class CallCache:
    """Stands before the dispatcher for capabilities whose agents declare them cacheable.

    Attributes:
        levels: Where answers are kept.
        feed: Hears what other coordinators outdate; None without Redis.
    """

    def __init__(
        self,
        registry: Declarations,
        settings: CacheSettings,
        *,
        waiting_max: int,
        call_seconds: float,
        source: ValueSource | None = None,
        topics: Callable[[], Mapping[str, Topic]] = dict,
        has_all_topics: bool = True,
    ) -> None:
        """Begin with nothing; `open` looks at Redis.

        Args:
            registry: Tells what is cacheable.
            settings: Bounds.
            waiting_max: Cacheable calls under way at once; policy REFUSE.
            call_seconds: How long a call may take that has more callers than the one who began it.
            source: The third level; None = there is none.
            topics: Those of this coordinator; they tell whether an answer in the store is meant.
            has_all_topics: Whether there is no other coordinator with topics of its own.

        Raises:
            SettingsError: The address of Redis cannot be read, or redis-py is not installed.
        """
        self._registry = registry
        self._call_seconds = call_seconds
        self._policies: dict[str, tuple[int, CallPolicy | None]] = {}
        self._watched_revision = 0
        self._topics = topics
        self._has_all_topics = has_all_topics
        self._store_beyond_seconds = settings.redis_ttl_seconds
        redis = RedisLevel(settings) if settings.redis else None
        self.levels: CacheLevels[InvokeResponse] = CacheLevels(
            settings,
            InvokeResponseCodec(),
            waiting_max=waiting_max,
            redis=redis,
            store=SourceLevel(source, settings.store_timeout_seconds) if source else None,
        )
        self.feed = (
            OutdatingFeed(
                settings,
                redis.node,
                on_space=self.levels.heard,
                on_gap=self.levels.heard_nothing,
            )
            if redis is not None
            else None
        )

    async def open(self) -> None:
        """Look at Redis and at the store.

        Raises:
            RedisRefusedError: It does not let us in; one that is only absent may come later.
        """
        if self.levels.redis is not None:
            await self.levels.redis.open()
        if self.feed is not None:
            self.feed.start()
        if self.levels.store is not None:
            await self.levels.store.open()

    async def close(self) -> None:
        """Call off what is under way and close the connections."""
        if self.feed is not None:
            await self.feed.close()
        await self.levels.close()

    def declared_by(self, agents: Declarations) -> None:
        """Have these tell what is cacheable from now on."""
        self._registry = agents
        self._policies.clear()

    def policy(self, request: InvokeRequest) -> CallPolicy | None:
        """Return how the answer to a request is cached; None = it is not."""
        return self._policy(request.capability) if request.routing.policy in ANY_AGENT else None

    def _policy(self, capability: str) -> CallPolicy | None:
        revision = self._registry.revision
        known = self._policies.get(capability)
        if known is None or known[0] != revision:
            policy = self._declared(capability)
            if len(self._policies) >= POLICIES_KEPT:
                self._policies.clear()
            known = self._policies[capability] = (revision, policy)
        return known[1]

    async def invoke(
        self,
        policy: CallPolicy,
        request: InvokeRequest,
        timeout_seconds: float,
        principal: str,
        dispatch: Dispatch,
    ) -> InvokeResponse:
        """Answer a call from the cache, else by `dispatch`.

        Raises:
            BellwireError: See `CacheLevels.answer`, and whatever `dispatch` raises.
        """
        began_ns = time.time_ns()

        async def make(seconds: float) -> InvokeResponse:
            return await dispatch(request, seconds, principal)

        question = Question(
            CacheKey(request.capability, policy.version, digest_of(request, principal)),
            policy.ttl_seconds,
            make,
            max(timeout_seconds, self._call_seconds),
            policy.outdated_by,
            lambda: self._validity(policy),
        )
        answer, level = await self.levels.answer(question, timeout_seconds)
        if level is Level.MADE:
            return answer
        # What is kept is shared by all: each gets a copy, which says where it came from.
        copy = InvokeResponse()
        copy.CopyFrom(answer)
        copy.cache_level = CacheLevel.ValueType(level)
        _record_hit(request, began_ns, level)
        return copy

    def _validity(self, policy: CallPolicy) -> str | None:
        """Return what an answer must carry to be meant as long as the store has it; None = it is not for the store."""
        if policy.ttl_seconds <= self._store_beyond_seconds:
            return None
        if not policy.outdated_by:
            return NEVER_OUTDATED
        if not self._has_all_topics and not all(pattern.literal for pattern in policy.patterns):
            return None  # Another coordinator may have a topic that a pattern names.
        return mark_of(self._topics(), policy.patterns)

    def on_readable(self, topic: str) -> None:
        """Outdate what a topic's messages outdate, now that they can be read."""
        if self.feed is not None and self._watched_revision != self._registry.revision:
            # Another coordinator may have answers of capabilities that nobody has asked for here.
            self._watched_revision = self._registry.revision
            for capability in self._registry.capability_names():
                self._policy(capability)
        if self.levels.outdating.is_watching:
            self.levels.outdate_by(topic)

    def _declared(self, capability: str) -> CallPolicy | None:
        sessions = self._registry.with_capability(capability)
        policies = [session.capabilities[capability].cache for session in sessions]
        # One agent that does not declare it makes all its answers uncacheable: nobody knows whose comes.
        if not policies or not all(policy.ttl_millis for policy in policies):
            return None
        patterns = {pattern for policy in policies for pattern in policy.outdated_by}
        # The messages may be at the coordinator to which that agent is connected, which alone hears of them.
        if patterns and any(isinstance(session, RemoteAgent) for session in sessions):
            return None
        if patterns:
            now = asyncio.get_running_loop().time()
            if not self.levels.outdating.watch(capability, sorted(patterns), now):
                _log.warning(
                    "%r is not cached: too many topics outdate it, or too many capabilities",
                    capability,
                )
                return None
            self.levels.tell_redis()
        ttl = min(policy.ttl_millis for policy in policies) / MILLIS
        texts = tuple(sorted(patterns))
        return CallPolicy(_version(sessions), ttl, texts, tuple(map(TopicPattern, texts)))


def _version(sessions: Sequence[Callee]) -> str:
    told = sorted({(session.agent.name, session.agent.version) for session in sessions})
    return blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _record_hit(request: InvokeRequest, began_ns: int, level: Level) -> None:
    """Make the span of a call that no agent has one for."""
    record_span(
        "coordinator",
        f"cached {request.capability}",
        request.traceparent,
        began_ns,
        time.time_ns(),
        attributes={
            names.SYSTEM: names.SYSTEM_BELLWIRE,
            names.GEN_AI_TOOL_NAME: request.capability,
            names.CACHE_LEVEL: level.name.lower(),
        },
    )
