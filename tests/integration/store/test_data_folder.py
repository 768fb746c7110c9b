"""Folders that cannot be used, folders in use, disks that are full: each says so, and loses nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import TOOLS_ARE_REQUIRED
from tests.integration.store.load import LOGS, check_is_prefix, first_records, group
from tests.integration.store.material import bases, entries, entry
from tests.integration.store.rewriting import number_in, set_pragma

from bellwire.coordinator.log.records import (
    EntryRecord,
    EvictedRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite import SqliteStore, examine
from bellwire.coordinator.log.sqlite.folder import DATABASE_NAME
from bellwire.wire.errors import (
    DataFolderError,
    DataLockedError,
    InternalError,
    SchemaVersionError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
)

REPOSITORY = Path(__file__).resolve().parents[3]
FULL_AT_BYTES = 4 << 20

pytestmark = pytest.mark.integration


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    """A small memory disk; needs root."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        reason = f"no tmpfs can be mounted here ({made.stderr.strip()}): run as root"
        if TOOLS_ARE_REQUIRED and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


# ---------------------------------------------------------------- two coordinators, bad folders


def test_a_second_coordinator_is_told_who_has_the_folder(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    with pytest.raises(DataLockedError, match=f"in use by process {os.getpid()}: stop it") as error:
        SqliteStore(data).load()
    assert error.value.metadata["pid"] == str(os.getpid())
    store.write(group(0))
    store.close()
    again = SqliteStore(data)
    assert again.load().incarnation == 2
    again.close()


def test_a_killed_coordinator_leaves_the_folder_to_the_next(data: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.store.load", str(data), "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DataLockedError, match=f"in use by process {process.pid}"):
            SqliteStore(data).load()
        process.kill()
        acknowledged = [int(line) for line in process.stdout if line.endswith("\n")]
    store = SqliteStore(data)
    snapshot = store.load()
    assert snapshot.after_crash
    assert check_is_prefix(snapshot, store) >= max(acknowledged, default=0)
    store.close()
    assert not SqliteStore(data).load().after_crash


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "several" / "levels" / "of it, with a blank and ?#%"
    store = SqliteStore(data)
    store.load()
    assert data.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in data.iterdir()} == {0o600}
    assert store.disk_bytes() >= (data / DATABASE_NAME).stat().st_size > 0
    store.close()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataFolderError, match="is a file, a data folder is needed"):
        SqliteStore(tmp_path / "file").load()
    with pytest.raises(DataFolderError, match="cannot be made"):
        SqliteStore(tmp_path / "file" / "below").load()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        for data in (disk, disk / "data"):
            with pytest.raises(DataFolderError, match="Read-only file system; give a folder"):
                SqliteStore(data).load()


