"""Runs the processes of a crash test and kills them at seeded random moments, round by round.

Every round kills the coordinator, some also subscribers or a publisher, some the coordinator again while it
starts. In the end the publishers stop, everything drains, and an orderly stop must be one.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from tests.crash.draining import evicted, left, letters
from tests.crash.patience import OUTAGE_SECONDS, PATIENT
from tests.crash.plan import TOPICS, Plan, Seat, seats_of
from tests.crash.processes import Child, CoordinatorProcess, ProcessError, free_port
from tests.crash.recording import SUFFIX, Follower, Recorder

from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceStub
from bellwire.admin.v1.topic_pb2 import LogKind, Topic
from bellwire.client import Client, connect

if TYPE_CHECKING:
    from bellwire.admin.v1.dead_letter_pb2_grpc import DeadLetterServiceAsyncStub

LOAD_SECONDS_MIN: Final = 0.1
LOAD_SECONDS_MAX: Final = 1.0  # Of undisturbed load in a round, at most.
START_SECONDS_MAX: Final = 1.0  # About what a start takes: kills in it hit every part of it.
SUBSCRIBER_KILLED_SHARE: Final = 0.4  # Of the rounds.
PUBLISHER_KILLED_SHARE: Final = 0.2
KILLED_STARTING_SHARE: Final = 0.2
LOOK_SECONDS: Final = 0.02  # Between looks at recordings and counters.
MEMORY_PARTITIONS: Final = 4
NANOS: Final = 1_000_000_000


@dataclass(slots=True)
class Conductor:
    """A run in a folder of its own, which holds all recordings and logs in the end."""

    plan: Plan
    folder: Path
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    random: random.Random = field(init=False)
    recorder: Recorder = field(init=False)
    seats: list[Seat] = field(init=False)
    coordinator: CoordinatorProcess | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.plan.seed)
        self.recorder = Recorder(self.folder / f"conductor{SUFFIX}")
        self.seats = list(seats_of(self.plan))

    async def run(self) -> None:
        """Carry the plan out.

        Raises:
            ProcessError: A process ended by itself, or something took too long.
        """
        try:
            await self._start_coordinator(again=False)
            await asyncio.gather(*(self._fill(seat) for seat in self.seats))
            await self._progress()
            for number in range(1, self.plan.rounds + 1):
                self.recorder.note("round", number=number)
                await self._round()
                await self._progress()
            await self._finish()
        finally:
            await self._kill_everything()

    # ------------------------------------------------------------ one round

    async def _round(self) -> None:
        draw = self.random
        await asyncio.sleep(draw.uniform(LOAD_SECONDS_MIN, LOAD_SECONDS_MAX))
        victims = list(self._victims())
        before = draw.randint(0, len(victims))  # So many of them before the coordinator.
        await self._kill(victims[:before])
        if self.plan.orderly:
            await self._stop_coordinator()
        else:
            await self._kill_coordinator("coordinator")
        await self._kill(victims[before:])
        await self._start_coordinator_somehow(victims)

    def _victims(self) -> Iterator[Seat]:
        draw = self.random
        for kind, share, most in (
            ("subscriber", SUBSCRIBER_KILLED_SHARE, 2),
            ("publisher", PUBLISHER_KILLED_SHARE, 1),
        ):
            seats = [seat for seat in self.seats if seat.kind == kind and seat.mortal]
            if draw.random() < share:
                yield from draw.sample(seats, draw.randint(1, most))

    async def _start_coordinator_somehow(self, victims: list[Seat]) -> None:
        draw = self.random
        if not self.plan.orderly and draw.random() < KILLED_STARTING_SHARE:
            self.coordinator = await self._serve()
            await asyncio.sleep(draw.uniform(0, START_SECONDS_MAX))
            await self._kill_coordinator("coordinator while it started")
        await asyncio.gather(
            self._start_coordinator(again=True), *(self._fill(seat) for seat in victims)
        )

    async def _kill(self, seats: list[Seat]) -> None:
        for seat in seats:
            assert seat.child is not None
            seat.child.check_running()
            seat.child.kill()
            self.recorder.note("killed", what=seat.kind, who=seat.life)
            await seat.child.gone()

    async def _kill_coordinator(self, what: str) -> None:
        assert self.coordinator is not None
        self.coordinator.check_running()
        self.coordinator.kill()
        self.recorder.note("killed", what=what, who="coordinator")
        await self.coordinator.gone()

    async def _stop_coordinator(self) -> None:
        assert self.coordinator is not None
        self.coordinator.check_running()
        self.coordinator.terminate()
        await self.coordinator.event("draining")
        await self.coordinator.event("stopped")
        if await self.coordinator.gone() != 0:
            raise self.coordinator.error("was not stopped in order")
        self.recorder.note("stopped", who="coordinator")

    # ------------------------------------------------------------ processes

    async def _serve(self) -> CoordinatorProcess:
        if self.plan.log == "sqlite":
            arguments = ("--data", str(self.folder / "data"))
        else:  # Whoever comes back first creates the topics again.
            arguments = ("--set", f"coordinator.default_partitions={MEMORY_PARTITIONS}")
        command = "tests.crash.slow_disk" if self.plan.slow_disk else "bellwire.cli"
        return await CoordinatorProcess.serve(
            self.address, self.folder, *arguments, command=command
        )

    async def _start_coordinator(self, *, again: bool) -> None:
        self.coordinator = await self._serve()
        ready = await self.coordinator.ready()
        if again and self.plan.log == "sqlite":
            crashed = ready.recovery["after_crash"]
            if crashed is self.plan.orderly:
                raise self.coordinator.error(f"takes its end for a crash: {crashed}")
        if not again and self.plan.log == "sqlite":
            await self._create_topics()
        self.recorder.note(
            "ready",
            again=again,
            ready_ns=ready.at_ns,
            start_seconds=ready.start_seconds,
            recovery=ready.recovery,
            publishers=[
                seat.life for seat in self.seats if seat.kind == "publisher" and seat.child
            ],
        )

    async def _create_topics(self) -> None:
        async with connect(self.address, PATIENT) as client:
            for topic in TOPICS.values():
                wanted = Topic(log=LogKind.LOG_KIND_SQLITE)
                wanted.MergeFrom(topic)
                await client.admin.create_topic(wanted)

    async def _fill(self, seat: Seat) -> None:
        seat.lives += 1
        record = self.folder / f"{seat.life}{SUFFIX}"
        who = "--name" if seat.kind == "publisher" else "--member"
        seat.follower = Follower(record)
        seat.child = await Child.start(
            seat.life,
            (
                f"tests.crash.{seat.kind}",
                *("--address", self.address, "--record", str(record), who, seat.life),
                *("--seed", f"{self.plan.seed}/{seat.life}", "--topics", *seat.topics),
                *seat.arguments,
            ),
            self.folder,
        )

    async def _kill_everything(self) -> None:
        children = [seat.child for seat in self.seats if seat.child is not None]
        if self.coordinator is not None:
            children.append(self.coordinator)
        await asyncio.gather(*(child.killed() for child in children))
        self.recorder.close()

    # ------------------------------------------------------------ waits

    async def _progress(self) -> None:
        """Wait until every publisher was acknowledged something, and every subscription was handed something.

        Raises:
            ProcessError: That took too long.
        """
        since = time.monotonic_ns()
        waiting = {seat.group for seat in self.seats}
        while waiting:
            for seat in self.seats:
                assert seat.child is not None
                seat.child.check_running()
                if seat.was_served(since):
                    waiting.discard(seat.group)
            if time.monotonic_ns() - since > OUTAGE_SECONDS * NANOS:
                raise ProcessError(f"no progress of {', '.join(sorted(waiting))}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _finish(self) -> None:
        """Let everything drain, and stop in order."""
        await self._stop("publisher")
        async with connect(self.address, PATIENT) as client:
            await self._drained(client)
            for topic in TOPICS:
                self.recorder.note("evicted", messages=await evicted(client, topic))
        await self._stop("subscriber")
        await self._note_dead_letters()
        await self._stop_coordinator()
        if self.plan.log == "sqlite":
            await self._examine()

    async def _stop(self, kind: str) -> None:
        children = [seat.child for seat in self.seats if seat.kind == kind and seat.child]
        for child in children:
            child.check_running()
            child.terminate()
        for child in children:
            if await child.gone() != 0:
                raise child.error(f"ended with status {child.process.returncode}")

    async def _drained(self, client: Client) -> None:
        """Wait until nothing is left to deliver or to settle."""
        deadline = time.monotonic() + OUTAGE_SECONDS
        while unfinished := [text for topic in TOPICS async for text in left(client, topic)]:
            if time.monotonic() > deadline:
                self.recorder.note("stuck", left=unfinished)
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _note_dead_letters(self) -> None:
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: DeadLetterServiceAsyncStub = DeadLetterServiceStub(channel)
            for topic in TOPICS:
                async for letter in letters(stub, topic):
                    self.recorder.note(
                        "dead_lettered",
                        subscription=letter.subscription,
                        topic=topic,
                        partition=letter.position.partition,
                        offset=letter.position.offset,
                    )

    async def _examine(self) -> None:
        """Let the doctor look at what is left."""
        arguments = ("bellwire.cli", "doctor", str(self.folder / "data"), "--json")
        doctor = await Child.start("doctor", arguments, self.folder)
        out, _ = await doctor.process.communicate()
        report = json.loads(out) if out else {}
        if doctor.process.returncode != 0 or report.get("findings"):
            raise doctor.error(f"found the data folder unhealthy: {report.get('findings')}")
