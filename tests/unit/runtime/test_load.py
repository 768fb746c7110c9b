"""What a load report says."""

import os

from bellwire.runtime.counters import RunCounters
from bellwire.runtime.load import LoadMeter, resident_bytes
from bellwire.runtime.usage import usage_of


def test_report_says_what_was_counted_and_what_the_process_uses() -> None:
    counters = RunCounters(handled=7, errors=2)
    meter = LoadMeter(counters, restarts=3)
    meter.in_flight = 4
    report = meter.report(queue_depth=5)
    assert (report.messages_handled, report.handler_errors, report.restarts) == (7, 2, 3)
    assert (report.in_flight, report.queue_depth) == (4, 5)
    assert report.cpu_seconds > 0
    assert 1 << 20 < report.rss_bytes < 1 << 36


def test_latency_is_a_mean_that_follows_the_newest_calls() -> None:
    meter = LoadMeter(RunCounters())
    assert meter.report(0).latency_ewma_micros == 0
    meter.call_ended(0.001)
    assert meter.report(0).latency_ewma_micros == 1000
    meter.call_ended(0.002)
    assert meter.report(0).latency_ewma_micros == 1200


def test_usage_of_this_process_is_close_to_what_it_says_itself() -> None:
    usage = usage_of(os.getpid())
    assert usage is not None
    assert abs(usage.rss_bytes - resident_bytes()) < 32 << 20
    assert usage.cpu_seconds > 0


def test_process_that_is_gone_uses_nothing() -> None:
    assert usage_of(2**22 + 1) is None
