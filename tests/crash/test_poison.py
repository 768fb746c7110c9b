"""Messages that kill whoever takes them: they end in the dead letters, and take no neighbour with them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from typing import Final

import grpc
import pytest
from tests.crash.patience import OUTAGE_SECONDS, PATIENT
from tests.crash.processes import Child
from tests.crash.recording import SUFFIX, Follower, Line
from tests.crash.victim import POISON

from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DeadLetter,
    ListDeadLettersRequest,
)
from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_PERSISTED
from bellwire.client import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MESSAGES: Final = 200
POISON_AT: Final = (3, 77, 78, 199)  # At the start, two neighbours, the last one.
ATTEMPTS: Final = 3
LOOK_SECONDS: Final = 0.02


def texts() -> list[str]:
    return [
        f"{POISON.decode()} {number}" if number in POISON_AT else f"good {number}"
        for number in range(MESSAGES)
    ]


async def dead_letters(address: str) -> list[DeadLetter]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = DeadLetterServiceStub(channel)
        return list((await stub.ListDeadLetters(ListDeadLettersRequest(topic="t"))).dead_letters)


class Supervisor:
    """Starts the victim again each time it was killed."""

    def __init__(self, place, ordering: str) -> None:
        record = place.folder / f"victim{SUFFIX}"
        self._folder = place.folder
        self._arguments = (
            *("tests.crash.victim", "--address", place.address, "--record", str(record)),
            *("--topic", "t", "--subscription", "s", "--ordering", ordering),
        )
        self._follower = Follower(record)
        self.lines: list[Line] = []
        self.deaths = 0

    def look(self) -> set[str]:
        """Return the texts of the messages that are done."""
        self.lines += self._follower.new_lines()
        return {line["data"] for line in self.lines if line["kind"] == "done"}

    async def run_until(self, wanted: set[str], letters_wanted: int, address: str) -> None:
        """Go on until these messages are done and so many are dead letters."""
        child = await self._start()
        since = time.monotonic()
        try:
            while not (
                wanted <= self.look() and len(await dead_letters(address)) >= letters_wanted
            ):
                if time.monotonic() - since > OUTAGE_SECONDS:
                    raise child.error(f"left undone: {sorted(wanted - self.look())}")
                if not child.running:
                    assert child.process.returncode == -signal.SIGKILL, child.error("failed")
                    self.deaths += 1
                    child = await self._start()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await child.killed()
            self.look()  # What it wrote since the last look, too.

    async def _start(self) -> Child:
        return await Child.start("victim", self._arguments, self._folder)


@pytest.mark.parametrize("ordering", ["PARTITION", "NONE"])
async def test_poison_ends_in_the_dead_letters_and_its_neighbours_are_all_done(
    ordering, place, capsys
):
    supervisor = Supervisor(place, ordering)
    good = {text for text in texts() if text.startswith("good")}
    async with place.serving("--set", f"coordinator.max_attempts={ATTEMPTS}") as (server, _):
        async with connect(place.address, PATIENT) as client:
            topic = Topic(name="t", partition_count=1, log=LogKind.LOG_KIND_SQLITE)
            await client.admin.create_topic(topic)
            publisher = client.publisher("crash/poison", ack_level=ACK_LEVEL_PERSISTED)
            await publisher.publish_payloads("t", [text.encode() for text in texts()])
        await supervisor.run_until(good, len(POISON_AT), place.address)
        letters = await dead_letters(place.address)
        await server.killed()
    async with place.serving() as (_, ready):
        assert ready.recovery["dead_letters"] == len(POISON_AT)
        assert await dead_letters(place.address) == letters

    assert [letter.position.offset for letter in letters] == sorted(POISON_AT)
    for letter in letters:
        assert letter.message.data == texts()[letter.position.offset].encode()
        assert (letter.subscription, letter.attempts) == ("s", ATTEMPTS)
        assert letter.cause == DEAD_LETTER_CAUSE_MAX_ATTEMPTS
        assert letter.reason
    kills = Counter(line["data"] for line in supervisor.lines if line["kind"] == "poisoned")
    with capsys.disabled():
        done = [line for line in supervisor.lines if line["kind"] == "done"]
        print(
            f"\npoison, {ordering}: {len(POISON_AT)} of {MESSAGES} messages killed their consumer "
            f"{supervisor.deaths} times ({dict(kills)}) and are dead letters; {len(good)} neighbours "
            f"done in {len(done)} deliveries"
        )
    # Those that were in one delivery with the first one were suspected from then on.
    assert set(kills) == {texts()[number] for number in POISON_AT}
    assert max(kills.values()) == ATTEMPTS
