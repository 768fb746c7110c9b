"""A model on another process or machine, asked over the bus."""

import time
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.agent.v1.inference_pb2 import InferResponse
from bellwire.agents.inference.endpoint import InferenceRequest, InferenceResult
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.client.protocol import BusClient
from bellwire.runtime.inference_call import REQUEST_TYPE
from bellwire.wire.errors import AgentFailedError, DeadlineExceededError

TIMEOUT_SECONDS_DEFAULT: Final = 5.0  # the bus's own default


class BusEndpoint:
    """An `Endpoint` that calls an agent's: the bus chooses which one, least loaded first."""

    def __init__(
        self,
        client: BusClient,
        capability: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT,
        manifests: tuple[ModelManifest, ...] = (),
    ) -> None:
        """Name who is asked; nothing is sent yet.

        Args:
            client: A connected client; stays open.
            capability: What the agents registered, for example "infer.tactical".
            timeout_seconds: Longest wait for an answer; a request's own deadline may be earlier.
            manifests: What is known of the models there; `manifests()` returns it.
        """
        self._client = client
        self._capability = capability
        self._timeout_seconds = timeout_seconds
        self._manifests = manifests

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer one request by a call; an answer of the coordinator's cache counts as cached.

        Raises:
            NoCapableAgentError: No live agent offers it.
            BellwireError: See `Endpoint.infer` and `Client.call`.
        """
        seconds = self._timeout_seconds
        if request.deadline_seconds:
            seconds = min(seconds, request.deadline_seconds - time.monotonic())
        if seconds <= 0:
            raise DeadlineExceededError(
                f"the deadline was past before {self._capability!r} was called"
            )
        reply = await self._client.call(
            self._capability,
            from_request(request).SerializeToString(),
            content_type=REQUEST_TYPE,
            timeout=seconds,
        )
        try:
            result = to_result(InferResponse.FromString(reply.result))
        except DecodeError as error:
            raise AgentFailedError(
                f"agent {reply.agent_id!r} answered {self._capability!r} with {reply.content_type}, "
                f"expected an InferResponse: {error}",
                metadata={"agent_id": reply.agent_id},
            ) from error
        return replace(result, is_cached=True) if reply.cache_level else result

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Return what was told of the models there."""
        return self._manifests
