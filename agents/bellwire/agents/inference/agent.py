"""A model as an agent: asked by calls, by messages on a topic, and, where wanted, by the Open Inference Protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.service import InferenceService
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import Agent, CallContext, MessageContext, Outputs, inference, subscribe
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError
from bellwire.wire.settings import SettingsError, check_settings, setting

if TYPE_CHECKING:
    from bellwire.agents.inference.kserve import KserveDoors

logger = logging.getLogger(__name__)

CAPABILITY_PREFIX: Final = "infer."
CAPABILITY_CHARACTERS_MAX: Final = 128  # agent.proto: Capability.name
NAMES_MAX: Final = 200  # agent.proto: an agent has up to 256 capabilities, its tools among them.


@dataclass(frozen=True, slots=True)
class InferenceAgentSettings:
    """Where one model is offered.

    Raises:
        SettingsError: A value cannot be used.
    """

    model: str = field(
        default="model",
        metadata=setting(
            unit="", why="it is called as infer.<model>; meant where a request names none"
        ),
    )
    observations_topic: str = field(
        default="",
        metadata=setting(unit="", why='topic or pattern of InferRequests; "" = only calls'),
    )
    results_topic: str = field(
        default="", metadata=setting(unit="", why="where InferResponses to them go")
    )
    kserve_grpc: str = field(
        default="",
        metadata=setting(unit="HOST:PORT", why='off; "127.0.0.1:8001" is what its clients expect'),
    )
    kserve_http: str = field(
        default="",
        metadata=setting(unit="HOST:PORT", why='off; "127.0.0.1:8000" is what its clients expect'),
    )
    kserve_head_seconds_max: float = field(
        default=5.0,
        metadata=setting(
            unit="s",
            why="a request's head is one packet; an HTTP connection that says nothing for longer takes the place of"
            " another, and is closed",
            ge=0.05,
            le=60,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if bool(self.observations_topic) != bool(self.results_topic):
            raise SettingsError(
                type(self).__name__,
                "results_topic",
                self.results_topic,
                "a topic exactly where observations_topic is one",
            )


class InferenceAgent(Agent):
    """Offers an endpoint on the bus; subclasses open it.

    A message on the observations topic is one batch; its answer, or the reason why there is none,
    goes to the results topic with its key, in its partition's order. A full queue holds the
    partition up for a second at most.
    """

    name = "inference"
    version = "0.1.0"
    publishes = ("{results_topic}",)
    default_settings = to_json(InferenceAgentSettings())
    settings_type: ClassVar[type[InferenceAgentSettings]] = InferenceAgentSettings
    """What `default_settings` are read as; a subclass with more of them names its own."""

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(self.settings_type, self.settings)
        self.doors: KserveDoors | None = None
        """Where it is asked beside the bus; None = nowhere, or not yet."""
        self._open = AsyncExitStack()
        self._service: InferenceService | None = None
        self._names: tuple[str, ...] = ()

    async def open_endpoint(self, stack: AsyncExitStack) -> Endpoint:
        """Load what answers, and warm it up; the agent is ready when this returns.

        Args:
            stack: Takes what is to be closed when the agent stops.
        """
        raise AgentDefinitionError(f"{type(self).__qualname__} must define open_endpoint")

    async def on_start(self) -> Outputs:
        """Open the endpoint, then the doors beside the bus; addresses that are none are refused before."""
        has_doors = self._check_doors()
        try:
            endpoint = await self.open_endpoint(self._open)
            if has_doors:
                await self._open_doors(endpoint)
        except BaseException:
            await self._open.aclose()
            raise
        self._service = InferenceService(endpoint, self.options.model)
        others = [name for name in self.model_names() if name != self.options.model]
        self._names = _capabilities(others)
        return None

    async def on_stop(self) -> Outputs:
        """Close what was opened, last first."""
        await self._open.aclose()
        return None

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Every name that the model is called by, its own first."""
        return (CAPABILITY_PREFIX + self.options.model, *self._names)

    def model_names(self) -> Sequence[str]:
        """Return the models that are called as `infer.<model>` beside `model`; asked when the endpoint is open."""
        return ()

    def endpoint_names(self, method: str) -> Sequence[str]:
        """Return a name for each model; none before the endpoint is open."""
        return self._names if method == "infer" else ()

    @inference("infer.{model}")
    async def infer(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Answer a batch of observations.

        By the model that the request names, else by the one whose name was called.
        """
        model = context.capability.removeprefix(CAPABILITY_PREFIX)
        if model == context.capability:
            model = ""  # It was called by a name of a subclass's own.
        return await self._answers().answer(request, context.deadline_unix_nano, model)

    @subscribe("{observations_topic}", InferRequest)
    async def on_observations(self, request: InferRequest, context: MessageContext) -> Outputs:
        """Answer a batch of observations that came on a topic."""
        return await self._answers().answer_item(request)

    def _answers(self) -> InferenceService:
        if self._service is None:
            raise AgentDefinitionError(f"{self.agent_id} is asked before on_start has run")
        return self._service

    def _check_doors(self) -> bool:
        """Tell whether there are doors to open; what can be told of their addresses without opening them is told here.

        Raises:
            KserveListenError: An address is none.
            AgentSettingsError: The packages that doors need are not there.
        """
        addresses = [each for each in (self.options.kserve_grpc, self.options.kserve_http) if each]
        if not addresses:
            return False
        try:  # What an agent on the bus alone does not have.
            from bellwire.agents.inference.kserve.address import parse_address
        except ImportError as error:
            raise AgentSettingsError(
                f"kserve_grpc and kserve_http need {error.name}; install bellwire[kserve]"
            ) from error
        for address in addresses:
            parse_address(address)
        return True

    async def _open_doors(self, endpoint: Endpoint) -> None:
        from bellwire.agents.inference.kserve import KserveDoors

        doors = KserveDoors(
            endpoint,
            grpc=self.options.kserve_grpc,
            http=self.options.kserve_http,
            head_seconds_max=self.options.kserve_head_seconds_max,
        )
        self.doors = await self._open.enter_async_context(doors)


def _capabilities(models: Sequence[str]) -> tuple[str, ...]:
    """Return names in the directory, as many as it takes; policy DROP_NEWEST, with a warning."""
    fitting = [
        each for each in models if len(CAPABILITY_PREFIX + each) <= CAPABILITY_CHARACTERS_MAX
    ]
    taken = fitting[:NAMES_MAX]
    for model in models:
        if model not in taken:
            logger.warning(
                "%s%s is not in the directory, which takes %d names of %d characters: name the model in requests",
                CAPABILITY_PREFIX,
                model,
                NAMES_MAX,
                CAPABILITY_CHARACTERS_MAX,
            )
    return tuple(CAPABILITY_PREFIX + model for model in taken)
