"""Routes and settings of a bridge."""

from __future__ import annotations

import pytest

from bellwire.bridge import BridgeSettings
from bellwire.bridge.route import Route
from bellwire.wire.settings import SettingsError


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("signals.tactical", Route("signals.tactical")),
        ("signals.tactical=trading-signals", Route("signals.tactical", "trading-signals")),
        (" bars.1m = b ", Route("bars.1m", "b")),
        ("signals.>", Route("signals.>")),
    ],
)
def test_a_route_is_read(text: str, route: Route) -> None:
    assert BridgeSettings(out_topics=(text,)).out_routes == [route]


def test_a_route_keeps_the_name_unless_it_is_told_another() -> None:
    assert Route("a.b").target_of("a.b") == "a.b"
    assert Route("a.>").target_of("a.c") == "a.c"
    assert Route("a.b", "x").target_of("a.b") == "x"


def test_a_cursor_is_named_like_a_topic() -> None:
    assert Route("*.paper").cursor("desk") == "desk.-any.paper"
    assert Route("signals.>").cursor("desk") == "desk.signals.-rest"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out_topics": ("a b",)}, r"bridge\.out_topics is 'a b'; expected another route"),
        ({"out_topics": ("signals.>=x",)}, "would put many topics into one: leave '=x' out"),
        ({"out_topics": ("a=",)}, "expected another route"),
        ({"out_topics": ("a", "a=b")}, "each source once, not 'a' twice"),
        ({"in_topics": ("vendor.>",)}, "name each topic that is mirrored to the bus"),
        ({"name": "a b"}, r"expected 1 to 64 characters"),
        ({"bus": ""}, r"bridge\.bus is ''"),
        ({"kafka": ""}, "HOST:PORT of at least one broker"),
        ({"retry_first_seconds": 6.0}, "at most retry_max_seconds"),
        ({"publish_messages_max": 1_001}, "publish_messages_max"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        BridgeSettings(**changes)  # type: ignore[arg-type]
