"""How long a process was away."""

from bellwire.runtime.restart_times import SAMPLES_MAX, RestartTimes


def test_first_start_is_no_restart() -> None:
    times = RestartTimes()
    times.ready(5.0)
    assert (times.count, times.last_seconds, times.median_seconds) == (0, None, None)


def test_time_runs_from_the_crash_to_ready() -> None:
    times = RestartTimes()
    for ended, ready in ((10.0, 10.5), (20.0, 22.0), (30.0, 31.0)):
        times.ended(ended)
        times.ready(ready)
    assert (times.count, times.last_seconds, times.median_seconds) == (3, 1.0, 1.0)


def test_try_that_ends_before_ready_is_a_part_of_the_time_away() -> None:
    times = RestartTimes()
    times.ended(10.0)
    times.ended(11.0)
    times.ready(14.0)
    assert (times.count, times.last_seconds) == (1, 4.0)


def test_only_the_newest_are_kept() -> None:
    times = RestartTimes()
    for n in range(SAMPLES_MAX + 1):
        times.ended(0.0)
        times.ready(1.0 if n else 1000.0)
    assert times.count == SAMPLES_MAX
    assert times.median_seconds == 1.0
