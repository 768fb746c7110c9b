"""bellwire.coordinator.services.forwarded: what a request says that was passed on, and who believes it."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.coordinator.services.context import BareContext
from bellwire.coordinator.services.forwarded import (
    Forwarded,
    forwarded,
    forwarding_metadata,
    is_nothing_done,
    say_nothing_done,
)
from bellwire.wire.errors import NotOwnerError

HERE = "a" * 32


class Context(BareContext):
    """A request with metadata."""

    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        super().__init__()
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata

    def peer(self) -> str:
        return "test"

    async def read(self) -> Any:
        raise NotImplementedError

    async def write(self, message: Any) -> None:
        raise NotImplementedError

    async def abort(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(("principal", "fresh"), [("", False), ("Zoë", True), ("desk", False)])
def test_who_called_and_whether_a_cache_may_answer_travel_along(principal: str, fresh: bool):
    context = Context(("user-agent", "x"), *forwarding_metadata(HERE, principal, fresh=fresh))
    assert forwarded(context, HERE) == Forwarded(principal, fresh)


def test_what_a_client_sends_was_not_passed_on_whatever_else_it_says():
    context = Context(("bellwire-principal-bin", b"somebody"), ("bellwire-fresh", "1"))
    assert forwarded(context, HERE) is None


def test_what_is_meant_for_somebody_else_is_refused():
    with pytest.raises(NotOwnerError):
        forwarded(Context(*forwarding_metadata("b" * 32, "desk", fresh=False)), HERE)


def test_that_nothing_was_done_is_said_in_the_trailers():
    context = Context()
    assert not is_nothing_done(context.trailing_metadata())
    say_nothing_done(context)
    assert is_nothing_done(context.trailing_metadata())
