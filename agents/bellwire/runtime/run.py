"""Runs one agent in this process until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from bellwire.client import ClientSettings, connect
from bellwire.runtime.agent import Agent
from bellwire.runtime.resident import give_back_start
from bellwire.runtime.runner import AgentRunner
from bellwire.runtime.settings import RunSettings

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def run_agent(
    agent: Agent,
    address: str,
    *,
    settings: RunSettings | None = None,
    client_settings: ClientSettings | None = None,
    restarts: int = 0,
    on_ready: Callable[[], None] | None = None,
) -> AgentRunner:
    """Connect, run the agent until SIGTERM or SIGINT, and return the runner with its counters.

    Args:
        agent: What to run.
        address: "unix:///path" or "host:port".
        settings: Bounds and policies.
        client_settings: Of the connection.
        restarts: Times the supervisor started this replica again.
        on_ready: Called once the agent is registered and subscribed.

    Raises:
        CancelledError: Told to stop before it was ready.
        Exception: What `AgentRunner.run` raises.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    async with connect(address, settings=client_settings or ClientSettings()) as client:

        def ready() -> None:
            give_back_start()
            if on_ready is not None:
                on_ready()

        runner = AgentRunner(agent, client, settings, restarts=restarts, on_ready=ready)

        def told() -> None:
            if runner.ready.is_set() or task is None:
                runner.stop()
            else:
                task.cancel()

        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, told)
        try:
            await runner.run()
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
    return runner
