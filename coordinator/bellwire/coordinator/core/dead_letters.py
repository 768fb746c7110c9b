"""Dead letters: what was given up, kept in the store, and appended again on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.admin.v1.dead_letter_pb2 import DeadLetterCause
from bellwire.bus.v1.message_pb2 import Batch, Message
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.log.records import DeadLetterRecord, DeadLettersRemovedRecord
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BellwireError

BATCH_BYTES_MAX: Final = (
    512 << 10
)  # One message may have as much; two of these fit a batch's limit.


class DeadLetters:
    """Numbers dead letters and hands them to the journal."""

    def __init__(
        self,
        journal: Journal,
        clock_ns: Callable[[], int],
        last_id: int = 0,
    ) -> None:
        self._journal = journal
        self._clock_ns = clock_ns
        self._last_id = last_id

    def check_open(self) -> None:
        """Refuse what could not be kept.

        Raises:
            StoreReadOnlyError: The store is in doubt.
        """
        self._journal.check_writable()

    def bury(
        self,
        handout: Handout,
        first: int,
        last: int,
        cause: DeadLetterCause.ValueType,
        reason: str,
        undo: Callable[[int, int], None],
    ) -> None:
        """Keep messages `first..last` (indexes into the entry); `undo` is called for those that were not kept."""
        partition = handout.cursor.partition
        topic = partition.topic.name
        messages = handout.entry.messages()
        now_ns = self._clock_ns()

        def taken_back(_: BellwireError | None) -> None:
            undo(first, last)

        for index in range(first, last):
            self._last_id += 1
            message = messages[index]
            data = message.SerializeToString()
            record = DeadLetterRecord(
                id=self._last_id,
                topic=topic,
                partition=partition.index,
                offset=handout.entry.base_offset + index,
                log_id=partition.log.log_id,
                subscription=handout.cursor.subscription.name,
                cause=cause,
                reason=reason,
                attempts=handout.attempt + 1,
                time_ns=now_ns,
                key=message.key,
                message=data,
            )
            self._journal.stage(
                record, undo=taken_back if index == first else None, size_bytes=len(data)
            )

    def remove(self, letters: Sequence[DeadLetterRecord]) -> None:
        """Have dead letters removed with the next group."""
        ids = tuple(letter.id for letter in letters)
        self._journal.stage(DeadLettersRemovedRecord(ids))


@dataclass(frozen=True, slots=True)
class Redriven:
    """A batch made of dead letters.

    Attributes:
        letters: Those in it, in its order.
    """

    batch: Batch
    letters: list[DeadLetterRecord]


def redriven_batches(letters: Sequence[DeadLetterRecord], partition_count: int) -> list[Redriven]:
    """Make batches of dead letters, each of one partition and for one subscription only.

    Payloads, ids and times are unchanged; an expiry is lifted, for whoever redrives wants them delivered.
    """
    groups: dict[tuple[int, str], list[DeadLetterRecord]] = {}
    for letter in letters:
        # A topic made anew may have fewer partitions than the one the letter comes from.
        key = (letter.partition % partition_count, letter.subscription)
        groups.setdefault(key, []).append(letter)
    batches = []
    for (partition, subscription), group in groups.items():
        for chunk in _chunks(group):
            batch = encode_batch(chunk[0].topic, partition, [_revived(letter) for letter in chunk])
            batch.header.only_subscription = subscription
            batches.append(Redriven(batch, chunk))
    return batches


def _chunks(letters: Sequence[DeadLetterRecord]) -> Iterator[list[DeadLetterRecord]]:
    chunk: list[DeadLetterRecord] = []
    size = 0
    for letter in letters:
        if chunk and size + len(letter.message) > BATCH_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
        chunk.append(letter)
        size += len(letter.message)
    if chunk:
        yield chunk


def _revived(letter: DeadLetterRecord) -> Message:
    message = Message.FromString(letter.message)
    message.expire_time_unix_nano = 0
    message.not_before_time_unix_nano = 0
    return message
