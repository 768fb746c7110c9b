"""A repository of models under publishers at once, and under any order of use."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bellwire.agents.inference import ModelManifest, Tensors, TensorSpec, UnknownModelError
from bellwire.agents.inference.repository import (
    Lease,
    ModelRepository,
    RepositorySettings,
    VersionState,
    publish_version,
    scan,
)

MODELS_MAX = 4
MANIFEST = ModelManifest(
    "actor",
    1,
    "counted",
    "file",
    "0" * 64,
    (TensorSpec("x", "FP32", (1,)),),
    (TensorSpec("y", "FP32", (1,)),),
    batch_max=1,
)


@pytest.mark.parametrize("publishers", [2, 8])
def test_publishers_at_once_each_get_a_number_and_readers_see_whole_versions(
    tmp_path: Path, publishers: int
) -> None:
    each = 5
    contents = [[f"{who}/{which}".encode() for which in range(each)] for who in range(publishers)]

    def publish_all(mine: list[bytes]) -> list[ModelManifest]:
        return [publish_version(tmp_path, MANIFEST, content) for content in mine]

    def check_what_is_there() -> int:
        found = scan(tmp_path)
        for version in found:
            manifest = version.read_manifest()
            content = (version.folder / manifest.file).read_bytes()
            assert sha256(content).hexdigest() == manifest.sha256
        return len(found)

    with ThreadPoolExecutor(publishers) as pool:
        running = [pool.submit(publish_all, mine) for mine in contents]
        while not all(future.done() for future in running):
            check_what_is_there()
        manifests = [future.result() for future in running]
    versions = [manifest.version for mine in manifests for manifest in mine]
    assert sorted(versions) == list(range(1, publishers * each + 1))
    # One publisher's versions are in the order in which it published them.
    assert all(
        [one.version for one in mine] == sorted(one.version for one in mine) for mine in manifests
    )
    assert check_what_is_there() == len(versions)


class CountedEngine:
    """An engine that knows how many of its kind are open."""

    open_now = 0

    def __init__(self, manifest: ModelManifest) -> None:
        self.manifest = manifest
        self.is_open = True
        CountedEngine.open_now += 1

    def infer(self, inputs: Tensors) -> Tensors:
        assert self.is_open, "asked after it was closed"
        return {"y": np.zeros((len(inputs["x"]), 1), "<f4")}

    def close(self) -> None:
        assert self.is_open, "closed twice"
        self.is_open = False
        CountedEngine.open_now -= 1


class RepositoryMachine(RuleBasedStateMachine):
    """Publish, refresh, acquire and release in any order."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        CountedEngine.open_now = 0
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.policy_places = 2
        self.published = 0
        self.held = 0
        self.repository = ModelRepository(
            self.root,
            RepositorySettings(versions="latest:2", models_loaded_max=MODELS_MAX),
            load=lambda _folder, manifest, _settings: CountedEngine(manifest),
        )

    @rule()
    def publish(self) -> None:
        self.published = self.repository.publish(MANIFEST, b"").version

    @rule(needed=st.sets(st.integers(1, 5), max_size=2))
    def refresh(self, needed: set[int]) -> None:
        statuses = self.repository.refresh({"actor": needed})
        ready = {each.version for each in statuses if each.state is VersionState.READY}
        refused = any(each.state is VersionState.REFUSED for each in statuses)
        newest = set(range(self.published, max(0, self.published - self.policy_places), -1))
        there = {version for version in needed if version <= self.published}
        assert refused or ready == newest | there

    @rule(target=leases, version=st.integers(0, 5))
    def acquire(self, version: int) -> Lease | None:
        ready = {manifest.version for manifest in self.repository.manifests()}
        try:
            lease = self.repository.acquire("actor", version)
        except UnknownModelError:
            assert (version not in ready) if version else not ready
            return None
        assert lease.engine.manifest.version == (version or max(ready))
        self.held += 1
        return lease

    @rule(lease=leases)
    def release(self, lease: Lease | None) -> None:
        if lease is not None and lease._release is not None:
            lease.engine.infer({"x": np.zeros((1, 1), "<f4")})
            self.held -= 1
            lease.release()

    @invariant()
    def open_engines_are_those_reported_and_within_the_bound(self) -> None:
        statuses = self.repository.statuses()
        holding = [
            each for each in statuses if each.state in (VersionState.READY, VersionState.RETIRING)
        ]
        assert CountedEngine.open_now == len(holding) <= MODELS_MAX
        assert sum(each.users for each in statuses) == self.held

    def teardown(self) -> None:
        self.repository.close()
        assert CountedEngine.open_now <= self.held
        self.folder.cleanup()


TestRepository = RepositoryMachine.TestCase
TestRepository.settings = settings(max_examples=15, stateful_step_count=20)
