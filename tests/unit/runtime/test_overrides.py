"""Settings of an agent as people type them."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.runtime.errors import AgentSettingsError
from bellwire.runtime.overrides import OVERRIDES_MAX, Assignment, overridden, setting_names

DEFAULTS: dict[str, object] = {
    "topic": "bars.1h",
    "quantity": "1",
    "bars": 24,
    "share": 0.5,
    "lockstep": False,
    "symbols": [],
    "anything": None,
    "extra": {},
    "rule": {"name": "vote", "limits": {"low": 1, "high": 2}},
}


def typed(name: str, text: str) -> dict[str, object]:
    return overridden("mine", DEFAULTS, [Assignment(name, text, is_text=True)])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("topic", "7", "7"),
        ("quantity", "0.10", "0.10"),
        ("bars", "1_000", 1000),
        ("share", "1", 1.0),
        ("lockstep", "on", True),
        ("lockstep", "False", False),
        ("symbols", "EURUSD, GBPUSD", ["EURUSD", "GBPUSD"]),
        ("symbols", '["EURUSD"]', ["EURUSD"]),
        ("symbols", "1,2", [1, 2]),
        ("anything", "7", 7),
        ("anything", "seven", "seven"),
        ("extra", '{"a": 1}', {"a": 1}),
        ("rule", '{"name": "target"}', {"name": "target"}),
    ],
)
def test_text_is_read_as_the_type_of_the_default(name: str, text: str, value: object) -> None:
    found = typed(name, text)
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("bars", "2.5", "a whole number"),
        ("bars", "", "a whole number"),
        ("share", "half", "a number"),
        ("lockstep", "maybe", "true or false"),
        ("symbols", "[1", r"a,b,… or a JSON list"),
        ("rule", "vote", "a JSON object, or one of its names behind a dot"),
    ],
)
def test_text_of_another_type_is_refused_with_what_is_expected(
    name: str, text: str, expected: str
) -> None:
    with pytest.raises(AgentSettingsError, match=expected) as caught:
        typed(name, text)
    assert repr(name) in caught.value.message


def test_part_of_a_setting_keeps_the_rest_of_it_and_the_defaults_as_they_were() -> None:
    before = copy.deepcopy(DEFAULTS)
    found = typed("rule.limits.high", "9")
    assert found == {"rule": {"name": "vote", "limits": {"low": 1, "high": 9}}}
    assert before == DEFAULTS


def test_anything_goes_below_a_default_that_is_empty() -> None:
    assert typed("extra.a.b", "1") == {"extra": {"a": {"b": 1}}}


def test_later_assignments_win() -> None:
    found = overridden(
        "mine",
        DEFAULTS,
        [
            Assignment("rule", {"name": "a"}, is_text=False),
            Assignment("rule.name", "b", is_text=True),
            Assignment("bars", 1, is_text=False),
            Assignment("bars", "2", is_text=True),
        ],
    )
    assert found == {"rule": {"name": "b"}, "bars": 2}


@pytest.mark.parametrize("name", ["colour", "rule.colour", "rule.name.x", "", "rule.", ".rule"])
def test_unknown_setting_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(AgentSettingsError, match=r"topic, .*rule\.limits\.low") as caught:
        typed(name, "1")
    assert f"agent 'mine' has no setting {name!r}" in caught.value.message


def test_near_miss_is_named_and_an_agent_without_settings_says_so() -> None:
    with pytest.raises(AgentSettingsError, match=r"did you mean 'rule\.limits\.high'\?"):
        typed("rule.limits.hihg", "1")
    with pytest.raises(AgentSettingsError, match="it has none"):
        overridden("mine", {}, [Assignment("x", "1", is_text=True)])


def test_too_many_assignments_are_refused() -> None:
    many = [Assignment("bars", 1, is_text=False)] * (OVERRIDES_MAX + 1)
    with pytest.raises(AgentSettingsError, match="1001 settings, at most 1000"):
        overridden("mine", DEFAULTS, many)


@given(st.sampled_from(setting_names(DEFAULTS)), st.text(max_size=20))
def test_any_text_is_read_as_json_can_carry_it_or_refused(name: str, text: str) -> None:
    try:
        found = typed(name, text)
    except AgentSettingsError:
        return
    json.dumps(found)
