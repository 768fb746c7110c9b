"""The demo's report: complete as JSON, aligned in a terminal of 100 columns."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bellwire.cli.demo.digest import decision_digest
from bellwire.cli.demo.fill_trace import typical_fill_trace
from bellwire.cli.demo.hops import RunSpans, measure_hops
from bellwire.cli.demo.processes import ProcessCost, costs_of
from bellwire.cli.demo.progress import PlayProgress
from bellwire.cli.demo.report import BusFacts, DataFacts, Report, TopicFacts, report_json
from bellwire.cli.demo.report_view import print_report
from bellwire.cli.demo.trading import summarize_trading


@pytest.fixture
def report(hand_made_run):
    made = hand_made_run()
    spans = RunSpans(made.spans)
    return Report(
        version="0.1.0",
        lockstep=True,
        seed=7,
        data=DataFacts(
            source="bundled eurusd_1h.csv.gz",
            sha256="ab" * 32,
            symbol="EURUSD",
            interval="1h",
            bars=1500,
            first_open_unix_nano=1_483_315_200_000_000_000,
            last_close_unix_nano=1_490_000_400_000_000_000,
            gaps=12,
        ),
        startup_seconds=2.5,
        run_seconds=10.0,
        bus=BusFacts(
            (
                TopicFacts("bars.1h", 3000, 2990, 900_000, 1_000_000, 1_800_000),
                TopicFacts("signals.tactical", 1000, 1000, 100_000, 100_000, 200_000),
            )
        ),
        trading=summarize_trading(made.recording),
        hops=tuple(measure_hops(made.recording, spans, lockstep=True)),
        processes=(
            ProcessCost("coordinator", 4119, 3.25, 60 << 20),
            ProcessCost("rules-0", 4122, 1.0, 70 << 20),
        ),
        digest=decision_digest(made.recording),
        trace=typical_fill_trace(made.recording, spans),
        traces=1500,
        spans=12_345,
        run_directory=Path("/tmp/bellwire-0/demo-x"),
    )


def printed(report, width=100):
    out = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    print_report(report, out)
    return [line.rstrip() for line in out.export_text().splitlines()]


def test_every_part_of_the_report_is_printed(report):
    lines = printed(report)
    text = "\n".join(lines)
    for line in (
        "Bellwire demo  paper venue, lockstep, seed 7",
        "sha256  " + "ab" * 32,
        "digest  " + report.digest,
        "  all topics           4,000    3,990     977 KiB  1.91 MiB    50%",
        "  10.0 s of playing, 400 messages/s, after 2.50 s of starting processes",
        "  signals              1  by tactical 1",
        "  decisions            1  1 accept",
        "  orders               1  1 filled",
        "  fills                2  1 of them partial",
        "  coordinator  4119  3.25 s  60.0 MiB",
        "  together           4.25 s",
        "traces and logs   /tmp/bellwire-0/demo-x  (12,345 spans, 1,500 traces)",
    ):
        assert line in lines, text
    assert any(line.startswith("  bar → signal        400 µs") for line in lines), text
    assert f"bellwire trace {report.trace.trace_id[:8]} --dir" in text


def test_nothing_but_paths_is_wider_than_the_terminal(report):
    wide = [line for line in printed(report) if len(line) > 100]
    assert wide == []


def test_a_run_without_a_fill_is_reported_too(report, hand_made_run):
    made = hand_made_run()
    made.recording.messages = made.recording.messages[:1]
    quiet = Report(
        **{
            name: getattr(report, name)
            for name in report.__slots__
            if name not in ("trading", "hops", "trace")
        },
        trading=summarize_trading(made.recording),
        hops=tuple(measure_hops(made.recording, RunSpans(made.spans), lockstep=False)),
        trace=None,
    )
    text = "\n".join(printed(quiet))
    assert "no fill to measure" in text
    assert "no order was accepted" in text
    assert json.loads(json.dumps(report_json(quiet)))["trace"] is None


def test_the_report_as_json_holds_the_same_figures(report):
    found = json.loads(json.dumps(report_json(report)))
    assert found["venue"] == "paper"
    assert found["pace"] == "lockstep"
    assert found["bus"]["total"]["messages"] == 4000
    assert found["trading"]["fills"] == 2
    assert found["trading"]["slippage"]["n"] == 1
    hops = {hop["name"]: hop for hop in found["latency"]["hops"]}
    assert hops["bar → fill"]["n"] == 2
    assert hops["bar → fill"]["p50"] == pytest.approx(0.0025)
    assert found["trace"]["processes"] >= 4
    assert found["digest"] == report.digest


def test_the_cost_of_a_live_process_is_read_and_of_a_dead_one_left_out():
    import os

    costs = costs_of([("me", os.getpid()), ("gone", 2**22 + 1)])
    assert [cost.name for cost in costs] == ["me"]
    assert costs[0].rss_bytes > 1 << 20


def test_progress_in_a_log_is_a_line_a_quarter(capsys):
    with PlayProgress(8) as progress:
        progress.stage("playing")
        for bar in range(1, 9):
            progress.bar(bar)
    assert capsys.readouterr().err.splitlines() == [
        "demo: playing",
        "demo: 2 of 8 bars",
        "demo: 4 of 8 bars",
        "demo: 6 of 8 bars",
        "demo: 8 of 8 bars",
    ]
