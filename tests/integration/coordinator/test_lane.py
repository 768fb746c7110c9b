"""The socket lane seen by peers that do not keep to it, and by the file system."""

from __future__ import annotations

import asyncio
import os
import socket

import grpc
import pytest
from tests.integration.coordinator.frames import within

from bellwire.bus.v1.publisher_pb2 import PublishStart, PublishStreamRequest, PublishStreamResponse
from bellwire.client import ClientSettings, connect
from bellwire.testing import running_coordinator
from bellwire.testing.server import RunningCoordinator
from bellwire.transport.address import parse_address
from bellwire.transport.channel import TransportSettings
from bellwire.transport.lane.address import lane_socket
from bellwire.transport.lane.connection import SEND_BUFFER_BYTES, FrameConnection
from bellwire.transport.lane.frames import End, Kind

METHOD = b"/bellwire.bus.v1.PublisherService/PublishStream"
LIMIT = 8 << 20
LANE = ClientSettings(transport=TransportSettings(socket_lane=True))


def socket_of(running: RunningCoordinator) -> str:
    path = lane_socket(parse_address(running.unix))
    assert path is not None
    return path


async def connected(running: RunningCoordinator) -> FrameConnection:
    loop = asyncio.get_running_loop()
    made = loop.create_unix_connection(lambda: FrameConnection(LIMIT), socket_of(running))
    _, connection = await made
    return connection


async def end_of(connection: FrameConnection) -> End:
    while True:
        frame = await within(connection.read())
        assert frame is not None, "closed without a status"
        if frame[0] == Kind.END:
            return End.decode(frame[1])


async def test_a_stream_is_opened_by_its_method_and_ended_by_a_status() -> None:
    async with running_coordinator() as running:
        line = await connected(running)
        line.send(Kind.OPEN, METHOD)
        line.send(
            Kind.DATA, PublishStreamRequest(start=PublishStart(client_id="raw")).SerializeToString()
        )
        frame = await within(line.read())
        assert frame is not None
        assert frame[0] == Kind.DATA
        assert PublishStreamResponse.FromString(frame[1]).WhichOneof("frame") == "started"
        line.send(Kind.HALF_CLOSE)
        assert await end_of(line) == End(0)
        assert await within(line.read()) is None


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (Kind.DATA, b"\xff\xff\xff", "no serialized"),
        (Kind.OPEN, METHOD, "frame kind 1 is not known here"),
        (Kind.DATA, bytes((4 << 20) + 1), "limit is 4194304: send smaller batches"),
    ],
    ids=["no protobuf", "opened twice", "too long"],
)
async def test_what_cannot_be_understood_is_refused_in_words(kind, body, words) -> None:
    async with running_coordinator() as running:
        line = await connected(running)
        line.send(Kind.OPEN, METHOD)
        line.send(kind, body)
        end = await end_of(line)
        assert end.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert words in end.details
        assert end.status  # google.rpc.Status with the reason, as over gRPC.


async def test_an_unknown_method_is_unimplemented() -> None:
    async with running_coordinator() as running:
        line = await connected(running)
        line.send(Kind.OPEN, b"/bellwire.bus.v1.PublisherService/Publish")
        end = await end_of(line)
        assert end.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
        assert "the socket lane does not serve" in end.details
        line.close()
        await within(line.closed)


async def test_who_does_not_open_is_cut() -> None:
    async with running_coordinator() as running:
        line = await connected(running)
        line.send(Kind.DATA, b"x")
        assert await within(line.read()) is None


async def test_only_its_owner_may_connect_and_nothing_is_left_behind() -> None:
    async with running_coordinator() as running:
        socket = socket_of(running)
        assert os.stat(socket).st_mode & 0o777 == 0o600
        async with connect(running.unix, LANE) as client:
            await client.publisher().publish("bars", b"1")
    with pytest.raises(FileNotFoundError):
        os.stat(socket)


async def test_where_there_is_no_lane_the_client_uses_grpc() -> None:
    async with running_coordinator() as running:
        os.unlink(socket_of(running))
        async with connect(running.unix, LANE) as client:
            await client.publisher().publish("bars", b"1")
        line = connect(running.tcp, LANE)
        async with line as client, client.subscribe("bars") as opened:
            await client.publisher().publish("bars", b"2")
            assert (await within(anext(aiter(opened)))).data == b"2"


async def test_a_frame_of_deliveries_fits_into_the_send_buffer() -> None:
    ours, theirs = socket.socketpair()
    _, probe = pair = socket.socketpair()
    with theirs, pair[0], probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(
            lambda: FrameConnection(1 << 20), sock=ours
        )
        size = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert size == probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        connection.abort()
        await connection.closed
