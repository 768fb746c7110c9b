"""The model card: what was trained on what, and what came of it, good or bad."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bellwire.agents.train.evaluate import Evaluation
from bellwire.agents.train.tape import Tape
from bellwire.agents.train.walk_forward import Split

CARD: Final = "card.json"
FEES_BP: Final = (0.0, 0.2, 1.0, 2.0)  # every model is judged at these, and at its own
RANDOM_SEEDS: Final = 5  # untrained networks to compare with; one alone may be lucky
AGENTS_FOLDER: Final = Path(__file__).parents[1]
_TRAIN: Final = (
    *("beginning", "data", "gae", "mappo", "position", "settings", "synthetic", "system", "tape"),
    *("trainer", "vector_env", "walk_forward"),
)
_TRAINING: Final = tuple(f"train/{name}.py" for name in _TRAIN)
CODE: Final = (
    *(f"features/{name}.py" for name in ("batch", "fvg", "kernels", "matrix")),
    *(f"tactical/networks/{name}.py" for name in ("initial", "weights")),
    "train/actor_critic.py",
    *_TRAINING,
)
"""The source files that decide about tactical weights, from the folder of all agents."""
STRATEGIC_CODE: Final = (
    *(f"strategic/{name}.py" for name in ("features", "networks")),
    "tactical/networks/layers.py",
    "train/strategic_networks.py",
    *_TRAINING,
)
"""Those that decide about strategic weights."""


@dataclass(frozen=True, slots=True)
class Data:
    """The bars of one symbol, and how they were parted; times are ISO 8601 UTC."""

    symbol: str
    interval: str
    source: str
    sha256: str
    bars: int
    train_first: str
    """Close of the first bar decided on; its observation reaches back 60 bars (strategic: 81)."""
    train_last: str
    test_first: str
    test_last: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What one policy did on the test bars of one symbol; returns are sums of log returns."""

    bars: int
    gross_log_return: float
    standard_error: float
    """Of the gross return, were the bars independent."""
    net_log_return: dict[str, float]
    """By fee in bp of the value traded, as text: "0.2"."""
    turnover: float
    """Position traded; 2 is a turn from long to short."""
    actions: tuple[tuple[int, ...], ...]
    """Of the three agents of the system, how often each of three; empty for buy and hold."""


@dataclass(frozen=True, slots=True)
class Result:
    """The comparison for one symbol and one test block."""

    symbol: str
    fold: int
    """Counted from 1, oldest first."""
    data: Data
    trained: Figures
    buy_and_hold: Figures
    untrained: tuple[Figures, ...]
    """Networks as they begin, one per seed of `untrained_seeds`."""


@dataclass(frozen=True, slots=True)
class Run:
    """How long it took; the only part that another run with the same seed does not repeat."""

    began: str
    """ISO 8601 UTC."""
    seconds: float
    """Of training, without loading and testing; of all parts of a training that was interrupted."""
    steps_per_second: float


@dataclass(frozen=True, slots=True)
class Card:
    """All of it, as JSON in `card.json`."""

    model: str
    variant: str
    steps: int
    """Joint steps made, for each fold."""
    seed: int
    fee_bp: float
    """Trained with."""
    mappo_settings: dict[str, object]
    split_settings: dict[str, object]
    code_version: str
    code_sha256: str
    """Of the source files that decide about the weights."""
    weights_sha256: str
    """Of the file of weights, which are those of the last fold."""
    untrained_seeds: tuple[int, ...]
    results: tuple[Result, ...]
    run: Run

    def to_json(self) -> str:
        """Return the text of `card.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def data_of(tape: Tape, split: Split) -> Data:
    """Return what the card says of one symbol's bars."""
    bars = tape.bars
    ends = (split.train[0], split.train[-1], split.test[0], split.test[-1])
    times = [bars.close_time(bar) for bar in ends]
    return Data(bars.symbol, bars.interval, bars.source, bars.sha256, len(bars), *times)


def figures(evaluation: Evaluation, fee_bp: float) -> Figures:
    """Return what the card says of one evaluation, at the usual fees and at `fee_bp`."""
    fees = sorted({*FEES_BP, fee_bp})
    net = {f"{fee:g}": evaluation.net_log_return(fee) for fee in fees}
    return Figures(
        evaluation.bars,
        evaluation.gross_log_return,
        evaluation.standard_error,
        net,
        evaluation.turnover,
        evaluation.actions,
    )


def code_version() -> str:
    """Return the version of the package."""
    return version("bellwire")


def code_sha256(code: tuple[str, ...] = CODE) -> str:
    """Return a digest of the names and texts of source files, from the folder of all agents."""
    digest = hashlib.sha256()
    for name in code:
        digest.update(f"{name}\n".encode())
        digest.update((AGENTS_FOLDER / name).read_bytes())
    return digest.hexdigest()
