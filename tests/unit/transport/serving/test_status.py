"""bellwire.transport.serving.status: every error travels as google.rpc.Status and comes back whole."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2
from tests.unit.wire.test_errors import OURS

from bellwire.coordinator.listen import ListenError
from bellwire.coordinator.services.mcp import UnsupportedVersionError
from bellwire.transport.serving.status import DETAILS_KEY, rich_status
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import BellwireError, CallerError, CapacityError, error_for

METADATA_BYTES_MAX = 8 << 10  # gRPC refuses trailers above this.


def over_the_wire(error: BellwireError) -> BellwireError:
    status = rich_status(error)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    trailers = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    sent = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, status.message)
    return error_from_rpc(sent)


@pytest.mark.parametrize(
    "cls", [*OURS, ListenError, UnsupportedVersionError], ids=lambda cls: cls.__name__
)
def test_an_error_comes_back_from_the_trailers_as_what_it_was(cls):
    error = error_for(int(cls.code), cls.reason, "what was wrong", {"found": "7"}, 0.25)
    again = over_the_wire(error)
    assert type(again) is cls
    assert (again.message, again.metadata) == ("what was wrong", {"found": "7"})
    assert again.retry_delay_seconds == 0.25
    assert (again.code, again.reason) == (cls.code, cls.reason)


def test_the_reason_is_in_error_info_under_our_domain():
    detail = rich_status(CallerError("x", metadata={"a": "b"})).details[0]
    info = error_details_pb2.ErrorInfo.FromString(detail.value)
    assert detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "INVALID_ARGUMENT",
        "bellwire.dev",
        {"a": "b"},
    )


def test_a_bound_that_was_reached_is_a_quota_failure_and_a_delay_is_retry_info():
    status = rich_status(CapacityError("full", retry_delay_seconds=1.5))
    urls = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert urls == ["ErrorInfo", "RetryInfo", "QuotaFailure"]
    retry = error_details_pb2.RetryInfo.FromString(status.details[1].value)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


def test_no_delay_means_no_retry_info():
    assert len(rich_status(CallerError("x")).details) == 1


def test_what_a_caller_wrote_never_outgrows_the_trailers():
    error = CallerError(
        "no \N{PILE OF POO}" * 9_999, metadata={f"k{n}": "ä" * 999 for n in range(99)}
    )
    status = rich_status(error)
    percent_encoded = 3 * len(status.message.encode())
    in_base64 = len(status.SerializeToString()) * 4 // 3
    assert percent_encoded + in_base64 < METADATA_BYTES_MAX
