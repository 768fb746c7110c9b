"""bellwire.cli.positions: where to begin, as people write it."""

from __future__ import annotations

import pytest

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    START_POLICY_POSITIONS,
    START_POLICY_TIME,
    StartPosition,
)
from bellwire.cli.faults import UsageFault
from bellwire.cli.positions import parse_positions, place_text
from bellwire.client.start import EARLIEST, LATEST

NOW = 1_700_000_000_000_000_000


def test_words_are_the_ends_of_the_log():
    assert parse_positions(["earliest"], NOW) == EARLIEST
    assert parse_positions(["latest"], NOW) == LATEST


def test_a_time_is_a_start_by_time():
    wanted = StartPosition(policy=START_POLICY_TIME, time_unix_nano=NOW - 900_000_000_000)
    assert parse_positions(["now-15m"], NOW) == wanted


@pytest.mark.parametrize("place", ["orders.paper/3@17", "orders.paper[3]@17"])
def test_a_place_is_read_as_it_is_printed(place):
    wanted = Position(topic="orders.paper", partition=3, offset=17)
    assert parse_positions([place], NOW) == StartPosition(
        policy=START_POLICY_POSITIONS, positions=[wanted]
    )
    assert place_text("orders.paper", 3, 17) == "orders.paper/3@17"


def test_several_places_go_together():
    found = parse_positions(["a/0@1", "b/1@0"], NOW)
    assert [(p.topic, p.partition, p.offset) for p in found.positions] == [("a", 0, 1), ("b", 1, 0)]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a/0@1", "earliest"], "mixes positions"),
        (["earliest", "latest"], "mixes positions"),
        (["a/0"], "is no position; expected earliest, latest, a time, or TOPIC/PARTITION@OFFSET"),
        (["--nosuch"], "is no position"),
        (["a@1"], "is no place"),
        (["a/0@-1"], "is no place"),
        (["a/0@9223372036854775808"], "is no place"),
        (["a/1024@0"], "is no place"),
        (["no spaces/0@1"], "is no place"),
    ],
)
def test_what_is_no_position_is_refused(texts, words):
    with pytest.raises(UsageFault, match=words):
        parse_positions(texts, NOW)
