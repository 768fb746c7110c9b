"""How a request says that another coordinator has passed it on, and an answer that nothing was done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import NotOwnerError

__all__ = ["Forwarded", "forwarded", "forwarding_metadata", "is_nothing_done", "say_nothing_done"]

# The id of the coordinator it is meant for. Ids are random and known from the directory only, so that nobody else
# speaks for a caller, and whoever has an address of before is told.
MEANT_FOR: Final = "bellwire-meant-for"
FRESH: Final = "bellwire-fresh"
PRINCIPAL: Final = "bellwire-principal-bin"
NOTHING_DONE: Final = "bellwire-nothing-done"  # A trailer.
YES: Final = "1"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a request says that was passed on.

    Attributes:
        principal: Who called, as the coordinator found that was called.
        fresh: Whether an agent is to answer it, and not a cache.
    """

    principal: str
    fresh: bool


def forwarding_metadata(
    meant_for: str, principal: str, *, fresh: bool
) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata of a request that is passed on to a coordinator of that id."""
    metadata: list[tuple[str, str | bytes]] = [(MEANT_FOR, meant_for)]
    if fresh:
        metadata.append((FRESH, YES))
    if principal:
        metadata.append((PRINCIPAL, principal.encode()))
    return tuple(metadata)


def forwarded(context: ServicerContext, here: str) -> Forwarded | None:
    """Return what a request says that was passed on; None = it was not.

    Args:
        context: Of the request.
        here: Id of this coordinator.

    Raises:
        NotOwnerError: It is meant for somebody else; nothing is done.
    """
    found = dict(context.invocation_metadata() or ())
    meant_for = found.get(MEANT_FOR)
    if meant_for is None:
        return None
    if meant_for != here:
        raise NotOwnerError(
            "the request was passed on to a coordinator that is not active here any more: ask again"
        )
    principal = found.get(PRINCIPAL, b"")
    text = principal.decode(errors="replace") if isinstance(principal, bytes) else principal
    return Forwarded(text, found.get(FRESH) == YES)


def say_nothing_done(context: ServicerContext) -> None:
    """Have the answer say that no agent has got the call."""
    context.set_trailing_metadata(((NOTHING_DONE, YES),))


def is_nothing_done(trailers: Iterable[tuple[str, str | bytes]]) -> bool:
    """Tell whether an answer says that no agent has got the call."""
    return any(key == NOTHING_DONE for key, _ in trailers)
