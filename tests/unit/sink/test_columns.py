"""A message becomes a row."""

from __future__ import annotations

import json
from datetime import date

from bellwire.client import new_message
from bellwire.client.received import Batch
from bellwire.sink.columns import COLUMNS, TIME_NS_MAX, Row, day_of, rows_of

NOON_NS = 1_795_262_400_000_000_000  # 2026-11-21 12:00 UTC
MIDNIGHT_NS = 1_795_305_600_000_000_000  # 2026-11-22 00:00 UTC


class Nobody:
    def settle(self, *_arguments):
        raise AssertionError("rows settle nothing")


def batch(*messages, admitted_ns=NOON_NS):
    return Batch(
        messages, "signals.a", 3, 70, Nobody(), admitted_time_unix_nano=admitted_ns, log_id=9
    )


def test_a_row_has_the_columns_in_their_order():
    assert Row._fields == tuple(column.name for column in COLUMNS)


def test_a_row_says_where_the_message_stood_and_what_it_was():
    message = new_message(
        data=b"\xff", key="EURUSD", source="agents/a", type="x.Y", attributes={"b": "é", "a": "1"}
    )
    first, second = rows_of(batch(message, new_message(data=b"")), NOON_NS + 1)
    assert (first.topic, first.partition, first.offset, first.log_id) == ("signals.a", 3, 70, 9)
    assert (first.id, first.source, first.key, first.type) == (
        message.id,
        "agents/a",
        "EURUSD",
        "x.Y",
    )
    assert first.attributes is not None
    assert json.loads(first.attributes) == {"a": "1", "b": "é"}
    assert (first.admitted_time, first.stored_time, first.data) == (NOON_NS, NOON_NS + 1, b"\xff")
    assert (second.offset, second.attributes, second.payload) == (71, None, None)


def test_times_that_are_not_set_or_beyond_what_a_file_holds_are_null():
    late = new_message(data=b"", time_unix_nano=TIME_NS_MAX + 1, expire_time_unix_nano=0)
    latest = new_message(data=b"", time_unix_nano=TIME_NS_MAX)
    first, second = rows_of(batch(late, latest), NOON_NS)
    assert (first.time, first.expire_time, second.time) == (None, None, TIME_NS_MAX)


def test_the_day_is_that_of_admission_in_utc():
    (before,) = rows_of(batch(new_message(data=b""), admitted_ns=MIDNIGHT_NS - 1), NOON_NS)
    (after,) = rows_of(batch(new_message(data=b""), admitted_ns=MIDNIGHT_NS), NOON_NS)
    assert (day_of(before), day_of(after)) == (date(2026, 11, 21), date(2026, 11, 22))


def test_a_message_whose_admission_nobody_told_is_filed_under_now():
    (row,) = rows_of(batch(new_message(data=b""), admitted_ns=0), MIDNIGHT_NS)
    assert day_of(row) == date(2026, 11, 22)
