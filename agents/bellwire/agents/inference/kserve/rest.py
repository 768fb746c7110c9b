"""The HTTP paths of the Open Inference Protocol, as an ASGI application."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bellwire.agents.inference.errors import InvalidModelError, UnknownModelError
from bellwire.agents.inference.kserve.errors import ModelNotReadyError
from bellwire.agents.inference.kserve.front import SERVER_NAME, Front, server_version, shape_of
from bellwire.agents.inference.kserve.json_request import read_request
from bellwire.agents.inference.kserve.json_response import write_response
from bellwire.agents.inference.tensor import TensorSpec
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    PayloadTooLargeError,
    StatusCode,
)

BODY_BYTES_MAX: Final = 4 * 1024 * 1024  # a tensor of 1 MiB as decimal text; policy REFUSE
BODY_SECONDS_MAX: Final = 10.0  # a caller that stalls holds a connection, of which there are few
JSON_LENGTH_HEADER: Final = "inference-header-content-length"
BINARY_EXTENSION: Final = "binary_tensor_data"

_HTTP_STATUS: Final = {
    StatusCode.INVALID_ARGUMENT: 400,
    # A model or an engine that cannot be used, or a server that stops: never the caller's fault.
    StatusCode.FAILED_PRECONDITION: 503,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.CANCELLED: 499,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}


def rest_app(front: Front) -> Starlette:
    """Return the application that answers from a front."""
    paths = _Paths(front)
    routes = [
        Route("/v2", paths.server, methods=["GET"]),
        Route("/v2/health/live", paths.live, methods=["GET"]),
        Route("/v2/health/ready", paths.ready, methods=["GET"]),
    ]
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(model, paths.model, methods=["GET"]),
            Route(f"{model}/ready", paths.model_ready, methods=["GET"]),
            Route(f"{model}/infer", paths.infer, methods=["POST"]),
        ]
    return Starlette(
        routes=routes,
        exception_handlers={
            BellwireError: _on_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
        },
    )


class _Paths:
    """One method for each path."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def server(self, request: Request) -> Response:
        return JSONResponse(
            {"name": SERVER_NAME, "version": server_version(), "extensions": [BINARY_EXTENSION]}
        )

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        is_ready = self._front.is_ready()
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def model(self, request: Request) -> Response:
        name, version = _model(request)
        found = self._front.describe(name, version)
        return JSONResponse(
            {
                "name": found.name,
                "versions": list(found.versions),
                "platform": found.platform,
                "inputs": [_tensor(spec) for spec in found.inputs],
                "outputs": [_tensor(spec) for spec in found.outputs],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        name, version = _model(request)
        try:
            self._front.check_ready(name, version)
        except (UnknownModelError, InvalidModelError, ModelNotReadyError) as error:
            answer = {"name": name, "ready": False, "error": error.message}
            return JSONResponse(answer, http_status(error))
        return JSONResponse({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        http = read_request(*_model(request), await _body(request), _json_length(request))
        told = write_response(await self._front.infer(http.asked), http)
        if told.json_bytes is None:
            return Response(told.body, media_type="application/json")
        headers = {JSON_LENGTH_HEADER: str(told.json_bytes)}
        return Response(told.body, headers=headers, media_type="application/octet-stream")


def http_status(error: BellwireError) -> int:
    """Return the HTTP status that says what the error's gRPC status says."""
    if isinstance(error, PayloadTooLargeError):
        return 413
    return _HTTP_STATUS.get(error.code, 500)


async def _body(request: Request) -> bytes:
    """Read the body within bounds of bytes and time."""
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for part in request.stream():
                size_bytes += len(part)
                if size_bytes > BODY_BYTES_MAX:
                    raise PayloadTooLargeError(
                        f"the body is larger than {BODY_BYTES_MAX} bytes: ask with fewer rows",
                        metadata={"limit": str(BODY_BYTES_MAX)},
                    )
                parts.append(part)
    except TimeoutError:
        text = f"the body did not arrive within {BODY_SECONDS_MAX:g} s"
        raise HTTPException(408, text) from None
    return b"".join(parts)


def _json_length(request: Request) -> int | None:
    text = request.headers.get(JSON_LENGTH_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(BODY_BYTES_MAX)):
        raise CallerError(f"{JSON_LENGTH_HEADER} is {text[:32]!r}, expected a number of bytes")
    return int(text)


def _model(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _tensor(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.dtype, "shape": shape_of(spec)}


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BellwireError)
    headers = {}
    if error.retry_delay_seconds is not None:
        headers["retry-after"] = str(math.ceil(error.retry_delay_seconds))
    body = {"error": error.message, "reason": error.reason}
    return JSONResponse(body, http_status(error), headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # Nobody reads it.
