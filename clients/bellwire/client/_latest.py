"""The last messages of keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bellwire.bus.v1 import subscriber_pb2 as pb
from bellwire.bus.v1.subscriber_pb2 import GetLatestRequest
from bellwire.bus.v1.subscriber_pb2_grpc import SubscriberServiceStub
from bellwire.client._unary import read
from bellwire.client.results import LatestMessage
from bellwire.transport.channel import ChannelPool

KEYS_MAX = 1_000  # Of one request, as the contract has it.


async def recent_messages(
    pool: ChannelPool, topic: str, count: int, seconds: float
) -> dict[str, LatestMessage]:
    """Ask for the last messages of the keys published last; what one answer cannot hold is asked for by key."""
    stub = SubscriberServiceStub(pool.first())
    waited_for = f"the last messages of {topic!r} on {pool.address}"
    request = GetLatestRequest(topic=topic, recent_keys=count)
    answer = await read(stub.GetLatest, request, seconds, waited_for)
    found = _by_key(answer.messages)
    if answer.left_out_keys:
        found |= await latest_messages(pool, topic, answer.left_out_keys, seconds)
    return found


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
        found |= _by_key(answer.messages)
        left += answer.left_out_keys
    return found


def _by_key(messages: Iterable[pb.LatestMessage]) -> dict[str, LatestMessage]:
    return {
        item.message.key: LatestMessage(item.message, item.position.partition, item.position.offset)
        for item in messages
    }
