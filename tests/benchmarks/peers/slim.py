"""SLIM: its data plane in one process, an app on each side, through slim-bindings over a Unix socket.

Its parts live in an environment of their own; nothing of them is imported before it is needed there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.environment import Environment
from tests.benchmarks.peers.peer import Broker, Receiver

if TYPE_CHECKING:
    import slim_bindings

ENVIRONMENT: Final = Environment("slim")
PUBLISHER: Final = "bench/bus/publisher"
SUBSCRIBER: Final = "bench/bus/subscriber"
SECRET: Final = "a shared secret of the benchmark, long enough for SLIM"


class SlimPublisher:
    """Publishes into one point-to-point session that confirms nothing, as NATS core does.

    Of the ways that were tried the call that blocks takes the least CPU time per message: awaiting
    its twin, `publish_with_params`, a group and a session with confirmations take more.
    """

    def __init__(self, session: "slim_bindings.Session") -> None:
        self._session = session
        self._latest: slim_bindings.CompletionHandle | None = None

    async def send(self, payload: bytes) -> None:
        """Hand one message to the bindings."""
        self._latest = self._session.publish(payload, None, None)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Publish message by message: the session has no batches."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Wait until the latest message has left; those before it left earlier."""
        if self._latest is not None:
            await self._latest.wait_async()
            self._latest = None


class Slim:
    """SLIM without MLS: the session is authenticated, its content is not encrypted again."""

    def missing(self) -> str | None:
        """Tell why its environment cannot be used."""
        return ENVIRONMENT.missing()

    def versions(self) -> dict[str, str]:
        """Give the version of the bindings, which carry the data plane."""
        return ENVIRONMENT.versions("slim-bindings")

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run a data plane."""
        import slim_bindings

        endpoint = f"unix://{directory}/slim.sock"
        service = _service()
        await service.run_server_async(slim_bindings.new_insecure_server_config(endpoint))
        try:
            yield Broker(endpoint, os.getpid())
        finally:
            service.stop_server(endpoint)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[SlimPublisher]:
        """Connect, and open a session with the subscriber."""
        import slim_bindings

        app, connection = await _app(address, PUBLISHER)
        remote = slim_bindings.Name.from_string(SUBSCRIBER)
        await app.set_route_async(remote, connection)
        settings = slim_bindings.SessionConfig(
            session_type=slim_bindings.SessionType.POINT_TO_POINT,
            max_retries=None,
            interval=None,
            metadata={},
            mls_settings=None,
        )
        yield SlimPublisher(await app.create_session_and_wait_async(settings, remote))

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Connect under the name that the publisher looks for, and read its session."""
        app, _ = await _app(address, SUBSCRIBER)

        async def read() -> None:
            session = await app.listen_for_session_async(None)
            while True:
                message = await session.get_message_async(None)
                receiver.take(message.payload)

        reading = asyncio.create_task(read())
        try:
            yield
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


def _service() -> "slim_bindings.Service":
    import slim_bindings

    slim_bindings.uniffi_set_event_loop(asyncio.get_running_loop())
    tracing = slim_bindings.new_tracing_config()
    tracing.log_level = "error"
    slim_bindings.initialize_with_configs(
        tracing_config=tracing,
        runtime_config=slim_bindings.new_runtime_config(),
        service_config=[slim_bindings.new_service_config()],
    )
    return slim_bindings.get_global_service()


async def _app(address: str, name: str) -> "tuple[slim_bindings.App, int]":
    import slim_bindings

    service = _service()
    connection = await service.connect_async(slim_bindings.new_insecure_client_config(address))
    local = slim_bindings.Name.from_string(name)
    app = service.create_app_with_secret(local, SECRET)
    await app.subscribe_async(local, connection)
    return app, connection


SLIM_UNIX: Final = Slim()
