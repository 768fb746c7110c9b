"""Who asks a model behind HTTP: kept-alive connections, and no more of HTTP than the answers need."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import numpy as np
from tests.benchmarks.roles import Reply
from tests.benchmarks.studies.inference_bus_table import RAW
from tests.benchmarks.studies.inference_load import Ask, closed_loop
from tests.benchmarks.tactical_models import Rows

from bellwire.agents.tactical.networks import ACTIONS, AGENTS

PATH: Final = "/predict"
HEAD: Final = (
    f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\n"
    "Content-Length: "
)
LENGTH: Final = b"content-length:"
OK: Final = b"HTTP/1.1 200"
HEAD_BYTES_MAX: Final = 1 << 16
LOGITS: Final = len(AGENTS) * ACTIONS
ANSWER_WIDTH: Final = LOGITS + 1  # Probabilities of a row, and its value.


class HttpConnection:
    """One connection, one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, rows: Rows) -> int:
        """Send a batch of observations as raw bytes and read the probabilities.

        Raises:
            ConnectionError: The answer was not 200.
        """
        body = b"".join(each.tobytes() for each in rows.values())
        self._writer.write(f"{HEAD}{len(body)}\r\n\r\n".encode())
        self._writer.write(body)
        numbers = np.frombuffer(await self._answer(), "<f4")
        answered = len(numbers) // ANSWER_WIDTH
        probabilities = numbers[: answered * LOGITS].reshape(answered, len(AGENTS), ACTIONS)
        return len(probabilities)

    async def close(self) -> None:
        """Close it."""
        self._writer.close()
        await self._writer.wait_closed()

    async def _answer(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(length_of(head))
        if not head.startswith(OK):
            raise ConnectionError(f"POST {PATH}: {head.splitlines()[0].decode()}: {body[:200]!r}")
        return body


def length_of(head: bytes) -> int:
    """Give the length that the head of an answer tells of its body.

    Raises:
        ConnectionError: It tells none.
    """
    for line in head.lower().splitlines():
        if line.startswith(LENGTH):
            return int(line.removeprefix(LENGTH))
    raise ConnectionError(f"an answer without a length: {head[:200]!r}")


class HttpCallerRole:
    """Asks as it is told, on as many connections as questions are in flight."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `ask`."""
        if command != "ask":
            raise ValueError(f"a caller cannot {command!r}")
        return await self._ask(**arguments)

    async def _ask(
        self, *, way: str, in_flight: int, warm_up_seconds: float, seconds: float
    ) -> Reply:
        if way != RAW:
            raise ValueError(f"there is no way {way!r} here, only {RAW!r}")
        async with AsyncExitStack() as stack:
            asks: list[Ask] = [await self._connected(stack) for _ in range(in_flight)]
            return await closed_loop(asks, warm_up_seconds=warm_up_seconds, seconds=seconds)

    async def _connected(self, stack: AsyncExitStack) -> Ask:
        opened = await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES_MAX)
        connection = HttpConnection(*opened)
        stack.push_async_callback(connection.close)
        return connection.ask


@asynccontextmanager
async def open_litserve_caller(*, address: str) -> AsyncIterator[tuple[HttpCallerRole, Reply]]:
    """Know where to ask; connections are made for each load."""
    yield HttpCallerRole(address), {}
