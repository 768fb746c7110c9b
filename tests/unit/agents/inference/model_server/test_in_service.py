import pytest

from bellwire.agents.inference.model_server.in_service import in_service
from bellwire.agents.inference.rollout import Rollout, Stage

CANARY = Rollout("actor", 2, Stage.CANARY, candidate=3, share=0.5, previous=1)


@pytest.mark.parametrize(
    ("ready", "serving", "stage", "words"),
    [
        ({1, 2, 3}, 2, Stage.CANARY, ""),
        ({2}, 2, Stage.CANARY, "candidate 3 is not loaded, 2 answers for it"),
        ({1, 3}, 1, Stage.SERVING, "version 2 is not loaded, 1 still answers"),
        ({3}, 2, Stage.CANARY, "version 2 is not loaded, and none was before it"),
    ],
)
def test_versions_that_are_not_loaded_are_not_followed(
    ready: set[int], serving: int, stage: Stage, words: str
) -> None:
    service = in_service(CANARY, ready)
    assert (service.rollout.serving, service.rollout.stage) == (serving, stage)
    assert service.problem == words


def test_no_version_before_is_not_version_0() -> None:
    assert in_service(Rollout("actor", 2), frozenset()).problem.endswith("none was before it")
