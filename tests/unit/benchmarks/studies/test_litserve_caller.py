"""The caller of LitServe, against a server that knows no more of HTTP than it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from tests.benchmarks.studies.inference_bus_table import RAW
from tests.benchmarks.studies.inference_load import ROWS
from tests.benchmarks.studies.litserve_caller import (
    ANSWER_WIDTH,
    HttpCallerRole,
    HttpConnection,
    length_of,
)
from tests.benchmarks.tactical_models import observations


@asynccontextmanager
async def server(status: str, body: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers every request alike; gives its address and the bodies that came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                came.append(await reader.readexactly(length_of(head)))
                length = f"Content-Length: {len(body)}"
                writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode() + body)
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}", came


async def ask(address: str) -> int:
    host, _, port = address.rpartition(":")
    connection = HttpConnection(*await asyncio.open_connection(host, int(port)))
    try:
        return await connection.ask(observations(3, seed=0))
    finally:
        await connection.close()


async def test_rows_go_as_raw_bytes_and_come_back_counted():
    async with server("200 OK", bytes(4 * ANSWER_WIDTH * 3)) as (address, came):
        assert await ask(address) == 3
    sent = np.frombuffer(came[0], "<f4")
    rows = observations(3, seed=0)
    np.testing.assert_array_equal(sent[:-3].reshape(3, -1), rows["observation"])
    np.testing.assert_array_equal(sent[-3:, None], rows["position"])


async def test_an_error_of_the_server_is_told_in_its_words():
    async with server("503 Busy", b"queue is full") as (address, _):
        with pytest.raises(ConnectionError, match=r"503 Busy: b'queue is full'"):
            await ask(address)


async def test_each_question_in_flight_has_a_connection_of_its_own():
    async with server("200 OK", bytes(4 * ANSWER_WIDTH * ROWS)) as (address, came):
        role = HttpCallerRole(address)
        arguments = {"way": RAW, "in_flight": 2, "warm_up_seconds": 0, "seconds": 0.02}
        found = await role.do("ask", arguments)
    assert found["asked"] == len(came)


@pytest.mark.parametrize(("command", "way"), [("publish", RAW), ("ask", "json")])
async def test_it_can_do_nothing_else(command, way):
    arguments = {"way": way, "in_flight": 1, "warm_up_seconds": 0, "seconds": 0}
    with pytest.raises(ValueError, match=command if command != "ask" else way):
        await HttpCallerRole("127.0.0.1:1").do(command, arguments)


def test_a_head_without_a_length_is_refused():
    assert length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n") == 12
    with pytest.raises(ConnectionError, match="an answer without a length"):
        length_of(b"HTTP/1.1 200 OK\r\n\r\n")
