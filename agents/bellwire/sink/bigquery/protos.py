"""The messages of the Storage Write API, as plain protobuf classes, and its three methods that are used.

They come from Google's package; its clients are not used: one request after the other on one connection, and retries
that know the offsets, are ours.
"""

from __future__ import annotations

from typing import Any, Final

from google.cloud.bigquery_storage_v1 import types

__all__ = [
    "APPEND_ROWS",
    "CREATE_WRITE_STREAM",
    "GET_WRITE_STREAM",
    "AppendRowsRequest",
    "AppendRowsResponse",
    "CreateWriteStreamRequest",
    "GetWriteStreamRequest",
    "StorageError",
    "TableFieldSchema",
    "TableSchema",
    "WriteStream",
]

_SERVICE: Final = "/google.cloud.bigquery.storage.v1.BigQueryWrite"
APPEND_ROWS: Final = f"{_SERVICE}/AppendRows"
CREATE_WRITE_STREAM: Final = f"{_SERVICE}/CreateWriteStream"
GET_WRITE_STREAM: Final = f"{_SERVICE}/GetWriteStream"

# Made by proto-plus at run time: there is nothing for a type checker to know.
AppendRowsRequest: Final[Any] = types.AppendRowsRequest.pb()
AppendRowsResponse: Final[Any] = types.AppendRowsResponse.pb()
CreateWriteStreamRequest: Final[Any] = types.CreateWriteStreamRequest.pb()
GetWriteStreamRequest: Final[Any] = types.GetWriteStreamRequest.pb()
StorageError: Final[Any] = types.StorageError.pb()
TableFieldSchema: Final[Any] = types.TableFieldSchema.pb()
TableSchema: Final[Any] = types.TableSchema.pb()
WriteStream: Final[Any] = types.WriteStream.pb()
