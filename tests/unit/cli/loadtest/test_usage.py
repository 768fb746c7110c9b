"""bellwire.cli.loadtest.usage: what the system tells."""

from __future__ import annotations

import os
from pathlib import Path

from bellwire.cli.loadtest.usage import MachineSample, machine_sample, worker_cpu_seconds


def test_busy_is_everything_but_idle_and_waiting(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 1 5 80 4 0 0 2 3 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert machine_sample(stat) == MachineSample(busy=18, total=102)


def test_a_share_is_of_the_time_in_between():
    earlier, later = MachineSample(18, 102), MachineSample(68, 202)
    assert later.busy_share_since(earlier) == 0.5
    assert earlier.busy_share_since(earlier) == 0


def test_a_system_that_does_not_tell_is_no_failure(tmp_path):
    assert machine_sample(Path(tmp_path / "none")) is None
    (tmp_path / "stat").write_text("something else\n")
    assert machine_sample(tmp_path / "stat") is None


def test_a_process_that_is_gone_has_used_nothing_we_know_of():
    assert worker_cpu_seconds([os.getpid(), 1 << 30])[1] == 0
