"""A look at an agent before it is run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError
from bellwire.runtime.overrides import Assignment
from bellwire.runtime.probe import examined
from bellwire.wire.settings import SettingsError

MODULE = """
from pathlib import Path
from bellwire.runtime import Agent

class Fine(Agent):
    name, publishes = "fine", ("{topic}",)
    default_settings = {"topic": "signals", "odd": {"path": Path("/"), "x": 1}}

class Raises(Agent):
    name = "raises"
    def __init__(self, settings=None, *, agent_id=""):
        raise RuntimeError("no disk")

class Takes(Agent):
    name = "takes"
    def __init__(self):
        super().__init__()

class Nameless(Agent):
    pass
"""


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "probed.py"
    path.write_text(MODULE)
    return str(path)


def look(target: str, *settings: tuple[str, str]) -> dict[str, object]:
    return examined(target, "", [Assignment(name, text, is_text=True) for name, text in settings])


def test_name_and_changed_settings_are_told(target: str) -> None:
    assert look(f"{target}:Fine", ("topic", "signals.mine")) == {
        "name": "fine",
        "settings": {"topic": "signals.mine"},
    }


@pytest.mark.parametrize(
    ("class_name", "says"),
    [
        ("Raises", r"agent Raises cannot be made: RuntimeError: no disk \(probed\.py:12\)"),
        ("Takes", r"TypeError: .*; its constructor takes `settings` and `agent_id`"),
        ("Nameless", "Nameless has no name"),
    ],
)
def test_agent_that_cannot_be_made_says_why(target: str, class_name: str, says: str) -> None:
    with pytest.raises(AgentDefinitionError, match=says):
        look(f"{target}:{class_name}")


def test_setting_that_cannot_cross_to_the_process_is_refused(target: str) -> None:
    with pytest.raises(AgentSettingsError, match="PosixPath is not JSON serializable"):
        look(f"{target}:Fine", ("odd.x", "2"))


def test_setting_out_of_its_range_is_refused_as_its_process_would() -> None:
    with pytest.raises(SettingsError, match="symbols_max is 0"):
        look("bellwire.agents.tactical.agent:RulesAgent", ("symbols_max", "0"))


def test_empty_topic_is_refused_where_the_default_is_none(target: str) -> None:
    with pytest.raises(AgentSettingsError, match=r"topic '\{topic\}' of agent 'fine' is empty"):
        look(f"{target}:Fine", ("topic", ""))


def test_thread_that_the_module_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nfrom bellwire.runtime import Agent\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "class Threaded(Agent):\n    name = 'threaded'\n"
    )
    question = {"target": "threaded.py:Threaded", "agent_id": "", "assignments": []}
    ended = subprocess.run(
        (sys.executable, "-P", "-m", "bellwire.runtime.probe"),
        input=json.dumps(question).encode() + b"\n",
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, json.loads(ended.stdout)["name"]) == (0, "threaded")
