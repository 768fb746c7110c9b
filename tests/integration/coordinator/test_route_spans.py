"""The coordinator's spans: each way a message reaches a subscription leaves one."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from tests.integration.coordinator.frames import TOPIC, Stubs, within
from tests.integration.coordinator.test_direct_lane import connected

from bellwire.bus.v1.publisher_pb2 import PublishRequest
from bellwire.client import Client, ClientSettings, connect, new_message
from bellwire.client.subscription import Subscription
from bellwire.telemetry import names, provider
from bellwire.telemetry.recorder import Recorder
from bellwire.testing import running_coordinator
from bellwire.transport.channel import TransportSettings

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SAMPLED = f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"
GRPC_ONLY = ClientSettings(transport=TransportSettings(socket_lane=False))


@pytest.fixture
def spans() -> Iterator[list[ReadableSpan]]:
    """Spans of this process, in which the coordinator runs, too."""
    ended: list[ReadableSpan] = []
    provider.install(Recorder(Resource({}), ended.append), 0.0)
    yield ended
    provider.install(None, 0.0)


async def publish_and_take(client: Client, subscription: Subscription, traceparent: str) -> None:
    message = new_message(data=b"traced", traceparent=traceparent)
    await client.publisher().publish_message("ticks", message)
    while (await within(anext(aiter(subscription)))).data != b"traced":
        pass


def routes(spans: list[ReadableSpan]) -> list[ReadableSpan]:
    return [span for span in spans if span.name == "route ticks"]


@pytest.mark.parametrize("settings", [None, GRPC_ONLY], ids=["socket", "grpc"])
async def test_what_a_stream_delivers(spans: list[ReadableSpan], settings: ClientSettings) -> None:
    async with (
        running_coordinator() as running,
        connect(running.unix, settings) as client,
        client.subscribe("ticks") as subscription,
    ):
        await publish_and_take(client, subscription, UNSAMPLED)
        await publish_and_take(client, subscription, SAMPLED)
    (span,) = routes(spans)
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (TRACE_ID, 0xB7AD6B7169203331)
    attributes = span.attributes or {}
    assert attributes[names.DESTINATION_NAME] == "ticks"
    assert str(attributes[names.CONSUMER_GROUP_NAME]).startswith("ephemeral of ")
    assert names.LANE not in attributes
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time


async def test_what_is_pulled(spans: list[ReadableSpan], bus: Stubs) -> None:
    message = new_message(data=b"traced", traceparent=SAMPLED)
    await bus.publisher.Publish(PublishRequest(topic=TOPIC, messages=[message]))
    pulled = await bus.pull("s")
    assert len(pulled.deliveries) == 1
    (span,) = [each for each in spans if each.name.startswith("route ")]
    assert (span.attributes or {})[names.CONSUMER_GROUP_NAME] == "s"


async def test_what_comes_directly(spans: list[ReadableSpan]) -> None:
    async with running_coordinator() as running, connected(running) as (client, subscription):
        await publish_and_take(client, subscription, UNSAMPLED)
        await publish_and_take(client, subscription, SAMPLED)
        assert subscription.lane == "direct"
        # Behind it: whoever is served by the coordinator has it when the cursors have passed.
        await client.admin.topic_stats("ticks")
    (span,) = routes(spans)
    assert span.parent is not None
    assert span.parent.trace_id == TRACE_ID
    assert (span.attributes or {})[names.LANE] == names.LANE_DIRECT
