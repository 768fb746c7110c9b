"""What is made of bytes."""

import pytest
from tests.benchmarks.studies.payload_size import BATCHED, HTTP, IDENTITY, LZ4, PACED, STUDY
from tests.benchmarks.summary import Measurement


def legs(publish: float, deliver: float) -> dict[str, float]:
    return {"publish": publish, "deliver": deliver}


def measurement(http: float, identity: float, lz4: float) -> Measurement:
    return {
        "bytes_per_message": {
            HTTP: {PACED: legs(700, 700), BATCHED: legs(http, http)},
            IDENTITY: {PACED: legs(300, 260), BATCHED: legs(identity, identity)},
            LZ4: {PACED: legs(300, 260), BATCHED: legs(lz4, lz4)},
        },
        "messages": 1_000,
        "protobuf_bytes": 220.0,
        "json_bytes": 400.0,
    }


def test_a_saving_is_of_both_legs_beside_json_sent_the_same_way():
    figures = STUDY.figures([measurement(400, 200, 100)])
    assert {figure.key: figure.value for figure in figures} == pytest.approx(
        {PACED: 1 - 560 / 1_400, BATCHED: 0.75}
    )


def test_what_lz4_alone_takes_off_is_printed_apart():
    (table,) = STUDY.tables("Bytes", [measurement(400, 200, 100)])
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [row[-2:] for row in table.rows] == [
        ("–", "–"),
        ("60.0%", "–"),
        ("60.0%", "0.0%"),
        ("–", "–"),
        ("50.0%", "–"),
        ("75.0%", "25.0%"),
    ]
    assert "220 bytes of protobuf or 400 bytes of JSON" in table.notes[0]


def test_plots_and_the_line_of_a_round_are_of_the_same_bytes():
    found = [measurement(400, 200, 100)]
    batched = next(plot for plot in STUDY.plots(found) if plot["name"] == BATCHED)
    assert (batched["x"], batched["y"]) == ([0, 1, 2], [800, 400, 200])
    assert STUDY.headline(found[0]) == "one by one: 60% smaller, batched: 75% smaller"
