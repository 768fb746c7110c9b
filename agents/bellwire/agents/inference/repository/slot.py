"""One version of a model in this process: what state it is in, and who uses it."""

from enum import StrEnum
from typing import Final

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines.warm_up import WarmRun
from bellwire.agents.inference.repository.folder import FoundVersion


class VersionState(StrEnum):
    """How far a version is."""

    LOADING = "LOADING"
    """It is read, loaded and warmed up; it may not be asked."""
    READY = "READY"
    """It may be asked."""
    FAILED = "FAILED"
    """It cannot be loaded; it is tried again when its files change."""
    REFUSED = "REFUSED"
    """As many are loaded as may be; it is tried again at each refresh."""
    RETIRING = "RETIRING"
    """It finishes what it was asked, and takes nothing new."""
    UNLOADED = "UNLOADED"
    """Its memory is given back."""


# What failed or was refused is tried again in a new slot.
_NEXT: Final[dict[VersionState, set[VersionState]]] = {
    VersionState.LOADING: {VersionState.READY, VersionState.FAILED, VersionState.REFUSED},
    VersionState.READY: {VersionState.RETIRING},
    VersionState.RETIRING: {VersionState.UNLOADED},
    VersionState.FAILED: set(),
    VersionState.REFUSED: set(),
    VersionState.UNLOADED: set(),
}


class VersionSlot:
    """States and users of one version; its owner holds a lock around every call and does the I/O."""

    def __init__(self, found: FoundVersion) -> None:
        self.found = found
        self.state = VersionState.LOADING
        self.users = 0
        """Leases not given back."""
        self.reason = ""
        """Why it is FAILED or REFUSED."""
        self.engine: Engine | None = None
        self.warm_runs: tuple[WarmRun, ...] = ()
        self.tried = found.fingerprint()
        """What its files were when they were read."""

    def move(self, state: VersionState, reason: str = "") -> None:
        """Go to another state.

        Raises:
            ValueError: There is no way from here to there: a fault of the owner.
        """
        if state not in _NEXT[self.state]:
            raise ValueError(f"{self.found.name}:{self.found.version} is {self.state}, not {state}")
        self.state, self.reason = state, reason

    def loaded(self, engine: Engine, warm_runs: tuple[WarmRun, ...]) -> None:
        """Take the engine that is loaded and warm."""
        self.move(VersionState.READY)
        self.engine, self.warm_runs = engine, warm_runs

    def failed_as(self, found: FoundVersion) -> bool:
        """Tell whether just these files could not be loaded."""
        return self.state is VersionState.FAILED and self.tried == found.fingerprint()

    def retire(self) -> Engine | None:
        """Take nothing new; return the engine to close when nobody uses it."""
        self.move(VersionState.RETIRING)
        return self._done()

    def release(self) -> Engine | None:
        """Count one user less; return the engine to close when it was a retiring version's last."""
        assert self.users > 0, "released more often than acquired"
        self.users -= 1
        return self._done()

    def _done(self) -> Engine | None:
        if self.state is not VersionState.RETIRING or self.users:
            return None
        self.move(VersionState.UNLOADED)
        engine, self.engine = self.engine, None
        return engine
