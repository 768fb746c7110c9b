"""What is compacted and dropped, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from bellwire.sink.folder import SEALED, DataFile
from bellwire.sink.settings import SinkSettings
from bellwire.sink.upkeep_plan import plan_upkeep

TODAY = date(2026, 11, 21)
SETTINGS = replace(SinkSettings(), compact_files=3, recent_days=2, keep_days=10)


def files(day, *levels):
    return [
        DataFile(day, level, number, 500, Path(f"{day}/{level}/{number}"))
        for number, level in enumerate(levels)
    ]


def days_ago(days):
    return TODAY - timedelta(days=days)


def test_too_few_files_are_left_alone():
    plan = plan_upkeep(files(TODAY, 0, 0, 1, 1), TODAY, SETTINGS)
    assert plan.merges == plan.dropped == ()


def test_as_many_files_of_a_level_as_are_wanted_become_one_of_the_next():
    found = files(TODAY, 0, 0, 0, 0, 1)
    (merge,) = plan_upkeep(found, TODAY, SETTINGS).merges
    assert merge.files == tuple(found[:3])  # The oldest.
    assert (merge.level, merge.codec, merge.rows, merge.stored_ns) == (1, "zstd", 1_500, 2)


def test_an_older_day_becomes_one_file_with_the_codec_of_old_days():
    (merge,) = plan_upkeep(files(days_ago(2), 0, 1, 1), TODAY, SETTINGS).merges
    assert (merge.level, merge.codec, len(merge.files)) == (SEALED, "zstd-9", 3)
    assert plan_upkeep(files(days_ago(1), 0, 1, 1), TODAY, SETTINGS).merges == ()


def test_an_older_day_of_a_single_file_is_sealed_once():
    assert len(plan_upkeep(files(days_ago(2), 0), TODAY, SETTINGS).merges) == 1
    assert plan_upkeep(files(days_ago(2), SEALED), TODAY, SETTINGS).merges == ()


def test_what_comes_late_is_merged_into_the_sealed_day():
    (merge,) = plan_upkeep(files(days_ago(5), 0, SEALED), TODAY, SETTINGS).merges
    assert len(merge.files) == 2


def test_days_are_dropped_when_they_are_too_old_and_never_when_all_are_kept():
    found = files(days_ago(10), SEALED) + files(days_ago(9), SEALED)
    assert plan_upkeep(found, TODAY, SETTINGS).dropped == (days_ago(10),)
    assert plan_upkeep(found, TODAY, replace(SETTINGS, keep_days=0)).dropped == ()


def test_sealed_files_of_a_recent_day_stay_as_they_are():
    assert plan_upkeep(files(TODAY, *[SEALED] * 5), TODAY, SETTINGS).merges == ()
