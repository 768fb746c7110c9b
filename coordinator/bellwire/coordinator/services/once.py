"""Carries out a mutating request once, however often it is sent under one request_id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

from bellwire.coordinator.core.journal import Ticket
from bellwire.coordinator.core.results import digest_of
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.errors import BellwireError, PeerError

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


async def durable(ticket: Ticket | None) -> None:
    """Wait until a group is durable.

    Raises:
        BellwireError: It was not written.
    """
    if ticket is None:
        return
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(error: BellwireError | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    ticket.then(settle)
    await done


async def once(
    state: CoordinatorState,
    rpc: str,
    request: Request,
    response_type: type[Response],
    carry_out: Callable[[], Awaitable[Response]],
    *,
    wait: bool = True,
) -> Response:
    """Return the response of `carry_out`, or the stored one of an earlier call with the same request_id.

    `carry_out` stages what must become durable just before it returns; the stored response travels in the
    same group. An error is not stored: the request may be made again.

    Args:
        state: The coordinator.
        rpc: Full name of the RPC; the same id may be used for another one.
        request: With a `request_id`; empty = not idempotent.
        response_type: To rebuild a stored response.
        carry_out: Does the work.
        wait: Whether to wait until what was staged is durable, also without a request_id.

    Raises:
        IdempotencyKeyReusedError: The id was used for another request.
    """
    results, journal = state.engine.results, state.engine.journal
    request_id: str = request.request_id  # type: ignore[attr-defined]
    if not request_id:
        response = await carry_out()
        await durable(journal.barrier(marks=True) if wait else None)
        return response
    stored: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def waiter(data: bytes | None, error: BellwireError | None) -> None:
        if stored.done():
            return
        if data is None:
            stored.set_exception(error or PeerError("the first request was not finished"))
        else:
            stored.set_result(data)

    if not results.begin(rpc, request_id, digest_of(request), state.engine.clock_ns(), waiter):
        response = response_type.FromString(await stored)
        if "replayed" in response_type.DESCRIPTOR.fields_by_name:
            response.replayed = True  # type: ignore[attr-defined]
        return response
    try:
        response = await carry_out()
        results.finish(rpc, request_id, response.SerializeToString())
    except BaseException as error:
        known = (
            error
            if isinstance(error, BellwireError)
            else PeerError(f"the request ended: {error!r}")
        )
        results.give_up(rpc, request_id, known)
        raise

    # From here on the work is staged together with its response. A caller that goes away while that is being
    # committed must not make the response forgotten: it will ask for it under the same id.
    def settle(error: BellwireError | None) -> None:
        if error is None:  # Otherwise `results` has heard of it from the journal.
            results.settle(rpc, request_id)

    ticket = journal.barrier(marks=True)
    if ticket is None:
        settle(None)
        return response
    ticket.then(settle)
    await durable(ticket)
    return response
