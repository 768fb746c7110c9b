"""The RPCs of a term, and their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bellwire.bus.v1 import publisher_pb2
from bellwire.coordinator.cluster.term import Term
from bellwire.wire.errors import NotOwnerError, PeerError

SERVICE = publisher_pb2.DESCRIPTOR.services_by_name["PublisherService"]
UNARY, STREAM = SERVICE.methods_by_name["Publish"], SERVICE.methods_by_name["PublishStream"]
OVER = NotOwnerError("b is active", metadata={"owner": "b:1"})


def allowed() -> None:
    """Serve."""


async def hang(request: Any, context: Any) -> None:
    await asyncio.Event().wait()


async def begun(term: Term, method: Any) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(term.guard(hang, method)(None, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return task


async def test_the_end_of_a_term_tells_streams_who_is_active() -> None:
    term = Term(allowed)
    task = await begun(term, STREAM)
    await term.end(OVER)
    with pytest.raises(NotOwnerError) as ended:
        await task
    assert ended.value.owner == "b:1"


async def test_what_was_under_way_is_not_said_to_be_undone() -> None:
    term = Term(allowed)
    task = await begun(term, UNARY)
    await term.end(OVER)
    with pytest.raises(PeerError, match="whether it was carried out is unknown") as ended:
        await task
    assert not isinstance(ended.value, NotOwnerError)


async def test_a_caller_that_goes_away_is_cancelled_as_ever() -> None:
    term = Term(allowed)
    task = await begun(term, UNARY)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await term.end(OVER)


async def test_what_may_not_be_served_is_not_begun() -> None:
    def refuse() -> None:
        raise OVER

    with pytest.raises(NotOwnerError):
        await Term(refuse).guard(hang, UNARY)(None, None)  # type: ignore[arg-type]
