"""LitServe: a model behind HTTP, its web server, its worker and its queues in an environment of their own.

Its usual JSON would make numbers text, which nobody who is in a hurry would do; it takes raw bytes where the type of
`decode_request` says so. Ways that were tried, with `LITSERVE_BATCH` and `LITSERVE_FAST_QUEUE`: batches of 1 and of 8
requests, each with its process queue and its fast one (ZeroMQ). One request is a full batch and quicker than batches of
eight; the two queues differ by less than the noise. The default here is one request, and the fast queue.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.environment import Environment
from tests.benchmarks.peers.peer import Broker
from tests.benchmarks.peers.server_process import ServerError, free_port, running_server

ENVIRONMENT: Final = Environment("litserve")
MODEL: Final = "model.onnx"  # Below the directory of the run, put there before the server starts.
HOST: Final = "127.0.0.1"
START_SECONDS_MAX: Final = 40.0  # It starts four interpreters, each with its imports.
HEALTHY: Final = b"HTTP/1.1 200"
BATCH_DEFAULT: Final = "1"
FAST_QUEUE_DEFAULT: Final = "1"


class LitServe:
    """Serves; whoever asks it needs nothing of it."""

    def missing(self) -> str | None:
        """Tell why its environment cannot be used."""
        return ENVIRONMENT.missing()

    def versions(self) -> dict[str, str]:
        """Give the versions of what it is made of."""
        found = ENVIRONMENT.versions("litserve", "fastapi", "uvicorn", "onnxruntime")
        own = {"litserve", "fastapi", "uvicorn"}
        return {k if k in own else f"{k} (litserve)": each for k, each in found.items()}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Serve the model in the directory.

        Raises:
            ServerError: There is no model, or it did not start.
        """
        model, port = directory / MODEL, free_port()
        if not model.exists():
            raise ServerError(f"there is no {MODEL} in the directory of the run to be served")
        command = (
            *(
                sys.executable,
                "-m",
                "tests.benchmarks.peers.litserve_server",
                str(model),
                str(port),
            ),
            os.environ.get("LITSERVE_BATCH", BATCH_DEFAULT),
            os.environ.get("LITSERVE_FAST_QUEUE", FAST_QUEUE_DEFAULT),
        )
        log = directory / "litserve.log"
        answers = _Answers(port)
        async with running_server(command, log, answers, start_seconds_max=START_SECONDS_MAX) as of:
            yield Broker(f"{HOST}:{port}", of.pid)


class _Answers:
    """Asks whether its worker has loaded the model."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, pid: int) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except ConnectionRefusedError:
            return False
        writer.write(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.startswith(HEALTHY)


LITSERVE: Final = LitServe()
