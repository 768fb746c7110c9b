"""bellwire.cli.payload and summary: what is inside a message, in one line."""

from __future__ import annotations

import json

import pytest

from bellwire.agent.v1.inference_pb2 import InferRequest
from bellwire.cli.faults import UsageFault
from bellwire.cli.output import encodable, harmless
from bellwire.cli.payload import check_type, decode_payload, encode_payload
from bellwire.cli.summary import summarize
from bellwire.trading.v1 import order_pb2, risk_pb2
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderRequest
from bellwire.trading.v1.risk_pb2 import KillSwitch, RiskDecision
from bellwire.trading.v1.signal_pb2 import SIDE_BUY, SIDE_SELL, SIGNAL_ACTION_ENTER, Signal

NOON = 1_500_033_600_000_000_000  # 2017-07-14 12:00 UTC


def line(message):
    return summarize(
        decode_payload(message.DESCRIPTOR.full_name, message.SerializeToString(deterministic=True))
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            Bar(
                symbol="EURUSD", interval="1h", close_time_unix_nano=NOON,
                open="1.1", high="1.3", low="1.0", close="1.2", volume="99",
            ),
            "EURUSD 1h 2017-07-14 12:00:00  O 1.1  H 1.3  L 1.0  C 1.2  V 99",
        ),
        (
            Watermark(stage="orders", symbol="EURUSD", time_unix_nano=NOON, end_of_stream=True),
            "orders ≤ 2017-07-14 12:00:00  end of stream",
        ),
        (
            Signal(
                symbol="EURUSD", action=SIGNAL_ACTION_ENTER, side=SIDE_BUY, decision_px="1.2",
                strength=0.5, rationale="gap",
            ),
            "ENTER BUY EURUSD at 1.2  strength 0.50  gap",
        ),
        (
            RiskDecision(
                symbol="EURUSD", verdict=risk_pb2.RISK_VERDICT_CLAMP, requested_qty="5",
                approved_qty="2", reason_code="MAX_POSITION",
            ),
            "CLAMP 2 of 5 EURUSD  MAX_POSITION",
        ),
        (
            OrderRequest(
                symbol="EURUSD", side=SIDE_SELL, order_qty="5", cl_ord_id="abc",
                ord_type=order_pb2.ORD_TYPE_LIMIT, price="1.3",
            ),
            "SELL 5 EURUSD LIMIT @ 1.3  abc",
        ),
        (
            ExecutionReport(
                symbol="EURUSD", side=SIDE_BUY, exec_type=order_pb2.EXEC_TYPE_TRADE, last_qty="2",
                last_px="1.21", cum_qty="2", order_qty="5", cl_ord_id="abc",
            ),
            "TRADE BUY 2 @ 1.21 EURUSD  filled 2 of 5  abc",
        ),
        (
            KillSwitch(scope="global", state=risk_pb2.KILL_SWITCH_STATE_HALTED, reason="drill"),
            "scope=global  state=HALTED  reason=drill",
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_types_of_the_contract_read_as_a_trader_would_say_them(message, text):
    assert line(message) == text


def test_a_request_to_a_model_is_decoded_by_its_type():
    request = InferRequest(model="tactical", priority=1)
    name = request.DESCRIPTOR.full_name
    found = decode_payload(name, request.SerializeToString())
    assert found.json_value() == {"model": "tactical", "priority": 1}
    check_type(name)


def test_json_is_shown_as_json():
    payload = decode_payload("", b'{"a": [1, 2]}')
    assert (payload.kind, summarize(payload)) == ("json", '{"a": [1, 2]}')
    assert payload.json_value() == {"a": [1, 2]}


def test_text_is_shown_as_text_on_one_line():
    assert summarize(decode_payload("", "füllt\nzwei".encode())) == "füllt ⏎ zwei"


def test_other_bytes_are_shown_as_size_and_hex():
    payload = decode_payload("", b"\x00\x01\x02\xff" * 20)
    assert payload.kind == "binary"
    assert summarize(payload).startswith("80 B  000102ff 000102ff")
    assert summarize(payload).endswith(" …")
    assert payload.json_value() == "AAEC/wABAv8AAQL/AAEC/wABAv8AAQL/" + (
        "AAEC/wABAv8AAQL/AAEC/wABAv8AAQL/AAEC/wABAv8AAQL/AAEC/wABAv8AAQL/AAEC/wABAv8="
    )


def test_a_known_type_that_does_not_parse_falls_back_to_its_bytes():
    assert decode_payload("bellwire.trading.v1.Bar", b"\xff\xff\xff").kind == "binary"


def test_an_unknown_type_falls_back_to_its_bytes():
    assert decode_payload("acme.v1.Thing", b"hello").kind == "text"


def test_nothing_is_shown_as_nothing():
    assert summarize(decode_payload("", b"")) == ""


def test_control_characters_are_not_sent_to_the_terminal():
    assert decode_payload("", b"\x1b[31mred").kind == "binary"


def test_a_decoded_payload_is_json():
    bar = Bar(symbol="EURUSD", close_time_unix_nano=NOON)
    value = decode_payload(Bar.DESCRIPTOR.full_name, bar.SerializeToString()).json_value()
    assert json.loads(json.dumps(value)) == {
        "symbol": "EURUSD",
        "close_time_unix_nano": str(NOON),
    }


def test_a_json_object_of_a_known_type_is_encoded_as_that_type():
    data = encode_payload("bellwire.trading.v1.Bar", b' {"symbol": "EURUSD", "close": "1.05"}')

    assert Bar.FromString(data) == Bar(symbol="EURUSD", close="1.05")


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        ("", b'{"symbol": "EURUSD"}'),
        ("acme.Unknown", b'{"symbol": "EURUSD"}'),
        ("bellwire.trading.v1.Bar", Bar(symbol="EURUSD").SerializeToString()),
        ("bellwire.trading.v1.Bar", b""),
    ],
)
def test_anything_else_goes_out_as_it_is(type_name, data):
    assert encode_payload(type_name, data) == data


