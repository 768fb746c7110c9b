"""The marks by which an agent's methods become handlers and tools."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.message import Message as ProtoMessage

from bellwire.agent.v1.inference_pb2 import InferResponse
from bellwire.runtime.publication import Outputs

# Methods take the agent and parameters only their decorator knows: hence the ellipsis.
HandlerT = TypeVar("HandlerT", bound=Callable[..., Awaitable[Outputs]])
ToolT = TypeVar("ToolT", bound=Callable[..., Awaitable[object]])
InferenceT = TypeVar("InferenceT", bound=Callable[..., Awaitable[InferResponse]])

SUBSCRIBE_MARKS: Final = "__bellwire_subscribe__"
WATERMARK_MARKS: Final = "__bellwire_on_watermark__"
TOOL_MARK: Final = "__bellwire_tool__"
INFERENCE_MARK: Final = "__bellwire_inference__"


@dataclass(frozen=True, slots=True)
class SubscribeMark:
    """A topic template and the payload type expected there; None = as the handler is annotated."""

    topic: str
    payload_type: type[ProtoMessage] | None


@dataclass(frozen=True, slots=True)
class CapabilityMark:
    """How what can be called presents itself; empty = taken from the method, 0 seconds = not cacheable."""

    name: str
    description: str
    title: str
    cache_seconds: float = 0.0
    outdated_by: tuple[str, ...] = ()


def subscribe(topic: str, type: type[ProtoMessage] | None = None) -> Callable[[HandlerT], HandlerT]:
    """Have the method handle messages of `type` on `topic`; may be repeated for more topics.

    Args:
        topic: A topic, a pattern (`*` one dot-token, `>` the rest) or a template such as
            "{bars_topic}" that is filled from the agent's settings.
        type: Protobuf class of the payload; None = the annotation of the first parameter. Give
            `bellwire.bus.v1.message_pb2.Message` to take every type undecoded.
    """

    def mark(handler: HandlerT) -> HandlerT:
        _append_mark(handler, SUBSCRIBE_MARKS, SubscribeMark(topic, type))
        return handler

    return mark


def on_watermark(topic: str) -> Callable[[HandlerT], HandlerT]:
    """Have the method handle the watermarks of `topic` instead of the runtime forwarding them.

    Everything the agent published before is acknowledged before a watermark it returns is sent.
    """

    def mark(handler: HandlerT) -> HandlerT:
        _append_mark(handler, WATERMARK_MARKS, topic)
        return handler

    return mark


def tool(
    *,
    name: str = "",
    description: str = "",
    title: str = "",
    cache_seconds: float = 0.0,
    outdated_by: Sequence[str] = (),
) -> Callable[[ToolT], ToolT]:
    """Offer the method to callers as an MCP tool.

    Args:
        name: Name on the bus; empty = the method's name.
        description: One sentence for people and models; empty = first line of the docstring.
        title: Short title for people.
        cache_seconds: How long the coordinator may give an answer again to equal arguments, up to a day; 0 = it must
            not. Only for tools that answer equal arguments alike, whoever asks, and do nothing else.
        outdated_by: Topics or patterns whose messages make cached answers wrong, at most 16.
    """

    def mark(method: ToolT) -> ToolT:
        setattr(
            method,
            TOOL_MARK,
            CapabilityMark(name, description, title, cache_seconds, tuple(outdated_by)),
        )
        return method

    return mark


def inference(
    name: str,
    *,
    description: str = "",
    title: str = "",
    cache_seconds: float = 0.0,
    outdated_by: Sequence[str] = (),
) -> Callable[[InferenceT], InferenceT]:
    """Offer the method to callers as an inference endpoint: `(self, request, context) -> InferResponse`.

    Args:
        name: Name on the bus, or a template such as "infer.{model}" that is filled from the agent's settings.
        description: One sentence for people; empty = first line of the docstring.
        title: Short title for people.
        cache_seconds: How long the coordinator may give an answer again to an equal request, up to a day; 0 = it must
            not. Requests are equal when their bytes are.
        outdated_by: Topics or patterns whose messages make cached answers wrong, at most 16.
    """

    def mark(method: InferenceT) -> InferenceT:
        presented = CapabilityMark(name, description, title, cache_seconds, tuple(outdated_by))
        setattr(method, INFERENCE_MARK, presented)
        return method

    return mark


def _append_mark(handler: Callable[..., Any], attribute: str, mark: object) -> None:
    # Decorators run bottom-up: prepending keeps the order of the source.
    setattr(handler, attribute, (mark, *getattr(handler, attribute, ())))
