"""From measurements to rows."""

from tests.benchmarks.summary import Measurement, Row, summarise
from tests.unit.benchmarks.results import document, failure, latency, throughput


def rows_of(*measurements: Measurement) -> dict[str, Row]:
    (rows,) = summarise(document(*measurements)).values()
    return {row.peer: row for row in rows}


def test_the_headline_is_the_median_over_the_rounds_with_its_extremes():
    rows = rows_of(*(throughput(number, "nats", rate) for number, rate in ((1, 9), (2, 5), (3, 6))))
    assert rows["nats"].spread == (6, 5, 9)


def test_ratios_are_taken_round_by_round():
    # The machine became ten times slower: the medians of each side alone would say 1.0.
    rows = rows_of(
        throughput(1, "nats", 100),
        throughput(1, "bellwire_tcp", 200),
        throughput(2, "nats", 10),
        throughput(2, "bellwire_tcp", 20),
    )
    assert rows["bellwire_tcp"].ratio_to(rows["nats"]) == (2, 2, 2)


def test_a_failed_round_is_told_and_left_out_of_the_ratio():
    rows = rows_of(
        throughput(1, "nats", 100),
        throughput(2, "nats", 100),
        failure(1, "bellwire_tcp"),
        throughput(2, "bellwire_tcp", 300),
    )
    assert rows["bellwire_tcp"].failures == ("broker ended unasked",)
    assert rows["bellwire_tcp"].ratio_to(rows["nats"]) == (3, 3, 3)


def test_a_peer_that_always_failed_has_neither_headline_nor_ratio():
    rows = rows_of(throughput(1, "nats", 100), failure(1, "bellwire_tcp"))
    assert rows["bellwire_tcp"].spread is None
    assert rows["bellwire_tcp"].ratio_to(rows["nats"]) is None


def test_lost_messages_add_up_over_the_rounds():
    rows = rows_of(throughput(1, "nats", 9, lost=3), throughput(2, "nats", 9, lost=4))
    assert rows["nats"].lost == 7


def test_cpu_is_given_per_message_and_wire_bytes_only_where_the_kernel_counts_them():
    row = rows_of(throughput(1, "nats", 9))["nats"]
    assert row.cpu_us == {"publisher": 100.0, "broker": 200.0, "subscriber": 400.0}
    assert row.wire_bytes == {"publisher": 200.0, "subscriber": None}


def test_the_tail_is_taken_over_all_rounds_and_the_rest_as_median():
    row = rows_of(latency(1, "nats", [10] * 999 + [70]), latency(2, "nats", [10] * 999 + [7_000]))[
        "nats"
    ]
    assert row.latency is not None
    assert round(row.latency.p50.median) == round(row.latency.p99.median) == 10
    assert round(row.latency.p999) == 10
    assert row.latency.max == 7_000


def test_a_saturated_peer_gives_no_ratio_because_its_latency_is_that_of_a_backlog():
    rows = rows_of(
        latency(1, "nats", [100]), latency(1, "grpc_unary", [90_000], seconds=2.0, unsent=500)
    )
    assert rows["grpc_unary"].saturated
    assert not rows["nats"].saturated
    assert rows["nats"].ratio_to(rows["grpc_unary"]) is None
