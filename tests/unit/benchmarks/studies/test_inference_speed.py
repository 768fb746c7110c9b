"""What the study of the tactical network in process makes of its measurements."""

from tests.benchmarks.studies.inference_speed import STUDY
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tactical_models import FP32, INT8
from tests.benchmarks.targets import judge_study


def measurement(
    int8_rate: float, fp32_rate: float = 500_000.0, p99_us: float = 20.0
) -> Measurement:
    def cell(rate: float, file_bytes: int) -> dict[str, float]:
        return {
            "p50_us": 10.0,
            "p99_us": p99_us,
            "rows_per_second_64": rate,
            "rows_per_second_256": rate * 2,
            "file_bytes": file_bytes,
        }

    return {"inference": {FP32: cell(fp32_rate, 391_000), INT8: cell(int8_rate, 106_000)}}


def test_a_row_is_the_median_of_the_rounds_and_its_ratio_that_of_neighbours():
    rounds = [
        measurement(1_000_000, 500_000),
        measurement(3_000_000, 1_000_000),
        measurement(2_000_000, 400_000),
    ]
    (table,) = STUDY.tables("title", rounds)
    assert table.rows == [
        ("fp32", "10.0", "20.0", "500,000", "1,000,000", "391", "1.00"),
        ("int8-static", "10.0", "20.0", "2,000,000", "4,000,000", "106", "3.00"),
    ]


def test_both_tails_and_the_rate_in_8_bits_are_judged():
    figures = STUDY.figures([measurement(2_000_000, 400_000, p99_us=120.0)])
    verdicts = [(v.lane, v.measured, v.met) for v in judge_study("inference", figures)]
    assert verdicts == [
        ("in process, fp32", 120.0, False),
        ("in process, int8-static", 120.0, False),
        ("in process, int8-static, batches of 64", 2_000_000, True),
    ]


def test_the_headline_is_of_8_bits():
    assert (
        STUDY.headline(measurement(2_000_000)) == "int8-static 2,000,000 obs/s at 64, p99 20.0 µs"
    )
