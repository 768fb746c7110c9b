"""What the study of the inference batcher makes of its measurements."""

import asyncio

from tests.benchmarks.inference_batcher import CLIENTS, ENGINES, LOOPS, OrtEngine, load
from tests.benchmarks.studies.inference_batcher import STUDY
from tests.benchmarks.summary import Measurement


def measurement(rate: float) -> Measurement:
    cell = {"requests_per_second": rate, "p50_us": 2.0, "p99_us": 3.0, "batch_rows": 4.0}
    cells = {str(clients): cell for clients in CLIENTS}
    return {"batcher": {engine: dict.fromkeys(LOOPS, cells) for engine in ENGINES}}


def test_a_row_is_the_median_of_the_rounds():
    (table,) = STUDY.tables("title", [measurement(rate) for rate in (1_000, 3_000, 2_000)])
    assert len(table.rows) == len(ENGINES) * len(LOOPS) * len(CLIENTS)
    assert table.rows[0] == ("trivial, asyncio, 1", "2,000", "2", "3", "4.0")


def test_the_rates_at_most_clients_are_judged():
    figures = STUDY.figures([measurement(2_000)])
    assert [(each.key, each.value) for each in figures] == [
        ("trivial", 2_000),
        ("ONNX Runtime fp32", 2_000),
    ]
    assert "2,000 req/s" in STUDY.headline(measurement(2_000))


def test_a_load_counts_what_clients_were_told():
    cell = asyncio.run(load(OrtEngine(), clients=4, seconds=0.02))
    assert cell["requests_per_second"] > 0
    assert 2 < cell["batch_rows"] <= 4  # Some end before the others: the last batch may be smaller.
    assert 0 < cell["p50_us"] <= cell["p99_us"]
