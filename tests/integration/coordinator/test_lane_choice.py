"""Which lane a stream takes, and what it does where the first choice is not to be had."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.coordinator.frames import within

from bellwire.client import ClientSettings, connect
from bellwire.testing import running_coordinator
from bellwire.testing.server import RunningCoordinator
from bellwire.transport.address import parse_address
from bellwire.transport.channel import TransportSettings
from bellwire.transport.lane.address import connect_lane, lane_socket

GRPC_ONLY = ClientSettings(transport=TransportSettings(socket_lane=False))


def lane_file(running: RunningCoordinator) -> Path:
    path = lane_socket(parse_address(running.unix))
    assert path is not None
    return Path(path)


async def lane_taken(address: str, settings: ClientSettings | None = None) -> str:
    async with connect(address, settings) as client, client.subscribe("bars") as subscription:
        await client.publisher().publish("bars", b"1")
        received = await within(anext(aiter(subscription)))
        assert received.data == b"1"
        return subscription.lane


async def test_the_socket_lane_is_chosen_by_itself_on_the_same_host() -> None:
    async with running_coordinator() as running:
        assert await lane_taken(running.unix) == "socket"
        assert await lane_taken(running.tcp) == "socket"
        assert await lane_taken(running.tcp.replace("127.0.0.1", "localhost")) == "socket"
        assert await lane_taken(running.tcp, GRPC_ONLY) == "grpc"
        assert await lane_taken(running.unix, GRPC_ONLY) == "grpc"


async def test_without_the_file_of_the_lane_streams_take_grpc_and_open_ones_go_on() -> None:
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        client.subscribe("bars") as subscription,
    ):
        lane_file(running).unlink()
        assert await lane_taken(running.unix) == "grpc"
        await client.publisher().publish("bars", b"2")
        assert [(await within(anext(aiter(subscription)))).data for _ in range(1)] == [b"1"]
        assert subscription.lane == "socket"


async def test_a_lane_nobody_listens_at_leads_to_grpc() -> None:
    async with running_coordinator() as running:
        lane_file(running).unlink()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(lane_file(running)))
        assert await lane_taken(running.unix) == "grpc"


async def test_a_lane_that_hangs_up_leads_to_grpc() -> None:
    async with running_coordinator() as running:
        lane_file(running).unlink()
        hung_up = asyncio.Event()

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()
            hung_up.set()

        server = await asyncio.start_unix_server(hang_up, str(lane_file(running)))
        try:
            assert await lane_taken(running.unix) == "grpc"
            assert hung_up.is_set()
        finally:
            server.close()
            await server.wait_closed()


async def test_two_coordinators_on_two_ports_are_not_confused() -> None:
    async with (
        running_coordinator() as one,
        running_coordinator() as other,
        connect(one.tcp) as client,
        connect(other.tcp) as neighbour,
        client.subscribe("bars") as subscription,
    ):
        await neighbour.publisher().publish("bars", b"of the other")
        await client.publisher().publish("bars", b"of this one")
        assert (await within(anext(aiter(subscription)))).data == b"of this one"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7400", "\0bellwire/127.0.0.1:7400"),
        ("0.0.0.0:7400", "\0bellwire/127.0.0.1:7400"),
        ("localhost:7400", "\0bellwire/127.0.0.1:7400"),
        ("[::1]:7400", "\0bellwire/::1:7400"),
        ("unix:///run/bus.sock", "/run/bus.sock.lane"),
        ("192.0.2.1:7400", None),
        ("bus.example:7400", None),
    ],
)
def test_only_addresses_of_this_host_have_a_lane(address: str, expected: str | None) -> None:
    assert lane_socket(parse_address(address)) == expected


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_descriptor_left_there_is_no_lane(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus.sock.lane"))
        listener.listen()
        with no_descriptors():
            assert connect_lane(str(tmp_path / "bus.sock.lane")) is None
        sock = connect_lane(str(tmp_path / "bus.sock.lane"))
        assert sock is not None
        sock.close()


STARVED = """
import asyncio, os, resource, sys
from bellwire.client import ClientSettings, connect
from bellwire.wire.errors import PeerError

async def main():
    async with connect(sys.argv[1], ClientSettings(timeout_seconds=1)) as client:
        publisher = client.publisher()
        await publisher.publish("bars", b"0")
        held = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, held[1]))
        await publisher.publish("bars", b"1")
        try:
            async with client.subscribe("bars"):
                print("opened")
        except PeerError as error:
            print("refused:", error.message)
        resource.setrlimit(resource.RLIMIT_NOFILE, held)
        async with client.subscribe("bars") as subscription:
            await publisher.publish("bars", b"2")
            print("received", (await anext(aiter(subscription))).data.decode())

asyncio.run(main())
"""


async def test_used_up_descriptors_end_in_words_and_what_is_open_goes_on() -> None:
    async with running_coordinator() as running:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARVED, running.unix,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRPC_VERBOSITY": "NONE"},
        )  # fmt: skip
        out, err = await within(child.communicate(), 30)
    lines = out.decode().splitlines()
    assert child.returncode == 0, err.decode()
    assert lines[-1] == "received 2"
    assert lines[0].startswith(("opened", "refused: subscription 'bars'"))
