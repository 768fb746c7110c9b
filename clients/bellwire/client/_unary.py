"""One request, one answer, and errors of the bus instead of gRPC's."""

from __future__ import annotations

from typing import TypeVar

import grpc

from bellwire.client.errors import timed_out
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import DeadlineExceededError

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


async def request(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    message: RequestT,
    seconds: float,
    waited_for: str,
    *,
    wait_for_ready: bool = True,
) -> ResponseT:
    """Call a method and return its answer.

    Args:
        method: What to call.
        message: The request.
        seconds: Deadline.
        waited_for: What to say when it passes.
        wait_for_ready: Within the deadline wait for the connection, too, instead of failing at once.

    Raises:
        DeadlineExceededError: No answer within `seconds`.
        BellwireError: What the peer answered instead.
    """
    try:
        return await method(message, timeout=seconds, wait_for_ready=wait_for_ready)
    except grpc.aio.AioRpcError as error:
        rebuilt = error_from_rpc(error, waited_for)
        if type(rebuilt) is DeadlineExceededError:
            raise timed_out(seconds, waited_for, error.details() or "") from None
        raise rebuilt from None
