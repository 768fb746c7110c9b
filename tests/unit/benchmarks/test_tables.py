"""What readers see of a result."""

from tests.benchmarks.header import header_of
from tests.benchmarks.tables import tables_of
from tests.unit.benchmarks.results import (
    beside,
    commit,
    document,
    durable,
    failure,
    latency,
    levels,
    throughput,
)


def test_a_missing_peer_is_named_below_every_table():
    result = document(
        throughput(1, "grpc_unary", 4_000),
        latency(1, "grpc_unary", [700]),
        missing={"nats": "nats-server is not installed"},
    )
    for table in tables_of(result):
        assert "NATS core is missing: nats-server is not installed" in table.notes


def test_a_failure_is_shown_below_the_table_instead_of_a_row():
    (table,) = tables_of(document(failure(1, "nats", error="broker ended unasked")))
    assert table.rows == []
    assert table.notes == ["NATS core: failed: broker ended unasked"]


def test_every_row_has_a_cell_for_every_column():
    result = document(
        *(latency(number, peer, [100 * number]) for number in (1, 2) for peer in PEERS),
        *(throughput(number, peer, 10 * number) for number in (1, 2) for peer in PEERS),
    )
    for table in tables_of(result):
        assert {len(row) for row in table.rows} == {len(table.columns)}


PEERS = ("nats", "grpc_unary", "bellwire_tcp")


def test_columns_are_shown_in_updates_with_what_a_million_cost():
    flood = throughput(1, "bellwire_tcp", 2_000_000, scenario="columns-1000")
    table = tables_of(document(flood))[0]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["updates/s (rounds)"] == "2,000,000"
    assert row["CPU s/M"] == "100.000 + 200.000 + 400.000"
    assert row["wire B/update"] == "200.0/–"


def test_a_saturated_peer_is_called_so_and_its_backlog_shown_in_milliseconds():
    result = document(latency(1, "grpc_unary", [738_000], seconds=2.0, unsent=9))
    (table,) = tables_of(result)
    assert table.rows[0][1].endswith(" ms")
    assert "saturated, took 500 messages/s" in table.notes[0]


def test_the_header_names_command_commit_machine_and_how_busy_it_was():
    header = dict(header_of(document(throughput(1, "nats", 9))))
    assert header["others"].startswith("5% of the machine's CPU time")
    assert header["command"] == "python tests/benchmarks/run.py"
    assert header["commit"] == "0123456789ab"
    assert header["machine"].startswith("a processor, 2 cores, 4.0 GiB")


COMMITS = {"p50_us": 290, "p99_us": 4_100}


def test_a_durable_table_shows_ratios_disk_bytes_and_the_broker_s_own_commit_times():
    result = document(
        durable(1, "jetstream", 40_000), durable(1, "bellwire_durable", 220_000, commits=COMMITS)
    )
    table, targets = tables_of(result)
    bellwire = dict(zip(table.columns, table.rows[1], strict=True))
    assert bellwire["× JetStream"] == "5.50"
    assert bellwire["disk B/msg"] == "130/500"
    assert bellwire["commit p50 / p99 µs"] == "290 / 4,100"
    assert dict(zip(table.columns, table.rows[0], strict=True))["commit p50 / p99 µs"] == "–"
    assert [row[-1] for row in targets.rows] == ["met", "met"]


def test_commits_one_at_a_time_show_time_to_the_acknowledgement_beside_the_commit_itself():
    (table,) = tables_of(document(commit(1, "bellwire_durable", [800], commits=COMMITS)))
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert (cells["p50 (rounds)"], cells["commit p50 / p99"]) == ("800", "290 / 4,100")


def test_a_topic_beside_a_busy_one_is_divided_by_itself_alone():
    (table,) = tables_of(document(beside(1, "bellwire_durable", 200, 300, 500)))
    assert [(row[1], row[-2], row[-1]) for row in table.rows] == [
        ("alone", "–", "–"),
        ("beside memory", "300,000", "1.50"),
        ("beside durable", "200,000", "2.50"),
    ]


def test_each_level_of_a_load_is_a_row_beside_the_same_level_of_nats():
    rates = {1_000: 100, 50_000: 400}
    halves = {1_000: 50, 50_000: 300}
    table, _ = tables_of(document(levels(1, "nats", rates), levels(1, "bellwire_socket", halves)))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["offered/s"] for row in rows] == ["1,000", "50,000"] * 2
    assert [row["× NATS"] for row in rows] == ["–", "–", "0.50", "0.75"]
    assert {row["broker RSS MB"] for row in rows} == {"50"}


def test_a_level_that_saturates_a_system_says_so_in_its_row_and_below():
    late = levels(1, "bellwire_tcp", {50_000: 100}, drained_seconds=0.29, unsent=7)
    table, targets = tables_of(document(late))
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert (cells["taken/s"], cells["lost"]) == ("saturated: 25,000", "7")
    assert table.notes[0].startswith("Bellwire TCP at 50,000/s: saturated, took 25,000 messages/s")
    assert targets.rows[0][-1] == "MISSED"


def test_a_ratio_to_a_system_that_took_no_part_has_no_column():
    (table, _) = tables_of(document(throughput(1, "nats", 9), throughput(1, "bellwire_tcp", 9)))
    assert [column for column in table.columns if column.startswith("×")] == ["× NATS"]


def test_a_missing_peer_is_named_only_below_tables_it_belongs_to():
    missing = {"redis_always": "redis-server is not installed"}
    memory, persisted = tables_of(
        document(throughput(1, "nats", 9), durable(1, "jetstream", 9), missing=missing)
    )
    assert memory.notes == []
    assert persisted.notes == ["Redis always is missing: redis-server is not installed"]


def test_a_durable_result_names_its_disk_and_what_a_sync_cost_there():
    disk = {
        "file_system": "ext4",
        "device": "vda",
        "model": None,
        "write_cache": "write back",
        "sync_probes": [{"p50_us": 250, "p99_us": 900}, {"p50_us": 1_000, "p99_us": 5_000}],
    }
    line = dict(header_of(document(durable(1, "jetstream", 9)) | {"disk": disk}))["disk"]
    assert line.startswith("ext4 on vda, write cache: write back")
    assert "p50 625 µs (250–1,000), p99 2,950 µs" in line
    in_memory = document(durable(1, "jetstream", 9)) | {"disk": disk | {"file_system": "tmpfs"}}
    assert "IN MEMORY" in dict(header_of(in_memory))["disk"]
    assert "disk" not in dict(header_of(document(throughput(1, "nats", 9))))
