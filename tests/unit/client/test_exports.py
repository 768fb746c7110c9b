"""The public door of the client is frozen: what is added or taken away is a decision."""

import subprocess
import sys

import bellwire.client

FROZEN = {
    "AddressError",
    "AgentBusyError",
    "AgentExistsError",
    "AgentFailedError",
    "AgentLostError",
    "Batch",
    "BellwireError",
    "BufferFullError",
    "CallCancelled",
    "CallReply",
    "CallerError",
    "CapacityError",
    "Client",
    "ClientSettings",
    "ClosedError",
    "DeadlineExceededError",
    "EARLIEST",
    "IdempotencyKeyReusedError",
    "IncomingCall",
    "InternalError",
    "InvalidTopicNameError",
    "LATEST",
    "LatestMessage",
    "LatestNotKeptError",
    "LeaseExpiredError",
    "Message",
    "NoCapableAgentError",
    "NotImplementedYetError",
    "NotOwnerError",
    "OffsetOutOfRangeError",
    "PayloadTooLargeError",
    "PeerError",
    "ProducerFencedError",
    "PublishResult",
    "PublishedRange",
    "Publisher",
    "ReceivedMessage",
    "Replay",
    "SettleFailure",
    "SlowSubscriberError",
    "StoreBusyError",
    "StoreFullError",
    "StoreReadOnlyError",
    "Subscription",
    "SubscriptionMismatchError",
    "ToolReply",
    "TopicExistsError",
    "TopicFullError",
    "UnknownDeliveryTagError",
    "UnknownSubscriptionError",
    "UnknownToolError",
    "UnknownTopicError",
    "UnreachableError",
    "at_positions",
    "at_time",
    "connect",
    "new_message",
}

HEAVY = ("pydantic", "pydantic_settings", "numpy", "opentelemetry.sdk", "uvloop", "typer", "rich")
OTHER_LAYERS = ("bellwire.coordinator", "bellwire.runtime", "bellwire.testing", "bellwire.cli")


def test_exports_are_frozen() -> None:
    assert set(bellwire.client.__all__) == FROZEN


def test_every_export_is_there() -> None:
    for name in FROZEN:
        assert getattr(bellwire.client, name) is not None


def test_importing_the_client_loads_nothing_heavy_and_no_layer_above() -> None:
    program = "import sys, bellwire.client; print('\\n'.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = run.stdout.split()
    assert "grpc" in loaded
    offending = [
        name
        for name in loaded
        if any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY + OTHER_LAYERS)
    ]
    assert offending == []
