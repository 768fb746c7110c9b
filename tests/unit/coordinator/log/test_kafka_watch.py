"""bellwire.coordinator.log.kafka.watch: since when Kafka does not answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka.errors import KafkaConnectionError
from tests.property.coordinator.log.kafka_in_memory import Cluster, InMemorySession

from bellwire.coordinator.log.kafka import KafkaSettings, watch
from bellwire.coordinator.log.kafka.session import KafkaSession
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


class StumblingSession(AskedSession):
    """Meets what nobody has foreseen, as often as it is told to."""

    stumbles = 0

    async def answers(self) -> bool:
        if self.stumbles:
            self.stumbles -= 1
            raise AssertionError("Broker id")
        return await super().answers()


@pytest.mark.timeout(10)
async def test_what_was_not_foreseen_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = StumblingSession()
    async with watching(session) as made:
        await session.tell(False)
        session.stumbles = 3
        found = []
        for answer in (False, True):
            await session.tell(answer)
            found.append(made.outage is None)
    assert found == [False, True]
    said = [record for record in caplog.records if "cannot tell" in record.getMessage()]
    assert len(said) == 1


class ForgetfulSession(AskedSession):
    """Takes a cancellation that comes with the answer for nothing, as `wait_for` of Python 3.11 does."""

    async def answers(self) -> bool:
        self.asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return True


@pytest.mark.timeout(10)
async def test_a_cancellation_that_is_lost_does_not_hold_up_the_end() -> None:
    session = ForgetfulSession()
    made = Watch(KAFKA, session)
    made.start()
    await session.asked.wait()
    async with asyncio.timeout(1):
        await made.close()


class DeafSession(AskedSession):
    """Is never done with a question."""

    def __init__(self) -> None:
        super().__init__()
        self.end = asyncio.Event()

    async def answers(self) -> bool:
        while not self.end.is_set():
            self.asked.set()
            with suppress(asyncio.CancelledError):
                await self.end.wait()
        return True


@pytest.mark.timeout(10)
async def test_a_question_that_does_not_end_holds_the_end_up_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "CLOSE_SECONDS", 0.01)
    session = DeafSession()
    made = Watch(KAFKA, session)
    made.start()
    await session.asked.wait()
    try:
        async with asyncio.timeout(1):
            await made.close()
    finally:
        session.end.set()


class AskedClient:
    """The client of a producer, asked whether Kafka answers."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()

    def force_metadata_update(self) -> asyncio.Future[bool]:
        self.asked.set()
        return asyncio.shield(self.answer)


class DroppedProducer:
    """A producer as far as a question and its end need one."""

    def __init__(self) -> None:
        self.client = AskedClient()
        self._sender = self

    async def close(self) -> None:
        """Leave what was asked without an answer, as aiokafka's does."""

    async def stop(self) -> None:
        await self.close()


class LetInSession(KafkaSession):
    """Of a Kafka that lets everybody in."""

    async def check(self) -> None:
        return


@pytest.mark.timeout(10)
@pytest.mark.parametrize("answer", [None, False], ids=["no answer", "a broken line"])
async def test_a_producer_that_is_dropped_under_a_question_is_no_outage(
    answer: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ANSWER_SECONDS", 1.0)
    session, producer = LetInSession(KAFKA), DroppedProducer()
    session._producer = producer
    asking = asyncio.create_task(Watch(KAFKA, session)._trouble())
    await producer.client.asked.wait()
    dropping = asyncio.create_task(session.drop_producer())
    if answer is not None:
        producer.client.answer.set_result(answer)
    assert await asking == ""
    await dropping


async def test_a_producer_that_stays_says_whether_kafka_answers() -> None:
    session, producer = LetInSession(KAFKA), DroppedProducer()
    session._producer = producer
    producer.client.answer.set_result(False)
    assert not await session.answers()
