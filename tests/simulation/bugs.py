"""Bugs to plant: each breaks one thing in the real core or client, for as long as a run lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.simulation.violation import Kind

from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.client._lane import Lane
from bellwire.client._resume import EphemeralResume
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.dedupe import ProducerIds, ProducerTable
from bellwire.coordinator.core.flight import InFlight
from bellwire.coordinator.core.partition import Partition
from bellwire.coordinator.log.durable import DurableLog
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import CursorRecord
from bellwire.wire.window import Window


@dataclass(frozen=True, slots=True)
class Bug:
    """One way to break what a guarantee rests on.

    Attributes:
        kinds: Violations of which at least one must be found.
        planted: Breaks it while the block runs.
    """

    name: str
    kinds: frozenset[Kind]
    planted: Callable[[], contextlib.AbstractContextManager[None]]


BUGS: Final[list[Bug]] = []


def _bug(*kinds: Kind) -> Callable[[Callable[[], dict[tuple[type, str], Any]]], None]:
    """Register what returns the attributes to replace."""

    def register(attributes: Callable[[], dict[tuple[type, str], Any]]) -> None:
        @contextlib.contextmanager
        def planted() -> Iterator[None]:
            broken = attributes()
            sound = {place: place[0].__dict__[place[1]] for place in broken}
            for (cls, name), value in broken.items():
                setattr(cls, name, value)
            try:
                yield
            finally:
                for (cls, name), value in sound.items():
                    setattr(cls, name, value)

        BUGS.append(Bug(attributes.__name__, frozenset(kinds), planted))

    return register


@_bug(Kind.UNCOMMITTED)
def delivers_above_the_committed_watermark() -> dict[tuple[type, str], Any]:
    sound = DurableLog.append

    def append(self: DurableLog, entry: Entry) -> None:
        sound(self, entry)
        self._cached.add(entry)
        self.high_watermark = self.end_offset
        self.on_readable()

    return {(DurableLog, "append"): append}


@_bug(Kind.UNPERSISTED)
def acknowledges_before_the_commit() -> dict[tuple[type, str], Any]:
    return {(Partition, "not_durable_yet"): lambda self, last_offset: None}


@_bug(Kind.DUPLICATE)
def forgets_the_producers_when_it_restarts() -> dict[tuple[type, str], Any]:
    sound = ProducerTable.__init__
    return {(ProducerTable, "__init__"): lambda self, records=(): sound(self)}


@_bug(Kind.LOST)
def saves_a_cursor_that_counts_what_is_in_flight_as_done() -> dict[tuple[type, str], Any]:
    def open_runs(self: Cursor) -> Iterator[tuple[int, int, int, int]]:
        for run in self.redeliveries:
            yield run.first, run.last, run.attempt, run.failures

    return {(Cursor, "_open_runs"): open_runs}


@_bug(Kind.GAP, Kind.LOST, Kind.UNPERSISTED)
def does_not_roll_back_after_a_failed_commit() -> dict[tuple[type, str], Any]:
    return {(DurableLog, "roll_back"): lambda self: None}


@_bug(Kind.WINDOW)
def ignores_the_window() -> dict[tuple[type, str], Any]:
    return {(Window, "fits"): lambda self, messages, size_bytes: True}


@_bug(Kind.DUPLICATE)
def forgets_which_messages_of_a_block_are_settled() -> dict[tuple[type, str], Any]:
    def open_runs(self: InFlight) -> list[tuple[int, int]]:
        return [(0, self.handout.last - self.handout.first)]

    return {(InFlight, "open_runs"): open_runs}


@_bug(Kind.OUT_OF_ORDER)
def lets_new_messages_overtake_released_ones() -> dict[tuple[type, str], Any]:
    return {(Cursor, "_keeps_order"): property(lambda self: False)}


@_bug(Kind.LOST)
def evicts_what_a_blocking_subscription_needs() -> dict[tuple[type, str], Any]:
    return {(Partition, "_block_floor"): lambda self: self.log.end_offset}


@_bug(Kind.LOST)
def begins_anew_behind_the_last_saved_offset() -> dict[tuple[type, str], Any]:
    sound = Cursor.restore

    def restore(self: Cursor, record: CursorRecord) -> None:
        sound(self, CursorRecord(record.subscription, record.log_id, record.next_offset, ()))

    return {(Cursor, "restore"): restore}


@_bug(Kind.FENCED)
def lets_an_older_instance_of_a_producer_write_on() -> dict[tuple[type, str], Any]:
    sound = ProducerTable.check

    def check(self: ProducerTable, producer_id: int, epoch: int, *args: Any, **named: Any) -> Any:
        known = self._producers.get(producer_id)
        if known is not None and epoch < known.epoch:
            return None
        return sound(self, producer_id, epoch, *args, **named)

    return {
        (ProducerTable, "check"): check,
        (ProducerIds, "check_epoch"): lambda self, producer_id, epoch: None,
    }


@_bug(Kind.LOST)
def resumes_one_message_too_late() -> dict[tuple[type, str], Any]:
    sound = EphemeralResume.start_position

    def start_position(self: EphemeralResume) -> StartPosition | None:
        start = sound(self)
        for position in start.positions if start is not None else ():
            position.offset += 1
        return start

    return {(EphemeralResume, "start_position"): start_position}


@_bug(Kind.OUT_OF_ORDER)
def sends_refused_batches_again_in_any_order() -> dict[tuple[type, str], Any]:
    sound = Lane.end_rewind

    def end_rewind(self: Lane) -> Any:
        if self.rewinding and not self.in_flight:
            self.rewound.sort(key=lambda out: -out.base_sequence)
            self.ready.extendleft(reversed(self.rewound))
            self.rewound = []
        return sound(self)

    return {(Lane, "end_rewind"): end_rewind}
