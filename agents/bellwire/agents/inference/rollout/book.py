"""Every model's rollout, as the folder of models says now."""

from collections.abc import Mapping
from pathlib import Path

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import is_model_name
from bellwire.agents.inference.rollout.rollout_file import RolloutFile
from bellwire.agents.inference.rollout.state import Rollout


class RolloutBook:
    """Follows the rollouts' files: steps may be taken by another process, as `bellwire model promote` is."""

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self._root = root
        self._rollouts: dict[str, Rollout] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.failures: dict[str, InvalidModelError] = {}
        """Files that cannot be read, by model; what they said before goes on, and they are tried again each time."""
        self._was_read = False

    def refresh(self) -> Mapping[str, Rollout]:
        """Return the rollouts by model, having read the files that changed; blocks as disks do.

        Raises:
            InvalidModelError: The folder cannot be read, and never was: nothing is known of any model.
        """
        try:
            models = [
                each.name
                for each in self._root.iterdir()
                if is_model_name(each.name) and each.is_dir()
            ]
        except OSError as error:
            if self._was_read:
                return dict(self._rollouts)  # What was known goes on.
            found = error.strerror or str(error)
            raise InvalidModelError(str(self._root), found, "a folder of models") from error
        self._was_read = True
        for model in models:
            self._look_at(model)
        return dict(self._rollouts)

    def undecided(self) -> dict[str, InvalidModelError]:
        """Return the models whose rollout cannot be read and never was: which version shall serve, nobody knows."""
        return {
            model: error for model, error in self.failures.items() if model not in self._rollouts
        }

    def needed(self) -> dict[str, frozenset[int]]:
        """Return the versions to be loaded for them, by model: for `ModelRepository.refresh`."""
        return {model: rollout.needed for model, rollout in self._rollouts.items()}

    def _look_at(self, model: str) -> None:
        file = RolloutFile(self._root, model)
        fingerprint = file.fingerprint()
        if self._seen.get(model) == fingerprint:
            return
        self._seen[model] = fingerprint
        self.failures.pop(model, None)
        try:
            rollout = file.read()
        except InvalidModelError as error:
            self.failures[model] = error
            del self._seen[
                model
            ]  # A moment's trouble leaves the file as it is, and is over the next time.
            return
        if rollout is None:
            self._rollouts.pop(model, None)
        else:
            self._rollouts[model] = rollout
