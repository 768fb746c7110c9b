"""Which store the settings ask for, and a coordinator's state opened on it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.store import Store
from bellwire.coordinator.state import CoordinatorState
from bellwire.wire.settings import SettingsError

if TYPE_CHECKING:
    from bellwire.coordinator.log.kafka import KafkaStore


async def open_state(
    settings: CoordinatorSettings,
    store: Store,
    cache: CacheSettings | None = None,
    source: ValueSource | None = None,
) -> CoordinatorState:
    """Open a store and the cache, and return a coordinator's state with what the store holds.

    Raises:
        SettingsError: The cache is to have a store, and none was given.
        RedisRefusedError: The Redis of the cache does not let us in.
        BellwireError: What `Store.load` raises.
    """
    if cache is not None and cache.store and source is None:
        raise SettingsError(
            "cache",
            "store",
            cache.store,
            "empty where no source is given: `bellwire serve` opens one",
        )
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    snapshot = await loop.run_in_executor(None, store.load)
    state = CoordinatorState(settings, store, snapshot, cache, source)
    try:
        await state.cache.open()
        state.latest.warm()
    except BaseException:
        await state.close()
        raise
    state.recovery_millis = int((time.monotonic() - began) * 1_000)
    return state


def make_store(settings: CoordinatorSettings) -> Store:
    """Return the store the settings ask for, not yet loaded.

    Raises:
        SettingsError: Its package is not installed.
    """
    if settings.kafka:
        return kafka_store(settings)
    if not settings.data:
        return MemoryStore(
            dead_letters_max=settings.dead_letters_max, results_max=settings.results_max
        )
    # Only here: who keeps everything in memory need not load SQLite.
    from bellwire.coordinator.log.sqlite.store import SqliteStore

    return SqliteStore(settings.data, checkpoint_pages=settings.store_checkpoint_pages)


def kafka_store(settings: CoordinatorSettings) -> KafkaStore:
    """Return the store in Kafka, not yet loaded.

    Raises:
        SettingsError: aiokafka is not installed, or a file of `kafka_security` cannot be used.
    """
    try:
        from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
    except ImportError as error:
        raise SettingsError(
            "coordinator",
            "kafka",
            settings.kafka,
            "empty without aiokafka; install bellwire[kafka]",
        ) from error
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # The store says what comes of it.
    return KafkaStore(
        KafkaSettings(
            settings.kafka,
            settings.state_topic,
            settings.kafka_replication_factor,
            security=settings.kafka_security,
            address=settings.advertise or settings.listen[0],
        )
    )
