"""A repository of models: what is loaded when, and what becomes of what cannot be."""

import json
from pathlib import Path

import pytest
from tests.unit.agents.inference.repository.conftest import PUBLISH, answer_of, content_of, model_of

from bellwire.agents.inference import (
    Engine,
    EngineFailedError,
    InvalidModelError,
    ModelManifest,
    Tensors,
    UnknownModelError,
)
from bellwire.agents.inference.engines import EngineSettings, load_engine
from bellwire.agents.inference.repository import (
    AllVersions,
    ModelRepository,
    RepositorySettings,
    VersionState,
)

READY, FAILED, REFUSED = VersionState.READY, VersionState.FAILED, VersionState.REFUSED


def states(repository: ModelRepository) -> dict[str, VersionState]:
    return {f"{each.name}:{each.version}": each.state for each in repository.statuses()}


def damage(root: Path, key: str) -> Path:
    file = root / key.replace(":", "/") / "actor.npz"
    file.write_bytes(b"damaged")
    return file


def test_newest_version_serves_and_the_old_one_until_then(tmp_path: Path, publish: PUBLISH) -> None:
    repository = ModelRepository(tmp_path)
    publish(answer=1)
    repository.refresh()
    assert answer_of(repository.acquire("actor").engine) == 1
    publish(answer=2)
    assert answer_of(repository.acquire("actor").engine) == 1
    repository.refresh()
    assert answer_of(repository.acquire("actor").engine) == 2
    assert [each.key for each in repository.manifests()] == ["actor:2"]


def test_version_is_warm_before_it_is_ready(tmp_path: Path, publish: PUBLISH) -> None:
    publish(batch_max=4)
    repository = ModelRepository(tmp_path)
    (status,) = repository.refresh()
    assert [run.batch for run in status.warm_runs] == [1, 4]
    chosen = ModelRepository(tmp_path, RepositorySettings(warm_batches=(2, 3)))
    (status,) = chosen.refresh()
    assert [run.batch for run in status.warm_runs] == [2, 3]


