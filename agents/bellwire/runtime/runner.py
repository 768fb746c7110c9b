"""Runs one agent on the bus in this process."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from bellwire.client.protocol import BusAgentStream, BusClient, BusSubscription
from bellwire.runtime.agent import Agent
from bellwire.runtime.calls import CallDesk
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.dispatch import DispatchCounters, Dispatcher
from bellwire.runtime.errors import OutputLostError
from bellwire.runtime.gpu import own_gauge
from bellwire.runtime.history import BusHistory
from bellwire.runtime.lane import Lane
from bellwire.runtime.load import LoadMeter
from bellwire.runtime.offer import Offer
from bellwire.runtime.outbox import Outbox
from bellwire.runtime.publication import Outputs, listed
from bellwire.runtime.registration import directory_entry
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.work import MessageWork

logger = logging.getLogger(__name__)


class AgentRunner:
    """Subscribes, registers, handles and answers until told to stop.

    Start: subscribe, `on_start` and its outputs, register, READY. Stop: no new messages, finish
    those in hand, `on_stop` and its outputs, flush, deregister. What started is stopped, too, where something
    fails or the run is cancelled.
    """

    def __init__(
        self,
        agent: Agent,
        client: BusClient,
        settings: RunSettings | None = None,
        *,
        restarts: int = 0,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            agent: What to run.
            client: A connected client; stays open.
            settings: Bounds and policies.
            restarts: Times the supervisor started this replica again.
            on_ready: Called once, when the agent is registered and its subscription runs.
        """
        self.agent = agent
        self.settings = settings or RunSettings()
        self.counters = RunCounters()
        self.ready = asyncio.Event()
        self._client = client
        self._on_ready = on_ready
        self._dispatcher = Dispatcher(agent)
        self._meter = LoadMeter(self.counters, restarts=restarts, gpu=own_gauge(os.environ))
        self._publisher = client.publisher(f"agents/{agent.agent_id}")
        self._outbox = Outbox(
            self._publisher,
            name=agent.name,
            agent_id=agent.agent_id,
            timeout_seconds=self.settings.publish_timeout_seconds,
            counters=self.counters,
        )
        self._group = "" if self.settings.broadcast else agent.name
        self._work = MessageWork(
            self._dispatcher,
            self._outbox,
            BusHistory(client, self.settings.look_messages_max),
            consumer_group=self._group,
            slow_seconds=self.settings.slow_seconds,
        )
        self._offer = Offer(agent)
        self._desk = CallDesk(
            self._offer,
            agent.agent_id,
            self._meter,
            self.counters,
            calls_max=self.settings.calls_max,
            timeout_seconds=self.settings.call_timeout_seconds,
        )
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._lane_tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    @property
    def dispatch_counters(self) -> DispatchCounters:
        """Messages handled and skipped, watermarks."""
        return self._dispatcher.counters

    def stop(self) -> None:
        """Ask `run` to finish what is in hand and return; safe from a signal handler."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises:
            OutputLostError: The bus took no outputs for too long, or ended the subscription.
            TimeoutError: `on_stop` and its outputs took longer than the grace.
            BellwireError: The bus refused the subscription or the registration.
            Exception: Whatever `on_start`, `on_stop` or, with `crash_on_error`, a handler raised.
        """
        async with AsyncExitStack() as stack:
            subscription = await self._subscribe(stack)
            outputs = await self.agent.on_start()
            try:
                await self._publish_all(outputs)
                await self._work_until_stopped(subscription, stack)
            except BaseException:
                await self._stop_after_failure()
                raise
            await self._stop_agent()

    async def _work_until_stopped(
        self, subscription: BusSubscription | None, stack: AsyncExitStack
    ) -> None:
        self._offer.read_names()
        entry = directory_entry(self._dispatcher, self.settings.calls_max)
        stream = await stack.enter_async_context(
            self._client.agent_stream(entry, lease_seconds=self.settings.lease_seconds)
        )
        self._announce()
        try:
            await self._serve(subscription, stream)
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _stop_agent(self) -> None:
        """Have the agent close what it opened, and say its last, within the grace."""
        async with asyncio.timeout(self.settings.stop_grace_seconds):
            await self._publish_all(await self.agent.on_stop())

    async def _stop_after_failure(self) -> None:
        """Stop the agent all the same; what fails on the way is logged, as it is not what ended the run."""
        try:
            await self._stop_agent()
        except Exception:
            logger.exception("agent %s could not be stopped in order", self.agent.agent_id)

    async def _subscribe(self, stack: AsyncExitStack) -> BusSubscription | None:
        if not self._dispatcher.topics:
            return None
        return await stack.enter_async_context(
            self._client.subscribe(
                *self._dispatcher.topics,
                subscription=self._group,
                settle="manual",
                window_messages=self.settings.window_messages,
            )
        )

    def _announce(self) -> None:
        logger.info(
            "agent %s is ready: reads %s, writes %s",
            self.agent.agent_id,
            list(self._dispatcher.topics),
            list(self._dispatcher.publishes),
        )
        self.ready.set()
        if self._on_ready is not None:
            self._on_ready()

    async def _publish_all(self, outputs: Outputs) -> None:
        """Publish what does not answer a message, and wait until it is acknowledged."""
        publications = self._dispatcher.resolve(listed(outputs))
        sent = await self._outbox.send(publications, None)
        try:
            for future in sent.futures:
                await future
        finally:
            sent.resolve()

    async def _serve(self, subscription: BusSubscription | None, stream: BusAgentStream) -> None:
        """Work until stopped, then finish what is in hand within the grace."""
        async with asyncio.TaskGroup() as tasks:
            takers = [tasks.create_task(self._take_calls(stream), name="calls")]
            takers.append(tasks.create_task(self._report_load(stream), name="load"))
            if subscription is not None:
                takers.append(
                    tasks.create_task(self._take_messages(subscription, tasks), name="messages")
                )
            await self._stop.wait()
            for taker in takers:
                taker.cancel()
            await self._finish()

    async def _finish(self) -> None:
        for lane in self._lanes.values():
            lane.stop()
        try:
            async with asyncio.timeout(self.settings.stop_grace_seconds):
                if self._lane_tasks:
                    await asyncio.wait(self._lane_tasks)
                await self._desk.close()
                await self._outbox.settle()
        except TimeoutError:
            logger.warning(
                "agent %s did not finish within %.1f s; what is not settled comes again",
                self.agent.agent_id,
                self.settings.stop_grace_seconds,
            )
            for task in self._lane_tasks:
                task.cancel()

    async def _take_messages(self, subscription: BusSubscription, tasks: asyncio.TaskGroup) -> None:
        async for batch in subscription.batches():
            key = (batch.topic, batch.partition)
            lane = self._lanes.get(key)
            if lane is None:
                lane = Lane(self._work, subscription, self.settings, self.counters)
                self._lanes[key] = lane
                name = f"lane {batch.topic}/{batch.partition}"
                self._lane_tasks.append(tasks.create_task(lane.run(), name=name))
            lane.offer(batch)
        raise OutputLostError(f"the subscription of agent {self.agent.agent_id} has ended")

    async def _take_calls(self, stream: BusAgentStream) -> None:
        async for event in stream:
            await self._desk.take(event)

    async def _report_load(self, stream: BusAgentStream) -> None:
        last: tuple[int, ...] = ()
        while True:
            report = self._meter.report(sum(lane.depth for lane in self._lanes.values()))
            # CPU time and memory alone, which reporting itself moves, are no news.
            news = (
                report.in_flight,
                report.queue_depth,
                report.messages_handled,
                report.handler_errors,
                self.counters.calls,
            )
            if news != last:
                await stream.send_load(report)
                last = news
            await asyncio.sleep(self.settings.load_every_seconds)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf: what went wrong before everything else was cancelled."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
