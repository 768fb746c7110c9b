"""Errors of any text survive the wire, cut where they must be and nowhere else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.wire.errors import MESSAGE_BYTES_MAX, error_for, from_item_error, to_item_error

LONG_TEXT = st.text(max_size=9) | st.text(min_size=1, max_size=3).map(lambda text: text * 700)


@given(
    st.integers(-5, 30),
    LONG_TEXT,
    LONG_TEXT,
    st.dictionaries(LONG_TEXT, LONG_TEXT, max_size=10),
    st.none() | st.floats(0, 4_000_000),
)
def test_an_item_is_bounded_readable_and_stable(code, reason, message, metadata, delay):
    item = to_item_error(error_for(code, reason, message, metadata, delay))
    again = ItemError.FromString(item.SerializeToString())
    assert 1 <= again.code <= 16
    assert again.ByteSize() < 5_000
    # What was passed on once is passed on unchanged from there.
    assert to_item_error(from_item_error(again)) == again
    if 0 < len(message.encode()) <= MESSAGE_BYTES_MAX:
        assert again.message == message
