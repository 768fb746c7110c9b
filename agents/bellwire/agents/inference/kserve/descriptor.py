"""Protobuf messages and a service from a table of names and numbers, in a descriptor pool of their own."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

_SCALARS: Final = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


def file_descriptor(name: str, package: str, table: str) -> FileDescriptorProto:
    """Return the description of a proto3 file.

    Args:
        name: Of the file.
        package: Of its messages and services.
        table: A line for each message, its fields indented below it: number, name, type, and before
            the type `repeated`, `map` (from strings) or `oneof GROUP`. A dotted name is nested in the
            message before its last dot. `service NAME` has indented lines `METHOD REQUEST RESPONSE`, both
            with `stream` in front where they are streams.
    """
    file = FileDescriptorProto(name=name, package=package, syntax="proto3")
    messages: dict[str, DescriptorProto] = {}
    path = ""
    for line in filter(str.strip, table.splitlines()):
        words = line.split()
        if words[0] == "service":
            file.service.add(name=words[1])
            path = ""
        elif not line.startswith(" "):
            path = words[0]
            messages[path] = _message(file, messages, path)
        elif path:
            _add_field(messages[path], path, package, words)
        else:
            _add_method(file, package, words)
    return file


def _message(
    file: FileDescriptorProto, messages: dict[str, DescriptorProto], path: str
) -> DescriptorProto:
    parent, _, name = path.rpartition(".")
    return (
        messages[parent].nested_type.add(name=name) if parent else file.message_type.add(name=name)
    )


def _add_method(file: FileDescriptorProto, package: str, words: list[str]) -> None:
    name, *types = words
    asked, answered = [each for each in types if each != "stream"]
    streams = "stream" in types
    file.service[-1].method.add(
        name=name,
        input_type=f".{package}.{asked}",
        output_type=f".{package}.{answered}",
        client_streaming=streams,
        server_streaming=streams,
    )


def _add_field(message: DescriptorProto, path: str, package: str, words: list[str]) -> None:
    number, name, *kind = words
    field = message.field.add(name=name, number=int(number))
    field.label = FieldDescriptorProto.LABEL_OPTIONAL
    if kind[0] == "map":
        entry = _map_entry(message, name, kind[-1], package)
        field.label = FieldDescriptorProto.LABEL_REPEATED
        _set_type(field, f"{path}.{entry.name}", package)
        return
    if kind[0] == "repeated":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    elif kind[0] == "oneof":
        field.oneof_index = _oneof(message, kind[1])
    _set_type(field, kind[-1], package)


def _oneof(message: DescriptorProto, name: str) -> int:
    names = [each.name for each in message.oneof_decl]
    if name not in names:
        message.oneof_decl.add(name=name)
        names.append(name)
    return names.index(name)


def _map_entry(message: DescriptorProto, name: str, kind: str, package: str) -> DescriptorProto:
    entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    for number, part, of in ((1, "key", "string"), (2, "value", kind)):
        field = entry.field.add(name=part, number=number)
        field.label = FieldDescriptorProto.LABEL_OPTIONAL
        _set_type(field, of, package)
    return entry


def _set_type(field: FieldDescriptorProto, kind: str, package: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
