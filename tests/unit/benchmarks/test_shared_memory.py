"""Columns that are carried arrive as they were; iceoryx2 is kept by rule, not by taste."""

import numpy as np
import pytest
from tests.benchmarks.shared_memory_carriers import CARRIERS
from tests.benchmarks.shared_memory_content import (
    decode_bare,
    decode_batch,
    encode_as_batch,
    make_table,
    parts_of,
    read_stamp,
    stamp,
)
from tests.benchmarks.shared_memory_table import TITLES, decision, ratios, render_shared_memory
from tests.unit.benchmarks.test_stages import PROVENANCE


def measurement(carrier, updates, p50, rows=1_000, round_=1):
    return {
        "carrier": carrier,
        "rows": rows,
        "round": round_,
        "updates_per_second": updates,
        "p50_us": p50,
        "p95_us": p50,
    }


def test_every_carrier_has_a_title():
    assert list(CARRIERS) == list(TITLES)


@pytest.mark.parametrize("rows", [1, 1_000, 10_000])
def test_columns_come_back_bare_and_as_a_batch(rows):
    table = make_table(rows)
    assert np.array_equal(decode_bare(table.tobytes()), table)
    assert np.array_equal(decode_batch(encode_as_batch(table)), table)


def test_parts_are_stamped_so_that_the_last_is_known():
    parts = parts_of(make_table(25), 10)
    stamp(parts, 7, 99)
    assert [part.shape for part in parts] == [(5, 10), (5, 10), (5, 5)]
    assert [read_stamp(part) for part in parts] == [(7, 99, 2), (7, 99, 1), (7, 99, 0)]
    assert all(part.flags.c_contiguous for part in parts)


def test_ratios_are_those_of_the_same_round():
    measured = [
        measurement("iceoryx2_batch", 200, 50),
        measurement("unix_batch", 100, 100),
        measurement("unix_batch", 1, 1, round_=2),
    ]
    assert ratios(measured, "unix_batch") == {1_000: (2.0, 2.0)}


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([(150, 100), (150, 100)], "kept"),  # × 1.5 in updates a second for both sizes.
        ([(150, 100), (149, 100)], "not kept"),  # One size misses it.
        ([(150, 100), (100, 50)], "not kept"),  # Each size by another figure.
        ([(100, 60), (100, 50)], "kept"),  # Or in latency for both.
    ],
)
def test_it_must_win_in_one_figure_for_every_size(ours, verdict):
    measured = []
    for rows, (updates, p50) in zip((1_000, 10_000), ours, strict=True):
        measured.append(measurement("iceoryx2_batch", updates, p50, rows))
        measured += [measurement(rival, 100, 100, rows) for rival in ("unix_batch", "bellwire")]
    assert decision(measured).startswith(f"**Decision**: {verdict}.")


def test_the_better_rival_counts():
    measured = [
        measurement("iceoryx2_batch", 200, 50),
        measurement("unix_batch", 200, 50),
        measurement("bellwire", 10, 1_000),
    ]
    assert decision(measured).startswith("**Decision**: not kept.")


def test_without_iceoryx2_there_is_no_decision_and_the_page_says_what_is_missing():
    measured = [measurement("unix", 2e6, 10), {**measurement("bellwire", 1, 1), "error": "died"}]
    page = render_shared_memory(
        PROVENANCE
        | {"settings": {"rounds": 1}, "missing": ["iceoryx2: no"], "measurements": measured}
    )
    assert "| Unix socket, bare | 2.00 |" in page
    assert "| iceoryx2, bare | – |" in page
    assert "*missing* iceoryx2: no" in page
    assert "*failed* bellwire: died" in page
    assert "**Decision**: none" in page
