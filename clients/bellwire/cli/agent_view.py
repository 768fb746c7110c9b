"""Live agents in the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_INFERENCE, AgentStatus
from bellwire.cli.output import Style
from bellwire.cli.units import bytes_text, count_text

__all__ = ["agent_json", "print_agents"]

HEADINGS = ("agent", "pid", "device", "handled", "errors", "calls", "restarts", "cpu", "memory")
GAP = "  "


def print_agents(found: Sequence[AgentStatus], out: Console) -> None:
    """Print a line of figures per agent, and below it what it offers, reads and writes."""
    rows = [_figures(status) for status in found]
    headings: tuple[str, ...] = HEADINGS
    if any(status.coordinator for status in found):  # There may be several.
        headings = (*HEADINGS, "coordinator")
        rows = [(*row, status.coordinator) for row, status in zip(rows, found, strict=True)]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    out.print(Text(_aligned(headings, widths), Style.FAINT))
    for status, row in zip(found, rows, strict=True):
        line = Text(_aligned(row, widths))
        line.stylize(Style.NAME, 0, len(row[0]))
        out.print(line)
        agent = status.agent
        for word, names in (
            ("gpu", _gpu_words(status)),
            ("tools", _offered(status, models=False)),
            ("models", _offered(status, models=True)),
            ("reads", agent.subscribes),
            ("writes", agent.publishes),
        ):
            if names:
                about = Text.assemble((f"{word:<7}", Style.FAINT), ", ".join(names))
                out.print(Padding(about, (0, 0, 0, 4)))


def _offered(status: AgentStatus, *, models: bool) -> list[str]:
    return [
        capability.name
        for capability in status.agent.capabilities
        if (capability.kind == CAPABILITY_KIND_INFERENCE) is models
    ]


def _figures(status: AgentStatus) -> tuple[str, ...]:
    agent, load = status.agent, status.load
    return (
        agent.agent_id + (" (draining)" if status.draining else ""),
        str(agent.pid),
        agent.device,
        count_text(load.messages_handled),
        count_text(load.handler_errors),
        count_text(status.in_flight),
        count_text(load.restarts),
        f"{load.cpu_seconds:.1f} s",
        bytes_text(load.rss_bytes),
    )


def _gpu_words(status: AgentStatus) -> list[str]:
    """Return what all processes on its GPU use of it; nothing when it tells of none."""
    if not status.load.HasField("gpu"):
        return []
    gpu = status.load.gpu
    words = [f"{bytes_text(gpu.memory_used_bytes)} of {bytes_text(gpu.memory_total_bytes)} used"]
    if gpu.HasField("utilization"):
        words.append(f"busy {gpu.utilization:.0%}")
    return words


def _gpu_json(status: AgentStatus) -> dict[str, object] | None:
    if not status.load.HasField("gpu"):
        return None
    gpu = status.load.gpu
    return {
        "memory_used_bytes": gpu.memory_used_bytes,
        "memory_total_bytes": gpu.memory_total_bytes,
        "utilization": gpu.utilization if gpu.HasField("utilization") else None,
    }


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells in columns: the name to the left, figures to the right."""
    name, *figures = (
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return GAP.join((name, *figures))


def agent_json(status: AgentStatus) -> dict[str, object]:
    """Return what the directory knows of one agent."""
    agent, load = status.agent, status.load
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "version": agent.version,
        "pid": agent.pid,
        "host": agent.host,
        "device": agent.device,
        "tools": _offered(status, models=False),
        "models": _offered(status, models=True),
        "subscribes": list(agent.subscribes),
        "publishes": list(agent.publishes),
        "max_in_flight": agent.max_in_flight,
        "in_flight": status.in_flight,
        "draining": status.draining,
        "coordinator": status.coordinator,
        "messages_handled": load.messages_handled,
        "handler_errors": load.handler_errors,
        "restarts": load.restarts,
        "cpu_seconds": load.cpu_seconds,
        "rss_bytes": load.rss_bytes,
        "gpu": _gpu_json(status),
        "lease_expire_time_unix_nano": status.lease_expire_time_unix_nano,
    }
