"""Callers, cancellations, failures and messages in any order: nobody hangs, nothing is made twice, nothing is stale."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bellwire.coordinator.cache.key import CacheKey
from bellwire.coordinator.cache.levels import CacheLevels
from bellwire.coordinator.cache.question import Question
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.wire.errors import AgentFailedError

SPACE, TOPIC = "value", "bars"
TURNS = 8  # Of the event loop: more than any chain of wake-ups here.
PATIENCE = 3_600.0

steps = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "cancel", "land", "fail", "outdate", "turn", "turn")),
        st.integers(0, 7),
    ),
    max_size=60,
)


class Generations:
    """Values are the numbers of the generation they were begun in."""

    def encode(self, value: int) -> bytes:
        return str(value).encode()

    def decode(self, data: bytes) -> int:
        return int(data)

    def is_negative(self, value: int) -> bool:
        return False


@dataclass
class Making:
    """An answer being made."""

    key: str
    generation: int
    outcome: asyncio.Future[bool]


@dataclass
class Asked:
    """Somebody who waits."""

    generation: int
    task: asyncio.Task[int]


class World:
    """The levels, those who ask them, and those who make the answers."""

    def __init__(self) -> None:
        bounds = CacheSettings(settle_seconds=0.0)
        self.levels: CacheLevels[int] = CacheLevels(bounds, Generations(), waiting_max=1_000)
        self.levels.outdating.watch(SPACE, [TOPIC], 0.0)
        self.generation = 0
        self.making: list[Making] = []
        self.asked: list[Asked] = []

    async def ask(self, key: str) -> int:
        async def make(_: float) -> int:
            making = Making(key, self.generation, asyncio.get_running_loop().create_future())
            self.making.append(making)
            try:
                if await making.outcome:
                    return making.generation
                raise AgentFailedError("as the test wants it")
            finally:
                self.making.remove(making)

        question = Question(CacheKey(SPACE, "1", key), PATIENCE, make, PATIENCE)
        value, _ = await self.levels.answer(question, PATIENCE)
        return value

    def step(self, what: str, which: int) -> None:
        if what == "ask":
            task = asyncio.create_task(self.ask(str(which % 2)))
            self.asked.append(Asked(self.generation, task))
        elif what == "outdate":
            self.generation += 1
            self.levels.outdate_by(TOPIC)
        elif what == "cancel" and self.asked:
            self.asked[which % len(self.asked)].task.cancel()
        elif what in ("land", "fail") and self.making:
            outcome = self.making[which % len(self.making)].outcome
            if not outcome.done():
                outcome.set_result(what == "land")

    async def settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        wanted = [(making.key, making.generation) for making in self.making]
        assert len(wanted) == len(set(wanted)), "one answer is being made twice"
        for asked in [asked for asked in self.asked if asked.task.done()]:
            self.asked.remove(asked)
            if asked.task.cancelled():
                continue
            error = asked.task.exception()
            assert error is None or isinstance(error, AgentFailedError)
            if error is None:
                assert asked.generation <= asked.task.result() <= self.generation


async def play(script: list[tuple[str, int]]) -> None:
    world = World()
    for what, which in script:
        if what == "turn":
            await world.settle()
        else:
            world.step(what, which)
    await world.settle()
    for _ in range(2 * len(script) + 2):
        for making in world.making:
            if not making.outcome.done():
                making.outcome.set_result(True)
        await world.settle()
    assert world.asked == [], "somebody waits for nothing"
    assert (len(world.levels.flights), world.levels.flights.waiting) == (0, 0)
    await world.levels.close()


@settings(max_examples=300)
@example(
    [("ask", 0), ("turn", 0), ("cancel", 0), ("ask", 0)]
)  # Called off, and asked anew at once.
@given(steps)
def test_nobody_hangs_nothing_is_made_twice_and_nothing_is_stale(script) -> None:
    asyncio.run(play(script))
