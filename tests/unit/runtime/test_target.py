"""Where the class of an agent is."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellwire.runtime import Agent
from bellwire.runtime.errors import AgentDefinitionError
from bellwire.runtime.target import load_class, parse_target, renamed, told

AGENT = """
from bellwire.runtime import Agent

class Quiet(Agent):
    name = "quiet"
"""


@pytest.fixture(autouse=True)
def clean_modules() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_last_colon_parts_place_and_class() -> None:
    target = parse_target("some:where/mine.py:Quiet")
    assert (target.place, target.class_name, target.is_file) == (
        "some:where/mine.py",
        "Quiet",
        True,
    )
    assert not parse_target("mine.agents:Quiet").is_file


@pytest.mark.parametrize("text", ["", "mine.py", "mine.py:", ":Quiet", "mine:No Class", "mine:"])
def test_text_that_names_no_class_is_refused_with_both_ways(text: str) -> None:
    with pytest.raises(AgentDefinitionError, match=r"'module:Class' or 'path/to/file.py:Class'"):
        parse_target(text)


def test_class_of_a_file_is_found_with_what_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "NAME = 'beside'", "beside_it.py")
    path = write(
        tmp_path,
        AGENT.replace('"quiet"', "beside_it.NAME").replace("from", "import beside_it\nfrom"),
    )
    assert load_class(f"{path}:Quiet").name == "beside"


def test_file_called_as_a_loaded_module_does_not_replace_it(tmp_path: Path) -> None:
    import json

    path = write(tmp_path, AGENT, "json.py")
    assert load_class(f"{path}:Quiet").name == "quiet"
    assert sys.modules["json"] is json


def test_class_of_a_module_is_found() -> None:
    assert load_class("bellwire.runtime.agent:Agent") is Agent


@pytest.mark.parametrize(
    ("text", "class_name", "says"),
    [
        (AGENT, "Ghost", r"has no 'Ghost'; its agents are: Quiet"),
        ("", "Ghost", r"its agents are: none"),
        ("class Plain: ...", "Plain", r"is no subclass of bellwire.runtime.Agent"),
        ("import nowhere_at_all", "X", r"No module named 'nowhere_at_all'"),
        ("\n1 / 0", "X", r"ZeroDivisionError: division by zero \(mine.py:2\); mend it there"),
        ("def f(:", "X", r"SyntaxError: "),
    ],
)
def test_what_cannot_be_loaded_says_why_in_one_line(
    tmp_path: Path, text: str, class_name: str, says: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(AgentDefinitionError, match=says) as caught:
        load_class(f"{path}:{class_name}")
    assert "\n" not in caught.value.message


def test_absent_file_is_named() -> None:
    with pytest.raises(AgentDefinitionError, match=r"there is no file nowhere/mine\.py"):
        load_class("nowhere/mine.py:Quiet")


def test_class_takes_another_name_and_keeps_what_it_declares(tmp_path: Path) -> None:
    cls = load_class(f"{write(tmp_path, AGENT)}:Quiet")
    other = renamed(cls, "loud")
    assert (other({}).name, other({}).agent_id, cls.name) == ("loud", "loud-0", "quiet")
    assert issubclass(other, cls)
    assert other.declarations == cls.declarations
    with pytest.raises(AgentDefinitionError, match="is not"):
        renamed(cls, "not a name")


def test_error_is_told_in_one_line_with_its_place() -> None:
    with pytest.raises(ValueError, match="first") as caught:
        raise ValueError("first\nsecond")
    assert told(caught.value).startswith("ValueError: first second (test_target.py:")
    assert told(KeyError()) == "KeyError"


def test_module_of_the_working_folder_is_found_behind_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "raise RuntimeError('not this one')", "colorsys.py")
    write(tmp_path, "import colorsys\n" + AGENT, "in_the_folder.py")
    assert load_class("in_the_folder:Quiet").name == "quiet"


def test_syntax_error_is_told_with_the_users_line_and_none_of_the_importer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "class Quiet(:\n", "with_a_slip.py")
    with pytest.raises(AgentDefinitionError, match=r"with_a_slip\.py, line 1") as raised:
        load_class("with_a_slip:Quiet")
    assert "importlib" not in raised.value.message
