"""A process that serves models stays small: nothing heavy is imported before a model needs it."""

import subprocess
import sys

import pytest

SERVING = (
    "bellwire.agents.inference",
    "bellwire.agents.inference.engines",
    "bellwire.agents.inference.model_server.agent",
    "bellwire.agents.inference.repository",
    "bellwire.agents.inference.rollout",
    "bellwire.runtime.child",
)
HEAVY = (
    *("onnx", "onnxruntime", "torch"),
    *("typer", "rich", "pydantic", "starlette", "uvicorn", "http", "email"),
    *("opentelemetry.sdk", "grpc_health.v1", "grpc_reflection.v1alpha", "bellwire.coordinator"),
)


@pytest.mark.parametrize("module", SERVING)
def test_import_brings_nothing_heavy_along(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
