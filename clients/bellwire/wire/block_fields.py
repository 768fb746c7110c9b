"""A block read field by field: the values of all messages together, without an object for each message.

Protocol Buffers parsers merge a message that comes several times where one is expected, and string the repeated
fields of what they merge together (encoding guide, "Last One Wins"). A MessageBlock is such a sequence of
messages: read as one message whose fields are those of Message made repeated, it gives a list for each field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from bellwire.bus.v1.message_pb2 import Message, MessageBlock

__all__ = ["BlockFields", "fields_of", "serialized_messages"]

_PACKAGE: Final = "bellwire.block_fields"
_TEXT_OR_BYTES: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


class BlockFields(Protocol):
    """Values of each field over all messages of a block, in order.

    A message adds nothing where it does not set the field, and more than one value where its encoder wrote the
    field more than once, of which Message takes the last. So a list is as long as the block has messages only
    where nothing of that kind is in it, or where it makes up for itself: who needs to know which value is whose
    has to make sure.
    """

    id: Sequence[str]
    source: Sequence[str]
    key: Sequence[str]
    traceparent: Sequence[str]
    attributes: Sequence[bytes]
    data: Sequence[bytes]


class _Merged(Protocol):
    messages: BlockFields


class _Rows(Protocol):
    messages: Sequence[bytes]


def fields_of(data: bytes) -> BlockFields:
    """Read a serialized MessageBlock field by field; attributes are not looked into.

    Raises:
        google.protobuf.message.DecodeError: It is none; or a number has the wire type of a packed one.
    """
    return cast(_Merged, _MERGED.FromString(data)).messages


def serialized_messages(data: bytes) -> list[bytes]:
    """Return each message of a serialized MessageBlock as its bytes, which are not looked into.

    Raises:
        google.protobuf.message.DecodeError: It is none.
    """
    return list(cast(_Rows, _ROWS.FromString(data)).messages)


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    (block,) = MessageBlock.DESCRIPTOR.fields
    fields = file.message_type.add(name="Fields")
    for field in Message.DESCRIPTOR.fields:
        values = fields.field.add(name=field.name, number=field.number)
        values.label = FieldDescriptorProto.LABEL_REPEATED
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            values.type = FieldDescriptorProto.TYPE_BYTES
        else:
            values.type = cast("FieldDescriptorProto.Type.ValueType", field.type)
        if field.type not in (*_TEXT_OR_BYTES, FieldDescriptor.TYPE_MESSAGE):
            values.options.packed = False  # As the singular field is written.
    merged = file.message_type.add(name="Merged").field.add(name=block.name, number=block.number)
    merged.label = FieldDescriptorProto.LABEL_OPTIONAL
    merged.type = FieldDescriptorProto.TYPE_MESSAGE
    merged.type_name = f".{_PACKAGE}.Fields"
    rows = file.message_type.add(name="Rows").field.add(name=block.name, number=block.number)
    rows.label = FieldDescriptorProto.LABEL_REPEATED
    rows.type = FieldDescriptorProto.TYPE_BYTES
    return file


_POOL: Final = DescriptorPool()
_POOL.AddSerializedFile(_file().SerializeToString())
_MERGED: Final = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.Merged"))
_ROWS: Final = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.Rows"))
