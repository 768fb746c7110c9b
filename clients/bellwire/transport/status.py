"""Turns what gRPC raises into errors of the bus."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from bellwire.wire.errors import BellwireError, error_for

__all__ = ["FirstStatus", "error_from_rpc"]

AnswerT = TypeVar("AnswerT")

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


class FirstStatus:
    """The status a call ended with first.

    A message being written while the peer ends the call fails; gRPC (1.85) then puts INTERNAL in place of
    the status that the peer sent, and its reason would be lost.

    Args:
        call: A call that has not ended yet.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        self._error: grpc.aio.AioRpcError | None = None
        call.add_done_callback(self._note)

    def _note(self, call: grpc.aio.Call) -> None:
        code = _answer(call.code())
        if self._error is None and code is not grpc.StatusCode.OK:
            initial, trailing = _answer(call.initial_metadata()), _answer(call.trailing_metadata())
            self._error = grpc.aio.AioRpcError(code, initial, trailing, _answer(call.details()))

    def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Return what the call ended with first, or this when nothing is known of it."""
        return self._error or error


def _answer(asked: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """Await what a call that is done answers without a wait, here and now: its status may be replaced."""
    try:
        asked.send(None)
    except StopIteration as ended:
        answer: AnswerT = ended.value
        return answer
    asked.close()
    raise RuntimeError("the call is not done")


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