def test_version_that_cannot_be_loaded_is_reported_and_the_older_one_serves(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish(answer=1)
    publish(answer=2)
    publish("other", answer=3)
    damage(tmp_path, "actor:2")
    repository = ModelRepository(tmp_path)
    statuses = repository.refresh()
    assert states(repository) == {"actor:1": READY, "actor:2": FAILED, "other:1": READY}
    assert "sha256" in statuses[1].reason
    assert answer_of(repository.acquire("actor").engine) == 1
    with pytest.raises(UnknownModelError, match=r"'actor:2' is unknown; there are actor:1"):
        repository.acquire("actor", 2)


def test_version_whose_gate_failed_says_why_while_others_serve(
    tmp_path: Path, publish: PUBLISH
) -> None:
    gate = {"passed": False, "reasons": ["entry agrees with the parent on 93 %"]}
    publish(answer=1)
    parent = {"key": "actor:1"}
    publish(answer=2, quantization="int4-weights", metadata={"gate": gate, "parent": parent})
    publish("other", answer=3)
    publish("other", answer=4, quantization="int8-static", metadata={"gate": {"passed": True}})
    repository = ModelRepository(tmp_path)
    statuses = repository.refresh()
    assert states(repository) == {"actor:1": READY, "actor:2": FAILED, "other:2": READY}
    assert statuses[1].reason == (
        "model 'actor:2' must not be served: entry agrees with the parent on 93 %; "
        "serve actor:1, or quantize it another way"
    )
    assert answer_of(repository.acquire("actor").engine) == 1
    assert answer_of(repository.acquire("other").engine) == 4


@pytest.mark.parametrize(
    "changes", [{"engine": ["numpy"]}, {"file": "m\0.npz"}, {"batch_max": 10**19}]
)
def test_manifest_of_wrong_types_fails_its_version_and_no_other(
    tmp_path: Path, publish: PUBLISH, changes: dict[str, object]
) -> None:
    publish("actor")
    publish("other", answer=3)
    path = tmp_path / "actor" / "1" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    repository = ModelRepository(tmp_path)
    repository.refresh()
    assert states(repository) == {"actor:1": FAILED, "other:1": READY}


class Unruly:
    """An engine that raises what no engine should, when it is asked and when it is closed."""

    closed = 0

    def __init__(self, manifest: ModelManifest) -> None:
        self.manifest = manifest

    def infer(self, inputs: Tensors) -> Tensors:
        raise ZeroDivisionError("in a library")

    def close(self) -> None:
        self.closed += 1
        raise OSError("busy")


def test_engine_that_raises_anything_fails_its_version_and_no_other(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish("actor")
    publish("other", answer=3)
    engines: list[Unruly] = []

    def load(folder: Path, manifest: ModelManifest, settings: EngineSettings) -> Engine:
        if manifest.name == "other":
            return load_engine(folder, manifest, settings)
        engines.append(Unruly(manifest))
        return engines[-1]

    repository = ModelRepository(tmp_path, load=load)
    reason = repository.refresh()[0].reason
    assert reason == "ZeroDivisionError: in a library; and it could not be closed: OSError: busy"
    assert states(repository) == {"actor:1": FAILED, "other:1": READY}
    assert [engine.closed for engine in engines] == [1]


def test_failed_version_is_tried_again_only_when_its_files_change(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish(answer=1)
    file = damage(tmp_path, "actor:1")
    tried = []

    def load(folder: Path, manifest: ModelManifest, settings: EngineSettings) -> Engine:
        tried.append(folder.name)
        return load_engine(folder, manifest, settings)

    repository = ModelRepository(tmp_path, load=load)
    repository.refresh()
    repository.refresh()
    assert tried == ["1"]
    file.write_bytes(content_of(1))
    repository.refresh()
    assert tried == ["1", "1"]
    assert states(repository) == {"actor:1": READY}


def test_version_whose_warm_up_fails_is_closed_and_not_ready(
    tmp_path: Path, publish: PUBLISH
) -> None:
    class Broken:
        closed = False

        def __init__(self, manifest: ModelManifest) -> None:
            self.manifest = manifest

        def infer(self, inputs: Tensors) -> Tensors:
            raise EngineFailedError("actor:1", "no luck")

        def close(self) -> None:
            Broken.closed = True

    publish()
    repository = ModelRepository(tmp_path, load=lambda _folder, manifest, _: Broken(manifest))
    (status,) = repository.refresh()
    assert (status.state, status.reason) == (FAILED, "model 'actor:1' failed: no luck")
    assert Broken.closed


def test_engine_in_use_is_closed_with_its_last_request(tmp_path: Path, publish: PUBLISH) -> None:
    publish(answer=1)
    repository = ModelRepository(tmp_path)
    repository.refresh()
    first, second = repository.acquire("actor"), repository.acquire("actor", 1)
    publish(answer=2)
    repository.refresh()
    assert states(repository) == {"actor:1": VersionState.RETIRING, "actor:2": READY}
    first.release()
    first.release()
    assert answer_of(second.engine) == 1
    second.release()
    assert states(repository) == {"actor:2": READY}
    with pytest.raises(EngineFailedError, match="closed"):
        answer_of(second.engine)


def test_lease_is_given_back_by_a_with_block_that_fails(tmp_path: Path, publish: PUBLISH) -> None:
    def fail() -> None:
        with repository.acquire("actor") as engine:
            raise RuntimeError(engine.manifest.key)

    publish()
    repository = ModelRepository(tmp_path)
    repository.refresh()
    with pytest.raises(RuntimeError, match="actor:1"):
        fail()
    assert repository.statuses()[0].users == 0


def test_more_than_may_be_loaded_are_refused_and_wait_for_room(
    tmp_path: Path, publish: PUBLISH
) -> None:
    for name in ("a", "b", "c"):
        publish(name)
        publish(name)
    settings = RepositorySettings(versions="all", models_loaded_max=4)
    repository = ModelRepository(tmp_path, settings)
    repository.refresh()
    # One of each comes before a second of any.
    assert states(repository) == {
        "a:1": READY,
        "a:2": READY,
        "b:1": REFUSED,
        "b:2": READY,
        "c:1": REFUSED,
        "c:2": READY,
    }
    (tmp_path / "a" / "1" / "model.json").unlink()
    (tmp_path / "a" / "1").rename(tmp_path / "gone")
    repository.refresh()
    repository.refresh()
    assert states(repository)["b:1"] is READY


def test_version_refused_and_then_deleted_is_not_reported(tmp_path: Path, publish: PUBLISH) -> None:
    for _ in range(3):
        publish()
    repository = ModelRepository(tmp_path, RepositorySettings(versions="all", models_loaded_max=2))
    repository.refresh()
    assert states(repository)["actor:1"] is REFUSED
    (tmp_path / "actor" / "1").rename(tmp_path / ".gone")
    repository.refresh()
    assert states(repository) == {"actor:2": READY, "actor:3": READY}


def test_engine_in_use_counts_until_it_is_closed(tmp_path: Path, publish: PUBLISH) -> None:
    repository = ModelRepository(tmp_path, RepositorySettings(models_loaded_max=2))
    publish(answer=1)
    repository.refresh()
    lease = repository.acquire("actor")
    publish(answer=2)
    repository.refresh()
    publish(answer=3)
    repository.refresh()
    assert states(repository)["actor:3"] is REFUSED
    assert answer_of(repository.acquire("actor").engine) == 2
    lease.release()
    repository.refresh()
    assert answer_of(repository.acquire("actor").engine) == 3


def test_versions_a_rollout_needs_are_loaded_beside_the_policys(
    tmp_path: Path, publish: PUBLISH
) -> None:
    for _ in range(3):
        publish()
    repository = ModelRepository(tmp_path)
    repository.refresh({"actor": (1, 9), "absent": (1,)})
    assert states(repository) == {"actor:1": READY, "actor:3": READY}
    repository.refresh()
    assert states(repository) == {"actor:3": READY}


def test_single_model_may_have_a_policy_of_its_own(tmp_path: Path, publish: PUBLISH) -> None:
    for name in ("a", "b"):
        publish(name)
        publish(name)
    repository = ModelRepository(tmp_path, policies={"b": AllVersions()})
    repository.refresh()
    assert states(repository) == {"a:2": READY, "b:1": READY, "b:2": READY}


def test_version_deleted_from_the_folder_is_retired_and_its_failure_forgotten(
    tmp_path: Path, publish: PUBLISH
) -> None:
    publish("a")
    publish("b")
    damage(tmp_path, "b:1")
    repository = ModelRepository(tmp_path)
    repository.refresh()
    for name in ("a", "b"):
        (tmp_path / name / "1").rename(tmp_path / f".{name}")
    assert repository.refresh() == ()


def test_folder_that_goes_away_does_not_stop_what_serves(tmp_path: Path, publish: PUBLISH) -> None:
    root = tmp_path / "models"
    repository = ModelRepository(root)
    with pytest.raises(InvalidModelError):
        repository.refresh()
    repository.publish(model_of(), content_of(5))
    repository.refresh()
    root.rename(tmp_path / "away")
    with pytest.raises(InvalidModelError):
        repository.refresh()
    assert answer_of(repository.acquire("actor").engine) == 5


def test_closed_repository_has_nothing_loaded(tmp_path: Path, publish: PUBLISH) -> None:
    publish()
    repository = ModelRepository(tmp_path)
    repository.refresh()
    engine = repository.acquire("actor").engine
    idle = repository.acquire("actor")
    idle.release()
    repository.close()
    assert states(repository) == {"actor:1": VersionState.RETIRING}
    assert answer_of(engine) == 0
    with pytest.raises(UnknownModelError, match="there are none"):
        repository.acquire("actor")
