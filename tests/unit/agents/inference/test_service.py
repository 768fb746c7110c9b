"""Answers from an endpoint: deadlines passed on, failures as answers, room waited for."""

import time

import numpy as np
import pytest
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agent.v1.inference_pb2 import InferRequest
from bellwire.agents.inference import InferenceRequest, InvalidTensorError
from bellwire.agents.inference.service import InferenceService
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.wire.errors import AgentBusyError, DeadlineExceededError

HOUR_NANOS = 3_600_000_000_000


def message(**fields) -> InferRequest:
    found = from_request(InferenceRequest("tactical", {"x": observations()}))
    found.MergeFrom(InferRequest(**fields))
    return found


async def test_a_request_without_a_model_means_the_one_that_is_served() -> None:
    endpoint = LinearEndpoint()
    asked = message()
    asked.model = ""
    answered = to_result(await InferenceService(endpoint, "tactical").answer(asked))
    assert (endpoint.requests[0].model, answered.answered_by) == ("tactical", "tactical:2")
    np.testing.assert_allclose(answered.outputs["p"].sum(axis=1), 1, rtol=1e-6)


async def test_the_deadline_of_the_call_reaches_the_endpoint() -> None:
    endpoint = LinearEndpoint()
    await InferenceService(endpoint, "tactical").answer(message(), time.time_ns() + HOUR_NANOS)
    left = endpoint.requests[0].deadline_seconds - time.monotonic()
    assert 3_590 < left <= 3_600


async def test_a_request_that_is_too_late_is_not_asked() -> None:
    endpoint = LinearEndpoint()
    with pytest.raises(DeadlineExceededError, match="nothing was computed"):
        await InferenceService(endpoint, "tactical").answer(
            message(deadline_unix_nano=time.time_ns() - 1)
        )
    assert endpoint.requests == []


async def test_a_call_fails_with_the_endpoints_error() -> None:
    asked = message()
    asked.inputs[0].shape[:] = [1, 8]
    with pytest.raises(
        InvalidTensorError, match=r"shape \(1, 8\), expected FP32 of shape \(batch, 4\)"
    ):
        await InferenceService(LinearEndpoint(), "tactical").answer(asked)


async def test_an_item_says_what_was_wrong_with_it() -> None:
    answered = await InferenceService(LinearEndpoint(), "tactical").answer_item(message(version=9))
    assert (answered.error.reason, answered.error.code) == ("MODEL_UNKNOWN", 5)
    assert (
        answered.error.message == "model 'tactical:9' is unknown; there are tactical:1, tactical:2"
    )


async def test_an_item_on_which_the_engine_raises_anything_is_answered_too() -> None:
    endpoint = LinearEndpoint()
    endpoint.failures = [ZeroDivisionError("no variance")]
    answered = await InferenceService(endpoint, "tactical").answer_item(message())
    assert answered.error.reason == "ENGINE_FAILED"
    assert "ZeroDivisionError: no variance" in answered.error.message


async def test_an_item_waits_for_room() -> None:
    endpoint = LinearEndpoint()
    endpoint.failures = [AgentBusyError("full", retry_delay_seconds=0.001)] * 3
    answered = await InferenceService(endpoint, "tactical").answer_item(message())
    assert answered.answered_by == "tactical:2"
    assert len(endpoint.requests) == 4


async def test_an_item_that_finds_no_room_in_time_says_so_with_the_delay() -> None:
    endpoint = LinearEndpoint()
    endpoint.failures = [AgentBusyError("full", retry_delay_seconds=0.5)]
    service = InferenceService(endpoint, "tactical", room_wait_seconds=0.1)
    answered = await service.answer_item(message())
    assert (answered.error.reason, answered.error.retry_delay_millis) == ("AGENT_BUSY", 500)
