"""bellwire.cli.loadtest.arguments: from the command line to the plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.ack import LoadAck
from bellwire.cli.loadtest.arguments import LoadArguments, plan_load
from bellwire.cli.topic_words import Overflow

SECOND = 1_000_000_000
NOTHING = LoadArguments(
    tps=None,
    seconds=None,
    publishers=1,
    subscribers=1,
    size="200",
    ack=LoadAck.RECEIVED,
    topic=None,
    partitions=1,
    overflow=None,
    limits=None,
    replay=None,
    rate=None,
    soak=None,
    server=None,
    data=None,
    config=None,
    assignments=(),
)


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path, monkeypatch):
    """Plans in an empty folder."""
    monkeypatch.chdir(tmp_path)


def plan(**arguments):
    return plan_load(replace(NOTHING, **arguments))


def recording(tmp_path: Path, *times_seconds: float) -> Path:
    path = tmp_path / "stream.jsonl"
    record = {"type": "", "key": "", "subject": "", "attributes": {}, "data_encoding": "empty"}
    lines = (
        json.dumps({**record, "time_unix_nano": round((100 + t) * SECOND), "data": None})
        for t in times_seconds
    )
    path.write_text("\n".join(lines))
    return path


def test_without_a_word_it_is_a_thousand_a_second_for_half_a_minute():
    found = plan()
    (level,) = found.levels
    assert (level.tps, level.seconds, level.warm_up_seconds, level.total) == (1_000, 30, 1, 31_000)
    assert (found.ack_level, found.is_durable, found.topic) == ("ACK_LEVEL_RECEIVED", False, None)
    assert found.overflow_policy == "OVERFLOW_POLICY_UNSPECIFIED"


def test_levels_are_numbered_in_turn():
    found = plan(tps="1000,5k", seconds="2", assignments=("loadtest.warm_up_seconds=0",))
    assert [(level.number, level.tps, level.total) for level in found.levels] == [
        (0, 1_000, 2_000),
        (1, 5_000, 10_000),
    ]


def test_persisted_means_a_store_and_durable_cursors():
    found = plan(ack=LoadAck.PERSISTED, overflow=Overflow.BLOCK)
    assert (found.is_durable, found.ack_word) == (True, "persisted")
    assert found.overflow_policy == "OVERFLOW_POLICY_BLOCK"


def test_a_soak_is_one_level_of_its_length():
    found = plan(soak="30m", tps="500")
    assert found.is_soak
    assert [level.seconds for level in found.levels] == [1_800]


def test_a_recording_is_one_level_of_its_own_pace_times_the_rate(tmp_path):
    found = plan(replay=recording(tmp_path, 0, 1, 2, 4), rate="2x")
    (level,) = found.levels
    assert (level.tps, level.seconds, level.total, level.rate) == (2.0, 2.0, 4, 2.0)
    assert level.warm_up_seconds == 0
    assert found.recording is not None
    assert found.recording.messages == 4


def test_a_recording_can_be_cut(tmp_path):
    found = plan(replay=recording(tmp_path, 0, 1, 2, 4), rate="2x", seconds="1")
    (level,) = found.levels
    assert (level.seconds, level.total) == (1.0, 3)


def test_a_recording_of_one_moment_has_a_length(tmp_path):
    (level,) = plan(replay=recording(tmp_path, 0, 0)).levels
    assert (level.seconds, level.tps) == (0.001, 2_000)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"replay": Path("x"), "tps": "1"}, "--replay has a pace of its own: use --rate, not --tps"),
        ({"replay": Path("x"), "soak": "1m"}, "does not go with --soak"),
        ({"rate": "2x"}, "--rate is for a recording"),
        ({"soak": "1m", "seconds": "2"}, "leave --seconds out"),
        ({"soak": "1m", "tps": "1,2"}, "--soak takes one level; --tps has 2"),
        ({"server": "127.0.0.1:1", "data": Path("d")}, "does not go with --server"),
        ({"server": "nonsense"}, "--server: "),
        ({"size": "23"}, "expected 24 to 524288 bytes"),
        ({"size": "1MiB"}, "expected 24 to 524288 bytes"),
        ({"replay": Path("none")}, "--replay none cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(arguments, text):
    with pytest.raises(UsageFault) as caught:
        plan(**arguments)
    assert text in str(caught.value)
