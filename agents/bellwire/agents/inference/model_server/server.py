"""A folder of models that answers: what was published is loaded, and what a rollout says is followed."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from bellwire.agents.inference.endpoint import (
    Endpoint,
    InferenceRequest,
    InferenceResult,
    OfferedChain,
)
from bellwire.agents.inference.engines import load_engine
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.model_server.chains import ChainsEndpoint
from bellwire.agents.inference.model_server.experiments import Experiments
from bellwire.agents.inference.model_server.in_service import Service, in_service
from bellwire.agents.inference.model_server.parents import ChainVersions
from bellwire.agents.inference.model_server.settings import ModelServerSettings
from bellwire.agents.inference.model_server.shadows import Shadows
from bellwire.agents.inference.model_server.statistics import (
    ServerStatistics,
    cache_statistics,
    chain_statistics,
    rollout_statistics,
    version_statistics,
)
from bellwire.agents.inference.model_server.versions import VersionsEndpoint
from bellwire.agents.inference.repository import ModelRepository, VersionStatus
from bellwire.agents.inference.repository.repository import Loader
from bellwire.agents.inference.result_cache import ResultCache
from bellwire.agents.inference.rollout import Rollout, RolloutBook, RolloutEndpoint, Side

logger = logging.getLogger(__name__)

NO_STAND_INS: Final[Mapping[str, Endpoint]] = MappingProxyType({})
_Route: TypeAlias = "tuple[int, int, float]"
"""What decides who answers for a model: the version in service, the candidate that is loaded, and its share."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the folder has found."""

    rollouts: Mapping[str, Rollout]
    undecided: Mapping[str, InvalidModelError]
    """Models whose rollout could not be read, ever."""
    problems: dict[str, str]


