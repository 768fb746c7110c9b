"""Publish payloads from the command line: bounded groups, one report line at the end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.line_source import line_groups
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.session import Target, connected

if TYPE_CHECKING:
    from bellwire.client import Message

__all__ = ["Template", "payloads_of", "publish_all"]

GROUP_MESSAGES: Final = 1000  # Sent before waiting for acks: a full server batch.
FILE_BYTES_MAX: Final = 1 << 20  # One message; the server's limit for a whole batch.


@dataclass(frozen=True, slots=True)
class Template:
    """The fields every message of one `bellwire pub` shares."""

    type: str = ""
    subject: str = ""
    key: str = ""
    source: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def parse_attributes(texts: Iterable[str]) -> dict[str, str]:
        """Read `key=value` texts.

        Raises:
            UsageFault: When one has no "=" or no key.
        """
        found: dict[str, str] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals or not key:
                raise UsageFault(f"--attr is {text!r}; expected key=value")
            found[key] = value
        return found

    def message(self, data: bytes) -> Message:
        """Return a new message with this payload.

        Raises:
            UsageFault: The type is known and the payload, a JSON object, does not fit it.
        """
        from bellwire.cli.payload import encode_payload
        from bellwire.client import new_message

        return new_message(
            data=encode_payload(self.type, data),
            type=self.type,
            subject=self.subject,
            key=self.key,
            source=self.source,
            attributes=self.attributes,
        )


def payloads_of(
    data: str | None, file: Path | None, stdin: str | None
) -> AsyncIterator[list[bytes]]:
    """Return the payloads of the one source that was named, in groups as they come.

    Raises:
        UsageFault: When none or several were named, or the argument is not a dash.
        CommandError: When the file cannot be read or is larger than one message may be.
    """
    if stdin not in (None, "-"):
        raise UsageFault(f"unexpected argument {stdin!r}; give the payload with --data or --file")
    if sum(source is not None for source in (data, file, stdin)) != 1:
        raise UsageFault("give the payload in one way: --data TEXT, --file FILE, or - for stdin")
    if stdin is not None:
        return line_groups(sys.stdin.fileno())
    return _single(data.encode() if data is not None else _read(file))


async def _single(payload: bytes) -> AsyncIterator[list[bytes]]:
    yield [payload]


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise CommandError(
                f"{path} is {size} bytes; one message holds at most {FILE_BYTES_MAX}"
            )
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None


async def publish_all(
    target: Target,
    topic: str,
    template: Template,
    payloads: AsyncIterator[list[bytes]],
    *,
    as_json: bool,
) -> None:
    """Publish every payload, and say how many; returns once all are acknowledged.

    Raises:
        BellwireError: On the first refusal; what was acknowledged before stays published.
    """
    count = 0
    size = 0
    async with connected(target) as client:
        publisher = client.publisher(source=template.source)
        async for group in payloads:
            for start in range(0, len(group), GROUP_MESSAGES):
                part = [template.message(data) for data in group[start : start + GROUP_MESSAGES]]
                await publisher.publish_many(topic, part)
                count += len(part)
                size += sum(len(message.data) for message in part)
    if as_json:
        print_json({"topic": topic, "messages": count, "payload_bytes": size})
        return
    noun = "message" if count == 1 else "messages"
    console().print(f"published {count:,} {noun} to [{Style.NAME}]{topic}[/]")
