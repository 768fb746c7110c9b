"""Models in versions: found, loaded, warmed up, handed out, and given back with their last user."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final, TypeAlias

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines import EngineSettings, WarmRun, load_engine, warm_up
from bellwire.agents.inference.errors import UnknownModelError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.repository.folder import FoundVersion, publish_version, scan
from bellwire.agents.inference.repository.settings import RepositorySettings
from bellwire.agents.inference.repository.slot import VersionSlot, VersionState
from bellwire.agents.inference.repository.version_policy import VersionPolicy, parse_policy
from bellwire.wire.errors import BellwireError

Loader: TypeAlias = Callable[[Path, ModelManifest, EngineSettings], Engine]
REASON_CHARACTERS_MAX: Final = 1_000
_NOTHING: Final[Mapping[str, Collection[int]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What became of one version."""

    name: str
    version: int
    state: VersionState
    reason: str
    """Why it is FAILED or REFUSED; else empty."""
    users: int
    warm_runs: tuple[WarmRun, ...]


class Lease:
    """The right to use an engine until it is released; a context manager."""

    def __init__(self, engine: Engine, release: Callable[[], None]) -> None:
        self.engine: Final = engine
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Engine:
        return self.engine

    def __exit__(self, *_exception: object) -> None:
        self.release()


