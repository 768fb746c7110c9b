"""Flipped bytes anywhere in a database: found and said, or harmless; never other data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.integration.store.load import LOGS, first_records, group
from tests.integration.store.material import one_of_each, seen
from tests.integration.store.rewriting import number_in, rewrite

from bellwire.coordinator.log.records import Snapshot
from bellwire.coordinator.log.sqlite import SqliteStore, examine
from bellwire.coordinator.log.sqlite.connection import PAGE_BYTES
from bellwire.coordinator.log.sqlite.folder import DATABASE_NAME
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import (
    DataCorruptError,
    DataFolderError,
    SchemaVersionError,
    StoreReadOnlyError,
)

pytestmark = pytest.mark.integration

GROUPS = 120
SEED = 20261121
FLIPS = 100
REFUSALS = (DataCorruptError, DataFolderError, SchemaVersionError)
Contents = tuple[Snapshot, dict[int, list[object]], list[object]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with rows in every table and inner pages in its largest tree."""
    data = tmp_path_factory.mktemp("original")
    store = SqliteStore(data)
    store.load()
    store.write(first_records())
    for number in range(GROUPS):
        store.write(group(number, 300))
    store.write(one_of_each())
    store.close()
    return data


def copy_of(original: Path, target: Path) -> Path:
    target.mkdir()
    shutil.copy(original / DATABASE_NAME, target / DATABASE_NAME)
    return target


def contents(data: Path) -> Contents:
    """All a store holds; raises one of our errors where it cannot be read."""
    store = SqliteStore(data)
    try:
        snapshot = store.load()
        logs: dict[int, list[object]] = {}
        for segment in snapshot.segments:
            offset = segment.base_offset
            held = logs.setdefault(segment.log_id, [])
            while offset < segment.next_offset:
                found = store.read(segment.log_id, offset, 1 << 20)
                if not found:  # The log knows that something must be there: `DurableLog.loaded`.
                    raise DataCorruptError(f"nothing at offset {offset} of {segment.log_id}")
                found = [one for one in found if one.base_offset < segment.next_offset]
                held += seen(found)
                offset = found[-1].next_offset
        letters: list[object] = []
        for topic, count in snapshot.dead_letters.items():
            given = store.dead_letters(DeadLetterQuery(topic, limit=1_000))
            assert len(given) == count
            letters += given
        return replace(snapshot, incarnation=0), logs, letters
    finally:
        store.close()


def contents_or_refusal(data: Path) -> Contents | None:
    try:
        return contents(data)
    except REFUSALS:
        return None


