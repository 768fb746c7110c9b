"""Whole studies, too short for their figures to mean anything: they must just add up."""

import sqlite3
from pathlib import Path

import pytest
from tests.benchmarks.peers import load_server
from tests.benchmarks.process import Workplace
from tests.benchmarks.scenario import Durations
from tests.benchmarks.studies.cache_levels import KINDS, CacheStudy
from tests.benchmarks.studies.curves import SERIES, Curve, CurvesStudy
from tests.benchmarks.studies.inference_bus import STUDY as INFERENCE_BUS
from tests.benchmarks.studies.inference_bus_table import IN_FLIGHT
from tests.benchmarks.studies.inference_speed import STUDY as INFERENCE
from tests.benchmarks.studies.payload_size import BATCHED, HTTP, IDENTITY, LZ4, PACED, PayloadStudy
from tests.benchmarks.studies.restart_times import COLD, WARM, RestartStudy
from tests.benchmarks.studies.sink_writes import (
    BATCH_ROWS,
    SINK,
    SQLITE,
    SYSTEMS,
    SinkStudy,
)
from tests.benchmarks.studies.slow_subscriber import SlowSubscriberStudy
from tests.benchmarks.studies.tracing import AGENT, CLIENT, RATIOS, TracingStudy
from tests.benchmarks.tactical_models import FP32, INT8

from bellwire.sink import QuerySettings, ask

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BRIEF = Durations(warm_up_seconds=0.05, load_seconds=0.3)


@pytest.fixture
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    # Short, for a socket lies in it.
    return Workplace(Path(tmp_path_factory.mktemp("s")))


async def test_a_curve_has_every_series_at_every_point(workplace):
    study = CurvesStudy(
        [
            Curve("topics", "topics", (1, 30), "cpu_us_per_message"),
            Curve("subscribers", "subscribers", (5,), "cpu_us_per_delivery"),
        ]
    )
    measured = await study.measure("bellwire_tcp", BRIEF, workplace)
    topics = measured["curves"]["topics"]
    assert topics["x"] == [1, 30]
    assert all(len(topics[key]) == 2 for key in SERIES)
    assert all(p50 <= p99 for p50, p99 in zip(topics["p50_us"], topics["p99_us"], strict=True))
    subscribers = measured["curves"]["subscribers"]
    assert subscribers["cpu_us_per_message"][0] == pytest.approx(
        5 * subscribers["cpu_us_per_delivery"][0], abs=0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["bellwire_tcp", "bellwire_socket"])
async def test_a_fast_subscriber_gets_everything_beside_one_that_blocks_or_is_disconnected(
    peer, workplace
):
    study = SlowSubscriberStudy(("BLOCK", "DISCONNECT"))
    durations = Durations(warm_up_seconds=0.05, load_seconds=1.2)
    measured = await study.measure(peer, durations, workplace)
    for log in ("memory", "durable"):
        blocked = measured["cases"][f"{log} BLOCK"]
        assert blocked["slow"]["read"] < blocked["beside"]["sent"] == blocked["slow"]["received"]
        assert measured["cases"][f"{log} DISCONNECT"]["slow"]["ended"] == "SLOW_SUBSCRIBER"


@pytest.mark.slow
async def test_the_demo_is_recorded_and_its_bytes_are_counted(workplace):
    measured = await PayloadStudy(bars_short=100).measure("bellwire_tcp", BRIEF, workplace)
    counted = measured["bytes_per_message"]
    assert measured["messages"] > 80
    for system in (HTTP, IDENTITY, LZ4):
        assert counted[system][BATCHED]["publish"] < counted[system][PACED]["publish"]
    assert counted[HTTP][PACED]["publish"] > measured["json_bytes"]
    assert counted[IDENTITY][PACED]["deliver"] > measured["protobuf_bytes"]
    assert counted[LZ4][BATCHED]["publish"] < counted[IDENTITY][BATCHED]["publish"]


