"""Every loaded version behind a batcher of its own."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from bellwire.agents.inference.batching import Batcher, BatchSettings
from bellwire.agents.inference.endpoint import InferenceRequest, InferenceResult
from bellwire.agents.inference.errors import UnknownModelError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.repository import Lease, ModelRepository


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One version that may be asked."""

    lease: Lease
    batcher: Batcher

    @property
    def manifest(self) -> ModelManifest:
        """Of the version."""
        return self.lease.engine.manifest

    async def close(self) -> None:
        """Answer what it was asked, then give the engine back."""
        try:
            await self.batcher.close()
        finally:
            self.lease.release()


class VersionsEndpoint:
    """An `Endpoint` over a repository: asks the version that a request names, 0 being the newest.

    Each version is held by one lease for as long as its batcher lives, so that the repository closes no engine that
    is asked. To be used on one loop.
    """

    def __init__(self, repository: ModelRepository, settings: BatchSettings) -> None:
        """Begin with none; `settings` are each batcher's."""
        self._repository = repository
        self._settings = settings
        self._members: dict[tuple[str, int], Member] = {}
        self._ready: frozenset[tuple[str, int]] = frozenset()

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that may be asked, by name and version."""
        return tuple(self._members[place] for place in sorted(self._ready))

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer by one version; raises as `Batcher.infer`.

        Raises:
            UnknownModelError: It is not loaded.
        """
        return await self._find(request.model, request.version).batcher.infer(request)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every version that may be asked, by name and version."""
        return tuple(member.manifest for member in self.members)

    def ready(self, model: str) -> frozenset[int]:
        """Return the versions of a model that may be asked."""
        return frozenset(version for name, version in self._ready if name == model)

    def take_in(self) -> None:
        """Make a batcher for each version that has become READY, and pass over those that are not any more.

        They may still be asked by their number until `let_go`.
        """
        manifests = self._repository.manifests()
        for manifest in manifests:
            place = (manifest.name, manifest.version)
            if place not in self._members:
                lease = self._repository.acquire(*place)
                self._members[place] = Member(lease, Batcher(lease.engine, self._settings))
        self._ready = frozenset((each.name, each.version) for each in manifests)

    async def let_go(self) -> None:
        """Ask no version any more that is retired; returns when those have answered what they were asked.

        Bounded by `BatchSettings.compute_seconds_max` and by what a full queue takes.
        """
        await self._close([place for place in self._members if place not in self._ready])

    async def close(self) -> None:
        """Let all of them go."""
        self._ready = frozenset()
        await self._close(list(self._members))

    async def _close(self, places: Iterable[tuple[str, int]]) -> None:
        # Taken out before the first await: whoever asks from now on hears that there is no such version.
        members = [self._members.pop(place) for place in places]
        await asyncio.gather(*(member.close() for member in members))

    def _find(self, model: str, version: int) -> Member:
        if not version:
            version = max(self.ready(model), default=0)
        member = self._members.get((model, version))
        if member is None:
            known = tuple(each.key for each in self.manifests())
            raise UnknownModelError(model, str(version or ""), known)
        return member