def flip(database: Path, at: int, mask: int) -> None:
    with database.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def positions(size: int, count: int = FLIPS) -> list[tuple[int, int]]:
    """Where to flip and which bits: all over the file, and more where pages begin."""
    random = Random(SEED)
    pages = size // PAGE_BYTES
    spread = [(random.randrange(size), 1 << random.randrange(8)) for _ in range(count // 2)]
    heads = [
        (random.randrange(pages) * PAGE_BYTES + random.randrange(16), random.randrange(1, 256))
        for _ in range(count - count // 2)
    ]
    return spread + heads


def test_a_flipped_byte_anywhere_is_found_or_harmless(original: Path, tmp_path: Path) -> None:
    expected = contents(copy_of(original, tmp_path / "intact"))
    size = (original / DATABASE_NAME).stat().st_size
    refused = harmless = 0
    for number, (at, mask) in enumerate(positions(size)):
        data = copy_of(original, tmp_path / str(number))
        flip(data / DATABASE_NAME, at, mask)
        report = examine(data)
        found = contents_or_refusal(data)
        if found is None:
            refused += 1
            assert not report.is_healthy, f"the doctor sees nothing of {at}^{mask}"
        else:
            harmless += 1
            assert found == expected, f"other data after {at}^{mask}"
        shutil.rmtree(data)
    print(f"\n{refused + harmless} flips: {refused} refused with an error, {harmless} harmless")
    assert refused > FLIPS // 3


def test_the_doctor_says_what_is_still_readable_around_a_broken_page(
    original: Path, tmp_path: Path
) -> None:
    data = copy_of(original, tmp_path / "data")
    held = (data / DATABASE_NAME).read_bytes()
    page = held.index(b"400.......") // PAGE_BYTES  # The leaf that holds messages from 400 on.
    with (data / DATABASE_NAME).open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    report = examine(data)
    assert not report.is_healthy
    logs = {one.log_id: one for one in report.logs}
    damaged = [one for one in logs.values() if one.unreadable]
    assert [one.log_id in LOGS for one in damaged] == [True]
    assert damaged[0].messages > 100
    intact = [logs[log_id] for log_id in LOGS if log_id != damaged[0].log_id]
    assert len({one.messages for one in intact}) == 1
    assert intact[0].messages > damaged[0].messages
    text = "\n".join(report.lines())
    assert "UNREADABLE" in text
    assert "restore a backup" in text
    assert text.endswith("errors")


def test_a_broken_entry_is_named_and_those_before_it_are_read(
    original: Path, tmp_path: Path
) -> None:
    data = copy_of(original, tmp_path / "data")
    held = (data / DATABASE_NAME).read_bytes()
    flip(data / DATABASE_NAME, held.index(b"402......."), 1)
    store = SqliteStore(data)
    store.load()
    broken = [log for log in LOGS if not reaches(store, log, 400)]
    assert len(broken) == 1
    with pytest.raises(DataCorruptError, match=f"offset 400 of log {broken[0]} .*doctor"):
        store.read(broken[0], 400, 1)
    assert [one.base_offset for one in store.read(broken[0], 392, 1 << 20)] == [392, 396]
    assert [one.base_offset for one in store.read(broken[0], 404, 0)] == [404]
    store.close()


def reaches(store: SqliteStore, log_id: int, offset: int) -> bool:
    """Tell whether a read from a little before an offset gets beyond it."""
    return store.read(log_id, offset - 8, 1 << 20)[-1].base_offset > offset


@pytest.mark.parametrize(
    "table", ["cursors", "producers", "segments", "subscriptions", "topics", "results", "meta"]
)
def test_a_changed_row_that_is_well_formed_is_refused_at_the_start(
    original: Path, tmp_path: Path, table: str
) -> None:
    data = copy_of(original, tmp_path / "data")
    rewrite(data / DATABASE_NAME, f"UPDATE {table} SET checksum = checksum + 1")
    store = SqliteStore(data)
    with pytest.raises(DataCorruptError, match=f"row of {table} .*doctor"):
        store.load()
    assert not examine(data).is_healthy


def test_a_row_that_vanished_from_its_page_is_missed(original: Path, tmp_path: Path) -> None:
    """Its checksum is gone with it; the page's shape tells."""
    data = copy_of(original, tmp_path / "data")
    root = number_in(
        data / DATABASE_NAME, "SELECT rootpage FROM sqlite_schema WHERE name = 'cursors'"
    )
    at = (root - 1) * PAGE_BYTES + 4  # The low byte of the number of rows in a leaf page.
    assert (data / DATABASE_NAME).read_bytes()[at] == 5
    flip(data / DATABASE_NAME, at, 1)
    assert number_in(data / DATABASE_NAME, "SELECT count(*) FROM cursors") == 4
    with pytest.raises(DataCorruptError, match=r"table cursors is damaged .*doctor"):
        SqliteStore(data).load()


def test_a_failed_start_leaves_the_folder_to_others(original: Path, tmp_path: Path) -> None:
    data = copy_of(original, tmp_path / "data")
    rewrite(data / DATABASE_NAME, "UPDATE meta SET checksum = 0")
    for _ in range(2):
        with pytest.raises(DataCorruptError):
            SqliteStore(data).load()


def test_what_is_no_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / DATABASE_NAME).write_bytes(b"these bytes were never a database" * 1_000)
    with pytest.raises(DataCorruptError, match=f"bellwire doctor {data}"):
        SqliteStore(data).load()
    assert [one.severity.value for one in examine(data).findings] == ["error"]


def test_another_programs_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rewrite(data / DATABASE_NAME, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (7)")
    with pytest.raises(DataCorruptError, match="not one of Bellwire's"):
        SqliteStore(data).load()
    assert number_in(data / DATABASE_NAME, "SELECT x FROM theirs") == 7
    assert number_in(data / DATABASE_NAME, "SELECT count(*) FROM sqlite_schema") == 1


def test_a_write_into_a_broken_page_is_refused_and_every_later_one(
    original: Path, tmp_path: Path
) -> None:
    data = copy_of(original, tmp_path / "data")
    root = number_in(
        data / DATABASE_NAME, "SELECT rootpage FROM sqlite_schema WHERE name = 'entries'"
    )
    with (data / DATABASE_NAME).open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\x00")
    store = SqliteStore(data)
    snapshot = store.load()
    assert snapshot.segments
    for _ in range(2):
        with pytest.raises(StoreReadOnlyError, match="in doubt"):
            store.write(group(GROUPS))
    with pytest.raises(DataCorruptError, match="offset 400 of log 11"):
        store.read(LOGS[0], 400, 1)
    store.close()
