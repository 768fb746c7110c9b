"""bellwire.coordinator.log.sqlite.table: a row that is not what was written is never taken for one."""

from __future__ import annotations

import pytest
from tests.integration.store.material import entry

from bellwire.coordinator.log.records import CursorRecord, EntryRecord, ProducerRecord
from bellwire.coordinator.log.sqlite.rows import CURSORS, ENTRIES, PRODUCERS
from bellwire.wire.errors import DataCorruptError

CURSOR = CursorRecord("risk", 7, 512, ((3, 5, 2, 1),))


def test_a_row_gives_the_record_back():
    assert CURSORS.record(CURSORS.row(CURSOR)) == CURSOR
    producer = ProducerRecord(7, 2**64 - 1, 3, 2**63, ((2**64 - 2, 1, 9),))
    assert PRODUCERS.record(PRODUCERS.row(producer)) == producer


@pytest.mark.parametrize("column", range(5))
@pytest.mark.parametrize("value", [None, 0, 1.5, "", b"", "7", b"\x00" * 32])
def test_any_other_value_in_any_column_is_found(column: int, value: object):
    row: list[object] = list(CURSORS.row(CURSOR))
    if row[column] == value:
        pytest.skip("that is what was written")
    row[column] = value
    with pytest.raises(DataCorruptError, match="row of cursors"):
        CURSORS.record(tuple(row))


def test_every_flipped_bit_of_a_number_is_found():
    *values, checksum = CURSORS.row(CURSOR)
    for bit in range(63):
        flipped = [*values[:2], 512 ^ (1 << bit), values[3], checksum]
        with pytest.raises(DataCorruptError):
            CURSORS.record(tuple(flipped))


def test_the_same_values_in_another_table_are_another_row():
    assert CURSORS.checksum(("x", 1)) != PRODUCERS.checksum(("x", 1))


def test_values_do_not_run_into_each_other():
    assert CURSORS.checksum(("ab", "c")) != CURSORS.checksum(("a", "bc"))
    assert CURSORS.checksum(("1", 2)) != CURSORS.checksum((1, "2"))
    assert CURSORS.checksum((b"a",)) != CURSORS.checksum(("a",))


def test_an_entry_whose_batch_holds_another_number_of_messages_is_refused():
    values = list(ENTRIES.pack(EntryRecord(7, entry(0, 3))))
    values[2] = 4
    with pytest.raises(DataCorruptError, match="log_id 7, base_offset 0"):
        ENTRIES.record((*values, ENTRIES.checksum(values)))
