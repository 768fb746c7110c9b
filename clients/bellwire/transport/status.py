"""Turns what gRPC raises into errors of the bus."""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from bellwire.wire.errors import BellwireError, error_for

__all__ = ["error_from_rpc"]

STATUS_DETAILS_KEY: Final = (
    "grpc-status-details-bin"  # gRPC's name for google.rpc.Status in trailers.
)


def error_from_rpc(error: grpc.aio.AioRpcError, doing: str = "") -> BellwireError:
    """Rebuild the error a peer sent, or the nearest one when it sent only a status code.

    Args:
        error: What the RPC raised.
        doing: What was being done and where, put before a status text that no bus wrote.
    """
    code: int = error.code().value[0]
    details = error.details() or ""
    status = _rich_status(error)
    if status is None:
        text = f"{doing}: {details}" if doing and details else doing or details
        return error_for(code, "", text)
    reason, metadata, delay = "", {}, None
    for item in status.details:
        if item.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(item.value)
            reason, metadata = info.reason, dict(info.metadata)
        elif item.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo.FromString(item.value).retry_delay
            delay = retry.seconds + retry.nanos / 1e9
    return error_for(code, reason, status.message or details, metadata, delay)


def _rich_status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Return the google.rpc.Status of the trailers; None when there is none, or not of this error."""
    # A broken connection leaves no trailers at all.
    for key, value in error.trailing_metadata() or ():
        if key != STATUS_DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except DecodeError:
            return None
        return status if status.code == error.code().value[0] else None
    return None
