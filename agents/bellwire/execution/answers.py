"""What was answered to a message, for when the same message is delivered again.

A handler that moved its state cannot run twice. If its outputs were lost on the way out, the bus
delivers the input again; then the same outputs are published, with the same ids, and whoever
deduplicates sees each once.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bellwire.runtime import MessageContext, Output

ANSWERS_KEPT_MAX: Final = 2_000  # twice an agent's window: no more can come again


class Answers:
    """Outputs by message id; overflow policy DROP_OLDEST."""

    __slots__ = ("_kept", "_kept_max")

    def __init__(self, kept_max: int = ANSWERS_KEPT_MAX) -> None:
        self._kept: OrderedDict[str, list[Output]] = OrderedDict()
        self._kept_max = kept_max

    def given(self, context: MessageContext) -> list[Output] | None:
        """Return what was answered to this message before, or None on its first delivery."""
        return self._kept.get(context.message_id)

    def give(self, context: MessageContext, outputs: Sequence[Output]) -> list[Output]:
        """Remember the outputs of a message and return them."""
        answer = list(outputs)
        self._kept[context.message_id] = answer
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return answer
