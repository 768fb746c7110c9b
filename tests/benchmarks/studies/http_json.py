"""JSON over HTTP/1.1 as agents glued together with REST would send it: keep-alive, one connection.

Both sides are the standard library's, which sends fewer headers than the usual HTTP packages.
"""

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.benchmarks.roles import BrokerRole, Reply
from tests.benchmarks.studies.record_demo import read_json

HOST: Final = "127.0.0.1"
STOP_POLL_SECONDS: Final = 0.05  # How soon a server notices that it is to stop.
TIMEOUT_SECONDS: Final = 5.0
# `Connection` is left out: keep-alive is the default of HTTP/1.1.
HEADERS: Final = {"Content-Type": "application/json"}


class Acknowledger(BaseHTTPRequestHandler):
    """Takes a message, or an array of them, and answers with the offset of the last one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    offset = 0

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.offset += len(body) if isinstance(body, list) else 1
        answer = json.dumps({"offset": self.offset}, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard output belongs to the conductor."""


def requests_of(
    messages: Sequence[tuple[str, bytes]], batch_messages_max: int
) -> Iterator[tuple[str, bytes]]:
    """Give (path, body) of each request; with batches, arrays of what one topic has, as full as can be."""
    if batch_messages_max == 1:
        for topic, body in messages:
            yield _path(topic), body
        return
    by_topic: dict[str, list[bytes]] = {}
    for topic, body in messages:
        by_topic.setdefault(topic, []).append(body)
    for topic, bodies in by_topic.items():
        for start in range(0, len(bodies), batch_messages_max):
            yield _path(topic), b"[" + b",".join(bodies[start : start + batch_messages_max]) + b"]"


def post_all(
    connection: http.client.HTTPConnection,
    requests: Iterable[tuple[str, bytes]],
    pause_seconds: float,
) -> None:
    """Send one request after another, each when the former is answered.

    Raises:
        ConnectionError: An answer was not 200.
    """
    for path, body in requests:
        connection.request("POST", path, body, HEADERS)
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise ConnectionError(f"POST {path} was answered with {response.status}, 200 is needed")
        if pause_seconds:
            time.sleep(pause_seconds)


class HttpClientRole:
    """Plays a recording as POST requests."""

    def __init__(self, connection: http.client.HTTPConnection, recording: Path) -> None:
        self._connection = connection
        self._messages = read_json(recording)

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `play`."""
        if command != "play":
            raise ValueError(f"an HTTP client cannot {command!r}")
        return await self._play(**arguments)

    async def _play(self, *, batch_messages_max: int, rate: int) -> Reply:
        requests = requests_of(self._messages, batch_messages_max)
        pause_seconds = 1 / rate if rate else 0.0
        await asyncio.to_thread(post_all, self._connection, requests, pause_seconds)
        return {"sent": len(self._messages)}


@asynccontextmanager
async def open_http_server() -> AsyncIterator[tuple[BrokerRole, Reply]]:
    """Serve on a free port."""
    server = ThreadingHTTPServer((HOST, 0), Acknowledger)
    thread = Thread(target=server.serve_forever, args=(STOP_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield BrokerRole(), {"address": f"{HOST}:{server.server_address[1]}"}
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


@asynccontextmanager
async def open_http_client(
    *, address: str, recording: str
) -> AsyncIterator[tuple[HttpClientRole, Reply]]:
    """Connect."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_SECONDS)
    connection.connect()
    try:
        yield HttpClientRole(connection, Path(recording)), {}
    finally:
        connection.close()


def _path(topic: str) -> str:
    return f"/v1/topics/{topic}/messages"
