"""bellwire.cli.taking, replaying, publishing and topic_words: flags as what the client takes."""

from __future__ import annotations

import pytest

from bellwire.admin.v1 import topic_pb2
from bellwire.bus.v1 import subscriber_pb2
from bellwire.cli.faults import UsageFault
from bellwire.cli.publishing import Template, moment_of
from bellwire.cli.replaying import parse_speed
from bellwire.cli.taking import check_rejection, parse_begin, parse_lease
from bellwire.cli.topic_words import (
    Log,
    Overflow,
    Priority,
    log_kind,
    overflow_policy,
    priority_class,
    word,
)
from bellwire.client.start import LATEST


@pytest.mark.parametrize(
    ("text", "speed"), [("max", 0), ("1", 1), ("10", 10), ("10x", 10), ("0.5", 0.5)]
)
def test_a_speed_is_a_factor_or_max(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf", "1000001"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(UsageFault, match=r"--speed is .* expected 1 for the original pace"):
        parse_speed(text)


def test_a_lease_is_as_long_as_the_stream_unless_told():
    assert (parse_lease(None), parse_lease("30s"), parse_lease("10m")) == (None, 30, 600)


@pytest.mark.parametrize("text", ["0", "999ms", "11m"])
def test_a_lease_beyond_the_contract_is_refused(text):
    with pytest.raises(UsageFault, match=r"--lease is .* expected 1s to 10m"):
        parse_lease(text)


def test_a_beginning_may_name_several_places():
    found = parse_begin("a/0@1,b/0@2")
    assert found is not None
    assert [place.topic for place in found.positions] == ["a", "b"]
    assert parse_begin("latest") == LATEST
    assert parse_begin(None) is None


def test_dead_letters_are_made_for_a_named_subscription_only():
    check_rejection(None, "")
    check_rejection("poison", "risk")
    with pytest.raises(UsageFault, match="--reject goes with --subscription"):
        check_rejection("poison", "")
    with pytest.raises(UsageFault, match="--reject holds 1026 bytes; the limit is 1024"):
        check_rejection("ü" * 513, "risk")


def test_a_message_carries_its_times():
    message = Template(not_before_ns=5, expire_ns=9).message(b"x")
    assert (message.not_before_time_unix_nano, message.expire_time_unix_nano) == (5, 9)
    assert (moment_of(None, 1, "--expire"), moment_of("+1s", 1, "--expire")) == (0, 1_000_000_001)


def test_every_word_of_a_topic_is_a_value_of_the_contract():
    assert log_kind(None) == topic_pb2.LOG_KIND_UNSPECIFIED
    assert log_kind(Log.SQLITE) == topic_pb2.LOG_KIND_SQLITE
    assert overflow_policy(None) == subscriber_pb2.OVERFLOW_POLICY_UNSPECIFIED
    assert priority_class(None) == topic_pb2.PRIORITY_CLASS_UNSPECIFIED
    assert {log_kind(log) for log in Log} == {1, 2, 3}
    assert {overflow_policy(policy) for policy in Overflow} == {1, 2, 3, 4}
    assert {priority_class(priority) for priority in Priority} == {1, 2, 3, 4, 5}
    assert word("PRIORITY_CLASS_KILL_SWITCH", "PRIORITY_CLASS_") == Priority.KILL_SWITCH
