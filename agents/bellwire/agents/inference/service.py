"""Answers the contract's requests from an endpoint: as calls, which fail, and as items, which say why."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Final

from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.errors import EngineFailedError
from bellwire.agents.inference.wire import (
    deadline_seconds,
    error_response,
    from_result,
    to_request,
    with_deadline,
)
from bellwire.wire.errors import BellwireError, CapacityError

logger = logging.getLogger(__name__)

ROOM_DELAY_SECONDS: Final = 0.01  # between tries where the full queue names no delay: about a batch
ROOM_WAIT_SECONDS: Final = (
    1.0  # a queue that is full for longer is told of: the stream is late anyway
)


class InferenceService:
    """Stands between messages and an endpoint."""

    def __init__(
        self, endpoint: Endpoint, model: str, *, room_wait_seconds: float = ROOM_WAIT_SECONDS
    ) -> None:
        """Answer from an endpoint.

        Args:
            endpoint: Who answers.
            model: Who is meant where a request names no model.
            room_wait_seconds: How long an item waits for room in the endpoint's queue; policy BLOCK.
        """
        self._endpoint = endpoint
        self._model = model
        self._room_wait_seconds = room_wait_seconds

    async def answer(
        self, message: InferRequest, deadline_unix_nano: int = 0, model: str = ""
    ) -> InferResponse:
        """Answer one request, before the call's deadline and its own.

        Args:
            message: What is asked.
            deadline_unix_nano: Of the call; 0 = it has none.
            model: Who is meant where the message names no model; empty = the usual one.

        Raises:
            BellwireError: See `Endpoint.infer` and `wire.to_request`.
        """
        now_unix_nano, now_seconds = time.time_ns(), time.monotonic()
        request = to_request(message, now_unix_nano, now_seconds)
        until = deadline_seconds(deadline_unix_nano, now_unix_nano, now_seconds)
        request = with_deadline(request, until)
        if not request.model:
            request = replace(request, model=model or self._model)
        return from_result(await self._endpoint.infer(request))

    async def answer_item(self, message: InferRequest) -> InferResponse:
        """Answer one request of a stream: what is wrong with it is its answer, and the stream goes on."""
        try:
            return await self._answer_when_there_is_room(message)
        except BellwireError as error:
            return error_response(error)
        except Exception as error:
            # The boundary of engines that we did not write: asking again would fail again.
            logger.exception("model %s failed", message.model or self._model)
            cause = f"{type(error).__name__}: {error}"
            return error_response(EngineFailedError(message.model or self._model, cause))

    async def _answer_when_there_is_room(self, message: InferRequest) -> InferResponse:
        until = time.monotonic() + self._room_wait_seconds
        while True:
            try:
                return await self.answer(message)
            except CapacityError as full:
                delay = full.retry_delay_seconds or ROOM_DELAY_SECONDS
                if time.monotonic() + delay > until:
                    raise
                await asyncio.sleep(delay)
