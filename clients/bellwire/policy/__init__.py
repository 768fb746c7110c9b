"""Policies without I/O: when to try again, whom to choose, what to remember."""

from bellwire.policy.backoff import Backoff
from bellwire.policy.balancer import pick_of_two
from bellwire.policy.lru import LruTtlCache

__all__ = ["Backoff", "LruTtlCache", "pick_of_two"]
