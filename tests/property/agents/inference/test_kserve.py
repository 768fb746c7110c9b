"""Whatever comes in by a door of the Open Inference Protocol is answered or refused, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agents.inference.linear import LinearEndpoint

from bellwire.agents.inference.kserve.contract import ModelInferRequest
from bellwire.agents.inference.kserve.front import Asked, Front
from bellwire.agents.inference.kserve.json_request import read_request
from bellwire.agents.inference.kserve.json_response import write_response
from bellwire.agents.inference.kserve.proto_tensors import read_inputs
from bellwire.wire.errors import BellwireError

NUMBERS = st.integers() | st.floats() | st.booleans()
ODD = st.none() | NUMBERS | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
TEXTS = st.text(st.characters(), max_size=8)
DATA = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
PARAMETERS = st.dictionaries(
    st.sampled_from(["key", "cache_key", "priority", "timeout", "binary_data_output"]), ODD | TEXTS
)


def mostly(usual: st.SearchStrategy) -> st.SearchStrategy:
    """Draw what is usual, or else anything."""
    return usual | usual | usual | ODD


def optional(fields: dict[str, st.SearchStrategy]) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional=fields)


INPUT = optional(
    {
        "name": mostly(st.just("x") | TEXTS),
        "datatype": mostly(st.sampled_from(["FP32", "INT8", "BOOL", "FP16", "UINT64", "BYTES"])),
        "shape": mostly(st.lists(st.integers(-1, 4) | st.integers(), max_size=3)),
        "data": mostly(DATA),
        "parameters": mostly(optional({"binary_data_size": mostly(st.integers(-1, 20))})),
    }
)
REQUEST = optional(
    {
        "id": mostly(TEXTS),
        "inputs": mostly(st.lists(mostly(INPUT), max_size=2)),
        "outputs": mostly(st.lists(mostly(optional({"name": mostly(st.just("p"))})), max_size=2)),
        "parameters": mostly(PARAMETERS),
    }
)


def answer(body: bytes, json_bytes: int | None) -> bytes:
    http = read_request("tactical", "", body, json_bytes)
    told = asyncio.run(Front(LinearEndpoint()).infer(http.asked))
    return write_response(told, http).body


def said(ask: Callable[[], object]) -> str:
    """Return what a caller is told: a result, or the words of a refusal."""
    try:
        return repr(ask())
    except BellwireError as refused:
        return refused.message


@given(mostly(REQUEST), st.binary(max_size=20), st.booleans())
def test_any_json_is_answered_or_refused(request, behind, with_header) -> None:
    head = json.dumps(request).encode()
    assert said(lambda: answer(head + behind, len(head) if with_header else None))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_a_request_or_refused(data: bytes) -> None:
    try:
        request = ModelInferRequest.FromString(data)
    except DecodeError:
        return
    front = Front(LinearEndpoint())
    assert said(lambda: asyncio.run(front.infer(Asked(request.model_name, read_inputs(request)))))
