"""Statuses of gRPC become the errors of the bus they were made from."""

from collections.abc import Callable
from typing import cast

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from bellwire.transport.status import FirstStatus, error_from_rpc
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    InternalError,
    NotImplementedYetError,
    PeerError,
    TopicFullError,
    UnknownTopicError,
)


def raised(
    code: grpc.StatusCode, details: str = "", *trailers: tuple[str, bytes]
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details)


def rich(code: grpc.StatusCode, message: str, *details) -> bytes:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    data: bytes = status.SerializeToString()
    return data


def test_the_reason_decides_the_class_and_everything_else_is_kept() -> None:
    info = error_details_pb2.ErrorInfo(
        reason="UNKNOWN_TOPIC", domain="bellwire.dev", metadata={"topic": "bars"}
    )
    data = rich(grpc.StatusCode.NOT_FOUND, "topic 'bars' does not exist", info)
    error = error_from_rpc(
        raised(grpc.StatusCode.NOT_FOUND, "short", ("grpc-status-details-bin", data))
    )
    assert type(error) is UnknownTopicError
    assert error.message == "topic 'bars' does not exist"
    assert error.metadata == {"topic": "bars"}
    assert error.retry_delay_seconds is None


def test_a_delay_to_retry_after_is_read() -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromNanoseconds(1_500_000_000)
    info = error_details_pb2.ErrorInfo(reason="TOPIC_FULL")
    data = rich(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", info, retry)
    error = error_from_rpc(
        raised(grpc.StatusCode.RESOURCE_EXHAUSTED, "", ("grpc-status-details-bin", data))
    )
    assert type(error) is TopicFullError
    assert error.retry_delay_seconds == 1.5


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, PeerError),
        (grpc.StatusCode.CANCELLED, PeerError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceededError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, CapacityError),
        (grpc.StatusCode.INVALID_ARGUMENT, CallerError),
        (grpc.StatusCode.UNIMPLEMENTED, NotImplementedYetError),
        (grpc.StatusCode.INTERNAL, InternalError),
        (grpc.StatusCode.UNKNOWN, BellwireError),
    ],
)
def test_a_bare_status_becomes_the_nearest_error(
    code: grpc.StatusCode, expected: type[BellwireError]
) -> None:
    error = error_from_rpc(raised(code, "failed to connect"), "topics of 127.0.0.1:7400")
    assert type(error) is expected
    assert error.message == "topics of 127.0.0.1:7400: failed to connect"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff", rich(grpc.StatusCode.NOT_FOUND, "another error's details")],
    ids=["garbage", "of another code"],
)
def test_details_that_do_not_belong_to_the_status_are_not_believed(data: bytes) -> None:
    error = error_from_rpc(
        raised(grpc.StatusCode.INTERNAL, "plain", ("grpc-status-details-bin", data))
    )
    assert (type(error), error.message) == (InternalError, "plain")


class Replaced:
    """A call whose status is put in the place of another one, as gRPC does when a write fails late."""

    def __init__(self) -> None:
        self.status = (grpc.StatusCode.OK, "")
        self._callbacks: list[Callable[[object], None]] = []

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self._callbacks.append(callback)

    def end(self, code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
        self.status = (code, details)
        for callback in self._callbacks:
            callback(self)
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)

    async def code(self) -> grpc.StatusCode:
        return self.status[0]

    async def details(self) -> str:
        return self.status[1]

    async def initial_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()


def test_the_status_that_came_first_is_the_one_that_counts() -> None:
    call = Replaced()
    first = FirstStatus(cast(grpc.aio.Call, call))
    call.end(grpc.StatusCode.RESOURCE_EXHAUSTED, "read faster")
    late = call.end(grpc.StatusCode.INTERNAL, "Internal error from Core")
    found = first.instead_of(late)
    assert (found.code(), found.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "read faster")


def test_without_an_earlier_status_an_error_stays_what_it_is() -> None:
    first = FirstStatus(cast(grpc.aio.Call, Replaced()))
    error = Replaced().end(grpc.StatusCode.UNAVAILABLE, "cut")
    assert first.instead_of(error) is error
