"""The bus in memory as a tool: what the conformance suite does not ask of it."""

import asyncio

import grpc
import pytest

import bellwire.testing
from bellwire.bus.v1 import publisher_pb2
from bellwire.bus.v1.publisher_pb2 import PublishRequest
from bellwire.bus.v1.publisher_pb2_grpc import PublisherServiceStub
from bellwire.client import EARLIEST, ClientSettings, PayloadTooLargeError
from bellwire.testing import InMemoryBus
from bellwire.wire.message import new_message


def test_exports_are_frozen() -> None:
    assert set(bellwire.testing.__all__) == {
        "ChaosProxy",
        "InMemoryBus",
        "Leak",
        "LeakMeter",
        "LeakMeterSettings",
        "RunningCoordinator",
        "Way",
        "running_coordinator",
    }


def test_a_bus_can_be_made_before_there_is_an_event_loop() -> None:
    bus = InMemoryBus(default_partitions=3)

    async def publish() -> int:
        async with bus.client() as client:
            await client.publisher().publish("bars", b"1")
            (topic,) = await client.admin.list_topics()
            return topic.partition_count

    assert asyncio.run(publish()) == 3


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="no_such_setting"):
        InMemoryBus(no_such_setting=1)


async def test_clients_of_one_bus_see_each_other_and_of_two_do_not() -> None:
    bus, other = InMemoryBus(), InMemoryBus()
    async with bus.client() as one, bus.client() as two, other.client() as stranger:
        await one.publisher().publish("bars", b"1")
        async with two.subscribe("bars", start=EARLIEST) as subscription:
            assert (await anext(aiter(subscription))).data == b"1"
        assert await stranger.admin.list_topics() == []


async def test_messages_are_copied_on_the_way_as_on_a_line() -> None:
    async with InMemoryBus().client() as client:
        message = new_message(data=b"1")
        await client.publisher().publish_message("bars", message)
        async with client.subscribe("bars", start=EARLIEST) as subscription:
            received = await anext(aiter(subscription))
    assert received.message == message
    assert received.message is not message


async def test_a_cut_line_is_opened_again() -> None:
    bus = InMemoryBus()
    settings = ClientSettings(reconnect_first_seconds=0.001)
    async with bus.client(settings) as client, client.subscribe("bars") as subscription:
        bus.disconnect()
        await client.publisher().publish("bars", b"1")
        assert (await anext(aiter(subscription))).data == b"1"


async def test_the_contract_can_be_spoken_to_it_without_the_client() -> None:
    channel = InMemoryBus().channel()
    stub = PublisherServiceStub(channel)
    message = new_message(data=b"1")
    response = await stub.Publish(PublishRequest(topic="bars", messages=[message]))
    assert [(p.topic, p.first_offset) for p in response.positions] == [("bars", 0)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Publish(
            PublishRequest(topic="bars", messages=[new_message(data=bytes(1 << 20))])
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await channel.close()


async def test_a_stream_behaves_as_a_grpc_stream_at_its_end() -> None:
    channel = InMemoryBus().channel()
    stub = PublisherServiceStub(channel)
    call = stub.PublishStream()
    beat = publisher_pb2.PublishStreamRequest(heartbeat=publisher_pb2.PublishHeartbeat())
    await call.write(beat)  # The first frame must be `start`.
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    with pytest.raises(asyncio.InvalidStateError):
        await call.write(beat)
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    cancelled = stub.PublishStream()
    assert cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled.read()
    await channel.close()


async def test_errors_keep_their_class_and_fields() -> None:
    async with InMemoryBus(message_bytes_max=10_000).client() as client:
        with pytest.raises(PayloadTooLargeError) as caught:
            await client.publisher().publish("bars", bytes(20_000))
    assert caught.value.metadata["limit"] == "10000"
