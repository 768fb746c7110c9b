"""What is written is what is read, once, whatever happened to the files in between."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
from tests.integration.sink.conftest import NOON_NS, TODAY, Shop

from bellwire.client import new_message
from bellwire.sink import SinkWriteError
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.signal_pb2 import SIDE_BUY, Signal

pytestmark = pytest.mark.integration

DAY_NS = 86_400_000_000_000
EVERY_COLUMN = (
    'topic, partition, "offset", id, source, type, subject, key, correlation_id, causation_id, tracestate, schema, '
    "attributes, data, epoch_ns(time), epoch_ns(expire_time), epoch_ns(admitted_time), trace_id, span_id, day"
)


def run_sql(sql):
    """Run SQL beside the store, as other tools would."""
    import duckdb  # Here, since what pytest freezes at collection this library reports as leaked at exit.

    with duckdb.connect() as engine:
        return engine.execute(sql).fetchall()


def signals(count, *, key="EURUSD", source="agents/rules-0", **fields):
    return [
        new_message(
            data=Signal(signal_id=f"s{number}", symbol=key, **fields).SerializeToString(),
            type="bellwire.trading.v1.Signal",
            key=key,
            source=source,
        )
        for number in range(count)
    ]


def test_every_attribute_of_a_message_is_read_back(shop: Shop):
    message = new_message(
        data=b"\x00\xff",
        type="mine",
        subject="s'ub",
        key='k"ey',
        source="agents/a",
        correlation_id="c",
        causation_id="d",
        tracestate="t=1",
        attributes={"a": "\x00'é"},
        time_unix_nano=NOON_NS + 123,
        expire_time_unix_nano=NOON_NS + 456,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    )
    message.schema = "x@1"
    shop.put("odd", [message])
    (row,) = shop.rows(f"SELECT {EVERY_COLUMN} FROM odd")
    assert row == (
        *("odd", 0, 0, message.id, "agents/a", "mine", "s'ub", 'k"ey', "c", "d", "t=1", "x@1"),
        *('{"a": "\\u0000\'é"}', b"\x00\xff", NOON_NS + 123, NOON_NS + 456, NOON_NS),
        *("a" * 32, "b" * 16, TODAY),
    )


def test_files_are_clustered_by_symbol_and_agent(shop: Shop):
    mixed = [
        message
        for number in range(4)
        for message in signals(1, key=f"K{number % 2}", source=f"agents/{number // 2}")
    ]
    shop.put("signals.a", mixed)
    (file,) = shop.folder.files()
    found = run_sql(f"SELECT key, source FROM '{file.path}'")
    assert found == sorted(found)
    assert file.path.parent.name == "day=2026-11-21"


def test_payloads_of_the_contract_are_columns_and_others_json_or_bytes(shop: Shop):
    report = ExecutionReport(
        exec_id="e",
        symbol="EURUSD",
        side=SIDE_BUY,
        last_qty="2",
        last_px="1.5",
        paper=True,
        transact_time_unix_nano=NOON_NS,
    )
    shop.put(
        "executions.paper",
        [
            new_message(
                data=report.SerializeToString(), type="bellwire.trading.v1.ExecutionReport"
            ),
            new_message(data=b"\xff", type="bellwire.trading.v1.ExecutionReport"),
        ],
    )
    shop.put(
        "notes",
        [
            new_message(data=b'{"a": 7}'),
            new_message(data=b"\xfftext"),
            new_message(data=b'{"a": "\\ud800"}'),
        ],
    )
    assert shop.rows(
        "SELECT symbol, side, last_qty * last_px, paper, epoch_ns(transact_time) "
        "FROM executions.paper ORDER BY ALL"
    ) == [("EURUSD", "SIDE_BUY", 3.0, True, NOON_NS), (None, None, None, None, None)]
    assert shop.rows("SELECT count(*) FROM trading.execution_report") == [(2,)]
    rows = shop.rows("SELECT payload->>'a', octet_length(data) FROM notes ORDER BY \"offset\"")
    assert rows[:2] == [("7", 8), (None, 5)]


def test_times_of_payloads_that_no_timestamp_holds_are_null_and_fail_no_query(shop: Shop):
    for nanos in (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        shop.put("signals.a", signals(1, decision_time_unix_nano=nanos))
    found = 'SELECT epoch_ns(decision_time) FROM signals.a ORDER BY "offset"'
    assert shop.rows(found) == [(None,), (1,), (None,), (None,), (None,)]


def test_duplicates_are_shown_once_and_gone_after_compaction(shop: Shop):
    messages = signals(10)
    for _ in range(3):
        shop.put("signals.a", messages)
    # The same id of another source, or on another topic, is another message.
    shop.put("signals.b", messages)
    assert shop.rows(
        'SELECT topic, count(*), min("offset"), max("offset") FROM messages GROUP BY ALL ORDER BY ALL'
    ) == [
        ("signals.a", 10, 0, 9),
        ("signals.b", 10, 0, 9),
    ]
    report = shop.upkeep()
    assert (report.merged_files, report.made_files, report.rows, report.duplicates) == (
        3,
        1,
        10,
        20,
    )
    assert shop.rows("SELECT count(*) FROM messages") == [(20,)]
    assert [(file.level, file.rows) for file in shop.folder.files()] == [(0, 10), (1, 10)]


def test_a_crash_between_the_new_file_and_the_end_of_the_old_ones_shows_nothing_twice(shop: Shop):
    for _ in range(3):
        shop.put("signals.a", signals(10))
    kept = {file.path: file.path.read_bytes() for file in shop.folder.files()}
    shop.upkeep()
    for path, content in kept.items():
        path.write_bytes(content)
    assert len(shop.folder.files()) == 4
    assert shop.rows("SELECT count(*), count(DISTINCT id) FROM messages") == [(30, 30)]
    shop.upkeep(TODAY + timedelta(days=7))
    assert [file.rows for file in shop.folder.files()] == [30]


def test_old_days_are_sealed_and_late_rows_join_them(shop: Shop):
    for number in range(4):
        shop.put("signals.a", signals(100), NOON_NS + (number % 2) * DAY_NS)
    later = TODAY + timedelta(days=3)
    report = shop.upkeep(later)
    assert (report.merged_files, report.made_files) == (4, 2)
    assert report.bytes_after < report.bytes_before
    shop.put("signals.a", signals(1))
    assert shop.rows("SELECT day, count(*) FROM messages GROUP BY ALL ORDER BY ALL") == [
        (TODAY, 201),
        (TODAY + timedelta(days=1), 200),
    ]
    assert shop.upkeep(later).rows == 201
    assert not shop.upkeep(later).did_something


def test_days_beyond_retention_are_gone_with_their_folder(shop: Shop):
    shop.put("signals.a", signals(1))
    shop.put("signals.a", signals(1), NOON_NS + 9 * DAY_NS)
    shop.settings = type(shop.settings)(keep_days=5)
    assert shop.upkeep(TODAY + timedelta(days=9)).dropped_days == 1
    assert [file.day for file in shop.folder.files()] == [date(2026, 11, 30)]
    assert [path.name for path in shop.folder.messages.iterdir()] == ["day=2026-11-30"]


def test_an_older_file_without_a_column_and_a_newer_one_with_more_are_read_together(shop: Shop):
    shop.put("signals.a", signals(2))
    (file,) = shop.folder.files()
    older = shop.folder.place(TODAY, 0, 1, 2)
    newer = shop.folder.place(TODAY, 0, 2, 2)
    lacking = "* EXCLUDE (principal, stored_time, payload) REPLACE ('old' || id AS id)"
    having = "* REPLACE ('new' || id AS id), 7 AS brand_new"
    run_sql(f"COPY (SELECT {lacking} FROM '{file.path}') TO '{older}' (FORMAT parquet)")
    run_sql(f"COPY (SELECT {having} FROM '{file.path}') TO '{newer}' (FORMAT parquet)")
    counted = "SELECT count(*), count(principal), count(symbol), count(brand_new) FROM signals.a"
    assert shop.rows(counted) == [(6, 4, 4, 2)]
    shop.upkeep(TODAY + timedelta(days=7))
    assert shop.rows(counted) == [(6, 4, 4, 2)]


def test_a_field_that_is_no_such_value_any_more_is_null_and_fails_no_query(shop: Shop):
    message = signals(1)[0]
    shop.put("signals.a", [message])
    (file,) = shop.folder.files()
    changed = shop.folder.place(TODAY, 0, 1, 1)
    run_sql(
        f"""COPY (SELECT * REPLACE ('x' AS id, '{{"symbol": 5, "confidence": "high", "model": []}}' AS payload)
        FROM '{file.path}') TO '{changed}' (FORMAT parquet)"""
    )
    assert shop.rows("SELECT symbol, confidence, action FROM signals.a WHERE id = 'x'") == [
        ("5", None, None)
    ]


def test_a_torn_file_is_left_out_and_said_and_set_apart_when_the_sink_starts(shop: Shop):
    shop.put("signals.a", signals(5))
    shop.put("signals.a", signals(5))
    torn = shop.folder.files()[0].path
    torn.write_bytes(torn.read_bytes()[:-7])
    answer = shop.ask("SELECT count(*) FROM messages")
    assert (answer.rows, answer.damaged) == ([(5,)], [torn])
    shop.reopen()
    assert [path.parent.name for path in shop.writer.set_apart] == ["damaged"]
    assert not shop.ask("SELECT count(*) FROM messages").damaged


def test_a_file_torn_after_the_start_is_set_apart_by_upkeep_and_the_others_go_on(shop: Shop):
    for _ in range(3):
        shop.put("signals.a", signals(5))
    torn = shop.folder.files()[0].path
    torn.write_bytes(b"PAR1")
    assert len(shop.upkeep().damaged) == 1
    shop.put("signals.a", signals(5))
    assert shop.upkeep().rows == 15
    assert shop.rows("SELECT count(*) FROM messages") == [(15,)]
    assert shop.upkeep(TODAY + timedelta(days=1)).refreshed_days > 0


def test_the_latest_ids_are_known_after_a_restart(shop: Shop):
    first, second = signals(3), signals(4)
    shop.put("signals.a", first)
    shop.put("signals.a", second)
    shop.reopen()
    known = shop.writer.recent_identities(4)
    assert set(known) == {("signals.a", message.source, message.id) for message in second}
    assert len(shop.writer.recent_identities(100)) == 7


def test_a_write_that_fails_leaves_nothing_and_the_next_one_succeeds(shop: Shop):
    shop.folder.aside.rename(shop.root / "elsewhere")
    with pytest.raises(SinkWriteError, match="3 rows cannot be written"):
        shop.put("signals.a", signals(3))
    (shop.root / "elsewhere").rename(shop.folder.aside)
    assert shop.folder.files() == []
    shop.put("signals.a", signals(2))
    assert shop.rows("SELECT count(*) FROM messages") == [(2,)]


def test_a_clock_that_stands_still_replaces_no_file(shop: Shop):
    for _ in range(3):
        shop._stored_ns = NOON_NS
        shop.put("signals.a", signals(2))
    assert shop.rows("SELECT count(*) FROM messages") == [(6,)]


def test_queries_see_all_rows_once_while_files_are_written_and_compacted(shop: Shop):
    done = threading.Event()
    counts: list[int] = []
    faults: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                ((count, distinct),) = shop.rows(
                    "SELECT count(*), count(DISTINCT id) FROM messages"
                )
                assert count == distinct
                assert isinstance(count, int)
                counts.append(count)
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            faults.append(error)

    shop.put("signals.a", signals(10))
    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(24):
        shop.put("signals.a", signals(10))
        shop.upkeep()
    done.set()
    looking.join(30)
    assert not faults, faults
    assert counts == sorted(counts), "rows went away"
    assert shop.rows("SELECT count(*) FROM messages") == [(250,)]
