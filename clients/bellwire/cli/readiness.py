"""Tell people and supervisors that the coordinator takes connections, and when it stops."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.recovery import recovery_json, recovery_text

if TYPE_CHECKING:
    from bellwire.admin.v1.server_pb2 import RecoveryReport

__all__ = ["Announcement"]


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where readiness is told besides the terminal."""

    ready_fd: int | None = None
    ready_file: Path | None = None
    as_json: bool = False

    def check(self) -> None:
        """Find out before serving whether readiness can be told at all.

        Raises:
            UsageFault: When the descriptor is not open or the file's folder does not exist.
        """
        if self.ready_fd is not None:
            try:
                os.fstat(self.ready_fd)
            except OSError:
                raise UsageFault(
                    f"--ready-fd {self.ready_fd} is not open; the supervisor must pass it on"
                ) from None
        if self.ready_file is not None and not self.ready_file.absolute().parent.is_dir():
            raise UsageFault(f"--ready-file {self.ready_file}: its folder does not exist")

    def ready(self, addresses: Sequence[str], recovery: RecoveryReport | None = None) -> None:
        """Announce the addresses served, with the ports the system chose, and what was recovered."""
        facts: dict[str, object] = {
            "event": "ready",
            "addresses": list(addresses),
            "pid": os.getpid(),
        }
        if recovery is not None:
            facts["recovery"] = recovery_json(recovery)
        line = json.dumps(facts).encode() + b"\n"
        if self.as_json:
            print_json(facts)
        else:
            _print_ready(addresses, recovery)
        if self.ready_file is not None:
            # Renamed into place, so that a supervisor never reads half of it.
            part = self.ready_file.with_name(f"{self.ready_file.name}.part")
            part.write_bytes(line)
            part.replace(self.ready_file)
        if self.ready_fd is not None:
            os.write(self.ready_fd, line)
            os.close(self.ready_fd)

    def role(self, role: str, owner: str) -> None:
        """Announce what this coordinator is in its group, and where the active one is."""
        if self.as_json:
            print_json({"event": "role", "role": role.lower(), "owner": owner or None})
        elif role == "ACTIVE":
            console().print("active: clients are served here", style=Style.GOOD)
        elif role == "OPENING":
            console().print("taking over", style=Style.FAINT)
        else:
            where = f"{owner} is active" if owner else "nobody is active yet"
            console().print(f"standby: {where}", style=Style.FAINT, markup=False, soft_wrap=True)

    def draining(self, reason: str) -> None:
        """Announce that no new work is taken."""
        if self.as_json:
            print_json({"event": "draining", "reason": reason})
        else:
            console().print(f"{reason}: draining; again to stop at once", style=Style.FAINT)

    def stopped(self) -> None:
        """Announce the end of an orderly stop."""
        if self.as_json:
            print_json({"event": "stopped"})
        else:
            console().print("stopped", style=Style.FAINT)
        sys.stdout.flush()


def _print_ready(addresses: Sequence[str], recovery: RecoveryReport | None) -> None:
    out = console()
    if recovery is not None:
        style = Style.WARN if recovery.after_crash else None
        out.print(recovery_text(recovery), style=style, markup=False, soft_wrap=True)
    for address in addresses:
        out.print(f"listening on [{Style.NAME}]{address}[/]", soft_wrap=True)
    out.print(f"pid {os.getpid()}; Ctrl-C drains and stops", style=Style.FAINT)
