"""Ends RPCs with google.rpc.Status, so that every client gets the reason and not only a code."""

from __future__ import annotations

from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from bellwire.wire.errors import ERROR_DOMAIN, BellwireError, CapacityError, to_item_error

DETAILS_KEY: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

ServicerContext = grpc.aio.ServicerContext[Any, Any]


def rich_status(error: BellwireError) -> status_pb2.Status:
    """Put an error into a google.rpc.Status with ErrorInfo, and RetryInfo or QuotaFailure where known."""
    item = to_item_error(error)
    status = status_pb2.Status(code=item.code, message=item.message)
    details = [
        error_details_pb2.ErrorInfo(reason=item.reason, domain=ERROR_DOMAIN, metadata=item.metadata)
    ]
    if error.retry_delay_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_delay_seconds * 1e9))
        details.append(retry)
    if isinstance(error, CapacityError):
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=item.reason, description=item.message
        )
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


async def abort(context: ServicerContext, error: BellwireError) -> NoReturn:
    """End the RPC with the error, beside whatever trailers were set before."""
    status = rich_status(error)
    details = (DETAILS_KEY, status.SerializeToString())
    trailers = (*(context.trailing_metadata() or ()), details)
    await context.abort(_CODES[status.code], status.message, trailers)
    raise AssertionError("abort returned")  # pragma: no cover - grpc raises.


def time_left(context: ServicerContext, default_seconds: float) -> float:
    """Return the seconds until the RPC's deadline, or the default when it has none."""
    # The stubs promise a number; without a deadline it is None.
    remaining = cast("float | None", context.time_remaining())
    return default_seconds if remaining is None else remaining
