"""The settings tree: one typed tree from `bellwire.toml`, `BELLWIRE_*` and flags."""

from bellwire.cli.settings.agent_tables import AgentEntry, AgentTable
from bellwire.cli.settings.command import CommandSettings
from bellwire.cli.settings.errors import ConfigError
from bellwire.cli.settings.tree import Request, Setting, SettingsTree, load_settings

__all__ = [
    "AgentEntry",
    "AgentTable",
    "CommandSettings",
    "ConfigError",
    "Request",
    "Setting",
    "SettingsTree",
    "load_settings",
]
