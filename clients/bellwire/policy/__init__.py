"""Policies without I/O: when to try again, whom to choose, what to remember."""

from bellwire.policy.backoff import Backoff
from bellwire.policy.balancer import pick_of_two
from bellwire.policy.bounded_cache import BoundedCache, CacheBounds
from bellwire.policy.breaker import Breaker, BreakerState
from bellwire.policy.generations import Generations
from bellwire.policy.owner_search import OwnerSearch
from bellwire.policy.single_flight import SingleFlight

__all__ = [
    "Backoff",
    "BoundedCache",
    "Breaker",
    "BreakerState",
    "CacheBounds",
    "Generations",
    "OwnerSearch",
    "SingleFlight",
    "pick_of_two",
]
