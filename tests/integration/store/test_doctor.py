"""What the doctor finds in stores whose rows do not fit together, and in stores that are in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.store.load import LOGS, first_records, group
from tests.integration.store.material import entries, entry, letter, segment_of
from tests.integration.store.rewriting import rewrite, set_pragma

from bellwire.coordinator.log.records import (
    CursorRecord,
    EntryRecord,
    ProducerRecord,
    Record,
    SubscriptionRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite import Report, SqliteStore, backup, examine
from bellwire.coordinator.log.sqlite.findings import FINDINGS_MAX, Severity
from bellwire.coordinator.log.sqlite.folder import DATABASE_NAME

pytestmark = pytest.mark.integration

TOPIC = TopicRecord("t", b"", (7, 8))
SOUND: tuple[Record, ...] = (
    TOPIC,
    *entries(7, 3, 2, 4),
    segment_of(entries(7, 3, 2, 4)),
    SubscriptionRecord("risk", ("t",), 1, 1, 10),
    CursorRecord("risk", 7, 9, ((2, 5, 2, 1),)),
    CursorRecord("risk", 8, 0, ()),
    ProducerRecord(7, 1, 0, 9, ((0, 5, 0), (5, 4, 5))),
    letter(1, topic="t"),
)


def examined(data: Path, *records: Record, rewriting: Sequence[str] = ()) -> Report:
    """Examine a closed store that holds these records, changed afterwards by these statements."""
    store = SqliteStore(data)
    store.load()
    store.write([*SOUND, *records])
    store.close()
    rewrite(data / DATABASE_NAME, *rewriting)
    return examine(data)


def found(report: Report, severity: Severity) -> list[str]:
    return [f"{one.where}: {one.what}" for one in report.findings if one.severity is severity]


def test_a_sound_store_has_no_findings_and_a_summary(data: Path) -> None:
    report = examined(data)
    assert (report.findings, report.is_healthy) == ([], True)
    first, second = report.logs
    assert (first.name, first.first_offset, first.next_offset) == ("t/0", 0, 9)
    assert (first.entries, first.messages, first.unreadable) == (3, 9, 0)
    assert (second.name, second.entries) == ("t/1", 0)
    assert report.counts["dead letters"] == report.counts["subscriptions"] == 1
    lines = list(report.lines())
    assert "t/0 (log 7): offsets 0 to 8, 9 messages in 3 entries" in lines[1]
    assert lines[-1] == "healthy"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([EntryRecord(7, entry(12, 2))], "t/0 offset 9: offsets 9 to 11 are missing"),
        ([EntryRecord(7, entry(8, 2))], "t/0 offset 8: offset 8 was used before"),
        ([EntryRecord(7, entry(9, 2))], "t/0: 1 entries are in no segment"),
        (
            [replace(segment_of(entries(7, 3, 2, 4)), entries=4)],
            "t/0 segment 0: it should hold 4 entries",
        ),
        ([CursorRecord("risk", 7, 10, ())], "cursor of risk in t/0: it stands at 10"),
        ([CursorRecord("risk", 8, 1, ())], "cursor of risk in t/1: it stands at 1"),
        (
            [CursorRecord("risk", 7, 9, ((4, 6, 1, 0), (2, 3, 1, 0)))],
            "cursor of risk in t/0: its open runs are out of order",
        ),
        (
            [CursorRecord("risk", 7, 4, ((2, 5, 1, 0),))],
            "cursor of risk in t/0: its open runs are out of order",
        ),
        (
            [ProducerRecord(7, 1, 0, 11, ((9, 2, 9),))],
            "producer 1 in log 7: its latest batch ends at offset 11, the log at 9",
        ),
        (
            [ProducerRecord(7, 1, 0, 10, ((5, 4, 5),))],
            "producer 1 in log 7: its latest batch ends at sequence 9, the next one expected is 10",
        ),
        ([letter(2, topic="t", message=b"\xff")], "dead letter 2: its message is damaged"),
    ],
)
def test_what_would_be_lost_or_delivered_wrongly_is_an_error(
    data: Path, records: list[Record], expected: str
) -> None:
    report = examined(data, *records)
    assert not report.is_healthy
    assert any(expected in one for one in found(report, Severity.ERROR)), list(report.lines())
    assert all(one.advice for one in report.findings)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([CursorRecord("nobody", 7, 0, ())], "cursor of nobody in log 7: there is no such subscr"),
        ([CursorRecord("risk", 99, 0, ())], "cursor of risk in log 99: there is no such log"),
        ([ProducerRecord(99, 1, 0, 0, ())], "producer 1 in log 99: there is no such log"),
        ([*entries(99, 2), segment_of(entries(99, 2))], "log 99 of no topic: its entries belong"),
    ],
)
def test_what_points_nowhere_is_a_warning(data: Path, records: list[Record], expected: str) -> None:
    report = examined(data, *records)
    assert report.is_healthy
    assert any(expected in one for one in found(report, Severity.WARNING)), list(report.lines())


def test_a_cursor_behind_what_is_kept_is_a_warning_that_says_how_far(data: Path) -> None:
    kept = entries(8, 5, base=100)
    report = examined(data, *kept, segment_of(kept), CursorRecord("risk", 8, 40, ()))
    assert report.is_healthy
    assert "60 were evicted before they were settled" in found(report, Severity.WARNING)[0]


def test_dead_letters_of_topics_that_are_not_durable_are_only_mentioned(data: Path) -> None:
    report = examined(data, letter(2, topic="memory"), letter(3, topic="memory"))
    assert report.is_healthy
    assert "topic memory: 2 dead letters" in found(report, Severity.INFO)[0]


def test_a_lost_row_leaves_a_gap_that_is_named(data: Path) -> None:
    report = examined(data, rewriting=["DELETE FROM entries WHERE base_offset = 3"])
    assert "t/0 offset 3: offsets 3 to 4 are missing" in found(report, Severity.ERROR)


def test_a_batch_that_cannot_be_opened_is_named_even_where_its_row_is_sound(data: Path) -> None:
    bad = entry(9, 2)
    bad.batch.block = bad.batch.block[:-1]
    bad.stored_bytes -= 1
    appended = [*entries(7, 3, 2, 4), EntryRecord(7, bad)]
    report = examined(data, appended[-1], segment_of(appended))
    [error] = found(report, Severity.ERROR)
    assert error.startswith("t/0 offset 9: the batch cannot be opened: crc32 of the block")
    assert report.logs[0].unreadable == 1


def test_a_deleted_topic_that_is_still_being_removed_is_no_fault(data: Path) -> None:
    examined(data, *entries(7, *[1] * 200, base=9))
    store = SqliteStore(data)
    store.load()
    store.write([TopicDeletedRecord("t", (7, 8))])
    store.close()
    report = examine(data)
    assert report.is_healthy
    assert "entries of a deleted topic wait to be removed" in found(report, Severity.INFO)[0]


def test_a_store_in_use_is_examined_as_it_is_at_one_moment(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.write(first_records())
    for number in range(50):
        store.write(group(number))
    report = examine(data)
    assert report.findings == []
    assert {one.messages for one in report.logs} == {200}
    store.write(group(50))  # It was not locked out, nor are we.
    store.close()


def test_a_store_after_a_crash_is_sound_and_said_to_need_recovery(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.write(first_records())
    store.write(group(0))
    backup(data, data.with_name("crashed"))  # As it is while it is open.
    store.close()
    report = examine(data.with_name("crashed"))
    assert report.is_healthy
    assert found(report, Severity.INFO) == ["store: it was not closed properly"]


def test_an_examination_leaves_no_file_behind(data: Path) -> None:
    examined(data)
    before = sorted(file.name for file in data.iterdir())
    assert examine(data / DATABASE_NAME).is_healthy
    assert sorted(file.name for file in data.iterdir()) == before


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "nothing", "there is no such file"),
        (tmp_path, "there is no bellwire.db"),
    ):
        [finding] = examine(path).findings
        assert finding.what == expected
        assert finding.severity is Severity.ERROR


def test_a_newer_schema_is_not_examined(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.close()
    set_pragma(data / DATABASE_NAME, "user_version", 9)
    [finding] = examine(data).findings
    assert "schema version 9" in finding.what


def test_a_wrecked_store_has_a_bounded_report(data: Path) -> None:
    strays = [CursorRecord(f"s{number}", 99, 0, ()) for number in range(FINDINGS_MAX)]
    report = examined(data, *strays)
    assert len(report.findings) == FINDINGS_MAX
    assert report.omitted == FINDINGS_MAX
    assert f"and {FINDINGS_MAX:,} findings more" in list(report.lines())


def test_logs_of_the_load_are_sound_after_eviction(data: Path) -> None:
    store = SqliteStore(data)
    store.load()
    store.write(first_records())
    for number in range(200):
        store.write(group(number))
    store.close()
    report = examine(data)
    assert report.errors == []
    assert {one.log_id for one in report.logs} == set(LOGS)
