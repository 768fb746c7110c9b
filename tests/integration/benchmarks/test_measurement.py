"""Whole measurements, too short for their figures to mean anything: they must just add up."""

import pytest
from tests.benchmarks.conductor import MeasurementError, measure
from tests.benchmarks.peers import PEERS, load_peer
from tests.benchmarks.scenario import (
    COLUMNS,
    DURABLE,
    SCENARIOS,
    ColumnFlood,
    Commit,
    Durations,
    Latency,
    Levels,
    Throughput,
)
from tests.benchmarks.summary import ROLES

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BRIEF = Durations(warm_up_seconds=0.05, load_seconds=0.2)
# Ours by each way there is; the rest, of which each test starts three processes, is slow together.
FAST = ("bellwire_tcp", "bellwire_socket", "bellwire_durable")


def systems(peers):
    """Return them as parameters of a test; those that are not in `FAST` are marked slow."""
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in peers]


def skip_if_missing(peer: str) -> None:
    reason = load_peer(peer).missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(params=systems(PEERS))
def peer(request):
    skip_if_missing(request.param)
    return request.param


@pytest.fixture(params=systems(DURABLE.peers))
def durable_peer(request):
    skip_if_missing(request.param)
    return request.param


async def test_every_message_of_a_paced_run_is_sent_received_and_timed(peer):
    result = await measure(peer, Latency("paced", "", rate_per_second=500), BRIEF)
    assert (result["sent"], result["received"], result["lost"], result["unsent"]) == (
        100,
        100,
        0,
        0,
    )
    assert sum(count for _, count in result["from_intended"]["buckets"]) == 100
    assert result["from_began"]["max_ns"] <= result["from_intended"]["max_ns"]
    assert result["generator_late"]["max_ns"] <= result["from_intended"]["max_ns"]


async def test_a_flood_loses_nothing_and_accounts_for_all_three_processes(peer):
    result = await measure(peer, Throughput("flood", "", batch_messages_max=100), BRIEF)
    assert result["received"] == result["sent"] > 0
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert result["messages_per_second"] > 0
    assert all(result["processes"][role]["rss_bytes"] > 1_000_000 for role in ROLES)
    assert 0 <= result["processes"]["others"]["cpu_share"] <= 1


@pytest.mark.parametrize("column_peer", systems(COLUMNS.peers))
async def test_a_flood_of_columns_is_counted_in_rows_and_loses_none(column_peer):
    skip_if_missing(column_peer)
    result = await measure(column_peer, ColumnFlood("columns", "", 1_000, builds_book=True), BRIEF)
    assert result["received"] == result["sent"] > 0
    assert result["sent"] % 1_000 == 0
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert result["messages_per_second"] * result["seconds"] == pytest.approx(result["sent"], 0.01)


async def test_what_is_acknowledged_one_by_one_arrives_and_is_on_the_disk(durable_peer):
    result = await measure(durable_peer, Commit("one by one", ""), BRIEF)
    assert result["received"] == result["sent"] > 0
    assert sum(count for _, count in result["acknowledged"]["buckets"]) == result["sent"]
    assert result["disk"]["kept_bytes"] > 0
    commits = result["commits"]
    assert commits is None or 0 < commits["p50_us"] <= commits["p99_us"]


@pytest.mark.slow
@pytest.mark.parametrize("broker", SCENARIOS["durable-beside"].suite.peers)
async def test_a_paced_topic_loses_nothing_while_another_one_is_flat_out(broker):
    skip_if_missing(broker)
    result = await measure(broker, SCENARIOS["durable-beside"], BRIEF)
    variants = result["variants"]
    assert list(variants) == ["alone", "memory", "durable"]
    assert all(each["lost"] == 0 and each["received"] == 200 for each in variants.values())
    assert variants["memory"]["neighbour_messages_per_second"] > 0
    assert variants["durable"]["neighbour_messages_per_second"] > 0


async def test_every_level_of_a_rising_load_arrives_whole():
    result = await measure("bellwire_socket", Levels("load", "", (200, 1_000)), BRIEF)
    levels = result["variants"]
    assert [(rate, each["sent"], each["lost"]) for rate, each in levels.items()] == [
        ("200", 40, 0),
        ("1000", 200, 0),
    ]
    assert levels["1000"]["drained_seconds"] < 1.0


async def test_a_process_that_dies_is_named_with_its_last_words():
    with pytest.raises(
        MeasurementError, match=r"(?s)broker ended unasked.*KeyError: 'no such peer'"
    ):
        await measure("no such peer", Latency("paced", "", 500), BRIEF)
