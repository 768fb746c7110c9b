"""Backups of a busy store, and the drill: what is restored is a moment of the original."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.store.load import LOGS, check_is_prefix, first_records, group
from tests.integration.store.material import one_of_each, whole_log
from tests.integration.store.rewriting import set_pragma

from bellwire.coordinator.log.records import ResultRecord, TopicDeletedRecord
from bellwire.coordinator.log.sqlite import SqliteStore, backup, examine, restore
from bellwire.wire.errors import (
    DataCorruptError,
    DataFolderError,
    DataLockedError,
    SchemaVersionError,
)

REPOSITORY = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.integration


@contextmanager
def writing(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes groups at full speed."""
    command = [sys.executable, "-m", "tests.integration.store.load", str(data), "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def next_group(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def filled(data: Path, groups: int = 40) -> Path:
    """A closed store that holds so many groups."""
    store = SqliteStore(data)
    store.load()
    store.write(first_records())
    for number in range(groups):
        store.write(group(number))
    store.close()
    return data


def test_what_is_restored_is_a_moment_of_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []
    with writing(tmp_path / "data") as process:
        while next_group(process) < 1_000:
            pass
        for number in range(3):
            before = next_group(process)
            assert backup(tmp_path / "data", tmp_path / f"backup-{number}").is_healthy
            taken.append((before, tmp_path / f"backup-{number}"))
    moments = []
    for before, file in taken:
        restored = tmp_path / f"restored-{file.name}"
        assert restore(file, restored).is_healthy
        store = SqliteStore(restored)
        moments.append(check_is_prefix(store.load(), store))
        assert moments[-1] >= before
        store.close()
    assert moments == sorted(set(moments))
    with capsys.disabled():
        print(f"\n{len(moments)} backups under load, restored at groups {moments}")


def test_a_restored_store_goes_on(tmp_path: Path) -> None:
    backup(filled(tmp_path / "data"), tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "new", keep_log_ids=True)
    store = SqliteStore(tmp_path / "new")
    assert store.load().incarnation == 2
    for number in range(40, 80):
        store.write(group(number))
    store.close()
    assert examine(tmp_path / "new").errors == []
    store = SqliteStore(tmp_path / "new")
    assert check_is_prefix(store.load(), store) == 79
    store.close()


def test_a_restore_names_the_logs_anew_because_offsets_are_given_out_again(tmp_path: Path) -> None:
    report = restore(filled(tmp_path / "data"), tmp_path / "new")
    assert report.errors == []
    store = SqliteStore(tmp_path / "new")
    snapshot = store.load()
    log_ids = set(snapshot.topics[0].log_ids)
    assert len(log_ids) == len(LOGS)
    assert not log_ids & set(LOGS)
    assert {one.log_id for one in snapshot.segments} == log_ids
    assert {one.log_id for one in snapshot.cursors} == log_ids
    assert {one.log_id for one in snapshot.producers} == log_ids
    assert check_is_prefix(snapshot, store) == 39
    assert all(whole_log(store, log_id) == [] for log_id in LOGS)
    store.close()


def test_every_kind_of_record_survives_a_backup(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    store.load()
    store.write(one_of_each())
    backup(tmp_path / "data", tmp_path / "backup")  # Open, and in this process.
    store.write([ResultRecord("after", "r", b"", b"", 1)])
    store.close()
    restore(tmp_path / "backup", tmp_path / "new", keep_log_ids=True)
    again = SqliteStore(tmp_path / "new")
    found = again.load()
    original = SqliteStore(tmp_path / "data")
    expected = original.load()
    assert found.after_crash  # It is the store as it was while it was open.
    earlier = replace(expected, results=expected.results[:1], after_crash=True)
    assert found == earlier
    assert whole_log(again, 7) == whole_log(original, 7)
    again.close()
    original.close()


def test_a_topic_that_is_being_removed_stays_removed(tmp_path: Path) -> None:
    store = SqliteStore(filled(tmp_path / "data", 200))
    store.load()
    store.write([TopicDeletedRecord("load", LOGS)])
    backup(tmp_path / "data", tmp_path / "backup")
    store.close()
    restore(tmp_path / "backup", tmp_path / "new", keep_log_ids=True)
    again = SqliteStore(tmp_path / "new")
    assert list(again.load().segments) == []
    assert all(whole_log(again, log_id) == [] for log_id in LOGS)
    again.close()


# ---------------------------------------------------------------- refusals


def test_a_backup_never_overwrites(tmp_path: Path) -> None:
    filled(tmp_path / "data", 1)
    (tmp_path / "backup").write_text("precious")
    with pytest.raises(DataFolderError, match="never overwritten"):
        backup(tmp_path / "data", tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "precious"


def test_a_backup_of_nothing_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match=r"holds no bellwire\.db"):
        backup(tmp_path / "nowhere", tmp_path / "backup")
    filled(tmp_path / "data", 1)
    with pytest.raises(DataFolderError, match="cannot be written"):
        backup(tmp_path / "data", tmp_path / "no-such-folder" / "backup")
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_a_backup_is_for_its_owner_only_and_one_file(tmp_path: Path) -> None:
    backup(filled(tmp_path / "data", 1), tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup", "data"]


def test_a_restore_into_a_folder_with_data_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    backup(filled(tmp_path / "old", 3), tmp_path / "backup")
    filled(tmp_path / "data", 9)
    with pytest.raises(DataFolderError, match="holds data already"):
        restore(tmp_path / "backup", tmp_path / "data")
    store = SqliteStore(tmp_path / "data")
    assert check_is_prefix(store.load(), store) == 8
    store.close()
    restore(tmp_path / "backup", tmp_path / "data", force=True)
    for folder, last in ((tmp_path / "data", 2), (tmp_path / "data" / "replaced-1", 8)):
        store = SqliteStore(folder)
        assert check_is_prefix(store.load(), store) == last
        store.close()


def test_a_restore_into_a_folder_in_use_is_refused_even_when_forced(tmp_path: Path) -> None:
    backup(filled(tmp_path / "data", 3), tmp_path / "backup")
    store = SqliteStore(tmp_path / "data")
    store.load()
    with pytest.raises(DataLockedError, match="in use by process"):
        restore(tmp_path / "backup", tmp_path / "data", force=True)
    store.write(group(3))
    store.close()


def test_a_damaged_backup_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    backup(filled(tmp_path / "data", 60), tmp_path / "backup")
    held = bytearray((tmp_path / "backup").read_bytes())
    at = held.index(b"118......")  # The payload of a message: SQLite's own check cannot see it.
    held[at] ^= 1
    (tmp_path / "damaged").write_bytes(held)
    filled(tmp_path / "target", 2)
    with pytest.raises(DataCorruptError, match="doctor"):
        restore(tmp_path / "damaged", tmp_path / "target", force=True)
    store = SqliteStore(tmp_path / "target")
    assert check_is_prefix(store.load(), store) == 1
    store.close()
    assert sorted(file.name for file in (tmp_path / "target").iterdir()) == ["LOCK", "bellwire.db"]


def test_something_else_than_a_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(DataCorruptError):
        restore(tmp_path / "notes.txt", tmp_path / "data")
    with pytest.raises(DataFolderError, match="does not exist"):
        restore(tmp_path / "nothing", tmp_path / "data")
    backup(filled(tmp_path / "old", 1), tmp_path / "backup")
    set_pragma(tmp_path / "backup", "user_version", 99)
    with pytest.raises(SchemaVersionError, match="99"):
        restore(tmp_path / "backup", tmp_path / "data")
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["LOCK"]
