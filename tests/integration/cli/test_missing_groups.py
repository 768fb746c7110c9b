"""Lists of several groups of coordinators, one of which has nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bellwire.admin.v1.server_pb2 import ClusterInfo, TopicGroup
from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.cli.faults import ExitCode, IncompleteAnswer
from bellwire.cli.session import Target
from bellwire.cli.settings import CommandSettings
from bellwire.cli.subscription_view import show_subscriptions
from bellwire.cli.topic_view import describe_topic, show_topics
from bellwire.client import ClientSettings, PeerError, connect
from bellwire.testing import running_coordinator

pytestmark = pytest.mark.integration


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    """A coordinator of the group `rest`, which knows of one `orders` that nobody is active in."""
    async with running_coordinator() as running:
        state = running.coordinator._state
        assert state is not None
        groups = [
            TopicGroup(group="orders", topics=["orders.>"]),
            TopicGroup(group="rest", owner=running.tcp, owner_since_unix_nano=1),
        ]
        state.cluster = lambda: ClusterInfo(group="rest", groups=groups)
        async with connect(running.tcp) as client:
            await client.admin.create_topic(Topic(name="bars.5m"))
        settings = ClientSettings(timeout_seconds=0.3)
        yield Target(running.tcp, settings, CommandSettings())


async def test_the_topics_of_the_others_are_listed_and_who_is_missing_is_named(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IncompleteAnswer, match="without the topics of 1 of the groups") as caught:
        await show_topics(target, "", as_json=False)
    assert "'orders': group 'orders' had no active coordinator" in str(caught.value)
    assert caught.value.exit_code is ExitCode.INCOMPLETE
    assert "bars.5m" in capsys.readouterr().out


@pytest.mark.parametrize("show", [show_topics, show_subscriptions], ids=["topics", "subscriptions"])
async def test_lists_in_json_are_incomplete_in_the_same_way(
    target: Target, show: Callable[..., Awaitable[None]]
) -> None:
    with pytest.raises(IncompleteAnswer):
        await show(target, "", as_json=True)


async def test_a_topic_of_a_group_that_answers_is_described(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    await describe_topic(target, "bars.5m", as_json=True)
    assert '"name": "bars.5m"' in capsys.readouterr().out


async def test_a_list_that_has_to_be_whole_is_refused(target: Target) -> None:
    async with connect(target.address, settings=target.client) as client:
        with pytest.raises(PeerError, match="group 'orders' had no active coordinator"):
            await client.admin.list_topics()
