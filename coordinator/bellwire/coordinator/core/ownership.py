"""Which topics are this coordinator's, where several groups of coordinators share them out."""

from __future__ import annotations

from typing import Protocol

from bellwire.wire.errors import NotOwnerError

__all__ = ["Ownership"]


class Ownership(Protocol):
    """Knows the group of every topic; what it answers may change."""

    def owns(self, topic: str) -> bool:
        """Tell whether a topic is this coordinator's."""
        ...

    def refusal(self, topic: str) -> NotOwnerError:
        """Return what a request about a topic is refused with that is not."""
        ...
