"""An inference response of the HTTP door: a JSON object, and behind it the outputs that are wanted as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bellwire.agents.inference.errors import EngineFailedError
from bellwire.agents.inference.kserve.front import Told
from bellwire.agents.inference.kserve.json_request import HttpAsked
from bellwire.agents.inference.tensor_bytes import bytes_of


@dataclass(frozen=True, slots=True)
class HttpTold:
    """A body, and how much of it is JSON."""

    body: bytes
    json_bytes: int | None
    """None = all of it."""


def write_response(told: Told, http: HttpAsked) -> HttpTold:
    """Return the body of an answer.

    Raises:
        InvalidTensorError: An output cannot travel.
        EngineFailedError: An output that is wanted as JSON holds NaN or infinity.
    """
    outputs: list[dict[str, object]] = []
    behind: list[bytes] = []
    for name, array in told.outputs.items():
        dtype, data = bytes_of(name, array)
        output: dict[str, object] = {"name": name, "datatype": dtype, "shape": list(array.shape)}
        if http.binary.get(name, http.binary_default):
            output["parameters"] = {"binary_data_size": len(data)}
            behind.append(data)
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    head = _json(told, outputs)
    return HttpTold(b"".join((head, *behind)), len(head) if behind else None)


def _json(told: Told, outputs: list[dict[str, object]]) -> bytes:
    answer: dict[str, object] = {"model_name": told.model, "parameters": dict(told.parameters)}
    if told.version:
        answer["model_version"] = told.version
    if told.id:
        answer["id"] = told.id
    answer["outputs"] = outputs
    try:
        return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        cause = "an output holds NaN or infinity, which JSON has not"
        raise EngineFailedError(told.model, cause) from error
