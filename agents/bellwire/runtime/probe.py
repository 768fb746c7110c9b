"""Looks at an agent before it is run: `python -m bellwire.runtime.probe`, a line of JSON on stdin.

A process of its own, so that neither what a module does when it is imported nor its size stays with
whoever supervises. Input: `target`, `agent_id`, and `assignments`, objects as `Assignment`.
Output: `name` and `settings`, or `error`, one sentence.
"""

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from bellwire.runtime.agent import Agent
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError
from bellwire.runtime.overrides import Assignment, overridden
from bellwire.runtime.target import load_class, told
from bellwire.wire.errors import CallerError


def main() -> None:
    """Answer on what standard output was at the start, and end; the agent's code may print what it likes.

    Threads that the agent's module has started are not waited for.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.readline())
    try:
        assignments = [Assignment(**each) for each in asked["assignments"]]
        found = json.dumps(examined(asked["target"], asked["agent_id"], assignments))
    except CallerError as error:
        found = json.dumps({"error": error.message})
    with open(answer, "w", encoding="utf-8") as file:
        file.write(found + "\n")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def examined(target: str, agent_id: str, assignments: Sequence[Assignment]) -> dict[str, object]:
    """Make the agent as its process would, and return its name and the settings to give it.

    Raises:
        AgentDefinitionError: It cannot be imported, made, or given its topics.
        AgentSettingsError: A setting it does not have, or cannot take.
        SettingsError: A setting is out of its range.
    """
    cls = load_class(target)
    settings = overridden(cls.name or target, cls.default_settings, assignments)
    try:
        json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise AgentSettingsError(
            f"settings of agent {cls.name!r} cannot cross to its process: {error}; use JSON values"
        ) from error
    return {"name": _made(cls, settings, agent_id).agent.name, "settings": settings}


def _made(cls: type[Agent], settings: Mapping[str, object], agent_id: str) -> Dispatcher:
    try:
        return Dispatcher(cls(settings, agent_id=agent_id))
    except CallerError:
        raise
    except Exception as error:
        raise AgentDefinitionError(
            f"agent {cls.__qualname__} cannot be made: {told(error)}; its constructor takes "
            "`settings` and `agent_id`"
        ) from error


if __name__ == "__main__":
    main()
