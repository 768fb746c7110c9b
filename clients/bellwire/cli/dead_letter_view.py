"""Dead letters in the terminal and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.text import Text

from bellwire.admin.v1.dead_letter_pb2 import DeadLetter, DeadLetterCause
from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.dead_letter_choice import Chosen
from bellwire.cli.output import Style, console, error_console, harmless, print_json
from bellwire.cli.payload import decode_payload
from bellwire.cli.positions import place_text
from bellwire.cli.record import record_json
from bellwire.cli.session import Target, connected
from bellwire.cli.summary import summarize
from bellwire.cli.units import moment_text

__all__ = ["cause_word", "letter_json", "letter_lines", "show_letters"]

TIMES: Final = {1: "once", 2: "twice"}


async def show_letters(target: Target, chosen: Chosen, limit: int, *, as_json: bool) -> None:
    """Print up to `limit` dead letters as they come, oldest first."""
    shown = 0
    more = False
    async with connected(target) as client:
        async for letter in client.admin.dead_letters(chosen.topic, chosen.filter):
            if shown == limit:
                more = True
                break
            _print(letter, as_json=as_json)
            shown += 1
    if as_json:
        return
    if not shown:
        console().print(f"no dead letters {chosen.words}", style=Style.FAINT, markup=False)
    elif more:
        error_console().print(f"there are more: --limit is {limit}", style=Style.FAINT)


def _print(letter: DeadLetter, *, as_json: bool) -> None:
    if as_json:
        print_json(letter_json(letter))
        return
    out = console()
    for line in letter_lines(letter):
        out.print(line, soft_wrap=True)


def letter_lines(letter: DeadLetter) -> tuple[Text, Text, Text]:
    """Return what, why and the message: the three lines of one dead letter."""
    message, place = letter.message, letter.position
    times = TIMES.get(letter.attempts) or f"{letter.attempts} times"
    head = Text.assemble(
        (f"{letter.id}", Style.TITLE),
        (f"  {moment_text(letter.time_unix_nano)}  ", Style.FAINT),
        (place_text(place.topic, place.partition, place.offset), Style.NAME),
        f"  given up by {harmless(letter.subscription)}, delivered {times}",
    )
    reason = f": {harmless(letter.reason)}" if letter.reason else ""
    why = Text.assemble("    ", (cause_word(letter), Style.BAD), reason)
    kind = harmless(message.type.rpartition(".")[2]) or "-"
    summary = harmless(summarize(decode_payload(message.type, message.data)))
    what = Text.assemble(
        "    ", harmless(message.key) or "-", "  ", (kind, Style.GOOD), f"  {summary}"
    )
    return head, why, what


def cause_word(letter: DeadLetter) -> str:
    """Return the cause as a word: "rejected", "max attempts"."""
    name = DeadLetterCause.Name(letter.cause) if letter.cause in DeadLetterCause.values() else ""
    return name.removeprefix("DEAD_LETTER_CAUSE_").lower().replace("_", " ") or str(letter.cause)


@dataclass(frozen=True, slots=True)
class _AsReceived:
    """A dead letter where a delivery is expected."""

    letter: DeadLetter
    replayed: bool = False

    @property
    def topic(self) -> str:
        return self.letter.position.topic

    @property
    def partition(self) -> int:
        return self.letter.position.partition

    @property
    def offset(self) -> int:
        return self.letter.position.offset

    @property
    def attempt(self) -> int:
        return self.letter.attempts

    @property
    def message(self) -> Message:
        return self.letter.message


def letter_json(letter: DeadLetter) -> dict[str, object]:
    """Return everything known of a dead letter; `message` is what `tail --json` prints of one."""
    message = record_json(_AsReceived(letter))
    return {
        "id": letter.id,
        "topic": message.pop("topic"),
        "partition": message.pop("partition"),
        "offset": message.pop("offset"),
        "subscription": letter.subscription,
        "cause": cause_word(letter).replace(" ", "-"),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "time_unix_nano": letter.time_unix_nano,
        "message": {k: v for k, v in message.items() if k not in ("attempt", "replayed")},
    }
