"""bellwire.cli.config_view: settings as two quiet lines each."""

from __future__ import annotations

import io
from decimal import Decimal
from enum import Enum

import pytest
from rich.console import Console

from bellwire.cli.config_view import print_settings, setting_json, type_text, value_text
from bellwire.cli.settings import ConfigError, Request, load_settings


class Level(Enum):
    HIGH = "high"


def shown(tmp_path, width=100):
    tree = load_settings(
        Request(sections=("command",), assignments=["command.address=unix:///x"]),
        environ={},
        cwd=tmp_path,
    )
    out = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    print_settings(list(tree.settings.values()), out)
    return [line.rstrip() for line in out.export_text().splitlines()]


def test_a_setting_shows_value_unit_range_or_source_and_reason(tmp_path):
    assert shown(tmp_path)[:5] == [
        "[command]  the `bellwire` command",
        "address               unix:///x  from --set",
        "    where `bellwire serve` listens unless told otherwise; loopback only",
        "call_timeout_seconds  5 s        > 0, ≤ 3600",
        "    the default deadline of a call on the bus; a person waits no longer",
    ]


def test_a_narrow_terminal_wraps_and_loses_nothing(tmp_path):
    text = " ".join(" ".join(shown(tmp_path, width=40)).split())
    assert "listens unless told otherwise; loopback only" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "unset"),
        ("", '""'),
        ((), "none"),
        (("a", "b"), "a, b"),
        (9999, "9999"),
        (33_554_432, "33_554_432"),
        (0.5, "0.5"),
        (Decimal("0.00001"), "0.00001"),
        (Decimal(5_000_000), "5_000_000"),
        (Level.HIGH, "high"),
    ],
)
def test_values_are_written_as_in_the_file(value, text):
    assert value_text(value) == text


def test_a_setting_as_json_has_everything_known_of_it(tmp_path):
    tree = load_settings(Request(sections=("command",)), environ={}, cwd=tmp_path)
    found = setting_json(tree.settings["command.call_timeout_seconds"])
    assert (found["value"], found["unit"], found["range"]) == (5.0, "s", "> 0, ≤ 3600")
    assert (found["source"], found["where"], found["type"]) == ("default", None, "float")
    assert found["environment"] == "BELLWIRE_COMMAND__CALL_TIMEOUT_SECONDS"


def test_types_are_named_in_a_word(tmp_path):
    tree = load_settings(Request(sections=("coordinator",)), environ={}, cwd=tmp_path)
    leaf = tree.settings["coordinator.listen"].leaf
    assert type_text(leaf) == "tuple[str, ...]"


def test_the_password_of_a_url_is_not_shown():
    assert value_text("redis://me:secret@host:6379/1") == "redis://me:***@host:6379/1"
    assert value_text("redis://host:6379") == "redis://host:6379"


def test_a_secret_is_shown_to_nobody(tmp_path):
    """Whoever sees a terminal, a log or a ticket sees that there is one, and no more."""
    environ = {
        "BELLWIRE_BRIDGE__KAFKA_SECURITY__SECURITY_PROTOCOL": "SASL_SSL",
        "BELLWIRE_BRIDGE__KAFKA_SECURITY__SASL_USERNAME": "trader",
        "BELLWIRE_BRIDGE__KAFKA_SECURITY__SASL_PASSWORD": "correct horse",
    }
    tree = load_settings(Request(sections=("bridge",)), environ=environ, cwd=tmp_path)
    row = tree.settings["bridge.kafka_security.sasl_password"]
    assert setting_json(row)["value"] == "***"
    out = Console(file=io.StringIO(), width=120, record=True, highlight=False)
    print_settings(list(tree.settings.values()), out)
    text = out.export_text()
    assert "trader" in text
    assert "correct horse" not in text
    unset = load_settings(Request(sections=("bridge",)), environ={}, cwd=tmp_path)
    assert setting_json(unset.settings["bridge.kafka_security.sasl_password"])["value"] == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "sasl_password = 12345",
            "bridge.kafka_security.sasl_password is '***'",
        ),
        (
            'security_protocol = "SSL"\nsasl_password = "correct horse"',
            "bridge.kafka_security.sasl_password is '***'",
        ),
    ],
    ids=["of another type", "without a use"],
)
def test_an_error_names_the_setting_and_hides_the_secret(tmp_path, text, said):
    (tmp_path / "bellwire.toml").write_text(f"[bridge.kafka_security]\n{text}\n")
    with pytest.raises(ConfigError) as raised:
        load_settings(Request(sections=("bridge",)), environ={}, cwd=tmp_path)
    assert said in str(raised.value)
    assert "12345" not in str(raised.value)
    assert "correct horse" not in str(raised.value)
