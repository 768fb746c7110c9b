"""docs/configuration.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bellwire.cli.config_page import BEGIN, END, renew_page, with_reference
from bellwire.cli.faults import UsageFault
from bellwire.cli.settings import load_settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Every setting, at its default."""
    return load_settings(environ={}, cwd=tmp_path_factory.mktemp("empty")).settings


def test_the_reference_is_current():
    page = PAGE.read_text(encoding="utf-8")
    assert with_reference(page) == page, (
        "run: python -m bellwire.cli config show --markdown --into docs/configuration.md"
    )


def test_every_setting_named_on_the_page_exists(settings):
    sections = {key.partition(".")[0] for key in settings}
    named = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", PAGE.read_text(encoding="utf-8"))
    named = [key for key in named if key.partition(".")[0] in sections]
    assert len(named) > 8
    assert [key for key in named if key not in settings] == []


def test_the_example_file_of_the_page_is_valid(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "bellwire.toml").write_text(example)
    tree = load_settings(environ={}, cwd=tmp_path)
    assert tree.settings["client.publish.batch_messages_max"].value == 500
    assert sum(setting.kind == "file" for setting in tree.settings.values()) == 8
    assert tree.agents["tactical"].table.replicas == 2


def test_every_setting_says_why_its_default_is_so(settings):
    silent = [key for key, setting in settings.items() if not (setting.leaf.info or None)]
    assert silent == []
    assert all(setting.leaf.info.why.strip() for setting in settings.values())


def test_every_number_has_a_range(settings):
    unbounded = [
        key
        for key, setting in settings.items()
        if isinstance(setting.value, int | float)
        and not isinstance(setting.value, bool)
        and not setting.leaf.info.range_text
    ]
    assert unbounded == []


def test_a_page_is_renewed_between_its_marks_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    renew_page(page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n### `[command]`")
    assert text.endswith(f"{END}\nafter\n")
    assert "\nold\n" not in text
    renew_page(page)
    assert page.read_text() == text


def test_a_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    with pytest.raises(UsageFault, match="lacks a mark"):
        renew_page(page)
    assert page.read_text() == "no marks\n"
    with pytest.raises(UsageFault, match="No such file"):
        renew_page(tmp_path / "absent.md")
