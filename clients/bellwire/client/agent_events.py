"""What an agent's stream brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from bellwire.agent.v1.agent_pb2 import Call, CallResult
from bellwire.wire.errors import BellwireError, to_item_error

__all__ = ["AgentEvent", "CallCancelled", "IncomingCall", "ResultSink"]

JSON: Final = "application/json"


class ResultSink(Protocol):
    """Takes the results of calls."""

    async def send_result(self, call: IncomingCall, result: CallResult) -> bool:
        """Send a result; False when nobody waits for it any more."""


class IncomingCall:
    """One call to answer exactly once, by `reply` or `fail`.

    Attributes:
        call: What is asked: capability, arguments, deadline, trace context.
        stream: Counts the streams of this agent; a call does not outlive its stream.
    """

    __slots__ = ("_sink", "call", "stream")

    def __init__(self, call: Call, stream: int, sink: ResultSink) -> None:
        self.call = call
        self.stream = stream
        self._sink = sink

    @property
    def call_id(self) -> str:
        """Unique on the stream."""
        return self.call.call_id

    async def reply(
        self, result: bytes, *, content_type: str = JSON, is_error: bool = False
    ) -> bool:
        """Answer; False when the call was cancelled or its stream is gone."""
        return await self._sink.send_result(
            self,
            CallResult(
                call_id=self.call.call_id,
                result=result,
                content_type=content_type,
                is_error=is_error,
            ),
        )

    async def fail(self, error: BellwireError) -> bool:
        """Answer with an error; False when the call was cancelled or its stream is gone."""
        return await self._sink.send_result(
            self, CallResult(call_id=self.call.call_id, error=to_item_error(error))
        )

    def __repr__(self) -> str:
        return f"IncomingCall({self.call.capability!r}, call_id={self.call.call_id!r})"


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """Nobody waits for this call any more: stop working on it."""

    call: IncomingCall
    reason: str
    """ "deadline", "caller gone", "connection lost", …"""


AgentEvent: TypeAlias = IncomingCall | CallCancelled
