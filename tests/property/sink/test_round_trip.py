"""Whatever a message holds is written and read back: one that could not be would stop the sink for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.sink import ParquetWriter, QuerySettings, SinkSettings, ask
from bellwire.sink.columns import TIME_NS_MAX, day_of, rows_of
from bellwire.sink.folder import StoreFolder

SIGNAL = "bellwire.trading.v1.Signal"
NOON_NS = 1_795_262_400_000_000_000
# Any text that protobuf carries, which has no lone surrogates; with what SQL and JSON give a meaning.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["'", '"', "\x00", "a\x00b", "\\", "NULL", "{}", "\u2028", "\ufffe", "🦆"]
)
times = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 1, TIME_NS_MAX, TIME_NS_MAX + 1])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
payloads = (
    st.binary(max_size=40)
    | json_values.map(lambda value: json.dumps({"a": value}).encode())
    | st.sampled_from(
        [b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b'{"a": 1e999}', b"[" * 500 + b"]" * 500]
    )
)
messages = st.builds(
    Message,
    id=texts,
    source=texts,
    type=texts | st.sampled_from([SIGNAL, "bellwire.trading.v1.Bar"]),
    subject=texts,
    key=texts,
    time_unix_nano=times,
    expire_time_unix_nano=times,
    not_before_time_unix_nano=times,
    correlation_id=texts,
    causation_id=texts,
    traceparent=texts | st.just("é" * 55),
    tracestate=texts,
    schema=texts,
    attributes=st.dictionaries(texts, texts, max_size=3),
    data=payloads,
)


class Nobody:
    def settle(self, *_arguments):
        raise AssertionError("a writer settles nothing")


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    made = ParquetWriter(StoreFolder(tmp_path_factory.mktemp("store")), SinkSettings())
    yield made
    made.close()


@settings(max_examples=25)
@given(st.lists(messages, min_size=1, max_size=5, unique_by=lambda m: (m.source, m.id)), times)
def test_whatever_a_message_holds_is_read_back(writer, found, log_id):
    folder: Path = writer._folder.root
    for file in writer._folder.files():
        file.path.unlink()
    batch = Batch(found, "t", 0, 0, Nobody(), admitted_time_unix_nano=NOON_NS, log_id=log_id)
    rows = rows_of(batch, NOON_NS)
    writer.write(day_of(rows[0]), rows)
    answer = ask(
        folder,
        "SELECT id, source, type, subject, key, correlation_id, causation_id, traceparent, tracestate, "
        'schema, data, log_id, epoch_ns(time) FROM t ORDER BY "offset"',
        QuerySettings(),
    )
    assert list(answer.rows) == [
        (
            *(m.id, m.source, m.type, m.subject, m.key, m.correlation_id, m.causation_id),
            *(m.traceparent, m.tracestate, m.schema, m.data, log_id),
            m.time_unix_nano if 0 < m.time_unix_nano <= TIME_NS_MAX else None,
        )
        for m in found
    ]
    # All the other columns can be computed, whatever is in the payload.
    everything = ask(folder, "SELECT *, payload->>'a', attributes->>'a' FROM t", QuerySettings())
    assert len(everything.rows) == len(found)
    if any(message.type == SIGNAL for message in found):
        ask(folder, "SELECT * FROM trading.signal", QuerySettings())
