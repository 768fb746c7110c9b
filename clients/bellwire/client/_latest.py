"""The last messages of keys."""

from __future__ import annotations

from collections.abc import Sequence

from bellwire.bus.v1.subscriber_pb2 import GetLatestRequest
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client._unary import read
from bellwire.client.results import LatestMessage
from bellwire.transport.channel import ChannelPool

KEYS_MAX = 1_000  # Of one request, as the contract has it.


async def latest_messages(
    pool: ChannelPool, topic: str, keys: Sequence[str], seconds: float
) -> dict[str, LatestMessage]:
    """Ask for the last messages of any number of keys; `seconds` bounds each request."""
    stub = SubscriberServiceStub(pool.first())
    left = list(dict.fromkeys(keys))
    found: dict[str, LatestMessage] = {}
    while left:
        asked, left = left[:KEYS_MAX], left[KEYS_MAX:]
        waited_for = f"the last messages of {topic!r} on {pool.address}"
        answer = await read(
            stub.GetLatest, GetLatestRequest(topic=topic, keys=asked), seconds, waited_for
        )
        for item in answer.messages:
            place = item.position
            found[item.message.key] = LatestMessage(item.message, place.partition, place.offset)
        left += answer.left_out_keys
    return found
