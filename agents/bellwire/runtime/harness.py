"""Drives an agent's handlers without a bus: a message goes in, what it publishes comes out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message as ProtoMessage

from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.agent import Agent
from bellwire.runtime.assignment import AssignedPartition, History
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.context import MessageContext
from bellwire.runtime.dispatch import DispatchCounters, Dispatcher
from bellwire.runtime.inference_call import Endpoints
from bellwire.runtime.output import cause_of, derived_id, to_message
from bellwire.runtime.publication import Cause, Publication, listed
from bellwire.runtime.tool_call import Toolbox
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.wire.message import new_message


@dataclass(frozen=True, slots=True)
class Published:
    """One thing the agent published."""

    topic: str
    payload: ProtoMessage | bytes
    message: Message
    """As it would go over the bus; feed it to the next agent's harness."""


class AgentHarness:
    """Runs one agent instance in a test, sans I/O and in the order of the calls.

    Handler exceptions reach the caller. Trace contexts are passed on unchanged: no span is made. What is
    fed and published is kept, each topic in one partition, so that another harness can begin where this
    one is: `AgentHarness(Agent(), log=before.log)` is a restart.
    """

    def __init__(self, agent: Agent, *, log: Mapping[str, Sequence[Message]] | None = None) -> None:
        """Take the agent.

        Args:
            agent: What to run.
            log: Messages that were there before, by topic; what is fed goes on behind them.
        """
        self.agent = agent
        self.log: dict[str, list[Message]] = {
            topic: list(messages) for topic, messages in (log or {}).items()
        }
        """Everything fed and published, by topic; an offset is an index into it."""
        self.published: list[Published] = []
        """Everything published so far, in order."""
        self._dispatcher = Dispatcher(agent)
        self._toolbox = Toolbox(agent)
        self._endpoints = Endpoints(agent)
        self._assigned: set[str] = set()

    @property
    def counters(self) -> DispatchCounters:
        """Messages handled and skipped, watermarks."""
        return self._dispatcher.counters

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics and patterns the agent subscribes to, filled from its settings."""
        return self._dispatcher.topics

    @property
    def history(self) -> History:
        """The log as an agent may read it."""
        return _LoggedHistory(self)

    async def start(self) -> list[Published]:
        """Run `on_start` and return what it publishes."""
        outputs = self._dispatcher.resolve(listed(await self.agent.on_start()))
        self._endpoints = Endpoints(self.agent)
        return self._collect(outputs, None)

    async def stop(self) -> list[Published]:
        """Run `on_stop` and return what it publishes."""
        outputs = self._dispatcher.resolve(listed(await self.agent.on_stop()))
        return self._collect(outputs, None)

    async def feed(
        self,
        topic: str,
        payload: ProtoMessage,
        *,
        key: str = "",
        subject: str = "",
        time_unix_nano: int = 0,
        cause: Cause | None = None,
        attempt: int = 0,
        replayed: bool = False,
    ) -> list[Published]:
        """Deliver a payload as a message of `topic` and return what it made the agent publish.

        A `Message` is delivered as it is and the arguments that describe one are ignored.
        """
        message = payload
        if not isinstance(message, Message):
            origin = cause or Cause()
            message = new_message(
                data=payload.SerializeToString(),
                type=payload.DESCRIPTOR.full_name,
                key=key,
                subject=subject,
                source="harness",
                time_unix_nano=time_unix_nano,
                correlation_id=origin.correlation_id,
                causation_id=origin.message_id,
                traceparent=origin.traceparent,
                tracestate=origin.tracestate,
            )
        context = MessageContext(
            message,
            topic=topic,
            offset=await self._take(topic, message),
            attempt=attempt,
            replayed=replayed,
        )
        return self._collect(await self._dispatcher.handle(context), context)

    async def feed_watermark(
        self, topic: str, stage: str, symbol: str, time_unix_nano: int, *, end: bool = False
    ) -> list[Published]:
        """Deliver a watermark of `stage` and return what it made the agent publish."""
        watermark = Watermark(
            stage=stage, symbol=symbol, time_unix_nano=time_unix_nano, end_of_stream=end
        )
        return await self.feed(topic, watermark, key=symbol, time_unix_nano=time_unix_nano)

    async def call(self, tool: str, arguments: Mapping[str, object] | None = None) -> object:
        """Call a tool method with checked arguments and return what it returns.

        Raises:
            KeyError: The agent has no such tool.
            InvalidToolArgumentsError: The arguments do not fit its schema.
        """
        spec = self._toolbox.specs[tool]
        encoded = json.dumps(dict(arguments or {})).encode()
        return await self._toolbox.invoke(spec, encoded, CallContext("harness", 0))

    async def infer(self, endpoint: str, request: InferRequest) -> InferResponse:
        """Ask an inference endpoint and return its answer.

        Raises:
            KeyError: The agent has no such endpoint.
            BellwireError: What the endpoint raised.
        """
        return await self._endpoints.invoke(endpoint, request, CallContext("harness", 0))

    def _collect(
        self, outputs: list[Publication], context: MessageContext | None
    ) -> list[Published]:
        collected = []
        input_id = context.message_id if context else ""
        for index, publication in enumerate(outputs):
            cause = cause_of(publication, context)
            message = to_message(
                publication,
                source=f"agents/{self.agent.agent_id}",
                message_id=derived_id(self.agent.name, input_id, index),
                context=context,
                traceparent=cause.traceparent,
                tracestate=cause.tracestate,
            )
            collected.append(Published(publication.topic, publication.payload, message))
            self.log.setdefault(publication.topic, []).append(message)
        self.published += collected
        return collected

    async def _take(self, topic: str, message: Message) -> int:
        """Append to the log and return the offset; before the first of a topic, assign it."""
        messages = self.log.setdefault(topic, [])
        offset = len(messages)
        if topic not in self._assigned:
            await self.agent.on_assigned(AssignedPartition(topic, 0, offset, self.history))
            self._assigned.add(topic)
        messages.append(message)
        return offset


class _LoggedHistory:
    """A harness's log as an agent may read it."""

    def __init__(self, harness: AgentHarness) -> None:
        self._harness = harness

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        """Return the messages below an offset; there is one partition, 0."""
        messages = self._harness.log.get(topic, []) if partition == 0 else []
        return _of_type(messages[:offset], type_name)[-messages_max:]

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        """Return the newest messages."""
        return _of_type(self._harness.log.get(topic, []), type_name)[-messages_max:]


def _of_type(messages: Sequence[Message], type_name: str) -> list[Message]:
    return [message for message in messages if type_name in ("", message.type)]
