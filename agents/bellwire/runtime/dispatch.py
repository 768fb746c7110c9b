"""Brings a message to the handlers that want it, and decides what becomes of a watermark."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from bellwire.runtime.agent import Agent
from bellwire.runtime.context import MessageContext
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError, UndecodableError
from bellwire.runtime.output import with_topic
from bellwire.runtime.publication import Output, Outputs, Publication, listed
from bellwire.runtime.template import filled
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.wire.topic import TopicPattern, check_topic_name

logger = logging.getLogger(__name__)

WATERMARK_TYPE: Final = Watermark.DESCRIPTOR.full_name
ROUTES_REMEMBERED_MAX: Final = 1024  # (topic, type) pairs; a publisher of odd types cannot grow it

PayloadT = TypeVar("PayloadT", bound=ProtoMessage)
Handler: TypeAlias = Callable[[Any, MessageContext], Awaitable[Outputs]]


@dataclass(slots=True)
class DispatchCounters:
    """What became of the messages, counted since start."""

    handled: int = 0
    """Messages whose handlers returned."""
    skipped: int = 0
    """Messages of a type no handler takes."""
    watermarks: int = 0
    """Watermarks handled or forwarded."""


@dataclass(frozen=True, slots=True)
class _Route:
    """One handler of one topic and payload type."""

    pattern: TopicPattern
    type_name: str
    payload_type: type[ProtoMessage]
    handler: Handler


class Dispatcher:
    """Knows the topics of one agent instance and calls its handlers; does no input or output.

    A topic that a setting fills with nothing is neither read nor written.

    Raises:
        AgentSettingsError: A topic template names a setting the agent does not have.
        AgentDefinitionError: Watermarks of several topics cannot be forwarded as one stage.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.counters = DispatchCounters()
        self.publishes = tuple(
            check_topic_name(topic)
            for each in agent.publishes
            if (topic := _topic(each, agent)) is not None
        )
        self._routes = [
            _Route(
                TopicPattern(topic), spec.type_name, spec.payload_type, getattr(agent, spec.method)
            )
            for spec in agent.declarations.handlers
            if (topic := _topic(spec.topic, agent)) is not None
        ]
        self._watermark_routes = [
            _Route(TopicPattern(topic), WATERMARK_TYPE, Watermark, getattr(agent, spec.method))
            for spec in agent.declarations.watermarks
            if (topic := _topic(spec.topic, agent)) is not None
        ]
        self.topics = _unique(
            route.pattern.text for route in (*self._routes, *self._watermark_routes)
        )
        self._known: dict[tuple[str, str], tuple[_Route, ...]] = {}
        _check_forwarding(agent, self._routes, self._watermark_routes)

    async def handle(self, context: MessageContext) -> list[Publication]:
        """Run the handlers of one message and return what they publish, in order, topics resolved.

        Raises:
            UndecodableError: The payload is not what its type says.
            InvalidOutputError: A handler returned what cannot be published.
            Exception: Whatever a handler raised.
        """
        routes = self._find(context.topic, context.message.type)
        if context.message.type == WATERMARK_TYPE:
            self.counters.watermarks += 1
            if not routes:
                return self._forward(context)
        elif not routes:
            self.counters.skipped += 1
            return []
        outputs: list[Output] = []
        for route in routes:
            outputs += listed(await route.handler(_payload(route, context), context))
        self.counters.handled += 1
        return self.resolve([*context.take_extra(), *outputs])

    def resolve(self, outputs: Iterable[Output]) -> list[Publication]:
        """Give every output its topic.

        Raises:
            InvalidOutputError: No topic can be told, or the agent does not declare it.
        """
        return [with_topic(output, self.publishes, self.agent.name) for output in outputs]

    def _find(self, topic: str, type_name: str) -> tuple[_Route, ...]:
        key = (topic, type_name)
        known = self._known.get(key)
        if known is None:
            known = self._match(topic, type_name)
            if len(self._known) < ROUTES_REMEMBERED_MAX:
                self._known[key] = known
                if not known and type_name != WATERMARK_TYPE:
                    self._log_skipped(topic, type_name)
        return known

    def _match(self, topic: str, type_name: str) -> tuple[_Route, ...]:
        if type_name == WATERMARK_TYPE:
            explicit = [r for r in self._routes if r.type_name == WATERMARK_TYPE]
            candidates = [*self._watermark_routes, *explicit]
        else:
            candidates = [r for r in self._routes if r.type_name in ("", type_name)]
        return tuple(route for route in candidates if route.pattern.matches(topic))

    def _log_skipped(self, topic: str, type_name: str) -> None:
        wanted = sorted(r.type_name for r in self._routes if r.pattern.matches(topic))
        if not wanted:
            return  # Only the watermarks of this topic are of interest.
        logger.warning(
            "agent %s skips messages of type %r on %s: its handlers there take %s (logged once)",
            self.agent.agent_id,
            type_name,
            topic,
            wanted,
        )

    def _forward(self, context: MessageContext) -> list[Publication]:
        if not self.agent.stage:
            return []
        watermark = _decoded(Watermark, context)
        watermark.stage = self.agent.stage
        return [Publication(topic, watermark, key=context.message.key) for topic in self.publishes]


def _payload(route: _Route, context: MessageContext) -> ProtoMessage:
    return _decoded(route.payload_type, context) if route.type_name else context.message


def _decoded(payload_type: type[PayloadT], context: MessageContext) -> PayloadT:
    try:
        return payload_type.FromString(context.message.data)
    except DecodeError as error:
        raise UndecodableError(
            f"message {context.message.id} at {context.topic}/{context.partition}@{context.offset} "
            f"is no {context.message.type}: {error}"
        ) from error


def _topic(template: str, agent: Agent) -> str | None:
    """Return the topic; None when a setting left it out, as its default does.

    Raises:
        AgentSettingsError: It is empty, and by default it is not.
    """
    topic = filled(template, agent)
    if topic or not template:
        return topic
    usual = template.format_map({**agent.settings, **agent.default_settings})
    if usual:
        raise AgentSettingsError(
            f"topic {template!r} of agent {agent.name!r} is empty: give its setting a topic, for example {usual!r}"
        )
    return None


def _unique(topics: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(topics))


def _check_forwarding(agent: Agent, routes: list[_Route], watermark_routes: list[_Route]) -> None:
    """Refuse to forward what would be a false promise: a stage speaks for all of its inputs."""
    if not agent.stage:
        return
    handled = {route.pattern.text for route in watermark_routes}
    forwarded = _unique(r.pattern.text for r in routes if r.pattern.text not in handled)
    if len(forwarded) > 1 or any(not TopicPattern(topic).literal for topic in forwarded):
        raise AgentDefinitionError(
            f"agent {agent.name!r} would forward watermarks of {list(forwarded)} as one stage "
            f"{agent.stage!r}; merge them yourself with @on_watermark"
        )
