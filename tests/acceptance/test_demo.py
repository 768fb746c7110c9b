"""`bellwire demo`: real bars in, traced fills out, across processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from bellwire.agents.tactical.networks import Variant, initial_weights
from bellwire.agents.tactical.onnx_graph import write_model

pytestmark = pytest.mark.acceptance

DEMO_SECONDS = 50


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def write_csv(path, rows=150):
    """Write a market of small moves with gaps between bodies, so that the rules find something."""
    lines = ["time,open,high,low,close,volume"]
    price = 100.0
    for n in range(rows):
        step = (1 if (n // 7) % 2 else -1) * (0.2 + 0.5 * (n % 7 == 3))
        close = price + step
        high, low = max(price, close) + 0.05, min(price, close) - 0.05
        volume = 4000 + 3000 * (n % 7 == 3)
        day, hour = 1 + n // 24, n % 24
        lines.append(
            f"2024-03-{day:02d}T{hour:02d}:00:00Z,"
            f"{price:.2f},{high:.2f},{low:.2f},{close:.2f},{volume}"
        )
        price = close
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_same_data_gives_the_same_decisions_over_five_processes(bellwire):
    reports = []
    for run in ("first", "second"):
        status, out, err = await bellwire.run(
            *("demo", "--bars", "150", "--json", "--run-dir", run), seconds=DEMO_SECONDS
        )
        assert (status, out.count("\n")) == (0, 1), err
        reports.append(json.loads(out))
    first, second = reports

    assert first["digest"] == second["digest"]
    assert (first["venue"], first["pace"]) == ("paper", "lockstep")
    assert first["data"]["bars"] == 150
    assert first["trading"]["signals"] > 0
    assert first["trading"]["orders"] > 0
    assert first["trading"]["fills"] > 0
    assert first["trading"]["signals"] == first["trading"]["decisions"]
    total = first["bus"]["total"]
    assert total["messages"] == sum(topic["messages"] for topic in first["bus"]["topics"])
    assert 0 < total["bytes_sent"] < total["json_bytes"]

    hops = {hop["name"]: hop for hop in first["latency"]["hops"]}
    assert hops["bar → next bar"]["n"] == 149
    assert hops["bar → fill"]["n"] == first["trading"]["fills"]
    assert all(0 < hop["p50"] <= hop["p95"] <= hop["p99"] for hop in hops.values())

    names = [process["name"] for process in first["processes"]]
    assert names == ["coordinator", "tactical-0", "risk-0", "paper-0", "feed-0", "bellwire demo"]
    assert all(p["cpu_seconds"] > 0 and p["rss_bytes"] > 0 for p in first["processes"])
    assert not any(is_alive(process["pid"]) for process in first["processes"])

    trace = first["trace"]
    assert trace["processes"] >= 4
    spans = [span["name"] for span in trace["spans"]]
    assert spans[0] == "send bars.1h"
    assert spans.count("send executions.paper") >= 2  # the acknowledgement and the fill
    status, out, _ = await bellwire.run("trace", trace["trace_id"], "--dir", "first/traces")
    assert status == 0
    assert "└ send signals.tactical" in out


@pytest.mark.timeout(90)
async def test_the_report_is_readable_and_names_its_own_trace(bellwire):
    write_csv(bellwire.folder / "mine.csv")
    status, out, err = await bellwire.run(
        *("demo", "--data", "mine.csv", "--symbol", "ACME", "--run-dir", "run"),
        seconds=DEMO_SECONDS,
    )
    assert status == 0, err
    assert out.startswith("Bellwire demo  paper venue, lockstep, seed 0\n")
    assert "ACME 1h  150 bars" in out
    for title in ("Bus", "Trading", "Latency", "Processes"):
        assert f"\n{title}\n" in out
    assert err.splitlines()[0] == "demo: starting the coordinator"
    assert err.splitlines()[-1] == "demo: reading traces"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_model_trades_and_the_same_model_trades_the_same(bellwire):
    write_model(bellwire.folder / "model", initial_weights(Variant.TINY, 11))
    flags = ("--policy", "tactical", "--model", "model", "--bars", "150", "--json")
    reports = []
    for run in ("first", "second"):
        status, out, err = await bellwire.run(
            "demo", *flags, "--run-dir", run, seconds=DEMO_SECONDS
        )
        assert status == 0, err
        reports.append(json.loads(out))
    assert reports[0]["digest"] == reports[1]["digest"]
    assert reports[0]["trading"]["fills"] > 0
    assert reports[0]["trading"]["signals"] == reports[0]["trading"]["decisions"]
    (agent,) = (each for each in reports[0]["processes"] if each["name"] == "tactical-0")
    assert agent["rss_bytes"] < 110_000_000  # 98 MB seen: numpy and ONNX Runtime, no torch
    traced = {span["service"] for span in reports[0]["trace"]["spans"]}
    assert any("tactical-0" in service for service in traced)


async def test_the_tactical_policy_without_a_model_is_refused_at_once(bellwire):
    status, out, err = await bellwire.run("demo", "--policy", "tactical", "--model", "nowhere")
    assert (status, out) == (2, "")
    assert err.startswith("error: --policy tactical needs a model: ")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_a_process_that_dies_ends_the_run_with_the_end_of_its_log(bellwire):
    async with bellwire.started(
        *("demo", "--bars", "5000", "--run-dir", "run", "--set", "client.timeout_seconds=2")
    ) as demo:
        pids = await agent_pids(bellwire, demo)
        os.kill(pids["risk-0"], signal.SIGKILL)
        status, out, err = await demo.end()
    assert (status, out) == (1, "")
    assert "error: process risk-0 failed: was ended by SIGKILL" in err
    assert "run/logs/risk-0.log ends so:" in err
    assert not any(map(is_alive, pids.values()))


@pytest.mark.timeout(90)
async def test_ctrl_c_stops_every_process(bellwire):
    async with bellwire.started("demo", "--bars", "5000", "--run-dir", "run") as demo:
        pids = await agent_pids(bellwire, demo)
        demo.signal(signal.SIGINT)
        status, out, _ = await demo.end()
    assert (status, out) == (130, "")
    assert not any(map(is_alive, pids.values()))
    assert not (bellwire.folder / "run" / "bus.sock.lock").exists()


async def agent_pids(bellwire, demo):
    """Wait until the demo plays; return the process ids of its agents."""
    async with asyncio.timeout(DEMO_SECONDS):
        while "playing" not in (line := (await demo.process.stderr.readline()).decode()):
            assert line, "the demo ended before it played"
    address = f"unix://{bellwire.folder}/run/bus.sock"
    status, out, err = await bellwire.run("agents", "list", "--json", "--address", address)
    assert status == 0, err
    return {found["agent_id"]: found["pid"] for found in map(json.loads, out.splitlines())}


async def test_data_that_cannot_be_played_is_refused_before_anything_starts(bellwire):
    write_csv(bellwire.folder / "mine.csv")
    text = (bellwire.folder / "mine.csv").read_text()
    (bellwire.folder / "mine.csv").write_text(text.replace("2024-03-02T05", "2024-03-01T05"))
    status, out, err = await bellwire.run("demo", "--data", "mine.csv", "--run-dir", "run")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert "line 31" in err
    assert err.count("\n") == 1
    assert not (bellwire.folder / "run").exists()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_running_free_still_trades_and_ends(bellwire):
    status, out, err = await bellwire.run(
        *("demo", "--bars", "300", "--free-run", "--json", "--run-dir", "run"), seconds=100
    )
    assert status == 0, err
    report = json.loads(out)
    assert report["pace"] == "free-run"
    assert report["trading"]["orders"] > 0
