"""What is inside a message, for people and machines: protobuf by its type, JSON, text, or hex."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from bellwire.cli.faults import UsageFault

if TYPE_CHECKING:
    from google.protobuf.message import Message as ProtobufMessage

__all__ = ["Payload", "check_type", "decode_payload", "encode_payload", "protobuf_of"]

PREVIEW_BYTES: Final = 48  # What a terminal line can show as hex beside topic and key.

OUR_NAMESPACE: Final = "bellwire."
TYPE_CUTOFF: Final = 0.6  # difflib's own: below it a suggestion is a guess.

Kind = Literal["protobuf", "json", "text", "binary", "empty"]


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded payload; `value` holds what `kind` says, and bytes for "binary"."""

    kind: Kind
    value: Any
    message: ProtobufMessage | None = None

    def json_value(self) -> object:
        """Return a value JSON can hold; bytes become base64."""
        if isinstance(self.value, bytes):
            import base64

            return base64.b64encode(self.value).decode("ascii")
        return self.value


def decode_payload(type_name: str, data: bytes) -> Payload:
    """Decode by the message type where it is known, else by what the bytes look like."""
    if not data and not type_name:
        return Payload("empty", None)
    message = protobuf_of(type_name, data)
    if message is not None:
        from google.protobuf.json_format import MessageToDict

        return Payload(
            "protobuf", MessageToDict(message, preserving_proto_field_name=True), message
        )
    return _by_looks(data)


def protobuf_of(type_name: str, data: bytes) -> ProtobufMessage | None:
    """Parse a payload whose type the descriptor pool knows; None when it is unknown or does not parse."""
    from google.protobuf.message import DecodeError

    message = _new_protobuf(type_name)
    if message is None:
        return None
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message


def encode_payload(type_name: str, data: bytes) -> bytes:
    """Return what goes on the wire: a JSON object of a known protobuf type is encoded as that type.

    Everything else stays as it is. A serialized message never begins with a brace (that byte would
    open a group, which proto3 has not), so the two cannot be confused.

    Raises:
        UsageFault: The object does not fit the type.
    """
    message = _new_protobuf(type_name) if data.lstrip()[:1] == b"{" else None
    if message is None:
        return data
    from google.protobuf.json_format import Parse, ParseError

    try:
        encoded: bytes = Parse(data, message).SerializeToString()
    except ParseError as error:
        raise UsageFault(f"payload does not fit {type_name}: {error}") from None
    return encoded


def check_type(type_name: str) -> None:
    """Refuse a type in our namespace that the contract does not have: nobody could decode it.

    Raises:
        UsageFault: With the nearest type there is.
    """
    if not type_name.startswith(OUR_NAMESPACE) or _new_protobuf(type_name) is not None:
        return
    import difflib

    known = sorted(_contract_types())
    # Most mistakes are in the last part, and a wrong package should not outweigh it.
    by_name = {name.rpartition(".")[2].lower(): name for name in known}
    last = type_name.rpartition(".")[2].lower()
    near = difflib.get_close_matches(type_name, known, 1, TYPE_CUTOFF)
    near_by_name = [by_name[name] for name in difflib.get_close_matches(last, by_name, 1)]
    best = (near_by_name or near)[:1]
    hint = f"did you mean {best[0]}?" if best else "the contract under proto/ has them all"
    raise UsageFault(f"--type is {type_name!r}; there is no such type: {hint}")


def _contract_types() -> list[str]:
    """Return the payload types: messages of the packages that travel as payloads."""
    from bellwire.agent.v1 import inference_pb2
    from bellwire.trading.v1 import market_data_pb2, order_pb2, risk_pb2, signal_pb2

    return [
        message.full_name
        for module in (inference_pb2, market_data_pb2, order_pb2, risk_pb2, signal_pb2)
        for message in module.DESCRIPTOR.message_types_by_name.values()
    ]


def _new_protobuf(type_name: str) -> ProtobufMessage | None:
    if "." not in type_name:
        return None
    from google.protobuf import descriptor_pool, message_factory

    _register_contract()
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        return None
    message: ProtobufMessage = message_factory.GetMessageClass(descriptor)()
    return message


@cache
def _register_contract() -> None:
    """Import the types of the contract, which puts them into the default pool."""
    from bellwire.admin.v1 import dead_letter_pb2, server_pb2, topic_pb2  # noqa: F401
    from bellwire.agent.v1 import agent_pb2, inference_pb2, invocation_pb2  # noqa: F401
    from bellwire.bus.v1 import error_pb2, message_pb2, publisher_pb2, subscriber_pb2  # noqa: F401
    from bellwire.mcp.v1 import mcp_pb2  # noqa: F401
    from bellwire.trading.v1 import (  # noqa: F401
        market_data_pb2,
        order_pb2,
        risk_pb2,
        signal_pb2,
    )


def _by_looks(data: bytes) -> Payload:
    if not data:
        return Payload("empty", None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Payload("binary", data)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return Payload("json", json.loads(text))
        except (json.JSONDecodeError, RecursionError):
            pass  # Nested deeper than the parser goes: shown as the text it is.
    if text.isprintable() or all(char.isprintable() or char in "\r\n\t" for char in text):
        return Payload("text", text)
    return Payload("binary", data)
