"""Reads an agent class: which methods handle which topics, and which can be called."""

import inspect
import json
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message as ProtoMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.decorators import (
    INFERENCE_MARK,
    SUBSCRIBE_MARKS,
    TOOL_MARK,
    WATERMARK_MARKS,
    CapabilityMark,
    SubscribeMark,
)
from bellwire.runtime.errors import AgentDefinitionError
from bellwire.runtime.tool_schema import SCHEMA_BYTES_MAX, Signature, signature_of
from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.topic import TopicPattern

HANDLER_ARGUMENTS: Final = 3  # self, payload, context
MILLIS: Final = 1_000
CACHE_SECONDS_MAX: Final = 86_400  # agent.proto: CachePolicy.ttl_millis


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One method that handles one payload type on one topic template."""

    method: str
    topic: str
    payload_type: type[ProtoMessage]
    type_name: str
    """Full protobuf name a message's type must have; empty = any, handed over undecoded."""


@dataclass(frozen=True, slots=True)
class WatermarkSpec:
    """One method that handles the watermarks of one topic template."""

    method: str
    topic: str


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One method offered as a tool."""

    method: str
    name: str
    title: str
    description: str
    signature: Signature
    input_schema_json: bytes
    cache_millis: int = 0
    """How long an answer may be given again; 0 = it may not."""
    outdated_by: tuple[str, ...] = ()
    """Topics or patterns whose messages make cached answers wrong."""


@dataclass(frozen=True, slots=True)
class InferenceSpec:
    """One method offered as an inference endpoint."""

    method: str
    name: str
    """May be a template that the agent's settings fill."""
    title: str
    description: str
    cache_millis: int = 0
    """As in `ToolSpec`."""
    outdated_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declarations:
    """Everything the decorators of an agent class say."""

    handlers: tuple[HandlerSpec, ...] = ()
    watermarks: tuple[WatermarkSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    endpoints: tuple[InferenceSpec, ...] = ()


def read_declarations(agent: type) -> Declarations:
    """Collect the marks of a class and its bases; a method overridden without a mark loses it.

    Raises:
        AgentDefinitionError: A marked method cannot work; the message says which and why.
    """
    handlers: list[HandlerSpec] = []
    watermarks: list[WatermarkSpec] = []
    tools: dict[str, ToolSpec] = {}
    endpoints: list[InferenceSpec] = []
    for method, function in _methods(agent):
        where = f"{agent.__qualname__}.{method}"
        marks = getattr(function, SUBSCRIBE_MARKS, ())
        handlers.extend(_handler(where, method, function, mark) for mark in marks)
        for topic in getattr(function, WATERMARK_MARKS, ()):
            _check_handler(where, function)
            watermarks.append(WatermarkSpec(method, topic))
        if hasattr(function, TOOL_MARK):
            spec = _tool(where, method, function, getattr(function, TOOL_MARK))
            if spec.name in tools:
                raise AgentDefinitionError(f"{where}: tool name {spec.name!r} is used twice")
            tools[spec.name] = spec
        if hasattr(function, INFERENCE_MARK):
            endpoints.append(_endpoint(where, method, function, getattr(function, INFERENCE_MARK)))
    return Declarations(tuple(handlers), tuple(watermarks), tuple(tools.values()), tuple(endpoints))


def _methods(agent: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield functions by name in source order, bases first, overridden ones once."""
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(agent.__mro__):
        for name, value in vars(base).items():
            if inspect.isfunction(value):
                found[name] = value
            elif name in found:
                del found[name]
    yield from found.items()


def _handler(
    where: str, method: str, function: Callable[..., Any], mark: SubscribeMark
) -> HandlerSpec:
    _check_handler(where, function)
    payload_type = mark.payload_type or _annotated_payload(where, function)
    if not (inspect.isclass(payload_type) and issubclass(payload_type, ProtoMessage)):
        raise AgentDefinitionError(
            f"{where}: payload type {payload_type!r} is no protobuf message class"
        )
    type_name = "" if payload_type is Message else payload_type.DESCRIPTOR.full_name
    return HandlerSpec(method, mark.topic, payload_type, type_name)


def _check_handler(where: str, function: Callable[..., Any]) -> None:
    if not inspect.iscoroutinefunction(function):
        raise AgentDefinitionError(f"{where} must be `async def`")
    if len(inspect.signature(function).parameters) != HANDLER_ARGUMENTS:
        raise AgentDefinitionError(f"{where} must take (self, payload, context)")


def _annotated_payload(where: str, function: Callable[..., Any]) -> Any:
    name = list(inspect.signature(function).parameters)[1]
    try:
        hints = typing.get_type_hints(function)
    except Exception as error:  # an annotation may raise anything
        raise AgentDefinitionError(
            f"{where}: annotations cannot be read ({error}); give the type to @subscribe"
        ) from error
    if name not in hints:
        raise AgentDefinitionError(
            f"{where}: annotate {name!r} with a protobuf class or give it to @subscribe"
        )
    return hints[name]


def _tool(where: str, method: str, function: Callable[..., Any], mark: CapabilityMark) -> ToolSpec:
    if not inspect.iscoroutinefunction(function):
        raise AgentDefinitionError(f"{where} must be `async def`")
    name = mark.name or method
    signature = signature_of(name, function, CallContext)
    schema = json.dumps(signature.schema(), separators=(",", ":")).encode()
    if len(schema) > SCHEMA_BYTES_MAX:
        raise AgentDefinitionError(
            f"{where}: schema of {len(schema)} bytes is above the limit of {SCHEMA_BYTES_MAX}"
        )
    return ToolSpec(
        method,
        name,
        mark.title,
        _description(function, mark),
        signature,
        schema,
        _cache_millis(where, mark),
        mark.outdated_by,
    )


def _endpoint(
    where: str, method: str, function: Callable[..., Any], mark: CapabilityMark
) -> InferenceSpec:
    if not inspect.iscoroutinefunction(function):
        raise AgentDefinitionError(f"{where} must be `async def`")
    if len(inspect.signature(function).parameters) != HANDLER_ARGUMENTS:
        raise AgentDefinitionError(f"{where} must take (self, request, context)")
    return InferenceSpec(
        method,
        mark.name,
        mark.title,
        _description(function, mark),
        _cache_millis(where, mark),
        mark.outdated_by,
    )


def _description(function: Callable[..., Any], mark: CapabilityMark) -> str:
    return mark.description or (inspect.getdoc(function) or "").split("\n", 1)[0]


def _cache_millis(where: str, mark: CapabilityMark) -> int:
    seconds = mark.cache_seconds
    if not 0 <= seconds <= CACHE_SECONDS_MAX or 0 < seconds < 1 / MILLIS:
        raise AgentDefinitionError(
            f"{where}: cache_seconds is {seconds}, 0.001 to {CACHE_SECONDS_MAX} are allowed, or 0 for no caching"
        )
    if mark.outdated_by and not seconds:
        raise AgentDefinitionError(f"{where}: outdated_by needs cache_seconds")
    for text in mark.outdated_by:
        try:
            TopicPattern(text)
        except InvalidTopicNameError as error:
            raise AgentDefinitionError(f"{where}: outdated_by: {error.message}") from error
    return round(seconds * MILLIS)