def test_a_newer_schema_is_refused_and_not_changed(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.close()
    set_pragma(data / DATABASE_NAME, "user_version", 2)
    before = (data / DATABASE_NAME).read_bytes()
    with pytest.raises(
        SchemaVersionError, match="has schema version 2, this Bellwire knows up to 1"
    ):
        SqliteStore(data).load()
    assert (data / DATABASE_NAME).read_bytes() == before
    assert not examine(data).is_healthy


def test_a_crash_before_the_tables_were_made_is_made_good(data: Path) -> None:
    data.mkdir()
    (data / DATABASE_NAME).touch()
    store = SqliteStore(data)
    assert store.load().incarnation == 1
    store.close()


# ---------------------------------------------------------------- full disks


def test_a_full_disk_refuses_whole_groups_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", f"size={FULL_AT_BYTES}") as disk:
        (disk / "ballast").write_bytes(bytes(FULL_AT_BYTES // 4))
        (disk / "reserve").write_bytes(bytes(FULL_AT_BYTES // 4))
        store = SqliteStore(disk / "data", checkpoint_pages=100)
        store.load()
        store.write(first_records())
        last = fill(store, 0)
        for _ in range(3):
            with pytest.raises(
                StoreFullError, match="is full: nothing was stored; free some space"
            ):
                store.write(group(last + 1, size=20_000))
            assert bases(store, LOGS[0], (last + 1) * 4) == []
        (disk / "ballast").unlink()
        later = fill(store, last + 1)
        assert later > last
        store.close()
        (disk / "reserve").unlink()
        store = SqliteStore(disk / "data")
        snapshot = store.load()
        assert not snapshot.after_crash
        assert check_is_prefix(snapshot, store) == later
        store.close()
        assert examine(disk / "data").errors == []
    print(f"\nfull after {last + 1} groups, went on to {later + 1}, all of them there")


def fill(store: SqliteStore, number: int) -> int:
    """Write groups until the disk is full; return the last one that was written."""
    while True:
        try:
            store.write(group(number, size=2_000))
        except StoreFullError:
            return number - 1
        number += 1


def test_a_start_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        (disk / "ballast").write_bytes(bytes(60 << 10))
        with pytest.raises(DataFolderError, match="disk is full"):
            SqliteStore(disk / "data").load()


# ---------------------------------------------------------------- failing writes


def test_a_group_is_written_whole_or_not_at_all(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    impossible = TopicRecord("t", b"", (-1,))
    with pytest.raises(InternalError, match="nothing was stored; please report"):
        store.write([*entries(7, 3), EvictedRecord(8, 5), impossible])
    assert bases(store, 7, 0) == []
    store.write(entries(7, 3))
    assert bases(store, 7, 0) == [0]
    store.close()


def test_an_eviction_that_was_rolled_back_did_not_happen(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.write(entries(7, *[1] * 10))
    with pytest.raises(InternalError):
        store.write(
            [EvictedRecord(7, 10), TopicDeletedRecord("t", (7,)), TopicRecord("t", b"", (-1,))]
        )
    for _ in range(3):
        store.write([])
    assert len(bases(store, 7, 0)) == 10
    store.close()


def test_another_program_that_holds_a_transaction_is_named_as_the_cause(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellwire.coordinator.log.sqlite.connection.BUSY_SECONDS", 0.05)
    store = SqliteStore(data)
    store.load()
    other = sqlite3.connect(data / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="another program"):
        store.write(entries(7, 3))
    other.execute("ROLLBACK")
    other.close()
    store.write(entries(7, 3))
    assert bases(store, 7, 0) == [0]
    store.close()


def test_a_write_the_disk_refuses_makes_the_store_read_only_for_good(data: Path) -> None:
    """A limit on file sizes gives EFBIG, which is no full disk: SQLite calls it an I/O error."""
    code = """
import resource, signal, sys
from bellwire.coordinator.log.sqlite import SqliteStore
from bellwire.wire.errors import StoreReadOnlyError
from tests.integration.store.load import LOGS, first_records, group
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(sys.argv[1])
store.load()
store.write(first_records())
store.write(group(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
number, failures = 1, 0
while failures < 3:
    try:
        store.write(group(number, 2_000))
        assert not failures, "written after a failure"
        number += 1
    except StoreReadOnlyError as error:
        failures += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.read(LOGS[0], 0, 1)
store.close()
print(number - 1)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(data)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    store = SqliteStore(data)
    snapshot = store.load()
    assert snapshot.after_crash
    assert check_is_prefix(snapshot, store) == int(run.stdout)
    store.close()


def test_a_database_that_cannot_be_synced_makes_the_store_read_only(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        synced.set()
        raise OSError(5, "Input/output error")

    synced = threading.Event()
    store = SqliteStore(data, checkpoint_pages=4)
    store.load()
    monkeypatch.setattr(os, "fdatasync", broken)
    store.write(first_records())
    error = failure_of(store)
    assert "could not be synced" in error.message
    assert synced.is_set()
    store.close()
    monkeypatch.undo()
    store = SqliteStore(data)
    snapshot = store.load()
    assert snapshot.after_crash
    check_is_prefix(snapshot, store)
    store.close()


def failure_of(store: SqliteStore) -> StoreReadOnlyError:
    """Write until the store is read-only."""
    number = 0
    while True:
        try:
            store.write(group(number))
        except StoreReadOnlyError as error:
            return error
        number += 1


# ---------------------------------------------------------------- the write-ahead log


def test_the_write_ahead_log_stays_near_its_bound_under_a_steady_load(data: Path) -> None:
    pages = 200
    store = SqliteStore(data, checkpoint_pages=pages)
    store.load()
    largest = 0
    for number in range(400):
        store.write([EntryRecord(7, entry(number * 3, 3, size=5_000)) for _ in range(3)])
        largest = max(largest, (data / f"{DATABASE_NAME}-wal").stat().st_size)
    written = (data / DATABASE_NAME).stat().st_size
    store.close()
    assert written > 5 * pages * 4_096
    assert largest < 8 * pages * 4_096
    assert not (data / f"{DATABASE_NAME}-wal").exists()


def test_reads_go_on_while_a_writer_and_the_checkpoints_work(data: Path) -> None:
    store = SqliteStore(data, checkpoint_pages=50)
    store.load()
    store.write(first_records())
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(300):
                store.write(group(number))
        except BaseException as error:  # noqa: BLE001  # The test's own thread tells of it.
            failures.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set() or seen == 0:
        for one in store.read(LOGS[1], seen, 1 << 20):
            assert one.base_offset >= seen
            seen = one.next_offset
        if not bases(store, LOGS[1], seen):  # Evicted from under the reader, or the end.
            seen = max(seen, store.find_time(LOGS[1], seen, 1_200, 0) % 1_200)
    writer.join()
    assert failures == []
    assert number_in(data / DATABASE_NAME, "SELECT max(next_offset) FROM entries") == 1_200
    store.close()
