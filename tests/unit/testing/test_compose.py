"""The compose file: nobody runs it here, so what can be told from reading it is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from bellwire.cli.app import app
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.transport.address import parse_address

FILE = Path(__file__).resolve().parents[3] / "deploy" / "cluster" / "compose.yaml"
MEMBERS = ("bellwire-1", "bellwire-2", "bellwire-3")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return found


def parameters(arguments: list[str]) -> dict[str, Any]:
    """Read a command line as the command would, and run nothing."""
    command: Any = typer.main.get_command(app)
    name, *rest = arguments
    verb = command.commands[name]
    with verb.make_context(name, rest) as context:
        read: dict[str, Any] = context.params
    return read


@pytest.mark.parametrize("name", MEMBERS)
def test_each_command_line_is_one_the_command_takes(services: dict[str, Any], name: str) -> None:
    read = parameters(services[name]["command"])
    settings = CoordinatorSettings(
        listen=tuple(read["listen"]),
        advertise=read["advertise"],
        kafka=read["kafka"],
        redis=read["redis"],
        default_log=read["default_log"].value,
    )
    assert parse_address(settings.advertise).host == name
    assert settings.kafka.split(":")[0] in services
    assert settings.redis.removeprefix("redis://").split(":")[0] in services
    assert set(services[name]["depends_on"]) <= set(services)


def test_each_member_is_reached_at_a_port_of_its_own(services: dict[str, Any]) -> None:
    ports = [services[name]["ports"][0] for name in MEMBERS]
    assert len(set(ports)) == len(MEMBERS)
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_its_redis_evicts_nothing(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_its_image_has_the_extras_that_the_command_lines_need(services: dict[str, Any]) -> None:
    recipe = services["bellwire-1"]["build"]["dockerfile_inline"]
    assert "[server,cli,kafka,redis]" in recipe
