"""Payloads as JSON and as columns."""

from __future__ import annotations

import json

import pytest

from bellwire.sink.payload import payload_columns, payload_json, view_name
from bellwire.trading.v1.order_pb2 import EXEC_TYPE_TRADE, ExecutionReport

EXECUTION = "bellwire.trading.v1.ExecutionReport"


def test_a_type_of_the_contract_is_written_by_its_fields_also_those_that_are_zero():
    report = ExecutionReport(exec_id="e1", exec_type=EXEC_TYPE_TRADE, last_px="1.05")
    text = payload_json(EXECUTION, report.SerializeToString())
    assert text is not None
    fields = json.loads(text)
    assert fields["last_px"] == "1.05"
    assert fields["exec_type"] == "EXEC_TYPE_TRADE"
    assert fields["paper"] is False


def test_json_stays_as_it_is():
    assert payload_json("", b'{"a": [1, 2.50]}') == '{"a": [1, 2.50]}'


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        (EXECUTION, b"\xff\xff"),
        ("nobody.knows.This", b"\x01\x02"),
        ("", b""),
        ("", b"text"),
        ("", b'{"a": NaN}'),
        ("", b'{"a": 1'),
        ("", b'{"\xff": 1}'),
        ("", b"[" * 100_000),
    ],
)
def test_what_cannot_be_read_has_no_json(type_name, data):
    assert payload_json(type_name, data) is None


def test_fields_have_the_type_that_questions_want():
    types = {column.name: column.sql_type for column in payload_columns(EXECUTION)}
    assert types["last_qty"] == types["last_px"] == types["commission"] == "DOUBLE"
    assert types["transact_time"] == "TIMESTAMP_NS"
    assert types["side"] == types["symbol"] == types["text"] == "VARCHAR"
    assert types["paper"] == "BOOLEAN"
    assert types["ord_rej_reason"] == "HUGEINT"
    signal = {c.name: c.sql_type for c in payload_columns("bellwire.trading.v1.Signal")}
    assert (signal["model"], signal["confidence"]) == ("JSON", "DOUBLE")
    bar = {c.name: c.sql_type for c in payload_columns("bellwire.trading.v1.Bar")}
    assert {bar[name] for name in ("open", "high", "low", "close", "volume")} == {"DOUBLE"}


def test_an_unknown_type_has_no_columns():
    assert payload_columns("nobody.knows.This") == ()


def test_views_are_named_as_sql_has_it():
    assert view_name(EXECUTION) == "execution_report"
    assert view_name("bellwire.trading.v1.Bar") == "bar"
