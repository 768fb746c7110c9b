"""Under what a value is cached."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CacheKey"]


@dataclass(frozen=True, slots=True)
class CacheKey:
    """A value's place in every level; all keys of a space are in one hash slot of a Redis cluster.

    Attributes:
        space: What is outdated together, for example a capability; `[a-zA-Z0-9._-]{1,249}`.
        version: Of whatever makes the value: another version never sees it.
        digest: Of the question.
    """

    space: str
    version: str
    digest: str

    def text(self, prefix: str) -> str:
        """Return it as a Redis key; the braces are Redis' hash tag."""
        return f"{prefix}:{{{self.space}}}:{self.version}:{self.digest}"


def generation_key(prefix: str, space: str) -> str:
    """Return the Redis key under which a space's generation is kept, in the slot of its values."""
    return f"{prefix}:{{{space}}}:generation"
