"""A stream of requests: its window and its order, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agents.inference.kserve import contract, grpc_service
from bellwire.agents.inference.kserve.front import Front
from bellwire.agents.inference.kserve.grpc_service import (
    STREAM_IN_FLIGHT_MAX,
    GrpcInferenceService,
)
from bellwire.agents.inference.kserve.proto_tensors import read_inputs

TURNS = 1_000  # of the loop: more than all tasks need to come to a stop
TOTAL = 3 * STREAM_IN_FLIGHT_MAX


class Line:
    """One side of a stream: counts what is read from it, keeps what is written to it."""

    def __init__(self) -> None:
        self.read = 0
        self.written: list[str] = []

    async def requests(self) -> AsyncIterator[Any]:
        array = observations(1)
        tensor = {"name": "x", "datatype": "FP32", "shape": array.shape}
        for number in range(TOTAL):
            self.read += 1
            yield contract.ModelInferRequest(
                model_name="tactical",
                id=str(number),
                inputs=[tensor],
                raw_input_contents=[array.tobytes()],
            )

    async def write(self, response: Any) -> None:
        self.written.append(response.infer_response.id)


async def test_a_stream_reads_no_more_than_its_window_while_nothing_is_answered() -> None:
    endpoint, line = LinearEndpoint(), Line()
    endpoint.gate.clear()
    service = GrpcInferenceService(Front(endpoint))
    context: Any = line
    serving = asyncio.create_task(service.ModelStreamInfer(line.requests(), context))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    # One more waits to be written, and one for room.
    assert STREAM_IN_FLIGHT_MAX <= line.read <= STREAM_IN_FLIGHT_MAX + 2
    endpoint.gate.set()
    await serving
    assert line.written == [str(number) for number in range(TOTAL)]


async def test_a_request_that_brings_out_a_fault_is_an_item_and_the_stream_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(request: Any) -> Any:
        if request.id == "3":
            raise OverflowError("a fault of ours")
        return read_inputs(request)

    monkeypatch.setattr(grpc_service, "read_inputs", faulty)
    line, texts = Line(), {}

    async def write(response: Any) -> None:
        texts[response.infer_response.id] = response.error_message

    line.write = write  # type: ignore[method-assign]  # keeps the texts
    context: Any = line
    await GrpcInferenceService(Front(LinearEndpoint())).ModelStreamInfer(line.requests(), context)
    assert len(texts) == TOTAL
    failed = {number: text for number, text in texts.items() if text}
    assert list(failed) == ["3"]
    assert "OverflowError: a fault of ours" in failed["3"]


async def test_the_one_error_that_ends_a_stream_is_raised_as_it_is() -> None:
    async def requests() -> AsyncIterator[Any]:
        async for request in Line().requests():
            yield request
            raise DecodeError("no request")

    context: Any = Line()
    with pytest.raises(DecodeError):
        await GrpcInferenceService(Front(LinearEndpoint())).ModelStreamInfer(requests(), context)
