"""What an agent that serves a model loads: its memory is paid by each replica."""

import json
import subprocess
import sys

PROGRAM = (
    "import json, sys, bellwire.agents.inference.agent as _; print(json.dumps(list(sys.modules)))"
)


def test_importing_the_agent_loads_no_engine_and_no_web_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=50
    )
    loaded = set(json.loads(done.stdout))
    assert "numpy" in loaded
    assert (
        loaded & {"torch", "onnx", "onnxruntime", "starlette", "uvicorn", "grpc_health.v1"} == set()
    )
