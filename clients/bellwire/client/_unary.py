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
) -> ResponseT:
    """Call a method and return its answer; within the time it also waits for the connection.

    Raises:
        DeadlineExceededError: No answer within `seconds`.
        BellwireError: What the peer answered instead.
    """
    try:
        return await method(message, timeout=seconds, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        rebuilt = error_from_rpc(error, waited_for)
        if type(rebuilt) is DeadlineExceededError:
            raise timed_out(seconds, waited_for, error.details() or "") from None
        raise rebuilt from None
