"""Which versions of a served folder answer requests that name none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bellwire.agents.inference.rollout.errors import UndecidedModelError
from bellwire.agents.inference.rollout.state import Stage

if TYPE_CHECKING:
    from bellwire.agents.inference.model_server.server import ModelServer

__all__ = ["answering"]


def answering(server: ModelServer) -> list[str]:
    """Return who answers for each model that has a version loaded, by name.

    "actor:1", with a candidate "actor:1 and 2 for 0.1 of the keys"; where nothing answers, "actor: none" and why.
    """
    loaded: dict[str, set[int]] = {}
    for manifest in server.manifests():
        loaded.setdefault(manifest.name, set()).add(manifest.version)
    shares = {
        each.model: f" and {each.candidate} for {each.share:.6g} of the keys"
        for each in server.statistics().rollouts
        if each.stage in (Stage.CANARY.value, Stage.AB.value)
        and each.candidate in loaded.get(each.model, ())
    }
    return [_answer(server, name, loaded[name], shares.get(name, "")) for name in sorted(loaded)]


def _answer(server: ModelServer, model: str, loaded: set[int], share: str) -> str:
    try:
        serving = server.version_in_service(model) or max(loaded)
    except UndecidedModelError:
        return f"{model}: none, its rollout cannot be read"
    if serving not in loaded:
        return f"{model}: none, version {serving} is not loaded"
    return f"{model}:{serving}{share}"
