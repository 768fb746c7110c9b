"""bellwire.cli.loadtest.report_view: what people and Markdown see."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.text import Text

from bellwire.cli.loadtest.bottleneck import Bottleneck, Part
from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.level_run import Interval
from bellwire.cli.loadtest.report import JudgedLevel, Report
from bellwire.cli.loadtest.report_view import interval_json, interval_text, print_report
from bellwire.cli.loadtest.slope import Slope
from bellwire.cli.loadtest.soak import Growth
from bellwire.cli.loadtest.usage import CoordinatorSample

NONE = Bottleneck(Part.NONE, "")
SAMPLE = CoordinatorSample(0, 0.0, 64_200_000, 0, 0, 0, 0, 0, 0)


def printed(report: Report) -> list[str]:
    out = StringIO()
    print_report(report, Console(file=out, highlight=False))
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


def row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_table_is_markdown_with_one_row_a_level(result):
    head, rule, first, second, verdict = printed(
        Report([JudgedLevel(result(), (), NONE), JudgedLevel(result(offered_tps=5_000), (), NONE)])
    )
    assert set(rule) == {"|", "-"}
    assert row(head)[:3] == ["TPS offered", "achieved", "p50 ms"]
    assert row(first) == [
        *("1,000", "999", "1", "1", "10", "30", "30", "0", "0", "0"),
        *("0.5/1.0/0.4", "25/50/10", "80", "none", "met"),
    ]
    assert row(second)[0] == "5,000"
    assert verdict == "2 of 2 levels met"


def test_a_narrow_terminal_gets_the_figures_below_each_other(result):
    out = StringIO()
    report = Report([JudgedLevel(result(offered_tps=tps), (), NONE) for tps in (1_000, 50_000)])
    print_report(report, Console(file=out, highlight=False, force_terminal=True, width=80))
    text = Text.from_ansi(out.getvalue()).plain
    rows = [row(line) for line in text.splitlines() if line.strip().startswith("|")]
    assert rows[0] == ["TPS offered", "1,000", "50,000"]
    assert rows[2:4] == [["achieved", "999", "999"], ["p50 ms", "1", "1"]]
    assert rows[-1] == ["verdict", "met", "met"]


def test_a_missed_level_says_what_and_why(result):
    level = JudgedLevel(
        result(lost=3, sent=2_990, failed=4, error="buffer full"),
        ("loss 3, at most 0 allowed",),
        Bottleneck(Part.COORDINATOR, "98% of a core"),
    )
    lines = printed(Report([level]))
    assert row(lines[2])[-2:] == ["coordinator", "MISSED"]
    assert lines[3:] == [
        "1,000 TPS: missed loss 3, at most 0 allowed",
        "1,000 TPS: bottleneck coordinator: 98% of a core",
        "1,000 TPS: 10 messages were not sent in time",
        "1,000 TPS: 4 messages were not acknowledged: buffer full",
        "missed",
    ]


def test_a_level_without_a_message_has_no_latency(result):
    lines = printed(Report([JudgedLevel(result(latency=LatencyHistogram()), (), NONE)]))
    assert row(lines[2])[2:7] == ["–"] * 5


def test_an_interrupted_run_says_so(result):
    lines = printed(Report([JudgedLevel(result(interrupted=True, sent=10), (), NONE)], True))
    assert lines[-2:] == ["1,000 TPS: interrupted after 2.0 s", "met (interrupted)"]
    assert printed(Report([], interrupted=True)) == ["interrupted before anything was measured"]


def test_memory_that_grows_makes_a_soak_missed(result):
    level = JudgedLevel(
        result(), (), NONE, Growth(Slope(20.0, 1.0), 9.0, 99, True, 5.0, grows=True)
    )
    assert not level.is_met
    assert level.to_json()["rss_grows"] is True
    assert "RSS of the coordinator +20.00 ± 1.00 MB/h" in printed(Report([level]))[-2]


def test_an_interval_is_a_line(result):
    interval = Interval(10.0, 2.0, 1_000, 5_000, LatencyHistogram.of([1_000_000] * 10), SAMPLE)
    assert interval_text(interval).split() == [
        *("10", "s", "500", "TPS", "p50", "1.00", "ms,", "p99", "1.00", "ms,"),
        *("max", "1.00", "ms", "RSS", "64.2", "MB"),
    ]
    both = interval.then(Interval(11.0, 1.0, 200, 5_200, LatencyHistogram(), SAMPLE))
    assert (both.elapsed_seconds, both.seconds, both.delivered) == (11.0, 3.0, 1_200)
    assert interval_json(both)["achieved_tps"] == 400
    silent = Interval(1.0, 1.0, 0, 0, LatencyHistogram(), SAMPLE)
    assert "no message came" in interval_text(silent)
    assert interval_json(silent)["latency_us_p99"] is None


def test_the_end_of_a_run_names_the_highest_rate_that_was_met(result):
    report = Report(
        [
            JudgedLevel(result(), (), NONE),
            JudgedLevel(result(offered_tps=5_000), (), NONE),
            JudgedLevel(result(offered_tps=9_000), ("x",), NONE),
        ]
    )
    assert report.to_json() == {
        "event": "end",
        "met": False,
        "interrupted": False,
        "levels": 3,
        "levels_met": 2,
        "tps_met_max": 5_000,
    }
    assert Report().to_json()["met"] is False
