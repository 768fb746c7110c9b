"""What a remote answer is taken for."""

import numpy as np
import pytest
from tests.unit.agents.inference.scripted import ask, manifest

from bellwire.agent.v1 import inference_pb2 as pb
from bellwire.agent.v1.invocation_pb2 import (
    CACHE_LEVEL_MEMORY,
    CACHE_LEVEL_UNSPECIFIED,
    CacheLevel,
)
from bellwire.agents.inference import CloseReason, EngineFailedError, InferenceResult
from bellwire.agents.inference.bus_endpoint import BusEndpoint
from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.guard import Guard
from bellwire.agents.inference.wire import error_response, from_result
from bellwire.client.results import CallReply
from bellwire.wire.errors import AgentFailedError

GOOD = InferenceResult(
    {"y": np.zeros((1, 3), np.float32)},
    "toy:1",
    batch_size=7,
    close_reason=CloseReason.FULL,
    queue_seconds=1.0,
    compute_seconds=2.0,
)
SHORT = pb.Tensor(name="y", type=pb.TENSOR_TYPE_FP32, shape=[1, 3], data=b"1234")
STRANGE = pb.Tensor(name="y", type=99, shape=[1, 1], data=b"1234")  # type: ignore[arg-type]  # of a newer peer


class Answering:
    """A client whose calls are all answered alike."""

    def __init__(
        self, result: bytes, cache_level: CacheLevel.ValueType = CACHE_LEVEL_UNSPECIFIED
    ) -> None:
        self.result = result
        self.cache_level = cache_level

    async def call(self, *_: object, **__: object) -> CallReply:
        return CallReply(
            self.result, "application/x-protobuf", False, "a-0", cache_level=self.cache_level
        )


def remote(
    result: bytes, cache_level: CacheLevel.ValueType = CACHE_LEVEL_UNSPECIFIED
) -> BusEndpoint:
    return BusEndpoint(Answering(result, cache_level), "infer.toy")  # type: ignore[arg-type]  # of its methods only `call` is used


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"", "no outputs"),
        (b"{}", "no InferResponse"),
        (pb.InferResponse(answered_by="toy:1").SerializeToString(), "no outputs"),
        (pb.InferResponse(outputs=[SHORT]).SerializeToString(), "tensor 'y' is"),
        (pb.InferResponse(outputs=[STRANGE]).SerializeToString(), "tensor 'y' is"),
    ],
)
async def test_an_answer_that_is_no_result_is_a_failure_of_the_agent(
    answer: bytes, found: str
) -> None:
    with pytest.raises(AgentFailedError, match=f"agent 'a-0' answered 'infer.toy' .*{found}"):
        await remote(answer).infer(ask(1))
    chain = FallbackChain([Guard("remote", remote(answer))], hold(manifest().outputs))
    result = await chain.infer(ask(1))
    assert (result.answered_by, result.fallbacks[0].reason) == ("hold", "FAILED")


async def test_an_error_in_an_answer_is_raised_as_it_is() -> None:
    answer = error_response(EngineFailedError("toy:1", "out of memory")).SerializeToString()
    with pytest.raises(EngineFailedError, match="out of memory"):
        await remote(answer).infer(ask(1))


async def test_what_the_coordinator_remembered_was_not_computed_for_us() -> None:
    answer = from_result(GOOD).SerializeToString()
    fresh = await remote(answer).infer(ask(1))
    assert (fresh.is_cached, fresh.batch_size, fresh.close_reason) == (False, 7, CloseReason.FULL)
    known = await remote(answer, cache_level=CACHE_LEVEL_MEMORY).infer(ask(1))
    assert (known.is_cached, known.batch_size, known.close_reason) == (True, 0, None)
    assert (known.queue_seconds, known.compute_seconds) == (0, 0)
    assert known.outputs["y"].shape == (1, 3)
