"""The life of `bellwire bridge`: connect both sides, say what happens, stop in order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import Style, console, error_console, harmless, print_json
from bellwire.cli.serving import SignalGate
from bellwire.cli.settings import CommandSettings, SettingsTree

if TYPE_CHECKING:
    from bellwire.bridge import BridgeSettings

__all__ = ["run_until_stopped", "sentence"]

_SENTENCES: Final = {
    "ready": "mirroring with Kafka at {kafka} (cluster {cluster}); Ctrl-C stops",
    "kafka_away": "Kafka at {kafka} is away: {reason}; nothing is lost, waiting for it",
    "kafka_back": "Kafka at {kafka} is back after {away_seconds} s",
    "bus_refuses": "the bus takes nothing on {topic}: {reason}; trying again",
    "dead_lettered": "dead letter: {topic} offset {offset}: {reason}",
    "stopped": "stopped: {sent} sent, {received} received, {skipped} skipped, {dead_lettered} dead letters",
}
_TROUBLE: Final = ("kafka_away", "bus_refuses", "dead_lettered")


def run_until_stopped(tree: SettingsTree, *, as_json: bool) -> None:
    """Mirror until a signal comes.

    Raises:
        UsageFault: There is nothing to mirror.
        BellwireError: What ended the bridge.
    """
    from bellwire.bridge import BridgeSettings

    settings = tree.of(BridgeSettings)
    if not settings.out_topics and not settings.in_topics:
        raise UsageFault(
            "nothing to mirror: name topics with --out and --in, or in [bridge] of bellwire.toml"
        )
    # The Kafka client logs each failed connection; the bridge says once that Kafka is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(_run(tree, settings, as_json=as_json))


async def _run(tree: SettingsTree, settings: BridgeSettings, *, as_json: bool) -> None:
    from bellwire.bridge.bridge import run_bridge
    from bellwire.client import ClientSettings, connect

    def report(event: str, **facts: str | float) -> None:
        _print(event, facts, as_json=as_json)

    gate = SignalGate()
    gate.install()
    stop = asyncio.Event()
    stopping = asyncio.create_task(_stop_at_signal(gate, stop))
    try:
        async with connect(tree.of(CommandSettings).address, tree.of(ClientSettings)) as client:
            done = await run_bridge(client, settings, stop, report)
    finally:
        stopping.cancel()
    report(
        "stopped",
        sent=done.sent,
        received=done.received,
        skipped=done.skipped,
        dead_lettered=done.dead_lettered,
    )


async def _stop_at_signal(gate: SignalGate, stop: asyncio.Event) -> None:
    await gate.wait()
    stop.set()


def sentence(event: str, facts: dict[str, str | float]) -> str:
    """Return what people read of an event."""
    return harmless(_SENTENCES[event].format_map(facts))


def _print(event: str, facts: dict[str, str | float], *, as_json: bool) -> None:
    if as_json:
        print_json({"event": event, **facts})
    elif event in _TROUBLE:
        error_console().print(
            sentence(event, facts), style=Style.WARN, markup=False, soft_wrap=True
        )
    else:
        console().print(sentence(event, facts), markup=False, soft_wrap=True)