class ModelServer:
    """An `Endpoint` over a folder of models; an async context manager.

    The way of a request: cache of results → chain, where the settings have one for the name → the rollout's choice of
    a version → that version's batcher. Each `refresh_seconds` the folder is looked at on a thread: new versions are
    loaded and warmed up, rollouts are followed, and retired versions answer what they were asked before they go. What
    is wrong (a version that cannot be loaded, a damaged rollout, a folder that cannot be read) is reported, and what
    served goes on. A model whose rollout was never read answers for named versions only: the newest may be the one that
    was rolled back.

    Attributes:
        problems: What is wrong now, by what it is about.
        refreshes: Looks that went through.
    """

    def __init__(
        self,
        root: Path,
        settings: ModelServerSettings | None = None,
        *,
        stand_ins: Mapping[str, Endpoint] = NO_STAND_INS,
        load: Loader = load_engine,
    ) -> None:
        """Read nothing yet.

        Args:
            root: Folder of models.
            settings: Bounds, and chains.
            stand_ins: Steps of chains that are no models in the folder, such as rules, by name; stay open.
            load: Loads an engine; injected by tests.
        """
        self._settings = settings = settings or ModelServerSettings()
        self._book = RolloutBook(root)
        self._repository = ModelRepository(root, settings.repository, settings.engine, load=load)
        self._versions = VersionsEndpoint(self._repository, settings.batch)
        self._door = RolloutEndpoint(self._versions, guard_of=settings.candidate_guard)
        self._shadows = Shadows(self._versions, settings.shadow)
        self._experiments = Experiments(root, settings.experiment_seconds)
        self._chains = ChainsEndpoint(self._door, settings.plans(), settings.guard, stand_ins)
        self._wanted = ChainVersions(settings.plans())
        self._cache = ResultCache(self._chains, settings.cache)
        self._rollouts: dict[str, Rollout] = {}
        self._undecided: Mapping[str, InvalidModelError] = {}
        self._routes: dict[str, _Route] = {}
        self._refreshing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self.problems: dict[str, str] = {}
        self.refreshes = 0

    async def __aenter__(self) -> Self:
        """Load what is there, then follow the folder.

        Raises:
            InvalidModelError: The folder cannot be read.
        """
        try:
            await self._refresh(must_read=True)
        except BaseException:
            await self.close()
            raise
        self._follower = asyncio.create_task(self._follow(), name="models refresh")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer one request; raises as `Endpoint.infer`."""
        return await self._cache.infer(request)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Every version that is loaded, warm and may be asked, by name and version."""
        return self._versions.manifests()

    def version_in_service(self, model: str) -> int:
        """Return the version that answers where no candidate does; raises as `RolloutEndpoint.version_in_service`."""
        return self._door.version_in_service(model)

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        """Return every chain of the settings, ready or not."""
        return self._chains.offered_chains()

    def names(self) -> tuple[str, ...]:
        """Return the chains, then the models that the last look has found, whether they are loaded or not."""
        return tuple(dict.fromkeys((*self._chains.chains, *self._models())))

    def record_outcome(
        self, model: str, key: str, *, returned: float | None = None, agrees: bool | None = None
    ) -> Side:
        """Count what came of a decision in a model's A/B experiment; return the side that had answered for its key.

        Args:
            model: Name, without version.
            key: That the request carried.
            returned: What it earned, in any unit that both sides share; None = not known.
            agrees: Whether the action was that of the reference; None = there is none.

        Raises:
            NoExperimentError: The model's rollout is not in stage AB.
            InvalidOutcomeError: There is neither, or the return is not finite.
        """
        return self._experiments.record(model, key, returned, agrees)

    def statistics(self) -> ServerStatistics:
        """Return all counters as they are now."""
        return ServerStatistics(
            refreshes=self.refreshes,
            versions=version_statistics(self._repository.statuses(), self._versions.members),
            rollouts=rollout_statistics(
                self._rollouts.values(), self._shadows.by_model, self._experiments.report
            ),
            chains=chain_statistics(self._chains.chains),
            cache=cache_statistics(self._cache),
            problems=dict(self.problems),
        )

    def _models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(status.name for status in self._repository.statuses()))

    async def close(self) -> None:
        """Answer what is being computed and give everything back; safe to call twice.

        Waits for a look that is under way: it may be loading a model.
        """
        follower, self._follower = self._follower, None
        self._stopping.set()
        async with AsyncExitStack() as stack:  # Last first, each of them whatever the others raise.
            stack.push_async_callback(asyncio.to_thread, self._repository.close)
            stack.push_async_callback(self._versions.close)
            stack.push_async_callback(self._cache.close)
            stack.push_async_callback(self._shadows.close)
            stack.push_async_callback(self._experiments.close)
            if follower is not None:
                await follower

    # ------------------------------------------------------------ following the folder

    async def refresh(self) -> None:
        """Look at the folder once, now; returns when what was found is in service and what is retired has gone."""
        await self._refresh(must_read=False)

    async def _refresh(self, *, must_read: bool) -> None:
        async with self._refreshing:
            look = await asyncio.to_thread(self._look, must_read=must_read)
            self._versions.take_in()
            self._report(look.problems | await self._follow_rollouts(look))
            self._outdate()
            await self._versions.let_go()
            self.refreshes += 1

    async def _follow(self) -> None:
        while not await self._is_stopped_within(self._settings.refresh_seconds):
            try:
                await self.refresh()
            except Exception:
                # Whatever it is, the next look may go well; without this task nothing new would ever serve.
                logger.exception("models could not be refreshed; what serves goes on")

    async def _is_stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _look(self, *, must_read: bool) -> _Look:
        """Read the folder and load what is wanted; on a thread, for as long as that takes."""
        rollouts = self._book.refresh()
        problems = {
            f"rollout of {model}": error.message for model, error in self._book.failures.items()
        }
        try:
            statuses = self._load_wanted()
        except InvalidModelError as error:
            if must_read:
                raise
            problems["folder"] = error.message
            statuses = self._repository.statuses()
        problems |= {f"{each.name}:{each.version}": each.reason for each in statuses if each.reason}
        return _Look(rollouts, self._book.undecided(), problems)

    def _load_wanted(self) -> tuple[VersionStatus, ...]:
        """Load what the policy, rollouts and chains want; the parents are known once their children are loaded."""
        needed = self._book.needed()
        statuses = self._repository.refresh(self._wanted.beside(needed))
        if self._wanted.learn(self._repository.manifests()):
            statuses = self._repository.refresh(self._wanted.beside(needed))
        return statuses

    async def _follow_rollouts(self, look: _Look) -> dict[str, str]:
        """Go by the rollouts as far as their versions are loaded; return what is wrong."""
        services: dict[str, Service] = {
            model: in_service(rollout, self._versions.ready(model))
            for model, rollout in look.rollouts.items()
        }
        self._rollouts = {model: service.rollout for model, service in services.items()}
        await self._shadows.follow(self._rollouts.values())
        self._undecided = look.undecided
        self._door.use(self._rollouts, self._shadows.by_model, look.undecided)
        # After the door: a disk that hangs must not keep a candidate that was rolled back in service.
        await self._experiments.follow(self._rollouts.values())
        problems = {
            f"rollout of {model}": service.problem
            for model, service in services.items()
            if service.problem
        }
        return problems | self._experiments.problems() | self._chains.adopt(self._models())

    def _outdate(self) -> None:
        """Forget results of models for which others answer now."""
        names = {manifest.name for manifest in self.manifests()} | set(self._routes)
        routes = {name: self._route(name) for name in names}
        for name, route in routes.items():
            if self._routes.get(name) != route:
                for outdated in (name, *self._chains.of_step(name)):
                    self._cache.outdate(outdated)
        self._routes = routes

    def _route(self, model: str) -> _Route:
        if model in self._undecided:
            return 0, 0, 0.0
        ready, rollout = self._versions.ready(model), self._rollouts.get(model)
        if rollout is None:
            return max(ready, default=0), 0, 0.0
        return (
            rollout.serving,
            rollout.candidate if rollout.candidate in ready else 0,
            rollout.share,
        )

    def _report(self, problems: dict[str, str]) -> None:
        """Say once what is wrong, and once that it is not any more."""
        for about, problem in problems.items():
            if self.problems.get(about) != problem:
                logger.warning("%s: %s", about, problem)
        for about in self.problems.keys() - problems.keys():
            logger.info("%s: is in order again", about)
        self.problems = problems