class ModelRepository:
    """A folder of models, and those of its versions that are loaded here.

    `refresh`, `publish` and `close` block, from milliseconds to the seconds that a large model takes: call them on a
    thread. Everything else returns at once. All may be called from any thread.
    """

    def __init__(
        self,
        root: Path,
        settings: RepositorySettings | None = None,
        engine_settings: EngineSettings | None = None,
        *,
        policies: Mapping[str, VersionPolicy] = MappingProxyType({}),
        load: Loader = load_engine,
    ) -> None:
        """Load nothing yet; `policies` are for single models, by name, in place of the settings' one."""
        self._root = root
        self._settings = settings or RepositorySettings()
        self._engine_settings = engine_settings or EngineSettings()
        self._policies = policies
        self._load = load
        self._slots: dict[tuple[str, int], VersionSlot] = {}
        self._retiring: list[VersionSlot] = []
        self._lock = Lock()  # Held for moments, never while a model is loaded.
        self._refreshing = Lock()

    def refresh(
        self, needed: Mapping[str, Collection[int]] = _NOTHING
    ) -> tuple[VersionStatus, ...]:
        """Look at the folder, load what the policy wants, retire what it does not want any more.

        A version that cannot be loaded is reported and the others serve; with "latest:n" an older one takes its
        place. Old versions are retired after the new ones are READY.

        Args:
            needed: Versions to be loaded whatever the policy says, by model: a rollout's two.

        Raises:
            InvalidModelError: The folder itself cannot be read; what is loaded serves on.
        """
        with self._refreshing:
            models: dict[str, dict[int, FoundVersion]] = {}
            for found in scan(self._root):
                models.setdefault(found.name, {})[found.version] = found
            self._forget_refused()
            wanted = self._ensure_needed(models, needed)
            # One version of every model before a second of any.
            for at_most in (1, None):
                for versions in models.values():
                    wanted |= self._ensure_policy(versions, at_most)
            self._retire_others(wanted)
            self._forget_absent(models)
        return self.statuses()

    def acquire(self, name: str, version: int = 0) -> Lease:
        """Return a lease on a version's engine, 0 being the newest that is READY.

        Raises:
            UnknownModelError: It is not there, or not READY.
        """
        with self._lock:
            ready = self._ready(name)
            slot = ready.get(version or max(ready, default=0))
            if slot is None or slot.engine is None:
                known = tuple(f"{name}:{number}" for number in sorted(ready))
                raise UnknownModelError(name, str(version or ""), known)
            slot.users += 1
            return Lease(slot.engine, lambda: self._release(slot))

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Return every version that is READY, by name and number."""
        with self._lock:
            return tuple(
                slot.engine.manifest for _, slot in sorted(self._slots.items()) if slot.engine
            )

    def statuses(self) -> tuple[VersionStatus, ...]:
        """Return what became of every version that was wanted, and of those that retire."""
        with self._lock:
            return tuple(
                VersionStatus(
                    slot.found.name,
                    slot.found.version,
                    slot.state,
                    slot.reason,
                    slot.users,
                    slot.warm_runs,
                )
                for slot in [*(slot for _, slot in sorted(self._slots.items())), *self._retiring]
            )

    def publish(self, manifest: ModelManifest, content: bytes) -> ModelManifest:
        """Add a version to the folder; it is loaded at the next `refresh`. See `publish_version`."""
        return publish_version(self._root, manifest, content)

    def close(self) -> None:
        """Retire everything; what is in use is closed with its last release.

        Blocks for as long as a `refresh` under way on another thread loads: call it on a thread.
        """
        with self._refreshing:
            self._retire_others(())

    def _ensure_needed(
        self,
        models: Mapping[str, Mapping[int, FoundVersion]],
        needed: Mapping[str, Collection[int]],
    ) -> set[tuple[str, int]]:
        return {
            (name, version)
            for name, versions in needed.items()
            for version in versions
            if version in models.get(name, {}) and self._ensure(models[name][version])
        }

    def _ensure_policy(
        self, versions: Mapping[int, FoundVersion], at_most: int | None
    ) -> set[tuple[str, int]]:
        """Load a model's versions in the policy's order until its places are taken; return those READY."""
        name = next(iter(versions.values())).name
        policy = self._policies.get(name) or parse_policy(self._settings.versions)
        places = policy.places(tuple(versions))
        ready: set[tuple[str, int]] = set()
        for version in policy.order(tuple(versions)):
            if len(ready) >= (places if at_most is None else min(places, at_most)):
                break
            if self._ensure(versions[version]):
                ready.add((name, version))
        return ready

    def _ensure(self, found: FoundVersion) -> bool:
        """Have a version READY if it can be; tell whether it is."""
        with self._lock:
            slot = self._slots.get((found.name, found.version))
            if slot is not None and slot.state is VersionState.READY:
                return True
            if slot is not None and slot.failed_as(found):
                return False
            slot = self._slots[found.name, found.version] = VersionSlot(found)
            loaded = self._loaded()
            if loaded >= self._settings.models_loaded_max:
                slot.move(VersionState.REFUSED, f"{loaded} versions are loaded, as many as may be")
                return False
        self._load_into(slot)
        return slot.state is VersionState.READY

    def _load_into(self, slot: VersionSlot) -> None:
        engine: Engine | None = None
        try:
            manifest = slot.found.read_manifest()
            engine = self._load(slot.found.folder, manifest, self._engine_settings)
            sizes = self._settings.warm_batches or (1, manifest.batch_max)
            runs = warm_up(engine, sizes)
        except Exception as error:  # noqa: BLE001 - one model's fault is not the others'
            reason = _reason_of(error)
            if engine is not None:
                reason += _closed(engine)
            with self._lock:
                slot.move(VersionState.FAILED, reason)
            return
        with self._lock:
            slot.loaded(engine, runs)

    def _retire_others(self, wanted: Collection[tuple[str, int]]) -> None:
        closing: list[Engine | None] = []
        with self._lock:
            for key, slot in list(self._slots.items()):
                if slot.state is VersionState.READY and key not in wanted:
                    del self._slots[key]
                    self._retiring.append(slot)
                    closing.append(slot.retire())
            self._forget_unloaded()
        for engine in closing:
            if engine is not None:
                engine.close()

    def _forget_refused(self) -> None:
        """Begin anew with what found no room: it may not be wanted any more."""
        with self._lock:
            for key, slot in list(self._slots.items()):
                if slot.state is VersionState.REFUSED:
                    del self._slots[key]

    def _forget_absent(self, models: Mapping[str, Mapping[int, FoundVersion]]) -> None:
        """Report no failure of what is not in the folder any more."""
        with self._lock:
            for (name, version), slot in list(self._slots.items()):
                if slot.state is VersionState.FAILED and version not in models.get(name, {}):
                    del self._slots[name, version]

    def _release(self, slot: VersionSlot) -> None:
        with self._lock:
            engine = slot.release()
            self._forget_unloaded()
        if engine is not None:
            engine.close()

    def _forget_unloaded(self) -> None:
        self._retiring = [
            slot for slot in self._retiring if slot.state is not VersionState.UNLOADED
        ]

    def _ready(self, name: str) -> dict[int, VersionSlot]:
        return {
            version: slot
            for (model, version), slot in self._slots.items()
            if model == name and slot.state is VersionState.READY
        }

    def _loaded(self) -> int:
        ready = sum(slot.state is VersionState.READY for slot in self._slots.values())
        return ready + len(self._retiring)


def _reason_of(error: Exception) -> str:
    text = str(error) if isinstance(error, BellwireError) else f"{type(error).__name__}: {error}"
    return text[:REASON_CHARACTERS_MAX]


def _closed(engine: Engine) -> str:
    """Close an engine that is not to be used; return what went wrong with that too."""
    try:
        engine.close()
    except Exception as error:  # noqa: BLE001 - the engine's own fault, told beside the first.
        return f"; and it could not be closed: {_reason_of(error)}"
    return ""
