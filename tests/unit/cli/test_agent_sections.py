"""bellwire.cli.agent_sections: what sections of bellwire.toml say is in force in our own agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from bellwire.cli.agent_choice import AgentFlags, Chosen, choose
from bellwire.cli.agent_sections import with_sections
from bellwire.cli.settings import ConfigError, Request, load_settings
from bellwire.runtime.overrides import Assignment, overridden
from bellwire.runtime.target import load_class

FILE = """
[risk]
policy_version = "mine"
base_qty = 1000
order_qty_max = "2000"
quantity_step = "0.5"
[rules]
hold_bars_max = 7
[tactical]
rule = "vote"
[paper]
spread_bps = "3"
[agents.other]
agent = "risk"
settings.limits.order_qty_max = "1500"
"""


def in_force(tmp_path: Path, name: str, *settings: str, text: str = FILE) -> dict[str, object]:
    """Return the settings that the agent is given."""
    file = tmp_path / "bellwire.toml"
    file.write_text(text)
    request = Request(config=file, sections=("command", "agents"))
    tree = load_settings(request, environ={})
    (chosen,) = with_sections(choose([name], AgentFlags(settings=settings), tree.agents), request)
    return overridden(name, load_class(chosen.target).default_settings, assignments_of(chosen))


def assignments_of(chosen: Chosen) -> list[Assignment]:
    return [Assignment(each.name, each.value, each.is_text) for each in chosen.settings]


def part(values: object, *names: str) -> list[object]:
    assert isinstance(values, dict)
    return [values[name] for name in names]


def test_limits_of_the_file_are_those_of_the_risk_agent(tmp_path: Path) -> None:
    limits = in_force(tmp_path, "risk")["limits"]
    found = part(limits, "policy_version", "base_qty", "order_qty_max", "quantity_step")
    assert found == ["mine", "1000", "2000", "0.5"]


def test_agents_that_signal_go_by_rules_thresholds_and_sizes(tmp_path: Path) -> None:
    assert part(in_force(tmp_path, "rules")["rules"], "hold_bars_max") == [7]
    tactical = in_force(tmp_path, "tactical")
    assert part(tactical["rules"], "hold_bars_max") == [7]
    assert part(tactical["aggregation"], "rule") == ["vote"]
    assert part(tactical, "base_qty", "quantity_step") == ["1000", "0.5"]


def test_paper_venue_takes_the_step_of_the_limits_unless_its_own_is_set(tmp_path: Path) -> None:
    venue = in_force(tmp_path, "paper")["venue"]
    assert part(venue, "spread_bps", "quantity_step") == ["3", "0.5"]
    text = FILE.replace("[paper]", '[paper]\nquantity_step = "0.1"')
    assert part(in_force(tmp_path, "paper", text=text)["venue"], "quantity_step") == ["0.1"]


def test_settings_of_a_table_and_of_the_command_line_win_over_sections(tmp_path: Path) -> None:
    limits = in_force(tmp_path, "other")["limits"]
    assert part(limits, "policy_version", "order_qty_max") == ["mine", "1500"]
    limits = in_force(tmp_path, "other", "limits.order_qty_max=1200")["limits"]
    assert part(limits, "policy_version", "order_qty_max") == ["mine", "1200"]


def test_agents_that_are_not_ours_and_files_that_set_nothing_change_nothing(tmp_path: Path) -> None:
    assert in_force(tmp_path, "feed") == {}
    assert in_force(tmp_path, "risk", text="") == {}


def test_section_that_holds_what_it_cannot_is_told_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bellwire\.toml: risk\.base_qty is -1"):
        in_force(tmp_path, "risk", text="[risk]\nbase_qty = -1\n")
