"""Several endpoints that do the same, such as one process per core: who is asked next."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from random import randrange as _randrange

from bellwire.agents.inference.endpoint import (
    Endpoint,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.guard import Guard, GuardSettings, NoEndpointError, models_of
from bellwire.agents.inference.model import ModelManifest
from bellwire.policy.balancer import pick_of_two
from bellwire.wire.errors import BellwireError, CallerError, DeadlineExceededError
from bellwire.wire.settings import check_settings, setting


class BalancePolicy(StrEnum):
    """How an endpoint is chosen."""

    LEAST_OUTSTANDING = "LEAST_OUTSTANDING"
    """Of two drawn at random the one with fewer requests under way."""
    ROUND_ROBIN = "ROUND_ROBIN"
    """Whoever was asked longest ago; one behind its breaker keeps its turn."""


@dataclass(frozen=True, slots=True)
class BalanceSettings:
    """How requests are spread."""

    policy: str = field(
        default=BalancePolicy.LEAST_OUTSTANDING.value,
        metadata=setting(
            unit="",
            why="follows what endpoints really do; in turn is right when all requests cost the same",
            choices=tuple(policy.value for policy in BalancePolicy),
        ),
    )
    tries_max: int = field(
        default=2,
        metadata=setting(
            unit="endpoints",
            why="one that fails is an accident of its own; a request that fails twice fails everywhere",
            ge=1,
            le=16,
        ),
    )
    members_max: int = field(
        default=256,
        metadata=setting(unit="endpoints", why="more than one host has cores", ge=1, le=65_536),
    )

    def __post_init__(self) -> None:
        check_settings(self)


class BalancedEndpoint:
    """An `Endpoint` over several that serve the same models.

    One that fails is left alone by its breaker, and the request goes to another, `tries_max` times in all:
    inference has no effect, so asking twice does no harm. The caller's deadline bounds all tries together.

    Attributes:
        retried: Tries after a request's first one.
    """

    def __init__(
        self,
        settings: BalanceSettings | None = None,
        guard: GuardSettings | None = None,
        randrange: Callable[[int], int] = _randrange,
    ) -> None:
        """Begin with no member.

        Args:
            settings: How to choose.
            guard: Timeout and breaker of every member.
            randrange: Returns an integer in [0, n); injected by tests.
        """
        self._settings = settings or BalanceSettings()
        self._guard = guard or GuardSettings()
        self._randrange = randrange
        self._members: list[Guard] = []
        self._turns: OrderedDict[Guard, None] = OrderedDict()  # Next one first.
        self.retried = 0

    @property
    def members(self) -> tuple[Guard, ...]:
        """Those there are, in the order they came."""
        return tuple(self._members)

    def add(self, name: str, endpoint: Endpoint) -> None:
        """Ask one more from now on.

        Raises:
            CallerError: There is one of that name, or there are too many.
        """
        if any(member.name == name for member in self._members):
            raise CallerError(f"endpoint {name!r} is there already: remove it first")
        if len(self._members) >= self._settings.members_max:
            raise CallerError(f"there are {len(self._members)} endpoints, that is the limit")
        member = Guard(name, endpoint, self._guard)
        self._members.append(member)
        self._turns[member] = None

    def remove(self, name: str) -> bool:
        """Ask it no more; what is under way there may end. False = there is none of that name."""
        kept = [member for member in self._members if member.name != name]
        is_gone = len(kept) < len(self._members)
        self._members = kept
        self._turns = OrderedDict((each, None) for each in self._turns if each in kept)
        return is_gone

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer by one of the members.

        Raises:
            CallerError: The request itself is wrong.
            DeadlineExceededError: Its deadline has passed.
            NoEndpointError: Nobody could be asked.
            BellwireError: Of the last one asked.
        """
        deadline = request.deadline_seconds or inf
        untried = list(self._members)
        tries = 0
        error: BellwireError | None = None
        while untried and tries < self._settings.tries_max:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _too_late(request)
            member = self._pick(untried)
            untried.remove(member)
            self.retried += tries > 0
            found = await member.ask(request, left)
            if isinstance(found, InferenceResult):
                return found
            if found.reason is FallbackReason.BREAKER_OPEN:
                self._turn(member, is_over=False)
            else:
                tries += 1
            error = found.error or error
        raise error or NoEndpointError(
            tuple(member.name for member in self._members), self._guard.open_seconds_min
        )

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every model that at least one member serves, once each."""
        return models_of(self._members)

    def _pick(self, candidates: Sequence[Guard]) -> Guard:
        if self._settings.policy == BalancePolicy.LEAST_OUTSTANDING:
            return pick_of_two(candidates, lambda each: each.outstanding, self._randrange)
        first = next((each for each in self._turns if each in candidates), candidates[0])
        self._turn(first, is_over=True)
        return first

    def _turn(self, member: Guard, *, is_over: bool) -> None:
        if member in self._turns:  # It may have been removed meanwhile.
            self._turns.move_to_end(member, last=is_over)


def _too_late(request: InferenceRequest) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the deadline of a request for {request.model!r} has passed: nobody else was asked"
    )
