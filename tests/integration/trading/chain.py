"""The four agents of the demo on lanes as the runtime has them, without a bus in between.

Each agent handles each of its topics one message at a time, topics concurrently. Before each message
a lane gives the others a random number of turns, from a printed seed: arrival orders differ, the
result must not.
"""

import asyncio
import random
from collections import defaultdict

from bellwire.runtime.harness import AgentHarness, Published
from bellwire.trading.v1.market_data_pb2 import Watermark

DEADLINE_SECONDS = 50  # far above the few seconds a run takes
TURNS_MAX = 4


class Chain:
    """Carries what agents publish to those who subscribe, until the feed's stream has ended."""

    def __init__(self, agents, seed):
        self.seed = seed
        self.published: list[Published] = []
        self._random = random.Random(seed)
        self._harnesses = [AgentHarness(agent) for agent in agents]
        self._queues = {
            (index, topic): asyncio.Queue()
            for index, harness in enumerate(self._harnesses)
            for topic in harness.topics
        }
        self._by_topic = defaultdict(list)
        for (_, topic), queue in self._queues.items():
            self._by_topic[topic].append(queue)
        self._ended = asyncio.Event()

    async def run(self):
        """Play everything and return what was published, in order."""
        async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as tasks:
            lanes = [
                tasks.create_task(self._lane(self._harnesses[index], topic, queue))
                for (index, topic), queue in self._queues.items()
            ]
            for harness in self._harnesses:
                self._carry(await harness.start())
            await self._ended.wait()
            for lane in lanes:
                lane.cancel()
        return self.published

    async def _lane(self, harness, topic, queue):
        while True:
            message = await queue.get()
            for _ in range(self._random.randrange(TURNS_MAX)):
                await asyncio.sleep(0)
            self._carry(await harness.feed(topic, message))

    def _carry(self, published):
        for item in published:
            self.published.append(item)
            for queue in self._by_topic[item.topic]:
                queue.put_nowait(item.message)
            if _is_the_end(item.payload):
                self._ended.set()


def _is_the_end(payload):
    if not isinstance(payload, Watermark):
        return False
    return payload.end_of_stream and payload.stage == "executions.accepted"


def canonical(published):
    """Bytes of every payload by topic, in order: message ids and trace ids are not part of it."""
    by_topic = defaultdict(list)
    for item in published:
        name = item.payload.DESCRIPTOR.full_name
        payload = item.payload.SerializeToString(deterministic=True)
        key, time = item.message.key, item.message.time_unix_nano
        by_topic[item.topic].append((name, key, time, payload))
    return dict(by_topic)


def payloads(published, cls):
    """Every payload of one type, in order."""
    return [item.payload for item in published if isinstance(item.payload, cls)]
