"""bellwire.cli.loadtest.recording_file: what `tail --json` prints, read back."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import pytest

from bellwire.cli.loadtest.recording_file import (
    RecordingFault,
    offsets_of,
    read_recording,
    share_of,
)
from bellwire.cli.record import record_json
from bellwire.client import new_message
from bellwire.trading.v1.market_data_pb2 import Bar

BAR = Bar(symbol="EURUSD", close="1.05").SerializeToString(deterministic=True)


def line(data=b"x", time_ns=1, **fields):
    message = new_message(data=data, time_unix_nano=time_ns, **fields)
    received = SimpleNamespace(
        topic="t", partition=0, offset=0, attempt=0, replayed=False, message=message
    )
    return json.dumps(record_json(received))


def written(tmp_path, *lines: str):
    path = tmp_path / "stream.jsonl"
    path.write_text("".join(f"{text}\n" for text in lines))
    return path


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        ("", b""),
        ("", b"text \xc3\xa9"),
        ("", b"\x00\xff"),
        ("", b'{"a":[1,2.5,null]}'),
        ("bellwire.trading.v1.Bar", BAR),
    ],
)
def test_every_kind_of_payload_comes_back_as_it_was(tmp_path, type_name, data):
    (message,) = read_recording(written(tmp_path, line(data, type=type_name)), 10)
    assert (message.type, message.data) == (type_name, data)


def test_what_is_replayed_besides_the_payload(tmp_path):
    recorded = line(time_ns=5, key="EURUSD", subject="s", attributes={"venue": "paper"})
    (message,) = read_recording(written(tmp_path, recorded), 10)
    assert (message.time_ns, message.key, message.subject) == (5, "EURUSD", "s")
    assert message.attributes == {"venue": "paper"}
    assert message.size_bytes == len(b"x") + len("EURUSDsvenuepaper")


def test_messages_are_played_by_their_time_whatever_the_order_of_delivery(tmp_path):
    messages = read_recording(written(tmp_path, line(time_ns=30), "", line(time_ns=10)), 10)
    assert offsets_of(messages, messages[0].time_ns) == [0, 20]


def test_a_packed_recording_is_unpacked(tmp_path):
    path = tmp_path / "stream.jsonl.gz"
    path.write_bytes(gzip.compress(line(b"packed").encode()))
    assert read_recording(path, 10)[0].data == b"packed"


def test_a_key_stays_with_one_publisher(tmp_path):
    path = written(tmp_path, *(line(time_ns=i, key=f"k{i % 5}") for i in range(50)))
    messages = read_recording(path, 100)
    shares = [share_of(messages, publisher, 3) for publisher in range(3)]
    assert sum(map(len, shares)) == 50
    keys = [{message.key for message in share} for share in shares]
    assert not keys[0] & keys[1] | keys[1] & keys[2] | keys[0] & keys[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "line 2 is no recorded message (it is no JSON)"),
        ('{"time_unix_nano": 1}', "line 2 is no recorded message (it lacks 'type')"),
        ("[]", "line 2 is no recorded message"),
        (line(b"\xff").replace("base64", "rot13"), "unknown data_encoding 'rot13'"),
        (line(b"\xff").replace('"/w=="', '"%%"'), "its data is no base64"),
    ],
)
def test_a_line_that_is_none_of_ours_is_named(tmp_path, text, reason):
    with pytest.raises(RecordingFault) as caught:
        read_recording(written(tmp_path, line(), text), 10)
    assert reason in str(caught.value)


def test_an_empty_recording_is_refused_with_how_to_make_one(tmp_path):
    with pytest.raises(RecordingFault, match="holds no message; make one with `bellwire tail"):
        read_recording(written(tmp_path), 10)


def test_a_recording_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(RecordingFault, match="cannot be read: No such file"):
        read_recording(tmp_path / "none", 10)


def test_a_file_that_is_not_packed_although_its_name_says_so_is_refused(tmp_path):
    path = tmp_path / "stream.gz"
    path.write_text(line())
    with pytest.raises(RecordingFault, match="cannot be read: Not a gzipped file"):
        read_recording(path, 10)


def test_a_recording_beyond_the_bound_is_refused_with_the_setting(tmp_path):
    path = written(tmp_path, line(), line(), line())
    assert len(read_recording(path, 3)) == 3
    with pytest.raises(RecordingFault, match=r"more than 2 messages.*replay_messages_max"):
        read_recording(path, 2)
