"""Publish payloads from the command line: bounded groups, one report line at the end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.line_source import line_groups
from bellwire.cli.moments import parse_moment
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.published import Outcome
from bellwire.cli.session import Target, connected
from bellwire.cli.store_outage import store_named

if TYPE_CHECKING:
    from bellwire.bus.v1.publisher_pb2 import AckLevel
    from bellwire.cli.pub import Ack
    from bellwire.client import Message, PublishedRange, Publisher

__all__ = ["Publication", "Template", "moment_of", "payloads_of", "publish_all"]

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
    not_before_ns: int = 0
    expire_ns: int = 0

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
            not_before_time_unix_nano=self.not_before_ns,
            expire_time_unix_nano=self.expire_ns,
        )


def moment_of(text: str | None, now_ns: int, what: str) -> int:
    """Return the moment a flag names; 0 when it was not given.

    Raises:
        UsageFault: It is no moment.
    """
    return 0 if text is None else parse_moment(text, now_ns, what)


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


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published and what is asked of the coordinator.

    Attributes:
        ack: How far it must have come; None = the topic's way.
        request_id: Names the one message, which is then published once however often it is sent.
    """

    topic: str
    template: Template
    ack: Ack | None = None
    request_id: str = ""


async def publish_all(
    target: Target,
    publication: Publication,
    payloads: AsyncIterator[list[bytes]],
    *,
    as_json: bool,
) -> None:
    """Publish every payload, and say how many; returns once all are acknowledged.

    Raises:
        BellwireError: On the first refusal; what was acknowledged before stays published.
        CommandError: It was not acknowledged in time, because what keeps the topic does not answer.
    """
    outcome = Outcome()
    template = publication.template
    async with connected(target) as client:
        publisher = client.publisher(source=template.source, ack_level=_ack_level(publication.ack))
        async with store_named(client):
            async for group in payloads:
                for start in range(0, len(group), GROUP_MESSAGES):
                    some = group[start : start + GROUP_MESSAGES]
                    part = [template.message(data) for data in some]
                    outcome.add(part, await _publish(publisher, publication, part))
    if as_json:
        print_json({"topic": publication.topic, **outcome.json()})
        return
    console().print(
        f"{outcome.text} to [{Style.NAME}]{publication.topic}[/]"
        + outcome.level_text(asked=publication.ack is not None)
    )


async def _publish(
    publisher: Publisher, publication: Publication, messages: list[Message]
) -> list[PublishedRange]:
    topic, request_id = publication.topic, publication.request_id
    if not request_id:
        return await publisher.publish_many(topic, messages)
    for message in messages:
        # The coordinator fills them in: made here they would differ each time, and so would the request.
        message.ClearField("id")
        message.ClearField("time_unix_nano")
    return await publisher.publish_once(topic, messages, request_id=request_id)


def _ack_level(ack: Ack | None) -> AckLevel.ValueType:
    from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED, AckLevel

    return ACK_LEVEL_UNSPECIFIED if ack is None else AckLevel.Value(f"ACK_LEVEL_{ack.name}")