def test_a_json_object_that_does_not_fit_its_type_is_refused_by_name():
    with pytest.raises(UsageFault, match=r"bellwire\.trading\.v1\.Bar.*colour"):
        encode_payload("bellwire.trading.v1.Bar", b'{"colour": "blue"}')


def test_json_nested_deeper_than_the_parser_goes_is_shown_as_text():
    payload = decode_payload("", b"[" * 100_000)

    assert (payload.kind, len(payload.value)) == ("text", 100_000)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("EUR\x1b[31mUSD", r"EUR\x1b[31mUSD"),
        ("a\nb", r"a\nb"),
        ("\ud800", r"\ud800"),
        ("EURUSD ≤ ▇", "EURUSD ≤ ▇"),
    ],
)
def test_foreign_text_cannot_steer_the_terminal(hostile, shown):
    assert harmless(hostile) == shown


def test_a_lone_surrogate_is_printed_in_the_form_json_has_for_it():
    assert encodable('{"a": "\ud800"}') == '{"a": "\\ud800"}'


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("bellwire.trading.v1.Singal", "bellwire.trading.v1.Signal"),
        ("bellwire.trading.v1.signal", "bellwire.trading.v1.Signal"),
        ("bellwire.trade.v1.OrderRequest", "bellwire.trading.v1.OrderRequest"),
        ("bellwire.Bar", "bellwire.trading.v1.Bar"),
    ],
)
def test_a_misspelt_type_of_ours_is_refused_with_the_nearest(wrong, right):
    with pytest.raises(UsageFault, match=rf"there is no such type: did you mean {right}\?"):
        check_type(wrong)


def test_a_type_of_ours_that_is_like_none_is_refused_too():
    with pytest.raises(UsageFault, match="the contract under proto/ has them all"):
        check_type("bellwire.xyzzy.v9.Qwrtzp")


@pytest.mark.parametrize(
    "type_name",
    ["", "text/plain", "acme.v1.Singal", "bellwire.trading.v1.Signal", "bellwire.agent.v1.Agent"],
)
def test_types_of_the_contract_and_of_others_are_taken(type_name):
    check_type(type_name)
