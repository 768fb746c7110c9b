"""Models by name and version, parameters, and what the endpoint is asked."""

import time

import numpy as np
import pytest
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agents.inference import (
    EngineFailedError,
    InvalidModelError,
    TensorSpec,
    UnknownModelError,
)
from bellwire.agents.inference.constant import ConstantEndpoint
from bellwire.agents.inference.endpoint import OfferedChain
from bellwire.agents.inference.kserve.errors import (
    InvalidParameterError,
    ModelNotReadyError,
    UnknownOutputError,
)
from bellwire.agents.inference.kserve.front import Asked, Front
from bellwire.wire.errors import BellwireError, CallerError, DeadlineExceededError


def asked(**fields) -> Asked:
    return Asked(**{"model": "tactical", "inputs": {"x": observations()}, **fields})


async def test_parameters_become_what_the_bus_asks() -> None:
    endpoint = LinearEndpoint()
    parameters = {"key": "EURUSD", "cache_key": "EURUSD/1", "priority": 2, "timeout": 30_000_000}
    await Front(endpoint).infer(asked(version="1", parameters=parameters), seconds=60.0)
    (request,) = endpoint.requests
    assert (request.version, request.key, request.cache_key, request.priority) == (
        1, "EURUSD", "EURUSD/1", 2,
    )  # fmt: skip
    assert 20 < request.deadline_seconds - time.monotonic() <= 30


async def test_the_answer_says_who_gave_it_and_how() -> None:
    told = await Front(LinearEndpoint()).infer(asked(id="7"))
    assert (told.model, told.version, told.id) == ("tactical", "2", "7")
    assert told.parameters == {
        "answered_by": "tactical:2",
        "quantization": "int8-static",
        "is_cached": False,
        "batch_size": 2,
        "queue_micros": 10,
        "compute_micros": 250,
        "close_reason": "IDLE",
        "fallbacks": "tactical:9=NOT_LOADED",
    }


async def test_a_stand_in_has_no_version_where_no_model_was_named() -> None:
    endpoint = ConstantEndpoint("hold", {"p": np.zeros(3, "<f4")})
    assert (await Front(endpoint).infer(asked(model=""))).version == ""


async def test_only_the_outputs_that_are_wanted_come_in_the_order_they_are_wanted() -> None:
    told = await Front(LinearEndpoint()).infer(asked(outputs=("action", "p")))
    assert list(told.outputs) == ["action", "p"]
    told = await Front(LinearEndpoint()).infer(asked(outputs=("action",)))
    assert list(told.outputs) == ["action"]


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"outputs": ("q",)}, UnknownOutputError, "no output 'q'; there are p, action"),
        ({"model": "ghost"}, UnknownModelError, "'ghost' is unknown"),
        ({"version": "3"}, UnknownModelError, "'tactical:3' is unknown"),
        ({"version": "newest"}, CallerError, "version is 'newest', expected a number from 1"),
        ({"version": "0"}, CallerError, "version is '0'"),
        ({"version": "9" * 40}, CallerError, "expected a number from 1"),
        ({"version": "0000000001" + "9" * 5_000}, CallerError, "expected a number from 1"),
        ({"parameters": {"key": 7}}, InvalidParameterError, "'key' is 7, expected a text"),
        ({"parameters": {"priority": True}}, InvalidParameterError, "a whole number from 0"),
        ({"parameters": {"priority": 9}}, CallerError, "priority is 9"),
        ({"parameters": {"timeout": -1}}, InvalidParameterError, "'timeout' is -1"),
        ({"id": "\ud800"}, CallerError, "id is no UTF-8: surrogates not allowed"),
        ({"id": "i" * 257}, CallerError, "id holds 257 bytes, limit is 256"),
    ],
)
async def test_what_cannot_be_asked_is_refused(fields, error, says) -> None:
    with pytest.raises(error) as caught:
        await Front(LinearEndpoint()).infer(asked(**fields))
    assert isinstance(caught.value, BellwireError)
    assert says in caught.value.message


async def test_nobody_is_asked_when_the_caller_has_gone() -> None:
    endpoint = LinearEndpoint()
    with pytest.raises(DeadlineExceededError):
        await Front(endpoint).infer(asked(), seconds=0.0)
    assert endpoint.requests == []


async def test_an_engine_that_raises_anything_is_an_engine_that_failed() -> None:
    endpoint = LinearEndpoint()
    endpoint.failures = [ZeroDivisionError("no variance")]
    with pytest.raises(EngineFailedError, match="ZeroDivisionError: no variance"):
        await Front(endpoint).infer(asked())


def test_without_a_version_the_newest_is_described() -> None:
    front = Front(LinearEndpoint(1, 3, 2))
    assert front.manifest("tactical", "").version == 3
    assert front.manifest("tactical", "1").version == 1
    assert front.describe("tactical", "").versions == ("1", "2", "3")


class RolledOut(LinearEndpoint):
    """Version 2 is in service, though there is a newer one."""

    def version_in_service(self, model: str) -> int:
        if model != "tactical":
            raise InvalidModelError("rollout.json", "damaged", "a rollout")
        return 2


def test_without_a_version_the_one_in_service_is_described() -> None:
    front = Front(RolledOut(1, 2, 3))
    assert front.manifest("tactical", "").version == 2
    assert front.manifest("tactical", "3").version == 3
    with pytest.raises(UnknownModelError):
        Front(RolledOut(1, 3)).manifest("tactical", "")


class Chained(LinearEndpoint):
    """Offers chains beside its model, one by the model's own name."""

    def __init__(self, *chains: OfferedChain) -> None:
        super().__init__()
        self._chains = chains

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        return self._chains


def chain(name: str, *, is_ready: bool = True, is_known: bool = True) -> OfferedChain:
    specs = (TensorSpec("x", "FP32", (4,)),) if is_known else ()
    return OfferedChain(name, specs, specs, is_ready)


def test_a_chain_is_described_as_a_model_of_its_own_platform() -> None:
    front = Front(Chained(chain("safe")))
    found = front.describe("safe", "")
    assert (found.name, found.platform, found.versions) == ("safe", "bellwire_chain", ())
    assert [spec.name for spec in (*found.inputs, *found.outputs)] == ["x", "x"]
    front.check_ready("safe", "")


def test_a_chain_by_a_models_name_is_meant_where_no_version_is_named() -> None:
    front = Front(Chained(chain("tactical")))
    found = front.describe("tactical", "")
    assert (found.platform, found.versions) == ("bellwire_chain", ("1", "2"))
    assert front.describe("tactical", "1").platform == "numpy"


def test_a_chain_has_no_versions_and_is_named_to_who_asks_for_another() -> None:
    front = Front(Chained(chain("safe")))
    with pytest.raises(UnknownModelError):
        front.check_ready("safe", "1")
    with pytest.raises(UnknownModelError, match="there are tactical:1, tactical:2, safe"):
        front.describe("ghost", "")


def test_a_chain_that_nobody_can_answer_for_is_neither_ready_nor_described() -> None:
    front = Front(Chained(chain("safe", is_ready=False, is_known=False)))
    with pytest.raises(ModelNotReadyError, match="chain 'safe'"):
        front.check_ready("safe", "")
    with pytest.raises(ModelNotReadyError):
        front.describe("safe", "")


def test_a_server_is_ready_where_a_chain_alone_can_answer() -> None:
    endpoint = Chained(chain("safe", is_ready=False))
    endpoint._manifests = ()
    assert not Front(endpoint).is_ready()
    endpoint._chains = (chain("safe"),)
    assert Front(endpoint).is_ready()
