"""bellwire.coordinator.log.kafka.watch: since when Kafka does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError
from tests.property.coordinator.log.kafka_in_memory import Cluster, InMemorySession

from bellwire.coordinator.log.kafka import KafkaSettings, watch
from bellwire.coordinator.log.kafka.watch import Watch
from bellwire.wire.errors import KafkaRefusedError

KAFKA = KafkaSettings("in memory")


class AskedSession(InMemorySession):
    """Answers as it is told, one question after the other; `None` = never."""

    def __init__(self) -> None:
        super().__init__(KAFKA, Cluster())
        self.answer: asyncio.Queue[bool | None] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.refusal: Exception | None = None

    async def answers(self) -> bool:
        self.asked.set()
        told = await self.answer.get()
        if told is None:
            await asyncio.Event().wait()
        return bool(told)

    async def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def tell(self, answer: bool | None) -> None:
        """Answer the question that is asked, and wait for the next one: by then the answer was noted."""
        await self.asked.wait()
        self.asked.clear()
        self.answer.put_nowait(answer)
        async with asyncio.timeout(5):
            await self.asked.wait()


@asynccontextmanager
async def watching(session: AskedSession) -> AsyncIterator[Watch]:
    made = Watch(KAFKA, session)
    made.start()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(watch, "ANSWER_SECONDS", 0.05)


async def test_an_outage_lasts_from_the_first_question_to_the_first_answer() -> None:
    session = AskedSession()
    session.refusal = KafkaConnectionError("Connection at a:1 closed")
    before_ns = time.time_ns()
    async with watching(session) as made:
        found = []
        for answer in (True, False, False, True):
            await session.tell(answer)
            found.append(made.outage)
    well, first, second, again = found
    assert well is None
    assert first is not None
    assert first == second
    assert before_ns <= first.since_ns <= time.time_ns()
    assert "Kafka at in memory does not answer: " in first.reason
    assert "Connection at a:1 closed" in first.reason
    assert again is None


async def test_a_kafka_that_hangs_is_away_after_a_bounded_time() -> None:
    session = AskedSession()
    async with watching(session) as made:
        await session.tell(None)
        assert made.outage is not None
        assert "nothing came for 0.05 s" in made.outage.reason


async def test_a_refusal_is_named_in_its_own_words() -> None:
    session = AskedSession()
    session.refusal = KafkaRefusedError("it wants another password")
    async with watching(session) as made:
        await session.tell(False)
        assert made.outage is not None
        assert "it wants another password" in made.outage.reason


async def test_going_and_coming_back_are_said_once_each(caplog: pytest.LogCaptureFixture) -> None:
    session = AskedSession()
    with caplog.at_level(logging.WARNING, "bellwire.coordinator"):
        async with watching(session):
            for answer in (True, False, False, False, True, True):
                await session.tell(answer)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "nothing durable is acknowledged until it does" in said[0]
    assert "answers again after" in said[1]
