"""bellwire.cli.loadtest.bottleneck: which sign names which part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bellwire.cli.loadtest.bottleneck import Bottleneck, Evidence, Part, find_bottleneck

IDLE = Evidence(
    is_met=False, publisher_share=0.2, coordinator_share=0.3, subscriber_share=0.1, cores=4
)


def found(**signs):
    return find_bottleneck(replace(IDLE, **signs), saturated_share=0.9)


def test_a_level_that_was_met_has_none_however_busy_it_was():
    busy = replace(IDLE, is_met=True, coordinator_share=1.0)
    assert find_bottleneck(busy, 0.9) == Bottleneck(Part.NONE, "")


@pytest.mark.parametrize("part", [Part.PUBLISHER, Part.COORDINATOR, Part.SUBSCRIBER])
def test_a_process_that_uses_a_whole_core_is_named(part):
    assert found(**{f"{part}_share": 0.98}) == Bottleneck(part, "98% of a core")


def test_of_two_busy_processes_the_busier_one_is_named():
    assert found(publisher_share=0.92, coordinator_share=0.97).part is Part.COORDINATOR


def test_commits_without_a_pause_are_the_disk_even_beside_a_busy_process():
    verdict = found(
        commit_share=0.95,
        commit_us_p50=2_100,
        uncommitted_messages_max=4_000,
        coordinator_share=0.95,
    )
    assert verdict.part is Part.DISK
    assert verdict.reason == (
        "commits under way 95% of the time (p50 2,100 µs), up to 4,000 messages waiting for one"
    )


def test_a_subscriber_that_messages_were_dropped_for_is_named():
    verdict = found(dropped_messages=1_234)
    assert verdict.part is Part.SUBSCRIBER
    assert "dropped 1,234 messages" in verdict.reason


def test_a_subscription_that_ended_explains_everything_else():
    verdict = found(ended="it was too slow", publisher_share=1.0, commit_share=1.0)
    assert verdict == Bottleneck(Part.SUBSCRIBER, "its subscription ended: it was too slow")


def test_a_machine_without_a_free_core_is_charged_to_the_busiest_process():
    verdict = found(machine_share=0.97, others_share=0.4)
    assert verdict.part is Part.COORDINATOR
    assert "30% of a core, the most of all" in verdict.reason
    assert "the machine's 4 cores were 97% busy, 40% with other work" in verdict.reason


def test_a_level_missed_by_idle_processes_is_said_to_be_unclear():
    verdict = found()
    assert verdict.part is Part.UNCLEAR
    assert "busiest was the coordinator with 30% of a core" in verdict.reason


def test_an_offer_that_was_not_taken_is_charged_to_the_busiest_process():
    verdict = found(unsent_messages=5_701_952, publisher_share=0.88, machine_share=0.87)
    assert verdict.part is Part.PUBLISHER
    assert verdict.reason == (
        "88% of a core, the most of all; 5,701,952 messages of the offer were not taken"
    )


def test_an_offer_that_was_not_taken_by_idle_processes_is_unclear():
    assert found(unsent_messages=5_701_952, publisher_share=0.49).part is Part.UNCLEAR
