"""The engine as a whole: what a message and a tick cost must not depend on how many topics there are."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from tests.unit.coordinator.core.stage import Stage

CORE = "/bellwire/coordinator/core/"
FEW, MANY = 2, 90
SECOND_NS = 1_000_000_000


class Lines:
    """Counts lines of the core that are executed while it is open."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Lines:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._on_line if CORE in frame.f_code.co_filename else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.count += event == "line"
        return self._on_line


def stage_with(topics: int) -> Stage:
    stage = Stage()
    for number in range(topics):
        stage.bus.create_topic(f"quiet.{number}", stage.bus.default_settings, 0)
    return stage


def lines_of_a_tick(topics: int) -> int:
    stage = stage_with(topics)
    with Lines() as lines:
        stage.engine.tick(100.0, SECOND_NS)
    return lines.count


def lines_of_a_message(topics: int) -> int:
    stage = stage_with(topics)
    member = stage.join(stage.subscribe(topics=(">",)))
    with Lines() as lines:
        stage.publish()
        handout = stage.take(member)
        assert handout is not None
        stage.accept(member, handout)
    return lines.count


@pytest.mark.parametrize("lines_of", [lines_of_a_tick, lines_of_a_message])
def test_the_work_is_the_same_among_few_topics_and_among_many(lines_of):
    assert 0 < lines_of(FEW) == lines_of(MANY)


def batches_after_a_minute(stage: Stage) -> int:
    stage.engine.tick(100.0, 60 * SECOND_NS)
    return len(stage.topic.partitions[0].log)


def test_a_topic_kept_by_time_is_emptied_by_time():
    stage = Stage(retention_seconds=10)
    stage.publish(3)
    assert batches_after_a_minute(stage) == 0


def test_a_topic_that_is_kept_by_time_from_now_on_is_emptied_and_one_no_longer_so_is_not():
    stage = Stage()
    stage.publish(3)
    stage.bus.update_topic(stage.topic.name, replace(stage.topic.settings, retention_seconds=10))
    assert stage.bus.kept_by_time == {stage.topic.name: stage.topic}
    assert batches_after_a_minute(stage) == 0
    stage.bus.update_topic(stage.topic.name, replace(stage.topic.settings, retention_seconds=0))
    stage.publish(2)
    assert batches_after_a_minute(stage) == 1
    assert stage.bus.kept_by_time == {}


def test_a_deleted_topic_is_looked_at_no_more():
    stage = Stage(retention_seconds=10)
    stage.bus.delete_topic(stage.topic.name)
    assert stage.bus.kept_by_time == {}
