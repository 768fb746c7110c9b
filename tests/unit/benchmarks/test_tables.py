"""What readers see of a result."""

from tests.benchmarks.tables import header_of, tables_of
from tests.unit.benchmarks.results import document, failure, latency, throughput


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
