"""Settings of a group: its topics, and where its state is kept."""

from __future__ import annotations

import pytest

from bellwire.coordinator.config import CoordinatorSettings
from bellwire.wire.settings import SettingsError


def settings_of(**chosen: object) -> CoordinatorSettings:
    return CoordinatorSettings(kafka="k:1", redis="redis://r:1", **chosen)  # type: ignore[arg-type]


def test_each_group_with_a_name_has_a_state_topic_of_its_own() -> None:
    assert settings_of().state_topic == "_bellwire_state"
    assert settings_of(group="orders").state_topic == "_bellwire_state.orders"
    assert settings_of(group="orders", kafka_state_topic="s").state_topic == "s"


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({"group_topics": ("orders.>.new",)}, "group_topics"),
        ({"group_topics": ("a b",)}, "group_topics"),
        ({"group_topics": tuple(f"t{n}" for n in range(65))}, "group_topics"),
        ({"group": "desk 1"}, "group"),
        ({"kafka_state_topic": "a b"}, "kafka_state_topic"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(chosen: dict[str, object], name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(**chosen)
    assert refused.value.name == name


def test_topics_need_a_redis_where_groups_tell_each_other() -> None:
    with pytest.raises(SettingsError, match=r"group_topics.*`redis`"):
        CoordinatorSettings(kafka="k:1", group_topics=("orders.>",))
