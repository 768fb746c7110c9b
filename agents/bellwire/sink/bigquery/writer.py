"""Rows into a BigQuery table: each acknowledged append is there, and what was refused is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any, Final

import grpc

from bellwire.policy.backoff import Backoff
from bellwire.sink.bigquery.channel import GOOGLE, open_channel
from bellwire.sink.bigquery.encoding import RowEncoder
from bellwire.sink.bigquery.faults import WriteFault
from bellwire.sink.bigquery.protos import (
    CREATE_WRITE_STREAM,
    GET_WRITE_STREAM,
    CreateWriteStreamRequest,
    GetWriteStreamRequest,
    WriteStream,
)
from bellwire.sink.bigquery.stream import AppendStream, Routing, routed
from bellwire.sink.bigquery.table import TableName, columns_in, create_statement
from bellwire.sink.columns import Identity, Row
from bellwire.sink.errors import AnalyticStoreError, SinkWriteError

__all__ = ["BigQueryWriter"]

APPEND_ROWS_MAX: Final = 500  # Of one request; the API's own advice is a hundred or more.
APPEND_BYTES_MAX: Final = (
    8 << 20
)  # Of one request's rows; the API takes 10 MB with all around them.
APPEND_SECONDS: Final = 20.0  # For one answer; usual are tens of milliseconds.
CONNECT_SECONDS: Final = 30.0
TRIES_MAX: Final = (
    4  # Of one append before the sink hears of it, which waits longer and tries again.
)
RETRY_FIRST_SECONDS: Final = 0.1
RETRY_MAX_SECONDS: Final = 2.0
RETRY_ASKED_SECONDS_MAX: Final = 10.0  # Of what a server asks for: longer is the sink's to wait.
COMMITTED: Final = 1  # WriteStream.Type
FULL_VIEW: Final = 2  # WriteStreamView
_HOPELESS: Final = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


class BigQueryWriter:
    """Appends to one table, on a committed stream of its own; used by one thread at a time.

    Committed, not default: its offsets make an append whose answer was lost one append. They end with the stream,
    and so with this process: what a crash brings again is in the table twice, and a view leaves it out.
    """

    def __init__(
        self,
        table: TableName,
        endpoint: str = "",
        *,
        connect_seconds: float = CONNECT_SECONDS,
        append_seconds: float = APPEND_SECONDS,
        columns_changed: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """Look at the table, and try again while nobody answers.

        Args:
            table: To append to.
            endpoint: HOST:PORT without TLS; empty = Google's own, with the user's credentials.
            connect_seconds: How long to try.
            append_seconds: How long to wait for one answer.
            columns_changed: Told which columns are written from now on, after the table has changed.

        Raises:
            AnalyticStoreError: Nobody answered, the table is not there, or it cannot take messages.
        """
        self.table = table
        self._endpoint = endpoint or GOOGLE
        self._append_seconds = append_seconds
        self._columns_changed = columns_changed
        self._channel = open_channel(endpoint)
        self._stream: AppendStream | None = None
        # Of a write that failed in the middle: what is in the table, or refused with the reason.
        self._settled: dict[Identity, str | None] = {}
        try:
            self._encoder = RowEncoder(self._look(connect_seconds))
        except BaseException:
            self._channel.close()
            raise

    @property
    def columns(self) -> Sequence[str]:
        """Those that are written: ours that the table has."""
        return self._encoder.columns

    def recent_identities(self, count_max: int) -> Sequence[Identity]:
        """Return nothing: to ask the table would be a query, with its price and rights."""
        return ()

    def write(self, day: date, rows: Sequence[Row]) -> Mapping[Identity, str]:
        """Append rows and return those that the table refused, each with the reason.

        When it raises, some of them may be in the table; the same rows again add what is missing.

        Raises:
            SinkWriteError: It could not; trying again may help.
        """
        while chunk := self._next_chunk(rows):
            self._append(chunk)
        refused = {
            identity: reason for identity, reason in self._settled.items() if reason is not None
        }
        self._settled = {}
        return refused

    def close(self) -> None:
        """Close the connection; the stream ends by itself."""
        if self._stream is not None:
            self._stream.disconnect()
        self._channel.close()

    # ------------------------------------------------------------ one append

    def _next_chunk(self, rows: Iterable[Row]) -> list[tuple[Identity, bytes]]:
        chunk: list[tuple[Identity, bytes]] = []
        left = APPEND_BYTES_MAX
        for row in rows:
            if row.identity in self._settled:
                continue
            encoded = self._encoder.encode(row)
            left -= len(encoded)
            if chunk and (left < 0 or len(chunk) == APPEND_ROWS_MAX):
                break
            chunk.append((row.identity, encoded))
        return chunk

    def _append(self, chunk: Sequence[tuple[Identity, bytes]]) -> None:
        """Append some rows, after a few tries, or settle those of them that are refused.

        Raises:
            SinkWriteError: It did not succeed.
        """
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS)
        while True:
            columns = self.columns
            try:
                self._try_append(chunk)
            except WriteFault as fault:
                mendable = self._mend(fault)
                if backoff.tries + 1 >= TRIES_MAX or not (mendable or fault.retryable):
                    raise SinkWriteError(
                        f"{len(chunk)} rows cannot be appended to BigQuery table {self.table}: {fault}",
                        retry_delay_seconds=min(fault.retry_delay_seconds, RETRY_ASKED_SECONDS_MAX),
                    ) from fault
                asked = min(fault.retry_delay_seconds, RETRY_ASKED_SECONDS_MAX)
                time.sleep(backoff.next_delay(asked))
                if self.columns != columns:
                    return  # They have to be encoded anew.
            else:
                return

    def _try_append(self, chunk: Sequence[tuple[Identity, bytes]]) -> None:
        rows = [encoded for _, encoded in chunk]
        if self._stream is None:
            self._stream = self._new_stream()
        answer = self._stream.append(self._encoder.descriptor, rows, self._append_seconds)
        if answer.row_errors:
            # None was appended; the next chunk is the same without these.
            for error in answer.row_errors:
                self._settled[chunk[error.index][0]] = error.message or "refused without a reason"
        else:
            self._settled.update((identity, None) for identity, _ in chunk)
        if answer.HasField("updated_schema"):
            self._adopt(answer.updated_schema)

    def _mend(self, fault: WriteFault) -> bool:
        """Do what makes another try worth it; False = nothing does."""
        if fault.columns_are_gone:
            with suppress(WriteFault):
                self._adopt(self._schema())
            return True
        if fault.stream_is_gone or fault.offset_exists:
            self._leave_stream()
            return True
        return False

    def _adopt(self, schema: Any) -> None:
        """Write the columns that the table has now.

        Raises:
            SinkWriteError: Messages do not fit it any more.
        """
        try:
            columns = columns_in(schema, self.table)
        except AnalyticStoreError as error:
            raise SinkWriteError(error.message) from error
        if columns != self.columns:
            self._encoder = RowEncoder(columns)
            if self._stream is not None:
                self._stream.disconnect()
            self._columns_changed(columns)

    # ------------------------------------------------------------ the table and its streams

    def _look(self, connect_seconds: float) -> Sequence[str]:
        deadline = time.monotonic() + connect_seconds
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS)
        while True:
            try:
                return columns_in(self._schema(), self.table)
            except WriteFault as fault:
                if fault.code is grpc.StatusCode.NOT_FOUND:
                    raise AnalyticStoreError(
                        f"BigQuery table {self.table} does not exist: make it with: {create_statement(self.table)}"
                    ) from fault
                if fault.code in _HOPELESS:
                    raise AnalyticStoreError(
                        f"BigQuery table {self.table} cannot be used: {fault}; it takes the role BigQuery Data Editor"
                    ) from fault
                if not fault.retryable or time.monotonic() > deadline:
                    raise AnalyticStoreError(
                        f"BigQuery at {self._endpoint} has not described table {self.table} within "
                        f"{connect_seconds:g} s: {fault}"
                    ) from fault
            time.sleep(backoff.next_delay())

    def _schema(self) -> Any:
        """Return the table's columns, as its default stream has them: no right beyond writing is needed."""
        name = f"{self.table.path}/streams/_default"
        request = GetWriteStreamRequest(name=name, view=FULL_VIEW)
        return self._ask(GET_WRITE_STREAM, request, routed("name", name)).table_schema

    def _new_stream(self) -> AppendStream:
        request = CreateWriteStreamRequest(
            parent=self.table.path, write_stream=WriteStream(type_=COMMITTED)
        )
        made = self._ask(CREATE_WRITE_STREAM, request, routed("parent", self.table.path))
        return AppendStream(self._channel, made.name)

    def _leave_stream(self) -> None:
        if self._stream is not None:
            self._stream.disconnect()
            self._stream = None

    def _ask(self, method: str, request: Any, metadata: Routing) -> Any:
        ask = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=WriteStream.FromString,
        )
        try:
            return ask(request, timeout=self._append_seconds, metadata=metadata)
        except grpc.RpcError as error:
            raise WriteFault.of_call(error) from None
