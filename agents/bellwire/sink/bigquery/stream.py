"""One committed write stream: the offset of its next row, and the connection on which rows are appended."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from queue import SimpleQueue
from threading import Timer
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import grpc

from bellwire.sink.bigquery.faults import WriteFault
from bellwire.sink.bigquery.protos import APPEND_ROWS, AppendRowsRequest, AppendRowsResponse

__all__ = ["AppendStream", "Routing", "routed"]

TRACE_ID: Final = "bellwire:sink"
Routing: TypeAlias = "tuple[tuple[str, str | bytes], ...]"


def routed(key: str, path: str) -> Routing:
    """Return the header by which Google's front finds whose request this is."""
    return (("x-goog-request-params", f"{key}={quote(path, safe='')}"),)


class AppendStream:
    """Appends at offsets, one request after the other.

    A request whose answer was lost may have been carried out. Sent again as it was, it is appended if it was not,
    and refused as being there if it was: either way its rows are there once. Other rows at that offset are an error.

    Attributes:
        name: The stream's.
        offset: Rows that are in it for certain.
    """

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self._append = channel.stream_stream(
            APPEND_ROWS,
            request_serializer=AppendRowsRequest.SerializeToString,
            response_deserializer=AppendRowsResponse.FromString,
        )
        self.name = name
        self.offset = 0
        self._unsure: bytes | None = None
        self._requests: SimpleQueue[Any] | None = None
        self._call: Any = None

    def append(self, descriptor: Any, rows: Sequence[bytes], seconds: float) -> Any:
        """Append rows and return the answer, in which single rows may be refused, and then none was appended.

        Args:
            descriptor: Of the rows; told with the first request of a connection.
            rows: At most 10 MB.
            seconds: How long to wait for the answer.

        Raises:
            WriteFault: They were not appended, or that is not known; the connection is closed.
        """
        request = AppendRowsRequest(write_stream=self.name)
        request.offset.value = self.offset
        request.proto_rows.rows.serialized_rows.extend(rows)
        if self._call is None:
            request.proto_rows.writer_schema.proto_descriptor.CopyFrom(descriptor)
            request.trace_id = TRACE_ID
        digest = _digest(rows)
        sent_before, self._unsure = self._unsure == digest, digest
        try:
            answer = self._exchange(request, seconds)
            if answer.row_errors:
                self._unsure = None
                return answer
            if answer.WhichOneof("response") == "error":
                fault = WriteFault.of_status(answer.error)
                if not (fault.retryable or fault.offset_exists):
                    self._unsure = None  # It was not appended.
                raise fault
        except WriteFault as fault:
            self.disconnect()
            if not (fault.offset_exists and sent_before):
                raise
            answer = AppendRowsResponse()
        self._unsure = None
        self.offset += len(rows)
        return answer

    def disconnect(self) -> None:
        """End the connection; the next append begins another, with its own descriptor."""
        call, self._call = self._call, None
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.put(None)  # gRPC's thread waits for it.
        if call is not None:
            call.cancel()

    def _exchange(self, request: Any, seconds: float) -> Any:
        if self._call is None:
            self._requests = SimpleQueue()
            self._call = self._append(
                iter(self._requests.get, None), metadata=routed("write_stream", self.name)
            )
        assert self._requests is not None
        deadline = Timer(seconds, self._call.cancel)
        deadline.daemon = True
        deadline.start()
        try:
            self._requests.put(request)
            return next(self._call)
        except StopIteration:
            raise WriteFault(grpc.StatusCode.UNAVAILABLE, "the connection was ended") from None
        except grpc.RpcError as error:
            fault = WriteFault.of_call(error)
            if fault.code is grpc.StatusCode.CANCELLED:
                fault = WriteFault(
                    grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {seconds:g} s"
                )
            raise fault from None
        finally:
            deadline.cancel()


def _digest(rows: Sequence[bytes]) -> bytes:
    digest = blake2b(digest_size=16)
    for row in rows:
        digest.update(len(row).to_bytes(4, "big"))
        digest.update(row)
    return digest.digest()
