"""Cacheable calls: which they are, under which key, and what of an answer is kept."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
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
from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.levels import CacheLevels
from bellwire.coordinator.cache.question import Level, Question
from bellwire.coordinator.cache.redis_level import RedisLevel
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.cache.source_level import SourceLevel
from bellwire.coordinator.core.fleet import Callee
from bellwire.coordinator.core.remotes import RemoteAgent
from bellwire.telemetry import names, record_span

_log = logging.getLogger("bellwire.coordinator")
Dispatch = Callable[[InvokeRequest, float, str], Awaitable[InvokeResponse]]
MILLIS: Final = 1_000
DIGEST_BYTES: Final = 16
POLICIES_KEPT: Final = 10_000
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
    """

    version: str
    ttl_seconds: float


class Declarations(Protocol):
    """Knows what agents declare: a `Registry`, or a `Fleet` where there are other coordinators."""

    @property
    def revision(self) -> int:
        """Grows whenever an agent comes or goes."""
        ...

    def with_capability(self, name: str) -> Sequence[Callee]:
        """Return the live agents that have a capability."""
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
    """

    def __init__(
        self,
        registry: Declarations,
        settings: CacheSettings,
        *,
        waiting_max: int,
        call_seconds: float,
        source: ValueSource | None = None,
    ) -> None:
        """Begin with nothing; `open` looks at Redis.

        Args:
            registry: Tells what is cacheable.
            settings: Bounds.
            waiting_max: Cacheable calls under way at once; policy REFUSE.
            call_seconds: How long a call may take that has more callers than the one who began it.
            source: The third level; None = there is none.

        Raises:
            SettingsError: The address of Redis cannot be read, or redis-py is not installed.
        """
        self._registry = registry
        self._call_seconds = call_seconds
        self._policies: dict[str, tuple[int, CallPolicy | None]] = {}
        self.levels: CacheLevels[InvokeResponse] = CacheLevels(
            settings,
            InvokeResponseCodec(),
            waiting_max=waiting_max,
            redis=RedisLevel(settings) if settings.redis else None,
            store=SourceLevel(source, settings.store_timeout_seconds) if source else None,
        )

    async def open(self) -> None:
        """Look at Redis.

        Raises:
            RedisRefusedError: It does not let us in; one that is only absent may come later.
        """
        if self.levels.redis is not None:
            await self.levels.redis.open()

    async def close(self) -> None:
        """Call off what is under way and close the connections."""
        await self.levels.close()

    def declared_by(self, agents: Declarations) -> None:
        """Have these tell what is cacheable from now on."""
        self._registry = agents
        self._policies.clear()

    def policy(self, request: InvokeRequest) -> CallPolicy | None:
        """Return how the answer to a request is cached; None = it is not."""
        if request.routing.policy not in ANY_AGENT:
            return None
        revision = self._registry.revision
        known = self._policies.get(request.capability)
        if known is None or known[0] != revision:
            policy = self._declared(request.capability)
            if len(self._policies) >= POLICIES_KEPT:
                self._policies.clear()
            known = self._policies[request.capability] = (revision, policy)
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

    def on_readable(self, topic: str) -> None:
        """Outdate what a topic's messages outdate, now that they can be read."""
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
        return CallPolicy(_version(sessions), ttl)


def digest_of(request: InvokeRequest, principal: str) -> str:
    """Return what tells one question to a capability from another.

    JSON objects that differ only in blanks and the order of their names are one question.
    """
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in (principal.encode(), request.content_type.encode(), _canonical(request)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _canonical(request: InvokeRequest) -> bytes:
    if request.content_type not in ("", "application/json"):
        return request.arguments
    try:
        value = json.loads(request.arguments, object_pairs_hook=_without_twins, parse_float=_exact)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return request.arguments


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse objects with a name twice: which one counts is for the agent to say."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _exact(text: str) -> float:
    """Refuse numbers that are not what is written: somebody may read more digits of them than we do."""
    number = float(text)
    if repr(number) != text:
        raise ValueError(f"{text} is written otherwise here")
    return number


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
