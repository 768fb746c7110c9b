"""Answers the calls of an agent: bounded, within their deadlines, cancellable."""

import asyncio
import logging
import time
from typing import Final, TypeAlias

from opentelemetry.trace import Span, use_span

from bellwire.client.agent_events import AgentEvent, CallCancelled, IncomingCall
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.load import LoadMeter
from bellwire.runtime.offer import Answer, Offer
from bellwire.telemetry import call_span, end_span, names
from bellwire.wire.errors import (
    AgentBusyError,
    AgentFailedError,
    BellwireError,
    DeadlineExceededError,
    DrainingError,
    UnknownToolError,
)

logger = logging.getLogger(__name__)

NANOS_PER_SECOND: Final = 1e9
BUSY_RETRY_SECONDS: Final = 0.05  # about ten quick calls; the caller's router has others to ask

CallKey: TypeAlias = tuple[int, str]


class CallDesk:
    """Runs calls as tasks of their own; at most `calls_max` at once, the rest are refused."""

    def __init__(
        self,
        offer: Offer,
        agent_id: str,
        meter: LoadMeter,
        counters: RunCounters,
        *,
        calls_max: int,
        timeout_seconds: float,
    ) -> None:
        self._offer = offer
        self._agent_id = agent_id
        self._meter = meter
        self._counters = counters
        self._calls_max = calls_max
        self._timeout_seconds = timeout_seconds
        self._running: dict[CallKey, asyncio.Task[None]] = {}
        self._is_open = True

    async def take(self, event: AgentEvent) -> None:
        """Start a call, refuse it, or cancel one."""
        if isinstance(event, CallCancelled):
            task = self._running.get(_key(event.call))
            if task is not None:
                task.cancel()
            return
        refusal = self._refusal(event)
        if refusal is not None:
            self._counters.call_errors += 1
            await event.fail(refusal)
            return
        task = asyncio.create_task(self._answer(event), name=f"call {event.call_id}")
        self._running[_key(event)] = task
        self._meter.in_flight = len(self._running)
        task.add_done_callback(lambda _: self._ended(event))

    async def close(self) -> None:
        """Refuse new calls and wait for those running; cancel them by cancelling this."""
        self._is_open = False
        try:
            if self._running:
                await asyncio.wait(set(self._running.values()))
        finally:
            for task in self._running.values():
                task.cancel()

    def _ended(self, event: IncomingCall) -> None:
        self._running.pop(_key(event), None)
        self._meter.in_flight = len(self._running)

    def _refusal(self, event: IncomingCall) -> BellwireError | None:
        name = event.call.capability
        if not self._is_open:
            return DrainingError(f"agent {self._agent_id!r} is stopping; call again")
        if name not in self._offer:
            return UnknownToolError(
                f"agent {self._agent_id!r} has nothing named {name!r}; it has {self._offer.names}",
                metadata={"tool": name},
            )
        if len(self._running) >= self._calls_max:
            return AgentBusyError(
                f"agent {self._agent_id!r} works on {len(self._running)} calls, limit is "
                f"{self._calls_max}",
                retry_delay_seconds=BUSY_RETRY_SECONDS,
            )
        return None

    async def _answer(self, event: IncomingCall) -> None:
        call = event.call
        is_tool = self._offer.is_tool(call.capability)
        span = call_span(
            call.capability, call.traceparent, call.tracestate, call.call_id, is_tool=is_tool
        )
        started = time.perf_counter()
        failure = names.TOOL_ERROR
        try:
            answer = await self._within_deadline(event, span)
            failure = names.TOOL_ERROR if answer.is_error else ""
            await event.reply(
                answer.result, content_type=answer.content_type, is_error=answer.is_error
            )
        except BellwireError as error:
            failure = error.reason
            await event.fail(error)
        except asyncio.CancelledError:
            failure = "CANCELLED"
            raise
        except Exception as error:
            # Whatever it is, who called is not to wait for his deadline.
            logger.exception("call of %s could not be answered", call.capability)
            failure = AgentFailedError.reason
            await event.fail(self._fault(call.capability, error))
        finally:
            self._meter.call_ended(time.perf_counter() - started)
            self._counters.calls += 1
            self._counters.call_errors += bool(failure)
            end_span(span, error_type=failure)

    def _fault(self, name: str, error: Exception) -> AgentFailedError:
        return AgentFailedError(
            f"{name!r} of agent {self._agent_id!r} met {type(error).__name__}: {error}"
        )

    async def _within_deadline(self, event: IncomingCall, span: Span | None) -> Answer:
        call = event.call
        context = CallContext(
            call_id=call.call_id,
            deadline_unix_nano=call.deadline_unix_nano,
            principal=call.principal,
            attempt=call.attempt,
            traceparent=call.traceparent,
            capability=call.capability,
        )
        seconds = self._timeout_seconds
        if call.deadline_unix_nano:
            seconds = (call.deadline_unix_nano - time.time_ns()) / NANOS_PER_SECOND
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                if span is None:
                    return await self._offer.answer(call, context)
                with use_span(span, record_exception=False, set_status_on_exception=False):
                    return await self._offer.answer(call, context)
        except TimeoutError:
            if not timeout.expired():
                raise
            raise DeadlineExceededError(
                f"{call.capability!r} of agent {self._agent_id!r} did not finish within "
                f"{max(seconds, 0.0):.3f} s"
            ) from None


def _key(call: IncomingCall) -> CallKey:
    return (call.stream, call.call_id)
