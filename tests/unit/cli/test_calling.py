"""bellwire.cli.calling: what can be called, for people."""

from __future__ import annotations

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_INFERENCE,
    CAPABILITY_KIND_TOOL,
    Agent,
    AgentStatus,
    Capability,
)
from bellwire.cli.calling import CallableModel, callable_models, parameters_text


def agent(*models: str) -> AgentStatus:
    offered = [
        Capability(name=name, kind=CAPABILITY_KIND_INFERENCE, description=f"Of {name}.")
        for name in models
    ]
    offered.append(Capability(name="model_statistics", kind=CAPABILITY_KIND_TOOL))
    return AgentStatus(agent=Agent(capabilities=offered))


def test_models_are_listed_once_with_how_many_agents_have_them() -> None:
    found = callable_models([agent("infer.b", "infer.a"), agent("infer.b")])
    assert found == [
        CallableModel("infer.a", "", "Of infer.a.", 1),
        CallableModel("infer.b", "", "Of infer.b.", 2),
    ]


def test_parameters_are_shown_with_their_types_and_those_that_may_be_left_out() -> None:
    schema = (
        b'{"properties": {"key": {"type": "string"}, "limit": {"type": ["integer", "null"]},'
        b' "returned": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "odd": 7},'
        b' "required": ["key"]}'
    )
    text = "key: string, limit?: integer | null, returned?: number | null, odd?: any"
    assert parameters_text(schema) == text


def test_a_schema_that_is_none_has_no_parameters() -> None:
    assert parameters_text(b"") == parameters_text(b"[") == parameters_text(b"7") == ""
