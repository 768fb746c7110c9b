"""AutoGen's gRPC runtime: a worker runtime on each side of its host, publish to a topic.

Its parts live in an environment of their own; nothing of them is imported before it is needed there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.environment import Environment
from tests.benchmarks.peers.peer import Broker, Receiver
from tests.benchmarks.peers.server_process import free_port

if TYPE_CHECKING:
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime

ENVIRONMENT: Final = Environment("autogen")
TOPIC: Final = "bench"
AGENT: Final = "subscriber"
# The runtime acknowledges nothing and its queues have no bound; between so many messages the loop
# gets a turn to send.
BURST_MESSAGES: Final = 50
PROTOBUF: Final = "application/x-protobuf"


class AutoGenPublisher:
    """Publishes through one worker runtime, protobuf messages."""

    def __init__(self, runtime: "GrpcWorkerAgentRuntime") -> None:
        from autogen_core import TopicId
        from google.protobuf.wrappers_pb2 import BytesValue

        self._runtime = runtime
        self._topic = TopicId(TOPIC, TOPIC)
        self._message = BytesValue

    async def send(self, payload: bytes) -> None:
        """Publish one message."""
        await self._runtime.publish_message(self._message(value=payload), self._topic)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Publish message by message: the runtime has no batches."""
        for number, payload in enumerate(payloads, 1):
            await self.send(payload)
            if number % BURST_MESSAGES == 0:
                await asyncio.sleep(0)

    async def flush(self) -> None:
        """Yield once: the runtime neither acknowledges nor tells when it has sent."""
        await asyncio.sleep(0)


class AutoGenGrpc:
    """GrpcWorkerAgentRuntimeHost, TCP, without tracing."""

    def missing(self) -> str | None:
        """Tell why its environment cannot be used."""
        return ENVIRONMENT.missing()

    def versions(self) -> dict[str, str]:
        """Give the versions of the runtime and of the grpcio that it needs."""
        versions = ENVIRONMENT.versions("autogen-core", "autogen-ext", "grpcio", "protobuf")
        return {
            name if name.startswith("autogen") else f"{name} (autogen)": version
            for name, version in versions.items()
        }

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run the host."""
        from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost

        address = f"127.0.0.1:{free_port()}"
        host = GrpcWorkerAgentRuntimeHost(address)
        host.start()
        try:
            yield Broker(address, os.getpid())
        finally:
            await host.stop(grace=0)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[AutoGenPublisher]:
        """Start the runtime of the publisher."""
        async with _runtime(address) as runtime:
            yield AutoGenPublisher(runtime)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Start a runtime with one agent that is subscribed to the topic."""
        from autogen_core import AgentId, BaseAgent, MessageContext

        class Subscriber(BaseAgent):  # type: ignore[misc]  # Untyped: it is not installed here.
            async def on_message_impl(self, message: Any, ctx: MessageContext) -> None:
                receiver.take(message.value)

        async with _runtime(address) as runtime:
            # The key of an agent is the topic that its registration subscribes it to.
            await Subscriber("bench").register_instance(runtime, AgentId(AGENT, TOPIC))
            yield


@asynccontextmanager
async def _runtime(address: str) -> "AsyncIterator[GrpcWorkerAgentRuntime]":
    from autogen_core import try_get_known_serializers_for_type
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
    from google.protobuf.wrappers_pb2 import BytesValue
    from opentelemetry.trace import NoOpTracerProvider

    runtime = GrpcWorkerAgentRuntime(
        address, tracer_provider=NoOpTracerProvider(), payload_serialization_format=PROTOBUF
    )
    runtime.add_message_serializer(try_get_known_serializers_for_type(BytesValue))
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


AUTOGEN_GRPC: Final = AutoGenGrpc()
