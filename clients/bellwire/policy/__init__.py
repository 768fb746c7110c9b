"""Policies without I/O: when to try again, whom to choose, what to remember."""

from bellwire.policy.backoff import Backoff
from bellwire.policy.balancer import pick_of_two
from bellwire.policy.lru import LruTtlCache
from bellwire.policy.owner_search import OwnerSearch

__all__ = ["Backoff", "LruTtlCache", "OwnerSearch", "pick_of_two"]
