"""`[agents.NAME]` in bellwire.toml, the environment and flags."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from bellwire.cli.app import run
from bellwire.cli.config_view import print_settings
from bellwire.cli.settings import (
    AgentEntry,
    AgentTable,
    ConfigError,
    Request,
    SettingsTree,
    load_settings,
)
from bellwire.cli.settings.agent_tables import OwnSetting

FILE = """
[agents.tactical]

[agents.fast]
agent = "tactical"
replicas = 2
settings.bars_topic = "bars.5m"

[agents.fast.settings.aggregation]
rule = "vote"
change_min = 0.5
"""


def load(
    folder: Path, file: str = "", environ: Mapping[str, str] | None = None, *assignments: str
) -> SettingsTree:
    (folder / "bellwire.toml").write_text(file)
    request = Request(assignments=assignments, sections=("agents",))
    return load_settings(request, environ=environ or {}, cwd=folder)


def test_each_table_is_an_agent_even_an_empty_one(tmp_path: Path) -> None:
    assert load(tmp_path, FILE).agents == {
        "tactical": AgentEntry("tactical"),
        "fast": AgentEntry(
            "fast",
            AgentTable(agent="tactical", replicas=2),
            (
                OwnSetting("bars_topic", "bars.5m", is_text=False),
                OwnSetting("aggregation.rule", "vote", is_text=False),
                OwnSetting("aggregation.change_min", 0.5, is_text=False),
            ),
        ),
    }


def test_environment_and_flags_go_on_top_as_text(tmp_path: Path) -> None:
    environ = {
        "BELLWIRE_AGENTS__FAST__SETTINGS__VALID_BARS": "2",
        "BELLWIRE_AGENTS__FAST__STANDBY": "1",
    }
    fast = load(tmp_path, FILE, environ, "agents.fast.replicas=3", "agents.new.agent=rules").agents
    assert (fast["fast"].table.replicas, fast["fast"].table.standby) == (3, True)
    assert fast["fast"].settings[-1] == OwnSetting("valid_bars", "2", is_text=True)
    assert fast["new"].table.agent == "rules"


def test_tables_are_left_alone_where_they_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "bellwire.toml").write_text("[agents.fast]\nreplicas = 0\n")
    tree = load_settings(Request(sections=("command",)), environ={}, cwd=tmp_path)
    assert tree.agents == {}


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("[agents.fast]\nreplicas = 0", r"agents\.fast\.replicas is 0; expected int 1\.\.256"),
        ("[agents.fast]\nreplicas = '2'", r"expected int without quotes"),
        ("[agents.fast]\nreplica = 2", r"did you mean agents\.fast\.replicas\?"),
        ("[agents.fast]\ncolour = 2", r"one of agent, replicas, device"),
        ("[agents.fast]\non_missing_device = 'maybe'", r"refuse \| degrade"),
        ("[agents]\nfast = 2", r"expected a table \[agents\.fast\]"),
        ("[agents.fast]\nsettings = 2", r"expected a table \[agents\.fast\.settings\]"),
        ("[agents.'a b']\nreplicas = 2", r"NAME of \[a-zA-Z0-9_-\]"),
    ],
)
def test_mistake_in_a_table_names_place_and_key(tmp_path: Path, file: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, file)
    assert "bellwire.toml: " in caught.value.message


def test_show_prints_the_tables_as_a_section_of_their_own(tmp_path: Path) -> None:
    out = Console(file=io.StringIO(), width=200)
    print_settings(list(load(tmp_path, FILE).settings.values()), out)
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert shown.startswith("[agents]  what `bellwire agents run` starts")
    assert "fast.settings.aggregation.rule" in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("standby = 1", "agents.fast.standby is 1; expected bool"),
        ('device = "gpu"', "agents.fast.device is 'gpu'; expected cpu, cpu:2,3, cpu:0-3 or cuda:0"),
        (
            'device = "cuda:0"\nstandby = true',
            "agents.fast.standby is True; expected false on cuda:0",
        ),
    ],
)
def test_device_and_spare_that_cannot_be_are_told_by_file_and_key(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bellwire.toml"
    file.write_text(f'[agents.fast]\nagent = "tactical"\n{text}\n')
    assert run(["config", "check", "--config", str(file)]) == 2
    told = capsys.readouterr().err
    assert f"{file}: {says}" in " ".join(told.split())
