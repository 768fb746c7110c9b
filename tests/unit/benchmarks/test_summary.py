"""From measurements to rows."""

from tests.benchmarks.summary import Measurement, Row, summarise
from tests.unit.benchmarks.results import (
    beside,
    commit,
    document,
    durable,
    failure,
    latency,
    throughput,
)


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


def test_disk_bytes_are_given_per_message_and_left_out_where_the_kernel_does_not_tell():
    rows = rows_of(durable(1, "jetstream", 9), durable(1, "redis_always", 9, written_bytes=None))
    assert rows["jetstream"].disk_bytes == {"kept": 130.0, "written": 500.0}
    assert rows["redis_always"].disk_bytes == {"kept": 130.0, "written": None}


def test_the_broker_s_own_commit_times_are_the_median_of_the_rounds_that_have_them():
    rows = rows_of(
        *(
            durable(number, "bellwire_durable", 9, commits={"p50_us": p50, "p99_us": p50 * 10})
            for number, p50 in ((1, 100), (2, 300), (3, 200))
        ),
        durable(1, "jetstream", 9),
    )
    assert rows["bellwire_durable"].commit_us == {"p50": 200, "p99": 2_000}
    assert rows["jetstream"].commit_us is None


def test_the_time_to_the_acknowledgement_is_the_latency_where_no_schedule_was_kept():
    row = rows_of(commit(1, "jetstream", [300] * 99 + [900]))["jetstream"]
    assert row.latency is not None
    assert 300 <= row.latency.p50.median <= 300 * 1.008
    assert row.latency.max == 900
    assert row.latency.paced is None
    assert not row.saturated


def test_each_part_of_a_measurement_beside_a_neighbour_is_a_row_of_its_own():
    measured = document(beside(1, "jetstream", 100, 150, 300), beside(2, "jetstream", 10, 20, 40))
    alone, memory, durable_neighbour = summarise(measured)["durable-beside"]
    assert (alone.variant, memory.variant) == ("alone", "memory")
    assert (alone.neighbour_per_second, memory.neighbour_per_second) == (None, 300_000)
    assert durable_neighbour.neighbour_per_second == 200_000
    ratio = durable_neighbour.p99_ratio_to(alone)
    assert ratio is not None
    assert [round(value, 1) for value in ratio] == [3.5, 3.0, 4.0]


def test_a_ratio_takes_the_reference_nearest_in_time_of_the_same_round():
    result = document(
        throughput(1, "nats", 100_000) | {"turn": 0},
        throughput(1, "grpc_unary", 50_000) | {"turn": 1},
        throughput(1, "slim", 50_000) | {"turn": 4},
        throughput(1, "nats", 200_000) | {"turn": 5},
        throughput(2, "nats", 1) | {"turn": 6},
    )
    nats, unary, slim = summarise(result)["throughput-100"]
    assert unary.ratio_to(nats) == (0.5, 0.5, 0.5)
    assert slim.ratio_to(nats) == (0.25, 0.25, 0.25)


def test_a_backlog_behind_a_publisher_that_nothing_acknowledges_is_saturation():
    early = latency(1, "autogen", [100] * 1_000, seconds=1.0)
    (row,) = summarise(document(early | {"drained_seconds": 2.25}))["latency-1k"]
    assert row.saturated
    assert row.taken_per_second == 500
    (row,) = summarise(document(early | {"drained_seconds": 1.1}))["latency-1k"]
    assert not row.saturated
