"""A process that consumes until it is told to stop (SIGTERM) or killed, and records what it was handed.

A delivery is recorded first, then the work is done, that is recorded, and only then the message is accepted:
killed anywhere in between, it is delivered again. Now and then a message is given back or rejected.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.crash.patience import patient
from tests.crash.recording import Recorder
from tests.simulation import events as ev

from bellwire.bus.v1.subscriber_pb2 import Ordering
from bellwire.client import EARLIEST, Batch, SettleFailure, Subscription, connect

WORK_SECONDS_MAX: Final = 0.002  # Of a batch: short enough to keep up, long enough to be killed in.
RELEASED_SHARE: Final = 0.01  # Of the batches; one message of each.
REJECTED_SHARE: Final = 0.005
WINDOW_MESSAGES: Final = 1_000  # Small: two members share the work, and a crash makes it bite.


@dataclass(frozen=True, slots=True)
class Worker:
    """One member at work."""

    subscription: str
    member: str
    random: random.Random
    recorder: Recorder
    ephemeral: bool

    async def take(self, opened: Subscription, batch: Batch) -> None:
        """Do the work of one batch and settle it."""
        self.recorder.delivered(self.subscription, self.member, batch)
        await asyncio.sleep(self.random.random() * WORK_SECONDS_MAX)
        everything = range(len(batch))
        drawn = self.random.random()
        if batch.attempt or drawn >= RELEASED_SHARE + REJECTED_SHARE:
            self._note(batch, everything, ev.ACCEPTED)
            await opened.accept(batch)
            return
        odd = self.random.choice(everything)
        reject = drawn < REJECTED_SHARE and not self.ephemeral
        for message in batch:
            which = range(message.index, message.index + 1)
            if message.index != odd:
                self._note(batch, which, ev.ACCEPTED)
                await opened.accept(message)
            elif reject:
                self._note(batch, which, ev.REJECTED)
                await opened.reject(message, reason="drawn")
            else:
                self._note(batch, which, ev.RELEASED)
                await opened.release(message)

    def _note(self, batch: Batch, indexes: range, disposition: str) -> None:
        self.recorder.settled(self.subscription, self.member, batch, indexes, disposition)


async def run(arguments: argparse.Namespace) -> None:
    """Consume until SIGTERM."""
    recorder = Recorder(arguments.record)
    # Only the history needs a name for an unnamed subscription.
    name = arguments.subscription or f"ephemeral {arguments.member}"
    worker = Worker(
        name, arguments.member, random.Random(arguments.seed), recorder, not arguments.subscription
    )
    async with connect(arguments.address, patient(arguments.member)) as client:
        opened = client.subscribe(
            *arguments.topics,
            subscription=arguments.subscription,
            settle="manual",
            start=EARLIEST,
            window_messages=WINDOW_MESSAGES,
            ordering=Ordering.Value(f"ORDERING_{arguments.ordering}"),
            on_settle_failure=lambda failure: _note_failure(recorder, failure),
        )
        async with opened:
            recorder.note(
                "subscribed",
                subscription=name,
                topics=arguments.topics,
                ordered=arguments.ordering == "PARTITION",
            )
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGTERM, lambda: asyncio.ensure_future(opened.close())
            )
            async for batch in opened.batches():
                await worker.take(opened, batch)
        recorder.note("closed", streams=opened.streams_opened, skipped=opened.duplicates_skipped)


def _note_failure(recorder: Recorder, failure: SettleFailure) -> None:
    recorder.note("unsettled", error=repr(failure))


def arguments() -> argparse.ArgumentParser:
    """Return what the process may be told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--member", required=True, help="unique among all members ever started")
    parser.add_argument("--record", required=True, type=Path)
    parser.add_argument("--topics", required=True, nargs="+")
    parser.add_argument("--subscription", default="", help="empty = ephemeral")
    parser.add_argument("--ordering", choices=("PARTITION", "NONE"), default="PARTITION")
    parser.add_argument("--seed", default="1")
    return parser


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
