"""`inference.GRPCInferenceService`: models asked over gRPC by whoever speaks the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final, cast

from bellwire.agents.inference.errors import (
    EngineFailedError,
    InvalidModelError,
    UnknownModelError,
)
from bellwire.agents.inference.kserve.contract import (
    Message,
    ModelInferResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
    ModelStreamInferResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from bellwire.agents.inference.kserve.errors import ModelNotReadyError
from bellwire.agents.inference.kserve.front import (
    SERVER_NAME,
    Asked,
    Front,
    Parameter,
    Told,
    server_version,
    shape_of,
)
from bellwire.agents.inference.kserve.proto_tensors import add_outputs, read_inputs
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import BellwireError

logger = logging.getLogger(__name__)

# A window, so that a batcher sees more than one request of a stream; policy BLOCK: no more are read.
STREAM_IN_FLIGHT_MAX: Final = 64


class GrpcInferenceService:
    """Answers from an endpoint; what it raises becomes the status of the RPC."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def ServerLive(self, request: Message, context: ServicerContext) -> Message:
        """Answer that this process runs."""
        return ServerLiveResponse(live=True)

    async def ServerReady(self, request: Message, context: ServicerContext) -> Message:
        """Tell whether any model may be asked."""
        return ServerReadyResponse(ready=self._front.is_ready())

    async def ModelReady(self, request: Message, context: ServicerContext) -> Message:
        """Tell whether a model or a chain may be asked; one that is unknown or undecided is not ready."""
        try:
            self._front.check_ready(request.name, request.version)
        except (UnknownModelError, InvalidModelError, ModelNotReadyError):
            return ModelReadyResponse(ready=False)
        return ModelReadyResponse(ready=True)

    async def ServerMetadata(self, request: Message, context: ServicerContext) -> Message:
        """Name the server."""
        return ServerMetadataResponse(name=SERVER_NAME, version=server_version())

    async def ModelMetadata(self, request: Message, context: ServicerContext) -> Message:
        """Describe the inputs and outputs of a model or a chain."""
        found = self._front.describe(request.name, request.version)
        return ModelMetadataResponse(
            name=found.name,
            versions=found.versions,
            platform=found.platform,
            inputs=[_tensor(spec) for spec in found.inputs],
            outputs=[_tensor(spec) for spec in found.outputs],
        )

    async def ModelInfer(self, request: Message, context: ServicerContext) -> Message:
        """Answer one request before the RPC's deadline."""
        # The stubs promise a number; without a deadline it is None.
        return await self._infer(request, cast("float | None", context.time_remaining()))

    async def ModelStreamInfer(
        self, requests: AsyncIterator[Message], context: ServicerContext
    ) -> None:
        """Answer requests in their order, some at a time; what is wrong with one is its answer.

        Raises:
            DecodeError: What came is no request; the stream ends there, after the answers that were written.
        """
        try:
            await self._stream(requests, context)
        except BaseExceptionGroup as group:
            # Whoever turns errors into the status of the RPC looks for them by their type.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    async def _stream(self, requests: AsyncIterator[Message], context: ServicerContext) -> None:
        waiting: asyncio.Queue[asyncio.Task[Message] | None] = asyncio.Queue(STREAM_IN_FLIGHT_MAX)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(_write(waiting, context))
            async for request in requests:
                await waiting.put(tasks.create_task(self._item(request)))
            await waiting.put(None)
            await writer

    async def _item(self, request: Message) -> Message:
        try:
            response = await self._infer(request, None)
        except BellwireError as error:
            return _failed(request, error)
        except Exception as error:
            # The others of the stream are not to blame for a fault of ours.
            logger.exception("a request of a stream for model %s failed", request.model_name)
            cause = f"{type(error).__name__}: {error}"
            return _failed(request, EngineFailedError(request.model_name, cause))
        return ModelStreamInferResponse(infer_response=response)

    async def _infer(self, request: Message, seconds: float | None) -> Message:
        asked = Asked(
            model=request.model_name,
            version=request.model_version,
            id=request.id,
            inputs=read_inputs(request),
            outputs=tuple(output.name for output in request.outputs),
            parameters=_parameters(request.parameters),
        )
        told = await self._front.infer(asked, seconds)
        return _response(told, raw=bool(request.raw_input_contents))


async def _write(
    waiting: asyncio.Queue[asyncio.Task[Message] | None], context: ServicerContext
) -> None:
    while (task := await waiting.get()) is not None:
        await context.write(await task)


def _failed(request: Message, error: BellwireError) -> Message:
    # The protocol has no place for a reason in an item, and its clients show this text.
    failed = ModelInferResponse(model_name=request.model_name, id=request.id)
    text = f"{error.reason}: {error.message}"
    return ModelStreamInferResponse(error_message=text, infer_response=failed)


def _tensor(spec: TensorSpec) -> Message:
    return ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.dtype, shape=shape_of(spec)
    )


def _parameters(parameters: Mapping[str, Message]) -> dict[str, Parameter]:
    return {
        name: getattr(value, choice)
        for name, value in parameters.items()
        if (choice := value.WhichOneof("parameter_choice")) is not None
    }


def _response(told: Told, *, raw: bool) -> Message:
    response = ModelInferResponse(model_name=told.model, model_version=told.version, id=told.id)
    for name, value in told.parameters.items():
        setattr(response.parameters[name], _choice(value), value)
    add_outputs(response, dict(told.outputs), raw=raw)
    return response


def _choice(value: Parameter) -> str:
    kinds: tuple[tuple[type[Parameter], str], ...] = (
        (bool, "bool_param"),
        (int, "int64_param"),
        (str, "string_param"),
        (float, "double_param"),
    )
    return next(choice for kind, choice in kinds if isinstance(value, kind))
