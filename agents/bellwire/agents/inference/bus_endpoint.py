"""A model on another process or machine, asked over the bus."""

import time
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.agent.v1.inference_pb2 import InferResponse
from bellwire.agents.inference.endpoint import InferenceRequest, InferenceResult, as_remembered
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.client.protocol import BusClient
from bellwire.client.results import CallReply
from bellwire.runtime.inference_call import REQUEST_TYPE
from bellwire.wire.errors import AgentFailedError, CallerError, DeadlineExceededError

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
            AgentFailedError: What it answered is no result, or one without outputs.
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
        result = self._result(reply)
        return as_remembered(result) if reply.cache_level else result

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Return what was told of the models there."""
        return self._manifests

    def _result(self, reply: CallReply) -> InferenceResult:
        try:
            response = InferResponse.FromString(reply.result)
        except DecodeError as error:
            raise self._failed(reply, f"no InferResponse: {error}") from error
        if response.HasField("error"):
            return to_result(response)  # Raises it: the peer's own words.
        if not response.outputs:
            raise self._failed(reply, "no outputs")
        try:
            return to_result(response)
        except CallerError as error:  # The caller's own it would be in a request, not in an answer.
            raise self._failed(reply, error.message) from error

    def _failed(self, reply: CallReply, found: str) -> AgentFailedError:
        return AgentFailedError(
            f"agent {reply.agent_id!r} answered {self._capability!r} with {reply.content_type}, "
            f"expected an InferResponse with outputs that fit their types: {found}",
            metadata={"agent_id": reply.agent_id},
        )
