"""From what a person calls a process to its id on this machine."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.listeners import listener_pid, listening_inodes
from bellwire.transport.address import AddressError, parse_address

if TYPE_CHECKING:
    from bellwire.agent.v1.agent_pb2 import AgentStatus
    from bellwire.cli.session import Target

__all__ = ["FoundProcess", "check_process", "find_process"]

NAMES_SHOWN_MAX: Final = 8  # Of agents, in an error: a line stays readable.


@dataclass(frozen=True, slots=True)
class FoundProcess:
    """A process of this machine."""

    pid: int
    what: str
    """What it is for the reader: "coordinator at unix:///run/bus.sock", "agent rules-0", "process"."""


def find_process(name: str, target: Callable[[], Target]) -> FoundProcess:
    """Find a process by id, listen address, data folder, or agent.

    Args:
        name: What the user typed; a number is a process id, and a folder that exists a data folder.
        target: Gives the coordinator whose directory knows the agents; asked only for an agent.

    Raises:
        UsageFault: The name is empty.
        CommandError: Nothing of that name runs here, or several do.
    """
    if not name:
        raise UsageFault("name a process: its id, listen address, data folder, or agent")
    if name.isdecimal():
        found = FoundProcess(int(name), "process")
    elif _looks_like_address(name):
        found = _at_address(name)
    elif _looks_like_folder(name):
        found = _in_folder(Path(name))
    else:
        found = _agent(name, target())
    check_process(found)
    return found


def check_process(found: FoundProcess) -> None:
    """Find out before sampling whether the process is there and may be looked into at all.

    Raises:
        CommandError: It does not run, or belongs to another user.
    """
    status = _status_of(found.pid)
    if status is None:
        raise CommandError(
            f"no process {found.pid} runs on this machine; `bellwire agents list` knows the agents'"
        )
    if status.get("State", "").startswith(("Z", "X")):
        raise CommandError(
            f"process {found.pid} has ended and waits for its parent; nothing runs in it"
        )
    owner, me = int(status["Uid"].split()[0]), os.geteuid()
    if me not in (0, owner):
        raise CommandError(
            f"process {found.pid} belongs to user {_user(owner)}, you are {_user(me)}: "
            "profile it as that user, or as root"
        )


def _looks_like_address(name: str) -> bool:
    if name.startswith("unix:"):
        return True
    try:
        parse_address(name)
    except AddressError:
        return False
    return True


def _looks_like_folder(name: str) -> bool:
    """Tell a data folder from an agent whose name some folder here happens to bear."""
    from bellwire.coordinator.log.sqlite.folder import LOCK_NAME

    return Path(name).is_dir() and (os.sep in name or (Path(name) / LOCK_NAME).exists())


def _at_address(name: str) -> FoundProcess:
    address = parse_address(name)
    pid = listener_pid(address)
    if pid is not None:
        return FoundProcess(pid, f"coordinator at {address}")
    if listening_inodes(address):
        raise CommandError(
            f"a process listens at {address}, but this user may not see which: "
            "profile it as its owner, or as root"
        )
    raise CommandError(
        f"nothing on this machine listens at {address}; a process is profiled on the machine it runs on"
    )


def _in_folder(folder: Path) -> FoundProcess:
    from bellwire.coordinator.log.sqlite.folder import DataFolder

    if not os.access(folder, os.R_OK | os.X_OK):
        raise CommandError(f"{folder} may not be read by you: profile as its owner, or as root")
    holder = DataFolder(folder).holder()
    if holder is None or not holder.isdecimal():
        raise CommandError(
            f"no coordinator works in {folder}; start one with `bellwire serve --data {folder}`"
        )
    return FoundProcess(int(holder), f"coordinator of {folder}")


def _agent(name: str, target: Target) -> FoundProcess:
    from bellwire.cli.session import run_async

    known = run_async(lambda: _live_agents(target))
    named = [status for status in known if name in (status.agent.agent_id, status.agent.name)]
    exact = [status for status in named if status.agent.agent_id == name]
    chosen = exact or named
    if not chosen:
        raise CommandError(
            f"no live agent {name!r} at {target.address}: found {_listed(known)}; "
            "name a process id, listen address, data folder, or one of these"
        )
    if len(chosen) > 1:
        raise CommandError(
            f"{len(chosen)} replicas are called {name!r}: name one of {_listed(chosen)}"
        )
    agent = chosen[0].agent
    here = socket.gethostname()
    if agent.host != here:
        raise CommandError(
            f"agent {agent.agent_id} runs on {agent.host}, this is {here}: profile it there"
        )
    return FoundProcess(agent.pid, f"agent {agent.agent_id}")


async def _live_agents(target: Target) -> list[AgentStatus]:
    from bellwire.cli.session import connected

    async with connected(target) as client:
        return await client.admin.list_agents()


def _listed(agents: list[AgentStatus]) -> str:
    names = [status.agent.agent_id for status in agents]
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) or "none"
    return (
        f"{shown} and {len(names) - NAMES_SHOWN_MAX} more"
        if len(names) > NAMES_SHOWN_MAX
        else shown
    )


def _status_of(pid: int) -> dict[str, str] | None:
    """Return /proc/PID/status by field; None when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
