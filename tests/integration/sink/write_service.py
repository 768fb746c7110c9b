"""BigQuery's write service as its public contract describes it, in memory, on a port of this machine.

What it does not have: rights, quotas of its own, streams that end by age, and the minutes that Google takes to notice
a changed table. Faults are ordered by the test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from bellwire.sink.bigquery.protos import (
    AppendRowsRequest,
    AppendRowsResponse,
    CreateWriteStreamRequest,
    GetWriteStreamRequest,
    StorageError,
    TableFieldSchema,
    TableSchema,
    WriteStream,
)

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryWrite"
REQUEST_BYTES_MAX = 10_000_000
SILENCE_SECONDS_MAX = 20
TYPES = {"STRING": 1, "INT64": 2, "BYTES": 5, "BOOL": 6, "TIMESTAMP": 7, "NUMERIC": 12, "JSON": 15}
MODES = {"NULLABLE": 1, "REQUIRED": 2, "REPEATED": 3}
Row = dict[str, Any]


@dataclass
class Table:
    """A table, its rows in the order they came, and its streams with the number of rows in each."""

    columns: dict[str, str]  # Type, or type and mode: "STRING REQUIRED".
    rows: list[Row] = field(default_factory=list)
    streams: dict[str, int] = field(default_factory=dict)

    @property
    def schema(self) -> Any:
        fields = []
        for name, kind in self.columns.items():
            type_, _, mode = kind.partition(" ")
            fields.append(
                TableFieldSchema(name=name, type_=TYPES[type_], mode=MODES[mode or "NULLABLE"])
            )
        return TableSchema(fields=fields)


class Refused(Exception):
    """An answer that carries an error."""

    def __init__(self, code: grpc.StatusCode, text: str, storage_code: int = 0) -> None:
        self.status = Status(code=code.value[0], message=text)
        if storage_code:
            error = StorageError(code=storage_code, error_message=text)
            self.status.details.add().Pack(error, type_url_prefix="type.googleapis.com/")
        super().__init__(text)


class WriteService:
    """The service.

    Attributes:
        tables: By path.
        faults: What happens to the next appends, one each: a name of `_FAULTS`, or a Status the call ends with.
        bad_row: Says what is wrong with a row; None = nothing.
        appends: Appends asked for, as (stream, offset, rows).
        connections: AppendRows calls begun.
        port: Where it listens.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.faults: deque[str | Status] = deque()
        self.bad_row: Callable[[Row], str | None] = lambda row: None
        self.appends: list[tuple[str, int, int]] = []
        self.connections = 0
        self.port = 0

    # ------------------------------------------------------------ methods

    def GetWriteStream(self, request: Any, context: Any) -> Any:
        table = self._table(request.name, context)
        answer = WriteStream(name=request.name)
        if request.view == 2:
            answer.table_schema.CopyFrom(table.schema)
        return answer

    def CreateWriteStream(self, request: Any, context: Any) -> Any:
        table = self._table(request.parent, context)
        assert request.write_stream.type_ == 1, "a committed stream"
        name = f"{request.parent}/streams/s{len(table.streams)}"
        table.streams[name] = 0
        return WriteStream(name=name, type_=1)

    def AppendRows(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        self.connections += 1
        name, kind, told = "", None, None
        for request in requests:
            if kind is None:
                name = request.write_stream
                headers = dict(context.invocation_metadata())
                assert (
                    headers["x-goog-request-params"] == f"write_stream={name.replace('/', '%2F')}"
                )
                kind = _row_class(request.proto_rows.writer_schema.proto_descriptor)
                told = self._table(name, context).schema
            fault = self.faults.popleft() if self.faults else ""
            if isinstance(fault, Status):
                context.abort_with_status(rpc_status.to_status(fault))
            if fault == "silence":
                gone = Event()
                context.add_callback(gone.set)
                gone.wait(SILENCE_SECONDS_MAX)
                return
            answer = AppendRowsResponse(write_stream=name)
            try:
                if fault == "error in the answer":
                    raise Refused(grpc.StatusCode.ABORTED, "try again")
                self._append(name, kind, request, answer)
            except Refused as refused:
                answer.error.CopyFrom(refused.status)
            if fault == "acknowledgement lost":
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            schema = self._table(name, context).schema
            if schema != told:
                told = schema
                answer.updated_schema.CopyFrom(schema)
            yield answer

    # ------------------------------------------------------------ inside

    def _append(self, name: str, kind: Any, request: Any, answer: Any) -> None:
        table = self.tables[name.partition("/streams/")[0]]
        encoded = request.proto_rows.rows.serialized_rows
        assert request.HasField("offset"), "an append to a committed stream names its offset"
        offset = request.offset.value
        self.appends.append((name, offset, len(encoded)))
        if request.ByteSize() > REQUEST_BYTES_MAX:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the request is too large")
        if name not in table.streams:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no stream {name}", 3)
        extra = [f.name for f in kind.DESCRIPTOR.fields if f.name not in table.columns]
        if extra:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"extra fields: {extra}", 7)
        end = table.streams[name]
        if offset < end:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"offset {offset} is taken", 8)
        if offset > end:
            raise Refused(grpc.StatusCode.OUT_OF_RANGE, f"offset {offset} is beyond {end}", 9)
        rows = [_plain(kind.FromString(data)) for data in encoded]
        for index, row in enumerate(rows):
            if wrong := self.bad_row(row):
                answer.row_errors.add(index=index, code=1, message=wrong)
        if answer.row_errors:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "some rows are bad")
        table.rows += rows
        table.streams[name] = end + len(rows)
        answer.append_result.offset.value = offset

    def _table(self, path: str, context: Any) -> Table:
        found = self.tables.get(path.partition("/streams/")[0])
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: {path}")
        assert found is not None
        return found

    def start(self, port: int = 0) -> tuple[grpc.Server, int]:
        """Serve; gives the server, to be stopped, and its port."""
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 2 * REQUEST_BYTES_MAX),
        ]
        server = grpc.server(ThreadPoolExecutor(8), options=options)
        unary = {
            "GetWriteStream": (GetWriteStreamRequest, WriteStream),
            "CreateWriteStream": (CreateWriteStreamRequest, WriteStream),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                getattr(self, name), request.FromString, answer.SerializeToString
            )
            for name, (request, answer) in unary.items()
        }
        handlers["AppendRows"] = grpc.stream_stream_rpc_method_handler(
            self.AppendRows, AppendRowsRequest.FromString, AppendRowsResponse.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        return server, bound


def _row_class(descriptor: Any) -> Any:
    pool = DescriptorPool()
    pool.Add(FileDescriptorProto(name="row.proto", syntax="proto2", message_type=[descriptor]))
    return GetMessageClass(pool.FindMessageTypeByName(descriptor.name))


def _plain(message: Any) -> Row:
    """What is set of a row; what is not is NULL."""
    return {field.name: value for field, value in message.ListFields()}
