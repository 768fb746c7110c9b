"""Names of topics and capabilities that an agent's settings fill."""

from bellwire.runtime.agent import Agent
from bellwire.runtime.errors import AgentSettingsError


def filled(template: str, agent: Agent) -> str:
    """Return a template such as "infer.{model}" with the agent's settings in it.

    Raises:
        AgentSettingsError: It names a setting that the agent does not have.
    """
    try:
        return template.format_map(agent.settings)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise AgentSettingsError(
            f"name {template!r} of agent {agent.name!r} cannot be filled from its settings "
            f"{sorted(agent.settings)}: {error!r}"
        ) from error
