"""JSON over HTTP, as it is measured beside the bus."""

import http.client
import json

import pytest
from tests.benchmarks.studies.http_json import (
    HttpClientRole,
    open_http_server,
    post_all,
    requests_of,
)
from tests.benchmarks.studies.record_demo import (
    message_of,
    read_json,
    read_messages,
    write_recording,
)

from bellwire.bus.v1.message_pb2 import Message
from bellwire.trading.v1.market_data_pb2 import Bar

MESSAGES = [("bars", b"1"), ("signals", b"2"), ("bars", b"3"), ("bars", b"4")]


def test_one_by_one_each_message_is_a_request_in_the_order_recorded():
    assert [body for _, body in requests_of(MESSAGES, 1)] == [b"1", b"2", b"3", b"4"]


def test_batched_each_topic_fills_arrays_whatever_stood_between():
    assert list(requests_of(MESSAGES, 2)) == [
        ("/v1/topics/bars/messages", b"[1,3]"),
        ("/v1/topics/bars/messages", b"[4]"),
        ("/v1/topics/signals/messages", b"[2]"),
    ]


def recording(path):
    bar = Bar(symbol="EURUSD", close="1.05")
    message = Message(id="7", source="feed", type=Bar.DESCRIPTOR.full_name)
    message.data = bar.SerializeToString()
    write_recording(path, [message_of("bars.1h", message)] * 3)
    return message


def test_a_recording_gives_back_the_messages_and_what_a_rest_service_would_send(tmp_path):
    message = recording(tmp_path / "r.jsonl")
    assert read_messages(tmp_path / "r.jsonl") == [("bars.1h", message)] * 3
    (topic, body), *_ = read_json(tmp_path / "r.jsonl")
    assert topic == "bars.1h"
    assert json.loads(body)["data"] == {"symbol": "EURUSD", "close": "1.05"}


async def test_a_recording_is_posted_on_one_connection_and_answered_with_offsets(tmp_path):
    recording(tmp_path / "r.jsonl")
    async with open_http_server() as (_, about):
        connection = http.client.HTTPConnection(about["address"], timeout=5)
        connection.connect()
        socket = connection.sock
        role = HttpClientRole(connection, tmp_path / "r.jsonl")
        for batch_messages_max in (1, 2):
            played = {"batch_messages_max": batch_messages_max, "rate": 0}
            assert await role.do("play", played) == {"sent": 3}
        connection.request("POST", "/v1/topics/t/messages", b"{}")
        assert json.loads(connection.getresponse().read()) == {"offset": 7}
        assert connection.sock is socket
        connection.close()


async def test_an_answer_that_is_no_success_ends_the_run():
    async with open_http_server() as (_, about):
        connection = http.client.HTTPConnection(about["address"], timeout=5)
        with pytest.raises(http.client.HTTPException):
            post_all(connection, [("/", b"not json")], 0)
        connection.close()
