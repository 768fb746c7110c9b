"""The base class of agents."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from bellwire.runtime.assignment import AssignedPartition
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError
from bellwire.runtime.handlers import Declarations, read_declarations
from bellwire.runtime.publication import Outputs

_AGENT_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}")


class Agent:
    """Subclass, set `name`, and mark methods with `@subscribe`, `@on_watermark`, `@tool` and `@inference`.

    Handlers are `async def handler(self, payload, context)`; what they return is published with the
    correlation and causation ids and the trace context of what they handled. One partition's
    messages are handled one at a time and in order; different partitions and tool calls interleave
    at each `await`. State a handler keeps survives messages, not the process: `on_assigned` is where an
    agent takes it up again from the log.
    """

    name: ClassVar[str] = ""
    """Shared by all replicas; also the name of the subscription they compete in."""
    version: ClassVar[str] = "0.0.0"
    """Version of the agent's code, for the directory."""
    publishes: ClassVar[tuple[str, ...]] = ()
    """Topics it writes; may be templates such as "{signals_topic}" filled from the settings."""
    stage: ClassVar[str] = ""
    """Stage named in watermarks the runtime forwards to `publishes`; empty = forward none."""
    default_settings: ClassVar[Mapping[str, object]] = {}
    """Every setting the agent has, with its default; others are refused."""
    declarations: ClassVar[Declarations] = Declarations()
    """What the decorators say; filled when the class is defined."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.name and _AGENT_NAME.fullmatch(cls.name) is None:
            raise AgentDefinitionError(
                f"{cls.__qualname__}.name {cls.name!r} is not [a-zA-Z0-9._-]{{1,128}}"
            )
        publishes: object = cls.publishes  # ("topic") without its comma is a string
        if not isinstance(publishes, tuple):
            raise AgentDefinitionError(
                f"{cls.__qualname__}.publishes is {publishes!r}; make it a tuple of topics, "
                "for example ('signals.tactical',)"
            )
        cls.declarations = read_declarations(cls)

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        """Take the settings of this instance.

        Args:
            settings: Overrides of `default_settings`; JSON values, since they cross to the process.
            agent_id: Identity of this replica; empty = "<name>-0".

        Raises:
            AgentSettingsError: A setting the class does not declare.
        """
        if not self.name:
            raise AgentDefinitionError(f"{type(self).__qualname__} has no name; set `name`")
        given = dict(settings or {})
        unknown = sorted(set(given) - set(self.default_settings))
        if unknown:
            raise AgentSettingsError(
                f"agent {self.name!r} has no setting {', '.join(map(repr, unknown))}; "
                f"it has {sorted(self.default_settings)}"
            )
        self.settings: Mapping[str, object] = {**self.default_settings, **given}
        self.agent_id = agent_id or f"{self.name}-0"

    def endpoint_names(self, method: str) -> Sequence[str]:
        """Return names that a method marked with `@inference` has beside its own.

        Asked before `on_start` and once more after it: what is registered is what it returns then, and stays for as
        long as the agent runs. `CallContext.capability` says by which one a call came. An agent has up to 256 in all.
        """
        return ()

    async def on_start(self) -> Outputs:
        """Prepare, and return what to publish first; runs once, before the agent is ready."""
        return None

    async def on_assigned(self, partition: AssignedPartition) -> None:
        """Take up what is known of a partition: `partition` reads the past, at most so much of it.

        Awaited before the first message that this process gets of each topic and partition, of two
        partitions at a time, while those that are known go on; and again where messages are missing in
        between, as when another replica had the partition for a while. What it raises costs no message:
        the partition waits, and it is called again after a backoff, until it returns. It may have raised
        half way, so change state at its end.
        """

    async def on_stop(self) -> Outputs:
        """Return what to publish last; runs once, after the last message was handled."""
        return None
