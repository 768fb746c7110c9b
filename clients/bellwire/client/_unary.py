"""One request, one answer, and errors of the bus instead of gRPC's."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import grpc

from bellwire.client.errors import timed_out
from bellwire.policy.backoff import Backoff
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import ClosedError, DeadlineExceededError, NotOwnerError, PeerError

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
READ_AGAIN_FIRST_SECONDS: Final = 0.02  # Above a round trip; jittered, and doubled with each try.
# Of a deadline: whoever we ask has the same one, and may notice a moment before us that it passed.
OURS_FROM: Final = 0.9
READ_AGAIN_MAX_SECONDS: Final = 0.25  # Below what a restarted coordinator may cost.


async def request(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    message: RequestT,
    seconds: float,
    waited_for: str,
    *,
    wait_for_ready: bool = True,
) -> ResponseT:
    """Call a method and return its answer.

    A deadline that passed over there, while ours had not, is told in the peer's own words.

    Args:
        method: What to call.
        message: The request.
        seconds: Deadline.
        waited_for: What to say when it passes.
        wait_for_ready: Within the deadline wait for the connection, too, instead of failing at once.

    Raises:
        DeadlineExceededError: No answer within `seconds`, or what the peer says of another deadline.
        ClosedError: The client was closed meanwhile.
        BellwireError: What the peer answered instead.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    try:
        return await method(message, timeout=seconds, wait_for_ready=wait_for_ready)
    except grpc.aio.AioRpcError as error:
        rebuilt = error_from_rpc(error, waited_for)
        is_ours = clock() - started >= seconds * OURS_FROM
        if type(rebuilt) is DeadlineExceededError and is_ours:
            raise timed_out(seconds, waited_for, error.details() or "") from None
        raise rebuilt from None
    except asyncio.CancelledError:
        # gRPC raises this also where its channel is closed under a call; only a cancelled task may end by it.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ClosedError(f"the client was closed while it waited for {waited_for}") from None


async def read(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    message: RequestT,
    seconds: float,
    waited_for: str,
) -> ResponseT:
    """Call a method that changes nothing, within the deadline again and again while nobody answers.

    gRPC waits for a connection before it sends a request; one that was cut off in the middle it gives up.

    Raises:
        DeadlineExceededError: No answer within `seconds`.
        BellwireError: What the peer answered instead.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    backoff = Backoff(READ_AGAIN_FIRST_SECONDS, READ_AGAIN_MAX_SECONDS)
    left = seconds
    while True:
        try:
            return await request(method, message, left, waited_for)
        except PeerError as error:
            if isinstance(error, NotOwnerError) and error.topic:
                raise  # Another group has the topic: here nothing else would be answered.
            left = deadline - clock() - (delay := backoff.next_delay())
            if not error.retryable or left <= 0:
                raise
        await asyncio.sleep(delay)
