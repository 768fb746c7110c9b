"""Requests and results as messages of the contract."""

import numpy as np
import pytest
from tests.unit.agents.inference.linear import observations

from bellwire.agent.v1 import inference_pb2 as pb
from bellwire.agents.inference import (
    CloseReason,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
)
from bellwire.agents.inference.errors import InvalidDeadlineError
from bellwire.agents.inference.tensor import TENSORS_MAX
from bellwire.agents.inference.wire import (
    deadline_seconds,
    error_response,
    from_request,
    from_result,
    to_request,
    to_result,
    with_deadline,
)
from bellwire.wire.errors import AgentBusyError, CallerError, DeadlineExceededError

NOW_UNIX_NANO, NOW_SECONDS = 1_700_000_000_000_000_000, 5.0


def read(message: pb.InferRequest) -> InferenceRequest:
    return to_request(message, NOW_UNIX_NANO, NOW_SECONDS)


def tensor(name: str = "x", **fields) -> pb.Tensor:
    given = {"type": pb.TENSOR_TYPE_FP32, "shape": [1], "data": bytes(4), **fields}
    return pb.Tensor(name=name, **given)


def test_a_request_comes_back_as_it_went_but_for_its_deadline() -> None:
    request = InferenceRequest(
        "tactical", {"x": observations()}, 3, "EURUSD", "EURUSD/1", 7, deadline_seconds=9.0
    )
    back = read(pb.InferRequest.FromString(from_request(request).SerializeToString()))
    assert (back.model, back.version, back.key) == ("tactical", 3, "EURUSD")
    assert (back.cache_key, back.priority, back.deadline_seconds) == ("EURUSD/1", 7, 0.0)
    np.testing.assert_array_equal(back.inputs["x"], observations())
    assert not back.inputs["x"].flags.writeable


def test_a_result_comes_back_as_it_went() -> None:
    result = InferenceResult(
        outputs={"p": observations()},
        answered_by="tactical:3",
        quantization="int8-static",
        fallbacks=(Fallback("tactical:4", FallbackReason.TIMEOUT),),
        is_cached=True,
        batch_size=64,
        close_reason=CloseReason.FULL,
        queue_seconds=0.000_012,
        compute_seconds=0.002,
    )
    back = to_result(pb.InferResponse.FromString(from_result(result).SerializeToString()))
    np.testing.assert_array_equal(back.outputs["p"], observations())
    for name in (
        "answered_by", "quantization", "fallbacks", "is_cached", "batch_size",
        "close_reason", "queue_seconds", "compute_seconds",
    ):  # fmt: skip
        assert getattr(back, name) == getattr(result, name), name


@pytest.mark.parametrize("reason", [None, *CloseReason])
def test_every_close_reason_has_a_number(reason) -> None:
    result = InferenceResult({}, "rules", close_reason=reason)
    assert to_result(from_result(result)).close_reason is reason


@pytest.mark.parametrize("reason", list(FallbackReason))
def test_every_fallback_reason_has_a_number(reason) -> None:
    result = InferenceResult({}, "rules", fallbacks=(Fallback("a:1", reason),))
    assert to_result(from_result(result)).fallbacks == (Fallback("a:1", reason),)


def test_a_wall_clock_deadline_is_told_on_the_monotonic_clock() -> None:
    message = pb.InferRequest(deadline_unix_nano=NOW_UNIX_NANO + 250_000_000)
    assert read(message).deadline_seconds == pytest.approx(5.25)


def test_a_deadline_that_is_past_is_refused_with_how_long_ago_it_was() -> None:
    with pytest.raises(DeadlineExceededError, match=r"had passed 1\.5 s before"):
        deadline_seconds(NOW_UNIX_NANO - 1_500_000_000, NOW_UNIX_NANO, NOW_SECONDS)
    with pytest.raises(DeadlineExceededError, match=r"had passed 2\.5 ms before"):
        deadline_seconds(NOW_UNIX_NANO - 2_500_000, NOW_UNIX_NANO, NOW_SECONDS)
    with pytest.raises(DeadlineExceededError, match="had passed 3 days before"):
        deadline_seconds(NOW_UNIX_NANO - 3 * 86_400 * 10**9, NOW_UNIX_NANO, NOW_SECONDS)


@pytest.mark.parametrize("never_meant", [1, 5_000, NOW_UNIX_NANO // 1_000_000_000, 1_000_000_000])
def test_a_duration_or_seconds_in_place_of_a_deadline_are_the_callers_fault(
    never_meant: int,
) -> None:
    with pytest.raises(InvalidDeadlineError, match=f"is {never_meant}, which was before 2001"):
        deadline_seconds(never_meant, NOW_UNIX_NANO, NOW_SECONDS)


@pytest.mark.parametrize(
    ("own", "other", "kept"),
    [(0.0, 0.0, 0.0), (0.0, 7.0, 7.0), (6.0, 7.0, 6.0), (8.0, 7.0, 7.0), (8.0, 0.0, 8.0)],
)
def test_the_earlier_deadline_counts(own: float, other: float, kept: float) -> None:
    request = InferenceRequest("m", {}, deadline_seconds=own)
    assert with_deadline(request, other).deadline_seconds == kept


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ([tensor(), tensor()], "tensor 'x' is there twice"),
        ([tensor("")], "a name of 0 bytes, expected 1 to 128"),
        ([tensor("n" * 129)], "a name of 129 bytes"),
        ([tensor(f"x{n}") for n in range(TENSORS_MAX + 1)], "tensor 'x64' is one of 65 tensors"),
        ([tensor(type=0)], "of dtype 'number 0'"),
        ([tensor(type=99)], "of dtype 'number 99'"),
        ([tensor(shape=[2])], "4 bytes long, expected 8 bytes for FP32 of shape (2,)"),
    ],
)
def test_a_tensor_that_is_wrong_is_named(tensors: list[pb.Tensor], says: str) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        read(pb.InferRequest(inputs=tensors))
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"key": "k" * 257}, "key holds 257 bytes, limit is 256"),
        ({"cache_key": "ü" * 129}, "cache_key holds 258 bytes"),
        ({"priority": 8}, "priority is 8; 0, which is first, to 7 exist"),
    ],
)
def test_texts_and_the_priority_are_bounded(fields, says) -> None:
    with pytest.raises(CallerError, match=says):
        read(pb.InferRequest(**fields))


def test_an_error_in_an_answer_is_raised_as_its_class() -> None:
    message = error_response(AgentBusyError("full", retry_delay_seconds=0.25))
    with pytest.raises(AgentBusyError) as caught:
        to_result(message)
    assert (caught.value.message, caught.value.retry_delay_seconds) == ("full", 0.25)