async def test_every_store_keeps_every_row_of_the_sink_study(workplace):
    measured = await SinkStudy().measure("bellwire_tcp", BRIEF, workplace)
    assert measured["writes"].keys() == SYSTEMS.keys()
    for found in measured["writes"].values():
        assert found["rows_per_second"] > 0 < found["disk_bytes_per_row"]
        assert found["p50_ms"] <= found["p99_ms"]
    connection = sqlite3.connect(workplace.directory / SYSTEMS[SQLITE].__name__ / "messages.sqlite")
    (kept,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    connection.close()
    files = ask(
        workplace.directory / SYSTEMS[SINK].__name__,
        "SELECT count(*) FROM messages",
        QuerySettings(),
    )
    assert kept % BATCH_ROWS == 0 < kept
    shown = int(str(files.rows[0][0]))  # What was written again in a later turn is shown once.
    assert shown % BATCH_ROWS == 0 < shown <= measured["writes"][SINK]["rows"]


@pytest.mark.slow
async def test_the_cache_spares_what_is_asked_again(workplace, redis_installed):
    measured = await CacheStudy().measure("bellwire_tcp", BRIEF, workplace)
    found = measured["cache"]
    assert found["calls"] == 30 * 12 * 3
    assert found["reached"] == 30 * 3
    assert set(found["whole"]) == set(KINDS)
    assert all(each["p50"] <= each["p99"] for each in found["whole"].values())


@pytest.mark.slow
async def test_tracing_writes_the_share_of_spans_it_was_told(workplace):
    measured = await TracingStudy(turns=1).measure(
        "bellwire_tcp", Durations(warm_up_seconds=0.05, load_seconds=1.0), workplace
    )
    for path, most in ((CLIENT, 3), (AGENT, 6)):
        turns = measured["paths"][path]
        spans = {name: turns[name][0]["spans_per_message"] for name in RATIOS}
        assert (spans["no SDK"], spans["0"]) == (0, 0)
        assert 0 < spans["1 %"] < 0.2 < spans["100 %"] <= most


async def test_killed_agents_come_back_cold_and_with_a_spare(workplace):
    study = RestartStudy()
    measured = await study.measure("bellwire_tcp", BRIEF, workplace)
    for ways in measured["restart"].values():
        assert [ways[way]["kills"] for way in (COLD, WARM)] == [2, 2]
        assert ways[COLD]["spare_rss_bytes"] == 0
        assert ways[WARM]["spare_rss_bytes"] > 1 << 20
    (table,) = study.tables("Restarts", [measured])
    assert len(table.rows) == 2 * len(measured["restart"])
    assert "with a spare" in study.headline(measured)


async def test_the_network_in_process_is_measured_in_floats_and_in_8_bits(workplace):
    brief = Durations(warm_up_seconds=0.0, load_seconds=0.05)
    measured = await INFERENCE.measure("bellwire_tcp", brief, workplace)
    (table,) = INFERENCE.tables("Network", [measured])
    assert [row[0] for row in table.rows] == [FP32, INT8]
    assert all(each.value for each in INFERENCE.figures([measured]))


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["bellwire_tcp", "bellwire_socket", "litserve"])
async def test_a_model_in_another_process_answers_every_message(workplace, peer):
    if peer == "litserve" and (reason := load_server(peer).missing()):
        pytest.skip(reason)
    brief = Durations(warm_up_seconds=0.05, load_seconds=0.4)
    measured = await INFERENCE_BUS.measure(peer, brief, workplace)
    measured |= {"peer": peer, "round": 1}
    for cells in measured["ways"].values():
        assert all(cells[str(count)]["messages"] > 0 for count in IN_FLIGHT)
    assert all(measured["rss_bytes"].values())
    (table,) = INFERENCE_BUS.tables("Bus", [measured])
    assert len(table.rows) == len(measured["ways"]) * len(IN_FLIGHT)
