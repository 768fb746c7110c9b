"""Client settings: every field says its unit and reason, and bad values are refused by name."""

import dataclasses

import pytest

from bellwire.client import ClientSettings
from bellwire.client.settings import PublishSettings, SubscribeSettings
from bellwire.transport.channel import TransportSettings
from bellwire.wire.settings import SettingsError, setting_info

CLASSES = (ClientSettings, PublishSettings, SubscribeSettings, TransportSettings)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_says_why_its_default_is_what_it_is(cls: type) -> None:
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(getattr(cls(), field.name)):
            continue
        info = setting_info(field)
        assert info is not None, field.name
        assert info.why, field.name


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: PublishSettings(batch_messages_max=0), "batch_messages_max"),
        (lambda: PublishSettings(batch_messages_max=1_001), "batch_messages_max"),
        (lambda: PublishSettings(frame_batches_max=65), "frame_batches_max"),
        (lambda: PublishSettings(frame_bytes_max=4 << 20), "frame_bytes_max"),
        (lambda: SubscribeSettings(window_messages=0), "window_messages"),
        (lambda: ClientSettings(timeout_seconds=0), "timeout_seconds"),
        (lambda: ClientSettings(timeout_seconds="5"), "timeout_seconds"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, name: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        make()
    assert caught.value.name == name


def test_the_defaults_named_by_the_design_are_in_force() -> None:
    settings = ClientSettings()
    assert settings.timeout_seconds == 5.0
    assert settings.publish.batch_messages_max == 100
    assert settings.publish.batch_bytes_max == 1 << 20
    assert settings.publish.compress_above_bytes == 512
