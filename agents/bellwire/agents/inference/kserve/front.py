"""What both doors of the Open Inference Protocol have in common: models by name, parameters, one question."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

from bellwire.agents.inference.endpoint import (
    ChoosesVersions,
    Endpoint,
    InferenceRequest,
    InferenceResult,
    OfferedChain,
    OffersChains,
)
from bellwire.agents.inference.errors import EngineFailedError, UnknownModelError
from bellwire.agents.inference.kserve.errors import (
    InvalidParameterError,
    ModelNotReadyError,
    UnknownOutputError,
)
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import Array, Tensors, TensorSpec
from bellwire.agents.inference.wire import check_names, check_request, check_text
from bellwire.wire.errors import BellwireError, CallerError, DeadlineExceededError

logger = logging.getLogger(__name__)

SERVER_NAME: Final = "bellwire"
CHAIN_PLATFORM: Final = "bellwire_chain"
ANY_SIZE: Final = -1  # the protocol's word for a dimension that may have any size: the batch
VERSION_MAX: Final = 2**31 - 1
MICROS_PER_SECOND: Final = 1e6

Parameter: TypeAlias = bool | int | str | float


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One inference request as a door read it."""

    model: str
    inputs: Tensors
    version: str = ""
    """Digits; empty = the one in service."""
    id: str = ""
    """Told back."""
    outputs: tuple[str, ...] = ()
    """Wanted, in this order; empty = all."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """key, cache_key, priority (0..7) as in the contract of the bus; timeout, microseconds. Others are ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The answer to it."""

    model: str
    version: str
    """Of the model that answered; empty = another step of the chain did."""
    id: str
    outputs: Mapping[str, Array]
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class Described:
    """A model or a chain, as metadata tell of it."""

    name: str
    versions: tuple[str, ...]
    """Those that may be asked, oldest first; none for a chain whose name no model has."""
    platform: str
    """The engine of a model, `CHAIN_PLATFORM` of a chain."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Front:
    """Asks an endpoint in the terms of the protocol."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def is_ready(self) -> bool:
        """Tell whether any model or chain may be asked."""
        return bool(self._endpoint.manifests()) or any(each.is_ready for each in self._chains())

    def manifest(self, model: str, version: str) -> ModelManifest:
        """Return a version of a model; no version = the one in service.

        Raises:
            UnknownModelError: There is none, or the one in service is not loaded.
            InvalidModelError: Nobody knows which one is in service.
            CallerError: The version is no number.
        """
        versions = self._versions(model)
        number = version_number(version) or (self._in_service(model) if versions else 0)
        found = [each for each in versions if number in (0, each.version)]
        if not found:
            raise UnknownModelError(model, version, self._known())
        return found[-1]

    def describe(self, name: str, version: str) -> Described:
        """Describe what a request of this name and version is answered by: a chain, where there is one and no version.

        Raises:
            ModelNotReadyError: It is a chain of which nothing could be loaded yet.
            CallerError: There is none to describe; see `manifest`.
        """
        versions = tuple(str(each.version) for each in self._versions(name))
        chain = None if version else self._chain(name)
        if chain is None:
            found = self.manifest(name, version)
            return Described(name, versions, found.engine, found.inputs, found.outputs)
        if not chain.inputs:
            raise ModelNotReadyError(name)
        return Described(name, versions, CHAIN_PLATFORM, chain.inputs, chain.outputs)

    def check_ready(self, name: str, version: str) -> None:
        """Let pass a model or a chain that may be asked.

        Raises:
            ModelNotReadyError, CallerError: It may not; see `manifest`.
        """
        chain = None if version else self._chain(name)
        if chain is None:
            self.manifest(name, version)
        elif not chain.is_ready:
            raise ModelNotReadyError(name)

    async def infer(self, asked: Asked, seconds: float | None = None) -> Told:
        """Answer one request.

        Args:
            asked: What is asked.
            seconds: Until the caller has gone; None = it did not say.

        Raises:
            UnknownModelError, InvalidTensorError, InvalidParameterError, UnknownOutputError: It cannot be asked.
            DeadlineExceededError: There was no time left.
            BellwireError: See `Endpoint.infer`.
        """
        request = _request(asked, seconds, time.monotonic())
        try:
            result = await self._endpoint.infer(request)
        except BellwireError:
            raise
        except Exception as error:
            # The boundary of engines that we did not write: their failure is an answer, not a crash.
            logger.exception("model %s failed", asked.model)
            raise EngineFailedError(asked.model, f"{type(error).__name__}: {error}") from error
        return _told(asked, result)

    def _versions(self, model: str) -> list[ModelManifest]:
        found = [each for each in self._endpoint.manifests() if each.name == model]
        return sorted(found, key=lambda manifest: manifest.version)

    def _chains(self) -> tuple[OfferedChain, ...]:
        endpoint = self._endpoint
        return endpoint.offered_chains() if isinstance(endpoint, OffersChains) else ()

    def _chain(self, name: str) -> OfferedChain | None:
        return next((each for each in self._chains() if each.name == name), None)

    def _in_service(self, model: str) -> int:
        endpoint = self._endpoint
        return endpoint.version_in_service(model) if isinstance(endpoint, ChoosesVersions) else 0

    def _known(self) -> tuple[str, ...]:
        models = (manifest.key for manifest in self._endpoint.manifests())
        return (*models, *(chain.name for chain in self._chains()))


def version_number(text: str) -> int:
    """Return a version as a number; empty = 0, the one in service.

    Raises:
        CallerError: No number from 1.
    """
    if not text:
        return 0
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(VERSION_MAX))
    if not is_number or not 1 <= int(text) <= VERSION_MAX:
        raise CallerError(f"model version is {text[:32]!r}, expected a number from 1, or nothing")
    return int(text)


def shape_of(spec: TensorSpec) -> list[int]:
    """Return the shape that metadata tell: the batch has any size."""
    return [ANY_SIZE, *spec.shape]


def server_version() -> str:
    """Return the version of this package, for metadata."""
    try:
        return version("bellwire")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _request(asked: Asked, seconds: float | None, now_seconds: float) -> InferenceRequest:
    check_names(list(asked.inputs))
    check_text("id", asked.id)
    key, cache_key = _text(asked, "key"), _text(asked, "cache_key")
    priority = _number(asked, "priority")
    check_request(key, cache_key, priority)
    return InferenceRequest(
        model=asked.model,
        inputs=asked.inputs,
        version=version_number(asked.version),
        key=key,
        cache_key=cache_key,
        priority=priority,
        deadline_seconds=_deadline(_number(asked, "timeout"), seconds, now_seconds),
    )


def _deadline(timeout_micros: int, seconds: float | None, now_seconds: float) -> float:
    waits = [] if seconds is None else [seconds]
    if timeout_micros:
        waits.append(timeout_micros / MICROS_PER_SECOND)
    if not waits:
        return 0.0
    if min(waits) <= 0:
        raise DeadlineExceededError("the deadline had passed when the request was read")
    return now_seconds + min(waits)


def _text(asked: Asked, name: str) -> str:
    value = asked.parameters.get(name, "")
    if not isinstance(value, str):
        raise InvalidParameterError(name, value, "a text")
    return value


def _number(asked: Asked, name: str) -> int:
    value = asked.parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidParameterError(name, value, "a whole number from 0")
    return value


def _told(asked: Asked, result: InferenceResult) -> Told:
    outputs = result.outputs
    for name in asked.outputs:
        if name not in outputs:
            raise UnknownOutputError(name, tuple(outputs))
    model, _, version_text = result.answered_by.rpartition(":")
    parameters: dict[str, Parameter] = {
        "answered_by": result.answered_by,
        "quantization": result.quantization,
        "is_cached": result.is_cached,
        "batch_size": result.batch_size,
        "queue_micros": round(result.queue_seconds * MICROS_PER_SECOND),
        "compute_micros": round(result.compute_seconds * MICROS_PER_SECOND),
    }
    if result.close_reason is not None:
        parameters["close_reason"] = result.close_reason.value
    if result.fallbacks:
        tried = (f"{each.step}={each.reason.value}" for each in result.fallbacks)
        parameters["fallbacks"] = ",".join(tried)
    return Told(
        model=asked.model,
        version=version_text if model and model == asked.model else "",
        id=asked.id,
        outputs={name: outputs[name] for name in asked.outputs or outputs},
        parameters=parameters,
    )
