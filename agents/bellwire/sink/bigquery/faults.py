"""What can go wrong with a request, however it was said, and what helps. No I/O."""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from bellwire.sink.bigquery.protos import StorageError

__all__ = ["WriteFault"]

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_STORAGE_ERROR: Final = "google.cloud.bigquery.storage.v1.StorageError"
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
# StorageErrorCode of the contract.
_STREAM_GONE: Final = frozenset({2, 3, 4, 5, 6, 9})
_EXTRA_FIELDS: Final = 7
_OFFSET_EXISTS: Final = 8


class WriteFault(Exception):
    """A request was refused, or nobody answered.

    Attributes:
        code: gRPC status.
        text: What was said.
        storage_code: StorageErrorCode; 0 = none was said.
        retry_delay_seconds: How long to wait at least, where it was said; else 0.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        text: str,
        storage_code: int = 0,
        retry_delay_seconds: float = 0.0,
    ) -> None:
        self.code = code
        self.text = text
        self.storage_code = storage_code
        self.retry_delay_seconds = retry_delay_seconds
        super().__init__(f"{code.name}: {text}")

    @classmethod
    def of_call(cls, error: Any) -> WriteFault:
        """Read what a call ended with."""
        status = rpc_status.from_call(error)
        if status is not None:
            return cls.of_status(status)
        return cls(error.code(), error.details() or "no reason given")

    @classmethod
    def of_status(cls, status: Status) -> WriteFault:
        """Read what an answer carries, or the details of a call."""
        storage_code, delay = 0, 0.0
        for detail in status.details:
            kind = detail.type_url.rpartition("/")[2]
            if kind == _STORAGE_ERROR:
                storage_code = StorageError.FromString(detail.value).code
            elif kind == RetryInfo.DESCRIPTOR.full_name:
                delay = RetryInfo.FromString(detail.value).retry_delay.ToNanoseconds() / 1e9
        code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        return cls(code, status.message or "no reason given", storage_code, delay)

    @property
    def retryable(self) -> bool:
        """True when the same request may succeed later."""
        return self.code in _RETRYABLE

    @property
    def offset_exists(self) -> bool:
        """True when there are rows at the request's offset already."""
        return self.storage_code == _OFFSET_EXISTS or self.code is grpc.StatusCode.ALREADY_EXISTS

    @property
    def stream_is_gone(self) -> bool:
        """True when only another stream helps."""
        return self.storage_code in _STREAM_GONE or (
            not self.storage_code
            and self.code
            in (
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.FAILED_PRECONDITION,
                grpc.StatusCode.OUT_OF_RANGE,
            )
        )

    @property
    def columns_are_gone(self) -> bool:
        """True when the table has lost a column that was written."""
        return self.storage_code == _EXTRA_FIELDS
