"""What the demo measures: hops, digest, sizes as JSON, trading, exact percentiles."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.demo.digest import decision_digest
from bellwire.cli.demo.fill_trace import typical_fill_trace
from bellwire.cli.demo.hops import RunSpans, measure_hops
from bellwire.cli.demo.json_size import message_json
from bellwire.cli.demo.recording import Recording
from bellwire.cli.demo.statistics import distribution
from bellwire.cli.demo.trading import signal_model, summarize_trading
from bellwire.trading.v1.signal_pb2 import Model, Signal


def hops_of(made):
    hops = measure_hops(made.recording, RunSpans(made.spans), lockstep=True)
    return {hop.name: hop.seconds for hop in hops}


def test_each_hop_runs_from_one_message_to_the_one_it_caused(hand_made_run):
    found = hops_of(hand_made_run())
    micros = {name: (s.n, round(s.p50 * 1e6)) for name, s in found.items()}
    assert micros == {
        "bar → signal": (1, 400),
        "signal → decision": (1, 300),
        "signal → order": (1, 400),
        "order → ack": (1, 300),
        "order → fill": (2, 1700),
        "bar → its fill": (2, 500),
        "bar → fill": (2, 2500),
        "bar → next bar": (1, 2000),
    }


def test_a_hop_that_never_happened_has_no_figures(hand_made_run):
    made = hand_made_run()
    made.recording.messages = [r for r in made.recording.messages if r.topic == "bars.1h"]
    assert hops_of(made)["bar → fill"] is None


def test_a_message_whose_span_was_lost_is_left_out(hand_made_run):
    made = hand_made_run()
    made.spans = [span for span in made.spans if span.name != "send signals.tactical"]
    found = hops_of(made)
    assert found["bar → signal"] is None
    assert found["order → ack"].n == 1


def test_the_digest_is_the_same_whatever_the_ids_and_times_of_a_run(hand_made_run):
    first = decision_digest(hand_made_run("a").recording)
    again = decision_digest(hand_made_run("b", ack_text="late", wait_us=777).recording)
    assert first == again


def test_the_digest_changes_with_what_was_decided(hand_made_run):
    first = decision_digest(hand_made_run().recording)
    assert decision_digest(hand_made_run(order_qty="6").recording) != first


def test_the_digest_does_not_depend_on_how_deliveries_interleave(hand_made_run):
    made = hand_made_run()
    first = decision_digest(made.recording)
    made.recording.messages.reverse()
    assert decision_digest(made.recording) == first


def test_a_message_as_json_holds_its_payload_as_an_object(hand_made_run):
    recorded = hand_made_run().recording.messages[0]
    found = json.loads(message_json(recorded))
    assert found["data"] == {"symbol": "EURUSD"}
    assert found["id"] == "a-1"
    assert b": " not in message_json(recorded)


def test_a_payload_of_an_unknown_type_counts_as_base64():
    recording = Recording()
    recording.add("t", 0, 0, [Message(id="1", type="acme.Thing", data=b"\xff\x00")])
    assert json.loads(message_json(recording.messages[0]))["data"] == "/wA="


def test_trading_is_counted_by_the_definitions_of_the_execution_layer(hand_made_run):
    found = summarize_trading(hand_made_run().recording)
    assert (found.signals, found.decisions, found.orders) == (1, 1, 1)
    assert found.decided_by == {"tactical 1": 1}
    assert found.quality.venue == "paper"
    assert (found.quality.fills, found.quality.partial_fills) == (2, 1)
    assert found.quality.order_fill_rate.share == 1.0
    assert found.quality.slippage.mean_bps == pytest.approx(100)


def test_the_trace_shown_is_one_that_ends_in_a_fill(hand_made_run):
    made = hand_made_run()
    tree = typical_fill_trace(made.recording, RunSpans(made.spans))
    assert tree is not None
    assert tree.trace_id == f"{1:032x}"
    assert any(row.span.name == "send executions.paper" for row in tree.rows)


def test_without_a_fill_no_trace_is_shown(hand_made_run):
    made = hand_made_run()
    made.recording.messages = made.recording.messages[:5]
    assert typical_fill_trace(made.recording, RunSpans(made.spans)) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300))
def test_percentiles_are_recorded_values_in_order(values):
    found = distribution(values)
    assert found is not None
    assert found.n == len(values)
    assert {found.p50, found.p95, found.p99, found.max} <= set(values)
    assert found.p50 <= found.p95 <= found.p99 <= found.max == max(values)
    assert sum(value <= found.p95 for value in values) >= math.ceil(0.95 * len(values))


def test_of_one_hundred_values_the_95th_is_the_95th():
    found = distribution(float(n) for n in range(100, 0, -1))
    assert found is not None
    assert (found.p50, found.p95, found.p99, found.mean) == (50, 95, 99, 50.5)


def test_nothing_recorded_has_no_distribution():
    assert distribution([]) is None


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (Signal(model=Model(name="tactical", version="2", quantization="int8")), "tactical 2 int8"),
        (Signal(model=Model(name="tactical", version="1", quantization="none")), "tactical 1"),
        (Signal(strategy_id="breakout"), "breakout"),
        (Signal(), "unnamed"),
    ],
)
def test_a_signal_names_what_decided_it(signal, expected):
    assert signal_model(signal) == expected
