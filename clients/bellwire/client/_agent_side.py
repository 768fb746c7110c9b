"""What an agent's stream carries: calls in, results and load out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.agent.v1.agent_pb2 import (
    Agent,
    AgentHeartbeat,
    CallResult,
    ConnectRequest,
    ConnectResponse,
    LoadReport,
    Register,
)
from bellwire.agent.v1.agent_pb2_grpc import AgentServiceStub
from bellwire.client.agent_events import AgentEvent, CallCancelled, IncomingCall
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import AgentExistsError, BellwireError, LeaseExpiredError

if TYPE_CHECKING:
    from bellwire.agent.v1.agent_pb2_grpc import AgentServiceAsyncStub

MILLIS: Final = 1_000
CONNECTION_LOST: Final = "connection lost"


class AgentSide:
    """The `Side` of an agent's stream.

    Events and results are bounded by the calls the agent may have in flight, which the coordinator
    keeps to `Agent.max_in_flight`; a load report replaces the one not sent yet.

    Attributes:
        events: Calls and cancellations not taken yet.
        changed: Set when there is an event, or will never be one.
        failed: Why the stream ended for good, if it did.
        dropped_results: Results nobody waited for any more.
    """

    final_errors: tuple[type[BellwireError], ...] = ()
    # A lease outlives its lost stream for a while; the coordinator then still knows the id as taken.
    retried_errors: tuple[type[BellwireError], ...] = (AgentExistsError, LeaseExpiredError)

    def __init__(
        self, pool: ChannelPool, settings: ClientSettings, agent: Agent, lease_seconds: float
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._agent = agent
        self._lease_seconds = lease_seconds
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, IncomingCall] = {}
        self._results: deque[CallResult] = deque()
        self._load: LoadReport | None = None
        self._latest_load: LoadReport | None = None
        self._stream = 1
        self._drain_deadline: float | None = None
        self._reconnect_after = 0.0
        self.wake: Callable[[], None] = lambda: None
        self.events: deque[AgentEvent] = deque()
        self.changed = asyncio.Event()
        self.failed: BellwireError | None = None
        self.dropped_results = 0

    # ------------------------------------------------------------ for the agent

    async def send_result(self, call: IncomingCall, result: CallResult) -> bool:
        """Queue a result; False when nobody waits for it any more."""
        if call.stream != self._stream or self._calls.pop(call.call_id, None) is None:
            self.dropped_results += 1
            return False
        self._results.append(result)
        self.wake()
        return True

    def send_load(self, report: LoadReport) -> None:
        """Queue a load report in place of the one not sent yet."""
        self._load = self._latest_load = report
        self.wake()

    # ------------------------------------------------------------ Side of the link

    async def prepare(self) -> None:
        """There is nothing to prepare."""

    def open_call(self) -> grpc.aio.StreamStreamCall[ConnectRequest, ConnectResponse]:
        """Begin the RPC, on the channel kept for it."""
        if self._channel is None:
            self._channel = self._pool.next()
        stub: AgentServiceAsyncStub = AgentServiceStub(self._channel)
        return stub.Connect()

    def start_frame(self) -> ConnectRequest:
        """Return the first frame."""
        lease_millis = round(self._lease_seconds * MILLIS)
        return ConnectRequest(register=Register(agent=self._agent, lease_millis=lease_millis))

    def heartbeat_frame(self) -> ConnectRequest:
        """Return the frame that renews the lease."""
        return ConnectRequest(heartbeat=AgentHeartbeat(time_unix_nano=time.time_ns()))

    def next_frame(self, now: float) -> ConnectRequest | None:
        """Return a result, else the load, else None."""
        if self._results:
            return ConnectRequest(result=self._results.popleft())
        if self._load is not None:
            load, self._load = self._load, None
            return ConnectRequest(load_report=load)
        return None

    def has_more(self) -> bool:
        """Tell that it need be asked: frames of this side are few."""
        return True

    def wake_at(self, now: float) -> float | None:
        """Return when draining has taken long enough."""
        return self._drain_deadline

    def on_response(self, response: ConnectResponse, now: float) -> bool:
        """Take a frame of the coordinator; True when the sender should look again."""
        match response.WhichOneof("frame"):
            case "call":
                call = IncomingCall(response.call, self._stream, self)
                self._calls[call.call_id] = call
                self._put(call)
            case "cancel":
                self._cancel(response.cancel.call_id, response.cancel.reason)
            case "registered":
                self._reconnect_after = 0.0
                self._load = self._latest_load
            case "draining":
                self._drain_deadline = now + self._settings.timeout_seconds
                self._reconnect_after = response.draining.reconnect_after_millis / MILLIS
            case _:
                pass  # A heartbeat, or something newer than this client: hearing it is enough.
        return self._drain_deadline is not None

    def is_finished(self) -> bool:
        """Tell whether every call is answered, or draining has taken long enough."""
        deadline = self._drain_deadline
        if deadline is None:
            return False
        return not self._calls or asyncio.get_running_loop().time() >= deadline

    def reconnect_after(self) -> float:
        """Return the seconds the coordinator asked to wait."""
        return self._reconnect_after

    def on_lost(self) -> None:
        """Cancel the calls of the stream: their callers have been told that we are gone."""
        self._drain_deadline = None
        self._stream += 1
        self._results.clear()
        for call_id in tuple(self._calls):
            self._cancel(call_id, CONNECTION_LOST)

    def on_failed(self, error: BellwireError) -> None:
        """Wake whoever waits for an event."""
        self.failed = error
        self.changed.set()

    def _cancel(self, call_id: str, reason: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is None:
            return
        try:
            self.events.remove(call)  # Not begun: the agent need not hear of it at all.
        except ValueError:
            self._put(CallCancelled(call, reason))

    def _put(self, event: AgentEvent) -> None:
        self.events.append(event)
        self.changed.set()
