"""Named producers: one id for life, a new epoch for every instance, so that an older one is fenced.

Source: KIP-98, "Idempotent Producer Guarantees" and "Transactional.id"; here without transactions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bellwire.coordinator.core.dedupe import ProducerIds
from bellwire.coordinator.core.journal import Journal
from bellwire.coordinator.log.records import ProducerNameRecord
from bellwire.wire.errors import CallerError, CapacityError

NAMES_MAX: Final = 10_000  # Bound on names ever used; policy REFUSE.
NAME_BYTES_MAX: Final = 256


class ProducerNames:
    """Knows id and current epoch of each named producer."""

    def __init__(
        self, journal: Journal, ids: ProducerIds, records: Iterable[ProducerNameRecord] = ()
    ) -> None:
        self._journal = journal
        self._ids = ids
        self._names = {record.name: record for record in records}
        for record in self._names.values():
            ids.fence(record.producer_id, record.epoch)

    def open(self, name: str) -> ProducerNameRecord:
        """Return the producer's id with the next epoch; to be used once the journal has it.

        Raises:
            CallerError, CapacityError: The name is too long, or there are too many.
            StoreReadOnlyError: The epoch could not be kept.
        """
        if len(name.encode()) > NAME_BYTES_MAX:
            raise CallerError(
                f"producer_name holds {len(name.encode())} bytes, limit is {NAME_BYTES_MAX}"
            )
        self._journal.check_writable()
        known = self._names.get(name)
        if known is None and len(self._names) >= NAMES_MAX:
            raise CapacityError(
                f"{len(self._names)} producer names are in use, limit is {NAMES_MAX}",
                metadata={"limit": str(NAMES_MAX)},
            )
        if known is None:
            record = ProducerNameRecord(name, self._ids.issue(), 0)
        else:
            record = ProducerNameRecord(name, known.producer_id, known.epoch + 1)
        self._names[name] = record
        self._ids.fence(record.producer_id, record.epoch)
        self._journal.stage(record)
        return record
