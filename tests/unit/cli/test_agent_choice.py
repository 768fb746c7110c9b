"""Which agents are run."""

import pytest

from bellwire.cli.agent_choice import AGENTS_MAX, OURS, AgentFlags, choose
from bellwire.cli.faults import UsageFault
from bellwire.cli.settings import AgentEntry, AgentTable
from bellwire.cli.settings.agent_tables import OwnSetting
from bellwire.runtime.target import load_class

FAST = AgentEntry(
    "fast",
    AgentTable(agent="tactical", replicas=2, on_missing_device="degrade"),
    (OwnSetting("bars_topic", "bars.5m", is_text=False),),
)
MINE = AgentEntry("mine", AgentTable(agent="my_agents.py:Mine"))
ENTRIES = {"fast": FAST, "mine": MINE}
NOTHING = AgentFlags()


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_names_is_an_agent_that_is_called_so(name: str) -> None:
    assert load_class(OURS[name]).name == name


def test_every_table_is_run_where_none_is_named() -> None:
    assert [each.name for each in choose([], NOTHING, ENTRIES)] == ["fast", "mine"]


def test_table_brings_class_replicas_and_settings() -> None:
    (chosen,) = choose(["fast"], NOTHING, ENTRIES)
    assert (chosen.target, chosen.table, chosen.settings) == (
        OURS["tactical"],
        FAST.table,
        FAST.settings,
    )


def test_table_called_as_one_of_ours_needs_no_more_and_wins_over_the_name() -> None:
    entries = {"rules": AgentEntry("rules", AgentTable(replicas=3))}
    (chosen,) = choose(["rules"], NOTHING, entries)
    assert (chosen.target, chosen.table.replicas) == (OURS["rules"], 3)


def test_class_is_called_as_it_says_itself() -> None:
    (chosen,) = choose(["my_agents:Mine"], NOTHING, {})
    assert (chosen.name, chosen.target) == ("", "my_agents:Mine")


def test_flags_win_over_the_table_and_leave_the_rest_of_it() -> None:
    flags = AgentFlags(replicas=5, device="cpu:0", standby=True, settings=("bars_topic=bars.1m",))
    (chosen,) = choose(["fast"], flags, ENTRIES)
    assert chosen.table == AgentTable("tactical", 5, "cpu:0", True, "degrade")
    assert chosen.settings[-1] == OwnSetting("bars_topic", "bars.1m", is_text=True)
    (chosen,) = choose(["mine"], AgentFlags(standby=False, degrade=True), ENTRIES)
    assert (chosen.table.standby, chosen.table.on_missing_device) == (False, "degrade")


def test_value_may_hold_equals_signs_and_be_empty() -> None:
    (chosen,) = choose(["rules"], AgentFlags(settings=("a=b=c", "d=")), {})
    assert [(each.name, each.value) for each in chosen.settings] == [("a", "b=c"), ("d", "")]


@pytest.mark.parametrize(
    ("names", "flags", "says"),
    [
        (
            ["slow"],
            NOTHING,
            r"no agent 'slow'; ours are tactical, .*; bellwire.toml has fast, mine;",
        ),
        (["fast", "fast"], NOTHING, "fast is named twice"),
        ([], AgentFlags(settings=("a=1",)), "a single AGENT"),
        (["fast"], AgentFlags(settings=("=1",)), "is no KEY=VALUE"),
        ([f"m:C{n}" for n in range(AGENTS_MAX + 1)], NOTHING, "at most 64"),
    ],
)
def test_what_cannot_be_chosen_says_why(names: list[str], flags: AgentFlags, says: str) -> None:
    with pytest.raises(UsageFault, match=says):
        choose(names, flags, ENTRIES)


def test_table_of_another_name_must_say_which_agent_it_is() -> None:
    with pytest.raises(UsageFault, match="there is no agent 'lone'"):
        choose([], NOTHING, {"lone": AgentEntry("lone")})
