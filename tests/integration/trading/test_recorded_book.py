"""The book from a recorded exchange feed has the best prices that the exchange itself sent beside it.

The recording is not part of the project: BELLWIRE_DEPTH_RECORDING names a file of lines `time_ns JSON`, gzipped,
with Binance's depth snapshot, `@depth` and `@bookTicker` frames of one symbol.
"""

from __future__ import annotations

import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bellwire.agents.book import Flag, Level, OrderBook, l2_columns
from bellwire.wire.columns import Columns, decode_columns, encode_columns

pytestmark = pytest.mark.integration

RECORDING = os.environ.get("BELLWIRE_DEPTH_RECORDING", "")
SCALE = 8  # Decimal places in which the exchange prints prices and sizes.

Frame = dict[str, Any]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    if not RECORDING:
        pytest.skip("BELLWIRE_DEPTH_RECORDING names no recording")
    with gzip.open(Path(RECORDING), "rt") as lines:
        return [json.loads(line.split(" ", 1)[1]) for line in lines]


def units(text: str) -> int:
    whole, _, places = text.partition(".")
    return int(whole + places.ljust(SCALE, "0"))


def columns_of(sequence: int, bids: list[list[str]], asks: list[list[str]], flags: int) -> Columns:
    rows = [(0, *map(units, level)) for level in bids] + [(1, *map(units, level)) for level in asks]
    side, price, size = np.array(rows, "int64").T
    first = np.zeros(len(rows), "int64")
    first[0] = flags
    return l2_columns(
        np.full(len(rows), sequence),
        price,
        size,
        side,
        price_scale=SCALE,
        size_scale=SCALE,
        flags=first,
    )


def batches(frames: list[Frame]) -> Iterator[tuple[int, Columns]]:
    """Give (update id, columns): the snapshot and the events after it, numbered one by one."""
    snapshot = next(frame for frame in frames if "lastUpdateId" in frame)
    last, sequence = snapshot["lastUpdateId"], 0
    yield last, columns_of(0, snapshot["bids"], snapshot["asks"], Flag.SNAPSHOT)
    for frame in frames:
        event = frame.get("data", {})
        if event.get("e") != "depthUpdate" or event["u"] <= last:
            continue
        sequence += 1 if event["U"] <= last + 1 else 2  # A hole in the ids is one in the sequence.
        last = event["u"]
        yield last, columns_of(sequence, event["b"], event["a"], 0)


def test_the_best_prices_are_those_of_the_exchange(frames: list[Frame]) -> None:
    quotes = [frame["data"] for frame in frames if "bookTicker" in frame.get("stream", "")]
    ids = [quote["u"] for quote in quotes]
    book, compared = OrderBook(price_scale=SCALE, size_scale=SCALE), 0
    for update_id, columns in batches(frames):
        book.apply(decode_columns(encode_columns(columns)))
        at = bisect_right(ids, update_id) - 1
        if not 0 <= at < len(quotes) - 1:
            continue  # The quote in force then is not in the recording.
        quote, top = quotes[at], book.top(1)
        assert top.best_bid == Level(units(quote["b"]), units(quote["B"])), update_id
        assert top.best_ask == Level(units(quote["a"]), units(quote["A"])), update_id
        compared += 1
    assert compared > 1_000
