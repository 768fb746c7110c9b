"""A model offered by the Open Inference Protocol, asked by grpcurl and curl, which know nothing of ours."""

from __future__ import annotations

import asyncio
import base64
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agents.inference.kserve import KserveDoors

pytestmark = pytest.mark.acceptance

SECONDS = 30
NOT_FOUND_EXIT = 64 + 5  # grpcurl ends with 64 + the gRPC status code.
INVALID_ARGUMENT_EXIT = 64 + 3
SERVICE = "inference.GRPCInferenceService"


async def run(*command: str | Path) -> tuple[int | None, str, str]:
    """Run a command; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def doors() -> AsyncIterator[KserveDoors]:
    """Both doors over one endpoint."""
    async with KserveDoors(LinearEndpoint(), grpc="127.0.0.1:0", http="127.0.0.1:0") as opened:
        yield opened


@pytest.fixture
def grpcurl(doors: KserveDoors, find_tool: Callable[[str], Path]) -> Callable[..., Any]:
    """Runs grpcurl on the gRPC door."""
    path = find_tool("grpcurl")

    def call(*verb: str, data: Any = None) -> Any:
        request = () if data is None else ("-d", json.dumps(data))
        return run(path, "-plaintext", *request, doors.grpc_address, *verb)

    return call


def asked(**fields: Any) -> dict[str, Any]:
    raw = base64.b64encode(observations().tobytes()).decode()
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4]}
    return {"model_name": "tactical", "inputs": [tensor], "raw_input_contents": [raw], **fields}


async def test_grpcurl_finds_the_service_its_messages_and_its_health(grpcurl):
    assert (await grpcurl("list"))[1].splitlines() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE,
    ]
    described = (await grpcurl("describe", f"{SERVICE}.ModelStreamInfer"))[1]
    assert "stream .inference.ModelInferRequest" in described
    assert (
        "repeated bytes raw_input_contents = 7;"
        in ((await grpcurl("describe", "inference.ModelInferRequest"))[1])
    )
    status, out, _ = await grpcurl("grpc.health.v1.Health/Check")
    assert (status, json.loads(out)) == (0, {"status": "SERVING"})


async def test_grpcurl_asks_the_model(grpcurl):
    status, out, err = await grpcurl(f"{SERVICE}/ModelInfer", data=asked())
    assert (status, err) == (0, "")
    answer = json.loads(out)
    raw = answer.get("rawOutputContents") or answer["raw_output_contents"]
    p = np.frombuffer(base64.b64decode(raw[0]), "<f4").reshape(2, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "exit_code", "words"),
    [
        ({"model_name": "ghost"}, NOT_FOUND_EXIT, ["'ghost' is unknown", "MODEL_UNKNOWN"]),
        ({"model_version": "9"}, NOT_FOUND_EXIT, ["'tactical:9' is unknown"]),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 5]}]},
            INVALID_ARGUMENT_EXIT,
            ["32 bytes long, expected 40 bytes", "TENSOR_INVALID", "bellwire.dev"],
        ),
    ],
)
async def test_grpcurl_shows_why_it_was_refused(grpcurl, fields, exit_code, words):
    status, out, err = await grpcurl(f"{SERVICE}/ModelInfer", data=asked(**fields))
    assert (status, out) == (exit_code, "")
    for word in words:
        assert word in err


async def test_curl_asks_the_model(doors, find_tool):
    curl = find_tool("curl")
    place = f"http://{doors.http_address}/v2/models/tactical"
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": observations().tolist()}
    status, out, _ = await run(
        curl, "-sS", f"{place}/infer", "-d", json.dumps({"inputs": [tensor]})
    )
    assert status == 0
    assert [output["shape"] for output in json.loads(out)["outputs"]] == [[2, 3], [2]]
    refused = await run(curl, "-sS", "-w", "%{http_code}", f"{place}/versions/9/ready")
    assert refused[1].endswith("404")
