"""bellwire.cli.record: a delivery as one aligned line and as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass

from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.record import COLUMN_MAX, LineWriter, record_json

NOON = 1_500_033_600_123_000_000


@dataclass
class Delivered:
    message: Message
    topic: str = "orders.paper"
    partition: int = 0
    offset: int = 7
    attempt: int = 0
    replayed: bool = False


def test_a_line_has_time_place_key_type_and_what_it_says():
    message = Message(time_unix_nano=NOON, key="EURUSD", type="acme.v1.Note", data=b"buy")
    line = LineWriter().line(Delivered(message))
    assert line.plain == "12:00:00.123  orders.paper[0]@7  EURUSD  Note  buy"


def test_columns_grow_and_stay():
    writer = LineWriter()
    long = Message(time_unix_nano=NOON, key="A_LONG_KEY", data=b"x")
    short = Message(time_unix_nano=NOON, key="K", data=b"x")
    first = writer.line(Delivered(long)).plain
    second = writer.line(Delivered(short)).plain
    assert first.index("  -  x") == second.index("  -  x")


def test_one_very_long_key_does_not_push_every_other_line():
    writer = LineWriter()
    writer.line(Delivered(Message(key="k" * 200)))
    line = writer.line(Delivered(Message(time_unix_nano=NOON, key="k"))).plain
    assert f"{'k':<{COLUMN_MAX}}" in line
    assert len(line) < 100


def test_what_was_delivered_before_is_marked():
    again = Delivered(Message(data=b"x"), attempt=1)
    replayed = Delivered(Message(data=b"x"), replayed=True)
    assert LineWriter().line(again).plain.endswith("x  (attempt 2)")
    assert LineWriter().line(replayed).plain.endswith("x  (replayed)")


def test_nothing_set_is_shown_as_dashes():
    assert LineWriter().line(Delivered(Message())).plain == "-  orders.paper[0]@7  -  -  "


def test_the_json_of_a_delivery_names_how_its_data_is_encoded():
    found = record_json(Delivered(Message(id="1", data=b"\xff\x00")))
    assert (found["data_encoding"], found["data"]) == ("base64", "/wA=")
    assert (found["topic"], found["partition"], found["offset"]) == ("orders.paper", 0, 7)
