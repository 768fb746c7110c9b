"""bellwire.cli.subscription_view: subscriptions summed up over their topics."""

from __future__ import annotations

from bellwire.admin.v1.topic_pb2 import GetTopicStatsResponse, SubscriptionStats
from bellwire.cli.subscription_view import sum_up


def stats(topic, *rows):
    return GetTopicStatsResponse(name=topic, subscriptions=rows)


def test_a_subscription_of_two_topics_is_one_line():
    risk_a = SubscriptionStats(subscription="risk", members=2, backlog_messages=3)
    risk_b = SubscriptionStats(subscription="risk", members=2, backlog_messages=4)
    audit = SubscriptionStats(subscription="audit", dead_lettered_messages=1)
    found = sum_up([stats("a", risk_a, SubscriptionStats()), stats("b", risk_b, audit)])
    assert [one.json() for one in found] == [
        {
            "subscription": "audit",
            "topics": ["b"],
            "members": 0,
            "backlog_messages": 0,
            "in_flight_messages": 0,
            "redelivery_messages": 0,
            "dead_lettered_messages": 1,
            "dropped_messages": 0,
        },
        {
            "subscription": "risk",
            "topics": ["a", "b"],
            "members": 2,
            "backlog_messages": 7,
            "in_flight_messages": 0,
            "redelivery_messages": 0,
            "dead_lettered_messages": 0,
            "dropped_messages": 0,
        },
    ]


def test_ephemeral_subscriptions_have_no_name_to_be_listed_by():
    assert sum_up([stats("a", SubscriptionStats(members=1))]) == []
