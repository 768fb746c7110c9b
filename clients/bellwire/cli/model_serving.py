"""The life of `bellwire model serve`: load, announce, answer until a signal, say what was done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model_server.agent import (
    ModelServerAgent,
    ModelServerAgentSettings,
    statistics_json,
)
from bellwire.agents.inference.model_server.settings import ModelServerSettings
from bellwire.agents.inference.repository import scan
from bellwire.cli.faults import CommandError, ExitCode, UsageFault
from bellwire.cli.model_answers import answering
from bellwire.cli.notices import notices
from bellwire.cli.output import Style, console, harmless, print_json
from bellwire.cli.session import run_async
from bellwire.cli.units import counted_text
from bellwire.risk.json_settings import to_json
from bellwire.runtime import run_agent
from bellwire.wire.settings import SettingsError

if TYPE_CHECKING:
    from bellwire.cli.session import Target

__all__ = ["ServePlan", "run_server"]


FLAG_OF: Final = {
    "chains": "--chain",
    "model": "--model",
    "refresh_seconds": "--refresh",
    "versions": "--versions",
}

# Who says that something is in order again: problems of models, and the way to the coordinator.
NEWS_OF: Final = ("bellwire.agents.inference.model_server.server", "bellwire.client.agent_stream")


class _CalledOff(CommandError):
    """Told to stop before the models were loaded."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class ServePlan:
    """What one `bellwire model serve` does; fields as the verb's options."""

    models: Path
    model: str
    chains: tuple[str, ...]
    versions: str
    refresh_seconds: float
    kserve_grpc: str
    kserve_http: str

    def settings(self) -> ModelServerAgentSettings:
        """Return them as the agent takes them; nothing is loaded for that.

        Raises:
            UsageFault: One of them cannot be used, or the model that is meant is not there.
        """
        try:
            server = ModelServerSettings(
                refresh_seconds=self.refresh_seconds,
                chains=self.chains,
                repository=replace(ModelServerSettings().repository, versions=self.versions),
            )
            check_doors({"--kserve-grpc": self.kserve_grpc, "--kserve-http": self.kserve_http})
            return ModelServerAgentSettings(
                model=self._meant(server),
                models=str(self.models),
                server=server,
                kserve_grpc=self.kserve_grpc,
                kserve_http=self.kserve_http,
            )
        except SettingsError as error:
            raise UsageFault(in_flags(error)) from error
        except InvalidModelError as error:
            raise UsageFault(error.message) from error

    def _meant(self, server: ModelServerSettings) -> str:
        """Return who is meant where a request names none: the one named, else the only chain, or the only model."""
        chains = [plan.name for plan in server.plans()]
        models = sorted({found.name for found in scan(self.models)})
        if self.model:
            # Into an empty folder it may be published yet; beside others it is a slip of the pen.
            if models and self.model not in (*chains, *models):
                there = listed(dict.fromkeys((*chains, *models)))
                raise UsageFault(
                    f"--model is {self.model!r}; expected one of those in {self.models}: {there}"
                )
            return self.model
        names = chains or models
        if len(names) != 1:
            raise UsageFault(f"name one with --model; in {self.models} there are: {listed(names)}")
        return names[0]


def listed(names: Iterable[str]) -> str:
    """Return names for people."""
    return ", ".join(map(harmless, names)) or "none"


def in_flags(error: SettingsError) -> str:
    """Return what is wrong with a setting by the flag that sets it."""
    flag = FLAG_OF.get(error.name)
    return f"{flag} is {error.found!r}; expected {error.expected}" if flag else error.message


def check_doors(addresses: Mapping[str, str]) -> None:
    """Refuse addresses that are none, by their flags; empty ones are passed over.

    Raises:
        UsageFault: One is no HOST:PORT, or what serves it is not installed.
    """
    for flag, address in addresses.items():
        if not address:
            continue
        try:
            from bellwire.agents.inference.kserve.address import parse_address
            from bellwire.agents.inference.kserve.errors import KserveListenError
        except ImportError as error:
            package = error.name
            raise UsageFault(f"{flag} needs {package}: pip install 'bellwire[kserve]'") from error
        try:
            parse_address(address)
        except KserveListenError as error:
            raise UsageFault(f"{flag}: {error.message}") from error


def run_server(plan: ServePlan, target: Target, *, as_json: bool) -> None:
    """Answer until told to stop.

    Raises:
        UsageFault: The models or an option cannot be used.
    """
    agent = ModelServerAgent(to_json(plan.settings()), agent_id=f"models-{os.getpid()}")

    async def run() -> None:
        await run_agent(
            agent,
            target.address,
            client_settings=target.client,
            on_ready=lambda: _announce(agent, target.address, as_json=as_json),
        )

    try:
        with notices(*NEWS_OF):
            run_async(run)
    except asyncio.CancelledError as error:
        raise _CalledOff("told to stop before the models were loaded") from error
    _say_stopped(agent, as_json=as_json)


def _announce(agent: ModelServerAgent, address: str, *, as_json: bool) -> None:
    assert agent.server is not None, "it has started"
    doors = agent.doors
    facts = {
        "event": "ready",
        "coordinator": address,
        "capability": agent.capabilities[0],
        "capabilities": list(agent.capabilities),
        "models": [manifest.key for manifest in agent.server.manifests()],
        "answering": answering(agent.server),
        "kserve_grpc": doors.grpc_address if doors else "",
        "kserve_http": doors.http_address if doors else "",
        "problems": agent.server.problems,
        "pid": os.getpid(),
    }
    if as_json:
        print_json(facts)
        return
    out = console()
    answers = ", ".join(answering(agent.server)) or "no model yet"
    out.print(f"serving {answers}", style=Style.NAME, soft_wrap=True, markup=False)
    names = ", ".join(agent.capabilities)
    out.print(f"on the bus at {harmless(address)} as {names}", soft_wrap=True, markup=False)
    for word in ("grpc", "http"):
        if facts[f"kserve_{word}"]:
            out.print(f"over {word} on {facts[f'kserve_{word}']}", soft_wrap=True, markup=False)
    out.print(f"pid {os.getpid()}; Ctrl-C drains and stops", style=Style.FAINT)


def _say_stopped(agent: ModelServerAgent, *, as_json: bool) -> None:
    if agent.last is None:
        return
    if as_json:
        print_json({"event": "stopped", "statistics": statistics_json(agent.last)})
        return
    requests = sum(version.requests for version in agent.last.versions)
    console().print(f"stopped; {counted_text(requests, 'request')} to models", style=Style.FAINT)
